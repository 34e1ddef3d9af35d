//! Directories that are still to be listed, shared by the workers.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::entry::FileId;
use crate::path::RelPath;
use crate::store::{Dir, Name};

/// How many directories the queue keeps open: well below the usual 1,024 open
/// files of a process, of which others are needed elsewhere.
pub(super) const HANDLES: usize = 256;

/// How often a directory is tried again when the process is out of descriptors.
pub(super) const ATTEMPTS: u32 = 64;

/// One directory to list.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: RelPath,
    pub(super) way: Way,
    /// How often opening it failed for want of descriptors.
    pub(super) attempts: u32,
}

/// How a queued directory is reached.
#[derive(Debug)]
pub(super) enum Way {
    /// By its name in its parent, which is held.
    Parent(Arc<Held>),
    /// From the root; it must still be the directory that was seen, where one was.
    Root(Option<FileId>),
}

impl Job {
    pub(super) fn root() -> Job {
        Job {
            path: RelPath::root(),
            way: Way::Root(None),
            attempts: 0,
        }
    }

    /// Lets the parent's handle go, noting which directory the name leads to.
    pub(super) fn let_go(&mut self) {
        if let Way::Parent(parent) = &self.way {
            let seen = Name::of(&self.path).and_then(|name| parent.stat(name).ok());
            self.way = Way::Root(seen.map(|facts| facts.id));
        }
    }
}

/// A directory handle that counts towards the bound for as long as it is held.
#[derive(Debug)]
pub(super) struct Held {
    dir: Dir,
    count: Arc<AtomicUsize>,
}

impl Deref for Held {
    type Target = Dir;

    fn deref(&self) -> &Dir {
        &self.dir
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The jobs, last in first out: a subtree is finished before its siblings begin,
/// which keeps both the queue and the number of held parents short.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    held: Arc<AtomicUsize>,
    bound: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<Job>,
    /// Workers with a job in hand, who may still queue more.
    busy: usize,
}

/// A job in hand; the queue does not end before it is dropped.
pub(super) struct InHand<'a> {
    queue: &'a Queue,
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.busy -= 1;
        if state.busy == 0 {
            self.queue.changed.notify_all();
        }
    }
}

impl Queue {
    pub(super) fn new(bound: usize) -> Queue {
        Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            held: Arc::default(),
            bound,
        }
    }

    /// Holds a directory and counts it.
    pub(super) fn hold(&self, dir: Dir) -> Arc<Held> {
        self.held.fetch_add(1, Ordering::Relaxed);
        Arc::new(Held {
            dir,
            count: Arc::clone(&self.held),
        })
    }

    /// Whether more directories are held than should be.
    pub(super) fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.bound
    }

    pub(super) fn push(&self, jobs: impl IntoIterator<Item = Job>) {
        let mut state = self.state();
        let before = state.jobs.len();
        state.jobs.extend(jobs);
        let more = state.jobs.len() > before;
        drop(state);
        // Most directories have none below them, and waking nobody is a system call too.
        if more {
            self.changed.notify_all();
        }
    }

    /// Puts a job where it comes last.
    pub(super) fn postpone(&self, job: Job) {
        self.state().jobs.insert(0, job);
        self.changed.notify_one();
    }

    /// The next job; waits while others may still queue one, and ends with the
    /// last of them.
    pub(super) fn next(&self) -> Option<(Job, InHand<'_>)> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                return Some((job, InHand { queue: self }));
            }
            if state.busy == 0 {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets go of every handle that queued jobs hold.
    pub(super) fn let_go(&self) {
        self.state().jobs.iter_mut().for_each(Job::let_go);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Jobs are pushed and popped whole, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
