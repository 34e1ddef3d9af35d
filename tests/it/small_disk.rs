//! File systems that run full or turn read-only, and a process that runs out of
//! descriptors: whatever fails, young files stay, and the next run finishes the work.

use std::fs;
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
        let image = shop.path(format!("{directory}.img"));
        let place = shop.path(directory);
        fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
        fs::create_dir_all(&place).unwrap();
        let (image, at) = (image.to_str().unwrap(), place.to_str().unwrap());
        // Without blocks set aside for root, so that full is full.
        let made = ran("mkfs.ext4", &["-q", "-m", "0", "-O", "^has_journal", image])
            && ran("mount", &["-o", "loop", image, at]);
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
