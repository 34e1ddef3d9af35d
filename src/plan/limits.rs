//! Budgets: from the narrowest scope to the widest, in the order a limit names.

use std::collections::{BTreeMap, HashMap};

use super::decide::Planner;
use super::member::{Member, Members, Removal};
use super::used::Group;
use super::{Tally, Unmet, group};
use crate::entry::Entry;
use crate::policy::{
    Collection, Limit, Matcher, Measure, Membership, Order, Ordinal, Policy, Protector, Truth,
    Verdict, guard, ordinal,
};
use crate::time::Stamp;
use crate::units::{Elapsed, Size};

/// What members are compared by; ties go by path bytes, the order members stand in.
type Key = (Option<Stamp>, u64, Option<Ordinal>, usize);

/// Members by a capture and its value.
type ByValue = HashMap<usize, HashMap<String, Members>>;

impl Planner<'_, '_> {
    pub(super) fn apply_limits(&mut self) {
        for (index, collection) in in_turn(self.policy()) {
            let by_value = self.by_guards(index, collection);
            for (at, limit) in collection.limits.iter().enumerate() {
                let counted = self.counted(index, limit, &by_value);
                for (captures, group) in
                    group::by_captures(&self.members, counted, index, &limit.per)
                {
                    let name = group::name(collection, &limit.per, &captures);
                    let mut written = String::new();
                    Group::write(captures.iter().map(String::as_str), &mut written);
                    let rest = self.rest.of((index, at), &written).unwrap_or_default();
                    self.apply_limit(index, limit, (&name, rest), group);
                }
            }
        }
    }

    /// Members by the values of captures that limits insist on: ten thousand limits for
    /// a symbol each look at their own symbol's files only.
    fn by_guards(&self, index: usize, collection: &Collection) -> ByValue {
        let mut captures: Vec<usize> = collection
            .limits
            .iter()
            .filter_map(|limit| guard(&limit.condition).map(|(capture, _)| capture))
            .collect();
        captures.sort_unstable();
        captures.dedup();
        let mut found = ByValue::new();
        let members = self.of_collection.get(index).into_iter().flatten();
        for &member in members {
            let values = self.members.get(member).and_then(|m| m.values(index));
            for &capture in &captures {
                let Some(value) = values.and_then(|values| values.get(capture)) else {
                    continue;
                };
                let of_capture = found.entry(capture).or_default();
                match of_capture.get_mut(value) {
                    Some(members) => members.push(member),
                    None => drop(of_capture.insert(value.to_owned(), vec![member])),
                }
            }
        }
        found
    }

    /// Live members the limit's condition holds for. What cannot be read does not
    /// count: counting it would only make room for more evictions.
    fn counted(&self, collection: usize, limit: &Limit, by_value: &ByValue) -> Members {
        let mut candidates: Members = match guard(&limit.condition) {
            Some((capture, values)) => values
                .iter()
                .filter_map(|value| by_value.get(&capture)?.get(value))
                .flatten()
                .copied()
                .collect(),
            None => self
                .of_collection
                .get(collection)
                .cloned()
                .unwrap_or_default(),
        };
        candidates.sort_unstable();
        candidates.dedup();
        candidates.retain(|&index| {
            !self.is_leaving(index)
                && self.members.get(index).is_some_and(|member| {
                    member.facts().is_some()
                        && self.truth(&limit.condition, member, collection) == Truth::True
                })
        });
        candidates
    }

    /// Takes what a limit wants of a group, of which the rest is no members and stays.
    fn apply_limit(
        &mut self,
        collection: usize,
        limit: &Limit,
        (name, rest): (&str, u64),
        group: Members,
    ) {
        let total = group::total(&self.members, &group, limit.measure).saturating_add(rest);
        if total <= limit.cap {
            return;
        }
        let (mut evictable, held): (Members, Members) = group.iter().partition(|&&member| {
            self.members
                .get(member)
                .is_some_and(|m| m.is_evictable(limit))
        });
        let held_total = group::total(&self.members, &held, limit.measure).saturating_add(rest);
        if held_total > limit.cap {
            self.report_unmet(limit, name, &held, held_total);
            return;
        }
        evictable.sort_by_cached_key(|&member| self.order_key(member, collection, limit.order));
        let mut left = total;
        for member in evictable {
            if left <= limit.down_to {
                break;
            }
            left = left.saturating_sub(self.evict(member, collection, limit, name, total));
        }
    }

    /// What a member is compared by.
    pub(super) fn order_key(&self, index: usize, collection: usize, order: Order) -> Key {
        let Some((member, facts)) = self.members.get(index).and_then(|m| Some((m, m.facts()?)))
        else {
            return (None, 0, None, index);
        };
        match order {
            Order::Oldest => (self.clock_of(member, collection), 0, None, index),
            Order::Largest => (None, u64::MAX - facts.size, None, index),
            Order::Smallest => (None, facts.size, None, index),
            Order::LeastRecentlyUsed => (Some(facts.accessed), 0, None, index),
            Order::Lowest(capture) => {
                let value = self
                    .subject(member, collection)
                    .and_then(|subject| ordinal(capture, subject));
                (None, 0, value, index)
            }
        }
    }

    /// Why a member goes before others, in words.
    pub(super) fn order_words(
        &self,
        member: &Member<'_>,
        collection: usize,
        order: Order,
    ) -> String {
        let place = member.membership(collection);
        place.map_or_else(String::new, |place| {
            order_words(self.matcher, &member.entry, place, order)
        })
    }

    /// Removes a member for a limit; what it gives back.
    fn evict(
        &mut self,
        index: usize,
        collection: usize,
        limit: &Limit,
        name: &str,
        total: u64,
    ) -> u64 {
        let Some(member) = self.members.get(index) else {
            return 0;
        };
        let what = match member.unit() {
            Some(_) => "directories",
            None => "files",
        };
        let over = over_words(limit, name, total, what);
        let this = self.order_words(member, collection, limit.order);
        let gives = match limit.measure {
            Measure::TotalSize => member.freed(),
            Measure::Count => 1,
        };
        let place = member
            .memberships
            .iter()
            .position(|place| place.collection == collection);
        let reason = self.words.shared(&format!("{over}; {this}"));
        if let (Some(member), Some(membership)) = (self.members.get_mut(index), place) {
            member.removal = Some(Removal {
                membership,
                rule: limit.rule,
                reason,
                pressure: None,
            });
        }
        gives
    }

    fn report_unmet(&mut self, limit: &Limit, name: &str, held: &Members, held_total: u64) {
        let mut holders: BTreeMap<String, Tally> = BTreeMap::new();
        for member in held.iter().filter_map(|&member| self.members.get(member)) {
            if let Some(facts) = member.facts() {
                holders.entry(self.holder(member)).or_default().add(facts);
            }
        }
        let mut holders: Vec<_> = holders.into_iter().collect();
        holders.sort_by_key(|(_, tally)| std::cmp::Reverse((tally.bytes, tally.files)));
        let shown: Vec<String> = holders
            .iter()
            .take(3)
            .map(|(holder, tally)| {
                format!("{} in {} files by {holder}", Size(tally.bytes), tally.files)
            })
            .collect();
        let (amount, cap) = match limit.measure {
            Measure::TotalSize => (Size(held_total).to_string(), Size(limit.cap).to_string()),
            Measure::Count => (
                format!("{held_total} files"),
                format!("{} files", limit.cap),
            ),
        };
        let reason = format!(
            "protected files alone are {amount}, more than {cap}, so nothing is evicted; held: {}",
            shown.join(", ")
        );
        self.unmet.push(Unmet {
            rule: limit.rule,
            group: name.to_owned(),
            reason,
        });
    }

    /// Who keeps a member, in words.
    fn holder(&self, member: &Member<'_>) -> String {
        let rule = |index: usize| {
            let rules = self.policy().rules.get(index);
            rules.map_or_else(String::new, ToString::to_string)
        };
        match (member.verdict, member.floor) {
            (Verdict::Kept(Protector::Rule(index) | Protector::Possibly(index)), _)
            | (_, Some(index)) => rule(index),
            (Verdict::Kept(Protector::Unreadable), _) => "files that cannot be read".to_owned(),
            (Verdict::Kept(Protector::FutureClock), _) => "clocks in the future".to_owned(),
            (Verdict::Kept(Protector::NoClock), _) => "missing time stamps".to_owned(),
            (Verdict::Kept(Protector::Held(index)), _) => {
                let name = self.hold_of(member, index);
                format!("hold \"{name}\" of the ledger")
            }
            (Verdict::Open | Verdict::Doomed { .. }, None) => {
                "other links to the same file".to_owned()
            }
        }
    }
}

/// The collections of a policy in the order their limits take from the same files.
///
/// Where two collections share files, which goes first decides; their places in the text
/// must not. Whole directories first, as the wider bite leaves less to take.
pub(super) fn in_turn(policy: &Policy) -> Vec<(usize, &Collection)> {
    let mut collections: Vec<(usize, &Collection)> =
        policy.collections.iter().enumerate().collect();
    collections.sort_by_key(|(_, c)| (!c.template.is_directory(), &*c.name));
    collections
}

/// What a group of a limit has too much of, in words.
pub(super) fn over_words(limit: &Limit, name: &str, total: u64, what: &str) -> String {
    let of_group = match name {
        "" => String::new(),
        name => format!(" of {name}"),
    };
    match limit.measure {
        Measure::TotalSize => format!(
            "total size {}{of_group} is over {}",
            Size(total),
            Size(limit.cap)
        ),
        Measure::Count => format!("{total} {what}{of_group} are more than {}", limit.cap),
    }
}

/// Why something goes before others, in words.
pub(super) fn order_words(
    matcher: &Matcher<'_>,
    entry: &Entry,
    place: &Membership,
    order: Order,
) -> String {
    let Ok(facts) = &entry.facts else {
        return String::new();
    };
    let now = matcher.now;
    match order {
        Order::Oldest => {
            let age = matcher.clock_of(entry, place);
            let age = age.map_or(0, |stamp| stamp.seconds_until(now));
            format!("oldest first, age {}", Elapsed(age))
        }
        Order::Largest => format!("largest first, size {}", Size(facts.size)),
        Order::Smallest => format!("smallest first, size {}", Size(facts.size)),
        Order::LeastRecentlyUsed => format!(
            "least recently used first, unused for {}",
            Elapsed(facts.accessed.seconds_until(now))
        ),
        Order::Lowest(capture) => {
            let value = place.spans.values(entry.path.as_bytes()).get(capture);
            let collection = matcher.policy.collections.get(place.collection);
            let name = collection.and_then(|c| c.template.captures().get(capture));
            format!(
                "lowest {{{}}} first, here {}",
                name.map_or("", String::as_str),
                value.unwrap_or_default()
            )
        }
    }
}
