//! The facts about one file that every later stage speaks of.

use crate::path::RelPath;
use crate::time::Stamp;

/// What a directory entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; never followed.
    Symlink,
    /// A socket, device or FIFO; never opened.
    Special,
}

/// What a store's symbolic links are to its policy; none is ever followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// They are kept, whatever statement their names fall under.
    #[default]
    Kept,
    /// They are files: each has the age, the owner and the size of the link itself, and
    /// removal takes the link.
    Files,
}

impl Symlinks {
    /// Whether something of this kind is a file to a policy.
    pub fn admits(self, kind: Kind) -> bool {
        match kind {
            Kind::File => true,
            Kind::Symlink => self == Symlinks::Files,
            Kind::Directory | Kind::Special => false,
        }
    }
}

/// Device and inode: which object a name led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Device number, as `stat` reports it.
    pub device: u64,
    /// Inode number on that device.
    pub inode: u64,
}

/// What one `statx` of an entry said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What the entry is.
    pub kind: Kind,
    /// Which object the name leads to.
    pub id: FileId,
    /// Length in bytes, as `ls -l` shows it.
    pub size: u64,
    /// Bytes allocated on disk: an estimate of what removal frees.
    pub allocated: u64,
    /// When the content last changed (mtime).
    pub modified: Stamp,
    /// When the inode last changed (ctime).
    pub changed: Stamp,
    /// When the content was last read (atime), as far as the mount keeps it.
    pub accessed: Stamp,
    /// When the object was made (birth time), where the file system keeps it; never
    /// part of an identity, since programs may carry it from file to file.
    pub created: Option<Stamp>,
    /// How many names the object has.
    pub links: u64,
    /// Permission bits and file type, as `stat` reports them.
    pub mode: u32,
    /// Numeric owner.
    pub owner: u32,
    /// Numeric group.
    pub group: u32,
}

impl Facts {
    /// Whether the object is still the very one, with the same content stamps.
    ///
    /// `changed` is left out on request because a rename itself changes it.
    pub fn same_generation(&self, other: &Facts, changed: Changed) -> bool {
        self.kind == other.kind
            && self.id == other.id
            && self.size == other.size
            && self.modified == other.modified
            && match changed {
                Changed::Compared => self.changed == other.changed,
                Changed::Ignored => true,
            }
    }
}

/// Whether the inode change time takes part in a comparison of two generations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It must be equal.
    Compared,
    /// It may differ: we have renamed the file in between.
    Ignored,
}

/// One name in a store with what could be learned about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it lies.
    pub path: RelPath,
    /// What `statx` said, or why it could not say it; ignorance keeps the file.
    pub facts: Result<Facts, Unreadable>,
}

/// Why an entry's facts are not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The operating system's words (`permission denied`).
    pub reason: String,
}

/// What a policy can have to do with anything below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// No statement touches anything below it: the walk never opens it.
    Nothing,
    /// Some names below it may match.
    Some,
    /// Every file below it matches.
    All,
}
