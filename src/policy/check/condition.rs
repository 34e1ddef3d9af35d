//! Conditions and values: names looked up, kinds compared, captures found.

use std::ops::Range;

use super::scope::{Kind, kind_of};
use super::{Checker, Written};
use crate::diagnostic::Diagnostic;
use crate::policy::ast::{self, Literal, Moment, Operand, Spanned, StampOf, Value, Who};
use crate::policy::ir::{Clock, Condition, Direction, Glob, Side, Test};
use crate::policy::template::{Template, TemplateText, ValueKind};
use crate::units::Span;

/// What a condition may speak of where it stands.
pub(super) struct Context<'a> {
    pub(super) template: &'a Template,
    /// The template stands for one that could not be read: it has no captures to find.
    pub(super) broken: bool,
    pub(super) clock: ClockHere,
}

/// The clock `older than` and `newer than` read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockHere {
    Measured(Clock),
    /// The collection does not say; an error where an age is used.
    Unsaid,
    /// File level: there is no collection whose clock could be meant.
    Outside,
}

impl<'a> Context<'a> {
    pub(super) fn file(template: &'a Template, broken: bool) -> Context<'a> {
        Context {
            template,
            broken,
            clock: ClockHere::Outside,
        }
    }

    pub(super) fn of_collection(template: &'a Template, clock: Option<Clock>) -> Context<'a> {
        Context {
            template,
            broken: false,
            clock: clock.map_or(ClockHere::Unsaid, ClockHere::Measured),
        }
    }
}

impl Checker<'_> {
    /// A `where`; absent means always.
    pub(super) fn filter(
        &mut self,
        filter: Option<&ast::Condition>,
        context: &Context<'_>,
    ) -> Option<Condition> {
        match filter {
            Some(condition) => self.condition(condition, context),
            None => Some(Condition::always()),
        }
    }

    pub(super) fn condition(
        &mut self,
        condition: &ast::Condition,
        context: &Context<'_>,
    ) -> Option<Condition> {
        Some(match condition {
            ast::Condition::All(parts) => Condition::All(self.conditions(parts, context)?),
            ast::Condition::Any(parts) => Condition::Any(self.conditions(parts, context)?),
            ast::Condition::Not(part) => Condition::Not(Box::new(self.condition(part, context)?)),
            ast::Condition::Test(test) => return self.test(test, context),
        })
    }

    fn conditions(
        &mut self,
        parts: &[ast::Condition],
        context: &Context<'_>,
    ) -> Option<Vec<Condition>> {
        // Judged one by one before collecting, so that each mistake is reported.
        let judged: Vec<_> = parts
            .iter()
            .map(|part| self.condition(part, context))
            .collect();
        judged.into_iter().collect()
    }

    fn test(&mut self, test: &Spanned<ast::Test>, context: &Context<'_>) -> Option<Condition> {
        let test = match &test.value {
            ast::Test::Older(value) => self.age(value, &test.at, Direction::Older, context)?,
            ast::Test::Newer(value) => self.age(value, &test.at, Direction::Newer, context)?,
            ast::Test::MoreThanAgo(stamp, value) => {
                let clock = self.clock_of(*stamp, &test.at);
                self.age_by(clock, value, Direction::Older)?
            }
            ast::Test::Within(stamp, value) => {
                let clock = self.clock_of(*stamp, &test.at);
                self.age_by(clock, value, Direction::Newer)?
            }
            ast::Test::StampBefore(stamp, date) => {
                let clock = self.clock_of(*stamp, &test.at);
                self.dated(clock, date, Side::Before)?
            }
            ast::Test::StampAfter(stamp, date) => {
                let clock = self.clock_of(*stamp, &test.at);
                self.dated(clock, date, Side::After)?
            }
            ast::Test::Size(comparison, value) => Test::Size {
                comparison: *comparison,
                bytes: self.compared_size(value)?,
            },
            ast::Test::CaptureIs(capture, value) => {
                self.capture_values(capture, std::slice::from_ref(value), context)?
            }
            ast::Test::CaptureIsNot(capture, value) => {
                let is = self.capture_values(capture, std::slice::from_ref(value), context)?;
                return Some(Condition::Not(Box::new(Condition::Test(is))));
            }
            ast::Test::CaptureIn(capture, values) => {
                self.capture_values(capture, values, context)?
            }
            ast::Test::CaptureMatches(capture, glob) => {
                let found = self.capture(capture, context);
                let glob = self.glob(glob);
                Test::CaptureGlob {
                    capture: found?,
                    glob: glob?,
                }
            }
            ast::Test::CaptureOver(capture, value) => {
                self.capture_order(capture, value, true, context)?
            }
            ast::Test::CaptureUnder(capture, value) => {
                self.capture_order(capture, value, false, context)?
            }
            ast::Test::CaptureBefore(capture, date) => {
                let clock = self.date_capture(capture, context);
                let dated = self.dated(clock.unwrap_or(Clock::Created), date, Side::Before);
                clock.and(dated)?
            }
            ast::Test::CaptureAfter(capture, date) => {
                let clock = self.date_capture(capture, context);
                let dated = self.dated(clock.unwrap_or(Clock::Created), date, Side::After);
                clock.and(dated)?
            }
            ast::Test::PathMatches(glob) => Test::Path(self.glob(glob)?),
            ast::Test::NameIs(name) => self.name_is(name)?,
            ast::Test::OwnerIs(who) => Test::Owner(
                self.number_of(who, "user", self.environment.user)?,
                self.source.slice(&who.at).to_owned(),
            ),
            ast::Test::GroupIs(who) => Test::Group(
                self.number_of(who, "group", self.environment.group)?,
                self.source.slice(&who.at).to_owned(),
            ),
        };
        Some(Condition::Test(test))
    }

    fn clock_of(&mut self, stamp: StampOf, at: &Range<usize>) -> Clock {
        match stamp {
            StampOf::Modified => Clock::LastModified,
            StampOf::Changed => Clock::LastChanged,
            StampOf::Accessed => {
                self.reads_access_times(at);
                Clock::LastAccessed
            }
            StampOf::Created => Clock::Created,
        }
    }

    /// A clock against a day, which has a beginning and an end, or a moment of one.
    fn dated(&mut self, clock: Clock, date: &Spanned<Moment>, side: Side) -> Option<Test> {
        let (begin, end) = self.instants(date)?;
        let (side, at) = match side {
            Side::Before => (Side::Before, begin),
            _ if date.value.whole_day => (Side::From, end),
            _ => (Side::After, end),
        };
        Some(Test::Dated {
            clock,
            side,
            at,
            text: self.source.slice(&date.at).trim_matches('"').to_owned(),
        })
    }

    fn capture_order(
        &mut self,
        capture: &Spanned<String>,
        value: &Spanned<Operand>,
        over: bool,
        context: &Context<'_>,
    ) -> Option<Test> {
        let index = self.capture(capture, context)?;
        let kind = context.template.kind(index).clone();
        let text = match &value.value {
            Operand::Text(text) => text.clone(),
            Operand::Name(name) => {
                let named = Spanned {
                    value: Value::Name(name.clone()),
                    at: value.at.clone(),
                };
                match self.resolve(&named)? {
                    Literal::Count(count) => count.to_string(),
                    Literal::Text(text) => text,
                    other => {
                        self.wrong_kind(&named, &other, Kind::Number);
                        return None;
                    }
                }
            }
        };
        let name = &capture.value;
        let (message, help) = match kind {
            ValueKind::Number | ValueKind::Version => match kind.ordinal(&text) {
                Some(ordinal) => {
                    return Some(Test::CaptureOrder {
                        capture: index,
                        over,
                        value: ordinal,
                        text,
                    });
                }
                None if kind == ValueKind::Number => (
                    format!("`{{{name}}}` is a number, and `{text}` is none"),
                    "write a whole number, such as `3`".to_owned(),
                ),
                None => (
                    format!("`{{{name}}}` is a version, and `{text}` is none"),
                    "write all three parts, such as `1.2.0`".to_owned(),
                ),
            },
            ValueKind::Date(_) => (
                format!("`{{{name}}}` is a date"),
                format!("write `{{{name}}} before 2026-01-31` or `{{{name}}} after 2026-01-31`"),
            ),
            ValueKind::Text => (
                format!("`{{{name}}}` is a text, which is neither over nor under another"),
                format!(
                    "give it a type: `type build = number` or `type version = semver`, and `{{{name}:build}}` in the template"
                ),
            ),
        };
        self.error("R0315", value.at.clone(), message, help);
        None
    }

    fn name_is(&mut self, name: &Spanned<String>) -> Option<Test> {
        if name.value.is_empty() || name.value.contains('/') {
            self.error(
                "R0307",
                name.at.clone(),
                format!("no file is named `{}`", name.value),
                "a name is the last part of a path; for more of it write `path matches \"…\"`",
            );
            return None;
        }
        if name.value.contains(['*', '?']) {
            let finding = Diagnostic::warning(
                "R0410",
                &self.source,
                name.at.clone(),
                "`name is` compares letter by letter, and this name has a wildcard",
            )
            .help(format!(
                "for a pattern write `path matches \"**/{}\"`",
                name.value
            ));
            self.report(finding);
        }
        Some(Test::Name(name.value.clone()))
    }

    /// A user's or group's number; a name that nobody has here would silently match no
    /// file, so it is refused.
    pub(super) fn number_of(
        &mut self,
        who: &Spanned<Who>,
        sort: &str,
        look_up: &dyn Fn(&str) -> Option<u32>,
    ) -> Option<u32> {
        let found = match &who.value {
            Who::Number(number) => u32::try_from(*number).ok(),
            Who::Name(name) => look_up(name),
        };
        if found.is_none() {
            let shown = self.source.slice(&who.at).trim_matches('"').to_owned();
            self.error(
                "R0213",
                who.at.clone(),
                format!("there is no {sort} `{shown}` on this machine"),
                "write its number, such as `1000`; a container may not know the names of its host",
            );
        }
        found
    }

    fn age(
        &mut self,
        value: &Spanned<Value>,
        at: &Range<usize>,
        direction: Direction,
        context: &Context<'_>,
    ) -> Option<Test> {
        match context.clock {
            ClockHere::Measured(clock) => self.age_by(clock, value, direction),
            ClockHere::Unsaid => {
                self.clock_needed(at.clone());
                None
            }
            ClockHere::Outside => {
                let amount = self.source.slice(&value.at).to_owned();
                let instead = match direction {
                    Direction::Older => format!("modified more than {amount} ago"),
                    Direction::Newer => format!("modified within {amount}"),
                };
                let finding = Diagnostic::error(
                    "R0311",
                    &self.source,
                    at.clone(),
                    "outside a collection an age has no clock",
                )
                .help(format!("name it: `{instead}`"))
                .edit(at.clone(), instead);
                self.report(finding);
                None
            }
        }
    }

    /// Says once per collection that an age needs a clock.
    pub(super) fn clock_needed(&mut self, at: Range<usize>) {
        // In a broken file the line that says so may be the broken one.
        let may_be_lost = self.partial && self.source.text().contains("age is");
        if std::mem::replace(&mut self.clockless, true) || may_be_lost {
            return;
        }
        let collection = self.collection.clone().unwrap_or_default();
        let finding = Diagnostic::error("R0310", &self.source, at, format!("collection `{collection}` does not say what an age is measured from"))
            .label("an age, but since when?")
            .help(
                "add `age is measured from last modified` to the collection; for files that arrive by `cp -p`, `tar x` or `mv` with old \
                 stamps, `age is measured from last modified or changed`",
            );
        self.report(finding);
    }

    fn age_by(
        &mut self,
        clock: Clock,
        value: &Spanned<Value>,
        direction: Direction,
    ) -> Option<Test> {
        let span = self.span(value)?;
        Some(Test::Age {
            clock,
            direction,
            span: self.span_index(span, &value.at),
        })
    }

    fn capture_values(
        &mut self,
        capture: &Spanned<String>,
        values: &[Spanned<String>],
        context: &Context<'_>,
    ) -> Option<Test> {
        let capture = self.capture(capture, context)?;
        Some(Test::Capture {
            capture,
            values: values.iter().map(|value| value.value.clone()).collect(),
        })
    }

    pub(super) fn capture(
        &mut self,
        capture: &Spanned<String>,
        context: &Context<'_>,
    ) -> Option<usize> {
        let found = context.template.capture(&capture.value);
        if found.is_none() && !context.broken {
            let known = context.template.captures();
            let help = match known.is_empty() {
                true => {
                    "the template captures nothing; name a part of it, as in `\"{symbol}/*.png\"`"
                        .to_owned()
                }
                false => format!(
                    "the template captures {}",
                    known
                        .iter()
                        .map(|name| format!("`{{{name}}}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            let message = format!("the template has no capture `{{{}}}`", capture.value);
            let finding =
                Diagnostic::error("R0305", &self.source, capture.at.clone(), message).help(help);
            self.unknown(finding, &capture.value, known, Written::InBraces);
        }
        found
    }

    fn glob(&mut self, text: &Spanned<String>) -> Option<Glob> {
        let parts = match TemplateText::parse(&text.value) {
            Ok(parts) => parts,
            Err(error) => {
                let at = self.inside(text, &error.at);
                self.error("R0301", at, error.message, error.help);
                return None;
            }
        };
        if let Some(capture) = parts.captures().next() {
            let at = self.inside(text, &capture.at);
            self.error(
                "R0306",
                at,
                "a pattern in a condition captures nothing",
                "use `*` here; captures belong to the collection's template",
            );
            return None;
        }
        match parts.compile(&self.scope.types) {
            Ok(template) => Some(Glob {
                text: text.value.clone(),
                template: Box::new(template),
            }),
            Err(error) => {
                self.error(
                    "R0304",
                    text.at.clone(),
                    error.to_string(),
                    "use a shorter pattern",
                );
                None
            }
        }
    }

    // ---- values ---------------------------------------------------------------

    pub(super) fn resolve(&mut self, value: &Spanned<Value>) -> Option<Literal> {
        let name = match &value.value {
            Value::Literal(literal) => return Some(literal.clone()),
            Value::Name(name) => name,
        };
        if let Some(literal) = self.scope.constants.get(name) {
            return Some(literal.clone());
        }
        if !self.scope.broken_constants {
            let known: Vec<String> = self.scope.constants.keys().cloned().collect();
            if let Some(number) = super::super::parse::number_of(name) {
                let message = "numbers are written in digits";
                let finding = Diagnostic::error("R0210", &self.source, value.at.clone(), message)
                    .help(format!("write `{number}`"))
                    .edit(value.at.clone(), number.to_string());
                self.findings.push(finding);
                return None;
            }
            let message = format!("there is no constant `{name}`");
            let finding = Diagnostic::error("R0210", &self.source, value.at.clone(), message).help(
                format!("write the value itself, or define it: `let {name} = 6 hours`"),
            );
            self.unknown(finding, name, &known, Written::Plain);
        }
        None
    }

    pub(super) fn wrong_kind(&mut self, value: &Spanned<Value>, literal: &Literal, wanted: Kind) {
        let shown = self.source.slice(&value.at).to_owned();
        let help = match (literal, wanted) {
            (Literal::Count(n), Kind::Age) => format!("add a unit: `{n} hours` or `{n} days`"),
            (Literal::Count(n), Kind::Size) => format!("add a unit: `{n} MB` or `{n} MiB`"),
            (_, Kind::Number) => "write a bare number, such as `3`".to_owned(),
            _ => format!("write {wanted}"),
        };
        let message = match literal {
            Literal::Count(_) if matches!(value.value, Value::Literal(_)) => {
                format!("`{shown}` has no unit")
            }
            _ => format!(
                "`{shown}` is {}, but {wanted} belongs here",
                kind_of(literal)
            ),
        };
        self.error("R0105", value.at.clone(), message, help);
    }

    fn zero(&mut self, at: &Range<usize>, what: &str, help: &str) {
        self.error(
            "R0211",
            at.clone(),
            format!("{what} of zero would remove everything"),
            help.to_owned(),
        );
    }

    pub(super) fn span(&mut self, value: &Spanned<Value>) -> Option<Span> {
        match self.resolve(value)? {
            Literal::Span(span) if span.is_zero() => {
                self.zero(
                    &value.at,
                    "an age",
                    "write how old is old enough; to remove every file write `delete always`",
                );
                None
            }
            Literal::Span(span) => Some(span),
            other => {
                self.wrong_kind(value, &other, Kind::Age);
                None
            }
        }
    }

    /// A budget or a breaker's bound: never empty.
    pub(super) fn size(&mut self, value: &Spanned<Value>) -> Option<u64> {
        let bytes = self.compared_size(value)?;
        if bytes == 0 {
            self.zero(
                &value.at,
                "a size",
                "write how much may stay; to remove every file write `delete always`",
            );
            return None;
        }
        Some(bytes)
    }

    fn compared_size(&mut self, value: &Spanned<Value>) -> Option<u64> {
        match self.resolve(value)? {
            Literal::Size(size) => Some(size.0),
            other => {
                self.wrong_kind(value, &other, Kind::Size);
                None
            }
        }
    }

    pub(super) fn number(&mut self, value: &Spanned<Value>) -> Option<u64> {
        match self.resolve(value)? {
            Literal::Count(0) => {
                self.zero(
                    &value.at,
                    "a count",
                    "write how many may stay; to remove every file write `delete always`",
                );
                None
            }
            Literal::Count(count) => Some(count),
            other => {
                self.wrong_kind(value, &other, Kind::Number);
                None
            }
        }
    }
}
