//! `retain why`

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use super::{Edge, Exit, say};
use crate::config::{Config, Store};
use crate::entry::{Entry, Facts, FileId, Kind};
use crate::path::RelPath;
use crate::plan::{Action, BackedUp, Decision, NextBackUp, generation, word};
use crate::plugin::NoSmaller;
use crate::policy::{Fate, Matcher};
use crate::run::{Job, Planned, Wanted};
use crate::time::{Now, Stamp};
use crate::units::{Elapsed, Size, Span};

/// Explain what is decided about one file: every statement that speaks of it, with its
/// values, and when the answer next changes.
///
/// The file need not exist: `retain why AAPL_1h/new.png --modified 7d --size 3MB` says
/// what would become of it.
#[derive(Debug, clap::Args)]
pub(super) struct Why {
    /// The file, as you would name it here, or as it is called in the store.
    path: PathBuf,
    /// The store it lies in, where that is not clear.
    #[arg(long)]
    store: Option<String>,
    /// Suppose it was last modified so long ago.
    #[arg(long, value_name = "AGE", value_parser = age)]
    modified: Option<Span>,
    /// Suppose it was last read so long ago.
    #[arg(long, value_name = "AGE", value_parser = age)]
    accessed: Option<Span>,
    /// Suppose it is so large.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    size: Option<Size>,
}

fn age(text: &str) -> Result<Span, String> {
    Span::parse(text).map_err(|error| in_words(&error))
}

fn size(text: &str) -> Result<Size, String> {
    Size::parse(text).map_err(|error| in_words(&error))
}

fn in_words(error: &crate::units::UnitError) -> String {
    match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    }
}

impl Why {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let (store, path) = locate(edge, &config, &self.path, self.store.as_deref())?;
        let job = edge.job(&config, store)?;
        let now = Now::from_clock();
        let mut planned = job.plan(&now, Wanted::Everything, std::sync::Arc::default())?;
        let entry = self.entry(store, &planned, &path, &now)?;
        planned.inventory = std::mem::take(&mut planned.inventory).supposing(entry.clone());
        let decision = job
            .decide(&planned, &path, &now)
            .with_context(|| format!("nothing is decided about `{path}`"))?;
        let next = next_change(&job, &planned, &path, &now, &decision);
        let matcher = Matcher::new(&job.policy, &now);
        let declined = declined(store, &planned, &entry);
        if edge.is_json() {
            let mut said = json(&job, &matcher, &entry, &decision, next.as_ref());
            if let Some(said) = said.as_object_mut() {
                said.insert("declined".to_owned(), json!(declined));
            }
            say(&said.to_string())?;
            return Ok(Exit::Done);
        }
        say(&text(&job, &matcher, &entry, &decision, next.as_ref()))?;
        if let Some(declined) = declined {
            say(&declined)?;
        }
        Ok(Exit::Done)
    }

    fn supposes(&self) -> bool {
        self.modified.is_some() || self.accessed.is_some() || self.size.is_some()
    }

    /// The file as it is, as it is supposed to be, or both.
    fn entry(
        &self,
        store: &Store,
        planned: &Planned,
        path: &RelPath,
        now: &Now,
    ) -> anyhow::Result<Entry> {
        let entries = &planned.inventory.entries;
        let found = entries.binary_search_by(|entry| entry.path.cmp(path)).ok();
        let found = match found.and_then(|at| entries.get(at)) {
            Some(entry) => Some(entry.clone()),
            None => planned.root.stat(path).ok().map(|facts| Entry {
                path: path.clone(),
                facts: Ok(facts),
            }),
        };
        let Some(mut entry) = found.or_else(|| self.supposes().then(|| imagined(path, now))) else {
            if let Some(instead) = super::trash::instead(store, path) {
                anyhow::bail!("`{path}` is not in store `{}`: {instead}", store.name);
            }
            anyhow::bail!(
                "`{path}` is not in store `{}`; to ask about a file that is not there yet, say `--modified 7d --size 3MB`",
                store.name
            );
        };
        if let Ok(facts) = &mut entry.facts {
            let zoned = now.zoned(&jiff::tz::TimeZone::UTC);
            if let Some(age) = self.modified {
                facts.modified = age.before(&zoned);
                facts.changed = facts.modified;
                facts.accessed = facts.accessed.max(facts.modified);
            }
            if let Some(age) = self.accessed {
                facts.accessed = age.before(&zoned);
            }
            if let Some(size) = self.size {
                (facts.size, facts.allocated) = (size.0, size.0);
            }
        }
        Ok(entry)
    }
}

/// Why a file that would be replaced is not: an earlier run has tried.
fn declined(store: &Store, planned: &Planned, entry: &Entry) -> Option<String> {
    let Planned {
        plan, no_smaller, ..
    } = planned;
    let mut steps = no_smaller.iter().cloned().chain(&plan.steps);
    let step = steps.find(|step| step.path == entry.path)?;
    let Action::Replace { hook } = step.action else {
        return None;
    };
    let hook = plan.hooks.get(hook)?;
    let facts = entry.facts.as_ref().ok()?;
    let generation = generation(&plan.root, &entry.path, facts);
    let size = NoSmaller::of(&store.path.path).size(hook, &generation)?;
    Some(format!(
        "but `{}` has tried: its archive of {size} bytes is not smaller than its {} bytes, so it is kept as it is until it changes",
        hook.plugin, facts.size
    ))
}

/// A file that is not there, as if it were made just now.
fn imagined(path: &RelPath, now: &Now) -> Entry {
    let stamp = now.stamp();
    Entry {
        path: path.clone(),
        facts: Ok(Facts {
            kind: Kind::File,
            id: FileId {
                device: 0,
                inode: 0,
            },
            size: 0,
            allocated: 0,
            modified: stamp,
            changed: stamp,
            accessed: stamp,
            created: Some(stamp),
            links: 1,
            mode: 0o100_644,
            owner: rustix::process::geteuid().as_raw(),
            group: rustix::process::getegid().as_raw(),
        }),
    }
}

/// The first moment at which something else is decided, if all files stay as they are.
fn next_change(
    job: &Job<'_>,
    planned: &Planned,
    path: &RelPath,
    now: &Now,
    decision: &Decision,
) -> Option<(jiff::Timestamp, Decision)> {
    let entries = &planned.inventory.entries;
    let at = entries
        .binary_search_by(|entry| entry.path.cmp(path))
        .ok()?;
    let entry = entries.get(at)?;
    let matcher = Matcher::new(&job.policy, now);
    let mut moments = matcher.turning_points(entry);
    moments.extend(planned.held.ends());
    moments.sort_unstable();
    moments
        .into_iter()
        .filter(|moment| *moment > now.timestamp())
        .take(16)
        .find_map(|moment| {
            let then = job.decide(planned, path, &Now::at(moment))?;
            let same = (then.fate, then.rule) == (decision.fate, decision.rule);
            (!same).then_some((moment, then))
        })
}

fn text(
    job: &Job<'_>,
    matcher: &Matcher<'_>,
    entry: &Entry,
    decision: &Decision,
    next: Option<&(jiff::Timestamp, Decision)>,
) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let store = &job.store.name;
    let _ = writeln!(out, "{} in store {store} {}", entry.path, decision.words);
    if let Some(because) = decision
        .rule
        .and_then(|rule| job.policy.rules().get(rule)?.because.as_ref())
    {
        let _ = writeln!(out, "  because {because}");
    }
    for said in matcher.explain(entry) {
        let Some(rule) = job.policy.rules().get(said.rule) else {
            continue;
        };
        let mark = match decision.rule == Some(said.rule) {
            true => "→",
            false => " ",
        };
        let _ = writeln!(out, "{mark} {rule}  {}", rule.text);
        for test in &said.tests {
            let _ = writeln!(out, "      {test}");
        }
        if said.tests.is_empty() {
            let _ = writeln!(out, "      holds: {}", word(said.holds));
        }
    }
    for backup in &decision.backups {
        let _ = writeln!(out, "{}", backed_up(job, backup));
    }
    let _ = match next {
        Some((moment, then)) => {
            let zone = job.policy.zone();
            let local = moment.to_zoned_datetime(zone);
            let away = moment.as_second().saturating_sub(matcher_now(matcher));
            let away = Elapsed(u64::try_from(away).unwrap_or(0));
            write!(
                out,
                "the answer changes in {away}, at {}: it {}",
                local.strftime("%Y-%m-%d %H:%M %Z"),
                then.words
            )
        }
        None if decision.fate == Fate::Keep => write!(
            out,
            "nothing in the policy changes that by the passing of time alone"
        ),
        None => write!(out, "the answer stays the same as time passes"),
    };
    out
}

/// One sentence on the archives a `back up` has made, and when the next is due.
fn backed_up(job: &Job<'_>, backup: &BackedUp) -> String {
    let local = |stamp: Stamp| {
        let moment = jiff::Timestamp::from_second(stamp.seconds()).unwrap_or_default();
        let local = moment.to_zoned_datetime(job.policy.zone());
        local.strftime("%Y-%m-%d %H:%M %Z").to_string()
    };
    let there = match (backup.archives.as_slice(), backup.is_present) {
        ([], _) => "has no archive".to_owned(),
        ([last], true) => format!("has an archive, of {}, of the file as it is", local(*last)),
        ([last], false) => format!("has an archive, of {}, before it changed", local(*last)),
        ([last, ..], true) => format!(
            "has {} archives, the last of {}; the file as it is is among them",
            backup.archives.len(),
            local(*last)
        ),
        ([last, ..], false) => format!(
            "has {} archives, the last of {}, before it changed",
            backup.archives.len(),
            local(*last)
        ),
    };
    let next = match backup.next {
        NextBackUp::Now => "the next is due at the next run".to_owned(),
        NextBackUp::Changed => "the next is due once it changes".to_owned(),
        NextBackUp::From(at) => format!("the next is due from {} on", local(at)),
        NextBackUp::ChangedFrom(at) => {
            format!("the next is due once it changes, from {} on", local(at))
        }
    };
    let rule = job.policy.rules().get(backup.rule);
    let rule = rule.map(ToString::to_string).unwrap_or_default();
    format!("it {there} in `{}` ({rule}); {next}", backup.destination)
}

fn backed_up_json(job: &Job<'_>, backup: &BackedUp) -> serde_json::Value {
    let rule = job.policy.rules().get(backup.rule);
    let (once_changed, from) = match backup.next {
        NextBackUp::Now => (false, None),
        NextBackUp::Changed => (true, None),
        NextBackUp::From(at) => (false, Some(at)),
        NextBackUp::ChangedFrom(at) => (true, Some(at)),
    };
    json!({
        "rule": rule.map(ToString::to_string),
        "destination": backup.destination,
        "archives": backup.archives.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "is_present": backup.is_present,
        "next": {"once_changed": once_changed, "from": from.map(|at| at.to_string())},
    })
}

fn matcher_now(matcher: &Matcher<'_>) -> i64 {
    matcher.now().seconds()
}

fn json(
    job: &Job<'_>,
    matcher: &Matcher<'_>,
    entry: &Entry,
    decision: &Decision,
    next: Option<&(jiff::Timestamp, Decision)>,
) -> serde_json::Value {
    let rules = job.policy.rules();
    let rule = |index: usize| rules.get(index).map(ToString::to_string);
    let said: Vec<_> = matcher
        .explain(entry)
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
    let memberships = matcher.memberships(&entry.path);
    json!({
        "store": job.store.name,
        "path": entry.path.to_string(),
        "removed": decision.fate == Fate::Delete,
        "fate": match decision.fate {
            Fate::Keep => "keep",
            Fate::Delete => "delete",
            Fate::Replace => "replace",
        },
        "decision": decision.words,
        "rule": decision.rule.and_then(rule),
        "collections": memberships
            .iter()
            .filter_map(|place| job.policy.collection_name(place))
            .collect::<Vec<_>>(),
        "statements": said,
        "backups": decision.backups.iter().map(|b| backed_up_json(job, b)).collect::<Vec<_>>(),
        "next": next.map(|(moment, then)| json!({
            "at": moment.to_string(),
            "decision": then.words,
        })),
    })
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
