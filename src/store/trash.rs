//! `.retain/trash/RUN`: where a file is moved to be looked at before it goes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::control::establish_private;
use super::dir::{Dir, Listed, Name};
use super::facts::look_at;
use super::index::{INDEX, Trashed};
use super::{CONTROL, Root, StoreError};
use crate::entry::{Changed, Facts, FileId, Kind};
use crate::fault::{Point, around};
use crate::path::RelPath;
use crate::time::Stamp;

const TRASH: &str = "trash";

/// An empty directory that is the next run's trash. It is kept between runs because a
/// full disk gives no new one, and that is when a run is needed most; a rename takes
/// neither a block nor an inode.
const SPARE: Name<'static> = Name::ours("spare");

/// Digits of a slot's name.
const DIGITS: usize = 32;

/// One run's trash directory, held open.
#[derive(Debug)]
pub struct Trash {
    pub(super) dir: Dir,
    run: String,
    /// Change times that our own unlinking of another name gave to an inode that
    /// lives on; without them the second of two planned links would look altered.
    relinked: Mutex<HashMap<FileId, Stamp>>,
    /// The run's moment, where removals are of one.
    pub(super) now: Option<Stamp>,
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
        let mut name = blake3::hash(path.as_bytes()).to_hex().to_string();
        name.truncate(DIGITS);
        Slot(name)
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

/// The slots of a trash that have something in them.
#[derive(Debug)]
pub struct Occupied(HashSet<[u8; DIGITS]>);

impl Occupied {
    /// Whether the slot of a path is among them.
    pub fn has(&self, path: &RelPath) -> bool {
        let slot = Slot::of(path);
        <&[u8; DIGITS]>::try_from(slot.0.as_bytes()).is_ok_and(|slot| self.0.contains(slot))
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
                Some(run) => take_or_make(&control, &all, run),
                None => Err(io::ErrorKind::InvalidInput.into()),
            })
            .map_err(|source| self.control_error(&name, "create", source))?;
        Ok(Trash {
            dir: self.private(dir, &name)?,
            run: run.to_owned(),
            relinked: Mutex::default(),
            now: None,
        })
    }

    /// Opens the trash of an earlier run; nothing where it has none.
    pub fn open_trash(&self, run: &str) -> Result<Option<Trash>, StoreError> {
        let Some(all) = self.all_trash()? else {
            return Ok(None);
        };
        let name = format!("{TRASH}/{run}");
        let opened = RelPath::root()
            .join(run.as_bytes())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
            .and_then(|run| match Name::of(&run) {
                Some(run) => all.open_child(run),
                None => Err(io::ErrorKind::InvalidInput.into()),
            });
        match opened {
            Ok(dir) => Ok(Some(Trash {
                dir: self.private(dir, &name)?,
                run: run.to_owned(),
                relinked: Mutex::default(),
                now: None,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.control_error(&name, "open", source)),
        }
    }

    /// The runs that have a trash here, oldest first: their names begin with when
    /// they began. What else somebody put beside them is passed over and stays.
    pub fn trash_runs(&self) -> Result<Vec<String>, StoreError> {
        let Some(all) = self.all_trash()? else {
            return Ok(Vec::new());
        };
        let mut runs = Vec::new();
        all.list(&mut Vec::new(), |listed| {
            let kind = listed
                .kind
                .or_else(|| Some(all.stat(listed.name).ok()?.kind));
            if let (Some(Kind::Directory), Ok(name)) =
                (kind, std::str::from_utf8(listed.name.as_bytes()))
            {
                runs.push(name.to_owned());
            }
        })
        .map_err(|source| self.control_error(TRASH, "read", source))?;
        runs.sort();
        Ok(runs)
    }

    pub(super) fn all_trash(&self) -> Result<Option<Dir>, StoreError> {
        let Some(control) = self.control()? else {
            return Ok(None);
        };
        match control.open_child(Name::ours(TRASH)) {
            Ok(all) => self.private(all, TRASH).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.control_error(TRASH, "open", source)),
        }
    }

    /// Removes a run's trash directory unless something still lies in it. Its list
    /// goes with the last thing on it.
    pub fn clear_trash(&self, trash: Trash) -> io::Result<Cleared> {
        let occupied = trash.has_others()?;
        let open = |path: String| {
            let path = RelPath::parse(path).map_err(io::Error::other)?;
            self.open_dir(&path)
        };
        let control = open(CONTROL.to_owned())?;
        if occupied {
            // Without a spare everything works but on a full disk.
            let _ = establish_private(&control, SPARE);
            return Ok(Cleared::Occupied);
        }
        let all = open(format!("{CONTROL}/{TRASH}"))?;
        around(Point::RemoveTrash, || {
            match unlinkat(trash.dir.fd(), INDEX, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno.into()),
            }
            if all.rename(Name::ours(&trash.run), &control, SPARE).is_ok() {
                return Ok(Cleared::Removed);
            }
            match unlinkat(all.fd(), trash.run.as_str(), AtFlags::REMOVEDIR) {
                Ok(()) => Ok(Cleared::Removed),
                Err(Errno::NOTEMPTY) => Ok(Cleared::Occupied),
                Err(errno) => Err(errno.into()),
            }
        })
    }
}

/// Opens a run's directory, which is the spare one where there is none of its name.
fn take_or_make(control: &Dir, all: &Dir, run: Name<'_>) -> io::Result<Dir> {
    let is_there = control
        .stat(SPARE)
        .is_ok_and(|it| it.kind == Kind::Directory);
    // It cannot be taken where this run has a trash already, or names cannot be moved so;
    // and what somebody has changed would be no place for anybody's files.
    if is_there && is_as_left(control) && control.rename(SPARE, all, run).is_ok() {
        fsync(all.fd())?;
        return all.open_child(run);
    }
    establish_private(all, run)
}

/// Whether the spare trash is ours alone and empty.
fn is_as_left(control: &Dir) -> bool {
    let spare = control.open_child(SPARE);
    spare.is_ok_and(|spare| {
        let ours = |facts: Facts| facts.owner == geteuid().as_raw() && facts.mode & 0o077 == 0;
        spare.facts().is_ok_and(ours) && spare.any(&mut Vec::new(), |_| true).is_ok_and(|any| !any)
    })
}

/// What came of putting a trashed file back in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Return {
    /// It is in its place.
    Back,
    /// Something has taken its name; both stay where they are.
    Taken,
    /// It is not in the trash any more.
    Gone,
    /// What lies in its slot is something else.
    Stranger,
    /// The system refused, in its words; it lies in the trash.
    Failed(String),
}

/// What came of removing a trashed file for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purge {
    /// It is gone.
    Gone {
        /// Bytes that gave back.
        freed: u64,
    },
    /// It was not there any more.
    Absent,
    /// What lies in its slot is something else; that stays.
    Stranger,
    /// The system refused, in its words.
    Failed(String),
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
    /// Tells it the run's moment, by which a file counts as just written.
    #[must_use]
    pub fn at(self, now: Stamp) -> Trash {
        Trash {
            now: Some(now),
            ..self
        }
    }

    /// Makes what was moved and unlinked so far outlast a power cut. Without it, the
    /// journal could say that a file is gone which a cut leaves in the trash, where
    /// nobody would look for it any more.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(self.dir.fd())?)
    }

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

    /// Whether it has a list and anything besides. What cannot be listed may have.
    pub fn is_kept(&self) -> bool {
        self.dir.stat(Name::ours(INDEX)).is_ok() && self.has_others().unwrap_or(true)
    }

    /// Whether anything but its list lies in it.
    pub(super) fn has_others(&self) -> io::Result<bool> {
        let other = |listed: Listed<'_>| listed.name.as_bytes() != INDEX.as_bytes();
        self.dir.any(&mut Vec::new(), other)
    }

    /// Whether something lies in the slot of a path.
    pub fn has(&self, path: &RelPath) -> bool {
        matches!(self.look(&Slot::of(path)), Ok(Some(_)))
    }

    /// Which of these paths have something in their slots, told by one listing instead
    /// of a look at each.
    pub fn occupied(&self) -> io::Result<Occupied> {
        let mut slots = HashSet::new();
        self.dir.list(&mut Vec::new(), |listed| {
            slots.extend(<[u8; DIGITS]>::try_from(listed.name.as_bytes()));
        })?;
        Ok(Occupied(slots))
    }

    /// Puts what lies in the trash back under its name in the directory it came from,
    /// which the caller holds, replacing nothing.
    pub fn put_back(&self, parent: &Dir, trashed: &Trashed) -> Return {
        let slot = Slot::of(&trashed.path);
        match self.look(&slot) {
            // Whatever became of it since, it is what was taken from there: nobody else
            // writes in the trash, and other names of it may have been written through.
            Ok(Some(found)) if is_it(&trashed.facts, &found) => {}
            Ok(Some(_)) => return Return::Stranger,
            Ok(None) => return Return::Gone,
            Err(error) => return Return::Failed(super::in_words(&error)),
        }
        match Name::of(&trashed.path) {
            Some(name) => match self.give_back_slot(&slot, parent, name) {
                Ok(()) => Return::Back,
                Err(Errno::EXIST) => Return::Taken,
                Err(errno) => Return::Failed(super::in_words(&errno.into())),
            },
            None => Return::Failed("it is the store's root".to_owned()),
        }
    }

    /// Removes what lies in the trash for good, if it is what was put there.
    pub fn purge_kept(&self, trashed: &Trashed) -> Purge {
        let slot = Slot::of(&trashed.path);
        let found = match self.look(&slot) {
            Ok(Some(found)) if is_same(&trashed.facts, &found) => found,
            Ok(Some(_)) => return Purge::Stranger,
            Ok(None) => return Purge::Absent,
            Err(error) => return Purge::Failed(super::in_words(&error)),
        };
        let gone = match found.kind {
            Kind::Directory => self.purge_directory(&slot, trashed),
            Kind::File | Kind::Symlink | Kind::Special => self.purge(&slot, &found),
        };
        match gone {
            Ok(freed) => Purge::Gone { freed },
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Purge::Stranger,
            Err(error) => Purge::Failed(super::in_words(&error)),
        }
    }

    /// Renames a slot's content to where it came from.
    pub(super) fn give_back_slot(
        &self,
        slot: &Slot,
        parent: &Dir,
        name: Name<'_>,
    ) -> Result<(), Errno> {
        around(Point::PutBack, || {
            self.dir.rename(slot.name(), parent, name)
        })
    }

    /// Notes the change time our own rename gave to an inode with other names.
    pub(super) fn note_relinked(&self, facts: &Facts) {
        if facts.links > 1 {
            self.relinked().insert(facts.id, facts.changed);
        }
    }

    /// Whether what was found under a name is the planned file, unaltered.
    pub(super) fn recognises(&self, planned: &Facts, found: &Facts) -> bool {
        planned.same_generation(found, Changed::Compared)
            || (same_but_changed(planned, found)
                && self.relinked().get(&found.id) == Some(&found.changed))
    }

    /// Unlinks a name in any directory, noting what that does to other names of the
    /// same inode; returns the bytes that frees.
    pub(super) fn unlink_in(&self, dir: &Dir, name: Name<'_>, facts: &Facts) -> io::Result<u64> {
        let other_names = facts.links > 1;
        let witness = match other_names {
            true => Some(dir.open(name, OFlags::PATH, Mode::empty())?),
            false => None,
        };
        unlinkat(dir.fd(), name.as_bytes(), AtFlags::empty())?;
        if let Some(left) = witness.and_then(|inode| look_at(inode).ok()) {
            self.relinked().insert(left.facts.id, left.facts.changed);
        }
        Ok(if other_names { 0 } else { facts.allocated })
    }

    /// Unlinks what lies in a slot; returns the bytes that frees.
    pub(super) fn purge(&self, slot: &Slot, facts: &Facts) -> io::Result<u64> {
        around(Point::UnlinkTrashed, || {
            self.unlink_in(&self.dir, slot.name(), facts)
        })
    }

    fn relinked(&self) -> MutexGuard<'_, HashMap<FileId, Stamp>> {
        // A map of plain stamps is whole after any panic.
        self.relinked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what lies in a slot is the object that was put there, altered or not.
fn is_it(put: &Facts, found: &Facts) -> bool {
    (put.kind, put.id) == (found.kind, found.id)
}

/// Whether what lies in a slot is what was put there, unaltered. A directory's own size and
/// time are those of its entries; its members are compared one by one.
fn is_same(put: &Facts, found: &Facts) -> bool {
    match put.kind {
        Kind::Directory => put.kind == found.kind && put.id == found.id,
        Kind::File | Kind::Symlink | Kind::Special => same_but_changed(put, found),
    }
}

/// Whether two looks show one unaltered file, the inode's change time aside,
/// which a rename itself moves on.
pub(super) fn same_but_changed(planned: &Facts, found: &Facts) -> bool {
    planned.same_generation(found, Changed::Ignored)
        && (planned.mode, planned.owner, planned.group) == (found.mode, found.owner, found.group)
}
