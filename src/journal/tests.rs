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
    ]
}

fn begun(journal: &mut Journal, store: &str) -> RunId {
    let now = Now::at("2026-11-23T19:01:02Z".parse().unwrap());
    let id = RunId::new(&now).unwrap();
    let plan = crate::plan::empty_for_tests(store, now);
    let start = Start {
        id: &id,
        plan: &plan,
        root: &format!("root of {store}"),
        root_path: Path::new("/srv"),
        at: "2026-11-23T19:01:02Z".to_owned(),
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
        .map(|n| intent(format!("{n}\n\u{fffd}").as_bytes()))
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
        removed: 1,
        vanished: 1,
        freed: 4096,
        kept: 4,
        trouble: 4,
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
