//! The parts of a document, each in the form it is written in and read back from.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::DocumentError;
use crate::entry::{Facts, FileId, Kind};
use crate::path::RelPath;
use crate::plan::{
    Action, Captures, Directory, Expired, Floor, Hook, Mark, Notice, Otherwise, Pressed, Rule,
    Ruling, Step, Tally,
};
use crate::receipt::Proof;
use crate::time::Stamp;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleForm {
    pub(super) file: String,
    pub(super) line: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) collection: Option<String>,
    pub(super) text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HookForm {
    pub(super) rule: usize,
    pub(super) plugin: String,
    pub(super) arguments: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) destination: Option<String>,
    pub(super) otherwise: OtherwiseForm,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) in_place: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) backs_up: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Proof>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) configured: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OtherwiseForm {
    Keep,
    DeleteAnyway,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FloorForm {
    pub(super) rule: usize,
    pub(super) members: Vec<MemberForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitForm {
    pub(super) path: String,
    /// The directories below it.
    pub(super) below: Vec<MemberForm>,
    pub(super) identity: FactsForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberForm {
    pub(super) path: String,
    pub(super) identity: FactsForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpiredForm {
    pub(super) receipt: i64,
    pub(super) path: String,
    pub(super) key: String,
    pub(super) destination: String,
    pub(super) archived: String,
    pub(super) rule: usize,
}

impl From<&Expired> for ExpiredForm {
    fn from(expired: &Expired) -> ExpiredForm {
        let Expired {
            receipt,
            path,
            key,
            destination,
            archived,
            rule,
        } = expired.clone();
        ExpiredForm {
            receipt,
            path,
            key,
            destination,
            archived,
            rule,
        }
    }
}

impl From<ExpiredForm> for Expired {
    fn from(form: ExpiredForm) -> Expired {
        Expired {
            receipt: form.receipt,
            path: form.path,
            key: form.key,
            destination: form.destination,
            archived: form.archived,
            rule: form.rule,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepForm<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) collection: Cow<'a, str>,
    pub(super) captures: Captures,
    pub(super) rule: usize,
    pub(super) reason: Cow<'a, str>,
    pub(super) hooks: Cow<'a, [usize]>,
    pub(super) floors: Cow<'a, [usize]>,
    /// The hook whose archive takes the file's place; without one the file goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) replaced_by: Option<usize>,
    /// Whether it is archived and stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) backed_up: bool,
    /// The file whose archive it is, in that file's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stands_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unit: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pressure: Option<usize>,
    pub(super) identity: FactsForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PressedForm {
    pub(super) rule: usize,
    pub(super) of: FullForm,
    pub(super) above: u64,
    pub(super) below: u64,
    pub(super) seen: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FullForm {
    Disk,
    Store,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DirectoryForm {
    pub(super) path: String,
    pub(super) collection: String,
    pub(super) rule: usize,
    pub(super) reason: String,
    pub(super) identity: FactsForm,
}

/// Stamps are `[seconds, nanoseconds]` since 1970 UTC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FactsForm {
    pub(super) kind: KindForm,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) modified: (i64, u32),
    pub(super) changed: (i64, u32),
    pub(super) accessed: (i64, u32),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<(i64, u32)>,
    pub(super) links: u64,
    pub(super) mode: u32,
    pub(super) owner: u32,
    pub(super) group: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum KindForm {
    File,
    Directory,
    Symlink,
    Special,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnmetForm {
    pub(super) rule: usize,
    pub(super) group: String,
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoticeForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<String>,
    pub(super) message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrippedForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rule: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) collection: Option<String>,
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TotalsForm {
    pub(super) covered: TallyForm,
    pub(super) uncovered: UncoveredForm,
    pub(super) protected: TallyForm,
    pub(super) removed: TallyForm,
    pub(super) replaced: TallyForm,
    #[serde(default, skip_serializing_if = "TallyForm::is_empty")]
    pub(super) backed_up: TallyForm,
    pub(super) unreadable: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UncoveredForm {
    pub(super) files: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TallyForm {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl TallyForm {
    pub(super) fn is_empty(&self) -> bool {
        self.files == 0
    }
}

pub(super) fn path(text: &str) -> Result<RelPath, DocumentError> {
    RelPath::unescape(text)
        .ok_or_else(|| DocumentError::Broken(format!("`{text}` is no path in a store")))
}

impl From<&Rule> for RuleForm {
    fn from(rule: &Rule) -> RuleForm {
        let Rule {
            file,
            line,
            label,
            because,
            collection,
            text,
        } = rule.clone();
        RuleForm {
            file,
            line,
            label,
            because,
            collection,
            text,
        }
    }
}

impl From<RuleForm> for Rule {
    fn from(form: RuleForm) -> Rule {
        let RuleForm {
            file,
            line,
            label,
            because,
            collection,
            text,
        } = form;
        Rule {
            file,
            line,
            label,
            because,
            collection,
            text,
        }
    }
}

impl From<&Hook> for HookForm {
    fn from(hook: &Hook) -> HookForm {
        let Hook {
            rule,
            plugin,
            arguments,
            destination,
            otherwise,
            in_place,
            backs_up,
            proof,
            configured,
        } = hook.clone();
        let otherwise = match otherwise {
            Otherwise::Keep => OtherwiseForm::Keep,
            Otherwise::DeleteAnyway => OtherwiseForm::DeleteAnyway,
        };
        HookForm {
            rule,
            plugin,
            arguments,
            destination,
            otherwise,
            in_place,
            backs_up,
            proof,
            configured,
        }
    }
}

impl From<HookForm> for Hook {
    fn from(form: HookForm) -> Hook {
        let HookForm {
            rule,
            plugin,
            arguments,
            destination,
            otherwise,
            in_place,
            backs_up,
            proof,
            configured,
        } = form;
        let otherwise = match otherwise {
            OtherwiseForm::Keep => Otherwise::Keep,
            OtherwiseForm::DeleteAnyway => Otherwise::DeleteAnyway,
        };
        Hook {
            rule,
            plugin,
            arguments,
            destination,
            otherwise,
            in_place,
            backs_up,
            proof,
            configured,
        }
    }
}

impl From<&(RelPath, Facts)> for MemberForm {
    fn from((path, facts): &(RelPath, Facts)) -> MemberForm {
        MemberForm {
            path: path.to_string(),
            identity: facts.into(),
        }
    }
}

impl MemberForm {
    pub(super) fn read(self) -> Result<(RelPath, Facts), DocumentError> {
        Ok((path(&self.path)?, self.identity.into()))
    }
}

impl From<&Floor> for FloorForm {
    fn from(floor: &Floor) -> FloorForm {
        FloorForm {
            rule: floor.rule,
            members: floor
                .members
                .iter()
                .flatten()
                .map(|member| MemberForm::from(&member))
                .collect(),
        }
    }
}

impl FloorForm {
    pub(super) fn read(self) -> Result<Floor, DocumentError> {
        let members = self.members.into_iter().map(MemberForm::read);
        Ok(Floor {
            rule: self.rule,
            members: members.collect::<Result<_, DocumentError>>()?,
        })
    }
}

impl<'a> From<&'a Step> for StepForm<'a> {
    fn from(step: &'a Step) -> StepForm<'a> {
        StepForm {
            path: step.path.shown(),
            collection: Cow::Borrowed(&*step.ruling.collection),
            captures: step.ruling.captures.clone(),
            rule: step.ruling.rule,
            reason: Cow::Borrowed(&*step.reason),
            hooks: Cow::Borrowed(&step.ruling.hooks),
            floors: Cow::Borrowed(&step.ruling.floors),
            replaced_by: match step.action {
                Action::Remove | Action::BackUp => None,
                Action::Replace { hook } => Some(hook),
            },
            backed_up: step.action == Action::BackUp,
            stands_for: step.stands_for.as_ref().map(ToString::to_string),
            unit: step.ruling.unit,
            pressure: step.ruling.pressure,
            identity: (&step.facts).into(),
        }
    }
}

impl From<&Pressed> for PressedForm {
    fn from(pressed: &Pressed) -> PressedForm {
        let (of, above, below) = match pressed.mark {
            Mark::Disk { above, below } => (FullForm::Disk, above, below),
            Mark::Store { above, below } => (FullForm::Store, above, below),
        };
        PressedForm {
            rule: pressed.rule,
            of,
            above,
            below,
            seen: pressed.seen,
        }
    }
}

impl From<PressedForm> for Pressed {
    fn from(form: PressedForm) -> Pressed {
        let (above, below) = (form.above, form.below);
        Pressed {
            rule: form.rule,
            mark: match form.of {
                FullForm::Disk => Mark::Disk { above, below },
                FullForm::Store => Mark::Store { above, below },
            },
            seen: form.seen,
            order: Vec::new(),
        }
    }
}

impl From<&Directory> for DirectoryForm {
    fn from(directory: &Directory) -> DirectoryForm {
        DirectoryForm {
            path: directory.path.to_string(),
            collection: directory.collection.clone(),
            rule: directory.rule,
            reason: directory.reason.clone(),
            identity: (&directory.facts).into(),
        }
    }
}

impl DirectoryForm {
    pub(super) fn read(self) -> Result<Directory, DocumentError> {
        Ok(Directory {
            path: path(&self.path)?,
            facts: self.identity.into(),
            collection: self.collection,
            rule: self.rule,
            reason: self.reason,
        })
    }
}

impl StepForm<'_> {
    pub(super) fn read(self) -> Result<Step, DocumentError> {
        let StepForm {
            path: text,
            collection,
            captures,
            rule,
            reason,
            hooks,
            floors,
            replaced_by,
            backed_up,
            stands_for,
            unit,
            pressure,
            identity,
        } = self;
        Ok(Step {
            path: path(&text)?,
            stands_for: stands_for.as_deref().map(path).transpose()?.map(Box::new),
            facts: identity.into(),
            action: match (replaced_by, backed_up) {
                (_, true) => Action::BackUp,
                (None, false) => Action::Remove,
                (Some(hook), false) => Action::Replace { hook },
            },
            ruling: Arc::new(Ruling {
                collection: collection.into(),
                captures,
                rule,
                unit,
                pressure,
                hooks: hooks.iter().copied().collect(),
                floors: floors.iter().copied().collect(),
            }),
            reason: reason.into(),
        })
    }
}

impl NoticeForm {
    pub(super) fn read(self) -> Result<Notice, DocumentError> {
        // What is said about the root itself is shown with a dot.
        let path = match self.path.as_deref() {
            Some(".") => Some(RelPath::root()),
            other => other.map(path).transpose()?,
        };
        Ok(Notice {
            path,
            message: self.message,
        })
    }
}

impl From<&Facts> for FactsForm {
    fn from(facts: &Facts) -> FactsForm {
        let stamp = |stamp: Stamp| (stamp.seconds(), stamp.subsec_nanoseconds());
        FactsForm {
            kind: match facts.kind {
                Kind::File => KindForm::File,
                Kind::Directory => KindForm::Directory,
                Kind::Symlink => KindForm::Symlink,
                Kind::Special => KindForm::Special,
            },
            device: facts.id.device,
            inode: facts.id.inode,
            size: facts.size,
            allocated: facts.allocated,
            modified: stamp(facts.modified),
            changed: stamp(facts.changed),
            accessed: stamp(facts.accessed),
            created: facts.created.map(stamp),
            links: facts.links,
            mode: facts.mode,
            owner: facts.owner,
            group: facts.group,
        }
    }
}

impl From<FactsForm> for Facts {
    fn from(form: FactsForm) -> Facts {
        let stamp = |(seconds, nanoseconds)| Stamp::new(seconds, nanoseconds);
        Facts {
            kind: match form.kind {
                KindForm::File => Kind::File,
                KindForm::Directory => Kind::Directory,
                KindForm::Symlink => Kind::Symlink,
                KindForm::Special => Kind::Special,
            },
            id: FileId {
                device: form.device,
                inode: form.inode,
            },
            size: form.size,
            allocated: form.allocated,
            modified: stamp(form.modified),
            changed: stamp(form.changed),
            accessed: stamp(form.accessed),
            created: form.created.map(stamp),
            links: form.links,
            mode: form.mode,
            owner: form.owner,
            group: form.group,
        }
    }
}

impl From<Tally> for TallyForm {
    fn from(tally: Tally) -> TallyForm {
        TallyForm {
            files: tally.files,
            bytes: tally.bytes,
        }
    }
}

impl From<TallyForm> for Tally {
    fn from(form: TallyForm) -> Tally {
        Tally {
            files: form.files,
            bytes: form.bytes,
        }
    }
}
