//! `back up`: archives of files that stay.

use std::fs;

use retain::cancel::Cancel;
use retain::destination::Destination;
use retain::plan::{Action, Plan};
use serde_json::Value;

use super::cancel;
use super::shop::{DAY, Shop};

fn archives(shop: &Shop) -> Vec<String> {
    let mut names = shop.files("cold");
    names.retain(|name| !name.ends_with(".receipt.json"));
    names
}

fn apply(shop: &Shop) -> Value {
    serde_json::from_str(&shop.ok(&["apply", "--yes", "--format", "json"]).out).unwrap()
}

#[test]
fn every_version_is_archived_once_and_comes_back_by_its_time() {
    let shop = Shop::new("back up, run backup into cold");
    shop.file("a/x", "first", 3 * DAY);
    shop.file("y", "y", 3 * DAY);
    let said = shop.ok(&["plan"]);
    assert!(said.out.contains("would back up 2 files"), "{said:?}");
    assert!(said.out.contains("nothing to remove"), "{said:?}");
    let done = apply(&shop);
    assert_eq!(
        (&done["backed_up"], &done["archived"]),
        (&2.into(), &2.into())
    );
    assert_eq!(
        (&done["removed"], &done["kept"]),
        (&0.into(), &Value::Array(vec![]))
    );
    assert_eq!(shop.files("store"), ["a/x", "y"]);
    assert_eq!(archives(&shop).len(), 2);

    // Nothing is new, so nothing is to be done.
    assert!(!shop.ok(&["plan"]).out.contains("back up"));
    assert_eq!(apply(&shop)["archived"], 0);

    shop.file("a/x", "second", DAY);
    assert_eq!(apply(&shop)["archived"], 1);
    assert_eq!(archives(&shop).len(), 3);
    let said = shop.ok(&["runs", "last"]);
    assert!(said.out.contains("a/x  backed up"), "{said:?}");
    shop.ok(&["verify"]);

    let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48);
    shop.ok(&["restore", "a/x", "--at", &then.to_string(), "--to", "old"]);
    assert_eq!(fs::read_to_string(shop.path("old/a/x")).unwrap(), "first");
    shop.ok(&["restore", "a/x", "--to", "new"]);
    assert_eq!(fs::read_to_string(shop.path("new/a/x")).unwrap(), "second");
}

#[test]
fn a_period_has_one_archive_of_a_file() {
    // A run at the turn of a week would see two periods, and still nothing removed.
    let shop = Shop::new("back up weekly, run backup into cold");
    shop.file("x", "first", 3 * DAY);
    assert_eq!(apply(&shop)["archived"], 1);
    shop.file("x", "second", 2 * DAY);
    shop.file("z", "new", 2 * DAY);
    let done = apply(&shop);
    assert!(done["archived"] == 1 || done["archived"] == 2, "{done}");
    assert!(
        archives(&shop)
            .iter()
            .any(|name| name.starts_with("all/z@"))
    );
}

#[test]
fn a_file_that_goes_when_it_is_due_goes_after_its_archive() {
    let shop = Shop::new("back up, run backup into cold\ndelete when older than 7 days");
    shop.file("old", "old", 8 * DAY);
    shop.file("young", "young", DAY);
    let done = apply(&shop);
    assert_eq!(
        (&done["removed"], &done["archived"]),
        (&1.into(), &2.into())
    );
    assert_eq!(shop.files("store"), ["young"]);
    shop.ok(&["restore", "old"]);
    assert!(shop.has("old"));

    // One archive serves both statements, unless the other would do without it.
    for (otherwise, archived) in [("keep", 1), ("delete anyway", 2)] {
        let shop = Shop::new(&format!(
            "back up, run backup into cold\ndelete when older than 7 days\n\
             before delete, run backup into cold, otherwise {otherwise}"
        ));
        shop.file("old", "old", 8 * DAY);
        assert_eq!(apply(&shop)["archived"], archived, "{otherwise}");
    }
}

#[test]
fn what_is_held_or_protected_is_backed_up_and_what_fails_is_kept_and_said() {
    let shop = Shop::new("back up, run backup into cold\ndelete when older than 7 days");
    let text = fs::read_to_string(shop.path("p.retain")).unwrap();
    shop.write(
        "p.retain",
        text + "protect \"p*\"\nhold \"case\" on \"h*\"\n",
    );
    shop.file("p", "p", 8 * DAY);
    shop.file("h", "h", 8 * DAY);
    let done = apply(&shop);
    assert_eq!(
        (&done["removed"], &done["backed_up"]),
        (&0.into(), &2.into())
    );

    let shop = Shop::new("back up, run backup into cold\ndelete when older than 7 days");
    shop.write("cold", "a file where a directory should be");
    shop.file("old", "old", 8 * DAY);
    shop.file("young", "young", DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert_eq!(shop.files("store"), ["old", "young"]);
    assert!(
        said.out.contains("plugin `backup` did not succeed"),
        "{said:?}"
    );
}

#[test]
fn a_saved_plan_has_its_backups_and_a_changed_file_is_left_to_the_next() {
    let shop = Shop::new("back up, run backup into cold");
    shop.file("x", "first", DAY);
    shop.ok(&["plan", "files", "-o", "plan.json"]);
    let text = fs::read_to_string(shop.path("plan.json")).unwrap();
    let plan = Plan::from_json(&text).unwrap();
    assert_eq!(plan.steps.get(0).unwrap().action, Action::BackUp);
    assert_eq!(Plan::from_json(&plan.to_json()).unwrap(), plan);
    shop.file("x", "second", 0);
    let said = shop.run(&["apply", "plan.json", "--yes"]);
    assert!(
        said.out.contains("it changed after it was planned"),
        "{said:?}"
    );
    assert_eq!(archives(&shop), Vec::<String>::new());
}

#[test]
fn a_reviewer_backs_nothing_up() {
    let shop = Shop::new("back up, run hold into cold");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let plugin =
        "[plugins.hold]\nwasm = \"builtin:legal-hold\"\ngrants = { destinations = [\"cold\"] }\n";
    shop.write("retain.toml", text + plugin);
    let said = shop.run(&["check"]);
    assert!(said.err.contains("R0511"), "{said:?}");
}

/// Versions of `x`, archived long ago; the last of them is what lies in the store.
fn versions(expiry: &str) -> Shop {
    let shop = Shop::new("back up, run backup into cold");
    for (content, age) in [("first", 9), ("second", 8), ("third", 7)] {
        shop.file("x", content, age * DAY);
        apply(&shop);
    }
    shop.backdate();
    shop.policy(&format!("back up, run backup into cold\n{expiry}"));
    shop
}

#[test]
fn what_is_old_goes_but_not_the_archive_of_the_present_bytes() {
    let shop = versions("@old delete backups when older than 30 days, keeping newest 0");
    let said = shop.ok(&["plan"]);
    assert!(said.out.contains("would delete 2 backups"), "{said:?}");
    assert_eq!(archives(&shop).len(), 3, "planning removes nothing");
    let done = apply(&shop);
    assert_eq!((&done["expired"], &done["removed"]), (&2.into(), &0.into()));
    assert_eq!(shop.files("cold").len(), 2, "one archive with its receipt");
    assert_eq!(shop.ok(&["restore", "--list", "x"]).out.lines().count(), 1);
    shop.ok(&["restore", "x", "--to", "back"]);
    assert_eq!(fs::read_to_string(shop.path("back/x")).unwrap(), "third");
    shop.ok(&["verify"]);
    shop.ok(&["audit", "verify"]);
    assert!(shop.ok(&["runs"]).out.contains("backups deleted 2"));
    assert!(
        shop.ok(&["audit", "export"])
            .out
            .contains("\"settled\":\"removed\"")
    );
    // Expired is expired: it is not taken in again, and nothing is left to do.
    shop.ok(&["catalogue", "rebuild"]);
    assert_eq!(apply(&shop)["expired"], 0);
}

#[test]
fn the_newest_stay_and_so_does_what_is_not_old_enough() {
    for (expiry, expired) in [
        (
            "delete backups when older than 30 days, keeping newest 2",
            1,
        ),
        (
            "delete backups when older than 30 days, keeping newest 3",
            0,
        ),
        ("delete backups when older than 36500 days", 0),
        // Whatever keeps more is right.
        (
            "delete backups when older than 30 days, keeping newest 0\n\
             delete backups when older than 1 day, keeping newest 2",
            1,
        ),
    ] {
        assert_eq!(apply(&versions(expiry))["expired"], expired, "{expiry}");
    }
}

#[test]
fn the_last_archive_of_a_file_that_is_gone_stays_unless_the_policy_says_so() {
    let shop = versions("delete backups when older than 30 days");
    fs::remove_file(shop.path("store/x")).unwrap();
    shop.file("other", "other", 0);
    assert_eq!(apply(&shop)["expired"], 2);
    shop.ok(&["restore", "x", "--to", "back"]);
    assert_eq!(fs::read_to_string(shop.path("back/x")).unwrap(), "third");
    shop.policy("delete backups when older than 30 days, keeping newest 0");
    assert_eq!(apply(&shop)["expired"], 1);
    assert!(
        !archives(&shop)
            .iter()
            .any(|name| name.starts_with("all/x@"))
    );
}

#[test]
fn archives_of_what_is_held_or_protected_stay() {
    for line in ["hold \"case\" on \"x\"\n", "protect \"x\"\n"] {
        let shop = versions("delete backups when older than 30 days, keeping newest 0");
        let text = fs::read_to_string(shop.path("p.retain")).unwrap();
        shop.write("p.retain", text + line);
        fs::remove_file(shop.path("store/x")).unwrap();
        shop.file("other", "other", 0);
        assert_eq!(apply(&shop)["expired"], 0, "{line}");
        let of_x = archives(&shop)
            .into_iter()
            .filter(|name| name.starts_with("all/x@"));
        assert_eq!(of_x.count(), 3, "{line}");
    }
    // A hold of the ledger that no policy states any more.
    let shop = versions("delete backups when older than 30 days, keeping newest 0");
    shop.ok(&["hold", "add", "case", "--on", "x"]);
    assert_eq!(apply(&shop)["expired"], 0);
}

#[test]
fn an_object_goes_with_the_last_receipt_that_names_it() {
    let plugin = "[plugins.dedup]\nwasm = \"builtin:dedup-backup\"\ngrants = { destinations = [\"cold\"] }\n";
    let shop = Shop::new("back up, run dedup into cold");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", text + plugin);
    shop.file("one", "same", DAY);
    shop.file("two", "same", DAY);
    shop.file("three", "other", DAY);
    apply(&shop);
    assert_eq!(archives(&shop).len(), 2);
    shop.backdate();
    let expiry = "delete backups when older than 30 days, keeping newest 0";
    shop.policy(expiry);
    for (gone, expired, left) in [("one", 1, 2), ("two", 1, 1), ("three", 1, 0)] {
        fs::remove_file(shop.path("store").join(gone)).unwrap();
        shop.file("present", "x", 0);
        assert_eq!(apply(&shop)["expired"], expired, "{gone}");
        assert_eq!(archives(&shop).len(), left, "{gone}");
        if gone == "one" {
            shop.ok(&["restore", "two", "--to", "back"]);
        }
    }
}

#[test]
fn a_receipt_of_somebody_else_keeps_its_objects_and_one_that_is_broken_keeps_all() {
    let shop = versions("delete backups when older than 30 days, keeping newest 2");
    let first = shop
        .files("cold")
        .into_iter()
        .find(|n| n.ends_with(".receipt.json"))
        .unwrap();
    let file = shop.path("cold").join(&first);
    let mut receipt: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    receipt["run"] = "01890a5d-ac96-774b-bcce-b302099a8057".into();
    receipt["store"] = "of-another-machine".into();
    shop.write("cold/all/copy.receipt.json", receipt.to_string());
    assert_eq!(apply(&shop)["expired"], 1);
    assert_eq!(archives(&shop).len(), 3);

    let shop = versions("delete backups when older than 30 days, keeping newest 2");
    shop.write("cold/all/odd.receipt.json", "{");
    let said = shop.ok(&["apply", "--yes"]);
    assert!(
        said.out.contains("odd.receipt.json` cannot be read"),
        "{said:?}"
    );
    assert_eq!(archives(&shop).len(), 3);
    fs::remove_file(shop.path("cold/all/odd.receipt.json")).unwrap();
    assert_eq!(apply(&shop)["expired"], 1);
}

#[test]
fn nothing_goes_from_a_destination_that_somebody_archives_into() {
    let shop = versions("delete backups when older than 30 days, keeping newest 0");
    let other = Destination::open("cold", &shop.path("cold")).unwrap();
    other.share().unwrap();
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("in use by another run"), "{said:?}");
    assert_eq!(archives(&shop).len(), 3);
    drop(other);
    assert_eq!(apply(&shop)["expired"], 2);
}

#[test]
fn an_object_that_is_not_the_archive_any_more_is_left_alone() {
    let shop = versions("delete backups when older than 30 days, keeping newest 2");
    let first = archives(&shop).into_iter().next().unwrap();
    shop.write(&format!("cold/{first}"), "somebody else's, and longer");
    assert_eq!(apply(&shop)["expired"], 1);
    assert!(shop.path("cold").join(first).exists());
}

#[test]
fn why_says_which_archives_there_are_and_when_the_next_is_due() {
    let shop = Shop::new("back up, run backup into cold");
    shop.file("x", "first", 3 * DAY);
    let why = || shop.ok(&["why", "x"]).out;
    let check = |expected: &[&str]| {
        let said = why();
        for words in expected {
            assert!(said.contains(words), "{words}: {said}");
        }
    };
    check(&["it has no archive in `cold` (p.retain:4); the next is due at the next run"]);
    apply(&shop);
    check(&[
        "it has an archive, of 20",
        "of the file as it is in `cold`",
        "due once it changes",
    ]);
    shop.file("x", "second", 2 * DAY);
    check(&[
        "before it changed in `cold`",
        "the next is due at the next run",
    ]);
    apply(&shop);
    check(&["it has 2 archives, the last of 20", "among them"]);
    let said = shop.ok(&["why", "x", "--format", "json"]).out;
    let said: Value = serde_json::from_str(&said).unwrap();
    let backup = &said["backups"][0];
    assert_eq!(backup["destination"], "cold");
    assert_eq!(backup["archives"].as_array().unwrap().len(), 2);
    assert_eq!(backup["is_present"], true);
    assert_eq!(backup["next"]["once_changed"], true);

    // At most one a week: whatever changes waits for Monday.
    shop.policy("back up weekly, run backup into cold");
    shop.file("x", "third", DAY);
    let said = why();
    assert!(said.contains("00:00 UTC on"), "{said}");
    shop.policy("keep always");
    assert!(!why().contains("archive"), "{}", why());
}

/// Applies the policy; how many files went, and how many instances of plugins that took.
fn calls(shop: &Shop) -> (u64, u64) {
    let done = cancel::apply(shop, &Cancel::default(), &|_, _| {});
    let calls = done.plugins.iter().map(|plugin| plugin.calls).sum();
    (done.tallies.removed, calls)
}

const THEN_GONE: &str = "back up, run backup into cold\ndelete always\n\
    before delete, run backup into cold, otherwise keep";

#[test]
fn what_is_backed_up_already_goes_by_that_archive_if_it_is_still_good() {
    let shop = Shop::new("back up, run backup into cold");
    shop.file("x", "content", 3 * DAY);
    assert_eq!(calls(&shop), (0, 2), "an archive and its proof");
    shop.policy(THEN_GONE);
    assert_eq!(calls(&shop), (1, 0));
    assert_eq!(archives(&shop).len(), 1);
    shop.ok(&["restore", "--run", "last", "--to", "back"]);
    assert_eq!(fs::read_to_string(shop.path("back/x")).unwrap(), "content");
    let said = shop.ok(&["verify"]);
    assert!(said.out.contains("proved 2 of 2"), "{said:?}");
    shop.ok(&["audit", "verify"]);
}

#[test]
fn in_doubt_it_is_archived_again() {
    type Doubt = fn(&Shop);
    let doubts: [(&str, Doubt); 4] = [
        ("its bytes have changed where they lie", |shop| {
            let [object] = archives(shop).try_into().unwrap();
            shop.write(&format!("cold/{object}"), "CONTENT");
        }),
        ("it is gone", |shop| {
            let [object] = archives(shop).try_into().unwrap();
            fs::remove_file(shop.path("cold").join(object)).unwrap();
        }),
        ("the file has changed", |shop| {
            shop.file("x", "CONTENT", 3 * DAY);
        }),
        ("the plugin is set otherwise", |shop| {
            let text = fs::read_to_string(shop.path("p.retain")).unwrap();
            let other = text.replace(
                "before delete, run backup",
                "before delete, run backup(name: \"{path}\")",
            );
            shop.write("p.retain", other);
        }),
    ];
    for (doubt, make) in doubts {
        let shop = Shop::new("back up, run backup into cold");
        shop.file("x", "content", 3 * DAY);
        calls(&shop);
        shop.policy(THEN_GONE);
        make(&shop);
        let content = fs::read_to_string(shop.path("store/x")).unwrap();
        let (gone, calls) = calls(&shop);
        assert_eq!((gone, calls >= 2), (1, true), "{doubt}");
        shop.ok(&["restore", "--run", "last", "--to", "back"]);
        assert_eq!(
            fs::read_to_string(shop.path("back/x")).unwrap(),
            content,
            "{doubt}"
        );
    }
}

#[test]
fn one_archive_serves_two_collections_that_ask_for_the_same() {
    let check = |first: &str, second: &str, expected: usize, of: &str| {
        let shop = Shop::new("keep always");
        let clock = "age is measured from last modified";
        shop.write(
            "p.retain",
            format!(
                "edition 2026\n\
                 collection whole at \"**\" {{\n{clock}\n{first}\n}}\n\
                 collection texts at \"**/*.txt\" {{\n{clock}\n{second}\n}}\n"
            ),
        );
        shop.file("x.txt", "content", 3 * DAY);
        assert_eq!(apply(&shop)["archived"], expected, "{first} {second}");
        assert!(archives(&shop)[0].starts_with(of), "{:?}", archives(&shop));
        assert_eq!(apply(&shop)["archived"], 0, "{first} {second}");
    };
    let plain = "back up, run backup into cold";
    let named = "back up, run backup(name: \"named/{path}\") into cold";
    let expiring = "back up, run backup into cold\ndelete backups when older than 9 days";
    check(plain, plain, 1, "whole/");
    // An archive that is deleted one day serves nobody who wants it for good.
    check(expiring, plain, 1, "texts/");
    check(plain, expiring, 1, "whole/");
    check(expiring, expiring, 2, "whole/");
    check(plain, named, 2, "named/");
}

#[test]
fn pressure_takes_the_oldest_first_where_files_are_backed_up_as_well() {
    let shop = Shop::new("back up, run backup into cold");
    let text = fs::read_to_string(shop.path("p.retain")).unwrap();
    let pressure = "when store is above 30 kB, free until below 20 kB {\n    evict from all, oldest first\n}\n";
    shop.write("p.retain", text + pressure);
    for (name, age) in [("a", 1), ("b", 4), ("c", 2), ("d", 3)] {
        shop.file(name, "x".repeat(12_000), age * DAY);
    }
    shop.ok(&["plan", "files", "-o", "plan.json"]);
    let text = fs::read_to_string(shop.path("plan.json")).unwrap();
    let plan = Plan::from_json(&text).unwrap();
    let taken = plan
        .steps
        .iter()
        .filter(|step| step.ruling.pressure.is_some());
    let taken: Vec<String> = taken.map(|step| step.path.to_string()).collect();
    assert_eq!(taken, ["b", "d", "c"]);
    let said = shop.ok(&["apply", "plan.json", "--yes"]);
    assert_eq!(shop.files("store"), ["a"], "{said:?}");
}
