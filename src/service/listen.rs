//! Connections: at most so many, and none of them for ever.
//!
//! Whoever sends a byte a second, or reads one, or says nothing at all, loses the connection
//! soon; a request that is whole has all the time its answer takes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

use super::ServeError;
use super::state::Shared;

/// How long the head of a request may take, from the moment the connection is made or the
/// answer before it is over: a connection that only waits ends by this too.
const HEAD: Duration = Duration::from_secs(10);

/// How long an answer may lie before nobody who takes any of it.
const STALLED: Duration = Duration::from_secs(20);

/// Connections of one address at once; whoever comes then waits to be let in.
const SLOTS: usize = 256;

/// Bytes of a head: far more than a browser sends.
const LONGEST_HEAD: usize = 32 << 10;

/// How long nobody is let in where the system has no more descriptors to give.
const BREATH: Duration = Duration::from_secs(1);

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Listen { address, source })
}

/// Answers whoever connects until the service ends, and then those that are being answered.
pub(super) async fn serve_on(listener: TcpListener, app: Router, shared: Arc<Shared>) {
    let slots = Arc::new(Semaphore::new(SLOTS));
    let open = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(LONGEST_HEAD);
    loop {
        let let_in = async {
            let slot = Arc::clone(&slots).acquire_owned().await.ok()?;
            Some((slot, accept(&listener).await))
        };
        let (slot, stream) = tokio::select! {
            let_in = let_in => match let_in {
                Some(let_in) => let_in,
                None => break,
            },
            () = shared.stopped() => break,
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(STALLED));
        let service = TowerToHyperService::new(app.clone());
        let connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
            drop(slot);
        });
    }
    // Nobody new; what is being answered is answered.
    drop(listener);
    open.shutdown().await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // One that was gone before it was let in is no trouble of ours.
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                tracing::error!(%error, "nobody can be let in");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn is_theirs(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
