//! Floors: the newest members of each group, and the newest of each calendar slot.

use std::cmp::Reverse;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::decide::Planner;
use super::member::Members;
use super::{Floor, group};
use crate::policy::{self, Holds, Period, Truth};
use crate::time::Stamp;

impl Planner<'_, '_> {
    /// Computed on the snapshot, before any removal.
    pub(super) fn fill_floors(&mut self) {
        for (index, collection) in self.policy().collections.iter().enumerate() {
            for floor in &collection.floors {
                let (known, unknown) = self.floor_members(index, floor);
                for member in unknown {
                    self.mark_floor(member, floor.rule);
                }
                for (_, group) in group::by_captures(&self.members, known, index, &floor.per) {
                    self.fill_floor(index, floor, group);
                }
            }
        }
    }

    /// Members whose condition holds, and members of which that cannot be said.
    fn floor_members(&self, collection: usize, floor: &policy::Floor) -> (Members, Members) {
        let (mut known, mut unknown) = (Members::new(), Members::new());
        let all = self.of_collection.get(collection).into_iter().flatten();
        for &index in all {
            let Some(member) = self.members.get(index) else {
                continue;
            };
            // What cannot be dated, or is dated after now, fills no slot; it is kept in
            // any case.
            let dated = self.clock_of(member, collection);
            if dated.is_none_or(|stamp| stamp > self.matcher.now) {
                continue;
            }
            match self.truth(&floor.condition, member, collection) {
                Truth::True => known.push(index),
                Truth::Unknown => unknown.push(index),
                Truth::False => {}
            }
        }
        (known, unknown)
    }

    fn mark_floor(&mut self, member: usize, rule: usize) {
        if let Some(member) = self.members.get_mut(member) {
            member.floor = member.floor.or(Some(rule));
        }
    }

    fn fill_floor(&mut self, collection: usize, floor: &policy::Floor, group: Members) {
        let stamp = |member: &usize| {
            let member = self.members.get(*member)?;
            self.clock_of(member, collection)
        };
        // Newest first; ties by path bytes, which is the order members stand in.
        let mut group: Vec<(usize, Option<Stamp>)> = group
            .into_iter()
            .map(|member| (member, stamp(&member)))
            .collect();
        group.sort_by_key(|(_, stamp)| Reverse(*stamp));
        let stamps: Vec<Option<Stamp>> = group.iter().map(|(_, stamp)| *stamp).collect();
        let held = held(&floor.holds, &stamps, &self.matcher.zone);
        for &(member, _) in group
            .iter()
            .zip(&held)
            .filter(|(_, held)| **held)
            .map(|(m, _)| m)
        {
            self.mark_floor(member, floor.rule);
        }
        let members = group
            .iter()
            .zip(&held)
            .filter(|(_, held)| **held)
            .filter_map(|((member, _), _)| {
                let member = self.members.get(*member)?;
                // Of a whole directory its own identity is what can be looked at again.
                let facts = match member.unit() {
                    Some(unit) => unit.directory?,
                    None => *member.facts()?,
                };
                Some((member.place().clone(), facts))
            });
        let recorded = Floor {
            rule: floor.rule,
            members: members.collect(),
        };
        for ((member, _), _) in group.iter().zip(&held).filter(|(_, held)| !**held) {
            if let Some(member) = self.members.get_mut(*member) {
                member.is_in_floor(self.floors.len());
            }
        }
        self.floors.push(recorded);
    }
}

/// Which members of a group a floor holds, by their stamps, of which the newest is first.
pub(super) fn held(holds: &Holds, group: &[Option<Stamp>], zone: &TimeZone) -> Vec<bool> {
    let slots = match holds {
        Holds::Newest(count) => return (0..group.len()).map(|at| at < *count).collect(),
        Holds::Slots(slots) => slots,
    };
    let local: Vec<Option<DateTime>> = group.iter().map(|at| local(*at, zone)).collect();
    let mut held = vec![false; group.len()];
    for (count, period) in slots {
        let mut filled = 0;
        let mut last = None;
        for (at, held) in local.iter().zip(&mut held) {
            // A stamp the calendar does not reach has no slot: it is held.
            let Some(at) = at else {
                *held = true;
                continue;
            };
            let bucket = bucket(*period, *at);
            if last == Some(bucket) {
                continue;
            }
            if filled == *count {
                break;
            }
            last = Some(bucket);
            filled += 1;
            *held = true;
        }
    }
    held
}

pub(super) fn local(stamp: Option<Stamp>, zone: &TimeZone) -> Option<DateTime> {
    let instant = jiff::Timestamp::new(stamp?.seconds(), 0).ok()?;
    Some(instant.to_zoned_datetime(zone.clone()).datetime())
}

/// The slot of the calendar a moment falls into; equal within one, different between.
pub(super) fn bucket(period: Period, at: DateTime) -> (i16, i16) {
    let month = i16::from(at.month());
    match period {
        Period::Hourly => (
            at.year(),
            at.date().day_of_year() * 24 + i16::from(at.hour()),
        ),
        Period::Daily => (at.year(), at.date().day_of_year()),
        Period::Weekly => {
            let week = at.date().iso_week_date();
            (week.year(), i16::from(week.week()))
        }
        Period::Monthly => (at.year(), month),
        Period::Quarterly => (at.year(), (month - 1) / 3),
        Period::Yearly => (at.year(), 0),
    }
}
