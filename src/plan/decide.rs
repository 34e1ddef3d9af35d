//! Section 5 of the language, over a whole inventory.
//!
//! In this order: what every file is by itself, floors on the snapshot, what the
//! `delete` statements doom, then limits from the narrowest scope to the widest.
//! The order of a policy's statements plays no part.

use std::collections::BTreeMap;

use super::group::{self, Members};
use super::{Floor, Hook, Notice, Otherwise, Plan, Step, Tally, Totals, Unmet, breaker};
use crate::entry::{Entry, Facts, Kind};
use crate::policy::{
    Collection, Condition, Limit, Matcher, Measure, Membership, Order, Policy, Protector, Truth,
    Verdict, reading, subject,
};
use crate::time::{Now, Stamp};
use crate::units::{Elapsed, Size};

/// For which store and moment a plan is wanted.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The store's name in the configuration.
    pub store: String,
    /// The identity of its root.
    pub root: String,
    /// The moment decisions hold for.
    pub now: Now,
    /// Digests of what the plan is made under; passed on.
    pub basis: BTreeMap<String, String>,
    /// What the scan has to report; passed on.
    pub notices: Vec<Notice>,
}

/// Decides about every entry. Entries must be in path order, as a scan lists them.
pub fn plan(policy: &Policy, entries: &[Entry], ask: Ask) -> Plan {
    let matcher = Matcher::new(policy, &ask.now);
    let mut planner = Planner {
        matcher: &matcher,
        members: Vec::new(),
        floors: Vec::new(),
        unmet: Vec::new(),
        totals: Totals::default(),
        notices: ask.notices.clone(),
    };
    planner.enter(entries);
    planner.fill_floors();
    planner.apply_limits();
    planner.finish(ask)
}

/// A covered file on its way to a decision.
pub(super) struct Member<'e> {
    pub(super) entry: &'e Entry,
    pub(super) memberships: Vec<Membership>,
    verdict: Verdict,
    /// Set by a floor: the file is one of the newest of its group.
    floor: Option<usize>,
    /// The floors whose groups this file belongs to.
    in_floors: Vec<usize>,
    pub(super) removal: Option<Removal>,
}

/// What removes a file.
pub(super) struct Removal {
    pub(super) membership: usize,
    rule: usize,
    reason: String,
}

impl Member<'_> {
    pub(super) fn facts(&self) -> Option<&Facts> {
        self.entry.facts.as_ref().ok()
    }

    fn is_protected(&self) -> bool {
        self.floor.is_some() || matches!(self.verdict, Verdict::Kept(_))
    }
}

struct Planner<'p, 'e> {
    matcher: &'p Matcher<'p>,
    members: Vec<Member<'e>>,
    floors: Vec<Floor>,
    unmet: Vec<Unmet>,
    totals: Totals,
    notices: Vec<Notice>,
}

impl<'p, 'e> Planner<'p, 'e> {
    fn policy(&self) -> &'p Policy {
        self.matcher.policy
    }

    fn enter(&mut self, entries: &'e [Entry]) {
        for entry in entries {
            if matches!(&entry.facts, Ok(facts) if facts.kind != Kind::File) {
                continue;
            }
            let memberships = self.matcher.memberships(&entry.path);
            self.count(entry, &memberships);
            if memberships.is_empty() {
                continue;
            }
            let verdict = self.matcher.judge(entry, &memberships);
            self.members.push(Member {
                entry,
                memberships,
                verdict,
                floor: None,
                in_floors: Vec::new(),
                removal: None,
            });
        }
    }

    fn count(&mut self, entry: &Entry, memberships: &[Membership]) {
        match &entry.facts {
            Ok(facts) if memberships.is_empty() => self.totals.uncovered.add(facts),
            Ok(facts) => self.totals.covered.add(facts),
            Err(unreadable) => {
                self.totals.unreadable += 1;
                let message = format!("kept, because it could not be read: {}", unreadable.reason);
                self.notices.push(Notice {
                    path: Some(entry.path.clone()),
                    message,
                });
            }
        }
    }

    // ---- floors ---------------------------------------------------------------

    /// Computed on the snapshot, before any removal.
    fn fill_floors(&mut self) {
        for (index, collection) in self.policy().collections.iter().enumerate() {
            for floor in &collection.floors {
                let (known, unknown) = self.floor_members(index, &floor.condition);
                for member in unknown {
                    self.mark_floor(member, floor.rule);
                }
                for (_, group) in group::by_captures(&self.members, known, index, &floor.per) {
                    self.fill_floor(index, collection, floor, group);
                }
            }
        }
        self.doom();
    }

    /// Members whose condition holds, and members of which that cannot be said.
    fn floor_members(&self, collection: usize, condition: &Condition) -> (Members, Members) {
        let (mut known, mut unknown) = (Members::new(), Members::new());
        for (index, member) in self.members.iter().enumerate() {
            let Some(membership) = group::membership(member, collection) else {
                continue;
            };
            // What cannot be dated fills no slot; its verdict keeps it already.
            if matches!(
                member.verdict,
                Verdict::Kept(Protector::FutureClock | Protector::Unreadable)
            ) || self.is_undated(member, collection)
            {
                continue;
            }
            match self
                .matcher
                .truth(condition, subject(member.entry, membership))
            {
                Truth::True => known.push(index),
                Truth::Unknown => unknown.push(index),
                Truth::False => {}
            }
        }
        (known, unknown)
    }

    fn is_undated(&self, member: &Member<'_>, collection: usize) -> bool {
        self.clock_of(member, collection)
            .is_none_or(|stamp| stamp > self.matcher.now)
    }

    fn clock_of(&self, member: &Member<'_>, collection: usize) -> Option<Stamp> {
        let clock = self.policy().collections.get(collection)?.clock?;
        Some(reading(clock, member.facts()?))
    }

    fn mark_floor(&mut self, member: usize, rule: usize) {
        if let Some(member) = self.members.get_mut(member) {
            member.floor = member.floor.or(Some(rule));
        }
    }

    fn fill_floor(
        &mut self,
        index: usize,
        collection: &Collection,
        floor: &crate::policy::Floor,
        mut group: Members,
    ) {
        // Newest first; ties by path bytes, which is the order members stand in.
        group.sort_by_key(|&member| {
            std::cmp::Reverse(
                self.members
                    .get(member)
                    .and_then(|m| self.clock_of(m, index)),
            )
        });
        debug_assert!(collection.clock.is_some(), "a floor has a clock");
        let newest: Members = group.iter().copied().take(floor.count).collect();
        for &member in &newest {
            self.mark_floor(member, floor.rule);
        }
        let members = newest.iter().filter_map(|&member| {
            let member = self.members.get(member)?;
            Some((member.entry.path.clone(), *member.facts()?))
        });
        let recorded = Floor {
            rule: floor.rule,
            members: members.collect(),
        };
        for member in group.into_iter().skip(floor.count) {
            if let Some(member) = self.members.get_mut(member) {
                member.in_floors.push(self.floors.len());
            }
        }
        self.floors.push(recorded);
    }

    fn doom(&mut self) {
        let matcher = self.matcher;
        for member in &mut self.members {
            let Verdict::Doomed { membership, rule } = member.verdict else {
                continue;
            };
            if member.is_protected() {
                continue;
            }
            let reason = member.memberships.get(membership).and_then(|place| {
                let collection = matcher.policy.collections.get(place.collection)?;
                let delete = collection
                    .deletes
                    .iter()
                    .find(|delete| delete.rule == rule)?;
                Some(matcher.reasons(&delete.condition, subject(member.entry, place)))
            });
            let reason = reason
                .filter(|words| !words.is_empty())
                .unwrap_or_else(|| "this collection deletes every file".to_owned());
            member.removal = Some(Removal {
                membership,
                rule,
                reason,
            });
        }
    }

    // ---- limits ---------------------------------------------------------------

    fn apply_limits(&mut self) {
        for (index, collection) in self.policy().collections.iter().enumerate() {
            for limit in &collection.limits {
                let counted = self.counted(index, limit);
                for (captures, group) in
                    group::by_captures(&self.members, counted, index, &limit.per)
                {
                    let name = group::name(collection, &limit.per, &captures);
                    self.apply_limit(index, collection, limit, &name, group);
                }
            }
        }
    }

    /// Live members the limit's condition holds for. What cannot be read does not
    /// count: counting it would only make room for more evictions.
    fn counted(&self, collection: usize, limit: &Limit) -> Members {
        let live = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.removal.is_none() && member.facts().is_some());
        live.filter(|(_, member)| {
            let truth = group::membership(member, collection).map(|place| {
                self.matcher
                    .truth(&limit.condition, subject(member.entry, place))
            });
            truth == Some(Truth::True)
        })
        .map(|(index, _)| index)
        .collect()
    }

    fn apply_limit(
        &mut self,
        index: usize,
        collection: &Collection,
        limit: &Limit,
        name: &str,
        group: Members,
    ) {
        let total = group::total(&self.members, &group, limit.measure);
        if total <= limit.cap {
            return;
        }
        let (mut evictable, held): (Members, Members) = group.iter().partition(|&&member| {
            self.members
                .get(member)
                .is_some_and(|m| is_evictable(m, limit))
        });
        let held_total = group::total(&self.members, &held, limit.measure);
        if held_total > limit.cap {
            self.report_unmet(limit, name, &held, held_total);
            return;
        }
        evictable.sort_by(|&a, &b| {
            self.order_key(a, index, limit.order)
                .cmp(&self.order_key(b, index, limit.order))
        });
        let mut left = total;
        for member in evictable {
            if left <= limit.down_to {
                break;
            }
            left = left.saturating_sub(self.evict(member, index, collection, limit, name, total));
        }
    }

    /// Ties break by path bytes: members stand in path order.
    fn order_key(
        &self,
        member: usize,
        collection: usize,
        order: Order,
    ) -> (Option<Stamp>, u64, usize) {
        let Some((found, facts)) = self.members.get(member).and_then(|m| Some((m, m.facts()?)))
        else {
            return (None, 0, member);
        };
        match order {
            Order::OldestFirst => (self.clock_of(found, collection), 0, member),
            Order::LargestFirst => (None, u64::MAX - facts.size, member),
            Order::SmallestFirst => (None, facts.size, member),
            Order::LeastRecentlyUsedFirst => (Some(facts.accessed), 0, member),
        }
    }

    /// Removes a member for a limit; what it gives back.
    fn evict(
        &mut self,
        member: usize,
        index: usize,
        collection: &Collection,
        limit: &Limit,
        name: &str,
        total: u64,
    ) -> u64 {
        let clock = collection.clock;
        let now = self.matcher.now;
        let Some(member) = self.members.get_mut(member) else {
            return 0;
        };
        let (Some(facts), Some(membership)) = (
            member.facts().copied(),
            member
                .memberships
                .iter()
                .position(|place| place.collection == index),
        ) else {
            return 0;
        };
        let of_group = if name.is_empty() {
            String::new()
        } else {
            format!(" of {name}")
        };
        let over = match limit.measure {
            Measure::TotalSize => format!(
                "total size {}{of_group} is over {}",
                Size(total),
                Size(limit.cap)
            ),
            Measure::Count => format!("{total} files{of_group} are more than {}", limit.cap),
        };
        let this = match limit.order {
            Order::OldestFirst => {
                let age = clock.map_or(0, |clock| reading(clock, &facts).seconds_until(now));
                format!("oldest first, age {}", Elapsed(age))
            }
            Order::LargestFirst => format!("largest first, size {}", Size(facts.size)),
            Order::SmallestFirst => format!("smallest first, size {}", Size(facts.size)),
            Order::LeastRecentlyUsedFirst => format!(
                "least recently used first, unused for {}",
                Elapsed(facts.accessed.seconds_until(now))
            ),
        };
        member.removal = Some(Removal {
            membership,
            rule: limit.rule,
            reason: format!("{over}; {this}"),
        });
        match limit.measure {
            Measure::TotalSize => facts.allocated,
            Measure::Count => 1,
        }
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

    /// Who keeps a file, in words.
    fn holder(&self, member: &Member<'_>) -> String {
        let rule = |index: usize| {
            self.policy()
                .rules
                .get(index)
                .map_or_else(String::new, ToString::to_string)
        };
        match (member.verdict, member.floor) {
            (Verdict::Kept(Protector::Rule(index) | Protector::Possibly(index)), _)
            | (_, Some(index)) => rule(index),
            (Verdict::Kept(Protector::Unreadable), _) => "files that cannot be read".to_owned(),
            (Verdict::Kept(Protector::FutureClock), _) => "clocks in the future".to_owned(),
            (Verdict::Open | Verdict::Doomed { .. }, None) => {
                "other links to the same file".to_owned()
            }
        }
    }

    // ---- the plan -------------------------------------------------------------

    fn finish(mut self, ask: Ask) -> Plan {
        self.report_future_clocks();
        for member in &self.members {
            let Some(facts) = member.facts() else {
                continue;
            };
            if member.removal.is_some() {
                self.totals.removed.add(facts);
            } else if matches!(member.verdict, Verdict::Doomed { .. }) || self.is_spared(member) {
                self.totals.protected.add(facts);
            }
        }
        let hooks = hooks(self.policy());
        let tripped = breaker::check(self.policy(), &self.members);
        let mut steps: Vec<Step> = self
            .members
            .iter()
            .filter_map(|member| self.step(member, &hooks))
            .collect();
        let floors = used_floors(std::mem::take(&mut self.floors), &mut steps);
        Plan {
            store: ask.store,
            root: ask.root,
            now: ask.now,
            policy: self.policy().digest.clone(),
            basis: ask.basis,
            rules: self.policy().rules.clone(),
            hooks: hooks.into_iter().map(|(_, hook)| hook).collect(),
            floors,
            steps,
            unmet: self.unmet,
            notices: self.notices,
            totals: self.totals,
            tripped,
        }
    }

    /// Whether a statement would remove the file if nothing protected it.
    fn is_spared(&self, member: &Member<'_>) -> bool {
        matches!(member.verdict, Verdict::Kept(_))
            && member.memberships.iter().any(|place| {
                let deletes = self
                    .policy()
                    .collections
                    .get(place.collection)
                    .map(|c| c.deletes.as_slice());
                deletes.unwrap_or_default().iter().any(|delete| {
                    self.matcher
                        .truth(&delete.condition, subject(member.entry, place))
                        == Truth::True
                })
            })
    }

    fn report_future_clocks(&mut self) {
        for member in self
            .members
            .iter()
            .filter(|member| matches!(member.verdict, Verdict::Kept(Protector::FutureClock)))
        {
            let message = "kept, because its time stamp lies in the future".to_owned();
            self.notices.push(Notice {
                path: Some(member.entry.path.clone()),
                message,
            });
        }
    }

    fn step(&self, member: &Member<'_>, hooks: &[(usize, Hook)]) -> Option<Step> {
        let removal = member.removal.as_ref()?;
        let place = member.memberships.get(removal.membership)?;
        let collection = self.policy().collections.get(place.collection)?;
        let named = collection
            .template
            .captures()
            .iter()
            .cloned()
            .zip(place.captures.iter().cloned());
        // Every hook of every collection the file lies in must succeed.
        let wanted = hooks.iter().enumerate().filter(|(_, (of, _))| {
            member
                .memberships
                .iter()
                .any(|place| place.collection == *of)
        });
        Some(Step {
            path: member.entry.path.clone(),
            facts: *member.facts()?,
            collection: collection.name.clone(),
            captures: named.collect(),
            rule: removal.rule,
            reason: removal.reason.clone(),
            hooks: wanted.map(|(index, _)| index).collect(),
            floors: member.in_floors.clone(),
        })
    }
}

/// Unprotected, readable, and of use: a name whose content lives on frees nothing.
fn is_evictable(member: &Member<'_>, limit: &Limit) -> bool {
    let frees = match limit.measure {
        Measure::TotalSize => member.facts().is_some_and(|facts| facts.links == 1),
        Measure::Count => member.facts().is_some(),
    };
    frees && !member.is_protected()
}

/// The policy's hooks with the collection each belongs to, in the order written.
fn hooks(policy: &Policy) -> Vec<(usize, Hook)> {
    let of = policy.collections.iter().enumerate();
    of.flat_map(|(index, collection)| collection.hooks.iter().map(move |hook| (index, hook)))
        .map(|(index, hook)| {
            let hook = Hook {
                rule: hook.rule,
                plugin: hook.plugin.clone(),
                arguments: hook.arguments.clone(),
                destination: hook.destination.as_ref().map(|(name, _)| name.clone()),
                otherwise: Otherwise::Keep,
                proof: None,
                configured: String::new(),
            };
            (index, hook)
        })
        .collect()
}

/// Keeps the floors some step relies on, and renumbers.
fn used_floors(floors: Vec<Floor>, steps: &mut [Step]) -> Vec<Floor> {
    let mut renumbered: BTreeMap<usize, usize> = BTreeMap::new();
    for step in steps.iter_mut() {
        for floor in &mut step.floors {
            let next = renumbered.len();
            *floor = *renumbered.entry(*floor).or_insert(next);
        }
    }
    let mut used: Vec<(usize, Floor)> = floors
        .into_iter()
        .enumerate()
        .filter_map(|(old, floor)| Some((*renumbered.get(&old)?, floor)))
        .collect();
    used.sort_by_key(|(new, _)| *new);
    used.into_iter().map(|(_, floor)| floor).collect()
}
