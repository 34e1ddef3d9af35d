//! `retain plugin pin`

use std::fs;
use std::io::Write;

use anyhow::Context;

use super::super::{Edge, Exit, say};
use crate::config::{Config, Plugin as Configured};
use crate::plugin::{Plugin, PluginError};

/// Write the digests of plugins into the configuration.
///
/// From then on a component with other bytes is refused, whoever put it there.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Pin {
    /// The plugins' names in the configuration; all when none is named.
    names: Vec<String>,
}

impl Pin {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let config = edge.load()?;
        let names: Vec<&String> = match self.names.is_empty() {
            true => config.plugins.keys().collect(),
            false => self.names.iter().collect(),
        };
        let mut changes = Vec::new();
        for name in names {
            let configured = config
                .plugins
                .get(name)
                .with_context(|| format!("there is no plugin `{name}` in the configuration"))?;
            let digest = digest(configured)?;
            if configured.sha256.as_deref() == Some(&digest) {
                say(&format!("{name}: is pinned to {digest}"))?;
                continue;
            }
            changes.push(change(&config, configured, &digest));
            say(&format!("{name}: pinned to {digest}"))?;
        }
        // From the end, so that the places before stay true.
        changes.sort_by_key(|(at, _)| std::cmp::Reverse(at.start));
        let mut text = config.source.text().to_owned();
        for (at, written) in &changes {
            text.replace_range(at.clone(), written);
        }
        if !changes.is_empty() {
            replace(&config, &text)?;
        }
        Ok(Exit::Done)
    }
}

/// The digest of what is there now, whatever is pinned.
fn digest(configured: &Configured) -> Result<String, PluginError> {
    let unpinned = Configured {
        sha256: None,
        ..configured.clone()
    };
    Ok(Plugin::load(&unpinned, None)?.sha256())
}

/// Where the pin goes: over the old one, or behind `wasm`, on a line of its own where
/// that has one.
fn change(
    config: &Config,
    configured: &Configured,
    digest: &str,
) -> (std::ops::Range<usize>, String) {
    if let Some(at) = &configured.sha256_at {
        return (at.clone(), format!("\"{digest}\""));
    }
    let end = configured.wasm_at.end;
    let text = config.source.text();
    let rest = text.get(end..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default();
    match line.trim_start().is_empty() || line.trim_start().starts_with('#') {
        true => {
            let end = end + line.len();
            (end..end, format!("\nsha256 = \"{digest}\""))
        }
        false => (end..end, format!(", sha256 = \"{digest}\"")),
    }
}

/// The whole new file or the old one, whatever happens meanwhile.
fn replace(config: &Config, text: &str) -> anyhow::Result<()> {
    let name = config.file.display();
    let draft = config
        .file
        .with_extension(format!("toml.{}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create_new(&draft)?;
        file.set_permissions(fs::metadata(&config.file)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, &config.file)
    };
    write()
        .inspect_err(|_| drop(fs::remove_file(&draft)))
        .with_context(|| format!("cannot write `{name}`"))
}
