//! Where the bytes of pages lie: in memory, or in the plan's spool.

use std::sync::{Arc, OnceLock};

use super::{Spool, page};
use crate::plan::Step;

/// Bytes of pages that lie in memory in one piece.
const CHUNK: usize = 1 << 20;

/// The bytes of pages.
#[derive(Clone, Debug, Default)]
pub(super) struct Arena {
    spool: Option<Arc<Spool>>,
    /// A page lies in one of them, or in the last.
    full: Vec<Vec<u8>>,
    last: Vec<u8>,
    trouble: OnceLock<String>,
}

/// Where the bytes of one page lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// In memory, or nothing for the spool.
    chunk: Option<u32>,
    bytes: u32,
    offset: u64,
}

impl Arena {
    pub(super) fn with(spool: Option<Arc<Spool>>) -> Arena {
        Arena {
            spool,
            ..Arena::default()
        }
    }

    /// The same spool for one that has none yet.
    pub(super) fn spool_in(&mut self, spool: Option<&Arc<Spool>>) {
        if self.spool.is_none() {
            self.spool = spool.cloned();
        }
    }

    pub(super) fn spool(&self) -> Option<Arc<Spool>> {
        self.spool.clone()
    }

    /// Begins a page, which is written to the [`Arena::end`].
    pub(super) fn begin(&mut self) -> Place {
        if self.last.len() >= CHUNK {
            // There are many, and one that grows is copied as often as it doubles.
            let next = Vec::with_capacity(CHUNK + CHUNK / 8);
            self.full.push(std::mem::replace(&mut self.last, next));
        }
        Place {
            // More than four thousand million chunks are no machine's memory.
            chunk: Some(self.full.len() as u32),
            bytes: 0,
            offset: self.last.len() as u64,
        }
    }

    /// Where the page that was begun is written.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.last
    }

    /// Ends the page that was begun there.
    pub(super) fn close(&mut self, place: Place) -> Place {
        let begin = place.offset as usize;
        let page = self.last.get(begin..).unwrap_or_default();
        let bytes = page.len() as u32;
        match self.spool.as_ref().and_then(|spool| spool.take(page)) {
            Some(offset) => {
                self.last.truncate(begin);
                Place {
                    chunk: None,
                    bytes,
                    offset,
                }
            }
            None => Place { bytes, ..place },
        }
    }

    /// Adds the pages of another, and says how many chunks lie before them.
    pub(super) fn absorb(&mut self, mut more: Arena) -> u32 {
        self.full.push(std::mem::replace(
            &mut self.last,
            std::mem::take(&mut more.last),
        ));
        let before = self.full.len() as u32;
        self.spool_in(more.spool.as_ref());
        self.full.append(&mut more.full);
        self.troubled_by(more.trouble());
        before
    }

    /// The steps of a page. Without those that cannot be read there are fewer, and nothing
    /// else: [`Arena::trouble`] says so.
    pub(super) fn read(&self, place: Place) -> Vec<Step> {
        let steps = self.with_bytes(place, page::read);
        steps.flatten().unwrap_or_else(|| {
            self.troubled_by(Some("a part of it is no plan"));
            Vec::new()
        })
    }

    /// Shows the bytes of a page to somebody; nobody sees what cannot be read.
    pub(super) fn with_bytes<T>(&self, place: Place, see: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let length = place.bytes as usize;
        let Some(chunk) = place.chunk else {
            let mut bytes = vec![0; length];
            let read = self.spool.as_ref()?.read(place.offset, &mut bytes);
            return match read {
                Ok(()) => Some(see(&bytes)),
                Err(error) => {
                    self.troubled_by(Some(&crate::store::in_words(&error)));
                    None
                }
            };
        };
        let begin = place.offset as usize;
        let chunk = self.full.get(chunk as usize).unwrap_or(&self.last);
        chunk.get(begin..begin.checked_add(length)?).map(see)
    }

    /// Takes over what could not be read elsewhere; the first trouble is the one that is told.
    pub(super) fn troubled_by(&self, trouble: Option<&str>) {
        if let Some(trouble) = trouble {
            let _ = self.trouble.set(trouble.to_owned());
        }
    }

    /// Why something could not be read back.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.get().map(String::as_str)
    }

    /// Gives back what the last chunk has too much.
    pub(super) fn shrink(&mut self) {
        self.last.shrink_to_fit();
    }
}

impl Place {
    /// The same with so many chunks before it.
    pub(super) fn behind(self, chunks: u32) -> Place {
        Place {
            chunk: self.chunk.map(|chunk| chunk + chunks),
            ..self
        }
    }
}
