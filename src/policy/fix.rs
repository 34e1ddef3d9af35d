//! Applies the edits of what is wrong with a policy.
//!
//! An edit is only given where there is one right answer, but answers may reveal more
//! mistakes: a policy is judged again after every round of edits, and a round that
//! leaves more errors than it found is taken back.

use std::collections::BTreeMap;

use super::{Environment, load};
use crate::diagnostic::{Diagnostic, Diagnostics, Edit, Severity, Source};

/// Rounds after which edits that keep asking for further ones are left alone.
const MAX_ROUNDS: usize = 10;

/// A file of a policy with its mistakes mended as far as that can be done.
#[derive(Clone, Debug)]
pub struct Mended {
    /// The file as it was.
    pub source: Source,
    /// Its text afterwards.
    pub text: String,
    /// What was changed, in the order it was.
    pub changes: Vec<Change>,
}

/// An edit that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The code of the finding that asked for it.
    pub code: &'static str,
    /// The line it began in, from 1, when it was made.
    pub line: usize,
    /// The text that went; may be empty.
    pub old: String,
    /// The text that came; may be empty.
    pub new: String,
}

/// The files of a policy that its findings' edits change, by name.
pub fn fix(source: &Source, environment: Environment<'_>) -> Vec<Mended> {
    let mut files: BTreeMap<String, Mended> = BTreeMap::new();
    let mut findings = judge(source, environment, &files);
    for _ in 0..MAX_ROUNDS {
        let mut next = files.clone();
        if !apply(&mut next, &findings) {
            break;
        }
        let after = judge(source, environment, &next);
        if errors(&after) > errors(&findings) {
            break;
        }
        files = next;
        findings = after;
    }
    let changed = |file: &Mended| file.text != file.source.text();
    files.into_values().filter(changed).collect()
}

fn errors(findings: &Diagnostics) -> usize {
    let all = findings.0.iter();
    all.filter(|finding| finding.severity() == Severity::Error)
        .count()
}

/// Everything found in the policy, with its files as far as they are mended.
fn judge(
    source: &Source,
    environment: Environment<'_>,
    files: &BTreeMap<String, Mended>,
) -> Diagnostics {
    let current = |source: Source| match files.get(source.name()) {
        Some(mended) => Source::new(source.name(), mended.text.as_str()),
        None => source,
    };
    let file = |from: &Source, name: &str| (environment.file)(from, name).map(current);
    let environment = Environment {
        file: &file,
        ..environment
    };
    match load(&current(source.clone()), environment) {
        Ok(checked) => checked.warnings,
        Err(findings) => findings,
    }
}

/// Makes every edit that touches no other; says whether there was any.
fn apply(files: &mut BTreeMap<String, Mended>, findings: &Diagnostics) -> bool {
    let mut edits: BTreeMap<&str, Vec<(&Edit, &Diagnostic)>> = BTreeMap::new();
    for finding in &findings.0 {
        if let Some(edit) = finding.edit_text() {
            let list = edits.entry(finding.source().name()).or_default();
            list.push((edit, finding));
        }
    }
    let mut any = false;
    for (name, mut list) in edits {
        list.sort_by_key(|(edit, _)| (edit.span.start, edit.span.end));
        let mut end = None;
        list.retain(|(edit, _)| {
            let free = end.is_none_or(|end| edit.span.start > end);
            if free {
                end = Some(edit.span.end);
            }
            free
        });
        let Some((_, first)) = list.first() else {
            continue;
        };
        let file = files.entry(name.to_owned()).or_insert_with(|| Mended {
            source: first.source().clone(),
            text: first.source().text().to_owned(),
            changes: Vec::new(),
        });
        // From the end, so that what comes first stays where it is.
        for (edit, _) in list.iter().rev() {
            if file.text.get(edit.span.clone()).is_some() {
                file.text
                    .replace_range(edit.span.clone(), &edit.replacement);
                any = true;
            }
        }
        file.changes
            .extend(list.iter().map(|(edit, finding)| change(edit, finding)));
    }
    any
}

fn change(edit: &Edit, finding: &Diagnostic) -> Change {
    let source = finding.source();
    Change {
        code: finding.code(),
        line: source.position(edit.span.start).0,
        old: source.slice(&edit.span).to_owned(),
        new: edit.replacement.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> String {
        let mended = fix(&Source::new("t", text), Environment::nothing());
        mended
            .first()
            .map_or(text.to_owned(), |file| file.text.clone())
    }

    fn check(text: &str, expected: &str) {
        let text = format!("edition 2026\ncollection all at \"{{symbol}}/*\" {{\n{text}\n}}\n");
        let expected =
            format!("edition 2026\ncollection all at \"{{symbol}}/*\" {{\n{expected}\n}}\n");
        assert_eq!(fixed(&text), expected);
    }

    #[test]
    fn what_has_one_right_answer_is_written() {
        let cases = [
            ("kep newest 3", "keep newest 3"),
            ("keep newset 3;", "keep newest 3"),
            ("keep last 3", "keep newest 3"),
            ("keep 3 newest", "keep newest 3"),
            (
                "keep at most 3 per {symbol}",
                "limit count to 3 per {symbol}, evicting smallest first",
            ),
            ("delete where size over 3 mb", "delete when size over 3 MB"),
            ("delete size over 3 MB", "delete when size over 3 MB"),
            (
                "keep always where size over 3 MB",
                "keep when size over 3 MB",
            ),
            ("keep when {symbol} == \"A\"", "keep when {symbol} is \"A\""),
            (
                "keep when {symbol} != \"A\"",
                "keep when {symbol} is not \"A\"",
            ),
            ("keep when {symbl} is 'A'", "keep when {symbol} is \"A\""),
            ("keep when symbol is “A”", "keep when {symbol} is \"A\""),
            (
                "keep when {symbol} is AAPL",
                "keep when {symbol} is \"AAPL\"",
            ),
            (
                "keep when {symbol} is [\"A\", \"B\"]",
                "keep when {symbol} in [\"A\", \"B\"]",
            ),
            (
                "keep when size over 3 MB && size under 9 MB",
                "keep when size over 3 MB and size under 9 MB",
            ),
            (
                "keep when size over MB 3 | size under 2 MB",
                "keep when size over 3 MB or size under 2 MB",
            ),
            ("keep always // why", "keep always # why"),
            (
                "keep always because it is so  # yes",
                "keep always because \"it is so\"  # yes",
            ),
            (
                "limit size to 3 MB, evicting largest first",
                "limit total size to 3 MB, evicting largest first",
            ),
        ];
        for (text, expected) in cases {
            // An age would ask for a clock, which is the author's choice.
            let text = text.replace("oldest", "smallest");
            let written = expected.replace("smallest", "oldest");
            let expected = if text.contains("at most 3") {
                written
            } else {
                expected.to_owned()
            };
            check(&text, &expected);
        }
    }

    #[test]
    fn a_delete_after_an_age_becomes_a_condition() {
        check(
            "age is measured from mtime\ndelete after 6 hours",
            "age is measured from last modified\ndelete when older than 6 hours",
        );
    }

    #[test]
    fn what_could_mean_two_things_is_left() {
        for text in [
            "delete when older than 6 m",
            "limit total size to 3 G, evicting largest first",
            "keep when {symbol} is A or size over 3 MB and size under 9 MB",
        ] {
            let text = format!("edition 2026\ncollection all at \"*\" {{\n{text}\n}}\n");
            let now = fixed(&text);
            assert!(now == text || now.contains("\"A\" or size"), "{now}");
        }
        let text = "edition 2026\nlet aaab = 3\nlet aaac = 4\ncollection all at \"*\" {\nkeep newest aaad\n}\n";
        assert_eq!(fixed(text), text);
    }

    #[test]
    fn an_edition_is_added_and_a_used_file_is_mended_too() {
        let main = Source::new(
            "main",
            "use types from \"part\"\ncollection a at \"{x:kidn}\" {\nkeep always\n}\n",
        );
        let environment = Environment {
            file: &|_, name| Ok(Source::new(name, "edition 2026\ntype kind = one of 'a'\n")),
            ..Environment::nothing()
        };
        let mended = fix(&main, environment);
        let texts: Vec<_> = mended
            .iter()
            .map(|file| (file.source.name(), file.text.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                (
                    "main",
                    "edition 2026\n\nuse types from \"part\"\ncollection a at \"{x:kind}\" {\nkeep always\n}\n"
                ),
                ("part", "edition 2026\ntype kind = one of \"a\"\n"),
            ]
        );
    }

    /// Errors of a shipped mistake, or of what became of it.
    fn errors_of(name: &str, text: &str) -> usize {
        errors(&judge(
            &Source::new(name, text),
            Environment::nothing(),
            &BTreeMap::new(),
        ))
    }

    #[test]
    fn every_edit_offered_for_a_known_mistake_mends_it() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mistakes/policy");
        let mut edits = 0;
        for file in walkdir::WalkDir::new(directory)
            .max_depth(1)
            .into_iter()
            .flatten()
        {
            let name = file.file_name().to_string_lossy().into_owned();
            let Some(text) = std::fs::read_to_string(file.path())
                .ok()
                .filter(|_| name.ends_with(".retain"))
            else {
                continue;
            };
            let source = Source::new(name.as_str(), text.as_str());
            let findings = judge(&source, Environment::nothing(), &BTreeMap::new());
            for finding in &findings.0 {
                let Some(edit) = finding.edit_text() else {
                    continue;
                };
                let mut mended = text.clone();
                mended.replace_range(edit.span.clone(), &edit.replacement);
                let (before, after) = (errors_of(&name, &text), errors_of(&name, &mended));
                let left = judge(
                    &Source::new("t", mended.as_str()),
                    Environment::nothing(),
                    &BTreeMap::new(),
                );
                let stays = |other: &&Diagnostic| {
                    other.code() == finding.code() && other.span().start == finding.span().start
                };
                assert!(
                    after <= before && left.0.iter().find(stays).is_none(),
                    "{name}:\n{mended}"
                );
                edits += 1;
            }
        }
        assert!(edits > 30, "{edits}");
    }

    #[test]
    fn a_round_that_reveals_more_errors_than_it_mends_is_taken_back() {
        // Once the head is read, its statements are judged, and all of them are wrong.
        let text = "edition 2026\ncollection a at '*.png' {\n\
                    delete when older than 3 m and older than 6 M\nkeep newest 0\n}\n\
                    test \"t\" {\n}\n";
        let (before, after) = (errors_of("t", text), errors_of("t", &fixed(text)));
        assert!(after <= before, "{before} before, {after} after");
    }
}
