//! A get that hits in memory: the service, the bare store it is built on, and bare libraries, all
//! with the same keys and values, in turn, with one thread and with two.

use crate::rounds::{Round, in_turn};
use crate::{Stopwatch, Zipf, service};
use rhiz_cache::memory::{Fit, Store};
use rhiz_cache::{CacheService, Consistency, SetOptions};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::hint::black_box;
use std::sync::Arc;

const KEYS: usize = 10_000;
/// Gets of one round: less than the time the kernel gives a thread in one piece.
const GETS: usize = 10_000;
const ROUNDS: usize = 501;

pub(crate) fn run(runtime: &tokio::runtime::Runtime) {
    println!(
        "\n# get that hits in memory ({KEYS} keys, Zipf 1.0, medians of {ROUNDS} rounds in turn)"
    );
    let keys: Vec<String> = (0..KEYS).map(|i| format!("entity:did:plc:{i:024}")).collect();
    let zipf = Zipf::new(KEYS);
    let dice = SeededEntropy::new(7);
    let order: Vec<usize> = (0..GETS).map(|_| zipf.pick(dice.fraction())).collect();

    let own = Store::<Arc<u64>>::new(KEYS * 2, 8 << 30);
    let quick = quick_cache::sync::Cache::<String, Arc<u64>>::new(KEYS * 2);
    let moka = moka::sync::Cache::<String, Arc<u64>>::new(KEYS as u64 * 2);
    let foyer: foyer_memory::Cache<String, Arc<u64>> = foyer_memory::CacheBuilder::new(KEYS * 2)
        .with_eviction_config(foyer_memory::LfuConfig::default())
        .build();
    let untagged = service(KEYS * 2);
    let tagged = service(KEYS * 2);
    runtime.block_on(async {
        for (i, key) in keys.iter().enumerate() {
            let value = Arc::new(i as u64);
            own.insert(key, value.clone(), Fit { expires: u64::MAX, bytes: 200 }, 0);
            quick.insert(key.clone(), value.clone());
            moka.insert(key.clone(), value.clone());
            foyer.insert(key.clone(), value);
            untagged.set(key, i as u64, &SetOptions::default()).await.expect("good");
            let tags = vec![format!("did:plc:{i:024}")];
            let options = SetOptions { tags, ..SetOptions::default() };
            tagged.set(key, i as u64, &options).await.expect("good");
        }
    });
    moka.run_pending_tasks();

    let (keys, order) = (&keys, &order);
    let bare = |get: &(dyn Fn(&str) -> bool + Sync)| {
        let watch = Stopwatch::start();
        for i in order {
            assert!(black_box(get(&keys[*i])));
        }
        watch.each(GETS)
    };
    // One poll of a ready future, as a handler of a request sees it.
    let through = |cache: &CacheService| {
        runtime.block_on(async {
            let watch = Stopwatch::start();
            for i in order {
                let got = cache.get::<u64>(&keys[*i], Consistency::Eventual).await;
                assert!(black_box(got.expect("good")).is_some());
            }
            watch.each(GETS)
        })
    };
    // While other keys are being invalidated: each record makes each entry be checked once.
    let churned = || {
        runtime.block_on(async {
            let watch = Stopwatch::start();
            for (n, i) in order.iter().enumerate() {
                if n % 100 == 0 {
                    tagged.clear_tag("somebody else").await.expect("good");
                }
                let got = tagged.get::<u64>(&keys[*i], Consistency::Eventual).await;
                assert!(black_box(got.expect("good")).is_some());
            }
            watch.each(GETS)
        })
    };
    let runs: [Round<'_>; 7] = [
        ("own store, bare", &|| bare(&|key| own.get(key, |v, _, _| v.clone()).is_some())),
        ("service, untagged", &|| through(&untagged)),
        ("service, tagged", &|| through(&tagged)),
        ("service, tagged, 1 % clears", &churned),
        ("quick_cache, bare", &|| bare(&|key| quick.get(key).is_some())),
        ("moka, bare", &|| bare(&|key| moka.get(key).is_some())),
        ("foyer (W-TinyLFU), bare", &|| bare(&|key| foyer.get(key).is_some())),
    ];
    for threads in [1, 2] {
        let times = in_turn(ROUNDS, threads, &runs);
        println!("{threads} thread(s)                        ns   x own store   x quick_cache");
        for (n, (name, _)) in runs.iter().enumerate() {
            println!(
                "  {name:30} {:6.0}   {:11.2}   {:13.2}",
                times.median(n),
                times.ratio(n, 0),
                times.ratio(n, 4)
            );
        }
    }
}
