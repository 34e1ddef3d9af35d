//! What every plugin has to stand, tried on one: the files that break plugins, a call
//! that is ended, a destination that is full, the same call again.
//!
//! A case says what was tried and, where it failed, what should have happened. The
//! host protects the files in each of these cases; what is tried is whether the
//! plugin does its work in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::trial::{Archived, FailedClass, Room, Subject, Trial};
use super::{Failed, Kind};
use crate::destination::Destination;
use crate::path::RelPath;

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What, in a sentence.
    pub tried: &'static str,
    /// Why it failed; nothing where it did not.
    pub failure: Option<String>,
}

/// The suite, with where it writes and how much.
#[derive(Clone, Debug)]
pub struct Conformance {
    /// An empty directory of ours.
    pub scratch: PathBuf,
    /// Bytes of the sparse file.
    pub sparse: u64,
    /// Files a reviewer is asked about at once; an archiver gets a hundredth.
    pub entries: usize,
}

type Outcome = Result<(), String>;

/// A modification time in the year 2026.
const MODIFIED: i64 = 1_770_000_000;

impl Conformance {
    /// Tries everything, telling each case as it is over; says whether all held.
    pub fn run(&self, trial: &Trial, tell: &mut dyn FnMut(&Case)) -> io::Result<bool> {
        let cases: &[(&'static str, Check)] = match trial.kind() {
            Kind::Archiver => &ARCHIVER,
            Kind::Reviewer => &REVIEWER,
        };
        let mut all = true;
        for (n, (tried, check)) in cases.iter().enumerate() {
            let place = self.scratch.join(n.to_string());
            let bench = Bench {
                trial,
                suite: self,
                destination: open(&place)?,
                place,
            };
            let failure = check(&bench).err();
            fs::remove_dir_all(&bench.place)?;
            all &= failure.is_none();
            tell(&Case { tried, failure });
        }
        Ok(all)
    }
}

fn open(place: &Path) -> io::Result<Arc<Destination>> {
    fs::create_dir_all(place.join("objects"))?;
    let opened = Destination::open("trial", &place.join("objects")).map_err(io::Error::other)?;
    Ok(Arc::new(opened))
}

/// One case's place.
struct Bench<'a> {
    trial: &'a Trial,
    suite: &'a Conformance,
    destination: Arc<Destination>,
    place: PathBuf,
}

type Check = fn(&Bench<'_>) -> Outcome;

const ARCHIVER: [(&str, Check); 12] = [
    ("an empty file comes back", |bench| {
        bench.round_trip("empty", b"")
    }),
    ("one byte comes back", |bench| bench.round_trip("one", b"x")),
    ("bytes that repeat come back", |bench| {
        bench.round_trip("repeating", &b"all work and no play\n".repeat(200_000))
    }),
    ("bytes without a pattern come back", |bench| {
        bench.round_trip("noise", &noise(3 * (1 << 20) + 7))
    }),
    ("a large sparse file comes back", |bench| bench.sparse()),
    (
        "names that are no text, long, deep or odd are archived",
        |bench| bench.odd_names(),
    ),
    (
        "the same call again succeeds, and the archive stays",
        |bench| bench.again(),
    ),
    (
        "another content under the same name and time costs neither archive",
        |bench| bench.another_generation(),
    ),
    (
        "a call that is ended leaves nothing, and the next one succeeds",
        |bench| bench.ended(),
    ),
    ("a full destination is reported as retryable", |bench| {
        bench.full()
    }),
    ("many files are archived, each by itself", |bench| {
        bench.many_files()
    }),
    (
        "an archive with an object changed is not taken for the file",
        |bench| bench.damaged(),
    ),
];

const REVIEWER: [(&str, Check); 5] = [
    ("one file gets an answer", |bench| {
        bench.answers(&[plain(0)])
    }),
    ("many files get one answer each", |bench| {
        let subjects: Vec<_> = (0..bench.suite.entries).map(plain).collect();
        bench.answers(&subjects)
    }),
    (
        "names that are no text, long, deep or odd get answers",
        |bench| bench.answers(&odd_names()?.into_iter().map(named).collect::<Vec<_>>()),
    ),
    ("sizes and times at their bounds get answers", |bench| {
        let bounds = [(0, i64::MIN), (u64::MAX, i64::MAX), (1, 0), (1, -1)];
        let subjects = bounds
            .into_iter()
            .enumerate()
            .map(|(n, (size, modified))| Subject {
                size,
                modified,
                ..plain(n)
            });
        bench.answers(&subjects.collect::<Vec<_>>())
    }),
    (
        "an answer does not depend on which files are asked about together",
        |bench| bench.batching(),
    ),
];

impl Bench<'_> {
    fn round_trip(&self, name: &str, content: &[u8]) -> Outcome {
        let subject = subject(name, content)?;
        let archived = self.archive(&subject, content).map_err(said)?;
        self.comes_back(&archived, content)
    }

    fn archive(&self, subject: &Subject, content: &[u8]) -> Result<Archived, Failed> {
        self.archive_in(subject, content, Room::default())
    }

    fn archive_in(
        &self,
        subject: &Subject,
        content: &[u8],
        room: Room,
    ) -> Result<Archived, Failed> {
        let file = self.file(content).map_err(|error| Failed {
            class: FailedClass::Misconfigured,
            reason: format!("the suite cannot write `{}`: {error}", self.place.display()),
        })?;
        self.trial.archive(subject, &file, &self.destination, room)
    }

    fn file(&self, content: &[u8]) -> io::Result<File> {
        let path = self.place.join("source");
        let mut file = File::create(&path)?;
        file.write_all(content)?;
        File::open(&path)
    }

    fn comes_back(&self, archived: &Archived, content: &[u8]) -> Outcome {
        let restored = self
            .trial
            .restore(archived, &self.destination)
            .map_err(said)?;
        let expected = blake3::hash(content).to_hex();
        match restored.blake3 == expected.as_str() {
            true => Ok(()),
            false => Err(format!(
                "{} bytes came back that are not the file's {}",
                restored.size,
                content.len()
            )),
        }
    }

    fn sparse(&self) -> Outcome {
        let size = self.suite.sparse;
        let path = self.place.join("source");
        let made = File::create(&path).and_then(|file| {
            file.set_len(size)?;
            std::os::unix::fs::FileExt::write_all_at(&file, b"end", size.saturating_sub(3))?;
            File::open(&path)
        });
        let file = made.map_err(|error| format!("the suite cannot make the file: {error}"))?;
        let subject = Subject {
            size,
            ..subject("sparse", b"")?
        };
        // The proof has compared every byte when this returns.
        let archived = self
            .trial
            .archive(&subject, &file, &self.destination, Room::default())
            .map_err(said)?;
        match archived.content.size == size {
            true => Ok(()),
            false => Err(format!(
                "{} of {size} bytes were archived",
                archived.content.size
            )),
        }
    }

    fn odd_names(&self) -> Outcome {
        for path in odd_names()? {
            let content = path.as_bytes().to_vec();
            let subject = Subject {
                size: content.len() as u64,
                ..named(path)
            };
            let shown = subject.path.to_string();
            let archived = self.archive(&subject, &content);
            let archived = archived.map_err(|failed| format!("`{shown}`: {failed}"))?;
            self.comes_back(&archived, &content)?;
        }
        Ok(())
    }

    fn again(&self) -> Outcome {
        let subject = subject("again", b"content")?;
        let first = self.archive(&subject, b"content").map_err(said)?;
        let second = Subject {
            attempt: 2,
            ..subject
        };
        let second = self.archive(&second, b"content").map_err(|failed| {
            format!(
                "the second call with the same key failed: {failed}; a success may be lost in a \
                 crash, so finish with `same-bytes` and make the same bytes of the same file"
            )
        })?;
        self.comes_back(&first, b"content")?;
        self.comes_back(&second, b"content")
    }

    fn another_generation(&self) -> Outcome {
        let first = subject("same name", b"first")?;
        let second = subject("same name", b"second")?;
        let archived = self.archive(&first, b"first").map_err(said)?;
        let other = self.archive(&second, b"second").map_err(|failed| {
            format!("{failed}; give it another name when `finish` fails with the code `exists`")
        })?;
        self.comes_back(&archived, b"first")?;
        self.comes_back(&other, b"second")
    }

    fn ended(&self) -> Outcome {
        let content = noise(4 << 20);
        let subject = subject("ended", &content)?;
        let room = Room {
            ends_after: Some(1 << 20),
            ..Room::default()
        };
        if self.archive_in(&subject, &content, room).is_ok() {
            return Err("it came through with less than half the file written".to_owned());
        }
        let left = leftovers(&self.place.join("objects"));
        if !left.is_empty() {
            return Err(format!("it left {}", left.join(", ")));
        }
        let archived = self.archive(&subject, &content).map_err(said)?;
        self.comes_back(&archived, &content)
    }

    fn full(&self) -> Outcome {
        let content = noise(4 << 20);
        let subject = subject("full", &content)?;
        let room = Room {
            space: Some(1 << 20),
            ..Room::default()
        };
        match self.archive_in(&subject, &content, room) {
            Ok(_) => Err("it claims to have stored more than there was room for".to_owned()),
            Err(failed) if failed.class == FailedClass::Retryable => Ok(()),
            Err(failed) => Err(format!(
                "it made {:?} of it ({failed}); hand the host's own failure on",
                failed.class
            )),
        }
    }

    fn many_files(&self) -> Outcome {
        for n in 0..self.suite.entries.div_ceil(100) {
            let content = format!("file {n}");
            let subject = Subject {
                size: content.len() as u64,
                ..plain(n)
            };
            let archived = self.archive(&subject, content.as_bytes());
            let archived = archived.map_err(|failed| format!("file {n}: {failed}"))?;
            if n % 50 == 0 {
                self.comes_back(&archived, content.as_bytes())?;
            }
        }
        Ok(())
    }

    fn damaged(&self) -> Outcome {
        let content = b"the only copy there is".repeat(100);
        let subject = subject("damaged", &content)?;
        let archived = self.archive(&subject, &content).map_err(said)?;
        let object = archived.objects.first().ok_or("it stored no object")?;
        let path = self.place.join("objects").join(&object.name);
        let broken = fs::read(&path).and_then(|mut bytes| {
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 0xff;
            }
            fs::write(&path, bytes)
        });
        broken.map_err(|error| format!("the suite cannot change the object: {error}"))?;
        match self.comes_back(&archived, &content) {
            Err(_) => Ok(()),
            Ok(()) => Err(
                "a byte of it was changed, and the file came back all the same; \
                           does the archive hold it?"
                    .to_owned(),
            ),
        }
    }

    fn answers(&self, subjects: &[Subject]) -> Outcome {
        let answers = self.trial.review(subjects);
        let failed = subjects.iter().zip(answers).find_map(|(subject, answer)| {
            let failed = answer.err()?;
            Some(format!("`{}`: {failed}", subject.path))
        });
        failed.map_or(Ok(()), Err)
    }

    fn batching(&self) -> Outcome {
        let subjects: Vec<_> = (0..64).map(plain).collect();
        let kept = |subjects: &[Subject]| -> Result<Vec<Option<String>>, String> {
            let answers = self.trial.review(subjects).into_iter();
            answers.map(|answer| answer.map_err(said)).collect()
        };
        let together = kept(&subjects)?;
        for (subject, answer) in subjects.iter().zip(together) {
            if kept(std::slice::from_ref(subject))? != [answer] {
                return Err(format!(
                    "`{}` gets another answer alone than among others; the host splits batches \
                     as it likes",
                    subject.path
                ));
            }
        }
        Ok(())
    }
}

fn said(failed: Failed) -> String {
    failed.reason
}

fn subject(name: &str, content: &[u8]) -> Result<Subject, String> {
    let path = RelPath::parse(name).map_err(|error| error.to_string())?;
    Ok(Subject {
        size: content.len() as u64,
        key: blake3::hash(content).to_hex().to_string(),
        ..named(path)
    })
}

fn named(path: RelPath) -> Subject {
    Subject {
        size: 0,
        links: 1,
        modified: MODIFIED,
        key: blake3::hash(path.as_bytes()).to_hex().to_string(),
        attempt: 1,
        path,
    }
}

fn plain(n: usize) -> Subject {
    let path = RelPath::parse(format!("charts/AAPL_1h/{n:06}.png"));
    named(path.unwrap_or_else(|_| RelPath::root()))
}

fn odd_names() -> Result<Vec<RelPath>, String> {
    let long = "n".repeat(255);
    let accents = "ä".repeat(127);
    let deep = vec!["d"; 200].join("/");
    let names: [&[u8]; 10] = [
        b"not \xff\xfe text",
        b"new\nline",
        b"back\\slash \\xff",
        b"{key}@{modified}",
        b" ",
        b"-rf",
        b"a.receipt.json",
        long.as_bytes(),
        accents.as_bytes(),
        deep.as_bytes(),
    ];
    let parsed = names.iter().map(RelPath::parse);
    parsed
        .map(|path| path.map_err(|error| error.to_string()))
        .collect()
}

/// Bytes that do not compress, always the same.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Files in a destination, its own locks apart.
fn leftovers(directory: &Path) -> Vec<String> {
    let files = walkdir::WalkDir::new(directory).into_iter().flatten();
    files
        .filter(|file| !file.file_type().is_dir())
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with(".lock"))
        .collect()
}
