//! How long to wait before the next try (`ExponentialBackoff`, KIP-580).

use std::time::Duration;

use klamm_node::Rng;

/// Doubles from one try to the next up to a limit, give or take a fifth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(initial: Duration, max: Duration) -> Self {
        Self { initial: initial.min(max), max }
    }

    /// The wait after `attempts` tries that failed before the last one.
    pub(super) fn wait(&self, rng: &mut Rng, attempts: u32) -> Duration {
        if self.max <= self.initial {
            return self.initial;
        }
        let doubled = self.initial.saturating_mul(2_u32.saturating_pow(attempts)).min(self.max);
        let percent = u32::try_from(80 + rng.below(41)).unwrap_or(100);
        (doubled * percent / 100).min(self.max)
    }
}
