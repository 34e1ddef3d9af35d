//! One file as a guest is told of it. What many files say alike is lent, so that asking
//! about a million of them copies nothing but what the guest gets.

use std::borrow::Cow;

use super::contract::{GuestEntry, GuestInstant};
use crate::entry::Facts;
use crate::path::RelPath;
use crate::plan::{Captures, generation};
use crate::time::Stamp;

/// A file that is asked about, and where it lies.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a RelPath,
    pub(super) key: Key<'a>,
    pub(super) store: &'a str,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) modified: Stamp,
    pub(super) links: u64,
    pub(super) collection: &'a str,
    pub(super) rule: &'a str,
    pub(super) captures: Option<&'a Captures>,
    pub(super) attempt: u32,
}

/// The key of a file's generation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key<'a> {
    Known(&'a str),
    /// It is made for whoever asks for it, from the identity of the file's root and its facts.
    Of(&'a str, &'a Facts),
}

/// What is put together for one file alone.
#[derive(Debug)]
pub(super) struct Texts<'a> {
    pub(super) key: Cow<'a, str>,
    /// The path as text.
    shown: Cow<'a, str>,
    captures: Vec<(&'a str, &'a str)>,
}

impl<'a> Asked<'a> {
    /// An empty file of no store, of which there is more to tell.
    pub(super) fn at(path: &'a RelPath) -> Asked<'a> {
        Asked {
            path,
            key: Key::Known(""),
            store: "",
            size: 0,
            allocated: 0,
            modified: Stamp::new(0, 0),
            links: 1,
            collection: "",
            rule: "",
            captures: None,
            attempt: 1,
        }
    }

    /// The texts that are its own.
    pub(super) fn texts(&self) -> Texts<'a> {
        let captures = self.captures.into_iter().flat_map(Captures::iter);
        Texts {
            key: match self.key {
                Key::Known(key) => Cow::Borrowed(key),
                Key::Of(root, facts) => generation(root, self.path, facts).into(),
            },
            shown: self.path.shown(),
            captures: captures.collect(),
        }
    }

    /// What the contract has of it, in this place of its batch.
    pub(super) fn entry<'e>(&'e self, slot: u32, texts: &'e Texts<'_>) -> GuestEntry<'e> {
        let plain = texts.shown.as_bytes() == self.path.as_bytes();
        GuestEntry {
            slot,
            key: &texts.key,
            store: self.store,
            path: &texts.shown,
            raw_path: (!plain).then(|| self.path.as_bytes()),
            size: self.size,
            allocated: self.allocated,
            modified: GuestInstant {
                seconds: self.modified.seconds(),
                nanoseconds: self.modified.subsec_nanoseconds(),
            },
            links: self.links,
            collection: self.collection,
            rule: self.rule,
            captures: &texts.captures,
            attempt: self.attempt,
        }
    }

    /// About how many bytes a guest is given of it by its own interface.
    pub(super) fn length(&self) -> usize {
        let key = match self.key {
            Key::Known(key) => key.len(),
            Key::Of(..) => 2 * blake3::OUT_LEN,
        };
        let captured = self.captures.into_iter().flat_map(Captures::iter);
        let captured: usize = captured
            .map(|(name, value)| name.len() + value.len() + 16)
            .sum();
        let texts = [self.store, &self.path.shown(), self.collection, self.rule];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        key + texts + captured + size_of::<GuestEntry<'_>>()
    }
}
