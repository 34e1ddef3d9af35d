//! The trash afterwards: put back, or gone for good when its time is over.

use std::collections::BTreeMap;

use super::gait::Gait;
use super::held::{HELD_AGAIN, MirrorError, mirror_holds};
use crate::journal::{Journal, JournalError, NewHold, Origin, Outcome};
use crate::path::RelPath;
use crate::store::{Dir, Head, Purge, Return, Root, StoreError, Trash, Trashed, in_words};
use crate::time::Now;

/// One run's trash as it can be had back.
#[derive(Debug)]
pub struct Kept {
    /// Which run, and until when.
    pub head: Head,
    /// What still lies in it.
    pub files: Vec<Trashed>,
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
}

/// Every run's trash in a store, oldest first. What has no list cannot be named and is
/// left out.
pub fn trash_list(root: &Root) -> Result<Vec<Kept>, UndoError> {
    let mut all = Vec::new();
    for run in root.trash_runs()? {
        if let Some(trash) = root.open_trash(&run)?
            && let Some(kept) = read(&trash, &run)?
            && !kept.files.is_empty()
        {
            all.push(kept);
        }
    }
    Ok(all)
}

fn read(trash: &Trash, run: &str) -> Result<Option<Kept>, UndoError> {
    let broken = |error: std::io::Error| UndoError::Index {
        run: run.to_owned(),
        reason: in_words(&error),
    };
    let Some((head, mut files)) = trash.index().map_err(broken)? else {
        return Ok(None);
    };
    let occupied = trash.occupied().map_err(broken)?;
    files.retain(|file| occupied.has(&file.path));
    Ok(Some(Kept { head, files }))
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
    let mut files = read(&trash, run)?.ok_or_else(nothing)?.files;
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
    journal.add_hold(hold, &at)?;
    mirror_holds(journal, root, store, None, now)?;
    let mut undone = Undone {
        held_until: until,
        ..Undone::default()
    };
    let mut parents = Returns { root, held: None };
    for file in &files {
        let answer = match parents.of(&file.path) {
            Ok(parent) => trash.put_back(parent, file),
            Err(error) => Return::Failed(in_words(&error)),
        };
        let path = file.path.clone();
        match answer {
            Return::Back => undone.back.push(path),
            Return::Taken => {
                let reason = "a file of that name is there, and nothing is overwritten";
                undone.left.push((path, reason.to_owned()));
            }
            Return::Gone => undone.left.push((path, "it is gone".to_owned())),
            Return::Stranger => {
                let reason = "something else lies in its place in the trash";
                undone.left.push((path, reason.to_owned()));
            }
            Return::Failed(reason) => undone.left.push((path, reason)),
        }
    }
    let files: Vec<(RelPath, Outcome)> = undone
        .back
        .iter()
        .map(|path| (path.clone(), Outcome::Undone))
        .collect();
    journal.afterwards(run, &at, &files)?;
    // What could not be put back keeps it there.
    let _ = root.clear_trash(trash);
    Ok(undone)
}

/// A directory's members are held with it.
fn paths(trashed: &Trashed) -> impl Iterator<Item = RelPath> {
    let members = trashed.members.iter().map(|(path, _)| path.clone());
    std::iter::once(trashed.path.clone()).chain(members)
}

/// Directories files go back to, made where they are missing; files come in path
/// order, so one handle serves all of a directory's.
struct Returns<'r> {
    root: &'r Root,
    held: Option<(RelPath, Dir)>,
}

impl Returns<'_> {
    fn of(&mut self, path: &RelPath) -> std::io::Result<&Dir> {
        let parent = path
            .parent()
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        let held = self.held.take_if(|(held, _)| *held == parent);
        let (_, dir) = match held {
            Some(held) => self.held.insert(held),
            None => {
                let dir = self.root.open_or_create_dir(&parent)?;
                self.held.insert((parent, dir))
            }
        };
        Ok(dir)
    }
}

/// Removes for good what has lain in the trash long enough, oldest run first, until
/// somebody wishes the end.
pub fn purge(
    journal: &mut Journal,
    root: &Root,
    now: &Now,
    gait: &Gait,
) -> Result<Purged, UndoError> {
    purge_while(journal, root, None, now, gait, &mut |until| {
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
    now: &Now,
    gait: &Gait,
    enough: &mut dyn FnMut() -> bool,
) -> Result<Purged, UndoError> {
    purge_while(journal, root, Some(ours), now, gait, &mut |_| !enough())
}

/// Purges the runs that are wanted gone; each is asked about when its turn comes, with
/// the moment until which it was to be kept.
fn purge_while(
    journal: &mut Journal,
    root: &Root,
    ours: Option<&str>,
    now: &Now,
    gait: &Gait,
    wanted: &mut dyn FnMut(Option<jiff::Timestamp>) -> bool,
) -> Result<Purged, UndoError> {
    let mut purged = Purged::default();
    for run in root.trash_runs()? {
        let Some(trash) = root.open_trash(&run)? else {
            continue;
        };
        // A list that cannot be read, or has no end that can, stays with its files.
        let Ok(Some((head, files))) = trash.index() else {
            continue;
        };
        if wanted(head.until.parse().ok()) {
            purge_run(
                journal,
                root,
                (&run, &trash, &files),
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
        match gait.gently(|| trash.purge_kept(file)) {
            Purge::Gone { freed } => {
                purged.files += 1;
                purged.freed = purged.freed.saturating_add(freed);
                gone.push((file.path.clone(), Outcome::Purged { freed }));
            }
            Purge::Absent => absent.push(file),
            Purge::Stranger | Purge::Failed(_) => {}
        }
    }
    gone.extend(cut_short(journal, root, run, &absent)?);
    journal.afterwards(run, &now.timestamp().to_string(), &gone)?;
    Ok(())
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
