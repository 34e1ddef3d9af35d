//! Archivers: a file's bytes stored, and shown to come back.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wasmtime::component::Resource;

use super::blobs::{
    Finished, Hash, Restored, Shelf, Sink, Source, Target, checkpoint, content_of, refusal,
};
use super::contract::{ArchivePluginPre, Draft, GuestEntry};
use super::engine::Machine;
use super::filter::{self, Command};
use super::guest::{Guest, OutOfTime, RunFacts, Terms, interrupted};
use super::load::Plugin;
use super::trouble::{Trouble, TroubleKind};
use crate::cancel::Cancel;
use crate::destination::{DestinationError, Interrupted, ObjectName, OnExisting, Staged};
use crate::receipt::{Content, Limits, ObjectRecord, Proof};
use crate::time::Stamp;

/// The longest component file systems take, in bytes; receipts need some of it.
const COMPONENT: usize = 255;

/// Bytes from which on a thread of its own hashes a file: below, making one takes
/// longer.
const BESIDE: u64 = 1 << 20;

/// The most bytes of a note.
const NOTE: usize = 64 << 10;

/// What a timeout waits beyond the guest's own limit: the guest is interrupted by
/// the epoch first, this is for one that is parked in a call of ours.
const GRACE: Duration = Duration::from_millis(500);

/// How often is looked whether a call is still wanted that is parked in one of ours.
const LOOK: Duration = Duration::from_millis(100);

/// An archive that was proved, and that nobody can see yet.
#[derive(Debug)]
pub(super) struct Proved {
    /// In the order of the plugin's draft.
    pub(super) objects: Vec<Part>,
    pub(super) note: Vec<u8>,
    pub(super) content: Content,
    pub(super) proof: Proof,
}

/// One object of an archive.
#[derive(Debug)]
pub(super) enum Part {
    /// Written by this archive, and to be published with it.
    New(Finished),
    /// Published before, by another archive that it is shared with.
    Shared(Shared),
}

/// An object that is somebody else's as well.
#[derive(Debug)]
pub(super) struct Shared {
    name: ObjectName,
    file: File,
    content: Content,
}

impl Part {
    pub(super) fn name(&self) -> &ObjectName {
        match self {
            Part::New(finished) => &finished.name,
            Part::Shared(shared) => &shared.name,
        }
    }

    pub(super) fn record(&self) -> ObjectRecord {
        match self {
            Part::New(finished) => record(finished.name.as_str(), &finished.staged),
            Part::Shared(shared) => ObjectRecord {
                name: shared.name.as_str().to_owned(),
                size: shared.content.size,
                blake3: shared.content.blake3.clone(),
            },
        }
    }

    /// Makes its bytes durable, where they are this archive's.
    fn sync(&self) -> std::io::Result<()> {
        match self {
            Part::New(finished) => finished.staged.file().sync_all(),
            Part::Shared(_) => Ok(()),
        }
    }

    fn source(&self) -> Result<Source, Trouble> {
        let source = match self {
            Part::New(finished) => {
                let size = finished.staged.size();
                let staged = &finished.staged;
                staged.open_read().map(|file| match staged.is_read_back() {
                    true => Source::hashed(
                        file,
                        Content {
                            size,
                            blake3: staged.blake3().to_hex().to_string(),
                        },
                    ),
                    false => Source::new(file, size),
                })
            }
            Part::Shared(shared) => {
                let file = shared.file.try_clone().map_err(|e| unreadable(&e))?;
                Ok(Source::new(file, shared.content.size))
            }
        };
        source.map_err(|error| Trouble::permanent(error.to_string()))
    }
}

/// What an archiver is asked about one file.
pub(super) struct Archiver<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plugin: &'a Plugin,
    pub(super) craft: Craft<'a>,
    pub(super) settings: Arc<str>,
    pub(super) run: &'a RunFacts,
    pub(super) target: Target,
}

/// What stores and restores: a plugin that knows the contract, or a command.
#[derive(Clone, Copy)]
pub(super) enum Craft<'a> {
    Plugin(&'a ArchivePluginPre<Guest>),
    Filter(&'a Command),
}

impl Archiver<'_> {
    /// Archives one open file and proves the archive.
    pub(super) fn archive(&self, entry: &GuestEntry<'_>, file: &File) -> Result<Proved, Trouble> {
        let hashed = Hash::default();
        let (draft, shelf) = match entry.size < BESIDE {
            true => self.store(entry, file, &hashed),
            false => self.store_and_hash(entry, file, &hashed),
        }?;
        let objects = self.named(&draft, shelf)?;
        let content = match hashed.get() {
            Some(Some(content)) => content.clone(),
            Some(None) | None => self.hash(file, entry.size)?,
        };
        let proof = self.plugin.proof();
        match proof {
            Proof::Restore => {
                let prove = || self.prove(&draft.note, &objects, &content);
                match entry.size < BESIDE {
                    true => prove()?,
                    false => while_it_is_synced(&objects, prove)?,
                }
            }
            Proof::ReadBack => self.read_back(&objects, &content)?,
            Proof::None => {}
        }
        Ok(Proved {
            objects,
            note: draft.note,
            content,
            proof,
        })
    }

    /// Stores a large file while another thread hashes it: by the time the guest has
    /// compressed or moved the bytes, ours is done as well.
    fn store_and_hash(
        &self,
        entry: &GuestEntry<'_>,
        file: &File,
        hashed: &Hash,
    ) -> Result<(Draft, Shelf), Trouble> {
        let over = AtomicBool::new(false);
        let terms = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, entry.size);
        let deadline = Instant::now() + terms.wall;
        let hash = || {
            let mut timely = checkpoint(deadline, &self.run.cancel);
            let mut checkpoint = || match over.load(Ordering::Relaxed) {
                true => Err(Interrupted),
                false => timely(),
            };
            hashed.get_or_init(|| content_of(file, &mut checkpoint).ok()?.ok());
        };
        thread::scope(|scope| {
            // Without a thread it is hashed afterwards.
            let _ = thread::Builder::new().spawn_scoped(scope, hash);
            let stored = self.store(entry, file, hashed);
            over.store(stored.is_err(), Ordering::Relaxed);
            stored
        })
    }

    fn store(
        &self,
        entry: &GuestEntry<'_>,
        file: &File,
        hashed: &Hash,
    ) -> Result<(Draft, Shelf), Trouble> {
        let terms = Terms {
            file: entry.path.into(),
            ..self
                .plugin
                .terms(Arc::clone(&self.settings), self.run, entry.size)
        };
        let prepared = match self.craft {
            Craft::Plugin(prepared) => prepared,
            Craft::Filter(command) => return self.store_filtered(entry, file, terms, command),
        };
        let wall = terms.wall;
        let mut store = Guest::store(self.machine, terms);
        let file = file.try_clone().map_err(|error| unreadable(&error))?;
        let call = async {
            let instance = prepared.instantiate_async(&mut store).await?;
            let table = &mut store.data_mut().table;
            let source = table.push(Source::sharing(file, entry.size, hashed))?;
            let target = table.push(self.target.clone())?;
            let (source, target) = (lent(&source), lent(&target));
            let archiver = instance.retain_plugin_archiver();
            archiver
                .call_archive(&mut store, entry.clone(), source, target)
                .await
        };
        let answer = match self.machine.wait(in_time(wall, &self.run.cancel, call)) {
            Ok(answer) => answer,
            Err(error) => return Err(Trouble::ended(&error, store.data())),
        };
        let draft = answer.map_err(|failure| Trouble::reported(&failure))?;
        if draft.note.len() > NOTE {
            let reason = format!("its note has {} bytes, more than {NOTE}", draft.note.len());
            return Err(Trouble::permanent(reason));
        }
        Ok((draft, std::mem::take(&mut store.data_mut().shelf)))
    }

    /// One object holds all that a command has written.
    fn store_filtered(
        &self,
        entry: &GuestEntry<'_>,
        file: &File,
        terms: Terms,
        command: &Command,
    ) -> Result<(Draft, Shelf), Trouble> {
        let deadline = Instant::now() + terms.wall;
        let refused = |error: DestinationError| Trouble::reported(&refusal(&error));
        let file = file.try_clone().map_err(|error| unreadable(&error))?;
        let writer = self.target.destination.create().map_err(refused)?;
        let sink = Sink::Object(Box::new(writer), self.target.clone());
        let args = filter::arguments(&self.settings, "args");
        let input = (file, entry.size);
        let written = filter::run(self.machine, command, terms, &args, input, sink)?;
        let Sink::Object(writer, _) = written else {
            return Err(Trouble::permanent("its sink went astray"));
        };
        let staged = writer
            .finish(&mut checkpoint(deadline, &self.run.cancel))
            .map_err(refused)?;
        let suffix = filter::suffix(&self.settings);
        // Another generation with the same time has other bytes and the first name.
        let other = format!("-{}{suffix}", start(entry.key, 8));
        let on_existing = OnExisting::SameBytes;
        let mut free = None;
        for suffix in [&suffix, &other] {
            let name = filtered_name(entry, suffix);
            let name = staged.parse_name(&name).map_err(refused)?;
            match staged.check_free(
                &name,
                on_existing,
                &mut checkpoint(deadline, &self.run.cancel),
            ) {
                Ok(()) => free = free.or(Some(name)),
                Err(DestinationError::Exists { .. }) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        let name = free.ok_or_else(|| {
            Trouble::permanent("the destination holds other objects under its names")
        })?;
        let draft = Draft {
            objects: vec![name.as_str().to_owned()],
            note: Vec::new(),
        };
        let mut shelf = Shelf::default();
        shelf.objects.push(Finished {
            name,
            on_existing,
            staged,
        });
        Ok((draft, shelf))
    }

    /// Runs the plugin's own `restore` over what was stored, in a fresh instance,
    /// and compares what comes out with the file.
    fn prove(&self, note: &[u8], objects: &[Part], content: &Content) -> Result<(), Trouble> {
        let sources = objects.iter().map(Part::source);
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let restorer = Restorer {
            machine: self.machine,
            plugin: self.plugin,
            craft: self.craft,
            settings: Arc::clone(&self.settings),
            run: self.run,
            limits: None,
        };
        let restored = restorer.restore(note, sources, Restored::new(content.size, None));
        let failed = |reason: String| format!("the proof failed: {reason}");
        let restored = restored.map_err(|trouble| Trouble {
            kind: match trouble.kind {
                kind @ (TroubleKind::Misconfigured
                | TroubleKind::Retryable
                | TroubleKind::Cancelled) => kind,
                _ => TroubleKind::Permanent,
            },
            reason: failed(trouble.reason),
        })?;
        match restored == *content {
            true => Ok(()),
            false => Err(Trouble::permanent(failed(differs(&restored, content)))),
        }
    }

    /// The weaker proof: the one stored object is the file itself, read again from
    /// where it is stored.
    fn read_back(&self, objects: &[Part], content: &Content) -> Result<(), Trouble> {
        let [object] = objects else {
            return Err(Trouble::permanent(
                "an archive of several objects cannot be proved by reading it back",
            ));
        };
        let terms = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, content.size);
        let deadline = Instant::now() + terms.wall;
        let stored = match object {
            Part::New(finished) => finished
                .staged
                .read_back(&mut checkpoint(deadline, &self.run.cancel)),
            // Hashed where it lies when it was taken for a part of this archive.
            Part::Shared(shared) => {
                return match shared.content == *content {
                    true => Ok(()),
                    false => Err(Trouble::permanent(differs(&shared.content, content))),
                };
            }
        };
        let (size, hash) = stored.map_err(|error| Trouble {
            kind: match error {
                DestinationError::Interrupted { .. } if self.run.cancel.is_wished() => {
                    TroubleKind::Cancelled
                }
                DestinationError::Interrupted { .. } => TroubleKind::OutOfTime,
                _ => TroubleKind::Retryable,
            },
            reason: error.to_string(),
        })?;
        let stored = Content {
            size,
            blake3: hash.to_hex().to_string(),
        };
        match stored == *content {
            true => Ok(()),
            false => Err(Trouble::permanent(differs(&stored, content))),
        }
    }

    /// The host's own look at the file, through the descriptor the guest was lent.
    pub(super) fn hash(&self, file: &File, size: u64) -> Result<Content, Trouble> {
        let wall = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, size)
            .wall;
        let deadline = Instant::now() + wall;
        match content_of(file, &mut checkpoint(deadline, &self.run.cancel)) {
            Ok(Ok(content)) => Ok(content),
            Ok(Err(Interrupted)) if self.run.cancel.is_wished() => Err(Trouble::cancelled()),
            Ok(Err(Interrupted)) => Err(Trouble {
                kind: TroubleKind::OutOfTime,
                reason: OutOfTime(wall).to_string(),
            }),
            Err(error) => Err(unreadable(&error)),
        }
    }

    /// The objects a draft names, each once; what it finished and does not name is
    /// dropped, and with that forgotten.
    fn named(&self, draft: &Draft, mut shelf: Shelf) -> Result<Vec<Part>, Trouble> {
        if draft.objects.is_empty() {
            return Err(Trouble::permanent(
                "it stored nothing: its draft names no object",
            ));
        }
        let mut objects = Vec::with_capacity(draft.objects.len());
        for name in &draft.objects {
            let mut finished = shelf.objects.iter();
            if let Some(at) = finished.position(|object| object.name.as_str() == name) {
                objects.push(Part::New(shelf.objects.swap_remove(at)));
                continue;
            }
            let found = shelf.found.iter().find(|found| found.as_str() == name);
            let Some(found) = found.cloned() else {
                let shown: String = name.escape_debug().take(200).collect();
                let reason = format!("its draft names `{shown}`, which it did not finish");
                return Err(Trouble::permanent(reason));
            };
            shelf.found.remove(&found);
            objects.push(Part::Shared(self.shared(found)?));
        }
        Ok(objects)
    }

    /// An object that was there before, looked at as closely as one of our own.
    pub(super) fn shared(&self, name: ObjectName) -> Result<Shared, Trouble> {
        let opened = self.target.destination.open_durable(&name);
        let file = opened.map_err(|error| Trouble::permanent(error.to_string()))?;
        let size = file.metadata().map_err(|error| unreadable(&error))?.len();
        let content = self.hash(&file, size)?;
        Ok(Shared {
            name,
            file,
            content,
        })
    }
}

/// What an archive's `restore` is called with.
pub(super) struct Restorer<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plugin: &'a Plugin,
    pub(super) craft: Craft<'a>,
    pub(super) settings: Arc<str>,
    pub(super) run: &'a RunFacts,
    /// What the archive was proved with; nothing during the proof itself.
    pub(super) limits: Option<Limits>,
}

impl Restorer<'_> {
    /// Lets the guest write the file again; says what it wrote.
    pub(super) fn restore(
        &self,
        note: &[u8],
        objects: Vec<Source>,
        restored: Restored,
    ) -> Result<Content, Trouble> {
        let terms = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, restored.expected())
            .at_least(self.limits);
        let prepared = match self.craft {
            Craft::Plugin(prepared) => prepared,
            Craft::Filter(command) => return self.unfilter(objects, restored, terms, command),
        };
        let wall = terms.wall;
        let mut store = Guest::store(self.machine, terms);
        let pushed = store
            .data_mut()
            .table
            .push(Sink::Restored(Box::new(restored)));
        let sink = pushed.map_err(|error| Trouble::permanent(error.to_string()))?;
        let lent_sink = lent(&sink);
        let call = async {
            let instance = prepared.instantiate_async(&mut store).await?;
            let table = &mut store.data_mut().table;
            let objects = objects.into_iter().map(|object| table.push(object));
            let objects = objects.collect::<Result<Vec<_>, _>>()?;
            let archiver = instance.retain_plugin_archiver();
            archiver
                .call_restore(&mut store, note, &objects, lent_sink)
                .await
        };
        match self.machine.wait(in_time(wall, &self.run.cancel, call)) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Err(Trouble::reported(&failure)),
            Err(error) => return Err(Trouble::ended(&error, store.data())),
        }
        match store.data_mut().table.delete(sink) {
            Ok(Sink::Restored(restored)) => Ok(restored.finish()),
            Ok(Sink::Object(..)) | Err(_) => Err(Trouble::permanent("its sink went astray")),
        }
    }
}

impl Restorer<'_> {
    fn unfilter(
        &self,
        objects: Vec<Source>,
        restored: Restored,
        terms: Terms,
        command: &Command,
    ) -> Result<Content, Trouble> {
        let Ok([object]) = <[Source; 1]>::try_from(objects) else {
            return Err(Trouble::permanent("a command's archive is one object"));
        };
        let args = filter::arguments(&self.settings, "restore_args");
        let sink = Sink::Restored(Box::new(restored));
        let input = object.into_parts();
        match filter::run(self.machine, command, terms, &args, input, sink)? {
            Sink::Restored(restored) => Ok(restored.finish()),
            Sink::Object(..) => Err(Trouble::permanent("its sink went astray")),
        }
    }
}

/// What a command's object is called: as `backup` would, and the suffix.
fn filtered_name(entry: &GuestEntry<'_>, suffix: &str) -> String {
    let GuestEntry {
        collection,
        path,
        modified,
        key,
        ..
    } = entry;
    let stamp = Stamp::new(modified.seconds, modified.nanoseconds).to_basic_utc();
    let name = format!("{collection}/{path}@{stamp}{suffix}");
    let fitting = name.split('/').map(|part| match part.len() <= COMPONENT {
        true => part.to_owned(),
        false => {
            let mark = format!("~{}{suffix}", start(key, 16));
            let end = part.floor_char_boundary(COMPONENT.saturating_sub(mark.len()));
            format!("{}{mark}", part.get(..end).unwrap_or_default())
        }
    });
    fitting.collect::<Vec<_>>().join("/")
}

fn start(key: &str, length: usize) -> &str {
    key.get(..length).unwrap_or(key)
}

/// Proves while another thread waits for the disk: until it has what was staged nothing is
/// published, and the proof reads it from memory.
fn while_it_is_synced(
    objects: &[Part],
    prove: impl FnOnce() -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    thread::scope(|scope| {
        let sync = || objects.iter().try_for_each(Part::sync);
        let syncing = thread::Builder::new().spawn_scoped(scope, sync);
        prove()?;
        // The system reports a failure once, so publishing may not hear of it again. Where
        // there is no thread it is publishing that waits.
        match syncing.map(|syncing| syncing.join()) {
            Ok(Ok(synced)) => synced.map_err(|error| Trouble {
                kind: TroubleKind::Retryable,
                reason: format!(
                    "the archive does not get to the disk: {}",
                    crate::store::in_words(&error)
                ),
            }),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(_) => Ok(()),
        }
    })
}

/// A call with its second limit: the guest's own is the epoch's.
pub(super) async fn in_time<T>(
    wall: Duration,
    cancel: &Cancel,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    let mut call = std::pin::pin!(call);
    let end = Instant::now() + wall.saturating_add(GRACE);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || cancel.is_wished() {
            return Err(interrupted(cancel, wall));
        }
        if let Ok(result) = tokio::time::timeout(left.min(LOOK), call.as_mut()).await {
            return result;
        }
    }
}

fn lent<T: 'static>(owned: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(owned.rep())
}

fn record(name: &str, staged: &Staged) -> ObjectRecord {
    ObjectRecord {
        name: name.to_owned(),
        size: staged.size(),
        blake3: staged.blake3().to_hex().to_string(),
    }
}

fn differs(restored: &Content, content: &Content) -> String {
    match restored.size == content.size {
        true => "other bytes came back than the file has".to_owned(),
        false => format!(
            "{} bytes came back, the file has {}",
            restored.size, content.size
        ),
    }
}

fn unreadable(error: &std::io::Error) -> Trouble {
    Trouble {
        kind: TroubleKind::Retryable,
        reason: format!("the file cannot be read: {}", crate::store::in_words(error)),
    }
}
