//! Where steps lie that are too many for memory: a file without a name, beside the journal.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of steps that a plan has in memory before the next ones go into its file: some
/// hundred thousand of them.
const HELD: u64 = 16 << 20;

/// Bytes a spool leaves free on its file system: to whoever writes there, they are worth
/// more than memory is.
const SPARED: u64 = 256 << 20;

/// A plan's file, made when it is needed. Its threads share it.
#[derive(Debug)]
pub struct Spool {
    directory: Option<PathBuf>,
    most: u64,
    held: AtomicU64,
    /// Nothing where it cannot be made: then all stays in memory.
    file: OnceLock<Option<File>>,
    end: AtomicU64,
}

impl Spool {
    /// One that makes its file in this directory.
    pub fn in_directory(directory: PathBuf) -> Spool {
        Spool::of(Some(directory), HELD)
    }

    /// One that has its first bytes only in memory.
    #[cfg(test)]
    pub(in crate::plan) fn beyond(most: u64, directory: PathBuf) -> Spool {
        Spool::of(Some(directory), most)
    }

    /// How much lies in the file.
    #[cfg(test)]
    pub(super) fn written(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Loses the file but for its first bytes.
    #[cfg(test)]
    pub(in crate::plan) fn lose(&self, but: u64) {
        let file = self.file.get().and_then(Option::as_ref);
        file.unwrap().set_len(but).unwrap();
    }

    fn of(directory: Option<PathBuf>, most: u64) -> Spool {
        Spool {
            directory,
            most,
            held: AtomicU64::new(0),
            file: OnceLock::new(),
            end: AtomicU64::new(0),
        }
    }

    /// Takes bytes into the file and says where they begin in it; nothing where they are to
    /// stay in memory.
    pub(super) fn take(&self, bytes: &[u8]) -> Option<u64> {
        let length = bytes.len() as u64;
        let held = self.held.fetch_add(length, Ordering::Relaxed);
        if held.saturating_add(length) <= self.most {
            return None;
        }
        let place = self.write(bytes);
        if place.is_some() {
            self.held.fetch_sub(length, Ordering::Relaxed);
        }
        place
    }

    fn write(&self, bytes: &[u8]) -> Option<u64> {
        let directory = self.directory.as_ref()?;
        let file = self.file.get_or_init(|| {
            let made = tempfile::tempfile_in(directory);
            made.inspect_err(|error| {
                tracing::debug!(%error, directory = %directory.display(), "no spool for the plan");
            })
            .ok()
        });
        let file = file.as_ref()?;
        let space = rustix::fs::fstatvfs(file).ok()?;
        let room = space.f_bavail.saturating_mul(space.f_frsize);
        if room < SPARED.saturating_add(bytes.len() as u64) {
            return None;
        }
        let place = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        // What could not be written is in memory still.
        file.write_all_at(bytes, place).ok()?;
        Some(place)
    }

    /// Reads back what was taken.
    pub(super) fn read(&self, place: u64, bytes: &mut [u8]) -> io::Result<()> {
        match self.file.get() {
            Some(Some(file)) => file.read_exact_at(bytes, place),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}
