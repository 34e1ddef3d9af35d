//! `retain check`

use serde_json::json;

use super::{Edge, Exit, complain, explain, look, say, show_findings};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};

/// Find every mistake in the configuration and its policies.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Only these stores; all, enabled or not, when none is named.
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let mut findings = Vec::new();
        let mut checked = Vec::new();
        match crate::config::Config::load(&edge.config, &edge.environment) {
            Err(Diagnostics(found)) => findings.extend(found),
            Ok(config) => {
                findings.extend(config.warnings.clone());
                let stores = match self.stores.is_empty() {
                    true => config.stores.values().collect(),
                    false => edge.stores(&config, &self.stores)?,
                };
                for store in stores {
                    match edge.job(&config, store) {
                        Ok(job) => {
                            findings.extend(job.warnings.0.clone());
                            checked.push((store.name.clone(), store.policy.written.clone()));
                        }
                        Err(Diagnostics(found)) => findings.extend(found),
                    }
                }
            }
        }
        let findings = Diagnostics(findings);
        if edge.is_json() {
            let list: Vec<_> = findings.0.iter().map(finding).collect();
            say(&json!({ "findings": list }).to_string())?;
        } else if findings.has_errors() {
            show_findings(&findings, "nothing was touched");
        } else {
            for warning in &findings.0 {
                complain(&warning.render(look()));
            }
            for (store, policy) in &checked {
                say(&format!("store {store}: {policy} is sound"))?;
            }
        }
        if let Some(hint) = explain::hint(&findings).filter(|_| !edge.is_json()) {
            complain(&hint);
        }
        Ok(match findings.has_errors() {
            true => Exit::Refused,
            false => Exit::Done,
        })
    }
}

fn finding(finding: &Diagnostic) -> serde_json::Value {
    let source = finding.source();
    let span = finding.span();
    let (line, column) = source.position(span.start);
    let (end_line, end_column) = source.position(span.end);
    json!({
        "code": finding.code(),
        "severity": match finding.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        "message": finding.message(),
        "help": finding.help_text(),
        "file": source.name(),
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "edit": finding.edit_text().map(|edit| json!({
            "start": edit.span.start,
            "end": edit.span.end,
            "replacement": edit.replacement,
        })),
    })
}
