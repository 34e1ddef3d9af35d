//! Failures that say what to do about them, and settings that can be one.

use serde::de::DeserializeOwned;

use crate::{Failure, FailureClass};

impl Failure {
    /// The same call may succeed later.
    pub fn retryable(code: &str, message: impl Into<String>) -> Failure {
        Failure::new(FailureClass::Retryable, code, message)
    }

    /// It will never succeed for this file.
    pub fn permanent(code: &str, message: impl Into<String>) -> Failure {
        Failure::new(FailureClass::Permanent, code, message)
    }

    /// It will succeed for no file before somebody changes the configuration.
    pub fn misconfigured(message: impl Into<String>) -> Failure {
        Failure::new(FailureClass::Misconfigured, "misconfigured", message)
    }

    fn new(class: FailureClass, code: &str, message: impl Into<String>) -> Failure {
        Failure {
            class,
            code: code.into(),
            message: message.into(),
        }
    }
}

/// The plugin's settings: the configuration's with the policy's arguments laid over
/// them. Sizes arrive as bytes, durations as milliseconds.
pub fn settings<T: DeserializeOwned>() -> Result<T, Failure> {
    let text = crate::bindings::retain::plugin::config::settings();
    serde_json::from_str(&text)
        .map_err(|error| Failure::misconfigured(format!("its settings do not fit: {error}")))
}
