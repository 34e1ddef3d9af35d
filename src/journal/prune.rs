//! Old runs forgotten, with a checkpoint in the chain where they were.

use rusqlite::{OptionalExtension, params};

use super::{Journal, JournalError, chain};
use crate::fault::Point;
use crate::time::Stamp;

impl Journal {
    /// Forgets runs that ended before a moment: their files and outcomes, and the runs
    /// themselves where no receipt names them. Receipts, holds and latches stay.
    /// Returns how many were forgotten.
    ///
    /// Only whole beginnings of the chain are cut, so a run that is still going keeps
    /// everything after its beginning.
    pub fn prune(&mut self, before: Stamp, at: &str) -> Result<u64, JournalError> {
        let before = before.to_string();
        self.commit(Point::JournalFinish, |c| {
            let Some(upto) = c
                .query_row(
                    "select max(sequence) from chain where sequence < coalesce((\
                         select min(sequence) from chain where kind = 'run' and subject in (\
                             select id from runs where ended is null or ended >= ?1)), \
                         1 + (select max(sequence) from chain))",
                    [&before],
                    |row| row.get::<_, Option<i64>>(0),
                )
                .optional()?
                .flatten()
            else {
                return Ok(0);
            };
            let forgotten = "select c.subject from chain c join runs r on r.id = c.subject \
                 where c.kind = 'end' and c.sequence <= ?1 and r.ended < ?2";
            let runs: Vec<String> = c
                .prepare(forgotten)?
                .query_map(params![upto, before], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            if runs.is_empty() {
                return Ok(0);
            }
            let mut pruned = 0;
            for run in &runs {
                pruned += c.execute("delete from batches where run = ?", [run])?;
                pruned += c.execute(
                    "delete from runs where id = ?1 and id not in (select run from receipts)",
                    [run],
                )?;
            }
            pruned += c.execute(
                "delete from afterwards where run not in \
                     (select id from runs where ended is null or ended >= ?1) and \
                 cast(id as text) in \
                     (select subject from chain where kind = 'afterwards' and sequence <= ?2)",
                params![before, upto],
            )?;
            match pruned {
                0 => Ok(0),
                _ => {
                    chain::cut(c, upto, at)?;
                    Ok(runs.len() as u64)
                }
            }
        })
    }
}
