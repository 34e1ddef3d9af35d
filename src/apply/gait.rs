//! How gently a store is emptied, so that the application beside it does not feel it.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ioprio::{Class, Pid, Priority, Target};

use crate::cancel::Cancel;
use crate::config::{Io, Store};

/// How long a wait goes on before it asks whether somebody wishes the end.
const GLANCE: Duration = Duration::from_millis(50);

/// Seconds of removals at most in one batch: a batch that is in hand is finished before a
/// run ends, and it has to end soon.
const BATCH_SECONDS: usize = 4;

/// Does work with the disk priority of a store: this thread's, and that of threads it makes
/// meanwhile. What the kernel refuses is done as any other work.
///
/// Nothing that holds a lock others wait for belongs in here: `idle` may wait for long.
pub fn gently<T>(io: Io, work: impl FnOnce() -> T) -> T {
    let _restored = match io {
        Io::Normal => None,
        Io::Idle => Lowered::begin(),
    };
    work()
}

/// The priority this thread had, and gets back.
struct Lowered(Priority);

/// The calling thread, for ioprio_set(2).
const THIS_THREAD: Target = Target::Process(Pid::from_raw(0));

impl Lowered {
    fn begin() -> Option<Lowered> {
        let before = ioprio::get_priority(THIS_THREAD).ok()?;
        let lowered = ioprio::set_priority(THIS_THREAD, Priority::new(Class::Idle));
        match lowered {
            Ok(()) => Some(Lowered(before)),
            Err(error) => {
                tracing::warn!(%error, "`io = \"idle\"` is refused by the system");
                None
            }
        }
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        // Back up from idle needs no right, so this is refused only where lowering was.
        let _ = ioprio::set_priority(THIS_THREAD, self.0);
    }
}

/// How a run goes about its removals.
#[derive(Debug)]
pub struct Gait {
    io: Io,
    bucket: Option<RefCell<Bucket>>,
    rate: Option<NonZeroU32>,
    cancel: Cancel,
}

impl Gait {
    /// As a store is configured; once `cancel` is wished, nothing waits any more.
    pub fn of(store: &Store, cancel: &Cancel) -> Gait {
        let rate = store.max_removals_per_second;
        Gait {
            io: store.io,
            bucket: rate.map(|rate| RefCell::new(Bucket::full(rate, Instant::now()))),
            rate,
            cancel: cancel.clone(),
        }
    }

    /// As fast as it goes.
    pub fn free() -> Gait {
        Gait {
            io: Io::Normal,
            bucket: None,
            rate: None,
            cancel: Cancel::default(),
        }
    }

    /// The store's disk priority.
    pub fn io(&self) -> Io {
        self.io
    }

    /// Whether only so many files may go in a second.
    pub fn is_paced(&self) -> bool {
        self.rate.is_some()
    }

    /// Whether neither the disk's priority nor the number of files is held down.
    pub fn is_free(&self) -> bool {
        self.rate.is_none() && self.io == Io::Normal
    }

    /// Does work with the store's disk priority; see [`gently`].
    pub fn gently<T>(&self, work: impl FnOnce() -> T) -> T {
        gently(self.io, work)
    }

    /// The most steps of a batch.
    pub fn batch(&self) -> usize {
        self.rate.map_or(usize::MAX, |rate| {
            let rate = usize::try_from(rate.get()).unwrap_or(usize::MAX);
            rate.saturating_mul(BATCH_SECONDS)
        })
    }

    /// Waits until so many files may go. A directory that goes as a whole goes at once,
    /// after the time its files would have taken. Returns false where somebody wishes the
    /// end: then what is in hand is finished without waiting.
    pub fn wait(&self, files: usize) -> bool {
        let Some(bucket) = &self.bucket else {
            return !self.cancel.is_wished();
        };
        loop {
            if self.cancel.is_wished() {
                return false;
            }
            let mut bucket = bucket.borrow_mut();
            match bucket.take(files, Instant::now()) {
                None => return true,
                Some(wait) => std::thread::sleep(wait.min(GLANCE)),
            }
        }
    }
}

/// Tokens, one for each file. It holds a twentieth of what may go in a second, and is
/// filled with the other nineteen: so in no second more go than may, whether or not the run
/// had been busy elsewhere before. Below twenty a second it holds a single one.
#[derive(Debug)]
struct Bucket {
    /// Time worth of tokens in it; negative while it pays for a whole directory.
    filled: Duration,
    /// What it holds.
    most: Duration,
    /// The time one token takes to come.
    each: Duration,
    /// When it was looked into.
    at: Instant,
}

impl Bucket {
    fn full(rate: NonZeroU32, now: Instant) -> Bucket {
        let rate = rate.get();
        let (held, rate) = match rate / 20 {
            0 => (1, rate),
            held => (held, rate - held),
        };
        // Rounded up: a nanosecond too little would let one more go now and then.
        let each = Duration::from_secs(1) / rate + Duration::from_nanos(1);
        let most = each.saturating_mul(held);
        Bucket {
            filled: most,
            most,
            each,
            at: now,
        }
    }

    /// Takes tokens, or says how long until there are enough; more than it holds are taken
    /// when their time has passed.
    fn take(&mut self, files: usize, now: Instant) -> Option<Duration> {
        let files = u32::try_from(files).unwrap_or(u32::MAX);
        let price = self.each.saturating_mul(files);
        let most = self.most.max(price);
        self.filled = most.min(self.filled + now.saturating_duration_since(self.at));
        self.at = now;
        match self.filled.checked_sub(price) {
            Some(left) => {
                self.filled = left;
                None
            }
            None => Some(price - self.filled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: u32, now: Instant) -> Bucket {
        Bucket::full(NonZeroU32::new(rate).unwrap(), now)
    }

    #[test]
    fn in_no_second_more_go_than_may() {
        for rate in [1, 2, 19, 20, 50, 1_000] {
            let begun = Instant::now();
            let mut bucket = bucket(rate, begun);
            let mut now = begun;
            let mut gone: Vec<Duration> = Vec::new();
            // A run that is busy elsewhere for a while now and then.
            while now.duration_since(begun) < Duration::from_secs(7) {
                if let Some(wait) = bucket.take(1, now) {
                    now += wait;
                    continue;
                }
                gone.push(now.duration_since(begun));
                if gone.len().is_multiple_of(3 * rate as usize) {
                    now += Duration::from_millis(700);
                }
            }
            let most = gone.iter().map(|from| {
                let second = *from..*from + Duration::from_secs(1);
                gone.iter().filter(|at| second.contains(at)).count()
            });
            let most = u32::try_from(most.max().unwrap()).unwrap();
            assert!(most <= rate, "{most} of {rate}");
            assert!(most * 10 >= rate * 9, "only {most} of {rate}");
        }
    }

    #[test]
    fn a_whole_directory_waits_for_the_time_its_files_would_take() {
        let now = Instant::now();
        let mut bucket = bucket(10, now);
        let wait = bucket.take(100, now).unwrap();
        assert_eq!(wait.as_millis(), 9_900);
        assert_eq!(bucket.take(100, now + wait), None);
        assert!(bucket.take(1, now + wait).is_some());
    }

    #[test]
    fn a_wish_to_end_ends_a_wait() {
        let cancel = Cancel::default();
        let now = Instant::now();
        let gait = Gait {
            io: Io::Normal,
            bucket: Some(RefCell::new(bucket(1, now))),
            rate: NonZeroU32::new(1),
            cancel: cancel.clone(),
        };
        assert_eq!(gait.batch(), 4);
        assert!(gait.wait(1));
        let helper = std::thread::spawn(move || cancel.cancel());
        assert!(!gait.wait(3_600));
        helper.join().unwrap();
        assert!(now.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn idle_holds_for_the_work_and_for_the_threads_it_makes() {
        let class = || ioprio::get_priority(THIS_THREAD).unwrap();
        let before = class();
        let idle = Priority::new(Class::Idle);
        let (here, there) = gently(Io::Idle, || {
            let there = std::thread::scope(|scope| scope.spawn(class).join().unwrap());
            (class(), there)
        });
        assert_eq!((here, there), (idle, idle));
        assert_eq!(class().class(), before.class());
        assert_ne!(gently(Io::Normal, class), idle);
    }
}
