//! `retain apply`

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;

use super::confined::confined;
use super::show::{self, Detail, Scanning};
use super::{Edge, Exit, complain, look, say};
use crate::cancel::Cancel;
use crate::config::{Config, Store};
use crate::journal::{Cause, Journal, JournalError, Latch, Outcome};
use crate::plan::Plan;
use crate::run::{Breaker, RunError, Taken, Wanted};
use crate::store::StoreError;
use crate::time::Now;

/// Remove what the plan says, after the backups were proved to restore.
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// Stores, one file with a saved plan, or the digest of the plan a latched store
    /// waits for; all enabled stores when nothing is named.
    #[arg(value_name = "STORE|PLAN|DIGEST")]
    targets: Vec<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Release the breaker for the saved plan with this digest.
    #[arg(long, value_name = "DIGEST")]
    confirm: Option<String>,
    /// Wait while another process works on the store.
    #[arg(long)]
    wait: bool,
    /// The store is empty, and that is right.
    #[arg(long)]
    emptied: bool,
}

/// Where a plan was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// In the state directory: this program put it there.
    Kept,
    /// In some file.
    File,
}

/// How often a store that is in use is tried again.
const AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

impl Apply {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        confined(&config, None)?;
        if let [target] = self.targets.as_slice()
            && !config.stores.contains_key(target)
            && Path::new(target).is_file()
        {
            return self.apply_saved(edge, &config, Path::new(target));
        }
        if let [target] = self.targets.as_slice()
            && !config.stores.contains_key(target)
            && let Some(document) = Journal::kept_plan(&config.state, target)
        {
            let plan = Plan::read_json(document)
                .with_context(|| format!("the plan `{target}` that was kept"))?;
            return self.apply_plan(edge, &config, plan, Breaker::Released, Source::Kept);
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
        let (now, taken) = self.waiting(&|now| {
            let scanning = Scanning::begin(&store.name);
            let taken = job.take(now, Wanted::Decisive, scanning.seen.clone());
            scanning.end();
            taken
        })?;
        let mut taken = taken;
        if self.emptied {
            taken.accept_emptied();
        }
        self.carry_out(edge, store, taken, &now, Breaker::Holds)
    }

    /// Tries until the store is ours, if that is wanted. A decision is made for the
    /// moment it begins, not for when the waiting began.
    fn waiting<'j>(
        &self,
        take: &dyn Fn(&Now) -> Result<Taken<'j>, RunError>,
    ) -> Result<(Now, Taken<'j>), RunError> {
        let mut said = false;
        loop {
            let now = Now::from_clock();
            match take(&now) {
                Err(
                    error @ (RunError::Store(StoreError::Locked { .. })
                    | RunError::Journal(JournalError::Locked { .. })),
                ) if self.wait => {
                    if !said {
                        complain(&format!("note: waiting, because {error}"));
                        said = true;
                    }
                    std::thread::sleep(AGAIN);
                }
                taken => return Ok((now, taken?)),
            }
        }
    }

    fn apply_saved(&self, edge: &Edge, config: &Config, file: &Path) -> anyhow::Result<Exit> {
        let document = std::fs::File::open(file)
            .with_context(|| format!("cannot read the plan `{}`", file.display()))?;
        let plan = Plan::read_json(document).with_context(|| format!("`{}`", file.display()))?;
        let breaker = match &self.confirm {
            None => Breaker::Holds,
            Some(digest) if *digest == plan.digest() => Breaker::Released,
            Some(digest) => anyhow::bail!(
                "`{digest}` is not the digest of this plan, which is `{}`",
                plan.digest()
            ),
        };
        self.apply_plan(edge, config, plan, breaker, Source::File)
    }

    fn apply_plan(
        &self,
        edge: &Edge,
        config: &Config,
        plan: Plan,
        breaker: Breaker,
        source: Source,
    ) -> anyhow::Result<Exit> {
        let store = edge.store(config, &plan.store)?;
        let job = edge.job(config, store)?;
        let job = match source {
            Source::Kept => job.of_kept(&plan)?,
            Source::File => job,
        };
        let (now, taken) = self.waiting(&|now| {
            let scanning = Scanning::begin(&store.name);
            let taken = job.take_for(plan.clone(), now, scanning.seen.clone());
            scanning.end();
            taken
        })?;
        self.carry_out(edge, store, taken, &now, breaker)
    }

    fn carry_out(
        &self,
        edge: &Edge,
        store: &Store,
        mut taken: Taken<'_>,
        now: &Now,
        breaker: Breaker,
    ) -> anyhow::Result<Exit> {
        show_recovered(&taken);
        let passed = taken.pass_breaker(now, breaker);
        let plan = &taken.planned.plan;
        let root = store.path.path.display().to_string();
        if !edge.is_json() && (passed.is_err() || !self.yes) {
            say(&show::plan(plan, &root, Detail::Some))?;
        }
        let refused = taken.refused().iter();
        let refused = refused.filter(|(_, outcome)| *outcome == Outcome::Refused);
        match refused.count() {
            0 => {}
            count => complain(&format!(
                "warning: the plan names {} that the policy does not take; kept",
                show::files(count as u64)
            )),
        }
        if let Err(RunError::Latched(latch)) = passed {
            complain(&format!("error: {}", RunError::Latched(latch.clone())));
            complain(&latch_help(&latch));
            return Ok(Exit::Tripped);
        }
        passed?;
        let idle = plan.steps.is_empty() && plan.expired.is_empty();
        if !idle && !self.agreed(plan)? {
            complain("nothing was removed");
            return Ok(Exit::Refused);
        }
        let bar = show::removing(plan.steps.len());
        let done = taken.apply(now, breaker, &Cancel::default(), &|_, files| {
            bar.set_position(files as u64);
        });
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

    fn agreed(&self, plan: &Plan) -> anyhow::Result<bool> {
        if self.yes {
            return Ok(true);
        }
        anyhow::ensure!(
            io::stdin().is_terminal(),
            "nobody can be asked here, so nothing was removed; scripts say `retain apply --yes`"
        );
        let mut err = io::stderr().lock();
        write!(err, "{}? [y/N] ", show::wanted(plan))?;
        err.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// What a person does about a latched store.
fn latch_help(latch: &Latch) -> String {
    let digest = latch.plan.get(..16).unwrap_or(&latch.plan);
    let mend = match latch.cause {
        Cause::Breaker => "if not, mend the policy, which releases the store as well",
        Cause::Clock => "if not, set the clock right, which releases the store as well",
    };
    format!(
        "help: nothing in store `{}` is removed until a person has looked: `retain plan {} --all` shows it; if that is right, `retain apply {digest}` carries out the plan that tripped; {mend}",
        latch.store, latch.store
    )
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
