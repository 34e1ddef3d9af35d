//! A configured store in a temporary directory, and the binary to run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// A day in seconds.
pub const DAY: u64 = 86_400;

/// A directory with `retain.toml`, `p.retain`, `store/`, `cold/` and `state/`.
pub struct Shop(TempDir);

/// What a command said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

const CONFIGURATION: &str = "[stores.files]\npath = \"store\"\npolicy = \"p.retain\"\n\
    [destinations.cold]\nurl = \"file://./cold\"\n\
    [plugins.backup]\nwasm = \"builtin:backup\"\ngrants = { destinations = [\"cold\"] }\n\
    [state]\npath = \"state\"\n";

impl Shop {
    /// A store of its own with the usual configuration and a policy's collection.
    pub fn new(collection: &str) -> Shop {
        let shop = Shop(TempDir::new().unwrap());
        fs::create_dir(shop.path("store")).unwrap();
        shop.write("retain.toml", CONFIGURATION);
        shop.policy(collection);
        shop
    }

    pub fn policy(&self, collection: &str) {
        let clock = "age is measured from last modified";
        let text =
            format!("edition 2026\ncollection all at \"**\" {{\n{clock}\n{collection}\n}}\n");
        self.write("p.retain", &text);
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file in the store that was last modified so long ago.
    pub fn file(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>, age: u64) {
        let file = self.path("store").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, content).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(age);
        let file = fs::File::options().write(true).open(&file).unwrap();
        file.set_modified(modified).unwrap();
    }

    /// Gives a file or directory of the store another age.
    pub fn age(&self, name: impl AsRef<Path>, age: u64) {
        let file = fs::File::open(self.path("store").join(name)).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(age);
        file.set_modified(modified).unwrap();
    }

    /// As if every archive had been written years ago, in the order of their files'
    /// ages: the receipts beside them say so, and the journal is made from these.
    pub fn backdate(&self) {
        let names = self.files("cold").into_iter();
        let receipts = names.filter(|name| name.ends_with(".receipt.json"));
        let mut receipts: Vec<(PathBuf, serde_json::Value)> = receipts
            .map(|name| {
                let file = self.path("cold").join(name);
                let text = fs::read_to_string(&file).unwrap();
                (file, serde_json::from_str(&text).unwrap())
            })
            .collect();
        receipts.sort_by_key(|(_, receipt)| receipt["metadata"]["modified_seconds"].as_i64());
        for (second, (file, receipt)) in receipts.iter_mut().enumerate() {
            receipt["at"] = format!("2020-01-01T00:00:{second:02}Z").into();
            fs::write(file, receipt.to_string()).unwrap();
        }
        for name in [
            "journal.sqlite3",
            "journal.sqlite3-wal",
            "journal.sqlite3-shm",
        ] {
            let _ = fs::remove_file(self.path("state").join(name));
        }
        self.ok(&["catalogue", "rebuild"]);
    }

    pub fn has(&self, name: impl AsRef<Path>) -> bool {
        self.path("store").join(name).symlink_metadata().is_ok()
    }

    /// Every file below a directory, relative to it.
    pub fn files(&self, directory: &str) -> Vec<String> {
        let root = self.path(directory);
        let mut files: Vec<String> = walkdir::WalkDir::new(&root)
            .into_iter()
            .flatten()
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| {
                entry
                    .path()
                    .strip_prefix(&root)
                    .unwrap()
                    .display()
                    .to_string()
            })
            .filter(|name| !name.starts_with(".retain/") && !name.starts_with(".staging/"))
            .collect();
        files.sort();
        files
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_retain"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path());
        command
    }

    /// Adds a line to the store's table of the configuration.
    pub fn configure(&self, line: &str) {
        let text = fs::read_to_string(self.path("retain.toml")).unwrap();
        let table = "[stores.files]\n";
        self.write(
            "retain.toml",
            text.replace(table, &format!("{table}{line}\n")),
        );
    }

    /// Runs a command that has to end well.
    pub fn ok(&self, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {said:?}");
        said
    }

    /// Runs the binary in the directory, with no variables but HOME. One that does
    /// not end is killed and a failure.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let mut command = self.command(arguments);
        let started = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let process = i32::try_from(started.id()).unwrap();
        let (ended, wait) = mpsc::channel();
        let waiter = thread::spawn(move || ended.send(started.wait_with_output()).unwrap());
        // Long enough for a laden machine; a program that hangs must not hang its test.
        let Ok(output) = wait.recv_timeout(Duration::from_secs(120)) else {
            let process = rustix::process::Pid::from_raw(process).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
            panic!("`retain {}` did not end", arguments.join(" "));
        };
        waiter.join().unwrap();
        let output = output.unwrap();
        Said {
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
            code: output.status.code().unwrap(),
        }
    }
}
