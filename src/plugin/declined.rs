//! What is not worth replacing: files whose archives were no smaller.
//!
//! Compressing what does not compress costs as much as anything else, at every run. So
//! each such file is remembered in the store's control directory, under its generation
//! and the plugin with its settings: a file that changes, or is to be compressed otherwise,
//! is tried again. Nothing depends on it: where the memory is lost, so is some time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::replace::{AREA, NAME};
use crate::destination::{Destination, DestinationError};
use crate::plan::Hook;

/// Its name among the archives and receipts there.
const FILE: &str = "no-smaller";

/// The most of it that is read: some 700,000 files.
const LARGEST: u64 = 64 << 20;

/// The archive of one generation of a file by one plugin with its settings.
type Key = String;

/// Sizes of archives that did not take their files' places.
#[derive(Debug)]
pub(super) struct Declined {
    area: Arc<Destination>,
    known: BTreeMap<Key, u64>,
    asked: BTreeSet<Key>,
    is_new: bool,
}

impl Declined {
    /// What earlier runs have found in a store.
    pub(super) fn read(area: &Arc<Destination>) -> Declined {
        Declined {
            area: Arc::clone(area),
            known: known(area),
            asked: BTreeSet::new(),
            is_new: false,
        }
    }

    /// The size of the archive of a file, where it is known to be no smaller.
    pub(super) fn size(&mut self, hook: &Hook, generation: &str) -> Option<u64> {
        let key = key(hook, generation)?;
        let size = *self.known.get(&key)?;
        self.asked.insert(key);
        Some(size)
    }

    /// Remembers one.
    pub(super) fn add(&mut self, hook: &Hook, generation: &str, size: u64) {
        if let Some(key) = key(hook, generation) {
            self.known.insert(key.clone(), size);
            self.asked.insert(key);
            self.is_new = true;
        }
    }

    fn save(&mut self) -> Result<(), DestinationError> {
        // Most of what nobody asks for any more is of files that are gone or have changed.
        if self.known.len() > 2 * self.asked.len() + 1_000 {
            let asked = &self.asked;
            self.known.retain(|key, _| asked.contains(key));
        }
        let lines = self
            .known
            .iter()
            .map(|(key, size)| format!("{key} {size}\n"));
        let text: String = lines.collect();
        let name = self.area.parse_name(FILE)?;
        match self.area.remove(&name) {
            Ok(()) | Err(DestinationError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        self.area.publish_text(&name, &text).map(drop)
    }
}

impl Drop for Declined {
    fn drop(&mut self) {
        if !self.is_new {
            return;
        }
        if let Err(error) = self.save() {
            tracing::warn!(%error, "what is not worth replacing is not remembered");
        }
    }
}

/// What earlier runs have found not to be worth replacing, for whoever only looks.
#[derive(Debug)]
pub struct NoSmaller(BTreeMap<Key, u64>);

impl NoSmaller {
    /// That of a store, by its root directory.
    pub fn of(root: &Path) -> NoSmaller {
        let path = root.join(crate::store::CONTROL).join(AREA);
        let area = Destination::open_existing(NAME, &crate::url::write(&path));
        NoSmaller(area.map(|area| known(&area)).unwrap_or_default())
    }

    /// The size of the archive that a hook's plugin made of a generation of a file, where
    /// it was no smaller and nothing has changed since.
    pub fn size(&self, hook: &Hook, generation: &str) -> Option<u64> {
        self.0.get(&key(hook, generation)?).copied()
    }
}

/// Nothing where the plan does not know what it would be made with.
fn key(hook: &Hook, generation: &str) -> Option<Key> {
    let known = hook.in_place && !hook.configured.is_empty();
    let text = format!("{generation} {}", hook.configured);
    known.then(|| blake3::hash(text.as_bytes()).to_hex().to_string())
}

fn known(area: &Destination) -> BTreeMap<Key, u64> {
    let name = area.parse_name(FILE);
    let file = name.and_then(|name| area.open_object(&name));
    let read = |file: File| -> Option<String> {
        let mut text = String::new();
        file.take(LARGEST).read_to_string(&mut text).ok()?;
        Some(text)
    };
    let text = file.ok().and_then(read).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter_map(|line| {
        let (key, size) = line.strip_suffix('\n')?.split_once(' ')?;
        Some((key.to_owned(), size.parse().ok()?))
    });
    lines.collect()
}
