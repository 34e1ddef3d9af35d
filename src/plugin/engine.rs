//! One engine for all plugins of a process, made when the first one has to run.

use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, EngineWeak};

use super::PluginError;
use super::contract::{ArchivePlugin, ReviewPlugin};
use super::guest::{Guest, HasGuest};

/// How often a running guest is made to look at its deadline.
const TICK: Duration = Duration::from_millis(10);

/// The engine, what it links, and the threads it needs.
pub(super) struct Machine {
    pub(super) engine: Engine,
    pub(super) reviewers: Linker<Guest>,
    pub(super) archivers: Linker<Guest>,
    /// Commands as components.
    pub(super) commands: Linker<Guest>,
    /// Commands as modules of WASI's preview 1.
    pub(super) modules: wasmtime::Linker<Guest>,
    runtime: tokio::runtime::Runtime,
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl Machine {
    /// The process's machine. Making it costs a few milliseconds, so whoever only
    /// plans never does.
    pub(super) fn shared() -> Result<Arc<Machine>, PluginError> {
        static MACHINE: OnceLock<Arc<Machine>> = OnceLock::new();
        if let Some(machine) = MACHINE.get() {
            return Ok(Arc::clone(machine));
        }
        let machine = Machine::start().map_err(|error| PluginError::Engine {
            reason: format!("{error:#}"),
        })?;
        Ok(Arc::clone(MACHINE.get_or_init(|| Arc::new(machine))))
    }

    fn start() -> wasmtime::Result<Machine> {
        let engine = Engine::new(&configuration())?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("plugin")
            .enable_time()
            .build()?;
        let mut reviewers = Linker::new(&engine);
        link_wasi(&mut reviewers)?;
        ReviewPlugin::add_to_linker::<_, HasGuest>(&mut reviewers, |guest| guest)?;
        let mut archivers = Linker::new(&engine);
        link_wasi(&mut archivers)?;
        ArchivePlugin::add_to_linker::<_, HasGuest>(&mut archivers, |guest| guest)?;
        let mut commands = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut commands)?;
        let mut modules = wasmtime::Linker::new(&engine);
        wasmtime_wasi::p1::add_to_linker_async(&mut modules, Guest::preview_1)?;
        tick(engine.weak())?;
        Ok(Machine {
            engine,
            reviewers,
            archivers,
            commands,
            modules,
            runtime,
        })
    }

    /// Runs a guest's call on the calling thread.
    pub(super) fn wait<F: Future>(&self, call: F) -> F::Output {
        self.runtime.handle().block_on(call)
    }
}

/// What code is compiled for; a compiling child must agree.
pub(super) fn configuration() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.wasm_component_model(true);
    config
}

/// Advances the epoch from a thread of its own: a task of the runtime would never
/// get its turn while a guest spins on the last worker.
fn tick(engine: EngineWeak) -> std::io::Result<()> {
    let ticker = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(TICK);
        }
    };
    thread::Builder::new()
        .name("plugin-ticker".to_owned())
        .spawn(ticker)?;
    Ok(())
}

/// What any standard library imports whatever its program does. Behind it lies
/// nothing: no directory, no variable, no argument, a fixed seed, the run's clock.
/// Secure random, sockets and everything else is not linked, so a plugin that wants
/// them fails to load, by name.
fn link_wasi(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    use wasmtime_wasi::WasiView as _;
    use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
    use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView as _};
    use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
    use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random};
    use wasmtime_wasi::random::WasiRandom;
    use wasmtime_wasi_io::bindings::wasi::io;

    let l = linker;
    io::error::add_to_linker::<Guest, HasTable>(l, |g| g.ctx().table)?;
    io::poll::add_to_linker::<Guest, HasTable>(l, |g| g.ctx().table)?;
    io::streams::add_to_linker::<Guest, HasTable>(l, |g| g.ctx().table)?;
    clocks::wall_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    clocks::monotonic_clock::add_to_linker::<Guest, WasiClocks>(l, Guest::clocks)?;
    random::insecure_seed::add_to_linker::<Guest, WasiRandom>(l, |g| g.ctx().ctx.random())?;
    cli::environment::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::exit::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_input::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_output::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<Guest, WasiCli>(l, Guest::cli)?;
    filesystem::types::add_to_linker::<Guest, WasiFilesystem>(l, Guest::filesystem)?;
    filesystem::preopens::add_to_linker::<Guest, WasiFilesystem>(l, Guest::filesystem)?;
    Ok(())
}

struct HasTable;

impl wasmtime::component::HasData for HasTable {
    type Data<'a> = &'a mut wasmtime::component::ResourceTable;
}
