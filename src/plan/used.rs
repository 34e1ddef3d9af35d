//! What files use of budgets, group by group.

use std::borrow::Borrow;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::entry::{Entry, Facts};
use crate::policy::{Limit, Matcher, Measure, Membership, Policy, Truth, Values, guard};

/// Ends a value; no name of a file has one.
const END: char = '\0';

/// The values of captures that make a group. They order as the values do, one by one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Box<str>);

impl Group {
    /// The values.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.split_terminator(END)
    }

    /// The text it is found by.
    pub(super) fn written(&self) -> &str {
        &self.0
    }

    /// The group of what [`Group::write`] wrote.
    pub(super) fn of(written: &str) -> Group {
        Group(written.into())
    }

    /// The values as the text a group is found by.
    pub(super) fn write<'v>(values: impl Iterator<Item = &'v str>, to: &mut String) {
        to.clear();
        for value in values {
            to.push_str(value);
            to.push(END);
        }
    }
}

impl Borrow<str> for Group {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Something for each group.
pub(super) type ByGroup<T> = HashMap<Group, T, RandomState>;

/// A collection of the policy, and one of its limits.
pub(super) type LimitAt = (usize, usize);

/// The limits of a policy, by what the files have that they may count: ten thousand limits
/// for a symbol each are asked of their own symbol's files only.
#[derive(Debug)]
pub(super) struct Limits(Vec<OfCollection>);

#[derive(Debug, Default)]
struct OfCollection {
    plain: Vec<usize>,
    /// By a capture and its value.
    guarded: HashMap<usize, HashMap<String, Vec<usize>>>,
}

impl Limits {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        let mut all = self.0.iter();
        all.all(|of| of.plain.is_empty() && of.guarded.is_empty())
    }

    pub(super) fn of(policy: &Policy) -> Limits {
        let collections = policy.collections.iter().map(|collection| {
            let mut of = OfCollection::default();
            for (index, limit) in collection.limits.iter().enumerate() {
                let Some((capture, values)) = guard(&limit.condition) else {
                    of.plain.push(index);
                    continue;
                };
                let of_capture = of.guarded.entry(capture).or_default();
                for value in values {
                    let limits = of_capture.entry(value.clone()).or_default();
                    if limits.last() != Some(&index) {
                        limits.push(index);
                    }
                }
            }
            of
        });
        Limits(collections.collect())
    }

    /// Shows the limits that count a file, each with the file's captures.
    pub(super) fn each(
        &self,
        matcher: &Matcher<'_>,
        entry: &Entry,
        place: &Membership,
        mut see: impl FnMut(LimitAt, &Limit, Values<'_>),
    ) {
        let collection = matcher.policy.collections.get(place.collection);
        let of = self.0.get(place.collection);
        let (Some(collection), Some(of)) = (collection, of) else {
            return;
        };
        if collection.limits.is_empty() {
            return;
        }
        let Some(subject) = matcher.subject(entry, place) else {
            return;
        };
        let values = place.spans.values(entry.path.as_bytes());
        let guarded = of.guarded.iter().filter_map(|(&capture, of_value)| {
            let value = values.get(capture)?;
            of_value.get(value)
        });
        for &index in of.plain.iter().chain(guarded.flatten()) {
            if let Some(limit) = collection.limits.get(index)
                && matcher.truth(&limit.condition, subject) == Truth::True
            {
                see((place.collection, index), limit, values);
            }
        }
    }
}

/// What each group uses of each limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Used {
    limits: HashMap<LimitAt, ByGroup<u64>, RandomState>,
    group: String,
}

impl Used {
    /// Counts a file by the collections it lies in.
    pub(super) fn count(
        &mut self,
        limits: &Limits,
        matcher: &Matcher<'_>,
        entry: &Entry,
        memberships: &[Membership],
    ) {
        let Ok(facts) = &entry.facts else { return };
        let Used {
            limits: used,
            group,
        } = self;
        for place in memberships {
            limits.each(matcher, entry, place, |at, limit, values| {
                Group::write(by_captures(&limit.per, values), group);
                add(used.entry(at).or_default(), group, amount(limit, facts));
            });
        }
    }

    /// What a group uses of a limit, by what [`Group::write`] wrote.
    /// Nothing where none of its files were counted.
    pub(super) fn of(&self, limit: LimitAt, group: &str) -> Option<u64> {
        self.limits.get(&limit)?.get(group).copied()
    }

    /// The groups of a limit, in no particular order.
    pub(super) fn groups(&self, limit: LimitAt) -> impl Iterator<Item = (&Group, u64)> {
        let groups = self.limits.get(&limit).into_iter().flatten();
        groups.map(|(group, &used)| (group, used))
    }

    /// All of them, in no particular order.
    pub(super) fn all(&self) -> impl Iterator<Item = (LimitAt, &Group, u64)> {
        let limits = self.limits.iter();
        limits.flat_map(|(&at, groups)| groups.iter().map(move |(group, &used)| (at, group, used)))
    }

    /// Adds what was counted elsewhere.
    pub(super) fn add_all(&mut self, more: Used) {
        for (at, more) in more.limits {
            let groups = self.limits.entry(at).or_default();
            for (group, used) in more {
                add(groups, group.borrow(), used);
            }
        }
    }

    /// Takes away what was counted of some of the files.
    pub(super) fn subtract(&mut self, less: &Used) {
        for (at, group, used) in less.all() {
            let groups = self.limits.get_mut(&at);
            if let Some(sum) = groups.and_then(|groups| groups.get_mut(group)) {
                *sum = sum.saturating_sub(used);
            }
        }
    }
}

fn add(groups: &mut ByGroup<u64>, group: &str, more: u64) {
    match groups.get_mut(group) {
        Some(sum) => *sum = sum.saturating_add(more),
        None => drop(groups.insert(Group::of(group), more)),
    }
}

/// The values of the captures that a statement counts by.
pub(super) fn by_captures<'v>(per: &[usize], values: Values<'v>) -> impl Iterator<Item = &'v str> {
    per.iter().filter_map(move |&capture| values.get(capture))
}

fn amount(limit: &Limit, facts: &Facts) -> u64 {
    match limit.measure {
        Measure::TotalSize => facts.allocated,
        Measure::Count => 1,
    }
}
