//! Pressure: what goes when the disk or the store is too full, and how much of it.
//!
//! The plan lists the longest prefix of the stages that the estimate needs; applying
//! measures after every batch, may stop early, and never goes further.

use std::collections::HashSet;

use super::decide::{Disk, Planner};
use super::member::{Members, Removal};
use super::{Pressed, Unmet};
use crate::policy::{Mark, Stage, Truth};
use crate::units::Size;

impl Planner<'_, '_> {
    pub(super) fn relieve(&mut self, disk: Option<Disk>) {
        for pressure in &self.policy().pressures {
            match (pressure.mark, disk) {
                (Mark::Disk { .. }, None) => {
                    let rule = self.policy().rules.get(pressure.rule);
                    let rule = rule.map(ToString::to_string).unwrap_or_default();
                    self.note(
                        None,
                        format!("{rule}: how full the disk is cannot be measured here, so nothing is evicted for it"),
                    );
                }
                (Mark::Disk { above, below }, Some(disk)) => {
                    let total = disk.used.saturating_add(disk.available);
                    let percent = percent(disk.used, total);
                    if is_above(disk.used, total, above) {
                        let words = format!("the disk is {percent}% full, over {above}%");
                        let left = disk.used.saturating_sub(self.leaving_bytes());
                        let enough = |left: u64| is_below(left, total, below);
                        let end = format!("below {below}%");
                        self.press(
                            pressure.rule,
                            pressure.mark,
                            percent,
                            left,
                            &words,
                            &end,
                            &pressure.stages,
                            &enough,
                        );
                    }
                }
                (Mark::Store { above, below }, _) => {
                    let seen = self.store_bytes();
                    if seen > above {
                        let words = format!("the store holds {}, over {}", Size(seen), Size(above));
                        let left = seen.saturating_sub(self.leaving_bytes());
                        let enough = |left: u64| left < below;
                        let end = format!("below {}", Size(below));
                        self.press(
                            pressure.rule,
                            pressure.mark,
                            seen,
                            left,
                            &words,
                            &end,
                            &pressure.stages,
                            &enough,
                        );
                    }
                }
            }
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one story told once for each of two marks"
    )]
    fn press(
        &mut self,
        rule: usize,
        mark: Mark,
        seen: u64,
        mut left: u64,
        words: &str,
        end: &str,
        stages: &[Stage],
        enough: &dyn Fn(u64) -> bool,
    ) {
        let number = self.pressures.len();
        let mut order = Members::new();
        for stage in stages {
            if enough(left) {
                break;
            }
            for index in self.candidates(stage) {
                if enough(left) {
                    break;
                }
                let Some(member) = self.members.get(index) else {
                    continue;
                };
                let this = self.order_words(member, stage.collection, stage.order);
                let freed = member.freed();
                let place = member
                    .memberships
                    .iter()
                    .position(|place| place.collection == stage.collection);
                let reason = self.words.shared(&format!("{words}; {this}"));
                if let (Some(member), Some(membership)) = (self.members.get_mut(index), place) {
                    member.removal = Some(Removal {
                        membership,
                        rule,
                        reason,
                        pressure: Some(number),
                    });
                    order.push(index);
                    left = left.saturating_sub(freed);
                }
            }
        }
        if !enough(left) {
            self.unmet.push(Unmet {
                rule,
                group: String::new(),
                reason: format!(
                    "{words}, and evicting all that may go does not bring it {end}: protected files and files of other collections hold the rest"
                ),
            });
        }
        self.pressures.push(Pressed {
            rule,
            mark,
            seen,
            order,
        });
    }

    /// Unprotected members of a stage that would free something, in its order.
    fn candidates(&self, stage: &Stage) -> Members {
        let all = self.of_collection.get(stage.collection);
        let mut found: Members = all
            .into_iter()
            .flatten()
            .copied()
            .filter(|&index| !self.is_leaving(index))
            .filter(|&index| {
                self.members.get(index).is_some_and(|member| {
                    !member.is_protected()
                        && member.freed() > 0
                        && self.truth(&stage.condition, member, stage.collection) == Truth::True
                })
            })
            .collect();
        found.sort_by_cached_key(|&index| self.order_key(index, stage.collection, stage.order));
        found
    }

    /// What is freed by what goes already.
    fn leaving_bytes(&self) -> u64 {
        (0..self.members.len())
            .filter(|&index| self.is_leaving(index))
            .filter_map(|index| self.members.get(index))
            .filter(|member| member.unit().is_none())
            .fold(self.freed, |sum, member| sum.saturating_add(member.freed()))
    }

    /// Allocated bytes of all the store's files; one with several names counts once.
    fn store_bytes(&self) -> u64 {
        let mut seen = HashSet::new();
        let entries = self.inventory().entries.iter();
        entries
            .filter_map(|entry| entry.facts.as_ref().ok())
            .filter(|facts| facts.links <= 1 || seen.insert(facts.id))
            .fold(0u64, |sum, facts| sum.saturating_add(facts.allocated))
    }
}

/// Percent in use, rounded up as `df` does.
fn percent(used: u64, total: u64) -> u64 {
    let percent = (u128::from(used) * 100).div_ceil(u128::from(total.max(1)));
    u64::try_from(percent).unwrap_or(100)
}

/// Whether strictly more than so many percent are in use.
pub fn is_above(used: u64, total: u64, percent: u64) -> bool {
    u128::from(used) * 100 > u128::from(total) * u128::from(percent)
}

/// Whether strictly less than so many percent are in use.
pub fn is_below(used: u64, total: u64, percent: u64) -> bool {
    u128::from(used) * 100 < u128::from(total) * u128::from(percent)
}
