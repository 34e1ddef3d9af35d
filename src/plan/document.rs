//! A plan as a document: what `plan` writes and `apply` reads back.
//!
//! The form is versioned and converted by hand, so a change of the planner's types
//! cannot silently change what a saved plan means. It has the plan's digest; a document
//! that was edited is refused.

mod form;
mod read;

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::marker::PhantomData;

use serde::ser::{Error as _, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};

use super::digest;
use super::{Floor, Plan, Steps};
use form::{
    DirectoryForm, ExpiredForm, FloorForm, HookForm, MemberForm, NoticeForm, PressedForm, RuleForm,
    StepForm, TotalsForm, TrippedForm, UncoveredForm, UnitForm, UnmetForm,
};
use read::ReadSteps;

/// Version of the form written here.
const VERSION: u32 = 4;

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
        read::plan(from)
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
