//! A policy's `test` blocks, each planned over the tree it gives.
//!
//! Nothing is read or written: a test's files are facts, its moment and its variables
//! are what the block says. The decisions are the planner's own, so a test that passes
//! says what a run would do.

use std::collections::{BTreeMap, BTreeSet};

use super::{Ask, Decision, Disk, Passed, plan_explained};
use crate::diagnostic::{Diagnostics, Source};
use crate::entry::Entry;
use crate::path::RelPath;
use crate::policy::{self, Environment, Expected, Matcher, Policy, Rule, Said, TestCase, Truth};
use crate::scan::Inventory;
use crate::time::Now;

/// What became of one test block.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The block.
    pub case: TestCase,
    /// Expectations that did not hold, in the order written.
    pub failures: Vec<Failure>,
    /// The policy has mistakes with the variables the test sets.
    pub refused: Option<Diagnostics>,
    /// Statements that decided about some file, as indices into the policy's rules.
    pub decided: BTreeSet<usize>,
}

/// An expectation that did not hold.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was expected.
    pub expected: Expected,
    /// What is decided instead, in words: `is kept by charts.retain:15 @aapl`.
    pub found: String,
    /// What every statement in whose scope the file lies says about it.
    pub said: Vec<(Rule, Said)>,
}

/// Runs every test block of a policy. The policy is read again for each one that sets
/// variables.
pub fn trials(source: &Source, policy: &Policy, environment: Environment<'_>) -> Vec<Trial> {
    let cases = policy.tests().iter();
    cases
        .map(|case| trial(source, policy, case, environment))
        .collect()
}

fn trial(source: &Source, policy: &Policy, case: &TestCase, environment: Environment<'_>) -> Trial {
    let mut trial = Trial {
        case: case.clone(),
        failures: Vec::new(),
        refused: None,
        decided: BTreeSet::new(),
    };
    // A test never depends on the variables of the machine it runs on.
    let variable = |name: &str| {
        let set = case.variables.iter().find(|(known, _)| known == name);
        Ok(set.map(|(_, value)| value.clone()))
    };
    let hermetic = Environment {
        variable: &variable,
        ..environment
    };
    match policy::load(source, hermetic) {
        Ok(checked) => run(&checked.policy, &mut trial),
        Err(findings) => trial.refused = Some(findings),
    }
    // Rules are numbered alike: the texts are the same.
    debug_assert!(
        trial
            .decided
            .iter()
            .all(|rule| *rule < policy.rules().len())
    );
    trial
}

fn run(policy: &Policy, trial: &mut Trial) {
    let case = &trial.case;
    let entries: Vec<Entry> = case
        .given
        .iter()
        .map(|given| Entry {
            path: given.path.clone(),
            facts: Ok(given.facts),
        })
        .collect();
    let inventory = Inventory::of_entries(entries);
    let now = Now::at(case.now);
    let ask = Ask {
        store: "test".to_owned(),
        root: String::new(),
        now: now.clone(),
        disk: disk(case),
        basis: std::collections::BTreeMap::new(),
        ledger: Vec::new(),
        held: Default::default(),
        symlinks: Default::default(),
        notices: Vec::new(),
        passed: Passed::default(),
    };
    let paths: Vec<RelPath> = case.given.iter().map(|given| given.path.clone()).collect();
    let (_, decisions) = plan_explained(policy, &inventory, ask, &paths);
    let matcher = Matcher::new(policy, &now);
    let decisions: BTreeMap<&RelPath, Decision> = paths.iter().zip(decisions).collect();
    trial.decided = decisions.values().filter_map(|found| found.rule).collect();
    let mut failures = Vec::new();
    for expected in &case.expectations {
        let Some(found) = decisions.get(&expected.path) else {
            continue;
        };
        let rules = policy.rules();
        let is_known = |label: &String| rules.iter().any(|r| r.label.as_ref() == Some(label));
        let by = found.rule.and_then(|rule| rules.get(rule)?.label.as_ref());
        let wrong = match &expected.by {
            Some(label) if !is_known(label) => Some(format!(
                "{}; and no statement has the label `@{label}`",
                found.words
            )),
            Some(label) if by != Some(label) => Some(found.words.clone()),
            _ if found.fate != expected.fate => Some(found.words.clone()),
            _ => None,
        };
        if let Some(words) = wrong {
            failures.push(Failure {
                expected: expected.clone(),
                found: words,
                said: said(policy, &matcher, case, &expected.path),
            });
        }
    }
    trial.failures = failures;
}

/// A disk of a million million bytes, so full as the test says.
fn disk(case: &TestCase) -> Option<Disk> {
    const TOTAL: u64 = 1_000_000_000_000;
    let used = TOTAL / 100 * case.disk?;
    Some(Disk {
        used,
        available: TOTAL - used,
    })
}

fn said(
    policy: &Policy,
    matcher: &Matcher<'_>,
    case: &TestCase,
    path: &RelPath,
) -> Vec<(Rule, Said)> {
    let given = case.given.iter().find(|given| given.path == *path);
    let Some(given) = given else {
        return Vec::new();
    };
    let entry = Entry {
        path: given.path.clone(),
        facts: Ok(given.facts),
    };
    let said = matcher.explain(&entry).into_iter();
    said.filter_map(|said| Some((policy.rules().get(said.rule)?.clone(), said)))
        .collect()
}

/// Statements no test has shown at work: neither the deciding one of any file.
pub fn uncovered<'p>(policy: &'p Policy, trials: &[Trial]) -> Vec<&'p Rule> {
    let decided: BTreeSet<usize> = trials
        .iter()
        .flat_map(|trial| &trial.decided)
        .copied()
        .collect();
    let rules = policy.rules().iter().enumerate();
    rules
        .filter(|(index, rule)| {
            !decided.contains(index) && policy.decides(*index) && !rule.text.is_empty()
        })
        .map(|(_, rule)| rule)
        .collect()
}

/// Whether a truth is told by a word.
pub fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}
