//! Decisions of the language, each file a policy with its trees, moments and answers;
//! the policies that ship, with theirs.

use std::path::{Path, PathBuf};

use retain::config::Environment;
use retain::diagnostic::Look;
use retain::plan::trials;

fn policies(directory: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let files = std::fs::read_dir(root).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "retain"));
    files.sort();
    files
}

/// Runs the tests of a policy; how many there were.
fn check(file: &Path) -> usize {
    let directory = file.parent().unwrap();
    let source = retain::config::read_policy(file, directory).unwrap();
    let environment = Environment::default();
    environment.ask(directory, |world| {
        let checked = retain::policy::load(&source, world).unwrap_or_else(|findings| {
            let drawn: Vec<_> = findings.0.iter().map(|f| f.render(Look::Plain)).collect();
            panic!("{}", drawn.join("\n"))
        });
        let trials = trials(&source, &checked.policy, world);
        for trial in &trials {
            let name = &trial.case.name;
            assert!(trial.refused.is_none(), "{}: {name}", file.display());
            let wrong: Vec<String> = trial
                .failures
                .iter()
                .map(|failure| format!("`{}` {}", failure.expected.path, failure.found))
                .collect();
            assert!(wrong.is_empty(), "{}: {name}: {wrong:#?}", file.display());
        }
        trials.len()
    })
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
