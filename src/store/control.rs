//! `.retain` in a store's root: its identity and our own files.
//!
//! Nothing here is written by planning; the first run that applies something
//! establishes the directory.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::AtFlags;
use rustix::fs::{Mode, OFlags, fsync, mkdirat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::dir::{Dir, Name};
use super::facts::look_at;
use super::{CONTROL, Root, StoreError};
use crate::entry::{Facts, Kind};
use crate::fault::{Point, around};

const IDENTITY: &str = "id";

/// Digits of an identity: 128 random bits in hexadecimal.
const DIGITS: usize = 32;

impl Dir {
    /// Whether this directory is itself the root of a store: it has an identity, or a
    /// control directory into which only somebody else may look.
    pub fn is_marked(&self) -> bool {
        let name = Name::ours(CONTROL);
        let control = self.open_child(name);
        match control.and_then(|control| control.stat(Name::ours(IDENTITY))) {
            Ok(facts) => facts.kind == Kind::File,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => self
                .stat(name)
                .is_ok_and(|facts| facts.kind == Kind::Directory),
            Err(_) => false,
        }
    }
}

impl Root {
    /// The identity an earlier run gave this root; nothing where none has.
    pub fn identity(&self) -> Result<Option<String>, StoreError> {
        match self.control()? {
            Some(control) => self.read_identity(&control),
            None => Ok(None),
        }
    }

    /// Whether what is ours in the root is ours alone, as every run asks before it begins.
    pub fn check_control(&self) -> Result<(), StoreError> {
        self.identity()?;
        self.all_trash()?;
        Ok(())
    }

    /// The root's identity, made on first use. It outlasts remounts, which change
    /// device numbers, and shows that the configured path leads to another tree.
    pub fn establish_identity(&self) -> Result<String, StoreError> {
        let control = self.establish_control()?;
        if let Some(identity) = self.read_identity(&control)? {
            return Ok(identity);
        }
        write_identity(&control)
            .map_err(|source| self.control_error(IDENTITY, "create", source))?;
        // Read back instead of returned: another instance may have been first.
        self.read_identity(&control)?
            .ok_or_else(|| self.control_error(IDENTITY, "read", io::ErrorKind::NotFound.into()))
    }

    /// The text of a file of ours in the control directory; nothing where there is
    /// none. Longer than `limit` is an error.
    pub fn read_control_text(&self, name: &str, limit: u64) -> Result<Option<String>, StoreError> {
        let Some(control) = self.control()? else {
            return Ok(None);
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let failed = |source| self.control_error(name, "read", source);
        let file = match control.open(Name::ours(name), flags, Mode::empty()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(source)),
        };
        let facts = look_at(&file).map_err(failed)?.facts;
        if facts.kind != Kind::File || facts.size > limit {
            let problem = "it is no file of ours, or far too long".to_owned();
            return Err(StoreError::Untrusted {
                root: self.path().to_owned(),
                name: control_name(name),
                problem,
            });
        }
        let mut text = String::new();
        File::from(file)
            .take(limit)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Ok(Some(text))
    }

    /// Writes a file of ours in the control directory anew, durably: a crash leaves
    /// the old one or the new one.
    pub fn replace_control_text(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let control = self.establish_control()?;
        let failed = |source| self.control_error(name, "write", source);
        let draft = random_name().map(|random| format!("{name}.{random}"));
        let draft = draft.map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let written = around(Point::MirrorWrite, || {
            let file = control.open(Name::ours(&draft), flags, Mode::RUSR | Mode::WUSR)?;
            let mut file = File::from(file);
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        let named = written.and_then(|()| {
            around(Point::MirrorRename, || {
                renameat(control.fd(), &draft, control.fd(), name)?;
                Ok(fsync(control.fd())?)
            })
        });
        if named.is_err() {
            // A draft that stays is only litter; random names never meet.
            let _ = unlinkat(control.fd(), draft.as_str(), AtFlags::empty());
        }
        named.map_err(failed)
    }

    /// The control directory, if there is one and only we can write to it.
    pub(super) fn control(&self) -> Result<Option<Dir>, StoreError> {
        match self.dir.open_child(Name::ours(CONTROL)) {
            Ok(control) => self.private(control, "").map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.control_error("", "open", source)),
        }
    }

    pub(super) fn establish_control(&self) -> Result<Dir, StoreError> {
        if let Some(control) = self.control()? {
            return Ok(control);
        }
        establish_private(&self.dir, Name::ours(CONTROL))
            .map_err(|source| self.control_error("", "create", source))
            .and_then(|control| self.private(control, ""))
    }

    /// Checks that a directory of ours can be written by nobody else.
    pub(super) fn private(&self, dir: Dir, name: &str) -> Result<Dir, StoreError> {
        let facts = dir
            .facts()
            .map_err(|source| self.control_error(name, "read", source))?;
        match objection(&facts) {
            None => Ok(dir),
            Some(problem) => Err(StoreError::Untrusted {
                root: self.path().to_owned(),
                name: control_name(name),
                problem,
            }),
        }
    }

    pub(super) fn control_error(
        &self,
        name: &str,
        action: &'static str,
        source: io::Error,
    ) -> StoreError {
        StoreError::Control {
            root: self.path().to_owned(),
            name: control_name(name),
            action,
            source,
        }
    }

    fn read_identity(&self, control: &Dir) -> Result<Option<String>, StoreError> {
        let file = match control.open(
            Name::ours(IDENTITY),
            OFlags::RDONLY | OFlags::NONBLOCK,
            Mode::empty(),
        ) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.control_error(IDENTITY, "open", source)),
        };
        let failed = |source| self.control_error(IDENTITY, "read", source);
        let mut text = String::new();
        if look_at(&file).map_err(failed)?.facts.kind == Kind::File {
            let mut start = File::from(file).take(DIGITS as u64 + 2);
            start.read_to_string(&mut text).map_err(failed)?;
        }
        match parse_identity(&text) {
            Some(identity) => Ok(Some(identity.to_owned())),
            None => Err(StoreError::Untrusted {
                root: self.path().to_owned(),
                name: control_name(IDENTITY),
                problem: format!("it does not hold {DIGITS} hexadecimal digits"),
            }),
        }
    }
}

fn control_name(name: &str) -> String {
    match name {
        "" => CONTROL.to_owned(),
        name => format!("{CONTROL}/{name}"),
    }
}

fn objection(facts: &Facts) -> Option<String> {
    let (us, others) = (geteuid().as_raw(), facts.mode & 0o077);
    if facts.owner != us {
        Some(format!("it belongs to user {}, not to {us}", facts.owner))
    } else if others != 0 {
        Some(format!(
            "its mode is {:04o}, and only its owner may have access",
            facts.mode & 0o7777
        ))
    } else {
        None
    }
}

/// Opens a directory, making it for us alone if there is none.
pub(super) fn establish_private(parent: &Dir, name: Name<'_>) -> io::Result<Dir> {
    match mkdirat(parent.fd(), name.as_bytes(), Mode::RWXU) {
        Ok(()) => fsync(parent.fd())?,
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    parent.open_child(name)
}

fn parse_identity(text: &str) -> Option<&str> {
    let identity = text.strip_suffix('\n')?;
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (identity.len() == DIGITS && identity.bytes().all(hexadecimal)).then_some(identity)
}

/// Writes a new identity under a name of its own first, so that a crash leaves
/// either none or a whole one.
fn write_identity(control: &Dir) -> io::Result<()> {
    let identity = random_name()?;
    let draft = format!("{IDENTITY}.{identity}");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = control.open(Name::ours(&draft), flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    let written = writeln!(file, "{identity}").and_then(|()| file.sync_all());
    let named = written.and_then(|()| {
        match control.rename(Name::ours(&draft), control, Name::ours(IDENTITY)) {
            Ok(()) => Ok(fsync(control.fd())?),
            Err(errno) => Err(errno.into()),
        }
    });
    match named {
        Ok(()) => Ok(()),
        Err(error) => {
            unlinkat(control.fd(), draft.as_str(), AtFlags::empty())?;
            match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            }
        }
    }
}

/// 128 random bits as text.
pub(super) fn random_name() -> io::Result<String> {
    let mut bytes = [0; DIGITS / 2];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
