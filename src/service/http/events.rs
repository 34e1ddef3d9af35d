//! What happens, while it happens: server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::problem::{Path, Problem};
use super::{Ask, blocking};
use crate::journal::Journal;
use crate::service::state::{Event, Shared};

/// Everything that happens.
#[utoipa::path(get, path = "/v1/events", tag = "runs",
    responses((status = 200, description = "Server-sent events; each carries an event as JSON", body = Event, content_type = "text/event-stream"),
        (status = 503, body = Problem)))]
pub(super) async fn all(
    State(ask): State<Ask>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    let events = heard(&ask.shared)?;
    Ok(streamed(&ask.shared, events, None, None))
}

/// What happens in one run, until it ends. A run that has ended is told at once.
#[utoipa::path(get, path = "/v1/runs/{run}/events", tag = "runs",
    params(("run" = String, Path, description = "Its name")),
    responses((status = 200, description = "Server-sent events", body = Event, content_type = "text/event-stream"),
        (status = 404, body = Problem), (status = 503, body = Problem)))]
pub(super) async fn of_run(
    State(ask): State<Ask>,
    Path(run): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Sent, Infallible>>>, Problem> {
    // First to listen, then to look: nothing happens in between unheard.
    let events = heard(&ask.shared)?;
    let state = ask.shared.loaded().config.state.clone();
    let (run, ended) = blocking(move || {
        let journal = Journal::open_existing(&state)?;
        let journal = journal.ok_or_else(|| Problem::not_found("there was no run yet"))?;
        let id = journal.find_run(&run)?;
        let summary = journal.run_summary(&id)?;
        let ended = summary.ended.is_some().then(|| Event::RunFinished {
            store: summary.store.clone(),
            run: id.to_string(),
            outcome: crate::service::work::ending(&summary),
            removed: summary.tallies.removed,
            freed: summary.tallies.freed,
        });
        Ok((id.to_string(), ended))
    })
    .await?;
    Ok(streamed(&ask.shared, events, Some(run), ended))
}

type Heard = (Receiver<Event>, OwnedSemaphorePermit);

fn heard(shared: &Shared) -> Result<Heard, Problem> {
    shared.listen().ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many",
            "too many listen",
            "close a stream of events that nobody reads any more, and try again",
        )
    })
}

struct Listening {
    shared: std::sync::Arc<Shared>,
    events: Receiver<Event>,
    _permit: OwnedSemaphorePermit,
    run: Option<String>,
    first: Option<Event>,
    over: bool,
}

fn streamed(
    shared: &std::sync::Arc<Shared>,
    (events, permit): Heard,
    run: Option<String>,
    first: Option<Event>,
) -> Sse<impl Stream<Item = Result<Sent, Infallible>> + use<>> {
    let listening = Listening {
        shared: std::sync::Arc::clone(shared),
        events,
        _permit: permit,
        run,
        first,
        over: false,
    };
    let stream = stream::unfold(listening, |mut listening| async move {
        let event = listening.next().await?;
        let sent = Sent::default().json_data(&event).unwrap_or_default();
        Some((Ok(sent), listening))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

impl Listening {
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.first.take() {
            self.over = self.run.is_some();
            return Some(event);
        }
        if self.over {
            return None;
        }
        loop {
            let event = tokio::select! {
                event = self.events.recv() => event,
                // An open stream would keep the service from ending.
                () = self.shared.stopped() => return None,
            };
            let event = match event {
                Ok(event) => event,
                // What was missed is told by what comes next.
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            let about = match &event {
                Event::RunStarted { run, .. }
                | Event::RunProgress { run, .. }
                | Event::RunFinished { run, .. } => Some(run),
                Event::RunRefused { .. } | Event::Reloaded { .. } => None,
            };
            match &self.run {
                Some(wanted) if about != Some(wanted) => continue,
                Some(_) => self.over = matches!(event, Event::RunFinished { .. }),
                None => {}
            }
            return Some(event);
        }
    }
}
