//! Randomness as an argument: cookies and padding.
//!
//! Ephemeral keys are not drawn from here: aws-lc-rs makes them inside, from its own generator, and
//! that is right for secrets. What a test wants to repeat are packets, and they depend on this.

use aws_lc_rs::rand::SecureRandom;
use thiserror::Error;

/// The source could not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no random bytes available")]
pub struct RandomUnavailable;

/// A source of random bytes that a peer cannot predict.
pub trait Random {
    /// Fills all of `out`.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomUnavailable>;
}

/// The generator of aws-lc-rs, seeded by the kernel.
#[derive(Debug, Default)]
pub struct SystemRandom(aws_lc_rs::rand::SystemRandom);

impl Random for SystemRandom {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), RandomUnavailable> {
        self.0.fill(out).map_err(|_| RandomUnavailable)
    }
}
