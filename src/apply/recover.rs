//! What a crash left, settled by looking before anything new is begun.

use crate::journal::{Journal, JournalError, Outcome, State};
use crate::path::RelPath;
use crate::store::{Recovery, Root, Trash, in_words};

/// What was settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Files that turned out to be gone.
    pub gone: u64,
    /// Files that are in their place, some put back there just now.
    pub in_place: u64,
    /// Files that lie in the trash, with the place: their names are taken.
    pub in_trash: Vec<(RelPath, String)>,
}

/// Settles every batch of a store that has no outcomes, and ends the runs they
/// belong to. Doing it twice does nothing the second time.
pub fn recover(
    journal: &mut Journal,
    root: &Root,
    store: &str,
    at: &str,
) -> Result<Recovered, JournalError> {
    let mut recovered = Recovered::default();
    for left in journal.unsettled(store)? {
        let trash = root.establish_trash(left.run.as_str());
        let outcomes: Vec<Outcome> = left
            .intents
            .iter()
            .map(|intent| match &trash {
                Ok(trash) => settle(root, trash, &intent.path, &mut recovered),
                Err(error) => Outcome::Failed {
                    reason: error.to_string(),
                },
            })
            .collect();
        journal.settle(left.batch, &outcomes)?;
        if let Ok(trash) = trash {
            // What must stay in it keeps it there.
            let _ = root.clear_trash(trash);
        }
    }
    for run in journal.unfinished(store)? {
        journal.finish(&run, at, State::Interrupted)?;
    }
    Ok(recovered)
}

fn settle(root: &Root, trash: &Trash, path: &RelPath, recovered: &mut Recovered) -> Outcome {
    match root.recover(path, trash) {
        Ok(Recovery::Gone) => {
            recovered.gone += 1;
            // How much it gave back is not known any more.
            Outcome::Removed { freed: 0 }
        }
        Ok(Recovery::InPlace) => {
            recovered.in_place += 1;
            Outcome::Interrupted
        }
        Ok(Recovery::Stranded { slot }) => {
            let place = trash.place(&slot);
            recovered.in_trash.push((path.clone(), place.clone()));
            Outcome::InTrash {
                place,
                reason: "a run was cut short, and the file's name is taken now".to_owned(),
            }
        }
        Err(error) => Outcome::Failed {
            reason: in_words(&error),
        },
    }
}
