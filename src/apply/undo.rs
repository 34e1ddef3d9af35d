//! The trash afterwards: put back, or gone for good when its time is over.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use super::gait::Gait;
use super::hands::{hands, shared_out};
use super::held::{Asked, HELD_AGAIN, Held, MirrorError, mirror_holds};
use crate::entry::{Facts, Kind};
use crate::journal::{Journal, JournalError, NewHold, Origin, Outcome};
use crate::path::RelPath;
use crate::store::{
    Contents, Dir, Head, Purge, Return, Root, StoreError, Trash, Trashed, in_words,
};
use crate::time::Now;

/// One run's trash as it can be had back.
#[derive(Debug)]
pub struct Kept {
    /// Which run, and until when.
    pub head: Head,
    /// What still lies in it.
    pub files: Vec<Trashed>,
    /// The directories that lay in, as they were.
    pub around: HashMap<RelPath, Facts>,
    /// Lines of its list that cannot be read.
    pub unread: u64,
}

impl Kept {
    /// Whether a path lies in it, or something below it.
    pub fn has(&self, path: &RelPath) -> bool {
        self.files.iter().any(|file| file.path.starts_with(path))
    }
}

/// Why nothing was put back.
#[derive(Debug, thiserror::Error)]
pub enum UndoError {
    /// The ledger of holds cannot be used: what came back would go again.
    #[error(transparent)]
    Holds(#[from] MirrorError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is back could not be made to outlast a power cut, so it is not recorded.
    #[error("the files are back in their places, but the disk does not confirm it: {0}")]
    Sync(String),
    /// The trash's list cannot be read.
    #[error("the trash of run `{run}` cannot be read: {reason}")]
    Index {
        /// The run.
        run: String,
        /// Why.
        reason: String,
    },
    /// There is nothing of it in the trash.
    #[error("nothing of run `{0}` lies in the trash; `retain trash list` shows what does")]
    Nothing(String),
}

/// What came of putting files back.
#[derive(Debug, Default)]
pub struct Undone {
    /// In their place.
    pub back: Vec<RelPath>,
    /// Still in the trash, and why.
    pub left: Vec<(RelPath, String)>,
    /// Until when they are held, RFC 3339.
    pub held_until: String,
}

/// What came of emptying the trash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Files that are gone.
    pub files: u64,
    /// Bytes that gave back.
    pub freed: u64,
    /// Files that would be gone by now and stay, because they are held.
    pub held: u64,
}

/// Every run's trash in a store, oldest first, and those that cannot be read: one says
/// nothing about the others. What has no list cannot be named and is left out.
pub fn trash_list(root: &Root) -> Result<(Vec<Kept>, Vec<UndoError>), UndoError> {
    let (mut all, mut unreadable) = (Vec::new(), Vec::new());
    for run in root.trash_runs()? {
        let kept = root.open_trash(&run).map_err(UndoError::from);
        match kept.and_then(|trash| trash.map_or(Ok(None), |trash| read(&trash, &run))) {
            Ok(Some(kept)) if kept.files.is_empty() && kept.unread == 0 => {}
            Ok(kept) => all.extend(kept),
            Err(error) => unreadable.push(error),
        }
    }
    Ok((all, unreadable))
}

/// The runs in whose trash something lies, oldest first. Their lists are not read, and
/// what cannot be opened is nobody's run.
pub fn trash_runs(root: &Root) -> Result<Vec<String>, UndoError> {
    let mut runs = root.trash_runs()?;
    runs.retain(|run| matches!(root.open_trash(run), Ok(Some(trash)) if trash.is_kept()));
    Ok(runs)
}

fn read(trash: &Trash, run: &str) -> Result<Option<Kept>, UndoError> {
    let broken = |error: std::io::Error| UndoError::Index {
        run: run.to_owned(),
        reason: in_words(&error),
    };
    let Some(Contents {
        head,
        mut files,
        around,
        unread,
    }) = trash.index().map_err(broken)?
    else {
        return Ok(None);
    };
    let occupied = trash.occupied().map_err(broken)?;
    files.retain(|file| occupied.has(&file.path));
    Ok(Some(Kept {
        head,
        files,
        around,
        unread,
    }))
}

/// Puts files of one run back where they were. They are held from before the first
/// is back, or the next run would take them again.
pub fn undo(
    journal: &mut Journal,
    root: &Root,
    store: &str,
    run: &str,
    wanted: &dyn Fn(&RelPath) -> bool,
    now: &Now,
) -> Result<Undone, UndoError> {
    let nothing = || UndoError::Nothing(run.to_owned());
    let trash = root.open_trash(run)?.ok_or_else(nothing)?;
    let kept = read(&trash, run)?.ok_or_else(nothing)?;
    let (mut files, around) = (kept.files, kept.around);
    files.retain(|file| wanted(&file.path));
    if files.is_empty() {
        return Err(nothing());
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let at = now.timestamp().to_string();
    let until = (now.timestamp() + HELD_AGAIN).to_string();
    let hold = NewHold {
        store: store.to_owned(),
        name: format!("undo-{run}"),
        template: None,
        files: files.iter().flat_map(paths).collect(),
        until: Some(until.clone()),
        reason: Some("put back by `retain undo`".to_owned()),
        origin: Origin::Undo,
    };
    let hold = journal.add_hold(hold, &at)?;
    mirror_holds(journal, root, store, None, now)?;
    let mut undone = Undone {
        held_until: until,
        ..Undone::default()
    };
    let returns = Returns {
        root: RwLock::new(root),
        around,
    };
    let put_one_back = |file: &Trashed| match returns.of(&file.path) {
        Ok(parent) => trash.put_back(&parent, file),
        Err(error) => Return::Failed(format!("its directory: {}", in_words(&error))),
    };
    let put_back = |files: &[Trashed]| files.iter().map(put_one_back).collect();
    // Directories first and one after the other: a hand that puts back what had gone from
    // one before would make the directory anew, and its own could not come back.
    let (directories, files): (Vec<Trashed>, Vec<Trashed>) = files
        .into_iter()
        .partition(|file| file.facts.kind == Kind::Directory);
    let mut answers = shared_out(&directories, 1, |file| &file.path, put_back);
    let together = hands(files.len());
    answers.extend(shared_out(&files, together, |file| &file.path, put_back));
    let mut outcomes: Vec<(RelPath, Outcome)> = Vec::new();
    for (file, answer) in directories.iter().chain(&files).zip(answers) {
        let path = file.path.clone();
        match answer {
            Some(Return::Back) => {
                outcomes.extend(paths(file).map(|path| (path, Outcome::Undone)));
                undone.back.push(path);
            }
            Some(Return::Taken) => {
                let reason = "something of that name is there, and nothing is overwritten";
                undone.left.push((path, reason.to_owned()));
            }
            Some(Return::Gone) | None => undone.left.push((path, "it is gone".to_owned())),
            Some(Return::Stranger) => {
                let reason = "something else lies in its place in the trash";
                undone.left.push((path, reason.to_owned()));
            }
            Some(Return::Failed(reason)) => undone.left.push((path, reason)),
        }
    }
    if undone.back.is_empty() {
        // What is not back needs no hold, and each attempt would leave one more.
        journal.release_one(hold, "nothing was put back", &at)?;
        mirror_holds(journal, root, store, None, now)?;
        return Ok(undone);
    }
    // An outcome is in the journal only when it is on the disk.
    root.sync()
        .map_err(|error| UndoError::Sync(in_words(&error)))?;
    journal.afterwards(run, &at, &outcomes)?;
    // What could not be put back keeps it there.
    let _ = root.clear_trash(trash);
    Ok(undone)
}

/// A directory's members are held with it.
fn paths(trashed: &Trashed) -> impl Iterator<Item = RelPath> {
    let members = trashed.members.iter().map(|(path, _)| path.clone());
    std::iter::once(trashed.path.clone()).chain(members)
}

/// Directories files go back to, opened anew from the root for each: a handle that is kept
/// stays on its directory even when that is moved away, and its files would go with it.
struct Returns<'r> {
    /// Held for writing while a directory is made: another hand that put something into a
    /// new one would have it look like somebody else's.
    root: RwLock<&'r Root>,
    around: HashMap<RelPath, Facts>,
}

impl Returns<'_> {
    fn of(&self, path: &RelPath) -> std::io::Result<Dir> {
        let parent = path
            .parent()
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        let root = self.root.read().unwrap_or_else(PoisonError::into_inner);
        match root.open_dir(&parent) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            answer => return answer,
        }
        drop(root);
        let root = self.root.write().unwrap_or_else(PoisonError::into_inner);
        root.open_or_create_dir(&parent, |directory| self.around.get(directory))
    }
}

/// Removes for good what has lain in the trash long enough, oldest run first, until
/// somebody wishes the end.
pub fn purge(
    journal: &mut Journal,
    root: &Root,
    held: &Held,
    now: &Now,
    gait: &Gait,
) -> Result<Purged, UndoError> {
    purge_while(journal, root, None, held, now, gait, &mut |until| {
        gait.wait(0) && until.is_some_and(|until| until <= now.timestamp())
    })
}

/// Removes for good what lies in the trash, oldest run first, whatever was promised,
/// until there is room enough: it goes before any file that nobody has doomed. The
/// trash of the run that is going on is emptied last, and stays as a place.
pub fn purge_for_room(
    journal: &mut Journal,
    root: &Root,
    ours: &str,
    held: &Held,
    now: &Now,
    gait: &Gait,
    enough: &mut dyn FnMut() -> bool,
) -> Result<Purged, UndoError> {
    purge_while(journal, root, Some(ours), held, now, gait, &mut |_| {
        !enough()
    })
}

/// Purges the runs that are wanted gone; each is asked about when its turn comes, with
/// the moment until which it was to be kept.
fn purge_while(
    journal: &mut Journal,
    root: &Root,
    ours: Option<&str>,
    held: &Held,
    now: &Now,
    gait: &Gait,
    wanted: &mut dyn FnMut(Option<jiff::Timestamp>) -> bool,
) -> Result<Purged, UndoError> {
    let mut purged = Purged::default();
    let holds = held.asked();
    for run in root.trash_runs()? {
        let unreadable = |error: &dyn std::fmt::Display| {
            tracing::warn!(%run, %error, "the trash of a run cannot be read and stays as it is");
        };
        let trash = match root.open_trash(&run) {
            Ok(Some(trash)) => trash,
            Ok(None) => continue,
            Err(error) => {
                unreadable(&error);
                continue;
            }
        };
        // A list that cannot be read, or has no end that can, stays with its files.
        let Contents { head, files, .. } = match trash.index() {
            Ok(Some(contents)) => contents,
            Ok(None) => continue,
            Err(error) => {
                unreadable(&error);
                continue;
            }
        };
        if wanted(head.until.parse().ok()) {
            purge_run(
                journal,
                root,
                (&run, &trash, &files),
                &holds,
                now,
                gait,
                &mut purged,
            )?;
            // Strangers in it keep it there.
            if ours != Some(&run) {
                let _ = root.clear_trash(trash);
            }
        }
    }
    Ok(purged)
}

fn purge_run(
    journal: &mut Journal,
    root: &Root,
    (run, trash, files): (&str, &Trash, &[Trashed]),
    holds: &Asked<'_>,
    now: &Now,
    gait: &Gait,
    purged: &mut Purged,
) -> Result<(), UndoError> {
    let mut gone = Vec::new();
    let mut absent = Vec::new();
    for file in files {
        // What is left for another run is still on the list.
        if !gait.wait(1 + file.members.len()) {
            break;
        }
        // What is held stays, wherever it lies.
        if is_held(holds, file) {
            purged.held += u64::from(trash.has(&file.path));
            continue;
        }
        match gait.gently(|| trash.purge_kept(file)) {
            Purge::Gone { freed } => {
                purged.files += 1;
                purged.freed = purged.freed.saturating_add(freed);
                gone.push((file.path.clone(), Outcome::Purged { freed }));
                let members = file.members.iter().map(|(path, _)| path.clone());
                gone.extend(members.map(|path| (path, Outcome::Purged { freed: 0 })));
            }
            Purge::Absent => absent.push(file),
            Purge::Stranger | Purge::Failed(_) => {}
        }
    }
    gone.extend(cut_short(journal, root, run, &absent)?);
    journal.afterwards(run, &now.timestamp().to_string(), &gone)?;
    Ok(())
}

/// Whether a hold keeps a trashed file, or anything in a trashed directory.
fn is_held(holds: &Asked<'_>, file: &Trashed) -> bool {
    let members = file.members.iter().map(|(path, facts)| (path, facts));
    let mut all = std::iter::once((&file.path, &file.facts)).chain(members);
    all.any(|(path, facts)| holds.keeps(path, facts).is_some())
}

/// What a crash left unsaid about files that are neither in the trash nor, as far as
/// the journal knows, anywhere else: an undo or a purge was cut short before it could
/// record them.
fn cut_short(
    journal: &Journal,
    root: &Root,
    run: &str,
    absent: &[&Trashed],
) -> Result<Vec<(RelPath, Outcome)>, UndoError> {
    if absent.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(id) = journal.find_run(run) else {
        return Ok(Vec::new());
    };
    let (_, settled) = journal.run(&id)?;
    let said: BTreeMap<&RelPath, Option<&Outcome>> = settled
        .iter()
        .map(|file| (&file.path, file.outcome.as_ref()))
        .collect();
    let unsaid = absent
        .iter()
        .filter(|file| matches!(said.get(&file.path), Some(Some(Outcome::Trashed))));
    let found = unsaid.map(|file| {
        let back = root
            .stat(&file.path)
            .is_ok_and(|found| found.id == file.facts.id);
        let outcome = match back {
            true => Outcome::Undone,
            false => Outcome::Purged { freed: 0 },
        };
        (file.path.clone(), outcome)
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_moved_away_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let store = place.path().join("store");
        std::fs::create_dir_all(store.join("dir")).unwrap();
        let root = Root::open(&store).unwrap();
        let returns = Returns {
            root: RwLock::new(&root),
            around: HashMap::new(),
        };
        let file = RelPath::parse("dir/file").unwrap();
        let before = returns.of(&file).unwrap().facts().unwrap().id;
        std::fs::rename(store.join("dir"), place.path().join("outside")).unwrap();
        let after = returns.of(&file).unwrap().facts().unwrap().id;
        assert_ne!(before, after);
        assert!(store.join("dir").is_dir());
    }
}
