//! Work on files of many directories, shared out among threads.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::path::RelPath;

/// Threads at most: more of them wait for each other in the kernel.
const HANDS: usize = 4;

/// Files that are worth a thread.
const LOAD: usize = 512;

/// How many threads so many files are worth here.
pub(super) fn hands(files: usize) -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    cores.min(HANDS).min(files / LOAD).max(1)
}

/// Does the work on all items by so many threads, each a directory's worth or more at a
/// time. It has an answer for each item of a piece; the answers are in the order of the
/// items.
pub(super) fn shared_out<T: Sync, R: Send>(
    items: &[T],
    hands: usize,
    path: impl Fn(&T) -> &RelPath,
    work: impl Fn(&[T]) -> Vec<R> + Sync,
) -> Vec<Option<R>> {
    let loads = loads(items, path);
    let next = AtomicUsize::new(0);
    let hand = || {
        let mut done = Vec::new();
        while let Some(&(begin, load)) = loads.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((begin, work(load)));
        }
        done
    };
    thread::scope(|scope| {
        // Too few threads to be had make it slower, and nothing else.
        let more = || thread::Builder::new().spawn_scoped(scope, hand).ok();
        let hands: Vec<_> = (1..hands).map_while(|_| more()).collect();
        let mut all: Vec<Option<R>> = items.iter().map(|_| None).collect();
        let mut enter = |done: Vec<(usize, Vec<R>)>| {
            for (begin, answers) in done {
                for (place, answer) in all.iter_mut().skip(begin).zip(answers) {
                    *place = Some(answer);
                }
            }
        };
        enter(hand());
        for hand in hands {
            enter(hand.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        all
    })
}

/// Items in pieces, with where each begins; no two pieces share a directory's files
/// unless they do not come one after the other.
fn loads<T>(items: &[T], path: impl Fn(&T) -> &RelPath) -> Vec<(usize, &[T])> {
    let mut loads = Vec::new();
    let (mut begin, mut rest) = (0, items);
    while !rest.is_empty() {
        let ends = rest.windows(2).enumerate().skip(LOAD / 8);
        let end = ends
            .filter_map(|(at, pair)| match pair {
                [one, next] if !path(one).is_beside(path(next)) => Some(at + 1),
                _ => None,
            })
            .next();
        let (load, left) = rest.split_at(end.unwrap_or(rest.len()));
        loads.push((begin, load));
        (begin, rest) = (begin + load.len(), left);
    }
    loads
}
