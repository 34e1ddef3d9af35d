//! Archives years later: proved again, restored by another plugin, found again after
//! the state was lost.

use std::fs;

use serde_json::Value;

use super::shop::{DAY, Shop};

const BACKUP: &str =
    "delete when older than 7 days\nbefore delete, run backup into cold, otherwise keep";

fn archived(files: usize) -> Shop {
    let shop = Shop::new(BACKUP);
    for n in 0..files {
        shop.file(format!("dir/{n:02}"), format!("content {n}"), 10 * DAY);
    }
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    shop
}

fn objects(shop: &Shop) -> Vec<String> {
    let mut names = shop.files("cold");
    names.retain(|name| !name.ends_with(".receipt.json"));
    names
}

#[test]
fn archives_are_proved_again_and_a_damaged_one_is_named() {
    let shop = archived(20);
    let said = shop.run(&["verify"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("proved 20 of 20 archives"), "{said:?}");
    let said = shop.run(&["verify", "--sample", "5%"]);
    assert!(
        said.out.contains("proved 1 of 1 archives; 20 are recorded"),
        "{said:?}"
    );
    let wrong = shop.run(&["verify", "--sample", "some"]);
    assert!(
        wrong.code == 2 && wrong.err.contains("--sample 5%"),
        "{wrong:?}"
    );

    let object = shop.path("cold").join(&objects(&shop)[3]);
    let bytes = fs::read(&object).unwrap();
    fs::write(&object, bytes.to_ascii_uppercase()).unwrap();
    fs::remove_file(shop.path("cold").join(&objects(&shop)[7])).unwrap();
    let said = shop.run(&["verify", "--format", "json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let bad: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|row: &Value| row["proved"] == false)
        .collect();
    let mut paths: Vec<_> = bad
        .iter()
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    paths.sort_unstable();
    assert_eq!(paths, ["dir/03", "dir/07"]);
    assert!(said.out.contains("is not what was stored"), "{said:?}");
}

#[test]
fn another_plugin_restores_where_the_old_one_must_not_run() {
    let shop = archived(1);
    // What dedup-backup stores is the file itself, so it can restore a copy as well.
    let said = shop.run(&[
        "plugin",
        "inspect",
        "builtin:dedup-backup",
        "--format",
        "json",
    ]);
    let digest: Value = serde_json::from_str(&said.out).unwrap();
    let digest = &digest["sha256"].as_str().unwrap()[..12];
    let said = shop.run(&["restore", "dir/00", "--with", "0000"]);
    assert_eq!(said.code, 2, "{said:?}");
    let said = shop.run(&["restore", "dir/00", "--with", digest]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        fs::read_to_string(shop.path("store/dir/00")).unwrap(),
        "content 0"
    );
}

#[test]
fn a_plugin_that_makes_something_else_of_an_archive_restores_nothing() {
    let shop = archived(1);
    let said = shop.run(&["plugin", "inspect", "builtin:compress", "--format", "json"]);
    let digest: Value = serde_json::from_str(&said.out).unwrap();
    let said = shop.run(&[
        "restore",
        "dir/00",
        "--with",
        digest["sha256"].as_str().unwrap(),
    ]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(!shop.has("dir/00"));
}

#[test]
fn a_lost_state_directory_loses_no_backup() {
    let shop = archived(3);
    fs::remove_dir_all(shop.path("state")).unwrap();
    // The volume is mounted elsewhere by now, and one archive has gone.
    fs::rename(shop.path("cold"), shop.path("colder")).unwrap();
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", configuration.replace("./cold", "./colder"));
    let gone = shop
        .files("colder")
        .into_iter()
        .find(|name| !name.ends_with(".json"));
    fs::remove_file(shop.path("colder").join(gone.unwrap())).unwrap();
    shop.write("colder/other.receipt.json", "{}");

    let said = shop.run(&["verify"]);
    assert!(said.err.contains("retain catalogue rebuild"), "{said:?}");
    let said = shop.run(&["catalogue", "rebuild"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("2 receipts found, 2 of them new"),
        "{said:?}"
    );
    assert!(
        said.err.contains("it is no receipt") && said.err.contains("is gone"),
        "{said:?}"
    );
    shop.ok(&["audit", "verify"]);
    let again = shop.run(&["catalogue", "rebuild"]);
    assert!(again.out.contains("0 of them new"), "{again:?}");
    let said = shop.run(&["restore", "store/dir/01", "store/dir/02"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        fs::read_to_string(shop.path("store/dir/02")).unwrap(),
        "content 2"
    );
    // What was taken in is chained as what was recorded, and the store goes on as before.
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
    shop.file("later", "x", 10 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!shop.has("later"));
}

#[test]
fn a_component_that_was_lost_with_the_state_is_named_with_what_to_do() {
    let shop = Shop::new("delete always\nbefore delete, run mine into cold, otherwise keep");
    let mut all = retain::plugin::builtins().iter();
    let mut wasm = all.find(|builtin| builtin.name == "backup").unwrap().wasm();
    super::guests::section(&mut wasm, "ours", b"not what the program has");
    shop.write("mine.wasm", &wasm);
    let usual = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let grants = "grants = { destinations = [\"cold\"] }\n";
    let plugin = |name: &str| format!("{usual}[plugins.{name}]\nwasm = \"mine.wasm\"\n{grants}");
    shop.write("retain.toml", plugin("mine"));
    shop.file("a", "content", 2 * DAY);
    shop.ok(&["apply", "--yes"]);
    fs::remove_dir_all(shop.path("state")).unwrap();
    shop.write("retain.toml", &usual);
    shop.ok(&["catalogue", "rebuild"]);

    let said = shop.run(&["restore", "a", "--to", "back"]);
    assert_eq!(said.code, 1, "{said:?}");
    let text = format!("{}{}", said.out, said.err);
    let digest = blake3::hash(&wasm).to_hex();
    for words in [
        "written by `mine` 0.1.0",
        "neither configured nor kept in",
        "state/plugins`",
        digest.as_str(),
        "--with DIGEST",
    ] {
        assert!(text.contains(words), "{words}: {said:?}");
    }
    shop.write("retain.toml", plugin("of-old"));
    shop.ok(&["restore", "a", "--to", "back"]);
    assert_eq!(fs::read_to_string(shop.path("back/a")).unwrap(), "content");
}

/// What `compress` makes of 1 GiB and more, at a size that tests can afford.
#[test]
fn an_archive_of_several_frames_comes_back_whole() {
    let shop = Shop::new("delete always\nbefore delete, run compress into cold, otherwise keep");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let plugin =
        "[plugins.compress]\nwasm = \"builtin:compress\"\ngrants = { destinations = [\"cold\"] }\n";
    shop.write("retain.toml", text + plugin);
    let (first, second) = ("first ".repeat(1000), "second ".repeat(1000));
    shop.file("a", &first, 2 * DAY);
    shop.file("b", &second, 2 * DAY);
    shop.ok(&["apply", "--yes"]);
    let named = |start: &str, end: &str| {
        let names = shop.files("cold").into_iter();
        let mut names = names.filter(|name| name.starts_with(start) && name.ends_with(end));
        shop.path("cold").join(names.next().unwrap())
    };
    let (object, receipt) = (named("all/a@", ".zst"), named("all/a@", ".receipt.json"));
    let mut frames = fs::read(&object).unwrap();
    frames.extend(fs::read(named("all/b@", ".zst")).unwrap());
    fs::write(&object, &frames).unwrap();
    let whole = first + &second;
    let content = |bytes: &[u8]| (bytes.len(), blake3::hash(bytes).to_hex().to_string());
    let mut said: Value = serde_json::from_str(&fs::read_to_string(&receipt).unwrap()).unwrap();
    let mut say = |of: &str, (size, hash): (usize, String)| {
        let of = said.pointer_mut(of).unwrap();
        of["size"] = size.into();
        of["blake3"] = hash.into();
    };
    say("/objects/0", content(&frames));
    say("/source", content(whole.as_bytes()));
    fs::write(&receipt, said.to_string()).unwrap();
    fs::remove_dir_all(shop.path("state")).unwrap();
    shop.ok(&["catalogue", "rebuild"]);
    shop.ok(&["restore", "a", "--to", "back"]);
    assert_eq!(fs::read_to_string(shop.path("back/a")).unwrap(), whole);
}

#[test]
fn a_destination_that_was_never_made_is_no_hindrance_to_the_others() {
    let shop = Shop::new("delete when older than 7 days");
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let more = "[destinations.later]\nurl = \"file://./later\"\n";
    shop.write("retain.toml", format!("{configuration}{more}"));
    let said = shop.ok(&["catalogue", "rebuild"]);
    assert!(
        said.err.contains("destination `later` is left out"),
        "{said:?}"
    );
    // Asked for by name it has to be there.
    let said = shop.run(&["catalogue", "rebuild", "later"]);
    assert_eq!(said.code, 2, "{said:?}");
}
