//! Bringing back, and keeping.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::problem::{Body, Params, Path, Problem};
use super::{Answer, Ask, blocking, known};
use crate::apply::{UndoError, trash_list};
use crate::config::Config;
use crate::diagnostic::Diagnostics;
use crate::journal::{Hold, HoldState, Journal, NewHold, Origin, StoredReceipt};
use crate::path::RelPath;
use crate::plugin::Catalogue;
use crate::run::{RunError, bring_back, current_versions, put_back, with_ledger};
use crate::store::Root;
use crate::time::Now;

/// Files of one run that can be put back.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct TrashView {
    /// The run that removed them.
    pub run: String,
    /// Their store.
    pub store: String,
    /// Since when they lie there, RFC 3339.
    pub since: String,
    /// Until when.
    pub until: String,
    /// How many there are.
    pub files: u64,
    /// Their allocated bytes.
    pub bytes: u64,
    /// The first hundred of them.
    pub paths: Vec<String>,
}

/// Of which store.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OfStore {
    /// Only that of this store.
    pub store: Option<String>,
}

/// What lies in the trash, the oldest first.
#[utoipa::path(get, path = "/v1/trash", tag = "undo", params(OfStore),
    responses((status = 200, body = [TrashView]), (status = 404, body = Problem)))]
pub(super) async fn trash(
    State(ask): State<Ask>,
    Params(of): Params<OfStore>,
) -> Answer<Vec<TrashView>> {
    if let Some(store) = &of.store {
        known(&ask.shared.loaded(), store)?;
    }
    trash_views(&ask, of.store).await.map(Json)
}

pub(super) async fn trash_views(
    ask: &Ask,
    only: Option<String>,
) -> Result<Vec<TrashView>, Problem> {
    let loaded = ask.shared.loaded();
    blocking(move || {
        let mut views = Vec::new();
        for store in loaded.config.stores.values() {
            if only.as_ref().is_some_and(|only| *only != store.name) {
                continue;
            }
            // A root that is not there has no trash; its health says so.
            let Ok(root) = Root::open(&store.path.path) else {
                continue;
            };
            let (kept, unreadable) = trash_list(&root).map_err(RunError::from)?;
            for error in unreadable {
                tracing::warn!(store = store.name, %error, "the trash of a run cannot be read");
            }
            views.extend(kept.iter().map(|kept| {
                TrashView {
                    run: kept.head.run.clone(),
                    store: store.name.clone(),
                    since: kept.head.since.clone(),
                    until: kept.head.until.clone(),
                    files: kept.files.len() as u64,
                    bytes: kept.files.iter().map(|file| file.facts.allocated).sum(),
                    paths: kept
                        .files
                        .iter()
                        .take(100)
                        .map(|f| f.path.to_string())
                        .collect(),
                }
            }));
        }
        Ok(views)
    })
    .await
}

/// What is to be put back from the trash.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Undo {
    /// The store.
    pub store: String,
    /// The run that removed it: its whole name.
    pub run: String,
    /// Only this file, or what lies below this directory.
    pub path: Option<String>,
}

/// What was put back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UndoneView {
    /// How many files are in their place.
    pub back: u64,
    /// Those that stay in the trash, and why.
    pub left: Vec<LeftView>,
    /// Until when what came back is held, RFC 3339.
    pub held_until: String,
}

/// A file that was not brought back.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LeftView {
    /// Where it would lie.
    pub path: String,
    /// Why.
    pub message: String,
}

/// Puts back what a run moved into the trash. Nothing is overwritten, and what comes
/// back is held for a week.
#[utoipa::path(post, path = "/v1/undo", tag = "undo", request_body = Undo, security(("token" = [])),
    responses((status = 200, body = UndoneView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn undo(State(ask): State<Ask>, Body(undo): Body<Undo>) -> Answer<UndoneView> {
    undone(&ask, undo).await.map(Json)
}

pub(super) async fn undone(ask: &Ask, undo: Undo) -> Result<UndoneView, Problem> {
    let loaded = ask.shared.loaded();
    known(&loaded, &undo.store)?;
    let path = undo.path.as_deref().map(in_store).transpose()?;
    if crate::journal::RunId::parse(&undo.run).is_none() {
        let detail = format!("`{}` is no name of a run", undo.run.escape_debug());
        return Err(Problem::not_found(detail));
    }
    let name = undo.store.clone();
    let undone = blocking(move || {
        let store = known(&loaded, &undo.store)?;
        let inside = |file: &RelPath| {
            path.as_ref()
                .is_none_or(|path| file == path || file.starts_with(path))
        };
        put_back(&loaded.config, store, &undo.run, &inside).map_err(|error| match error {
            RunError::Trash(UndoError::Nothing(run)) => Problem::not_found(format!(
                "nothing of run `{run}` lies in the trash; /v1/trash lists what does"
            )),
            error => Problem::of_run(&error),
        })
    })
    .await?;
    ask.shared.forget_survey(&name);
    let left = undone.left.iter().map(|(path, message)| LeftView {
        path: path.to_string(),
        message: message.clone(),
    });
    Ok(UndoneView {
        back: undone.back.len() as u64,
        left: left.collect(),
        held_until: undone.held_until,
    })
}

fn in_store(text: &str) -> Result<RelPath, Problem> {
    RelPath::unescape(text)
        .ok_or_else(|| Problem::invalid(format!("`{text}` is no path in a store")))
}

/// Which archived files are to be restored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    /// The store.
    pub store: String,
    /// This file, as plans write it.
    pub path: Option<String>,
    /// Everything this run archived.
    pub run: Option<String>,
    /// The version that was current then, RFC 3339, instead of the newest.
    pub at: Option<String>,
}

/// What was restored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RestoredView {
    /// Files in their place.
    pub back: Vec<String>,
    /// Those that were not restored, and why.
    pub failed: Vec<LeftView>,
    /// Until when what came back is held, RFC 3339.
    pub held_until: String,
    /// The hold that keeps it.
    pub hold: String,
}

/// Restores archived files into their store through the plugin that wrote them. Nothing
/// is overwritten, and what comes back is held for a week.
#[utoipa::path(post, path = "/v1/restore", tag = "undo", request_body = Restore, security(("token" = [])),
    responses((status = 200, body = RestoredView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn restore(
    State(ask): State<Ask>,
    Body(restore): Body<Restore>,
) -> Answer<RestoredView> {
    restored(&ask, restore).await.map(Json)
}

pub(super) async fn restored(ask: &Ask, restore: Restore) -> Result<RestoredView, Problem> {
    let loaded = ask.shared.loaded();
    known(&loaded, &restore.store)?;
    if restore.path.is_none() && restore.run.is_none() {
        return Err(Problem::invalid("say which files: `path`, `run`, or both"));
    }
    let at = restore.at.as_deref().map(moment).transpose()?;
    if let Some(path) = &restore.path {
        in_store(path)?;
    }
    let name = restore.store.clone();
    let restored = blocking(move || {
        let store = known(&loaded, &restore.store)?;
        let wanted = receipts(&loaded.config, &restore, at)?;
        let config = &loaded.config;
        let catalogue = Catalogue::load(config, config.plugins.keys().map(String::as_str));
        bring_back(config, store, &catalogue, &wanted, &mut |_, _| {}).map_err(Problem::from)
    })
    .await?;
    ask.shared.forget_survey(&name);
    let failed = restored.failed.into_iter();
    Ok(RestoredView {
        back: restored.back,
        failed: failed
            .map(|(path, message)| LeftView { path, message })
            .collect(),
        held_until: restored.held_until,
        hold: restored.hold,
    })
}

/// An archived version of a file.
#[derive(Clone, Debug)]
pub(super) struct VersionView {
    /// When it was last modified, RFC 3339.
    pub modified: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// When it was archived, RFC 3339.
    pub archived: String,
    /// The plugin that did, and can bring it back.
    pub plugin: String,
    /// Where to.
    pub destination: String,
}

/// Every archived version of one file, the newest first.
pub(super) async fn versions(
    ask: &Ask,
    store: &str,
    path: &str,
) -> Result<Vec<VersionView>, Problem> {
    let loaded = ask.shared.loaded();
    known(&loaded, store)?;
    let path = in_store(path)?.to_string();
    let store = store.to_owned();
    blocking(move || {
        let Some(journal) = Journal::open_existing(&loaded.config.state)? else {
            return Ok(Vec::new());
        };
        let mut found = journal.receipts(Some(&store), Some(&path), None)?;
        found.sort_by_key(|stored| std::cmp::Reverse(stored.receipt.modified()));
        let views = found
            .into_iter()
            .map(|StoredReceipt { receipt, .. }| VersionView {
                modified: receipt.modified().to_string(),
                bytes: receipt.source.size,
                archived: receipt.at,
                plugin: receipt.plugin.name,
                destination: receipt.destination.name,
            });
        Ok(views.collect())
    })
    .await
}

/// Of each named file the one version that is wanted.
fn receipts(
    config: &Config,
    restore: &Restore,
    at: Option<jiff::Timestamp>,
) -> Result<Vec<StoredReceipt>, Problem> {
    let nothing = || Problem::not_found("nothing of that was archived");
    let journal = Journal::open_existing(&config.state)?.ok_or_else(nothing)?;
    let run = restore.run.as_deref().map(|run| journal.find_run(run));
    let run = run.transpose()?;
    let path = restore.path.as_deref();
    let found = journal.receipts(Some(&restore.store), path, run.as_ref())?;
    let found = current_versions(found, at);
    match found.is_empty() {
        true => Err(nothing()),
        false => Ok(found),
    }
}

fn moment(text: &str) -> Result<jiff::Timestamp, Problem> {
    text.parse().map_err(|_| {
        Problem::invalid(format!(
            "`{text}` is no moment; write `2027-01-31T12:00:00Z`"
        ))
    })
}

/// What goes into the ledger is shown on terminals.
fn plain(what: &str, text: &str) -> Result<(), Problem> {
    match text.chars().any(char::is_control) {
        true => Err(Problem::invalid(format!(
            "`{what}` has a control character in it"
        ))),
        false => Ok(()),
    }
}

/// Something that keeps files.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct HoldView {
    /// What it is called.
    pub name: String,
    /// Its store.
    pub store: String,
    /// What it holds, where that is a template.
    pub template: Option<String>,
    /// How many single files it holds.
    pub files: usize,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when.
    pub until: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who said so: `policy`, `manual`, `undo` or `restore`.
    pub origin: &'static str,
    /// `active`, `orphaned` or `released`.
    pub state: &'static str,
}

impl HoldView {
    fn of(hold: &Hold) -> HoldView {
        HoldView {
            name: hold.name.clone(),
            store: hold.store.clone(),
            template: hold.template.clone().or_else(|| hold.text.clone()),
            files: hold.files.len(),
            since: hold.since.clone(),
            until: hold.until.clone(),
            reason: hold.reason.clone(),
            origin: hold.origin.word(),
            state: hold.state.word(),
        }
    }
}

/// What is held now.
#[utoipa::path(get, path = "/v1/holds", tag = "undo", params(OfStore),
    responses((status = 200, body = [HoldView]), (status = 404, body = Problem)))]
pub(super) async fn holds(
    State(ask): State<Ask>,
    Params(of): Params<OfStore>,
) -> Answer<Vec<HoldView>> {
    if let Some(store) = &of.store {
        known(&ask.shared.loaded(), store)?;
    }
    hold_views(&ask, of.store).await.map(Json)
}

pub(super) async fn hold_views(ask: &Ask, only: Option<String>) -> Result<Vec<HoldView>, Problem> {
    let state = ask.shared.loaded().config.state.clone();
    blocking(move || {
        let Some(journal) = Journal::open_existing(&state)? else {
            return Ok(Vec::new());
        };
        let now = Now::from_clock();
        let holds = journal.holds(only.as_deref())?;
        let active = holds
            .iter()
            .filter(|hold| hold.state != HoldState::Released && hold.protects(&now));
        Ok(active.map(HoldView::of).collect())
    })
    .await
}

/// Something that is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AddHold {
    /// The store.
    pub store: String,
    /// What it is called.
    pub name: String,
    /// What it holds: a template, as in a policy.
    pub on: String,
    /// Until when, RFC 3339; for good when it is left out.
    pub until: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Keeps files whatever the policy says.
#[utoipa::path(post, path = "/v1/holds", tag = "undo", request_body = AddHold, security(("token" = [])),
    responses((status = 200, body = HoldView), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn add_hold(State(ask): State<Ask>, Body(new): Body<AddHold>) -> Answer<HoldView> {
    let loaded = ask.shared.loaded();
    known(&loaded, &new.store)?;
    crate::policy::check_template("on", &new.on)
        .map_err(|findings| no_template(&new.on, &findings))?;
    if new.name.trim().is_empty() {
        return Err(Problem::invalid("a hold has a `name`"));
    }
    for (what, text) in [
        ("name", Some(&new.name)),
        ("on", Some(&new.on)),
        ("reason", new.reason.as_ref()),
    ] {
        plain(what, text.map_or("", String::as_str))?;
    }
    let until = new.until.as_deref().map(moment).transpose()?;
    let name = new.store.clone();
    let hold = blocking(move || {
        let store = known(&loaded, &new.store)?;
        let hold = NewHold {
            store: new.store.clone(),
            name: new.name,
            template: Some(new.on),
            files: Vec::new(),
            until: until.map(|until| until.to_string()),
            reason: new.reason,
            origin: Origin::Manual,
        };
        with_ledger(&loaded.config, store, |journal, at| {
            journal.add_hold(hold, at)
        })
        .map_err(Problem::from)
    })
    .await?;
    ask.shared.forget_survey(&name);
    Ok(Json(HoldView::of(&hold)))
}

/// A template that cannot be read, in the words of its first mistake.
fn no_template(template: &str, findings: &Diagnostics) -> Problem {
    let first = findings.0.first().map(|finding| finding.message());
    Problem::invalid(format!(
        "`{}` is no template: {}",
        template.escape_debug(),
        first.unwrap_or_default()
    ))
}

/// Why a hold is released.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// The store.
    pub store: String,
    /// Why it is released: goes into the ledger.
    pub reason: String,
}

/// Lets go of what a hold kept.
#[utoipa::path(post, path = "/v1/holds/{name}/release", tag = "undo",
    params(("name" = String, Path, description = "The hold's name")),
    request_body = Release, security(("token" = [])),
    responses((status = 200, body = [HoldView]), (status = 401, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn release_hold(
    State(ask): State<Ask>,
    Path(name): Path<String>,
    Body(release): Body<Release>,
) -> Answer<Vec<HoldView>> {
    let loaded = ask.shared.loaded();
    known(&loaded, &release.store)?;
    if release.reason.trim().is_empty() {
        return Err(Problem::invalid("say why in `reason`"));
    }
    plain("reason", &release.reason)?;
    let of = release.store.clone();
    let wanted = name.clone();
    let released = blocking(move || {
        let store = known(&loaded, &release.store)?;
        with_ledger(&loaded.config, store, |journal, at| {
            journal.release_hold(&release.store, &wanted, &release.reason, at)
        })
        .map_err(Problem::from)
    })
    .await?;
    ask.shared.forget_survey(&of);
    match released.is_empty() {
        true => Err(Problem::not_found(format!(
            "there is no hold `{name}` in store `{of}`; /v1/holds lists those there are"
        ))),
        false => Ok(Json(released.iter().map(HoldView::of).collect())),
    }
}
