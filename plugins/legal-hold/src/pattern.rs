//! `*`, `?` and `**` over the bytes of a path.

/// Whether a pattern matches a whole path.
///
/// Keeps one set of positions instead of backtracking, so the time is the product
/// of the two lengths whatever the pattern.
pub fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let tokens = tokens(pattern);
    let mut at = vec![false; tokens.len() + 1];
    at[0] = true;
    skip_stars(&tokens, &mut at);
    for &byte in path {
        let mut next = vec![false; tokens.len() + 1];
        for (i, token) in tokens.iter().enumerate().filter(|&(i, _)| at[i]) {
            match *token {
                Token::Byte(wanted) => next[i + 1] |= wanted == byte,
                Token::One => next[i + 1] |= byte != b'/',
                Token::Within => next[i] |= byte != b'/',
                Token::Across => next[i] = true,
            }
        }
        skip_stars(&tokens, &mut next);
        at = next;
    }
    at[tokens.len()]
}

enum Token {
    Byte(u8),
    One,
    Within,
    Across,
}

fn tokens(pattern: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        tokens.push(match (byte, tail) {
            (b'\\', [literal, after @ ..]) => {
                rest = after;
                Token::Byte(*literal)
            }
            (b'*', [b'*', after @ ..]) => {
                rest = after;
                Token::Across
            }
            (b'*', _) => Token::Within,
            (b'?', _) => Token::One,
            (byte, _) => Token::Byte(byte),
        });
    }
    tokens
}

/// A star may stand for nothing.
fn skip_stars(tokens: &[Token], at: &mut [bool]) {
    for (i, token) in tokens.iter().enumerate() {
        if at[i] && matches!(token, Token::Within | Token::Across) {
            at[i + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stay_within_a_name_and_double_stars_do_not() {
        let check = |pattern: &str, path: &str| matches(pattern.as_bytes(), path.as_bytes());
        assert!(check("AAPL_*/*.png", "AAPL_1h/a.png"));
        assert!(!check("AAPL_*", "AAPL_1h/a.png"));
        assert!(check("**.png", "AAPL_1h/a.png"));
        assert!(check("a?c", "abc") && !check("a?c", "a/c"));
        assert!(check("a\\*", "a*") && !check("a\\*", "ab"));
        assert!(check("", "") && !check("", "a"));
        assert!(!check(&"*a".repeat(50), &"a".repeat(49)));
    }
}
