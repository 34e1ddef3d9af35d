//! The mark by which a destination is known again: `.staging/id`.
//!
//! A backup volume that is not mounted leaves an empty directory in its place, and
//! archives in there are lost with the next mount, or with the disk they were to be
//! kept from. So the first use leaves 128 random bits, which receipts record.

use std::io::{Read, Write};
use std::path::Path;

use rustix::io::Errno;

use super::directory::Directory;
use super::error::errno_of;
use super::name::STAGING;
use super::{Destination, DestinationError};

const IDENTITY: &str = "id";

/// Digits of an identity.
const DIGITS: usize = 32;

impl Destination {
    /// Opens a destination that archives went to before: it must be there and bear the
    /// identity it had.
    pub fn open_known(
        name: &str,
        path: &Path,
        identity: &str,
    ) -> Result<Destination, DestinationError> {
        let unknown = |problem| DestinationError::Unknown {
            destination: name.to_owned(),
            path: path.to_owned(),
            problem,
            identity: identity.to_owned(),
        };
        let opened = match Destination::open_by(name, path, Directory::open) {
            Err(DestinationError::ParentMissing { .. }) => Err(unknown("is not there")),
            opened => opened,
        }?;
        match opened.identity()? {
            Some(found) if found == identity => Ok(opened),
            Some(_) => Err(unknown("has another `.staging/id`")),
            None => Err(unknown("has no `.staging/id`")),
        }
    }

    /// The identity it was given; nothing where it has none.
    pub fn identity(&self) -> Result<Option<String>, DestinationError> {
        let failed = |errno| self.context.error("read the identity of", None, errno);
        let file = self.root.child(STAGING);
        let file = match file.and_then(|area| area.open_file(IDENTITY)) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(failed(errno)),
        };
        let mut text = String::new();
        // Longer than an identity is none, and neither are bytes that are no text.
        let read = file.take(DIGITS as u64 + 2).read_to_string(&mut text);
        let identity = text.trim_end();
        let whole = read.is_ok()
            && identity.len() == DIGITS
            && identity.bytes().all(|byte| byte.is_ascii_hexdigit());
        Ok(Some(match whole {
            true => identity.to_owned(),
            false => String::new(),
        }))
    }

    /// Its identity, given now if it has none.
    pub fn establish_identity(&self) -> Result<String, DestinationError> {
        if let Some(identity) = self.identity()? {
            return Ok(identity);
        }
        self.write_identity()
            .map_err(|errno| self.context.error("write to", None, errno))?;
        // Read instead of returned: another process may have been first.
        Ok(self.identity()?.unwrap_or_default())
    }

    fn write_identity(&self) -> Result<(), Errno> {
        let (area, _) = self.root.child_or_make(STAGING)?;
        let mut bytes = [0; DIGITS / 2];
        getrandom::fill(&mut bytes).map_err(|_| Errno::IO)?;
        let identity = format!("{:032x}", u128::from_be_bytes(bytes));
        let draft = format!("{IDENTITY}.{identity}");
        let mut file = area.create_file(&draft)?;
        let written = writeln!(file, "{identity}").and_then(|()| file.sync_all());
        let named = written
            .map_err(|error| errno_of(&error))
            .and_then(|()| area.rename_to(&draft, &area, IDENTITY));
        match named {
            Ok(()) => {
                area.sync()?;
                self.root.sync()
            }
            Err(errno) => {
                area.unlink(&draft)?;
                match errno {
                    Errno::EXIST => Ok(()),
                    errno => Err(errno),
                }
            }
        }
    }
}
