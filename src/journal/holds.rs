//! The ledger of holds: what may not go, whoever says so and however that was said.
//!
//! A hold of the policy is entered when a run first sees it. Taking its line out of
//! the policy does not release it: it is orphaned, still protects, and stays until a
//! person releases it by name with a reason. Holds are mirrored into the store's
//! `.retain/holds`, so that a lost state directory loses none, and every instance on
//! the volume sees the same.
//!
//! Planning is given the holds that protect as [`LedgerHold`]s.

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};

use super::{Journal, JournalError, chain};
use crate::fault::Point;
use crate::path::RelPath;
use crate::time::Now;

/// Version of the mirror's form.
const MIRROR: u32 = 1;

/// Who said that something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A `hold` statement of the policy.
    Policy,
    /// A person, `retain hold add`.
    Manual,
    /// `retain undo` brought the files back.
    Undo,
    /// `retain restore` brought the files back.
    Restore,
}

/// Whether a hold protects, and whether its line is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldState {
    /// It protects.
    Active,
    /// It protects, although its line is gone from the policy or was changed.
    Orphaned,
    /// A person has released it.
    Released,
}

macro_rules! words {
    ($type:ident: $($variant:ident $word:literal),*) => {
        impl $type {
            /// A stable word for programs and people.
            pub fn word(self) -> &'static str {
                match self { $($type::$variant => $word,)* }
            }

            fn parse(word: &str) -> Option<$type> {
                match word { $($word => Some($type::$variant),)* _ => None }
            }
        }
    };
}

words!(Origin: Policy "policy", Manual "manual", Undo "undo", Restore "restore");
words!(HoldState: Active "active", Orphaned "orphaned", Released "released");

/// One hold in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Which one it is, on every instance: 128 random bits.
    pub id: String,
    /// Its store, as this instance calls it.
    pub store: String,
    /// What people call it.
    pub name: String,
    /// The template of what it holds; `**` is the whole store. Nothing where it holds
    /// single files.
    pub template: Option<String>,
    /// A policy of its own that says just this hold, where a policy said it.
    pub text: Option<String>,
    /// The single files it holds, escaped.
    pub files: Vec<String>,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339; none for good.
    pub until: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who said so.
    pub origin: Origin,
    /// Whether it protects.
    pub state: HoldState,
    /// The journal that recorded it: only that one may call it orphaned.
    pub recorder: String,
    /// When it was released, RFC 3339.
    pub released: Option<String>,
    /// Why it was released.
    pub release_reason: Option<String>,
}

/// A `hold` statement as a policy has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyHold {
    /// Its name.
    pub name: String,
    /// A policy of its own that says just this hold.
    pub text: String,
    /// Until when, RFC 3339.
    pub until: Option<String>,
    /// Its `because`.
    pub reason: Option<String>,
}

/// A hold that protects now, as planning is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerHold {
    /// What people call it.
    pub name: String,
    /// The template of what it holds; nothing where it holds single files.
    pub template: Option<String>,
    /// A policy of its own that says just this hold, where a policy said it.
    pub text: Option<String>,
    /// The single files it holds.
    pub files: Vec<RelPath>,
    /// Until when, RFC 3339.
    pub until: Option<String>,
}

/// A hold somebody asks for.
#[derive(Clone, Debug)]
pub struct NewHold {
    /// Its store.
    pub store: String,
    /// What it is to be called.
    pub name: String,
    /// The template of what it holds; nothing where it holds single files.
    pub template: Option<String>,
    /// The single files it holds.
    pub files: Vec<RelPath>,
    /// Until when, RFC 3339.
    pub until: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Who says so.
    pub origin: Origin,
}

impl Hold {
    /// The same, released.
    fn over(self, reason: &str, at: &str) -> Hold {
        Hold {
            state: HoldState::Released,
            released: Some(at.to_owned()),
            release_reason: Some(reason.to_owned()),
            ..self
        }
    }

    /// Whether it keeps files now.
    pub fn protects(&self, now: &Now) -> bool {
        let over = self.until.as_deref().is_some_and(|until| {
            // What cannot be read has not come yet.
            until
                .parse::<jiff::Timestamp>()
                .is_ok_and(|until| until <= now.timestamp())
        });
        self.state != HoldState::Released && !over
    }

    fn says(&self, said: &PolicyHold) -> bool {
        self.name == said.name
            && self.text.as_deref() == Some(said.text.as_str())
            && self.until == said.until
    }

    /// As planning is given it.
    pub fn for_planning(&self) -> LedgerHold {
        LedgerHold {
            name: self.name.clone(),
            template: self.template.clone(),
            text: self.text.clone(),
            files: self
                .files
                .iter()
                .filter_map(|text| RelPath::unescape(text))
                .collect(),
            until: self.until.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Mirror {
    version: u32,
    holds: Vec<Hold>,
}

/// The mirror's text: every hold of a store, in a fixed order.
pub fn mirror_text(holds: &[Hold]) -> Result<String, String> {
    let mut holds = holds.to_vec();
    holds.sort_by(|a, b| a.id.cmp(&b.id));
    let mirror = Mirror {
        version: MIRROR,
        holds,
    };
    serde_json::to_string_pretty(&mirror)
        .map(|text| text + "\n")
        .map_err(|error| error.to_string())
}

/// Reads a mirror. One that cannot be read is an error: it may hold anything.
pub fn read_mirror(text: &str) -> Result<Vec<Hold>, String> {
    let mirror: Mirror = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match mirror.version {
        MIRROR => Ok(mirror.holds),
        other => Err(format!("it has form {other}; use the retain that wrote it")),
    }
}

const COLUMNS: &str = "select id, store, name, template, text, files, since, until, reason, \
     origin, state, recorder, released, release_reason from holds ";

struct HoldRow {
    hold: Hold,
    files: String,
    origin: String,
    state: String,
}

fn hold_row(row: &Row<'_>) -> rusqlite::Result<HoldRow> {
    Ok(HoldRow {
        files: row.get(5)?,
        origin: row.get(9)?,
        state: row.get(10)?,
        hold: Hold {
            id: row.get(0)?,
            store: row.get(1)?,
            name: row.get(2)?,
            template: row.get(3)?,
            text: row.get(4)?,
            files: Vec::new(),
            since: row.get(6)?,
            until: row.get(7)?,
            reason: row.get(8)?,
            origin: Origin::Manual,
            state: HoldState::Active,
            recorder: row.get(11)?,
            released: row.get(12)?,
            release_reason: row.get(13)?,
        },
    })
}

impl Journal {
    /// Every hold, of one store or of all, oldest first.
    pub fn holds(&self, store: Option<&str>) -> Result<Vec<Hold>, JournalError> {
        let query = format!("{COLUMNS} where ?1 is null or store = ?1 order by since, id");
        let rows = self.rows(&query, [store], hold_row)?;
        rows.into_iter()
            .map(|row| {
                let (origin, state) = (Origin::parse(&row.origin), HoldState::parse(&row.state));
                match (origin, state, serde_json::from_str(&row.files)) {
                    (Some(origin), Some(state), Ok(files)) => Ok(Hold {
                        origin,
                        state,
                        files,
                        ..row.hold
                    }),
                    _ => Err(self.damaged(format!("the hold `{}` is broken", row.hold.name))),
                }
            })
            .collect()
    }

    /// Enters what the policy of a store holds now, orphans what it held and does not
    /// any more, and returns every hold of the store.
    pub fn see_holds(
        &mut self,
        store: &str,
        said: &[PolicyHold],
        at: &str,
    ) -> Result<Vec<Hold>, JournalError> {
        let recorder = self.name()?;
        let known = self.holds(Some(store))?;
        let mut changes = Vec::new();
        for hold in known
            .iter()
            .filter(|hold| hold.origin == Origin::Policy && hold.state != HoldState::Released)
        {
            let still = said.iter().any(|said| hold.says(said));
            let state = match (still, hold.recorder == recorder) {
                (true, _) => HoldState::Active,
                (false, true) => HoldState::Orphaned,
                // Another instance's policy is not ours to judge.
                (false, false) => hold.state,
            };
            if state != hold.state {
                changes.push(Hold {
                    state,
                    ..hold.clone()
                });
            }
        }
        for said in said {
            let entered = known.iter().any(|hold| {
                hold.origin == Origin::Policy
                    && hold.says(said)
                    && hold.state != HoldState::Released
            });
            if !entered {
                changes.push(Hold {
                    id: self.new_id()?,
                    store: store.to_owned(),
                    name: said.name.clone(),
                    template: None,
                    text: Some(said.text.clone()),
                    files: Vec::new(),
                    since: at.to_owned(),
                    until: said.until.clone(),
                    reason: said.reason.clone(),
                    origin: Origin::Policy,
                    state: HoldState::Active,
                    recorder: recorder.clone(),
                    released: None,
                    release_reason: None,
                });
            }
        }
        self.write_holds(&changes)?;
        self.holds(Some(store))
    }

    /// Enters a hold that no policy has.
    pub fn add_hold(&mut self, new: NewHold, at: &str) -> Result<Hold, JournalError> {
        let hold = Hold {
            id: self.new_id()?,
            store: new.store,
            name: new.name,
            template: new.template,
            text: None,
            files: new.files.iter().map(ToString::to_string).collect(),
            since: at.to_owned(),
            until: new.until,
            reason: new.reason,
            origin: new.origin,
            state: HoldState::Active,
            recorder: self.name()?,
            released: None,
            release_reason: None,
        };
        self.write_holds(std::slice::from_ref(&hold))?;
        Ok(hold)
    }

    /// Releases every hold of a name in a store; returns them. A hold whose line is
    /// still in the policy comes back with the next run.
    pub fn release_hold(
        &mut self,
        store: &str,
        name: &str,
        reason: &str,
        at: &str,
    ) -> Result<Vec<Hold>, JournalError> {
        let released: Vec<Hold> = self
            .holds(Some(store))?
            .into_iter()
            .filter(|hold| hold.name == name && hold.state != HoldState::Released)
            .map(|hold| hold.over(reason, at))
            .collect();
        self.write_holds(&released)?;
        Ok(released)
    }

    /// Releases one hold and none of the same name.
    pub fn release_one(&mut self, hold: Hold, reason: &str, at: &str) -> Result<(), JournalError> {
        self.write_holds(&[hold.over(reason, at)])
    }

    /// Takes over what a store's mirror has and this journal does not know: holds of
    /// other instances, and our own after the state directory was lost. A release
    /// counts wherever it happened.
    pub fn merge_holds(&mut self, store: &str, mirrored: Vec<Hold>) -> Result<(), JournalError> {
        let known = self.holds(None)?;
        let news: Vec<Hold> = mirrored
            .into_iter()
            .filter(|hold| match known.iter().find(|one| one.id == hold.id) {
                None => true,
                Some(known) => {
                    known.state != HoldState::Released
                        && (hold.state == HoldState::Released
                            || (hold.state != known.state && known.recorder != hold.recorder))
                }
            })
            .map(|hold| Hold {
                store: store.to_owned(),
                ..hold
            })
            .collect();
        self.write_holds(&news)
    }

    fn write_holds(&mut self, holds: &[Hold]) -> Result<(), JournalError> {
        if holds.is_empty() {
            return Ok(());
        }
        let mut files = Vec::with_capacity(holds.len());
        for hold in holds {
            let text = serde_json::to_string(&hold.files);
            files.push(text.map_err(|error| self.damaged(error.to_string()))?);
        }
        self.commit(Point::JournalHold, |c| {
            for (hold, files) in holds.iter().zip(&files) {
                c.execute(
                    "insert into holds (id, store, name, template, text, files, since, \
                     until, reason, origin, state, recorder, released, release_reason) \
                     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                     on conflict (id) do update set state = excluded.state, \
                     released = excluded.released, release_reason = excluded.release_reason",
                    params![
                        hold.id,
                        hold.store,
                        hold.name,
                        hold.template,
                        hold.text,
                        files,
                        hold.since,
                        hold.until,
                        hold.reason,
                        hold.origin.word(),
                        hold.state.word(),
                        hold.recorder,
                        hold.released,
                        hold.release_reason,
                    ],
                )?;
                chain::note(c, "hold", &hold.id)?;
            }
            Ok(())
        })
    }

    /// What this journal calls itself, so that its holds are told from others'.
    fn name(&self) -> Result<String, JournalError> {
        match self.meta("name")? {
            Some(name) => Ok(name),
            None => Err(self.damaged("it has no name".to_owned())),
        }
    }

    fn new_id(&self) -> Result<String, JournalError> {
        super::random_name().map_err(|error| self.damaged(error.to_string()))
    }
}
