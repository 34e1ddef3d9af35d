//! One run from start to finish, for whoever starts it: a person, cron, the service.
//!
//! ```text
//! prepare: lock? · root check · scan · plan          changes nothing
//! apply:   lock · recover · begin · batches · finish
//! ```
//! Each batch is archived and proved, recorded, removed and settled before the next,
//! so a full disk gets room before every archive is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::apply::{Hand, Recovered, recover};
use crate::config::{Config, Environment, MissingRoot, Store, read_policy};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::journal::{Journal, JournalError, Outcome, RunId, Start, State, Tallies};
use crate::path::RelPath;
use crate::plan::{Action, Ask, Decision, Disk, Hook, Notice, Plan, Step, plan, plan_explained};
use crate::plugin::{Catalogue, Hooks, Kind, Plugin, RunFacts};
use crate::policy::{self, Checked, Matcher, Policy};
use crate::receipt::Proof;
use crate::scan::{Inventory, ScanOptions, scan};
use crate::store::{Lock, Root, StoreError};
use crate::time::Now;

/// Steps that are archived and removed together.
const BATCH: usize = 256;

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
    /// The breaker refuses.
    #[error("the breaker refuses this plan")]
    Tripped,
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
        let findings = check_hooks(config, &policy);
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
        Ok(self.plan_in(root, identity.unwrap_or_default(), now, seen))
    }

    fn plan_in(&self, root: Root, identity: String, now: &Now, seen: Arc<AtomicU64>) -> Planned {
        let matcher = Matcher::new(&self.policy, now);
        let options = ScanOptions {
            boundaries: self.store.boundaries.clone(),
            seen,
            ..ScanOptions::default()
        };
        let inventory = scan(&root, &|dir| matcher.visit(dir), options);
        let mut plan = plan(
            &self.policy,
            &inventory,
            self.ask(&root, &inventory, identity, now),
        );
        for hook in &mut plan.hooks {
            (hook.proof, hook.configured) = self.configured(hook);
        }
        // First, because long lists of notes are cut.
        let near = self.near(&plan, &root);
        plan.notices.splice(0..0, near);
        Planned {
            plan,
            root,
            inventory,
        }
    }

    /// What a plan has to know besides the policy and the files.
    fn ask(&self, root: &Root, inventory: &Inventory, identity: String, now: &Now) -> Ask {
        Ask {
            store: self.store.name.clone(),
            root: identity,
            now: now.clone(),
            disk: root.space().ok().map(|space| Disk {
                used: space.total.saturating_sub(space.free),
                available: space.available,
            }),
            ledger: Vec::new(),
            notices: notices(inventory),
        }
    }

    /// What is decided at some moment about one path of a store that was looked at.
    pub fn decide(&self, planned: &Planned, path: &RelPath, now: &Now) -> Option<Decision> {
        let ask = self.ask(&planned.root, &planned.inventory, String::new(), now);
        let paths = std::slice::from_ref(path);
        let (_, decisions) = plan_explained(&self.policy, &planned.inventory, ask, paths);
        decisions.into_iter().next()
    }

    /// Takes the store, settles what a crash left, and decides: what `apply` begins
    /// with.
    pub fn take(&self, now: &Now, seen: Arc<AtomicU64>) -> Result<Taken<'_>, RunError> {
        let Seized {
            root,
            identity,
            lock,
            journal,
            recovered,
        } = self.seize(now)?;
        let planned = self.plan_in(root, identity.clone(), now, seen);
        Ok(Taken {
            job: self,
            planned,
            identity,
            journal,
            recovered,
            _lock: lock,
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
        if plan.policy != self.policy.digest() {
            return Err(RunError::Plan(format!(
                "the policy `{}` or a variable it reads has changed since; make a new plan",
                self.store.policy.written
            )));
        }
        self.check_saved(&plan, now)?;
        let Seized {
            root,
            identity,
            lock,
            journal,
            recovered,
        } = self.seize(now)?;
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
                root,
                inventory: Inventory::default(),
            },
            identity,
            journal,
            recovered,
            _lock: lock,
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
            let place = destination.and_then(|d| crate::destination::device_of(&d.directory.path));
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
        let (Some(configured), Some(plugin)) = (configured, loaded) else {
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
            "settings": configured.settings,
            "proof": proof,
            "destinations": grants.destinations,
            "memory": grants.memory.0,
            "wall": grants.wall_seconds,
            "output": grants.output.map(|size| size.0),
            "destination": destination.map(|destination| &destination.url),
        });
        let digest = blake3::hash(all.to_string().as_bytes());
        (proof, digest.to_hex().to_string())
    }

    /// Locks the store and settles what a crash left; nothing begins before all of it
    /// is known.
    fn seize(&self, now: &Now) -> Result<Seized, RunError> {
        let root = self.open()?;
        let identity = root.identity()?;
        self.check_known(identity.as_deref())?;
        let lock = root.lock()?;
        // A draft that stays is only litter where nobody looks.
        let _ = root.sweep_drafts(&lock);
        let mut journal = Journal::open(&self.config.state)?;
        let identity = root.establish_identity()?;
        let at = now.timestamp().to_string();
        let recovered = recover(&mut journal, &root, &identity, &at)?;
        match recovered.undecided.first() {
            None => Ok(Seized {
                root,
                identity,
                lock,
                journal,
                recovered,
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
pub fn open_to_restore(journal: &Journal, store: &Store) -> Result<(Root, Lock), RunError> {
    let root = Root::open(&store.path.path)?;
    check_known(journal, store, root.identity()?.as_deref())?;
    let lock = root.lock()?;
    let _ = root.sweep_drafts(&lock);
    Ok((root, lock))
}

/// A store taken, before anything is decided.
struct Seized {
    root: Root,
    identity: String,
    lock: Lock,
    journal: Journal,
    recovered: Recovered,
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
}

/// A store that is ours until this is dropped.
#[derive(Debug)]
pub struct Taken<'j> {
    job: &'j Job<'j>,
    /// What would be done.
    pub planned: Planned,
    identity: String,
    journal: Journal,
    /// What an earlier run had left.
    pub recovered: Recovered,
    _lock: Lock,
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
    /// How many of these were only read back, not restored.
    pub read_back: u64,
    /// How many of these were not proved at all.
    pub unproved: u64,
    /// How many of these lie on the store's own file system.
    pub same_filesystem: u64,
    /// Files that were kept although a statement doomed them, and why, in path order.
    pub kept: Vec<(crate::path::RelPath, Outcome)>,
}

/// Whether a tripped breaker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It does.
    Holds,
    /// A person has seen this very plan and released it.
    Released,
}

impl Taken<'_> {
    /// Carries the plan out, as far as plugins and the store let it.
    pub fn apply(
        mut self,
        now: &Now,
        breaker: Breaker,
        progress: &dyn Fn(usize),
    ) -> Result<Done, RunError> {
        let plan = &self.planned.plan;
        if breaker == Breaker::Holds && !plan.tripped.is_empty() {
            return Err(RunError::Tripped);
        }
        let is_plain = |step: &Step| step.unit.is_none() && step.action == Action::Remove;
        if !plan.steps.iter().all(is_plain) || !plan.directories.is_empty() {
            return Err(RunError::Plan(
                "it removes whole directories or replaces files, which is planned but not carried out yet".to_owned(),
            ));
        }
        let id = RunId::new(now).map_err(|error| RunError::System(error.to_string()))?;
        let root = &self.planned.root;
        self.journal.begin(&Start {
            id: &id,
            plan,
            root: &self.identity,
            root_path: root.path(),
            at: now.timestamp().to_string(),
        })?;
        let ended = self.carry_out(&id, now, progress);
        let state = match &ended {
            Ok(_) => State::Completed,
            Err(_) => State::Stopped,
        };
        let at = Now::from_clock().timestamp().to_string();
        let finished = self.journal.finish(&id, &at, state);
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
        let hand = Hand {
            plan,
            root,
            trash: &trash,
            run: id,
        };
        let mut done = Done {
            id: id.clone(),
            tallies: Tallies::default(),
            receipts: 0,
            read_back: 0,
            unproved: 0,
            same_filesystem: 0,
            kept: Vec::new(),
        };
        let mut begin = 0;
        while begin < plan.steps.len() {
            let end = plan.steps.len().min(begin + BATCH);
            let approved = hooks.approve(begin..end);
            let outcomes = hand.apply(&mut self.journal, &approved)?;
            done.count(plan, &approved, outcomes);
            progress(end);
            begin = end;
        }
        done.kept.sort_by(|a, b| a.0.cmp(&b.0));
        // What had to stay in the trash keeps it there.
        let _ = root.clear_trash(trash);
        Ok(done)
    }
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
        for (step, outcome) in outcomes {
            self.tallies.add(&outcome);
            let gone = outcome.class() == crate::journal::Class::Removed;
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
                if let Err(crate::plugin::PluginError::Setting { key, problem, .. }) =
                    plugin.check_settings(&hook.arguments)
                {
                    let place = hook.arguments_at.iter().find(|(name, _)| *name == key);
                    let at = place.map_or(at.clone(), |(_, at)| at.clone());
                    let finding = Diagnostic::error("R0504", source, at, problem);
                    findings.push(finding.help(
                        "leave the argument out, or write one that the plugin's description names",
                    ));
                }
            }
            Err(error) => {
                let finding = Diagnostic::error("R0502", source, at.clone(), error.to_string());
                findings.push(finding.help(format!(
                    "mend the table `[plugins.{}]` in the configuration; until then nothing this hook guards is removed",
                    hook.plugin
                )));
            }
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
