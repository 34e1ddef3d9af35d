//! What goes next, and why: a plan with a filter by rule, group and path.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::super::stores::{PlanView, StepView};
use super::words::{encoded, files, marked, number, percent, plural, size, when};

/// Steps on one page.
const SHOWN: usize = 25;

/// Of how many steps the filter knows.
pub(super) const KNOWN: usize = 10_000;

/// Groups the filter offers.
const OFFERED: usize = 200;

/// Which steps are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    /// `now` or `next`.
    pub now: bool,
    /// The statement.
    pub rule: Option<String>,
    /// Captures with their values.
    pub group: BTreeMap<String, String>,
    /// A part of the path.
    pub path: Option<String>,
    /// Steps that are left out first.
    pub offset: usize,
}

impl Filter {
    /// What a query asks for.
    pub(super) fn of(asked: &BTreeMap<String, String>) -> Filter {
        let field = |name: &str| asked.get(name).map(|v| v.trim()).filter(|v| !v.is_empty());
        Filter {
            now: field("when") == Some("now"),
            rule: field("rule").map(str::to_owned),
            group: field("group").map(group_of).unwrap_or_default(),
            path: field("path").map(str::to_owned),
            offset: field("offset")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
        }
    }

    fn wants(&self, step: &StepView) -> bool {
        self.rule.as_ref().is_none_or(|rule| *rule == step.rule)
            && self
                .group
                .iter()
                .all(|(name, value)| step.captures.get(name) == Some(value))
            && self
                .path
                .as_ref()
                .is_none_or(|part| step.path.contains(part.as_str()))
    }

    fn is_set(&self) -> bool {
        self.rule.is_some() || !self.group.is_empty() || self.path.is_some()
    }

    fn address(&self, base: &str) -> String {
        let mut pairs = Vec::new();
        if self.now {
            pairs.push("when=now".to_owned());
        }
        if let Some(rule) = &self.rule {
            pairs.push(format!("rule={}", encoded(rule)));
        }
        if !self.group.is_empty() {
            pairs.push(format!("group={}", encoded(&group_text(&self.group))));
        }
        if let Some(path) = &self.path {
            pairs.push(format!("path={}", encoded(path)));
        }
        if self.offset > 0 {
            pairs.push(format!("offset={}", self.offset));
        }
        format!("{base}?{}#plan", pairs.join("&"))
    }
}

/// A group as one value of a query: `interval=1d,symbol=AAPL`. What separates is encoded
/// inside of names and values, so any value can be told.
pub(super) fn group_text(group: &BTreeMap<String, String>) -> String {
    let pairs = group
        .iter()
        .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    pairs.collect::<Vec<_>>().join(",")
}

fn group_of(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        if let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) {
            bytes.push((high * 16 + low) as u8);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A group for people, its values in this order of captures: `AAPL · 1d`. Captures that
/// the order does not name are left out.
pub(super) fn group_words(group: &BTreeMap<String, String>, order: &[String]) -> String {
    let values: Vec<&str> = order
        .iter()
        .filter_map(|name| group.get(name))
        .map(String::as_str)
        .collect();
    values.join(" · ")
}

/// The plan's sums, statement by statement.
pub(super) fn rules(plan: &PlanView) -> Markup {
    let total = plan
        .rules
        .iter()
        .map(|rule| rule.bytes)
        .max()
        .unwrap_or(0)
        .max(1);
    html! {
        @if !plan.rules.is_empty() {
            ul.rules {
                @for rule in &plan.rules {
                    li {
                        div.split {
                            code.statement { (rule.text) }
                            span.nowrap { (files(rule.files)) ", " (size(rule.bytes)) }
                        }
                        (super::chart::bar(rule.bytes as f64 / total as f64, "good"))
                        p.small.quiet { (short_rule(&rule.rule)) @if let Some(because) = rule.because.as_ref().filter(|because| !rule.text.contains(because.as_str())) { " — " (because) } }
                    }
                }
            }
        }
    }
}

/// What is the matter with a plan, as far as something is.
pub(super) fn troubles(plan: &PlanView) -> Markup {
    html! {
        @for reason in &plan.tripped {
            p.notice.bad { strong { "The breaker would refuse this. " } (marked(&super::frame::sentence(reason))) "." }
        }
        @for unmet in &plan.unmet {
            p.notice.warn { strong { "A budget cannot be met. " } (unmet) }
        }
        @if !plan.notices.is_empty() {
            details.notices {
                summary { (plural(plan.notices.len() as u64, "notice", "notices")) }
                ul.small { @for notice in &plan.notices { li { (notice) } } }
            }
        }
    }
}

/// The filter and the steps it leaves.
pub(super) fn steps(
    base: &str,
    plan: &PlanView,
    filter: &Filter,
    groups: &[BTreeMap<String, String>],
    order: &[String],
) -> Markup {
    let wanted: Vec<&StepView> = plan
        .steps
        .iter()
        .filter(|step| filter.wants(step))
        .collect();
    let shown: Vec<&&StepView> = wanted.iter().skip(filter.offset).take(SHOWN).collect();
    html! {
        @if plan.steps_total > 0 {
            (form(base, plan, filter, groups, order))
            @if plan.steps_total > plan.steps.len() {
                p.small.quiet { "The filter knows the first " (number(plan.steps.len() as u64)) " of " (number(plan.steps_total as u64)) " files." }
            }
        }
        @if shown.is_empty() {
            div.empty {
                @if filter.is_set() && plan.steps_total > 0 {
                    p { strong { "No file of the plan is left by this filter." } }
                    p { a href=(Filter { now: filter.now, ..Filter::default() }.address(base)) { "Show all of it" } }
                } @else {
                    p { strong { "Nothing goes." } }
                    p.quiet { "No statement takes a file at that moment." }
                }
            }
        } @else {
            (table(&shown))
            (pages(base, filter, wanted.len()))
        }
    }
}

fn form(
    base: &str,
    plan: &PlanView,
    filter: &Filter,
    groups: &[BTreeMap<String, String>],
    order: &[String],
) -> Markup {
    let chosen = group_text(&filter.group);
    let offered: Vec<(String, String)> = groups
        .iter()
        .take(OFFERED)
        .map(|group| (group_text(group), group_words(group, order)))
        .collect();
    let is_offered = offered.iter().any(|(text, _)| *text == chosen);
    html! {
        form.filter method="get" action={ (base) "#plan" } {
            @if filter.now { input type="hidden" name="when" value="now"; }
            label { span { "Rule" }
                select name="rule" {
                    option value="" { "any" }
                    @for rule in &plan.rules {
                        option value=(rule.rule) selected[filter.rule.as_ref() == Some(&rule.rule)] { (short_rule(&rule.rule)) }
                    }
                }
            }
            @if !offered.is_empty() || !filter.group.is_empty() {
                label { span { "Group" }
                    select name="group" {
                        option value="" { "any" }
                        @if !filter.group.is_empty() && !is_offered {
                            option value=(chosen) selected { (group_words(&filter.group, order)) }
                        }
                        @for (text, words) in &offered {
                            option value=(text) selected[*text == chosen] { (words) }
                        }
                    }
                }
            }
            label { span { "Path contains" }
                input type="search" name="path" value=[filter.path.as_ref()] spellcheck="false";
            }
            button type="submit" { "Filter" }
            @if filter.is_set() {
                a.small href=(Filter { now: filter.now, ..Filter::default() }.address(base)) { "Clear" }
            }
        }
    }
}

/// A statement without the directory of its file: `charts.retain:12 @expired`.
pub(super) fn short_rule(rule: &str) -> &str {
    let (place, _) = rule.split_once(':').unwrap_or((rule, ""));
    let from = place.rfind('/').map_or(0, |at| at + 1);
    rule.get(from..).unwrap_or(rule)
}

fn table(steps: &[&&StepView]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Files that go" {
            table.steps {
                thead { tr { th scope="col" { "File" } th scope="col" { "Why" } th scope="col" { "Rule" } th.num scope="col" { "Size" } th.num scope="col" { "Modified" } } }
                tbody {
                    @for step in steps {
                        tr {
                            td {
                                code.path { (step.path) }
                                @if step.action == "replace" { " " span.pill.off { "replaced by its archive" } }
                                @for plugin in &step.after { " " span.pill.off { "after " (plugin) } }
                            }
                            td.why { (step.reason) }
                            td.small.quiet.nowrap { (short_rule(&step.rule)) }
                            td.num { (size(step.size)) }
                            td.num { (when(&step.modified)) }
                        }
                    }
                }
            }
        }
    }
}

fn pages(base: &str, filter: &Filter, all: usize) -> Markup {
    let at = |offset| {
        Filter {
            offset,
            ..filter.clone()
        }
        .address(base)
    };
    let end = (filter.offset + SHOWN).min(all);
    html! {
        nav.pages.small aria-label="Pages of the plan" {
            span.quiet { (number(filter.offset as u64 + 1)) "–" (number(end as u64)) " of " (number(all as u64)) }
            @if filter.offset > 0 { a href=(at(filter.offset.saturating_sub(SHOWN))) rel="prev" { "Before" } }
            @if end < all { a href=(at(end)) rel="next" { "After" } }
        }
    }
}

/// The plan's sums in one line.
pub(super) fn sums(plan: &PlanView, total: u64) -> Markup {
    let share = plan.removed.bytes as f64 / total.max(1) as f64;
    html! {
        p {
            strong { (files(plan.removed.files)) } ", " strong { (size(plan.removed.bytes)) } " would go"
            @if plan.removed.bytes > 0 && total > 0 { " (" (percent(share)) " of what is there)" }
            @if plan.replaced.files > 0 { "; " (files(plan.replaced.files)) " would be replaced by their archives" }
            @if plan.protected.files > 0 { "; " (files(plan.protected.files)) " stay only because something protects them" }
            "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn any_value_of_a_capture_comes_back_from_a_query() {
        for value in ["AAPL", "BTC/USD", "a,b=c", "100%", "ü", ""] {
            let wanted = group(&[("symbol", value), ("interval", "1d")]);
            assert_eq!(group_of(&group_text(&wanted)), wanted);
        }
        assert_eq!(group_of("nonsense"), group(&[]));
        assert_eq!(decoded("%4"), "");
    }

    #[test]
    fn a_filter_is_its_own_address() {
        let filter = Filter {
            now: true,
            rule: Some("charts.retain:12 @old".to_owned()),
            group: group(&[("symbol", "BTC/USD")]),
            path: None,
            offset: 50,
        };
        let address = filter.address("/stores/charts");
        let query = address.split(['?', '#']).nth(1).unwrap();
        let asked = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        assert_eq!(Filter::of(&asked), filter);
    }
}
