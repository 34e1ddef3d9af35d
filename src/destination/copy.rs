//! Bytes from one descriptor to another, by the kernel where it can.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::error::errno_of;

/// How much is moved between two looks at the deadline.
pub const SLICE: u64 = 8 << 20;
/// How much is moved at once where the kernel does not do it.
pub(super) const BUFFER: usize = 1 << 20;

/// Asked between slices whether to go on.
pub type Checkpoint<'a> = &'a mut dyn FnMut() -> Result<(), Interrupted>;

/// A checkpoint's answer when the work is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// Why a copy ended early.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stopped {
    Interrupted,
    Failed(Errno),
}

impl From<io::Error> for Stopped {
    fn from(error: io::Error) -> Stopped {
        Stopped::Failed(errno_of(&error))
    }
}

/// The checkpoint of work too small to be stopped.
pub(super) fn unhurried() -> Result<(), Interrupted> {
    Ok(())
}

/// Copies a range to `at`, as far as the source reaches; says how much that was.
///
/// `copy_file_range` shares extents on file systems that can (Btrfs, XFS) and
/// copies inside the kernel elsewhere. Between file systems that do not know each
/// other the bytes go through a buffer.
pub(super) fn copy_range(
    source: &File,
    offset: u64,
    length: u64,
    target: &File,
    at: u64,
    checkpoint: Checkpoint<'_>,
) -> Result<u64, Stopped> {
    let mut moved = 0;
    let mut by_kernel = true;
    while moved < length {
        checkpoint().map_err(|Interrupted| Stopped::Interrupted)?;
        let slice = (length - moved).min(SLICE);
        let (from, to) = (offset + moved, at + moved);
        let step = if by_kernel {
            match copy_by_kernel(source, from, slice, target, to) {
                Ok(step) => step,
                Err(errno) if is_unsupported(errno) => {
                    by_kernel = false;
                    continue;
                }
                Err(errno) => return Err(Stopped::Failed(errno)),
            }
        } else {
            copy_by_hand(source, from, slice, target, to)?
        };
        if step == 0 && by_kernel {
            // Some pseudo file systems answer 0 where read() has bytes.
            by_kernel = false;
        } else if step == 0 {
            break;
        }
        moved += step;
    }
    Ok(moved)
}

fn copy_by_kernel(
    source: &File,
    mut from: u64,
    length: u64,
    target: &File,
    mut to: u64,
) -> Result<u64, Errno> {
    let length = usize::try_from(length).unwrap_or(BUFFER);
    loop {
        match rustix::fs::copy_file_range(source, Some(&mut from), target, Some(&mut to), length) {
            Ok(step) => return Ok(step as u64),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn is_unsupported(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::BADF
    )
}

fn copy_by_hand(
    source: &File,
    from: u64,
    length: u64,
    target: &File,
    to: u64,
) -> Result<u64, Stopped> {
    let length = usize::try_from(length).unwrap_or(BUFFER).min(BUFFER);
    let mut buffer = vec![0; length];
    let read = loop {
        match source.read_at(&mut buffer, from) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => break outcome?,
        }
    };
    target.write_all_at(buffer.get(..read).unwrap_or_default(), to)?;
    Ok(read as u64)
}
