//! The hit rate on a realistic load: Zipf 1.0 queries over 50,000 entities; after every hundredth
//! query one entity changes (1 % churn). Every twentieth entity has no answer; every
//! fiftieth query is forced. As the statistics report it, after a warm-up.

use crate::redis_tier::Server;
use crate::{Zipf, service};
use rhiz_cache::{CacheService, CacheStats, Call, Computed, Invalidation, Target, Tiers};
use rhiz_domain::Entropy;
use rhiz_domain::clock::SeededEntropy;
use std::convert::Infallible;
use std::time::Duration;

const ENTITIES: usize = 50_000;
const QUERIES: usize = 1_000_000;

pub(crate) async fn run() {
    println!("\n# hit rate on a realistic load ({QUERIES} queries after as many to warm up)");
    for churn in [Churn::Uniform, Churn::Zipf] {
        for keys in [10_000, 25_000, 50_000] {
            report(&format!("memory, {keys} keys"), churn, &service(keys), QUERIES).await;
        }
        let server = Server::start();
        let tiered = server.service(Tiers::Tiered).await;
        report("10,000 keys in memory, Redis", churn, &tiered, QUERIES / 5).await;
        tiered.close().await;
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
    play(cache, churn, queries).await;
    let before = cache.stats();
    play(cache, churn, queries).await;
    let rate = rate(&before, &cache.stats());
    println!("{name:30} churn {churn:?}: {:.2} %", rate * 100.0);
}

fn rate(before: &CacheStats, after: &CacheStats) -> f64 {
    let (a, b) = (before.overall.total, after.overall.total);
    let hits = b.hits - a.hits;
    let misses = (b.misses - b.none_misses) - (a.misses - a.none_misses);
    hits as f64 / (hits + misses) as f64
}

async fn play(cache: &CacheService, churn: Churn, queries: usize) {
    let zipf = Zipf::new(ENTITIES);
    let dice = SeededEntropy::new(11);
    // Which entity has which rank: not the order of their names.
    let entity = |rank: usize| rank * 7919 % ENTITIES;
    for query in 0..queries {
        let id = entity(zipf.pick(dice.fraction()));
        let none = id % 20 == 0;
        let compute = || async {
            let computed =
                Computed::new((!none).then_some(id as u64)).tags([format!("did:plc:{id}")]);
            Ok::<_, Infallible>(if none {
                computed.none().ttl(Duration::from_secs(10))
            } else {
                computed
            })
        };
        let call = Call::EVENTUAL.refresh(query % 50 == 0);
        cache
            .get_or_compute(&format!("trust:score:did:plc:{id}"), call, compute)
            .await
            .expect("good");
        if query % 100 == 0 {
            let changed = match churn {
                Churn::Uniform => (dice.next_u64() % ENTITIES as u64) as usize,
                Churn::Zipf => entity(zipf.pick(dice.fraction())),
            };
            let targets = vec![Target::Tag(format!("did:plc:{changed}"))];
            cache.invalidate(&Invalidation { seq: query as u64, targets });
        }
    }
}
