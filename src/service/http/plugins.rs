//! The plugins of the configuration.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::{Answer, Ask, blocking};
use crate::config::Wasm;
use crate::plugin::Plugin;

/// A plugin of the configuration.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PluginView {
    /// Its name in policies.
    pub plugin: String,
    /// Where its component comes from.
    pub wasm: String,
    /// What it does: `reviewer` or `archiver`.
    pub kind: Option<String>,
    /// Its version, as it says itself.
    pub version: Option<String>,
    /// The BLAKE3 digest of its component, as receipts name it.
    pub digest: Option<String>,
    /// Destinations it may write into.
    pub destinations: Vec<String>,
    /// Memory it may use, in bytes.
    pub memory: u64,
    /// Why it cannot be used.
    pub trouble: Option<String>,
}

/// The plugins of the configuration.
#[utoipa::path(get, path = "/v1/plugins", tag = "service", responses((status = 200, body = [PluginView])))]
pub(super) async fn plugins(State(ask): State<Ask>) -> Answer<Vec<PluginView>> {
    plugin_views(&ask).await.map(Json)
}

pub(super) async fn plugin_views(ask: &Ask) -> Result<Vec<PluginView>, Problem> {
    let loaded = ask.shared.loaded();
    blocking(move || {
        let view = |configured: &crate::config::Plugin| {
            let plugin = Plugin::load(configured, None);
            let known = plugin.as_ref().ok();
            PluginView {
                plugin: configured.name.clone(),
                wasm: match &configured.wasm {
                    Wasm::Builtin(name) => format!("builtin:{name}"),
                    Wasm::File(place) => place.written.clone(),
                },
                kind: known.map(|plugin| {
                    let kind = match plugin.manifest().kind {
                        crate::plugin::Kind::Reviewer => "reviewer",
                        crate::plugin::Kind::Archiver => "archiver",
                    };
                    kind.to_owned()
                }),
                version: known.map(|plugin| plugin.version().version),
                digest: known.map(|plugin| plugin.version().digest),
                destinations: configured.grants.destinations.clone(),
                memory: configured.grants.memory.0,
                trouble: plugin.err().map(|error| crate::diagnostic::chain(&error)),
            }
        };
        Ok(loaded.config.plugins.values().map(view).collect())
    })
    .await
}
