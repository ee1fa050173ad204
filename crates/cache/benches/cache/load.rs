//! The hit rate on a realistic load: Zipf 1.0 queries over 50,000 entities with 1 % churn, as the
//! statistics report it, after a warm-up as long as the measurement.
//!
//! 1 % churn is read as: after every hundredth query an entity changes, any as likely as any other
//! (`Uniform`, the plain reading: churn of the 50,000). The harder reading, that what is asked for
//! often changes often, stands beside it (`Zipf`). Every twentieth entity has no answer and every
//! fiftieth query is forced; both are apart, as the target says. Time stands nearly still: no value
//! ends by its age, and "none" answers keep places that they would lose after 10 s.

use crate::redis_tier::Server;
use crate::{Zipf, service};
use foyer_memory::{CacheBuilder, EvictionConfig, LfuConfig, LruConfig, S3FifoConfig};
use rhiz_cache::{CacheService, CacheStats, Call, Computed, Invalidation, Target, Tiers};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
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

/// A library's cache, and how it is asked.
struct Bare<C> {
    cache: C,
    get: fn(&C, u64) -> bool,
    insert: fn(&C, u64),
    remove: fn(&C, u64),
}

impl<C> Held for Bare<C> {
    fn get(&mut self, id: u64) -> bool {
        (self.get)(&self.cache, id)
    }
    fn insert(&mut self, id: u64) {
        (self.insert)(&self.cache, id);
    }
    fn remove(&mut self, id: u64) {
        (self.remove)(&self.cache, id);
    }
}

fn bare(churn: Churn) -> Vec<(&'static str, f64)> {
    let quick = Bare {
        cache: quick_cache::sync::Cache::<u64, ()>::new(KEYS),
        get: |cache, id| cache.get(&id).is_some(),
        insert: |cache, id| cache.insert(id, ()),
        remove: |cache, id| {
            cache.remove(&id);
        },
    };
    let moka = Bare {
        cache: (moka::sync::Cache::<u64, ()>::new(KEYS as u64), Cell::new(0_u64)),
        get: |(cache, asked), id| {
            asked.set(asked.get() + 1);
            if asked.get().is_multiple_of(64) {
                cache.run_pending_tasks();
            }
            cache.get(&id).is_some()
        },
        insert: |(cache, _), id| cache.insert(id, ()),
        remove: |(cache, _), id| cache.invalidate(&id),
    };
    let foyer = |eviction: EvictionConfig| Bare::<foyer_memory::Cache<u64, ()>> {
        cache: CacheBuilder::new(KEYS).with_shards(1).with_eviction_config(eviction).build(),
        get: |cache, id| cache.get(&id).is_some(),
        insert: |cache, id| drop(cache.insert(id, ())),
        remove: |cache, id| drop(cache.remove(&id)),
    };
    let mut all: [(&'static str, Box<dyn Held>); 6] = [
        ("perfect counts, unbounded", Box::new(Counts::default())),
        ("quick_cache, bare", Box::new(quick)),
        ("moka, bare", Box::new(moka)),
        ("foyer LRU, bare", Box::new(foyer(LruConfig::default().into()))),
        ("foyer S3-FIFO, bare", Box::new(foyer(S3FifoConfig::default().into()))),
        ("foyer W-TinyLFU, bare", Box::new(foyer(LfuConfig::default().into()))),
    ];
    all.iter_mut().map(|(name, held)| (*name, play_bare(churn, &mut **held))).collect()
}

/// Holds those 10,000 that were asked for most since the start, and counts everything for ever: what
/// an online rule can come to where popularity stays as it is.
#[derive(Default)]
struct Counts {
    /// How often it was asked for, whether it is held, whether its value is good.
    known: HashMap<u64, (u64, bool, bool)>,
    held: BTreeSet<(u64, u64)>,
}

impl Held for Counts {
    fn get(&mut self, id: u64) -> bool {
        let (count, held, good) = self.known.entry(id).or_default();
        if *held {
            self.held.remove(&(*count, id));
            self.held.insert((*count + 1, id));
        }
        *count += 1;
        *held && *good
    }
    fn insert(&mut self, id: u64) {
        let (count, held, good) = self.known.entry(id).or_default();
        *good = true;
        if std::mem::replace(held, true) {
            return;
        }
        self.held.insert((*count, id));
        if self.held.len() > KEYS
            && let Some((_, least)) = self.held.pop_first()
        {
            self.known.entry(least).and_modify(|(_, held, _)| *held = false);
        }
    }
    fn remove(&mut self, id: u64) {
        self.known.entry(id).and_modify(|(_, _, good)| *good = false);
    }
}

/// Who knows beforehand which 10,000 of the entities that have an answer are asked for most, and
/// holds those: no rule that holds the same ones all the time can do better.
fn oracle(churn: Churn) -> f64 {
    struct Oracle {
        good: HashMap<u64, bool>,
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
