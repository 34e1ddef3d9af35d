//! One collection: its clock, its statements, and limits that would contradict each other.

use std::ops::Range;

use super::Checker;
use super::condition::{ClockHere, Context};
use super::uses::Grant;
use crate::diagnostic::Diagnostic;
use crate::policy::ast::{self, Literal, Member, Spanned, Statement, When};
use crate::policy::ir::{
    BackUp, Clock, Collection, Condition, Delete, Direction, EmptyDirectories, Expiry, Floor,
    Holds, Hook, Keep, Replace, Test,
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
            name: collection.name.value.as_str().into(),
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

    pub(super) fn per(
        &mut self,
        per: &[Spanned<String>],
        context: &Context<'_>,
    ) -> Option<Vec<usize>> {
        let found: Vec<_> = per
            .iter()
            .map(|capture| self.capture(capture, context))
            .collect();
        let mut found = found.into_iter().collect::<Option<Vec<_>>>()?;
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    /// Where a rule of the file being checked stands.
    pub(super) fn place(&self, rule: usize) -> Range<usize> {
        self.places
            .get(rule)
            .map(|(_, at)| at.clone())
            .unwrap_or_default()
    }
}
