//! The calendar a policy counts by: its zone, its days and its spans.

use std::ops::Range;

use jiff::tz::TimeZone;

use super::{Checker, Loaded, Written};
use crate::diagnostic::{Diagnostic, Source};
use crate::policy::ast::{Item, Moment, Spanned};
use crate::time::Stamp;
use crate::units::Span;

impl Checker<'_> {
    /// The zone of the policy: one for all of its files.
    pub(super) fn timezone(&mut self, files: &[Loaded]) {
        let mut first: Option<(&Source, &Spanned<String>)> = None;
        for file in files {
            self.source = file.source.clone();
            let mut here = None;
            for statement in &file.tree.statements {
                let Item::Timezone(zone) = &statement.item else {
                    continue;
                };
                if here.replace(zone).is_some() {
                    self.error(
                        "R0203",
                        zone.at.clone(),
                        "the time zone is stated twice",
                        "remove one of the two",
                    );
                    continue;
                }
                match first {
                    Some((other, known)) if known.value != zone.value => {
                        let message = format!(
                            "`{}` keeps its calendar in `{}`, this file in `{}`",
                            other.name(),
                            known.value,
                            zone.value
                        );
                        self.error(
                            "R0203",
                            zone.at.clone(),
                            message,
                            "a policy has one time zone; use the same in all of its files",
                        );
                    }
                    Some(_) => {}
                    None => {
                        first = Some((&file.source, zone));
                        self.resolve_zone(zone);
                    }
                }
            }
        }
    }

    pub(super) fn resolve_zone(&mut self, zone: &Spanned<String>) {
        match TimeZone::get(&zone.value) {
            Ok(found) => self.policy.timezone = Some(found),
            Err(_) => {
                let message = format!("there is no time zone `{}`", zone.value);
                let known: Vec<String> = jiff::tz::db()
                    .available()
                    .map(|name| name.to_string())
                    .collect();
                let finding = Diagnostic::error("R0203", &self.source, zone.at.clone(), message)
                    .help("write a name of the IANA database such as `\"Europe/Berlin\"`, or `\"UTC\"`");
                self.unknown(finding, &zone.value, &known, Written::InQuotes);
                // One mistake, one message: do not ask for a zone that is there.
                self.policy.timezone = Some(TimeZone::UTC);
            }
        }
    }

    /// The calendar, for what needs one.
    pub(super) fn zone_for(&mut self, what: &str, at: &Range<usize>) -> TimeZone {
        if let Some(zone) = &self.policy.timezone {
            return zone.clone();
        }
        self.error(
            "R0204",
            at.clone(),
            format!("{what} a time zone"),
            "say where the calendar is kept: `timezone \"Europe/Berlin\"` (or `\"UTC\"`) at the top of the file",
        );
        self.policy.timezone = Some(TimeZone::UTC);
        TimeZone::UTC
    }

    /// The instant a written moment begins, and the one it is over.
    pub(super) fn instants(&mut self, moment: &Spanned<Moment>) -> Option<(Stamp, Stamp)> {
        let zone = self.zone_for("a date needs", &moment.at);
        let Moment { at, whole_day } = moment.value;
        let end = match whole_day {
            true => at
                .date()
                .tomorrow()
                .map(|day| day.to_datetime(jiff::civil::Time::midnight())),
            false => Ok(at),
        };
        let stamp = |at: jiff::civil::DateTime| {
            let zoned = at.to_zoned_datetime(zone.clone()).ok()?;
            Some(Stamp::from(zoned.timestamp()))
        };
        match (stamp(at), end.ok().and_then(stamp)) {
            (Some(begin), Some(end)) => Some((begin, end)),
            _ => {
                self.error(
                    "R0109",
                    moment.at.clone(),
                    "this day is out of the calendar's reach",
                    "write a year from 1 to 9998",
                );
                None
            }
        }
    }

    pub(super) fn span_index(&mut self, span: Span, at: &Range<usize>) -> usize {
        if matches!(span, Span::Months(_)) {
            self.zone_for("months and years need", at);
        }
        let next = self.policy.spans.len();
        let index = *self.spans.entry(span).or_insert(next);
        if index == next {
            self.policy.spans.push(span);
        }
        index
    }
}
