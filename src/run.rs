//! One run from start to finish, for whoever starts it: a person, cron, the service.
//!
//! ```text
//! plan:  root check · scan · plan                               changes nothing
//! take:  locks · root check · holds · recover · clocks · scan · plan
//! apply: breaker · begin · trash emptied · batches · finish
//! ```
//! Each batch is archived and proved, recorded, removed and settled before the next,
//! so a full disk gets room before every archive is written.

mod guard;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::apply::{
    Hand, Held, MirrorError, Need, Purged, Recovered, Relief, UndoError, Way, mirror_holds, purge,
    purge_for_room, recover,
};
use crate::config::{Config, Environment, MissingRoot, Store, Writers, read_policy};
use crate::destination::device_of;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::journal::{
    Class, Hold, Journal, JournalError, Latch, LedgerHold, Outcome, PolicyHold, RunId, Start,
    State, StoreLock, Tallies,
};
use crate::path::RelPath;
use crate::plan::{Action, Ask, Decision, Disk, Hook, Notice, Plan, plan, plan_explained};
use crate::plugin::{Catalogue, Hooks, Kind, Plugin, RunFacts};
use crate::policy::{self, Checked, Matcher, Policy};
use crate::receipt::{Metadata, Proof, Receipt};
use crate::scan::{Inventory, ScanOptions, scan};
use crate::store::{AccessTimes, Head, Lock, Root, StoreError, Trash, access_times};
use crate::time::{Clocks, Now, Stamp};

/// Steps that are archived and removed together: few, so that archives never pile up
/// before the first removal.
const BATCH: usize = 256;

/// Steps that are removed together where nothing is archived first: two syncs for as
/// many files.
const LARGE_BATCH: usize = 4096;

/// Steps that pressure takes between two looks at what is too full.
const PRESSURE_BATCH: usize = 64;

/// Why a run did not happen, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The policy has mistakes.
    #[error(transparent)]
    Policy(#[from] Diagnostics),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The root is not the one that is known.
    #[error("the root `{}` of store `{store}` is not the one of earlier runs: {reason}", root.display())]
    Root {
        /// The store.
        store: String,
        /// Its root.
        root: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An earlier run was cut short, and not everything it left can be looked at.
    #[error(
        "an earlier run was cut short, and what became of {files} of its files cannot be seen: `{path}`: {reason}"
    )]
    Undecided {
        /// How many files.
        files: usize,
        /// The first of them.
        path: RelPath,
        /// What the system said about it.
        reason: String,
    },
    /// A saved plan does not fit.
    #[error("this plan cannot be applied: {0}")]
    Plan(String),
    /// The ledger of holds cannot be used.
    #[error(transparent)]
    Holds(#[from] MirrorError),
    /// The trash cannot be used.
    #[error(transparent)]
    Trash(#[from] UndoError),
    /// The store is empty, and nobody here knows why.
    #[error(
        "store `{store}` is empty, although run {run} left {left} files in it; nothing is done, in case its volume is not mounted"
    )]
    Emptied {
        /// The store.
        store: String,
        /// The last run that looked.
        run: String,
        /// How many files it left.
        left: u64,
    },
    /// The store is latched: nothing goes until a person has looked.
    #[error(
        "store `{}` is latched since {}: {}", .0.store, .0.since, .0.reason
    )]
    Latched(Box<Latch>),
    /// Something the system refused.
    #[error("{0}")]
    System(String),
    /// It had begun, and could not go on.
    #[error("run {run} of store `{store}` was stopped: {source}")]
    Stopped {
        /// The store.
        store: String,
        /// The run.
        run: RunId,
        /// What stopped it.
        source: Box<RunError>,
    },
}

/// A store with its checked policy.
#[derive(Debug)]
pub struct Job<'c> {
    /// The whole configuration.
    pub config: &'c Config,
    /// The store.
    pub store: &'c Store,
    /// Its policy.
    pub policy: Policy,
    /// What somebody should look at in it.
    pub warnings: Diagnostics,
}

impl<'c> Job<'c> {
    /// Reads and checks the policy of a store, and that the configuration has what
    /// the policy names.
    pub fn load(
        config: &'c Config,
        store: &'c Store,
        environment: &Environment,
    ) -> Result<Job<'c>, Diagnostics> {
        let directory = config.directory();
        let source = read_policy(&store.policy.path, directory)
            .map_err(|reason| Diagnostics(vec![policy_missing(config, store, &reason)]))?;
        let Checked { policy, warnings } =
            environment.ask(directory, |world| policy::load(&source, world))?;
        let mut findings = check_hooks(config, &policy);
        let (policy, mut warnings) = (policy, warnings);
        let policy = match access_finding(&policy, store) {
            Some((finding, None)) => {
                findings.push(finding);
                policy
            }
            Some((finding, Some(lag))) => {
                warnings.0.push(finding);
                policy.with_access_lag(lag)
            }
            None => policy,
        };
        match findings.is_empty() {
            true => Ok(Job {
                config,
                store,
                policy,
                warnings,
            }),
            false => Err(Diagnostics(findings)),
        }
    }

    /// Warnings about destinations on the store's own file system: what breaks that
    /// breaks file and archive alike, and a copy that shares its blocks is no second one.
    pub fn too_near(&self) -> Vec<Diagnostic> {
        let Some(own) = device_of(&self.store.path.path) else {
            return Vec::new();
        };
        let near = self.policy.hooks().filter_map(|hook| {
            let (name, at) = hook.destination.as_ref()?;
            let directory = &self.config.destinations.get(name)?.directory.path;
            let its = device_of(directory)?;
            let message = format!("`{name}` lies on the same file system as the files it keeps");
            let finding = Diagnostic::warning("R0506", &hook.source, at.clone(), message);
            (its == own).then(|| finding.help("another disk survives more than this one"))
        });
        near.collect()
    }

    /// Names of the plugins the policy uses.
    fn plugins(&self) -> impl Iterator<Item = &str> {
        self.policy.hooks().map(|hook| hook.plugin.as_str())
    }

    /// Looks at the store and decides. Nothing is changed, not even a lock taken.
    pub fn plan(&self, now: &Now, seen: Arc<AtomicU64>) -> Result<Planned, RunError> {
        let path = &self.store.path.path;
        if self.store.missing == MissingRoot::Create && !path.exists() {
            return Err(RunError::System(format!(
                "the store `{}` is not there yet; the first `retain apply` makes it, as `create = true` says",
                path.display()
            )));
        }
        let root = Root::open(path)?;
        let identity = root.identity()?;
        self.check_known(identity.as_deref())?;
        let name = &self.store.name;
        let (ledger, archives) = match Journal::open_existing(&self.config.state)? {
            Some(journal) => (
                protecting(&journal.holds(Some(name))?, now),
                journal.in_place(name)?,
            ),
            None => (Vec::new(), Vec::new()),
        };
        let held = Held::of(&ledger, now);
        let identity = identity.unwrap_or_default();
        Ok(self.plan_in(root, identity, &held, &archives, now, seen))
    }

    /// The `hold` statements of the policy, for the ledger.
    fn policy_holds(&self) -> Vec<PolicyHold> {
        let holds = self.policy.holds().iter();
        holds
            .map(|hold| PolicyHold {
                name: hold.name.clone(),
                text: hold.text.clone(),
                until: hold.until.map(|until| until.to_string()),
                reason: self
                    .policy
                    .rules()
                    .get(hold.rule)
                    .and_then(|rule| rule.because.clone()),
            })
            .collect()
    }

    fn plan_in(
        &self,
        root: Root,
        identity: String,
        held: &Held,
        archives: &[Receipt],
        now: &Now,
        seen: Arc<AtomicU64>,
    ) -> Planned {
        let matcher = Matcher::new(&self.policy, now);
        let options = ScanOptions {
            boundaries: self.store.boundaries.clone(),
            seen,
            ..ScanOptions::default()
        };
        let mut inventory = scan(&root, &|dir| matcher.visit(dir), options);
        inventory.aliases = aliases(archives, &inventory);
        let ledger = held.for_planning();
        let ask = self.ask(&root, &inventory, &ledger, identity, now);
        let mut plan = plan(&self.policy, &inventory, ask);
        keep_held(&mut plan, held);
        for hook in &mut plan.hooks {
            (hook.proof, hook.configured) = self.configured(hook);
        }
        if !plan.pressures.is_empty() && self.store.grace.is_some() {
            plan.notices.push(Notice {
                path: None,
                message: "what pressure takes goes at once, without grace, and the trash is emptied before it".to_owned(),
            });
        }
        // First, because long lists of notes are cut.
        let near = self.near(&plan, &root);
        plan.notices.splice(0..0, near);
        Planned {
            plan,
            root,
            inventory,
            ledger,
        }
    }

    /// Digests of what a plan is made under besides the policy and its hooks. Their
    /// values, not their text: a comment in the configuration changes no plan.
    fn basis(&self) -> BTreeMap<String, String> {
        let Store {
            path,
            grace,
            writers,
            ..
        } = self.store;
        let values = format!("{:?} {grace:?} {writers:?}", path.path);
        let digest = blake3::hash(values.as_bytes()).to_hex().to_string();
        let name = format!("path, grace or exclusive of store `{}`", self.store.name);
        BTreeMap::from([(name, digest)])
    }

    /// What a plan has to know besides the policy and the files.
    fn ask(
        &self,
        root: &Root,
        inventory: &Inventory,
        ledger: &[Policy],
        identity: String,
        now: &Now,
    ) -> Ask {
        Ask {
            store: self.store.name.clone(),
            root: identity,
            now: now.clone(),
            basis: self.basis(),
            disk: root.space().ok().map(|space| Disk {
                used: space.total.saturating_sub(space.free),
                available: space.available,
            }),
            ledger: ledger.to_vec(),
            notices: notices(inventory),
        }
    }

    /// What is decided at some moment about one path of a store that was looked at.
    pub fn decide(&self, planned: &Planned, path: &RelPath, now: &Now) -> Option<Decision> {
        let Planned {
            root,
            inventory,
            ledger,
            ..
        } = planned;
        let ask = self.ask(root, inventory, ledger, String::new(), now);
        let paths = std::slice::from_ref(path);
        let (_, decisions) = plan_explained(&self.policy, &planned.inventory, ask, paths);
        decisions.into_iter().next()
    }

    /// Takes the store, settles what a crash left, and decides: what `apply` begins
    /// with.
    pub fn take(&self, now: &Now, seen: Arc<AtomicU64>) -> Result<Taken<'_>, RunError> {
        let seized = self.seize(now)?;
        let identity = seized.identity.clone();
        let archives = seized.journal.in_place(&self.store.name)?;
        let planned = self.plan_in(
            seized.root,
            identity.clone(),
            &seized.held,
            &archives,
            now,
            seen,
        );
        Ok(Taken {
            job: self,
            found: Some(planned.inventory.entries.len() as u64),
            emptied_accepted: false,
            planned,
            identity,
            journal: seized.journal,
            recovered: seized.recovered,
            held: seized.held,
            clocks: seized.clocks,
            _locks: seized.locks,
        })
    }

    /// Takes the store for a plan that was made before.
    pub fn take_for(&self, plan: Plan, now: &Now) -> Result<Taken<'_>, RunError> {
        if plan.store != self.store.name {
            let message = format!(
                "it is for store `{}`, not `{}`",
                plan.store, self.store.name
            );
            return Err(RunError::Plan(message));
        }
        self.check_basis(&plan)?;
        self.check_saved(&plan, now)?;
        let seized = self.seize(now)?;
        self.check_age(&plan, &seized.journal, now)?;
        let identity = seized.identity;
        // A plan made before the first run knows no identity; its files' device and
        // inode numbers are compared in any case.
        if !plan.root.is_empty() && plan.root != identity {
            return Err(RunError::Plan(
                "it is for another root directory".to_owned(),
            ));
        }
        Ok(Taken {
            job: self,
            planned: Planned {
                plan,
                root: seized.root,
                inventory: Inventory::default(),
                ledger: Vec::new(),
            },
            found: None,
            emptied_accepted: false,
            identity,
            journal: seized.journal,
            recovered: seized.recovered,
            held: seized.held,
            clocks: seized.clocks,
            _locks: seized.locks,
        })
    }

    /// What a saved plan says that today's configuration or clock does not allow.
    fn check_saved(&self, plan: &Plan, now: &Now) -> Result<(), RunError> {
        if plan.now.timestamp() > now.timestamp() {
            return Err(RunError::Plan(format!(
                "it was made at {}, and the clock says {}; set the clock or make a new plan",
                plan.now.timestamp(),
                now.timestamp()
            )));
        }
        for step in &plan.steps {
            let mut boundaries = self.store.boundaries.iter();
            if let Some(boundary) = boundaries.find(|boundary| step.path.starts_with(boundary)) {
                return Err(RunError::Plan(format!(
                    "`{}` lies in `{boundary}`, where another store, a destination or the state is now; make a new plan",
                    step.path
                )));
            }
        }
        for hook in &plan.hooks {
            if (hook.proof, hook.configured.clone()) != self.configured(hook) {
                return Err(RunError::Plan(format!(
                    "plugin `{}`, its settings, grants or proof, or the place of its destination has changed since; make a new plan",
                    hook.plugin
                )));
            }
        }
        Ok(())
    }

    /// Destinations of a plan that do not outlive the store's own disk.
    fn near(&self, plan: &Plan, root: &Root) -> Vec<Notice> {
        let device = root.stat(&RelPath::root()).map(|facts| facts.id.device);
        let named: BTreeSet<&String> = plan
            .hooks
            .iter()
            .filter_map(|hook| hook.destination.as_ref())
            .collect();
        let same = named.into_iter().filter(|name| {
            let destination = self.config.destinations.get(*name);
            let place = destination.and_then(|d| device_of(&d.directory.path));
            place.is_some() && place == device.as_ref().ok().copied()
        });
        same.map(|name| Notice {
            path: None,
            message: format!(
                "archives in `{name}` lie on the same filesystem as the store; another disk survives more"
            ),
        })
        .collect()
    }

    /// How a hook's archives are proved, and the digest of all that the configuration
    /// says about how it runs and where it stores.
    fn configured(&self, hook: &Hook) -> (Option<Proof>, String) {
        let configured = self.config.plugins.get(&hook.plugin);
        // One that does not load blocks its files, whatever a plan says.
        let loaded = configured.and_then(|configured| Plugin::load(configured, None).ok());
        let Some(plugin) = loaded else {
            return (None, String::new());
        };
        let proof = match plugin.manifest().kind {
            Kind::Reviewer => None,
            Kind::Archiver => Some(plugin.proof()),
        };
        let grants = plugin.grants();
        let destination = hook.destination.as_ref();
        let destination = destination.and_then(|name| self.config.destinations.get(name));
        let all = serde_json::json!({
            "component": plugin.version().digest,
            "settings": plugin.settings_with(&hook.arguments).ok(),
            "proof": proof,
            "destinations": grants.destinations,
            "memory": grants.memory.0,
            "wall": grants.wall_seconds,
            "output": grants.output.map(|size| size.0),
            "in_place": grants.in_place,
            "destination": destination.map(|destination| &destination.url),
        });
        let digest = blake3::hash(all.to_string().as_bytes());
        (proof, digest.to_hex().to_string())
    }

    /// Takes the store, settles what a crash left, and reads what is held; nothing
    /// begins before all of it is known.
    fn seize(&self, now: &Now) -> Result<Seized, RunError> {
        let root = self.open()?;
        let identity = root.identity()?;
        self.check_known(identity.as_deref())?;
        let mut journal = Journal::open(&self.config.state)?;
        // In this order everywhere, so that two instances never wait for each other.
        let ours = Journal::lock_store(&self.config.state, &self.store.name)?;
        let theirs = root.lock(now)?;
        // A draft that stays is only litter where nobody looks.
        let _ = root.sweep_drafts(&theirs);
        let identity = root.establish_identity()?;
        let name = &self.store.name;
        let said = self.policy_holds();
        let holds = mirror_holds(&mut journal, &root, name, Some(&said), now)?;
        let held = Held::of(&protecting(&holds, now), now);
        let at = now.timestamp().to_string();
        let recovered = recover(&mut journal, &root, &identity, &at)?;
        let clocks = Clocks::at(now);
        match recovered.undecided.first() {
            None => Ok(Seized {
                root,
                identity,
                journal,
                held,
                recovered,
                clocks,
                locks: (theirs, ours),
            }),
            Some((path, reason)) => Err(RunError::Undecided {
                files: recovered.undecided.len(),
                path: path.clone(),
                reason: reason.clone(),
            }),
        }
    }

    fn open(&self) -> Result<Root, RunError> {
        let path = &self.store.path.path;
        if self.store.missing == MissingRoot::Create && !path.exists() {
            std::fs::create_dir_all(path).map_err(|error| {
                let reason = crate::store::in_words(&error);
                RunError::System(format!(
                    "cannot make the store `{}`: {reason}",
                    path.display()
                ))
            })?;
        }
        Ok(Root::open(path)?)
    }

    /// A root that lost its identity, or has another, may be an unmounted volume or a
    /// wrong path: whatever lies there is not what the policy was written for.
    fn check_known(&self, identity: Option<&str>) -> Result<(), RunError> {
        match Journal::open_existing(&self.config.state)? {
            Some(journal) => check_known(&journal, self.store, identity),
            None => Ok(()),
        }
    }
}

fn check_known(journal: &Journal, store: &Store, identity: Option<&str>) -> Result<(), RunError> {
    let known = journal.known_root(&store.name)?;
    let reason = match (known.as_deref(), identity) {
        (None, _) => return Ok(()),
        (Some(known), Some(found)) if known == found => return Ok(()),
        (Some(_), None) => "its `.retain/id` is missing; is the volume mounted?",
        (Some(_), Some(_)) => "its `.retain/id` is another one",
    };
    Err(RunError::Root {
        store: store.name.clone(),
        root: store.path.path.clone(),
        reason: reason.to_owned(),
    })
}

/// A store's root for restoring into: locked against runs, and known to be the one
/// the archives are of.
pub fn open_to_restore(
    journal: &Journal,
    store: &Store,
    now: &Now,
) -> Result<(Root, Lock), RunError> {
    let root = Root::open(&store.path.path)?;
    check_known(journal, store, root.identity()?.as_deref())?;
    let lock = root.lock(now)?;
    let _ = root.sweep_drafts(&lock);
    Ok((root, lock))
}

/// A plan with what it was made from.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The store, open.
    pub root: Root,
    /// What was found in it.
    pub inventory: Inventory,
    /// The holds of the ledger it was made under.
    pub ledger: Vec<Policy>,
}

/// A store with everything a run needs of it.
struct Seized {
    root: Root,
    identity: String,
    journal: Journal,
    held: Held,
    recovered: Recovered,
    clocks: Clocks,
    locks: (Lock, StoreLock),
}

/// A store that is ours until this is dropped.
#[derive(Debug)]
pub struct Taken<'j> {
    job: &'j Job<'j>,
    /// What would be done.
    pub planned: Planned,
    /// How many files a scan just found.
    found: Option<u64>,
    /// Whether a person has said that it is right to find none.
    emptied_accepted: bool,
    identity: String,
    journal: Journal,
    /// What an earlier run had left.
    pub recovered: Recovered,
    held: Held,
    clocks: Clocks,
    _locks: (Lock, StoreLock),
}

/// What a run did.
#[derive(Debug)]
pub struct Done {
    /// Its name.
    pub id: RunId,
    /// Its outcomes, counted.
    pub tallies: Tallies,
    /// How many files were archived first.
    pub receipts: u64,
    /// Until when the files lie in the trash, RFC 3339; none where they went at once.
    pub trashed_until: Option<String>,
    /// What earlier runs had put into the trash and this one removed for good.
    pub purged: Purged,
    /// How many of these were only read back, not restored.
    pub read_back: u64,
    /// How many of these were not proved at all.
    pub unproved: u64,
    /// How many of these lie on the store's own file system.
    pub same_filesystem: u64,
    /// Files that were kept although a statement doomed them, and why, in path order.
    pub kept: Vec<(crate::path::RelPath, Outcome)>,
}

/// Whether a latch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It does.
    Holds,
    /// A person has seen this very plan and released it.
    Released,
}

impl Taken<'_> {
    /// Carries the plan out, as far as plugins and the store let it.
    ///
    /// [`Taken::pass_breaker`] comes first and is asked again here.
    pub fn apply(
        mut self,
        now: &Now,
        breaker: Breaker,
        progress: &dyn Fn(usize),
    ) -> Result<Done, RunError> {
        self.pass_breaker(now, breaker)?;
        let plan = &self.planned.plan;
        let id = RunId::new(now).map_err(|error| RunError::System(error.to_string()))?;
        let root = &self.planned.root;
        let at = now.timestamp().to_string();
        self.journal.begin(&Start {
            id: &id,
            plan,
            root: &self.identity,
            root_path: root.path(),
            at: at.clone(),
            found: self.found,
        })?;
        guard::released(&mut self.journal, plan, &at)?;
        let ended = self.carry_out(&id, now, progress);
        let state = match &ended {
            Ok(_) => State::Completed,
            Err(_) => State::Stopped,
        };
        let over = Now::from_clock();
        let at = over.timestamp().to_string();
        let finished = self
            .journal
            .finish(&id, &at, state)
            .and_then(|()| self.leave(&id, &over));
        ended
            .and_then(|done| finished.map(|()| done).map_err(RunError::from))
            .map_err(|source| RunError::Stopped {
                store: self.job.store.name.clone(),
                run: id,
                source: Box::new(source),
            })
    }

    /// What a run does between its beginning and its end.
    fn carry_out(
        &mut self,
        id: &RunId,
        now: &Now,
        progress: &dyn Fn(usize),
    ) -> Result<Done, RunError> {
        let plan = &self.planned.plan;
        let root = &self.planned.root;
        let purged = purge(&mut self.journal, root, now)?;
        let trash = root.establish_trash(id.as_str())?;
        let catalogue = Catalogue::load(self.job.config, self.job.plugins());
        let facts = RunFacts {
            id: id.to_string(),
            now: now.clone(),
        };
        let destinations = &self.job.config.destinations;
        let mut known = BTreeMap::new();
        for hook in &plan.hooks {
            let named = hook.destination.as_ref();
            if let Some(destination) = named.and_then(|name| destinations.get(name))
                && let Some(identity) = self.journal.known_destination(&destination.url)?
            {
                known.insert(destination.url.clone(), identity);
            }
        }
        let hooks = Hooks::ready(plan, root, &catalogue, destinations, &known, facts);
        let (way, trashed_until) = way(self.job.store, plan, &trash, id, now)?;
        let mut hand = Hand {
            plan,
            root,
            trash: &trash,
            run: id,
            way,
            held: &self.held,
        };
        let mut done = Done {
            id: id.clone(),
            tallies: Tallies::default(),
            receipts: 0,
            trashed_until,
            purged,
            read_back: 0,
            unproved: 0,
            same_filesystem: 0,
            kept: Vec::new(),
        };
        let mut relief: Option<(usize, Relief)> = None;
        let (mut begin, mut freed) = (0, 0);
        while begin < plan.steps.len() {
            let end = batch_end(plan, begin);
            let pressure = plan.steps.get(begin).and_then(|step| step.pressure);
            if let Some(number) = pressure {
                if relief.as_ref().is_none_or(|(of, _)| *of != number) {
                    let before = done.tallies.freed;
                    relief = Relief::of(plan, number, before).map(|relief| (number, relief));
                    hand.way = without_grace(self.job.store);
                    freed = 0;
                    if let Some((_, relief)) = &mut relief {
                        let mut enough = || relief.measure(root, 0) == Need::Enough;
                        let more =
                            purge_for_room(&mut self.journal, root, id.as_str(), now, &mut enough)?;
                        done.purged.files += more.files;
                        done.purged.freed = done.purged.freed.saturating_add(more.freed);
                    }
                }
                let need = match &mut relief {
                    Some((_, relief)) => relief.measure(root, freed),
                    None => Need::More,
                };
                let spared = match need {
                    Need::More => None,
                    Need::Enough => Some(Outcome::Relieved),
                    Need::Futile => Some(Outcome::Futile),
                };
                if let Some(outcome) = spared {
                    let last = pressure_end(plan, begin, number);
                    let outcomes = hand.spare(&mut self.journal, begin..last, &outcome)?;
                    done.note(plan, outcomes);
                    progress(last);
                    begin = last;
                    continue;
                }
            }
            let before = done.tallies.freed;
            let mut approved = hooks.approve(begin..end);
            let outcomes = hand.apply(&mut self.journal, &mut approved)?;
            done.count(plan, &approved, outcomes);
            freed = done.tallies.freed.saturating_sub(before);
            progress(end);
            begin = end;
        }
        for outcome in hand.remove_empty(&mut self.journal)? {
            done.tallies.add(&outcome);
        }
        done.kept.sort_by(|a, b| a.0.cmp(&b.0));
        // What had to stay in the trash keeps it there.
        let _ = root.clear_trash(trash);
        Ok(done)
    }

    /// What a run leaves for the next besides its own records.
    fn leave(&mut self, id: &RunId, over: &Now) -> Result<(), JournalError> {
        self.journal.remember_clocks(&Clocks::at(over))?;
        self.forget(over)?;
        if let Some(head) = self.journal.head()? {
            tracing::info!(run = %id, sequence = head.sequence, head = %head.hash, "journal");
        }
        Ok(())
    }

    /// Forgets runs that are older than the configuration wants remembered.
    fn forget(&mut self, now: &Now) -> Result<(), JournalError> {
        if let Some(span) = self.job.config.remember {
            let before = span.before(&now.zoned(&jiff::tz::TimeZone::UTC));
            self.journal.prune(before, &now.timestamp().to_string())?;
        }
        Ok(())
    }
}

/// How files go in this store, and until when they lie in the trash.
fn way(
    store: &Store,
    plan: &Plan,
    trash: &Trash,
    id: &RunId,
    now: &Now,
) -> Result<(Way, Option<String>), RunError> {
    match (store.grace, store.writers) {
        (Some(grace), _) if !plan.steps.is_empty() => {
            let seconds = i64::try_from(grace.approximate_seconds()).unwrap_or(i64::MAX);
            let until = now
                .timestamp()
                .saturating_add(jiff::SignedDuration::from_secs(seconds))
                .map_err(|error| RunError::System(error.to_string()))?
                .to_string();
            let since = now.timestamp().to_string();
            let head = Head::new(id.as_str(), &store.name, since, until.clone());
            let index = trash.begin_index(&head).map_err(|error| {
                RunError::System(format!(
                    "cannot begin the list of the trash: {}",
                    crate::store::in_words(&error)
                ))
            })?;
            Ok((Way::Kept(index), Some(until)))
        }
        (Some(_), _) | (None, Writers::Shared) => Ok((Way::Verified, None)),
        (None, Writers::Exclusive) => Ok((Way::Direct, None)),
    }
}

/// How files go that pressure takes: what is needed at once does not lie in the trash.
fn without_grace(store: &Store) -> Way {
    match store.writers {
        Writers::Shared => Way::Verified,
        Writers::Exclusive => Way::Direct,
    }
}

/// Where the steps of one pressure end.
fn pressure_end(plan: &Plan, begin: usize, pressure: usize) -> usize {
    let rest = plan.steps.get(begin..).unwrap_or_default();
    let same = rest
        .iter()
        .take_while(|step| step.pressure == Some(pressure));
    begin + same.count()
}

/// Where a batch that begins at a step ends: a whole directory is in one, and two
/// pressures are not.
fn batch_end(plan: &Plan, begin: usize) -> usize {
    let wanted = match plan.steps.get(begin).and_then(|step| step.pressure) {
        // Small, as it is measured after each.
        Some(number) => pressure_end(plan, begin, number).min(begin + PRESSURE_BATCH),
        None => {
            let rest = plan.steps.get(begin..).unwrap_or_default();
            let ordinary = rest.iter().take_while(|step| step.pressure.is_none());
            wanted_end(plan, begin).min(begin + ordinary.count())
        }
    };
    let unit = |at: usize| plan.steps.get(at).and_then(|step| step.unit);
    let mut end = wanted.max(begin + 1);
    while unit(end).is_some() && unit(end) == unit(end.saturating_sub(1)) {
        end += 1;
    }
    end
}

fn wanted_end(plan: &Plan, begin: usize) -> usize {
    let all = plan.steps.len();
    let hooked = |end: usize| {
        let steps = plan.steps.get(begin..end).unwrap_or_default();
        steps.iter().any(|step| !step.hooks.is_empty())
    };
    let large = all.min(begin + LARGE_BATCH);
    match hooked(large) {
        true => all.min(begin + BATCH),
        false => large,
    }
}

/// Which files of a store are archives in the places of others: what a receipt names
/// and is still as it was put there.
fn aliases(archives: &[Receipt], inventory: &Inventory) -> BTreeMap<RelPath, RelPath> {
    let entries = &inventory.entries;
    let alias = |receipt: &Receipt| {
        let [object] = receipt.objects.as_slice() else {
            return None;
        };
        let path = RelPath::parse(&object.name).ok()?;
        let at = entries
            .binary_search_by(|entry| entry.path.cmp(&path))
            .ok()?;
        let facts = entries.get(at)?.facts.as_ref().ok()?;
        let Metadata {
            modified_seconds,
            modified_nanoseconds,
            ..
        } = receipt.metadata;
        let put = Stamp::new(modified_seconds, modified_nanoseconds);
        let same = facts.size == object.size && facts.modified == put;
        let original = RelPath::unescape(&receipt.path).filter(|_| same)?;
        Some((path, original))
    };
    archives.iter().filter_map(alias).collect()
}

fn protecting(holds: &[Hold], now: &Now) -> Vec<LedgerHold> {
    let protecting = holds.iter().filter(|hold| hold.protects(now));
    protecting.map(Hold::for_planning).collect()
}

/// Takes out of a plan what the ledger holds. What a limit would have taken instead
/// is not: a plan may only shrink here.
fn keep_held(plan: &mut Plan, held: &Held) {
    let holds = held.asked();
    // A directory of which one file is held stays with all of them.
    let whole: BTreeMap<usize, &str> = plan
        .steps
        .iter()
        .filter_map(|step| Some((step.unit?, holds.keeps_step(step)?)))
        .collect();
    let (totals, notices) = (&mut plan.totals, &mut plan.notices);
    plan.steps.retain(|step| {
        let with_unit = step.unit.and_then(|unit| whole.get(&unit).copied());
        let Some(hold) = holds.keeps_step(step).or(with_unit) else {
            return true;
        };
        let counted = match step.action {
            Action::Remove => &mut totals.removed,
            Action::Replace { .. } => &mut totals.replaced,
        };
        counted.files = counted.files.saturating_sub(1);
        counted.bytes = counted.bytes.saturating_sub(step.facts.allocated);
        totals.protected.add(&step.facts);
        notices.push(Notice {
            path: Some(step.path.clone()),
            message: format!("kept by the hold `{hold}`"),
        });
        false
    });
}

impl Done {
    fn count(
        &mut self,
        plan: &Plan,
        approved: &crate::plugin::Approved,
        outcomes: Vec<(usize, Outcome)>,
    ) {
        for receipt in approved.receipts() {
            self.receipts += 1;
            self.same_filesystem += u64::from(receipt.destination.same_filesystem);
            match receipt.proof {
                Proof::Restore => {}
                Proof::ReadBack => self.read_back += 1,
                Proof::None => self.unproved += 1,
            }
        }
        self.note(plan, outcomes);
    }

    fn note(&mut self, plan: &Plan, outcomes: Vec<(usize, Outcome)>) {
        for (step, outcome) in outcomes {
            self.tallies.add(&outcome);
            let gone = matches!(outcome.class(), Class::Removed | Class::Replaced);
            if let (false, Some(step)) = (gone, plan.steps.get(step)) {
                self.kept.push((step.path.clone(), outcome));
            }
        }
    }
}

fn policy_missing(config: &Config, store: &Store, reason: &str) -> Diagnostic {
    let message = format!(
        "cannot read the policy `{}`: {reason}",
        store.policy.written
    );
    Diagnostic::error("R0619", &config.source, store.policy.span.clone(), message)
        .help("paths are relative to the configuration file")
}

/// What is to be said of a policy that reads access times, on the mount its store lies
/// on; with seconds, ages by access count from that much later, without, the policy
/// cannot be used there.
fn access_finding(policy: &Policy, store: &Store) -> Option<(Diagnostic, Option<u64>)> {
    let (source, at) = policy.reads_access_times()?;
    let message = format!("store `{}` lies on a mount", store.name);
    match access_times(&store.path.path)? {
        AccessTimes::Kept => None,
        AccessTimes::Absent => {
            let message = format!("{message} that keeps no access times (`noatime`)");
            let finding = Diagnostic::error("R0507", source, at.clone(), message);
            let help = "measure ages from `last modified`, or mount it with `relatime`";
            Some((finding.help(help), None))
        }
        AccessTimes::Lagging(seconds) => {
            let lag = crate::units::Elapsed(seconds);
            let message = format!("{message} that notes a read only once in {lag} (`relatime`)");
            let finding = Diagnostic::warning("R0508", source, at.clone(), message);
            let help = format!(
                "ages by access count from {lag} later, so nothing goes early; mount it with `strictatime` for exact ones"
            );
            Some((finding.help(help), Some(seconds)))
        }
    }
}

/// Plugins and destinations a policy names and the configuration does not have, and
/// arguments the plugin does not take.
fn check_hooks(config: &Config, policy: &Policy) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for hook in policy.hooks() {
        let source = &hook.source;
        let at = hook.plugin_at.clone();
        let Some(configured) = config.plugins.get(&hook.plugin) else {
            let message = format!("there is no plugin `{}` in the configuration", hook.plugin);
            let finding = Diagnostic::error("R0501", source, at, message);
            let names = config.plugins.keys().map(String::as_str);
            findings.push(match crate::diagnostic::nearest(&hook.plugin, names) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("add a table `[plugins.{}]`", hook.plugin)),
            });
            continue;
        };
        match crate::plugin::Plugin::load(configured, None) {
            Ok(plugin) => {
                if let Some((problem, help)) = plugin.unfit_to_replace().filter(|_| hook.in_place) {
                    findings
                        .push(Diagnostic::error("R0509", source, at.clone(), problem).help(help));
                }
                findings.extend(check_arguments(configured, &plugin, hook, config, source))
            }
            Err(error) => findings.extend(configured_badly(config, configured, &error)),
        }
        let Some((destination, at)) = &hook.destination else {
            continue;
        };
        if !config.destinations.contains_key(destination) {
            let message = format!("there is no destination `{destination}` in the configuration");
            let finding = Diagnostic::error("R0503", source, at.clone(), message);
            findings.push(finding.help(format!("add a table `[destinations.{destination}]`")));
        } else if !configured.grants.destinations.contains(destination) {
            let message = format!("plugin `{}` is not granted `{destination}`", hook.plugin);
            let help = format!(
                "write `grants = {{ destinations = [\"{destination}\"] }}` under `[plugins.{}]`",
                hook.plugin
            );
            findings.push(Diagnostic::error("R0505", source, at.clone(), message).help(help));
        }
    }
    findings
}

/// What a plugin has against its arguments; a setting that is no argument is shown
/// where the configuration has it.
fn check_arguments(
    configured: &crate::config::Plugin,
    plugin: &crate::plugin::Plugin,
    hook: &policy::Hook,
    config: &Config,
    source: &crate::diagnostic::Source,
) -> Vec<Diagnostic> {
    let Err(error) = plugin.settings_with(&hook.arguments) else {
        return Vec::new();
    };
    let crate::plugin::PluginError::Settings { objections, .. } = &error else {
        return vec![Diagnostic::error(
            "R0502",
            source,
            hook.plugin_at.clone(),
            error.to_string(),
        )];
    };
    let place = |setting: &str| {
        let argument = hook.arguments_at.iter().find(|(name, _)| name == setting);
        match (argument, configured.settings_at.get(setting)) {
            (Some((_, at)), _) => (source, at.clone()),
            (None, Some(at)) => (&config.source, at.clone()),
            (None, None) => (source, hook.plugin_at.clone()),
        }
    };
    let finding = |objection: &crate::plugin::Objection| {
        let (source, at) = place(&objection.setting);
        Diagnostic::error("R0504", source, at, objection.problem.clone())
    };
    objections.iter().map(finding).collect()
}

/// What is wrong with the plugins of a configuration, whether or not a policy names
/// them yet.
pub fn check_plugins(config: &Config) -> Vec<Diagnostic> {
    let load = |configured| crate::plugin::Plugin::load(configured, None).err();
    let broken = config.plugins.values();
    let broken = broken.filter_map(|configured| Some((configured, load(configured)?)));
    broken
        .flat_map(|(configured, error)| configured_badly(config, configured, &error))
        .collect()
}

/// Why a plugin cannot be used as the configuration has it, shown there.
fn configured_badly(
    config: &Config,
    configured: &crate::config::Plugin,
    error: &crate::plugin::PluginError,
) -> Vec<Diagnostic> {
    let crate::plugin::PluginError::Settings { objections, .. } = error else {
        let at = configured.span.clone();
        let finding = Diagnostic::error("R0502", &config.source, at, error.to_string());
        return vec![match error.help() {
            Some(help) => finding.help(help),
            None => finding,
        }];
    };
    let finding = |objection: &crate::plugin::Objection| {
        let at = configured.settings_at.get(&objection.setting);
        let at = at.unwrap_or(&configured.span).clone();
        Diagnostic::error("R0504", &config.source, at, objection.problem.clone())
    };
    objections.iter().map(finding).collect()
}

/// What the walk could not see, for the report.
fn notices(inventory: &Inventory) -> Vec<Notice> {
    let unlisted = inventory.directories.iter().filter_map(|directory| {
        let unreadable = directory.facts.as_ref().err()?;
        Some(Notice {
            path: Some(directory.path.clone()),
            message: format!("not looked into: {}", unreadable.reason),
        })
    });
    let skipped = inventory.skipped.iter().map(|skipped| Notice {
        path: Some(skipped.path.clone()),
        message: skipped.why.to_string(),
    });
    unlisted.chain(skipped).collect()
}
