//! Write plugins for `retain`.
//!
//! A plugin does one thing with files that are about to go: a *reviewer* looks at
//! them, an *archiver* puts their bytes somewhere safe and can bring them back. It
//! never deletes, never sees a path of the host, and can only keep files from going.
//!
//! Pick one of the features `reviewer`, `bulk-reviewer` and `archiver`, implement the trait
//! of that name and export it:
//!
//! ```ignore
//! use retain_plugin::{Entry, Reviewer, Verdict, export};
//!
//! struct NotOnMondays;
//!
//! impl Reviewer for NotOnMondays {
//!     fn review(batch: Vec<Entry>) -> Vec<Verdict> {
//!         batch.iter().map(|_| Verdict::Proceed).collect()
//!     }
//! }
//!
//! export!(reviewer NotOnMondays, description: "keeps nothing", settings: "{}");
//! ```
//!
//! Build it with `cargo build --release --target wasm32-wasip2`.
//!
//! A `BulkReviewer` is asked about one file after the other and is told of very many at
//! once, in a form in which nothing is allocated for each: for a store of which a million
//! files go.
//!
//! The feature `arena` makes memory something that is only taken, never given back: an
//! instance serves one call. That suits a reviewer of a million files that needs little for
//! each.

#[cfg(all(feature = "arena", target_arch = "wasm32"))]
mod arena;
mod bindings;
#[cfg(feature = "bulk-reviewer")]
mod bulk;
mod failure;
mod instant;
#[cfg(feature = "archiver")]
mod io;
#[cfg(feature = "archiver")]
mod name;

#[cfg(not(feature = "bulk-reviewer"))]
pub use bindings::exports_of_world::*;
pub use bindings::retain::plugin::types::{Entry, Failure, FailureClass, Instant};
#[cfg(feature = "bulk-reviewer")]
pub use bulk::{BulkReviewer, File, Verdict};
pub use failure::settings;
#[cfg(feature = "archiver")]
pub use io::{SinkWriter, SourceReader};
#[cfg(feature = "archiver")]
pub use name::GENERATIONS;

/// Lines for the operator's log; the host bounds them.
pub mod log {
    use super::bindings::retain::plugin::log::{Level, log};

    /// Something is wrong.
    pub fn error(message: &str) {
        log(Level::Error, message);
    }

    /// Something should be looked at.
    pub fn warn(message: &str) {
        log(Level::Warn, message);
    }

    /// Something happened.
    pub fn info(message: &str) {
        log(Level::Info, message);
    }

    /// Something for whoever looks for a mistake.
    pub fn debug(message: &str) {
        log(Level::Debug, message);
    }
}

/// The run a call belongs to.
pub mod run {
    pub use super::bindings::retain::plugin::run::{RunMode, cancelled, id, mode, now, remaining};
}

#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "archiver")]
    pub use crate::bindings::archive::__export_archive_plugin;
    #[cfg(feature = "bulk-reviewer")]
    pub use crate::bindings::bulk::__export_bulk_review_plugin;
    pub use crate::bindings::*;
    #[cfg(feature = "bulk-reviewer")]
    pub use crate::bulk::review;
    #[cfg(feature = "reviewer")]
    pub use crate::bindings::review::__export_review_plugin;
}

/// Whether an entry of that name lies beside a file or in a directory above it, up to
/// the store's root. A failure where that cannot be known: hand it on, so that the file
/// stays.
#[cfg(feature = "reviewer")]
pub fn marked(entry: &Entry, name: &str) -> Result<bool, Failure> {
    bindings::review::retain::plugin::surroundings::marked(entry.slot, name)
}

/// Puts files' bytes somewhere safe, and brings them back.
#[cfg(feature = "archiver")]
pub trait Archiver {
    /// Stores one file. Nothing is visible in the destination before the host has
    /// run [`Archiver::restore`] over it and got the file's bytes again.
    ///
    /// The same `entry.key` may arrive again after a success that was lost.
    fn archive(entry: Entry, source: &Source, destination: &Destination) -> Result<Draft, Failure>;

    /// Writes the archived file's bytes from its objects, in the draft's order.
    ///
    /// Runs in an instance of its own, today as the proof and years later in
    /// earnest: what it needs has to be in `note` and `objects`.
    fn restore(note: Vec<u8>, objects: Vec<Source>, sink: &Sink) -> Result<(), Failure>;
}

/// Looks at files that are about to go.
#[cfg(feature = "reviewer")]
pub trait Reviewer {
    /// One verdict per entry, in the entries' order.
    fn review(batch: Vec<Entry>) -> Vec<Verdict>;
}

/// Exports a type as this component's plugin and writes its manifest.
///
/// `export!(archiver Type, description: "…", settings: "JSON schema")`; the schema
/// may be `include_str!("settings.json")`. An archiver whose one object can stand in
/// the file's place (a compressed copy) says what is appended to its name:
/// `suffix: ".zst"`.
#[macro_export]
macro_rules! export {
    (archiver $plugin:ident, description: $description:expr, settings: $schema:expr $(,)?) => {
        $crate::export!(archiver $plugin, description: $description, settings: $schema, suffix: "");
    };
    (archiver $plugin:ident, description: $description:expr, settings: $schema:expr,
     suffix: $suffix:expr $(,)?) => {
        $crate::__manifest!("archiver", "true", $description, $schema, $suffix);
        #[doc(hidden)]
        struct __Exported;
        impl $crate::__private::archive::exports::retain::plugin::archiver::Guest for __Exported {
            fn archive(
                entry: $crate::Entry,
                source: &$crate::Source,
                destination: &$crate::Destination,
            ) -> Result<$crate::Draft, $crate::Failure> {
                <$plugin as $crate::Archiver>::archive(entry, source, destination)
            }
            fn restore(
                note: Vec<u8>,
                objects: Vec<$crate::Source>,
                sink: &$crate::Sink,
            ) -> Result<(), $crate::Failure> {
                <$plugin as $crate::Archiver>::restore(note, objects, sink)
            }
        }
        $crate::__private::__export_archive_plugin!(
            __Exported with_types_in $crate::__private::archive
        );
    };
    (reviewer $plugin:ident, description: $description:expr, settings: $schema:expr $(,)?) => {
        $crate::__manifest!("reviewer", "false", $description, $schema, "");
        #[doc(hidden)]
        struct __Exported;
        impl $crate::__private::review::exports::retain::plugin::reviewer::Guest for __Exported {
            fn review(batch: Vec<$crate::Entry>) -> Vec<$crate::Verdict> {
                <$plugin as $crate::Reviewer>::review(batch)
            }
        }
        $crate::__private::__export_review_plugin!(
            __Exported with_types_in $crate::__private::review
        );
    };
    (bulk_reviewer $plugin:ident, description: $description:expr, settings: $schema:expr $(,)?) => {
        $crate::__manifest!("reviewer", "false", $description, $schema, "");
        #[doc(hidden)]
        struct __Exported;
        impl $crate::__private::bulk::exports::retain::plugin::bulk_reviewer::Guest for __Exported {
            fn review(
                batch: $crate::__private::bulk::exports::retain::plugin::bulk_reviewer::Batch,
            ) -> $crate::__private::bulk::exports::retain::plugin::bulk_reviewer::Verdicts {
                $crate::__private::review::<$plugin>(batch)
            }
        }
        $crate::__private::__export_bulk_review_plugin!(
            __Exported with_types_in $crate::__private::bulk
        );
    };
}

/// The manifest, in a section that is read without running anything.
#[doc(hidden)]
#[macro_export]
macro_rules! __manifest {
    ($kind:literal, $destinations:literal, $description:expr, $schema:expr, $suffix:expr) => {
        const __MANIFEST: &str = concat!(
            "{\"name\":\"",
            env!("CARGO_PKG_NAME"),
            "\",\"version\":\"",
            env!("CARGO_PKG_VERSION"),
            "\",\"contract\":\"retain:plugin@0.1.0\",\"kind\":\"",
            $kind,
            "\",\"description\":\"",
            $description,
            "\",\"license\":\"",
            env!("CARGO_PKG_LICENSE"),
            "\",\"asks\":{\"destinations\":",
            $destinations,
            "},\"suffix\":\"",
            $suffix,
            "\",\"settings\":",
            $schema,
            "}"
        );
        #[used]
        #[unsafe(link_section = "retain:manifest")]
        static __MANIFEST_SECTION: [u8; __MANIFEST.len()] = {
            let text = __MANIFEST.as_bytes();
            let mut section = [0; __MANIFEST.len()];
            let mut at = 0;
            while at < text.len() {
                section[at] = text[at];
                at += 1;
            }
            section
        };
    };
}
