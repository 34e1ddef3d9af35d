//! What was going to happen, and what did: the durable memory of every run.
//!
//! SQLite in the state directory. Before a batch of files goes, its intents are on
//! disk; afterwards their outcomes are. An intent without outcome is what a crash
//! leaves, and the next run settles it by looking. Receipts are recorded before the
//! intents of the files they are about. The report is a fold over what lies here.
//!
//! Everything is chained by hashes as it is written, so that an edit shows.

mod adopt;
mod chain;
mod error;
mod expiry;
mod export;
mod form;
mod holds;
mod latch;
mod lock;
mod outcome;
mod prune;
mod reserve;
mod run_id;
mod runs;
mod samples;
mod waiting;

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use crate::entry::Facts;
use crate::fault::{Point, around};
use crate::path::RelPath;
use crate::plan::{Plan, Rule};
use crate::receipt::Receipt;

pub use chain::{ChainHead, Verified};
pub use error::JournalError;
pub use holds::{
    Hold, HoldState, LedgerHold, NewHold, Origin, PolicyHold, mirror_text, read_mirror,
};
pub use latch::{Cause, Latch};
pub use lock::StoreLock;
pub use outcome::{Class, Outcome};
pub use run_id::RunId;
pub use runs::{FiledRow, Settled, State, StoredReceipt, Summary, Tallies};
pub use samples::{Sample, growth_per_day};

/// The form of the database this version writes.
const SCHEMA: u32 = 3;

/// The form before there were samples and backups that expire; completed when it is
/// opened.
const BEFORE_SAMPLES: u32 = 2;

const FILE: &str = "journal.sqlite3";

/// How long another process may hold the database.
const PATIENCE: Duration = Duration::from_secs(10);

const EXPIRED: &str = "
create table expired (
    receipt integer primary key references receipts (id),
    run text not null,
    at text not null,
    settled text
) strict;
create index expired_by_run on expired (run);
";

const TABLES: &str = "
create table runs (
    id text primary key,
    store text not null,
    root text not null,
    root_path text not null,
    plan text not null,
    policy text not null,
    version text not null,
    started text not null,
    ended text,
    state text,
    planned_files integer not null,
    planned_bytes integer not null,
    found_files integer not null,
    rules text not null
) strict;
create index runs_by_store on runs (store, started);
create table batches (
    id integer primary key,
    run text not null references runs (id),
    intents blob not null,
    outcomes blob
) strict;
create index batches_by_run on batches (run);
create index unsettled on batches (run) where outcomes is null;
create table receipts (
    id integer primary key,
    run text not null references runs (id),
    store text not null,
    path text not null,
    at text not null,
    receipt text not null
) strict;
create index receipts_by_path on receipts (store, path);
create index receipts_by_run on receipts (run);
create table afterwards (
    id integer primary key,
    run text not null,
    at text not null,
    files blob not null
) strict;
create index afterwards_by_run on afterwards (run);
create table holds (
    id text primary key,
    store text not null,
    name text not null,
    template text,
    text text,
    files text not null,
    since text not null,
    until text,
    reason text,
    origin text not null,
    state text not null,
    recorder text not null,
    released text,
    release_reason text
) strict;
create table latches (
    store text primary key,
    cause text not null,
    since text not null,
    policy text not null,
    plan text not null,
    reason text not null,
    released text,
    release_reason text
) strict;
create table chain (
    sequence integer primary key,
    kind text not null,
    subject text not null,
    content blob not null,
    hash blob not null
) strict;
create index chain_by_subject on chain (kind, subject);
create table meta (
    key text primary key,
    value text not null
) strict;
";

/// The opened journal.
#[derive(Debug)]
pub struct Journal {
    connection: Connection,
    directory: PathBuf,
    /// Whether the room set aside for a full disk had to be given back.
    squeezed: bool,
    /// Whether that room stays what it is set aside for.
    sparing: bool,
}

/// Makes the state directory where there is none, and refuses one where a journal is not
/// safe.
fn check_directory(directory: &Path) -> Result<(), JournalError> {
    let refuse = |reason: String| JournalError::Directory {
        directory: directory.to_owned(),
        reason,
    };
    let made = crate::store::make_private_directory(directory);
    made.map_err(|error| refuse(crate::store::in_words(&error)))?;
    match network_file_system(directory) {
        Some(kind) => Err(refuse(format!(
            "it lies on {kind}, where SQLite's journal is not safe; use a local directory"
        ))),
        None => Ok(()),
    }
}

/// A file that is about to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Where it lies.
    pub path: RelPath,
    /// What it was when it was planned.
    pub facts: Facts,
    /// Index into the run's rules.
    pub rule: usize,
}

/// A batch of intents on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchId(i64);

/// A batch whose run ended before it was settled.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The run.
    pub run: RunId,
    /// The batch.
    pub batch: BatchId,
    /// Its files.
    pub intents: Vec<Intent>,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// Its name.
    pub id: &'a RunId,
    /// What it is going to do.
    pub plan: &'a Plan,
    /// The digest a person knows it by: of the saved plan, where it is a part of one.
    pub digest: String,
    /// The identity of the store's root.
    pub root: &'a str,
    /// The store's root, for people.
    pub root_path: &'a Path,
    /// When it began, RFC 3339.
    pub at: String,
    /// How many files the scan found, where there was one.
    pub found: Option<u64>,
}

impl Journal {
    /// Opens the journal, making it if needed.
    pub fn open(directory: &Path) -> Result<Journal, JournalError> {
        check_directory(directory)?;
        Journal::with_room(directory, Journal::connect)?.settled_in()
    }

    /// [`Journal::open`] for what empties no disk: on a full one it fails, and the room
    /// that is set aside stays for the run that does.
    pub fn open_sparing(directory: &Path) -> Result<Journal, JournalError> {
        check_directory(directory)?;
        let mut journal = Journal::connect(directory)?.settled_in()?;
        journal.sparing = true;
        Ok(journal)
    }

    fn settled_in(self) -> Result<Journal, JournalError> {
        reserve::establish(&self.directory);
        if reserve::is_little_left(&self.directory) {
            let kept = self.keep_log_short();
            kept.map_err(|source| self.failed(source))?;
        }
        Ok(self)
    }

    /// Opens the journal if there is one; reading must not leave a trace.
    pub fn open_existing(directory: &Path) -> Result<Option<Journal>, JournalError> {
        Journal::with_room(directory, Journal::connect_existing)
    }

    /// Does something once more where the disk is full and room was set aside for that.
    fn with_room<T>(
        directory: &Path,
        attempt: impl Fn(&Path) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        match attempt(directory) {
            Err(JournalError::Database { source, .. })
                if reserve::is_full(&source) && reserve::release(directory) =>
            {
                attempt(directory)
            }
            answer => answer,
        }
    }

    fn connect_existing(directory: &Path) -> Result<Option<Journal>, JournalError> {
        let file = directory.join(FILE);
        if !file.exists() {
            return Ok(None);
        }
        let failed = |source| JournalError::Database {
            directory: directory.to_owned(),
            source,
        };
        // Not read-only: a log that a crash left must be gone through to be read. But
        // no change of mode, no table, and no wait for whoever is writing.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&file, flags).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let settings = "pragma query_only = on; pragma trusted_schema = off;";
        connection.execute_batch(settings).map_err(failed)?;
        let found: u32 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed)?;
        let directory = directory.to_owned();
        match found {
            // Made, and not filled: its first run has not begun.
            0 => Ok(None),
            BEFORE_SAMPLES => {
                drop(connection);
                Journal::open(&directory).map(Some)
            }
            SCHEMA => Ok(Some(Journal {
                connection,
                directory,
                squeezed: false,
                sparing: false,
            })),
            found if found < SCHEMA => Err(JournalError::Older { directory, found }),
            found => Err(JournalError::Newer { directory, found }),
        }
    }

    fn connect(directory: &Path) -> Result<Journal, JournalError> {
        let failed = |source| JournalError::Database {
            directory: directory.to_owned(),
            source,
        };
        let file = directory.join(FILE);
        let connection = Connection::open(&file).map_err(failed)?;
        keep_private(&file).map_err(|error| JournalError::Directory {
            directory: directory.to_owned(),
            reason: crate::store::in_words(&error),
        })?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        let settings = "pragma journal_mode = wal; pragma synchronous = full; \
                        pragma foreign_keys = on; pragma trusted_schema = off; \
                        pragma temp_store = memory;";
        connection.execute_batch(settings).map_err(failed)?;
        let mut journal = Journal {
            connection,
            directory: directory.to_owned(),
            squeezed: false,
            sparing: false,
        };
        journal.establish_schema()?;
        Ok(journal)
    }

    fn establish_schema(&mut self) -> Result<(), JournalError> {
        let directory = self.directory.clone();
        let failed = |source| JournalError::Database {
            directory: directory.clone(),
            source,
        };
        // Looked at inside the transaction: two first runs may meet here.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let found: u32 = transaction
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .map_err(failed)?;
        match found {
            0 => {
                for table in [TABLES, samples::TABLE, EXPIRED] {
                    transaction.execute_batch(table).map_err(failed)?;
                }
                let name = random_name().map_err(|error| JournalError::Damaged {
                    directory: directory.clone(),
                    reason: error.to_string(),
                })?;
                transaction
                    .execute("insert into meta (key, value) values ('name', ?)", [name])
                    .map_err(failed)?;
                transaction
                    .pragma_update(None, "user_version", SCHEMA)
                    .map_err(failed)?;
                transaction.commit().map_err(failed)
            }
            BEFORE_SAMPLES => {
                for table in [samples::TABLE, EXPIRED] {
                    transaction.execute_batch(table).map_err(failed)?;
                }
                transaction
                    .pragma_update(None, "user_version", SCHEMA)
                    .map_err(failed)?;
                transaction.commit().map_err(failed)
            }
            SCHEMA => Ok(()),
            found if found < SCHEMA => Err(JournalError::Older { directory, found }),
            found => Err(JournalError::Newer { directory, found }),
        }
    }

    /// Records that a run begins.
    pub fn begin(&mut self, start: &Start<'_>) -> Result<(), JournalError> {
        let Start {
            id,
            plan,
            digest,
            root,
            root_path,
            at,
            found,
        } = start;
        let rules: Vec<serde_json::Value> = plan.rules.iter().map(rule_form).collect();
        let rules = serde_json::Value::from(rules).to_string();
        self.commit(Point::JournalBegin, |c| {
            c.execute(
                "insert into runs (id, store, root, root_path, plan, policy, version, started, \
                 planned_files, planned_bytes, found_files, rules) \
                 values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    id.as_str(),
                    plan.store,
                    root,
                    root_path.display().to_string(),
                    digest,
                    plan.policy,
                    env!("CARGO_PKG_VERSION"),
                    at,
                    signed(plan.totals.removed.files),
                    signed(plan.totals.removed.bytes),
                    found.map_or(-1, signed),
                    rules,
                ],
            )?;
            chain::note(c, "run", id.as_str())
        })
    }

    /// Records receipts, all or none, durably.
    pub fn record(&mut self, run: &RunId, receipts: &[Receipt]) -> Result<(), JournalError> {
        if receipts.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let text = serde_json::to_string(receipt);
            rows.push((
                receipt,
                text.map_err(|error| self.damaged(error.to_string()))?,
            ));
        }
        self.commit(Point::JournalReceipts, |c| {
            for (receipt, text) in &rows {
                c.prepare_cached(
                    "insert into receipts (run, store, path, at, receipt) values (?, ?, ?, ?, ?)",
                )?
                .execute(params![
                    run.as_str(),
                    receipt.store,
                    receipt.path,
                    receipt.at,
                    text
                ])?;
                chain::note(c, "receipt", &c.last_insert_rowid().to_string())?;
            }
            Ok(())
        })
    }

    /// Records files that are about to go. On disk when this returns.
    pub fn intend(&mut self, run: &RunId, intents: &[Intent]) -> Result<BatchId, JournalError> {
        let blob = form::write_intents(intents).map_err(|reason| self.damaged(reason))?;
        self.commit(Point::JournalIntents, |c| {
            c.prepare_cached("insert into batches (run, intents) values (?, ?)")?
                .execute(params![run.as_str(), blob])?;
            let id = c.last_insert_rowid();
            chain::note(c, "intents", &id.to_string())?;
            Ok(BatchId(id))
        })
    }

    /// Records what became of a batch's files, in the order of its intents.
    pub fn settle(&mut self, batch: BatchId, outcomes: &[Outcome]) -> Result<(), JournalError> {
        let blob = form::write_outcomes(outcomes).map_err(|reason| self.damaged(reason))?;
        self.commit(Point::JournalOutcomes, |c| {
            c.prepare_cached("update batches set outcomes = ? where id = ?")?
                .execute(params![blob, batch.0])?;
            chain::note(c, "outcomes", &batch.0.to_string())
        })
    }

    /// Records files that never got as far as an intent.
    pub fn kept(&mut self, run: &RunId, kept: &[(Intent, Outcome)]) -> Result<(), JournalError> {
        if kept.is_empty() {
            return Ok(());
        }
        let (intents, outcomes): (Vec<Intent>, Vec<Outcome>) = kept.iter().cloned().unzip();
        let intents = form::write_intents(&intents).map_err(|reason| self.damaged(reason))?;
        let outcomes = form::write_outcomes(&outcomes).map_err(|reason| self.damaged(reason))?;
        self.commit(Point::JournalOutcomes, |c| {
            c.prepare_cached("insert into batches (run, intents, outcomes) values (?, ?, ?)")?
                .execute(params![run.as_str(), intents, outcomes])?;
            let id = c.last_insert_rowid().to_string();
            chain::note(c, "intents", &id)?;
            chain::note(c, "outcomes", &id)
        })
    }

    /// Records what became afterwards of files that a run had put into the trash.
    pub fn afterwards(
        &mut self,
        run: &str,
        at: &str,
        files: &[(RelPath, Outcome)],
    ) -> Result<(), JournalError> {
        if files.is_empty() {
            return Ok(());
        }
        let blob = form::write_files(files).map_err(|reason| self.damaged(reason))?;
        self.commit(Point::JournalTrash, |c| {
            c.execute(
                "insert into afterwards (run, at, files) values (?, ?, ?)",
                params![run, at, blob],
            )?;
            chain::note(c, "afterwards", &c.last_insert_rowid().to_string())
        })
    }

    /// Records that a run is over.
    pub fn finish(&mut self, run: &RunId, at: &str, state: State) -> Result<(), JournalError> {
        self.commit(Point::JournalFinish, |c| {
            c.execute(
                "update runs set ended = ?, state = ? where id = ?",
                params![at, state.word(), run.as_str()],
            )?;
            chain::note(c, "end", run.as_str())
        })
    }

    /// Batches in a root that a crash left, oldest first. The root is known by its
    /// identity: a store may have been given another name since.
    pub fn unsettled(&self, root: &str) -> Result<Vec<Unsettled>, JournalError> {
        let rows = self.rows(
            "select b.run, b.id, b.intents from batches b join runs r on r.id = b.run \
             where b.outcomes is null and r.root = ? order by b.id",
            [root],
            |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                ))
            },
        )?;
        rows.into_iter()
            .map(|(run, batch, blob)| {
                Ok(Unsettled {
                    run: self.run_id(&run)?,
                    batch: BatchId(batch),
                    intents: form::read_intents(&blob).map_err(|reason| self.damaged(reason))?,
                })
            })
            .collect()
    }

    /// Runs in a root that began and never ended, oldest first.
    pub fn unfinished(&self, root: &str) -> Result<Vec<RunId>, JournalError> {
        let names: Vec<String> = self.rows(
            "select id from runs where root = ? and ended is null order by started",
            [root],
            |row| row.get(0),
        )?;
        names.iter().map(|name| self.run_id(name)).collect()
    }

    /// The identity a store's root had in its latest run.
    pub fn known_root(&self, store: &str) -> Result<Option<String>, JournalError> {
        self.connection
            .query_row(
                "select root from runs where store = ? and root <> '' order by started desc limit 1",
                [store],
                |row| row.get(0),
            )
            .optional()
            .map_err(|source| self.failed(source))
    }

    /// One transaction, durable when this returns.
    fn commit<T>(
        &mut self,
        point: Point,
        work: impl Fn(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, JournalError> {
        let done = around(point, || match self.attempt(&work) {
            Err(error)
                if !self.sparing
                    && reserve::is_full(&error)
                    && reserve::release(&self.directory) =>
            {
                self.squeezed = true;
                self.keep_log_short()?;
                self.attempt(&work)
            }
            answer => answer,
        });
        done.map_err(|source| self.failed(source))
    }

    fn attempt<T>(
        &mut self,
        work: impl Fn(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Lets the log begin anew every few pages, where there is little room for it.
    fn keep_log_short(&self) -> rusqlite::Result<()> {
        self.connection
            .pragma_update(None, "wal_autocheckpoint", 16)
    }

    /// Whether the state directory's disk has so little room that batches have to be
    /// small. The first of them makes some.
    pub fn is_short_of_room(&self) -> bool {
        self.squeezed || reserve::is_little_left(&self.directory)
    }

    fn rows<P: rusqlite::Params, T>(
        &self,
        query: &str,
        parameters: P,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, JournalError> {
        let rows = || -> rusqlite::Result<Vec<T>> {
            let mut statement = self.connection.prepare_cached(query)?;
            statement.query_map(parameters, read)?.collect()
        };
        rows().map_err(|source| self.failed(source))
    }

    fn run_id(&self, text: &str) -> Result<RunId, JournalError> {
        RunId::parse(text).ok_or_else(|| self.damaged(format!("`{text}` names no run")))
    }

    fn failed(&self, source: rusqlite::Error) -> JournalError {
        JournalError::Database {
            directory: self.directory.clone(),
            source,
        }
    }

    fn damaged(&self, reason: String) -> JournalError {
        JournalError::Damaged {
            directory: self.directory.clone(),
            reason,
        }
    }
}

/// SQLite counts in signed numbers; no store reaches the difference.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// 128 random bits as text.
fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

fn rule_form(rule: &Rule) -> serde_json::Value {
    serde_json::json!({
        "file": rule.file,
        "line": rule.line,
        "label": rule.label,
        "collection": rule.collection,
        "text": rule.text,
    })
}

/// The journal names files and why they went: nobody else's to read.
fn keep_private(file: &Path) -> io::Result<()> {
    let metadata = fs::metadata(file)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    match ours && metadata.mode() & 0o077 != 0 {
        true => fs::set_permissions(file, fs::Permissions::from_mode(0o600)),
        false => Ok(()),
    }
}

/// What a directory lies on, where SQLite's write-ahead log does not work: its
/// shared memory does not reach across machines.
fn network_file_system(directory: &Path) -> Option<&'static str> {
    // From statfs(2).
    match rustix::fs::statfs(directory).ok()?.f_type {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9p"),
        0x00c3_6400 => Some("Ceph"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
