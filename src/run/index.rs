//! What a run keeps for the next one about directories in which nothing is to go
//! (`index = true`): a file for each store in `index/` of the state directory.
//!
//! It is believed only as a whole, and only by the policy, holds, configuration and
//! version it was made under. In doubt it is as if there were none: then everything is
//! listed. Whatever it said, no file goes by it, so a wrong one could only make files stay.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Job;
use crate::apply::Held;
use crate::packed::append_all;
use crate::path::RelPath;
use crate::plan::{Known, Learned, Record};

/// How it begins; another form is another one.
const BEGINNING: &[u8] = b"retain index 1\n";

/// Bytes of a digest.
const DIGEST: usize = 32;

/// The most of it that is read: some ten million directories.
const LARGEST: u64 = 4 << 30;

/// Bytes of a directory in it at least.
const LEAST: usize = 16;

/// A store's index.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    key: [u8; DIGEST],
}

impl Index {
    /// That of a job, if its store has one and it does what its policy says.
    pub(super) fn of(job: &Job<'_>, identity: &str, held: &Held) -> Option<Index> {
        if !job.store.index || job.request.is_some() || identity.is_empty() {
            return None;
        }
        let mut key = blake3::Hasher::new();
        let store = job.store;
        let mut files: Vec<String> = held.files().keys().map(ToString::to_string).collect();
        files.sort_unstable();
        let ledger = held.for_planning();
        let ledger: Vec<_> = ledger
            .iter()
            .map(|hold| (&hold.digest, hold.holds()))
            .collect();
        // Values with their names and quotes, so that no two are the same text.
        let all = format!(
            "{:?}",
            (
                env!("CARGO_PKG_VERSION"),
                identity,
                &job.policy.digest,
                // No word of the policy: how late its mount tells when a file was read.
                job.policy.access_lag,
                &store.path.path,
                store.symlinks,
                &store.boundaries,
                ledger,
                files,
            )
        );
        key.update(all.as_bytes());
        Some(Index {
            path: job.config.state.join("index").join(&store.name),
            key: key.finalize().into(),
        })
    }

    /// What the last run knew; nothing where there is any doubt about it.
    pub(super) fn read(&self) -> Known {
        self.read_whole().unwrap_or_default()
    }

    fn read_whole(&self) -> Option<Known> {
        let file = File::open(&self.path).ok()?;
        let mut text = Vec::new();
        file.take(LARGEST).read_to_end(&mut text).ok()?;
        let rest = text.strip_prefix(BEGINNING)?;
        let (key, rest) = rest.split_at_checked(DIGEST)?;
        let (digest, body) = rest.split_at_checked(DIGEST)?;
        if *key != self.key || *digest != *blake3::hash(body).as_bytes() {
            return None;
        }
        let (count, mut rest) = postcard::take_from_bytes::<usize>(body).ok()?;
        let mut known = Known::with_capacity(count.min(body.len() / LEAST));
        for _ in 0..count {
            let (one, behind) = postcard::take_from_bytes::<(&[u8], Record)>(rest).ok()?;
            let (path, record) = one;
            known.insert(RelPath::parse(path).ok()?, record);
            rest = behind;
        }
        rest.is_empty().then_some(known)
    }

    /// Keeps what this run knows. That it cannot be kept makes the next run slower and
    /// nothing worse.
    pub(super) fn write(&self, learned: &Learned) {
        if self.write_whole(learned).is_err() {
            let _ = fs::remove_file(self.draft());
        }
    }

    fn draft(&self) -> PathBuf {
        self.path.with_added_extension("part")
    }

    fn write_whole(&self, learned: &Learned) -> io::Result<()> {
        let mut body = Vec::new();
        let records = learned.iter();
        let records = records.map(|(path, record)| (path.as_bytes(), &**record));
        append_all(records, &mut body).map_err(io::Error::other)?;
        let directory = self.path.parent().unwrap_or(Path::new("."));
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let draft = self.draft();
        // One that a crash left is nobody's: the store's lock is held.
        let _ = fs::remove_file(&draft);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        for part in [BEGINNING, &self.key, blake3::hash(&body).as_bytes(), &body] {
            file.write_all(part)?;
        }
        // Not synced: what a crash leaves of it has another digest.
        fs::rename(&draft, &self.path)
    }
}
