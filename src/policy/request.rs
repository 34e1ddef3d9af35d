//! A person's own `delete always where …`, for one run.
//!
//! It goes through the same plan as the policy does: protections, holds, floors, hooks
//! and the breaker stay, and only what would delete by itself is left out.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::ir::{Condition, Delete, Policy, Rule, Test};

/// Which files somebody wants gone, by the values of their captures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Captures with the values they must have; none for every file of every
    /// collection.
    pub wanted: BTreeMap<String, String>,
    /// Who asked, in words for the journal: `DELETE /charts/AAPL/1h`.
    pub by: String,
}

impl Request {
    /// A request, as who asked put it. What a stranger wrote into it is escaped: it is
    /// shown on terminals.
    pub fn new(wanted: BTreeMap<String, String>, by: &str) -> Request {
        let by = by.escape_debug().to_string();
        Request { wanted, by }
    }

    /// The request as a statement of the language.
    fn text(&self) -> String {
        let mut text = "delete always".to_owned();
        for (index, (name, value)) in self.wanted.iter().enumerate() {
            let word = if index == 0 { "where" } else { "and" };
            let value = value.escape_debug();
            // A text is the one sink that cannot fail.
            let _ = write!(text, " {word} {{{name}}} is \"{value}\"");
        }
        text
    }
}

impl Policy {
    /// The names of captures that collections have, each once, in byte order.
    pub fn captures(&self) -> Vec<&str> {
        let all = self.collections.iter();
        let mut names: Vec<&str> = all
            .flat_map(|collection| collection.template.captures().iter())
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of its collections, in the order written.
    pub fn collection_names(&self) -> impl Iterator<Item = &str> {
        self.collections.iter().map(|c| &*c.name)
    }

    /// The same policy with one thing to delete: what is asked for. Nothing where no
    /// collection has all of the captures.
    ///
    /// Its digest stays: it is this policy's protections that the request stands under,
    /// and what latched this policy latches the request.
    pub fn requesting(mut self, request: &Request) -> Option<Policy> {
        let text = request.text();
        let mut asked = false;
        self.pressures.clear();
        for collection in &mut self.collections {
            collection.deletes.clear();
            collection.limits.clear();
            collection.replaces.clear();
            collection.backups.clear();
            collection.expiries.clear();
            collection.empties = None;
            let tests = request.wanted.iter().map(|(name, value)| {
                let capture = collection.template.capture(name)?;
                Some(Condition::Test(Test::Capture {
                    capture,
                    values: vec![value.clone()],
                }))
            });
            let Some(tests) = tests.collect::<Option<Vec<_>>>() else {
                continue;
            };
            asked = true;
            let rule = self.rules.len();
            self.rules.push(Rule {
                file: request.by.clone(),
                line: 0,
                label: None,
                because: None,
                collection: Some(collection.name.to_string()),
                text: text.clone(),
            });
            collection.deletes.push(Delete {
                rule,
                condition: Condition::All(tests),
            });
        }
        asked.then_some(self)
    }
}
