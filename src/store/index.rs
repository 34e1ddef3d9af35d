//! The list of what lies in a run's trash to be had back.
//!
//! It lies in the trash itself, so that a lost state directory loses nothing, and
//! is written before the files are moved: a slot without a line would be a file
//! without a name.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, unlinkat};
use serde::{Deserialize, Serialize};

use super::Root;
use super::dir::Name;
use super::facts::look_at;
use super::trash::Trash;
use crate::entry::{Facts, FileId, Kind};
use crate::fault::{Point, around};
use crate::path::RelPath;
use crate::time::Stamp;

pub(super) const INDEX: &str = "index";

/// The form written here; the first one did not name the directories around files.
const VERSION: u32 = 2;

/// The oldest form that is read.
const OLDEST: u32 = 1;

/// What a line is of that names no trashed thing but a directory around some.
const AROUND: u8 = 4;

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

/// What a list says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What it is of.
    pub head: Head,
    /// What was to be kept.
    pub files: Vec<Trashed>,
    /// The directories those lay in and what these were, the store's root left out.
    pub around: HashMap<RelPath, Facts>,
    /// Lines that cannot be read; what they name can only be found by hand.
    pub unread: u64,
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
    /// Where its last whole line ends; nothing where that could not be seen to.
    end: Option<u64>,
    /// Directories it names already.
    around: HashSet<RelPath>,
}

impl Trash {
    /// Begins the list of what will be kept in this trash.
    pub fn begin_index(&self, head: &Head) -> io::Result<Index> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND;
        let file = self
            .dir
            .open(Name::ours(INDEX), flags, Mode::RUSR | Mode::WUSR)?;
        let mut index = Index {
            file: File::from(file),
            end: Some(0),
            around: HashSet::new(),
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
    /// list. A line that a crash cut short has no end and is left out: nothing was moved for
    /// it.
    pub fn index(&self) -> io::Result<Option<Contents>> {
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
        let mut lines = BufReader::new(File::from(file));
        let mut line = Vec::new();
        let head = match lines.read_until(b'\n', &mut line)? {
            // A crash came before its first line, or somebody has emptied it.
            0 if self.has_others()? => return Err(broken("its list is empty")),
            0 => return Ok(None),
            _ => serde_json::from_slice::<Head>(&line)
                .map_err(|_| broken("the first line of its list is none of ours"))?,
        };
        if !(OLDEST..=VERSION).contains(&head.version) {
            return Err(broken("it is of another version of retain"));
        }
        let mut contents = Contents {
            head,
            files: Vec::new(),
            around: HashMap::new(),
            unread: 0,
        };
        line.clear();
        while lines.read_until(b'\n', &mut line)? > 0 {
            let read = serde_json::from_slice::<Line>(&line);
            match read.map(|line| (line.1 == AROUND, line.read(device))) {
                Ok((false, Ok(trashed))) => contents.files.push(trashed),
                Ok((true, Ok(directory))) => {
                    contents.around.insert(directory.path, directory.facts);
                }
                Err(_) if !line.ends_with(b"\n") => {}
                // One line says nothing about the others.
                Ok((_, Err(_))) | Err(_) => contents.unread += 1,
            }
            line.clear();
        }
        Ok(Some(contents))
    }
}

impl Index {
    /// Notes what is about to be moved, and directories it lies in, as `root` shows them:
    /// one that is gone by then is made again as it was. Durable when this returns.
    pub fn note(&mut self, root: &Root, trashed: &[Trashed]) -> io::Result<()> {
        let mut text = String::new();
        for directory in self.new_around(trashed) {
            // What is not known of one is no reason to keep its files.
            if let Ok(facts) = root.stat(&directory)
                && facts.kind == Kind::Directory
            {
                let mut line = Line::of(&directory, &facts, &[]);
                line.1 = AROUND;
                text.push_str(&serde_json::to_string(&line)?);
                text.push('\n');
            }
        }
        for one in trashed {
            let line = Line::of(&one.path, &one.facts, &one.members);
            text.push_str(&serde_json::to_string(&line)?);
            text.push('\n');
        }
        self.write(&text)
    }

    /// Directories above what is about to be moved that no line names yet.
    fn new_around(&mut self, trashed: &[Trashed]) -> Vec<RelPath> {
        let mut new = Vec::new();
        for one in trashed {
            let mut above = one.path.parent();
            while let Some(directory) = above
                && !directory.is_root()
                && self.around.insert(directory.clone())
            {
                above = directory.parent();
                new.push(directory);
            }
        }
        new
    }

    /// Writes whole lines or none: what a full disk cuts short would swallow the next.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let end = self
            .end
            .ok_or_else(|| broken("its list ends in half a line, which could not be taken away"))?;
        let written = around(Point::IndexWrite, || {
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        });
        match &written {
            Ok(()) => self.end = Some(end.saturating_add(text.len() as u64)),
            Err(_) => self.take_back(end),
        }
        written
    }

    /// Takes away what was written beyond an end.
    fn take_back(&mut self, end: u64) {
        self.end = self.file.set_len(end).is_ok().then_some(end);
        // The lines of this batch that named them are gone as well.
        self.around.clear();
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
            1 | AROUND => Kind::Directory,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_whole_lines_or_ends_the_list() {
        let place = tempfile::tempdir().unwrap();
        let name = place.path().join("index");
        std::fs::write(&name, "whole\n").unwrap();
        let index = |file| Index {
            file,
            end: Some(6),
            around: HashSet::new(),
        };
        // Half a line, as a full disk leaves it, and then the error.
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(&name)
            .unwrap();
        file.write_all(b"hal").unwrap();
        let mut cut = index(file);
        cut.take_back(6);
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "whole\n");
        cut.write("next\n").unwrap();
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "whole\nnext\n");
        // Where that cannot be done, nothing may follow.
        let mut shut = index(File::open(&name).unwrap());
        assert!(shut.write("x\n").is_err());
        let error = shut.write("y\n").unwrap_err();
        assert!(error.to_string().contains("half a line"), "{error}");
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "whole\nnext\n");
    }
}
