//! The process held to what it was configured for: whatever goes wrong in it, it can
//! write, rename and remove nowhere else.
//!
//! Landlock, by the kernel and for good. It is laid on before the first thread is
//! made, because it holds for a thread and those it makes. Reading is left alone:
//! policies, plugins and time zones lie anywhere, and reading loses nobody a file.
//!
//! Of root's capabilities those are left that removing and bringing back other users'
//! files takes. A process that was started without any gains none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};
use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

use crate::entry::FileId;

/// The newest set of rights this program knows; older kernels enforce what they have.
const RIGHTS: ABI = ABI::V5;

/// How far the kernel holds the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// Nothing can be written, renamed or removed outside.
    Whole,
    /// Some rights are older than the kernel's; what it knows is enforced.
    Partial,
    /// The kernel has no Landlock, or it is switched off.
    None,
}

/// What a confined process may still write below: directories by what they were when it
/// gave up all others. A name tells nothing, because another directory may take it.
#[derive(Clone, Debug, Default)]
pub struct Grounds(Option<Vec<FileId>>);

impl Grounds {
    /// Whether something can be written, or made, at a path as it is now.
    pub fn reach(&self, path: &Path) -> bool {
        let Some(grounds) = &self.0 else { return true };
        let there = path.ancestors().find_map(|part| part.canonicalize().ok());
        // What cannot be seen is told by whoever tries to open it.
        let Some(there) = there else { return true };
        there
            .ancestors()
            .any(|part| id(part).is_some_and(|id| grounds.contains(&id)))
    }
}

fn id(path: &Path) -> Option<FileId> {
    let found = std::fs::metadata(path).ok()?;
    Some(FileId {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// Why the process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel has Landlock, and would not enforce it.
    #[error("this process cannot be confined to its stores: {0}")]
    Landlock(#[from] RulesetError),
    /// Privileges could not be given up.
    #[error("this process cannot give up its privileges: {0}")]
    Capabilities(#[from] CapsError),
    /// Gaining privileges could not be ruled out.
    #[error("this process cannot rule out gaining privileges: {0}")]
    Privileges(#[from] rustix::io::Errno),
}

/// What a run of root needs, and all that is left to it.
const NEEDED: [Capability; 7] = [
    // Files and directories of other users, whatever their modes.
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_DAC_READ_SEARCH,
    // Directories with the sticky bit; reading without moving access times.
    Capability::CAP_FOWNER,
    // Owners and modes of what is brought back.
    Capability::CAP_CHOWN,
    Capability::CAP_FSETID,
    // Whether somebody writes into another user's file.
    Capability::CAP_LEASE,
    // Blocks that are set aside for root: the journal of a run on a full disk.
    Capability::CAP_SYS_RESOURCE,
];

/// Gives up, for good, every capability that removing and restoring does not need, and
/// any way to gain one by starting a program.
pub fn give_up_privileges() -> Result<(), ConfineError> {
    rustix::thread::set_no_new_privs(true)?;
    let held = caps::read(None, CapSet::Permitted)?;
    let needed: CapsHashSet = NEEDED
        .into_iter()
        .filter(|one| held.contains(one))
        .collect();
    if held.contains(&Capability::CAP_SETPCAP) {
        let bound = caps::read(None, CapSet::Bounding)?;
        for one in bound.difference(&needed) {
            caps::drop(None, CapSet::Bounding, *one)?;
        }
    }
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::clear(None, set)?;
    }
    caps::set(None, CapSet::Effective, &needed)?;
    caps::set(None, CapSet::Permitted, &needed)?;
    Ok(())
}

/// Gives up, for good, all writing outside some directories, and any way to gain
/// privileges. One that is missing yet is stood for by the nearest that exists.
pub fn confine(directories: &[PathBuf]) -> Result<(Confinement, Grounds), ConfineError> {
    let writing = AccessFs::from_write(RIGHTS);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?
        .create()?;
    let mut grounds = Vec::new();
    for directory in directories {
        if let Some((part, fd)) = nearest(directory) {
            grounds.extend(id(part));
            ruleset = ruleset.add_rule(PathBeneath::new(fd, writing))?;
        }
    }
    let status = ruleset.restrict_self()?;
    let confinement = match status.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Whole,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::None,
    };
    let grounds = (confinement != Confinement::None).then_some(grounds);
    Ok((confinement, Grounds(grounds)))
}

fn nearest(directory: &Path) -> Option<(&Path, PathFd)> {
    directory
        .ancestors()
        .find_map(|ancestor| Some((ancestor, PathFd::new(ancestor).ok()?)))
}
