//! What somebody should look at.

use axum::extract::State;
use maud::html;

use super::super::Ask;
use super::super::advice::advice;
use super::Page;
use super::frame::{Place, Visit, frame, sentence};
use super::words::{encoded, marked};

pub(super) async fn page(State(ask): State<Ask>, visit: Visit) -> Page {
    let found = advice(&ask).await?;
    let environment = ask.shared.loaded().config.environment.clone();
    let tone = |severity: &str| match severity {
        "critical" => "bad",
        "warning" => "warn",
        _ => "off",
    };
    let inner = html! {
        div.head { div {
            h1 { "Advice" }
            p.quiet { "What somebody should look at" @if let Some(name) = &environment { " in " strong { (name) } } ", the most pressing first." }
        } }
        @if found.is_empty() {
            div.empty { p { strong { "All is well." } } p.quiet { "Nothing about these stores needs a second look." } }
        }
        ul.list #advice data-live {
            @for advice in &found {
                li.card.advice {
                    span.pill.(tone(advice.severity)) { (advice.severity) }
                    div {
                        p { (marked(&sentence(&advice.message))) "." }
                        p.small.quiet {
                            @if let Some(store) = &advice.store { a href={ "/stores/" (encoded(store)) } { (store) } " · " }
                            (advice.kind)
                        }
                    }
                }
            }
        }
    };
    Ok(frame(&visit, "Advice", Place::Advice, &inner))
}
