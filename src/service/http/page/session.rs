//! Signing in and out, and the only way a form can change something.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use axum::extract::{Form, FromRequest, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use maud::{Markup, html};

use super::super::Ask;
use super::super::auth::{COOKIE, Who, is_word};
use super::super::problem::Problem;
use super::frame::{Place, Visit, after, frame, local};

/// What a form said, once its session's word was found right.
pub(super) struct Change {
    fields: BTreeMap<String, String>,
    /// The request's headers.
    pub headers: HeaderMap,
}

impl Change {
    /// A field that may be left empty.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let value = self.fields.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// A field that has to say something.
    pub(super) fn need(&self, name: &str) -> Result<&str, Problem> {
        self.field(name)
            .ok_or_else(|| Problem::invalid(format!("the field `{name}` is empty")))
    }
}

impl FromRequest<Ask> for Change {
    type Rejection = Problem;

    async fn from_request(request: Request, ask: &Ask) -> Result<Change, Problem> {
        let word = match request.extensions().get::<Who>() {
            Some(Who::Session(word)) => word.clone(),
            Some(Who::Bearer) => {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "page",
                    "this is for the page alone",
                    "whoever has the token asks /v1",
                ));
            }
            Some(Who::Anybody) | None => {
                return Err(Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "nobody is signed in",
                    "sign in with the token to change something",
                ));
            }
        };
        let headers = request.headers().clone();
        let fields = Form::<BTreeMap<String, String>>::from_request(request, ask).await;
        let Form(fields) = fields.map_err(|error| Problem::unreadable(error.body_text()))?;
        if !fields
            .get("csrf")
            .is_some_and(|given| is_word(given, &word))
        {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "csrf",
                "this does not come from the page",
                "the form lacks its session's word: open the page again and repeat it there",
            ));
        }
        Ok(Change { fields, headers })
    }
}

/// A route that changes something. There is no other way to make one, so none can forget
/// to compare the word.
pub(super) fn change<F, Done>(handler: F) -> MethodRouter<Ask>
where
    F: Fn(Ask, Change) -> Done + Clone + Send + Sync + 'static,
    Done: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    post(move |State(ask): State<Ask>, change: Change| handler(ask, change))
}

/// A form that changes something, for whoever has signed in.
pub(super) fn form(visit: &Visit, to: &str, class: &str, inner: Markup) -> Markup {
    html! {
        @if let Some(word) = visit.word() {
            form.(class) method="post" action=(to) {
                input type="hidden" name="csrf" value=(word);
                (inner)
            }
        }
    }
}

/// The page that asks for the token.
pub(super) async fn page(State(ask): State<Ask>, visit: Visit) -> Response {
    if visit.word().is_some() {
        return after("/", None);
    }
    asked(&ask, &visit, "/", None).into_response()
}

/// The sign-in form alone.
pub(super) fn asked(ask: &Ask, visit: &Visit, back: &str, trouble: Option<&str>) -> Markup {
    let inner = html! {
        div.sign-in {
            h1 { "Sign in" }
            @if ask.gate.has_token() {
                @match ask.gate.is_open_to_read() {
                    true => p.quiet { "Reading is open here. To run, release, undo or hold, give the token of the service." },
                    false => p.quiet { "This address is open to others, so the page asks for the token of the service first." },
                }
                @if let Some(trouble) = trouble {
                    p.notice.bad role="alert" { (trouble) }
                }
                form.stack method="post" action="/session" {
                    input type="hidden" name="back" value=(local(back));
                    label for="token" { "Token" }
                    input #token type="password" name="token" required autocomplete="current-password"
                        spellcheck="false" autofocus;
                    button.primary type="submit" { "Sign in" }
                }
                p.small.quiet { "It is what " code { "token" } " under " code { "[service]" } " in the configuration names." }
            } @else {
                p { "There is no token, so nothing can be changed over HTTP." }
                p.quiet { "Set one in the configuration and reload:" }
                pre { code { "[service]\ntoken = { file = \"/run/secrets/retain-token\" }" } }
            }
        }
    };
    frame(visit, "Sign in", Place::Session, &inner)
}

/// Checks the token and begins a session.
pub(super) async fn sign_in(
    State(ask): State<Ask>,
    visit: Visit,
    Form(fields): Form<BTreeMap<String, String>>,
) -> Response {
    let given = fields.get("token").map_or("", |token| token.trim());
    let back = fields.get("back").map_or("/", String::as_str);
    let Some(cookie) = ask.gate.sign_in(given) else {
        // Nobody should be able to try many.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let page = asked(&ask, &visit, back, Some("This is not the token."));
        return (StatusCode::UNAUTHORIZED, page).into_response();
    };
    let cookie = format!("{COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/");
    with_cookie(after(local(back), Some("signed-in")), &cookie)
}

/// Ends the session.
pub(super) async fn sign_out(ask: Ask, change: Change) -> Result<Response, Problem> {
    ask.gate.sign_out(&change.headers);
    let cookie = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    Ok(with_cookie(after("/", Some("signed-out")), &cookie))
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// What a query says; names that are not asked for do no harm on a page.
pub(super) type Asks = Query<BTreeMap<String, String>>;
