//! Members of a collection by the captures a statement counts `per`.

use std::collections::{HashMap, HashSet};

use smallvec::SmallVec;

use super::member::{Member, Members};
use crate::policy::{Collection, Measure};

/// Splits members into groups with equal values of the given captures, in the order of
/// those.
pub(super) fn by_captures(
    all: &[Member<'_>],
    members: Members,
    collection: usize,
    per: &[usize],
) -> Vec<(Vec<String>, Members)> {
    if per.is_empty() {
        return match members.is_empty() {
            true => Vec::new(),
            false => vec![(Vec::new(), members)],
        };
    }
    let mut groups: HashMap<SmallVec<[&str; 2]>, Members> = HashMap::new();
    for index in members {
        let Some(values) = all.get(index).and_then(|member| member.values(collection)) else {
            continue;
        };
        let key = per.iter().filter_map(|&capture| values.get(capture));
        groups.entry(key.collect()).or_default().push(index);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let owned = |key: &[&str]| key.iter().map(|&value| value.to_owned()).collect();
    groups
        .into_iter()
        .map(|(key, members)| (owned(&key), members))
        .collect()
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
