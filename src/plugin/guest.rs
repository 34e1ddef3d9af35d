//! What one instance of a plugin has: its limits, its clock, its log, its settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{HasData, ResourceTable};
use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{
    HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView,
};

use super::blobs::Shelf;
use super::contract::{config_api, log_api, run_api};
use super::engine::Machine;
use super::meter::{Event, Meter, Meters};
use super::surroundings::Around;
use crate::cancel::Cancel;
use crate::receipt::Limits;
use crate::time::Now;

/// Lines a guest may log in one instance, and the length of one.
const LOG_LINES: usize = 200;
const LOG_LINE: usize = 1_000;

/// Handles a guest may hold at once.
const HANDLES: usize = 1_000;

/// Bytes a guest may hand over in one call besides what goes through a sink.
const HOSTCALL_BYTES: usize = 8 << 20;

/// The run a guest works for.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The run's name.
    pub id: String,
    /// The moment its decisions hold for.
    pub now: Now,
    /// Ends every call once it is wished.
    pub cancel: Cancel,
    /// Counts what plugins do.
    pub meters: Meters,
}

impl RunFacts {
    /// A run that nobody ends and whose numbers nobody asks for.
    pub fn new(id: String, now: Now) -> RunFacts {
        RunFacts {
            id,
            now,
            cancel: Cancel::default(),
            meters: Meters::default(),
        }
    }
}

/// What an instance is made with.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) plugin: Arc<str>,
    pub(super) settings: Arc<str>,
    pub(super) run: RunFacts,
    /// The file it is called for, for its log; nothing where there are many.
    pub(super) file: Arc<str>,
    pub(super) memory: usize,
    /// For the whole life of the instance.
    pub(super) wall: Duration,
    pub(super) meter: Arc<Meter>,
}

impl Terms {
    /// What a receipt records of them.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            memory: self.memory as u64,
            wall_seconds: self.wall.as_secs(),
        }
    }

    /// The same with no less than an archive was proved with.
    pub(super) fn at_least(mut self, limits: Option<Limits>) -> Terms {
        if let Some(limits) = limits {
            let memory = usize::try_from(limits.memory).unwrap_or(usize::MAX);
            self.memory = self.memory.max(memory);
            self.wall = self.wall.max(Duration::from_secs(limits.wall_seconds));
        }
        self
    }
}

/// The data behind one instance.
pub(super) struct Guest {
    terms: Terms,
    wasi: WasiCtx,
    /// The same for a module of preview 1, which nothing else is.
    preview_1: Option<WasiP1Ctx>,
    pub(super) table: ResourceTable,
    pub(super) shelf: Shelf,
    /// A reviewer's files, and what lies around them.
    pub(super) around: Option<Around>,
    /// Objects begun and not finished.
    pub(super) sinks: usize,
    pub(super) deadline: Instant,
    /// Bytes it has put into sinks, all of them together.
    pub(super) written: u64,
    /// Bytes it was given.
    pub(super) read: u64,
    began: Instant,
    memory: Memory,
    logged: usize,
}

/// The error inside a trap when the time was up.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it took longer than {} s", .0.as_secs_f32())]
pub(super) struct OutOfTime(pub(super) Duration);

/// The error inside a trap when the run was told to end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the run was told to end")]
pub(super) struct Cancelled;

impl Guest {
    pub(super) fn store(machine: &Machine, terms: Terms) -> Store<Guest> {
        Guest::store_with(machine, terms, |_| {})
    }

    /// An instance of a module of preview 1, whose WASI is not quite empty.
    pub(super) fn module_store_with(
        machine: &Machine,
        terms: Terms,
        fill: impl FnOnce(&mut WasiCtxBuilder),
    ) -> Store<Guest> {
        let memory = terms.memory;
        let mut store = Guest::store(machine, terms);
        let mut wasi = nothing(&store.data().terms.run.now);
        fill(&mut wasi);
        let preview_1 = store.data_mut().preview_1.insert(wasi.build_p1());
        preview_1.ctx().table.set_max_capacity(HANDLES);
        // A call is charged for all of the buffers it names in its own memory, of which we
        // copy a piece at a time.
        store.set_hostcall_fuel(memory.max(HOSTCALL_BYTES));
        store
    }

    /// An instance whose WASI is not quite empty.
    pub(super) fn store_with(
        machine: &Machine,
        terms: Terms,
        fill: impl FnOnce(&mut WasiCtxBuilder),
    ) -> Store<Guest> {
        let began = Instant::now();
        let deadline = began + terms.wall;
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let mut wasi = nothing(&terms.run.now);
        fill(&mut wasi);
        let guest = Guest {
            wasi: wasi.build(),
            preview_1: None,
            table,
            shelf: Shelf::default(),
            around: None,
            sinks: 0,
            deadline,
            written: 0,
            read: 0,
            began,
            memory: Memory::up_to(terms.memory),
            logged: 0,
            terms,
        };
        let mut store = Store::new(&machine.engine, guest);
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(HOSTCALL_BYTES);
        store.set_epoch_deadline(1);
        // Each tick gives the runtime its turn; past the deadline the guest ends.
        store.epoch_deadline_callback(|store: StoreContextMut<'_, Guest>| {
            store.data().check_time()?;
            Ok(UpdateDeadline::Yield(1))
        });
        store
    }

    /// An error once the time is up, or nobody wants the answer any more.
    pub(super) fn check_time(&self) -> wasmtime::Result<()> {
        match self.terms.run.cancel.is_wished() || Instant::now() >= self.deadline {
            true => Err(self.interrupted()),
            false => Ok(()),
        }
    }

    /// What a module of preview 1 has of WASI.
    pub(super) fn preview_1(&mut self) -> &mut WasiP1Ctx {
        let now = &self.terms.run.now;
        self.preview_1
            .get_or_insert_with(|| nothing(now).build_p1())
    }

    /// Why it was interrupted.
    pub(super) fn interrupted(&self) -> wasmtime::Error {
        interrupted(&self.terms.run.cancel, self.terms.wall)
    }

    pub(super) fn cancel(&self) -> Cancel {
        self.terms.run.cancel.clone()
    }

    pub(super) fn count(&self, event: Event) {
        self.terms.meter.count(event);
    }

    /// Whether memory was asked for beyond the limit: the cause of most traps then.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        self.memory.refused
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let lived = self.began.elapsed();
        self.terms.meter.instance(lived, self.read, self.written);
    }
}

/// Why a call was interrupted that has a limit, in a run that may be told to end.
pub(super) fn interrupted(cancel: &Cancel, wall: Duration) -> wasmtime::Error {
    match cancel.is_wished() {
        true => Cancelled.into(),
        false => OutOfTime(wall).into(),
    }
}

/// WASI with nothing in it.
fn nothing(now: &Now) -> WasiCtxBuilder {
    let clock = RunClock::at(now);
    let mut wasi = WasiCtx::builder();
    wasi.insecure_random_seed(0x7265_7461_696e)
        .max_random_size(4096)
        .wall_clock(clock)
        .monotonic_clock(clock)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    wasi
}

/// The run's moment, standing still: a plugin decides alike whenever it is called.
#[derive(Clone, Copy)]
struct RunClock(Duration);

impl RunClock {
    fn at(now: &Now) -> RunClock {
        let stamp = now.stamp();
        let seconds = u64::try_from(stamp.seconds()).unwrap_or(0);
        RunClock(Duration::new(seconds, stamp.subsec_nanoseconds()))
    }
}

impl HostWallClock for RunClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

impl HostMonotonicClock for RunClock {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

/// A bound on all memories and tables of a store together.
struct Memory {
    limit: usize,
    used: usize,
    refused: bool,
}

impl Memory {
    fn up_to(limit: usize) -> Memory {
        Memory {
            limit,
            used: 0,
            refused: false,
        }
    }

    fn grow(&mut self, by: usize) -> bool {
        match self.used.checked_add(by) {
            Some(used) if used <= self.limit => {
                self.used = used;
                true
            }
            Some(_) | None => {
                self.refused = true;
                false
            }
        }
    }
}

/// Bytes one element of a table takes in the host.
const ELEMENT: usize = 16;

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT)))
    }

    fn instances(&self) -> usize {
        64
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}

/// Gives the bindings their host.
pub(super) struct HasGuest;

impl HasData for HasGuest {
    type Data<'a> = &'a mut Guest;
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl super::contract::types_api::Host for Guest {}

impl log_api::Host for Guest {
    fn log(&mut self, level: log_api::Level, message: String) -> wasmtime::Result<()> {
        self.logged += 1;
        let Terms {
            plugin, run, file, ..
        } = &self.terms;
        let (plugin, run, file) = (&**plugin, &*run.id, &**file);
        if self.logged > LOG_LINES {
            if self.logged == LOG_LINES + 1 {
                tracing::warn!(plugin, run, file, "it logs too much; the rest is left out");
            }
            return self.check_time();
        }
        let end = message.floor_char_boundary(LOG_LINE);
        let line = message.get(..end).unwrap_or_default().escape_debug();
        match level {
            log_api::Level::Error => tracing::error!(plugin, run, file, "{line}"),
            log_api::Level::Warn => tracing::warn!(plugin, run, file, "{line}"),
            log_api::Level::Info => tracing::info!(plugin, run, file, "{line}"),
            log_api::Level::Debug => tracing::debug!(plugin, run, file, "{line}"),
        }
        Ok(())
    }
}

impl config_api::Host for Guest {
    fn settings(&mut self) -> wasmtime::Result<String> {
        Ok(self.terms.settings.to_string())
    }
}

impl run_api::Host for Guest {
    fn mode(&mut self) -> wasmtime::Result<run_api::RunMode> {
        // Planning calls no plugin, so whoever is called is called in earnest.
        Ok(run_api::RunMode::Enforce)
    }

    fn id(&mut self) -> wasmtime::Result<String> {
        Ok(self.terms.run.id.clone())
    }

    fn now(&mut self) -> wasmtime::Result<(i64, u32)> {
        let now = self.terms.run.now.stamp();
        Ok((now.seconds(), now.subsec_nanoseconds()))
    }

    fn remaining(&mut self) -> wasmtime::Result<u64> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.terms.run.cancel.is_wished())
    }
}
