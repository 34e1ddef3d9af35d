//! The snapshot: what every file is by itself, worked out by several threads, and the
//! directories that are decided on as a whole, put together from their files.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Totals;
use super::decide::{Planner, SINGLE};
use super::member::{Judged, Member, Members, Unit};
use super::parts::in_parts;
use crate::entry::{Entry, Facts, Unreadable};
use crate::path::RelPath;
use crate::policy::{Membership, Memberships, Protector, Verdict};
use crate::time::Stamp;

/// A directory that is decided on as a whole, while its files are collected.
struct Gathered {
    membership: Membership,
    files: Members,
    facts: Result<Facts, Unreadable>,
}

/// The directories around a file that are decided on as a whole, each with its collection.
type Units = Vec<(RelPath, Membership)>;

/// What one piece of the entries comes to.
#[derive(Default)]
struct Part<'e> {
    members: Vec<Member<'e>>,
    totals: Totals,
    /// What could not be read.
    unreadable: Vec<&'e Entry>,
    /// Entries in directories that are decided on as a whole: the member each is, an index
    /// into this part's, or nothing for what is no file.
    in_units: Vec<(&'e Entry, Option<usize>, Units)>,
}

impl<'e> Planner<'_, 'e> {
    pub(super) fn enter(&mut self) {
        let parts = in_parts(self.inventory().entries.len(), |range| self.part(range));
        let mut gathered: BTreeMap<(RelPath, usize), Gathered> = BTreeMap::new();
        for part in parts {
            self.totals.covered.add_all(part.totals.covered);
            self.totals.uncovered.add_all(part.totals.uncovered);
            self.totals.unreadable += part.totals.unreadable;
            for entry in part.unreadable {
                if let Err(unreadable) = &entry.facts {
                    let reason =
                        format!("kept, because it could not be read: {}", unreadable.reason);
                    self.note(Some(entry.path.clone()), reason);
                }
            }
            let begin = self.members.len();
            for (entry, member, units) in part.in_units {
                for (directory, membership) in units {
                    let unit = self.gather(&mut gathered, directory, membership);
                    match member {
                        Some(member) => {
                            unit.files.push(begin + member);
                            join(&mut unit.facts, &entry.facts);
                        }
                        None => {
                            let reason = format!("it holds `{}`, which is no file", entry.path);
                            unit.facts = Err(Unreadable { reason });
                        }
                    }
                }
            }
            for (index, member) in (begin..).zip(&part.members) {
                for place in &member.memberships {
                    if let Some(list) = self.of_collection.get_mut(place.collection) {
                        list.push(index);
                    }
                }
            }
            match begin {
                0 => self.members = part.members,
                _ => {
                    self.members.reserve_exact(part.members.len());
                    self.members.extend(part.members);
                }
            }
        }
        for ((directory, collection), unit) in gathered {
            self.enter_unit(directory, collection, unit);
        }
    }

    /// What some of the entries are, each by itself.
    fn part(&self, range: Range<usize>) -> Part<'e> {
        let mut part = Part::default();
        for entry in self.inventory().entries.get(range).unwrap_or_default() {
            let is_file = !matches!(&entry.facts, Ok(facts) if !self.symlinks.admits(facts.kind));
            if !is_file {
                let units = self.matcher.units(&entry.path);
                if !units.is_empty() {
                    part.in_units.push((entry, None, units));
                }
                continue;
            }
            let known = self.known_as(entry);
            let judged = known.as_ref().map_or(entry, |(_, entry)| entry);
            let units = self.matcher.units(&judged.path);
            let memberships = self.matcher.memberships(&judged.path);
            let covered = !memberships.is_empty() || !units.is_empty();
            match &entry.facts {
                Ok(facts) if covered => part.totals.covered.add(facts),
                Ok(facts) => part.totals.uncovered.add(facts),
                // Nobody has to know how large it is.
                Err(_) if !covered => part.totals.uncovered.add_unseen(),
                Err(_) => {
                    part.totals.unreadable += 1;
                    part.unreadable.push(entry);
                }
            }
            if !covered {
                continue;
            }
            let verdict = match self.holding(&entry.path).or(self.holding(&judged.path)) {
                Some(_) => Verdict::Kept(Protector::Held(SINGLE)),
                None => self.matcher.judge(judged, &memberships),
            };
            if !units.is_empty() {
                let member = Some(part.members.len());
                part.in_units.push((entry, member, units));
            }
            let future = match verdict {
                Verdict::Kept(Protector::FutureClock) => true,
                Verdict::Kept(_) => self.matcher.has_future_clock(judged, &memberships),
                // Nothing kept it, and such a clock would have.
                Verdict::Doomed { .. } | Verdict::Open => false,
            };
            let (place, entry) = match known {
                Some((place, entry)) => (Some(place), Judged::Made(Box::new(entry))),
                None => (None, Judged::Seen(entry)),
            };
            let mut member = Member::new(entry, memberships, verdict).at(place);
            member.future = future;
            part.members.push(member);
        }
        part
    }

    /// An archive that stands in a file's place, as the file it stands for: under the
    /// path that had. With that file back beside it, it is decided on by itself.
    fn known_as(&self, entry: &'e Entry) -> Option<(&'e RelPath, Entry)> {
        let original = self.inventory().aliases.get(&entry.path)?;
        let entries = &self.inventory().entries;
        let back = entries.binary_search_by(|known| known.path.cmp(original));
        match back {
            Ok(_) => None,
            Err(_) => Some((
                &entry.path,
                Entry {
                    path: original.clone(),
                    facts: entry.facts.clone(),
                },
            )),
        }
    }

    fn gather<'g>(
        &self,
        gathered: &'g mut BTreeMap<(RelPath, usize), Gathered>,
        directory: RelPath,
        membership: Membership,
    ) -> &'g mut Gathered {
        let key = (directory, membership.collection);
        let directory = key.0.clone();
        gathered.entry(key).or_insert_with(|| Gathered {
            membership,
            files: Members::new(),
            facts: self.empty_unit(&directory),
        })
    }

    /// A directory's own facts, with the sums and stamps of no files at all.
    fn empty_unit(&self, directory: &RelPath) -> Result<Facts, Unreadable> {
        let listed = self.directory(directory);
        let facts = match listed {
            Some(entry) => entry.facts.clone()?,
            None => {
                return Err(Unreadable {
                    reason: "it was not listed".to_owned(),
                });
            }
        };
        if let Some(below) = self.unknown_below(directory) {
            return Err(below);
        }
        Ok(Facts {
            size: 0,
            allocated: 0,
            modified: Stamp::MIN,
            changed: Stamp::MIN,
            accessed: Stamp::MIN,
            created: Some(Stamp::MIN),
            links: 1,
            ..facts
        })
    }

    fn directory(&self, path: &RelPath) -> Option<&'e Entry> {
        let directories = &self.inventory().directories;
        let at = directories
            .binary_search_by(|entry| entry.path.cmp(path))
            .ok()?;
        directories.get(at)
    }

    /// The directories below one, itself left out. They stand together: all of them
    /// begin with its path and a `/`, and nothing else does.
    pub(super) fn directories_below(&self, directory: &RelPath) -> &'e [Entry] {
        let all = &self.inventory().directories;
        let mut bound = directory.as_bytes().to_vec();
        bound.push(b'/');
        let begin = all.partition_point(|entry| entry.path.as_bytes() < bound.as_slice());
        let rest = all.get(begin..).unwrap_or_default();
        let count = rest.partition_point(|entry| entry.path.as_bytes().starts_with(&bound));
        rest.get(..count).unwrap_or_default()
    }

    /// What lies in a directory that the scan could not look into.
    fn unknown_below(&self, directory: &RelPath) -> Option<Unreadable> {
        let unreadable = self.directories_below(directory).iter().find_map(|entry| {
            let reason = entry.facts.as_ref().err()?.reason.clone();
            Some(format!("`{}` could not be listed: {reason}", entry.path))
        });
        let skipped = || {
            let skipped = self.inventory().skipped.iter();
            skipped
                .filter(|skipped| skipped.path.starts_with(directory))
                .map(|skipped| format!("`{}`: {}", skipped.path, skipped.why))
                .next()
        };
        let reason = unreadable.or_else(skipped)?;
        Some(Unreadable { reason })
    }

    fn enter_unit(&mut self, directory: RelPath, collection: usize, unit: Gathered) {
        let listed = self.directory(&directory);
        let own = listed.and_then(|entry| entry.facts.clone().ok());
        if let Err(unreadable) = &unit.facts {
            let reason = format!("kept whole: {}", unreadable.reason);
            self.note(Some(directory.clone()), reason);
        }
        let entry = Entry {
            path: directory,
            facts: unit.facts,
        };
        let memberships = Memberships::from_iter([unit.membership]);
        let verdict = self.matcher.judge(&entry, &memberships);
        let index = self.members.len();
        for &file in &unit.files {
            if let Some(file) = self.members.get_mut(file) {
                file.lies_inside(index);
            }
        }
        let member = Member::new(Judged::Made(Box::new(entry)), memberships, verdict);
        let member = member.whole(Unit {
            files: unit.files,
            directory: own,
        });
        self.members.push(member);
        if let Some(list) = self.of_collection.get_mut(collection) {
            list.push(index);
        }
    }
}

/// Adds a file to its directory's sums; the newest stamps count.
fn join(unit: &mut Result<Facts, Unreadable>, file: &Result<Facts, Unreadable>) {
    match (&mut *unit, file) {
        (Ok(sum), Ok(file)) => {
            sum.size = sum.size.saturating_add(file.size);
            sum.allocated = sum.allocated.saturating_add(file.allocated);
            sum.modified = sum.modified.max(file.modified);
            sum.changed = sum.changed.max(file.changed);
            sum.accessed = sum.accessed.max(file.accessed);
            sum.created = sum.created.zip(file.created).map(|(a, b)| a.max(b));
            sum.links = sum.links.max(file.links);
        }
        (Ok(_), Err(unreadable)) => *unit = Err(unreadable.clone()),
        (Err(_), _) => {}
    }
}
