//! The service over HTTP: the API, the page, the probes.

mod advice;
pub(super) mod auth;
mod events;
mod page;
mod plugins;
mod problem;
mod restore;
mod runs;
mod seed;
mod stores;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tracing::Instrument;
use utoipa::OpenApi;
use utoipa::openapi::{Content, OpenApi as OpenApiDocument, Ref, RefOr, Response as Described};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::auth::Gate;
use self::problem::Problem;
use super::state::Shared;

/// What a handler has at hand.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    shared: Arc<Shared>,
    gate: Gate,
}

/// Bytes a body may have: everything that is asked fits into a fraction of it.
const BODY: usize = 64 << 10;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "retain",
        description = "A retention engine: deletes files by policy, and only what can be brought back.\n\nReading is open on a loopback address; whatever changes something needs the token of `[service]` as `Authorization: Bearer TOKEN`. Errors are problem documents (RFC 9457).",
        license(name = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "stores", description = "What is there, and what would happen to it"),
        (name = "runs", description = "What happens and has happened"),
        (name = "undo", description = "Bringing back, and keeping"),
        (name = "service", description = "The service itself"),
        (name = "storage", description = "The routes of the storage service this stands in for")
    ),
    modifiers(&Security)
)]
struct Api;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        api.components
            .get_or_insert_default()
            .add_security_scheme("token", bearer);
    }
}

fn routes() -> OpenApiRouter<Ask> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(stores::list))
        .routes(routes!(stores::one))
        .routes(routes!(stores::stats))
        .routes(routes!(stores::plan))
        .routes(routes!(stores::history))
        .routes(routes!(stores::why))
        .routes(routes!(advice::recommendations))
        .routes(routes!(plugins::plugins))
        .routes(routes!(runs::start))
        .routes(routes!(runs::delete_groups))
        .routes(routes!(runs::list))
        .routes(routes!(runs::one))
        .routes(routes!(runs::plan))
        .routes(routes!(events::of_run))
        .routes(routes!(events::all))
        .routes(routes!(restore::trash))
        .routes(routes!(restore::undo))
        .routes(routes!(restore::restore))
        .routes(routes!(restore::holds, restore::add_hold))
        .routes(routes!(restore::release_hold))
        .routes(routes!(seed::info))
        .routes(routes!(seed::recommendations))
        .routes(routes!(seed::stats))
        .routes(routes!(seed::cleanup))
        .routes(routes!(seed::delete_group))
        .routes(routes!(seed::delete_all))
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
}

/// The OpenAPI document, generated from the handlers: what `/openapi.json` answers.
pub fn openapi() -> String {
    written(routes().into_openapi())
}

/// What holds for every operation is added once: errors are problem documents, and those
/// that have to do with HTTP alone can meet anybody.
fn written(mut document: OpenApiDocument) -> String {
    const KIND: &str = "application/problem+json";
    let anything = Described::builder()
        .description("Any other problem: a request that is not as it should be (400, 401, 403, 405, 408, 413, 415, 421, 422), or a service that cannot (500, 503)")
        .content(KIND, Content::new(Some(Ref::from_schema_name("Problem"))))
        .build();
    for item in document.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.post, &mut item.delete];
        for operation in methods.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            let problems = responses
                .iter_mut()
                .filter(|(code, _)| code.starts_with(['4', '5']));
            for (_, response) in problems {
                if let RefOr::T(response) = response
                    && let Some(content) = response.content.shift_remove("application/json")
                {
                    response.content.insert(KIND.to_owned(), content);
                }
            }
            responses.insert("default".to_owned(), anything.clone().into());
        }
    }
    document.to_pretty_json().unwrap_or_default()
}

/// The API and the page.
pub(super) fn app(shared: Arc<Shared>, gate: Gate) -> Router {
    let ask = Ask {
        shared: Arc::clone(&shared),
        gate: gate.clone(),
    };
    let (router, document) = routes().split_for_parts();
    let text = written(document);
    router
        .route(
            "/openapi.json",
            get(
                move || async move { ([(header::CONTENT_TYPE, "application/json")], text.clone()) },
            ),
        )
        .merge(page::routes())
        .fallback(|request: Request| async move {
            Problem::not_found(format!("there is no `{}` here", request.uri().path()))
        })
        .method_not_allowed_fallback(|request: Request| async move {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "this route does not do that",
                format!("`{}` has no {}", request.uri().path(), request.method()),
            )
        })
        .layer(middleware::from_fn(problem::whole_body))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(gate, auth::check))
        .layer(middleware::from_fn_with_state(ask.clone(), page::in_words))
        .layer(middleware::from_fn_with_state(shared, watch))
        .with_state(ask)
}

/// What kubelet and Prometheus ask, open to whoever reaches the port.
pub(super) fn probes(shared: Arc<Shared>) -> Router {
    let gate = Gate::new(&shared.loaded().config.service.clone(), None);
    let ask = Ask { shared, gate };
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(|| async { Problem::not_found("here are only /healthz, /readyz and /metrics") })
        .with_state(ask)
}

/// Counts requests and adds what every answer says.
async fn watch(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    // A route, never a path: paths have no end.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("none", MatchedPath::as_str)
        .to_owned();
    let span =
        tracing::info_span!("request", method = %method, route, status = tracing::field::Empty);
    crate::service::telemetry::continue_trace(&span, request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;
    let code = response.status();
    span.record("status", code.as_u16());
    let labels = [route.as_str(), method.as_str(), code.as_str()];
    shared.numbers.requests.with_label_values(&labels).inc();
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, body = String)))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether policies and plugins have loaded, and runs may begin in every store that this
/// process can still reach.
#[utoipa::path(get, path = "/readyz", tag = "service",
    responses((status = 200, body = String), (status = 503, body = Problem)))]
async fn readyz(State(ask): State<Ask>) -> Response {
    let not_ready = |detail: String| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not-ready",
            "not ready",
            detail,
        )
        .into_response()
    };
    if !ask.shared.is_ready() {
        return not_ready("the service begins or ends".to_owned());
    }
    match ask.shared.beyond_reach().as_slice() {
        [] => "ready\n".into_response(),
        lost => not_ready(lost.join("; ")),
    }
}

/// Numbers in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "service", responses((status = 200, body = String)))]
async fn metrics(State(ask): State<Ask>) -> Response {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], ask.shared.metrics()).into_response()
}

/// The answer of a handler.
type Answer<T> = Result<Json<T>, Problem>;

/// Does something that may block, away from the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Problem::internal("the work came to an end nobody foresaw"))?
}

/// The named store, or a problem that lists those there are.
fn known<'l>(
    loaded: &'l crate::service::Loaded,
    store: &str,
) -> Result<&'l crate::config::Store, Problem> {
    loaded.config.stores.get(store).ok_or_else(|| {
        let names: Vec<&str> = loaded.config.stores.keys().map(String::as_str).collect();
        let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        Problem::not_found(format!(
            "there is no store `{store}`; there are {}",
            listed.join(", ")
        ))
        .with("stores", names)
    })
}
