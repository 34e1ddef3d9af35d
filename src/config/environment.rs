//! The variables a configuration may ask for, as a value that is handed in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::diagnostic::Source;
use crate::policy::{self, NotText};

/// Environment variables, and who is asking.
///
/// Nothing but [`Environment::from_process`] looks at the real environment, so a
/// test or a service states its own.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, OsString>,
    superuser: bool,
    names: Arc<OnceLock<Names>>,
    /// Whether this machine's users and groups are looked up.
    knows_names: bool,
}

/// Numbers of the users and groups of this machine.
#[derive(Debug, Default)]
struct Names {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

impl Names {
    /// Read from the files themselves: a static binary cannot load the C library's
    /// name services, and a container on `scratch` has none.
    fn of_machine() -> Names {
        Names {
            users: names_in(Path::new("/etc/passwd")),
            groups: names_in(Path::new("/etc/group")),
        }
    }
}

/// Names with their numbers: the first and third field of passwd(5) and group(5).
fn names_in(file: &Path) -> BTreeMap<String, u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((name, fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
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
            names: Arc::default(),
            knows_names: true,
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

    /// What a policy may ask of the world, with its files found relative to the one that
    /// uses them; `directory` is the configuration's.
    pub fn ask<T>(&self, directory: &Path, read: impl FnOnce(policy::Environment<'_>) -> T) -> T {
        let number = |of: fn(&Names) -> &BTreeMap<String, u32>, name: &str| {
            let names = self
                .knows_names
                .then(|| self.names.get_or_init(Names::of_machine))?;
            of(names).get(name).copied()
        };
        let user = |name: &str| number(|names| &names.users, name);
        let group = |name: &str| number(|names| &names.groups, name);
        let variable = |name: &str| match self.variable(name) {
            Variable::Unset => Ok(None),
            Variable::Set(text) => Ok(Some(text.to_owned())),
            Variable::NotText => Err(NotText),
        };
        let file = |from: &Source, name: &str| used_file(directory, from, name);
        read(policy::Environment {
            variable: &variable,
            user: &user,
            group: &group,
            file: &file,
        })
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

/// A policy that another one uses; sources are named relative to the configuration.
fn used_file(directory: &Path, from: &Source, name: &str) -> Result<Source, String> {
    let beside = directory.join(from.name());
    let path = beside.parent().unwrap_or(directory).join(name);
    // `a/../b` and `b` are one file: a circle must be seen as one.
    let path = std::fs::canonicalize(&path).map_err(|error| in_words(&error))?;
    read_policy(&path, directory)
}

/// The most bytes a policy may have; ten thousand rules take one MiB.
pub(super) const LARGEST_TEXT: u64 = 64 << 20;

/// A policy's text, named as people call it: relative to the configuration.
pub fn read_policy(path: &Path, directory: &Path) -> Result<Source, String> {
    let bytes = crate::store::read_given(path, LARGEST_TEXT).map_err(|error| in_words(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let name = path.strip_prefix(directory).unwrap_or(path);
    Ok(Source::new(name.display().to_string(), without_mark(&text)))
}

/// A text without the mark some editors put before UTF-8; nobody sees it, so nobody could
/// be told to remove it.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn in_words(error: &std::io::Error) -> String {
    crate::store::in_words(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_policy() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("p.retain");
        std::fs::write(&file, "\u{feff}edition 2026\r\n").unwrap();
        let source = read_policy(&file, directory.path()).unwrap();
        assert_eq!(source.text(), "edition 2026\r\n");
    }

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
