//! Shipped policies planned over a table of files, each line with the fate it expects.

use std::path::{Path, PathBuf};

use retain::diagnostic::{Look, Source};
use retain::entry::{Entry, Facts, FileId, Kind};
use retain::path::RelPath;
use retain::plan::{Ask, Passed, Plan};
use retain::policy::Policy;
use retain::scan::Inventory;
use retain::time::{Now, Stamp};
use retain::units::{Size, Span};

/// A file below the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A shipped policy; it must load without an error or a warning.
pub(crate) fn policy(path: &str, environment: &[(&str, &str)]) -> Policy {
    let text = std::fs::read_to_string(repository(path)).unwrap();
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, _)| *known == name);
        Ok(found.map(|(_, value)| (*value).to_owned()))
    };
    let world = retain::policy::Environment {
        variable: &variable,
        ..retain::policy::Environment::nothing()
    };
    match retain::policy::load(&Source::new(path, text), world) {
        Ok(checked) => {
            assert_eq!(checked.warnings.0.len(), 0, "{}", checked.warnings);
            checked.policy
        }
        Err(findings) => {
            let rendered: Vec<_> = findings.0.iter().map(|f| f.render(Look::Plain)).collect();
            panic!("{}", rendered.join("\n"));
        }
    }
}

/// Plans over a table and compares each file's fate with the one written.
///
/// A line is `goes | stays`, path, age, size, and, where it matters, the time since
/// the file was last read; columns are divided by `|`. Both clocks have the age.
#[track_caller]
pub(crate) fn check(policy: &Policy, table: &str) -> Plan {
    let mut lines: Vec<Line> = table.lines().filter_map(Line::read).collect();
    lines.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
    let entries: Vec<Entry> = lines.iter().map(|line| line.entry.clone()).collect();
    let plan = retain::plan::plan(policy, &Inventory::of_entries(entries), ask());
    let planned: Vec<String> = lines
        .iter()
        .map(|line| {
            let step = plan.steps.iter().find(|step| {
                step.path == line.entry.path && step.action != retain::plan::Action::BackUp
            });
            format!("{} {}", fate(step.is_some()), line.entry.path)
        })
        .collect();
    let wanted: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {}", line.fate, line.entry.path))
        .collect();
    assert_eq!(planned, wanted);
    plan
}

fn fate(removed: bool) -> &'static str {
    if removed { "goes" } else { "stays" }
}

fn ask() -> Ask {
    Ask {
        store: "store".to_owned(),
        root: "root".to_owned(),
        now: now(),
        basis: std::collections::BTreeMap::new(),
        disk: None,
        ledger: Vec::new(),
        held: Default::default(),
        symlinks: Default::default(),
        notices: Vec::new(),
        passed: Passed::default(),
    }
}

fn now() -> Now {
    Now::at("2026-03-10T12:00:00Z".parse().unwrap())
}

struct Line {
    fate: String,
    entry: Entry,
}

impl Line {
    fn read(line: &str) -> Option<Line> {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [fate, path, age, size, unread @ ..] = columns.as_slice() else {
            assert!(line.trim().is_empty(), "no line of a table: `{line}`");
            return None;
        };
        let modified = before_now(age);
        let accessed = unread.first().map_or(modified, |age| before_now(age));
        let entry = Entry {
            path: RelPath::parse(path).unwrap(),
            facts: Ok(file(Size::parse(size).unwrap().0, modified, accessed)),
        };
        Some(Line {
            fate: (*fate).to_owned(),
            entry,
        })
    }
}

fn before_now(age: &str) -> Stamp {
    match Span::parse(age).unwrap() {
        Span::Exact(seconds) => now().stamp().minus_seconds(seconds),
        Span::Months(_) => panic!("a table counts in days"),
    }
}

fn file(size: u64, modified: Stamp, accessed: Stamp) -> Facts {
    Facts {
        kind: Kind::File,
        id: FileId {
            device: 1,
            inode: 1,
        },
        size,
        allocated: size,
        modified,
        changed: modified,
        accessed,
        created: Some(modified),
        links: 1,
        mode: 0o100_644,
        owner: 1000,
        group: 1000,
    }
}
