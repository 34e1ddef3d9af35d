//! Ten megabytes of what is no policy: every kind is refused with few words, soon.

use std::sync::mpsc;
use std::time::Duration;

use retain::diagnostic::{Look, Source};
use retain::policy::{Environment, format, load};

const SIZE: usize = 10 << 20;

/// Generous: each takes a few seconds without optimisation. It is there so that
/// what takes hours fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(120);

fn check(unit: &str) {
    check_text(unit.repeat(SIZE / unit.len()));
}

fn check_text(text: String) {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        let source = Source::new("junk", text);
        let findings = load(&source, Environment::nothing()).unwrap_err();
        let drawn = findings
            .0
            .iter()
            .take(3)
            .map(|finding| finding.render(Look::Plain).len());
        let longest = drawn.max().unwrap_or_default();
        let refused = format(&source).is_err();
        let _ = done.send((findings.0.len(), longest, refused));
    });
    let (findings, _, refused) = wait.recv_timeout(PATIENCE).expect("an answer in time");
    assert!((1..=250).contains(&findings), "{findings} findings");
    assert!(refused);
}

#[test]
fn braces_that_open_and_never_close() {
    check("{");
}

#[test]
fn braces_that_close_what_never_opened() {
    check("}\n");
}

#[test]
fn quotes_on_one_line() {
    check("\"");
}

#[test]
fn a_label_after_the_other() {
    check("@");
    check("@a\n");
}

#[test]
fn parentheses_as_deep_as_they_go() {
    check("(");
    check_text(format!(
        "edition 2026\ncollection a at \"*\" {{\ndelete when {}\n}}",
        "not (".repeat(SIZE / 5)
    ));
}

#[test]
fn words_that_are_none_of_the_language() {
    check("antidisestablishmentarianism ");
    check("keep keep\n");
}

#[test]
fn a_name_of_four_hundred_kilobytes() {
    let name = "a".repeat(400_000);
    check_text(format!(
        "edition 2026\ncollection {name} at \"{{{name}}}/*\" {{\nkeep when {{b}} is \"c\"\nkip\n}}\n"
    ));
    check_text(format!("edition 2026\n{name}\n"));
}

#[test]
fn heads_without_bodies() {
    check("collection a at \"*\" {\n");
    check("when disk is above 90% {");
}

#[test]
fn bytes_without_a_line() {
    check("\u{0}\u{1}é");
}
