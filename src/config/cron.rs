//! Cron expressions: five fields, checked one by one, and how long they pause.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDateTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

use crate::config::reader::Complaint;

/// What a field is called, and what may stand in it.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, or L for the last"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of the week", "0 to 7, or SUN to SAT"),
];

/// Names crontab(5) has for some expressions.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Reads an expression, and makes sure that its time comes.
pub(super) fn parse(text: &str) -> Result<String, Complaint> {
    let text = text.trim();
    if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| *name == text) {
        return Err(Complaint::new(
            format!("`{text}` is a name for five fields"),
            format!("write `{fields}`"),
        ));
    }
    let fields: Vec<&str> = text.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(Complaint::new(
            format!(
                "a cron expression has five fields, this has {}",
                fields.len()
            ),
            "write it as `0 3 * * *` for every day at three",
        ));
    }
    for (index, (field, (name, values))) in fields.iter().zip(FIELDS).enumerate() {
        let mut alone = ["*"; FIELDS.len()];
        if let Some(place) = alone.get_mut(index) {
            *place = field;
        }
        if read(&alone.join(" ")).is_none() {
            return Err(Complaint::new(
                format!("`{field}` is no {name}"),
                format!("write {values}; `*` is any, `*/5` every fifth"),
            ));
        }
    }
    let comes = read(text)
        .zip(Wall::begin())
        .is_some_and(|(cron, begin)| cron.find_next_occurrence(&begin, true).is_ok());
    match comes {
        true => Ok(text.to_owned()),
        false => Err(Complaint::new(
            format!("the time `{text}` says never comes"),
            "no month that is meant has such a day",
        )),
    }
}

/// More runs than a week has of the busiest working hours.
const LOOKED_AT: usize = 10_000;

/// Seconds of the longest pause between two runs within some years or some thousand
/// runs, whichever is less.
pub(super) fn longest_pause(text: &str) -> Option<u64> {
    let cron = read(text)?;
    let mut times = cron.iter_after(Wall::begin()?);
    let mut before = times.next()?;
    let mut longest = 0;
    let end = date(2037, 1, 1).at(0, 0, 0, 0);
    for time in times.take(LOOKED_AT).take_while(|time| time.time < end) {
        let pause = time.time.duration_since(before.time).as_secs();
        longest = longest.max(u64::try_from(pause).ok()?);
        before = time;
    }
    (longest > 0).then_some(longest)
}

/// A time on the wall, where no clock is ever changed, in our words and the library's,
/// whose own support is for an older jiff.
#[derive(Clone)]
struct Wall {
    time: DateTime,
    civil: CivilDateTime,
}

impl Wall {
    fn new(time: DateTime) -> Option<Wall> {
        let part = |part: i8| u32::try_from(part).ok();
        let civil = CivilDateTime::from_ymd_hms_opt(
            i32::from(time.year()),
            part(time.month())?,
            part(time.day())?,
            part(time.hour())?,
            part(time.minute())?,
            part(time.second())?,
        )?;
        Some(Wall { time, civil })
    }

    /// The beginning of a year with a 29 February: what has a time at all has one soon.
    fn begin() -> Option<Wall> {
        Wall::new(date(2028, 1, 1).at(0, 0, 0, 0))
    }
}

impl CronDateTime for Wall {
    fn to_civil(&self) -> CivilDateTime {
        self.civil
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.time.weekday().to_sunday_zero_offset();
        Weekday::Sunday.shift(i32::from(days))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidTime);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidTime)?;
        let time = DateTime::new(
            year,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        let time = time.map_err(|_| CronError::InvalidTime)?;
        Ok(Resolution::Single(Wall { time, civil }))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let moved = self.time.checked_add(SignedDuration::from_secs(seconds));
        Wall::new(moved.ok()?)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.time.cmp(&other.time)
    }
}

fn read(text: &str) -> Option<Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pause_is_the_night_the_weekend_or_the_year() {
        let hours = |text: &str| longest_pause(text).map(|seconds| seconds / 3_600);
        assert_eq!(longest_pause("*/5 * * * *"), Some(300));
        assert_eq!(hours("0 3 * * *"), Some(24));
        assert_eq!(hours("* 9-17 * * 1-5"), Some(63));
        assert_eq!(hours("0 0 1 * *"), Some(31 * 24));
        assert_eq!(hours("0 0 29 2 *"), Some((4 * 365 + 1) * 24));
    }

    #[test]
    fn an_expression_is_refused_by_the_field_that_is_wrong() {
        assert!(parse("0 3 * * *").is_ok());
        assert!(parse(" 0 3 * JAN-MAR MON ").is_ok());
        for wrong in [
            "0 25 * * *",
            "60 * * * *",
            "0 0 31 2 *",
            "@daily",
            "0 3 * * *x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
