//! Names inside a store: relative, bytes, and unable to leave it.

use std::borrow::{Borrow, Cow};
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;

/// A path below a store's root.
///
/// Invariant: non-empty components joined by single `/`, none of them `.` or
/// `..`, no NUL, no `/` at either end. The empty path is the root itself. Paths
/// order by their bytes, which is the order ties break in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(Arc<[u8]>);

/// Why bytes are no [`RelPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It begins with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// A component is empty, `.` or `..`.
    #[error("the path has an empty, `.` or `..` component")]
    Component,
    /// It contains a NUL byte.
    #[error("the path contains a NUL byte")]
    Nul,
}

impl RelPath {
    /// The store's root itself.
    pub fn root() -> RelPath {
        RelPath(Arc::from(&[][..]))
    }

    /// Checks the invariant over raw bytes; the empty input is the root.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<RelPath, PathError> {
        let bytes = bytes.as_ref();
        if bytes.first() == Some(&b'/') {
            return Err(PathError::Absolute);
        }
        if !bytes.is_empty() {
            bytes.split(|&b| b == b'/').try_for_each(check_component)?;
        }
        Ok(RelPath(Arc::from(bytes)))
    }

    /// This path with one more component behind it.
    pub fn join(&self, name: &[u8]) -> Result<RelPath, PathError> {
        self.join_over(name, None)
    }

    /// The same in the memory of a path that is not needed any more, where that is as long and
    /// nobody else has it: a walk makes a path for every file, and names in one directory tend
    /// to be of one length.
    pub fn join_over(&self, name: &[u8], spare: Option<RelPath>) -> Result<RelPath, PathError> {
        check_component(name)?;
        let slash: &[u8] = if self.is_root() { b"" } else { b"/" };
        let parts = [self.as_bytes(), slash, name];
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if let Some(mut spare) = spare
            && spare.0.len() == length
            && let Some(mut rest) = Arc::get_mut(&mut spare.0)
        {
            for part in parts {
                let (here, behind) = rest.split_at_mut(part.len());
                here.copy_from_slice(part);
                rest = behind;
            }
            return Ok(spare);
        }
        // Put together aside, it is copied in one go.
        let mut joined: SmallVec<[u8; 256]> = SmallVec::new();
        parts.iter().for_each(|part| joined.extend_from_slice(part));
        Ok(RelPath(Arc::from(&*joined)))
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, when the bytes are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The path for the operating system.
    pub fn as_os(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the root downwards.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0
            .split(|&b| b == b'/')
            .filter(|component| !component.is_empty())
    }

    /// The last component; nothing for the root.
    pub fn name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// The directory this path lies in; nothing for the root.
    pub fn parent(&self) -> Option<RelPath> {
        if self.is_root() {
            return None;
        }
        Some(RelPath(Arc::from(self.directory())))
    }

    /// Whether a path lies directly in this one.
    pub fn is_parent_of(&self, path: &RelPath) -> bool {
        !path.is_root() && path.directory() == self.as_bytes()
    }

    /// Whether two paths lie in one directory.
    pub fn is_beside(&self, other: &RelPath) -> bool {
        self.directory() == other.directory()
    }

    /// The bytes of the directory this path lies in; nothing for the root.
    pub(crate) fn directory(&self) -> &[u8] {
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        self.0.get(..end).unwrap_or_default()
    }

    /// Whether this path is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &RelPath) -> bool {
        ancestor.is_root()
            || self
                .0
                .strip_prefix(&*ancestor.0)
                .is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }

    /// The inverse of this type's [`fmt::Display`]; refuses what is no path.
    pub fn unescape(text: &str) -> Option<RelPath> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((&byte, tail)) = rest.split_first() {
            let (byte, tail) = match (byte, tail) {
                (b'\\', [b'\\', tail @ ..]) => (b'\\', tail),
                (b'\\', [b'x', high, low, tail @ ..]) => {
                    let digits = [*high, *low];
                    (
                        u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?,
                        tail,
                    )
                }
                (b'\\', _) => return None,
                _ => (byte, tail),
            };
            bytes.push(byte);
            rest = tail;
        }
        RelPath::parse(bytes).ok()
    }

    /// What [`fmt::Display`] writes; without a copy for the names most files have.
    pub fn shown(&self) -> Cow<'_, str> {
        match self.as_str() {
            Some(text) if !self.is_root() && text.chars().all(|c| !is_escaped(c)) => text.into(),
            Some(_) | None => self.to_string().into(),
        }
    }
}

fn check_component(component: &[u8]) -> Result<(), PathError> {
    match component {
        b"" | b"." | b".." => Err(PathError::Component),
        name => match name.iter().find(|byte| matches!(byte, 0 | b'/')) {
            Some(0) => Err(PathError::Nul),
            Some(_) => Err(PathError::Component),
            None => Ok(()),
        },
    }
}

impl fmt::Display for RelPath {
    /// The path on one line and without loss: control characters, backslashes and
    /// bytes that are not UTF-8 are written as `\xNN` (a backslash as `\\`), so a
    /// hostile name can neither break a line nor steer a terminal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        escape(&self.0, f)
    }
}

/// Writes bytes as [`RelPath`]'s `Display` does.
fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        // What needs no escape is written at once: a run shows every path, or hands it
        // to a plugin.
        let mut rest = chunk.valid();
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| is_escaped(c)) {
            let (plain, tail) = rest.split_at(at);
            f.write_str(plain)?;
            let (escaped, tail) = tail.split_at(c.len_utf8());
            if c == '\\' {
                f.write_str("\\\\")?;
            } else {
                for byte in escaped.bytes() {
                    write!(f, "\\x{byte:02x}")?;
                }
            }
            rest = tail;
        }
        f.write_str(rest)?;
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// What [`escape`] does not write as it is.
fn is_escaped(c: char) -> bool {
    match c {
        ' '..='[' | ']'..='~' => false,
        c => c == '\\' || is_unprintable(c),
    }
}

/// Control characters, and the bidirectional overrides that reorder a terminal's line.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl Borrow<[u8]> for RelPath {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_outside_the_store_can_be_named() {
        assert_eq!(RelPath::parse("/etc"), Err(PathError::Absolute));
        for escape in ["..", "a/../b", "a/./b", "a//b", "a/", "./a"] {
            assert_eq!(
                RelPath::parse(escape),
                Err(PathError::Component),
                "{escape}"
            );
        }
        assert_eq!(RelPath::parse("a\0b"), Err(PathError::Nul));
        assert_eq!(RelPath::root().join(b"a/b"), Err(PathError::Component));
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_inside() {
        let path = |text: &str| RelPath::parse(text).unwrap();
        assert!(path("a/b").starts_with(&path("a")));
        assert!(path("a").starts_with(&path("a")));
        assert!(!path("ab").starts_with(&path("a")));
        assert!(path("a").starts_with(&RelPath::root()));
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(RelPath::root()));
        assert_eq!(RelPath::root().parent(), None);
    }

    #[test]
    fn a_hostile_name_is_shown_on_one_line() {
        let path = RelPath::parse(b"a\nb\x1b[2J\xff\\").unwrap();
        assert_eq!(path.to_string(), r"a\x0ab\x1b[2J\xff\\");
    }

    proptest! {
        #[test]
        fn a_path_in_the_memory_of_another_is_the_same(
            directory in "([a-c]{1,2}/){0,2}[a-c]?",
            name in "[a-c/]{0,3}\\PC?",
            spare in "[a-c]{1,9}",
            shared in any::<bool>(),
        ) {
            let directory = RelPath::parse(directory.trim_end_matches('/')).unwrap();
            let spare = RelPath::parse(&spare).unwrap();
            let other = shared.then(|| spare.clone());
            let before = other.as_ref().map(ToString::to_string);
            let joined = directory.join_over(name.as_bytes(), Some(spare));
            let text = format!("{}/{name}", directory.as_str().unwrap());
            let expected = match name.is_empty() || name.contains('/') {
                true => Err(PathError::Component),
                false => RelPath::parse(text.trim_start_matches('/')),
            };
            prop_assert_eq!(&joined, &expected);
            prop_assert_eq!(&joined, &directory.join(name.as_bytes()));
            prop_assert_eq!(other.as_ref().map(ToString::to_string), before);
        }

        #[test]
        fn showing_a_path_loses_nothing(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            if let Ok(path) = RelPath::parse(&bytes) {
                prop_assert_eq!(path.shown(), path.to_string());
                prop_assert_eq!(RelPath::unescape(&path.to_string()), Some(path));
            }
        }
    }
}
