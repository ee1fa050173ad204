//! Clearing a pattern at a million keys, and what gets cost after it.

use crate::{Stopwatch, service};
use rhiz_cache::{CacheService, Consistency, SetOptions};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::hint::black_box;

const KEYS: usize = 1_000_000;
const GETS: usize = 1_000_000;

pub(crate) async fn run() {
    println!("\n# clear a pattern");
    for keys in [10, 10_000, KEYS] {
        let cache = filled(keys).await;
        let watch = Stopwatch::start();
        cache.clear_pattern("trust:*").await.expect("good");
        println!("clear trust:* at {keys:8} keys: {:?}", watch.time());
        if keys < KEYS {
            continue;
        }
        let cache = filled(keys).await;
        // Warm and in random order, so that every get pays for its misses of the processor's cache.
        let dice = SeededEntropy::new(3);
        let names: Vec<String> =
            (0..GETS).map(|_| format!("entity:{:08}", dice.next_u64() as usize % KEYS)).collect();
        // In turn, so that what else the machine does falls on both alike; the best of each.
        let (mut without, mut after) = (f64::MAX, f64::MAX);
        for round in 0..8 {
            without = without.min(gets(&cache, &names).await);
            cache.clear_pattern(&format!("trust:{round}:*")).await.expect("good");
            after = after.min(gets(&cache, &names).await);
        }
        println!(
            "get at {keys} keys {without:.0} ns; right after a clear {after:.0} ns ({:+.1} %)",
            (after / without - 1.0) * 100.0,
        );
    }
}

async fn filled(keys: usize) -> CacheService {
    let cache = service(keys + 1024);
    for i in 0..keys {
        cache.set(&format!("entity:{i:08}"), i as u64, &SetOptions::default()).await.expect("good");
    }
    cache
}

async fn gets(cache: &CacheService, names: &[String]) -> f64 {
    let watch = Stopwatch::start();
    for name in names {
        black_box(cache.get::<u64>(name, Consistency::Eventual).await.expect("good"));
    }
    watch.each(names.len())
}
