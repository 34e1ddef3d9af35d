//! What is held, holding more, and letting go.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::super::Ask;
use super::super::problem::{Body, Path, Problem};
use super::super::restore::{AddHold, HoldView, Release, add_hold, hold_views, release_hold};
use super::Page;
use super::frame::{Place, Visit, after, frame};
use super::session::{self, Change};
use super::words::{encoded, files, marked, when};

pub(super) async fn page(State(ask): State<Ask>, visit: Visit) -> Page {
    let held = hold_views(&ask, None).await?;
    let stores: Vec<String> = ask.shared.loaded().config.stores.keys().cloned().collect();
    let inner = html! {
        div.head { div {
            h1 { "Holds" }
            p.quiet { "What is held stays, whatever the policy says." }
        } }
        @if held.is_empty() {
            div.empty {
                p { strong { "Nothing is held." } }
                p.quiet { "A hold keeps files from every run until it is released: while something is looked into, for instance." }
            }
        }
        div.list { @for hold in &held { (one(&visit, hold)) } }
        @match visit.word() {
            Some(_) => section { h2 { "Hold something" } (adding(&visit, &stores)) },
            None => p.small.quiet { a href="/session" { "Sign in" } " to hold something or to release it." },
        }
    };
    Ok(frame(&visit, "Holds", Place::Holds, &inner))
}

fn one(visit: &Visit, hold: &HoldView) -> Markup {
    html! {
        article.card {
            div.split {
                h2 { (hold.name) }
                span.pill.(if hold.state == "active" { "good" } else { "warn" }) { (hold.state) }
            }
            p {
                @match &hold.template {
                    Some(template) => code.statement { (template) },
                    None => (files(hold.files as u64)),
                }
                " in " a href={ "/stores/" (encoded(&hold.store)) } { (hold.store) }
            }
            @if let Some(reason) = &hold.reason { p { "“" (marked(reason)) "”" } }
            p.small.quiet {
                (origin(hold.origin)) " " (when(&hold.since)) ", "
                @match &hold.until { Some(until) => { "ends " (when(until)) }, None => "until it is released" }
                "."
            }
            @if visit.word().is_some() {
                details {
                    summary { "Release" }
                    (session::form(visit, "/page/hold/release", "row", html! {
                        input type="hidden" name="store" value=(hold.store);
                        input type="hidden" name="name" value=(hold.name);
                        label { span { "Why it is released" } input name="reason" required maxlength="500"; }
                        button.danger type="submit" { "Release" }
                    }))
                }
            }
        }
    }
}

/// Who said so, in words.
fn origin(word: &str) -> &str {
    match word {
        "manual" => "Added by hand",
        "policy" => "Asked for by the policy",
        "undo" => "Made by an undo",
        "restore" => "Made by a restore",
        other => other,
    }
}

fn adding(visit: &Visit, stores: &[String]) -> Markup {
    session::form(
        visit,
        "/page/hold",
        "card grid",
        html! {
            label { span { "Store" }
                select name="store" required { @for store in stores { option value=(store) { (store) } } }
            }
            label { span { "Name" } input name="name" required maxlength="100" placeholder="audit-2027" autocomplete="off"; }
            label { span { "What it holds" } input name="on" required maxlength="1000" placeholder="reports/{year}/**" autocomplete="off" spellcheck="false" aria-describedby="on-help"; }
            label { span { "Until the end of (empty: until released)" } input type="date" name="until"; }
            label.wide { span { "Why" } input name="reason" required maxlength="500"; }
            p.wide.small.quiet #on-help { "A template, as in a policy: " code { "*" } " within a directory, " code { "**" } " across them, " code { "{name}" } " for any one name." }
            div.wide { button.primary type="submit" { "Hold" } }
        },
    )
}

/// Keeps files whatever the policy says.
pub(super) async fn add(ask: Ask, change: Change) -> Result<Response, Problem> {
    let until = match change.field("until") {
        None => None,
        Some(day) => Some(end_of(day)?),
    };
    let new = AddHold {
        store: change.need("store")?.to_owned(),
        name: change.need("name")?.to_owned(),
        on: change.need("on")?.to_owned(),
        until,
        reason: Some(change.need("reason")?.to_owned()),
    };
    let _ = add_hold(State(ask), Body(new)).await?;
    Ok(after("/holds", Some("held")))
}

/// The first moment after a day, in UTC: until the 31st includes the 31st.
fn end_of(day: &str) -> Result<String, Problem> {
    let wrong = || Problem::invalid(format!("`{day}` is no day; write `2027-01-31`"));
    let date: jiff::civil::Date = day.parse().map_err(|_| wrong())?;
    let after = date.tomorrow().map_err(|_| wrong())?;
    Ok(format!("{after}T00:00:00Z"))
}

/// Lets go of what a hold kept.
pub(super) async fn release(ask: Ask, change: Change) -> Result<Response, Problem> {
    let name = change.need("name")?.to_owned();
    let release = Release {
        store: change.need("store")?.to_owned(),
        reason: change.need("reason")?.to_owned(),
    };
    let _ = release_hold(State(ask), Path(name), Body(release)).await?;
    Ok(after("/holds", Some("hold-released")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_until_a_day_includes_that_day() {
        assert_eq!(end_of("2026-12-31").unwrap(), "2027-01-01T00:00:00Z");
        assert!(end_of("tomorrow").is_err() && end_of("2026-13-01").is_err());
    }
}
