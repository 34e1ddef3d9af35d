//! A broken text is read statement by statement, and never becomes a policy.

#![no_main]

use retain_fuzz::diagnostic::Source;
use retain_fuzz::{judge, source};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(source) = source(data) else { return };
    // No policy ends like this, whatever stands before it.
    let broken = Source::new("fuzz", format!("{}\n}} keep ;\n", source.text()));
    assert!(judge(&broken).is_err());
});
