//! Floors over files that were laid aside.
//!
//! A floor holds the newest of each group, whatever a `delete` says, so that a file it may
//! count is decided on when all of them are known. To say which it holds takes a number and
//! a moment of each, and no more of those that stay.

use std::collections::BTreeMap;
use std::ops::Range;

use super::aside::{Laid, Lot, laid};
use super::floor_files::{self, FloorFiles};
use super::floors::held;
use super::parts::in_parts;
use super::sieve::Sieve;
use super::steps::Steps;
use super::used::{ByGroup, Group, Limits, Used, by_captures};
use super::{Floor, Indices};
use crate::entry::Entry;
use crate::policy::{Holds, Membership, Truth};
use crate::time::Stamp;

/// A collection of the policy, and one of its floors.
type FloorAt = (usize, usize);

/// A file in its place in a group of a floor. They order by group, the newest first, and
/// files of one moment by their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    group: u32,
    /// Both are smaller for what is newer.
    seconds: u64,
    nanoseconds: u32,
    /// Its place among what was laid aside.
    file: usize,
}

/// What all floors of a policy make of what was laid aside.
pub(super) struct Floored {
    /// By file, budgets aside; nothing where none of its collections has a floor. Whatever is
    /// doomed goes.
    lots: Vec<Option<Lot>>,
    standings: Vec<Standing>,
    /// By standing.
    is_held: Vec<bool>,
    /// By group: the statement.
    rules: Vec<usize>,
}

/// The same of some of the files, with groups numbered among themselves.
#[derive(Default)]
struct Part {
    lots: Vec<Option<Lot>>,
    standings: Vec<Standing>,
    groups: BTreeMap<FloorAt, ByGroup<u32>>,
    count: u32,
}

/// The floors that steps rely on, numbered as those meet them.
#[derive(Default)]
pub(super) struct Relied {
    /// The floors of files that go, by file.
    of_file: Vec<(usize, u32)>,
    /// Files that such floors hold, by file: the floor's number, and their place in it.
    held: Vec<(usize, u32, usize)>,
    /// By number: the statement.
    rules: Vec<usize>,
}

/// Files that floors hold, as pages show them.
#[derive(Default)]
pub(super) struct Found {
    files: Vec<FoundAt>,
    bytes: Vec<u8>,
}

/// One of them; its bytes end where those of the next one begin.
struct FoundAt {
    floor: u32,
    place: usize,
    begin: usize,
}

impl Sieve<'_> {
    /// What floors make of files; nothing where there are more groups than numbers.
    pub(super) fn floored(&self, files: &Steps) -> Option<Floored> {
        let parts = in_parts(files.len(), |range| self.standings(files, range));
        if parts.iter().any(|part| part.count == u32::MAX) {
            return None;
        }
        let mut floored = Floored {
            lots: Vec::with_capacity(files.len()),
            standings: Vec::with_capacity(parts.iter().map(|part| part.standings.len()).sum()),
            is_held: Vec::new(),
            rules: Vec::new(),
        };
        // Groups of one floor have numbers that follow each other, as floors do.
        let mut numbers: Vec<Vec<u32>> = parts
            .iter()
            .map(|part| vec![0; part.count as usize])
            .collect();
        let collections = self.matcher().policy.collections.iter().enumerate();
        let mut holds: Vec<&Holds> = Vec::new();
        for (of, collection) in collections {
            for (index, floor) in collection.floors.iter().enumerate() {
                let mut groups: ByGroup<u32> = ByGroup::default();
                for (part, numbers) in parts.iter().zip(&mut numbers) {
                    for (group, &own) in part.groups.get(&(of, index)).into_iter().flatten() {
                        let next = u32::try_from(floored.rules.len()).ok()?;
                        let number = match groups.get(group.written()) {
                            Some(number) => *number,
                            None => {
                                groups.insert(group.clone(), next);
                                floored.rules.push(floor.rule);
                                holds.push(&floor.holds);
                                next
                            }
                        };
                        *numbers.get_mut(own as usize)? = number;
                    }
                }
            }
        }
        for (mut part, numbers) in parts.into_iter().zip(numbers) {
            floored.lots.append(&mut part.lots);
            for standing in part.standings {
                let group = *numbers.get(standing.group as usize)?;
                floored.standings.push(Standing { group, ..standing });
            }
        }
        floored.standings.sort_unstable();
        self.hold(&mut floored, &holds);
        Some(floored)
    }

    /// The places of some files in the groups of floors.
    fn standings(&self, files: &Steps, range: Range<usize>) -> Part {
        let mut part = Part::default();
        let mut written = String::new();
        for (at, file) in range.clone().zip(files.iter_from(range.start)) {
            let Laid {
                entry,
                lot,
                is_floored,
            } = laid(file);
            let mut lot = is_floored.then_some(lot);
            let memberships = match is_floored {
                true => self.matcher().memberships(&entry.path),
                false => Default::default(),
            };
            for place in &memberships {
                self.stand(&entry, place, &mut written, |floor, written, stamp| {
                    let Some(written) = written else {
                        lot = Some(Lot::Kept);
                        return;
                    };
                    let groups = part.groups.entry(floor).or_default();
                    let group = match groups.get(written) {
                        Some(group) => *group,
                        None => {
                            let next = part.count;
                            part.count = part.count.saturating_add(1);
                            groups.insert(Group::of(written), next);
                            next
                        }
                    };
                    let (seconds, nanoseconds) = rank(stamp);
                    part.standings.push(Standing {
                        group,
                        seconds,
                        nanoseconds,
                        file: at,
                    });
                });
            }
            part.lots.push(lot);
        }
        part
    }

    /// Shows the floors of a collection that may hold a file, each with the file's group, or
    /// none where nobody can say whether it counts the file, which then is held.
    fn stand(
        &self,
        entry: &Entry,
        place: &Membership,
        written: &mut String,
        mut see: impl FnMut(FloorAt, Option<&str>, Stamp),
    ) {
        let collection = self.matcher().policy.collections.get(place.collection);
        let subject = self.matcher().subject(entry, place);
        let (Some(collection), Some(subject)) = (collection, subject) else {
            return;
        };
        let Some(stamp) = self.dated(entry, place) else {
            return;
        };
        let values = place.spans.values(entry.path.as_bytes());
        for (index, floor) in collection.floors.iter().enumerate() {
            let at = (place.collection, index);
            match self.matcher().truth(&floor.condition, subject) {
                Truth::True => {
                    Group::write(by_captures(&floor.per, values), written);
                    see(at, Some(written), stamp);
                }
                Truth::Unknown => see(at, None, stamp),
                Truth::False => {}
            }
        }
    }

    /// The moment by which floors of a collection count a file; none for what fills no place.
    fn dated(&self, entry: &Entry, place: &Membership) -> Option<Stamp> {
        let stamp = self.matcher().clock_of(entry, place)?;
        (stamp <= self.matcher().now).then_some(stamp)
    }

    /// Whether some floor may count a file.
    pub(super) fn may_be_floored(&self, entry: &Entry, memberships: &[Membership]) -> bool {
        memberships.iter().any(|place| {
            let collection = self.matcher().policy.collections.get(place.collection);
            collection.is_some_and(|of| !of.floors.is_empty()) && self.dated(entry, place).is_some()
        })
    }

    /// Finds out what each floor holds.
    fn hold(&self, floored: &mut Floored, holds: &[&Holds]) {
        let Floored {
            lots,
            standings,
            is_held,
            ..
        } = floored;
        is_held.reserve_exact(standings.len());
        let mut stamps: Vec<Option<Stamp>> = Vec::new();
        for group in standings.chunk_by(|a, b| a.group == b.group) {
            let number = group.first().map_or(0, |first| first.group as usize);
            stamps.clear();
            stamps.extend(group.iter().map(|standing| Some(standing.stamp())));
            let held = holds.get(number).map_or_else(
                || vec![true; group.len()],
                |holds| held(holds, &stamps, &self.matcher().zone),
            );
            for (standing, held) in group.iter().zip(&held) {
                if let (true, Some(lot)) = (held, lots.get_mut(standing.file)) {
                    *lot = Some(Lot::Kept);
                }
            }
            is_held.extend(held);
        }
    }

    /// What files that floors may count use of budgets; without those that go for certain.
    pub(super) fn used_by_floored(
        &self,
        files: &Steps,
        limits: &Limits,
        floored: Option<&Floored>,
    ) -> Used {
        let parts = in_parts(files.len(), |range| {
            let mut used = Used::default();
            let of_range = range.clone().zip(files.iter_from(range.start));
            for (at, file) in of_range {
                let Laid {
                    entry, is_floored, ..
                } = laid(file);
                let goes = || floored.is_some_and(|of| of.lot(at) == Some(Lot::Doomed));
                if !is_floored || goes() {
                    continue;
                }
                let memberships = self.matcher().memberships(&entry.path);
                used.count(limits, self.matcher(), &entry, &memberships);
            }
            used
        });
        parts.into_iter().fold(Used::default(), |mut all, part| {
            all.add_all(part);
            all
        })
    }
}

impl Floored {
    /// What becomes of a file, budgets aside; nothing where none of its collections has a floor.
    pub(super) fn lot(&self, file: usize) -> Option<Lot> {
        self.lots.get(file).copied().flatten()
    }

    /// The floors that files which go were counted in.
    pub(super) fn relied(&self, goes: impl Fn(usize) -> bool) -> Relied {
        let going = self.standings.iter().filter(|of| goes(of.file));
        let mut of_file: Vec<(usize, u32)> = going.map(|of| (of.file, of.group)).collect();
        of_file.sort_unstable();
        let mut numbers: Vec<Option<u32>> = vec![None; self.rules.len()];
        let mut rules = Vec::new();
        for (_, group) in &mut of_file {
            let known = numbers.get_mut(*group as usize);
            let rule = self.rules.get(*group as usize);
            if let (Some(number), Some(&rule)) = (known, rule) {
                let next = rules.len() as u32;
                *group = *number.get_or_insert_with(|| {
                    rules.push(rule);
                    next
                });
            }
        }
        let held = self.standings.iter().zip(&self.is_held).enumerate();
        let mut held: Vec<(usize, u32, usize)> = held
            .filter(|(_, (_, is_held))| **is_held)
            .filter_map(|(place, (of, _))| {
                let number = (*numbers.get(of.group as usize)?)?;
                Some((of.file, number, place))
            })
            .collect();
        held.sort_unstable();
        Relied {
            of_file,
            held,
            rules,
        }
    }
}

impl Relied {
    /// The floors a file that goes was counted in.
    pub(super) fn by(&self, file: usize) -> Indices {
        let begin = self.of_file.partition_point(|(of, _)| *of < file);
        let rest = self.of_file.get(begin..).unwrap_or_default();
        let of_file = rest.iter().take_while(|(of, _)| *of == file);
        of_file.map(|(_, floor)| *floor as usize).collect()
    }

    /// Notes a file for such floors as hold it.
    pub(super) fn note(&self, file: usize, entry: &Entry, found: &mut Found) {
        let Ok(facts) = &entry.facts else { return };
        let begin = self.held.partition_point(|(of, ..)| *of < file);
        let rest = self.held.get(begin..).unwrap_or_default();
        for &(_, floor, place) in rest.iter().take_while(|(of, ..)| *of == file) {
            found.files.push(FoundAt {
                floor,
                place,
                begin: found.bytes.len(),
            });
            floor_files::write(&entry.path, facts, &mut found.bytes);
        }
    }

    /// The floors with what they hold.
    pub(super) fn floors(&self, found: &[Found]) -> Vec<Floor> {
        let mut all: Vec<(u32, usize, &[u8])> = Vec::with_capacity(self.held.len());
        for Found { files, bytes } in found {
            let ends = files.iter().skip(1).map(|next| next.begin);
            for (file, end) in files.iter().zip(ends.chain([bytes.len()])) {
                let bytes = bytes.get(file.begin..end).unwrap_or_default();
                all.push((file.floor, file.place, bytes));
            }
        }
        all.sort_unstable();
        let mut rest = all.as_slice();
        let floors = self.rules.iter().enumerate().map(|(number, &rule)| {
            let count = rest.partition_point(|(floor, ..)| *floor as usize <= number);
            let (own, behind) = rest.split_at(count);
            rest = behind;
            let bytes: Vec<u8> = own.iter().flat_map(|(.., bytes)| *bytes).copied().collect();
            let members = FloorFiles::of_bytes(own.len(), &bytes);
            Floor { rule, members }
        });
        floors.collect()
    }
}

impl Standing {
    fn stamp(&self) -> Stamp {
        let seconds = i64::MAX.wrapping_sub(self.seconds.cast_signed());
        Stamp::new(seconds, u32::MAX - self.nanoseconds)
    }
}

/// A stamp as numbers that are smaller for a newer one.
fn rank(stamp: Stamp) -> (u64, u32) {
    let seconds = i64::MAX.wrapping_sub(stamp.seconds()).cast_unsigned();
    (seconds, u32::MAX - stamp.subsec_nanoseconds())
}
