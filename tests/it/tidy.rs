//! The house's order, held by a test: who may import whom, and who may touch what.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the ground up; each may import what stands before it and itself.
const LAYERS: [&str; 23] = [
    "fault",
    "cancel",
    "diagnostic",
    "time",
    "units",
    "path",
    "packed",
    "url",
    "entry",
    "receipt",
    "store",
    "policy",
    "config",
    "confine",
    "scan",
    "plan",
    "destination",
    "plugin",
    "journal",
    "apply",
    "run",
    "service",
    "cli",
];

/// What only one module may name, outside tests.
const RESERVED: [(&str, &[&str]); 8] = [
    ("wasmtime::", &["plugin"]),
    ("rusqlite::", &["journal"]),
    ("croner::", &["config", "service"]),
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
fn code<'t>(file: &Path, text: &'t str, all: &[(PathBuf, String, String)]) -> &'t str {
    let is_test = file.components().any(|part| {
        let name = part.as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let declared = format!("#[cfg(test)]\nmod {name};");
        all.iter().any(|(_, _, text)| text.contains(&declared))
    });
    match is_test {
        true => "",
        false => text.split("#[cfg(test)]\nmod tests {").next().unwrap(),
    }
}

/// The modules of this crate that a text names: `crate::a::b`, `use crate::{a::b, c}`.
fn named_modules(code: &str) -> Vec<String> {
    let first = |text: &str| -> String {
        let text = text.trim_start();
        text.chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = Vec::new();
    for part in code.split("crate::").skip(1) {
        let Some(list) = part.strip_prefix('{') else {
            names.push(first(part));
            continue;
        };
        let mut depth = 0;
        let items = list.split(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0 || depth < 0
        });
        names.extend(items.map(first));
        // What stands behind the list is not in it; too many names would only be strict.
    }
    names
}

#[test]
fn a_list_of_imports_names_each_of_its_modules() {
    let code = "use crate::{run::{A, B},\n    cli, plan::C};\ncrate::time::now()";
    let names = named_modules(code);
    for name in ["run", "cli", "plan", "time"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    assert!(!names.iter().any(|name| name == "B"), "{names:?}");
}

#[test]
fn imports_only_go_down() {
    let layer = |module: &str| LAYERS.iter().position(|name| *name == module);
    let all = sources();
    for (file, module, text) in &all {
        let Some(here) = layer(module) else {
            assert!(
                *module == "lib" || *module == "main",
                "{} has no layer",
                file.display()
            );
            continue;
        };
        for name in named_modules(code(file, text, &all)) {
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
    let all = sources();
    for (file, module, text) in &all {
        let code = code(file, text, &all);
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
    // The parser is private to the language's module, and plans have rules as well.
    let all = sources();
    for (file, _, text) in &all {
        let elsewhere = file.starts_with("policy") && !file.starts_with("policy/parse");
        assert!(
            !elsewhere || !code(file, text, &all).contains("Rule::"),
            "{}",
            file.display()
        );
    }
}
