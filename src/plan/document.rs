//! A plan as a document: what `plan` writes and `apply` reads back.
//!
//! The form is versioned and converted by hand, so a change of the planner's types
//! cannot silently change what a saved plan means. It has the plan's digest; a document
//! that was edited is refused.

mod form;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest;
use super::{
    Action, Expired, Floor, Hook, Packer, Plan, Pressed, Rule, Step, Steps, Totals, Tripped,
    Uncovered, Unmet, WholeDirectory,
};
use crate::entry::Symlinks;
use crate::path::RelPath;
use crate::time::Now;
use form::{
    DirectoryForm, ExpiredForm, FloorForm, HookForm, MemberForm, NoticeForm, PressedForm, RuleForm,
    StepForm, TotalsForm, TrippedForm, UncoveredForm, UnitForm, UnmetForm, path,
};

/// Version of the form written here.
const VERSION: u32 = 3;

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

#[derive(Serialize)]
struct Document<B> {
    version: u32,
    digest: String,
    plan: B,
}

/// Of floors and steps one form is made after the other, as a plan may have millions.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<Floors = Vec<FloorForm>, Steps = ReadSteps> {
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
type Written<'a> = Body<Forms<'a, Floor, FloorForm>, StepForms<'a>>;

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

/// Steps, each brought into its form as it is written.
struct StepForms<'a>(Option<&'a Steps>);

impl Serialize for StepForms<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(self.0.map(Steps::len))?;
        for step in self.0.into_iter().flatten() {
            list.serialize_element(&StepForm::from(&step))?;
        }
        self.0
            .map_or(Ok(()), Steps::check)
            .map_err(S::Error::custom)?;
        list.end()
    }
}

/// Steps, each packed as it is read.
struct ReadSteps(Steps);

impl<'de> Deserialize<'de> for ReadSteps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ReadSteps, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = ReadSteps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of steps")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ReadSteps, A::Error> {
                let mut packer = Packer::default();
                while let Some(form) = list.next_element::<StepForm<'_>>()? {
                    let step = form.read().map_err(|error| match error {
                        DocumentError::Broken(what) => A::Error::custom(what),
                        other => A::Error::custom(other),
                    });
                    packer.push(&step?);
                }
                Ok(ReadSteps(packer.in_order()))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// A document that is read as far as its version allows.
struct ReadDocument<'v> {
    /// The version, where it is another one.
    other: &'v mut Option<u32>,
}

impl<'de> DeserializeSeed<'de> for ReadDocument<'_> {
    type Value = Document<Body>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadDocument<'_> {
    type Value = Document<Body>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plan")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut version, mut digest, mut plan) = (None, None, None);
        while let Some(field) = fields.next_key::<Cow<'_, str>>()? {
            match &*field {
                "version" => {
                    let found: u32 = fields.next_value()?;
                    if found != VERSION {
                        *self.other = Some(found);
                        return Err(A::Error::custom("another version"));
                    }
                    version = Some(found);
                }
                "digest" => digest = Some(fields.next_value()?),
                // What it has in it depends on the version.
                "plan" if version.is_some() => plan = Some(fields.next_value()?),
                "plan" => return Err(A::Error::custom("its `version` has to come before it")),
                other => {
                    return Err(A::Error::unknown_field(
                        other,
                        &["version", "digest", "plan"],
                    ));
                }
            }
        }
        Ok(Document {
            version: version.ok_or_else(|| A::Error::missing_field("version"))?,
            digest: digest.ok_or_else(|| A::Error::missing_field("digest"))?,
            plan: plan.ok_or_else(|| A::Error::missing_field("plan"))?,
        })
    }
}

impl Plan {
    /// The digest that names this plan: BLAKE3, in hexadecimal.
    pub fn digest(&self) -> String {
        let body = Body {
            floors: Forms::of(&[]),
            steps: StepForms(None),
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
        Plan::read_json(text.as_bytes())
    }

    /// The same from a file, of which little is in memory at once.
    pub fn read_json(from: impl Read) -> Result<Plan, DocumentError> {
        let mut other = None;
        let mut text = serde_json::Deserializer::from_reader(BufReader::new(from));
        let document = ReadDocument { other: &mut other }
            .deserialize(&mut text)
            .and_then(|document| text.end().map(|()| document));
        if let Some(version) = other {
            return Err(DocumentError::Version(version));
        }
        let document = document?;
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
            steps: StepForms(Some(&plan.steps)),
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
            steps: self.steps.0,
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
        .hooks
        .iter()
        .map(|h| h.rule)
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
    let mut before: Option<RelPath> = None;
    let mut ordered = true;
    let mut pressed = HashSet::new();
    for step in &plan.steps {
        let ruling = &step.ruling;
        let replacing = match step.action {
            Action::Replace { hook } => Some(hook),
            Action::Remove | Action::BackUp => None,
        };
        let missing = [
            ("a rule", ruling.rule >= rules),
            (
                "a hook",
                exceeds(
                    ruling.hooks.iter().copied().chain(replacing),
                    plan.hooks.len(),
                ),
            ),
            (
                "a floor",
                exceeds(ruling.floors.iter().copied(), plan.floors.len()),
            ),
            ("a directory", exceeds(ruling.unit, plan.units.len())),
            ("a pressure", exceeds(ruling.pressure, plan.pressures.len())),
        ];
        if let Some((what, _)) = missing.iter().find(|(_, is_missing)| *is_missing) {
            return broken(what);
        }
        if !Symlinks::Files.admits(step.facts.kind) || step.path.is_root() {
            return Err(DocumentError::Broken(
                "a step is about something that is not a file".to_owned(),
            ));
        }
        if ruling.pressure.is_some() {
            ordered &= pressed.insert(step.path);
        } else {
            ordered &= before.is_none_or(|before| before < step.path);
            before = Some(step.path);
        }
    }
    let mut ordinary = plan.steps.iter();
    let mut is_twice = |step: Step| step.ruling.pressure.is_none() && pressed.contains(&step.path);
    if !ordered || !pressed.is_empty() && ordinary.any(&mut is_twice) {
        return Err(DocumentError::Broken(
            "its steps are not in path order, each once".to_owned(),
        ));
    }
    Ok(())
}

/// Whether some index is none of so many.
fn exceeds(indices: impl IntoIterator<Item = usize>, count: usize) -> bool {
    indices.into_iter().any(|index| index >= count)
}
