//! Files of a batch removed one after the other, or by several threads where the file
//! system gains from that.

use super::hands::{hands, shared_out};
use crate::entry::Facts;
use crate::path::RelPath;
use crate::plan::Step;
use crate::store::{Dir, End, Removal, Root, Trash};

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Moved, compared, unlinked.
    Unlinked,
    /// Compared and unlinked in its place.
    UnlinkedInPlace,
    /// Moved, compared, and kept in the trash.
    Trashed,
}

/// What a file is removed with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remover<'a> {
    pub(super) root: &'a Root,
    pub(super) trash: &'a Trash,
    pub(super) end: Ending,
}

impl Remover<'_> {
    /// Removes one file.
    pub(super) fn remove(self, parents: &mut Parents, path: &RelPath, facts: &Facts) -> Removal {
        let parent = match self.end {
            Ending::UnlinkedInPlace => parents.same(self.root, path),
            Ending::Unlinked | Ending::Trashed => parents.of(self.root, path),
        };
        match (parent, self.end) {
            (Ok(parent), Ending::Unlinked) => self.trash.remove(parent, path, facts),
            (Ok(parent), Ending::UnlinkedInPlace) => self.trash.remove_direct(parent, path, facts),
            (Ok(parent), Ending::Trashed) => self.trash.keep(parent, path, facts),
            (Err(removal), _) => removal,
        }
    }

    /// How many threads so many files are removed by.
    pub(super) fn hands(self, files: usize) -> usize {
        let verified = self.end != Ending::UnlinkedInPlace;
        match self.root.gains_from_threads(verified) {
            true => hands(files),
            false => 1,
        }
    }

    /// Removes files by so many threads. The answers are in the order of the files.
    pub(super) fn remove_together(self, files: &[&Step], hands: usize) -> Vec<Removal> {
        let removals = shared_out(
            files,
            hands,
            |step| &step.path,
            |load| self.remove_load(load),
        );
        let mut parents = Parents::default();
        let rest = files.iter().zip(removals);
        rest.map(|(step, removal)| match removal.flatten() {
            Some(removal) => removal,
            None => self.remove(&mut parents, &step.path, &step.facts),
        })
        .collect()
    }

    /// Removes what one thread has in hand, but for names of files that have others:
    /// unlinking one alters the others' change time, which only goes well one after the
    /// other.
    fn remove_load(self, files: &[&Step]) -> Vec<Option<Removal>> {
        let end = match self.end {
            Ending::Unlinked => End::Unlink,
            Ending::Trashed => End::Keep,
            Ending::UnlinkedInPlace => {
                let mut parents = Parents::default();
                let mut remove = |step: &Step| self.remove(&mut parents, &step.path, &step.facts);
                let files = files.iter();
                return files
                    .map(|step| (step.facts.links == 1).then(|| remove(step)))
                    .collect();
            }
        };
        let mut removals = Vec::with_capacity(files.len());
        let alike = |one: &&Step, next: &&Step| {
            one.path.is_beside(&next.path) && (one.facts.links == 1) == (next.facts.links == 1)
        };
        for beside in files.chunk_by(alike) {
            match beside.first() {
                Some(step) if step.facts.links == 1 => {
                    let files: Vec<_> = beside.iter().map(|s| (&s.path, &s.facts)).collect();
                    let removed = self.trash.remove_together(self.root, &files, end);
                    removals.extend(removed.into_iter().map(Some));
                }
                Some(_) | None => removals.extend(beside.iter().map(|_| None)),
            }
        }
        removals
    }
}

/// The directory a file is just being removed from.
#[derive(Debug, Default)]
pub(super) struct Parents(Option<(RelPath, Dir)>);

impl Parents {
    /// Opened anew from the root for each file: a handle that is kept stays on its
    /// directory even when that is moved out of the store, and its files would go where
    /// no policy reaches.
    pub(super) fn of(&mut self, root: &Root, path: &RelPath) -> Result<&Dir, Removal> {
        let parent = path
            .parent()
            .ok_or_else(|| Removal::Unverifiable("it is the store's root".to_owned()))?;
        let dir = root.open_dir(&parent);
        let dir = dir.map_err(|error| Removal::out_of_reach(&error))?;
        let (_, dir) = self.0.insert((parent, dir));
        Ok(dir)
    }

    /// The same handle for all files of a directory that come one after the other: for
    /// stores in which nobody else moves anything.
    pub(super) fn same(&mut self, root: &Root, path: &RelPath) -> Result<&Dir, Removal> {
        match self.0.take_if(|(held, _)| held.is_parent_of(path)) {
            Some(held) => Ok(&self.0.insert(held).1),
            None => self.of(root, path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(path: &RelPath, facts: Facts) -> Step {
        Step {
            path: path.clone(),
            facts,
            action: crate::plan::Action::Remove,
            ruling: Default::default(),
            reason: "".into(),
            stands_for: None,
        }
    }

    #[test]
    fn several_hands_answer_as_one_does() {
        let answers = |hands: usize, end| {
            let place = tempfile::tempdir().unwrap();
            let at = |name: &str| place.path().join(name);
            let names: Vec<String> = (0..900).map(|n| format!("d{:03}/{n}", n / 7)).collect();
            for name in &names {
                std::fs::create_dir_all(at(name).parent().unwrap()).unwrap();
                std::fs::write(at(name), name).unwrap();
            }
            // Names of one file in directories that different hands have.
            for name in ["d010/link", "d050/link", "d100/link"] {
                std::fs::hard_link(at("d000/0"), at(name)).unwrap();
            }
            let links = ["d010/link", "d050/link", "d100/link"].map(str::to_owned);
            let mut names: Vec<String> = names.into_iter().chain(links).collect();
            names.sort();
            let root = Root::open(place.path()).unwrap();
            let trash = root.establish_trash("run").unwrap();
            let steps: Vec<Step> = names
                .iter()
                .map(|name| RelPath::parse(name).unwrap())
                .map(|path| step(&path, root.stat(&path).unwrap()))
                .collect();
            std::fs::write(at("d003/21"), "altered").unwrap();
            std::fs::remove_file(at("d040/280")).unwrap();
            let files: Vec<&Step> = steps.iter().collect();
            let remover = Remover {
                root: &root,
                trash: &trash,
                end,
            };
            let removals = remover.remove_together(&files, hands);
            let gone = removals.iter().zip(&names).filter(|(removal, name)| {
                let gone = matches!(removal, Removal::Removed { .. } | Removal::Trashed);
                assert_eq!(at(name).exists(), **removal == Removal::Changed, "{name}");
                gone
            });
            assert_eq!(gone.count(), names.len() - 2);
            removals
        };
        for end in [Ending::Unlinked, Ending::UnlinkedInPlace, Ending::Trashed] {
            assert_eq!(answers(1, end), answers(5, end));
        }
    }

    #[test]
    fn a_directory_moved_out_of_the_store_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let store = place.path().join("store");
        std::fs::create_dir_all(store.join("dir")).unwrap();
        for name in ["a", "b"] {
            std::fs::write(store.join("dir").join(name), name).unwrap();
        }
        let root = Root::open(&store).unwrap();
        let trash = root.establish_trash("run").unwrap();
        let [a, b] = ["dir/a", "dir/b"].map(|name| {
            let path = RelPath::parse(name).unwrap();
            let facts = root.stat(&path).unwrap();
            (path, facts)
        });
        let mut parents = Parents::default();
        let remover = Remover {
            root: &root,
            trash: &trash,
            end: Ending::Unlinked,
        };
        let mut remove =
            |(path, facts): &(RelPath, Facts)| remover.remove(&mut parents, path, facts);
        assert!(matches!(remove(&a), Removal::Removed { .. }));
        std::fs::rename(store.join("dir"), place.path().join("outside")).unwrap();
        assert_eq!(remove(&b), Removal::Vanished);
        assert!(place.path().join("outside/b").exists());
    }
}
