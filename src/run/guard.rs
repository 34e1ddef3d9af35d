//! What stands between a plan and its first removal: latches, clocks, and whether a
//! saved plan is still the one it was.
//!
//! A run that looks wrong is refused as a whole and stays refused, whoever starts it
//! next, until a person has looked at what it would do.

use super::{Breaker, Job, RunError, Taken};
use crate::journal::{Cause, Journal, JournalError, Latch};
use crate::plan::Plan;
use crate::time::{Jump, Now};
use crate::units::Elapsed;

impl Taken<'_> {
    /// Whether this plan may be carried out. A plan that may not latches the store and
    /// is kept for a person to apply by its digest.
    pub fn pass_breaker(&mut self, now: &Now, breaker: Breaker) -> Result<(), RunError> {
        self.check_emptied(breaker)?;
        let plan = &self.planned.plan;
        let at = now.timestamp().to_string();
        let jump = match self.journal.clocks()? {
            Some(earlier) => self.clocks.jump_since(&earlier),
            None => None,
        };
        if let Some(latch) = self.journal.latch(&plan.store)? {
            let mended = match latch.cause {
                Cause::Clock => jump.is_none().then_some("the clock is right again"),
                Cause::Breaker => None,
            };
            let changed = (latch.policy != plan.policy).then_some("the policy is another one now");
            match mended.or(changed) {
                Some(reason) => {
                    self.journal.release_latch(&plan.store, &at, reason)?;
                    self.journal.forget_plan(&latch.plan);
                }
                // A person has named this very plan by its digest.
                None if breaker == Breaker::Released => return Ok(()),
                None => return Err(RunError::Latched(Box::new(latch))),
            }
        }
        if breaker == Breaker::Released {
            return Ok(());
        }
        let tripped = plan.tripped.iter().map(|tripped| tripped.reason.clone());
        let (cause, reason) = match jump {
            Some(jump) => (Cause::Clock, in_words(jump)),
            None => (Cause::Breaker, tripped.collect::<Vec<_>>().join("; ")),
        };
        if reason.is_empty() {
            return Ok(());
        }
        // What one request would do too much of is no sign that the store is in danger.
        if cause == Cause::Breaker && self.job.request.is_some() {
            return Err(RunError::Tripped {
                store: plan.store.clone(),
                plan: self.journal.keep_plan(plan)?,
                reason,
            });
        }
        let latch = Latch {
            store: plan.store.clone(),
            cause,
            since: at,
            policy: plan.policy.clone(),
            // The plan first: a latch without it could not be released.
            plan: self.journal.keep_plan(self.stated())?,
            reason,
        };
        self.journal.trip(&latch)?;
        Err(RunError::Latched(Box::new(latch)))
    }

    /// A person says that the store is empty because it was emptied.
    pub fn accept_emptied(&mut self) {
        self.emptied_accepted = true;
    }

    /// A store that was full of files and is empty now, without our doing, may be an
    /// unmounted volume whose mount point kept our mark.
    fn check_emptied(&self, breaker: Breaker) -> Result<(), RunError> {
        if self.found != Some(0) || self.emptied_accepted || breaker == Breaker::Released {
            return Ok(());
        }
        let plan = &self.planned.plan;
        match self.journal.left_by_last_run(&plan.store, &plan.policy)? {
            Some((run, left)) if left > 0 => Err(RunError::Emptied {
                store: plan.store.clone(),
                run: run.to_string(),
                left,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

fn in_words(jump: Jump) -> String {
    match jump {
        Jump::Back { seconds } => format!("the clock stepped back by {}", Elapsed(seconds)),
        Jump::Ahead { went, passed } => format!(
            "the clock jumped ahead: it went {} while {} passed",
            Elapsed(went),
            Elapsed(passed)
        ),
    }
}

/// A latch whose very plan was applied is released by that.
pub(super) fn released(journal: &mut Journal, plan: &Plan, at: &str) -> Result<(), JournalError> {
    if let Some(latch) = journal.latch(&plan.store)? {
        journal.release_latch(&plan.store, at, "a person applied its plan")?;
        journal.forget_plan(&latch.plan);
    }
    Ok(())
}

impl Job<'_> {
    /// Whether a saved plan was made under what holds now.
    pub(super) fn check_basis(&self, plan: &Plan) -> Result<(), RunError> {
        if plan.policy != self.policy.digest() {
            return Err(RunError::Plan(format!(
                "the policy `{}` or a variable it reads has changed since; make a new plan",
                self.store.policy.written
            )));
        }
        let now = self.basis();
        let names = plan.basis.keys().chain(now.keys());
        let mut changed: Vec<&str> = names
            .filter(|name| plan.basis.get(*name) != now.get(*name))
            .map(String::as_str)
            .collect();
        changed.sort_unstable();
        changed.dedup();
        match changed.is_empty() {
            true => Ok(()),
            false => Err(RunError::Plan(format!(
                "what it was made under has changed since: {}; make a new plan",
                changed.join(", ")
            ))),
        }
    }

    /// A plan is carried out once, and on the day it was made for; one that a latch
    /// waits for may wait.
    pub(super) fn check_age(
        &self,
        plan: &Plan,
        journal: &Journal,
        now: &Now,
    ) -> Result<(), RunError> {
        let digest = plan.digest();
        if let Some(run) = journal.run_of_plan(&digest)? {
            return Err(RunError::Plan(format!(
                "run {run} has carried it out; make a new plan"
            )));
        }
        let waits = journal
            .latch(&plan.store)?
            .is_some_and(|latch| latch.plan == digest);
        let expiry = self.config.plan_expiry.approximate_seconds();
        let age = plan.now.stamp().seconds_until(now.stamp());
        match age > expiry && !waits {
            true => Err(RunError::Plan(format!(
                "it was made {} ago and may be applied for {}; make a new plan, or set `plan_expiry` under `[state]`",
                Elapsed(age),
                Elapsed(expiry)
            ))),
            false => Ok(()),
        }
    }
}
