//! `retain fmt`

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::rewrite::{diff, rewrite};
use super::{Edge, Exit, complain, say, show_findings};
use crate::config::read_policy;
use crate::diagnostic::{Diagnostics, Source};
use crate::policy;

/// Write policies in their one canonical form. Comments stay, and so does every word,
/// number and text; only white space and commas change.
#[derive(Debug, clap::Args)]
pub(super) struct Fmt {
    /// Change nothing; show what would change, and end with 4 if anything would.
    #[arg(long)]
    check: bool,
    /// The policies, or `-` for standard input; without any, those the configuration
    /// names and what they use.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Fmt {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let mut findings = Vec::new();
        let mut changes = Vec::new();
        let texts = match self.files.is_empty() {
            true => configured(edge, &mut findings)?,
            false => named(&self.files)?,
        };
        let files = texts.len();
        for text in texts {
            match policy::format(&text.source) {
                Ok(formatted) => changes.push((text, formatted)),
                Err(Diagnostics(found)) => findings.extend(found),
            }
        }
        let mut changed = Vec::new();
        for (text, formatted) in &changes {
            let name = text.source.name();
            match &text.file {
                None if !self.check => write_out(formatted)?,
                _ if text.source.text() == formatted => {}
                Some(file) if !self.check => {
                    rewrite(file, text.source.text(), formatted)?;
                    changed.push(name);
                }
                _ => changed.push(name),
            }
            if self.check && !edge.is_json() {
                write_out(&diff(name, text.source.text(), formatted))?;
            }
        }
        self.report(edge, files, &changed)?;
        if !findings.is_empty() {
            show_findings(&Diagnostics(findings), "these files were left alone");
            return Ok(Exit::Refused);
        }
        Ok(match self.check && !changed.is_empty() {
            true => Exit::No,
            false => Exit::Done,
        })
    }

    fn report(&self, edge: &Edge, files: usize, changed: &[&str]) -> anyhow::Result<()> {
        let from_stdin = self.files.iter().any(|file| is_stdin(file));
        if edge.is_json() {
            // Standard output already holds the formatted text.
            return match from_stdin && !self.check {
                true => Ok(()),
                false => say(&json!({ "files": files, "changed": changed }).to_string()),
            };
        }
        for name in changed {
            match self.check {
                true => complain(&format!("{name} is not formatted")),
                false => say(&format!("formatted {name}"))?,
            }
        }
        Ok(())
    }
}

/// A policy and the file it came from; none for standard input.
struct Text {
    source: Source,
    file: Option<PathBuf>,
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

fn named(files: &[PathBuf]) -> anyhow::Result<Vec<Text>> {
    files
        .iter()
        .map(|file| {
            if is_stdin(file) {
                let mut text = String::new();
                let mut input = std::io::stdin().lock();
                input
                    .read_to_string(&mut text)
                    .context("cannot read standard input")?;
                let source = Source::new("standard input", text);
                return Ok(Text { source, file: None });
            }
            let source = read_policy(file, Path::new(""))
                .map_err(|reason| anyhow::anyhow!("cannot read `{}`: {reason}", file.display()))?;
            let file = Some(file.clone());
            Ok(Text { source, file })
        })
        .collect()
}

/// Every policy of the configuration and what they use, each once.
fn configured(
    edge: &Edge,
    findings: &mut Vec<crate::diagnostic::Diagnostic>,
) -> anyhow::Result<Vec<Text>> {
    let config = edge.load()?;
    let directory = config.directory();
    let mut known = BTreeSet::new();
    let mut texts = Vec::new();
    for store in config.stores.values() {
        let file = &store.policy.path;
        let source = read_policy(file, directory).map_err(|reason| {
            anyhow::anyhow!("cannot read `{}`: {reason}", store.policy.written)
        })?;
        let (sources, Diagnostics(missing)) = edge
            .environment
            .ask(directory, |world| policy::sources(&source, world));
        findings.extend(missing);
        for source in sources {
            let file = directory.join(source.name());
            let same = std::fs::canonicalize(&file).unwrap_or_else(|_| file.clone());
            if known.insert(same) {
                let file = Some(file);
                texts.push(Text { source, file });
            }
        }
    }
    Ok(texts)
}

fn write_out(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(())
}
