//! Files that are decided on while the store is walked, by the threads that walk it.
//!
//! Most statements decide about a file by itself. Then what stays is only counted, and what
//! goes is a step at once: a plan over millions of files takes memory for those that go.
//! Statements that compare files have those they ask for laid aside or remembered, and
//! the planner decides about them when it knows them all.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::aside::Lot;
use super::asked::Asked;
use super::breaker::own;
use super::census::Questions;
use super::decide::{SINGLE, before_delete, hooks, is_spared, would_go, write_reason};
use super::known::{Known, Record, Sums};
use super::member::freed;
use super::passed::{Here, Passed, Scratch};
use super::used::Limits;
use super::words::Words;
use super::{Action, Hook, Indices, Spool, Step};
use crate::entry::{Entry, Facts, Kind, Symlinks, Visit};
use crate::path::RelPath;
use crate::policy::{Horizon, Mark, Matcher, Membership, Memberships, Protector, Verdict};
use crate::scan::{Below, Sift};

/// A policy's question to every name: is there a decision that needs others to be known?
#[derive(Debug)]
pub struct Sieve<'p> {
    matcher: Matcher<'p>,
    held: Arc<HashMap<RelPath, String>>,
    symlinks: Symlinks,
    /// Names that are asked for by themselves.
    named: HashSet<RelPath>,
    asked: Vec<Asked>,
    /// By collection: whether it has a `stop` of its own.
    own: Vec<bool>,
    hooks: Vec<(usize, Hook)>,
    /// Whether something has to be said of everything there is.
    everything: bool,
    /// Whether it matters which directories hold nothing.
    empties: bool,
    index: Option<Index>,
    /// What is counted of every file.
    questions: Option<Questions>,
    /// The budgets that count what is laid aside; nothing where nothing is.
    limits: Option<Limits>,
    /// Where steps lie that are too many for memory.
    spool: Option<Arc<Spool>>,
}

/// What is known of directories, and what is to be found out about them.
#[derive(Debug)]
struct Index {
    known: Known,
    horizon: Horizon,
    /// Directories that names lie in which are asked for by themselves.
    apart: HashSet<RelPath>,
}

impl<'p> Sieve<'p> {
    /// What a plan by this policy needs. The matcher knows the ledger's holds, `held` are
    /// its single files; `named` are names to remember whatever a policy says.
    pub fn new(
        matcher: Matcher<'p>,
        held: Arc<HashMap<RelPath, String>>,
        symlinks: Symlinks,
        named: HashSet<RelPath>,
    ) -> Sieve<'p> {
        let policy = matcher.policy;
        let measured = policy
            .pressures
            .iter()
            .any(|p| matches!(p.mark, Mark::Store { .. }));
        let units = policy.collections.iter().any(|c| c.template.is_directory());
        let collections = policy.collections.iter().enumerate();
        let everything = measured || units;
        let asked: Vec<Asked> = collections
            .map(|(index, of)| Asked::of(policy, index, of))
            .collect();
        let may_wait = |asked: &Asked| matches!(asked, Asked::Counted | Asked::Floored);
        // An archive in its file's place is counted by the path that had, which is not
        // known yet.
        let lays_aside = asked.iter().any(may_wait) && !everything && named.is_empty();
        Sieve {
            limits: lays_aside.then(|| Limits::of(policy)),
            asked,
            own: own(policy),
            hooks: hooks(policy),
            everything,
            empties: policy.collections.iter().any(|c| c.empties.is_some()),
            matcher,
            held,
            symlinks,
            named,
            index: None,
            questions: None,
            spool: None,
        }
    }

    /// The same that has a place for more steps than memory should hold.
    pub fn spooling(self, spool: Arc<Spool>) -> Sieve<'p> {
        Sieve {
            spool: Some(spool),
            ..self
        }
    }

    /// The same that counts all files, also by the values of captures with these names if
    /// there are any to go by. Then every one is looked at.
    pub fn counting(self, by: Option<&[String]>) -> Sieve<'p> {
        Sieve {
            questions: Some(Questions::new(self.matcher.policy, by)),
            index: None,
            ..self
        }
    }

    /// The same with what an earlier run knew, by the same policy, holds and configuration;
    /// what this one knows is found out.
    pub fn knowing(self, known: Known) -> Sieve<'p> {
        let index = Index {
            known,
            horizon: Horizon::of(&self.matcher),
            apart: self.named.iter().filter_map(RelPath::parent).collect(),
        };
        Sieve {
            // What has to be said of everything there is, is found out by looking.
            index: (!self.everything && !self.empties).then_some(index),
            ..self
        }
    }

    /// What the walk may find below a directory.
    pub fn visit(&self, directory: &RelPath) -> Visit {
        self.matcher.visit(directory)
    }

    /// What is done with a file that a statement takes, and why.
    pub(super) fn step(
        &self,
        entry: &Entry,
        memberships: &[Membership],
        (place, rule, floors): (&Membership, usize, Indices),
        reason: &str,
        part: &mut Passed,
    ) -> Option<Step> {
        let collection = self.matcher.policy.collections.get(place.collection)?;
        let lies_in = |of| memberships.iter().any(|place| place.collection == of);
        let hooks = before_delete(&self.hooks, lies_in);
        let Scratch { words, rulings, .. } = &mut part.scratch;
        let words = words.get_or_insert_with(Words::new);
        Some(Step {
            path: entry.path.clone(),
            stands_for: None,
            facts: *entry.facts.as_ref().ok()?,
            action: Action::Remove,
            ruling: rulings.of_file(collection, &entry.path, place, rule, (hooks, floors)),
            reason: words.shared(reason),
        })
    }

    /// What is done with a file that a `delete` takes.
    pub(super) fn doomed(
        &self,
        entry: &Entry,
        memberships: &[Membership],
        (membership, rule, floors): (usize, usize, Indices),
        part: &mut Passed,
    ) -> Option<Step> {
        let place = memberships.get(membership)?;
        let mut reason = std::mem::take(&mut part.scratch.reason);
        write_reason(&self.matcher, entry, place, rule, &mut reason);
        let by = (place, rule, floors);
        let step = self.step(entry, memberships, by, &reason, part);
        part.scratch.reason = reason;
        step
    }

    /// Counts a file that goes, and adds its step.
    pub(super) fn goes(&self, step: &Step, memberships: &[Membership], part: &mut Passed) {
        let places: SmallVec<[usize; 4]> = memberships.iter().map(|p| p.collection).collect();
        part.totals.covered.add(&step.facts);
        part.counted.add(&self.own, &places, Some(&step.facts));
        part.freed = part.freed.saturating_add(freed(&step.facts));
        part.scratch.here.until = None;
        part.steps.spool_in(self.spool.as_ref());
        part.steps.push(step);
    }

    fn stays(&self, facts: &Facts, memberships: &[Membership], is_spared: bool, sums: &mut Sums) {
        sums.covered.add(facts);
        if is_spared {
            sums.protected.add(facts);
        }
        let own = |place: &Membership| self.own.get(place.collection) == Some(&true);
        sums.without_own += u64::from(!memberships.iter().any(own));
        for place in memberships {
            sums.of_collection.add(place.collection, 1);
        }
    }

    /// The same for one that was laid aside.
    pub(super) fn stays_aside(
        &self,
        entry: &Entry,
        memberships: &[Membership],
        is_open: bool,
        sums: &mut Sums,
    ) {
        let Ok(facts) = &entry.facts else { return };
        let is_spared = !is_open && would_go(&self.matcher, entry, memberships);
        sums.names += 1;
        self.stays(facts, memberships, is_spared, sums);
    }

    pub(super) fn matcher(&self) -> &Matcher<'p> {
        &self.matcher
    }

    /// The budgets that count what is laid aside; nothing where nothing is.
    pub(super) fn limits(&self) -> Option<&Limits> {
        self.limits.as_ref()
    }

    fn note(&self, path: &RelPath, part: &mut Passed) {
        part.scratch.here.sums.names += 1;
        self.occupy(path, part);
    }

    /// Notes that something lies in a path's directory.
    fn occupy(&self, path: &RelPath, part: &mut Passed) {
        if self.empties
            && part
                .occupied
                .last()
                .is_none_or(|last| !last.is_parent_of(path))
        {
            part.occupied.extend(path.parent());
        }
    }
}

impl Sift for Sieve<'_> {
    type Part = Passed;
    /// The collections a name lies in, where that was asked.
    type Place = Option<Memberships>;

    fn passes(
        &self,
        path: &RelPath,
        kind: Kind,
        place: &mut Option<Memberships>,
        part: &mut Passed,
    ) -> bool {
        if self.everything || self.named.contains(path) {
            return false;
        }
        if self.questions.is_some() && self.symlinks.admits(kind) {
            return false;
        }
        let memberships = self.place(path, kind, part);
        if memberships.is_empty() {
            self.pass(path, self.symlinks.admits(kind), part);
            return true;
        }
        *place = Some(memberships);
        false
    }

    fn keeps(&self, entry: &Entry, place: Option<Memberships>, part: &mut Passed) -> bool {
        let place = match &self.questions {
            Some(questions) => self.count(questions, entry, part),
            None => place,
        };
        let keeps = self.decide(entry, place, part);
        if keeps {
            part.scratch.here.until = None;
        }
        keeps
    }

    fn keeps_directories(&self) -> bool {
        self.everything || self.empties
    }

    fn may_know_leaf(&self, path: &RelPath) -> bool {
        let known = self.index.as_ref().map(|index| &index.known);
        known.is_some_and(|known| known.is_leaf(path))
    }

    fn stats_directories(&self) -> bool {
        self.keeps_directories() || self.index.is_some()
    }

    fn begin(&self, path: &RelPath, facts: Option<&Facts>, part: &mut Passed) -> Option<Below> {
        part.scratch.here = Here::default();
        let Some(record) = facts.and_then(|facts| self.record(path, facts)) else {
            part.scratch.here.within = self.matcher.within(path);
            return None;
        };
        part.add(&record.sums);
        let below = record.below.clone();
        part.known.push((path.clone(), record));
        Some(below)
    }

    fn end(&self, path: &RelPath, facts: Option<&Facts>, below: Option<Below>, part: &mut Passed) {
        let Here { sums, until, .. } = std::mem::take(&mut part.scratch.here);
        part.add(&sums);
        if let (Some(_), Some(facts)) = (&self.index, facts)
            && let (Some(below), Some(until)) = (below, until)
        {
            let now = self.matcher.now.seconds();
            let record = Record::of(facts, now, until, sums, below);
            part.known
                .extend(record.map(|record| (path.clone(), Arc::new(record))));
        }
    }
}

impl Sieve<'_> {
    /// The collections a name lies in; none where it is no file.
    fn place(&self, path: &RelPath, kind: Kind, part: &Passed) -> Memberships {
        let within = &part.scratch.here.within;
        match self.symlinks.admits(kind) {
            true => self.matcher.memberships_within(within, path),
            false => Memberships::new(),
        }
    }

    /// What is known of all that lies in a directory.
    fn record(&self, path: &RelPath, facts: &Facts) -> Option<Arc<Record>> {
        let Index { known, apart, .. } = self.index.as_ref()?;
        let record = known.of(path, facts, self.matcher.now.seconds())?;
        (!apart.contains(path)).then(|| Arc::clone(record))
    }

    /// Is done with a name that no collection has, and that nobody has looked at.
    fn pass(&self, path: &RelPath, is_file: bool, part: &mut Passed) {
        self.note(path, part);
        part.scratch.here.sums.uncovered += u64::from(is_file);
    }

    /// Counts a file; where it lies.
    fn count(
        &self,
        questions: &Questions,
        entry: &Entry,
        part: &mut Passed,
    ) -> Option<Memberships> {
        let facts = entry.facts.as_ref().ok()?;
        let memberships = self.place(&entry.path, facts.kind, part);
        questions.count(&self.matcher, entry, &memberships, &mut part.census);
        Some(memberships)
    }

    /// Counts what is remembered towards the budgets and floors that files are laid aside for.
    fn remember(&self, entry: &Entry, memberships: &[Membership], part: &mut Passed) {
        if let Some(limits) = &self.limits {
            let remembered = &mut part.remembered;
            remembered.count(limits, &self.matcher, entry, memberships);
            part.floors_remembered |= self.may_be_floored(entry, memberships);
        }
    }

    /// Whether budgets of a file's collections count what it takes.
    fn is_counted(&self, memberships: &[Membership]) -> bool {
        memberships.iter().any(|place| {
            let collection = self.matcher.policy.collections.get(place.collection);
            collection.is_some_and(|of| !of.limits.is_empty())
        })
    }

    /// Whether an entry is remembered for other decisions; if not, it is decided on.
    fn decide(&self, entry: &Entry, place: Option<Memberships>, part: &mut Passed) -> bool {
        if self.everything || self.named.contains(&entry.path) {
            return true;
        }
        // A file system may tell what a name is by nothing but a `statx`, and it may be
        // something else by now: then it is asked about here.
        let kind = entry.facts.as_ref().map_or(Kind::File, |facts| facts.kind);
        let place = place.filter(|_| self.symlinks.admits(kind));
        let memberships = place.unwrap_or_else(|| self.place(&entry.path, kind, part));
        if memberships.is_empty() {
            match (&entry.facts, &self.questions) {
                (Ok(facts), Some(_)) if self.symlinks.admits(kind) => {
                    self.note(&entry.path, part);
                    part.totals.uncovered.add(facts);
                }
                _ => self.pass(&entry.path, self.symlinks.admits(kind), part),
            }
            return false;
        }
        let Ok(facts) = &entry.facts else {
            // A date in its name may be all that a floor asks for.
            self.remember(entry, &memberships, part);
            return true;
        };
        let asked = memberships
            .iter()
            .filter_map(|place| self.asked.get(place.collection))
            .fold(Asked::None, |all, asked| all.and(*asked));
        let lays_aside = self.limits.is_some();
        if asked == Asked::All || asked == Asked::Floored && !lays_aside {
            self.remember(entry, &memberships, part);
            return true;
        }
        let verdict = match self.held.contains_key(&entry.path) {
            true => Verdict::Kept(Protector::Held(SINGLE)),
            false => self.matcher.judge(entry, &memberships),
        };
        let told = match verdict {
            Verdict::Kept(Protector::FutureClock | Protector::NoClock) => true,
            Verdict::Kept(_) => self.matcher.has_future_clock(entry, &memberships),
            Verdict::Doomed { .. } | Verdict::Open => false,
        };
        let stays = !matches!(verdict, Verdict::Doomed { .. });
        let is_floored = asked == Asked::Floored;
        let is_asked = is_floored || stays && asked != Asked::None;
        // The bytes of a file with several names are counted once.
        let is_plain = lays_aside
            && matches!(asked, Asked::Counted | Asked::Floored)
            && (facts.links == 1 || !self.is_counted(&memberships));
        if told || is_asked && !is_plain {
            self.remember(entry, &memberships, part);
            return true;
        }
        if let (true, Some(limits)) = (is_asked, &self.limits) {
            let lot = match verdict {
                Verdict::Kept(_) => Lot::Kept,
                Verdict::Open => Lot::Open,
                Verdict::Doomed { .. } => Lot::Doomed,
            };
            self.occupy(&entry.path, part);
            part.scratch.here.until = None;
            let aside = &mut part.aside;
            if !is_floored {
                let is_open = lot == Lot::Open;
                aside.used.count(limits, &self.matcher, entry, &memberships);
                self.stays_aside(entry, &memberships, is_open, &mut aside.sums);
            }
            aside.pack((entry, facts), lot, is_floored, self.spool.as_ref());
            return false;
        }
        let step = match verdict {
            Verdict::Doomed { membership, rule } => {
                let by = (membership, rule, Indices::new());
                let step = self.doomed(entry, &memberships, by, part);
                // A statement that is not there dooms nothing.
                let Some(step) = step else { return true };
                Some(step)
            }
            Verdict::Kept(_) | Verdict::Open => None,
        };
        self.note(&entry.path, part);
        match &step {
            Some(step) => self.goes(step, &memberships, part),
            None => {
                let is_spared = is_spared(&self.matcher, entry, &memberships, verdict);
                let Here { sums, until, .. } = &mut part.scratch.here;
                self.stays(facts, &memberships, is_spared, sums);
                if let Some(Index { horizon, .. }) = &self.index {
                    *until = until
                        .zip(horizon.of_file(&self.matcher, entry, &memberships))
                        .map(|(until, of_file)| until.min(of_file));
                }
            }
        }
        false
    }
}
