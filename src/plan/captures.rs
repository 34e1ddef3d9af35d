//! A step's captures, in little memory: a plan may have millions.

use std::fmt;
use std::sync::Arc;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ends a value; no name of a file has one.
const END: char = '\0';

/// The captures of a file in the collection that decided, in the template's order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Captures {
    /// All files of a collection have the same.
    names: Arc<[String]>,
    /// The values, each with an [`END`] behind it.
    values: Arc<str>,
}

impl Captures {
    pub(crate) fn new<'a>(names: Arc<[String]>, values: impl Iterator<Item = &'a str>) -> Captures {
        let mut joined = String::new();
        for value in values {
            joined.push_str(value);
            joined.push(END);
        }
        Captures {
            names,
            values: joined.into(),
        }
    }

    /// Captures of such parts as [`Captures::names`] and [`Captures::values`] are.
    pub(super) fn of_parts(names: Arc<[String]>, values: Arc<str>) -> Captures {
        Captures { names, values }
    }

    /// Their names, which all files of a collection share.
    pub(super) fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    /// Their values as one text, each with a NUL behind it.
    pub(crate) fn values(&self) -> &str {
        &self.values
    }

    /// Names with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.values.split_terminator(END))
    }

    /// Names with their values, as texts of their own.
    pub fn owned<All: FromIterator<(String, String)>>(&self) -> All {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        self.iter().map(owned).collect()
    }
}

impl fmt::Debug for Captures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Captures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Captures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Captures, D::Error> {
        let pairs: Vec<(String, String)> = Deserialize::deserialize(deserializer)?;
        if pairs.iter().any(|(_, value)| value.contains(END)) {
            return Err(D::Error::custom("a capture with a NUL in it"));
        }
        let (names, values): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
        Ok(Captures::new(
            names.into(),
            values.iter().map(String::as_str),
        ))
    }
}
