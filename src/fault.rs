//! Named points at which a test kills the process, to see what a crash there leaves.
//!
//! Each write to the journal, sync, rename and unlink lies between the two ends of a
//! point. `RETAIN_FAULT=NAME:before:3` aborts the third time the beginning of that
//! point is reached. Release builds contain none of this: there, a point is only the
//! work it is about.

macro_rules! points {
    ($($point:ident $name:literal $what:literal,)*) => {
        /// A piece of work that is done or not done when the process dies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point { $(#[doc = $what] $point,)* }

        impl Point {
            /// Every point there is.
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            /// Its name in `RETAIN_FAULT`.
            pub fn name(self) -> &'static str {
                match self { $(Point::$point => $name,)* }
            }
        }
    };
}

points! {
    JournalBegin "journal-begin" "A run's beginning becomes durable.",
    JournalReceipts "journal-receipts" "Receipts become durable.",
    JournalIntents "journal-intents" "A batch's intents become durable.",
    JournalOutcomes "journal-outcomes" "A batch's outcomes become durable.",
    JournalFinish "journal-finish" "A run's end becomes durable.",
    JournalTrash "journal-trash" "What became of trashed files becomes durable.",
    JournalExpired "journal-expired" "Expired archives become durable.",
    RemoveReceipt "remove-receipt" "A receipt beside an expired archive is removed.",
    RemoveObject "remove-object" "An object of an expired archive is removed.",
    JournalHold "journal-hold" "A hold becomes durable.",
    JournalLatch "journal-latch" "A latch becomes durable.",
    MirrorWrite "mirror-write" "The draft of the mirror of holds is written and synced.",
    MirrorRename "mirror-rename" "The mirror of holds is replaced.",
    IndexWrite "index-write" "The trash's index is written and synced.",
    MoveToTrash "move-to-trash" "A file is renamed into the trash.",
    UnlinkTrashed "unlink-trashed" "A file is unlinked in the trash.",
    UnlinkDirect "unlink-direct" "A file is unlinked in its place.",
    PutBack "put-back" "A file is renamed out of the trash.",
    RemoveTrash "remove-trash" "A run's trash directory is removed.",
    PlanWrite "plan-write" "A plan that waits for a person is written and synced.",
    PutBeside "put-beside" "An archive gets its name beside the file it replaces.",
    Restored "restored" "A restored file gets its name.",
}

/// Does a piece of work between the two ends of a point.
#[inline]
pub(crate) fn around<T>(point: Point, work: impl FnOnce() -> T) -> T {
    reach(point, "before");
    let done = work();
    reach(point, "after");
    done
}

#[cfg(not(debug_assertions))]
#[inline]
fn reach(_: Point, _: &str) {}

#[cfg(debug_assertions)]
fn reach(point: Point, end: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Wanted {
        name: String,
        end: String,
        times: AtomicU32,
    }
    static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("RETAIN_FAULT").ok()?;
        let mut parts = text.split(':');
        Some(Wanted {
            name: parts.next()?.to_owned(),
            end: parts.next()?.to_owned(),
            times: AtomicU32::new(parts.next().map_or(Some(1), |n| n.parse().ok())?),
        })
    });
    let Some(wanted) = wanted else {
        return;
    };
    if wanted.name == point.name()
        && wanted.end == end
        && wanted.times.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // As a kill does it: no destructor runs, nothing is flushed.
        std::process::abort();
    }
}
