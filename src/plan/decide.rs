//! Section 5 of the language, over a whole inventory.
//!
//! In this order: what every file is by itself, floors on the snapshot, what the
//! `delete` statements doom, then limits from the narrowest scope to the widest, then
//! pressure, then what is replaced. The order of a policy's statements plays no part.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::member::{Member, Members, Removal};
use super::parts::in_parts;
use super::used::Used;
use super::words::Words;
use super::{
    Captures, Decision, Floor, Hook, Indices, Notice, Otherwise, Passed, Plan, Pressed, Totals,
    Unmet, breaker,
};
use crate::entry::{Entry, Symlinks};
use crate::path::RelPath;
use crate::policy::{Collection, Matcher, Membership, Policy, Subject, Truth, Verdict};
use crate::scan::Inventory;
use crate::time::{Now, Stamp};

/// For which store and moment a plan is wanted, and what is known besides its files.
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
    /// How full the store's file system is, where that is known.
    pub disk: Option<Disk>,
    /// Holds that the ledger knows and the policy does not state: each a policy with
    /// one `hold`.
    pub ledger: Vec<Policy>,
    /// Single files that the ledger holds, with the name of what holds each.
    pub held: Arc<HashMap<RelPath, String>>,
    /// What a symbolic link is: to most policies no file.
    pub symlinks: Symlinks,
    /// What the scan has to report; passed on.
    pub notices: Vec<Notice>,
    /// Files that are not in the inventory, as no decision needs them.
    pub passed: Passed,
}

/// How full a file system is, in bytes, counted as `df` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// In use.
    pub used: u64,
    /// What an ordinary process may still use.
    pub available: u64,
}

/// Decides about every entry. Entries must be in path order, as a scan lists them.
pub fn plan(policy: &Policy, inventory: &Inventory, ask: Ask) -> Plan {
    plan_explained(policy, inventory, ask, &[]).0
}

/// The same, with what is decided about some of the paths, in their order.
pub fn plan_explained(
    policy: &Policy,
    inventory: &Inventory,
    mut ask: Ask,
    paths: &[RelPath],
) -> (Plan, Vec<Decision>) {
    let passed = std::mem::take(&mut ask.passed);
    let matcher = Matcher::new(policy, &ask.now).with_ledger(&ask.ledger, &ask.now);
    let mut planner = Planner {
        matcher: &matcher,
        held: ask.held.clone(),
        symlinks: ask.symlinks,
        inventory,
        members: Vec::new(),
        of_collection: vec![Members::new(); policy.collections.len()],
        floors: Vec::new(),
        pressures: Vec::new(),
        unmet: Vec::new(),
        totals: passed.totals,
        counted: passed.counted,
        freed: passed.freed,
        occupied: passed.occupied,
        relied: passed.floors,
        rest: passed.rest,
        notices: ask.notices.clone(),
        words: Words::new(),
    };
    planner.enter();
    planner.fill_floors();
    planner.spread_protection();
    planner.doom();
    planner.apply_limits();
    planner.relieve(ask.disk);
    let plan = planner.finish(&ask, passed.steps);
    let decisions = paths.iter().map(|path| planner.decision(&plan, path));
    let decisions = decisions.collect();
    (plan, decisions)
}

pub(super) struct Planner<'p, 'e> {
    pub(super) matcher: &'p Matcher<'p>,
    held: Arc<HashMap<RelPath, String>>,
    pub(super) symlinks: Symlinks,
    inventory: &'e Inventory,
    pub(super) members: Vec<Member<'e>>,
    /// Members of each collection, in path order.
    pub(super) of_collection: Vec<Members>,
    pub(super) floors: Vec<Floor>,
    pub(super) pressures: Vec<Pressed>,
    pub(super) unmet: Vec<Unmet>,
    pub(super) totals: Totals,
    /// What the breaker has to count of files that are no members.
    pub(super) counted: breaker::Counted,
    /// What they give back, of those that go.
    pub(super) freed: u64,
    /// Directories they lie in.
    pub(super) occupied: Vec<RelPath>,
    /// Floors that their steps rely on.
    pub(super) relied: Vec<Floor>,
    /// What files use of budgets that are no members and stay.
    pub(super) rest: Used,
    pub(super) notices: Vec<Notice>,
    pub(super) words: Words,
}

/// What [`Protector::Held`] says of a file that is held by its name: no index of a hold
/// that is a statement.
pub(super) const SINGLE: usize = usize::MAX;

impl<'p, 'e> Planner<'p, 'e> {
    pub(super) fn policy(&self) -> &'p Policy {
        self.matcher.policy
    }

    pub(super) fn inventory(&self) -> &'e Inventory {
        self.inventory
    }

    pub(super) fn collection(&self, index: usize) -> Option<&'p Collection> {
        self.policy().collections.get(index)
    }

    pub(super) fn note(&mut self, path: Option<RelPath>, message: impl Into<String>) {
        let message = message.into();
        self.notices.push(Notice { path, message });
    }

    /// What of the ledger holds a single file.
    pub(super) fn holding(&self, path: &RelPath) -> Option<&String> {
        self.held.get(path)
    }

    /// The name of the hold that keeps a member.
    pub(super) fn hold_of(&self, member: &Member<'_>, index: usize) -> &str {
        let files = member.unit().map_or(&[][..], |unit| &unit.files);
        // What keeps a directory whole may be a hold on one of its files.
        let with = member
            .inside()
            .iter()
            .filter_map(|&unit| self.members.get(unit));
        let with = with.filter_map(|unit| unit.unit());
        let files = files.iter().chain(with.flat_map(|unit| &unit.files));
        let files = files.filter_map(|&file| self.members.get(file));
        let mut candidates = std::iter::once(member).chain(files);
        match index {
            SINGLE => candidates
                .find_map(|member| {
                    self.holding(member.place())
                        .or_else(|| self.holding(member.path()))
                })
                .map_or("", String::as_str),
            index => self.matcher.ledger_name(index),
        }
    }

    /// A directory stays whole with any of its files, and its files with it.
    fn spread_protection(&mut self) {
        let units: Members = (0..self.members.len())
            .filter(|&index| self.members.get(index).is_some_and(|m| m.unit().is_some()))
            .collect();
        // Units share files, so a protection may travel through several of them.
        let mut changed = !units.is_empty();
        while changed {
            changed = false;
            for &index in &units {
                let Some(unit) = self.members.get(index) else {
                    continue;
                };
                let files = unit.unit().map_or(&[][..], |unit| &unit.files);
                let from_unit = protection(unit);
                let from_file = files
                    .iter()
                    .filter_map(|&file| self.members.get(file))
                    .find_map(protection);
                let Some(found) = from_unit.or(from_file) else {
                    continue;
                };
                let all: Members = files.iter().copied().chain([index]).collect();
                for member in all {
                    if let Some(member) = self.members.get_mut(member)
                        && !member.is_protected()
                    {
                        match found {
                            Protection::Verdict(verdict) => member.verdict = verdict,
                            Protection::Floor(rule) => member.floor = Some(rule),
                        }
                        changed = true;
                    }
                }
            }
        }
    }

    // What the statements doom.

    fn doom(&mut self) {
        let doomed = in_parts(self.members.len(), |range| {
            let (mut words, mut reason) = (Words::new(), String::new());
            let members = self.members.get(range.clone()).unwrap_or_default();
            let members = range.zip(members);
            let doomed = members.filter_map(|(index, member)| {
                Some((index, self.doomed(member, &mut words, &mut reason)?))
            });
            doomed.collect::<Vec<_>>()
        });
        for (index, removal) in doomed.into_iter().flatten() {
            if let Some(member) = self.members.get_mut(index) {
                member.removal = Some(removal);
            }
        }
    }

    /// What a `delete` makes of a member, unless something protects it.
    fn doomed(
        &self,
        member: &Member<'_>,
        words: &mut Words,
        reason: &mut String,
    ) -> Option<Removal> {
        let Verdict::Doomed { membership, rule } = member.verdict else {
            return None;
        };
        if member.is_protected() {
            return None;
        }
        let place = member.memberships.get(membership)?;
        write_reason(self.matcher, &member.entry, place, rule, reason);
        Some(Removal {
            membership,
            rule,
            reason: words.shared(reason),
            pressure: None,
        })
    }

    /// Whether a member is on its way out, by itself or with its directory.
    pub(super) fn is_leaving(&self, index: usize) -> bool {
        self.leaves_with(index).is_some()
    }

    /// The member whose removal takes this one along: itself, or its directory.
    pub(super) fn leaves_with(&self, index: usize) -> Option<usize> {
        let member = self.members.get(index)?;
        if member.removal.is_some() {
            return Some(index);
        }
        if let Some(unit) = member.unit() {
            // What loses a file to another collection is not the directory that was
            // judged any more: nothing further is decided about it in this run.
            let mut files = unit.files.iter().copied();
            return files.find(|&file| self.is_leaving(file));
        }
        let with = |unit: &&usize| {
            self.members
                .get(**unit)
                .is_some_and(|unit| unit.removal.is_some())
        };
        member.inside().iter().find(with).copied()
    }

    pub(super) fn clock_of(&self, member: &Member<'_>, collection: usize) -> Option<Stamp> {
        let place = member.membership(collection)?;
        self.matcher.clock_of(&member.entry, place)
    }

    pub(super) fn truth(
        &self,
        condition: &crate::policy::Condition,
        member: &Member<'_>,
        collection: usize,
    ) -> Truth {
        let asked = member
            .membership(collection)
            .and_then(|place| self.matcher.subject(&member.entry, place));
        match asked {
            Some(subject) => self.matcher.truth(condition, subject),
            None => Truth::False,
        }
    }

    pub(super) fn subject<'m>(
        &'m self,
        member: &'m Member<'_>,
        collection: usize,
    ) -> Option<Subject<'m>> {
        let place = member.membership(collection)?;
        self.matcher.subject(&member.entry, place)
    }
}

/// Whether a statement would remove a file if nothing protected it.
pub(super) fn is_spared(
    matcher: &Matcher<'_>,
    entry: &Entry,
    memberships: &[Membership],
    verdict: Verdict,
) -> bool {
    matches!(verdict, Verdict::Kept(_)) && would_go(matcher, entry, memberships)
}

/// The same of one that something protects.
pub(super) fn would_go(matcher: &Matcher<'_>, entry: &Entry, memberships: &[Membership]) -> bool {
    memberships.iter().any(|place| {
        let collection = matcher.policy.collections.get(place.collection);
        let deletes = collection.map_or(&[][..], |collection| &collection.deletes);
        let subject = matcher.subject(entry, place);
        subject.is_some_and(|subject| {
            let mut deletes = deletes.iter();
            deletes.any(|delete| matcher.truth(&delete.condition, subject) == Truth::True)
        })
    })
}

enum Protection {
    Verdict(Verdict),
    Floor(usize),
}

fn protection(member: &Member<'_>) -> Option<Protection> {
    match (member.verdict, member.floor) {
        (Verdict::Kept(_), _) => Some(Protection::Verdict(member.verdict)),
        (_, Some(rule)) => Some(Protection::Floor(rule)),
        (Verdict::Doomed { .. } | Verdict::Open, None) => None,
    }
}

/// A file's captures in a collection.
pub(super) fn captures(collection: &Collection, path: &RelPath, place: &Membership) -> Captures {
    let names = Arc::clone(collection.template.captures());
    Captures::new(names, place.spans.values(path.as_bytes()).iter())
}

/// Why a `delete` without a condition dooms a file.
const EVERY: &str = "this collection deletes every file";

/// Writes why a `delete` dooms a file.
pub(super) fn write_reason(
    matcher: &Matcher<'_>,
    entry: &Entry,
    place: &Membership,
    rule: usize,
    to: &mut String,
) {
    to.clear();
    let collection = matcher.policy.collections.get(place.collection);
    let deletes = collection.map_or(&[][..], |collection| &collection.deletes);
    let delete = deletes.get(deletes.partition_point(|delete| delete.rule < rule));
    if let Some((delete, subject)) = delete.zip(matcher.subject(entry, place)) {
        matcher.write_reasons(&delete.condition, subject, to);
    }
    if to.is_empty() {
        to.push_str(EVERY);
    }
}

/// What has to succeed before a file goes: every such hook of every collection it lies in.
pub(super) fn before_delete(hooks: &[(usize, Hook)], lies_in: impl Fn(usize) -> bool) -> Indices {
    let wanted = hooks
        .iter()
        .enumerate()
        .filter(|(_, (of, hook))| !hook.in_place && !hook.backs_up && lies_in(*of));
    wanted.map(|(index, _)| index).collect()
}

/// The policy's hooks with the collection each belongs to, in the order written.
pub(super) fn hooks(policy: &Policy) -> Vec<(usize, Hook)> {
    let of = policy.collections.iter().enumerate();
    of.flat_map(|(index, collection)| {
        let before = collection.hooks.iter();
        let replacing = collection.replaces.iter().map(|replace| &replace.hook);
        let backing = collection.backups.iter().map(|backup| &backup.hook);
        before
            .chain(replacing)
            .chain(backing)
            .map(move |hook| (index, hook))
    })
    .map(|(index, hook)| {
        let hook = Hook {
            rule: hook.rule,
            plugin: hook.plugin.clone(),
            arguments: hook.arguments.clone(),
            destination: hook.destination.as_ref().map(|(name, _)| name.clone()),
            otherwise: match hook.delete_anyway {
                true => Otherwise::DeleteAnyway,
                false => Otherwise::Keep,
            },
            in_place: hook.in_place,
            backs_up: hook.backs_up,
            proof: None,
            configured: String::new(),
        };
        (index, hook)
    })
    .collect()
}
