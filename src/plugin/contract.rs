//! The contract in Rust: what `bindgen!` makes of `plugins/sdk/wit`.
//!
//! Three worlds, and what they import is generated once. Only archivers have bytes, only
//! reviewers what lies around their files; those are asked in one of two forms.

/// What a component exports that is asked about very many files in columns.
pub const BULK_REVIEWER: &str = "retain:plugin/bulk-reviewer@0.1.0";

pub(super) mod archive {
    wasmtime::component::bindgen!({
        path: "plugins/sdk/wit",
        world: "archive-plugin",
        imports: { default: trappable },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: false },
        with: {
            "retain:plugin/blobs.source": crate::plugin::blobs::Source,
            "retain:plugin/blobs.destination": crate::plugin::blobs::Target,
            "retain:plugin/blobs.sink": crate::plugin::blobs::Sink,
        },
    });
}

pub(super) mod review {
    wasmtime::component::bindgen!({
        path: "plugins/sdk/wit",
        world: "review-plugin",
        imports: { default: trappable },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: false },
        with: {
            "retain:plugin/types": super::archive::retain::plugin::types,
            "retain:plugin/log": super::archive::retain::plugin::log,
            "retain:plugin/config": super::archive::retain::plugin::config,
            "retain:plugin/run": super::archive::retain::plugin::run,
        },
    });
}

pub(super) mod bulk {
    wasmtime::component::bindgen!({
        path: "plugins/sdk/wit",
        world: "bulk-review-plugin",
        imports: { default: trappable },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: false },
        with: {
            "retain:plugin/types": super::archive::retain::plugin::types,
            "retain:plugin/log": super::archive::retain::plugin::log,
            "retain:plugin/config": super::archive::retain::plugin::config,
            "retain:plugin/run": super::archive::retain::plugin::run,
            "retain:plugin/surroundings": super::review::retain::plugin::surroundings,
        },
    });
}

pub(super) use archive::exports::retain::plugin::archiver::Draft;
pub(super) use archive::retain::plugin::blobs::OnExisting as GuestOnExisting;
pub(super) use archive::retain::plugin::blobs::{self as blobs_api, Object as GuestObject};
pub(super) use archive::retain::plugin::types::{
    Entry as GuestEntry, Failure as GuestFailure, FailureClass, Instant as GuestInstant,
};
pub(super) use archive::retain::plugin::{
    config as config_api, log as log_api, run as run_api, types as types_api,
};
pub(super) use archive::{ArchivePlugin, ArchivePluginPre};
pub(super) use bulk::exports::retain::plugin::bulk_reviewer::{
    Batch as GuestBatch, Objection as GuestObjection, Origin as GuestOrigin,
    Verdicts as GuestVerdicts,
};
pub(super) use bulk::{BulkReviewPlugin, BulkReviewPluginPre};
pub(super) use review::exports::retain::plugin::reviewer::Verdict as GuestVerdict;
pub(super) use review::retain::plugin::surroundings as surroundings_api;
pub(super) use review::{ReviewPlugin, ReviewPluginPre};
