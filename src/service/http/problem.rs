//! Errors as RFC 9457 problem documents.

use std::time::Duration;

use axum::body::{self, Bytes};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::diagnostic::chain;
use crate::journal::JournalError;
use crate::run::RunError;
use crate::service::work::Failure;
use crate::store::StoreError;

/// What went wrong, for programs and people: `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Which kind of problem it is; the same for all of a kind.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: &'static str,
    /// The status of the response.
    status: u16,
    /// What went wrong this time, and what to do.
    detail: String,
    /// What else there is to know.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    more: Map<String, Value>,
}

impl Problem {
    /// A problem of a kind, which is a fragment of its own in the reference.
    pub(super) fn new(
        status: StatusCode,
        kind: &str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Problem {
        Problem {
            kind: format!("urn:retain:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: detail.into(),
            more: Map::new(),
        }
    }

    /// The same with one more member.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Problem {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "there is no such thing",
            detail,
        )
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "the request makes no sense here",
            detail,
        )
    }

    pub(super) fn unreadable(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "unreadable",
            "the request cannot be read",
            detail,
        )
    }

    pub(super) fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "it did not work",
            detail,
        )
    }

    fn too_large(detail: impl Into<String>) -> Problem {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Problem::new(status, "too-large", "the body is too large", detail)
    }

    /// The detail, for a page that shows it.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn of_run(error: &RunError) -> Problem {
        let detail = chain(error);
        let conflict =
            |kind: &str, title| Problem::new(StatusCode::CONFLICT, kind, title, &*detail);
        match error {
            RunError::Latched(latch) => conflict("latched", "the breaker waits for a person")
                .with("plan", latch.plan.as_str())
                .with("since", latch.since.as_str())
                .with(
                    "help",
                    format!(
                        "look at the plan, then apply it by its digest: `retain apply {0}`, or POST /v1/stores/{1}/runs with {{\"plan\": \"{0}\", \"release\": true}}",
                        latch.plan, latch.store
                    ),
                ),
            RunError::Tripped { plan, store, .. } => {
                conflict("breaker", "the breaker refuses this plan")
                    .with("plan", plan.as_str())
                    .with(
                        "help",
                        format!(
                            "if it is right, apply it by its digest: `retain apply {plan}`, or POST /v1/stores/{store}/runs with {{\"plan\": \"{plan}\", \"release\": true}}"
                        ),
                    )
            }
            RunError::Store(StoreError::Locked { .. })
            | RunError::Journal(JournalError::Locked { .. }) => Problem::busy(detail),
            RunError::Plan(_) => conflict("stale-plan", "this plan does not fit any more"),
            RunError::Emptied { .. } => {
                conflict("emptied", "the store is empty and nobody knows why")
            }
            RunError::Root { .. } => conflict("other-root", "the root is not the known one"),
            RunError::Stopped { run, .. } => {
                Problem::internal(&*detail).with("run", run.to_string())
            }
            RunError::Policy(_)
            | RunError::Store(_)
            | RunError::Journal(_)
            | RunError::Undecided { .. }
            | RunError::Holds(_)
            | RunError::Trash(_)
            | RunError::System(_) => Problem::internal(detail),
        }
    }

    pub(super) fn busy(detail: impl Into<String>) -> Problem {
        Problem::new(
            StatusCode::CONFLICT,
            "busy",
            "something goes on in the store",
            detail,
        )
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Busy => {
                Problem::busy("a run goes on in this store; try again when it has ended")
            }
            Failure::Stopping => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the service is about to end",
                "no run begins any more",
            ),
            Failure::NoStore => Problem::not_found("there is no such store"),
            Failure::NoCaptures => {
                Problem::invalid("no collection of the store has all of these captures")
            }
            Failure::Run(error) => Problem::of_run(&error),
            Failure::Lost => Problem::internal("the work came to an end nobody foresaw"),
        }
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Problem {
        Problem::of_run(&error)
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Problem {
        match &error {
            JournalError::Run(reason) => Problem::not_found(reason.as_str()),
            _ => Problem::of_run(&RunError::from(error)),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], text).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"retain\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.kind.ends_with(":busy") {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// How long a body may take: all of them are small.
const BODY_TIME: Duration = Duration::from_secs(10);

/// Waits for the body before anything is done about the request. One that comes a byte a
/// second is not waited for.
pub(super) async fn whole_body(request: Request, next: Next) -> Response {
    let (parts, sent) = request.into_parts();
    // By way of the extractor, which knows the limit and says what was wrong.
    let mut bare = Request::new(sent);
    *bare.extensions_mut() = parts.extensions.clone();
    let bytes = match tokio::time::timeout(BODY_TIME, Bytes::from_request(bare, &())).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(rejection)) => {
            return match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(rejection.body_text()),
                _ => Problem::unreadable(rejection.body_text()),
            }
            .into_response();
        }
        Err(_) => {
            let slow = Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "slow",
                "the body takes too long",
                format!(
                    "nothing was done: it was not there after {} seconds",
                    BODY_TIME.as_secs()
                ),
            );
            let close = [(header::CONNECTION, HeaderValue::from_static("close"))];
            return (close, slow).into_response();
        }
    };
    next.run(Request::from_parts(parts, body::Body::from(bytes)))
        .await
}

/// A body of JSON; anything else is a problem.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Body(value)),
            Err(rejection) => Err(of_json(&rejection)),
        }
    }
}

/// A body of JSON, or none.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::new(body), state)
            .await
            .map_err(|rejection| Problem::too_large(rejection.body_text()))?;
        if bytes.is_empty() {
            return Ok(MaybeBody(T::default()));
        }
        let request = Request::from_parts(parts, body::Body::from(bytes));
        Body::from_request(request, state)
            .await
            .map(|Body(value)| MaybeBody(value))
    }
}

fn of_json(rejection: &JsonRejection) -> Problem {
    let status = rejection.status();
    let text = rejection.body_text();
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(text),

        StatusCode::UNSUPPORTED_MEDIA_TYPE => Problem::new(
            status,
            "media-type",
            "the body is no JSON",
            "say `Content-Type: application/json`",
        ),
        StatusCode::UNPROCESSABLE_ENTITY => Problem::invalid(text),
        _ => Problem::unreadable(text),
    }
}

/// The variable parts of a route.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(rejection) => Err(Problem::unreadable(rejection.body_text())),
        }
    }
}

/// The parameters behind the `?`.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Params(value)),
            Err(rejection) => Err(of_query(&rejection)),
        }
    }
}

fn of_query(rejection: &QueryRejection) -> Problem {
    Problem::invalid(rejection.body_text())
}
