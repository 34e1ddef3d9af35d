use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::entry::{Facts, Kind};
use crate::path::RelPath;
use crate::time::{Now, Stamp};

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
            .remove_interrupted(&parent, path, facts, End::Unlink, &mut |now| {
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
    let removal = fixture.trash.remove_interrupted(
        &parent,
        &planned.0,
        &planned.1,
        End::Unlink,
        &mut |now| match now {
            Moment::Compared => {
                fixture.write("second", "second");
                fs::rename(fixture.place("second"), fixture.place("file")).unwrap();
            }
            Moment::Returning => {
                fixture.write("file", "third");
            }
            Moment::Moved | Moment::Verified => {}
        },
    );
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
    assert!(
        matches!(removal, Removal::Changed | Removal::Busy(_)),
        "{removal:?}"
    );
    assert_eq!(fixture.read("file"), "old and new");
}

#[test]
fn a_file_that_is_open_for_writing_is_busy_and_one_open_for_reading_is_not() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    let writer = File::options()
        .append(true)
        .open(fixture.place("file"))
        .unwrap();
    let removal = fixture.remove(&planned);
    assert!(matches!(removal, Removal::Busy(_)), "{removal:?}");
    assert_eq!(fixture.read("file"), "old");
    drop(writer);
    // Moving it away and back has changed its inode's time.
    let planned = fixture.planned("file");
    let _reader = File::open(fixture.place("file")).unwrap();
    assert!(matches!(fixture.remove(&planned), Removal::Removed { .. }));
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
    let error = root.lock(&Now::from_clock()).unwrap_err().to_string();
    assert!(error.contains("its mode is 0770"), "{error}");
    fs::set_permissions(&control, PermissionsExt::from_mode(0o700)).unwrap();
    assert!(root.lock(&Now::from_clock()).is_ok());

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
    let lock = one.lock(&Now::from_clock()).unwrap();
    let error = two.lock(&Now::from_clock()).unwrap_err().to_string();
    let us = format!("is in use by process {}", std::process::id());
    assert!(error.ends_with(&us), "{error}");
    drop(lock);
    assert!(two.lock(&Now::from_clock()).is_ok());
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

/// A directory with a few things in it, as a plan would know it.
struct Planned {
    path: RelPath,
    directory: Facts,
    members: Vec<(RelPath, Facts)>,
}

impl Fixture {
    fn unit(&self) -> Planned {
        for name in ["unit/a", "unit/sub/b", "unit/sub/deep/c"] {
            self.write(name, name);
        }
        symlink("/", self.place("unit/link")).unwrap();
        self.unit_as_it_is()
    }

    fn unit_as_it_is(&self) -> Planned {
        let below = walkdir::WalkDir::new(self.place("unit")).min_depth(1);
        let members = below.into_iter().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(self.store.path()).unwrap();
            self.planned(name.to_str().unwrap())
        });
        Planned {
            path: path("unit"),
            directory: self.planned("unit").1,
            members: members.collect(),
        }
    }

    fn remove_unit(&self, planned: &Planned) -> Removal {
        self.remove_unit_while(planned, Moment::Compared, || ())
    }

    fn remove_unit_while(
        &self,
        planned: &Planned,
        moment: Moment,
        mut happening: impl FnMut(),
    ) -> Removal {
        let parent = self.root.open_dir(&RelPath::root()).unwrap();
        let members = Members {
            directory: &planned.directory,
            members: &planned.members,
        };
        self.trash.remove_directory_interrupted(
            &parent,
            &planned.path,
            members,
            End::Unlink,
            &mut |now| {
                if now == moment {
                    happening();
                }
            },
        )
    }
}

#[test]
fn a_whole_directory_goes_and_nothing_beyond_its_links() {
    let fixture = Fixture::new();
    let planned = fixture.unit();
    let removal = fixture.remove_unit(&planned);
    assert!(
        matches!(removal, Removal::Removed { freed } if freed > 0),
        "{removal:?}"
    );
    assert!(!fixture.place("unit").exists());
    assert_eq!(fixture.trashed(), 0);
    assert_eq!(fixture.remove_unit(&planned), Removal::Vanished);
}

#[test]
fn a_directory_with_a_stranger_a_gap_or_an_altered_member_stays_whole() {
    type Meddle = fn(&Fixture);
    let meddles: [(&str, Meddle); 6] = [
        ("a stranger", |f| drop(f.write("unit/sub/new", "new"))),
        ("a new directory", |f| {
            fs::create_dir(f.place("unit/sub/deep/d")).unwrap();
        }),
        ("a gap", |f| fs::remove_file(f.place("unit/sub/b")).unwrap()),
        ("an altered file", |f| {
            drop(f.write("unit/a", "other content"))
        }),
        ("a replaced file", |f| {
            f.write("elsewhere", "unit/a");
            fs::rename(f.place("elsewhere"), f.place("unit/a")).unwrap();
        }),
        ("a link for a directory", |f| {
            fs::rename(f.place("unit/sub"), f.place("was")).unwrap();
            symlink("../was", f.place("unit/sub")).unwrap();
        }),
    ];
    // Before we look, and between the last look in its place and the moving.
    for moment in [None, Some(Moment::Compared)] {
        for (what, meddle) in meddles {
            let fixture = Fixture::new();
            let planned = fixture.unit();
            let removal = match moment {
                None => {
                    meddle(&fixture);
                    fixture.remove_unit(&planned)
                }
                Some(moment) => fixture.remove_unit_while(&planned, moment, || meddle(&fixture)),
            };
            assert_eq!(removal, Removal::Changed, "{what} {moment:?}");
            assert!(fixture.place("unit/sub").exists(), "{what} {moment:?}");
            assert_eq!(fixture.trashed(), 0, "{what} {moment:?}");
        }
    }
}

#[test]
fn who_holds_a_moved_directory_open_keeps_what_is_put_into_it() {
    use rustix::fs::{Mode, OFlags, openat};
    for moment in [Moment::Moved, Moment::Verified] {
        let fixture = Fixture::new();
        let planned = fixture.unit();
        let held = File::open(fixture.place("unit/sub")).unwrap();
        let removal = fixture.remove_unit_while(&planned, moment, || {
            let flags = OFlags::WRONLY | OFlags::CREATE;
            let new = openat(&held, "new", flags, Mode::RUSR | Mode::WUSR).unwrap();
            File::from(new).write_all(b"new").unwrap();
        });
        match moment {
            Moment::Moved => assert_eq!(removal, Removal::Changed),
            _ => assert!(matches!(removal, Removal::Remains { .. }), "{removal:?}"),
        }
        assert_eq!(fixture.read("unit/sub/new"), "new");
        assert_eq!(fixture.place("unit/a").exists(), moment == Moment::Moved);
    }
}

#[test]
fn a_directory_whose_name_is_taken_meanwhile_leaves_the_new_one_alone() {
    let fixture = Fixture::new();
    let planned = fixture.unit();
    let removal = fixture.remove_unit_while(&planned, Moment::Verified, || {
        fixture.write("unit/new", "new");
    });
    assert!(matches!(removal, Removal::Removed { .. }), "{removal:?}");
    assert_eq!(fixture.read("unit/new"), "new");

    let fixture = Fixture::new();
    let planned = fixture.unit();
    let removal = fixture.remove_unit_while(&planned, Moment::Moved, || {
        fixture.write("unit/new", "new");
    });
    // It had been the planned one, so it goes; the new one is not looked at.
    assert!(matches!(removal, Removal::Removed { .. }), "{removal:?}");
    assert_eq!(fixture.read("unit/new"), "new");
}

#[test]
fn a_directory_with_a_writer_in_it_keeps_what_is_written() {
    let fixture = Fixture::new();
    let planned = fixture.unit();
    let _writer = File::options()
        .append(true)
        .open(fixture.place("unit/a"))
        .unwrap();
    let removal = fixture.remove_unit(&planned);
    assert!(!matches!(removal, Removal::Removed { .. }), "{removal:?}");
    assert_eq!(fixture.read("unit/a"), "unit/a");
}

#[test]
fn only_an_empty_directory_that_is_the_planned_one_goes() {
    let fixture = Fixture::new();
    let parent = fixture.root.open_dir(&RelPath::root()).unwrap();
    let remove = |planned: &Facts| {
        let name = path("dir");
        parent.remove_empty(Name::of(&name).unwrap(), planned)
    };
    fs::create_dir(fixture.place("dir")).unwrap();
    let planned = fixture.planned("dir").1;
    fixture.write("dir/file", "x");
    assert_eq!(remove(&planned), Removal::Changed);
    let full = fixture.planned("dir").1;
    assert_eq!(remove(&full), Removal::Changed);
    fs::remove_dir_all(fixture.place("dir")).unwrap();
    assert_eq!(remove(&planned), Removal::Vanished);
    fixture.write("dir", "a file now");
    assert_eq!(remove(&planned), Removal::Changed);
    fs::remove_file(fixture.place("dir")).unwrap();
    fs::create_dir(fixture.place("dir")).unwrap();
    let planned = fixture.planned("dir").1;
    assert!(matches!(remove(&planned), Removal::Removed { .. }));
    assert!(!fixture.place("dir").exists());
}

#[test]
fn what_is_kept_in_the_trash_comes_back_as_it_was_and_replaces_nothing() {
    let fixture = Fixture::new();
    let head = Head::new("run-1", "s", "a".to_owned(), "b".to_owned());
    let mut index = fixture.trash.begin_index(&head).unwrap();
    let planned = [fixture.write("a/one", "one"), fixture.write("a/two", "two")];
    let trashed = planned.clone().map(|(path, facts)| Trashed {
        path,
        facts,
        members: Vec::new(),
    });
    index.note(&fixture.root, &trashed).unwrap();
    let parent = fixture.root.open_dir(&path("a")).unwrap();
    for (path, facts) in &planned {
        assert_eq!(fixture.trash.keep(&parent, path, facts), Removal::Trashed);
    }
    assert!(!fixture.place("a/one").exists());
    let contents = fixture.trash.index().unwrap().unwrap();
    let listed = contents.files;
    assert_eq!((contents.head, listed.len()), (head, 2));
    assert!(contents.around.contains_key(&path("a")));
    fixture.write("a/two", "newer");
    assert_eq!(fixture.trash.put_back(&parent, &listed[0]), Return::Back);
    assert_eq!(fixture.trash.put_back(&parent, &listed[0]), Return::Gone);
    assert_eq!(fixture.trash.put_back(&parent, &listed[1]), Return::Taken);
    assert_eq!(
        (fixture.read("a/one"), fixture.read("a/two")),
        ("one".to_owned(), "newer".to_owned())
    );
    let freed = planned[1].1.allocated;
    assert_eq!(fixture.trash.purge_kept(&listed[1]), Purge::Gone { freed });
    assert_eq!(fixture.trash.purge_kept(&listed[1]), Purge::Absent);
    let Fixture { root, trash, .. } = fixture;
    assert_eq!(root.clear_trash(trash).unwrap(), Cleared::Removed);
}

#[test]
fn a_stranger_in_the_trash_is_neither_purged_nor_put_anywhere() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    let trashed = Trashed {
        path: planned.0.clone(),
        facts: planned.1,
        members: Vec::new(),
    };
    let slot = Slot::of(&planned.0);
    let place = fixture.place(".retain/trash/run-1").join(slot.to_string());
    fs::write(&place, "stranger").unwrap();
    assert_eq!(fixture.trash.purge_kept(&trashed), Purge::Stranger);
    let parent = fixture.root.open_dir(&RelPath::root()).unwrap();
    assert_eq!(fixture.trash.put_back(&parent, &trashed), Return::Stranger);
    assert_eq!(fs::read_to_string(place).unwrap(), "stranger");
}

#[test]
fn a_directory_kept_in_the_trash_comes_back_or_is_purged_with_what_was_in_it() {
    let fixture = Fixture::new();
    let planned = fixture.unit();
    let head = Head::new("run-1", "s", "a".to_owned(), "b".to_owned());
    let mut index = fixture.trash.begin_index(&head).unwrap();
    let trashed = Trashed {
        path: planned.path.clone(),
        facts: planned.directory,
        members: planned.members.clone(),
    };
    let listed = std::slice::from_ref(&trashed);
    index.note(&fixture.root, listed).unwrap();
    let parent = fixture.root.open_dir(&RelPath::root()).unwrap();
    let keep = |planned: &Planned| {
        let members = Members {
            directory: &planned.directory,
            members: &planned.members,
        };
        fixture
            .trash
            .keep_directory(&parent, &planned.path, members)
    };
    assert_eq!(keep(&planned), Removal::Trashed);
    let listed = fixture.trash.index().unwrap().unwrap().files;
    assert_eq!(fixture.trash.put_back(&parent, &listed[0]), Return::Back);
    assert_eq!(fixture.read("unit/sub/deep/c"), "unit/sub/deep/c");

    let again = fixture.unit_as_it_is();
    assert_eq!(keep(&again), Removal::Trashed);
    let purged = fixture.trash.purge_kept(&listed[0]);
    assert!(
        matches!(purged, Purge::Gone { freed } if freed > 0),
        "{purged:?}"
    );
    assert!(!fixture.place("unit").exists());
}

#[test]
fn direct_removal_takes_the_planned_file_only() {
    let fixture = Fixture::new();
    let planned = fixture.write("file", "old");
    let other = fixture.write("other", "x");
    fixture.write("other", "altered since");
    let parent = fixture.root.open_dir(&RelPath::root()).unwrap();
    let direct =
        |(path, facts): &(RelPath, Facts)| fixture.trash.remove_direct(&parent, path, facts);
    let freed = planned.1.allocated;
    assert_eq!(direct(&planned), Removal::Removed { freed });
    assert_eq!(direct(&planned), Removal::Vanished);
    assert_eq!(direct(&other), Removal::Changed);
    fs::create_dir(fixture.place("dir")).unwrap();
    assert!(matches!(
        direct(&fixture.planned("dir")),
        Removal::Unverifiable(_)
    ));
}

#[test]
fn a_file_being_restored_lies_where_no_scan_looks_and_a_dead_one_is_swept() {
    let fixture = Fixture::new();
    let lock = fixture.root.lock(&Now::from_clock()).unwrap();
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
