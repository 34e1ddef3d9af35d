//! The retention language: text into a policy, and a policy's answers about files.

mod ast;
mod check;
mod explain;
mod ir;
mod matcher;
mod parse;
mod template;

use crate::diagnostic::{Diagnostics, Source};

pub use ast::{Clock, Comparison, Measure, Order};
pub use check::Environment;
pub use explain::Said;
pub use ir::{Hook, Policy, Rule};
pub use matcher::{Matcher, Membership, Protector, Truth, Verdict};

pub(crate) use ir::{Bound, Breaker, Collection, Condition, Floor, Limit};
pub(crate) use matcher::{reading, subject};

/// A policy without errors, and the warnings that came with it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The policy.
    pub policy: Policy,
    /// What somebody should look at.
    pub warnings: Diagnostics,
}

/// Reads and checks a policy; every mistake in it is reported at once.
pub fn load(source: &Source, environment: Environment<'_>) -> Result<Checked, Diagnostics> {
    match parse::parse(source) {
        parse::Parsed::Whole(file) => match check::check(source, &file, environment) {
            (Some(policy), warnings) => Ok(Checked {
                policy,
                warnings: sorted(warnings),
            }),
            (None, findings) => Err(sorted(findings)),
        },
        parse::Parsed::Partial(partial) => {
            let (_, mut further) = check::check(source, partial.for_report_only(), environment);
            // A broken statement may have taken the edition along; it has been reported.
            if source
                .text()
                .lines()
                .any(|line| line.trim_start().starts_with("edition "))
            {
                further.retain(|finding| finding.code() != "R0201");
            }
            let mut findings = partial.into_findings().0;
            findings.extend(further);
            Err(sorted(findings))
        }
    }
}

fn sorted(mut findings: Vec<crate::diagnostic::Diagnostic>) -> Diagnostics {
    findings.sort_by_key(|finding| (finding.span().start, finding.span().end));
    Diagnostics(findings)
}
