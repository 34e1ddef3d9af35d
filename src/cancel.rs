//! A wish that work under way should end, for whoever does the work to ask about.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A wish to end, shared by all its clones; nobody has it to begin with.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Wishes it. There is no way back.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody has wished it.
    pub fn is_wished(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
