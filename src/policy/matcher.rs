//! A policy at one moment, answering for one file at a time.
//!
//! Everything that depends on `now` is worked out once, so a decision is string
//! matching and comparisons of numbers.

use super::ast::Comparison;
use super::guards::Guards;
use super::ir::{
    Clock, Collection, Condition, Direction, Hold, Order, Policy, RuleIndex, Side, Test,
};
use super::prefixes::Prefixes;
use super::template::{Ordinal, Spans, Template, Values};
use crate::entry::{Entry, Facts, Visit};
use crate::path::RelPath;
use crate::time::{Now, Stamp};
use jiff::tz::TimeZone;
use smallvec::SmallVec;

/// A policy bound to the moment of a run.
#[derive(Debug)]
pub struct Matcher<'p> {
    pub(crate) policy: &'p Policy,
    pub(crate) now: Stamp,
    /// The policy's calendar; a policy that needs one has one.
    pub(crate) zone: TimeZone,
    /// `now − span` for every span of the policy.
    cutoffs: Vec<Stamp>,
    /// Those spans in words.
    spans: Vec<String>,
    /// Collections of files by what their names begin with.
    pub(super) files: Prefixes,
    /// All collections likewise, for the walk.
    all: Prefixes,
    /// Collections of whole directories.
    units: Vec<usize>,
    asked: Vec<Asked>,
    /// Holds that the ledger knows and the policy does not, each a policy of its own.
    ledger: Vec<Matcher<'p>>,
}

/// What is worked out about a collection before files are asked about.
#[derive(Debug)]
struct Asked {
    deletes: Guards,
    keeps: Guards,
    /// Every clock a statement that removes may read.
    clocks: Vec<Clock>,
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
    /// Where the path has its captures.
    pub(crate) spans: Spans,
}

/// A file's places; in most policies it has one at most.
pub type Memberships = SmallVec<[Membership; 1]>;

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
    /// A clock of its collection lies in the future.
    FutureClock,
    /// It has none of the stamp its collection's ages are measured from.
    NoClock,
    /// This hold of the ledger, an index into what [`Matcher::with_ledger`] was given.
    Held(usize),
}

/// What a condition is asked about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) path: &'a RelPath,
    pub(crate) facts: Option<&'a Facts>,
    /// The template that found the captures.
    pub(crate) template: &'a Template,
    pub(crate) captures: Values<'a>,
}

impl<'p> Matcher<'p> {
    /// Binds a policy to a moment.
    pub fn new(policy: &'p Policy, now: &Now) -> Matcher<'p> {
        // A policy with calendar spans has a zone; the checker saw to that.
        let zone = policy.timezone.clone().unwrap_or(TimeZone::UTC);
        let zoned = now.zoned(&zone);
        let cutoffs = policy
            .spans
            .iter()
            .map(|span| span.before(&zoned))
            .collect();
        let prefixes = |wanted: fn(&Collection) -> bool| {
            let collections = policy.collections.iter().enumerate();
            Prefixes::new(
                collections
                    .filter(|(_, collection)| wanted(collection))
                    .map(|(index, collection)| (index, collection.template.prefix())),
            )
        };
        let units = policy.collections.iter().enumerate();
        Matcher {
            policy,
            now: now.stamp(),
            zone,
            cutoffs,
            spans: policy.spans.iter().map(ToString::to_string).collect(),
            files: prefixes(|collection| !collection.template.is_directory()),
            all: prefixes(|_| true),
            units: units
                .filter(|(_, collection)| collection.template.is_directory())
                .map(|(index, _)| index)
                .collect(),
            asked: policy.collections.iter().map(asked).collect(),
            ledger: Vec::new(),
        }
    }

    /// Adds the holds of the ledger, each a policy with one `hold`.
    pub fn with_ledger(mut self, holds: &'p [Policy], now: &Now) -> Matcher<'p> {
        self.ledger = holds.iter().map(|hold| Matcher::new(hold, now)).collect();
        self
    }

    /// What answers for the ledger's holds.
    pub(super) fn ledger(&self) -> &[Matcher<'p>] {
        &self.ledger
    }

    /// Whether a path lies in a directory that goes or stays as a whole.
    #[cfg(test)]
    pub(crate) fn lies_in_unit(&self, path: &RelPath) -> bool {
        !self.units(path).is_empty()
    }

    /// The moment decisions hold for.
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// Moments at which some age of the file passes a span of the policy, or a hold
    /// ends, each a second later, ascending: all there is to change an answer about a
    /// file that nobody touches, as far as its own statements go.
    pub fn turning_points(&self, entry: &Entry) -> Vec<jiff::Timestamp> {
        let mut moments: Vec<jiff::Timestamp> = Vec::new();
        let Ok(facts) = &entry.facts else {
            return moments;
        };
        let mut stamps = vec![facts.modified, facts.changed, facts.accessed];
        stamps.extend(facts.created);
        for place in self.memberships(&entry.path) {
            stamps.extend(self.clock_of(entry, &place));
        }
        stamps.sort_unstable();
        stamps.dedup();
        for stamp in stamps {
            let Ok(instant) = jiff::Timestamp::new(stamp.seconds(), 0) else {
                continue;
            };
            let zoned = instant.to_zoned_datetime(self.zone.clone());
            moments.extend(
                self.policy
                    .spans
                    .iter()
                    .filter_map(|span| span.after(&zoned)),
            );
            // A file from the future is judged when its time has come.
            moments.push(instant);
        }
        let ends = self.policy.holds.iter().filter_map(|hold| hold.until);
        moments.extend(ends.filter_map(|end| jiff::Timestamp::new(end.seconds(), 0).ok()));
        let second = jiff::SignedDuration::from_secs(1);
        let mut moments: Vec<_> = moments
            .into_iter()
            .filter_map(|moment| moment.checked_add(second).ok())
            .collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// What a walk may find below a directory.
    pub fn visit(&self, directory: &RelPath) -> Visit {
        // What the whole store holds can only be said after looking at all of it.
        if self.measures_store() {
            return Visit::All;
        }
        let mut widest = Visit::Nothing;
        for index in self.all.below(directory) {
            let Some(collection) = self.policy.collections.get(index) else {
                continue;
            };
            match collection.template.visit(directory) {
                Visit::All => return Visit::All,
                Visit::Some => widest = Visit::Some,
                Visit::Nothing => {}
            }
        }
        widest
    }

    fn measures_store(&self) -> bool {
        let mut pressures = self.policy.pressures.iter();
        pressures.any(|pressure| matches!(pressure.mark, super::ir::Mark::Store { .. }))
    }

    /// The collections of files a path lies in.
    pub fn memberships(&self, path: &RelPath) -> Memberships {
        let found = self.files.of(path.as_bytes());
        found
            .into_iter()
            .filter_map(|collection| {
                let definition = self.policy.collections.get(collection)?;
                let spans = definition.template.matches(path.as_bytes())?;
                Some(Membership { collection, spans })
            })
            .collect()
    }

    /// The directories around a path that go or stay as a whole, each with its
    /// collection.
    pub(crate) fn units(&self, path: &RelPath) -> Vec<(RelPath, Membership)> {
        let units = self.units.iter();
        units
            .filter_map(|&collection| {
                let definition = self.policy.collections.get(collection)?;
                let (end, spans) = definition.template.unit_of(path.as_bytes())?;
                let directory = RelPath::parse(path.as_bytes().get(..end)?).ok()?;
                Some((directory, Membership { collection, spans }))
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

    pub(crate) fn protector(&self, entry: &Entry, memberships: &[Membership]) -> Option<Protector> {
        let policy = self.policy;
        let mut possibly = None;
        let mut kept = |rule: RuleIndex, truth: Truth| match truth {
            Truth::True => Some(Protector::Rule(rule)),
            Truth::Unknown => {
                possibly = possibly.or(Some(Protector::Possibly(rule)));
                None
            }
            Truth::False => None,
        };
        let mut holds = policy.holds.iter();
        let mut protections = policy.protections.iter();
        let certain = holds
            .find_map(|hold| kept(hold.rule, self.holds(hold, entry)))
            .or_else(|| protections.find_map(|of| kept(of.rule, self.protects(of, entry))))
            .or_else(|| {
                let mut places = memberships.iter();
                places.find_map(|place| self.keep(entry, place, &mut kept))
            });
        certain
            .or_else(|| self.held(entry))
            .or(possibly)
            .or_else(|| self.ignorance(entry, memberships))
    }

    /// What `kept` makes first of the `keep` statements that may hold for a file.
    fn keep<T>(
        &self,
        entry: &Entry,
        place: &Membership,
        mut kept: impl FnMut(RuleIndex, Truth) -> Option<T>,
    ) -> Option<T> {
        let collection = self.policy.collections.get(place.collection)?;
        let asked = self.asked.get(place.collection)?;
        let subject = self.subject(entry, place)?;
        asked.keeps.find_map(subject.captures, |index, left| {
            let keep = collection.keeps.get(index)?;
            let left = left.unwrap_or(&keep.condition);
            kept(keep.rule, self.truth(left, subject))
        })
    }

    /// The first hold of the ledger that covers a file, or may.
    fn held(&self, entry: &Entry) -> Option<Protector> {
        let mut ledger = self.ledger.iter().enumerate();
        ledger.find_map(|(index, held)| {
            let hold = held.policy.holds.first()?;
            (held.holds(hold, entry) != Truth::False).then_some(Protector::Held(index))
        })
    }

    /// A file that cannot be judged is kept, whatever the statements say.
    fn ignorance(&self, entry: &Entry, memberships: &[Membership]) -> Option<Protector> {
        if entry.facts.is_err() {
            return Some(Protector::Unreadable);
        }
        let mut ignorance = None;
        for membership in memberships {
            let found = self.policy.collections.get(membership.collection);
            let Some((collection, asked)) = found.zip(self.asked.get(membership.collection)) else {
                continue;
            };
            let Some(subject) = self.subject(entry, membership) else {
                continue;
            };
            for clock in &asked.clocks {
                match self.reading(*clock, subject) {
                    Some(stamp) if stamp > self.now => return Some(Protector::FutureClock),
                    None if collection.clock == Some(*clock) => {
                        ignorance = Some(Protector::NoClock);
                    }
                    Some(_) | None => {}
                }
            }
        }
        ignorance
    }

    /// Whether a `protect` covers a file; its condition is asked about the captures it found.
    pub(crate) fn protects(&self, protection: &super::ir::Protection, entry: &Entry) -> Truth {
        self.covers(&protection.template, &protection.condition, entry)
    }

    /// Whether a `hold` covers a file at this moment.
    pub(crate) fn holds(&self, hold: &Hold, entry: &Entry) -> Truth {
        match hold.until {
            Some(until) if until <= self.now => Truth::False,
            Some(_) | None => self.covers(&hold.template, &hold.condition, entry),
        }
    }

    /// The instant so long ago: a span of the policy before now.
    pub(crate) fn cutoff(&self, span: usize) -> Option<Stamp> {
        self.cutoffs.get(span).copied()
    }

    /// A span of the policy in words.
    pub(super) fn span_in_words(&self, span: usize) -> &str {
        self.spans.get(span).map_or("", String::as_str)
    }

    /// The name of a hold that only the ledger knows.
    pub(crate) fn ledger_name(&self, index: usize) -> &str {
        let held = self.ledger.get(index);
        held.and_then(|held| held.policy.holds.first())
            .map_or("", |hold| &hold.name)
    }

    /// Whether some `hold` or `protect` covers an entry; `keep` is a collection's.
    pub(crate) fn covers_any(&self, entry: &Entry) -> Truth {
        let protections = self.policy.protections.iter();
        let of_policy = protections
            .map(|protection| self.protects(protection, entry))
            .chain(self.policy.holds.iter().map(|hold| self.holds(hold, entry)));
        let of_ledger = self.ledger.iter().map(|held| held.covers_any(entry));
        let mut widest = Truth::False;
        for truth in of_policy.chain(of_ledger) {
            match truth {
                Truth::True => return Truth::True,
                Truth::Unknown => widest = Truth::Unknown,
                Truth::False => {}
            }
        }
        widest
    }

    /// Whether a file may not even be replaced by its archive: it is held or protected,
    /// or it cannot be judged.
    pub(crate) fn forbids_replacing(&self, entry: &Entry, memberships: &[Membership]) -> bool {
        self.covers_any(entry) != Truth::False || self.ignorance(entry, memberships).is_some()
    }

    /// Whether some clock that decides about a file shows a time after now.
    pub(crate) fn has_future_clock(&self, entry: &Entry, memberships: &[Membership]) -> bool {
        self.ignorance(entry, memberships) == Some(Protector::FutureClock)
    }

    fn covers(&self, template: &Template, condition: &Condition, entry: &Entry) -> Truth {
        match template.matches(entry.path.as_bytes()) {
            Some(spans) => self.truth(
                condition,
                Subject {
                    path: &entry.path,
                    facts: entry.facts.as_ref().ok(),
                    template,
                    captures: spans.values(entry.path.as_bytes()),
                },
            ),
            None if template.is_directory() => match template.unit_of(entry.path.as_bytes()) {
                // A protected directory protects what is in it.
                Some((_, spans)) => self.truth(
                    condition,
                    Subject {
                        path: &entry.path,
                        facts: entry.facts.as_ref().ok(),
                        template,
                        captures: spans.values(entry.path.as_bytes()),
                    },
                ),
                None => Truth::False,
            },
            None if template.nearly_matches(entry.path.as_bytes()) => Truth::Unknown,
            None => Truth::False,
        }
    }

    fn doom(&self, entry: &Entry, memberships: &[Membership]) -> Verdict {
        for (index, membership) in memberships.iter().enumerate() {
            let found = self.policy.collections.get(membership.collection);
            let Some((collection, asked)) = found.zip(self.asked.get(membership.collection)) else {
                continue;
            };
            let Some(subject) = self.subject(entry, membership) else {
                continue;
            };
            let rule = asked.deletes.find_map(subject.captures, |index, left| {
                let delete = collection.deletes.get(index)?;
                let left = left.unwrap_or(&delete.condition);
                (self.truth(left, subject) == Truth::True).then_some(delete.rule)
            });
            if let Some(rule) = rule {
                return Verdict::Doomed {
                    membership: index,
                    rule,
                };
            }
        }
        Verdict::Open
    }

    /// A file as a collection's conditions see it.
    pub(crate) fn subject<'a>(
        &'a self,
        entry: &'a Entry,
        membership: &'a Membership,
    ) -> Option<Subject<'a>> {
        subject(self.policy, entry, membership)
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
                let (Some(stamp), Some(&cutoff)) =
                    (self.reading(*clock, subject), self.cutoffs.get(*span))
                else {
                    return Truth::Unknown;
                };
                let cutoff = match clock {
                    Clock::LastAccessed => cutoff.minus_seconds(self.policy.access_lag),
                    _ => cutoff,
                };
                Truth::of(match direction {
                    Direction::Older => stamp < cutoff,
                    Direction::Newer => stamp > cutoff,
                })
            }
            Test::Dated {
                clock, side, at, ..
            } => match self.reading(*clock, subject) {
                Some(stamp) => Truth::of(match side {
                    Side::Before => stamp < *at,
                    Side::After => stamp > *at,
                    Side::From => stamp >= *at,
                }),
                None => Truth::Unknown,
            },
            Test::Size { comparison, bytes } => match subject.facts {
                Some(facts) => Truth::of(compare(*comparison, facts.size, *bytes)),
                None => Truth::Unknown,
            },
            Test::Capture { capture, values } => match subject.captures.get(*capture) {
                Some(value) => Truth::of(values.iter().any(|one| one == value)),
                None => Truth::Unknown,
            },
            Test::CaptureGlob { capture, glob } => match subject.captures.get(*capture) {
                Some(value) => Truth::of(glob.template.matches(value.as_bytes()).is_some()),
                None => Truth::Unknown,
            },
            Test::CaptureOrder {
                capture,
                over,
                value,
                ..
            } => match ordinal(*capture, subject) {
                Some(found) if *over => Truth::of(found > *value),
                Some(found) => Truth::of(found < *value),
                None => Truth::Unknown,
            },
            Test::Path(glob) => Truth::of(glob.template.matches(subject.path.as_bytes()).is_some()),
            Test::Name(name) => {
                let last = subject.path.components().last();
                Truth::of(last == Some(name.as_bytes()))
            }
            Test::Owner(id, _) => subject
                .facts
                .map_or(Truth::Unknown, |facts| Truth::of(facts.owner == *id)),
            Test::Group(id, _) => subject
                .facts
                .map_or(Truth::Unknown, |facts| Truth::of(facts.group == *id)),
        }
    }

    /// What the clock of a collection shows for a file in it, from which its ages are
    /// measured; nothing when the collection or the file has none.
    pub(crate) fn clock_of(&self, entry: &Entry, place: &Membership) -> Option<Stamp> {
        let clock = self.policy.collections.get(place.collection)?.clock?;
        self.reading(clock, self.subject(entry, place)?)
    }

    /// What a clock shows for a file; nothing when the file has no such stamp.
    pub(crate) fn reading(&self, clock: Clock, subject: Subject<'_>) -> Option<Stamp> {
        let facts = subject.facts;
        match clock {
            Clock::LastModified => Some(facts?.modified),
            Clock::LastModifiedOrChanged => facts.map(|f| f.modified.max(f.changed)),
            Clock::LastChanged => Some(facts?.changed),
            Clock::LastAccessed => Some(facts?.accessed),
            Clock::Created => facts?.created,
            Clock::Capture(capture) => {
                let value = subject.captures.get(capture)?;
                subject.template.kind(capture).instant(value, &self.zone)
            }
        }
    }
}

/// A capture's value for comparing.
pub(crate) fn ordinal(capture: usize, subject: Subject<'_>) -> Option<Ordinal> {
    let value = subject.captures.get(capture)?;
    subject.template.kind(capture).ordinal(value)
}

pub(crate) fn subject<'a>(
    policy: &'a Policy,
    entry: &'a Entry,
    membership: &'a Membership,
) -> Option<Subject<'a>> {
    Some(Subject {
        path: &entry.path,
        facts: entry.facts.as_ref().ok(),
        template: &policy.collections.get(membership.collection)?.template,
        captures: membership.spans.values(entry.path.as_bytes()),
    })
}

fn asked(collection: &Collection) -> Asked {
    let mut clocks: Vec<Clock> = collection.clock.into_iter().collect();
    let removing = collection
        .deletes
        .iter()
        .map(|delete| &delete.condition)
        .chain(collection.limits.iter().map(|limit| &limit.condition))
        .chain(collection.replaces.iter().map(|replace| &replace.condition));
    for condition in removing {
        clocks_in(condition, &mut clocks);
    }
    let by_access = |order: &Order| *order == Order::LeastRecentlyUsed;
    if collection
        .limits
        .iter()
        .any(|limit| by_access(&limit.order))
    {
        clocks.push(Clock::LastAccessed);
    }
    clocks.dedup();
    Asked {
        deletes: Guards::new(collection.deletes.iter().map(|delete| &delete.condition)),
        keeps: Guards::new(collection.keeps.iter().map(|keep| &keep.condition)),
        clocks,
    }
}

/// Every clock a condition reads, each once.
pub(super) fn clocks_in(condition: &Condition, clocks: &mut Vec<Clock>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| clocks_in(part, clocks));
        }
        Condition::Not(part) => clocks_in(part, clocks),
        Condition::Test(Test::Age { clock, .. } | Test::Dated { clock, .. }) => {
            if !clocks.contains(clock) {
                clocks.push(*clock);
            }
        }
        Condition::Test(_) => {}
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
