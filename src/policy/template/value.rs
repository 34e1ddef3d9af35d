//! What a capture's value is beyond text: a number, a version, a date.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use crate::time::Stamp;

/// How a capture's values are read when they are compared or dated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueKind {
    /// By bytes.
    Text,
    /// A whole number of any length; leading zeros do not count.
    Number,
    /// Semantic versioning 2.0.
    Version,
    /// A day, or a moment of one, on the calendar of the policy's time zone.
    Date(Arc<DateFormat>),
}

/// A value that can be compared with others of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ordinal {
    Text(String),
    /// Digits without leading zeros.
    Number(String),
    Version(Box<semver::Version>),
    Date(DateTime),
}

impl PartialOrd for Ordinal {
    fn partial_cmp(&self, other: &Ordinal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordinal {
    /// Kinds are never mixed within one template; between kinds the order is theirs.
    fn cmp(&self, other: &Ordinal) -> Ordering {
        match (self, other) {
            (Ordinal::Text(a), Ordinal::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Ordinal::Number(a), Ordinal::Number(b)) => a.len().cmp(&b.len()).then(a.cmp(b)),
            // Precedence, which leaves build metadata out (semver.org, item 10).
            (Ordinal::Version(a), Ordinal::Version(b)) => a.cmp_precedence(b),
            (Ordinal::Date(a), Ordinal::Date(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl Ordinal {
    fn rank(&self) -> u8 {
        match self {
            Ordinal::Text(_) => 0,
            Ordinal::Number(_) => 1,
            Ordinal::Version(_) => 2,
            Ordinal::Date(_) => 3,
        }
    }
}

impl ValueKind {
    /// A value for comparing; nothing when it is none of the kind after all (a 31st of
    /// February, a version part beyond 64 bits).
    pub(crate) fn ordinal(&self, value: &str) -> Option<Ordinal> {
        Some(match self {
            ValueKind::Text => Ordinal::Text(value.to_owned()),
            ValueKind::Number => {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                (digits && !value.is_empty())
                    .then(|| Ordinal::Number(value.trim_start_matches('0').to_owned()))?
            }
            ValueKind::Version => Ordinal::Version(Box::new(value.parse().ok()?)),
            ValueKind::Date(format) => Ordinal::Date(format.read(value)?),
        })
    }

    /// Whether the value is one of its kind; the automaton knows its shape only.
    pub(crate) fn admits(&self, value: &str) -> bool {
        match self {
            ValueKind::Text | ValueKind::Number => true,
            ValueKind::Version | ValueKind::Date(_) => self.ordinal(value).is_some(),
        }
    }

    /// The instant a date stands for: its beginning. A time that the clocks skipped or
    /// showed twice is resolved as jiff's "compatible" does, like RFC 5545.
    pub(crate) fn instant(&self, value: &str, zone: &TimeZone) -> Option<Stamp> {
        let ValueKind::Date(format) = self else {
            return None;
        };
        let zoned = format.read(value)?.to_zoned_datetime(zone.clone()).ok()?;
        Some(Stamp::from(zoned.timestamp()))
    }
}

/// The format of a `date` type, in strftime's letters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DateFormat {
    text: String,
}

/// Why a format cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    #[error("`%{0}` is not a part of a date this language reads")]
    Letter(char),
    #[error("`%{0}` stands in it twice")]
    Twice(char),
    #[error("it ends in `%`")]
    Open,
    #[error("it names no day")]
    NoDay,
    #[error("it has a `/`, which no part of a name contains")]
    Slash,
}

/// Letters with the expression their values have.
const LETTERS: [(char, &str); 8] = [
    ('Y', "[0-9]{4}"),
    ('m', "(0[1-9]|1[0-2])"),
    ('d', "(0[1-9]|[12][0-9]|3[01])"),
    (
        'j',
        "(00[1-9]|0[1-9][0-9]|[12][0-9][0-9]|3[0-5][0-9]|36[0-6])",
    ),
    ('H', "([01][0-9]|2[0-3])"),
    ('M', "[0-5][0-9]"),
    ('S', "[0-5][0-9]"),
    ('b', "(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"),
];

impl DateFormat {
    /// Reads a format such as `%Y-%m-%d`, and the expression its values match.
    pub(super) fn parse(text: &str) -> Result<(DateFormat, String), FormatError> {
        let mut pattern = String::new();
        let mut letters: Vec<char> = Vec::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            match c {
                '/' => return Err(FormatError::Slash),
                '%' => match characters.next().ok_or(FormatError::Open)? {
                    '%' => pattern.push('%'),
                    letter if letters.contains(&letter) => return Err(FormatError::Twice(letter)),
                    letter => {
                        let known = LETTERS.iter().find(|(known, _)| *known == letter);
                        pattern.push_str(known.ok_or(FormatError::Letter(letter))?.1);
                        letters.push(letter);
                    }
                },
                c => pattern.push_str(&regex_syntax::escape(c.encode_utf8(&mut [0; 4]))),
            }
        }
        let has = |letter| letters.contains(&letter);
        // A month alone would not say when within it: a file of its last day would be
        // a month old on the next.
        let names_day = has('Y') && (has('j') || (has('d') && (has('m') || has('b'))));
        match names_day {
            true => Ok((
                DateFormat {
                    text: text.to_owned(),
                },
                pattern,
            )),
            false => Err(FormatError::NoDay),
        }
    }

    fn read(&self, value: &str) -> Option<DateTime> {
        let parts = strtime::parse(&self.text, value).ok()?;
        // The hour may be absent: a day begins at midnight.
        parts
            .to_datetime()
            .or_else(|_| {
                parts
                    .to_date()
                    .map(|day| day.to_datetime(jiff::civil::Time::midnight()))
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(format: &str, value: &str) -> Option<String> {
        let (format, pattern) = DateFormat::parse(format).unwrap();
        let shape = regex_automata::meta::Regex::new(&format!("^(?:{pattern})$")).unwrap();
        shape
            .is_match(value)
            .then(|| format.read(value))?
            .map(|at| at.to_string())
    }

    #[test]
    fn dates_are_read_as_their_format_says_and_only_if_there_is_such_a_day() {
        let at = |text: &str| Some(text.to_owned());
        assert_eq!(date("%Y-%m-%d", "2026-03-10"), at("2026-03-10T00:00:00"));
        assert_eq!(date("%Y%m%d", "20240229"), at("2024-02-29T00:00:00"));
        assert_eq!(date("%Y-%m-%d", "2026-02-29"), None);
        assert_eq!(date("%Y-%m-%d", "2026-2-9"), None);
        assert_eq!(date("%d%b%Y", "01Mar2026"), at("2026-03-01T00:00:00"));
        assert_eq!(date("%Y.%j", "2026.069"), at("2026-03-10T00:00:00"));
        assert_eq!(date("%Y.%j", "2026.366"), None);
        assert_eq!(
            date("%Y%m%dT%H%M", "20260310T0930"),
            at("2026-03-10T09:30:00")
        );
        assert_eq!(date("%Y%m%d-%H", "20260310-09"), at("2026-03-10T09:00:00"));
    }

    #[test]
    fn a_format_has_to_name_a_day() {
        let error = |text: &str| DateFormat::parse(text).unwrap_err();
        assert_eq!(error("%Y-%m"), FormatError::NoDay);
        assert_eq!(error("%H:%M"), FormatError::NoDay);
        assert_eq!(error("%Y-%q-%d"), FormatError::Letter('q'));
        assert_eq!(error("%Y/%m/%d"), FormatError::Slash);
        assert_eq!(error("%Y-%m-%d%"), FormatError::Open);
        assert_eq!(error("%Y-%m-%d %d"), FormatError::Twice('d'));
    }

    #[test]
    fn numbers_of_any_length_and_versions_by_precedence() {
        let number = |text: &str| ValueKind::Number.ordinal(text).unwrap();
        assert!(number("9") < number("10") && number("007") == number("7"));
        assert!(number("99999999999999999999999") < number("100000000000000000000000"));
        assert!(number("0") < number("1"));
        let version = |text: &str| ValueKind::Version.ordinal(text).unwrap();
        assert!(version("1.10.0") > version("1.9.0"));
        assert!(version("1.0.0-rc.1") < version("1.0.0"));
        assert_eq!(version("1.0.0+a").cmp(&version("1.0.0+b")), Ordering::Equal);
        assert_eq!(ValueKind::Version.ordinal("99999999999999999999.0.0"), None);
    }
}
