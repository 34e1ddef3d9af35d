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

use std::ops::Range;
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

/// What one file is to one budget that is exceeded. They order by group and turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    group: u32,
    /// When it goes.
    turn: u64,
    /// What that gives back; nothing where it cannot go, or to no use.
    gives: u64,
    /// Its place among what was laid aside.
    file: usize,
}

/// A group that uses more than it may.
struct Over {
    number: u32,
    /// How much has to go.
    much: u64,
    /// How much may go at most, for the budget to be met.
    most: u64,
}

/// What comes back of a part.
#[derive(Default)]
struct Back {
    entries: Vec<Entry>,
    /// What it uses of budgets.
    used: Used,
    /// What it was counted as.
    sums: Sums,
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
        let mut sums = sums;
        let mut entries = Vec::new();
        let mut checked = Ok(());
        if count > 0 {
            let files = packed.in_path_order(Packer::default());
            let chosen = chosen(self.turns_of_all(&files, limits, &over), &over, files.len());
            let pages = files.pages();
            let parts = in_parts(files.len(), |range| {
                let begins = |at: usize| pages.partition_point(|page| page.start < at);
                let pages = pages.get(begins(range.start)..begins(range.end));
                self.back(&files, pages.unwrap_or_default(), &chosen, limits)
            });
            for mut part in parts {
                passed.rest.subtract(&part.used);
                sums.subtract(&part.sums);
                entries.append(&mut part.entries);
            }
            checked = files.check();
        }
        passed.add(&sums);
        checked.map(|()| entries)
    }

    /// What comes back of some pages.
    fn back(
        &self,
        files: &Steps,
        pages: &[Range<usize>],
        chosen: &[bool],
        limits: &Limits,
    ) -> Back {
        let mut back = Back::default();
        for page in pages {
            let chosen = chosen.get(page.clone()).unwrap_or_default();
            if !chosen.contains(&true) {
                continue;
            }
            for (file, _) in files
                .iter_from(page.start)
                .zip(chosen)
                .filter(|(_, chosen)| **chosen)
            {
                let (entry, is_open) = unpacked(file);
                let memberships = self.matcher().memberships(&entry.path);
                back.used
                    .count(limits, self.matcher(), &entry, &memberships);
                self.stays_aside(&entry, &memberships, is_open, &mut back.sums);
                back.entries.push(entry);
            }
        }
        back
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

    /// Every file's turns in the groups that are over.
    fn turns_of_all(
        &self,
        files: &Steps,
        limits: &Limits,
        over: &[(LimitAt, ByGroup<Over>)],
    ) -> Vec<Turn> {
        let parts = in_parts(files.len(), |range| {
            let mut turns: Vec<Turn> = Vec::new();
            let mut written = String::new();
            for (at, file) in range.clone().zip(files.iter_from(range.start)) {
                let (entry, is_open) = unpacked(file);
                let Ok(facts) = &entry.facts else { continue };
                for place in &self.matcher().memberships(&entry.path) {
                    limits.each(self.matcher(), &entry, place, |limit_at, limit, values| {
                        let groups = over.binary_search_by_key(&limit_at, |(at, _)| *at);
                        let groups = groups.ok().and_then(|index| over.get(index));
                        Group::write(of_limit(limit, values), &mut written);
                        let group = groups.and_then(|(_, groups)| groups.get(written.as_str()));
                        let Some(group) = group else { return };
                        turns.push(Turn {
                            group: group.number,
                            turn: self.turn(&entry, facts, place, limit),
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
        let mut turns: Vec<Turn> = parts.into_iter().flatten().collect();
        turns.sort_unstable();
        turns
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

/// Which of so many files come back: of each group those whose turn comes before it is as
/// small as it may be. Where no eviction can meet a budget all of them do, as a person is
/// told what holds it.
fn chosen(turns: Vec<Turn>, over: &[(LimitAt, ByGroup<Over>)], files: usize) -> Vec<bool> {
    let mut chosen = vec![false; files];
    let mut choose = |turn: &Turn| {
        if let Some(chosen) = chosen.get_mut(turn.file) {
            *chosen = true;
        }
    };
    let groups = over.iter().flat_map(|(_, groups)| groups.values());
    for group in groups {
        let begin = turns.partition_point(|turn| turn.group < group.number);
        let rest = turns.get(begin..).unwrap_or_default();
        let end = rest.partition_point(|turn| turn.group == group.number);
        let turns = rest.get(..end).unwrap_or_default();
        let gives = turns
            .iter()
            .fold(0u64, |sum, turn| sum.saturating_add(turn.gives));
        if gives < group.most {
            turns.iter().for_each(&mut choose);
            continue;
        }
        let (mut given, mut last) = (0u64, None);
        for turn in turns.iter().filter(|turn| turn.gives > 0) {
            // Those that are alike in their order go by what is not known here.
            if last.is_some_and(|last| last < turn.turn) {
                break;
            }
            choose(turn);
            given = given.saturating_add(turn.gives);
            if given >= group.much && last.is_none() {
                last = Some(turn.turn);
            }
        }
    }
    chosen
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
