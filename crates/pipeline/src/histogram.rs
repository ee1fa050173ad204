//! Durations, counted by size without locks.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets of a factor of 2^(1/4): a quantile is at most 19 % too high.
const PER_DOUBLING: f64 = 4.0;
/// From 1 µs to 2^30 µs, about 18 minutes.
const BUCKETS: usize = 121;

/// A histogram of durations.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], micros: AtomicU64::new(0) }
    }
}

/// What a histogram holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Quantiles {
    /// Durations counted.
    pub count: u64,
    /// Their mean, milliseconds.
    pub mean_ms: f64,
    /// Half of them took no longer, milliseconds.
    pub p50_ms: f64,
    /// 95 % took no longer.
    pub p95_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let micros = took.as_micros().max(1) as f64;
        let bucket = (micros.log2() * PER_DOUBLING).ceil() as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros as u64, Ordering::Relaxed);
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        Self::quantiles_of([self])
    }

    /// Of several together.
    pub(crate) fn quantiles_of<'a>(
        histograms: impl IntoIterator<Item = &'a Self> + Clone,
    ) -> Quantiles {
        let mut counts = [0; BUCKETS];
        for histogram in histograms.clone() {
            for (sum, bucket) in counts.iter_mut().zip(&histogram.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
        }
        let micros = |h: &Self| h.micros.load(Ordering::Relaxed);
        let micros: u64 = histograms.into_iter().map(micros).sum();
        let count: u64 = counts.iter().sum();
        if count == 0 {
            return Quantiles::default();
        }
        let quantile = |q: f64| {
            let mut rest = (q * count as f64).ceil() as u64;
            for (i, n) in counts.iter().enumerate() {
                if rest <= *n {
                    return (i as f64 / PER_DOUBLING).exp2() / 1e3;
                }
                rest -= n;
            }
            (BUCKETS as f64 / PER_DOUBLING).exp2() / 1e3
        };
        Quantiles {
            count,
            mean_ms: micros as f64 / count as f64 / 1e3,
            p50_ms: quantile(0.50),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_a_fifth_too_high() {
        let h = Histogram::default();
        for ms in 1..=1000 {
            h.record(Duration::from_millis(ms));
        }
        let q = h.quantiles();
        assert_eq!(q.count, 1000);
        assert!((q.mean_ms - 500.5).abs() < 0.01);
        for (got, want) in [(q.p50_ms, 500.0), (q.p95_ms, 950.0), (q.p99_ms, 990.0)] {
            assert!(got >= want && got < want * 1.19, "{got} for {want}");
        }
        assert_eq!(Histogram::default().quantiles(), Quantiles::default());
    }
}
