//! A held directory and the single names in it.

use std::io;
use std::mem::MaybeUninit;

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, SeekFrom, openat, openat2,
    renameat_with, seek,
};
use rustix::io::Errno;

use super::facts::{Mount, kind, look, look_at, look_synced};
use crate::entry::{Facts, Kind};
use crate::path::RelPath;

/// The most bytes of path given to one `openat2`: below the kernel's `PATH_MAX`
/// of 4,096, which a deep tree exceeds.
const SPAN: usize = 2048;

/// Room for the names of one `getdents64`.
const LISTING: usize = 64 * 1024;

/// One component of a path: not empty, no `/`, no NUL, neither `.` nor `..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The last component of a path; nothing for the root.
    pub fn of(path: &'a RelPath) -> Option<Name<'a>> {
        (!path.is_root()).then(|| Name(path.name()))
    }

    /// The bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// A name of our own making.
    pub(super) const fn ours(name: &'a str) -> Name<'a> {
        Name(name.as_bytes())
    }
}

/// One name as a directory lists it.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The name.
    pub name: Name<'a>,
    /// What it is, where the file system says so without a `statx`.
    pub kind: Option<Kind>,
}

/// The names of a directory, one after the other in one piece of memory that is used
/// again for the next.
#[derive(Debug, Default)]
pub struct Names {
    buffer: Vec<u8>,
    bytes: Vec<u8>,
    found: Vec<Found>,
}

/// One of the names.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Its first eight bytes, the first one most significant: they order most names.
    begins: u64,
    /// Where it lies in the bytes.
    begin: usize,
    end: usize,
    kind: Option<Kind>,
}

impl Names {
    /// Every name, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = Listed<'_>> {
        self.found.iter().map(|found| Listed {
            name: Name(self.bytes.get(found.begin..found.end).unwrap_or_default()),
            kind: found.kind,
        })
    }

    fn push(&mut self, listed: Listed<'_>) {
        let name = listed.name.0;
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let mut begins = [0; 8];
        let (told, _) = begins.split_at_mut(name.len().min(8));
        told.copy_from_slice(name.get(..told.len()).unwrap_or_default());
        self.found.push(Found {
            begins: u64::from_be_bytes(begins),
            begin,
            end: self.bytes.len(),
            kind: listed.kind,
        });
    }

    /// Brings them into order, each once: a name that is moved over another while its directory
    /// is listed may be listed twice, and what it is by then only a look can tell.
    fn sort(&mut self) {
        let bytes = |found: &Found| self.bytes.get(found.begin..found.end);
        self.found.sort_unstable_by(|a, b| {
            let begins = a.begins.cmp(&b.begins);
            begins.then_with(|| bytes(a).cmp(&bytes(b)))
        });
        self.found.dedup_by(|twice, first| {
            let is_twice = twice.begins == first.begins && bytes(twice) == bytes(first);
            if is_twice && twice.kind != first.kind {
                first.kind = None;
            }
            is_twice
        });
    }

    /// Whether the directory has such a name.
    pub fn contains(&self, name: &str) -> bool {
        self.iter()
            .any(|listed| listed.name.as_bytes() == name.as_bytes())
    }
}

/// How a name is resolved without leaving the mount or following a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// By the kernel: `openat2` (Linux 5.6).
    Kernel,
    /// Component by component, comparing mounts ourselves.
    Steps,
}

/// A held directory.
///
/// The handle stays on the same object however its name is moved.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    mount: Mount,
    reach: Reach,
}

impl Dir {
    /// Takes over an open directory and finds out how to go on from there.
    pub(super) fn adopt(fd: OwnedFd) -> io::Result<Dir> {
        let reach = match openat2(&fd, c".", DIRECTORY, Mode::empty(), CONFINED) {
            Ok(_) => Reach::Kernel,
            // ENOSYS from old kernels, EPERM from seccomp filters older than the call.
            Err(_) => Reach::Steps,
        };
        Dir::adopt_by(fd, reach)
    }

    pub(super) fn adopt_by(fd: OwnedFd, reach: Reach) -> io::Result<Dir> {
        let mount = look_at(&fd)?.mount;
        Ok(Dir { fd, mount, reach })
    }

    /// Opens a directory in this one.
    ///
    /// A symbolic link is an error, and so is a mount point
    /// ([`io::ErrorKind::CrossesDevices`]).
    pub fn open_child(&self, name: Name<'_>) -> io::Result<Dir> {
        let fd = self.open(name, DIRECTORY, Mode::empty())?;
        Ok(self.sibling(fd))
    }

    /// Opens the directory a path leads to from here; the empty path opens this
    /// one again.
    pub(super) fn open_below(&self, path: &RelPath) -> io::Result<Dir> {
        if path.is_root() {
            let here = openat(&self.fd, c".", DIRECTORY, Mode::empty())?;
            return Ok(self.sibling(here));
        }
        let mut reached: Option<Dir> = None;
        match self.reach {
            Reach::Kernel => {
                for span in spans(path.as_bytes()) {
                    let from = reached.as_ref().unwrap_or(self);
                    let next = openat2(&from.fd, span, DIRECTORY, Mode::empty(), CONFINED)?;
                    reached = Some(self.sibling(next));
                }
            }
            Reach::Steps => {
                for component in path.components() {
                    let from = reached.as_ref().unwrap_or(self);
                    reached = Some(from.open_child(Name(component))?);
                }
            }
        }
        reached.ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Opens anything by its name, on this mount and not through a link.
    pub(super) fn open(&self, name: Name<'_>, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        // openat2 refuses flags that mean nothing together with O_PATH.
        let quiet = match flags.contains(OFlags::PATH) {
            true => OFlags::empty(),
            false => OFlags::NOCTTY,
        };
        let flags = flags | quiet | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self.reach {
            Reach::Kernel => Ok(openat2(&self.fd, name.0, flags, mode, CONFINED)?),
            Reach::Steps => {
                let fd = openat(&self.fd, name.0, flags, mode)?;
                self.confine(look_at(&fd)?.mount)?;
                Ok(fd)
            }
        }
    }

    /// What a name in this directory leads to, links not followed.
    ///
    /// One `statx`. What is mounted over the name is an error
    /// ([`io::ErrorKind::CrossesDevices`]): it is not this store's.
    pub fn stat(&self, name: Name<'_>) -> io::Result<Facts> {
        let sight = look(&self.fd, name.0)?;
        self.confine(sight.mount)?;
        Ok(sight.facts)
    }

    /// The same as the file system has it at this moment, which a network's asks its server
    /// for, as it does when a directory is opened.
    pub fn stat_synced(&self, name: Name<'_>) -> io::Result<Facts> {
        let sight = look_synced(&self.fd, name.0)?;
        self.confine(sight.mount)?;
        Ok(sight.facts)
    }

    /// What an object is that was opened by a name in this directory.
    ///
    /// One `statx`, without the name's way through the kernel.
    pub(super) fn facts_of(&self, object: impl AsFd) -> io::Result<Facts> {
        let sight = look_at(object)?;
        self.confine(sight.mount)?;
        Ok(sight.facts)
    }

    /// What this directory itself is.
    pub fn facts(&self) -> io::Result<Facts> {
        Ok(look_at(&self.fd)?.facts)
    }

    /// Shows every name to `see`, in the order the file system has them.
    ///
    /// Begins anew at each call; two calls on one handle must not overlap. The
    /// buffer is only scratch space and may be used again.
    pub fn list(&self, buffer: &mut Vec<u8>, mut see: impl FnMut(Listed<'_>)) -> io::Result<()> {
        self.any(buffer, |listed| {
            see(listed);
            false
        })
        .map(drop)
    }

    /// Lists the directory until one of its names is the one that is looked for; whether
    /// there is one.
    pub fn any(
        &self,
        buffer: &mut Vec<u8>,
        mut wanted: impl FnMut(Listed<'_>) -> bool,
    ) -> io::Result<bool> {
        seek(&self.fd, SeekFrom::Start(0))?;
        let mut names = RawDir::new(&self.fd, scratch(buffer));
        while let Some(entry) = names.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // A directory that was removed while it is open lists nothing.
                Err(Errno::NOENT) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => None,
                known => Some(kind(known)),
            };
            let listed = Listed {
                name: Name(name),
                kind,
            };
            if wanted(listed) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists the whole directory before anything is done about a name in it.
    ///
    /// After an error, the names are those listed before it.
    pub fn names(&self, names: &mut Names) -> io::Result<()> {
        names.bytes.clear();
        names.found.clear();
        let mut buffer = std::mem::take(&mut names.buffer);
        let listed = self.list(&mut buffer, |listed| names.push(listed));
        names.buffer = buffer;
        names.sort();
        listed
    }

    /// Moves a name into another directory unless its new name is taken there.
    pub(super) fn rename(&self, name: Name<'_>, to: &Dir, new: Name<'_>) -> Result<(), Errno> {
        renameat_with(&self.fd, name.0, &to.fd, new.0, RenameFlags::NOREPLACE)
    }

    /// The handle, for the calls that only this module may make.
    pub(super) fn fd(&self) -> impl AsFd + '_ {
        &self.fd
    }

    fn sibling(&self, fd: OwnedFd) -> Dir {
        Dir {
            fd,
            mount: self.mount,
            reach: self.reach,
        }
    }

    fn confine(&self, found: Mount) -> io::Result<()> {
        if found == self.mount {
            Ok(())
        } else {
            Err(Errno::XDEV.into())
        }
    }
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

const CONFINED: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);

fn scratch(buffer: &mut Vec<u8>) -> &mut [MaybeUninit<u8>] {
    buffer.clear();
    buffer.reserve(LISTING);
    buffer.spare_capacity_mut()
}

/// A path in pieces of whole components, each short enough for one call.
fn spans(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = rest.get(..SPAN).unwrap_or(rest);
        let slash = match window.len() == rest.len() {
            true => None,
            false => window.iter().rposition(|&byte| byte == b'/'),
        };
        let (span, tail) = match slash {
            Some(at) => rest.split_at(at),
            None => (rest, &[][..]),
        };
        rest = tail.strip_prefix(b"/").unwrap_or(tail);
        Some(span)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_listed_twice_is_there_once() {
        let mut names = Names::default();
        let (file, directory) = (Some(Kind::File), Some(Kind::Directory));
        for (name, kind) in [
            ("moved over", file),
            ("b", directory),
            ("moved over", file),
            ("moved over!", file),
            ("b", file),
            ("a", None),
        ] {
            let name = Name(name.as_bytes());
            names.push(Listed { name, kind });
        }
        names.sort();
        let listed: Vec<_> = names
            .iter()
            .map(|of| (of.name.as_bytes(), of.kind))
            .collect();
        let expected: [(&[u8], _); 4] = [
            (b"a", None),
            // It was both, and somebody has to look.
            (b"b", None),
            (b"moved over", file),
            (b"moved over!", file),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn a_long_path_is_cut_only_between_components() {
        let component = "x".repeat(255);
        let path = vec![component.as_str(); 40].join("/");
        let pieces: Vec<&[u8]> = spans(path.as_bytes()).collect();
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= SPAN));
        assert_eq!(pieces.join(&b'/'), path.as_bytes());
        assert_eq!(spans(b"").count(), 0);
        assert_eq!(spans(b"a/b").collect::<Vec<_>>(), [b"a/b"]);
    }
}
