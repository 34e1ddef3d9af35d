//! Names of runs.

use std::fmt;

use crate::time::Now;

/// A run's name: when it began and a few random digits, `20261123T190102-4f2a1c`.
///
/// Sorts by time, serves as a file name, and stays unique when a state directory is
/// lost and another begins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub(super) String);

impl RunId {
    /// A new name for a run that begins now.
    pub fn new(now: &Now) -> Result<RunId, getrandom::Error> {
        let mut random = [0; 3];
        getrandom::fill(&mut random)?;
        let [a, b, c] = random;
        let digits: String = now
            .timestamp()
            .to_string()
            .chars()
            .take_while(|&c| c != '.' && c != 'Z')
            .filter(|&c| c != '-' && c != ':')
            .collect();
        Ok(RunId(format!("{digits}-{a:02x}{b:02x}{c:02x}")))
    }

    /// Reads a whole name.
    pub fn parse(text: &str) -> Option<RunId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!text.is_empty() && text.chars().all(allowed)).then(|| RunId(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_after_its_beginning() {
        let now = Now::at("2026-11-23T19:01:02.5Z".parse().unwrap());
        let id = RunId::new(&now).unwrap();
        assert!(id.as_str().starts_with("20261123T190102-"), "{id}");
        assert_eq!(RunId::parse(id.as_str()), Some(id));
        assert_eq!(RunId::parse("../x"), None);
    }
}
