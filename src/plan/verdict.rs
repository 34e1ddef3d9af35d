//! What is decided about one file, in words, and by which statement.

use super::backups::BackedUp;
use super::decide::Planner;
use super::member::Member;
use super::{Action, Plan};
use crate::entry::Kind;
use crate::path::RelPath;
use crate::policy::{Fate, Protector, Verdict};

/// What becomes of one file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub fate: Fate,
    /// The statement that decides, if one does: an index into the policy's rules.
    pub rule: Option<usize>,
    /// The decision as the end of a sentence that begins with the file:
    /// `is kept by charts.retain:15 @aapl`.
    pub words: String,
    /// What backups there are of it, one for each `back up` that speaks of it.
    pub backups: Vec<BackedUp>,
}

impl Planner<'_, '_> {
    /// What a finished plan decides about a path, which may be of a whole directory.
    pub(super) fn decision(&self, plan: &Plan, path: &RelPath) -> Decision {
        Decision {
            backups: self.backed_up(&plan.root, path),
            ..self.fate(plan, path)
        }
    }

    fn fate(&self, plan: &Plan, path: &RelPath) -> Decision {
        if let Some(decision) = self.in_plan(plan, path) {
            return decision;
        }
        let keeps = |rule: Option<usize>, words: String| Decision {
            fate: Fate::Keep,
            rule,
            words,
            backups: Vec::new(),
        };
        let member = self.members.iter().find(|member| member.place() == path);
        let Some(member) = member else {
            let entries = &self.inventory().entries;
            let entry = entries.iter().find(|entry| entry.path == *path);
            let named = !self.matcher.memberships(path).is_empty();
            let words = match entry.map(|entry| entry.facts.as_ref().map(|facts| facts.kind)) {
                Some(Ok(Kind::Symlink)) if named => {
                    "is kept: it is a symbolic link; `symlinks = \"files\"` in the store's \
                     configuration makes links files"
                }
                Some(Ok(Kind::Special)) if named => {
                    "is kept: it is a socket, a device or a named pipe, and no file"
                }
                None if self.is_directory(path) => "is kept: no statement removes it",
                Some(_) | None => "is kept: no collection names it",
            };
            return keeps(None, words.to_owned());
        };
        let (rule, words) = self.keeper(member);
        keeps(rule, words)
    }

    fn is_directory(&self, path: &RelPath) -> bool {
        let mut directories = self.inventory().directories.iter();
        directories.any(|entry| entry.path == *path)
    }

    fn name(&self, rule: usize) -> String {
        let rule = self.policy().rules.get(rule);
        rule.map(ToString::to_string).unwrap_or_default()
    }

    fn in_plan(&self, plan: &Plan, path: &RelPath) -> Option<Decision> {
        let removed = |rule: usize, with: &str, reason: &str| Decision {
            fate: Fate::Delete,
            rule: Some(rule),
            words: format!("would be removed{with} by {}: {reason}", self.name(rule)),
            backups: Vec::new(),
        };
        if let Some(step) = plan.steps.iter().find(|step| step.path == *path) {
            return Some(match step.action {
                Action::Replace { .. } => Decision {
                    fate: Fate::Replace,
                    rule: Some(step.ruling.rule),
                    words: format!(
                        "would be replaced by its archive, by {}: {}",
                        self.name(step.ruling.rule),
                        step.reason
                    ),
                    backups: Vec::new(),
                },
                // It stays, for whatever reason there is.
                Action::BackUp => return None,
                Action::Remove => {
                    let unit = step.ruling.unit.and_then(|unit| plan.units.get(unit));
                    let with = unit.map(|unit| format!(" with its directory `{}`", unit.path));
                    removed(step.ruling.rule, &with.unwrap_or_default(), &step.reason)
                }
            });
        }
        if let Some(number) = plan.units.iter().position(|unit| unit.path == *path) {
            let step = plan
                .steps
                .iter()
                .find(|step| step.ruling.unit == Some(number))?;
            return Some(removed(step.ruling.rule, " as a whole", &step.reason));
        }
        let directory = plan.directories.iter().find(|d| d.path == *path)?;
        Some(removed(directory.rule, "", &directory.reason))
    }

    /// What keeps a member, in words.
    fn keeper(&self, member: &Member<'_>) -> (Option<usize>, String) {
        match (member.verdict, member.floor) {
            (Verdict::Kept(Protector::Rule(by)), _) => {
                (Some(by), format!("is kept by {}", self.name(by)))
            }
            (Verdict::Kept(Protector::Possibly(by)), _) => (
                Some(by),
                format!("is kept: {} cannot be ruled out", self.name(by)),
            ),
            (Verdict::Kept(Protector::Unreadable), _) => {
                (None, "is kept: its facts cannot be read".to_owned())
            }
            (Verdict::Kept(Protector::FutureClock), _) => {
                (None, "is kept: its time lies in the future".to_owned())
            }
            (Verdict::Kept(Protector::NoClock), _) => (
                None,
                "is kept: it has no such time stamp as its ages are measured from".to_owned(),
            ),
            (Verdict::Kept(Protector::Held(by)), _) => (
                None,
                format!(
                    "is kept by hold \"{}\" of the ledger",
                    self.hold_of(member, by)
                ),
            ),
            (Verdict::Doomed { rule, .. }, Some(floor)) => (
                Some(floor),
                format!(
                    "is kept by {}, although {} would remove it",
                    self.name(floor),
                    self.name(rule)
                ),
            ),
            (Verdict::Open, Some(floor)) => {
                (Some(floor), format!("is kept by {}", self.name(floor)))
            }
            (Verdict::Open | Verdict::Doomed { .. }, None) => {
                (None, "is kept: no statement removes it".to_owned())
            }
        }
    }
}
