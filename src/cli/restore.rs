//! `retain restore`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::show::files;
use super::versions::{self, Pattern};
use super::{Edge, Exit, at_seconds, complain, in_full, say};
use crate::config::Config;
use crate::journal::{Journal, StoredReceipt};
use crate::path::RelPath;
use crate::plan::Action;
use crate::plugin::{Catalogue, Restoration};
use crate::receipt::Receipt;
use crate::run::{Wanted, bring_back, current_versions};
use crate::store::Root;
use crate::time::Now;
use crate::units::Size;

/// Bring archived files back.
///
/// Nothing is overwritten: a file that exists is left alone and reported.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The files, as you would name them here, or as they are called in the store; with
    /// `*`, `?` or `**` as in a policy, all that match.
    #[arg(required_unless_present = "run")]
    paths: Vec<PathBuf>,
    /// Everything a run archived: its name, the beginning or end of it, or `last`.
    #[arg(long)]
    run: Option<String>,
    /// The version that was current then, instead of the newest: the last one that was
    /// modified before a date, a time or a moment (`2027-01-31T12:00:00Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Show the archived versions, and restore none.
    #[arg(long, conflicts_with = "at")]
    list: bool,
    /// The store, where that is not clear.
    #[arg(long)]
    store: Option<String>,
    /// Write below this directory instead of into the store.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Restore by the plugin with this digest instead of the one that wrote the archive,
    /// where that must not run any more; the beginning of it will do.
    #[arg(long, value_name = "DIGEST")]
    with: Option<String>,
}

impl Restore {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        super::confined::confined(&config, self.to.as_deref())?;
        let journal = Journal::open_existing(&config.state)?.with_context(|| {
            format!(
                "nothing was archived yet: there is no journal in `{}`",
                config.state.display()
            )
        })?;
        let named = self.named(edge, &config, &journal)?;
        anyhow::ensure!(!named.is_empty(), "that run archived nothing");
        if self.list {
            versions::list(named, edge.is_json())?;
            return Ok(Exit::Done);
        }
        let at = self.at.as_deref().map(versions::moment).transpose()?;
        let wanted = current_versions(named, at);
        if let (true, Some(at)) = (wanted.is_empty(), &self.at) {
            anyhow::bail!(
                "no archived version is as old as {at}; `retain restore --list` shows those there are"
            );
        }
        let names: BTreeSet<&str> = config.plugins.keys().map(String::as_str).collect();
        let mut catalogue = Catalogue::load(&config, names);
        if let Some(digest) = &self.with {
            catalogue.restore_with(digest)?;
        }
        let failed = match &self.to {
            Some(directory) => beside(edge, &catalogue, &wanted, directory)?,
            None => into_stores(edge, &config, &catalogue, &wanted)?,
        };
        if wanted.len() > 1 && !edge.is_json() {
            say(&format!(
                "restored {} of {}",
                wanted.len() - failed,
                files(wanted.len() as u64)
            ))?;
        }
        Ok(match failed {
            0 => Exit::Done,
            _ => Exit::Trouble,
        })
    }

    /// The receipts of everything that is named, the one recorded last first.
    fn named(
        &self,
        edge: &Edge,
        config: &Config,
        journal: &Journal,
    ) -> anyhow::Result<Vec<StoredReceipt>> {
        let run = self.run.as_deref().map(|run| journal.find_run(run));
        let run = run.transpose()?;
        if self.paths.is_empty() {
            return Ok(journal.receipts(self.store.as_deref(), None, run.as_ref())?);
        }
        let mut named = Vec::new();
        for path in &self.paths {
            let (store, path) = self.name(edge, config, path)?;
            let text = path.to_string();
            let store = store.as_deref();
            let mut found = journal.receipts(store, Some(&text), run.as_ref())?;
            if let (true, Some(pattern)) = (found.is_empty(), Pattern::parse(&text)) {
                found = pattern?.choose(journal.receipts(store, None, run.as_ref())?);
            }
            if found.is_empty() {
                let stores = config.stores.values();
                let mut stores = stores.filter(|of| store.is_none_or(|name| of.name == name));
                let instead = stores.find_map(|store| super::trash::instead(store, &path));
                anyhow::bail!(
                    "there is no archive of `{path}`; {}",
                    instead
                        .as_deref()
                        .unwrap_or("`retain runs` lists what was archived when")
                );
            }
            named.extend(found);
        }
        Ok(named)
    }

    /// A path's store, as far as it can be said, and its name there.
    fn name(
        &self,
        edge: &Edge,
        config: &Config,
        path: &std::path::Path,
    ) -> anyhow::Result<(Option<String>, RelPath)> {
        match super::why::locate(edge, config, path, self.store.as_deref()) {
            Ok((store, path)) => Ok((Some(store.name.clone()), path)),
            // The file is gone, so which of several stores it was in is for the
            // journal to know.
            Err(error) => match RelPath::unescape(&path.to_string_lossy()) {
                Some(path) if self.store.is_none() => Ok((None, path)),
                _ => Err(error),
            },
        }
    }
}

/// Writes files below a directory that is no store; how many could not be.
fn beside(
    edge: &Edge,
    catalogue: &Catalogue,
    wanted: &[StoredReceipt],
    directory: &Path,
) -> anyhow::Result<usize> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot make `{}`", directory.display()))?;
    let root = Root::open(directory)?;
    let mut failed = 0;
    for StoredReceipt { receipt, .. } in wanted {
        let restored = match RelPath::unescape(&receipt.path) {
            Some(path) => catalogue
                .restore(receipt, &root, &path)
                .map_err(|error| crate::diagnostic::chain(&error)),
            None => Err("its name is no path in a store".to_owned()),
        };
        failed += usize::from(restored.is_err());
        tell(
            edge,
            directory,
            receipt,
            restored.as_ref().map_err(String::as_str),
        )?;
    }
    Ok(failed)
}

/// Brings files back into the stores they were in; how many did not come.
fn into_stores(
    edge: &Edge,
    config: &Config,
    catalogue: &Catalogue,
    wanted: &[StoredReceipt],
) -> anyhow::Result<usize> {
    let mut failed = 0;
    let of_one_store = |a: &StoredReceipt, b: &StoredReceipt| a.receipt.store == b.receipt.store;
    // By store already.
    for wanted in wanted.chunk_by(of_one_store) {
        let Some(name) = wanted.first().map(|stored| stored.receipt.store.as_str()) else {
            continue;
        };
        let mut said = Ok(());
        let mut told = |receipt: &Receipt, restored: Result<&Restoration, &str>| {
            let root = config
                .stores
                .get(name)
                .map(|store| store.path.path.as_path());
            let now = tell(edge, root.unwrap_or(Path::new("")), receipt, restored);
            said = std::mem::replace(&mut said, Ok(())).and(now);
        };
        let back = edge
            .store(config, name)
            .and_then(|store| Ok(bring_back(config, store, catalogue, wanted, &mut told)?));
        said?;
        match back {
            Ok(restored) => {
                failed += restored.failed.len();
                complain(&format!(
                    "note: held until {}, unless `retain hold release {} --reason TEXT` lets go of it",
                    at_seconds(&restored.held_until),
                    restored.hold
                ));
                let paths = restored.back.into_iter().collect();
                warn_of_removal(edge, config, name, &paths);
            }
            Err(error) => {
                failed += wanted.len();
                let error = in_full(&error);
                complain(&format!(
                    "error: nothing came back into store `{name}`: {error}"
                ));
            }
        }
    }
    Ok(failed)
}

/// Says what became of one file.
fn tell(
    edge: &Edge,
    root: &Path,
    receipt: &Receipt,
    restored: Result<&Restoration, &str>,
) -> anyhow::Result<()> {
    let path = &receipt.path;
    let restored = match restored {
        Ok(restored) => restored,
        Err(reason) => {
            complain(&format!("error: {path}: {reason}"));
            return Ok(());
        }
    };
    let shortfalls: Vec<String> = restored
        .shortfalls
        .iter()
        .map(ToString::to_string)
        .collect();
    if edge.is_json() {
        let place = RelPath::unescape(path).map(|path| root.join(path.as_os()));
        say(&json!({
            "path": path,
            "store": receipt.store,
            "to": place.unwrap_or_default().display().to_string(),
            "bytes": restored.bytes,
            "blake3": receipt.source.blake3,
            "not_restored": shortfalls,
        })
        .to_string())?;
    } else {
        say(&format!(
            "restored {path}, {}, archived {} by {} {}",
            Size(restored.bytes),
            at_seconds(&receipt.at),
            receipt.plugin.name,
            receipt.plugin.version
        ))?;
    }
    for shortfall in &shortfalls {
        complain(&format!("note: {path}: {shortfall}"));
    }
    Ok(())
}

/// A restored file is as old as it was: says which of them the next run would remove
/// again. What cannot be found out is not worth an error, the files are there.
fn warn_of_removal(edge: &Edge, config: &Config, store: &str, paths: &BTreeSet<String>) {
    let planned = edge
        .store(config, store)
        .and_then(|store| Ok(edge.job(config, store)?))
        .and_then(|job| {
            Ok(job.plan(
                &Now::from_clock(),
                Wanted::Decisive,
                std::sync::Arc::default(),
            )?)
        });
    let Ok(planned) = planned else {
        complain(&format!(
            "note: `retain plan {store}` says whether the next run would remove them again"
        ));
        return;
    };
    for step in &planned.plan.steps {
        let path = step.path.to_string();
        if step.action == Action::Remove && paths.contains(&path) {
            let rule = planned.plan.rules.get(step.ruling.rule);
            complain(&format!(
                "note: {path}: the next run would remove it again, by {}; `touch` it or protect it by a `keep` statement",
                rule.map(ToString::to_string).unwrap_or_default()
            ));
        }
    }
}
