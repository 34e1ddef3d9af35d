//! The breaker: does a whole plan remove more than anybody meant.
//!
//! It looks at the finished plan, before anything is touched, and refuses all of
//! it or none.

use smallvec::SmallVec;

use super::decide::Planner;
use super::known::Sums;
use super::{Tally, Tripped};
use crate::entry::Facts;
use crate::policy::{Bound, Breaker, Policy};
use crate::units::Size;

/// The default trips only when both are exceeded, so small stores can be cleaned.
const DEFAULT_PERCENT: u64 = 50;
const DEFAULT_FILES: u64 = 100;

/// Every bound the plan exceeds.
///
/// A `stop` at file level replaces every default; one in a collection replaces the
/// default of that collection, whose files then do not count for the store's.
pub(super) fn check(planner: &Planner<'_, '_>) -> Vec<Tripped> {
    let policy = planner.policy();
    let counts = Counted::of(planner);
    let mut tripped: Vec<Tripped> = policy
        .breakers
        .iter()
        .filter_map(|breaker| explicit(policy, breaker, &counts))
        .collect();
    if policy
        .breakers
        .iter()
        .any(|breaker| breaker.collection.is_none())
    {
        return tripped;
    }
    for (index, collection) in policy.collections.iter().enumerate() {
        if !has_own(policy, index)
            && let Some(counts) = counts.collections.get(index)
        {
            tripped.extend(default(counts, Some(&collection.name)));
        }
    }
    tripped.extend(default(&counts.without_own, None));
    tripped
}

fn has_own(policy: &Policy, collection: usize) -> bool {
    policy
        .breakers
        .iter()
        .any(|breaker| breaker.collection == Some(collection))
}

/// Files of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    covered: u64,
    removed: Tally,
}

impl Counts {
    fn add(&mut self, leaving: Option<&Facts>) {
        self.covered += 1;
        if let Some(facts) = leaving {
            self.removed.add(facts);
        }
    }

    fn add_all(&mut self, more: &Counts) {
        self.covered += more.covered;
        self.removed.add_all(more.removed);
    }
}

/// All scopes, counted in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    store: Counts,
    /// Files of no collection with a `stop` of its own.
    without_own: Counts,
    collections: Vec<Counts>,
}

impl Counted {
    fn of(planner: &Planner<'_, '_>) -> Counted {
        let own = own(planner.policy());
        let mut counted = planner.counted.clone();
        for (index, member) in planner.members.iter().enumerate() {
            if member.unit().is_some() {
                continue;
            }
            let leaving = member.facts().filter(|_| planner.is_leaving(index));
            let units = member
                .inside()
                .iter()
                .filter_map(|&unit| planner.members.get(unit));
            let places = member
                .memberships
                .iter()
                .chain(units.flat_map(|unit| &unit.memberships));
            let places: SmallVec<[usize; 4]> = places.map(|place| place.collection).collect();
            counted.add(&own, &places, leaving);
        }
        // With no file at all nothing was counted of any collection.
        counted.reach(own.len());
        counted
    }

    /// Adds a file by the collections it lies in, with its facts if it is to go; `own` says
    /// which of them have a `stop` of their own.
    pub(super) fn add(&mut self, own: &[bool], places: &[usize], leaving: Option<&Facts>) {
        self.reach(own.len());
        self.store.add(leaving);
        if !places.iter().any(|&place| own.get(place) == Some(&true)) {
            self.without_own.add(leaving);
        }
        for &place in places {
            if let Some(counts) = self.collections.get_mut(place) {
                counts.add(leaving);
            }
        }
    }

    /// Adds files that stay.
    pub(super) fn add_staying(&mut self, sums: &Sums) {
        self.store.covered += sums.covered.files;
        self.without_own.covered += sums.without_own;
        for (place, files) in sums.of_collection.iter() {
            self.reach(place + 1);
            if let Some(counts) = self.collections.get_mut(place) {
                counts.covered += files;
            }
        }
    }

    /// Adds what has been counted elsewhere.
    pub(super) fn add_all(&mut self, more: &Counted) {
        self.reach(more.collections.len());
        self.store.add_all(&more.store);
        self.without_own.add_all(&more.without_own);
        for (counts, more) in self.collections.iter_mut().zip(&more.collections) {
            counts.add_all(more);
        }
    }

    fn reach(&mut self, collections: usize) {
        let longer = self.collections.len().max(collections);
        self.collections.resize(longer, Counts::default());
    }
}

/// By collection: whether it has a `stop` of its own.
pub(super) fn own(policy: &Policy) -> Vec<bool> {
    let collections = 0..policy.collections.len();
    collections.map(|index| has_own(policy, index)).collect()
}

fn explicit(policy: &Policy, breaker: &Breaker, counted: &Counted) -> Option<Tripped> {
    let counts = match breaker.collection {
        Some(index) => counted.collections.get(index)?,
        None => &counted.store,
    };
    let Counts { covered, removed } = counts;
    let reason = match breaker.bound {
        Bound::Never => return None,
        Bound::Percent(percent) => exceeds(removed.files, *covered, percent).then(|| {
            format!(
                "{} of {covered} files would go, more than {percent}%",
                removed.files
            )
        }),
        Bound::Files(files) => (removed.files > files)
            .then(|| format!("{} files would go, more than {files}", removed.files)),
        Bound::Bytes(bytes) => (removed.bytes > bytes).then(|| {
            format!(
                "{} would go, more than {}",
                Size(removed.bytes),
                Size(bytes)
            )
        }),
    };
    let collection = breaker
        .collection
        .and_then(|index| policy.collections.get(index))
        .map(|c| c.name.to_string());
    reason.map(|reason| Tripped {
        rule: Some(breaker.rule),
        collection,
        reason,
    })
}

fn default(counts: &Counts, collection: Option<&str>) -> Option<Tripped> {
    let removed = counts.removed.files;
    let trips = removed > DEFAULT_FILES && exceeds(removed, counts.covered, DEFAULT_PERCENT);
    trips.then(|| Tripped {
        rule: None,
        collection: collection.map(str::to_owned),
        reason: format!("{removed} of {} files would go, more than {DEFAULT_PERCENT}% and more than {DEFAULT_FILES} files (the default)", counts.covered),
    })
}

fn exceeds(removed: u64, covered: u64, percent: u64) -> bool {
    u128::from(removed) * 100 > u128::from(covered) * u128::from(percent)
}
