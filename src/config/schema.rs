//! Which keys a configuration may have, checked over the whole file at once.
//!
//! Overlays of environments that are not chosen are checked as well: a mistyped
//! key must not wait for production to be found.

use toml::de::{DeTable, DeValue};

use crate::config::codes;
use crate::config::reader::Findings;
use crate::diagnostic::{Diagnostic, nearest};

/// What may stand under a key.
enum Shape {
    /// One value; which type is the reader's business.
    Value,
    /// A table with these keys.
    Keys(&'static [(&'static str, Shape)]),
    /// A table of tables under names that somebody chose.
    Named(&'static Shape),
    /// Overlays under the names `ENVIRONMENT` may have.
    Overlays,
    /// A plugin's own settings: its schema checks them, not we.
    Free,
}

use Shape::{Free, Keys, Named, Overlays, Value};

const STORE: Shape = Keys(&[
    ("path", Value),
    ("policy", Value),
    ("every", Value),
    ("cron", Value),
    ("enabled", Value),
    ("grace", Value),
    ("exclusive", Value),
    ("create", Value),
    ("symlinks", Value),
    ("index", Value),
    ("warn", Keys(&[("used", Value), ("growth", Value)])),
    ("io", Value),
    ("max_removals_per_second", Value),
]);

const FILTER: Shape = Keys(&[("args", Value), ("restore_args", Value), ("suffix", Value)]);

const PLUGIN: Shape = Keys(&[
    ("wasm", Value),
    ("sha256", Value),
    ("settings", Free),
    ("filter", FILTER),
    ("proof", Value),
    (
        "grants",
        Keys(&[
            ("destinations", Value),
            ("memory", Value),
            ("wall", Value),
            ("output", Value),
            ("in_place", Value),
        ]),
    ),
]);

const SECRET: Shape = Keys(&[("file", Value), ("env", Value)]);

const TABLES: [(&str, Shape); 5] = [
    ("stores", Named(&STORE)),
    ("destinations", Named(&Keys(&[("url", Value)]))),
    ("plugins", Named(&PLUGIN)),
    (
        "service",
        Keys(&[
            ("listen", Value),
            ("probe_listen", Value),
            ("token", SECRET),
            ("hosts", Value),
            ("webhook", Keys(&[("url", Value), ("secret", SECRET)])),
            ("otlp", Keys(&[("endpoint", Value)])),
        ]),
    ),
    (
        "state",
        Keys(&[("path", Value), ("remember", Value), ("plan_expiry", Value)]),
    ),
];

const OVERLAY: &[(&str, Shape)] = &TABLES;

const FILE: &[(&str, Shape)] = {
    let [stores, destinations, plugins, service, state] = TABLES;
    &[
        stores,
        destinations,
        plugins,
        service,
        state,
        ("environments", Overlays),
    ]
};

/// Reports unknown keys, bad names and values where a table belongs.
pub(super) fn check(document: &DeTable<'_>, findings: &mut Findings) {
    check_keys(document, FILE, "", findings);
}

/// The same where nothing but a plugin's `filter` is written.
pub(super) fn check_filter(document: &DeTable<'_>, findings: &mut Findings) {
    check_keys(document, &[("filter", FILTER)], "", findings);
}

fn check_keys(
    table: &DeTable<'_>,
    keys: &[(&'static str, Shape)],
    path: &str,
    findings: &mut Findings,
) {
    for (key, value) in table {
        let here = joined(path, key.get_ref());
        match keys.iter().find(|(name, _)| name == key.get_ref()) {
            Some((_, shape)) => check_shape(value.get_ref(), shape, &here, value.span(), findings),
            None => {
                let known = keys.iter().map(|&(name, _)| name);
                findings.push(unknown_key(
                    findings,
                    key.get_ref(),
                    key.span(),
                    path,
                    known,
                ));
            }
        }
    }
}

fn check_shape(
    value: &DeValue<'_>,
    shape: &Shape,
    path: &str,
    span: std::ops::Range<usize>,
    findings: &mut Findings,
) {
    let table = match (shape, value.as_table()) {
        (Value, _) => return,
        (_, Some(table)) => table,
        (_, None) => {
            let message = format!("`{path}` must be a table, not {}", article(value));
            let keys = match shape {
                Keys(keys) => keys.iter().map(|(name, _)| format!("`{name}`")).collect(),
                Value | Named(_) | Overlays | Free => Vec::new(),
            };
            let keys = match keys.as_slice() {
                [] => "its keys".to_owned(),
                [one] => format!("its key {one}"),
                [most @ .., last] => format!("its keys {} or {last}", most.join(", ")),
            };
            let help = format!("write `[{path}]` on a line of its own and {keys} below");
            findings.error(codes::TYPE, span, message, help);
            return;
        }
    };
    match shape {
        Value | Free => {}
        Keys(keys) => check_keys(table, keys, path, findings),
        Named(inner) => {
            for (name, value) in table {
                check_name(name.get_ref(), name.span(), path, findings);
                let here = joined(path, name.get_ref());
                check_shape(value.get_ref(), inner, &here, name.span(), findings);
            }
        }
        Overlays => {
            for (name, value) in table {
                let here = joined(path, name.get_ref());
                let overlay = Keys(OVERLAY);
                check_shape(value.get_ref(), &overlay, &here, name.span(), findings);
            }
        }
    }
}

fn check_name(name: &str, span: std::ops::Range<usize>, path: &str, findings: &mut Findings) {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if name.is_empty() || !name.bytes().all(allowed) {
        let message = format!("`{name}` is no name for an entry of `{path}`");
        findings.push(
            Diagnostic::error(codes::NAME, findings.source(), span, message)
                .help("names have small letters, digits, `_` and `-`"),
        );
    }
}

fn unknown_key(
    findings: &Findings,
    key: &str,
    span: std::ops::Range<usize>,
    path: &str,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Diagnostic {
    let message = match path {
        "" => format!("unknown table `{key}`"),
        path => format!("unknown key `{key}` in `{path}`"),
    };
    let finding = Diagnostic::error(codes::UNKNOWN_KEY, findings.source(), span.clone(), message);
    match nearest(key, known.clone()) {
        Some(near) => finding
            .help(format!("did you mean `{near}`?"))
            .edit(span, near),
        None => {
            let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
            finding.help(format!("there are {}", known.join(", ")))
        }
    }
}

/// A key's place, as it is written with dots.
pub(super) fn joined(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

/// A value's type with its article, for messages.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(shape: &Shape, path: &str, found: &mut Vec<String>) {
        match shape {
            Value | Free | Overlays => found.push(path.to_owned()),
            Named(inner) => keys(inner, &format!("{path}.NAME"), found),
            Keys(keys_of) if keys_of.iter().any(|(key, _)| *key == "env") => {
                found.push(path.to_owned());
            }
            Keys(keys_of) => {
                for (key, shape) in *keys_of {
                    keys(shape, &format!("{path}.{key}"), found);
                }
            }
        }
    }

    #[test]
    fn every_key_has_a_row_in_the_documentation_and_every_row_a_key() {
        let page = include_str!("../../docs/configuration.md");
        let mut expected = Vec::new();
        for (table, shape) in FILE {
            keys(shape, table, &mut expected);
        }
        let mut table = "";
        let mut written = Vec::new();
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("## `[") {
                table = heading.split(']').next().unwrap();
            } else if let Some(row) = line.strip_prefix("| `") {
                written.push(format!("{table}.{}", row.split('`').next().unwrap()));
            }
        }
        written.push("environments".to_owned());
        written.sort();
        expected.sort();
        assert_eq!(written, expected);
    }
}
