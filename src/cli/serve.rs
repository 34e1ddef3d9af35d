//! `retain serve`

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::{Edge, Exit, complain, look, show_findings};
use crate::service::telemetry::Telemetry;
use crate::service::{LoadError, Loaded, Origin, serve};

/// Clean every store on its schedule, and answer over HTTP.
///
/// Ends on SIGTERM within ten seconds: what is in hand is finished. Reads its
/// configuration again when it changes, and on SIGHUP.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// How the log is written; JSON where nobody sits before it.
    #[arg(long, value_enum)]
    pub(super) log_format: Option<LogFormat>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    Text,
    /// A line of JSON for each event.
    Json,
}

impl Serve {
    /// Whether the log is for a program to read.
    fn logs_json(&self) -> bool {
        match self.log_format {
            Some(format) => format == LogFormat::Json,
            None => !std::io::stderr().is_terminal(),
        }
    }

    /// Log and spans have a filter each: who wants to hear less wants to see as much.
    fn begin_log(&self, telemetry: Option<&Telemetry>) {
        let filter = |default: &str| {
            EnvFilter::try_from_env("RETAIN_LOG").unwrap_or_else(|_| EnvFilter::new(default))
        };
        let log = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_target(false);
        let log = match self.logs_json() {
            true => log.json().with_current_span(false).boxed(),
            false => log.with_ansi(std::io::stderr().is_terminal()).boxed(),
        };
        // A service that says nothing cannot be told from one that hangs.
        let log = log.with_filter(filter("info,wasmtime=error"));
        let spans =
            telemetry.map(|telemetry| telemetry.layer().with_filter(EnvFilter::new("retain=info")));
        tracing_subscriber::registry().with(log).with(spans).init();
    }

    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let origin = Origin {
            file: std::path::absolute(&edge.config)?,
            environment: edge.environment.clone(),
        };
        let loaded = match Loaded::read(origin) {
            Ok(loaded) => loaded,
            Err(LoadError(findings)) => {
                show_findings(&findings, "the service did not start");
                return Ok(Exit::Refused);
            }
        };
        for warning in loaded.warnings() {
            complain(&warning.render(look()));
        }
        let credentials = match loaded.config.credentials(&edge.environment) {
            Ok(credentials) => credentials,
            Err(findings) => {
                show_findings(&findings, "the service did not start");
                return Ok(Exit::Refused);
            }
        };
        // Before the first thread is made: it holds for a thread and those it makes.
        let (confinement, grounds) = super::confined::hold(&loaded.config, None)?;
        let telemetry = match &loaded.config.service.otlp {
            Some(collector) => Some(Telemetry::start(collector)?),
            None => None,
        };
        self.begin_log(telemetry.as_ref());
        super::confined::say_how_far(confinement);
        let ended = serve(loaded, credentials, grounds);
        if let Some(telemetry) = telemetry {
            telemetry.stop();
        }
        ended?;
        Ok(Exit::Done)
    }
}
