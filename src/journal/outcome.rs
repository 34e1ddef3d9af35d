//! What became of one planned file.

use std::fmt;

use crate::path::RelPath;

/// What became of one planned file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone.
    Removed {
        /// Bytes that gave back.
        freed: u64,
    },
    /// Somebody else had removed it.
    Vanished,
    /// The name leads to something else than was planned.
    Changed,
    /// A file that its removal relied on being kept is gone or changed.
    FloorGone,
    /// A plugin wants it kept.
    Kept {
        /// The plugin.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// A plugin did not succeed.
    Blocked {
        /// The plugin.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// It could not be made certain that the right file would go.
    Unverifiable {
        /// Why.
        reason: String,
    },
    /// The system refused.
    Failed {
        /// In its words.
        reason: String,
    },
    /// It lies in the trash, and its name is taken or cannot be given back.
    InTrash {
        /// Where, below the store's root.
        place: String,
        /// Why.
        reason: String,
    },
    /// The run was cut short before it was its turn.
    Interrupted,
    /// It lies in the trash, to be had back for a while.
    Trashed,
    /// Somebody has it open for writing.
    Busy {
        /// What shows it.
        reason: String,
    },
    /// A hold of the ledger keeps it.
    Held {
        /// The hold's name.
        hold: String,
    },
    /// A directory whose planned members are gone, and that stays with what has
    /// appeared in it meanwhile.
    Remains {
        /// Bytes that gave back.
        freed: u64,
    },
    /// Something else in its directory stays, so all of it stays.
    Whole {
        /// What stays.
        because: RelPath,
    },
    /// What was too full is not any more.
    Relieved,
    /// Removing files frees nothing here, so no more of them goes.
    Futile,
    /// A directory that is gone.
    DirectoryRemoved {
        /// Bytes that gave back.
        freed: u64,
    },
    /// A directory that stays.
    DirectoryKept {
        /// Why.
        reason: String,
    },
    /// A saved plan names it, and the policy does not take it.
    Refused,
    /// Its archive has taken its place.
    Replaced {
        /// Bytes that gave back: what the file took beyond its archive.
        freed: u64,
    },
    /// It stays, and its archive was proved.
    BackedUp,
    /// It had lain in the trash and was put back.
    Undone,
    /// It had lain in the trash and is gone.
    Purged {
        /// Bytes that gave back.
        freed: u64,
    },
}

/// The kinds of outcomes as reports count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// We have removed it.
    Removed,
    /// It is gone, and we did not do it.
    Vanished,
    /// Its archive is in its place.
    Replaced,
    /// It was archived, and nothing else was to be done with it.
    BackedUp,
    /// It is kept, and that is as it should be.
    Kept,
    /// It is kept because something did not work.
    Trouble,
    /// It is a directory, which no report counts among files.
    Directory,
}

impl Outcome {
    /// The kind of outcome.
    pub fn class(&self) -> Class {
        match self {
            Outcome::Removed { .. } | Outcome::Trashed | Outcome::Purged { .. } => Class::Removed,
            Outcome::Replaced { .. } => Class::Replaced,
            Outcome::BackedUp => Class::BackedUp,
            Outcome::Vanished => Class::Vanished,
            Outcome::Changed
            | Outcome::FloorGone
            | Outcome::Kept { .. }
            | Outcome::Interrupted
            | Outcome::Busy { .. }
            | Outcome::Held { .. }
            | Outcome::Whole { .. }
            | Outcome::Relieved
            | Outcome::Futile
            | Outcome::Undone => Class::Kept,
            Outcome::DirectoryRemoved { .. } | Outcome::DirectoryKept { .. } => Class::Directory,
            Outcome::Remains { .. }
            | Outcome::Refused
            | Outcome::Blocked { .. }
            | Outcome::Unverifiable { .. }
            | Outcome::Failed { .. }
            | Outcome::InTrash { .. } => Class::Trouble,
        }
    }

    /// A stable word for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Removed { .. } => "removed",
            Outcome::Vanished => "vanished",
            Outcome::Changed => "changed",
            Outcome::FloorGone => "floor-gone",
            Outcome::Kept { .. } => "kept",
            Outcome::Blocked { .. } => "blocked",
            Outcome::Unverifiable { .. } => "unverifiable",
            Outcome::Failed { .. } => "failed",
            Outcome::InTrash { .. } => "in-trash",
            Outcome::Interrupted => "interrupted",
            Outcome::Trashed => "trashed",
            Outcome::Busy { .. } => "busy",
            Outcome::Held { .. } => "held",
            Outcome::Remains { .. } => "remains",
            Outcome::Whole { .. } => "whole",
            Outcome::Relieved => "relieved",
            Outcome::Futile => "futile",
            Outcome::DirectoryRemoved { .. } => "directory-removed",
            Outcome::DirectoryKept { .. } => "directory-kept",
            Outcome::Replaced { .. } => "replaced",
            Outcome::Refused => "refused",
            Outcome::BackedUp => "backed-up",
            Outcome::Undone => "undone",
            Outcome::Purged { .. } => "purged",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Removed { .. } => f.write_str("removed"),
            Outcome::Vanished => f.write_str("already gone"),
            Outcome::Changed => f.write_str("kept: it changed after it was planned"),
            Outcome::FloorGone => {
                f.write_str("kept: a newer file of its group is gone or changed since the plan")
            }
            Outcome::Kept { plugin, reason } => write!(f, "kept by plugin `{plugin}`: {reason}"),
            Outcome::Blocked { plugin, reason } => {
                write!(
                    f,
                    "kept, because plugin `{plugin}` did not succeed: {reason}"
                )
            }
            Outcome::Unverifiable { reason } => write!(f, "kept, unverifiable: {reason}"),
            Outcome::Failed { reason } => write!(f, "kept, removal failed: {reason}"),
            Outcome::InTrash { place, reason } => write!(f, "lies in `{place}`: {reason}"),
            Outcome::Interrupted => f.write_str("kept: the run was interrupted before it"),
            Outcome::Trashed => f.write_str("in the trash"),
            Outcome::Busy { reason } => write!(f, "kept, busy: {reason}"),
            Outcome::Held { hold } => write!(f, "kept by the hold `{hold}`"),
            Outcome::Remains { .. } => {
                f.write_str("emptied of what was planned, kept with what has appeared in it")
            }
            Outcome::Whole { because } => {
                write!(f, "kept, because its directory stays whole: `{because}` stays")
            }
            Outcome::Relieved => f.write_str("kept: there is room enough again"),
            Outcome::Futile => f.write_str(
                "kept: removing files frees nothing here; a snapshot or another name may hold the blocks",
            ),
            Outcome::DirectoryRemoved { .. } => f.write_str("directory removed"),
            Outcome::DirectoryKept { reason } => write!(f, "directory kept: {reason}"),
            Outcome::Refused => {
                f.write_str("kept, refused: the plan names it, and the policy does not take it")
            }
            Outcome::Replaced { .. } => f.write_str("replaced by its archive"),
            Outcome::BackedUp => f.write_str("backed up"),
            Outcome::Undone => f.write_str("put back from the trash"),
            Outcome::Purged { .. } => f.write_str("removed from the trash"),
        }
    }
}
