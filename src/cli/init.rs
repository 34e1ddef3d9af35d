//! `retain init`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use walkdir::WalkDir;

use super::{Edge, Exit, say};
use crate::diagnostic::Source;
use crate::policy;

/// Write a configuration and a policy to begin with.
///
/// Nothing is overwritten, and nothing that is written removes a file before you say
/// `retain apply`.
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// The directory whose files are to be kept in bounds.
    #[arg(default_value = "./data")]
    path: PathBuf,
}

impl Init {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let name = name(&self.path);
        let directory = match edge.config.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let policy = directory.join(format!("{name}.retain"));
        for file in [&edge.config, &policy] {
            anyhow::ensure!(
                !file.exists(),
                "`{}` exists, and nothing is overwritten",
                file.display()
            );
        }
        let root = match self.path.is_absolute() || directory == Path::new(".") {
            true => self.path.clone(),
            // The configuration's paths are relative to itself.
            false => std::path::absolute(&self.path)?,
        };
        let count = count(&self.path);
        write(&edge.config, &configuration(&name, &root))?;
        write(&policy, &first_policy(&name, count))?;
        say(&format!(
            "wrote {} and {}",
            edge.config.display(),
            policy.display()
        ))?;
        if !self.path.exists() {
            say(&format!(
                "`{}` does not exist yet; make it, or correct `path`",
                self.path.display()
            ))?;
        }
        say("next: edit the policy, then `retain check`, `retain plan`, `retain apply`")?;
        Ok(Exit::Done)
    }
}

/// A store's name after its directory.
fn name(path: &Path) -> String {
    let last = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase());
    let plain: String = last
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    match plain.trim_matches('-') {
        "" => "files".to_owned(),
        plain if plain.starts_with(|c: char| c.is_ascii_digit()) => format!("store-{plain}"),
        plain => plain.to_owned(),
    }
}

/// How many files there are, as far as that can be counted quickly.
fn count(path: &Path) -> usize {
    let files = WalkDir::new(path).into_iter().flatten();
    files
        .filter(|entry| entry.file_type().is_file())
        .take(1_000_000)
        .count()
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write `{}`", file.display()))
}

fn configuration(name: &str, root: &Path) -> String {
    let root = serde_json::Value::from(root.display().to_string());
    format!(
        r#"# Where files lie, and what may be done with them. `retain check` reads this
# together with the policies. Relative paths begin at this file.

[stores.{name}]
path = {root}
policy = "{name}.retain"

# Where backups go. Another disk survives more than this one.
[destinations.backups]
url = "file://./backups"

# The plugin that copies a file before it goes, and what it may use.
[plugins.backup]
wasm = "builtin:backup"
grants = {{ destinations = ["backups"] }}

# What was planned, removed and archived, so that it can be explained and undone.
[state]
path = "state"
"#
    )
}

/// A policy that removes nothing but what is clearly old, and stops before a wipe.
fn first_policy(name: &str, count: usize) -> String {
    let bound = (count / 10).max(100);
    let plain = name.replace('-', "_");
    let policy = policy_text(&plain, bound);
    // A directory may be called by a word of the language, such as `store`.
    let source = Source::new(String::new(), policy.clone());
    match policy::load(&source, policy::Environment::nothing()) {
        Ok(_) => policy,
        Err(_) => policy_text(&format!("{plain}_files"), bound),
    }
}

fn policy_text(collection: &str, bound: usize) -> String {
    format!(
        r#"# What may go. What no statement names is never touched.
edition 2026

collection {collection} at "**" {{
    age is measured from last modified

    delete when older than 30 days

    # A protection wins over every delete, wherever it stands.
    keep newest 10

    # No file goes before its copy has been restored and compared.
    before delete, run backup into backups, otherwise keep
}}

# More than this at once is a mistake until a person says otherwise.
stop if a run would delete more than {bound} files
"#
    )
}
