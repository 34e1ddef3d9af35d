//! `retain check`

use std::path::Path;

use super::findings::{json, sarif};
use super::rewrite::rewrite;
use super::{Edge, Exit, Format, complain, explain, files_and_stores, look, say, show_findings};
use crate::config::{Config, Store, read_policy};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::policy::{self, Mended};

/// Find every mistake in the configuration and its policies, or in single policies.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Mend what has one right answer in the policies and what they use, then check.
    #[arg(long)]
    fix: bool,
    /// Only these stores or policy files; all stores, enabled or not, when none is named.
    #[arg(value_name = "POLICY|STORE")]
    targets: Vec<String>,
}

/// What was looked at, and what is to be said of it.
#[derive(Default)]
struct Looked {
    findings: Vec<Diagnostic>,
    /// What to say of each that is sound.
    sound: Vec<String>,
    mended: Vec<Mended>,
}

impl Check {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let (files, names) = files_and_stores(&self.targets)?;
        let mut looked = Looked::default();
        let mut alone = files.clone();
        match Config::load(&edge.config, &edge.environment) {
            // A policy can be sound without a configuration.
            Err(_) if names.is_empty() && !files.is_empty() => {}
            Err(Diagnostics(found)) => looked.findings.extend(found),
            Ok(config) => {
                let mut stores: Vec<&Store> = match self.targets.is_empty() {
                    true => config.stores.values().collect(),
                    false => names
                        .iter()
                        .map(|name| edge.store(&config, name))
                        .collect::<Result<_, _>>()?,
                };
                for file in &files {
                    let path = std::path::absolute(file)?;
                    let users = config
                        .stores
                        .values()
                        .filter(|store| store.policy.path == path);
                    let before = stores.len();
                    stores.extend(users);
                    if stores.len() > before {
                        alone.retain(|other| other != file);
                    }
                }
                if !stores.is_empty() {
                    looked.findings.extend(config.warnings.clone());
                    looked.findings.extend(crate::run::check_plugins(&config));
                }
                for store in stores {
                    self.look_at_store(edge, &config, store, &mut looked)?;
                }
            }
        }
        for file in alone {
            self.look_at_file(edge, &file, &mut looked)?;
        }
        let Looked {
            findings,
            sound,
            mended,
        } = looked;
        let findings = Diagnostics(once_each(findings));
        match edge.format {
            Format::Json => {
                let mended = self.fix.then_some(mended.as_slice());
                say(&json(&findings, mended).to_string())?;
            }
            Format::Sarif => {
                let directory = edge.config.parent().unwrap_or(Path::new(""));
                say(&sarif(&findings, directory).to_string())?;
            }
            Format::Text => show(&findings, &sound, &mended)?,
        }
        if let Some(hint) = explain::hint(&findings).filter(|_| edge.format == Format::Text) {
            complain(&hint);
        }
        Ok(match findings.has_errors() {
            true => Exit::Refused,
            false => Exit::Done,
        })
    }

    fn look_at_store(
        &self,
        edge: &Edge,
        config: &Config,
        store: &Store,
        looked: &mut Looked,
    ) -> anyhow::Result<()> {
        if self.fix
            && let Ok(source) = read_policy(&store.policy.path, config.directory())
        {
            looked
                .mended
                .extend(mend(edge, config.directory(), &source)?);
        }
        match edge.job(config, store) {
            Ok(job) => {
                looked.findings.extend(job.warnings.0.clone());
                looked.findings.extend(job.too_near());
                let words = format!("store {}: {} is sound", store.name, store.policy.written);
                looked.sound.push(words);
            }
            Err(Diagnostics(found)) => looked.findings.extend(found),
        }
        Ok(())
    }

    /// A policy that no store of the configuration has.
    fn look_at_file(&self, edge: &Edge, file: &str, looked: &mut Looked) -> anyhow::Result<()> {
        let (path, directory) = (std::path::absolute(file)?, std::env::current_dir()?);
        let read = || {
            read_policy(&path, &directory)
                .map_err(|reason| anyhow::anyhow!("cannot read `{file}`: {reason}"))
        };
        if self.fix {
            looked.mended.extend(mend(edge, &directory, &read()?)?);
        }
        let source = read()?;
        match edge
            .environment
            .ask(&directory, |world| policy::load(&source, world))
        {
            Ok(checked) => {
                looked.findings.extend(checked.warnings.0);
                let hooked = checked.policy.hooks().next().is_some();
                let beside = match hooked {
                    true => {
                        "; no store of the configuration has it, so its plugins were not looked at"
                    }
                    false => "",
                };
                looked.sound.push(format!("{file} is sound{beside}"));
            }
            Err(Diagnostics(found)) => looked.findings.extend(found),
        }
        Ok(())
    }
}

/// A plugin that several policies name, and a policy that several stores have, is wrong
/// once.
fn once_each(mut findings: Vec<Diagnostic>) -> Vec<Diagnostic> {
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
    findings
}

fn show(findings: &Diagnostics, sound: &[String], mended: &[Mended]) -> anyhow::Result<()> {
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
    for words in sound {
        say(words)?;
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

/// Mends a policy and what it uses.
fn mend(edge: &Edge, directory: &Path, source: &Source) -> anyhow::Result<Vec<Mended>> {
    let mended = edge
        .environment
        .ask(directory, |world| policy::fix(source, world));
    for file in &mended {
        let path = directory.join(file.source.name());
        rewrite(&path, file.source.text(), &file.text)?;
    }
    Ok(mended)
}
