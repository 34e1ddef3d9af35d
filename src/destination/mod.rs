//! Where archived bytes go: a directory (an object store later).
//!
//! A destination is transactional. Bytes are staged under `.staging/`, out of
//! everybody's sight, and only [`Staged::publish`] gives them a name: after the
//! file is on disk, without ever replacing anything, followed by a sync of the
//! directory. What is staged and not published disappears when it is dropped, or
//! at the next start if the process died.
//!
//! Names are [`ObjectName`]s, parsed once, and every access goes through a held
//! directory handle one component at a time without following symbolic links, so
//! no name leads outside.

mod copy;
mod directory;
mod error;
mod identity;
mod listing;
mod name;
mod staging;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

pub use self::copy::{Checkpoint, Interrupted, SLICE};
pub use self::error::DestinationError;
pub use self::name::{NameError, ObjectName};
pub use self::staging::{Staged, StagedWriter};

use self::directory::Directory;
use self::error::Context;
use self::staging::Session;
use crate::url::UrlError;

/// An opened destination: the only way to name what lies in it.
#[derive(Debug)]
pub struct Destination {
    context: Context,
    root: Directory,
    device: u64,
    /// Made with the first staged object, so that a destination can be read and
    /// restored from where it cannot be written.
    session: Mutex<Option<Arc<Session>>>,
}

/// A published object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name in the destination.
    pub name: ObjectName,
    /// Its length in bytes.
    pub size: u64,
}

/// What happens when an object of that name is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExisting {
    /// Publishing fails.
    Fail,
    /// Publishing succeeds when the bytes are the same, and fails otherwise.
    SameBytes,
}

impl Destination {
    /// Opens the destination in a directory, making the last component if needed.
    ///
    /// `name` is what the configuration calls it; every error repeats it.
    pub fn open(name: &str, path: &Path) -> Result<Destination, DestinationError> {
        Destination::open_by(name, path, Directory::open_or_make)
    }

    /// Opens the destination a receipt's URL names, which must be there, to read
    /// from it.
    pub fn open_existing(name: &str, url: &str) -> Result<Destination, DestinationError> {
        let path = directory(name, url)?;
        Destination::open_by(name, &path, Directory::open)
    }

    /// A destination in a directory that the caller has opened, wherever its path may
    /// lead now; the path is for messages.
    pub fn held(
        name: &str,
        path: &Path,
        directory: std::os::fd::OwnedFd,
    ) -> Result<Destination, DestinationError> {
        Destination::open_by(name, path, |_| Ok(Directory::held(directory)))
    }

    fn open_by(
        name: &str,
        path: &Path,
        open: impl FnOnce(&Path) -> Result<Directory, Errno>,
    ) -> Result<Destination, DestinationError> {
        let context = Context::new(name, path);
        let root = open(path).map_err(|errno| match errno {
            Errno::NOENT => DestinationError::ParentMissing {
                destination: name.to_owned(),
                path: path.to_owned(),
            },
            errno => context.error("open", None, errno),
        })?;
        let device = root
            .device()
            .map_err(|errno| context.error("examine", None, errno))?;
        Ok(Destination {
            context,
            root,
            device,
            session: Mutex::new(None),
        })
    }

    /// The name the configuration gives it.
    pub fn name(&self) -> &str {
        self.context.name()
    }

    /// Whether its objects lie on that device, as `stat` numbers them.
    pub fn same_filesystem(&self, device: u64) -> bool {
        self.device == device
    }

    /// Begins an object that nobody sees before it is published.
    ///
    /// The first call sweeps what dead processes left in staging.
    pub fn create(&self) -> Result<StagedWriter, DestinationError> {
        let session = self.session()?;
        StagedWriter::create(session, self.context.clone())
    }

    /// Reads a name that somebody else chose.
    pub fn parse_name(&self, text: &str) -> Result<ObjectName, DestinationError> {
        self.context.parse_name(text)
    }

    /// The object of that name, if there is one.
    pub fn lookup(&self, name: &ObjectName) -> Result<Option<Object>, DestinationError> {
        match self.open_regular(name) {
            Ok(file) => Ok(Some(Object {
                name: name.clone(),
                size: self.context.length_of(&file, name)?,
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(self.context.error("look up", Some(name), errno)),
        }
    }

    /// Opens a published object for reading.
    pub fn open_object(&self, name: &ObjectName) -> Result<File, DestinationError> {
        self.open_regular(name).map_err(|errno| match errno {
            Errno::NOENT | Errno::NOTDIR => DestinationError::Missing {
                destination: self.name().to_owned(),
                object: name.clone(),
            },
            errno => self.context.error("open", Some(name), errno),
        })
    }

    /// Opens a published object that somebody is about to rely on: whoever wrote it may
    /// have died before it, or its name, was on disk.
    pub fn open_durable(&self, name: &ObjectName) -> Result<File, DestinationError> {
        let file = self.open_object(name)?;
        let failed = |errno| self.context.error("make durable", Some(name), errno);
        file.sync_all()
            .map_err(|error| failed(error::errno_of(&error)))?;
        self.parent(name)
            .and_then(|parent| parent.sync())
            .map_err(failed)?;
        Ok(file)
    }

    /// Publishes a small text whole, as any other object.
    ///
    /// Publishing the same text again is no error.
    pub fn publish_text(&self, name: &ObjectName, text: &str) -> Result<Object, DestinationError> {
        let mut writer = self.create()?;
        writer.write(text.as_bytes())?;
        let staged = writer.finish(&mut copy::unhurried)?;
        staged.publish(self, name, OnExisting::SameBytes)
    }

    /// Removes a published object that nobody needs any more, durably; one that is not
    /// there is no error.
    pub fn remove(&self, name: &ObjectName) -> Result<(), DestinationError> {
        let failed = |errno| self.context.error("remove from", Some(name), errno);
        let (_, leaf) = name.split();
        let parent = match self.parent(name) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        match parent.unlink(leaf) {
            Ok(()) => parent.sync().map_err(failed),
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    /// Holds the destination, until this is dropped, against whoever removes objects:
    /// what an archive relies on that is being made stays.
    pub fn share(&self) -> Result<(), DestinationError> {
        self.root
            .lock_shared()
            .map_err(|errno| self.context.error("lock", None, errno))
    }

    /// Holds the destination, until this is dropped, for removing objects; false where
    /// somebody archives into it or removes from it.
    pub fn hold_alone(&self) -> Result<bool, DestinationError> {
        self.root
            .lock_alone()
            .map_err(|errno| self.context.error("lock", None, errno))
    }

    fn session(&self) -> Result<Arc<Session>, DestinationError> {
        let mut slot: MutexGuard<'_, _> =
            self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &*slot {
            return Ok(Arc::clone(session));
        }
        let session = Session::begin(&self.root)
            .map_err(|errno| self.context.error("write to", None, errno))?;
        let session = Arc::new(session);
        *slot = Some(Arc::clone(&session));
        Ok(session)
    }

    fn open_regular(&self, name: &ObjectName) -> Result<File, Errno> {
        let (_, leaf) = name.split();
        self.parent(name)?.open_file(leaf)
    }

    /// The directory an object lies in.
    fn parent(&self, name: &ObjectName) -> Result<Directory, Errno> {
        let (parents, _) = name.split();
        let mut directory = self.root.try_clone()?;
        for component in parents {
            directory = directory.child(component)?;
        }
        Ok(directory)
    }
}

/// The device a destination's objects lie on, or will once it is made.
pub fn device_of(path: &Path) -> Option<u64> {
    let found = path.ancestors().find_map(|path| Directory::open(path).ok());
    found.and_then(|directory| directory.device().ok())
}

/// The directory of a URL that was written into a receipt.
fn directory(destination: &str, url: &str) -> Result<PathBuf, DestinationError> {
    if url.starts_with("s3://") {
        return Err(DestinationError::Unsupported {
            destination: destination.to_owned(),
            scheme: "s3".to_owned(),
        });
    }
    let refuse = |reason| DestinationError::Url {
        destination: destination.to_owned(),
        url: url.to_owned(),
        reason,
    };
    let path = crate::url::parse(url).map_err(refuse)?;
    // A receipt does not say where it was read, so nothing can be relative.
    match path.is_absolute() {
        true => Ok(path),
        false => Err(refuse(UrlError::Host)),
    }
}

/// The BLAKE3 of everything a reader has left.
fn hash_rest(
    mut reader: impl Read,
    checkpoint: Checkpoint<'_>,
) -> Result<(u64, blake3::Hash), copy::Stopped> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; copy::BUFFER];
    let mut size = 0;
    loop {
        checkpoint().map_err(|copy::Interrupted| copy::Stopped::Interrupted)?;
        let read = reader.read(&mut buffer).map_err(copy::Stopped::from)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok((size, hasher.finalize()));
        };
        hasher.update(bytes);
        size += bytes.len() as u64;
    }
}

#[cfg(test)]
mod tests;
