//! Batches that go while the journal is busy with their neighbours.
//!
//! A batch's intents are durable before its first file goes, and its outcomes are recorded
//! when all of it is on the disk. Nothing says that files have to wait for the journal
//! besides: while those of one batch go, the outcomes of the one before it are recorded and
//! then the intents of the one behind it. So a crash leaves two batches open instead of one,
//! and both are settled by looking.
//!
//! Only batches of single files go so that nobody is asked about and nothing is measured
//! for in between.

use std::panic::resume_unwind;
use std::thread;

use super::remover::{Ending, Remover};
use super::{Hand, Way, floors, gently, intent, outcome, sync_trash};
use crate::config::Io;
use crate::journal::{BatchId, Intent, Journal, JournalError, Outcome};
use crate::plan::{Action, Batch, Plan, Step};

/// A batch that is recorded as about to go.
#[derive(Debug)]
pub struct Intended {
    batch: Batch,
    id: BatchId,
}

/// What files of such a batch go by; threads may share it.
#[derive(Clone, Copy, Debug)]
struct Carrier<'a> {
    plan: &'a Plan,
    remover: Remover<'a>,
    io: Io,
    hands: Option<usize>,
}

impl Hand<'_> {
    /// Whether files go so that their batches may overlap.
    pub fn goes_ahead(&self) -> bool {
        matches!(self.way, Way::Verified | Way::Direct) && !self.gait.is_paced()
    }

    /// Whether a batch may overlap with its neighbours.
    pub fn may_go_ahead(&self, batch: &Batch) -> bool {
        let is_plain = |step: &Step| {
            let ruling = &step.ruling;
            step.action == Action::Remove
                && step.stands_for.is_none()
                && ruling.hooks.is_empty()
                && ruling.unit.is_none()
                && ruling.pressure.is_none()
        };
        let holds = self.held.asked();
        let is_free = |step: &Step| holds.are_none() || holds.keeps_step(step).is_none();
        let mut steps = batch.range().filter_map(|step| batch.get(step));
        self.goes_ahead() && steps.all(|step| is_plain(step) && is_free(step))
    }

    /// Records that a batch is about to go.
    pub fn intend(&self, journal: &mut Journal, batch: Batch) -> Result<Intended, JournalError> {
        let steps = batch.range().filter_map(|step| batch.get(step));
        let intents: Vec<Intent> = steps.map(intent).collect();
        let id = journal.intend(self.run, &intents)?;
        Ok(Intended { batch, id })
    }

    /// Has a batch go, while something else is done; what becomes of each of its steps, in
    /// their order, and the answer of the other.
    pub fn carry<T>(
        &self,
        intended: &Intended,
        meanwhile: impl FnOnce() -> T,
    ) -> (Vec<Outcome>, T) {
        let carrier = Carrier {
            plan: self.plan,
            remover: self.remover(),
            io: self.gait.io(),
            hands: (!self.gait.is_free()).then_some(1),
        };
        let span = tracing::Span::current();
        let carry = || span.in_scope(|| carrier.carry(intended));
        thread::scope(|scope| {
            let name = thread::Builder::new().name("remove".to_owned());
            match name.spawn_scoped(scope, carry) {
                Ok(thread) => {
                    let answer = meanwhile();
                    let outcomes = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
                    (outcomes, answer)
                }
                // One after the other is slower, and nothing else.
                Err(_) => (carry(), meanwhile()),
            }
        })
    }
}

impl Intended {
    /// Its steps.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Records what became of each of them, in their order.
    pub fn settle(&self, journal: &mut Journal, outcomes: &[Outcome]) -> Result<(), JournalError> {
        journal.settle(self.id, outcomes)
    }
}

impl Carrier<'_> {
    /// Removes what is there as it was planned; an outcome for each of the steps.
    fn carry(self, intended: &Intended) -> Vec<Outcome> {
        let batch = &intended.batch;
        let steps: Vec<usize> = batch.range().collect();
        let Remover { root, trash, .. } = self.remover;
        let (going, floorless) = floors::split(self.plan, root, batch, &steps);
        let files: Vec<&Step> = going.iter().filter_map(|&step| batch.get(step)).collect();
        let hands = self
            .hands
            .unwrap_or_else(|| self.remover.hands(files.len()));
        let removals = gently(self.io, || self.remover.remove_together(&files, hands));
        let removed = removals.into_iter().map(|removal| outcome(trash, removal));
        let mut outcomes: Vec<(usize, Outcome)> = going.into_iter().zip(removed).collect();
        outcomes.extend(floorless.into_iter().map(|step| (step, Outcome::FloorGone)));
        // The journal has them in the order of the intents.
        outcomes.sort_by_key(|(step, _)| *step);
        if self.remover.end != Ending::UnlinkedInPlace {
            sync_trash(trash);
        }
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }
}
