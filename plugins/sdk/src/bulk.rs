//! Very many files: what is looked at lies in columns, and nothing is made for a file that
//! nothing speaks against.

use core::str;

use crate::bindings::bulk::exports::retain::plugin::bulk_reviewer::{
    Batch, Objection, Origin, Verdicts,
};
use crate::bindings::bulk::retain::plugin::surroundings;
use crate::{Failure, Instant};

/// Looks at files that are about to go, one after the other, and at very many of them.
///
/// ```ignore
/// use retain_plugin::{BulkReviewer, Failure, File, Verdict, export, settings};
///
/// #[derive(serde::Deserialize)]
/// struct Small {
///     bytes: u64,
/// }
///
/// impl BulkReviewer for Small {
///     fn prepare() -> Result<Small, Failure> {
///         settings()
///     }
///
///     fn verdict(&self, file: &File<'_>) -> Verdict {
///         match file.size < self.bytes {
///             true => Verdict::Keep("it is small".to_owned()),
///             false => Verdict::Proceed,
///         }
///     }
/// }
///
/// export!(bulk_reviewer Small, description: "keeps small files", settings: "{}");
/// ```
pub trait BulkReviewer: Sized {
    /// What all files of a call are held against, such as the settings. A failure keeps
    /// every one of them.
    fn prepare() -> Result<Self, Failure>;

    /// The verdict on one file.
    fn verdict(&self, file: &File<'_>) -> Verdict;
}

/// What a reviewer says of a file.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// Nothing speaks against removing it.
    Proceed,
    /// It stays, for this reason.
    Keep(String),
    /// It stays until then at least.
    Defer(Instant),
    /// The question could not be answered: it stays.
    Failed(Failure),
}

/// One file that is about to go.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its place in the batch, from 0.
    pub slot: u32,
    /// The path in the store, as its bytes are.
    pub path: &'a [u8],
    /// Length in bytes.
    pub size: u64,
    /// Bytes it occupies on disk.
    pub allocated: u64,
    /// When its content last changed.
    pub modified: Instant,
    /// How many names it has.
    pub links: u32,
    origin: &'a Origin,
    values: &'a [u8],
}

impl<'a> File<'a> {
    /// The store's name.
    pub fn store(&self) -> &'a str {
        &self.origin.store
    }

    /// The collection that dooms it.
    pub fn collection(&self) -> &'a str {
        &self.origin.collection
    }

    /// The statement that dooms it: `charts.retain:12 @label`.
    pub fn rule(&self) -> &'a str {
        &self.origin.rule
    }

    /// Its captures in that collection, by name.
    pub fn captures(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let names = self.origin.captures.iter().map(String::as_str);
        let values = self.values.split(|byte| *byte == 0);
        names.zip(values.map(|value| str::from_utf8(value).unwrap_or_default()))
    }

    /// The value of one of its captures.
    pub fn capture(&self, name: &str) -> Option<&'a str> {
        let mut captures = self.captures();
        captures.find_map(|(of, value)| (of == name).then_some(value))
    }

    /// Whether an entry of that name lies beside it or in a directory above it, up to the
    /// store's root. A failure where that cannot be known: hand it on, so that the file
    /// stays.
    pub fn is_marked(&self, name: &str) -> Result<bool, Failure> {
        surroundings::marked(self.slot, name)
    }
}

/// All verdicts on a batch.
#[doc(hidden)]
pub fn review<R: BulkReviewer>(batch: Batch) -> Verdicts {
    let count = batch.ends.len();
    let reviewer = match R::prepare() {
        Ok(reviewer) => reviewer,
        Err(failure) => {
            return Verdicts {
                proceed: vec![false; count],
                objections: vec![Objection::Failed(failure); count],
            };
        }
    };
    let mut verdicts = Verdicts { proceed: Vec::with_capacity(count), objections: Vec::new() };
    let mut begin = 0;
    for at in 0..count {
        let (end_of_path, end) = (batch.path_ends[at] as usize, batch.ends[at] as usize);
        let file = File {
            slot: at as u32,
            path: &batch.texts[begin..end_of_path],
            size: batch.size[at],
            allocated: batch.allocated[at],
            modified: Instant {
                seconds: batch.modified_seconds[at],
                nanoseconds: batch.modified_nanoseconds[at],
            },
            links: batch.links[at],
            origin: &batch.origins[batch.origin[at] as usize],
            values: &batch.texts[end_of_path..end],
        };
        begin = end;
        let objection = match reviewer.verdict(&file) {
            Verdict::Proceed => None,
            Verdict::Keep(reason) => Some(Objection::Keep(reason)),
            Verdict::Defer(until) => Some(Objection::Defer(until)),
            Verdict::Failed(failure) => Some(Objection::Failed(failure)),
        };
        verdicts.proceed.push(objection.is_none());
        verdicts.objections.extend(objection);
    }
    verdicts
}
