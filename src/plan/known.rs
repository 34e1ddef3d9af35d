//! What an earlier run knew of directories in which nothing was to go.
//!
//! A directory's own stamps move when a name in it comes, goes or is replaced. Where they
//! have not, and no age has come in between that anything in it waits for, nothing in it
//! goes now either, and it need not be listed. What does not touch its directory, such as
//! a stamp that is set back or a file that grows, may be missed until [`LASTS`] has passed:
//! then a file stays for longer than its policy says, and never goes sooner.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Tally;
use crate::entry::Facts;
use crate::path::RelPath;
use crate::time::Stamp;

/// For how many seconds a directory is believed to be as it was.
const LASTS: i64 = 86_400;

/// Seconds that have to lie between a directory's last change and its listing. A second
/// change within one tick of the file system's clock, 4 ms on most and 2 s on FAT, would
/// leave its stamps as they are.
const SETTLED: i64 = 3;

/// Directories in which nothing is to go, by path.
#[derive(Clone, Debug, Default)]
pub struct Known(HashMap<RelPath, Arc<Record>>);

/// What is found out about such directories.
pub type Learned = Vec<(RelPath, Arc<Record>)>;

/// One such directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    device: u64,
    inode: u64,
    changed: (i64, u32),
    modified: (i64, u32),
    /// When it was listed, in seconds since 1970.
    listed: i64,
    /// The last second at which nothing in it is to go.
    until: i64,
    pub(super) sums: Sums,
    /// The directories in it.
    pub(super) below: Vec<Box<[u8]>>,
}

/// What files that stay add to what is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sums {
    /// Names of any kind that are no directories.
    pub(super) names: u64,
    pub(super) covered: Tally,
    pub(super) protected: Tally,
    /// Files in no collection.
    pub(super) uncovered: u64,
    /// Files in no collection that has a `stop` of its own.
    pub(super) without_own: u64,
    pub(super) of_collection: OfCollections,
}

/// Files by collection, ascending; mostly of one, which takes no memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfCollections(SmallVec<[(usize, u64); 1]>);

impl OfCollections {
    /// How many there are of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied()
    }

    /// Counts files of a collection.
    pub(super) fn add(&mut self, collection: usize, files: u64) {
        match self.0.binary_search_by_key(&collection, |(of, _)| *of) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known += files;
                }
            }
            Err(at) => self.0.insert(at, (collection, files)),
        }
    }

    /// Takes away files of one, of which there are any.
    fn subtract(&mut self, collection: usize, files: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&collection, |(of, _)| *of)
            && let Some((_, known)) = self.0.get_mut(at)
        {
            *known = known.saturating_sub(files);
        }
    }
}

impl Sums {
    pub(super) fn add_all(&mut self, more: &Sums) {
        self.names += more.names;
        self.covered.add_all(more.covered);
        self.protected.add_all(more.protected);
        self.uncovered += more.uncovered;
        self.without_own += more.without_own;
        for (collection, files) in more.of_collection.iter() {
            self.of_collection.add(collection, files);
        }
    }

    /// Takes away what some of the files were counted as.
    pub(super) fn subtract(&mut self, less: &Sums) {
        self.names = self.names.saturating_sub(less.names);
        self.covered.subtract(less.covered);
        self.protected.subtract(less.protected);
        self.uncovered = self.uncovered.saturating_sub(less.uncovered);
        self.without_own = self.without_own.saturating_sub(less.without_own);
        for (collection, files) in less.of_collection.iter() {
            self.of_collection.subtract(collection, files);
        }
    }
}

impl Record {
    /// What is known of a directory that was listed just now; nothing where it changed
    /// shortly before.
    pub(super) fn of(
        directory: &Facts,
        now: i64,
        until: i64,
        sums: Sums,
        below: Vec<Box<[u8]>>,
    ) -> Option<Record> {
        let settled = |stamp: Stamp| stamp.seconds() < now - SETTLED;
        let record = Record {
            device: directory.id.device,
            inode: directory.id.inode,
            changed: pair(directory.changed),
            modified: pair(directory.modified),
            listed: now,
            until,
            sums,
            below,
        };
        (settled(directory.changed) && settled(directory.modified)).then_some(record)
    }

    fn stands(&self, directory: &Facts, now: i64) -> bool {
        let same = (self.device, self.inode) == (directory.id.device, directory.id.inode)
            && self.changed == pair(directory.changed)
            && self.modified == pair(directory.modified);
        // With a clock that was set back, nothing is known.
        same && (self.listed..=self.listed.saturating_add(LASTS).min(self.until)).contains(&now)
    }
}

fn pair(stamp: Stamp) -> (i64, u32) {
    (stamp.seconds(), stamp.subsec_nanoseconds())
}

impl Known {
    /// What is known of a directory that is as it was.
    pub(super) fn of(&self, path: &RelPath, directory: &Facts, now: i64) -> Option<&Arc<Record>> {
        let record = self.0.get(path)?;
        record.stands(directory, now).then_some(record)
    }

    /// Whether there was no directory in one that is known.
    pub(super) fn is_leaf(&self, path: &RelPath) -> bool {
        self.0
            .get(path)
            .is_some_and(|record| record.below.is_empty())
    }

    /// One that is still empty, with room for so many directories.
    pub fn with_capacity(directories: usize) -> Known {
        Known(HashMap::with_capacity(directories))
    }

    /// Adds what is known of a directory.
    pub fn insert(&mut self, path: RelPath, record: Record) {
        self.0.insert(path, Arc::new(record));
    }
}
