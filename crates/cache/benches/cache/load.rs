//! The hit rate on a realistic load: Zipf 1.0 queries over 50,000 entities; after every hundredth
//! query one entity changes (1 % churn). Every twentieth entity has no answer; every
//! fiftieth query is forced. As the statistics report it, after a warm-up.

use crate::redis_tier::Server;
use crate::{Zipf, service};
use foyer_memory::{CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig};
use rhiz_cache::{CacheService, CacheStats, Call, Computed, Invalidation, Target, Tiers};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::convert::Infallible;
use std::time::Duration;

const ENTITIES: usize = 50_000;
const QUERIES: usize = 1_000_000;

const KEYS: usize = 10_000;

pub(crate) async fn run() {
    println!("\n# hit rate on a realistic load ({QUERIES} queries after as many to warm up)");
    for churn in [Churn::Uniform, Churn::Zipf] {
        report("memory, 10,000 keys", churn, &service(KEYS), QUERIES).await;
        println!("  {:40} {:.2} %", "the best 10,000, known beforehand", oracle(churn));
        for (name, rate) in bare(churn) {
            println!("  {name:40} {rate:.2} %");
        }
        for keys in [11_000, 12_500, 15_000, 25_000, 50_000] {
            report(&format!("memory, {keys} keys"), churn, &service(keys), QUERIES).await;
        }
        let server = Server::start();
        let tiered = server.service(Tiers::Tiered).await;
        report("10,000 keys in memory, Redis", churn, &tiered, QUERIES / 5).await;
        let stats = tiered.stats();
        let of = |c: rhiz_cache::Counts| c.hits as f64 / (c.hits + c.misses) as f64 * 100.0;
        println!(
            "  of what memory was asked {:.2} %, of what Redis was asked {:.2} % (none answers among the misses)",
            of(stats.memory.expect("there is one").total),
            of(stats.redis.expect("there is one").scope.total)
        );
        tiered.close().await;
    }
}

/// What is held, by any rule: whether it is there, and whether its value is still good.
trait Held {
    fn get(&mut self, id: u64) -> bool;
    fn insert(&mut self, id: u64);
    fn remove(&mut self, id: u64);
}

/// The same load on a bare cache; the hit rate in %, "none" answers and forced queries apart.
fn play_bare(churn: Churn, held: &mut dyn Held) -> f64 {
    let (mut hits, mut lookups) = (0_u64, 0_u64);
    for half in 0..2 {
        let load = Load::new(churn, half);
        for query in 0..QUERIES {
            let id = load.query();
            if query % 50 == 0 {
                held.insert(id);
            } else {
                let hit = held.get(id);
                if !hit {
                    held.insert(id);
                }
                if half == 1 && !is_none(id) {
                    lookups += 1;
                    hits += u64::from(hit);
                }
            }
            if query % 100 == 0 {
                held.remove(load.changed());
            }
        }
    }
    hits as f64 / lookups as f64 * 100.0
}

fn bare(churn: Churn) -> Vec<(&'static str, f64)> {
    struct Quick(quick_cache::sync::Cache<u64, ()>);
    impl Held for Quick {
        fn get(&mut self, id: u64) -> bool {
            self.0.get(&id).is_some()
        }
        fn insert(&mut self, id: u64) {
            self.0.insert(id, ());
        }
        fn remove(&mut self, id: u64) {
            self.0.remove(&id);
        }
    }
    struct Moka(moka::sync::Cache<u64, ()>, u64);
    impl Held for Moka {
        fn get(&mut self, id: u64) -> bool {
            self.1 += 1;
            if self.1.is_multiple_of(64) {
                self.0.run_pending_tasks();
            }
            self.0.get(&id).is_some()
        }
        fn insert(&mut self, id: u64) {
            self.0.insert(id, ());
        }
        fn remove(&mut self, id: u64) {
            self.0.invalidate(&id);
        }
    }
    struct Foyer(foyer_memory::Cache<u64, ()>);
    impl Held for Foyer {
        fn get(&mut self, id: u64) -> bool {
            self.0.get(&id).is_some()
        }
        fn insert(&mut self, id: u64) {
            self.0.insert(id, ());
        }
        fn remove(&mut self, id: u64) {
            self.0.remove(&id);
        }
    }
    let foyer = |eviction: EvictionConfig| {
        Foyer(CacheBuilder::new(KEYS).with_shards(1).with_eviction_config(eviction).build())
    };
    let mut all: [(&'static str, Box<dyn Held>); 5] = [
        ("quick_cache, bare", Box::new(Quick(quick_cache::sync::Cache::new(KEYS)))),
        ("moka, bare", Box::new(Moka(moka::sync::Cache::new(KEYS as u64), 0))),
        ("foyer LRU, bare", Box::new(foyer(LruConfig::default().into()))),
        ("foyer S3-FIFO, bare", Box::new(foyer(S3FifoConfig::default().into()))),
        ("foyer W-TinyLFU, bare", Box::new(foyer(LfuConfig::default().into()))),
    ];
    all.iter_mut().map(|(name, held)| (*name, play_bare(churn, &mut **held))).collect()
}

/// Who knows beforehand which 10,000 of the entities that have an answer are asked for most, and
/// holds those: no rule that holds the same ones all the time can do better.
fn oracle(churn: Churn) -> f64 {
    struct Oracle {
        good: std::collections::HashMap<u64, bool>,
    }
    impl Held for Oracle {
        fn get(&mut self, id: u64) -> bool {
            self.good.get(&id) == Some(&true)
        }
        fn insert(&mut self, id: u64) {
            self.good.entry(id).and_modify(|good| *good = true);
        }
        fn remove(&mut self, id: u64) {
            self.good.entry(id).and_modify(|good| *good = false);
        }
    }
    let ids = (0..ENTITIES).map(entity).filter(|id| !is_none(*id));
    play_bare(churn, &mut Oracle { good: ids.take(KEYS).map(|id| (id, false)).collect() })
}

/// Which entity has which rank: not the order of their names.
fn entity(rank: usize) -> u64 {
    (rank * 7919 % ENTITIES) as u64
}

/// It has no answer: of twenty neighbours in rank the eleventh, so that these are asked for as
/// much as any twentieth part of the entities.
fn is_none(id: u64) -> bool {
    // 7,919 is -1 modulo 20, and 20 divides the number of entities: ranks 10, 30, 50, …
    id % 20 == 10
}

struct Load {
    zipf: Zipf,
    dice: SeededEntropy,
    churn: Churn,
}

impl Load {
    fn new(churn: Churn, part: u64) -> Self {
        Self { zipf: Zipf::new(ENTITIES), dice: SeededEntropy::new(11 + part * 1000), churn }
    }
    fn query(&self) -> u64 {
        entity(self.zipf.pick(self.dice.fraction()))
    }
    fn changed(&self) -> u64 {
        match self.churn {
            Churn::Uniform => self.dice.next_u64() % ENTITIES as u64,
            Churn::Zipf => self.query(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Churn {
    /// Every entity changes as often as any other.
    Uniform,
    /// What is asked for often changes often.
    Zipf,
}

async fn report(name: &str, churn: Churn, cache: &CacheService, queries: usize) {
    play(cache, churn, queries, 0).await;
    let before = cache.stats();
    play(cache, churn, queries, 1).await;
    let rate = rate(&before, &cache.stats());
    println!("{name:30} churn {churn:?}: {:.2} %", rate * 100.0);
}

fn rate(before: &CacheStats, after: &CacheStats) -> f64 {
    let (a, b) = (before.overall.total, after.overall.total);
    let hits = b.hits - a.hits;
    let misses = (b.misses - b.none_misses) - (a.misses - a.none_misses);
    hits as f64 / (hits + misses) as f64
}

async fn play(cache: &CacheService, churn: Churn, queries: usize, part: u64) {
    let load = Load::new(churn, part);
    for query in 0..queries {
        let id = load.query();
        let none = is_none(id);
        let compute = || async {
            let computed = Computed::new((!none).then_some(id)).tags([format!("did:plc:{id}")]);
            Ok::<_, Infallible>(if none {
                computed.none().ttl(Duration::from_secs(10))
            } else {
                computed
            })
        };
        let call = Call::EVENTUAL.refresh(query % 50 == 0);
        let key = format!("trust:score:did:plc:{id}");
        cache.get_or_compute(&key, call, compute).await.expect("good");
        if query % 100 == 0 {
            let targets = vec![Target::Tag(format!("did:plc:{}", load.changed()))];
            cache.invalidate(&Invalidation { seq: query as u64, targets });
        }
    }
}
