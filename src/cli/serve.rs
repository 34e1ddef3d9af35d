//! `retain serve`

use clap::ValueEnum;

use super::{Edge, Exit, complain, look, show_findings};
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
    pub(super) fn logs_json(&self) -> bool {
        match self.log_format {
            Some(format) => format == LogFormat::Json,
            None => !std::io::IsTerminal::is_terminal(&std::io::stderr()),
        }
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
        super::confined::confined(&loaded.config, None)?;
        serve(loaded, credentials)?;
        Ok(Exit::Done)
    }
}
