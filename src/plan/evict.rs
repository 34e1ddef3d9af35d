//! What budgets take of the files that were laid aside for them.
//!
//! A budget takes from a group what comes first in its order, and the order of files that
//! were laid aside is a number. So which of them go, and why, can be said without bringing
//! them back; see [`settle`](super::settle).
//!
//! Nothing is decided here, and all that may go is brought back, where a file of such a group
//! is remembered for something else, where an order is no number, and where a budget cannot
//! be met, as a person is told what holds it.

use std::num::NonZeroU32;

use super::group;
use super::limits::{in_turn, over_words};
use super::sieve::Sieve;
use super::turns::{Exceeded, Over, Turn, of_group};
use super::used::LimitAt;
use crate::policy::{Limit, Order};

/// What is taken, and by what.
pub(super) struct Evicted {
    /// By file: the number of the group that takes it.
    taken: Vec<Option<NonZeroU32>>,
    /// By the number of a group, of which the first is 1.
    takers: Vec<Taker>,
}

/// A group of a limit that takes files.
#[derive(Clone, Debug, Default)]
pub(super) struct Taker {
    pub(super) limit: LimitAt,
    /// What it has too much of, in words.
    pub(super) over: String,
}

impl Evicted {
    /// What takes a file.
    pub(super) fn takes(&self, file: usize) -> Option<&Taker> {
        let number = (*self.taken.get(file)?)?;
        self.takers.get(number.get() as usize - 1)
    }

    /// Takes from a group what its limit wants of it; what it used before. Nothing where
    /// that cannot be said here.
    fn take(&mut self, turns: &[Turn], over: &Over, limit: &Limit) -> Option<u64> {
        if !over.is_aside {
            return None;
        }
        let is_taken = |turn: &&Turn| matches!(self.taken.get(turn.file), Some(Some(_)));
        let gone = turns.iter().filter(is_taken).map(|turn| turn.gives);
        let total = gone.fold(over.total, u64::saturating_sub);
        if total <= limit.cap {
            return Some(total);
        }
        let left: Vec<&Turn> = turns.iter().filter(|turn| !is_taken(turn)).collect();
        let may_go = left.iter().map(|turn| turn.gives);
        if may_go.fold(total, u64::saturating_sub) > limit.cap {
            return None;
        }
        let mut rest = total;
        for turn in left.into_iter().filter(|turn| turn.gives > 0) {
            if rest <= limit.down_to {
                break;
            }
            *self.taken.get_mut(turn.file)? = Some(over.number);
            rest = rest.saturating_sub(turn.gives);
        }
        Some(total)
    }
}

impl Sieve<'_> {
    /// What budgets take of so many files, which have these turns; nothing where that
    /// cannot be said.
    pub(super) fn evicted(
        &self,
        turns: &[Turn],
        exceeded: &[Exceeded],
        files: usize,
    ) -> Option<Evicted> {
        let groups: usize = exceeded.iter().map(|of| of.groups.len()).sum();
        let mut evicted = Evicted {
            taken: match groups {
                0 => Vec::new(),
                _ => vec![None; files],
            },
            takers: vec![Taker::default(); groups],
        };
        for (of, collection) in in_turn(self.matcher().policy) {
            for (index, limit) in collection.limits.iter().enumerate() {
                let at = (of, index);
                let Ok(found) = exceeded.binary_search_by_key(&at, |of| of.limit) else {
                    continue;
                };
                if matches!(limit.order, Order::Lowest(_)) {
                    return None;
                }
                for (group, over) in &exceeded.get(found)?.groups {
                    let turns = of_group(turns, over.number);
                    let total = evicted.take(turns, over, limit)?;
                    let values: Vec<String> = group.values().map(str::to_owned).collect();
                    let name = group::name(collection, &limit.per, &values);
                    *evicted.takers.get_mut(over.number.get() as usize - 1)? = Taker {
                        limit: at,
                        over: over_words(limit, &name, total, "files"),
                    };
                }
            }
        }
        Some(evicted)
    }
}
