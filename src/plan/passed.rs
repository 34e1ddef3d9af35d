//! What the threads of a walk note about the files they are done with.

use super::aside::Aside;
use super::breaker::Counted;
use super::census::Census;
use super::known::{Learned, Sums};
use super::used::Used;
use super::words::{Rulings, Words};
use super::{Floor, Packer, Totals, Uncovered};
use crate::path::RelPath;
use crate::policy::Within;

/// What became of the files that are decided on already, as far as the plan and decisions
/// about others ask for it.
#[derive(Clone, Debug, Default)]
pub struct Passed {
    /// Names of any kind.
    pub names: u64,
    /// What they add to the plan's totals.
    pub(super) totals: Totals,
    /// What they add to what the breaker counts.
    pub(super) counted: Counted,
    /// What those give back that go.
    pub(super) freed: u64,
    /// Those that go.
    pub(super) steps: Packer,
    /// Directories such names lie in, some more than once; filled in only for a policy
    /// that removes empty ones.
    pub(super) occupied: Vec<RelPath>,
    /// Directories in which nothing is to go, for the next run.
    pub(super) known: Learned,
    /// Files that only budgets and floors ask for, until it is known which of them go.
    pub(super) aside: Aside,
    /// What those use of budgets that are remembered for other decisions, at most.
    pub(super) remembered: Used,
    /// Whether floors may count some that are remembered.
    pub(super) floors_remembered: bool,
    /// What those use that were laid aside and stay.
    pub(super) rest: Used,
    /// The floors that steps rely on.
    pub(super) floors: Vec<Floor>,
    /// All files, remembered or not, where that was asked for.
    pub(super) census: Census,
    pub(super) scratch: Scratch,
}

/// What a thread needs from one file to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub(super) words: Option<Words>,
    pub(super) rulings: Rulings,
    /// Where reasons are put together.
    pub(super) reason: String,
    pub(super) here: Here,
}

/// The directory that is being looked at.
#[derive(Clone, Debug)]
pub(super) struct Here {
    /// What of it stays.
    pub(super) sums: Sums,
    /// The last second at which that stays; nothing where some of it goes or is remembered.
    pub(super) until: Option<i64>,
    /// The collections its names may lie in.
    pub(super) within: Within,
}

impl Default for Here {
    /// One in which nothing was seen yet.
    fn default() -> Here {
        Here {
            sums: Sums::default(),
            until: Some(i64::MAX),
            within: Within::default(),
        }
    }
}

impl Passed {
    /// What all threads let pass.
    pub fn all(parts: impl IntoIterator<Item = Passed>) -> Passed {
        let all = parts.into_iter().reduce(|mut all, part| {
            all.add_all(part);
            all
        });
        all.unwrap_or_default()
    }

    /// Adds what else was let pass.
    pub(super) fn add_all(&mut self, mut more: Passed) {
        self.names += more.names;
        self.totals.covered.add_all(more.totals.covered);
        self.totals.uncovered.add_all(more.totals.uncovered);
        self.totals.protected.add_all(more.totals.protected);
        self.counted.add_all(&more.counted);
        self.freed = self.freed.saturating_add(more.freed);
        self.steps.absorb(std::mem::take(&mut more.steps));
        self.occupied.append(&mut more.occupied);
        self.known.append(&mut more.known);
        self.aside.add_all(more.aside);
        self.remembered.add_all(more.remembered);
        self.floors_remembered |= more.floors_remembered;
        self.census.add_all(more.census);
    }

    /// Directories in which nothing is to go, for the next run.
    pub fn take_learned(&mut self) -> Learned {
        std::mem::take(&mut self.known)
    }

    /// What all files together are, of a sieve that counts them.
    pub fn take_census(&mut self) -> Census {
        std::mem::take(&mut self.census)
    }

    pub(super) fn add(&mut self, sums: &Sums) {
        self.names += sums.names;
        self.totals.covered.add_all(sums.covered);
        self.totals.protected.add_all(sums.protected);
        if sums.uncovered > 0 {
            self.totals.uncovered.add_all(Uncovered {
                files: sums.uncovered,
                bytes: None,
            });
        }
        self.counted.add_staying(sums);
    }
}
