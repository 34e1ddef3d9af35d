//! A run as a collector of OpenTelemetry sees it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::served::{CHARTS, Served, TOKEN, charts};

/// The trace a client says its request belongs to, and its own span.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector: what it is sent, body by body.
fn collector() -> (u16, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sends, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            // As long as it keeps the connection.
            while let Some(request) = request(&mut reader) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                reader.get_mut().write_all(answer).unwrap();
                if sends.send(request).is_err() {
                    return;
                }
            }
        }
    });
    (port, received)
}

fn request(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1).unwrap();
    let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    Some((head, body))
}

/// The fields of a message of protocol buffers that have a length.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(message: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let length = match key & 7 {
            0 => {
                number(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(number(&mut message)).unwrap(),
            5 => 4,
            other => panic!("a field of kind {other}"),
        };
        let (field, rest) = message.split_at(length);
        message = rest;
        if key & 7 == 2 {
            found.push((key >> 3, field));
        }
    }
    found
}

fn at(message: &[u8], number: u64) -> Vec<&[u8]> {
    let fields = fields(message).into_iter();
    fields
        .filter(|(n, _)| *n == number)
        .map(|(_, field)| field)
        .collect()
}

/// What counts of a span.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    attributes: BTreeMap<String, String>,
}

fn spans(body: &[u8]) -> Vec<Span> {
    let hex = |bytes: Vec<&[u8]>| -> String {
        bytes
            .concat()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut found = Vec::new();
    for resource in at(body, 1) {
        let of = at(resource, 1).concat();
        assert!(text(&of).contains("service.name"), "{}", text(&of));
        for span in at(resource, 2).into_iter().flat_map(|scope| at(scope, 2)) {
            let attributes = at(span, 9).into_iter().map(|pair| {
                let value = at(at(pair, 2)[0], 1).concat();
                (text(&at(pair, 1).concat()), text(&value))
            });
            found.push(Span {
                trace: hex(at(span, 1)),
                id: hex(at(span, 2)),
                parent: hex(at(span, 4)),
                name: text(&at(span, 5).concat()),
                attributes: attributes.collect(),
            });
        }
    }
    found
}

#[test]
fn the_spans_of_a_run_arrive_in_the_trace_of_the_request_that_asked_for_it() {
    let (port, received) = collector();
    let mut served = Served::begin(|room| {
        charts(room);
        let otlp = format!("[service.otlp]\nendpoint = \"http://127.0.0.1:{port}\"\n");
        fs::write(room.join("retain.toml"), format!("{CHARTS}{otlp}")).unwrap();
    });
    let bearer = format!("Bearer {TOKEN}");
    let trace = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("Authorization", bearer.as_str()), ("traceparent", &trace)];
    let done = served.ask("POST", "/charts/cleanup", &headers, None).json();
    assert_eq!(done["removed"], 3, "{done}");
    // The last of them are sent when it ends.
    served.terminate();
    let mut all = Vec::new();
    for (head, body) in received.try_iter() {
        assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
        all.extend(spans(&body));
    }
    let ours: Vec<&Span> = all.iter().filter(|span| span.trace == TRACE).collect();
    let named = |name: &str| {
        let mut found = ours.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("no {name}: {all:?}"));
        assert!(found.next().is_none(), "{all:?}");
        *span
    };
    let (request, run) = (named("request"), named("run"));
    assert_eq!(request.parent, PARENT, "{request:?}");
    assert_eq!(
        request.attributes["route"], "/charts/cleanup",
        "{request:?}"
    );
    assert_eq!(run.parent, request.id, "{run:?}");
    assert_eq!(run.attributes["store"], "charts", "{run:?}");
    assert_eq!(run.attributes["cause"], "Request", "{run:?}");
    // Requests of nobody's trace have traces of their own.
    assert!(all.len() > ours.len(), "{all:?}");
}

#[test]
fn a_collector_that_is_not_there_keeps_nothing_from_being_done() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut served = Served::begin(|room| {
        charts(room);
        let otlp = format!("[service.otlp]\nendpoint = \"http://{gone}\"\n");
        fs::write(room.join("retain.toml"), format!("{CHARTS}{otlp}")).unwrap();
    });
    let done = served.change("POST", "/charts/cleanup", None).json();
    assert_eq!(done["removed"], 3, "{done}");
    assert!(served.terminate().as_secs() < 10);
}
