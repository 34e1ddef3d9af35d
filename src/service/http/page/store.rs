//! One store: what is in it, what goes next and why.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Query, State};
use axum::response::Response;
use maud::{Markup, html};

use super::super::problem::{Path, Problem};
use super::super::stores::{PlanView, StoreView, captures, samples, view};
use super::super::{Ask, known, runs};
use super::Page;
use super::archives;
use super::chart::{bar, fullness, history};
use super::frame::{Place, Visit, after, frame, sentence};
use super::overview::{amounts, health_pill, last, next, progress, schedule};
use super::plan::{
    Filter, KNOWN, group_text, group_words, rules, short_rule, steps, sums, troubles,
};
use super::runs::runs_table;
use super::session::{self, Asks, Change};
use super::treemap::{Part, treemap};
use super::words::{encoded, files, marked, number, percent, size, when};
use crate::policy::{Measure, Policy};
use crate::run::Wanted;
use crate::service::state::Cause;
use crate::service::survey::{self, BudgetView, GroupView};
use crate::service::work::{self, Failure, Other, Task};
use crate::time::Now;

/// Cells of the treemap; what is smaller goes together.
const CELLS: usize = 48;

/// Rows of the table beside it.
const ROWS: usize = 10;

/// What one look at a store shows.
struct Seen {
    plan: PlanView,
    by: Vec<String>,
    groups: Vec<GroupView>,
    groups_total: usize,
}

/// Looks once, for the plan and the groups together: a scan is what costs.
async fn look(ask: &Ask, store: &str, now: bool, by: Vec<String>) -> Result<Seen, Problem> {
    let next = ask.shared.room(store).state().next;
    let moment = next.filter(|_| !now);
    let keeper = ask.shared.clone();
    let other = moment.map(Other::Moment);
    let wanted = Wanted::Counted {
        by: (!by.is_empty()).then(|| by.clone()),
    };
    let looked = work::look_at(
        &ask.shared,
        store,
        (other, wanted),
        move |_, _, planned, _| {
            let (groups, groups_total) = survey::groups(&planned.census, &by);
            // One for another moment cannot be applied, so it is not kept.
            let (digest, plan) = match moment {
                None => keeper.shelve(planned.plan),
                Some(_) => (planned.plan.digest(), std::sync::Arc::new(planned.plan)),
            };
            let plan = PlanView::of(&plan, digest, 0, KNOWN);
            Seen {
                plan,
                by,
                groups,
                groups_total,
            }
        },
    );
    Ok(looked.await?)
}

pub(super) async fn page(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    Query(asked): Asks,
    visit: Visit,
) -> Page {
    let loaded = ask.shared.loaded();
    known(&loaded, &store)?;
    let shown = view(&ask, &store).await?;
    let all = in_template_order(captures(&loaded, &store), &shown);
    let groupings = groupings(&all, &shown);
    let wanted = asked
        .get("by")
        .map(|by| by.split(',').map(str::to_owned).collect());
    let by = groupings.iter().find(|by| Some(*by) == wanted.as_ref());
    let by = by.or(groupings.first()).cloned().unwrap_or_default();
    let filter = Filter::of(&asked);
    let seen = match shown.health.readable {
        true => Some(look(&ask, &store, filter.now, by).await),
        false => None,
    };
    let line = samples(&ask, &store).await?;
    let recent = runs::runs(&ask, Some(store.clone()), 5).await?;
    let base = format!("/stores/{}", encoded(&store));
    let policy = loaded.policy(&store);
    let inner = html! {
        (head(&visit, &shown))
        div #store-troubles data-live { (matters(&shown, &base)) }
        div.tiles #store-tiles data-live { (tiles(&shown)) }
        section {
            h2 { "Bytes over time" }
            (history(&line))
        }
        @match &seen {
            Some(Ok(seen)) => {
                @if !seen.by.is_empty() {
                    section #groups data-live { (groups(&base, seen, &groupings, &shown)) }
                }
                (budgets(&shown, policy))
                section #plan data-live { (plan(&base, seen, &filter, &shown, &all)) }
            },
            Some(Err(problem)) => p.notice.bad { (sentence(problem.detail())) "." },
            None => {},
        }
        section #store-runs data-live {
            div.section-head { h2 { "Latest runs" } a href={ "/runs?store=" (encoded(&store)) } { "All runs of this store" } }
            (runs_table(&recent, false))
        }
        @if !loaded.config.destinations.is_empty() {
            section #archives {
                h2 { "Bring back an archived file" }
                (archives::asking(&store, "", ""))
            }
        }
    };
    let visit = match shown.running {
        Some(_) => visit.refreshed_after(3),
        None => visit,
    };
    Ok(frame(&visit, &store, Place::Stores, &inner))
}

/// Captures as the templates have them: what is written first says most.
fn in_template_order(mut captures: Vec<String>, store: &StoreView) -> Vec<String> {
    let collections = store.seen.iter().flat_map(|seen| &seen.collections);
    let written: Vec<&String> = collections.flat_map(|c| &c.captures).collect();
    captures.sort_by_key(|name| written.iter().position(|known| *known == name));
    captures
}

/// What one can group by: the captures of each collection together, the fullest first,
/// then each capture alone. A file counts where its collection has all of them.
fn groupings(all: &[String], store: &StoreView) -> Vec<Vec<String>> {
    let collections = store.seen.iter().flat_map(|seen| &seen.collections);
    let mut collections: Vec<_> = collections.filter(|c| !c.captures.is_empty()).collect();
    collections.sort_by_key(|collection| std::cmp::Reverse(collection.bytes));
    let whole = collections
        .into_iter()
        .map(|collection| collection.captures.clone());
    let mut groupings: Vec<Vec<String>> = Vec::new();
    for by in whole.chain(all.iter().map(|one| vec![one.clone()])) {
        if !groupings.contains(&by) {
            groupings.push(by);
        }
    }
    groupings
}

fn head(visit: &Visit, store: &StoreView) -> Markup {
    html! {
        p.small { a href="/" { "Stores" } }
        div.head {
            div {
                div.title { h1 { (store.store) } (health_pill(store)) }
                p.quiet.small { code { (store.path) } " by " code { (store.policy) } }
            }
            div.actions #store-actions data-live {
                (session::form(visit, "/page/run", "inline", html! {
                    input type="hidden" name="store" value=(store.store);
                    button.primary type="submit" data-run-now disabled[store.running.is_some()] { "Run now" }
                }))
                @if visit.word().is_none() { p.small.quiet { a href="/session" { "Sign in" } " to run it now" } }
            }
        }
        div.slot #store-progress data-live data-store=(store.store) { (progress(&store.store, store.running.as_ref())) }
    }
}

fn matters(store: &StoreView, base: &str) -> Markup {
    html! {
        @if let Some(latch) = &store.latch {
            div.notice.bad {
                p { strong { "The breaker waits for you." } " Latched " (when(&latch.since)) ": " (marked(&latch.reason)) "." }
                p { a.button href={ (base) "/release" } { "Look at the plan that waits" } }
            }
        }
        @if let Some(trouble) = store.health.message.as_ref().or(store.trouble.as_ref()) {
            div.notice.bad { p { (marked(&sentence(trouble))) } }
        }
        @if let Some(message) = store.last.as_ref().and_then(|last| last.message.as_ref()).filter(|_| store.latch.is_none()) {
            div.notice.warn { p { strong { "The last run: " } (marked(message)) } }
        }
    }
}

fn tiles(store: &StoreView) -> Markup {
    html! {
        div.tile {
            h2.label { "In it" }
            p.figure { @match &store.seen { Some(seen) => (size(seen.total.bytes)), None => "—" } }
            p.small.quiet {
                (amounts(store))
            }
        }
        div.tile {
            h2.label { "Would go now" }
            p.figure { @match &store.seen { Some(seen) => (size(seen.removable.bytes)), None => "—" } }
            p.small.quiet {
                @if let Some(seen) = &store.seen {
                    (files(seen.removable.files))
                    @if seen.uncovered.files > 0 { " · " (number(seen.uncovered.files)) " in no collection" }
                }
            }
        }
        div.tile {
            h2.label { "Disk" }
            @match &store.disk {
                Some(disk) => {
                    p.figure { (percent(disk.used_ratio)) }
                    p.small.quiet { (size(disk.available)) " free" }
                    (bar(disk.used_ratio, fullness(disk.used_ratio)))
                },
                None => p.figure { "—" },
            }
        }
        div.tile {
            h2.label { "Next run" }
            p.figure { @match (&store.next, store.enabled) { (Some(at), true) => (when(at)), _ => "—" } }
            p.small.quiet { @if store.next.is_some() && store.enabled { (schedule(store)) } @else { (next(store)) } }
            p.small { span.quiet { "Last " } (last(store)) }
        }
    }
}

/// The class of a group's colour, by when something in it was last written.
fn age(group: &GroupView, now: &Now) -> &'static str {
    let newest = group
        .newest
        .as_ref()
        .and_then(|at| at.parse::<jiff::Timestamp>().ok());
    let Some(newest) = newest else { return "age-4" };
    match now.timestamp().duration_since(newest).as_secs() {
        ..86_400 => "age-0",
        86_400..604_800 => "age-1",
        604_800..2_592_000 => "age-2",
        2_592_000..31_536_000 => "age-3",
        _ => "age-4",
    }
}

fn first_value(group: &BTreeMap<String, String>, by: &[String]) -> String {
    let value = by.first().and_then(|name| group.get(name));
    value.cloned().unwrap_or_default()
}

const AGES: [(&str, &str); 5] = [
    ("age-0", "today"),
    ("age-1", "this week"),
    ("age-2", "this month"),
    ("age-3", "this year"),
    ("age-4", "longer ago"),
];

fn groups(base: &str, seen: &Seen, groupings: &[Vec<String>], store: &StoreView) -> Markup {
    let now = Now::from_clock();
    let link =
        |group: &GroupView| format!("{base}?group={}#plan", encoded(&group_text(&group.group)));
    let mut parts: Vec<Part> = seen
        .groups
        .iter()
        .take(CELLS)
        .map(|group| Part {
            label: group_words(&group.group, &seen.by),
            block: first_value(&group.group, &seen.by),
            inner: group_words(&group.group, seen.by.get(1..).unwrap_or_default()),
            bytes: group.bytes,
            detail: format!("{}, {}", size(group.bytes), files(group.files)),
            class: age(group, &now),
            link: Some(link(group)),
        })
        .collect();
    let rest: u64 = seen
        .groups
        .iter()
        .skip(CELLS)
        .map(|group| group.bytes)
        .sum();
    if rest > 0 {
        let count = seen.groups_total.saturating_sub(CELLS) as u64;
        parts.push(Part {
            label: format!("{} more", number(count)),
            block: String::new(),
            inner: String::new(),
            bytes: rest,
            detail: size(rest),
            class: "age-rest",
            link: None,
        });
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    }
    let total = store
        .seen
        .as_ref()
        .map_or(0, |seen| seen.covered.bytes)
        .max(1);
    html! {
        div.section-head {
            h2 { "By group" }
            @if groupings.len() > 1 {
                nav.chips aria-label="Group by" {
                    @for by in groupings {
                        a href={ (base) "?by=" (encoded(&by.join(","))) "#groups" } aria-current=[(seen.by == *by).then_some("true")] { (by.join(" · ")) }
                    }
                }
            }
        }
        @if seen.groups.is_empty() {
            div.empty {
                p { strong { "No files in any collection." } }
                p.quiet { "When the application writes some, they appear here by the values of their captures." }
            }
        } @else {
            div.map-and-table {
                div {
                    div.map { (treemap(&parts)) }
                    ul.legend.small.quiet aria-hidden="true" {
                        li { "last written:" }
                        @for (class, name) in AGES { li { span.swatch.(class) {} (name) } }
                    }
                }
                div.scroll tabindex="0" role="region" aria-label="The largest groups" {
                    table {
                        thead { tr { th scope="col" { "Group" } th.num scope="col" { "Files" } th.num scope="col" { "Bytes" } th.num scope="col" { "Share" } } }
                        tbody {
                            @for group in seen.groups.iter().take(ROWS) {
                                tr {
                                    td { a href=(link(group)) { (group_words(&group.group, &seen.by)) } }
                                    td.num { (number(group.files)) }
                                    td.num { (size(group.bytes)) }
                                    td.num { (percent(group.bytes as f64 / total as f64)) }
                                }
                            }
                        }
                    }
                    @if seen.groups_total > ROWS {
                        p.small.quiet { "and " (number((seen.groups_total - ROWS) as u64)) " more" }
                    }
                }
            }
        }
    }
}

/// What a budget counts.
fn counts_files(policy: Option<&Policy>, budget: &BudgetView) -> bool {
    let Some(policy) = policy else { return false };
    let mut limits = policy
        .collections
        .iter()
        .flat_map(|collection| &collection.limits);
    limits.any(|limit| {
        let rule = policy.rules().get(limit.rule).map(ToString::to_string);
        rule.as_ref() == Some(&budget.rule) && limit.measure == Measure::Count
    })
}

fn budgets(store: &StoreView, policy: Option<&Policy>) -> Markup {
    let budgets = store.seen.iter().flat_map(|seen| &seen.budgets);
    let budgets: Vec<&BudgetView> = budgets.collect();
    let amount = |budget: &BudgetView, count: u64| match counts_files(policy, budget) {
        true => files(count),
        false => size(count),
    };
    html! {
        @if !budgets.is_empty() {
            section #budgets data-live {
                h2 { "Budgets" }
                ul.budgets {
                    @for budget in budgets {
                        @let ratio = budget.used as f64 / budget.cap.max(1) as f64;
                        li.card {
                            code.statement { (budget.text) }
                            div.split {
                                span { strong { (amount(budget, budget.used)) } " of " (amount(budget, budget.cap)) }
                                span.quiet { (percent(ratio)) }
                            }
                            (bar(ratio, if ratio > 1.0 { "warn" } else { "good" }))
                            p.small.quiet {
                                (short_rule(&budget.rule))
                                @if !budget.group.is_empty() { ", fullest: " (budget.group) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn plan(base: &str, seen: &Seen, filter: &Filter, store: &StoreView, order: &[String]) -> Markup {
    let plan = &seen.plan;
    let mut offered: BTreeSet<&BTreeMap<String, String>> = BTreeSet::new();
    offered.extend(
        plan.steps
            .iter()
            .map(|step| &step.captures)
            .filter(|group| !group.is_empty()),
    );
    let offered: Vec<BTreeMap<String, String>> = offered.into_iter().cloned().collect();
    let total = store.seen.as_ref().map_or(0, |seen| seen.total.bytes);
    let is_now = filter.now || store.next.is_none();
    html! {
        div.section-head {
            h2 { "What goes, and why" }
            nav.chips aria-label="For which moment" {
                @if store.next.is_some() {
                    a href={ (base) "#plan" } aria-current=[(!is_now).then_some("true")] { "At the next run" }
                }
                a href={ (base) "?when=now#plan" } aria-current=[is_now.then_some("true")] { "Now" }
            }
        }
        @if plan.steps_total > 0 || plan.protected.files > 0 { (sums(plan, total)) }
        (troubles(plan))
        (rules(plan))
        (steps(base, plan, filter, &offered, order))
        p.small.quiet { @if is_now { "As it is now" } @else { "As it will be " (when(&plan.at)) ", if nothing changes" } ". Digest " code { (plan.digest.chars().take(16).collect::<String>()) } "." }
    }
}

/// Starts a run of a store.
pub(super) async fn run(ask: Ask, change: Change) -> Result<Response, Problem> {
    let store = change.need("store")?;
    known(&ask.shared.loaded(), store)?;
    let place = format!("/stores/{}", encoded(store));
    match work::start(&ask.shared, store, Task::Policy, Cause::Request) {
        Ok(_) => Ok(after(&place, Some("run-started"))),
        Err(Failure::Busy) => Ok(after(&place, Some("busy"))),
        Err(failure) => Err(failure.into()),
    }
}
