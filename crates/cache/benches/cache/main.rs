//! The targets of the cache, measured. `cargo bench -p rhiz-cache` runs everything;
//! `cargo bench -p rhiz-cache -- traces memory clear load redis` what is named.
//!
//! Needs `redis-server` for `redis` and `load`, and the traces for `traces`: in the folder that
//! `RHIZ_SHARED_DATA` names, or `../shared/data` beside the workspace.
#![expect(clippy::print_stdout, reason = "a benchmark says what it measured")]

mod clear;
mod load;
mod memory;
mod redis_tier;
mod rounds;
mod traces;

use rhiz_cache::{CacheConfig, CacheService};
use rhiz_domain::Clock;
use rhiz_domain::clock::{SeededEntropy, SystemClock};
use std::sync::Arc;
use std::time::Duration;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    if wanted("memory") {
        memory::run(&runtime);
    }
    if wanted("clear") {
        runtime.block_on(clear::run());
    }
    if wanted("redis") {
        redis_tier::run(&runtime);
    }
    if wanted("load") {
        runtime.block_on(load::run());
    }
    if wanted("traces") {
        runtime.block_on(traces::run());
    }
}

/// The service in memory, with so many keys.
fn service(max_keys: usize) -> CacheService {
    let config = CacheConfig { max_keys, max_bytes: 8 << 30, ..CacheConfig::default() };
    CacheService::memory(config, Arc::new(SystemClock::default()), Arc::new(SeededEntropy::new(1)))
        .expect("settings")
}

/// How long something takes.
struct Stopwatch(SystemClock);

impl Stopwatch {
    fn start() -> Self {
        Self(SystemClock::default())
    }
    fn time(&self) -> Duration {
        self.0.elapsed()
    }
    /// Nanoseconds for each of `n`.
    fn each(&self, n: usize) -> f64 {
        self.time().as_nanos() as f64 / n as f64
    }
}

/// Ranks from a Zipf distribution with exponent 1 over `n`, by inversion of its sum.
struct Zipf {
    sums: Vec<f64>,
}

impl Zipf {
    fn new(n: usize) -> Self {
        let mut sum = 0.0;
        let sums = (1..=n)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Self { sums }
    }
    fn pick(&self, fraction: f64) -> usize {
        let at = fraction * self.sums[self.sums.len() - 1];
        self.sums.partition_point(|sum| *sum < at).min(self.sums.len() - 1)
    }
}
