//! What became of one planned file.

use std::fmt;

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
}

/// The kinds of outcomes as reports count them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// We have removed it.
    Removed,
    /// It is gone, and we did not do it.
    Vanished,
    /// It is kept, and that is as it should be.
    Kept,
    /// It is kept because something did not work.
    Trouble,
}

impl Outcome {
    /// The kind of outcome.
    pub fn class(&self) -> Class {
        match self {
            Outcome::Removed { .. } => Class::Removed,
            Outcome::Vanished => Class::Vanished,
            Outcome::Changed | Outcome::FloorGone | Outcome::Kept { .. } | Outcome::Interrupted => {
                Class::Kept
            }
            Outcome::Blocked { .. }
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
        }
    }
}
