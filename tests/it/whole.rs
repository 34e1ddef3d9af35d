//! What goes together: whole directories, empty ones, and what pressure takes.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use std::sync::Arc;

use jiff::SignedDuration;
use retain::cancel::Cancel;
use retain::config::{Config, Environment};
use retain::run::{Breaker, Job, Wanted};
use retain::time::Now;

use super::shop::{DAY, Shop};

/// A shop with a policy of its own below the edition.
fn shop(policy: &str) -> Shop {
    let shop = Shop::new("");
    shop.write("p.retain", format!("edition 2026\n{policy}"));
    shop
}

const RUNS: &str = "collection runs at \"runs/{id}/\" {\n\
    age is measured from last modified\n\
    delete when older than 7 days\n\
    keep newest 1\n}\n";

#[test]
fn a_whole_directory_goes_with_all_in_it_or_stays_with_all_in_it() {
    let shop = shop(RUNS);
    for name in ["runs/1/log", "runs/1/deep/er/model", "runs/2/log"] {
        shop.file(name, "x", 10 * DAY);
    }
    shop.file("runs/3/log", "x", DAY);
    shop.file("runs/2/new", "x", DAY / 2);
    let plan = shop.ok(&["plan"]);
    assert!(plan.out.contains("would remove 2 files"), "{plan:?}");
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("removed 2 files"), "{said:?}");
    assert!(!shop.has("runs/1"));
    assert_eq!(
        shop.files("store"),
        ["runs/2/log", "runs/2/new", "runs/3/log"]
    );
    let runs = shop.ok(&["runs", "last"]).out;
    assert!(runs.contains("runs/1  directory removed"), "{runs}");
}

#[test]
fn a_directory_with_a_stranger_a_link_or_a_new_file_stays_whole() {
    let shop = shop(RUNS);
    for run in ["1", "2", "3"] {
        shop.file(format!("runs/{run}/a"), "x", 10 * DAY);
        shop.file(format!("runs/{run}/b"), "x", 10 * DAY);
    }
    shop.file("runs/9/newest", "x", DAY);
    symlink("a", shop.path("store/runs/1/link")).unwrap();
    shop.ok(&["plan", "-o", "saved.json"]);
    shop.file("runs/2/stranger", "x", 10 * DAY);
    let said = shop.ok(&["apply", "saved.json", "--yes"]);
    assert!(
        said.out
            .contains("runs/2/a: kept: it changed after it was planned"),
        "{said:?}"
    );
    let left: Vec<String> = shop
        .files("store")
        .into_iter()
        .filter(|name| name.starts_with("runs/3"))
        .collect();
    assert_eq!(left, [] as [&str; 0]);
    assert!(shop.has("runs/1/a") && shop.has("runs/1/b") && shop.has("runs/2/a"));
    let plan = shop.ok(&["plan"]);
    assert!(
        plan.out
            .contains("kept whole: it holds `runs/1/link`, which is no file"),
        "{plan:?}"
    );
}

#[test]
fn a_directory_goes_only_when_every_member_has_its_receipt() {
    let shop = shop(
        "collection runs at \"runs/{id}/\" {\n\
         age is measured from last modified\n\
         delete when older than 7 days\n\
         before delete, run hold, otherwise keep\n\
         before delete, run backup into cold, otherwise keep\n}\n",
    );
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let plugin = "[plugins.hold]\nwasm = \"builtin:legal-hold\"\n\
        settings = { paths = [\"runs/1/evidence\"], reason = \"case 7\" }\n";
    shop.write("retain.toml", configuration + plugin);
    for name in ["runs/1/a", "runs/1/evidence", "runs/2/a", "runs/2/b"] {
        shop.file(name, name, 10 * DAY);
    }
    let said = shop.ok(&["apply", "--yes"]);
    assert!(
        said.out
            .contains("runs/1/a: kept, because its directory stays whole: `runs/1/evidence` stays"),
        "{said:?}"
    );
    assert_eq!(shop.files("store"), ["runs/1/a", "runs/1/evidence"]);
    // The one that stayed was archived as well, and is not overwritten.
    let said = shop.run(&["restore", "--run", "last"]);
    assert!(said.out.contains("restored 2 of 3 files"), "{said:?}");
    assert_eq!(
        fs::read_to_string(shop.path("store/runs/2/b")).unwrap(),
        "runs/2/b"
    );
}

#[test]
fn a_directory_in_the_trash_comes_back_whole() {
    let shop = shop(RUNS);
    shop.configure("grace = \"1 hour\"");
    shop.file("runs/1/log", "old", 10 * DAY);
    shop.file("runs/1/deep/model", "old", 11 * DAY);
    shop.file("runs/2/log", "x", DAY);
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["runs/2/log"]);
    shop.ok(&["undo", "last"]);
    assert_eq!(
        shop.files("store"),
        ["runs/1/deep/model", "runs/1/log", "runs/2/log"]
    );
    shop.ok(&["apply", "--yes"]);
    assert!(
        shop.has("runs/1/deep/model"),
        "undone files are held for a week"
    );
}

#[test]
fn empty_directories_go_deepest_first_and_only_while_they_are_empty() {
    let shop = shop(
        "collection charts at \"charts/**/*.png\" {\n\
         age is measured from last modified\n\
         delete empty directories when older than 1 hour\n}\n",
    );
    for name in ["charts/a/b/c", "charts/full", "charts/young", "elsewhere"] {
        fs::create_dir_all(shop.path("store").join(name)).unwrap();
    }
    shop.file("charts/full/readme", "x", 10 * DAY);
    for name in [
        "charts/a/b/c",
        "charts/a/b",
        "charts/a",
        "charts/full",
        "elsewhere",
    ] {
        shop.age(name, 2 * DAY);
    }
    // Their inodes have changed a moment ago: they may be somebody's between mkdir and
    // open, or just unpacked with old stamps.
    assert!(shop.ok(&["plan"]).out.contains("nothing to remove"));

    let environment = Environment::default().with("HOME", "/nonexistent");
    let config = Config::load(&shop.path("retain.toml"), &environment).unwrap();
    let job = Job::load(&config, &config.stores["files"], &environment).unwrap();
    let later = Now::from_clock().timestamp() + SignedDuration::from_hours(2);
    let later = Now::at(later);
    let taken = job.take(&later, Wanted::Decisive, Arc::default()).unwrap();
    let planned: Vec<String> = taken
        .planned
        .plan
        .directories
        .iter()
        .map(|directory| directory.path.to_string())
        .collect();
    // By then the young one is old enough as well.
    assert_eq!(
        planned,
        ["charts/a/b/c", "charts/a/b", "charts/a", "charts/young"]
    );
    shop.file("charts/young/late.png", "x", 0);
    let done = taken
        .apply(&later, Breaker::Holds, &Cancel::default(), &|_, _| ())
        .unwrap();
    assert_eq!(done.tallies.directories, 3);
    assert!(!shop.has("charts/a") && shop.has("charts/young/late.png"));
    assert!(shop.has("charts/full") && shop.has("elsewhere"));
}

#[test]
fn a_store_that_is_too_full_is_relieved_as_far_as_is_needed() {
    let shop = shop(
        "collection cache at \"cache/*\" {\n\
         age is measured from last modified\n\
         keep newest 1\n}\n\
         when store is above 40 kB, free until below 30 kB {\n\
         evict from cache, oldest first\n}\n",
    );
    for n in 1..=6 {
        shop.file(format!("cache/{n}"), [7; 8_000], n * DAY);
    }
    let plan = shop.ok(&["plan"]);
    assert!(
        plan.out.contains("the store holds 49.2 kB, over 40 kB"),
        "{plan:?}"
    );
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["cache/1", "cache/2", "cache/3"]);
    assert!(shop.ok(&["plan"]).out.contains("nothing to remove"));
}

#[test]
fn a_disk_that_is_too_full_is_measured_again_and_the_trash_goes_first() {
    let shop = shop(
        "collection cache at \"cache/*\" {\n\
         age is measured from last modified\n\
         delete when older than 30 days\n}\n\
         when disk is above 80% full, free until below 60% {\n\
         evict from cache, oldest first\n}\nstop never\n",
    );
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=8m", "retain-test"])
        .arg(shop.path("store"))
        .stderr(std::process::Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a tmpfs is not allowed here");
        return;
    }
    shop.configure("grace = \"1 hour\"");
    // Seven of eight megabytes; the first goes into the trash by its age.
    for n in 1..=7u64 {
        let age = if n == 1 { 40 * DAY } else { (10 - n) * DAY };
        shop.file(format!("cache/{n}"), vec![7; 1_000_000], age);
    }
    let plan = shop.run(&["plan"]);
    let said = shop.run(&["apply", "--yes"]);
    let left = shop.files("store");
    let unmounted = Command::new("umount").arg(shop.path("store")).status();
    assert!(unmounted.unwrap().success());
    assert!(plan.out.contains("over 80%"), "{plan:?}");
    assert_eq!(said.code, 0, "{said:?}");
    // 84% with all of them, 72% without the one in the trash, 59% without the next.
    assert_eq!(
        left,
        ["cache/3", "cache/4", "cache/5", "cache/6", "cache/7"],
        "{said:?}"
    );
}
