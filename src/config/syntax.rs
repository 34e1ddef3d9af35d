//! What the TOML parser refused, in words for somebody who does not know TOML.

use std::collections::BTreeSet;

use toml::de::Error;

use crate::config::codes;
use crate::config::reader::Findings;
use crate::diagnostic::Source;

/// Reports the first error of every line: the others mostly follow from it.
pub(super) fn report(errors: &[Error], findings: &mut Findings) {
    let mut reported = BTreeSet::new();
    let mut yaml = false;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        if is_yaml(findings.source(), span.start) {
            // Every line of it would be said to be wrong in the same words.
            if !std::mem::replace(&mut yaml, true) {
                let message = "this is written as YAML; a configuration is TOML".to_owned();
                let help = "write `[stores.charts]` on a line of its own, and `path = \"/srv/charts\"` below it";
                findings.error(codes::SYNTAX, span, message, help.to_owned());
            }
            continue;
        }
        let (line, _) = findings.source().position(span.start);
        if !reported.insert(line) {
            continue;
        }
        let written = findings.source().slice(&span).to_owned();
        let (message, help) = explain(error.message(), &written);
        findings.error(codes::SYNTAX, span, message, help);
    }
}

/// Whether a line begins with a word and a colon.
fn is_yaml(source: &Source, offset: usize) -> bool {
    let text = source.text();
    let start = text
        .get(..offset)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let line = text.get(start..).and_then(|rest| rest.lines().next());
    let key = line.and_then(|line| line.trim_start_matches([' ', '-']).split_once(':'));
    key.is_some_and(|(key, value)| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        !key.is_empty() && key.chars().all(word) && (value.is_empty() || value.starts_with(' '))
    })
}

/// The parser's own words stay where there are none better.
fn explain(message: &str, written: &str) -> (String, String) {
    let message = message.to_lowercase();
    let (what, help) = if message.starts_with("duplicate key") {
        (
            format!("`{written}` is already in this table"),
            "keep one of the two".to_owned(),
        )
    } else if message.contains("must be quoted") {
        (
            format!("`{written}` has no quotes"),
            format!("write `\"{written}\"`"),
        )
    } else if message.starts_with("invalid basic string") && message.contains("expected `\"`") {
        (
            "this text has no closing quote".to_owned(),
            "close it with `\"` on the same line".to_owned(),
        )
    } else {
        let what = message.split(", expected").next().unwrap_or_default();
        let help = "write `key = \"value\"`, below a table's name such as `[stores.charts]`";
        (what.to_owned(), help.to_owned())
    };
    (what, help)
}
