//! The hash chain over everything recorded: an edit afterwards shows.
//!
//! Each record is chained when it is written: BLAKE3 over the hash before it, its
//! number, its kind, its subject and the hash of its row. The row itself stays where
//! it is asked for. Whoever can write the database can also write a new chain, so an
//! edit shows against a head that is kept elsewhere; each run logs the one it leaves.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Journal, JournalError};

/// What is chained: its name, the row it is about, and which rows must have one.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) row: &'static str,
    /// Keys of rows of which no record is in the chain.
    unchained: &'static str,
    /// Whether the row is written anew with each record, so that only the latest can
    /// be compared.
    changes: bool,
}

pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "run",
        row: "select store, root, root_path, plan, policy, version, started, planned_files, \
              planned_bytes, found_files, rules from runs where id = ?",
        unchained: "select id from runs where id not in \
                    (select subject from chain where kind = 'run')",
        changes: false,
    },
    Kind {
        name: "end",
        row: "select ended, state from runs where id = ?",
        unchained: "select id from runs where ended is not null and id not in \
                    (select subject from chain where kind = 'end')",
        changes: false,
    },
    Kind {
        name: "intents",
        row: "select run, intents from batches where id = cast(? as integer)",
        unchained: "select cast(id as text) from batches where cast(id as text) not in \
                    (select subject from chain where kind = 'intents')",
        changes: false,
    },
    Kind {
        name: "outcomes",
        row: "select run, outcomes from batches where id = cast(? as integer)",
        unchained: "select cast(id as text) from batches where outcomes is not null and \
                    cast(id as text) not in (select subject from chain where kind = 'outcomes')",
        changes: false,
    },
    Kind {
        name: "receipt",
        row: "select run, store, path, at, receipt from receipts where id = cast(? as integer)",
        unchained: "select cast(id as text) from receipts where cast(id as text) not in \
                    (select subject from chain where kind = 'receipt')",
        changes: false,
    },
    Kind {
        name: "expired",
        row: "select run, at, settled from expired where receipt = cast(? as integer)",
        unchained: "select cast(receipt as text) from expired where cast(receipt as text) \
                    not in (select subject from chain where kind = 'expired')",
        changes: true,
    },
    Kind {
        name: "afterwards",
        row: "select run, at, files from afterwards where id = cast(? as integer)",
        unchained: "select cast(id as text) from afterwards where cast(id as text) not in \
                    (select subject from chain where kind = 'afterwards')",
        changes: false,
    },
    Kind {
        name: "hold",
        row: "select store, name, template, text, files, since, until, reason, origin, \
              state, recorder, released, release_reason from holds where id = ?",
        unchained: "select id from holds where id not in \
                    (select subject from chain where kind = 'hold')",
        changes: true,
    },
    Kind {
        name: "latch",
        row: "select cause, since, policy, plan, reason, released, release_reason \
              from latches where store = ?",
        unchained: "select store from latches where store not in \
                    (select subject from chain where kind = 'latch')",
        changes: true,
    },
];

/// What a checkpoint is chained as: pruning put it in place of what it removed.
const CHECKPOINT: &str = "checkpoint";

/// The newest record: what to keep elsewhere to see later edits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// Its number.
    pub sequence: u64,
    /// Its hash, in hexadecimal.
    pub hash: String,
}

/// What looking through the whole chain found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records whose hashes were computed again.
    pub records: u64,
    /// Where the chain begins, if pruning cut it: when that was.
    pub pruned: Option<String>,
    /// What is not as it was written, in words.
    pub problems: Vec<String>,
}

struct Record {
    sequence: i64,
    kind: String,
    subject: String,
    content: Vec<u8>,
    hash: Vec<u8>,
}

fn link(before: &[u8], sequence: i64, kind: &str, subject: &str, content: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key("retain 2026 journal chain");
    for part in [before, kind.as_bytes(), subject.as_bytes(), content] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.update(&sequence.to_le_bytes());
    hasher.finalize()
}

fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The hash of the row a record is about; nothing where there is none.
fn content(connection: &Connection, row: &str, subject: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached(row)?;
    let columns = statement.column_count();
    statement
        .query_row([subject], |row| {
            let mut hasher = blake3::Hasher::new();
            let mut feed = |tag: u8, bytes: &[u8]| {
                hasher.update(&[tag]);
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(bytes);
            };
            for column in 0..columns {
                match row.get_ref(column)? {
                    ValueRef::Null => feed(0, &[]),
                    ValueRef::Integer(number) => feed(1, &number.to_le_bytes()),
                    ValueRef::Real(number) => feed(2, &number.to_le_bytes()),
                    ValueRef::Text(text) => feed(3, text),
                    ValueRef::Blob(blob) => feed(4, blob),
                }
            }
            Ok(hasher.finalize().as_bytes().to_vec())
        })
        .optional()
}

/// Chains what was just written about a subject, within its transaction.
pub(super) fn note(connection: &Connection, name: &str, subject: &str) -> rusqlite::Result<()> {
    let row = kind(name).map_or("", |kind| kind.row);
    let content = content(connection, row, subject)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    append(connection, name, subject, &content)
}

fn append(
    connection: &Connection,
    name: &str,
    subject: &str,
    content: &[u8],
) -> rusqlite::Result<()> {
    let (sequence, before) = latest(connection)?.unwrap_or_default();
    let sequence = sequence + 1;
    let hash = link(&before, sequence, name, subject, content);
    connection
        .prepare_cached(
            "insert into chain (sequence, kind, subject, content, hash) values (?, ?, ?, ?, ?)",
        )?
        .execute(params![
            sequence,
            name,
            subject,
            content,
            hash.as_bytes().as_slice()
        ])?;
    Ok(())
}

fn latest(connection: &Connection) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
    connection
        .prepare_cached("select sequence, hash from chain order by sequence desc limit 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Cuts the chain up to a record, whose hash stays in a checkpoint. Rows that live on
/// are chained again at its end.
pub(super) fn cut(connection: &Connection, upto: i64, at: &str) -> rusqlite::Result<()> {
    let hash: Vec<u8> =
        connection.query_row("select hash from chain where sequence = ?", [upto], |row| {
            row.get(0)
        })?;
    let old: Vec<(String, String)> = connection
        .prepare("select distinct kind, subject from chain where sequence <= ? order by sequence")?
        .query_map([upto], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    connection.execute("delete from chain where sequence <= ?", [upto])?;
    connection.execute(
        "insert into chain (sequence, kind, subject, content, hash) values (?, ?, ?, x'', ?)",
        params![upto, CHECKPOINT, at, hash],
    )?;
    for (name, subject) in old {
        let Some(kind) = kind(&name) else {
            continue;
        };
        let chained: bool = connection.query_row(
            "select exists (select 1 from chain where kind = ? and subject = ?)",
            params![name, subject],
            |row| row.get(0),
        )?;
        if !chained && content(connection, kind.row, &subject)?.is_some() {
            note(connection, &name, &subject)?;
        }
    }
    Ok(())
}

impl Journal {
    /// The newest record; nothing in an empty journal.
    pub fn head(&self) -> Result<Option<ChainHead>, JournalError> {
        let latest = latest(&self.connection).map_err(|source| self.failed(source))?;
        Ok(latest.map(|(sequence, hash)| ChainHead {
            sequence: sequence.unsigned_abs(),
            hash: hexadecimal(&hash),
        }))
    }

    /// Computes every hash again. With a head that was kept elsewhere, also whether
    /// the chain still leads through it.
    pub fn verify(&self, known: Option<&str>) -> Result<Verified, JournalError> {
        let look = || -> rusqlite::Result<Verified> {
            let mut verified = Verified::default();
            self.verify_links(known, &mut verified)?;
            for kind in KINDS {
                let mut statement = self.connection.prepare(kind.unchained)?;
                let keys = statement.query_map([], |row| row.get::<_, String>(0))?;
                for key in keys {
                    let key = key?;
                    let problem = format!("{} {key} was added without a record", kind.name);
                    verified.problems.push(problem);
                }
            }
            Ok(verified)
        };
        look().map_err(|source| self.failed(source))
    }

    fn verify_links(&self, known: Option<&str>, verified: &mut Verified) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare(
            "select sequence, kind, subject, content, hash from chain order by sequence",
        )?;
        let records = statement.query_map([], |row| {
            Ok(Record {
                sequence: row.get(0)?,
                kind: row.get(1)?,
                subject: row.get(2)?,
                content: row.get(3)?,
                hash: row.get(4)?,
            })
        })?;
        let (mut before, mut last) = (Vec::new(), 0);
        let mut passed = false;
        for record in records {
            let record = record?;
            let first = verified.records == 0;
            verified.records += 1;
            passed |= known == Some(hexadecimal(&record.hash).as_str());
            if record.kind == CHECKPOINT && first {
                verified.pruned = Some(record.subject);
                (before, last) = (record.hash, record.sequence);
                continue;
            }
            let place = format!("record {}", record.sequence);
            if record.sequence != last + 1 {
                let problem = format!("{place}: records before it are missing");
                verified.problems.push(problem);
            }
            let hash = link(
                &before,
                record.sequence,
                &record.kind,
                &record.subject,
                &record.content,
            );
            if hash.as_bytes().as_slice() != record.hash.as_slice() {
                verified
                    .problems
                    .push(format!("{place}: its hash is not that of its content"));
            }
            self.verify_row(&record, &place, verified)?;
            (before, last) = (record.hash, record.sequence);
        }
        if let (Some(known), false) = (known, passed) {
            let problem = format!("the chain does not lead through the head `{known}`");
            verified.problems.push(problem);
        }
        Ok(())
    }

    fn verify_row(
        &self,
        record: &Record,
        place: &str,
        verified: &mut Verified,
    ) -> rusqlite::Result<()> {
        let Record {
            kind: name,
            subject,
            ..
        } = record;
        let Some(kind) = kind(name) else {
            verified
                .problems
                .push(format!("{place}: there is no kind `{name}`"));
            return Ok(());
        };
        if kind.changes && self.is_superseded(record)? {
            return Ok(());
        }
        match content(&self.connection, kind.row, subject)? {
            Some(found) if found == record.content => {}
            Some(_) => verified
                .problems
                .push(format!("{place}: {name} {subject} was changed")),
            None => verified
                .problems
                .push(format!("{place}: {name} {subject} was removed")),
        }
        Ok(())
    }

    fn is_superseded(&self, record: &Record) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached(
                "select exists (select 1 from chain where kind = ? and subject = ? \
                 and sequence > ?)",
            )?
            .query_row(
                params![record.kind, record.subject, record.sequence],
                |row| row.get(0),
            )
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
