//! Files whose archives are known to be no smaller: no run replaces them, so no plan says so.

use std::path::Path;

use crate::plan::{Action, Notice, Plan, Step, generation};
use crate::plugin::NoSmaller;

/// Takes what would be replaced out of a plan where an earlier run has found that its
/// archive is no smaller: a plan says what a run does.
pub(super) fn leave(plan: &mut Plan, root: &Path) -> Vec<Step> {
    if plan.steps.sums().replaced.files == 0 {
        return Vec::new();
    }
    let known = NoSmaller::of(root);
    let Plan {
        steps,
        hooks,
        root: identity,
        totals,
        notices,
        ..
    } = plan;
    let is_left = |step: &Step| match step.action {
        // One that is to be archived elsewhere as well keeps its step.
        Action::Replace { hook } if step.ruling.hooks[..] == [hook] => {
            hooks.get(hook).is_some_and(|hook| {
                let generation = generation(identity, &step.path, &step.facts);
                known.size(hook, &generation).is_some()
            })
        }
        Action::Replace { .. } | Action::Remove | Action::BackUp => false,
    };
    let mut left = Vec::new();
    let rest = steps.edited(|step| {
        let is_left = is_left(&step);
        match is_left {
            true => left.push(step),
            false => return Some(step),
        }
        None
    });
    if !left.is_empty() {
        *steps = rest;
        totals.recount(steps);
        let count = match left.len() {
            1 => "1 file that would be replaced stays as it is: its archive is".to_owned(),
            count => {
                format!("{count} files that would be replaced stay as they are: their archives are")
            }
        };
        notices.push(Notice {
            path: None,
            message: format!("{count} no smaller, which is tried again after a change"),
        });
    }
    left
}
