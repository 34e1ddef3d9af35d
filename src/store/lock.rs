//! One run of a store at a time, on this machine and on others.
//!
//! An flock is what holds: it reaches every process on this kernel, containers
//! included, and goes with the process that has it. Where a volume is shared by
//! machines and flock does not reach from one to the other, a record in the lock file
//! stands behind it: which machine, which process, and when it was last alive. One of
//! another machine counts until its lease is over.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::dir::Name;
use super::{Root, StoreError};
use crate::time::{Clocks, Now};

const LOCK: &str = "lock";

/// How often a holder says that it is alive, and how long it is believed.
const BEAT: Duration = Duration::from_secs(20);
const LEASE_SECONDS: i64 = 120;

/// Bytes of a record, filled up with spaces.
const RECORD: usize = 255;

/// The right to change a store, held until dropped.
#[derive(Debug)]
pub struct Lock {
    file: Arc<File>,
    over: Arc<AtomicBool>,
    heart: Option<JoinHandle<()>>,
}

/// Who has the lock, and when that was last seen to be so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    process: u32,
    machine: String,
    /// Seconds since 1970 UTC.
    alive: i64,
}

impl Claim {
    fn ours(now: &Now) -> Claim {
        let clocks = Clocks::at(now);
        Claim {
            process: std::process::id(),
            machine: clocks.boot_id,
            alive: clocks.wall,
        }
    }

    /// Whether somebody whom the flock does not reach may still be at work.
    fn stands_against(&self, ours: &Claim) -> bool {
        self.machine != ours.machine && ours.alive.abs_diff(self.alive) < LEASE_SECONDS as u64
    }
}

impl Root {
    /// Takes the store's lock or says who has it; never waits.
    pub fn lock(&self, now: &Now) -> Result<Lock, StoreError> {
        let control = self.establish_control()?;
        let failed = |source| self.control_error(LOCK, "lock", source);
        let flags = OFlags::RDWR | OFlags::CREATE;
        let file = control
            .open(Name::ours(LOCK), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed)?;
        let file = File::from(file);
        let locked = |claim: Option<Claim>, elsewhere: bool| StoreError::Locked {
            root: self.path().to_owned(),
            holder: claim.map(|claim| match elsewhere {
                true => format!("process {} on another machine", claim.process),
                false => format!("process {}", claim.process),
            }),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(locked(read_claim(&file), false)),
            Err(errno) => return Err(failed(errno.into())),
        }
        let ours = Claim::ours(now);
        match read_claim(&file) {
            Some(claim) if claim.stands_against(&ours) => return Err(locked(Some(claim), true)),
            Some(_) | None => {}
        }
        write_claim(&file, &ours).map_err(failed)?;
        Ok(Lock::beating(Arc::new(file)))
    }
}

impl Lock {
    fn beating(file: Arc<File>) -> Lock {
        let over = Arc::new(AtomicBool::new(false));
        let (theirs, done) = (Arc::clone(&file), Arc::clone(&over));
        let beat = move || {
            while !done.load(Ordering::Acquire) {
                thread::park_timeout(BEAT);
                if !done.load(Ordering::Acquire) {
                    // A beat that cannot be written only lets the lease run out; on
                    // this machine the flock holds all the same.
                    let _ = write_claim(&theirs, &Claim::ours(&Now::from_clock()));
                }
            }
        };
        let heart = thread::Builder::new().name("lock".to_owned()).spawn(beat);
        Lock {
            file,
            over,
            heart: heart.ok(),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(heart) = self.heart.take() {
            heart.thread().unpark();
            // It only writes a line; a panic in it is not worth one here.
            let _ = heart.join();
        }
        // Nobody has to wait for the lease of who is done.
        let _ = write_record(&self.file, "");
    }
}

fn read_claim(file: &File) -> Option<Claim> {
    let mut file = file;
    file.seek(SeekFrom::Start(0)).ok()?;
    let mut text = String::new();
    file.take(1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_claim(file: &File, claim: &Claim) -> io::Result<()> {
    write_record(file, &serde_json::to_string(claim)?)
}

/// Always as long, over what is there: a file cut short gives back its block, and on a
/// full disk nobody gets it again.
fn write_record(file: &File, text: &str) -> io::Result<()> {
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{text:<RECORD$}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Root) {
        let store = tempfile::tempdir().unwrap();
        let root = Root::open(store.path()).unwrap();
        (store, root)
    }

    #[test]
    fn another_machine_is_believed_while_its_lease_runs_and_not_longer() {
        let (store, root) = root();
        let now = Now::from_clock();
        drop(root.lock(&now).unwrap());
        let claim = |ago: i64| Claim {
            process: 7,
            machine: "elsewhere".to_owned(),
            alive: now.timestamp().as_second() - ago,
        };
        let place = store.path().join(".retain/lock");
        let leave = |ago| std::fs::write(&place, serde_json::to_string(&claim(ago)).unwrap());
        leave(5).unwrap();
        let error = root.lock(&now).unwrap_err().to_string();
        assert!(error.ends_with("process 7 on another machine"), "{error}");
        leave(LEASE_SECONDS + 5).unwrap();
        assert!(root.lock(&now).is_ok());
        std::fs::write(&place, "no record").unwrap();
        assert!(root.lock(&now).is_ok());
    }

    #[test]
    fn a_crash_on_this_machine_leaves_no_lease_to_wait_for() {
        let (store, root) = root();
        let now = Now::from_clock();
        let left = serde_json::to_string(&Claim::ours(&now)).unwrap();
        drop(root.lock(&now).unwrap());
        std::fs::write(store.path().join(".retain/lock"), left).unwrap();
        assert!(root.lock(&now).is_ok());
    }
}
