//! Room set aside in the state directory, for the runs that are needed most: those on
//! a disk that is full. Nothing goes before its intent is written, and that takes a
//! few blocks of the very disk that is to be emptied.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::ErrorCode;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

/// The file with the room, and others that are only names: SQLite makes a log and a
/// shared memory anew at each start, and a disk can be out of inodes as well.
const NAMES: [&str; 4] = ["reserve", "reserve-1", "reserve-2", "reserve-3"];

/// Room for a few dozen batches, on a disk on which that is little.
const MOST: u64 = 1 << 20;

/// The least a run can begin with: SQLite's shared memory alone is 32 KiB.
const LEAST: u64 = 192 << 10;

/// Free bytes below which batches are kept small.
const LITTLE: u64 = 4 * MOST;

/// Sets room aside where there is plenty and none is set aside. Without it everything
/// works but on a full disk, so what fails here is nobody's trouble.
pub(super) fn establish(directory: &Path) {
    let [room, names @ ..] = NAMES.map(|name| directory.join(name));
    if room.exists() {
        return;
    }
    let Ok(space) = statvfs(directory) else {
        return;
    };
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    let size = (bytes(space.f_blocks) / 64).clamp(LEAST, MOST);
    if bytes(space.f_bavail) < size.saturating_mul(4) {
        return;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    for name in names {
        let _ = options.open(name);
    }
    // Only real blocks are of use: a file of zeros may be stored as none.
    if let Ok(made) = options.open(&room)
        && fallocate(&made, FallocateFlags::empty(), 0, size).is_err()
    {
        let _ = fs::remove_file(&room);
    }
}

/// Gives back what was set aside; whether there was anything.
pub(super) fn release(directory: &Path) -> bool {
    let names = NAMES.iter().map(|name| directory.join(name));
    let released = names.filter(|file| fs::remove_file(file).is_ok()).count() > 0;
    if released {
        tracing::warn!(
            directory = %directory.display(),
            "the state directory cannot be written to, as on a full disk; the room set aside there was given back to it"
        );
    }
    released
}

/// Whether what SQLite says may mean that the disk is full.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        // Its shared memory and its log are files too, and say so in other words.
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen)
    )
}

/// Whether little room is left, as far as the file system says.
pub(super) fn is_little_left(directory: &Path) -> bool {
    statvfs(directory).is_ok_and(|space| space.f_bavail.saturating_mul(space.f_frsize) < LITTLE)
}

/// Whether no run can begin with the room there is, as far as the file system says.
pub(super) fn is_exhausted(directory: &Path) -> bool {
    statvfs(directory).is_ok_and(|space| {
        let room = space.f_bavail.saturating_mul(space.f_frsize);
        room < LEAST || (space.f_files > 0 && space.f_favail == 0)
    })
}
