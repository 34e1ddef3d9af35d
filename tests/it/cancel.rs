//! A run that is told to end, and what its plugins did until then.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use retain::cancel::Cancel;
use retain::config::{Config, Environment};
use retain::journal::{Outcome, RunId, State};
use retain::plugin::Kind;
use retain::run::{Breaker, Done, Job, Wanted};
use retain::time::Now;

use super::guests;
use super::shop::{DAY, Shop};

/// Applies the shop's policy; `progress` may wish the end.
pub fn apply(shop: &Shop, cancel: &Cancel, progress: &dyn Fn(&RunId, usize)) -> Done {
    let environment = Environment::default().with("HOME", "/nonexistent");
    let config = Config::load(&shop.path("retain.toml"), &environment).unwrap();
    let job = Job::load(&config, &config.stores["files"], &environment).unwrap();
    let now = Now::from_clock();
    let taken = job.take(&now, Wanted::Decisive, Arc::default()).unwrap();
    taken
        .apply(&now, Breaker::Released, cancel, progress)
        .unwrap()
}

fn many(files: usize) -> Shop {
    let shop = Shop::new(
        "delete when older than 1 day\nbefore delete, run backup into cold, otherwise keep",
    );
    for n in 0..files {
        shop.file(format!("f{n:03}"), "ten bytes.", 2 * DAY);
    }
    shop
}

#[test]
fn a_run_that_is_told_to_end_finishes_the_batch_in_hand_and_says_so() {
    let shop = many(300);
    let cancel = Cancel::default();
    let done = apply(&shop, &cancel, &|_, done| {
        if done > 0 {
            cancel.cancel()
        }
    });
    assert_eq!(done.state, State::Cancelled);
    assert_eq!((done.tallies.removed, done.receipts), (256, 256));
    assert_eq!(shop.files("store").len(), 44);
    let said = shop.ok(&["runs"]);
    assert!(
        said.out.contains("cancelled  removed 256 files"),
        "{said:?}"
    );

    // Nothing is left to be settled, and the next run does the rest.
    let said = shop.ok(&["apply", "--yes"]);
    assert!(!said.err.contains("cut short"), "{said:?}");
    assert_eq!(shop.files("store"), Vec::<String>::new());
}

#[test]
fn a_plugin_that_is_at_work_is_ended_and_its_file_kept() {
    for guest in ["spin", "restore-spin"] {
        let shop = Shop::new(
            "delete when older than 1 day\n\
             before delete, run backup into cold, otherwise keep\n\
             before delete, run evil into cold, otherwise delete anyway",
        );
        let configuration = std::fs::read_to_string(shop.path("retain.toml")).unwrap();
        let plugin = "[plugins.evil]\nwasm = \"evil.wasm\"\n\
            grants = { destinations = [\"cold\"], wall = \"1 h\" }\n";
        shop.write("retain.toml", configuration + plugin);
        shop.write("evil.wasm", guests::component(guest));
        shop.file("a", [7; 40], 2 * DAY);
        let cancel = Cancel::default();
        let (wish, cold) = (cancel.clone(), shop.path("cold"));
        let wisher = thread::spawn(move || {
            // The first plugin's archive is there, so the second has its turn.
            while !cold.join("all").exists() {
                thread::sleep(Duration::from_millis(50));
            }
            thread::sleep(Duration::from_millis(50));
            wish.cancel();
        });
        let began = Instant::now();
        let done = apply(&shop, &cancel, &|_, _| ());
        wisher.join().unwrap();
        // The guest would spin for an hour.
        assert!(began.elapsed() < Duration::from_secs(600), "{guest}");
        assert_eq!(done.state, State::Cancelled, "{guest}");
        assert_eq!(done.kept[0].1.word(), "interrupted", "{guest}");
        assert!(shop.has("a"), "{guest}");
        assert!(
            shop.files("cold")
                .iter()
                .all(|name| name.starts_with("all/a@"))
        );
    }
}

#[test]
fn what_plugins_did_is_counted() {
    let shop = many(3);
    let configuration = std::fs::read_to_string(shop.path("retain.toml")).unwrap();
    let evil = "[plugins.evil]\nwasm = \"evil.wasm\"\n";
    shop.write("retain.toml", configuration + evil);
    shop.write("evil.wasm", guests::component("review-poison"));
    shop.policy(
        "delete when older than 1 day\n\
         before delete, run evil, otherwise keep\n\
         before delete, run backup into cold, otherwise keep",
    );
    shop.file("b.bin", "ten bytes.", 2 * DAY);
    let done = apply(&shop, &Cancel::default(), &|_, _| ());
    assert_eq!(done.state, State::Completed);
    let [backup, evil] = done.plugins.as_slice() else {
        panic!("{:?}", done.plugins);
    };
    assert_eq!(
        (backup.plugin.as_str(), backup.kind),
        ("backup", Kind::Archiver)
    );
    assert_eq!(
        backup.calls,
        2 * done.receipts,
        "each archive has its proof"
    );
    assert_eq!(backup.bytes_in, 2 * 10 * done.receipts);
    assert_eq!(backup.bytes_out, 2 * 10 * done.receipts);
    assert!(backup.time > Duration::ZERO);
    assert_eq!((evil.plugin.as_str(), evil.kind), ("evil", Kind::Reviewer));
    assert!(evil.traps > 0 && evil.calls > evil.traps, "{evil:?}");
    assert_eq!(evil.failures, done.tallies.trouble);
    assert_eq!((evil.timeouts, evil.refusals, evil.bytes_out), (0, 0, 0));
}

/// Files of a batch that overlaps with others.
const BATCH: usize = match cfg!(debug_assertions) {
    true => 512,
    false => 8_192,
};

/// A shop with old files of such batches, the last of them half of one, and their names.
fn overlapping(collection: &str, batches: usize) -> (Shop, Vec<String>) {
    let shop = Shop::new(&format!("{collection}\nstop never"));
    let names = 0..batches * BATCH + BATCH / 2;
    let names: Vec<String> = names.map(|n| format!("d{:03}/{n:05}", n / 100)).collect();
    for name in &names {
        shop.file(name, "", 2 * DAY);
    }
    (shop, names)
}

#[test]
fn batches_that_overlap_are_all_recorded_when_the_end_is_wished() {
    let (shop, names) = overlapping("delete when older than 1 day", 2);
    let cancel = Cancel::default();
    // The first batch is recorded while the second goes, and then the third is not begun.
    let done = apply(&shop, &cancel, &|_, done| {
        if done > 0 {
            cancel.cancel()
        }
    });
    assert_eq!(done.state, State::Cancelled);
    assert_eq!(done.tallies.removed as usize, 2 * BATCH);
    assert_eq!(shop.files("store"), names[2 * BATCH..]);
    let said = shop.ok(&["apply", "--yes"]);
    assert!(!said.err.contains("cut short"), "{said:?}");
    assert_eq!(shop.files("store"), Vec::<String>::new());
}

#[test]
fn a_floor_that_is_gone_keeps_what_goes_in_batches_that_overlap() {
    let floor = "keep newest 1\ndelete when older than 1 day";
    let (shop, names) = overlapping(floor, 2);
    shop.file("newest", "", DAY / 2);
    // While the first batch goes, somebody removes what the rest relies on.
    let done = apply(&shop, &Cancel::default(), &|_, done| {
        if done == BATCH {
            let _ = std::fs::remove_file(shop.path("store/newest"));
        }
    });
    let removed = done.tallies.removed as usize;
    // The second batch may have looked before.
    assert!([BATCH, 2 * BATCH].contains(&removed), "{removed}");
    assert_eq!(shop.files("store"), names[removed..]);
    assert_eq!(done.kept.len(), names.len() - removed);
    let gone = |(_, outcome): &(_, Outcome)| *outcome == Outcome::FloorGone;
    assert!(done.kept.iter().all(gone), "{:?}", done.kept.first());
}
