//! The floor under every contestant of `compare.sh`: a bare loop of the system calls that
//! no cleaner can do without, and nothing else. One thread, handles relative to the
//! parent, a `statx` per file.
//!
//! ```text
//! baseline plan   DIRECTORY DAYS    counts files older than that
//! baseline remove DIRECTORY DAYS    removes them
//! ```
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark stops at whatever it did not expect"
)]

use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, StatxFlags};
use rustix::fs::{openat, statx, unlinkat};

struct Work {
    before: i64,
    remove: Option<()>,
    found: u64,
    names: Vec<u8>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, directory, days] = arguments.as_slice() else {
        // `cargo test --all-targets` starts it without any.
        return;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let days: i64 = days.parse().unwrap();
    let mut work = Work {
        before: i64::try_from(now.as_secs()).unwrap() - days * 86_400,
        remove: (what == "remove").then_some(()),
        found: 0,
        names: Vec::new(),
    };
    work.walk(open(CWD, directory.as_bytes()));
    println!("{}", work.found);
}

fn open(parent: impl AsFd, name: &[u8]) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(parent, name, flags, Mode::empty()).unwrap()
}

impl Work {
    fn walk(&mut self, dir: OwnedFd) {
        let mut below: Vec<Vec<u8>> = Vec::new();
        let mut old: Vec<usize> = Vec::new();
        self.names.clear();
        let mut buffer = Box::new([MaybeUninit::uninit(); 65_536]);
        let mut entries = RawDir::new(&dir, buffer.as_mut_slice());
        while let Some(entry) = entries.next() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if entry.file_type() == FileType::Directory {
                if name != c"." && name != c".." {
                    below.push(name.to_bytes().to_vec());
                }
                continue;
            }
            let facts = statx(
                &dir,
                name,
                AtFlags::SYMLINK_NOFOLLOW,
                StatxFlags::BASIC_STATS,
            );
            if facts.unwrap().stx_mtime.tv_sec < self.before {
                self.found += 1;
                old.push(self.names.len());
                self.names.extend_from_slice(name.to_bytes());
            }
        }
        old.push(self.names.len());
        if self.remove.is_some() {
            for pair in old.windows(2) {
                let &[begin, end] = pair else { continue };
                let name = self.names.get(begin..end).unwrap();
                unlinkat(&dir, name, AtFlags::empty()).unwrap();
            }
        }
        drop(buffer);
        for name in below {
            self.walk(open(&dir, &name));
        }
    }
}
