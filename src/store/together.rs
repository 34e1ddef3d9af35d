//! Files of one directory, removed together: what they share is asked for once.
//!
//! Opening a directory from the root for each of its files takes a third of a removal's
//! calls, and proves little: it may be moved away the moment after. Here all of them are
//! taken through one handle, and before the first of them is compared or unlinked, the
//! directory is looked up again. Unless its path still leads to it, they all go back to
//! where they came from.

use std::io;

use super::Root;
use super::dir::Dir;
use super::removal::{End, Moment, NotTaken, Removal, Taken, not_put_back};
use super::root::FileSystem;
use super::trash::Trash;
use crate::entry::{Facts, FileId};
use crate::path::RelPath;

/// How many files of a directory are away from it at a time: their names are missing until
/// all of them are taken, and some may have to go back.
const TOGETHER: usize = 64;

/// The same where a directory of few names is kept another way than one of many, and
/// changing from one to the other takes longer than looking a directory up again: XFS has
/// up to some five of ours in the inode. Measured: 3 and 20 at a time cost more than 4,
/// there and on btrfs.
const FEW_TOGETHER: usize = 4;

/// A point in the removal of several files, where others may get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Something happens to one of them.
    Of(Moment),
    /// All are taken, and the directory is about to be looked up again.
    Taken,
}

impl Trash {
    /// Removes planned files that lie beside one another. Each must be the only name of
    /// its inode: unlinking one name alters what is planned of another. The answers are in
    /// the order of the files.
    pub fn remove_together(
        &self,
        root: &Root,
        files: &[(&RelPath, &Facts)],
        end: End,
    ) -> Vec<Removal> {
        self.remove_together_interrupted(root, files, end, &mut |_| ())
    }

    pub(crate) fn remove_together_interrupted(
        &self,
        root: &Root,
        files: &[(&RelPath, &Facts)],
        end: End,
        interrupt: &mut dyn FnMut(Turn),
    ) -> Vec<Removal> {
        let Some((first, facts)) = files.first() else {
            return Vec::new();
        };
        if files.len() == 1 {
            // Moved right after its directory was opened from the root.
            return vec![self.remove_one(root, first, facts, end, interrupt)];
        }
        let Some(directory) = first.parent() else {
            let reason = "it is the store's root".to_owned();
            return vec![Removal::Unverifiable(reason); files.len()];
        };
        let mut removals = Vec::with_capacity(files.len());
        let mut held: Option<Held> = None;
        while let Some(rest) = files.get(removals.len()..).filter(|rest| !rest.is_empty()) {
            let some = rest.get(..at_a_time(root, end)).unwrap_or(rest);
            let found = match held.take() {
                Some(held) => Ok(held),
                None => Held::open(root, &directory),
            };
            let dir = match found {
                Ok(dir) => dir,
                Err(error) => {
                    removals.extend(vec![Removal::out_of_reach(&error); some.len()]);
                    continue;
                }
            };
            let taken = self.take_some(&dir, &directory, some, interrupt);
            interrupt(Turn::Taken);
            let astray = match taken.iter().any(Result::is_ok) {
                true => dir.astray(root, &directory),
                false => None,
            };
            removals.extend(taken.into_iter().map(|taken| match (taken, &astray) {
                (Err(removal), _) => removal,
                (Ok(taken), Some(because)) => self.return_from_astray(&dir, taken, because),
                (Ok(taken), None) => self.end(&dir.dir, taken, end, &mut |moment| {
                    interrupt(Turn::Of(moment));
                }),
            }));
            held = astray.is_none().then_some(dir);
        }
        removals
    }

    /// Takes the first of some files, or more of them: all, unless the trash has no room for
    /// so many names. Those that are in it leave it before the next are taken, so that a
    /// disk without a block left can be emptied.
    fn take_some<'p>(
        &self,
        held: &Held,
        directory: &RelPath,
        files: &[(&'p RelPath, &'p Facts)],
        interrupt: &mut dyn FnMut(Turn),
    ) -> Vec<Result<Taken<'p>, Removal>> {
        let mut taken: Vec<Result<Taken<'p>, Removal>> = Vec::with_capacity(files.len());
        for (path, facts) in files {
            if !directory.is_parent_of(path) {
                let reason = "it lies elsewhere".to_owned();
                taken.push(Err(Removal::Unverifiable(reason)));
                continue;
            }
            let of = &mut |moment| interrupt(Turn::Of(moment));
            match self.take(&held.dir, path, facts, of) {
                Err(NotTaken::NoRoom(_)) if taken.iter().any(Result::is_ok) => break,
                Err(NotTaken::For(removal) | NotTaken::NoRoom(removal)) => taken.push(Err(removal)),
                Ok(one) => taken.push(Ok(one)),
            }
        }
        taken
    }

    fn remove_one(
        &self,
        root: &Root,
        path: &RelPath,
        facts: &Facts,
        end: End,
        interrupt: &mut dyn FnMut(Turn),
    ) -> Removal {
        let of = &mut |moment| interrupt(Turn::Of(moment));
        match path.parent().map(|directory| root.open_dir(&directory)) {
            Some(Ok(dir)) => self.remove_interrupted(&dir, path, facts, end, of),
            Some(Err(error)) => Removal::out_of_reach(&error),
            None => Removal::Unverifiable("it is the store's root".to_owned()),
        }
    }

    /// Puts what was taken from a directory back into it, wherever that is now. It was not
    /// compared: it may be a stranger.
    fn return_from_astray(&self, held: &Held, taken: Taken<'_>, because: &Removal) -> Removal {
        match self.give_back_slot(&taken.slot, &held.dir, taken.name) {
            Ok(()) => because.clone(),
            Err(errno) => Removal::Stranded {
                slot: taken.slot,
                reason: format!(
                    "its directory was moved away meanwhile, and {}",
                    not_put_back(errno)
                ),
            },
        }
    }
}

/// A directory that is held open, so that no other can have its number.
struct Held {
    dir: Dir,
    id: FileId,
}

impl Held {
    fn open(root: &Root, directory: &RelPath) -> io::Result<Held> {
        let dir = root.open_dir(directory)?;
        let id = dir.facts()?.id;
        Ok(Held { dir, id })
    }

    /// What it means for its files that its path leads elsewhere by now; nothing where it
    /// still leads here.
    fn astray(&self, root: &Root, directory: &RelPath) -> Option<Removal> {
        match Held::open(root, directory) {
            Ok(found) if found.id == self.id => None,
            Ok(_) => Some(Removal::Changed),
            Err(error) => Some(Removal::out_of_reach(&error)),
        }
    }
}

fn at_a_time(root: &Root, end: End) -> usize {
    match (root.file_system(), end) {
        (FileSystem::Xfs | FileSystem::Btrfs, End::Unlink) => FEW_TOGETHER,
        // What is kept fills the trash anyway.
        (FileSystem::Xfs | FileSystem::Btrfs, End::Keep) => TOGETHER,
        (FileSystem::Memory | FileSystem::Other, _) => TOGETHER,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use tempfile::TempDir;

    use super::*;

    /// A directory with files of a store, and a place beside the store.
    struct Fixture {
        place: TempDir,
        root: Root,
        trash: Trash,
        planned: Vec<(RelPath, Facts)>,
    }

    impl Fixture {
        fn of(files: usize) -> Fixture {
            let place = TempDir::new().unwrap();
            fs::create_dir_all(place.path().join("store/dir")).unwrap();
            let root = Root::open(&place.path().join("store")).unwrap();
            let trash = root.establish_trash("run").unwrap();
            let names = (0..files).map(|n| format!("dir/{n:03}"));
            let planned = names.map(|name| {
                fs::write(place.path().join("store").join(&name), &name).unwrap();
                let path = RelPath::parse(name).unwrap();
                let facts = root.stat(&path).unwrap();
                (path, facts)
            });
            Fixture {
                planned: planned.collect(),
                place,
                root,
                trash,
            }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.place.path().join("store").join(name)
        }

        fn trashed(&self) -> Vec<String> {
            names(&self.at(".retain/trash/run"))
        }

        fn remove_while(&self, turn: Turn, mut happening: impl FnMut()) -> Vec<Removal> {
            let files: Vec<_> = self
                .planned
                .iter()
                .map(|(path, facts)| (path, facts))
                .collect();
            let end = End::Unlink;
            let mut interrupt = |now| {
                if now == turn {
                    happening();
                }
            };
            self.trash
                .remove_together_interrupted(&self.root, &files, end, &mut interrupt)
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn is_removed(removal: &Removal) -> bool {
        matches!(removal, Removal::Removed { .. })
    }

    #[test]
    fn more_than_are_away_at_a_time_go_and_leave_nothing() {
        let fixture = Fixture::of(2 * TOGETHER + 1);
        let wanted = at_a_time(&fixture.root, End::Unlink);
        let mut most = 0;
        let removals = fixture.remove_while(Turn::Taken, || {
            most = most.max(fixture.trashed().len());
        });
        assert!(removals.iter().all(is_removed), "{removals:?}");
        assert_eq!(removals.len(), fixture.planned.len());
        assert_eq!(most, wanted);
        assert_eq!(
            (names(&fixture.at("dir")), fixture.trashed()),
            (vec![], vec![])
        );
    }

    #[test]
    fn a_directory_moved_out_while_its_files_are_away_has_them_back() {
        for instead in [false, true] {
            let fixture = Fixture::of(FEW_TOGETHER);
            let outside = fixture.place.path().join("outside");
            let removals = fixture.remove_while(Turn::Taken, || {
                assert_eq!(fixture.trashed().len(), 4);
                fs::rename(fixture.at("dir"), &outside).unwrap();
                if instead {
                    fs::create_dir(fixture.at("dir")).unwrap();
                }
            });
            let wanted = match instead {
                true => Removal::Changed,
                false => Removal::Vanished,
            };
            assert_eq!(removals, vec![wanted; 4]);
            assert_eq!(names(&outside), ["000", "001", "002", "003"]);
            assert_eq!(fs::read_to_string(outside.join("003")).unwrap(), "dir/003");
            assert_eq!(fixture.trashed(), [""; 0]);
        }
    }

    #[test]
    fn a_directory_swapped_for_a_link_to_itself_has_its_files_back() {
        let fixture = Fixture::of(3);
        let outside = fixture.place.path().join("outside");
        let removals = fixture.remove_while(Turn::Taken, || {
            fs::rename(fixture.at("dir"), &outside).unwrap();
            symlink(&outside, fixture.at("dir")).unwrap();
        });
        assert_eq!(removals, vec![Removal::Changed; 3]);
        assert_eq!(names(&outside), ["000", "001", "002"]);
    }

    #[test]
    fn what_cannot_go_back_into_a_moved_directory_is_named_and_stays_in_the_trash() {
        let fixture = Fixture::of(3);
        let outside = fixture.place.path().join("outside");
        let removals = fixture.remove_while(Turn::Taken, || {
            fs::rename(fixture.at("dir"), &outside).unwrap();
            fs::write(outside.join("001"), "another").unwrap();
        });
        let Removal::Stranded { slot, reason } = &removals[1] else {
            panic!("{removals:?}");
        };
        assert_eq!(
            reason,
            "its directory was moved away meanwhile, and its name is taken by another file"
        );
        let lies = fs::read_to_string(fixture.at(&fixture.trash.place(slot))).unwrap();
        assert_eq!(lies, "dir/001");
        assert_eq!(fs::read_to_string(outside.join("001")).unwrap(), "another");
        assert_eq!([&removals[0], &removals[2]], [&Removal::Vanished; 2]);
        assert_eq!(names(&outside), ["000", "001", "002"]);
    }

    #[test]
    fn a_stranger_and_a_file_that_is_written_keep_no_other() {
        let fixture = Fixture::of(6);
        fs::write(fixture.at("new"), "new").unwrap();
        let mut compared = 0;
        let mut writer = None;
        let removals = fixture.remove_while(Turn::Of(Moment::Compared), || {
            compared += 1;
            match compared {
                2 => fs::rename(fixture.at("new"), fixture.at("dir/001")).unwrap(),
                4 => {
                    let file = fs::File::options();
                    let file = file.clone().append(true).open(fixture.at("dir/003"));
                    writer = Some(file.unwrap());
                }
                _ => {}
            }
        });
        assert_eq!(removals[1], Removal::Changed);
        assert!(matches!(removals[3], Removal::Busy(_)), "{removals:?}");
        assert_eq!(removals.iter().filter(|it| is_removed(it)).count(), 4);
        assert_eq!(names(&fixture.at("dir")), ["001", "003"]);
        assert_eq!(fs::read_to_string(fixture.at("dir/001")).unwrap(), "new");
        assert_eq!(fixture.trashed(), [""; 0]);
    }

    #[test]
    fn what_takes_a_name_while_its_file_is_away_stays() {
        let fixture = Fixture::of(4);
        let removals = fixture.remove_while(Turn::Taken, || {
            fs::write(fixture.at("dir/002"), "new").unwrap();
        });
        assert!(removals.iter().all(is_removed), "{removals:?}");
        assert_eq!(fs::read_to_string(fixture.at("dir/002")).unwrap(), "new");
    }

    #[test]
    fn a_file_of_another_directory_is_not_taken_with_them() {
        let mut fixture = Fixture::of(2);
        fs::write(fixture.at("000"), "elsewhere").unwrap();
        let path = RelPath::parse("000").unwrap();
        let facts = fixture.root.stat(&path).unwrap();
        fixture.planned.push((path, facts));
        let removals = fixture.remove_while(Turn::Taken, || ());
        assert!(matches!(removals[2], Removal::Unverifiable(_)));
        assert!(fixture.at("000").exists());
    }
}
