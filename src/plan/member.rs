//! A file, or a whole directory, on its way to a decision.

use std::ops::Deref;
use std::sync::Arc;

use super::Indices;
use crate::entry::{Entry, Facts};
use crate::path::RelPath;
use crate::policy::{Limit, Measure, Membership, Memberships, Values, Verdict};

/// Indices into the planner's members, ascending, which is path order.
pub(super) type Members = Vec<usize>;

/// What a member is decided on. Nearly all are what the scan has seen, and there may be
/// millions: the others pay for themselves.
pub(super) enum Judged<'e> {
    Seen(&'e Entry),
    Made(Box<Entry>),
}

impl Deref for Judged<'_> {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        match self {
            Judged::Seen(entry) => entry,
            Judged::Made(entry) => entry,
        }
    }
}

/// A file in some collection, or in a directory that is decided on as a whole.
pub(super) struct Member<'e> {
    /// What a unit is, all its files together. An archive in a file's place goes by
    /// that file's path.
    pub(super) entry: Judged<'e>,
    pub(super) memberships: Memberships,
    pub(super) verdict: Verdict,
    /// Some clock of its collections shows a time after now.
    pub(super) future: bool,
    /// Set by a floor: the member is one of those it holds.
    pub(super) floor: Option<usize>,
    pub(super) removal: Option<Removal>,
    /// What few members have.
    rare: Option<Box<Rare<'e>>>,
}

/// What is said of a member besides.
#[derive(Default)]
struct Rare<'e> {
    place: Option<&'e RelPath>,
    in_floors: Indices,
    /// Much larger than the rest, and only directories have it.
    unit: Option<Box<Unit>>,
    inside: Indices,
}

/// A whole directory.
pub(super) struct Unit {
    /// Its files.
    pub(super) files: Members,
    /// The directory itself, where it could be looked at.
    pub(super) directory: Option<Facts>,
}

/// What removes a member.
pub(super) struct Removal {
    pub(super) membership: usize,
    pub(super) rule: usize,
    pub(super) reason: Arc<str>,
    /// The pressure that takes it: an index into the plan's.
    pub(super) pressure: Option<usize>,
}

/// What removing a name gives back.
pub(super) fn freed(facts: &Facts) -> u64 {
    match facts.links {
        0 | 1 => facts.allocated,
        _ => 0,
    }
}

impl<'e> Member<'e> {
    pub(super) fn new(entry: Judged<'e>, memberships: Memberships, verdict: Verdict) -> Member<'e> {
        Member {
            entry,
            memberships,
            verdict,
            future: false,
            floor: None,
            removal: None,
            rare: None,
        }
    }

    fn rare(&mut self) -> &mut Rare<'e> {
        self.rare.get_or_insert_default()
    }

    /// The same where it lies at another place than what it goes by.
    pub(super) fn at(mut self, place: Option<&'e RelPath>) -> Member<'e> {
        if place.is_some() {
            self.rare().place = place;
        }
        self
    }

    /// The same as a directory that goes or stays as one.
    pub(super) fn whole(mut self, unit: Unit) -> Member<'e> {
        self.rare().unit = Some(Box::new(unit));
        self
    }

    /// Notes a unit it lies in, by its index as a member.
    pub(super) fn lies_inside(&mut self, unit: usize) {
        self.rare().inside.push(unit);
    }

    /// Notes a floor whose group it belongs to without being held.
    pub(super) fn is_in_floor(&mut self, floor: usize) {
        self.rare().in_floors.push(floor);
    }

    /// What a directory is that goes or stays as one.
    pub(super) fn unit(&self) -> Option<&Unit> {
        self.rare.as_ref()?.unit.as_deref()
    }

    /// The units a file lies in, as indices of members.
    pub(super) fn inside(&self) -> &[usize] {
        self.rare.as_ref().map_or(&[], |rare| &rare.inside)
    }

    /// The floors whose groups it belongs to without being held.
    pub(super) fn in_floors(&self) -> &[usize] {
        self.rare.as_ref().map_or(&[], |rare| &rare.in_floors)
    }

    /// What it is judged by.
    pub(super) fn path(&self) -> &RelPath {
        &self.entry.path
    }

    /// Where it lies.
    pub(super) fn place(&self) -> &RelPath {
        self.elsewhere().unwrap_or(&self.entry.path)
    }

    fn elsewhere(&self) -> Option<&'e RelPath> {
        self.rare.as_ref()?.place
    }

    /// Whether it is an archive in the place of the file it goes by.
    pub(super) fn is_archive(&self) -> bool {
        self.elsewhere().is_some()
    }

    /// The path of the file it stands for, if it is an archive in its place.
    pub(super) fn stands_for(&self) -> Option<RelPath> {
        self.elsewhere().map(|_| self.entry.path.clone())
    }

    pub(super) fn facts(&self) -> Option<&Facts> {
        self.entry.facts.as_ref().ok()
    }

    pub(super) fn is_protected(&self) -> bool {
        self.floor.is_some() || matches!(self.verdict, Verdict::Kept(_))
    }

    /// The member's place in a collection.
    pub(super) fn membership(&self, collection: usize) -> Option<&Membership> {
        self.memberships
            .iter()
            .find(|place| place.collection == collection)
    }

    /// The values of its captures in a collection.
    pub(super) fn values(&self, collection: usize) -> Option<Values<'_>> {
        let place = self.membership(collection)?;
        Some(place.spans.values(self.path().as_bytes()))
    }

    /// What removing it gives back: a name whose content lives on frees nothing.
    pub(super) fn freed(&self) -> u64 {
        self.facts().map_or(0, freed)
    }

    /// Unprotected, readable, and of use.
    pub(super) fn is_evictable(&self, limit: &Limit) -> bool {
        let helps = match limit.measure {
            Measure::TotalSize => self.freed() > 0,
            Measure::Count => self.facts().is_some(),
        };
        helps && !self.is_protected()
    }
}
