//! Conditions and values: names looked up, kinds compared, captures found.

use std::ops::Range;

use super::Checker;
use super::scope::{Kind, kind_of};
use crate::diagnostic::{Diagnostic, nearest};
use crate::policy::ast::{self, Clock, Literal, Spanned, Value};
use crate::policy::ir::{Condition, Direction, Glob, Test};
use crate::policy::template::{Template, TemplateText};
use crate::units::Span;

/// What a condition may speak of where it stands.
pub(super) struct Context<'a> {
    pub(super) template: &'a Template,
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
    pub(super) fn file(template: &'a Template) -> Context<'a> {
        Context {
            template,
            clock: ClockHere::Outside,
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
            ast::Test::ModifiedMoreThanAgo(value) => {
                self.age_by(Clock::LastModified, value, Direction::Older)?
            }
            ast::Test::ModifiedWithin(value) => {
                self.age_by(Clock::LastModified, value, Direction::Newer)?
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
            ast::Test::PathMatches(glob) => Test::Path(self.glob(glob)?),
        };
        Some(Condition::Test(test))
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
                    self.source,
                    at.clone(),
                    "outside a collection an age has no clock",
                )
                .help(format!("name it: `{instead}`"))
                .edit(at.clone(), instead);
                self.findings.push(finding);
                None
            }
        }
    }

    /// Says once per collection that an age needs a clock.
    pub(super) fn clock_needed(&mut self, at: Range<usize>) {
        if self.findings.iter().any(|finding| {
            finding.code() == "R0310" && self.collection.as_deref() == finding_collection(finding)
        }) {
            return;
        }
        let collection = self.collection.clone().unwrap_or_default();
        let finding = Diagnostic::error("R0310", self.source, at, format!("collection `{collection}` does not say what an age is measured from"))
            .label("an age, but since when?")
            .help(
                "add `age is measured from last modified` to the collection; for files that arrive by `cp -p`, `tar x` or `mv` with old \
                 stamps, `age is measured from last modified or changed`",
            );
        self.findings.push(finding);
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
        if found.is_none() {
            let known = context.template.captures();
            let help = match nearest(&capture.value, known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None if known.is_empty() => {
                    "the template captures nothing; name a part of it, as in `\"{symbol}/*.png\"`"
                        .to_owned()
                }
                None => format!(
                    "the template captures {}",
                    known
                        .iter()
                        .map(|name| format!("`{{{name}}}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            self.error(
                "R0305",
                capture.at.clone(),
                format!("the template has no capture `{{{}}}`", capture.value),
                help,
            );
        }
        found
    }

    fn glob(&mut self, text: &Spanned<String>) -> Option<Glob> {
        let parts = match TemplateText::parse(&text.value) {
            Ok(parts) => parts,
            Err(error) => {
                self.error(
                    "R0301",
                    self.inside(text, &error.at),
                    error.message,
                    error.help,
                );
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
                template,
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
            let help = match nearest(name, self.scope.constants.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("write the value itself, or define it: `let {name} = 6 hours`"),
            };
            self.error(
                "R0210",
                value.at.clone(),
                format!("there is no constant `{name}`"),
                help,
            );
        }
        None
    }

    fn wrong_kind(&mut self, value: &Spanned<Value>, literal: &Literal, wanted: Kind) {
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

/// The collection a "needs a clock" message was about, read back from its words.
fn finding_collection(finding: &Diagnostic) -> Option<&str> {
    finding.message().split('`').nth(1)
}
