//! Archives that have outlived their use.
//!
//! In doubt an archive stays: the newest of a file (unless a statement says `keeping
//! newest 0`), that of a file's present bytes, and all of what is held or protected, of
//! files that are gone as well.

use std::collections::BTreeMap;

use super::Expired;
use super::backups::generation;
use super::decide::Planner;
use crate::entry::{Entry, Unreadable};
use crate::path::RelPath;
use crate::policy::{Expiry, Truth};
use crate::scan::Filed;

impl Planner<'_, '_> {
    /// The archives that go, in the order of their files' paths.
    pub(super) fn expired(&self, root: &str) -> Vec<Expired> {
        let policy = self.policy();
        if !policy.deletes_backups() {
            return Vec::new();
        }
        let mut expired = Vec::new();
        for collection in &policy.collections {
            let expiries = collection.expiries.as_slice();
            if expiries.is_empty() {
                continue;
            }
            for (path, filed) in &self.inventory().filed {
                let mut places: BTreeMap<&str, Vec<&Filed>> = BTreeMap::new();
                let ours = filed.iter().filter(|f| *f.collection == *collection.name);
                for filed in ours {
                    places.entry(&filed.destination).or_default().push(filed);
                }
                for archives in places.into_values() {
                    expired.extend(self.expired_of(root, path, archives, expiries));
                }
            }
        }
        expired.sort_by(|a, b| (&a.path, a.receipt).cmp(&(&b.path, b.receipt)));
        expired
    }

    /// Those of one file in one destination.
    fn expired_of(
        &self,
        root: &str,
        path: &str,
        mut archives: Vec<&Filed>,
        expiries: &[Expiry],
    ) -> Vec<Expired> {
        archives.sort_by_key(|filed| std::cmp::Reverse((filed.at, filed.receipt)));
        let kept = expiries.iter().map(|expiry| expiry.newest).max();
        let kept = kept.unwrap_or(1).max(usize::from(!self.saw_everything()));
        let old = archives.into_iter().skip(kept).filter_map(|filed| {
            let before = |expiry: &&Expiry| {
                let cutoff = self.matcher.cutoff(expiry.span);
                cutoff.is_some_and(|cutoff| filed.at < cutoff)
            };
            Some((filed, expiries.iter().find(before)?.rule))
        });
        let old: Vec<(&Filed, usize)> = old.collect();
        if old.is_empty() {
            return Vec::new();
        }
        let Some(name) = RelPath::unescape(path) else {
            return Vec::new();
        };
        let entry = self.entry_of(name);
        if self.matcher.covers_any(&entry) != Truth::False {
            return Vec::new();
        }
        let present = entry.facts.as_ref().ok();
        let present = present.map(|facts| generation(root, &entry.path, facts));
        let gone = old
            .into_iter()
            .filter(|(filed, _)| Some(&filed.key) != present.as_ref());
        gone.map(|(filed, rule)| Expired {
            receipt: filed.receipt,
            path: path.to_owned(),
            key: filed.key.clone(),
            destination: filed.destination.clone(),
            archived: filed.at.to_string(),
            rule,
        })
        .collect()
    }

    /// What is known of a file, or of the archive in its place; one that is not there has
    /// no facts, and a protection that asks for some holds.
    fn entry_of(&self, path: RelPath) -> Entry {
        let entries = &self.inventory().entries;
        let find = |path: &RelPath| {
            let found = entries.binary_search_by(|entry| entry.path.cmp(path));
            found.ok().and_then(|at| entries.get(at))
        };
        let in_place = || {
            let mut aliases = self.inventory().aliases.iter();
            aliases.find_map(|(archive, original)| (*original == path).then(|| find(archive))?)
        };
        let gone = Unreadable {
            reason: "it is gone".to_owned(),
        };
        let facts = find(&path)
            .or_else(in_place)
            .map(|entry| entry.facts.clone());
        Entry {
            facts: facts.unwrap_or(Err(gone)),
            path,
        }
    }

    /// Whether a file that is not listed is gone.
    fn saw_everything(&self) -> bool {
        let inventory = self.inventory();
        let all = inventory.directories.iter();
        inventory.skipped.is_empty() && all.into_iter().all(|entry| entry.facts.is_ok())
    }
}
