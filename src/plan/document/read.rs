//! A plan read from its document, step by step; whatever is not exactly a plan is refused.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::form::{DirectoryForm, FloorForm, MemberForm, NoticeForm, StepForm, path};
use super::{Body, Document, DocumentError, VERSION};
use crate::entry::Symlinks;
use crate::path::RelPath;
use crate::plan::{
    Action, Expired, Hook, Packer, Plan, Pressed, Rule, Step, Steps, Totals, Tripped, Uncovered,
    Unmet, WholeDirectory,
};
use crate::time::Now;

/// Reads a document; see [`Plan::read_json`].
pub(super) fn plan(from: impl Read) -> Result<Plan, DocumentError> {
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

/// Steps, each packed as it is read.
pub(super) struct ReadSteps(Steps);

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
