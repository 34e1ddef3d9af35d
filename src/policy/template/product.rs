//! Two runs of an automaton side by side: names with two readings, names two
//! templates share.
//!
//! A search over pairs of states, breadth first, so the name found is a shortest
//! one. Two readings differ when at some position one of them begins or ends a
//! capture and the other does not.

use std::collections::HashMap;
use std::rc::Rc;

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

/// The search was given up; the question is open, which counts as failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Pairs of states looked at before giving up.
const MAX_PAIRS: usize = 200_000;

/// Combinations of states looked at before giving up: about a tenth of a second.
const MAX_WORK: usize = 2_000_000;

/// Capture slots begun or ended at one position, as a bit set.
type Marks = u128;

/// A name that the template reads in two ways.
pub(super) fn ambiguous(nfa: &NFA) -> Result<Option<Vec<u8>>, TooLarge> {
    Search {
        left: Closures::new(nfa),
        right: Closures::new(nfa),
        want: Want::TwoReadings,
    }
    .run()
}

/// A name that both templates match.
pub(super) fn intersection(left: &NFA, right: &NFA) -> Result<Option<Vec<u8>>, TooLarge> {
    Search {
        left: Closures::new(left),
        right: Closures::new(right),
        want: Want::AnyMatch,
    }
    .run()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    TwoReadings,
    AnyMatch,
}

struct Search<'a> {
    left: Closures<'a>,
    right: Closures<'a>,
    want: Want,
}

/// Two states, and whether the readings have differed so far.
type Pair = (StateID, StateID, bool);

impl Search<'_> {
    fn run(mut self) -> Result<Option<Vec<u8>>, TooLarge> {
        let start: Pair = (
            self.left.nfa.start_anchored(),
            self.right.nfa.start_anchored(),
            false,
        );
        let mut seen: HashMap<Pair, Option<(Pair, u8)>> = HashMap::from([(start, None)]);
        let mut queue = std::collections::VecDeque::from([start]);
        let mut work = 0usize;
        while let Some(pair) = queue.pop_front() {
            let (lefts, rights) = (self.left.of(pair.0)?, self.right.of(pair.1)?);
            for &(left, left_marks) in lefts.iter() {
                for &(right, right_marks) in rights.iter() {
                    work += 1;
                    if work > MAX_WORK {
                        return Err(TooLarge);
                    }
                    let differs = pair.2 || left_marks != right_marks;
                    if self.left.is_match(left) && self.right.is_match(right) {
                        if differs || self.want == Want::AnyMatch {
                            return Ok(Some(witness(&seen, pair)));
                        }
                        continue;
                    }
                    for (byte, left, right) in steps(self.left.nfa, left, self.right.nfa, right) {
                        let next = (left, right, differs && self.want == Want::TwoReadings);
                        if seen.len() > MAX_PAIRS {
                            return Err(TooLarge);
                        }
                        seen.entry(next).or_insert_with(|| {
                            queue.push_back(next);
                            Some((pair, byte))
                        });
                    }
                }
            }
        }
        Ok(None)
    }
}

fn witness(seen: &HashMap<Pair, Option<(Pair, u8)>>, end: Pair) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut pair = end;
    while let Some(Some((previous, byte))) = seen.get(&pair) {
        bytes.push(*byte);
        pair = *previous;
    }
    bytes.reverse();
    bytes
}

/// For each state, the states that read a byte (or match) reachable without reading,
/// with the capture marks passed on the way.
struct Closures<'a> {
    nfa: &'a NFA,
    known: HashMap<StateID, Rc<[(StateID, Marks)]>>,
}

impl<'a> Closures<'a> {
    fn new(nfa: &'a NFA) -> Closures<'a> {
        Closures {
            nfa,
            known: HashMap::new(),
        }
    }

    fn is_match(&self, state: StateID) -> bool {
        matches!(self.nfa.state(state), State::Match { .. })
    }

    fn of(&mut self, state: StateID) -> Result<Rc<[(StateID, Marks)]>, TooLarge> {
        if let Some(known) = self.known.get(&state) {
            return Ok(Rc::clone(known));
        }
        let closure: Rc<[(StateID, Marks)]> = self.explore(state)?.into();
        self.known.insert(state, Rc::clone(&closure));
        Ok(closure)
    }

    fn explore(&self, from: StateID) -> Result<Vec<(StateID, Marks)>, TooLarge> {
        let mut reached = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let mut stack = vec![(from, 0)];
        while let Some((state, marks)) = stack.pop() {
            if !seen.insert((state, marks)) {
                continue;
            }
            match self.nfa.state(state) {
                State::Union { alternates } => {
                    stack.extend(alternates.iter().map(|&next| (next, marks)))
                }
                State::BinaryUnion { alt1, alt2 } => stack.extend([(*alt1, marks), (*alt2, marks)]),
                State::Capture { next, slot, .. } => {
                    let slot = u32::try_from(slot.as_usize()).map_err(|_| TooLarge)?;
                    let mark: Marks = 1u128.checked_shl(slot).ok_or(TooLarge)?;
                    stack.push((*next, marks | mark));
                }
                State::ByteRange { .. }
                | State::Sparse(_)
                | State::Dense(_)
                | State::Match { .. } => reached.push((state, marks)),
                State::Fail => {}
                // Templates contain no look-around; treating one as open keeps the answer safe.
                State::Look { .. } => return Err(TooLarge),
            }
        }
        Ok(reached)
    }
}

fn ranges(nfa: &NFA, state: StateID) -> Vec<(u8, u8, StateID)> {
    match nfa.state(state) {
        State::ByteRange { trans } => vec![(trans.start, trans.end, trans.next)],
        State::Sparse(sparse) => sparse
            .transitions
            .iter()
            .map(|trans| (trans.start, trans.end, trans.next))
            .collect(),
        State::Dense(dense) => (0..=u8::MAX)
            .filter_map(|byte| dense.matches_byte(byte).map(|next| (byte, byte, next)))
            .collect(),
        _ => Vec::new(),
    }
}

/// The bytes both states can read, one for each pair of transitions.
fn steps(
    left_nfa: &NFA,
    left: StateID,
    right_nfa: &NFA,
    right: StateID,
) -> Vec<(u8, StateID, StateID)> {
    let rights = ranges(right_nfa, right);
    let mut steps = Vec::new();
    for (start, end, next) in ranges(left_nfa, left) {
        for &(other_start, other_end, other_next) in &rights {
            let (low, high) = (start.max(other_start), end.min(other_end));
            if low <= high {
                steps.push((readable(low, high), next, other_next));
            }
        }
    }
    steps
}

/// A byte of the range that reads well in a message.
fn readable(low: u8, high: u8) -> u8 {
    *[b'a', b'A', b'0', b'1', b'_', b'.']
        .iter()
        .find(|byte| (low..=high).contains(byte))
        .unwrap_or(&low)
}
