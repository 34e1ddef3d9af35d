//! The archivers that are part of the program, through the binary: into a
//! destination, proved, and back byte for byte.

use std::fs;

use serde_json::Value;

use super::shop::{DAY, Shop};

/// A store whose old files go after an archiver has them.
fn shop(plugin: &str, run: &str) -> Shop {
    let shop = Shop::new(&format!(
        "delete when older than 7 days\nbefore delete, run {run} into cold, otherwise keep"
    ));
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", configuration + plugin);
    shop
}

fn compress(run: &str) -> Shop {
    shop(
        "[plugins.compress]\nwasm = \"builtin:compress\"\ngrants = { destinations = [\"cold\"] }\n",
        run,
    )
}

fn dedup() -> Shop {
    shop(
        "[plugins.dedup]\nwasm = \"builtin:dedup-backup\"\ngrants = { destinations = [\"cold\"] }\n",
        "dedup",
    )
}

/// Bytes that repeat at a distance, and some that do not.
fn text(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let words = ["alpha ", "beta ", "gamma ", "delta\n"];
    let mut bytes = Vec::new();
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        bytes.extend(words[(state >> 30) as usize].bytes());
        bytes.push(state.to_le_bytes()[3]);
    }
    bytes.truncate(length);
    bytes
}

fn objects(shop: &Shop) -> Vec<String> {
    let mut names = shop.files("cold");
    names.retain(|name| !name.ends_with(".receipt.json"));
    names
}

#[test]
fn a_compressed_file_is_smaller_and_comes_back_byte_for_byte() {
    let shop = compress("compress");
    let content = text(3_000_000);
    shop.file("a/log.txt", &content, 10 * DAY);
    shop.file("empty", "", 10 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store"), Vec::<String>::new());
    let objects = objects(&shop);
    assert_eq!(objects.len(), 2);
    assert!(
        objects.iter().all(|name| name.ends_with(".zst")),
        "{objects:?}"
    );
    let stored = fs::read(shop.path("cold").join(&objects[0])).unwrap();
    assert!(stored.len() < content.len() / 2, "{}", stored.len());
    assert_eq!(
        stored[..4],
        [0x28, 0xb5, 0x2f, 0xfd],
        "a frame of Zstandard"
    );

    let said = shop.run(&["restore", "--run", "last"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(fs::read(shop.path("store/a/log.txt")).unwrap() == content);
    assert_eq!(fs::read(shop.path("store/empty")).unwrap(), b"");
}

#[test]
fn level_and_window_change_the_archive_and_not_the_file() {
    let content = text(2_000_000);
    let mut sizes = Vec::new();
    for run in [
        "compress(level: 1)",
        "compress(level: 9)",
        "compress(level: 1, window: 1 KiB)",
    ] {
        let shop = compress(run);
        shop.file("f", &content, 10 * DAY);
        let said = shop.run(&["apply", "--yes"]);
        assert_eq!(said.code, 0, "{run}: {said:?}");
        sizes.push(
            fs::metadata(shop.path("cold").join(&objects(&shop)[0]))
                .unwrap()
                .len(),
        );
        assert_eq!(shop.run(&["restore", "f"]).code, 0);
        assert!(fs::read(shop.path("store/f")).unwrap() == content);
    }
    assert!(sizes[1] < sizes[0] && sizes[0] < sizes[2], "{sizes:?}");
}

#[test]
fn a_level_that_needs_more_memory_than_is_granted_is_refused_by_check() {
    let shop = compress("compress(level: 19)");
    shop.file("f", "x", 10 * DAY);
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("`level` with the value 19 needs"),
        "{said:?}"
    );
    assert!(said.err.contains("67.1 MB are granted"), "{said:?}");
    assert_eq!(shop.run(&["apply", "--yes"]).code, 2);
    assert!(shop.has("f"));
}

#[test]
fn settings_of_the_configuration_are_held_against_the_schema_where_they_stand() {
    let shop = compress("compress");
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write(
        "retain.toml",
        format!("{configuration}settings = {{ level = 40, window = \"1 MiB\", nmae = \"x\" }}\n"),
    );
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("`level` must be at most 22, not 40"),
        "{said:?}"
    );
    assert!(said.err.contains("did you mean `name`"), "{said:?}");
    assert!(said.err.contains("retain.toml:14:22"), "{said:?}");
}

#[test]
fn a_destination_on_the_store_s_own_file_system_is_warned_about() {
    let shop = compress("compress");
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.err.contains("`cold` lies on the same file system"),
        "{said:?}"
    );
}

#[test]
fn a_plugin_no_policy_names_is_checked_all_the_same_and_one_that_is_named_once() {
    let shop = compress("compress");
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let compress = "settings = { level = 40 }\n";
    let unused = "[plugins.unused]\nwasm = \"builtin:nothing\"\n";
    shop.write("retain.toml", format!("{configuration}{compress}{unused}"));
    let said = shop.run(&["check", "--format", "json"]);
    assert_eq!(said.code, 2, "{said:?}");
    let findings: Value = serde_json::from_str(&said.out).unwrap();
    let codes: Vec<_> = findings["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| &f["code"])
        .collect();
    assert_eq!(codes, ["R0504", "R0502"], "{said:?}");
}

#[test]
fn files_are_restored_by_pattern_and_as_they_were_at_some_time() {
    let shop = compress("compress");
    for age in [30, 20, 10] {
        shop.file("a/x.txt", format!("as of {age} days ago"), age * DAY);
        if age == 20 {
            shop.file("b/y.txt", "y", age * DAY);
            shop.file("b/z.bin", "z", age * DAY);
        }
        shop.ok(&["apply", "--yes"]);
    }
    let days_ago = |days: i64| {
        let span = jiff::SignedDuration::from_hours(24 * days);
        (jiff::Timestamp::now() - span).to_string()
    };

    let said = shop.ok(&["restore", "--list", "a/x.txt"]);
    assert_eq!(said.out.lines().count(), 3, "{said:?}");
    let said = shop.ok(&["restore", "--list", "**/*.txt", "--format", "json"]);
    let listed: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let paths: Vec<_> = listed.iter().map(|v| v["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["a/x.txt", "a/x.txt", "a/x.txt", "b/y.txt"]);
    assert!(listed[0]["modified"].as_str() > listed[1]["modified"].as_str());

    shop.ok(&["restore", "**/*.txt", "--to", "newest"]);
    assert_eq!(shop.files("newest"), ["a/x.txt", "b/y.txt"]);
    let x = |place: &str| fs::read_to_string(shop.path(place).join("a/x.txt")).unwrap();
    assert_eq!(x("newest"), "as of 10 days ago");
    for (days, expected) in [(15, 20), (20, 20), (25, 30), (30, 30)] {
        let place = format!("then-{days}");
        shop.ok(&[
            "restore",
            "a/x.txt",
            "--at",
            &days_ago(days),
            "--to",
            &place,
        ]);
        assert_eq!(x(&place), format!("as of {expected} days ago"), "{days}");
    }

    let said = shop.run(&["restore", "a/x.txt", "--at", &days_ago(40)]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("no archived version is as old"),
        "{said:?}"
    );
    let said = shop.run(&["restore", "a/x.txt", "--at", "yesterday"]);
    assert!(said.err.contains("`yesterday` is no time"), "{said:?}");
    let said = shop.run(&["restore", "nothing/*"]);
    assert!(
        said.err.contains("there is no archive of `nothing/*`"),
        "{said:?}"
    );
}

#[test]
fn the_same_bytes_are_stored_once_across_files_and_runs() {
    let shop = dedup();
    shop.file("one", "same", 10 * DAY);
    shop.file("two", "same", 11 * DAY);
    shop.file("other", "different", 10 * DAY);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    assert_eq!(objects(&shop).len(), 2);
    shop.file("three", "same", 10 * DAY);
    let said = shop.run(&["apply", "--yes", "--format", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let done: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(done["archived"], 1);
    let objects = objects(&shop);
    assert_eq!(objects.len(), 2, "{objects:?}");
    assert!(
        objects.iter().all(|name| name.starts_with("objects/")),
        "{objects:?}"
    );
    // Each file has a receipt of its own beside the object they share.
    assert_eq!(shop.files("cold").len(), 2 + 4);

    for (name, content) in [
        ("one", "same"),
        ("two", "same"),
        ("three", "same"),
        ("other", "different"),
    ] {
        assert_eq!(shop.run(&["restore", name]).code, 0, "{name}");
        assert_eq!(
            fs::read_to_string(shop.path("store").join(name)).unwrap(),
            content
        );
    }
}

#[test]
fn an_object_that_was_damaged_backs_no_second_file() {
    let shop = dedup();
    shop.file("one", "same", 10 * DAY);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    fs::write(shop.path("cold").join(&objects(&shop)[0]), "SAME").unwrap();
    shop.file("two", "same", 10 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("the proof failed"), "{said:?}");
    assert!(shop.has("two"));
}
