//! `retain catalogue`

use std::io::Read;

use anyhow::Context;
use clap::Subcommand;
use serde_json::json;

use super::{Edge, Exit, complain, say};
use crate::destination::{Destination, DestinationError, ObjectName};
use crate::journal::Journal;
use crate::plugin::receipts_in_place;
use crate::receipt::Receipt;

/// The largest receipt that is read: a note of 64 KiB and many objects.
const LARGEST: u64 = 4 << 20;

/// Look after what is known of archives.
#[derive(Debug, Subcommand)]
pub(super) enum Catalogue {
    /// Take the receipts that lie beside the archives into the journal: what to do when
    /// the state directory was lost.
    Rebuild(Rebuild),
}

impl Catalogue {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        match self {
            Catalogue::Rebuild(rebuild) => rebuild.run(edge),
        }
    }
}

/// Take the receipts that lie beside the archives into the journal.
///
/// What the journal knows already stays as it is; running it twice is running it once.
#[derive(Debug, clap::Args)]
pub(super) struct Rebuild {
    /// Only these destinations; all that are configured when none is named.
    destinations: Vec<String>,
}

impl Rebuild {
    fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let names: Vec<&String> = match self.destinations.is_empty() {
            true => config.destinations.keys().collect(),
            false => self.destinations.iter().collect(),
        };
        let mut receipts = Vec::new();
        let mut odd = 0_usize;
        for name in names {
            let configured = config.destinations.get(name).with_context(|| {
                format!("there is no destination `{name}` in the configuration")
            })?;
            let destination = match Destination::open_existing(name, &configured.url) {
                // Nothing has been archived there yet, or it is not mounted.
                Err(DestinationError::ParentMissing { path, .. })
                    if self.destinations.is_empty() =>
                {
                    complain(&format!(
                        "note: destination `{name}` is left out, as `{}` is not there",
                        path.display()
                    ));
                    continue;
                }
                opened => opened?,
            };
            for found in destination.receipts()? {
                match read(&destination, &configured.url, &found) {
                    Ok(receipt) => receipts.push(receipt),
                    Err(error) => {
                        odd += 1;
                        complain(&format!("note: `{found}` in `{name}`: {error:#}"));
                    }
                }
            }
        }
        if self.destinations.is_empty() {
            for store in config.stores.values() {
                receipts.extend(receipts_in_place(&store.path.path)?);
            }
        }
        receipts.sort_by(|a, b| (&a.at, &a.path).cmp(&(&b.at, &b.path)));
        let adopted = Journal::open(&config.state)?.adopt(&receipts)?;
        match edge.is_json() {
            true => {
                say(&json!({"found": receipts.len(), "new": adopted, "unusable": odd}).to_string())?
            }
            false => say(&format!(
                "{} receipts found, {adopted} of them new to the journal",
                receipts.len()
            ))?,
        }
        Ok(match odd {
            0 => Exit::Done,
            _ => Exit::Trouble,
        })
    }
}

/// A receipt whose objects are there. Where it says it lies is where it lay when it was
/// written; where it was found is where it lies.
fn read(destination: &Destination, url: &str, name: &ObjectName) -> anyhow::Result<Receipt> {
    let mut text = String::new();
    let file = destination.open_object(name)?;
    file.take(LARGEST).read_to_string(&mut text)?;
    let mut receipt: Receipt = serde_json::from_str(&text).context("it is no receipt")?;
    anyhow::ensure!(
        receipt.version == 1,
        "it has the form {}, which is not known here",
        receipt.version
    );
    crate::path::RelPath::unescape(&receipt.path).context("it names no path")?;
    crate::journal::RunId::parse(&receipt.run).context("it names no run")?;
    for object in &receipt.objects {
        let found = destination.lookup(&destination.parse_name(&object.name)?)?;
        let found = found.with_context(|| format!("its object `{}` is gone", object.name))?;
        anyhow::ensure!(
            found.size == object.size,
            "its object `{}` has {} bytes, not {}",
            found.name,
            found.size,
            object.size
        );
    }
    destination.name().clone_into(&mut receipt.destination.name);
    url.clone_into(&mut receipt.destination.url);
    Ok(receipt)
}
