//! A checked policy: every name resolved, every unit a number, every template compiled.
//!
//! Only `check` builds one, so whoever holds a [`Policy`] holds one without mistakes.

use std::ops::Range;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::ast::{Comparison, Measure, Period};
use super::template::{Ordinal, Template};
use crate::diagnostic::Source;
use crate::time::Stamp;
use crate::units::Span;

/// A policy that may run.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The text, and the texts it uses, each once, in the order they are first named.
    pub(crate) sources: Vec<Source>,
    pub(crate) digest: String,
    pub(crate) timezone: Option<TimeZone>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) collections: Vec<Collection>,
    pub(crate) protections: Vec<Protection>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) pressures: Vec<Pressure>,
    pub(crate) breakers: Vec<Breaker>,
    /// Every span some condition compares with, each once.
    pub(crate) spans: Vec<Span>,
    pub(crate) tests: Vec<TestCase>,
    /// Where access times are read, if they are.
    pub(crate) access_at: Option<(Source, Range<usize>)>,
    /// The shortest age some statement waits for before it removes, and where.
    pub(crate) wait: Option<Wait>,
    /// Seconds that access times may lag behind: a `relatime` mount writes them once a
    /// day.
    pub(crate) access_lag: u64,
}

/// The age a statement waits for before it removes.
#[derive(Clone, Debug)]
pub struct Wait {
    /// The age.
    pub age: Span,
    /// The text the statement stands in.
    pub source: Source,
    /// Where it stands there.
    pub at: Range<usize>,
}

/// What a clock reads for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// mtime.
    LastModified,
    /// The newer of mtime and ctime.
    LastModifiedOrChanged,
    /// ctime, which only tests name.
    LastChanged,
    /// atime.
    LastAccessed,
    /// Birth time, where the file system keeps one.
    Created,
    /// The date in the name: an index into the template's captures.
    Capture(usize),
}

/// Which file of a group goes first; ties go by path bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By the collection's clock.
    Oldest,
    /// By length, longest first.
    Largest,
    /// By length, shortest first.
    Smallest,
    /// By access time.
    LeastRecentlyUsed,
    /// By the value of a capture.
    Lowest(usize),
}

impl Policy {
    /// Digest of the text and of every value the environment gave it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text it was read from, then the texts that one uses.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Every statement that decides something, in the order written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The hooks of every collection, in the order written, `replace` and `back up`
    /// included.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.collections.iter().flat_map(|collection| {
            let replacing = collection.replaces.iter().map(|replace| &replace.hook);
            let backing = collection.backups.iter().map(|backup| &backup.hook);
            collection.hooks.iter().chain(replacing).chain(backing)
        })
    }

    /// Whether some collection deletes backups.
    pub fn deletes_backups(&self) -> bool {
        self.collections.iter().any(|c| !c.expiries.is_empty())
    }

    /// The calendar's time zone; UTC where the policy needs none.
    pub fn zone(&self) -> TimeZone {
        self.timezone.clone().unwrap_or(TimeZone::UTC)
    }

    /// Above what it relieves pressure, in the order written.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        self.pressures.iter().map(|pressure| pressure.mark)
    }

    /// Its `test` blocks, in the order written.
    pub fn tests(&self) -> &[TestCase] {
        &self.tests
    }

    /// Its `hold` statements, in the order written.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// Where access times are read, if they are.
    pub fn reads_access_times(&self) -> Option<&(Source, Range<usize>)> {
        self.access_at.as_ref()
    }

    /// The shortest age some statement waits for before it deletes or replaces; none
    /// where nothing goes by age.
    pub fn shortest_wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    /// The same policy for a mount that writes access times at most once in so many
    /// seconds: ages by access count from that much later.
    pub fn with_access_lag(mut self, seconds: u64) -> Policy {
        self.access_lag = seconds;
        self
    }

    /// Whether a rule decides about files: hooks, breakers and the like do not.
    pub fn decides(&self, rule: usize) -> bool {
        let collections = self.collections.iter();
        let of_collections = collections.flat_map(|c| {
            let deletes = c.deletes.iter().map(|d| d.rule);
            let keeps = c.keeps.iter().map(|k| k.rule);
            let floors = c.floors.iter().map(|f| f.rule);
            let limits = c.limits.iter().map(|l| l.rule);
            let replaces = c.replaces.iter().map(|r| r.rule);
            let empties = c.empties.iter().map(|e| e.rule);
            let all = deletes.chain(keeps).chain(floors);
            all.chain(limits).chain(replaces).chain(empties)
        });
        let of_file = self
            .protections
            .iter()
            .map(|protection| protection.rule)
            .chain(self.holds.iter().map(|hold| hold.rule))
            .chain(self.pressures.iter().map(|pressure| pressure.rule));
        of_collections.chain(of_file).any(|known| known == rule)
    }

    /// The name of the collection a file is a member of.
    pub fn collection_name(&self, place: &super::Membership) -> Option<&str> {
        let collection = self.collections.get(place.collection)?;
        Some(&collection.name)
    }
}

/// A statement of the policy as people find it again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// The policy file as it was named.
    pub file: String,
    /// The line the statement begins on, from 1; 0 for a request, whose file is who asked.
    pub line: usize,
    /// Its `@label`, without the sign.
    pub label: Option<String>,
    /// Its `because`.
    pub because: Option<String>,
    /// The collection it stands in; none for a statement at file level.
    pub collection: Option<String>,
    /// The statement in one line, as written.
    pub text: String,
}

impl std::fmt::Display for Rule {
    /// `charts.retain:12 @aapl`; who asked, for what no file says.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.file)?,
            line => write!(f, "{}:{line}", self.file)?,
        }
        self.label
            .iter()
            .try_for_each(|label| write!(f, " @{label}"))
    }
}

/// An index into [`Policy::rules`].
pub(crate) type RuleIndex = usize;

#[derive(Clone, Debug)]
pub(crate) struct Collection {
    /// Steps share it.
    pub(crate) name: Arc<str>,
    pub(crate) template: Template,
    pub(crate) clock: Option<Clock>,
    pub(crate) deletes: Vec<Delete>,
    /// From the narrowest scope to the widest: the order they are applied in.
    pub(crate) limits: Vec<Limit>,
    pub(crate) keeps: Vec<Keep>,
    pub(crate) floors: Vec<Floor>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) replaces: Vec<Replace>,
    pub(crate) backups: Vec<BackUp>,
    pub(crate) expiries: Vec<Expiry>,
    pub(crate) empties: Option<EmptyDirectories>,
}

/// `delete empty directories when older than …`.
#[derive(Clone, Debug)]
pub(crate) struct EmptyDirectories {
    pub(crate) rule: RuleIndex,
    /// An index into the spans: unchanged for longer than that.
    pub(crate) span: usize,
}

/// `delete backups when older than D, keeping newest N`.
#[derive(Clone, Debug)]
pub(crate) struct Expiry {
    pub(crate) rule: RuleIndex,
    /// An index into the spans: archived longer ago than that.
    pub(crate) span: usize,
    /// Archives of a file in a destination that stay, however old they are.
    pub(crate) newest: usize,
}

/// `back up [daily], run PLUGIN(…) into DESTINATION`.
#[derive(Clone, Debug)]
pub(crate) struct BackUp {
    pub(crate) rule: RuleIndex,
    pub(crate) period: Option<Period>,
    pub(crate) hook: Hook,
}

/// `replace when …, using PLUGIN(…)`.
#[derive(Clone, Debug)]
pub(crate) struct Replace {
    pub(crate) rule: RuleIndex,
    pub(crate) condition: Condition,
    pub(crate) hook: Hook,
}

#[derive(Clone, Debug)]
pub(crate) struct Delete {
    pub(crate) rule: RuleIndex,
    pub(crate) condition: Condition,
}

#[derive(Clone, Debug)]
pub(crate) struct Keep {
    pub(crate) rule: RuleIndex,
    pub(crate) condition: Condition,
}

/// `keep newest N per … where …`, or slots of the calendar.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    pub(crate) rule: RuleIndex,
    pub(crate) holds: Holds,
    /// Indices of captures.
    pub(crate) per: Vec<usize>,
    pub(crate) condition: Condition,
}

/// Which members of a group a floor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// So many of the newest.
    Newest(usize),
    /// The newest of each of the most recent non-empty buckets; slots unite.
    Slots(Vec<(usize, Period)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) rule: RuleIndex,
    pub(crate) measure: Measure,
    pub(crate) cap: u64,
    /// Where an eviction that has begun may stop; at most `cap`.
    pub(crate) down_to: u64,
    /// Indices of captures, ascending.
    pub(crate) per: Vec<usize>,
    pub(crate) condition: Condition,
    pub(crate) order: Order,
}

/// `before delete, run PLUGIN(…) into DESTINATION`.
#[derive(Clone, Debug)]
pub struct Hook {
    /// Where it stands: an index into [`Policy::rules`].
    pub rule: usize,
    /// The plugin's name in the configuration.
    pub plugin: String,
    /// Where the plugin is named in the policy's text.
    pub plugin_at: std::ops::Range<usize>,
    /// Arguments: sizes as bytes, durations as milliseconds.
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Where each argument is written, from its name to the end of its value.
    pub arguments_at: Vec<(String, std::ops::Range<usize>)>,
    /// The destination's name in the configuration, and where it is written.
    pub destination: Option<(String, std::ops::Range<usize>)>,
    /// What a failure means: `otherwise delete anyway` is the exception.
    pub delete_anyway: bool,
    /// It puts the plugin's archive in the file's place.
    pub in_place: bool,
    /// It archives files that stay.
    pub backs_up: bool,
    /// The text it stands in.
    pub source: Source,
}

#[derive(Clone, Debug)]
pub(crate) struct Protection {
    pub(crate) rule: RuleIndex,
    pub(crate) template: Template,
    pub(crate) condition: Condition,
}

/// `hold "name" on … where … until …`.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Where it stands: an index into [`Policy::rules`].
    pub rule: usize,
    /// Its name, unique in the policy.
    pub name: String,
    /// A policy of its own that says just this hold, values of the environment put in:
    /// what the ledger records, and compiles again when the statement is gone.
    pub text: String,
    /// When it ends by itself.
    pub until: Option<Stamp>,
    pub(crate) template: Template,
    pub(crate) condition: Condition,
}

/// `when disk is above …, free until below … { … }`.
#[derive(Clone, Debug)]
pub(crate) struct Pressure {
    pub(crate) rule: RuleIndex,
    pub(crate) mark: Mark,
    pub(crate) stages: Vec<Stage>,
}

/// Above what an eviction begins, and below what it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Percent of the file system that is in use.
    Disk {
        /// Begin above.
        above: u64,
        /// End below.
        below: u64,
    },
    /// Allocated bytes of the store's files.
    Store {
        /// Begin above.
        above: u64,
        /// End below.
        below: u64,
    },
}

/// `evict from C where COND, ORDER`.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    pub(crate) collection: usize,
    pub(crate) condition: Condition,
    pub(crate) order: Order,
}

/// A bound on what one run may remove; replaces the default in its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breaker {
    pub(crate) rule: RuleIndex,
    /// An index into the collections; none for the whole store.
    pub(crate) collection: Option<usize>,
    pub(crate) bound: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    Never,
    Percent(u64),
    Files(u64),
    Bytes(u64),
}

/// A question about one file; an empty `All` is always true.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Test),
}

impl Condition {
    pub(crate) fn always() -> Condition {
        Condition::All(Vec::new())
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Test {
    /// `clock < now − span` or `clock > now − span`; neither holds at equality.
    Age {
        clock: Clock,
        direction: Direction,
        span: usize,
    },
    Size {
        comparison: Comparison,
        bytes: u64,
    },
    /// A clock against the calendar.
    Dated {
        clock: Clock,
        side: Side,
        at: Stamp,
        /// The date as written.
        text: String,
    },
    /// The capture has one of these values.
    Capture {
        capture: usize,
        values: Vec<String>,
    },
    CaptureGlob {
        capture: usize,
        glob: Glob,
    },
    /// The capture is more, or less, than a value of its kind.
    CaptureOrder {
        capture: usize,
        over: bool,
        value: Ordinal,
        /// The value as written.
        text: String,
    },
    Path(Glob),
    /// The file's own name.
    Name(String),
    Owner(u32, String),
    Group(u32, String),
}

/// On which side of an instant a clock has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Strictly before.
    Before,
    /// Strictly after.
    After,
    /// At it or after: the day that was written is over.
    From,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Older,
    Newer,
}

/// A template without captures, with its text for messages.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    pub(crate) text: String,
    pub(crate) template: Box<Template>,
}

/// A `test` block, every name and amount resolved.
#[derive(Clone, Debug)]
pub struct TestCase {
    /// Its name.
    pub name: String,
    /// The line it begins on, from 1.
    pub line: usize,
    /// The text it stands in.
    pub source: Source,
    /// Variables it sets, by name.
    pub variables: Vec<(String, String)>,
    /// The moment it happens at.
    pub now: jiff::Timestamp,
    /// Percentage of the disk in use.
    pub disk: Option<u64>,
    /// Files and empty directories of its tree.
    pub given: Vec<Given>,
    /// What is expected.
    pub expectations: Vec<Expected>,
}

/// A file of a test's tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// Where it lies; of a directory without the last `/`.
    pub path: crate::path::RelPath,
    /// What it is.
    pub facts: crate::entry::Facts,
}

/// What a test expects of one file.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Where it stands.
    pub at: Range<usize>,
    /// What becomes of the file.
    pub fate: super::Fate,
    /// The file.
    pub path: crate::path::RelPath,
    /// The label of the statement that decides.
    pub by: Option<String>,
}
