//! What a crash left, settled by looking before anything new is begun.

use crate::journal::{Intent, Journal, JournalError, Outcome, State};
use crate::path::RelPath;
use crate::store::{Recovery, Root, Trash, in_words};

/// What was settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Files that turned out to be gone.
    pub gone: u64,
    /// Files that are in their place, some put back there just now.
    pub in_place: u64,
    /// Files that lie in the trash, with the place and why they are not put back.
    pub in_trash: Vec<(RelPath, String, String)>,
    /// Files of which it could not be found out, and why. Their batches stay open,
    /// and nothing new may begin.
    pub undecided: Vec<(RelPath, String)>,
}

/// Settles every batch in a root, known by its identity, that has no outcomes, and
/// ends the runs they belong to. A batch with a file of which nothing can be said is
/// left as it is, to be looked at again. Doing it twice does nothing the second time.
pub fn recover(
    journal: &mut Journal,
    root: &Root,
    identity: &str,
    at: &str,
) -> Result<Recovered, JournalError> {
    let mut recovered = Recovered::default();
    for left in journal.unsettled(identity)? {
        let trash = match root.establish_trash(left.run.as_str()) {
            Ok(trash) => trash,
            Err(error) => {
                let lost = left.intents.into_iter();
                let lost = lost.map(|intent| (intent.path, error.to_string()));
                recovered.undecided.extend(lost);
                continue;
            }
        };
        let mut found = Recovered::default();
        let mut outcomes: Vec<Outcome> = left
            .intents
            .iter()
            .filter_map(|intent| settle(root, &trash, intent, &mut found))
            .collect();
        for (intent, outcome) in left.intents.iter().zip(&mut outcomes) {
            if matches!(outcome, Outcome::Removed { .. }) {
                let path = intent.path.to_string();
                let receipts = journal.receipts(None, Some(&path), Some(&left.run))?;
                if receipts.iter().any(|stored| stored.receipt.in_place) {
                    *outcome = Outcome::Replaced { freed: 0 };
                }
            }
        }
        if found.undecided.is_empty() {
            journal.settle(left.batch, &outcomes)?;
        }
        recovered.add(found);
        // What must stay in it keeps it there.
        let _ = root.clear_trash(trash);
    }
    if recovered.undecided.is_empty() {
        for run in journal.unfinished(identity)? {
            // One that was cut short before its first batch has an empty trash.
            if let Ok(Some(trash)) = root.open_trash(run.as_str()) {
                let _ = root.clear_trash(trash);
            }
            journal.finish(&run, at, State::Interrupted)?;
        }
    }
    Ok(recovered)
}

impl Recovered {
    fn add(&mut self, more: Recovered) {
        self.gone += more.gone;
        self.in_place += more.in_place;
        self.in_trash.extend(more.in_trash);
        self.undecided.extend(more.undecided);
    }
}

/// What became of one file; nothing where that cannot be found out.
fn settle(
    root: &Root,
    trash: &Trash,
    Intent { path, facts, .. }: &Intent,
    recovered: &mut Recovered,
) -> Option<Outcome> {
    match root.recover(path, facts, trash) {
        Ok(Recovery::Gone) => {
            recovered.gone += 1;
            // How much it gave back is not known any more.
            Some(Outcome::Removed { freed: 0 })
        }
        Ok(Recovery::InPlace) => {
            recovered.in_place += 1;
            Some(Outcome::Interrupted)
        }
        Ok(Recovery::Altered) => {
            recovered.in_place += 1;
            Some(Outcome::Changed)
        }
        Ok(Recovery::Stranded { slot, reason }) => {
            let place = trash.place(&slot);
            let stranded = (path.clone(), place.clone(), reason.clone());
            recovered.in_trash.push(stranded);
            Some(Outcome::InTrash {
                place,
                reason: format!("a run was cut short, and {reason}"),
            })
        }
        Err(error) => {
            let reason = in_words(&error);
            recovered.undecided.push((path.clone(), reason));
            None
        }
    }
}
