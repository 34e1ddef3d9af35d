//! What a store holds, counted while it is walked: by collection, by what budgets count,
//! and by the values of captures somebody asks for.
//!
//! It needs every file to be looked at, and none to be remembered.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Tally;
use crate::entry::{Entry, Facts};
use crate::policy::{Collection, Matcher, Measure, Membership, Policy, Subject, Truth};
use crate::time::Stamp;

/// What is to be counted.
#[derive(Debug)]
pub(super) struct Questions {
    /// By collection: the captures that make a group, where it has all of them.
    groups: Vec<Option<Vec<usize>>>,
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

/// The values of captures, in the order somebody asked for.
type Values = Vec<Box<str>>;

/// What was counted.
#[derive(Clone, Debug, Default)]
pub struct Census {
    collections: HashMap<usize, Sum, RandomState>,
    /// What each group uses of a budget, by collection and limit.
    limits: HashMap<(usize, usize), HashMap<Values, u64, RandomState>, RandomState>,
    groups: HashMap<Values, Sum, RandomState>,
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
        let path = entry.path.as_bytes();
        for place in memberships {
            let Some(collection) = matcher.policy.collections.get(place.collection) else {
                continue;
            };
            let sum = census.collections.entry(place.collection);
            sum.and_modify(|sum| sum.add(facts))
                .or_insert_with(|| Sum::of(facts));
            for (index, limit) in collection.limits.iter().enumerate() {
                let subject = Subject {
                    path: &entry.path,
                    facts: Some(facts),
                    template: &collection.template,
                    captures: place.spans.values(path),
                };
                if matcher.truth(&limit.condition, subject) != Truth::True {
                    continue;
                }
                let values = limit.per.iter().filter_map(|&at| subject.captures.get(at));
                let groups = census.limits.entry((place.collection, index)).or_default();
                let used = groups.entry(values.map(Box::from).collect()).or_default();
                *used = used.saturating_add(match limit.measure {
                    Measure::TotalSize => facts.allocated,
                    Measure::Count => 1,
                });
            }
        }
        let group = memberships.iter().find_map(|place| {
            let wanted = self.groups.get(place.collection)?.as_ref()?;
            let values = place.spans.values(path);
            let values = wanted.iter().map(|&at| values.get(at).map(Box::from));
            values.collect::<Option<Values>>()
        });
        if let Some(group) = group {
            let sum = census.groups.entry(group);
            sum.and_modify(|sum| sum.add(facts))
                .or_insert_with(|| Sum::of(facts));
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
    pub fn of_limit(
        &self,
        collection: usize,
        limit: usize,
    ) -> impl Iterator<Item = (&[Box<str>], u64)> {
        let groups = self.limits.get(&(collection, limit));
        let groups = groups.into_iter().flatten();
        groups.map(|(values, used)| (&**values, *used))
    }

    /// The groups somebody asked for, in no particular order. A file counts once, in the
    /// first collection that has all captures.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[Box<str>], &Sum)> {
        self.groups.iter().map(|(values, sum)| (&**values, sum))
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add_all(&mut self, more: Census) {
        for (collection, more) in more.collections {
            let sum = self.collections.entry(collection);
            sum.and_modify(|sum| sum.add_all(more)).or_insert(more);
        }
        for (limit, more) in more.limits {
            let groups = self.limits.entry(limit).or_default();
            for (values, more) in more {
                let used = groups.entry(values).or_default();
                *used = used.saturating_add(more);
            }
        }
        for (values, more) in more.groups {
            let sum = self.groups.entry(values);
            sum.and_modify(|sum| sum.add_all(more)).or_insert(more);
        }
    }
}
