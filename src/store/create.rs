//! Writing a file that was not there: what restoring needs.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, fchmod, fchown, fsync,
    futimens, linkat, mkdirat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::control::{establish_private, random_name};
use super::dir::{Dir, Name};
use super::facts::look_at;
use super::{CONTROL, Lock, Root, StoreError, in_words};
use crate::entry::{Facts, Kind};
use crate::fault::{Point, around};
use crate::path::RelPath;
use crate::receipt::Content;
use crate::time::Stamp;

/// What a file is given back besides its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits; a file type in higher bits is ignored.
    pub mode: u32,
    /// Numeric owner.
    pub owner: u32,
    /// Numeric group.
    pub group: u32,
    /// When the content last changed.
    pub modified: Stamp,
    /// Extended attributes.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// An attribute that could not be given back; the content is whole all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// The attribute (`owner 1000:1000`).
    pub attribute: String,
    /// Why, in the system's words.
    pub reason: String,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not set: {}", self.attribute, self.reason)
    }
}

/// What the name of a file being written begins with, in the control directory.
const DRAFT: &str = "draft.";

/// A file being written, not visible under its name before [`NewFile::publish`].
///
/// Until then it lies in our control directory, where no scan counts it among the
/// newest of its group. Dropped unpublished, it leaves nothing but the directories
/// made for it.
#[derive(Debug)]
pub struct NewFile {
    root: Dir,
    control: Dir,
    dir: Dir,
    path: RelPath,
    draft: String,
    file: File,
}

impl Root {
    /// Begins a file that must not exist yet, making its missing parents.
    pub fn create_file(&self, path: &RelPath) -> io::Result<NewFile> {
        if let Some(parent) = path.parent() {
            self.create_missing(&parent, |_| None)?;
        }
        let (dir, name) = self.locate(path)?;
        match dir.stat(name) {
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let control = self.establish_control().map_err(io::Error::other)?;
        let draft = format!("{DRAFT}{}", random_name()?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        // Nobody else reads it before it has its own mode.
        let file = control.open(Name::ours(&draft), flags, Mode::RUSR | Mode::WUSR)?;
        Ok(NewFile {
            root: self.open_dir(&RelPath::root())?,
            control,
            dir,
            path: path.clone(),
            draft,
            file: File::from(file),
        })
    }

    /// Opens a directory, making it and what is missing above it: with the owner and the
    /// mode it `was` of, where that is known.
    pub fn open_or_create_dir<'f>(
        &self,
        path: &RelPath,
        was: impl Fn(&RelPath) -> Option<&'f Facts>,
    ) -> io::Result<Dir> {
        self.create_missing(path, was)?;
        self.open_dir(path)
    }

    /// Removes what restores that were cut short have left. The lock shows that none
    /// is at work.
    pub fn sweep_drafts(&self, _lock: &Lock) -> io::Result<()> {
        let Some(control) = self.control().map_err(io::Error::other)? else {
            return Ok(());
        };
        let mut drafts = Vec::new();
        control.list(&mut Vec::new(), |listed| {
            if listed.name.as_bytes().starts_with(DRAFT.as_bytes()) {
                drafts.push(listed.name.as_bytes().to_vec());
            }
        })?;
        for draft in drafts {
            unlinkat(control.fd(), draft.as_slice(), AtFlags::empty())?;
        }
        Ok(())
    }

    fn create_missing<'f>(
        &self,
        path: &RelPath,
        was: impl Fn(&RelPath) -> Option<&'f Facts>,
    ) -> io::Result<()> {
        match self.open_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut dir = self.open_dir(&RelPath::root())?;
        let mut reached = RelPath::root();
        for component in path.components() {
            reached = reached.join(component).map_err(io::Error::other)?;
            let Some(name) = Name::of(&reached) else {
                continue;
            };
            dir = open_or_make(&dir, name, was(&reached))?;
        }
        Ok(())
    }
}

/// A directory that is made anew is what it was, as far as we may give it away. Where that
/// is not known it is as open as the one it lies in, and belongs to the same people: it
/// must not let in anybody the store keeps out.
fn open_or_make(dir: &Dir, name: Name<'_>, was: Option<&Facts>) -> io::Result<Dir> {
    match mkdirat(dir.fd(), name.as_bytes(), Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) => return dir.open_child(name),
        Err(errno) => return Err(errno.into()),
    }
    let made = dir.open_child(name)?;
    check_new(&made)?;
    let model = match was {
        Some(was) => *was,
        None => dir.facts()?,
    };
    let (owner, group) = (Uid::from_raw(model.owner), Gid::from_raw(model.group));
    if fchown(made.fd(), Some(owner), Some(group)).is_ok() {
        fchmod(made.fd(), Mode::from_raw_mode(model.mode & 0o7777))?;
    }
    fsync(dir.fd())?;
    Ok(made)
}

/// Whoever may write around it may have put another directory in its place meanwhile,
/// and would be given that. What is ours alone and empty is as good as what we made.
fn check_new(made: &Dir) -> io::Result<()> {
    let facts = made.facts()?;
    let mut names = 0;
    made.list(&mut Vec::new(), |_| names += 1)?;
    let ours = facts.owner == geteuid().as_raw() && facts.mode & 0o077 == 0;
    match ours && names == 0 {
        true => Ok(()),
        false => Err(io::Error::other("another directory has taken its name")),
    }
}

/// Why an archive was not put beside its file.
#[derive(Debug)]
pub enum NotPut {
    /// Something else has the name.
    Taken,
    /// It could not have everything the file has.
    Short(Vec<Shortfall>),
    /// The system refused.
    Failed(io::Error),
}

impl From<io::Error> for NotPut {
    fn from(error: io::Error) -> NotPut {
        NotPut::Failed(error)
    }
}

impl Root {
    /// A directory of ours in the control directory, for files on the store's own file
    /// system that nobody is to see yet.
    pub fn establish_area(&self, name: &str) -> Result<OwnedFd, StoreError> {
        let control = self.establish_control()?;
        let failed = |source| self.control_error(name, "create", source);
        let area = establish_private(&control, Name::ours(name)).map_err(failed)?;
        let area = self.private(area, name)?;
        area.fd()
            .as_fd()
            .try_clone_to_owned()
            .map_err(|source| self.control_error(name, "open", source))
    }

    /// Gives a complete file of ours the attributes of another and a name beside it,
    /// durably and replacing nothing.
    ///
    /// `give_name` moves it to a name in a directory. A file that has the name already
    /// and is the same in bytes and attributes is what an earlier run, cut short right
    /// here, has put there.
    pub fn put_beside(
        &self,
        file: &File,
        content: &Content,
        path: &RelPath,
        attributes: &Attributes,
        give_name: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<(), Errno>,
    ) -> Result<Facts, NotPut> {
        let (dir, name) = self.locate(path)?;
        let shortfalls = apply(file, attributes);
        if !shortfalls.is_empty() {
            return Err(NotPut::Short(shortfalls));
        }
        file.sync_all()?;
        let named = around(Point::PutBeside, || {
            give_name(dir.fd().as_fd(), name.as_bytes())
        });
        match named {
            Ok(()) => {}
            Err(Errno::EXIST) => accept(&dir, name, content, attributes)?,
            Err(errno) => return Err(NotPut::Failed(errno.into())),
        }
        fsync(dir.fd()).map_err(io::Error::from)?;
        Ok(dir.stat(name)?)
    }
}

fn accept(
    dir: &Dir,
    name: Name<'_>,
    content: &Content,
    attributes: &Attributes,
) -> Result<(), NotPut> {
    let found = dir.stat(name)?;
    let same = found.kind == Kind::File
        && found.links == 1
        && found.size == content.size
        && found.modified == attributes.modified
        && (found.owner, found.group) == (attributes.owner, attributes.group)
        && found.mode & 0o7777 == attributes.mode & 0o7777;
    if !same {
        return Err(NotPut::Taken);
    }
    let file = dir.open(name, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
    let file = File::from(file);
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut &file, &mut hasher)?;
    match hasher.finalize().to_hex().as_str() == content.blake3 && look_at(&file)?.facts == found {
        true => Ok(file.sync_all()?),
        false => Err(NotPut::Taken),
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile {
    /// Gives the file its attributes and its name, durably, replacing nothing.
    ///
    /// The error is [`io::ErrorKind::AlreadyExists`] when something has taken the
    /// name meanwhile; that stays.
    pub fn publish(self, attributes: &Attributes) -> io::Result<Vec<Shortfall>> {
        let shortfalls = apply(&self.file, attributes);
        self.file.sync_all()?;
        let Some(name) = Name::of(&self.path) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let named = around(Point::Restored, || {
            self.control
                .rename(Name::ours(&self.draft), &self.dir, name)
        });
        match named {
            Ok(()) => {}
            // No file system refuses to replace by link; the draft's own name goes
            // when it is dropped.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => linkat(
                self.control.fd(),
                self.draft.as_str(),
                self.dir.fd(),
                name.as_bytes(),
                AtFlags::empty(),
            )?,
            Err(errno) => return Err(errno.into()),
        }
        fsync(self.dir.fd())?;
        Ok(shortfalls)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After publishing by rename the name is gone already; a draft that cannot
        // be unlinked is only litter, and random names never meet.
        let _ = unlinkat(self.control.fd(), self.draft.as_str(), AtFlags::empty());
        // A directory that is no store and was restored into gets no mark of ours; in
        // a store the identity or the lock lies there, and it stays.
        let _ = unlinkat(self.root.fd(), CONTROL, AtFlags::REMOVEDIR);
    }
}

/// Owner first, because changing it clears the set-id bits; the time last,
/// because everything before may move it.
fn apply(file: &File, attributes: &Attributes) -> Vec<Shortfall> {
    let mut shortfalls = Vec::new();
    let mut note = |attribute: String, result: Result<(), Errno>| {
        let failed = result.err();
        if let Some(errno) = failed {
            shortfalls.push(Shortfall {
                attribute,
                reason: in_words(&errno.into()),
            });
        }
        failed.is_none()
    };
    let (owner, group) = (attributes.owner, attributes.group);
    let owned = fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)));
    let owned = note(format!("owner {owner}:{group}"), owned);
    // A set-id bit is a promise about the owner; without him it is a hole.
    let bits = attributes.mode & if owned { 0o7777 } else { 0o1777 };
    note(
        format!("mode {:04o}", attributes.mode & 0o7777),
        fchmod(file, Mode::from_raw_mode(bits)),
    );
    // After the mode, which changes an access list's mask.
    for (name, value) in &attributes.xattrs {
        note(
            format!("extended attribute `{}`", name.escape_debug()),
            super::xattr::set(file, name, value),
        );
    }
    note(
        format!("modification time {}", attributes.modified),
        futimens(file, &times(attributes.modified)),
    );
    shortfalls
}

fn times(modified: Stamp) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: modified.seconds(),
            tv_nsec: modified.subsec_nanoseconds().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_a_directory_that_can_be_the_one_just_made_is_given_away() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let new = place.path().join("new");
        let verdict = |mode| {
            std::fs::set_permissions(&new, PermissionsExt::from_mode(mode)).unwrap();
            let made = root.open_dir(&RelPath::parse("new").unwrap()).unwrap();
            check_new(&made).is_ok()
        };
        std::fs::create_dir(&new).unwrap();
        assert!(verdict(0o700));
        // As it is made in a directory whose group is handed down.
        assert!(verdict(0o2700));
        assert!(!verdict(0o750));
        std::fs::write(new.join("secret"), "root's").unwrap();
        assert!(!verdict(0o700));
    }
}
