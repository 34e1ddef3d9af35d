//! The page: what a person looks at.
//!
//! Everything is rendered here and works without script; the script only keeps it fresh.
//! Whatever changes something is a form to `/page/…`, of which [`session::change`] is the
//! only maker: it compares the session's word before a handler sees anything.

mod advice;
mod archives;
mod assets;
mod breaker;
mod chart;
mod frame;
mod holds;
mod overview;
mod plan;
mod plugins;
mod runs;
mod session;
mod store;
#[cfg(test)]
mod tests;
mod trash;
mod treemap;
mod words;

use axum::Router;
use axum::routing::{MethodRouter, get};
use maud::Markup;

use super::Ask;
use super::problem::Problem;

pub(super) use frame::in_words;

/// A view, or why there is none; [`in_words`] makes a page of that too.
type Page = Result<Markup, Problem>;

pub(super) fn routes() -> Router<Ask> {
    let reading = Router::new()
        .route("/", get(overview::page))
        .route("/stores/{store}", get(store::page))
        .route("/stores/{store}/release", get(breaker::page))
        .route("/stores/{store}/archives", get(archives::page))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::one))
        .route("/trash", get(trash::page))
        .route("/holds", get(holds::page))
        .route("/plugins", get(plugins::page))
        .route("/advice", get(advice::page))
        .route("/theme/{theme}", get(frame::set_theme))
        .route("/assets/{name}", get(assets::asset))
        .route("/session", get(session::page).post(session::sign_in));
    let changing = changes().into_iter();
    changing.fold(reading, |router, (path, method)| router.route(path, method))
}

/// Everything the page can change.
fn changes() -> [(&'static str, MethodRouter<Ask>); 7] {
    [
        ("/page/sign-out", session::change(session::sign_out)),
        ("/page/run", session::change(store::run)),
        ("/page/release", session::change(breaker::release)),
        ("/page/undo", session::change(trash::undo)),
        ("/page/restore", session::change(archives::restore)),
        ("/page/hold", session::change(holds::add)),
        ("/page/hold/release", session::change(holds::release)),
    ]
}
