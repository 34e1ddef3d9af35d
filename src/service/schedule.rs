//! When each store is cleaned: by its schedule, and between two turns when its disk or
//! its budget is too full.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::{Cause, Shared};
use super::work::{self, Failure, Task};
use crate::config::{Schedule, Store};
use crate::journal::JournalError;
use crate::plan::is_above;
use crate::policy::{Mark, Policy};
use crate::run::RunError;
use crate::store::StoreError;
use crate::time::Now;

/// How often the clock and the disks are looked at: a sleeping laptop or a clock that is
/// set must not keep a timer waiting for a moment that has passed.
const TICK: Duration = Duration::from_secs(1);

/// How often disks are measured.
const MEASURE: Duration = Duration::from_secs(10);

/// How long a pressure that a run could not relieve is left alone.
const FUTILE: Duration = Duration::from_secs(300);

/// How long after a start the first turn waits, at most.
const FIRST: u64 = 10;

/// Jitter: at most this share of an interval, and at most a minute.
const JITTER: u64 = 20;

/// How soon a store is looked at again that could not be.
const UNSEEN: Duration = Duration::from_secs(300);

/// How soon a store is tried again that another process works on.
const BUSY: i64 = 15;

/// What the scheduler remembers of a store.
#[derive(Debug, Default)]
struct Turn {
    /// What its schedule was when the next turn was set.
    schedule: Option<Schedule>,
    /// The longest time between two turns; a calendar is walked to know it, so once.
    longest: Option<Duration>,
    next: Option<jiff::Timestamp>,
    pressed: Option<Instant>,
    looked: Option<Instant>,
    sampled: Option<Instant>,
}

/// Keeps every store's schedule for as long as the service runs.
pub(super) async fn keep(shared: Arc<Shared>) {
    let mut turns: BTreeMap<String, Turn> = BTreeMap::new();
    let mut measured: Option<Instant> = None;
    loop {
        tokio::time::sleep(TICK).await;
        if !shared.is_ready() {
            continue;
        }
        let loaded = shared.loaded();
        turns.retain(|name, _| loaded.config.stores.contains_key(name));
        let now = Now::from_clock().timestamp();
        let measure = measured.is_none_or(|at| at.elapsed() >= MEASURE);
        for store in loaded.config.stores.values() {
            let turn = turns.entry(store.name.clone()).or_default();
            let Some(policy) = loaded.policy(&store.name) else {
                continue;
            };
            if !store.enabled {
                set_next(&shared, store, turn, None);
                continue;
            }
            if turn.schedule.as_ref() != Some(&store.schedule) {
                turn.schedule = Some(store.schedule.clone());
                turn.longest = store.schedule.longest_interval();
                let first = first(&shared, store, policy, now);
                set_next(&shared, store, turn, first);
            }
            let retry = shared
                .room(&store.name)
                .state()
                .retry
                .take_if(|at| *at <= now);
            if retry.is_some() || turn.next.is_some_and(|next| next <= now) {
                // Turns that were missed meanwhile are this one.
                let next = after(store, policy, now);
                set_next(&shared, store, turn, next);
                begin(&shared, store, Cause::Schedule, turn);
                continue;
            }
            if measure && is_pressed(&shared, store, policy, turn) {
                turn.pressed = Some(Instant::now());
                begin(&shared, store, Cause::Pressure, turn);
            }
        }
        if measure {
            measured = Some(Instant::now());
            for store in loaded.config.stores.values() {
                work::gauge_disk(&shared, store);
                let longest = turns.get(&store.name).and_then(|turn| turn.longest);
                shared.alert_of_silence(store, longest);
                if let Some(turn) = turns.get_mut(&store.name) {
                    look_hourly(&shared, store, turn);
                }
            }
        }
    }
}

/// A store that nobody looks at is sampled all the same. One that could not be looked at is
/// not tried again every few seconds: that reads all of it and fails.
fn look_hourly(shared: &Arc<Shared>, store: &Store, turn: &mut Turn) {
    let survey = shared.room(&store.name).state().survey.clone();
    let age = survey.as_ref().and_then(|survey| {
        let at: jiff::Timestamp = survey.at.parse().ok()?;
        let age = Now::from_clock().timestamp().duration_since(at);
        Some((age.as_secs_f64(), survey.seconds * 50.0))
    });
    let tried = turn.sampled.map(|at| at.elapsed());
    if store.enabled && is_sampled_now(age, tried) {
        turn.sampled = Some(Instant::now());
        let (shared, name) = (Arc::clone(shared), store.name.clone());
        tokio::spawn(async move {
            // What is wrong with it is said by its health.
            let _ = work::survey(&shared, &name).await;
        });
    }
}

/// Whether a store is looked at, by how old what was seen of it is and for how long that is
/// worth more than an hour, in seconds, and by how long ago it was last tried.
fn is_sampled_now(age: Option<(f64, f64)>, tried: Option<Duration>) -> bool {
    const HOUR: f64 = 3600.0;
    // Also at the beginning, when nothing has been seen yet.
    age.is_none_or(|(age, worth)| age > HOUR.max(worth)) && tried.is_none_or(|ago| ago >= UNSEEN)
}

fn begin(shared: &Arc<Shared>, store: &Store, cause: Cause, turn: &mut Turn) {
    match work::start(shared, &store.name, Task::Policy, cause) {
        Ok(handle) => {
            let (shared, name) = (Arc::clone(shared), store.name.clone());
            tokio::spawn(async move {
                if let Ok(Err(Failure::Run(error))) = handle.await
                    && is_elsewhere(&error)
                {
                    tracing::info!(
                        store = name,
                        "another process works on it; tried again soon"
                    );
                    let soon =
                        Now::from_clock().timestamp() + jiff::SignedDuration::from_secs(BUSY);
                    shared.room(&name).state().retry = Some(soon);
                }
            });
        }
        // Whatever goes on in it does what this turn would have done.
        Err(Failure::Busy) => {
            tracing::info!(store = store.name, "its run goes on; this turn is left out")
        }
        Err(_) => {}
    }
    turn.looked = Some(Instant::now());
}

fn is_elsewhere(error: &RunError) -> bool {
    matches!(
        error,
        RunError::Store(StoreError::Locked { .. }) | RunError::Journal(JournalError::Locked { .. })
    )
}

fn set_next(shared: &Shared, store: &Store, turn: &mut Turn, next: Option<jiff::Timestamp>) {
    turn.next = next;
    shared.room(&store.name).state().next = next;
    let numbers = &shared.numbers;
    match next {
        Some(next) => numbers
            .next_run
            .with_label_values(&[&store.name])
            .set(next.as_second() as f64),
        None => drop(numbers.next_run.remove_label_values(&[&store.name])),
    }
    match turn.longest.filter(|_| store.enabled) {
        Some(longest) => numbers
            .interval
            .with_label_values(&[&store.name])
            .set(longest.as_secs_f64()),
        None => drop(numbers.interval.remove_label_values(&[&store.name])),
    }
}

/// The first turn after a start or a change: the one that is due, or was due meanwhile.
fn first(
    shared: &Shared,
    store: &Store,
    policy: &Policy,
    now: jiff::Timestamp,
) -> Option<jiff::Timestamp> {
    let soon = || plus(now, random(FIRST));
    let last = shared.room(&store.name).state().last.clone();
    let last = last.and_then(|last| last.at.parse::<jiff::Timestamp>().ok());
    match (&store.schedule, last) {
        (Schedule::OnRequest, _) => None,
        (Schedule::Every(_), None) => soon(),
        (Schedule::Cron(_), None) => after(store, policy, now),
        (_, Some(last)) => {
            let due = store.schedule.next_after(last.min(now), &policy.zone())?;
            match due <= now {
                true => soon(),
                false => Some(due),
            }
        }
    }
}

/// The turn that follows one that begins now, a little late, so that a hundred of these
/// do not begin at the same second.
fn after(store: &Store, policy: &Policy, now: jiff::Timestamp) -> Option<jiff::Timestamp> {
    let next = store.schedule.next_after(now, &policy.zone())?;
    let interval = u64::try_from(next.duration_since(now).as_secs()).unwrap_or(0);
    plus(next, random((interval / JITTER).min(60)))
}

fn plus(moment: jiff::Timestamp, seconds: u64) -> Option<jiff::Timestamp> {
    let seconds = jiff::SignedDuration::from_secs(i64::try_from(seconds).ok()?);
    moment.checked_add(seconds).ok()
}

/// A number from 0 to `most`; 0 where the system has no chance to give.
fn random(most: u64) -> u64 {
    getrandom::u64().map_or(0, |number| number % (most + 1))
}

/// Whether something of the store is above its mark and a run may do something about it.
fn is_pressed(shared: &Arc<Shared>, store: &Store, policy: &Policy, turn: &mut Turn) -> bool {
    if turn.pressed.is_some_and(|at| at.elapsed() < FUTILE) || shared.is_latched(&store.name) {
        return false;
    }
    let mut marks = policy.marks();
    marks.any(|mark| match mark {
        Mark::Disk { above, .. } => {
            let root = crate::store::Root::open(&store.path.path).ok();
            let space = root.and_then(|root| root.space().ok());
            space.is_some_and(|space| {
                let used = space.total.saturating_sub(space.free);
                is_above(used, used.saturating_add(space.available), above)
            })
        }
        Mark::Store { above, .. } => {
            let survey = shared.room(&store.name).state().survey.clone();
            let known = survey.as_ref().is_some_and(|s| s.total.bytes > above);
            // Nothing but a look tells how large it has grown; that has its price.
            let wait = survey.map_or(60.0, |survey| (survey.seconds * 50.0).max(60.0));
            if turn
                .looked
                .is_none_or(|at| at.elapsed().as_secs_f64() > wait)
            {
                turn.looked = Some(Instant::now());
                let (shared, name) = (Arc::clone(shared), store.name.clone());
                tokio::spawn(async move {
                    // What is wrong with the store is said by its run.
                    let _ = work::survey(&shared, &name).await;
                });
            }
            known
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_sampled_by_the_hour_and_one_that_cannot_be_not_all_the_time() {
        let ago = |seconds| Some(Duration::from_secs(seconds));
        assert!(is_sampled_now(None, None));
        assert!(!is_sampled_now(None, ago(10)));
        assert!(is_sampled_now(None, ago(300)));
        assert!(!is_sampled_now(Some((3599.0, 1.0)), None));
        assert!(is_sampled_now(Some((3601.0, 1.0)), ago(3600)));
        // One that takes long is worth longer.
        assert!(!is_sampled_now(Some((3601.0, 7200.0)), ago(3600)));
    }
}
