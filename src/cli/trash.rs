//! `retain trash`

use clap::Subcommand;
use serde_json::json;

use super::show::files;
use super::{Edge, Exit, complain, say};
use crate::apply::{Kept, trash_list};
use crate::config::Store;
use crate::path::RelPath;
use crate::store::Root;
use crate::units::Size;

/// See what lies in the trash.
#[derive(Debug, clap::Args)]
pub(super) struct Trash {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List each run's files that can be put back, and until when.
    List {
        /// Only these stores.
        #[arg(value_name = "STORE")]
        stores: Vec<String>,
        /// Show every file.
        #[arg(long)]
        all: bool,
    },
}

impl Trash {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let Action::List { stores, all } = &self.action;
        let config = edge.load()?;
        let mut shown = Vec::new();
        let mut nothing = true;
        let mut exit = Exit::Done;
        for store in edge.stores(&config, stores)? {
            let root = Root::open(&store.path.path)?;
            let (lists, unreadable) = trash_list(&root)?;
            for error in unreadable {
                nothing = false;
                exit = Exit::Trouble;
                complain(&format!("warning: store {}: {error}", store.name));
            }
            for kept in lists {
                nothing = false;
                match edge.is_json() {
                    true => shown.push(run_json(&store.name, &kept)),
                    false => show(&store.name, &kept, *all)?,
                }
            }
        }
        match edge.is_json() {
            true => say(&serde_json::Value::from(shown).to_string())?,
            false if nothing => say("the trash is empty")?,
            false => {}
        }
        Ok(exit)
    }
}

/// That something of a path lies in the trash of a store, and how it comes back; for whoever
/// looks for it elsewhere.
pub(super) fn instead(store: &Store, path: &RelPath) -> Option<String> {
    let root = Root::open(&store.path.path).ok()?;
    let (lists, _) = trash_list(&root).ok()?;
    let mut runs = lists.iter().rev();
    let run = runs.find(|kept| kept.has(path))?;
    Some(format!(
        "it lies in the trash of run {}, and `retain undo {path} --store {}` puts it back",
        run.head.run, store.name
    ))
}

fn bytes(kept: &Kept) -> u64 {
    let sizes = kept.files.iter().map(|file| file.facts.allocated);
    sizes.fold(0, u64::saturating_add)
}

fn show(store: &str, kept: &Kept, all: bool) -> anyhow::Result<()> {
    let head = &kept.head;
    say(&format!(
        "{}  {store}  {}, {}  until {}",
        head.run,
        files(kept.files.len() as u64),
        Size(bytes(kept)),
        super::at_seconds(&head.until)
    ))?;
    if kept.unread > 0 {
        complain(&format!(
            "warning: the list of run {} has lines that cannot be read ({}); what they name lies in `.retain/trash/{}` of store {store} and comes back by hand only",
            head.run, kept.unread, head.run
        ));
    }
    if all {
        for file in &kept.files {
            say(&format!("  {}  {}", file.path, Size(file.facts.size)))?;
        }
    }
    Ok(())
}

fn run_json(store: &str, kept: &Kept) -> serde_json::Value {
    let list = kept
        .files
        .iter()
        .map(|file| json!({ "path": file.path.to_string(), "size": file.facts.size }));
    json!({
        "run": kept.head.run,
        "store": store,
        "since": kept.head.since,
        "until": kept.head.until,
        "bytes": bytes(kept),
        "unread": kept.unread,
        "files": list.collect::<Vec<_>>(),
    })
}
