//! Which of many templates can match a path, told by what their names begin with.
//!
//! A policy may have a collection for each of ten thousand symbols; a path is then
//! looked up in a table instead of being held against every template.

use std::collections::BTreeMap;
use std::ops::Bound;

// What is looked up comes from names of files, but all that is in the table from the
// policy: no name can make it slow.
use foldhash::HashMap;
use smallvec::SmallVec;

use crate::path::RelPath;

/// Items by the bytes that every name they match begins with.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    items: HashMap<Vec<u8>, Vec<usize>>,
    /// Lengths of the beginnings there are, ascending.
    lengths: Vec<usize>,
    sorted: BTreeMap<Vec<u8>, Vec<usize>>,
}

impl Prefixes {
    /// Enters items with their beginnings.
    pub(super) fn new<'a>(items: impl Iterator<Item = (usize, &'a [u8])>) -> Prefixes {
        let mut prefixes = Prefixes::default();
        for (item, prefix) in items {
            let list = prefixes.items.entry(prefix.to_vec()).or_default();
            list.push(item);
            prefixes
                .sorted
                .entry(prefix.to_vec())
                .or_default()
                .push(item);
        }
        prefixes.lengths = prefixes.items.keys().map(Vec::len).collect();
        prefixes.lengths.sort_unstable();
        prefixes.lengths.dedup();
        prefixes
    }

    /// Items that may match a path, ascending.
    pub(super) fn of(&self, path: &[u8]) -> SmallVec<[usize; 4]> {
        let mut found: SmallVec<[usize; 4]> = self.beginnings(path).collect();
        if self.lengths.len() > 1 {
            found.sort_unstable();
        }
        found
    }

    fn beginnings<'a>(&'a self, path: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.lengths
            .iter()
            .map_while(|&length| path.get(..length))
            .filter_map(|prefix| self.items.get(prefix))
            .flatten()
            .copied()
    }

    /// Items that may match something below a directory, in no particular order.
    pub(super) fn below(&self, directory: &RelPath) -> SmallVec<[usize; 4]> {
        let mut path: SmallVec<[u8; 256]> = SmallVec::from_slice(directory.as_bytes());
        if !directory.is_root() {
            path.push(b'/');
        }
        let mut found: SmallVec<[usize; 4]> = self.beginnings(&path).collect();
        let behind = (Bound::Excluded(path.as_slice()), Bound::Unbounded);
        let deeper = self.sorted.range::<[u8], _>(behind);
        let deeper = deeper.take_while(|(prefix, _)| prefix.starts_with(&path));
        found.extend(deeper.flat_map(|(_, items)| items).copied());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_beginning_and_by_what_lies_below() {
        let table: [&[u8]; 4] = [b"", b"a/", b"a/b_", b"c"];
        let prefixes = Prefixes::new(table.into_iter().enumerate());
        assert_eq!(prefixes.of(b"a/b_x/y").as_slice(), [0, 1, 2]);
        assert_eq!(prefixes.of(b"a/x").as_slice(), [0, 1]);
        assert_eq!(prefixes.of(b"x").as_slice(), [0]);
        let below = |path: &str| {
            let mut found = prefixes.below(&RelPath::parse(path).unwrap()).to_vec();
            found.sort_unstable();
            found
        };
        assert_eq!(prefixes.below(&RelPath::root()).len(), 4);
        assert_eq!(below("a"), [0, 1, 2]);
        assert_eq!(below("a/b_x"), [0, 1, 2]);
        assert_eq!(below("a/z"), [0, 1]);
        assert_eq!(below("cc"), [0, 3]);
    }
}
