//! Runs, their files and their receipts as they are asked for afterwards.

use rusqlite::Row;

use super::{Class, Journal, JournalError, Outcome, RunId, form};
use crate::path::RelPath;
use crate::receipt::Receipt;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It went through its whole plan.
    Completed,
    /// Something stopped it; what it had done was recorded.
    Stopped,
    /// It was told to end, finished what it had in hand, and recorded that.
    Cancelled,
    /// It never said; the next run settled what it left.
    Interrupted,
}

impl State {
    /// A stable word for programs and people.
    pub fn word(self) -> &'static str {
        match self {
            State::Completed => "completed",
            State::Stopped => "stopped",
            State::Cancelled => "cancelled",
            State::Interrupted => "interrupted",
        }
    }

    fn parse(word: &str) -> Option<State> {
        [
            State::Completed,
            State::Stopped,
            State::Cancelled,
            State::Interrupted,
        ]
        .into_iter()
        .find(|state| state.word() == word)
    }
}

/// One run in a line.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its name.
    pub id: RunId,
    /// Its store.
    pub store: String,
    /// The store's root as it was configured then.
    pub root_path: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended; nothing while it runs, or after a crash.
    pub ended: Option<String>,
    /// How it ended.
    pub state: Option<State>,
    /// Files it was going to remove.
    pub planned: u64,
    /// The digest of its plan.
    pub plan: String,
    /// What became of them.
    pub tallies: Tallies,
    /// How many files it archived first.
    pub receipts: u64,
    /// How many archives it deleted.
    pub expired: u64,
}

/// Outcomes, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Files that we removed, those in the trash included.
    pub removed: u64,
    /// Files among them that lie in the trash.
    pub trashed: u64,
    /// Files whose archives have taken their places.
    pub replaced: u64,
    /// Files that stay and were archived.
    pub backed_up: u64,
    /// Files that somebody else had removed before.
    pub vanished: u64,
    /// Bytes that gave back.
    pub freed: u64,
    /// Files that were kept as they should be.
    pub kept: u64,
    /// Files that were kept because something did not work.
    pub trouble: u64,
    /// Directories that we removed; not counted among the files.
    pub directories: u64,
}

impl Tallies {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome.class() {
            Class::Removed => self.removed += 1,
            Class::Replaced => self.replaced += 1,
            Class::BackedUp => self.backed_up += 1,
            Class::Vanished => self.vanished += 1,
            Class::Kept => self.kept += 1,
            Class::Trouble => self.trouble += 1,
            Class::Directory => {
                self.directories += u64::from(matches!(outcome, Outcome::DirectoryRemoved { .. }))
            }
        }
        match outcome {
            Outcome::Removed { freed }
            | Outcome::Remains { freed }
            | Outcome::Replaced { freed }
            | Outcome::DirectoryRemoved { freed } => {
                self.freed = self.freed.saturating_add(*freed);
            }
            Outcome::Trashed => self.trashed += 1,
            _ => {}
        }
    }
}

/// One file of a run, afterwards.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Where it lay.
    pub path: RelPath,
    /// Its length in bytes.
    pub size: u64,
    /// The statement that doomed it, as a person finds it: `charts.retain:12 @label`.
    pub rule: String,
    /// What became of it; nothing while that is not known.
    pub outcome: Option<Outcome>,
}

/// A receipt with the run that recorded it.
#[derive(Clone, Debug)]
pub struct StoredReceipt {
    /// The run.
    pub run: RunId,
    /// The receipt.
    pub receipt: Receipt,
}

/// A receipt as far as planning needs it.
#[derive(Clone, Debug)]
pub struct FiledRow {
    /// Its number.
    pub receipt: i64,
    /// The collection it was archived for.
    pub collection: String,
    /// The file, as the receipt names it.
    pub path: String,
    /// Its generation.
    pub key: String,
    /// The destination's name.
    pub destination: String,
    /// When it was archived, RFC 3339.
    pub at: String,
}

/// Intents and outcomes as they lie in the database.
type Batch = (Vec<u8>, Option<Vec<u8>>);

const COLUMNS: &str = "select id, store, root_path, started, ended, state, planned_files, plan, \
     (select count(*) from receipts where run = runs.id), \
     (select count(*) from expired where run = runs.id) from runs ";

struct RunRow {
    id: String,
    summary: Summary,
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    let id: String = row.get(0)?;
    let planned: i64 = row.get(6)?;
    let receipts: i64 = row.get(8)?;
    let expired: i64 = row.get(9)?;
    let state: Option<String> = row.get(5)?;
    Ok(RunRow {
        summary: Summary {
            // Replaced by the caller, who can say what is wrong with a name.
            id: RunId(String::new()),
            store: row.get(1)?,
            root_path: row.get(2)?,
            started: row.get(3)?,
            ended: row.get(4)?,
            state: state.as_deref().and_then(State::parse),
            planned: planned.unsigned_abs(),
            plan: row.get(7)?,
            tallies: Tallies::default(),
            receipts: receipts.unsigned_abs(),
            expired: expired.unsigned_abs(),
        },
        id,
    })
}

impl Journal {
    /// The latest runs, newest first.
    pub fn runs(&self, limit: u32) -> Result<Vec<Summary>, JournalError> {
        self.runs_of(None, limit)
    }

    /// The latest runs of a store, or of all, newest first.
    pub fn runs_of(&self, store: Option<&str>, limit: u32) -> Result<Vec<Summary>, JournalError> {
        let query = format!(
            "{COLUMNS} where (?1 is null or store = ?1) order by started desc, id desc limit ?2"
        );
        let rows = self.rows(&query, (store, limit), run_row)?;
        rows.into_iter().map(|row| self.summary(row)).collect()
    }

    /// One run in a line.
    pub fn run_summary(&self, id: &RunId) -> Result<Summary, JournalError> {
        let query = format!("{COLUMNS} where id = ?");
        let row = self.rows(&query, [id.as_str()], run_row)?.pop();
        let row = row.ok_or_else(|| JournalError::Run(format!("there is no run `{id}`")))?;
        self.summary(row)
    }

    /// One run with every file it had to do with, in path order.
    pub fn run(&self, id: &RunId) -> Result<(Summary, Vec<Settled>), JournalError> {
        let summary = self.run_summary(id)?;
        let rules = self.rules(id)?;
        let mut settled = Vec::new();
        for (intents, outcomes) in self.batches(id)? {
            let intents = form::read_intents(&intents).map_err(|e| self.damaged(e))?;
            let outcomes = match outcomes {
                Some(blob) => form::read_outcomes(&blob).map_err(|e| self.damaged(e))?,
                None => Vec::new(),
            };
            let mut outcomes = outcomes.into_iter();
            settled.extend(intents.into_iter().map(|intent| Settled {
                path: intent.path,
                size: intent.facts.size,
                rule: rules.get(intent.rule).cloned().unwrap_or_default(),
                outcome: outcomes.next(),
            }));
        }
        settled.sort_by(|a, b| a.path.cmp(&b.path));
        for (path, outcome) in self.aftermath(id.as_str())? {
            let found = settled.binary_search_by(|file| file.path.cmp(&path));
            if let Some(file) = found.ok().and_then(|at| settled.get_mut(at)) {
                file.outcome = Some(outcome);
            }
        }
        Ok((summary, settled))
    }

    /// The run a person means: its name, its beginning or end, or `last`.
    pub fn find_run(&self, text: &str) -> Result<RunId, JournalError> {
        if text == "last" {
            let latest = self.runs(1)?.pop().map(|run| run.id);
            return latest.ok_or_else(|| JournalError::Run("there was no run yet".to_owned()));
        }
        let names: Vec<String> = self.rows("select id from runs order by id", [], |r| r.get(0))?;
        let matches = |name: &&String| name.starts_with(text) || name.ends_with(text);
        let found: Vec<&String> = names.iter().filter(matches).collect();
        match found.as_slice() {
            [one] => self.run_id(one),
            [] => Err(JournalError::Run(format!(
                "there is no run `{text}`; `retain runs` lists them"
            ))),
            several => {
                let shown: Vec<_> = several
                    .iter()
                    .take(5)
                    .map(|name| format!("`{name}`"))
                    .collect();
                let shown = shown.join(", ");
                Err(JournalError::Run(format!("`{text}` may mean {shown}")))
            }
        }
    }

    /// Receipts, the one recorded last first, whatever the clock said; all of them, or those of a store, a path, a run.
    pub fn receipts(
        &self,
        store: Option<&str>,
        path: Option<&str>,
        run: Option<&RunId>,
    ) -> Result<Vec<StoredReceipt>, JournalError> {
        let rows = self.rows(
            "select run, receipt from receipts where (?1 is null or store = ?1) \
             and (?2 is null or path = ?2) and (?3 is null or run = ?3) \
             and id not in (select receipt from expired) order by id desc",
            (store, path, run.map(RunId::as_str)),
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)),
        )?;
        rows.into_iter()
            .map(|(run, text)| {
                Ok(StoredReceipt {
                    run: self.run_id(&run)?,
                    receipt: serde_json::from_str(&text)
                        .map_err(|e| self.damaged(e.to_string()))?,
                })
            })
            .collect()
    }

    /// Receipts of archives that took their files' places in a store, in the order they
    /// were recorded.
    pub fn in_place(&self, store: &str) -> Result<Vec<Receipt>, JournalError> {
        let rows: Vec<String> = self.rows(
            "select receipt from receipts where store = ? \
             and json_extract(receipt, '$.in_place') order by id",
            [store],
            |row| row.get(0),
        )?;
        rows.iter()
            .map(|text| serde_json::from_str(text).map_err(|e| self.damaged(e.to_string())))
            .collect()
    }

    /// What there is of archives in destinations of a store's files, in the order they
    /// were recorded.
    pub fn filed(&self, store: &str) -> Result<Vec<FiledRow>, JournalError> {
        self.rows(
            "select path, json_extract(receipt, '$.key'), \
             json_extract(receipt, '$.destination.name'), at, id, \
             json_extract(receipt, '$.collection') from receipts \
             where store = ? and id not in (select receipt from expired) and not coalesce(json_extract(receipt, '$.in_place'), 0) \
             order by id",
            [store],
            |row| {
                Ok(FiledRow {
                    path: row.get(0)?,
                    key: row.get(1)?,
                    destination: row.get(2)?,
                    at: row.get(3)?,
                    receipt: row.get(4)?,
                    collection: row.get(5)?,
                })
            },
        )
    }

    /// The identity a destination's URL led to when a file was last archived there.
    pub fn known_destination(&self, url: &str) -> Result<Option<String>, JournalError> {
        let found: Vec<Option<String>> = self.rows(
            "select json_extract(receipt, '$.destination.identity') from receipts \
             where json_extract(receipt, '$.destination.url') = ? order by id desc limit 1",
            [url],
            |row| row.get(0),
        )?;
        Ok(found.into_iter().flatten().next())
    }

    fn summary(&self, row: RunRow) -> Result<Summary, JournalError> {
        let id = self.run_id(&row.id)?;
        let mut tallies = Tallies::default();
        for (_, outcomes) in self.batches(&id)? {
            let outcomes = match outcomes {
                Some(blob) => form::read_outcomes(&blob).map_err(|e| self.damaged(e))?,
                None => Vec::new(),
            };
            outcomes.iter().for_each(|outcome| tallies.add(outcome));
        }
        Ok(Summary {
            id,
            tallies,
            ..row.summary
        })
    }

    /// What became afterwards of files that a run had put into the trash, in the
    /// order it happened.
    pub fn aftermath(&self, run: &str) -> Result<Vec<(RelPath, Outcome)>, JournalError> {
        let blobs: Vec<Vec<u8>> = self.rows(
            "select files from afterwards where run = ? order by id",
            [run],
            |row| row.get(0),
        )?;
        let mut files = Vec::new();
        for blob in blobs {
            files.extend(form::read_files(&blob).map_err(|e| self.damaged(e))?);
        }
        Ok(files)
    }

    /// How many files the last run of a store under a policy left, as far as it was
    /// finished and had looked.
    pub fn left_by_last_run(
        &self,
        store: &str,
        policy: &str,
    ) -> Result<Option<(RunId, u64)>, JournalError> {
        let rows: Vec<(String, String, i64)> = self.rows(
            "select id, policy, found_files from runs where store = ? and ended is not null \
             order by started desc, id desc limit 1",
            [store],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        match rows.into_iter().next() {
            Some((id, of, found)) if of == policy && found >= 0 => {
                let (run, _) = self.run(&self.run_id(&id)?)?;
                let removed = run.tallies.removed;
                Ok(Some((run.id, found.unsigned_abs().saturating_sub(removed))))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn batches(&self, run: &RunId) -> Result<Vec<Batch>, JournalError> {
        self.rows(
            "select intents, outcomes from batches where run = ? order by id",
            [run.as_str()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// The run's statements as people find them again.
    fn rules(&self, run: &RunId) -> Result<Vec<String>, JournalError> {
        let texts: Vec<String> =
            self.rows("select rules from runs where id = ?", [run.as_str()], |r| {
                r.get(0)
            })?;
        let text = texts.into_iter().next().unwrap_or_default();
        let rules: Vec<serde_json::Value> =
            serde_json::from_str(&text).map_err(|e| self.damaged(e.to_string()))?;
        let shown = |rule: &serde_json::Value| {
            let text = |key: &str| rule.get(key).and_then(|v| v.as_str()).unwrap_or_default();
            let line = rule
                .get("line")
                .and_then(serde_json::Value::as_u64)
                .unwrap_or_default();
            match (text("label"), line) {
                // What no file says: who asked for it.
                (_, 0) => text("file").to_owned(),
                ("", line) => format!("{}:{line}", text("file")),
                (label, line) => format!("{}:{line} @{label}", text("file")),
            }
        };
        Ok(rules.iter().map(shown).collect())
    }
}
