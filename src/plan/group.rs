//! Members of a collection by the captures a statement counts `per`.

use std::collections::{BTreeMap, HashSet};

use super::member::{Member, Members};
use crate::policy::{Collection, Measure};

/// Splits members into groups with equal values of the given captures.
pub(super) fn by_captures(
    all: &[Member<'_>],
    members: Members,
    collection: usize,
    per: &[usize],
) -> BTreeMap<Vec<String>, Members> {
    let mut groups: BTreeMap<Vec<String>, Members> = BTreeMap::new();
    for index in members {
        let Some(place) = all
            .get(index)
            .and_then(|member| member.membership(collection))
        else {
            continue;
        };
        let key = per
            .iter()
            .filter_map(|&capture| place.captures.get(capture).cloned())
            .collect();
        groups.entry(key).or_default().push(index);
    }
    groups
}

/// A group in words: `symbol=AAPL, interval=1h`; empty for a whole collection.
pub(super) fn name(collection: &Collection, per: &[usize], values: &[String]) -> String {
    let names = per
        .iter()
        .filter_map(|&capture| collection.template.captures().get(capture));
    names
        .zip(values)
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What a limit counts. The bytes of a file with several names are counted once.
pub(super) fn total(all: &[Member<'_>], members: &Members, measure: Measure) -> u64 {
    match measure {
        Measure::Count => members.len() as u64,
        Measure::TotalSize => {
            let mut seen = HashSet::new();
            let facts = members.iter().filter_map(|&index| all.get(index)?.facts());
            facts
                .filter(|facts| facts.links <= 1 || seen.insert(facts.id))
                .fold(0u64, |sum, facts| sum.saturating_add(facts.allocated))
        }
    }
}
