//! A store's tree turned into an [`Inventory`], by several threads at once.
//!
//! Each directory is opened relative to its parent's handle and listed once; each
//! name is looked at once. What cannot be read is data, because whoever decides
//! must know that he does not know. Links are not followed, other mounts and inner
//! stores not entered, and directories that no statement reaches never opened.
//!
//! The walk shares work by directory: a worker that lists one queues those in it.
//! No recursion, so depth costs no stack, and a bounded number of handles: a
//! directory queued beyond the bound is found again from the root.

mod order;
mod queue;
mod worker;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;

use crate::entry::{Entry, Facts, Kind, Visit};
use crate::path::RelPath;
use crate::store::Root;
use crate::time::Stamp;
use queue::{Job, Queue};
use worker::{Findings, Worker};

use order::{append, sort_by_path};

/// How a scan goes about its work.
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// How many threads list directories, the caller's own included.
    pub threads: NonZeroUsize,
    /// Roots of inner stores, which have policies of their own.
    pub boundaries: Vec<RelPath>,
    /// Counts the names seen so far, for whoever shows progress.
    pub seen: Arc<AtomicU64>,
}

impl Default for ScanOptions {
    /// As many threads as the machine runs at once, and no inner stores.
    fn default() -> ScanOptions {
        ScanOptions {
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            boundaries: Vec::new(),
            seen: Arc::default(),
        }
    }
}

/// What a scan saw, each part in the order of the paths' bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Everything that is no directory.
    pub entries: Vec<Entry>,
    /// The directories that were entered, the root first. One without facts could
    /// not be listed to its end, so more may lie in it than `entries` shows. Of a sieve
    /// that asks for no others, only such.
    pub directories: Vec<Entry>,
    /// What was left alone although statements reach it.
    pub skipped: Vec<Skipped>,
    /// Directories that no statement reaches: seen, never opened.
    pub unentered: Vec<RelPath>,
    /// Archives that stand in their files' places, each with the path its file had: they
    /// are judged by that. No scan knows this; whoever has the receipts adds it.
    pub aliases: BTreeMap<RelPath, RelPath>,
    /// Archives of its files that there are, by the files' paths as receipts have them.
    /// No scan knows this either.
    pub filed: BTreeMap<String, Vec<Filed>>,
}

/// An archive of one generation of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// The receipt's number in the journal.
    pub receipt: i64,
    /// The collection it was archived for.
    pub collection: String,
    /// The generation, as receipts name it.
    pub key: String,
    /// The destination's name in the configuration.
    pub destination: String,
    /// When it was archived.
    pub at: Stamp,
}

/// Something the walk did not enter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// Where.
    pub path: RelPath,
    /// Why.
    pub why: Skip,
}

/// Why the walk did not enter something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// Another file system is mounted there.
    Mount,
    /// Another store begins there.
    InnerStore,
}

impl Inventory {
    /// A tree that is nothing but files and the directories they lie in, for tests and
    /// for asking what would be: entries may come in any order.
    pub fn of_entries(mut entries: Vec<Entry>) -> Inventory {
        let mut directories: BTreeMap<RelPath, Entry> = Default::default();
        let mut files = Vec::new();
        entries.sort_by(by_path);
        for entry in entries {
            let mut parent = entry.path.parent();
            while let Some(path) = parent {
                let facts = entry.facts.clone().map(as_directory);
                let above = path.parent();
                directories
                    .entry(path.clone())
                    .or_insert(Entry { path, facts });
                parent = above;
            }
            match &entry.facts {
                Ok(facts) if facts.kind == Kind::Directory => {
                    directories.insert(entry.path.clone(), entry);
                }
                _ => files.push(entry),
            }
        }
        Inventory {
            entries: files,
            directories: directories.into_values().collect(),
            ..Inventory::default()
        }
    }
}

impl Inventory {
    /// Adds entries that are none of those it has.
    pub fn add(&mut self, entries: Vec<Entry>) {
        if !entries.is_empty() {
            self.entries.extend(entries);
            // Both are in order, and a stable sort merges such runs.
            self.entries.sort_by(by_path);
            self.entries.dedup_by(|a, b| a.path == b.path);
        }
    }

    /// The same with one entry more, or with another in its place: for asking what
    /// would be decided about a file that is not there.
    pub fn supposing(mut self, entry: Entry) -> Inventory {
        match self
            .entries
            .binary_search_by(|known| known.path.cmp(&entry.path))
        {
            Ok(at) => {
                if let Some(known) = self.entries.get_mut(at) {
                    *known = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
        self
    }
}

fn as_directory(file: Facts) -> Facts {
    Facts {
        kind: Kind::Directory,
        mode: 0o040_755,
        size: 0,
        allocated: 0,
        links: 2,
        ..file
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Skip::Mount => "another file system is mounted here",
            Skip::InnerStore => "another store begins here",
        })
    }
}

/// The names of the directories in one.
pub type Below = Vec<Box<[u8]>>;

/// Which of the names a walk finds are worth remembering, asked by the threads that find
/// them: of a million files most may be nothing to anybody.
pub trait Sift: Sync {
    /// What a thread notes about the names it lets pass.
    type Part: Default + Send;

    /// What a name alone tells, for when more is known of it.
    type Place: Default;

    /// Whether a name that is no directory is done with before anything else is known of
    /// it: then there is no `statx` for it, and no entry.
    fn passes(
        &self,
        path: &RelPath,
        kind: Kind,
        place: &mut Self::Place,
        part: &mut Self::Part,
    ) -> bool;

    /// Whether an entry is remembered. Its place is what [`Sift::passes`] noted, which was
    /// not asked where a listing does not tell what a name is.
    fn keeps(&self, entry: &Entry, place: Self::Place, part: &mut Self::Part) -> bool;

    /// Whether directories are remembered that nothing is amiss with.
    fn keeps_directories(&self) -> bool {
        true
    }

    /// Whether it may be known what lies in a directory, and that there is no directory in it:
    /// then it need not even be opened, and [`Sift::begin`] is told what its name shows. Where
    /// that has no answer it is opened and begun with again.
    fn may_know_leaf(&self, _: &RelPath) -> bool {
        false
    }

    /// Whether it matters what a directory is besides its name: then there is a `statx` for
    /// each.
    fn stats_directories(&self) -> bool {
        true
    }

    /// A thread begins with a directory. Where it is known what lies in it, it is not
    /// listed, and the answer has the names of the directories in it.
    fn begin(&self, _: &RelPath, _: Option<&Facts>, _: &mut Self::Part) -> Option<Below> {
        None
    }

    /// The thread ends with a directory it has listed; with the names of those in it, unless
    /// something in it could not be seen.
    fn end(&self, _: &RelPath, _: Option<&Facts>, _: Option<Below>, _: &mut Self::Part) {}
}

/// Remembers everything.
struct Everything;

impl Sift for Everything {
    type Part = ();
    type Place = ();

    fn passes(&self, _: &RelPath, _: Kind, (): &mut (), (): &mut ()) -> bool {
        false
    }

    fn keeps(&self, _: &Entry, (): (), (): &mut ()) -> bool {
        true
    }
}

/// Lists what statements can reach; `visit` says how far they do.
pub fn scan(
    root: &Root,
    visit: &(dyn Fn(&RelPath) -> Visit + Sync),
    options: ScanOptions,
) -> Inventory {
    scan_sifted(root, visit, &Everything, options).0
}

/// The same, with entries only of what a sieve keeps, and what its threads noted.
pub fn scan_sifted<S: Sift>(
    root: &Root,
    visit: &(dyn Fn(&RelPath) -> Visit + Sync),
    sieve: &S,
    options: ScanOptions,
) -> (Inventory, Vec<S::Part>) {
    scan_holding(root, visit, sieve, options, queue::HANDLES)
}

/// [`scan_sifted`] with a bound of its own on directories kept open.
fn scan_holding<S: Sift>(
    root: &Root,
    visit: &(dyn Fn(&RelPath) -> Visit + Sync),
    sieve: &S,
    options: ScanOptions,
    handles: usize,
) -> (Inventory, Vec<S::Part>) {
    if visit(&RelPath::root()) == Visit::Nothing {
        return Default::default();
    }
    let queue = Queue::new(handles);
    queue.push([Job::root()]);
    let worker = Worker::new(root, visit, sieve, &options, &queue);
    let (found, parts) = thread::scope(|scope| {
        let helpers: Vec<_> = (1..options.threads.get())
            .map_while(|_| {
                // Too few threads to be had make a slower scan, not a failed one.
                thread::Builder::new()
                    .name("scan".to_owned())
                    .spawn_scoped(scope, || worker.run())
                    .ok()
            })
            .collect();
        let (mut found, part) = worker.run();
        let mut parts = vec![part];
        for helper in helpers {
            match helper.join() {
                Ok((more, part)) => {
                    found.append(more);
                    parts.push(part);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        (found, parts)
    });
    (inventory(found), parts)
}

fn inventory(mut found: Findings) -> Inventory {
    sort_by_path(&mut found.entries, |entry| &entry.path);
    // Each worker has sorted its own, and a stable sort merges such runs.
    found.directories.sort_by(by_path);
    found.skipped.sort();
    // A name moved while its directory is listed may be listed twice.
    found.entries.dedup_by(|a, b| a.path == b.path);
    found.directories.dedup_by(|a, b| a.path == b.path);
    found.skipped.dedup();
    found.unentered.sort();
    found.unentered.dedup();
    Inventory {
        entries: found.entries,
        directories: found.directories,
        skipped: found.skipped,
        unentered: found.unentered,
        aliases: BTreeMap::new(),
        filed: BTreeMap::new(),
    }
}

fn by_path(a: &Entry, b: &Entry) -> std::cmp::Ordering {
    a.path.cmp(&b.path)
}

#[cfg(test)]
mod tests;
