//! Sources and sinks as the standard library's readers and writers, so that any
//! crate that works on streams works on files that are about to go.

use std::io::{self, Read, Write};

use crate::{Failure, FailureClass, Sink, Source};

/// The most bytes one call to the host reads or writes: the host's own bound.
const CHUNK: usize = 1 << 20;

impl Source {
    /// Reads from the beginning to the end.
    pub fn reader(&self) -> SourceReader<'_> {
        SourceReader { source: self, at: 0, ahead: Vec::new(), taken: 0 }
    }
}

impl Sink {
    /// Writes, gathered into large pieces; [`SinkWriter::end`] writes the last one.
    pub fn writer(&self) -> SinkWriter<'_> {
        SinkWriter { sink: self, held: Vec::with_capacity(CHUNK), failure: None }
    }
}

/// A source as a reader.
pub struct SourceReader<'a> {
    source: &'a Source,
    at: u64,
    ahead: Vec<u8>,
    taken: usize,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.ahead.len() {
            self.ahead = self.source.read(self.at, CHUNK as u32)?;
            self.at += self.ahead.len() as u64;
            self.taken = 0;
        }
        let ahead = &self.ahead[self.taken..];
        let length = ahead.len().min(buffer.len());
        buffer[..length].copy_from_slice(&ahead[..length]);
        self.taken += length;
        Ok(length)
    }
}

/// A sink as a writer.
pub struct SinkWriter<'a> {
    sink: &'a Sink,
    held: Vec<u8>,
    failure: Option<Failure>,
}

impl SinkWriter<'_> {
    /// Writes what is still held. Without it the last bytes are missing, and the
    /// proof fails.
    pub fn end(mut self) -> Result<(), Failure> {
        self.write_held()
    }

    /// Ends after somebody else has written into it. Encoders put words of their own
    /// in an error's place; what the host said comes first, because only that says
    /// whether it is worth trying again.
    pub fn end_after(mut self, written: io::Result<()>) -> Result<(), Failure> {
        match (self.failure.take(), written) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(())) => self.end(),
        }
    }

    fn write_held(&mut self) -> Result<(), Failure> {
        if !self.held.is_empty() {
            let written = self.sink.write(&self.held);
            self.failure = written.as_ref().err().cloned();
            written?;
            self.held.clear();
        }
        Ok(())
    }
}

impl Write for SinkWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.held.len() == CHUNK {
            self.write_held()?;
        }
        let length = bytes.len().min(CHUNK - self.held.len());
        self.held.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// Nothing: the pieces are large for a reason, and [`SinkWriter::end`] is sure.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A failure on its way through somebody else's reader or writer.
#[derive(Debug)]
struct Carried(Failure);

impl std::fmt::Display for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Carried {}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        io::Error::other(Carried(failure))
    }
}

/// The host's own failure where one was carried, otherwise a permanent one: the same
/// bytes will not decode better next time.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let message = error.to_string();
        match error.into_inner().map(|inner| inner.downcast::<Carried>()) {
            Some(Ok(carried)) => carried.0,
            Some(Err(_)) | None => Failure {
                class: FailureClass::Permanent,
                code: "data".into(),
                message,
            },
        }
    }
}
