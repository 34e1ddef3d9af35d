//! Removing exactly the file that was planned, or nothing.
//!
//! A name compared and then unlinked is a race: between the two, another file may
//! take the name. So the name is first moved to where only we can reach, the moved
//! object is compared, and a stranger goes straight back. Only then is anything
//! unlinked. A writer that holds the planned file open is not excluded by this,
//! only narrowed: what it wrote before the second comparison keeps the file.

use std::io;

use rustix::io::Errno;

use super::dir::{Dir, Name};
use super::lease::{Writing, writing};
use super::root::is_control;
use super::trash::{Slot, Trash, same_but_changed};
use super::{Root, in_words};
use crate::entry::{Facts, Kind};
use crate::fault::{Point, around};
use crate::path::RelPath;
use crate::time::Stamp;

/// Seconds after a write in which a file counts as being written, where the kernel cannot
/// be asked: programs that append do so more often.
const RECENT: u64 = 60;

/// What came of removing one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed {
        /// Bytes this gave back: none while the file has other names.
        freed: u64,
    },
    /// The name leads to something else than was planned; that is untouched.
    Changed,
    /// The name leads to nothing any more.
    Vanished,
    /// It could not be made certain that the right file would go, so none did.
    Unverifiable(String),
    /// Another file took the name while we looked, and a third took it before
    /// that one could be put back: it lies in the trash, unharmed.
    StrangerKept {
        /// Where.
        slot: Slot,
        /// Why it was not put back.
        reason: String,
    },
    /// The system refused, in its words. The file is in its place.
    Failed(String),
    /// It lies in the trash, to be had back for a while.
    Trashed,
    /// Somebody has it open for writing, or wrote to it just now; it is in its place.
    Busy(String),
    /// The planned members of a directory are gone, but something new has appeared in
    /// it: the directory stays with that.
    Remains {
        /// Bytes this gave back.
        freed: u64,
    },
    /// The planned file could neither be unlinked nor put back: it lies in the
    /// trash, unharmed.
    Stranded {
        /// Where.
        slot: Slot,
        /// Why, in the system's words.
        reason: String,
    },
}

/// A point between two system calls of a removal, where others may get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The name was compared and is about to be moved.
    Compared,
    /// The object was moved and is about to be compared.
    Moved,
    /// The moved object is a stranger and is about to be put back.
    Returning,
    /// The moved object is the planned one and is about to be unlinked.
    Verified,
}

impl Root {
    /// Removes the planned file, if the path still leads to it.
    #[cfg(test)]
    pub(crate) fn remove_verified(
        &self,
        path: &RelPath,
        expected: &Facts,
        trash: &Trash,
    ) -> Removal {
        match path.parent().map(|parent| self.open_dir(&parent)) {
            Some(Ok(parent)) => trash.remove(&parent, path, expected),
            Some(Err(error)) => Removal::out_of_reach(&error),
            None => Removal::Unverifiable("it is the store's root".to_owned()),
        }
    }
}

/// Where the file of an interrupted removal was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Under its name: it was not its turn yet, or it was put back just now.
    InPlace,
    /// Under its name, but altered since it was planned.
    Altered,
    /// Nowhere: it had been removed, or another file has replaced it.
    Gone,
    /// It lies in the trash and has no place to go back to.
    Stranded {
        /// Where.
        slot: Slot,
        /// Why it was not put back.
        reason: String,
    },
}

impl Root {
    /// Settles a removal that was cut short: what is still in the trash goes back
    /// under its name. The file was to go, but a crash is a reason for doubt, and the
    /// next run decides again. An error means that this could not be found out.
    pub fn recover(&self, path: &RelPath, planned: &Facts, trash: &Trash) -> io::Result<Recovery> {
        let slot = Slot::of(path);
        if trash.look(&slot)?.is_none() {
            return match self.stat(path) {
                // The device may have another number after a restart.
                Ok(found) if found.id.inode != planned.id.inode => Ok(Recovery::Gone),
                Ok(found) if same_content(planned, &found) => Ok(Recovery::InPlace),
                Ok(_) => Ok(Recovery::Altered),
                Err(error) => match Removal::out_of_reach(&error) {
                    Removal::Vanished | Removal::Changed => Ok(Recovery::Gone),
                    _ => Err(error),
                },
            };
        }
        let put_back = || -> io::Result<()> {
            let (parent, name) = self.locate(path)?;
            Ok(trash.give_back_slot(&slot, &parent, name)?)
        };
        match put_back() {
            Ok(()) => Ok(Recovery::InPlace),
            Err(error) => match Errno::from_io_error(&error) {
                // No other look will find its place free.
                Some(errno @ (Errno::EXIST | Errno::NOENT | Errno::NOTDIR | Errno::LOOP)) => {
                    let reason = not_put_back(errno);
                    Ok(Recovery::Stranded { slot, reason })
                }
                Some(_) | None => Err(error),
            },
        }
    }
}

/// Whether a name shows the planned file, wherever it has been in between.
fn same_content(planned: &Facts, found: &Facts) -> bool {
    (planned.kind, planned.size, planned.modified) == (found.kind, found.size, found.modified)
}

/// Why something in the trash did not get its name again.
pub(super) fn not_put_back(errno: Errno) -> String {
    match errno {
        Errno::EXIST => "its name is taken by another file".to_owned(),
        Errno::NOENT | Errno::NOTDIR | Errno::LOOP => "its directory is gone".to_owned(),
        errno => format!("it cannot be put back: {}", in_words(&errno.into())),
    }
}

impl Removal {
    /// What it means for a file that looking at it or opening its directory failed.
    pub fn out_of_reach(error: &io::Error) -> Removal {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT) => Removal::Vanished,
            // A link or a file has taken a directory's name.
            Some(Errno::LOOP | Errno::NOTDIR) => Removal::Changed,
            Some(Errno::XDEV) => Removal::Unverifiable(OTHER_MOUNT.to_owned()),
            Some(_) | None => Removal::Failed(in_words(error)),
        }
    }
}

pub(super) const OTHER_MOUNT: &str = "something else is mounted there now";

/// What was moved into its slot and has not been compared there.
#[derive(Debug)]
pub(super) struct Taken<'p> {
    pub(super) name: Name<'p>,
    expected: &'p Facts,
    pub(super) slot: Slot,
}

/// Why a name was not moved into its slot; it leads to what it led to.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// For what came of it.
    For(Removal),
    /// The trash has no room for another name, and the disk none for a larger trash.
    NoRoom(Removal),
}

/// What becomes of a file once it is certain to be the planned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is unlinked.
    Unlink,
    /// It stays in the trash, to be had back. The caller has noted it in the index.
    Keep,
}

impl Trash {
    /// Removes the planned file from its directory, which the caller holds; saves
    /// resolving the directory again for each of its files.
    pub fn remove(&self, parent: &Dir, path: &RelPath, expected: &Facts) -> Removal {
        self.remove_interrupted(parent, path, expected, End::Unlink, &mut |_| ())
    }

    /// [`Trash::remove`] that leaves the file in the trash.
    pub fn keep(&self, parent: &Dir, path: &RelPath, expected: &Facts) -> Removal {
        self.remove_interrupted(parent, path, expected, End::Keep, &mut |_| ())
    }

    /// Unlinks the planned file in its place, comparing it first. Between the two
    /// another file may take the name, so this is only for stores in which nobody
    /// else writes.
    pub fn remove_direct(&self, parent: &Dir, path: &RelPath, expected: &Facts) -> Removal {
        let name = match Name::of(path) {
            Some(name) if !is_control(path) && expected.kind != Kind::Directory => name,
            Some(_) | None => return Removal::Unverifiable("it is not a file".to_owned()),
        };
        let found = match parent.stat(name) {
            Ok(found) if self.recognises(expected, &found) => found,
            Ok(_) => return Removal::Changed,
            Err(error) => return Removal::out_of_reach(&error),
        };
        match around(Point::UnlinkDirect, || self.unlink_in(parent, name, &found)) {
            Ok(freed) => Removal::Removed { freed },
            Err(error) => match Removal::out_of_reach(&error) {
                Removal::Vanished => Removal::Vanished,
                _ => Removal::Failed(in_words(&error)),
            },
        }
    }

    /// [`Trash::remove`] with something happening at each of its moments.
    pub(crate) fn remove_interrupted(
        &self,
        parent: &Dir,
        path: &RelPath,
        expected: &Facts,
        end: End,
        interrupt: &mut dyn FnMut(Moment),
    ) -> Removal {
        match self.take(parent, path, expected, interrupt) {
            Ok(taken) => self.end(parent, taken, end, interrupt),
            Err(NotTaken::For(removal) | NotTaken::NoRoom(removal)) => removal,
        }
    }

    /// Compares a name and moves what it leads to into its slot, where it is to be
    /// compared again.
    pub(super) fn take<'p>(
        &self,
        parent: &Dir,
        path: &'p RelPath,
        expected: &'p Facts,
        interrupt: &mut dyn FnMut(Moment),
    ) -> Result<Taken<'p>, NotTaken> {
        let name = match Name::of(path) {
            Some(name) if !is_control(path) && expected.kind != Kind::Directory => name,
            Some(_) | None => {
                let reason = "it is not a file".to_owned();
                return Err(NotTaken::For(Removal::Unverifiable(reason)));
            }
        };
        match parent.stat(name) {
            Ok(found) if self.recognises(expected, &found) => {}
            Ok(_) => return Err(NotTaken::For(Removal::Changed)),
            Err(error) => return Err(NotTaken::For(Removal::out_of_reach(&error))),
        }
        let slot = Slot::of(path);
        interrupt(Moment::Compared);
        let moved = around(Point::MoveToTrash, || {
            parent.rename(name, &self.dir, slot.name())
        });
        match moved {
            Ok(()) => Ok(Taken {
                name,
                expected,
                slot,
            }),
            Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(NotTaken::NoRoom(refused(errno))),
            Err(errno) => Err(NotTaken::For(not_moved(errno, parent, name))),
        }
    }

    /// Compares what was moved into a slot: the planned file comes to its end, anything
    /// else goes back.
    pub(super) fn end(
        &self,
        parent: &Dir,
        taken: Taken<'_>,
        end: End,
        interrupt: &mut dyn FnMut(Moment),
    ) -> Removal {
        let Taken {
            name,
            expected,
            slot,
        } = taken;
        interrupt(Moment::Moved);
        // Asked here and not before: nobody can open it by its old name any more, so
        // who has it open for writing now is all who ever will.
        let (writing, found) = self.examine(&slot, expected);
        if let Some(reason) = self.busy(writing, expected) {
            return match self.give_back_slot(&slot, parent, name) {
                Ok(()) => Removal::Busy(reason),
                Err(_) => Removal::Stranded { slot, reason },
            };
        }
        match found {
            Ok(found) if same_but_changed(expected, &found) => {
                interrupt(Moment::Verified);
                match end {
                    End::Unlink => self.finish(parent, name, slot, &found),
                    End::Keep => {
                        self.note_relinked(&found);
                        Removal::Trashed
                    }
                }
            }
            Ok(_) => {
                interrupt(Moment::Returning);
                match self.give_back_slot(&slot, parent, name) {
                    Ok(()) => Removal::Changed,
                    Err(errno) => Removal::StrangerKept {
                        slot,
                        reason: not_put_back(errno),
                    },
                }
            }
            Err(error) => self.give_back(parent, name, slot, &error),
        }
    }

    /// Who keeps a moved file by writing to it, and what the file is. Where the kernel
    /// cannot be asked for writers, the comparison has to do; that window is said in the
    /// documentation.
    fn examine(&self, slot: &Slot, expected: &Facts) -> (Writing, io::Result<Facts>) {
        match expected.kind {
            Kind::File => writing(&self.dir, slot.name()),
            Kind::Directory | Kind::Symlink | Kind::Special => {
                (Writing::Nobody, self.dir.stat(slot.name()))
            }
        }
    }

    fn busy(&self, writing: Writing, expected: &Facts) -> Option<String> {
        let age = |now: &Stamp| expected.modified.seconds_until(*now);
        match writing {
            Writing::Somebody => Some("another program has it open for writing".to_owned()),
            Writing::Unknown if self.now.as_ref().map(age).is_some_and(|age| age < RECENT) => Some(
                "it was written within a minute, and the kernel does not say whether it still is"
                    .to_owned(),
            ),
            Writing::Nobody | Writing::Unknown => None,
        }
    }

    fn finish(&self, parent: &Dir, name: Name<'_>, slot: Slot, moved: &Facts) -> Removal {
        match self.purge(&slot, moved) {
            Ok(freed) => Removal::Removed { freed },
            Err(error) => self.give_back(parent, name, slot, &error),
        }
    }

    fn give_back(&self, parent: &Dir, name: Name<'_>, slot: Slot, error: &io::Error) -> Removal {
        let reason = in_words(error);
        match self.give_back_slot(&slot, parent, name) {
            Ok(()) => Removal::Failed(reason),
            Err(errno) => Removal::Stranded {
                slot,
                reason: format!("{reason}; {}", not_put_back(errno)),
            },
        }
    }
}

/// What it means that a name could not be moved into the trash. Where nothing was
/// found, it may be the trash that is gone.
pub(super) fn not_moved(errno: Errno, parent: &Dir, name: Name<'_>) -> Removal {
    match errno {
        Errno::NOENT if parent.stat(name).is_ok() => {
            Removal::Failed("the run's trash is gone".to_owned())
        }
        errno => refused(errno),
    }
}

/// What it means that the system refused to move or remove a name.
pub(super) fn refused(errno: Errno) -> Removal {
    match errno {
        Errno::NOENT => Removal::Vanished,
        Errno::XDEV => Removal::Unverifiable(
            "it cannot be moved into the trash: another file system or subvolume begins there"
                .to_owned(),
        ),
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => {
            Removal::Unverifiable("the file system cannot rename without replacing".to_owned())
        }
        Errno::EXIST => Removal::Unverifiable(
            "an earlier removal of this path left a file in the trash".to_owned(),
        ),
        Errno::BUSY => Removal::Unverifiable(OTHER_MOUNT.to_owned()),
        errno => Removal::Failed(in_words(&errno.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_lease_a_recent_write_is_taken_for_a_writer() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("a"), "x").unwrap();
        let root = Root::open(place.path()).unwrap();
        let facts = root.stat(&RelPath::parse("a").unwrap()).unwrap();
        let written = facts.modified.seconds();
        let trash = |seconds| {
            let trash = root.establish_trash("run").unwrap();
            trash.at(Stamp::new(written + seconds, 999_999_999))
        };
        for (after, writing, kept) in [
            (59, Writing::Unknown, true),
            (-5, Writing::Unknown, true),
            (61, Writing::Unknown, false),
            (0, Writing::Nobody, false),
            (61, Writing::Somebody, true),
        ] {
            assert_eq!(
                trash(after).busy(writing, &facts).is_some(),
                kept,
                "{after}"
            );
        }
    }
}
