//! The main job as a user does it: plan, apply, explain, restore, list.

use std::fs;

use serde_json::Value;

use super::shop::{DAY, Shop};

const BACKUP: &str =
    "delete when older than 7 days\nbefore delete, run backup into cold, otherwise keep";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_file_goes_after_its_archive_was_proved_and_comes_back_as_it_was() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let shop = Shop::new(BACKUP);
    shop.file("a/old.bin", [5; 5_000], 10 * DAY);
    shop.file("a/new.bin", "new", DAY);
    let old = shop.path("store/a/old.bin");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(&old).unwrap();

    let said = shop.run(&["apply", "--yes", "--format", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let done = json(&said.out);
    assert_eq!(
        (done["removed"].as_u64(), done["archived"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(shop.files("store"), ["a/new.bin"]);
    let [object, receipt] = shop.files("cold").try_into().unwrap();
    assert!(object.starts_with("all/a/old.bin@"), "{object}");
    assert_eq!(receipt, format!("{object}.receipt.json"));
    let receipt = json(&fs::read_to_string(shop.path("cold").join(receipt)).unwrap());
    assert_eq!(receipt["path"], "a/old.bin");
    assert_eq!(receipt["proof"], "restore");
    assert_eq!(receipt["source"]["blake3"], receipt["objects"][0]["blake3"]);

    let said = shop.run(&["restore", "store/a/old.bin"]);
    assert_eq!(said.code, 0, "{said:?}");
    let again = "a/old.bin: the next run would remove it again, by p.retain:4";
    assert!(said.err.contains(again), "{said:?}");
    let after = fs::metadata(&old).unwrap();
    assert_eq!(fs::read(&old).unwrap(), [5; 5_000]);
    assert_eq!(after.mode(), before.mode());
    assert_eq!(
        (after.mtime(), after.mtime_nsec()),
        (before.mtime(), before.mtime_nsec())
    );

    let again = shop.run(&["restore", "a/old.bin"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("nothing is overwritten"), "{again:?}");
}

#[test]
fn planning_changes_nothing_and_applying_twice_is_applying_once() {
    let shop = Shop::new(BACKUP);
    shop.file("old", "x", 10 * DAY);
    let said = shop.run(&["plan"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("would remove 1 file"), "{said:?}");
    assert!(!shop.path("state").exists() && !shop.path("cold").exists());
    assert!(!shop.path("store/.retain").exists());

    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    let second = shop.run(&["apply", "--yes"]);
    assert!(second.out.contains("removed 0 files"), "{second:?}");
    assert!(shop.run(&["plan"]).out.contains("nothing to remove"));
}

#[test]
fn without_anybody_to_ask_nothing_goes() {
    let shop = Shop::new(BACKUP);
    shop.file("old", "x", 10 * DAY);
    let said = shop.run(&["apply"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("retain apply --yes"), "{said:?}");
    assert!(shop.has("old"));
}

#[test]
fn a_saved_plan_does_its_steps_or_fewer() {
    let shop = Shop::new(BACKUP);
    shop.file("planned", "x", 10 * DAY);
    shop.file("touched", "x", 10 * DAY);
    assert_eq!(shop.run(&["plan", "-o", "saved.json"]).code, 0);
    shop.file("later", "x", 10 * DAY);
    shop.write("store/touched", "rewritten");
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store"), ["later", "touched"]);
    assert!(
        said.out
            .contains("touched: kept: it changed after it was planned"),
        "{said:?}"
    );

    let text = fs::read_to_string(shop.path("saved.json")).unwrap();
    shop.write("edited.json", text.replace("\"planned\"", "\"later\""));
    let said = shop.run(&["apply", "edited.json", "--yes"]);
    assert_eq!(said.code, 2);
    assert!(
        said.err.contains("was changed after it was made"),
        "{said:?}"
    );

    shop.policy("delete when older than 8 days");
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("has changed since"), "{said:?}");
    assert!(shop.has("later"));
}

#[test]
fn a_plan_that_wipes_is_refused_until_a_person_confirms_its_digest() {
    let shop = Shop::new("delete when older than 7 days");
    for n in 0..120 {
        shop.file(format!("{n:03}"), "x", 10 * DAY);
    }
    for command in [["plan"].as_slice(), &["apply", "--yes"]] {
        let said = shop.run(command);
        assert_eq!(said.code, 3, "{said:?}");
        assert!(
            said.out.contains("BREAKER: 120 of 120 files would go"),
            "{said:?}"
        );
    }
    assert_eq!(shop.files("store").len(), 120);

    assert_eq!(
        shop.run(&["plan", "-o", "saved.json", "--format", "json"])
            .code,
        3
    );
    assert_eq!(shop.run(&["apply", "saved.json", "--yes"]).code, 3);
    let digest = json(&fs::read_to_string(shop.path("saved.json")).unwrap())["digest"].clone();
    let wrong = shop.run(&["apply", "saved.json", "--yes", "--confirm", "0123"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert_eq!(shop.files("store").len(), 120);
    let said = shop.run(&[
        "apply",
        "saved.json",
        "--yes",
        "--confirm",
        digest.as_str().unwrap(),
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store").len(), 0);
}

#[test]
fn why_names_the_statement_that_decides_with_its_values() {
    let shop = Shop::new("delete when older than 7 days\n@mine keep when size over 1 kB");
    shop.file("small", "x", 10 * DAY);
    shop.file("large", [0; 2_000], 10 * DAY);
    let small = shop.run(&["why", "store/small"]);
    assert!(
        small.out.contains("would be removed by p.retain:4"),
        "{small:?}"
    );
    assert!(
        small.out.contains("age 10 d, needs more than 1 week: true"),
        "{small:?}"
    );
    let large = shop.run(&["why", "large", "--format", "json"]);
    let large = json(&large.out);
    assert_eq!(large["removed"], false);
    assert_eq!(large["decision"], "is kept by p.retain:5 @mine");
    let missing = shop.run(&["why", "nothing"]);
    assert_eq!(missing.code, 2);
    assert!(
        missing.err.contains("is not in store `files`"),
        "{missing:?}"
    );
}

#[test]
fn runs_are_listed_and_one_is_shown_with_its_files() {
    let shop = Shop::new(BACKUP);
    assert!(shop.run(&["runs"]).err.contains("no run yet"));
    shop.file("old", "x", 10 * DAY);
    shop.run(&["apply", "--yes"]);
    let all = json(&shop.run(&["runs", "--format", "json"]).out);
    assert_eq!(all[0]["state"], "completed");
    assert_eq!(all[0]["archived"], 1);
    let one = json(&shop.run(&["runs", "last", "--format", "json"]).out);
    assert_eq!(one["files"][0]["path"], "old");
    assert_eq!(one["files"][0]["outcome"], "removed");
    assert!(
        one["files"][0]["rule"]
            .as_str()
            .unwrap()
            .starts_with("p.retain:4")
    );
    let unknown = shop.run(&["runs", "zzz"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("there is no run `zzz`"), "{unknown:?}");
}

#[test]
fn a_whole_run_is_restored_elsewhere() {
    let shop = Shop::new(BACKUP);
    for name in ["one", "dir/two", "dir/three"] {
        shop.file(name, name, 10 * DAY);
    }
    shop.run(&["apply", "--yes"]);
    let said = shop.run(&["restore", "--run", "last", "--to", "back"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("back"), ["dir/three", "dir/two", "one"]);
    assert_eq!(
        fs::read_to_string(shop.path("back/dir/two")).unwrap(),
        "dir/two"
    );
    assert!(said.out.contains("restored 3 of 3 files"), "{said:?}");
}

#[test]
fn an_archive_that_was_tampered_with_is_not_restored() {
    let shop = Shop::new(BACKUP);
    shop.file("old", "content", 10 * DAY);
    shop.run(&["apply", "--yes"]);
    let object = shop.path("cold").join(&shop.files("cold")[0]);
    fs::write(object, "CONTENT").unwrap();
    let said = shop.run(&["restore", "old"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("is not what was stored"), "{said:?}");
    assert!(!shop.has("old"));
}

#[test]
fn archives_are_restored_by_the_version_that_wrote_them() {
    let shop = Shop::new(BACKUP);
    shop.file("old", "content", 10 * DAY);
    shop.run(&["apply", "--yes"]);
    // The configuration has gone over to something else under the same name.
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write(
        "retain.toml",
        text.replace("builtin:backup", "builtin:legal-hold"),
    );
    shop.policy("keep always");
    let said = shop.run(&["restore", "old"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(shop.has("old"));
}

#[test]
fn a_newcomer_gets_from_init_to_restore() {
    let shop = Shop::new("");
    for file in ["retain.toml", "p.retain"] {
        fs::remove_file(shop.path(file)).unwrap();
    }
    let said = shop.run(&["plan"]);
    assert!(said.err.contains("retain init"), "{said:?}");
    let said = shop.run(&["init", "./store"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.run(&["check"]).code, 0);
    let again = shop.run(&["init", "./store"]);
    assert!(
        again.code == 2 && again.err.contains("nothing is overwritten"),
        "{again:?}"
    );
    for n in 0..15 {
        shop.file(format!("{n:02}.log"), "x", (40 + n) * DAY);
    }
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store").len(), 10);
    let said = shop.run(&["restore", "store/14.log"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(shop.has("14.log"));
}

#[test]
fn a_mistake_anywhere_touches_nothing() {
    let shop = Shop::new(BACKUP);
    shop.file("old", "x", 10 * DAY);
    let refused = |said: super::shop::Said, words: &str| {
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
        assert!(shop.has("old") && !shop.path("state").exists());
    };
    shop.policy("delete when older than 6 m");
    refused(
        shop.run(&["apply", "--yes"]),
        "`m` is not a unit of time here",
    );
    shop.policy("delete always\nbefore delete, run bakcup into cold, otherwise keep");
    refused(shop.run(&["apply", "--yes"]), "did you mean `backup`?");
    shop.policy("delete always\nbefore delete, run backup into cellar, otherwise keep");
    refused(
        shop.run(&["apply", "--yes"]),
        "there is no destination `cellar`",
    );
    shop.policy("delete always\nbefore delete, run backup(nmae: \"x\") into cold, otherwise keep");
    refused(shop.run(&["apply", "--yes"]), "did you mean `name`?");
    shop.policy(BACKUP);
    refused(
        shop.run(&["apply", "flies", "--yes"]),
        "did you mean `files`?",
    );
    refused(
        shop.run(&["--config", "nowhere.toml", "apply"]),
        "there is no configuration",
    );
}

#[test]
fn the_demo_shows_the_whole_way() {
    let shop = Shop::new("");
    let said = shop.run(&["demo", "show"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("legal hold: case 26-117"), "{said:?}");
    assert!(said.out.contains("bytes are the same"), "{said:?}");
    assert_eq!(
        fs::read_to_string(shop.path("show/outside.png")).unwrap(),
        "untouched\n"
    );
    assert!(
        shop.path("show/output/charts/MSFT_1d/link.png")
            .symlink_metadata()
            .is_ok()
    );
    assert!(shop.path("show/output/charts/AAPL_1d/2026-q3.png").exists());
    let png = fs::read(shop.path("show/output/charts/AAPL_1h/now.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
    let again = shop.run(&["demo", "show"]);
    assert_eq!(again.code, 2, "{again:?}");
}

/// The usual configuration with one text replaced.
fn reconfigure(shop: &Shop, from: &str, to: &str) {
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    assert!(text.contains(from));
    shop.write("retain.toml", text.replace(from, to));
}

#[test]
fn a_saved_plan_is_held_against_todays_configuration_and_clock() {
    let shop = Shop::new(BACKUP);
    shop.file("inner/old", "x", 10 * DAY);
    assert_eq!(shop.run(&["plan", "-o", "saved.json"]).code, 0);
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let refused = |words: &str| {
        let said = shop.run(&["apply", "saved.json", "--yes"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(words), "{said:?}");
        assert!(shop.has("inner/old"));
        shop.write("retain.toml", &configuration);
    };
    let inner = "[stores.inner]\npath = \"store/inner\"\npolicy = \"p.retain\"\n[state]";
    reconfigure(&shop, "[state]", inner);
    refused("`inner/old` lies in `inner`");
    let plugin = "wasm = \"builtin:backup\"";
    reconfigure(&shop, plugin, &format!("{plugin}\nproof = \"none\""));
    refused("plugin `backup`, its settings, grants or proof");
    reconfigure(&shop, "./cold", "./other");
    refused("the place of its destination has changed");

    let text = fs::read_to_string(shop.path("saved.json")).unwrap();
    let plan = retain::plan::Plan::from_json(&text).unwrap();
    let later = retain::plan::Plan {
        now: retain::time::Now::at("2226-01-01T00:00:00Z".parse().unwrap()),
        ..plan
    };
    shop.write("saved.json", later.to_json());
    refused("the clock says");
    shop.write("saved.json", text);
    assert_eq!(shop.run(&["apply", "saved.json", "--yes"]).code, 0);
}

#[test]
fn a_saved_plan_is_a_new_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Shop::new(BACKUP);
    shop.write("elsewhere", "precious");
    std::os::unix::fs::symlink("elsewhere", shop.path("saved.json")).unwrap();
    assert_eq!(shop.run(&["plan", "-o", "saved.json"]).code, 0);
    assert_eq!(
        fs::read_to_string(shop.path("elsewhere")).unwrap(),
        "precious"
    );
    let saved = shop.path("saved.json").symlink_metadata().unwrap();
    assert_eq!(saved.permissions().mode() & 0o7777, 0o600);
    assert!(saved.is_file());
}

#[test]
fn how_an_archive_is_proved_is_said_before_and_after() {
    for (proof, before, after) in [
        (
            "none",
            "after backup into cold (NOT PROVED)",
            "1 archived first, NOT PROVED",
        ),
        (
            "read-back",
            "after backup into cold (read back, not restored)",
            "1 archived and read back first",
        ),
        (
            "restore",
            "after backup into cold\n",
            "1 archived and proved to restore first",
        ),
    ] {
        let shop = Shop::new(BACKUP);
        let plugin = "wasm = \"builtin:backup\"";
        reconfigure(&shop, plugin, &format!("{plugin}\nproof = \"{proof}\""));
        shop.file("old", "x", 10 * DAY);
        let planned = shop.run(&["plan"]);
        assert!(planned.out.contains(before), "{planned:?}");
        let plan = json(&shop.run(&["plan", "--format", "json"]).out);
        assert_eq!(plan["plan"]["hooks"][0]["proof"], proof);
        let done = shop.run(&["apply", "--yes"]);
        assert!(done.out.contains(after), "{done:?}");
    }
}
