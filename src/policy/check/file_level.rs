//! Statements at file level: protections, holds, breakers, pressure.

use std::ops::Range;
use std::rc::Rc;

use super::condition::Context;
use super::scope::Scope;
use super::uses::{Grant, Loaded, grants};
use super::{Checker, Written, one_line};
use crate::diagnostic::Diagnostic;
use crate::policy::ast::{self, Fill, Item, Literal, PressureOn, Spanned, Statement};
use crate::policy::ir::{Bound, Breaker, Hold, Mark, Pressure, Protection, Stage};
use crate::policy::template::Template;
use crate::units::Span;

impl Checker<'_> {
    pub(super) fn statement(&mut self, statement: &Statement<Item>) {
        match &statement.item {
            Item::Collection(_) | Item::Protect { .. } | Item::Hold(_)
                if self.grant < Grant::Protections => {}
            Item::Collection(collection) => {
                self.label(statement);
                self.collection(collection);
            }
            Item::Protect { template, filter } => {
                let rule = self.rule(statement);
                let protection = self.protection(rule, template, filter.as_ref());
                let protection = self.never_silent(protection, &statement.at);
                self.policy.protections.extend(protection);
            }
            Item::Hold(hold) => {
                let rule = self.rule(statement);
                let hold = self.hold(rule, statement, hold);
                let hold = self.never_silent(hold, &statement.at);
                self.policy.holds.extend(hold);
            }
            Item::Stop(stop) => match self.grant {
                Grant::Everything => self.stop(statement, stop, None),
                // A breaker of its own may be wider than the default.
                Grant::Additions => self.not_allowed(&statement.at),
                Grant::Protections | Grant::Types => {}
            },
            Item::Pressure(_) if self.grant == Grant::Additions => self.not_allowed(&statement.at),
            Item::Edition(_)
            | Item::Timezone(_)
            | Item::Type(_)
            | Item::Let(_)
            | Item::Use(_)
            | Item::Test(_) => self.label(statement),
            // Judged when every collection is known.
            Item::Pressure(_) => {}
        }
    }

    fn protection(
        &mut self,
        rule: usize,
        template: &Spanned<String>,
        filter: Option<&ast::Condition>,
    ) -> Option<Protection> {
        let template = self.template(template);
        let broken = template.is_none();
        let template = template.or_else(Template::everything)?;
        let condition = self.filter(filter, &Context::file(&template, broken));
        (!broken).then_some(())?;
        Some(Protection {
            rule,
            template,
            condition: condition?,
        })
    }

    fn hold(&mut self, rule: usize, statement: &Statement<Item>, hold: &ast::Hold) -> Option<Hold> {
        self.name("hold", &hold.name);
        if hold.name.value.trim().is_empty() {
            self.error(
                "R0370",
                hold.name.at.clone(),
                "a hold needs a name by which it is released",
                "write what it is for: `hold \"case 26-117\"`",
            );
        }
        let template = match &hold.template {
            Some(template) => self.template(template),
            None => Template::everything(),
        };
        let broken = template.is_none();
        let template = template.or_else(Template::everything)?;
        let condition = self.filter(hold.filter.as_ref(), &Context::file(&template, broken));
        let until = match &hold.until {
            // A day that is named still counts.
            Some(until) => Some(self.instants(until)?.1),
            None => None,
        };
        (!broken).then_some(())?;
        Some(Hold {
            rule,
            name: hold.name.value.clone(),
            text: self.alone(statement, hold.filter.as_ref()),
            until,
            template,
            condition: condition?,
        })
    }

    /// The statement as a policy of its own, with the types and constants it names, and
    /// owners by their numbers: it is read again where names may not be known.
    fn alone(&self, statement: &Statement<Item>, filter: Option<&ast::Condition>) -> String {
        let mut text = String::from("edition 2026\n");
        if let Some(name) = self
            .policy
            .timezone
            .as_ref()
            .and_then(|zone| zone.iana_name())
        {
            text += &format!("timezone \"{name}\"\n");
        }
        let begin = statement
            .label
            .as_ref()
            .map_or(statement.at.start, |label| label.at.end);
        let mut owners = Vec::new();
        filter
            .into_iter()
            .for_each(|filter| self.owners(filter, &mut owners));
        owners.sort_by_key(|(at, _)| at.start);
        let mut numbered = String::new();
        let mut from = begin;
        for (at, number) in owners {
            numbered += self.source.slice(&(from..at.start));
            numbered += &number.to_string();
            from = at.end;
        }
        numbered += self.source.slice(&(from..statement.at.end));
        let said = one_line(&numbered);
        let names = |name: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            said.split(|c| !is_part(c)).any(|word| word == name)
        };
        for (name, definition) in &self.scope.definitions {
            if names(name) {
                text += &format!("{}\n", one_line(definition));
            }
        }
        for (name, literal) in &self.scope.constants {
            if names(name) {
                text += &format!("let {name} = {}\n", exact(literal));
            }
        }
        text + &said + "\n"
    }

    /// Where a condition names users and groups, and their numbers.
    fn owners(&self, condition: &ast::Condition, found: &mut Vec<(Range<usize>, u32)>) {
        match condition {
            ast::Condition::All(parts) | ast::Condition::Any(parts) => {
                parts.iter().for_each(|part| self.owners(part, found));
            }
            ast::Condition::Not(part) => self.owners(part, found),
            ast::Condition::Test(test) => {
                let (who, look_up) = match &test.value {
                    ast::Test::OwnerIs(who) => (who, self.environment.user),
                    ast::Test::GroupIs(who) => (who, self.environment.group),
                    _ => return,
                };
                if let ast::Who::Name(name) = &who.value
                    && let Some(number) = look_up(name)
                {
                    found.push((who.at.clone(), number));
                }
            }
        }
    }

    pub(super) fn stop<T>(
        &mut self,
        statement: &Statement<T>,
        stop: &ast::Stop,
        collection: Option<usize>,
    ) {
        let rule = self.rule(statement);
        let bound = match stop {
            ast::Stop::Never => Bound::Never,
            ast::Stop::Over(bound) => match &bound.value {
                ast::Bound::Percent(percent) => Bound::Percent(*percent),
                ast::Bound::Files(files) => Bound::Files(*files),
                ast::Bound::Size(ast::Value::Literal(Literal::Count(number))) => {
                    self.error(
                        "R0105",
                        bound.at.clone(),
                        format!("`{number}` of what?"),
                        format!("write `{number} files`, `{number} MB` or `50% of files`"),
                    );
                    return;
                }
                ast::Bound::Size(value) => {
                    let value = Spanned {
                        value: value.clone(),
                        at: bound.at.clone(),
                    };
                    match self.size(&value) {
                        Some(bytes) => Bound::Bytes(bytes),
                        None => return,
                    }
                }
            },
        };
        let contradicted = self.policy.breakers.iter().any(|other| {
            other.collection == collection
                && (other.bound == Bound::Never) != (bound == Bound::Never)
        });
        if contradicted {
            self.error(
                "R0330",
                statement.at.clone(),
                "`stop never` and `stop if` contradict each other",
                "keep the one you mean",
            );
        }
        self.policy.breakers.push(Breaker {
            rule,
            collection,
            bound,
        });
    }

    /// Pressure, once every collection of every file is known.
    pub(super) fn pressures(&mut self, files: &[Loaded], scopes: &[Rc<Scope>]) {
        for ((file, scope), grant) in files.iter().zip(scopes).zip(grants(files)) {
            if grant != Grant::Everything {
                continue;
            }
            self.enter(&file.source, Rc::clone(scope), grant);
            for statement in &file.tree.statements {
                if let Item::Pressure(pressure) = &statement.item {
                    let rule = self.rule(statement);
                    let found = self.pressure(rule, pressure);
                    let found = self.never_silent(found, &statement.at);
                    self.policy.pressures.extend(found);
                }
            }
        }
    }

    fn pressure(&mut self, rule: usize, pressure: &ast::Pressure) -> Option<Pressure> {
        let stages: Vec<_> = pressure
            .stages
            .iter()
            .map(|stage| self.stage(stage))
            .collect();
        let above = self.fill(pressure.on, &pressure.above);
        let below = self.fill(pressure.on, &pressure.below);
        let (above, below) = (above?, below?);
        if below > above {
            self.error(
                "R0371",
                pressure.below.at.clone(),
                "this ends above the mark it begins at",
                "write less behind `free until below` than behind `is above`",
            );
            return None;
        }
        let mark = match pressure.on {
            PressureOn::Disk => Mark::Disk { above, below },
            PressureOn::Store => Mark::Store { above, below },
        };
        let again = self.policy.pressures.iter().any(|other| {
            matches!(
                (other.mark, mark),
                (Mark::Disk { .. }, Mark::Disk { .. }) | (Mark::Store { .. }, Mark::Store { .. })
            )
        });
        if again {
            self.error(
                "R0372",
                self.place(rule),
                "there are two `when` for the same thing",
                "put the stages into one, in the order they are to be emptied: `{ evict … then evict … }`",
            );
        }
        Some(Pressure {
            rule,
            mark,
            stages: stages.into_iter().collect::<Option<_>>()?,
        })
    }

    fn fill(&mut self, on: PressureOn, fill: &Spanned<Fill>) -> Option<u64> {
        match (on, &fill.value) {
            (PressureOn::Disk, Fill::Percent(percent)) => Some(*percent),
            (PressureOn::Store, Fill::Value(value)) => self.size(&Spanned {
                value: value.clone(),
                at: fill.at.clone(),
            }),
            (PressureOn::Disk, Fill::Value(_)) => {
                self.error(
                    "R0373",
                    fill.at.clone(),
                    "the mark of a disk is a share of it, not a size",
                    "write `when disk is above 90% full, free until below 80%`; the store's own bytes are `when store is above 40 GB`",
                );
                None
            }
            (PressureOn::Store, Fill::Percent(_)) => {
                self.error(
                    "R0373",
                    fill.at.clone(),
                    "the mark of a store is a size, not a share",
                    "write `when store is above 40 GB, free until below 35 GB`; the file system is `when disk is above 90% full`",
                );
                None
            }
        }
    }

    fn stage(&mut self, stage: &ast::Stage) -> Option<Stage> {
        let name = &stage.collection;
        let collections = &self.policy.collections;
        let index = collections.iter().position(|c| *c.name == *name.value);
        let Some((index, collection)) = index.zip(index.and_then(|i| collections.get(i))) else {
            let known: Vec<String> = collections.iter().map(|c| c.name.to_string()).collect();
            let help = match known.is_empty() {
                true => "a `when` evicts from a collection of this policy; write one".to_owned(),
                false => format!(
                    "there are {}",
                    known
                        .iter()
                        .map(|name| format!("`{name}`"))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            };
            let message = format!("there is no collection `{}`", name.value);
            let finding =
                Diagnostic::error("R0212", &self.source, name.at.clone(), message).help(help);
            self.unknown(finding, &name.value, &known, Written::Plain);
            return None;
        };
        let (template, clock) = (collection.template.clone(), collection.clock);
        self.collection = Some(name.value.clone());
        self.clockless = false;
        let context = Context::of_collection(&template, clock);
        let condition = self.filter(stage.filter.as_ref(), &context);
        let order = self.order(&stage.order, &context);
        self.collection = None;
        Some(Stage {
            collection: index,
            condition: condition?,
            order: order?,
        })
    }
}

/// A constant so that reading it again gives the same value.
fn exact(literal: &Literal) -> String {
    match literal {
        Literal::Span(Span::Exact(seconds)) => format!("{seconds} s"),
        Literal::Span(Span::Months(months)) => format!("{months} months"),
        Literal::Size(size) => format!("{} B", size.0),
        Literal::Count(count) => count.to_string(),
        Literal::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}
