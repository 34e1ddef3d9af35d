//! Receipts that another journal recorded, found again beside their archives.

use super::{Journal, JournalError, chain};
use crate::fault::Point;
use crate::receipt::Receipt;

impl Journal {
    /// Takes receipts in that are not known yet; says how many there were. Their runs
    /// are entered too, as runs that are over and whose root nobody knows.
    pub fn adopt(&mut self, receipts: &[Receipt]) -> Result<u64, JournalError> {
        let mut rows = Vec::with_capacity(receipts.len());
        for receipt in receipts {
            let text = serde_json::to_string(receipt);
            let text = text.map_err(|error| self.damaged(error.to_string()))?;
            rows.push((receipt, text));
        }
        self.commit(Point::JournalReceipts, |c| {
            let mut adopted = 0;
            for (receipt, text) in &rows {
                let Receipt {
                    run,
                    store,
                    path,
                    at,
                    key,
                    ..
                } = receipt;
                let known: bool = c.query_row(
                    "select exists (select 1 from receipts where run = ? and store = ? \
                     and path = ? and json_extract(receipt, '$.key') = ?)",
                    (run, store, path, key),
                    |row| row.get(0),
                )?;
                if known {
                    continue;
                }
                let entered = c.execute(
                    "insert into runs (id, store, root, root_path, plan, policy, version, \
                     started, ended, state, planned_files, planned_bytes, found_files, rules) \
                     select ?1, ?2, '', '', '', '', '', ?3, ?3, 'completed', 0, 0, -1, '[]' \
                     where not exists (select 1 from runs where id = ?1)",
                    (run, store, at),
                )?;
                if entered > 0 {
                    chain::note(c, "run", run)?;
                    chain::note(c, "end", run)?;
                }
                c.execute(
                    "insert into receipts (run, store, path, at, receipt) values (?, ?, ?, ?, ?)",
                    (run, store, path, at, text),
                )?;
                chain::note(c, "receipt", &c.last_insert_rowid().to_string())?;
                adopted += 1;
            }
            Ok(adopted)
        })
    }
}
