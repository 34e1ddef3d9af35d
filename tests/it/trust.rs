//! What a run did can be undone, what is held stays, and what looks wrong waits.

use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;

use super::shop::{DAY, Said, Shop};

const OLD: &str = "delete when older than 7 days";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A store whose files stay in the trash for a while.
fn with_grace(grace: &str) -> Shop {
    let shop = Shop::new(OLD);
    shop.configure(&format!("grace = \"{grace}\""));
    shop
}

trait Configured {
    fn journal(&self, change: &str);
}

impl Configured for Shop {
    /// Changes the database behind the program's back.
    fn journal(&self, change: &str) {
        let database = rusqlite::Connection::open(self.path("state/journal.sqlite3")).unwrap();
        database.execute_batch(change).unwrap();
    }
}

#[test]
fn what_a_run_removed_comes_back_from_the_trash_and_is_held() {
    let shop = with_grace("1 hour");
    for name in ["a", "dir/b", "dir/c", "\u{1b}[2J"] {
        shop.file(name, name, 10 * DAY);
    }
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("4 files in the trash until"), "{said:?}");
    assert_eq!(shop.files("store"), [] as [String; 0]);
    let list = json(&shop.ok(&["trash", "list", "--format", "json"]).out);
    assert_eq!(list[0]["files"].as_array().unwrap().len(), 4);
    let one = shop.ok(&["undo", "store/dir/b"]);
    assert!(one.out.contains("put back 1 file of run"), "{one:?}");
    assert_eq!(shop.files("store"), ["dir/b"]);
    fs::remove_dir_all(shop.path("store/dir")).unwrap();
    shop.ok(&["undo", "last"]);
    assert_eq!(shop.files("store"), ["\u{1b}[2J", "a", "dir/c"]);
    assert_eq!(
        fs::read_to_string(shop.path("store/dir/c")).unwrap(),
        "dir/c"
    );
    assert!(
        shop.ok(&["trash", "list"])
            .out
            .contains("the trash is empty")
    );
    // Held, so the next run leaves them; and the run shows what became of its files.
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("removed 0 files"), "{said:?}");
    assert_eq!(shop.files("store").len(), 3);
    let runs = json(&shop.ok(&["runs", "--format", "json"]).out);
    let first = runs[1]["run"].as_str().unwrap();
    let files = json(&shop.ok(&["runs", first, "--format", "json"]).out);
    assert_eq!(files["files"][1]["outcome"], "undone");
    shop.ok(&["audit", "verify"]);
}

#[test]
fn what_was_put_back_is_named_by_why_and_a_limit_takes_others_instead() {
    let shop = with_grace("1 hour");
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    shop.ok(&["undo", "last"]);
    let why = shop.ok(&["why", "store/a"]).out;
    assert!(why.contains("is kept by hold \"undo-"), "{why}");
    shop.file("b", "x", 9 * DAY);
    shop.file("c", "x", 8 * DAY);
    shop.policy("limit count to 2, evicting oldest first");
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["a", "c"]);
}

#[test]
fn why_knows_when_a_hold_of_the_ledger_ends() {
    let shop = Shop::new("delete when older than 7 days\nbefore delete, run backup into cold");
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    let said = shop.ok(&["restore", "a"]);
    assert!(said.err.contains("note: held until 2"), "{said:?}");
    let said = shop.ok(&["why", "a"]);
    assert!(said.out.contains("is kept by hold \"restore-2"), "{said:?}");
    assert!(said.out.contains("the answer changes in "), "{said:?}");
    assert!(said.out.contains("it would be removed"), "{said:?}");
}

#[test]
fn undoing_replaces_nothing() {
    let shop = with_grace("1 hour");
    shop.file("a", "old", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    shop.file("a", "new", 0);
    let said = shop.run(&["undo", "last"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("nothing is overwritten"), "{said:?}");
    assert_eq!(fs::read_to_string(shop.path("store/a")).unwrap(), "new");
    fs::remove_file(shop.path("store/a")).unwrap();
    shop.ok(&["undo", "store/a"]);
    assert_eq!(fs::read_to_string(shop.path("store/a")).unwrap(), "old");
    let said = shop.run(&["undo", "store/a"]);
    assert!(
        said.code == 2 && said.err.contains("does not lie in the trash"),
        "{said:?}"
    );
}

#[test]
fn several_hands_put_back_what_lay_in_directories_that_are_gone() {
    let shop = Shop::new(&format!("{OLD}\n    stop never because \"all go\""));
    shop.configure("grace = \"1 hour\"");
    // Enough files for several threads, of many directories with common missing parents.
    let names: Vec<String> = (0..3000)
        .map(|n| format!("a/b{}/c{}/{n}", n / 500, n / 10))
        .collect();
    for name in &names {
        shop.file(name, name, 10 * DAY);
    }
    let places = ["store/a", "store/a/b3", "store/a/b3/c160"];
    for place in places {
        fs::set_permissions(shop.path(place), Permissions::from_mode(0o751)).unwrap();
    }
    shop.ok(&["apply", "--yes"]);
    fs::remove_dir_all(shop.path("store/a")).unwrap();
    let said = shop.ok(&["undo", "last"]);
    assert!(said.out.contains("put back 3000 files"), "{said:?}");
    assert_eq!(said.err, "", "{said:?}");
    for name in &names {
        assert_eq!(
            &fs::read_to_string(shop.path("store").join(name)).unwrap(),
            name
        );
    }
    for place in places {
        let mode = fs::metadata(shop.path(place)).unwrap().mode() & 0o7777;
        assert_eq!(mode, 0o751, "{place}");
    }
}

#[test]
fn the_trash_is_emptied_when_its_time_is_over_and_not_of_strangers() {
    let shop = with_grace("1 s");
    shop.file("a", "x", 10 * DAY);
    shop.file("b", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    let run = json(&shop.ok(&["trash", "list", "--format", "json"]).out)[0]["run"].clone();
    let trash = shop.path("store/.retain/trash").join(run.as_str().unwrap());
    fs::write(trash.join("stranger"), "not ours").unwrap();
    fs::write(trash.with_file_name("notes"), "not ours either").unwrap();
    // As if an hour had passed.
    let index = fs::read_to_string(trash.join("index")).unwrap();
    let until = json(index.lines().next().unwrap())["until"].clone();
    let past = index.replace(until.as_str().unwrap(), "2020-01-01T00:00:00Z");
    fs::write(trash.join("index"), past).unwrap();
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("emptied 2 files"), "{said:?}");
    let left: Vec<_> = fs::read_dir(&trash)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(left.iter().any(|name| name == "stranger"), "{left:?}");
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(trash.with_file_name("notes").exists());
    let files = json(
        &shop
            .ok(&["runs", run.as_str().unwrap(), "--format", "json"])
            .out,
    );
    assert_eq!(files["files"][0]["outcome"], "purged");
    shop.ok(&["audit", "verify"]);
}

#[test]
fn a_lost_state_directory_loses_neither_the_trash_nor_a_hold() {
    let shop = with_grace("1 hour");
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    shop.file("kept", "x", 10 * DAY);
    shop.ok(&[
        "hold", "add", "case-7", "--on", "kept", "--reason", "lawyers",
    ]);
    fs::remove_dir_all(shop.path("state")).unwrap();
    shop.ok(&["undo", "last"]);
    assert!(shop.has("a"));
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["a", "kept"]);
    let held = shop.ok(&["hold", "list"]).out;
    assert!(
        held.contains("case-7") && held.contains("lawyers"),
        "{held}"
    );
}

#[test]
fn a_hold_keeps_what_it_names_until_it_is_released_with_a_reason() {
    let shop = Shop::new(OLD);
    for name in ["a/one", "a/two", "b/one"] {
        shop.file(name, "x", 10 * DAY);
    }
    shop.ok(&[
        "hold",
        "add",
        "case",
        "--on",
        "a/**",
        "--until",
        "2999-01-01",
    ]);
    let plan = shop.ok(&["plan"]);
    assert!(plan.out.contains("would remove 1 file"), "{plan:?}");
    let why = shop.ok(&["why", "a/one"]).out;
    assert!(why.contains("kept by hold \"case\" of the ledger"), "{why}");
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), ["a/one", "a/two"]);
    let unsaid = shop.run(&["hold", "release", "case", "--reason", " "]);
    assert_eq!(unsaid.code, 2, "{unsaid:?}");
    let unknown = shop.run(&["hold", "release", "caes", "--reason", "x"]);
    assert!(unknown.err.contains("retain hold list"), "{unknown:?}");
    shop.ok(&["hold", "release", "case", "--reason", "closed"]);
    assert!(shop.ok(&["hold", "list"]).out.contains("nothing is held"));
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store"), [] as [String; 0]);
    let all = json(&shop.ok(&["hold", "list", "--all", "--format", "json"]).out);
    assert_eq!(all[0]["release_reason"], "closed");
    let bad = shop.run(&["hold", "add", "x", "--on", "{", "--until", "soon"]);
    assert_eq!(bad.code, 2);
}

#[test]
fn a_hold_that_names_an_owner_holds_his_files_and_no_others() {
    let shop = Shop::new("");
    shop.write(
        "p.retain",
        format!(
            "edition 2026\nhold \"his\" on \"**\" where owner is \"root\" and size over 1 B\n\
             collection all at \"**\" {{\nage is measured from last modified\n{OLD}\n}}\n"
        ),
    );
    shop.file("a", "xx", 10 * DAY);
    shop.file("b", "x", 10 * DAY);
    let mine = fs::metadata(shop.path("store/a")).unwrap().uid();
    for _ in 0..2 {
        // The second time the ledger knows it as well.
        shop.ok(&["apply", "--yes"]);
    }
    assert!(!shop.has("b"));
    assert_eq!(shop.has("a"), mine == 0);
}

#[test]
fn a_hold_added_after_the_plan_counts_and_one_that_is_over_does_not() {
    let shop = Shop::new(OLD);
    shop.file("a", "x", 10 * DAY);
    shop.file("b", "x", 10 * DAY);
    shop.ok(&["plan", "-o", "saved.json"]);
    shop.ok(&["hold", "add", "late", "--on", "a"]);
    shop.ok(&["hold", "add", "over", "--on", "b", "--until", "2020-01-01"]);
    let said = shop.ok(&["apply", "saved.json", "--yes"]);
    assert!(said.out.contains("a: kept by the hold `late`"), "{said:?}");
    assert_eq!(shop.files("store"), ["a"]);
}

#[test]
fn a_mirror_of_holds_that_cannot_be_read_keeps_everything() {
    let shop = Shop::new(OLD);
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["hold", "add", "case", "--on", "nothing"]);
    fs::write(shop.path("store/.retain/holds"), "{\"version\":1,").unwrap();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains(".retain/holds` cannot be read"),
        "{said:?}"
    );
    assert!(shop.has("a"));
}

/// A store in which everything would go, and the plan's digest.
fn tripped() -> (Shop, Said) {
    let shop = Shop::new(OLD);
    for n in 0..120 {
        shop.file(format!("{n:03}"), "x", 10 * DAY);
    }
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 3, "{said:?}");
    (shop, said)
}

fn digest(said: &Said) -> String {
    let (_, rest) = said.err.split_once("`retain apply ").unwrap();
    rest.split('`').next().unwrap().to_owned()
}

#[test]
fn a_tripped_breaker_latches_until_its_very_plan_is_applied() {
    let (shop, said) = tripped();
    let digest = digest(&said);
    // A dry run neither trips nor releases, and a harmless plan does not get by.
    assert_eq!(shop.run(&["plan"]).code, 3);
    for n in 1..120 {
        fs::remove_file(shop.path(format!("store/{n:03}"))).unwrap();
    }
    let again = shop.run(&["apply", "--yes"]);
    assert_eq!(again.code, 3, "{again:?}");
    assert!(again.err.contains("is latched since"), "{again:?}");
    assert!(shop.has("000"));
    let released = shop.ok(&["apply", &digest, "--yes"]);
    assert!(released.out.contains("removed 1 file,"), "{released:?}");
    shop.file("later", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    assert!(!shop.has("later"));
    // It was for once.
    let twice = shop.run(&["apply", &digest, "--yes"]);
    assert_eq!(twice.code, 2, "{twice:?}");
    shop.ok(&["audit", "verify"]);
}

#[test]
fn a_changed_policy_releases_a_tripped_breaker_and_trips_it_for_itself() {
    let (shop, first) = tripped();
    shop.policy("delete when older than 8 days");
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert_ne!(digest(&first), digest(&said));
    shop.policy("delete when older than 20 days");
    shop.ok(&["apply", "--yes"]);
    assert_eq!(shop.files("store").len(), 120);
}

#[test]
fn a_dry_run_trips_nothing() {
    let shop = Shop::new(OLD);
    for n in 0..120 {
        shop.file(format!("{n:03}"), "x", 10 * DAY);
    }
    assert_eq!(shop.run(&["plan"]).code, 3);
    for n in 1..120 {
        fs::remove_file(shop.path(format!("store/{n:03}"))).unwrap();
    }
    shop.ok(&["apply", "--yes"]);
    assert!(!shop.has("000"));
}

#[test]
fn a_clock_that_jumped_latches_until_it_is_right_again_or_a_person_has_looked() {
    let shop = Shop::new(OLD);
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    shop.file("b", "x", 10 * DAY);
    // As if the last run had been in two hours: the clock was put back since.
    let shift = |seconds: i64| {
        shop.journal(&format!(
            "update meta set value = json_set(value, '$.wall', \
             json_extract(value, '$.wall') + {seconds}) where key = 'clocks'"
        ));
    };
    shift(7_200);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("the clock stepped back by 2 h")
            || said.err.contains("stepped back by 1 h 59"),
        "{said:?}"
    );
    assert!(shop.has("b"));
    shift(-7_200);
    shop.ok(&["apply", "--yes"]);
    assert!(!shop.has("b"));

    shop.file("c", "x", 10 * DAY);
    shift(-2 * 86_400);
    let said = shop.run(&["apply", "--yes"]);
    assert!(
        said.code == 3 && said.err.contains("jumped ahead"),
        "{said:?}"
    );
    shop.ok(&["apply", &digest(&said), "--yes"]);
    assert!(!shop.has("c"));
    shop.ok(&["apply", "--yes"]);
}

#[test]
fn a_saved_plan_is_for_one_day_one_use_and_the_store_it_was_made_for() {
    let shop = Shop::new(OLD);
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["plan", "-o", "saved.json"]);
    shop.configure("grace = \"1 hour\"");
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("grace"), "{said:?}");
    shop.ok(&["plan", "-o", "saved.json"]);
    shop.ok(&["apply", "saved.json", "--yes"]);
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert!(
        said.code == 2 && said.err.contains("has carried it out"),
        "{said:?}"
    );

    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write(
        "retain.toml",
        text.replace("[state]\n", "[state]\nplan_expiry = \"1 s\"\n"),
    );
    shop.file("b", "x", 10 * DAY);
    shop.ok(&["plan", "-o", "saved.json"]);
    let mut plan =
        retain::plan::Plan::from_json(&fs::read_to_string(shop.path("saved.json")).unwrap())
            .unwrap();
    let earlier = plan.now.timestamp() - jiff::SignedDuration::from_secs(5);
    plan.now = retain::time::Now::at(earlier);
    shop.write("saved.json", plan.to_json());
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert!(
        said.code == 2 && said.err.contains("it was made"),
        "{said:?}"
    );
    assert!(shop.has("b"));
}

/// A saved plan of everything that goes by one policy, made to look as if another had
/// made it.
fn forged(shop: &Shop, honest: &str, lenient: &str) {
    let plan = |policy: &str| {
        shop.policy(policy);
        shop.run(&["plan", "-o", "saved.json"]);
        let text = fs::read_to_string(shop.path("saved.json")).unwrap();
        retain::plan::Plan::from_json(&text).unwrap()
    };
    let greedy = plan(lenient);
    let real = plan(honest);
    let forged = retain::plan::Plan {
        steps: greedy
            .steps
            .into_iter()
            .map(|step| retain::plan::Step {
                ruling: std::sync::Arc::new(retain::plan::Ruling {
                    hooks: retain::plan::Indices::new(),
                    floors: retain::plan::Indices::new(),
                    ..retain::plan::Ruling::clone(&step.ruling)
                }),
                ..step
            })
            .collect(),
        floors: Vec::new(),
        tripped: Vec::new(),
        ..real
    };
    // Its digest is computed anew.
    shop.write("saved.json", forged.to_json());
}

#[test]
fn a_forged_plan_removes_nothing_the_policy_keeps() {
    let shop = Shop::new(OLD);
    shop.file("old", "x", 10 * DAY);
    shop.file("newest", "x", 9 * DAY);
    shop.file("young", "x", 0);
    let honest = format!("{OLD}\nkeep newest 2");
    forged(&shop, &honest, "delete always");
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("the policy does not take"), "{said:?}");
    assert!(
        said.out.contains("young: kept, refused: the plan names it"),
        "{said:?}"
    );
    assert_eq!(shop.files("store"), ["newest", "young"]);
    let runs = json(&shop.ok(&["runs", "last", "--format", "json"]).out);
    let refused = runs["files"].as_array().unwrap().iter();
    let refused = refused.filter(|file| file["outcome"] == "refused");
    assert_eq!(refused.count(), 2, "{runs}");
    shop.ok(&["audit", "verify"]);
}

#[test]
fn a_forged_plan_goes_by_the_policys_hooks_and_its_breaker() {
    let shop = Shop::new(OLD);
    for n in 0..120 {
        shop.file(format!("{n:03}"), "x", 10 * DAY);
    }
    let archived = format!("{OLD}\nbefore delete, run backup into cold, otherwise keep");
    forged(&shop, &archived, OLD);
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert_eq!(shop.files("store").len(), 120);
    shop.ok(&["apply", &digest(&said), "--yes"]);
    assert_eq!(shop.files("store"), [] as [String; 0]);
    let archives = shop.files("cold");
    assert!(archives.len() >= 120, "{archives:?}");
}

#[test]
fn a_root_that_is_suddenly_empty_is_reported_and_one_we_emptied_is_not() {
    let shop = Shop::new(OLD);
    shop.file("old", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    shop.ok(&["apply", "--yes"]);
    shop.file("new", "x", 0);
    shop.ok(&["apply", "--yes"]);
    fs::remove_file(shop.path("store/new")).unwrap();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("is empty, although run"), "{said:?}");
    shop.ok(&["apply", "--yes", "--emptied"]);
    shop.ok(&["apply", "--yes"]);
}

#[test]
fn an_edited_journal_shows_and_its_export_has_every_record() {
    let shop = Shop::new(OLD);
    shop.file("a", "x", 10 * DAY);
    shop.ok(&["apply", "--yes"]);
    let head = shop.ok(&["audit", "head"]).out;
    let said = shop.ok(&["audit", "verify", "--head", head.trim()]);
    assert!(said.out.contains("4 records"), "{said:?}");
    let export = shop.ok(&["audit", "export"]).out;
    let kinds: Vec<_> = export
        .lines()
        .map(|line| json(line)["kind"].clone())
        .collect();
    assert_eq!(kinds, ["run", "intents", "outcomes", "end"]);
    assert!(export.contains("\"path\":\"a\""), "{export}");
    shop.journal("update runs set planned_files = 2");
    let said = shop.run(&["audit", "verify"]);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("was changed"), "{said:?}");
}

#[test]
fn an_exclusive_store_is_emptied_in_place() {
    let shop = Shop::new(OLD);
    shop.configure("exclusive = true");
    shop.file("a", "x", 10 * DAY);
    shop.file("b", "x", 0);
    let said = shop.ok(&["apply", "--yes"]);
    assert!(said.out.contains("removed 1 file"), "{said:?}");
    assert_eq!(shop.files("store"), ["b"]);
}

#[test]
fn a_file_that_is_being_written_is_busy_and_stays() {
    let shop = Shop::new(OLD);
    shop.file("log", "x", 10 * DAY);
    let open = fs::File::options()
        .append(true)
        .open(shop.path("store/log"))
        .unwrap();
    let said = shop.ok(&["apply", "--yes"]);
    assert!(
        said.out
            .contains("log: kept, busy: another program has it open"),
        "{said:?}"
    );
    assert!(shop.has("log"));
    drop(open);
    shop.ok(&["apply", "--yes"]);
    assert!(!shop.has("log"));
}

#[test]
fn a_second_instance_waits_when_asked_to() {
    let shop = Shop::new(OLD);
    shop.file("a", "x", 10 * DAY);
    let root = retain::store::Root::open(&shop.path("store")).unwrap();
    let lock = root.lock(&retain::time::Now::from_clock()).unwrap();
    let mut command = shop.command(&["apply", "--yes", "--wait"]);
    let mut child = command
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.contains("waiting, because"), "{line}");
    assert!(shop.has("a"));
    drop(lock);
    assert!(child.wait().unwrap().success());
    assert!(!shop.has("a"));
}

/// Not a test by itself: the next one starts it, because there is no way back.
#[test]
fn a_confined_process_when_it_is_asked_for() {
    let Some(place) = std::env::var_os("CONFINE_BELOW").map(std::path::PathBuf::from) else {
        return;
    };
    let (inside, outside) = (place.join("inside"), place.join("outside"));
    let (confinement, grounds) =
        retain::confine::confine(&[inside.clone(), inside.join("to/come")]).unwrap();
    assert!(grounds.reach(&inside) && grounds.reach(&inside.join("to/come/later")));
    let held = confinement != retain::confine::Confinement::None;
    assert_eq!(grounds.reach(&outside.join("precious")), !held);
    assert_eq!(grounds.reach(&outside.join("not/there")), !held);
    fs::write(inside.join("new"), "x").unwrap();
    fs::create_dir(inside.join("to")).unwrap();
    fs::rename(inside.join("new"), inside.join("to/new")).unwrap();
    assert_eq!(fs::read(outside.join("precious")).unwrap(), b"x");
    let tried = [
        fs::remove_file(outside.join("precious")),
        fs::write(outside.join("precious"), ""),
        fs::write(outside.join("new"), ""),
        fs::rename(outside.join("precious"), inside.join("taken")),
        fs::rename(inside.join("to/new"), outside.join("given")),
        fs::remove_dir(outside.join("empty")),
        // A thread made later is held as well.
        std::thread::spawn(move || fs::remove_file(outside.join("precious")))
            .join()
            .unwrap(),
    ];
    retain::confine::give_up_privileges().unwrap();
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    println!("{status}");
    println!(
        "CONFINED {confinement:?} {}",
        tried.iter().all(Result::is_err)
    );
}

#[test]
fn a_confined_process_can_remove_nothing_outside_its_stores() {
    let place = tempfile::tempdir().unwrap();
    for directory in ["inside", "outside/empty"] {
        fs::create_dir_all(place.path().join(directory)).unwrap();
    }
    fs::write(place.path().join("outside/precious"), "x").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "trust::a_confined_process_when_it_is_asked_for",
            "--nocapture",
        ])
        .env("CONFINE_BELOW", place.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
    // DAC_OVERRIDE, FOWNER and what else removing and restoring takes, of what there was.
    let most = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 3) | (1 << 4) | (1 << 24) | (1 << 28);
    for set in ["CapEff:\t", "CapPrm:\t", "CapInh:\t", "CapAmb:\t"] {
        let (_, held) = said.split_once(set).unwrap();
        let held = u64::from_str_radix(held.lines().next().unwrap(), 16).unwrap();
        assert_eq!(held & !most, 0, "{set}{held:x}");
    }
    if said.contains("CONFINED None") {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    }
    assert!(said.contains(" true"), "{said}");
    assert_eq!(
        fs::read(place.path().join("outside/precious")).unwrap(),
        b"x"
    );
}
