//! Moments as parts of file names.

use crate::Instant;

impl Instant {
    /// The moment in UTC as `20260310T120000.123456789Z`: sorts by time and has no
    /// character that any file system minds.
    pub fn to_basic_utc(&self) -> String {
        let days = self.seconds.div_euclid(86_400);
        let second = self.seconds.rem_euclid(86_400);
        let (year, month, day) = civil(days);
        format!(
            "{year:04}{month:02}{day:02}T{:02}{:02}{:02}.{:09}Z",
            second / 3_600,
            second / 60 % 60,
            second % 60,
            self.nanoseconds
        )
    }
}

/// The proleptic Gregorian date so many days after 1970-01-01.
///
/// Counted in eras of 400 years that begin on 1 March, so that the leap day is the
/// last of its year: Hinnant, "chrono-compatible low-level date algorithms".
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_name_that_sorts_by_time() {
        let text = |seconds| {
            let moment = Instant {
                seconds,
                nanoseconds: 5,
            };
            moment.to_basic_utc()
        };
        assert_eq!(text(0), "19700101T000000.000000005Z");
        assert_eq!(text(-1), "19691231T235959.000000005Z");
        assert_eq!(text(951_782_400), "20000229T000000.000000005Z");
        assert_eq!(text(4_107_542_400), "21000301T000000.000000005Z");
    }
}
