//! The plugin handbook does what it says: the tutorial is run, the reference is the
//! contract's.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/plugins")
}

/// Fenced blocks: what stands behind the fence, and the lines.
fn blocks(text: &str) -> Vec<(String, Vec<String>)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, Vec<String>)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((kind.to_owned(), Vec::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some((_, lines)), None) => lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    blocks
}

fn run(directory: &Path, command: &str) -> String {
    let retain = Path::new(env!("CARGO_BIN_EXE_retain")).parent().unwrap();
    let path = format!("{}:{}", retain.display(), std::env::var("PATH").unwrap());
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/target");
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(directory)
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", target)
        .env_remove("RETAIN_CONFIG")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{command}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if command.starts_with("retain plugin new ") {
        // The versions this repository is built with, so that no registry is asked.
        let name = command.split(' ').nth(3).unwrap();
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/Cargo.lock");
        fs::copy(lock, directory.join(name).join("Cargo.lock")).unwrap();
    }
    said
}

#[test]
fn every_step_of_the_tutorial_does_what_it_says() {
    let targets = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let installed = targets
        .is_ok_and(|targets| String::from_utf8_lossy(&targets.stdout).contains("wasm32-wasip2"));
    if !installed {
        eprintln!("skipped: the target wasm32-wasip2 is not installed");
        return;
    }
    let directory = TempDir::new().unwrap();
    let text = fs::read_to_string(docs().join("tutorial.md")).unwrap();
    let mut steps = 0;
    for (kind, lines) in blocks(&text) {
        if let Some((_, file)) = kind.split_once("file=") {
            fs::write(directory.path().join(file), lines.join("\n") + "\n").unwrap();
            continue;
        }
        assert_eq!(kind, "console");
        let mut said = String::new();
        for line in lines {
            match line.strip_prefix("$ ") {
                Some(command) => said = run(directory.path(), command),
                None => assert!(said.contains(&line), "`{line}` is not in: {said}"),
            }
            steps += 1;
        }
    }
    assert!(steps > 30, "{steps}");
}

/// The reference: each interface of the contract with its words, and what else a plugin
/// finds.
fn reference() -> String {
    let contract = include_str!("../../plugins/sdk/wit/retain.wit");
    let mut out = String::from(
        "# Reference\n\nMade from `plugins/sdk/wit/retain.wit` and held to it by a test.\n",
    );
    let (mut words, mut body) = (Vec::new(), Vec::new());
    for line in contract.lines() {
        let top = !line.starts_with(' ');
        match line.strip_prefix("///").filter(|_| top) {
            Some(text) => words.push(text.trim()),
            None if top && line.starts_with("package ") => words.clear(),
            None if top && line == "}" => {
                let name: &str = body[0];
                let _ = writeln!(out, "\n## {}\n", name.trim_end_matches(" {"));
                if !words.is_empty() {
                    let _ = writeln!(out, "{}\n", words.join("\n"));
                }
                let _ = writeln!(out, "```wit\n{}\n}}\n```", body.join("\n"));
                words.clear();
                body.clear();
            }
            None if line.is_empty() && body.is_empty() => {}
            None => body.push(line),
        }
    }
    out.push_str("\n## What is always there\n\n");
    out.push_str(
        "A standard library imports these whatever its program does. Behind those of the\n\
         system lies nothing: no directory, no variable, no argument, a fixed seed, the run's\n\
         moment standing still. Only archivers find `blobs`, only reviewers `surroundings`.\n\
         Whatever else a component imports, it does not load.\n\n",
    );
    for name in retain::plugin::LINKED {
        let _ = writeln!(out, "- `{name}`");
    }
    out
}

#[test]
fn the_reference_is_the_contract_s() {
    let path = docs().join("reference.md");
    let made = reference();
    if fs::read_to_string(&path).unwrap_or_default() != made {
        let draft = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reference.md");
        fs::write(&draft, made).unwrap();
        panic!(
            "the contract has changed: look at {} and copy it to {}",
            draft.display(),
            path.display()
        );
    }
}
