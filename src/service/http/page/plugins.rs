//! Plugins with what they did since the service began.

use std::collections::BTreeMap;

use axum::extract::State;
use maud::{Markup, html};

use super::super::Ask;
use super::super::stores::{PluginView, plugin_views};
use super::Page;
use super::frame::{Place, Visit, frame};
use super::words::{marked, number, size};

/// What a plugin did, as the metrics count it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    ok: f64,
    refused: f64,
    failed: f64,
    trapped: f64,
    seconds: f64,
    read: f64,
    written: f64,
}

/// Reads them off the text that Prometheus is given: names and labels there are a promise
/// to others already.
fn figures(text: &str) -> BTreeMap<String, Figures> {
    let mut all: BTreeMap<String, Figures> = BTreeMap::new();
    for line in text.lines() {
        let Some((metric, labels, value)) = sample(line) else {
            continue;
        };
        let Some(plugin) = label(labels, "plugin") else {
            continue;
        };
        let of = all.entry(plugin.to_owned()).or_default();
        match (metric, label(labels, "result")) {
            ("retain_plugin_calls_total", Some("ok")) => of.ok = value,
            ("retain_plugin_calls_total", Some("refused")) => of.refused = value,
            ("retain_plugin_calls_total", Some("failed")) => of.failed = value,
            ("retain_plugin_calls_total", Some("trapped")) => of.trapped = value,
            ("retain_plugin_seconds_total", _) => of.seconds = value,
            ("retain_plugin_read_bytes_total", _) => of.read = value,
            ("retain_plugin_written_bytes_total", _) => of.written = value,
            _ => {}
        }
    }
    all
}

fn sample(line: &str) -> Option<(&str, &str, f64)> {
    let (metric, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    Some((metric, labels, value.parse().ok()?))
}

/// Plugins' names and results have nothing in them that would be escaped.
fn label<'t>(labels: &'t str, name: &str) -> Option<&'t str> {
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(label, _)| *label == name);
    found.next().map(|(_, value)| value.trim_matches('"'))
}

pub(super) async fn page(State(ask): State<Ask>, visit: Visit) -> Page {
    let plugins = plugin_views(&ask).await?;
    let figures = figures(&ask.shared.metrics());
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
                (one(plugin, figures.get(&plugin.plugin).copied().unwrap_or_default()))
            }
        }
    };
    Ok(frame(&visit, "Plugins", Place::Plugins, &inner))
}

fn one(plugin: &PluginView, figures: Figures) -> Markup {
    let count = |figure: f64| number(figure as u64);
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
                div { dt { "Calls" } dd { (count(figures.ok + figures.refused + figures.failed + figures.trapped)) } }
                div { dt { "Refused" } dd { (count(figures.refused)) } }
                div { dt { "Failed" } dd { (count(figures.failed + figures.trapped)) } }
                div { dt { "Time" } dd { (format!("{:.1} s", figures.seconds)) } }
                div { dt { "Read" } dd { (size(figures.read as u64)) } }
                div { dt { "Written" } dd { (size(figures.written as u64)) } }
            }
            @if let Some(digest) = &plugin.digest { p.small.quiet { "BLAKE3 " code.break { (digest) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_off_the_metrics() {
        let text = "# HELP retain_plugin_calls_total Calls.\n\
            retain_plugin_calls_total{plugin=\"backup\",result=\"ok\"} 12\n\
            retain_plugin_calls_total{plugin=\"backup\",result=\"trapped\"} 1\n\
            retain_plugin_seconds_total{plugin=\"backup\"} 0.25\n\
            retain_store_bytes{store=\"charts\"} 7\n";
        let wanted = Figures {
            ok: 12.0,
            trapped: 1.0,
            seconds: 0.25,
            ..Figures::default()
        };
        assert_eq!(
            figures(text),
            BTreeMap::from([("backup".to_owned(), wanted)])
        );
    }
}
