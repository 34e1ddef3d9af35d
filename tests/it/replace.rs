//! `replace when …, using PLUGIN`: an archive in its file's place, through the binary.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::guests;
use super::shop::{DAY, Shop};

const PLUGIN: &str =
    "[plugins.compress]\nwasm = \"builtin:compress\"\ngrants = { in_place = true }\n";
const REPLACE: &str = "replace when older than 7 days, using compress";

/// A store whose logs are compressed in place.
fn shop(more: &str) -> Shop {
    let shop = Shop::new("delete always");
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", configuration + PLUGIN);
    logs(&shop, more);
    shop
}

fn logs(shop: &Shop, more: &str) {
    shop.write(
        "p.retain",
        format!(
            "edition 2026\ncollection logs at \"**/*.log\" {{\n\
             age is measured from last modified\n{REPLACE}\n{more}\n}}\nstop never\n"
        ),
    );
}

fn log(n: usize) -> String {
    format!("line {n}: nothing happened\n").repeat(500)
}

#[test]
fn a_file_is_replaced_once_with_all_that_it_was_and_comes_back_byte_for_byte() {
    let shop = shop("");
    shop.file("a/x.log", log(1), 10 * DAY);
    shop.file("a/young.log", log(2), DAY);
    let file = shop.path("store/a/x.log");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&file).unwrap();

    let said = shop.ok(&["plan"]);
    assert!(said.out.contains("would replace 1 file"), "{said:?}");
    assert!(said.out.contains("nothing to remove"), "{said:?}");
    let said = shop.ok(&["apply", "--yes"]);
    assert!(
        said.out.contains("1 file replaced by archives proved"),
        "{said:?}"
    );
    assert_eq!(shop.files("store"), ["a/x.log.zst", "a/young.log"]);
    let after = fs::metadata(shop.path("store/a/x.log.zst")).unwrap();
    assert!(after.len() < before.len() / 4);
    assert_eq!(
        (after.mode(), after.uid(), after.gid(), after.mtime_nsec()),
        (
            before.mode(),
            before.uid(),
            before.gid(),
            before.mtime_nsec()
        )
    );

    let said = shop.ok(&["apply", "--yes"]);
    assert!(!said.out.contains("replaced"), "{said:?}");
    assert_eq!(shop.files("store"), ["a/x.log.zst", "a/young.log"]);

    let said = shop.ok(&["verify"]);
    assert!(said.out.contains("proved 1 of 1"), "{said:?}");
    shop.ok(&["restore", "a/x.log", "--to", "back"]);
    assert_eq!(
        fs::read_to_string(shop.path("back/a/x.log")).unwrap(),
        log(1)
    );
    shop.ok(&["audit", "verify"]);
}

#[test]
fn what_was_replaced_goes_on_being_judged_under_the_name_it_had() {
    let shop = shop("");
    shop.file("x.log", log(1), 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["x.log.zst"]);

    // No longer than that name is protected, and that by the original.
    logs(&shop, "delete when older than 9 days\nkeep newest 1");
    let said = shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["x.log.zst"], "{said:?}");
    let said = shop.ok(&["why", "x.log.zst"]);
    assert!(said.out.contains("is kept by p.retain:6"), "{said:?}");

    logs(&shop, "delete when older than 9 days");
    shop.ok(&["hold", "add", "case", "--on", "*.log"]);
    shop.run(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["x.log.zst"]);
    shop.ok(&["hold", "release", "case", "--reason", "over"]);

    let said = shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), Vec::<String>::new(), "{said:?}");
    let litter = fs::read_dir(shop.path("store/.retain/replaced")).unwrap();
    let litter: Vec<_> = litter.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(litter, [".staging"]);
    let said = shop.ok(&["verify"]);
    assert!(
        said.out.contains("1 lay in their files' places"),
        "{said:?}"
    );
}

#[test]
fn an_archive_somebody_has_touched_is_a_file_of_its_own() {
    let shop = shop("");
    shop.file("x.log", log(1), 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    let archive = shop.path("store/x.log.zst");
    fs::write(&archive, "mine").unwrap();
    logs(&shop, "delete always");
    shop.ok(&["apply", "--yes"]);
    assert_eq!(fs::read_to_string(archive).unwrap(), "mine");
    let said = shop.run(&["verify"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("its bytes have changed"), "{said:?}");
}

#[test]
fn what_cannot_be_replaced_is_kept_with_the_reason() {
    let shop = shop("");
    shop.file("taken.log", log(1), 10 * DAY);
    shop.file("taken.log.zst", "somebody's", 10 * DAY);
    shop.file("small.log", "x", 10 * DAY);
    shop.file(format!("{}.log", "n".repeat(250)), log(2), 10 * DAY);
    let before = shop.files("store");
    let said = shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), before, "{said:?}");
    let said = shop.ok(&["runs", "last"]);
    for reason in [
        "`taken.log.zst` is there already",
        "is not smaller than its 1 bytes",
        "too long to take `.zst`",
    ] {
        assert!(said.out.contains(reason), "{reason}: {said:?}");
    }
}

#[test]
fn a_hold_or_a_protection_forbids_replacing_and_a_keep_permits_it() {
    let shop = shop("keep always");
    shop.file("kept.log", log(1), 10 * DAY);
    shop.file("protected.log", log(2), 10 * DAY);
    shop.file("held.log", log(3), 10 * DAY);
    let policy = fs::read_to_string(shop.path("p.retain")).unwrap();
    shop.write(
        "p.retain",
        policy + "protect \"protected.log\"\nhold \"case\" on \"held.log\"\n",
    );
    shop.ok(&["apply", "--yes"]);
    assert_eq!(
        shop.files("store"),
        ["held.log", "kept.log.zst", "protected.log"]
    );
}

#[test]
fn a_plugin_that_states_no_suffix_or_is_not_granted_the_places_is_an_error_of_check() {
    let shop = shop("");
    shop.file("x.log", log(1), 10 * DAY);
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let ungranted = "grants = { destinations = [\"cold\"] }";
    shop.write(
        "retain.toml",
        configuration.replace("grants = { in_place = true }", ungranted),
    );
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("not granted its files' places"),
        "{said:?}"
    );
    let policy = fs::read_to_string(shop.path("p.retain")).unwrap();
    shop.write("p.retain", policy.replace("using compress", "using backup"));
    let said = shop.run(&["check"]);
    assert!(said.err.contains("states no suffix"), "{said:?}");
    assert_eq!(shop.run(&["apply", "--yes"]).code, 2);
    assert!(shop.has("x.log"));
}

#[test]
fn with_grace_the_file_lies_in_the_trash_and_is_put_back_beside_its_archive() {
    let shop = shop("");
    shop.configure("grace = \"1 hour\"");
    shop.file("x.log", log(1), 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["x.log.zst"]);
    shop.ok(&["undo", "last"]);
    assert_eq!(shop.files("store"), ["x.log", "x.log.zst"]);
    assert_eq!(
        fs::read_to_string(shop.path("store/x.log")).unwrap(),
        log(1)
    );
    // With both there neither is touched: the file is held, its archive is only one more.
    logs(&shop, "delete when older than 9 days");
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["x.log", "x.log.zst"]);
}

#[test]
fn a_lost_state_directory_is_rebuilt_from_what_the_store_keeps() {
    let shop = shop("");
    shop.file("x.log", log(1), 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    fs::remove_dir_all(shop.path("state")).unwrap();
    fs::create_dir(shop.path("cold")).unwrap();
    let said = shop.ok(&["catalogue", "rebuild"]);
    assert!(said.out.contains("1 of them new"), "{said:?}");
    shop.ok(&["restore", "x.log", "--to", "back"]);
    assert_eq!(fs::read_to_string(shop.path("back/x.log")).unwrap(), log(1));
    logs(&shop, "delete when older than 9 days");
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), Vec::<String>::new());
}

#[test]
fn a_plugin_that_lies_replaces_nothing() {
    for guest in ["restore-other", "restore-nothing", "trap", "spin", "fails"] {
        let shop = shop("");
        let wasm = guests::component_with_suffix(guest, ".liar");
        shop.write("liar.wasm", wasm);
        let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
        shop.write(
            "retain.toml",
            configuration
                + "[plugins.liar]\nwasm = \"liar.wasm\"\ngrants = { in_place = true, wall = \"1 s\" }\n",
        );
        let policy = fs::read_to_string(shop.path("p.retain")).unwrap();
        shop.write("p.retain", policy.replace("using compress", "using liar"));
        shop.file("x.log", "0123456789".repeat(4), 10 * DAY);
        let said = shop.run(&["apply", "--yes"]);
        assert_eq!(said.code, 1, "{guest}: {said:?}");
        assert_eq!(shop.files("store"), ["x.log"], "{guest}");
        assert_eq!(
            shop.ok(&["verify"]).out.trim(),
            "proved 0 of 0 archives; 0 are recorded"
        );
    }
}

#[test]
fn what_does_not_compress_is_tried_once_until_something_changes() {
    let shop = shop("");
    let mut noise = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    shop.file("noise.log", &noise, 10 * DAY);
    shop.file("x.log", log(1), 10 * DAY);
    let reasons = || {
        let said = shop.ok(&["runs", "last"]).out;
        let (tried, known) = (
            "is not smaller than its",
            "it is tried again once it changes",
        );
        (said.contains(tried), said.contains(known))
    };
    shop.ok(&["apply", "--yes"]);
    assert_eq!(reasons(), (true, false));
    assert_eq!(shop.files("store"), ["noise.log", "x.log.zst"]);
    let said = shop.ok(&["plan"]);
    assert!(
        said.out.contains("1 file that would be replaced stays")
            && !said.out.contains("- noise.log"),
        "{said:?}"
    );
    shop.ok(&["apply", "--yes"]);
    assert_eq!(reasons(), (false, false));
    let said = shop.ok(&["why", "noise.log"]);
    assert!(said.out.contains("but `compress` has tried"), "{said:?}");
    let said = shop.ok(&["why", "noise.log", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert!(
        said["declined"]
            .as_str()
            .unwrap()
            .contains("until it changes"),
        "{said}"
    );

    // Other settings, and other bytes of the same length and time.
    let policy = fs::read_to_string(shop.path("p.retain")).unwrap();
    shop.write(
        "p.retain",
        policy.replace("using compress", "using compress(level: 9)"),
    );
    shop.ok(&["apply", "--yes"]);
    assert_eq!(reasons(), (true, false));
    noise.reverse();
    shop.file("noise.log", &noise, 10 * DAY);
    assert!(!shop.ok(&["why", "noise.log"]).out.contains("has tried"));
    shop.ok(&["apply", "--yes"]);
    assert_eq!(reasons(), (true, false));

    // A memory that is damaged, or gone, costs a try and nothing else.
    let memory = shop.path("store/.retain/replaced/no-smaller");
    fs::write(&memory, b"\xff nonsense\n").unwrap();
    shop.ok(&["apply", "--yes"]);
    assert_eq!(reasons(), (true, false));
    shop.ok(&["apply", "--yes"]);
    assert_eq!(reasons(), (false, false));
    assert_eq!(fs::read(shop.path("store/noise.log")).unwrap(), noise);
}

#[test]
fn an_archive_in_its_file_s_place_moves_with_its_store() {
    let shop = shop("");
    shop.file("a/x.log", log(1), 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    fs::rename(shop.path("store"), shop.path("elsewhere")).unwrap();
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let moved = configuration.replace("path = \"store\"", "path = \"elsewhere\"");
    shop.write("retain.toml", moved);
    let check = || {
        let said = shop.ok(&["verify"]);
        assert!(said.out.contains("proved 1 of 1"), "{said:?}");
        shop.ok(&["restore", "a/x.log", "--to", "back"]);
        let back = shop.path("back/a/x.log");
        assert_eq!(fs::read_to_string(&back).unwrap(), log(1));
        fs::remove_file(back).unwrap();
    };
    check();
    // And with a journal that was made again from what lies there.
    fs::remove_dir_all(shop.path("state")).unwrap();
    fs::create_dir(shop.path("cold")).unwrap();
    shop.ok(&["catalogue", "rebuild"]);
    check();
}
