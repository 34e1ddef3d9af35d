//! A checked policy: every name resolved, every unit a number, every template compiled.
//!
//! Only `check` builds one, so whoever holds a [`Policy`] holds one without mistakes.

use jiff::tz::TimeZone;

use super::ast::{Clock, Comparison, Measure, Order};
use super::template::Template;
use crate::diagnostic::Source;
use crate::units::Span;

/// A policy that may run.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) digest: String,
    pub(crate) timezone: Option<TimeZone>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) collections: Vec<Collection>,
    pub(crate) protections: Vec<Protection>,
    pub(crate) breakers: Vec<Breaker>,
    /// Every span some condition compares with, each once.
    pub(crate) spans: Vec<Span>,
}

impl Policy {
    /// Digest of the text and of every value the environment gave it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text it was read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Every statement that decides something, in the order written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The hooks of every collection, in the order written.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        self.collections
            .iter()
            .flat_map(|collection| &collection.hooks)
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
    /// The line the statement begins on, from 1.
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
    /// `charts.retain:12 @aapl`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        self.label
            .iter()
            .try_for_each(|label| write!(f, " @{label}"))
    }
}

/// An index into [`Policy::rules`].
pub(crate) type RuleIndex = usize;

#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) template: Template,
    pub(crate) clock: Option<Clock>,
    pub(crate) deletes: Vec<Delete>,
    /// From the narrowest scope to the widest: the order they are applied in.
    pub(crate) limits: Vec<Limit>,
    pub(crate) keeps: Vec<Keep>,
    pub(crate) floors: Vec<Floor>,
    pub(crate) hooks: Vec<Hook>,
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

/// `keep newest N per … where …`.
#[derive(Clone, Debug)]
pub(crate) struct Floor {
    pub(crate) rule: RuleIndex,
    pub(crate) count: usize,
    /// Indices of captures.
    pub(crate) per: Vec<usize>,
    pub(crate) condition: Condition,
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
    /// Where each argument's value is written.
    pub arguments_at: Vec<(String, std::ops::Range<usize>)>,
    /// The destination's name in the configuration, and where it is written.
    pub destination: Option<(String, std::ops::Range<usize>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Protection {
    pub(crate) rule: RuleIndex,
    pub(crate) template: Template,
    pub(crate) condition: Condition,
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
    /// The capture has one of these values.
    Capture {
        capture: usize,
        values: Vec<String>,
    },
    CaptureGlob {
        capture: usize,
        glob: Glob,
    },
    Path(Glob),
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
    pub(crate) template: Template,
}
