//! Files that only budgets ask for, laid aside until it is known what those use.
//!
//! A budget has nothing to decide where its group uses no more than it may, and where it
//! uses more, only the files that come first in its order can go. So such a file is packed
//! away with some sixty bytes while the store is walked, and its group's use is summed up.
//! Of the files of the others it is mostly known then which go, see
//! [`evict`](super::evict), and for the rest the sums are enough.
//!
//! Where that is not known, those come back that some budget may take, and are decided on as
//! if nothing had been laid aside. So there may be too many of them and never too few: each
//! budget chooses as if no other one took anything, which leaves it more to take, and of
//! files that are alike in its order all come back.

use std::ops::Range;
use std::sync::Arc;

use super::known::Sums;
use super::parts::in_parts;
use super::sieve::Sieve;
use super::steps::{Packer, Steps, Unreadable};
use super::turns::Exceeded;
use super::used::{Limits, Used};
use super::{Action, Passed, Ruling, Spool, Step};
use crate::entry::{Entry, Facts};

/// What was laid aside.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside {
    packed: Packer,
    /// What they are counted as if all of them stay.
    pub(super) sums: Sums,
    /// What they use of budgets.
    pub(super) used: Used,
    /// What every one is packed with.
    plain: (Arc<Ruling>, Arc<str>),
}

impl Aside {
    /// Packs a file; where nothing keeps it, a budget may take it.
    pub(super) fn pack(
        &mut self,
        entry: &Entry,
        facts: &Facts,
        is_open: bool,
        spool: Option<&Arc<Spool>>,
    ) {
        self.packed.spool_in(spool);
        self.packed.push(&Step {
            path: entry.path.clone(),
            stands_for: None,
            facts: *facts,
            // No step of any plan; these two words say just what there is to know.
            action: match is_open {
                true => Action::Remove,
                false => Action::BackUp,
            },
            ruling: Arc::clone(&self.plain.0),
            reason: Arc::clone(&self.plain.1),
        });
    }

    pub(super) fn add_all(&mut self, more: Aside) {
        self.packed.absorb(more.packed);
        self.sums.add_all(&more.sums);
        self.used.add_all(more.used);
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
    /// Brings back what budgets may take, in path order; what they take for certain becomes
    /// steps, and what the rest uses is kept. Where something cannot be read back there is no
    /// plan: a budget would take other files in their stead.
    pub fn bring_back(&self, passed: &mut Passed) -> Result<Vec<Entry>, Unreadable> {
        let Aside {
            packed,
            mut sums,
            used,
            ..
        } = std::mem::take(&mut passed.aside);
        let Some(limits) = self.budgets() else {
            return Ok(Vec::new());
        };
        let exceeded = self.exceeded(&used, &passed.remembered);
        passed.rest = used;
        let back = match exceeded.is_empty() {
            true => Ok(Vec::new()),
            false => self.decide_aside(packed, limits, &exceeded, &mut sums, passed),
        };
        passed.add(&sums);
        back
    }

    /// Decides what comes back and what goes; both is no part of the sums any more.
    fn decide_aside(
        &self,
        packed: Packer,
        limits: &Limits,
        exceeded: &[Exceeded],
        sums: &mut Sums,
        passed: &mut Passed,
    ) -> Result<Vec<Entry>, Unreadable> {
        let files = packed.in_path_order(Packer::default());
        let turns = self.turns_of_all(&files, limits, exceeded);
        let evicted = self.evicted(&turns, exceeded, files.len());
        let Some(evicted) = evicted else {
            let chosen = self.chosen(&turns, exceeded, files.len());
            drop(turns);
            let parts = in_pages(&files, |pages| self.back(&files, pages, &chosen, limits));
            files.check()?;
            let mut entries = Vec::new();
            for mut part in parts {
                passed.rest.subtract(&part.used);
                sums.subtract(&part.sums);
                entries.append(&mut part.entries);
            }
            return Ok(entries);
        };
        drop(turns);
        let parts = in_pages(&files, |pages| self.let_go(&files, pages, &evicted));
        // A page that is missing makes every file behind it another one.
        files.check()?;
        for (part, staying) in parts {
            sums.subtract(&staying);
            passed.add_all(part);
        }
        Ok(Vec::new())
    }

    /// What comes back of some pages.
    fn back(
        &self,
        files: &Steps,
        pages: &[Range<usize>],
        chosen: &[bool],
        limits: &Limits,
    ) -> Back {
        let mut back = Back::default();
        for page in pages {
            let chosen = chosen.get(page.clone()).unwrap_or_default();
            if !chosen.contains(&true) {
                continue;
            }
            for (file, _) in files
                .iter_from(page.start)
                .zip(chosen)
                .filter(|(_, chosen)| **chosen)
            {
                let (entry, is_open) = unpacked(file);
                let memberships = self.matcher().memberships(&entry.path);
                back.used
                    .count(limits, self.matcher(), &entry, &memberships);
                self.stays_aside(&entry, &memberships, is_open, &mut back.sums);
                back.entries.push(entry);
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

/// A file that was packed, and whether nothing keeps it.
pub(super) fn unpacked(file: Step) -> (Entry, bool) {
    let is_open = file.action == Action::Remove;
    let entry = Entry {
        path: file.path,
        facts: Ok(file.facts),
    };
    (entry, is_open)
}
