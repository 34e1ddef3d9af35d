//! Somebody else in the store while files go: a user who swaps names, directories and
//! links as fast as he can while runs are applied as root, and an application that
//! only rewrites its own files by rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::shop::{DAY, Shop};

/// How long each of them is at it.
const BOUT: Duration = Duration::from_secs(3);

/// Nobody's user id, which owns no file of the system.
const STRANGER: u32 = 65_534;

const DIRECTORIES: u64 = 12;
const FILES: u64 = 6;
const YOUNG: u64 = 40;

fn age(file: &Path) {
    if let Ok(file) = File::options().write(true).open(file) {
        let _ = file.set_modified(SystemTime::now() - Duration::from_secs(10 * DAY));
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Makes a link, in place of another at most.
fn lay(bait: &Path, target: &Path) {
    if is_link(bait) {
        let _ = fs::remove_file(bait);
    }
    let _ = symlink(target, bait);
}

/// The attacker's whole trade, in the store's directory that he may write to.
fn attack(open: &Path, outside: &Path, safe: &Path) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut pick = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let exchange =
        |a: &Path, b: &Path| renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok();
    let end = Instant::now() + BOUT;
    while Instant::now() < end {
        let directory = open.join(format!("d{}", pick(DIRECTORIES)));
        let file = directory.join(format!("f{}", pick(FILES)));
        let bait = open.join(format!("bait{}", pick(4)));
        let (what, done) = match pick(8) {
            0 | 1 => {
                if is_link(&directory) {
                    let _ = fs::remove_file(&directory);
                }
                let _ = fs::create_dir(&directory);
                // He may not lose a young file himself, or nobody could say who did.
                let draft = open.join("draft");
                let written = fs::write(&draft, "doomed").is_ok();
                age(&draft);
                let free = RenameFlags::NOREPLACE;
                let named = renameat_with(CWD, &draft, CWD, &file, free).is_ok();
                ("a doomed file", written && named)
            }
            2 => {
                lay(&bait, outside);
                (
                    "a directory swapped for a link out",
                    exchange(&directory, &bait),
                )
            }
            3 => {
                lay(&bait, safe);
                (
                    "a directory swapped for a link to what is kept",
                    exchange(&directory, &bait),
                )
            }
            4 => {
                lay(&bait, &outside.join("canary"));
                ("a file swapped for a link out", exchange(&file, &bait))
            }
            5 => {
                let target = safe.join("shared");
                let linked = fs::hard_link(&target, directory.join("hard")).is_ok();
                ("a hard link to what is kept", linked)
            }
            6 => {
                let young = open.join(format!("young{}", pick(YOUNG)));
                (
                    "a doomed file swapped for a young one",
                    exchange(&file, &young),
                )
            }
            _ => {
                let other = open.join(format!("d{}", pick(DIRECTORIES)));
                ("two directories swapped", exchange(&directory, &other))
            }
        };
        *counts.entry(what).or_default() += u64::from(done);
    }
    counts
}

/// Not a test by itself: the next one starts it as another user.
#[test]
fn the_attacker_when_he_is_asked_for() {
    let place = |name| std::env::var_os(name).map(PathBuf::from);
    if let (Some(open), Some(outside), Some(safe)) = (
        place("ATTACK_OPEN"),
        place("ATTACK_OUTSIDE"),
        place("ATTACK_SAFE"),
    ) {
        for (what, count) in attack(&open, &outside, &safe) {
            println!("ATTEMPTS {count} {what}");
        }
    }
}

/// Every file below a directory with its content; links as where they lead.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = walkdir::WalkDir::new(directory).into_iter().flatten();
    files
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| {
            let content = match entry.path_is_symlink() {
                true => {
                    fs::read_link(entry.path()).map(|to| to.into_os_string().into_encoded_bytes())
                }
                false => fs::read(entry.path()),
            };
            (entry.path().to_owned(), content.unwrap_or_default())
        })
        .collect()
}

/// A store with a directory that an attacker may write to, while `deed` is done as root
/// again and again: it says how many files that moved. Nothing outside and nothing that is
/// protected may have changed by then.
fn under_attack(configure: &str, mut deed: impl FnMut(&Shop) -> u64) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can be two users");
        return;
    }
    let shop = Shop::new("");
    shop.configure(configure);
    shop.write(
        "p.retain",
        "edition 2026\nstop never because \"an attacker makes any number of files\"\n\
         protect \"safe/**\"\n\
         collection all at \"**\" {\nage is measured from last modified\n\
         delete when older than 7 days\n}\n",
    );
    let world = |path: PathBuf, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    world(shop.path("."), 0o755);
    for directory in ["store/open", "store/safe", "outside"] {
        fs::create_dir_all(shop.path(directory)).unwrap();
    }
    world(shop.path("store/open"), 0o777);
    for name in ["safe/kept", "safe/shared", "safe/f0", "safe/f1"] {
        shop.file(name, name, 100 * DAY);
    }
    // Whoever may write a file may link it.
    world(shop.path("store/safe/shared"), 0o666);
    for name in ["canary", "f0", "f1", "f2"] {
        fs::write(shop.path("outside").join(name), name).unwrap();
        age(&shop.path("outside").join(name));
    }
    for n in 0..YOUNG {
        let young = shop.path("store/open").join(format!("young{n}"));
        fs::write(&young, format!("young {n}")).unwrap();
        rustix::fs::chown(&young, Some(rustix::fs::Uid::from_raw(STRANGER)), None).unwrap();
    }
    let (outside, safe) = (
        contents(&shop.path("outside")),
        contents(&shop.path("store/safe")),
    );

    let attacker = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "attacker::the_attacker_when_he_is_asked_for",
            "--nocapture",
        ])
        .env("ATTACK_OPEN", shop.path("store/open"))
        .env("ATTACK_OUTSIDE", shop.path("outside"))
        .env("ATTACK_SAFE", shop.path("store/safe"))
        .uid(STRANGER)
        .gid(STRANGER)
        .current_dir("/")
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut attacker) = attacker else {
        eprintln!("skipped: another user cannot run the test program here");
        return;
    };
    let (mut rounds, mut moved) = (0, 0);
    while attacker.try_wait().unwrap().is_none() {
        moved += deed(&shop);
        rounds += 1;
    }
    let output = attacker.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let attempts = said.lines().filter(|line| line.contains("ATTEMPTS"));
    attempts.for_each(|line| println!("{line}"));
    println!("{rounds} rounds moved {moved} files meanwhile");
    assert!(
        said.contains("ATTEMPTS") && rounds > 3 && moved > 0,
        "{said}"
    );

    assert_eq!(
        contents(&shop.path("outside")),
        outside,
        "something outside was touched"
    );
    assert_eq!(
        contents(&shop.path("store/safe")),
        safe,
        "something protected was touched"
    );
    let left: Vec<Vec<u8>> = contents(&shop.path("store")).into_values().collect();
    for n in 0..YOUNG {
        let young = format!("young {n}").into_bytes();
        assert!(left.contains(&young), "young file {n} is gone");
    }
    assert_eq!(shop.run(&["audit", "verify"]).code, 0);
}

/// One run; how many files it removed.
fn applied(shop: &Shop) -> u64 {
    let said = shop.run(&["apply", "--yes", "--format", "json", "--emptied"]);
    assert!(matches!(said.code, 0 | 1), "{said:?}");
    let done: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    done["removed"].as_u64().unwrap()
}

#[test]
fn a_user_who_swaps_names_in_the_store_gets_nothing_else_removed() {
    under_attack("exclusive = false", applied);
}

#[test]
fn a_user_who_swaps_names_in_the_store_has_nothing_put_elsewhere() {
    under_attack("grace = \"1 hour\"", |shop| {
        applied(shop);
        let said = shop.run(&["undo", "last", "--format", "json"]);
        if said.err.contains("the trash is empty") {
            return 0;
        }
        // Some of their directories are links out by then, and those stay in the trash.
        assert!(matches!(said.code, 0 | 1), "{said:?}");
        let done: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let name = format!("undo-{}", done["run"].as_str().unwrap());
        shop.run(&["hold", "release", &name, "--reason", "again"]);
        done["back"].as_array().unwrap().len() as u64
    });
}

#[test]
fn an_application_that_rewrites_its_files_by_rename_loses_no_new_one() {
    let shop = Shop::new("delete when older than 7 days\nstop never because \"a race\"");
    fs::create_dir(shop.path("store/app")).unwrap();
    let (over, app) = (AtomicBool::new(false), shop.path("store/app"));
    let (written, removed) = std::thread::scope(|scope| {
        let racer = scope.spawn(|| {
            let mut n = 0u64;
            while !over.load(Ordering::Relaxed) {
                let (name, draft) = (app.join(format!("{n}")), app.join("draft"));
                fs::write(&draft, "old").unwrap();
                age(&draft);
                // A run may have taken the draft already, as old as it looks.
                let _ = fs::rename(&draft, &name);
                // Now it is doomed, and about then it is written anew.
                fs::write(&draft, format!("new {n}")).unwrap();
                fs::rename(&draft, &name).unwrap();
                n += 1;
                // Some are left for the runs, so that they have what to look at.
                fs::write(app.join(format!("left-{n}")), "old").unwrap();
                age(&app.join(format!("left-{n}")));
            }
            n
        });
        let end = Instant::now() + BOUT;
        let mut removed = 0;
        while Instant::now() < end {
            let said = shop.run(&["apply", "--yes", "--format", "json", "--emptied"]);
            assert!(matches!(said.code, 0 | 1), "{said:?}");
            let done: serde_json::Value = serde_json::from_str(&said.out).unwrap();
            removed += done["removed"].as_u64().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        (racer.join().unwrap(), removed)
    });
    println!("{written} files rewritten while {removed} were removed");
    assert!(written > 0 && removed > 0);
    for n in 0..written {
        let content = fs::read_to_string(app.join(format!("{n}")));
        assert_eq!(content.unwrap_or_default(), format!("new {n}"));
    }
}
