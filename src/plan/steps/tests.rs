use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::packer::PAGE;
use super::*;
use crate::entry::{Facts, FileId, Kind};
use crate::path::RelPath;
use crate::plan::captures::Captures;
use crate::plan::{Indices, Ruling};
use crate::time::Stamp;

/// A step that differs from others by every field, as far as numbers differ.
fn step(path: &str, number: u64) -> Step {
    let of = |choices: u64| number / 7 % choices;
    let stamp = |more: i64| Stamp::new(1_700_000_000 + more * number as i64, number as u32 * 1_000);
    let names: Arc<[String]> = match of(2) {
        0 => Arc::from([]),
        _ => Arc::from(["symbol".to_owned(), "day".to_owned()]),
    };
    let values = ["AAPL".to_owned(), format!("{}", of(5))];
    let values = values.iter().map(String::as_str).take(names.len());
    Step {
        path: RelPath::parse(path).unwrap(),
        stands_for: (of(11) == 1).then(|| Box::new(RelPath::parse("a/ä\u{7f}b").unwrap())),
        facts: Facts {
            kind: match of(9) {
                0 => Kind::Symlink,
                _ => Kind::File,
            },
            id: FileId {
                device: of(2),
                inode: number,
            },
            size: number * 1_000,
            allocated: number * 4_096,
            modified: stamp(1),
            changed: stamp(-3),
            accessed: Stamp::MIN,
            created: (of(3) == 1).then(|| stamp(2)),
            links: of(3),
            mode: 0o100_644,
            owner: of(2) as u32,
            group: u32::MAX,
        },
        action: match of(5) {
            0 => Action::Replace { hook: 3 },
            1 => Action::BackUp,
            _ => Action::Remove,
        },
        ruling: Arc::new(Ruling {
            collection: "charts".into(),
            captures: Captures::new(names, values),
            rule: of(3) as usize,
            unit: (of(13) == 1).then_some(2),
            pressure: None,
            hooks: Indices::from_slice(&[1, 2, 3][..of(4) as usize]),
            floors: Indices::from_slice(&[7; 3][..of(2) as usize]),
        }),
        reason: format!("age {} d", of(6)).into(),
    }
}

fn bytes(steps: &Steps) -> Vec<Vec<u8>> {
    let mut pages = Vec::new();
    steps.feed(|page| pages.push(page.to_vec()));
    pages
}

#[test]
fn a_step_is_read_as_it_was_written() {
    let names = |n: u64| format!("d/{n:05}");
    let all: Vec<Step> = (0..1_000).map(|n| step(&names(n), n)).collect();
    let steps: Steps = all.iter().cloned().collect();
    assert_eq!(steps.iter().collect::<Vec<_>>(), all);
    assert_eq!(steps.len(), 1_000);
    for at in [0, 1, 255, 256, 257, 511, 512, 998, 999] {
        assert_eq!(steps.get(at).as_ref(), all.get(at));
        assert!(steps.iter_from(at).eq(all[at..].iter().cloned()));
    }
    assert_eq!(steps.get(1_000), None);
    assert_eq!(steps.get(usize::MAX), None);
    assert_eq!(bytes(&steps).len(), 4);
    // A second list of the same is the same, and one that differs anywhere is another.
    assert_eq!(bytes(&all.iter().cloned().collect()), bytes(&steps));
    let edited = steps.edited(|mut step| {
        step.facts.size += u64::from(step.facts.id.inode == 700);
        Some(step)
    });
    assert_ne!(bytes(&edited), bytes(&steps));
    assert_ne!(edited, steps);
}

#[test]
fn a_step_of_a_page_takes_few_bytes() {
    let all = (0..10_000).map(|n| Step {
        ruling: step("d/x", 0).ruling,
        reason: step("d/x", 0).reason,
        ..step(&format!("d/chart-{n:08}.png"), n)
    });
    let steps: Steps = all.collect();
    let bytes: usize = bytes(&steps).iter().map(Vec::len).sum();
    assert!(bytes < 75 * 10_000, "{bytes}");
}

#[test]
fn what_is_too_much_for_memory_lies_in_a_file_that_has_no_name() {
    let place = tempfile::tempdir().unwrap();
    let spool = Arc::new(Spool::beyond(100_000, place.path().to_owned()));
    let mut packer = Packer::spooling(Some(Arc::clone(&spool)));
    let all: Vec<Step> = (0..10_000).map(|n| step(&format!("d/{n:05}"), n)).collect();
    all.iter().for_each(|step| packer.push(step));
    let steps = packer.in_path_order(Packer::default());
    assert!(spool.written() > 200_000);
    assert!(steps.iter().eq(all.iter().cloned()));
    assert_eq!(steps.check(), Ok(()));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    // The digest does not say where they lie.
    assert_eq!(bytes(&steps), bytes(&all.iter().cloned().collect()));
}

#[test]
fn without_a_file_all_stays_in_memory() {
    let spool = Spool::beyond(100, "/proc/no/such/directory".into());
    let mut packer = Packer::spooling(Some(Arc::new(spool)));
    let all: Vec<Step> = (0..1_000).map(|n| step(&format!("{n:05}"), n)).collect();
    all.iter().for_each(|step| packer.push(step));
    assert!(packer.in_order().iter().eq(all));
}

#[test]
fn what_cannot_be_read_back_is_told() {
    let place = tempfile::tempdir().unwrap();
    let spool = Arc::new(Spool::beyond(0, place.path().to_owned()));
    let mut packer = Packer::spooling(Some(Arc::clone(&spool)));
    for n in 0..600 {
        packer.push(&step(&format!("{n:05}"), n));
    }
    let steps = packer.in_order();
    assert_eq!(steps.check(), Ok(()));
    spool.lose(1_000);
    // Fewer steps, and never others.
    let read: Vec<Step> = steps.iter().collect();
    assert!(read.len() < 600);
    assert!(
        read.iter()
            .all(|one| *one == step(&one.path.to_string(), one.facts.id.inode))
    );
    assert!(steps.check().is_err());
    // What is made of them is no more whole.
    assert!(steps.edited(Some).check().is_err());
}

#[test]
fn what_is_pushed_after_others_were_taken_in_may_come_before_them() {
    let (mut all, mut more) = (Packer::default(), Packer::default());
    all.push(&step("a/1", 1));
    for name in ["a/4", "a/5"] {
        more.push(&step(name, 4));
    }
    all.absorb(more);
    for name in ["a/3", "a/6"] {
        all.push(&step(name, 3));
    }
    let steps = all.in_path_order(Packer::default());
    let paths: Vec<String> = steps.iter().map(|step| step.path.to_string()).collect();
    assert_eq!(paths, ["a/1", "a/3", "a/4", "a/5", "a/6"]);
}

const DIRECTORIES: [&str; 9] = [
    "", "a/", "a/b/", "a-/", "b/", "b/c/d/", "b/c/", "z/", "b/c/05/",
];

proptest! {
    // Some have thousands of steps.
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn pages_come_in_the_order_of_their_steps(
        parts in proptest::collection::vec(
            proptest::collection::vec((0..9_usize, 0..40_u64, 1..700_u64), 0..8),
            1..4,
        ),
        more in proptest::collection::vec((0..9_usize, 0..40_u64), 0..20),
        late in proptest::collection::vec((0..9_usize, 0..999_u64), 0..40),
        spooled in any::<bool>(),
    ) {
        let place = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::beyond(if spooled { 3_000 } else { u64::MAX }, place.path().to_owned()));
        let mut expected: BTreeMap<RelPath, Step> = BTreeMap::new();
        let mut all: Option<Packer> = None;
        for part in &parts {
            let mut packer = Packer::spooling(Some(Arc::clone(&spool)));
            for &(directory, begin, count) in part {
                // Few have many.
                let count = if count > 640 { PAGE as u64 + count } else { count % 12 };
                for n in begin..begin + count {
                    let step = step(&format!("{}{n:02}", DIRECTORIES[directory]), n);
                    packer.push(&step);
                    expected.insert(step.path.clone(), step);
                }
            }
            match &mut all {
                Some(all) => all.absorb(packer),
                None => all = Some(packer),
            }
        }
        let mut all = all.unwrap();
        for (directory, n) in more {
            let step = step(&format!("{}{n:02}", DIRECTORIES[directory]), n);
            if expected.insert(step.path.clone(), step.clone()).is_none() {
                all.push(&step);
            }
        }
        let mut behind = Packer::default();
        let late: Vec<Step> = late
            .into_iter()
            .map(|(directory, n)| step(&format!("{}late-{n}", DIRECTORIES[directory]), n))
            .collect();
        late.iter().for_each(|step| behind.push(step));
        let steps = all.in_path_order(behind);
        let expected: Vec<Step> = expected.into_values().chain(late).collect();
        prop_assert_eq!(steps.iter().collect::<Vec<_>>(), &expected[..]);
        prop_assert_eq!(steps.len(), expected.len());
        prop_assert_eq!(steps.check(), Ok(()));
        let plain: Steps = expected.iter().cloned().collect();
        prop_assert_eq!(bytes(&steps), bytes(&plain));
        prop_assert_eq!(steps.sums(), plain.sums());
        for at in (0..expected.len()).step_by(1 + expected.len() / 20) {
            prop_assert_eq!(steps.get(at), Some(expected[at].clone()));
        }
    }
}
