//! What many files share, in memory once: reasons, and what decides about neighbours.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Captures, Indices, Ruling};
use crate::path::RelPath;
use crate::policy::{Collection, Membership};

/// How many different texts are remembered. Files of a directory tend to have the same
/// few reasons; texts that are all different cost one comparison each and no memory.
const PLACES: usize = 1024;

/// Texts by their hash, the last one of each place.
#[derive(Clone, Debug)]
pub(super) struct Words {
    places: Vec<Arc<str>>,
    hash: RandomState,
    /// What was asked for last: most often it is asked for again.
    last: Arc<str>,
}

impl Words {
    pub(super) fn new() -> Words {
        Words {
            places: vec![Arc::from(""); PLACES],
            hash: RandomState::default(),
            last: Arc::from(""),
        }
    }

    /// The text, as one that was seen lately where it is the same.
    pub(super) fn shared(&mut self, text: &str) -> Arc<str> {
        if *self.last != *text {
            let at = self.hash.hash_one(text) as usize % PLACES;
            self.last = match self.places.get_mut(at) {
                Some(known) if **known == *text => Arc::clone(known),
                Some(place) => {
                    *place = Arc::from(text);
                    Arc::clone(place)
                }
                None => Arc::from(text),
            };
        }
        Arc::clone(&self.last)
    }
}

/// What decides about one file after the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Rulings {
    last: Arc<Ruling>,
    /// Of what file the last one is, if of one that a statement takes alone.
    of: Option<OfFile>,
}

/// What a ruling is told apart by: files with the same captures in the same place have the
/// same, and neighbours mostly do.
#[derive(Clone, Debug)]
struct OfFile {
    place: Membership,
    /// The path's beginning, to the end of its last capture.
    captured: Box<[u8]>,
    rule: usize,
}

impl OfFile {
    fn new(path: &RelPath, place: &Membership, rule: usize) -> OfFile {
        let captured = path.as_bytes().get(..place.spans.end());
        OfFile {
            place: place.clone(),
            captured: captured.unwrap_or_default().into(),
            rule,
        }
    }

    fn is(&self, path: &RelPath, place: &Membership, rule: usize) -> bool {
        self.rule == rule && self.place == *place && path.as_bytes().starts_with(&self.captured)
    }
}

impl Rulings {
    /// The next one, as the last one where it is the same.
    pub(super) fn shared(&mut self, ruling: Ruling) -> Arc<Ruling> {
        if *self.last != ruling {
            self.last = Arc::new(ruling);
            self.of = None;
        }
        Arc::clone(&self.last)
    }

    /// That of a file which a statement of a collection takes alone; nothing is made where it
    /// is as of the last one.
    pub(super) fn of_file(
        &mut self,
        collection: &Collection,
        path: &RelPath,
        place: &Membership,
        rule: usize,
        (hooks, floors): (Indices, Indices),
    ) -> Arc<Ruling> {
        let is_same = self.of.as_ref().is_some_and(|of| of.is(path, place, rule))
            && self.last.hooks == hooks
            && self.last.floors == floors;
        if !is_same {
            let names = Arc::clone(collection.template.captures());
            let values = place.spans.values(path.as_bytes());
            self.last = Arc::new(Ruling {
                collection: collection.name.clone(),
                captures: Captures::new(names, values.iter()),
                rule,
                hooks,
                floors,
                ..Ruling::default()
            });
            self.of = Some(OfFile::new(path, place, rule));
        }
        Arc::clone(&self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_lie_in_memory_once() {
        let mut words = Words::new();
        let (one, same) = (words.shared("age 3 d"), words.shared("age 3 d"));
        assert!(Arc::ptr_eq(&one, &same));
        // Whatever falls into one place, each text stays itself.
        for n in 0..10 * PLACES {
            assert_eq!(*words.shared(&n.to_string()), n.to_string());
        }
        assert_eq!(*words.shared("age 3 d"), *one);
    }
}
