//! Sizes and spans of time as people write and read them.
//!
//! The policy language spells its units as words; this module knows those words,
//! what they amount to, and how a value is shown again. A whole value such as
//! `15 min` is parsed here for configuration; a policy's own parser meets number
//! and unit as separate tokens and refuses `m` and `K` at their places itself.

use std::fmt;

use jiff::ZonedDateTime;

use crate::diagnostic::nearest;
use crate::time::Stamp;

/// Why a text is no size or no span of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no whole number at the beginning.
    #[error("`{text}` does not begin with a whole number")]
    Number {
        /// What was written.
        text: String,
    },
    /// There is nothing behind the number.
    #[error("`{text}` has no unit")]
    Missing {
        /// What was written.
        text: String,
    },
    /// The unit could mean two things.
    #[error("the unit `{unit}` is ambiguous")]
    Ambiguous {
        /// The unit as written.
        unit: String,
        /// Both readings, written out.
        readings: [String; 2],
    },
    /// There is no such unit.
    #[error("there is no unit `{unit}`")]
    Unknown {
        /// The unit as written.
        unit: String,
        /// The nearest unit, if one is near.
        nearest: Option<&'static str>,
    },
    /// The value does not fit.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

impl UnitError {
    /// What to write instead, where that can be said.
    pub fn help(&self) -> Option<String> {
        match self {
            UnitError::Ambiguous { readings, .. } => {
                let [first, second] = readings;
                Some(format!("write `{first}` or `{second}`"))
            }
            UnitError::Unknown { nearest, .. } => {
                nearest.map(|unit| format!("did you mean `{unit}`?"))
            }
            UnitError::Number { .. } | UnitError::Missing { .. } | UnitError::TooLarge { .. } => {
                None
            }
        }
    }
}

/// Splits `15 min` into the number and the word behind it.
fn number_and_unit(text: &str) -> Result<(u64, &str), UnitError> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let too_large = || UnitError::TooLarge { text: text.into() };
    match (number, unit.trim_start()) {
        ("", _) => Err(UnitError::Number { text: text.into() }),
        (_, "") => Err(UnitError::Missing { text: text.into() }),
        (number, unit) => Ok((number.parse().map_err(|_| too_large())?, unit)),
    }
}

/// A number of bytes, shown with a decimal unit (`200 MB`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(pub u64);

/// Unit words of a size with their factor in bytes: SI decimal and IEC binary.
const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

impl Size {
    /// Reads `200 MB` or `64 MiB`; a bare number or a single letter is refused.
    pub fn parse(text: &str) -> Result<Size, UnitError> {
        let (number, unit) = number_and_unit(text)?;
        let factor = Size::unit(unit).ok_or_else(|| unknown_size_unit(number, unit))?;
        let too_large = || UnitError::TooLarge { text: text.into() };
        number.checked_mul(factor).map(Size).ok_or_else(too_large)
    }

    /// The factor in bytes of a unit word such as `MB` or `MiB`.
    pub fn unit(word: &str) -> Option<u64> {
        let spelled_out = matches!(word, "byte" | "bytes").then_some(1);
        spelled_out.or_else(|| {
            SIZE_UNITS
                .iter()
                .find(|(name, _)| *name == word)
                .map(|&(_, factor)| factor)
        })
    }
}

/// `K`, `M`, `G` and `T` alone are decimal to some and binary to others.
fn unknown_size_unit(number: u64, unit: &str) -> UnitError {
    let (decimal, binary) = match unit {
        "k" | "K" => ("kB", "KiB"),
        "m" | "M" => ("MB", "MiB"),
        "g" | "G" => ("GB", "GiB"),
        "t" | "T" => ("TB", "TiB"),
        _ => {
            return UnitError::Unknown {
                unit: unit.into(),
                nearest: nearest(unit, SIZE_UNITS.iter().map(|&(name, _)| name)),
            };
        }
    };
    UnitError::Ambiguous {
        unit: unit.into(),
        readings: [format!("{number} {decimal}"), format!("{number} {binary}")],
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = match self.0 {
            0..1_000 => return write!(f, "{} B", self.0),
            1_000..1_000_000 => ("kB", 1_000),
            1_000_000..1_000_000_000 => ("MB", 1_000_000),
            1_000_000_000..1_000_000_000_000 => ("GB", 1_000_000_000),
            _ => ("TB", 1_000_000_000_000u64),
        };
        let tenths = (u128::from(self.0) * 10 + u128::from(factor) / 2) / u128::from(factor);
        match tenths % 10 {
            0 => write!(f, "{} {unit}", tenths / 10),
            tenth => write!(f, "{}.{tenth} {unit}", tenths / 10),
        }
    }
}

/// A span of time in a policy: exact up to weeks, calendar from months on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// So many seconds; a day is 24 hours.
    Exact(u64),
    /// So many calendar months in the policy's time zone.
    Months(u32),
}

/// A unit of time: how many seconds or calendar months one of it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanUnit {
    /// Seconds in one of this unit.
    Seconds(u64),
    /// Calendar months in one of this unit.
    Months(u32),
}

/// One spelling of each unit of time, for suggestions.
const SPAN_UNITS: [&str; 8] = [
    "seconds", "min", "hours", "days", "weeks", "months", "quarters", "years",
];

impl SpanUnit {
    /// The unit a word such as `hours`, `min` or `year` names.
    pub fn of(word: &str) -> Option<SpanUnit> {
        Some(match word {
            "s" | "sec" | "second" | "seconds" => SpanUnit::Seconds(1),
            "min" | "minute" | "minutes" => SpanUnit::Seconds(60),
            "h" | "hour" | "hours" => SpanUnit::Seconds(3_600),
            "d" | "day" | "days" => SpanUnit::Seconds(86_400),
            "w" | "week" | "weeks" => SpanUnit::Seconds(604_800),
            "month" | "months" => SpanUnit::Months(1),
            "quarter" | "quarters" => SpanUnit::Months(3),
            "year" | "years" => SpanUnit::Months(12),
            _ => return None,
        })
    }

    /// `count` of this unit, unless that overflows.
    pub fn times(self, count: u64) -> Option<Span> {
        match self {
            SpanUnit::Seconds(seconds) => count.checked_mul(seconds).map(Span::Exact),
            SpanUnit::Months(months) => u32::try_from(count)
                .ok()?
                .checked_mul(months)
                .map(Span::Months),
        }
    }
}

impl Span {
    /// Reads `15 min` or `6 months`; a bare number or a bare `m` is refused.
    pub fn parse(text: &str) -> Result<Span, UnitError> {
        let (number, unit) = number_and_unit(text)?;
        let unit = SpanUnit::of(unit).ok_or_else(|| unknown_span_unit(number, unit))?;
        let too_large = || UnitError::TooLarge { text: text.into() };
        unit.times(number).ok_or_else(too_large)
    }

    /// Whether the span is empty; an empty age is a mistake in any policy.
    pub fn is_zero(self) -> bool {
        matches!(self, Span::Exact(0) | Span::Months(0))
    }

    /// The instant this span before `now`, or the earliest instant there is.
    ///
    /// Months are counted in the time zone `now` carries; a day that the earlier
    /// month lacks becomes its last (31 March less one month is 28 February).
    pub fn before(self, now: &ZonedDateTime) -> Stamp {
        let instant = Stamp::from(now.timestamp());
        match self {
            Span::Exact(seconds) => instant.minus_seconds(seconds),
            Span::Months(months) => {
                let span = jiff::Span::new().try_months(months);
                match span.and_then(|span| now.checked_sub(span)) {
                    Ok(earlier) => Stamp::from(earlier.timestamp()),
                    Err(_) => Stamp::MIN,
                }
            }
        }
    }

    /// The instant this span after a moment, if the calendar reaches that far.
    pub fn after(self, moment: &ZonedDateTime) -> Option<jiff::Timestamp> {
        match self {
            Span::Exact(seconds) => {
                let seconds = i64::try_from(seconds).ok()?;
                let span = jiff::SignedDuration::from_secs(seconds);
                moment.timestamp().checked_add(span).ok()
            }
            Span::Months(months) => {
                let span = jiff::Span::new().try_months(months).ok()?;
                Some(moment.checked_add(span).ok()?.timestamp())
            }
        }
    }

    /// Seconds for comparing two spans roughly: a month counts as 30.44 days.
    pub fn approximate_seconds(self) -> u64 {
        match self {
            Span::Exact(seconds) => seconds,
            Span::Months(months) => u64::from(months) * 2_629_746,
        }
    }
}

/// `m` and `M` alone are refused: minute and month differ by a factor of 43,800.
fn unknown_span_unit(number: u64, unit: &str) -> UnitError {
    match unit {
        "m" | "M" => UnitError::Ambiguous {
            unit: unit.into(),
            readings: [format!("{number} min"), format!("{number} months")],
        },
        _ => UnitError::Unknown {
            unit: unit.into(),
            nearest: nearest(unit, SPAN_UNITS),
        },
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit) = match *self {
            Span::Months(months) if months % 12 == 0 => (u64::from(months / 12), "year"),
            Span::Months(months) => (u64::from(months), "month"),
            Span::Exact(s) if s % 604_800 == 0 && s > 0 => (s / 604_800, "week"),
            Span::Exact(s) if s % 86_400 == 0 && s > 0 => (s / 86_400, "day"),
            Span::Exact(s) if s % 3_600 == 0 && s > 0 => (s / 3_600, "hour"),
            Span::Exact(s) if s % 60 == 0 && s > 0 => (s / 60, "minute"),
            Span::Exact(s) => (s, "second"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

/// An elapsed time in at most two units (`6 d 23 h`), cut off, never rounded up.
#[derive(Clone, Copy, Debug)]
pub struct Elapsed(pub u64);

impl Elapsed {
    /// Writes it behind a text: a plan may say of a million files how old they are.
    pub fn write(self, to: &mut String) {
        let s = self.0;
        let (big, unit, small, below) = match s {
            0..60 => (s, "s", 0, ""),
            60..3_600 => (s / 60, "min", s % 60, "s"),
            3_600..86_400 => (s / 3_600, "h", s % 3_600 / 60, "min"),
            _ => (s / 86_400, "d", s % 86_400 / 3_600, "h"),
        };
        let part = |to: &mut String, count: u64, unit: &str| {
            to.push_str(itoa::Buffer::new().format(count));
            to.push(' ');
            to.push_str(unit);
        };
        part(to, big, unit);
        if small > 0 {
            to.push(' ');
            part(to, small, below);
        }
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text);
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_with_one_decimal_at_most() {
        let shown = |bytes| Size(bytes).to_string();
        assert_eq!(shown(0), "0 B");
        assert_eq!(shown(999), "999 B");
        assert_eq!(shown(1_000), "1 kB");
        assert_eq!(shown(1_550), "1.6 kB");
        assert_eq!(shown(200_000_000), "200 MB");
        assert_eq!(shown(u64::MAX), "18446744.1 TB");
    }

    #[test]
    fn spans_are_shown_in_the_largest_whole_unit() {
        assert_eq!(Span::Exact(6 * 3_600).to_string(), "6 hours");
        assert_eq!(Span::Exact(7 * 86_400).to_string(), "1 week");
        assert_eq!(Span::Exact(90).to_string(), "90 seconds");
        assert_eq!(Span::Months(12).to_string(), "1 year");
        assert_eq!(Span::Months(18).to_string(), "18 months");
    }

    #[test]
    fn a_month_before_the_31st_is_the_last_day_of_the_shorter_month() {
        let now: ZonedDateTime = "2026-03-31T12:00[America/New_York]".parse().unwrap();
        let expected: ZonedDateTime = "2026-02-28T12:00[America/New_York]".parse().unwrap();
        assert_eq!(
            Span::Months(1).before(&now),
            Stamp::from(expected.timestamp())
        );
    }

    #[test]
    fn whole_values_are_read_with_their_unit_words() {
        assert_eq!(Span::parse("15 min"), Ok(Span::Exact(900)));
        assert_eq!(Span::parse(" 1 hour "), Ok(Span::Exact(3_600)));
        assert_eq!(Span::parse("2 years"), Ok(Span::Months(24)));
        assert_eq!(Size::parse("200 MB"), Ok(Size(200_000_000)));
        assert_eq!(Size::parse("64MiB"), Ok(Size(64 << 20)));
    }

    #[test]
    fn a_unit_that_could_mean_two_things_is_refused_with_both() {
        let help = |error: UnitError| error.help().unwrap();
        assert_eq!(
            help(Span::parse("6 m").unwrap_err()),
            "write `6 min` or `6 months`"
        );
        assert_eq!(
            help(Size::parse("5 G").unwrap_err()),
            "write `5 GB` or `5 GiB`"
        );
        assert_eq!(
            help(Span::parse("6 huors").unwrap_err()),
            "did you mean `hours`?"
        );
        for bad in ["", "min", "-5 min", "5", "99999999999999999999 min"] {
            assert!(Span::parse(bad).is_err(), "{bad}");
        }
        assert!(Size::parse("18446744073709551615 kB").is_err());
    }

    #[test]
    fn elapsed_time_never_rounds_up() {
        assert_eq!(Elapsed(7 * 86_400 - 1).to_string(), "6 d 23 h");
        assert_eq!(Elapsed(3_600).to_string(), "1 h");
        assert_eq!(Elapsed(59).to_string(), "59 s");
    }
}
