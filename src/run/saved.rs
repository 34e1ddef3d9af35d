//! A saved plan held against what the policy says: what somebody wrote into it and the
//! policy never gave is not carried out.
//!
//! A plan's digest shows damage, not forgery: whoever edits a plan computes it anew. So
//! the store is scanned and planned once more at the saved plan's own moment, and only
//! what both plans have goes, in the form the fresh one gives it: with its hooks, its
//! floors, its directory. What only the saved one has is kept, and the run says why.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Planned, RunError};
use crate::apply::{Asked, Held};
use crate::entry::{Changed, Facts};
use crate::journal::Outcome;
use crate::path::RelPath;
use crate::plan::{Action, Floor, Plan, Step};
use crate::scan::Inventory;

/// What of a saved plan is carried out, and what is not.
pub(super) struct Agreed {
    pub(super) plan: Plan,
    /// Steps the fresh plan does not have, and what they end as.
    pub(super) refused: Vec<(Step, Outcome)>,
}

/// The part of a saved plan that a fresh one for the same moment has as well.
pub(super) fn agree(saved: &Plan, fresh: &Planned, held: &Held) -> Result<Agreed, RunError> {
    let Planned {
        plan, inventory, ..
    } = fresh;
    if saved.rules != plan.rules || saved.hooks != plan.hooks {
        let reason = "its statements or hooks are not those of the policy; make a new plan";
        return Err(RunError::Plan(reason.to_owned()));
    }
    let mut plan = plan.clone();
    let asked: HashMap<&RelPath, &Step> =
        saved.steps.iter().map(|step| (&step.path, step)).collect();
    // What the saved plan counted on has to stand as well: with a newest file gone, the
    // next one is the newest, and what a person saw is not what would happen.
    let base = plan.floors.len();
    plan.floors.extend(saved.floors.iter().cloned());
    plan.steps.retain_mut(|step| {
        let Some(wanted) = asked.get(&step.path).filter(|wanted| is_same(wanted, step)) else {
            return false;
        };
        let floors = &wanted.ruling.floors;
        if !floors.is_empty() {
            let ruling = Arc::make_mut(&mut step.ruling);
            ruling
                .floors
                .extend(floors.iter().map(|floor| base + floor));
        }
        true
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
    let agreed: BTreeSet<&RelPath> = plan.steps.iter().map(|step| &step.path).collect();
    let refused = saved.steps.iter();
    let refused = refused.filter(|step| !agreed.contains(&step.path));
    let holds = held.asked();
    let refused = refused.map(|step| (step.clone(), why(step, saved, inventory, &holds)));
    let refused = refused.collect();
    Ok(Agreed { plan, refused })
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
fn why(step: &Step, saved: &Plan, inventory: &Inventory, holds: &Asked<'_>) -> Outcome {
    let found = found(inventory, &step.path);
    let Some(found) = found else {
        return Outcome::Vanished;
    };
    if !unaltered(&step.facts, found) {
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
    if floors.any(|floor| !stands(floor, inventory)) {
        return Outcome::FloorGone;
    }
    match step.ruling.pressure {
        Some(_) => Outcome::Relieved,
        None => Outcome::Refused,
    }
}

fn found<'i>(inventory: &'i Inventory, path: &RelPath) -> Option<&'i Facts> {
    let entries = &inventory.entries;
    let at = entries
        .binary_search_by(|entry| entry.path.cmp(path))
        .ok()?;
    entries.get(at)?.facts.as_ref().ok()
}

fn stands(floor: &Floor, inventory: &Inventory) -> bool {
    floor.members.iter().all(|(path, facts)| {
        found(inventory, path).is_some_and(|found| facts.same_generation(found, Changed::Compared))
    })
}
