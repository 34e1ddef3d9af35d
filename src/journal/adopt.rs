//! Receipts that another journal recorded, found again beside their archives.

use rusqlite::TransactionBehavior;

use super::{Journal, JournalError, chain};
use crate::receipt::Receipt;

impl Journal {
    /// Takes receipts in that are not known yet; says how many there were. Their runs
    /// are entered too, as runs that are over.
    pub fn adopt(&mut self, receipts: &[Receipt]) -> Result<u64, JournalError> {
        let directory = self.directory.clone();
        let failed = |source| JournalError::Database {
            directory: directory.clone(),
            source,
        };
        let damaged = |reason: String| JournalError::Damaged {
            directory: directory.clone(),
            reason,
        };
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        let mut adopted = 0;
        for receipt in receipts {
            let Receipt {
                run,
                store,
                path,
                at,
                key,
                ..
            } = receipt;
            let known: bool = transaction
                .query_row(
                    "select exists (select 1 from receipts where run = ? and store = ? \
                     and path = ? and json_extract(receipt, '$.key') = ?)",
                    (run, store, path, key),
                    |row| row.get(0),
                )
                .map_err(failed)?;
            if known {
                continue;
            }
            let text =
                serde_json::to_string(receipt).map_err(|error| damaged(error.to_string()))?;
            let entered = transaction
                .execute(
                    "insert into runs (id, store, root, root_path, plan, policy, version, \
                     started, ended, state, planned_files, planned_bytes, found_files, rules) \
                     values (?1, ?2, '', '', '', '', '', ?3, ?3, 'completed', 0, 0, -1, '[]') \
                     on conflict (id) do nothing",
                    (run, store, at),
                )
                .map_err(failed)?;
            if entered > 0 {
                chain::note(&transaction, "run", run).map_err(failed)?;
                chain::note(&transaction, "end", run).map_err(failed)?;
            }
            transaction
                .execute(
                    "insert into receipts (run, store, path, at, receipt) values (?, ?, ?, ?, ?)",
                    (run, store, path, at, text),
                )
                .map_err(failed)?;
            let receipt = transaction.last_insert_rowid().to_string();
            chain::note(&transaction, "receipt", &receipt).map_err(failed)?;
            adopted += 1;
        }
        transaction.commit().map_err(failed)?;
        Ok(adopted)
    }
}
