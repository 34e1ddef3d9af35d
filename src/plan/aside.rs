//! Files that only budgets ask for, laid aside until it is known what those use.
//!
//! A budget has nothing to decide where its group uses no more than it may, and where it
//! uses more, only the files that come first in its order can go. So such a file is packed
//! away with some sixty bytes while the store is walked, and its group's use is summed up.
//! Then those come back that some budget may take; of the others the sums are enough.
//!
//! What comes back is decided on as if nothing had been laid aside, so there may be too
//! many of them and never too few: each budget chooses as if no other one took anything,
//! which leaves it more to take, and of files that are alike in its order all come back.

use std::sync::Arc;

use super::known::Sums;
use super::member::freed;
use super::parts::in_parts;
use super::sieve::Sieve;
use super::steps::{Packer, Steps, Unreadable};
use super::used::{ByGroup, Group, LimitAt, Limits, Used, of_limit};
use super::{Action, Passed, Ruling, Spool, Step};
use crate::entry::{Entry, Facts};
use crate::policy::{Limit, Measure, Membership, Order};
use crate::time::Stamp;

/// What was laid aside.
#[derive(Clone, Debug, Default)]
pub(super) struct Aside {
    packed: Packer,
    /// What they are counted as if all of them stay.
    pub(super) sums: Sums,
    /// What they use of budgets.
    pub(super) used: Used,
    /// What every one is packed with.
    plain: (Arc<Ruling>, Arc<str>),
}

impl Aside {
    /// Packs a file; where nothing keeps it, a budget may take it.
    pub(super) fn pack(
        &mut self,
        entry: &Entry,
        facts: &Facts,
        is_open: bool,
        spool: Option<&Arc<Spool>>,
    ) {
        self.packed.spool_in(spool);
        self.packed.push(&Step {
            path: entry.path.clone(),
            stands_for: None,
            facts: *facts,
            // No step of any plan; these two words say just what there is to know.
            action: match is_open {
                true => Action::Remove,
                false => Action::BackUp,
            },
            ruling: Arc::clone(&self.plain.0),
            reason: Arc::clone(&self.plain.1),
        });
    }

    pub(super) fn add_all(&mut self, more: Aside) {
        self.packed.absorb(more.packed);
        self.sums.add_all(&more.sums);
        self.used.add_all(more.used);
    }
}

/// What one file is to the order of one budget: the group by its number, when it goes, and
/// what that gives back.
type Turn = (u32, u64, u64);

/// A group that uses more than it may.
struct Over {
    number: u32,
    /// How much has to go.
    much: u64,
    /// How much may go at most, for the budget to be met.
    most: u64,
}

/// The last turn of a group that comes back; nothing where all its files do, because no
/// eviction can meet its budget, and a person is told what holds it.
type Last = Option<u64>;

/// What comes back of a part, and what the rest of it is.
#[derive(Default)]
struct Back {
    entries: Vec<Entry>,
    used: Used,
    stays: Sums,
}

impl Sieve<'_> {
    /// Brings back what budgets may take, in path order; what the rest uses is kept.
    pub fn bring_back(&self, passed: &mut Passed) -> Result<Vec<Entry>, Unreadable> {
        let Aside {
            packed, sums, used, ..
        } = std::mem::take(&mut passed.aside);
        let Some(limits) = self.budgets() else {
            return Ok(Vec::new());
        };
        let (over, count) = self.over(&used, &passed.remembered);
        passed.rest = used;
        if count == 0 {
            passed.add(&sums);
            return Ok(Vec::new());
        }
        let files = packed.in_path_order(Packer::default());
        let last = self.last_turns(&files, limits, &over);
        let parts = in_parts(files.len(), |range| {
            let mut back = Back::default();
            for file in files.iter_from(range.start).take(range.len()) {
                let (entry, is_open) = unpacked(file);
                let memberships = self.matcher().memberships(&entry.path);
                let comes = |turn: Option<(u32, u64, u64)>, group: &Over| match last
                    .get(group.number as usize)
                {
                    Some(Some(last)) => is_open && turn.is_some_and(|turn| turn.1 <= *last),
                    Some(None) | None => true,
                };
                let mut comes_back = false;
                self.turns(&entry, &memberships, (limits, &over), |turn, group| {
                    comes_back |= comes(turn, group);
                });
                if comes_back {
                    back.used
                        .count(limits, self.matcher(), &entry, &memberships);
                    back.entries.push(entry);
                } else {
                    self.stays_aside(&entry, &memberships, is_open, &mut back.stays);
                }
            }
            back
        });
        let mut entries = Vec::new();
        for mut part in parts {
            passed.rest.subtract(&part.used);
            passed.add(&part.stays);
            entries.append(&mut part.entries);
        }
        files.check().map(|()| entries)
    }

    /// Groups that use more than they may, and how many there are. What is remembered for
    /// something else is taken for staying: it may only use less.
    fn over(&self, used: &Used, remembered: &Used) -> (Vec<(LimitAt, ByGroup<Over>)>, u32) {
        let mut count = 0;
        let mut all = Vec::new();
        for (of, collection) in self.matcher().policy.collections.iter().enumerate() {
            for (index, limit) in collection.limits.iter().enumerate() {
                let at = (of, index);
                let over = used.groups(at).filter_map(|(group, used)| {
                    let total = used.saturating_add(remembered.of(at, group.written()));
                    let over = Over {
                        number: count,
                        much: total.saturating_sub(limit.down_to),
                        most: total.saturating_sub(limit.cap),
                    };
                    (total > limit.cap).then(|| {
                        count += 1;
                        (group.clone(), over)
                    })
                });
                let over: ByGroup<Over> = over.collect();
                if !over.is_empty() {
                    all.push((at, over));
                }
            }
        }
        (all, count)
    }

    /// The last turn that comes back of each group.
    fn last_turns(
        &self,
        files: &Steps,
        limits: &Limits,
        over: &[(LimitAt, ByGroup<Over>)],
    ) -> Vec<Last> {
        let parts = in_parts(files.len(), |range| {
            let mut turns: Vec<Turn> = Vec::new();
            for file in files.iter_from(range.start).take(range.len()) {
                let (entry, is_open) = unpacked(file);
                if is_open {
                    let memberships = self.matcher().memberships(&entry.path);
                    self.turns(&entry, &memberships, (limits, over), |turn, _| {
                        turns.extend(turn);
                    });
                }
            }
            turns
        });
        let mut turns: Vec<Turn> = parts.into_iter().flatten().collect();
        turns.sort_unstable();
        let groups = over.iter().flat_map(|(_, groups)| groups.values());
        let mut last: Vec<Last> = groups.clone().map(|_| None).collect();
        for group in groups {
            let begin = turns.partition_point(|turn| turn.0 < group.number);
            let of_group = turns.get(begin..).unwrap_or_default();
            let of_group = of_group.iter().take_while(|turn| turn.0 == group.number);
            let gives = |turns: &mut dyn Iterator<Item = &Turn>| {
                turns.fold(0u64, |sum, turn| sum.saturating_add(turn.2))
            };
            if gives(&mut of_group.clone()) < group.most {
                continue;
            }
            let mut given = 0u64;
            let mut until = u64::MAX;
            for &(_, turn, gives) in of_group {
                given = given.saturating_add(gives);
                if given >= group.much {
                    until = turn;
                    break;
                }
            }
            if let Some(last) = last.get_mut(group.number as usize) {
                *last = Some(until);
            }
        }
        last
    }

    /// Shows the groups a file is counted in that are over, and its turn in each, where it is
    /// of use that it goes.
    fn turns(
        &self,
        entry: &Entry,
        memberships: &[Membership],
        (limits, over): (&Limits, &[(LimitAt, ByGroup<Over>)]),
        mut see: impl FnMut(Option<Turn>, &Over),
    ) {
        let Ok(facts) = &entry.facts else { return };
        let mut written = String::new();
        for place in memberships {
            limits.each(self.matcher(), entry, place, |at, limit, values| {
                let groups = over.binary_search_by_key(&at, |(at, _)| *at);
                let groups = groups.ok().and_then(|index| over.get(index));
                Group::write(of_limit(limit, values), &mut written);
                let Some(group) = groups.and_then(|(_, groups)| groups.get(written.as_str()))
                else {
                    return;
                };
                let gives = match limit.measure {
                    Measure::TotalSize => freed(facts),
                    Measure::Count => 1,
                };
                let turn = || (group.number, self.turn(entry, facts, place, limit), gives);
                see((gives > 0).then(turn), group);
            });
        }
    }

    /// When a file goes for a budget: one with a smaller number before, and with the same
    /// number anything may be.
    fn turn(&self, entry: &Entry, facts: &Facts, place: &Membership, limit: &Limit) -> u64 {
        match limit.order {
            Order::Largest => u64::MAX - facts.size,
            Order::Smallest => facts.size,
            Order::LeastRecentlyUsed => moment(facts.accessed),
            Order::Oldest => {
                let collections = &self.matcher().policy.collections;
                let clock = collections.get(place.collection).and_then(|c| c.clock);
                let subject = self.matcher().subject(entry, place);
                let reading = clock.zip(subject);
                let stamp =
                    reading.and_then(|(clock, subject)| self.matcher().reading(clock, subject));
                stamp.map_or(0, moment)
            }
            // Values order by what they mean: all of them come back.
            Order::Lowest(_) => 0,
        }
    }
}

/// A stamp as a number that never orders two of them otherwise: seconds in 40 bits, and 64
/// nanoseconds each.
fn moment(stamp: Stamp) -> u64 {
    const HALF: i64 = 1 << 39;
    let seconds = stamp.seconds().clamp(-HALF, HALF - 1) + HALF;
    let fraction = match seconds {
        0 => 0,
        seconds if seconds == 2 * HALF - 1 => 0,
        _ => u64::from(stamp.subsec_nanoseconds() >> 6),
    };
    (seconds.unsigned_abs() << 24) | fraction
}

/// A file that was packed, and whether nothing keeps it.
fn unpacked(file: Step) -> (Entry, bool) {
    let is_open = file.action == Action::Remove;
    let entry = Entry {
        path: file.path,
        facts: Ok(file.facts),
    };
    (entry, is_open)
}
