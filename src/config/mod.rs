//! `retain.toml` and the environment, turned into a checked [`Config`].
//!
//! Policy says what may go; configuration says where, when and with which
//! authority. TOML is parsed with the span of every key and value, the keys are
//! checked over the whole file, the chosen environment's overlay is laid over the
//! base, variables are filled in, and each value is parsed into its type. All
//! mistakes are collected before any is reported. Policies and plugins are not
//! opened here.

mod codes;
mod environment;
mod interpolate;
mod overlay;
mod places;
mod reader;
mod schedule;
mod schema;
mod sections;
mod service;
mod syntax;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Read;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::config::environment::LARGEST_TEXT;
pub use crate::config::environment::{Environment, Variable, read_policy, without_mark};
pub use crate::config::reader::Place;
use crate::config::reader::{Findings, Reader, Section};
pub use crate::config::schedule::{Cron, Schedule};
pub use crate::config::service::{Credentials, Remote, Secret, Service, Webhook};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Source};
use crate::entry::Symlinks;
use crate::path::RelPath;
use crate::receipt::Proof;
use crate::units::{Size, Span};

/// A whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The text it was read from, for findings of later stages about the same file.
    pub source: Source,
    /// The configuration file, absolute.
    pub file: PathBuf,
    /// What `ENVIRONMENT` said, whether or not there is an overlay for it.
    pub environment: Option<String>,
    /// The trees policies are applied to, by name.
    pub stores: BTreeMap<String, Store>,
    /// Where archives go, by name.
    pub destinations: BTreeMap<String, Destination>,
    /// Plugins policies may name, by name.
    pub plugins: BTreeMap<String, Plugin>,
    /// What `retain serve` listens on.
    pub service: Service,
    /// The directory of the journal.
    pub state: PathBuf,
    /// How long the journal remembers runs; none for good.
    pub remember: Option<Span>,
    /// How long a saved plan may be applied.
    pub plan_expiry: Span,
    /// What somebody should look at although the configuration can be used.
    pub warnings: Vec<Diagnostic>,
}

/// A tree and the policy that is applied to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// Where the name is written in the configuration.
    pub span: Range<usize>,
    /// Its root directory.
    pub path: Place,
    /// The policy file.
    pub policy: Place,
    /// When it is cleaned without being asked.
    pub schedule: Schedule,
    /// Whether it is cleaned at all; true unless said otherwise.
    pub enabled: bool,
    /// How long removed files stay in the trash; none where they go at once.
    pub grace: Option<Span>,
    /// Whether nobody else writes in the tree, so that direct removal is safe.
    pub writers: Writers,
    /// What its symbolic links are to the policy.
    pub symlinks: Symlinks,
    /// Whether a run keeps what it saw for the next one.
    pub index: bool,
    /// What to do when the root is missing.
    pub missing: MissingRoot,
    /// When to warn about the space it takes.
    pub warn: Warn,
    /// How eagerly it reads and removes.
    pub io: Io,
    /// The most files to remove in one second.
    pub max_removals_per_second: Option<NonZeroU32>,
    /// Directories below the root that are not this store's to walk: other
    /// stores, destinations, the state directory. In byte order.
    pub boundaries: Vec<RelPath>,
}

/// Who writes in a store's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Applications do: every removal is verified.
    Shared,
    /// Nobody but us (`exclusive = true`).
    Exclusive,
}

/// What a missing root means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingRoot {
    /// The run is refused.
    Refuse,
    /// The directory is made (`create = true`).
    Create,
}

/// How eagerly a store is read and emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// As any program.
    Normal,
    /// Only while nobody else wants the disk.
    Idle,
}

/// Marks above which a store is worth a warning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warn {
    /// Percent of its file system that are used, 1 to 100.
    pub used: Option<u8>,
    /// Growth of the store.
    pub growth: Option<Growth>,
}

/// So many bytes in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The bytes.
    pub size: Size,
    /// The time.
    pub per: Span,
}

/// A place archives go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// The URL as receipts record it: `file://` and the absolute path.
    pub url: String,
    /// The directory.
    pub directory: Place,
}

/// The bytes of a plugin's component, held so that its file may change meanwhile.
#[derive(Clone, PartialEq, Eq)]
pub struct Held(Arc<[u8]>);

impl Held {
    /// Takes them as they are.
    pub fn new(bytes: Vec<u8>) -> Held {
        Held(bytes.into())
    }

    /// Them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A plugin with what it is granted.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Its name in policies.
    pub name: String,
    /// Where the name is written in the configuration.
    pub span: Range<usize>,
    /// Where its component comes from.
    pub wasm: Wasm,
    /// Its file's bytes, where somebody holds on to what was checked; the file itself
    /// is read otherwise.
    pub held: Option<Held>,
    /// Where its origin is written in the configuration.
    pub wasm_at: Range<usize>,
    /// The SHA-256 its component must have, in small hexadecimal digits.
    pub sha256: Option<String>,
    /// Where the pin is written in the configuration.
    pub sha256_at: Option<Range<usize>>,
    /// Default settings; arguments in a policy override them key by key. Texts
    /// such as `64 MiB` are left to the plugin's schema.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// Where each of them is written in the configuration.
    pub settings_at: BTreeMap<String, Range<usize>>,
    /// How it is called where it is a command that reads stdin and writes stdout.
    pub filter: Option<Filter>,
    /// How its archives are proved.
    pub proof: Proof,
    /// What it may use.
    pub grants: Grants,
}

/// How a command is called that knows nothing of retain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Arguments with which it turns a file into an archive.
    pub args: Vec<String>,
    /// Arguments with which it turns the archive into the file again.
    pub restore_args: Vec<String>,
    /// What is appended to the archive's name (`.gz`).
    pub suffix: String,
}

impl Filter {
    /// Reads the value of the key `filter`, as a plugin's table has it; `named` is what
    /// findings call the text.
    pub fn parse(text: &str, named: &str) -> Result<Filter, Diagnostics> {
        sections::filter_alone(text, named)
    }
}

/// Where a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wasm {
    /// It is part of this program: the name behind `builtin:`.
    Builtin(String),
    /// A file.
    File(Place),
}

/// What a plugin may use; it gets nothing that is not written here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Names of destinations it may write into; each is configured.
    pub destinations: Vec<String>,
    /// Its memory.
    pub memory: Size,
    /// Wall-clock seconds for one call; large files get an allowance on top.
    pub wall_seconds: u64,
    /// Whether its archives may take their files' places (`replace … using`).
    pub in_place: bool,
    /// The bytes it may write for one file; none where the host's default serves.
    pub output: Option<Size>,
}

impl Default for Grants {
    fn default() -> Grants {
        Grants {
            destinations: Vec::new(),
            memory: Size(64 << 20),
            wall_seconds: 300,
            in_place: false,
            output: None,
        }
    }
}

impl Config {
    /// The directory the configuration lies in: what relative paths begin at.
    pub fn directory(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }

    /// Reads and checks a configuration file.
    ///
    /// Warnings are part of a configuration that can be used; where it cannot,
    /// they stand among the errors.
    pub fn load(path: &Path, environment: &Environment) -> Result<Config, Diagnostics> {
        let unreadable = |error: std::io::Error| Diagnostics(vec![unreadable(path, &error)]);
        let file = std::path::absolute(path).map_err(unreadable)?;
        // It may be a pipe: `--config <(…)` is how a shell hands over what it made up.
        let mut text = String::new();
        std::fs::File::open(&file)
            .and_then(|file| file.take(LARGEST_TEXT).read_to_string(&mut text))
            .map_err(unreadable)?;
        let source = Source::new(path.display().to_string(), text);
        Config::read(file, source, environment)
    }

    fn read(
        file: PathBuf,
        source: Source,
        environment: &Environment,
    ) -> Result<Config, Diagnostics> {
        let mut findings = Findings::new(source.clone());
        let (document, errors) = DeTable::parse_recoverable(source.text());
        syntax::report(&errors, &mut findings);
        if !errors.is_empty() {
            return Err(Diagnostics(findings.into_sorted()));
        }
        let mut document = document.into_inner();
        schema::check(&document, &mut findings);
        overlay::apply(&mut document, environment, &mut findings);

        let mut reader = Reader {
            environment,
            directory: file.parent().unwrap_or(Path::new("/")).to_path_buf(),
            findings,
        };
        let read = sections::read(&Section::document(&document), &mut reader);
        let mut findings = reader.findings;
        let mut config = match read {
            Some(parts) if !findings.has_errors() => Config {
                source,
                file,
                environment: environment.text("ENVIRONMENT").map(str::to_owned),
                stores: parts.stores,
                destinations: parts.destinations,
                plugins: parts.plugins,
                service: parts.service,
                state: parts.state,
                remember: parts.remember,
                plan_expiry: parts.plan_expiry,
                warnings: Vec::new(),
            },
            Some(_) | None => return Err(Diagnostics(findings.into_sorted())),
        };
        places::settle(&mut config, &mut findings);
        let found = findings.into_sorted();
        if found.iter().any(|f| f.severity() == Severity::Error) {
            return Err(Diagnostics(found));
        }
        config.warnings = found;
        Ok(config)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Diagnostic {
    let name = path.display().to_string();
    let source = Source::new(name.clone(), "");
    let finding = |message| Diagnostic::error(codes::FILE, &source, 0..0, message);
    if error.kind() == std::io::ErrorKind::NotFound {
        return finding(format!("there is no configuration `{name}`"))
            .help("begin with `retain init`, or name another file with `--config FILE`");
    }
    finding(format!("cannot read `{name}`: {error}"))
        .help("the configuration must be a readable file of UTF-8 text")
}
