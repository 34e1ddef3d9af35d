//! Directories of our own that outlast a power cut.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Makes a directory that only its owner may enter, with what is missing above it.
/// Each new name is on disk when this returns.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for made in missing {
        sync_parent(made)?;
    }
    Ok(())
}

/// Makes the name of something just created durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    match File::open(parent).and_then(|parent| parent.sync_all()) {
        // Not ours to read, or a file system that knows no such thing.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn missing_directories_are_made_private_and_existing_ones_left_as_they_are() {
        let place = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let before = mode(place.path());
        let deep = place.path().join("a/b/c");
        make_private_directory(&deep).unwrap();
        make_private_directory(&deep).unwrap();
        assert_eq!((mode(&deep), mode(&place.path().join("a"))), (0o700, 0o700));
        assert_eq!(mode(place.path()), before);
        std::fs::write(place.path().join("file"), "").unwrap();
        assert!(make_private_directory(&place.path().join("file/below")).is_err());
    }
}
