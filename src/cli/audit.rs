//! `retain audit`

use std::io::Write;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{Edge, Exit, complain, say};
use crate::journal::Journal;

/// See whether the journal is as it was written.
#[derive(Debug, clap::Args)]
pub(super) struct Audit {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Compute every hash again.
    Verify {
        /// A head that was kept elsewhere: the chain must lead through it.
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Show the newest hash, to be kept elsewhere.
    Head,
    /// Write every record as a line of JSON.
    Export,
}

impl Audit {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let journal = Journal::open_existing(&config.state)?
            .with_context(|| format!("there is no journal in `{}` yet", config.state.display()))?;
        match &self.action {
            Action::Verify { head } => verify(edge, &journal, head.as_deref()),
            Action::Head => show_head(edge, &journal),
            Action::Export => export(&journal),
        }
    }
}

fn verify(edge: &Edge, journal: &Journal, head: Option<&str>) -> anyhow::Result<Exit> {
    let verified = journal.verify(head)?;
    if edge.is_json() {
        say(&json!({
            "records": verified.records,
            "pruned": verified.pruned,
            "problems": verified.problems,
        })
        .to_string())?;
    } else {
        let since = match &verified.pruned {
            Some(at) => format!(", back to where {at} pruned it"),
            None => String::new(),
        };
        match verified.problems.len() {
            0 => say(&format!(
                "{} records, each as it was written{since}",
                verified.records
            ))?,
            problems => complain(&format!(
                "error: {problems} of {} records are not as they were written",
                verified.records
            )),
        }
        for problem in &verified.problems {
            complain(&format!("  {problem}"));
        }
    }
    Ok(match verified.problems.is_empty() {
        true => Exit::Done,
        false => Exit::No,
    })
}

fn show_head(edge: &Edge, journal: &Journal) -> anyhow::Result<Exit> {
    let head = journal.head()?.context("nothing was recorded yet")?;
    match edge.is_json() {
        true => say(&json!({ "sequence": head.sequence, "head": head.hash }).to_string())?,
        false => say(&head.hash)?,
    }
    Ok(Exit::Done)
}

fn export(journal: &Journal) -> anyhow::Result<Exit> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut written = Ok(());
    journal.export(&mut |record| {
        written = writeln!(out, "{record}");
        written.is_ok()
    })?;
    written?;
    out.flush()?;
    Ok(Exit::Done)
}
