//! `retain apply`

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;

use super::show::{self, Detail, Scanning};
use super::{Edge, Exit, complain, look, say};
use crate::config::{Config, Store};
use crate::plan::Plan;
use crate::run::{Breaker, Taken};
use crate::time::Now;

/// Remove what the plan says, after the backups were proved to restore.
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// Stores, or one file with a saved plan; all enabled stores when nothing is named.
    #[arg(value_name = "STORE|PLAN")]
    targets: Vec<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Release the breaker for the saved plan with this digest.
    #[arg(long, value_name = "DIGEST")]
    confirm: Option<String>,
}

impl Apply {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        if let [target] = self.targets.as_slice()
            && !config.stores.contains_key(target)
            && Path::new(target).is_file()
        {
            return self.apply_saved(edge, &config, Path::new(target));
        }
        anyhow::ensure!(
            self.confirm.is_none(),
            "`--confirm` goes with a saved plan: `retain plan STORE -o FILE`, then `retain apply FILE --confirm DIGEST`"
        );
        edge.each_store(&config, &self.targets, |store| {
            self.apply_store(edge, &config, store)
        })
    }

    fn apply_store(&self, edge: &Edge, config: &Config, store: &Store) -> anyhow::Result<Exit> {
        let job = edge.job(config, store)?;
        for warning in &job.warnings.0 {
            complain(&warning.render(look()));
        }
        let now = Now::from_clock();
        let scanning = Scanning::begin(&store.name);
        let taken = job.take(&now, scanning.seen.clone());
        scanning.end();
        self.carry_out(edge, store, taken?, &now, Breaker::Holds)
    }

    fn apply_saved(&self, edge: &Edge, config: &Config, file: &Path) -> anyhow::Result<Exit> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the plan `{}`", file.display()))?;
        let plan = Plan::from_json(&text).with_context(|| format!("`{}`", file.display()))?;
        let breaker = match &self.confirm {
            None => Breaker::Holds,
            Some(digest) if *digest == plan.digest() => Breaker::Released,
            Some(digest) => anyhow::bail!(
                "`{digest}` is not the digest of this plan, which is `{}`",
                plan.digest()
            ),
        };
        let store = edge.store(config, &plan.store)?;
        let job = edge.job(config, store)?;
        let now = Now::from_clock();
        let taken = job.take_for(plan, &now)?;
        self.carry_out(edge, store, taken, &now, breaker)
    }

    fn carry_out(
        &self,
        edge: &Edge,
        store: &Store,
        taken: Taken<'_>,
        now: &Now,
        breaker: Breaker,
    ) -> anyhow::Result<Exit> {
        show_recovered(&taken);
        let plan = &taken.planned.plan;
        let root = store.path.path.display().to_string();
        let tripped = breaker == Breaker::Holds && !plan.tripped.is_empty();
        if !edge.is_json() && (tripped || !self.yes) {
            say(&show::plan(plan, &root, Detail::Some))?;
        }
        if tripped {
            for tripped in &plan.tripped {
                complain(&format!(
                    "error: the breaker refuses this plan: {}",
                    tripped.reason
                ));
            }
            complain(&format!(
                "help: look at it with `retain plan {0} --all -o FILE`; if it is right, `retain apply FILE --confirm DIGEST`",
                store.name
            ));
            return Ok(Exit::Tripped);
        }
        if !plan.steps.is_empty() && !self.agreed(plan.steps.len())? {
            complain("nothing was removed");
            return Ok(Exit::Refused);
        }
        let bar = show::removing(plan.steps.len());
        let done = taken.apply(now, breaker, &|files| bar.set_position(files as u64));
        bar.finish_and_clear();
        let done = done?;
        match edge.is_json() {
            true => say(&show::done_json(&store.name, &done).to_string())?,
            false => say(&show::done(&store.name, &done))?,
        }
        Ok(match done.tallies.trouble {
            0 => Exit::Done,
            _ => Exit::Trouble,
        })
    }

    fn agreed(&self, files: usize) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        anyhow::ensure!(
            io::stdin().is_terminal(),
            "nobody can be asked here, so nothing was removed; scripts say `retain apply --yes`"
        );
        let mut err = io::stderr().lock();
        write!(err, "remove {}? [y/N] ", show::files(files as u64))?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

fn show_recovered(taken: &Taken<'_>) {
    let recovered = &taken.recovered;
    if recovered.gone + recovered.in_place > 0 || !recovered.in_trash.is_empty() {
        complain(&format!(
            "note: an earlier run was cut short: {} had gone, {} in their place",
            show::files(recovered.gone),
            match recovered.in_place {
                1 => "1 is".to_owned(),
                files => format!("{files} are"),
            }
        ));
    }
    for (path, place, reason) in &recovered.in_trash {
        complain(&format!(
            "note: what was `{path}` lies in `{place}`: {reason}"
        ));
    }
}
