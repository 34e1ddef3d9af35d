//! One thread's part of a scan.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::queue::{ATTEMPTS, Held, Job, Queue, Way};
use super::{Below, ScanOptions, Sift, Skip, Skipped, append, by_path};
use crate::entry::{Entry, Facts, Kind, Unreadable, Visit};
use crate::path::RelPath;
use crate::store::{CONTROL, Dir, Listed, Name, Names, Root, in_words, is_out_of_descriptors};

/// How many subdirectories are collected before other workers may have them.
const SHARE: usize = 32;

/// How many names are looked at before the first of them is decided on.
const BATCH: usize = 64;

/// What one worker has seen.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) entries: Vec<Entry>,
    pub(super) directories: Vec<Entry>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) unentered: Vec<RelPath>,
    /// Paths that are done with, for the memory they have; of one batch at most.
    spare: Vec<RelPath>,
}

/// A name that is to be looked at.
struct Awaiting<'n, Place> {
    name: Name<'n>,
    path: RelPath,
    place: Place,
}

/// What becomes of a name that is listed.
enum Met<'n, Place> {
    /// Nothing further.
    Nothing,
    Job(Job),
    Name(Awaiting<'n, Place>),
}

impl Findings {
    pub(super) fn append(&mut self, mut more: Findings) {
        append(&mut self.entries, more.entries);
        self.directories.append(&mut more.directories);
        self.skipped.append(&mut more.skipped);
        self.unentered.append(&mut more.unentered);
    }

    fn skip(&mut self, path: RelPath, why: Skip) {
        self.skipped.push(Skipped { path, why });
    }
}

/// What all workers of one scan share.
pub(super) struct Worker<'a, S> {
    root: &'a Root,
    visit: &'a (dyn Fn(&RelPath) -> Visit + Sync),
    sieve: &'a S,
    boundaries: HashSet<&'a RelPath>,
    seen: &'a AtomicU64,
    queue: &'a Queue,
}

impl<'a, S: Sift> Worker<'a, S> {
    pub(super) fn new(
        root: &'a Root,
        visit: &'a (dyn Fn(&RelPath) -> Visit + Sync),
        sieve: &'a S,
        options: &'a ScanOptions,
        queue: &'a Queue,
    ) -> Worker<'a, S> {
        Worker {
            root,
            visit,
            sieve,
            boundaries: options.boundaries.iter().collect(),
            seen: &options.seen,
            queue,
        }
    }

    /// Lists directories until there are none left.
    pub(super) fn run(&self) -> (Findings, S::Part) {
        let mut found = Findings::default();
        let mut part = S::Part::default();
        let mut names = Names::default();
        while let Some((job, _in_hand)) = self.queue.next() {
            self.take(job, &mut names, &mut found, &mut part);
        }
        found.directories.sort_unstable_by(by_path);
        (found, part)
    }

    fn take(&self, mut job: Job, names: &mut Names, found: &mut Findings, part: &mut S::Part) {
        if let Some(facts) = self.known_leaf(&job, part) {
            self.note(job.path, Ok(Some(facts)), found);
            return;
        }
        match self.open(&job) {
            Ok((dir, facts)) => {
                // The parent may be the last thing its handle was needed for.
                let path = job.path;
                drop(job.way);
                if let Some(below) = self.sieve.begin(&path, facts.as_ref(), part) {
                    self.enter_all(&path, dir, &below, found);
                    self.note(path, Ok(facts), found);
                    return;
                }
                let listed = dir.names(names);
                // A root that this configuration may not even know. Its mark is a name like
                // others, so what was listed to its end without it has none.
                let maybe_marked = listed.is_err() || names.contains(CONTROL);
                if !path.is_root() && maybe_marked && dir.is_marked() {
                    found.skip(path, Skip::InnerStore);
                    return;
                }
                let below = self.look_at_all(&path, self.queue.hold(dir), names, found, part);
                let below = below.filter(|_| listed.is_ok());
                self.sieve.end(&path, facts.as_ref(), below, part);
                let facts = listed.map(|()| facts).map_err(|error| unreadable(&error));
                self.note(path, facts, found);
            }
            Err(error) if is_out_of_descriptors(&error) && job.attempts < ATTEMPTS => {
                job.let_go();
                job.attempts += 1;
                self.queue.let_go();
                self.queue.postpone(job);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => {}
                io::ErrorKind::CrossesDevices => found.skip(job.path, Skip::Mount),
                _ => self.note(job.path, Err(unreadable(&error)), found),
            },
        }
    }

    /// Remembers a directory, if somebody asks for it.
    fn note(&self, path: RelPath, facts: Result<Option<Facts>, Unreadable>, found: &mut Findings) {
        if facts.is_err() || self.sieve.keeps_directories() {
            let entry = facts.transpose().map(|facts| Entry { path, facts });
            found.directories.extend(entry);
        }
    }

    /// What a directory is of which all is known: nothing in it is to be opened, so a look at
    /// its name is enough.
    fn known_leaf(&self, job: &Job, part: &mut S::Part) -> Option<Facts> {
        let Way::Parent(parent) = &job.way else {
            return None;
        };
        if !self.sieve.may_know_leaf(&job.path) {
            return None;
        }
        let facts = parent.stat_synced(Name::of(&job.path)?).ok()?;
        let below = match facts.kind {
            Kind::Directory => self.sieve.begin(&job.path, Some(&facts), part)?,
            Kind::File | Kind::Symlink | Kind::Special => return None,
        };
        below.is_empty().then_some(facts)
    }

    /// A directory, and what it is where somebody asks for it.
    fn open(&self, job: &Job) -> io::Result<(Dir, Option<Facts>)> {
        let (dir, expected) = match (&job.way, Name::of(&job.path)) {
            (Way::Parent(parent), Some(name)) => (parent.open_child(name)?, None),
            (Way::Parent(_), None) => (self.root.open_dir(&job.path)?, None),
            (Way::Root(expected), _) => (self.root.open_dir(&job.path)?, *expected),
        };
        if expected.is_none() && !self.sieve.stats_directories() {
            return Ok((dir, None));
        }
        let facts = dir.facts()?;
        match expected {
            Some(id) if id != facts.id => Err(io::Error::other(
                "another directory has taken its place during the scan",
            )),
            Some(_) | None => Ok((dir, Some(facts))),
        }
    }

    fn look_at_all(
        &self,
        path: &RelPath,
        dir: Arc<Held>,
        names: &Names,
        found: &mut Findings,
        part: &mut S::Part,
    ) -> Option<Below> {
        let mut jobs = Vec::new();
        let mut awaiting = Vec::new();
        let mut seen = 0;
        let skipped = found.skipped.len();
        let mut whole = true;
        let mut below = Below::new();
        for listed in names.iter() {
            if path.is_root() && listed.name.as_bytes() == CONTROL.as_bytes() {
                continue;
            }
            seen += 1;
            match listed.kind {
                Some(Kind::Directory) => below.push(listed.name.as_bytes().into()),
                Some(_) => {}
                None => whole = false,
            }
            match self.meet(path, &dir, listed, found, part) {
                Met::Nothing => {}
                Met::Job(job) => jobs.push(job),
                Met::Name(name) => awaiting.push(name),
            }
            if awaiting.len() == BATCH {
                self.look(&dir, &mut awaiting, found, part, &mut jobs);
            }
            if jobs.len() >= SHARE {
                self.queue.push(jobs.drain(..));
            }
        }
        self.look(&dir, &mut awaiting, found, part, &mut jobs);
        self.seen.fetch_add(seen, Ordering::Relaxed);
        self.queue.push(jobs);
        (whole && found.skipped.len() == skipped).then_some(below)
    }

    /// Queues the directories in one that is not listed.
    fn enter_all(&self, path: &RelPath, dir: Dir, below: &[Box<[u8]>], found: &mut Findings) {
        if below.is_empty() {
            return;
        }
        let dir = self.queue.hold(dir);
        let paths = below.iter().filter_map(|name| path.join(name).ok());
        let jobs: Vec<Job> = paths
            .filter_map(|path| self.enter(path, &dir, found))
            .collect();
        self.queue.push(jobs);
    }

    /// Whether a name is to be looked at; a directory becomes a job.
    fn meet<'n>(
        &self,
        parent: &RelPath,
        dir: &Arc<Held>,
        listed: Listed<'n>,
        found: &mut Findings,
        part: &mut S::Part,
    ) -> Met<'n, S::Place> {
        let name = listed.name;
        // The kernel lists no name that is not a component.
        let Ok(path) = parent.join_over(name.as_bytes(), found.spare.pop()) else {
            return Met::Nothing;
        };
        if listed.kind == Some(Kind::Directory) {
            return self.enter(path, dir, found).map_or(Met::Nothing, Met::Job);
        }
        let mut place = S::Place::default();
        if let Some(kind) = listed.kind
            && self.sieve.passes(&path, kind, &mut place, part)
        {
            found.spare.push(path);
            return Met::Nothing;
        }
        Met::Name(Awaiting { name, path, place })
    }

    /// Looks at names and notes what they are; those that turn out to be directories become
    /// jobs.
    fn look(
        &self,
        dir: &Arc<Held>,
        names: &mut Vec<Awaiting<'_, S::Place>>,
        found: &mut Findings,
        part: &mut S::Part,
        jobs: &mut Vec<Job>,
    ) {
        // One call after the other finds the kernel's code where the one before left it, and
        // what decides finds its own.
        let mut looks: Vec<io::Result<Facts>> = Vec::with_capacity(names.len());
        looks.extend(names.iter().map(|of| dir.stat(of.name)));
        for (Awaiting { path, place, .. }, facts) in names.drain(..).zip(looks) {
            let facts = match facts {
                Ok(facts) if facts.kind == Kind::Directory => {
                    jobs.extend(self.enter(path, dir, found));
                    continue;
                }
                Ok(facts) => Ok(facts),
                Err(error) => match error.kind() {
                    io::ErrorKind::NotFound => continue,
                    io::ErrorKind::CrossesDevices => {
                        found.skip(path, Skip::Mount);
                        continue;
                    }
                    _ => Err(unreadable(&error)),
                },
            };
            let entry = Entry { path, facts };
            if self.sieve.keeps(&entry, place, part) {
                found.entries.push(entry);
            } else {
                found.spare.push(entry.path);
            }
        }
    }

    fn enter(&self, path: RelPath, parent: &Arc<Held>, found: &mut Findings) -> Option<Job> {
        if (self.visit)(&path) == Visit::Nothing {
            found.unentered.push(path);
            return None;
        }
        if self.boundaries.contains(&path) {
            found.skip(path, Skip::InnerStore);
            return None;
        }
        let mut job = Job {
            path,
            way: Way::Parent(Arc::clone(parent)),
            attempts: 0,
        };
        if self.queue.is_full() {
            job.let_go();
        }
        Some(job)
    }
}

fn unreadable(error: &io::Error) -> Unreadable {
    Unreadable {
        reason: in_words(error),
    }
}
