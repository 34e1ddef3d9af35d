//! Reading and judging any text ends in a policy or in errors that can be drawn.

#![no_main]

use retain_fuzz::{judge, source};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Some(source) = source(data) {
        let _ = judge(&source);
    }
});
