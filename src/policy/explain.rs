//! Conditions in words, with the values of one file.

use std::fmt::Write;

use super::ast::Comparison;
use super::ir::{Clock, Condition, Direction, Side, Test};
use super::matcher::{Matcher, Subject, Truth};
use super::template::Values;
use crate::entry::Entry;
use crate::units::{Elapsed, Size};

impl Matcher<'_> {
    /// Why a condition holds: the tests that are true, each with its value.
    ///
    /// Empty for a condition that asks nothing.
    pub(crate) fn reasons(&self, condition: &Condition, subject: Subject<'_>) -> String {
        let mut words = String::new();
        self.write_reasons(condition, subject, &mut words);
        words
    }

    /// The same behind a text that is there; there may be millions of files to say it of.
    pub(crate) fn write_reasons(
        &self,
        condition: &Condition,
        subject: Subject<'_>,
        words: &mut String,
    ) {
        let begin = words.len();
        self.collect(condition, subject, true, begin, words);
    }

    fn collect(
        &self,
        condition: &Condition,
        subject: Subject<'_>,
        wanted: bool,
        begin: usize,
        words: &mut String,
    ) {
        match condition {
            Condition::Not(part) => self.collect(part, subject, !wanted, begin, words),
            Condition::Test(test) => {
                if words.len() > begin {
                    words.push_str(" and ");
                }
                self.fact(test, subject, wanted, words);
            }
            Condition::All(parts) | Condition::Any(parts) => {
                let truth = if wanted { Truth::True } else { Truth::False };
                for part in parts
                    .iter()
                    .filter(|part| self.truth(part, subject) == truth)
                {
                    self.collect(part, subject, wanted, begin, words);
                }
            }
        }
    }

    /// One test as a statement about the file: `age 8 d 2 h is more than 6 hours`.
    fn fact(&self, test: &Test, subject: Subject<'_>, holds: bool, to: &mut String) {
        self.value(test, subject, to);
        // The value alone says it.
        if matches!(test, Test::Capture { values, .. } if holds && values.len() == 1) {
            return;
        }
        to.push(' ');
        let _ = match (test, holds) {
            (
                Test::Age {
                    direction, span, ..
                },
                _,
            ) => {
                let more = matches!(
                    (direction, holds),
                    (Direction::Older, true) | (Direction::Newer, false)
                );
                to.push_str(if more {
                    "is more than "
                } else {
                    "is not more than "
                });
                to.push_str(self.span_in_words(*span));
                Ok(())
            }
            (Test::Size { comparison, bytes }, true) => {
                write!(to, "is {} {}", words_of(*comparison), Size(*bytes))
            }
            (Test::Size { comparison, bytes }, false) => {
                write!(to, "is not {} {}", words_of(*comparison), Size(*bytes))
            }
            (Test::Capture { values, .. }, holds) => {
                let list: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
                let verb = if holds { "is one of" } else { "is not" };
                write!(to, "{verb} {}", list.join(", "))
            }
            (Test::Dated { side, text, .. }, holds) => {
                let not = if holds { "" } else { "not " };
                match side {
                    Side::Before => write!(to, "is {not}before {text}"),
                    Side::After | Side::From => write!(to, "is {not}after {text}"),
                }
            }
            (Test::CaptureOrder { over, text, .. }, holds) => {
                let not = if holds { "" } else { "not " };
                let word = if *over { "over" } else { "under" };
                write!(to, "is {not}{word} {text}")
            }
            (Test::Name(name), true) => write!(to, "is \"{name}\""),
            (Test::Name(name), false) => write!(to, "is not \"{name}\""),
            (Test::Owner(_, text) | Test::Group(_, text), true) => write!(to, "is {text}"),
            (Test::Owner(_, text) | Test::Group(_, text), false) => write!(to, "is not {text}"),
            (Test::CaptureGlob { glob, .. } | Test::Path(glob), true) => {
                write!(to, "matches \"{}\"", glob.text)
            }
            (Test::CaptureGlob { glob, .. } | Test::Path(glob), false) => {
                write!(to, "does not match \"{}\"", glob.text)
            }
        };
    }

    /// The file's side of a test: `age 8 d 2 h`, `size 3 MB`, `symbol is "AAPL"`.
    fn value(&self, test: &Test, subject: Subject<'_>, to: &mut String) {
        let unknown = |to: &mut String, what: &str| write!(to, "{what} unknown");
        let _ = match test {
            Test::Age { clock, .. } => match self.reading(*clock, subject) {
                Some(stamp) => {
                    to.push_str("age ");
                    Elapsed(stamp.seconds_until(self.now)).write(to);
                    to.push_str(since(*clock));
                    Ok(())
                }
                None => unknown(to, "age"),
            },
            Test::Dated { clock, .. } => match self.reading(*clock, subject) {
                Some(stamp) => {
                    let day = jiff::Timestamp::new(stamp.seconds(), 0).ok();
                    let day = day.map(|at| at.to_zoned_datetime(self.zone.clone()).datetime());
                    let word = match clock {
                        Clock::LastModified | Clock::LastModifiedOrChanged => "modified",
                        Clock::LastChanged => "changed",
                        Clock::LastAccessed => "accessed",
                        Clock::Created => "created",
                        Clock::Capture(_) => "the date in its name",
                    };
                    match day {
                        Some(day) => write!(to, "{word} {day}"),
                        None => unknown(to, word),
                    }
                }
                None => unknown(to, "its time"),
            },
            Test::Size { .. } => match subject.facts {
                Some(facts) => write!(to, "size {}", Size(facts.size)),
                None => unknown(to, "size"),
            },
            Test::Capture { capture, values } => {
                let value = subject.captures.get(*capture).unwrap_or_default();
                let is_it = values.len() == 1 && values.first().map(String::as_str) == Some(value);
                to.push_str(if is_it { "the name says " } else { "" });
                write!(to, "\"{value}\"")
            }
            Test::CaptureGlob { capture, .. } | Test::CaptureOrder { capture, .. } => {
                let value = subject.captures.get(*capture).unwrap_or_default();
                write!(to, "\"{value}\"")
            }
            Test::Path(_) => write!(to, "the path"),
            Test::Name(_) => {
                let last = subject.path.components().last().unwrap_or_default();
                write!(to, "its name \"{}\"", last.escape_ascii())
            }
            Test::Owner(..) => match subject.facts {
                Some(facts) => write!(to, "owner {}", facts.owner),
                None => unknown(to, "owner"),
            },
            Test::Group(..) => match subject.facts {
                Some(facts) => write!(to, "group {}", facts.group),
                None => unknown(to, "group"),
            },
        };
    }

    /// Each test of a condition with its value and its answer, one a line, for `why`.
    pub(crate) fn trace(&self, condition: &Condition, subject: Subject<'_>) -> Vec<String> {
        let mut lines = Vec::new();
        self.trace_into(condition, subject, &mut lines);
        lines
    }

    fn trace_into(&self, condition: &Condition, subject: Subject<'_>, lines: &mut Vec<String>) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => parts
                .iter()
                .for_each(|part| self.trace_into(part, subject, lines)),
            Condition::Not(part) => {
                let mut inner = Vec::new();
                self.trace_into(part, subject, &mut inner);
                lines.extend(inner.into_iter().map(|line| format!("not: {line}")));
            }
            Condition::Test(test) => lines.push(self.traced(test, subject)),
        }
    }

    fn traced(&self, test: &Test, subject: Subject<'_>) -> String {
        let answer = match self.truth(&Condition::Test(test.clone()), subject) {
            Truth::True => "true",
            Truth::False => "false",
            Truth::Unknown => "unknown",
        };
        let needs = match test {
            Test::Age {
                direction, span, ..
            } => {
                let span = self.span_in_words(*span);
                match direction {
                    Direction::Older => format!("more than {span}"),
                    Direction::Newer => format!("less than {span}"),
                }
            }
            Test::Size { comparison, bytes } => {
                format!("{} {}", words_of(*comparison), Size(*bytes))
            }
            Test::Capture { values, .. } => values
                .iter()
                .map(|value| format!("\"{value}\""))
                .collect::<Vec<_>>()
                .join(" or "),
            Test::Dated { side, text, .. } => match side {
                Side::Before => format!("before {text}"),
                Side::After | Side::From => format!("after {text}"),
            },
            Test::CaptureOrder { over, text, .. } => match over {
                true => format!("over {text}"),
                false => format!("under {text}"),
            },
            Test::Name(name) => format!("\"{name}\""),
            Test::Owner(_, text) | Test::Group(_, text) => text.clone(),
            Test::CaptureGlob { glob, .. } | Test::Path(glob) => {
                format!("to match \"{}\"", glob.text)
            }
        };
        let mut line = String::new();
        self.value(test, subject, &mut line);
        let _ = write!(line, ", needs {needs}: {answer}");
        line
    }
}

/// What an age counts from, where that is not the usual.
fn since(clock: Clock) -> &'static str {
    match clock {
        Clock::LastModified => "",
        Clock::LastModifiedOrChanged => " since modified or changed",
        Clock::LastChanged => " since changed",
        Clock::LastAccessed => " since last accessed",
        Clock::Created => " since created",
        Clock::Capture(_) => " since the date in its name",
    }
}

fn words_of(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Over => "over",
        Comparison::Under => "under",
        Comparison::AtLeast => "at least",
        Comparison::AtMost => "at most",
    }
}

/// What one statement says about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Index into [`Policy::rules`](super::Policy::rules).
    pub rule: usize,
    /// Whether its condition holds; a floor's or a limit's says whether it counts the
    /// file.
    pub holds: Truth,
    /// Each test with the file's value.
    pub tests: Vec<String>,
}

impl Matcher<'_> {
    /// What every statement in whose scope a file lies says about it, in the order
    /// written.
    pub fn explain(&self, entry: &Entry) -> Vec<Said> {
        let mut said = Vec::new();
        let facts = entry.facts.as_ref().ok();
        let protections = self
            .policy
            .protections
            .iter()
            .map(|p| (p.rule, &p.template, &p.condition, self.protects(p, entry)));
        let holds = self
            .policy
            .holds
            .iter()
            .map(|h| (h.rule, &h.template, &h.condition, self.holds(h, entry)));
        for (rule, template, condition, holds) in protections.chain(holds) {
            if holds == Truth::False {
                continue;
            }
            let spans = template.matches(entry.path.as_bytes());
            let captures = spans.as_ref();
            let subject = Subject {
                path: &entry.path,
                facts,
                template,
                captures: captures.map_or(Values::NONE, |it| it.values(entry.path.as_bytes())),
            };
            said.push(Said {
                rule,
                holds,
                tests: self.trace(condition, subject),
            });
        }
        for place in self.memberships(&entry.path) {
            said.extend(self.explain_in(entry, &place));
        }
        said.sort_by_key(|said| said.rule);
        said
    }

    /// What the statements of one collection say about a member.
    pub(crate) fn explain_in(&self, entry: &Entry, place: &super::Membership) -> Vec<Said> {
        let found = self.policy.collections.get(place.collection);
        let Some((collection, asked)) = found.zip(self.subject(entry, place)) else {
            return Vec::new();
        };
        let deletes = collection.deletes.iter().map(|d| (d.rule, &d.condition));
        let keeps = collection.keeps.iter().map(|k| (k.rule, &k.condition));
        let floors = collection.floors.iter().map(|f| (f.rule, &f.condition));
        let limits = collection.limits.iter().map(|l| (l.rule, &l.condition));
        let replaces = collection.replaces.iter().map(|r| (r.rule, &r.condition));
        let all = deletes
            .chain(keeps)
            .chain(floors)
            .chain(limits)
            .chain(replaces);
        all.map(|(rule, condition)| Said {
            rule,
            holds: self.truth(condition, asked),
            tests: self.trace(condition, asked),
        })
        .collect()
    }
}
