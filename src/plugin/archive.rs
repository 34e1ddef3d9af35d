//! Archivers: a file's bytes stored, and shown to come back.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Resource;

use super::blobs::{Finished, Restored, Sink, Source, Target, checkpoint};
use super::contract::{ArchivePluginPre, Draft, GuestEntry};
use super::engine::Machine;
use super::guest::{Guest, OutOfTime, RunFacts};
use super::load::Plugin;
use super::trouble::{Trouble, TroubleKind};
use crate::destination::{DestinationError, Staged};
use crate::receipt::{Content, Limits, ObjectRecord, Proof};

/// The most bytes of a note.
const NOTE: usize = 64 << 10;

/// What a timeout waits beyond the guest's own limit: the guest is interrupted by
/// the epoch first, this is for one that is parked in a call of ours.
const GRACE: Duration = Duration::from_millis(500);

/// An archive that was proved, and that nobody can see yet.
#[derive(Debug)]
pub(super) struct Proved {
    /// In the order of the plugin's draft.
    pub(super) objects: Vec<Finished>,
    pub(super) note: Vec<u8>,
    pub(super) content: Content,
    pub(super) proof: Proof,
}

/// What an archiver is asked about one file.
pub(super) struct Archiver<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plugin: &'a Plugin,
    pub(super) prepared: &'a ArchivePluginPre<Guest>,
    pub(super) settings: Arc<str>,
    pub(super) run: &'a RunFacts,
    pub(super) target: Target,
}

impl Archiver<'_> {
    /// Archives one open file and proves the archive.
    pub(super) fn archive(&self, entry: &GuestEntry, file: &File) -> Result<Proved, Trouble> {
        let (draft, finished) = self.store(entry, file)?;
        let objects = named(&draft, finished)?;
        let content = self.hash(file, entry.size)?;
        let proof = self.plugin.proof();
        match proof {
            Proof::Restore => self.prove(&draft.note, &objects, &content)?,
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

    fn store(&self, entry: &GuestEntry, file: &File) -> Result<(Draft, Vec<Finished>), Trouble> {
        let terms = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, entry.size);
        let wall = terms.wall;
        let mut store = Guest::store(self.machine, terms);
        let file = file.try_clone().map_err(|error| unreadable(&error))?;
        let call = async {
            let instance = self.prepared.instantiate_async(&mut store).await?;
            let table = &mut store.data_mut().table;
            let source = table.push(Source::new(file, entry.size))?;
            let target = table.push(self.target.clone())?;
            let (source, target) = (lent(&source), lent(&target));
            let archiver = instance.retain_plugin_archiver();
            archiver
                .call_archive(&mut store, entry, source, target)
                .await
        };
        let answer = match self.machine.wait(in_time(wall, call)) {
            Ok(answer) => answer,
            Err(error) => return Err(Trouble::ended(&error, store.data())),
        };
        let draft = answer.map_err(|failure| Trouble::reported(&failure))?;
        if draft.note.len() > NOTE {
            let reason = format!("its note has {} bytes, more than {NOTE}", draft.note.len());
            return Err(Trouble::permanent(reason));
        }
        Ok((draft, std::mem::take(&mut store.data_mut().shelf.objects)))
    }

    /// Runs the plugin's own `restore` over what was stored, in a fresh instance,
    /// and compares what comes out with the file.
    fn prove(&self, note: &[u8], objects: &[Finished], content: &Content) -> Result<(), Trouble> {
        let mut sources = Vec::with_capacity(objects.len());
        for object in objects {
            let file = object.staged.open_read();
            let file = file.map_err(|error| Trouble::permanent(error.to_string()))?;
            sources.push(Source::new(file, object.staged.size()));
        }
        let restorer = Restorer {
            machine: self.machine,
            plugin: self.plugin,
            prepared: self.prepared,
            settings: Arc::clone(&self.settings),
            run: self.run,
            limits: None,
        };
        let restored = restorer.restore(note, sources, Restored::new(content.size, None));
        let failed = |reason: String| format!("the proof failed: {reason}");
        let restored = restored.map_err(|trouble| Trouble {
            kind: match trouble.kind {
                TroubleKind::Misconfigured => TroubleKind::Misconfigured,
                TroubleKind::Retryable => TroubleKind::Retryable,
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
    fn read_back(&self, objects: &[Finished], content: &Content) -> Result<(), Trouble> {
        let [object] = objects else {
            return Err(Trouble::permanent(
                "an archive of several objects cannot be proved by reading it back",
            ));
        };
        let terms = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, content.size);
        let deadline = Instant::now() + terms.wall;
        let stored = object.staged.read_back(&mut checkpoint(deadline));
        let (size, hash) = stored.map_err(|error| Trouble {
            kind: match error {
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
    fn hash(&self, file: &File, size: u64) -> Result<Content, Trouble> {
        let wall = self
            .plugin
            .terms(Arc::clone(&self.settings), self.run, size)
            .wall;
        let deadline = Instant::now() + wall;
        let mut hasher = blake3::Hasher::new();
        let mut source = Positioned { file, at: 0 };
        let mut buffer = vec![0; 1 << 20];
        loop {
            if Instant::now() > deadline {
                return Err(Trouble {
                    kind: TroubleKind::OutOfTime,
                    reason: OutOfTime(wall).to_string(),
                });
            }
            let read = source
                .read(&mut buffer)
                .map_err(|error| unreadable(&error))?;
            match buffer.get(..read) {
                Some(bytes) if !bytes.is_empty() => hasher.update(bytes),
                Some(_) | None => break,
            };
        }
        Ok(Content {
            size: source.at,
            blake3: hasher.finalize().to_hex().to_string(),
        })
    }
}

/// What an archive's `restore` is called with.
pub(super) struct Restorer<'a> {
    pub(super) machine: &'a Machine,
    pub(super) plugin: &'a Plugin,
    pub(super) prepared: &'a ArchivePluginPre<Guest>,
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
        let wall = terms.wall;
        let mut store = Guest::store(self.machine, terms);
        let pushed = store
            .data_mut()
            .table
            .push(Sink::Restored(Box::new(restored)));
        let sink = pushed.map_err(|error| Trouble::permanent(error.to_string()))?;
        let lent_sink = lent(&sink);
        let call = async {
            let instance = self.prepared.instantiate_async(&mut store).await?;
            let table = &mut store.data_mut().table;
            let objects = objects.into_iter().map(|object| table.push(object));
            let objects = objects.collect::<Result<Vec<_>, _>>()?;
            let archiver = instance.retain_plugin_archiver();
            archiver
                .call_restore(&mut store, note, &objects, lent_sink)
                .await
        };
        match self.machine.wait(in_time(wall, call)) {
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

/// A call with its second limit: the guest's own is the epoch's.
pub(super) async fn in_time<T>(
    wall: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    match tokio::time::timeout(wall.saturating_add(GRACE), call).await {
        Ok(result) => result,
        Err(_) => Err(OutOfTime(wall).into()),
    }
}

fn lent<T: 'static>(owned: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(owned.rep())
}

/// The finished objects a draft names, each once; what it does not name is dropped,
/// and with that forgotten.
fn named(draft: &Draft, mut finished: Vec<Finished>) -> Result<Vec<Finished>, Trouble> {
    if draft.objects.is_empty() {
        return Err(Trouble::permanent(
            "it stored nothing: its draft names no object",
        ));
    }
    let mut objects = Vec::with_capacity(draft.objects.len());
    for name in &draft.objects {
        let at = finished
            .iter()
            .position(|object| object.name.as_str() == name);
        let Some(at) = at else {
            let shown: String = name.escape_debug().take(200).collect();
            let reason = format!("its draft names `{shown}`, which it did not finish");
            return Err(Trouble::permanent(reason));
        };
        objects.push(finished.swap_remove(at));
    }
    Ok(objects)
}

pub(super) fn record(name: &str, staged: &Staged) -> ObjectRecord {
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

/// Reads from the beginning, wherever the descriptor's own offset is.
struct Positioned<'a> {
    file: &'a File,
    at: u64,
}

impl Read for Positioned<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = std::os::unix::fs::FileExt::read_at(self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
