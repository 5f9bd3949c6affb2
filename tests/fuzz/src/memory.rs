//! How much memory a connection may hold, enforced by the allocator.

use std::alloc::System;

use cap::Cap;

/// What one transport may hold, or need for a moment: twice its longest queue of output, and room
/// for one request and its copy.
const LIMIT: usize = 4 * 1024 * 1024;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The account of one transport. An allocation beyond its limit fails, and that ends the process.
#[derive(Default)]
pub(crate) struct Account {
    /// What was allocated on it and not freed.
    held: usize,
}

impl Account {
    /// Runs work whose allocations go on this account. No other thread may allocate meanwhile.
    pub(crate) fn charge<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = ALLOCATOR.allocated();
        ALLOCATOR.set_limit(before + LIMIT - self.held).unwrap();
        let result = work();
        ALLOCATOR.set_limit(usize::MAX).unwrap();
        self.held = (self.held + ALLOCATOR.allocated())
            .checked_sub(before)
            .unwrap();
        result
    }
}
