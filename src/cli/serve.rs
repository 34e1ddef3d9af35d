//! `retain serve`

use clap::ValueEnum;

use super::{Edge, Exit, complain, look, show_findings};
use crate::confine::{Confinement, confine};
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
        match confine(&loaded.places())? {
            Confinement::Whole => {}
            Confinement::Partial => tracing::info!("the kernel knows a part of Landlock's rights"),
            Confinement::None => tracing::warn!(
                "this kernel has no Landlock: only the program's own care keeps it inside its stores"
            ),
        }
        serve(loaded, credentials)?;
        Ok(Exit::Done)
    }
}
