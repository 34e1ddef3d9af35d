//! Alerts, sent to an address of HTTP by a thread of their own.
//!
//! What is wrong is said once: an alert that is raised again while it stands is sent again
//! only after a day, and one that was cleared is armed anew. Nothing here holds up whoever
//! raises an alert: the queue is bounded, and what does not fit is given up and counted.
//!
//! A delivery is signed over the moment of its sending and its body. Redirects are not
//! followed, as they would take a signed body where nobody configured it to go. Neither
//! the key nor the path of the address, which is often a secret itself, is ever logged.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use ureq::http::StatusCode;

use crate::config::{self, Remote};
use crate::time::Now;

/// How long one try may take, from looking up the name to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often an alert is tried.
const TRIES: u32 = 5;

/// The pause before the second try; each one after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// Alerts that wait for their turn.
const QUEUE: usize = 64;

/// After what time an alert that still stands is sent again.
const REMINDER: SignedDuration = SignedDuration::from_hours(24);

/// After what time an alert that could not be delivered is sent again.
const SECOND_CHANCE: SignedDuration = SignedDuration::from_hours(1);

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A plan removes too much and waits for a person.
    BreakerTripped,
    /// A run stopped, or left files behind that it should have removed.
    RunFailed,
    /// No eviction can meet a budget.
    BudgetUnmet,
    /// A disk is fuller than `warn.used`.
    DiskAboveMark,
    /// A store grows faster than `warn.growth`.
    GrowthAboveMark,
    /// A plugin fails again and again.
    PluginFailing,
    /// No run succeeded for three intervals.
    NoSuccess,
    /// Somebody wants to see whether alerts arrive.
    Test,
}

impl Event {
    /// The stable word of the event.
    pub fn word(self) -> &'static str {
        match self {
            Event::BreakerTripped => "breaker_tripped",
            Event::RunFailed => "run_failed",
            Event::BudgetUnmet => "budget_unmet",
            Event::DiskAboveMark => "disk_above_mark",
            Event::GrowthAboveMark => "growth_above_mark",
            Event::PluginFailing => "plugin_failing",
            Event::NoSuccess => "no_success",
            Event::Test => "test",
        }
    }
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What it is about.
    pub event: Event,
    /// The store; empty where it is about none.
    pub store: String,
    /// One sentence for people.
    pub message: String,
    /// Values for programs.
    pub details: Map<String, Value>,
}

impl Alert {
    /// The body of a delivery.
    fn body(&self, at: Timestamp) -> String {
        json!({
            "event": self.event.word(),
            "store": self.store,
            "at": at.to_string(),
            "message": self.message,
            "details": self.details,
            "version": env!("CARGO_PKG_VERSION"),
        })
        .to_string()
    }
}

/// Alerts that stand, each with the moment from which it may be sent again.
#[derive(Debug, Default)]
struct Standing(BTreeMap<(Event, String), Timestamp>);

impl Standing {
    /// Whether an alert is to be sent: it did not stand, or it was sent long ago.
    fn raise(&mut self, alert: &Alert, now: Timestamp) -> bool {
        if alert.event == Event::Test {
            return true;
        }
        let key = (alert.event, alert.store.clone());
        let due = self.0.get(&key).is_none_or(|from| now >= *from);
        if due {
            self.0.insert(key, after(now, REMINDER));
        }
        due
    }

    fn clear(&mut self, event: Event, store: &str) {
        self.0.remove(&(event, store.to_owned()));
    }

    /// It did not arrive: if it still stands, it need not wait for a whole day.
    fn given_up(&mut self, alert: &Alert, now: Timestamp) {
        if let Some(from) = self.0.get_mut(&(alert.event, alert.store.clone())) {
            *from = after(now, SECOND_CHANCE);
        }
    }
}

fn after(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

/// What became of deliveries so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Alerts that arrived.
    pub delivered: u64,
    /// Alerts that were given up.
    pub given_up: u64,
    /// Tries after the first.
    pub retried: u64,
}

#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    given_up: AtomicU64,
    retried: AtomicU64,
}

/// What the thread and its owner share.
#[derive(Debug, Default)]
struct Shared {
    standing: Mutex<Standing>,
    counts: Counts,
    ending: Mutex<bool>,
    ends: Condvar,
}

impl Shared {
    /// What another thread left half done is a moment or a flag, and still one.
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ending(&self) -> MutexGuard<'_, bool> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless everything ends; says whether the wait was a whole one.
    fn pause(&self, length: Duration) -> bool {
        let waited = self
            .ends
            .wait_timeout_while(self.ending(), length, |ending| !*ending);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn give_up(&self, alert: &Alert, now: Timestamp) {
        self.counts.given_up.fetch_add(1, Ordering::Relaxed);
        self.standing().given_up(alert, now);
    }
}

struct Waiting {
    alert: Alert,
    raised: Timestamp,
}

/// Where alerts go; dropping it gives up what still waits.
#[derive(Debug)]
pub struct Webhook {
    queue: Option<SyncSender<Waiting>>,
    shared: Arc<Shared>,
    ended: Mutex<Receiver<()>>,
}

impl Webhook {
    /// Starts the thread that delivers.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub fn start(to: &config::Webhook, key: Option<Vec<u8>>) -> io::Result<Webhook> {
        Webhook::start_with(to, key, FIRST_PAUSE, QUEUE)
    }

    fn start_with(
        to: &config::Webhook,
        key: Option<Vec<u8>>,
        first_pause: Duration,
        queue: usize,
    ) -> io::Result<Webhook> {
        let (sender, receiver) = sync_channel(queue);
        let (ends, ended) = channel();
        let shared = Arc::new(Shared::default());
        let courier = Courier {
            agent: agent(),
            to: to.url.clone(),
            key,
            first_pause,
            shared: Arc::clone(&shared),
        };
        let work = move || {
            courier.deliver_all(&receiver);
            // Nobody waits for it any more: then it need not be said.
            let _ = ends.send(());
        };
        std::thread::Builder::new()
            .name("webhook".to_owned())
            .spawn(work)?;
        Ok(Webhook {
            queue: Some(sender),
            shared,
            ended: Mutex::new(ended),
        })
    }

    /// Says that something is wrong; sent if that is news, or was sent a day ago. Returns
    /// at once.
    pub fn raise(&self, alert: Alert, now: &Now) {
        let raised = now.timestamp();
        if !self.shared.standing().raise(&alert, raised) {
            return;
        }
        let Some(queue) = &self.queue else { return };
        if let Err(refused) = queue.try_send(Waiting { alert, raised }) {
            let (TrySendError::Full(waiting) | TrySendError::Disconnected(waiting)) = refused;
            let (event, store) = (waiting.alert.event.word(), &waiting.alert.store);
            tracing::warn!(event, store, "too many alerts wait for the webhook");
            self.shared.give_up(&waiting.alert, raised);
        }
    }

    /// Says that something is right again: the next time it is wrong is news.
    pub fn clear(&self, event: Event, store: &str) {
        self.shared.standing().clear(event, store);
    }

    /// What became of deliveries so far.
    pub fn deliveries(&self) -> Deliveries {
        let counts = &self.shared.counts;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Deliveries {
            delivered: read(&counts.delivered),
            given_up: read(&counts.given_up),
            retried: read(&counts.retried),
        }
    }

    /// Ends: what waits gets one try each as long as patience lasts, the rest is given up.
    pub fn stop(mut self, patience: Duration) {
        self.end();
        let ended = self.ended.get_mut();
        let ended = ended.unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(patience) {
            tracing::warn!("alerts were given up, the webhook did not answer in time");
        }
    }

    fn end(&mut self) {
        self.queue = None;
        *self.shared.ending() = true;
        self.shared.ends.notify_all();
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.end();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(concat!("retain/", env!("CARGO_PKG_VERSION")))
        // The environment is read at the edge alone.
        .proxy(None)
        .build()
        .new_agent()
}

/// Why a try did not deliver.
enum Refusal {
    /// Another try may.
    ForNow(String),
    /// No other try will.
    ForGood(String),
}

struct Courier {
    agent: ureq::Agent,
    to: Remote,
    key: Option<Vec<u8>>,
    first_pause: Duration,
    shared: Arc<Shared>,
}

impl Courier {
    fn deliver_all(&self, queue: &Receiver<Waiting>) {
        for Waiting { alert, raised } in queue {
            let (event, store) = (alert.event.word(), &alert.store);
            match self.deliver(&alert.body(raised)) {
                Ok(()) => {
                    self.shared.counts.delivered.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(event, store, to = %self.to, "alert delivered");
                }
                Err(reason) => {
                    tracing::warn!(event, store, to = %self.to, reason, "alert given up");
                    self.shared.give_up(&alert, raised);
                }
            }
        }
    }

    fn deliver(&self, body: &str) -> Result<(), String> {
        let mut pause = self.first_pause;
        let mut left = TRIES;
        loop {
            left = left.saturating_sub(1);
            let reason = match self.attempt(body, Now::from_clock().timestamp()) {
                Ok(()) => return Ok(()),
                Err(Refusal::ForGood(reason)) => return Err(reason),
                Err(Refusal::ForNow(reason)) => reason,
            };
            if left == 0 || !self.shared.pause(jittered(pause)) {
                return Err(reason);
            }
            self.shared.counts.retried.fetch_add(1, Ordering::Relaxed);
            pause = pause.saturating_mul(2);
        }
    }

    fn attempt(&self, body: &str, at: Timestamp) -> Result<(), Refusal> {
        let timestamp = at.as_second().to_string();
        let mut request = self
            .agent
            .post(self.to.uri())
            .header("Content-Type", "application/json")
            .header("X-Retain-Timestamp", &timestamp);
        if let Some(key) = &self.key {
            request = request.header("X-Retain-Signature", signature(key, &timestamp, body));
        }
        let status = request.send(body).map_err(|error| {
            Refusal::ForNow(match error {
                // The only one that repeats the address.
                ureq::Error::BadUri(_) => "the address cannot be used".to_owned(),
                error => error.to_string(),
            })
        })?;
        judge(status.status())
    }
}

/// What an answer means for the alert.
fn judge(status: StatusCode) -> Result<(), Refusal> {
    let words = format!("it answers {status}");
    let later = matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    );
    if status.is_success() {
        Ok(())
    } else if status.is_redirection() {
        let words = format!("{words}; redirects are not followed, configure where it leads");
        Err(Refusal::ForGood(words))
    } else if status.is_server_error() || later {
        Err(Refusal::ForNow(words))
    } else {
        Err(Refusal::ForGood(words))
    }
}

/// `sha256=` and the HMAC of `timestamp.body`.
fn signature(key: &[u8], timestamp: &str, body: &str) -> String {
    // A key of any length is one, so there is no other branch.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    let code = mac.finalize().into_bytes();
    let digits = code.iter().map(|byte| format!("{byte:02x}"));
    format!("sha256={}", digits.collect::<String>())
}

/// From half of a pause to all of it, so that many services do not come back at once.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 1];
    // Without randomness a whole pause is one as well.
    let share = match getrandom::fill(&mut random) {
        Ok(()) => random.iter().copied().map(u32::from).sum(),
        Err(_) => 255,
    };
    pause / 2 + (pause / 2).saturating_mul(share) / 255
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::heard::receive;
    use std::net::TcpListener;
    use std::sync::mpsc;

    const KEY: &[u8] = b"a key of sixteen bytes";

    fn now(text: &str) -> Now {
        Now::at(text.parse().unwrap())
    }

    fn alert(event: Event, store: &str) -> Alert {
        Alert {
            event,
            store: store.to_owned(),
            message: "something is wrong".to_owned(),
            details: Map::new(),
        }
    }

    /// The head of a request in small letters, and its body.
    type Request = (String, String);

    /// A server that gives these answers, one connection each, and what it was asked.
    fn server(answers: &[&str]) -> (config::Webhook, mpsc::Receiver<Request>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Vec<String> = answers.iter().map(|&answer| answer.to_owned()).collect();
        let (sender, asked) = mpsc::channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (head, body) = receive(&listener, &answer);
                sender
                    .send((head, String::from_utf8(body).unwrap()))
                    .unwrap();
            }
        });
        (hook(address), asked)
    }

    fn hook(address: std::net::SocketAddr) -> config::Webhook {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("retain.toml");
        let text = format!("[service.webhook]\nurl = \"http://{address}/hooks/s3cret\"\n");
        std::fs::write(&file, text).unwrap();
        let home = config::Environment::default().with("HOME", "/home/ann");
        let config = config::Config::load(&file, &home).unwrap();
        config.service.webhook.unwrap()
    }

    /// Sends one alert to a server with these answers; what it was asked, what came of it.
    fn check(answers: &[&str], expected: Deliveries) -> Vec<Request> {
        let (to, asked) = server(answers);
        let pause = Duration::from_millis(1);
        let webhook = Webhook::start_with(&to, Some(KEY.to_vec()), pause, 4).unwrap();
        webhook.raise(
            alert(Event::RunFailed, "charts"),
            &now("2026-11-24T08:00:00Z"),
        );
        let shared = Arc::clone(&webhook.shared);
        let ended = loop {
            let counts = webhook.deliveries();
            if counts.delivered + counts.given_up == 1 {
                break counts;
            }
            assert!(shared.pause(Duration::from_millis(1)));
        };
        assert_eq!(ended, expected);
        webhook.stop(TIMEOUT);
        asked.iter().collect()
    }

    #[test]
    fn a_delivery_is_signed_over_its_moment_and_its_body() {
        let expected = Deliveries {
            delivered: 1,
            ..Deliveries::default()
        };
        let asked = check(&["204 No Content"], expected);
        let (head, body) = &asked[0];
        assert!(
            head.starts_with("post /hooks/s3cret http/1.1\r\n"),
            "{head}"
        );
        let header = |name: &str| {
            let rest = head.split(&format!("\r\n{name}: ")).nth(1).unwrap();
            rest.split("\r\n").next().unwrap().to_owned()
        };
        let timestamp = header("x-retain-timestamp");
        let mut mac = Hmac::<Sha256>::new_from_slice(KEY).unwrap();
        mac.update(format!("{timestamp}.{body}").as_bytes());
        let expected: String = mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(header("x-retain-signature"), format!("sha256={expected}"));
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["event"], "run_failed");
        assert_eq!(body["store"], "charts");
        assert_eq!(body["at"], "2026-11-24T08:00:00Z");
    }

    #[test]
    fn what_is_refused_for_now_is_tried_again() {
        let answers = [
            "500 Internal Server Error",
            "429 Too Many Requests",
            "200 OK",
        ];
        let expected = Deliveries {
            delivered: 1,
            retried: 2,
            given_up: 0,
        };
        assert_eq!(check(&answers, expected).len(), 3);
        let expected = Deliveries {
            delivered: 0,
            retried: 4,
            given_up: 1,
        };
        assert_eq!(check(&["503 Service Unavailable"; 5], expected).len(), 5);
    }

    #[test]
    fn a_redirect_is_not_followed_and_what_is_refused_for_good_not_tried_again() {
        let expected = Deliveries {
            given_up: 1,
            ..Deliveries::default()
        };
        let redirect = "307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/";
        assert_eq!(check(&[redirect], expected).len(), 1);
        assert_eq!(check(&["401 Unauthorized"], expected).len(), 1);
    }

    #[test]
    fn an_alert_is_news_once_a_day_and_again_when_it_was_cleared() {
        let mut standing = Standing::default();
        let mut raise = |event, store: &str, at: &str, cleared: &str| {
            standing.clear(Event::RunFailed, cleared);
            standing.raise(&alert(event, store), at.parse().unwrap())
        };
        assert!(raise(
            Event::RunFailed,
            "charts",
            "2026-11-24T08:00:00Z",
            ""
        ));
        assert!(!raise(
            Event::RunFailed,
            "charts",
            "2026-11-25T07:59:59Z",
            ""
        ));
        assert!(raise(Event::RunFailed, "logs", "2026-11-25T07:59:59Z", ""));
        assert!(raise(
            Event::NoSuccess,
            "charts",
            "2026-11-25T07:59:59Z",
            ""
        ));
        assert!(raise(
            Event::RunFailed,
            "charts",
            "2026-11-25T08:00:00Z",
            ""
        ));
        assert!(!raise(
            Event::RunFailed,
            "charts",
            "2026-11-25T09:00:00Z",
            "logs"
        ));
        assert!(raise(
            Event::RunFailed,
            "charts",
            "2026-11-25T09:00:00Z",
            "charts"
        ));
        assert!(raise(Event::Test, "", "2026-11-25T09:00:00Z", ""));
        assert!(raise(Event::Test, "", "2026-11-25T09:00:00Z", ""));
    }

    #[test]
    fn an_alert_that_was_given_up_comes_again_within_the_hour() {
        let mut standing = Standing::default();
        let failed = alert(Event::RunFailed, "charts");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(standing.raise(&failed, at("2026-11-24T08:00:00Z")));
        standing.given_up(&failed, at("2026-11-24T08:01:00Z"));
        assert!(!standing.raise(&failed, at("2026-11-24T09:00:59Z")));
        assert!(standing.raise(&failed, at("2026-11-24T09:01:00Z")));
    }

    #[test]
    fn a_receiver_that_never_answers_holds_up_nobody() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = hook(silent.local_addr().unwrap());
        let webhook = Webhook::start_with(&to, None, FIRST_PAUSE, 1).unwrap();
        let begun = std::time::Instant::now();
        for store in ["a", "b", "c", "d", "e"] {
            webhook.raise(alert(Event::NoSuccess, store), &now("2026-11-24T08:00:00Z"));
        }
        assert!(webhook.deliveries().given_up >= 3);
        webhook.stop(Duration::ZERO);
        assert!(begun.elapsed() < TIMEOUT / 2);
        drop(silent);
    }

    #[test]
    fn pauses_are_between_half_and_all_of_their_length() {
        let pause = Duration::from_secs(8);
        for _ in 0..100 {
            let jittered = jittered(pause);
            assert!(jittered >= pause / 2 && jittered <= pause, "{jittered:?}");
        }
    }
}
