//! `retain plugin list` and `inspect`

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::{Value, json};

use super::super::{Edge, Exit, say};
use crate::config::Wasm;
use crate::plugin::{Kind, Manifest, Plugin, builtins, imports, notices};
use crate::receipt::Proof;
use crate::units::Size;

/// List the plugins of the configuration, and those that are part of this program.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {}

impl List {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let mut exit = Exit::Done;
        let mut all = Vec::new();
        for configured in config.plugins.values() {
            let from = match &configured.wasm {
                Wasm::Builtin(name) => format!("builtin:{name}"),
                Wasm::File(place) => place.written.clone(),
            };
            let pinned = configured.sha256.is_some();
            match Plugin::load(configured, None) {
                Ok(plugin) => {
                    let manifest = plugin.manifest();
                    all.push(json!({
                        "name": configured.name,
                        "kind": kind(manifest.kind),
                        "version": manifest.version,
                        "from": from,
                        "sha256": plugin.sha256(),
                        "pinned": pinned,
                        "proof": proof(configured.proof),
                        "destinations": configured.grants.destinations,
                        "memory": configured.grants.memory.0,
                    }));
                }
                Err(error) => {
                    exit = Exit::Trouble;
                    all.push(json!({
                        "name": configured.name,
                        "from": from,
                        "pinned": pinned,
                        "error": error.to_string(),
                    }));
                }
            }
        }
        if edge.is_json() {
            say(&Value::from(all).to_string())?;
            return Ok(exit);
        }
        for plugin in &all {
            say(&line(plugin))?;
        }
        let names: Vec<_> = builtins().iter().map(|builtin| builtin.name).collect();
        say(&format!("part of this program: {}", names.join(", ")))?;
        Ok(exit)
    }
}

fn line(plugin: &Value) -> String {
    let text = |key: &str| plugin.get(key).and_then(Value::as_str).unwrap_or_default();
    if let Some(error) = plugin.get("error").and_then(Value::as_str) {
        return format!("{}: {error}", text("name"));
    }
    let pinned = match plugin.get("pinned") == Some(&Value::Bool(true)) {
        true => "pinned",
        false => "not pinned",
    };
    let destinations: Vec<_> = plugin
        .get("destinations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let into = match destinations.is_empty() {
        true => String::new(),
        false => format!(", into {}", destinations.join(" and ")),
    };
    format!(
        "{}: {} {} from {}, {pinned}, proof {}{into}",
        text("name"),
        text("kind"),
        text("version"),
        text("from"),
        text("proof"),
    )
}

pub(super) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Reviewer => "reviewer",
        Kind::Archiver => "archiver",
    }
}

fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Restore => "restore",
        Proof::ReadBack => "read-back",
        Proof::None => "NONE",
    }
}

/// Show what a component says of itself, without running any of it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Inspect {
    /// The component: a file, or `builtin:NAME`.
    file: PathBuf,
    /// Show the licences it carries of what it contains instead.
    #[arg(long)]
    notices: bool,
}

impl Inspect {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let shown = self.file.display().to_string();
        let wasm = match shown.strip_prefix("builtin:") {
            Some(name) => {
                let found = builtins().iter().find(|builtin| builtin.name == name);
                let found = found.with_context(|| format!("there is no `{shown}`"))?;
                found.wasm()
            }
            None => std::fs::read(&self.file).with_context(|| format!("cannot read `{shown}`"))?,
        };
        let manifest = Manifest::read(&wasm).with_context(|| format!("`{shown}`"))?;
        let notices = notices(&wasm);
        if self.notices && !edge.is_json() {
            say(notices.as_deref().unwrap_or("it carries none"))?;
            return Ok(Exit::Done);
        }
        let (needed, refused): (Vec<_>, Vec<_>) =
            imports(&wasm).into_iter().partition(|import| import.linked);
        let names = |imports: &[crate::plugin::Import]| -> Vec<String> {
            imports.iter().map(|import| import.name.clone()).collect()
        };
        if edge.is_json() {
            say(&json!({
                "name": manifest.name,
                "version": manifest.version,
                "kind": kind(manifest.kind),
                "contract": manifest.contract,
                "description": manifest.description,
                "license": manifest.license,
                "notices": notices,
                "suffix": manifest.suffix,
                "bytes": wasm.len(),
                "sha256": sha256(&wasm),
                "blake3": blake3::hash(&wasm).to_hex().as_str(),
                "asks": manifest.asks.to_string(),
                "imports": names(&needed),
                "imports_refused": names(&refused),
                "settings": manifest.settings,
            })
            .to_string())?;
        } else {
            say(&described(
                &manifest,
                notices.as_deref(),
                &wasm,
                &names(&needed),
                &names(&refused),
            ))?;
        }
        Ok(match refused.is_empty() {
            true => Exit::Done,
            false => Exit::Trouble,
        })
    }
}

fn sha256(wasm: &[u8]) -> String {
    use sha2::Digest;
    let mut text = String::new();
    for byte in sha2::Sha256::digest(wasm) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn described(
    manifest: &Manifest,
    notices: Option<&str>,
    wasm: &[u8],
    needed: &[String],
    refused: &[String],
) -> String {
    let mut out = String::new();
    // A stranger wrote these texts: nothing in them may steer a terminal.
    let quoted = |text: &str| text.escape_debug().to_string();
    let _ = writeln!(
        out,
        "{} {}, {}: {}",
        quoted(&manifest.name),
        quoted(&manifest.version),
        kind(manifest.kind),
        quoted(&manifest.description)
    );
    let _ = writeln!(out, "licence   {}", quoted(&manifest.license));
    if notices.is_some() {
        let _ = writeln!(out, "notices   it carries some: `--notices` shows them");
    }
    let _ = writeln!(out, "contract  {}", manifest.contract);
    let _ = writeln!(out, "size      {}", Size(wasm.len() as u64));
    let _ = writeln!(out, "sha256    {}", sha256(wasm));
    let _ = writeln!(out, "asks for  {}", manifest.asks);
    if !manifest.suffix.is_empty() {
        let _ = writeln!(out, "suffix    {}", quoted(&manifest.suffix));
    }
    let _ = writeln!(out, "imports   {}", needed.join(", "));
    if !refused.is_empty() {
        let _ = writeln!(
            out,
            "REFUSED   {}: nobody can grant that, so it does not load",
            refused.join(", ")
        );
    }
    let properties = manifest
        .settings
        .get("properties")
        .and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
        let default = schema
            .get("default")
            .map(|value| format!(", {value} if not said"));
        let _ = writeln!(
            out,
            "setting   {}: {}{} ({})",
            quoted(name),
            match text("format") {
                "" => quoted(text("type")),
                format => quoted(format),
            },
            default.unwrap_or_default(),
            quoted(text("description"))
        );
    }
    out.trim_end().to_owned()
}
