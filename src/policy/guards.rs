//! Which of many statements can speak of a file, told by one capture's value.
//!
//! `keep for 30 days where {symbol} is "AAPL"` says nothing about any other symbol:
//! as one part of an `and` is false, all of it is. Ten thousand such statements are
//! looked up by the value instead of being asked one by one.

use std::collections::hash_map::Entry;

// What is looked up comes from names of files, but all that is in the tables from the
// policy: no name can make them slow.
use foldhash::{HashMap, HashMapExt};
use smallvec::SmallVec;

use super::ir::{Condition, Test};
use super::template::Values;

/// Statements by the capture's value they insist on.
#[derive(Debug, Default)]
pub(super) struct Guards {
    /// Statements that insist on none.
    open: Vec<usize>,
    by_value: Vec<(usize, HashMap<String, Few<Guarded>>)>,
}

/// A statement that is found by a value.
#[derive(Debug)]
struct Guarded {
    statement: usize,
    /// What is left of its condition for a file that has the value. Held here, so that
    /// asking does not walk through the policy's tree in search of it. Not for a list of
    /// values: each would hold a copy, and what is left may be a list as long.
    rest: Option<Condition>,
}

/// Mostly one, which then takes no memory of its own.
#[derive(Debug)]
enum Few<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Few<T> {
    fn push(&mut self, item: T) {
        match self {
            Few::Many(items) => items.push(item),
            Few::One(_) => {
                if let Few::One(first) = std::mem::replace(self, Few::Many(Vec::new())) {
                    *self = Few::Many(vec![first, item]);
                }
            }
        }
    }

    fn iter(&self) -> std::slice::Iter<'_, T> {
        match self {
            Few::One(item) => std::slice::from_ref(item).iter(),
            Few::Many(items) => items.iter(),
        }
    }
}

impl Few<Guarded> {
    /// Statements are entered one after the other, so only the last can be this one.
    fn last_is_of(&self, statement: usize) -> bool {
        self.iter()
            .last()
            .is_some_and(|it| it.statement == statement)
    }
}

/// Statements with what is left to be asked; few, mostly.
type Candidates<'g> = SmallVec<[(usize, Option<&'g Condition>); 4]>;

impl Guards {
    /// Enters statements' conditions in their order.
    pub(super) fn new<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Guards {
        let mut guards = Guards::default();
        for (statement, condition) in conditions.enumerate() {
            let Some((capture, values)) = guard(condition) else {
                guards.open.push(statement);
                continue;
            };
            let known = guards.by_value.iter().position(|(of, _)| *of == capture);
            let at = known.unwrap_or_else(|| {
                guards.by_value.push((capture, HashMap::new()));
                guards.by_value.len() - 1
            });
            let Some((_, table)) = guards.by_value.get_mut(at) else {
                continue;
            };
            for value in values {
                let rest = (values.len() == 1).then(|| without_guard(condition));
                let guarded = Guarded { statement, rest };
                match table.entry(value.clone()) {
                    // A list may name a value twice.
                    Entry::Occupied(few) if few.get().last_is_of(statement) => {}
                    Entry::Occupied(mut few) => few.get_mut().push(guarded),
                    Entry::Vacant(few) => drop(few.insert(Few::One(guarded))),
                }
            }
        }
        guards
    }

    /// The first answer about statements that may hold for a file with these captures,
    /// ascending, each with what is left to be asked where that is less than its whole
    /// condition.
    pub(super) fn find_map<'g, T>(
        &'g self,
        captures: Values<'_>,
        mut ask: impl FnMut(usize, Option<&'g Condition>) -> Option<T>,
    ) -> Option<T> {
        // Most files have no statement of their own.
        let is_named = |(capture, table): &(usize, HashMap<String, Few<Guarded>>)| {
            let value = captures.get(*capture);
            value.is_none_or(|value| table.contains_key(value))
        };
        if !self.by_value.iter().any(is_named) {
            return self.open.iter().find_map(|&statement| ask(statement, None));
        }
        let found = self.of(captures).into_iter();
        let mut found = found.map(|(statement, left)| ask(statement, left));
        found.find_map(|answer| answer)
    }

    /// All of them.
    fn of(&self, captures: Values<'_>) -> Candidates<'_> {
        let whole = |statement: usize| (statement, None);
        let mut found: Candidates<'_> = self.open.iter().copied().map(whole).collect();
        for (capture, table) in &self.by_value {
            match captures.get(*capture) {
                Some(value) => {
                    let of_value = table.get(value).into_iter().flat_map(Few::iter);
                    found.extend(of_value.map(|it| (it.statement, it.rest.as_ref())));
                }
                // Nothing is known: every one may hold.
                None => {
                    let all = table.values().flat_map(Few::iter);
                    found.extend(all.map(|it| whole(it.statement)));
                }
            }
        }
        if found.len() > 1 {
            found.sort_unstable_by_key(|(statement, _)| *statement);
            found.dedup_by_key(|(statement, _)| *statement);
        }
        found
    }
}

/// A condition without the part that [`guard`] finds, for a file of which that part is
/// true: an `and` is what its other parts are then.
fn without_guard(condition: &Condition) -> Condition {
    let Condition::All(parts) = condition else {
        return Condition::All(Vec::new());
    };
    let at = parts.iter().position(|part| guard(part).is_some());
    let rest =
        parts
            .iter()
            .enumerate()
            .filter_map(|(index, part)| match (Some(index) == at, part) {
                (true, Condition::Test(_)) => None,
                (true, part) => Some(without_guard(part)),
                (false, part) => Some(part.clone()),
            });
    let mut rest: Vec<Condition> = rest.collect();
    match rest.len() {
        1 => rest.remove(0),
        _ => Condition::All(rest),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::ast::Comparison;
    use crate::policy::template::{Spans, TemplateText};

    fn capture(capture: usize, values: &[&str]) -> Condition {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Condition::Test(Test::Capture { capture, values })
    }

    fn large() -> Condition {
        let (comparison, bytes) = (Comparison::Over, 3);
        Condition::Test(Test::Size { comparison, bytes })
    }

    #[test]
    fn a_statement_is_found_once_by_its_value_and_asked_only_what_is_left() {
        let conditions = [
            Condition::All(vec![large(), capture(0, &["a", "b", "a"])]),
            large(),
            capture(1, &["x"]),
            Condition::All(vec![
                Condition::All(vec![capture(0, &["a"]), large()]),
                capture(1, &["x"]),
            ]),
        ];
        let guards = Guards::new(conditions.iter());
        let template = |count| ["{a}", "{a}/{b}"][count - 1];
        let of = |captures: &[&str]| {
            let path = captures.join("/");
            let spans = match captures.len() {
                0 => Spans::default(),
                count => {
                    let text = TemplateText::parse(template(count)).unwrap();
                    let template = text.compile(&Default::default()).unwrap();
                    template.matches(path.as_bytes()).unwrap()
                }
            };
            let found = guards.of(spans.values(path.as_bytes())).into_iter();
            let found =
                found.map(|(statement, rest)| (statement, rest.map(|it| format!("{it:?}"))));
            found.collect::<Vec<_>>()
        };
        let nothing = Some(format!("{:?}", Condition::All(Vec::new())));
        assert_eq!(of(&["b", "y"]), [(0, None), (1, None)]);
        assert_eq!(of(&["c", "x"]), [(1, None), (2, nothing)]);
        let both = Condition::All(vec![large(), capture(1, &["x"])]);
        let both = Some(format!("{both:?}"));
        assert_eq!(of(&["a", "y"]), [(0, None), (1, None), (3, both)]);
        // A file whose captures are not known is asked everything, each once.
        assert_eq!(of(&[]), [(0, None), (1, None), (2, None), (3, None)]);
    }
}
