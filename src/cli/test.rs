//! `retain test`

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::json;

use super::{Edge, Exit, complain, files_and_stores, look, say, show_findings};
use crate::config::read_policy;
use crate::diagnostic::{Diagnostic, Source};
use crate::plan::{Failure, Trial, trials, uncovered, word};
use crate::policy::{self, Fate, Policy};

/// Run the `test` blocks of policies on the trees they give.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    /// Policy files, or names of stores; the policies of all stores when none is named.
    #[arg(value_name = "POLICY|STORE")]
    targets: Vec<String>,
    /// Name the statements that no test has shown deciding about a file.
    #[arg(long)]
    coverage: bool,
}

impl Test {
    pub(super) fn run(&self, edge: &Edge) -> anyhow::Result<Exit> {
        let mut all = Vec::new();
        for (source, directory) in self.sources(edge)? {
            let loaded = edge.environment.ask(&directory, |world| {
                // What tests do not set is not set: they say the same everywhere.
                let hermetic = policy::Environment {
                    variable: &|_| Ok(None),
                    ..world
                };
                policy::load(&source, hermetic).map(|checked| {
                    let trials = trials(&source, &checked.policy, world);
                    (checked.policy, trials)
                })
            });
            match loaded {
                Ok((policy, trials)) => all.push((source, policy, trials)),
                Err(findings) => {
                    show_findings(&findings, "nothing was tested");
                    return Ok(Exit::Refused);
                }
            }
        }
        match edge.is_json() {
            true => say(
                &json!({ "policies": all.iter().map(policy_json).collect::<Vec<_>>() }).to_string(),
            )?,
            false => self.show(&all)?,
        }
        let failed = all.iter().flat_map(|(_, _, trials)| trials).any(is_failed);
        Ok(match failed {
            true => Exit::No,
            false => Exit::Done,
        })
    }

    /// The policies meant, each with the directory its names are relative to.
    fn sources(&self, edge: &Edge) -> anyhow::Result<Vec<(Source, PathBuf)>> {
        let mut sources = Vec::new();
        let (files, stores) = files_and_stores(&self.targets)?;
        for file in files {
            let directory = std::env::current_dir()?;
            match read_policy(&std::path::absolute(&file)?, &directory) {
                Ok(source) => sources.push((source, directory)),
                Err(reason) => anyhow::bail!("cannot read `{file}`: {reason}"),
            }
        }
        if stores.is_empty() && !sources.is_empty() {
            return Ok(sources);
        }
        let config = edge.load()?;
        let mut seen = BTreeSet::new();
        let stores = match stores.is_empty() {
            true => config.stores.values().collect(),
            false => edge.stores(&config, &stores)?,
        };
        for store in stores {
            if seen.insert(store.policy.path.clone()) {
                match read_policy(&store.policy.path, config.directory()) {
                    Ok(source) => sources.push((source, config.directory().to_owned())),
                    Err(reason) => {
                        anyhow::bail!("cannot read `{}`: {reason}", store.policy.written)
                    }
                }
            }
        }
        Ok(sources)
    }

    fn show(&self, all: &[(Source, Policy, Vec<Trial>)]) -> anyhow::Result<()> {
        let (mut tests, mut failed) = (0, 0);
        for (source, policy, trials) in all {
            for trial in trials {
                tests += 1;
                let place = format!("{}:{}", source.name(), trial.case.line);
                match is_failed(trial) {
                    false => say(&format!("ok      {place}  {}", trial.case.name))?,
                    true => {
                        failed += 1;
                        say(&format!("FAILED  {place}  {}", trial.case.name))?;
                        show_trial(trial)?;
                    }
                }
            }
            if trials.is_empty() {
                say(&format!("none    {}  has no `test` block", source.name()))?;
            }
            if self.coverage {
                let missing = uncovered(policy, trials);
                let decisive = policy.rules().iter().enumerate();
                let all = decisive.filter(|(index, _)| policy.decides(*index)).count();
                say(&format!(
                    "        {} of {all} statements decided about some file",
                    all - missing.len()
                ))?;
                for rule in missing {
                    say(&format!("        never: {rule}  {}", rule.text))?;
                }
            }
        }
        say(&match (tests, failed) {
            (1, 0) => "1 test holds".to_owned(),
            (tests, 0) => format!("{tests} tests hold"),
            (tests, failed) => format!("{failed} of {tests} tests failed"),
        })
    }
}

fn is_failed(trial: &Trial) -> bool {
    trial.refused.is_some() || !trial.failures.is_empty()
}

fn show_trial(trial: &Trial) -> anyhow::Result<()> {
    if let Some(findings) = &trial.refused {
        complain("the policy has mistakes with the variables this test sets:");
        show_findings(findings, "this test was not run");
    }
    for failure in &trial.failures {
        complain(&finding(trial, failure).render(look()));
        for (rule, said) in &failure.said {
            say(&format!("          {rule}  {}", rule.text))?;
            for test in &said.tests {
                say(&format!("              {test}"))?;
            }
            if said.tests.is_empty() {
                say(&format!("              holds: {}", word(said.holds)))?;
            }
        }
    }
    Ok(())
}

fn finding(trial: &Trial, failure: &Failure) -> Diagnostic {
    let expected = &failure.expected;
    let message = format!("`{}` {}", expected.path, failure.found);
    let at = expected.at.clone();
    Diagnostic::error("R0901", &trial.case.source, at, message)
        .label(format!("expected: {}", fate(expected.fate)))
        .help("below is what every statement says about this file; change the policy, or what the test expects")
}

fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Keep => "keep",
        Fate::Delete => "delete",
        Fate::Replace => "replace",
    }
}

fn policy_json((source, policy, trials): &(Source, Policy, Vec<Trial>)) -> serde_json::Value {
    let tests = trials.iter().map(|trial| {
        let failures = trial.failures.iter().map(|failure| {
            json!({
                "path": failure.expected.path.to_string(),
                "expected": fate(failure.expected.fate),
                "by": failure.expected.by,
                "found": failure.found,
                "line": trial.case.source.position(failure.expected.at.start).0,
            })
        });
        json!({
            "name": trial.case.name,
            "line": trial.case.line,
            "holds": !is_failed(trial),
            "failures": failures.collect::<Vec<_>>(),
            "mistakes": trial.refused.as_ref().map(ToString::to_string),
        })
    });
    let never = uncovered(policy, trials);
    json!({
        "policy": source.name(),
        "tests": tests.collect::<Vec<_>>(),
        "never_decided": never.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
