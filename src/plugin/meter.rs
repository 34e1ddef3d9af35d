//! What plugins did, counted while they do it, for whoever exports or reports it.
//!
//! Every instance adds to its plugin's numbers once, at its end; a batch of reviews or
//! one archive costs a lock and a few additions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::manifest::Kind;

/// What one plugin did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Its name in the configuration.
    pub plugin: String,
    /// What it does with files.
    pub kind: Kind,
    /// Instances that were called: an archive and its proof are two.
    pub calls: u64,
    /// How long they lived, all of them together; those of several threads overlap.
    pub time: Duration,
    /// Instances that trapped or were ended for exceeding a limit other than time.
    pub traps: u64,
    /// Instances that were ended because their time was up.
    pub timeouts: u64,
    /// Files it wants kept.
    pub refusals: u64,
    /// Files it did not succeed for, whatever the cause.
    pub failures: u64,
    /// Bytes it was given of files and stored objects.
    pub bytes_in: u64,
    /// Bytes it has put into objects and restored files.
    pub bytes_out: u64,
}

/// The numbers of all plugins of a run, or of as many runs as share it.
#[derive(Clone, Debug, Default)]
pub struct Meters(Arc<Mutex<ByPlugin>>);

type ByPlugin = BTreeMap<Arc<str>, (Kind, Arc<Meter>)>;

impl Meters {
    /// What was counted until now, by the plugins' names.
    pub fn read(&self) -> Vec<Metrics> {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |(plugin, (kind, meter)): (&Arc<str>, &(Kind, Arc<Meter>))| {
            let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
            Metrics {
                plugin: plugin.to_string(),
                kind: *kind,
                calls: of(&meter.calls),
                time: Duration::from_nanos(of(&meter.nanoseconds)),
                traps: of(&meter.traps),
                timeouts: of(&meter.timeouts),
                refusals: of(&meter.refusals),
                failures: of(&meter.failures),
                bytes_in: of(&meter.bytes_in),
                bytes_out: of(&meter.bytes_out),
            }
        };
        meters.iter().map(read).collect()
    }

    /// Where the numbers of one plugin go.
    pub(super) fn of(&self, plugin: &Arc<str>, kind: Kind) -> Arc<Meter> {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters
            .entry(Arc::clone(plugin))
            .or_insert_with(|| (kind, Arc::default()));
        Arc::clone(&meter.1)
    }
}

/// The numbers of one plugin.
#[derive(Debug, Default)]
pub(super) struct Meter {
    calls: AtomicU64,
    nanoseconds: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    refusals: AtomicU64,
    failures: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// One thing that is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    Trap,
    Timeout,
    Refusal,
    Failure,
}

impl Meter {
    /// Counts an instance that has ended.
    pub(super) fn instance(&self, lived: Duration, bytes_in: u64, bytes_out: u64) {
        let nanoseconds = u64::try_from(lived.as_nanos()).unwrap_or(u64::MAX);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }

    pub(super) fn count(&self, event: Event) {
        let counter = match event {
            Event::Trap => &self.traps,
            Event::Timeout => &self.timeouts,
            Event::Refusal => &self.refusals,
            Event::Failure => &self.failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
