//! Decisions of the language, each file a policy with its trees, moments and answers;
//! the policies that ship, with theirs.

use std::path::{Path, PathBuf};

use retain::config::Environment;
use retain::diagnostic::{Diagnostics, Look, Source};
use retain::plan::trials;

fn policies(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = std::fs::read_dir(root).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "retain"));
    files.sort();
    files
}

/// Runs the tests of a policy file; how many there were.
fn check(file: &Path) -> usize {
    let directory = file.parent().unwrap();
    let source = retain::config::read_policy(file, directory).unwrap();
    Environment::default()
        .ask(directory, |world| check_policy(&source, world))
        .unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Loads a policy and runs its tests: how many there were, or everything that is wrong.
/// Warnings are the caller's to judge.
pub(crate) fn check_policy(
    source: &Source,
    world: retain::policy::Environment<'_>,
) -> Result<usize, String> {
    let checked = retain::policy::load(source, world).map_err(|findings| drawn(&findings))?;
    let trials = trials(source, &checked.policy, world);
    let mut wrong = Vec::new();
    for trial in &trials {
        let place = format!(
            "{}:{} \"{}\"",
            source.name(),
            trial.case.line,
            trial.case.name
        );
        if let Some(findings) = &trial.refused {
            wrong.push(format!("{place}: {}", drawn(findings)));
        }
        for failure in &trial.failures {
            wrong.push(format!(
                "{place}: `{}` {}",
                failure.expected.path, failure.found
            ));
        }
    }
    match wrong.is_empty() {
        true => Ok(trials.len()),
        false => Err(wrong.join("\n")),
    }
}

/// Findings as a person reads them.
pub(crate) fn drawn(findings: &Diagnostics) -> String {
    let drawn: Vec<_> = findings.0.iter().map(|f| f.render(Look::Plain)).collect();
    drawn.join("\n")
}

#[test]
fn the_corpus_is_decided_as_it_says() {
    let files = policies("tests/corpus");
    assert!(files.len() >= 25, "{}", files.len());
    // All are tried, so that one wrong answer hides no other.
    let wrong: Vec<_> = files
        .iter()
        .filter(|file| std::panic::catch_unwind(|| assert!(check(file) > 0)).is_err())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
