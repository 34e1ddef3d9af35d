//! Bringing files back, and keeping them: what changes a store besides a run.

use std::collections::{BTreeMap, BTreeSet};

use super::{RunError, open_to_restore};
use crate::apply::{HELD_AGAIN, Undone, mirror_holds, undo};
use crate::config::{Config, Store};
use crate::journal::{Journal, JournalError, NewHold, Origin, RunId, StoredReceipt};
use crate::path::RelPath;
use crate::plugin::{Catalogue, Restoration};
use crate::receipt::Receipt;
use crate::time::Now;

/// Changes the ledger of a store and its mirror, with the store in hand: a run that
/// is going on has read its holds already.
pub fn with_ledger<T>(
    config: &Config,
    store: &Store,
    change: impl FnOnce(&mut Journal, &str) -> Result<T, JournalError>,
) -> Result<T, RunError> {
    let now = Now::from_clock();
    let mut journal = Journal::open_sparing(&config.state)?;
    let _ours = Journal::lock_store(&config.state, &store.name)?;
    let (root, _theirs) = open_to_restore(&journal, store, &now)?;
    mirror_holds(&mut journal, &root, &store.name, None, &now)?;
    let changed = change(&mut journal, &now.timestamp().to_string())?;
    mirror_holds(&mut journal, &root, &store.name, None, &now)?;
    Ok(changed)
}

/// Puts files of one run back from the trash.
pub fn put_back(
    config: &Config,
    store: &Store,
    run: &str,
    wanted: &dyn Fn(&RelPath) -> bool,
) -> Result<Undone, RunError> {
    let now = Now::from_clock();
    let mut journal = Journal::open_sparing(&config.state)?;
    let _ours = Journal::lock_store(&config.state, &store.name)?;
    let (root, _theirs) = open_to_restore(&journal, store, &now)?;
    Ok(undo(&mut journal, &root, &store.name, run, wanted, &now)?)
}

/// Of each file the one archived version that is wanted: the newest, or the one that was
/// current at some moment, which is the last that was modified before it. By store and path.
pub fn current_versions(
    receipts: Vec<StoredReceipt>,
    at: Option<jiff::Timestamp>,
) -> Vec<StoredReceipt> {
    let mut versions = receipts;
    if let Some(at) = at {
        let at = Now::at(at).stamp();
        versions.retain(|stored| stored.receipt.modified() <= at);
        // Stable: of two archives of one version the one recorded last comes first.
        versions.sort_by_key(|stored| std::cmp::Reverse(stored.receipt.modified()));
    }
    let name = |stored: &StoredReceipt| (stored.receipt.store.clone(), stored.receipt.path.clone());
    let mut seen = BTreeSet::new();
    versions.retain(|stored| seen.insert(name(stored)));
    versions.sort_by_key(name);
    versions
}

/// What came of restoring archived files into their store.
#[derive(Debug, Default)]
pub struct Restored {
    /// In their place.
    pub back: Vec<String>,
    /// Not brought back, and why.
    pub failed: Vec<(String, String)>,
    /// Until when they are held, RFC 3339.
    pub held_until: String,
    /// What lets go of them.
    pub hold: String,
}

/// Hears what became of each file, one by one.
pub type Told<'t> = &'t mut dyn FnMut(&Receipt, Result<&Restoration, &str>);

/// Restores archived files of one store into it. They are held from before the first
/// is back, or the next run would take them again; nothing is overwritten.
pub fn bring_back(
    config: &Config,
    store: &Store,
    catalogue: &Catalogue,
    wanted: &[StoredReceipt],
    told: Told<'_>,
) -> Result<Restored, RunError> {
    let now = Now::from_clock();
    let name = RunId::new(&now).map_err(|error| RunError::System(error.to_string()))?;
    let mut restored = Restored {
        held_until: (now.timestamp() + HELD_AGAIN).to_string(),
        hold: format!("restore-{name}"),
        ..Restored::default()
    };
    let mut paths = BTreeMap::new();
    for StoredReceipt { receipt, .. } in wanted {
        match RelPath::unescape(&receipt.path) {
            Some(path) => drop(paths.insert(path, receipt)),
            None => {
                let reason = "its name is no path in a store".to_owned();
                told(receipt, Err(&reason));
                restored.failed.push((receipt.path.clone(), reason));
            }
        }
    }
    let hold = NewHold {
        store: store.name.clone(),
        name: restored.hold.clone(),
        template: None,
        files: paths.keys().cloned().collect(),
        until: Some(restored.held_until.clone()),
        reason: Some("brought back by `retain restore`".to_owned()),
        origin: Origin::Restore,
    };
    with_ledger(config, store, |journal, at| journal.add_hold(hold, at))?;
    let journal = Journal::open_sparing(&config.state)?;
    let _ours = Journal::lock_store(&config.state, &store.name)?;
    // Held as long as files are written, so that no run counts or removes them.
    let (root, _theirs) = open_to_restore(&journal, store, &now)?;
    for (path, receipt) in paths {
        match catalogue.restore(receipt, &root, &path) {
            Ok(done) => {
                told(receipt, Ok(&done));
                restored.back.push(receipt.path.clone());
            }
            Err(error) => {
                let reason = crate::diagnostic::chain(&error);
                told(receipt, Err(&reason));
                restored.failed.push((receipt.path.clone(), reason));
            }
        }
    }
    Ok(restored)
}
