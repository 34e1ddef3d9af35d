//! A policy held against the configuration: plugins, destinations, grants, the mount.

use crate::config::{Config, Schedule, Store};
use crate::diagnostic::Diagnostic;
use crate::policy::{self, Policy};
use crate::store::{AccessTimes, access_times};
use crate::units::{Elapsed, Span};

pub(super) fn policy_missing(config: &Config, store: &Store, reason: &str) -> Diagnostic {
    let message = format!(
        "cannot read the policy `{}`: {reason}",
        store.policy.written
    );
    Diagnostic::error("R0619", &config.source, store.policy.span.clone(), message)
        .help("paths are relative to the configuration file")
}

/// What is to be said of a policy that reads access times, on the mount its store lies
/// on; with seconds, ages by access count from that much later, without, the policy
/// cannot be used there.
pub(super) fn access_finding(policy: &Policy, store: &Store) -> Option<(Diagnostic, Option<u64>)> {
    let (source, at) = policy.reads_access_times()?;
    let message = format!("store `{}` lies on a mount", store.name);
    match access_times(&store.path.path)? {
        AccessTimes::Kept => None,
        AccessTimes::Absent => {
            let message = format!("{message} that keeps no access times (`noatime`)");
            let finding = Diagnostic::error("R0507", source, at.clone(), message);
            let help = "measure ages from `last modified`, or mount it with `relatime`";
            Some((finding.help(help), None))
        }
        AccessTimes::Lagging(seconds) => {
            let lag = Elapsed(seconds);
            let message = format!("{message} that notes a read only once in {lag} (`relatime`)");
            let finding = Diagnostic::warning("R0508", source, at.clone(), message);
            let help = format!(
                "ages by access count from {lag} later, so nothing goes early; mount it with `strictatime` for exact ones"
            );
            Some((finding.help(help), Some(seconds)))
        }
    }
}

/// A warning where a store is cleaned so seldom that its shortest age says little: files
/// with six hours to live that are looked at once a day stay for thirty.
pub(super) fn seldom_cleaned(policy: &Policy, store: &Store) -> Option<Diagnostic> {
    let wait = policy.shortest_wait()?;
    let pause = store
        .schedule
        .longest_interval()
        .filter(|_| store.enabled)?
        .as_secs();
    let age = wait.age.approximate_seconds();
    if pause <= age {
        return None;
    }
    let schedule = match &store.schedule {
        Schedule::OnRequest => return None,
        Schedule::Every(span) => format!("every {span}"),
        Schedule::Cron(text) => format!("by `{text}`, up to {} apart", Elapsed(pause)),
    };
    let message = format!(
        "this waits {}, but store `{}` is cleaned only {schedule}: files stay for up to {}",
        wait.age,
        store.name,
        Elapsed(pause.saturating_add(age)),
    );
    let help = format!(
        "clean it more often (`every = \"{}\"` in the configuration), or write the age that is meant",
        often(age)
    );
    let finding = Diagnostic::warning("R0510", &wait.source, wait.at.clone(), message);
    Some(finding.help(help))
}

/// A quarter of an age, in a unit people write; at least a minute.
fn often(age: u64) -> Span {
    let quarter = age / 4;
    let unit = [86_400, 3_600, 60]
        .into_iter()
        .find(|unit| quarter >= *unit);
    let unit = unit.unwrap_or(60);
    Span::Exact((quarter / unit).max(1).saturating_mul(unit))
}

/// Plugins and destinations a policy names and the configuration does not have, and
/// arguments the plugin does not take.
pub(super) fn check_hooks(config: &Config, policy: &Policy) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for hook in policy.hooks() {
        let source = &hook.source;
        let at = hook.plugin_at.clone();
        let Some(configured) = config.plugins.get(&hook.plugin) else {
            let message = format!("there is no plugin `{}` in the configuration", hook.plugin);
            let finding = Diagnostic::error("R0501", source, at, message);
            let names = config.plugins.keys().map(String::as_str);
            findings.push(match crate::diagnostic::nearest(&hook.plugin, names) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("add a table `[plugins.{}]`", hook.plugin)),
            });
            continue;
        };
        let loaded = crate::plugin::Plugin::load(configured, None);
        let granted_too_little =
            matches!(loaded, Err(crate::plugin::PluginError::NotGranted { .. }));
        match loaded {
            Ok(plugin) => {
                if let Some((problem, help)) = plugin.unfit_to_replace().filter(|_| hook.in_place) {
                    findings
                        .push(Diagnostic::error("R0509", source, at.clone(), problem).help(help));
                }
                if hook.backs_up && plugin.manifest().kind == crate::plugin::Kind::Reviewer {
                    let problem =
                        format!("plugin `{}` is a reviewer and stores nothing", hook.plugin);
                    let finding = Diagnostic::error("R0511", source, at.clone(), problem);
                    findings.push(finding.help("name one that archives, such as `builtin:backup`"));
                }
                findings.extend(check_arguments(configured, &plugin, hook, config, source))
            }
            Err(error) => findings.extend(configured_badly(config, configured, &error)),
        }
        let Some((destination, at)) = &hook.destination else {
            continue;
        };
        if !config.destinations.contains_key(destination) {
            let message = format!("there is no destination `{destination}` in the configuration");
            let finding = Diagnostic::error("R0503", source, at.clone(), message);
            findings.push(finding.help(format!("add a table `[destinations.{destination}]`")));
        } else if !granted_too_little && !configured.grants.destinations.contains(destination) {
            let message = format!("plugin `{}` is not granted `{destination}`", hook.plugin);
            let help = format!(
                "write `grants = {{ destinations = [\"{destination}\"] }}` under `[plugins.{}]`",
                hook.plugin
            );
            findings.push(Diagnostic::error("R0505", source, at.clone(), message).help(help));
        }
    }
    findings
}

/// What a plugin has against its arguments; a setting that is no argument is shown
/// where the configuration has it.
fn check_arguments(
    configured: &crate::config::Plugin,
    plugin: &crate::plugin::Plugin,
    hook: &policy::Hook,
    config: &Config,
    source: &crate::diagnostic::Source,
) -> Vec<Diagnostic> {
    let Err(error) = plugin.settings_with(&hook.arguments) else {
        return Vec::new();
    };
    let crate::plugin::PluginError::Settings { objections, .. } = &error else {
        return vec![Diagnostic::error(
            "R0502",
            source,
            hook.plugin_at.clone(),
            error.to_string(),
        )];
    };
    let place = |setting: &str| {
        let argument = hook.arguments_at.iter().find(|(name, _)| name == setting);
        match (argument, configured.settings_at.get(setting)) {
            (Some((_, at)), _) => (source, at.clone()),
            (None, Some(at)) => (&config.source, at.clone()),
            (None, None) => (source, hook.plugin_at.clone()),
        }
    };
    let finding = |objection: &crate::plugin::Objection| {
        let (source, at) = place(&objection.setting);
        Diagnostic::error("R0504", source, at, objection.problem.clone())
    };
    objections.iter().map(finding).collect()
}

/// What is wrong with the plugins of a configuration, whether or not a policy names
/// them yet.
pub fn check_plugins(config: &Config) -> Vec<Diagnostic> {
    let load = |configured| crate::plugin::Plugin::load(configured, None).err();
    let broken = config.plugins.values();
    let broken = broken.filter_map(|configured| Some((configured, load(configured)?)));
    broken
        .flat_map(|(configured, error)| configured_badly(config, configured, &error))
        .collect()
}

/// Why a plugin cannot be used as the configuration has it, shown there.
fn configured_badly(
    config: &Config,
    configured: &crate::config::Plugin,
    error: &crate::plugin::PluginError,
) -> Vec<Diagnostic> {
    let crate::plugin::PluginError::Settings { objections, .. } = error else {
        let at = configured.span.clone();
        let finding = Diagnostic::error("R0502", &config.source, at, error.to_string());
        return vec![match error.help() {
            Some(help) => finding.help(help),
            None => finding,
        }];
    };
    let finding = |objection: &crate::plugin::Objection| {
        let at = configured.settings_at.get(&objection.setting);
        let at = at.unwrap_or(&configured.span).clone();
        Diagnostic::error("R0504", &config.source, at, objection.problem.clone())
    };
    objections.iter().map(finding).collect()
}
