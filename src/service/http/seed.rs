//! The six routes of the storage service that `retain` stands in for, as they were:
//! literal paths, so that no store's name can take one of them.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::advice::{self, AdviceView};
use super::problem::{Path, Problem};
use super::stores::{self, StatsView, StoreView, captures};
use super::{Answer, Ask, known};
use crate::policy::Request;
use crate::service::state::Cause;
use crate::service::work::{self, Report, Task};

/// The store the chart routes speak of.
const CHARTS: &str = "charts";

/// Its captures, in the order of the route.
const GROUP: [&str; 2] = ["symbol", "interval"];

/// Every storage path.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InfoView {
    /// What `ENVIRONMENT` says.
    pub environment: Option<String>,
    /// Files and bytes of all stores.
    pub total_files: u64,
    /// Their allocated bytes.
    pub total_bytes: u64,
    /// Every store, by name.
    pub storage: BTreeMap<String, StoreView>,
}

/// Storage information: path, health, files and bytes of every store.
#[utoipa::path(get, path = "/storage/info", tag = "storage", responses((status = 200, body = InfoView)))]
pub(super) async fn info(State(ask): State<Ask>) -> Answer<InfoView> {
    let views = stores::views(&ask).await?;
    let seen = || views.iter().filter_map(|view| view.seen.as_ref());
    Ok(Json(InfoView {
        environment: ask.shared.loaded().config.environment.clone(),
        total_files: seen().map(|seen| seen.total.files).sum(),
        total_bytes: seen().map(|seen| seen.total.bytes).sum(),
        storage: views
            .into_iter()
            .map(|view| (view.store.clone(), view))
            .collect(),
    }))
}

/// What somebody should look at in this environment.
#[utoipa::path(get, path = "/storage/recommendations", tag = "storage", responses((status = 200, body = AdviceView)))]
pub(super) async fn recommendations(State(ask): State<Ask>) -> Answer<AdviceView> {
    advice::recommendations(State(ask)).await
}

/// Statistics of the charts, by symbol and interval.
#[utoipa::path(get, path = "/charts/storage/stats", tag = "storage",
    responses((status = 200, body = StatsView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn stats(State(ask): State<Ask>) -> Answer<StatsView> {
    grouped(&ask)?;
    stores::group_stats(&ask, CHARTS, Some("symbol,interval"))
        .await
        .map(Json)
}

/// Cleans the charts up at once.
#[utoipa::path(post, path = "/charts/cleanup", tag = "storage", security(("token" = [])),
    responses((status = 200, body = Report), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cleanup(State(ask): State<Ask>) -> Answer<Report> {
    known(&ask.shared.loaded(), CHARTS)?;
    Ok(Json(
        work::run(&ask.shared, CHARTS, Task::Policy, Cause::Request).await?,
    ))
}

/// Deletes the charts of one symbol and interval; protections hold.
#[utoipa::path(delete, path = "/charts/{symbol}/{interval}", tag = "storage", security(("token" = [])),
    params(("symbol" = String, Path, description = "The symbol"), ("interval" = String, Path, description = "The interval")),
    responses((status = 200, body = Report), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn delete_group(
    State(ask): State<Ask>,
    Path((symbol, interval)): Path<(String, String)>,
) -> Answer<Report> {
    grouped(&ask)?;
    let by = format!("DELETE /charts/{symbol}/{interval}");
    let wanted = BTreeMap::from([
        (GROUP[0].to_owned(), symbol),
        (GROUP[1].to_owned(), interval),
    ]);
    let request = Request::new(wanted, &by);
    delete(&ask, request).await
}

/// Deletes all charts; protections hold.
#[utoipa::path(delete, path = "/charts/all", tag = "storage", security(("token" = [])),
    responses((status = 200, body = Report), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn delete_all(State(ask): State<Ask>) -> Answer<Report> {
    known(&ask.shared.loaded(), CHARTS)?;
    let request = Request::new(BTreeMap::new(), "DELETE /charts/all");
    delete(&ask, request).await
}

async fn delete(ask: &Ask, request: Request) -> Answer<Report> {
    let report = work::run(&ask.shared, CHARTS, Task::Request(request), Cause::Request).await?;
    Ok(Json(report))
}

/// Whether there is a store of charts that knows symbols and intervals.
fn grouped(ask: &Ask) -> Result<(), Problem> {
    let loaded = ask.shared.loaded();
    known(&loaded, CHARTS)?;
    let captures = captures(&loaded, CHARTS);
    match GROUP
        .iter()
        .find(|name| !captures.iter().any(|known| known == *name))
    {
        None => Ok(()),
        Some(missing) => Err(stores::no_capture(CHARTS, missing, &captures)),
    }
}
