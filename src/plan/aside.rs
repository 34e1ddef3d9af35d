//! Files that only budgets and floors ask for, laid aside until it is known what those make
//! of them.
//!
//! A budget has nothing to decide where its group uses no more than it may, and where it
//! uses more, only the files that come first in its order can go. A floor holds the newest
//! of each group. So such a file is packed away with some sixty bytes while the store is
//! walked, and its group's use is summed up. Of the files of the others it is mostly known
//! then which go, see [`floored`](super::floored) and [`evict`](super::evict), and for the
//! rest the sums are enough.
//!
//! Where that is not known, those come back that some budget may take or some floor may
//! count, and are decided on as if nothing had been laid aside. So there may be too many of
//! them and never too few: each budget chooses as if no other one took anything, which
//! leaves it more to take, and of files that are alike in its order all come back.

use std::ops::Range;
use std::sync::Arc;

use super::known::Sums;
use super::parts::in_parts;
use super::settle::Decided;
use super::sieve::Sieve;
use super::steps::{Packer, Steps, Unreadable};
use super::used::{Limits, Used};
use super::{Action, Passed, Ruling, Spool, Step};
use crate::entry::{Entry, Facts};

/// What was laid aside.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside {
    packed: Packer,
    /// Whether floors may count some of them.
    is_floored: bool,
    /// What those in no collection with floors are counted as if all of them stay.
    pub(super) sums: Sums,
    /// What they use of budgets.
    pub(super) used: Used,
    /// What every one is packed with.
    plain: (Arc<Ruling>, Arc<str>),
}

/// What statements that look at one file alone make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lot {
    /// It stays.
    Kept,
    /// It stays, unless a budget takes it.
    Open,
    /// It goes, unless a floor holds it.
    Doomed,
}

/// A file that was laid aside.
pub(super) struct Laid {
    pub(super) entry: Entry,
    pub(super) lot: Lot,
    /// Whether one of its collections has floors. Only then it may be doomed.
    pub(super) is_floored: bool,
}

/// Files that floors may count are packed as if these hooks replaced them.
const LOTS: [Lot; 3] = [Lot::Kept, Lot::Open, Lot::Doomed];

impl Aside {
    pub(super) fn pack(
        &mut self,
        (entry, facts): (&Entry, &Facts),
        lot: Lot,
        is_floored: bool,
        spool: Option<&Arc<Spool>>,
    ) {
        self.is_floored |= is_floored;
        self.packed.spool_in(spool);
        // No step of any plan; its action says just what there is to know.
        let action = match (is_floored, lot) {
            (true, _) => Action::Replace { hook: lot as usize },
            (false, Lot::Open) => Action::Remove,
            (false, Lot::Kept | Lot::Doomed) => Action::BackUp,
        };
        self.packed.push(&Step {
            path: entry.path.clone(),
            stands_for: None,
            facts: *facts,
            action,
            ruling: Arc::clone(&self.plain.0),
            reason: Arc::clone(&self.plain.1),
        });
    }

    pub(super) fn add_all(&mut self, more: Aside) {
        self.packed.absorb(more.packed);
        self.is_floored |= more.is_floored;
        self.sums.add_all(&more.sums);
        self.used.add_all(more.used);
    }
}

/// A file that was packed.
pub(super) fn laid(file: Step) -> Laid {
    let (lot, is_floored) = match file.action {
        Action::Remove => (Lot::Open, false),
        Action::BackUp => (Lot::Kept, false),
        Action::Replace { hook } => (LOTS.get(hook).copied().unwrap_or(Lot::Kept), true),
    };
    Laid {
        entry: Entry {
            path: file.path,
            facts: Ok(file.facts),
        },
        lot,
        is_floored,
    }
}

/// What comes back of a part.
#[derive(Default)]
struct Back {
    entries: Vec<Entry>,
    /// What it uses of budgets.
    used: Used,
    /// What it was counted as.
    sums: Sums,
}

impl Sieve<'_> {
    /// Brings back what cannot be decided on without others, in path order; of the rest what
    /// goes becomes steps, and what stays is counted. Where something cannot be read back
    /// there is no plan: budgets and floors would choose other files in its stead.
    pub fn bring_back(&self, passed: &mut Passed) -> Result<Vec<Entry>, Unreadable> {
        let Aside {
            packed,
            is_floored,
            mut sums,
            used,
            ..
        } = std::mem::take(&mut passed.aside);
        let Some(limits) = self.limits() else {
            return Ok(Vec::new());
        };
        passed.rest = used;
        let is_settled = !is_floored && self.exceeded(&passed.rest, &passed.remembered).is_empty();
        let back = match is_settled {
            true => Ok(Vec::new()),
            false => {
                let files = packed.in_path_order(Packer::default());
                self.decide_aside(&files, is_floored, limits, &mut sums, passed)
            }
        };
        passed.add(&sums);
        back
    }

    /// Decides what comes back and what goes; both is no part of the sums any more.
    fn decide_aside(
        &self,
        files: &Steps,
        is_floored: bool,
        limits: &Limits,
        sums: &mut Sums,
        passed: &mut Passed,
    ) -> Result<Vec<Entry>, Unreadable> {
        // What is remembered may push others out of a floor.
        let floored = match is_floored && !passed.floors_remembered {
            true => self.floored(files),
            false => None,
        };
        // A page that is missing makes every file behind it another one.
        files.check()?;
        let is_known = !is_floored || floored.is_some();
        let mut by_floored = Used::default();
        if is_floored && !limits.is_empty() {
            by_floored = self.used_by_floored(files, limits, floored.as_ref());
            let of = match is_known {
                true => &mut passed.rest,
                false => &mut passed.remembered,
            };
            of.add_all(by_floored.clone());
        }
        let exceeded = self.exceeded(&passed.rest, &passed.remembered);
        let turns = self.turns_of_all(files, limits, &exceeded, floored.as_ref());
        files.check()?;
        let evicted = match is_known {
            true => self.evicted(&turns, &exceeded, files.len()),
            false => None,
        };
        if let Some(evicted) = evicted {
            drop(turns);
            let decided = Decided::new(evicted, floored);
            let parts = in_pages(files, |pages| self.settle(files, pages, &decided));
            files.check()?;
            let mut held = Vec::new();
            for part in parts {
                sums.subtract(&part.gone);
                passed.add(&part.staying);
                passed.add_all(part.passed);
                held.push(part.held);
            }
            passed.floors = decided.floors(&held);
            return Ok(Vec::new());
        }
        // With all files that floors may count.
        if floored.is_some() {
            passed.rest.subtract(&by_floored);
        }
        let chosen = self.chosen(&turns, &exceeded, files.len());
        drop(turns);
        let parts = in_pages(files, |pages| {
            self.back(files, pages, (&chosen, is_floored), limits)
        });
        files.check()?;
        let mut entries = Vec::new();
        for mut part in parts {
            passed.rest.subtract(&part.used);
            sums.subtract(&part.sums);
            entries.append(&mut part.entries);
        }
        Ok(entries)
    }

    /// What comes back of some pages.
    fn back(
        &self,
        files: &Steps,
        pages: &[Range<usize>],
        (chosen, is_floored): (&[bool], bool),
        limits: &Limits,
    ) -> Back {
        let mut back = Back::default();
        for page in pages {
            let chosen = chosen.get(page.clone()).unwrap_or_default();
            if !is_floored && !chosen.contains(&true) {
                continue;
            }
            for (file, chosen) in files.iter_from(page.start).zip(chosen) {
                let laid = laid(file);
                if laid.is_floored {
                    // It was neither counted nor summed up.
                    back.entries.push(laid.entry);
                } else if *chosen {
                    let Laid { entry, lot, .. } = laid;
                    let memberships = self.matcher().memberships(&entry.path);
                    back.used
                        .count(limits, self.matcher(), &entry, &memberships);
                    let is_open = lot == Lot::Open;
                    self.stays_aside(&entry, &memberships, is_open, &mut back.sums);
                    back.entries.push(entry);
                }
            }
        }
        back
    }
}

/// Works on pages of files that were laid aside, by all cores.
fn in_pages<R: Send>(files: &Steps, work: impl Fn(&[Range<usize>]) -> R + Sync) -> Vec<R> {
    let pages = files.pages();
    in_parts(files.len(), |range| {
        let begins = |at: usize| pages.partition_point(|page| page.start < at);
        let pages = pages.get(begins(range.start)..begins(range.end));
        work(pages.unwrap_or_default())
    })
}
