//! One run from start to finish, for whoever starts it: a person, cron, the service.
//!
//! ```text
//! prepare: lock? · root check · scan · plan          changes nothing
//! apply:   lock · recover · begin · batches · finish
//! ```
//! Each batch is archived and proved, recorded, removed and settled before the next,
//! so a full disk gets room before every archive is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::apply::{Hand, Recovered, recover};
use crate::config::{Config, MissingRoot, Store};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::entry::Entry;
use crate::journal::{Journal, JournalError, Outcome, RunId, Start, State, Tallies};
use crate::plan::{Ask, Notice, Plan, plan};
use crate::plugin::{Catalogue, Hooks, RunFacts};
use crate::policy::{self, Checked, Matcher, Policy};
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
    /// A saved plan does not fit.
    #[error("this plan cannot be applied: {0}")]
    Plan(String),
    /// The breaker refuses.
    #[error("the breaker refuses this plan")]
    Tripped,
    /// Something the system refused.
    #[error("{0}")]
    System(String),
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
        environment: policy::Environment<'_>,
    ) -> Result<Job<'c>, Diagnostics> {
        let source = read_policy(&store.policy.path, &config.file)
            .map_err(|reason| Diagnostics(vec![policy_missing(config, store, &reason)]))?;
        let Checked { policy, warnings } = policy::load(&source, environment)?;
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

    /// Warnings about destinations on the store's own file system: what breaks that
    /// breaks file and archive alike, and a copy that shares its blocks is no second one.
    pub fn too_near(&self) -> Vec<Diagnostic> {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| std::fs::metadata(path).ok().map(|found| found.dev());
        let Some(own) = device(&self.store.path.path) else {
            return Vec::new();
        };
        let source = self.policy.source();
        let near = self.policy.hooks().filter_map(|hook| {
            let (name, at) = hook.destination.as_ref()?;
            let directory = &self.config.destinations.get(name)?.directory.path;
            // One that is not made yet will lie where its parent does.
            let its = device(directory).or_else(|| device(directory.parent()?))?;
            let message = format!("`{name}` lies on the same file system as the files it keeps");
            let finding = Diagnostic::warning("R0506", source, at.clone(), message);
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
        let root = self.open()?;
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
        let ask = Ask {
            store: self.store.name.clone(),
            root: identity,
            now: now.clone(),
            notices: notices(&inventory),
        };
        Planned {
            plan: plan(&self.policy, &inventory.entries, ask),
            root,
            entries: inventory.entries,
        }
    }

    /// Takes the store, settles what a crash left, and decides: what `apply` begins
    /// with.
    pub fn take(&self, now: &Now, seen: Arc<AtomicU64>) -> Result<Taken<'_>, RunError> {
        let (root, lock, mut journal) = self.seize()?;
        let recovered = recover(
            &mut journal,
            &root,
            &self.store.name,
            &now.timestamp().to_string(),
        )?;
        let identity = root.establish_identity()?;
        let planned = self.plan_in(root, identity, now, seen);
        Ok(Taken {
            job: self,
            planned,
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
        let (root, lock, mut journal) = self.seize()?;
        let recovered = recover(
            &mut journal,
            &root,
            &self.store.name,
            &now.timestamp().to_string(),
        )?;
        let identity = root.establish_identity()?;
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
                entries: Vec::new(),
            },
            journal,
            recovered,
            _lock: lock,
        })
    }

    fn seize(&self) -> Result<(Root, Lock, Journal), RunError> {
        let root = self.open()?;
        let identity = root.identity()?;
        self.check_known(identity.as_deref())?;
        let lock = root.lock()?;
        let journal = Journal::open(&self.config.state)?;
        Ok((root, lock, journal))
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
        let known = match Journal::open_existing(&self.config.state)? {
            Some(journal) => journal.known_root(&self.store.name)?,
            None => None,
        };
        let reason = match (known.as_deref(), identity) {
            (None, _) => return Ok(()),
            (Some(known), Some(found)) if known == found => return Ok(()),
            (Some(_), None) => "its `.retain/id` is missing; is the volume mounted?",
            (Some(_), Some(_)) => "its `.retain/id` is another one",
        };
        Err(RunError::Root {
            store: self.store.name.clone(),
            root: self.store.path.path.clone(),
            reason: reason.to_owned(),
        })
    }
}

/// A plan with what it was made from.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The store, open.
    pub root: Root,
    /// What was found in it.
    pub entries: Vec<Entry>,
}

/// A store that is ours until this is dropped.
#[derive(Debug)]
pub struct Taken<'j> {
    job: &'j Job<'j>,
    /// What would be done.
    pub planned: Planned,
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
        let id = RunId::new(now).map_err(|error| RunError::System(error.to_string()))?;
        let root = &self.planned.root;
        self.journal.begin(&Start {
            id: &id,
            plan,
            root_path: root.path(),
            at: now.timestamp().to_string(),
        })?;
        let trash = root.establish_trash(id.as_str())?;
        let catalogue = Catalogue::load(self.job.config, self.job.plugins());
        let facts = RunFacts {
            id: id.to_string(),
            now: now.clone(),
        };
        let hooks = Hooks::ready(plan, root, &catalogue, &self.job.config.destinations, facts);
        let hand = Hand {
            plan,
            root,
            trash: &trash,
            run: &id,
        };
        let mut done = Done {
            id: id.clone(),
            tallies: Tallies::default(),
            receipts: 0,
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
        let ended = Now::from_clock().timestamp().to_string();
        self.journal.finish(&id, &ended, State::Completed)?;
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
        self.receipts += approved.receipts().len() as u64;
        for (step, outcome) in outcomes {
            self.tallies.add(&outcome);
            let gone = outcome.class() == crate::journal::Class::Removed;
            if let (false, Some(step)) = (gone, plan.steps.get(step)) {
                self.kept.push((step.path.clone(), outcome));
            }
        }
    }
}

/// The policy's text, named as people call it: relative to the configuration.
fn read_policy(path: &Path, configuration: &Path) -> Result<Source, String> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => crate::store::in_words(&error),
    })?;
    let directory = configuration.parent().unwrap_or(Path::new("/"));
    let name = path.strip_prefix(directory).unwrap_or(path);
    Ok(Source::new(name.display().to_string(), text))
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
    let source = policy.source();
    let mut findings = Vec::new();
    for hook in policy.hooks() {
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
    source: &Source,
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
