//! Findings for programs: JSON of our own, and SARIF for code review tools.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Source};
use crate::policy::Mended;

/// What `check --format json` says; what was mended only where somebody asked for it.
pub(super) fn json(findings: &Diagnostics, mended: Option<&[Mended]>) -> Value {
    let list: Vec<_> = findings.0.iter().map(finding).collect();
    let Some(mended) = mended else {
        return json!({ "findings": list });
    };
    let changes = mended.iter().flat_map(|file| {
        let name = file.source.name();
        file.changes.iter().map(move |change| {
            json!({
                "file": name,
                "code": change.code,
                "line": change.line,
                "old": change.old,
                "new": change.new,
            })
        })
    });
    json!({ "findings": list, "fixed": changes.collect::<Vec<_>>() })
}

fn finding(finding: &Diagnostic) -> Value {
    let source = finding.source();
    let span = finding.span();
    let (line, column) = source.position(span.start);
    let (end_line, end_column) = source.position(span.end);
    json!({
        "code": finding.code(),
        "severity": severity(finding),
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

fn severity(finding: &Diagnostic) -> &'static str {
    match finding.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A SARIF 2.1.0 log. Files are named relative to the configuration, so `directory` is
/// where that lies, seen from where the command was started.
///
/// Written by hand: the crate for it generates its types from the schema at every
/// build, with a generator of its own, for the dozen fields that are needed here.
pub(super) fn sarif(findings: &Diagnostics, directory: &Path) -> Value {
    let codes: BTreeSet<&str> = findings.0.iter().map(Diagnostic::code).collect();
    let rules: Vec<_> = codes.iter().map(|code| json!({ "id": code })).collect();
    let results: Vec<_> = findings
        .0
        .iter()
        .map(|finding| result(finding, directory))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "retain",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(finding: &Diagnostic, directory: &Path) -> Value {
    let source = finding.source();
    let file = json!({ "uri": uri(&directory.join(source.name())) });
    let text = match finding.help_text() {
        Some(help) => format!("{}\nhelp: {help}", finding.message()),
        None => finding.message().to_owned(),
    };
    let mut result = json!({
        "ruleId": finding.code(),
        "level": severity(finding),
        "message": { "text": text },
        "locations": [{ "physicalLocation": {
            "artifactLocation": file,
            "region": region(source, &finding.span()),
        } }],
    });
    if let (Some(edit), Some(result)) = (finding.edit_text(), result.as_object_mut()) {
        let description = finding.help_text().unwrap_or_default();
        result.insert(
            "fixes".to_owned(),
            json!([{
                "description": { "text": description },
                "artifactChanges": [{
                    "artifactLocation": file,
                    "replacements": [{
                        "deletedRegion": region(source, &edit.span),
                        "insertedContent": { "text": edit.replacement },
                    }],
                }],
            }]),
        );
    }
    result
}

/// Lines and columns from 1, the end behind the last character.
fn region(source: &Source, span: &Range<usize>) -> Value {
    let (line, column) = source.position(span.start);
    let (end_line, end_column) = source.position(span.end);
    json!({
        "startLine": line,
        "startColumn": column,
        "endLine": end_line,
        "endColumn": end_column,
    })
}

/// A path as a relative reference (RFC 3986): what is no letter, digit or one of
/// `-._~/` is escaped.
fn uri(path: &Path) -> String {
    let mut uri = String::new();
    let text = path.to_string_lossy();
    if path.is_absolute() {
        uri.push_str("file://");
    }
    for byte in text.strip_prefix("./").unwrap_or(&text).bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_reference() {
        assert_eq!(uri(Path::new("./a b/ü.retain")), "a%20b/%C3%BC.retain");
        assert_eq!(uri(Path::new("/srv/p.retain")), "file:///srv/p.retain");
    }
}
