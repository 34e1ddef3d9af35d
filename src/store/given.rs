//! Files that a person names: configuration, policies, plugins, secrets.
//!
//! A name may lead to a pipe nobody writes to or a device without an end. A service
//! that looks whether its policy has changed must not wait for either.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a file for reading. Anything that is no file is an error.
pub fn open_given(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    Ok(file)
}

/// Reads a file to its end. Anything that is no file is an error, and so is one of
/// more than `most` bytes.
pub fn read_given(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_given(path)?
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(io::Error::other(format!(
            "it is larger than {} MiB",
            most >> 20
        ))),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    #[test]
    fn only_files_are_read_and_only_so_far() {
        let place = tempfile::tempdir().unwrap();
        let (file, pipe) = (place.path().join("file"), place.path().join("pipe"));
        std::fs::write(&file, vec![b'x'; 3 << 20]).unwrap();
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(read_given(&file, 3 << 20).unwrap().len(), 3 << 20);
        let words = |path: &Path| read_given(path, 2 << 20).unwrap_err().to_string();
        assert_eq!(words(&file), "it is larger than 2 MiB");
        assert_eq!(words(&pipe), "it is no file");
        assert_eq!(words(Path::new("/dev/zero")), "it is no file");
        assert_eq!(words(place.path()), "is a directory");
    }
}
