//! Keeps files whose name begins with one of the configured words.

use retain_plugin::{Entry, Reviewer, Verdict, export, settings};
use serde::Deserialize;

// What `retain` reads without running anything: the name and version come from
// Cargo.toml, the schema says which settings there are.
export!(reviewer Plugin,
    description: "keeps files whose name begins with one of the configured words",
    settings: include_str!("settings.json"),
);

struct Plugin;

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    words: Vec<String>,
}

impl Reviewer for Plugin {
    /// One verdict per entry, in the entries' order.
    fn review(batch: Vec<Entry>) -> Vec<Verdict> {
        match settings::<Settings>() {
            Ok(settings) => batch.iter().map(|entry| verdict(&settings, entry)).collect(),
            Err(failure) => batch.iter().map(|_| Verdict::Failed(failure.clone())).collect(),
        }
    }
}

fn verdict(settings: &Settings, entry: &Entry) -> Verdict {
    let name = entry.path.rsplit('/').next().unwrap_or(&entry.path);
    match settings.words.iter().find(|word| name.starts_with(*word)) {
        Some(word) => Verdict::Keep(format!("its name begins with {word}")),
        None => Verdict::Proceed,
    }
}
