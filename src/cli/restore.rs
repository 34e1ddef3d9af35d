//! `retain restore`

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use super::show::files;
use super::versions::{self, Pattern};
use super::{Edge, Exit, at_seconds, complain, in_full, say};
use crate::apply::HELD_AGAIN;
use crate::config::Config;
use crate::journal::{Journal, NewHold, Origin, RunId, StoredReceipt};
use crate::path::RelPath;
use crate::plan::Action;
use crate::plugin::Catalogue;
use crate::receipt::Receipt;
use crate::store::{Lock, Root};
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

/// A directory that is restored into.
struct Place {
    root: Root,
    /// Held as long as files are written, so that no run counts or removes them.
    _lock: Option<Lock>,
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
        let wanted = versions::current(named, at);
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
        if self.to.is_none()
            && let Err(error) = self.hold(edge, &config, &wanted, &Now::from_clock())
        {
            // The next run would take it again.
            let error = in_full(&error);
            complain(&format!("error: what comes back cannot be held: {error}"));
            return Ok(Exit::Trouble);
        }
        let mut failed = 0;
        let mut restored: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut places = BTreeMap::new();
        for StoredReceipt { receipt, .. } in &wanted {
            let place = self.place(edge, &config, &journal, receipt, &mut places);
            match place.and_then(|place| self.restore(edge, &catalogue, receipt, place)) {
                Ok(()) => {
                    let paths = restored.entry(receipt.store.clone()).or_default();
                    paths.insert(receipt.path.clone());
                }
                Err(error) => {
                    failed += 1;
                    complain(&format!("error: {}: {}", receipt.path, in_full(&error)));
                }
            }
        }
        // Planning looks at the store again, and needs no lock.
        drop(places);
        if self.to.is_none() {
            for (store, paths) in &restored {
                warn_of_removal(edge, &config, store, paths);
            }
        }
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

    /// What comes back is held for a week, or the next run would take it again.
    fn hold(
        &self,
        edge: &Edge,
        config: &Config,
        wanted: &[StoredReceipt],
        now: &Now,
    ) -> anyhow::Result<()> {
        let mut by_store: BTreeMap<&str, Vec<RelPath>> = BTreeMap::new();
        for StoredReceipt { receipt, .. } in wanted {
            let path = RelPath::unescape(&receipt.path)
                .with_context(|| format!("`{}` is no path in a store", receipt.path))?;
            by_store.entry(&receipt.store).or_default().push(path);
        }
        let name = format!("restore-{}", RunId::new(now)?);
        let until = (now.timestamp() + HELD_AGAIN).to_string();
        let shown = at_seconds(&until);
        for (store, files) in by_store {
            let store = edge.store(config, store)?;
            let hold = NewHold {
                store: store.name.clone(),
                name: name.clone(),
                template: None,
                files,
                until: Some(until.clone()),
                reason: Some("brought back by `retain restore`".to_owned()),
                origin: Origin::Restore,
            };
            crate::run::with_ledger(config, store, |journal, at| journal.add_hold(hold, at))?;
            complain(&format!(
                "note: held until {shown}, unless `retain hold release {name} --reason TEXT` lets go of it"
            ));
        }
        Ok(())
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
            anyhow::ensure!(
                !found.is_empty(),
                "there is no archive of `{path}`; `retain runs` lists what was archived when"
            );
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

    /// Where a receipt's file is written: opened once, and a store also locked.
    fn place<'p>(
        &self,
        edge: &Edge,
        config: &Config,
        journal: &Journal,
        receipt: &Receipt,
        places: &'p mut BTreeMap<String, Place>,
    ) -> anyhow::Result<&'p Root> {
        let name = match &self.to {
            Some(_) => String::new(),
            None => receipt.store.clone(),
        };
        let place = match places.entry(name) {
            Entry::Occupied(place) => return Ok(&place.into_mut().root),
            Entry::Vacant(place) => place,
        };
        let opened = match &self.to {
            Some(directory) => {
                std::fs::create_dir_all(directory)
                    .with_context(|| format!("cannot make `{}`", directory.display()))?;
                Place {
                    root: Root::open(directory)?,
                    _lock: None,
                }
            }
            None => {
                let store = edge.store(config, &receipt.store)?;
                let (root, lock) = crate::run::open_to_restore(journal, store, &Now::from_clock())?;
                Place {
                    root,
                    _lock: Some(lock),
                }
            }
        };
        Ok(&place.insert(opened).root)
    }

    fn restore(
        &self,
        edge: &Edge,
        catalogue: &Catalogue,
        receipt: &Receipt,
        root: &Root,
    ) -> anyhow::Result<()> {
        let path = RelPath::unescape(&receipt.path)
            .with_context(|| format!("`{}` is no path in a store", receipt.path))?;
        let restored = catalogue.restore(receipt, root, &path)?;
        let place = root.path().join(path.as_os());
        if edge.is_json() {
            say(&json!({
                "path": receipt.path,
                "store": receipt.store,
                "to": place.display().to_string(),
                "bytes": restored.bytes,
                "blake3": receipt.source.blake3,
                "not_restored": restored.shortfalls.iter().map(ToString::to_string).collect::<Vec<_>>(),
            }).to_string())?;
        } else {
            say(&format!(
                "restored {path}, {}, archived {} by {} {}",
                Size(restored.bytes),
                at_seconds(&receipt.at),
                receipt.plugin.name,
                receipt.plugin.version
            ))?;
        }
        for shortfall in &restored.shortfalls {
            complain(&format!("note: {path}: {shortfall}"));
        }
        Ok(())
    }
}

/// A restored file is as old as it was: says which of them the next run would remove
/// again. What cannot be found out is not worth an error, the files are there.
fn warn_of_removal(edge: &Edge, config: &Config, store: &str, paths: &BTreeSet<String>) {
    let planned = edge
        .store(config, store)
        .and_then(|store| Ok(edge.job(config, store)?))
        .and_then(|job| Ok(job.plan(&Now::from_clock(), std::sync::Arc::default())?));
    let Ok(planned) = planned else {
        complain(&format!(
            "note: `retain plan {store}` says whether the next run would remove them again"
        ));
        return;
    };
    for step in &planned.plan.steps {
        let path = step.path.to_string();
        if step.action == Action::Remove && paths.contains(&path) {
            let rule = planned.plan.rules.get(step.rule);
            complain(&format!(
                "note: {path}: the next run would remove it again, by {}; `touch` it or protect it by a `keep` statement",
                rule.map(ToString::to_string).unwrap_or_default()
            ));
        }
    }
}
