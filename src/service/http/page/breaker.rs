//! A latched store: the plan that waits, and its release by a person who has seen it.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::problem::{Params, Path, Problem};
use super::super::runs::{Part, named_plan, plan};
use super::super::stores::{LatchView, PlanView, view};
use super::super::{Ask, known};
use super::Page;
use super::frame::{Place, Visit, after, frame};
use super::plan::{Filter, KNOWN, rules, steps, sums, troubles};
use super::session::{self, Asks, Change};
use super::words::{encoded, files, marked, size, when};
use crate::service::state::Cause;
use crate::service::work::{self, Failure};

/// Digits of a digest that a person repeats.
const REPEATED: usize = 8;

fn digits(digest: &str) -> String {
    digest.chars().take(REPEATED).collect()
}

/// The plan that waits; with `?confirm=DIGEST` the page that asks once more.
pub(super) async fn page(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    Query(asked): Asks,
    visit: Visit,
) -> Page {
    let shown = view(&ask, &store).await?;
    let base = format!("/stores/{}", encoded(&store));
    let Some(latch) = shown.latch else {
        let inner = html! {
            p.small { a href=(base) { (store) } }
            h1 { "Nothing waits" }
            div.empty { p { "The breaker of this store is not tripped: its runs go on by schedule." } p { a.button href=(base) { "Back to the store" } } }
        };
        return Ok(frame(&visit, "Nothing waits", Place::Stores, &inner));
    };
    let part = Part {
        offset: None,
        limit: Some(KNOWN),
    };
    let waiting = plan(State(ask.clone()), Path(latch.plan.clone()), Params(part)).await;
    let confirming = asked.get("confirm") == Some(&latch.plan) && visit.word().is_some();
    let total = shown.seen.as_ref().map_or(0, |seen| seen.total.bytes);
    let filter = Filter::of(&asked);
    let inner = html! {
        p.small { a href=(base) { (store) } }
        h1 { @if confirming { "Release the breaker?" } @else { "The plan that waits" } }
        div.notice.bad {
            p { "Nothing is removed from " strong { (store) } ", latched " (when(&latch.since)) ": " (marked(&latch.reason)) "." }
        }
        @match waiting {
            Err(problem) => {
                p { "The plan is not kept any more: " (problem.detail()) "." }
                p.quiet { "Run the store again: the breaker trips anew and keeps a fresh plan, or the trouble is over." }
            },
            Ok(Json(plan)) if confirming => (confirmation(&visit, &base, &store, &latch, &plan)),
            Ok(Json(plan)) => {
                (sums(&plan, total))
                p.small.quiet { "Digest " code.break { (plan.digest) } }
                (troubles(&PlanView { tripped: Vec::new(), ..plan.clone() }))
                (next_step(&visit, &base, &latch))
                section #plan {
                    h2 { "What it would remove, and why" }
                    (rules(&plan))
                    (steps(&format!("{base}/release"), &plan, &filter, &[], &[]))
                }
            },
        }
    };
    Ok(frame(&visit, "The plan that waits", Place::Stores, &inner))
}

fn next_step(visit: &Visit, base: &str, latch: &LatchView) -> Markup {
    html! {
        div.choice.card {
            p { "If this is right, release the breaker for just this plan. If it is not, mend the policy: the latch stays until a person decides." }
            @match visit.word() {
                Some(_) => a.button.danger href={ (base) "/release?confirm=" (encoded(&latch.plan)) } { "Release this plan…" },
                None => a.button href="/session" { "Sign in to decide" },
            }
        }
    }
}

fn confirmation(
    visit: &Visit,
    base: &str,
    store: &str,
    latch: &LatchView,
    plan: &PlanView,
) -> Markup {
    let wanted = digits(&latch.plan);
    html! {
        div.choice.card {
            p { "This removes " strong { (files(plan.removed.files)) } ", " strong { (size(plan.removed.bytes)) } ", from " strong { (store) } ". Protections, holds and plugins stand; what has changed since is left alone." }
            p.small.quiet { "Digest " code.break { (latch.plan) } }
            (session::form(visit, "/page/release", "stack", html! {
                input type="hidden" name="store" value=(store);
                input type="hidden" name="plan" value=(latch.plan);
                label for="repeat" { span { "Repeat the first eight digits of the digest: " code { (wanted) } } }
                input #repeat name="repeat" required autocomplete="off" spellcheck="false"
                    pattern=(wanted) maxlength="8" title={ "The first eight digits: " (wanted) };
                div.buttons {
                    button.danger type="submit" { "Release and carry out" }
                    a.button.plain href={ (base) "/release" } { "Not now" }
                }
            }))
        }
    }
}

/// Releases the breaker for a plan that somebody has seen.
pub(super) async fn release(ask: Ask, change: Change) -> Result<Response, Problem> {
    let (store, digest) = (change.need("store")?, change.need("plan")?);
    known(&ask.shared.loaded(), store)?;
    if change.need("repeat")? != digits(digest) {
        return Err(Problem::invalid(
            "these are not the first eight digits of the plan's digest, so nothing was released",
        ));
    }
    let shown = view(&ask, store).await?;
    if shown.latch.is_none_or(|latch| latch.plan != digest) {
        return Err(Problem::new(
            axum::http::StatusCode::CONFLICT,
            "stale-plan",
            "this plan does not wait any more",
            "look at the one that does, if any",
        ));
    }
    let task = named_plan(&ask, store, digest, true)?;
    let place = format!("/stores/{}", encoded(store));
    match work::start(&ask.shared, store, task, Cause::Request) {
        Ok(_) => Ok(after(&place, Some("released"))),
        Err(Failure::Busy) => Ok(after(&place, Some("busy"))),
        Err(failure) => Err(failure.into()),
    }
}
