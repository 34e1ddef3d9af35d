//! An archive there is already, of this very generation of a file, made the same way.
//!
//! A file that was backed up and goes later need not be archived twice. The earlier
//! archive counts when it was proved as this one would be, by the same component with
//! the same settings, and file and objects still have the bytes of then: both are read
//! and hashed. In any doubt the file is archived again.

use std::fs::File;

use serde_json::Value;

use super::archive::{Archiver, Part, Proved};
use super::contract::GuestEntry;
use crate::receipt::{DestinationName, ObjectRecord, Receipt};

impl Archiver<'_> {
    /// The archive among those that were recorded, if one of them serves.
    pub(super) fn again(
        &self,
        entry: &GuestEntry<'_>,
        file: &File,
        destination: &DestinationName,
        recorded: &[Receipt],
    ) -> Option<Proved> {
        let alike = recorded
            .iter()
            .find(|receipt| self.is_alike(entry, destination, receipt))?;
        let note = super::restore::bytes(&alike.note)?;
        let content = self.hash(file, entry.size).ok()?;
        if content != alike.source {
            return None;
        }
        let objects = alike.objects.iter().map(|record| self.unchanged(record));
        Some(Proved {
            objects: objects.collect::<Option<Vec<_>>>()?,
            note,
            content,
            proof: alike.proof,
        })
    }

    /// Whether the host would record the same of an archive made now.
    fn is_alike(
        &self,
        entry: &GuestEntry<'_>,
        destination: &DestinationName,
        receipt: &Receipt,
    ) -> bool {
        let place = &receipt.destination;
        let settings = std::sync::Arc::clone(&self.settings);
        let limits = self.plugin.terms(settings, self.run, entry.size).limits();
        receipt.key == entry.key
            && !receipt.in_place
            && !receipt.objects.is_empty()
            && receipt.plugin.digest == self.plugin.version().digest
            && serde_json::from_str(&self.settings).is_ok_and(|now: Value| now == receipt.settings)
            && receipt.proof == self.plugin.proof()
            && receipt.limits == Some(limits)
            && (&place.url, &place.identity) == (&destination.url, &destination.identity)
    }

    /// A stored object, hashed where it lies.
    fn unchanged(&self, record: &ObjectRecord) -> Option<Part> {
        let name = self.target.destination.parse_name(&record.name).ok()?;
        let part = Part::Shared(self.shared(name).ok()?);
        (part.record() == *record).then_some(part)
    }
}
