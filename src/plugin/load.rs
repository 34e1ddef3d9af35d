//! Components read, checked against pin, manifest and grants, and made ready to run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::{Map, Value};
use sha2::Digest;

use super::archive::Craft;
use super::builtin::{Builtin, builtin, builtins};
use super::cache::Code;
use super::contract::ArchivePluginPre;
use super::engine::Machine;
use super::filter::Command;
use super::guest::{Guest, RunFacts, Terms};
use super::manifest::{FILTER, Kind, Manifest, granted};
use super::meter::Meter;
use super::review::Form;
use super::{CodeCache, PluginError, schema};
use crate::config::{Config, Grants, Held, Plugin as Configured, Wasm};
use crate::receipt::{PluginVersion, Proof, Receipt};

/// The largest component that is compiled.
const LARGEST: u64 = 64 << 20;

/// Time a call gets on top of its limit for each GiB of its file.
const PER_GIB: Duration = Duration::from_secs(60);

/// Reads the component of every plugin that is a file, once: whoever runs for long goes on
/// with what was checked when somebody changes the file. What cannot be read is left to
/// whoever loads it.
pub fn hold(config: &mut Config) {
    for plugin in config.plugins.values_mut() {
        if let Wasm::File(place) = &plugin.wasm {
            plugin.held = read(&plugin.name, &place.path).ok().map(Held::new);
        }
    }
}

/// A plugin that may be used; it is compiled when it first has to run.
pub struct Plugin {
    name: Arc<str>,
    origin: String,
    manifest: Manifest,
    digest: blake3::Hash,
    wasm: Vec<u8>,
    settings: Map<String, Value>,
    proof: Proof,
    grants: Grants,
    cache: Option<CodeCache>,
    prepared: OnceLock<Prepared>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} ({})",
            self.name, self.manifest.version, self.origin
        )
    }
}

/// A compiled plugin with its imports resolved.
#[derive(Clone)]
pub(super) enum Prepared {
    Reviewer(Form),
    Archiver(ArchivePluginPre<Guest>),
    Filter(Command),
}

impl Prepared {
    /// How it stores and restores, where it does.
    pub(super) fn craft(&self) -> Option<Craft<'_>> {
        match self {
            Prepared::Reviewer(_) => None,
            Prepared::Archiver(prepared) => Some(Craft::Plugin(prepared)),
            Prepared::Filter(prepared) => Some(Craft::Filter(prepared)),
        }
    }
}

impl Plugin {
    /// Reads a configured plugin and checks all that can be checked without
    /// compiling it.
    pub fn load(configured: &Configured, cache: Option<&CodeCache>) -> Result<Plugin, PluginError> {
        let plugin = &configured.name;
        let (wasm, origin) = match &configured.wasm {
            Wasm::Builtin(wanted) => (builtin(plugin, wanted)?, format!("builtin:{wanted}")),
            Wasm::File(place) => {
                let wasm = match &configured.held {
                    Some(held) => held.bytes().to_vec(),
                    None => read(plugin, &place.path)?,
                };
                (wasm, place.path.display().to_string())
            }
        };
        if let Some(pinned) = &configured.sha256 {
            let actual = hexadecimal(&sha2::Sha256::digest(&wasm));
            if *pinned != actual {
                return Err(PluginError::Pin {
                    plugin: plugin.clone(),
                    pinned: pinned.clone(),
                    actual,
                });
            }
        }
        let grants = &configured.grants;
        if let Some(filter) = &configured.filter {
            let loaded = Plugin::filter(plugin, origin, wasm, grants, cache)?;
            return Ok(Plugin {
                settings: super::filter::settings(filter),
                proof: configured.proof,
                ..loaded
            });
        }
        let loaded = Plugin::from_bytes(plugin, origin, wasm, grants, cache)?;
        loaded.check_grants()?;
        let settings = schema::settle(&loaded.manifest.settings, &configured.settings);
        let settings = settings.map_err(|objections| PluginError::Settings {
            plugin: plugin.clone(),
            objections,
        })?;
        Ok(Plugin {
            settings,
            proof: configured.proof,
            ..loaded
        })
    }

    pub(super) fn from_bytes(
        name: &str,
        origin: String,
        wasm: Vec<u8>,
        grants: &Grants,
        cache: Option<&CodeCache>,
    ) -> Result<Plugin, PluginError> {
        let manifest = Manifest::read(&wasm).map_err(|source| PluginError::Manifest {
            plugin: name.to_owned(),
            source,
        })?;
        Ok(Plugin {
            name: name.into(),
            origin,
            manifest,
            digest: blake3::hash(&wasm),
            wasm,
            settings: Map::new(),
            proof: Proof::Restore,
            grants: grants.clone(),
            cache: cache.cloned(),
            prepared: OnceLock::new(),
        })
    }

    /// A command that reads stdin and writes stdout, and says nothing of itself.
    pub(super) fn filter(
        name: &str,
        origin: String,
        wasm: Vec<u8>,
        grants: &Grants,
        cache: Option<&CodeCache>,
    ) -> Result<Plugin, PluginError> {
        let manifest =
            Manifest::of_filter(name, &wasm).map_err(|source| PluginError::Manifest {
                plugin: name.to_owned(),
                source,
            })?;
        Ok(Plugin {
            name: name.into(),
            origin,
            manifest,
            digest: blake3::hash(&wasm),
            wasm,
            settings: Map::new(),
            proof: Proof::Restore,
            grants: grants.clone(),
            cache: cache.cloned(),
            prepared: OnceLock::new(),
        })
    }

    fn check_grants(&self) -> Result<(), PluginError> {
        let asks = &self.manifest.asks;
        match asks.covered_by(&self.grants) {
            true => Ok(()),
            false => Err(PluginError::NotGranted {
                plugin: self.name.to_string(),
                asks: asks.to_string(),
                grants: granted(&self.grants),
            }),
        }
    }

    /// The settings it runs with: the configuration's, with a policy's arguments laid
    /// over them key by key, or all that is wrong with that.
    pub fn settings_with(
        &self,
        arguments: &Map<String, Value>,
    ) -> Result<Map<String, Value>, PluginError> {
        let schema = &self.manifest.settings;
        let object = |objections| PluginError::Settings {
            plugin: self.name.to_string(),
            objections,
        };
        let arguments = schema::settle(schema, arguments).map_err(object)?;
        let mut settings = self.settings.clone();
        settings.extend(arguments);
        let mut objections = schema::missing(schema, &settings);
        objections.extend(schema::too_large(schema, &settings, self.grants.memory));
        match objections.is_empty() {
            true => Ok(settings),
            false => Err(object(objections)),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What a receipt records of it.
    pub fn version(&self) -> PluginVersion {
        PluginVersion {
            name: self.name.to_string(),
            wasm: self.origin.clone(),
            version: super::trouble::harmless(&self.manifest.version),
            digest: self.digest.to_hex().to_string(),
        }
    }

    /// Why its archives cannot take their files' places, and what to do about it.
    pub fn unfit_to_replace(&self) -> Option<(String, String)> {
        let suffix = self.suffix();
        let (name, kind) = (&self.name, self.manifest.kind);
        if kind == Kind::Reviewer {
            let problem = format!("plugin `{name}` is a reviewer and stores nothing");
            return Some((problem, "name one that archives".to_owned()));
        }
        if suffix.is_empty() || suffix.contains(['/', '\0']) {
            return Some((
                format!(
                    "archives of plugin `{name}` cannot stand in a file's place: it states no suffix for their names"
                ),
                "use one that does, as `builtin:compress`".to_owned(),
            ));
        }
        (!self.grants.in_place).then(|| {
            (
                format!("plugin `{name}` is not granted its files' places"),
                format!("write `grants = {{ in_place = true }}` under `[plugins.{name}]`"),
            )
        })
    }

    /// What an archive that takes its file's place appends to its name; empty where
    /// none can.
    pub fn suffix(&self) -> String {
        match self.manifest.is_filter() {
            true => super::filter::suffix(&Value::from(self.settings.clone()).to_string()),
            false => self.manifest.suffix.clone(),
        }
    }

    /// SHA-256 of the component, as a pin has it.
    pub fn sha256(&self) -> String {
        hexadecimal(&sha2::Sha256::digest(&self.wasm))
    }

    /// How its archives are proved.
    pub fn proof(&self) -> Proof {
        self.proof
    }

    /// What it was granted.
    pub fn grants(&self) -> &Grants {
        &self.grants
    }

    /// What an instance for files of so many bytes is made with.
    pub(super) fn terms(&self, settings: Arc<str>, run: &RunFacts, bytes: u64) -> Terms {
        let gibibytes = u32::try_from(bytes >> 30).unwrap_or(u32::MAX);
        let wall = Duration::from_secs(self.grants.wall_seconds);
        Terms {
            plugin: Arc::clone(&self.name),
            settings,
            run: run.clone(),
            file: "".into(),
            memory: usize::try_from(self.grants.memory.0).unwrap_or(usize::MAX),
            wall: wall.saturating_add(PER_GIB.saturating_mul(gibibytes)),
            meter: self.meter(run),
        }
    }

    /// Where a run counts what it does.
    pub(super) fn meter(&self, run: &RunFacts) -> Arc<Meter> {
        run.meters.of(&self.name, self.manifest.kind)
    }

    /// Compiles it, or takes what an earlier run compiled.
    pub(super) fn prepare(&self, machine: &Machine) -> Result<Prepared, PluginError> {
        if let Some(prepared) = self.prepared.get() {
            return Ok(prepared.clone());
        }
        let prepared = self.compile(machine).map_err(|error| PluginError::Load {
            plugin: self.name.to_string(),
            reason: super::trouble::harmless(&format!("{error:#}")),
        })?;
        Ok(self.prepared.get_or_init(|| prepared).clone())
    }

    fn compile(&self, machine: &Machine) -> wasmtime::Result<Prepared> {
        let engine = &machine.engine;
        let code = match &self.cache {
            Some(cache) => cache.code(engine, &self.wasm)?,
            None => super::cache::uncached(engine, &self.wasm)?,
        };
        if self.manifest.is_filter() {
            return Command::of(machine, &code).map(Prepared::Filter);
        }
        let Code::Component(component) = code else {
            wasmtime::bail!("it is a core module; build it for wasm32-wasip2");
        };
        Ok(match self.manifest.kind {
            Kind::Reviewer => Prepared::Reviewer(Form::of(machine, &component)?),
            Kind::Archiver => Prepared::Archiver(ArchivePluginPre::new(
                machine.archivers.instantiate_pre(&component)?,
            )?),
        })
    }
}

/// The plugins a configuration names, and those earlier archives were written by.
#[derive(Debug)]
pub struct Catalogue {
    plugins: BTreeMap<String, Result<Arc<Plugin>, Arc<PluginError>>>,
    kept: PathBuf,
    /// Where stores are today, by name.
    roots: BTreeMap<String, PathBuf>,
    cache: Option<CodeCache>,
    /// What restores, whatever a receipt says.
    instead: Option<Arc<Plugin>>,
}

impl Catalogue {
    /// Loads the named plugins; one that does not load is remembered as such, and
    /// blocks only those who need it.
    pub fn load<'n>(config: &Config, names: impl IntoIterator<Item = &'n str>) -> Catalogue {
        let cache = CodeCache::open(&config.state)
            .inspect_err(|error| tracing::debug!(%error, "no cache for compiled plugins"))
            .ok();
        let mut plugins = BTreeMap::new();
        for name in names {
            if let Some(configured) = config.plugins.get(name) {
                let loaded = Plugin::load(configured, cache.as_ref());
                plugins.insert(name.to_owned(), loaded.map(Arc::new).map_err(Arc::new));
            }
        }
        Catalogue {
            plugins,
            kept: config.state.join("plugins"),
            roots: config
                .stores
                .iter()
                .map(|(name, store)| (name.clone(), store.path.path.clone()))
                .collect(),
            cache,
            instead: None,
        }
    }

    /// A plugin by its name in the configuration; nothing when it names none.
    pub fn plugin(&self, name: &str) -> Option<&Result<Arc<Plugin>, Arc<PluginError>>> {
        self.plugins.get(name)
    }

    /// Keeps a copy of an archiver beside the journal, so that what it stores can be
    /// restored after the configured one has changed.
    pub(super) fn keep(&self, plugin: &Plugin) -> std::io::Result<()> {
        let place = self.place(&plugin.digest.to_hex());
        if fs::read(&place).is_ok_and(|kept| blake3::hash(&kept) == plugin.digest) {
            return Ok(());
        }
        crate::store::make_private_directory(&self.kept)?;
        let draft = place.with_extension(format!("{}.part", std::process::id()));
        let mut file = fs::File::create(&draft)?;
        std::io::Write::write_all(&mut file, &plugin.wasm)?;
        file.sync_all()?;
        fs::rename(&draft, &place)?;
        fs::File::open(&self.kept)?.sync_all()
    }

    /// Lets one plugin restore whatever another has archived, named by the beginning of
    /// its digest, SHA-256 or BLAKE3; it is looked for among those that are configured,
    /// kept or part of this program.
    pub fn restore_with(&mut self, digest: &str) -> Result<(), PluginError> {
        let kept = fs::read_dir(&self.kept).into_iter().flatten().flatten();
        let kept = kept.filter_map(|file| Some((None, fs::read(file.path()).ok()?)));
        let builtins = builtins().iter().map(|builtin| (None, builtin.wasm()));
        let configured = self.plugins.values().flatten();
        let configured = configured.map(|plugin| (Some(Arc::clone(plugin)), plugin.wasm.clone()));
        let mut found = BTreeMap::new();
        for (plugin, wasm) in configured.chain(kept).chain(builtins) {
            let blake3 = blake3::hash(&wasm).to_hex();
            let sha256 = hexadecimal(&sha2::Sha256::digest(&wasm));
            if !digest.is_empty() && (blake3.starts_with(digest) || sha256.starts_with(digest)) {
                found.entry(sha256).or_insert((plugin, wasm));
            }
        }
        let unknown = |reason: &str| PluginError::Load {
            plugin: digest.to_owned(),
            reason: reason.to_owned(),
        };
        let (plugin, wasm) = match (found.pop_first(), found.is_empty()) {
            (Some((_, found)), true) => found,
            (Some(_), false) => return Err(unknown("several begin like this; write more of it")),
            (None, _) => {
                return Err(unknown(
                    "no plugin that is configured, kept or part of this program has that digest",
                ));
            }
        };
        self.instead = Some(match plugin {
            Some(plugin) => plugin,
            None => {
                let grants = Grants::default();
                let origin = digest.to_owned();
                let cache = self.cache.as_ref();
                Arc::new(Plugin::from_bytes(digest, origin, wasm, &grants, cache)?)
            }
        });
        Ok(())
    }

    /// The very version a receipt names.
    pub(super) fn version(&self, version: &PluginVersion) -> Option<Arc<Plugin>> {
        if let Some(instead) = &self.instead {
            return Some(Arc::clone(instead));
        }
        let mut configured = self.plugins.values().flatten();
        if let Some(plugin) =
            configured.find(|plugin| plugin.digest.to_hex().as_str() == version.digest)
        {
            return Some(Arc::clone(plugin));
        }
        let kept = fs::read(self.place(&version.digest)).ok();
        let builtin = || {
            let mut all = builtins().iter().map(Builtin::wasm);
            all.find(|wasm| blake3::hash(wasm).to_hex().as_str() == version.digest)
        };
        let wasm = kept
            .filter(|wasm| blake3::hash(wasm).to_hex().as_str() == version.digest)
            .or_else(builtin)?;
        let grants = Grants::default();
        let origin = version.wasm.clone();
        let load = match version.version.as_str() {
            FILTER => Plugin::filter,
            _ => Plugin::from_bytes,
        };
        load(&version.name, origin, wasm, &grants, self.cache.as_ref())
            .ok()
            .map(Arc::new)
    }

    /// Where copies of archivers are kept, each under its BLAKE3.
    pub(super) fn kept(&self) -> &Path {
        &self.kept
    }

    /// Where the objects of an archive lie. One in its file's place has moved with its
    /// store, wherever that was when the receipt was written.
    pub(super) fn objects_at(&self, receipt: &Receipt) -> String {
        let root = self.roots.get(&receipt.store);
        match root.filter(|_| receipt.in_place) {
            Some(root) => crate::url::write(root),
            None => receipt.destination.url.clone(),
        }
    }

    fn place(&self, digest: &str) -> PathBuf {
        self.kept.join(format!("{digest}.wasm"))
    }
}

pub(super) fn read(plugin: &str, path: &Path) -> Result<Vec<u8>, PluginError> {
    let unreadable = |source| PluginError::Unreadable {
        plugin: plugin.to_owned(),
        path: path.to_owned(),
        source,
    };
    let mut wasm = Vec::new();
    let file = crate::store::open_given(path).map_err(unreadable)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut wasm)
        .map_err(unreadable)?;
    match wasm.len() as u64 {
        size if size > LARGEST => Err(PluginError::TooLarge {
            plugin: plugin.to_owned(),
            size,
            limit: LARGEST,
        }),
        _ => Ok(wasm),
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
