//! Who may ask for what.
//!
//! Reading is open on loopback; everything else needs the token, as a bearer header or
//! by a session that the page was given for it. A browser that is made to ask by another
//! site fails at the host check, at `SameSite=Strict`, and at the session's own word.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::config::Service;

/// The header a session's changes carry its word in.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

/// The cookie a session is known by.
pub(super) const COOKIE: &str = "retain-session";

/// How long a session lasts that nobody uses.
const IDLE: Duration = Duration::from_secs(12 * 3600);

/// Sessions at once; the oldest makes room.
const SESSIONS: usize = 64;

/// What decides who may ask.
#[derive(Clone, Debug)]
pub(in crate::service) struct Gate(Arc<Inner>);

struct Inner {
    token: Option<blake3::Hash>,
    /// Whether whoever reaches the address may read.
    open_to_read: bool,
    hosts: Vec<String>,
    sessions: Mutex<BTreeMap<[u8; 32], Session>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

#[derive(Clone, Debug)]
struct Session {
    word: String,
    used: Instant,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Nobody in particular.
    Anybody,
    /// Somebody with the token.
    Bearer,
    /// A page that has signed in; its changes carry this word.
    Session(String),
}

impl Gate {
    pub(in crate::service) fn new(service: &Service, token: Option<&[u8]>) -> Gate {
        let mut hosts = service.hosts.clone();
        hosts.push("localhost".to_owned());
        Gate(Arc::new(Inner {
            token: token.map(blake3::hash),
            open_to_read: service.listen.ip().is_loopback(),
            hosts,
            sessions: Mutex::default(),
        }))
    }

    /// Whether there is a token at all.
    pub(super) fn has_token(&self) -> bool {
        self.0.token.is_some()
    }

    /// Whether whoever reaches the address may read.
    pub(super) fn is_open_to_read(&self) -> bool {
        self.0.open_to_read
    }

    fn is_token(&self, given: &str) -> bool {
        // Digests have one length, so comparing them tells nothing about the token's.
        let given = blake3::hash(given.as_bytes());
        let ours = self.0.token.as_ref();
        ours.is_some_and(|ours| ours.as_bytes().ct_eq(given.as_bytes()).into())
    }

    /// A session for somebody who knows the token: its cookie.
    pub(super) fn sign_in(&self, token: &str) -> Option<String> {
        if !self.is_token(token) {
            return None;
        }
        let (cookie, word) = (random()?, random()?);
        let mut sessions = self
            .0
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.used.elapsed() < IDLE);
        if sessions.len() >= SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used);
            if let Some(key) = oldest.map(|(key, _)| *key) {
                sessions.remove(&key);
            }
        }
        let used = Instant::now();
        sessions.insert(
            *blake3::hash(cookie.as_bytes()).as_bytes(),
            Session { word, used },
        );
        Some(cookie)
    }

    pub(super) fn sign_out(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            let mut sessions = self
                .0
                .sessions
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            sessions.remove(blake3::hash(cookie.as_bytes()).as_bytes());
        }
    }

    pub(super) fn who(&self, headers: &HeaderMap) -> Who {
        if bearer(headers).is_some_and(|token| self.is_token(token)) {
            return Who::Bearer;
        }
        let Some(cookie) = cookie(headers) else {
            return Who::Anybody;
        };
        let mut sessions = self
            .0
            .sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match sessions.get_mut(blake3::hash(cookie.as_bytes()).as_bytes()) {
            Some(session) if session.used.elapsed() < IDLE => {
                session.used = Instant::now();
                Who::Session(session.word.clone())
            }
            _ => Who::Anybody,
        }
    }

    /// A name that leads here on purpose: loopback, a bare address, or one that is
    /// configured. Any other may be a foreign site's that was pointed at us.
    fn knows_host(&self, headers: &HeaderMap) -> bool {
        let Some(host) = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
        else {
            return false;
        };
        let host = host.to_ascii_lowercase();
        let (name, bracketed) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((name, _)) => (name, true),
            None => (
                host.rsplit_once(':')
                    .map_or(host.as_str(), |(name, _)| name),
                false,
            ),
        };
        let address = name.parse::<IpAddr>();
        let is_address = matches!(
            (address, bracketed),
            (Ok(IpAddr::V4(_)), false) | (Ok(IpAddr::V6(_)), true)
        );
        is_address
            || self
                .0
                .hosts
                .iter()
                .any(|known| known == name || *known == host)
    }
}

fn random() -> Option<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(blake3::Hash::from_bytes(bytes).to_hex().to_string())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE).then_some(value))
}

/// Lets through who may ask for this, and says who it is.
pub(super) async fn check(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    if !gate.knows_host(request.headers()) {
        return Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            "this is not the service for that host",
            "the Host header names neither an address nor `localhost` nor a name of `hosts` under `[service]`",
        )
        .into_response();
    }
    let who = gate.who(request.headers());
    let path = request.uri().path();
    // Signing in is how one becomes somebody; probes and the page's own files are
    // nobody's secret.
    let free = matches!(path, "/session" | "/healthz" | "/readyz") || path.starts_with("/assets/");
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let allowed = match (&who, reads) {
        _ if free => Ok(()),
        (Who::Bearer, _) | (Who::Session(_), true) => Ok(()),
        (Who::Session(word), false) => has_word(request.headers(), word, path),
        (Who::Anybody, true) if gate.is_open_to_read() => Ok(()),
        // The page itself asks for the token.
        (Who::Anybody, true) if path == "/" => Ok(()),
        (Who::Anybody, _) => Err(unknown(&gate, reads)),
    };
    match allowed {
        Ok(()) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// A form of the page carries the word in its body, where its own handler compares it.
fn has_word(headers: &HeaderMap, word: &str, path: &str) -> Result<(), Problem> {
    if path.starts_with("/page/") {
        return Ok(());
    }
    let given = headers
        .get(CSRF_HEADER)
        .and_then(|value| value.to_str().ok());
    match given.is_some_and(|given| is_word(given, word)) {
        true => Ok(()),
        false => Err(wrong_word()),
    }
}

/// Whether a form brought its session's word.
pub(super) fn is_word(given: &str, word: &str) -> bool {
    given.as_bytes().ct_eq(word.as_bytes()).into()
}

pub(super) fn wrong_word() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "csrf",
        "this does not come from the page",
        "a session's changes carry its word in the header `X-CSRF-Token`",
    )
}

fn unknown(gate: &Gate, reads: bool) -> Problem {
    let detail = match (gate.has_token(), reads) {
        (false, _) => {
            "nothing can be changed over HTTP until `token` is set under `[service]` in the configuration"
        }
        (true, true) => {
            "this address is open to others, so reading needs the token: `Authorization: Bearer TOKEN`"
        }
        (true, false) => "changes need the token: `Authorization: Bearer TOKEN`",
    };
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "the token is missing or wrong",
        detail,
    )
}
