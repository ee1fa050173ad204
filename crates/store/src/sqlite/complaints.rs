//! What is said about transactions that fail: on a full disk that is every one, thousands a second.
//!
//! The first is said, then at most one in [`EVERY`] with the number of those that were not, and one
//! word when it works again. What comes and goes is said no more often than that, either. Used by
//! the writing thread.

use rhiz_domain::store::StoreError;
use std::time::Duration;

/// Between two lines about the same trouble.
const EVERY: Duration = Duration::from_secs(10);

/// What was said, apart for what may pass by itself (a full disk) and for what will not (damage):
/// neither keeps the other from being said.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    outside: Kept,
    inside: Kept,
}

/// Lines about one kind of trouble.
#[derive(Debug, Default)]
struct Kept {
    /// When the last one was said.
    said: Option<Duration>,
    /// Failures since then that were not.
    unsaid: u64,
    /// The last thing said is that it fails.
    failing: bool,
}

impl Kept {
    /// Whether this failure is to be said, and how many were not since the last that was.
    fn fails(&mut self, now: Duration) -> Option<u64> {
        if self.said.is_some_and(|said| now.saturating_sub(said) < EVERY) {
            self.unsaid += 1;
            return None;
        }
        self.said = Some(now);
        self.failing = true;
        Some(std::mem::take(&mut self.unsaid))
    }

    /// Whether it is to be said that it works again, and how many failures were not said.
    fn works(&mut self) -> Option<u64> {
        std::mem::take(&mut self.failing).then(|| std::mem::take(&mut self.unsaid))
    }
}

impl Complaints {
    /// A transaction failed at `now` (of [`rhiz_domain::Clock::elapsed`]).
    pub(super) fn failed(&mut self, error: &StoreError, now: Duration) {
        let kept = match error {
            StoreError::Unavailable(_) => &mut self.outside,
            _ => &mut self.inside,
        };
        match kept.fails(now) {
            None => {}
            Some(0) => tracing::warn!(%error, "a transaction failed"),
            Some(suppressed) => {
                tracing::warn!(%error, suppressed, "a transaction failed, as others before it");
            }
        }
    }

    /// Something was written.
    pub(super) fn written(&mut self) {
        if let Some(suppressed) = self.outside.works() {
            tracing::warn!(suppressed, "the database can be written again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_first_is_said_then_one_in_ten_seconds_and_the_end() {
        let mut kept = Kept::default();
        assert_eq!(kept.works(), None);
        let said: Vec<_> = (0..=25_000).filter_map(|t| Some((t, kept.fails(at(t))?))).collect();
        assert_eq!(said, [(0, 0), (10_000, 9_999), (20_000, 9_999)]);
        assert_eq!(kept.works(), Some(5_000));
        assert_eq!(kept.works(), None);
    }

    /// A disk that is nearly full takes small transactions and refuses large ones.
    #[test]
    fn what_comes_and_goes_is_said_no_more_often() {
        let mut kept = Kept::default();
        let mut lines = 0;
        let mut counted = 0;
        for t in 0..=30_000 {
            for said in [kept.fails(at(t)).map(|n| n + 1), kept.works()].into_iter().flatten() {
                lines += 1;
                counted += said;
            }
        }
        assert_eq!(lines, 8);
        assert_eq!(counted, 30_001);
    }
}
