//! Reviewers: one verdict per file, asked for in batches.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::Store;
use wasmtime::component::Component;

use super::archive::in_time;
use super::asked::Asked;
use super::bulk::{self, Columns};
use super::contract::{
    BULK_REVIEWER, BulkReviewPlugin, BulkReviewPluginPre, GuestVerdict, ReviewPlugin,
    ReviewPluginPre,
};
use super::engine::Machine;
use super::guest::{Guest, RunFacts};
use super::load::Plugin;
use super::surroundings::{Around, Surroundings};
use super::trouble::{Trouble, TroubleKind};
use crate::time::Stamp;

/// Files in one call, told of one by one and in columns. The time that is granted is for as
/// many as the former.
const BATCH: usize = 1_024;
const BULK_BATCH: usize = 4_096;

/// Bytes of texts and records in one call.
const BATCH_BYTES: usize = 1 << 20;

/// Files of one call that may trap before the rest is given up: looking for each
/// costs instances, and whatever traps this often is broken.
const POISON: usize = 16;

/// A reviewer in one of the forms it is asked in.
#[derive(Clone)]
pub(super) enum Form {
    /// File by file.
    Single(ReviewPluginPre<Guest>),
    /// In columns.
    Bulk(BulkReviewPluginPre<Guest>),
}

impl Form {
    /// The form of a component, by what it exports.
    pub(super) fn of(machine: &Machine, component: &Component) -> wasmtime::Result<Form> {
        let ready = machine.reviewers.instantiate_pre(component)?;
        Ok(match component.get_export_index(None, BULK_REVIEWER) {
            Some(_) => Form::Bulk(BulkReviewPluginPre::new(ready)?),
            None => Form::Single(ReviewPluginPre::new(ready)?),
        })
    }

    pub(super) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Made> {
        Ok(match self {
            Form::Single(it) => Made::Single(it.instantiate_async(store).await?),
            Form::Bulk(it) => Made::Bulk(it.instantiate_async(store).await?),
        })
    }
}

/// An instance of a form.
pub(super) enum Made {
    Single(ReviewPlugin),
    Bulk(BulkReviewPlugin),
}

/// What a reviewer made of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Review {
    Proceed,
    Keep(String),
}

pub(super) struct Reviewer<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plugin: &'a Plugin,
    pub(super) prepared: &'a Form,
    pub(super) settings: Arc<str>,
    pub(super) run: &'a RunFacts,
    pub(super) surroundings: &'a Arc<Surroundings>,
}

impl Reviewer<'_> {
    /// Reviews files in as many calls as they need.
    pub(super) fn review<'f>(
        &self,
        files: impl Iterator<Item = Asked<'f>>,
    ) -> Vec<Result<Review, Trouble>> {
        let (most, length): (_, fn(&Asked<'f>) -> usize) = match self.prepared {
            Form::Single(_) => (BATCH, Asked::length),
            Form::Bulk(_) => (BULK_BATCH, bulk::length),
        };
        let mut answers = Vec::with_capacity(files.size_hint().0);
        let mut batch = Vec::with_capacity(most);
        let mut bytes = 0;
        for file in files {
            let length = length(&file);
            if batch.len() == most || (bytes + length > BATCH_BYTES && !batch.is_empty()) {
                self.bisect(&batch, &mut 0, &mut answers);
                batch.clear();
                bytes = 0;
            }
            bytes += length;
            batch.push(file);
        }
        if !batch.is_empty() {
            self.bisect(&batch, &mut 0, &mut answers);
        }
        answers
    }

    /// A trap says nothing about which file caused it: halves are asked again, in
    /// fresh instances, until it is found.
    fn bisect(
        &self,
        batch: &[Asked<'_>],
        poison: &mut usize,
        answers: &mut Vec<Result<Review, Trouble>>,
    ) {
        let instance = self.instance(batch.len());
        let asked = instance.and_then(|mut one| one.review(batch));
        let trouble = match asked {
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

    /// An instance that nobody has asked yet, to be asked about so many files.
    pub(super) fn instance(&self, files: usize) -> Result<Instance<'_>, Trouble> {
        let mut terms = self.plugin.terms(Arc::clone(&self.settings), self.run, 0);
        let calls = u32::try_from(files.div_ceil(BATCH)).unwrap_or(u32::MAX);
        terms.wall = terms.wall.saturating_mul(calls.max(1));
        let wall = terms.wall;
        let mut store = Guest::store(self.machine, terms);
        let made = self.prepared.instantiate(&mut store);
        match self.machine.wait(in_time(wall, &self.run.cancel, made)) {
            Ok(guest) => Ok(Instance {
                reviewer: self,
                store,
                guest,
                wall,
            }),
            Err(error) => Err(Trouble::ended(&error, store.data())),
        }
    }
}

/// One instance of a reviewer. A run asks each once.
pub(super) struct Instance<'a> {
    reviewer: &'a Reviewer<'a>,
    store: Store<Guest>,
    guest: Made,
    wall: Duration,
}

impl Instance<'_> {
    /// One answer for each file, in their order, from one call.
    pub(super) fn review(
        &mut self,
        batch: &[Asked<'_>],
    ) -> Result<Vec<Result<Review, Trouble>>, Trouble> {
        let Reviewer {
            machine,
            run,
            surroundings,
            ..
        } = self.reviewer;
        let paths = batch.iter().map(|file| file.path.clone()).collect();
        self.store.data_mut().around = Some(Around::files(surroundings, paths));
        let asked = match &self.guest {
            Made::Single(guest) => {
                let texts: Vec<_> = batch.iter().map(Asked::texts).collect();
                let told = (0..).zip(batch).zip(&texts);
                let entries = told.map(|((slot, file), texts)| file.entry(slot, texts));
                let entries: Vec<_> = entries.collect();
                let reviewer = guest.retain_plugin_reviewer();
                let call = reviewer.call_review(&mut self.store, &entries);
                machine.wait(in_time(self.wall, &run.cancel, call)).map(Ok)
            }
            Made::Bulk(guest) => {
                let columns = Columns::of(batch);
                let origins = columns.origins();
                let reviewer = guest.retain_plugin_bulk_reviewer();
                let call = reviewer.call_review(&mut self.store, columns.batch(&origins));
                let given = machine.wait(in_time(self.wall, &run.cancel, call));
                given.map(|given| bulk::verdicts(given, batch.len()))
            }
        };
        let verdicts = match asked {
            Ok(verdicts) => verdicts?,
            Err(error) => return Err(Trouble::ended(&error, self.store.data())),
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
