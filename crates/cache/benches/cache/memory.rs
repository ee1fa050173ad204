//! A get that hits in memory: the service against a bare library holding the same values.

use crate::{Stopwatch, Zipf, service};
use rhiz_cache::{CacheService, Consistency, SetOptions};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::hint::black_box;
use std::sync::Arc;

const KEYS: usize = 10_000;
const GETS: usize = 2_000_000;

pub(crate) async fn run() {
    println!("\n# get that hits in memory ({KEYS} keys, Zipf 1.0, one thread, best of 5)");
    let keys: Vec<String> = (0..KEYS).map(|i| format!("entity:did:plc:{i:024}")).collect();
    let zipf = Zipf::new(KEYS);
    let dice = SeededEntropy::new(7);
    let order: Vec<usize> = (0..GETS).map(|_| zipf.pick(dice.fraction())).collect();

    let bare = quick_cache::sync::Cache::<String, Arc<u64>>::new(KEYS * 2);
    let lru = foyer(&keys);
    let untagged = service(KEYS * 2);
    let tagged = service(KEYS * 2);
    for (i, key) in keys.iter().enumerate() {
        bare.insert(key.clone(), Arc::new(i as u64));
        untagged.set(key, i as u64, &SetOptions::default()).await.expect("good");
        let tags = vec![format!("did:plc:{i:024}")];
        tagged
            .set(key, i as u64, &SetOptions { tags, ..SetOptions::default() })
            .await
            .expect("good");
    }
    let library = best(|| {
        let watch = Stopwatch::start();
        for i in &order {
            black_box(bare.get(keys[*i].as_str()));
        }
        watch.each(GETS)
    });
    println!("bare quick_cache            {library:6.0} ns");
    let other = best(|| {
        let watch = Stopwatch::start();
        for i in &order {
            black_box(lru.get(keys[*i].as_str()));
        }
        watch.each(GETS)
    });
    println!("bare foyer (W-TinyLFU)      {other:6.0} ns");
    for (name, cache) in [("service, untagged", &untagged), ("service, tagged", &tagged)] {
        let mut least = f64::MAX;
        for _ in 0..5 {
            least = least.min(gets(cache, &keys, &order).await);
        }
        println!(
            "{name:27} {least:6.0} ns   {:.2} x quick_cache, {:.2} x foyer",
            least / library,
            least / other
        );
    }
    // While other keys are being invalidated: each record makes each entry be checked once.
    let churned = tagged.clone();
    let mut least = f64::MAX;
    for _ in 0..5 {
        let watch = Stopwatch::start();
        for (n, i) in order.iter().enumerate() {
            if n % 100 == 0 {
                churned.clear_tag("somebody else").await.expect("good");
            }
            black_box(churned.get::<u64>(&keys[*i], Consistency::Eventual).await.expect("good"));
        }
        least = least.min(watch.each(GETS));
    }
    println!("service, tagged, 1 % clears {least:6.0} ns");
}

fn foyer(keys: &[String]) -> foyer_memory::Cache<String, Arc<u64>> {
    let cache = foyer_memory::CacheBuilder::new(KEYS * 2)
        .with_eviction_config(foyer_memory::LfuConfig::default())
        .build();
    for (i, key) in keys.iter().enumerate() {
        cache.insert(key.clone(), Arc::new(i as u64));
    }
    cache
}

fn best(mut measure: impl FnMut() -> f64) -> f64 {
    (0..5).map(|_| measure()).fold(f64::MAX, f64::min)
}

async fn gets(cache: &CacheService, keys: &[String], order: &[usize]) -> f64 {
    let watch = Stopwatch::start();
    for i in order {
        black_box(cache.get::<u64>(&keys[*i], Consistency::Eventual).await.expect("good"));
    }
    watch.each(order.len())
}
