//! What a template's captures are in a path: pieces of it, not copies.

use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

/// Where a template's captures lie in a path, in the template's order. Three of them take no
/// memory of their own: there is a list for every file.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Spans(SmallVec<[(u32, u32); 3]>);

impl Clone for Spans {
    fn clone(&self) -> Spans {
        Spans(SmallVec::from_slice(&self.0))
    }
}

impl Spans {
    /// Adds the next capture; nothing where a path is longer than any there is.
    pub(super) fn push(&mut self, at: Range<usize>) -> Option<()> {
        let start = u32::try_from(at.start).ok()?;
        self.0.push((start, u32::try_from(at.end).ok()?));
        Some(())
    }

    /// The values they have in the path they were found in, or in one that begins with it.
    pub(crate) fn values<'a>(&'a self, path: &'a [u8]) -> Values<'a> {
        Values {
            path,
            spans: &self.0,
        }
    }

    /// Where the last of them ends in the path.
    pub(crate) fn end(&self) -> usize {
        let ends = self.0.iter().map(|&(_, end)| end as usize);
        ends.max().unwrap_or_default()
    }

    /// Where they lie.
    #[cfg(test)]
    pub(super) fn ranges(&self) -> Vec<Range<usize>> {
        let range = |&(start, end): &(u32, u32)| start as usize..end as usize;
        self.0.iter().map(range).collect()
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// The values of captures in a path.
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    path: &'a [u8],
    spans: &'a [(u32, u32)],
}

impl<'a> Values<'a> {
    /// Those of nothing at all.
    pub(crate) const NONE: Values<'static> = Values {
        path: &[],
        spans: &[],
    };

    /// The value of a capture, by its place in the template.
    pub(crate) fn get(self, capture: usize) -> Option<&'a str> {
        self.spans.get(capture).and_then(|at| self.text(at))
    }

    /// All of them, in the template's order.
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        self.spans.iter().filter_map(move |at| self.text(at))
    }

    fn text(self, &(start, end): &(u32, u32)) -> Option<&'a str> {
        let value = self.path.get(start as usize..end as usize)?;
        std::str::from_utf8(value).ok()
    }
}
