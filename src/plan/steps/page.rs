//! The form in which steps of one directory lie in memory, in a spool and under the digest.
//!
//! What a step has as the one before it had is not written again. The same steps are the
//! same bytes, and no others are: a digest over them names them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::super::captures::Captures;
use super::super::{Action, Indices, Ruling, Step};
use super::facts::{Common, Own, form};
use crate::packed::{append, in_one};
use crate::path::RelPath;

/// Bytes of a step with a short name, to make room for the steps of a page.
const SHORT: usize = 48;

/// One step; its directory stands before the first of a page.
#[derive(Serialize, Deserialize)]
struct StepForm<'b> {
    #[serde(serialize_with = "in_one")]
    name: &'b [u8],
    stands_for: Option<&'b [u8]>,
    own: Own,
    /// Nothing where it is as of the step before.
    common: Option<Common>,
    action: ActionForm,
    #[serde(borrow)]
    ruling: RulingForm<'b>,
    /// The same.
    reason: Option<&'b str>,
}

#[derive(Serialize, Deserialize)]
enum ActionForm {
    Remove,
    Replace { hook: usize },
    BackUp,
}

#[derive(Serialize, Deserialize)]
enum RulingForm<'b> {
    /// That of the step before.
    Same,
    /// The same but for the values of its captures.
    Values(&'b str),
    #[serde(borrow)]
    Other(WholeRuling<'b>),
}

#[derive(Serialize, Deserialize)]
struct WholeRuling<'b> {
    collection: &'b str,
    #[serde(borrow)]
    names: Vec<&'b str>,
    values: &'b str,
    rule: usize,
    unit: Option<usize>,
    pressure: Option<usize>,
    hooks: Vec<usize>,
    floors: Vec<usize>,
}

/// What the step before had.
#[derive(Clone)]
struct Before {
    common: Common,
    ruling: Arc<Ruling>,
    reason: Arc<str>,
}

/// Notes what a step has for the next one.
fn note(before: &mut Option<Before>, common: Common, ruling: &Arc<Ruling>, reason: &Arc<str>) {
    match before {
        Some(before) => {
            before.common = common;
            // Mostly it is the very same one, and then there is nothing to count.
            if !Arc::ptr_eq(&before.ruling, ruling) {
                before.ruling = Arc::clone(ruling);
            }
            if !Arc::ptr_eq(&before.reason, reason) {
                before.reason = Arc::clone(reason);
            }
        }
        None => {
            *before = Some(Before {
                common,
                ruling: Arc::clone(ruling),
                reason: Arc::clone(reason),
            });
        }
    }
}

/// Writes the steps of a page, one behind the other.
#[derive(Clone, Default)]
pub(super) struct Writer(Option<Before>);

impl Writer {
    /// A page of steps of this directory.
    pub(super) fn begin(directory: &[u8], to: &mut Vec<u8>) -> Writer {
        append(&directory, to);
        Writer(None)
    }

    pub(super) fn write(&mut self, step: &Step, to: &mut Vec<u8>) {
        // What has a field more does not compile here before that is part of the form.
        let Step {
            path,
            stands_for,
            facts,
            action,
            ruling,
            reason,
        } = step;
        let (common, own) = form(facts);
        let before = self.0.as_ref();
        let names: Vec<&str>;
        let step = StepForm {
            name: path.name(),
            stands_for: stands_for.as_deref().map(RelPath::as_bytes),
            own,
            common: before
                .is_none_or(|before| before.common != common)
                .then_some(common),
            action: match *action {
                Action::Remove => ActionForm::Remove,
                Action::Replace { hook } => ActionForm::Replace { hook },
                Action::BackUp => ActionForm::BackUp,
            },
            ruling: match before.map(|before| &before.ruling) {
                Some(known) if Arc::ptr_eq(known, ruling) || known == ruling => RulingForm::Same,
                Some(known) if is_same_but_for_values(known, ruling) => {
                    RulingForm::Values(ruling.captures.values())
                }
                Some(_) | None => {
                    names = ruling.captures.names().iter().map(String::as_str).collect();
                    RulingForm::Other(whole(ruling, names))
                }
            },
            reason: before
                .is_none_or(|before| {
                    !Arc::ptr_eq(&before.reason, reason) && before.reason != *reason
                })
                .then_some(reason),
        };
        append(&step, to);
        note(&mut self.0, common, ruling, reason);
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

fn is_same_but_for_values(a: &Ruling, b: &Ruling) -> bool {
    let Ruling {
        collection,
        captures,
        rule,
        unit,
        pressure,
        hooks,
        floors,
    } = a;
    *rule == b.rule
        && *unit == b.unit
        && *pressure == b.pressure
        && *hooks == b.hooks
        && *floors == b.floors
        && *collection == b.collection
        && captures.names() == b.captures.names()
}

fn whole<'b>(ruling: &'b Ruling, names: Vec<&'b str>) -> WholeRuling<'b> {
    let Ruling {
        collection,
        captures,
        rule,
        unit,
        pressure,
        hooks,
        floors,
    } = ruling;
    WholeRuling {
        collection,
        names,
        values: captures.values(),
        rule: *rule,
        unit: *unit,
        pressure: *pressure,
        hooks: hooks.to_vec(),
        floors: floors.to_vec(),
    }
}

/// The steps of a page; nothing where its bytes are none.
pub(super) fn read(bytes: &[u8]) -> Option<Vec<Step>> {
    let (directory, mut rest) = postcard::take_from_bytes::<&[u8]>(bytes).ok()?;
    let directory = RelPath::parse(directory).ok()?;
    let mut before: Option<Before> = None;
    let mut steps = Vec::with_capacity(rest.len() / SHORT);
    while !rest.is_empty() {
        let (form, behind) = postcard::take_from_bytes::<StepForm<'_>>(rest).ok()?;
        let (step, common) = form.read(&directory, before.as_ref())?;
        note(&mut before, common, &step.ruling, &step.reason);
        steps.push(step);
        rest = behind;
    }
    Some(steps)
}

impl StepForm<'_> {
    fn read(&self, directory: &RelPath, before: Option<&Before>) -> Option<(Step, Common)> {
        let common = self.common.or(before.map(|before| before.common))?;
        let facts = self.own.with(common)?;
        let known = before.map(|before| &before.ruling);
        let stands_for = self.stands_for.map(RelPath::parse).transpose().ok()?;
        let step = Step {
            path: directory.join(self.name).ok()?,
            stands_for: stands_for.map(Box::new),
            facts,
            action: match self.action {
                ActionForm::Remove => Action::Remove,
                ActionForm::Replace { hook } => Action::Replace { hook },
                ActionForm::BackUp => Action::BackUp,
            },
            ruling: match &self.ruling {
                RulingForm::Same => Arc::clone(known?),
                RulingForm::Values(values) => {
                    let known = known?;
                    let names = Arc::clone(known.captures.names());
                    Arc::new(Ruling {
                        captures: Captures::of_parts(names, (*values).into()),
                        ..Ruling::clone(known)
                    })
                }
                RulingForm::Other(ruling) => Arc::new(ruling.read()),
            },
            reason: match (self.reason, before) {
                (Some(reason), _) => reason.into(),
                (None, before) => Arc::clone(&before?.reason),
            },
        };
        Some((step, common))
    }
}

impl WholeRuling<'_> {
    fn read(&self) -> Ruling {
        let names: Arc<[String]> = self.names.iter().map(|&name| name.to_owned()).collect();
        Ruling {
            collection: self.collection.into(),
            captures: Captures::of_parts(names, self.values.into()),
            rule: self.rule,
            unit: self.unit,
            pressure: self.pressure,
            hooks: Indices::from_slice(&self.hooks),
            floors: Indices::from_slice(&self.floors),
        }
    }
}
