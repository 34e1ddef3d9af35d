use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use rustix::fs::{
    CWD, FileType, Mode, OFlags, RenameFlags, mkdirat, mknodat, openat, renameat_with,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use walkdir::WalkDir;

use super::*;
use crate::entry::Kind;

/// One thing to make in a tree; what collides with an earlier one is left out.
#[derive(Clone, Debug)]
struct Planted {
    path: Vec<Vec<u8>>,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    File,
    Directory,
    Link,
    Fifo,
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]),
        1 => prop::sample::select(vec![
            b"\xff\xfe".to_vec(),
            b"new\nline".to_vec(),
            b"...".to_vec(),
            b".retain".to_vec(),
            b"-rf *".to_vec(),
            vec![b'x'; 255],
        ]),
    ]
}

fn planted() -> impl Strategy<Value = Planted> {
    let what = prop_oneof![
        Just(What::File),
        Just(What::File),
        Just(What::Directory),
        Just(What::Link),
        Just(What::Fifo),
    ];
    (prop::collection::vec(name(), 1..7), what).prop_map(|(path, what)| Planted { path, what })
}

fn plant(root: &Path, planted: &[Planted]) {
    for Planted { path, what } in planted {
        let mut place = root.to_owned();
        let (last, parents) = path.split_last().unwrap();
        place.extend(parents.iter().map(|name| OsStr::from_bytes(name)));
        let _ = fs::create_dir_all(&place);
        place.push(OsStr::from_bytes(last));
        let _ = match what {
            What::File if fs::symlink_metadata(&place).is_err() => fs::write(&place, last),
            What::File => Ok(()),
            What::Directory => fs::create_dir(&place),
            What::Link => symlink("..", &place),
            What::Fifo => {
                let made = mknodat(CWD, &place, FileType::Fifo, Mode::RWXU, 0);
                made.map_err(std::io::Error::from)
            }
        };
    }
}

/// What `walkdir` sees: path, kind, length.
fn walked(root: &Path, enter: impl Fn(&RelPath) -> bool) -> Vec<(RelPath, Kind, u64)> {
    let relative = |path: &Path| {
        let below = path.strip_prefix(root).unwrap();
        RelPath::parse(below.as_os_str().as_bytes()).unwrap()
    };
    let mut seen: Vec<_> = WalkDir::new(root)
        .into_iter()
        .filter_entry(|entry| {
            let path = relative(entry.path());
            path.as_bytes() != CONTROL.as_bytes() && (!entry.file_type().is_dir() || enter(&path))
        })
        .map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let kind = match metadata.file_type() {
                kind if kind.is_dir() => Kind::Directory,
                kind if kind.is_file() => Kind::File,
                kind if kind.is_symlink() => Kind::Symlink,
                _ => Kind::Special,
            };
            (relative(entry.path()), kind, metadata.len())
        })
        .collect();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    seen
}

const CONTROL: &str = crate::store::CONTROL;

/// What a scan saw in the same form; everything must have been readable.
fn listed(inventory: &Inventory) -> Vec<(RelPath, Kind, u64)> {
    let mut seen: Vec<_> = [&inventory.entries, &inventory.directories]
        .into_iter()
        .flatten()
        .map(|entry| {
            let facts = entry.facts.as_ref().unwrap();
            (entry.path.clone(), facts.kind, facts.size)
        })
        .collect();
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    seen
}

fn options(threads: usize) -> ScanOptions {
    ScanOptions {
        threads: NonZeroUsize::new(threads).unwrap(),
        ..ScanOptions::default()
    }
}

fn everything(_: &RelPath) -> Visit {
    Visit::All
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn paths(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.path.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_walker_lists_exactly_what_walkdir_lists(
        tree in prop::collection::vec(planted(), 0..40),
        threads in 1_usize..4,
        handles in 0_usize..6,
    ) {
        let store = TempDir::new().unwrap();
        plant(store.path(), &tree);
        let expected = walked(store.path(), |_| true);
        for root in [Root::open(store.path()), Root::open_stepwise(store.path())] {
            let options = options(threads);
            let seen = Arc::clone(&options.seen);
            let inventory = scan_holding(&root.unwrap(), &everything, &Everything, options, handles).0;
            prop_assert_eq!(&listed(&inventory), &expected);
            prop_assert!(inventory.skipped.is_empty());
            // All but the root itself are names that were listed.
            let names = seen.load(std::sync::atomic::Ordering::Relaxed);
            prop_assert_eq!(names, expected.len() as u64 - 1);
        }
    }

    #[test]
    fn pruning_hides_what_lies_below_and_nothing_else(
        tree in prop::collection::vec(planted(), 0..40),
        pruned in name(),
    ) {
        let store = TempDir::new().unwrap();
        plant(store.path(), &tree);
        let enter = |path: &RelPath| path.name() != pruned.as_slice();
        let visit = |path: &RelPath| match enter(path) {
            true => Visit::Some,
            false => Visit::Nothing,
        };
        let inventory = scan(&Root::open(store.path()).unwrap(), &visit, options(2));
        prop_assert_eq!(listed(&inventory), walked(store.path(), enter));
    }
}

/// Makes `d/d/d/…` so deep that no path of the system reaches its end, each level
/// with a file beside it.
fn dig(root: &Path, levels: usize) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut dir = openat(CWD, root, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        mkdirat(&dir, "d", Mode::RWXU).unwrap();
        mkdirat(&dir, "e", Mode::RWXU).unwrap();
        mknodat(&dir, "f", FileType::RegularFile, Mode::RWXU, 0).unwrap();
        dir = openat(&dir, "d", flags, Mode::empty()).unwrap();
    }
}

/// Takes such a tree away from its top, one level at a time: the library's own
/// removal would hold every level open.
fn fill_in(root: &Path) {
    while root.join("d").exists() {
        let _ = fs::remove_file(root.join("f"));
        let _ = fs::remove_dir(root.join("e"));
        let next = root.join("next");
        fs::rename(root.join("d"), &next).unwrap();
        for name in ["f", "e", "d"] {
            let (from, to) = (next.join(name), root.join(name));
            let _ = renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE);
        }
        fs::remove_dir(next).unwrap();
    }
}

#[test]
fn a_tree_deeper_than_any_path_is_listed_to_its_end() {
    // Without handles to spare every directory is found again from the root, which
    // is quadratic in the depth: a smaller tree shows the same.
    for (levels, handles) in [(4096, queue::HANDLES), (512, 0)] {
        let store = TempDir::new().unwrap();
        dig(store.path(), levels);
        let root = Root::open(store.path()).unwrap();
        let inventory = scan_holding(&root, &everything, &Everything, options(2), handles).0;
        assert_eq!(inventory.entries.len(), levels);
        assert_eq!(inventory.directories.len(), 2 * levels + 1);
        assert!(inventory.directories.iter().all(|dir| dir.facts.is_ok()));
        fill_in(store.path());
    }
}

const SCARCE: &str = "RETAIN_TEST_SCARCE_DESCRIPTORS";

#[test]
fn a_scan_short_of_descriptors_still_lists_everything() {
    // The limit holds for a whole process, so the scan has one of its own.
    let Some(store) = std::env::var_os(SCARCE) else {
        let store = TempDir::new().unwrap();
        for place in (0..400).map(|n| store.path().join(format!("{}/{}/{n}", n % 20, n % 40))) {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "").unwrap();
        }
        let name = "scan::tests::a_scan_short_of_descriptors_still_lists_everything";
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(SCARCE, store.path())
            .output()
            .unwrap();
        assert!(child.status.success(), "{child:?}");
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
        return;
    };
    let root = Root::open(Path::new(&store)).unwrap();
    let expected = listed(&scan(&root, &everything, options(1)));
    assert_eq!(expected.len(), 400 + 20 + 40 + 1);
    let open = fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = Some(open + 3);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    assert_eq!(listed(&scan(&root, &everything, options(2))), expected);
}

#[test]
fn what_vanishes_during_the_scan_is_no_error() {
    let store = TempDir::new().unwrap();
    fs::create_dir_all(store.path().join("gone/below")).unwrap();
    fs::create_dir(store.path().join("stays")).unwrap();
    let visit = |dir: &RelPath| {
        if dir == &path("gone") {
            fs::remove_dir_all(store.path().join("gone")).unwrap();
        }
        Visit::All
    };
    let inventory = scan(&Root::open(store.path()).unwrap(), &visit, options(1));
    assert_eq!(paths(&inventory.directories), [".", "stays"]);
    assert!(inventory.directories.iter().all(|dir| dir.facts.is_ok()));
}

#[test]
fn a_directory_swapped_for_a_link_is_data_and_not_followed() {
    let (store, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("canary"), "").unwrap();
    fs::create_dir(store.path().join("swapped")).unwrap();
    let visit = |dir: &RelPath| {
        if dir == &path("swapped") {
            fs::remove_dir(store.path().join("swapped")).unwrap();
            symlink(outside.path(), store.path().join("swapped")).unwrap();
        }
        Visit::All
    };
    for open in [Root::open, Root::open_stepwise] {
        let inventory = scan(&open(store.path()).unwrap(), &visit, options(1));
        assert!(inventory.entries.is_empty());
        assert_eq!(paths(&inventory.directories), [".", "swapped"]);
        assert!(inventory.directories[1].facts.is_err());
        fs::remove_file(store.path().join("swapped")).unwrap();
        fs::create_dir(store.path().join("swapped")).unwrap();
    }
}

#[test]
fn a_directory_replaced_while_it_waits_is_not_taken_for_the_first() {
    let store = TempDir::new().unwrap();
    for place in ["one", "two", "spare"] {
        fs::create_dir(store.path().join(place)).unwrap();
        fs::write(store.path().join(place).join("file"), "").unwrap();
    }
    let replaced = std::sync::Mutex::new(None);
    // With no handles to spare both are found again from the root. The first one to
    // be visited is queued; by the second visit it can be replaced.
    let visit = |dir: &RelPath| {
        let mut replaced = replaced.lock().unwrap();
        match &*replaced {
            _ if dir.is_root() => {}
            _ if dir == &path("spare") => return Visit::Nothing,
            None => *replaced = Some(dir.clone()),
            Some(first) if dir != first => {
                let place = store.path().join(first.as_os());
                fs::rename(&place, store.path().join("was")).unwrap();
                fs::rename(store.path().join("spare"), place).unwrap();
            }
            Some(_) => {}
        }
        Visit::All
    };
    let root = Root::open(store.path()).unwrap();
    let inventory = scan_holding(&root, &visit, &Everything, options(1), 0).0;
    let first = replaced.lock().unwrap().clone().unwrap();
    let found = inventory.directories.iter().find(|dir| dir.path == first);
    let reason = &found.unwrap().facts.as_ref().unwrap_err().reason;
    assert!(reason.contains("another directory"), "{reason}");
}

#[test]
fn an_unreadable_directory_is_data() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        println!("not tried: permissions do not bind root");
        return;
    }
    let store = TempDir::new().unwrap();
    let closed = store.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
    let inventory = scan(&Root::open(store.path()).unwrap(), &everything, options(1));
    let reason = &inventory.directories[1].facts.as_ref().unwrap_err().reason;
    assert_eq!(reason, "permission denied");
    fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).unwrap();
}

#[test]
fn our_own_directory_is_ours_only_in_the_root() {
    let store = TempDir::new().unwrap();
    for place in [".retain/trash", "below/.retain"] {
        fs::create_dir_all(store.path().join(place)).unwrap();
    }
    let inventory = scan(&Root::open(store.path()).unwrap(), &everything, options(1));
    assert_eq!(
        paths(&inventory.directories),
        [".", "below", "below/.retain"]
    );
}

#[test]
fn a_directory_with_the_mark_of_a_store_is_an_inner_store_unasked() {
    let tree = TempDir::new().unwrap();
    for place in [".retain", "below/.retain", "other/.retain/id"] {
        fs::create_dir_all(tree.path().join(place)).unwrap();
    }
    for file in [".retain/id", "below/.retain/id", "below/file", "other/file"] {
        fs::write(tree.path().join(file), "x").unwrap();
    }
    let root = Root::open(tree.path()).unwrap();
    let found = scan(&root, &everything, options(1));
    assert_eq!(paths(&found.entries), ["other/file"]);
    let skipped = Skipped {
        path: path("below"),
        why: Skip::InnerStore,
    };
    assert_eq!(found.skipped, [skipped]);
}

#[test]
fn an_inner_store_is_told_by_its_mark_however_late_that_is_listed() {
    // Whatever the order of a listing, some of these come before the mark and some after.
    let tree = TempDir::new().unwrap();
    let inner = tree.path().join("inner");
    for n in 0..200 {
        fs::create_dir_all(inner.join(format!("{n}/deep"))).unwrap();
        fs::write(inner.join(format!("file-{n}")), "x").unwrap();
    }
    fs::create_dir(inner.join(".retain")).unwrap();
    fs::write(inner.join(".retain/id"), "x").unwrap();
    for threads in [1, 4] {
        let root = Root::open(tree.path()).unwrap();
        let found = scan(&root, &everything, options(threads));
        assert!(found.entries.is_empty(), "{:?}", found.entries);
        assert_eq!(paths(&found.directories), ["."]);
        let (path, why) = (path("inner"), Skip::InnerStore);
        assert_eq!(found.skipped, [Skipped { path, why }]);
    }
}

#[test]
fn an_inner_store_is_left_alone_and_named() {
    let store = TempDir::new().unwrap();
    fs::create_dir_all(store.path().join("a/inner/deep")).unwrap();
    let options = ScanOptions {
        boundaries: vec![path("a/inner")],
        ..options(2)
    };
    let inventory = scan(&Root::open(store.path()).unwrap(), &everything, options);
    assert_eq!(paths(&inventory.directories), [".", "a"]);
    let (path, why) = (path("a/inner"), Skip::InnerStore);
    assert_eq!(inventory.skipped, [Skipped { path, why }]);
}

#[test]
fn another_mount_is_left_alone_and_named() {
    // The one mount every Linux has; nothing else of the root is opened.
    let visit = |dir: &RelPath| match dir.is_root() || dir == &path("proc") {
        true => Visit::Some,
        false => Visit::Nothing,
    };
    for open in [Root::open, Root::open_stepwise] {
        let inventory = scan(&open(Path::new("/")).unwrap(), &visit, options(1));
        assert_eq!(paths(&inventory.directories), ["."]);
        let (path, why) = (path("proc"), Skip::Mount);
        assert!(inventory.skipped.contains(&Skipped { path, why }));
    }
}

#[test]
fn a_root_that_nothing_touches_is_not_listed() {
    let store = TempDir::new().unwrap();
    let root = Root::open(store.path()).unwrap();
    let inventory = scan(&root, &|_| Visit::Nothing, options(1));
    assert_eq!(inventory, Inventory::default());
}
