//! What the service knows while it runs, and who may change it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, watch};
use utoipa::ToSchema;

use super::loaded::Loaded;
use super::metrics::Numbers;
use super::survey::{Health, Survey};
use super::webhook::Webhook;
use crate::cancel::Cancel;
use crate::confine::Grounds;
use crate::plan::Plan;
use crate::time::Now;

/// Events a slow reader may be behind before it misses some.
const EVENTS: usize = 256;

/// Who may listen at once: an open stream holds a connection for as long as it likes.
const LISTENERS: usize = 64;

/// Plans that are kept for whoever wants to apply just them.
const PLANS: usize = 8;

/// Steps of all kept plans together: what they may cost in memory.
const STEPS: usize = 200_000;

/// How long a shown plan waits to be applied.
const PLAN_KEPT: Duration = Duration::from_secs(3600);

/// Something that happened, as those who listen are told.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub(in crate::service) enum Event {
    /// A run has begun.
    RunStarted {
        /// The store.
        store: String,
        /// The run.
        run: String,
        /// Steps of its plan.
        files: u64,
    },
    /// A run has come further.
    RunProgress {
        /// The store.
        store: String,
        /// The run.
        run: String,
        /// Steps behind it.
        done: u64,
        /// Steps of its plan.
        files: u64,
    },
    /// A run has ended.
    RunFinished {
        /// The store.
        store: String,
        /// The run.
        run: String,
        /// How it ended.
        outcome: Ending,
        /// Files it removed.
        removed: u64,
        /// Bytes that gave back.
        freed: u64,
    },
    /// A run did not begin.
    RunRefused {
        /// The store.
        store: String,
        /// How it ended.
        outcome: Ending,
        /// Why.
        message: String,
    },
    /// The configuration was read again.
    Reloaded {
        /// Whether it is the one that runs now.
        successful: bool,
        /// What was wrong with it.
        message: Option<String>,
    },
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::service) enum Ending {
    /// It went through its whole plan.
    Completed,
    /// It did, and some files were blocked or failed.
    Trouble,
    /// It was told to end.
    Cancelled,
    /// Something stopped it.
    Stopped,
    /// It did not begin: the breaker waits for a person.
    Latched,
    /// It did not begin.
    Refused,
}

impl Ending {
    /// A stable word.
    pub(in crate::service) fn word(self) -> &'static str {
        match self {
            Ending::Completed => "completed",
            Ending::Trouble => "trouble",
            Ending::Cancelled => "cancelled",
            Ending::Stopped => "stopped",
            Ending::Latched => "latched",
            Ending::Refused => "refused",
        }
    }
}

/// A run that goes on.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Running {
    /// Its name; none while the store is being looked at.
    pub run: Option<String>,
    /// When it began, RFC 3339.
    pub since: String,
    /// Why it was started.
    pub cause: Cause,
    /// Steps behind it.
    pub done: u64,
    /// Steps of its plan.
    pub files: u64,
}

/// Who started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::service) enum Cause {
    /// Its time had come.
    Schedule,
    /// Something is too full.
    Pressure,
    /// Somebody asked.
    Request,
}

/// How the last run of a store went.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Last {
    /// The run; none where it did not begin.
    pub run: Option<String>,
    /// When it ended, RFC 3339.
    pub at: String,
    /// How.
    pub outcome: Ending,
    /// What is worth saying about it.
    pub message: Option<String>,
    /// Files it removed.
    pub removed: u64,
    /// Bytes that gave back.
    pub freed: u64,
    /// Why it was started.
    pub cause: Cause,
}

/// One store while the service runs.
#[derive(Debug)]
pub(super) struct Room {
    /// Held by whoever works on the store.
    pub(super) busy: Arc<tokio::sync::Mutex<()>>,
    /// Held by whoever looks at it, so that ten readers make one scan.
    pub(super) looking: tokio::sync::Mutex<()>,
    /// Held by whoever scans it for a question, so that many questions are no storm.
    pub(super) scanning: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<RoomState>,
}

/// What changes about a store.
#[derive(Clone, Debug, Default)]
pub(super) struct RoomState {
    pub(super) running: Option<Running>,
    pub(super) last: Option<Last>,
    pub(super) last_success: Option<jiff::Timestamp>,
    pub(super) next: Option<jiff::Timestamp>,
    /// When a turn is tried again that another process kept from its store.
    pub(super) retry: Option<jiff::Timestamp>,
    pub(super) survey: Option<Arc<Survey>>,
}

impl Room {
    fn new() -> Room {
        Room {
            busy: Arc::default(),
            looking: tokio::sync::Mutex::new(()),
            scanning: Arc::default(),
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the last attempt to read the configuration went.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::service) struct Reload {
    /// Whether what was found is what runs.
    pub successful: bool,
    /// When it was tried, RFC 3339.
    pub at: String,
    /// When what runs was read, RFC 3339.
    pub running_since: String,
    /// What was wrong.
    pub message: Option<String>,
}

/// A plan that was shown.
#[derive(Debug)]
struct Shown {
    digest: String,
    plan: Arc<Plan>,
    at: Instant,
}

/// Everything that is shared.
#[derive(Debug)]
pub(super) struct Shared {
    loaded: RwLock<Arc<Loaded>>,
    rooms: Mutex<BTreeMap<String, Arc<Room>>>,
    events: broadcast::Sender<Event>,
    listeners: Arc<Semaphore>,
    pub(super) numbers: Numbers,
    pub(super) cancel: Cancel,
    stopping: watch::Sender<bool>,
    working: watch::Sender<usize>,
    reload: Notify,
    reloaded: Mutex<Reload>,
    /// Where alerts go, if anywhere.
    pub(super) webhook: Option<Webhook>,
    /// When the service began.
    pub(super) started: jiff::Timestamp,
    /// Where this process may write for good, once it is confined.
    pub(super) places: Vec<std::path::PathBuf>,
    /// What those were when it was.
    pub(super) grounds: Grounds,
    ready: AtomicBool,
    shelf: Mutex<VecDeque<Shown>>,
}

impl Shared {
    pub(super) fn new(
        loaded: Loaded,
        webhook: Option<Webhook>,
        grounds: Grounds,
    ) -> Result<Shared, prometheus::Error> {
        let started = Now::from_clock().timestamp();
        let now = started.to_string();
        let places = loaded.places();
        let shared = Shared {
            loaded: RwLock::new(Arc::new(loaded)),
            rooms: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            listeners: Arc::new(Semaphore::new(LISTENERS)),
            numbers: Numbers::new()?,
            cancel: Cancel::default(),
            stopping: watch::channel(false).0,
            working: watch::channel(0).0,
            reload: Notify::new(),
            reloaded: Mutex::new(Reload {
                successful: true,
                at: now.clone(),
                running_since: now,
                message: None,
            }),
            webhook,
            started,
            places,
            grounds,
            ready: AtomicBool::new(false),
            shelf: Mutex::default(),
        };
        shared.numbers.reloaded(true, Now::from_clock().timestamp());
        Ok(shared)
    }

    /// Makes stores that want to be made, reads what earlier runs left, and is ready.
    pub(super) async fn begin(self: &Arc<Shared>) {
        let shared = Arc::clone(self);
        let begun = tokio::task::spawn_blocking(move || super::work::prepare(&shared)).await;
        if let Err(error) = begun {
            tracing::error!(%error, "stores could not be looked at");
        }
        self.ready.store(true, Ordering::Release);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !*self.stopping.borrow()
    }

    /// What is wrong with stores that only a restart can mend.
    pub(super) fn beyond_reach(&self) -> Vec<String> {
        let loaded = self.loaded();
        let stores = loaded.config.stores.values().filter(|store| store.enabled);
        let lost = stores.filter(|store| !self.grounds.reach(&store.path.path));
        lost.filter_map(|store| Health::of(store, &self.grounds).message)
            .collect()
    }

    pub(super) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What happens to a store goes on under its name, whatever a reload changes.
    pub(super) fn room(&self, store: &str) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms
            .entry(store.to_owned())
            .or_insert_with(|| Arc::new(Room::new()));
        Arc::clone(room)
    }

    pub(super) fn swap(&self, loaded: Loaded) {
        let loaded = Arc::new(loaded);
        let names: Vec<String> = loaded.config.stores.keys().cloned().collect();
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        // What was seen under another policy is not what this one sees.
        for name in names {
            self.room(&name).state().survey = None;
        }
    }

    /// Whether a store waits for a person, as far as was seen.
    pub(super) fn is_latched(&self, store: &str) -> bool {
        self.numbers.latched.with_label_values(&[store]).get() != 0
    }

    /// Something changed in a store outside a run: it is looked at again.
    pub(super) fn forget_survey(&self, store: &str) {
        self.room(store).state().survey = None;
    }

    /// Everything for Prometheus, in its text format.
    pub(super) fn metrics(&self) -> String {
        let deliveries = self.webhook.as_ref().map(Webhook::deliveries);
        self.numbers.text(deliveries)
    }

    pub(super) fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// What happens from now on, if not too many listen already. The permit is for as long
    /// as somebody does.
    pub(super) fn listen(&self) -> Option<(broadcast::Receiver<Event>, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.listeners).try_acquire_owned().ok()?;
        Some((self.events.subscribe(), permit))
    }

    pub(super) fn wake_reload(&self) {
        self.reload.notify_one();
    }

    pub(super) async fn woken_to_reload(&self) {
        self.reload.notified().await;
    }

    pub(super) fn reloaded(&self) -> MutexGuard<'_, Reload> {
        self.reloaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No run begins any more, and those that go on finish what they have in hand.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
        self.stopping.send_replace(true);
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    pub(super) async fn stopped(&self) {
        let mut stopping = self.stopping.subscribe();
        // An error is a service that is gone, which is stopped as well.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Counts a run for as long as what is returned lives.
    pub(super) fn at_work(self: &Arc<Shared>) -> AtWork {
        self.working.send_modify(|working| *working += 1);
        AtWork(Arc::clone(self))
    }

    pub(super) async fn all_idle(&self) {
        let mut working = self.working.subscribe();
        let _ = working.wait_for(|working| *working == 0).await;
    }

    /// What is done last, when nothing works any more.
    pub(super) fn end(&self) {
        tracing::info!("ended");
    }

    /// Keeps a plan that was shown, so that just this one can be asked for.
    pub(super) fn shelve(&self, plan: Plan) -> (String, Arc<Plan>) {
        let plan = Arc::new(plan);
        let digest = plan.digest();
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.retain(|shown| shown.digest != digest && shown.at.elapsed() < PLAN_KEPT);
        shelf.push_back(Shown {
            digest: digest.clone(),
            plan: Arc::clone(&plan),
            at: Instant::now(),
        });
        let steps = |shelf: &VecDeque<Shown>| -> usize {
            shelf.iter().map(|shown| shown.plan.steps.len()).sum()
        };
        while shelf.len() > PLANS || shelf.len() > 1 && steps(&shelf) > STEPS {
            shelf.pop_front();
        }
        (digest, plan)
    }

    /// The shown plan a digest, or its beginning, belongs to.
    pub(super) fn shown(&self, digest: &str) -> Option<Arc<Plan>> {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = shelf.iter().filter(|shown| {
            digest.len() >= 8 && shown.digest.starts_with(digest) && shown.at.elapsed() < PLAN_KEPT
        });
        match (found.next(), found.next()) {
            (Some(shown), None) => Some(Arc::clone(&shown.plan)),
            _ => None,
        }
    }
}

/// A run that is counted as going on.
#[derive(Debug)]
pub(super) struct AtWork(Arc<Shared>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.working.send_modify(|working| *working -= 1);
    }
}
