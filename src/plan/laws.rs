//! The planner against the language read aloud, over policies and trees that are made
//! up; and the laws that hold for any policy.
//!
//! A case is a tape of bytes that choices are read from, so that a failing one shrinks
//! to few and simple choices.

mod made_up;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::{Action, Ask, Census, Disk, Group, Passed, Plan, Sieve, Spool, Tally, plan};
use crate::diagnostic::Source;
use crate::entry::{Entry, Kind, Unreadable};
use crate::path::RelPath;
use crate::policy::{self, Environment, Fate, Policy, reference};
use crate::scan::{Inventory, Sift};
use made_up::{
    BUDGETS, Clock, DIRECTORIES, FLOORS, FLOORS_AND_BUDGETS, NAMES, TEMPLATES, Tape, condition,
    facts, groups_text, many_files, now, plain_tree, policy_text, shuffled, tree, with_statement,
};

fn load(statements: &[String]) -> Option<(Source, Policy)> {
    let text = format!("edition 2026\n{}\n", statements.join("\n"));
    let source = Source::new("made-up.retain", text);
    match policy::load(&source, Environment::nothing()) {
        Ok(checked) => Some((source, checked.policy)),
        Err(findings) => {
            // Only contradictions between statements that are sound alone.
            let expected = ["R0320", "R0321", "R0322", "R0371"];
            let all = findings
                .0
                .iter()
                .filter(|f| f.severity() == crate::diagnostic::Severity::Error);
            for finding in all {
                assert!(
                    expected.contains(&finding.code()),
                    "{}\n{}",
                    source.text(),
                    finding.render(crate::diagnostic::Look::Plain)
                );
            }
            None
        }
    }
}

const DISK: Disk = Disk {
    used: 91_000,
    available: 9_000,
};

fn planned(policy: &Policy, entries: &[Entry]) -> Plan {
    let inventory = Inventory::of_entries(entries.to_vec());
    planned_from(policy, &inventory, Passed::default())
}

/// The same from the files alone that a sieve keeps; the others are counted in two parts,
/// as two threads do.
fn sifted(policy: &Policy, entries: &[Entry]) -> Plan {
    sifted_by(policy, entries, None).0
}

fn sifted_by(policy: &Policy, entries: &[Entry], counting: Option<&[String]>) -> (Plan, Census) {
    let mut inventory = Inventory::of_entries(entries.to_vec());
    let now = now();
    let matcher = policy::Matcher::new(policy, &now);
    let sieve = Sieve::new(
        matcher,
        Default::default(),
        Default::default(),
        Default::default(),
    );
    let sieve = match counting {
        Some(by) => sieve.counting(Some(by)),
        None => sieve,
    };
    let mut parts = [Passed::default(), Passed::default()];
    let mut turn = 0;
    let directory = facts(&mut Tape(&[]), 0);
    inventory.entries.retain(|entry| {
        turn += 1;
        let part = &mut parts[turn % 2];
        let kind = entry.facts.as_ref().map_or(Kind::File, |facts| facts.kind);
        let told = turn % 3 > 0;
        let directory_of = entry.path.parent().expect("it lies in one");
        assert_eq!(sieve.begin(&directory_of, Some(&directory), part), None);
        let mut place = None;
        let passes = told && sieve.passes(&entry.path, kind, &mut place, part);
        let kept = !passes && sieve.keeps(entry, place, part);
        sieve.end(&directory_of, Some(&directory), None, part);
        kept
    });
    let mut passed = Passed::all(parts);
    let back = sieve.bring_back(&mut passed).unwrap();
    inventory.entries.extend(back);
    inventory.entries.sort_by(|a, b| a.path.cmp(&b.path));
    let census = passed.take_census();
    (planned_from(policy, &inventory, passed), census)
}

/// A plan is the same whether or not files were laid aside for it.
fn laid_aside_or_not(
    (source, policy): (&Source, &Policy),
    entries: &[Entry],
) -> Result<(), TestCaseError> {
    let mut whole = planned(policy, entries);
    let plan = sifted(policy, entries);
    // Nobody needs to know how large it is what no statement speaks of.
    prop_assert_eq!(whole.totals.uncovered.files, plan.totals.uncovered.files);
    whole.totals.uncovered = plan.totals.uncovered;
    prop_assert_eq!(plan, whole, "{}\n{:#?}", source.text(), entries);
    Ok(())
}

#[test]
fn of_what_was_laid_aside_and_is_lost_nothing_goes() {
    for statement in [
        "limit count to 100, evicting oldest first",
        "limit count to 100, evicting lowest {s} first",
        "keep newest 100\ndelete always",
    ] {
        let text = format!(
            "collection c at \"{{s}}/*\" {{\nage is measured from last modified\n{statement}\n}}"
        );
        let (_, policy) = load(&[text, "stop never".to_owned()]).unwrap();
        let now = now();
        let place = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::beyond(0, place.path().to_owned()));
        let walked = || {
            let matcher = policy::Matcher::new(&policy, &now);
            let none = (Default::default(), Default::default(), Default::default());
            let sieve = Sieve::new(matcher, none.0, none.1, none.2).spooling(Arc::clone(&spool));
            let mut passed = Passed::default();
            for number in 0..600 {
                let path = RelPath::parse(format!("a/{number:04}")).unwrap();
                let facts = Ok(facts(&mut Tape(&[]), number));
                assert!(!sieve.keeps(&Entry { path, facts }, None, &mut passed));
            }
            (sieve, passed)
        };
        let (sieve, mut passed) = walked();
        let back = sieve.bring_back(&mut passed).unwrap().len();
        assert!(passed.steps.in_order().len() + back >= 500, "{statement}");

        let (sieve, mut passed) = walked();
        spool.lose(1_000);
        assert!(sieve.bring_back(&mut passed).is_err(), "{statement}");
        assert!(passed.steps.in_order().is_empty(), "{statement}");
    }
}

#[test]
fn groups_that_several_threads_find_are_one() {
    let entries = many_files();
    for statements in [
        "keep newest 3 per {s}\nkeep newest 2 per {t}\ndelete when older than 1 day",
        "keep 2 daily, 1 yearly per {t}\nkeep newest 1 where size over 3 kB\ndelete always",
        "keep newest 3 per {s}\nlimit count to 10 per {s}, evicting oldest first\n\
         limit total size to 9 MB, evicting largest first\ndelete when older than 2 weeks",
    ] {
        let text = format!(
            "collection c at \"{{s}}/{{t}}/*\" {{\nage is measured from last modified\n{statements}\n}}"
        );
        let head = ["timezone \"UTC\"", "stop never"].map(str::to_owned);
        let (_, policy) = load(&[&head[..], &[text]].concat()).unwrap();
        let now = now();
        let matcher = policy::Matcher::new(&policy, &now);
        let none = (Default::default(), Default::default(), Default::default());
        let sieve = Sieve::new(matcher, none.0, none.1, none.2);
        let mut passed = Passed::default();
        assert!(
            !entries
                .iter()
                .any(|entry| sieve.keeps(entry, None, &mut passed))
        );
        assert_eq!(sieve.bring_back(&mut passed).unwrap(), []);
        let plan = planned_from(&policy, &Inventory::default(), passed);
        let whole = planned(&policy, &entries);
        assert!(plan.steps.len() > 1_000 && plan.floors.len() > 1);
        assert!(plan == whole, "{statements}");
    }
}

fn planned_from(policy: &Policy, inventory: &Inventory, passed: Passed) -> Plan {
    let ask = Ask {
        store: "s".to_owned(),
        root: String::new(),
        now: now(),
        disk: Some(DISK),
        basis: Default::default(),
        ledger: Vec::new(),
        held: Default::default(),
        symlinks: Default::default(),
        notices: Vec::new(),
        passed,
    };
    plan(policy, inventory, ask)
}

fn fates(plan: &Plan) -> BTreeMap<String, Fate> {
    let steps = plan.steps.iter();
    steps
        .filter_map(|step| {
            let fate = match step.action {
                Action::Remove => Fate::Delete,
                Action::Replace { .. } => Fate::Replace,
                // It stays, as the reference has it.
                Action::BackUp => return None,
            };
            Some((step.path.as_str().unwrap().to_owned(), fate))
        })
        .collect()
}

fn deleted(plan: &Plan) -> BTreeSet<String> {
    let all = fates(plan).into_iter();
    all.filter(|(_, fate)| *fate == Fate::Delete)
        .map(|(path, _)| path)
        .collect()
}

fn tape() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..400)
}

/// As many cases as `PROPTEST_CASES` says, else the library's 256.
fn cases() -> ProptestConfig {
    ProptestConfig {
        max_global_rejects: 1_000_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_planner_decides_what_the_language_read_aloud_does(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let statements = policy_text(&mut tape);
        let Some((source, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = tree(&mut tape);
        let world = reference::World {
            entries: &entries,
            now: now().zoned(&policy.zone()),
            disk: Some((DISK.used, DISK.available)),
        };
        let expected = reference::decide(&policy::tree(&source), world);
        let plan = planned(&policy, &entries);
        prop_assert_eq!(fates(&plan), expected, "{}\n{:#?}", source.text(), entries);

        // A plan read back from its document is the plan.
        let again = Plan::from_json(&plan.to_json()).unwrap();
        prop_assert_eq!(&again, &plan);
    }

    #[test]
    fn what_a_plan_does_not_remember_changes_nothing_in_it(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let mut statements = policy_text(&mut tape);
        for statement in &mut statements {
            let more = tape.one(&[
                "",
                "delete empty directories when older than 1 hour",
                "stop if a run would delete more than 10% of files",
            ]);
            *statement = with_statement(statement, more);
        }
        // Instead of `stop never`.
        if tape.below(2) == 1 {
            let last = statements.last_mut().expect("it ends so");
            *last = tape.one(&["", "stop if a run would delete more than 20% of files"]).to_owned();
        }
        let Some((source, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let mut entries = tree(&mut tape);
        for entry in &mut entries {
            if let (Ok(facts), 7) = (&mut entry.facts, tape.below(8)) {
                facts.kind = Kind::Symlink;
            }
        }
        laid_aside_or_not((&source, &policy), &entries)?;
    }

    #[test]
    fn budgets_take_what_they_would_if_nothing_was_laid_aside(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let Some((source, policy)) = load(&groups_text(&mut tape, &BUDGETS)) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        laid_aside_or_not((&source, &policy), &plain_tree(&mut tape))?;
    }

    #[test]
    fn floors_hold_what_they_would_if_nothing_was_laid_aside(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let kinds = tape.one(&[&FLOORS[..], &FLOORS_AND_BUDGETS]);
        let Some((source, policy)) = load(&groups_text(&mut tape, kinds)) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        laid_aside_or_not((&source, &policy), &plain_tree(&mut tape))?;
    }

    #[test]
    fn a_census_is_of_all_files_whatever_is_remembered(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let statements = policy_text(&mut tape);
        let Some((source, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = tree(&mut tape);
        let captures = policy.captures().into_iter().map(str::to_owned);
        let by: Vec<String> = captures.filter(|_| tape.below(2) == 1).collect();
        let (plan, census) = sifted_by(&policy, &entries, Some(&by));
        // Every file was looked at, so that all sums are as of a plan that remembers all.
        prop_assert_eq!(&plan, &planned(&policy, &entries), "{}", source.text());

        let now = now();
        let matcher = policy::Matcher::new(&policy, &now);
        let mut groups: BTreeMap<Vec<String>, Tally> = BTreeMap::new();
        let mut grouped = BTreeSet::new();
        for (index, collection) in policy.collections.iter().enumerate() {
            let places: Option<Vec<usize>> =
                by.iter().map(|name| collection.template.capture(name)).collect();
            let mut all = Vec::new();
            let mut used: Vec<BTreeMap<Vec<String>, u64>> = vec![BTreeMap::new(); collection.limits.len()];
            for entry in &entries {
                let memberships = matcher.memberships(&entry.path);
                let place = memberships.iter().find(|place| place.collection == index);
                let (Some(place), Ok(facts)) = (place, &entry.facts) else { continue };
                if facts.kind != Kind::File {
                    continue;
                }
                all.push(*facts);
                let values = place.spans.values(entry.path.as_bytes());
                let of = |places: &[usize]| -> Vec<String> {
                    places.iter().map(|&at| values.get(at).unwrap().to_owned()).collect()
                };
                for (limit, used) in collection.limits.iter().zip(&mut used) {
                    let subject = matcher.subject(entry, place).unwrap();
                    if matcher.truth(&limit.condition, subject) == policy::Truth::True {
                        *used.entry(of(&limit.per)).or_default() += match limit.measure {
                            policy::Measure::Count => 1,
                            policy::Measure::TotalSize => facts.allocated,
                        };
                    }
                }
                if let Some(places) = &places
                    && grouped.insert(entry.path.clone())
                {
                    groups.entry(of(places)).or_default().add(facts);
                }
            }
            let sum = census.of_collection(index);
            prop_assert_eq!(sum.map_or(0, |sum| sum.tally.files), all.len() as u64);
            prop_assert_eq!(sum.map(|sum| sum.oldest), all.iter().map(|facts| facts.modified).min());
            prop_assert_eq!(sum.map(|sum| sum.newest), all.iter().map(|facts| facts.modified).max());
            for (limit, used) in used.into_iter().enumerate() {
                let owned = |group: &Group| group.values().map(str::to_owned).collect();
                let counted = census.of_limit(index, limit).map(|(values, used)| (owned(values), used));
                prop_assert_eq!(counted.collect::<BTreeMap<Vec<String>, u64>>(), used);
            }
        }
        let counted = census.groups().map(|(values, sum)| {
            (values.values().map(str::to_owned).collect(), sum.tally)
        });
        prop_assert_eq!(counted.collect::<BTreeMap<Vec<String>, Tally>>(), groups);
    }

    #[test]
    fn the_order_of_statements_decides_nothing(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let statements = policy_text(&mut tape);
        let Some((_, policy)) = load(&statements) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let entries = tree(&mut tape);
        let other = shuffled(&statements, &mut tape);
        let (source, shuffled) = load(&other).expect("as sound as before");
        prop_assert_eq!(
            fates(&planned(&policy, &entries)),
            fates(&planned(&shuffled, &entries)),
            "{}", source.text()
        );
    }

    #[test]
    fn a_protection_more_never_lets_delete_take_more(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let mut statements = policy_text(&mut tape);
        // Budgets may turn to other files when one is protected; `delete` must not.
        statements.retain(|statement| !statement.starts_with("when"));
        for statement in &mut statements {
            let lines = statement.lines().filter(|line| !line.trim_start().starts_with("limit"));
            *statement = lines.collect::<Vec<_>>().join("\n");
        }
        let entries = tree(&mut tape);
        let (_, policy) = load(&statements).expect("sound");
        let before = deleted(&planned(&policy, &entries));
        let (template, captures) = tape.one(&TEMPLATES);
        let filter = condition(&mut tape, captures, Clock::None, 1);
        statements.push(format!("protect \"{template}\" where {filter}"));
        let (source, policy) = load(&statements).expect("sound");
        let after = deleted(&planned(&policy, &entries));
        prop_assert!(after.is_subset(&before), "{}\n{:?}", source.text(), after.difference(&before));
    }

    #[test]
    fn what_cannot_be_read_never_lets_delete_take_more(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let mut statements = policy_text(&mut tape);
        statements.retain(|statement| !statement.starts_with("when"));
        for statement in &mut statements {
            // A floor turns to the next file when one cannot be dated.
            let lines = statement.lines().filter(|line| {
                let line = line.trim_start();
                let floor = line.starts_with("keep ") && !line.starts_with("keep when") && !line.starts_with("keep for");
                !line.starts_with("limit") && !floor
            });
            *statement = lines.collect::<Vec<_>>().join("\n");
        }
        let (source, policy) = load(&statements).expect("sound");
        let mut entries = tree(&mut tape);
        let before = deleted(&planned(&policy, &entries));
        if !entries.is_empty() {
            let at = tape.below(entries.len());
            entries[at].facts = Err(Unreadable { reason: "permission denied".to_owned() });
        }
        let after = deleted(&planned(&policy, &entries));
        prop_assert!(after.is_subset(&before), "{}\n{:?}", source.text(), after.difference(&before));
    }

    #[test]
    fn pruning_hides_no_match(bytes in tape()) {
        let mut tape = Tape(&bytes);
        let Some((source, policy)) = load(&policy_text(&mut tape)) else {
            return Err(TestCaseError::reject("contradiction"));
        };
        let now = now();
        let matcher = policy::Matcher::new(&policy, &now);
        for directory in DIRECTORIES {
            for name in NAMES {
                let path = RelPath::parse(format!("{directory}/{name}")).unwrap();
                let named = !matcher.memberships(&path).is_empty() || matcher.lies_in_unit(&path);
                let mut above = path.parent();
                while let Some(directory) = above {
                    let hidden = matcher.visit(&directory) == crate::entry::Visit::Nothing;
                    prop_assert!(!(named && hidden), "{} hides {path}\n{}", directory, source.text());
                    above = directory.parent();
                }
            }
        }
    }
}
