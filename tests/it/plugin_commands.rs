//! `retain plugin`, as the author of a plugin and its operator use it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::guests;
use super::shop::{DAY, Said, Shop};

const QUICK: [&str; 4] = ["--sparse", "40 MB", "--entries", "2000"];

fn test(shop: &Shop, file: &str, more: &[&str]) -> Said {
    let mut arguments = vec!["plugin", "test", file];
    arguments.extend(QUICK);
    arguments.extend(more);
    shop.run(&arguments)
}

/// Whether guests can be built here.
fn builds_guests() -> bool {
    let targets = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let installed = targets.is_ok_and(|output| {
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        listed.lines().any(|line| line == "wasm32-wasip2")
    });
    if !installed {
        eprintln!("skipped: the target wasm32-wasip2 is not installed");
    }
    installed
}

/// The command with what building needs of the environment.
fn building(shop: &Shop, arguments: &[&str]) -> Said {
    let mut command = shop.command(arguments);
    for variable in [
        "PATH",
        "HOME",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "CARGO_NET_OFFLINE",
    ] {
        if let Some(value) = std::env::var_os(variable) {
            command.env(variable, value);
        }
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/target");
    let output = command.env("CARGO_TARGET_DIR", target).output().unwrap();
    Said {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

#[test]
fn a_new_plugin_builds_and_passes_its_tests_unchanged() {
    if !builds_guests() {
        return;
    }
    let shop = Shop::new("keep always");
    for kind in ["reviewer", "archiver"] {
        let name = format!("my-{kind}");
        let said = shop.run(&["plugin", "new", &name, "--kind", kind]);
        assert_eq!(said.code, 0, "{said:?}");
        let again = shop.run(&["plugin", "new", &name, "--kind", kind]);
        assert!(again.err.contains("nothing is overwritten"), "{again:?}");
        // The versions this repository is built with, so that no registry is asked.
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/Cargo.lock");
        fs::copy(lock, shop.path(&name).join("Cargo.lock")).unwrap();
        let said = building(&shop, &["plugin", "build", &name]);
        assert_eq!(said.code, 0, "{said:?}");
        let component = format!("{name}/{name}.wasm");
        let said = test(&shop, &component, &[]);
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.out.lines().count() >= 5, "{said:?}");
    }
}

#[test]
fn a_reviewer_in_c_builds_and_passes_its_tests_unchanged() {
    let clang = Command::new("clang").arg("--print-targets").output();
    let linker = Command::new("wasm-ld").arg("--version").output();
    let able = clang.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("wasm32"));
    if !able || linker.is_err() {
        eprintln!("skipped: clang and lld for wasm32 are not installed");
        return;
    }
    let shop = Shop::new("keep always");
    let said = shop.run(&["plugin", "new", "in-c", "--kind", "archiver", "--lang", "c"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert_eq!(shop.run(&["plugin", "new", "in-c", "--lang", "c"]).code, 0);
    let said = building(&shop, &["plugin", "build", "in-c"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = test(&shop, "in-c/in-c.wasm", &[]);
    assert_eq!(said.code, 0, "{said:?}");

    shop.file("a", "x", DAY);
    let alone = ["plugin", "run", "in-c/in-c.wasm", "store/a"];
    assert!(shop.run(&alone).out.contains("it may go"));
    fs::hard_link(shop.path("store/a"), shop.path("store/b")).unwrap();
    let said = shop.run(&alone);
    assert!(
        said.out.contains("it is kept: it has other names"),
        "{said:?}"
    );
}

#[test]
fn the_program_s_own_plugins_stand_the_suite() {
    let shop = Shop::new("keep always");
    for (name, settings) in [
        ("builtin:backup", "{}"),
        ("builtin:compress", "{}"),
        ("builtin:dedup-backup", "{}"),
        ("builtin:keep-linked", "{}"),
        ("builtin:legal-hold", r#"{"paths": ["AAPL*"]}"#),
        ("builtin:legal-hold", r#"{"marker": ".legal-hold"}"#),
    ] {
        let said = test(&shop, name, &["--settings", settings]);
        assert_eq!(said.code, 0, "{name}: {said:?}");
        assert!(!said.out.contains("FAILED"), "{name}: {said:?}");
    }
}

#[test]
fn the_suite_says_what_failed_and_why() {
    let shop = Shop::new("keep always");
    let check = |guest: &str, expected: &[&str]| {
        shop.write("evil.wasm", guests::component(guest));
        let said = test(&shop, "evil.wasm", &["--wall", "1"]);
        assert_eq!(said.code, 1, "{guest}: {said:?}");
        for words in expected {
            assert!(said.out.contains(words), "{guest}: {said:?}");
        }
    };
    check(
        "truncates",
        &[
            "FAILED  one byte comes back",
            "0 bytes came back, the file has 1",
        ],
    );
    check("trap", &["FAILED  an empty file comes back", "it trapped"]);
    check(
        "review-poison",
        &["FAILED  names that are no text", "it trapped"],
    );
    check("review-short", &["verdicts for"]);
}

#[test]
fn settings_without_which_it_cannot_work_are_asked_for() {
    let shop = Shop::new("keep always");
    let said = test(&shop, "builtin:legal-hold", &[]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err
            .contains("one of the settings is missing: `paths` or `marker`"),
        "{said:?}"
    );
    assert!(said.err.contains("--settings"), "{said:?}");
}

#[test]
fn a_reviewer_is_measured_in_fresh_instances_and_in_a_single_one() {
    let shop = Shop::new("keep always");
    let bench = "plugin bench builtin:keep-linked --entries 600 --rounds 1 --format json";
    let said = shop.ok(&bench.split(' ').collect::<Vec<_>>());
    let rows = said.out.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
        (row["what"].to_string(), row["rate"].to_string())
    });
    let (what, rates): (Vec<_>, Vec<_>) = rows.unzip();
    let expected = [
        "load and compile",
        "600 files reviewed",
        "1000 instances made",
        "1000 calls of 16 files, fresh instances",
        "1000 calls of 16 files, one instance",
    ];
    assert_eq!(what, expected.map(|what| format!("\"{what}\"")));
    assert!(
        rates[2..].iter().all(|rate| rate.ends_with(" µs each\"")),
        "{rates:?}"
    );

    // It never frees what it is given, so a thousand calls are too many for a small one.
    let bench = bench.replace(" --rounds", " --memory 1MiB --rounds");
    let said = shop.ok(&bench.split(' ').collect::<Vec<_>>());
    let last = said.out.lines().last().unwrap();
    assert!(last.contains("it does not stand them: "), "{last}");
}

#[test]
fn one_file_is_run_through_a_plugin_without_being_touched() {
    let shop = Shop::new("keep always");
    shop.file("a.txt", "content ".repeat(100), DAY);
    let said = shop.run(&[
        "plugin",
        "run",
        "builtin:compress",
        "store/a.txt",
        "--into",
        "kept",
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("archived and proved to restore"),
        "{said:?}"
    );
    let [object] = shop.files("kept").try_into().unwrap();
    assert!(object.ends_with(".zst"), "{object}");
    assert!(shop.has("a.txt"));

    let hold = [
        "plugin",
        "run",
        "builtin:legal-hold",
        "store/a.txt",
        "--settings",
    ];
    let said = shop.run(&[&hold[..], &[r#"{"paths": ["a.*"]}"#]].concat());
    assert!(said.out.contains("it is kept: legal hold: a.*"), "{said:?}");
    let said = shop.run(&[&hold[..], &[r#"{"paths": ["b.*"]}"#]].concat());
    assert!(said.out.contains("it may go"), "{said:?}");
}

#[test]
fn compress_has_18_levels_for_what_a_plugin_is_granted_unasked() {
    let shop = Shop::new("keep always");
    // Longer than the window, so that the tables are as large as they get.
    shop.file("a.log", vec![b'a'; 9_000_000], DAY);
    let run = ["plugin", "run", "builtin:compress", "store/a.log"];
    for (level, code) in [(9, 0), (12, 0), (14, 0), (15, 0), (16, 0), (18, 0), (19, 2)] {
        let settings = format!("{{\"level\": {level}}}");
        let said = shop.run(&[&run[..], &["--settings", &settings]].concat());
        assert_eq!(said.code, code, "{level}: {said:?}");
    }
}

#[test]
fn a_component_is_examined_without_being_run() {
    let shop = Shop::new("keep always");
    let said = shop.run(&["plugin", "inspect", "builtin:compress"]);
    assert_eq!(said.code, 0, "{said:?}");
    for words in [
        "compress 0.1.0, archiver",
        "asks for  a destination",
        "suffix    .zst",
        "retain:plugin/blobs@0.1.0",
        "setting   window: size",
    ] {
        assert!(said.out.contains(words), "{words}: {said:?}");
    }
    // What it is made of asks that its licence goes with it.
    let said = shop.ok(&["plugin", "inspect", "builtin:compress", "--notices"]);
    let licence = include_str!("../../plugins/compress/LICENSE.zstd");
    assert_eq!(said.out, licence);
    let said = shop.ok(&["plugin", "inspect", "builtin:backup", "--notices"]);
    assert_eq!(said.out, "it carries none\n");

    let mut wasm = wat::parse_str(
        r#"(component (import "wasi:sockets/tcp@0.2.0" (instance (export "reach-out" (func)))))"#,
    )
    .unwrap();
    guests::section(&mut wasm, "retain:notices", b"free\x1b[2J\nfor all");
    let manifest = r#"{"name":"x\u001b[2J","version":"1","contract":"retain:plugin@0.1.0","kind":"archiver","asks":{"network":true}}"#;
    guests::section(&mut wasm, "retain:manifest", manifest.as_bytes());
    shop.write("evil.wasm", wasm);
    let said = shop.run(&["plugin", "inspect", "evil.wasm"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("REFUSED   wasi:sockets/tcp@0.2.0"),
        "{said:?}"
    );
    assert!(
        said.out.contains("`network`, which nobody can grant"),
        "{said:?}"
    );
    assert!(said.out.contains("notices   it carries some"), "{said:?}");
    assert!(!said.out.contains('\u{1b}'), "{said:?}");
    let said = shop.ok(&["plugin", "inspect", "evil.wasm", "--notices"]);
    assert_eq!(said.out, "free\\u{1b}[2J\nfor all\n");
}

#[test]
fn what_a_plugin_asks_for_beyond_its_grants_is_refused_with_both_lists() {
    let shop = Shop::new(
        "delete when older than 1 day\nbefore delete, run evil into cold, otherwise keep",
    );
    let mut wasm = wat::parse_str("(component)").unwrap();
    let manifest = r#"{"name":"x","version":"1","contract":"retain:plugin@0.1.0","kind":"archiver","asks":{"destinations":true,"memory":268435456,"network":true}}"#;
    guests::section(&mut wasm, "retain:manifest", manifest.as_bytes());
    shop.write("evil.wasm", wasm);
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write(
        "retain.toml",
        configuration
            + "[plugins.evil]\nwasm = \"evil.wasm\"\ngrants = { destinations = [\"cold\"] }\n",
    );
    shop.file("a", "x", 2 * DAY);
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    let plain = said.err.replace("\n  │ ", " ");
    assert!(
        plain.contains(
            "asks for a destination, 268.4 MB of memory, `network`, which nobody can grant"
        ),
        "{said:?}"
    );
    assert!(
        plain.contains("is granted the destinations `cold`, 67.1 MB of memory"),
        "{said:?}"
    );
    assert!(said.err.contains("[plugins.evil]"), "{said:?}");
}

#[test]
fn a_pin_is_written_once_and_holds() {
    let shop = Shop::new(
        "delete when older than 1 day\nbefore delete, run mine into cold, otherwise keep",
    );
    let builtin = |name: &str| {
        let mut all = retain::plugin::builtins().iter();
        all.find(|builtin| builtin.name == name).unwrap().wasm()
    };
    shop.write("mine.wasm", builtin("backup"));
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let configuration = configuration
        + "[plugins.mine]\nwasm = \"mine.wasm\" # ours\ngrants = { destinations = [\"cold\"] }\n";
    shop.write("retain.toml", &configuration);
    let said = shop.run(&["plugin", "pin", "mine"]);
    assert_eq!(said.code, 0, "{said:?}");
    let pinned = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let line = pinned
        .lines()
        .find(|line| line.starts_with("sha256 = "))
        .unwrap();
    assert_eq!(pinned.replace(&format!("{line}\n"), ""), configuration);
    let list: Value =
        serde_json::from_str(&shop.run(&["plugin", "list", "--format", "json"]).out).unwrap();
    let mine = list
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["name"] == "mine")
        .unwrap();
    assert_eq!(mine["pinned"], true);

    shop.file("a", "x", 2 * DAY);
    shop.write("mine.wasm", builtin("dedup-backup"));
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("retain plugin pin mine"), "{said:?}");
    assert!(shop.has("a"));
    assert_eq!(shop.run(&["plugin", "pin", "mine"]).code, 0);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    assert!(!shop.has("a"));
}

#[test]
fn a_bench_measures_what_it_says() {
    let shop = Shop::new("keep always");
    let bench = [
        "plugin",
        "bench",
        "builtin:backup",
        "--size",
        "1 MB",
        "--rounds",
        "1",
        "--format",
        "json",
    ];
    let said = shop.run(&bench);
    assert_eq!(said.code, 0, "{said:?}");
    let rows: Vec<Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 4, "{said:?}");
    assert!(
        rows[1]["what"]
            .as_str()
            .unwrap()
            .starts_with("one file of 1 MB"),
        "{said:?}"
    );
}
