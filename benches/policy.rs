//! What a large policy costs: to read and judge, to format, and to decide by.
//!
//! `cargo bench --bench policy`. Targets: 15,000 lines are read and judged within
//! 250 ms; ten thousand rules decide at one and a half times the cost of ten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::fmt::Write;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use retain::diagnostic::{Look, Source};
use retain::entry::{Entry, Facts, FileId, Kind};
use retain::path::RelPath;
use retain::policy::{Environment, Matcher, Policy, load};
use retain::time::{Now, Stamp};

fn main() {
    divan::main();
}

const RULES: [usize; 2] = [10, 10_000];
/// Files at least, and of each directory at least.
const ENTRIES: usize = 10_000;
const OF_EACH: usize = 10;

#[divan::bench(sample_count = 20)]
fn load_15_000_lines_in_15_collections(bencher: Bencher<'_, '_>) {
    let source = Source::new("bench", mixed(15, 996));
    assert!(
        (15_000..15_300).contains(&source.text().lines().count()),
        "not 15,000 lines"
    );
    policy(&source);
    bencher.bench(|| load(black_box(&source), Environment::nothing()));
}

#[divan::bench(sample_count = 20)]
fn load_1_000_collections(bencher: Bencher<'_, '_>) {
    let source = Source::new("bench", mixed(1_000, 4));
    policy(&source);
    bencher.bench(|| load(black_box(&source), Environment::nothing()));
}

#[divan::bench(sample_count = 20)]
fn format_15_000_lines(bencher: Bencher<'_, '_>) {
    let source = Source::new("bench", mixed(15, 996));
    bencher.bench(|| retain::policy::format(black_box(&source)));
}

#[divan::bench(args = RULES, sample_count = 20)]
fn decide_files_by_rules_of_one_collection(bencher: Bencher<'_, '_>, rules: usize) {
    let mut text = "edition 2026\ncollection all at \"{symbol}_{interval}/*.png\" {\n\
        age is measured from last modified\ndelete when older than 6 hours\n"
        .to_owned();
    for rule in 0..rules {
        let _ = writeln!(text, "keep for 30 days where {{symbol}} is \"S{rule}\"");
    }
    text.push_str("}\n");
    decide(bencher, &text, rules);
}

#[divan::bench(args = RULES, sample_count = 20)]
fn decide_files_by_a_collection_each(bencher: Bencher<'_, '_>, rules: usize) {
    let mut text = "edition 2026\n".to_owned();
    for rule in 0..rules {
        let _ = writeln!(
            text,
            "collection s{rule} at \"S{rule}_{{interval}}/*.png\" {{\n\
             age is measured from last modified\ndelete when older than 6 hours\nkeep for 2 hours\n}}"
        );
    }
    decide(bencher, &text, rules);
}

#[divan::bench(args = RULES, sample_count = 20)]
fn bind_rules_of_one_collection_to_a_moment(bencher: Bencher<'_, '_>, rules: usize) {
    let mut text = "edition 2026\ncollection all at \"{symbol}_{interval}/*.png\" {\n\
        age is measured from last modified\n"
        .to_owned();
    for rule in 0..rules {
        let _ = writeln!(text, "keep for 30 days where {{symbol}} is \"S{rule}\"");
    }
    text.push_str("}\n");
    let policy = policy(&Source::new("bench", text));
    bencher.bench(|| Matcher::new(black_box(&policy), &now()));
}

fn decide(bencher: Bencher<'_, '_>, text: &str, rules: usize) {
    let policy = policy(&Source::new("bench", text));
    let entries = entries(rules);
    let matcher = Matcher::new(&policy, &now());
    let files: usize = entries.iter().map(Vec::len).sum();
    // As a walk does: a directory is entered, and then its names are decided on.
    let decide = |directory: &Vec<Entry>| {
        let path = directory.first().and_then(|entry| entry.path.parent());
        let within = matcher.within(&path.expect("a directory"));
        let verdicts = directory.iter().map(|entry| {
            let memberships = matcher.memberships_within(&within, &entry.path);
            matcher.judge(entry, &memberships)
        });
        verdicts
            .filter(|verdict| matches!(verdict, retain::policy::Verdict::Kept(_)))
            .count()
    };
    bencher
        .counter(ItemsCount::new(files))
        .bench(|| entries.iter().map(decide).sum::<usize>());
}

/// Files of every symbol there is a rule for, as many of each, by their directories.
fn entries(rules: usize) -> Vec<Vec<Entry>> {
    let each = OF_EACH.max(ENTRIES / rules);
    let of = |symbol: usize, number: usize| {
        let stamp = Stamp::new(1_772_000_000, 0);
        Entry {
            path: RelPath::parse(format!("S{symbol}_1h/{number}.png")).expect("a path"),
            facts: Ok(Facts {
                kind: Kind::File,
                id: FileId {
                    device: 1,
                    inode: 1,
                },
                size: 3_000_000,
                allocated: 3_000_000,
                modified: stamp,
                changed: stamp,
                accessed: stamp,
                created: Some(stamp),
                links: 1,
                mode: 0o100_644,
                owner: 1000,
                group: 1000,
            }),
        }
    };
    let directory = |symbol| (0..each).map(|number| of(symbol, number)).collect();
    (0..rules).map(directory).collect()
}

fn now() -> Now {
    Now::at("2026-03-10T12:00:00Z".parse().expect("an instant"))
}

/// So many collections with so many statements each, and a protection for each.
fn mixed(collections: usize, statements: usize) -> String {
    let mut text = "edition 2026\ntimezone \"Europe/Berlin\"\n\
        type ticker = text matching \"[A-Z]{1,5}([.-][A-Z])?\"\n\
        let ttl = env \"TTL\" in hours or 6 hours, at least 1 hour, at most 7 days\n"
        .to_owned();
    for collection in 0..collections {
        let _ = writeln!(
            text,
            "protect \"c{collection}/*/keep/**\" where size over 3 MB because \"somebody asked\"\n\
             collection c{collection} at \"c{collection}/{{symbol:ticker}}/{{series}}/*.png\" {{\n\
             age is measured from last modified"
        );
        for statement in 0..statements {
            let number = statement / 6;
            let _ = match statement % 6 {
                0 => writeln!(
                    text,
                    "@d{collection}-{statement} delete when older than {} hours and {{series}} is \"s{number}\"",
                    number + 2
                ),
                1 => writeln!(
                    text,
                    "keep for {} days where {{series}} is \"s{number}\" or size under 3 kB",
                    number + 1
                ),
                2 => writeln!(
                    text,
                    "limit total size to {} MB per {{symbol}} where {{series}} in [\"s{number}\", \"t\"], evicting oldest first, down to 90%",
                    number + 1
                ),
                3 => writeln!(
                    text,
                    "keep newest {} per {{symbol}}/{{series}} where {{series}} matches \"s{number}*\"",
                    number + 1
                ),
                4 => writeln!(
                    text,
                    "delete when (older than ttl or size over 9 MB) and not (path matches \"**/{number}-*.png\")"
                ),
                _ => writeln!(
                    text,
                    "keep when modified within {} min and {{symbol}} is not \"AAPL\" # fresh",
                    number + 1
                ),
            };
        }
        text.push_str("}\n");
    }
    text
}

fn policy(source: &Source) -> Policy {
    match load(source, Environment::nothing()) {
        Ok(checked) => checked.policy,
        Err(findings) => {
            let drawn = findings
                .0
                .iter()
                .take(3)
                .map(|finding| finding.render(Look::Plain));
            panic!("{}", drawn.collect::<String>());
        }
    }
}
