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
        let mut before = f64::MAX;
        for _ in 0..3 {
            before = before.min(gets(&cache, &names).await);
        }
        cache.clear_pattern("trust:*").await.expect("good");
        let first = gets(&cache, &names).await;
        let second = gets(&cache, &names).await;
        println!(
            "get before {before:.0} ns; right after the clear {first:.0} ns ({:+.1} %), then {second:.0} ns ({:+.1} %)",
            (first / before - 1.0) * 100.0,
            (second / before - 1.0) * 100.0,
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
