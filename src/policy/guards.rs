//! Which of many statements can speak of a file, told by one capture's value.
//!
//! `keep for 30 days where {symbol} is "AAPL"` says nothing about any other symbol:
//! as one part of an `and` is false, all of it is. Ten thousand such statements are
//! looked up by the value instead of being asked one by one.

use std::collections::HashMap;

use super::ir::{Condition, Test};

/// Statements by the capture's value they insist on.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Statements that insist on none.
    open: Vec<usize>,
    by_value: Vec<(usize, HashMap<String, Vec<usize>>)>,
}

impl Guards {
    /// Enters statements' conditions in their order.
    pub(super) fn new<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Guards {
        let mut guards = Guards::default();
        for (index, condition) in conditions.enumerate() {
            let Some((capture, values)) = guard(condition) else {
                guards.open.push(index);
                continue;
            };
            let known = guards.by_value.iter().position(|(of, _)| *of == capture);
            let at = known.unwrap_or_else(|| {
                guards.by_value.push((capture, HashMap::new()));
                guards.by_value.len() - 1
            });
            if let Some((_, table)) = guards.by_value.get_mut(at) {
                for value in values {
                    let list = table.entry(value.clone()).or_default();
                    if list.last() != Some(&index) {
                        list.push(index);
                    }
                }
            }
        }
        guards
    }

    /// Statements that may hold for a file with these captures, ascending.
    pub(super) fn of(&self, captures: &[String]) -> Vec<usize> {
        let mut found = self.open.clone();
        for (capture, table) in &self.by_value {
            match captures.get(*capture) {
                Some(value) => found.extend(table.get(value).into_iter().flatten()),
                // Nothing is known: every one may hold.
                None => found.extend(table.values().flatten()),
            }
        }
        if !self.by_value.is_empty() {
            found.sort_unstable();
            found.dedup();
        }
        found
    }
}

/// The capture and the values without which a condition is false.
pub(crate) fn guard(condition: &Condition) -> Option<(usize, &[String])> {
    match condition {
        Condition::Test(Test::Capture { capture, values }) => Some((*capture, values)),
        Condition::All(parts) => parts.iter().find_map(guard),
        Condition::Any(_) | Condition::Not(_) | Condition::Test(_) => None,
    }
}
