//! Pressure measured again while it is relieved: no more goes than is needed.

use crate::plan::{Mark, Plan, is_below};
use crate::store::Root;

/// Batches that may free nothing before it is taken for granted that none will. One
/// alone may be outpaced by whoever fills the disk.
const PATIENCE: u32 = 3;

/// What is being relieved.
#[derive(Debug)]
pub struct Relief {
    mark: Mark,
    /// Bytes of the store when it was planned, less what has gone since.
    store: u64,
    /// Bytes of the disk in use when last measured.
    used: Option<u64>,
    /// Batches in a row that freed nothing.
    fruitless: u32,
}

/// Whether more has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// It does.
    More,
    /// There is room enough.
    Enough,
    /// There is not, but nothing that goes makes any.
    Futile,
}

impl Relief {
    /// The pressure with this number; `freed` is what the run has freed before.
    pub fn of(plan: &Plan, number: usize, freed: u64) -> Option<Relief> {
        let pressed = plan.pressures.get(number)?;
        Some(Relief {
            mark: pressed.mark,
            store: match pressed.mark {
                Mark::Store { .. } => pressed.seen.saturating_sub(freed),
                Mark::Disk { .. } => 0,
            },
            used: None,
            fruitless: 0,
        })
    }

    /// Measures; `freed` is what the last batch gave back by its files' own account.
    pub fn measure(&mut self, root: &Root, freed: u64) -> Need {
        match self.mark {
            Mark::Store { below, .. } => {
                self.store = self.store.saturating_sub(freed);
                match self.store < below {
                    true => Need::Enough,
                    false => Need::More,
                }
            }
            Mark::Disk { below, .. } => {
                let Ok(space) = root.space() else {
                    // In doubt, keep: what cannot be measured is not relieved.
                    return Need::Futile;
                };
                let used = space.total.saturating_sub(space.free);
                if is_below(used, used.saturating_add(space.available), below) {
                    return Need::Enough;
                }
                let helped = self.used.is_none_or(|before| used < before) || freed == 0;
                self.fruitless = match helped {
                    true => 0,
                    false => self.fruitless + 1,
                };
                self.used = Some(used);
                match self.fruitless >= PATIENCE {
                    true => Need::Futile,
                    false => Need::More,
                }
            }
        }
    }
}
