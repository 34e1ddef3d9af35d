//! What is formatted says the same, and is formatted.

#![no_main]

use retain_fuzz::diagnostic::Source;
use retain_fuzz::policy::format;
use retain_fuzz::source;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(source) = source(data) else { return };
    match format(&source) {
        Ok(once) => {
            let again =
                format(&Source::new("again", once.as_str())).expect("formatted text is read");
            assert_eq!(again, once, "formatting again changes it");
        }
        Err(findings) => {
            let refused = findings.0.iter().any(|finding| finding.code() == "R0199");
            assert!(!refused, "formatting changed the meaning");
            assert!(findings.has_errors());
        }
    }
});
