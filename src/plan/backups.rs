//! Files that are archived and stay: those whose present generation has no archive yet,
//! at most one in each period.
//!
//! What goes or is replaced in the same run and is due is archived before that, as if
//! a hook had asked for it.

use super::decide::{Planner, captures};
use super::floors::{bucket, local};
use super::member::Member;
use super::{Action, Hook, Otherwise, Step};
use crate::entry::{Facts, Kind};
use crate::path::RelPath;
use crate::policy::Period;
use crate::time::Stamp;

/// The name of one generation of one file, by which receipts and plugins know it; the
/// root is the store's identity.
pub fn generation(root: &str, path: &RelPath, facts: &Facts) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [root.as_bytes(), path.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    for number in [facts.id.device, facts.id.inode, facts.size] {
        hasher.update(&number.to_le_bytes());
    }
    for stamp in [facts.modified, facts.changed] {
        hasher.update(&stamp.as_nanoseconds().to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Whether a step has its file archived just so by another hook, and stays where that
/// does not succeed.
fn archives(step: &Step, wanted: usize, hooks: &[(usize, Hook)]) -> bool {
    let way = |hook: usize| {
        let (_, hook) = hooks.get(hook)?;
        Some((&hook.plugin, &hook.arguments, &hook.destination))
    };
    step.hooks.iter().any(|&hook| {
        let keeps = hooks
            .get(hook)
            .is_some_and(|(_, hook)| hook.otherwise == Otherwise::Keep);
        keeps && way(hook) == way(wanted)
    })
}

impl Planner<'_, '_> {
    /// Adds what `back up` asks for to the steps there are, and steps of its own.
    pub(super) fn back_up(&self, root: &str, hooks: &[(usize, Hook)], steps: &mut Vec<Step>) {
        if hooks.iter().all(|(_, hook)| !hook.backs_up) {
            return;
        }
        steps.sort_by(|a, b| a.path.cmp(&b.path));
        let mut further = Vec::new();
        for member in &self.members {
            // An archive in a file's place is archived already.
            if member.place.is_some() || member.unit.is_some() {
                continue;
            }
            let due = self.due(root, member, hooks);
            if due.is_empty() {
                continue;
            }
            let known = steps.binary_search_by(|step| step.path.cmp(member.place()));
            match known.ok().and_then(|at| steps.get_mut(at)) {
                Some(step) => {
                    let due = due.into_iter().filter(|&due| !archives(step, due, hooks));
                    let due: Vec<usize> = due.collect();
                    step.hooks.extend(due);
                }
                None => further.extend(self.backing(member, due, hooks)),
            }
        }
        steps.extend(further);
    }

    /// The hooks whose turn a file has.
    fn due(&self, root: &str, member: &Member<'_>, hooks: &[(usize, Hook)]) -> Vec<usize> {
        let Some(facts) = member.facts().filter(|facts| facts.kind == Kind::File) else {
            return Vec::new();
        };
        let key = std::cell::OnceCell::new();
        let key = || key.get_or_init(|| generation(root, member.path(), facts));
        let filed = self.inventory().filed.get(&member.path().to_string());
        let filed = filed.map_or(&[][..], Vec::as_slice);
        let due = hooks.iter().enumerate().filter(|(_, (of, hook))| {
            let belongs = member.membership(*of).is_some() || self.lies_in(member, *of);
            let period = self.collection(*of).and_then(|collection| {
                let backup = collection.backups.iter().find(|b| b.rule == hook.rule)?;
                backup.period
            });
            hook.backs_up
                && belongs
                && !filed
                    .iter()
                    .filter(|filed| Some(&filed.destination) == hook.destination.as_ref())
                    .any(|filed| {
                        filed.key == *key()
                            || period.is_some_and(|period| self.is_now(period, filed.at))
                    })
        });
        due.map(|(index, _)| index).collect()
    }

    /// Whether a moment lies in the same hour, day or week of the calendar as the run.
    fn is_now(&self, period: Period, at: Stamp) -> bool {
        let zone = &self.matcher.zone;
        let now = local(Some(self.matcher.now), zone);
        let at = local(Some(at), zone);
        at.zip(now)
            .is_some_and(|(at, now)| bucket(period, at) == bucket(period, now))
    }

    fn backing(
        &self,
        member: &Member<'_>,
        due: Vec<usize>,
        hooks: &[(usize, Hook)],
    ) -> Option<Step> {
        let (of, hook) = hooks.get(*due.first()?)?;
        let collection = self.collection(*of)?;
        let captures = match member.membership(*of) {
            Some(place) => captures(collection, place),
            None => Vec::new(),
        };
        Some(Step {
            path: member.place().clone(),
            stands_for: None,
            facts: *member.facts()?,
            action: Action::BackUp,
            unit: None,
            pressure: None,
            collection: collection.name.clone(),
            captures,
            rule: hook.rule,
            reason: "its present bytes have no archive yet".to_owned(),
            hooks: due,
            floors: Vec::new(),
        })
    }
}
