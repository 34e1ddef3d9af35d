//! One run of a store at a time with one state directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::{Journal, JournalError};

/// The right to run a store with this state directory, held until dropped.
///
/// The store's own lock keeps other state directories out; this one also holds where
/// the store's path was changed while a run goes on.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

impl Journal {
    /// Takes the lock of a store or says who has it; never waits.
    pub fn lock_store(directory: &Path, store: &str) -> Result<StoreLock, JournalError> {
        let refuse = |error: std::io::Error| JournalError::Directory {
            directory: directory.to_owned(),
            reason: crate::store::in_words(&error),
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join(format!("{store}.lock")))
            .map_err(refuse)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = Read::by_ref(&mut file).take(16).read_to_string(&mut text);
                let holder = match text.trim().parse::<u32>() {
                    Ok(process) => format!("process {process}"),
                    Err(_) => "another process".to_owned(),
                };
                return Err(JournalError::Locked {
                    store: store.to_owned(),
                    holder,
                });
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        // Over what is there, not anew: on a full disk a block that was given back may
        // not be had again.
        file.seek(SeekFrom::Start(0))
            .and_then(|_| writeln!(file, "{:<15}", std::process::id()))
            .map_err(refuse)?;
        Ok(StoreLock { _file: file })
    }
}
