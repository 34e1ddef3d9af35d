//! What the journal costs: the same files removed with it and without.
//!
//! `cargo bench --bench journal -- 100000 /directory 5` makes its files there, takes
//! turns so many times, and prints medians. No bound is asserted; the target is a tenth.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use retain::entry::Facts;
use retain::journal::{Intent, Journal, Outcome, RunId, Start, State};
use retain::path::RelPath;
use retain::plan::{Ask, Passed, Plan, plan};
use retain::store::{End, Head, Removal, Root, Trashed};
use retain::time::Now;

const PER_DIRECTORY: usize = 500;
/// As a run's own.
const BATCH: usize = 16_384;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|text| !text.starts_with("--"));
    let files = arguments
        .next()
        .map_or(20_000, |text| text.parse().unwrap());
    let place = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let rounds = arguments.next().map_or(5, |text| text.parse().unwrap());
    let (mut without, mut with, mut kept, mut undone) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        without.push(measure(&place, files, None, End::Unlink).0);
        with.push(measure(&place, files, Some(()), End::Unlink).0);
        let (trashed, back) = measure(&place, files, Some(()), End::Keep);
        kept.push(trashed);
        undone.push(back);
    }
    let seconds = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (without, with) = (seconds(without), seconds(with));
    println!("{files} files in {}, median of {rounds}", place.display());
    println!("verified removal without journal  {without:.3} s");
    println!(
        "verified removal with journal     {with:.3} s  ({:.2} x)",
        with / without
    );
    println!("into the trash, with journal      {:.3} s", seconds(kept));
    println!("back from the trash               {:.3} s", seconds(undone));
}

fn make(store: &Path, files: usize) {
    for n in 0..files {
        let directory = store.join(format!("d{:04}", n / PER_DIRECTORY));
        if n % PER_DIRECTORY == 0 {
            fs::create_dir_all(&directory).unwrap();
        }
        fs::write(directory.join(format!("file-{n:08}.png")), b"x").unwrap();
    }
}

fn nothing(now: &Now) -> Plan {
    let source = retain::diagnostic::Source::new(
        "p.retain",
        "edition 2026\ncollection all at \"**\" {\ndelete always\n}\n",
    );
    let policy = retain::policy::load(&source, retain::policy::Environment::nothing())
        .unwrap()
        .policy;
    let ask = Ask {
        store: "bench".to_owned(),
        root: String::new(),
        now: now.clone(),
        basis: std::collections::BTreeMap::new(),
        disk: None,
        ledger: Vec::new(),
        held: Default::default(),
        symlinks: Default::default(),
        notices: Vec::new(),
        passed: Passed::default(),
    };
    plan(&policy, &retain::scan::Inventory::default(), ask)
}

fn measure(place: &Path, files: usize, journal: Option<()>, end: End) -> (Duration, Duration) {
    let directory = tempfile::tempdir_in(place).unwrap();
    let store = directory.path().join("store");
    fs::create_dir(&store).unwrap();
    make(&store, files);
    let root = Root::open(&store).unwrap();
    let planned: Vec<(RelPath, Facts)> = walkdir::WalkDir::new(&store)
        .sort_by_file_name()
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let below = entry.path().strip_prefix(&store).unwrap();
            let path = RelPath::parse(below.as_os_str().as_encoded_bytes()).unwrap();
            let facts = root.stat(&path).unwrap();
            (path, facts)
        })
        .collect();
    let now = Now::from_clock();
    let id = RunId::new(&now).unwrap();
    let plan = nothing(&now);
    let at = now.timestamp().to_string();
    let trash = root.establish_trash(id.as_str()).unwrap();
    let began = Instant::now();
    let mut journal = journal.map(|()| Journal::open(&directory.path().join("state")).unwrap());
    if let Some(journal) = &mut journal {
        let start = Start {
            id: &id,
            plan: &plan,
            digest: plan.digest(),
            root: "root",
            root_path: &store,
            at: at.clone(),
            found: None,
        };
        journal.begin(&start).unwrap();
    }
    let mut index = (end == End::Keep).then(|| {
        let head = Head::new(id.as_str(), "bench", at.clone(), at.clone());
        trash.begin_index(&head).unwrap()
    });
    for batch in planned.chunks(BATCH) {
        let intents: Vec<Intent> = batch
            .iter()
            .map(|(path, facts)| Intent {
                path: path.clone(),
                facts: *facts,
                rule: 0,
            })
            .collect();
        let entered = journal
            .as_mut()
            .map(|journal| journal.intend(&id, &intents).unwrap());
        if let Some(index) = &mut index {
            index.note(&root, &trashed(batch)).unwrap();
        }
        let outcomes: Vec<Outcome> = batch
            .chunk_by(|(one, _), (next, _)| one.is_beside(next))
            .flat_map(|beside| {
                let files: Vec<_> = beside.iter().map(|(path, facts)| (path, facts)).collect();
                trash.remove_together(&root, &files, end)
            })
            .map(|removal| match removal {
                Removal::Removed { freed } => Outcome::Removed { freed },
                Removal::Trashed => Outcome::Trashed,
                other => unreachable!("{other:?}"),
            })
            .collect();
        if let (Some(journal), Some(entered)) = (&mut journal, entered) {
            journal.settle(entered, &outcomes).unwrap();
        }
    }
    if let Some(journal) = &mut journal {
        journal.finish(&id, &at, State::Completed).unwrap();
    }
    let removed = began.elapsed();
    let began = Instant::now();
    if let (End::Keep, Some(journal)) = (end, &mut journal) {
        let undone =
            retain::apply::undo(journal, &root, "bench", id.as_str(), &|_| true, &now).unwrap();
        assert_eq!(undone.back.len(), files);
    }
    (removed, began.elapsed())
}

fn trashed(batch: &[(RelPath, Facts)]) -> Vec<Trashed> {
    batch
        .iter()
        .map(|(path, facts)| Trashed {
            path: path.clone(),
            facts: *facts,
            members: Vec::new(),
        })
        .collect()
}
