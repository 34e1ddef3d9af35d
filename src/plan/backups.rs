//! Files that are archived and stay: those whose present generation has no archive yet,
//! at most one in each period.
//!
//! What goes or is replaced in the same run and is due is archived before that, as if
//! a hook had asked for it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;

use super::decide::{Planner, captures};
use super::floors::{bucket, local};
use super::member::Member;
use super::{Action, Captures, Hook, Otherwise, Ruling, Step};
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
    step.ruling.hooks.iter().any(|&hook| {
        let keeps = hooks
            .get(hook)
            .is_some_and(|(_, hook)| hook.otherwise == Otherwise::Keep);
        keeps && way(hooks, hook) == way(hooks, wanted)
    })
}

/// What decides how a hook's archive is made, and where it lies.
fn way(hooks: &[(usize, Hook)], hook: usize) -> Option<Way<'_>> {
    let (_, hook) = hooks.get(hook)?;
    Some((&hook.plugin, &hook.arguments, &hook.destination))
}

type Way<'h> = (
    &'h String,
    &'h serde_json::Map<String, serde_json::Value>,
    &'h Option<String>,
);

/// What one `back up` has done and will do for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// The statement: an index into the policy's rules.
    pub rule: usize,
    /// Where its archives lie.
    pub destination: String,
    /// When those there are were made, the last one first.
    pub archives: Vec<Stamp>,
    /// Whether the file as it is now is among them.
    pub is_present: bool,
    /// When it is its turn again.
    pub next: NextBackUp,
}

/// When a file is backed up next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextBackUp {
    /// By the next run.
    Now,
    /// Once it has changed.
    Changed,
    /// By the first run from that moment on, and not before it has changed.
    ChangedFrom(Stamp),
    /// By the first run from that moment on.
    From(Stamp),
}

/// When the hour, day or week after a moment's begins; nothing for periods that backups
/// do not have.
fn next_period(period: Period, now: Stamp, zone: &TimeZone) -> Option<Stamp> {
    let now = local(Some(now), zone)?;
    let date = now.date();
    let next = match period {
        Period::Hourly => {
            let hour = date.at(now.hour(), 0, 0, 0);
            hour.checked_add(1.hour()).ok()?
        }
        Period::Daily => date.tomorrow().ok()?.to_datetime(Time::midnight()),
        Period::Weekly => {
            let monday = date.nth_weekday(1, Weekday::Monday).ok()?;
            monday.to_datetime(Time::midnight())
        }
        Period::Monthly | Period::Quarterly | Period::Yearly => return None,
    };
    let next = next.to_zoned_datetime(zone.clone()).ok()?.timestamp();
    Some(Stamp::new(next.as_second(), 0))
}

impl Planner<'_, '_> {
    /// What every `back up` that speaks of a path has done for it, and when it is due.
    pub(super) fn backed_up(&self, root: &str, path: &RelPath) -> Vec<BackedUp> {
        let member = self.members.iter().find(|member| member.place() == path);
        let stays = |member: &&Member<'_>| !member.is_archive() && member.unit().is_none();
        let Some((member, facts)) = member.filter(stays).and_then(|m| Some((m, m.facts()?))) else {
            return Vec::new();
        };
        let key = generation(root, member.path(), facts);
        let filed = self.inventory().filed.get(&member.path().to_string());
        let filed = filed.map_or(&[][..], Vec::as_slice);
        let collections = self.policy().collections.iter().enumerate();
        let ours = collections
            .filter(|(of, _)| member.membership(*of).is_some() || self.lies_in(member, *of));
        let backups = ours.flat_map(|(_, collection)| &collection.backups);
        let told = backups.filter_map(|backup| {
            let (destination, _) = backup.hook.destination.as_ref()?;
            let mut archives: Vec<_> = filed
                .iter()
                .filter(|filed| filed.destination == *destination)
                .collect();
            archives.sort_by_key(|filed| std::cmp::Reverse((filed.at, filed.receipt)));
            let is_present = archives.iter().any(|filed| filed.key == key);
            let in_period = |period: &Period| archives.iter().any(|f| self.is_now(*period, f.at));
            let from = backup
                .period
                .filter(in_period)
                .and_then(|period| next_period(period, self.matcher.now, &self.matcher.zone));
            Some(BackedUp {
                rule: backup.rule,
                destination: destination.clone(),
                archives: archives.iter().map(|filed| filed.at).collect(),
                is_present,
                next: match (is_present, from) {
                    (true, None) => NextBackUp::Changed,
                    (true, Some(from)) => NextBackUp::ChangedFrom(from),
                    (false, Some(from)) => NextBackUp::From(from),
                    (false, None) => NextBackUp::Now,
                },
            })
        });
        told.collect()
    }

    /// Adds what `back up` asks for to the steps there are, and steps of its own.
    pub(super) fn back_up(&self, root: &str, hooks: &[(usize, Hook)], steps: &mut Vec<Step>) {
        let places = steps.iter().map(|step| step.path.clone()).zip(0..);
        let places: HashMap<RelPath, usize> = places.collect();
        let mut further = Vec::new();
        let words = Arc::from("its present bytes have no archive yet");
        for member in &self.members {
            // An archive in a file's place is archived already.
            if member.is_archive() || member.unit().is_some() {
                continue;
            }
            let due = self.due(root, member, hooks);
            if due.is_empty() {
                continue;
            }
            let known = places.get(member.place());
            match known.and_then(|&at| steps.get_mut(at)) {
                Some(step) => {
                    let due = due.into_iter().filter(|&due| !archives(step, due, hooks));
                    let due: Vec<usize> = due.collect();
                    Arc::make_mut(&mut step.ruling).hooks.extend(due);
                }
                None => further.extend(self.backing(member, due, hooks, &words)),
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
        let due: Vec<usize> = due.map(|(index, _)| index).collect();
        let served = |&wanted: &usize| due.iter().any(|&other| self.serves(other, wanted, hooks));
        due.iter().copied().filter(|hook| !served(hook)).collect()
    }

    /// Whether one archive does for another collection's `back up` as well: it is made
    /// the same way, and lives for longer than the other's or for ever.
    fn serves(&self, hook: usize, wanted: usize, hooks: &[(usize, Hook)]) -> bool {
        let expires = |hook: usize| {
            let of = hooks.get(hook).map(|(of, _)| *of);
            let collection = of.and_then(|of| self.collection(of));
            collection.is_none_or(|collection| !collection.expiries.is_empty())
        };
        let alike = way(hooks, hook).is_some() && way(hooks, hook) == way(hooks, wanted);
        alike && !expires(hook) && (expires(wanted) || hook < wanted)
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
        words: &Arc<str>,
    ) -> Option<Step> {
        let (of, hook) = hooks.get(*due.first()?)?;
        let collection = self.collection(*of)?;
        let captures = match member.membership(*of) {
            Some(place) => captures(collection, member.path(), place),
            None => Captures::default(),
        };
        Some(Step {
            path: member.place().clone(),
            stands_for: None,
            facts: *member.facts()?,
            action: Action::BackUp,
            ruling: Arc::new(Ruling {
                collection: collection.name.clone(),
                captures,
                rule: hook.rule,
                hooks: due.into(),
                ..Ruling::default()
            }),
            reason: Arc::clone(words),
        })
    }
}
