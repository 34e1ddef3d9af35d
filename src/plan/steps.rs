//! The steps of a plan, packed: there may be millions.
//!
//! A step takes some sixty bytes in its page instead of three hundred, and the pages of a
//! large plan lie in a file. What reads steps has a page of them at a time.

mod arena;
mod facts;
mod packer;
mod page;
mod spool;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{Action, Step, Tally};
use arena::{Arena, Place};

pub(super) use facts::{Common, Own, form};

pub use packer::Packer;
pub use spool::Spool;

/// Steps that lie in a file, and that the file does not give back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not all of the plan can be read back from its file beside the journal: {0}")]
pub struct Unreadable(String);

/// The steps of a plan, in their order. A copy of them is the same ones.
#[derive(Clone, Default)]
pub struct Steps(Arc<Packed>);

#[derive(Default)]
struct Packed {
    arena: Arena,
    pages: Vec<Place>,
    /// How many steps there are up to the end of each page.
    ends: Vec<u64>,
    sums: Sums,
    statements: Statements,
}

/// A page in its order.
struct Page {
    place: Place,
    steps: u32,
}

/// What steps do, all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Files to remove.
    pub removed: Tally,
    /// Files to replace by their archives.
    pub replaced: Tally,
    /// Files to archive that stay.
    pub backed_up: Tally,
}

/// What the steps of one statement do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// Their files.
    pub files: Tally,
    /// The hooks that some of them wait for: indices into the plan's, ascending.
    pub hooks: BTreeSet<usize>,
}

/// The same by the statement: an index into the plan's rules.
pub type Statements = BTreeMap<usize, Statement>;

impl Statement {
    fn add(&mut self, step: &Step) {
        self.files.add(&step.facts);
        // They mostly have none, or those of the step before.
        for hook in &step.ruling.hooks {
            if !self.hooks.contains(hook) {
                self.hooks.insert(*hook);
            }
        }
    }

    /// Takes away a step of a file that another one is left of; whether it has any left.
    fn subtract(&mut self, step: &Step) -> bool {
        self.files.subtract(Tally::of(&step.facts));
        self.files.files > 0
    }

    fn add_all(&mut self, mut more: Statement) {
        self.files.add_all(more.files);
        self.hooks.append(&mut more.hooks);
    }
}

impl Sums {
    fn of(&mut self, action: Action) -> &mut Tally {
        match action {
            Action::Remove => &mut self.removed,
            Action::Replace { .. } => &mut self.replaced,
            Action::BackUp => &mut self.backed_up,
        }
    }

    fn add(&mut self, step: &Step) {
        self.of(step.action).add(&step.facts);
    }

    fn subtract(&mut self, step: &Step) {
        self.of(step.action).subtract(Tally::of(&step.facts));
    }

    fn add_all(&mut self, more: Sums) {
        self.removed.add_all(more.removed);
        self.replaced.add_all(more.replaced);
        self.backed_up.add_all(more.backed_up);
    }
}

impl Steps {
    fn bound(
        mut arena: Arena,
        pages: impl Iterator<Item = Page>,
        (sums, statements): (Sums, Statements),
    ) -> Steps {
        arena.shrink();
        let mut end = 0;
        let numbered = pages.map(|page| {
            end += u64::from(page.steps);
            (page.place, end)
        });
        let (pages, ends) = numbered.unzip();
        Steps(Arc::new(Packed {
            arena,
            pages,
            ends,
            sums,
            statements,
        }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.ends.last().copied().unwrap_or_default() as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they do, all together.
    pub fn sums(&self) -> Sums {
        self.0.sums
    }

    /// What they do, statement by statement.
    pub fn statements(&self) -> &Statements {
        &self.0.statements
    }

    /// One of them; its whole page is read for it.
    pub fn get(&self, index: usize) -> Option<Step> {
        self.iter_from(index).next()
    }

    /// All of them.
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// Those from an index on.
    pub fn iter_from(&self, index: usize) -> Iter<'_> {
        let page = self.0.ends.partition_point(|&end| end <= index as u64);
        let before = page.checked_sub(1).and_then(|page| self.0.ends.get(page));
        let mut iter = Iter {
            steps: &self.0,
            page,
            read: Vec::new().into_iter(),
            rest: self.len().saturating_sub(index),
        };
        let skipped = index.saturating_sub(before.copied().unwrap_or_default() as usize);
        if iter.rest > 0 && skipped > 0 {
            iter.turn();
            iter.read.by_ref().take(skipped).for_each(drop);
        }
        iter
    }

    /// Which of them lie in one page each, in order.
    pub(super) fn pages(&self) -> Vec<Range<usize>> {
        let begins = std::iter::once(&0).chain(&self.0.ends);
        let pages = begins.zip(&self.0.ends);
        pages
            .map(|(&begin, &end)| begin as usize..end as usize)
            .collect()
    }

    /// The same with some of them altered or left out.
    pub fn edited(&self, edit: impl FnMut(Step) -> Option<Step>) -> Steps {
        let mut edited = Packer::spooling(self.0.arena.spool());
        let steps = self.iter().filter_map(edit);
        steps.for_each(|step| edited.push(&step));
        // What could not be read is missing here as well, and somebody has to be told.
        edited.troubled_by(self.0.arena.trouble());
        edited.in_order()
    }

    /// Whether all that was read so far could be read: what could not is left out.
    pub fn check(&self) -> Result<(), Unreadable> {
        match self.0.arena.trouble() {
            None => Ok(()),
            Some(reason) => Err(Unreadable(reason.to_owned())),
        }
    }

    /// Shows their bytes, which are the same for the same steps.
    pub(super) fn feed(&self, mut see: impl FnMut(&[u8])) {
        for &page in &self.0.pages {
            self.0.arena.with_bytes(page, &mut see);
        }
    }
}

impl FromIterator<Step> for Steps {
    fn from_iter<I: IntoIterator<Item = Step>>(steps: I) -> Steps {
        let mut packer = Packer::default();
        steps.into_iter().for_each(|step| packer.push(&step));
        packer.in_order()
    }
}

impl<'s> IntoIterator for &'s Steps {
    type Item = Step;
    type IntoIter = Iter<'s>;

    fn into_iter(self) -> Iter<'s> {
        self.iter()
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Steps) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Steps, read page by page.
#[derive(Clone, Debug)]
pub struct Iter<'s> {
    steps: &'s Packed,
    /// The next one to be read.
    page: usize,
    read: std::vec::IntoIter<Step>,
    rest: usize,
}

impl Iter<'_> {
    fn turn(&mut self) -> bool {
        let Some(&place) = self.steps.pages.get(self.page) else {
            return false;
        };
        self.page += 1;
        self.read = self.steps.arena.read(place).into_iter();
        true
    }
}

impl Iterator for Iter<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.read.next() {
                self.rest = self.rest.saturating_sub(1);
                return Some(step);
            }
            if !self.turn() {
                return None;
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Some may be unreadable.
        (0, Some(self.rest))
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packed").finish_non_exhaustive()
    }
}

/// Steps that are carried out together, with their indices into the plan.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    first: usize,
    steps: Vec<Step>,
}

impl Batch {
    /// Steps of a plan from an index on.
    pub fn new(first: usize, steps: Vec<Step>) -> Batch {
        Batch { first, steps }
    }

    /// The indices of its steps.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.steps.len()
    }

    /// One of its steps by the index into the plan.
    pub fn get(&self, index: usize) -> Option<&Step> {
        self.steps.get(index.checked_sub(self.first)?)
    }
}
