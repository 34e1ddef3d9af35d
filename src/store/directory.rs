//! Whole directories, removed with exactly what was planned to be in them.
//!
//! The directory is moved away first, so that nobody finds it by its name any more,
//! and compared member by member. One stranger, one altered or missing member, one
//! writer, and it goes straight back as it is. Only then do its members go, each by
//! the same verified removal as any file: whoever still holds the directory open can
//! put something new into it, and that stays.

use std::collections::BTreeMap;
use std::io;

use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;

use super::dir::{Dir, Name};
use super::in_words;
use super::index::Trashed;
use super::removal::{End, Moment, Removal, not_moved, not_put_back, refused};
use super::root::is_control;
use super::trash::{Slot, Trash};
use crate::entry::{Changed, Facts, Kind};
use crate::fault::{Point, around};
use crate::path::RelPath;

/// A directory as it was planned, with everything below it.
#[derive(Clone, Copy, Debug)]
pub struct Members<'a> {
    /// The directory.
    pub directory: &'a Facts,
    /// Everything below it, directories included: paths below the store's root, in
    /// any order.
    pub members: &'a [(RelPath, Facts)],
}

impl Dir {
    /// Removes a directory of this one if it is the planned one and empty.
    ///
    /// Only `rmdir`: whatever is in it by then keeps it.
    pub fn remove_empty(&self, name: Name<'_>, expected: &Facts) -> Removal {
        match self.stat(name) {
            Ok(found) if is_planned_directory(expected, &found) => {}
            Ok(_) => return Removal::Changed,
            Err(error) => return Removal::out_of_reach(&error),
        }
        let removed = around(Point::UnlinkDirect, || {
            unlinkat(self.fd(), name.as_bytes(), AtFlags::REMOVEDIR)
        });
        match removed {
            Ok(()) => Removal::Removed {
                freed: expected.allocated,
            },
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => Removal::Changed,
            Err(Errno::NOENT) => Removal::Vanished,
            Err(Errno::BUSY) => refused(Errno::BUSY),
            Err(errno) => Removal::Failed(in_words(&errno.into())),
        }
    }
}

impl Trash {
    /// Removes a whole directory, if it and everything in it is as planned.
    pub fn remove_directory(&self, parent: &Dir, path: &RelPath, planned: Members<'_>) -> Removal {
        self.remove_directory_interrupted(parent, path, planned, End::Unlink, &mut |_| ())
    }

    /// [`Trash::remove_directory`] that leaves it in the trash. The caller has noted
    /// it in the index, with its members.
    pub fn keep_directory(&self, parent: &Dir, path: &RelPath, planned: Members<'_>) -> Removal {
        self.remove_directory_interrupted(parent, path, planned, End::Keep, &mut |_| ())
    }

    pub(crate) fn remove_directory_interrupted(
        &self,
        parent: &Dir,
        path: &RelPath,
        planned: Members<'_>,
        end: End,
        interrupt: &mut dyn FnMut(Moment),
    ) -> Removal {
        let name = match Name::of(path) {
            Some(name) if !is_control(path) && planned.directory.kind == Kind::Directory => name,
            Some(_) | None => return Removal::Unverifiable("it is not a directory".to_owned()),
        };
        let tree = match Tree::new(path, planned) {
            Ok(tree) => tree,
            Err(removal) => return removal,
        };
        // Looked through in its place first: moving a directory away is felt by
        // whoever uses it, and most differences show here already.
        match parent.stat(name) {
            Ok(found) if is_planned_directory(planned.directory, &found) => {}
            Ok(_) => return Removal::Changed,
            Err(error) => return Removal::out_of_reach(&error),
        }
        let looked = parent
            .open_child(name)
            .map_err(|e| Removal::out_of_reach(&e));
        if let Err(removal) = looked.and_then(|dir| self.compare(&dir, &tree)) {
            return removal;
        }
        let slot = Slot::of(path);
        interrupt(Moment::Compared);
        let moved = around(Point::MoveToTrash, || {
            parent.rename(name, &self.dir, slot.name())
        });
        if let Err(errno) = moved {
            return not_moved(errno, parent, name);
        }
        interrupt(Moment::Moved);
        let compared = self
            .open_moved(&slot, planned.directory)
            .and_then(|dir| self.compare(&dir, &tree).map(|()| dir));
        let dir = match compared {
            Ok(dir) => dir,
            Err(removal) => {
                interrupt(Moment::Returning);
                return match self.give_back_slot(&slot, parent, name) {
                    Ok(()) => removal,
                    Err(errno) => Removal::StrangerKept {
                        slot,
                        reason: not_put_back(errno),
                    },
                };
            }
        };
        interrupt(Moment::Verified);
        match end {
            End::Keep => Removal::Trashed,
            End::Unlink => self.empty(parent, name, slot, &dir, &tree),
        }
    }

    fn open_moved(&self, slot: &Slot, planned: &Facts) -> Result<Dir, Removal> {
        let dir = self
            .dir
            .open_child(slot.name())
            .map_err(|error| Removal::out_of_reach(&error))?;
        match dir.facts() {
            Ok(found) if found.id == planned.id => Ok(dir),
            Ok(_) => Err(Removal::Changed),
            Err(error) => Err(Removal::Failed(in_words(&error))),
        }
    }

    /// Whether a directory holds exactly what was planned, all the way down.
    fn compare(&self, top: &Dir, tree: &Tree<'_>) -> Result<(), Removal> {
        let failed = |error: io::Error| Removal::out_of_reach(&error);
        let mut buffer = Vec::new();
        for (below, members) in &tree.directories {
            let dir = top.open_below(below).map_err(failed)?;
            let mut names: Vec<Vec<u8>> = Vec::new();
            dir.list(&mut buffer, |listed| {
                names.push(listed.name.as_bytes().to_vec());
            })
            .map_err(failed)?;
            if names.len() != members.len() {
                return Err(Removal::Changed);
            }
            for name in names {
                let Some((path, planned)) = members.get(name.as_slice()) else {
                    return Err(Removal::Changed);
                };
                let Some(name) = Name::of(path) else {
                    return Err(Removal::Changed);
                };
                let found = dir.stat(name).map_err(failed)?;
                let same = match planned.kind {
                    Kind::Directory => found.kind == planned.kind && found.id == planned.id,
                    Kind::File | Kind::Symlink | Kind::Special => self.recognises(planned, &found),
                };
                if !same {
                    return Err(Removal::Changed);
                }
            }
        }
        Ok(())
    }

    /// Removes the members of a moved directory, deepest first, then itself.
    fn empty(
        &self,
        parent: &Dir,
        name: Name<'_>,
        slot: Slot,
        top: &Dir,
        tree: &Tree<'_>,
    ) -> Removal {
        let mut freed = 0u64;
        let mut reason = None;
        // Paths below sort before what lies in them, so backwards is deepest first.
        for (below, members) in tree.directories.iter().rev() {
            let Ok(dir) = top.open_below(below) else {
                continue;
            };
            for (path, facts) in members.values() {
                let removal = match facts.kind {
                    Kind::Directory => remove_planned_directory(&dir, path, facts),
                    Kind::File | Kind::Symlink | Kind::Special => self.remove(&dir, path, facts),
                };
                match removal {
                    Removal::Removed { freed: bytes } => freed = freed.saturating_add(bytes),
                    Removal::Vanished => {}
                    Removal::Failed(words) | Removal::Busy(words) => reason = Some(words),
                    Removal::Changed
                    | Removal::Unverifiable(_)
                    | Removal::StrangerKept { .. }
                    | Removal::Trashed
                    | Removal::Remains { .. }
                    | Removal::Stranded { .. } => {}
                }
            }
        }
        match unlinkat(self.dir.fd(), slot.name().as_bytes(), AtFlags::REMOVEDIR) {
            Ok(()) => Removal::Removed {
                freed: freed.saturating_add(tree.directory.allocated),
            },
            Err(_) => match (self.give_back_slot(&slot, parent, name), reason) {
                (Ok(()), None) => Removal::Remains { freed },
                (Ok(()), Some(reason)) => Removal::Failed(reason),
                (Err(_), reason) => Removal::Stranded {
                    slot,
                    reason: reason.unwrap_or_else(|| "something new appeared in it".to_owned()),
                },
            },
        }
    }

    /// Removes a directory that was kept in the trash, with what was put there in it.
    /// A stranger in it is the error [`io::ErrorKind::DirectoryNotEmpty`].
    pub(super) fn purge_directory(&self, slot: &Slot, trashed: &Trashed) -> io::Result<u64> {
        let planned = Members {
            directory: &trashed.facts,
            members: &trashed.members,
        };
        let tree = Tree::new(&trashed.path, planned)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let top = self.dir.open_child(slot.name())?;
        let mut freed = 0u64;
        for (below, members) in tree.directories.iter().rev() {
            let dir = match top.open_below(below) {
                Ok(dir) => dir,
                // A crash in the middle of an earlier purge.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for (path, facts) in members.values() {
                let Some(name) = Name::of(path) else {
                    continue;
                };
                match facts.kind {
                    Kind::Directory => match remove_planned_directory(&dir, path, facts) {
                        Removal::Removed { .. } | Removal::Vanished => {}
                        _ => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                    },
                    Kind::File | Kind::Symlink | Kind::Special => match dir.stat(name) {
                        Ok(found) if facts.same_generation(&found, Changed::Ignored) => {
                            freed = freed.saturating_add(around(Point::UnlinkTrashed, || {
                                self.unlink_in(&dir, name, &found)
                            })?);
                        }
                        Ok(_) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(error),
                    },
                }
            }
        }
        unlinkat(self.dir.fd(), slot.name().as_bytes(), AtFlags::REMOVEDIR)?;
        Ok(freed.saturating_add(trashed.facts.allocated))
    }
}

/// A subdirectory whose members have gone: its times have changed by that.
fn remove_planned_directory(dir: &Dir, path: &RelPath, planned: &Facts) -> Removal {
    let Some(name) = Name::of(path) else {
        return Removal::Changed;
    };
    match dir.stat(name) {
        Ok(found) if found.id == planned.id && found.kind == Kind::Directory => {
            dir.remove_empty(name, &found)
        }
        Ok(_) => Removal::Changed,
        Err(error) => Removal::out_of_reach(&error),
    }
}

/// A directory's own times tell whether names in it came or went.
fn is_planned_directory(planned: &Facts, found: &Facts) -> bool {
    found.kind == Kind::Directory && found.id == planned.id && found.modified == planned.modified
}

/// The planned members by the directory they lie in, relative to the top.
struct Tree<'a> {
    directory: &'a Facts,
    directories: BTreeMap<RelPath, BTreeMap<&'a [u8], &'a (RelPath, Facts)>>,
}

impl<'a> Tree<'a> {
    fn new(top: &RelPath, planned: Members<'a>) -> Result<Tree<'a>, Removal> {
        let broken = || Removal::Unverifiable("its planned members do not lie in it".to_owned());
        let mut directories: BTreeMap<RelPath, BTreeMap<_, _>> = BTreeMap::new();
        directories.insert(RelPath::root(), BTreeMap::new());
        for member in planned.members {
            let (path, facts) = member;
            if path == top || !path.starts_with(top) {
                return Err(broken());
            }
            let parent = path.parent().ok_or_else(broken)?;
            let below = below(top, &parent).ok_or_else(broken)?;
            directories
                .entry(below)
                .or_default()
                .insert(path.name(), member);
            if facts.kind == Kind::Directory {
                let own = self::below(top, path).ok_or_else(broken)?;
                directories.entry(own).or_default();
            }
        }
        Ok(Tree {
            directory: planned.directory,
            directories,
        })
    }
}

/// A path relative to a directory above it.
fn below(top: &RelPath, path: &RelPath) -> Option<RelPath> {
    let rest = path.as_bytes().strip_prefix(top.as_bytes())?;
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    match rest.is_empty() {
        true => Some(RelPath::root()),
        false => RelPath::parse(rest).ok(),
    }
}
