//! Configuration and policies as one thing that is swapped whole.
//!
//! What runs is what was read together and found right together: a policy that is
//! edited into nonsense changes nothing until it is mended.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{Config, Environment, Place, Plugin, Wasm, read_policy};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::policy::Policy;
use crate::run::Job;

/// Where a configuration comes from, however often it is read.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file.
    pub file: PathBuf,
    /// The variables it may ask for.
    pub environment: Environment,
}

/// A configuration and the policies of all its stores, without mistakes.
#[derive(Debug)]
pub struct Loaded {
    /// Where it was read.
    pub origin: Origin,
    /// The configuration.
    pub config: Config,
    policies: BTreeMap<String, (Policy, Diagnostics)>,
    /// Digest of every file it depends on.
    pub(super) fingerprint: blake3::Hash,
}

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has mistakes")]
pub struct LoadError(pub Diagnostics);

impl Loaded {
    /// Reads and checks everything; all mistakes are reported at once.
    pub fn read(origin: Origin) -> Result<Loaded, LoadError> {
        let mut config = Config::load(&origin.file, &origin.environment).map_err(LoadError)?;
        crate::plugin::hold(&mut config);
        let mut policies = BTreeMap::new();
        let mut mistakes = Vec::new();
        for store in config.stores.values() {
            match Job::load(&config, store, &origin.environment) {
                Ok(job) => {
                    policies.insert(store.name.clone(), (job.policy, job.warnings));
                }
                Err(Diagnostics(found)) => mistakes.extend(found),
            }
        }
        if !mistakes.is_empty() {
            return Err(LoadError(Diagnostics(mistakes)));
        }
        // Of the bytes that were checked: a component that is changed meanwhile is
        // another one at the next look.
        let fingerprint = fingerprint(&config, &policies, |plugin, _| {
            plugin.held.as_ref().map(|held| blake3::hash(held.bytes()))
        });
        Ok(Loaded {
            origin,
            config,
            policies,
            fingerprint,
        })
    }

    /// The digest of the files as they are now; what cannot be read counts as that.
    pub(super) fn fingerprint_now(&self) -> blake3::Hash {
        fingerprint(&self.config, &self.policies, |_, place| {
            std::fs::read(&place.path)
                .ok()
                .map(|wasm| blake3::hash(&wasm))
        })
    }

    /// A store's job, as it was checked.
    pub(super) fn job(&self, store: &str) -> Option<Job<'_>> {
        let (policy, warnings) = self.policies.get(store)?;
        let store = self.config.stores.get(store)?;
        Some(Job::checked(
            &self.config,
            store,
            policy.clone(),
            warnings.clone(),
        ))
    }

    /// A store's policy.
    pub(super) fn policy(&self, store: &str) -> Option<&Policy> {
        self.policies.get(store).map(|(policy, _)| policy)
    }

    /// What somebody should look at.
    pub fn warnings(&self) -> impl Iterator<Item = &Diagnostic> {
        let of_policies = self.policies.values().flat_map(|(_, warnings)| &warnings.0);
        self.config.warnings.iter().chain(of_policies)
    }

    /// Every directory that runs write into.
    pub fn places(&self) -> Vec<PathBuf> {
        let stores = self.config.stores.values().map(|s| s.path.path.clone());
        let destinations = self.config.destinations.values();
        let destinations = destinations.map(|d| d.directory.path.clone());
        let state = std::iter::once(self.config.state.clone());
        stores.chain(destinations).chain(state).collect()
    }
}

/// The most bytes of a file that is looked at for a change: what a plugin may have.
const LARGEST: u64 = 64 << 20;

fn fingerprint(
    config: &Config,
    policies: &BTreeMap<String, (Policy, Diagnostics)>,
    component: impl Fn(&Plugin, &Place) -> Option<blake3::Hash>,
) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    let mut add = |path: &Path| {
        hasher.update(path.as_os_str().as_encoded_bytes());
        match crate::store::read_given(path, LARGEST) {
            Ok(bytes) => hasher.update(blake3::hash(&bytes).as_bytes()),
            Err(error) => hasher.update(format!("{:?}", error.kind()).as_bytes()),
        };
    };
    add(&config.file);
    for store in config.stores.values() {
        add(&store.policy.path);
    }
    for plugin in config.plugins.values() {
        if let Wasm::File(place) = &plugin.wasm {
            hasher.update(place.path.as_os_str().as_encoded_bytes());
            match component(plugin, place) {
                Some(digest) => hasher.update(digest.as_bytes()),
                None => hasher.update(b"unreadable"),
            };
        }
    }
    // What policies use is named relative to them.
    let directory = config.directory();
    for (policy, _) in policies.values() {
        for source in policy.sources() {
            let path = directory.join(source.name());
            match read_policy(&path, directory) {
                Ok(source) => hasher.update(source.text().as_bytes()),
                Err(reason) => hasher.update(reason.as_bytes()),
            };
        }
    }
    hasher.finalize()
}
