//! `retain check`

use std::path::Path;

use super::findings::{json, sarif};
use super::rewrite::rewrite;
use super::{Edge, Exit, Format, complain, explain, look, say, show_findings};
use crate::config::{Config, Store, read_policy};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::{self, Mended};

/// Find every mistake in the configuration and its policies.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Mend what has one right answer in the policies and what they use, then check.
    #[arg(long)]
    fix: bool,
    /// Only these stores; all, enabled or not, when none is named.
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let mut findings = Vec::new();
        let mut checked = Vec::new();
        let mut mended = Vec::new();
        match Config::load(&edge.config, &edge.environment) {
            Err(Diagnostics(found)) => findings.extend(found),
            Ok(config) => {
                findings.extend(config.warnings.clone());
                findings.extend(crate::run::check_plugins(&config));
                let stores = match self.stores.is_empty() {
                    true => config.stores.values().collect(),
                    false => edge.stores(&config, &self.stores)?,
                };
                for store in stores {
                    if self.fix {
                        mended.extend(mend(edge, &config, store)?);
                    }
                    match edge.job(&config, store) {
                        Ok(job) => {
                            findings.extend(job.warnings.0.clone());
                            findings.extend(job.too_near());
                            checked.push((store.name.clone(), store.policy.written.clone()));
                        }
                        Err(Diagnostics(found)) => findings.extend(found),
                    }
                }
            }
        }
        // A plugin that several policies name is wrong once.
        let mut told = Vec::new();
        findings.retain(|finding: &Diagnostic| {
            let key = (
                finding.source().name().to_owned(),
                finding.span(),
                finding.message().to_owned(),
            );
            let first = !told.contains(&key);
            told.extend(first.then_some(key));
            first
        });
        let findings = Diagnostics(findings);
        match edge.format {
            Format::Json => {
                let mended = self.fix.then_some(mended.as_slice());
                say(&json(&findings, mended).to_string())?;
            }
            Format::Sarif => {
                let directory = edge.config.parent().unwrap_or(Path::new(""));
                say(&sarif(&findings, directory).to_string())?;
            }
            Format::Text => show(&findings, &checked, &mended)?,
        }
        if let Some(hint) = explain::hint(&findings).filter(|_| edge.format == Format::Text) {
            complain(&hint);
        }
        Ok(match findings.has_errors() {
            true => Exit::Refused,
            false => Exit::Done,
        })
    }
}

fn show(
    findings: &Diagnostics,
    checked: &[(String, String)],
    mended: &[Mended],
) -> anyhow::Result<()> {
    for file in mended {
        for change in &file.changes {
            let (name, line, code) = (file.source.name(), change.line, change.code);
            say(&format!(
                "fixed {name}:{line}: {} ({code})",
                in_words(&change.old, &change.new)
            ))?;
        }
    }
    if findings.has_errors() {
        show_findings(findings, "nothing was touched");
        return Ok(());
    }
    for warning in &findings.0 {
        complain(&warning.render(look()));
    }
    for (store, policy) in checked {
        say(&format!("store {store}: {policy} is sound"))?;
    }
    Ok(())
}

fn in_words(old: &str, new: &str) -> String {
    let new_shown = new.trim();
    match (old.is_empty(), new.is_empty()) {
        (true, _) => format!("added `{new_shown}`"),
        (_, true) => format!("removed `{old}`"),
        _ => format!("`{old}` is now `{new_shown}`"),
    }
}

/// Mends the policy of a store and what it uses. A policy that cannot be read is left
/// to the check that follows.
fn mend(edge: &Edge, config: &Config, store: &Store) -> anyhow::Result<Vec<Mended>> {
    let directory = config.directory();
    let Ok(source) = read_policy(&store.policy.path, directory) else {
        return Ok(Vec::new());
    };
    let mended = edge
        .environment
        .ask(directory, |world| policy::fix(&source, world));
    for file in &mended {
        let path = directory.join(file.source.name());
        rewrite(&path, file.source.text(), &file.text)?;
    }
    Ok(mended)
}
