//! The language without the rest of retain: an instrumented build of its modules alone
//! takes a minute, one with the plugin runtime a quarter of an hour.

#![allow(
    dead_code,
    unused_imports,
    missing_docs,
    unreachable_pub,
    reason = "modules of another crate"
)]

#[path = "../../src/units.rs"]
pub mod units;

#[path = "../../src/time.rs"]
pub mod time;

#[path = "../../src/path.rs"]
pub mod path;

#[path = "../../src/entry.rs"]
pub mod entry;

#[path = "../../src/diagnostic.rs"]
pub mod diagnostic;

#[path = "../../src/policy/mod.rs"]
pub mod policy;

use diagnostic::{Diagnostics, Look, Source};
use policy::{Checked, Environment, load};

/// A text of a policy, unless the bytes are none.
pub fn source(data: &[u8]) -> Option<Source> {
    let text = std::str::from_utf8(data).ok()?;
    Some(Source::new("fuzz", text))
}

/// Reads and judges a policy; what is wrong with it has to be drawn.
pub fn judge(source: &Source) -> Result<Checked, Diagnostics> {
    let environment = Environment {
        variable: &|name| Ok(name.bytes().next().map(|first| (first % 90).to_string())),
        user: &|_| Some(1000),
        group: &|_| Some(1000),
        // Itself under another name, so that a file that uses one has something to use.
        file: &|from, name| match name {
            "same" => Ok(Source::new(name, from.text())),
            _ => Err("no such file or directory".to_owned()),
        },
    };
    let judged = load(source, environment);
    let findings = match &judged {
        Ok(checked) => &checked.warnings,
        Err(findings) => findings,
    };
    assert_eq!(judged.is_err(), findings.has_errors(), "{findings}");
    for finding in &findings.0 {
        assert!(!finding.render(Look::Plain).is_empty());
        let text = finding.source().text();
        if let Some(edit) = finding.edit_text() {
            assert!(
                text.get(edit.span.clone()).is_some(),
                "{edit:?} cuts a character"
            );
        }
        assert!(
            text.get(finding.span()).is_some(),
            "{finding:?} points nowhere"
        );
    }
    judged
}
