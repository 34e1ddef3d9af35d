//! Archives that have expired, removed from their destination.
//!
//! What goes was marked in the journal before: a crash leaves litter that the next run
//! removes, never a receipt that leads nowhere. An object goes only when no receipt
//! names it, in the journal or in the destination, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::cancel::Cancel;
use crate::config;
use crate::destination::{Destination, ObjectName};
use crate::fault::{Point, around};
use crate::journal::{Journal, JournalError, RunId};
use crate::plan::Expired;
use crate::receipt::{ObjectRecord, Receipt};

/// The largest receipt that is read.
const LARGEST: u64 = 4 << 20;

/// What came of expired archives.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// Archives that are gone.
    pub archives: u64,
    /// Bytes of the objects that went with them.
    pub freed: u64,
    /// Destinations in which nothing was removed, and why.
    pub left: Vec<(String, String)>,
}

/// Removes archives that a plan has expired, and what an earlier run has left of such.
pub fn expire(
    journal: &mut Journal,
    destinations: &BTreeMap<String, config::Destination>,
    planned: &[Expired],
    store: &str,
    run: (&RunId, &str),
    cancel: &Cancel,
) -> Result<Expiry, JournalError> {
    let mut done = Expiry::default();
    let mut names: BTreeSet<String> = planned.iter().map(|e| e.destination.clone()).collect();
    let left = journal.expiring(store)?;
    names.extend(left.iter().map(|(_, r)| r.destination.name.clone()));
    for name in names {
        if cancel.is_wished() {
            break;
        }
        let Some(configured) = destinations.get(&name) else {
            let reason = "the configuration has no such destination";
            done.left.push((name, reason.to_owned()));
            continue;
        };
        let of_place: Vec<&Expired> = planned.iter().filter(|e| e.destination == name).collect();
        let opened = open(journal, &name, configured)?;
        let place = match opened {
            Ok(place) => place,
            Err(reason) => {
                done.left.push((name, reason));
                continue;
            }
        };
        place.expire(journal, &of_place, store, run, &mut done)?;
    }
    Ok(done)
}

/// A destination that is ours alone, with every receipt in it.
struct Place {
    destination: Destination,
    url: String,
    /// Objects each names, by the archives they are of.
    receipts: BTreeMap<Archive, Vec<(ObjectName, Vec<ObjectRecord>)>>,
}

/// Which archive a receipt is of: its run, store, path and generation.
type Archive = (String, String, String, String);

fn archive(receipt: &Receipt) -> Archive {
    let Receipt {
        run,
        store,
        path,
        key,
        ..
    } = receipt.clone();
    (run, store, path, key)
}

/// Opens a destination to remove from it; the inner error is why not.
fn open(
    journal: &Journal,
    name: &str,
    configured: &config::Destination,
) -> Result<Result<Place, String>, JournalError> {
    let Some(identity) = journal.known_destination(&configured.url)? else {
        return Ok(Err("nothing was archived under its present URL".to_owned()));
    };
    let path = &configured.directory.path;
    Ok(Destination::open_known(name, path, &identity)
        .and_then(|destination| {
            let alone = destination.hold_alone()?;
            let names = destination.receipts()?;
            Ok((destination, alone, names))
        })
        .map_err(|error| error.to_string())
        .and_then(|(destination, alone, names)| {
            if !alone {
                return Err("it is in use by another run; the next one will do it".to_owned());
            }
            let mut receipts: BTreeMap<Archive, Vec<_>> = BTreeMap::new();
            for name in names {
                let receipt = read(&destination, &name).map_err(|reason| {
                    format!("`{name}` cannot be read, and may name any object: {reason}")
                })?;
                let of_archive = receipts.entry(archive(&receipt)).or_default();
                of_archive.push((name, receipt.objects));
            }
            Ok(Place {
                destination,
                url: configured.url.clone(),
                receipts,
            })
        }))
}

fn read(destination: &Destination, name: &ObjectName) -> Result<Receipt, String> {
    let file = destination.open_object(name).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let read = file.take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| crate::store::in_words(&error))?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

impl Place {
    fn expire(
        &self,
        journal: &mut Journal,
        planned: &[&Expired],
        store: &str,
        (run, at): (&RunId, &str),
        done: &mut Expiry,
    ) -> Result<(), JournalError> {
        let numbers: Vec<i64> = planned.iter().map(|expired| expired.receipt).collect();
        // A saved plan may be older than what the journal says now.
        let known: BTreeMap<i64, Receipt> =
            journal.receipts_numbered(&numbers)?.into_iter().collect();
        let agreed = planned.iter().filter(|expired| {
            known.get(&expired.receipt).is_some_and(|receipt| {
                receipt.store == store
                    && receipt.path == expired.path
                    && receipt.key == expired.key
                    && receipt.destination.url == self.url
                    && !receipt.in_place
            })
        });
        let agreed: Vec<i64> = agreed.map(|expired| expired.receipt).collect();
        journal.expire(run, at, &agreed)?;
        let mut going = journal.expiring(store)?;
        going.retain(|(_, receipt)| receipt.destination.url == self.url);
        let needed = self.needed(journal, &going)?;
        let mut settled = Vec::with_capacity(going.len());
        for (number, receipt) in &going {
            match self.remove(receipt, &needed) {
                Ok((freed, shared)) => {
                    done.archives += 1;
                    done.freed = done.freed.saturating_add(freed);
                    let what = match shared {
                        0 => "removed".to_owned(),
                        shared => format!("removed, {shared} objects are needed by others"),
                    };
                    settled.push((*number, what));
                }
                // It is tried again by the next run.
                Err(reason) => done.left.push((self.destination.name().to_owned(), reason)),
            }
        }
        journal.expiry_settled(&settled)
    }

    /// Names of objects that some receipt names which is not about to go.
    fn needed(
        &self,
        journal: &Journal,
        going: &[(i64, Receipt)],
    ) -> Result<BTreeSet<String>, JournalError> {
        let mut needed = journal.objects_needed(&self.url)?;
        let going: BTreeSet<Archive> = going.iter().map(|(_, r)| archive(r)).collect();
        let others = self.receipts.iter().filter(|(of, _)| !going.contains(of));
        for (_, objects) in others.flat_map(|(_, receipts)| receipts) {
            needed.extend(objects.iter().map(|object| object.name.clone()));
        }
        Ok(needed)
    }

    /// Removes an archive's receipts, then its objects that nobody else needs; says how
    /// many bytes went, and how many objects are somebody else's.
    fn remove(&self, receipt: &Receipt, needed: &BTreeSet<String>) -> Result<(u64, usize), String> {
        let beside = self.receipts.get(&archive(receipt));
        for (name, _) in beside.into_iter().flatten() {
            around(Point::RemoveReceipt, || self.destination.remove(name))
                .map_err(|error| error.to_string())?;
        }
        let (mut freed, mut shared) = (0_u64, 0);
        for object in &receipt.objects {
            match needed.contains(&object.name) {
                true => shared += 1,
                false => freed = freed.saturating_add(self.remove_object(object)?),
            }
        }
        Ok((freed, shared))
    }

    /// One that is not what the receipt says is not the archive's, and stays.
    fn remove_object(&self, object: &ObjectRecord) -> Result<u64, String> {
        let in_words = |error: crate::destination::DestinationError| error.to_string();
        let name = self
            .destination
            .parse_name(&object.name)
            .map_err(in_words)?;
        match self.destination.lookup(&name).map_err(in_words)? {
            Some(found) if found.size == object.size => {
                around(Point::RemoveObject, || self.destination.remove(&name)).map_err(in_words)?;
                Ok(object.size)
            }
            Some(_) | None => Ok(0),
        }
    }
}
