//! The retention language: text into a policy, and a policy's answers about files.

mod ast;
mod check;
mod explain;
mod fix;
mod format;
#[cfg(test)]
pub(crate) mod generate;
mod guards;
mod horizon;
mod ir;
mod matcher;
mod parse;
mod prefixes;
#[cfg(test)]
pub(crate) mod reference;
mod request;
mod template;
mod within;

use crate::diagnostic::{Diagnostics, Source};

pub use ast::{Fate, Measure, Period};
pub use check::{Environment, NotText};
pub use explain::Said;
pub use fix::{Change, Mended, fix};
pub use format::{WIDTH, format};
pub(crate) use ir::Expiry;
pub use ir::{Clock, Expected, Given, Hold, Hook, Mark, Order, Policy, Rule, TestCase};
pub use matcher::{Matcher, Membership, Memberships, Protector, Truth, Verdict};
pub use request::Request;
pub use within::Within;

pub(crate) use guards::guard;
pub(crate) use horizon::Horizon;
pub(crate) use ir::{Bound, Breaker, Collection, Condition, Floor, Holds, Limit, Stage};
pub(crate) use matcher::{Subject, ordinal};
pub(crate) use template::{Ordinal, Values};

/// The syntax tree of a sound policy, for the evaluator it is held against.
#[cfg(test)]
pub(crate) fn tree(source: &Source) -> ast::File {
    match parse::parse(source) {
        parse::Parsed::Whole(tree) => tree,
        parse::Parsed::Partial(partial) => panic!("{:?}", partial.for_report_only().1),
    }
}

/// A policy without errors, and the warnings that came with it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The policy.
    pub policy: Policy,
    /// What somebody should look at.
    pub warnings: Diagnostics,
}

/// Reads and checks a policy and what it uses; every mistake in it is reported at once.
pub fn load(source: &Source, environment: Environment<'_>) -> Result<Checked, Diagnostics> {
    let (files, mut findings) = check::load_all(source, environment);
    let (policy, further) = check::check(&files, environment);
    let whole = findings.is_empty();
    let broken: Vec<&str> = files
        .iter()
        .filter(|file| file.partial)
        .map(|file| file.source.name())
        .collect();
    // A broken statement may have taken the edition along; it has been reported.
    findings.extend(further.into_iter().filter(|finding| {
        let source = finding.source();
        let lost = finding.code() == "R0201"
            && broken.contains(&source.name())
            && source
                .text()
                .lines()
                .any(|line| line.trim_start().starts_with("edition "));
        !lost
    }));
    let findings = sorted(findings);
    match policy {
        // What the strict grammar did not read as a whole never runs.
        Some(policy) if whole => Ok(Checked {
            policy,
            warnings: findings,
        }),
        Some(_) | None => Err(findings),
    }
}

/// Whether a text is a template; `name` is where it was written. A hold whose template
/// cannot be read would hold everything, and nobody would know why.
pub fn check_template(name: &str, template: &str) -> Result<(), Diagnostics> {
    let quoted = template.replace('\\', "\\\\").replace('"', "\\\"");
    let text = format!("edition 2026\nprotect \"{quoted}\"\n");
    load(&Source::new(name, text), Environment::nothing()).map(|_| ())
}

/// The texts of a policy, its own first, then what it uses; and why a used one cannot
/// be read. Nothing else about them is judged.
pub fn sources(source: &Source, environment: Environment<'_>) -> (Vec<Source>, Diagnostics) {
    let (files, mut findings) = check::load_all(source, environment);
    findings.retain(|finding| finding.code() == "R0230");
    let sources = files.into_iter().map(|file| file.source).collect();
    (sources, Diagnostics(findings))
}

fn sorted(mut findings: Vec<crate::diagnostic::Diagnostic>) -> Diagnostics {
    findings.sort_by_key(|finding| {
        let span = finding.span();
        (finding.source().name().to_owned(), span.start, span.end)
    });
    Diagnostics(findings)
}
