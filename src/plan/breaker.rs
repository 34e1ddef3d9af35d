//! The breaker: does a whole plan remove more than anybody meant.
//!
//! It looks at the finished plan, before anything is touched, and refuses all of
//! it or none.

use smallvec::SmallVec;

use super::decide::Planner;
use super::{Tally, Tripped};
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

#[derive(Clone, Default)]
struct Counts {
    covered: u64,
    removed: Tally,
}

/// All scopes, counted in one pass.
struct Counted {
    store: Counts,
    /// Files of no collection with a `stop` of its own.
    without_own: Counts,
    collections: Vec<Counts>,
}

impl Counted {
    fn of(planner: &Planner<'_, '_>) -> Counted {
        let policy = planner.policy();
        let own: Vec<bool> = (0..policy.collections.len())
            .map(|index| has_own(policy, index))
            .collect();
        let mut counted = Counted {
            store: Counts::default(),
            without_own: Counts::default(),
            collections: vec![Counts::default(); policy.collections.len()],
        };
        for (index, member) in planner.members.iter().enumerate() {
            if member.unit.is_some() {
                continue;
            }
            let leaving = member.facts().filter(|_| planner.is_leaving(index));
            let count = |counts: &mut Counts| {
                counts.covered += 1;
                leaving
                    .into_iter()
                    .for_each(|facts| counts.removed.add(facts));
            };
            let mut places: SmallVec<[usize; 4]> =
                member.memberships.iter().map(|m| m.collection).collect();
            let units = member
                .inside
                .iter()
                .filter_map(|&unit| planner.members.get(unit));
            places.extend(units.flat_map(|unit| unit.memberships.iter().map(|m| m.collection)));
            count(&mut counted.store);
            if !places.iter().any(|&place| own.get(place) == Some(&true)) {
                count(&mut counted.without_own);
            }
            for place in places {
                if let Some(counts) = counted.collections.get_mut(place) {
                    count(counts);
                }
            }
        }
        counted
    }
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
