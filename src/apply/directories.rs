//! Directories: those that go with everything in them, and those that are empty.

use std::collections::BTreeMap;

use super::{Hand, Parents, Way, intent, outcome as outcome_of};
use crate::entry::Facts;
use crate::journal::{Intent, Journal, JournalError, Outcome};
use crate::path::RelPath;
use crate::plan::{Batch, Directory, Step};
use crate::store::{Members, Name, Removal, Trashed};

/// The steps of one directory that goes as a whole.
pub(super) struct Unit<'p> {
    /// Index into the plan's units.
    pub(super) number: usize,
    /// Its files, as indices into the plan's steps.
    pub(super) steps: Vec<(usize, &'p Step)>,
}

/// Parts a batch into single files and whole directories. A directory of which a file
/// stays, for whatever reason, stays with all of them.
pub(super) fn split_by_units<'b>(
    batch: &'b Batch,
    approved: &[usize],
    kept: &[(usize, Outcome)],
) -> (Vec<usize>, Vec<Unit<'b>>, Vec<(usize, Outcome)>) {
    let unit_of = |step: usize| batch.get(step).and_then(|step| step.ruling.unit);
    let mut because: BTreeMap<usize, &RelPath> = BTreeMap::new();
    for (index, _) in kept {
        if let (Some(unit), Some(step)) = (unit_of(*index), batch.get(*index)) {
            because.entry(unit).or_insert(&step.path);
        }
    }
    let (mut single, mut whole) = (Vec::new(), Vec::new());
    let mut units: BTreeMap<usize, Unit<'b>> = BTreeMap::new();
    for &index in approved {
        match (unit_of(index), batch.get(index)) {
            (None, _) => single.push(index),
            (Some(_), None) => {}
            (Some(number), Some(step)) => match because.get(&number) {
                Some(path) => {
                    let because = (*path).clone();
                    whole.push((index, Outcome::Whole { because }));
                }
                None => units
                    .entry(number)
                    .or_insert_with(|| Unit {
                        number,
                        steps: Vec::new(),
                    })
                    .steps
                    .push((index, step)),
            },
        }
    }
    (single, units.into_values().collect(), whole)
}

impl Hand<'_> {
    /// What is about to go: the directory first, so that after a crash it is put back
    /// before its files are looked for.
    pub(super) fn unit_intents(&self, unit: &Unit<'_>) -> Vec<Intent> {
        let rule = unit.steps.first().map_or(0, |(_, step)| step.ruling.rule);
        let directory = self.plan.units.get(unit.number);
        let own = directory.map(|directory| Intent {
            path: directory.path.clone(),
            facts: directory.facts,
            rule,
        });
        let files = unit.steps.iter().map(|(_, step)| intent(step));
        own.into_iter().chain(files).collect()
    }

    /// A directory as the trash's own list has it.
    pub(super) fn unit_in_trash(&self, unit: &Unit<'_>) -> Option<Trashed> {
        let directory = self.plan.units.get(unit.number)?;
        Some(Trashed {
            path: directory.path.clone(),
            facts: directory.facts,
            members: self.members(unit),
        })
    }

    fn members(&self, unit: &Unit<'_>) -> Vec<(RelPath, Facts)> {
        let directory = self.plan.units.get(unit.number);
        let below = directory.into_iter().flat_map(|d| d.below.iter().cloned());
        let files = unit
            .steps
            .iter()
            .map(|(_, step)| (step.path.clone(), step.facts));
        below.chain(files).collect()
    }

    /// Removes a whole directory. The outcomes are in the order of its intents: its
    /// own, then one for each file.
    pub(super) fn remove_unit(&self, parents: &mut Parents, unit: &Unit<'_>) -> Vec<Outcome> {
        let Some(directory) = self.plan.units.get(unit.number) else {
            return Vec::new();
        };
        let members = self.members(unit);
        let planned = Members {
            directory: &directory.facts,
            members: &members,
        };
        let path = &directory.path;
        let removal = match parents.of(self.root, path) {
            Ok(parent) => match &self.way {
                Way::Verified | Way::Direct => self.trash.remove_directory(parent, path, planned),
                Way::Kept(_) | Way::Unlisted(_) => self.trash.keep_directory(parent, path, planned),
            },
            Err(removal) => removal,
        };
        let gone = matches!(removal, Removal::Removed { .. } | Removal::Remains { .. });
        let freed = match &removal {
            Removal::Removed { freed } | Removal::Remains { freed } => *freed,
            _ => 0,
        };
        let outcome = outcome_of(self.trash, removal);
        let of_file = |step: &Step| match (&outcome, step.facts.links) {
            (_, 1) if gone => Outcome::Removed {
                freed: step.facts.allocated,
            },
            _ if gone => Outcome::Removed { freed: 0 },
            (outcome, _) => outcome.clone(),
        };
        let files: Vec<Outcome> = unit.steps.iter().map(|(_, step)| of_file(step)).collect();
        let of_files = files.iter().fold(0u64, |sum, outcome| match outcome {
            Outcome::Removed { freed } => sum.saturating_add(*freed),
            _ => sum,
        });
        let own = match &outcome {
            Outcome::Removed { .. } => Outcome::DirectoryRemoved {
                freed: freed.saturating_sub(of_files),
            },
            Outcome::Trashed => Outcome::Trashed,
            other => Outcome::DirectoryKept {
                reason: other.to_string(),
            },
        };
        std::iter::once(own).chain(files).collect()
    }

    /// Removes the plan's empty directories, deepest first; only what is still empty
    /// and unchanged goes.
    pub fn remove_empty(&mut self, journal: &mut Journal) -> Result<Vec<Outcome>, JournalError> {
        let directories = &self.plan.directories;
        if directories.is_empty() {
            return Ok(Vec::new());
        }
        let intents: Vec<Intent> = directories
            .iter()
            .map(|directory| Intent {
                path: directory.path.clone(),
                facts: directory.facts,
                rule: directory.rule,
            })
            .collect();
        let batch = journal.intend(self.run, &intents)?;
        let mut parents = Parents::default();
        let holds = self.held.asked();
        // What lies below goes first, which changes the times of what is above.
        let mut emptied = Vec::new();
        let outcomes: Vec<Outcome> = directories
            .iter()
            .map(|directory| {
                self.gait.wait(1);
                let hold = holds.keeps(&directory.path, &directory.facts);
                let outcome = match hold {
                    Some(hold) => Outcome::DirectoryKept {
                        reason: format!("the hold `{hold}` keeps it"),
                    },
                    None => self.remove_one_empty(&mut parents, directory, &emptied),
                };
                if matches!(outcome, Outcome::DirectoryRemoved { .. }) {
                    emptied.extend(directory.path.parent());
                }
                outcome
            })
            .collect();
        journal.settle(batch, &outcomes)?;
        Ok(outcomes)
    }

    fn remove_one_empty(
        &self,
        parents: &mut Parents,
        directory: &Directory,
        emptied: &[RelPath],
    ) -> Outcome {
        let kept = |reason: String| Outcome::DirectoryKept { reason };
        let (parent, name) = match (
            parents.of(self.root, &directory.path),
            Name::of(&directory.path),
        ) {
            (Ok(parent), Some(name)) => (parent, name),
            (Err(removal), _) => return kept(outcome_of(self.trash, removal).to_string()),
            (Ok(_), None) => return kept("it is the store's root".to_owned()),
        };
        let mut expected = directory.facts;
        if emptied.contains(&directory.path) {
            // We took the directories out of it ourselves; the rest must be as planned.
            match parent.stat(name) {
                Ok(found) if found.id == expected.id => {
                    (expected.modified, expected.changed) = (found.modified, found.changed);
                }
                Ok(_) | Err(_) => return kept("it changed after it was planned".to_owned()),
            }
        }
        match parent.remove_empty(name, &expected) {
            Removal::Removed { freed } => Outcome::DirectoryRemoved { freed },
            Removal::Changed => kept("it is not empty, or changed after it was planned".to_owned()),
            Removal::Vanished => kept("somebody else has removed it".to_owned()),
            other => kept(outcome_of(self.trash, other).to_string()),
        }
    }
}
