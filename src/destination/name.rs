//! Names of objects, unable to leave their destination.

use std::fmt;

/// The longest component file systems take, in bytes.
const LONGEST_COMPONENT: usize = 255;
/// The longest name as a whole, in bytes: what `open` takes in one piece.
const LONGEST_NAME: usize = 4_095;
/// Where unpublished bytes lie; no object may be named into it.
pub(super) const STAGING: &str = ".staging";
/// What the name of a receipt's copy ends in.
pub(super) const RECEIPT: &str = ".receipt.json";

/// The name of an object below a destination's root.
///
/// Invariant: non-empty components joined by single `/`, none of them `.` or
/// `..`, none longer than 255 bytes, no NUL, the first not `.staging`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

/// Why a text is no [`ObjectName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is nothing to call the object by.
    #[error("the name is empty")]
    Empty,
    /// It begins with `/`.
    #[error("the name is absolute")]
    Absolute,
    /// A component is empty, `.` or `..`.
    #[error("the name has an empty, `.` or `..` component")]
    Component,
    /// It contains a NUL byte.
    #[error("the name contains a NUL byte")]
    Nul,
    /// A component or the whole is longer than file systems take.
    #[error("the name has a component of more than 255 bytes, or more than 4095 bytes in all")]
    TooLong,
    /// It would lie where unpublished objects do.
    #[error("the name begins with `.staging`, which is reserved")]
    Reserved,
}

impl ObjectName {
    /// Checks the invariant.
    pub fn parse(text: impl Into<String>) -> Result<ObjectName, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.starts_with('/') {
            return Err(NameError::Absolute);
        }
        if text.len() > LONGEST_NAME {
            return Err(NameError::TooLong);
        }
        text.split('/').try_for_each(check_component)?;
        match text.split('/').next() {
            Some(STAGING) => Err(NameError::Reserved),
            _ => Ok(ObjectName(text)),
        }
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the copy of the receipt that lies beside this object.
    ///
    /// A name too long to take the suffix is cut and made unique by its hash.
    pub fn receipt(&self) -> ObjectName {
        self.receipt_marked("")
    }

    /// The name of a further receipt for the same object, told apart by a mark of at
    /// most 64 bytes without `/`.
    pub fn receipt_marked(&self, mark: &str) -> ObjectName {
        let suffix = format!("{mark}{RECEIPT}");
        let (directory, leaf) = match self.0.rsplit_once('/') {
            Some((directory, leaf)) => (Some(directory), leaf),
            None => (None, self.0.as_str()),
        };
        let leaf = if leaf.len() + suffix.len() <= LONGEST_COMPONENT {
            format!("{leaf}{suffix}")
        } else {
            let hash = blake3::hash(leaf.as_bytes()).to_hex();
            let room = LONGEST_COMPONENT - suffix.len() - 1 - hash.len();
            let kept = leaf.get(..leaf.floor_char_boundary(room)).unwrap_or("");
            format!("{kept}~{hash}{suffix}")
        };
        ObjectName(match directory {
            Some(directory) => format!("{directory}/{leaf}"),
            None => leaf,
        })
    }

    /// The directories it lies in, and its last component.
    pub(super) fn split(&self) -> (impl Iterator<Item = &str>, &str) {
        let (directories, leaf) = self.0.rsplit_once('/').unwrap_or(("", &self.0));
        (directories.split('/').filter(|name| !name.is_empty()), leaf)
    }
}

fn check_component(component: &str) -> Result<(), NameError> {
    match component {
        "" | "." | ".." => Err(NameError::Component),
        name if name.contains('\0') => Err(NameError::Nul),
        name if name.len() > LONGEST_COMPONENT => Err(NameError::TooLong),
        _ => Ok(()),
    }
}

impl fmt::Display for ObjectName {
    /// The name on one line: control characters are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                fmt::Write::write_char(f, c)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_destination() {
        let long = "x".repeat(256);
        for (text, reason) in [
            ("", NameError::Empty),
            ("/etc/passwd", NameError::Absolute),
            ("..", NameError::Component),
            ("a/../b", NameError::Component),
            ("a//b", NameError::Component),
            ("a/", NameError::Component),
            ("./a", NameError::Component),
            ("a\0", NameError::Nul),
            (long.as_str(), NameError::TooLong),
            (".staging/x", NameError::Reserved),
            (".staging", NameError::Reserved),
        ] {
            assert_eq!(ObjectName::parse(text), Err(reason), "{text:?}");
        }
        assert!(ObjectName::parse("charts/AAPL\n.png@2026").is_ok());
        assert!(ObjectName::parse("a/.staging").is_ok());
    }

    #[test]
    fn a_receipt_has_a_name_even_where_the_object_s_is_as_long_as_can_be() {
        let receipt = |text: &str| ObjectName::parse(text).unwrap().receipt();
        assert_eq!(receipt("a/b").as_str(), "a/b.receipt.json");
        let long = receipt(&format!("a/{}", "ä".repeat(127)));
        assert!(long.as_str().ends_with(".receipt.json"));
        assert_eq!(ObjectName::parse(long.as_str()), Ok(long));
    }
}
