//! Bytes on their way: staged, hashed, and published or forgotten.
//!
//! Every process that writes owns one directory `.staging/<unique>/` and holds a
//! lock on a file in it for as long as it lives. Whoever starts next takes the
//! lock of each directory it finds: a lock it gets belongs to nobody alive.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FlockOperation, RenameFlags};
use rustix::io::Errno;

use super::copy::{self, Checkpoint, copy_range};
use super::directory::{Directory, Made};
use super::error::{Context, DestinationError, errno_of};
use super::name::{ObjectName, STAGING};
use super::{Destination, Object, OnExisting, hash_rest};

/// The lock that says a session's owner is alive.
const ALIVE: &str = "alive.lock";
/// The lock under which sessions are begun and swept.
const DOOR: &str = "door.lock";

/// One process's place in staging.
#[derive(Debug)]
pub(super) struct Session {
    root: Directory,
    area: Directory,
    own: Directory,
    name: String,
    next: AtomicU64,
    /// Held, never read: its lock shows that we live.
    _alive: File,
}

impl Session {
    /// Sweeps what the dead left, and makes a place of our own.
    pub(super) fn begin(root: &Directory) -> Result<Session, Errno> {
        let (area, _) = root.child_or_make(STAGING)?;
        let door = area.lock_file(DOOR)?;
        // Without locks (some network mounts) nothing can be told dead: keep it all.
        if rustix::fs::flock(&door, FlockOperation::LockExclusive).is_ok() {
            sweep(&area)?;
        }
        let name = unique()?;
        let (own, _) = area.child_or_make(&name)?;
        let alive = own.lock_file(ALIVE)?;
        let _ = rustix::fs::flock(&alive, FlockOperation::NonBlockingLockExclusive);
        Ok(Session {
            root: root.try_clone()?,
            area,
            own,
            name,
            next: AtomicU64::new(0),
            _alive: alive,
        })
    }
}

impl Drop for Session {
    /// Leaves nothing behind; what cannot be removed is swept at the next start.
    fn drop(&mut self) {
        let _ = self.own.unlink(ALIVE);
        let _ = self.area.remove_directory(&self.name);
    }
}

fn sweep(area: &Directory) -> Result<(), Errno> {
    for name in area.names()? {
        let Ok(session) = area.child(&name) else {
            continue;
        };
        let alive = session.lock_file(ALIVE)?;
        if rustix::fs::flock(&alive, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        for leftover in session.names()? {
            session.unlink(&leftover)?;
        }
        area.remove_directory(&name)?;
    }
    Ok(())
}

fn unique() -> Result<String, Errno> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|_| Errno::IO)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// A file in staging that goes away with this value unless it was published.
#[derive(Debug)]
struct Leaf {
    session: Arc<Session>,
    name: String,
}

impl Drop for Leaf {
    fn drop(&mut self) {
        let _ = self.session.own.unlink(&self.name);
    }
}

/// An object being written. Dropping it aborts.
#[derive(Debug)]
pub struct StagedWriter {
    context: Context,
    leaf: Leaf,
    file: File,
    size: u64,
    hashing: Hashing,
    /// What a write failed with: part of it may have reached the file, so nothing that
    /// comes later makes an object of it.
    failed: Option<Errno>,
}

/// How the hash of what was written comes about.
#[derive(Debug)]
enum Hashing {
    /// Every byte came by us.
    Running(Box<blake3::Hasher>),
    /// The kernel moved some; the file is read at the end.
    AtTheEnd,
}

impl StagedWriter {
    pub(super) fn create(
        session: Arc<Session>,
        context: Context,
    ) -> Result<StagedWriter, DestinationError> {
        let name = session.next.fetch_add(1, Ordering::Relaxed).to_string();
        let file = session
            .own
            .create_file(&name)
            .map_err(|errno| context.error("write to", None, errno))?;
        Ok(StagedWriter {
            context,
            leaf: Leaf { session, name },
            file,
            size: 0,
            hashing: Hashing::Running(Box::default()),
            failed: None,
        })
    }

    /// How many bytes it has so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends bytes. After an error it takes no more, and cannot be finished.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), DestinationError> {
        self.check_whole()?;
        if let Err(error) = self.file.write_all_at(bytes, self.size) {
            let errno = errno_of(&error);
            self.failed = Some(errno);
            return Err(self.context.error("write to", None, errno));
        }
        if let Hashing::Running(hasher) = &mut self.hashing {
            hasher.update(bytes);
        }
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Appends a range of a file without the bytes passing through this process
    /// where the kernel can; says how much the file had of it.
    pub fn splice(
        &mut self,
        source: &File,
        offset: u64,
        length: u64,
        checkpoint: Checkpoint<'_>,
    ) -> Result<u64, DestinationError> {
        self.check_whole()?;
        self.hashing = Hashing::AtTheEnd;
        match copy_range(source, offset, length, &self.file, self.size, checkpoint) {
            Ok(moved) => {
                self.size += moved;
                Ok(moved)
            }
            Err(stopped) => {
                self.failed = Some(match stopped {
                    copy::Stopped::Interrupted => Errno::CANCELED,
                    copy::Stopped::Failed(errno) => errno,
                });
                Err(self.context.stopped("write to", stopped))
            }
        }
    }

    fn check_whole(&self) -> Result<(), DestinationError> {
        match self.failed {
            None => Ok(()),
            Some(errno) => Err(self.context.error("write to", None, errno)),
        }
    }

    /// Ends the writing; the object is complete and still nobody's to see.
    pub fn finish(mut self, checkpoint: Checkpoint<'_>) -> Result<Staged, DestinationError> {
        self.check_whole()?;
        let failed = |error| self.context.error("write to", None, errno_of(&error));
        self.file.flush().map_err(failed)?;
        let blake3 = match &self.hashing {
            Hashing::Running(hasher) => hasher.finalize(),
            Hashing::AtTheEnd => {
                let (_, hash) = hash_rest(Positioned::new(&self.file), checkpoint)
                    .map_err(|stopped| self.context.stopped("read back from", stopped))?;
                hash
            }
        };
        // The proof reads as far as this size, so nothing may lie behind it.
        if self.file.metadata().map_err(failed)?.len() != self.size {
            return Err(self.context.error("write to", None, Errno::IO));
        }
        Ok(Staged {
            context: self.context,
            leaf: self.leaf,
            file: self.file,
            size: self.size,
            blake3,
            read: matches!(self.hashing, Hashing::AtTheEnd),
        })
    }
}

/// A complete object without a name. Dropping it forgets it.
#[derive(Debug)]
pub struct Staged {
    context: Context,
    leaf: Leaf,
    file: File,
    size: u64,
    blake3: blake3::Hash,
    read: bool,
}

impl Staged {
    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The BLAKE3 of its bytes.
    pub fn blake3(&self) -> blake3::Hash {
        self.blake3
    }

    /// Whether the hash is of what was read from where the object is stored, and not of
    /// what was written there.
    pub fn is_read_back(&self) -> bool {
        self.read
    }

    /// Opens the staged bytes for reading, with a descriptor of its own.
    pub fn open_read(&self) -> Result<File, DestinationError> {
        let opened = self.leaf.session.own.open_file(&self.leaf.name);
        opened.map_err(|errno| self.context.error("read back from", None, errno))
    }

    /// The staged file itself, for whoever gives it attributes.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the object a name in a directory that is not the destination's, without
    /// replacing anything. The caller makes file and directory durable.
    pub fn hand_over(&self, directory: impl AsFd, name: &[u8]) -> Result<(), Errno> {
        let own = &self.leaf.session.own;
        let flags = RenameFlags::NOREPLACE;
        match rustix::fs::renameat_with(own, self.leaf.name.as_str(), &directory, name, flags) {
            // The staged name goes when this value does.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rustix::fs::linkat(
                own,
                self.leaf.name.as_str(),
                &directory,
                name,
                AtFlags::empty(),
            ),
            outcome => outcome,
        }
    }

    /// Length and hash of what is stored, to the end of the file and, as far as the
    /// system can be told to, from the disk instead of from what it remembers.
    pub fn read_back(
        &self,
        checkpoint: Checkpoint<'_>,
    ) -> Result<(u64, blake3::Hash), DestinationError> {
        let failed = |errno| self.context.error("read back from", None, errno);
        self.file
            .sync_all()
            .map_err(|error| failed(errno_of(&error)))?;
        let stored = self.open_read()?;
        // Advice: a file system that does not take it reads from its cache.
        let _ = rustix::fs::fadvise(&stored, 0, None, rustix::fs::Advice::DontNeed);
        hash_rest(Positioned::new(&stored), checkpoint)
            .map_err(|stopped| self.context.stopped("read back from", stopped))
    }

    /// Reads a name that somebody else chose for it.
    pub fn parse_name(&self, text: &str) -> Result<ObjectName, DestinationError> {
        self.context.parse_name(text)
    }

    /// Fails now where publishing under that name would, as far as can be seen.
    pub fn check_free(
        &self,
        name: &ObjectName,
        on_existing: OnExisting,
        checkpoint: Checkpoint<'_>,
    ) -> Result<(), DestinationError> {
        let (parents, leaf) = name.split();
        let mut directory = self
            .leaf
            .session
            .root
            .try_clone()
            .map_err(|errno| self.context.error("look up", Some(name), errno))?;
        for component in parents {
            directory = match directory.child(component) {
                Ok(child) => child,
                Err(Errno::NOENT) => return Ok(()),
                Err(errno) => return Err(self.context.error("look up", Some(name), errno)),
            };
        }
        match directory.open_file(leaf) {
            Err(Errno::NOENT) => Ok(()),
            Ok(_) | Err(_) => self.accept_existing(&directory, name, on_existing, checkpoint),
        }
    }

    /// Gives the object its name, durably, without replacing anything.
    pub fn publish(
        self,
        destination: &Destination,
        name: &ObjectName,
        on_existing: OnExisting,
    ) -> Result<Object, DestinationError> {
        let failed = |errno| self.context.error("write", Some(name), errno);
        self.file
            .sync_all()
            .map_err(|error| failed(errno_of(&error)))?;
        let parent = make_parents(&destination.root, name).map_err(failed)?;
        let (_, leaf) = name.split();
        let session = &self.leaf.session;
        match session.own.rename_to(&self.leaf.name, &parent, leaf) {
            Ok(()) => {}
            // No longer than the object itself took.
            Err(Errno::EXIST) => {
                self.accept_existing(&parent, name, on_existing, &mut copy::unhurried)?;
            }
            Err(errno) => return Err(failed(errno)),
        }
        parent.sync().map_err(failed)?;
        Ok(Object {
            name: name.clone(),
            size: self.size,
        })
    }

    fn accept_existing(
        &self,
        parent: &Directory,
        name: &ObjectName,
        on_existing: OnExisting,
        checkpoint: Checkpoint<'_>,
    ) -> Result<(), DestinationError> {
        let failed = |errno| self.context.error("compare", Some(name), errno);
        let exists = |differs| DestinationError::Exists {
            destination: self.context.name().to_owned(),
            object: name.clone(),
            differs,
        };
        match on_existing {
            OnExisting::Fail => return Err(exists(false)),
            OnExisting::SameBytes => {}
        }
        let (_, leaf) = name.split();
        let existing = parent.open_file(leaf).map_err(failed)?;
        if self.context.length_of(&existing, name)? != self.size {
            return Err(exists(true));
        }
        let (size, hash) = hash_rest(Positioned::new(&existing), checkpoint)
            .map_err(|stopped| self.context.stopped("compare with", stopped))?;
        if (size, hash) != (self.size, self.blake3) {
            return Err(exists(true));
        }
        // Whoever wrote it may have died before it was on disk.
        existing
            .sync_all()
            .map_err(|error| failed(errno_of(&error)))
    }
}

/// Opens the directories a name lies in; those that are new are made durable.
fn make_parents(root: &Directory, name: &ObjectName) -> Result<Directory, Errno> {
    let (parents, _) = name.split();
    let mut directory = root.try_clone()?;
    for component in parents {
        let (child, made) = directory.child_or_make(component)?;
        match made {
            Made::Now => directory.sync()?,
            Made::Before => {}
        }
        directory = child;
    }
    Ok(directory)
}

/// Reads a file from its beginning whatever its own offset is.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl<'a> Positioned<'a> {
    fn new(file: &'a File) -> Positioned<'a> {
        Positioned { file, at: 0 }
    }
}

impl io::Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
