//! Work on many files of a snapshot, one piece of them to each core.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

/// Fewer items than these are not worth a thread.
const LOAD: usize = 8192;

/// Does the work on so many items in pieces that follow each other; the answers are in
/// that order.
pub(super) fn in_parts<R: Send>(count: usize, work: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let size = count.div_ceil(cores.min(count / LOAD).max(1)).max(1);
    let mut pieces = (0..count).step_by(size);
    let piece = |begin: usize| work(begin..(begin + size).min(count));
    // The first one is this thread's own.
    let Some(own) = pieces.next() else {
        return Vec::new();
    };
    let piece = &piece;
    thread::scope(|scope| {
        let others: Vec<_> = pieces
            .map(|begin| {
                let thread = thread::Builder::new().name("plan".to_owned());
                let spawned = thread.spawn_scoped(scope, move || piece(begin));
                (begin, spawned)
            })
            .collect();
        let mut answers = vec![piece(own)];
        for (begin, spawned) in others {
            answers.push(match spawned {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                // Too few threads to be had make a slower plan, not a failed one.
                Err(_) => piece(begin),
            });
        }
        answers
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_follow_each_other_and_leave_nothing_out() {
        for count in [0, 1, LOAD, 5 * LOAD + 3] {
            let parts = in_parts(count, |part| part);
            let all: Vec<usize> = parts.into_iter().flatten().collect();
            assert!(all.into_iter().eq(0..count));
        }
    }
}
