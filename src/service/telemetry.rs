//! Spans, sent to a collector of OpenTelemetry by HTTP.
//!
//! Sending is the work of a thread of its own, out of a queue that is bounded: a collector
//! that is slow or down loses spans, and nothing waits for it. What the standard variables
//! say about headers and attributes counts (`OTEL_EXPORTER_OTLP_HEADERS`,
//! `OTEL_RESOURCE_ATTRIBUTES`); the address is the configuration's.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;
use ureq::http::HeaderMap;

use crate::config::Remote;

/// What the service is called where its spans are looked at.
const NAME: &str = "retain";

/// How long sending one batch may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the end of the service may wait for the last spans.
const PARTING: Duration = Duration::from_secs(1);

/// Spans on their way to a collector.
#[derive(Debug)]
pub struct Telemetry {
    provider: SdkTracerProvider,
}

impl Telemetry {
    /// Starts the thread that sends; whether anybody listens at the address is not asked.
    ///
    /// # Errors
    ///
    /// A variable of OpenTelemetry has a value that is none.
    pub fn start(to: &Remote) -> Result<Telemetry, ExporterBuildError> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(traces(to))
            .with_timeout(TIMEOUT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(NAME)
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Telemetry { provider })
    }

    /// What a subscriber passes its spans through.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer().with_tracer(self.provider.tracer(NAME))
    }

    /// Sends what is left, for a second at most.
    pub fn stop(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PARTING) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Makes a span the child of the one a request names, by W3C's `traceparent`. A header that
/// is none, or no header, leaves the span as it is.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    if parent.span().span_context().is_valid() {
        // Without a collector no span has a parent, and none is missed.
        let _ = span.set_parent(parent);
    }
}

/// The address of traces below the one that is configured for all signals.
fn traces(to: &Remote) -> String {
    const PATH: &str = "/v1/traces";
    let base = to.uri().to_string();
    let base = base.trim_end_matches('/');
    match base.ends_with(PATH) {
        true => base.to_owned(),
        false => format!("{base}{PATH}"),
    }
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(ureq::http::HeaderName::as_str).collect()
    }
}

/// The exporter's way out: it blocks, which is right on a thread that does nothing else.
#[derive(Debug)]
struct Client(ureq::Agent);

impl Client {
    fn new() -> Client {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            // The environment is read at the edge alone.
            .proxy(None);
        Client(config.build().new_agent())
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let response = self.0.run(request.map(|body| body.to_vec()))?;
        let (head, mut body) = response.into_parts();
        let body = body.read_to_vec()?;
        Ok(Response::from_parts(head, Bytes::from(body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};
    use crate::service::heard::receive;
    use std::net::{SocketAddr, TcpListener};
    use std::time::Instant;
    use tracing_subscriber::layer::SubscriberExt;

    fn collector(address: SocketAddr) -> Remote {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("retain.toml");
        let text = format!("[service.otlp]\nendpoint = \"http://{address}\"\n");
        std::fs::write(&file, text).unwrap();
        let home = Environment::default().with("HOME", "/home/ann");
        let config = Config::load(&file, &home).unwrap();
        config.service.otlp.unwrap()
    }

    fn holds(body: &[u8], part: &[u8]) -> bool {
        body.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn spans_arrive_under_the_name_of_the_service_and_in_the_trace_of_the_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = std::thread::spawn(move || receive(&listener, "200 OK"));
        let telemetry = Telemetry::start(&collector(address)).unwrap();
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        tracing::subscriber::with_default(subscriber, || {
            let mut headers = HeaderMap::new();
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            headers.insert("traceparent", parent.parse().unwrap());
            let span = tracing::info_span!("cleaning", store = "charts");
            continue_trace(&span, &headers);
            span.in_scope(|| ());
        });
        telemetry.stop();
        let (head, body) = receiver.join().unwrap();
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        assert!(head.contains("application/x-protobuf"), "{head}");
        for text in ["service.name", "retain", "cleaning", "charts"] {
            assert!(holds(&body, text.as_bytes()), "{text}");
        }
        let trace = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
        assert!(holds(&body, &trace));
    }

    #[test]
    fn a_collector_that_never_answers_stops_nothing() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let telemetry = Telemetry::start(&collector(silent.local_addr().unwrap())).unwrap();
        let subscriber = tracing_subscriber::registry().with(telemetry.layer());
        let begun = Instant::now();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..10_000 {
                tracing::info_span!("cleaning").in_scope(|| ());
            }
        });
        telemetry.stop();
        assert!(begun.elapsed() < TIMEOUT);
    }

    #[test]
    fn a_header_that_is_no_trace_leaves_a_span_as_it_is() {
        let mut headers = HeaderMap::new();
        continue_trace(&Span::none(), &headers);
        headers.insert("traceparent", "00-nothing".parse().unwrap());
        continue_trace(&Span::none(), &headers);
    }
}
