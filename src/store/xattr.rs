//! Extended attributes of one open file: access lists, capabilities, labels, and what
//! programs put there.

use std::fs::File;
use std::io;

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
use rustix::io::Errno;

/// The most bytes of names and values together; more than ext4 keeps for a file.
const MOST: usize = 64 << 10;

/// Every extended attribute of a file, sorted by name; none where the file system
/// has no such thing.
///
/// More than 64 KiB, or a name that is no text, is an error: what cannot be kept
/// whole is not to be thought kept.
pub fn xattrs(file: &File) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; MOST];
    let length = match flistxattr(file, names.as_mut_slice()) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(Errno::RANGE) => return Err(too_much()),
        Err(errno) => return Err(errno.into()),
    };
    names.truncate(length);
    let mut found = Vec::new();
    let mut room = MOST - length;
    for name in names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = std::str::from_utf8(name)
            .map_err(|_| io::Error::other("an extended attribute has a name that is no text"))?;
        let mut value = vec![0; room];
        match fgetxattr(file, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                room -= length;
                found.push((name.to_owned(), value));
            }
            // Gone since the listing.
            Err(Errno::NODATA) => {}
            Err(Errno::RANGE) => return Err(too_much()),
            Err(errno) => return Err(errno.into()),
        }
    }
    found.sort();
    Ok(found)
}

/// Gives one back.
pub(super) fn set(file: &File, name: &str, value: &[u8]) -> Result<(), Errno> {
    fsetxattr(file, name, value, XattrFlags::empty())
}

fn too_much() -> io::Error {
    io::Error::other("its extended attributes take more than 64 KiB")
}
