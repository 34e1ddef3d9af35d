//! The breaker: does a whole plan remove more than anybody meant.
//!
//! It looks at the finished plan, before anything is touched, and refuses all of
//! it or none.

use super::decide::Member;
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
pub(super) fn check(policy: &Policy, members: &[Member<'_>]) -> Vec<Tripped> {
    let mut tripped: Vec<Tripped> = policy
        .breakers
        .iter()
        .filter_map(|breaker| explicit(policy, breaker, members))
        .collect();
    if policy
        .breakers
        .iter()
        .any(|breaker| breaker.collection.is_none())
    {
        return tripped;
    }
    let has_own = |index: usize| {
        policy
            .breakers
            .iter()
            .any(|breaker| breaker.collection == Some(index))
    };
    for (index, collection) in policy
        .collections
        .iter()
        .enumerate()
        .filter(|(index, _)| !has_own(*index))
    {
        let counts = count(members, |member| {
            member
                .memberships
                .iter()
                .any(|place| place.collection == index)
        });
        tripped.extend(default(&counts, Some(&collection.name)));
    }
    let counts = count(members, |member| {
        !member
            .memberships
            .iter()
            .any(|place| has_own(place.collection))
    });
    tripped.extend(default(&counts, None));
    tripped
}

struct Counts {
    covered: u64,
    removed: Tally,
}

fn count(members: &[Member<'_>], in_scope: impl Fn(&Member<'_>) -> bool) -> Counts {
    let mut counts = Counts {
        covered: 0,
        removed: Tally::default(),
    };
    for member in members.iter().filter(|member| in_scope(member)) {
        counts.covered += 1;
        if let (Some(_), Some(facts)) = (&member.removal, member.facts()) {
            counts.removed.add(facts);
        }
    }
    counts
}

fn explicit(policy: &Policy, breaker: &Breaker, members: &[Member<'_>]) -> Option<Tripped> {
    let counts = count(members, |member| match breaker.collection {
        Some(index) => member
            .memberships
            .iter()
            .any(|place| place.collection == index),
        None => true,
    });
    let Counts { covered, removed } = counts;
    let reason = match breaker.bound {
        Bound::Never => return None,
        Bound::Percent(percent) => exceeds(removed.files, covered, percent).then(|| {
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
        .map(|c| c.name.clone());
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
