//! What a policy says that its author hardly meant, as far as one statement beside
//! another shows it. None of this stops a policy from running.

use super::Checker;
use crate::diagnostic::Diagnostic;
use crate::policy::ast::Measure;
use crate::policy::ir::{Bound, Clock, Collection, Condition, Direction, Holds, Side, Test, Wait};
use crate::units::Span;

/// Whether a condition can be decided without looking at a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fixed {
    Always,
    Never,
    Open,
}

impl Checker<'_> {
    /// Looks at a policy that has no errors; on a broken one it would report shadows.
    pub(super) fn lint(&mut self) {
        if self.has_errors() {
            return;
        }
        let collections = std::mem::take(&mut self.policy.collections);
        for collection in &collections {
            self.never_true(collection);
            self.dead(collection);
            self.floor_against_ceiling(collection);
            self.unguarded_wipe(collection);
            self.mixed_clocks(collection);
            self.delete_anyway(collection);
        }
        self.policy.wait = self.shortest_wait(&collections);
        self.policy.collections = collections;
        let protections = std::mem::take(&mut self.policy.protections);
        for protection in &protections {
            if self.fixed(&protection.condition) == Fixed::Never {
                self.warn(
                    "R0401",
                    protection.rule,
                    "this protects nothing: its condition is never true",
                    "no file is both; join the two with `or`, or leave the statement out",
                );
            }
        }
        self.policy.protections = protections;
    }

    fn warn(&mut self, code: &'static str, rule: usize, message: &str, help: &str) {
        self.warn_beside(code, rule, message, help, None);
    }

    fn warn_beside(
        &mut self,
        code: &'static str,
        rule: usize,
        message: &str,
        help: &str,
        other: Option<(usize, &str)>,
    ) {
        let Some((source, at)) = self.places.get(rule).cloned() else {
            return;
        };
        let finding = Diagnostic::warning(code, &source, at, message).help(help);
        let beside = other.and_then(|(rule, words)| Some((self.places.get(rule)?, words)));
        let finding = match beside {
            Some(((file, at), words)) if file.name() == source.name() => {
                finding.also(at.clone(), words)
            }
            Some(_) | None => finding,
        };
        self.report(finding);
    }

    fn never_true(&mut self, collection: &Collection) {
        let conditions = collection
            .deletes
            .iter()
            .map(|d| (d.rule, &d.condition, true))
            .chain(
                collection
                    .keeps
                    .iter()
                    .map(|k| (k.rule, &k.condition, false)),
            )
            .chain(
                collection
                    .replaces
                    .iter()
                    .map(|r| (r.rule, &r.condition, true)),
            )
            .chain(
                collection
                    .floors
                    .iter()
                    .map(|f| (f.rule, &f.condition, false)),
            )
            .chain(
                collection
                    .limits
                    .iter()
                    .map(|l| (l.rule, &l.condition, false)),
            );
        for (rule, condition, removes) in conditions {
            match self.fixed(condition) {
                Fixed::Never => self.warn(
                    "R0401",
                    rule,
                    "this condition is never true, so the statement does nothing",
                    "no file is both; join the two with `or`, or leave the statement out",
                ),
                Fixed::Always if removes && !is_empty(condition) => self.warn(
                    "R0402",
                    rule,
                    "this condition is true of every file, so everything goes",
                    "every file is at least one of the two; join them with `and`, or say `delete always` if that is meant",
                ),
                Fixed::Always | Fixed::Open => {}
            }
        }
    }

    /// `keep always` beside what would remove, and keeps beside `keep always`.
    fn dead(&mut self, collection: &Collection) {
        let Some(always) = collection
            .keeps
            .iter()
            .find(|k| self.fixed(&k.condition) == Fixed::Always)
        else {
            return;
        };
        let beside = format!("already protects every file in `{}`", collection.name);
        let removing = collection
            .deletes
            .iter()
            .map(|d| d.rule)
            .chain(collection.limits.iter().map(|l| l.rule));
        let protecting = collection
            .keeps
            .iter()
            .filter(|keep| keep.rule != always.rule)
            .map(|keep| keep.rule)
            .chain(collection.floors.iter().map(|floor| floor.rule));
        let removing: Vec<usize> = removing.collect();
        let protecting: Vec<usize> = protecting.collect();
        for rule in removing {
            self.warn_beside(
                "R0405",
                rule,
                "this can never delete anything",
                "leave it out, or give the `keep` a condition",
                Some((always.rule, &beside)),
            );
        }
        for rule in protecting {
            self.warn_beside(
                "R0408",
                rule,
                "this keeps nothing that is not kept already",
                "leave it out, or give the other `keep` a condition",
                Some((always.rule, &beside)),
            );
        }
    }

    /// `keep newest 3` with `limit count to 2`.
    fn floor_against_ceiling(&mut self, collection: &Collection) {
        for limit in collection
            .limits
            .iter()
            .filter(|l| l.measure == Measure::Count)
        {
            let above = collection.floors.iter().find(|floor| {
                let Holds::Newest(count) = floor.holds else {
                    return false;
                };
                floor.per == limit.per
                    && is_empty(&floor.condition)
                    && is_empty(&limit.condition)
                    && count as u64 > limit.cap
            });
            if let Some(floor) = above {
                self.warn_beside(
                    "R0403",
                    limit.rule,
                    "this limit can never be met: a floor keeps more files than it allows",
                    "raise the limit to at least the floor, or lower the floor",
                    Some((floor.rule, "keeps more than that")),
                );
            }
        }
    }

    /// Everything goes, and nothing would stop it.
    fn unguarded_wipe(&mut self, collection: &Collection) {
        let disarmed = self.policy.breakers.iter().any(|breaker| {
            let here = breaker.collection.is_none_or(|index| {
                self.policy
                    .collections
                    .get(index)
                    .is_none_or(|c| c.name == collection.name)
            });
            here && breaker.bound == Bound::Never
        });
        let guarded = !collection.keeps.is_empty()
            || !collection.floors.is_empty()
            || !collection.hooks.is_empty()
            || !self.policy.protections.is_empty()
            || !self.policy.holds.is_empty();
        let wipe = collection
            .deletes
            .iter()
            .find(|delete| self.fixed(&delete.condition) == Fixed::Always);
        if let (Some(wipe), true, false) = (wipe, disarmed, guarded) {
            self.warn(
                "R0404",
                wipe.rule,
                "this deletes every file, without a backup, a protection or a breaker",
                "say what stays (`keep newest 10`), back files up first (`before delete, run backup into …`), or leave `stop never` out",
            );
        }
    }

    /// Two clocks in one collection: an age by one, a condition by another. Whoever says
    /// why means it.
    fn mixed_clocks(&mut self, collection: &Collection) {
        let Some(clock) = collection.clock else {
            return;
        };
        let of_collection = family(clock);
        let conditions = collection
            .deletes
            .iter()
            .map(|d| (d.rule, &d.condition))
            .chain(collection.keeps.iter().map(|k| (k.rule, &k.condition)));
        let mut ages = false;
        let mut others = Vec::new();
        for (rule, condition) in conditions {
            let mut clocks = Vec::new();
            clocks_of(condition, &mut clocks);
            ages |= clocks.contains(&clock);
            if let Some(other) = clocks
                .into_iter()
                .find(|other| family(*other) != of_collection)
            {
                others.push((rule, other));
            }
        }
        let explained = |rule: &usize| {
            let rule = self.policy.rules.get(*rule);
            rule.is_some_and(|rule| rule.because.is_some())
        };
        others.retain(|(rule, _)| ages && !explained(rule));
        for (rule, other) in others {
            let message = format!(
                "this asks when a file was {}, the collection's ages count from when it was {}",
                family(other),
                of_collection
            );
            self.warn(
                "R0407",
                rule,
                &message,
                "if both are meant, say so in `because`; otherwise write `older than` and `newer than`, which use the collection's clock",
            );
        }
    }

    fn delete_anyway(&mut self, collection: &Collection) {
        for hook in collection.hooks.iter().filter(|hook| hook.delete_anyway) {
            self.warn(
                "R0409",
                hook.rule,
                "a file whose backup fails goes all the same",
                "write `otherwise keep`: the file stays and the run says why",
            );
        }
    }

    /// The statement that waits least before it removes; how often a store is cleaned is
    /// the configuration's, so whoever knows both compares them.
    fn shortest_wait(&self, collections: &[Collection]) -> Option<Wait> {
        let removing = collections.iter().flat_map(|collection| {
            let deletes = collection.deletes.iter().map(|d| (d.rule, &d.condition));
            let replaces = collection.replaces.iter();
            deletes.chain(replaces.map(|replace| (replace.rule, &replace.condition)))
        });
        let waits = removing.filter_map(|(rule, condition)| {
            let age = self.wait_of(condition, true)?;
            Some((age, rule))
        });
        let (age, rule) = waits.min_by_key(|(age, _)| age.approximate_seconds())?;
        let (source, at) = self.places.get(rule)?.clone();
        Some(Wait { age, source, at })
    }

    /// The age a file must reach before a condition gives the answer `wanted`; none
    /// where no age delays it.
    fn wait_of(&self, condition: &Condition, wanted: bool) -> Option<Span> {
        let (parts, all) = match condition {
            Condition::Not(part) => return self.wait_of(part, !wanted),
            Condition::Test(Test::Age {
                direction, span, ..
            }) => {
                let waits = (*direction == Direction::Older) == wanted;
                let span = self.policy.spans.get(*span).copied();
                return span.filter(|_| waits);
            }
            Condition::Test(_) => return None,
            Condition::All(parts) => (parts, wanted),
            Condition::Any(parts) => (parts, !wanted),
        };
        let waits = parts.iter().filter_map(|part| self.wait_of(part, wanted));
        match all {
            true => waits.max_by_key(|age| age.approximate_seconds()),
            false => waits.min_by_key(|age| age.approximate_seconds()),
        }
    }

    // What follows decides only what two tests on one value show; whatever it does not
    // see stays open.

    fn fixed(&self, condition: &Condition) -> Fixed {
        match condition {
            Condition::Test(_) => Fixed::Open,
            Condition::Not(part) => match self.fixed(part) {
                Fixed::Always => Fixed::Never,
                Fixed::Never => Fixed::Always,
                Fixed::Open => Fixed::Open,
            },
            Condition::All(parts) => self.joined(parts, Fixed::Never, true),
            Condition::Any(parts) => self.joined(parts, Fixed::Always, false),
        }
    }

    fn joined(&self, parts: &[Condition], decisive: Fixed, all: bool) -> Fixed {
        let fixed: Vec<Fixed> = parts.iter().map(|part| self.fixed(part)).collect();
        if fixed.contains(&decisive) || self.clash(parts, all) {
            return decisive;
        }
        match fixed.iter().all(|part| *part != Fixed::Open) {
            true if all => Fixed::Always,
            true => Fixed::Never,
            false => Fixed::Open,
        }
    }

    /// Whether two of the parts exclude each other (in `and`), or leave nothing out (in
    /// `or`: then their opposites exclude each other).
    fn clash(&self, parts: &[Condition], all: bool) -> bool {
        // Long lists are no pairs anybody wrote by mistake.
        let parts: Vec<(&Test, bool)> = parts
            .iter()
            .take(64)
            .filter_map(|part| match part {
                Condition::Test(test) => Some((test, all)),
                Condition::Not(inner) => match inner.as_ref() {
                    Condition::Test(test) => Some((test, !all)),
                    _ => None,
                },
                Condition::All(_) | Condition::Any(_) => None,
            })
            .collect();
        parts.iter().enumerate().any(|(index, one)| {
            let rest = parts.iter().skip(index + 1);
            rest.into_iter().any(|other| self.excludes(*one, *other))
        })
    }

    /// Whether no file has both answers.
    fn excludes(&self, (one, is): (&Test, bool), (other, is_other): (&Test, bool)) -> bool {
        match (one, other) {
            (
                Test::Capture { capture, values },
                Test::Capture {
                    capture: same,
                    values: others,
                },
            ) if capture == same => match (is, is_other) {
                (true, true) => !values.iter().any(|value| others.contains(value)),
                (true, false) => values.iter().all(|value| others.contains(value)),
                (false, true) => others.iter().all(|value| values.contains(value)),
                (false, false) => false,
            },
            (Test::Name(name), Test::Name(other)) => is && is_other && name != other,
            (Test::Owner(id, _), Test::Owner(other, _))
            | (Test::Group(id, _), Test::Group(other, _)) => is && is_other && id != other,
            (
                Test::Age {
                    clock,
                    direction,
                    span,
                },
                Test::Age {
                    clock: same,
                    direction: way,
                    span: bound,
                },
            ) if clock == same => {
                let seconds = |index: usize| {
                    let span = self.policy.spans.get(index);
                    span.map_or(0, |span| Span::approximate_seconds(*span))
                };
                // `not older than` is no newer than, up to the very instant.
                let at_least =
                    |direction: Direction, is: bool| (direction == Direction::Older) == is;
                let (low, high) = match (at_least(*direction, is), at_least(*way, is_other)) {
                    (true, false) => (seconds(*span), seconds(*bound)),
                    (false, true) => (seconds(*bound), seconds(*span)),
                    _ => return false,
                };
                // Older than `low` and not older than `high` leaves nothing between.
                low >= high
            }
            (
                Test::Size { comparison, bytes },
                Test::Size {
                    comparison: other,
                    bytes: bound,
                },
            ) => {
                let (a, b) = (
                    interval(*comparison, *bytes, is),
                    interval(*other, *bound, is_other),
                );
                a.1 < b.0 || b.1 < a.0
            }
            (
                Test::Dated {
                    clock, side, at, ..
                },
                Test::Dated {
                    clock: same,
                    side: way,
                    at: bound,
                    ..
                },
            ) if clock == same && is && is_other => match (side, way) {
                (Side::Before, Side::After | Side::From) => at <= bound,
                (Side::After | Side::From, Side::Before) => bound <= at,
                _ => false,
            },
            _ => false,
        }
    }
}

/// The lengths a size test leaves, from the least to the greatest; empty when the
/// first is greater than the second.
fn interval(comparison: crate::policy::ast::Comparison, bytes: u64, is: bool) -> (i128, i128) {
    use crate::policy::ast::Comparison::{AtLeast, AtMost, Over, Under};
    let bytes = i128::from(bytes);
    match (comparison, is) {
        (Over, true) | (AtMost, false) => (bytes + 1, i128::MAX),
        (AtLeast, true) | (Under, false) => (bytes, i128::MAX),
        (Under, true) | (AtLeast, false) => (0, bytes - 1),
        (AtMost, true) | (Over, false) => (0, bytes),
    }
}

/// A condition nobody wrote.
fn is_empty(condition: &Condition) -> bool {
    matches!(condition, Condition::All(parts) if parts.is_empty())
}

/// What a clock tells, in a word; two clocks of one word are no mixture.
fn family(clock: Clock) -> &'static str {
    match clock {
        Clock::LastModified | Clock::LastModifiedOrChanged | Clock::LastChanged => "modified",
        Clock::LastAccessed => "accessed",
        Clock::Created => "created",
        Clock::Capture(_) => "named for",
    }
}

fn clocks_of(condition: &Condition, clocks: &mut Vec<Clock>) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| clocks_of(part, clocks));
        }
        Condition::Not(part) => clocks_of(part, clocks),
        Condition::Test(Test::Age { clock, .. } | Test::Dated { clock, .. }) => clocks.push(*clock),
        Condition::Test(_) => {}
    }
}
