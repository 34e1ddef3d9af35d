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
pub(super) struct Rulings(Arc<Ruling>);

impl Rulings {
    /// The next one, as the last one where it is the same.
    pub(super) fn shared(&mut self, ruling: Ruling) -> Arc<Ruling> {
        if *self.0 != ruling {
            self.0 = Arc::new(ruling);
        }
        Arc::clone(&self.0)
    }

    /// That of a file which a statement of a collection takes alone; nothing is made where it
    /// is as of the last one.
    pub(super) fn of_file(
        &mut self,
        collection: &Collection,
        path: &RelPath,
        place: &Membership,
        rule: usize,
        (hooks, relied): (Indices, Indices),
    ) -> Arc<Ruling> {
        let Ruling {
            collection: name,
            captures,
            rule: last,
            unit,
            pressure,
            hooks: asked,
            floors,
        } = &*self.0;
        let names = collection.template.captures();
        let values = place.spans.values(path.as_bytes());
        let is_same = *last == rule
            && *name == collection.name
            && *asked == hooks
            && unit.is_none()
            && pressure.is_none()
            && *floors == relied
            && captures.are(names, values.bytes());
        if !is_same {
            self.0 = Arc::new(Ruling {
                collection: collection.name.clone(),
                captures: Captures::new(Arc::clone(names), values.iter()),
                rule,
                hooks,
                floors: relied,
                ..Ruling::default()
            });
        }
        Arc::clone(&self.0)
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
