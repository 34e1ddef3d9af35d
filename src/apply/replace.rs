//! Files whose archives take their places: the archive first, its receipt, then the
//! removal of the file.

use std::collections::BTreeMap;

use super::{Hand, Parents};
use crate::journal::{Journal, JournalError, Outcome};
use crate::path::RelPath;
use crate::plan::{Action, Batch, Step};
use crate::plugin::{Placed, Replacement, forget_in_place};
use crate::receipt::Receipt;

/// What came of putting archives beside their files, by step.
pub(super) type Beside = BTreeMap<usize, Result<Placed, Outcome>>;

impl Hand<'_> {
    /// Puts the archives of a batch beside their files and records their receipts. The
    /// intents are on disk.
    pub(super) fn put_beside(
        &self,
        journal: &mut Journal,
        replacements: Vec<Replacement>,
        planned: &[(usize, &Step)],
    ) -> Result<Beside, JournalError> {
        let mut beside = Beside::new();
        for replacement in replacements {
            let index = replacement.step();
            let place = planned.binary_search_by_key(&index, |(i, _)| *i);
            let step = place.ok().and_then(|at| planned.get(at));
            let Some(plugin) = step.and_then(|(_, step)| self.replacing(step)) else {
                continue;
            };
            let put = replacement.put(self.root);
            let put = put.map_err(|reason| Outcome::Kept { plugin, reason });
            beside.insert(index, put);
        }
        let placed = beside.values().flatten();
        let receipts: Vec<Receipt> = placed.map(|placed| placed.receipt.clone()).collect();
        journal.record(self.run, &receipts)?;
        Ok(beside)
    }

    /// The plugin that makes a step's archive.
    fn replacing(&self, step: &Step) -> Option<String> {
        match step.action {
            Action::Remove | Action::BackUp => None,
            Action::Replace { hook } => Some(self.plan.hooks.get(hook)?.plugin.clone()),
        }
    }

    /// Removes a file whose archive lies beside it. One that cannot go loses the
    /// archive again: two of a file would be one too many.
    pub(super) fn replace(
        &self,
        parents: &mut Parents,
        step: &Step,
        beside: Option<Result<Placed, Outcome>>,
    ) -> Outcome {
        let placed = match beside {
            Some(Ok(placed)) => placed,
            Some(Err(outcome)) => return outcome,
            None => return Outcome::Changed,
        };
        match self.remove(parents, &step.path, &step.facts) {
            Outcome::Removed { freed } => Outcome::Replaced {
                freed: freed.saturating_sub(placed.facts.allocated),
            },
            Outcome::Trashed => Outcome::Trashed,
            kept => {
                if let Ok(parent) = parents.of(self.root, &placed.path) {
                    // What stays is a good archive beside a file that is still there.
                    let _ = self.trash.remove(parent, &placed.path, &placed.facts);
                    forget_in_place(self.root, &step.path);
                }
                kept
            }
        }
    }

    /// Forgets what archives that are gone now were of.
    pub(super) fn forget_archives(&self, batch: &Batch, done: &[(usize, Outcome)]) {
        let gone = done.iter().filter_map(|(index, outcome)| match outcome {
            Outcome::Removed { .. } => batch.get(*index)?.stands_for.as_deref(),
            _ => None,
        });
        let gone: Vec<&RelPath> = gone.collect();
        for original in gone {
            forget_in_place(self.root, original);
        }
    }
}
