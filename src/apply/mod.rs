//! An approved part of a plan, carried out: intents, removals, outcomes.
//!
//! No choice is made here. Each step goes as planned or not at all; what was decided
//! on a file that is no longer there, or on a newer one that has gone since, is not
//! decided again but dropped.

mod ahead;
mod directories;
mod expire;
mod floors;
mod gait;
mod hands;
mod held;
mod recover;
mod relief;
mod remover;
mod replace;
mod undo;

use crate::entry::Facts;
use crate::journal::{Intent, Journal, JournalError, Outcome, RunId};
use crate::path::RelPath;
use crate::plan::{Action, Batch, Plan, Step};
use crate::plugin::{Approved, Blocked, Verdict};
use crate::store::{Index, Removal, Root, Trash, Trashed, in_words};

use directories::split_by_units;
use remover::{Ending, Parents, Remover};

pub use ahead::Intended;
pub use expire::{Expiry, expire};
pub use floors::stands;
pub use gait::{Gait, gently};
pub use held::{Asked, HELD_AGAIN, Held, MirrorError, Mirrored, mirror_holds};
pub use recover::{Recovered, recover};
pub use relief::{Need, Relief};
pub use undo::{
    Kept, Purged, UndoError, Undone, purge, purge_for_room, trash_list, trash_runs, undo,
};

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
    /// How files go.
    pub way: Way,
    /// The holds of the ledger, read when the run began.
    pub held: &'a Held,
    /// How fast they go, and how much of the disk it may take.
    pub gait: &'a Gait,
}

/// How files go.
#[derive(Debug)]
pub enum Way {
    /// Moved, compared, unlinked.
    Verified,
    /// Compared and unlinked in their place: nobody else writes in the store.
    Direct,
    /// Moved, compared, and kept in the trash, which lists them here.
    Kept(Index),
    /// They were to be kept in the trash, and it can have no list: none goes.
    Unlisted(std::io::Error),
}

impl Hand<'_> {
    /// Carries out what was approved: receipts first, then intents, then removals,
    /// then their outcomes. Returns every step's outcome, by index into the plan.
    pub fn apply(
        &mut self,
        journal: &mut Journal,
        batch: &Batch,
        approved: &mut Approved,
    ) -> Result<Vec<(usize, Outcome)>, JournalError> {
        journal.record(self.run, approved.receipts())?;
        let (steps, backed_up) = split_by_action(batch, approved.steps());
        let (steps, held) = self.split_by_holds(batch, &steps);
        let (steps, floorless) = floors::split(self.plan, self.root, batch, &steps);
        let mut done: Vec<(usize, Outcome)> = approved
            .blocked()
            .iter()
            .map(|b| (b.step, blocked(b)))
            .collect();
        done.extend(floorless.into_iter().map(|step| (step, Outcome::FloorGone)));
        done.extend(held);
        done.extend(backed_up);
        let (steps, units, whole) = split_by_units(batch, &steps, &done);
        done.extend(whole);
        self.note_kept(journal, batch, &done)?;

        let planned: Vec<(usize, &Step)> = steps
            .iter()
            .filter_map(|&i| Some((i, batch.get(i)?)))
            .collect();
        let mut intents: Vec<Intent> = planned.iter().map(|(_, step)| intent(step)).collect();
        intents.extend(units.iter().flat_map(|unit| self.unit_intents(unit)));
        if intents.is_empty() {
            return Ok(done);
        }
        let intended = journal.intend(self.run, &intents)?;
        if let Err(error) = self.list_in_trash(&planned, &units) {
            // What is not on the list could not be had back by its name.
            let reason = format!("the trash cannot list it: {}", in_words(&error));
            let outcomes = vec![Outcome::Failed { reason }; intents.len()];
            journal.settle(intended, &outcomes)?;
            let all = planned
                .iter()
                .chain(units.iter().flat_map(|unit| &unit.steps));
            done.extend(all.map(|&(i, _)| i).zip(outcomes));
            return Ok(done);
        }
        let mut parents = Parents::default();
        let replacements = approved.take_replacements();
        let mut beside = self.put_beside(journal, replacements, &planned)?;
        let mut outcomes: Vec<Outcome> = self.gait.gently(|| match self.goes_together(&planned) {
            true => self.remove_together(&planned),
            false => {
                let remove = |(index, step): &(usize, &Step)| {
                    self.gait.wait(1);
                    match step.action {
                        Action::Remove => self.remove(&mut parents, &step.path, &step.facts),
                        Action::Replace { .. } => {
                            self.replace(&mut parents, step, beside.remove(index))
                        }
                        // Settled above; nothing is done to a file that stays.
                        Action::BackUp => Outcome::BackedUp,
                    }
                };
                planned.iter().map(remove).collect()
            }
        });
        done.extend(
            planned
                .iter()
                .map(|&(i, _)| i)
                .zip(outcomes.iter().cloned()),
        );
        for unit in &units {
            self.gait.wait(unit.steps.len());
            let of_unit = self.gait.gently(|| self.remove_unit(&mut parents, unit));
            let of_files = of_unit.iter().skip(1).cloned();
            done.extend(unit.steps.iter().map(|&(i, _)| i).zip(of_files));
            outcomes.extend(of_unit);
        }
        match self.way {
            Way::Verified | Way::Kept(_) => sync_trash(self.trash),
            Way::Direct | Way::Unlisted(_) => {}
        }
        journal.settle(intended, &outcomes)?;
        self.forget_archives(batch, &done);
        Ok(done)
    }

    /// Records steps that pressure would have taken and that are not needed any more.
    pub fn spare(
        &self,
        journal: &mut Journal,
        batch: &Batch,
        outcome: &Outcome,
    ) -> Result<Vec<(usize, Outcome)>, JournalError> {
        let steps = batch.range();
        let spared: Vec<(usize, Outcome)> = steps.map(|step| (step, outcome.clone())).collect();
        self.note_kept(journal, batch, &spared)?;
        Ok(spared)
    }

    /// Steps no hold of the ledger keeps, and those one does. The plan knew the holds
    /// of its moment; one that was added since counts as well.
    fn split_by_holds(
        &self,
        batch: &Batch,
        steps: &[usize],
    ) -> (Vec<usize>, Vec<(usize, Outcome)>) {
        let holds = self.held.asked();
        let mut held = Vec::new();
        let free = steps.iter().copied().filter(|&index| {
            let step = batch.get(index);
            let hold = step.and_then(|step| holds.keeps_step(step));
            let hold = hold.map(str::to_owned);
            held.extend(hold.iter().map(|hold| {
                let hold = hold.clone();
                (index, Outcome::Held { hold })
            }));
            hold.is_none()
        });
        (free.collect(), held)
    }

    /// Notes what is about to be moved in the trash's own list.
    fn list_in_trash(
        &mut self,
        planned: &[(usize, &Step)],
        units: &[directories::Unit<'_>],
    ) -> std::io::Result<()> {
        let whole: Vec<Trashed> = units
            .iter()
            .filter_map(|unit| self.unit_in_trash(unit))
            .collect();
        let index = match &mut self.way {
            Way::Kept(index) => index,
            Way::Unlisted(error) => return Err(std::io::Error::new(error.kind(), in_words(error))),
            Way::Verified | Way::Direct => return Ok(()),
        };
        let trashed: Vec<Trashed> = planned
            .iter()
            .map(|(_, step)| Trashed {
                path: step.path.clone(),
                facts: step.facts,
                members: Vec::new(),
            })
            .chain(whole)
            .collect();
        index.note(self.root, &trashed)
    }

    fn note_kept(
        &self,
        journal: &mut Journal,
        batch: &Batch,
        kept: &[(usize, Outcome)],
    ) -> Result<(), JournalError> {
        let kept: Vec<(Intent, Outcome)> = kept
            .iter()
            .filter_map(|(i, outcome)| Some((intent(batch.get(*i)?), outcome.clone())))
            .collect();
        journal.kept(self.run, &kept)
    }

    fn remove(&self, parents: &mut Parents, path: &RelPath, facts: &Facts) -> Outcome {
        outcome(self.trash, self.remover().remove(parents, path, facts))
    }

    fn remover(&self) -> Remover<'_> {
        Remover {
            root: self.root,
            trash: self.trash,
            end: match self.way {
                Way::Verified => Ending::Unlinked,
                Way::Direct => Ending::UnlinkedInPlace,
                Way::Kept(_) | Way::Unlisted(_) => Ending::Trashed,
            },
        }
    }

    /// Whether nothing has to be done for, or waited for, between one file and the next.
    fn goes_together(&self, planned: &[(usize, &Step)]) -> bool {
        let plain = |(_, step): &(usize, &Step)| step.action == Action::Remove;
        !self.gait.is_paced() && planned.iter().all(plain)
    }

    fn remove_together(&self, planned: &[(usize, &Step)]) -> Vec<Outcome> {
        let remover = self.remover();
        let hands = match self.gait.is_free() {
            true => remover.hands(planned.len()),
            false => 1,
        };
        let files: Vec<&Step> = planned.iter().map(|(_, step)| *step).collect();
        let removals = remover.remove_together(&files, hands);
        removals
            .into_iter()
            .map(|it| outcome(self.trash, it))
            .collect()
    }
}

/// What becomes of a file, as it is recorded.
fn outcome(trash: &Trash, removal: Removal) -> Outcome {
    let place = |slot| trash.place(&slot);
    match removal {
        Removal::Removed { freed } => Outcome::Removed { freed },
        Removal::Changed => Outcome::Changed,
        Removal::Vanished => Outcome::Vanished,
        Removal::Trashed => Outcome::Trashed,
        Removal::Busy(reason) => Outcome::Busy { reason },
        Removal::Remains { freed } => Outcome::Remains { freed },
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

/// An outcome is in the journal only when it is on the disk. What goes in its place
/// needs none of that: after a power cut it is there again, and the next run takes it.
fn sync_trash(trash: &Trash) {
    if let Err(error) = trash.sync() {
        tracing::warn!(%error, "the trash cannot be synced");
    }
}

/// Steps that do something to their files, and those that only archived them: a hold, a
/// floor or a directory has nothing to say about these.
fn split_by_action(batch: &Batch, steps: &[usize]) -> (Vec<usize>, Vec<(usize, Outcome)>) {
    let (only, rest): (Vec<usize>, Vec<usize>) = steps.iter().partition(|&&index| {
        let step = batch.get(index);
        step.is_some_and(|step| step.action == Action::BackUp)
    });
    let only = only.into_iter().map(|index| (index, Outcome::BackedUp));
    (rest, only.collect())
}

fn intent(step: &Step) -> Intent {
    Intent {
        path: step.path.clone(),
        facts: step.facts,
        rule: step.ruling.rule,
    }
}

fn blocked(blocked: &Blocked) -> Outcome {
    let (plugin, reason) = (blocked.plugin.clone(), blocked.reason.clone());
    match blocked.verdict {
        Verdict::Kept => Outcome::Kept { plugin, reason },
        Verdict::Failed => Outcome::Blocked { plugin, reason },
        Verdict::Changed => Outcome::Changed,
        Verdict::Cancelled => Outcome::Interrupted,
    }
}
