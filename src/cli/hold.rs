//! `retain hold`

use clap::Subcommand;
use serde_json::json;

use super::{Edge, Exit, at_seconds, say};
use crate::config::{Config, Store};
use crate::journal::{Hold, HoldState, Journal, NewHold, Origin};
use crate::run::with_ledger;
use crate::time::Now;

/// Keep files whatever the policy says, or let go of them.
#[derive(Debug, clap::Args)]
pub(super) struct HoldCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List holds: of policies, of people, and of what was brought back.
    List {
        /// Those that were released as well.
        #[arg(long)]
        all: bool,
    },
    /// Hold what a template names.
    Add {
        /// What to call it.
        name: String,
        /// The template of what is held, as in a policy; `**` is everything.
        #[arg(long, value_name = "TEMPLATE")]
        on: String,
        /// Until when: a date (`2027-01-31`) or a moment; for good when it is left out.
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// The store; all that are enabled when none is named.
        #[arg(long)]
        store: Option<String>,
    },
    /// Let go of what a hold keeps.
    Release {
        /// What it is called.
        name: String,
        /// Why; it goes into the journal.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The store; every one that has such a hold when none is named.
        #[arg(long)]
        store: Option<String>,
    },
}

impl HoldCommand {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        match &self.action {
            Action::List { all } => list(edge, &config, *all),
            Action::Add {
                name,
                on,
                until,
                reason,
                store,
            } => {
                crate::policy::check_template("--on", on)?;
                let until = until.as_deref().map(moment).transpose()?;
                for store in stores(edge, &config, store.as_deref())? {
                    let new = NewHold {
                        store: store.name.clone(),
                        name: name.clone(),
                        template: Some(on.clone()),
                        files: Vec::new(),
                        until: until.clone(),
                        reason: reason.clone(),
                        origin: Origin::Manual,
                    };
                    with_ledger(&config, store, |journal, at| journal.add_hold(new, at))?;
                    say(&format!("`{name}` holds `{on}` in store `{}`", store.name))?;
                }
                Ok(Exit::Done)
            }
            Action::Release {
                name,
                reason,
                store,
            } => {
                anyhow::ensure!(!reason.trim().is_empty(), "say why: `--reason TEXT`");
                let mut count = 0;
                for store in stores(edge, &config, store.as_deref())? {
                    let released = with_ledger(&config, store, |journal, at| {
                        journal.release_hold(&store.name, name, reason, at)
                    })?;
                    count += released.len();
                }
                anyhow::ensure!(
                    count > 0,
                    "there is no hold `{name}`; `retain hold list` shows those there are"
                );
                say(&format!("released `{name}`: {reason}"))?;
                Ok(Exit::Done)
            }
        }
    }
}

fn stores<'c>(
    edge: &Edge,
    config: &'c Config,
    name: Option<&str>,
) -> anyhow::Result<Vec<&'c Store>> {
    let names: Vec<String> = name.map(str::to_owned).into_iter().collect();
    edge.stores(config, &names)
}

/// A date is its beginning in UTC, which is what is written into the ledger.
fn moment(text: &str) -> anyhow::Result<String> {
    let whole = match text.parse::<jiff::civil::Date>() {
        Ok(date) => format!("{date}T00:00:00Z"),
        Err(_) => text.to_owned(),
    };
    let moment = whole.parse::<jiff::Timestamp>().map_err(|_| {
        anyhow::anyhow!("`{text}` is no date; write `2027-01-31` or `2027-01-31T12:00:00Z`")
    })?;
    Ok(moment.to_string())
}

fn list(edge: &Edge, config: &Config, all: bool) -> anyhow::Result<Exit> {
    let now = Now::from_clock();
    let holds = match Journal::open_existing(&config.state)? {
        Some(journal) => journal.holds(None)?,
        None => Vec::new(),
    };
    let shown: Vec<&Hold> = holds
        .iter()
        .filter(|hold| all || hold.protects(&now))
        .collect();
    if edge.is_json() {
        say(&serde_json::Value::from_iter(shown.iter().map(|hold| hold_json(hold))).to_string())?;
        return Ok(Exit::Done);
    }
    if shown.is_empty() {
        say("nothing is held")?;
    }
    for hold in shown {
        say(&line(hold))?;
    }
    Ok(Exit::Done)
}

fn scope(hold: &Hold) -> String {
    match (&hold.template, &hold.text) {
        (Some(template), _) => format!("`{template}`"),
        // A policy that says just this hold, on its last line.
        (None, Some(text)) => text.lines().last().unwrap_or_default().to_owned(),
        (None, None) => super::show::files(hold.files.len() as u64),
    }
}

fn line(hold: &Hold) -> String {
    let until = match &hold.until {
        Some(until) => format!(" until {}", at_seconds(until)),
        None => String::new(),
    };
    let reason = match &hold.reason {
        Some(reason) => format!(": {reason}"),
        None => String::new(),
    };
    let state = match hold.state {
        HoldState::Active => String::new(),
        HoldState::Orphaned => {
            ", orphaned: its line is gone from the policy, and it holds until it is released"
                .to_owned()
        }
        HoldState::Released => format!(
            ", released {}: {}",
            at_seconds(hold.released.as_deref().unwrap_or_default()),
            hold.release_reason.as_deref().unwrap_or_default()
        ),
    };
    format!(
        "{}  {}  {}  by {} since {}{until}{state}{reason}",
        hold.name,
        hold.store,
        scope(hold),
        hold.origin.word(),
        at_seconds(&hold.since)
    )
}

fn hold_json(hold: &Hold) -> serde_json::Value {
    json!({
        "name": hold.name,
        "store": hold.store,
        "template": hold.template,
        "text": hold.text,
        "files": hold.files,
        "since": hold.since,
        "until": hold.until,
        "reason": hold.reason,
        "origin": hold.origin.word(),
        "state": hold.state.word(),
        "released": hold.released,
        "release_reason": hold.release_reason,
    })
}
