//! The command line: one file per command, data on stdout, talk on stderr.

mod apply;
mod audit;
mod catalogue;
mod check;
mod completions;
mod confined;
mod demo;
mod explain;
mod findings;
mod fmt;
mod hold;
mod init;
mod plan;
mod plugin;
mod restore;
mod rewrite;
mod runs;
mod serve;
mod show;
mod test;
mod trash;
mod undo;
mod verify;
mod versions;
mod why;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};

pub use explain::explained_codes;

use crate::apply::MirrorError;
use crate::config::{Config, Environment, Store};
use crate::diagnostic::{Diagnostics, Look, Severity};
use crate::journal::JournalError;
use crate::run::{Job, RunError};
use crate::store::StoreError;

/// Deletes files by policy, and only what can be brought back.
///
/// Only `apply` removes files of a store; every other command looks, or brings back. Begin
/// with `retain demo`, which shows the whole way in a directory of its own, or with
/// `retain init` for a directory of yours.
#[derive(Debug, Parser)]
#[command(name = "retain", version, max_term_width = 100, after_long_help = EXITS)]
struct Arguments {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "RETAIN_CONFIG",
        value_name = "FILE",
        default_value = "retain.toml"
    )]
    config: PathBuf,
    /// How results are written.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes:
  0  done
  1  done, but some files were blocked or failed
  2  bad usage, policy or configuration; nothing was touched
  3  refused by the breaker
  4  what was asked for was looked at, and the answer is no (`test`)";

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For code review tools; `check` alone speaks it.
    Sarif,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole way in a directory of its own: plan, backup, proof, removal, restore.
    Demo(demo::Demo),
    /// Write a configuration and a policy to begin with.
    Init(init::Init),
    /// Find every mistake in the configuration and its policies.
    Check(check::Check),
    /// Say more about the code of a message, such as R0103.
    Explain(explain::Explain),
    /// Run the `test` blocks of policies.
    Test(test::Test),
    /// Write policies in their one canonical form.
    Fmt(fmt::Fmt),
    /// Show what a run would remove, and why; changes nothing.
    Plan(plan::Plan),
    /// Remove what the plan says, after the backups were proved to restore.
    Apply(apply::Apply),
    /// Explain what is decided about one file, also one that does not exist yet.
    Why(why::Why),
    /// Write, examine, test and pin plugins.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Bring archived files back.
    Restore(restore::Restore),
    /// Put back what a run moved into the trash.
    Undo(undo::Undo),
    /// See what lies in the trash.
    Trash(trash::Trash),
    /// Keep files whatever the policy says, or let go of them.
    Hold(hold::HoldCommand),
    /// Prove stored archives again.
    Verify(verify::Verify),
    /// Look after what is known of archives.
    #[command(subcommand)]
    Catalogue(catalogue::Catalogue),
    /// List earlier runs, or the files of one.
    Runs(runs::Runs),
    /// See whether the journal is as it was written.
    Audit(audit::Audit),
    /// Clean every store on its schedule, and answer over HTTP.
    Serve(serve::Serve),
    /// Write what a shell needs to complete commands and options.
    Completions(completions::Completions),
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done,
    /// Done, but some files were blocked or failed.
    Trouble,
    /// Bad usage, policy or configuration; nothing was touched.
    Refused,
    /// The breaker refuses.
    Tripped,
    /// What was asked for was looked at, and the answer is no.
    No,
}

impl Exit {
    /// How a command ended that did several things.
    fn of_all(exits: &[Exit]) -> Exit {
        let all = |wanted| exits.iter().all(|exit| *exit == wanted);
        if exits.contains(&Exit::Tripped) {
            Exit::Tripped
        } else if all(Exit::Done) {
            Exit::Done
        } else if all(Exit::Refused) {
            Exit::Refused
        } else {
            // Something may have been touched, so it is no refusal.
            Exit::Trouble
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Trouble => 1,
            Exit::Refused => 2,
            Exit::Tripped => 3,
            Exit::No => 4,
        })
    }
}

/// Runs the command this process was started with.
pub fn main() -> ExitCode {
    if let Some(exit) = crate::plugin::compile_by_children() {
        return exit;
    }
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("RETAIN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,wasmtime=error"));
    // A service says where its log goes when it knows its configuration.
    if !matches!(arguments.command, Command::Serve(_)) {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_target(false)
            .without_time()
            .init();
    }
    let edge = Edge {
        config: arguments.config,
        format: arguments.format,
        environment: Environment::from_process(),
    };
    if edge.format == Format::Sarif && !matches!(arguments.command, Command::Check(_)) {
        complain("error: only `retain check` writes SARIF");
        complain("help: use `--format json`");
        return Exit::Refused.into();
    }
    let result = match arguments.command {
        Command::Demo(command) => command.run(&edge),
        Command::Init(command) => command.run(&edge),
        Command::Check(command) => command.run(&edge),
        Command::Explain(command) => command.run(&edge),
        Command::Test(command) => command.run(&edge),
        Command::Fmt(command) => command.run(&edge),
        Command::Plan(command) => command.run(&edge),
        Command::Apply(command) => command.run(&edge),
        Command::Why(command) => command.run(&edge),
        Command::Plugin(command) => command.run(&edge),
        Command::Verify(command) => command.run(&edge),
        Command::Catalogue(command) => command.run(&edge),
        Command::Restore(command) => command.run(&edge),
        Command::Undo(command) => command.run(&edge),
        Command::Trash(command) => command.run(&edge),
        Command::Hold(command) => command.run(&edge),
        Command::Runs(command) => command.run(&edge),
        Command::Audit(command) => command.run(&edge),
        Command::Serve(command) => command.run(&edge),
        Command::Completions(command) => command.run(&edge),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => report(&error, "nothing was touched").into(),
    }
}

/// What every command knows of the world outside.
#[derive(Debug)]
struct Edge {
    config: PathBuf,
    format: Format,
    environment: Environment,
}

impl Edge {
    fn load(&self) -> anyhow::Result<Config> {
        let config = Config::load(&self.config, &self.environment)?;
        for warning in &config.warnings {
            complain(&warning.render(look()));
        }
        Ok(config)
    }

    /// The named stores, or all that are enabled.
    fn stores<'c>(&self, config: &'c Config, names: &[String]) -> anyhow::Result<Vec<&'c Store>> {
        if names.is_empty() {
            let enabled: Vec<_> = config
                .stores
                .values()
                .filter(|store| store.enabled)
                .collect();
            anyhow::ensure!(
                !enabled.is_empty(),
                "`{}` has no store that is enabled; add a table `[stores.NAME]`",
                self.config.display()
            );
            return Ok(enabled);
        }
        names.iter().map(|name| self.store(config, name)).collect()
    }

    /// Does something for each of the named stores, or all that are enabled. What is
    /// wrong with one is reported and does not keep the others from their turn.
    fn each_store<'c>(
        &self,
        config: &'c Config,
        names: &[String],
        mut work: impl FnMut(&'c Store) -> anyhow::Result<Exit>,
    ) -> anyhow::Result<Exit> {
        let stores = self.stores(config, names)?;
        if let [store] = stores.as_slice() {
            return work(store);
        }
        let mut exits = Vec::with_capacity(stores.len());
        for store in stores {
            exits.push(match work(store) {
                Err(error) if is_broken_pipe(&error) => return Err(error),
                Err(error) => {
                    complain(&format!("store {}:", store.name));
                    report(&error, &format!("store `{}` was not touched", store.name))
                }
                Ok(exit) => exit,
            });
        }
        Ok(Exit::of_all(&exits))
    }

    fn store<'c>(&self, config: &'c Config, name: &str) -> anyhow::Result<&'c Store> {
        config.stores.get(name).with_context(|| {
            let names = config.stores.keys().map(String::as_str);
            match crate::diagnostic::nearest(name, names) {
                Some(near) => format!("there is no store `{name}`; did you mean `{near}`?"),
                None => {
                    let known: Vec<_> = config
                        .stores
                        .keys()
                        .map(|name| format!("`{name}`"))
                        .collect();
                    format!("there is no store `{name}`; there are {}", known.join(", "))
                }
            }
        })
    }

    fn job<'c>(&self, config: &'c Config, store: &'c Store) -> Result<Job<'c>, Diagnostics> {
        Job::load(config, store, &self.environment)
    }

    fn is_json(&self) -> bool {
        self.format == Format::Json
    }
}

/// A moment of the journal as people read it: RFC 3339, to the second.
fn at_seconds(moment: &str) -> String {
    match moment.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => moment.to_owned(),
    }
}

/// Policy files and names of stores, apart.
fn files_and_stores(targets: &[String]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (files, stores): (Vec<_>, Vec<_>) = targets
        .iter()
        .cloned()
        .partition(|target| std::path::Path::new(target).is_file());
    match stores.iter().find(|store| store.ends_with(".retain")) {
        Some(missing) => anyhow::bail!("there is no file `{missing}`"),
        None => Ok((files, stores)),
    }
}

/// How findings are drawn where they are read.
fn look() -> Look {
    match io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        true => Look::Colour,
        false => Look::Plain,
    }
}

/// One line or text of data.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(())
}

/// One line or text for whoever sits before it. There is nobody to tell when even
/// this cannot be written.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end_matches('\n'));
}

/// Shows an error with everything that is known about it, and says how it ends.
fn report(error: &anyhow::Error, untouched: &str) -> Exit {
    let findings =
        error
            .downcast_ref::<Diagnostics>()
            .or_else(|| match error.downcast_ref::<RunError>() {
                Some(RunError::Policy(findings)) => Some(findings),
                _ => None,
            });
    if let Some(findings) = findings {
        show_findings(findings, untouched);
        return Exit::Refused;
    }
    complain(&format!("error: {}", in_full(error)));
    if let Some(help) = error.downcast_ref::<RunError>().and_then(help) {
        complain(&format!("help: {help}"));
    }
    match error.downcast_ref::<RunError>() {
        Some(RunError::Latched(_) | RunError::Tripped { .. }) => Exit::Tripped,
        Some(RunError::Stopped { .. }) => Exit::Trouble,
        Some(_) | None => Exit::Refused,
    }
}

/// An error and its causes in one line.
fn in_full(error: &anyhow::Error) -> String {
    crate::diagnostic::chain(error.as_ref())
}

/// What to do where not even the room is left that a run has set aside for this.
const NO_ROOM: &str = "make a little room by hand: remove ten files that `retain plan` names, then run again; each run keeps for the next what that needs on a full disk";

const NO_STATE_ROOM: &str = "nothing goes before that is on disk: free a few MiB where the state directory is, or put `path` under `[state]` on another disk, then run again";

fn help(error: &RunError) -> Option<&'static str> {
    match error {
        RunError::Store(error) | RunError::Holds(MirrorError::Store(error))
            if error.is_out_of_room() =>
        {
            Some(NO_ROOM)
        }
        RunError::Journal(error) | RunError::Holds(MirrorError::Journal(error))
            if error.is_out_of_room() =>
        {
            Some(NO_STATE_ROOM)
        }
        RunError::Store(StoreError::Locked { .. })
        | RunError::Journal(JournalError::Locked { .. }) => {
            Some("wait for it to end, then try again; `apply` waits for it with `--wait`")
        }
        RunError::Store(StoreError::Open { source, .. })
            if source.kind() == io::ErrorKind::NotFound =>
        {
            Some("make the directory, or correct `path` in the configuration")
        }
        RunError::Root { .. } => Some(
            "mount the volume; if the tree was replaced on purpose, give the store another name",
        ),
        RunError::Emptied { .. } => Some(
            "mount the volume; if it was emptied on purpose, say so once with `retain apply STORE --emptied`",
        ),
        RunError::Undecided { .. } => Some(
            "nothing is removed before that is known: make the file's directory and `.retain/trash` accessible to this user, then run again",
        ),
        RunError::Stopped { source, .. } if is_about_room(source) => help(source),
        RunError::Stopped { .. } => Some(
            "what it had done is recorded, `retain runs last` shows it; mend the cause and run again",
        ),
        RunError::Policy(_)
        | RunError::Store(_)
        | RunError::Journal(_)
        | RunError::Plan(_)
        | RunError::Holds(_)
        | RunError::Trash(_)
        | RunError::Latched(_)
        | RunError::Tripped { .. }
        | RunError::System(_) => None,
    }
}

fn is_about_room(error: &RunError) -> bool {
    matches!(help(error), Some(NO_ROOM | NO_STATE_ROOM))
}

fn show_findings(findings: &Diagnostics, untouched: &str) {
    for finding in &findings.0 {
        complain(&finding.render(look()));
    }
    let errors = findings
        .0
        .iter()
        .filter(|f| f.severity() == Severity::Error)
        .count();
    complain(&match errors {
        1 => format!("1 mistake; {untouched}"),
        errors => format!("{errors} mistakes; {untouched}"),
    });
}

/// `retain plan | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
