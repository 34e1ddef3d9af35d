//! Why a run did not happen, or ended early.

use std::path::PathBuf;

use crate::apply::{MirrorError, UndoError};
use crate::diagnostic::Diagnostics;
use crate::journal::{JournalError, Latch, RunId};
use crate::path::RelPath;
use crate::store::StoreError;

/// Why a run did not happen, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The policy has mistakes.
    #[error(transparent)]
    Policy(#[from] Diagnostics),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The root is not the one that is known.
    #[error("the root `{}` of store `{store}` is not the one of earlier runs: {reason}", root.display())]
    Root {
        /// The store.
        store: String,
        /// Its root.
        root: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An earlier run was cut short, and not everything it left can be looked at.
    #[error(
        "an earlier run was cut short, and what became of {files} of its files cannot be seen: `{path}`: {reason}"
    )]
    Undecided {
        /// How many files.
        files: usize,
        /// The first of them.
        path: RelPath,
        /// What the system said about it.
        reason: String,
    },
    /// A saved plan does not fit.
    #[error("this plan cannot be applied: {0}")]
    Plan(String),
    /// The ledger of holds cannot be used.
    #[error(transparent)]
    Holds(#[from] MirrorError),
    /// The trash cannot be used.
    #[error(transparent)]
    Trash(#[from] UndoError),
    /// The store is empty, and nobody here knows why.
    #[error(
        "store `{store}` is empty, although run {run} left {left} files in it; nothing is done, in case its volume is not mounted"
    )]
    Emptied {
        /// The store.
        store: String,
        /// The last run that looked.
        run: String,
        /// How many files it left.
        left: u64,
    },
    /// The store is latched: nothing goes until a person has looked.
    #[error(
        "store `{}` is latched since {}: {}", .0.store, .0.since, .0.reason
    )]
    Latched(Box<Latch>),
    /// A request would remove more than the breaker lets one run remove.
    #[error("store `{store}`: {reason}")]
    Tripped {
        /// The store.
        store: String,
        /// The digest of the plan that was kept for a person to apply.
        plan: String,
        /// What would be exceeded.
        reason: String,
    },
    /// Something the system refused.
    #[error("{0}")]
    System(String),
    /// It had begun, and could not go on.
    #[error("run {run} of store `{store}` was stopped: {source}")]
    Stopped {
        /// The store.
        store: String,
        /// The run.
        run: RunId,
        /// What stopped it.
        source: Box<RunError>,
    },
}
