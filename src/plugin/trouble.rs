//! What went wrong in a call, in words for whoever reads the report.

use wasmtime::{Trap, WasmBacktrace};

use super::blobs::TooMuch;
use super::contract::{FailureClass, GuestFailure};
use super::guest::{Guest, OutOfTime};

/// Frames of a guest's backtrace that are shown.
const FRAMES: usize = 4;

/// Why a hook did not succeed for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) kind: TroubleKind,
    pub(super) reason: String,
}

/// What a failure means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleKind {
    /// It may succeed when tried again.
    Retryable,
    /// Not for this file.
    Permanent,
    /// For no file of this hook.
    Misconfigured,
    /// The guest ended in a way that says nothing about any one file of its batch.
    Trapped,
    /// It took too long.
    OutOfTime,
    /// The file is not the planned one any more.
    Changed,
}

impl Trouble {
    pub(super) fn permanent(reason: impl Into<String>) -> Trouble {
        Trouble {
            kind: TroubleKind::Permanent,
            reason: reason.into(),
        }
    }

    pub(super) fn changed() -> Trouble {
        Trouble {
            kind: TroubleKind::Changed,
            reason: "the file changed while it was archived".to_owned(),
        }
    }

    /// A failure the guest reported itself.
    pub(super) fn reported(failure: &GuestFailure) -> Trouble {
        let kind = match failure.class {
            FailureClass::Retryable => TroubleKind::Retryable,
            FailureClass::Permanent => TroubleKind::Permanent,
            FailureClass::Misconfigured => TroubleKind::Misconfigured,
        };
        // A guest's words must not steer a terminal.
        let reason = failure.message.escape_debug().take(500).collect();
        Trouble { kind, reason }
    }

    /// The end of a guest that did not return.
    pub(super) fn ended(error: &wasmtime::Error, guest: &Guest) -> Trouble {
        let (kind, reason) = if let Some(late) = error.downcast_ref::<OutOfTime>() {
            (TroubleKind::OutOfTime, late.to_string())
        } else if let Some(too_much) = error.downcast_ref::<TooMuch>() {
            (TroubleKind::Permanent, too_much.to_string())
        } else if guest.ran_out_of_memory() {
            let reason = "it asked for more memory than it is granted".to_owned();
            (TroubleKind::Trapped, reason)
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            let trap = trap.to_string();
            let trap = trap.strip_prefix("wasm trap: ").unwrap_or(&trap);
            (TroubleKind::Trapped, format!("it trapped: {trap}"))
        } else {
            (
                TroubleKind::Trapped,
                format!("it failed: {}", error.root_cause()),
            )
        };
        let reason = match frames(error) {
            Some(frames) => format!("{reason} (in {frames})"),
            None => reason,
        };
        Trouble { kind, reason }
    }
}

/// The innermost named functions, as far as the component kept its names.
fn frames(error: &wasmtime::Error) -> Option<String> {
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let named = backtrace.frames().iter().filter_map(|frame| {
        let name = frame.func_name()?;
        Some(format!("{:#}", rustc_demangle(name)))
    });
    let shown: Vec<_> = named.take(FRAMES).collect();
    (!shown.is_empty()).then(|| shown.join(" < "))
}

/// Names as the guest's author wrote them, without the compiler's hash.
fn rustc_demangle(name: &str) -> String {
    match name.rsplit_once("::h") {
        Some((path, hash)) if hash.len() == 16 => path.to_owned(),
        Some(_) | None => name.to_owned(),
    }
}
