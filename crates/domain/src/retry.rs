//! When to try again.

use crate::Entropy;
use std::time::Duration;

/// Exponential waits with full jitter (Brooker, "Exponential Backoff And Jitter", 2015).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Retries after the first attempt.
    pub retries: u32,
    /// The longest first wait.
    pub base: Duration,
    /// No wait is longer.
    pub cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 3, base: Duration::from_secs(2), cap: Duration::from_secs(60) }
    }
}

impl RetryPolicy {
    /// The longest wait before retry number `n` (from 1): base · 2^(n−1), capped.
    #[must_use]
    pub fn ceiling(&self, n: u32) -> Duration {
        self.base.saturating_mul(1u32 << n.saturating_sub(1).min(31)).min(self.cap)
    }

    /// How long to wait after `failed` attempts failed, or `None` when there are none left.
    /// Uniform in (0, ceiling]: full jitter spreads a crowd that failed together.
    #[must_use]
    pub fn wait(&self, failed: u32, entropy: &dyn Entropy) -> Option<Duration> {
        (failed >= 1 && failed <= self.retries)
            .then(|| self.ceiling(failed).mul_f64(1.0 - entropy.fraction()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;

    #[test]
    fn waits_of_2_4_8_seconds_at_most_then_none() {
        let policy = RetryPolicy::default();
        let entropy = SeededEntropy::new(1);
        for (failed, ceiling) in [(1, 2), (2, 4), (3, 8)] {
            let ceiling = Duration::from_secs(ceiling);
            assert_eq!(policy.ceiling(failed), ceiling);
            for _ in 0..1000 {
                let wait = policy.wait(failed, &entropy).unwrap();
                assert!(wait > Duration::ZERO && wait <= ceiling);
            }
        }
        assert_eq!(policy.wait(4, &entropy), None);
        assert_eq!(policy.ceiling(40), policy.cap);
    }
}
