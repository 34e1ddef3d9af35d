//! Whether a mount keeps access times, and how exactly.

use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

/// What can be said of access times below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessTimes {
    /// Every read is noted.
    Kept,
    /// A read is noted at most once in so many seconds.
    Lagging(u64),
    /// No read is noted.
    Absent,
}

/// The kernel notes a read on a `relatime` mount when the last note is older than a
/// day (mount(8)), or the file has changed since.
const RELATIME: u64 = 24 * 60 * 60;

/// How the mount that a directory lies on keeps access times; nothing where the
/// directory cannot be looked at.
pub fn access_times(directory: &Path) -> Option<AccessTimes> {
    let flags = statvfs(directory).ok()?.f_flag;
    Some(if flags.contains(StatVfsMountFlags::NOATIME) {
        AccessTimes::Absent
    } else if flags.contains(StatVfsMountFlags::RELATIME) {
        AccessTimes::Lagging(RELATIME)
    } else {
        AccessTimes::Kept
    })
}
