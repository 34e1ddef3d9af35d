//! `retain undo`

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::show::files;
use super::{Edge, Exit, at_seconds, complain, say};
use crate::apply::{Undone, trash_list, trash_runs};
use crate::config::{Config, Store};
use crate::path::RelPath;
use crate::store::Root;

/// Put back what a run moved into the trash.
///
/// Nothing is overwritten, and what comes back is held for a week.
#[derive(Debug, clap::Args)]
pub(super) struct Undo {
    /// A run (its name, the beginning or end of it, or `last`) or a file.
    #[arg(value_name = "RUN|PATH")]
    what: String,
    /// The store, where that is not clear.
    #[arg(long)]
    store: Option<String>,
}

impl Undo {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        super::confined::confined(&config, None)?;
        if let Some((store, run)) = self.named_run(edge, &config)? {
            return put_back(edge, &config, store, &run, &|_| true);
        }
        let path = Path::new(&self.what);
        let (store, path) = super::why::locate(edge, &config, path, self.store.as_deref())?;
        let root = Root::open(&store.path.path)?;
        let inside = |file: &RelPath| *file == path || file.starts_with(&path);
        let newest = trash_list(&root)?
            .into_iter()
            .rfind(|kept| kept.files.iter().any(|file| inside(&file.path)));
        let newest = newest.with_context(|| {
            format!("`{path}` does not lie in the trash; `retain trash list --all` shows what does, `retain restore` brings back what was archived")
        })?;
        put_back(edge, &config, store, &newest.head.run, &inside)
    }

    /// The run that is meant, and the store whose trash has it. The trash knows its
    /// runs itself, so a lost journal is no hindrance.
    fn named_run<'c>(
        &self,
        edge: &Edge,
        config: &'c Config,
    ) -> anyhow::Result<Option<(&'c Store, String)>> {
        let stores: Vec<&Store> = match &self.store {
            Some(name) => vec![edge.store(config, name)?],
            None => config.stores.values().collect(),
        };
        let mut found: Vec<(&Store, String)> = Vec::new();
        for store in stores {
            let Ok(root) = Root::open(&store.path.path) else {
                continue;
            };
            let runs = trash_runs(&root)?.into_iter();
            found.extend(
                runs.filter(|run| {
                    let what = self.what.as_str();
                    what == "last" || run.starts_with(what) || run.ends_with(what)
                })
                .map(|run| (store, run)),
            );
        }
        found.sort_by(|a, b| a.1.cmp(&b.1));
        match (self.what.as_str(), found.len()) {
            ("last", _) => Ok(Some(found.pop().context("the trash is empty")?)),
            (_, 0 | 1) => Ok(found.pop()),
            (what, _) => {
                let names: Vec<String> = found.iter().map(|(_, run)| format!("`{run}`")).collect();
                anyhow::bail!("`{what}` may mean {}", names.join(", "))
            }
        }
    }
}

fn put_back(
    edge: &Edge,
    config: &Config,
    store: &Store,
    run: &str,
    wanted: &dyn Fn(&RelPath) -> bool,
) -> anyhow::Result<Exit> {
    let Undone {
        back,
        left,
        held_until,
    } = crate::run::put_back(config, store, run, wanted)?;
    if edge.is_json() {
        let paths: Vec<String> = back.iter().map(ToString::to_string).collect();
        let left: Vec<_> = left
            .iter()
            .map(|(path, reason)| json!({ "path": path.to_string(), "message": reason }))
            .collect();
        say(&json!({
            "run": run,
            "store": store.name,
            "back": paths,
            "left": left,
            "held_until": held_until,
        })
        .to_string())?;
    } else {
        say(&format!(
            "put back {} of run {run}; held until {}, unless `retain hold release undo-{run} --reason TEXT` lets go of them",
            files(back.len() as u64),
            at_seconds(&held_until)
        ))?;
        for (path, reason) in &left {
            complain(&format!("note: {path} stays in the trash: {reason}"));
        }
    }
    Ok(match left.is_empty() {
        true => Exit::Done,
        false => Exit::Trouble,
    })
}
