//! A policy at one moment, answering for one file at a time.
//!
//! Everything that depends on `now` is worked out once, so a decision is string
//! matching and comparisons of numbers.

use super::ast::{Clock, Comparison};
use super::ir::{Condition, Direction, Policy, RuleIndex, Test};
use crate::entry::{Entry, Facts, Visit};
use crate::path::RelPath;
use crate::time::{Now, Stamp};
use jiff::tz::TimeZone;

/// A policy bound to the moment of a run.
#[derive(Debug)]
pub struct Matcher<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) now: Stamp,
    /// `now − span` for every span of the policy.
    cutoffs: Vec<Stamp>,
}

/// What is known about a question; ignorance is an answer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// The facts that would decide it could not be read.
    Unknown,
}

impl Truth {
    fn of(holds: bool) -> Truth {
        if holds { Truth::True } else { Truth::False }
    }

    fn not(self) -> Truth {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

/// A file's place in one collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Index of the collection.
    pub(crate) collection: usize,
    /// Its captures' values, in the template's order.
    pub(crate) captures: Vec<String>,
}

/// What the statements that look at one file alone make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some protection keeps it.
    Kept(Protector),
    /// A `delete` dooms it and no such protection keeps it.
    Doomed {
        /// Index into the entry's memberships.
        membership: usize,
        /// The statement.
        rule: usize,
    },
    /// Nothing speaks for or against it; limits may still take it.
    Open,
}

/// What keeps a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protector {
    /// This statement.
    Rule(usize),
    /// This statement cannot be ruled out, because facts are missing.
    Possibly(usize),
    /// The file's facts could not be read.
    Unreadable,
    /// Its clock lies in the future.
    FutureClock,
}

/// What a condition is asked about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) path: &'a RelPath,
    pub(crate) facts: Option<&'a Facts>,
    pub(crate) captures: &'a [String],
}

impl<'p> Matcher<'p> {
    /// Binds a policy to a moment.
    pub fn new(policy: &'p Policy, now: &Now) -> Matcher<'p> {
        // A policy with calendar spans has a zone; the checker saw to that.
        let zoned = now.zoned(policy.timezone.as_ref().unwrap_or(&TimeZone::UTC));
        let cutoffs = policy
            .spans
            .iter()
            .map(|span| span.before(&zoned))
            .collect();
        Matcher {
            policy,
            now: now.stamp(),
            cutoffs,
        }
    }

    /// What a walk may find below a directory.
    pub fn visit(&self, directory: &RelPath) -> Visit {
        let mut widest = Visit::Nothing;
        for collection in &self.policy.collections {
            match collection.template.visit(directory) {
                Visit::All => return Visit::All,
                Visit::Some => widest = Visit::Some,
                Visit::Nothing => {}
            }
        }
        widest
    }

    /// The collections a path lies in.
    pub fn memberships(&self, path: &RelPath) -> Vec<Membership> {
        let collections = self.policy.collections.iter().enumerate();
        collections
            .filter_map(|(collection, definition)| {
                let captures = definition.template.matches(path.as_bytes())?;
                Some(Membership {
                    collection,
                    captures,
                })
            })
            .collect()
    }

    /// Judges a file by every statement that needs no other file.
    pub fn judge(&self, entry: &Entry, memberships: &[Membership]) -> Verdict {
        match self.protector(entry, memberships) {
            Some(protector) => Verdict::Kept(protector),
            None => self.doom(entry, memberships),
        }
    }

    fn protector(&self, entry: &Entry, memberships: &[Membership]) -> Option<Protector> {
        let kept = |rule: RuleIndex, truth: Truth| match truth {
            Truth::True => Some(Protector::Rule(rule)),
            Truth::Unknown => Some(Protector::Possibly(rule)),
            Truth::False => None,
        };
        let of_file = self
            .policy
            .protections
            .iter()
            .filter_map(|protection| kept(protection.rule, self.protects(protection, entry)));
        let of_collections = memberships.iter().flat_map(|membership| {
            let keeps = self
                .policy
                .collections
                .get(membership.collection)
                .map(|c| c.keeps.as_slice());
            let subject = subject(entry, membership);
            keeps
                .unwrap_or_default()
                .iter()
                .filter_map(move |keep| kept(keep.rule, self.truth(&keep.condition, subject)))
        });
        let mut possibly = None;
        for protector in of_file.chain(of_collections) {
            match protector {
                Protector::Rule(_) => return Some(protector),
                _ => possibly = possibly.or(Some(protector)),
            }
        }
        possibly.or_else(|| self.ignorance(entry, memberships))
    }

    /// A file that cannot be judged is kept, whatever the statements say.
    fn ignorance(&self, entry: &Entry, memberships: &[Membership]) -> Option<Protector> {
        let Ok(facts) = &entry.facts else {
            return Some(Protector::Unreadable);
        };
        let clocks = memberships
            .iter()
            .filter_map(|membership| self.policy.collections.get(membership.collection)?.clock);
        clocks
            .map(|clock| reading(clock, facts))
            .any(|stamp| stamp > self.now)
            .then_some(Protector::FutureClock)
    }

    /// Whether a `protect` covers a file; its condition is asked about the captures it found.
    pub(crate) fn protects(&self, protection: &super::ir::Protection, entry: &Entry) -> Truth {
        let facts = entry.facts.as_ref().ok();
        match protection.template.matches(entry.path.as_bytes()) {
            Some(captures) => self.truth(
                &protection.condition,
                Subject {
                    path: &entry.path,
                    facts,
                    captures: &captures,
                },
            ),
            None if protection.template.nearly_matches(entry.path.as_bytes()) => Truth::Unknown,
            None => Truth::False,
        }
    }

    fn doom(&self, entry: &Entry, memberships: &[Membership]) -> Verdict {
        for (index, membership) in memberships.iter().enumerate() {
            let Some(collection) = self.policy.collections.get(membership.collection) else {
                continue;
            };
            let subject = subject(entry, membership);
            let delete = collection
                .deletes
                .iter()
                .find(|delete| self.truth(&delete.condition, subject) == Truth::True);
            if let Some(delete) = delete {
                return Verdict::Doomed {
                    membership: index,
                    rule: delete.rule,
                };
            }
        }
        Verdict::Open
    }

    /// Evaluates a condition in three values (Kleene's).
    pub(crate) fn truth(&self, condition: &Condition, subject: Subject<'_>) -> Truth {
        match condition {
            Condition::Not(part) => self.truth(part, subject).not(),
            Condition::Test(test) => self.test(test, subject),
            Condition::All(parts) => self.fold(parts, subject, Truth::False),
            Condition::Any(parts) => self.fold(parts, subject, Truth::True),
        }
    }

    /// `decisive` settles the whole; without it, one unknown leaves it open.
    fn fold(&self, parts: &[Condition], subject: Subject<'_>, decisive: Truth) -> Truth {
        let mut result = decisive.not();
        for part in parts {
            match self.truth(part, subject) {
                truth if truth == decisive => return decisive,
                Truth::Unknown => result = Truth::Unknown,
                Truth::True | Truth::False => {}
            }
        }
        result
    }

    fn test(&self, test: &Test, subject: Subject<'_>) -> Truth {
        match test {
            Test::Age {
                clock,
                direction,
                span,
            } => {
                let (Some(facts), Some(&cutoff)) = (subject.facts, self.cutoffs.get(*span)) else {
                    return Truth::Unknown;
                };
                let stamp = reading(*clock, facts);
                Truth::of(match direction {
                    Direction::Older => stamp < cutoff,
                    Direction::Newer => stamp > cutoff,
                })
            }
            Test::Size { comparison, bytes } => match subject.facts {
                Some(facts) => Truth::of(compare(*comparison, facts.size, *bytes)),
                None => Truth::Unknown,
            },
            Test::Capture { capture, values } => match subject.captures.get(*capture) {
                Some(value) => Truth::of(values.contains(value)),
                None => Truth::Unknown,
            },
            Test::CaptureGlob { capture, glob } => match subject.captures.get(*capture) {
                Some(value) => Truth::of(glob.template.matches(value.as_bytes()).is_some()),
                None => Truth::Unknown,
            },
            Test::Path(glob) => Truth::of(glob.template.matches(subject.path.as_bytes()).is_some()),
        }
    }
}

pub(crate) fn subject<'a>(entry: &'a Entry, membership: &'a Membership) -> Subject<'a> {
    Subject {
        path: &entry.path,
        facts: entry.facts.as_ref().ok(),
        captures: &membership.captures,
    }
}

/// What a clock shows for a file.
pub(crate) fn reading(clock: Clock, facts: &Facts) -> Stamp {
    match clock {
        Clock::LastModified => facts.modified,
        Clock::LastModifiedOrChanged => facts.modified.max(facts.changed),
    }
}

pub(crate) fn compare(comparison: Comparison, size: u64, bytes: u64) -> bool {
    match comparison {
        Comparison::Over => size > bytes,
        Comparison::Under => size < bytes,
        Comparison::AtLeast => size >= bytes,
        Comparison::AtMost => size <= bytes,
    }
}
