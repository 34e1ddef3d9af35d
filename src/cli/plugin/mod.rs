//! `retain plugin`: for whoever writes a plugin, and for whoever has to trust one.

mod component;
mod examine;
mod new;
mod pin;
mod test;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Map, Value};

use super::{Edge, Exit};
use crate::config::{Filter, Grants};
use crate::plugin::{PluginError, Trial};
use crate::units::Size;

/// Write, examine, test and pin plugins.
#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// List the plugins of the configuration, and those that are part of this program.
    List(examine::List),
    /// Show what a component says of itself, without running any of it.
    Inspect(examine::Inspect),
    /// Begin a plugin: a project that builds and passes `test` as it is.
    New(new::New),
    /// Build the plugin in a directory.
    Build(new::Build),
    /// Try everything on a component that plugins have to stand.
    Test(test::Test),
    /// Call a component for one file, and show what it makes of it.
    Run(test::Run),
    /// Measure a component.
    Bench(test::Bench),
    /// Write the digests of plugins into the configuration, so that no other component
    /// is ever taken for them.
    Pin(pin::Pin),
}

impl Plugin {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        match self {
            Plugin::List(command) => command.run(edge),
            Plugin::Inspect(command) => command.run(edge),
            Plugin::New(command) => command.run(edge),
            Plugin::Build(command) => command.run(edge),
            Plugin::Test(command) => command.run(edge),
            Plugin::Run(command) => command.run(edge),
            Plugin::Bench(command) => command.run(edge),
            Plugin::Pin(command) => command.run(edge),
        }
    }
}

/// A component, and what it is called with.
#[derive(Debug, clap::Args)]
struct Component {
    /// The component: a file, or `builtin:NAME`.
    file: PathBuf,
    /// Its settings as JSON, sizes and times as text or as bytes and milliseconds.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    settings: String,
    /// How it is called where it is a command that reads stdin and writes stdout: the
    /// value of the plugin's key `filter` in the configuration.
    #[arg(
        long,
        value_name = "TABLE",
        conflicts_with = "settings",
        allow_hyphen_values = true,
        long_help = "How it is called where it is a command that reads stdin and writes stdout: \
            the value of the plugin's key `filter` in the configuration, such as \
            '{ args = [\"-c\"], restore_args = [\"-dc\"], suffix = \".gz\" }'"
    )]
    filter: Option<String>,
    /// The memory it is granted.
    #[arg(long, value_name = "SIZE", default_value = "64 MiB")]
    memory: String,
    /// Seconds one call may take, with a minute more for each GiB of its file.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wall: u64,
}

impl Component {
    fn load(&self) -> anyhow::Result<Trial> {
        let grants = self.grants()?;
        if let Some(filter) = &self.filter {
            let filter = Filter::parse(filter, "--filter")?;
            return Ok(Trial::load_filter(&self.file, &filter, &grants)?);
        }
        Trial::load(&self.file, &self.settings()?, &grants).map_err(|error| {
            let help = match &error {
                PluginError::Settings { .. } => "give it settings with `--settings '{…}'`",
                PluginError::Manifest { .. } => {
                    "if it is a command that reads stdin and writes stdout, say how it is called: \
                     `--filter '{ args = [\"-c\"], restore_args = [\"-dc\"], suffix = \".gz\" }'`"
                }
                _ => return error.into(),
            };
            anyhow::anyhow!("{error}\nhelp: {help}")
        })
    }

    fn settings(&self) -> anyhow::Result<Map<String, Value>> {
        serde_json::from_str(&self.settings)
            .with_context(|| format!("`--settings {}` is no JSON object", self.settings))
    }

    fn grants(&self) -> anyhow::Result<Grants> {
        let memory = Size::parse(&self.memory)
            .with_context(|| format!("`--memory {}` is no size", self.memory))?;
        Ok(Grants {
            destinations: vec!["trial".to_owned()],
            memory,
            wall_seconds: self.wall.max(1),
            in_place: false,
            output: None,
        })
    }
}

/// A directory of ours that goes away with this value.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> anyhow::Result<Scratch> {
        let mut id = [0; 8];
        getrandom::fill(&mut id).map_err(std::io::Error::other)?;
        let id = u64::from_ne_bytes(id);
        let path = std::env::temp_dir().join(format!("retain-plugin-{id:016x}"));
        std::fs::create_dir(&path)
            .with_context(|| format!("cannot make a directory `{}`", path.display()))?;
        Ok(Scratch(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies among other temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
