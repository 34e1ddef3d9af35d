//! Clients that are slow, many, or gone: none of them holds the service up.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::served::{PATIENCE, Served, TOKEN, charts, count, file};
use super::shop::DAY;

/// Longer than any head or body may take, by what a laden machine may add.
const SOON: Duration = Duration::from_secs(40);

fn connect(served: &Served) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", served.port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the service closes the connection, while a byte is sent every second.
fn trickled(mut stream: TcpStream, begin: &str) -> (String, Duration) {
    let begun = Instant::now();
    stream.write_all(begin.as_bytes()).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let writer = thread::spawn(move || {
        // Until nobody takes them any more.
        while writing.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_secs(1));
        }
    });
    let mut answer = Vec::new();
    // A connection that is closed with bytes unread is reset.
    let _ = stream.read_to_end(&mut answer);
    let took = begun.elapsed();
    drop(stream);
    writer.join().unwrap();
    (String::from_utf8(answer).unwrap(), took)
}

#[test]
fn a_connection_without_a_whole_request_is_let_go() {
    let served = Served::begin(charts);
    let once = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    thread::scope(|scope| {
        // A head that never ends, and one that ends after a request that was answered.
        for begin in [
            "GET / HTTP/1.1\r\nX-Long: ".to_owned(),
            format!("{once}GET / HT"),
        ] {
            let served = &served;
            scope.spawn(move || {
                let (answer, took) = trickled(connect(served), &begin);
                assert!(took < SOON, "{took:?}");
                let answers = answer.matches("HTTP/1.1 200").count();
                assert_eq!(answers, begin.matches(once).count(), "{answer}");
            });
        }
        // Nothing at all, and nothing more.
        for begin in ["", once] {
            let served = &served;
            scope.spawn(move || {
                let begun = Instant::now();
                let mut stream = connect(served);
                stream.write_all(begin.as_bytes()).unwrap();
                let _ = stream.read_to_end(&mut Vec::new());
                assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
            });
        }
    });
}

#[test]
fn a_body_that_comes_a_byte_a_second_is_refused_and_nothing_is_done() {
    let served = Served::begin(charts);
    let head = |route: &str| {
        format!(
            "POST {route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        )
    };
    thread::scope(|scope| {
        // Also where nobody would read the body.
        for route in ["/v1/stores/charts/runs", "/charts/cleanup"] {
            let (served, head) = (&served, head(route));
            scope.spawn(move || {
                let (answer, took) = trickled(connect(served), &head);
                assert!(took < SOON, "{took:?}");
                assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
                assert!(answer.contains("urn:retain:problem:slow"), "{answer}");
            });
        }
    });
    assert_eq!(count(&served.path("charts")), 10);
}

#[test]
fn more_silent_connections_than_there_are_slots_keep_nobody_out_for_long() {
    let served = Served::begin(charts);
    let silent: Vec<TcpStream> = (0..300).map(|_| connect(&served)).collect();
    let begun = Instant::now();
    assert_eq!(served.get("/v1/runs").status, 200);
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    drop(silent);
}

#[test]
fn an_answer_that_nobody_takes_is_given_up() {
    let served = Served::begin(|room| {
        charts(room);
        for number in 0..9000 {
            let name = format!("charts/IBM_1d/{number}-{}.png", "\"".repeat(200));
            file(&room.join(name), 1, DAY);
        }
    });
    let mut stream = connect(&served);
    let request = "GET /v1/stores/charts/plan?limit=10000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = [0; 1024];
    let length = stream.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
    let whole = head.split("content-length: ").nth(1).unwrap();
    let whole: usize = whole.split("\r\n").next().unwrap().parse().unwrap();
    // More than the system takes on a connection's behalf.
    assert!(whole > 5 << 20, "{whole}");
    thread::sleep(Duration::from_secs(30));
    let mut taken = Vec::new();
    let ended = stream.read_to_end(&mut taken);
    assert!(ended.is_err() || length + taken.len() < whole, "{ended:?}");
    assert_eq!(served.get("/healthz").status, 200);
}

#[test]
fn streams_of_events_are_as_many_as_are_meant() {
    let served = Served::begin(charts);
    let listen = || {
        let mut stream = connect(&served);
        stream
            .write_all(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        (String::from_utf8(head.to_vec()).unwrap(), stream)
    };
    let listening: Vec<_> = (0..64).map(|_| listen()).collect();
    assert!(listening.iter().all(|(head, _)| head == "HTTP/1.1 200"));
    assert_eq!(listen().0, "HTTP/1.1 503");
    drop(listening);
    // Those that went away make room.
    served.until("somebody may listen again", || listen().0 == "HTTP/1.1 200");
}

#[test]
fn a_client_that_goes_away_changes_nothing_about_its_run() {
    let served = Served::begin(|room| {
        charts(room);
        for number in 0..3000 {
            file(&room.join(format!("charts/IBM_1d/{number}.png")), 10, DAY);
        }
    });
    let mut client = connect(&served);
    let request = format!(
        "POST /charts/cleanup HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n\r\n"
    );
    client.write_all(request.as_bytes()).unwrap();
    served.until("the run's beginning", || {
        served.get("/v1/stores/charts").json()["running"] != Value::Null
            || count(&served.path("charts")) == 7
    });
    drop(client);
    served.until("the run's end", || {
        let last = served.get("/v1/stores/charts").json()["last"].clone();
        last["outcome"] == "completed" && last["removed"] == 3003
    });
    assert_eq!(count(&served.path("charts")), 7);
    // The journal knows of each of its files what became of it.
    let run = served.get("/v1/runs/last?limit=10000").json();
    assert_eq!(run["state"], "completed", "{run}");
    let files = run["files"].as_array().unwrap();
    assert_eq!(files.len(), 3003);
    let known = files.iter().all(|file| file["outcome"] == "trashed");
    assert!(known, "{}", files[0]);
}
