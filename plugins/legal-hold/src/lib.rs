//! Keeps what a hold list names, whatever the policy says.

mod pattern;

use pattern::matches;
use retain_plugin::{Entry, Failure, Reviewer, Verdict, export, settings};
use serde::Deserialize;

export!(reviewer LegalHold,
    description: "keeps what a hold list names",
    settings: include_str!("settings.json"),
);

struct LegalHold;

#[derive(Deserialize)]
struct Settings {
    paths: Vec<String>,
    reason: Option<String>,
}

impl Reviewer for LegalHold {
    fn review(batch: Vec<Entry>) -> Vec<Verdict> {
        match read() {
            Ok(settings) => batch.iter().map(|entry| settings.verdict(entry)).collect(),
            Err(failure) => batch.iter().map(|_| Verdict::Failed(failure.clone())).collect(),
        }
    }
}

fn read() -> Result<Settings, Failure> {
    let settings: Settings = settings()?;
    // A list that got lost must not release what it held.
    if settings.paths.is_empty() {
        let message = "the hold list `paths` is empty; remove the hook if nothing is held";
        return Err(Failure::misconfigured(message));
    }
    Ok(settings)
}

impl Settings {
    fn verdict(&self, entry: &Entry) -> Verdict {
        let path = entry.raw_path.as_deref().unwrap_or(entry.path.as_bytes());
        let held = self.paths.iter().find(|pattern| matches(pattern.as_bytes(), path));
        match held {
            None => Verdict::Proceed,
            Some(pattern) => {
                let reason = self.reason.as_deref().unwrap_or(pattern);
                Verdict::Keep(format!("legal hold: {reason}"))
            }
        }
    }
}
