//! Deciding about a file takes no memory of its own: there may be millions of them.

use retain::diagnostic::Source;
use retain::entry::{Entry, Facts, FileId, Kind};
use retain::path::RelPath;
use retain::policy::{Environment, Matcher, Verdict, load};
use retain::time::{Now, Stamp};

const POLICY: &str = r#"edition 2026
type ticker = text matching "[A-Z]{1,5}([.-][A-Z])?"
type interval = one of "1h", "1d", "1wk"
type stamp = date "%Y-%m-%d"
timezone "UTC"
protect "**/keep.png"
collection charts at "{symbol: ticker}_{interval: interval}/{name}.png" {
    age is measured from last modified
    delete when older than 7 days and size over 1 KB
    delete when older than 30 days
    keep for 400 days where {symbol} is "AAPL"
    keep for 90 days where {symbol} is "MSFT"
}
collection logs at "logs/{on: stamp}.log" {
    age is measured from {on}
    delete when older than 30 days
}
"#;

fn entry(path: &str, days: i64) -> Entry {
    let stamp = Stamp::new(1_772_000_000 - days * 86_400, 0);
    Entry {
        path: RelPath::parse(path).unwrap(),
        facts: Ok(Facts {
            kind: Kind::File,
            id: FileId {
                device: 1,
                inode: 1,
            },
            size: 3_000,
            allocated: 4_096,
            modified: stamp,
            changed: stamp,
            accessed: stamp,
            created: None,
            links: 1,
            mode: 0o100_644,
            owner: 0,
            group: 0,
        }),
    }
}

#[test]
fn deciding_about_a_file_allocates_nothing() {
    let source = Source::new("p.retain", POLICY);
    let policy = load(&source, Environment::nothing());
    let policy = policy.unwrap_or_else(|error| panic!("{error:?}")).policy;
    let now = Now::at(jiff::Timestamp::new(1_772_000_000, 0).unwrap());
    let matcher = Matcher::new(&policy, &now);
    let mut entries: Vec<Entry> = Vec::new();
    for days in 0..100 {
        for symbol in ["AAPL", "MSFT", "BRK.B", "none"] {
            entries.push(entry(&format!("{symbol}_1h/chart-{days}.png"), days));
        }
        entries.push(entry(&format!("X_1d/{days}/keep.png"), days));
        entries.push(entry(
            &format!("logs/2026-01-{:02}.log", days % 31 + 1),
            days,
        ));
        entries.push(entry(&format!("elsewhere/{days}"), days));
    }
    let decide = || {
        let mut counts = [0; 3];
        for entry in &entries {
            let memberships = matcher.memberships(&entry.path);
            let at = match matcher.judge(entry, &memberships) {
                Verdict::Kept(_) => 0,
                Verdict::Doomed { .. } => 1,
                Verdict::Open => 2,
            };
            counts[at] += 1;
        }
        counts
    };
    // An automaton's scratch space is made the first time it is used.
    let first = decide();
    assert!(first.iter().all(|&count| count > 0), "{first:?}");
    let mut again = [0; 3];
    let taken = allocation_counter::measure(|| again = decide());
    assert_eq!(again, first);
    assert_eq!(taken.count_total, 0, "of {} files", entries.len());
}
