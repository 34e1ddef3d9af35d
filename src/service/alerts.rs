//! What a person should know, found in what the service sees anyway.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::state::{Ending, Last, Shared};
use super::survey::{DiskView, Survey};
use super::webhook::{Alert, Event};
use crate::config::Store;
use crate::plugin::Metrics;
use crate::time::Now;
use crate::units::{Elapsed, Size};

/// Intervals without a success after which somebody is told.
const INTERVALS: u32 = 3;

impl Shared {
    /// Says what is wrong, or that it is right again.
    fn alert(
        &self,
        event: Event,
        store: &str,
        wrong: Option<String>,
        details: impl FnOnce() -> Value,
    ) {
        let Some(webhook) = &self.webhook else { return };
        match wrong {
            None => webhook.clear(event, store),
            Some(message) => webhook.raise(
                Alert {
                    event,
                    store: store.to_owned(),
                    message,
                    details: object(details()),
                },
                &Now::from_clock(),
            ),
        }
    }

    /// After a run ended, or did not begin.
    pub(super) fn alert_of_run(&self, store: &str, last: &Last) {
        let message = || last.message.clone().unwrap_or_default();
        let details = || {
            json!({
                "run": last.run,
                "outcome": last.outcome.word(),
                "removed": last.removed,
                "freed": last.freed,
            })
        };
        let latched = (last.outcome == Ending::Latched)
            .then(|| format!("store `{store}` waits for a person: {}", message()));
        self.alert(Event::BreakerTripped, store, latched, details);
        let failed = match last.outcome {
            Ending::Trouble | Ending::Stopped | Ending::Refused => Some(format!(
                "the last run of store `{store}` ended as {}: {}",
                last.outcome.word(),
                message()
            )),
            Ending::Completed | Ending::Cancelled | Ending::Latched => None,
        };
        self.alert(Event::RunFailed, store, failed, details);
    }

    /// After plugins were called.
    pub(super) fn alert_of_plugins(&self, store: &str, plugins: &[Metrics]) {
        if plugins.is_empty() {
            return;
        }
        let bad = |metrics: &&Metrics| metrics.failures + metrics.traps + metrics.timeouts > 0;
        let failing: Vec<&Metrics> = plugins.iter().filter(bad).collect();
        let named: Vec<String> = failing
            .iter()
            .map(|metrics| {
                format!(
                    "`{}` did not succeed for {} files",
                    metrics.plugin,
                    metrics.failures.max(metrics.traps + metrics.timeouts)
                )
            })
            .collect();
        let wrong = (!named.is_empty()).then(|| {
            format!(
                "plugins fail in store `{store}`, whose files stay: {}",
                named.join(", ")
            )
        });
        self.alert(Event::PluginFailing, store, wrong, || {
            let names: Vec<&str> = failing.iter().map(|m| m.plugin.as_str()).collect();
            json!({ "plugins": names })
        });
    }

    /// After a store was looked at.
    pub(super) fn alert_of_survey(&self, store: &str, survey: &Survey) {
        let wrong = survey.unmet.first().map(|first| {
            format!("store `{store}` has a budget that no eviction can meet: {first}")
        });
        self.alert(
            Event::BudgetUnmet,
            store,
            wrong,
            || json!({ "unmet": survey.unmet }),
        );
    }

    /// After a disk was measured.
    pub(super) fn alert_of_disk(&self, store: &Store, disk: &DiskView) {
        let Some(mark) = store.warn.used else { return };
        let percent = disk.used_ratio * 100.0;
        let wrong = (percent > f64::from(mark)).then(|| {
            format!(
                "the file system of store `{}` is {percent:.0} % full, above the mark of {mark} %; {} are left",
                store.name,
                Size(disk.available)
            )
        });
        self.alert(
            Event::DiskAboveMark,
            &store.name,
            wrong,
            || json!({ "used_ratio": disk.used_ratio, "available": disk.available, "mark": mark }),
        );
    }

    /// After growth was measured.
    pub(super) fn alert_of_growth(&self, store: &Store, bytes_per_day: f64) {
        let Some(mark) = store.warn.growth else {
            return;
        };
        let marked = per_day(mark);
        let wrong = (bytes_per_day > marked).then(|| {
            format!(
                "store `{}` grows by {} a day, above the mark of {}",
                store.name,
                Size(bytes_per_day as u64),
                Size(marked as u64)
            )
        });
        self.alert(
            Event::GrowthAboveMark,
            &store.name,
            wrong,
            || json!({ "bytes_per_day": bytes_per_day, "mark": marked }),
        );
    }

    /// Now and then: whether a store has been without a success for too long.
    pub(super) fn alert_of_silence(&self, store: &Store, longest: Option<Duration>) {
        let Some(longest) = longest.filter(|_| store.enabled) else {
            return self.alert(Event::NoSuccess, &store.name, None, || Value::Null);
        };
        let since = self.room(&store.name).state().last_success;
        let since = since
            .unwrap_or(self.started)
            .max(self.started - longest_signed(longest));
        let silent = Now::from_clock().timestamp().duration_since(since);
        let silent = u64::try_from(silent.as_secs()).unwrap_or(0);
        let wrong = (silent > (longest * INTERVALS).as_secs()).then(|| {
            format!(
                "no run of store `{}` has succeeded for {}",
                store.name,
                Elapsed(silent)
            )
        });
        self.alert(
            Event::NoSuccess,
            &store.name,
            wrong,
            || json!({ "since": since.to_string(), "interval_seconds": longest.as_secs() }),
        );
    }
}

/// What happened before this process began is no silence of its own; one turn of it is
/// counted, so that a service that is restarted all the time is noticed.
fn longest_signed(longest: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(longest).unwrap_or(jiff::SignedDuration::MAX)
}

/// A mark of growth in bytes a day.
pub(super) fn per_day(growth: crate::config::Growth) -> f64 {
    let seconds = growth.per.approximate_seconds().max(1);
    growth.size.0 as f64 * 86_400.0 / seconds as f64
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
