//! One run of one store, for whoever wants it: the schedule, a full disk, a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::Serialize;
use utoipa::ToSchema;

use super::loaded::Loaded;
use super::state::{Cause, Ending, Event, Last, Room, Running, Shared};
use super::survey::{DiskView, Health, Survey};
use crate::apply::trash_list;
use crate::config::{MissingRoot, Store};
use crate::journal::{Journal, Sample, State, Summary, growth_per_day};
use crate::plan::Plan;
use crate::policy::Request;
use crate::run::{Breaker, Done, Job, Planned, RunError, Wanted};
use crate::store::Root;
use crate::time::Now;

/// Kept files that a report names.
const NAMED: usize = 100;

/// What is wanted of a store.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// What its policy says.
    Policy,
    /// What somebody asks for.
    Request(Request),
    /// A plan that somebody has seen, and whether he released the breaker for it.
    Plan(Arc<Plan>, Breaker),
}

/// Why a run did not happen, or not to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another one goes on in the store.
    Busy,
    /// The service is about to end.
    Stopping,
    /// No store has this name.
    NoStore,
    /// No collection has the captures a request names.
    NoCaptures,
    /// It was refused or stopped.
    Run(RunError),
    /// It came to an end nobody foresaw.
    Lost,
}

/// What a run did.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Report {
    /// The store.
    pub store: String,
    /// The run.
    pub run: String,
    /// How it ended.
    pub outcome: Ending,
    /// Files it removed, those in the trash included.
    pub removed: u64,
    /// Files among them that lie in the trash.
    pub trashed: u64,
    /// Until when they lie there, RFC 3339.
    pub trashed_until: Option<String>,
    /// Files whose archives have taken their places.
    pub replaced: u64,
    /// Files that were gone already.
    pub vanished: u64,
    /// Files that were archived first.
    pub archived: u64,
    /// Bytes that all gave back.
    pub freed: u64,
    /// Files of earlier runs that were emptied from the trash.
    pub purged: u64,
    /// Files that stayed although a statement doomed them.
    pub kept: u64,
    /// The first of them, and why.
    pub kept_files: Vec<KeptFile>,
    /// Seconds it took.
    pub seconds: f64,
}

/// A file that stayed although a statement doomed it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct KeptFile {
    /// Where it lies in the store.
    pub path: String,
    /// The outcome's word.
    pub outcome: String,
    /// Why, in words.
    pub message: String,
}

impl Report {
    fn of(store: &str, done: &Done, seconds: f64) -> Report {
        let tallies = &done.tallies;
        let ending = match (done.state, tallies.trouble) {
            (State::Completed, 0) => Ending::Completed,
            (State::Completed, _) => Ending::Trouble,
            (State::Cancelled, _) => Ending::Cancelled,
            (State::Stopped | State::Interrupted, _) => Ending::Stopped,
        };
        let kept = done.kept.iter().take(NAMED);
        Report {
            store: store.to_owned(),
            run: done.id.to_string(),
            outcome: ending,
            removed: tallies.removed,
            trashed: tallies.trashed,
            trashed_until: done.trashed_until.clone(),
            replaced: tallies.replaced,
            vanished: tallies.vanished,
            archived: done.receipts,
            freed: tallies.freed.saturating_add(done.purged.freed),
            purged: done.purged.files,
            kept: done.kept.len() as u64,
            kept_files: kept
                .map(|(path, outcome)| KeptFile {
                    path: path.to_string(),
                    outcome: outcome.word().to_owned(),
                    message: outcome.to_string(),
                })
                .collect(),
            seconds,
        }
    }
}

/// Starts a run and waits for its end. Whoever waits may go away: the run does not
/// notice.
pub(super) async fn run(
    shared: &Arc<Shared>,
    store: &str,
    task: Task,
    cause: Cause,
) -> Result<Report, Failure> {
    match start(shared, store, task, cause)?.await {
        Ok(ended) => ended,
        Err(_) => Err(Failure::Lost),
    }
}

/// A run on its way.
pub(super) type Handle = tokio::task::JoinHandle<Result<Report, Failure>>;

/// Starts a run, if nobody else works on the store.
pub(super) fn start(
    shared: &Arc<Shared>,
    store: &str,
    task: Task,
    cause: Cause,
) -> Result<Handle, Failure> {
    if shared.is_stopping() {
        return Err(Failure::Stopping);
    }
    let loaded = shared.loaded();
    if !loaded.config.stores.contains_key(store) {
        return Err(Failure::NoStore);
    }
    let room = shared.room(store);
    let busy = Arc::clone(&room.busy)
        .try_lock_owned()
        .map_err(|_| Failure::Busy)?;
    let at_work = shared.at_work();
    let (shared, store) = (Arc::clone(shared), store.to_owned());
    let span = tracing::info_span!("run", store, ?cause);
    Ok(tokio::task::spawn_blocking(move || {
        let _in_span = span.enter();
        let work = Work {
            shared: &shared,
            loaded: &loaded,
            room: &room,
            store: &store,
            cause,
        };
        let ended = work.run(task);
        drop((busy, at_work));
        ended
    }))
}

struct Work<'w> {
    shared: &'w Arc<Shared>,
    loaded: &'w Arc<Loaded>,
    room: &'w Arc<Room>,
    store: &'w str,
    cause: Cause,
}

impl Work<'_> {
    fn run(&self, task: Task) -> Result<Report, Failure> {
        let begun = Instant::now();
        let now = Now::from_clock();
        self.room.state().running = Some(Running {
            run: None,
            since: now.timestamp().to_string(),
            cause: self.cause,
            done: 0,
            files: 0,
        });
        self.shared
            .numbers
            .running
            .with_label_values(&[self.store])
            .set(1);
        let ended = self.carry_out(task, &now, begun);
        self.room.state().running = None;
        self.shared
            .numbers
            .running
            .with_label_values(&[self.store])
            .set(0);
        self.note(&ended);
        ended
    }

    fn carry_out(&self, task: Task, now: &Now, begun: Instant) -> Result<Report, Failure> {
        let job = self.loaded.job(self.store).ok_or(Failure::NoStore)?;
        // What a request left out of its plan is no picture of the policy's, and who has an
        // index does not want every file looked at: an hour's look does that.
        let is_counted = matches!(task, Task::Policy) && !job.store.index;
        let mut survey = None;
        let (job, breaker, saved) = match task {
            Task::Policy => (job, Breaker::Holds, None),
            Task::Request(request) => {
                let job = job.asking(request).ok_or(Failure::NoCaptures)?;
                (job, Breaker::Holds, None)
            }
            Task::Plan(plan, breaker) => {
                let job = job.of_kept(&plan).map_err(Failure::Run)?;
                (job, breaker, Some(plan))
            }
        };
        let mut taken = match saved {
            Some(plan) => job.take_for(Plan::clone(&plan), now, Arc::default()),
            None => {
                let wanted = match is_counted {
                    true => Wanted::Counted { by: None },
                    false => Wanted::Decisive,
                };
                let taken = job
                    .take(now, wanted, Arc::default())
                    .map_err(Failure::Run)?;
                let seconds = begun.elapsed().as_secs_f64();
                self.shared
                    .numbers
                    .plan
                    .with_label_values(&[self.store])
                    .observe(seconds);
                let planned = &taken.planned;
                self.shared
                    .numbers
                    .scan
                    .with_label_values(&[self.store])
                    .observe(planned.scanned.as_secs_f64());
                survey = match is_counted {
                    true => {
                        let Planned { census, plan, .. } = planned;
                        Some(Arc::new(Survey::of(&job.policy, census, plan, seconds)))
                    }
                    false if job.is_request() => None,
                    false => self.room.state().survey.clone(),
                };
                Ok(taken)
            }
        }
        .map_err(Failure::Run)?;
        taken.pass_breaker(now, breaker).map_err(Failure::Run)?;
        let files = taken.planned.plan.steps.len() as u64;
        let done_until = AtomicU64::new(0);
        let progress = |run: &crate::journal::RunId, done: usize| {
            let done = done as u64;
            let (store, run) = (self.store.to_owned(), run.to_string());
            if let Some(running) = &mut self.room.state().running {
                running.run = Some(run.clone());
                (running.done, running.files) = (done, files);
            }
            if done_until.fetch_max(done, Ordering::Relaxed) == 0 && done == 0 {
                tracing::info!(store, run, files, "run began");
                self.shared.tell(Event::RunStarted { store, run, files });
            } else {
                self.shared.tell(Event::RunProgress {
                    store,
                    run,
                    done,
                    files,
                });
            }
        };
        let done = taken
            .apply(now, breaker, &self.shared.cancel, &progress)
            .map_err(Failure::Run)?;
        let seconds = begun.elapsed().as_secs_f64();
        self.shared
            .numbers
            .run
            .with_label_values(&[self.store])
            .observe(seconds);
        self.shared.numbers.done(self.store, &done);
        self.shared.alert_of_plugins(self.store, &done.plugins);
        let tallies = &done.tallies;
        let survey = survey.map(|survey| survey.after(tallies.removed, tallies.freed));
        // A sample of an earlier look less what this run took would miss what came since.
        if let (Some(survey), true) = (&survey, is_counted) {
            sample(self.shared, job.store, survey);
        }
        self.room.state().survey = survey.map(Arc::new);
        Ok(Report::of(self.store, &done, seconds))
    }

    /// Remembers and tells how it ended.
    fn note(&self, ended: &Result<Report, Failure>) {
        let at = Now::from_clock().timestamp();
        let mut last = Last {
            run: None,
            at: at.to_string(),
            outcome: Ending::Refused,
            message: None,
            removed: 0,
            freed: 0,
            cause: self.cause,
        };
        match ended {
            Ok(report) => {
                last.run = Some(report.run.clone());
                last.outcome = report.outcome;
                (last.removed, last.freed) = (report.removed, report.freed);
                if report.outcome == Ending::Trouble {
                    let first = report.kept_files.first();
                    last.message = first.map(|file| format!("{}: {}", file.path, file.message));
                }
            }
            Err(Failure::Run(error)) => {
                last.message = Some(crate::diagnostic::chain(error));
                match error {
                    RunError::Latched(_) | RunError::Tripped { .. } => {
                        last.outcome = Ending::Latched;
                    }
                    RunError::Stopped { run, .. } => {
                        last.outcome = Ending::Stopped;
                        last.run = Some(run.to_string());
                    }
                    _ => {}
                }
            }
            Err(_) => return,
        }
        let store = self.store.to_owned();
        self.shared.numbers.ended(self.store, last.outcome, at);
        let message = last.message.clone().unwrap_or_default();
        match (&last.run, last.outcome) {
            (Some(run), outcome) => {
                tracing::info!(
                    store,
                    run,
                    outcome = outcome.word(),
                    removed = last.removed,
                    freed = last.freed,
                    summary = message,
                    "run ended"
                );
                self.shared.tell(Event::RunFinished {
                    store,
                    run: run.clone(),
                    outcome,
                    removed: last.removed,
                    freed: last.freed,
                });
            }
            (None, outcome) => {
                tracing::error!(
                    store,
                    outcome = outcome.word(),
                    reason = message,
                    "run did not begin"
                );
                self.shared.tell(Event::RunRefused {
                    store,
                    outcome,
                    message,
                });
            }
        }
        {
            let mut state = self.room.state();
            if matches!(last.outcome, Ending::Completed | Ending::Trouble) {
                state.last_success = Some(at);
            }
            state.last = Some(last.clone());
        }
        self.shared.alert_of_run(self.store, &last);
        if let Some(store) = self.loaded.config.stores.get(self.store) {
            gauge(self.shared, store);
        }
    }
}

/// What a store looks like now, or a moment ago: at most this old.
pub(super) const FRESH: std::time::Duration = std::time::Duration::from_secs(30);

/// Looks at a store, unless somebody just did.
pub(super) async fn survey(shared: &Arc<Shared>, store: &str) -> Result<Arc<Survey>, Failure> {
    let room = shared.room(store);
    let _turn = room.looking.lock().await;
    let known = room.state().survey.clone();
    if let Some(known) = known
        && is_fresh(&known)
    {
        return Ok(known);
    }
    let name = store.to_owned();
    let counted = Wanted::Counted { by: None };
    let looked = look(
        shared,
        store,
        counted,
        move |shared, job, planned, seconds| {
            let survey = Survey::of(&job.policy, &planned.census, &planned.plan, seconds);
            let survey = Arc::new(survey);
            shared.room(&name).state().survey = Some(Arc::clone(&survey));
            sample(shared, job.store, &survey);
            gauge(shared, job.store);
            survey
        },
    );
    looked.await
}

fn is_fresh(survey: &Survey) -> bool {
    let at: Option<jiff::Timestamp> = survey.at.parse().ok();
    let age = at.map(|at| Now::from_clock().timestamp().duration_since(at));
    // A scan that takes long is worth more.
    let worth = FRESH.as_secs_f64().max(survey.seconds * 20.0);
    age.is_some_and(|age| age.as_secs_f64().abs() < worth)
}

/// Plans a store on a thread that may block and does something with that.
pub(super) async fn look<T: Send + 'static>(
    shared: &Arc<Shared>,
    store: &str,
    wanted: Wanted,
    see: impl FnOnce(&Arc<Shared>, &Job<'_>, Planned, f64) -> T + Send + 'static,
) -> Result<T, Failure> {
    look_at(shared, store, (None, wanted), see).await
}

/// The same as if it were another moment, or for a request.
pub(super) async fn look_at<T: Send + 'static>(
    shared: &Arc<Shared>,
    store: &str,
    (other, wanted): (Option<Other>, Wanted),
    see: impl FnOnce(&Arc<Shared>, &Job<'_>, Planned, f64) -> T + Send + 'static,
) -> Result<T, Failure> {
    let turn = Arc::clone(&shared.room(store).scanning).lock_owned().await;
    let (shared, store) = (Arc::clone(shared), store.to_owned());
    let looked = tokio::task::spawn_blocking(move || {
        // Kept until the scan is over, also when nobody waits for it any more.
        let _turn = turn;
        let loaded = shared.loaded();
        let mut job = loaded.job(&store).ok_or(Failure::NoStore)?;
        let mut now = Now::from_clock();
        match other {
            Some(Other::Moment(moment)) => now = Now::at(moment),
            Some(Other::Request(request)) => {
                job = job.asking(request).ok_or(Failure::NoCaptures)?;
            }
            None => {}
        }
        let begun = Instant::now();
        let planned = job
            .plan(&now, wanted, Arc::default())
            .map_err(Failure::Run)?;
        let seconds = begun.elapsed().as_secs_f64();
        shared
            .numbers
            .scan
            .with_label_values(&[&store])
            .observe(planned.scanned.as_secs_f64());
        shared
            .numbers
            .plan
            .with_label_values(&[&store])
            .observe(seconds);
        Ok(see(&shared, &job, planned, seconds))
    });
    looked.await.map_err(|_| Failure::Lost)?
}

/// What is planned besides the policy now.
#[derive(Clone, Debug)]
pub(super) enum Other {
    /// The policy at that moment.
    Moment(jiff::Timestamp),
    /// A request.
    Request(Request),
}

/// Sets the numbers that cost next to nothing: whether the root and its disk are well.
pub(super) fn gauge_disk(shared: &Shared, store: &Store) {
    let (name, numbers) = ([store.name.as_str()], &shared.numbers);
    let path = &store.path.path;
    let healthy = Health::of(store, &shared.grounds).healthy;
    numbers
        .healthy
        .with_label_values(&name)
        .set(i64::from(healthy));
    if let Some(disk) = DiskView::of(path) {
        shared.alert_of_disk(store, &disk);
        let whole = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        numbers
            .disk_used
            .with_label_values(&name)
            .set(disk.used_ratio);
        numbers
            .disk_size
            .with_label_values(&name)
            .set(whole(disk.size));
        numbers
            .disk_available
            .with_label_values(&name)
            .set(whole(disk.available));
    }
    if let Some(used) = store.warn.used {
        numbers
            .warn_used
            .with_label_values(&name)
            .set(f64::from(used) / 100.0);
    }
    if let Some(growth) = store.warn.growth {
        let per_day = super::alerts::per_day(growth);
        numbers.warn_growth.with_label_values(&name).set(per_day);
    }
}

/// Sets all numbers that say how a store is.
pub(super) fn gauge(shared: &Shared, store: &Store) {
    gauge_disk(shared, store);
    let (name, numbers) = ([store.name.as_str()], &shared.numbers);
    let path = &store.path.path;
    let state = shared.room(&store.name).state().clone();
    if let Some(survey) = &state.survey {
        shared.alert_of_survey(&store.name, survey);
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        numbers
            .store_bytes
            .with_label_values(&name)
            .set(whole(survey.total.bytes));
        numbers
            .store_files
            .with_label_values(&name)
            .set(whole(survey.total.files));
        numbers
            .unmet
            .with_label_values(&name)
            .set(whole(survey.unmet.len() as u64));
    }
    if let Ok(root) = Root::open(path)
        && let Ok((kept, _)) = trash_list(&root)
    {
        let files = kept.iter().map(|run| run.files.len() as i64).sum();
        let of_run = |run: &crate::apply::Kept| -> u64 {
            run.files.iter().map(|file| file.facts.allocated).sum()
        };
        let bytes: u64 = kept.iter().map(of_run).sum();
        numbers.trash_files.with_label_values(&name).set(files);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        numbers.trash_bytes.with_label_values(&name).set(bytes);
    }
    let state_directory = &shared.loaded().config.state;
    if let Ok(Some(journal)) = Journal::open_existing(state_directory)
        && let Ok(latch) = journal.latch(&store.name)
    {
        numbers
            .latched
            .with_label_values(&name)
            .set(i64::from(latch.is_some()));
    }
}

/// Remembers how large a store is and measures how it grows.
fn sample(shared: &Shared, store: &Store, survey: &Survey) {
    let (Ok(at), Some(disk)) = (survey.at.parse(), DiskView::of(&store.path.path)) else {
        return;
    };
    let sample = Sample {
        at,
        files: survey.total.files,
        bytes: survey.total.bytes,
        disk_used: (disk.used_ratio * disk.size as f64) as u64,
        disk_total: disk.size,
    };
    let since = at - jiff::SignedDuration::from_hours(24);
    let measured = Journal::open(&shared.loaded().config.state).and_then(|mut journal| {
        journal.record_sample(&store.name, &sample)?;
        journal.samples(&store.name, since, usize::MAX)
    });
    let Some(growth) = measured.ok().as_deref().and_then(growth_per_day) else {
        return;
    };
    shared
        .numbers
        .growth
        .with_label_values(&[&store.name])
        .set(growth);
    shared.alert_of_growth(store, growth);
}

/// What is done once before the service is ready: roots that are to be made are made,
/// and what earlier runs left is read.
pub(super) fn prepare(shared: &Arc<Shared>) {
    let loaded = shared.loaded();
    for store in loaded.config.stores.values() {
        let path = &store.path.path;
        if store.enabled && store.missing == MissingRoot::Create && !path.exists() {
            match std::fs::create_dir_all(path) {
                Ok(()) => tracing::info!(store = store.name, path = %path.display(), "made"),
                Err(error) => tracing::error!(
                    store = store.name, path = %path.display(), %error, "cannot be made"
                ),
            }
        }
        let health = Health::of(store, &shared.grounds);
        if let Some(message) = health.message.filter(|_| store.enabled) {
            tracing::error!(store = store.name, message, "unhealthy");
        }
    }
    match Journal::open_existing(&loaded.config.state) {
        Ok(Some(journal)) => remember(shared, &loaded, &journal),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "the journal cannot be read"),
    }
    for store in loaded.config.stores.values() {
        gauge(shared, store);
    }
}

/// How a run of the journal ended.
pub(super) fn ending(run: &Summary) -> Ending {
    match run.state {
        Some(State::Completed) if run.tallies.trouble > 0 => Ending::Trouble,
        Some(State::Completed) => Ending::Completed,
        Some(State::Cancelled) => Ending::Cancelled,
        Some(State::Stopped | State::Interrupted) | None => Ending::Stopped,
    }
}

/// When each store was cleaned last, so that a restart neither skips nor doubles a turn.
fn remember(shared: &Arc<Shared>, loaded: &Loaded, journal: &Journal) {
    // Few of each: counting a run's outcomes reads all of them.
    let names = loaded.config.stores.keys();
    let runs = names.filter_map(|name| journal.runs_of(Some(name), 3).ok());
    for run in runs.flatten() {
        let Some(ended) = run.ended.as_ref().and_then(|at| at.parse().ok()) else {
            continue;
        };
        let room = shared.room(&run.store);
        let mut state = room.state();
        let well = run.state == Some(State::Completed);
        if well && state.last_success.is_none() {
            state.last_success = Some(ended);
            let seconds = ended.as_second() as f64;
            shared
                .numbers
                .last_success
                .with_label_values(&[&run.store])
                .set(seconds);
        }
        if state.last.is_none() {
            state.last = Some(Last {
                run: Some(run.id.to_string()),
                at: ended.to_string(),
                outcome: ending(&run),
                message: None,
                removed: run.tallies.removed,
                freed: run.tallies.freed,
                cause: Cause::Schedule,
            });
        }
    }
}
