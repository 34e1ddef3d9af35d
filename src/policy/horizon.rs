//! For how long what is decided about a file stands, if nobody touches it.

use super::ir::{Clock, Condition};
use super::matcher::{Matcher, clocks_in, subject};
use super::{Membership, Policy};
use crate::entry::Entry;
use crate::time::Stamp;
use crate::units::Span;

/// How much a number of months may differ from as many months at another time of the year,
/// in seconds: three days of February, one of a leap year, and what a time zone adds.
const MONTHS_DIFFER: i64 = 5 * 86_400;

/// Stamps are compared by whole seconds here.
const ROUNDED: i64 = 2;

/// The spans of a policy, seen from one moment.
#[derive(Debug)]
pub(crate) struct Horizon {
    /// Ages at which spans are passed, in seconds, each at its longest; ascending.
    passed: Vec<i64>,
    /// By span: the least age at which it or one behind it may be passed.
    soonest: Vec<i64>,
    /// The next moment at which a hold ends.
    until: i64,
    /// Set where a statement reads a clock that is not looked at here.
    blind: bool,
}

impl Horizon {
    /// What a matcher's answers depend on.
    pub(crate) fn of(matcher: &Matcher<'_>) -> Horizon {
        let mut horizon = Horizon {
            passed: Vec::new(),
            soonest: Vec::new(),
            until: i64::MAX,
            blind: false,
        };
        // A file of the future is judged when its time has come.
        let mut spans = vec![(0, ROUNDED)];
        for matcher in std::iter::once(matcher).chain(matcher.ledger()) {
            horizon.add(matcher, &mut spans);
        }
        let mut spans: Vec<(i64, i64)> = spans
            .into_iter()
            .map(|(length, error): (i64, i64)| {
                (length.saturating_add(error), length.saturating_sub(error))
            })
            .collect();
        spans.sort_unstable();
        spans.dedup();
        let mut soonest = i64::MAX;
        for (passed, soon) in spans.into_iter().rev() {
            soonest = soonest.min(soon);
            horizon.passed.push(passed);
            horizon.soonest.push(soonest);
        }
        horizon.passed.reverse();
        horizon.soonest.reverse();
        horizon
    }

    /// Adds a policy; its spans as so many seconds, give or take.
    fn add(&mut self, matcher: &Matcher<'_>, lengths: &mut Vec<(i64, i64)>) {
        let Policy {
            spans,
            protections,
            holds,
            access_lag,
            ..
        } = matcher.policy;
        let now = matcher.now.seconds();
        for (index, span) in spans.iter().enumerate() {
            // One that reaches further back than there is time is never passed.
            let Some(cutoff) = matcher.cutoff(index).filter(|at| *at > Stamp::MIN) else {
                continue;
            };
            let length = now.saturating_sub(cutoff.seconds());
            let error = match span {
                Span::Exact(_) => ROUNDED,
                Span::Months(_) => MONTHS_DIFFER,
            };
            let lag = i64::try_from(*access_lag).unwrap_or(i64::MAX);
            lengths.push((length, error));
            lengths.push((length.saturating_add(lag), error));
        }
        let ends = holds.iter().filter_map(|hold| hold.until);
        let ends = ends.map(Stamp::seconds).filter(|end| *end >= now - ROUNDED);
        self.until = ends.fold(self.until, |until, end| until.min(end - ROUNDED));
        let conditions = protections.iter().map(|of| &of.condition);
        let conditions = conditions.chain(holds.iter().map(|hold| &hold.condition));
        self.blind |= conditions.into_iter().any(reads_a_name);
    }

    /// The last second at which every statement says of the file what it says now, if its
    /// facts stay as they are; nothing where that may be over at once. In doubt it is
    /// sooner.
    pub(crate) fn of_file(
        &self,
        matcher: &Matcher<'_>,
        entry: &Entry,
        memberships: &[Membership],
    ) -> Option<i64> {
        let facts = entry.facts.as_ref().ok().filter(|_| !self.blind)?;
        let now = matcher.now.seconds();
        let stamps = [facts.modified, facts.changed, facts.accessed];
        let mut end = self.until;
        for stamp in stamps.into_iter().chain(facts.created) {
            end = end.min(self.next(stamp, now));
        }
        for place in memberships {
            let subject = subject(matcher.policy, entry, place)?;
            for capture in 0..subject.template.captures().len() {
                let stamp = matcher.reading(Clock::Capture(capture), subject);
                end = end.min(stamp.map_or(i64::MAX, |stamp| self.next(stamp, now)));
            }
        }
        (end > now).then_some(end)
    }

    /// The soonest that a stamp may pass one of the spans it has not certainly passed.
    fn next(&self, stamp: Stamp, now: i64) -> i64 {
        let age = now.saturating_sub(stamp.seconds());
        let next = self.passed.partition_point(|passed| *passed < age);
        let soonest = self.soonest.get(next);
        soonest.map_or(i64::MAX, |age| stamp.seconds().saturating_add(*age))
    }
}

/// Whether a condition reads a date out of a name.
fn reads_a_name(condition: &Condition) -> bool {
    let mut clocks = Vec::new();
    clocks_in(condition, &mut clocks);
    clocks
        .iter()
        .any(|clock| matches!(clock, Clock::Capture(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;
    use crate::entry::{Facts, FileId, Kind};
    use crate::path::RelPath;
    use crate::policy::{Environment, Protector, Verdict, load};
    use crate::time::Now;
    use proptest::prelude::*;

    const DAY: i64 = 86_400;

    const POLICY: &str = "edition 2026
timezone \"Europe/Berlin\"
type dated = date \"%Y-%m-%d\"
hold \"audit\" on \"h/**\" until 2026-05-01
collection all at \"{d}/{on: dated}.png\" {
    age is measured from {on}
    delete when older than 2 months and accessed more than 5 days ago
    keep for 9 weeks where {d} is \"k\"
    keep when modified within 36 hours
}
";

    proptest! {
        #[test]
        fn an_answer_stands_for_as_long_as_is_said(
            directory in prop::sample::select(vec!["a", "h", "k"]),
            on in 0..150_i64,
            ages in prop::array::uniform3(0..200_i64),
            hours in prop::array::uniform3(-2..30_i64),
            later in prop::collection::vec(0..5_000_i64, 8),
        ) {
            let source = Source::new("p.retain", POLICY);
            let policy = load(&source, Environment::nothing()).unwrap().policy;
            let begin = "2026-03-20T10:30:00Z".parse::<jiff::Timestamp>().unwrap();
            let at = |seconds: i64| Now::at(begin + jiff::SignedDuration::from_secs(seconds));
            let now = at(0);
            let stamp = |n: usize| {
                Stamp::new(now.stamp().seconds() - ages[n] * DAY - hours[n] * 3_600, 5)
            };
            let day = begin - jiff::SignedDuration::from_hours(24 * on);
            let path = format!("{directory}/{}.png", day.strftime("%Y-%m-%d"));
            let entry = Entry {
                path: RelPath::parse(&path).unwrap(),
                facts: Ok(Facts {
                    kind: Kind::File,
                    id: FileId { device: 1, inode: 2 },
                    size: 1,
                    allocated: 1,
                    modified: stamp(0),
                    changed: stamp(1),
                    accessed: stamp(2),
                    created: None,
                    links: 1,
                    mode: 0o100_644,
                    owner: 0,
                    group: 0,
                }),
            };
            let verdict = |now: &Now| {
                let matcher = Matcher::new(&policy, now);
                matcher.judge(&entry, &matcher.memberships(&entry.path))
            };
            let matcher = Matcher::new(&policy, &now);
            let places = matcher.memberships(&entry.path);
            let end = Horizon::of(&matcher).of_file(&matcher, &entry, &places);
            let first = verdict(&now);
            if first == Verdict::Kept(Protector::FutureClock) {
                return Ok(());
            }
            if let Some(end) = end {
                let all = end - now.stamp().seconds();
                // Somewhere on the way, and at the very end, but not years ahead.
                let way = all.min(900 * DAY);
                for part in later.into_iter().chain([5_000]) {
                    let then = at(way * part / 5_000);
                    prop_assert_eq!(verdict(&then), first, "{} {:?} {}", path, entry, then.timestamp());
                }
            }
        }
    }

    #[test]
    fn what_is_far_from_every_span_stands_for_long() {
        let source = Source::new("p.retain", POLICY);
        let policy = load(&source, Environment::nothing()).unwrap().policy;
        let now = Now::at("2026-03-20T10:30:00Z".parse().unwrap());
        let matcher = Matcher::new(&policy, &now);
        let horizon = Horizon::of(&matcher);
        let stamp = |days: i64| Stamp::new(now.stamp().seconds() - days * DAY, 0);
        let left = |days: i64| {
            let at = now.stamp().seconds();
            horizon.next(stamp(days), at) - at
        };
        // It is 36 hours to the first span, then 5 days, then 2 months at their shortest.
        assert_eq!(left(1), DAY / 2 - ROUNDED);
        assert_eq!(left(2), 3 * DAY - ROUNDED);
        assert_eq!(left(6), (59 - 6) * DAY - MONTHS_DIFFER);
        assert_eq!(left(100), i64::MAX - now.stamp().seconds());
    }
}
