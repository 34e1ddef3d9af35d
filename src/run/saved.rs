//! A saved plan held against what the policy says: what somebody wrote into it and the
//! policy never gave is not carried out.
//!
//! A plan's digest shows damage, not forgery: whoever edits a plan computes it anew. So
//! the store is scanned and planned once more at the saved plan's own moment, and only
//! what both plans have goes, in the form the fresh one gives it: with its hooks, its
//! floors, its directory. What only the saved one has is kept, and the run says why.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::iter::Peekable;
use std::sync::Arc;

use super::{Planned, RunError};
use crate::apply::{Asked, Held, stands};
use crate::entry::{Changed, Facts};
use crate::journal::Outcome;
use crate::path::RelPath;
use crate::plan::{Action, Iter, Plan, Step};
use crate::store::{Root, in_words};

/// What of a saved plan is carried out, and what is not.
pub(super) struct Agreed {
    pub(super) plan: Plan,
    /// Steps the fresh plan does not have, and what they end as.
    pub(super) refused: Vec<(Step, Outcome)>,
}

/// The part of a saved plan that a fresh one for the same moment has as well.
pub(super) fn agree(saved: &Plan, fresh: &Planned, held: &Held) -> Result<Agreed, RunError> {
    let Planned { plan, root, .. } = fresh;
    if saved.rules != plan.rules || saved.hooks != plan.hooks {
        let reason = "its statements or hooks are not those of the policy; make a new plan";
        return Err(RunError::Plan(reason.to_owned()));
    }
    let mut plan = plan.clone();
    // What the saved plan counted on has to stand as well: with a newest file gone, the
    // next one is the newest, and what a person saw is not what would happen.
    let base = plan.floors.len();
    plan.floors.extend(saved.floors.iter().cloned());
    let mut asked = SideBySide::of(saved);
    plan.steps = plan.steps.edited(|mut step| {
        let wanted = asked.take(&step)?;
        let floors = &wanted.ruling.floors;
        if !floors.is_empty() {
            let ruling = Arc::make_mut(&mut step.ruling);
            ruling
                .floors
                .extend(floors.iter().map(|floor| base + floor));
        }
        Some(step)
    });
    let empty: BTreeSet<&RelPath> = saved.directories.iter().map(|d| &d.path).collect();
    plan.directories
        .retain(|directory| empty.contains(&directory.path));
    // An archive that a person did not see go stays.
    plan.expired
        .retain(|archive| saved.expired.contains(archive));
    plan.totals.recount(&plan.steps);
    for tripped in &saved.tripped {
        if !plan.tripped.contains(tripped) {
            plan.tripped.push(tripped.clone());
        }
    }
    let holds = held.asked();
    let refused = asked.rest().into_iter().map(|step| {
        let outcome = why(&step, saved, root, &holds);
        (step, outcome)
    });
    let refused = refused.collect();
    for steps in [&saved.steps, &plan.steps] {
        let read = steps.check();
        read.map_err(|error| RunError::System(error.to_string()))?;
    }
    Ok(Agreed { plan, refused })
}

/// The steps of a saved plan, found by those of a fresh one, which come in the same order:
/// so that few of what may be millions are in memory at once.
struct SideBySide<'p> {
    ordered: Peekable<Iter<'p>>,
    /// Those that were passed by or have an order of their own.
    others: BTreeMap<RelPath, Step>,
}

impl<'p> SideBySide<'p> {
    fn of(saved: &'p Plan) -> SideBySide<'p> {
        SideBySide {
            ordered: saved.steps.iter().peekable(),
            others: BTreeMap::new(),
        }
    }

    /// The saved step that speaks of the same file and does the same with it.
    fn take(&mut self, fresh: &Step) -> Option<Step> {
        let comes = |saved: &Step| {
            // Behind those in path order everything may follow on anything.
            fresh.ruling.pressure.is_some()
                || saved.ruling.pressure.is_some()
                || saved.path <= fresh.path
        };
        while let Some(step) = self.ordered.next_if(comes) {
            if step.path == fresh.path && is_same(&step, fresh) {
                return Some(step);
            }
            self.others.insert(step.path.clone(), step);
        }
        let wanted = self.others.remove(&fresh.path)?;
        if is_same(&wanted, fresh) {
            return Some(wanted);
        }
        self.others.insert(wanted.path.clone(), wanted);
        None
    }

    /// Those that nothing fresh was like, in path order.
    fn rest(mut self) -> Vec<Step> {
        for step in self.ordered {
            self.others.insert(step.path.clone(), step);
        }
        self.others.into_values().collect()
    }
}

/// Whether two plans speak of one file and do the same with it. Which statement takes
/// it, and through which hooks, is the fresh plan's to say.
fn is_same(saved: &Step, fresh: &Step) -> bool {
    let action = match (saved.action, fresh.action) {
        (Action::Remove, Action::Remove) | (Action::BackUp, Action::BackUp) => true,
        (Action::Replace { hook: a }, Action::Replace { hook: b }) => a == b,
        (Action::Remove | Action::Replace { .. } | Action::BackUp, _) => false,
    };
    action && unaltered(&saved.facts, &fresh.facts)
}

fn unaltered(saved: &Facts, found: &Facts) -> bool {
    saved.same_generation(found, Changed::Compared)
        && (saved.mode, saved.owner, saved.group) == (found.mode, found.owner, found.group)
}

/// What becomes of a step that the fresh plan does not have.
fn why(step: &Step, saved: &Plan, root: &Root, holds: &Asked<'_>) -> Outcome {
    let found = match root.stat(&step.path) {
        Ok(found) => found,
        Err(error) if is_gone(&error) => return Outcome::Vanished,
        Err(error) => {
            let reason = in_words(&error);
            return Outcome::Failed { reason };
        }
    };
    if !unaltered(&step.facts, &found) {
        return Outcome::Changed;
    }
    if let Some(hold) = holds.keeps_step(step) {
        return Outcome::Held {
            hold: hold.to_owned(),
        };
    }
    let mut floors = step
        .ruling
        .floors
        .iter()
        .filter_map(|&at| saved.floors.get(at));
    if floors.any(|floor| !stands(root, floor)) {
        return Outcome::FloorGone;
    }
    match step.ruling.pressure {
        Some(_) => Outcome::Relieved,
        None => Outcome::Refused,
    }
}

/// Whether it, or a directory on the way to it, is not there.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}
