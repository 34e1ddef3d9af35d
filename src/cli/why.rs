//! `retain why`

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::{Edge, Exit, say};
use crate::config::{Config, Store};
use crate::path::RelPath;
use crate::policy::{Matcher, Protector, Truth, Verdict};
use crate::time::Now;

/// Explain what is decided about one file.
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// The file, as you would name it here, or as it is called in the store.
    path: PathBuf,
    /// The store it lies in, where that is not clear.
    #[arg(long)]
    store: Option<String>,
}

impl Why {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let (store, path) = locate(edge, &config, &self.path, self.store.as_deref())?;
        let job = edge.job(&config, store)?;
        let now = Now::from_clock();
        let planned = job.plan(&now, std::sync::Arc::default())?;
        let entries = &planned.inventory.entries;
        let found = entries.binary_search_by(|entry| entry.path.cmp(&path)).ok();
        let entry = match found.and_then(|at| entries.get(at)) {
            Some(entry) => entry.clone(),
            None => {
                let facts = planned
                    .root
                    .stat(&path)
                    .with_context(|| format!("`{path}` is not in store `{}`", store.name))?;
                crate::entry::Entry {
                    path: path.clone(),
                    facts: Ok(facts),
                }
            }
        };
        let matcher = Matcher::new(&job.policy, &now);
        let memberships = matcher.memberships(&path);
        let rules = job.policy.rules();
        let rule = |index: usize| {
            rules
                .get(index)
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let step = planned.plan.steps.iter().find(|step| step.path == path);
        let (goes, decision) = match step {
            Some(step) => {
                let rule = planned.plan.rules.get(step.rule).map(ToString::to_string);
                (
                    true,
                    format!(
                        "would be removed by {}: {}",
                        rule.unwrap_or_default(),
                        step.reason
                    ),
                )
            }
            None if memberships.is_empty() => (false, "is kept: no collection names it".to_owned()),
            None => (
                false,
                match matcher.judge(&entry, &memberships) {
                    Verdict::Kept(Protector::Rule(by)) => format!("is kept by {}", rule(by)),
                    Verdict::Kept(Protector::Possibly(by)) => {
                        format!("is kept: {} cannot be ruled out", rule(by))
                    }
                    Verdict::Kept(Protector::NoClock) => {
                        "is kept: it has no such time stamp as its ages are measured from"
                            .to_owned()
                    }
                    Verdict::Kept(Protector::Held(by)) => {
                        format!(
                            "is kept by hold \"{}\" of the ledger",
                            matcher.ledger_name(by)
                        )
                    }
                    Verdict::Kept(Protector::Unreadable) => {
                        "is kept: its facts cannot be read".to_owned()
                    }
                    Verdict::Kept(Protector::FutureClock) => {
                        "is kept: its time lies in the future".to_owned()
                    }
                    Verdict::Doomed { rule: by, .. } => {
                        format!("is kept by a floor, although {} would remove it", rule(by))
                    }
                    Verdict::Open => "is kept: no statement removes it".to_owned(),
                },
            ),
        };
        let said = matcher.explain(&entry);
        if edge.is_json() {
            let said: Vec<_> = said
                .iter()
                .map(|said| {
                    json!({
                        "rule": rule(said.rule),
                        "text": rules.get(said.rule).map(|rule| rule.text.clone()),
                        "holds": word(said.holds),
                        "tests": said.tests,
                    })
                })
                .collect();
            let answer = json!({
                "store": store.name,
                "path": path.to_string(),
                "removed": goes,
                "decision": decision,
                "collections": memberships
                    .iter()
                    .filter_map(|place| job.policy.collection_name(place))
                    .collect::<Vec<_>>(),
                "statements": said,
            });
            say(&answer.to_string())?;
            return Ok(Exit::Done);
        }
        say(&format!("{path} in store {} {decision}", store.name))?;
        for said in said {
            let text = rules.get(said.rule).map_or("", |rule| rule.text.as_str());
            say(&format!("  {}  {text}", rule(said.rule)))?;
            for test in &said.tests {
                say(&format!("      {test}"))?;
            }
            if said.tests.is_empty() {
                say(&format!("      holds: {}", word(said.holds)))?;
            }
        }
        Ok(Exit::Done)
    }
}

fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}

/// The store a path lies in, and its name there. A path is looked for where the
/// command was given, then in the stores.
pub(super) fn locate<'c>(
    edge: &Edge,
    config: &'c Config,
    path: &Path,
    store: Option<&str>,
) -> anyhow::Result<(&'c Store, RelPath)> {
    let absolute = std::path::absolute(path)?;
    let stores: Vec<&'c Store> = match store {
        Some(name) => vec![edge.store(config, name)?],
        None => config.stores.values().collect(),
    };
    let inside = |store: &'c Store| {
        let root = std::path::absolute(&store.path.path).ok()?;
        let below = absolute.strip_prefix(&root).ok()?;
        let below = RelPath::parse(below.as_os_str().as_bytes()).ok()?;
        Some((root.components().count(), store, below))
    };
    // Of nested stores the innermost is the file's own.
    let innermost = stores
        .iter()
        .copied()
        .filter_map(inside)
        .max_by_key(|(depth, ..)| *depth);
    if let Some((_, store, below)) = innermost {
        return Ok((store, below));
    }
    let text = path.to_string_lossy();
    let named = RelPath::unescape(&text)
        .or_else(|| RelPath::parse(path.as_os_str().as_bytes()).ok())
        .with_context(|| format!("`{}` lies in no store", path.display()))?;
    match stores.as_slice() {
        [only] => Ok((only, named)),
        several => {
            let has = |store: &&&Store| {
                store
                    .path
                    .path
                    .join(named.as_os())
                    .symlink_metadata()
                    .is_ok()
            };
            let mut holding = several.iter().filter(has);
            match (holding.next(), holding.next()) {
                (Some(one), None) => Ok((one, named)),
                _ => anyhow::bail!("which store is `{named}` in? say `--store NAME`"),
            }
        }
    }
}
