//! `retain plan`

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::show::{self, Detail, Scanning};
use super::{Edge, Exit, complain, look, say};
use crate::run::Wanted;
use crate::time::Now;

/// Show what a run would remove, and why; changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    /// Only these stores; all that are enabled when none is named.
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
    /// Save the plan, for `retain apply FILE`.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show every file.
    #[arg(long)]
    all: bool,
}

impl Plan {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let stores = edge.stores(&config, &self.stores)?;
        anyhow::ensure!(
            self.output.is_none() || stores.len() == 1,
            "a saved plan is for one store: name it, as in `retain plan {} -o FILE`",
            stores.first().map_or("STORE", |store| store.name.as_str())
        );
        let detail = match self.all {
            true => Detail::All,
            false => Detail::Some,
        };
        edge.each_store(&config, &self.stores, |store| {
            let job = edge.job(&config, store)?;
            for warning in &job.warnings.0 {
                complain(&warning.render(look()));
            }
            let scanning = Scanning::begin(&store.name);
            let planned = job.plan(&Now::from_clock(), Wanted::Decisive, scanning.seen.clone());
            scanning.end();
            let plan = planned?.plan;
            if let Some(file) = &self.output {
                save(file, &plan)
                    .with_context(|| format!("cannot save the plan as `{}`", file.display()))?;
            }
            match edge.is_json() {
                true => say_json(&plan)?,
                false => say(&show::plan(
                    &plan,
                    &store.path.path.display().to_string(),
                    detail,
                ))?,
            }
            plan.steps.check()?;
            Ok(match plan.tripped.is_empty() {
                true => Exit::Done,
                false => Exit::Tripped,
            })
        })
    }
}

/// The whole plan as data, without a second copy of it in memory.
fn say_json(plan: &crate::plan::Plan) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    plan.write_json(&mut out)?;
    writeln!(out)
}

/// A plan decides over files, so nobody else may change it between the two commands:
/// it is a file of our own from its first byte, and has its name only when it is whole.
fn save(file: &Path, plan: &crate::plan::Plan) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let draft = PathBuf::from(name);
    let mut options = std::fs::OpenOptions::new();
    let mut written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    let saved = plan
        .write_json(&written)
        .and_then(|()| written.write_all(b"\n"))
        .and_then(|()| written.sync_all())
        .and_then(|()| std::fs::rename(&draft, file));
    if saved.is_err() {
        // What cannot be removed is only litter.
        let _ = std::fs::remove_file(&draft);
    }
    saved
}
