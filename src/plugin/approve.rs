//! A plan's steps, asked about: what every hook agreed to may go, the rest is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::archive::{Archiver, Part, Proved};
use super::asked::{Asked, Key};
use super::blobs::Target;
use super::contract::GuestEntry;
use super::declined::Declined;
use super::engine::Machine;
use super::guest::RunFacts;
use super::load::{Catalogue, Plugin, Prepared, hexadecimal};
use super::meter::Event;
use super::replace::{self, Replacement};
use super::review::{Review, Reviewer};
use super::surroundings::Surroundings;
use super::trouble::{Trouble, TroubleKind};
use crate::destination::{Destination, DestinationError, ObjectName};
use crate::entry::{Facts, Kind};
use crate::plan::{Action, Batch, Hook, Otherwise, Plan, Step, generation};
use crate::receipt::{DestinationName, Metadata, Receipt};
use crate::store::{Root, Stale};

/// Files archived at once: the time goes into waiting for the disk.
const WORKERS: usize = 4;

/// How often a failure that may pass is tried, and the first pause in between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes an archive may take beyond its file's: headers, and what does not shrink.
const OVERHEAD: u64 = 64 << 20;

/// Steps that may be applied: every hook of each has agreed.
///
/// Nothing but [`Hooks::approve`] makes one.
#[derive(Debug)]
pub struct Approved {
    steps: Vec<usize>,
    blocked: Vec<Blocked>,
    receipts: Vec<Receipt>,
    replacements: Vec<Replacement>,
}

/// A step that a hook took away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Index into the plan's steps.
    pub step: usize,
    /// The plugin.
    pub plugin: String,
    /// Why, in words.
    pub reason: String,
    /// Whether it did what it is there for, or failed.
    pub verdict: Verdict,
}

/// What a blocking means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The plugin wants the file kept.
    Kept,
    /// The plugin did not succeed, so the file is kept.
    Failed,
    /// The file is not the planned one any more.
    Changed,
    /// The run was told to end before it had an answer.
    Cancelled,
}

impl Approved {
    /// Indices into the plan's steps, ascending.
    pub fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// What hooks took away.
    pub fn blocked(&self) -> &[Blocked] {
        &self.blocked
    }

    /// Archives that are to take their files' places; they are handed out once.
    pub fn take_replacements(&mut self) -> Vec<Replacement> {
        std::mem::take(&mut self.replacements)
    }

    /// Proofs of what was archived, to be recorded before anything goes.
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }
}

/// The hooks of one plan, ready to be asked.
#[derive(Debug)]
pub struct Hooks<'a> {
    plan: &'a Plan,
    root: &'a Root,
    run: RunFacts,
    /// What each of the plan's statements is called, said to a plugin of every file.
    rules: OnceLock<Vec<String>>,
    ready: Vec<Result<Ready, String>>,
    /// Hooks that no file will satisfy, and why.
    given_up: Mutex<BTreeMap<usize, String>>,
    /// Archives there are of the very generations that the plan is about.
    recorded: BTreeMap<String, Vec<Receipt>>,
    /// What is known not to be worth replacing, where anything is to be replaced.
    declined: Option<Mutex<Declined>>,
}

/// One hook with its plugin compiled and its destination open.
struct Ready {
    machine: Arc<Machine>,
    plugin: Arc<Plugin>,
    prepared: Prepared,
    settings: Value,
    destination: Option<(Arc<Destination>, DestinationName)>,
    /// Set where its archives take their files' places: what they append to the names.
    in_place: Option<String>,
}

/// What a hook has to show for its consent.
enum Agreed {
    /// Nothing.
    Yes,
    /// An archive in a destination.
    Stored(Box<Receipt>),
    /// An archive that is to take the file's place.
    Beside(Box<Replacement>),
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.plugin)
    }
}

impl<'a> Hooks<'a> {
    /// Compiles what the plan's steps name and opens their destinations. A hook that
    /// cannot be used blocks its files, not the run. `known` has the identities of
    /// destinations that were used before, by their URLs.
    pub fn ready(
        plan: &'a Plan,
        root: &'a Root,
        catalogue: &Catalogue,
        destinations: &BTreeMap<String, crate::config::Destination>,
        known: &BTreeMap<String, String>,
        run: RunFacts,
    ) -> Hooks<'a> {
        let device = root
            .stat(&crate::path::RelPath::root())
            .map(|facts| facts.id.device);
        let places = Places {
            destinations,
            known,
            device: device.ok(),
            root,
        };
        let ready = |hook: &Hook| Ready::new(hook, catalogue, &places);
        let ready: Vec<_> = plan.hooks.iter().map(ready).collect();
        let mut replacing = ready.iter().flatten().filter(|r| r.in_place.is_some());
        let area = replacing.find_map(|ready| Some(&ready.destination.as_ref()?.0));
        Hooks {
            recorded: BTreeMap::new(),
            declined: area.map(|area| Mutex::new(Declined::read(area))),
            ready,
            plan,
            root,
            run,
            rules: OnceLock::new(),
            given_up: Mutex::default(),
        }
    }

    /// The same, knowing archives that were recorded earlier: one that is still good is
    /// not made again.
    pub fn knowing(mut self, recorded: impl IntoIterator<Item = Receipt>) -> Hooks<'a> {
        for receipt in recorded {
            let known = self.recorded.entry(receipt.key.clone()).or_default();
            known.push(receipt);
        }
        self
    }

    /// The same, going on to remember what was left out of the plan because an earlier run
    /// has found that its archive is no smaller.
    pub fn leaving(self, steps: &[Step]) -> Hooks<'a> {
        if let Some(declined) = &self.declined {
            for step in steps {
                if let Action::Replace { hook } = step.action
                    && let Some(hook) = self.plan.hooks.get(hook)
                {
                    let key = generation(&self.plan.root, &step.path, &step.facts);
                    lock(declined).size(hook, &key);
                }
            }
        }
        self
    }

    /// Asks every hook of the steps in a range, in the order the hooks are written.
    pub fn approve(&self, batch: &Batch) -> Approved {
        let mut open: Vec<usize> = batch.range().collect();
        let mut blocked = Vec::new();
        let mut receipts = Vec::new();
        let mut replacements = Vec::new();
        for (index, hook) in self.plan.hooks.iter().enumerate() {
            let asked: Vec<usize> = open
                .iter()
                .copied()
                .filter(|&i| {
                    batch
                        .get(i)
                        .is_some_and(|step| step.ruling.hooks.contains(&index))
                })
                .collect();
            if asked.is_empty() {
                continue;
            }
            for (step, answer) in asked
                .iter()
                .copied()
                .zip(self.ask((index, hook), batch, &asked))
            {
                match answer {
                    Ok(Agreed::Yes) => {}
                    Ok(Agreed::Stored(receipt)) => receipts.push(*receipt),
                    Ok(Agreed::Beside(replacement)) => replacements.push(replacement.of(step)),
                    Err(no) if no.verdict == Verdict::Failed && forgiven(hook) => {
                        self.count(index, no.verdict);
                    }
                    Err(no) => {
                        self.count(index, no.verdict);
                        blocked.push(Blocked { step, ..no });
                    }
                }
            }
            let taken: BTreeSet<usize> = blocked.iter().map(|blocked| blocked.step).collect();
            open.retain(|step| !taken.contains(step));
        }
        Approved {
            steps: open,
            blocked,
            receipts,
            replacements,
        }
    }

    /// One answer for each step, in their order.
    fn ask(
        &self,
        (index, hook): (usize, &Hook),
        batch: &Batch,
        steps: &[usize],
    ) -> Vec<Result<Agreed, Blocked>> {
        let refuse = |reason: &str| {
            let refused = |_| Err(no(hook, Verdict::Failed, reason.to_owned()));
            steps.iter().map(refused).collect()
        };
        let ready = match self.ready.get(index) {
            Some(Ok(ready)) => ready,
            Some(Err(reason)) => return refuse(reason),
            None => return refuse("it is not in the plan"),
        };
        if let Some(reason) = self.given_up().get(&index) {
            return refuse(reason);
        }
        match &ready.prepared {
            Prepared::Reviewer(prepared) => {
                let settings = ready.settings.to_string().into();
                let reviewer = Reviewer {
                    machine: &ready.machine,
                    plugin: &ready.plugin,
                    prepared,
                    settings,
                    run: &self.run,
                    surroundings: &Surroundings::of(self.root),
                };
                let steps = steps.iter().filter_map(|&i| batch.get(i));
                let answers = reviewer
                    .review(steps.map(|step| self.asked(step, 1)))
                    .into_iter()
                    .map(|review| match review {
                        Ok(Review::Proceed) => Ok(Agreed::Yes),
                        Ok(Review::Keep(reason)) => Err(no(hook, Verdict::Kept, reason)),
                        Err(trouble) => Err(self.give_up_on(index, hook, trouble)),
                    });
                answers.collect()
            }
            Prepared::Archiver(_) | Prepared::Filter(_) => {
                self.archive_all((index, hook), ready, batch, steps)
            }
        }
    }

    /// Archives by several threads; the answers keep the steps' order.
    fn archive_all(
        &self,
        (index, hook): (usize, &Hook),
        ready: &Ready,
        batch: &Batch,
        steps: &[usize],
    ) -> Vec<Result<Agreed, Blocked>> {
        let next = AtomicUsize::new(0);
        let answers = Mutex::new(BTreeMap::new());
        let work = || {
            while let Some(&step) = steps.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Copied out before the match: a guard in its head would be held while
                // the file is archived, and whoever gives up takes the same lock.
                let given_up = self.given_up().get(&index).cloned();
                let answer = match (given_up, batch.get(step)) {
                    (Some(reason), _) => Err(no(hook, Verdict::Failed, reason)),
                    (None, None) => Err(no(hook, Verdict::Failed, "it is gone".to_owned())),
                    (None, Some(step)) => self
                        .archive(ready, hook, step)
                        .map_err(|trouble| self.give_up_on(index, hook, trouble)),
                };
                lock(&answers).insert(step, answer);
            }
        };
        thread::scope(|scope| {
            for _ in 1..WORKERS.min(steps.len()) {
                // Fewer threads than wanted are slower, nothing else.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
        let unanswered = || Err(no(hook, Verdict::Failed, "it gave no answer".to_owned()));
        let ordered = steps
            .iter()
            .map(|step| answers.remove(step).unwrap_or_else(unanswered));
        ordered.collect()
    }

    /// Archives one file, again where that may help.
    fn archive(&self, ready: &Ready, hook: &Hook, step: &Step) -> Result<Agreed, Trouble> {
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            if self.run.cancel.is_wished() {
                return Err(Trouble::cancelled());
            }
            match self.archive_once(ready, hook, step, attempt) {
                Err(trouble) if trouble.kind == TroubleKind::Retryable && attempt < ATTEMPTS => {
                    thread::sleep(pause);
                    pause *= 4;
                    attempt += 1;
                }
                answer => return answer,
            }
        }
    }

    fn archive_once(
        &self,
        ready: &Ready,
        hook: &Hook,
        step: &Step,
        attempt: u32,
    ) -> Result<Agreed, Trouble> {
        let (Some(craft), Some((destination, name))) = (ready.prepared.craft(), &ready.destination)
        else {
            return Err(Trouble::permanent("the hook names no destination"));
        };
        let asked = self.asked(step, attempt);
        let texts = asked.texts();
        let entry = asked.entry(0, &texts);
        let beside = match &ready.in_place {
            Some(suffix) => {
                let declined = self.declined.as_ref();
                let known = declined.and_then(|known| lock(known).size(hook, entry.key));
                if let Some(size) = known {
                    let reason = replace::no_smaller(size, step);
                    let reason = format!("{reason}; it is tried again once it changes");
                    return Err(Trouble::declined(reason));
                }
                Some(replace::place(self.root, step, suffix)?)
            }
            None => None,
        };
        let file = self.open(step)?;
        let archiver = Archiver {
            machine: &ready.machine,
            plugin: &ready.plugin,
            craft,
            settings: ready.settings.to_string().into(),
            run: &self.run,
            target: Target {
                destination: Arc::clone(destination),
                limit: output_limit(&ready.plugin, step.facts.size),
                space: None,
                ends_after: None,
            },
        };
        let recorded = self.recorded.get(entry.key).filter(|_| beside.is_none());
        let again = recorded.and_then(|known| archiver.again(&entry, &file, name, known));
        let proved = match again {
            Some(proved) => proved,
            None => archiver.archive(&entry, &file)?,
        };
        let xattrs = crate::store::xattrs(&file).map_err(|error| {
            let reason = crate::store::in_words(&error);
            Trouble::permanent(format!("its attributes cannot be archived: {reason}"))
        })?;
        // The very bytes that were hashed must still be the planned ones.
        drop(file);
        self.open(step)?;
        let mut receipt = self.receipt(ready, step, &entry, &proved, name);
        let xattrs = xattrs.into_iter();
        receipt.metadata.xattrs = xattrs
            .map(|(name, value)| (name, hexadecimal(&value)))
            .collect();
        match beside {
            Some(path) => {
                let stored = proved.objects.iter().map(|part| part.record().size).sum();
                if let Some(declined) = &self.declined
                    && stored >= step.facts.size
                {
                    lock(declined).add(hook, entry.key, stored);
                }
                Replacement::new(step, path, proved, receipt, destination)
                    .map(|replacement| Agreed::Beside(Box::new(replacement)))
            }
            None => publish(destination, proved, receipt)
                .map(|receipt| Agreed::Stored(Box::new(receipt))),
        }
    }

    fn open(&self, step: &Step) -> Result<File, Trouble> {
        if step.facts.kind == Kind::Symlink {
            let reason = "it is a symbolic link, which has no bytes to archive";
            return Err(Trouble::permanent(reason.to_owned()));
        }
        match self.root.open_file(&step.path, &step.facts) {
            Ok(file) => Ok(file),
            Err(error) if is_stale(&error) => Err(Trouble::changed()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Trouble::changed()),
            Err(error) => Err(Trouble::permanent(format!(
                "the file cannot be opened: {}",
                crate::store::in_words(&error)
            ))),
        }
    }

    fn receipt(
        &self,
        ready: &Ready,
        step: &Step,
        entry: &GuestEntry<'_>,
        proved: &Proved,
        destination: &DestinationName,
    ) -> Receipt {
        let Facts {
            mode,
            owner,
            group,
            modified,
            ..
        } = step.facts;
        Receipt {
            version: 1,
            run: self.run.id.clone(),
            at: self.run.now.timestamp().to_string(),
            store: self.plan.store.clone(),
            collection: step.ruling.collection.to_string(),
            path: step.path.to_string(),
            key: entry.key.to_owned(),
            plugin: ready.plugin.version(),
            settings: ready.settings.clone(),
            destination: destination.clone(),
            objects: proved.objects.iter().map(Part::record).collect(),
            note: hexadecimal(&proved.note),
            source: proved.content.clone(),
            metadata: Metadata {
                mode,
                owner,
                group,
                modified_seconds: modified.seconds(),
                modified_nanoseconds: modified.subsec_nanoseconds(),
                xattrs: Vec::new(),
            },
            proof: proved.proof,
            in_place: false,
            limits: Some(
                ready
                    .plugin
                    .terms(Arc::from(""), &self.run, entry.size)
                    .limits(),
            ),
        }
    }

    fn asked(&self, step: &'a Step, attempt: u32) -> Asked<'_> {
        let facts = &step.facts;
        let rules = self.rules.get_or_init(|| {
            let rules = self.plan.rules.iter();
            rules.map(ToString::to_string).collect()
        });
        Asked {
            key: Key::Of(&self.plan.root, facts),
            store: &self.plan.store,
            size: facts.size,
            allocated: facts.allocated,
            modified: facts.modified,
            links: facts.links,
            collection: &step.ruling.collection,
            rule: rules.get(step.ruling.rule).map_or("", String::as_str),
            captures: Some(&step.ruling.captures),
            attempt,
            ..Asked::at(&step.path)
        }
    }

    fn count(&self, index: usize, verdict: Verdict) {
        let event = match verdict {
            Verdict::Kept => Event::Refusal,
            Verdict::Failed => Event::Failure,
            Verdict::Changed | Verdict::Cancelled => return,
        };
        if let Some(Ok(ready)) = self.ready.get(index) {
            ready.plugin.meter(&self.run).count(event);
        }
    }

    /// A refusal; one that no other file will escape ends the hook for this run.
    fn give_up_on(&self, index: usize, hook: &Hook, trouble: Trouble) -> Blocked {
        if trouble.kind == TroubleKind::Misconfigured {
            let mut given_up = self.given_up();
            given_up
                .entry(index)
                .or_insert_with(|| trouble.reason.clone());
        }
        let verdict = match trouble.kind {
            TroubleKind::Changed => Verdict::Changed,
            TroubleKind::Declined => Verdict::Kept,
            TroubleKind::Cancelled => Verdict::Cancelled,
            TroubleKind::Retryable
            | TroubleKind::Permanent
            | TroubleKind::Misconfigured
            | TroubleKind::Trapped
            | TroubleKind::OutOfTime => Verdict::Failed,
        };
        no(hook, verdict, trouble.reason)
    }

    fn given_up(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, String>> {
        lock(&self.given_up)
    }
}

/// Where archives may go, and what is known of these places.
struct Places<'a> {
    destinations: &'a BTreeMap<String, crate::config::Destination>,
    known: &'a BTreeMap<String, String>,
    /// The store's own device.
    device: Option<u64>,
    root: &'a Root,
}

impl Ready {
    fn new(hook: &Hook, catalogue: &Catalogue, places: &Places<'_>) -> Result<Ready, String> {
        let plugin = match catalogue.plugin(&hook.plugin) {
            Some(Ok(plugin)) => Arc::clone(plugin),
            Some(Err(error)) => return Err(error.to_string()),
            None => return Err(format!("the configuration has no plugin `{}`", hook.plugin)),
        };
        let settings = plugin
            .settings_with(&hook.arguments)
            .map_err(|error| error.to_string())?;
        let machine = Machine::shared().map_err(|error| error.to_string())?;
        let prepared = plugin
            .prepare(&machine)
            .map_err(|error| error.to_string())?;
        let archives = prepared.craft().is_some();
        if archives {
            catalogue.keep(&plugin).map_err(|error| {
                format!("a copy of the plugin cannot be kept for restoring: {error}")
            })?;
        }
        let in_place = match hook.in_place {
            true => Some(fit_to_replace(&plugin)?),
            false => None,
        };
        let destination = match (&prepared, &hook.destination) {
            (_, None) if hook.in_place => Some(replace::open_area(places.root)?),
            (Prepared::Reviewer(_), _) if hook.backs_up => {
                return Err("it is a reviewer and stores nothing".to_owned());
            }
            (Prepared::Reviewer(_), _) => None,
            (Prepared::Archiver(_) | Prepared::Filter(_), None) => {
                return Err("it stores files, and the policy does not say `into` where".to_owned());
            }
            (Prepared::Archiver(_) | Prepared::Filter(_), Some(name)) => {
                Some(open(&plugin, name, places)?)
            }
        };
        Ok(Ready {
            machine,
            settings: settings.into(),
            plugin,
            prepared,
            destination,
            in_place,
        })
    }
}

/// The suffix of a plugin whose archives may take their files' places.
fn fit_to_replace(plugin: &Plugin) -> Result<String, String> {
    match plugin.unfit_to_replace() {
        None => Ok(plugin.suffix()),
        Some((problem, help)) => Err(format!("{problem}; {help}")),
    }
}

fn open(
    plugin: &Plugin,
    name: &str,
    places: &Places<'_>,
) -> Result<(Arc<Destination>, DestinationName), String> {
    if !plugin
        .grants()
        .destinations
        .iter()
        .any(|granted| granted == name)
    {
        return Err(format!(
            "it is not granted the destination `{name}`; add it to `plugins.{}.grants.destinations`",
            plugin.name()
        ));
    }
    let configured = places
        .destinations
        .get(name)
        .ok_or_else(|| format!("the configuration has no destination `{name}`"))?;
    let path = &configured.directory.path;
    let opened = match places.known.get(&configured.url) {
        Some(identity) => Destination::open_known(name, path, identity),
        None => Destination::open(name, path),
    };
    let destination = opened.map_err(|e| e.to_string())?;
    destination.share().map_err(|e| e.to_string())?;
    let identity = destination
        .establish_identity()
        .map_err(|e| e.to_string())?;
    let recorded = DestinationName {
        name: name.to_owned(),
        url: configured.url.clone(),
        same_filesystem: places
            .device
            .is_some_and(|device| destination.same_filesystem(device)),
        identity: Some(identity),
    };
    Ok((Arc::new(destination), recorded))
}

/// Gives the objects their names and puts the receipt beside the first.
fn publish(
    destination: &Destination,
    proved: Proved,
    receipt: Receipt,
) -> Result<Receipt, Trouble> {
    let beside = proved.objects.first().map(|object| object.name().clone());
    publish_objects(destination, proved.objects)?;
    match beside {
        Some(object) => leave_receipt(destination, &object, receipt).map_err(unpublished),
        None => Ok(receipt),
    }
}

pub(super) fn publish_objects(
    destination: &Destination,
    objects: Vec<Part>,
) -> Result<(), Trouble> {
    for object in objects {
        match object {
            Part::New(new) => {
                let published = new.staged.publish(destination, &new.name, new.on_existing);
                published.map_err(unpublished)?;
            }
            Part::Shared(_) => {}
        }
    }
    Ok(())
}

fn unpublished(error: DestinationError) -> Trouble {
    Trouble {
        kind: match error {
            DestinationError::Full { .. } | DestinationError::Io { .. } => TroubleKind::Retryable,
            _ => TroubleKind::Permanent,
        },
        reason: error.to_string(),
    }
}

/// The most bytes the archive of a file may take.
pub(super) fn output_limit(plugin: &Plugin, size: u64) -> u64 {
    let granted = plugin.grants().output.map(|size| size.0);
    granted.unwrap_or_else(|| size.saturating_mul(2).saturating_add(OVERHEAD))
}

/// An object may carry several receipts: it may hold several files' bytes, and a run
/// that crashed after publishing left one for the same file.
fn leave_receipt(
    destination: &Destination,
    object: &ObjectName,
    receipt: Receipt,
) -> Result<Receipt, DestinationError> {
    let text = serde_json::to_string_pretty(&receipt).unwrap_or_default();
    let first = object.receipt();
    match destination.publish_text(&first, &text) {
        Ok(_) => return Ok(receipt),
        Err(DestinationError::Exists { .. }) => {}
        Err(error) => return Err(error),
    }
    let key: String = receipt.key.chars().take(8).collect();
    let next = object.receipt_marked(&format!(".{}-{key}", receipt.run));
    destination.publish_text(&next, &text)?;
    Ok(receipt)
}

fn forgiven(hook: &Hook) -> bool {
    match hook.otherwise {
        Otherwise::Keep => false,
        Otherwise::DeleteAnyway => true,
    }
}

fn no(hook: &Hook, verdict: Verdict, reason: String) -> Blocked {
    Blocked {
        step: 0,
        plugin: hook.plugin.clone(),
        reason,
        verdict,
    }
}

fn is_stale(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Stale>())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is behind these locks is whole after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
