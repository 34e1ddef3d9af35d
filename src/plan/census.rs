//! What a store holds, counted while it is walked: by collection, by what budgets count,
//! and by the values of captures somebody asks for.
//!
//! It needs every file to be looked at, and none to be remembered.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use super::Tally;
use super::used::{ByGroup, Group, Limits, Used};
use crate::entry::{Entry, Facts};
use crate::policy::{Collection, Matcher, Membership, Policy};
use crate::time::Stamp;

/// What is to be counted.
#[derive(Debug)]
pub(super) struct Questions {
    /// By collection: the captures that make a group, where it has all of them.
    groups: Vec<Option<Vec<usize>>>,
    limits: Limits,
}

/// Files with their bytes and their stamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// How many, and their allocated bytes.
    pub tally: Tally,
    /// When the oldest was last modified.
    pub oldest: Stamp,
    /// When the newest was last modified.
    pub newest: Stamp,
}

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Census {
    collections: HashMap<usize, Sum, RandomState>,
    used: Used,
    groups: ByGroup<Sum>,
    group: String,
}

impl Questions {
    /// Also for groups by the values of captures with these names, where they are wanted.
    pub(super) fn new(policy: &Policy, by: Option<&[String]>) -> Questions {
        let of_collection = |collection: &Collection| {
            let captures = by?.iter().map(|name| collection.template.capture(name));
            captures.collect()
        };
        Questions {
            groups: policy.collections.iter().map(of_collection).collect(),
            limits: Limits::of(policy),
        }
    }

    /// Counts a file by the collections it lies in.
    pub(super) fn count(
        &self,
        matcher: &Matcher<'_>,
        entry: &Entry,
        memberships: &[Membership],
        census: &mut Census,
    ) {
        let Ok(facts) = &entry.facts else { return };
        for place in memberships {
            let sum = census.collections.entry(place.collection);
            sum.and_modify(|sum| sum.add(facts))
                .or_insert_with(|| Sum::of(facts));
        }
        census.used.count(&self.limits, matcher, entry, memberships);
        let path = entry.path.as_bytes();
        let Census { groups, group, .. } = census;
        let found = memberships.iter().find_map(|place| {
            let wanted = self.groups.get(place.collection)?.as_ref()?;
            let values = place.spans.values(path);
            let values = wanted.iter().map(|&at| values.get(at));
            values.collect::<Option<SmallVec<[&str; 4]>>>()
        });
        if let Some(values) = found {
            Group::write(values.into_iter(), group);
            match groups.get_mut(group.as_str()) {
                Some(sum) => sum.add(facts),
                None => drop(groups.insert(Group::of(group), Sum::of(facts))),
            }
        }
    }
}

impl Sum {
    fn of(facts: &Facts) -> Sum {
        let mut tally = Tally::default();
        tally.add(facts);
        Sum {
            tally,
            oldest: facts.modified,
            newest: facts.modified,
        }
    }

    fn add(&mut self, facts: &Facts) {
        self.add_all(Sum::of(facts));
    }

    fn add_all(&mut self, more: Sum) {
        self.tally.add_all(more.tally);
        self.oldest = self.oldest.min(more.oldest);
        self.newest = self.newest.max(more.newest);
    }
}

impl Census {
    /// What a collection holds, by its index in the policy; nothing where it holds none.
    pub fn of_collection(&self, collection: usize) -> Option<&Sum> {
        self.collections.get(&collection)
    }

    /// What each group uses of a budget, in no particular order; the indices are of the
    /// collection and of its limit.
    pub fn of_limit(&self, collection: usize, limit: usize) -> impl Iterator<Item = (&Group, u64)> {
        self.used.groups((collection, limit))
    }

    /// The groups somebody asked for, in no particular order. A file counts once, in the
    /// first collection that has all captures.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&Group, &Sum)> {
        self.groups.iter()
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add_all(&mut self, more: Census) {
        for (collection, more) in more.collections {
            let sum = self.collections.entry(collection);
            sum.and_modify(|sum| sum.add_all(more)).or_insert(more);
        }
        self.used.add_all(more.used);
        for (group, more) in more.groups {
            let sum = self.groups.entry(group);
            sum.and_modify(|sum| sum.add_all(more)).or_insert(more);
        }
    }
}
