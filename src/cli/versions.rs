//! Which archived versions of which files are meant.

use anyhow::Context;
use serde_json::json;

use super::{at_seconds, say};
use crate::diagnostic::Source;
use crate::journal::StoredReceipt;
use crate::path::RelPath;
use crate::policy::{self, Environment, Matcher, Policy};
use crate::time::Now;
use crate::units::Size;

/// A template that archived paths are held against.
pub(super) struct Pattern(Policy);

impl Pattern {
    /// A text with `*` or `?` in it, read as a policy's template is.
    pub(super) fn parse(text: &str) -> Option<anyhow::Result<Pattern>> {
        text.contains(['*', '?']).then(|| {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let policy =
                format!("edition 2026\ncollection chosen at \"{quoted}\" {{ keep always }}\n");
            let source = Source::new("the pattern".to_owned(), policy);
            let checked = policy::load(&source, Environment::nothing())?;
            Ok(Pattern(checked.policy))
        })
    }

    pub(super) fn choose(&self, mut receipts: Vec<StoredReceipt>) -> Vec<StoredReceipt> {
        let matcher = Matcher::new(&self.0, &Now::from_clock());
        receipts.retain(|stored| {
            let path = RelPath::unescape(&stored.receipt.path);
            path.is_some_and(|path| !matcher.memberships(&path).is_empty())
        });
        receipts
    }
}

/// A moment a person writes: RFC 3339, or a date or a date and time in the machine's
/// time zone.
pub(super) fn moment(text: &str) -> anyhow::Result<jiff::Timestamp> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Ok(moment);
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok();
    let local = civil.and_then(|civil| jiff::tz::TimeZone::system().to_timestamp(civil).ok());
    local.with_context(|| {
        format!(
            "`{text}` is no time; write `2027-01-31`, `2027-01-31 12:00` or `2027-01-31T12:00:00Z`"
        )
    })
}

/// Shows versions, the newest of each file first.
pub(super) fn list(mut receipts: Vec<StoredReceipt>, as_json: bool) -> anyhow::Result<()> {
    receipts.sort_by(|a, b| {
        let (a, b) = (&a.receipt, &b.receipt);
        (&a.store, &a.path, b.modified()).cmp(&(&b.store, &b.path, a.modified()))
    });
    for StoredReceipt { run, receipt } in &receipts {
        let modified = receipt.modified();
        match as_json {
            true => say(&json!({
                "store": receipt.store,
                "path": receipt.path,
                "modified": modified.to_string(),
                "bytes": receipt.source.size,
                "blake3": receipt.source.blake3,
                "archived": receipt.at,
                "run": run.as_str(),
                "plugin": receipt.plugin.name,
                "destination": receipt.destination.name,
                "in_place": receipt.in_place,
            })
            .to_string())?,
            false => say(&format!(
                "{}  modified {modified}, {}, archived {} by {} into {}, run {run}",
                receipt.path,
                Size(receipt.source.size),
                at_seconds(&receipt.at),
                receipt.plugin.name,
                receipt.destination.name
            ))?,
        }
    }
    Ok(())
}
