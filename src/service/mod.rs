//! `retain serve`: one process beside one application, which cleans its stores on
//! schedule, answers over HTTP, and can be left alone.
//!
//! ```text
//! Loaded (configuration and policies, swapped whole) ─┐
//! schedule ─ who is due? ─┐                           ▼
//! HTTP ─── a request ─────┴→ work: one run a store at a time, on a blocking thread
//!                                   │ events ─→ SSE, page
//!                                   │ numbers ─→ metrics
//!                                   └ trouble ─→ alerts
//! ```
//! A run belongs to the service and not to whoever asked for it: a client that goes away
//! changes nothing about it.

mod alerts;
#[cfg(test)]
mod heard;
mod http;
mod listen;
mod loaded;
mod metrics;
mod reload;
mod schedule;
mod state;
mod survey;
pub mod telemetry;
pub mod webhook;
mod work;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

pub use http::openapi;
pub use loaded::{LoadError, Loaded, Origin};

use crate::config::Credentials;
use crate::confine::Grounds;
use listen::{listen, serve_on};
use state::Shared;

/// How long the HTTP side may take to close its connections once runs have ended.
const CLOSING: Duration = Duration::from_secs(2);

/// How long runs may take to finish what they have in hand.
const FINISHING: Duration = Duration::from_secs(7);

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", crate::store::in_words(source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The numbers for Prometheus contradict each other.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    /// Something the system refused.
    #[error("the service cannot start: {}", crate::store::in_words(.0))]
    System(#[from] io::Error),
}

/// Runs until a signal ends it. Every store's schedule is kept meanwhile. What this process
/// may write to is said by `grounds`: what it cannot do any more is told.
pub fn serve(loaded: Loaded, credentials: Credentials, grounds: Grounds) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_name("retain-serve")
        .build()?;
    let ended = runtime.block_on(run(loaded, credentials, grounds));
    // A run that did not end in time is settled by the next one.
    runtime.shutdown_timeout(Duration::from_millis(500));
    ended
}

async fn run(loaded: Loaded, credentials: Credentials, grounds: Grounds) -> Result<(), ServeError> {
    let service = loaded.config.service.clone();
    let Credentials {
        token,
        webhook: key,
    } = credentials;
    let main = listen(service.listen).await?;
    let probe = match service.probe_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let webhook = match &service.webhook {
        Some(to) => Some(webhook::Webhook::start(to, key)?),
        None => None,
    };
    let shared = Arc::new(Shared::new(loaded, webhook, grounds)?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let gate = http::auth::Gate::new(&service, token.as_deref());
    let app = http::app(Arc::clone(&shared), gate);
    let mut servers = tokio::task::JoinSet::new();
    tracing::info!(address = %main.local_addr()?, "listening");
    servers.spawn(serve_on(main, app, Arc::clone(&shared)));
    if let Some(probe) = probe {
        tracing::info!(address = %probe.local_addr()?, "listening for probes");
        let app = http::probes(Arc::clone(&shared));
        servers.spawn(serve_on(probe, app, Arc::clone(&shared)));
    }
    let reloading = tokio::spawn(reload::watch(Arc::clone(&shared)));
    let scheduling = tokio::spawn(schedule::keep(Arc::clone(&shared)));
    shared.begin().await;

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => shared.wake_reload(),
        }
    }
    tracing::info!("ending: what is in hand is finished");
    shared.stop();
    scheduling.abort();
    reloading.abort();
    if tokio::time::timeout(FINISHING, shared.all_idle())
        .await
        .is_err()
    {
        tracing::warn!("a run did not end in time; the next one settles what it left");
    }
    let closed = async { while servers.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(CLOSING, closed).await;
    shared.end();
    Ok(())
}
