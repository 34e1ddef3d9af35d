//! The floor under every contestant of `compare.sh`: a bare loop of the system calls that
//! no cleaner can do without, and nothing else. Handles relative to the parent, a `statx`
//! per file.
//!
//! ```text
//! baseline plan   DIRECTORY DAYS [THREADS]   counts files older than that
//! baseline remove DIRECTORY DAYS [THREADS]   removes them
//! baseline verify DIRECTORY DAYS [THREADS [TOGETHER]]
//!                                            removes them by the calls of a verified removal:
//!                                            compared, moved away, leased, compared, unlinked;
//!                                            so many files of a directory at a time
//! ```
//!
//! `verify` moves files under their own names, which must be unique in the whole tree.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark stops at whatever it did not expect"
)]

use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawDir, RenameFlags, ResolveFlags, Statx, StatxFlags,
    mkdirat, openat, openat2, renameat_with, statx, unlinkat,
};

/// Files of a directory that a verified removal takes at a time, unless told otherwise.
const TOGETHER: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Plan,
    Remove,
    Verify,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, directory, days, rest @ ..] = arguments.as_slice() else {
        // `cargo test --all-targets` starts it without any.
        return;
    };
    let what = match what.as_str() {
        "plan" => What::Plan,
        "remove" => What::Remove,
        "verify" => What::Verify,
        other => panic!("`{other}` is no work"),
    };
    let threads: usize = rest.first().map_or(1, |text| text.parse().unwrap());
    let together: usize = rest.get(1).map_or(TOGETHER, |text| text.parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let days: i64 = days.parse().unwrap();
    let before = i64::try_from(now.as_secs()).unwrap() - days * 86_400;
    let root = open(CWD, directory.as_bytes());
    let trash = b".baseline";
    if what == What::Verify {
        mkdirat(&root, trash.as_slice(), Mode::RWXU).unwrap();
    }
    let work = || Work {
        root: root.as_fd().try_clone_to_owned().unwrap(),
        trash: (what == What::Verify).then(|| open(&root, trash)),
        before,
        what,
        together,
        found: 0,
        names: Vec::new(),
    };
    let mut first = work();
    let mut below = first.list(&root, b"");
    below.retain(|name| name != trash);
    let below = Mutex::new(below);
    let found: u64 = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..threads)
            .map(|_| {
                let mut work = work();
                let below = &below;
                scope.spawn(move || {
                    // Not in the loop's condition, where it would stay locked.
                    let next = || below.lock().unwrap().pop();
                    while let Some(name) = next() {
                        work.walk(&name);
                    }
                    work.found
                })
            })
            .collect();
        hands.into_iter().map(|hand| hand.join().unwrap()).sum()
    });
    if what == What::Verify {
        unlinkat(&root, trash.as_slice(), AtFlags::REMOVEDIR).unwrap();
    }
    println!("{}", first.found + found);
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn open(parent: impl AsFd, name: &[u8]) -> OwnedFd {
    openat(parent, name, DIRECTORY, Mode::empty()).unwrap()
}

fn confined(parent: impl AsFd, path: &[u8], flags: OFlags) -> OwnedFd {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(parent, path, flags, Mode::empty(), resolve).unwrap()
}

fn look(dir: impl AsFd, name: &[u8], flags: AtFlags) -> Statx {
    statx(dir, name, flags, StatxFlags::BASIC_STATS).unwrap()
}

struct Work {
    root: OwnedFd,
    trash: Option<OwnedFd>,
    before: i64,
    what: What,
    together: usize,
    found: u64,
    names: Vec<u8>,
}

impl Work {
    fn walk(&mut self, path: &[u8]) {
        let dir = open(&self.root, path);
        for name in self.list(&dir, path) {
            self.walk(&[path, b"/", &name].concat());
        }
    }

    /// Does the work on a directory's own files; returns the directories in it.
    fn list(&mut self, dir: &OwnedFd, path: &[u8]) -> Vec<Vec<u8>> {
        let mut below: Vec<Vec<u8>> = Vec::new();
        let mut old: Vec<usize> = Vec::new();
        self.names.clear();
        let mut buffer = Box::new([MaybeUninit::uninit(); 65_536]);
        let mut entries = RawDir::new(dir, buffer.as_mut_slice());
        while let Some(entry) = entries.next() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if entry.file_type() == FileType::Directory {
                if name != c"." && name != c".." {
                    below.push(name.to_bytes().to_vec());
                }
                continue;
            }
            let facts = look(dir, name.to_bytes(), AtFlags::SYMLINK_NOFOLLOW);
            if facts.stx_mtime.tv_sec < self.before {
                self.found += 1;
                old.push(self.names.len());
                self.names.extend_from_slice(name.to_bytes());
            }
        }
        old.push(self.names.len());
        let names: Vec<&[u8]> = old
            .windows(2)
            .filter_map(|pair| self.names.get(*pair.first()?..*pair.last()?))
            .collect();
        match self.what {
            What::Plan => {}
            What::Remove => {
                for name in names {
                    unlinkat(dir, name, AtFlags::empty()).unwrap();
                }
            }
            What::Verify => {
                let trash = self.trash.as_ref().unwrap();
                for some in names.chunks(self.together) {
                    verify(&self.root, trash, path, some);
                }
            }
        }
        below
    }
}

fn verify(root: &OwnedFd, trash: &OwnedFd, path: &[u8], names: &[&[u8]]) {
    let path = if path.is_empty() { b"." } else { path };
    let dir = confined(root, path, DIRECTORY);
    let inode = look(&dir, b"", AtFlags::EMPTY_PATH).stx_ino;
    for name in names {
        look(&dir, name, AtFlags::SYMLINK_NOFOLLOW);
        renameat_with(&dir, *name, trash, *name, RenameFlags::NOREPLACE).unwrap();
    }
    let again = confined(root, path, DIRECTORY);
    assert_eq!(look(&again, b"", AtFlags::EMPTY_PATH).stx_ino, inode);
    for name in names {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = confined(trash, name, flags | OFlags::NOATIME);
        lease(&file);
        look(&file, b"", AtFlags::EMPTY_PATH);
        drop(file);
        unlinkat(trash, *name, AtFlags::empty()).unwrap();
    }
}

#[expect(
    unsafe_code,
    reason = "no safe wrapper of F_SETLEASE exists in rustix or nix"
)]
fn lease(file: &OwnedFd) {
    // From asm-generic/fcntl.h.
    const F_SETSIG: libc::c_int = 10;
    let fd = file.as_raw_fd();
    // SAFETY: the descriptor is open for both calls, which take plain numbers.
    unsafe {
        assert_eq!(libc::fcntl(fd, F_SETSIG, libc::SIGURG), 0);
        assert_eq!(libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK), 0);
    }
}
