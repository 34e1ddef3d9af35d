//! What is there, and what would happen to it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Params, Path, Problem};
use super::{Answer, Ask, blocking, known};
use crate::config::{Schedule, Store};
use crate::journal::{Cause as Latching, Journal, growth_per_day};
use crate::path::RelPath;
use crate::plan::{Action, Plan};
use crate::policy::Fate;
use crate::run::Wanted;
use crate::service::Loaded;
use crate::service::state::{Last, Reload, Running, Shared};
use crate::service::survey::{self, DiskView, GroupView, Health, Survey};
use crate::service::work::{self, Other};
use crate::time::Now;

/// A store with all that is known of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct StoreView {
    /// Its name.
    pub store: String,
    /// Its root, absolute.
    pub path: String,
    /// Its policy.
    pub policy: String,
    /// Whether it is cleaned.
    pub enabled: bool,
    /// When, in words: `every 15 minutes`, a cron expression, or `on request`.
    pub schedule: String,
    /// How long removed files stay in the trash.
    pub grace: Option<String>,
    /// Whether its root can be worked in.
    pub health: Health,
    /// How full its file system is.
    pub disk: Option<DiskView>,
    /// The run that goes on.
    pub running: Option<Running>,
    /// How the last run went.
    pub last: Option<Last>,
    /// When a run last went through its plan, RFC 3339.
    pub last_success: Option<String>,
    /// When the next run is due, RFC 3339.
    pub next: Option<String>,
    /// Set while nothing is removed until a person has looked.
    pub latch: Option<LatchView>,
    /// What was seen in it, at most half a minute ago.
    pub seen: Option<Survey>,
    /// Why it could not be looked at.
    pub trouble: Option<String>,
    /// How it has grown lately.
    pub growth: Option<GrowthView>,
}

/// Why a store waits for a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct LatchView {
    /// `breaker` or `clock`.
    pub cause: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// What would have happened.
    pub reason: String,
    /// The digest of the plan that waits.
    pub plan: String,
}

/// How fast a store has grown.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(super) struct GrowthView {
    /// Bytes a day; below nothing when it has shrunk.
    pub bytes_per_day: f64,
    /// Over how many seconds that was measured.
    pub over_seconds: u64,
}

/// All stores.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StoresView {
    /// What `ENVIRONMENT` says.
    pub environment: Option<String>,
    /// Every store, by name.
    pub stores: Vec<StoreView>,
    /// How the last attempt to read the configuration went.
    pub configuration: Reload,
}

fn schedule_in_words(store: &Store) -> String {
    match &store.schedule {
        Schedule::OnRequest => "on request".to_owned(),
        Schedule::Every(span) => format!("every {span}"),
        Schedule::Cron(cron) => cron.to_string(),
    }
}

/// All that is known of a store; looks at it where that has not just been done.
pub(super) async fn view(ask: &Ask, name: &str) -> Result<StoreView, Problem> {
    let loaded = ask.shared.loaded();
    let store = known(&loaded, name)?.clone();
    let health = Health::of(&store, &ask.shared.grounds);
    let (seen, trouble) = match health.readable {
        true => match work::survey(&ask.shared, name).await {
            Ok(survey) => (Some(Survey::clone(&survey)), None),
            Err(failure) => (None, Some(Problem::from(failure).detail().to_owned())),
        },
        false => (None, health.message.clone()),
    };
    let state = ask.shared.room(name).state().clone();
    let (latch, growth) = blocking({
        let (shared, name) = (ask.shared.clone(), name.to_owned());
        move || from_journal(&shared, &name)
    })
    .await?;
    Ok(StoreView {
        store: store.name.clone(),
        path: store.path.path.display().to_string(),
        policy: store.policy.written.clone(),
        enabled: store.enabled,
        schedule: schedule_in_words(&store),
        grace: store.grace.map(|grace| grace.to_string()),
        disk: DiskView::of(&store.path.path),
        health,
        running: state.running,
        last: state.last,
        last_success: state.last_success.map(|at| at.to_string()),
        next: state.next.map(|at| at.to_string()),
        latch,
        seen,
        trouble,
        growth,
    })
}

type FromJournal = (Option<LatchView>, Option<GrowthView>);

fn from_journal(shared: &Shared, store: &str) -> Result<FromJournal, Problem> {
    let Some(journal) = Journal::open_existing(&shared.loaded().config.state)? else {
        return Ok((None, None));
    };
    let latch = journal.latch(store)?.map(|latch| LatchView {
        cause: match latch.cause {
            Latching::Breaker => "breaker".to_owned(),
            Latching::Clock => "clock".to_owned(),
        },
        since: latch.since,
        reason: latch.reason,
        plan: latch.plan,
    });
    let since = Now::from_clock().timestamp() - jiff::SignedDuration::from_hours(24);
    let samples = journal.samples(store, since, POINTS)?;
    let growth = growth_per_day(&samples).map(|bytes_per_day| GrowthView {
        bytes_per_day,
        over_seconds: match (samples.first(), samples.last()) {
            (Some(first), Some(last)) => last.at.duration_since(first.at).as_secs().unsigned_abs(),
            _ => 0,
        },
    });
    Ok((latch, growth))
}

/// Every store, in the order of their names.
pub(super) async fn views(ask: &Ask) -> Result<Vec<StoreView>, Problem> {
    let names: Vec<String> = ask.shared.loaded().config.stores.keys().cloned().collect();
    let mut views = Vec::with_capacity(names.len());
    for name in names {
        views.push(view(ask, &name).await?);
    }
    Ok(views)
}

/// Every store: health, files and bytes, schedule, last run.
#[utoipa::path(get, path = "/v1/stores", tag = "stores", responses((status = 200, body = StoresView)))]
pub(super) async fn list(State(ask): State<Ask>) -> Answer<StoresView> {
    let stores = views(&ask).await?;
    let configuration = ask.shared.reloaded().clone();
    Ok(Json(StoresView {
        environment: ask.shared.loaded().config.environment.clone(),
        stores,
        configuration,
    }))
}

/// One store.
#[utoipa::path(get, path = "/v1/stores/{store}", tag = "stores",
    params(("store" = String, Path, description = "Its name")),
    responses((status = 200, body = StoreView), (status = 404, body = Problem)))]
pub(super) async fn one(State(ask): State<Ask>, Path(store): Path<String>) -> Answer<StoreView> {
    view(&ask, &store).await.map(Json)
}

/// What statistics are grouped by.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct By {
    /// Captures, with commas between them: `symbol,interval`. All captures of the
    /// store's collections when it is left out.
    pub by: Option<String>,
}

/// A store's files by the values of captures.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StatsView {
    /// The store.
    pub store: String,
    /// What they are grouped by.
    pub by: Vec<String>,
    /// When it was looked at, RFC 3339.
    pub at: String,
    /// Files and bytes of all groups, and those of no group.
    pub seen: Survey,
    /// The groups, the largest first; at most a thousand.
    pub groups: Vec<GroupView>,
    /// How many groups there are.
    pub groups_total: usize,
}

/// Files and bytes by the values of captures, the largest group first.
#[utoipa::path(get, path = "/v1/stores/{store}/stats", tag = "stores",
    params(("store" = String, Path, description = "Its name"), By),
    responses((status = 200, body = StatsView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn stats(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    Params(by): Params<By>,
) -> Answer<StatsView> {
    group_stats(&ask, &store, by.by.as_deref()).await.map(Json)
}

pub(super) async fn group_stats(
    ask: &Ask,
    store: &str,
    by: Option<&str>,
) -> Result<StatsView, Problem> {
    let loaded = ask.shared.loaded();
    known(&loaded, store)?;
    let captures = captures(&loaded, store);
    let by: Vec<String> = match by {
        None => captures.clone(),
        Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    if let Some(unknown) = by.iter().find(|name| !captures.contains(name)) {
        return Err(no_capture(store, unknown, &captures));
    }
    let name = store.to_owned();
    let wanted = Wanted::Counted {
        by: Some(by.clone()),
    };
    let view = work::look(
        &ask.shared,
        store,
        wanted,
        move |_, job, planned, seconds| {
            let (groups, groups_total) = survey::groups(&planned.census, &by);
            StatsView {
                store: name,
                by,
                at: planned.plan.now.timestamp().to_string(),
                seen: Survey::of(&job.policy, &planned.census, &planned.plan, seconds),
                groups,
                groups_total,
            }
        },
    );
    Ok(view.await?)
}

/// The captures of a store's collections.
pub(super) fn captures(loaded: &Loaded, store: &str) -> Vec<String> {
    let policy = loaded.policy(store);
    let captures = policy.map(|policy| policy.captures()).unwrap_or_default();
    captures.into_iter().map(str::to_owned).collect()
}

pub(super) fn no_capture(store: &str, unknown: &str, captures: &[String]) -> Problem {
    let listed: Vec<String> = captures.iter().map(|name| format!("`{name}`")).collect();
    let detail = match listed.is_empty() {
        true => {
            format!("no collection of store `{store}` has a capture, so `{unknown}` names nothing")
        }
        false => format!(
            "no collection of store `{store}` has the capture `{unknown}`; there are {}",
            listed.join(", ")
        ),
    };
    Problem::invalid(detail).with("captures", captures.to_vec())
}

/// For which moment a plan is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct When {
    /// `next` for the moment the next run is due, or a moment in RFC 3339; now when it is
    /// left out.
    pub at: Option<String>,
    /// How many steps are left out first.
    pub offset: Option<usize>,
    /// How many steps are shown; 100 when it is left out, at most 10000.
    pub limit: Option<usize>,
}

/// What a run would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct PlanView {
    /// The store.
    pub store: String,
    /// The plan's digest: what an apply of just this plan names.
    pub digest: String,
    /// The moment it holds for, RFC 3339.
    pub at: String,
    /// Files it would remove.
    pub removed: survey::Amount,
    /// Files it would replace by their archives.
    pub replaced: survey::Amount,
    /// Files that stay only because something protects them.
    pub protected: survey::Amount,
    /// What the breaker refuses; a plan with any is not carried out.
    pub tripped: Vec<String>,
    /// Budgets that no eviction can meet.
    pub unmet: Vec<String>,
    /// Files and bytes by the statement that takes them.
    pub rules: Vec<RuleView>,
    /// Steps there are.
    pub steps_total: usize,
    /// Some of them, in the order they are carried out.
    pub steps: Vec<StepView>,
    /// What else a person should know; at most a hundred.
    pub notices: Vec<String>,
}

/// What one statement takes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct RuleView {
    /// Where it stands: `charts.retain:12 @expired`.
    pub rule: String,
    /// Its text.
    pub text: String,
    /// Its `because`.
    pub because: Option<String>,
    /// Its files.
    pub files: u64,
    /// Their allocated bytes.
    pub bytes: u64,
}

/// One file that would go.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct StepView {
    /// Where it lies in the store.
    pub path: String,
    /// `remove`, `replace` or `back-up`.
    pub action: &'static str,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last modified, RFC 3339.
    pub modified: String,
    /// Its collection.
    pub collection: String,
    /// Its captures.
    pub captures: BTreeMap<String, String>,
    /// The statement that takes it.
    pub rule: String,
    /// Why, with the values that decided.
    pub reason: String,
    /// Plugins that have to agree first.
    pub after: Vec<String>,
}

impl PlanView {
    pub(super) fn of(plan: &Plan, digest: String, offset: usize, limit: usize) -> PlanView {
        let rule = |index: usize| {
            plan.rules
                .get(index)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let steps = plan.steps.iter_from(offset).take(limit);
        let hook = |index: &usize| plan.hooks.get(*index).map(|hook| hook.plugin.clone());
        PlanView {
            store: plan.store.clone(),
            digest,
            at: plan.now.timestamp().to_string(),
            removed: plan.totals.removed.into(),
            replaced: plan.totals.replaced.into(),
            protected: plan.totals.protected.into(),
            tripped: plan
                .tripped
                .iter()
                .map(|tripped| tripped.reason.clone())
                .collect(),
            unmet: plan
                .unmet
                .iter()
                .map(|unmet| format!("{}: {}", rule(unmet.rule), unmet.reason))
                .collect(),
            rules: plan
                .steps
                .statements()
                .iter()
                .map(|(&index, of_statement)| RuleView {
                    rule: rule(index),
                    text: plan
                        .rules
                        .get(index)
                        .map(|r| r.text.clone())
                        .unwrap_or_default(),
                    because: plan.rules.get(index).and_then(|r| r.because.clone()),
                    files: of_statement.files.files,
                    bytes: of_statement.files.bytes,
                })
                .collect(),
            steps_total: plan.steps.len(),
            steps: steps
                .map(|step| StepView {
                    path: step.path.to_string(),
                    action: match step.action {
                        Action::Remove => "remove",
                        Action::Replace { .. } => "replace",
                        Action::BackUp => "back-up",
                    },
                    size: step.facts.size,
                    modified: step.facts.modified.to_string(),
                    collection: step.ruling.collection.to_string(),
                    captures: step.ruling.captures.owned(),
                    rule: rule(step.ruling.rule),
                    reason: step.reason.to_string(),
                    after: step.ruling.hooks.iter().filter_map(hook).collect(),
                })
                .collect(),
            notices: plan
                .notices
                .iter()
                .take(100)
                .map(|notice| match &notice.path {
                    Some(path) => format!("{path}: {}", notice.message),
                    None => notice.message.clone(),
                })
                .collect(),
        }
    }
}

/// How many steps are shown when nobody says.
pub(super) const STEPS: usize = 100;

/// How many are shown at most.
const MOST: usize = 10_000;

/// What a run would do now, or when the next one is due. Changes nothing; the plan is
/// kept for an hour so that an apply can name its digest.
#[utoipa::path(get, path = "/v1/stores/{store}/plan", tag = "stores",
    params(("store" = String, Path, description = "Its name"), When),
    responses((status = 200, body = PlanView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn plan(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    Params(when): Params<When>,
) -> Answer<PlanView> {
    known(&ask.shared.loaded(), &store)?;
    let moment = match when.at.as_deref() {
        None | Some("now") => None,
        Some("next") => ask.shared.room(&store).state().next,
        Some(text) => Some(text.parse::<jiff::Timestamp>().map_err(|_| {
            Problem::invalid(format!(
                "`{text}` is no moment; write `next` or `2027-01-31T12:00:00Z`"
            ))
        })?),
    };
    let limit = when.limit.unwrap_or(STEPS).min(MOST);
    plan_view(
        &ask,
        &store,
        moment.map(Other::Moment),
        when.offset.unwrap_or(0),
        limit,
    )
    .await
    .map(Json)
}

pub(super) async fn plan_view(
    ask: &Ask,
    store: &str,
    other: Option<Other>,
    offset: usize,
    limit: usize,
) -> Result<PlanView, Problem> {
    known(&ask.shared.loaded(), store)?;
    // One for another moment cannot be applied, so it is not kept.
    let keep = !matches!(other, Some(Other::Moment(_)));
    let plan = work::look_at(
        &ask.shared,
        store,
        (other, Wanted::Decisive),
        |_, _, planned, _| planned.plan,
    );
    let plan = plan.await?;
    let (digest, plan) = match keep {
        true => ask.shared.shelve(plan),
        false => (plan.digest(), std::sync::Arc::new(plan)),
    };
    Ok(PlanView::of(&plan, digest, offset, limit))
}

/// What a store held over time.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HistoryView {
    /// The store.
    pub store: String,
    /// Samples, oldest first: one an hour for two weeks, one a day before that.
    pub samples: Vec<SampleView>,
}

/// What a store held at one moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct SampleView {
    /// When, RFC 3339.
    pub at: String,
    /// Its files.
    pub files: u64,
    /// Their allocated bytes.
    pub bytes: u64,
    /// The used share of its file system, 0 to 1.
    pub disk_used_ratio: f64,
}

/// What a store held over time.
#[utoipa::path(get, path = "/v1/stores/{store}/history", tag = "stores",
    params(("store" = String, Path, description = "Its name")),
    responses((status = 200, body = HistoryView), (status = 404, body = Problem)))]
pub(super) async fn history(
    State(ask): State<Ask>,
    Path(store): Path<String>,
) -> Answer<HistoryView> {
    known(&ask.shared.loaded(), &store)?;
    let samples = samples(&ask, &store).await?;
    Ok(Json(HistoryView { store, samples }))
}

/// Samples that are shown at most: more than a screen has columns.
const POINTS: usize = 2000;

pub(super) async fn samples(ask: &Ask, store: &str) -> Result<Vec<SampleView>, Problem> {
    let state = ask.shared.loaded().config.state.clone();
    let store = store.to_owned();
    blocking(move || {
        let Some(journal) = Journal::open_existing(&state)? else {
            return Ok(Vec::new());
        };
        let since = Now::from_clock().timestamp() - jiff::SignedDuration::from_hours(24 * 400);
        let samples = journal.samples(&store, since, POINTS)?;
        let share = |used: u64, total: u64| match total {
            0 => 0.0,
            total => used as f64 / total as f64,
        };
        Ok(samples
            .iter()
            .map(|sample| SampleView {
                at: sample.at.to_string(),
                files: sample.files,
                bytes: sample.bytes,
                disk_used_ratio: share(sample.disk_used, sample.disk_total),
            })
            .collect())
    })
    .await
}

/// Which file is asked about.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// The store it lies in.
    pub store: String,
    /// Where it lies in the store, as plans write it.
    pub path: String,
}

/// What is decided about one file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WhyView {
    /// The store.
    pub store: String,
    /// The file.
    pub path: String,
    /// `keep`, `delete` or `replace`.
    pub fate: &'static str,
    /// The decision in words.
    pub decision: String,
    /// The statement that decided.
    pub rule: Option<String>,
    /// Every statement that speaks of the file, with its values.
    pub statements: Vec<SaidView>,
}

/// What one statement says of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SaidView {
    /// Where it stands.
    pub rule: String,
    /// Its text.
    pub text: String,
    /// `yes`, `no` or `unknown`.
    pub holds: String,
    /// Its conditions with the values they were held against.
    pub tests: Vec<String>,
}

/// The decision about one file, with every statement that touched it.
#[utoipa::path(get, path = "/v1/why", tag = "stores", params(Asked),
    responses((status = 200, body = WhyView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn why(State(ask): State<Ask>, Params(asked): Params<Asked>) -> Answer<WhyView> {
    known(&ask.shared.loaded(), &asked.store)?;
    let path = RelPath::unescape(&asked.path)
        .ok_or_else(|| Problem::invalid(format!("`{}` is no path in a store", asked.path)))?;
    let store = asked.store.clone();
    let view = work::look(
        &ask.shared,
        &asked.store,
        Wanted::Everything,
        move |_, job, planned, _| {
            let entries = &planned.inventory.entries;
            let at = entries.binary_search_by(|entry| entry.path.cmp(&path)).ok();
            let found = at.and_then(|at| entries.get(at)).cloned();
            let entry = found.ok_or_else(|| {
                Problem::not_found(format!(
                    "`{path}` is not among the files of store `{store}` that its policy can reach"
                ))
            })?;
            let now = Now::from_clock();
            let decision = job
                .decide(&planned, &path, &now)
                .ok_or_else(|| Problem::not_found(format!("nothing is decided about `{path}`")))?;
            let matcher = crate::policy::Matcher::new(&job.policy, &now);
            let rules = job.policy.rules();
            let said = matcher.explain(&entry);
            let statements = said.iter().filter_map(|said| {
                let rule = rules.get(said.rule)?;
                Some(SaidView {
                    rule: rule.to_string(),
                    text: rule.text.clone(),
                    holds: crate::plan::word(said.holds).to_owned(),
                    tests: said.tests.iter().map(ToString::to_string).collect(),
                })
            });
            Ok(WhyView {
                store,
                path: path.to_string(),
                fate: match decision.fate {
                    Fate::Keep => "keep",
                    Fate::Delete => "delete",
                    Fate::Replace => "replace",
                },
                decision: decision.words.clone(),
                rule: decision
                    .rule
                    .and_then(|rule| rules.get(rule))
                    .map(ToString::to_string),
                statements: statements.collect(),
            })
        },
    );
    view.await?.map(Json)
}
