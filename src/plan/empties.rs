//! Directories that hold nothing and have not changed for long enough.

use std::collections::{HashMap, HashSet};

use super::Directory;
use crate::entry::{Entry, Kind};
use crate::path::RelPath;
use crate::policy::{Matcher, Truth};
use crate::scan::Inventory;
use crate::units::Elapsed;

/// The directories to remove, deepest first.
///
/// One that holds only such directories goes with them. What a collection's files left
/// behind in this very run is not empty yet: it goes in a later one. In `others` lie files that
/// are not in the inventory.
pub(super) fn find(
    matcher: &Matcher<'_>,
    inventory: &Inventory,
    others: &[RelPath],
) -> Vec<Directory> {
    let mut occupied: HashSet<RelPath> = others.iter().cloned().collect();
    let others = inventory
        .entries
        .iter()
        .map(|entry| &entry.path)
        .chain(inventory.skipped.iter().map(|skipped| &skipped.path))
        .chain(&inventory.unentered);
    occupied.extend(others.filter_map(RelPath::parent));
    let mut below: HashMap<RelPath, usize> = HashMap::new();
    for directory in &inventory.directories {
        if let Some(parent) = directory.path.parent() {
            *below.entry(parent).or_default() += 1;
        }
    }
    let mut candidates: Vec<&Entry> = inventory
        .directories
        .iter()
        .filter(|directory| !directory.path.is_root() && !occupied.contains(&directory.path))
        .collect();
    candidates.sort_by_key(|directory| {
        let depth = directory.path.components().count();
        (std::cmp::Reverse(depth), directory.path.clone())
    });
    let mut found = Vec::new();
    for directory in candidates {
        if below.get(&directory.path).is_some_and(|&left| left > 0) {
            continue;
        }
        if let Some(step) = judge(matcher, directory) {
            if let Some(left) = directory
                .path
                .parent()
                .and_then(|parent| below.get_mut(&parent))
            {
                *left -= 1;
            }
            found.push(step);
        }
    }
    found
}

fn judge(matcher: &Matcher<'_>, directory: &Entry) -> Option<Directory> {
    let facts = *directory.facts.as_ref().ok()?;
    let changed = facts.modified.max(facts.changed);
    let (collection, empties) = matcher.policy.collections.iter().find_map(|collection| {
        let empties = collection.empties.as_ref()?;
        let unchanged = changed < matcher.cutoff(empties.span)?;
        (unchanged && collection.template.holds_members(&directory.path))
            .then_some((collection, empties))
    })?;
    let protected = facts.kind != Kind::Directory || matcher.covers_any(directory) != Truth::False;
    let span = matcher.policy.spans.get(empties.span)?;
    (!protected).then(|| Directory {
        path: directory.path.clone(),
        facts,
        collection: collection.name.to_string(),
        rule: empties.rule,
        reason: format!(
            "empty, unchanged for {}, which is more than {span}",
            Elapsed(changed.seconds_until(matcher.now))
        ),
    })
}
