//! All stores at a glance.

use axum::extract::State;
use maud::{Markup, html};

use super::super::stores::{SampleView, StoreView, samples, views};
use super::super::{Ask, runs};
use super::chart::{bar, fullness, spark};
use super::frame::{Place, Visit, frame, sentence};
use super::runs::{ending_pill, runs_table};
use super::words::{encoded, files, growth, marked, percent, plural, size, when};
use super::{Page, session};
use crate::service::state::Running;

pub(super) async fn page(State(ask): State<Ask>, visit: Visit) -> Page {
    if visit.is_shut_out() {
        return Ok(session::asked(&ask, &visit, "/", None));
    }
    let mut stores = views(&ask).await?;
    // What needs a person comes first, the rest by name.
    stores.sort_by_key(|store| store.latch.is_none() && store.health.healthy);
    let mut lines = Vec::with_capacity(stores.len());
    for store in &stores {
        lines.push(samples(&ask, &store.store).await?);
    }
    let recent = runs::runs(&ask, None, 6).await?;
    let running = stores.iter().any(|store| store.running.is_some());
    let reload = ask.shared.reloaded().clone();
    let environment = ask.shared.loaded().config.environment.clone();
    let inner = html! {
        div.head #overview-head data-live {
            div {
                h1 { "Stores" }
                p.quiet { (summary(&stores)) @if let Some(name) = &environment { " Environment: " (name) "." } }
            }
        }
        div #overview-warnings data-live {
            @if !reload.successful {
                div.notice.bad {
                    strong { "The configuration on disk is not the one that runs. " }
                    (marked(&sentence(reload.message.as_deref().unwrap_or_default())))
                }
            }
        }
        @if stores.is_empty() {
            div.empty {
                p { strong { "No stores yet." } }
                p.quiet { "Add a " code { "[stores.NAME]" } " with a " code { "path" } " and a " code { "policy" } " to the configuration; it is read again as soon as it changes." }
            }
        }
        div.cards #overview-cards data-live {
            @for (store, line) in stores.iter().zip(&lines) { (card(store, line)) }
        }
        section #overview-runs data-live {
            div.section-head { h2 { "Latest runs" } a href="/runs" { "All runs" } }
            (runs_table(&recent, true))
        }
    };
    let visit = match running {
        true => visit.refreshed_after(3),
        false => visit.refreshed_after(60),
    };
    Ok(frame(&visit, "Stores", Place::Stores, &inner))
}

fn summary(stores: &[StoreView]) -> String {
    let seen = stores.iter().filter_map(|store| store.seen.as_ref());
    let (count, bytes) = seen.fold((0_u64, 0_u64), |(files, bytes), seen| {
        (
            files + seen.total.files,
            bytes.saturating_add(seen.total.bytes),
        )
    });
    let waiting = stores.iter().filter(|store| store.latch.is_some()).count() as u64;
    let ill = stores.iter().filter(|store| !store.health.healthy).count() as u64;
    let mut text = format!(
        "{} in {}, in {}.",
        size(bytes),
        files(count),
        plural(stores.len() as u64, "store", "stores")
    );
    match (waiting, ill) {
        (0, 0) => text.push_str(" Nothing needs you."),
        (0, ill) => text.push_str(&format!(" {} not healthy.", plural(ill, "is", "are"))),
        (waiting, _) => text.push_str(&format!(" {} for you.", plural(waiting, "waits", "wait"))),
    }
    text
}

/// How a store is, in one word.
pub(super) fn health_pill(store: &StoreView) -> Markup {
    let (tone, word) = match store {
        store if !store.health.healthy => ("bad", "unhealthy"),
        store if store.latch.is_some() => ("bad", "waits for you"),
        store if store.trouble.is_some() => ("bad", "trouble"),
        store if !store.enabled => ("off", "off"),
        store
            if store
                .seen
                .as_ref()
                .is_some_and(|seen| !seen.unmet.is_empty()) =>
        {
            ("warn", "over budget")
        }
        _ => ("good", "healthy"),
    };
    html! { span.pill.(tone) { (word) } }
}

/// How far a run has come. It keeps its place while nothing runs, so that nothing jumps.
pub(super) fn progress(store: &str, running: Option<&Running>) -> Markup {
    let (done, of) = running.map_or((0, 0), |running| (running.done, running.files));
    let share = if of == 0 {
        0.0
    } else {
        done as f64 / of as f64
    };
    html! {
        div.progress data-progress=(store) hidden[running.is_none()] {
            div.split.small {
                span { "Running now" }
                span data-progress-words {
                    @if of == 0 { "looking" } @else { (done) " of " (of) }
                }
            }
            (bar(share, "good"))
        }
    }
}

fn card(store: &StoreView, line: &[SampleView]) -> Markup {
    html! {
        article.card data-store=(store.store) {
            div.split {
                h2 { a href={ "/stores/" (encoded(&store.store)) } { (store.store) } }
                (health_pill(store))
            }
            div.figure-row {
                div {
                    p.figure { @match &store.seen { Some(seen) => (size(seen.total.bytes)), None => "—" } }
                    p.small.quiet {
                        (amounts(store))
                    }
                }
                (spark(line))
            }
            @if let Some(latch) = &store.latch {
                div.notice.bad {
                    p { "Latched " (when(&latch.since)) ": " (marked(&latch.reason)) "." }
                    p { a href={ "/stores/" (encoded(&store.store)) "/release" } { "Look at the plan that waits" } }
                }
            } @else if let Some(trouble) = store.health.message.as_ref().or(store.trouble.as_ref()) {
                div.notice.bad { p { (marked(&sentence(trouble))) } }
            }
            dl.facts {
                @if let Some(disk) = &store.disk {
                    div { dt { "Disk" } dd {
                        (percent(disk.used_ratio)) " full, " (size(disk.available)) " free"
                        (bar(disk.used_ratio, fullness(disk.used_ratio)))
                    } }
                }
                @if let Some(seen) = &store.seen {
                    div { dt { "Would go now" } dd {
                        @if seen.removable.files == 0 { span.quiet { "nothing" } }
                        @else { (files(seen.removable.files)) ", " (size(seen.removable.bytes)) }
                    } }
                }
                div { dt { "Next run" } dd { (next(store)) } }
                div { dt { "Last run" } dd { (last(store)) } }
            }
            (progress(&store.store, store.running.as_ref()))
        }
    }
}

/// Files, and how fast they grow.
pub(super) fn amounts(store: &StoreView) -> String {
    let seen = store.seen.as_ref().map(|seen| files(seen.total.files));
    let rate = store.growth.as_ref().map(|rate| growth(rate.bytes_per_day));
    let known: Vec<String> = seen.into_iter().chain(rate).collect();
    known.join(" · ")
}

/// The schedule; a cron expression as what it is.
pub(super) fn schedule(store: &StoreView) -> Markup {
    html! {
        @match store.schedule.contains('*') || store.schedule.starts_with(|c: char| c.is_ascii_digit()) {
            true => code { (store.schedule) },
            false => (store.schedule),
        }
    }
}

/// When the next run is due.
pub(super) fn next(store: &StoreView) -> Markup {
    html! {
        @match (&store.next, store.enabled) {
            (_, false) => span.quiet { "off" },
            (Some(at), true) => { (when(at)) " " span.quiet.small { (schedule(store)) } },
            (None, true) => span.quiet { (schedule(store)) },
        }
    }
}

/// How the last run went.
pub(super) fn last(store: &StoreView) -> Markup {
    html! {
        @match &store.last {
            None => span.quiet { "none yet" },
            Some(last) => {
                @match &last.run {
                    Some(run) => a href={ "/runs/" (run) } { (when(&last.at)) },
                    None => (when(&last.at)),
                }
                " " (ending_pill(last.outcome.word()))
            },
        }
    }
}
