//! `.retain/trash/RUN`: where a file is moved to be looked at before it goes.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, unlinkat};
use rustix::io::Errno;

use super::control::establish_private;
use super::dir::{Dir, Name};
use super::facts::look_at;
use super::{CONTROL, Root, StoreError};
use crate::entry::{Changed, Facts, FileId};
use crate::path::RelPath;
use crate::time::Stamp;

const TRASH: &str = "trash";

/// One run's trash directory, held open.
#[derive(Debug)]
pub struct Trash {
    pub(super) dir: Dir,
    run: String,
    /// Change times that our own unlinking of another name gave to an inode that
    /// lives on; without them the second of two planned links would look altered.
    relinked: Mutex<HashMap<FileId, Stamp>>,
}

/// The name one path has in any run's trash.
///
/// It follows from the path alone, so whoever knows the path of a removal that
/// was cut short knows where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot(String);

impl Slot {
    /// The slot of a path: half its BLAKE3, which no two paths of a plan share.
    pub fn of(path: &RelPath) -> Slot {
        let hash = blake3::hash(path.as_bytes()).to_hex();
        Slot(hash.chars().take(32).collect())
    }

    pub(super) fn name(&self) -> Name<'_> {
        Name::ours(&self.0)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Root {
    /// Opens a run's trash, making it if needed.
    pub fn establish_trash(&self, run: &str) -> Result<Trash, StoreError> {
        let control = self.establish_control()?;
        let failed = |source| self.control_error(TRASH, "create", source);
        let all = establish_private(&control, Name::ours(TRASH)).map_err(failed)?;
        let all = self.private(all, TRASH)?;
        let name = format!("{TRASH}/{run}");
        let dir = RelPath::root()
            .join(run.as_bytes())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
            .and_then(|run| match Name::of(&run) {
                Some(run) => establish_private(&all, run),
                None => Err(io::ErrorKind::InvalidInput.into()),
            })
            .map_err(|source| self.control_error(&name, "create", source))?;
        Ok(Trash {
            dir: self.private(dir, &name)?,
            run: run.to_owned(),
            relinked: Mutex::default(),
        })
    }

    /// Removes a run's trash directory unless something still lies in it.
    pub fn clear_trash(&self, trash: Trash) -> io::Result<Cleared> {
        let all = RelPath::parse(format!("{CONTROL}/{TRASH}"))
            .map_err(io::Error::other)
            .and_then(|path| self.open_dir(&path))?;
        match unlinkat(all.fd(), trash.run.as_str(), AtFlags::REMOVEDIR) {
            Ok(()) => Ok(Cleared::Removed),
            Err(Errno::NOTEMPTY) => Ok(Cleared::Occupied),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// What became of a run's trash directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// It was empty and is gone.
    Removed,
    /// Something was left in it on purpose and is still there.
    Occupied,
}

impl Trash {
    /// Where the slot of a path lies, below the store's root.
    pub fn place(&self, slot: &Slot) -> String {
        format!("{CONTROL}/{TRASH}/{}/{slot}", self.run)
    }

    /// What lies in a slot; nothing when it is empty.
    pub fn look(&self, slot: &Slot) -> io::Result<Option<Facts>> {
        match self.dir.stat(slot.name()) {
            Ok(facts) => Ok(Some(facts)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether what was found under a name is the planned file, unaltered.
    pub(super) fn recognises(&self, planned: &Facts, found: &Facts) -> bool {
        planned.same_generation(found, Changed::Compared)
            || (same_but_changed(planned, found)
                && self.relinked().get(&found.id) == Some(&found.changed))
    }

    /// Unlinks what lies in a slot; returns the bytes that frees.
    pub(super) fn purge(&self, slot: &Slot, facts: &Facts) -> io::Result<u64> {
        let other_names = facts.links > 1;
        let witness = match other_names {
            true => Some(self.dir.open(slot.name(), OFlags::PATH, Mode::empty())?),
            false => None,
        };
        unlinkat(self.dir.fd(), slot.name().as_bytes(), AtFlags::empty())?;
        if let Some(left) = witness.and_then(|inode| look_at(inode).ok()) {
            self.relinked().insert(left.facts.id, left.facts.changed);
        }
        Ok(if other_names { 0 } else { facts.allocated })
    }

    fn relinked(&self) -> MutexGuard<'_, HashMap<FileId, Stamp>> {
        // A map of plain stamps is whole after any panic.
        self.relinked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two looks show one unaltered file, the inode's change time aside,
/// which a rename itself moves on.
pub(super) fn same_but_changed(planned: &Facts, found: &Facts) -> bool {
    planned.same_generation(found, Changed::Ignored)
        && (planned.mode, planned.owner, planned.group) == (found.mode, found.owner, found.group)
}
