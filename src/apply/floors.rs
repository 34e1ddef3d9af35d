//! Floors looked at again: what `keep newest` counted on must still be there.

use std::collections::BTreeMap;

use crate::entry::Changed;
use crate::plan::{Batch, Floor, Plan};
use crate::store::Root;

/// Steps whose floors still stand, and steps of which one does not.
pub(super) fn split(
    plan: &Plan,
    root: &Root,
    batch: &Batch,
    steps: &[usize],
) -> (Vec<usize>, Vec<usize>) {
    let mut looked_at: BTreeMap<usize, bool> = BTreeMap::new();
    steps.iter().partition(|&&step| {
        let floors = batch.get(step).map(|step| step.ruling.floors.as_slice());
        floors.unwrap_or_default().iter().all(|&floor| {
            *looked_at.entry(floor).or_insert_with(|| {
                let floor = plan.floors.get(floor);
                floor.is_some_and(|floor| stands(root, floor))
            })
        })
    })
}

/// Whether every file a floor counted on is there, unaltered. A newer one in its place
/// would do as well, but that is for the next plan to say.
pub fn stands(root: &Root, floor: &Floor) -> bool {
    floor.members.iter().all(|member| {
        let Some((path, facts)) = member else {
            return false;
        };
        let found = root.stat(&path);
        found.is_ok_and(|found| facts.same_generation(&found, Changed::Compared))
    })
}
