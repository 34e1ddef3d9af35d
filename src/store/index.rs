//! The list of what lies in a run's trash to be had back.
//!
//! It lies in the trash itself, so that a lost state directory loses nothing, and
//! is written before the files are moved: a slot without a line would be a file
//! without a name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, unlinkat};
use serde::{Deserialize, Serialize};

use super::dir::Name;
use super::facts::look_at;
use super::trash::Trash;
use crate::entry::{Facts, FileId, Kind};
use crate::fault::{Point, around};
use crate::path::RelPath;
use crate::time::Stamp;

pub(super) const INDEX: &str = "index";

const VERSION: u32 = 1;

/// Which run's files lie in a trash, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    version: u32,
    /// The run.
    pub run: String,
    /// The store's name in the configuration of whoever ran it.
    pub store: String,
    /// When the run began, RFC 3339.
    pub since: String,
    /// When the files may go for good, RFC 3339.
    pub until: String,
}

impl Head {
    /// A head in the form this version writes.
    pub fn new(run: &str, store: &str, since: String, until: String) -> Head {
        Head {
            version: VERSION,
            run: run.to_owned(),
            store: store.to_owned(),
            since,
            until,
        }
    }
}

/// A file or directory in the trash that can be had back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// Where it lay.
    pub path: RelPath,
    /// What it was.
    pub facts: Facts,
    /// What lay in it, where it is a directory: paths below the root.
    pub members: Vec<(RelPath, Facts)>,
}

/// One thing as a list: path, kind, inode, `[size, allocated]`, mtime, mode, owner,
/// group, links, members. No device: its number changes when a volume is mounted
/// again, and a trash is on one device with its store.
#[derive(Serialize, Deserialize)]
struct Line(
    String,
    u8,
    u64,
    (u64, u64),
    (i64, u32),
    u32,
    (u32, u32),
    u64,
    Vec<Line>,
    (i64, u32),
);

/// The index of a run's trash, open for more.
#[derive(Debug)]
pub struct Index {
    file: File,
}

impl Trash {
    /// Begins the list of what will be kept in this trash.
    pub fn begin_index(&self, head: &Head) -> io::Result<Index> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let file = self
            .dir
            .open(Name::ours(INDEX), flags, Mode::RUSR | Mode::WUSR)?;
        let mut index = Index {
            file: File::from(file),
        };
        let written = index
            .write(&format!("{}\n", serde_json::to_string(head)?))
            .and_then(|()| Ok(fsync(self.dir.fd())?));
        match written {
            Ok(()) => Ok(index),
            Err(error) => {
                // Half a head would be a list nobody can read.
                let _ = unlinkat(self.dir.fd(), INDEX, AtFlags::empty());
                Err(error)
            }
        }
    }

    /// What this trash is of and what was to be kept in it; nothing where it has no
    /// list. A last line that a crash cut short is left out: nothing was moved for it.
    pub fn index(&self) -> io::Result<Option<(Head, Vec<Trashed>)>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let file = match self.dir.open(Name::ours(INDEX), flags, Mode::empty()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let facts = look_at(&file)?.facts;
        if facts.kind != Kind::File {
            return Err(broken("it is no file"));
        }
        let device = self.dir.facts()?.id.device;
        let mut lines = BufReader::new(File::from(file)).split(b'\n');
        let head = match lines.next() {
            Some(line) => serde_json::from_slice::<Head>(&line?)?,
            None => return Ok(None),
        };
        if head.version != VERSION {
            return Err(broken("it is of another version of retain"));
        }
        let mut trashed = Vec::new();
        let mut lines = lines.peekable();
        while let Some(line) = lines.next() {
            match serde_json::from_slice::<Line>(&line?) {
                Ok(line) => trashed.push(line.read(device)?),
                Err(_) if lines.peek().is_none() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some((head, trashed)))
    }
}

impl Index {
    /// Notes what is about to be moved. Durable when this returns.
    pub fn note(&mut self, trashed: &[Trashed]) -> io::Result<()> {
        let mut text = String::new();
        for one in trashed {
            let line = Line::of(&one.path, &one.facts, &one.members);
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        around(Point::IndexWrite, || {
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        })
    }
}

impl Line {
    fn of(path: &RelPath, facts: &Facts, members: &[(RelPath, Facts)]) -> Line {
        let stamp = |stamp: Stamp| (stamp.seconds(), stamp.subsec_nanoseconds());
        let kind = match facts.kind {
            Kind::File => 0,
            Kind::Directory => 1,
            Kind::Symlink => 2,
            Kind::Special => 3,
        };
        Line(
            path.to_string(),
            kind,
            facts.id.inode,
            (facts.size, facts.allocated),
            stamp(facts.modified),
            facts.mode,
            (facts.owner, facts.group),
            facts.links,
            members
                .iter()
                .map(|(path, facts)| Line::of(path, facts, &[]))
                .collect(),
            stamp(facts.changed),
        )
    }

    fn read(self, device: u64) -> io::Result<Trashed> {
        let Line(path, kind, inode, sizes, modified, mode, owner, links, members, changed) = self;
        let stamp = |(seconds, nanoseconds)| Stamp::new(seconds, nanoseconds);
        let kind = match kind {
            0 => Kind::File,
            1 => Kind::Directory,
            2 => Kind::Symlink,
            _ => return Err(broken("it names a thing that is never moved")),
        };
        let members: Result<Vec<_>, io::Error> = members
            .into_iter()
            .map(|line| line.read(device).map(|one| (one.path, one.facts)))
            .collect();
        Ok(Trashed {
            path: RelPath::unescape(&path).ok_or_else(|| broken("it names no path"))?,
            facts: Facts {
                kind,
                id: FileId { device, inode },
                size: sizes.0,
                allocated: sizes.1,
                modified: stamp(modified),
                changed: stamp(changed),
                accessed: stamp(modified),
                created: None,
                links,
                mode,
                owner: owner.0,
                group: owner.1,
            },
            members: members?,
        })
    }
}

fn broken(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
