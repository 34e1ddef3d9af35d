//! Keeps what a hold list names or a marker file covers, whatever the policy says.

mod pattern;

use pattern::Pattern;
use retain_plugin::{Entry, Failure, Reviewer, Verdict, export, marked, settings};
use serde::Deserialize;

export!(reviewer LegalHold,
    description: "keeps what a hold list names or a marker covers",
    settings: include_str!("settings.json"),
);

struct LegalHold;

#[derive(Deserialize)]
struct Settings {
    paths: Option<Vec<String>>,
    marker: Option<String>,
    reason: Option<String>,
}

impl Reviewer for LegalHold {
    fn review(batch: Vec<Entry>) -> Vec<Verdict> {
        match settings().and_then(Settings::checked) {
            Ok(settings) => {
                let holds = settings.holds();
                batch.iter().map(|entry| settings.verdict(&holds, entry, marked)).collect()
            }
            Err(failure) => batch.iter().map(|_| Verdict::Failed(failure.clone())).collect(),
        }
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

    /// The hold list, ready to be held against paths.
    fn holds(&self) -> Vec<(Pattern, &str)> {
        let paths = self.paths.iter().flatten();
        paths.map(|path| (Pattern::new(path), path.as_str())).collect()
    }

    fn verdict(
        &self,
        holds: &[(Pattern, &str)],
        entry: &Entry,
        marked: impl Fn(&Entry, &str) -> Result<bool, Failure>,
    ) -> Verdict {
        let path = entry.raw_path.as_deref().unwrap_or(entry.path.as_bytes());
        if let Some((_, held)) = holds.iter().find(|(pattern, _)| pattern.matches(path)) {
            return self.held(held);
        }
        match self.marker.as_deref().map(|name| (name, marked(entry, name))) {
            None | Some((_, Ok(false))) => Verdict::Proceed,
            Some((name, Ok(true))) => self.held(&format!("`{name}` lies beside or above it")),
            Some((_, Err(failure))) => Verdict::Failed(failure),
        }
    }

    fn held(&self, by: &str) -> Verdict {
        Verdict::Keep(format!("legal hold: {}", self.reason.as_deref().unwrap_or(by)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retain_plugin::Instant;

    fn settings(paths: Option<&[&str]>, marker: Option<&str>) -> Result<Settings, Failure> {
        let owned = |list: &[&str]| list.iter().map(|&path| path.into()).collect();
        let (paths, marker) = (paths.map(owned), marker.map(Into::into));
        Settings { paths, marker, reason: None }.checked()
    }

    fn entry(path: &str) -> Entry {
        Entry {
            slot: 0,
            key: String::new(),
            store: String::new(),
            path: path.into(),
            raw_path: None,
            size: 0,
            allocated: 0,
            modified: Instant { seconds: 0, nanoseconds: 0 },
            links: 1,
            collection: String::new(),
            rule: String::new(),
            captures: Vec::new(),
            attempt: 1,
        }
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
        let verdict = |path: &str, answer: Result<bool, Failure>| {
            settings.verdict(&settings.holds(), &entry(path), |_, name| {
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
