//! A policy's text in its one canonical form.
//!
//! Only layout and commas change: words, numbers, units and texts stay as they were
//! written, comments stay where they were. A statement stands on a line of its own,
//! a block's lines four columns further in, and what is longer than [`WIDTH`] columns
//! goes on in a further line where a clause begins. The result is read again before
//! it is handed out: a formatter must not be able to change what is deleted.

mod align;
mod lines;
#[cfg(test)]
mod tests;
mod wrap;

use super::parse::{Parsed, Piece, outline, parse};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};

/// Columns a line may have, unless one text alone is longer.
pub const WIDTH: usize = 100;

/// Formats a policy that the strict grammar reads; otherwise, what is wrong with it.
pub fn format(source: &Source) -> Result<String, Diagnostics> {
    if let Parsed::Partial(partial) = parse(source) {
        return Err(partial.for_report_only().1);
    }
    let pieces = outline(source).unwrap_or_default();
    let mut lines = lines::lines(pieces.clone());
    align::align(&mut lines);
    let formatted = wrap::wrap(&lines);
    match says_the_same(&pieces, &Source::new(source.name(), formatted.as_str())) {
        true => Ok(formatted),
        false => Err(Diagnostics(vec![changed(source)])),
    }
}

fn says_the_same(pieces: &[Piece], formatted: &Source) -> bool {
    matches!(parse(formatted), Parsed::Whole(_))
        && outline(formatted).is_some_and(|again| {
            again.len() == pieces.len()
                && again
                    .iter()
                    .zip(pieces)
                    .all(|(new, old)| new.says_the_same(old))
        })
}

fn changed(source: &Source) -> Diagnostic {
    Diagnostic::error(
        "R0199",
        source,
        0..0,
        "formatting would change what this policy says",
    )
    .help("the file stays as it is; please report it, the mistake is in `retain fmt`")
}
