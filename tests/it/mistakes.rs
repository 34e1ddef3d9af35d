//! What a person reads who made a mistake: one file per mistake, one golden answer.
//!
//! Each input begins with what its author meant, so that the answer beside it can
//! be judged by somebody who does not know the code.

use std::path::Path;

use retain::config::{Config, Environment};
use retain::diagnostic::{Diagnostics, Look, Source};

/// Words of the grammar and of its library, none of which a person has ever written.
const PARSER_WORDS: [&str; 16] = [
    "k_",
    "_def",
    "later_",
    "stop_bound",
    "ident",
    "junction",
    "predicate",
    "unary",
    "EOI",
    "SOI",
    "one_of",
    "keep_slots",
    "fact_",
    "given_",
    "stamp_test",
    "Rule",
];

#[test]
fn every_mistake_in_a_policy_has_an_answer() {
    insta::glob!("../mistakes/policy", "*.retain", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let source = Source::new(name(path), text);
        let directory = path.parent().unwrap();
        let world = retain::policy::Environment {
            variable: &|name| Ok(variable(name)),
            file: &|from, name| {
                let beside = directory.join(from.name());
                let path = beside.parent().unwrap().join(name);
                let missing = |_| "no such file or directory".to_owned();
                retain::config::read_policy(&path.canonicalize().map_err(missing)?, directory)
            },
            ..retain::policy::Environment::nothing()
        };
        let findings = match retain::policy::load(&source, world) {
            Ok(checked) => checked.warnings,
            Err(findings) => findings,
        };
        insta::assert_snapshot!(answer(&name(path), &findings));
    });
}

#[test]
fn every_mistake_in_a_configuration_has_an_answer() {
    let environment = Environment::default()
        .with("HOME", "/home/ann")
        .with("ENVIRONMENT", "production");
    insta::glob!("../mistakes/config", "*.toml", |path| {
        let findings = match Config::load(path, &environment) {
            Ok(config) => Diagnostics(config.warnings),
            Err(findings) => findings,
        };
        let directory = format!("{}/", path.parent().unwrap().display());
        insta::assert_snapshot!(answer(&name(path), &findings).replace(&directory, ""));
    });
}

/// Every answer, as it is drawn; each has to say what to do next.
fn answer(file: &str, findings: &Diagnostics) -> String {
    assert_ne!(findings.0.len(), 0, "the mistake in {file} went unnoticed");
    let drawn = findings.0.iter().map(|finding| {
        assert!(finding.help_text().is_some(), "no help: {finding}");
        let said = format!("{finding} {}", finding.help_text().unwrap_or_default());
        for word in PARSER_WORDS {
            assert!(!said.contains(word), "`{word}` reached a person: {said}");
        }
        finding.render(Look::Plain)
    });
    drawn.collect::<Vec<_>>().join("\n")
}

fn variable(name: &str) -> Option<String> {
    match name {
        "RETAIN_HOURS" => Some("900".to_owned()),
        "RETAIN_AGE" => Some("soon".to_owned()),
        _ => None,
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().display().to_string()
}
