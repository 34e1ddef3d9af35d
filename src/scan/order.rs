//! Path order for what a walk finds directory by directory.

use std::ops::Range;

use crate::path::RelPath;

/// Brings items into the order of their paths' bytes.
///
/// A thread of a walk finds the names of a directory together and in order. Such blocks
/// need only be put in order themselves, which compares few paths and moves every item
/// once, in place: there may be millions, and each is large.
pub(super) fn sort_by_path<T>(items: &mut [T], path: impl Fn(&T) -> &RelPath) {
    let in_order = |items: &[T]| items.is_sorted_by(|a, b| path(a) <= path(b));
    if in_order(items) {
        return;
    }
    let together = |a: &T, b: &T| path(a).is_beside(path(b)) && path(a) <= path(b);
    let mut end = 0;
    let blocks = items.chunk_by(together).map(|block| {
        let begin = end;
        end += block.len();
        (block.first().map(&path), begin..end)
    });
    let mut blocks: Vec<_> = blocks.collect();
    // With a block for nearly every item there is nothing to gain.
    if blocks.len() <= items.len() / 4 {
        blocks.sort_unstable_by_key(|(path, _)| *path);
        let sources = blocks.into_iter().map(|(_, block)| block);
        permute(items, sources.collect());
    }
    // What lies in a directory's directories comes between its own names: then the blocks
    // are not all there is to it.
    if !in_order(items) {
        items.sort_by(|a, b| path(a).cmp(path(b)));
    }
}

/// How many items are moved at once.
const PIECE: usize = 8192;

/// Adds what another thread found, in no particular order, and gives its memory back piece by
/// piece: moved as a whole, half of all there is would be there twice for a moment.
pub(super) fn append<T>(all: &mut Vec<T>, mut more: Vec<T>) {
    all.reserve_exact(more.len());
    while !more.is_empty() {
        let rest = more.len().saturating_sub(PIECE);
        all.extend(more.drain(rest..));
        more.shrink_to_fit();
    }
}

/// Puts pieces that are named by where they lie one behind the other.
fn permute<T>(items: &mut [T], pieces: Vec<Range<usize>>) {
    // For every place, where its item lies before.
    let sources: Option<Vec<u32>> = pieces
        .into_iter()
        .flatten()
        .map(|source| u32::try_from(source).ok())
        .collect();
    // More than four thousand million items are left to the other way.
    let Some(mut sources) = sources else { return };
    for first in 0..sources.len() {
        let mut place = first;
        // Each item that goes to its place makes room for the next one of its circle.
        while let Some(source) = sources.get_mut(place) {
            let from = std::mem::replace(source, place as u32) as usize;
            if from == first || from == place {
                break;
            }
            items.swap(place, from);
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn all_of_what_another_found_is_there_once() {
        for (own, others) in [(0, 0), (3, 0), (0, 3), (5, 3 * PIECE), (PIECE, PIECE + 1)] {
            let mut all: Vec<usize> = (0..own).collect();
            append(&mut all, (own..own + others).collect());
            all.sort_unstable();
            assert!(all.into_iter().eq(0..own + others));
        }
    }

    proptest! {
        #[test]
        fn items_end_in_the_order_of_their_paths(
            blocks in proptest::collection::vec((0..9_usize, 0..12_u8), 0..30),
        ) {
            let directories = ["", "a/", "a/b/", "a-/", "b/", "b/c/d/", "b/c/", "z/", "zz/"];
            let names = |(directory, count): &(usize, u8)| {
                let directory = directories[*directory];
                (0..*count).map(move |n| RelPath::parse(format!("{directory}{n:02}")).unwrap())
            };
            let mut items: Vec<_> = blocks.iter().flat_map(names).zip(0..).collect();
            let mut expected = items.clone();
            expected.sort();
            sort_by_path(&mut items, |(path, _)| path);
            let paths = |items: &[(RelPath, i32)]| -> Vec<RelPath> {
                items.iter().map(|(path, _)| path.clone()).collect()
            };
            prop_assert_eq!(paths(&items), paths(&expected));
            // Nothing is lost, and nothing is there twice.
            items.sort();
            prop_assert_eq!(items, expected);
        }
    }
}
