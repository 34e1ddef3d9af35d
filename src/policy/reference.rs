//! Section 5 of the language read aloud: what a policy does to a tree, decided from the
//! syntax tree in the slowest and most obvious way.
//!
//! No automaton, no index, no cleverness, and none of the code it is held against: it
//! reads templates letter by letter, asks every statement of every file, and counts
//! every group anew. Property tests compare its answers with the planner's.

use std::collections::{BTreeMap, BTreeSet};

use jiff::ZonedDateTime;

use super::ast::{
    Clock, Collection, Comparison, Condition, DownTo, Fate, File, Fill, Item, Keep, Limit, Literal,
    Measure, Member, Operand, Order, Period, PressureOn, Shape, Spanned, Stage, StampOf, Test,
    Value, When, Who,
};
use crate::entry::{Entry, Facts};
use crate::time::Stamp;
use crate::units::Span;

/// What a tree looks like, and when.
pub(crate) struct World<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) now: ZonedDateTime,
    /// Bytes of the disk in use, and bytes left.
    pub(crate) disk: Option<(u64, u64)>,
}

/// True, false, or not known.
type Answer = Option<bool>;

/// Which of a group's things, newest first, a floor holds.
/// Where a condition stands, and so whose captures and clock it speaks of.
#[derive(Clone, Copy)]
enum Place<'t> {
    /// In a collection.
    Collection(usize),
    /// At file level, behind this template; there is no clock there.
    File(&'t str),
}

type Held<'a> = &'a dyn Fn(&[(usize, Stamp)]) -> Vec<usize>;

/// Something that goes or stays: a file, or a whole directory with its files.
#[derive(Clone)]
struct Thing {
    path: String,
    /// Its files; of a file, itself.
    files: BTreeSet<String>,
    facts: Option<Facts>,
    /// Where it is a member, with the captures found.
    places: Vec<(usize, BTreeMap<String, String>)>,
}

pub(crate) struct Reference<'a> {
    collections: Vec<&'a Collection>,
    protections: Vec<(String, Option<&'a Condition>)>,
    pressures: Vec<&'a super::ast::Pressure>,
    types: BTreeMap<String, &'a Shape>,
    world: World<'a>,
    things: Vec<Thing>,
}

/// What becomes of every file: those that are not named stay.
pub(crate) fn decide(file: &File, world: World<'_>) -> BTreeMap<String, Fate> {
    let mut reference = Reference {
        collections: Vec::new(),
        protections: Vec::new(),
        pressures: Vec::new(),
        types: BTreeMap::new(),
        world,
        things: Vec::new(),
    };
    for statement in &file.statements {
        match &statement.item {
            Item::Collection(collection) => reference.collections.push(collection),
            Item::Protect { template, filter } => {
                reference
                    .protections
                    .push((template.value.clone(), filter.as_ref()));
            }
            Item::Hold(hold) => {
                let over = hold.until.as_ref().is_some_and(|until| {
                    let end = match until.value.whole_day {
                        true => until
                            .value
                            .at
                            .date()
                            .tomorrow()
                            .unwrap()
                            .to_datetime(jiff::civil::Time::midnight()),
                        false => until.value.at,
                    };
                    reference.instant(end) <= reference.now()
                });
                let template = hold
                    .template
                    .as_ref()
                    .map_or("**", |template| &template.value);
                if !over {
                    reference
                        .protections
                        .push((template.to_owned(), hold.filter.as_ref()));
                }
            }
            Item::Type(definition) => {
                reference
                    .types
                    .insert(definition.name.value.clone(), &definition.shape);
            }
            Item::Pressure(pressure) => reference.pressures.push(pressure),
            _ => {}
        }
    }
    reference.things = reference.enter();
    reference.run()
}

impl Reference<'_> {
    fn now(&self) -> Stamp {
        Stamp::from(self.world.now.timestamp())
    }

    fn instant(&self, at: jiff::civil::DateTime) -> Stamp {
        let zone = self.world.now.time_zone().clone();
        Stamp::from(at.to_zoned_datetime(zone).unwrap().timestamp())
    }

    fn run(&self) -> BTreeMap<String, Fate> {
        let kept = self.kept();
        let free = |index: usize| {
            !self.things[index]
                .files
                .iter()
                .any(|file| kept.contains(file))
        };
        let mut gone: BTreeSet<String> = BTreeSet::new();
        let alive = |index: usize, gone: &BTreeSet<String>| {
            !self.things[index]
                .files
                .iter()
                .any(|file| gone.contains(file))
        };
        // Doomed = { f : some delete in scope is true } without Protected.
        for (index, thing) in self.things.iter().enumerate() {
            let doomed = thing.places.iter().any(|(collection, captures)| {
                self.members(*collection).any(|member| match member {
                    Member::Delete(When::Always) => true,
                    Member::Delete(When::If(condition)) => {
                        self.holds(condition, thing, captures, Place::Collection(*collection))
                            == Some(true)
                    }
                    _ => false,
                })
            });
            if doomed && free(index) {
                gone.extend(thing.files.iter().cloned());
            }
        }
        // Limits from the narrowest scope to the widest; those with a condition first.
        // Whole directories first, then by name.
        let mut order: Vec<usize> = (0..self.collections.len()).collect();
        order.sort_by_key(|&index| {
            let collection = self.collections[index];
            (
                !collection.template.value.ends_with('/'),
                &collection.name.value,
            )
        });
        for collection in order {
            let mut limits: Vec<&Limit> = self
                .members(collection)
                .filter_map(|member| match member {
                    Member::Limit(limit) => Some(limit),
                    _ => None,
                })
                .collect();
            limits.sort_by_key(|limit| {
                let per: BTreeSet<_> = limit.per.iter().map(|name| &name.value).collect();
                let cap = amount(&limit.cap.value);
                (
                    std::cmp::Reverse(per.len()),
                    limit.filter.is_none(),
                    limit.measure,
                    cap,
                )
            });
            for limit in limits {
                let counted = |index: &usize| {
                    let thing = &self.things[*index];
                    let place = self.place(thing, collection);
                    alive(*index, &gone)
                        && thing.facts.is_some()
                        && place.is_some_and(|captures| {
                            limit.filter.as_ref().is_none_or(|condition| {
                                self.holds(
                                    condition,
                                    thing,
                                    captures,
                                    Place::Collection(collection),
                                ) == Some(true)
                            })
                        })
                };
                let counted: Vec<usize> = (0..self.things.len()).filter(counted).collect();
                let mut groups: BTreeMap<Vec<String>, Vec<usize>> = BTreeMap::new();
                for index in counted {
                    groups
                        .entry(self.group(index, collection, &limit.per))
                        .or_default()
                        .push(index);
                }
                for group in groups.into_values() {
                    self.evict(limit, collection, group, &free, &mut gone);
                }
            }
        }
        for pressure in &self.pressures {
            self.relieve(pressure, &free, &mut gone);
        }
        let mut fates: BTreeMap<String, Fate> = gone
            .iter()
            .map(|path| (path.clone(), Fate::Delete))
            .collect();
        // Replaced: `keep` permits it, holds and protections do not.
        for thing in self.things.iter().filter(|thing| self.is_file(thing)) {
            let replaced = thing.places.iter().any(|(collection, captures)| {
                self.members(*collection).any(|member| match member {
                    Member::Replace(replace) => {
                        self.holds(
                            &replace.condition,
                            thing,
                            captures,
                            Place::Collection(*collection),
                        ) == Some(true)
                    }
                    _ => false,
                })
            });
            let whole = thing.facts.is_some_and(|facts| facts.links == 1);
            if replaced
                && whole
                && !gone.contains(&thing.path)
                && !self.is_protected(thing)
                && !self.is_unclear(thing)
            {
                fates.insert(thing.path.clone(), Fate::Replace);
            }
        }
        fates
    }

    // Things.

    fn enter(&self) -> Vec<Thing> {
        let mut things = Vec::new();
        let mut units: BTreeMap<(usize, String), Thing> = BTreeMap::new();
        for entry in self.world.entries {
            let path = entry.path.as_str().unwrap().to_owned();
            let mut places = Vec::new();
            for (index, collection) in self.collections.iter().enumerate() {
                let template = &collection.template.value;
                match template.strip_suffix('/') {
                    None => {
                        if let Some(captures) = self.captures(template, &path) {
                            places.push((index, captures));
                        }
                    }
                    Some(template) => {
                        // The outermost directory that matches is the unit.
                        let ends = path.match_indices('/').map(|(at, _)| at);
                        let found = ends
                            .filter_map(|end| {
                                Some((&path[..end], self.captures(template, &path[..end])?))
                            })
                            .next();
                        if let Some((directory, captures)) = found {
                            let unit =
                                units
                                    .entry((index, directory.to_owned()))
                                    .or_insert_with(|| Thing {
                                        path: directory.to_owned(),
                                        files: BTreeSet::new(),
                                        facts: None,
                                        places: vec![(index, captures)],
                                    });
                            unit.facts = match (unit.files.is_empty(), unit.facts, &entry.facts) {
                                (true, _, Ok(facts)) => Some(*facts),
                                (false, Some(sum), Ok(file)) => Some(Facts {
                                    size: sum.size + file.size,
                                    allocated: sum.allocated + file.allocated,
                                    modified: sum.modified.max(file.modified),
                                    changed: sum.changed.max(file.changed),
                                    accessed: sum.accessed.max(file.accessed),
                                    created: sum.created.zip(file.created).map(|(a, b)| a.max(b)),
                                    links: sum.links.max(file.links),
                                    // The directory's own, which the planner takes from it.
                                    ..sum
                                }),
                                _ => None,
                            };
                            unit.files.insert(path.clone());
                        }
                    }
                }
            }
            things.push(Thing {
                path: path.clone(),
                files: BTreeSet::from([path]),
                facts: entry.facts.as_ref().ok().copied(),
                places,
            });
        }
        things.extend(units.into_values());
        things.sort_by(|a, b| a.path.cmp(&b.path));
        things
    }

    fn is_file(&self, thing: &Thing) -> bool {
        thing.files.contains(&thing.path)
    }

    fn members(&self, collection: usize) -> impl Iterator<Item = &Member> {
        self.collections[collection]
            .members
            .iter()
            .map(|statement| &statement.item)
    }

    fn place<'t>(
        &self,
        thing: &'t Thing,
        collection: usize,
    ) -> Option<&'t BTreeMap<String, String>> {
        thing
            .places
            .iter()
            .find(|(index, _)| *index == collection)
            .map(|(_, captures)| captures)
    }

    fn group(&self, index: usize, collection: usize, per: &[Spanned<String>]) -> Vec<String> {
        let captures = self.place(&self.things[index], collection).unwrap();
        let names: BTreeSet<&String> = per.iter().map(|name| &name.value).collect();
        names
            .into_iter()
            .map(|name| captures[name].clone())
            .collect()
    }

    // Protection.

    /// Every file that something protects, floors and directories included.
    fn kept(&self) -> BTreeSet<String> {
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for thing in &self.things {
            let keeps = thing.places.iter().any(|(collection, captures)| {
                self.members(*collection).any(|member| match member {
                    Member::Keep(Keep::Always) => true,
                    Member::Keep(Keep::When(condition)) => {
                        self.holds(condition, thing, captures, Place::Collection(*collection))
                            != Some(false)
                    }
                    Member::Keep(Keep::For { span, filter }) => {
                        let young = self
                            .clock(*collection, thing, captures)
                            .map(|clock| clock > self.before(span));
                        let rest = match filter {
                            Some(condition) => self.holds(
                                condition,
                                thing,
                                captures,
                                Place::Collection(*collection),
                            ),
                            None => Some(true),
                        };
                        and(young, rest) != Some(false)
                    }
                    _ => false,
                })
            });
            if keeps || self.is_protected(thing) || self.is_unclear(thing) {
                kept.extend(thing.files.iter().cloned());
            }
        }
        for collection in 0..self.collections.len() {
            for member in self.members(collection) {
                match member {
                    Member::Keep(Keep::Newest { count, per, filter }) => {
                        let Value::Literal(Literal::Count(count)) = count.value else {
                            unreachable!()
                        };
                        kept.extend(self.floor(collection, per, filter.as_ref(), &|group| {
                            group
                                .iter()
                                .take(count as usize)
                                .map(|(index, _)| *index)
                                .collect()
                        }));
                    }
                    Member::Keep(Keep::Slots { slots, per, filter }) => {
                        kept.extend(self.floor(collection, per, filter.as_ref(), &|group| {
                            let mut held = Vec::new();
                            for (count, period) in slots {
                                let mut buckets: Vec<String> = Vec::new();
                                for (index, stamp) in group {
                                    let bucket = self.bucket(*period, *stamp);
                                    if !buckets.contains(&bucket) {
                                        buckets.push(bucket);
                                        if buckets.len() as u64 <= count.value {
                                            held.push(*index);
                                        }
                                    }
                                }
                            }
                            held
                        }));
                    }
                    _ => {}
                }
            }
        }
        // A directory with one protected member stays whole, and so do those that
        // share a file with it.
        loop {
            let more: Vec<String> = self
                .things
                .iter()
                .filter(|thing| thing.files.iter().any(|file| kept.contains(file)))
                .flat_map(|thing| thing.files.iter().cloned())
                .filter(|file| !kept.contains(file))
                .collect();
            if more.is_empty() {
                return kept;
            }
            kept.extend(more);
        }
    }

    fn floor(
        &self,
        collection: usize,
        per: &[Spanned<String>],
        filter: Option<&Condition>,
        held: Held<'_>,
    ) -> Vec<String> {
        let mut groups: BTreeMap<Vec<String>, Vec<(usize, Stamp)>> = BTreeMap::new();
        let mut kept = Vec::new();
        for (index, thing) in self.things.iter().enumerate() {
            let Some(captures) = self.place(thing, collection) else {
                continue;
            };
            // What has no clock, or one in the future, fills no place.
            let Some(stamp) = self
                .clock(collection, thing, captures)
                .filter(|s| *s <= self.now())
            else {
                continue;
            };
            match filter.map_or(Some(true), |condition| {
                self.holds(condition, thing, captures, Place::Collection(collection))
            }) {
                Some(true) => groups
                    .entry(self.group(index, collection, per))
                    .or_default()
                    .push((index, stamp)),
                None => kept.extend(thing.files.iter().cloned()),
                Some(false) => {}
            }
        }
        for mut group in groups.into_values() {
            group.sort_by(|(a, x), (b, y)| {
                y.cmp(x)
                    .then(self.things[*a].path.cmp(&self.things[*b].path))
            });
            for index in held(&group) {
                kept.extend(self.things[index].files.iter().cloned());
            }
        }
        kept
    }

    fn bucket(&self, period: Period, stamp: Stamp) -> String {
        let at = jiff::Timestamp::new(stamp.seconds(), 0)
            .unwrap()
            .to_zoned_datetime(self.world.now.time_zone().clone());
        match period {
            Period::Hourly => at.strftime("%Y-%m-%d %H").to_string(),
            Period::Daily => at.strftime("%Y-%m-%d").to_string(),
            Period::Weekly => at.strftime("%G-%V").to_string(),
            Period::Monthly => at.strftime("%Y-%m").to_string(),
            Period::Quarterly => format!("{} {}", at.year(), (at.month() - 1) / 3),
            Period::Yearly => at.strftime("%Y").to_string(),
        }
    }

    /// Whether some hold or protect in whose scope the thing lies is not false.
    fn is_protected(&self, thing: &Thing) -> bool {
        self.protections.iter().any(|(template, filter)| {
            let condition = |captures: &BTreeMap<String, String>| match filter {
                Some(condition) => self.holds(condition, thing, captures, Place::File(template)),
                None => Some(true),
            };
            let answer = match template.strip_suffix('/') {
                None => match self.captures(template, &thing.path) {
                    Some(captures) => condition(&captures),
                    None if self.nearly(template, &thing.path) => None,
                    None => Some(false),
                },
                Some(template) => {
                    let ends = thing.path.match_indices('/').map(|(at, _)| at);
                    let itself = self.captures(template, &thing.path);
                    let found = itself.or_else(|| {
                        ends.filter_map(|end| self.captures(template, &thing.path[..end]))
                            .next()
                    });
                    found.map_or(Some(false), |captures| condition(&captures))
                }
            };
            answer != Some(false)
        })
    }

    /// Whether the thing cannot be judged: its facts are missing, or a clock that a
    /// removing statement reads shows the future, or its collection's shows nothing.
    fn is_unclear(&self, thing: &Thing) -> bool {
        if thing.facts.is_none() {
            return true;
        }
        thing.places.iter().any(|(collection, captures)| {
            let own = self.collection_clock(*collection);
            if own.is_some() && self.clock(*collection, thing, captures).is_none() {
                return true;
            }
            let mut stamps: Vec<Option<Stamp>> = vec![self.clock(*collection, thing, captures)];
            for member in self.members(*collection) {
                match member {
                    Member::Delete(When::If(condition)) => {
                        self.stamps(condition, thing, captures, *collection, &mut stamps)
                    }
                    Member::Replace(replace) => self.stamps(
                        &replace.condition,
                        thing,
                        captures,
                        *collection,
                        &mut stamps,
                    ),
                    Member::Limit(limit) => {
                        if let Some(condition) = &limit.filter {
                            self.stamps(condition, thing, captures, *collection, &mut stamps);
                        }
                        if limit.order.value == Order::LeastRecentlyUsed {
                            stamps.push(thing.facts.map(|facts| facts.accessed));
                        }
                    }
                    _ => {}
                }
            }
            stamps.into_iter().flatten().any(|stamp| stamp > self.now())
        })
    }

    fn stamps(
        &self,
        condition: &Condition,
        thing: &Thing,
        captures: &BTreeMap<String, String>,
        collection: usize,
        stamps: &mut Vec<Option<Stamp>>,
    ) {
        match condition {
            Condition::All(parts) | Condition::Any(parts) => {
                parts
                    .iter()
                    .for_each(|part| self.stamps(part, thing, captures, collection, stamps));
            }
            Condition::Not(part) => self.stamps(part, thing, captures, collection, stamps),
            Condition::Test(test) => match &test.value {
                Test::Older(_) | Test::Newer(_) => {
                    stamps.push(self.clock(collection, thing, captures))
                }
                Test::MoreThanAgo(of, _)
                | Test::Within(of, _)
                | Test::StampBefore(of, _)
                | Test::StampAfter(of, _) => stamps.push(stamp(*of, thing)),
                Test::CaptureBefore(name, _) | Test::CaptureAfter(name, _) => {
                    stamps.push(self.date(&captures[&name.value]));
                }
                _ => {}
            },
        }
    }

    // Eviction.

    fn amount(&self, measure: Measure, group: &[usize]) -> u64 {
        match measure {
            Measure::Count => group.len() as u64,
            Measure::TotalSize => {
                // The bytes of a file with several names count once.
                let mut seen = BTreeSet::new();
                let facts = group.iter().map(|&index| self.things[index].facts.unwrap());
                facts
                    .filter(|f| f.links <= 1 || seen.insert((f.id.device, f.id.inode)))
                    .map(|f| f.allocated)
                    .sum()
            }
        }
    }

    fn evict(
        &self,
        limit: &Limit,
        collection: usize,
        group: Vec<usize>,
        free: &dyn Fn(usize) -> bool,
        gone: &mut BTreeSet<String>,
    ) {
        let cap = amount(&limit.cap.value);
        let down_to = match &limit.down_to {
            None => cap,
            Some(to) => match &to.value {
                DownTo::Percent(percent) => (cap * percent).div_ceil(100),
                DownTo::Value(value) => amount(value),
            },
        };
        let mut left = self.amount(limit.measure, &group);
        if left <= cap {
            return;
        }
        let (mut may_go, stays): (Vec<usize>, Vec<usize>) = group.iter().partition(|&&index| {
            free(index)
                && match limit.measure {
                    Measure::Count => true,
                    Measure::TotalSize => self.frees(index) > 0,
                }
        });
        // If the protected alone exceed the cap, no eviction can meet it.
        if self.amount(limit.measure, &stays) > cap {
            return;
        }
        self.sort(&mut may_go, collection, &limit.order.value);
        for index in may_go {
            if left <= down_to {
                return;
            }
            left -= match limit.measure {
                Measure::Count => 1,
                Measure::TotalSize => self.frees(index),
            };
            gone.extend(self.things[index].files.iter().cloned());
        }
    }

    fn frees(&self, index: usize) -> u64 {
        let facts = self.things[index].facts;
        facts
            .filter(|facts| facts.links <= 1)
            .map_or(0, |facts| facts.allocated)
    }

    fn sort(&self, group: &mut [usize], collection: usize, order: &Order) {
        group.sort_by(|&a, &b| {
            let (a, b) = (&self.things[a], &self.things[b]);
            let (x, y) = (a.facts.unwrap(), b.facts.unwrap());
            let captures = |thing| self.place(thing, collection).unwrap();
            let first = match order {
                Order::Oldest => self.clock(collection, a, captures(a)).cmp(&self.clock(
                    collection,
                    b,
                    captures(b),
                )),
                Order::Largest => y.size.cmp(&x.size),
                Order::Smallest => x.size.cmp(&y.size),
                Order::LeastRecentlyUsed => x.accessed.cmp(&y.accessed),
                Order::Lowest(name) => {
                    let value = |thing| captures(thing)[&name.value].clone();
                    let template = &self.collections[collection].template.value;
                    self.compare(template, &name.value, &value(a), &value(b))
                }
            };
            first.then(a.path.cmp(&b.path))
        });
    }

    fn relieve(
        &self,
        pressure: &super::ast::Pressure,
        free: &dyn Fn(usize) -> bool,
        gone: &mut BTreeSet<String>,
    ) {
        let files = || {
            self.things
                .iter()
                .enumerate()
                .filter(|(_, thing)| self.is_file(thing))
        };
        let freed = |gone: &BTreeSet<String>| -> u64 {
            files()
                .filter(|(_, t)| gone.contains(&t.path))
                .map(|(index, _)| self.frees(index))
                .sum()
        };
        let mut seen = BTreeSet::new();
        let store: u64 = files()
            .filter_map(|(_, thing)| thing.facts)
            .filter(|f| f.links <= 1 || seen.insert((f.id.device, f.id.inode)))
            .map(|f| f.allocated)
            .sum();
        let (seen, total) = match pressure.on {
            PressureOn::Store => (store, 0),
            PressureOn::Disk => match self.world.disk {
                Some((used, available)) => (used, used + available),
                None => return,
            },
        };
        let mark = |fill: &Spanned<Fill>| match &fill.value {
            Fill::Percent(percent) => *percent,
            Fill::Value(value) => amount(value),
        };
        let above = |left: u64, mark: u64| match pressure.on {
            PressureOn::Store => left > mark,
            PressureOn::Disk => u128::from(left) * 100 > u128::from(total) * u128::from(mark),
        };
        let below = |left: u64, mark: u64| match pressure.on {
            PressureOn::Store => left < mark,
            PressureOn::Disk => u128::from(left) * 100 < u128::from(total) * u128::from(mark),
        };
        if !above(seen, mark(&pressure.above)) {
            return;
        }
        let end = mark(&pressure.below);
        for stage in &pressure.stages {
            for index in self.candidates(stage, free, gone) {
                if below(seen.saturating_sub(freed(gone)), end) {
                    return;
                }
                gone.extend(self.things[index].files.iter().cloned());
            }
        }
    }

    fn candidates(
        &self,
        stage: &Stage,
        free: &dyn Fn(usize) -> bool,
        gone: &BTreeSet<String>,
    ) -> Vec<usize> {
        let named = |c: &&Collection| c.name.value == stage.collection.value;
        let collection = self.collections.iter().position(named).unwrap();
        let mut found: Vec<usize> = (0..self.things.len())
            .filter(|&index| {
                let thing = &self.things[index];
                let place = self.place(thing, collection);
                let wanted = place.is_some_and(|captures| {
                    stage.filter.as_ref().is_none_or(|condition| {
                        self.holds(condition, thing, captures, Place::Collection(collection))
                            == Some(true)
                    })
                });
                wanted
                    && free(index)
                    && self.frees(index) > 0
                    && !thing.files.iter().any(|file| gone.contains(file))
            })
            .collect();
        self.sort(&mut found, collection, &stage.order.value);
        found
    }

    // Conditions.

    fn holds(
        &self,
        condition: &Condition,
        thing: &Thing,
        captures: &BTreeMap<String, String>,
        place: Place<'_>,
    ) -> Answer {
        let ask = |part: &Condition| self.holds(part, thing, captures, place);
        match condition {
            Condition::Not(part) => ask(part).map(|answer| !answer),
            Condition::All(parts) => parts.iter().map(ask).fold(Some(true), and),
            Condition::Any(parts) => {
                let none = parts
                    .iter()
                    .map(ask)
                    .map(|answer| answer.map(|a| !a))
                    .fold(Some(true), and);
                none.map(|answer| !answer)
            }
            Condition::Test(test) => self.test(&test.value, thing, captures, place),
        }
    }

    fn test(
        &self,
        test: &Test,
        thing: &Thing,
        captures: &BTreeMap<String, String>,
        place: Place<'_>,
    ) -> Answer {
        let age = || match place {
            Place::Collection(collection) => self.clock(collection, thing, captures),
            Place::File(_) => None,
        };
        let template = match place {
            Place::Collection(collection) => &self.collections[collection].template.value,
            Place::File(template) => template,
        };
        let facts = thing.facts;
        let day = |moment: &super::ast::Moment, after: bool| match (moment.whole_day, after) {
            (true, true) => self.instant(
                moment
                    .at
                    .date()
                    .tomorrow()
                    .unwrap()
                    .to_datetime(jiff::civil::Time::midnight()),
            ),
            _ => self.instant(moment.at),
        };
        let is_after = |stamp: Stamp, moment: &super::ast::Moment| match moment.whole_day {
            true => stamp >= day(moment, true),
            false => stamp > day(moment, true),
        };
        match test {
            Test::Older(span) => age().map(|clock| clock < self.before(span)),
            Test::Newer(span) => age().map(|clock| clock > self.before(span)),
            Test::MoreThanAgo(of, span) => stamp(*of, thing).map(|clock| clock < self.before(span)),
            Test::Within(of, span) => stamp(*of, thing).map(|clock| clock > self.before(span)),
            Test::StampBefore(of, moment) => {
                stamp(*of, thing).map(|at| at < day(&moment.value, false))
            }
            Test::StampAfter(of, moment) => stamp(*of, thing).map(|at| is_after(at, &moment.value)),
            Test::Size(comparison, value) => facts.map(|facts| {
                let bytes = amount(&value.value);
                match comparison {
                    Comparison::Over => facts.size > bytes,
                    Comparison::Under => facts.size < bytes,
                    Comparison::AtLeast => facts.size >= bytes,
                    Comparison::AtMost => facts.size <= bytes,
                }
            }),
            Test::CaptureIs(name, value) => Some(captures[&name.value] == value.value),
            Test::CaptureIsNot(name, value) => Some(captures[&name.value] != value.value),
            Test::CaptureIn(name, values) => Some(
                values
                    .iter()
                    .any(|value| value.value == captures[&name.value]),
            ),
            Test::CaptureMatches(name, glob) => {
                Some(self.captures(&glob.value, &captures[&name.value]).is_some())
            }
            Test::CaptureOver(name, operand) | Test::CaptureUnder(name, operand) => {
                let Operand::Text(text) = &operand.value else {
                    unreachable!()
                };
                let order = self.compare(template, &name.value, &captures[&name.value], text);
                Some(match test {
                    Test::CaptureOver(..) => order.is_gt(),
                    _ => order.is_lt(),
                })
            }
            Test::CaptureBefore(name, moment) => self
                .date(&captures[&name.value])
                .map(|at| at < day(&moment.value, false)),
            Test::CaptureAfter(name, moment) => self
                .date(&captures[&name.value])
                .map(|at| is_after(at, &moment.value)),
            Test::PathMatches(glob) => Some(self.captures(&glob.value, &thing.path).is_some()),
            Test::NameIs(name) => Some(thing.path.rsplit('/').next() == Some(&name.value)),
            Test::OwnerIs(who) => facts.map(|facts| Who::Number(facts.owner.into()) == who.value),
            Test::GroupIs(who) => facts.map(|facts| Who::Number(facts.group.into()) == who.value),
        }
    }

    fn before(&self, span: &Spanned<Value>) -> Stamp {
        let Value::Literal(Literal::Span(span)) = &span.value else {
            unreachable!()
        };
        match span {
            Span::Exact(seconds) => self.now().minus_seconds(*seconds),
            Span::Months(months) => {
                let earlier = self
                    .world
                    .now
                    .checked_sub(jiff::Span::new().months(*months));
                Stamp::from(earlier.unwrap().timestamp())
            }
        }
    }

    fn collection_clock(&self, collection: usize) -> Option<&Clock> {
        self.members(collection).find_map(|member| match member {
            Member::Clock(clock) => Some(&clock.value),
            _ => None,
        })
    }

    fn clock(
        &self,
        collection: usize,
        thing: &Thing,
        captures: &BTreeMap<String, String>,
    ) -> Option<Stamp> {
        let facts = thing.facts;
        match self.collection_clock(collection)? {
            Clock::LastModified => Some(facts?.modified),
            Clock::LastModifiedOrChanged => facts.map(|f| f.modified.max(f.changed)),
            Clock::LastAccessed => Some(facts?.accessed),
            Clock::Created => facts?.created,
            Clock::Capture(name) => self.date(&captures[&name.value]),
        }
    }

    /// Dates are written `2026-03-10` in every tree that is tried.
    fn date(&self, value: &str) -> Option<Stamp> {
        let day: jiff::civil::Date = value.parse().ok()?;
        Some(self.instant(day.to_datetime(jiff::civil::Time::midnight())))
    }

    fn compare(&self, template: &str, name: &str, a: &str, b: &str) -> std::cmp::Ordering {
        match self.shape_of(template, name) {
            Some(Shape::Number) => a.parse::<u64>().unwrap().cmp(&b.parse().unwrap()),
            Some(Shape::Semver) => {
                let version = |text: &str| semver::Version::parse(text).unwrap();
                version(a).cmp_precedence(&version(b))
            }
            _ => a.cmp(b),
        }
    }

    fn shape_of(&self, template: &str, name: &str) -> Option<&Shape> {
        let typed = template.split('{').find_map(|part| {
            let inner = part.split('}').next()?;
            inner.strip_prefix(name)?.strip_prefix(':')
        })?;
        self.types.get(typed).copied()
    }

    // Templates.

    fn captures(&self, template: &str, path: &str) -> Option<BTreeMap<String, String>> {
        let template: Vec<&str> = template.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        self.components(&template, &path, true)
    }

    /// Whether only the captures' types are wrong.
    fn nearly(&self, template: &str, path: &str) -> bool {
        let template: Vec<&str> = template.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        self.components(&template, &path, false).is_some()
    }

    fn components(
        &self,
        template: &[&str],
        path: &[&str],
        strict: bool,
    ) -> Option<BTreeMap<String, String>> {
        match template {
            [] => path.is_empty().then(BTreeMap::new),
            ["**"] => (!path.is_empty()).then(BTreeMap::new),
            ["**", rest @ ..] => {
                (0..=path.len()).find_map(|skip| self.components(rest, &path[skip..], strict))
            }
            [first, rest @ ..] => {
                let (name, below) = path.split_first()?;
                let chars: Vec<char> = name.chars().collect();
                let first: Vec<char> = first.chars().collect();
                let mut here = self.letters(&first, &chars, strict)?;
                here.extend(self.components(rest, below, strict)?);
                Some(here)
            }
        }
    }

    fn letters(
        &self,
        template: &[char],
        name: &[char],
        strict: bool,
    ) -> Option<BTreeMap<String, String>> {
        match template {
            [] => name.is_empty().then(BTreeMap::new),
            ['*', rest @ ..] => {
                (0..=name.len()).find_map(|skip| self.letters(rest, &name[skip..], strict))
            }
            ['?', rest @ ..] => self.letters(rest, name.get(1..)?, strict),
            ['\\', c, rest @ ..] => {
                (name.first() == Some(c)).then(|| self.letters(rest, &name[1..], strict))?
            }
            ['{', ..] => {
                let close = template.iter().position(|c| *c == '}')?;
                let inner: String = template[1..close].iter().collect();
                let rest = &template[close + 1..];
                let (capture, shape) = match inner.split_once(':') {
                    Some((capture, shape)) => (capture.to_owned(), Some(shape.to_owned())),
                    None => (inner, None),
                };
                let least = usize::from(strict || shape.is_none());
                (least..=name.len()).find_map(|length| {
                    let value: String = name[..length].iter().collect();
                    let fits = match &shape {
                        Some(shape) => !strict || self.admits(shape, &value),
                        // Up to the character that follows it.
                        None => !strict || rest.first().is_none_or(|stop| !value.contains(*stop)),
                    };
                    let mut found = fits.then(|| self.letters(rest, &name[length..], strict))??;
                    found.insert(capture.clone(), value);
                    Some(found)
                })
            }
            [c, rest @ ..] => {
                (name.first() == Some(c)).then(|| self.letters(rest, &name[1..], strict))?
            }
        }
    }

    fn admits(&self, shape: &str, value: &str) -> bool {
        match self.types[shape] {
            Shape::OneOf(values) => values.iter().any(|one| one.value == value),
            Shape::Matching(_) => {
                !value.is_empty() && value.chars().all(|c| c.is_ascii_uppercase())
            }
            Shape::Date(_) => value.len() == 10 && self.date(value).is_some(),
            Shape::Number => !value.is_empty() && value.chars().all(|c| c.is_ascii_digit()),
            Shape::Semver => semver::Version::parse(value).is_ok(),
            Shape::User => !value.is_empty() && !value.starts_with('-'),
        }
    }
}

fn and(a: Answer, b: Answer) -> Answer {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn stamp(of: StampOf, thing: &Thing) -> Option<Stamp> {
    let facts = thing.facts?;
    match of {
        StampOf::Modified => Some(facts.modified),
        StampOf::Changed => Some(facts.changed),
        StampOf::Accessed => Some(facts.accessed),
        StampOf::Created => facts.created,
    }
}

fn amount(value: &Value) -> u64 {
    match value {
        Value::Literal(Literal::Size(size)) => size.0,
        Value::Literal(Literal::Count(count)) => *count,
        _ => unreachable!("policies that are tried write sizes and counts"),
    }
}
