//! What a run would do, decided before anything is touched.
//!
//! Planning is pure: a checked policy, an inventory and one moment in, a [`Plan`]
//! out. A plan names every file it would remove with the identity it had, so that
//! applying it can only do exactly those steps or fewer.

mod aside;
mod asked;
mod backups;
mod breaker;
mod captures;
mod census;
mod decide;
mod digest;
mod document;
mod empties;
mod enter;
mod evict;
mod expiry;
mod finish;
mod floor_files;
mod floored;
mod floors;
mod group;

mod known;
#[cfg(test)]
mod laws;
mod limits;
mod member;
mod parts;
mod passed;
mod pressure;
mod settle;
mod sieve;
mod steps;
mod trial;
mod turns;
mod used;
mod verdict;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::entry::Facts;
use crate::path::RelPath;
use crate::receipt::Proof;
use crate::time::Now;

pub use crate::policy::{Mark, Rule};
pub use backups::{BackedUp, NextBackUp, generation};
pub use captures::Captures;
pub use census::{Census, Sum};
pub use decide::{Ask, Disk, plan, plan_explained};
pub use document::DocumentError;
pub use floor_files::FloorFiles;
pub use known::{Known, Learned, Record};
pub use passed::Passed;
pub use pressure::{is_above, is_below};
pub use sieve::Sieve;
pub use steps::{Batch, Iter, Packer, Spool, Statement, Statements, Steps, Sums, Unreadable};
pub use trial::{Failure, Trial, trials, uncovered, word};
pub use used::Group;
pub use verdict::Decision;

/// Every step a run would take in one store, with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The store's name in the configuration.
    pub store: String,
    /// The identity of the store's root (`.retain/id`).
    pub root: String,
    /// The moment the decisions hold for.
    pub now: Now,
    /// Digest of the policy with the values its environment gave it.
    pub policy: String,
    /// Digests of what else it was made under, by name: the store's configuration,
    /// plugins, destinations.
    pub basis: BTreeMap<String, String>,
    /// The statements that steps name, each once.
    pub rules: Vec<Rule>,
    /// The `before delete` hooks that steps name, each once, in the order written.
    pub hooks: Vec<Hook>,
    /// The files whose presence a floor (`keep newest`) counted on, by group.
    pub floors: Vec<Floor>,
    /// Directories that go as a whole; their files are steps.
    pub units: Vec<WholeDirectory>,
    /// What is too full, in the order it is relieved.
    pub pressures: Vec<Pressed>,
    /// Files to remove, replace or archive, in path order; then those that pressure takes, in
    /// the order it takes them.
    pub steps: Steps,
    /// Empty directories to remove, deepest first.
    pub directories: Vec<Directory>,
    /// Archives that are to go.
    pub expired: Vec<Expired>,
    /// Budgets that no eviction can meet.
    pub unmet: Vec<Unmet>,
    /// What a person should know although it removes nothing.
    pub notices: Vec<Notice>,
    /// What was counted on the way.
    pub totals: Totals,
    /// Set when the breaker refuses the plan as a whole.
    pub tripped: Vec<Tripped>,
}

/// A plugin that has to agree before a file goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Index into [`Plan::rules`].
    pub rule: usize,
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// Arguments from the policy: sizes as bytes, durations as milliseconds.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// The destination an archiver writes into.
    pub destination: Option<String>,
    /// What becomes of the file when the hook does not succeed.
    pub otherwise: Otherwise,
    /// Its archive takes the file's place.
    pub in_place: bool,
    /// It archives files that stay.
    pub backs_up: bool,
    /// How its archives are proved; nothing where it stores none.
    pub proof: Option<Proof>,
    /// Digest of what the configuration gives the plugin; empty where planning was
    /// not told, as what it decides does not depend on it.
    pub configured: String,
}

/// What a hook's failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// The file stays: the default.
    Keep,
    /// The file goes without its backup; shown as such in every plan.
    DeleteAnyway,
}

/// What a step does with its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes.
    Remove,
    /// Its archive takes its place.
    Replace {
        /// The plugin that makes the archive: an index into [`Plan::hooks`].
        hook: usize,
    },
    /// It stays, and is archived.
    BackUp,
}

/// A directory that goes with everything in it, or stays with everything in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeDirectory {
    /// Where it lies.
    pub path: RelPath,
    /// What it was when it was decided on.
    pub facts: Facts,
    /// The directories below it, which go with it.
    pub below: Vec<(RelPath, Facts)>,
}

/// Something that is too full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pressed {
    /// Index into [`Plan::rules`].
    pub rule: usize,
    /// When it began and when it ends.
    pub mark: Mark,
    /// What was measured: percent of the disk, or bytes of the store.
    pub seen: u64,
    /// The planner's members in the order they go; of no meaning in a finished plan.
    pub(crate) order: Vec<usize>,
}

/// An archive that nobody needs any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The number of its receipt in the journal.
    pub receipt: i64,
    /// The file it is of, as the receipt names it.
    pub path: String,
    /// The generation of that file.
    pub key: String,
    /// The destination's name.
    pub destination: String,
    /// When it was archived, in words.
    pub archived: String,
    /// The statement: an index into [`Plan::rules`].
    pub rule: usize,
}

/// An empty directory that is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Where it lies.
    pub path: RelPath,
    /// What it was when it was decided on.
    pub facts: Facts,
    /// The collection whose files lived in it.
    pub collection: String,
    /// The statement: an index into [`Plan::rules`].
    pub rule: usize,
    /// Why, in words.
    pub reason: String,
}

/// Indices of which a step has few: they take no memory of their own.
pub type Indices = SmallVec<[usize; 2]>;

/// One file that is to go, to be replaced, or to be archived as it stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Where it lies.
    pub path: RelPath,
    /// The path of the file it stands for, by which it was decided on: it is an archive
    /// that took that file's place.
    pub stands_for: Option<Box<RelPath>>,
    /// What it was when it was decided on; compared again right before removal.
    pub facts: Facts,
    /// What is done with it.
    pub action: Action,
    /// What decided so.
    pub ruling: Arc<Ruling>,
    /// Why, in words, with the values that decided.
    pub reason: Arc<str>,
}

/// What decides about a file; neighbours often have the same, which then lies in memory
/// once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// The collection that doomed it.
    pub collection: Arc<str>,
    /// Its captures in that collection.
    pub captures: Captures,
    /// The statement that doomed it: an index into [`Plan::rules`].
    pub rule: usize,
    /// The directory it goes with: an index into [`Plan::units`].
    pub unit: Option<usize>,
    /// The pressure that takes it: an index into [`Plan::pressures`].
    pub pressure: Option<usize>,
    /// Hooks that must succeed first: indices into [`Plan::hooks`].
    pub hooks: Indices,
    /// Floors that were full without this file: indices into [`Plan::floors`].
    pub floors: Indices,
}

/// The members of one group that a `keep newest` counted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Index into [`Plan::rules`].
    pub rule: usize,
    /// The files, with what they were.
    pub members: FloorFiles,
}

/// A budget whose protected files alone exceed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// Index into [`Plan::rules`].
    pub rule: usize,
    /// The group, as `symbol=AAPL, interval=1h`; empty for the whole collection.
    pub group: String,
    /// What holds the bytes, in words.
    pub reason: String,
}

/// Something worth a line in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file or directory, if it is about one.
    pub path: Option<RelPath>,
    /// What there is to know.
    pub message: String,
}

/// A number of files and the bytes they occupy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub files: u64,
    /// Allocated bytes: an estimate of what removing them frees.
    pub bytes: u64,
}

/// A number of files that no statement speaks of. Most plans need not know how large they
/// are, and then nobody has looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncovered {
    /// How many.
    pub files: u64,
    /// Allocated bytes, where all of them were looked at.
    pub bytes: Option<u64>,
}

impl Default for Uncovered {
    /// No files, which take no bytes.
    fn default() -> Uncovered {
        Uncovered {
            files: 0,
            bytes: Some(0),
        }
    }
}

impl Uncovered {
    /// Adds one file.
    pub(crate) fn add(&mut self, facts: &Facts) {
        self.add_all(Uncovered {
            files: 1,
            bytes: Some(facts.allocated),
        });
    }

    /// Adds one that was not looked at.
    pub(crate) fn add_unseen(&mut self) {
        self.add_all(Uncovered {
            files: 1,
            bytes: None,
        });
    }

    /// Adds what has been counted elsewhere.
    pub(crate) fn add_all(&mut self, more: Uncovered) {
        self.files += more.files;
        let both = self.bytes.zip(more.bytes);
        self.bytes = both.map(|(bytes, more)| bytes.saturating_add(more));
    }
}

/// What planning counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files in some collection.
    pub covered: Tally,
    /// Files no collection names.
    pub uncovered: Uncovered,
    /// Covered files that some protection keeps although a statement would remove them.
    pub protected: Tally,
    /// Files to remove.
    pub removed: Tally,
    /// Files to replace by their archives.
    pub replaced: Tally,
    /// Files to archive that stay.
    pub backed_up: Tally,
    /// Files that a collection may name and that could not be read.
    pub unreadable: u64,
}

/// A breaker that refuses the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// Where the limit was written; none for the default.
    pub rule: Option<usize>,
    /// The collection it counts; none for the whole store.
    pub collection: Option<String>,
    /// What would be exceeded, in words.
    pub reason: String,
}

impl Totals {
    /// Counts anew what steps do, leaving what was counted of other files.
    pub(crate) fn recount(&mut self, steps: &Steps) {
        Sums {
            removed: self.removed,
            replaced: self.replaced,
            backed_up: self.backed_up,
        } = steps.sums();
    }
}

impl Tally {
    /// One file.
    pub(crate) fn of(facts: &Facts) -> Tally {
        let mut one = Tally::default();
        one.add(facts);
        one
    }

    /// Adds one file.
    pub fn add(&mut self, facts: &Facts) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(facts.allocated);
    }

    /// Adds what has been counted elsewhere.
    pub(crate) fn add_all(&mut self, more: Tally) {
        self.files += more.files;
        self.bytes = self.bytes.saturating_add(more.bytes);
    }

    /// Takes away what was counted of some of the files.
    pub(crate) fn subtract(&mut self, less: Tally) {
        self.files = self.files.saturating_sub(less.files);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }
}

/// A plan that does nothing.
#[cfg(test)]
pub(crate) fn empty_for_tests(store: &str, now: Now) -> Plan {
    Plan {
        store: store.to_owned(),
        root: "0".repeat(32),
        now,
        policy: String::new(),
        basis: BTreeMap::new(),
        rules: Vec::new(),
        hooks: Vec::new(),
        floors: Vec::new(),
        units: Vec::new(),
        pressures: Vec::new(),
        steps: Steps::default(),
        directories: Vec::new(),
        expired: Vec::new(),
        unmet: Vec::new(),
        notices: Vec::new(),
        totals: Totals::default(),
        tripped: Vec::new(),
    }
}
