//! What is around every view: the head, the way to the others, what just happened.

use std::collections::BTreeMap;

use crate::service::http::problem::Path;
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Deserialize;

use super::super::Ask;
use super::super::auth::Who;
use super::assets::{ICON, SCRIPT, STYLE};
use super::session;
use super::words::{encoded, marked};

/// The cookie that remembers the chosen colours.
const THEME: &str = "retain-theme";

/// Which colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    fn of(word: &str) -> Theme {
        match word {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::System,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// Somebody looking at a page.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    who: Who,
    theme: Theme,
    /// Path and query, to come back to.
    here: String,
    said: Option<&'static Said>,
    refresh: Option<u32>,
    anonymous: bool,
}

impl Visit {
    fn new(ask: &Ask, who: Who, headers: &HeaderMap, uri: &axum::http::Uri) -> Visit {
        let cookies = headers.get_all(header::COOKIE).iter();
        let theme = cookies
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(name, value)| (name == THEME).then(|| Theme::of(value)));
        let query = Query::<BTreeMap<String, String>>::try_from_uri(uri).ok();
        let said = query.as_ref().and_then(|query| query.get("said"));
        let anonymous = who == Who::Anybody && !ask.gate.is_open_to_read();
        Visit {
            who,
            theme: theme.unwrap_or(Theme::System),
            here: uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
            said: said.and_then(|said| SAID.iter().find(|known| known.name == said)),
            refresh: None,
            anonymous,
        }
    }

    /// The session's word, where somebody has signed in.
    pub(super) fn word(&self) -> Option<&str> {
        match &self.who {
            Who::Session(word) => Some(word),
            Who::Anybody | Who::Bearer => None,
        }
    }

    /// Whether nobody has signed in and reading is not open.
    pub(super) fn is_shut_out(&self) -> bool {
        self.anonymous
    }

    /// Without script the page is loaded again after so many seconds.
    pub(super) fn refreshed_after(mut self, seconds: u32) -> Visit {
        self.refresh = Some(seconds);
        self
    }
}

impl FromRequestParts<Ask> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, ask: &Ask) -> Result<Visit, Self::Rejection> {
        let who = parts.extensions.get::<Who>().cloned();
        let who = who.unwrap_or(Who::Anybody);
        Ok(Visit::new(ask, who, &parts.headers, &parts.uri))
    }
}

/// What can have happened just before. Only these can be said: a link cannot put words
/// on the page.
#[derive(Debug)]
struct Said {
    name: &'static str,
    tone: &'static str,
    words: &'static str,
}

const SAID: [Said; 10] = [
    Said {
        name: "signed-in",
        tone: "good",
        words: "Signed in. The session ends after twelve hours without use.",
    },
    Said {
        name: "signed-out",
        tone: "good",
        words: "Signed out.",
    },
    Said {
        name: "run-started",
        tone: "good",
        words: "A run has begun. What it does is shown here while it goes on.",
    },
    Said {
        name: "released",
        tone: "good",
        words: "The breaker was released for this plan, and it is being carried out.",
    },
    Said {
        name: "undone",
        tone: "good",
        words: "Put back where it was. It is held for a week, so no run takes it again.",
    },
    Said {
        name: "restored",
        tone: "good",
        words: "Brought back, with the bytes it had. It is held for a week, so no run takes it again.",
    },
    Said {
        name: "undone-in-part",
        tone: "warn",
        words: "Some files stay in the trash because something else lies in their place now. The others are back and held for a week.",
    },
    Said {
        name: "held",
        tone: "good",
        words: "Held. No run touches what it names until it is released.",
    },
    Said {
        name: "hold-released",
        tone: "good",
        words: "Released. The policy decides again.",
    },
    Said {
        name: "busy",
        tone: "warn",
        words: "A run goes on in this store already. Try again when it has ended.",
    },
];

/// Which part of the page this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Stores,
    Runs,
    Trash,
    Holds,
    Plugins,
    Advice,
    Session,
    Problem,
}

const PLACES: [(Place, &str, &str); 6] = [
    (Place::Stores, "/", "Stores"),
    (Place::Runs, "/runs", "Runs"),
    (Place::Trash, "/trash", "Trash"),
    (Place::Holds, "/holds", "Holds"),
    (Place::Plugins, "/plugins", "Plugins"),
    (Place::Advice, "/advice", "Advice"),
];

/// A whole page.
pub(super) fn frame(visit: &Visit, title: &str, place: Place, inner: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-theme=(visit.theme.word()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · retain" }
                link rel="icon" type="image/svg+xml" href=(ICON.address());
                link rel="stylesheet" href=(STYLE.address());
                script src=(SCRIPT.address()) defer {}
                @if let Some(seconds) = visit.refresh {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                (top(visit, place))
                main #main tabindex="-1" {
                    @if let Some(said) = visit.said {
                        p.notice.(said.tone) role="status" data-said { (said.words) }
                    }
                    (inner)
                }
                footer.small.quiet {
                    span { "retain " (env!("CARGO_PKG_VERSION")) }
                    span { a href="/openapi.json" { "API" } " · " a href="/metrics" { "Metrics" } }
                }
            }
        }
    }
}

fn top(visit: &Visit, place: Place) -> Markup {
    html! {
        header.top {
            div.inside {
                a.brand href="/" { img src=(ICON.address()) width="26" height="26" alt=""; "retain" }
                @if !visit.is_shut_out() {
                    nav aria-label="Parts" {
                        @for (part, address, name) in PLACES {
                            a href=(address) aria-current=[(part == place).then_some("page")] { (name) }
                        }
                    }
                    div.tools {
                        (themes(visit))
                        @match visit.word() {
                            Some(_) => (session::form(visit, "/page/sign-out", "inline", html! {
                                button.plain type="submit" { "Sign out" }
                            })),
                            None if place != Place::Session => a.button.plain href="/session" { "Sign in" },
                            None => {},
                        }
                    }
                }
            }
        }
    }
}

fn themes(visit: &Visit) -> Markup {
    let icon = |theme| match theme {
        Theme::System => {
            "<circle cx='8' cy='8' r='5.5'/><path d='M8 2.5v11a5.5 5.5 0 0 0 0-11z' fill='currentColor' stroke='none'/>"
        }
        Theme::Light => {
            "<circle cx='8' cy='8' r='3'/><path d='M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 13M3 13l1.1-1.1M11.9 4.1 13 3'/>"
        }
        Theme::Dark => "<path d='M13.5 9.6A6 6 0 0 1 6.4 2.5a6 6 0 1 0 7.1 7.1z'/>",
    };
    let label = |theme| match theme {
        Theme::System => "Colours of the system",
        Theme::Light => "Light colours",
        Theme::Dark => "Dark colours",
    };
    html! {
        div.themes role="group" aria-label="Colours" {
            @for theme in [Theme::System, Theme::Light, Theme::Dark] {
                a href={ "/theme/" (theme.word()) "?back=" (encoded(&visit.here)) }
                    data-theme-to=(theme.word()) title=(label(theme)) aria-label=(label(theme))
                    aria-current=[(theme == visit.theme).then_some("true")] {
                    svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor"
                        stroke-width="1.4" stroke-linecap="round" aria-hidden="true" {
                        (PreEscaped(icon(theme)))
                    }
                }
            }
        }
    }
}

/// Remembers the colours and goes back.
pub(super) async fn set_theme(Path(theme): Path<String>, Query(asked): session::Asks) -> Response {
    let back = local(asked.get("back").map_or("/", String::as_str));
    let theme = Theme::of(&theme).word();
    let cookie = format!("{THEME}={theme}; SameSite=Strict; Path=/; Max-Age=31536000");
    let mut response = after(back, None);
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// A place on this page, whatever a link or a form says: never another site.
pub(super) fn local(back: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let fine = back.starts_with('/') && !back.starts_with("//") && back.bytes().all(plain);
    // Behind these is nothing to look at.
    let nowhere = ["/page/", "/session", "/theme/"];
    match fine && !nowhere.iter().any(|prefix| back.starts_with(prefix)) {
        true => back,
        false => "/",
    }
}

/// Goes on to another view after something was done.
pub(super) fn after(place: &str, said: Option<&'static str>) -> Response {
    let target = match said {
        None => place.to_owned(),
        Some(said) => {
            let (path, fragment) = place
                .split_once('#')
                .map_or((place, None), |(p, f)| (p, Some(f)));
            let joint = if path.contains('?') { '&' } else { '?' };
            let fragment = fragment.map(|fragment| format!("#{fragment}"));
            format!("{path}{joint}said={said}{}", fragment.unwrap_or_default())
        }
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response()
}

/// A problem as far as the page tells it.
#[derive(Debug, Deserialize)]
struct Told {
    title: String,
    detail: String,
    #[serde(default)]
    help: Option<String>,
}

/// What a browser is told of a problem while it looks for a page: words, and where to go
/// from there. Whoever asks for anything but HTML gets the document.
pub(in super::super) async fn in_words(
    State(ask): State<Ask>,
    request: Request,
    next: Next,
) -> Response {
    let accepted = request.headers().get(header::ACCEPT);
    let looks = accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/html"));
    if !looks || request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    let who = ask.gate.who(request.headers());
    let visit = Visit::new(&ask, who, request.headers(), request.uri());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE);
    if kind.is_none_or(|kind| kind != "application/problem+json") {
        return response;
    }
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        let back = if reads {
            visit.here.clone()
        } else {
            "/".to_owned()
        };
        let page = session::asked(&ask, &visit, &back, None);
        return (status, page).into_response();
    }
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    let told = body
        .ok()
        .and_then(|body| serde_json::from_slice(&body).ok());
    let told = told.unwrap_or_else(|| Told {
        title: "it did not work".to_owned(),
        detail: String::new(),
        help: None,
    });
    (status, problem(&visit, status, &told)).into_response()
}

fn problem(visit: &Visit, status: StatusCode, told: &Told) -> Markup {
    let inner = html! {
        div.problem {
            p.small.quiet { (status.as_u16()) }
            h1 { (sentence(&told.title)) }
            @if !told.detail.is_empty() { p { (marked(&sentence(&told.detail))) "." } }
            @if let Some(help) = &told.help { p.quiet { (marked(&sentence(help))) "." } }
            p { a.button href="/" { "All stores" } }
            p.small.quiet { "To correct what a form said, go back in the browser: it still knows it." }
        }
    };
    frame(visit, &sentence(&told.title), Place::Problem, &inner)
}

/// Messages begin small, as they are parts of lines elsewhere.
pub(super) fn sentence(text: &str) -> String {
    let word = text.split([' ', ',', ':']).next().unwrap_or_default();
    // A path or a name stays as it is written.
    if !word.chars().all(char::is_alphabetic) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_never_leads_away() {
        for fine in ["/", "/stores/charts?when=next&group=a%3Db", "/runs"] {
            assert_eq!(local(fine), fine);
        }
        for bad in [
            "https://example.org/",
            "//example.org",
            "/\\example.org",
            "/a\r\nSet-Cookie: b=c",
            "",
            "/page/run",
            "/session",
        ] {
            assert_eq!(local(bad), "/", "{bad}");
        }
    }

    #[test]
    fn what_was_said_goes_before_the_fragment() {
        let location = |place| {
            let response = after(place, Some("held"));
            response.headers()[header::LOCATION]
                .to_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(location("/holds"), "/holds?said=held");
        assert_eq!(
            location("/stores/a?b=c#plan"),
            "/stores/a?b=c&said=held#plan"
        );
    }
}
