//! What `retain serve` listens on and talks to, and the secrets it proves itself by.
//!
//! A configuration only says where a secret is found. [`Config::credentials`] reads it
//! when a service starts: `check` and `plan` must not need it.

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;

use ureq::http::Uri;

use crate::config::environment::Environment;
use crate::config::reader::{Complaint, Findings, Place, Reader, Section};
use crate::config::{Config, codes};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// The shortest secret that is taken: 128 bits, were each byte a random one.
const SHORTEST_SECRET: usize = 16;

/// What `retain serve` listens on and talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The address of the API and the page.
    pub listen: SocketAddr,
    /// The address that answers probes only.
    pub probe_listen: Option<SocketAddr>,
    /// Where the bearer token is found; the token itself is never in here.
    pub token: Option<Secret>,
    /// Names besides loopback's under which it is reached: lower case, without a port.
    pub hosts: Vec<String>,
    /// Where alerts are sent.
    pub webhook: Option<Webhook>,
    /// The collector traces are sent to, without the path `/v1/traces`.
    pub otlp: Option<Remote>,
}

/// Where alerts are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The address that takes them.
    pub url: Remote,
    /// Where the key of their signatures is found; none where they are not signed.
    pub secret: Option<Secret>,
}

/// An address of HTTP. Shown without its path, which may be a secret of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Remote(Uri);

impl Remote {
    /// The whole address, for the one who calls it.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    fn parse(text: &str) -> Result<Remote, Complaint> {
        // The text is not repeated: it may have a secret in it.
        let uri: Uri = text.trim().parse().map_err(|_| {
            Complaint::new(
                "this is no address of HTTP",
                "write it as `https://host/path`",
            )
        })?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            let message = "this is no address of HTTP";
            return Err(Complaint::new(message, "begin it with `https://`"));
        }
        match uri.authority() {
            Some(authority) if authority.as_str().contains('@') => Err(Complaint::new(
                "there is a password in the address",
                "take it out; a webhook is signed with its `secret`",
            )),
            Some(authority) if !authority.host().is_empty() => Ok(Remote(uri)),
            Some(_) | None => Err(Complaint::new(
                "the address names no host",
                "write it as `https://host/path`",
            )),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self
            .0
            .authority()
            .map_or("", |authority| authority.as_str());
        write!(f, "{scheme}://{authority}")
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The content of a file, without the white space at its end.
    File(Place),
    /// The content of a variable.
    Env {
        /// Its name.
        name: String,
        /// Where that is written in the configuration.
        span: Range<usize>,
    },
}

impl Secret {
    fn span(&self) -> Range<usize> {
        match self {
            Secret::File(place) => place.span.clone(),
            Secret::Env { span, .. } => span.clone(),
        }
    }

    /// The secret, or why there is none and what to do.
    fn read(&self, environment: &Environment) -> Result<Vec<u8>, (String, &'static str)> {
        let (words, bytes) = match self {
            Secret::File(place) => {
                let read = crate::store::read_given(&place.path, 1 << 20).map_err(|error| {
                    let reason = crate::store::in_words(&error);
                    let message = format!("cannot read the secret `{}`: {reason}", place.written);
                    (message, "it must be a file this process may read")
                })?;
                (format!("the file `{}`", place.written), read)
            }
            Secret::Env { name, .. } => {
                let text = environment.text(name).ok_or_else(|| {
                    let message = format!("the variable `{name}` is not set");
                    (message, "set it, or write `{ file = \"…\" }`")
                })?;
                (format!("the variable `{name}`"), text.as_bytes().to_vec())
            }
        };
        let bytes = bytes.trim_ascii_end().to_vec();
        let help = "make one with `openssl rand -hex 32`";
        match bytes.len() {
            0 => Err((format!("{words} is empty"), help)),
            short if short < SHORTEST_SECRET => Err((
                format!("the secret of {words} has {short} bytes, fewer than {SHORTEST_SECRET}"),
                help,
            )),
            _ => Ok(bytes),
        }
    }
}

/// The secrets of a service, read. Neither shown nor compared by accident.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The bearer token.
    pub token: Option<Vec<u8>>,
    /// The key of the webhook's signatures.
    pub webhook: Option<Vec<u8>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Config {
    /// Reads the secrets the service needs to start; each that is missing or shorter
    /// than 16 bytes is reported.
    pub fn credentials(&self, environment: &Environment) -> Result<Credentials, Diagnostics> {
        let mut findings = Findings::new(self.source.clone());
        let mut read = |secret: Option<&Secret>| {
            let secret = secret?;
            match secret.read(environment) {
                Ok(bytes) => Some(bytes),
                Err((message, help)) => {
                    findings.error(codes::SECRET, secret.span(), message, help);
                    None
                }
            }
        };
        let hook = self.service.webhook.as_ref();
        let credentials = Credentials {
            token: read(self.service.token.as_ref()),
            webhook: read(hook.and_then(|hook| hook.secret.as_ref())),
        };
        match findings.has_errors() {
            true => Err(Diagnostics(findings.into_sorted())),
            false => Ok(credentials),
        }
    }
}

pub(super) fn read(section: &Section<'_>, reader: &mut Reader<'_>) -> Service {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 8787));
    let service = Service {
        listen: reader
            .parsed(section, "listen", parse_address)
            .unwrap_or(loopback),
        probe_listen: reader.parsed(section, "probe_listen", parse_address),
        token: read_secret(&section.section("token"), reader),
        hosts: read_hosts(section, reader),
        webhook: read_webhook(section, reader),
        otlp: read_otlp(section, reader),
    };
    if !service.listen.ip().is_loopback() && !section.has("token") {
        let message = format!("`service.listen` is open to others at {}", service.listen);
        let span = section.value_span("listen");
        let help = "add `token = { file = \"…\" }`, or listen on `127.0.0.1`";
        reader
            .findings
            .error(codes::OPEN_SERVICE, span, message, help);
    }
    service
}

fn read_secret(section: &Section<'_>, reader: &mut Reader<'_>) -> Option<Secret> {
    match (section.has("file"), section.has("env")) {
        (false, false) => None,
        (true, false) => reader.place(section, "file").map(Secret::File),
        (false, true) => {
            let name = reader.text(section, "env")?;
            let span = section.value_span("env");
            Some(Secret::Env { name, span })
        }
        (true, true) => {
            let message = format!("`{}` has both `file` and `env`", section.path);
            let span = section.value_span("env");
            let help = "keep one of the two";
            reader.findings.error(codes::CONFLICT, span, message, help);
            None
        }
    }
}

fn read_hosts(section: &Section<'_>, reader: &mut Reader<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for (text, span) in reader.texts(section, "hosts") {
        let host = text.trim().to_ascii_lowercase();
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
        if host.is_empty() || !host.bytes().all(allowed) {
            let message = format!("`{text}` is no name of a host");
            let help = "write the name alone, without `https://`, port or path: `retain.example`";
            reader.findings.error(codes::VALUE, span, message, help);
        } else {
            hosts.push(host);
        }
    }
    hosts
}

fn read_webhook(service: &Section<'_>, reader: &mut Reader<'_>) -> Option<Webhook> {
    if !service.has("webhook") {
        return None;
    }
    let section = service.section("webhook");
    let secret = read_secret(&section.section("secret"), reader);
    reader.required(&section, "url")?;
    // Read a second time to be parsed: what is wrong with the text has been said.
    let url = reader.parsed(&section, "url", Remote::parse)?;
    Some(Webhook { url, secret })
}

/// The variable every program that sends traces knows.
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

fn read_otlp(service: &Section<'_>, reader: &mut Reader<'_>) -> Option<Remote> {
    let section = service.section("otlp");
    if section.has("endpoint") {
        return reader.parsed(&section, "endpoint", Remote::parse);
    }
    match Remote::parse(reader.environment.text(OTLP_ENDPOINT)?) {
        Ok(remote) => Some(remote),
        // It may be meant for another program, so it stops nothing.
        Err(_) => {
            let message = format!("`{OTLP_ENDPOINT}` is no address of HTTP, no traces are sent");
            let source = reader.findings.source();
            let span = service.span.clone();
            let finding = Diagnostic::warning(codes::VARIABLE, source, span, message);
            let help = "set it to `http://host:4318`, or write `[service.otlp]` with an `endpoint`";
            reader.findings.push(finding.help(help));
            None
        }
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, Complaint> {
    text.parse().map_err(|_| {
        Complaint::new(
            format!("`{text}` is no address with a port"),
            "write it as `127.0.0.1:8787` or `[::1]:8787`",
        )
    })
}
