//! `legal-hold`: a list of what is held, and markers in the directories that are.

use std::fs;
use std::os::unix::fs::symlink;

use retain::cancel::Cancel;

use super::shop::{DAY, Shop};

/// A store whose policy wants everything old gone, with the hold's settings.
fn shop(settings: &str) -> Shop {
    let shop = Shop::new("delete when older than 1 day\nbefore delete, run hold, otherwise keep");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let plugin = format!("[plugins.hold]\nwasm = \"builtin:legal-hold\"\nsettings = {settings}\n");
    shop.write("retain.toml", text + &plugin);
    shop
}

#[test]
fn a_marker_keeps_what_lies_beside_and_below_it_and_lets_the_rest_go() {
    let shop = shop("{ marker = \".legal-hold\" }");
    let held = [
        "case/.legal-hold",
        "case/beside",
        "case/deep/er/below",
        "link/below/x",
        "directory/x",
    ];
    let others = ["cases/x", "open/case/x", "top", "link.legal-hold/x"];
    for name in held.iter().chain(&others) {
        shop.file(name, "x", 2 * DAY);
    }
    // Whatever it is, it is an entry of that name, wherever it leads.
    symlink("/nowhere", shop.path("store/link/.legal-hold")).unwrap();
    fs::create_dir(shop.path("store/directory/.legal-hold")).unwrap();
    let said = shop.ok(&["apply", "--yes"]);
    for name in held {
        assert!(shop.has(name), "{name}: {said:?}");
    }
    for name in others {
        assert!(!shop.has(name), "{name}: {said:?}");
    }
    let why = "case/deep/er/below: kept by plugin `hold`: legal hold: `.legal-hold` lies beside or above it";
    assert!(said.out.contains(why), "{said:?}");

    // One in the root holds the store; when they are gone, so is the hold.
    shop.file("top", "x", 2 * DAY);
    shop.file(".legal-hold", "x", 2 * DAY);
    shop.ok(&["apply", "--yes"]);
    assert!(shop.has("top") && shop.has(".legal-hold"));
    for marker in [".legal-hold", "case/.legal-hold"] {
        fs::remove_file(shop.path("store").join(marker)).unwrap();
    }
    shop.ok(&["apply", "--yes"]);
    assert!(!shop.has("top") && !shop.has("case/beside"));
    assert!(shop.has("link/below/x"));
}

#[test]
fn a_marker_in_a_directory_that_goes_as_a_whole_keeps_all_of_it() {
    let shop = shop("{ marker = \"hold\", reason = \"case 7\" }");
    shop.write(
        "p.retain",
        "edition 2026\ncollection runs at \"runs/{id}/\" {\n\
         age is measured from last modified\ndelete when older than 7 days\n\
         before delete, run hold, otherwise keep\n}\n",
    );
    for name in ["runs/1/a", "runs/1/sub/b", "runs/1/sub/hold", "runs/2/a"] {
        shop.file(name, name, 10 * DAY);
    }
    let said = shop.ok(&["apply", "--yes"]);
    let left = ["runs/1/a", "runs/1/sub/b", "runs/1/sub/hold"];
    assert_eq!(shop.files("store"), left, "{said:?}");
    assert!(said.out.contains("legal hold: case 7"), "{said:?}");
}

#[test]
fn where_nobody_can_say_whether_there_is_a_marker_the_file_stays() {
    // No file system of ours has such a name, and none says that it is not there.
    let name = "n".repeat(300);
    let shop = shop(&format!("{{ marker = \"{name}\" }}"));
    shop.file("a/x", "x", 2 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(shop.has("a/x"));
    let words = "lies in the store's root cannot be seen: file name too long";
    assert!(said.out.contains(words), "{said:?}");
}

#[test]
fn a_hold_without_list_and_marker_is_refused_before_anything_goes() {
    for (settings, words) in [
        ("{}", "one of the settings is missing: `paths` or `marker`"),
        ("{ marker = \"\" }", "`marker` must not be empty"),
        (
            "{ marker = \"a/b\" }",
            "must be a name as a directory has it",
        ),
        (
            "{ paths = [], marker = \"hold\" }",
            "the hold list `paths` is empty",
        ),
    ] {
        let shop = shop(settings);
        shop.file("x", "x", 2 * DAY);
        let said = shop.run(&["apply", "--yes"]);
        assert!(said.code == 1 || said.code == 2, "{settings}: {said:?}");
        let all = format!("{}{}", said.out, said.err);
        assert!(all.contains(words), "{settings}: {said:?}");
        assert!(shop.has("x"), "{settings}");
    }
}

#[test]
fn a_file_that_is_tried_is_seen_with_what_lies_beside_it() {
    let shop = Shop::new("keep always");
    shop.file("a/x", "x", DAY);
    let settings = r#"{"marker": "hold"}"#;
    let run = ["plugin", "run", "builtin:legal-hold", "store/a/x"];
    let run = [&run[..], &["--settings", settings]].concat();
    assert!(shop.ok(&run).out.contains("it may go"));
    shop.file("a/hold", "", DAY);
    let said = shop.ok(&run);
    assert!(
        said.out.contains("it is kept: legal hold: `hold`"),
        "{said:?}"
    );
    let said = shop.ok(&["plugin", "inspect", "builtin:legal-hold"]);
    assert!(
        said.out.contains("retain:plugin/surroundings@0.1.0"),
        "{said:?}"
    );
    assert!(!said.out.contains("REFUSED"), "{said:?}");
}

#[test]
fn what_is_only_reviewed_goes_in_larger_batches_than_what_is_archived() {
    let shop = shop(r#"{ paths = ["nothing"] }"#);
    shop.write(
        "p.retain",
        "edition 2026\n\
         collection looked_at at \"a/**\" {\n\
             age is measured from last modified\n\
             delete when older than 1 day\n\
             before delete, run hold, otherwise keep\n\
         }\n\
         collection stored at \"b/**\" {\n\
             age is measured from last modified\n\
             delete when older than 1 day\n\
             before delete, run hold, otherwise keep\n\
             before delete, run backup into cold, otherwise keep\n\
         }\n",
    );
    for n in 0..5_300 {
        let directory = if n < 5_000 { "a" } else { "b" };
        shop.file(format!("{directory}/{n:04}"), "", 2 * DAY);
    }
    let ends = std::cell::RefCell::default();
    let done = super::cancel::apply(&shop, &Cancel::default(), &|_, end| {
        let mut ends: std::cell::RefMut<'_, Vec<usize>> = ends.borrow_mut();
        ends.push(end);
    });
    // The second ends where archiving begins.
    assert_eq!(ends.into_inner(), [0, 4_096, 5_000, 5_256, 5_300]);
    assert_eq!((done.tallies.removed, done.receipts), (5_300, 300));
}
