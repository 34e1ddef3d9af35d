//! A store's tree, reachable only through a held handle on its root.
//!
//! This is the only module that opens, lists, stats, renames or unlinks in a
//! tree. Every name is resolved relative to a directory handle, never through a
//! symbolic link and never onto another mount, so a name that is swapped between
//! two looks can lead to a refusal but not out of the store.
//!
//! What to remove, and in which order, is decided elsewhere; here it is only made
//! certain that exactly the named object goes.

mod access;
mod control;
mod create;
mod dir;
mod directory;
mod durable;
mod facts;
mod given;
mod index;
mod lease;
mod lock;
mod removal;
mod root;
mod together;
mod trash;
mod xattr;

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

pub use access::{AccessTimes, access_times};
pub use create::{Attributes, NewFile, NotPut, Shortfall};
pub use dir::{Dir, Listed, Name, Names};
pub use directory::Members;
pub use durable::{make_private_directory, sync_parent};
pub use given::{open_given, read_given};
pub use index::{Contents, Head, Index, Trashed};
pub use lock::Lock;
#[cfg(test)]
pub(crate) use removal::Moment;
pub use removal::{End, Recovery, Removal};
pub use root::{Root, Space, Stale};
pub use trash::{Cleared, Occupied, Purge, Return, Slot, Trash};
pub use xattr::xattrs;

/// The directory in a store's root that is ours; it is never scanned.
pub const CONTROL: &str = ".retain";

/// Why a store cannot be used at all.
///
/// What fails for one file is no error of this kind but that file's outcome.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The root is missing, no directory, or may not be read.
    #[error("cannot open the store `{}`: {}", root.display(), in_words(source))]
    Open {
        /// The root as it was configured.
        root: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The control directory or something in it cannot be used.
    #[error("cannot {action} `{}/{name}`: {}", root.display(), in_words(source))]
    Control {
        /// The root as it was configured.
        root: PathBuf,
        /// The path below the root.
        name: String,
        /// The verb (`open`, `create`, `read`).
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else could write where only we may.
    #[error("refusing to use `{}/{name}`: {problem}", root.display())]
    Untrusted {
        /// The root as it was configured.
        root: PathBuf,
        /// The path below the root.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another instance works on the store.
    #[error("the store `{}` is in use by {}", root.display(), describe_holder(holder.as_deref()))]
    Locked {
        /// The root as it was configured.
        root: PathBuf,
        /// Who holds the lock, in words, where that could be read.
        holder: Option<String>,
    },
}

fn describe_holder(holder: Option<&str>) -> &str {
    holder.unwrap_or("another process")
}

/// An error as the report says it: lower case, without the error's number.
pub fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.split_once(" (os error ") {
        Some((words, _)) => words,
        None => &text,
    };
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}

impl StoreError {
    /// Whether it is that the store's disk, or what of it this user may have, is full.
    pub fn is_out_of_room(&self) -> bool {
        matches!(self, StoreError::Control { source, .. } if is_out_of_room(source))
    }
}

/// Whether a call failed because the disk, or what of it this user may have, is full.
pub fn is_out_of_room(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Whether a call failed only because too many files are open just now.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE)
    )
}

#[cfg(test)]
mod tests;
