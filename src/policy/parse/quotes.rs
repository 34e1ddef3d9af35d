//! Texts and names whose quotes are missing, too many, or of another kind.

use super::habit::{Place, is_word};
use crate::diagnostic::Diagnostic;

/// Quotes of other languages, and of word processors.
pub(super) fn other(place: &Place<'_>, token: &str) -> Diagnostic {
    let finding = place
        .finding(format!("`{token}` does not quote a text here"))
        .help("use straight double quotes: `\"AAPL\"`");
    let closing = match token {
        "\u{201c}" => "\u{201d}",
        _ => token,
    };
    match place.after().split_once(closing) {
        Some((text, _)) if !text.contains(['"', '\\']) => {
            place.replaced_with_next(finding, text.len() + closing.len(), format!("\"{text}\""))
        }
        _ => finding,
    }
}

/// A text without its quotes.
pub(super) fn unquoted(place: &Place<'_>) -> Option<Diagnostic> {
    let [previous, _] = place.previous();
    let takes_text = matches!(
        previous,
        "is" | "not"
            | "at"
            | "matches"
            | "matching"
            | "because"
            | "protect"
            | "timezone"
            | "env"
            | "of"
    );
    let token = place.token();
    let is_name = token.starts_with(|c: char| c.is_alphanumeric() || "*{?./_-~".contains(c));
    if !takes_text || place.begins_line() || !is_name {
        return None;
    }
    let rest = place.after();
    let end = match previous {
        "because" => rest.find('#').unwrap_or(rest.len()),
        _ => rest
            .find(|c: char| c.is_whitespace() || matches!(c, ',' | ')' | ']' | '#'))
            .unwrap_or(rest.len()),
    };
    let behind = rest.get(..end).unwrap_or_default().trim_end();
    let text = format!("{token}{behind}");
    let finding = place
        .finding("a text stands in double quotes")
        .help(format!("write `\"{text}\"`"));
    Some(match text.contains(['"', '\\']) {
        true => finding,
        false => place.replaced_with_next(finding, behind.len(), format!("\"{text}\"")),
    })
}

/// A name with quotes.
pub(super) fn quoted_name(place: &Place<'_>) -> Option<Diagnostic> {
    let name = place.token().strip_prefix('"')?.strip_suffix('"')?;
    let finding = place.finding("a name stands without quotes");
    if !is_word(name) {
        return Some(finding.help("names have letters, digits, `_` and `-`"));
    }
    Some(place.replaced(finding.help(format!("write `{name}`")), name))
}
