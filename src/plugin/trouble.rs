//! What went wrong in a call, in words for whoever reads the report.

use wasmtime::{Trap, WasmBacktrace};

use super::blobs::TooMuch;
use super::contract::{FailureClass, GuestFailure};
use super::guest::{Cancelled, Guest, OutOfTime};
use super::meter::Event;

/// Frames of a guest's backtrace that are shown.
const FRAMES: usize = 4;

/// The most characters of a guest's words that are shown.
const LONGEST: usize = 500;

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
    /// Nothing went wrong, and it is better kept as it is.
    Declined,
    /// The run was told to end.
    Cancelled,
}

impl Trouble {
    pub(super) fn permanent(reason: impl Into<String>) -> Trouble {
        Trouble {
            kind: TroubleKind::Permanent,
            reason: reason.into(),
        }
    }

    pub(super) fn declined(reason: impl Into<String>) -> Trouble {
        Trouble {
            kind: TroubleKind::Declined,
            reason: reason.into(),
        }
    }

    pub(super) fn changed() -> Trouble {
        Trouble {
            kind: TroubleKind::Changed,
            reason: "the file changed while it was archived".to_owned(),
        }
    }

    pub(super) fn cancelled() -> Trouble {
        Trouble {
            kind: TroubleKind::Cancelled,
            reason: Cancelled.to_string(),
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
        let reason = harmless(&failure.message);
        Trouble { kind, reason }
    }

    /// The end of a guest that did not return.
    pub(super) fn ended(error: &wasmtime::Error, guest: &Guest) -> Trouble {
        if error.is::<Cancelled>() {
            return Trouble::cancelled();
        }
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
        guest.count(match kind {
            TroubleKind::OutOfTime => Event::Timeout,
            _ => Event::Trap,
        });
        let reason = match frames(error) {
            Some(frames) => format!("{reason} (in {frames})"),
            None => reason,
        };
        let reason = harmless(&reason);
        Trouble { kind, reason }
    }
}

/// A text a guest had a part in, for a terminal or a report: on one line, without
/// control characters or those that turn the direction of writing, and not too long.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match c.is_control() || turns {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_says_steers_no_terminal() {
        assert_eq!(
            harmless("\x1b[2Ja\nb \u{202e}"),
            "\\u{1b}[2Ja\\nb \\u{202e}"
        );
        assert_eq!(harmless("it's \"fine\" – ä"), "it's \"fine\" – ä");
        assert_eq!(harmless(&"x".repeat(9_000)).len(), LONGEST);
    }
}
