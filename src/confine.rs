//! The process held to what it was configured for: whatever goes wrong in it, it can
//! write, rename and remove nowhere else.
//!
//! Landlock, by the kernel and for good. It is laid on before the first thread is
//! made, because it holds for a thread and those it makes. Reading is left alone:
//! policies, plugins and time zones lie anywhere, and reading loses nobody a file.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

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

/// Why the process could not be confined.
#[derive(Debug, thiserror::Error)]
#[error("this process cannot be confined to its stores: {0}")]
pub struct ConfineError(#[from] RulesetError);

/// Gives up, for good, all writing outside some directories, and any way to gain
/// privileges. One that is missing yet is stood for by the nearest that exists.
pub fn confine(directories: &[PathBuf]) -> Result<Confinement, ConfineError> {
    let writing = AccessFs::from_write(RIGHTS);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)?
        .create()?;
    for directory in directories {
        if let Some(fd) = nearest(directory) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, writing))?;
        }
    }
    let status = ruleset.restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Whole,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::None,
    })
}

fn nearest(directory: &Path) -> Option<PathFd> {
    directory
        .ancestors()
        .find_map(|ancestor| PathFd::new(ancestor).ok())
}
