//! Instants: the stamps files carry, and the one `now` a run is decided by.
//!
//! This is the only module that reads the wall clock. Whatever decides is given a
//! [`Now`]; only the moment a run ends is read again, for the journal.

use std::fmt;

use jiff::{Timestamp, ZonedDateTime, tz::TimeZone};

/// An instant as the file system stores it: seconds and nanoseconds since 1970 UTC.
///
/// Unlike a calendar timestamp it holds whatever a file may carry, so a wild
/// stamp never fails to be read. Every file of a store has four: packed, they take a
/// quarter less memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, packed(4))]
pub struct Stamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Stamp {
    /// The earliest instant there is.
    pub const MIN: Stamp = Stamp {
        seconds: i64::MIN,
        nanoseconds: 0,
    };

    /// An instant from its parts; nanoseconds beyond a second are cut off.
    pub fn new(seconds: i64, nanoseconds: u32) -> Stamp {
        Stamp {
            seconds,
            nanoseconds: nanoseconds.min(999_999_999),
        }
    }

    /// Whole seconds since 1970 UTC, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds within the second.
    pub fn subsec_nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Nanoseconds since 1970 UTC.
    pub fn as_nanoseconds(self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    /// The instant so many seconds earlier, or the earliest there is.
    pub fn minus_seconds(self, seconds: u64) -> Stamp {
        Stamp {
            seconds: self.seconds.saturating_sub_unsigned(seconds),
            ..self
        }
    }

    /// The moment in UTC as `20260310T120000.123456789Z`, which sorts by time and is a
    /// good part of a file's name.
    pub fn to_basic_utc(self) -> String {
        match Timestamp::from_nanosecond(self.as_nanoseconds()) {
            Ok(instant) => instant.strftime("%Y%m%dT%H%M%S.%9fZ").to_string(),
            Err(_) => format!("{}.{:09}", self.seconds(), self.subsec_nanoseconds()),
        }
    }

    /// Whole seconds from `self` to `later`, rounded down; zero when `later` is earlier.
    pub fn seconds_until(self, later: Stamp) -> u64 {
        let begun = later.subsec_nanoseconds() < self.subsec_nanoseconds();
        let seconds = i128::from(later.seconds()) - i128::from(self.seconds());
        u64::try_from(seconds - i128::from(begun)).unwrap_or(0)
    }
}

impl From<Timestamp> for Stamp {
    fn from(instant: Timestamp) -> Stamp {
        let nanoseconds = instant.as_nanosecond();
        let seconds = nanoseconds.div_euclid(1_000_000_000);
        let rest = nanoseconds.rem_euclid(1_000_000_000);
        // A jiff timestamp spans years -9999 to 9999, so both parts fit.
        Stamp::new(
            i64::try_from(seconds).unwrap_or(i64::MAX),
            u32::try_from(rest).unwrap_or(0),
        )
    }
}

impl fmt::Display for Stamp {
    /// RFC 3339 in UTC, or the bare seconds where the calendar has no such year.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::new(self.seconds, i32::try_from(self.nanoseconds).unwrap_or(0)) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "@{}.{:09}", self.seconds(), self.subsec_nanoseconds()),
        }
    }
}

/// The moment a run is decided by, fixed once at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Now(Timestamp);

impl Now {
    /// Reads the system's clock: at the edge when a run begins, and once more for the
    /// journal when it ends.
    pub fn from_clock() -> Now {
        Now(Timestamp::now())
    }

    /// A given moment: a saved plan's, a test's.
    pub fn at(instant: Timestamp) -> Now {
        Now(instant)
    }

    /// The instant to compare file stamps with.
    pub fn stamp(&self) -> Stamp {
        Stamp::from(self.0)
    }

    /// The instant itself.
    pub fn timestamp(&self) -> Timestamp {
        self.0
    }

    /// The moment on the calendar of a time zone.
    pub fn zoned(&self, zone: &TimeZone) -> ZonedDateTime {
        self.0.to_zoned_datetime(zone.clone())
    }
}

/// What the clocks show at one moment: enough to see later whether one was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Seconds since 1970 UTC, as the system believes.
    pub wall: i64,
    /// Seconds since the machine was started, sleep included; nobody can set it.
    pub boot: u64,
    /// Which start of the machine that is about; empty where it cannot be known.
    pub boot_id: String,
}

/// A wall clock that was moved, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It shows an earlier time than it has shown.
    Back {
        /// By so much.
        seconds: u64,
    },
    /// It has gone further than time has passed.
    Ahead {
        /// What it has gone.
        went: u64,
        /// What has passed.
        passed: u64,
    },
}

impl Clocks {
    /// Reads the clocks for a moment that was read already.
    pub fn at(now: &Now) -> Clocks {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let uptime = read("/proc/uptime");
        let seconds = uptime.split('.').next().and_then(|text| text.parse().ok());
        Clocks {
            wall: now.timestamp().as_second(),
            boot: seconds.unwrap_or(0),
            boot_id: match seconds {
                Some(_) => read("/proc/sys/kernel/random/boot_id").trim().to_owned(),
                None => String::new(),
            },
        }
    }

    /// What is wrong with the wall clock, judged by an earlier reading; nothing where
    /// nothing shows. Corrections within a minute are everyday.
    pub fn jump_since(&self, earlier: &Clocks) -> Option<Jump> {
        const EVERYDAY: i64 = 60;
        const DAY: i64 = 86_400;
        let went = self.wall.saturating_sub(earlier.wall);
        if went < -EVERYDAY {
            return Some(Jump::Back {
                seconds: went.unsigned_abs(),
            });
        }
        // The same start of the machine, and the same view of it: a container that
        // was made anew counts from its own beginning.
        if self.boot_id.is_empty() || self.boot_id != earlier.boot_id || self.boot < earlier.boot {
            return None;
        }
        let passed = i64::try_from(self.boot - earlier.boot).unwrap_or(i64::MAX);
        let ahead = went.saturating_sub(passed);
        (ahead > DAY).then_some(Jump::Ahead {
            went: went.unsigned_abs(),
            passed: passed.unsigned_abs(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_before_1970_keeps_its_order() {
        let half_before = Stamp::from("1969-12-31T23:59:59.5Z".parse::<Timestamp>().unwrap());
        assert_eq!(
            (half_before.seconds(), half_before.subsec_nanoseconds()),
            (-1, 500_000_000)
        );
        assert!(half_before < Stamp::new(0, 0));
    }

    #[test]
    fn a_clock_that_was_moved_is_seen_and_one_that_was_corrected_is_not() {
        let clocks = |wall, boot, boot_id: &str| Clocks {
            wall,
            boot,
            boot_id: boot_id.to_owned(),
        };
        let earlier = clocks(1_000_000, 500, "a");
        let jump = |wall, boot, id| clocks(wall, boot, id).jump_since(&earlier);
        assert_eq!(jump(1_000_000 - 30, 510, "a"), None);
        assert_eq!(jump(1_000_000 + 80_000, 510, "a"), None);
        assert_eq!(jump(1_000_000 + 900_000, 900_500, "a"), None);
        let back = Some(Jump::Back { seconds: 3_600 });
        assert_eq!(jump(1_000_000 - 3_600, 510, "b"), back);
        let (went, passed) = (90_000, 10);
        let ahead = Some(Jump::Ahead { went, passed });
        assert_eq!(jump(1_000_000 + 90_000, 510, "a"), ahead);
        // Another start of the machine, or another container's view of it.
        assert_eq!(jump(1_000_000 + 90_000, 510, "b"), None);
        assert_eq!(jump(1_000_000 + 90_000, 10, "a"), None);
    }

    #[test]
    fn elapsed_seconds_are_rounded_down_and_never_negative() {
        let (early, late) = (Stamp::new(10, 900_000_000), Stamp::new(12, 0));
        assert_eq!(early.seconds_until(late), 1);
        assert_eq!(late.seconds_until(early), 0);
        assert_eq!(Stamp::MIN.minus_seconds(1), Stamp::MIN);
    }
}
