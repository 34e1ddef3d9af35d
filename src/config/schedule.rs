//! When a store is cleaned without being asked: again and again, or by a calendar.

use std::cmp::Ordering;
use std::fmt;
use std::time::Duration;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDateTime, CronDateTime, Resolution, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ZonedDateTime, civil};

use crate::config::reader::Complaint;
use crate::units::Span;

/// When a store is cleaned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Only when somebody asks.
    OnRequest,
    /// Again and again after this span.
    Every(Span),
    /// At the times of a cron expression.
    Cron(Cron),
}

impl Schedule {
    /// The first moment after `now` at which a run is due, on the clocks of a time zone;
    /// nothing where none is. For `every`, `now` is when the last run was due.
    ///
    /// A time of day that the clocks leave out when they are put forward comes at the
    /// moment they jump; one that comes twice when they are put back comes once, unless
    /// the expression goes by steps of hours or minutes: those go on in both hours.
    pub fn next_after(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let now = now.to_zoned_datetime(zone.clone());
        match self {
            Schedule::OnRequest => None,
            Schedule::Every(span) => span.after(&now),
            Schedule::Cron(cron) => cron.next_after(now),
        }
    }

    /// The longest time between two runs; nothing where none is scheduled.
    ///
    /// A month counts as 31 days and a year as 366. The calendar is walked in UTC: where
    /// clocks are put back, a distance of days is an hour longer once a year. Costs a few
    /// milliseconds for a cron expression.
    pub fn longest_interval(&self) -> Option<Duration> {
        const DAY: u64 = 86_400;
        match self {
            Schedule::OnRequest => None,
            Schedule::Every(Span::Exact(seconds)) => Some(Duration::from_secs(*seconds)),
            Schedule::Every(Span::Months(months)) => {
                let (years, months) = (u64::from(months / 12), u64::from(months % 12));
                Some(Duration::from_secs((years * 366 + months * 31) * DAY))
            }
            Schedule::Cron(cron) => cron.longest_interval(),
        }
    }
}

/// A cron expression of five fields that some moment fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    written: String,
    times: Box<croner::Cron>,
}

/// The fields in their order: what they are called, and what may stand there.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12 or `JAN` to `DEC`"),
    (
        "day of the week",
        "0 to 7 or `SUN` to `SAT`; 0 and 7 are Sunday",
    ),
];

/// Names that other crons know for whole expressions.
const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Cron {
    /// Reads an expression; one that no day of the calendar fits is refused as well.
    pub(super) fn parse(text: &str) -> Result<Cron, Complaint> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        if let Some((_, meant)) = NICKNAMES.iter().find(|(name, _)| *name == lower) {
            let message = format!("`{text}` is a name for a cron expression, not one");
            return Err(Complaint::new(message, format!("write `{meant}`")));
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
        let times = read(text).map_err(|_| wrong_field(text, &fields))?;
        let cron = Cron {
            written: text.to_owned(),
            times: Box::new(times),
        };
        match cron.next_after(Zoned::beginning().0) {
            Some(_) => Ok(cron),
            None => Err(Complaint::new(
                format!("no day of the calendar fits `{text}`"),
                "look at its day and its month, the third and the fourth field",
            )),
        }
    }

    fn next_after(&self, now: ZonedDateTime) -> Option<Timestamp> {
        let next = self.times.find_next_occurrence(&Zoned(now), false).ok()?;
        Some(next.0.timestamp())
    }

    fn longest_interval(&self) -> Option<Duration> {
        const HOURS_OF_A_DAY: i64 = 24;
        let step = |from: Timestamp| self.next_after(from.to_zoned_datetime(TimeZone::UTC));
        let first = step(Zoned::beginning().0.timestamp())?;
        // Every day has the same times, so one day is walked run by run, and the rest of
        // eight years, two leap days among them, only from each day's last run.
        let end_of_first = first.checked_add(SignedDuration::from_hours(HOURS_OF_A_DAY));
        let end_of_first = end_of_first.ok()?;
        let mut longest = SignedDuration::ZERO;
        let mut last = first;
        let mut of_day = SignedDuration::ZERO;
        while let Some(next) = step(last) {
            if next >= end_of_first || day(next) != day(first) {
                break;
            }
            longest = longest.max(next.duration_since(last));
            of_day = next.duration_since(first);
            last = next;
        }
        let end = first.checked_add(SignedDuration::from_hours(HOURS_OF_A_DAY * 366 * 8));
        let end = end.ok()?;
        while let Some(next) = step(last).filter(|next| *next < end) {
            longest = longest.max(next.duration_since(last));
            last = next.checked_add(of_day).ok()?;
        }
        Duration::try_from(longest).ok()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn day(moment: Timestamp) -> civil::Date {
    moment.to_zoned_datetime(TimeZone::UTC).date()
}

fn read(text: &str) -> Result<croner::Cron, CronError> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed);
    parser.build().parse(text)
}

/// Which field is at fault: each is tried alone.
fn wrong_field(text: &str, fields: &[&str]) -> Complaint {
    let alone = |index: usize| {
        let field = |(at, field): (usize, &&str)| if at == index { *field } else { "*" }.to_owned();
        let fields: Vec<String> = fields.iter().enumerate().map(field).collect();
        fields.join(" ")
    };
    for (index, ((name, range), field)) in FIELDS.iter().zip(fields).enumerate() {
        if read(&alone(index)).is_err() {
            return Complaint::new(
                format!("`{field}` is no {name} of a cron expression"),
                format!("it goes from {range}; `*`, `1-5`, `1,4` and `*/2` are written like this"),
            );
        }
    }
    Complaint::new(
        format!("`{text}` is no cron expression"),
        "write it as `0 3 * * *` for every day at three",
    )
}

/// A moment of the calendar, as the cron library asks for one.
#[derive(Clone)]
struct Zoned(ZonedDateTime);

impl Zoned {
    /// Where walks through the calendar begin that are about no moment: right before a
    /// day, so that the first one is whole.
    fn beginning() -> Zoned {
        let before = Timestamp::UNIX_EPOCH.checked_sub(SignedDuration::from_secs(1));
        let before = before.unwrap_or(Timestamp::UNIX_EPOCH);
        Zoned(before.to_zoned_datetime(TimeZone::UTC))
    }
}

impl CronDateTime for Zoned {
    fn to_civil(&self) -> CivilDateTime {
        let part = |number: i8| u32::try_from(number).unwrap_or(0);
        let (date, time) = (self.0.date(), self.0.time());
        CivilDateTime::new(
            croner::CivilDate::from_parts_unchecked(
                i32::from(date.year()),
                part(date.month()),
                part(date.day()),
            ),
            croner::CivilTime::from_parts_unchecked(
                part(time.hour()),
                part(time.minute()),
                part(time.second()),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let day = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(u32::try_from(day).unwrap_or(0))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Zoned>, CronError> {
        let part = |number: u32| i8::try_from(number).map_err(|_| CronError::InvalidDate);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let moment = civil::DateTime::new(
            year,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        let moment = moment.map_err(|_| CronError::InvalidDate)?;
        let moments = self.0.time_zone().to_ambiguous_zoned_datetime(moment);
        let found = |moment: Result<ZonedDateTime, jiff::Error>| {
            moment.map(Zoned).map_err(|_| CronError::InvalidTime)
        };
        Ok(match moments.offset() {
            AmbiguousOffset::Unambiguous { .. } => Resolution::Single(found(moments.compatible())?),
            AmbiguousOffset::Fold { .. } => {
                Resolution::Ambiguous(found(moments.clone().earlier())?, found(moments.later())?)
            }
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Zoned> {
        let later = self.0.checked_add(SignedDuration::from_secs(seconds));
        later.ok().map(Zoned)
    }

    fn cmp_instant(&self, other: &Zoned) -> Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(text: &str) -> Schedule {
        let parsed = Cron::parse(text);
        Schedule::Cron(parsed.unwrap_or_else(|_| panic!("`{text}` was refused")))
    }

    /// The next three runs after a moment in Berlin, as its clocks show them.
    fn check(text: &str, after: &str, expected: [&str; 3]) {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let schedule = cron(text);
        let mut now: Timestamp = after.parse().unwrap();
        for expected in expected {
            now = schedule.next_after(now, &berlin).unwrap();
            let shown = now.to_zoned_datetime(berlin.clone());
            let shown = shown.strftime("%F %H:%M %:z").to_string();
            assert_eq!(shown, expected, "{text}");
        }
    }

    #[test]
    fn a_time_that_the_clocks_leave_out_comes_when_they_jump() {
        let expected = [
            "2026-03-28 02:30 +01:00",
            "2026-03-29 03:00 +02:00",
            "2026-03-30 02:30 +02:00",
        ];
        check("30 2 * * *", "2026-03-28T00:00:00Z", expected);
    }

    #[test]
    fn a_time_that_comes_twice_comes_once() {
        let expected = [
            "2026-10-25 02:30 +02:00",
            "2026-10-26 02:30 +01:00",
            "2026-10-27 02:30 +01:00",
        ];
        check("30 2 * * *", "2026-10-24T22:00:00Z", expected);
    }

    #[test]
    fn steps_go_on_while_the_clocks_are_put_back() {
        let expected = [
            "2026-10-25 02:30 +02:00",
            "2026-10-25 02:00 +01:00",
            "2026-10-25 02:30 +01:00",
        ];
        check("*/30 * * * *", "2026-10-25T00:00:00Z", expected);
    }

    #[test]
    fn a_span_counts_hours_exactly_and_months_by_the_calendar() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let check = |span, after: &str, expected: &str| {
            let next = Schedule::Every(span).next_after(after.parse().unwrap(), &berlin);
            assert_eq!(next, Some(expected.parse().unwrap()));
        };
        // A night of 23 hours, and a month with it.
        let (evening, next_evening) = ("2026-03-28T19:00:00Z", "2026-03-29T19:00:00Z");
        check(Span::Exact(86_400), evening, next_evening);
        check(
            Span::Months(1),
            "2026-03-01T11:00:00Z",
            "2026-04-01T10:00:00Z",
        );
        let never = Schedule::OnRequest.next_after(Timestamp::UNIX_EPOCH, &berlin);
        assert_eq!(never, None);
    }

    #[test]
    fn the_longest_interval_is_the_longest_of_all() {
        const HOUR: u64 = 3_600;
        let check = |schedule: Schedule, expected: Option<u64>| {
            let longest = schedule.longest_interval();
            assert_eq!(longest.map(|longest| longest.as_secs()), expected);
        };
        check(Schedule::OnRequest, None);
        check(Schedule::Every(Span::Exact(900)), Some(900));
        check(Schedule::Every(Span::Months(13)), Some(397 * 24 * HOUR));
        check(cron("*/15 * * * *"), Some(900));
        check(cron("0 3 * * *"), Some(24 * HOUR));
        // From six in the evening to eight in the morning, over a weekend.
        check(cron("*/5 8-18 * * 1-5"), Some(61 * HOUR + 300));
        check(cron("0 0,1 * * *"), Some(23 * HOUR));
        check(cron("0 5 1 * *"), Some(31 * 24 * HOUR));
        // In a leap year.
        check(cron("* * 1 1 *"), Some(365 * 24 * HOUR + 60));
        check(cron("0 0 29 2 *"), Some((4 * 365 + 1) * 24 * HOUR));
    }

    #[test]
    fn what_is_no_cron_expression_is_refused() {
        let check = |text: &str| assert!(Cron::parse(text).is_err(), "{text}");
        for text in [
            "",
            "@daily",
            "0 3 * *",
            "60 3 * * *",
            "0 3 * * MOO",
            "0 3 31 2 *",
        ] {
            check(text);
        }
    }
}
