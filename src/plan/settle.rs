//! What becomes of the files that were laid aside, once it is known: those that go become
//! steps as they are read from their pages, and those that stay are counted.

use std::ops::Range;

use super::aside::{Laid, Lot, laid};
use super::evict::{Evicted, Taker};
use super::floored::{Floored, Found, Relied};
use super::known::Sums;
use super::limits::order_words;
use super::sieve::Sieve;
use super::steps::Steps;
use super::{Floor, Indices, Passed, Step};
use crate::entry::Entry;
use crate::policy::{Membership, Verdict};

/// All that is known.
pub(super) struct Decided {
    evicted: Evicted,
    /// Where floors may count some of the files.
    floored: Option<(Floored, Relied)>,
}

/// What some pages come to.
#[derive(Default)]
pub(super) struct Settled {
    /// What goes.
    pub(super) passed: Passed,
    /// What of it was counted when it was laid aside.
    pub(super) gone: Sums,
    /// What stays and was not counted then.
    pub(super) staying: Sums,
    /// What floors hold that some step relies on.
    pub(super) held: Found,
}

impl Decided {
    pub(super) fn new(evicted: Evicted, floored: Option<Floored>) -> Decided {
        let floored = floored.map(|floored| {
            let goes =
                |file| floored.lot(file) == Some(Lot::Doomed) || evicted.takes(file).is_some();
            let relied = floored.relied(goes);
            (floored, relied)
        });
        Decided { evicted, floored }
    }

    /// The floors that steps rely on, with what they hold.
    pub(super) fn floors(&self, held: &[Found]) -> Vec<Floor> {
        let relied = self.floored.as_ref().map(|(_, relied)| relied);
        relied.map_or_else(Vec::new, |relied| relied.floors(held))
    }
}

impl Sieve<'_> {
    /// Settles what lies in some pages.
    pub(super) fn settle(
        &self,
        files: &Steps,
        pages: &[Range<usize>],
        decided: &Decided,
    ) -> Settled {
        let mut settled = Settled::default();
        let Decided { evicted, floored } = decided;
        for page in pages {
            if floored.is_none() && !page.clone().any(|file| evicted.takes(file).is_some()) {
                continue;
            }
            for (at, file) in page.clone().zip(files.iter_from(page.start)) {
                let taker = evicted.takes(at);
                let Some((floored, relied)) = floored else {
                    if let Some(taker) = taker {
                        self.settle_apart(file, taker, &mut settled);
                    }
                    continue;
                };
                match (floored.lot(at), taker) {
                    (None, None) => {}
                    (None, Some(taker)) => self.settle_apart(file, taker, &mut settled),
                    (Some(lot), taker) => {
                        let entry = laid(file).entry;
                        relied.note(at, &entry, &mut settled.held);
                        let floors = || relied.by(at);
                        self.settle_floored(&entry, (lot, taker), floors, &mut settled);
                    }
                }
            }
        }
        settled
    }

    /// Settles a file in no collection with floors that a budget takes.
    fn settle_apart(&self, file: Step, taker: &Taker, settled: &mut Settled) {
        let Laid { entry, lot, .. } = laid(file);
        let memberships = self.matcher().memberships(&entry.path);
        let none = Indices::new();
        // What no statement takes after all stays, as it was counted.
        if self.evict(&entry, &memberships, taker, none, &mut settled.passed) {
            let is_open = lot == Lot::Open;
            self.stays_aside(&entry, &memberships, is_open, &mut settled.gone);
        }
    }

    /// Settles one in a collection with floors, which no sum has yet.
    fn settle_floored(
        &self,
        entry: &Entry,
        (lot, taker): (Lot, Option<&Taker>),
        floors: impl FnOnce() -> Indices,
        settled: &mut Settled,
    ) {
        let memberships = self.matcher().memberships(&entry.path);
        let part = &mut settled.passed;
        let goes = match (lot, taker) {
            (Lot::Doomed, _) => self.delete(entry, &memberships, floors(), part),
            (Lot::Open, Some(taker)) => self.evict(entry, &memberships, taker, floors(), part),
            _ => false,
        };
        if !goes {
            let is_open = lot == Lot::Open;
            self.stays_aside(entry, &memberships, is_open, &mut settled.staying);
        }
    }

    /// Has a file go that a `delete` takes; whether one does.
    fn delete(
        &self,
        entry: &Entry,
        memberships: &[Membership],
        floors: Indices,
        part: &mut Passed,
    ) -> bool {
        let Verdict::Doomed { membership, rule } = self.matcher().judge(entry, memberships) else {
            return false;
        };
        let step = self.doomed(entry, memberships, (membership, rule, floors), part);
        self.lets_go(step, memberships, part)
    }

    /// Has a file go that a budget takes; whether that can be said.
    fn evict(
        &self,
        entry: &Entry,
        memberships: &[Membership],
        taker: &Taker,
        floors: Indices,
        part: &mut Passed,
    ) -> bool {
        let place = memberships.iter().find(|p| p.collection == taker.limit.0);
        let Some((place, limit)) = place.zip(self.limit(taker.limit)) else {
            return false;
        };
        let this = order_words(self.matcher(), entry, place, limit.order);
        let reason = format!("{}; {this}", taker.over);
        let by = (place, limit.rule, floors);
        let step = self.step(entry, memberships, by, &reason, part);
        self.lets_go(step, memberships, part)
    }

    fn lets_go(&self, step: Option<Step>, memberships: &[Membership], part: &mut Passed) -> bool {
        let Some(step) = step else { return false };
        part.names += 1;
        self.goes(&step, memberships, part);
        true
    }
}
