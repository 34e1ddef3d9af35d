//! Very many files as a guest is told of them: in columns, with what they have in common
//! told once.

use std::collections::HashMap;

use super::asked::Asked;
use super::contract::{GuestBatch, GuestObjection, GuestOrigin, GuestVerdict, GuestVerdicts};
use super::trouble::Trouble;
use crate::plan::Captures;

/// The files of one call.
#[derive(Debug, Default)]
pub(super) struct Columns<'a> {
    texts: Vec<u8>,
    path_ends: Vec<u32>,
    ends: Vec<u32>,
    origins: Vec<Origin<'a>>,
    origin: Vec<u32>,
    size: Vec<u64>,
    allocated: Vec<u64>,
    modified_seconds: Vec<i64>,
    modified_nanoseconds: Vec<u32>,
    links: Vec<u32>,
}

/// What files have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin<'a> {
    of: Of<'a>,
    captures: Vec<&'a str>,
}

/// What it is found by. The names of captures are those of the collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Of<'a> {
    store: &'a str,
    collection: &'a str,
    rule: &'a str,
}

impl<'a> Columns<'a> {
    pub(super) fn of(files: &[Asked<'a>]) -> Columns<'a> {
        let mut columns = Columns::default();
        columns.texts.reserve(files.iter().map(texts).sum());
        let mut numbers: HashMap<Of<'a>, u32> = HashMap::new();
        let mut last = None;
        for file in files {
            let of = Of {
                store: file.store,
                collection: file.collection,
                rule: file.rule,
            };
            // Mostly they are as those of the file before.
            let origin = match last {
                Some((known, number)) if known == of => number,
                Some(_) | None => *numbers.entry(of).or_insert_with(|| columns.add(of, file)),
            };
            last = Some((of, origin));
            columns.texts.extend_from_slice(file.path.as_bytes());
            columns.path_ends.push(columns.end());
            let values = file.captures.map_or("", Captures::values);
            columns.texts.extend_from_slice(values.as_bytes());
            columns.ends.push(columns.end());
            columns.origin.push(origin);
            columns.size.push(file.size);
            columns.allocated.push(file.allocated);
            columns.modified_seconds.push(file.modified.seconds());
            let nanoseconds = file.modified.subsec_nanoseconds();
            columns.modified_nanoseconds.push(nanoseconds);
            let links = u32::try_from(file.links).unwrap_or(u32::MAX);
            columns.links.push(links);
        }
        columns
    }

    fn add(&mut self, of: Of<'a>, file: &Asked<'a>) -> u32 {
        let captures = file.captures.into_iter().flat_map(Captures::iter);
        let captures = captures.map(|(name, _)| name).collect();
        self.origins.push(Origin { of, captures });
        self.origins.len() as u32 - 1
    }

    fn end(&self) -> u32 {
        // A batch has a MiB of texts, or a single file.
        self.texts.len() as u32
    }

    /// What files have in common, as the contract has it.
    pub(super) fn origins(&self) -> Vec<GuestOrigin<'_>> {
        let origins = self.origins.iter().map(|origin| GuestOrigin {
            store: origin.of.store,
            collection: origin.of.collection,
            rule: origin.of.rule,
            captures: &origin.captures,
        });
        origins.collect()
    }

    /// What the contract has of them.
    pub(super) fn batch<'b>(&'b self, origins: &'b [GuestOrigin<'b>]) -> GuestBatch<'b> {
        GuestBatch {
            texts: &self.texts,
            path_ends: &self.path_ends,
            ends: &self.ends,
            origins,
            origin: &self.origin,
            size: &self.size,
            allocated: &self.allocated,
            modified_seconds: &self.modified_seconds,
            modified_nanoseconds: &self.modified_nanoseconds,
            links: &self.links,
        }
    }
}

/// Bytes of a file's own texts.
fn texts(file: &Asked<'_>) -> usize {
    file.path.as_bytes().len() + file.captures.map_or(0, |captures| captures.values().len())
}

/// Bytes a guest is given of a file at most: it may be the only one of its statement.
pub(super) fn length(file: &Asked<'_>) -> usize {
    let names = file.captures.into_iter().flat_map(Captures::iter);
    let names: usize = names.map(|(name, _)| name.len() + 8).sum();
    let origin = file.store.len() + file.collection.len() + file.rule.len() + 32;
    texts(file) + names + origin + 5 * size_of::<u32>() + 3 * size_of::<u64>()
}

/// One verdict for each of so many files, in their order.
pub(super) fn verdicts(given: GuestVerdicts, files: usize) -> Result<Vec<GuestVerdict>, Trouble> {
    let GuestVerdicts {
        proceed,
        objections,
    } = given;
    let against = proceed.iter().filter(|proceed| !**proceed).count();
    if proceed.len() != files || against != objections.len() {
        let reason = format!(
            "it gave {} answers and {} objections for {files} files, of which {against} do not proceed, so none of them can be told apart",
            proceed.len(),
            objections.len()
        );
        return Err(Trouble::permanent(reason));
    }
    let mut objections = objections.into_iter();
    let verdict = |proceed| match proceed {
        true => Some(GuestVerdict::Proceed),
        false => objections.next().map(|objection| match objection {
            GuestObjection::Keep(reason) => GuestVerdict::Keep(reason),
            GuestObjection::Defer(until) => GuestVerdict::Defer(until),
            GuestObjection::Failed(failure) => GuestVerdict::Failed(failure),
        }),
    };
    // As many as files: they were counted.
    Ok(proceed.into_iter().filter_map(verdict).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::path::RelPath;
    use crate::time::Stamp;

    fn captures(all: &[(&str, &str)]) -> Captures {
        let names: Arc<[String]> = all.iter().map(|(name, _)| (*name).to_owned()).collect();
        Captures::new(names, all.iter().map(|(_, value)| *value))
    }

    #[test]
    fn a_file_has_its_own_texts_and_numbers_whatever_it_shares_with_others() {
        let path = |text: &[u8]| RelPath::parse(text).unwrap();
        let paths = [
            path(b"A/1.png"),
            path(b"B/\xff"),
            path(b"A/2.png"),
            path(b"x"),
        ];
        let (a, b) = (captures(&[("s", "A"), ("n", "1")]), captures(&[("s", "B")]));
        let of = |at: usize, collection, rule, captures| Asked {
            size: 10 + at as u64,
            allocated: 20 + at as u64,
            modified: Stamp::new(-3 - at as i64, 30 + at as u32),
            links: 40 + at as u64,
            store: "charts",
            collection,
            rule,
            captures,
            ..Asked::at(&paths[at])
        };
        let files = [
            of(0, "c", "p:1", Some(&a)),
            of(1, "d", "p:1", Some(&b)),
            of(2, "c", "p:1", Some(&a)),
            of(3, "c", "p:2", None),
        ];
        let columns = Columns::of(&files);
        let origins = columns.origins();
        let batch = columns.batch(&origins);
        let mut begin = 0;
        let mut told = Vec::new();
        for at in 0..files.len() {
            let (path, end) = (batch.path_ends[at] as usize, batch.ends[at] as usize);
            let origin = &origins[batch.origin[at] as usize];
            told.push((
                batch.texts[begin..path].to_vec(),
                batch.texts[path..end].to_vec(),
                (
                    origin.store,
                    origin.collection,
                    origin.rule,
                    origin.captures.to_vec(),
                ),
            ));
            begin = end;
        }
        let (s, n) = ("s", "n");
        let expected = [
            (
                &b"A/1.png"[..],
                &b"A\x001\0"[..],
                ("charts", "c", "p:1", vec![s, n]),
            ),
            (b"B/\xff", b"B\0", ("charts", "d", "p:1", vec![s])),
            (b"A/2.png", b"A\x001\0", ("charts", "c", "p:1", vec![s, n])),
            (b"x", b"", ("charts", "c", "p:2", vec![])),
        ];
        let expected = expected.map(|(path, values, of)| (path.to_vec(), values.to_vec(), of));
        assert_eq!(told, expected);
        assert_eq!(begin, batch.texts.len());
        assert_eq!(origins.len(), 3);
        assert_eq!(batch.size, [10, 11, 12, 13]);
        assert_eq!(batch.allocated, [20, 21, 22, 23]);
        assert_eq!(batch.modified_seconds, [-3, -4, -5, -6]);
        assert_eq!(batch.modified_nanoseconds, [30, 31, 32, 33]);
        assert_eq!(batch.links, [40, 41, 42, 43]);
    }

    #[test]
    fn objections_are_of_the_files_that_do_not_proceed() {
        let keep = |why: &str| GuestObjection::Keep(why.to_owned());
        let given = GuestVerdicts {
            proceed: vec![true, false, true, false],
            objections: vec![keep("one"), keep("two")],
        };
        let verdicts = verdicts(given, 4).unwrap();
        let why = |verdict: &GuestVerdict| match verdict {
            GuestVerdict::Keep(why) => Some(why.clone()),
            _ => None,
        };
        let why: Vec<_> = verdicts.iter().map(why).collect();
        assert_eq!(
            why,
            [None, Some("one".to_owned()), None, Some("two".to_owned())]
        );
    }
}
