//! Numbers for Prometheus, in its text format.
//!
//! Names and units follow its conventions: base units, `_total` for what only grows.

use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::state::Ending;
use super::webhook::Deliveries;
use crate::plugin::Metrics;
use crate::run::Done;

/// Seconds a scan, a plan or a run may take: from a small store to an hour.
const SECONDS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// Every number there is.
#[derive(Debug)]
pub(super) struct Numbers {
    registry: Registry,
    runs: IntCounterVec,
    run_files: IntCounterVec,
    run_bytes: IntCounterVec,
    freed: IntCounterVec,
    archived: IntCounterVec,
    pub(super) scan: HistogramVec,
    pub(super) plan: HistogramVec,
    pub(super) run: HistogramVec,
    plugin_calls: IntCounterVec,
    plugin_seconds: prometheus::CounterVec,
    plugin_traps: IntCounterVec,
    plugin_read: IntCounterVec,
    plugin_written: IntCounterVec,
    pub(super) trash_bytes: IntGaugeVec,
    pub(super) trash_files: IntGaugeVec,
    pub(super) latched: IntGaugeVec,
    pub(super) last_run: GaugeVec,
    pub(super) last_success: GaugeVec,
    pub(super) next_run: GaugeVec,
    pub(super) interval: GaugeVec,
    pub(super) running: IntGaugeVec,
    pub(super) store_bytes: IntGaugeVec,
    pub(super) store_files: IntGaugeVec,
    pub(super) healthy: IntGaugeVec,
    pub(super) disk_used: GaugeVec,
    pub(super) disk_size: IntGaugeVec,
    pub(super) disk_available: IntGaugeVec,
    pub(super) warn_used: GaugeVec,
    pub(super) growth: GaugeVec,
    pub(super) warn_growth: GaugeVec,
    pub(super) unmet: IntGaugeVec,
    reload_successful: IntGauge,
    reload_time: prometheus::Gauge,
    webhook: IntCounterVec,
    pub(super) requests: IntCounterVec,
}

/// What a plugin did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::service) struct PluginFigures {
    /// Calls that succeeded.
    pub ok: u64,
    /// Calls in which it said no.
    pub refused: u64,
    /// Calls that failed or were ended.
    pub failed: u64,
    /// Time its instances lived.
    pub seconds: f64,
    /// Bytes it was given.
    pub read: u64,
    /// Bytes it wrote.
    pub written: u64,
}

impl Numbers {
    pub(super) fn new() -> Result<Numbers, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let whole = |name: &str, help: &str| {
            let made = IntGaugeVec::new(Opts::new(name, help), &["store"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let gauge = |name: &str, help: &str| {
            let made = GaugeVec::new(Opts::new(name, help), &["store"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let seconds = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            let made = HistogramVec::new(options, &["store"])?;
            registry.register(Box::new(made.clone()))?;
            Ok::<_, prometheus::Error>(made)
        };
        let build = IntGaugeVec::new(
            Opts::new("retain_build_info", "The version that runs; always 1."),
            &["version"],
        )?;
        registry.register(Box::new(build.clone()))?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let reload_successful = IntGauge::new(
            "retain_config_last_reload_successful",
            "Whether the configuration that was found last is the one that runs.",
        )?;
        registry.register(Box::new(reload_successful.clone()))?;
        let reload_time = prometheus::Gauge::new(
            "retain_config_last_reload_success_timestamp_seconds",
            "When the configuration that runs was read.",
        )?;
        registry.register(Box::new(reload_time.clone()))?;
        let plugin_seconds = prometheus::CounterVec::new(
            Opts::new(
                "retain_plugin_seconds_total",
                "Time instances of a plugin lived.",
            ),
            &["plugin"],
        )?;
        registry.register(Box::new(plugin_seconds.clone()))?;
        let by_rule = ["store", "collection", "rule", "outcome"];
        Ok(Numbers {
            runs: counter(
                "retain_runs_total",
                "Runs, by how they ended.",
                &["store", "outcome"],
            )?,
            run_files: counter(
                "retain_run_files_total",
                "Files of runs, by the statement that doomed them and what became of them.",
                &by_rule,
            )?,
            run_bytes: counter(
                "retain_run_bytes_total",
                "Allocated bytes of these files.",
                &by_rule,
            )?,
            freed: counter(
                "retain_freed_bytes_total",
                "Bytes that runs gave back.",
                &["store"],
            )?,
            archived: counter(
                "retain_archived_files_total",
                "Files that were archived before they went.",
                &["store"],
            )?,
            scan: seconds("retain_scan_seconds", "Time to look through a store.")?,
            plan: seconds(
                "retain_plan_seconds",
                "Time to look through a store and decide.",
            )?,
            run: seconds("retain_run_seconds", "Time of a whole run.")?,
            plugin_calls: counter(
                "retain_plugin_calls_total",
                "Calls of plugins, by what came of them.",
                &["plugin", "result"],
            )?,
            plugin_seconds,
            plugin_traps: counter(
                "retain_plugin_traps_total",
                "Instances that trapped, or were ended at a limit.",
                &["plugin"],
            )?,
            plugin_read: counter(
                "retain_plugin_read_bytes_total",
                "Bytes that plugins were given.",
                &["plugin"],
            )?,
            plugin_written: counter(
                "retain_plugin_written_bytes_total",
                "Bytes that plugins wrote.",
                &["plugin"],
            )?,
            trash_bytes: whole("retain_trash_bytes", "Bytes that lie in the trash.")?,
            trash_files: whole("retain_trash_files", "Files that lie in the trash.")?,
            latched: whole(
                "retain_breaker_latched",
                "Whether nothing is removed until a person has looked.",
            )?,
            last_run: gauge(
                "retain_last_run_timestamp_seconds",
                "When the last run ended.",
            )?,
            last_success: gauge(
                "retain_last_success_timestamp_seconds",
                "When the last run ended that went through its whole plan.",
            )?,
            next_run: gauge(
                "retain_next_run_timestamp_seconds",
                "When the next run is due.",
            )?,
            interval: gauge(
                "retain_schedule_interval_seconds",
                "The longest time between two runs of the schedule.",
            )?,
            running: whole("retain_running", "Whether a run goes on.")?,
            store_bytes: whole("retain_store_bytes", "Allocated bytes of the files seen.")?,
            store_files: whole("retain_store_files", "Files seen.")?,
            healthy: whole(
                "retain_store_healthy",
                "Whether the root is there and can be read and written.",
            )?,
            disk_used: gauge("retain_disk_used_ratio", "How full the file system is.")?,
            disk_size: whole("retain_disk_size_bytes", "The size of the file system.")?,
            disk_available: whole("retain_disk_available_bytes", "What is left of it.")?,
            warn_used: gauge("retain_warn_used_ratio", "The mark `warn.used` sets.")?,
            growth: gauge(
                "retain_store_growth_bytes_per_day",
                "How fast the store has grown lately.",
            )?,
            warn_growth: gauge(
                "retain_warn_growth_bytes_per_day",
                "The mark `warn.growth` sets.",
            )?,
            unmet: whole("retain_budget_unmet", "Budgets that no eviction can meet.")?,
            reload_successful,
            reload_time,
            webhook: counter(
                "retain_webhook_deliveries_total",
                "Alerts sent to the webhook, by what came of it.",
                &["result"],
            )?,
            requests: counter(
                "retain_http_requests_total",
                "Requests, by route, method and status.",
                &["route", "method", "code"],
            )?,
            registry,
        })
    }

    /// Everything in Prometheus' text format.
    pub(super) fn text(&self, deliveries: Option<Deliveries>) -> String {
        if let Some(deliveries) = deliveries {
            for (result, count) in [
                ("delivered", deliveries.delivered),
                ("given_up", deliveries.given_up),
                ("retried", deliveries.retried),
            ] {
                let counter = self.webhook.with_label_values(&[result]);
                counter.inc_by(count.saturating_sub(counter.get()));
            }
        }
        let mut out = Vec::new();
        // Only a broken writer makes it fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    pub(super) fn reloaded(&self, successful: bool, at: jiff::Timestamp) {
        self.reload_successful.set(i64::from(successful));
        if successful {
            self.reload_time.set(at.as_second() as f64);
        }
    }

    /// Counts a run that ended.
    pub(super) fn ended(&self, store: &str, ending: Ending, at: jiff::Timestamp) {
        self.runs.with_label_values(&[store, ending.word()]).inc();
        self.last_run
            .with_label_values(&[store])
            .set(at.as_second() as f64);
        if matches!(ending, Ending::Completed | Ending::Trouble) {
            self.last_success
                .with_label_values(&[store])
                .set(at.as_second() as f64);
        }
    }

    /// Counts what a run did.
    pub(super) fn done(&self, store: &str, done: &Done) {
        for counted in &done.by_rule {
            let labels = [store, &counted.collection, &counted.rule, counted.outcome];
            self.run_files
                .with_label_values(&labels)
                .inc_by(counted.tally.files);
            self.run_bytes
                .with_label_values(&labels)
                .inc_by(counted.tally.bytes);
        }
        self.freed
            .with_label_values(&[store])
            .inc_by(done.tallies.freed.saturating_add(done.purged.freed));
        self.archived
            .with_label_values(&[store])
            .inc_by(done.receipts);
        for plugin in &done.plugins {
            self.plugin(plugin);
        }
    }

    /// What a plugin did since the service began.
    pub(super) fn of_plugin(&self, name: &str) -> PluginFigures {
        let calls = |result| self.plugin_calls.with_label_values(&[name, result]).get();
        PluginFigures {
            ok: calls("ok"),
            refused: calls("refused"),
            failed: calls("failed") + calls("trapped"),
            seconds: self.plugin_seconds.with_label_values(&[name]).get(),
            read: self.plugin_read.with_label_values(&[name]).get(),
            written: self.plugin_written.with_label_values(&[name]).get(),
        }
    }

    fn plugin(&self, metrics: &Metrics) {
        let name = metrics.plugin.as_str();
        let broken = metrics.traps + metrics.timeouts;
        let well = metrics
            .calls
            .saturating_sub(metrics.refusals + metrics.failures + broken);
        for (result, count) in [
            ("ok", well),
            ("refused", metrics.refusals),
            ("failed", metrics.failures),
            ("trapped", broken),
        ] {
            self.plugin_calls
                .with_label_values(&[name, result])
                .inc_by(count);
        }
        self.plugin_seconds
            .with_label_values(&[name])
            .inc_by(metrics.time.as_secs_f64());
        self.plugin_traps.with_label_values(&[name]).inc_by(broken);
        self.plugin_read
            .with_label_values(&[name])
            .inc_by(metrics.bytes_in);
        self.plugin_written
            .with_label_values(&[name])
            .inc_by(metrics.bytes_out);
    }
}
