//! WebAssembly plugins that look at, or store, files that are about to go.
//!
//! A plan goes in, an [`Approved`] part of it comes out; nothing else can make one.
//! A plugin can only take steps away: whatever is no explicit success keeps the
//! file. An archive counts when the plugin's own `restore`, run over the stored
//! bytes in an instance that knows nothing of the first, has given the file's bytes
//! again; only then is it published and a [`Receipt`] written.
//!
//! Guests get nothing but what the contract in `plugins/sdk/wit` names. This is the
//! only module that knows wasmtime.
//!
//! [`Receipt`]: crate::receipt::Receipt

mod again;
mod approve;
mod archive;
mod asked;
mod blobs;
mod builtin;
mod bulk;
mod cache;
mod compile;
mod conformance;
mod contract;
mod declined;
mod engine;
mod filter;
mod guest;
mod load;
mod manifest;
mod meter;
mod replace;
mod restore;
mod review;
mod schema;
mod surroundings;
mod trial;
mod trouble;

use std::path::PathBuf;

pub use approve::{Approved, Blocked, Hooks, Verdict};
pub use builtin::{Builtin, builtins};
pub use cache::CodeCache;
pub use compile::compile_by_children;
pub use conformance::{Case, Conformance};
pub use contract::BULK_REVIEWER;
pub use declined::NoSmaller;
pub use guest::RunFacts;
pub use load::{Catalogue, Plugin, hold};
pub use manifest::{Asks, Import, Kind, LINKED, Manifest, ManifestError, imports, notices};
pub use meter::{Meters, Metrics};
pub use replace::{Placed, Replacement, forget_in_place, receipts_in_place};
pub use restore::{Restoration, RestoreError};
pub use schema::Objection;
pub use trial::{Answer, Archived, Failed, FailedClass, Room, Subject, Trial};

/// Why a plugin cannot be used at all.
///
/// What fails for one file is no error of this kind but that file's outcome.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The engine does not start.
    #[error("cannot start the engine for plugins: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
    /// Its file cannot be read.
    #[error("plugin `{plugin}`: cannot read `{}`: {}", path.display(), crate::store::in_words(source))]
    Unreadable {
        /// Its name in the configuration.
        plugin: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is larger than anything that is compiled.
    #[error("plugin `{plugin}`: its component has {size} bytes, more than {limit}")]
    TooLarge {
        /// Its name in the configuration.
        plugin: String,
        /// Its size.
        size: u64,
        /// The most there may be.
        limit: u64,
    },
    /// There is no such plugin in this program.
    #[error("plugin `{plugin}`: there is no `builtin:{wanted}`; there are {known}")]
    NoBuiltin {
        /// Its name in the configuration.
        plugin: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: String,
    },
    /// The bytes are not the pinned ones.
    #[error("plugin `{plugin}`: its SHA-256 is `{actual}`, the configuration pins `{pinned}`")]
    Pin {
        /// Its name in the configuration.
        plugin: String,
        /// The configured digest.
        pinned: String,
        /// The component's.
        actual: String,
    },
    /// It does not say what it is.
    #[error("plugin `{plugin}`: {source}")]
    Manifest {
        /// Its name in the configuration.
        plugin: String,
        /// What is wrong.
        source: ManifestError,
    },
    /// It asks for what it is not granted.
    #[error("plugin `{plugin}` asks for {asks}, and is granted {grants}")]
    NotGranted {
        /// Its name in the configuration.
        plugin: String,
        /// What it asks for.
        asks: String,
        /// What it has.
        grants: String,
    },
    /// Settings its schema does not allow.
    #[error("plugin `{plugin}`: {}", problems(objections))]
    Settings {
        /// Its name in the configuration.
        plugin: String,
        /// What is wrong with them.
        objections: Vec<Objection>,
    },
    /// It does not compile or imports what is not there.
    #[error("plugin `{plugin}` does not load: {reason}")]
    Load {
        /// Its name in the configuration.
        plugin: String,
        /// What the compiler or linker said.
        reason: String,
    },
}

impl PluginError {
    /// What somebody can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            PluginError::NotGranted { plugin, .. } => Some(format!(
                "what you trust it with stands in the configuration: \
                 `[plugins.{plugin}.grants]` with `destinations = [\"…\"]` and `memory = \"…\"`"
            )),
            PluginError::Pin { plugin, .. } => Some(format!(
                "if the new component is the one you want, run `retain plugin pin {plugin}`"
            )),
            PluginError::Engine { .. }
            | PluginError::Unreadable { .. }
            | PluginError::TooLarge { .. }
            | PluginError::NoBuiltin { .. }
            | PluginError::Manifest { .. }
            | PluginError::Settings { .. }
            | PluginError::Load { .. } => None,
        }
    }
}

fn problems(objections: &[Objection]) -> String {
    let problems: Vec<_> = objections.iter().map(|o| o.problem.as_str()).collect();
    problems.join("; ")
}
