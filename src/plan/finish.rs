//! The plan as the planner leaves it: a step for every file that goes, is replaced or is
//! archived, in order, with what they rely on.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{Planner, before_delete, captures, hooks, is_spared};
use super::member::{Member, Members};
use super::parts::in_parts;
use super::words::Rulings;
use super::{
    Action, Ask, Directory, Floor, Hook, Indices, Packer, Plan, Ruling, Step, Tally,
    WholeDirectory, breaker,
};
use crate::entry::{Facts, Kind};
use crate::path::RelPath;
use crate::policy::{Protector, Truth, Verdict};

impl Planner<'_, '_> {
    /// The plan, with steps that were found while the store was walked.
    pub(super) fn finish(&mut self, ask: &Ask, mut steps: Packer) -> Plan {
        self.report_future_clocks();
        let protected = in_parts(self.members.len(), |range| {
            let mut protected = Tally::default();
            range
                .filter_map(|index| self.spared(index))
                .for_each(|facts| protected.add(facts));
            protected
        });
        protected
            .into_iter()
            .for_each(|part| self.totals.protected.add_all(part));
        let hooks = hooks(self.policy());
        let tripped = breaker::check(self);
        let mut directories: Vec<WholeDirectory> = Vec::new();
        let mut numbers: BTreeMap<usize, usize> = BTreeMap::new();
        let mut floors = UsedFloors::behind(std::mem::take(&mut self.relied));
        let mut late = Packer::default();
        // Pressure goes last, in the order it takes files; the rest by path.
        let mut take = |mut step: Step| {
            floors.renumber(&mut step);
            match step.ruling.pressure {
                Some(_) => late.push(&step),
                None => steps.push(&step),
            }
        };
        let backs_up = hooks.iter().any(|(_, hook)| hook.backs_up);
        match backs_up {
            false => {
                self.removals(&hooks, &mut directories, &mut numbers, &mut take);
                self.replacements(&hooks, &mut take);
            }
            true => {
                // One that goes may have to be archived first.
                let mut own = Vec::new();
                let mut add = |step| own.push(step);
                self.removals(&hooks, &mut directories, &mut numbers, &mut add);
                self.replacements(&hooks, &mut add);
                self.back_up(&ask.root, &hooks, &mut own);
                own.into_iter().for_each(take);
            }
        }
        let steps = steps.in_path_order(late);
        self.totals.recount(&steps);
        let empty = self.empty_directories();
        let expired = self.expired(&ask.root);
        let floors = floors.of(std::mem::take(&mut self.floors));
        // What they order are indices that mean nothing outside.
        for pressed in &mut self.pressures {
            pressed.order.clear();
        }
        Plan {
            store: ask.store.clone(),
            root: ask.root.clone(),
            now: ask.now.clone(),
            policy: self.policy().digest.clone(),
            basis: ask.basis.clone(),
            rules: self.policy().rules.clone(),
            hooks: hooks.into_iter().map(|(_, hook)| hook).collect(),
            floors,
            units: directories,
            pressures: self.pressures.clone(),
            steps,
            directories: empty,
            expired,
            unmet: std::mem::take(&mut self.unmet),
            notices: std::mem::take(&mut self.notices),
            totals: self.totals,
            tripped,
        }
    }

    /// The facts of a file that stays although a statement would remove it.
    fn spared(&self, index: usize) -> Option<&Facts> {
        let member = self.members.get(index)?;
        let facts = member.facts().filter(|_| member.unit().is_none())?;
        let doomed = matches!(member.verdict, Verdict::Doomed { .. });
        let Member {
            entry,
            memberships,
            verdict,
            ..
        } = member;
        let spared = !self.is_leaving(index)
            && (doomed || is_spared(self.matcher, entry, memberships, *verdict));
        spared.then_some(facts)
    }

    fn report_future_clocks(&mut self) {
        let future: Vec<RelPath> = self
            .members
            .iter()
            .filter(|member| member.future)
            .map(|member| member.place().clone())
            .collect();
        for path in future {
            self.note(
                Some(path),
                "kept, because its time stamp lies in the future",
            );
        }
        let clockless: Vec<RelPath> = self
            .members
            .iter()
            .filter(|member| member.verdict == Verdict::Kept(Protector::NoClock))
            .map(|member| member.place().clone())
            .collect();
        for path in clockless {
            self.note(
                Some(path),
                "kept, because it has no such time stamp as its collection's ages are measured from",
            );
        }
    }

    /// A step for every file that goes, alone or with its directory.
    fn removals(
        &self,
        hooks: &[(usize, Hook)],
        directories: &mut Vec<WholeDirectory>,
        numbers: &mut BTreeMap<usize, usize>,
        take: &mut impl FnMut(Step),
    ) {
        let mut rulings = Rulings::default();
        let mut step = |index| {
            let by = self.leaves_with(index)?;
            let unit = match by == index {
                true => None,
                false => Some(self.unit_number(by, directories, numbers)?),
            };
            let ruling = Ruling {
                unit,
                ..self.ruling(index, by, hooks)?
            };
            let member = self.members.get(index)?;
            Some(Step {
                path: member.place().clone(),
                stands_for: member.stands_for().map(Box::new),
                facts: *member.facts()?,
                action: Action::Remove,
                ruling: rulings.shared(ruling),
                reason: self.members.get(by)?.removal.as_ref()?.reason.clone(),
            })
        };
        let order = self.pressure_order();
        order.into_iter().filter_map(&mut step).for_each(take);
    }

    /// Files in path order, but those that pressure takes as it takes them.
    fn pressure_order(&self) -> Members {
        let files = (0..self.members.len())
            .filter(|&index| self.members.get(index).is_some_and(|m| m.unit().is_none()));
        let mut order: Members = files.collect();
        let rank: BTreeMap<usize, usize> = self
            .pressures
            .iter()
            .flat_map(|pressed| &pressed.order)
            .enumerate()
            .map(|(rank, &member)| (member, rank))
            .collect();
        if !rank.is_empty() {
            order.sort_by_key(|&index| {
                let by = self.leaves_with(index).unwrap_or(index);
                rank.get(&by).copied()
            });
        }
        order
    }

    fn unit_number(
        &self,
        unit: usize,
        directories: &mut Vec<WholeDirectory>,
        numbers: &mut BTreeMap<usize, usize>,
    ) -> Option<usize> {
        if let Some(known) = numbers.get(&unit) {
            return Some(*known);
        }
        let member = self.members.get(unit)?;
        let facts = member.unit()?.directory?;
        let path = member.path().clone();
        let below = self
            .directories_below(&path)
            .iter()
            .map(|entry| Some((entry.path.clone(), entry.facts.clone().ok()?)))
            .collect::<Option<_>>()?;
        numbers.insert(unit, directories.len());
        directories.push(WholeDirectory { path, facts, below });
        Some(directories.len() - 1)
    }

    /// What dooms a file with another member, or by itself.
    fn ruling(&self, index: usize, by: usize, hooks: &[(usize, Hook)]) -> Option<Ruling> {
        let member = self.members.get(index)?;
        let taker = self.members.get(by)?;
        let removal = taker.removal.as_ref()?;
        let place = taker.memberships.get(removal.membership)?;
        let collection = self.collection(place.collection)?;
        let lies_in = |of| member.membership(of).is_some() || self.lies_in(member, of);
        Some(Ruling {
            collection: collection.name.clone(),
            captures: captures(collection, taker.path(), place),
            rule: removal.rule,
            unit: None,
            pressure: removal.pressure,
            hooks: before_delete(hooks, lies_in),
            floors: taker.in_floors().into(),
        })
    }

    /// Whether a file lies in a directory of a collection of whole ones.
    pub(super) fn lies_in(&self, member: &Member<'_>, collection: usize) -> bool {
        member
            .inside()
            .iter()
            .filter_map(|&unit| self.members.get(unit))
            .any(|unit| unit.membership(collection).is_some())
    }

    /// Files that stay, in the form of a plugin's archive of them.
    fn replacements(&self, hooks: &[(usize, Hook)], take: &mut impl FnMut(Step)) {
        if self
            .policy()
            .collections
            .iter()
            .all(|c| c.replaces.is_empty())
        {
            return;
        }
        let files = (0..self.members.len()).filter(|&index| !self.is_leaving(index));
        files
            .filter_map(|index| self.replacement(self.members.get(index)?, hooks))
            .for_each(take);
    }

    fn replacement(&self, member: &Member<'_>, hooks: &[(usize, Hook)]) -> Option<Step> {
        // What stands for a file is its archive already, and a link has no bytes.
        if member.is_archive() {
            return None;
        }
        let facts = *member.facts().filter(|_| member.unit().is_none())?;
        if facts.kind != Kind::File {
            return None;
        }
        let (place, replace) = member.memberships.iter().find_map(|place| {
            let collection = self.collection(place.collection)?;
            let replace = collection.replaces.iter().find(|replace| {
                self.truth(&replace.condition, member, place.collection) == Truth::True
            })?;
            Some((place, replace))
        })?;
        // `keep` lets a file be compressed in place; a hold or a `protect` does not, and
        // what cannot be judged is left alone. Another name would keep the old bytes.
        if facts.links != 1
            || matches!(member.verdict, Verdict::Kept(Protector::Held(_)))
            || self
                .matcher
                .forbids_replacing(&member.entry, &member.memberships)
        {
            return None;
        }
        let collection = self.collection(place.collection)?;
        let asked = self.subject(member, place.collection)?;
        let hook = hooks
            .iter()
            .position(|(_, hook)| hook.rule == replace.rule && hook.in_place)?;
        Some(Step {
            path: member.place().clone(),
            stands_for: None,
            facts,
            action: Action::Replace { hook },
            ruling: Arc::new(Ruling {
                collection: collection.name.clone(),
                captures: captures(collection, member.path(), place),
                rule: replace.rule,
                hooks: Indices::from_slice(&[hook]),
                ..Ruling::default()
            }),
            reason: self.matcher.reasons(&replace.condition, asked).into(),
        })
    }

    /// Directories that hold nothing and have not changed for long enough, deepest first.
    fn empty_directories(&self) -> Vec<Directory> {
        if self
            .policy()
            .collections
            .iter()
            .all(|c| c.empties.is_none())
        {
            return Vec::new();
        }
        super::empties::find(self.matcher, self.inventory(), &self.occupied)
    }
}

/// The floors some step relies on, numbered as they are met.
struct UsedFloors {
    /// Those of steps that were there before.
    before: Vec<Floor>,
    numbers: BTreeMap<usize, usize>,
}

impl UsedFloors {
    fn behind(before: Vec<Floor>) -> UsedFloors {
        UsedFloors {
            before,
            numbers: BTreeMap::new(),
        }
    }

    fn renumber(&mut self, step: &mut Step) {
        if step.ruling.floors.is_empty() {
            return;
        }
        for floor in &mut Arc::make_mut(&mut step.ruling).floors {
            let next = self.before.len() + self.numbers.len();
            *floor = *self.numbers.entry(*floor).or_insert(next);
        }
    }

    fn of(self, floors: Vec<Floor>) -> Vec<Floor> {
        let mut used: Vec<(usize, Floor)> = floors
            .into_iter()
            .enumerate()
            .filter_map(|(old, floor)| Some((*self.numbers.get(&old)?, floor)))
            .collect();
        used.sort_by_key(|(new, _)| *new);
        let used = used.into_iter().map(|(_, floor)| floor);
        self.before.into_iter().chain(used).collect()
    }
}
