//! `test` blocks into cases: moments, sizes and owners resolved.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Checker, Written};
use crate::diagnostic::Diagnostic;
use crate::entry::{Facts, FileId, Kind};
use crate::path::RelPath;
use crate::policy::ast::{
    File, GivenFact, GivenFile, Item, Literal, Moment, Spanned, StampOf, TestBlock,
};
use crate::policy::ir::{Expected, Given, TestCase};
use crate::time::{Now, Stamp};
use crate::units::Span;

/// Midday of the edition's first day: when a test that does not say happens.
const DEFAULT_NOW: Timestamp = Timestamp::constant(1_767_268_800, 0);

/// Length of a file whose test does not say.
const DEFAULT_SIZE: u64 = 1_000;

impl Checker<'_> {
    pub(super) fn tests(&mut self, file: &File) {
        for statement in &file.statements {
            if let Item::Test(block) = &statement.item {
                let line = self.source.position(statement.at.start).0;
                if let Some(case) = self.test_case(block, line) {
                    self.policy.tests.push(case);
                }
            }
        }
    }

    fn test_case(&mut self, block: &TestBlock, line: usize) -> Option<TestCase> {
        let name = Spanned {
            value: block.name.value.clone(),
            at: block.name.at.clone(),
        };
        self.name("test", &name);
        let now = match &block.now {
            Some(now) => self.timestamp(now)?,
            None => DEFAULT_NOW,
        };
        let mut given: Vec<Given> = Vec::new();
        let mut places: HashMap<RelPath, std::ops::Range<usize>> = HashMap::new();
        for file in &block.files {
            let Some(path) = self.path(&file.path) else {
                continue;
            };
            if let Some(first) = places.insert(path.clone(), file.path.at.clone()) {
                let finding = Diagnostic::error(
                    "R0350",
                    &self.source,
                    file.path.at.clone(),
                    format!("`{path}` is given twice"),
                )
                .also(first, "the first one")
                .help("give every file of a test once");
                self.report(finding);
            }
            if let Some(facts) = self.given(file, now, given.len()) {
                given.push(Given { path, facts });
            }
        }
        if block.expectations.is_empty() {
            self.error(
                "R0353",
                block.name.at.clone(),
                "this test expects nothing",
                "say what becomes of a file: `expect delete \"a.png\"` or `expect keep \"a.png\" by @label`",
            );
        }
        let mut expectations = Vec::new();
        for expected in &block.expectations {
            let path = self.path(&expected.path)?;
            if !places.contains_key(&path) {
                let known: Vec<String> = places.keys().map(ToString::to_string).collect();
                let wanted = &expected.path.value;
                let message = format!("`{wanted}` is not given in this test");
                let at = expected.path.at.clone();
                let finding = Diagnostic::error("R0352", &self.source, at, message).help(format!(
                    "add it: `given \"{wanted}\" modified 7 days ago, 3 MB`"
                ));
                self.unknown(finding, wanted, &known, Written::InQuotes);
            }
            expectations.push(Expected {
                at: expected.at.clone(),
                fate: expected.fate,
                path,
                by: expected.by.as_ref().map(|label| label.value.clone()),
            });
        }
        Some(TestCase {
            name: block.name.value.clone(),
            line,
            source: self.source.clone(),
            variables: block
                .variables
                .iter()
                .map(|(name, value)| (name.value.clone(), value.value.clone()))
                .collect(),
            now,
            disk: block.disk.as_ref().map(|percent| percent.value),
            given,
            expectations,
        })
    }

    fn timestamp(&mut self, moment: &Spanned<Moment>) -> Option<Timestamp> {
        let (begin, _) = self.instants(moment)?;
        Timestamp::new(begin.seconds(), 0).ok()
    }

    fn path(&mut self, text: &Spanned<String>) -> Option<RelPath> {
        match RelPath::parse(text.value.trim_end_matches('/').as_bytes()) {
            Ok(path) if !path.is_root() => Some(path),
            _ => {
                self.error(
                    "R0354",
                    text.at.clone(),
                    format!("`{}` is no path below the store", text.value),
                    "write it relative to the store's root, such as `\"AAPL_1h/a.png\"`",
                );
                None
            }
        }
    }

    fn given(&mut self, file: &GivenFile, now: Timestamp, number: usize) -> Option<Facts> {
        let directory = file.path.value.ends_with('/');
        let mut stamps: [Option<Stamp>; 4] = [None; 4];
        let mut size = None;
        let (mut owner, mut group) = (1000, 1000);
        for fact in &file.facts {
            match &fact.value {
                GivenFact::Ago(stamp, age) => {
                    let at = self.ago(age, now)?;
                    self.once(&mut stamps, *stamp, at, &fact.at);
                }
                GivenFact::At(stamp, moment) => {
                    let at = Stamp::from(self.timestamp(moment)?);
                    self.once(&mut stamps, *stamp, at, &fact.at);
                }
                GivenFact::Owner(who) => {
                    owner = self.number_of(who, "user", self.environment.user)?;
                }
                GivenFact::Group(who) => {
                    group = self.number_of(who, "group", self.environment.group)?;
                }
                GivenFact::Size(value) => size = Some(self.given_size(value)?),
                GivenFact::Empty => size = Some(0),
            }
        }
        let [modified, changed, accessed, created] = stamps;
        let modified = modified.unwrap_or(Now::at(now).stamp());
        let size = match directory {
            true => 0,
            false => size.unwrap_or(DEFAULT_SIZE),
        };
        Some(Facts {
            kind: match directory {
                true => Kind::Directory,
                false => Kind::File,
            },
            id: FileId {
                device: 1,
                inode: number as u64 + 2,
            },
            size,
            allocated: size,
            modified,
            changed: changed.unwrap_or(modified),
            accessed: accessed.unwrap_or(modified),
            created: Some(created.unwrap_or(modified)),
            links: 1,
            mode: match directory {
                true => 0o040_755,
                false => 0o100_644,
            },
            owner,
            group,
        })
    }

    fn once(
        &mut self,
        stamps: &mut [Option<Stamp>; 4],
        which: StampOf,
        at: Stamp,
        place: &std::ops::Range<usize>,
    ) {
        let index = match which {
            StampOf::Modified => 0,
            StampOf::Changed => 1,
            StampOf::Accessed => 2,
            StampOf::Created => 3,
        };
        let Some(slot) = stamps.get_mut(index) else {
            return;
        };
        if slot.replace(at).is_some() {
            self.error(
                "R0351",
                place.clone(),
                "this file has the same stamp twice",
                "keep one of the two",
            );
        }
    }

    /// A test may speak of an age of zero, unlike a condition.
    fn ago(&mut self, age: &Spanned<crate::policy::ast::Value>, now: Timestamp) -> Option<Stamp> {
        let span = match self.resolve(age)? {
            Literal::Span(span) => span,
            other => {
                self.wrong_kind(age, &other, super::scope::Kind::Age);
                return None;
            }
        };
        let zone = match span {
            Span::Exact(_) => jiff::tz::TimeZone::UTC,
            Span::Months(_) => self.zone_for("months and years need", &age.at),
        };
        Some(span.before(&Now::at(now).zoned(&zone)))
    }

    fn given_size(&mut self, value: &Spanned<crate::policy::ast::Value>) -> Option<u64> {
        match self.resolve(value)? {
            Literal::Size(size) => Some(size.0),
            Literal::Span(_) => {
                let age = self.source.slice(&value.at).to_owned();
                self.error(
                    "R0105",
                    value.at.clone(),
                    format!("`{age}` since what?"),
                    format!("name the stamp: `modified {age} ago`"),
                );
                None
            }
            other => {
                self.wrong_kind(value, &other, super::scope::Kind::Size);
                None
            }
        }
    }
}
