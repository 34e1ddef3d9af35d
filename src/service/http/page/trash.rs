//! What lies in the trash, and putting it back.

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::problem::Problem;
use super::super::restore::{TrashView, Undo, trash_views, undone};
use super::super::{Ask, known};
use super::Page;
use super::frame::{Place, Visit, after, frame};
use super::session::{self, Asks, Change};
use super::words::{encoded, files, number, size, when};

pub(super) async fn page(State(ask): State<Ask>, Query(asked): Asks, visit: Visit) -> Page {
    let loaded = ask.shared.loaded();
    let only = asked.get("store").filter(|store| !store.is_empty());
    if let Some(store) = only {
        known(&loaded, store)?;
    }
    let kept = trash_views(&ask, only.cloned()).await?;
    let bytes: u64 = kept.iter().map(|run| run.bytes).sum();
    let count: u64 = kept.iter().map(|run| run.files).sum();
    let with_grace = loaded
        .config
        .stores
        .values()
        .any(|store| store.grace.is_some());
    let inner = html! {
        div.head { div {
            h1 { "Trash" }
            p.quiet { @if count > 0 { (files(count)) ", " (size(bytes)) ", until their grace ends." } @else { "What runs removed lies here until its grace ends." } }
        } }
        @if loaded.config.stores.len() > 1 {
            nav.chips aria-label="Store" {
                a href="/trash" aria-current=[only.is_none().then_some("true")] { "All stores" }
                @for store in loaded.config.stores.keys() {
                    a href={ "/trash?store=" (encoded(store)) } aria-current=[(only == Some(store)).then_some("true")] { (store) }
                }
            }
        }
        @if kept.is_empty() {
            div.empty {
                p { strong { "The trash is empty." } }
                @match with_grace {
                    true => p.quiet { "What the next runs remove can be put back from here." },
                    false => p.quiet { "No store has a " code { "grace" } ", so what is removed goes at once. With " code { "grace = \"1 day\"" } " under the store it waits here first." },
                }
            }
        }
        @if visit.word().is_none() && !kept.is_empty() {
            p.small.quiet { a href="/session" { "Sign in" } " to put something back." }
        }
        div.list { @for run in &kept { (of_run(&visit, run)) } }
    };
    Ok(frame(&visit, "Trash", Place::Trash, &inner))
}

fn of_run(visit: &Visit, run: &TrashView) -> Markup {
    html! {
        article.card {
            div.split {
                div {
                    h2 { a href={ "/stores/" (encoded(&run.store)) } { (run.store) } ": " (files(run.files)) ", " (size(run.bytes)) }
                    p.small.quiet {
                        "Removed " (when(&run.since)) " by run " a href={ "/runs/" (encoded(&run.run)) } { code { (run.run) } }
                        ". Goes for good " (when(&run.until)) "."
                    }
                }
                (put_back(visit, run, None))
            }
            details {
                summary { "Its files" }
                ul.rows {
                    @for path in &run.paths {
                        li.split { code.path { (path) } (put_back(visit, run, Some(path))) }
                    }
                }
                @if run.files > run.paths.len() as u64 {
                    p.small.quiet { "and " (number(run.files - run.paths.len() as u64)) " more" }
                }
            }
        }
    }
}

fn put_back(visit: &Visit, run: &TrashView, path: Option<&str>) -> Markup {
    let inner = html! {
        input type="hidden" name="store" value=(run.store);
        input type="hidden" name="run" value=(run.run);
        @match path {
            Some(path) => {
                input type="hidden" name="path" value=(path);
                button.small type="submit" aria-label={ "Put back " (path) } { "Put back" }
            },
            None => button type="submit" { "Put all back" },
        }
    };
    session::form(visit, "/page/undo", "inline", inner)
}

/// Puts back what a run moved into the trash.
pub(super) async fn undo(ask: Ask, change: Change) -> Result<Response, Problem> {
    let undo = Undo {
        store: change.need("store")?.to_owned(),
        run: change.need("run")?.to_owned(),
        path: change.field("path").map(str::to_owned),
    };
    let done = undone(&ask, undo).await?;
    let said = match done.left.is_empty() {
        true => "undone",
        false => "undone-in-part",
    };
    Ok(after("/trash", Some(said)))
}
