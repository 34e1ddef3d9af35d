//! The page asked as a browser asks it, without one.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use tempfile::TempDir;
use tower::util::ServiceExt;

use super::*;
use crate::config::Environment;
use crate::confine::Grounds;
use crate::service::http::auth::{COOKIE, Gate, Who};
use crate::service::state::Shared;
use crate::service::{Loaded, Origin};

const TOKEN: &str = "the token of the test";

/// A store with two files, one of them old, and a service that watches it.
struct Service {
    _room: TempDir,
    shared: Arc<Shared>,
    gate: Gate,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

fn service(listen: &str) -> Service {
    let room = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = room.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("charts/AAPL_1d/new.png", "new");
    write("charts/<b>_1h/odd.png", "odd");
    write(
        "charts.retain",
        "edition 2026\n\
         collection charts at \"{symbol}_{interval}/*.png\" {\n\
         \x20   age is measured from last modified\n\
         \x20   delete when older than 6 hours\n\
         }\nstop never\n",
    );
    write("token", TOKEN);
    write(
        "retain.toml",
        &format!(
            "[stores.charts]\npath = \"charts\"\npolicy = \"charts.retain\"\ngrace = \"1 hour\"\n\
             [service]\nlisten = \"{listen}\"\ntoken = {{ file = \"token\" }}\n\
             [state]\npath = \"state\"\n"
        ),
    );
    let loaded = Loaded::read(Origin {
        file: room.path().join("retain.toml"),
        environment: Environment::default(),
    });
    let shared = Arc::new(Shared::new(loaded.unwrap(), None, Grounds::default()).unwrap());
    let service = shared.loaded().config.service.clone();
    let gate = Gate::new(&service, Some(TOKEN.as_bytes()));
    Service {
        _room: room,
        shared,
        gate,
    }
}

impl Service {
    async fn ask(&self, request: axum::http::request::Builder, body: &str) -> Answer {
        let app = super::super::app(Arc::clone(&self.shared), self.gate.clone());
        let request = request
            .header(header::HOST, "localhost")
            .body(Body::from(body.to_owned()))
            .unwrap();
        let response = app.oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await;
        Answer {
            status,
            headers,
            text: String::from_utf8(body.unwrap().to_vec()).unwrap(),
        }
    }

    /// As a browser looks at a page.
    async fn look(&self, path: &str, cookie: Option<&str>) -> Answer {
        let mut request = Request::get(path).header(header::ACCEPT, "text/html");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, format!("{COOKIE}={cookie}"));
        }
        self.ask(request, "").await
    }

    /// As a browser sends a form.
    async fn send(&self, path: &str, cookie: Option<&str>, form: &str) -> Answer {
        let mut request = Request::post(path)
            .header(header::ACCEPT, "text/html")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(cookie) = cookie {
            request = request.header(header::COOKIE, format!("{COOKIE}={cookie}"));
        }
        self.ask(request, form).await
    }

    /// A session: its cookie and its word.
    fn session(&self) -> (String, String) {
        let cookie = self.gate.sign_in(TOKEN).unwrap();
        let mut headers = axum::http::HeaderMap::new();
        let pair = format!("{COOKIE}={cookie}").parse().unwrap();
        headers.insert(header::COOKIE, pair);
        match self.gate.who(&headers) {
            Who::Session(word) => (cookie, word),
            other => panic!("{other:?}"),
        }
    }
}

const VIEWS: [&str; 9] = [
    "/",
    "/stores/charts",
    "/stores/charts?when=now&rule=x&group=symbol%3DAAPL&path=y&offset=1000",
    "/stores/charts/release",
    "/runs",
    "/trash",
    "/holds",
    "/plugins",
    "/advice",
];

#[tokio::test]
async fn no_form_changes_anything_without_its_session_s_word() {
    let service = service("127.0.0.1:0");
    let (cookie, word) = service.session();
    for (path, _) in changes() {
        let nobody = service.send(path, None, &format!("csrf={word}")).await;
        assert_eq!(nobody.status, StatusCode::UNAUTHORIZED, "{path}");
        for form in ["", "csrf=", "store=charts&csrf=0000", "csrf=%00"] {
            let answer = service.send(path, Some(&cookie), form).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {form}");
        }
        let other = service.session().1;
        let answer = service
            .send(path, Some(&cookie), &format!("csrf={other}"))
            .await;
        assert_eq!(
            answer.status,
            StatusCode::FORBIDDEN,
            "{path}: another session's"
        );
        let bearer = Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = service.ask(bearer, &format!("csrf={word}")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}: a bearer");
    }
    // The word alone is not what was missing: with it a form gets to its handler.
    for (path, _) in changes() {
        if path == "/page/sign-out" {
            continue;
        }
        let answer = service
            .send(path, Some(&cookie), &format!("csrf={word}"))
            .await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(answer.text.contains("is empty"), "{path}");
    }
}

#[tokio::test]
async fn the_token_opens_a_session_and_signing_out_ends_it() {
    let service = service("127.0.0.1:0");
    let wrong = service.send("/session", None, "token=wrong").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.header(header::SET_COOKIE), "");
    assert!(wrong.text.contains("This is not the token."));
    let form = format!(
        "token={}&back=//elsewhere.example/",
        TOKEN.replace(' ', "+")
    );
    let right = service.send("/session", None, &form).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
    assert_eq!(right.header(header::LOCATION), "/?said=signed-in");
    let set = right.header(header::SET_COOKIE);
    assert!(
        set.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
        "{set}"
    );
    let (cookie, word) = service.session();
    let out = service
        .send("/page/sign-out", Some(&cookie), &format!("csrf={word}"))
        .await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    let after = service.look("/holds", Some(&cookie)).await;
    assert!(!after.text.contains("/page/"));
}

#[tokio::test]
async fn whoever_has_not_signed_in_sees_no_form() {
    let service = service("127.0.0.1:0");
    let (cookie, _) = service.session();
    for path in VIEWS {
        let stranger = service.look(path, None).await;
        assert_eq!(stranger.status, StatusCode::OK, "{path}");
        assert!(!stranger.text.contains("action=\"/page/"), "{path}");
        let session = service.look(path, Some(&cookie)).await;
        assert!(session.text.contains("action=\"/page/sign-out\""), "{path}");
    }
}

#[tokio::test]
async fn an_address_that_others_reach_shows_a_stranger_only_the_sign_in_form() {
    let service = service("0.0.0.0:0");
    let (cookie, _) = service.session();
    for path in VIEWS {
        let stranger = service.look(path, None).await;
        assert!(stranger.text.contains("action=\"/session\""), "{path}");
        assert!(!stranger.text.contains("charts<"), "{path}");
        assert!(!stranger.text.contains("<nav"), "{path}");
        let session = service.look(path, Some(&cookie)).await;
        assert_eq!(session.status, StatusCode::OK, "{path}");
    }
    let program = service.ask(Request::get("/runs"), "").await;
    assert_eq!(program.status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        program.header(header::CONTENT_TYPE),
        "application/problem+json"
    );
}

#[tokio::test]
async fn nothing_on_a_page_is_inline_and_nothing_is_taken_from_elsewhere() {
    let service = service("127.0.0.1:0");
    let (cookie, _) = service.session();
    for path in VIEWS {
        let text = service.look(path, Some(&cookie)).await.text;
        for inline in [
            " style=",
            "<style",
            "<script>",
            "javascript:",
            " onclick=",
            "http://",
            "https://",
        ] {
            assert!(!text.contains(inline), "{path} has {inline}");
        }
        assert!(!text.contains("<b>"), "{path}: a file's name is text");
    }
}

#[tokio::test]
async fn a_link_cannot_put_words_on_the_page() {
    let service = service("127.0.0.1:0");
    let known = service.look("/holds?said=held", None).await;
    assert!(known.text.contains("No run touches what it names"));
    let other = service
        .look("/holds?said=Your+token+has+expired", None)
        .await;
    assert!(!other.text.contains("has expired") && !other.text.contains("role=\"status\""));
}

#[tokio::test]
async fn a_browser_is_told_of_a_problem_in_words_and_a_program_by_the_document() {
    let service = service("127.0.0.1:0");
    for path in ["/stores/nothing", "/runs/nothing", "/nowhere"] {
        let browser = service.look(path, None).await;
        assert_eq!(browser.status, StatusCode::NOT_FOUND, "{path}");
        assert!(
            browser.text.contains("<h1>There is no such thing</h1>"),
            "{path}"
        );
        let program = service.ask(Request::get(path), "").await;
        assert_eq!(
            program.header(header::CONTENT_TYPE),
            "application/problem+json"
        );
    }
    let api = service.look("/v1/stores/nothing", None).await;
    assert_eq!(api.header(header::CONTENT_TYPE), "application/problem+json");
}

#[tokio::test]
async fn assets_are_named_by_what_is_in_them_and_kept_for_long() {
    let service = service("127.0.0.1:0");
    let text = service.look("/", None).await.text;
    let mut found = 0;
    for piece in text
        .split('"')
        .filter(|piece| piece.starts_with("/assets/"))
    {
        let asset = service.look(piece, None).await;
        assert_eq!(asset.status, StatusCode::OK, "{piece}");
        assert!(asset.header(header::CACHE_CONTROL).contains("immutable"));
        found += 1;
    }
    assert!(found >= 3);
    assert_eq!(
        service.look("/assets/page.css", None).await.status,
        StatusCode::NOT_FOUND
    );
    let page = service.look("/", None).await;
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
}

#[tokio::test]
async fn the_chosen_colours_are_those_of_the_next_page() {
    let service = service("127.0.0.1:0");
    let chosen = service.look("/theme/dark?back=/runs", None).await;
    assert_eq!(chosen.status, StatusCode::SEE_OTHER);
    assert_eq!(chosen.header(header::LOCATION), "/runs");
    assert!(
        chosen
            .header(header::SET_COOKIE)
            .starts_with("retain-theme=dark;")
    );
    let request = Request::get("/").header(header::COOKIE, "retain-theme=dark");
    assert!(
        service
            .ask(request, "")
            .await
            .text
            .contains("data-theme=\"dark\"")
    );
}

#[tokio::test]
async fn a_form_holds_and_releases_and_insists_on_a_reason() {
    let service = service("127.0.0.1:0");
    let (cookie, word) = service.session();
    let hold = format!("csrf={word}&store=charts&name=audit&on=AAPL_1d%2F*&until=2099-12-31");
    let without = service.send("/page/hold", Some(&cookie), &hold).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        without.text.contains("<code>reason</code>"),
        "{}",
        without.text
    );
    let held = service
        .send(
            "/page/hold",
            Some(&cookie),
            &format!("{hold}&reason=an+audit"),
        )
        .await;
    assert_eq!(
        held.header(header::LOCATION),
        "/holds?said=held",
        "{}",
        held.text
    );
    let page = service.look("/holds", Some(&cookie)).await.text;
    assert!(page.contains("“an audit”") && page.contains("2100-01-01"));
    let release = format!("csrf={word}&store=charts&name=audit");
    let without = service
        .send("/page/hold/release", Some(&cookie), &release)
        .await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    let released = service
        .send(
            "/page/hold/release",
            Some(&cookie),
            &format!("{release}&reason=it+is+over"),
        )
        .await;
    assert_eq!(
        released.header(header::LOCATION),
        "/holds?said=hold-released"
    );
    assert!(
        service
            .look("/holds", None)
            .await
            .text
            .contains("Nothing is held.")
    );
}

#[tokio::test]
async fn a_plan_that_does_not_wait_cannot_be_released() {
    let service = service("127.0.0.1:0");
    let (cookie, word) = service.session();
    let digest = "0".repeat(64);
    let form = format!("csrf={word}&store=charts&plan={digest}&repeat=");
    let wrong = service
        .send("/page/release", Some(&cookie), &format!("{form}11111111"))
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let stale = service
        .send("/page/release", Some(&cookie), &format!("{form}00000000"))
        .await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
}
