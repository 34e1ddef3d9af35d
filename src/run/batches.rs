//! A plan carried out batch by batch: archived and proved, recorded, removed, settled,
//! and measured again where something was too full.

use std::collections::BTreeMap;

use crate::apply::{
    Expiry, Gait, Hand, Intended, Need, Purged, Relief, Way, expire, mirror_holds, purge,
    purge_for_room,
};
use crate::cancel::Cancel;
use crate::config::{Store, Writers};
use crate::journal::{Class, Intent, Journal, JournalError, Outcome, RunId, Start, State, Tallies};
use crate::plan::{Batch, Hook, Plan, Step, Tally, generation};
use crate::plugin::{Catalogue, Hooks, Meters, Metrics, RunFacts};
use crate::receipt::{Proof, Receipt};
use crate::store::{Head, Trash, is_out_of_room};
use crate::time::{Clocks, Now};

use super::{Breaker, Planned, RunError, Taken, guard};

/// Steps that are archived and removed together: few, so that archives never pile up
/// before the first removal.
const BATCH: usize = 256;

/// Steps that are reviewed and removed together where nothing is archived first: a batch
/// costs two syncs, and what a reviewer looked at should not be long ago when it goes.
const REVIEWED_BATCH: usize = 4_096;

/// Steps that are removed together where nobody is asked first: two syncs for as many
/// files.
const LARGE_BATCH: usize = 16_384;

/// Steps of a batch that goes while its neighbours are recorded: its first intents and its
/// last outcomes are what files wait for, and two syncs have to be worth it. Few in a build
/// that can be killed at its points, so that tests need not make so many files.
const AHEAD_BATCH: usize = match cfg!(debug_assertions) {
    true => 512,
    false => 8_192,
};

/// Steps that pressure takes between two looks at what is too full.
const PRESSURE_BATCH: usize = 64;

/// What a run did.
#[derive(Debug)]
pub struct Done {
    /// Its name.
    pub id: RunId,
    /// Its outcomes, counted.
    pub tallies: Tallies,
    /// How many files were archived first.
    pub receipts: u64,
    /// Until when the files lie in the trash, RFC 3339; none where they went at once.
    pub trashed_until: Option<String>,
    /// What earlier runs had put into the trash and this one removed for good.
    pub purged: Purged,
    /// How many of these were only read back, not restored.
    pub read_back: u64,
    /// How many of these were not proved at all.
    pub unproved: u64,
    /// How many of these lie on the store's own file system.
    pub same_filesystem: u64,
    /// The same outcomes, by statement.
    pub by_rule: Vec<ByRule>,
    /// By the statement's index and the outcome's word, while the run goes on.
    counted: BTreeMap<(usize, &'static str), Tally>,
    /// Files that were kept although a statement doomed them, and why, in path order.
    pub kept: Vec<(crate::path::RelPath, Outcome)>,
    /// Whether it went through its plan or was told to end before.
    pub state: State,
    /// What became of expired archives.
    pub expiry: Expiry,
    /// What its plugins did, by their names.
    pub plugins: Vec<Metrics>,
}

/// What became of the files that one statement doomed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByRule {
    /// The collection the statement stands in; empty for one at file level.
    pub collection: String,
    /// The statement: `charts.retain:12 @aapl`.
    pub rule: String,
    /// The outcome's word.
    pub outcome: &'static str,
    /// Files that had it.
    pub tally: Tally,
}

fn by_rule(plan: &Plan, counted: &BTreeMap<(usize, &'static str), Tally>) -> Vec<ByRule> {
    let counted = counted.iter();
    counted
        .map(|(&(rule, outcome), &tally)| {
            let rule = plan.rules.get(rule);
            ByRule {
                collection: rule
                    .and_then(|rule| rule.collection.clone())
                    .unwrap_or_default(),
                rule: rule.map(ToString::to_string).unwrap_or_default(),
                outcome,
                tally,
            }
        })
        .collect()
}

impl Taken<'_> {
    /// Carries the plan out, as far as plugins and the store let it.
    ///
    /// [`Taken::pass_breaker`] comes first and is asked again here. Once `cancel` is
    /// wished, plugins are ended and their files kept, the batch that is being removed
    /// is finished, and the run ends as [`State::Cancelled`] with all of that recorded;
    /// the rest of the plan is left for another run. `progress` is told the run's name
    /// when it has begun, and how many steps are behind it after each batch.
    pub fn apply(
        mut self,
        now: &Now,
        breaker: Breaker,
        cancel: &Cancel,
        progress: &dyn Fn(&RunId, usize),
    ) -> Result<Done, RunError> {
        self.pass_breaker(now, breaker)?;
        let plan = &self.planned.plan;
        let id = RunId::new(now).map_err(|error| RunError::System(error.to_string()))?;
        let root = &self.planned.root;
        let at = now.timestamp().to_string();
        self.journal.begin(&Start {
            id: &id,
            plan,
            digest: self.stated().digest(),
            root: &self.identity,
            root_path: root.path(),
            at: at.clone(),
            found: self.found,
        })?;
        guard::released(&mut self.journal, plan, &at)?;
        if self.job.request.is_some() {
            let digest = self.stated().digest();
            self.journal.forget_plan(&digest);
        }
        progress(&id, 0);
        let ended = self.carry_out(&id, now, cancel, progress);
        let state = match &ended {
            Ok(done) => done.state,
            Err(_) => State::Stopped,
        };
        let over = Now::from_clock();
        let at = over.timestamp().to_string();
        let finished = self
            .journal
            .finish(&id, &at, state)
            .and_then(|()| self.leave(&id, &over));
        ended
            .and_then(|done| finished.map(|()| done).map_err(RunError::from))
            .map_err(|source| RunError::Stopped {
                store: self.job.store.name.clone(),
                run: id,
                source: Box::new(source),
            })
    }

    /// What a run does between its beginning and its end.
    fn carry_out(
        &mut self,
        id: &RunId,
        now: &Now,
        cancel: &Cancel,
        progress: &dyn Fn(&RunId, usize),
    ) -> Result<Done, RunError> {
        let plan = &self.planned.plan;
        let root = &self.planned.root;
        let gait = Gait::of(self.job.store, cancel);
        let purged = purge(&mut self.journal, root, &self.held, now, &gait)?;
        let trash = root.establish_trash(id.as_str())?.at(now.stamp());
        let catalogue = Catalogue::load(self.job.config, self.job.plugins());
        let meters = Meters::default();
        let facts = RunFacts {
            cancel: cancel.clone(),
            meters: meters.clone(),
            ..RunFacts::new(id.to_string(), now.clone())
        };
        let destinations = &self.job.config.destinations;
        let mut known = BTreeMap::new();
        for hook in &plan.hooks {
            let named = hook.destination.as_ref();
            if let Some(destination) = named.and_then(|name| destinations.get(name))
                && let Some(identity) = self.journal.known_destination(&destination.url)?
            {
                known.insert(destination.url.clone(), identity);
            }
        }
        let recorded = recorded(&self.planned, &self.journal)?;
        let hooks = Hooks::ready(plan, root, &catalogue, destinations, &known, facts);
        let hooks = hooks.knowing(recorded).leaving(&self.planned.no_smaller);
        let (way, trashed_until) = way(self.job.store, plan, &trash, id, now)?;
        let mut hand = Hand {
            plan,
            root,
            trash: &trash,
            run: id,
            way,
            held: &self.held,
            gait: &gait,
        };
        let mut done = Done {
            id: id.clone(),
            tallies: Tallies::default(),
            receipts: 0,
            trashed_until,
            purged,
            read_back: 0,
            unproved: 0,
            same_filesystem: 0,
            by_rule: Vec::new(),
            counted: BTreeMap::new(),
            kept: Vec::new(),
            state: State::Completed,
            plugins: Vec::new(),
            expiry: Expiry::default(),
        };
        report_refused(&mut self.journal, id, &self.refused, &mut done)?;
        let mut relief: Option<(usize, Relief)> = None;
        let (mut begin, mut freed) = (0, 0);
        while begin < plan.steps.len() && !cancel.is_wished() {
            let is_short = self.journal.is_short_of_room();
            let most = match is_short {
                true => gait.batch().min(BATCH),
                false => gait.batch(),
            };
            let plain = match hand.goes_ahead() {
                true => AHEAD_BATCH,
                false => LARGE_BATCH,
            };
            let batch = next_batch(plan, begin, most, plain)?;
            let end = batch.range().end;
            if !is_short && end < plan.steps.len() && hand.may_go_ahead(&batch) {
                let mut note = |batch: &Batch, outcomes| {
                    done.note(batch, batch.range().zip(outcomes).collect());
                    progress(id, batch.range().end);
                };
                begin = go_ahead(&hand, &mut self.journal, batch, cancel, &mut note)?;
                continue;
            }
            let pressure = batch.get(begin).and_then(|step| step.ruling.pressure);
            if let Some(number) = pressure {
                if relief.as_ref().is_none_or(|(of, _)| *of != number) {
                    let before = done.tallies.freed;
                    relief = Relief::of(plan, number, before).map(|relief| (number, relief));
                    hand.way = without_grace(self.job.store);
                    freed = 0;
                    if let Some((_, relief)) = &mut relief {
                        let mut enough =
                            || cancel.is_wished() || relief.measure(root, 0) == Need::Enough;
                        let more = purge_for_room(
                            &mut self.journal,
                            root,
                            id.as_str(),
                            &self.held,
                            now,
                            &gait,
                            &mut enough,
                        )?;
                        done.purged.files += more.files;
                        // The same files, each time the trash is gone through.
                        done.purged.held = done.purged.held.max(more.held);
                        done.purged.freed = done.purged.freed.saturating_add(more.freed);
                    }
                }
                let need = match &mut relief {
                    Some((_, relief)) => relief.measure(root, freed),
                    None => Need::More,
                };
                let spared = match need {
                    Need::More => None,
                    Need::Enough => Some(Outcome::Relieved),
                    Need::Futile => Some(Outcome::Futile),
                };
                if let Some(outcome) = spared {
                    let rest = (begin, number);
                    begin = spare(&hand, &mut self.journal, rest, &outcome, &mut done)?;
                    progress(id, begin);
                    continue;
                }
            }
            let before = done.tallies.freed;
            let mut approved = gait.gently(|| hooks.approve(&batch));
            let outcomes = hand.apply(&mut self.journal, &batch, &mut approved)?;
            done.count(&batch, &approved, outcomes);
            freed = done.tallies.freed.saturating_sub(before);
            progress(id, end);
            begin = end;
        }
        match cancel.is_wished() {
            true => done.state = State::Cancelled,
            false => {
                for outcome in hand.remove_empty(&mut self.journal)? {
                    done.tallies.add(&outcome);
                }
            }
        }
        done.plugins = meters.read();
        // It holds the destinations against whoever removes from them.
        drop(hooks);
        let at = now.timestamp().to_string();
        let run = (id, at.as_str());
        let (planned, store) = (plan.expired.as_slice(), plan.store.as_str());
        done.expiry = expire(&mut self.journal, destinations, planned, store, run, cancel)?;
        done.kept.sort_by(|a, b| a.0.cmp(&b.0));
        done.by_rule = by_rule(plan, &done.counted);
        // What had to stay in the trash keeps it there.
        let _ = root.clear_trash(trash);
        Ok(done)
    }

    /// What a run leaves for the next besides its own records.
    fn leave(&mut self, id: &RunId, over: &Now) -> Result<(), JournalError> {
        self.journal.remember_clocks(&Clocks::at(over))?;
        if !self.mirrored {
            // There may be room now. What goes wrong is the next run's to say.
            let (root, store) = (&self.planned.root, &self.job.store.name);
            let _ = mirror_holds(&mut self.journal, root, store, None, over);
        }
        self.forget(over)?;
        if let Some(head) = self.journal.head()? {
            tracing::info!(run = %id, sequence = head.sequence, head = %head.hash, "journal");
        }
        Ok(())
    }

    /// Forgets runs that are older than the configuration wants remembered.
    fn forget(&mut self, now: &Now) -> Result<(), JournalError> {
        if let Some(span) = self.job.config.remember {
            let before = span.before(&now.zoned(&jiff::tz::TimeZone::UTC));
            self.journal.prune(before, &now.timestamp().to_string())?;
        }
        Ok(())
    }
}

/// Receipts of archives there are of files that are to be archived, as they are now.
fn recorded(planned: &Planned, journal: &Journal) -> Result<Vec<Receipt>, JournalError> {
    let Planned {
        plan, inventory, ..
    } = planned;
    let mut numbers = Vec::new();
    if inventory.filed.is_empty() {
        return Ok(Vec::new());
    }
    for step in &plan.steps {
        let Some(filed) = inventory.filed.get(&step.path.to_string()) else {
            continue;
        };
        let hooks = step
            .ruling
            .hooks
            .iter()
            .filter_map(|&hook| plan.hooks.get(hook));
        let wanted: Vec<_> = hooks.filter_map(|h| h.destination.as_ref()).collect();
        if wanted.is_empty() {
            continue;
        }
        let key = generation(&plan.root, &step.path, &step.facts);
        let alike = filed
            .iter()
            .filter(|filed| filed.key == key && wanted.contains(&&filed.destination));
        numbers.extend(alike.map(|filed| filed.receipt));
    }
    let receipts = journal.receipts_numbered(&numbers)?.into_iter();
    Ok(receipts.map(|(_, receipt)| receipt).collect())
}

/// Records what a saved plan names and the policy does not take.
fn report_refused(
    journal: &mut Journal,
    id: &RunId,
    refused: &[(Step, Outcome)],
    done: &mut Done,
) -> Result<(), JournalError> {
    let intent = |step: &Step| Intent {
        path: step.path.clone(),
        facts: step.facts,
        rule: step.ruling.rule,
    };
    let refused = refused.iter();
    let refused: Vec<(Intent, Outcome)> = refused
        .map(|(step, outcome)| (intent(step), outcome.clone()))
        .collect();
    journal.kept(id, &refused)?;
    for (intent, outcome) in refused {
        done.tallies.add(&outcome);
        done.kept.push((intent.path, outcome));
    }
    Ok(())
}

/// Carries out batches that may overlap, from one on as long as such come; where they end.
/// What is recorded as about to go goes, whether or not the end is wished meanwhile. `note` is
/// told what became of each batch once that is recorded.
fn go_ahead(
    hand: &Hand<'_>,
    journal: &mut Journal,
    first: Batch,
    cancel: &Cancel,
    note: &mut dyn FnMut(&Batch, Vec<Outcome>),
) -> Result<usize, RunError> {
    let plan = hand.plan;
    let intend = |journal: &mut Journal, begin: usize| -> Result<_, RunError> {
        let is_over = begin >= plan.steps.len() || cancel.is_wished();
        if is_over || journal.is_short_of_room() {
            return Ok(None);
        }
        let batch = next_batch(plan, begin, AHEAD_BATCH, AHEAD_BATCH)?;
        match hand.may_go_ahead(&batch) {
            true => Ok(Some(hand.intend(journal, batch)?)),
            false => Ok(None),
        }
    };
    let mut settle = |journal: &mut Journal, gone: &mut Option<(Intended, Vec<Outcome>)>| {
        if let Some((batch, outcomes)) = gone {
            batch.settle(journal, outcomes)?;
            note(batch.batch(), std::mem::take(outcomes));
        }
        *gone = None;
        Ok::<(), RunError>(())
    };
    let mut current = hand.intend(journal, first)?;
    let mut before = None;
    loop {
        let end = current.batch().range().end;
        let (outcomes, next) = hand.carry(&current, || {
            settle(journal, &mut before)?;
            intend(journal, end)
        });
        // What could not be recorded is tried again now that more files have gone, which may
        // have made room for it.
        let late = settle(journal, &mut before);
        before = Some((current, outcomes));
        match next {
            Ok(Some(next)) => current = next,
            Ok(None) => {
                settle(journal, &mut before)?;
                return Ok(end);
            }
            Err(error) => {
                settle(journal, &mut before)?;
                late?;
                if !matches!(&error, RunError::Journal(error) if error.may_need_room()) {
                    return Err(error);
                }
                tracing::warn!(%error, "the journal could not be written while files went; it is tried again now that they are gone");
                return Ok(end);
            }
        }
    }
}

/// How files go in this store, and until when they lie in the trash.
fn way(
    store: &Store,
    plan: &Plan,
    trash: &Trash,
    id: &RunId,
    now: &Now,
) -> Result<(Way, Option<String>), RunError> {
    match (store.grace, store.writers) {
        (Some(grace), _) if !plan.steps.is_empty() => {
            let seconds = i64::try_from(grace.approximate_seconds()).unwrap_or(i64::MAX);
            let until = now
                .timestamp()
                .saturating_add(jiff::SignedDuration::from_secs(seconds))
                .map_err(|error| RunError::System(error.to_string()))?
                .to_string();
            let since = now.timestamp().to_string();
            let head = Head::new(id.as_str(), &store.name, since, until.clone());
            match trash.begin_index(&head) {
                Ok(index) => Ok((Way::Kept(index), Some(until))),
                // What pressure takes needs no list, and makes room for the next.
                Err(error) if is_out_of_room(&error) => Ok((Way::Unlisted(error), None)),
                Err(error) => Err(RunError::System(format!(
                    "cannot begin the list of the trash: {}",
                    crate::store::in_words(&error)
                ))),
            }
        }
        (Some(_), _) | (None, Writers::Shared) => Ok((Way::Verified, None)),
        (None, Writers::Exclusive) => Ok((Way::Direct, None)),
    }
}

/// How files go that pressure takes: what is needed at once does not lie in the trash.
fn without_grace(store: &Store) -> Way {
    match store.writers {
        Writers::Shared => Way::Verified,
        Writers::Exclusive => Way::Direct,
    }
}

/// The steps from an index on that are carried out together, by what their hooks have to
/// do, `plain` of those that have none: a whole directory is in one batch, and two pressures are
/// not.
fn next_batch(plan: &Plan, begin: usize, most: usize, plain: usize) -> Result<Batch, RunError> {
    let mut limit = LARGE_BATCH.min(most);
    let rest = plan.steps.len().saturating_sub(begin);
    let mut steps: Vec<Step> = Vec::with_capacity(rest.min(plain).min(limit));
    for step in plan.steps.iter_from(begin) {
        let number = steps.len();
        let ruling = &step.ruling;
        limit = match ruling.pressure {
            // Small, as it is measured after each.
            Some(_) => limit.min(PRESSURE_BATCH),
            None => limit.min(hooked_batch(plan, &step).unwrap_or(plain).max(number)),
        };
        if let Some(before) = steps.last() {
            let is_with_it = ruling.unit.is_some() && ruling.unit == before.ruling.unit;
            let is_alike = ruling.pressure == before.ruling.pressure;
            if !is_with_it && (number >= limit || !is_alike) {
                break;
            }
        }
        steps.push(step);
    }
    whole(plan, Batch::new(begin, steps))
}

/// How many steps there are in a batch that has this one, if it has hooks.
fn hooked_batch(plan: &Plan, step: &Step) -> Option<usize> {
    let hooks = step.ruling.hooks.iter();
    let few = hooks.map(|&hook| match plan.hooks.get(hook) {
        Some(hook) if !stores(hook) => REVIEWED_BATCH,
        // A hook that nobody knows of is taken for one that stores.
        Some(_) | None => BATCH,
    });
    few.min()
}

/// A batch, unless steps of its plan could not be read back: they would be left out, and
/// nobody would be told.
fn whole(plan: &Plan, batch: Batch) -> Result<Batch, RunError> {
    let checked = plan.steps.check();
    checked.map_err(|error| RunError::System(error.to_string()))?;
    match batch.range().is_empty() {
        true => Err(RunError::System(
            "the plan ends before its last step".to_owned(),
        )),
        false => Ok(batch),
    }
}

/// Records the steps of a pressure, from an index on, that it does not take any more. Where
/// they end the next ones begin.
fn spare(
    hand: &Hand<'_>,
    journal: &mut Journal,
    (begin, pressure): (usize, usize),
    outcome: &Outcome,
    done: &mut Done,
) -> Result<usize, RunError> {
    let plan = hand.plan;
    let mut begin = begin;
    loop {
        let steps = plan.steps.iter_from(begin).take(LARGE_BATCH);
        let steps = steps.take_while(|step| step.ruling.pressure == Some(pressure));
        let steps: Vec<Step> = steps.collect();
        if steps.is_empty() {
            return Ok(begin);
        }
        let batch = whole(plan, Batch::new(begin, steps))?;
        let outcomes = hand.spare(journal, &batch, outcome)?;
        done.note(&batch, outcomes);
        begin = batch.range().end;
    }
}

/// Whether a hook's plugin stores files. One that is a reviewer all the same only gets
/// smaller batches.
fn stores(hook: &Hook) -> bool {
    hook.destination.is_some() || hook.in_place || hook.backs_up
}

impl Done {
    fn count(
        &mut self,
        batch: &Batch,
        approved: &crate::plugin::Approved,
        outcomes: Vec<(usize, Outcome)>,
    ) {
        for receipt in approved.receipts() {
            self.receipts += 1;
            self.same_filesystem += u64::from(receipt.destination.same_filesystem);
            match receipt.proof {
                Proof::Restore => {}
                Proof::ReadBack => self.read_back += 1,
                Proof::None => self.unproved += 1,
            }
        }
        self.note(batch, outcomes);
    }

    fn note(&mut self, batch: &Batch, outcomes: Vec<(usize, Outcome)>) {
        for (step, outcome) in outcomes {
            self.tallies.add(&outcome);
            if let Some(step) = batch.get(step) {
                let key = (step.ruling.rule, outcome.word());
                self.counted.entry(key).or_default().add(&step.facts);
            }
            let gone = matches!(
                outcome.class(),
                Class::Removed | Class::Replaced | Class::BackedUp
            );
            if let (false, Some(step)) = (gone, batch.get(step)) {
                self.kept.push((step.path.clone(), outcome));
            }
        }
    }
}
