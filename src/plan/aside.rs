//! Files that only budgets ask for, laid aside until it is known what those use.
//!
//! A budget has nothing to decide where its group uses no more than it may, and where it
//! uses more, only the files that come first in its order can go. So such a file is packed
//! away with some sixty bytes while the store is walked, and its group's use is summed up.
//! Of the files of the others it is mostly known then which go, see
//! [`evict`](super::evict), and for the rest the sums are enough.
//!
//! Where that is not known, those come back that some budget may take, and are decided on as
//! if nothing had been laid aside. So there may be too many of them and never too few: each
//! budget chooses as if no other one took anything, which leaves it more to take, and of
//! files that are alike in its order all come back.

use std::num::NonZeroU32;
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
use crate::policy::{Limit, Matcher, Measure, Membership, Order};
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
    /// Brings back what budgets may take, in path order; what they take for certain becomes
    /// steps, and what the rest uses is kept. Where something cannot be read back there is no
    /// plan: a budget would take other files in their stead.
    pub fn bring_back(&self, passed: &mut Passed) -> Result<Vec<Entry>, Unreadable> {
        let Aside {
            packed,
            mut sums,
            used,
            ..
        } = std::mem::take(&mut passed.aside);
        let Some(limits) = self.budgets() else {
            return Ok(Vec::new());
        };
        let exceeded = self.exceeded(&used, &passed.remembered);
        passed.rest = used;
        let back = match exceeded.is_empty() {
            true => Ok(Vec::new()),
            false => self.decide_aside(packed, limits, &exceeded, &mut sums, passed),
        };
        passed.add(&sums);
        back
    }

    /// Decides what comes back and what goes; both is no part of the sums any more.
    fn decide_aside(
        &self,
        packed: Packer,
        limits: &Limits,
        exceeded: &[Exceeded],
        sums: &mut Sums,
        passed: &mut Passed,
    ) -> Result<Vec<Entry>, Unreadable> {
        let files = packed.in_path_order(Packer::default());
        let turns = self.turns_of_all(&files, limits, exceeded);
        let evicted = self.evicted(&turns, exceeded, files.len());
        let Some(evicted) = evicted else {
            let chosen = self.chosen(&turns, exceeded, files.len());
            drop(turns);
            let parts = in_pages(&files, |pages| self.back(&files, pages, &chosen, limits));
            files.check()?;
            let mut entries = Vec::new();
            for mut part in parts {
                passed.rest.subtract(&part.used);
                sums.subtract(&part.sums);
                entries.append(&mut part.entries);
            }
            return Ok(entries);
        };
        drop(turns);
        let parts = in_pages(&files, |pages| self.let_go(&files, pages, &evicted));
        // A page that is missing makes every file behind it another one.
        files.check()?;
        for (part, staying) in parts {
            sums.subtract(&staying);
            passed.add_all(part);
        }
        Ok(Vec::new())
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

    /// Groups that use more than they may, by their limits in ascending order. What is
    /// remembered for something else is taken for staying: it may only use less.
    fn exceeded(&self, used: &Used, remembered: &Used) -> Vec<Exceeded> {
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
    fn turns_of_all(&self, files: &Steps, limits: &Limits, exceeded: &[Exceeded]) -> Vec<Turn> {
        let parts = in_parts(files.len(), |range| {
            let mut turns: Vec<Turn> = Vec::new();
            let mut written = String::new();
            for (at, file) in range.clone().zip(files.iter_from(range.start)) {
                let (entry, is_open) = unpacked(file);
                let Ok(facts) = &entry.facts else { continue };
                for place in &self.matcher().memberships(&entry.path) {
                    limits.each(self.matcher(), &entry, place, |limit_at, limit, values| {
                        let of_limit = of_limit(limit, values);
                        Group::write(of_limit, &mut written);
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
    fn chosen(&self, turns: &[Turn], exceeded: &[Exceeded], files: usize) -> Vec<bool> {
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

/// Works on pages of files that were laid aside, by all cores.
fn in_pages<R: Send>(files: &Steps, work: impl Fn(&[Range<usize>]) -> R + Sync) -> Vec<R> {
    let pages = files.pages();
    in_parts(files.len(), |range| {
        let begins = |at: usize| pages.partition_point(|page| page.start < at);
        let pages = pages.get(begins(range.start)..begins(range.end));
        work(pages.unwrap_or_default())
    })
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
        // What has no such stamp is kept, and never laid aside.
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

/// A file that was packed, and whether nothing keeps it.
pub(super) fn unpacked(file: Step) -> (Entry, bool) {
    let is_open = file.action == Action::Remove;
    let entry = Entry {
        path: file.path,
        facts: Ok(file.facts),
    };
    (entry, is_open)
}
