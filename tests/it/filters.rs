//! Commands that know nothing of retain: they read stdin and write stdout, and their
//! archives are proved like everybody's.

use std::fs;
use std::path::Path;

use super::shop::{DAY, Shop};

/// A command as a module of preview 1.
fn module(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filters");
    let read = |name: &str| fs::read_to_string(directory.join(format!("{name}.wat"))).unwrap();
    let (own, shared) = (read(name), read("command"));
    // Imports come first in a module's text.
    let (imports, rest): (Vec<_>, Vec<_>) =
        own.lines().partition(|line| line.starts_with("(import"));
    let text = format!(
        "(module\n{}\n{shared}\n{})",
        imports.join("\n"),
        rest.join("\n")
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn shop(wasm: &[u8]) -> Shop {
    let shop = Shop::new(
        "delete when older than 1 day\nbefore delete, run turn into cold, otherwise keep",
    );
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let plugin = "[plugins.turn]\nwasm = \"turn.wasm\"\n\
        filter = { args = [\"-c\"], restore_args = [\"-dc\"], suffix = \".turned\" }\n\
        grants = { destinations = [\"cold\"], wall = \"5 s\", output = \"4 MB\" }\n";
    shop.write("retain.toml", configuration + plugin);
    shop.write("turn.wasm", wasm);
    shop
}

#[test]
fn a_module_of_preview_1_archives_and_restores_through_its_pipes() {
    let shop = shop(&module("turns"));
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    shop.file("a/f", &content, 2 * DAY);
    shop.file("empty", "", 2 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    let stored = shop.files("cold");
    let object = stored
        .iter()
        .find(|name| name.ends_with(".turned"))
        .unwrap();
    assert!(object.starts_with("all/a/f@20"), "{object}");
    let bytes = fs::read(shop.path("cold").join(object)).unwrap();
    assert!(bytes.iter().zip(&content).all(|(a, b)| *a == !b));
    // Years later, when the configuration has forgotten it.
    fs::remove_file(shop.path("turn.wasm")).unwrap();
    let said = shop.run(&["restore", "--run", "last", "--to", "back"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(fs::read(shop.path("back/a/f")).unwrap() == content);
    assert_eq!(fs::read(shop.path("back/empty")).unwrap(), b"");
}

#[test]
fn a_command_has_its_memory_to_itself() {
    // So is its `malloc` where the C library is from before 2023.
    let shop = shop(&module("hoards"));
    shop.file("f", "content", 2 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!shop.has("f"));
    shop.ok(&["restore", "--run", "last", "--to", "back"]);
    assert_eq!(fs::read(shop.path("back/f")).unwrap(), b"content");
}

#[test]
fn what_is_no_command_says_so() {
    for (module, expected) in [
        ("(module)", "it is no command: it exports no `_start`"),
        (
            "(module (import \"env\" \"f\" (func)) (func (export \"_start\")))",
            "unknown import: `env::f` has not been defined",
        ),
    ] {
        let shop = shop(&wat::parse_str(module).unwrap());
        shop.file("f", "content", 2 * DAY);
        let said = shop.run(&["apply", "--yes"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.contains(expected), "{said:?}");
        assert!(shop.has("f"));
    }
}

#[test]
fn whatever_a_command_does_wrong_the_file_stays() {
    for (name, expected) in [
        ("swallows", "0 bytes came back, the file has 7"),
        ("fails", "it ended with a failure: cannot go on"),
        ("floods", "it wrote more than the 4000000 bytes it may"),
        ("spins", "it took longer than"),
        ("reaches", "it ended with a failure"),
    ] {
        let shop = shop(&module(name));
        shop.file("f", "content", 2 * DAY);
        let said = shop.run(&["apply", "--yes"]);
        assert_eq!(said.code, 1, "{name}: {said:?}");
        assert!(said.out.contains(expected), "{name}: {said:?}");
        assert!(shop.has("f"), "{name}");
        assert_eq!(shop.files("cold"), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_filter_says_how_it_restores_or_is_refused() {
    let shop = shop(&module("turns"));
    let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write(
        "retain.toml",
        configuration.replace("restore_args = [\"-dc\"], ", ""),
    );
    let said = shop.run(&["check"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("has no `restore_args`"), "{said:?}");
}

const TURN: &str = r#"{ args = ["-c"], restore_args = ["-dc"], suffix = ".turned" }"#;

#[test]
fn a_command_is_tested_run_and_measured_like_a_plugin() {
    let shop = Shop::new("keep always");
    shop.write("turn.wasm", module("turns"));
    let quick = ["--sparse", "40 MB", "--entries", "2000"];
    let test = ["plugin", "test", "turn.wasm", "--filter", TURN];
    let said = shop.run(&[&test[..], &quick].concat());
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.out.contains("ok      a large sparse file comes back"),
        "{said:?}"
    );

    shop.file("a.txt", "content", DAY);
    let run = [
        "plugin",
        "run",
        "turn.wasm",
        "store/a.txt",
        "--into",
        "kept",
        "--filter",
        TURN,
    ];
    let said = shop.run(&run);
    assert_eq!(said.code, 0, "{said:?}");
    let [object] = shop.files("kept").try_into().unwrap();
    assert!(object.ends_with(".turned"), "{object}");

    let bench = [
        "plugin",
        "bench",
        "turn.wasm",
        "--size",
        "1 MB",
        "--rounds",
        "1",
        "--filter",
        TURN,
    ];
    let said = shop.run(&bench);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("one file of 1 MB, proved"), "{said:?}");
}

#[test]
fn a_command_that_fails_the_suite_is_told_why() {
    let shop = Shop::new("keep always");
    shop.write("fails.wasm", module("fails"));
    let said = shop.run(&[
        "plugin",
        "test",
        "fails.wasm",
        "--sparse",
        "1 MB",
        "--filter",
        TURN,
    ]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("FAILED  one byte comes back"), "{said:?}");
    assert!(
        said.out.contains("it ended with a failure: cannot go on"),
        "{said:?}"
    );
}

#[test]
fn how_a_command_is_called_is_read_as_the_configuration_s_own() {
    let shop = Shop::new("keep always");
    shop.write("turn.wasm", module("turns"));
    let check = |filter: &[&str], expected: &str| {
        let said = shop.run(&[&["plugin", "test", "turn.wasm"], filter].concat());
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains(expected), "{expected}: {said:?}");
    };
    check(&[], "say how it is called: `--filter");
    check(&["--filter", "{ args = [] }"], "has no `restore_args`");
    check(
        &["--filter", "{ restore_args = [], sufix = \"\" }"],
        "did you mean `suffix`?",
    );
    check(&["--filter", "-dc"], "--filter:1:");
    check(
        &["--filter", TURN, "--settings", "{}"],
        "cannot be used with",
    );
}

#[test]
fn a_stock_compressor_is_a_plugin_as_it_is() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/filter");
    let shop = Shop::new("keep always");
    for file in ["retain.toml", "logs.retain", "minigzip.wasm"] {
        fs::copy(example.join(file), shop.path(file)).unwrap();
    }
    let gzip = r#"{ args = ["-9"], restore_args = ["-d"], suffix = ".gz" }"#;
    let suite = ["--sparse", "20 MB", "--entries", "2000", "--filter", gzip];
    let said = shop.run(&[&["plugin", "test", "minigzip.wasm"], &suite[..]].concat());
    assert_eq!(said.code, 0, "{said:?}");

    let content = "GET /api/charts AAPL 200\n".repeat(100_000);
    fs::create_dir(shop.path("logs")).unwrap();
    shop.file("../logs/old.log", &content, 20 * DAY);
    shop.file("../logs/new.log", &content, DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("logs"), ["new.log"]);
    let stored = shop.files("cold");
    let object = stored.iter().find(|name| name.ends_with(".gz")).unwrap();
    let bytes = fs::read(shop.path("cold").join(object)).unwrap();
    assert_eq!(bytes[..2], [0x1f, 0x8b], "the magic of gzip");
    assert!(bytes.len() < content.len() / 50, "{}", bytes.len());
    shop.ok(&["restore", "--run", "last", "--to", "back"]);
    assert!(fs::read_to_string(shop.path("back/old.log")).unwrap() == content);
}
