//! `retain serve` in a directory of its own, for tests that ask it something.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use super::inventory::repository;
use super::shop::DAY;

pub const TOKEN: &str = "a token of some length";

/// Long enough for a laden machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A service in a directory of its own; ended when it is dropped.
pub struct Served {
    pub room: TempDir,
    child: Child,
    pub port: u16,
    variables: Vec<(String, String)>,
    /// The user it runs as, where that is not the test's.
    user: Option<u32>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub kind: String,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// A problem document of this status; its detail.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.kind, "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(
            problem["type"]
                .as_str()
                .unwrap()
                .starts_with("urn:retain:problem:")
        );
        problem["detail"].as_str().unwrap().to_owned()
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

const SERVICE: &str = "\n[service]\nlisten = \"127.0.0.1:PORT\"\ntoken = { env = \"TOKEN\" }\n";

impl Served {
    /// A service over some files, made by `make` in an empty directory.
    pub fn begin(make: impl FnOnce(&Path)) -> Served {
        Served::with(make, &[])
    }

    pub fn with(make: impl FnOnce(&Path), variables: &[(&str, &str)]) -> Served {
        let room = TempDir::new().unwrap();
        make(room.path());
        let port = free_port();
        add_service(&room.path().join("retain.toml"), port);
        Served::start(room, port, &[&[("TOKEN", TOKEN)], variables].concat(), None)
    }

    /// `examples/stock-analysis` as it is deployed in an environment, beside what `make`
    /// finds there; everything that is not in `variables` lies in the room.
    pub fn deployed(
        environment: &str,
        variables: &[(&str, &str)],
        user: Option<u32>,
        make: impl FnOnce(&Path),
    ) -> Served {
        let room = TempDir::new().unwrap();
        let here = room.path();
        copy_example(here);
        make(here);
        if let Some(user) = user {
            give(here, user);
        }
        let (port, probes) = (free_port(), free_port());
        if environment == "development" {
            add_service(&here.join("retain.toml"), port);
        }
        fs::write(here.join("token"), TOKEN).unwrap();
        let below = |name: &str| here.join(name).display().to_string();
        let usual = [
            ("TOKEN", TOKEN.to_owned()),
            ("ENVIRONMENT", environment.to_owned()),
            ("STORAGE_BASE_PATH", below("data")),
            ("BACKUP_PATH", below("backups")),
            ("RETAIN_STATE_PATH", below("state")),
            ("RETAIN_TOKEN_FILE", below("token")),
            ("RETAIN_LISTEN", format!("127.0.0.1:{port}")),
            ("RETAIN_PROBE_LISTEN", format!("127.0.0.1:{probes}")),
        ];
        let usual: Vec<(&str, &str)> = usual.iter().map(|(n, v)| (*n, v.as_str())).collect();
        Served::start(room, port, &[&usual, variables].concat(), user)
    }

    fn start(room: TempDir, port: u16, variables: &[(&str, &str)], user: Option<u32>) -> Served {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let variables: Vec<(String, String)> = variables.iter().map(owned).collect();
        let child = spawn(room.path(), &variables, user);
        let mut served = Served {
            room,
            child,
            port,
            variables,
            user,
        };
        served.await_readiness();
        served
    }

    fn await_readiness(&mut self) {
        let begun = Instant::now();
        // Whatever it says of its stores then, it has begun.
        while TcpStream::connect(("127.0.0.1", self.port)).is_err()
            || self.get("/readyz").text.contains("begins")
        {
            if let Some(ended) = self.child.try_wait().unwrap() {
                panic!("it ended with {ended}: {}", self.log());
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it and starts it again over what it left.
    pub fn again(&mut self, meanwhile: impl FnOnce(&Path)) {
        self.terminate();
        meanwhile(self.room.path());
        self.child = spawn(self.room.path(), &self.variables, self.user);
        self.await_readiness();
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.room.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let uri = format!("http://127.0.0.1:{}{path}", self.port);
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => agent.run(request.body(body.to_owned()).unwrap()),
            None => agent.run(request.body(()).unwrap()),
        }
        .unwrap();
        let kind = response.headers().get("content-type");
        Answer {
            status: response.status().as_u16(),
            kind: kind.map_or("", |kind| kind.to_str().unwrap()).to_owned(),
            text: response.body_mut().read_to_string().unwrap(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    /// With the token.
    pub fn change(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut headers = vec![("Authorization", bearer.as_str())];
        let text = body.map(ToString::to_string);
        if text.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        self.ask(method, path, &headers, text.as_deref())
    }

    /// Waits until something holds.
    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < PATIENCE, "{what}: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as its supervisor would; how long that took.
    pub fn terminate(&mut self) -> Duration {
        let begun = Instant::now();
        let process = i32::try_from(self.child.id()).unwrap();
        let process = rustix::process::Pid::from_raw(process).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        let ended = self.child.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "{}", self.log());
        begun.elapsed()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn add_service(file: &Path, port: u16) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text + &SERVICE.replace("PORT", &port.to_string())).unwrap();
}

fn spawn(room: &Path, variables: &[(String, String)], user: Option<u32>) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(room.join("log"))
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_retain"));
    command
        .arg("serve")
        .current_dir(room)
        .env_clear()
        .env("HOME", room)
        .env("RETAIN_LOG", "info")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.spawn().unwrap()
}

fn copy_example(to: &Path) {
    let example = repository("examples/stock-analysis");
    for entry in walkdir::WalkDir::new(&example).into_iter().flatten() {
        let below = entry.path().strip_prefix(&example).unwrap();
        match entry.file_type().is_dir() {
            true => fs::create_dir_all(to.join(below)).unwrap(),
            false => drop(fs::copy(entry.path(), to.join(below)).unwrap()),
        }
    }
}

/// Makes a user the owner of everything below a directory.
fn give(directory: &Path, user: u32) {
    for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
        std::os::unix::fs::lchown(entry.path(), Some(user), Some(user)).unwrap();
    }
}

/// A file of so many bytes that was last modified so long ago.
pub fn file(path: &Path, bytes: usize, age: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, vec![7; bytes]).unwrap();
    let modified = SystemTime::now() - Duration::from_secs(age);
    fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
}

/// The configuration of one store of charts, cleaned only when somebody asks.
pub const CHARTS: &str = "[stores.charts]\npath = \"charts\"\npolicy = \"p.retain\"\ngrace = \"1 hour\"\n\
    [destinations.cold]\nurl = \"file://./cold\"\n\
    [plugins.backup]\nwasm = \"builtin:backup\"\ngrants = { destinations = [\"cold\"] }\n\
    [state]\npath = \"state\"\n";

pub const POLICY: &str = "edition 2026\n\
    collection charts at \"{symbol}_{interval}/*.png\" {\n\
    age is measured from last modified\n\
    @expired delete when older than 6 hours\n\
    @aapl keep for 30 days where {symbol} is \"AAPL\" because \"earnings\"\n\
    }\n\
    stop never because \"charts are drawn again\"\n";

pub fn charts(room: &Path) {
    fs::write(room.join("retain.toml"), CHARTS).unwrap();
    fs::write(room.join("p.retain"), POLICY).unwrap();
    for number in 0..3 {
        file(
            &room.join(format!("charts/AAPL_1h/{number}.png")),
            4000,
            DAY,
        );
        file(
            &room.join(format!("charts/MSFT_1d/{number}.png")),
            8000,
            DAY,
        );
        file(&room.join(format!("charts/MSFT_1h/{number}.png")), 8000, 60);
    }
    file(&room.join("charts/readme.txt"), 10, 100 * DAY);
}

pub fn count(directory: &Path) -> usize {
    let files = walkdir::WalkDir::new(directory).into_iter().flatten();
    files
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| {
            !entry
                .path()
                .components()
                .any(|part| part.as_os_str() == ".retain")
        })
        .count()
}

/// One request, as a receiver of alerts reads it: its headers and its body.
pub fn receive(listener: &TcpListener) -> (String, String) {
    use std::io::Write;
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut text, mut part) = (String::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut part).unwrap();
        text.push_str(std::str::from_utf8(&part[..length]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let wanted = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().unwrap())
        });
        if body.len() >= wanted.unwrap() {
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                .unwrap();
            return (head.to_ascii_lowercase(), body.to_owned());
        }
    }
}
