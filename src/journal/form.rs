//! How batches lie in the database: one compact blob per batch, versioned, not a row
//! per file.
//!
//! The order of fields and of variants is the form: new ones go to the end.

use serde::{Deserialize, Serialize};

use super::{Intent, Outcome};
use crate::entry::{Facts, FileId, Kind};
use crate::packed::{append_all, in_one};
use crate::path::RelPath;
use crate::time::Stamp;

/// The first byte of every blob.
const FORM: u8 = 1;

/// One intent. Paths come in order, so most of each is the one before.
#[derive(Serialize, Deserialize)]
struct IntentForm<'b> {
    shared: usize,
    #[serde(serialize_with = "in_one")]
    rest: &'b [u8],
    rule: usize,
    device: u64,
    inode: u64,
    size: u64,
    allocated: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    links: u64,
    mode: u32,
    owner: u32,
    group: u32,
    kind: u8,
}

/// One outcome.
#[derive(Serialize, Deserialize)]
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
    Trashed,
    Busy { reason: String },
    Held { hold: String },
    Remains { freed: u64 },
    Undone,
    Purged { freed: u64 },
    Whole { because: String },
    Relieved,
    Futile,
    DirectoryRemoved { freed: u64 },
    DirectoryKept { reason: String },
    Replaced { freed: u64 },
    Refused,
    BackedUp,
}

/// Each is written as it is made: of a batch of thousands there is not one list more.
fn write<F: Serialize>(forms: impl ExactSizeIterator<Item = F>) -> Result<Vec<u8>, String> {
    let mut blob = vec![FORM];
    append_all(forms, &mut blob).map_err(|e| e.to_string())?;
    Ok(blob)
}

fn read<'b, T: Deserialize<'b>>(blob: &'b [u8]) -> Result<T, String> {
    match blob.split_first() {
        Some((&FORM, rest)) => postcard::from_bytes(rest).map_err(|e| e.to_string()),
        Some((form, _)) => Err(format!("a batch has form {form}")),
        None => Err("a batch is empty".to_owned()),
    }
}

pub(super) fn write_intents(intents: &[Intent]) -> Result<Vec<u8>, String> {
    let mut before: &[u8] = &[];
    write(intents.iter().map(|intent| {
        let form = IntentForm::of(intent, before);
        before = intent.path.as_bytes();
        form
    }))
}

pub(super) fn read_intents(blob: &[u8]) -> Result<Vec<Intent>, String> {
    let forms: Vec<IntentForm<'_>> = read(blob)?;
    let mut before: Vec<u8> = Vec::new();
    forms
        .into_iter()
        .map(|form| {
            let intent = form.read(&before)?;
            before = intent.path.as_bytes().to_vec();
            Ok(intent)
        })
        .collect()
}

pub(super) fn write_outcomes(outcomes: &[Outcome]) -> Result<Vec<u8>, String> {
    write(outcomes.iter().map(OutcomeForm::from))
}

pub(super) fn read_outcomes(blob: &[u8]) -> Result<Vec<Outcome>, String> {
    let forms: Vec<OutcomeForm> = read(blob)?;
    Ok(forms.into_iter().map(Outcome::from).collect())
}

pub(super) fn write_files(files: &[(RelPath, Outcome)]) -> Result<Vec<u8>, String> {
    let files = files.iter();
    write(files.map(|(path, outcome)| (path.as_bytes(), OutcomeForm::from(outcome))))
}

pub(super) fn read_files(blob: &[u8]) -> Result<Vec<(RelPath, Outcome)>, String> {
    let forms: Vec<(Vec<u8>, OutcomeForm)> = read(blob)?;
    forms
        .into_iter()
        .map(|(path, outcome)| Ok((parse(&path)?, Outcome::from(outcome))))
        .collect()
}

fn parse(path: &[u8]) -> Result<RelPath, String> {
    RelPath::parse(path).map_err(|error| error.to_string())
}

impl<'b> IntentForm<'b> {
    fn of(intent: &'b Intent, before: &[u8]) -> IntentForm<'b> {
        let facts = &intent.facts;
        let stamp = |stamp: Stamp| (stamp.seconds(), stamp.subsec_nanoseconds());
        let path = intent.path.as_bytes();
        let shared = path.iter().zip(before).take_while(|(a, b)| a == b).count();
        IntentForm {
            shared,
            rest: path.get(shared..).unwrap_or_default(),
            rule: intent.rule,
            device: facts.id.device,
            inode: facts.id.inode,
            size: facts.size,
            allocated: facts.allocated,
            modified: stamp(facts.modified),
            changed: stamp(facts.changed),
            links: facts.links,
            mode: facts.mode,
            owner: facts.owner,
            group: facts.group,
            kind: match facts.kind {
                Kind::File => 0,
                Kind::Directory => 1,
                Kind::Symlink => 2,
                Kind::Special => 3,
            },
        }
    }

    fn read(self, before: &[u8]) -> Result<Intent, String> {
        let stamp = |(seconds, nanoseconds)| Stamp::new(seconds, nanoseconds);
        let kind = match self.kind {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink,
            3 => Kind::Special,
            other => return Err(format!("there is no kind {other}")),
        };
        let mut path = before
            .get(..self.shared)
            .ok_or("a path shares more than there is")?
            .to_vec();
        path.extend_from_slice(self.rest);
        Ok(Intent {
            path: parse(&path)?,
            rule: self.rule,
            facts: Facts {
                kind,
                id: FileId {
                    device: self.device,
                    inode: self.inode,
                },
                size: self.size,
                allocated: self.allocated,
                modified: stamp(self.modified),
                changed: stamp(self.changed),
                // Reading a file changes this, so it proves nothing and is not kept.
                accessed: stamp(self.modified),
                created: None,
                links: self.links,
                mode: self.mode,
                owner: self.owner,
                group: self.group,
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
            Outcome::Trashed => OutcomeForm::Trashed,
            Outcome::Busy { reason } => OutcomeForm::Busy { reason },
            Outcome::Held { hold } => OutcomeForm::Held { hold },
            Outcome::Remains { freed } => OutcomeForm::Remains { freed },
            Outcome::Replaced { freed } => OutcomeForm::Replaced { freed },
            Outcome::Refused => OutcomeForm::Refused,
            Outcome::BackedUp => OutcomeForm::BackedUp,
            Outcome::Undone => OutcomeForm::Undone,
            Outcome::Purged { freed } => OutcomeForm::Purged { freed },
            Outcome::Whole { because } => OutcomeForm::Whole {
                because: because.to_string(),
            },
            Outcome::Relieved => OutcomeForm::Relieved,
            Outcome::Futile => OutcomeForm::Futile,
            Outcome::DirectoryRemoved { freed } => OutcomeForm::DirectoryRemoved { freed },
            Outcome::DirectoryKept { reason } => OutcomeForm::DirectoryKept { reason },
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
            OutcomeForm::Trashed => Outcome::Trashed,
            OutcomeForm::Busy { reason } => Outcome::Busy { reason },
            OutcomeForm::Held { hold } => Outcome::Held { hold },
            OutcomeForm::Remains { freed } => Outcome::Remains { freed },
            OutcomeForm::Replaced { freed } => Outcome::Replaced { freed },
            OutcomeForm::Refused => Outcome::Refused,
            OutcomeForm::BackedUp => Outcome::BackedUp,
            OutcomeForm::Undone => Outcome::Undone,
            OutcomeForm::Purged { freed } => Outcome::Purged { freed },
            OutcomeForm::Whole { because } => Outcome::Whole {
                because: RelPath::unescape(&because).unwrap_or_else(RelPath::root),
            },
            OutcomeForm::Relieved => Outcome::Relieved,
            OutcomeForm::Futile => Outcome::Futile,
            OutcomeForm::DirectoryRemoved { freed } => Outcome::DirectoryRemoved { freed },
            OutcomeForm::DirectoryKept { reason } => Outcome::DirectoryKept { reason },
        }
    }
}
