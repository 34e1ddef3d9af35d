//! When each file that was laid aside goes for the budgets that use more than they may.

use std::num::NonZeroU32;

use super::aside::{Laid, Lot, laid};
use super::floored::Floored;
use super::member::freed;
use super::parts::in_parts;
use super::sieve::Sieve;
use super::steps::Steps;
use super::used::{ByGroup, Group, LimitAt, Limits, Used, by_captures};
use crate::entry::{Entry, Facts};
use crate::policy::{Limit, Matcher, Measure, Membership, Order};
use crate::time::Stamp;

/// What one file is to one budget that is exceeded. They order by group and turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) group: NonZeroU32,
    /// When it goes.
    turn: Moment,
    /// Its place among what was laid aside, which is the order of paths.
    pub(super) file: usize,
    /// What that gives back; nothing where it cannot go, or to no use.
    pub(super) gives: u64,
}

/// What files of a group are ordered by: one with a smaller number goes before.
type Moment = (u64, u32);

/// A group that uses more than it may.
pub(super) struct Over {
    pub(super) number: NonZeroU32,
    /// What it uses.
    pub(super) total: u64,
    /// Whether none of that is used by files that are remembered.
    pub(super) is_aside: bool,
}

/// The groups of one limit that use more than they may.
pub(super) struct Exceeded {
    pub(super) limit: LimitAt,
    pub(super) groups: ByGroup<Over>,
}

impl Sieve<'_> {
    /// Groups that use more than they may, by their limits in ascending order. What is
    /// remembered for something else is taken for staying: it may only use less.
    pub(super) fn exceeded(&self, used: &Used, remembered: &Used) -> Vec<Exceeded> {
        let mut numbers = (1..).filter_map(NonZeroU32::new);
        let mut all = Vec::new();
        for (of, collection) in self.matcher().policy.collections.iter().enumerate() {
            for (index, limit) in collection.limits.iter().enumerate() {
                let at = (of, index);
                let groups = used.groups(at).filter_map(|(group, used)| {
                    let remembered = remembered.of(at, group.written());
                    let total = used.saturating_add(remembered.unwrap_or_default());
                    if total <= limit.cap {
                        return None;
                    }
                    let over = Over {
                        number: numbers.next()?,
                        total,
                        is_aside: remembered.is_none(),
                    };
                    Some((group.clone(), over))
                });
                let groups: ByGroup<Over> = groups.collect();
                if !groups.is_empty() {
                    all.push(Exceeded { limit: at, groups });
                }
            }
        }
        all
    }

    /// Every file's turns in the groups that are over, group by group and in each as they go.
    /// What floors may count can only go where it is known what those hold.
    pub(super) fn turns_of_all(
        &self,
        files: &Steps,
        limits: &Limits,
        exceeded: &[Exceeded],
        floored: Option<&Floored>,
    ) -> Vec<Turn> {
        if exceeded.is_empty() {
            return Vec::new();
        }
        let parts = in_parts(files.len(), |range| {
            let mut turns: Vec<Turn> = Vec::new();
            let mut written = String::new();
            for (at, file) in range.clone().zip(files.iter_from(range.start)) {
                let Laid {
                    entry,
                    lot,
                    is_floored,
                } = laid(file);
                let Ok(facts) = &entry.facts else { continue };
                let is_open = match (is_floored, floored.and_then(|of| of.lot(at))) {
                    (false, _) => lot == Lot::Open,
                    // No budget counts it.
                    (true, Some(Lot::Doomed)) => continue,
                    (true, lot) => lot == Some(Lot::Open),
                };
                for place in &self.matcher().memberships(&entry.path) {
                    limits.each(self.matcher(), &entry, place, |limit_at, limit, values| {
                        Group::write(by_captures(&limit.per, values), &mut written);
                        let found = exceeded.binary_search_by_key(&limit_at, |of| of.limit);
                        let groups = found.ok().and_then(|found| exceeded.get(found));
                        let group = groups.and_then(|of| of.groups.get(written.as_str()));
                        let Some(group) = group else { return };
                        turns.push(Turn {
                            group: group.number,
                            turn: turn(self.matcher(), &entry, facts, place, limit),
                            gives: match limit.measure {
                                _ if !is_open => 0,
                                Measure::TotalSize => freed(facts),
                                Measure::Count => 1,
                            },
                            file: at,
                        });
                    });
                }
            }
            turns
        });
        let mut parts = parts.into_iter();
        let mut turns = parts.next().unwrap_or_default();
        for mut part in parts {
            turns.append(&mut part);
        }
        turns.sort_unstable();
        turns
    }

    /// Which of so many files come back: of each group those whose turn comes before it is
    /// as small as it may be. Where no eviction can meet a budget all of them do, as a person
    /// is told what holds it.
    pub(super) fn chosen(&self, turns: &[Turn], exceeded: &[Exceeded], files: usize) -> Vec<bool> {
        let mut chosen = vec![false; files];
        let mut choose = |turn: &Turn| {
            if let Some(chosen) = chosen.get_mut(turn.file) {
                *chosen = true;
            }
        };
        for of in exceeded {
            let Some(limit) = self.limit(of.limit) else {
                continue;
            };
            for group in of.groups.values() {
                let turns = of_group(turns, group.number);
                let most = group.total.saturating_sub(limit.cap);
                let much = group.total.saturating_sub(limit.down_to);
                if gives(turns) < most {
                    turns.iter().for_each(&mut choose);
                    continue;
                }
                let (mut given, mut last) = (0u64, None);
                for turn in turns.iter().filter(|turn| turn.gives > 0) {
                    // By `lowest` all are alike here.
                    if last.is_some_and(|last| last < turn.turn) {
                        break;
                    }
                    choose(turn);
                    given = given.saturating_add(turn.gives);
                    if given >= much && last.is_none() {
                        last = Some(turn.turn);
                    }
                }
            }
        }
        chosen
    }

    pub(super) fn limit(&self, (of, index): LimitAt) -> Option<&Limit> {
        let collection = self.matcher().policy.collections.get(of)?;
        collection.limits.get(index)
    }
}

/// The turns of one group, of all in their order.
pub(super) fn of_group(turns: &[Turn], number: NonZeroU32) -> &[Turn] {
    let begin = turns.partition_point(|turn| turn.group < number);
    let rest = turns.get(begin..).unwrap_or_default();
    let end = rest.partition_point(|turn| turn.group == number);
    rest.get(..end).unwrap_or_default()
}

/// What files give back, all together.
fn gives(turns: &[Turn]) -> u64 {
    let gives = turns.iter().map(|turn| turn.gives);
    gives.fold(0, u64::saturating_add)
}

/// When a file goes for a budget.
fn turn(
    matcher: &Matcher<'_>,
    entry: &Entry,
    facts: &Facts,
    place: &Membership,
    limit: &Limit,
) -> Moment {
    match limit.order {
        Order::Largest => (u64::MAX - facts.size, 0),
        Order::Smallest => (facts.size, 0),
        Order::LeastRecentlyUsed => moment(facts.accessed),
        // What has no such stamp is kept, and gives nothing.
        Order::Oldest => matcher.clock_of(entry, place).map_or((0, 0), moment),
        // Values order by what they mean: all of them come back.
        Order::Lowest(_) => (0, 0),
    }
}

/// A stamp as numbers that order as stamps do.
fn moment(stamp: Stamp) -> Moment {
    let seconds = stamp.seconds().wrapping_sub(i64::MIN).cast_unsigned();
    (seconds, stamp.subsec_nanoseconds())
}
