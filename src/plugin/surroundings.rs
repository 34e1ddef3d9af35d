//! What a reviewer may learn of what lies around its files: whether a name is there.

use std::collections::BTreeMap;
use std::io;
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use super::contract::{FailureClass, GuestFailure, surroundings_api};
use super::guest::Guest;
use crate::path::RelPath;
use crate::store::{CONTROL, Dir, Name, Root};

/// Bytes the answers may take that are remembered; a guest can ask for any name.
const REMEMBERED: usize = 8 << 20;

/// What one remembered answer may take besides its texts: a map for it alone.
const OVERHEAD: usize = 1024;

/// Whether a name is there; a failure where nobody can say.
type Answer = Result<bool, GuestFailure>;

/// A tree that is looked into for one batch of files. What was seen once holds for the
/// batch: a hundred thousand files of one directory cost one look.
#[derive(Debug)]
pub(super) struct Surroundings {
    tree: Tree,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
enum Tree {
    /// A store.
    Store(Root),
    /// None: the files are only pretended, and nothing lies beside them.
    Pretended,
    /// One that cannot be looked into, and why.
    Closed(String),
}

impl Surroundings {
    /// Those of a store's files.
    pub(super) fn of(root: &Root) -> Arc<Surroundings> {
        Surroundings::in_tree(match root.again() {
            Ok(root) => Tree::Store(root),
            Err(error) => Tree::Closed(crate::store::in_words(&error)),
        })
    }

    /// Those of files that are only pretended.
    pub(super) fn pretended() -> Arc<Surroundings> {
        Surroundings::in_tree(Tree::Pretended)
    }

    fn in_tree(tree: Tree) -> Arc<Surroundings> {
        Arc::new(Surroundings {
            tree,
            seen: Mutex::default(),
        })
    }

    /// Whether a name lies in a file's directory or in one above it.
    ///
    /// The directories are gone through from the root downwards by their handles, so
    /// that neither a link nor a mount leads out of the store; `in_time` is asked
    /// before each.
    fn marked(
        &self,
        path: &RelPath,
        name: &str,
        in_time: impl Fn() -> wasmtime::Result<()>,
    ) -> wasmtime::Result<Answer> {
        let Ok(marker) = RelPath::root().join(name.as_bytes()) else {
            let reason = format!("`{name}` is no name in a directory");
            return Ok(Err(failure(FailureClass::Permanent, "name", reason)));
        };
        let Some(marker) = Name::of(&marker).filter(|_| name != CONTROL) else {
            let reason = format!("`{name}` is not the store's but ours");
            return Ok(Err(failure(FailureClass::Permanent, "name", reason)));
        };
        let root = match &self.tree {
            Tree::Store(root) => root,
            Tree::Pretended => return Ok(Ok(false)),
            Tree::Closed(reason) => return Ok(Err(unseen(name, &RelPath::root(), reason))),
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let directories = directories(path);
        let known = directories.iter().enumerate().rev();
        let mut known = known.filter_map(|(at, below)| Some((at + 1, seen.get(name, below)?)));
        let (begin, mut answer) = known.next().unwrap_or((0, Ok(false)));
        let mut held: Option<Dir> = None;
        for &directory in directories.iter().skip(begin) {
            // What covers a directory covers all below it.
            if matches!(answer, Ok(true)) {
                break;
            }
            in_time()?;
            let directory = RelPath::parse(directory)?;
            let opened = match (held.take(), Name::of(&directory)) {
                (Some(above), Some(own)) => above.open_child(own),
                (Some(_) | None, _) => root.open_dir(&directory),
            };
            let here = match &opened {
                Ok(opened) => is_there(opened, marker),
                // Not even a missing one is known to be without the name: it was there
                // when the file was decided on.
                Err(error) => Err(crate::store::in_words(error)),
            };
            answer = match (answer, here) {
                (_, Ok(true)) => Ok(true),
                (Err(above), _) => Err(above),
                (Ok(_), Ok(false)) => Ok(false),
                (Ok(_), Err(reason)) => Err(unseen(name, &directory, &reason)),
            };
            held = opened.ok();
            seen.put(name, &directory, &answer);
            if held.is_none() {
                break;
            }
        }
        Ok(answer)
    }
}

/// Only the system's word that there is no such name is absence.
fn is_there(directory: &Dir, name: Name<'_>) -> Result<bool, String> {
    match directory.stat(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(crate::store::in_words(&error)),
    }
}

/// The directories a path lies in, from the root downwards.
fn directories(path: &RelPath) -> Vec<&[u8]> {
    let bytes = path.as_bytes();
    let slashes = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let ends = iter::once(0).chain(slashes.map(|(at, _)| at));
    ends.filter_map(|end| bytes.get(..end)).collect()
}

fn unseen(name: &str, directory: &RelPath, reason: &str) -> GuestFailure {
    let message = match directory.is_root() {
        true => format!("whether `{name}` lies in the store's root cannot be seen: {reason}"),
        false => format!("whether `{name}` lies in `{directory}` cannot be seen: {reason}"),
    };
    failure(FailureClass::Retryable, "unseen", message)
}

fn failure(class: FailureClass, code: &str, message: String) -> GuestFailure {
    GuestFailure {
        class,
        code: code.to_owned(),
        message,
    }
}

/// Answers by name and directory, as many as there is room for.
#[derive(Debug, Default)]
struct Seen {
    answers: BTreeMap<String, BTreeMap<RelPath, Answer>>,
    bytes: usize,
}

impl Seen {
    fn get(&self, name: &str, directory: &[u8]) -> Option<Answer> {
        self.answers.get(name)?.get(directory).cloned()
    }

    fn put(&mut self, name: &str, directory: &RelPath, answer: &Answer) {
        let said = answer.as_ref().err().map_or(0, |said| said.message.len());
        self.bytes += name.len() + directory.as_bytes().len() + said + OVERHEAD;
        if self.bytes > REMEMBERED {
            *self = Seen::default();
            return;
        }
        let of_name = self.answers.entry(name.to_owned()).or_default();
        of_name.insert(directory.clone(), answer.clone());
    }
}

/// The files of one call, by slot, and what lies around them.
#[derive(Debug)]
pub(super) struct Around {
    surroundings: Arc<Surroundings>,
    paths: Vec<RelPath>,
}

impl Around {
    pub(super) fn files(surroundings: &Arc<Surroundings>, paths: Vec<RelPath>) -> Around {
        Around {
            surroundings: Arc::clone(surroundings),
            paths,
        }
    }
}

impl surroundings_api::Host for Guest {
    fn marked(&mut self, slot: u32, name: String) -> wasmtime::Result<Answer> {
        // A guest that does nothing but ask has to end as well.
        self.check_time()?;
        let known = self.around.as_ref().and_then(|around| {
            let path = around.paths.get(usize::try_from(slot).ok()?)?;
            Some((&around.surroundings, path))
        });
        match known {
            Some((surroundings, path)) => surroundings.marked(path, &name, || self.check_time()),
            None => {
                let reason = format!("the batch has no file {slot}");
                Ok(Err(failure(FailureClass::Permanent, "slot", reason)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::*;

    struct Fixture {
        store: TempDir,
        surroundings: Arc<Surroundings>,
        looks: Cell<usize>,
    }

    impl Fixture {
        fn new(directories: &[&str]) -> Fixture {
            let store = TempDir::new().unwrap();
            for directory in directories {
                fs::create_dir_all(store.path().join(directory)).unwrap();
            }
            let root = Root::open(store.path()).unwrap();
            Fixture {
                store,
                surroundings: Surroundings::of(&root),
                looks: Cell::new(0),
            }
        }

        fn ask(&self, path: &str, name: &str) -> Answer {
            let path = RelPath::parse(path).unwrap();
            let look = || {
                self.looks.set(self.looks.get() + 1);
                Ok(())
            };
            self.surroundings.marked(&path, name, look).unwrap()
        }

        fn fails(&self, path: &str, name: &str, class: FailureClass, words: &str) {
            let failed = self.ask(path, name).unwrap_err();
            assert_eq!(failed.class, class, "{name}: {failed:?}");
            assert!(failed.message.contains(words), "{name}: {failed:?}");
        }
    }

    #[test]
    fn a_marker_covers_what_lies_below_its_directory_and_nothing_else() {
        let fixture = Fixture::new(&["a/b/c", "ab", "d"]);
        fs::write(fixture.store.path().join("a/hold"), "").unwrap();
        symlink("nowhere", fixture.store.path().join("d/hold")).unwrap();
        fs::create_dir(fixture.store.path().join("ab/hold")).unwrap();
        for path in ["a/x", "a/b/x", "a/b/c/x", "d/x", "ab/x", "a/hold"] {
            assert!(fixture.ask(path, "hold").unwrap(), "{path}");
        }
        assert!(!fixture.ask("x", "hold").unwrap());
        assert!(!fixture.ask("a/b/x", "hol").unwrap());
        fs::write(fixture.store.path().join("all"), "").unwrap();
        assert!(fixture.ask("a/b/c/x", "all").unwrap());
    }

    #[test]
    fn a_directory_is_looked_into_once_for_all_its_files() {
        let fixture = Fixture::new(&["a/b/c"]);
        for n in 0..1_000 {
            assert!(!fixture.ask(&format!("a/b/c/{n}"), "hold").unwrap());
        }
        assert_eq!(fixture.looks.get(), 4, "the root, a, a/b and a/b/c");
        assert!(!fixture.ask("a/b/x", "hold").unwrap());
        assert_eq!(fixture.looks.get(), 4);
    }

    #[test]
    fn what_is_no_name_in_a_directory_is_never_looked_for() {
        let fixture = Fixture::new(&["a"]);
        fs::create_dir(fixture.store.path().join(CONTROL)).unwrap();
        let permanent = FailureClass::Permanent;
        for name in ["", ".", "..", "../x", "/etc", "a/b", "x\0", "x/"] {
            fixture.fails("a/x", name, permanent, "is no name in a directory");
        }
        fixture.fails("a/x", CONTROL, permanent, "not the store's");
        assert_eq!(fixture.looks.get(), 0);
    }

    #[test]
    fn where_nobody_can_look_the_answer_is_a_failure() {
        let fixture = Fixture::new(&["a", "other"]);
        let later = FailureClass::Retryable;
        symlink("other", fixture.store.path().join("link")).unwrap();
        fs::write(fixture.store.path().join("file"), "").unwrap();
        fs::write(fixture.store.path().join("other/hold"), "").unwrap();
        fixture.fails("link/x", "hold", later, "in `link` cannot be seen");
        fixture.fails("link/x/y", "hold", later, "in `link` cannot be seen");
        fixture.fails("file/x", "hold", later, "in `file` cannot be seen");
        fixture.fails("gone/x", "hold", later, "in `gone` cannot be seen");
        let closed = fixture.store.path().join("other/closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        // Nothing is closed to root.
        if fs::read_dir(&closed).is_err() {
            fixture.fails("other/closed/x", "own", later, "permission denied");
        }
        assert!(fixture.ask("other/closed/x", "hold").unwrap());
        let long = "n".repeat(300);
        fixture.fails("a/x", &long, later, "in the store's root cannot be seen");
    }

    #[test]
    fn a_guest_that_asks_for_ever_new_names_fills_no_memory() {
        let fixture = Fixture::new(&["a"]);
        for n in 0..30_000 {
            assert!(!fixture.ask("a/x", &format!("{n:0>200}")).unwrap());
        }
        let seen = fixture.surroundings.seen.lock().unwrap();
        assert!(seen.bytes <= REMEMBERED);
    }
}
