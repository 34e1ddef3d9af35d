//! One file as a guest is told of it. What many files say alike is lent, so that asking
//! about a million of them copies nothing but what the guest gets.

use std::borrow::Cow;

use super::contract::{GuestEntry, GuestInstant};
use crate::path::RelPath;
use crate::time::Stamp;

/// A file that is asked about, and where it lies.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) path: &'a RelPath,
    pub(super) key: Cow<'a, str>,
    pub(super) store: &'a str,
    pub(super) size: u64,
    pub(super) allocated: u64,
    pub(super) modified: Stamp,
    pub(super) links: u64,
    pub(super) collection: &'a str,
    pub(super) rule: &'a str,
    pub(super) captures: Vec<(&'a str, &'a str)>,
    pub(super) attempt: u32,
    /// The path as text.
    pub(super) shown: Cow<'a, str>,
}

impl<'a> Asked<'a> {
    /// An empty file of no store, of which there is more to tell.
    pub(super) fn at(path: &'a RelPath) -> Asked<'a> {
        Asked {
            path,
            key: Cow::Borrowed(""),
            store: "",
            size: 0,
            allocated: 0,
            modified: Stamp::new(0, 0),
            links: 1,
            collection: "",
            rule: "",
            captures: Vec::new(),
            attempt: 1,
            shown: path.shown(),
        }
    }

    /// What the contract has of it, in this place of its batch.
    pub(super) fn entry(&self, slot: u32) -> GuestEntry<'_> {
        let plain = self.shown.as_bytes() == self.path.as_bytes();
        GuestEntry {
            slot,
            key: &self.key,
            store: self.store,
            path: &self.shown,
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
            captures: &self.captures,
            attempt: self.attempt,
        }
    }

    /// About how many bytes a guest is given of it.
    pub(super) fn length(&self) -> usize {
        let captured = self.captures.iter();
        let captured: usize = captured
            .map(|(name, value)| name.len() + value.len() + 16)
            .sum();
        let texts = [
            &*self.key,
            self.store,
            &self.shown,
            self.collection,
            self.rule,
        ];
        let texts: usize = texts.iter().map(|text| text.len()).sum();
        texts + captured + size_of::<GuestEntry<'_>>()
    }
}
