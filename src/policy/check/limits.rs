//! Budgets: what each counts and takes, and which of them would contradict each other.

use std::collections::BTreeMap;

use super::Checker;
use super::condition::{ClockHere, Context};
use crate::diagnostic::Diagnostic;
use crate::policy::ast::{self, DownTo, Measure, Member, Spanned, Statement};
use crate::policy::ir::{Collection, Condition, Limit, Order};
use crate::policy::template::Template;

impl Checker<'_> {
    pub(super) fn limit(
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

    pub(super) fn down_to(&mut self, down_to: &Spanned<DownTo>, cap: u64) -> Option<u64> {
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

    /// Puts limits into the order they are applied in, and refuses sets without one.
    pub(super) fn order_limits(&mut self, index: usize, template: &Template) {
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

    pub(super) fn line(&self, rule: usize) -> usize {
        self.policy.rules.get(rule).map_or(0, |rule| rule.line)
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
