//! The ledger's holds where files go: read again by every run, whatever its plan knew.
//!
//! Each is asked as the `hold` statement it amounts to, so it means here what it means
//! in a policy. One that cannot be understood keeps everything: nobody can
//! say what it was about.

use std::collections::HashMap;
use std::sync::Arc;

use crate::diagnostic::Source;
use crate::entry::{Entry, Facts};
use crate::journal::{
    Hold, Journal, JournalError, LedgerHold, PolicyHold, mirror_text, read_mirror,
};
use crate::path::RelPath;
use crate::plan::Step;
use crate::policy::{self, Matcher, Policy, Verdict};
use crate::store::{Root, StoreError};
use crate::time::Now;

/// How long what `undo` and `restore` bring back is held: long enough for somebody to
/// mend the policy that took it.
pub const HELD_AGAIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(7 * 24);

/// The mirror in the store's control directory.
const MIRROR: &str = "holds";

/// The most a mirror may have: millions of single files.
const MIRROR_LIMIT: u64 = 1 << 30;

/// What the ledger keeps.
#[derive(Clone, Debug)]
pub struct Held {
    now: Now,
    holds: Arc<[LedgerHold]>,
    files: Arc<HashMap<RelPath, String>>,
    statements: Vec<(String, Policy)>,
    /// The name of a hold that nobody can read.
    everything: Option<String>,
}

impl Held {
    /// The holds that protect now.
    pub fn of(holds: Vec<LedgerHold>, now: &Now) -> Held {
        let mut files = HashMap::new();
        let holds: Arc<[LedgerHold]> = holds.into();
        let mut held = Held {
            now: now.clone(),
            holds: holds.clone(),
            files: Arc::default(),
            statements: Vec::new(),
            everything: None,
        };
        for hold in holds.iter() {
            for file in &hold.files {
                files.insert(file.clone(), hold.name.clone());
            }
            match policy_text(hold).map(|text| compile(&text)) {
                None => {}
                Some(Some(policy)) => held.statements.push((hold.name.clone(), policy)),
                Some(None) => held.everything = Some(hold.name.clone()),
            }
        }
        held.files = Arc::new(files);
        held
    }

    /// Those of them that still protect at a later moment.
    pub fn at(&self, later: &Now) -> Held {
        let lasting = self.holds.iter().filter(|hold| {
            let end = end_of(hold);
            end.is_none_or(|end| end > later.timestamp())
        });
        Held::of(lasting.cloned().collect(), later)
    }

    /// When they end, as far as they do by themselves.
    pub fn ends(&self) -> impl Iterator<Item = jiff::Timestamp> {
        self.holds.iter().filter_map(end_of)
    }

    /// Single files that are held, with the name of what holds each.
    pub fn files(&self) -> Arc<HashMap<RelPath, String>> {
        self.files.clone()
    }

    /// The other holds as planning takes them.
    pub fn for_planning(&self) -> Vec<Policy> {
        let policies = self.statements.iter().map(|(_, policy)| policy.clone());
        policies.collect()
    }

    /// The holds bound to their moment, to be asked about many files.
    pub fn asked(&self) -> Asked<'_> {
        let statements = self.statements.iter();
        Asked {
            held: self,
            statements: statements
                .map(|(name, policy)| (name.as_str(), Matcher::new(policy, &self.now)))
                .collect(),
        }
    }
}

/// What cannot be read has not come yet.
fn end_of(hold: &LedgerHold) -> Option<jiff::Timestamp> {
    hold.until.as_deref()?.parse().ok()
}

/// The holds of the ledger at one moment.
#[derive(Debug)]
pub struct Asked<'h> {
    held: &'h Held,
    statements: Vec<(&'h str, Matcher<'h>)>,
}

impl<'h> Asked<'h> {
    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        let Held {
            files, everything, ..
        } = self.held;
        files.is_empty() && everything.is_none() && self.statements.is_empty()
    }

    /// The name of a hold that keeps a step's file, by its own path or by that of the
    /// file it stands for.
    pub fn keeps_step(&self, step: &Step) -> Option<&'h str> {
        let original = step.stands_for.as_deref();
        self.keeps(&step.path, &step.facts)
            .or_else(|| self.keeps(original?, &step.facts))
    }

    /// The name of a hold that keeps a file.
    pub fn keeps(&self, path: &RelPath, facts: &Facts) -> Option<&'h str> {
        let single = self.held.files.get(path).or(self.held.everything.as_ref());
        if single.is_some() || self.statements.is_empty() {
            return single.map(String::as_str);
        }
        let entry = Entry {
            path: path.clone(),
            facts: Ok(*facts),
        };
        let keeps = |(_, matcher): &&(&str, Matcher<'_>)| {
            matches!(matcher.judge(&entry, &[]), Verdict::Kept(_))
        };
        self.statements.iter().find(keeps).map(|(name, _)| *name)
    }
}

/// A hold as the text of a policy that says just it; nothing where it holds single
/// files.
fn policy_text(hold: &LedgerHold) -> Option<String> {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let of_template = |template: &String| {
        format!(
            "edition 2026\nhold \"{}\" on \"{}\"\n",
            quoted(&hold.name),
            quoted(template)
        )
    };
    hold.text
        .clone()
        .or_else(|| hold.template.as_ref().map(of_template))
}

/// Such a policy; nothing where its text cannot be read.
fn compile(text: &str) -> Option<Policy> {
    let source = Source::new("hold".to_owned(), text.to_owned());
    let checked = policy::load(&source, policy::Environment::nothing());
    checked.ok().map(|checked| checked.policy)
}

/// Brings the ledger and the store's mirror of it to the same state, enters what the
/// policy holds, and returns what protects.
pub fn mirror_holds(
    journal: &mut Journal,
    root: &Root,
    store: &str,
    said: Option<&[PolicyHold]>,
    now: &Now,
) -> Result<Mirrored, MirrorError> {
    let text = root.read_control_text(MIRROR, MIRROR_LIMIT)?;
    if let Some(text) = &text {
        let mirrored = read_mirror(text).map_err(|reason| MirrorError::Mirror {
            root: root.path().to_owned(),
            reason,
        })?;
        journal.merge_holds(store, mirrored)?;
    }
    let holds = match said {
        Some(said) => journal.see_holds(store, said, &now.timestamp().to_string())?,
        None => journal.holds(Some(store))?,
    };
    let (kept, over): (Vec<Hold>, Vec<Hold>) = holds
        .into_iter()
        .partition(|hold| hold.protects(now) || hold.released.is_some());
    drop(over);
    let new = mirror_text(&kept).map_err(|reason| MirrorError::Mirror {
        root: root.path().to_owned(),
        reason,
    })?;
    let mut written = true;
    if text.as_deref() != Some(&new) && !(text.is_none() && kept.is_empty()) {
        match root.replace_control_text(MIRROR, &new) {
            Ok(()) => {}
            // The ledger has them all, and a disk that is full has to be emptied: what the
            // mirror still says of holds that are over only keeps more.
            Err(error) if error.is_out_of_room() => {
                written = false;
                tracing::warn!(
                    root = %root.path().display(),
                    %error,
                    "`.retain/holds` is as it was; the ledger of this state directory has all holds, other instances on the volume hear of new ones once there is room"
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
    let holds = kept.into_iter().filter(|hold| hold.protects(now)).collect();
    Ok(Mirrored { holds, written })
}

/// The ledger and its mirror, brought together.
#[derive(Debug)]
pub struct Mirrored {
    /// The holds that protect now.
    pub holds: Vec<Hold>,
    /// Whether the mirror has them as well; it has not where there was no room to write it.
    pub written: bool,
}

/// Why the ledger and its mirror cannot be brought together; nothing may go then.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The mirror cannot be read.
    #[error(
        "`{}/.retain/holds` cannot be read, and what it holds must not go: {reason}; put a copy back, or move it away if nothing is to be held",
        root.display()
    )]
    Mirror {
        /// The store's root.
        root: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
}
