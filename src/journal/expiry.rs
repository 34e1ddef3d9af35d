//! Archives that are not there any more: their receipts stay, marked, as a record.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Journal, JournalError, RunId, chain};
use crate::fault::Point;
use crate::receipt::Receipt;

impl Journal {
    /// Receipts by their numbers, as far as their archives have not expired.
    pub fn receipts_numbered(&self, numbers: &[i64]) -> Result<Vec<(i64, Receipt)>, JournalError> {
        let mut found = Vec::with_capacity(numbers.len());
        for number in numbers {
            found.extend(self.numbered(
                "select id, receipt from receipts where id = ? \
                 and id not in (select receipt from expired)",
                [number],
            )?);
        }
        Ok(found)
    }

    /// Marks archives as expired, durably, before the first of their objects goes: from
    /// here on nothing offers them any more.
    pub fn expire(&mut self, run: &RunId, at: &str, receipts: &[i64]) -> Result<(), JournalError> {
        if receipts.is_empty() {
            return Ok(());
        }
        self.commit(Point::JournalExpired, |c| {
            for receipt in receipts {
                c.prepare_cached("insert into expired (receipt, run, at) values (?, ?, ?)")?
                    .execute(params![receipt, run.as_str(), at])?;
                chain::note(c, "expired", &receipt.to_string())?;
            }
            Ok(())
        })
    }

    /// Expired archives of a store whose objects may still be there.
    pub fn expiring(&self, store: &str) -> Result<Vec<(i64, Receipt)>, JournalError> {
        self.numbered(
            "select r.id, r.receipt from expired e join receipts r on r.id = e.receipt \
             where e.settled is null and r.store = ? order by r.id",
            [store],
        )
    }

    /// Records that an expired archive's objects are gone, and how many others needed.
    pub fn expiry_settled(&mut self, settled: &[(i64, String)]) -> Result<(), JournalError> {
        if settled.is_empty() {
            return Ok(());
        }
        self.commit(Point::JournalExpired, |c| {
            for (receipt, what) in settled {
                c.prepare_cached("update expired set settled = ? where receipt = ?")?
                    .execute(params![what, receipt])?;
                chain::note(c, "expired", &receipt.to_string())?;
            }
            Ok(())
        })
    }

    /// Names of all objects in a destination that some archive consists of which has not
    /// expired, whatever store it is of.
    pub fn objects_needed(&self, url: &str) -> Result<BTreeSet<String>, JournalError> {
        let names: Vec<String> = self.rows(
            "select json_extract(o.value, '$.name') from receipts r, \
             json_each(r.receipt, '$.objects') o \
             where json_extract(r.receipt, '$.destination.url') = ? \
             and r.id not in (select receipt from expired)",
            [url],
            |row| row.get(0),
        )?;
        Ok(names.into_iter().collect())
    }

    fn numbered(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<(i64, Receipt)>, JournalError> {
        let rows: Vec<(i64, String)> =
            self.rows(query, parameters, |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.into_iter()
            .map(|(id, text)| {
                let receipt = serde_json::from_str(&text);
                Ok((id, receipt.map_err(|e| self.damaged(e.to_string()))?))
            })
            .collect()
    }
}
