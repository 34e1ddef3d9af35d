//! One collection: its clock, its statements, and limits that would contradict each other.

use serde_json::Value as Json;

use super::Checker;
use super::condition::{ClockHere, Context};
use crate::diagnostic::Diagnostic;
use crate::policy::ast::{
    self, Argument, Clock, DownTo, Literal, Measure, Member, Order, Spanned, Statement, When,
};
use crate::policy::ir::{Collection, Condition, Delete, Direction, Floor, Hook, Keep, Limit, Test};
use crate::policy::template::Template;
use crate::units::Span;

impl Checker<'_> {
    pub(super) fn collection(&mut self, collection: &ast::Collection) {
        self.collection = Some(collection.name.value.clone());
        let clock = self.clock(collection);
        if let Some(template) = self.template(&collection.template) {
            let index = self.policy.collections.len();
            self.policy.collections.push(Collection {
                name: collection.name.value.clone(),
                template: template.clone(),
                clock,
                deletes: Vec::new(),
                limits: Vec::new(),
                keeps: Vec::new(),
                floors: Vec::new(),
                hooks: Vec::new(),
            });
            self.templates.push(collection.template.at.clone());
            let context = Context {
                template: &template,
                clock: clock.map_or(ClockHere::Unsaid, ClockHere::Measured),
            };
            for member in &collection.members {
                self.member(index, member, &context);
            }
            self.order_limits(index, &template);
        }
        self.collection = None;
    }

    fn clock(&mut self, collection: &ast::Collection) -> Option<Clock> {
        let mut clocks = collection
            .members
            .iter()
            .filter_map(|member| match &member.item {
                Member::Clock(clock) => Some(clock),
                _ => None,
            });
        let first = clocks.next()?;
        if let Some(second) = clocks.next() {
            let finding = Diagnostic::error(
                "R0312",
                self.source,
                second.at.clone(),
                "this collection already has a clock",
            )
            .also(first.at.clone(), "the first one")
            .help("a collection measures every age from one clock; keep one of the two");
            self.findings.push(finding);
        }
        Some(first.value)
    }

    fn member(&mut self, index: usize, member: &Statement<Member>, context: &Context<'_>) {
        match &member.item {
            Member::Clock(_) => self.label(member),
            Member::Stop(stop) => self.stop(member, stop, Some(index)),
            Member::Delete(when) => {
                let rule = self.rule(member);
                let condition = match when {
                    When::Always => Some(Condition::always()),
                    When::If(condition) => self.condition(condition, context),
                };
                self.extend(index, condition, |collection, condition| {
                    collection.deletes.push(Delete { rule, condition })
                });
            }
            Member::Limit(limit) => {
                let limit = self.limit(member, limit, context);
                self.extend(index, limit, |collection, limit| {
                    collection.limits.push(limit)
                });
            }
            Member::Keep(ast::Keep::Newest { count, per, filter }) => {
                let floor = self.floor(member, count, per, filter.as_ref(), context);
                self.extend(index, floor, |collection, floor| {
                    collection.floors.push(floor)
                });
            }
            Member::Keep(keep) => {
                let rule = self.rule(member);
                let condition = self.keep(keep, &member.at, context);
                self.extend(index, condition, |collection, condition| {
                    collection.keeps.push(Keep { rule, condition })
                });
            }
            Member::Before(before) => {
                let hook = self.hook(member, before);
                self.extend(index, hook, |collection, hook| collection.hooks.push(hook));
            }
        }
    }

    fn extend<T>(&mut self, index: usize, item: Option<T>, push: impl FnOnce(&mut Collection, T)) {
        if let (Some(collection), Some(item)) = (self.policy.collections.get_mut(index), item) {
            push(collection, item);
        }
    }

    fn keep(
        &mut self,
        keep: &ast::Keep,
        at: &std::ops::Range<usize>,
        context: &Context<'_>,
    ) -> Option<Condition> {
        match keep {
            ast::Keep::Always | ast::Keep::Newest { .. } => Some(Condition::always()),
            ast::Keep::When(condition) => self.condition(condition, context),
            ast::Keep::For { span, filter } => {
                let filter = self.filter(filter.as_ref(), context);
                let ClockHere::Measured(clock) = context.clock else {
                    self.clock_needed(at.clone());
                    return None;
                };
                let age: Span = self.span(span)?;
                let newer = Test::Age {
                    clock,
                    direction: Direction::Newer,
                    span: self.span_index(age, &span.at),
                };
                Some(Condition::All(vec![Condition::Test(newer), filter?]))
            }
        }
    }

    fn floor(
        &mut self,
        member: &Statement<Member>,
        count: &Spanned<ast::Value>,
        per: &[Spanned<String>],
        filter: Option<&ast::Condition>,
        context: &Context<'_>,
    ) -> Option<Floor> {
        let rule = self.rule(member);
        if context.clock == ClockHere::Unsaid {
            self.clock_needed(member.at.clone());
        }
        let count = self.number(count);
        let per = self.per(per, context);
        let condition = self.filter(filter, context);
        Some(Floor {
            rule,
            count: usize::try_from(count?).unwrap_or(usize::MAX),
            per: per?,
            condition: condition?,
        })
    }

    fn limit(
        &mut self,
        member: &Statement<Member>,
        limit: &ast::Limit,
        context: &Context<'_>,
    ) -> Option<Limit> {
        let rule = self.rule(member);
        if limit.order.value == Order::OldestFirst && context.clock == ClockHere::Unsaid {
            self.clock_needed(limit.order.at.clone());
        }
        let cap = match limit.measure {
            Measure::TotalSize => self.size(&limit.cap),
            Measure::Count => self.number(&limit.cap),
        };
        let per = self.per(&limit.per, context);
        let condition = self.filter(limit.filter.as_ref(), context);
        let cap = cap?;
        let down_to = match &limit.down_to {
            Some(down_to) => self.down_to(down_to, cap)?,
            None => cap,
        };
        Some(Limit {
            rule,
            measure: limit.measure,
            cap,
            down_to,
            per: per?,
            condition: condition?,
            order: limit.order.value,
        })
    }

    fn down_to(&mut self, down_to: &Spanned<DownTo>, cap: u64) -> Option<u64> {
        let floor = match &down_to.value {
            // Rounded up: in doubt, keep.
            DownTo::Percent(percent) => {
                u64::try_from((u128::from(cap) * u128::from(*percent)).div_ceil(100)).unwrap_or(cap)
            }
            DownTo::Value(value) => self.size(&Spanned {
                value: value.clone(),
                at: down_to.at.clone(),
            })?,
        };
        if floor > cap {
            self.error(
                "R0321",
                down_to.at.clone(),
                "`down to` is more than the limit itself",
                "write less than the limit, such as `down to 80%`",
            );
            return None;
        }
        Some(floor)
    }

    fn per(&mut self, per: &[Spanned<String>], context: &Context<'_>) -> Option<Vec<usize>> {
        let found: Vec<_> = per
            .iter()
            .map(|capture| self.capture(capture, context))
            .collect();
        let mut found = found.into_iter().collect::<Option<Vec<_>>>()?;
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    fn hook(&mut self, member: &Statement<Member>, before: &ast::Before) -> Option<Hook> {
        let rule = self.rule(member);
        let mut arguments = serde_json::Map::new();
        let mut arguments_at = Vec::new();
        for (name, argument) in &before.arguments {
            if arguments.contains_key(&name.value) {
                self.error(
                    "R0341",
                    name.at.clone(),
                    format!("the argument `{}` is given twice", name.value),
                    "keep one of the two",
                );
            }
            let value = self.argument(argument)?;
            arguments.insert(name.value.clone(), value);
            arguments_at.push((name.value.clone(), argument.at.clone()));
        }
        Some(Hook {
            rule,
            plugin: before.plugin.value.clone(),
            plugin_at: before.plugin.at.clone(),
            arguments,
            arguments_at,
            destination: before
                .destination
                .as_ref()
                .map(|name| (name.value.clone(), name.at.clone())),
        })
    }

    fn argument(&mut self, argument: &Spanned<Argument>) -> Option<Json> {
        Some(match &argument.value {
            Argument::Flag(flag) => Json::Bool(*flag),
            Argument::Value(value) => {
                let value = Spanned {
                    value: value.clone(),
                    at: argument.at.clone(),
                };
                self.json(&value)?
            }
            Argument::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.json(item)).collect();
                Json::Array(items.into_iter().collect::<Option<_>>()?)
            }
        })
    }

    /// Sizes arrive at a plugin as bytes, ages as milliseconds.
    fn json(&mut self, value: &Spanned<ast::Value>) -> Option<Json> {
        Some(match self.resolve(value)? {
            Literal::Text(text) => Json::String(text),
            Literal::Count(count) => Json::from(count),
            Literal::Size(size) => Json::from(size.0),
            Literal::Span(Span::Exact(seconds)) => Json::from(seconds.saturating_mul(1000)),
            Literal::Span(Span::Months(_)) => {
                self.error(
                    "R0341",
                    value.at.clone(),
                    "a plugin is given exact times only",
                    "write it in days, such as `90 days`",
                );
                return None;
            }
        })
    }

    /// Puts limits into the order they are applied in, and refuses sets without one.
    fn order_limits(&mut self, index: usize, template: &Template) {
        let Some(mut limits) = self
            .policy
            .collections
            .get_mut(index)
            .map(|collection| std::mem::take(&mut collection.limits))
        else {
            return;
        };
        for (position, limit) in limits.iter().enumerate() {
            for other in limits.iter().take(position) {
                self.comparable(limit, other, template);
            }
        }
        // The order written decides nothing: equal scopes go by what they say.
        let rules = &self.policy.rules;
        limits.sort_by_cached_key(|limit| {
            let text = rules
                .get(limit.rule)
                .map(|rule| rule.text.clone())
                .unwrap_or_default();
            let unfiltered = matches!(&limit.condition, Condition::All(parts) if parts.is_empty());
            (
                std::cmp::Reverse(limit.per.len()),
                unfiltered,
                limit.measure,
                limit.cap,
                text,
            )
        });
        if let Some(collection) = self.policy.collections.get_mut(index) {
            collection.limits = limits;
        }
    }

    fn comparable(&mut self, limit: &Limit, other: &Limit, template: &Template) {
        let within = |a: &Limit, b: &Limit| a.per.iter().all(|capture| b.per.contains(capture));
        let line = self
            .policy
            .rules
            .get(other.rule)
            .map_or(0, |rule| rule.line);
        let at = self.rule_span(limit.rule);
        let scope = |limit: &Limit| {
            let names: Vec<_> = limit
                .per
                .iter()
                .filter_map(|&capture| template.captures().get(capture))
                .map(|name| format!("{{{name}}}"))
                .collect();
            if names.is_empty() {
                "the whole collection".to_owned()
            } else {
                names.join("/")
            }
        };
        if !within(limit, other) && !within(other, limit) {
            let message = format!(
                "this limit counts per {}, the one on line {line} per {}: neither lies within the other",
                scope(limit),
                scope(other)
            );
            self.error(
                "R0320",
                at,
                message,
                "count one of them by captures that contain the other's, or split the collection",
            );
        } else if limit.per == other.per && limit.order != other.order {
            let message = format!("two limits over {} evict in different orders", scope(limit));
            self.error(
                "R0320",
                at,
                message,
                format!("use one order for both (the other is on line {line})"),
            );
        }
    }

    fn rule_span(&self, rule: usize) -> std::ops::Range<usize> {
        let Some(rule) = self.policy.rules.get(rule) else {
            return 0..0;
        };
        let start: usize = self
            .source
            .text()
            .split_inclusive('\n')
            .take(rule.line - 1)
            .map(str::len)
            .sum();
        let line = self
            .source
            .text()
            .get(start..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        let indent = line.len() - line.trim_start().len();
        start + indent..start + line.trim_end().len()
    }

    /// Limits of two collections must not compete for one file.
    pub(super) fn overlapping_limits(&mut self) {
        let limited: Vec<usize> = (0..self.policy.collections.len())
            .filter(|&index| {
                self.policy
                    .collections
                    .get(index)
                    .is_some_and(|collection| !collection.limits.is_empty())
            })
            .collect();
        for (position, &later) in limited.iter().enumerate() {
            for &earlier in limited.iter().take(position) {
                self.check_overlap(earlier, later);
            }
        }
    }

    fn check_overlap(&mut self, earlier: usize, later: usize) {
        let (Some(first), Some(second)) = (
            self.policy.collections.get(earlier),
            self.policy.collections.get(later),
        ) else {
            return;
        };
        let shared = match first.template.overlap(&second.template) {
            Ok(None) => return,
            Ok(Some(name)) => format!("both match `{}`", name.escape_ascii()),
            Err(_) => "their templates are too large to be told apart".to_owned(),
        };
        let message = format!(
            "`{}` and `{}` both have limits, and {shared}",
            first.name, second.name
        );
        let spans = (
            self.templates.get(earlier).cloned(),
            self.templates.get(later).cloned(),
        );
        if let (Some(first), Some(second)) = spans {
            let finding = Diagnostic::error("R0322", self.source, second, message)
                .also(first, "the other template")
                .help("which budget evicts a shared file would depend on their order; make the templates disjoint or put both limits into one collection");
            self.findings.push(finding);
        }
    }
}
