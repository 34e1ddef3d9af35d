//! One collection: its clock, its statements, and limits that would contradict each other.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;

use super::Checker;
use super::condition::{ClockHere, Context};
use super::uses::Grant;
use crate::diagnostic::Diagnostic;
use crate::policy::ast::{
    self, Argument, DownTo, Literal, Measure, Member, Spanned, Statement, When,
};
use crate::policy::ir::{
    BackUp, Clock, Collection, Condition, Delete, Direction, EmptyDirectories, Expiry, Floor,
    Holds, Hook, Keep, Limit, Order, Replace, Test,
};
use crate::policy::template::{Template, ValueKind};
use crate::units::Span;

/// How long a directory has to be unchanged when the policy does not say: long enough
/// for an application between mkdir and open.
const EMPTY_FOR: Span = Span::Exact(3_600);

impl Checker<'_> {
    pub(super) fn collection(&mut self, collection: &ast::Collection) {
        self.name("collection", &collection.name);
        self.collection = Some(collection.name.value.clone());
        self.clockless = false;
        let found = self.template(&collection.template);
        let broken = found.is_none();
        // The statements of a collection whose template is wrong are judged all the same.
        let Some(template) = found.or_else(Template::everything) else {
            return;
        };
        let clock = self.clock(collection, &template, broken);
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
            replaces: Vec::new(),
            backups: Vec::new(),
            expiries: Vec::new(),
            empties: None,
        });
        self.templates
            .push((self.source.clone(), collection.template.at.clone()));
        let has_clock = collection
            .members
            .iter()
            .any(|member| matches!(member.item, Member::Clock(_)));
        let context = Context {
            template: &template,
            broken,
            clock: match clock {
                Some(clock) => ClockHere::Measured(clock),
                // Its mistake has been reported; one is enough.
                None if has_clock => ClockHere::Measured(Clock::LastModified),
                None => ClockHere::Unsaid,
            },
        };
        for member in &collection.members {
            self.member(index, member, &context);
        }
        self.order_limits(index, &template);
        self.collection = None;
    }

    fn clock(
        &mut self,
        collection: &ast::Collection,
        template: &Template,
        broken: bool,
    ) -> Option<Clock> {
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
                &self.source,
                second.at.clone(),
                "this collection already has a clock",
            )
            .also(first.at.clone(), "the first one")
            .help("a collection measures every age from one clock; keep one of the two");
            self.report(finding);
        }
        Some(match &first.value {
            ast::Clock::LastModified => Clock::LastModified,
            ast::Clock::LastModifiedOrChanged => Clock::LastModifiedOrChanged,
            ast::Clock::LastAccessed => {
                self.reads_access_times(&first.at);
                Clock::LastAccessed
            }
            ast::Clock::Created => Clock::Created,
            ast::Clock::Capture(capture) => {
                let context = Context {
                    template,
                    broken,
                    clock: ClockHere::Unsaid,
                };
                self.date_capture(capture, &context)?
            }
        })
    }

    /// A capture that is asked for its date.
    pub(super) fn date_capture(
        &mut self,
        capture: &Spanned<String>,
        context: &Context<'_>,
    ) -> Option<Clock> {
        let index = self.capture(capture, context)?;
        if matches!(context.template.kind(index), ValueKind::Date(_)) {
            self.zone_for("a date needs", &capture.at);
            return Some(Clock::Capture(index));
        }
        let name = &capture.value;
        self.error(
            "R0313",
            capture.at.clone(),
            format!("`{{{name}}}` is no date"),
            format!("give it the type of one: `type dated = date \"%Y-%m-%d\"` and `{{{name}:dated}}` in the template"),
        );
        None
    }

    /// Remembers where access times are read: not every mount keeps them.
    pub(super) fn reads_access_times(&mut self, at: &Range<usize>) {
        self.policy
            .access_at
            .get_or_insert_with(|| (self.source.clone(), at.clone()));
    }

    /// Whether a statement counts, where its file is only used by another.
    fn is_granted(&mut self, member: &Statement<Member>) -> bool {
        let protects = matches!(member.item, Member::Clock(_) | Member::Keep(_));
        let shrinks = protects || matches!(member.item, Member::Before(_) | Member::BackUp(_));
        match self.grant {
            Grant::Everything => true,
            Grant::Additions if shrinks => true,
            Grant::Additions => {
                self.not_allowed(&member.at);
                false
            }
            Grant::Protections => protects,
            Grant::Types => false,
        }
    }

    /// Refuses a statement that removes in a file that may not.
    pub(super) fn not_allowed(&mut self, at: &Range<usize>) {
        let name = self.source.name().to_owned();
        let word = self
            .source
            .slice(at)
            .split_whitespace()
            .find(|word| !word.starts_with('@'));
        let message = format!(
            "`{}` decides about deleting, and this file is used without leave to",
            word.unwrap_or_default()
        );
        self.error(
            "R0232",
            at.clone(),
            message,
            format!("where it is used, write `use \"{name}\" allowing deletes`, or `use protections from \"{name}\"` to leave this out"),
        );
    }

    fn member(&mut self, index: usize, member: &Statement<Member>, context: &Context<'_>) {
        if !self.is_granted(member) {
            return;
        }
        match &member.item {
            Member::Clock(_) => self.label(member),
            Member::Stop(stop) => self.stop(member, stop, Some(index)),
            Member::Delete(when) => {
                let rule = self.rule(member);
                let condition = match when {
                    When::Always => Some(Condition::always()),
                    When::If(condition) => self.condition(condition, context),
                };
                self.extend(index, &member.at, condition, |collection, condition| {
                    collection.deletes.push(Delete { rule, condition })
                });
            }
            Member::Limit(limit) => {
                let limit = self.limit(member, limit, context);
                self.extend(index, &member.at, limit, |collection, limit| {
                    collection.limits.push(limit)
                });
            }
            Member::Keep(ast::Keep::Newest { count, per, filter }) => {
                let rule = self.rule(member);
                let holds = self
                    .number(count)
                    .map(|count| Holds::Newest(usize::try_from(count).unwrap_or(usize::MAX)));
                let floor = self.floor(member, rule, holds, per, filter.as_ref(), context);
                self.extend(index, &member.at, floor, |collection, floor| {
                    collection.floors.push(floor)
                });
            }
            Member::Keep(ast::Keep::Slots { slots, per, filter }) => {
                let rule = self.rule(member);
                let holds = self.slots(slots, &member.at);
                let floor = self.floor(member, rule, holds, per, filter.as_ref(), context);
                self.extend(index, &member.at, floor, |collection, floor| {
                    collection.floors.push(floor)
                });
            }
            Member::Keep(keep) => {
                let rule = self.rule(member);
                let condition = self.keep(keep, &member.at, context);
                self.extend(index, &member.at, condition, |collection, condition| {
                    collection.keeps.push(Keep { rule, condition })
                });
            }
            Member::Before(before) => {
                let rule = self.rule(member);
                let hook = self.hook(rule, &before.plugin, &before.arguments);
                let hook = hook.map(|hook| Hook {
                    destination: before
                        .destination
                        .as_ref()
                        .map(|name| (name.value.clone(), name.at.clone())),
                    delete_anyway: before.anyway.is_some(),
                    ..hook
                });
                self.extend(index, &member.at, hook, |collection, hook| {
                    collection.hooks.push(hook)
                });
            }
            Member::Replace(replace) => {
                let rule = self.rule(member);
                if context.template.is_directory() {
                    self.error(
                        "R0360",
                        member.at.clone(),
                        "`replace` works on files, and this collection is of whole directories",
                        "name the files: leave the last `/` of the template out, as in `\"runs/*/**\"`",
                    );
                }
                let condition = self.condition(&replace.condition, context);
                let hook = self.hook(rule, &replace.plugin, &replace.arguments);
                let both = condition.zip(hook).map(|(condition, hook)| Replace {
                    rule,
                    condition,
                    hook: Hook {
                        in_place: true,
                        ..hook
                    },
                });
                self.extend(index, &member.at, both, |collection, replace| {
                    collection.replaces.push(replace)
                });
            }
            Member::BackUp(back_up) => {
                let rule = self.rule(member);
                let hook = self.hook(rule, &back_up.plugin, &back_up.arguments);
                let destination = &back_up.destination;
                let backup = hook.map(|hook| BackUp {
                    rule,
                    period: back_up.period,
                    hook: Hook {
                        destination: Some((destination.value.clone(), destination.at.clone())),
                        backs_up: true,
                        ..hook
                    },
                });
                self.extend(index, &member.at, backup, |collection, backup| {
                    collection.backups.push(backup)
                });
            }
            Member::DeleteBackups(delete) => {
                let rule = self.rule(member);
                let expiry = self.expiry(rule, delete, &member.at);
                self.extend(index, &member.at, expiry, |collection, expiry| {
                    collection.expiries.push(expiry)
                });
            }
            Member::EmptyDirectories(age) => self.empty_directories(index, member, age.as_ref()),
        }
    }

    fn expiry(
        &mut self,
        rule: usize,
        delete: &ast::DeleteBackups,
        at: &Range<usize>,
    ) -> Option<Expiry> {
        let span = self.span(&delete.age);
        let newest = match &delete.newest {
            None => Some(1),
            // Zero is how a policy says that the last archive of a file may go.
            Some(newest) => match self.resolve(newest)? {
                Literal::Count(0) => Some(0),
                _ => self.number(newest),
            },
        };
        let span = self.span_index(span?, at);
        let newest = usize::try_from(newest?).unwrap_or(usize::MAX);
        Some(Expiry { rule, span, newest })
    }

    fn empty_directories(
        &mut self,
        index: usize,
        member: &Statement<Member>,
        age: Option<&Spanned<ast::Value>>,
    ) {
        let rule = self.rule(member);
        let span = match age {
            Some(age) => self.span(age),
            None => Some(EMPTY_FOR),
        };
        let Some(span) = span else { return };
        let span = self.span_index(span, &member.at);
        let twice = self
            .policy
            .collections
            .get_mut(index)
            .and_then(|collection| collection.empties.replace(EmptyDirectories { rule, span }));
        if twice.is_some() {
            self.error(
                "R0361",
                member.at.clone(),
                "this collection says twice what becomes of empty directories",
                "keep one of the two statements",
            );
        }
    }

    fn slots(&mut self, slots: &[(Spanned<u64>, ast::Period)], at: &Range<usize>) -> Option<Holds> {
        self.zone_for("slots of the calendar need", at);
        let mut held = Vec::new();
        for (count, period) in slots {
            if held.iter().any(|(_, known)| known == period) {
                self.error(
                    "R0314",
                    count.at.clone(),
                    format!("there are two numbers of `{}` slots", period.word()),
                    "keep one of the two",
                );
            }
            if count.value == 0 {
                self.error(
                    "R0211",
                    count.at.clone(),
                    format!("no `{}` slot keeps nothing", period.word()),
                    "leave the slot out, or write how many are kept",
                );
            }
            held.push((usize::try_from(count.value).unwrap_or(usize::MAX), *period));
        }
        Some(Holds::Slots(held))
    }

    fn extend<T>(
        &mut self,
        index: usize,
        at: &Range<usize>,
        item: Option<T>,
        push: impl FnOnce(&mut Collection, T),
    ) {
        let item = self.never_silent(item, at);
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
            ast::Keep::Always | ast::Keep::Newest { .. } | ast::Keep::Slots { .. } => {
                Some(Condition::always())
            }
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
        rule: usize,
        holds: Option<Holds>,
        per: &[Spanned<String>],
        filter: Option<&ast::Condition>,
        context: &Context<'_>,
    ) -> Option<Floor> {
        if context.clock == ClockHere::Unsaid {
            self.clock_needed(member.at.clone());
        }
        let per = self.per(per, context);
        let condition = self.filter(filter, context);
        Some(Floor {
            rule,
            holds: holds?,
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
        let order = self.order(&limit.order, context);
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
            order: order?,
        })
    }

    pub(super) fn order(
        &mut self,
        order: &Spanned<ast::Order>,
        context: &Context<'_>,
    ) -> Option<Order> {
        Some(match &order.value {
            ast::Order::Oldest => {
                if context.clock == ClockHere::Unsaid {
                    self.clock_needed(order.at.clone());
                }
                Order::Oldest
            }
            ast::Order::Largest => Order::Largest,
            ast::Order::Smallest => Order::Smallest,
            ast::Order::LeastRecentlyUsed => {
                self.reads_access_times(&order.at);
                Order::LeastRecentlyUsed
            }
            ast::Order::Lowest(capture) => Order::Lowest(self.capture(capture, context)?),
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

    fn hook(
        &mut self,
        rule: usize,
        plugin: &Spanned<String>,
        given: &ast::Arguments,
    ) -> Option<Hook> {
        let mut arguments = serde_json::Map::new();
        let mut arguments_at = Vec::new();
        let mut whole = true;
        for (name, argument) in given {
            if arguments.contains_key(&name.value) {
                self.error(
                    "R0341",
                    name.at.clone(),
                    format!("the argument `{}` is given twice", name.value),
                    "keep one of the two",
                );
            }
            match self.argument(argument) {
                Some(value) => {
                    arguments.insert(name.value.clone(), value);
                    arguments_at.push((name.value.clone(), name.at.start..argument.at.end));
                }
                None => whole = false,
            }
        }
        whole.then(|| Hook {
            rule,
            plugin: plugin.value.clone(),
            plugin_at: plugin.at.clone(),
            arguments,
            arguments_at,
            destination: None,
            delete_anyway: false,
            in_place: false,
            backs_up: false,
            source: self.source.clone(),
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
        // One limit stands for all of its scope: scopes are few, limits may be many.
        let mut scopes: BTreeMap<&[usize], &Limit> = BTreeMap::new();
        for limit in &limits {
            match scopes.get(limit.per.as_slice()) {
                Some(other) if other.order != limit.order => {
                    self.disordered(limit, other, template)
                }
                Some(_) => {}
                None => {
                    for other in scopes.values() {
                        self.comparable(limit, other, template);
                    }
                    scopes.insert(&limit.per, limit);
                }
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
        if within(limit, other) || within(other, limit) {
            return;
        }
        let line = self.line(other.rule);
        let message = format!(
            "this limit counts per {}, the one on line {line} per {}: neither lies within the other",
            scope(limit, template),
            scope(other, template)
        );
        self.error(
            "R0320",
            self.place(limit.rule),
            message,
            "count one of them by captures that contain the other's, or split the collection",
        );
    }

    fn disordered(&mut self, limit: &Limit, other: &Limit, template: &Template) {
        let line = self.line(other.rule);
        self.error(
            "R0320",
            self.place(limit.rule),
            format!(
                "two limits over {} evict in different orders",
                scope(limit, template)
            ),
            format!("use one order for both (the other is on line {line})"),
        );
    }

    fn line(&self, rule: usize) -> usize {
        self.policy.rules.get(rule).map_or(0, |rule| rule.line)
    }

    /// Where a rule of the file being checked stands.
    pub(super) fn place(&self, rule: usize) -> Range<usize> {
        self.places
            .get(rule)
            .map(|(_, at)| at.clone())
            .unwrap_or_default()
    }

    /// Limits of two collections must not compete for one file.
    pub(super) fn overlapping_limits(&mut self) {
        let mut limited: Vec<usize> = (0..self.policy.collections.len())
            .filter(|&index| {
                self.policy
                    .collections
                    .get(index)
                    .is_some_and(|collection| !collection.limits.is_empty())
            })
            .collect();
        // In the order of what their names begin with: two templates share a name only
        // if one's beginning is the other's too, and then they stand together.
        let prefix = |collections: &[Collection], index: usize| {
            let collection = collections.get(index);
            collection.map_or_else(Vec::new, |c| c.template.prefix().to_vec())
        };
        limited.sort_by_cached_key(|&index| prefix(&self.policy.collections, index));
        let mut found = 0;
        for (position, &first) in limited.iter().enumerate() {
            let begins = prefix(&self.policy.collections, first);
            for &second in limited.iter().skip(position + 1) {
                let begin = prefix(&self.policy.collections, second);
                if !begin.starts_with(&begins) || found >= MAX_OVERLAPS {
                    break;
                }
                found += usize::from(self.check_overlap(first.min(second), first.max(second)));
            }
        }
    }

    fn check_overlap(&mut self, earlier: usize, later: usize) -> bool {
        let (Some(first), Some(second)) = (
            self.policy.collections.get(earlier),
            self.policy.collections.get(later),
        ) else {
            return false;
        };
        if first.template.is_directory() != second.template.is_directory() {
            // A unit's limit counts directories; its files are decided by both.
            return false;
        }
        let shared = match first.template.overlap(&second.template) {
            Ok(None) => return false,
            Ok(Some(name)) => format!("both match `{}`", name.escape_ascii()),
            Err(_) => "their templates are too large to be told apart".to_owned(),
        };
        let message = format!(
            "`{}` and `{}` both have limits, and {shared}",
            first.name, second.name
        );
        let (Some((other, first_at)), Some((source, second_at))) =
            (self.templates.get(earlier), self.templates.get(later))
        else {
            return false;
        };
        let finding = Diagnostic::error("R0322", source, second_at.clone(), message);
        let finding = match other.name() == source.name() {
            true => finding.also(first_at.clone(), "the other template"),
            false => finding,
        };
        let finding = finding.help("which budget evicts a shared file would depend on their order; make the templates disjoint or put both limits into one collection");
        self.report(finding);
        true
    }
}

/// Pairs of collections that are reported; more are of the same kind.
const MAX_OVERLAPS: usize = 20;

/// What a limit counts, in words.
fn scope(limit: &Limit, template: &Template) -> String {
    let names: Vec<_> = limit
        .per
        .iter()
        .filter_map(|&capture| template.captures().get(capture))
        .map(|name| format!("{{{name}}}"))
        .collect();
    match names.is_empty() {
        true => "the whole collection".to_owned(),
        false => names.join("/"),
    }
}
