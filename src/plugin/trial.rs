//! A plugin by itself, for whoever writes or examines one: one call on one file, with
//! the limits and the proof of a run, and nothing of a store or a journal.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::archive::{Archiver, Part, Restorer, in_time};
use super::asked::{Asked, Key};
use super::blobs::{Restored, Source, Target};
use super::builtin::builtin;
use super::engine::Machine;
use super::guest::{Guest, RunFacts};
use super::load::{Plugin, Prepared, read};
use super::review::{Review, Reviewer};
use super::surroundings::Surroundings;
use super::trouble::{Trouble, TroubleKind};
use super::{Kind, PluginError};
use crate::config::{Filter, Grants};
use crate::destination::Destination;
use crate::path::RelPath;
use crate::receipt::{Content, ObjectRecord};
use crate::store::Root;
use crate::time::{Now, Stamp};

/// The file name some commands take for a plugin that is part of the program.
const BUILTIN: &str = "builtin:";

/// A loaded plugin with what it is called with.
#[derive(Debug)]
pub struct Trial {
    plugin: Plugin,
    machine: Arc<Machine>,
    prepared: Prepared,
    settings: Arc<str>,
    run: RunFacts,
    surroundings: Arc<Surroundings>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a compiled plugin")
    }
}

/// A file a plugin is asked about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Its path in the store that is pretended.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u64,
    /// Seconds of its modification time.
    pub modified: i64,
    /// The idempotency key.
    pub key: String,
    /// From 1.
    pub attempt: u32,
}

/// What a destination pretends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// Bytes until it says that it is full; nothing where it never does.
    pub space: Option<u64>,
    /// Bytes until the call is ended, as when the operator has had enough.
    pub ends_after: Option<u64>,
}

/// An archive that was proved and published.
#[derive(Clone, Debug)]
pub struct Archived {
    /// Its objects.
    pub objects: Vec<ObjectRecord>,
    /// Its note.
    pub note: Vec<u8>,
    /// What was archived.
    pub content: Content,
}

/// How a call failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failed {
    /// What that means for another attempt.
    pub class: FailedClass,
    /// Why, in words.
    pub reason: String,
}

/// What a reviewer makes of one file: why it is kept, or nothing where it may go.
pub type Answer = Result<Option<String>, Failed>;

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedClass {
    /// It may succeed later.
    Retryable,
    /// Not for this file.
    Permanent,
    /// For no file before something is configured otherwise.
    Misconfigured,
    /// It did not return but trapped, or was stopped.
    Ended,
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Failed {
        Failed {
            class: match trouble.kind {
                TroubleKind::Retryable => FailedClass::Retryable,
                TroubleKind::Permanent | TroubleKind::Changed | TroubleKind::Declined => {
                    FailedClass::Permanent
                }
                TroubleKind::Misconfigured => FailedClass::Misconfigured,
                TroubleKind::Trapped | TroubleKind::OutOfTime | TroubleKind::Cancelled => {
                    FailedClass::Ended
                }
            },
            reason: trouble.reason,
        }
    }
}

impl Trial {
    /// Loads a component from a file, or one of the program's own (`builtin:backup`).
    pub fn load(
        file: &Path,
        settings: &Map<String, Value>,
        grants: &Grants,
    ) -> Result<Trial, PluginError> {
        let (shown, wasm) = component(file)?;
        let plugin = Plugin::from_bytes(&shown, shown.clone(), wasm, grants, None)?;
        let settings = plugin.settings_with(settings)?;
        Trial::of(plugin, settings)
    }

    /// Loads a command that reads stdin and writes stdout.
    pub fn load_filter(
        file: &Path,
        filter: &Filter,
        grants: &Grants,
    ) -> Result<Trial, PluginError> {
        let (shown, wasm) = component(file)?;
        let plugin = Plugin::filter(&shown, shown.clone(), wasm, grants, None)?;
        Trial::of(plugin, super::filter::settings(filter))
    }

    fn of(plugin: Plugin, settings: Map<String, Value>) -> Result<Trial, PluginError> {
        let machine = Machine::shared()?;
        let prepared = plugin.prepare(&machine)?;
        Ok(Trial {
            plugin,
            machine,
            prepared,
            settings: Value::from(settings).to_string().into(),
            run: RunFacts::new("trial".to_owned(), Now::from_clock()),
            surroundings: Surroundings::pretended(),
        })
    }

    /// The same for a reviewer's files that lie in a directory: the store that is
    /// pretended. Otherwise nothing lies beside them.
    pub fn in_store(self, root: &Root) -> Trial {
        Trial {
            surroundings: Surroundings::of(root),
            ..self
        }
    }

    /// What it does with files.
    pub fn kind(&self) -> Kind {
        self.plugin.manifest().kind
    }

    /// Archives one file into a destination, proves that and publishes it.
    pub fn archive(
        &self,
        subject: &Subject,
        file: &File,
        destination: &Arc<Destination>,
        room: Room,
    ) -> Result<Archived, Failed> {
        let Some(craft) = self.prepared.craft() else {
            return Err(Trouble::permanent("it is no archiver").into());
        };
        let archiver = Archiver {
            machine: &self.machine,
            plugin: &self.plugin,
            craft,
            settings: Arc::clone(&self.settings),
            run: &self.run,
            target: Target {
                destination: Arc::clone(destination),
                limit: super::approve::output_limit(&self.plugin, subject.size),
                space: room.space,
                ends_after: room.ends_after,
            },
        };
        let asked = asked(subject);
        let proved = archiver.archive(&asked.entry(0, &asked.texts()), file)?;
        let archived = Archived {
            objects: proved.objects.iter().map(Part::record).collect(),
            note: proved.note.clone(),
            content: proved.content.clone(),
        };
        super::approve::publish_objects(destination, proved.objects)?;
        Ok(archived)
    }

    /// Restores an archive into nothing, and says what came.
    pub fn restore(
        &self,
        archived: &Archived,
        destination: &Destination,
    ) -> Result<Content, Failed> {
        let Some(craft) = self.prepared.craft() else {
            return Err(Trouble::permanent("it is no archiver").into());
        };
        let restorer = Restorer {
            machine: &self.machine,
            plugin: &self.plugin,
            craft,
            settings: Arc::clone(&self.settings),
            run: &self.run,
            limits: None,
        };
        let open = |object: &ObjectRecord| {
            let file = destination
                .parse_name(&object.name)
                .and_then(|name| destination.open_object(&name))
                .map_err(|error| Trouble::permanent(error.to_string()))?;
            Ok(Source::new(file, object.size))
        };
        let objects = archived.objects.iter().map(open);
        let objects = objects.collect::<Result<Vec<_>, Trouble>>()?;
        let restored = Restored::new(archived.content.size, None);
        Ok(restorer.restore(&archived.note, objects, restored)?)
    }

    /// Reviews files; for each, why it is kept, or nothing where it may go.
    pub fn review(&self, subjects: &[Subject]) -> Vec<Answer> {
        match self.reviewer() {
            Ok(reviewer) => reviewer
                .review(subjects.iter().map(asked))
                .into_iter()
                .map(answer)
                .collect(),
            Err(refusal) => subjects.iter().map(|_| Err(refusal.clone())).collect(),
        }
    }

    /// The same in calls of so many files to a single instance, to measure what fresh
    /// ones cost. A run never does this: one batch would see what another left behind.
    pub fn review_in_one_instance(
        &self,
        subjects: &[Subject],
        most: usize,
    ) -> Result<Vec<Answer>, Failed> {
        let reviewer = self.reviewer()?;
        let mut instance = reviewer.instance(subjects.len())?;
        let mut answers = Vec::with_capacity(subjects.len());
        for subjects in subjects.chunks(most.max(1)) {
            let batch: Vec<_> = subjects.iter().map(asked).collect();
            let batch = instance.review(&batch)?;
            answers.extend(batch.into_iter().map(answer));
        }
        Ok(answers)
    }

    fn reviewer(&self) -> Result<Reviewer<'_>, Failed> {
        match &self.prepared {
            Prepared::Reviewer(prepared) => Ok(Reviewer {
                machine: &self.machine,
                plugin: &self.plugin,
                prepared,
                settings: Arc::clone(&self.settings),
                run: &self.run,
                surroundings: &self.surroundings,
            }),
            Prepared::Archiver(_) | Prepared::Filter(_) => {
                Err(Trouble::permanent("it is no reviewer").into())
            }
        }
    }

    /// Makes an instance as for a call, asks nothing of it and drops it.
    pub fn instantiate(&self) -> Result<(), Failed> {
        let terms = self.plugin.terms(Arc::clone(&self.settings), &self.run, 0);
        let wall = terms.wall;
        let mut store = Guest::store(&self.machine, terms);
        let made = async {
            match &self.prepared {
                Prepared::Reviewer(it) => it.instantiate(&mut store).await.map(drop),
                Prepared::Archiver(it) => it.instantiate_async(&mut store).await.map(drop),
                Prepared::Filter(it) => it.instantiate(&mut store).await,
            }
        };
        let made = self.machine.wait(in_time(wall, &self.run.cancel, made));
        made.map_err(|error| Trouble::ended(&error, store.data()).into())
    }
}

fn answer(review: Result<Review, Trouble>) -> Answer {
    match review {
        Ok(Review::Proceed) => Ok(None),
        Ok(Review::Keep(reason)) => Ok(Some(reason)),
        Err(trouble) => Err(trouble.into()),
    }
}

/// A component's bytes, and what it is called.
fn component(file: &Path) -> Result<(String, Vec<u8>), PluginError> {
    let shown = file.display().to_string();
    let wasm = match shown.strip_prefix(BUILTIN) {
        Some(name) => builtin(&shown, name)?,
        None => read(&shown, file)?,
    };
    Ok((shown, wasm))
}

fn asked(subject: &Subject) -> Asked<'_> {
    Asked {
        key: Key::Known(&subject.key),
        store: "trial",
        size: subject.size,
        allocated: subject.size,
        modified: Stamp::new(subject.modified, 0),
        links: subject.links,
        collection: "trial",
        rule: "trial.retain:1",
        attempt: subject.attempt,
        ..Asked::at(&subject.path)
    }
}
