//! Archived versions of one file, and bringing one of them back.

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::problem::{Path, Problem};
use super::super::restore::{Restore, VersionView, restored, versions};
use super::super::{Ask, known};
use super::Page;
use super::frame::{Place, Visit, after, frame, sentence};
use super::session::{self, Asks, Change};
use super::words::{encoded, number, size, when};

/// Versions that are listed.
const ROWS: usize = 100;

/// The form that asks for a file's versions; it only reads.
pub(super) fn asking(store: &str, path: &str, at: &str) -> Markup {
    html! {
        form.filter method="get" action={ "/stores/" (encoded(store)) "/archives" } {
            label { span { "Path in the store" } input name="path" required value=(path) maxlength="4096" autocomplete="off" spellcheck="false" placeholder="2026/sectors.csv"; }
            label { span { "As it was at, UTC (empty: the newest)" } input name="at" value=(at) maxlength="40" autocomplete="off" spellcheck="false" placeholder="2027-01-31 12:00"; }
            button type="submit" { "Look for it" }
        }
    }
}

/// What is archived of a file, and the version that would come back.
pub(super) async fn page(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    Query(asked): Asks,
    visit: Visit,
) -> Page {
    known(&ask.shared.loaded(), &store)?;
    let path = asked.get("path").map_or("", |path| path.trim());
    let written = asked.get("at").map_or("", |at| at.trim());
    let at = moment(written)?;
    let all = match path {
        "" => Vec::new(),
        path => versions(&ask, &store, path).await?,
    };
    let chosen = all.iter().position(|version| fits(version, at));
    let inner = html! {
        p.small { a href={ "/stores/" (encoded(&store)) } { (store) } }
        h1 { "Archived versions" }
        (asking(&store, path, written))
        @match (path, all.is_empty(), chosen.and_then(|chosen| all.get(chosen))) {
            ("", _, _) => {},
            (_, true, _) => div.empty {
                p { strong { "Nothing of that name is archived." } }
                p.quiet { "Write it as plans and runs show it. What was removed without a backup may still lie in the " a href={ "/trash?store=" (encoded(&store)) } { "trash" } "." }
            },
            (_, _, None) => p.notice.warn { "No archived version is as old as that." },
            (_, _, Some(version)) => (confirmation(&visit, &store, path, written, version)),
        }
        @if !all.is_empty() { (table(&all, chosen)) }
    };
    Ok(frame(&visit, "Archived versions", Place::Stores, &inner))
}

fn fits(version: &VersionView, at: Option<jiff::Timestamp>) -> bool {
    let modified = version.modified.parse::<jiff::Timestamp>().ok();
    at.is_none_or(|at| modified.is_some_and(|modified| modified <= at))
}

fn confirmation(visit: &Visit, store: &str, path: &str, at: &str, version: &VersionView) -> Markup {
    html! {
        div.choice.card {
            p { "This brings back " code.path { (path) } " as it was last modified " strong { (when(&version.modified)) } ", " strong { (size(version.bytes)) } ", from " (version.destination) " by " (version.plugin) "." }
            p.small.quiet { "Nothing is overwritten: where a file of that name is, it stays. What comes back is held for a week, so no run takes it again." }
            @match visit.word() {
                Some(_) => (session::form(visit, "/page/restore", "buttons", html! {
                    input type="hidden" name="store" value=(store);
                    input type="hidden" name="path" value=(path);
                    input type="hidden" name="at" value=(at);
                    input type="hidden" name="modified" value=(version.modified);
                    button.primary type="submit" { "Bring it back" }
                    a.button.plain href={ "/stores/" (encoded(store)) } { "Not now" }
                })),
                None => p { a.button href="/session" { "Sign in to bring it back" } },
            }
        }
    }
}

fn table(all: &[VersionView], chosen: Option<usize>) -> Markup {
    html! {
        section {
            h2 { "All of its versions" }
            div.scroll tabindex="0" role="region" aria-label="All of its versions" {
                table {
                    thead { tr { th scope="col" { "Last modified" } th.num scope="col" { "Size" } th scope="col" { "Archived" } th scope="col" { "By" } th scope="col" { "In" } th scope="col" { "This one" } } }
                    tbody {
                        @for (row, version) in all.iter().enumerate().take(ROWS) {
                            tr {
                                td { (when(&version.modified)) }
                                td.num { (size(version.bytes)) }
                                td { (when(&version.archived)) }
                                td { (version.plugin) }
                                td { (version.destination) }
                                td { @if chosen == Some(row) { span.pill.good { "would come back" } } }
                            }
                        }
                    }
                }
            }
            @if all.len() > ROWS { p.small.quiet { "and " (number((all.len() - ROWS) as u64)) " more" } }
        }
    }
}

/// A moment as somebody writes it: of itself, or in UTC.
fn moment(text: &str) -> Result<Option<jiff::Timestamp>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    let civil = || text.parse::<jiff::civil::DateTime>().ok();
    let utc = || jiff::tz::TimeZone::UTC.to_timestamp(civil()?).ok();
    let moment = text.parse::<jiff::Timestamp>().ok().or_else(utc);
    moment.map(Some).ok_or_else(|| {
        Problem::invalid(format!(
            "`{}` is no time; write `2027-01-31 12:00`",
            text.escape_debug()
        ))
    })
}

/// Brings a version back that somebody has seen.
pub(super) async fn restore(ask: Ask, change: Change) -> Result<Response, Problem> {
    let (store, path) = (change.need("store")?, change.need("path")?);
    let at = moment(change.field("at").unwrap_or_default())?;
    let all = versions(&ask, store, path).await?;
    let shown = change.need("modified")?;
    let version = all.iter().find(|version| fits(version, at));
    // Another archive may have come in between.
    let Some(version) = version.filter(|version| version.modified == shown) else {
        return Err(Problem::new(
            axum::http::StatusCode::CONFLICT,
            "other-version",
            "this is not the version that was shown",
            "look at its versions again; nothing was brought back",
        ));
    };
    let wanted = Restore {
        store: store.to_owned(),
        path: Some(path.to_owned()),
        run: None,
        // Of that moment, whichever was archived last.
        at: Some(version.modified.clone()),
    };
    let place = format!("/stores/{}/archives?path={}", encoded(store), encoded(path));
    let done = restored(&ask, wanted).await?;
    match done.failed.first() {
        None => Ok(after(&place, Some("restored"))),
        Some(left) => Err(Problem::new(
            axum::http::StatusCode::CONFLICT,
            "not-restored",
            "it was not brought back",
            sentence(&left.message),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_one_of_itself_or_in_utc() {
        let wanted: jiff::Timestamp = "2027-01-31T12:00:00Z".parse().unwrap();
        for text in [
            "2027-01-31T12:00",
            "2027-01-31 12:00",
            "2027-01-31T13:00+01:00",
        ] {
            assert_eq!(moment(text).unwrap(), Some(wanted), "{text}");
        }
        assert_eq!(moment("").unwrap(), None);
        assert!(moment("yesterday").is_err() && moment("2027-02-30T12:00").is_err());
    }
}
