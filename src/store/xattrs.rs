//! Extended attributes, read from one file and given to another.

use std::fs::File;
use std::io;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

use super::Shortfall;
use super::in_words;

/// Names and values, in the order the file system gives them.
pub type Xattrs = Vec<(String, Vec<u8>)>;

/// Names that the kernel forgets when the owner changes, so they come after him.
const SECURITY: &str = "security.";

/// The most bytes of one value, and of all names together: the kernel's own bound.
const LARGEST: usize = 64 << 10;

/// Every attribute of a file that can be read; none where its file system has none.
///
/// A name that is no text is left out, because a receipt could not say it.
pub fn read_xattrs(file: &File) -> io::Result<Xattrs> {
    let mut names = vec![0; LARGEST];
    let length = match flistxattr(file, &mut names) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(Xattrs::new()),
        Err(errno) => return Err(errno.into()),
    };
    let names = names.get(..length).unwrap_or_default();
    let mut found = Xattrs::new();
    let mut value = vec![0; LARGEST];
    for name in names.split(|&byte| byte == 0) {
        let Some(name) = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
        else {
            continue;
        };
        match fgetxattr(file, name, &mut value) {
            Ok(length) => {
                let value = value.get(..length).unwrap_or_default();
                found.push((name.to_owned(), value.to_vec()));
            }
            // Gone since, or not ours to read: then it was not ours to keep either.
            Err(Errno::NODATA | Errno::ACCESS | Errno::PERM | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(found)
}

/// Which attributes are given to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that need leave to write, so before the file has its mode.
    Ordinary,
    /// Those that a change of owner clears, so after it.
    Security,
}

/// Gives a file its attributes; says which it could not have.
pub(super) fn write_xattrs(file: &File, xattrs: &Xattrs, part: Part) -> Vec<Shortfall> {
    let wanted = xattrs.iter().filter(|(name, _)| {
        let part_of = match name.starts_with(SECURITY) {
            true => Part::Security,
            false => Part::Ordinary,
        };
        part_of == part
    });
    let set = |(name, value): &(String, Vec<u8>)| {
        let errno = fsetxattr(file, name.as_str(), value, XattrFlags::empty()).err()?;
        Some(Shortfall {
            attribute: format!("attribute {}", name.escape_debug()),
            reason: in_words(&errno.into()),
        })
    };
    wanted.filter_map(set).collect()
}
