//! `back up`: archives of files that stay.

use std::fs;

use retain::plan::{Action, Plan};
use serde_json::Value;

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

    // One archive serves both statements.
    let shop = Shop::new(
        "back up, run backup into cold\ndelete when older than 7 days\n\
         before delete, run backup into cold, otherwise delete anyway",
    );
    shop.file("old", "old", 8 * DAY);
    assert_eq!(apply(&shop)["archived"], 1);
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
    assert_eq!(plan.steps[0].action, Action::BackUp);
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
    assert!(said.err.contains("R0510"), "{said:?}");
}
