//! Which files the decisions of a policy have to know all of.

use crate::policy::{Collection, Policy};

/// Which of a collection's files other decisions ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// None: each is decided on by itself.
    None,
    /// Those that no `delete` takes, and of them those that may have to go: a budget counts
    /// what is left.
    Counted,
    /// All, but only by floors, which count what `delete` would take as well, and budgets.
    Floored,
    /// Those that no `delete` takes.
    Staying,
    /// All.
    All,
}

impl Asked {
    /// What a policy asks of a collection, by its index.
    pub(super) fn of(policy: &Policy, index: usize, collection: &Collection) -> Asked {
        let all = !collection.replaces.is_empty() || !collection.backups.is_empty();
        let mut stages = policy.pressures.iter().flat_map(|of| &of.stages);
        let is_pressed = stages.any(|stage| stage.collection == index);
        let floored = match collection.floors.is_empty() {
            false => Asked::Floored,
            true if !collection.limits.is_empty() => Asked::Counted,
            true => Asked::None,
        };
        match all {
            true => Asked::All,
            false if is_pressed => floored.and(Asked::Staying),
            false => floored,
        }
    }

    /// What is asked of a file by both.
    pub(super) fn and(self, other: Asked) -> Asked {
        match (self.min(other), self.max(other)) {
            // Pressure would have to know what floors hold.
            (Asked::Floored, Asked::Staying) => Asked::All,
            (_, most) => most,
        }
    }
}
