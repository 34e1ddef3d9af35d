use super::*;
use crate::entry::{FileId, Kind};
use crate::time::{Now, Stamp};
use proptest::prelude::*;

fn intent(path: &[u8]) -> Intent {
    let stamp = Stamp::new(1_700_000_000, 5);
    Intent {
        path: RelPath::parse(path).unwrap(),
        rule: 0,
        facts: Facts {
            kind: Kind::File,
            id: FileId {
                device: 1,
                inode: u64::MAX,
            },
            size: 7,
            allocated: 4096,
            modified: stamp,
            changed: stamp,
            accessed: stamp,
            created: None,
            links: 1,
            mode: 0o100_644,
            owner: 1,
            group: 2,
        },
    }
}

fn outcomes() -> Vec<Outcome> {
    let (plugin, reason) = ("p".to_owned(), "r".to_owned());
    vec![
        Outcome::Removed { freed: 4096 },
        Outcome::Replaced { freed: 512 },
        Outcome::Vanished,
        Outcome::Changed,
        Outcome::FloorGone,
        Outcome::Kept {
            plugin: plugin.clone(),
            reason: reason.clone(),
        },
        Outcome::Blocked {
            plugin,
            reason: reason.clone(),
        },
        Outcome::Unverifiable {
            reason: reason.clone(),
        },
        Outcome::Failed {
            reason: reason.clone(),
        },
        Outcome::InTrash {
            place: "x".to_owned(),
            reason,
        },
        Outcome::Interrupted,
        Outcome::Trashed,
        Outcome::Busy {
            reason: "w".to_owned(),
        },
        Outcome::Held {
            hold: "h".to_owned(),
        },
        Outcome::Remains { freed: 1 },
        Outcome::Undone,
        Outcome::Purged { freed: 2 },
    ]
}

fn begun(journal: &mut Journal, store: &str) -> RunId {
    let now = Now::at("2026-11-23T19:01:02Z".parse().unwrap());
    let id = RunId::new(&now).unwrap();
    let plan = crate::plan::empty_for_tests(store, now);
    let start = Start {
        id: &id,
        plan: &plan,
        digest: plan.digest(),
        root: &format!("root of {store}"),
        root_path: Path::new("/srv"),
        at: "2026-11-23T19:01:02Z".to_owned(),
        found: None,
    };
    journal.begin(&start).unwrap();
    id
}

#[test]
fn every_outcome_is_read_back_as_it_was_written() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(&state.path().join("new/state")).unwrap();
    let run = begun(&mut journal, "charts");
    let outcomes = outcomes();
    let intents: Vec<Intent> = (0..outcomes.len())
        .map(|n| intent(format!("{n:02}\n\u{fffd}").as_bytes()))
        .collect();
    let batch = journal.intend(&run, &intents).unwrap();
    journal.settle(batch, &outcomes).unwrap();
    let (summary, settled) = journal.run(&run).unwrap();
    let found: Vec<_> = settled
        .into_iter()
        .map(|file| file.outcome.unwrap())
        .collect();
    assert_eq!(found, outcomes);
    let tallies = Tallies {
        replaced: 1,
        removed: 3,
        trashed: 1,
        vanished: 1,
        freed: 4609,
        kept: 7,
        trouble: 5,
        directories: 0,
        backed_up: 0,
    };
    assert_eq!(summary.tallies, tallies);
}

#[test]
fn an_intent_without_outcome_is_found_after_a_crash() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let run = begun(&mut journal, "charts");
    let wanted = [intent(b"a\xff"), intent(b"b")];
    let batch = journal.intend(&run, &wanted).unwrap();
    drop(journal);

    let mut journal = Journal::open(state.path()).unwrap();
    let [left] = journal
        .unsettled("root of charts")
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!((left.run, left.batch), (run.clone(), batch));
    assert_eq!(left.intents, wanted);
    assert!(journal.unsettled("root of logs").unwrap().is_empty());
    assert_eq!(
        journal.unfinished("root of charts").unwrap(),
        std::slice::from_ref(&run)
    );

    journal
        .settle(batch, &[Outcome::Interrupted, Outcome::Vanished])
        .unwrap();
    journal
        .finish(&run, "2026-11-23T19:02:00Z", State::Interrupted)
        .unwrap();
    assert!(journal.unsettled("root of charts").unwrap().is_empty());
    assert!(journal.unfinished("root of charts").unwrap().is_empty());
}

#[test]
fn a_run_is_found_by_its_end_and_an_unclear_name_lists_what_it_may_mean() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    assert!(journal.find_run("last").is_err());
    let [one, two] = [0, 1].map(|_| begun(&mut journal, "charts"));
    assert_eq!(journal.find_run(one.as_str()).unwrap(), one);
    let end = two.as_str().rsplit('-').next().unwrap();
    assert_eq!(journal.find_run(end).unwrap(), two);
    let unclear = journal.find_run("20261123").unwrap_err().to_string();
    assert!(unclear.contains(one.as_str()) && unclear.contains(two.as_str()));
}

#[test]
fn two_processes_may_use_one_journal() {
    let state = tempfile::tempdir().unwrap();
    let mut journals = [0, 1].map(|_| Journal::open(state.path()).unwrap());
    let runs = journals.each_mut().map(|journal| begun(journal, "charts"));
    assert_eq!(journals[0].runs(10).unwrap().len(), 2);
    assert!(journals[1].run(&runs[0]).is_ok());
}

#[test]
fn a_later_form_a_broken_file_and_a_wrong_place_are_refused_in_words() {
    let state = tempfile::tempdir().unwrap();
    drop(Journal::open(state.path()).unwrap());
    let database = Connection::open(state.path().join(FILE)).unwrap();
    database.pragma_update(None, "user_version", 99).unwrap();
    drop(database);
    let message = |path: &Path| Journal::open(path).unwrap_err().to_string();
    assert!(message(state.path()).contains("use the newer retain"));

    let broken = tempfile::tempdir().unwrap();
    fs::write(broken.path().join(FILE), "x".repeat(5_000)).unwrap();
    assert!(message(broken.path()).contains("not a database"));

    fs::write(broken.path().join("file"), "").unwrap();
    let refused = message(&broken.path().join("file"));
    assert!(
        refused.contains("cannot use the state directory"),
        "{refused}"
    );
}

#[test]
fn reading_makes_no_journal_and_the_journal_is_private() {
    let state = tempfile::tempdir().unwrap();
    let place = state.path().join("state");
    assert!(Journal::open_existing(&place).unwrap().is_none());
    assert!(!place.exists());
    drop(Journal::open(&place).unwrap());
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o700);
    assert_eq!(
        fs::metadata(place.join(FILE)).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn reading_changes_nothing_and_waits_for_no_writer() {
    let state = tempfile::tempdir().unwrap();
    let mut writer = Journal::open(state.path()).unwrap();
    let run = begun(&mut writer, "charts");
    let file = state.path().join(FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    writer.connection.execute_batch("begin immediate").unwrap();
    let mut reader = Journal::open_existing(state.path()).unwrap().unwrap();
    assert_eq!(reader.runs(10).unwrap().len(), 1);
    writer.connection.execute_batch("rollback").unwrap();
    assert!(reader.intend(&run, &[intent(b"a")]).is_err());
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
}

proptest! {
    #[test]
    fn any_path_survives_its_form(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
        if RelPath::parse(&bytes).is_ok() {
            let intents = [intent(&bytes)];
            let text = form::write_intents(&intents).unwrap();
            prop_assert_eq!(form::read_intents(&text).unwrap(), intents);
        }
    }
}

fn policy_hold(name: &str, template: &str) -> PolicyHold {
    PolicyHold {
        name: name.to_owned(),
        text: template.to_owned(),
        until: None,
        reason: None,
    }
}

#[test]
fn a_hold_whose_line_is_gone_or_changed_is_orphaned_and_still_protects() {
    let state = tempfile::tempdir().unwrap();
    let mut journal = Journal::open(state.path()).unwrap();
    let now = Now::at("2026-11-23T19:01:02Z".parse().unwrap());
    let states = |holds: &[Hold]| -> Vec<(String, HoldState)> {
        holds
            .iter()
            .map(|hold| (hold.text.clone().unwrap(), hold.state))
            .collect()
    };
    let at = "2026-11-23T19:01:02Z";
    let seen = journal
        .see_holds("charts", &[policy_hold("case", "a/**")], at)
        .unwrap();
    assert_eq!(states(&seen), [("a/**".to_owned(), HoldState::Active)]);
    let seen = journal
        .see_holds(
            "charts",
            &[policy_hold("case", "b/**")],
            "2026-11-24T00:00:00Z",
        )
        .unwrap();
    assert_eq!(
        states(&seen),
        [
            ("a/**".to_owned(), HoldState::Orphaned),
            ("b/**".to_owned(), HoldState::Active)
        ]
    );
    assert!(seen.iter().all(|hold| hold.protects(&now)));
    assert!(journal.see_holds("logs", &[], at).unwrap().is_empty());
    let released = journal
        .release_hold("charts", "case", "over", "2026-11-25T00:00:00Z")
        .unwrap();
    assert_eq!(released.len(), 2);
    let left = journal.holds(Some("charts")).unwrap();
    assert!(!left.iter().any(|hold| hold.protects(&now)));
    assert!(journal.verify(None).unwrap().problems.is_empty());
}

#[test]
fn holds_survive_a_lost_journal_and_are_not_another_instances_to_orphan() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut first = Journal::open(one.path()).unwrap();
    let at = "2026-11-23T19:01:02Z";
    let holds = first
        .see_holds("charts", &[policy_hold("case", "a/**")], at)
        .unwrap();
    let text = mirror_text(&holds).unwrap();
    let mut second = Journal::open(two.path()).unwrap();
    second
        .merge_holds("pictures", read_mirror(&text).unwrap())
        .unwrap();
    let seen = second.see_holds("pictures", &[], at).unwrap();
    assert_eq!(seen[0].state, HoldState::Active);
    // A release counts wherever it happened.
    let released = second.release_hold("pictures", "case", "over", at).unwrap();
    first
        .merge_holds(
            "charts",
            read_mirror(&mirror_text(&released).unwrap()).unwrap(),
        )
        .unwrap();
    assert_eq!(first.holds(None).unwrap()[0].state, HoldState::Released);
    assert!(read_mirror("{").is_err());
    assert!(read_mirror("{\"version\":9,\"holds\":[]}").is_err());
}

/// A journal with a run of two batches and one receipt less end.
fn recorded(state: &Path) -> (Journal, RunId) {
    let mut journal = Journal::open(state).unwrap();
    let run = begun(&mut journal, "charts");
    for name in [b"a", b"b"] {
        let batch = journal.intend(&run, &[intent(name)]).unwrap();
        journal
            .settle(batch, &[Outcome::Removed { freed: 1 }])
            .unwrap();
    }
    journal
        .finish(&run, "2026-11-23T19:02:00Z", State::Completed)
        .unwrap();
    (journal, run)
}

#[test]
fn any_edit_of_what_was_recorded_shows() {
    let edits = [
        "update runs set planned_files = 7",
        "update runs set state = 'stopped'",
        "update batches set outcomes = x'0100' where id = 1",
        "update batches set intents = (select intents from batches where id = 2) where id = 1",
        "delete from batches where id = 2",
        "delete from chain where sequence = 3",
        "update chain set kind = 'end' where sequence = 3",
        "insert into batches (run, intents) select run, intents from batches where id = 1",
        "insert into latches values ('charts', 'breaker', '', '', '', '', null, null)",
        "insert into holds select 'x', 'charts', 'n', '**', null, '[]', '', null, null, 'manual', 'active', '', null, null",
    ];
    for edit in edits {
        let state = tempfile::tempdir().unwrap();
        let (journal, _) = recorded(state.path());
        assert_eq!(journal.verify(None).unwrap().problems, [] as [String; 0]);
        journal
            .connection
            .execute_batch(&format!("pragma foreign_keys = off; {edit}"))
            .unwrap();
        assert!(!journal.verify(None).unwrap().problems.is_empty(), "{edit}");
    }
}

#[test]
fn a_chain_that_was_written_anew_does_not_lead_through_a_head_kept_elsewhere() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (journal, _) = recorded(one.path());
    let head = journal.head().unwrap().unwrap();
    let (mut other, run) = recorded(two.path());
    assert!(
        journal
            .verify(Some(&head.hash))
            .unwrap()
            .problems
            .is_empty()
    );
    let verified = other.verify(Some(&head.hash)).unwrap();
    assert!(
        verified.problems[0].contains("does not lead through"),
        "{verified:?}"
    );
    // An earlier head stays good when more is recorded.
    let earlier = other.head().unwrap().unwrap();
    other.intend(&run, &[intent(b"c")]).unwrap();
    assert!(
        other
            .verify(Some(&earlier.hash))
            .unwrap()
            .problems
            .is_empty()
    );
}

#[test]
fn pruning_forgets_old_runs_and_leaves_a_checkpoint() {
    let state = tempfile::tempdir().unwrap();
    let (mut journal, old) = recorded(state.path());
    journal
        .see_holds(
            "charts",
            &[policy_hold("case", "**")],
            "2026-11-23T19:02:00Z",
        )
        .unwrap();
    let before = |text: &str| Stamp::from(text.parse::<jiff::Timestamp>().unwrap());
    let early = journal
        .prune(before("2026-11-01T00:00:00Z"), "now")
        .unwrap();
    assert_eq!(early, 0);
    let head = journal.head().unwrap().unwrap();
    let forgotten = journal
        .prune(before("2027-01-01T00:00:00Z"), "2027-01-01T00:00:00Z")
        .unwrap();
    assert_eq!(forgotten, 1);
    assert!(journal.run(&old).is_err());
    assert_eq!(journal.holds(None).unwrap().len(), 1);
    let verified = journal.verify(Some(&head.hash)).unwrap();
    assert_eq!(verified.problems, [] as [String; 0]);
    assert_eq!(verified.pruned.as_deref(), Some("2027-01-01T00:00:00Z"));
    let again = journal.prune(before("2027-01-01T00:00:00Z"), "x").unwrap();
    assert_eq!(again, 0);
}

#[test]
fn an_unfinished_run_is_never_pruned() {
    let state = tempfile::tempdir().unwrap();
    let (mut journal, old) = recorded(state.path());
    let open = begun(&mut journal, "charts");
    journal.intend(&open, &[intent(b"c")]).unwrap();
    let late = Stamp::from("2030-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap());
    assert_eq!(journal.prune(late, "2030-01-01T00:00:00Z").unwrap(), 1);
    assert!(journal.run(&old).is_err() && journal.run(&open).is_ok());
    assert_eq!(journal.unsettled("root of charts").unwrap().len(), 1);
    assert_eq!(journal.verify(None).unwrap().problems, [] as [String; 0]);
}
