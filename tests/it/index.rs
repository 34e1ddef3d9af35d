//! `index = true`: what the next run need not list.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::SignedDuration;
use proptest::prelude::*;

use retain::config::{Config, Environment};
use retain::plan::Plan;
use retain::run::{Job, Wanted};
use retain::time::Now;

use super::oddities::traced;
use super::shop::{DAY, Shop};

const WITH: &str = "[stores.files]\npath = \"store\"\npolicy = \"p.retain\"\nindex = true\n\
    [state]\npath = \"state\"\n";

/// Files of `alone` are decided on one by one, those of `group` together.
const POLICY: &str = "edition 2026
stop never
protect \"alone/*/kept-*\"
collection alone at \"alone/{d}/*\" {
    age is measured from last modified
    delete when older than 7 days
    delete when older than 12 hours and size under 3 B
}
collection together at \"group/{d}/*\" {
    age is measured from last modified
    keep newest 1 per {d}
    delete when older than 7 days
    limit count to 3 per {d}, evicting oldest first
}
";

/// Something somebody does to a store between two runs.
#[derive(Clone, Debug)]
enum Deed {
    Make(usize, u64),
    Remove(usize),
    Move(usize, usize),
    /// Write it anew in place, which makes it young.
    Rewrite(usize),
    /// What no directory shows: cut a file off, or set its stamp back.
    Truncate(usize),
    Backdate(usize, u64),
}

impl Deed {
    /// A place of a file decided on alone, of which no directory tells.
    fn is_hidden(&self) -> bool {
        let alone = |at: &usize| PLACES[*at].starts_with("alone");
        match self {
            Deed::Truncate(at) | Deed::Backdate(at, _) => alone(at),
            Deed::Make(..) | Deed::Remove(_) | Deed::Move(..) | Deed::Rewrite(_) => false,
        }
    }
}

const PLACES: [&str; 12] = [
    "alone/a/one",
    "alone/a/two",
    "alone/b/one",
    "alone/b/kept-1",
    "alone/c/one",
    "alone/c/two",
    "group/a/one",
    "group/a/two",
    "group/a/three",
    "group/a/four",
    "group/b/one",
    "group/b/two",
];

fn deed() -> impl Strategy<Value = Deed> {
    let place = 0..PLACES.len();
    prop_oneof![
        (place.clone(), 0..300_u64).prop_map(|(at, hours)| Deed::Make(at, hours)),
        place.clone().prop_map(Deed::Remove),
        (place.clone(), place.clone()).prop_map(|(from, to)| Deed::Move(from, to)),
        place.clone().prop_map(Deed::Rewrite),
        place.clone().prop_map(Deed::Truncate),
        (place, 0..300_u64).prop_map(|(at, hours)| Deed::Backdate(at, hours)),
    ]
}

fn set_back(file: &Path, hours: u64) {
    let file = fs::File::options().write(true).open(file).unwrap();
    let stamp = SystemTime::now() - Duration::from_secs(hours * 3_600 + 5);
    file.set_modified(stamp).unwrap();
}

fn make(root: &Path, at: usize, hours: u64) {
    let file = root.join(PLACES[at]);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "four").unwrap();
    set_back(&file, hours);
}

fn act(root: &Path, deed: &Deed) {
    let at = |place: &usize| root.join(PLACES[*place]);
    match deed {
        Deed::Make(place, hours) => {
            // Written over in place it would be set back, which no directory shows.
            let _ = fs::remove_file(at(place));
            make(root, *place, *hours);
        }
        Deed::Remove(place) => drop(fs::remove_file(at(place))),
        Deed::Move(from, to) => {
            fs::create_dir_all(at(to).parent().unwrap()).unwrap();
            drop(fs::rename(at(from), at(to)));
        }
        Deed::Rewrite(place) if at(place).exists() => fs::write(at(place), "others").unwrap(),
        Deed::Truncate(place) if at(place).exists() => {
            let stamp = fs::metadata(at(place)).unwrap().modified().unwrap();
            let file = fs::File::options().write(true).open(at(place)).unwrap();
            file.set_len(1).unwrap();
            file.set_modified(stamp).unwrap();
        }
        Deed::Backdate(place, hours) if at(place).exists() => set_back(&at(place), *hours),
        Deed::Rewrite(_) | Deed::Truncate(_) | Deed::Backdate(..) => {}
    }
}

fn planned(shop: &Shop, configuration: &str, now: &Now) -> Plan {
    let environment = Environment::default().with("HOME", "/nonexistent");
    let config = Config::load(&shop.path(configuration), &environment).unwrap();
    let job = Job::load(&config, &config.stores["files"], &environment).unwrap();
    job.plan(now, Wanted::Decisive, Arc::default())
        .unwrap()
        .plan
}

/// Looks at the store as `apply` does, which keeps what it saw.
fn look(shop: &Shop, now: &Now) {
    let environment = Environment::default().with("HOME", "/nonexistent");
    let config = Config::load(&shop.path("retain.toml"), &environment).unwrap();
    let job = Job::load(&config, &config.stores["files"], &environment).unwrap();
    job.take(now, Wanted::Decisive, Arc::default()).unwrap();
}

fn going(plan: &Plan) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| step.path.to_string())
        .collect()
}

/// Waits until the clock of the file system, which ticks every few milliseconds, has moved
/// on: only then does a change of a directory show.
fn await_tick(file: &Path) {
    let changed = || {
        fs::write(file, "tick").unwrap();
        fs::metadata(file).unwrap().modified().unwrap()
    };
    let first = changed();
    while changed() == first {
        std::thread::yield_now();
    }
}

fn shop() -> Shop {
    let shop = Shop::new("");
    shop.write("p.retain", POLICY);
    shop.write("retain.toml", WITH);
    shop.write("without.toml", WITH.replace("index = true\n", ""));
    shop
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn with_and_without_the_index_the_same_files_go(
        before in prop::collection::vec((0..PLACES.len(), 0..300_u64), 1..12),
        deeds in prop::collection::vec(deed(), 0..5),
        hours in prop::sample::select(vec![0_i64, 1, 5, 11, 13, 23, 25, 100]),
    ) {
        let shop = shop();
        let root = shop.path("store");
        for (at, hours) in before {
            make(&root, at, hours);
        }
        let clock = |hours: i64| {
            // As if the directories had been left alone for a while.
            let then = jiff::Timestamp::now() + SignedDuration::from_secs(10 + hours * 3_600);
            Now::at(then)
        };
        look(&shop, &clock(0));
        await_tick(&shop.path("tick"));
        deeds.iter().for_each(|deed| act(&root, deed));
        let then = clock(hours);
        let (with, without) = (planned(&shop, "retain.toml", &then), planned(&shop, "without.toml", &then));
        let (few, all) = (going(&with), going(&without));
        if hours < 24 && deeds.iter().any(Deed::is_hidden) {
            prop_assert!(few.iter().all(|path| all.contains(path)), "{few:?} {all:?}");
            let grouped = |paths: &[String]| -> Vec<String> {
                paths.iter().filter(|path| path.starts_with("group")).cloned().collect()
            };
            prop_assert_eq!(grouped(&few), grouped(&all));
        } else {
            prop_assert_eq!(&few, &all);
            prop_assert_eq!(with.totals.covered.files, without.totals.covered.files);
            // What is written anew in its place is young, and nothing protects it any more:
            // that goes unseen for a day, and no file by it.
            if hours >= 24 || !deeds.iter().any(|deed| matches!(deed, Deed::Rewrite(_))) {
                prop_assert_eq!(with.totals.protected, without.totals.protected);
            }
            prop_assert_eq!(with.totals.uncovered.files, without.totals.uncovered.files);
        }
        prop_assert_eq!(with.steps.len(), few.len());
    }
}

#[test]
fn a_directory_that_is_as_it_was_is_not_listed_again() {
    let shop = shop();
    for directory in 0..30 {
        for file in 0..5 {
            shop.file(format!("alone/{directory}/{file}"), "four", 0);
        }
    }
    shop.file("alone/3/old", "four", 10 * DAY);
    // What changed within three seconds may change again and look the same.
    std::thread::sleep(Duration::from_secs(5));
    shop.ok(&["apply", "--yes"]);
    shop.file("alone/7/new", "four", 0);
    let Some(trace) = traced(&shop, &["plan"], "getdents64,statx") else {
        return;
    };
    let looked = trace.lines().filter(|line| line.contains("statx(")).count();
    let listed = trace
        .lines()
        .filter(|line| line.contains("getdents64("))
        .count();
    // The one where a file went and the one where a file came, twice each, and those of
    // the state directory; then a look at each directory and at 11 files.
    assert!((4..25).contains(&listed), "{listed}: {trace}");
    assert!((40..80).contains(&looked), "{looked}: {trace}");
    let said = shop.ok(&["plan"]);
    assert!(said.out.contains("keeps 151 files"), "{said:?}");

    // What was kept by another policy, or is not whole, is as if it were not there.
    let index = shop.path("state/index/files");
    let whole = fs::read(&index).unwrap();
    for broken in [&whole[..whole.len() - 1], b"retain index 1\n", b""] {
        fs::write(&index, broken).unwrap();
        assert!(shop.ok(&["plan"]).out.contains("keeps 151 files"));
    }
    fs::write(&index, &whole).unwrap();
    shop.write("p.retain", POLICY.replace("7 days", "1 hour"));
    shop.age("alone/9/1", DAY);
    let said = shop.ok(&["plan"]);
    assert!(said.out.contains("would remove 1 file"), "{said:?}");
}
