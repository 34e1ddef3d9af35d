//! Keeps what a hold list names or a marker file covers, whatever the policy says.

mod pattern;

use pattern::Pattern;
use retain_plugin::{BulkReviewer, Failure, File, Verdict, export, settings};
use serde::Deserialize;

export!(bulk_reviewer LegalHold,
    description: "keeps what a hold list names or a marker covers",
    settings: include_str!("settings.json"),
);

struct LegalHold {
    settings: Settings,
    /// The hold list, ready to be held against paths, each with how it is written.
    holds: Vec<(Pattern, String)>,
}

#[derive(Deserialize)]
struct Settings {
    paths: Option<Vec<String>>,
    marker: Option<String>,
    reason: Option<String>,
}

impl BulkReviewer for LegalHold {
    fn prepare() -> Result<LegalHold, Failure> {
        settings().and_then(Settings::checked).map(LegalHold::new)
    }

    fn verdict(&self, file: &File<'_>) -> Verdict {
        self.verdict_on(file.path, |name| file.is_marked(name))
    }
}

impl LegalHold {
    fn new(settings: Settings) -> LegalHold {
        let paths = settings.paths.iter().flatten();
        let holds = paths.map(|path| (Pattern::new(path), path.clone())).collect();
        LegalHold { settings, holds }
    }

    fn verdict_on(
        &self,
        path: &[u8],
        is_marked: impl Fn(&str) -> Result<bool, Failure>,
    ) -> Verdict {
        if let Some((_, held)) = self.holds.iter().find(|(pattern, _)| pattern.matches(path)) {
            return self.held(held);
        }
        match self.settings.marker.as_deref().map(|name| (name, is_marked(name))) {
            None | Some((_, Ok(false))) => Verdict::Proceed,
            Some((name, Ok(true))) => self.held(&format!("`{name}` lies beside or above it")),
            Some((_, Err(failure))) => Verdict::Failed(failure),
        }
    }

    fn held(&self, by: &str) -> Verdict {
        let reason = self.settings.reason.as_deref().unwrap_or(by);
        Verdict::Keep(format!("legal hold: {reason}"))
    }
}

impl Settings {
    fn checked(self) -> Result<Settings, Failure> {
        // A list that got lost must not release what it held.
        if self.paths.as_ref().is_some_and(Vec::is_empty) {
            let message = "the hold list `paths` is empty; remove the hook if nothing is held";
            return Err(Failure::misconfigured(message));
        }
        match self.marker.as_deref() {
            None if self.paths.is_none() => {
                let message = "give it a hold list `paths`, a `marker`, or both";
                Err(Failure::misconfigured(message))
            }
            Some(name) if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) => {
                let message = "`marker` must be a name as a directory has it, such as `.legal-hold`";
                Err(Failure::misconfigured(message))
            }
            Some(_) | None => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(paths: Option<&[&str]>, marker: Option<&str>) -> Result<Settings, Failure> {
        let owned = |list: &[&str]| list.iter().map(|&path| path.into()).collect();
        let (paths, marker) = (paths.map(owned), marker.map(Into::into));
        Settings { paths, marker, reason: None }.checked()
    }

    #[test]
    fn settings_that_hold_nothing_are_refused() {
        assert!(settings(None, None).is_err());
        assert!(settings(Some(&[]), None).is_err());
        assert!(settings(Some(&[]), Some("hold")).is_err());
        for name in ["", ".", "..", "a/b", "/", "a\0"] {
            assert!(settings(None, Some(name)).is_err(), "{name}");
        }
        assert!(settings(Some(&["a"]), None).is_ok());
        assert!(settings(None, Some(".legal-hold")).is_ok());
    }

    #[test]
    fn list_and_marker_hold_each_by_itself_and_ignorance_holds_too() {
        let settings = settings(Some(&["a"]), Some("hold")).unwrap_or_else(|_| unreachable!());
        let hold = LegalHold::new(settings);
        let verdict = |path: &str, answer: Result<bool, Failure>| {
            hold.verdict_on(path.as_bytes(), |name| {
                assert_eq!(name, "hold");
                answer.clone()
            })
        };
        assert!(matches!(verdict("a", Ok(false)), Verdict::Keep(why) if why == "legal hold: a"));
        let by = "legal hold: `hold` lies beside or above it";
        assert!(matches!(verdict("b", Ok(true)), Verdict::Keep(why) if why == by));
        assert!(matches!(verdict("b", Ok(false)), Verdict::Proceed));
        let unknown = Err(Failure::retryable("x", "cannot look"));
        assert!(matches!(verdict("b", unknown), Verdict::Failed(_)));
    }
}
