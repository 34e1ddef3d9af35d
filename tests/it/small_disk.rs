//! File systems that run full or turn read-only, and a process that runs out of
//! descriptors: whatever fails, young files stay, and the next run finishes the work.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::shop::{DAY, Said, Shop};

const OLD: &str = "delete when older than 7 days\n";

/// A small ext4 of a test's own, mounted on a directory of its shop.
struct Disk(PathBuf);

fn ran(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Disk {
    /// Nothing, with a word why, where this may not be done here.
    fn on(shop: &Shop, directory: &str) -> Option<Disk> {
        Disk::with(shop, directory, "^has_journal", "loop")
    }

    fn with(shop: &Shop, directory: &str, features: &str, options: &str) -> Option<Disk> {
        let image = shop.path(format!("{directory}.img"));
        let place = shop.path(directory);
        fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        fs::create_dir_all(&place).unwrap();
        let (image, at) = (image.to_str().unwrap(), place.to_str().unwrap());
        // Without blocks set aside for root, so that full is full.
        let made = ran("mkfs.ext4", &["-q", "-m", "0", "-O", features, image])
            && ran("mount", &["-o", options, image, at]);
        if !made {
            eprintln!("skipped: no file system can be made and mounted here");
            return None;
        }
        Some(Disk(place))
    }

    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        for size in [4096, 512, 1] {
            while std::io::Write::write_all(&mut file, &vec![7; size]).is_ok() {}
        }
        filler
    }

    /// Takes every inode and every block.
    fn fill_wholly(&self) {
        let names = (0..).map(|n| self.0.join(format!("filler-{n}")));
        let taken = names.take_while(|name| fs::File::create(name).is_ok());
        assert!(taken.count() > 0);
        self.fill_blocks();
        assert!(fs::create_dir(self.0.join("one-more")).is_err());
    }

    /// Takes what filled it away again.
    fn empty(&self) {
        let names = (0..).map(|n| self.0.join(format!("filler-{n}")));
        let gone = names.take_while(|name| fs::remove_file(name).is_ok());
        assert!(gone.count() > 0);
    }

    /// Into a file that is there already: there may be no inode for another.
    fn fill_blocks(&self) {
        let mut file = fs::File::create(self.0.join("filler-0")).unwrap();
        for size in [4096, 512, 1] {
            while std::io::Write::write_all(&mut file, &vec![7; size]).is_ok() {}
        }
    }

    fn remount(&self, how: &str) {
        let how = format!("remount,{how}");
        assert!(ran("mount", &["-o", &how, self.0.to_str().unwrap()]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        ran("umount", &[self.0.to_str().unwrap()]);
    }
}

fn stocked(shop: &Shop) {
    for n in 0..40 {
        shop.file(format!("d/{n:02}"), "x", 10 * DAY);
    }
    shop.file("d/young", "y", 0);
}

/// The young one is there and the old ones are gone, and the journal says so.
fn finished(shop: &Shop) {
    shop.ok(&["apply", "--yes"]);
    let left = shop.files("store");
    let left: Vec<&String> = left.iter().filter(|f| f.starts_with("d/")).collect();
    assert_eq!(left, ["d/young"]);
    shop.ok(&["audit", "verify"]);
}

/// A run that did not do all it was to do says so, and leaves what it left whole.
fn troubled(shop: &Shop, said: &Said) {
    assert!([0, 1, 2].contains(&said.code), "{said:?}");
    assert!(shop.has("d/young"), "{said:?}");
    assert!(!said.err.contains("panicked"), "{said:?}");
    let left = shop.files("store").len();
    if said.code == 0 {
        assert!(left <= 2, "{said:?}");
    } else {
        assert!(
            said.err.contains("error:") || said.out.contains("kept"),
            "{said:?}"
        );
    }
}

#[test]
fn a_full_store_loses_nothing_and_is_emptied_when_there_is_a_block_again() {
    for grace in [false, true] {
        let shop = Shop::new(OLD);
        if grace {
            shop.configure("grace = \"1 hour\"");
        }
        let Some(disk) = Disk::on(&shop, "store") else {
            return;
        };
        stocked(&shop);
        let filler = disk.fill();
        let said = shop.run(&["apply", "--yes"]);
        troubled(&shop, &said);
        fs::remove_file(filler).unwrap();
        finished(&shop);
    }
}

/// Names of a store's old files.
fn old(shop: &Shop) -> Vec<String> {
    let mut files = shop.files("store");
    files.retain(|file| file.starts_with("d/") && file != "d/young");
    files
}

#[test]
fn a_store_without_a_block_or_an_inode_left_is_emptied_once_a_run_was_there_before() {
    for (line, state) in [
        ("", "state"),
        ("exclusive = true", "state"),
        ("", "store/state"),
        ("exclusive = true", "store/state"),
    ] {
        let shop = Shop::new(OLD);
        shop.configure(line);
        let configuration = fs::read_to_string(shop.path("retain.toml")).unwrap();
        let moved = configuration.replace("path = \"state\"", &format!("path = \"{state}\""));
        shop.write("retain.toml", moved);
        let Some(disk) = Disk::on(&shop, "store") else {
            return;
        };
        shop.file("d/young", "y", 0);
        shop.ok(&["apply", "--yes"]);
        // More than once: what a run needs on a full disk is there for the next.
        for _ in 0..2 {
            stocked(&shop);
            disk.fill_wholly();
            assert_eq!(old(&shop).len(), 40);
            finished(&shop);
            // The state's room was given back, and is set aside again when there is some.
            disk.empty();
            shop.ok(&["apply", "--yes"]);
            assert!(shop.path(state).join("reserve").exists());
        }
        assert!(shop.path("store/.retain/spare").is_dir());
    }
}

#[test]
fn a_first_run_on_a_full_store_says_how_to_begin() {
    let shop = Shop::new(OLD);
    let Some(disk) = Disk::on(&shop, "store") else {
        return;
    };
    stocked(&shop);
    disk.fill_wholly();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("no space left on device"), "{said:?}");
    assert!(said.err.contains("make a little room by hand"), "{said:?}");
    assert_eq!(old(&shop).len(), 40);
    for name in old(&shop).iter().take(10) {
        fs::remove_file(shop.path("store").join(name)).unwrap();
    }
    finished(&shop);
}

#[test]
fn with_grace_a_full_store_says_what_it_could_not_do_and_pressure_makes_room() {
    let shop = Shop::new(OLD);
    shop.configure("grace = \"1 hour\"");
    let Some(disk) = Disk::on(&shop, "store") else {
        return;
    };
    shop.file("d/young", "y", 0);
    shop.ok(&["apply", "--yes"]);
    stocked(&shop);
    disk.fill_wholly();
    let said = shop.run(&["apply", "--yes"]);
    troubled(&shop, &said);
    assert!(said.out.contains("the trash cannot list it"), "{said:?}");
    assert_eq!(old(&shop).len(), 40, "{said:?}");
    assert!(shop.ok(&["trash", "list"]).out.contains("empty"));
    // What pressure takes does not lie in the trash, and so needs no list.
    shop.write(
        "p.retain",
        "edition 2026\nprotect \"d/young\"\ncollection old at \"d/*\" {\n\
         age is measured from last modified\n}\n\
         when disk is above 50% full, free until below 40% {\n\
         evict from old, oldest first\n}\nstop never\n",
    );
    shop.run(&["apply", "--yes"]);
    assert!(old(&shop).is_empty(), "{:?}", shop.run(&["plan"]));
    shop.ok(&["audit", "verify"]);
}

#[test]
fn a_user_whose_quota_is_used_up_is_no_worse_off_than_on_a_full_disk() {
    const SOMEBODY: &str = "65534";
    let shop = Shop::new(OLD);
    let Some(disk) = Disk::with(&shop, "store", "quota,^has_journal", "loop,usrquota") else {
        eprintln!("skipped: not root, or a kernel that keeps no quota for ext4");
        return;
    };
    let place = disk.0.to_str().unwrap();
    let limit = |blocks: &str, inodes: &str| {
        ran(
            "setquota",
            &["-u", SOMEBODY, "0", blocks, "0", inodes, place],
        )
    };
    if !limit("2000", "200") {
        eprintln!("skipped: `setquota` is missing, or this kernel knows no quota");
        return;
    }
    stocked(&shop);
    let all = shop.path(".");
    fs::set_permissions(&all, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(ran("chown", &["-R", SOMEBODY, all.to_str().unwrap()]));
    let run = || {
        let mut command = shop.command(&["apply", "--yes"]);
        let ended = command
            .uid(65_534)
            .gid(65_534)
            .stdin(Stdio::null())
            .output();
        ended.map(|output| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            Said {
                out: text(&output.stdout),
                err: text(&output.stderr),
                code: output.status.code().unwrap(),
            }
        })
    };
    let Ok(said) = run() else {
        eprintln!("skipped: another user cannot run the program here");
        return;
    };
    assert_eq!((said.code, old(&shop).len()), (0, 0), "{said:?}");
    stocked(&shop);
    assert!(ran(
        "chown",
        &["-R", SOMEBODY, shop.path("store/d").to_str().unwrap()]
    ));
    // What is there already may stay, and not a block or a name more.
    assert!(limit("1", "1"));
    let said = run().unwrap();
    assert_eq!((said.code, old(&shop).len()), (0, 0), "{said:?}");
    assert!(shop.has("d/young"));
}

#[test]
fn a_store_that_turned_read_only_stays_as_it_is() {
    let shop = Shop::new(OLD);
    let Some(disk) = Disk::on(&shop, "store") else {
        return;
    };
    stocked(&shop);
    shop.file("d/first", "x", 10 * DAY);
    disk.remount("ro");
    let said = shop.run(&["apply", "--yes"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store").len(), 42, "{said:?}");
    disk.remount("rw");
    finished(&shop);
}

#[test]
fn a_full_state_directory_stops_a_run_before_its_first_removal() {
    let shop = Shop::new(OLD);
    let Some(disk) = Disk::on(&shop, "state") else {
        return;
    };
    stocked(&shop);
    let filler = disk.fill();
    let said = shop.run(&["apply", "--yes"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(said.err.contains("free a few MiB"), "{said:?}");
    assert_eq!(shop.files("store").len(), 41, "{said:?}");
    fs::remove_file(filler).unwrap();
    finished(&shop);
}

#[test]
fn with_too_few_descriptors_nothing_is_lost() {
    for limit in [8_u64, 12, 16, 20, 24, 32] {
        let shop = Shop::new(OLD);
        stocked(&shop);
        let said = limited(&shop, limit);
        troubled(&shop, &said);
        finished(&shop);
    }
}

fn limited(shop: &Shop, descriptors: u64) -> Said {
    let inner = shop.command(&["apply", "--yes"]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\" apply --yes"))
        .arg(inner.get_program())
        .current_dir(inner.get_current_dir().unwrap_or(Path::new(".")))
        .env_clear()
        .env("HOME", shop.path("."))
        .process_group(0)
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code().unwrap(),
    }
}

#[test]
fn a_full_store_is_emptied_although_the_mirror_of_the_holds_has_to_change() {
    let shop = Shop::new(OLD);
    let Some(disk) = Disk::on(&shop, "store") else {
        return;
    };
    // A first run, as on any day: it leaves a spare trash.
    stocked(&shop);
    finished(&shop);
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let until = soon.to_string();
    shop.ok(&[
        "hold", "add", "short", "--on", "d/*", "--until", &until, "--reason", "r",
    ]);
    stocked(&shop);
    let filler = disk.fill();
    let said = shop.run(&["hold", "add", "more", "--on", "e/*", "--reason", "r"]);
    assert!(
        said.err.contains("`.retain/holds` is as it was"),
        "{said:?}"
    );
    while jiff::Timestamp::now() <= soon {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // The first hold is over, and no block is left to say so.
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!((said.code, old(&shop).len()), (0, 0), "{said:?}");
    fs::remove_file(filler).unwrap();
    // With room again the mirror has the hold that the ledger had all the time.
    let mirror = fs::read_to_string(shop.path("store/.retain/holds")).unwrap();
    assert!(mirror.contains("more"), "{mirror}");
    assert!(shop.has("d/young"));
}
