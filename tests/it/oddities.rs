//! Names, files and destinations as they should not be.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use super::shop::{DAY, Shop};

const BACKUP: &str =
    "delete when older than 7 days\nbefore delete, run backup into cold, otherwise keep";

#[test]
fn names_that_are_no_text_go_and_come_back() {
    let shop = Shop::new(BACKUP);
    let odd: [&[u8]; 6] = [
        b"\xff\xfe",
        b"new\nline",
        b"-rf *",
        b"a\\b",
        b" ",
        b"\x1b[2J",
    ];
    for name in odd {
        shop.file(OsStr::from_bytes(name), name, 10 * DAY);
    }
    shop.file("x".repeat(255), "long", 10 * DAY);
    shop.file("empty", "", 10 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("removed 8 files"), "{said:?}");
    assert!(!said.out.contains('\x1b'), "{said:?}");
    let said = shop.run(&["restore", "--run", "last"]);
    assert_eq!(said.code, 0, "{said:?}");
    for name in odd {
        assert_eq!(
            fs::read(shop.path("store").join(OsStr::from_bytes(name))).unwrap(),
            name
        );
    }
    assert!(shop.has("x".repeat(255)) && shop.has("empty"));
}

#[test]
fn links_and_what_they_point_to_stay() {
    let shop = Shop::new("delete always");
    shop.write("outside", "precious");
    fs::create_dir(shop.path("other")).unwrap();
    shop.write("other/file", "precious");
    symlink("../outside", shop.path("store/link")).unwrap();
    symlink("../other", shop.path("store/directory")).unwrap();
    shop.file("plain", "x", 10 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store"), ["directory", "link"]);
    assert_eq!(shop.files("other"), ["file"]);
}

#[test]
fn a_fifo_is_never_opened() {
    let shop = Shop::new("delete always");
    let fifo = shop.path("store/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(shop.has("fifo"));
}

#[test]
fn a_missing_root_and_a_root_that_lost_its_mark_are_refused() {
    let shop = Shop::new("delete always");
    shop.file("a", "x", 0);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    shop.file("b", "x", 0);
    fs::rename(shop.path("store/.retain"), shop.path("kept")).unwrap();
    for command in [["plan"].as_slice(), &["apply", "--yes"]] {
        let said = shop.run(command);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("is the volume mounted?"), "{said:?}");
    }
    assert!(shop.has("b"));
    fs::rename(shop.path("kept"), shop.path("store/.retain")).unwrap();
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    assert!(!shop.has("b"));

    fs::remove_dir_all(shop.path("store")).unwrap();
    let said = shop.run(&["plan"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("no such file or directory"), "{said:?}");
}

#[test]
fn two_instances_do_not_work_on_one_store_at_once() {
    let shop = Shop::new("delete always");
    shop.file("a", "x", 0);
    let root = retain::store::Root::open(&shop.path("store")).unwrap();
    let lock = root.lock(&retain::time::Now::from_clock()).unwrap();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("is in use by process"), "{said:?}");
    assert!(shop.has("a"));
    drop(lock);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
}

/// A tmpfs mounted at a directory, or nothing where mounting is not allowed.
struct Mount(std::path::PathBuf);

impl Mount {
    fn at(place: std::path::PathBuf, options: &str) -> Option<Mount> {
        fs::create_dir_all(&place).unwrap();
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "retain-test"])
            .arg(&place);
        match command.stderr(std::process::Stdio::null()).status() {
            Ok(status) if status.success() => Some(Mount(place)),
            _ => {
                eprintln!("skipped: mounting a tmpfs is not allowed here");
                None
            }
        }
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0)
            .status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_destination_keeps_what_it_cannot_take() {
    let shop = Shop::new(BACKUP);
    shop.file("large", vec![1; 300_000], 10 * DAY);
    shop.file("small", "x", 10 * DAY);
    let Some(_mount) = Mount::at(shop.path("cold"), "size=128k") else {
        return;
    };
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("large: kept, because plugin `backup`"),
        "{said:?}"
    );
    assert!(said.out.contains("no space is left"), "{said:?}");
    assert_eq!(shop.files("store"), ["large"]);
}

#[test]
fn a_read_only_destination_keeps_everything_and_a_read_only_store_says_so() {
    let shop = Shop::new(BACKUP);
    shop.file("a", "x", 10 * DAY);
    let Some(mount) = Mount::at(shop.path("cold"), "size=128k") else {
        return;
    };
    mount.remount("ro");
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("is read-only"), "{said:?}");
    assert!(shop.has("a"));

    let store = Mount::at(shop.path("ro"), "size=128k").unwrap();
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", text.replace("\"store\"", "\"ro\""));
    shop.write("ro/file", "x");
    store.remount("ro");
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("read-only file system"), "{said:?}");
}

#[test]
fn an_unreadable_directory_is_reported_and_left_alone() {
    let shop = Shop::new("delete always");
    shop.file("closed/inside", "x", 0);
    shop.file("open", "x", 0);
    fs::set_permissions(shop.path("store/closed"), fs::Permissions::from_mode(0)).unwrap();
    // Root reads everything; then there is nothing to see here.
    let readable = fs::read_dir(shop.path("store/closed")).is_ok();
    let said = shop.run(&["plan"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(
        said.out
            .contains("closed: not looked into: permission denied"),
        !readable,
        "{said:?}"
    );
    fs::set_permissions(shop.path("store/closed"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_newest_file_that_goes_takes_its_floor_with_it() {
    let shop = Shop::new("delete when older than 1 day\nkeep newest 1");
    shop.file("newest", "x", 2 * DAY);
    shop.file("older", "x", 3 * DAY);
    shop.file("oldest", "x", 4 * DAY);
    assert_eq!(shop.run(&["plan", "-o", "saved.json"]).code, 0);
    fs::remove_file(shop.path("store/newest")).unwrap();
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(shop.files("store"), ["older", "oldest"]);
    assert!(
        said.out.contains("a newer file of its group is gone"),
        "{said:?}"
    );
}

#[test]
fn inner_stores_destinations_and_state_are_never_walked() {
    let shop = Shop::new("delete always");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let nested = text
        .replace("./cold", "./store/cold")
        .replace("\"state\"", "\"store/state\"");
    shop.write("retain.toml", nested);
    shop.file("cold/precious", "x", 0);
    shop.file("a", "x", 0);
    for _ in 0..2 {
        assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    }
    assert!(shop.has("cold/precious") && shop.has("state/journal.sqlite3"));
    assert!(!shop.has("a"));
}
