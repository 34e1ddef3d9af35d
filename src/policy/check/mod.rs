//! The judgement on a tree: does it mean something, and what exactly.
//!
//! Checking goes on after a mistake, so that one run reports them all; a policy
//! comes out only when there was none.

mod calendar;
mod collection;
mod condition;
mod file_level;
mod hooks;
mod limits;
mod lints;
mod scope;
mod templates;
mod test_blocks;
mod uses;

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::ast::{File, Item, Spanned, Statement};
use super::ir::{Policy, Rule, RuleIndex};
use crate::diagnostic::{Diagnostic, Severity, Source, is_sole_nearest, nearest};
use crate::units::Span;

use scope::Scope;
use uses::Grant;
pub(super) use uses::{Loaded, load_all};

/// What a policy may ask of the world outside, as values that are handed in.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// A variable's value; an empty one counts as unset.
    pub variable: &'a dyn Fn(&str) -> Result<Option<String>, NotText>,
    /// The number of a user's name.
    pub user: &'a dyn Fn(&str) -> Option<u32>,
    /// The number of a group's name.
    pub group: &'a dyn Fn(&str) -> Option<u32>,
    /// A policy that another one uses, named as it is written there; or why it cannot
    /// be read.
    pub file: &'a dyn Fn(&Source, &str) -> Result<Source, String>,
}

/// A variable's value that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

impl Environment<'_> {
    /// A world with nothing in it.
    pub fn nothing() -> Environment<'static> {
        Environment {
            variable: &|_| Ok(None),
            user: &|_| None,
            group: &|_| None,
            file: &|_, _| Err("there are no files here".to_owned()),
        }
    }
}

impl std::fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Environment")
    }
}

/// How a name stands in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// As it is.
    Plain,
    /// `{name}`.
    InBraces,
    /// `"name"`.
    InQuotes,
    /// Somewhere in the place that is pointed to.
    Elsewhere,
}

/// The edition this version understands.
const EDITION: u64 = 2026;

/// Beyond this many findings nobody reads on.
const MAX_FINDINGS: usize = 200;

/// Judges the trees of a policy and of what it uses, the policy's own first; a policy
/// comes only without errors, findings include warnings.
pub(crate) fn check(
    files: &[Loaded],
    environment: Environment<'_>,
) -> (Option<Policy>, Vec<Diagnostic>) {
    let Some(main) = files.first() else {
        return (None, Vec::new());
    };
    let mut checker = Checker::new(&main.source, environment);
    checker.partial = files.iter().any(|file| file.partial);
    checker.timezone(files);
    let scopes = uses::scopes(files, environment, &mut checker.findings);
    let grants = uses::grants(files);
    for ((file, scope), grant) in files.iter().zip(&scopes).zip(grants) {
        checker.enter(&file.source, Rc::clone(scope), grant);
        checker.edition(&file.tree);
        for statement in &file.tree.statements {
            checker.statement(statement);
        }
    }
    checker.enter(
        &main.source,
        scopes.first().cloned().unwrap_or_default(),
        Grant::Everything,
    );
    checker.pressures(files, &scopes);
    checker.overlapping_limits();
    checker.tests(&main.tree);
    checker.lint();
    checker.finish(files, &scopes)
}

struct Checker<'a> {
    environment: Environment<'a>,
    /// The text being checked.
    source: Source,
    scope: Rc<Scope>,
    grant: Grant,
    policy: Policy,
    /// The name of the collection being checked.
    collection: Option<String>,
    /// Some file could not be read as a whole, which has been reported.
    partial: bool,
    /// Collections that were told that an age needs a clock.
    clockless: bool,
    labels: HashMap<String, Range<usize>>,
    /// Names of collections and holds with the place they were given at.
    names: HashMap<(&'static str, String), (Source, Range<usize>)>,
    /// Where each collection's template stands.
    templates: Vec<(Source, Range<usize>)>,
    /// Where each rule stands.
    places: Vec<(Source, Range<usize>)>,
    spans: HashMap<Span, usize>,
    findings: Vec<Diagnostic>,
}

impl<'a> Checker<'a> {
    fn new(source: &Source, environment: Environment<'a>) -> Checker<'a> {
        Checker {
            environment,
            source: source.clone(),
            scope: Rc::default(),
            grant: Grant::Everything,
            policy: Policy {
                sources: Vec::new(),
                digest: String::new(),
                timezone: None,
                rules: Vec::new(),
                collections: Vec::new(),
                protections: Vec::new(),
                holds: Vec::new(),
                pressures: Vec::new(),
                breakers: Vec::new(),
                spans: Vec::new(),
                tests: Vec::new(),
                access_at: None,
                wait: None,
                access_lag: 0,
            },
            collection: None,
            partial: false,
            clockless: false,
            labels: HashMap::new(),
            names: HashMap::new(),
            templates: Vec::new(),
            places: Vec::new(),
            spans: HashMap::new(),
            findings: Vec::new(),
        }
    }

    fn enter(&mut self, source: &Source, scope: Rc<Scope>, grant: Grant) {
        self.source = source.clone();
        self.scope = scope;
        self.grant = grant;
        self.labels.clear();
    }

    fn finish(
        mut self,
        files: &[Loaded],
        scopes: &[Rc<Scope>],
    ) -> (Option<Policy>, Vec<Diagnostic>) {
        self.policy.sources = files.iter().map(|file| file.source.clone()).collect();
        self.policy.digest = digest(files, scopes);
        let broken = self.has_errors();
        ((!broken).then_some(self.policy), self.findings)
    }

    fn has_errors(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity() == Severity::Error)
    }

    fn error(
        &mut self,
        code: &'static str,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let finding = Diagnostic::error(code, &self.source, at, message).help(help);
        self.report(finding);
    }

    /// An error about a name, with the nearest of those there are; `write` is how a name
    /// is written in the place of the wrong one.
    fn unknown(&mut self, finding: Diagnostic, name: &str, known: &[String], write: Written) {
        let known = || known.iter().map(String::as_str);
        let Some(near) = nearest(name, known()) else {
            self.report(finding);
            return;
        };
        let (shown, written) = match write {
            Written::Plain => (near.to_owned(), Some(near.to_owned())),
            Written::InBraces => (format!("{{{near}}}"), Some(format!("{{{near}}}"))),
            Written::InQuotes => (near.to_owned(), Some(format!("\"{near}\""))),
            Written::Elsewhere => (near.to_owned(), None),
        };
        let finding = finding.help(format!("did you mean `{shown}`?"));
        let is_safe = !near.contains(['"', '\\']) && is_sole_nearest(name, known());
        let at = finding.span();
        self.report(match written.filter(|_| is_safe) {
            Some(written) => finding.edit(at, written),
            None => finding,
        });
    }

    fn report(&mut self, finding: Diagnostic) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        }
    }

    /// A statement that was left out without a word would be a protection lost: should
    /// that ever happen, the whole policy is refused.
    fn never_silent<T>(&mut self, item: Option<T>, at: &Range<usize>) -> Option<T> {
        if item.is_none() && !self.partial && !self.has_errors() {
            self.error(
                "R0299",
                at.clone(),
                "this statement could not be judged",
                "please report this policy; a policy that is not understood as a whole is never run",
            );
        }
        item
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
                &self.source,
                0..0,
                "this policy does not say which edition of the language it is written in",
            )
            .help("begin the file with `edition 2026`")
            .edit(0..0, "edition 2026\n\n");
            self.report(finding);
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
            let finding = Diagnostic::error("R0202", &self.source, edition.at.clone(), message)
                .help("write `edition 2026`")
                .edit(edition.at.clone(), "2026");
            self.report(finding);
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
        self.places
            .push((self.source.clone(), statement.at.clone()));
        self.policy.rules.len() - 1
    }

    /// A label names one statement of the file.
    fn label<T>(&mut self, statement: &Statement<T>) {
        let Some(label) = &statement.label else {
            return;
        };
        if let Some(first) = self.labels.get(&label.value) {
            let finding = Diagnostic::error(
                "R0205",
                &self.source,
                label.at.clone(),
                format!("the label `@{}` is used twice", label.value),
            )
            .also(first.clone(), "first used here")
            .help("give each statement a label of its own");
            self.report(finding);
            return;
        }
        self.labels.insert(label.value.clone(), label.at.clone());
    }

    /// A name that only one thing of its sort may have in the whole policy.
    fn name(&mut self, sort: &'static str, name: &Spanned<String>) {
        let key = (sort, name.value.clone());
        let Some((source, first)) = self.names.get(&key) else {
            self.names
                .insert(key, (self.source.clone(), name.at.clone()));
            return;
        };
        let message = format!("there are two {sort}s named `{}`", name.value);
        let finding = Diagnostic::error("R0205", &self.source, name.at.clone(), message);
        let finding = match source.name() == self.source.name() {
            true => finding
                .also(first.clone(), "the first one")
                .help("give one of them another name"),
            false => finding.help(format!(
                "the other stands in {}:{}; give one of them another name",
                source.name(),
                source.position(first.start).0
            )),
        };
        self.report(finding);
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

/// What decides besides the files: the texts, and what the environment put into them.
fn digest(files: &[Loaded], scopes: &[Rc<Scope>]) -> String {
    let mut hasher = blake3::Hasher::new();
    for (file, scope) in files.iter().zip(scopes) {
        for part in [file.source.name(), file.source.text()] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        for (variable, value) in &scope.from_environment {
            hasher.update(format!("\0{variable}={value}").as_bytes());
        }
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
