//! Plans, outcomes and progress as people read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::journal::{Outcome, State};
use crate::path::RelPath;
use crate::plan::{Action, Directory, Expired, Otherwise, Plan, Statement, Step, Tally, Uncovered};
use crate::receipt::Proof;
use crate::run::Done;
use crate::units::Size;

/// Files shown of one statement, unless all are asked for.
const SHOWN: usize = 12;

/// How much of a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    /// The first files of each statement.
    Some,
    /// Every file.
    All,
}

/// A count of files and their bytes.
fn tally(tally: Tally) -> String {
    format!("{}, {}", files(tally.files), Size(tally.bytes))
}

/// `1 file`, `2 files`.
pub(super) fn files(count: u64) -> String {
    match count {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    }
}

/// A plan in words, destruction first.
pub(super) fn plan(plan: &Plan, root: &str, detail: Detail) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "store {} at {root}", plan.store);
    let totals = &plan.totals;
    let _ = match totals.removed.files {
        0 => writeln!(out, "  nothing to remove"),
        _ => writeln!(out, "  would remove {}", tally(totals.removed)),
    };
    if totals.replaced.files > 0 {
        let _ = writeln!(
            out,
            "  would replace {} by their archives",
            tally(totals.replaced)
        );
    }
    if totals.backed_up.files > 0 {
        let _ = writeln!(out, "  would back up {}", tally(totals.backed_up));
    }
    if !plan.expired.is_empty() {
        let _ = writeln!(out, "  would delete {}", backups(plan.expired.len() as u64));
    }
    let limit = match detail {
        Detail::Some => SHOWN,
        Detail::All => usize::MAX,
    };
    let mut first = first_steps(plan, limit);
    for (&rule, of_statement) in plan.steps.statements() {
        let shown = first.remove(&rule).unwrap_or_default();
        statement(&mut out, plan, rule, of_statement, &shown);
    }
    empty_directories(&mut out, plan, detail);
    expired(&mut out, plan, detail);
    let _ = writeln!(
        out,
        "  keeps {} of {} covered",
        tally(kept(plan)),
        files(totals.covered.files)
    );
    if totals.protected.files > 0 {
        let _ = writeln!(
            out,
            "    of these {} only because something protects them",
            tally(totals.protected)
        );
    }
    if totals.uncovered.files > 0 {
        let Uncovered {
            files: count,
            bytes,
        } = totals.uncovered;
        let seen = |bytes| {
            tally(Tally {
                files: count,
                bytes,
            })
        };
        let alone = bytes.map_or_else(|| files(count), seen);
        let _ = writeln!(out, "  leaves alone {alone} no collection names");
    }
    for unmet in &plan.unmet {
        let place = plan
            .rules
            .get(unmet.rule)
            .map(ToString::to_string)
            .unwrap_or_default();
        let group = match unmet.group.as_str() {
            "" => String::new(),
            group => format!(" for {group}"),
        };
        let _ = writeln!(
            out,
            "  budget cannot be met{group}: {} ({place})",
            unmet.reason
        );
    }
    notices(&mut out, plan, detail);
    for tripped in &plan.tripped {
        let place = match (
            tripped.rule.and_then(|rule| plan.rules.get(rule)),
            &tripped.collection,
        ) {
            (Some(rule), _) => format!(" ({rule})"),
            (None, Some(collection)) => format!(" (collection {collection})"),
            (None, None) => String::new(),
        };
        let _ = writeln!(out, "  BREAKER: {}{place}", tripped.reason);
    }
    let _ = write!(out, "  plan {}", plan.digest());
    out
}

fn kept(plan: &Plan) -> Tally {
    let totals = &plan.totals;
    Tally {
        files: totals.covered.files.saturating_sub(totals.removed.files),
        bytes: totals.covered.bytes.saturating_sub(totals.removed.bytes),
    }
}

/// Archives that go, by the statement that says so.
fn expired(out: &mut String, plan: &Plan, detail: Detail) {
    let mut by_rule: BTreeMap<usize, Vec<&Expired>> = BTreeMap::new();
    for expired in &plan.expired {
        by_rule.entry(expired.rule).or_default().push(expired);
    }
    for (rule, all) in by_rule {
        if let Some(rule) = plan.rules.get(rule) {
            let _ = writeln!(out, "\n  {rule}  {}", rule.text);
        }
        let _ = writeln!(out, "    deletes {}", backups(all.len() as u64));
        let limit = match detail {
            Detail::Some => SHOWN,
            Detail::All => usize::MAX,
        };
        for one in all.iter().take(limit) {
            let Expired {
                path,
                archived,
                destination,
                ..
            } = one;
            let _ = writeln!(out, "      {path}  archived {archived} in `{destination}`");
        }
        if all.len() > limit {
            let _ = writeln!(out, "      and {} more", all.len() - limit);
        }
    }
}

/// What a person is asked to agree to.
pub(super) fn wanted(plan: &Plan) -> String {
    let totals = &plan.totals;
    let parts = [
        ("remove", totals.removed.files, files(totals.removed.files)),
        (
            "replace",
            totals.replaced.files,
            files(totals.replaced.files),
        ),
        (
            "back up",
            totals.backed_up.files,
            files(totals.backed_up.files),
        ),
        (
            "delete",
            plan.expired.len() as u64,
            backups(plan.expired.len() as u64),
        ),
    ];
    let wanted = parts.iter().filter(|(_, count, _)| *count > 0);
    let wanted: Vec<String> = wanted
        .map(|(verb, _, what)| format!("{verb} {what}"))
        .collect();
    wanted.join(", ")
}

/// A number of archives.
pub(super) fn backups(count: u64) -> String {
    match count {
        1 => "1 backup".to_owned(),
        count => format!("{count} backups"),
    }
}

/// So many of the first steps of each statement.
fn first_steps(plan: &Plan, limit: usize) -> BTreeMap<usize, Vec<Step>> {
    let mut first: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    let statements = plan.steps.statements().values();
    let files = statements.map(|of| usize::try_from(of.files.files).unwrap_or(usize::MAX));
    // A plan may have millions of steps: it is read no further than the last one shown.
    let mut wanted: usize = files.map(|files| files.min(limit)).sum();
    for step in &plan.steps {
        if wanted == 0 {
            break;
        }
        let shown = first.entry(step.ruling.rule).or_default();
        if shown.len() < limit {
            shown.push(step);
            wanted -= 1;
        }
    }
    first
}

fn statement(out: &mut String, plan: &Plan, rule: usize, of: &Statement, shown: &[Step]) {
    let Statement { files: sum, hooks } = of;
    if let Some(rule) = plan.rules.get(rule) {
        let _ = writeln!(out, "\n  {rule}  {}", rule.text);
    }
    let verb = match shown.first().map(|step| step.action) {
        Some(Action::Replace { .. }) => "replaces",
        Some(Action::BackUp) => "backs up",
        Some(Action::Remove) | None => "removes",
    };
    let _ = writeln!(out, "    {verb} {}{}", tally(*sum), after(plan, hooks));
    let width = shown
        .iter()
        .map(|s| s.path.to_string().chars().count())
        .max();
    let width = width.unwrap_or(0).min(60);
    for step in shown {
        let size = Size(step.facts.size).to_string();
        let path = step.path.to_string();
        let _ = writeln!(out, "    - {path:width$}  {size:>8}  {}", step.reason);
    }
    let more = sum.files.saturating_sub(shown.len() as u64);
    if more > 0 {
        let more = files(more);
        let _ = writeln!(out, "    - and {more} more; `--all` shows them");
    }
    out.push('\n');
}

/// Directories that hold nothing, by statement.
fn empty_directories(out: &mut String, plan: &Plan, detail: Detail) {
    let mut by_rule: BTreeMap<usize, Vec<&Directory>> = BTreeMap::new();
    for directory in &plan.directories {
        by_rule.entry(directory.rule).or_default().push(directory);
    }
    for (rule, directories) in by_rule {
        if let Some(rule) = plan.rules.get(rule) {
            let _ = writeln!(out, "\n  {rule}  {}", rule.text);
        }
        let noun = match directories.len() {
            1 => "directory",
            _ => "directories",
        };
        let _ = writeln!(out, "    removes {} empty {noun}", directories.len());
        let limit = match detail {
            Detail::Some => SHOWN,
            Detail::All => usize::MAX,
        };
        for directory in directories.iter().take(limit) {
            let _ = writeln!(out, "    - {}/  {}", directory.path, directory.reason);
        }
        if directories.len() > limit {
            let more = directories.len() - limit;
            let _ = writeln!(out, "    - and {more} more; `--all` shows them");
        }
        out.push('\n');
    }
}

/// Which plugins have to agree first.
fn after(plan: &Plan, hooks: &BTreeSet<usize>) -> String {
    let named = hooks
        .iter()
        .filter_map(|&hook| plan.hooks.get(hook))
        .map(|hook| {
            let into = hook
                .destination
                .as_ref()
                .map(|name| format!(" into {name}"));
            let anyway = match hook.otherwise {
                Otherwise::Keep => "",
                Otherwise::DeleteAnyway => " (OTHERWISE DELETED ANYWAY)",
            };
            let proof = match hook.proof {
                Some(Proof::Restore) | None => "",
                Some(Proof::ReadBack) => " (read back, not restored)",
                Some(Proof::None) => " (NOT PROVED)",
            };
            let into = into.unwrap_or_default();
            format!("{}{into}{proof}{anyway}", hook.plugin)
        });
    match named.collect::<Vec<_>>() {
        names if names.is_empty() => ", without a backup".to_owned(),
        names => format!(", each after {}", names.join(" and ")),
    }
}

fn notices(out: &mut String, plan: &Plan, detail: Detail) {
    let limit = match detail {
        Detail::Some => SHOWN,
        Detail::All => usize::MAX,
    };
    for notice in plan.notices.iter().take(limit) {
        let _ = match &notice.path {
            Some(path) => writeln!(out, "  note: {path}: {}", notice.message),
            None => writeln!(out, "  note: {}", notice.message),
        };
    }
    if plan.notices.len() > limit {
        let _ = writeln!(
            out,
            "  note: and {} more notes; `--all` shows them",
            plan.notices.len() - limit
        );
    }
}

/// What a run did, in words.
pub(super) fn done(store: &str, done: &Done) -> String {
    let mut out = String::new();
    let tallies = &done.tallies;
    let _ = write!(
        out,
        "store {store}: removed {}, freed {}",
        files(tallies.removed),
        Size(tallies.freed)
    );
    if tallies.replaced > 0 {
        let _ = write!(
            out,
            "; {} replaced by archives proved to restore",
            files(tallies.replaced)
        );
    }
    if tallies.backed_up > 0 {
        let _ = write!(out, "; {} backed up", files(tallies.backed_up));
    }
    if done.expiry.archives > 0 {
        let _ = write!(
            out,
            "; deleted {} of {}",
            backups(done.expiry.archives),
            Size(done.expiry.freed)
        );
    }
    if let (Some(until), 1..) = (&done.trashed_until, tallies.trashed) {
        let _ = write!(
            out,
            "; {} in the trash until {}, `retain undo {}` puts them back",
            files(tallies.trashed),
            super::at_seconds(until),
            done.id
        );
    }
    if done.purged.files > 0 {
        let _ = write!(
            out,
            "; emptied {} of {} from the trash",
            files(done.purged.files),
            Size(done.purged.freed)
        );
    }
    if done.purged.held > 0 {
        let _ = write!(
            out,
            "; {} stay in the trash, as they are held",
            files(done.purged.held)
        );
    }
    let restored = done.receipts.saturating_sub(done.read_back + done.unproved);
    for (count, how) in [
        (restored, "archived and proved to restore first"),
        (done.read_back, "archived and read back first"),
        (done.unproved, "archived first, NOT PROVED"),
    ] {
        if count > 0 {
            let _ = write!(out, "; {count} {how}");
        }
    }
    if done.same_filesystem > 0 {
        let _ = write!(out, " (same filesystem)");
    }
    match done.state {
        State::Cancelled => out.push_str("; told to end before the rest of its plan"),
        State::Completed | State::Stopped | State::Interrupted => {}
    }
    out.push('\n');
    for (destination, reason) in done.expiry.left.iter().take(50) {
        let _ = writeln!(out, "  backups in `{destination}` stay: {reason}");
    }
    for (path, outcome) in done.kept.iter().take(50) {
        let _ = writeln!(out, "  {path}: {outcome}");
    }
    if done.kept.len() > 50 {
        let _ = writeln!(
            out,
            "  and {} more; `retain runs {}` lists them",
            done.kept.len() - 50,
            done.id
        );
    }
    let _ = write!(out, "  run {}", done.id);
    out
}

/// What a run did, for programs.
pub(super) fn done_json(store: &str, done: &Done) -> Value {
    let kept = done
        .kept
        .iter()
        .map(|(path, outcome)| outcome_json(path, Some(outcome)));
    json!({
        "store": store,
        "run": done.id.as_str(),
        "state": done.state.word(),
        "removed": done.tallies.removed,
        "replaced": done.tallies.replaced,
        "backed_up": done.tallies.backed_up,
        "expired": done.expiry.archives,
        "vanished": done.tallies.vanished,
        "freed": done.tallies.freed,
        "archived": done.receipts,
        "trashed": done.tallies.trashed,
        "trashed_until": done.trashed_until,
        "purged": done.purged.files,
        "read_back": done.read_back,
        "unproved": done.unproved,
        "same_filesystem": done.same_filesystem,
        "kept": kept.collect::<Vec<_>>(),
    })
}

/// One file's outcome, for programs.
pub(super) fn outcome_json(path: &RelPath, outcome: Option<&Outcome>) -> Value {
    json!({
        "path": path.to_string(),
        "outcome": outcome.map(Outcome::word),
        "message": outcome.map(ToString::to_string),
    })
}

/// A spinner that appears when a scan takes longer than a second on a terminal.
pub(super) struct Scanning {
    bar: ProgressBar,
    pub(super) seen: Arc<AtomicU64>,
}

impl Scanning {
    pub(super) fn begin(store: &str) -> Scanning {
        let seen = Arc::new(AtomicU64::new(0));
        let bar = ProgressBar::with_draw_target(None, target());
        let counter = Arc::clone(&seen);
        let style = ProgressStyle::with_template("{spinner} {msg} {seen} names");
        if let Ok(style) = style {
            bar.set_style(style.with_key("seen", move |_: &_, w: &mut dyn Write| {
                let _ = write!(w, "{}", counter.load(Ordering::Relaxed));
            }));
        }
        bar.set_message(format!("looking through {store}:"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Scanning { bar, seen }
    }

    pub(super) fn end(self) {
        self.bar.finish_and_clear();
    }
}

/// A bar over the files of a run.
pub(super) fn removing(files: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(files as u64), target());
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn target() -> ProgressDrawTarget {
    match std::io::stderr().is_terminal() {
        true => ProgressDrawTarget::stderr_with_hz(5),
        false => ProgressDrawTarget::hidden(),
    }
}
