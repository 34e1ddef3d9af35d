//! Puts steps into pages as they are found, and the pages in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::btree_map::Entry;
use std::iter::Peekable;
use std::sync::Arc;

use super::arena::{Arena, Place};
use super::page::Writer;
use super::{Page, Spool, Statements, Steps, Sums};
use crate::path::RelPath;
use crate::plan::Step;

/// Steps of a page at most: that many are read to get at one of them.
pub(super) const PAGE: u32 = 256;

/// Steps on their way into a plan.
///
/// Each is written into its page at once, so that nothing of it remains but some sixty
/// bytes. A page has steps of one directory in ascending order, as a walk finds them.
#[derive(Clone, Debug, Default)]
pub struct Packer {
    arena: Arena,
    /// The last one may still be open.
    pages: Vec<Draft>,
    open: Option<Open>,
    /// How many times a step came before the one before it.
    run: u32,
    sums: Sums,
    statements: Statements,
}

/// A page before it has its place among the others. They order by where they begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Draft {
    first: RelPath,
    /// Pages of one run are in order.
    run: u32,
    steps: u32,
    place: Place,
}

/// The page that is being written.
#[derive(Clone, Debug)]
struct Open {
    writer: Writer,
    /// The last path, in memory of its own: nothing of what is written is kept.
    last: Vec<u8>,
    /// How much of it is the directory.
    directory: usize,
}

impl Packer {
    /// One whose steps go into a file when they are many.
    pub fn spooling(spool: Option<Arc<Spool>>) -> Packer {
        Packer {
            arena: Arena::with(spool),
            ..Packer::default()
        }
    }

    /// The same spool for one that has none yet.
    pub(in crate::plan) fn spool_in(&mut self, spool: Option<&Arc<Spool>>) {
        self.arena.spool_in(spool);
    }

    /// Adds a step behind the others.
    pub fn push(&mut self, step: &Step) {
        self.sums.add(step);
        let of_statement = self.statements.entry(step.ruling.rule).or_default();
        of_statement.add(step);
        self.write(step);
    }

    /// Says that steps are missing, and why.
    pub(super) fn troubled_by(&mut self, trouble: Option<&str>) {
        self.arena.troubled_by(trouble);
    }

    fn write(&mut self, step: &Step) {
        let path = step.path.as_bytes();
        let directory = step.path.directory();
        if let (Some(open), Some(page)) = (&mut self.open, self.pages.last_mut()) {
            let ascends = open.last.as_slice() < path;
            self.run += u32::from(!ascends);
            let is_beside = open.last.get(..open.directory) == Some(directory);
            if ascends && page.steps < PAGE && is_beside {
                open.writer.write(step, self.arena.end());
                open.last.clear();
                open.last.extend_from_slice(path);
                page.steps += 1;
                return;
            }
        }
        if self.open.is_none() {
            // Nobody knows what it comes behind.
            self.run += 1;
        }
        self.close();
        let place = self.arena.begin();
        let to = self.arena.end();
        let mut writer = Writer::begin(directory, to);
        writer.write(step, to);
        self.pages.push(Draft {
            first: step.path.clone(),
            run: self.run,
            steps: 1,
            place,
        });
        self.open = Some(Open {
            writer,
            last: path.to_vec(),
            directory: directory.len(),
        });
    }

    /// Ends the page that is being written.
    fn close(&mut self) {
        if let (Some(_), Some(page)) = (self.open.take(), self.pages.last_mut()) {
            page.place = self.arena.close(page.place);
        }
    }

    /// Adds what another has, which writes into the same file.
    pub(in crate::plan) fn absorb(&mut self, mut more: Packer) {
        self.close();
        more.close();
        let before = self.arena.absorb(more.arena);
        let run = self.run + 1;
        self.pages.extend(more.pages.into_iter().map(|page| Draft {
            run: run + page.run,
            place: page.place.behind(before),
            ..page
        }));
        self.run = run + more.run;
        self.sums.add_all(more.sums);
        for (statement, more) in more.statements {
            self.statements.entry(statement).or_default().add_all(more);
        }
    }

    /// The steps in the order they came in.
    pub fn in_order(mut self) -> Steps {
        self.close();
        let sums = (self.sums, self.statements);
        Steps::bound(self.arena, self.pages.iter().map(Draft::bound), sums)
    }

    /// The steps in the order of their paths, each once, and behind them others in theirs.
    pub(in crate::plan) fn in_path_order(mut self, mut behind: Packer) -> Steps {
        self.close();
        behind.close();
        let of_path = self.pages.len();
        self.absorb(behind);
        let Packer {
            mut arena,
            mut pages,
            mut run,
            mut sums,
            mut statements,
            ..
        } = self;
        let behind = pages.split_off(of_path);
        let mut bound = Bound::default();
        let mut pages = Ascending::new(pages);
        while let Some(page) = pages.pop() {
            let Some(next) = pages.peek().filter(|next| page.may_reach(next)) else {
                bound.add(page, &mut arena);
                continue;
            };
            let next = next.first.clone();
            let mut steps = arena.read(page.place);
            if steps.last().is_some_and(|last| last.path < next) {
                bound.add(page, &mut arena);
                continue;
            }
            run += 1;
            let again = |page: Draft| Draft { run, ..page };
            if page.first.is_beside(&next) {
                // Two lists of one directory's names become one.
                if let Some(other) = pages.pop() {
                    steps.append(&mut arena.read(other.place));
                }
                steps.sort_by(|a, b| a.path.cmp(&b.path));
                steps.dedup_by(|twice, step| {
                    let is_twice = twice.path == step.path;
                    if is_twice {
                        sums.subtract(twice);
                        if let Entry::Occupied(mut of) = statements.entry(twice.ruling.rule)
                            && !of.get_mut().subtract(twice)
                        {
                            of.remove();
                        }
                    }
                    is_twice
                });
                pages.add(pack(&mut arena, &steps).into_iter().map(again));
                continue;
            }
            // What lies in the directory's directories comes between its own names.
            let (before, after) = steps.split_at(steps.partition_point(|step| step.path < next));
            for page in pack(&mut arena, before) {
                bound.add(page, &mut arena);
            }
            pages.add(pack(&mut arena, after).into_iter().map(again));
        }
        for page in behind {
            bound.add(page, &mut arena);
        }
        let last = bound.last.iter().map(Draft::bound);
        let pages = bound.pages.into_iter().chain(last);
        Steps::bound(arena, pages, (sums, statements))
    }
}

/// Pages in ascending order, to which some come back.
struct Ascending {
    /// A walk leaves them in long runs up or down, which are merged; a heap would take them
    /// all apart first.
    sorted: Peekable<std::vec::IntoIter<Draft>>,
    again: BinaryHeap<Reverse<Draft>>,
}

impl Ascending {
    fn new(mut pages: Vec<Draft>) -> Ascending {
        pages.sort();
        Ascending {
            sorted: pages.into_iter().peekable(),
            again: BinaryHeap::new(),
        }
    }

    fn add(&mut self, pages: impl Iterator<Item = Draft>) {
        self.again.extend(pages.map(Reverse));
    }

    fn peek(&mut self) -> Option<&Draft> {
        let again = self.again.peek().map(|Reverse(page)| page);
        self.sorted.peek().into_iter().chain(again).min()
    }

    fn pop(&mut self) -> Option<Draft> {
        let Some(Reverse(page)) = self.again.peek() else {
            return self.sorted.next();
        };
        let sorted = self.sorted.next_if(|sorted| sorted <= page);
        sorted.or_else(|| self.again.pop().map(|Reverse(page)| page))
    }
}

/// Writes steps into pages of their own.
fn pack(arena: &mut Arena, steps: &[Step]) -> Vec<Draft> {
    let mut packer = Packer {
        arena: std::mem::take(arena),
        ..Packer::default()
    };
    steps.iter().for_each(|step| packer.write(step));
    packer.close();
    *arena = packer.arena;
    packer.pages
}

impl Draft {
    /// Whether steps of a page that begins later may come before the end of this one.
    fn may_reach(&self, later: &Draft) -> bool {
        let directory = self.first.directory();
        let rest = later.first.as_bytes().strip_prefix(directory);
        let lies_in = rest.is_some_and(|rest| directory.is_empty() || rest.starts_with(b"/"));
        let is_twice = self.first == later.first;
        is_twice || self.run != later.run && self.steps > 1 && lies_in
    }

    fn bound(&self) -> Page {
        Page {
            place: self.place,
            steps: self.steps,
        }
    }
}

/// Pages in their final order, such as they would be had the steps come in it: the digest
/// is over them.
#[derive(Default)]
struct Bound {
    pages: Vec<Page>,
    /// The one behind them, which may have room for steps of the next one.
    last: Option<Draft>,
}

impl Bound {
    fn add(&mut self, page: Draft, arena: &mut Arena) {
        let Some(last) = self.last.take() else {
            self.last = Some(page);
            return;
        };
        if last.steps == PAGE || !last.first.is_beside(&page.first) {
            self.pages.push(last.bound());
            self.last = Some(page);
            return;
        }
        let mut steps = arena.read(last.place);
        steps.append(&mut arena.read(page.place));
        let mut again = pack(arena, &steps);
        self.last = again.pop();
        self.pages.extend(again.iter().map(Draft::bound));
    }
}
