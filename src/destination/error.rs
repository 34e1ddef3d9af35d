//! What can go wrong with a destination, in words that say what to do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use super::copy::Stopped;
use super::name::{NameError, ObjectName};
use crate::url::UrlError;

/// Why a destination could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// The URL means no directory.
    #[error("destination `{destination}` has the url `{url}`: {reason}")]
    Url {
        /// The destination's name.
        destination: String,
        /// The URL as written.
        url: String,
        /// What is wrong with it.
        reason: UrlError,
    },
    /// The scheme is known and cannot be served by this version.
    #[error(
        "destination `{destination}`: `{scheme}://` is not yet supported; use a mounted directory, `file:///absolute/path`"
    )]
    Unsupported {
        /// The destination's name.
        destination: String,
        /// The scheme.
        scheme: String,
    },
    /// Only the last directory of the path is made.
    #[error(
        "destination `{destination}`: the directory above `{}` does not exist; create it, or mount what should be there", path.display()
    )]
    ParentMissing {
        /// The destination's name.
        destination: String,
        /// Its directory.
        path: PathBuf,
    },
    /// It is not the directory that archives went to before.
    #[error(
        "destination `{destination}`: `{}` is not the directory archives went to before, it {problem}; is the volume mounted? if it was replaced on purpose, write `{identity}` into its `.staging/id`", path.display()
    )]
    Unknown {
        /// The destination's name.
        destination: String,
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// The identity it had.
        identity: String,
    },
    /// The system refused access.
    #[error(
        "destination `{destination}`: no permission to {action}; give the user that runs retain read, write and search permission on `{}`", path.display()
    )]
    Permission {
        /// The destination's name.
        destination: String,
        /// Its directory.
        path: PathBuf,
        /// What was being done.
        action: String,
    },
    /// The file system is mounted read-only.
    #[error(
        "destination `{destination}`: cannot {action}, the file system under `{}` is read-only; mount it writable", path.display()
    )]
    ReadOnly {
        /// The destination's name.
        destination: String,
        /// Its directory.
        path: PathBuf,
        /// What was being done.
        action: String,
    },
    /// There is no space, or a quota or size limit is reached.
    #[error(
        "destination `{destination}`: cannot {action}, no space is left under `{}` ({source}); free some or raise the quota", path.display()
    )]
    Full {
        /// The destination's name.
        destination: String,
        /// Its directory.
        path: PathBuf,
        /// What was being done.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// A name that cannot be an object's.
    #[error("destination `{destination}`: `{}` cannot name an object: {source}", name.escape_debug())]
    Name {
        /// The destination's name.
        destination: String,
        /// The name.
        name: String,
        /// Why not.
        source: NameError,
    },
    /// Nothing is ever overwritten.
    #[error(
        "destination `{destination}` already holds an object `{object}`{}; nothing is overwritten", if *.differs { " with other bytes" } else { "" }
    )]
    Exists {
        /// The destination's name.
        destination: String,
        /// The object's name.
        object: ObjectName,
        /// Whether the bytes were compared and are others.
        differs: bool,
    },
    /// There is no such object.
    #[error("destination `{destination}` holds no object `{object}`")]
    Missing {
        /// The destination's name.
        destination: String,
        /// The object's name.
        object: ObjectName,
    },
    /// A checkpoint said to stop.
    #[error("destination `{destination}`: stopped at the time limit")]
    Interrupted {
        /// The destination's name.
        destination: String,
    },
    /// Anything else the system said.
    #[error("destination `{destination}`: cannot {action}: {source}")]
    Io {
        /// The destination's name.
        destination: String,
        /// What was being done.
        action: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What every error about one destination repeats; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Context(Arc<Names>);

#[derive(Debug)]
struct Names {
    destination: String,
    path: PathBuf,
}

impl Context {
    pub(super) fn new(destination: &str, path: &Path) -> Context {
        Context(Arc::new(Names {
            destination: destination.to_owned(),
            path: path.to_owned(),
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.destination
    }

    /// A name that can be an object's.
    pub(super) fn parse_name(&self, text: &str) -> Result<ObjectName, DestinationError> {
        ObjectName::parse(text).map_err(|source| DestinationError::Name {
            destination: self.0.destination.clone(),
            name: text.to_owned(),
            source,
        })
    }

    /// The length of an opened object.
    pub(super) fn length_of(
        &self,
        file: &File,
        name: &ObjectName,
    ) -> Result<u64, DestinationError> {
        let metadata = file
            .metadata()
            .map_err(|error| self.error("examine", Some(name), errno_of(&error)))?;
        Ok(metadata.len())
    }

    /// The error for an action that the system refused.
    pub(super) fn error(
        &self,
        verb: &str,
        object: Option<&ObjectName>,
        errno: Errno,
    ) -> DestinationError {
        let destination = self.0.destination.clone();
        let path = self.0.path.clone();
        let action = match object {
            Some(object) => format!("{verb} `{object}`"),
            None => format!("{verb} `{}`", path.display()),
        };
        let source = io::Error::from(errno);
        match errno {
            Errno::ACCESS | Errno::PERM => DestinationError::Permission {
                destination,
                path,
                action,
            },
            Errno::ROFS => DestinationError::ReadOnly {
                destination,
                path,
                action,
            },
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => DestinationError::Full {
                destination,
                path,
                action,
                source,
            },
            _ => DestinationError::Io {
                destination,
                action,
                source,
            },
        }
    }

    /// The error for a copy that ended early.
    pub(super) fn stopped(&self, verb: &str, stopped: Stopped) -> DestinationError {
        match stopped {
            Stopped::Interrupted => DestinationError::Interrupted {
                destination: self.0.destination.clone(),
            },
            Stopped::Failed(errno) => self.error(verb, None, errno),
        }
    }
}

/// The number behind an error of the standard library.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
