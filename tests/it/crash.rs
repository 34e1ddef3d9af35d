//! The process is killed before and after every durable step, and what is left is held
//! against the promises: nothing is lost, nothing goes twice, the journal is whole.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use retain::fault::Point;

use super::shop::{DAY, Said, Shop};

const OLD: &str = "delete when older than 7 days";
const BACKUP: &str =
    "delete when older than 7 days\nbefore delete, run backup into cold, otherwise keep";

const COMPRESS: &str =
    "[plugins.compress]\nwasm = \"builtin:compress\"\ngrants = { in_place = true }\n";

/// What is going on when the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scene {
    /// Files are archived and removed.
    Archived,
    /// Files are moved into the trash.
    Trashed,
    /// Files are removed from the trash.
    Purged,
    /// Files are put back from the trash.
    Undone,
    /// Files are removed where they lie.
    Direct,
    /// A plan is refused.
    Latched,
    /// Files are restored.
    Restored,
    /// What an earlier crash left is settled.
    Recovered,
    /// Something is held.
    Held,
    /// Archives take their files' places.
    Replaced,
    /// Files that stay are archived.
    BackedUp,
    /// Archives are removed.
    Expired,
}

const SCENES: [Scene; 12] = [
    Scene::Archived,
    Scene::Trashed,
    Scene::Purged,
    Scene::Undone,
    Scene::Direct,
    Scene::Latched,
    Scene::Restored,
    Scene::Recovered,
    Scene::Held,
    Scene::Replaced,
    Scene::BackedUp,
    Scene::Expired,
];

impl Scene {
    fn policy(self) -> &'static str {
        match self {
            Scene::Archived | Scene::Restored => BACKUP,
            Scene::BackedUp | Scene::Expired => "back up, run backup into cold",
            Scene::Replaced => "replace when older than 7 days, using compress",
            _ => OLD,
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Scene::Trashed | Scene::Purged | Scene::Undone => "grace = \"1 hour\"\n",
            Scene::Direct => "exclusive = true\n",
            _ => "",
        }
    }

    fn command(self) -> &'static [&'static str] {
        match self {
            Scene::Undone => &["undo", "last"],
            Scene::Restored => &["restore", "old-1", "old-2"],
            Scene::Held => &["hold", "add", "case", "--on", "new"],
            _ => &["apply", "--yes"],
        }
    }

    /// Brings a shop to the moment before the command.
    fn set(self) -> Shop {
        let shop = Shop::new(self.policy());
        let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
        let table = "[stores.files]\n";
        let setting = format!("{table}{}", self.setting());
        shop.write("retain.toml", text.replace(table, &setting) + COMPRESS);
        shop.file("new", "new", 0);
        for name in ["old-1", "old-2"] {
            match self {
                Scene::Replaced => shop.file(name, name.repeat(1_000), 10 * DAY),
                _ => shop.file(name, name, 10 * DAY),
            }
        }
        match self {
            Scene::Latched => {
                for n in 0..120 {
                    shop.file(format!("more-{n}"), "x", 10 * DAY);
                }
            }
            Scene::Purged => {
                assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
                expire(&shop);
            }
            Scene::Undone | Scene::Restored => {
                assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
            }
            Scene::Recovered => {
                assert!(dies(&shop, "move-to-trash:after:1", self.command()));
            }
            Scene::Expired => {
                run(&shop, &["apply", "--yes"]);
                shop.backdate();
                for name in ["old-1", "old-2"] {
                    fs::remove_file(shop.path("store").join(name)).unwrap();
                }
                shop.policy("delete backups when older than 1 day, keeping newest 0");
            }
            Scene::Replaced => with_compiled(&shop),
            Scene::Archived | Scene::Trashed | Scene::Direct | Scene::Held | Scene::BackedUp => {}
        }
        shop
    }
}

/// Gives a shop the plugin as another has compiled it, which takes seconds in a debug
/// build.
fn with_compiled(shop: &Shop) {
    static COMPILED: OnceLock<Shop> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let shop = Shop::new("replace when older than 7 days, using compress");
        let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
        shop.write("retain.toml", text + COMPRESS);
        shop.file("old", "old".repeat(1_000), 10 * DAY);
        shop.ok(&["apply", "--yes"]);
        shop
    });
    let private = |path: &str| {
        let made = fs::DirBuilder::new().mode(0o700).create(shop.path(path));
        made.unwrap();
    };
    private("state");
    private("state/compiled");
    let copy = |name: &str| fs::copy(compiled.path(name), shop.path(name)).unwrap();
    copy("state/compiled.key");
    for name in compiled.files("state/compiled") {
        copy(&format!("state/compiled/{name}"));
    }
}

/// As if the trash's time were over.
fn expire(shop: &Shop) {
    for run in fs::read_dir(shop.path("store/.retain/trash")).unwrap() {
        let index = run.unwrap().path().join("index");
        let text = fs::read_to_string(&index).unwrap();
        let (head, rest) = text.split_once('\n').unwrap();
        let mut head: serde_json::Value = serde_json::from_str(head).unwrap();
        head["until"] = "2020-01-01T00:00:00Z".into();
        fs::write(index, format!("{head}\n{rest}")).unwrap();
    }
}

/// Whether the command was killed at the point, instead of never getting there.
fn dies(shop: &Shop, fault: &str, command: &[&str]) -> bool {
    let output = shop
        .command(command)
        .env("RETAIN_FAULT", fault)
        .output()
        .unwrap();
    output.status.signal() == Some(rustix::process::Signal::ABORT.as_raw())
}

fn run(shop: &Shop, command: &[&str]) -> Said {
    let said = shop.run(command);
    assert!(matches!(said.code, 0 | 3), "{command:?}: {said:?}");
    said
}

/// What has to be so, wherever the process died.
fn check(scene: Scene, shop: &Shop) {
    // The next run settles what was left, and one more finds nothing to do.
    run(shop, &["apply", "--yes"]);
    run(shop, &["apply", "--yes"]);
    run(shop, &["audit", "verify"]);
    assert_eq!(fs::read_to_string(shop.path("store/new")).unwrap(), "new");
    let unsettled = shop.run(&["audit", "export"]).out;
    let count = |kind: &str| {
        let kind = format!("\"kind\":\"{kind}\"");
        unsettled
            .lines()
            .filter(|line| line.contains(&kind))
            .count()
    };
    assert_eq!(count("run"), count("end"), "{unsettled}");
    assert_eq!(count("intents"), count("outcomes"), "{unsettled}");
    let gone = |name: &str| assert!(!shop.has(name), "{name}");
    let here = |name: &str| {
        assert_eq!(
            fs::read_to_string(shop.path("store").join(name)).unwrap(),
            name
        );
    };
    for name in ["old-1", "old-2"] {
        match scene {
            Scene::Archived => {
                gone(name);
                run(shop, &["restore", name, "--to", "back"]);
                assert_eq!(
                    fs::read_to_string(shop.path("back").join(name)).unwrap(),
                    name
                );
            }
            // All of it can be had back, and comes back once.
            Scene::Trashed => {
                gone(name);
                run(shop, &["undo", name]);
                here(name);
            }
            // Each is in one place: the trash, or where it was.
            Scene::Undone => {
                if !shop.has(name) {
                    run(shop, &["undo", name]);
                }
                here(name);
            }
            Scene::Direct | Scene::Recovered | Scene::Purged => gone(name),
            Scene::Latched => here(name),
            Scene::Restored => {
                if !shop.has(name) {
                    run(shop, &["restore", name]);
                }
                here(name);
            }
            Scene::Held => gone(name),
            Scene::BackedUp => {
                here(name);
                run(shop, &["restore", name, "--to", "back"]);
                assert_eq!(
                    fs::read_to_string(shop.path("back").join(name)).unwrap(),
                    name
                );
            }
            // No archive without a receipt, no receipt without its archive; the one of
            // the file that is there stays.
            Scene::Expired => {
                let left = shop.files("cold");
                assert_eq!(left.len(), 2, "{left:?}");
                assert!(left.iter().all(|name| name.starts_with("all/new@")));
                assert_ne!(shop.run(&["restore", name, "--to", "back"]).code, 0);
                run(shop, &["verify"]);
            }
            // In one form, not in two, and once.
            Scene::Replaced => {
                gone(name);
                run(shop, &["restore", name, "--to", "back"]);
                assert_eq!(
                    fs::read_to_string(shop.path("back").join(name)).unwrap(),
                    name.repeat(1_000)
                );
            }
        }
    }
    match scene {
        Scene::Latched => assert_eq!(shop.run(&["apply", "--yes"]).code, 3),
        Scene::Archived | Scene::Direct | Scene::Recovered | Scene::Purged | Scene::Replaced => {
            let left = fs::read_dir(shop.path("store/.retain/trash"));
            assert_eq!(
                left.map_or(0, Iterator::count),
                0,
                "something lies in the trash"
            );
        }
        Scene::Trashed
        | Scene::Undone
        | Scene::Restored
        | Scene::Held
        | Scene::BackedUp
        | Scene::Expired => {
            run(shop, &["apply", "--yes"]);
        }
    }
    if matches!(scene, Scene::Trashed | Scene::Undone | Scene::Restored) {
        // What came back is held.
        ["old-1", "old-2"].into_iter().for_each(here);
    }
    if scene == Scene::Replaced {
        assert_eq!(shop.files("store"), ["new", "old-1.zst", "old-2.zst"]);
    }
    // Nothing half-written is left where people look.
    let names: BTreeSet<String> = shop.files("store").into_iter().collect();
    assert!(names.iter().all(|name| !name.contains("part")), "{names:?}");
}

/// One scene, killed at every point it comes by, before and after, the first and the
/// second time. Returns the points it was killed at.
fn kill_everywhere(scene: Scene) -> Vec<(&'static str, &'static str)> {
    let mut hit = Vec::new();
    for point in Point::ALL {
        for end in ["before", "after"] {
            for time in [1, 2] {
                let shop = scene.set();
                let fault = format!("{}:{end}:{time}", point.name());
                if !dies(&shop, &fault, scene.command()) {
                    break;
                }
                let name = format!("{scene:?} killed at {fault}");
                let checked = std::panic::catch_unwind(|| check(scene, &shop));
                assert!(checked.is_ok(), "{name}");
                hit.push((point.name(), end));
            }
        }
    }
    hit
}

#[test]
fn a_kill_at_any_durable_step_loses_nothing_and_every_step_is_tried() {
    let scenes: Vec<_> = SCENES
        .into_iter()
        .map(|scene| std::thread::spawn(move || kill_everywhere(scene)))
        .collect();
    let mut hit = BTreeSet::new();
    let mut kills = 0;
    for scene in scenes {
        let points = scene.join().expect("a scene that failed says how");
        kills += points.len();
        hit.extend(points);
    }
    for point in Point::ALL {
        for end in ["before", "after"] {
            assert!(
                hit.contains(&(point.name(), end)),
                "no scene was killed {end} {}",
                point.name()
            );
        }
    }
    println!(
        "killed {kills} times at {} ends of {} points",
        hit.len(),
        Point::ALL.len()
    );
}

/// Files of three batches that overlap, the last of them small, in a build such as this.
const MANY: usize = 2 * 512 + 100;

/// A shop whose files go in batches of which the journal records one while another goes.
fn many(setting: &str) -> Shop {
    let shop = Shop::new(&format!("{OLD}\nstop never"));
    shop.configure(setting);
    shop.file("new", "new", 0);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(10 * DAY);
    for file in old_files() {
        let path = shop.path("store").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let file = fs::File::create(path).unwrap();
        file.set_modified(old).unwrap();
    }
    shop
}

fn old_files() -> impl Iterator<Item = String> {
    (0..MANY).map(|n| format!("d{:03}/{n:05}", n / 100))
}

/// The files that are recorded as about to go, once for each time, and how many batches and
/// outcomes of batches there are.
fn recorded(shop: &Shop) -> (Vec<String>, usize, usize) {
    let text = shop.run(&["audit", "export"]).out;
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let (mut files, mut intents, mut outcomes) = (Vec::new(), 0, 0);
    for line in lines {
        let line: serde_json::Value = line;
        match line["kind"].as_str() {
            Some("outcomes") => outcomes += 1,
            Some("intents") => {
                intents += 1;
                let of_batch = line["content"]["intents"].as_array().unwrap().iter();
                files.extend(of_batch.map(|of| of["path"].as_str().unwrap().to_owned()));
            }
            _ => {}
        }
    }
    (files, intents, outcomes)
}

#[test]
fn batches_that_overlap_are_settled_wherever_the_process_dies() {
    let faults = [
        ("exclusive = true", "journal-intents:before:1"),
        ("exclusive = true", "journal-intents:after:1"),
        ("exclusive = true", "journal-intents:before:2"),
        ("exclusive = true", "journal-intents:after:3"),
        ("exclusive = true", "journal-outcomes:before:1"),
        ("exclusive = true", "journal-outcomes:after:2"),
        ("exclusive = true", "journal-outcomes:before:3"),
        ("exclusive = true", "unlink-direct:after:512"),
        ("exclusive = true", "unlink-direct:after:513"),
        ("exclusive = false", "journal-intents:after:2"),
        ("exclusive = false", "unlink-trashed:before:513"),
    ];
    let next = AtomicUsize::new(0);
    let kill = || {
        while let Some((setting, fault)) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            let case = format!("{setting}, {fault}");
            let shop = many(setting);
            assert!(
                dies(&shop, fault, &["apply", "--yes"]),
                "never reached: {case}"
            );
            let (files, intents, outcomes) = recorded(&shop);
            // The one that goes, and the one behind or ahead of it.
            assert!(intents - outcomes <= 2, "{case}: {intents} and {outcomes}");
            match *fault {
                // Nothing goes before that.
                "journal-intents:before:1" => assert_eq!(shop.files("store").len(), MANY + 1),
                // The second batch does not wait until the first is recorded.
                "journal-outcomes:before:1" => assert_eq!((intents, outcomes), (2, 0)),
                _ => {}
            }
            let left: BTreeSet<String> = shop.files("store").into_iter().collect();
            let files: BTreeSet<String> = files.into_iter().collect();
            let gone = old_files().filter(|file| !left.contains(file));
            for file in gone {
                assert!(files.contains(&file), "{case}: {file} was never recorded");
            }
            run(&shop, &["apply", "--yes"]);
            run(&shop, &["audit", "verify"]);
            assert_eq!(shop.files("store"), ["new"], "{case}");
            let (_, intents, outcomes) = recorded(&shop);
            assert_eq!(intents, outcomes, "{case}");
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(kill);
        scope.spawn(kill);
    });
}
