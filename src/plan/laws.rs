//! The planner against the language read aloud, over policies and trees that are made
//! up; and the laws that hold for any policy.
//!
//! A case is a tape of bytes that choices are read from, so that a failing one shrinks
//! to few and simple choices.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::{Action, Ask, Census, Disk, Group, Passed, Plan, Sieve, Spool, Tally, plan};
use crate::diagnostic::Source;
use crate::entry::{Entry, Facts, FileId, Kind, Unreadable};
use crate::path::RelPath;
use crate::policy::{self, Environment, Fate, Policy, reference};
use crate::scan::{Inventory, Sift};
use crate::time::{Now, Stamp};

/// Choices, read from the front; at the end the first choice is always taken.
struct Tape<'a>(&'a [u8]);

impl Tape<'_> {
    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % count
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn chance(&mut self, in_eight: usize) -> bool {
        self.below(8) < in_eight
    }
}

const NOW: &str = "2026-03-10T12:00:00Z";

const DIRECTORIES: [&str; 6] = ["A", "BB", "c", "runs/r1", "runs/r2", "runs/r1/deep"];
const NAMES: [&str; 6] = [
    "1_2026-03-01.png",
    "2_2026-02-15.png",
    "10_2025-12-31.log",
    "010_2026-02-30.png",
    "x.tmp",
    "1.2.0.zip",
];

/// Templates, with the captures that statements may name and what they hold.
const TEMPLATES: [(&str, &[(&str, &str)]); 10] = [
    ("**", &[]),
    ("**/*.png", &[]),
    (
        "{s:sym}/{n:num}_{d:dated}.png",
        &[("s", "text"), ("n", "number"), ("d", "date")],
    ),
    (
        "{s}/{n:num}_{d:dated}.*",
        &[("s", "text"), ("n", "number"), ("d", "date")],
    ),
    ("{s}/{v:ver}.zip", &[("s", "text"), ("v", "version")]),
    ("runs/{r}/**", &[("r", "text")]),
    ("{s}/*", &[("s", "text")]),
    ("?/*_*", &[]),
    ("runs/{r}/", &[("r", "text")]),
    ("{s:sym}/", &[("s", "text")]),
];

const SPANS: [&str; 6] = ["1 day", "3 days", "1 hour", "1 month", "2 weeks", "1 year"];
const SIZES: [&str; 5] = ["1 kB", "3 kB", "5 kB", "10 kB", "20 kB"];

/// Kinds of statements that compare files, as `member_of_kind` numbers them.
const BUDGETS: [usize; 2] = [7, 8];
const FLOORS: [usize; 2] = [5, 6];
const FLOORS_AND_BUDGETS: [usize; 4] = [5, 6, 7, 8];

type Captures = &'static [(&'static str, &'static str)];

/// A policy in the language.
fn policy_text(tape: &mut Tape<'_>) -> Vec<String> {
    let zone = tape.one(&["UTC", "America/New_York", "Europe/Berlin"]);
    let mut statements = vec![
        format!("timezone \"{zone}\""),
        "type sym = text matching \"[A-Z]+\"".to_owned(),
        "type num = number".to_owned(),
        "type ver = semver".to_owned(),
        "type dated = date \"%Y-%m-%d\"".to_owned(),
    ];
    let collections = 1 + tape.below(3);
    for number in 0..collections {
        let (template, captures) = tape.one(&TEMPLATES);
        let unit = template.ends_with('/');
        let dated = captures.iter().any(|(_, kind)| *kind == "date");
        let clock = match tape.below(6) {
            0 => "last modified or changed",
            1 => "last accessed",
            2 => "created",
            3 if dated => "{d}",
            _ => "last modified",
        };
        let mut members = vec![format!("age is measured from {clock}")];
        for _ in 0..1 + tape.below(5) {
            members.push(member(tape, captures, unit));
        }
        let body = members.join("\n    ");
        statements.push(format!(
            "collection c{number} at \"{template}\" {{\n    {body}\n}}"
        ));
    }
    for number in 0..tape.below(3) {
        let (template, captures) = tape.one(&TEMPLATES);
        let filter = match tape.chance(3) {
            true => format!(" where {}", condition(tape, captures, Clock::None, 1)),
            false => String::new(),
        };
        statements.push(match tape.chance(4) {
            true => format!("protect \"{template}\"{filter}"),
            false => {
                let until = tape.one(&[
                    "",
                    " until 2026-03-09",
                    " until 2026-03-10",
                    " until 2026-03-10 11:00",
                ]);
                format!("hold \"h{number}\" on \"{template}\"{filter}{until}")
            }
        });
    }
    if tape.chance(2) {
        let stage = |tape: &mut Tape<'_>| {
            let order = tape.one(&[
                "oldest first",
                "largest first",
                "smallest first",
                "least recently used first",
            ]);
            let filter = tape.one(&["", " where size over 1 kB", " where older than 1 day"]);
            format!("evict from c{}{filter}, {order}", tape.below(collections))
        };
        let stages = match tape.chance(4) {
            true => format!("{} then {}", stage(tape), stage(tape)),
            false => stage(tape),
        };
        statements.push(match tape.chance(4) {
            true => format!("when disk is above 90% full, free until below 89% {{ {stages} }}"),
            false => format!(
                "when store is above {}, free until below {} {{ {stages} }}",
                tape.one(&["5 kB", "10 kB", "30 kB"]),
                tape.one(&["4 kB", "5 kB", "2 kB"]),
            ),
        });
    }
    statements.push("stop never".to_owned());
    statements
}

#[derive(Clone, Copy, PartialEq)]
enum Clock {
    Collection,
    None,
}

fn member(tape: &mut Tape<'_>, captures: Captures, unit: bool) -> String {
    let kind = tape.below(if unit { 9 } else { 10 });
    member_of_kind(tape, captures, kind)
}

fn member_of_kind(tape: &mut Tape<'_>, captures: Captures, kind: usize) -> String {
    let per = |tape: &mut Tape<'_>| match captures {
        [(one, _), ..] if tape.chance(4) => format!(" per {{{one}}}"),
        _ => String::new(),
    };
    let filter = |tape: &mut Tape<'_>| match tape.chance(3) {
        true => format!(" where {}", condition(tape, captures, Clock::Collection, 1)),
        false => String::new(),
    };
    match kind {
        0 => "delete always".to_owned(),
        1 | 2 => format!(
            "delete when {}",
            condition(tape, captures, Clock::Collection, 2)
        ),
        3 => format!(
            "keep when {}",
            condition(tape, captures, Clock::Collection, 2)
        ),
        4 => format!("keep for {}{}", tape.one(&SPANS), filter(tape)),
        5 => format!(
            "keep newest {}{}{}",
            1 + tape.below(3),
            per(tape),
            filter(tape)
        ),
        6 => {
            let slot = |tape: &mut Tape<'_>, word: &str| format!("{} {word}", 1 + tape.below(3));
            let words = tape.one(&[
                ["hourly", "daily"],
                ["daily", "weekly"],
                ["weekly", "monthly"],
                ["quarterly", "yearly"],
                ["daily", "monthly"],
            ]);
            let slots = words.map(|word| slot(tape, word)).join(", ");
            format!("keep {slots}{}", per(tape))
        }
        7 => {
            let order = order(tape, captures);
            let down = tape.one(&["", ", down to 50%", ", down to 1 kB"]);
            format!(
                "limit total size to {}{}{}, evicting {order}{down}",
                tape.one(&SIZES),
                per(tape),
                filter(tape)
            )
        }
        8 => {
            let order = order(tape, captures);
            format!(
                "limit count to {}{}{}, evicting {order}",
                1 + tape.below(4),
                per(tape),
                filter(tape)
            )
        }
        _ => format!(
            "replace when {}, using compress",
            condition(tape, captures, Clock::Collection, 1)
        ),
    }
}

/// A policy of budgets and floors, mostly several of them over the same files.
fn groups_text(tape: &mut Tape<'_>, kinds: &[usize]) -> Vec<String> {
    let mut statements = vec![
        "timezone \"UTC\"".to_owned(),
        "type sym = text matching \"[A-Z]+\"".to_owned(),
    ];
    for number in 0..1 + tape.below(2) {
        let (template, captures): (&str, Captures) = tape.one(&[
            ("**", &[]),
            ("{s}/*", &[("s", "text")]),
            ("{s:sym}/*", &[("s", "text")]),
        ]);
        let mut members = vec!["age is measured from last modified".to_owned()];
        for _ in 0..1 + tape.below(3) {
            let kind = tape.one(kinds);
            members.push(member_of_kind(tape, captures, kind));
        }
        members.extend(
            tape.chance(2)
                .then(|| "keep when size over 3 kB".to_owned()),
        );
        let delete = tape.one(&["", "delete when older than 1 month", "delete always"]);
        members.push(delete.to_owned());
        let body = members.join("\n    ");
        statements.push(format!(
            "collection c{number} at \"{template}\" {{\n    {body}\n}}"
        ));
    }
    statements.push("stop never".to_owned());
    statements
}

/// A tree of files that budgets may take without knowing others, but for a few.
fn plain_tree(tape: &mut Tape<'_>) -> Vec<Entry> {
    let mut entries = tree(tape);
    for (number, entry) in (0..).zip(&mut entries) {
        if tape.below(32) == 31 {
            continue;
        }
        let mut facts = facts(tape, number);
        let past = |stamp: Stamp| stamp.min(now().stamp());
        facts.modified = past(facts.modified);
        facts.changed = past(facts.changed);
        facts.accessed = past(facts.accessed);
        facts.created = facts.created.map(past);
        facts.links = 1;
        facts.id.inode = 1_000 + number;
        entry.facts = Ok(facts);
    }
    entries
}

fn order(tape: &mut Tape<'_>, captures: Captures) -> String {
    match tape.below(5) {
        1 => "largest first".to_owned(),
        2 => "smallest first".to_owned(),
        3 => "least recently used first".to_owned(),
        4 if !captures.is_empty() => format!("lowest {{{}}} first", tape.one(captures).0),
        _ => "oldest first".to_owned(),
    }
}

fn condition(tape: &mut Tape<'_>, captures: Captures, clock: Clock, depth: usize) -> String {
    if depth > 0 && tape.chance(3) {
        let word = tape.one(&["and", "or"]);
        let parts: Vec<String> = (0..2 + tape.below(2))
            .map(|_| format!("({})", condition(tape, captures, clock, depth - 1)))
            .collect();
        return parts.join(&format!(" {word} "));
    }
    let not = tape.one(&["", "", "", "not "]);
    let capture = |tape: &mut Tape<'_>, kind: &str| {
        let of_kind: Vec<&str> = captures
            .iter()
            .filter(|(_, k)| *k == kind)
            .map(|(name, _)| *name)
            .collect();
        (!of_kind.is_empty()).then(|| tape.one(&of_kind))
    };
    let stamp = tape.one(&["modified", "accessed", "created"]);
    let date = tape.one(&["2026-03-01", "2026-03-09 12:00", "2025-12-31"]);
    let test = match tape.below(14) {
        0 | 1 if clock == Clock::Collection => format!("older than {}", tape.one(&SPANS)),
        2 if clock == Clock::Collection => format!("newer than {}", tape.one(&SPANS)),
        3 => format!("{stamp} more than {} ago", tape.one(&SPANS)),
        4 => format!("{stamp} within {}", tape.one(&SPANS)),
        5 => format!("{stamp} before {date}"),
        6 => format!("{stamp} after {date}"),
        7 => format!("owner is {}", tape.one(&["0", "1000"])),
        8 => match capture(tape, "text") {
            Some(name) => match tape.below(4) {
                0 => format!("{{{name}}} is \"A\""),
                1 => format!("{{{name}}} is not \"BB\""),
                2 => format!("{{{name}}} in [\"A\", \"c\", \"r1\"]"),
                _ => format!("{{{name}}} matches \"?\""),
            },
            None => "path matches \"**/*.png\"".to_owned(),
        },
        9 => match capture(tape, "number") {
            Some(name) => format!(
                "{{{name}}} {} {}",
                tape.one(&["over", "under"]),
                tape.one(&["2", "10"])
            ),
            None => "name is \"x.tmp\"".to_owned(),
        },
        10 => match capture(tape, "date") {
            Some(name) => format!("{{{name}}} {} 2026-02-15", tape.one(&["before", "after"])),
            None => "path matches \"runs/**\"".to_owned(),
        },
        11 => match capture(tape, "version") {
            Some(name) => format!("{{{name}}} {} 1.10.0", tape.one(&["over", "under"])),
            None => "group is 1000".to_owned(),
        },
        _ => format!(
            "size {} {}",
            tape.one(&["over", "under", "at least", "at most"]),
            tape.one(&SIZES)
        ),
    };
    format!("{not}{test}")
}

/// A tree, in path order. Stamps fall on whole hours so that some meet exactly.
fn tree(tape: &mut Tape<'_>) -> Vec<Entry> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    for _ in 0..tape.below(24) {
        let path = format!("{}/{}", tape.one(&DIRECTORIES), tape.one(&NAMES));
        let facts = facts(tape, entries.len() as u64);
        let facts = match tape.below(16) {
            15 => Err(Unreadable {
                reason: "permission denied".to_owned(),
            }),
            _ => Ok(facts),
        };
        let entry = Entry {
            path: RelPath::parse(&path).unwrap(),
            facts,
        };
        entries.insert(path, entry);
    }
    let mut entries: Vec<Entry> = entries.into_values().collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

fn facts(tape: &mut Tape<'_>, number: u64) -> Facts {
    let stamp = |tape: &mut Tape<'_>| {
        let hours = tape.one(&[
            0,
            1,
            2,
            23,
            24,
            25,
            48,
            71,
            72,
            73,
            24 * 20,
            24 * 40,
            24 * 400,
            24 * 8,
            24 * 27,
            24 * 29,
        ]);
        let stamp = now().stamp().minus_seconds(hours * 3_600);
        match tape.below(24) {
            23 => Stamp::new(now().stamp().seconds() + 3_600, 0),
            _ => stamp,
        }
    };
    let size = tape.one(&[0, 1_000, 2_000, 3_000, 5_000, 5_001]);
    let linked = tape.below(10) == 9;
    Facts {
        kind: Kind::File,
        id: FileId {
            device: 1,
            inode: if linked { 1 } else { 100 + number },
        },
        size,
        allocated: size,
        modified: stamp(tape),
        changed: stamp(tape),
        accessed: stamp(tape),
        created: match tape.below(6) {
            5 => None,
            _ => Some(stamp(tape)),
        },
        links: if linked { 2 } else { 1 },
        mode: 0o100_644,
        owner: tape.one(&[0, 1000]),
        group: tape.one(&[0, 1000]),
    }
}

fn now() -> Now {
    Now::at(NOW.parse::<Timestamp>().unwrap())
}

fn load(statements: &[String]) -> Option<(Source, Policy)> {
    let text = format!("edition 2026\n{}\n", statements.join("\n"));
    let source = Source::new("made-up.retain", text);
    match policy::load(&source, Environment::nothing()) {
        Ok(checked) => Some((source, checked.policy)),
        Err(findings) => {
            // Only contradictions between statements that are sound alone.
            let expected = ["R0320", "R0321", "R0322", "R0371"];
            let all = findings
                .0
                .iter()
                .filter(|f| f.severity() == crate::diagnostic::Severity::Error);
            for finding in all {
                assert!(
                    expected.contains(&finding.code()),
                    "{}\n{}",
                    source.text(),
                    finding.render(crate::diagnostic::Look::Plain)
                );
            }
            None
        }
    }
}

const DISK: Disk = Disk {
    used: 91_000,
    available: 9_000,
};

fn planned(policy: &Policy, entries: &[Entry]) -> Plan {
    let inventory = Inventory::of_entries(entries.to_vec());
    planned_from(policy, &inventory, Passed::default())
}

/// The same from the files alone that a sieve keeps; the others are counted in two parts,
/// as two threads do.
fn sifted(policy: &Policy, entries: &[Entry]) -> Plan {
    sifted_by(policy, entries, None).0
}

fn sifted_by(policy: &Policy, entries: &[Entry], counting: Option<&[String]>) -> (Plan, Census) {
    let mut inventory = Inventory::of_entries(entries.to_vec());
    let now = now();
    let matcher = policy::Matcher::new(policy, &now);
    let sieve = Sieve::new(
        matcher,
        Default::default(),
        Default::default(),
        Default::default(),
    );
    let sieve = match counting {
        Some(by) => sieve.counting(Some(by)),
        None => sieve,
    };
    let mut parts = [Passed::default(), Passed::default()];
    let mut turn = 0;
    let directory = facts(&mut Tape(&[]), 0);
    inventory.entries.retain(|entry| {
        turn += 1;
        let part = &mut parts[turn % 2];
        let kind = entry.facts.as_ref().map_or(Kind::File, |facts| facts.kind);
        let told = turn % 3 > 0;
        let directory_of = entry.path.parent().expect("it lies in one");
        assert_eq!(sieve.begin(&directory_of, &directory, part), None);
        let mut place = None;
        let passes = told && sieve.passes(&entry.path, kind, &mut place, part);
        let kept = !passes && sieve.keeps(entry, place, part);
        sieve.end(&directory_of, &directory, None, part);
        kept
    });
    let mut passed = Passed::all(parts);
    let back = sieve.bring_back(&mut passed).unwrap();
    inventory.entries.extend(back);
    inventory.entries.sort_by(|a, b| a.path.cmp(&b.path));
    let census = passed.take_census();
    (planned_from(policy, &inventory, passed), census)
}

#[test]
fn of_what_was_laid_aside_and_is_lost_nothing_goes() {
    for statement in [
        "limit count to 100, evicting oldest first",
        "limit count to 100, evicting lowest {s} first",
        "keep newest 100\ndelete always",
    ] {
        let text = format!(
            "collection c at \"{{s}}/*\" {{\nage is measured from last modified\n{statement}\n}}"
        );
        let (_, policy) = load(&[text, "stop never".to_owned()]).unwrap();
        let now = now();
        let place = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::beyond(0, place.path().to_owned()));
        let walked = || {
            let matcher = policy::Matcher::new(&policy, &now);
            let none = (Default::default(), Default::default(), Default::default());
            let sieve = Sieve::new(matcher, none.0, none.1, none.2).spooling(Arc::clone(&spool));
            let mut passed = Passed::default();
            for number in 0..600 {
                let path = RelPath::parse(format!("a/{number:04}")).unwrap();
                let facts = Ok(facts(&mut Tape(&[]), number));
                assert!(!sieve.keeps(&Entry { path, facts }, None, &mut passed));
            }
            (sieve, passed)
        };
        let (sieve, mut passed) = walked();
        let back = sieve.bring_back(&mut passed).unwrap().len();
        assert!(passed.steps.in_order().len() + back >= 500, "{statement}");

        let (sieve, mut passed) = walked();
        spool.lose(1_000);
        assert!(sieve.bring_back(&mut passed).is_err(), "{statement}");
        assert!(passed.steps.in_order().is_empty(), "{statement}");
    }
}

/// More files than one thread is given, in directories of which many are one group.
fn many_files() -> Vec<Entry> {
    let bytes: Vec<u8> = (0..30_000u32)
        .flat_map(|n| (n * 7919).to_le_bytes())
        .collect();
    let mut tape = Tape(&bytes);
    let mut entries = Vec::new();
    for number in 0..20_000 {
        let mut facts = facts(&mut tape, number);
        facts.modified = facts.modified.min(now().stamp());
        facts.links = 1;
        facts.id.inode = number;
        let place = format!("{:03}/{}/{number:05}", number / 40, number % 3);
        entries.push(Entry {
            path: RelPath::parse(place).unwrap(),
            facts: Ok(facts),
        });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

#[test]
fn groups_that_several_threads_find_are_one() {
    let entries = many_files();
    for statements in [
        "keep newest 3 per {s}\nkeep newest 2 per {t}\ndelete when older than 1 day",
        "keep 2 daily, 1 yearly per {t}\nkeep newest 1 where size over 3 kB\ndelete always",
        "keep newest 3 per {s}\nlimit count to 10 per {s}, evicting oldest first\n\
         limit total size to 9 MB, evicting largest first\ndelete when older than 2 weeks",
    ] {
        let text = format!(
            "collection c at \"{{s}}/{{t}}/*\" {{\nage is measured from last modified\n{statements}\n}}"
        );
        let head = ["timezone \"UTC\"", "stop never"].map(str::to_owned);
        let (_, policy) = load(&[&head[..], &[text]].concat()).unwrap();
        let now = now();
        let matcher = policy::Matcher::new(&policy, &now);
        let none = (Default::default(), Default::default(), Default::default());
        let sieve = Sieve::new(matcher, none.0, none.1, none.2);
        let mut passed = Passed::default();
        assert!(
            !entries
                .iter()
                .any(|entry| sieve.keeps(entry, None, &mut passed))
        );
        assert_eq!(sieve.bring_back(&mut passed).unwrap(), []);
        let plan = planned_from(&policy, &Inventory::default(), passed);
        let whole = planned(&policy, &entries);
        assert!(plan.steps.len() > 1_000 && plan.floors.len() > 1);
        assert!(plan == whole, "{statements}");
    }
}

fn planned_from(policy: &Policy, inventory: &Inventory, passed: Passed) -> Plan {
    let ask = Ask {
        store: "s".to_owned(),
        root: String::new(),
        now: now(),
        disk: Some(DISK),
        basis: Default::default(),
        ledger: Vec::new(),
        held: Default::default(),
        symlinks: Default::default(),
        notices: Vec::new(),
        passed,
    };
    plan(policy, inventory, ask)
}

fn fates(plan: &Plan) -> BTreeMap<String, Fate> {
    let steps = plan.steps.iter();
    steps
        .filter_map(|step| {
            let fate = match step.action {
                Action::Remove => Fate::Delete,
                Action::Replace { .. } => Fate::Replace,
                // It stays, as the reference has it.
                Action::BackUp => return None,
            };
            Some((step.path.as_str().unwrap().to_owned(), fate))
        })
        .collect()
}

fn deleted(plan: &Plan) -> BTreeSet<String> {
    let all = fates(plan).into_iter();
    all.filter(|(_, fate)| *fate == Fate::Delete)
        .map(|(path, _)| path)
        .collect()
}

/// The same statements in another order, `before delete` and `then` aside.
fn shuffled(statements: &[String], tape: &mut Tape<'_>) -> Vec<String> {
    let mut shuffled = statements.to_vec();
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, tape.below(at + 1));
    }
    let collections = shuffled.iter_mut().filter(|s| s.starts_with("collection"));
    for collection in collections {
        let mut lines: Vec<String> = collection.lines().map(str::to_owned).collect();
        let last = lines.len() - 1;
        for at in (2..last).rev() {
            lines.swap(at, 1 + tape.below(at));
        }
        *collection = lines.join("\n");
    }
    shuffled
}

/// A collection with one statement more.
fn with_statement(statement: &str, more: &str) -> String {
    match statement.strip_suffix('}') {
        Some(begin) if statement.starts_with("collection") => format!("{begin}    {more}\n}}"),
        Some(_) | None => statement.to_owned(),
    }
}

fn tape() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..400)
}

/// As many cases as `PROPTEST_CASES` says, else the library's 256.
fn cases() -> ProptestConfig {
    ProptestConfig {
        max_global_rejects: 1_000_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_planner_decides_what_the_language_read_aloud_does(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let statements = policy_text(&mut tape);
        let Some((source, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = tree(&mut tape);
        let world = reference::World {
            entries: &entries,
            now: now().zoned(&policy.zone()),
            disk: Some((DISK.used, DISK.available)),
        };
        let expected = reference::decide(&policy::tree(&source), world);
        let plan = planned(&policy, &entries);
        prop_assert_eq!(fates(&plan), expected, "{}\n{:#?}", source.text(), entries);

        // A plan read back from its document is the plan.
        let again = Plan::from_json(&plan.to_json()).unwrap();
        prop_assert_eq!(&again, &plan);
    }

    #[test]
    fn what_a_plan_does_not_remember_changes_nothing_in_it(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let mut statements = policy_text(&mut tape);
        for statement in &mut statements {
            let more = tape.one(&[
                "",
                "delete empty directories when older than 1 hour",
                "stop if a run would delete more than 10% of files",
            ]);
            *statement = with_statement(statement, more);
        }
        // Instead of `stop never`.
        if tape.below(2) == 1 {
            let last = statements.last_mut().expect("it ends so");
            *last = tape.one(&["", "stop if a run would delete more than 20% of files"]).to_owned();
        }
        let Some((source, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let mut entries = tree(&mut tape);
        for entry in &mut entries {
            if let (Ok(facts), 7) = (&mut entry.facts, tape.below(8)) {
                facts.kind = Kind::Symlink;
            }
        }
        let mut whole = planned(&policy, &entries);
        let plan = sifted(&policy, &entries);
        // Nobody needs to know how large it is what no statement speaks of.
        prop_assert_eq!(whole.totals.uncovered.files, plan.totals.uncovered.files);
        whole.totals.uncovered = plan.totals.uncovered;
        prop_assert_eq!(plan, whole, "{}\n{:#?}", source.text(), entries);
    }

    #[test]
    fn budgets_take_what_they_would_if_nothing_was_laid_aside(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let Some((source, policy)) = load(&groups_text(&mut tape, &BUDGETS)) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = plain_tree(&mut tape);
        let mut whole = planned(&policy, &entries);
        let plan = sifted(&policy, &entries);
        whole.totals.uncovered = plan.totals.uncovered;
        prop_assert_eq!(plan, whole, "{}\n{:#?}", source.text(), entries);
    }

    #[test]
    fn floors_hold_what_they_would_if_nothing_was_laid_aside(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let kinds = tape.one(&[&FLOORS[..], &FLOORS_AND_BUDGETS]);
        let Some((source, policy)) = load(&groups_text(&mut tape, kinds)) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = plain_tree(&mut tape);
        let mut whole = planned(&policy, &entries);
        let plan = sifted(&policy, &entries);
        whole.totals.uncovered = plan.totals.uncovered;
        prop_assert_eq!(plan, whole, "{}\n{:#?}", source.text(), entries);
    }

    #[test]
    fn a_census_is_of_all_files_whatever_is_remembered(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let statements = policy_text(&mut tape);
        let Some((source, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = tree(&mut tape);
        let captures = policy.captures().into_iter().map(str::to_owned);
        let by: Vec<String> = captures.filter(|_| tape.below(2) == 1).collect();
        let (plan, census) = sifted_by(&policy, &entries, Some(&by));
        // Every file was looked at, so that all sums are as of a plan that remembers all.
        prop_assert_eq!(&plan, &planned(&policy, &entries), "{}", source.text());

        let now = now();
        let matcher = policy::Matcher::new(&policy, &now);
        let mut groups: BTreeMap<Vec<String>, Tally> = BTreeMap::new();
        let mut grouped = BTreeSet::new();
        for (index, collection) in policy.collections.iter().enumerate() {
            let places: Option<Vec<usize>> =
                by.iter().map(|name| collection.template.capture(name)).collect();
            let mut all = Vec::new();
            let mut used: Vec<BTreeMap<Vec<String>, u64>> = vec![BTreeMap::new(); collection.limits.len()];
            for entry in &entries {
                let memberships = matcher.memberships(&entry.path);
                let place = memberships.iter().find(|place| place.collection == index);
                let (Some(place), Ok(facts)) = (place, &entry.facts) else { continue };
                if facts.kind != Kind::File {
                    continue;
                }
                all.push(*facts);
                let values = place.spans.values(entry.path.as_bytes());
                let of = |places: &[usize]| -> Vec<String> {
                    places.iter().map(|&at| values.get(at).unwrap().to_owned()).collect()
                };
                for (limit, used) in collection.limits.iter().zip(&mut used) {
                    let subject = matcher.subject(entry, place).unwrap();
                    if matcher.truth(&limit.condition, subject) == policy::Truth::True {
                        *used.entry(of(&limit.per)).or_default() += match limit.measure {
                            policy::Measure::Count => 1,
                            policy::Measure::TotalSize => facts.allocated,
                        };
                    }
                }
                if let Some(places) = &places
                    && grouped.insert(entry.path.clone())
                {
                    groups.entry(of(places)).or_default().add(facts);
                }
            }
            let sum = census.of_collection(index);
            prop_assert_eq!(sum.map_or(0, |sum| sum.tally.files), all.len() as u64);
            prop_assert_eq!(sum.map(|sum| sum.oldest), all.iter().map(|facts| facts.modified).min());
            prop_assert_eq!(sum.map(|sum| sum.newest), all.iter().map(|facts| facts.modified).max());
            for (limit, used) in used.into_iter().enumerate() {
                let owned = |group: &Group| group.values().map(str::to_owned).collect();
                let counted = census.of_limit(index, limit).map(|(values, used)| (owned(values), used));
                prop_assert_eq!(counted.collect::<BTreeMap<Vec<String>, u64>>(), used);
            }
        }
        let counted = census.groups().map(|(values, sum)| {
            (values.values().map(str::to_owned).collect(), sum.tally)
        });
        prop_assert_eq!(counted.collect::<BTreeMap<Vec<String>, Tally>>(), groups);
    }

    #[test]
    fn the_order_of_statements_decides_nothing(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let statements = policy_text(&mut tape);
        let Some((_, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = tree(&mut tape);
        let other = shuffled(&statements, &mut tape);
        let (source, shuffled) = load(&other).expect("as sound as before");
        prop_assert_eq!(
            fates(&planned(&policy, &entries)),
            fates(&planned(&shuffled, &entries)),
            "{}", source.text()
        );
    }

    #[test]
    fn a_protection_more_never_lets_delete_take_more(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let mut statements = policy_text(&mut tape);
        // Budgets may turn to other files when one is protected; `delete` must not.
        statements.retain(|statement| !statement.starts_with("when"));
        for statement in &mut statements {
            let lines = statement.lines().filter(|line| !line.trim_start().starts_with("limit"));
            *statement = lines.collect::<Vec<_>>().join("\n");
        }
        let entries = tree(&mut tape);
        let (_, policy) = load(&statements).expect("sound");
        let before = deleted(&planned(&policy, &entries));
        let (template, captures) = tape.one(&TEMPLATES);
        let filter = condition(&mut tape, captures, Clock::None, 1);
        statements.push(format!("protect \"{template}\" where {filter}"));
        let (source, policy) = load(&statements).expect("sound");
        let after = deleted(&planned(&policy, &entries));
        prop_assert!(after.is_subset(&before), "{}\n{:?}", source.text(), after.difference(&before));
    }

    #[test]
    fn what_cannot_be_read_never_lets_delete_take_more(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let mut statements = policy_text(&mut tape);
        statements.retain(|statement| !statement.starts_with("when"));
        for statement in &mut statements {
            // A floor turns to the next file when one cannot be dated.
            let lines = statement.lines().filter(|line| {
                let line = line.trim_start();
                let floor = line.starts_with("keep ") && !line.starts_with("keep when") && !line.starts_with("keep for");
                !line.starts_with("limit") && !floor
            });
            *statement = lines.collect::<Vec<_>>().join("\n");
        }
        let (source, policy) = load(&statements).expect("sound");
        let mut entries = tree(&mut tape);
        let before = deleted(&planned(&policy, &entries));
        if !entries.is_empty() {
            let at = tape.below(entries.len());
            entries[at].facts = Err(Unreadable { reason: "permission denied".to_owned() });
        }
        let after = deleted(&planned(&policy, &entries));
        prop_assert!(after.is_subset(&before), "{}\n{:?}", source.text(), after.difference(&before));
    }

    #[test]
    fn pruning_hides_no_match(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let Some((source, policy)) = load(&policy_text(&mut tape)) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let now = now();
        let matcher = policy::Matcher::new(&policy, &now);
        for directory in DIRECTORIES {
            for name in NAMES {
                let path = RelPath::parse(format!("{directory}/{name}")).unwrap();
                let named = !matcher.memberships(&path).is_empty() || matcher.lies_in_unit(&path);
                let mut above = path.parent();
                while let Some(directory) = above {
                    let hidden = matcher.visit(&directory) == crate::entry::Visit::Nothing;
                    prop_assert!(!(named && hidden), "{} hides {path}\n{}", directory, source.text());
                    above = directory.parent();
                }
            }
        }
    }
}
