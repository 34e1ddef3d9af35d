//! A plan as a document: what `plan` writes and `apply` reads back.
//!
//! The form is versioned and converted by hand, so a change of the planner's types
//! cannot silently change what a saved plan means. It has the plan's digest; a document
//! that was edited is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::digest;
use super::{
    Action, Captures, Directory, Expired, Floor, Hook, Mark, Notice, Otherwise, Plan, Pressed,
    Rule, Ruling, Step, Tally, Totals, Tripped, Uncovered, Unmet, WholeDirectory,
};
use crate::entry::{Facts, FileId, Kind, Symlinks};
use crate::path::RelPath;
use crate::receipt::Proof;
use crate::time::{Now, Stamp};

/// Version of the form written here.
const VERSION: u32 = 2;

/// How many bytes of a document are written at once.
const PIECE: usize = 64 * 1024;

/// Why a document is no plan.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON, or not of this form.
    #[error("this is not a plan: {0}")]
    Form(#[from] serde_json::Error),
    /// Written by another version.
    #[error("this plan has form {0}, and this version of retain reads form {VERSION}")]
    Version(u32),
    /// The digest does not belong to the body.
    #[error(
        "this plan was changed after it was made: its digest is `{stated}`, its content's is `{actual}`"
    )]
    Digest {
        /// What the document says.
        stated: String,
        /// What its content hashes to.
        actual: String,
    },
    /// A part that parses but cannot be.
    #[error("this plan is broken: {0}")]
    Broken(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<B> {
    version: u32,
    digest: String,
    plan: B,
}

/// What is read has its floors and steps as forms; what is written makes one form after
/// the other, as a plan may have millions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<Floors = Vec<FloorForm>, Steps = Vec<StepForm<'static>>> {
    store: String,
    root: String,
    now: String,
    policy: String,
    basis: BTreeMap<String, String>,
    totals: TotalsForm,
    tripped: Vec<TrippedForm>,
    rules: Vec<RuleForm>,
    hooks: Vec<HookForm>,
    floors: Floors,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    units: Vec<UnitForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pressures: Vec<PressedForm>,
    steps: Steps,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    directories: Vec<DirectoryForm>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expired: Vec<ExpiredForm>,
    unmet: Vec<UnmetForm>,
    notices: Vec<NoticeForm>,
}

/// A body as it is written.
type Written<'a> = Body<Forms<'a, Floor, FloorForm>, Forms<'a, Step, StepForm<'a>>>;

/// Parts of a plan that are brought into their form `F` as they are written.
struct Forms<'a, T, F> {
    parts: &'a [T],
    form: PhantomData<F>,
}

impl<'a, T, F> Forms<'a, T, F> {
    fn of(parts: &'a [T]) -> Forms<'a, T, F> {
        Forms {
            parts,
            form: PhantomData,
        }
    }
}

impl<'a, T, F: From<&'a T> + Serialize> Serialize for Forms<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.parts.iter().map(F::from))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    file: String,
    line: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HookForm {
    rule: usize,
    plugin: String,
    arguments: serde_json::Map<String, serde_json::Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    otherwise: OtherwiseForm,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    in_place: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    backs_up: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    configured: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OtherwiseForm {
    Keep,
    DeleteAnyway,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorForm {
    rule: usize,
    members: Vec<MemberForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitForm {
    path: String,
    /// The directories below it.
    below: Vec<MemberForm>,
    identity: FactsForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberForm {
    path: String,
    identity: FactsForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpiredForm {
    receipt: i64,
    path: String,
    key: String,
    destination: String,
    archived: String,
    rule: usize,
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
struct StepForm<'a> {
    path: Cow<'a, str>,
    collection: Cow<'a, str>,
    captures: Captures,
    rule: usize,
    reason: Cow<'a, str>,
    hooks: Cow<'a, [usize]>,
    floors: Cow<'a, [usize]>,
    /// The hook whose archive takes the file's place; without one the file goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_by: Option<usize>,
    /// Whether it is archived and stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    backed_up: bool,
    /// The file whose archive it is, in that file's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stands_for: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unit: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pressure: Option<usize>,
    identity: FactsForm,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PressedForm {
    rule: usize,
    of: FullForm,
    above: u64,
    below: u64,
    seen: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum FullForm {
    Disk,
    Store,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DirectoryForm {
    path: String,
    collection: String,
    rule: usize,
    reason: String,
    identity: FactsForm,
}

/// Stamps are `[seconds, nanoseconds]` since 1970 UTC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsForm {
    kind: KindForm,
    device: u64,
    inode: u64,
    size: u64,
    allocated: u64,
    modified: (i64, u32),
    changed: (i64, u32),
    accessed: (i64, u32),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<(i64, u32)>,
    links: u64,
    mode: u32,
    owner: u32,
    group: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindForm {
    File,
    Directory,
    Symlink,
    Special,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnmetForm {
    rule: usize,
    group: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoticeForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrippedForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    collection: Option<String>,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TotalsForm {
    covered: TallyForm,
    uncovered: UncoveredForm,
    protected: TallyForm,
    removed: TallyForm,
    replaced: TallyForm,
    #[serde(default, skip_serializing_if = "TallyForm::is_empty")]
    backed_up: TallyForm,
    unreadable: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UncoveredForm {
    files: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TallyForm {
    files: u64,
    bytes: u64,
}

impl TallyForm {
    fn is_empty(&self) -> bool {
        self.files == 0
    }
}

impl Plan {
    /// The digest that names this plan: BLAKE3, in hexadecimal.
    pub fn digest(&self) -> String {
        let body = Body {
            floors: Forms::of(&[]),
            steps: Forms::of(&[]),
            ..Written::from(self)
        };
        digest::of(&body, &self.floors, &self.steps)
    }

    /// The document, one line of JSON a step so that it can be read and compared.
    pub fn to_json(&self) -> String {
        // The form holds nothing that JSON cannot: no maps with other keys than text.
        serde_json::to_string_pretty(&self.document()).unwrap_or_default()
    }

    /// [`Plan::to_json`] written part by part, for a plan of which a second copy in
    /// memory would be too much.
    pub fn write_json(&self, to: impl Write) -> io::Result<()> {
        let mut to = BufWriter::with_capacity(PIECE, to);
        serde_json::to_writer_pretty(&mut to, &self.document())?;
        to.flush()
    }

    fn document(&self) -> Document<Written<'_>> {
        Document {
            version: VERSION,
            digest: self.digest(),
            plan: Written::from(self),
        }
    }

    /// Reads a document back; whatever is not exactly a plan is refused.
    pub fn from_json(text: &str) -> Result<Plan, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let Head { version } = serde_json::from_str(text)?;
        if version != VERSION {
            return Err(DocumentError::Version(version));
        }
        let document: Document<Body> = serde_json::from_str(text)?;
        let plan = document.plan.read()?;
        let actual = plan.digest();
        match actual == document.digest {
            true => Ok(plan),
            false => Err(DocumentError::Digest {
                stated: document.digest,
                actual,
            }),
        }
    }
}

impl<'a> From<&'a Plan> for Written<'a> {
    fn from(plan: &'a Plan) -> Written<'a> {
        Body {
            store: plan.store.clone(),
            root: plan.root.clone(),
            now: plan.now.timestamp().to_string(),
            policy: plan.policy.clone(),
            basis: plan.basis.clone(),
            totals: TotalsForm {
                covered: plan.totals.covered.into(),
                uncovered: UncoveredForm {
                    files: plan.totals.uncovered.files,
                    bytes: plan.totals.uncovered.bytes,
                },
                protected: plan.totals.protected.into(),
                removed: plan.totals.removed.into(),
                replaced: plan.totals.replaced.into(),
                backed_up: plan.totals.backed_up.into(),
                unreadable: plan.totals.unreadable,
            },
            tripped: plan
                .tripped
                .iter()
                .map(|t| TrippedForm {
                    rule: t.rule,
                    collection: t.collection.clone(),
                    reason: t.reason.clone(),
                })
                .collect(),
            rules: plan.rules.iter().map(RuleForm::from).collect(),
            hooks: plan.hooks.iter().map(HookForm::from).collect(),
            floors: Forms::of(&plan.floors),
            units: plan
                .units
                .iter()
                .map(|unit| UnitForm {
                    path: unit.path.to_string(),
                    below: unit.below.iter().map(MemberForm::from).collect(),
                    identity: (&unit.facts).into(),
                })
                .collect(),
            pressures: plan.pressures.iter().map(PressedForm::from).collect(),
            steps: Forms::of(&plan.steps),
            directories: plan.directories.iter().map(DirectoryForm::from).collect(),
            expired: plan.expired.iter().map(ExpiredForm::from).collect(),
            unmet: plan
                .unmet
                .iter()
                .map(|u| UnmetForm {
                    rule: u.rule,
                    group: u.group.clone(),
                    reason: u.reason.clone(),
                })
                .collect(),
            notices: plan
                .notices
                .iter()
                .map(|n| NoticeForm {
                    path: n.path.as_ref().map(ToString::to_string),
                    message: n.message.clone(),
                })
                .collect(),
        }
    }
}

impl Body {
    fn read(self) -> Result<Plan, DocumentError> {
        let now: jiff::Timestamp = self
            .now
            .parse()
            .map_err(|_| DocumentError::Broken(format!("`{}` is no time", self.now)))?;
        let plan = Plan {
            store: self.store,
            root: self.root,
            now: Now::at(now),
            policy: self.policy,
            basis: self.basis,
            rules: self.rules.into_iter().map(Rule::from).collect(),
            hooks: self.hooks.into_iter().map(Hook::from).collect(),
            floors: self
                .floors
                .into_iter()
                .map(FloorForm::read)
                .collect::<Result<_, _>>()?,
            units: self
                .units
                .into_iter()
                .map(|unit| {
                    Ok(WholeDirectory {
                        path: path(&unit.path)?,
                        below: unit
                            .below
                            .into_iter()
                            .map(MemberForm::read)
                            .collect::<Result<_, _>>()?,
                        facts: unit.identity.into(),
                    })
                })
                .collect::<Result<_, DocumentError>>()?,
            pressures: self.pressures.into_iter().map(Pressed::from).collect(),
            steps: self
                .steps
                .into_iter()
                .map(StepForm::read)
                .collect::<Result<_, _>>()?,
            directories: self
                .directories
                .into_iter()
                .map(DirectoryForm::read)
                .collect::<Result<_, _>>()?,
            expired: self.expired.into_iter().map(Expired::from).collect(),
            unmet: self
                .unmet
                .into_iter()
                .map(|u| Unmet {
                    rule: u.rule,
                    group: u.group,
                    reason: u.reason,
                })
                .collect(),
            notices: self
                .notices
                .into_iter()
                .map(NoticeForm::read)
                .collect::<Result<_, _>>()?,
            totals: Totals {
                covered: self.totals.covered.into(),
                uncovered: Uncovered {
                    files: self.totals.uncovered.files,
                    bytes: self.totals.uncovered.bytes,
                },
                protected: self.totals.protected.into(),
                removed: self.totals.removed.into(),
                replaced: self.totals.replaced.into(),
                backed_up: self.totals.backed_up.into(),
                unreadable: self.totals.unreadable,
            },
            tripped: self
                .tripped
                .into_iter()
                .map(|t| Tripped {
                    rule: t.rule,
                    collection: t.collection,
                    reason: t.reason,
                })
                .collect(),
        };
        check_indices(&plan)?;
        Ok(plan)
    }
}

/// A digest proves that nothing was edited, not that a program wrote it well.
fn check_indices(plan: &Plan) -> Result<(), DocumentError> {
    let broken = |what: &str| {
        Err(DocumentError::Broken(format!(
            "it names {what} it does not contain"
        )))
    };
    let rules = plan.rules.len();
    let named = plan
        .steps
        .iter()
        .map(|step| step.ruling.rule)
        .chain(plan.hooks.iter().map(|h| h.rule))
        .chain(plan.expired.iter().map(|e| e.rule))
        .chain(plan.floors.iter().map(|f| f.rule))
        .chain(plan.pressures.iter().map(|p| p.rule))
        .chain(plan.directories.iter().map(|d| d.rule));
    if named
        .chain(plan.unmet.iter().map(|u| u.rule))
        .chain(plan.tripped.iter().filter_map(|t| t.rule))
        .any(|rule| rule >= rules)
    {
        return broken("a rule");
    }
    if plan
        .steps
        .iter()
        .flat_map(|step| &step.ruling.hooks)
        .any(|&hook| hook >= plan.hooks.len())
    {
        return broken("a hook");
    }
    if plan
        .steps
        .iter()
        .flat_map(|step| &step.ruling.floors)
        .any(|&floor| floor >= plan.floors.len())
    {
        return broken("a floor");
    }
    let missing = |of: &dyn Fn(&Step) -> Option<usize>, count: usize| {
        plan.steps.iter().filter_map(of).any(|index| index >= count)
    };
    let replacing = |step: &Step| match step.action {
        Action::Replace { hook } => Some(hook),
        Action::Remove | Action::BackUp => None,
    };
    if missing(&replacing, plan.hooks.len()) {
        return broken("a hook");
    }
    if missing(&|step| step.ruling.unit, plan.units.len()) {
        return broken("a directory");
    }
    if missing(&|step| step.ruling.pressure, plan.pressures.len()) {
        return broken("a pressure");
    }
    let mut paths: Vec<&RelPath> = plan.steps.iter().map(|step| &step.path).collect();
    paths.sort();
    let ordinary = plan
        .steps
        .iter()
        .filter(|step| step.ruling.pressure.is_none());
    if paths
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a == b))
        || !ordinary.is_sorted_by(|a, b| a.path < b.path)
    {
        return Err(DocumentError::Broken(
            "its steps are not in path order, each once".to_owned(),
        ));
    }
    if plan
        .steps
        .iter()
        .any(|step| !Symlinks::Files.admits(step.facts.kind) || step.path.is_root())
    {
        return Err(DocumentError::Broken(
            "a step is about something that is not a file".to_owned(),
        ));
    }
    Ok(())
}

fn path(text: &str) -> Result<RelPath, DocumentError> {
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
    fn read(self) -> Result<(RelPath, Facts), DocumentError> {
        Ok((path(&self.path)?, self.identity.into()))
    }
}

impl From<&Floor> for FloorForm {
    fn from(floor: &Floor) -> FloorForm {
        FloorForm {
            rule: floor.rule,
            members: floor.members.iter().map(MemberForm::from).collect(),
        }
    }
}

impl FloorForm {
    fn read(self) -> Result<Floor, DocumentError> {
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
    fn read(self) -> Result<Directory, DocumentError> {
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
    fn read(self) -> Result<Step, DocumentError> {
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
    fn read(self) -> Result<Notice, DocumentError> {
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
