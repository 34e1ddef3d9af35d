//! What somebody should look at, most of all in a deployment.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::Problem;
use super::stores::views;
use super::{Answer, Ask};
use crate::service::survey;

/// What somebody should look at.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Advice {
    /// How pressing it is: `critical`, `warning` or `info`.
    pub severity: &'static str,
    /// The store it is about.
    pub store: Option<String>,
    /// What it is about: `unhealthy`, `relative-path`, `volatile`, `no-backup`,
    /// `near-budget`, `unbounded`, `disk`, `latched`, `configuration`.
    pub kind: &'static str,
    /// What is the matter, and what to do.
    pub message: String,
}

/// What somebody should look at, the most pressing first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AdviceView {
    /// What `ENVIRONMENT` says.
    pub environment: Option<String>,
    /// One by one.
    pub recommendations: Vec<Advice>,
}

/// What somebody should look at in this environment.
#[utoipa::path(get, path = "/v1/recommendations", tag = "stores", responses((status = 200, body = AdviceView)))]
pub(super) async fn recommendations(State(ask): State<Ask>) -> Answer<AdviceView> {
    Ok(Json(AdviceView {
        environment: ask.shared.loaded().config.environment.clone(),
        recommendations: advice(&ask).await?,
    }))
}

/// File systems whose files do not outlive the machine or the container.
const TMPFS: i64 = 0x0102_1994;
const OVERLAY: i64 = 0x794c_7630;
const RAMFS: i64 = 0x8584_58f6;

/// A budget this full is worth a word, in percent.
const NEAR: u128 = 90;

pub(super) async fn advice(ask: &Ask) -> Result<Vec<Advice>, Problem> {
    let loaded = ask.shared.loaded();
    let mut advice = Vec::new();
    let deployed = matches!(
        loaded.config.environment.as_deref(),
        Some("production" | "staging")
    );
    let reload = ask.shared.reloaded().clone();
    if !reload.successful {
        advice.push(Advice {
            severity: "critical",
            store: None,
            kind: "configuration",
            message: format!(
                "the configuration on disk is not the one that runs: {}",
                reload.message.unwrap_or_default()
            ),
        });
    }
    for view in views(ask).await? {
        let Some(store) = loaded.config.stores.get(&view.store) else {
            continue;
        };
        let mut say = |severity, kind, message: String| {
            advice.push(Advice {
                severity,
                store: Some(view.store.clone()),
                kind,
                message,
            });
        };
        if let Some(message) = &view.health.message {
            say("critical", "unhealthy", message.clone());
        } else if let Some(trouble) = &view.trouble {
            say("critical", "unhealthy", trouble.clone());
        }
        if let Some(latch) = &view.latch {
            say(
                "critical",
                "latched",
                format!(
                    "nothing is removed since {}: {}; look at plan {} and apply it by its digest, or mend the policy",
                    latch.since, latch.reason, latch.plan
                ),
            );
        }
        if deployed && std::path::Path::new(&store.path.written).is_relative() {
            say(
                "warning",
                "relative-path",
                format!(
                    "`{}` begins at the configuration's directory; write an absolute path here, as on a volume",
                    store.path.written
                ),
            );
        }
        let kind = rustix::fs::statfs(&store.path.path).map(|stat| stat.f_type);
        match kind {
            Ok(TMPFS | RAMFS) => say(
                "warning",
                "volatile",
                format!(
                    "`{}` lies in memory and is empty after a restart",
                    view.path
                ),
            ),
            Ok(OVERLAY) => say(
                "warning",
                "volatile",
                format!(
                    "`{}` lies in the container's own layer and is gone with it; mount a volume",
                    view.path
                ),
            ),
            _ => {}
        }
        if let Some(policy) = loaded.policy(&view.store) {
            if survey::deletes_without_backup(policy, store) {
                say(if deployed { "warning" } else { "info" }, "no-backup", 
                    "what goes here goes for good: no `before delete` and no `grace`; fine for what can be made again".to_owned());
            }
            if !survey::bounds_growth(policy) {
                say(
                    "warning",
                    "unbounded",
                    "no statement ever removes anything, so it grows without bound".to_owned(),
                );
            }
            let on_disk = policy
                .marks()
                .any(|mark| matches!(mark, crate::policy::Mark::Disk { .. }));
            if on_disk && deployed {
                say("info", "disk", "`when disk is above` speaks of the whole file system; on an emptyDir that is the node's disk, and `when store is above` is what is meant".to_owned());
            }
        }
        if let (Some(disk), Some(mark)) = (&view.disk, store.warn.used)
            && disk.used_ratio * 100.0 > f64::from(mark)
        {
            say(
                "critical",
                "disk",
                format!(
                    "the file system is {:.0} % full, above the mark of {mark} %",
                    disk.used_ratio * 100.0
                ),
            );
        }
        for budget in view.seen.iter().flat_map(|seen| &seen.budgets) {
            if u128::from(budget.used) * 100 >= u128::from(budget.cap) * NEAR {
                let group = match budget.group.as_str() {
                    "" => String::new(),
                    group => format!(" for {group}"),
                };
                say(
                    "info",
                    "near-budget",
                    format!(
                        "{}{group} uses {} % of its budget: {}",
                        budget.rule,
                        u128::from(budget.used) * 100 / u128::from(budget.cap.max(1)),
                        budget.text
                    ),
                );
            }
        }
        for unmet in view.seen.iter().flat_map(|seen| &seen.unmet) {
            say(
                "critical",
                "near-budget",
                format!("a budget cannot be met: {unmet}"),
            );
        }
    }
    let rank = |severity: &str| match severity {
        "critical" => 0,
        "warning" => 1,
        _ => 2,
    };
    advice.sort_by_key(|advice| rank(advice.severity));
    Ok(advice)
}
