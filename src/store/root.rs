//! A store's root: the handle everything else is reached from.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstatfs, fstatvfs, open, syncfs};
use rustix::io::Errno;

use super::dir::{Dir, Name};
use super::facts::look_at;
use super::{CONTROL, StoreError};
use crate::entry::{Changed, Facts, Kind};
use crate::path::RelPath;

/// A store's root directory, held open.
#[derive(Debug)]
pub struct Root {
    pub(super) dir: Dir,
    path: PathBuf,
    file_system: FileSystem,
}

/// File systems on which we go about it another way than on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// tmpfs.
    Memory,
    Xfs,
    Btrfs,
    Other,
}

impl FileSystem {
    fn of(dir: &Dir) -> FileSystem {
        let found = fstatfs(dir.fd()).map(|found| u32::try_from(found.f_type));
        // From statfs(2).
        match found {
            Ok(Ok(0x0102_1994)) => FileSystem::Memory,
            Ok(Ok(0x5846_5342)) => FileSystem::Xfs,
            Ok(Ok(0x9123_683e)) => FileSystem::Btrfs,
            Ok(_) | Err(_) => FileSystem::Other,
        }
    }
}

/// What the file system under a store has to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Its size in bytes.
    pub total: u64,
    /// Free bytes, those reserved for root included.
    pub free: u64,
    /// Free bytes an ordinary process may use.
    pub available: u64,
}

/// The error inside an [`io::Error`] when a file is no longer the planned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is no longer the one that was planned")]
pub struct Stale;

impl Root {
    /// Opens a store. Links in the configured path itself are the operator's own
    /// and are followed; below it none are.
    pub fn open(path: &Path) -> Result<Root, StoreError> {
        Root::open_by(path, Dir::adopt)
    }

    /// Opens a store as on a kernel without `openat2`.
    #[cfg(test)]
    pub(crate) fn open_stepwise(path: &Path) -> Result<Root, StoreError> {
        Root::open_by(path, |fd| Dir::adopt_by(fd, super::dir::Reach::Steps))
    }

    fn open_by(
        path: &Path,
        adopt: impl FnOnce(rustix::fd::OwnedFd) -> io::Result<Dir>,
    ) -> Result<Root, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = open(path, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(adopt)
            .map_err(|source| StoreError::Open {
                root: path.to_owned(),
                source,
            })?;
        Ok(Root {
            file_system: FileSystem::of(&dir),
            dir,
            path: path.to_owned(),
        })
    }

    /// Another handle on the same directory.
    pub fn again(&self) -> io::Result<Root> {
        Ok(Root {
            dir: self.open_dir(&RelPath::root())?,
            path: self.path.clone(),
            file_system: self.file_system,
        })
    }

    /// The path the store was opened by, for messages only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a directory of the store, itself for the empty path.
    pub fn open_dir(&self, path: &RelPath) -> io::Result<Dir> {
        self.dir.open_below(path)
    }

    /// What a path leads to now, links not followed.
    pub fn stat(&self, path: &RelPath) -> io::Result<Facts> {
        match path.parent().zip(Name::of(path)) {
            Some((parent, name)) => self.open_dir(&parent)?.stat(name),
            None => self.dir.facts(),
        }
    }

    /// Opens a file for reading if it is still the one that was planned; another
    /// one is the error [`Stale`].
    pub fn open_file(&self, path: &RelPath, expected: &Facts) -> io::Result<File> {
        let (parent, name) = self.locate(path)?;
        // Compared before the opening too: opening a device or a FIFO can by
        // itself have an effect.
        if !unchanged(expected, &parent.stat(name)?) {
            return Err(io::Error::other(Stale));
        }
        let file = open_quietly(&parent, name)?;
        if !unchanged(expected, &look_at(&file)?.facts) {
            return Err(io::Error::other(Stale));
        }
        Ok(file)
    }

    /// Makes all that was done in the store's file system so far outlast a power cut: one
    /// call, however many directories it was done in.
    pub fn sync(&self) -> io::Result<()> {
        Ok(syncfs(self.dir.fd())?)
    }

    /// Whether several threads remove files sooner than one, all of them verified or all
    /// unlinked in place.
    ///
    /// Measured with two. In place only in memory, where nothing but the directories' own
    /// locks is waited for: on ext4 and XFS every unlink goes through one log, on btrfs
    /// through one tree. Most of what verifies a file is no part of that, and takes two
    /// thirds of the time on ext4, four fifths on btrfs; only XFS takes longer, for more
    /// than half as much processor time again.
    pub fn gains_from_threads(&self, verified: bool) -> bool {
        match self.file_system {
            FileSystem::Memory => true,
            FileSystem::Xfs => false,
            FileSystem::Btrfs | FileSystem::Other => verified,
        }
    }

    pub(super) fn file_system(&self) -> FileSystem {
        self.file_system
    }

    /// How full the store's file system is.
    pub fn space(&self) -> io::Result<Space> {
        let found = fstatvfs(self.dir.fd())?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Space {
            total: bytes(found.f_blocks),
            free: bytes(found.f_bfree),
            available: bytes(found.f_bavail),
        })
    }

    /// The directory a path lies in, held, and its name there. Our own control
    /// directory is not the store's to read, write or remove.
    pub(super) fn locate<'a>(&self, path: &'a RelPath) -> io::Result<(Dir, Name<'a>)> {
        match path.parent().zip(Name::of(path)) {
            Some((parent, name)) if !is_control(path) => Ok((self.open_dir(&parent)?, name)),
            Some(_) | None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the path is not a file of the store",
            )),
        }
    }
}

/// Whether a path is or lies in our control directory.
pub(super) fn is_control(path: &RelPath) -> bool {
    path.components().next() == Some(CONTROL.as_bytes())
}

fn unchanged(expected: &Facts, found: &Facts) -> bool {
    found.kind == Kind::File && expected.same_generation(found, Changed::Compared)
}

/// Opens for reading without leaving a trace in the access time, which policies
/// may decide by; only the owner may ask for that, so others leave it.
fn open_quietly(dir: &Dir, name: Name<'_>) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let opened = match dir.open(name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
            dir.open(name, flags, Mode::empty())
        }
        opened => opened,
    };
    Ok(File::from(opened?))
}
