//! Policies and trees that are made up from a tape of choices.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::entry::{Entry, Facts, FileId, Kind, Unreadable};
use crate::path::RelPath;
use crate::time::{Now, Stamp};

/// Choices, read from the front; at the end the first choice is always taken.
pub(super) struct Tape<'a>(pub(super) &'a [u8]);

impl Tape<'_> {
    pub(super) fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        usize::from(*first) % count
    }

    pub(super) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(super) fn chance(&mut self, in_eight: usize) -> bool {
        self.below(8) < in_eight
    }
}

pub(super) const NOW: &str = "2026-03-10T12:00:00Z";

pub(super) const DIRECTORIES: [&str; 6] = ["A", "BB", "c", "runs/r1", "runs/r2", "runs/r1/deep"];
pub(super) const NAMES: [&str; 6] = [
    "1_2026-03-01.png",
    "2_2026-02-15.png",
    "10_2025-12-31.log",
    "010_2026-02-30.png",
    "x.tmp",
    "1.2.0.zip",
];

/// Templates, with the captures that statements may name and what they hold.
pub(super) const TEMPLATES: [(&str, &[(&str, &str)]); 10] = [
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

pub(super) const SPANS: [&str; 6] = ["1 day", "3 days", "1 hour", "1 month", "2 weeks", "1 year"];
pub(super) const SIZES: [&str; 5] = ["1 kB", "3 kB", "5 kB", "10 kB", "20 kB"];

/// Kinds of statements that compare files, as `member_of_kind` numbers them.
pub(super) const BUDGETS: [usize; 2] = [7, 8];
pub(super) const FLOORS: [usize; 2] = [5, 6];
pub(super) const FLOORS_AND_BUDGETS: [usize; 4] = [5, 6, 7, 8];

pub(super) type Captures = &'static [(&'static str, &'static str)];

/// A policy in the language.
pub(super) fn policy_text(tape: &mut Tape<'_>) -> Vec<String> {
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
pub(super) enum Clock {
    Collection,
    None,
}

pub(super) fn member(tape: &mut Tape<'_>, captures: Captures, unit: bool) -> String {
    let kind = tape.below(if unit { 9 } else { 10 });
    member_of_kind(tape, captures, kind)
}

pub(super) fn member_of_kind(tape: &mut Tape<'_>, captures: Captures, kind: usize) -> String {
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
pub(super) fn groups_text(tape: &mut Tape<'_>, kinds: &[usize]) -> Vec<String> {
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
pub(super) fn plain_tree(tape: &mut Tape<'_>) -> Vec<Entry> {
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

pub(super) fn order(tape: &mut Tape<'_>, captures: Captures) -> String {
    match tape.below(5) {
        1 => "largest first".to_owned(),
        2 => "smallest first".to_owned(),
        3 => "least recently used first".to_owned(),
        4 if !captures.is_empty() => format!("lowest {{{}}} first", tape.one(captures).0),
        _ => "oldest first".to_owned(),
    }
}

pub(super) fn condition(
    tape: &mut Tape<'_>,
    captures: Captures,
    clock: Clock,
    depth: usize,
) -> String {
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
pub(super) fn tree(tape: &mut Tape<'_>) -> Vec<Entry> {
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

pub(super) fn facts(tape: &mut Tape<'_>, number: u64) -> Facts {
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

pub(super) fn now() -> Now {
    Now::at(NOW.parse::<Timestamp>().unwrap())
}

/// More files than one thread is given, in directories of which many are one group.
pub(super) fn many_files() -> Vec<Entry> {
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

/// The same statements in another order, `before delete` and `then` aside.
pub(super) fn shuffled(statements: &[String], tape: &mut Tape<'_>) -> Vec<String> {
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
pub(super) fn with_statement(statement: &str, more: &str) -> String {
    match statement.strip_suffix('}') {
        Some(begin) if statement.starts_with("collection") => format!("{begin}    {more}\n}}"),
        Some(_) | None => statement.to_owned(),
    }
}
