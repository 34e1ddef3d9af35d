//! Filters: commands that read stdin and write stdout, as they come from a compiler.
//!
//! A filter knows nothing of retain. Archiving runs it with `args` over the file,
//! restoring with `restore_args` over the object; the proof, the limits and the
//! receipt are those of every plugin. It gets its arguments and two pipes, and all of
//! WASI besides with nothing in it: no directory, no variable, no socket.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime::{InstancePre, Store};
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::bytes::Bytes;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, OutputStream, StreamError};

use super::archive::in_time;
use super::blobs::Sink;
use super::cache::Code;
use super::contract::GuestFailure;
use super::engine::Machine;
use super::guest::{Guest, OutOfTime, Terms};
use super::trouble::Trouble;
use crate::config::Filter;

/// Bytes of one read, and bytes gathered before one write: stock programs write 4 KiB
/// at a time.
const CHUNK: usize = 1 << 20;

/// Bytes of what it says on stderr that are kept.
const SAID: usize = 4 << 10;

/// How a filter is called, as a receipt keeps it.
pub(super) fn settings(filter: &Filter) -> Map<String, Value> {
    let form = json!({
        "args": filter.args,
        "restore_args": filter.restore_args,
        "suffix": filter.suffix,
    });
    form.as_object().cloned().unwrap_or_default()
}

/// One of the argument lists out of such settings.
pub(super) fn arguments(settings: &str, which: &str) -> Vec<String> {
    let form: Value = serde_json::from_str(settings).unwrap_or_default();
    let list = form.get(which).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.map(str::to_owned).collect()
}

/// What is appended to the names of its objects.
pub(super) fn suffix(settings: &str) -> String {
    let form: Value = serde_json::from_str(settings).unwrap_or_default();
    let suffix = form.get("suffix").and_then(Value::as_str);
    suffix.unwrap_or_default().to_owned()
}

/// What a module of preview 1 is run by.
const START: &str = "_start";

/// A compiled command with its imports resolved.
#[derive(Clone)]
pub(super) enum Command {
    Component(CommandPre<Guest>),
    /// A module of preview 1, run as it is. Adapted to a component it would share its memory
    /// with the adapter, which the `malloc` of older C libraries takes for its own.
    Module(InstancePre<Guest>),
}

impl Command {
    pub(super) fn of(machine: &Machine, code: &Code) -> wasmtime::Result<Command> {
        match code {
            Code::Component(component) => {
                let prepared = machine.commands.instantiate_pre(component)?;
                CommandPre::new(prepared).map(Command::Component)
            }
            Code::Module(module) => {
                if module.get_export(START).is_none() {
                    wasmtime::bail!("it is no command: it exports no `{START}`");
                }
                machine.modules.instantiate_pre(module).map(Command::Module)
            }
        }
    }

    /// Makes an instance and asks nothing of it.
    pub(super) async fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<()> {
        match self {
            Command::Component(prepared) => prepared.instantiate_async(store).await.map(drop),
            Command::Module(prepared) => prepared.instantiate_async(store).await.map(drop),
        }
    }

    /// Runs it to its end; the inner error is one it reports itself.
    async fn run(&self, store: &mut Store<Guest>) -> wasmtime::Result<Result<(), ()>> {
        match self {
            Command::Component(prepared) => {
                let command = prepared.instantiate_async(&mut *store).await?;
                command.wasi_cli_run().call_run(store).await
            }
            Command::Module(prepared) => {
                let instance = prepared.instantiate_async(&mut *store).await?;
                let start = instance.get_typed_func::<(), ()>(&mut *store, START)?;
                start.call_async(store, ()).await.map(Ok)
            }
        }
    }
}

/// Runs a filter once over a file; says where its output went.
pub(super) fn run(
    machine: &Machine,
    command: &Command,
    terms: Terms,
    arguments: &[String],
    input: (File, u64),
    output: Sink,
) -> Result<Sink, Trouble> {
    let (wall, cancel) = (terms.wall, terms.run.cancel.clone());
    let deadline = Instant::now() + wall;
    let program = terms.plugin.to_string();
    let (file, size) = input;
    let stdout = Pipe(Arc::new(Mutex::new(Outlet {
        sink: Some(output),
        held: Vec::new(),
        written: 0,
        refused: None,
        deadline,
        late: OutOfTime(wall),
    })));
    let inlet = Arc::new(Mutex::new(Inlet { file, size, at: 0 }));
    let stderr = Said::default();
    let stdin = Tap(Arc::clone(&inlet));
    let fill = |wasi: &mut WasiCtxBuilder| {
        wasi.arg(program).args(arguments);
        wasi.stdin(stdin)
            .stdout(stdout.clone())
            .stderr(stderr.clone());
    };
    let mut store = match command {
        Command::Component(_) => Guest::store_with(machine, terms, fill),
        Command::Module(_) => Guest::module_store_with(machine, terms, fill),
    };
    let call = command.run(&mut store);
    let ended = match machine.wait(in_time(wall, &cancel, call)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(())) => Err(Trouble::permanent("it ended with a failure")),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(0)) => Ok(()),
            // Which code it was does not come through WASI.
            Some(I32Exit(_)) => Err(Trouble::permanent("it ended with a failure")),
            None => Err(Trouble::ended(&error, store.data())),
        },
    };
    let mut outlet = stdout.lock();
    let written = outlet.pour();
    let guest = store.data_mut();
    guest.read = inlet.lock().unwrap_or_else(PoisonError::into_inner).at;
    guest.written = outlet.written;
    // It holds the other end of the pipe.
    drop(store);
    if let Some(failure) = outlet.refused.take() {
        return Err(Trouble::reported(&failure));
    }
    match (ended, written) {
        (Ok(()), Ok(())) => {}
        (Err(trouble), _) => return Err(stderr.explain(trouble)),
        (Ok(()), Err(error)) => return Err(Trouble::permanent(error.to_string())),
    }
    let sink = outlet.sink.take();
    sink.ok_or_else(|| Trouble::permanent("its output went astray"))
}

/// A file on its way into a filter.
struct Inlet {
    file: File,
    size: u64,
    at: u64,
}

impl Inlet {
    fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.size - self.at).unwrap_or(CHUNK);
        let mut bytes = vec![0; length.min(CHUNK).min(left)];
        let read = self.file.read_at(&mut bytes, self.at)?;
        bytes.truncate(read);
        self.at += read as u64;
        Ok(bytes)
    }
}

#[derive(Clone)]
struct Tap(Arc<Mutex<Inlet>>);

impl Tap {
    fn lock(&self) -> MutexGuard<'_, Inlet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IsTerminal for Tap {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Tap {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Tap {
    async fn ready(&mut self) {}
}

impl InputStream for Tap {
    fn read(&mut self, size: usize) -> Result<Bytes, StreamError> {
        match self.lock().read(size) {
            Ok(bytes) if bytes.is_empty() && size > 0 => Err(StreamError::Closed),
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(StreamError::LastOperationFailed(error.into())),
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.lock().read(buffer.remaining());
        Poll::Ready(read.map(|bytes| buffer.put_slice(&bytes)))
    }
}

/// What comes out of a filter, gathered into large pieces.
struct Outlet {
    sink: Option<Sink>,
    held: Vec<u8>,
    written: u64,
    refused: Option<GuestFailure>,
    deadline: Instant,
    late: OutOfTime,
}

impl Outlet {
    fn take(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.held.extend_from_slice(bytes);
        match self.held.len() < CHUNK {
            true => Ok(()),
            false => self.pour().map_err(StreamError::Trap),
        }
    }

    fn pour(&mut self) -> wasmtime::Result<()> {
        if Instant::now() >= self.deadline {
            return Err(self.late.into());
        }
        let held = std::mem::take(&mut self.held);
        let Some(sink) = self.sink.as_mut().filter(|_| !held.is_empty()) else {
            return Ok(());
        };
        if let Err(failure) = sink.append(&held, &mut self.written)? {
            let said = failure.message.clone();
            self.refused = Some(failure);
            wasmtime::bail!("{said}");
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Pipe(Arc<Mutex<Outlet>>);

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Outlet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a filter says on stderr, as far as anybody will read it.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn take(&self, bytes: &[u8]) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = SAID.saturating_sub(said.len()).min(bytes.len());
        said.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }

    fn explain(&self, trouble: Trouble) -> Trouble {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let words = String::from_utf8_lossy(&said);
        let words: String = words.trim().escape_debug().take(300).collect();
        match words.is_empty() {
            true => trouble,
            false => Trouble {
                reason: format!("{}: {words}", trouble.reason),
                ..trouble
            },
        }
    }
}

/// Output streams that are ready whenever they are asked.
macro_rules! output {
    ($stream:ty, $take:expr) => {
        impl IsTerminal for $stream {
            fn is_terminal(&self) -> bool {
                false
            }
        }

        impl StdoutStream for $stream {
            fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
                Box::new(self.clone())
            }

            fn p2_stream(&self) -> Box<dyn OutputStream> {
                Box::new(self.clone())
            }
        }

        #[async_trait]
        impl Pollable for $stream {
            async fn ready(&mut self) {}
        }

        impl OutputStream for $stream {
            fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
                $take(self, &bytes)
            }

            /// Nothing: one write and one sync at the end serve everybody.
            fn flush(&mut self) -> Result<(), StreamError> {
                Ok(())
            }

            fn check_write(&mut self) -> Result<usize, StreamError> {
                Ok(CHUNK)
            }
        }

        impl AsyncWrite for $stream {
            fn poll_write(
                self: Pin<&mut Self>,
                _: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                let taken: Result<(), StreamError> = $take(&*self, bytes);
                Poll::Ready(match taken {
                    Ok(()) => Ok(bytes.len()),
                    Err(error) => Err(io::Error::other(error.to_string())),
                })
            }

            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
        }
    };
}

output!(Pipe, |pipe: &Pipe, bytes: &[u8]| pipe.lock().take(bytes));
output!(Said, |said: &Said, bytes: &[u8]| {
    said.take(bytes);
    Ok(())
});
