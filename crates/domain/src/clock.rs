//! Time and randomness, passed in.

use jiff::Timestamp;
use std::time::Duration;

/// What tells the time.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> Timestamp;
    /// Time since some fixed instant; never goes back. For durations.
    fn elapsed(&self) -> Duration;
    /// As [`Clock::elapsed`], at most [`COARSE_LAG`] behind it and never ahead, where that is
    /// cheaper: for what is asked millions of times a second.
    fn coarse(&self) -> Duration {
        self.elapsed()
    }
}

/// How far [`Clock::coarse`] may lie behind: one tick of the slowest kernels in use (100 Hz).
pub const COARSE_LAG: Duration = Duration::from_millis(10);

/// Where randomness comes from.
pub trait Entropy: Send + Sync + 'static {
    /// 64 uniformly distributed bits.
    fn next_u64(&self) -> u64;

    /// A number in `0.0..1.0`.
    fn fraction(&self) -> f64 {
        // 53 bits are what an f64 can hold exactly.
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: std::time::Instant,
    /// The same moment, or one just after it, on the scale of the kernel's coarse clock.
    #[cfg(target_os = "linux")]
    coarse_start: Duration,
}

/// The time of the kernel's last tick, on the scale of `Instant`: some 10 ns instead of 60.
#[cfg(target_os = "linux")]
fn last_tick() -> Duration {
    on_its_scale(rustix::time::ClockId::MonotonicCoarse)
}

#[cfg(target_os = "linux")]
fn on_its_scale(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    // Time since the machine was started: neither is ever negative.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

impl Default for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    fn default() -> Self {
        // In this order: what has passed by the coarse clock is then never more than by the fine.
        let start = std::time::Instant::now();
        Self {
            start,
            #[cfg(target_os = "linux")]
            coarse_start: on_its_scale(rustix::time::ClockId::Monotonic),
        }
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for the time"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
    #[cfg(target_os = "linux")]
    fn coarse(&self) -> Duration {
        last_tick().saturating_sub(self.coarse_start)
    }
}

/// The operating system's randomness, through a fast generator of each thread.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the machine for randomness"
    )]
    fn next_u64(&self) -> u64 {
        rand::random()
    }
}

/// A clock that stands still until it is moved; starts where it is told to.
#[derive(Debug)]
pub struct ManualClock {
    start: Timestamp,
    micros: std::sync::atomic::AtomicI64,
    /// What the wall clock was set to besides, forward or backward.
    set: std::sync::atomic::AtomicI64,
}

impl ManualClock {
    /// Stands at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self { start, micros: 0.into(), set: 0.into() }
    }

    /// Moves on.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.micros.fetch_add(micros, std::sync::atomic::Ordering::SeqCst);
    }

    /// Sets the wall clock forward or backward, as an operator or NTP does; no time passes.
    pub fn jump(&self, by: jiff::SignedDuration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(0);
        self.set.fetch_add(micros, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        let set = self.set.load(std::sync::atomic::Ordering::SeqCst);
        self.start + self.elapsed() + jiff::SignedDuration::from_micros(set)
    }
    fn elapsed(&self) -> Duration {
        let micros = self.micros.load(std::sync::atomic::Ordering::SeqCst);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

/// A seeded sequence (SplitMix64: Steele, Lea and Flood, OOPSLA 2014). For tests and the demo.
#[derive(Debug)]
pub struct SeededEntropy(std::sync::atomic::AtomicU64);

impl SeededEntropy {
    /// The sequence of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.into())
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, std::sync::atomic::Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_is_never_ahead_and_never_goes_back() {
        let clock = SystemClock::default();
        let mut last = Duration::ZERO;
        while clock.elapsed() < Duration::from_millis(50) {
            let coarse = clock.coarse();
            let fine = clock.elapsed();
            assert!(last <= coarse && coarse <= fine, "{last:?} {coarse:?} {fine:?}");
            last = coarse;
        }
        assert!(last > Duration::ZERO, "it moves");
    }
}
