//! The house's order, held by a test: who may import whom, and who may touch what.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up; each may import what stands before it and itself.
const LAYERS: [&str; 17] = [
    "diagnostic",
    "time",
    "units",
    "path",
    "entry",
    "receipt",
    "store",
    "policy",
    "config",
    "scan",
    "plan",
    "destination",
    "plugin",
    "journal",
    "apply",
    "run",
    "cli",
];

/// What only one module may name, outside tests.
const RESERVED: [(&str, &[&str]); 7] = [
    ("wasmtime::", &["plugin"]),
    ("rusqlite::", &["journal"]),
    ("pest::", &["policy"]),
    ("Timestamp::now", &["time"]),
    ("SystemTime::now", &["time", "cli"]),
    ("anyhow::", &["cli"]),
    ("unlinkat(", &["store", "destination"]),
];

fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = walkdir::WalkDir::new(&root)
        .sort_by_file_name()
        .into_iter()
        .flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|e| e == "rs"));
    files
        .map(|file| {
            let below = file.path().strip_prefix(&root).unwrap();
            let module = below
                .components()
                .next()
                .unwrap()
                .as_os_str()
                .to_str()
                .unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            (
                below.to_owned(),
                module.trim_end_matches(".rs").to_owned(),
                text,
            )
        })
        .collect()
}

/// A file's code without its unit tests.
fn code<'t>(file: &Path, text: &'t str) -> &'t str {
    let is_test = ["tests", "laws", "reference"].iter().any(|name| {
        file.components()
            .any(|part| part.as_os_str().to_str().unwrap().trim_end_matches(".rs") == *name)
    });
    match is_test {
        true => "",
        false => text.split("#[cfg(test)]\nmod tests {").next().unwrap(),
    }
}

#[test]
fn imports_only_go_down() {
    let layer = |module: &str| LAYERS.iter().position(|name| *name == module);
    for (file, module, text) in sources() {
        let Some(here) = layer(&module) else {
            assert!(
                module == "lib" || module == "main",
                "{} has no layer",
                file.display()
            );
            continue;
        };
        let code = code(&file, &text);
        for part in code.split("crate::").skip(1) {
            let name: String = part
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if let Some(there) = layer(&name) {
                assert!(
                    there <= here,
                    "{}: `{module}` imports `{name}`, which stands above it",
                    file.display()
                );
            }
        }
    }
}

#[test]
fn what_is_reserved_is_named_only_where_it_belongs() {
    for (file, module, text) in sources() {
        let code = code(&file, &text);
        for (word, owners) in RESERVED {
            let named = code
                .lines()
                .any(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            assert!(
                !named || owners.contains(&module.as_str()),
                "{}: `{word}`",
                file.display()
            );
        }
        let prints = ["println!", "eprintln!", "print!("]
            .iter()
            .any(|word| code.contains(word));
        assert!(!prints, "{} prints", file.display());
    }
}

#[test]
fn the_grammar_s_rules_are_known_to_the_parser_alone() {
    for (file, _, text) in sources() {
        let parser = file.starts_with("policy/parse");
        assert!(
            parser || !code(&file, &text).contains("parse::Rule"),
            "{}",
            file.display()
        );
    }
}
