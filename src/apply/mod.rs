//! An approved part of a plan, carried out: intents, removals, outcomes.
//!
//! No choice is made here. Each step goes as planned or not at all; what was decided
//! on a file that is no longer there, or on a newer one that has gone since, is not
//! decided again but dropped.

mod floors;
mod recover;

use crate::entry::Facts;
use crate::journal::{Intent, Journal, JournalError, Outcome, RunId};
use crate::path::RelPath;
use crate::plan::{Plan, Step};
use crate::plugin::{Approved, Blocked, Verdict};
use crate::store::{Dir, Removal, Root, Trash};

pub use recover::{Recovered, recover};

/// What a run removes with.
#[derive(Debug)]
pub struct Hand<'a> {
    /// The plan its steps are of.
    pub plan: &'a Plan,
    /// The store.
    pub root: &'a Root,
    /// The run's trash.
    pub trash: &'a Trash,
    /// The run.
    pub run: &'a RunId,
}

impl Hand<'_> {
    /// Carries out what was approved: receipts first, then intents, then removals,
    /// then their outcomes. Returns every step's outcome, by index into the plan.
    pub fn apply(
        &self,
        journal: &mut Journal,
        approved: &Approved,
    ) -> Result<Vec<(usize, Outcome)>, JournalError> {
        journal.record(self.run, approved.receipts())?;
        let (steps, floorless) = self.split_by_floors(approved.steps());
        let mut done: Vec<(usize, Outcome)> = approved
            .blocked()
            .iter()
            .map(|b| (b.step, blocked(b)))
            .collect();
        done.extend(floorless.into_iter().map(|step| (step, Outcome::FloorGone)));
        self.note_kept(journal, &done)?;

        let planned: Vec<(usize, &Step)> = steps
            .iter()
            .filter_map(|&i| Some((i, self.plan.steps.get(i)?)))
            .collect();
        if planned.is_empty() {
            return Ok(done);
        }
        let intents: Vec<Intent> = planned.iter().map(|(_, step)| intent(step)).collect();
        let batch = journal.intend(self.run, &intents)?;
        let mut parents = Parents::default();
        let outcomes: Vec<Outcome> = planned
            .iter()
            .map(|(_, step)| self.remove(&mut parents, &step.path, &step.facts))
            .collect();
        journal.settle(batch, &outcomes)?;
        done.extend(planned.iter().map(|&(i, _)| i).zip(outcomes));
        Ok(done)
    }

    fn note_kept(
        &self,
        journal: &mut Journal,
        kept: &[(usize, Outcome)],
    ) -> Result<(), JournalError> {
        let kept: Vec<(Intent, Outcome)> = kept
            .iter()
            .filter_map(|(i, outcome)| Some((intent(self.plan.steps.get(*i)?), outcome.clone())))
            .collect();
        journal.kept(self.run, &kept)
    }

    fn remove(&self, parents: &mut Parents, path: &RelPath, facts: &Facts) -> Outcome {
        let removal = match parents.of(self.root, path) {
            Ok(parent) => self.trash.remove(parent, path, facts),
            Err(removal) => removal,
        };
        let place = |slot| self.trash.place(&slot);
        match removal {
            Removal::Removed { freed } => Outcome::Removed { freed },
            Removal::Changed => Outcome::Changed,
            Removal::Vanished => Outcome::Vanished,
            Removal::Unverifiable(reason) => Outcome::Unverifiable { reason },
            Removal::Failed(reason) => Outcome::Failed { reason },
            Removal::StrangerKept { slot, reason } => Outcome::InTrash {
                place: place(slot),
                reason: format!("another file had taken the planned one's name; {reason}"),
            },
            Removal::Stranded { slot, reason } => Outcome::InTrash {
                place: place(slot),
                reason,
            },
        }
    }
}

fn intent(step: &Step) -> Intent {
    Intent {
        path: step.path.clone(),
        facts: step.facts,
        rule: step.rule,
    }
}

fn blocked(blocked: &Blocked) -> Outcome {
    let (plugin, reason) = (blocked.plugin.clone(), blocked.reason.clone());
    match blocked.verdict {
        Verdict::Kept => Outcome::Kept { plugin, reason },
        Verdict::Failed => Outcome::Blocked { plugin, reason },
        Verdict::Changed => Outcome::Changed,
    }
}

/// The directory a file is just being removed from, opened anew from the root for each:
/// a handle that is kept stays on its directory even when that is moved out of the
/// store, and its files would go where no policy reaches.
#[derive(Default)]
struct Parents(Option<Dir>);

impl Parents {
    fn of(&mut self, root: &Root, path: &RelPath) -> Result<&Dir, Removal> {
        let parent = path
            .parent()
            .ok_or_else(|| Removal::Unverifiable("it is the store's root".to_owned()))?;
        let dir = root.open_dir(&parent);
        let dir = dir.map_err(|error| Removal::out_of_reach(&error))?;
        Ok(self.0.insert(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_moved_out_of_the_store_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let store = place.path().join("store");
        std::fs::create_dir_all(store.join("dir")).unwrap();
        for name in ["a", "b"] {
            std::fs::write(store.join("dir").join(name), name).unwrap();
        }
        let root = Root::open(&store).unwrap();
        let trash = root.establish_trash("run").unwrap();
        let [a, b] = ["dir/a", "dir/b"].map(|name| {
            let path = RelPath::parse(name).unwrap();
            let facts = root.stat(&path).unwrap();
            (path, facts)
        });
        let mut parents = Parents::default();
        let mut remove = |(path, facts): &(RelPath, Facts)| match parents.of(&root, path) {
            Ok(parent) => trash.remove(parent, path, facts),
            Err(removal) => removal,
        };
        assert!(matches!(remove(&a), Removal::Removed { .. }));
        std::fs::rename(store.join("dir"), place.path().join("outside")).unwrap();
        assert_eq!(remove(&b), Removal::Vanished);
        assert!(place.path().join("outside/b").exists());
    }
}
