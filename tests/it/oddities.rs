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

/// The usual configuration for a store whose links are files.
fn links_are_files(shop: &Shop, more: &str) {
    let toml = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let marked = "policy = \"p.retain\"\n";
    let with = format!("{marked}symlinks = \"files\"\n{more}");
    shop.write("retain.toml", toml.replace(marked, &with));
}

#[test]
fn links_that_are_files_go_alone_and_come_back() {
    for (more, direct) in [("grace = \"1 day\"\n", false), ("exclusive = true\n", true)] {
        let shop = Shop::new("delete when size under 1 kB");
        links_are_files(&shop, more);
        shop.write("outside", "precious");
        fs::create_dir(shop.path("other")).unwrap();
        shop.write("other/file", "precious");
        for (to, name) in [("../outside", "l"), ("../other", "d"), ("nowhere", "n")] {
            symlink(to, shop.path("store").join(name)).unwrap();
        }
        let said = shop.ok(&["apply", "--yes"]);
        assert!(said.out.contains("3 files"), "{said:?}");
        assert_eq!(shop.files("store"), [""; 0]);
        assert_eq!(shop.files("other"), ["file"]);
        assert_eq!(fs::read(shop.path("outside")).unwrap(), b"precious");
        if !direct {
            shop.ok(&["undo", "last"]);
            assert_eq!(shop.files("store"), ["d", "l", "n"]);
            let target = fs::read_link(shop.path("store/n")).unwrap();
            assert_eq!(target, std::path::Path::new("nowhere"));
        }
        shop.ok(&["audit", "verify"]);
    }
}

#[test]
fn a_link_has_no_bytes_for_an_archive_so_it_stays() {
    let shop = Shop::new("delete always\nbefore delete, run backup into cold, otherwise keep");
    links_are_files(&shop, "");
    shop.write("outside", "precious");
    symlink("../outside", shop.path("store/link")).unwrap();
    shop.file("plain", "x", 10 * DAY);
    let said = shop.run(&["apply", "--yes"]);
    assert!(shop.has("link") && !shop.has("plain"), "{said:?}");
    let words = format!("{}{}", said.out, said.err);
    assert!(words.contains("no bytes to archive"), "{words}");
    let archived = shop.files("cold");
    assert!(
        archived.iter().all(|name| !name.contains("link")),
        "{archived:?}"
    );
}

#[test]
fn why_says_what_would_make_a_link_a_file() {
    let shop = Shop::new("delete always");
    symlink("nowhere", shop.path("store/link")).unwrap();
    let said = shop.ok(&["why", "link"]);
    assert!(said.out.contains("symlinks = \"files\""), "{said:?}");
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
    // Another store by another name: under the old one it would be a lost volume.
    let text = text.replace("\"store\"", "\"ro\"");
    shop.write("retain.toml", text.replace("stores.files", "stores.others"));
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
    fs::set_permissions(shop.path("store/closed"), fs::Permissions::from_mode(0o000)).unwrap();
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

#[test]
fn a_destination_in_a_store_is_never_walked_however_its_url_is_written() {
    let shop = Shop::new(BACKUP);
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", text.replace("./cold", "./store/my%20cold"));
    shop.file("a", "x", 10 * DAY);
    shop.file("my cold/earlier", "an archive", 10 * DAY);
    let checked = shop.run(&["check"]);
    assert!(checked.err.contains("at `my cold`"), "{checked:?}");
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    assert!(!shop.has("a") && shop.has("my cold/earlier"));
    let said = shop.run(&["restore", "a"]);
    assert_eq!(said.code, 0, "{said:?}");
}

/// Makes the last run look as a crash leaves it before its outcomes are recorded.
fn cut_short(shop: &Shop) {
    let journal = rusqlite::Connection::open(shop.path("state/journal.sqlite3")).unwrap();
    journal
        .execute_batch("update batches set outcomes = null; update runs set ended = null")
        .unwrap();
}

#[test]
fn what_a_crash_left_is_settled_before_anything_new_begins() {
    let shop = Shop::new("delete always");
    shop.file("a", "x", 0);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    cut_short(&shop);
    shop.file("b", "x", 0);
    let trash = shop.path("store/.retain/trash");
    fs::set_permissions(&trash, fs::Permissions::from_mode(0o755)).unwrap();
    for _ in 0..2 {
        let said = shop.run(&["apply", "--yes"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.err.contains("1 of its files cannot be seen: `a`"),
            "{said:?}"
        );
        assert!(shop.has("b"));
    }
    fs::set_permissions(&trash, fs::Permissions::from_mode(0o700)).unwrap();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.err.contains("1 file had gone, 0 are in their place"),
        "{said:?}"
    );
    assert!(!shop.has("b"));
    assert!(!shop.run(&["apply", "--yes"]).err.contains("cut short"));
}

#[test]
fn a_store_by_another_name_settles_what_was_left_under_the_first() {
    let shop = Shop::new("delete always");
    shop.file("a", "x", 0);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    cut_short(&shop);
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write(
        "retain.toml",
        text.replace("stores.files", "stores.renamed"),
    );
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(
        said.err.contains("an earlier run was cut short"),
        "{said:?}"
    );
}

#[test]
fn a_plan_saved_before_the_first_run_does_not_lose_the_store_its_identity() {
    let shop = Shop::new("delete when older than 1 day");
    shop.file("a", "x", 2 * DAY);
    assert_eq!(shop.run(&["plan", "-o", "saved.json"]).code, 0);
    assert_eq!(shop.run(&["apply", "saved.json", "--yes"]).code, 0);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
}

/// A second store beside the usual one, with a policy of its own.
fn second_store(shop: &Shop, policy: &str) {
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    // Its name comes first in the order stores are cleaned in.
    let table = "[stores.another]\npath = \"another\"\npolicy = \"another.retain\"\n";
    shop.write("retain.toml", format!("{table}{text}"));
    shop.write("another.retain", policy);
}

#[test]
fn a_store_that_cannot_be_cleaned_does_not_keep_the_others_from_it() {
    let broken = "edition 2026\ncollection all at \"**\" { delete whenever }\n";
    let whole = broken.replace("delete whenever", "delete always");
    for (policy, words) in [
        (broken, "store `another` was not touched"),
        (whole.as_str(), "no such file or directory"),
    ] {
        let shop = Shop::new("delete always");
        second_store(&shop, policy);
        shop.file("a", "x", 0);
        let planned = shop.run(&["plan"]);
        assert!(planned.out.contains("would remove 1 file"), "{planned:?}");
        let said = shop.run(&["apply", "--yes"]);
        assert!(!shop.has("a"), "{said:?}");
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.contains("store another:"), "{said:?}");
        assert_eq!(said.err.matches(words).count(), 1, "{said:?}");
        let alone = shop.run(&["apply", "another", "--yes"]);
        assert_eq!(alone.code, 2, "{alone:?}");
    }
}

#[test]
fn a_run_that_had_begun_and_could_not_go_on_is_stopped_not_refused() {
    let shop = Shop::new("delete always");
    fs::create_dir_all(shop.path("store/.retain/trash")).unwrap();
    fs::set_permissions(
        shop.path("store/.retain"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    let trash = shop.path("store/.retain/trash");
    fs::set_permissions(trash, fs::Permissions::from_mode(0o755)).unwrap();
    shop.file("a", "x", 0);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("was stopped: refusing to use"),
        "{said:?}"
    );
    assert_eq!(said.err.matches("refusing to use").count(), 1, "{said:?}");
    assert!(shop.has("a"));
    let runs = shop.run(&["runs"]);
    assert!(runs.out.contains("  stopped  "), "{runs:?}");
}

#[test]
fn restoring_waits_for_no_run_and_writes_into_no_other_root() {
    let shop = Shop::new(BACKUP);
    shop.file("a", "x", 10 * DAY);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    let root = retain::store::Root::open(&shop.path("store")).unwrap();
    let lock = root.lock(&retain::time::Now::from_clock()).unwrap();
    let said = shop.run(&["restore", "a"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("is in use by process"), "{said:?}");
    drop(lock);
    fs::rename(shop.path("store/.retain"), shop.path("kept")).unwrap();
    let said = shop.run(&["restore", "a"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("is the volume mounted?"), "{said:?}");
    assert!(!shop.has("a") && !shop.has(".retain"));
    // Elsewhere it can always be had.
    assert_eq!(shop.run(&["restore", "a", "--to", "back"]).code, 0);
    fs::rename(shop.path("kept"), shop.path("store/.retain")).unwrap();
    assert_eq!(shop.run(&["restore", "a"]).code, 0);
    assert!(shop.has("a"));
}

#[test]
fn planning_makes_no_root_and_applying_does() {
    let shop = Shop::new("delete always");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let text = text.replace("path = \"store\"", "path = \"new\"\ncreate = true");
    shop.write("retain.toml", text);
    let said = shop.run(&["plan"]);
    assert_eq!(said.code, 2, "{said:?}");
    assert!(
        said.err.contains("the first `retain apply` makes it"),
        "{said:?}"
    );
    assert!(!shop.path("new").exists());
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    assert!(shop.path("new").exists());
    assert_eq!(shop.run(&["plan"]).code, 0);
}

#[test]
fn what_somebody_else_removed_is_not_counted_as_ours() {
    let shop = Shop::new("delete when older than 1 day");
    shop.file("a", "x", 2 * DAY);
    shop.file("b", "x", 2 * DAY);
    assert_eq!(shop.run(&["plan", "-o", "saved.json"]).code, 0);
    fs::remove_file(shop.path("store/a")).unwrap();
    let said = shop.run(&["apply", "saved.json", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("removed 1 file"), "{said:?}");
    assert!(said.out.contains("a: already gone"), "{said:?}");
    let runs = shop.run(&["runs"]);
    assert!(runs.out.contains("already gone 1"), "{runs:?}");
}

/// Sets an extended attribute, or says that it cannot be done here.
fn set_xattr(path: &std::path::Path, name: &str, value: &[u8]) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    let set = rustix::fs::setxattr(path, name, value, flags);
    if set.is_err() {
        eprintln!("skipped: no extended attributes here");
    }
    set.is_ok()
}

#[test]
fn extended_attributes_come_back_with_the_file() {
    let shop = Shop::new(BACKUP);
    shop.file("a", "x", 10 * DAY);
    let file = shop.path("store/a");
    if !set_xattr(&file, "user.origin", b"\0scanner\xff") {
        return;
    }
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    assert_eq!(shop.run(&["restore", "a"]).code, 0);
    let mut value = vec![0; 100];
    let length = rustix::fs::getxattr(&file, "user.origin", value.as_mut_slice()).unwrap();
    assert_eq!(&value[..length], b"\0scanner\xff");
}

#[test]
fn a_directory_made_for_a_restore_is_no_more_open_than_the_one_it_lies_in() {
    let shop = Shop::new(BACKUP);
    shop.file("private/deep/a", "x", 10 * DAY);
    let private = shop.path("store/private");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    fs::remove_dir(private.join("deep")).unwrap();
    assert_eq!(shop.run(&["restore", "private/deep/a"]).code, 0);
    let mode = private
        .join("deep")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_backup_volume_that_is_not_mounted_is_noticed_and_its_files_stay() {
    let shop = Shop::new(BACKUP);
    shop.file("a", "x", 10 * DAY);
    assert_eq!(shop.run(&["apply", "--yes"]).code, 0);
    shop.file("b", "x", 10 * DAY);
    let refused = |words: &str| {
        let said = shop.run(&["apply", "--yes"]);
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.out.contains(words), "{said:?}");
        assert!(said.out.contains("is the volume mounted?"), "{said:?}");
        assert!(shop.has("b"));
    };
    fs::rename(shop.path("cold"), shop.path("unmounted")).unwrap();
    refused("it is not there");
    assert!(!shop.path("cold").exists());
    fs::create_dir(shop.path("cold")).unwrap();
    refused("it has no `.staging/id`");
    let identity = fs::read_to_string(shop.path("unmounted/.staging/id")).unwrap();
    fs::create_dir(shop.path("cold/.staging")).unwrap();
    shop.write("cold/.staging/id", "0".repeat(32));
    refused("it has another `.staging/id`");
    // Replaced on purpose, as the message says.
    shop.write("cold/.staging/id", identity);
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!shop.has("b"));
}

#[test]
fn archives_beside_the_store_are_called_so_in_the_plan_and_in_the_report() {
    let shop = Shop::new(BACKUP);
    shop.file("a", "x", 10 * DAY);
    let planned = shop.run(&["plan"]);
    assert!(
        planned.out.contains("lie on the same filesystem"),
        "{planned:?}"
    );
    let done = shop.run(&["apply", "--yes"]);
    assert!(done.out.contains("(same filesystem)"), "{done:?}");
    let Some(_mount) = Mount::at(shop.path("cold2"), "size=1m") else {
        return;
    };
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    shop.write("retain.toml", text.replace("./cold", "./cold2"));
    shop.file("b", "x", 10 * DAY);
    let planned = shop.run(&["plan"]);
    assert!(!planned.out.contains("same filesystem"), "{planned:?}");
    let done = shop.run(&["apply", "--yes"]);
    assert!(!done.out.contains("same filesystem"), "{done:?}");
}

/// Runs the binary as a user who owns nothing; nothing where that is not possible.
fn as_nobody(shop: &Shop, arguments: &[&str]) -> Option<super::shop::Said> {
    use std::os::unix::process::CommandExt;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let output = shop
        .command(arguments)
        .uid(65_534)
        .gid(65_534)
        .output()
        .ok()?;
    Some(super::shop::Said {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    })
}

#[test]
fn an_ordinary_user_who_may_not_remove_is_told_so_and_removes_nothing() {
    let shop = Shop::new("delete when older than 7 days");
    shop.file("closed/theirs", "x", 10 * DAY);
    shop.file("open/ours", "x", 10 * DAY);
    for place in [".", "store", "store/open"] {
        fs::set_permissions(shop.path(place), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let Some(said) = as_nobody(&shop, &["apply", "--yes"]) else {
        eprintln!("skipped: only root can become another user");
        return;
    };
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("closed/theirs: kept"), "{said:?}");
    assert!(said.out.contains("permission denied"), "{said:?}");
    assert!(shop.has("closed/theirs") && !shop.has("open/ours"));
}

#[test]
fn an_immutable_file_stays_and_the_others_go() {
    let shop = Shop::new("delete when older than 7 days");
    shop.file("fixed", "x", 10 * DAY);
    shop.file("loose", "x", 10 * DAY);
    let chattr = |flag: &str| {
        let mut command = Command::new("chattr");
        command.arg(flag).arg(shop.path("store/fixed"));
        let quiet = command.stderr(std::process::Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    };
    if !chattr("+i") {
        eprintln!("skipped: files cannot be made immutable here");
        return;
    }
    let said = shop.run(&["apply", "--yes"]);
    assert!(chattr("-i"));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("fixed: kept, removal failed"), "{said:?}");
    assert_eq!(shop.files("store"), ["fixed"]);
}

#[test]
fn a_process_short_of_descriptors_still_does_its_work() {
    let shop = Shop::new("delete when older than 7 days");
    for n in 0..60 {
        shop.file(format!("{n}/a/b/c/file"), "x", 10 * DAY);
        shop.file(format!("{n}/new"), "x", 0);
    }
    let binary = env!("CARGO_BIN_EXE_retain");
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -n 40; exec {binary} apply --yes")])
        .current_dir(shop.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("removed 60 files"), "{said} {output:?}");
    assert_eq!(shop.files("store").len(), 60);
}

#[test]
fn a_file_four_thousand_directories_deep_goes_and_comes_back() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let shop = Shop::new("delete when older than 7 days");
    let text = fs::read_to_string(shop.path("retain.toml")).unwrap();
    let table = "[stores.files]\n";
    shop.write(
        "retain.toml",
        text.replace(table, &format!("{table}grace = \"1 hour\"\n")),
    );
    let open = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = openat(CWD, shop.path("store"), open, Mode::empty()).unwrap();
    for _ in 0..4_000 {
        mkdirat(&at, "d", Mode::RWXU).unwrap();
        at = openat(&at, "d", open, Mode::empty()).unwrap();
    }
    let flags = OFlags::WRONLY | OFlags::CREATE;
    let file = fs::File::from(openat(&at, "deep", flags, Mode::RUSR | Mode::WUSR).unwrap());
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(10 * DAY);
    file.set_modified(old).unwrap();
    drop(file);
    let there = || openat(&at, "deep", OFlags::RDONLY, Mode::empty()).is_ok();
    let said = shop.run(&["apply", "--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(!there());
    let said = shop.run(&["undo", "last"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(there());
    // Too deep for whoever cleans up after the test by path.
    let _ = Command::new("rm")
        .arg("-rf")
        .arg(shop.path("store"))
        .status();
}

/// The system calls of a command, one a line.
pub fn traced(shop: &Shop, arguments: &[&str], calls: &str) -> Option<String> {
    let trace = shop.path("trace");
    let command = shop.command(arguments);
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-e", &format!("trace={calls}"), "-o"])
        .arg(&trace)
        .arg(command.get_program())
        .args(arguments)
        .current_dir(shop.path("."))
        .env_clear()
        .env("HOME", shop.path("."))
        .output();
    let Ok(traced) = traced else {
        eprintln!("skipped: there is no strace");
        return None;
    };
    assert!(traced.status.success(), "{traced:?}");
    Some(fs::read_to_string(trace).unwrap())
}

#[test]
fn a_file_costs_one_system_call_and_a_directory_one_opening() {
    let shop = Shop::new("delete when older than 7 days");
    for dir in 0..40 {
        for file in 0..5 {
            shop.file(format!("dir-{dir}/file-{file}"), "x", DAY);
        }
    }
    let Some(trace) = traced(&shop, &["plan"], "%file,%desc") else {
        return;
    };
    // What another thread interrupts is two lines, of which the second names nothing.
    let count = |call: &str, name: &str| {
        let calls = trace.lines().filter(|line| line.contains(call));
        calls.filter(|line| line.contains(name)).count()
    };
    assert_eq!(count("", "\"file-"), 200, "{trace}");
    assert_eq!(count("statx(", "\"file-"), 200, "{trace}");
    assert_eq!(count("", "\"dir-"), 40, "{trace}");
    assert_eq!(count("openat2(", "\"dir-"), 40, "{trace}");
    // Whether a store begins there is told by the listing: only the root is asked.
    assert!(count("open", ".retain\"") < 20, "{trace}");
    // One that fills and one that finds the end, and those of the state directory.
    let listings = count("getdents64(", "");
    assert!((80..120).contains(&listings), "{listings}: {trace}");
}

#[test]
fn a_name_no_collection_has_is_never_looked_at() {
    let shop = Shop::new("");
    shop.write(
        "p.retain",
        "edition 2026\ncollection logs at \"{host}/*.log\" {\nage is measured from last modified\n\
         delete when older than 7 days\n}\n",
    );
    for name in ["a/x.log", "a/other.png", "a/y.log", "a/deep/z.log"] {
        shop.file(name, "x", 10 * DAY);
    }
    std::os::unix::fs::symlink("x.log", shop.path("store/a/link.log")).unwrap();
    let Some(trace) = traced(&shop, &["plan"], "%file") else {
        return;
    };
    let looked = |name: &str| trace.lines().filter(|line| line.contains(name)).count();
    assert_eq!(
        (looked("\"x.log\""), looked("\"y.log\"")),
        (1, 1),
        "{trace}"
    );
    for unread in ["\"other.png\"", "\"link.log\"", "\"z.log\"", "\"deep\""] {
        assert_eq!(looked(unread), 0, "{unread}: {trace}");
    }
    let said = shop.run(&["plan"]);
    assert!(
        said.out.contains("leaves alone 1 file no collection names"),
        "{said:?}"
    );
}

#[test]
fn a_directory_no_statement_can_touch_is_never_opened() {
    let shop = Shop::new("");
    shop.write(
        "p.retain",
        "edition 2026\ncollection logs at \"logs/**\" {\nage is measured from last modified\n\
         delete when older than 7 days\n}\n",
    );
    for name in ["logs/inner/a", "other/deep/b", "precious/c"] {
        shop.file(name, "x", 10 * DAY);
    }
    let Some(trace) = traced(&shop, &["plan"], "%file") else {
        return;
    };
    let opened = |name: &str| {
        let opens = trace.lines().filter(|line| line.contains("open"));
        opens.filter(|line| line.contains(name)).count()
    };
    assert!(opened("\"inner\"") > 0, "{trace}");
    for untouched in ["\"other\"", "\"deep\"", "\"precious\""] {
        assert_eq!(opened(untouched), 0, "{untouched}: {trace}");
    }
    for unread in ["\"b\"", "\"c\""] {
        let looked = trace.lines().filter(|line| line.contains(unread));
        assert_eq!(looked.count(), 0, "{unread}: {trace}");
    }
}

/// How often a run makes each of these calls that removes so many files from each of so
/// many directories.
fn calls_of_a_run<const N: usize>(
    setting: &str,
    (directories, files): (usize, usize),
    calls: [&str; N],
) -> Option<[i64; N]> {
    let shop = Shop::new("delete when older than 7 days\nstop never because \"all go\"");
    shop.configure(setting);
    for dir in 0..directories {
        for file in 0..files {
            shop.file(format!("dir-{dir}/file-{file}"), "x", 10 * DAY);
        }
        // With something that stays, or it would go as a whole.
        shop.file(format!("dir-{dir}/new"), "x", 0);
    }
    let trace = traced(&shop, &["apply", "--yes"], &calls.join(","))?;
    assert_eq!(shop.files("store").len(), directories);
    // What another thread interrupts is two lines, of which the second begins otherwise.
    Some(calls.map(|call| {
        let begins = format!(" {call}(");
        let lines = trace.lines().filter(|line| line.contains(&begins));
        // Only a debug build asks whether what it closes is open.
        let lines = lines.filter(|line| !line.contains("F_GETFD"));
        i64::try_from(lines.count()).unwrap()
    }))
}

#[test]
fn a_removal_costs_so_many_system_calls_and_no_more() {
    let calls = [
        "statx",
        "renameat2",
        "openat2",
        "fcntl",
        "close",
        "unlinkat",
        "rename",
        "openat",
        "unlink",
        "fsync",
    ];
    let cases = [
        // One `statx` of a file is the scan's, as are an `openat2` and a `close` of a directory;
        // one `statx` more is of what stays in it.
        (
            "",
            [3, 1, 1, 2, 1, 1, 0, 0, 0, 0],
            [3, 0, 3, 0, 3, 0, 0, 0, 0, 0],
        ),
        (
            "grace = \"1 day\"",
            [3, 1, 1, 2, 1, 0, 0, 0, 0, 0],
            [4, 0, 3, 0, 4, 0, 0, 1, 0, 0],
        ),
        (
            "exclusive = true",
            [2, 0, 0, 0, 0, 1, 0, 0, 0, 0],
            [1, 0, 2, 0, 2, 0, 0, 0, 0, 0],
        ),
    ];
    for (setting, a_file, a_directory) in cases {
        let count = |tree| calls_of_a_run(setting, tree, calls);
        let Some([few, many, spread]) =
            count((12, 10)).and_then(|few| Some([few, count((12, 30))?, count((36, 10))?]))
        else {
            return;
        };
        // To the nearest: a handful is other threads' and the journal's.
        let each = |more: [i64; 10], less: [i64; 10], of: i64| -> Vec<i64> {
            let differences = more.iter().zip(less).map(|(more, less)| more - less);
            differences
                .map(|more| (more + of / 2).div_euclid(of))
                .collect()
        };
        let found = (each(many, few, 12 * 20), each(spread, many, 24));
        let wanted = (a_file.to_vec(), a_directory.to_vec());
        assert_eq!(
            found, wanted,
            "{setting}: {calls:?} for each file, directory"
        );
    }
}
