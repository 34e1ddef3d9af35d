//! What stands in a collection.

use std::ops::Range;

use pest::iterators::Pair;

use super::{Lower, Node, Rule, answers, find, is_keyword};
use crate::diagnostic::nearest;
use crate::policy::ast::{
    Argument, Arguments, BackUp, Before, Clock, Condition, DeleteBackups, DownTo, Keep, Limit,
    Literal, Measure, Order, Period, Replace, Spanned, Value, When,
};

impl Lower<'_> {
    pub(super) fn clock(&mut self, node: Node<'_>) -> Option<Spanned<Clock>> {
        let at = self.at(&node);
        let clock = node.into_inner().find(|part| !is_keyword(part))?;
        let value = match clock.as_rule() {
            Rule::last_accessed => Clock::LastAccessed,
            Rule::created => Clock::Created,
            Rule::capture => Clock::Capture(self.identifier(clock)),
            _ => match find(clock, Rule::or_changed) {
                Some(_) => Clock::LastModifiedOrChanged,
                None => Clock::LastModified,
            },
        };
        Some(Spanned { value, at })
    }

    pub(super) fn delete(&mut self, node: Node<'_>) -> Option<When> {
        Some(match find(node, Rule::condition) {
            Some(condition) => When::If(self.condition(condition)?),
            None => When::Always,
        })
    }

    pub(super) fn limit(&mut self, node: Node<'_>) -> Option<Limit> {
        let whole = self.at(&node);
        let measure = match node.as_rule() {
            Rule::limit_count => Measure::Count,
            _ => Measure::TotalSize,
        };
        let (mut cap, mut per, mut filter, mut order, mut down_to) =
            (None, Vec::new(), None, None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::value => cap = Some(self.value(part)?),
                Rule::per => per = self.per(part),
                Rule::filter => filter = self.filter(Some(part))?,
                Rule::evicting => order = Some(self.order(find(part, Rule::order)?)?),
                Rule::down_to => down_to = Some(self.down_to(part)?),
                _ => {}
            }
        }
        let Some(order) = order else {
            let finding = self
                .error("R0111", whole.end..whole.end, "this limit does not say which files go first")
                .help("add `, evicting oldest first` (or `largest first`, `smallest first`, `least recently used first`)")
                .edit(whole.end..whole.end, ", evicting oldest first");
            self.wrong(finding);
            return None;
        };
        Some(Limit {
            measure,
            cap: cap?,
            per,
            filter,
            order,
            down_to,
        })
    }

    fn per(&self, node: Node<'_>) -> Vec<Spanned<String>> {
        let grouping = find(node, Rule::grouping)
            .into_iter()
            .flat_map(Pair::into_inner);
        grouping
            .filter(|part| part.as_rule() == Rule::capture)
            .map(|part| self.identifier(part))
            .collect()
    }

    pub(super) fn order(&mut self, node: Node<'_>) -> Option<Spanned<Order>> {
        let at = self.at(&node);
        let order = node.into_inner().next()?;
        let value = match order.as_rule() {
            Rule::oldest => Order::Oldest,
            Rule::largest => Order::Largest,
            Rule::smallest => Order::Smallest,
            Rule::least_recently_used => Order::LeastRecentlyUsed,
            _ => Order::Lowest(self.identifier(find(order, Rule::capture)?)),
        };
        Some(Spanned { value, at })
    }

    fn down_to(&mut self, node: Node<'_>) -> Option<Spanned<DownTo>> {
        let amount = node.into_inner().find(|part| !is_keyword(part))?;
        let at = self.at(&amount);
        let value = match amount.as_rule() {
            Rule::percent => DownTo::Percent(self.percent(amount)?.value),
            _ => DownTo::Value(self.value(amount)?.value),
        };
        Some(Spanned { value, at })
    }

    pub(super) fn keep(&mut self, node: Node<'_>) -> Option<Keep> {
        let whole = self.at(&node);
        let form = node.into_inner().nth(1)?;
        if form.as_rule() == Rule::k_always {
            return Some(Keep::Always);
        }
        let rule = form.as_rule();
        if rule == Rule::keep_slots {
            return self.slots(form);
        }
        let (mut amount, mut per, mut filter, mut condition) = (None, Vec::new(), None, None);
        for part in form.into_inner() {
            match part.as_rule() {
                Rule::value => amount = Some(self.value(part)?),
                Rule::per => per = self.per(part),
                Rule::filter => filter = self.filter(Some(part))?,
                Rule::condition => condition = Some(self.condition(part)?),
                _ => {}
            }
        }
        match rule {
            Rule::keep_when => Some(Keep::When(condition?)),
            Rule::keep_for => Some(Keep::For {
                span: amount?,
                filter,
            }),
            Rule::keep_newest => Some(Keep::Newest {
                count: amount?,
                per,
                filter,
            }),
            _ => {
                let finding = answers::keep_at_most(self.source, whole, amount.as_ref(), &per);
                self.wrong(finding);
                None
            }
        }
    }

    pub(super) fn filter(&mut self, node: Option<Node<'_>>) -> Option<Option<Condition>> {
        match node.and_then(|node| find(node, Rule::condition)) {
            Some(condition) => self.condition(condition).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn before(&mut self, node: Node<'_>) -> Option<Before> {
        let (mut plugin, mut arguments, mut destination) = (None, Vec::new(), None);
        let mut anyway = None;
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::ident => plugin = Some(self.identifier(part)),
                Rule::arguments => arguments = self.arguments(part)?,
                Rule::into => {
                    destination = find(part, Rule::ident).map(|name| self.identifier(name))
                }
                Rule::otherwise => {
                    anyway = find(part, Rule::delete_anyway).map(|words| self.at(&words));
                }
                _ => {}
            }
        }
        Some(Before {
            plugin: plugin?,
            arguments,
            destination,
            anyway,
        })
    }

    pub(super) fn replace(&mut self, node: Node<'_>) -> Option<Replace> {
        let (mut condition, mut plugin, mut arguments) = (None, None, Vec::new());
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::condition => condition = Some(self.condition(part)?),
                Rule::ident => plugin = Some(self.identifier(part)),
                Rule::arguments => arguments = self.arguments(part)?,
                _ => {}
            }
        }
        Some(Replace {
            condition: condition?,
            plugin: plugin?,
            arguments,
        })
    }

    pub(super) fn back_up(&mut self, node: Node<'_>) -> Option<BackUp> {
        let (mut words, mut arguments, mut destination) = (Vec::new(), Vec::new(), None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::ident => words.push(self.identifier(part)),
                Rule::arguments => arguments = self.arguments(part)?,
                Rule::into => {
                    destination = find(part, Rule::ident).map(|name| self.identifier(name))
                }
                _ => {}
            }
        }
        let plugin = words.pop()?;
        let period = match words.pop() {
            Some(word) => Some(self.period(&word)?),
            None => None,
        };
        Some(BackUp {
            period,
            plugin,
            arguments,
            destination: destination?,
        })
    }

    pub(super) fn delete_backups(&mut self, node: Node<'_>) -> Option<DeleteBackups> {
        let (mut age, mut newest) = (None, None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::value => age = Some(self.value(part)?),
                Rule::keeping => newest = Some(self.value(find(part, Rule::value)?)?),
                _ => {}
            }
        }
        Some(DeleteBackups { age: age?, newest })
    }

    /// How often, of the three there are.
    fn period(&mut self, word: &Spanned<String>) -> Option<Period> {
        let name = word.value.as_str();
        let known = BackUp::PERIODS.iter().find(|period| period.word() == name);
        if known.is_some() {
            return known.copied();
        }
        let finding = self.error(
            "R0102",
            word.at.clone(),
            format!("`{name}` is not how often files are backed up"),
        );
        let near = match name {
            "hour" | "hours" => Some("hourly"),
            "day" | "days" | "nightly" => Some("daily"),
            "week" | "weeks" => Some("weekly"),
            name => {
                let words = BackUp::PERIODS.iter().map(|period| period.word());
                crate::diagnostic::nearest(name, words)
            }
        };
        let finding = match near {
            Some(near) => finding
                .help(format!("write `back up {near}`"))
                .edit(word.at.clone(), near.to_owned()),
            None => finding.help(
                "write `hourly`, `daily` or `weekly`, or nothing for every generation of a file",
            ),
        };
        self.wrong(finding);
        None
    }

    /// `24 hourly, 7 daily per {series}`.
    fn slots(&mut self, node: Node<'_>) -> Option<Keep> {
        let (mut slots, mut per, mut filter) = (Vec::new(), Vec::new(), None);
        for part in node.into_inner() {
            match part.as_rule() {
                Rule::slot => slots.push(self.slot(part)?),
                Rule::per => per = self.per(part),
                Rule::filter => filter = self.filter(Some(part))?,
                _ => {}
            }
        }
        Some(Keep::Slots { slots, per, filter })
    }

    fn slot(&mut self, node: Node<'_>) -> Option<(Spanned<u64>, Period)> {
        let whole = self.at(&node);
        let mut parts = node.into_inner();
        let count = self.count(parts.next()?)?;
        let word = self.identifier(parts.next()?);
        let known = Period::WORDS.iter().find(|(name, _)| *name == word.value);
        if let Some((_, period)) = known {
            return Some((count, *period));
        }
        let finding = self.not_a_slot(whole, count.value, &word);
        self.wrong(finding);
        None
    }

    /// What stands behind a span on its line, up to a comment or the end of a block.
    fn rest_of_line(&self, at: &Range<usize>) -> &str {
        let rest = self.source.text().get(at.end..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        line.split(['#', '"']).next().unwrap_or_default().trim_end()
    }

    fn not_a_slot(
        &self,
        whole: Range<usize>,
        count: u64,
        word: &Spanned<String>,
    ) -> crate::diagnostic::Diagnostic {
        let name = word.value.as_str();
        if matches!(name, "newest" | "latest" | "last" | "recent") {
            let instead = format!("newest {count}");
            return self
                .error("R0102", whole.clone(), "the number stands behind `newest`")
                .help(format!(
                    "write `keep {instead}{}`",
                    self.rest_of_line(&whole)
                ))
                .edit(whole, instead);
        }
        let instead = match name {
            "hour" | "hours" => Some("hourly"),
            "day" | "days" => Some("daily"),
            "week" | "weeks" => Some("weekly"),
            "month" | "months" => Some("monthly"),
            "quarter" | "quarters" => Some("quarterly"),
            "year" | "years" => Some("yearly"),
            _ => nearest(name, Period::WORDS.iter().map(|(word, _)| *word)),
        };
        let finding = self.error(
            "R0102",
            word.at.clone(),
            format!("`{name}` is not a slot of the calendar"),
        );
        match (instead, crate::units::SpanUnit::of(name)) {
            (Some(slot), Some(_)) => finding.help(format!(
                "write `keep {count} {slot}` for the newest file of each of {count} periods, or `keep for {count} {name}` for all files of that age"
            )),
            (Some(slot), None) => finding
                .help(format!("did you mean `keep {count} {slot}`?"))
                .edit(word.at.clone(), slot),
            (None, _) => finding.help(
                "slots are `hourly`, `daily`, `weekly`, `monthly`, `quarterly` and `yearly`; the newest files are `keep newest 3`",
            ),
        }
    }

    fn arguments(&mut self, node: Node<'_>) -> Option<Arguments> {
        let arguments: Vec<_> = node
            .into_inner()
            .map(|argument| self.argument(argument))
            .collect();
        arguments.into_iter().collect()
    }

    fn argument(&mut self, node: Node<'_>) -> Option<(Spanned<String>, Spanned<Argument>)> {
        let mut parts = node.into_inner();
        let name = self.identifier(parts.next()?);
        let value = parts.next()?;
        let at = self.at(&value);
        let inner = value.into_inner().next()?;
        let value = match inner.as_rule() {
            Rule::k_true => Argument::Flag(true),
            Rule::k_false => Argument::Flag(false),
            Rule::text => Argument::Value(Value::Literal(Literal::Text(self.text(inner).value))),
            Rule::list => Argument::List(self.list(inner)?),
            _ => Argument::Value(self.value(inner)?.value),
        };
        Some((name, Spanned { value, at }))
    }

    fn list(&mut self, node: Node<'_>) -> Option<Vec<Spanned<Value>>> {
        let items = node
            .into_inner()
            .filter_map(|item| item.into_inner().next());
        items
            .map(|item| match item.as_rule() {
                Rule::text => {
                    let text = self.text(item);
                    Some(Spanned {
                        value: Value::Literal(Literal::Text(text.value)),
                        at: text.at,
                    })
                }
                _ => self.value(item),
            })
            .collect()
    }
}
