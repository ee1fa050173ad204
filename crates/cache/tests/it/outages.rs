//! What a request, the statistics and health see when Redis is dead, silent, flushed, full or
//! lying; and what they see when it is back.

use crate::proxy::Fault;
use crate::world::{Authority, Node, calls, command, direct, info, place, until};
use rhiz_cache::{
    CacheConfig, CacheService, CacheStatus, Call, Computed, Consistency, SetOptions, Tiers,
};
use rhiz_domain::Clock;
use rhiz_domain::clock::SystemClock;
use rhiz_testkit::redis::RedisServer;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

async fn alone(server: &RedisServer) -> Node {
    Node::start(server, None, |config: &mut CacheConfig| config.max_keys = 16).await
}

async fn get(cache: &CacheService, key: &str) -> Option<String> {
    cache.get::<String>(key, Consistency::Fenced).await.expect("a good key").map(|v| (*v).clone())
}

async fn set(cache: &CacheService, key: &str, value: &str) {
    cache.set(key, value.to_owned(), &SetOptions::default()).await.expect("a good key");
}

/// Pushes everything out of the node's memory, so that Redis is asked.
pub(crate) async fn forget(cache: &CacheService) {
    for i in 0..64 {
        let key = format!("filler:{i}");
        for _ in 0..3 {
            let compute = || async { Ok::<_, Infallible>(Computed::new(i)) };
            cache.get_or_compute(&key, Call::EVENTUAL, compute).await.expect("computed");
        }
    }
}

async fn status(node: &Node) -> CacheStatus {
    node.cache.health_check().await.status
}

fn up(node: &Node) -> bool {
    node.cache.stats().redis.expect("tiered").up
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_redis_costs_requests_nothing_and_comes_back_by_itself() {
    let mut server = RedisServer::start();
    let node = alone(&server).await;
    set(&node.cache, "k", "in memory").await;
    assert_eq!(status(&node).await, CacheStatus::Healthy);
    server.kill();
    let clock = SystemClock::default();
    for i in 0..10_000 {
        node.cache
            .get::<String>(&format!("missing:{i}"), Consistency::Eventual)
            .await
            .expect("good");
    }
    let each = clock.elapsed() / 10_000;
    eprintln!("dead Redis: {each:?} for each of 10,000 lookups");
    assert!(each < Duration::from_millis(1));
    let health = node.cache.health_check().await;
    assert_eq!((health.status, health.has_fallback), (CacheStatus::Degraded, true));
    assert_eq!(health.code, Some("redis_out"));
    assert!(health.reason.expect("a reason").contains("Redis is out"));
    assert_eq!(get(&node.cache, "k").await.as_deref(), Some("in memory"), "memory serves");
    set(&node.cache, "k", "never fails").await;
    server.start_again();
    let back = until("recovery", async || status(&node).await == CacheStatus::Healthy).await;
    let redis = node.cache.stats().redis.expect("tiered");
    eprintln!("back after {back:?}; outages {}, bypassed {}", redis.outages, redis.bypassed);
    assert!(redis.outages >= 1 && redis.bypassed >= 9_900 && redis.up && redis.epochs == 2);
    assert!(redis.last_recovery.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_redis_counts_as_dead() {
    let server = RedisServer::start();
    let node = alone(&server).await;
    node.proxy.set(Fault::BlackHole);
    let clock = SystemClock::default();
    let mut worst = Duration::ZERO;
    for i in 0..10_000 {
        let before = clock.elapsed();
        node.cache
            .get::<String>(&format!("missing:{i}"), Consistency::Eventual)
            .await
            .expect("good");
        let took = clock.elapsed() - before;
        worst = worst.max(took);
    }
    let each = clock.elapsed() / 10_000;
    eprintln!("silent Redis: {each:?} for each of 10,000 lookups, worst {worst:?}");
    assert!(each < Duration::from_millis(1) && worst < Duration::from_secs(1));
    let redis = node.cache.stats().redis.expect("tiered");
    assert!(redis.scope.total.errors <= 1, "one request waited for nothing, no other did");
    assert!(redis.bypassed >= 9_999, "the others went past: {}", redis.bypassed);
    assert_eq!(status(&node).await, CacheStatus::Degraded);
    node.proxy.set(Fault::None);
    until("recovery", async || status(&node).await == CacheStatus::Healthy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_noticed_without_any_request() {
    let server = RedisServer::start();
    let node = alone(&server).await;
    node.proxy.set(Fault::BlackHole);
    let noticed = until("notice", async || !up(&node)).await;
    eprintln!("silence noticed after {noticed:?}");
    assert!(noticed < Duration::from_millis(1_000));
    let before = node.proxy.accepted();
    node.proxy.set(Fault::None);
    let back = until("recovery", async || up(&node)).await;
    eprintln!("back after {back:?}, {} new connections", node.proxy.accepted() - before);
    assert!(back < Duration::from_millis(1_500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_overwritten_or_deleted_during_an_outage_does_not_return() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let few = |config: &mut CacheConfig| config.max_keys = 16;
    let node = Node::start(&server, Some(authority.clone()), few).await;
    let other = Node::start(&server, Some(authority), few).await;
    for key in ["overwritten", "deleted"] {
        set(&other.cache, key, "old").await;
    }
    forget(&node.cache).await;
    assert_eq!(get(&node.cache, "overwritten").await.as_deref(), Some("old"), "from Redis");
    node.proxy.set(Fault::BlackHole);
    set(&node.cache, "overwritten", "new").await;
    node.cache.delete("deleted").await.expect("recorded");
    assert!(node.cache.stats().redis.expect("tiered").queued >= 2);
    forget(&node.cache).await;
    node.proxy.set(Fault::None);
    until("recovery", async || up(&node)).await;
    assert_eq!(node.cache.stats().redis.expect("tiered").queued, 0, "worked off before any read");
    assert_ne!(get(&node.cache, "overwritten").await.as_deref(), Some("old"));
    assert_eq!(get(&node.cache, "deleted").await, None);
    assert_eq!(get(&other.cache, "deleted").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overflowing_backlog_clears_everything() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let tune = |config: &mut CacheConfig| {
        config.max_keys = 16;
        if let Tiers::Tiered(redis) = &mut config.tiers {
            redis.queue_capacity = 100;
        }
    };
    let node = Node::start(&server, Some(authority.clone()), tune).await;
    let other = Node::start(&server, Some(authority), tune).await;
    for i in 0..200 {
        set(&other.cache, &format!("entity:{i}"), "old").await;
    }
    node.proxy.set(Fault::Cut);
    until("notice", async || !up(&node)).await;
    for i in 0..200 {
        set(&node.cache, &format!("entity:{i}"), "new").await;
    }
    forget(&node.cache).await;
    node.proxy.set(Fault::None);
    until("recovery", async || up(&node)).await;
    for i in 0..200 {
        assert_ne!(get(&node.cache, &format!("entity:{i}")).await.as_deref(), Some("old"));
    }
    assert_eq!(node.cache.stats().redis.expect("tiered").epochs, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_or_an_evicted_epoch_resurrects_nothing() {
    let server = RedisServer::start();
    let node = alone(&server).await;
    let meta = place(&server, "meta").await.expect("an epoch");
    for (round, words) in [&["FLUSHALL"][..], &["DEL", &meta][..]].into_iter().enumerate() {
        set(&node.cache, "k", "before").await;
        let k = place(&server, "v:k").await.expect("there");
        let dump = command(&server, &["GET", &k]).await.expect("Redis");
        command(&server, words).await.expect("Redis");
        forget(&node.cache).await;
        until("a new epoch", async || {
            get(&node.cache, "something").await;
            node.cache.stats().redis.expect("tiered").epochs == round as u64 + 2 && up(&node)
        })
        .await;
        // What a lagging replica or an old snapshot would bring back.
        let redis::Value::BulkString(bytes) = dump else { panic!("a value") };
        let mut direct = direct(&server).await;
        redis::cmd("SET").arg(k).arg(bytes).exec_async(&mut direct).await.expect("Redis");
        assert_eq!(get(&node.cache, "k").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_redis_refuses_writes_and_the_service_goes_on() {
    let server = RedisServer::start();
    let node = alone(&server).await;
    set(&node.cache, "k", "old").await;
    command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await.expect("Redis");
    set(&node.cache, "k", "new").await;
    assert_eq!(get(&node.cache, "k").await.as_deref(), Some("new"), "from memory");
    let health = node.cache.health_check().await;
    assert_eq!(health.status, CacheStatus::Degraded);
    assert_eq!(health.code, Some("redis_full"));
    assert!(health.reason.expect("a reason").contains("full"));
    forget(&node.cache).await;
    assert_ne!(get(&node.cache, "k").await.as_deref(), Some("old"), "removed, or not believed");
    assert!(node.cache.stats().redis.expect("tiered").scope.total.refused >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_values_are_misses_that_are_counted() {
    let server = RedisServer::start();
    let node = alone(&server).await;
    let mut direct = direct(&server).await;
    set(&node.cache, "k", "good").await;
    let k = place(&server, "v:k").await.expect("there");
    let good: Vec<u8> = redis::cmd("GET").arg(&k).query_async(&mut direct).await.expect("there");
    let older = [b"RZ00", &good[4..]].concat();
    let cut = good[..good.len() - 1].to_vec();
    let rubbish = b"\x80\x04\x95cposix\nsystem\n".to_vec();
    for (count, bad) in [older, cut, rubbish, Vec::new()].into_iter().enumerate() {
        forget(&node.cache).await;
        redis::cmd("SET").arg(&k).arg(bad).exec_async(&mut direct).await.expect("Redis");
        assert_eq!(get(&node.cache, "k").await, None);
        assert_eq!(node.cache.stats().overall.total.bad_values, count as u64 + 1);
        let there: bool =
            redis::cmd("EXISTS").arg(&k).query_async(&mut direct).await.expect("Redis");
        assert!(!there, "removed");
    }
    set(&node.cache, "k", "a text").await;
    forget(&node.cache).await;
    assert_eq!(node.cache.get::<u64>("k", Consistency::Fenced).await.expect("good"), None);
    assert_eq!(node.cache.stats().overall.total.bad_values, 5, "a value of another type");
    assert_eq!(node.cache.stats().redis.expect("tiered").outages, 0);
    assert!(node.cache.set(&"k".repeat(1 << 20), 1_u8, &SetOptions::default()).await.is_err());
    assert!(node.cache.get::<u8>("a\u{1b}[2J", Consistency::Eventual).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_missing_key_is_computed_once_across_nodes() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        nodes.push(Node::start(&server, Some(authority.clone()), |_| {}).await);
    }
    let computed = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let callers: Vec<_> = (0..10_000)
        .map(|i| {
            let (cache, computed) = (nodes[i % 2].cache.clone(), computed.clone());
            let gate = gate.clone();
            tokio::spawn(async move {
                cache
                    .get_or_compute("trust:score:a", Call::FENCED, || async move {
                        computed.fetch_add(1, Ordering::SeqCst);
                        let _permit = gate.acquire().await.expect("open");
                        Ok::<_, Infallible>(Computed::new(7_u64))
                    })
                    .await
                    .expect("computed")
            })
        })
        .collect();
    // All but one of each node wait; and of those two, one has been refused the lease.
    let waiting = || -> u64 { nodes.iter().map(|n| n.cache.stats().overall.total.coalesced).sum() };
    until("everybody waits", async || waiting() == 9_998).await;
    until("the other node looks again", async || calls(&server, "get").await > 4).await;
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(*caller.await.expect("task"), 7);
    }
    assert_eq!(computed.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_confirm_the_log_serves_nothing_and_then_is_unready() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let node = Node::start(&server, Some(authority.clone()), |config| {
        config.confirm_within = Duration::from_millis(300);
        config.unready_after = Duration::from_millis(900);
        config.confirm_every = Duration::from_millis(50);
    })
    .await;
    set(&node.cache, "k", "v").await;
    assert_eq!(get(&node.cache, "k").await.as_deref(), Some("v"));
    authority.silent.store(true, Ordering::SeqCst);
    let clock = SystemClock::default();
    until("serving nothing", async || {
        node.cache.get::<String>("k", Consistency::Eventual).await.expect("good").is_none()
    })
    .await;
    assert_eq!(status(&node).await, CacheStatus::Degraded);
    until("unready", async || status(&node).await == CacheStatus::Unhealthy).await;
    eprintln!("unready {:?} after the log fell silent", clock.elapsed());
    assert!(node.cache.clear_tag("a").await.is_err(), "says that the others were not told");
    authority.silent.store(false, Ordering::SeqCst);
    until("recovery", async || status(&node).await == CacheStatus::Healthy).await;
    let eventual = node.cache.get::<String>("k", Consistency::Eventual).await.expect("good");
    assert_eq!(eventual.as_deref().map(String::as_str), Some("v"), "it is still good");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clearing_asks_nothing_of_redis() {
    let server = RedisServer::start();
    let node = alone(&server).await;
    for i in 0..500 {
        set(&node.cache, &format!("trust:score:{i}"), "v").await;
    }
    let names = ["keys", "scan", "unlink", "del", "set", "eval"];
    let mut before = Vec::new();
    for name in names {
        before.push(calls(&server, name).await);
    }
    node.cache.clear_pattern("trust:*").await.expect("a pattern");
    node.cache.clear_tag("a").await.expect("a tag");
    for (name, before) in names.into_iter().zip(before) {
        assert_eq!(calls(&server, name).await, before, "{name}");
    }
    assert_eq!(calls(&server, "keys").await, 0);
    forget(&node.cache).await;
    for i in 0..500 {
        assert_eq!(get(&node.cache, &format!("trust:score:{i}")).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_is_taken_out_of_redis_slowly_behind_the_readers() {
    const HIDDEN: u64 = 3_000;
    const KEPT: u64 = 500;
    let server = RedisServer::start();
    let node = Node::start(&server, None, |config: &mut CacheConfig| {
        config.max_keys = 16;
        config.reclaim_redis_every = Duration::from_secs(1);
    })
    .await;
    let value = "v".repeat(1_000);
    for i in 0..HIDDEN {
        set(&node.cache, &format!("trust:score:{i}"), &value).await;
    }
    for i in 0..KEPT {
        set(&node.cache, &format!("entity:{i}"), &value).await;
    }
    let memory = async || {
        let info = info(&server, "memory").await;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        used.expect("a number").trim().parse::<u64>().expect("a number")
    };
    let keys = async || match command(&server, &["DBSIZE"]).await.expect("Redis") {
        redis::Value::Int(keys) => u64::try_from(keys).expect("not negative"),
        other => panic!("a number, not {other:?}"),
    };
    let (before, scans) = (memory().await, calls(&server, "scan").await);
    assert!(keys().await >= HIDDEN + KEPT);
    node.cache.clear_pattern("trust:*").await.expect("a pattern");
    let clock = SystemClock::default();
    until("the first to go", async || keys().await < HIDDEN + KEPT).await;
    let began = clock.elapsed();
    // What is not a value: the epoch's key.
    until("the last to go", async || keys().await <= KEPT + 1).await;
    let took = clock.elapsed() - began;
    let freed = before - memory().await;
    let steps = calls(&server, "scan").await - scans;
    eprintln!("{HIDDEN} of {} keys in {took:?}, {steps} steps, {freed} bytes", HIDDEN + KEPT);
    // 200 keys a step, a step each 50 ms less a fifth at most: 17 steps and 16 pauses or more. The
    // first step was over before the clock was looked at.
    assert!(steps >= (HIDDEN + KEPT) / 250, "{steps} steps");
    assert!(took >= Duration::from_millis(40) * 10, "{took:?}: faster than its pace");
    assert!(freed > HIDDEN * 1_000, "{freed} bytes were freed");
    assert_eq!(calls(&server, "keys").await, 0);
    for i in 0..KEPT {
        assert!(get(&node.cache, &format!("entity:{i}")).await.is_some(), "entity:{i} was kept");
    }
}
