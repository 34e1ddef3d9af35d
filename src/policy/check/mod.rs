//! The judgement on a tree: does it mean something, and what exactly.
//!
//! Checking goes on after a mistake, so that one run reports them all; a policy
//! comes out only when there was none.

mod collection;
mod condition;
mod scope;

use std::ops::Range;

use jiff::tz::TimeZone;

use super::ast::{self, File, Item, Statement};
use super::ir::{Bound, Breaker, Policy, Protection, Rule, RuleIndex};
use super::template::{CompileError, Template, TemplateText};
use crate::diagnostic::{Diagnostic, Severity, Source, nearest};
use crate::units::Span;

use scope::Scope;

/// Where a policy's `env` values come from; an empty value counts as unset.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The edition this version understands.
const EDITION: u64 = 2026;

/// Judges a tree; the policy comes only without errors, findings include warnings.
pub(crate) fn check(
    source: &Source,
    file: &File,
    environment: Environment<'_>,
) -> (Option<Policy>, Vec<Diagnostic>) {
    let mut checker = Checker::new(source);
    checker.edition(file);
    checker.timezone(file);
    checker.scope = Scope::read(source, file, environment, &mut checker.findings);
    for statement in &file.statements {
        checker.statement(statement);
    }
    checker.overlapping_limits();
    checker.finish()
}

struct Checker<'a> {
    source: &'a Source,
    scope: Scope,
    policy: Policy,
    /// The name of the collection being checked.
    collection: Option<String>,
    labels: Vec<(String, Range<usize>)>,
    templates: Vec<Range<usize>>,
    findings: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn new(source: &'a Source) -> Checker<'a> {
        let policy = Policy {
            source: source.clone(),
            digest: String::new(),
            timezone: None,
            rules: Vec::new(),
            collections: Vec::new(),
            protections: Vec::new(),
            breakers: Vec::new(),
            spans: Vec::new(),
        };
        Checker {
            source,
            scope: Scope::default(),
            policy,
            collection: None,
            labels: Vec::new(),
            templates: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn finish(mut self) -> (Option<Policy>, Vec<Diagnostic>) {
        self.policy.digest = digest(self.source, &self.scope);
        let broken = self
            .findings
            .iter()
            .any(|finding| finding.severity() == Severity::Error);
        ((!broken).then_some(self.policy), self.findings)
    }

    fn error(
        &mut self,
        code: &'static str,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.findings
            .push(Diagnostic::error(code, self.source, at, message).help(help));
    }

    fn edition(&mut self, file: &File) {
        let mut editions = file
            .statements
            .iter()
            .enumerate()
            .filter_map(|(index, statement)| match &statement.item {
                Item::Edition(edition) => Some((index, edition)),
                _ => None,
            });
        let Some((index, edition)) = editions.next() else {
            let finding = Diagnostic::error(
                "R0201",
                self.source,
                0..0,
                "this policy does not say which edition of the language it is written in",
            )
            .help("begin the file with `edition 2026`")
            .edit(0..0, "edition 2026\n\n");
            self.findings.push(finding);
            return;
        };
        if index != 0 {
            self.error(
                "R0201",
                edition.at.clone(),
                "`edition` must be the first statement",
                "move it to the top of the file",
            );
        }
        if edition.value != EDITION {
            let message = format!(
                "this version of retain does not know edition {}",
                edition.value
            );
            self.findings.push(
                Diagnostic::error("R0202", self.source, edition.at.clone(), message)
                    .help("write `edition 2026`")
                    .edit(edition.at.clone(), "2026"),
            );
        }
        if let Some((_, second)) = editions.next() {
            self.error(
                "R0201",
                second.at.clone(),
                "the edition is stated twice",
                "remove the second `edition`",
            );
        }
    }

    fn timezone(&mut self, file: &File) {
        let zones: Vec<_> = file
            .statements
            .iter()
            .filter_map(|statement| match &statement.item {
                Item::Timezone(zone) => Some(zone),
                _ => None,
            })
            .collect();
        if let [_, second, ..] = zones.as_slice() {
            self.error(
                "R0203",
                second.at.clone(),
                "the time zone is stated twice",
                "remove one of the two",
            );
        }
        let Some(zone) = zones.first() else { return };
        match TimeZone::get(&zone.value) {
            Ok(found) => self.policy.timezone = Some(found),
            Err(_) => {
                let message = format!("there is no time zone `{}`", zone.value);
                let known: Vec<String> = jiff::tz::db()
                    .available()
                    .map(|name| name.to_string())
                    .collect();
                let help = match nearest(&zone.value, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "write a name of the IANA database such as `\"Europe/Berlin\"`, or `\"UTC\"`".to_owned(),
                };
                self.error("R0203", zone.at.clone(), message, help);
                // One mistake, one message: do not ask for a zone that is there.
                self.policy.timezone = Some(TimeZone::UTC);
            }
        }
    }

    fn statement(&mut self, statement: &Statement<Item>) {
        match &statement.item {
            Item::Collection(collection) => {
                self.label(statement);
                self.collection(collection);
            }
            Item::Protect { template, filter } => {
                let rule = self.rule(statement);
                let Some(template) = self.template(template) else {
                    return;
                };
                let context = condition::Context::file(&template);
                if let Some(condition) = self.filter(filter.as_ref(), &context) {
                    self.policy.protections.push(Protection {
                        rule,
                        template,
                        condition,
                    });
                }
            }
            Item::Stop(stop) => self.stop(statement, stop, None),
            Item::Edition(_) | Item::Timezone(_) | Item::Type(_) | Item::Let(_) => {
                self.label(statement)
            }
        }
    }

    /// Enters a statement into the list of rules.
    fn rule<T>(&mut self, statement: &Statement<T>) -> RuleIndex {
        self.label(statement);
        let text = self.source.slice(&statement.at);
        let without_label = match &statement.label {
            Some(label) => self.source.slice(&(label.at.end..statement.at.end)),
            None => text,
        };
        self.policy.rules.push(Rule {
            file: self.source.name().to_owned(),
            line: self.source.position(statement.at.start).0,
            label: statement.label.as_ref().map(|label| label.value.clone()),
            because: statement
                .because
                .as_ref()
                .map(|because| because.value.clone()),
            collection: self.collection.clone(),
            text: one_line(without_label),
        });
        self.policy.rules.len() - 1
    }

    /// A label names one statement of the file.
    fn label<T>(&mut self, statement: &Statement<T>) {
        let Some(label) = &statement.label else {
            return;
        };
        if let Some((_, first)) = self.labels.iter().find(|(name, _)| *name == label.value) {
            let finding = Diagnostic::error(
                "R0205",
                self.source,
                label.at.clone(),
                format!("the label `@{}` is used twice", label.value),
            )
            .also(first.clone(), "first used here")
            .help("give each statement a label of its own");
            self.findings.push(finding);
            return;
        }
        self.labels.push((label.value.clone(), label.at.clone()));
    }

    fn template(&mut self, text: &ast::Spanned<String>) -> Option<Template> {
        let template = match TemplateText::parse(&text.value) {
            Ok(parts) => match parts.compile(&self.scope.types) {
                Ok(template) => template,
                Err(error) => {
                    self.template_error(text, &error);
                    return None;
                }
            },
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
        match template.ambiguity() {
            Ok(None) => Some(template),
            Ok(Some(witness)) => {
                let message = format!(
                    "this template reads `{}` in two ways",
                    witness.escape_ascii()
                );
                self.error("R0303", text.at.clone(), message, "give the captures types that cannot run into each other, or put a character between them that neither may hold");
                None
            }
            Err(super::template::TooLarge) => {
                self.error(
                    "R0304",
                    text.at.clone(),
                    "this template is too large to be shown unambiguous",
                    "use simpler types for its captures",
                );
                None
            }
        }
    }

    fn template_error(&mut self, text: &ast::Spanned<String>, error: &CompileError) {
        match error {
            CompileError::UnknownType { name, at } if self.scope.broken_types => {
                // The type may be one that could not be read; that is reported already.
                let _ = (name, at);
            }
            CompileError::UnknownType { name, at } => {
                let at = self.inside(text, at);
                let later = matches!(name.as_str(), "date" | "number" | "semver" | "user");
                let help = match nearest(name, self.scope.types.keys().map(String::as_str)) {
                    _ if later => format!(
                        "`{name}` is reserved for a later version; declare `type {name}-text = text matching \"…\"` for now"
                    ),
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "declare it: `type {name} = text matching \"…\"`, or leave `:{name}` out"
                    ),
                };
                self.error("R0302", at, format!("there is no type `{name}`"), help);
            }
            other => self.error(
                "R0304",
                text.at.clone(),
                other.to_string(),
                "use simpler types for its captures",
            ),
        }
    }

    /// A span inside a string literal: right as long as the string has no escapes before it.
    fn inside(&self, text: &ast::Spanned<String>, at: &Range<usize>) -> Range<usize> {
        let raw = self.source.slice(&text.at);
        if raw.contains("\\\\") || raw.contains("\\\"") {
            return text.at.clone();
        }
        text.at.start + 1 + at.start..text.at.start + 1 + at.end
    }

    fn stop<T>(&mut self, statement: &Statement<T>, stop: &ast::Stop, collection: Option<usize>) {
        let rule = self.rule(statement);
        let bound = match stop {
            ast::Stop::Never => Bound::Never,
            ast::Stop::Over(bound) => match &bound.value {
                ast::Bound::Percent(percent) => Bound::Percent(*percent),
                ast::Bound::Files(files) => Bound::Files(*files),
                ast::Bound::Size(ast::Value::Literal(ast::Literal::Count(number))) => {
                    self.error(
                        "R0105",
                        bound.at.clone(),
                        format!("`{number}` of what?"),
                        format!("write `{number} files`, `{number} MB` or `50% of files`"),
                    );
                    return;
                }
                ast::Bound::Size(value) => {
                    let value = ast::Spanned {
                        value: value.clone(),
                        at: bound.at.clone(),
                    };
                    match self.size(&value) {
                        Some(bytes) => Bound::Bytes(bytes),
                        None => return,
                    }
                }
            },
        };
        let contradicted = self.policy.breakers.iter().any(|other| {
            other.collection == collection
                && (other.bound == Bound::Never) != (bound == Bound::Never)
        });
        if contradicted {
            self.error(
                "R0330",
                statement.at.clone(),
                "`stop never` and `stop if` contradict each other",
                "keep the one you mean",
            );
        }
        self.policy.breakers.push(Breaker {
            rule,
            collection,
            bound,
        });
    }

    fn span_index(&mut self, span: Span, at: &Range<usize>) -> usize {
        if matches!(span, Span::Months(_)) && self.policy.timezone.is_none() {
            self.error(
                "R0204",
                at.clone(),
                "months and years need a time zone",
                "say where the calendar is kept: `timezone \"Europe/Berlin\"` (or `\"UTC\"`) at the top of the file",
            );
            self.policy.timezone = Some(TimeZone::UTC);
        }
        if let Some(known) = self.policy.spans.iter().position(|known| *known == span) {
            return known;
        }
        self.policy.spans.push(span);
        self.policy.spans.len() - 1
    }
}

/// Comments left out and white space folded, so that a statement fits a line of a report.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(without_comment);
    lines
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A line up to its comment; a `#` inside a text begins none, and no text spans lines.
fn without_comment(line: &str) -> &str {
    let (mut in_text, mut escaped) = (false, false);
    for (position, c) in line.char_indices() {
        match c {
            '#' if !in_text => return line.get(..position).unwrap_or(line),
            '"' if !escaped => in_text = !in_text,
            _ => {}
        }
        escaped = in_text && c == '\\' && !escaped;
    }
    line
}

/// What decides besides the files: the text, and what the environment put into it.
fn digest(source: &Source, scope: &Scope) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [source.name(), source.text()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    for (variable, value) in &scope.from_environment {
        hasher.update(format!("\0{variable}={value}").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_in_one_line_loses_its_comments_but_no_text() {
        let check = |text: &str, expected: &str| assert_eq!(one_line(text), expected);
        check(
            "delete when\t# why\n  older than 6 hours",
            "delete when older than 6 hours",
        );
        check(
            "keep when path matches \"a #1\" # why",
            "keep when path matches \"a #1\"",
        );
        check("protect \"a\\\" #1\"#x", "protect \"a\\\" #1\"");
    }
}
