//! `*`, `?` and `**` over the bytes of a path.

/// A pattern, read once for all the paths it is held against.
pub struct Pattern {
    /// What a path has to begin with: most paths differ there already.
    prefix: Vec<u8>,
    tokens: Vec<Token>,
}

impl Pattern {
    pub fn new(pattern: &str) -> Pattern {
        let mut tokens = tokens(pattern.as_bytes());
        let literal = |token: &Token| match *token {
            Token::Byte(byte) => Some(byte),
            Token::One | Token::Within | Token::Across => None,
        };
        let prefix: Vec<u8> = tokens.iter().map_while(literal).collect();
        tokens.drain(..prefix.len());
        Pattern { prefix, tokens }
    }

    /// Whether it matches a whole path.
    ///
    /// Keeps one set of positions instead of backtracking, so the time is the product
    /// of the two lengths whatever the pattern.
    pub fn matches(&self, path: &[u8]) -> bool {
        let Some(rest) = path.strip_prefix(&*self.prefix) else { return false };
        let tokens = &*self.tokens;
        // One piece of memory for both sets: as the last that was taken it is taken again.
        let mut sets = vec![false; 2 * (tokens.len() + 1)];
        let (mut at, mut next) = sets.split_at_mut(tokens.len() + 1);
        at[0] = true;
        skip_stars(tokens, at);
        for &byte in rest {
            next.fill(false);
            for (i, token) in tokens.iter().enumerate().filter(|&(i, _)| at[i]) {
                match *token {
                    Token::Byte(wanted) => next[i + 1] |= wanted == byte,
                    Token::One => next[i + 1] |= byte != b'/',
                    Token::Within => next[i] |= byte != b'/',
                    Token::Across => next[i] = true,
                }
            }
            skip_stars(tokens, next);
            std::mem::swap(&mut at, &mut next);
        }
        at[tokens.len()]
    }
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
    use super::Pattern;

    #[test]
    fn stars_stay_within_a_name_and_double_stars_do_not() {
        let check = |pattern: &str, path: &str| Pattern::new(pattern).matches(path.as_bytes());
        assert!(check("AAPL_*/*.png", "AAPL_1h/a.png"));
        assert!(!check("AAPL_*", "AAPL_1h/a.png"));
        assert!(check("**.png", "AAPL_1h/a.png"));
        assert!(check("a?c", "abc") && !check("a?c", "a/c"));
        assert!(check("a\\*", "a*") && !check("a\\*", "ab"));
        assert!(check("", "") && !check("", "a"));
        assert!(check("a/b", "a/b") && !check("a/b", "a/bc") && !check("a/b", "a/"));
        assert!(check("a/**", "a/b/c") && check("a/**", "a/") && !check("a/**", "a"));
        assert!(!check(&"*a".repeat(50), &"a".repeat(49)));
    }
}
