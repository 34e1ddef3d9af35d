//! `retain plugin new` and `build`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use super::super::{Edge, Exit, say};

/// Begin a plugin: a project that builds and passes `test` as it is.
///
/// Everything it needs of retain lies in the project: the kit in `retain-plugin/` and
/// the contract in `retain-plugin/wit/`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct New {
    /// Its name: small letters, digits and `-`.
    name: String,
    /// What it does.
    #[arg(long, value_enum, default_value_t = Kind::Reviewer)]
    kind: Kind,
    /// What it is written in.
    #[arg(long, value_enum, default_value_t = Language::Rust)]
    lang: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// It looks at files that are about to go.
    Reviewer,
    /// It puts their bytes somewhere safe.
    Archiver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Rust, with the kit.
    Rust,
    /// C, with a header; reviewers only.
    C,
}

/// The kit as it is in this program: path in the project, text.
const KIT: [(&str, &str); 10] = [
    (
        "src/lib.rs",
        include_str!("../../../plugins/sdk/src/lib.rs"),
    ),
    (
        "src/arena.rs",
        include_str!("../../../plugins/sdk/src/arena.rs"),
    ),
    (
        "src/bindings.rs",
        include_str!("../../../plugins/sdk/src/bindings.rs"),
    ),
    (
        "src/bulk.rs",
        include_str!("../../../plugins/sdk/src/bulk.rs"),
    ),
    (
        "src/failure.rs",
        include_str!("../../../plugins/sdk/src/failure.rs"),
    ),
    (
        "src/instant.rs",
        include_str!("../../../plugins/sdk/src/instant.rs"),
    ),
    ("src/io.rs", include_str!("../../../plugins/sdk/src/io.rs")),
    (
        "src/name.rs",
        include_str!("../../../plugins/sdk/src/name.rs"),
    ),
    (
        "wit/retain.wit",
        include_str!("../../../plugins/sdk/wit/retain.wit"),
    ),
    (
        "Cargo.toml",
        include_str!("../../../plugins/sdk/Cargo.toml"),
    ),
];

impl New {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = self.name.starts_with(|c: char| c.is_ascii_lowercase())
            && self.name.chars().all(allowed);
        anyhow::ensure!(
            good && self.name != "retain-plugin" && self.name != "test",
            "`{}` is no name for a plugin: it has small letters, digits and `-`, and begins with a letter",
            self.name
        );
        anyhow::ensure!(
            (self.lang, self.kind) != (Language::C, Kind::Archiver),
            "archivers are written in Rust: the header for C has reviewers only"
        );
        let directory = PathBuf::from(&self.name);
        fs::create_dir(&directory).with_context(|| {
            format!(
                "cannot make `{}`; nothing is overwritten",
                directory.display()
            )
        })?;
        match self.lang {
            Language::Rust => self.rust(&directory)?,
            Language::C => self.c(&directory)?,
        }
        match edge.is_json() {
            true => say(&json!({"directory": directory.display().to_string()}).to_string())?,
            false => say(&format!(
                "wrote {0}/\nnext: `cd {0}`, `retain plugin build`, `retain plugin test {0}.wasm`",
                self.name
            ))?,
        }
        Ok(Exit::Done)
    }

    fn c(&self, directory: &Path) -> anyhow::Result<()> {
        let ours = include_str!("../../../plugins/keep-linked/plugin.json");
        let mut manifest: serde_json::Value = serde_json::from_str(ours)?;
        if let Some(name) = manifest.get_mut("name") {
            *name = self.name.as_str().into();
        }
        write(directory, "plugin.json", &format!("{manifest:#}\n"))?;
        write(
            directory,
            "plugin.c",
            include_str!("../../../plugins/keep-linked/plugin.c"),
        )?;
        write(
            directory,
            "retain.h",
            include_str!("../../../plugins/keep-linked/retain.h"),
        )?;
        write(
            directory,
            "wit/retain.wit",
            include_str!("../../../plugins/sdk/wit/retain.wit"),
        )
    }

    fn rust(&self, directory: &Path) -> anyhow::Result<()> {
        let (kind, code, schema) = match self.kind {
            Kind::Reviewer => (
                "reviewer",
                include_str!("template/reviewer.rs"),
                include_str!("template/reviewer.json"),
            ),
            Kind::Archiver => (
                "archiver",
                include_str!("template/archiver.rs"),
                include_str!("template/archiver.json"),
            ),
        };
        write(directory, "Cargo.toml", &cargo_toml(&self.name, kind))?;
        write(directory, "src/lib.rs", code)?;
        write(directory, "src/settings.json", schema)?;
        write(directory, ".gitignore", "/target\n")?;
        let kit = directory.join("retain-plugin");
        for (path, text) in KIT {
            write(&kit, path, &alone(text))?;
        }
        Ok(())
    }
}

fn cargo_toml(name: &str, kind: &str) -> String {
    format!(
        "[package]\n\
         name = \"{name}\"\n\
         version = \"0.1.0\"\n\
         edition = \"2024\"\n\
         license = \"Apache-2.0 OR MIT\"\n\
         \n\
         [lib]\n\
         crate-type = [\"cdylib\"]\n\
         \n\
         [dependencies]\n\
         retain-plugin = {{ path = \"retain-plugin\", features = [\"{kind}\"] }}\n\
         serde = {{ version = \"1\", default-features = false, features = [\"alloc\", \"derive\"] }}\n\
         \n\
         # A workspace of its own, wherever it lies.\n\
         [workspace]\n\
         \n\
         # Small; names are kept, so that a trap's backtrace shows them.\n\
         [profile.release]\n\
         opt-level = \"s\"\n\
         lto = true\n\
         codegen-units = 1\n\
         panic = \"abort\"\n\
         strip = \"debuginfo\"\n"
    )
}

/// The kit's manifest without the workspace it lies in here.
fn alone(text: &str) -> String {
    text.replace("rust-version.workspace = true", "rust-version = \"1.95\"")
        .replace("version.workspace = true", "version = \"0.1.0\"")
        .replace("edition.workspace = true", "edition = \"2024\"")
        .replace(
            "license.workspace = true",
            "license = \"Apache-2.0 OR MIT\"",
        )
        .replace("\n[lints]\nworkspace = true\n", "")
}

fn write(directory: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::File::create_new(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Build the plugin in a directory.
///
/// Runs `cargo build` for `wasm32-wasip2` and puts the component beside `Cargo.toml`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Build {
    /// The plugin's directory.
    #[arg(default_value = ".")]
    directory: PathBuf,
}

/// What a host's build may be told, and a guest's must not.
const HOSTS: [&str; 5] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_WRAPPER",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_RUSTFLAGS",
];

impl Build {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let component = match self.directory.join("plugin.json").exists() {
            true => self.c()?,
            false => self.rust()?,
        };
        let wasm = fs::read(&component)?;
        let manifest = crate::plugin::Manifest::read(&wasm)
            .with_context(|| format!("`{}`", component.display()))?;
        match edge.is_json() {
            true => say(&json!({
                "component": component.display().to_string(),
                "name": manifest.name,
                "version": manifest.version,
                "bytes": wasm.len(),
            })
            .to_string())?,
            false => say(&format!(
                "built {}: {} {}, {}",
                component.display(),
                super::examine::kind(manifest.kind),
                manifest.version,
                crate::units::Size(wasm.len() as u64)
            ))?,
        }
        Ok(Exit::Done)
    }

    fn c(&self) -> anyhow::Result<PathBuf> {
        let wasm = super::component::from_c(&self.directory)?;
        let manifest = crate::plugin::Manifest::read(&wasm).context("`plugin.json`")?;
        let component = self.directory.join(format!("{}.wasm", manifest.name));
        fs::write(&component, wasm)
            .with_context(|| format!("cannot write `{}`", component.display()))?;
        Ok(component)
    }

    fn rust(&self) -> anyhow::Result<PathBuf> {
        let manifest = self.directory.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| {
            format!(
                "there is no plugin here: cannot read `{}`",
                manifest.display()
            )
        })?;
        let name = package_name(&text)
            .with_context(|| format!("`{}` names no package", manifest.display()))?;
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(target) => PathBuf::from(target),
            None => self.directory.join("target"),
        };
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2"])
            .arg("--manifest-path")
            .arg(&manifest)
            .arg("--target-dir")
            .arg(&target);
        for variable in HOSTS {
            cargo.env_remove(variable);
        }
        let status = cargo
            .status()
            .context("cannot run `cargo`; a plugin in Rust is built with Rust's tools")?;
        anyhow::ensure!(
            status.success(),
            "the build failed; if the target is missing, run `rustup target add wasm32-wasip2`"
        );
        let built = target
            .join("wasm32-wasip2/release")
            .join(format!("{}.wasm", name.replace('-', "_")));
        let component = self.directory.join(format!("{name}.wasm"));
        fs::copy(&built, &component)
            .with_context(|| format!("cannot copy `{}`", built.display()))?;
        Ok(component)
    }
}

fn package_name(text: &str) -> Option<String> {
    let document: toml::Table = text.parse().ok()?;
    Some(document.get("package")?.get("name")?.as_str()?.to_owned())
}
