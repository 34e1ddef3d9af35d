use std::fs;
use std::path::Path;
use std::process::Command;

use super::copy::{Interrupted, unhurried};
use super::*;

fn vault(directory: &Path) -> Destination {
    Destination::open("vault", directory).unwrap()
}

fn name(text: &str) -> ObjectName {
    ObjectName::parse(text).unwrap()
}

fn stage(destination: &Destination, bytes: &[u8]) -> Staged {
    let mut writer = destination.create().unwrap();
    writer.write(bytes).unwrap();
    writer.finish(&mut unhurried).unwrap()
}

/// Every name a user would see.
fn visible(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".staging")
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            entry
                .path()
                .strip_prefix(directory)
                .unwrap()
                .display()
                .to_string()
        })
        .collect();
    names.sort();
    names
}

fn staged_files(directory: &Path) -> usize {
    walkdir::WalkDir::new(directory.join(".staging"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with(".lock"))
        .count()
}

#[test]
fn nothing_is_visible_before_it_is_published() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    let staged = stage(&destination, b"chart");
    assert_eq!(visible(directory.path()), Vec::<String>::new());
    assert_eq!(staged.blake3(), blake3::hash(b"chart"));

    let object = staged
        .publish(&destination, &name("charts/a.png"), OnExisting::Fail)
        .unwrap();
    assert_eq!(object.size, 5);
    assert_eq!(visible(directory.path()), ["charts/a.png"]);
    assert_eq!(
        destination.lookup(&name("charts/a.png")).unwrap(),
        Some(object)
    );
    assert_eq!(
        fs::read(directory.path().join("charts/a.png")).unwrap(),
        b"chart"
    );
}

#[test]
fn what_is_dropped_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    drop(stage(&destination, b"finished"));
    let mut writer = destination.create().unwrap();
    writer.write(b"half").unwrap();
    drop(writer);
    assert_eq!(staged_files(directory.path()), 0);
    drop(destination);
    assert_eq!(
        fs::read_dir(directory.path().join(".staging"))
            .unwrap()
            .count(),
        1
    );
}

#[test]
fn nothing_is_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    let publish = |bytes: &[u8], on_existing| {
        stage(&destination, bytes).publish(&destination, &name("a"), on_existing)
    };
    publish(b"first", OnExisting::Fail).unwrap();
    let again = publish(b"first", OnExisting::Fail).unwrap_err().to_string();
    assert_eq!(
        again,
        "destination `vault` already holds an object `a`; nothing is overwritten"
    );
    publish(b"first", OnExisting::SameBytes).unwrap();
    let other = publish(b"other", OnExisting::SameBytes)
        .unwrap_err()
        .to_string();
    assert!(other.contains("with other bytes"), "{other}");
    assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"first");
    assert_eq!(staged_files(directory.path()), 0);
}

#[test]
fn a_symlink_in_the_destination_leads_nowhere() {
    let directory = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), directory.path().join("out")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), directory.path().join("s")).unwrap();
    let destination = vault(directory.path());

    let published =
        stage(&destination, b"x").publish(&destination, &name("out/x"), OnExisting::Fail);
    assert!(published.is_err());
    assert!(destination.open_object(&name("out/secret")).is_err());
    assert!(destination.open_object(&name("s")).is_err());
    assert_eq!(visible(outside.path()), ["secret"]);
}

#[test]
fn a_spliced_range_is_the_source_s_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let path = directory.path().join("source");
    fs::write(&path, &bytes).unwrap();
    let source = File::open(&path).unwrap();
    let destination = vault(&directory.path().join("vault"));

    let mut writer = destination.create().unwrap();
    writer.write(b"head").unwrap();
    let moved = writer
        .splice(&source, 1_000, u64::MAX / 2, &mut unhurried)
        .unwrap();
    assert_eq!(moved, 2_999_000);
    let staged = writer.finish(&mut unhurried).unwrap();
    let expected = [b"head".as_slice(), &bytes[1_000..]].concat();
    assert_eq!(staged.blake3(), blake3::hash(&expected));
    assert_eq!(staged.size(), expected.len() as u64);
}

#[test]
fn a_splice_stops_when_its_checkpoint_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("source");
    File::create(&path).unwrap().set_len(3 * SLICE).unwrap();
    let source = File::open(&path).unwrap();
    let destination = vault(&directory.path().join("vault"));
    let mut writer = destination.create().unwrap();
    let mut asked = 0;
    let stopped = writer.splice(&source, 0, 3 * SLICE, &mut || {
        asked += 1;
        if asked < 3 { Ok(()) } else { Err(Interrupted) }
    });
    assert!(matches!(stopped, Err(DestinationError::Interrupted { .. })));
    drop(writer);
    assert_eq!(staged_files(&directory.path().join("vault")), 0);
}

#[test]
fn a_dead_process_s_staging_is_swept_and_a_live_one_s_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let dead = directory.path().join(".staging/dead");
    fs::create_dir_all(&dead).unwrap();
    fs::write(dead.join("7"), "half").unwrap();
    let live = vault(directory.path());
    let staged = stage(&live, b"live");
    assert!(!dead.exists());

    let other = vault(directory.path());
    drop(stage(&other, b"other"));
    staged
        .publish(&live, &name("live"), OnExisting::Fail)
        .unwrap();
    assert_eq!(visible(directory.path()), ["live"]);
}

#[test]
fn a_missing_directory_is_made_but_not_the_one_above() {
    let directory = tempfile::tempdir().unwrap();
    vault(&directory.path().join("new"));
    assert!(directory.path().join("new").is_dir());
    let missing = directory.path().join("not/there");
    let message = Destination::open("vault", &missing)
        .unwrap_err()
        .to_string();
    assert!(message.contains("does not exist; create it"), "{message}");
    fs::write(directory.path().join("file"), "").unwrap();
    assert!(Destination::open("vault", &directory.path().join("file")).is_err());
}

#[test]
fn a_receipt_s_url_opens_the_directory_it_was_written_for() {
    let directory = tempfile::tempdir().unwrap();
    let odd = directory.path().join("100% cold%20");
    vault(&odd);
    let open = |url: &str| Destination::open_existing("vault", url).map(drop);
    open(&crate::url::write(&odd)).unwrap();
    let message = |url: &str| open(url).unwrap_err().to_string();
    assert!(message("s3://bucket/prefix").contains("not yet supported"));
    assert!(message("file://./cold").contains("must be absolute"));
}

/// A tmpfs of our own, or nothing where mounting is not allowed.
struct Mount(tempfile::TempDir);

impl Mount {
    fn new(options: &str) -> Option<Mount> {
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "retain-test"])
            .arg(directory.path())
            .stderr(std::process::Stdio::null())
            .status();
        if status.is_ok_and(|status| status.success()) {
            return Some(Mount(directory));
        }
        eprintln!("skipped: mounting a tmpfs is not allowed here");
        None
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_destination_says_so_and_holds_nothing() {
    let Some(mount) = Mount::new("size=256k") else {
        return;
    };
    let destination = vault(mount.0.path());
    let mut writer = destination.create().unwrap();
    let error = writer.write(&vec![7; 1 << 20]).unwrap_err();
    assert!(matches!(error, DestinationError::Full { .. }), "{error}");
    assert!(error.to_string().contains("no space is left"), "{error}");
    drop(writer);
    assert_eq!(visible(mount.0.path()), Vec::<String>::new());
    assert_eq!(staged_files(mount.0.path()), 0);
}

#[test]
fn a_read_only_destination_can_be_read_and_says_why_it_cannot_be_written() {
    let Some(mount) = Mount::new("size=256k") else {
        return;
    };
    let destination = vault(mount.0.path());
    stage(&destination, b"old")
        .publish(&destination, &name("old"), OnExisting::Fail)
        .unwrap();
    drop(destination);
    let status = Command::new("mount")
        .args(["-o", "remount,ro"])
        .arg(mount.0.path())
        .status();
    assert!(status.unwrap().success());

    let destination = vault(mount.0.path());
    assert!(destination.open_object(&name("old")).is_ok());
    let error = destination.create().unwrap_err();
    assert!(
        matches!(error, DestinationError::ReadOnly { .. }),
        "{error}"
    );
}

/// The one file that lies in staging.
fn staged_path(directory: &Path) -> std::path::PathBuf {
    let mut files = walkdir::WalkDir::new(directory.join(".staging"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_none());
    let found = files.next().unwrap();
    assert_eq!(files.next(), None);
    found
}

#[test]
fn reading_back_sees_what_is_stored_not_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    let staged = stage(&destination, b"chart");
    let written = (5, staged.blake3());
    assert_eq!(staged.read_back(&mut unhurried).unwrap(), written);
    fs::write(staged_path(directory.path()), b"chars").unwrap();
    assert_ne!(staged.read_back(&mut unhurried).unwrap(), written);
    fs::write(staged_path(directory.path()), b"chart and more").unwrap();
    assert_eq!(staged.read_back(&mut unhurried).unwrap().0, 14);
}

#[test]
fn a_writer_that_failed_takes_no_more_and_cannot_be_finished() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    let mut writer = destination.create().unwrap();
    writer.write(b"whole").unwrap();
    let stop = writer.splice(&fs::File::open("/dev/zero").unwrap(), 0, 1, &mut || {
        Err(Interrupted)
    });
    assert!(stop.is_err());
    assert!(writer.write(b"more").is_err());
    assert!(writer.finish(&mut unhurried).is_err());
}

#[test]
fn a_file_longer_than_what_was_written_is_no_object() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    let mut writer = destination.create().unwrap();
    writer.write(b"whole").unwrap();
    // What a write that failed halfway leaves behind the known end.
    let mut file = fs::OpenOptions::new();
    let mut file = file
        .append(true)
        .open(staged_path(directory.path()))
        .unwrap();
    std::io::Write::write_all(&mut file, b"rest").unwrap();
    assert!(writer.finish(&mut unhurried).is_err());
}

#[test]
fn an_existing_object_is_compared_by_its_size_first_and_within_the_time_limit() {
    let directory = tempfile::tempdir().unwrap();
    let destination = vault(directory.path());
    let existing = stage(&destination, b"first");
    existing
        .publish(&destination, &name("a"), OnExisting::Fail)
        .unwrap();
    let late = &mut || Err(Interrupted);
    let other = stage(&destination, b"longer").check_free(&name("a"), OnExisting::SameBytes, late);
    assert!(other.unwrap_err().to_string().contains("with other bytes"));
    let same = stage(&destination, b"first").check_free(&name("a"), OnExisting::SameBytes, late);
    assert!(matches!(same, Err(DestinationError::Interrupted { .. })));
}
