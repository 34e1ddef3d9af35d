//! One run from start to finish, for whoever starts it: a person, cron, the service.
//!
//! ```text
//! plan:  root check · scan · plan                               changes nothing
//! take:  locks · root check · holds · recover · clocks · scan · plan
//! apply: breaker · begin · trash emptied · batches · finish
//! ```
//! Each batch is archived and proved, recorded, removed and settled before the next,
//! so a full disk gets room before every archive is written. Where nothing is archived and
//! nobody asked, the journal records the neighbours of a batch while it goes.

mod batches;
mod bring;
mod checks;
mod error;
mod guard;
mod index;
mod no_smaller;
mod saved;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::apply::{Held, Mirrored, Recovered, gently, mirror_holds, recover};
use crate::config::{Config, Environment, MissingRoot, Store, read_policy};
use crate::destination::device_of;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::journal::{Hold, Journal, LedgerHold, Outcome, PolicyHold, StoreLock};
use crate::path::RelPath;
use crate::plan::{
    Action, Ask, Census, Decision, Disk, Hook, Learned, Notice, Passed, Plan, Sieve, Spool, Step,
    Unreadable, plan, plan_explained,
};
use crate::plugin::{Kind, Plugin};
use crate::policy::{self, Checked, Matcher, Policy, Request};
use crate::receipt::{Metadata, Proof, Receipt};
use crate::scan::{Filed, Inventory, ScanOptions, scan, scan_sifted};
use crate::store::{Lock, Root};
use crate::time::{Clocks, Now, Stamp};

pub use batches::{ByRule, Done};
pub use bring::{Restored, Told, bring_back, current_versions, put_back, with_ledger};
pub use checks::check_plugins;
pub use error::RunError;

use index::Index;

use checks::{access_finding, check_hooks, policy_missing, seldom_cleaned};

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
    /// What it is to delete instead of what its policy says.
    request: Option<Request>,
}

/// What a plan that a request made has in its basis.
const REQUEST: &str = "request";

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
        warnings.0.extend(seldom_cleaned(&policy, store));
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
                request: None,
            }),
            false => Err(Diagnostics(findings)),
        }
    }

    /// A job whose policy was checked against this configuration before.
    pub fn checked(
        config: &'c Config,
        store: &'c Store,
        policy: Policy,
        warnings: Diagnostics,
    ) -> Job<'c> {
        Job {
            config,
            store,
            policy,
            warnings,
            request: None,
        }
    }

    /// Whether it does what somebody asks for instead of what the policy says.
    pub fn is_request(&self) -> bool {
        self.request.is_some()
    }

    /// The same job for a request: only what it asks for goes, and that only as far as
    /// the policy's protections, hooks and breaker let it. Nothing where no collection
    /// has the captures it names.
    pub fn asking(self, request: Request) -> Option<Job<'c>> {
        Some(Job {
            policy: self.policy.requesting(&request)?,
            request: Some(request),
            ..self
        })
    }

    /// The job a saved plan was made by: the store's own, or a request's.
    ///
    /// Only a plan that this program kept may bring a request along: in a file from
    /// elsewhere it would be anybody's wish.
    pub fn of_kept(self, plan: &Plan) -> Result<Job<'c>, RunError> {
        let Some(text) = plan.basis.get(REQUEST) else {
            return Ok(self);
        };
        let broken = |reason: String| RunError::Plan(format!("its request is broken: {reason}"));
        let request = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
        self.asking(request)
            .ok_or_else(|| broken("no collection has its captures".to_owned()))
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
    pub fn plan(
        &self,
        now: &Now,
        wanted: Wanted,
        seen: Arc<AtomicU64>,
    ) -> Result<Planned, RunError> {
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
                self.archives(&journal)?,
            ),
            None => (Vec::new(), Archives::default()),
        };
        let held = Held::of(ledger, now);
        let identity = identity.unwrap_or_default();
        self.plan_in(root, identity, &held, &archives, now, (wanted, seen))
    }

    /// The archives there are of this store's files, as far as planning asks.
    fn archives(&self, journal: &Journal) -> Result<Archives, RunError> {
        let name = &self.store.name;
        let mut filed: BTreeMap<String, Vec<Filed>> = BTreeMap::new();
        if self.policy.hooks().any(|hook| hook.backs_up) || self.policy.deletes_backups() {
            for row in journal.filed(name)? {
                let at = row.at.parse().ok().map(|at| Now::at(at).stamp());
                filed
                    .entry(row.path)
                    .or_default()
                    .extend(at.map(|at| Filed {
                        receipt: row.receipt,
                        collection: row.collection.clone(),
                        key: row.key,
                        destination: row.destination,
                        at,
                    }));
            }
        }
        Ok(Archives {
            in_place: journal.in_place(name)?,
            filed,
        })
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
        archives: &Archives,
        now: &Now,
        (wanted, seen): (Wanted, Arc<AtomicU64>),
    ) -> Result<Planned, RunError> {
        let (ledger, files) = (held.for_planning(), held.files());
        let matcher = || Matcher::new(&self.policy, now).with_ledger(&ledger, now);
        let options = ScanOptions {
            boundaries: self.store.boundaries.clone(),
            seen,
            ..ScanOptions::default()
        };
        let begun = std::time::Instant::now();
        let index = match wanted {
            Wanted::Everything | Wanted::Counted { .. } => None,
            Wanted::Decisive => Index::of(self, &identity, held),
        };
        let looked: Result<_, Unreadable> = gently(self.store.io, || match &wanted {
            Wanted::Everything => {
                let matcher = matcher();
                let visit = |dir: &RelPath| matcher.visit(dir);
                Ok((scan(&root, &visit, options), Passed::default()))
            }
            Wanted::Decisive | Wanted::Counted { .. } => {
                let (files, named) = (files.clone(), archives.names());
                let sieve = Sieve::new(matcher(), files, self.store.symlinks, named);
                let spool = Spool::in_directory(self.config.state.clone());
                let mut sieve = sieve.spooling(Arc::new(spool));
                if let Some(index) = &index {
                    sieve = sieve.knowing(index.read());
                }
                if let Wanted::Counted { by } = &wanted {
                    sieve = sieve.counting(by.as_deref());
                }
                let visit = |dir: &RelPath| sieve.visit(dir);
                let (mut inventory, parts) = scan_sifted(&root, &visit, &sieve, options);
                let mut passed = Passed::all(parts);
                inventory.add(sieve.bring_back(&mut passed)?);
                Ok((inventory, passed))
            }
        });
        // A budget that knows some of its files only would take others in their stead.
        let looked = looked.map_err(|error| RunError::System(error.to_string()));
        let (mut inventory, mut passed) = looked?;
        let scanned = begun.elapsed();
        inventory.aliases = aliases(&archives.in_place, &inventory);
        inventory.filed.clone_from(&archives.filed);
        let found = inventory.entries.len() as u64 + passed.names;
        let index = index.map(|index| (index, passed.take_learned()));
        let census = passed.take_census();
        let ask = self.ask(&root, &inventory, &ledger, &files, identity, now);
        let ask = Ask { passed, ..ask };
        let mut plan = plan(&self.policy, &inventory, ask);
        keep_held(&mut plan, held);
        for hook in &mut plan.hooks {
            (hook.proof, hook.configured) = self.configured(hook);
        }
        let no_smaller = no_smaller::leave(&mut plan, &self.store.path.path);
        if !plan.pressures.is_empty() && self.store.grace.is_some() {
            plan.notices.push(Notice {
                path: None,
                message: "what pressure takes goes at once, without grace, and the trash is emptied before it".to_owned(),
            });
        }
        // First, because long lists of notes are cut.
        let near = self.near(&plan, &root);
        plan.notices.splice(0..0, near);
        Ok(Planned {
            plan,
            root,
            inventory,
            found,
            held: held.clone(),
            no_smaller,
            scanned,
            index,
            census,
        })
    }

    /// Digests of what a plan is made under besides the policy and its hooks. Their
    /// values, not their text: a comment in the configuration changes no plan.
    fn basis(&self) -> BTreeMap<String, String> {
        let Store {
            path,
            grace,
            writers,
            symlinks,
            ..
        } = self.store;
        let values = format!("{:?} {grace:?} {writers:?} {symlinks:?}", path.path);
        let digest = blake3::hash(values.as_bytes()).to_hex().to_string();
        let name = format!(
            "path, grace, exclusive or symlinks of store `{}`",
            self.store.name
        );
        let mut basis = BTreeMap::from([(name, digest)]);
        if let Some(request) = &self.request {
            // Whole, so that a plan that waits for a person can be made again.
            let text = serde_json::to_string(request).unwrap_or_default();
            basis.insert(REQUEST.to_owned(), text);
        }
        basis
    }

    /// What a plan has to know besides the policy and the files.
    fn ask(
        &self,
        root: &Root,
        inventory: &Inventory,
        ledger: &[Policy],
        files: &Arc<HashMap<RelPath, String>>,
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
            held: files.clone(),
            symlinks: self.store.symlinks,
            notices: notices(inventory),
            passed: Passed::default(),
        }
    }

    /// What is decided at some moment about one path of a store that was looked at.
    pub fn decide(&self, planned: &Planned, path: &RelPath, now: &Now) -> Option<Decision> {
        let Planned {
            root, inventory, ..
        } = planned;
        let identity = planned.plan.root.clone();
        let held = planned.held.at(now);
        let (ledger, files) = (held.for_planning(), held.files());
        let ask = self.ask(root, inventory, &ledger, &files, identity, now);
        let paths = std::slice::from_ref(path);
        let (_, decisions) = plan_explained(&self.policy, &planned.inventory, ask, paths);
        decisions.into_iter().next()
    }

    /// Takes the store, settles what a crash left, and decides: what `apply` begins
    /// with.
    pub fn take(
        &self,
        now: &Now,
        wanted: Wanted,
        seen: Arc<AtomicU64>,
    ) -> Result<Taken<'_>, RunError> {
        let seized = self.seize(now)?;
        let identity = seized.identity.clone();
        let archives = self.archives(&seized.journal)?;
        let planned = self.plan_in(
            seized.root,
            identity.clone(),
            &seized.held,
            &archives,
            now,
            (wanted, seen),
        )?;
        if let Some((index, learned)) = &planned.index {
            index.write(learned);
        }
        Ok(Taken {
            job: self,
            found: Some(planned.found),
            emptied_accepted: false,
            planned,
            saved: None,
            refused: Vec::new(),
            identity,
            journal: seized.journal,
            recovered: seized.recovered,
            held: seized.held,
            mirrored: seized.mirrored,
            clocks: seized.clocks,
            _locks: seized.locks,
        })
    }

    /// Takes the store for a plan that was made before, and holds that against a fresh
    /// one for the same moment: what both have is carried out.
    pub fn take_for(
        &self,
        plan: Plan,
        now: &Now,
        seen: Arc<AtomicU64>,
    ) -> Result<Taken<'_>, RunError> {
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
        let archives = self.archives(&seized.journal)?;
        let root = identity.clone();
        // Without the index: what a person saw is held against what is there.
        let wanted = (Wanted::Counted { by: None }, seen);
        let held = &seized.held;
        let mut planned = self.plan_in(seized.root, root, held, &archives, &plan.now, wanted)?;
        let agreed = saved::agree(&plan, &planned, &seized.held)?;
        planned.plan = agreed.plan;
        Ok(Taken {
            job: self,
            found: Some(planned.found),
            emptied_accepted: false,
            planned,
            saved: Some(plan),
            refused: agreed.refused,
            identity,
            journal: seized.journal,
            recovered: seized.recovered,
            held: seized.held,
            mirrored: seized.mirrored,
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
        let Mirrored { holds, written } =
            mirror_holds(&mut journal, &root, name, Some(&said), now)?;
        let held = Held::of(protecting(&holds, now), now);
        let at = now.timestamp().to_string();
        let recovered = recover(&mut journal, &root, &identity, &at)?;
        let clocks = Clocks::at(now);
        match recovered.undecided.first() {
            None => Ok(Seized {
                root,
                identity,
                journal,
                held,
                mirrored: written,
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
    /// What was found in it, as far as it was asked for.
    pub inventory: Inventory,
    /// How many names were found in it that are no directories.
    pub found: u64,
    /// The holds of the ledger it was made under.
    pub held: Held,
    /// Steps that were left out of it: their archives are known to be no smaller.
    pub no_smaller: Vec<Step>,
    /// How long it took to look through the store.
    pub scanned: std::time::Duration,
    /// What the next run is to know of the store, and where it is kept.
    index: Option<(Index, Learned)>,
    /// What the store holds, where that was to be counted.
    pub census: Census,
}

/// Which files of a store are to be known when it has been planned for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    Everything,
    /// Those about which others decide as well: the rest is counted, or already a step.
    Decisive,
    /// The same, and all are counted: every one is looked at.
    Counted {
        /// Also by the values of captures with these names; with none of them there is one
        /// group of all.
        by: Option<Vec<String>>,
    },
}

/// The archives of a store's files: those in their places, and those elsewhere.
#[derive(Debug, Default)]
struct Archives {
    in_place: Vec<Receipt>,
    filed: BTreeMap<String, Vec<Filed>>,
}

impl Archives {
    /// Names that are asked for by themselves: of files with archives, and of archives in
    /// files' places.
    fn names(&self) -> HashSet<RelPath> {
        let in_place = self.in_place.iter().flat_map(|receipt| {
            let objects = receipt.objects.iter();
            let objects = objects.filter_map(|object| RelPath::parse(&object.name).ok());
            objects.chain(RelPath::unescape(&receipt.path))
        });
        let filed = self.filed.keys();
        let filed = filed.filter_map(|path| RelPath::unescape(path));
        in_place.chain(filed).collect()
    }
}

/// A store with everything a run needs of it.
struct Seized {
    root: Root,
    identity: String,
    journal: Journal,
    held: Held,
    mirrored: bool,
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
    /// The plan a person saved, of which that is the part the policy agrees to.
    saved: Option<Plan>,
    /// Its steps that are not carried out.
    refused: Vec<(Step, Outcome)>,
    /// How many files a scan just found.
    found: Option<u64>,
    /// Whether a person has said that it is right to find none.
    emptied_accepted: bool,
    identity: String,
    journal: Journal,
    /// What an earlier run had left.
    pub recovered: Recovered,
    held: Held,
    /// Whether the store's mirror has the same holds; a full disk may not let it.
    mirrored: bool,
    clocks: Clocks,
    _locks: (Lock, StoreLock),
}

impl Taken<'_> {
    /// The plan a person knows by its digest.
    fn stated(&self) -> &Plan {
        self.saved.as_ref().unwrap_or(&self.planned.plan)
    }

    /// Steps of a saved plan that are not carried out, and what they end as.
    pub fn refused(&self) -> &[(Step, Outcome)] {
        &self.refused
    }
}

/// Whether a latch holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// It does.
    Holds,
    /// A person has seen this very plan and released it.
    Released,
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

/// Takes out of a plan what the ledger holds and planning was not told: a hold nobody can
/// read keeps everything. A plan may only shrink here.
fn keep_held(plan: &mut Plan, held: &Held) {
    let holds = held.asked();
    // Planning was told of most holds, so that mostly nothing is left to be taken out.
    if holds.are_none()
        || !plan
            .steps
            .iter()
            .any(|step| holds.keeps_step(&step).is_some())
    {
        return;
    }
    // A directory of which one file is held stays with all of them.
    let whole: BTreeMap<usize, &str> = plan
        .steps
        .iter()
        .filter_map(|step| Some((step.ruling.unit?, holds.keeps_step(&step)?)))
        .collect();
    let (totals, notices) = (&mut plan.totals, &mut plan.notices);
    plan.steps = plan.steps.edited(|step| {
        let with_unit = step.ruling.unit.and_then(|unit| whole.get(&unit).copied());
        let Some(hold) = holds.keeps_step(&step).or(with_unit) else {
            return Some(step);
        };
        // A hold is no reason not to have a copy.
        if step.action == Action::BackUp {
            return Some(step);
        }
        totals.protected.add(&step.facts);
        notices.push(Notice {
            path: Some(step.path.clone()),
            message: format!("kept by the hold `{hold}`"),
        });
        None
    });
    totals.recount(&plan.steps);
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
