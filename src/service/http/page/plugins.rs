//! Plugins with what they did since the service began.

use axum::extract::State;
use maud::{Markup, html};

use super::super::Ask;
use super::super::plugins::{PluginView, plugin_views};
use super::Page;
use super::frame::{Place, Visit, frame};
use super::words::{marked, number, size};
use crate::service::metrics::PluginFigures;

pub(super) async fn page(State(ask): State<Ask>, visit: Visit) -> Page {
    let plugins = plugin_views(&ask).await?;
    let numbers = &ask.shared.numbers;
    let inner = html! {
        div.head { div {
            h1 { "Plugins" }
            p.quiet { "What has a say before a file goes. Figures are since the service began." }
        } }
        @if plugins.is_empty() {
            div.empty {
                p { strong { "No plugins." } }
                p.quiet { "A plugin can archive a file and prove that the copy restores before it goes. Add " code { "[plugins.backup]" } " with " code { "wasm = \"builtin:backup\"" } " and a destination to the configuration." }
            }
        }
        div.list #plugins data-live {
            @for plugin in &plugins {
                (one(plugin, numbers.of_plugin(&plugin.plugin)))
            }
        }
    };
    Ok(frame(&visit, "Plugins", Place::Plugins, &inner))
}

fn one(plugin: &PluginView, figures: PluginFigures) -> Markup {
    html! {
        article.card {
            div.split {
                h2 { (plugin.plugin) }
                @match &plugin.trouble {
                    None => span.pill.good { "ready" },
                    Some(_) => span.pill.bad { "cannot be used" },
                }
            }
            @if let Some(trouble) = &plugin.trouble { div.notice.bad { p { (marked(&super::frame::sentence(trouble))) } } }
            p.small.quiet {
                @if let Some(kind) = &plugin.kind { (super::frame::sentence(kind)) ", " }
                @if let Some(version) = &plugin.version { "version " (version) ", " }
                "from " code { (plugin.wasm) } ", at most " (size(plugin.memory)) " of memory"
                @if !plugin.destinations.is_empty() { ", may write to " (plugin.destinations.join(", ")) }
                "."
            }
            dl.numbers {
                div { dt { "Calls" } dd { (number(figures.ok + figures.refused + figures.failed)) } }
                div { dt { "Refused" } dd { (number(figures.refused)) } }
                div { dt { "Failed" } dd { (number(figures.failed)) } }
                div { dt { "Time" } dd { (format!("{:.1} s", figures.seconds)) } }
                div { dt { "Read" } dd { (size(figures.read)) } }
                div { dt { "Written" } dd { (size(figures.written)) } }
            }
            @if let Some(digest) = &plugin.digest { p.small.quiet { "BLAKE3 " code.break { (digest) } } }
        }
    }
}
