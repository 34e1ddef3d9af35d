//! What can be wrong with the journal.

use std::path::PathBuf;

use super::{SCHEMA, reserve};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The state directory cannot be made or used.
    #[error("cannot use the state directory `{}`: {reason}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was written by a later version.
    #[error("the journal in `{}` has form {found}, this version of retain reads form {SCHEMA}; use the newer retain", directory.display())]
    Newer {
        /// The directory.
        directory: PathBuf,
        /// Its form.
        found: u32,
    },
    /// It was written by a version before the first release.
    #[error("the journal in `{}` has form {found} of an unreleased retain; move it away, a new one will be made", directory.display())]
    Older {
        /// The directory.
        directory: PathBuf,
        /// Its form.
        found: u32,
    },
    /// Another process works on the store with this state directory.
    #[error("store `{store}` is in use by {holder}")]
    Locked {
        /// The store.
        store: String,
        /// Who says to hold it.
        holder: String,
    },
    /// SQLite refuses.
    #[error("the journal in `{}` cannot be used: {source}", directory.display())]
    Database {
        /// The directory.
        directory: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Something in it cannot be read.
    #[error("the journal in `{}` is damaged: {reason}", directory.display())]
    Damaged {
        /// The directory.
        directory: PathBuf,
        /// What.
        reason: String,
    },
    /// No run, or several, have this name.
    #[error("{0}")]
    Run(String),
}

impl JournalError {
    /// Whether something could not be written that more room might help.
    pub fn may_need_room(&self) -> bool {
        matches!(self, JournalError::Database { source, .. } if reserve::is_full(source))
    }

    /// Whether it is that the disk of the state directory is full.
    pub fn is_out_of_room(&self) -> bool {
        match self {
            JournalError::Database { directory, source } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
                    || (reserve::is_full(source) && reserve::is_exhausted(directory))
            }
            JournalError::Directory { .. }
            | JournalError::Newer { .. }
            | JournalError::Older { .. }
            | JournalError::Locked { .. }
            | JournalError::Damaged { .. }
            | JournalError::Run(_) => false,
        }
    }
}
