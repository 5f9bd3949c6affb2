//! How much memory something may hold, enforced by the allocator.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The account of one thing that takes input. An allocation beyond its limit fails, and that ends the process.
pub(crate) struct Account {
    /// In bytes.
    limit: usize,
    /// What was allocated on it and not freed.
    held: usize,
}

impl Account {
    /// An account of which nothing is used.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: 0 }
    }

    /// Runs work whose allocations go on this account. No other thread may allocate meanwhile.
    pub(crate) fn charge<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = ALLOCATOR.allocated();
        ALLOCATOR
            .set_limit(before + self.limit - self.held)
            .unwrap();
        let result = work();
        ALLOCATOR.set_limit(usize::MAX).unwrap();
        self.held = (self.held + ALLOCATOR.allocated())
            .checked_sub(before)
            .unwrap();
        result
    }
}
