//! The bytes a guest is lent: files and objects to read, sinks to write.
//!
//! Descriptors stay here; the guest holds numbers. What it finishes is staged in
//! its instance's [`Shelf`] and published by nobody but the host, after the proof.

#![expect(
    unreachable_pub,
    reason = "the generated bindings name these types publicly"
)]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use wasmtime::component::Resource;

use super::contract::blobs_api::{Host, HostDestination, HostSink, HostSource};
use super::contract::{FailureClass, GuestFailure, GuestObject, GuestOnExisting};
use super::guest::Guest;
use crate::cancel::Cancel;
use crate::destination::{
    Checkpoint, Destination, DestinationError, Interrupted, ObjectName, OnExisting, Staged,
    StagedWriter,
};
use crate::receipt::Content;

/// The most bytes of one `read`.
const READ: u32 = 1 << 20;

/// The most objects one archive may consist of.
const OBJECTS: usize = 1_000;

/// The most objects that may be begun and neither finished nor dropped: each holds a
/// descriptor of ours.
const SINKS: usize = 64;

/// Something to read, by position: a guest may read in any order.
#[derive(Debug)]
pub struct Source {
    file: File,
    size: u64,
    content: Hash,
}

/// What a source has, once somebody has read it; nothing where that did not succeed.
/// Whoever needs it while another is at it waits for him.
pub(super) type Hash = Arc<OnceLock<Option<Content>>>;

impl Source {
    pub(super) fn new(file: File, size: u64) -> Source {
        Source {
            file,
            size,
            content: Arc::default(),
        }
    }

    /// A stored object whose bytes were read and hashed where they lie.
    pub(super) fn hashed(file: File, content: Content) -> Source {
        Source {
            content: Arc::new(OnceLock::from(Some(content.clone()))),
            ..Source::new(file, content.size)
        }
    }

    /// A source whose hash, once somebody needs it, is known to the caller too.
    pub(super) fn sharing(file: File, size: u64, content: &Hash) -> Source {
        Source {
            content: Arc::clone(content),
            ..Source::new(file, size)
        }
    }

    pub(super) fn into_parts(self) -> (File, u64) {
        (self.file, self.size)
    }

    fn read(&self, offset: u64, length: u32) -> std::io::Result<Vec<u8>> {
        let left = self
            .size
            .saturating_sub(offset)
            .min(u64::from(length.min(READ)));
        let mut bytes = vec![0; usize::try_from(left).unwrap_or(0)];
        let read = self.file.read_at(&mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// The destination an archiver was granted.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) destination: Arc<Destination>,
    /// The most bytes one instance may write.
    pub(super) limit: u64,
    /// Bytes after which it pretends to be full, so that a plugin's author sees what
    /// his plugin makes of that.
    pub(super) space: Option<u64>,
    /// Bytes after which the call is ended, as when the operator has had enough.
    pub(super) ends_after: Option<u64>,
}

impl Target {
    /// Counts bytes that are about to be written, or says why they are not: the inner
    /// answer is a full disk's, the error ends the guest.
    fn take(&self, written: &mut u64, more: u64) -> wasmtime::Result<Option<GuestFailure>> {
        let total = match written.checked_add(more) {
            Some(total) if total <= self.limit => total,
            Some(_) | None => return Err(TooMuch::Written(self.limit).into()),
        };
        if self.ends_after.is_some_and(|end| total > end) {
            return Err(TooMuch::Cancelled.into());
        }
        if self.space.is_some_and(|space| total > space) {
            return Ok(Some(GuestFailure {
                class: FailureClass::Retryable,
                code: "no-space".to_owned(),
                message: "no space is left in the destination".to_owned(),
            }));
        }
        *written = total;
        Ok(None)
    }
}

impl Sink {
    /// Appends bytes and counts them among what its instance has written; the inner
    /// error is for the guest, the outer one ends it.
    pub(super) fn append(
        &mut self,
        bytes: &[u8],
        written: &mut u64,
    ) -> wasmtime::Result<Result<(), GuestFailure>> {
        match self {
            Sink::Restored(restored) => {
                *written = written.saturating_add(bytes.len() as u64);
                restored.write(bytes).map(Ok)
            }
            Sink::Object(writer, target) => match target.take(written, bytes.len() as u64)? {
                Some(full) => Ok(Err(full)),
                None => Ok(writer.write(bytes).map_err(|error| refusal(&error))),
            },
        }
    }
}

/// Bytes on their way out of a guest.
#[derive(Debug)]
pub enum Sink {
    /// Into an object that is not published yet.
    Object(Box<StagedWriter>, Target),
    /// Back into the file they came from: compared, and perhaps written.
    Restored(Box<Restored>),
}

/// What a `restore` writes: hashed, and handed on when somebody wants it.
pub struct Restored {
    hasher: blake3::Hasher,
    written: u64,
    expected: u64,
    onward: Option<Box<dyn Write + Send>>,
    /// Set when all of one object was handed on, and its bytes are known.
    whole: Option<Content>,
}

impl std::fmt::Debug for Restored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes", self.written, self.expected)
    }
}

impl Restored {
    pub(super) fn new(expected: u64, onward: Option<Box<dyn Write + Send>>) -> Restored {
        Restored {
            hasher: blake3::Hasher::new(),
            written: 0,
            expected,
            onward,
            whole: None,
        }
    }

    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// Length and hash of what was written.
    pub(super) fn finish(self) -> Content {
        if let Some(whole) = self.whole {
            return whole;
        }
        Content {
            size: self.written,
            blake3: self.hasher.finalize().to_hex().to_string(),
        }
    }

    /// Takes all of a stored object that was read and hashed already: reading it again
    /// would show nothing new. Only as long as nobody wants the bytes themselves.
    fn take_whole(&mut self, content: &Content) -> bool {
        let takes = self.written == 0 && self.onward.is_none() && content.size == self.expected;
        if takes {
            self.written = content.size;
            self.whole = Some(content.clone());
        }
        takes
    }

    /// Ends at the first byte too many: an endless restore would fill the disk.
    fn write(&mut self, bytes: &[u8]) -> wasmtime::Result<()> {
        self.written += bytes.len() as u64;
        if self.written > self.expected {
            return Err(TooMuch::Restored(self.expected).into());
        }
        self.hasher.update(bytes);
        match &mut self.onward {
            Some(onward) => Ok(onward.write_all(bytes)?),
            None => Ok(()),
        }
    }
}

/// Length and hash of everything a file has, from its beginning.
pub(super) fn content_of(
    file: &File,
    checkpoint: Checkpoint<'_>,
) -> std::io::Result<Result<Content, Interrupted>> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; READ as usize];
    let mut size = 0;
    loop {
        if let Err(interrupted) = checkpoint() {
            return Ok(Err(interrupted));
        }
        let read = file.read_at(&mut buffer, size)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            let blake3 = hasher.finalize().to_hex().to_string();
            return Ok(Ok(Content { size, blake3 }));
        };
        hasher.update(bytes);
        size += read as u64;
    }
}

/// The error inside a trap when more was written than there may be.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("its restore wrote more than the file's {0} bytes")]
    Restored(u64),
    #[error("it wrote more than the {0} bytes it may")]
    Written(u64),
    #[error("it began more than {SINKS} objects at once")]
    Sinks,
    #[error("it was ended while it wrote")]
    Cancelled,
    #[error("it finished, or looked up, more than {OBJECTS} objects")]
    Objects,
}

/// What one instance has finished and the host has not published.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) objects: Vec<Finished>,
    /// Published objects it looked up and found.
    pub(super) found: BTreeSet<ObjectName>,
}

/// A finished object.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) name: ObjectName,
    pub(super) on_existing: OnExisting,
    pub(super) staged: Staged,
}

/// A destination's refusal as a guest sees it.
pub(super) fn refusal(error: &DestinationError) -> GuestFailure {
    let (class, code) = match error {
        DestinationError::Full { .. } => (FailureClass::Retryable, "no-space"),
        DestinationError::Io { .. } => (FailureClass::Retryable, "io"),
        DestinationError::Exists { .. } => (FailureClass::Permanent, "exists"),
        DestinationError::Name { .. } => (FailureClass::Permanent, "name"),
        DestinationError::Missing { .. } => (FailureClass::Permanent, "missing"),
        DestinationError::Interrupted { .. } => (FailureClass::Permanent, "interrupted"),
        DestinationError::Permission { .. } => (FailureClass::Misconfigured, "permission"),
        DestinationError::ReadOnly { .. } => (FailureClass::Misconfigured, "read-only"),
        DestinationError::Url { .. }
        | DestinationError::Unsupported { .. }
        | DestinationError::Unknown { .. }
        | DestinationError::ParentMissing { .. } => (FailureClass::Misconfigured, "destination"),
    };
    GuestFailure {
        class,
        code: code.to_owned(),
        message: error.to_string(),
    }
}

fn unreadable(error: &std::io::Error) -> GuestFailure {
    GuestFailure {
        class: FailureClass::Retryable,
        code: "read".to_owned(),
        message: crate::store::in_words(error),
    }
}

/// Looks at the clock, and whether the run still wants it, between two slices of a
/// host-side copy.
pub(super) fn checkpoint(
    deadline: Instant,
    cancel: &Cancel,
) -> impl FnMut() -> Result<(), Interrupted> + use<> {
    let cancel = cancel.clone();
    move || match cancel.is_wished() || Instant::now() >= deadline {
        true => Err(Interrupted),
        false => Ok(()),
    }
}

impl Host for Guest {}

impl HostSource for Guest {
    fn size(&mut self, source: Resource<Source>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&source)?.size)
    }

    fn read(
        &mut self,
        source: Resource<Source>,
        offset: u64,
        length: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestFailure>> {
        self.check_time()?;
        let source = self.table.get(&source)?;
        let read = source.read(offset, length);
        self.read += read.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(read.map_err(|e| unreadable(&e)))
    }

    fn digest(
        &mut self,
        source: Resource<Source>,
    ) -> wasmtime::Result<Result<String, GuestFailure>> {
        let (deadline, cancel) = (self.deadline, self.cancel());
        let source = self.table.get(&source)?;
        let read = || content_of(&source.file, &mut checkpoint(deadline, &cancel));
        let mut answer = None;
        let known = source.content.get_or_init(|| match read() {
            Ok(Ok(content)) => Some(content),
            failed => {
                answer = Some(failed);
                None
            }
        });
        let content = match (known, answer) {
            (Some(content), _) => Ok(Ok(content.clone())),
            (None, Some(failed)) => failed,
            // Somebody else's attempt failed; this one says why.
            (None, None) => read(),
        };
        match content {
            Ok(Ok(content)) => Ok(Ok(content.blake3)),
            Ok(Err(Interrupted)) => Err(self.interrupted()),
            Err(error) => Ok(Err(unreadable(&error))),
        }
    }

    fn drop(&mut self, source: Resource<Source>) -> wasmtime::Result<()> {
        self.table.delete(source)?;
        Ok(())
    }
}

impl HostDestination for Guest {
    fn create(
        &mut self,
        target: Resource<Target>,
    ) -> wasmtime::Result<Result<Resource<Sink>, GuestFailure>> {
        self.check_time()?;
        let target = self.table.get(&target)?;
        let target = target.clone();
        if self.sinks >= SINKS {
            return Err(TooMuch::Sinks.into());
        }
        self.sinks += 1;
        match target.destination.create() {
            Ok(writer) => Ok(Ok(self
                .table
                .push(Sink::Object(Box::new(writer), target))?)),
            Err(error) => Ok(Err(refusal(&error))),
        }
    }

    fn lookup(
        &mut self,
        target: Resource<Target>,
        name: String,
    ) -> wasmtime::Result<Result<Option<GuestObject>, GuestFailure>> {
        self.check_time()?;
        let target = self.table.get(&target)?;
        let found = target
            .destination
            .parse_name(&name)
            .and_then(|name| target.destination.lookup(&name));
        let object = match found {
            Ok(Some(object)) => object,
            Ok(None) => return Ok(Ok(None)),
            Err(error) => return Ok(Err(refusal(&error))),
        };
        let answer = GuestObject {
            name: object.name.as_str().to_owned(),
            size: object.size,
        };
        self.shelf.found.insert(object.name);
        match self.shelf.found.len() > OBJECTS {
            false => Ok(Ok(Some(answer))),
            true => Err(TooMuch::Objects.into()),
        }
    }

    fn drop(&mut self, target: Resource<Target>) -> wasmtime::Result<()> {
        self.table.delete(target)?;
        Ok(())
    }
}

impl HostSink for Guest {
    fn write(
        &mut self,
        sink: Resource<Sink>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), GuestFailure>> {
        self.check_time()?;
        self.table.get_mut(&sink)?.append(&bytes, &mut self.written)
    }

    fn splice(
        &mut self,
        sink: Resource<Sink>,
        source: Resource<Source>,
        offset: u64,
        length: u64,
    ) -> wasmtime::Result<Result<u64, GuestFailure>> {
        let (deadline, cancel) = (self.deadline, self.cancel());
        let source = self.table.get(&source)?;
        let length = length.min(source.size.saturating_sub(offset));
        let whole = source
            .content
            .get()
            .and_then(Option::as_ref)
            .filter(|_| length == source.size);
        let whole = whole.filter(|content| content.size == length).cloned();
        // A descriptor of our own: the table lends out one thing at a time.
        let file = match source.file.try_clone() {
            Ok(file) => file,
            Err(error) => return Ok(Err(unreadable(&error))),
        };
        match self.table.get_mut(&sink)? {
            Sink::Object(writer, target) => {
                if let Some(full) = target.take(&mut self.written, length)? {
                    return Ok(Err(full));
                }
                let mut checkpoint = checkpoint(deadline, &cancel);
                let moved = writer.splice(&file, offset, length, &mut checkpoint);
                if let Err(DestinationError::Interrupted { .. }) = &moved {
                    return Err(self.interrupted());
                }
                self.read += moved.as_ref().map_or(0, |moved| *moved);
                Ok(moved.map_err(|error| refusal(&error)))
            }
            Sink::Restored(restored) => {
                if whole.is_some_and(|content| restored.take_whole(&content)) {
                    self.read += length;
                    self.written += length;
                    return Ok(Ok(length));
                }
                let source = Source::new(file, offset + length);
                self.splice_restored(&sink, &source, offset)
            }
        }
    }

    fn finish(
        &mut self,
        sink: Resource<Sink>,
        name: String,
        existing: GuestOnExisting,
    ) -> wasmtime::Result<Result<GuestObject, GuestFailure>> {
        let sink = self.table.delete(sink)?;
        self.sinks = self.sinks.saturating_sub(1);
        let writer = match sink {
            Sink::Object(writer, _) => writer,
            Sink::Restored(_) => wasmtime::bail!("a lent sink cannot be finished"),
        };
        if self.shelf.objects.len() >= OBJECTS {
            return Err(TooMuch::Objects.into());
        }
        let on_existing = match existing {
            GuestOnExisting::Fail => OnExisting::Fail,
            GuestOnExisting::SameBytes => OnExisting::SameBytes,
        };
        let cancel = self.cancel();
        let mut checkpoint = checkpoint(self.deadline, &cancel);
        let staged = writer.finish(&mut checkpoint);
        let finished = staged.and_then(|staged| {
            let name = staged.parse_name(&name)?;
            // Publishing would find out as well, but then it is too late for the
            // guest to choose another name.
            staged.check_free(&name, on_existing, &mut checkpoint)?;
            Ok(Finished {
                name,
                on_existing,
                staged,
            })
        });
        Ok(match finished {
            Err(DestinationError::Interrupted { .. }) => {
                return Err(self.interrupted());
            }
            Ok(finished) => {
                let size = finished.staged.size();
                self.shelf.objects.push(finished);
                Ok(GuestObject { name, size })
            }
            Err(error) => Err(refusal(&error)),
        })
    }

    fn drop(&mut self, sink: Resource<Sink>) -> wasmtime::Result<()> {
        self.table.delete(sink)?;
        self.sinks = self.sinks.saturating_sub(1);
        Ok(())
    }
}

impl Guest {
    fn splice_restored(
        &mut self,
        sink: &Resource<Sink>,
        source: &Source,
        from: u64,
    ) -> wasmtime::Result<Result<u64, GuestFailure>> {
        let mut at = from;
        loop {
            self.check_time()?;
            let bytes = match source.read(at, READ) {
                Ok(bytes) if bytes.is_empty() => return Ok(Ok(at - from)),
                Ok(bytes) => bytes,
                Err(error) => return Ok(Err(unreadable(&error))),
            };
            at += bytes.len() as u64;
            self.read += bytes.len() as u64;
            self.written += bytes.len() as u64;
            if let Sink::Restored(restored) = self.table.get_mut(sink)? {
                restored.write(&bytes)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8]) -> Content {
        Content {
            size: bytes.len() as u64,
            blake3: blake3::hash(bytes).to_hex().to_string(),
        }
    }

    #[test]
    fn a_known_hash_stands_for_bytes_only_where_the_object_is_all_there_is() {
        let whole = content(b"whole");
        let mut restored = Restored::new(5, None);
        assert!(restored.take_whole(&whole));
        assert!(restored.write(b"x").is_err(), "more than the file");
        let mut restored = Restored::new(5, None);
        assert!(restored.take_whole(&whole));
        assert_eq!(restored.finish(), whole);

        // A part of the file, something before it, somebody who wants the bytes.
        assert!(!Restored::new(6, None).take_whole(&whole));
        let mut begun = Restored::new(5, None);
        begun.write(b"w").unwrap();
        assert!(!begun.take_whole(&whole));
        let onward = Some(Box::new(Vec::new()) as Box<dyn Write + Send>);
        assert!(!Restored::new(5, onward).take_whole(&whole));
    }
}
