//! The digest that names a plan.
//!
//! BLAKE3 over the document's body as compact JSON, in which floors and steps are empty,
//! and then over those in forms of their own: a plan may have millions, and writing their
//! JSON took longer than deciding about them. Steps are hashed as they lie in memory, page
//! by page. Numbers are 64 bits, little-endian; bytes and lists have their lengths before
//! them, so that no two plans are the same bytes.

use std::io::Write;

use serde::Serialize;

use super::{Floor, Steps};
use crate::entry::{Facts, FileId};
use crate::time::Stamp;

/// How many bytes are hashed at once.
const PIECE: usize = 64 * 1024;

/// The digest in hexadecimal; `body` is the rest of the plan.
pub(super) fn of(body: &impl Serialize, floors: &[Floor], steps: &Steps) -> String {
    let mut feed = Feed {
        hasher: blake3::Hasher::new(),
        piece: Vec::with_capacity(2 * PIECE),
    };
    // Neither a hasher nor a body can fail.
    let _ = serde_json::to_writer(&mut feed, body);
    // No JSON has a NUL: here it ends.
    feed.piece.push(0);
    feed.number(floors.len() as u64);
    floors.iter().for_each(|floor| feed.floor(floor));
    feed.number(steps.len() as u64);
    steps.feed(|page| {
        feed.bytes(page);
        feed.spill_if_full();
    });
    feed.spill();
    feed.hasher.finalize().to_hex().to_string()
}

struct Feed {
    hasher: blake3::Hasher,
    piece: Vec<u8>,
}

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        self.spill_if_full();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Feed {
    fn spill(&mut self) {
        self.hasher.update(&self.piece);
        self.piece.clear();
    }

    fn spill_if_full(&mut self) {
        if self.piece.len() >= PIECE {
            self.spill();
        }
    }

    fn number(&mut self, number: u64) {
        self.piece.extend_from_slice(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.piece.extend_from_slice(bytes);
    }

    fn index(&mut self, index: usize) {
        self.number(index as u64);
    }

    /// How many there are, none or one, and then that one.
    fn maybe<T>(&mut self, it: Option<T>, feed: impl FnOnce(&mut Feed, T)) {
        self.piece.push(it.is_some().into());
        if let Some(it) = it {
            feed(self, it);
        }
    }

    fn stamp(&mut self, stamp: Stamp) {
        let seconds = stamp.seconds().to_le_bytes();
        self.piece.extend_from_slice(&seconds);
        self.number(stamp.subsec_nanoseconds().into());
    }

    // What has a field more does not compile here before that is part of the digest.

    fn facts(&mut self, facts: &Facts) {
        let Facts {
            kind,
            id: FileId { device, inode },
            size,
            allocated,
            modified,
            changed,
            accessed,
            created,
            links,
            mode,
            owner,
            group,
        } = *facts;
        self.piece.push(kind as u8);
        for number in [device, inode, size, allocated, links] {
            self.number(number);
        }
        for number in [mode, owner, group] {
            self.number(number.into());
        }
        for stamp in [modified, changed, accessed] {
            self.stamp(stamp);
        }
        self.maybe(created, Feed::stamp);
    }

    fn floor(&mut self, floor: &Floor) {
        let Floor { rule, members } = floor;
        self.index(*rule);
        self.index(members.len());
        for (path, facts) in members.iter().flatten() {
            self.bytes(path.as_bytes());
            self.facts(&facts);
            self.spill_if_full();
        }
    }
}
