use std::path::Path;

use proptest::prelude::*;

use super::format;
use crate::diagnostic::Source;
use crate::policy::generate;
use crate::policy::parse::{Parsed, parse};

fn formatted(text: &str) -> String {
    match format(&Source::new("t", text)) {
        Ok(formatted) => formatted,
        Err(findings) => panic!("{findings}\n{text}"),
    }
}

fn check(text: &str, expected: &str) {
    let once = formatted(text);
    assert_eq!(once, expected);
    assert_eq!(formatted(&once), expected, "formatting again changes it");
}

/// A tree as text, without where its parts stand.
fn tree(text: &str) -> String {
    let Parsed::Whole(file) = parse(&Source::new("t", text)) else {
        panic!("not read: {text}");
    };
    let shown = format!("{file:?}");
    let digits = |c: char| c.is_ascii_digit();
    // Spans are printed as `12..34`.
    let parts = shown.split("..").map(|part| part.trim_matches(digits));
    parts.collect::<Vec<_>>().join("..")
}

fn comments(text: &str) -> Vec<String> {
    let mut comments = Vec::new();
    for line in text.lines() {
        let mut in_text = false;
        let mut escaped = false;
        for (at, c) in line.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => in_text = !in_text,
                '#' if !in_text => {
                    comments.push(line[at..].trim_end().to_owned());
                    break;
                }
                _ => {}
            }
        }
    }
    comments
}

fn holds_its_promises(text: &str) {
    let once = formatted(text);
    assert_eq!(
        tree(&once),
        tree(text),
        "the meaning changed:\n{text}\n---\n{once}"
    );
    assert_eq!(
        formatted(&once),
        once,
        "formatting again changes it:\n{text}"
    );
    assert_eq!(comments(&once), comments(text), "\n{text}\n---\n{once}");
    assert!(!once.contains("\n\n\n"), "{once}");
    let ends_well = once
        .lines()
        .all(|line| line.trim_end() == line || line.contains('"'));
    assert!(ends_well, "white space at a line's end:\n{once}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn formatting_keeps_meaning_and_comments_and_is_done_once(
        text in generate::policy().prop_flat_map(|policy| generate::messy(&policy))
    ) {
        holds_its_promises(&text);
    }
}

#[test]
fn every_policy_of_this_repository_keeps_its_meaning() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for directory in ["policies", "examples", "tests/mistakes"] {
        for file in walkdir::WalkDir::new(root.join(directory))
            .into_iter()
            .flatten()
        {
            if file
                .path()
                .extension()
                .is_none_or(|extension| extension != "retain")
            {
                continue;
            }
            let text = std::fs::read_to_string(file.path()).unwrap();
            if matches!(parse(&Source::new("t", text.as_str())), Parsed::Whole(_)) {
                holds_its_promises(&text);
                seen += 1;
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn white_space_and_commas_become_canonical() {
    check(
        "edition 2026 collection a at \"{s}/*\"{limit total size to 3MB per {s} evicting oldest first down to 90%\n\
         before delete run backup( level:3 , names:[\"a\" ,2 MB,] ,)into cold otherwise keep}",
        "edition 2026\n\
         collection a at \"{s}/*\" {\n    \
             limit total size to 3 MB per {s}, evicting oldest first, down to 90%\n    \
             before delete, run backup(level: 3, names: [\"a\", 2 MB]) into cold, otherwise keep\n\
         }\n",
    );
}

#[test]
fn comments_stay_with_what_they_stand_by() {
    check(
        "# top  \n\n\n\nedition 2026 # year\ncollection a at \"*\" { # all\n\n# first\ndelete always # gone\n\n\n# last\n}\n# end",
        "# top\n\nedition 2026  # year\n\
         collection a at \"*\" {  # all\n    # first\n    delete always  # gone\n\n    # last\n}\n# end\n",
    );
}

#[test]
fn a_comment_within_a_statement_ends_its_line() {
    check(
        "protect \"a\" # why\n # and how\nwhere size over 3 MB\nbecause \"x\"",
        "protect \"a\"  # why\n    # and how\n    where size over 3 MB because \"x\"\n",
    );
}

#[test]
fn neighbours_stand_below_each_other() {
    check(
        "type a = number\ntype longer = one of \"x\", \"y\"\nlet b = 3\n\nlet cc = 4\n# between\nlet d = 5\n\
         collection all at \"*\" {\n@x delete always\n@longer keep always\nkeep newest 3\n}\n\
         test \"t\" {\nexpect keep \"a\"\nexpect delete \"b\"\n}",
        "type a      = number\ntype longer = one of \"x\", \"y\"\nlet b = 3\n\nlet cc = 4\n# between\nlet d  = 5\n\
         collection all at \"*\" {\n    @x      delete always\n    @longer keep always\n    keep newest 3\n}\n\
         test \"t\" {\n    expect keep   \"a\"\n    expect delete \"b\"\n}\n",
    );
}

#[test]
fn a_long_statement_goes_on_where_a_clause_begins() {
    check(
        "collection a at \"{symbol}/*\" {\n\
         limit total size to 20 MB per {symbol} where {symbol} is not \"AAPL\" and size over 100 MB, evicting oldest first\n\
         delete when (size over 1 MB and path matches \"aaaaaaaaaaaaaaaaaaaaa\") or (size over 2 MB and path matches \"bbbbbbbbbbbbb\")\n}",
        "collection a at \"{symbol}/*\" {\n    \
             limit total size to 20 MB per {symbol} where {symbol} is not \"AAPL\" and size over 100 MB,\n        \
                 evicting oldest first\n    \
             delete when (size over 1 MB and path matches \"aaaaaaaaaaaaaaaaaaaaa\")\n        \
                 or (size over 2 MB and path matches \"bbbbbbbbbbbbb\")\n\
         }\n",
    );
}

#[test]
fn parts_of_a_long_condition_stand_below_each_other() {
    check(
        "collection a at \"*\" {\n\
         delete when older than 30 days and (path matches \"**/*.iso\" or path matches \"**/*.dmg\" or path matches \"**/*.deb\" or path matches \"**/*.zip\")\n}",
        "collection a at \"*\" {\n    \
             delete when older than 30 days\n        \
                 and (path matches \"**/*.iso\"\n            \
                     or path matches \"**/*.dmg\"\n            \
                     or path matches \"**/*.deb\"\n            \
                     or path matches \"**/*.zip\")\n\
         }\n",
    );
}

#[test]
fn stages_and_facts_stand_in_lines_of_their_own() {
    check(
        "when disk is above 90% full free until below 80% { evict from a where size over 1 MB oldest first then evict from b largest first }\n\
         test \"t\" { given now 2026-03-10   12:00 given \"a\" modified 7 days ago 3 MB expect keep \"a\" by @x }",
        "when disk is above 90% full, free until below 80% {\n    \
             evict from a where size over 1 MB, oldest first\n    \
             then evict from b, largest first\n\
         }\n\
         test \"t\" {\n    given now 2026-03-10 12:00\n    given \"a\" modified 7 days ago, 3 MB\n    expect keep \"a\" by @x\n}\n",
    );
}

#[test]
fn a_file_with_a_mistake_is_not_formatted() {
    let findings = format(&Source::new("t", "edition 2026\ndelete  when\n")).unwrap_err();
    assert!(findings.has_errors());
    assert_eq!(formatted(""), "");
}
