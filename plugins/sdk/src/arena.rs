//! Memory that is only ever taken.
//!
//! An instance serves one call and is thrown away with all it has. What a reviewer is told of
//! its files is a handful of short texts for each, and finding room for every one of them and
//! giving it back takes longer than many a reviewer needs for its answer.

use std::alloc::{GlobalAlloc, Layout};
use std::arch::wasm32::memory_grow;
use std::cell::Cell;
use std::ptr;

/// Bytes of a page of memory.
const PAGE: usize = 1 << 16;

/// Pages that are asked for at once, as long as as many are to be had.
const PAGES: usize = 16;

struct Arena {
    /// The first byte that is free.
    next: Cell<usize>,
    /// The first byte that is not ours.
    end: Cell<usize>,
}

#[global_allocator]
static ARENA: Arena = Arena { next: Cell::new(0), end: Cell::new(0) };

// SAFETY: a component has one thread.
unsafe impl Sync for Arena {}

impl Arena {
    /// Takes bytes that begin at a multiple of `align`, a power of two.
    fn take(&self, align: usize, size: usize) -> Option<usize> {
        loop {
            let at = self.next.get().checked_next_multiple_of(align)?;
            let end = at.checked_add(size)?;
            if end <= self.end.get() {
                self.next.set(end);
                return Some(at);
            }
            self.grow(size.checked_add(align)?)?;
        }
    }

    fn grow(&self, size: usize) -> Option<()> {
        let needed = size.div_ceil(PAGE);
        let asked = |pages| match memory_grow::<0>(pages) {
            usize::MAX => None,
            before => Some((before.checked_mul(PAGE)?, before.checked_add(pages)?)),
        };
        let (begin, end) = asked(needed.max(PAGES)).or_else(|| asked(needed))?;
        // Whoever else asks for memory lies in between.
        if begin != self.end.get() {
            self.next.set(begin);
        }
        self.end.set(end.checked_mul(PAGE)?);
        Some(())
    }

    /// Whether these bytes were the last that were taken.
    fn is_last(&self, at: *mut u8, size: usize) -> bool {
        at as usize + size == self.next.get()
    }
}

// SAFETY: what is taken lies behind all that was taken before, in memory that `memory.grow`
// gave to nobody else; only the last piece is ever given back or made longer in its place.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.take(layout.align(), layout.size()) {
            Some(at) => at as *mut u8,
            None => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if self.is_last(at, layout.size()) {
            self.next.set(at as usize);
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.is_last(at, layout.size()) {
            self.next.set(at as usize);
        } else if size <= layout.size() {
            return at;
        }
        // SAFETY: the caller gave us a valid layout, and the new size fits it.
        let taken = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        match taken.is_null() {
            // As before: whoever was refused still has what he had.
            true if self.next.get() == at as usize => self.next.set(at as usize + layout.size()),
            true => {}
            // SAFETY: both are at least as long, and where they overlap this is none.
            false => unsafe { ptr::copy(at, taken, layout.size().min(size)) },
        }
        taken
    }
}
