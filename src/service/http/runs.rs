//! What happens and has happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{MaybeBody, Params, Path, Problem};
use super::stores::{PlanView, STEPS, captures, no_capture, plan_view};
use super::{Answer, Ask, blocking, known};
use crate::journal::{Journal, Summary};
use crate::plan::Plan;
use crate::policy::Request;
use crate::run::Breaker;
use crate::service::state::Cause;
use crate::service::work::{self, Other, Report, Task};

/// What is wanted of a store.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Whether anything is removed; a dry run when it is left out.
    #[serde(default)]
    pub apply: bool,
    /// The digest of the plan to carry out, instead of a new one.
    pub plan: Option<String>,
    /// Release the breaker for just this plan.
    #[serde(default)]
    pub release: bool,
}

/// What would happen, or what has happened.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Outcome {
    /// Nothing has: a dry run.
    Plan(PlanView),
    /// A run did something.
    Report(Report),
}

/// Plans a store's clean-up, or carries it out.
///
/// A dry run unless `apply` is true or a plan is named. Answers when the run has ended;
/// with `Prefer: respond-async` as soon as it has begun (202). A client that goes away
/// does not end the run.
#[utoipa::path(post, path = "/v1/stores/{store}/runs", tag = "runs",
    params(("store" = String, Path, description = "Its name")),
    request_body = Wanted, security(("token" = [])),
    responses((status = 200, body = Outcome), (status = 202, description = "The run goes on"),
        (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn start(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    headers: HeaderMap,
    MaybeBody(wanted): MaybeBody<Wanted>,
) -> Result<Response, Problem> {
    known(&ask.shared.loaded(), &store)?;
    let task = match (&wanted.plan, wanted.apply) {
        (Some(digest), _) => named_plan(&ask, &store, digest, wanted.release)?,
        (None, _) if wanted.release => {
            return Err(Problem::invalid(
                "`release` goes with the digest of a `plan`",
            ));
        }
        (None, true) => Task::Policy,
        (None, false) => {
            let view = plan_view(&ask, &store, None, 0, STEPS).await?;
            return Ok(Json(Outcome::Plan(view)).into_response());
        }
    };
    let handle = work::start(&ask.shared, &store, task, Cause::Request)?;
    if prefers_not_to_wait(&headers) {
        return Ok(accepted(&store));
    }
    let report = handle.await.unwrap_or(Err(work::Failure::Lost))?;
    Ok(Json(Outcome::Report(report)).into_response())
}

/// The plan a digest names: one that was shown, or one that was kept for a person.
pub(super) fn named_plan(
    ask: &Ask,
    store: &str,
    digest: &str,
    release: bool,
) -> Result<Task, Problem> {
    let plan = match ask.shared.shown(digest) {
        Some(plan) => Some(plan),
        None => kept(ask, digest)?,
    };
    let plan = plan.ok_or_else(|| {
        Problem::not_found(format!(
            "there is no plan `{digest}`; it may have been made too long ago: make a new one"
        ))
    })?;
    if plan.store != store {
        return Err(Problem::invalid(format!(
            "this plan is for store `{}`, not `{store}`",
            plan.store
        )));
    }
    let breaker = match release {
        true => Breaker::Released,
        false => Breaker::Holds,
    };
    Ok(Task::Plan(plan, breaker))
}

fn kept(ask: &Ask, digest: &str) -> Result<Option<Arc<Plan>>, Problem> {
    let state = &ask.shared.loaded().config.state;
    let Some(document) = Journal::kept_plan(state, digest) else {
        return Ok(None);
    };
    let plan = Plan::read_json(document).map_err(|error| Problem::internal(error.to_string()))?;
    Ok(Some(Arc::new(plan)))
}

fn prefers_not_to_wait(headers: &HeaderMap) -> bool {
    let wishes = headers.get_all("prefer").iter();
    wishes
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|wish| wish.trim().eq_ignore_ascii_case("respond-async"))
}

fn accepted(store: &str) -> Response {
    let body = Json(serde_json::json!({
        "store": store,
        "message": "the run goes on; /v1/events tells how, and /v1/runs lists it when it has begun",
    }));
    let location = [(header::LOCATION, format!("/v1/stores/{store}"))];
    (StatusCode::ACCEPTED, location, body).into_response()
}

/// Deletes the files whose captures have these values.
///
/// `?symbol=AAPL&interval=1d` deletes one group, `?all=true` every file of every
/// collection. Carried out as the policy's own statements are: protections, holds,
/// plugins and the breaker stand.
#[utoipa::path(delete, path = "/v1/stores/{store}/groups", tag = "runs",
    params(("store" = String, Path, description = "Its name"),
        ("all" = Option<bool>, Query, description = "Every file of every collection"),
        ("dry_run" = Option<bool>, Query, description = "Only show what would go")),
    security(("token" = [])),
    responses((status = 200, body = Outcome), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn delete_groups(
    State(ask): State<Ask>,
    Path(store): Path<String>,
    Params(filter): Params<Vec<(String, String)>>,
) -> Answer<Outcome> {
    let loaded = ask.shared.loaded();
    known(&loaded, &store)?;
    let mut wanted = BTreeMap::new();
    for (name, value) in filter {
        if wanted.contains_key(&name) {
            return Err(Problem::invalid(format!(
                "`{name}` is there twice; ask once for each of its values"
            )));
        }
        wanted.insert(name, value);
    }
    let all = flag(&mut wanted, "all")?;
    let dry_run = flag(&mut wanted, "dry_run")?;
    let captures = captures(&loaded, &store);
    if let Some(unknown) = wanted.keys().find(|name| !captures.contains(name)) {
        return Err(no_capture(&store, unknown, &captures));
    }
    if let Some((name, _)) = wanted.iter().find(|(_, value)| value.is_empty()) {
        return Err(Problem::invalid(format!("`{name}` is empty")));
    }
    match (all, wanted.is_empty()) {
        (false, true) => {
            return Err(Problem::invalid(
                "say which files: `?NAME=VALUE` for captures, or `?all=true` for all",
            ));
        }
        (true, false) => {
            return Err(Problem::invalid(
                "`all=true` and the value of a capture contradict each other",
            ));
        }
        (true, true) | (false, false) => {}
    }
    let pairs = wanted.iter().map(|(name, value)| format!("{name}={value}"));
    let query = match all {
        true => "all=true".to_owned(),
        false => pairs.collect::<Vec<_>>().join("&"),
    };
    let by = format!("DELETE /v1/stores/{store}/groups?{query}");
    let request = Request::new(wanted, &by);
    if dry_run {
        let other = Some(Other::Request(request));
        return plan_view(&ask, &store, other, 0, STEPS)
            .await
            .map(|view| Json(Outcome::Plan(view)));
    }
    let report = work::run(&ask.shared, &store, Task::Request(request), Cause::Request).await?;
    Ok(Json(Outcome::Report(report)))
}

/// Takes a flag out of the parameters.
fn flag(parameters: &mut BTreeMap<String, String>, name: &str) -> Result<bool, Problem> {
    match parameters.remove(name).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(Problem::invalid(format!(
            "`{name}={other}`: write `true` or `false`"
        ))),
    }
}

/// Which runs are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only those of this store.
    pub store: Option<String>,
    /// How many; 20 when it is left out, at most 200.
    pub limit: Option<u32>,
}

/// A run in the journal.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct RunView {
    /// Its name.
    pub run: String,
    /// Its store.
    pub store: String,
    /// `completed`, `stopped`, `cancelled`, `interrupted`, or `unfinished`.
    pub state: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// When it ended.
    pub ended: Option<String>,
    /// Steps of its plan.
    pub planned: u64,
    /// Files it removed, those in the trash included.
    pub removed: u64,
    /// Files it put into the trash.
    pub trashed: u64,
    /// Files whose archives have taken their places.
    pub replaced: u64,
    /// Files it archived first.
    pub archived: u64,
    /// Files it kept as it should.
    pub kept: u64,
    /// Files it kept because something did not work.
    pub trouble: u64,
    /// Bytes that gave back.
    pub freed: u64,
    /// The digest of its plan.
    pub plan: String,
}

impl RunView {
    fn of(summary: &Summary) -> RunView {
        let tallies = &summary.tallies;
        RunView {
            run: summary.id.to_string(),
            store: summary.store.clone(),
            state: summary
                .state
                .map_or("unfinished", |state| state.word())
                .to_owned(),
            started: summary.started.clone(),
            ended: summary.ended.clone(),
            planned: summary.planned,
            removed: tallies.removed,
            trashed: tallies.trashed,
            replaced: tallies.replaced,
            archived: summary.receipts,
            kept: tallies.kept,
            trouble: tallies.trouble,
            freed: tallies.freed,
            plan: summary.plan.clone(),
        }
    }
}

/// Runs, the newest first.
#[utoipa::path(get, path = "/v1/runs", tag = "runs", params(Which),
    responses((status = 200, body = [RunView]), (status = 422, body = Problem)))]
pub(super) async fn list(
    State(ask): State<Ask>,
    Params(which): Params<Which>,
) -> Answer<Vec<RunView>> {
    if let Some(store) = &which.store {
        known(&ask.shared.loaded(), store)?;
    }
    let limit = which.limit.unwrap_or(20).min(200);
    runs(&ask, which.store, limit).await.map(Json)
}

pub(super) async fn runs(
    ask: &Ask,
    store: Option<String>,
    limit: u32,
) -> Result<Vec<RunView>, Problem> {
    let state = ask.shared.loaded().config.state.clone();
    blocking(move || {
        let Some(journal) = Journal::open_existing(&state)? else {
            return Ok(Vec::new());
        };
        let runs = journal.runs_of(store.as_deref(), limit)?;
        Ok(runs.iter().map(RunView::of).collect())
    })
    .await
}

/// Which files of a run are shown.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// How many are left out first.
    pub offset: Option<usize>,
    /// How many are shown; 100 when it is left out, at most 10000.
    pub limit: Option<usize>,
}

/// A run with its files.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WholeRunView {
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// How many files it had to do with.
    pub files_total: usize,
    /// Some of them, in path order.
    pub files: Vec<FileView>,
}

/// What became of one file.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct FileView {
    /// Where it lay.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
    /// The statement that doomed it.
    pub rule: String,
    /// The outcome's word; none while it is not known.
    pub outcome: Option<String>,
    /// The outcome in words.
    pub message: Option<String>,
}

/// One run with what became of its files.
#[utoipa::path(get, path = "/v1/runs/{run}", tag = "runs",
    params(("run" = String, Path, description = "Its name, its beginning or end, or `last`"), Part),
    responses((status = 200, body = WholeRunView), (status = 404, body = Problem)))]
pub(super) async fn one(
    State(ask): State<Ask>,
    Path(run): Path<String>,
    Params(part): Params<Part>,
) -> Answer<WholeRunView> {
    whole(
        &ask,
        run,
        part.offset.unwrap_or(0),
        part.limit.unwrap_or(100).min(10_000),
    )
    .await
    .map(Json)
}

pub(super) async fn whole(
    ask: &Ask,
    run: String,
    offset: usize,
    limit: usize,
) -> Result<WholeRunView, Problem> {
    let state = ask.shared.loaded().config.state.clone();
    blocking(move || {
        let journal = Journal::open_existing(&state)?;
        let journal = journal.ok_or_else(|| Problem::not_found("there was no run yet"))?;
        let (summary, settled) = journal.run(&journal.find_run(&run)?)?;
        let files = settled.iter().skip(offset).take(limit);
        Ok(WholeRunView {
            run: RunView::of(&summary),
            files_total: settled.len(),
            files: files
                .map(|file| FileView {
                    path: file.path.to_string(),
                    size: file.size,
                    rule: file.rule.clone(),
                    outcome: file.outcome.as_ref().map(|o| o.word().to_owned()),
                    message: file.outcome.as_ref().map(ToString::to_string),
                })
                .collect(),
        })
    })
    .await
}

/// A plan that was shown within the hour, or that waits for a person.
#[utoipa::path(get, path = "/v1/plans/{digest}", tag = "runs",
    params(("digest" = String, Path, description = "Its digest, or the first 16 digits"), Part),
    responses((status = 200, body = PlanView), (status = 404, body = Problem)))]
pub(super) async fn plan(
    State(ask): State<Ask>,
    Path(digest): Path<String>,
    Params(part): Params<Part>,
) -> Answer<PlanView> {
    let plan = match ask.shared.shown(&digest) {
        Some(plan) => Some(plan),
        None => {
            let ask = ask.clone();
            let digest = digest.clone();
            blocking(move || kept(&ask, &digest)).await?
        }
    };
    let plan = plan.ok_or_else(|| Problem::not_found(format!("there is no plan `{digest}`")))?;
    let limit = part.limit.unwrap_or(STEPS).min(10_000);
    Ok(Json(PlanView::of(
        &plan,
        plan.digest(),
        part.offset.unwrap_or(0),
        limit,
    )))
}
