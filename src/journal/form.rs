//! How batches lie in the database: one text per batch, versioned, not a row per file.

use serde::{Deserialize, Serialize};

use super::{Intent, Outcome};
use crate::entry::{Facts, FileId, Kind};
use crate::path::RelPath;
use crate::time::Stamp;

/// One intent as a list, because a run has as many as it removes files: path, rule,
/// `[device, inode]`, `[size, allocated]`, mtime, ctime, links, mode, owner, group,
/// kind.
#[derive(Serialize, Deserialize)]
struct IntentForm(
    String,
    usize,
    (u64, u64),
    (u64, u64),
    (i64, u32),
    (i64, u32),
    u64,
    u32,
    (u32, u32),
    u8,
);

/// One outcome.
#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
enum OutcomeForm {
    Removed { freed: u64 },
    Vanished,
    Changed,
    FloorGone,
    Kept { plugin: String, reason: String },
    Blocked { plugin: String, reason: String },
    Unverifiable { reason: String },
    Failed { reason: String },
    InTrash { place: String, reason: String },
    Interrupted,
}

pub(super) fn write_intents(intents: &[Intent]) -> Result<String, serde_json::Error> {
    let forms: Vec<IntentForm> = intents.iter().map(IntentForm::from).collect();
    serde_json::to_string(&forms)
}

pub(super) fn read_intents(text: &str) -> Result<Vec<Intent>, String> {
    let forms: Vec<IntentForm> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    forms.into_iter().map(IntentForm::read).collect()
}

pub(super) fn write_outcomes(outcomes: &[Outcome]) -> Result<String, serde_json::Error> {
    let forms: Vec<OutcomeForm> = outcomes.iter().map(OutcomeForm::from).collect();
    serde_json::to_string(&forms)
}

pub(super) fn read_outcomes(text: &str) -> Result<Vec<Outcome>, String> {
    let forms: Vec<OutcomeForm> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(forms.into_iter().map(Outcome::from).collect())
}

impl From<&Intent> for IntentForm {
    fn from(intent: &Intent) -> IntentForm {
        let facts = &intent.facts;
        let stamp = |stamp: Stamp| (stamp.seconds(), stamp.subsec_nanoseconds());
        let kind = match facts.kind {
            Kind::File => 0,
            Kind::Directory => 1,
            Kind::Symlink => 2,
            Kind::Special => 3,
        };
        IntentForm(
            intent.path.to_string(),
            intent.rule,
            (facts.id.device, facts.id.inode),
            (facts.size, facts.allocated),
            stamp(facts.modified),
            stamp(facts.changed),
            facts.links,
            facts.mode,
            (facts.owner, facts.group),
            kind,
        )
    }
}

impl IntentForm {
    fn read(self) -> Result<Intent, String> {
        let IntentForm(path, rule, id, sizes, modified, changed, links, mode, owner, kind) = self;
        let stamp = |(seconds, nanoseconds)| Stamp::new(seconds, nanoseconds);
        let kind = match kind {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink,
            3 => Kind::Special,
            other => return Err(format!("there is no kind {other}")),
        };
        let path = RelPath::unescape(&path).ok_or_else(|| format!("`{path}` is no path"))?;
        Ok(Intent {
            path,
            rule,
            facts: Facts {
                kind,
                id: FileId {
                    device: id.0,
                    inode: id.1,
                },
                size: sizes.0,
                allocated: sizes.1,
                modified: stamp(modified),
                changed: stamp(changed),
                // Reading a file changes this, so it proves nothing and is not kept.
                accessed: stamp(modified),
                created: None,
                links,
                mode,
                owner: owner.0,
                group: owner.1,
            },
        })
    }
}

impl From<&Outcome> for OutcomeForm {
    fn from(outcome: &Outcome) -> OutcomeForm {
        match outcome.clone() {
            Outcome::Removed { freed } => OutcomeForm::Removed { freed },
            Outcome::Vanished => OutcomeForm::Vanished,
            Outcome::Changed => OutcomeForm::Changed,
            Outcome::FloorGone => OutcomeForm::FloorGone,
            Outcome::Kept { plugin, reason } => OutcomeForm::Kept { plugin, reason },
            Outcome::Blocked { plugin, reason } => OutcomeForm::Blocked { plugin, reason },
            Outcome::Unverifiable { reason } => OutcomeForm::Unverifiable { reason },
            Outcome::Failed { reason } => OutcomeForm::Failed { reason },
            Outcome::InTrash { place, reason } => OutcomeForm::InTrash { place, reason },
            Outcome::Interrupted => OutcomeForm::Interrupted,
        }
    }
}

impl From<OutcomeForm> for Outcome {
    fn from(form: OutcomeForm) -> Outcome {
        match form {
            OutcomeForm::Removed { freed } => Outcome::Removed { freed },
            OutcomeForm::Vanished => Outcome::Vanished,
            OutcomeForm::Changed => Outcome::Changed,
            OutcomeForm::FloorGone => Outcome::FloorGone,
            OutcomeForm::Kept { plugin, reason } => Outcome::Kept { plugin, reason },
            OutcomeForm::Blocked { plugin, reason } => Outcome::Blocked { plugin, reason },
            OutcomeForm::Unverifiable { reason } => Outcome::Unverifiable { reason },
            OutcomeForm::Failed { reason } => Outcome::Failed { reason },
            OutcomeForm::InTrash { place, reason } => Outcome::InTrash { place, reason },
            OutcomeForm::Interrupted => Outcome::Interrupted,
        }
    }
}
