//! Whether somebody has a file open for writing, asked of the kernel, and what it is.

use std::io;

use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::dir::{Dir, Name};
use crate::entry::Facts;

/// What the kernel says about writers of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    /// Nobody has it open for writing.
    Nobody,
    /// Somebody has, or holds a lease on it.
    Somebody,
    /// It cannot be asked: the file may not be read, is not ours, or its file
    /// system knows no leases.
    Unknown,
}

/// Asks for a read lease, which the kernel refuses while the file is open for
/// writing, and what the file is while the lease is ours; then lets it go. Only for
/// regular files: opening anything else can have an effect.
pub(super) fn writing(dir: &Dir, name: Name<'_>) -> (Writing, io::Result<Facts>) {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let opened = match dir.open(name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::PERM) => {
            dir.open(name, flags, Mode::empty())
        }
        opened => opened,
    };
    let Ok(file) = opened else {
        return (Writing::Unknown, dir.stat(name));
    };
    let writing = match read_lease(&file) {
        Ok(()) => Writing::Nobody,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Writing::Somebody,
        Err(_) => Writing::Unknown,
    };
    (writing, dir.facts_of(file))
}

/// From asm-generic/fcntl.h; the crate `libc` does not have it.
const F_SETSIG: libc::c_int = 10;

/// `fcntl(F_SETLEASE, F_RDLCK)`; the lease goes with the descriptor.
///
/// Whoever opens the file for writing in the moment we have the lease waits until it
/// is gone, and the kernel tells us so by a signal: SIGURG, which is ignored unless
/// asked for, and not the default SIGIO, which kills.
#[expect(
    unsafe_code,
    reason = "no safe wrapper of F_SETLEASE exists in rustix or nix"
)]
fn read_lease(file: impl AsFd) -> io::Result<()> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is borrowed and open for both calls, which take plain
    // numbers and touch no memory of ours.
    let answer = unsafe {
        match libc::fcntl(fd, F_SETSIG, libc::SIGURG) {
            0 => libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK),
            failed => failed,
        }
    };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
