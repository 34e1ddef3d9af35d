//! How large a store was, and how full its disk: what growth is read from.
//!
//! A sample is a measurement, not an act. It is not chained, and is thinned with age: of
//! each hour the last one is kept for 14 days, then of each day the last one for 400 days,
//! so that a store has some 730 rows at most.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};

use super::{Journal, JournalError, signed};

pub(super) const TABLE: &str = "
create table samples (
    store text not null,
    hour integer not null,
    at integer not null,
    files integer not null,
    bytes integer not null,
    disk_used integer not null,
    disk_total integer not null,
    primary key (store, hour)
) strict, without rowid;
";

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// How long the last sample of each hour is kept, in seconds.
const HOURLY: i64 = 14 * DAY;

/// How long the last sample of each day is kept, in seconds.
const DAILY: i64 = 400 * DAY;

/// What a store was at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was measured; kept to the second.
    pub at: Timestamp,
    /// Its files.
    pub files: u64,
    /// The bytes they take.
    pub bytes: u64,
    /// Bytes of its file system that are taken.
    pub disk_used: u64,
    /// Bytes its file system has.
    pub disk_total: u64,
}

impl Journal {
    /// Records what a store is, in the place of an earlier sample of the same hour, and
    /// forgets what is older than the sample allows. Costs one small transaction.
    pub fn record_sample(&mut self, store: &str, sample: &Sample) -> Result<(), JournalError> {
        let at = sample.at.as_second();
        let directory = self.directory.clone();
        let mut record = || -> rusqlite::Result<()> {
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "insert into samples (store, hour, at, files, bytes, disk_used, disk_total) \
                     values (?, ?, ?, ?, ?, ?, ?) on conflict (store, hour) do update set \
                     at = excluded.at, files = excluded.files, bytes = excluded.bytes, \
                     disk_used = excluded.disk_used, disk_total = excluded.disk_total \
                     where excluded.at >= at",
                )?
                .execute(params![
                    store,
                    at.div_euclid(HOUR),
                    at,
                    signed(sample.files),
                    signed(sample.bytes),
                    signed(sample.disk_used),
                    signed(sample.disk_total),
                ])?;
            transaction
                .prepare_cached(
                    "delete from samples where store = ?1 and at < ?2 and (at < ?3 or hour not in (\
                     select max(hour) from samples where store = ?1 and at < ?2 group by hour / 24))",
                )?
                .execute(params![store, at - HOURLY, at - DAILY])?;
            transaction.commit()
        };
        record().map_err(|source| JournalError::Database { directory, source })
    }

    /// A store's samples from a moment on, oldest first: all of them, or as many as asked
    /// for, evenly chosen, with the first and the last among them.
    pub fn samples(
        &self,
        store: &str,
        since: Timestamp,
        most_points: usize,
    ) -> Result<Vec<Sample>, JournalError> {
        if !self.has_samples()? {
            return Ok(Vec::new());
        }
        let samples = self.rows(
            "select at, files, bytes, disk_used, disk_total from samples \
             where store = ? and at >= ? order by hour",
            params![store, since.as_second()],
            read,
        )?;
        Ok(evenly(samples, most_points))
    }

    /// Whether there is a table of samples: a journal of the form before it is read as it
    /// is, and gets one when it is next written.
    fn has_samples(&self) -> Result<bool, JournalError> {
        let found = self
            .connection
            .query_row(
                "select 1 from sqlite_schema where name = 'samples'",
                [],
                |_| Ok(()),
            )
            .optional();
        found
            .map(|found| found.is_some())
            .map_err(|source| self.failed(source))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let number = |column| -> rusqlite::Result<u64> {
        let signed: i64 = row.get(column)?;
        Ok(u64::try_from(signed).unwrap_or(0))
    };
    Ok(Sample {
        at: Timestamp::from_second(row.get(0)?).unwrap_or(Timestamp::UNIX_EPOCH),
        files: number(1)?,
        bytes: number(2)?,
        disk_used: number(3)?,
        disk_total: number(4)?,
    })
}

fn evenly(samples: Vec<Sample>, most: usize) -> Vec<Sample> {
    let all = samples.len();
    if all <= most {
        return samples;
    }
    let chosen = (0..most).filter_map(|point| {
        // Rounded towards the first, so that no sample is chosen twice.
        let index = match most {
            1 => all - 1,
            most => point * (all - 1) / (most - 1),
        };
        samples.get(index).copied()
    });
    chosen.collect()
}

/// How fast a store grows, in bytes a day; negative where it shrinks.
///
/// The slope of the straight line with the least squares of distances to the samples: a
/// store that is cleaned goes up and down like a saw, and the first and the last sample
/// alone say more about the clean-up between them than about growth. Nothing where there
/// are fewer than three samples or they span less than six hours; look at a day or more
/// for a rate by which somebody is woken.
pub fn growth_per_day(samples: &[Sample]) -> Option<f64> {
    const LEAST_SAMPLES: usize = 3;
    const LEAST_SECONDS: i64 = 6 * HOUR;
    let (first, last) = (samples.first()?, samples.last()?);
    let seconds = |sample: &Sample| sample.at.as_second() - first.at.as_second();
    if samples.len() < LEAST_SAMPLES || seconds(last) < LEAST_SECONDS {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate for people; days and bytes are far below the 53 bits of a double"
    )]
    let points: Vec<(f64, f64)> = samples
        .iter()
        .map(|sample| (seconds(sample) as f64 / DAY as f64, sample.bytes as f64))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "some hundred samples")]
    let count = points.len() as f64;
    let mean_day = points.iter().map(|(day, _)| day).sum::<f64>() / count;
    let mean_bytes = points.iter().map(|(_, bytes)| bytes).sum::<f64>() / count;
    let (mut together, mut spread) = (0.0, 0.0);
    for (day, bytes) in points {
        together += (day - mean_day) * (bytes - mean_bytes);
        spread += (day - mean_day) * (day - mean_day);
    }
    (spread > 0.0).then(|| together / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIGABYTE: u64 = 1_000_000_000;

    fn at(hours: i64) -> Timestamp {
        let begin: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        begin
            .checked_add(jiff::SignedDuration::from_hours(hours))
            .unwrap()
    }

    fn sample(hours: i64, bytes: u64) -> Sample {
        Sample {
            at: at(hours),
            files: 1,
            bytes,
            disk_used: 2,
            disk_total: 3,
        }
    }

    #[test]
    fn samples_are_kept_by_the_hour_for_two_weeks_and_by_the_day_for_a_year() {
        let place = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(place.path()).unwrap();
        // 500 days, by the hour; each of them would have been thinned as it was recorded.
        let hours = 500 * 24;
        let fill = format!(
            "with recursive hours (hour) as (select 0 union all select hour + 1 from hours \
             where hour < {hours} - 2) insert into samples select 'charts', hour + {0} / 3600, \
             hour * 3600 + {0}, 1, 7, 2, 3 from hours",
            at(0).as_second()
        );
        journal.connection.execute_batch(&fill).unwrap();
        for (store, hour) in [("charts", hours - 1), ("logs", 0)] {
            journal.record_sample(store, &sample(hour, 7)).unwrap();
        }
        let all = journal.samples("charts", at(0), usize::MAX).unwrap();
        let daily = all.windows(2).filter(|pair| {
            let [one, next] = pair else { return false };
            next.at.as_second() - one.at.as_second() == DAY
        });
        assert_eq!(daily.count(), 400 - 14 - 1);
        assert!((720..=724).contains(&all.len()), "{}", all.len());
        assert_eq!(all.last().unwrap().at, at(hours - 1));
        assert_eq!(journal.samples("logs", at(0), 10).unwrap().len(), 1);
    }

    #[test]
    fn of_an_hour_the_last_sample_stays() {
        let place = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(place.path()).unwrap();
        let later = Sample {
            at: at(0)
                .checked_add(jiff::SignedDuration::from_mins(50))
                .unwrap(),
            ..sample(0, 9)
        };
        for sample in [sample(0, 7), later, sample(0, 8)] {
            journal.record_sample("charts", &sample).unwrap();
        }
        let kept = journal.samples("charts", at(0), 10).unwrap();
        assert_eq!(kept, [later]);
    }

    #[test]
    fn fewer_points_have_the_first_and_the_last_among_them() {
        let samples: Vec<Sample> = (0..100).map(|hour| sample(hour, 7)).collect();
        let chosen = evenly(samples.clone(), 12);
        assert_eq!(chosen.len(), 12);
        assert_eq!(chosen.first(), samples.first());
        assert_eq!(chosen.last(), samples.last());
        assert!(chosen.windows(2).all(|pair| pair[0].at < pair[1].at));
        assert_eq!(evenly(samples.clone(), 1), [samples[99]]);
        assert_eq!(evenly(samples, 0), []);
    }

    #[test]
    fn growth_is_the_slope_and_not_what_the_last_clean_up_left() {
        let check = |samples: &[Sample], expected: Option<f64>| {
            let growth = growth_per_day(samples);
            let near = match (growth, expected) {
                (Some(growth), Some(expected)) => (growth - expected).abs() < 0.05e9,
                (growth, expected) => growth == expected,
            };
            assert!(near, "{growth:?}, not {expected:?}");
        };
        let steady: Vec<_> = (0..48)
            .map(|hour| sample(hour, u64::try_from(hour).unwrap() * GIGABYTE / 24))
            .collect();
        check(&steady, Some(1e9));
        // Two gigabytes a day, and every six hours half a gigabyte goes.
        let saw: Vec<_> = (0..24 * 7)
            .map(|hour| sample(hour, u64::try_from(hour % 6).unwrap() * GIGABYTE / 12))
            .collect();
        check(&saw, Some(0.0));
        check(&steady[..5], None);
        check(&[], None);
        check(&[sample(0, 1), sample(48, 2)], None);
    }

    #[test]
    fn a_journal_of_the_form_before_gets_its_tables_when_it_is_opened() {
        let place = tempfile::tempdir().unwrap();
        let journal = Journal::open(place.path()).unwrap();
        let older = "drop table samples; drop table expired; pragma user_version = 2;";
        journal.connection.execute_batch(older).unwrap();
        drop(journal);
        let read = Journal::open_existing(place.path()).unwrap().unwrap();
        assert_eq!(read.samples("charts", at(0), 10).unwrap(), []);
        assert!(read.filed("charts").unwrap().is_empty());
        drop(read);
        let mut written = Journal::open(place.path()).unwrap();
        written.record_sample("charts", &sample(0, 7)).unwrap();
        let read = Journal::open_existing(place.path()).unwrap().unwrap();
        assert_eq!(read.samples("charts", at(0), 10).unwrap().len(), 1);
    }
}
