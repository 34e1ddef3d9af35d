use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::entry::{Facts, Kind};
use crate::path::RelPath;
use crate::time::Stamp;

/// A store in a temporary directory with a run's trash.
struct Fixture {
    store: TempDir,
    root: Root,
    trash: Trash,
}

impl Fixture {
    fn new() -> Fixture {
        let store = TempDir::new().unwrap();
        let root = Root::open(store.path()).unwrap();
        let trash = root.establish_trash("run-1").unwrap();
        Fixture { store, root, trash }
    }

    fn place(&self, name: &str) -> std::path::PathBuf {
        self.store.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> (RelPath, Facts) {
        let place = self.place(name);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
        self.planned(name)
    }

    fn planned(&self, name: &str) -> (RelPath, Facts) {
        let facts = self.root.stat(&path(name)).unwrap();
        (path(name), facts)
    }

    fn remove(&self, (path, facts): &(RelPath, Facts)) -> Removal {
        self.root.remove_verified(path, facts, &self.trash)
    }

    /// Removes with something happening at one moment.
    fn remove_while(
        &self,
        (path, facts): &(RelPath, Facts),
        moment: Moment,
        mut happening: impl FnMut(),
    ) -> Removal {
        let parent = self.root.open_dir(&path.parent().unwrap()).unwrap();
        self.trash
            .remove_interrupted(&parent, path, facts, &mut |now| {
                if now == moment {
                    happening();
                }
            })
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.place(name)).unwrap()
    }

    fn trashed(&self) -> usize {
        fs::read_dir(self.place(".retain/trash/run-1"))
            .unwrap()
            .count()
    }
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn attributes() -> Attributes {
    let us = rustix::process::geteuid().as_raw();
    Attributes {
        mode: 0o640,
        owner: us,
        group: rustix::process::getegid().as_raw(),
        modified: Stamp::new(1_000_000_000, 123_456_789),
        xattrs: Vec::new(),
    }
}

#[test]
fn the_planned_file_goes_and_leaves_nothing_in_the_trash() {
    let fixture = Fixture::new();
    for name in ["plain", "a/b/c", "new\nline", "-rf *"] {
        let planned = fixture.write(name, "content");
        let freed = planned.1.allocated;
        assert_eq!(fixture.remove(&planned), Removal::Removed { freed });
        assert!(!fixture.place(name).exists());
        assert_eq!(fixture.remove(&planned), Removal::Vanished);
    }
    assert_eq!(fixture.trashed(), 0);
    let Fixture { root, trash, .. } = fixture;
    assert_eq!(root.clear_trash(trash).unwrap(), Cleared::Removed);
}

#[test]
fn a_file_whose_name_is_no_text_and_an_empty_file_go() {
    let fixture = Fixture::new();
    let name = RelPath::parse(b"\xff\xfe").unwrap();
    File::create(fixture.store.path().join(name.as_os())).unwrap();
    let facts = fixture.root.stat(&name).unwrap();
    let removal = fixture.remove(&(name, facts));
    assert_eq!(removal, Removal::Removed { freed: 0 });
}

#[test]
fn a_link_goes_and_what_it_points_to_stays() {
    let fixture = Fixture::new();
    let outside = TempDir::new().unwrap();
    symlink(outside.path(), fixture.place("link")).unwrap();
    let planned = fixture.planned("link");
    assert!(matches!(fixture.remove(&planned), Removal::Removed { .. }));
    assert!(outside.path().exists());
}

#[test]
fn only_the_last_name_of_a_file_frees_its_bytes() {
    let fixture = Fixture::new();
    fixture.write("one", "content");
    fs::hard_link(fixture.place("one"), fixture.place("two")).unwrap();
    let (one, two) = (fixture.planned("one"), fixture.planned("two"));
    let freed = one.1.allocated;
    assert_eq!(fixture.remove(&one), Removal::Removed { freed: 0 });
    // Unlinking the first has changed the inode of the second; that was us.
    assert_eq!(fixture.remove(&two), Removal::Removed { freed });
}

#[test]
fn a_second_link_that_somebody_else_touched_stays() {
    let fixture = Fixture::new();
    fixture.write("one", "content");
    fs::hard_link(fixture.place("one"), fixture.place("two")).unwrap();
    let (one, two) = (fixture.planned("one"), fixture.planned("two"));
    fixture.remove(&one);
    fs::set_permissions(fixture.place("two"), PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(fixture.remove(&two), Removal::Changed);
}

#[test]
fn a_file_altered_since_the_plan_stays() {
    let fixture = Fixture::new();
    let grown = fixture.write("grown", "content");
    let mut file = File::options()
        .append(true)
        .open(fixture.place("grown"))
        .unwrap();
    file.write_all(b" and more").unwrap();
    assert_eq!(fixture.remove(&grown), Removal::Changed);
    assert_eq!(fixture.read("grown"), "content and more");

    // Same length, and the time put back: the inode's change time still tells.
    let forged = fixture.write("forged", "content");
    let file = File::options()
        .write(true)
        .open(fixture.place("forged"))
        .unwrap();
    (&file).write_all(b"CONTENT").unwrap();
    let then = std::time::UNIX_EPOCH
        + std::time::Duration::new(
            forged.1.modified.seconds().unsigned_abs(),
            forged.1.modified.subsec_nanoseconds(),
        );
    file.set_modified(then).unwrap();
    assert_eq!(fixture.planned("forged").1.modified, forged.1.modified);
    // Two changes within one tick of the file system's clock look like none.
    if fixture.planned("forged").1.changed != forged.1.changed {
        assert_eq!(fixture.remove(&forged), Removal::Changed);
    }

    let replaced = fixture.write("replaced", "old");
    fixture.write("new", "new");
    fs::rename(fixture.place("new"), fixture.place("replaced")).unwrap();
    assert_eq!(fixture.remove(&replaced), Removal::Changed);
    assert_eq!(fixture.read("replaced"), "new");
}

#[test]
fn a_file_that_took_the_name_between_the_looks_is_put_back() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    fixture.write("new", "new");
    let removal = fixture.remove_while(&planned, Moment::Compared, || {
        fs::rename(fixture.place("new"), fixture.place("file")).unwrap();
    });
    assert_eq!(removal, Removal::Changed);
    assert_eq!(fixture.read("file"), "new");
    assert_eq!(fixture.trashed(), 0);
}

#[test]
fn a_directory_that_took_the_name_is_put_back_with_all_in_it() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    fixture.write("dir/inside", "inside");
    let removal = fixture.remove_while(&planned, Moment::Compared, || {
        fs::remove_file(fixture.place("file")).unwrap();
        fs::rename(fixture.place("dir"), fixture.place("file")).unwrap();
    });
    assert_eq!(removal, Removal::Changed);
    assert_eq!(fixture.read("file/inside"), "inside");
}

#[test]
fn a_stranger_whose_name_is_taken_again_stays_in_the_trash() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    let parent = fixture.root.open_dir(&RelPath::root()).unwrap();
    let removal = fixture
        .trash
        .remove_interrupted(&parent, &planned.0, &planned.1, &mut |now| match now {
            Moment::Compared => {
                fixture.write("second", "second");
                fs::rename(fixture.place("second"), fixture.place("file")).unwrap();
            }
            Moment::Returning => {
                fixture.write("file", "third");
            }
            Moment::Moved | Moment::Verified => {}
        });
    let slot = Slot::of(&planned.0);
    let reason = "its name is taken by another file".to_owned();
    assert_eq!(
        removal,
        Removal::StrangerKept {
            slot: slot.clone(),
            reason
        }
    );
    assert_eq!(fixture.read("file"), "third");
    assert_eq!(fixture.read(&fixture.trash.place(&slot)), "second");

    let again = fixture.planned("file");
    assert!(matches!(fixture.remove(&again), Removal::Unverifiable(_)));
    assert_eq!(fixture.read("file"), "third");
    let Fixture { store, root, trash } = fixture;
    assert_eq!(root.clear_trash(trash).unwrap(), Cleared::Occupied);
    drop(store);
}

#[test]
fn a_writer_who_comes_between_the_looks_keeps_the_file() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    let mut writer = File::options()
        .append(true)
        .open(fixture.place("file"))
        .unwrap();
    let removal = fixture.remove_while(&planned, Moment::Moved, || {
        writer.write_all(b" and new").unwrap();
    });
    assert_eq!(removal, Removal::Changed);
    assert_eq!(fixture.read("file"), "old and new");
}

#[test]
fn a_new_file_under_the_moved_ones_name_stays() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    let removal = fixture.remove_while(&planned, Moment::Verified, || {
        fixture.write("file", "new");
    });
    assert!(matches!(removal, Removal::Removed { .. }));
    assert_eq!(fixture.read("file"), "new");
}

#[test]
fn a_directory_swapped_for_a_link_leads_nowhere() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("file"), "canary").unwrap();
    let fixture = Fixture::new();
    let planned = fixture.write("dir/file", "old");
    fs::rename(fixture.place("dir"), fixture.place("was")).unwrap();
    symlink(outside.path(), fixture.place("dir")).unwrap();
    for open in [Root::open, Root::open_stepwise] {
        let root = open(fixture.store.path()).unwrap();
        let removal = root.remove_verified(&planned.0, &planned.1, &fixture.trash);
        assert_eq!(removal, Removal::Changed);
        assert!(root.open_file(&planned.0, &planned.1).is_err());
        assert!(root.create_file(&path("dir/other")).is_err());
    }
    let canary = fs::read_dir(outside.path()).unwrap().count();
    assert_eq!((canary, fixture.read("was/file").as_str()), (1, "old"));
}

#[test]
fn directories_the_root_and_our_own_files_are_no_files_to_remove() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.place("dir")).unwrap();
    let identity = fixture.root.establish_identity().unwrap();
    for name in ["dir", ".retain/id", ""] {
        let planned = fixture.planned(name);
        let removal = fixture.remove(&planned);
        assert!(
            matches!(removal, Removal::Unverifiable(_)),
            "{name}: {removal:?}"
        );
    }
    assert_eq!(fixture.root.identity().unwrap(), Some(identity));
    assert!(fixture.root.create_file(&path(".retain/new")).is_err());
}

#[test]
fn a_file_is_opened_only_while_it_is_the_planned_one() {
    let fixture = Fixture::new();
    let (name, facts) = fixture.write("dir/file", "content");
    for open in [Root::open, Root::open_stepwise] {
        let root = open(fixture.store.path()).unwrap();
        let mut text = String::new();
        let mut file = root.open_file(&name, &facts).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "content");
        assert_eq!(root.stat(&name).unwrap().accessed, facts.accessed);
    }
    fs::write(fixture.place("dir/file"), "another content").unwrap();
    let error = fixture.root.open_file(&name, &facts).unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<Stale>()));
}

#[test]
fn a_fifo_is_never_opened() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let fixture = Fixture::new();
    let place = fixture.place("fifo");
    mknodat(CWD, &place, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let (name, facts) = fixture.planned("fifo");
    assert_eq!(facts.kind, Kind::Special);
    assert!(fixture.root.open_file(&name, &facts).is_err());
}

#[test]
fn a_restored_file_has_its_content_mode_and_time() {
    let fixture = Fixture::new();
    let mut new = fixture.root.create_file(&path("a/b/file")).unwrap();
    new.write_all(b"content").unwrap();
    assert!(!fixture.place("a/b/file").exists());
    assert_eq!(new.publish(&attributes()).unwrap(), []);
    let (_, facts) = fixture.planned("a/b/file");
    assert_eq!(fixture.read("a/b/file"), "content");
    assert_eq!(facts.mode & 0o7777, 0o640);
    assert_eq!(facts.modified, attributes().modified);
    assert_eq!(fs::read_dir(fixture.place("a/b")).unwrap().count(), 1);
}

#[test]
fn restoring_overwrites_nothing() {
    let fixture = Fixture::new();
    fixture.write("file", "there");
    let exists = |error: io::Error| assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    exists(fixture.root.create_file(&path("file")).unwrap_err());

    let mut new = fixture.root.create_file(&path("late")).unwrap();
    new.write_all(b"restored").unwrap();
    fixture.write("late", "first");
    exists(new.publish(&attributes()).unwrap_err());
    assert_eq!(fixture.read("late"), "first");

    drop(fixture.root.create_file(&path("given up")).unwrap());
    let left = fs::read_dir(fixture.store.path()).unwrap().count();
    assert_eq!(left, 3, "file, late and .retain");
}

#[test]
fn a_root_has_one_identity_and_planning_gives_none() {
    let store = TempDir::new().unwrap();
    let root = Root::open(store.path()).unwrap();
    assert_eq!(root.identity().unwrap(), None);
    assert_eq!(fs::read_dir(store.path()).unwrap().count(), 0);
    let identity = root.establish_identity().unwrap();
    assert_eq!(root.establish_identity().unwrap(), identity);
    let again = Root::open(store.path()).unwrap();
    assert_eq!(
        again.identity().unwrap().as_deref(),
        Some(identity.as_str())
    );
    assert_eq!(
        fs::read_dir(store.path().join(".retain")).unwrap().count(),
        1
    );
}

#[test]
fn a_control_directory_others_can_write_is_refused() {
    let store = TempDir::new().unwrap();
    let root = Root::open(store.path()).unwrap();
    let control = store.path().join(".retain");
    fs::create_dir(&control).unwrap();
    fs::set_permissions(&control, PermissionsExt::from_mode(0o770)).unwrap();
    let error = root.lock().unwrap_err().to_string();
    assert!(error.contains("its mode is 0770"), "{error}");
    fs::set_permissions(&control, PermissionsExt::from_mode(0o700)).unwrap();
    assert!(root.lock().is_ok());

    fs::write(control.join("id"), "not an identity\n").unwrap();
    assert!(matches!(root.identity(), Err(StoreError::Untrusted { .. })));
    fs::remove_dir_all(&control).unwrap();
    let elsewhere = TempDir::new().unwrap();
    symlink(elsewhere.path(), &control).unwrap();
    assert!(root.establish_identity().is_err());
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn the_lock_is_held_once_and_names_its_holder() {
    let store = TempDir::new().unwrap();
    let (one, two) = (
        Root::open(store.path()).unwrap(),
        Root::open(store.path()).unwrap(),
    );
    let lock = one.lock().unwrap();
    let error = two.lock().unwrap_err().to_string();
    let us = format!("is in use by process {}", std::process::id());
    assert!(error.ends_with(&us), "{error}");
    drop(lock);
    assert!(two.lock().is_ok());
}

#[test]
fn a_runs_name_cannot_lead_out_of_the_trash() {
    let store = TempDir::new().unwrap();
    let root = Root::open(store.path()).unwrap();
    for run in ["..", "a/b", "", "."] {
        assert!(root.establish_trash(run).is_err(), "{run}");
    }
}

#[test]
fn a_store_that_is_missing_or_a_file_is_an_error_in_words() {
    let store = TempDir::new().unwrap();
    let missing = store.path().join("missing");
    let error = Root::open(&missing).unwrap_err().to_string();
    let place = missing.display();
    assert_eq!(
        error,
        format!("cannot open the store `{place}`: no such file or directory")
    );
    File::create(&missing).unwrap();
    let error = Root::open(&missing).unwrap_err().to_string();
    assert!(error.ends_with("not a directory"), "{error}");
}

#[test]
fn facts_are_those_the_system_shows() {
    let fixture = Fixture::new();
    let (_, facts) = fixture.write("file", "content");
    let shown = fs::symlink_metadata(fixture.place("file")).unwrap();
    assert_eq!(
        (facts.id.device, facts.id.inode),
        (shown.dev(), shown.ino())
    );
    assert_eq!((facts.size, facts.links), (shown.len(), shown.nlink()));
    assert_eq!(facts.allocated, shown.blocks() * 512);
    assert_eq!(facts.modified.seconds(), shown.mtime());
    assert_eq!(
        i64::from(facts.changed.subsec_nanoseconds()),
        shown.ctime_nsec()
    );
    assert_eq!(
        (facts.mode, facts.owner, facts.group),
        (shown.mode(), shown.uid(), shown.gid())
    );
}

#[test]
fn the_space_of_the_file_system_adds_up() {
    let space = Root::open(Path::new("/")).unwrap().space().unwrap();
    assert!(space.total > 0 && space.available <= space.free && space.free <= space.total);
}

#[test]
fn a_removal_cut_short_is_undone() {
    let fixture = Fixture::new();
    let moved = fixture.write("a/moved", "moved");
    let parent = fixture.root.open_dir(&path("a")).unwrap();
    let slot = Slot::of(&moved.0);
    // What a crash between the two system calls leaves.
    parent
        .rename(Name::of(&moved.0).unwrap(), &fixture.trash.dir, slot.name())
        .unwrap();
    let recover = |name: &str| {
        let recovered = fixture.root.recover(&path(name), &moved.1, &fixture.trash);
        recovered.unwrap()
    };
    assert_eq!(recover("a/moved"), Recovery::InPlace);
    assert_eq!(fixture.read("a/moved"), "moved");
    assert_eq!(recover("a/moved"), Recovery::InPlace);
    assert_eq!(recover("never/there"), Recovery::Gone);

    parent
        .rename(Name::of(&moved.0).unwrap(), &fixture.trash.dir, slot.name())
        .unwrap();
    fixture.write("a/moved", "newer");
    let reason = "its name is taken by another file".to_owned();
    assert_eq!(recover("a/moved"), Recovery::Stranded { slot, reason });
    assert_eq!(fixture.read("a/moved"), "newer");
}

#[test]
fn a_file_being_restored_lies_where_no_scan_looks_and_a_dead_one_is_swept() {
    let fixture = Fixture::new();
    let lock = fixture.root.lock().unwrap();
    let draft = fixture.root.create_file(&path("a/file")).unwrap();
    assert_eq!(fs::read_dir(fixture.place("a")).unwrap().count(), 0);
    // What a killed process leaves: nobody drops it.
    std::mem::forget(draft);
    let drafts = || {
        let names = fs::read_dir(fixture.place(".retain")).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("draft.")).count()
    };
    assert_eq!(drafts(), 1);
    fixture.root.sweep_drafts(&lock).unwrap();
    assert_eq!(drafts(), 0);
}

#[test]
fn a_directory_that_is_no_store_is_restored_into_without_a_mark() {
    let directory = TempDir::new().unwrap();
    let root = Root::open(directory.path()).unwrap();
    let mut new = root.create_file(&path("file")).unwrap();
    new.write_all(b"x").unwrap();
    new.publish(&attributes()).unwrap();
    let names = fs::read_dir(directory.path()).unwrap();
    let names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
    assert_eq!(names, ["file"]);
}

#[test]
fn an_attribute_that_cannot_be_given_back_is_said() {
    let fixture = Fixture::new();
    let new = fixture.root.create_file(&path("file")).unwrap();
    let attributes = Attributes {
        xattrs: vec![("no namespace".to_owned(), b"x".to_vec())],
        ..attributes()
    };
    let [shortfall] = new.publish(&attributes).unwrap().try_into().unwrap();
    assert!(
        shortfall.attribute.contains("`no namespace`"),
        "{shortfall}"
    );
}

#[test]
fn recovery_tells_the_planned_file_from_one_that_has_its_name_now() {
    let fixture = Fixture::new();
    let (path, planned) = fixture.write("a", "planned");
    let recover = || {
        fixture
            .root
            .recover(&path, &planned, &fixture.trash)
            .unwrap()
    };
    assert_eq!(recover(), Recovery::InPlace);
    fs::write(fixture.place("a"), "longer than it was").unwrap();
    assert_eq!(recover(), Recovery::Altered);
    // Another inode: the first one lives on under another name.
    fs::rename(fixture.place("a"), fixture.place("b")).unwrap();
    fs::write(fixture.place("a"), "planned").unwrap();
    assert_eq!(recover(), Recovery::Gone);
}

#[test]
fn a_removal_that_cannot_be_looked_at_is_not_settled() {
    let fixture = Fixture::new();
    let (path, planned) = fixture.write("a/b", "x");
    // A directory whose name no `stat` will take.
    let long = RelPath::parse("y".repeat(300)).unwrap();
    assert!(
        fixture
            .root
            .recover(&long, &planned, &fixture.trash)
            .is_err()
    );
    assert_eq!(
        fixture
            .root
            .recover(&path, &planned, &fixture.trash)
            .unwrap(),
        Recovery::InPlace
    );
}
