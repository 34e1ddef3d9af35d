//! A held directory, and what may be done relative to it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::error::errno_of;

/// Archives are readable by their owner alone: whatever the mode of the original
/// was, a copy must not be easier to read.
const FILE_MODE: Mode = Mode::from_raw_mode(0o600);
const DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o700);

/// A directory that stays the same whatever happens to its name.
#[derive(Debug)]
pub(super) struct Directory(OwnedFd);

/// Whether a directory was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Now,
    Before,
}

impl Directory {
    /// The configured root, its last component made if it is missing. This is the
    /// one place where symbolic links are followed: the path is the user's own.
    pub(super) fn open_or_make(path: &Path) -> Result<Directory, Errno> {
        match rustix::fs::mkdir(path, DIRECTORY_MODE) {
            // A mount point that is there already answers EEXIST first, and one
            // on a read-only file system EROFS; whether it can be opened decides.
            Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS | Errno::PERM) => {}
            Ok(()) => crate::store::sync_parent(path).map_err(|error| errno_of(&error))?,
            Err(errno) => return Err(errno),
        }
        Directory::open(path)
    }

    /// The configured root, which must be there.
    pub(super) fn open(path: &Path) -> Result<Directory, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).map(Directory)
    }

    /// A directory that somebody else has opened.
    pub(super) fn held(fd: OwnedFd) -> Directory {
        Directory(fd)
    }

    pub(super) fn try_clone(&self) -> Result<Directory, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 3).map(Directory)
    }

    /// Waits until nobody holds it alone. Held until the last descriptor of this opening
    /// is closed.
    pub(super) fn lock_shared(&self) -> Result<(), Errno> {
        rustix::fs::flock(&self.0, FlockOperation::LockShared)
    }

    /// Whether nobody else held it; if so, nobody else does now.
    pub(super) fn lock_alone(&self) -> Result<bool, Errno> {
        match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn device(&self) -> Result<u64, Errno> {
        rustix::fs::fstat(&self.0).map(|stat| stat.st_dev)
    }

    /// The directory of that name, never through a symbolic link.
    pub(super) fn child(&self, name: &str) -> Result<Directory, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, name, flags, Mode::empty()).map(Directory)
    }

    /// The directory of that name, made if it is missing.
    pub(super) fn child_or_make(&self, name: &str) -> Result<(Directory, Made), Errno> {
        match self.child(name) {
            Ok(child) => return Ok((child, Made::Before)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        let made = match rustix::fs::mkdirat(&self.0, name, DIRECTORY_MODE) {
            Ok(()) => Made::Now,
            // Another process was faster, and may not have synced it yet.
            Err(Errno::EXIST) => Made::Now,
            Err(errno) => return Err(errno),
        };
        Ok((self.child(name)?, made))
    }

    /// A new file, which must not exist.
    pub(super) fn create_file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, name, flags, FILE_MODE).map(File::from)
    }

    /// A lock file, made if it is missing.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, name, flags, FILE_MODE).map(File::from)
    }

    /// An existing regular file. Not blocking: a FIFO of that name must not hang us.
    pub(super) fn open_file(&self, name: &str) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(&self.0, name, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&descriptor)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(File::from(descriptor)),
            _ => Err(Errno::INVAL),
        }
    }

    /// Moves an entry elsewhere without replacing anything there.
    pub(super) fn rename_to(
        &self,
        name: &str,
        target: &Directory,
        new_name: &str,
    ) -> Result<(), Errno> {
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(&self.0, name, &target.0, new_name, flags) {
            // File systems without the flag (NFS, some FUSE) still make links atomically.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&self.0, name, &target.0, new_name, AtFlags::empty())?;
                self.unlink(name)
            }
            outcome => outcome,
        }
    }

    pub(super) fn unlink(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::empty())
    }

    pub(super) fn remove_directory(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)
    }

    /// Makes the entries durable. Some network file systems know no such thing.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        match rustix::fs::fsync(&self.0) {
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            outcome => outcome,
        }
    }

    /// The names in it, as far as they are text.
    pub(super) fn names(&self) -> Result<Vec<String>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        Ok(names)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
