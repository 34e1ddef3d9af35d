//! The journal as lines of JSON, for whoever keeps records elsewhere.

use rusqlite::types::ValueRef;
use serde_json::{Map, Value, json};

use super::chain::{KINDS, hexadecimal};
use super::{Journal, JournalError, form};

impl Journal {
    /// Shows every record of the chain in its order, one JSON object each.
    ///
    /// A record whose row was written anew since shows its latest content; `head` is
    /// its hash in the chain either way.
    pub fn export(&self, see: &mut dyn FnMut(&Value) -> bool) -> Result<(), JournalError> {
        let records: Vec<(i64, String, String, Vec<u8>)> = self.rows(
            "select sequence, kind, subject, hash from chain order by sequence",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )?;
        for (sequence, name, subject, hash) in records {
            let mut record = json!({
                "sequence": sequence,
                "kind": name,
                "subject": subject,
                "head": hexadecimal(&hash),
            });
            let kind = KINDS.iter().find(|kind| kind.name == name);
            if let (Some(kind), Some(fields)) = (kind, record.as_object_mut()) {
                let content = self.content(kind.row, &subject)?;
                fields.insert("content".to_owned(), content);
            }
            if !see(&record) {
                break;
            }
        }
        Ok(())
    }

    fn content(&self, row: &str, subject: &str) -> Result<Value, JournalError> {
        let rows = self.rows(row, [subject], |row| {
            let mut columns = Vec::new();
            for (index, name) in row.as_ref().column_names().enumerate() {
                columns.push((name.to_owned(), Column::of(row.get_ref(index)?)));
            }
            Ok(columns)
        })?;
        let Some(columns) = rows.into_iter().next() else {
            return Ok(Value::Null);
        };
        let mut content = Map::new();
        for (name, column) in columns {
            let value = match column {
                Column::Plain(value) => value,
                Column::Blob(blob) => self.unfolded(&name, &blob)?,
            };
            content.insert(name, value);
        }
        Ok(Value::Object(content))
    }

    /// A batch's blob as people read it.
    fn unfolded(&self, column: &str, blob: &[u8]) -> Result<Value, JournalError> {
        let list: Result<Vec<Value>, String> = match column {
            "intents" => form::read_intents(blob).map(|intents| {
                let shown = intents.iter().map(|intent| {
                    json!({
                        "path": intent.path.to_string(),
                        "rule": intent.rule,
                        "inode": intent.facts.id.inode,
                        "size": intent.facts.size,
                        "modified": intent.facts.modified.to_string(),
                    })
                });
                shown.collect()
            }),
            "outcomes" => form::read_outcomes(blob).map(|outcomes| {
                let shown = outcomes.iter().map(
                    |outcome| json!({ "outcome": outcome.word(), "message": outcome.to_string() }),
                );
                shown.collect()
            }),
            _ => form::read_files(blob).map(|files| {
                let shown = files.iter().map(|(path, outcome)| {
                    json!({ "path": path.to_string(), "outcome": outcome.word() })
                });
                shown.collect()
            }),
        };
        list.map(Value::Array)
            .map_err(|reason| self.damaged(reason))
    }
}

enum Column {
    Plain(Value),
    Blob(Vec<u8>),
}

impl Column {
    fn of(value: ValueRef<'_>) -> Column {
        match value {
            ValueRef::Null => Column::Plain(Value::Null),
            ValueRef::Integer(number) => Column::Plain(number.into()),
            ValueRef::Real(number) => Column::Plain(number.into()),
            ValueRef::Text(text) => {
                Column::Plain(String::from_utf8_lossy(text).into_owned().into())
            }
            ValueRef::Blob(blob) => Column::Blob(blob.to_vec()),
        }
    }
}
