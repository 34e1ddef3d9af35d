//! Compiling what nobody need trust: by a child of this process, with limits.
//!
//! The compiler cannot be interrupted, and a component can be written so that it takes
//! hours or all memory. So whatever is not part of this program is compiled by a second
//! process of the same executable, which the system ends at its limits. Its output is
//! as good as code, and comes from our own program through a pipe that nobody else has.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, setrlimit};
use wasmtime::Engine;

use super::cache::Form;

/// The argument that makes this program a compiler.
const COMPILER: &str = "__compile-plugin";

/// Seconds of processor time, over all its threads.
const SECONDS: u64 = 120;
/// Bytes of address space.
const SPACE: u64 = 4 << 30;
/// The largest result that is read.
const LARGEST: u64 = 512 << 20;

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Makes this process compile by children, or become one: to be called first of all in
/// `main`, because only there is it known that the executable is ours.
///
/// Returns how the process is to end, where it was such a child.
pub fn compile_by_children() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    if first.is_some_and(|first| first == COMPILER) && arguments.next().is_none() {
        return Some(be_a_compiler());
    }
    // The very file that is running, whatever has taken its name since.
    let _ = PROGRAM.set(PathBuf::from("/proc/self/exe"));
    None
}

fn be_a_compiler() -> ExitCode {
    match compile_stdin() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = write!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compile_stdin() -> wasmtime::Result<()> {
    limit(Resource::Cpu, SECONDS)?;
    limit(Resource::As, SPACE)?;
    // A compiler that ran out of memory leaves no image of it.
    limit(Resource::Core, 0)?;
    let mut wasm = Vec::new();
    io::stdin().lock().read_to_end(&mut wasm)?;
    let engine = Engine::new(&super::engine::configuration())?;
    let code = by_ourselves(&engine, &wasm)?;
    let mut out = io::stdout().lock();
    out.write_all(&code)?;
    out.flush()?;
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Compiles a component or a module, by a child where it is not part of this program.
pub(super) fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let ours = super::builtins()
        .iter()
        .any(|builtin| builtin.wasm() == wasm);
    match PROGRAM.get().filter(|_| !ours) {
        None => by_ourselves(engine, wasm),
        Some(program) => by_child(program, wasm),
    }
}

fn by_ourselves(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    match Form::of(wasm) {
        Form::Component => engine.precompile_component(wasm),
        Form::Module => engine.precompile_module(wasm),
    }
}

fn by_child(program: &PathBuf, wasm: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let begun = Instant::now();
    let mut child = Command::new(program)
        .arg(COMPILER)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut code = Vec::new();
    let mut said = Vec::new();
    std::thread::scope(|scope| {
        // A child that ended early reads no more; how it ended says why.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(wasm)));
        scope.spawn(|| stderr.map(|stderr| stderr.take(4_096).read_to_end(&mut said)));
        stdout.map(|stdout| stdout.take(LARGEST).read_to_end(&mut code))
    })
    .transpose()?;
    let ended = child.wait()?;
    if ended.success() {
        tracing::debug!(
            bytes = wasm.len(),
            milliseconds = begun.elapsed().as_millis() as u64,
            "compiled by a child"
        );
        return Ok(code);
    }
    let said = String::from_utf8_lossy(&said);
    wasmtime::bail!(
        "{}",
        match (ended.code(), said.trim()) {
            (Some(1), said) if !said.is_empty() => said.to_owned(),
            _ => format!(
                "compiling it took more than {SECONDS} s of processor time or {} GiB of memory",
                SPACE >> 30
            ),
        }
    )
}
