//! `retain undo`

use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::show::files;
use super::{Edge, Exit, at_seconds, complain, say};
use crate::apply::{UndoError, Undone, trash_list, trash_runs};
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
        let (store, path) = self.path(edge, &config)?;
        let root = Root::open(&store.path.path)?;
        let mut runs = self.runs_with(&root, &path)?;
        let Some(newest) = runs.pop() else {
            anyhow::bail!(self.not_there(&root, &path)?);
        };
        let inside = |file: &RelPath| file.starts_with(&path);
        let exit = put_back(edge, &config, store, &newest, &inside)?;
        if let Some(older) = runs.last() {
            complain(&format!(
                "note: `{path}` lies in the trash of run {older} as well; the same command again puts that back, where nothing has its name"
            ));
        }
        Ok(exit)
    }

    fn path<'c>(&self, edge: &Edge, config: &'c Config) -> anyhow::Result<(&'c Store, RelPath)> {
        super::why::locate(edge, config, Path::new(&self.what), self.store.as_deref())
    }

    /// The runs in whose trash something of a path lies, oldest first.
    fn runs_with(&self, root: &Root, path: &RelPath) -> anyhow::Result<Vec<String>> {
        let (all, unreadable) = trash_list(root)?;
        for error in unreadable {
            complain(&format!("warning: {error}"));
        }
        let with = all.into_iter().filter(|kept| kept.has(path));
        let runs = with.map(|kept| kept.head.run);
        Ok(runs.collect())
    }

    /// Why there is nothing to put back.
    fn not_there(&self, root: &Root, path: &RelPath) -> anyhow::Result<String> {
        let (all, _) = trash_list(root)?;
        let whole = all.iter().flat_map(|kept| &kept.files).find(|file| {
            let mut members = file.members.iter();
            members.any(|(member, _)| member.starts_with(path))
        });
        Ok(match whole {
            Some(whole) => format!(
                "`{path}` went with its whole directory and comes back with it: `retain undo {}`",
                whole.path
            ),
            None => format!(
                "`{path}` does not lie in the trash; `retain trash list --all` shows what does, `retain restore` brings back what was archived"
            ),
        })
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
        let what = self.what.as_str();
        let mut found: Vec<(&Store, String)> = Vec::new();
        let mut unreadable = None;
        for store in stores {
            let root = Root::open(&store.path.path).map_err(UndoError::from);
            match root.and_then(|root| trash_runs(&root)) {
                Ok(runs) => {
                    let meant = runs.into_iter().filter(|run| {
                        what == "last" || run.starts_with(what) || run.ends_with(what)
                    });
                    found.extend(meant.map(|run| (store, run)));
                }
                // It says nothing about another store's run.
                Err(error) => unreadable = Some(error),
            }
        }
        found.sort_by(|a, b| a.1.cmp(&b.1));
        if let Some(error) = unreadable {
            match found.is_empty() && what == "last" {
                true => return Err(error.into()),
                false => complain(&format!("warning: {error}")),
            }
        }
        if what == "last" {
            return Ok(Some(found.pop().context("the trash is empty")?));
        }
        let whole = found.iter().position(|(_, run)| run == what);
        if let Some(at) = whole {
            return Ok(Some(found.swap_remove(at)));
        }
        if let Some((_, run)) = found.first()
            && let Ok((store, path)) = self.path(edge, config)
            && let Ok(root) = Root::open(&store.path.path)
            && !self.runs_with(&root, &path)?.is_empty()
        {
            anyhow::bail!(
                "`{what}` may mean run `{run}` or the path `{path}` in the trash; write the whole name of the run, or `{}`",
                store.path.path.join(path.as_os()).display()
            );
        }
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => {
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
        let held = match back.is_empty() {
            true => String::new(),
            false => format!(
                "; held until {}, unless `retain hold release undo-{run} --reason TEXT` lets go of them",
                at_seconds(&held_until)
            ),
        };
        say(&format!(
            "store {}: put back {} of run {run}{held}",
            store.name,
            files(back.len() as u64),
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
