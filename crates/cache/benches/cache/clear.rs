//! Clearing a pattern at a million keys, and what gets cost after it.

use crate::rounds::median;
use crate::{Stopwatch, service};
use rhiz_cache::{CacheService, Consistency, SetOptions};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::hint::black_box;

const KEYS: usize = 1_000_000;
/// Gets of one round: a few milliseconds.
const GETS: usize = 20_000;
const ROUNDS: usize = 101;

pub(crate) async fn run() {
    println!("\n# clear a pattern");
    let mut cache = filled(10).await;
    for keys in [10, 10_000, KEYS] {
        cache = filled(keys).await;
        let mut times = Vec::new();
        for round in 0..101 {
            let watch = Stopwatch::start();
            cache.clear_pattern(&format!("conviction:{round}:*")).await.expect("good");
            times.push(watch.time().as_nanos() as f64 / 1000.0);
        }
        let worst = times.iter().copied().fold(0.0, f64::max);
        println!(
            "clear a pattern at {keys:8} keys: median {:.1} µs, worst {worst:.1} µs",
            median(times)
        );
    }
    // Each round on keys of its own. They are read once before, so that the two rounds that are
    // compared find them in the same state; the clear makes each get ask the index once.
    let dice = SeededEntropy::new(3);
    let (mut without, mut after, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let names: Vec<String> =
            (0..GETS).map(|_| format!("entity:{:08}", dice.next_u64() as usize % KEYS)).collect();
        gets(&cache, &names).await;
        let a = gets(&cache, &names).await;
        cache.clear_pattern(&format!("trust:{}:*", round % 8)).await.expect("good");
        let b = gets(&cache, &names).await;
        without.push(a);
        after.push(b);
        ratios.push(b / a);
    }
    println!(
        "get at {KEYS} keys {:.0} ns; right after a clear {:.0} ns ({:+.1} %; medians of {ROUNDS} rounds)",
        median(without),
        median(after),
        (median(ratios) - 1.0) * 100.0,
    );
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
