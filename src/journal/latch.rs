//! What keeps a store from being cleaned until a person has looked, and the clock
//! readings that tell when somebody should.

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};

use super::{Journal, JournalError, chain};
use crate::fault::Point;
use crate::time::Clocks;

/// Why a store is latched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A plan would have removed more than anybody meant.
    Breaker,
    /// The clock made a jump.
    Clock,
}

impl Cause {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Breaker => "breaker",
            Cause::Clock => "clock",
        }
    }

    fn parse(word: &str) -> Option<Cause> {
        [Cause::Breaker, Cause::Clock]
            .into_iter()
            .find(|cause| cause.word() == word)
    }
}

/// A store that is not cleaned until a person releases it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latch {
    /// The store.
    pub store: String,
    /// What tripped.
    pub cause: Cause,
    /// When, RFC 3339.
    pub since: String,
    /// The digest of the policy then; another one releases.
    pub policy: String,
    /// The digest of the plan that waits.
    pub plan: String,
    /// What would have happened, in words.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct ClocksForm {
    wall: i64,
    boot: u64,
    boot_id: String,
}

impl Journal {
    /// The latch of a store, if it is latched.
    pub fn latch(&self, store: &str) -> Result<Option<Latch>, JournalError> {
        let row = self
            .connection
            .query_row(
                "select cause, since, policy, plan, reason from latches \
                 where store = ? and released is null",
                [store],
                |row| {
                    let cause: String = row.get(0)?;
                    Ok((
                        cause,
                        Latch {
                            store: store.to_owned(),
                            cause: Cause::Breaker,
                            since: row.get(1)?,
                            policy: row.get(2)?,
                            plan: row.get(3)?,
                            reason: row.get(4)?,
                        },
                    ))
                },
            )
            .optional()
            .map_err(|source| self.failed(source))?;
        row.map(|(word, latch)| match Cause::parse(&word) {
            Some(cause) => Ok(Latch { cause, ..latch }),
            None => Err(self.damaged(format!("`{word}` latches nothing"))),
        })
        .transpose()
    }

    /// Latches a store, in place of an older latch.
    pub fn trip(&mut self, latch: &Latch) -> Result<(), JournalError> {
        self.commit(Point::JournalLatch, |c| {
            c.execute(
                "insert into latches (store, cause, since, policy, plan, reason) \
                 values (?, ?, ?, ?, ?, ?) on conflict (store) do update set \
                 cause = excluded.cause, since = excluded.since, policy = excluded.policy, \
                 plan = excluded.plan, reason = excluded.reason, released = null, \
                 release_reason = null",
                params![
                    latch.store,
                    latch.cause.word(),
                    latch.since,
                    latch.policy,
                    latch.plan,
                    latch.reason
                ],
            )?;
            chain::note(c, "latch", &latch.store)
        })
    }

    /// Releases a store.
    pub fn release_latch(
        &mut self,
        store: &str,
        at: &str,
        reason: &str,
    ) -> Result<(), JournalError> {
        self.commit(Point::JournalLatch, |c| {
            c.execute(
                "update latches set released = ?, release_reason = ? \
                 where store = ? and released is null",
                params![at, reason, store],
            )?;
            chain::note(c, "latch", store)
        })
    }

    /// The run that carried out the plan with this digest, if one did.
    pub fn run_of_plan(&self, digest: &str) -> Result<Option<String>, JournalError> {
        self.connection
            .query_row(
                "select id from runs where plan = ? order by started desc limit 1",
                [digest],
                |row| row.get(0),
            )
            .optional()
            .map_err(|source| self.failed(source))
    }

    /// What the clocks showed at the end of the last run that believed them.
    pub fn clocks(&self) -> Result<Option<Clocks>, JournalError> {
        let Some(text) = self.meta("clocks")? else {
            return Ok(None);
        };
        let form: ClocksForm =
            serde_json::from_str(&text).map_err(|error| self.damaged(error.to_string()))?;
        Ok(Some(Clocks {
            wall: form.wall,
            boot: form.boot,
            boot_id: form.boot_id,
        }))
    }

    /// Remembers what the clocks show.
    pub fn remember_clocks(&mut self, clocks: &Clocks) -> Result<(), JournalError> {
        let form = ClocksForm {
            wall: clocks.wall,
            boot: clocks.boot,
            boot_id: clocks.boot_id.clone(),
        };
        let text = serde_json::to_string(&form).map_err(|e| self.damaged(e.to_string()))?;
        self.connection
            .execute(
                "insert into meta (key, value) values ('clocks', ?) \
                 on conflict (key) do update set value = excluded.value",
                [text],
            )
            .map_err(|source| self.failed(source))?;
        Ok(())
    }

    pub(super) fn meta(&self, key: &str) -> Result<Option<String>, JournalError> {
        self.connection
            .query_row("select value from meta where key = ?", [key], |row| {
                row.get(0)
            })
            .optional()
            .map_err(|source| self.failed(source))
    }
}
