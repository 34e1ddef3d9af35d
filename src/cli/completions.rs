//! `retain completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Arguments, Edge, Exit, say};

/// Write what a shell needs to complete commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = "For example, in ~/.bashrc:  source <(retain completions bash)")]
pub(super) struct Completions {
    /// The shell to write for.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, _: &Edge) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        let mut command = Arguments::command();
        clap_complete::generate(self.shell, &mut command, "retain", &mut script);
        say(String::from_utf8_lossy(&script).trim_end())?;
        Ok(Exit::Done)
    }
}
