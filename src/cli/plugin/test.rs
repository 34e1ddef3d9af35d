//! `retain plugin test`, `run` and `bench`

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::super::{Edge, Exit, say};
use super::{Component, Scratch};
use crate::destination::Destination;
use crate::path::RelPath;
use crate::plugin::{Case, Conformance, Kind, Room, Subject, Trial};
use crate::store::Root;
use crate::units::Size;

/// Try everything on a component that plugins have to stand.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Test {
    #[command(flatten)]
    component: Component,
    /// How large the sparse file is.
    #[arg(long, value_name = "SIZE", default_value = "5 GiB")]
    sparse: String,
    /// Files a reviewer is asked about; an archiver gets a hundredth of them.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    entries: usize,
}

impl Test {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let trial = self.component.load()?;
        let scratch = Scratch::make()?;
        let suite = Conformance {
            scratch: scratch.path().to_owned(),
            sparse: Size::parse(&self.sparse)
                .with_context(|| format!("`--sparse {}` is no size", self.sparse))?
                .0,
            entries: self.entries.max(1),
        };
        let mut told = Ok(());
        let all = suite.run(&trial, &mut |case| {
            let line = match edge.is_json() {
                true => json!({"tried": case.tried, "failure": case.failure}).to_string(),
                false => shown(case),
            };
            if told.is_ok() {
                told = say(&line);
            }
        })?;
        told?;
        Ok(match all {
            true => Exit::Done,
            false => Exit::Trouble,
        })
    }
}

fn shown(case: &Case) -> String {
    match &case.failure {
        None => format!("ok      {}", case.tried),
        Some(why) => format!("FAILED  {}\n        {why}", case.tried),
    }
}

/// Call a component for one file, and show what it makes of it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Run {
    #[command(flatten)]
    component: Component,
    /// The file; it is only read.
    input: PathBuf,
    /// Keep an archiver's objects below this directory.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

impl Run {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let trial = self.component.load()?;
        let file = File::open(&self.input)
            .with_context(|| format!("cannot open `{}`", self.input.display()))?;
        let subject = subject(&self.input, &file)?;
        match trial.kind() {
            Kind::Reviewer => self.review(edge, trial, &subject),
            Kind::Archiver => self.archive(edge, &trial, &subject, &file),
        }
    }

    fn review(&self, edge: &Edge, trial: Trial, subject: &Subject) -> anyhow::Result<Exit> {
        let trial = trial.in_store(&Root::open(beside(&self.input))?);
        let answer = trial.review(std::slice::from_ref(subject)).pop();
        let answer = answer.context("it gave no answer")?;
        let (words, exit) = match &answer {
            Ok(None) => ("it may go".to_owned(), Exit::Done),
            Ok(Some(reason)) => (format!("it is kept: {reason}"), Exit::Done),
            Err(failed) => (
                format!("it is kept, because that failed: {failed}"),
                Exit::Trouble,
            ),
        };
        match edge.is_json() {
            true => say(&json!({"path": subject.path.to_string(), "answer": words}).to_string())?,
            false => say(&format!("{}: {words}", subject.path))?,
        }
        Ok(exit)
    }

    fn archive(
        &self,
        edge: &Edge,
        trial: &Trial,
        subject: &Subject,
        file: &File,
    ) -> anyhow::Result<Exit> {
        let scratch = Scratch::make()?;
        let directory = match &self.into {
            Some(directory) => std::path::absolute(directory)?,
            None => scratch.path().join("objects"),
        };
        let destination = open(&directory)?;
        let begun = Instant::now();
        let archived = match trial.archive(subject, file, &destination, Room::default()) {
            Ok(archived) => archived,
            Err(failed) => {
                match edge.is_json() {
                    true => say(&json!({"failed": failed.reason}).to_string())?,
                    false => say(&format!("{}: it is kept: {failed}", subject.path))?,
                }
                return Ok(Exit::Trouble);
            }
        };
        let took = begun.elapsed();
        if edge.is_json() {
            say(&json!({
                "objects": archived.objects,
                "note_bytes": archived.note.len(),
                "source": archived.content,
                "seconds": took.as_secs_f64(),
            })
            .to_string())?;
            return Ok(Exit::Done);
        }
        say(&format!(
            "{}: {} archived and proved to restore in {:.3} s",
            subject.path,
            Size(subject.size),
            took.as_secs_f64()
        ))?;
        for object in &archived.objects {
            say(&format!(
                "  {}  {}",
                object.name.escape_debug(),
                Size(object.size)
            ))?;
        }
        say(&format!("  note of {} bytes", archived.note.len()))?;
        Ok(Exit::Done)
    }
}

fn subject(path: &Path, file: &File) -> anyhow::Result<Subject> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    let facts = file.metadata()?;
    anyhow::ensure!(facts.is_file(), "`{}` is no file", path.display());
    let name = path.file_name().context("the input has no name")?;
    let key = format!("{}:{}:{}", facts.dev(), facts.ino(), facts.mtime_nsec());
    Ok(Subject {
        path: RelPath::parse(name.as_bytes())?,
        size: facts.len(),
        links: facts.nlink(),
        modified: facts.mtime(),
        key: blake3::hash(key.as_bytes()).to_hex().to_string(),
        attempt: 1,
    })
}

/// The directory a file lies in.
fn beside(file: &Path) -> &Path {
    let parent = file.parent().unwrap_or(file);
    match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    }
}

fn open(directory: &Path) -> anyhow::Result<Arc<Destination>> {
    Ok(Arc::new(Destination::open("trial", directory)?))
}

/// Measure a component.
///
/// An archiver archives and proves one large file and many small ones; a reviewer
/// answers for many. Every call of a run has an instance of its own, so what one costs
/// is shown as well; for a reviewer beside the same calls of a single instance.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Bench {
    #[command(flatten)]
    component: Component,
    /// How large the large file is.
    #[arg(long, value_name = "SIZE", default_value = "256 MiB")]
    size: String,
    /// A file to archive instead of one that is made up.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Files a reviewer is asked about.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    entries: usize,
    /// How often each is measured; the median is shown.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

/// Files in the measure of small ones.
const SMALL: usize = 500;
/// Calls that are made to measure what one costs, and files in each to a reviewer.
const CALLS: usize = 1_000;
const FEW: usize = 16;

impl Bench {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let begun = Instant::now();
        let trial = self.component.load()?;
        let loaded = begun.elapsed();
        let scratch = Scratch::make()?;
        let mut rows = vec![("load and compile".to_owned(), loaded, String::new())];
        match trial.kind() {
            Kind::Archiver => {
                rows.push(self.large(&trial, &scratch)?);
                rows.push(self.small(&trial, &scratch)?);
            }
            Kind::Reviewer => rows.push(self.reviewed(&trial)?),
        }
        rows.push(self.instances(&trial)?);
        if trial.kind() == Kind::Reviewer {
            rows.extend(self.fresh_and_warm(&trial)?);
        }
        for (what, took, rate) in rows {
            match edge.is_json() {
                true => say(
                    &json!({"what": what, "seconds": took.as_secs_f64(), "rate": rate}).to_string(),
                )?,
                false => say(&format!("{what:40} {:8.3} s  {rate}", took.as_secs_f64()))?,
            }
        }
        Ok(Exit::Done)
    }

    fn median(
        &self,
        mut measure: impl FnMut(usize) -> anyhow::Result<Duration>,
    ) -> anyhow::Result<Duration> {
        let mut times = (0..self.rounds.max(1))
            .map(&mut measure)
            .collect::<anyhow::Result<Vec<_>>>()?;
        times.sort_unstable();
        times
            .get(times.len() / 2)
            .copied()
            .context("nothing was measured")
    }

    fn large(
        &self,
        trial: &Trial,
        scratch: &Scratch,
    ) -> anyhow::Result<(String, Duration, String)> {
        let path = match &self.input {
            Some(input) => input.clone(),
            None => {
                let size = Size::parse(&self.size)
                    .with_context(|| format!("`--size {}` is no size", self.size))?;
                let path = scratch.path().join("large");
                write_text(&path, size.0)?;
                path
            }
        };
        let file =
            File::open(&path).with_context(|| format!("cannot open `{}`", path.display()))?;
        let subject = subject(&path, &file)?;
        let mut stored = 0;
        let took = self.median(|round| {
            let directory = scratch.path().join(format!("large-{round}"));
            let destination = open(&directory)?;
            let begun = Instant::now();
            let archived = trial.archive(&subject, &file, &destination, Room::default())?;
            let took = begun.elapsed();
            stored = archived.objects.iter().map(|object| object.size).sum();
            std::fs::remove_dir_all(&directory)?;
            Ok(took)
        })?;
        let rate = Size((subject.size as f64 / took.as_secs_f64()) as u64);
        let rate = format!("{rate}/s, {} stored", Size(stored));
        Ok((
            format!("one file of {}, proved", Size(subject.size)),
            took,
            rate,
        ))
    }

    fn small(
        &self,
        trial: &Trial,
        scratch: &Scratch,
    ) -> anyhow::Result<(String, Duration, String)> {
        let path = scratch.path().join("small");
        write_text(&path, 4 << 10)?;
        let file = File::open(&path)?;
        let subject = subject(&path, &file)?;
        let took = self.median(|round| {
            let directory = scratch.path().join(format!("small-{round}"));
            let destination = open(&directory)?;
            let begun = Instant::now();
            for n in 0..SMALL {
                let subject = Subject {
                    path: RelPath::parse(format!("{n}"))?,
                    ..subject.clone()
                };
                trial.archive(&subject, &file, &destination, Room::default())?;
            }
            let took = begun.elapsed();
            std::fs::remove_dir_all(&directory)?;
            Ok(took)
        })?;
        let rate = format!("{:.0} files/s", SMALL as f64 / took.as_secs_f64());
        Ok((format!("{SMALL} files of 4 KiB, proved"), took, rate))
    }

    fn reviewed(&self, trial: &Trial) -> anyhow::Result<(String, Duration, String)> {
        let entries = self.entries.max(1);
        let subjects = pretended(entries)?;
        let took = self.median(|_| {
            let begun = Instant::now();
            for answer in trial.review(&subjects) {
                answer?;
            }
            Ok(begun.elapsed())
        })?;
        let rate = format!("{:.0} files/s", entries as f64 / took.as_secs_f64());
        Ok((format!("{entries} files reviewed"), took, rate))
    }

    fn instances(&self, trial: &Trial) -> anyhow::Result<(String, Duration, String)> {
        let took = self.median(|_| {
            let begun = Instant::now();
            for _ in 0..CALLS {
                trial.instantiate()?;
            }
            Ok(begun.elapsed())
        })?;
        Ok((format!("{CALLS} instances made"), took, each(took)))
    }

    /// The same calls, in instances of their own and in one, by turns.
    fn fresh_and_warm(&self, trial: &Trial) -> anyhow::Result<[(String, Duration, String); 2]> {
        let subjects = pretended(CALLS * FEW)?;
        // No plugin has to stand a second call, so one that does not fails nothing here.
        let mut refused = None;
        let mut warm = Vec::new();
        let fresh = self.median(|_| {
            let begun = Instant::now();
            let answers = trial.review_in_one_instance(&subjects, FEW);
            match answers.and_then(|answers| answers.into_iter().collect::<Result<Vec<_>, _>>()) {
                Ok(_) => warm.push(begun.elapsed()),
                Err(failed) => refused = Some(failed),
            }
            let begun = Instant::now();
            for few in subjects.chunks(FEW) {
                for answer in trial.review(few) {
                    answer?;
                }
            }
            Ok(begun.elapsed())
        })?;
        let what = format!("{CALLS} calls of {FEW} files");
        let one = format!("{what}, one instance");
        let one = match refused {
            Some(failed) => (
                one,
                Duration::ZERO,
                format!("it does not stand them: {failed}"),
            ),
            None => {
                let mut warm = warm.into_iter();
                let warm = self.median(|_| warm.next().context("nothing was measured"))?;
                (one, warm, each(warm))
            }
        };
        let fresh = (format!("{what}, fresh instances"), fresh, each(fresh));
        Ok([fresh, one])
    }
}

/// What one of the calls took.
fn each(took: Duration) -> String {
    format!("{:.1} µs each", took.as_secs_f64() * 1e6 / CALLS as f64)
}

/// Files that are nowhere.
fn pretended(number: usize) -> anyhow::Result<Vec<Subject>> {
    let subject = |n: usize| -> anyhow::Result<Subject> {
        Ok(Subject {
            path: RelPath::parse(format!("charts/AAPL_1h/{n:06}.png"))?,
            size: 4 << 10,
            links: 1,
            modified: 1_770_000_000,
            key: format!("{n:064x}"),
            attempt: 1,
        })
    };
    (0..number).map(subject).collect()
}

/// Text as logs have it: words that repeat, numbers that do not.
fn write_text(path: &Path, size: u64) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(File::create(path)?);
    let words = [
        "GET",
        "PUT",
        "/api/charts",
        "/api/orders",
        "AAPL",
        "MSFT",
        "200",
        "404",
    ];
    let mut state = 1_u64;
    let mut written = 0;
    while written < size {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let word = |shift: u32| {
            let n = usize::try_from((state >> shift) & 7).unwrap_or(0);
            words.get(n).copied().unwrap_or_default()
        };
        let line = format!(
            "{} {} {} {:08x}\n",
            word(40),
            word(44),
            word(48),
            state >> 32
        );
        let left = usize::try_from(size - written).unwrap_or(usize::MAX);
        let line = line.as_bytes();
        let line = line.get(..line.len().min(left)).unwrap_or(line);
        file.write_all(line)?;
        written += line.len() as u64;
    }
    file.flush()?;
    Ok(())
}
