//! What lies in the trash: what is held stays there, and what comes back is as it was.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use serde_json::Value;

use super::shop::{DAY, Shop};

const OLD: &str = "delete when older than 7 days";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A store with these files removed into the trash.
fn trashed(files: &[&str]) -> Shop {
    let shop = Shop::new(OLD);
    shop.configure("grace = \"1 hour\"");
    for file in files {
        shop.file(file, file, 10 * DAY);
    }
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), [] as [String; 0]);
    shop
}

fn run_of(shop: &Shop) -> String {
    let list = json(&shop.ok(&["trash", "list", "--format", "json"]).out);
    list[0]["run"].as_str().unwrap().to_owned()
}

/// The list of the only run's trash, changed behind the program's back.
fn rewrite(shop: &Shop, change: impl Fn(&str) -> String) {
    let run = run_of(shop);
    let index = shop.path("store/.retain/trash").join(run).join("index");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, change(&text)).unwrap();
}

/// As if the grace of the only run's trash were over.
fn lapse(shop: &Shop) {
    rewrite(shop, |text| {
        let until = json(text.lines().next().unwrap())["until"].clone();
        text.replace(until.as_str().unwrap(), "2020-01-01T00:00:00Z")
    });
}

#[test]
fn what_is_held_stays_in_the_trash_when_its_time_is_over() {
    let shop = trashed(&["d/a", "d/b", "e/c"]);
    shop.ok(&["hold", "add", "lawsuit", "--on", "d/*", "--reason", "court"]);
    lapse(&shop);
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("emptied 1 file"), "{said:?}");
    assert!(said.out.contains("2 files stay in the trash"), "{said:?}");
    shop.ok(&["undo", "last"]);
    assert_eq!(shop.files("store"), ["d/a", "d/b"]);
}

#[test]
fn pressure_empties_the_trash_but_not_of_what_is_held() {
    let shop = trashed(&["d/a", "e/c"]);
    shop.ok(&["hold", "add", "lawsuit", "--on", "d/*", "--reason", "court"]);
    shop.file("f/old", "x", DAY);
    shop.write(
        "p.retain",
        "edition 2026\ncollection all at \"f/*\" {\nage is measured from last modified\n}\n\
         when store is above 1 KB, free until below 1 B {\nevict from all, oldest first\n}\n\
         stop never\n",
    );
    let said = shop.run(&["apply", "--yes"]);
    assert!(said.out.contains("stay"), "{said:?}");
    shop.ok(&["undo", "last"]);
    assert_eq!(shop.files("store"), ["d/a"]);
}

#[test]
fn one_bad_line_or_run_hides_no_other() {
    // What a full disk once left: half a line, and the next one behind it.
    let with_bad = |name: &str| {
        let shop = trashed(&["a", "b", "c"]);
        rewrite(&shop, |text| {
            let glued = |line: &str| match line.contains(&format!("\"{name}\"")) {
                true => format!("[\"half/of{line}\n"),
                false => format!("{line}\n"),
            };
            text.lines().map(glued).collect()
        });
        let said = shop.ok(&["trash", "list", "--all"]);
        assert!(said.out.contains("2 files"), "{said:?}");
        assert!(said.err.contains("lines that cannot be read"), "{said:?}");
        shop
    };
    // The last line is told from one that a crash cut short by its end.
    with_bad("c");
    let shop = with_bad("b");
    // A run of which nothing can be read.
    let run = run_of(&shop);
    let bad = shop.path("store/.retain/trash/20200101T000000-bad");
    fs::create_dir(&bad).unwrap();
    fs::set_permissions(&bad, Permissions::from_mode(0o700)).unwrap();
    fs::write(bad.join("index"), "no list\n").unwrap();
    fs::write(bad.join("0".repeat(32)), "x").unwrap();
    let said = shop.run(&["trash", "list"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("2 files") && said.err.contains("-bad"),
        "{said:?}"
    );
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.err.contains("-bad"), "{said:?}");
    let said = shop.ok(&["undo", &run]);
    assert!(said.out.contains("put back 2 files"), "{said:?}");
    assert!(bad.join("0".repeat(32)).exists());
}

#[test]
fn whoever_looks_for_it_elsewhere_hears_that_it_lies_in_the_trash() {
    let shop = trashed(&["d/a"]);
    for command in ["why", "restore"] {
        let said = shop.run(&[command, "store/d/a"]);
        assert_eq!(said.code, 2, "{said:?}");
        let way = "`retain undo d/a --store files` puts it back";
        assert!(said.err.contains(way), "{said:?}");
    }
    shop.ok(&["undo", "d/a", "--store", "files"]);
    assert_eq!(shop.files("store"), ["d/a"]);
}

#[test]
fn a_store_that_is_not_there_is_no_hindrance_to_another() {
    let shop = trashed(&["a", "b"]);
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let other = "[stores.other]\npath = \"nowhere\"\npolicy = \"p.retain\"\n";
    shop.write("retain.toml", format!("{configuration}{other}"));
    for what in ["store/a", "last"] {
        let said = shop.ok(&["undo", what]);
        assert!(said.out.contains("put back 1 file"), "{said:?}");
        assert!(said.err.contains("nowhere"), "{said:?}");
    }
    // And it is not said to be empty.
    let said = shop.run(&["undo", "last"]);
    assert!(said.code == 2 && said.err.contains("nowhere"), "{said:?}");
}

#[test]
fn an_emptied_list_is_not_an_empty_trash() {
    let shop = trashed(&["a"]);
    rewrite(&shop, |_| String::new());
    let said = shop.run(&["trash", "list"]);
    assert!(said.err.contains("its list is empty"), "{said:?}");
}

#[test]
fn a_path_that_could_be_a_run_is_not_guessed() {
    let shop = trashed(&["2026/a", "2026x", "b"]);
    let run = run_of(&shop);
    let year = &run[..4];
    fs::rename(shop.path("store"), shop.path("moved")).unwrap();
    fs::rename(shop.path("moved"), shop.path("store")).unwrap();
    if year == "2026" {
        let said = shop.run(&["undo", year]);
        assert_eq!(said.code, 2, "{said:?}");
        let way = format!("or `{}`", shop.path("store/2026").display());
        assert!(said.err.contains(&way), "{said:?}");
        assert_eq!(shop.files("store"), [] as [String; 0]);
    }
    shop.ok(&["undo", "store/2026"]);
    assert_eq!(shop.files("store"), ["2026/a"]);
    let said = shop.ok(&["undo", &run[run.len() - 6..]]);
    assert!(
        said.out.starts_with("store files: put back 2 files"),
        "{said:?}"
    );
}

#[test]
fn a_directory_that_is_made_anew_is_as_private_as_it_was() {
    let shop = Shop::new(OLD);
    shop.configure("grace = \"1 hour\"");
    shop.file("home/alice/deep/diary", "secret", 10 * DAY);
    for (place, mode) in [
        ("home", 0o755),
        ("home/alice", 0o700),
        ("home/alice/deep", 0o750),
    ] {
        let place = shop.path("store").join(place);
        fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
    }
    // As root they belong to somebody, and do so again.
    let owner = match chown(shop.path("store/home/alice"), Some(4321), Some(4321)) {
        Ok(()) => 4321,
        Err(_) => fs::metadata(shop.path("store")).unwrap().uid(),
    };
    shop.ok(&["apply", "--yes"]);
    fs::remove_dir_all(shop.path("store/home")).unwrap();
    shop.ok(&["undo", "last"]);
    let facts = |place: &str| {
        let found = fs::metadata(shop.path("store").join(place)).unwrap();
        (found.mode() & 0o7777, found.uid())
    };
    assert_eq!(facts("home").0, 0o755);
    assert_eq!(facts("home/alice"), (0o700, owner));
    assert_eq!(facts("home/alice/deep").0, 0o750);
}

#[test]
fn what_was_written_through_another_name_comes_back_and_is_not_purged() {
    let shop = trashed(&["a"]);
    let shop_link = |shop: &Shop| {
        let run = run_of(shop);
        let trash = shop.path("store/.retain/trash").join(run);
        let mut slots = fs::read_dir(&trash).unwrap().map(|e| e.unwrap().path());
        let slot = slots.find(|path| !path.ends_with("index"));
        fs::hard_link(slot.unwrap(), shop.path("other")).unwrap();
    };
    shop_link(&shop);
    fs::write(shop.path("other"), "more than there was").unwrap();
    lapse(&shop);
    shop.ok(&["apply", "--yes"]);
    assert!(shop.ok(&["trash", "list"]).out.contains("1 file"));
    shop.ok(&["undo", "store/a"]);
    let back = fs::read_to_string(shop.path("store/a")).unwrap();
    assert_eq!(back, "more than there was");
}

#[test]
fn what_was_changed_of_the_spare_trash_is_not_used() {
    let shop = trashed(&["a"]);
    shop.ok(&["undo", "last"]);
    let spare = shop.path("store/.retain/spare");
    assert!(spare.is_dir());
    fs::set_permissions(&spare, Permissions::from_mode(0o777)).unwrap();
    for round in ["open", "full"] {
        shop.ok(&["hold", "release", &hold(&shop), "--reason", "test"]);
        let said = shop.ok(&["apply", "--yes"]);
        assert!(
            said.out.contains("1 file in the trash"),
            "{round}: {said:?}"
        );
        assert!(spare.is_dir());
        shop.ok(&["undo", "last"]);
        let _ = fs::remove_dir_all(&spare);
        fs::create_dir(&spare).unwrap();
        fs::set_permissions(&spare, Permissions::from_mode(0o700)).unwrap();
        fs::write(spare.join("index"), "{}\n").unwrap();
    }
}

fn hold(shop: &Shop) -> String {
    let list = json(&shop.ok(&["hold", "list", "--format", "json"]).out);
    list[0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn an_undo_that_brings_nothing_back_holds_nothing() {
    let shop = trashed(&["d/a"]);
    fs::remove_dir(shop.path("store/d")).unwrap();
    fs::write(shop.path("store/d"), "in the way").unwrap();
    let said = shop.run(&["undo", "last"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(!said.out.contains("held until"), "{said:?}");
    assert!(shop.ok(&["hold", "list"]).out.contains("nothing is held"));

    // What an earlier undo of the run brought back stays held.
    let shop = trashed(&["a", "d/b"]);
    fs::remove_dir(shop.path("store/d")).unwrap();
    fs::write(shop.path("store/d"), "in the way").unwrap();
    shop.ok(&["undo", "store/a"]);
    assert_eq!(shop.run(&["undo", "last"]).code, 1);
    assert!(hold(&shop).starts_with("undo-"));
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["a", "d"]);
}
