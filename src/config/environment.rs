//! The variables a configuration may ask for, as a value that is handed in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Environment variables, and who is asking.
///
/// Nothing but [`Environment::from_process`] looks at the real environment, so a
/// test or a service states its own.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    superuser: bool,
}

/// What a variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable<'a> {
    /// Nothing: it is unset, or set to the empty text.
    Unset,
    /// Some text.
    Set(&'a str),
    /// Bytes that are no text.
    NotText,
}

impl Environment {
    /// The environment of this process. Called at the edge, once.
    pub fn from_process() -> Environment {
        let text_names = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect();
        Environment {
            variables: text_names,
            superuser: rustix::process::geteuid().is_root(),
        }
    }

    /// The same environment with one more variable.
    pub fn with(mut self, name: &str, value: &str) -> Environment {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    /// The same environment, asked by the superuser.
    pub fn as_superuser(mut self) -> Environment {
        self.superuser = true;
        self
    }

    /// What a variable holds.
    pub fn variable(&self, name: &str) -> Variable<'_> {
        match self.variables.get(name).map(|value| value.to_str()) {
            None | Some(Some("")) => Variable::Unset,
            Some(Some(text)) => Variable::Set(text),
            Some(None) => Variable::NotText,
        }
    }

    /// A variable's text; nothing when it is unset, empty or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.variable(name) {
            Variable::Set(text) => Some(text),
            Variable::Unset | Variable::NotText => None,
        }
    }

    /// Where state lies when the configuration does not say.
    ///
    /// `/var/lib/retain` for the superuser, `$XDG_STATE_HOME/retain` or
    /// `~/.local/state/retain` for anybody else.
    pub fn default_state(&self) -> Option<PathBuf> {
        if self.superuser {
            return Some(PathBuf::from("/var/lib/retain"));
        }
        // The XDG specification has relative values ignored.
        let absolute = |name| {
            self.text(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("XDG_STATE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
            .map(|state| state.join("retain"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_lies_where_the_platform_keeps_it() {
        let home = Environment::default().with("HOME", "/home/ann");
        let state = |environment: Environment| environment.default_state();
        assert_eq!(
            state(home.clone()),
            Some("/home/ann/.local/state/retain".into())
        );
        assert_eq!(
            state(home.clone().with("XDG_STATE_HOME", "/s")),
            Some("/s/retain".into())
        );
        assert_eq!(
            state(home.clone().with("XDG_STATE_HOME", "s")),
            state(home.clone())
        );
        assert_eq!(state(home.as_superuser()), Some("/var/lib/retain".into()));
        assert_eq!(state(Environment::default()), None);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let environment = Environment::default().with("A", "");
        assert_eq!(environment.variable("A"), Variable::Unset);
    }
}
