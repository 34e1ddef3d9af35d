//! `retain runs`

use serde_json::json;

use super::show::{files, outcome_json};
use super::{Edge, Exit, at_seconds, say};
use crate::journal::{Journal, Settled, State, Summary};
use crate::units::Size;

/// List earlier runs, or the files of one.
#[derive(Debug, clap::Args)]
pub(super) struct Runs {
    /// A run: its name, the beginning or end of it, or `last`.
    run: Option<String>,
    /// How many runs are listed.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: u32,
}

impl Runs {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let Some(journal) = Journal::open_existing(&config.state)? else {
            if edge.is_json() {
                say("[]")?;
            }
            super::complain(&format!(
                "no run yet: there is no journal in `{}`",
                config.state.display()
            ));
            return Ok(Exit::Done);
        };
        match &self.run {
            Some(run) => {
                let (summary, settled) = journal.run(&journal.find_run(run)?)?;
                match edge.is_json() {
                    true => say(&one_json(&summary, &settled).to_string())?,
                    false => show_one(&summary, &settled)?,
                }
            }
            None => {
                let runs = journal.runs(self.limit)?;
                match edge.is_json() {
                    true => {
                        let list: Vec<_> = runs.iter().map(summary_json).collect();
                        say(&serde_json::Value::from(list).to_string())?;
                    }
                    false => runs.iter().try_for_each(|run| say(&line(run)))?,
                }
            }
        }
        Ok(Exit::Done)
    }
}

fn state(run: &Summary) -> &'static str {
    run.state.map_or("unfinished", State::word)
}

fn line(run: &Summary) -> String {
    let tallies = &run.tallies;
    let vanished = match tallies.vanished {
        0 => String::new(),
        vanished => format!(", already gone {vanished}"),
    };
    let replaced = match tallies.replaced {
        0 => String::new(),
        replaced => format!("replaced {replaced}, "),
    };
    let expired = match run.expired {
        0 => String::new(),
        expired => format!(", backups deleted {expired}"),
    };
    let trouble = match tallies.trouble {
        0 => String::new(),
        trouble => format!(", {trouble} with trouble"),
    };
    format!(
        "{}  {}  {}  removed {}, {replaced}freed {}, archived {}, kept {}{vanished}{expired}{trouble}",
        run.id,
        run.store,
        state(run),
        files(tallies.removed),
        Size(tallies.freed),
        run.receipts,
        tallies.kept,
    )
}

fn show_one(run: &Summary, settled: &[Settled]) -> anyhow::Result<()> {
    say(&line(run))?;
    say(&format!(
        "  root {}, began {}, ended {}",
        run.root_path,
        at_seconds(&run.started),
        run.ended.as_deref().map_or("never".to_owned(), at_seconds)
    ))?;
    say(&format!("  plan {}", run.plan))?;
    for file in settled {
        let outcome = match &file.outcome {
            Some(outcome) => outcome.to_string(),
            None => "not known yet".to_owned(),
        };
        say(&format!("  {}  {}  ({})", file.path, outcome, file.rule))?;
    }
    Ok(())
}

fn summary_json(run: &Summary) -> serde_json::Value {
    json!({
        "run": run.id.as_str(),
        "store": run.store,
        "root": run.root_path,
        "started": run.started,
        "ended": run.ended,
        "state": state(run),
        "plan": run.plan,
        "planned": run.planned,
        "removed": run.tallies.removed,
        "replaced": run.tallies.replaced,
        "freed": run.tallies.freed,
        "archived": run.receipts,
        "backed_up": run.tallies.backed_up,
        "expired": run.expired,
        "vanished": run.tallies.vanished,
        "kept": run.tallies.kept,
        "trouble": run.tallies.trouble,
    })
}

fn one_json(run: &Summary, settled: &[Settled]) -> serde_json::Value {
    let list = settled.iter().map(|file| {
        let mut value = outcome_json(&file.path, file.outcome.as_ref());
        if let Some(fields) = value.as_object_mut() {
            fields.insert("size".to_owned(), file.size.into());
            fields.insert("rule".to_owned(), file.rule.clone().into());
        }
        value
    });
    let mut value = summary_json(run);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("files".to_owned(), list.collect());
    }
    value
}
