//! Answers to what the grammar takes in only to be told better.

use std::ops::Range;

use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{Spanned, Unit, Value};
use crate::units::{Size, SpanUnit};

pub(crate) fn unit_of(word: &str) -> Option<Unit> {
    SpanUnit::of(word)
        .map(Unit::Time)
        .or_else(|| Size::unit(word).map(Unit::Bytes))
}

/// `m` may be minutes or months, `M` anything: never guessed.
pub(crate) fn unknown_unit(
    source: &Source,
    at: Range<usize>,
    word: &str,
    number: u64,
) -> Diagnostic {
    let error = |message: String| Diagnostic::error("R0103", source, at.clone(), message);
    match word {
        "m" => error("`m` is not a unit of time here".into())
            .label("minutes or months?")
            .help(format!("write `{number} min` or `{number} months`; guessing wrong is a factor of 43,800")),
        "M" => error("`M` is not a unit here".into())
            .label("megabytes, mebibytes or months?")
            .help(format!("write `{number} MB` (1,000,000 bytes each), `{number} MiB` (1,048,576) or `{number} months`")),
        "K" | "k" => error(format!("`{word}` is not a unit of size here"))
            .label("1,000 or 1,024 bytes?")
            .help(format!("write `{number} kB` (1,000 bytes each) or `{number} KiB` (1,024)")),
        "G" | "T" => error(format!("`{word}` is not a unit of size here"))
            .label("decimal or binary?")
            .help(format!("write `{number} {word}B` (powers of 1,000) or `{number} {word}iB` (powers of 1,024)")),
        _ => {
            const UNITS: [&str; 21] = [
                "seconds", "second", "minutes", "minute", "min", "hours", "hour", "days", "day", "weeks", "week", "months",
                "month", "quarters", "years", "year", "kB", "MB", "GB", "MiB", "GiB",
            ];
            let finding = error(format!("`{word}` is not a unit this language knows"));
            let folded = word.to_ascii_lowercase();
            let same = UNITS.iter().copied().find(|unit| unit.to_ascii_lowercase() == folded);
            match same.or_else(|| crate::diagnostic::nearest(word, UNITS)) {
                Some(near) => finding.help(format!("did you mean `{number} {near}`?")).edit(at.clone(), near),
                None => finding.help("times are `min`, `hours`, `days`, `weeks`, `months`, `years`; sizes are `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`"),
            }
        }
    }
}

pub(super) fn keep_at_most(
    source: &Source,
    at: Range<usize>,
    amount: Option<&Spanned<Value>>,
    per: &[Spanned<String>],
) -> Diagnostic {
    let count = amount.map_or("3", |amount| source.slice(&amount.at));
    let groups: Vec<String> = per
        .iter()
        .map(|capture| format!("{{{}}}", capture.value))
        .collect();
    let per = if groups.is_empty() {
        String::new()
    } else {
        format!(" per {}", groups.join("/"))
    };
    let instead = format!("limit count to {count}{per}, evicting oldest first");
    Diagnostic::error(
        "R0110",
        source,
        at.clone(),
        "`keep` can never delete, so it has no `at most`",
    )
    .help(format!("write `{instead}`"))
    .edit(at, instead)
}
