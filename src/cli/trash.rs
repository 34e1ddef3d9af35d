//! `retain trash`

use clap::Subcommand;
use serde_json::json;

use super::show::files;
use super::{Edge, Exit, say};
use crate::apply::{Kept, trash_list};
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
        for store in edge.stores(&config, stores)? {
            let root = Root::open(&store.path.path)?;
            for kept in trash_list(&root)? {
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
        Ok(Exit::Done)
    }
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
        "files": list.collect::<Vec<_>>(),
    })
}
