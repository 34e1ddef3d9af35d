//! A policy's tokens, for the two readers that must not fail: nesting and recovery.

use std::ops::Range;

/// A string, a word or number, or a single other character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) at: Range<usize>,
    /// Nothing but white space stands before it on its line.
    pub(super) begins_line: bool,
}

impl Token {
    pub(super) fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.at.clone()).unwrap_or_default()
    }
}

/// The tokens of a text, comments and white space left out. Total: every input has tokens.
pub(super) fn tokens(source: &str) -> impl Iterator<Item = Token> + '_ {
    let mut position = 0;
    let mut begins_line = true;
    std::iter::from_fn(move || {
        loop {
            let rest = source.get(position..)?;
            let first = rest.chars().next()?;
            let length = match first {
                '\n' => {
                    begins_line = true;
                    position += 1;
                    continue;
                }
                '#' => {
                    position += rest.find('\n').unwrap_or(rest.len());
                    continue;
                }
                c if c.is_whitespace() => {
                    position += c.len_utf8();
                    continue;
                }
                '"' => string_length(rest),
                c if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
                c => c.len_utf8(),
            };
            let token = Token {
                at: position..position + length,
                begins_line,
            };
            position += length;
            begins_line = false;
            return Some(token);
        }
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// Length of the string literal `text` begins with: to its closing quote, else to the line's end.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return offset,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hide_braces_and_comments_hide_everything() {
        let text = "a { \"}\\\"}\" # }\n }";
        let seen: Vec<_> = tokens(text).map(|token| token.text(text)).collect();
        assert_eq!(seen, ["a", "{", "\"}\\\"}\"", "}"]);
    }

    #[test]
    fn an_unclosed_string_ends_with_its_line() {
        let text = "\"abc\nkeep";
        let seen: Vec<_> = tokens(text)
            .map(|token| (token.text(text), token.begins_line))
            .collect();
        assert_eq!(seen, [("\"abc", true), ("keep", true)]);
    }
}
