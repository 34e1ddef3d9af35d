//! Reviewers: one verdict per file, asked for in batches.

use std::sync::Arc;

use super::contract::{GuestEntry, GuestVerdict, ReviewPluginPre};
use super::engine::Machine;
use super::guest::{Guest, RunFacts};
use super::load::Plugin;
use super::surroundings::{Around, Surroundings};
use super::trouble::{Trouble, TroubleKind};
use crate::path::RelPath;
use crate::time::Stamp;

/// Files in one call.
const BATCH: usize = 512;

/// Bytes of text in one call.
const BATCH_BYTES: usize = 1 << 20;

/// Files of one call that may trap before the rest is given up: looking for each
/// costs instances, and whatever traps this often is broken.
const POISON: usize = 16;

/// What a reviewer made of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Review {
    Proceed,
    Keep(String),
}

/// One file it is asked about.
pub(super) struct Asked {
    pub(super) entry: GuestEntry,
    pub(super) path: RelPath,
}

pub(super) struct Reviewer<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plugin: &'a Plugin,
    pub(super) prepared: &'a ReviewPluginPre<Guest>,
    pub(super) settings: Arc<str>,
    pub(super) run: &'a RunFacts,
    pub(super) surroundings: &'a Arc<Surroundings>,
}

impl Reviewer<'_> {
    /// Reviews files in as many calls as they need.
    pub(super) fn review(&self, files: &[Asked]) -> Vec<Result<Review, Trouble>> {
        let mut answers = Vec::with_capacity(files.len());
        let mut rest = files;
        while !rest.is_empty() {
            let (batch, later) = rest.split_at(length(rest));
            let mut poison = 0;
            self.bisect(batch, &mut poison, &mut answers);
            rest = later;
        }
        answers
    }

    /// A trap says nothing about which file caused it: halves are asked again, in
    /// fresh instances, until it is found.
    fn bisect(
        &self,
        batch: &[Asked],
        poison: &mut usize,
        answers: &mut Vec<Result<Review, Trouble>>,
    ) {
        let trouble = match self.call(batch) {
            Ok(verdicts) => return answers.extend(verdicts),
            Err(trouble) => trouble,
        };
        let searched = trouble.kind == TroubleKind::Trapped && *poison < POISON;
        if searched && batch.len() > 1 {
            let (left, right) = batch.split_at(batch.len() / 2);
            self.bisect(left, poison, answers);
            return self.bisect(right, poison, answers);
        }
        *poison += 1;
        answers.extend(batch.iter().map(|_| Err(trouble.clone())));
    }

    fn call(&self, batch: &[Asked]) -> Result<Vec<Result<Review, Trouble>>, Trouble> {
        let terms = self.plugin.terms(Arc::clone(&self.settings), self.run, 0);
        let wall = terms.wall;
        let mut store = Guest::store(self.machine, terms);
        let paths = batch.iter().map(|file| file.path.clone()).collect();
        store.data_mut().around = Some(Around::files(self.surroundings, paths));
        let numbered: Vec<GuestEntry> = (0..)
            .zip(batch)
            .map(|(slot, file)| GuestEntry {
                slot,
                ..file.entry.clone()
            })
            .collect();
        let call = async {
            let instance = self.prepared.instantiate_async(&mut store).await?;
            let reviewer = instance.retain_plugin_reviewer();
            reviewer.call_review(&mut store, &numbered).await
        };
        let verdicts =
            match self
                .machine
                .wait(super::archive::in_time(wall, &self.run.cancel, call))
            {
                Ok(verdicts) => verdicts,
                Err(error) => return Err(Trouble::ended(&error, store.data())),
            };
        if verdicts.len() != batch.len() {
            let reason = format!(
                "it gave {} verdicts for {} files, so none of them can be told apart",
                verdicts.len(),
                batch.len()
            );
            return Err(Trouble::permanent(reason));
        }
        Ok(verdicts.into_iter().map(understood).collect())
    }
}

/// How many of these files fit into one call; at least one.
fn length(files: &[Asked]) -> usize {
    let mut bytes = 0;
    let fitting = files.iter().take(BATCH).take_while(|Asked { entry, .. }| {
        bytes += entry.path.len() + entry.rule.len() + entry.key.len() + 256;
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

fn understood(verdict: GuestVerdict) -> Result<Review, Trouble> {
    match verdict {
        GuestVerdict::Proceed => Ok(Review::Proceed),
        GuestVerdict::Keep(reason) => {
            let reason: String = reason.escape_debug().take(500).collect();
            Ok(Review::Keep(reason))
        }
        GuestVerdict::Defer(until) => {
            let until = Stamp::new(until.seconds, until.nanoseconds);
            Ok(Review::Keep(format!("deferred until {until}")))
        }
        GuestVerdict::Failed(failure) => Err(Trouble::reported(&failure)),
    }
}
