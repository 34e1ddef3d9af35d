//! Runs: those there were, and one with its files.

use crate::service::http::problem::Path;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::super::runs::{RunView, WholeRunView, runs, whole};
use super::super::{Ask, known};
use super::Page;
use super::chart::bar;
use super::frame::{Place, Visit, frame};
use super::plan::short_rule;
use super::session::{self, Asks};
use super::words::{encoded, files, number, size, when};
use crate::service::state::Running;

/// Files on one page.
const SHOWN: usize = 50;

/// Runs in the list.
const LISTED: u32 = 100;

/// How something ended, as a word with a tone.
pub(super) fn ending_pill(word: &str) -> Markup {
    let tone = match word {
        "completed" => "good",
        "trouble" | "cancelled" | "interrupted" => "warn",
        "unfinished" => "off",
        _ => "bad",
    };
    html! { span.pill.(tone) { (word) } }
}

fn run_pill(run: &RunView) -> Markup {
    match (run.state.as_str(), run.trouble) {
        ("completed", 1..) => ending_pill("trouble"),
        (word, _) => ending_pill(word),
    }
}

/// A run's name is long; this is enough of it to tell it from others.
fn short(run: &str) -> &str {
    run.get(..run.len().min(20)).unwrap_or(run)
}

pub(super) fn runs_table(runs: &[RunView], with_store: bool) -> Markup {
    html! {
        @if runs.is_empty() {
            div.empty {
                p { strong { "No runs yet." } }
                p.quiet { "The first begins by its schedule, or when somebody asks for it on the store's page." }
            }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Runs" {
                table {
                    thead { tr {
                        th scope="col" { "Began" }
                        @if with_store { th scope="col" { "Store" } }
                        th scope="col" { "Ended" }
                        th.num scope="col" { "Removed" }
                        th.num scope="col" { "Freed" }
                        th.num.extra scope="col" { "Kept" }
                        th.extra scope="col" { "Run" }
                    } }
                    tbody {
                        @for run in runs {
                            tr {
                                td.nowrap { a href={ "/runs/" (encoded(&run.run)) } { (when(&run.started)) } }
                                @if with_store { td { a href={ "/stores/" (encoded(&run.store)) } { (run.store) } } }
                                td { (run_pill(run)) }
                                td.num { (number(run.removed)) }
                                td.num { (size(run.freed)) }
                                td.num.extra { (number(run.kept + run.trouble)) }
                                td.extra { code.quiet { (short(&run.run)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) async fn list(State(ask): State<Ask>, Query(asked): Asks, visit: Visit) -> Page {
    let loaded = ask.shared.loaded();
    let only = asked.get("store").filter(|store| !store.is_empty());
    if let Some(store) = only {
        known(&loaded, store)?;
    }
    let found = runs(&ask, only.cloned(), LISTED).await?;
    let inner = html! {
        div.head { div { h1 { "Runs" } p.quiet { "The newest first, at most " (LISTED) "." } } }
        nav.chips aria-label="Store" {
            a href="/runs" aria-current=[only.is_none().then_some("true")] { "All stores" }
            @for store in loaded.config.stores.keys() {
                a href={ "/runs?store=" (encoded(store)) } aria-current=[(only == Some(store)).then_some("true")] { (store) }
            }
        }
        section #runs-list data-live { (runs_table(&found, only.is_none())) }
    };
    Ok(frame(&visit, "Runs", Place::Runs, &inner))
}

pub(super) async fn one(
    State(ask): State<Ask>,
    Path(run): Path<String>,
    Query(asked): Asks,
    visit: Visit,
) -> Page {
    let offset = asked
        .get("offset")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let found = whole(&ask, run, offset, SHOWN).await?;
    let running = ask.shared.room(&found.run.store).state().running.clone();
    let running = running.filter(|running| running.run.as_ref() == Some(&found.run.run));
    let inner = html! {
        p.small { a href="/runs" { "Runs" } }
        div.head {
            div {
                div.title { h1 { "Run of " a href={ "/stores/" (encoded(&found.run.store)) } { (found.run.store) } } span #run-pill data-live { (run_pill(&found.run)) } }
                p.small.quiet { code { (found.run.run) } }
            }
            div.actions #run-actions data-live { (undo_form(&visit, &found.run)) }
        }
        (progress(&found.run, running.as_ref()))
        div #run-facts data-live { (facts(&found.run)) }
        section #run-files data-live {
            h2 { "Its files" }
            (files_table(&found))
            (pages(&found, offset))
        }
    };
    let visit = match running {
        Some(_) => visit.refreshed_after(2),
        None => visit,
    };
    Ok(frame(
        &visit,
        &format!("Run of {}", found.run.store),
        Place::Runs,
        &inner,
    ))
}

fn progress(run: &RunView, running: Option<&Running>) -> Markup {
    let (done, of) = running.map_or((0, 0), |running| (running.done, running.files));
    let share = if of == 0 {
        0.0
    } else {
        done as f64 / of as f64
    };
    html! {
        div.slot #run-progress data-live data-run=(run.run) {
            div.progress hidden[running.is_none()] {
                div.split.small {
                    span { "Running now" }
                    span data-progress-words { (done) " of " (of) }
                }
                (bar(share, "good"))
            }
        }
    }
}

fn facts(run: &RunView) -> Markup {
    html! {
        div.tiles {
            div.tile { h2.label { "Removed" } p.figure { (number(run.removed)) } p.small.quiet { "of " (files(run.planned)) " in its plan" } }
            div.tile { h2.label { "Freed" } p.figure { (size(run.freed)) } p.small.quiet { @if run.trashed > 0 { (number(run.trashed)) " put into the trash" } @else { "at once" } } }
            div.tile { h2.label { "Kept" } p.figure { (number(run.kept + run.trouble)) } p.small.quiet { @if run.trouble > 0 { (number(run.trouble)) " because something did not work" } @else { "as it should" } } }
            div.tile { h2.label { "Archived first" } p.figure { (number(run.archived)) } p.small.quiet { @if run.replaced > 0 { (number(run.replaced)) " replaced" } } }
        }
        p.small.quiet {
            "Began " (when(&run.started))
            @if let Some(ended) = &run.ended { ", ended " (when(ended)) }
            ". Plan " code { (run.plan.chars().take(16).collect::<String>()) } "."
        }
    }
}

fn undo_form(visit: &Visit, run: &RunView) -> Markup {
    html! {
        @if run.trashed > 0 {
            a.button href={ "/trash?store=" (encoded(&run.store)) } { "Trash" }
            (session::form(visit, "/page/undo", "inline", html! {
                input type="hidden" name="store" value=(run.store);
                input type="hidden" name="run" value=(run.run);
                button type="submit" { "Put all back" }
            }))
        }
    }
}

fn outcome_pill(word: Option<&str>) -> Markup {
    let tone = match word {
        None => "off",
        Some("removed" | "trashed" | "replaced") => "good",
        Some(word) if word.contains("fail") || word.contains("error") => "bad",
        Some(_) => "off",
    };
    html! { span.pill.(tone) { (word.unwrap_or("not yet known")) } }
}

fn files_table(whole: &WholeRunView) -> Markup {
    html! {
        @if whole.files.is_empty() {
            div.empty { p { strong { "It had nothing to do." } } p.quiet { "No statement took a file." } }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Files of the run" {
                table {
                    thead { tr { th scope="col" { "File" } th scope="col" { "What became of it" } th scope="col" { "Rule" } th.num scope="col" { "Size" } } }
                    tbody {
                        @for file in &whole.files {
                            tr {
                                td { code.path { (file.path) } }
                                td {
                                    (outcome_pill(file.outcome.as_deref()))
                                    @if let Some(message) = file.message.as_ref().filter(|m| file.outcome.as_ref() != Some(m)) {
                                        " " span.small.quiet { (message) }
                                    }
                                }
                                td.small.quiet.nowrap { (short_rule(&file.rule)) }
                                td.num { (size(file.size)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn pages(whole: &WholeRunView, offset: usize) -> Markup {
    let base = format!("/runs/{}", encoded(&whole.run.run));
    let end = (offset + SHOWN).min(whole.files_total);
    html! {
        @if whole.files_total > SHOWN {
            nav.pages.small aria-label="Pages of files" {
                span.quiet { (number(offset as u64 + 1)) "–" (number(end as u64)) " of " (number(whole.files_total as u64)) }
                @if offset > 0 { a href={ (base) "?offset=" (offset.saturating_sub(SHOWN)) } rel="prev" { "Before" } }
                @if end < whole.files_total { a href={ (base) "?offset=" (end) } rel="next" { "After" } }
            }
        }
    }
}
