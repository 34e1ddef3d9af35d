//! Commands that write, held to what the configuration names.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::confine::{Confinement, Grounds, confine, give_up_privileges};

/// Holds this process to the configuration and says how far the kernel helps.
pub(super) fn confined(config: &Config, besides: Option<&Path>) -> anyhow::Result<()> {
    say_how_far(hold(config, besides)?.0);
    Ok(())
}

/// Holds this process, for good, to the stores, destinations and state of the
/// configuration, and to a directory that the command line names.
pub(super) fn hold(
    config: &Config,
    besides: Option<&Path>,
) -> anyhow::Result<(Confinement, Grounds)> {
    let stores = config.stores.values().map(|store| store.path.path.clone());
    let destinations = config.destinations.values();
    let destinations = destinations.map(|place| place.directory.path.clone());
    let besides = besides.map(std::path::absolute).transpose()?;
    let others = std::iter::once(config.state.clone()).chain(besides);
    let places: Vec<PathBuf> = stores.chain(destinations).chain(others).collect();
    give_up_privileges()?;
    Ok(confine(&places)?)
}

/// What the kernel lacks is worth a word.
pub(super) fn say_how_far(confinement: Confinement) {
    match confinement {
        Confinement::Whole => {}
        Confinement::Partial => tracing::info!("the kernel knows a part of Landlock's rights"),
        Confinement::None => tracing::warn!(
            "this kernel has no Landlock: only the program's own care keeps it inside its stores; `RETAIN_LOG=error` silences this"
        ),
    }
}
