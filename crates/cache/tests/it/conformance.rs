//! The suite that memory, Redis and both in tiers pass.

use rhiz_cache::{CacheConfig, CacheService, RedisConfig, Tiers};
use rhiz_domain::clock::{ManualClock, SystemEntropy};
use rhiz_testkit::cache::{CacheUnderTest, suite};
use rhiz_testkit::redis::RedisServer;
use std::sync::Arc;
use std::time::Duration;

async fn made(tiers: Tiers) -> CacheUnderTest {
    let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().expect("time")));
    let config = CacheConfig { tiers, ..CacheConfig::default() };
    let redis = config.tiers != Tiers::Memory;
    let cache = CacheService::start(config, None, clock.clone(), Arc::new(SystemEntropy))
        .expect("settings");
    if redis {
        assert!(cache.wait_for_redis(Duration::from_secs(5)).await, "Redis is there");
    }
    CacheUnderTest { cache: Arc::new(cache), clock }
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    suite(async || made(Tiers::Memory).await).await;
}

#[tokio::test]
async fn redis_keeps_the_promises() {
    let server = RedisServer::start();
    let url = format!("redis://{}/", server.address());
    suite(async || made(Tiers::Redis(RedisConfig::at(&url))).await).await;
}

#[tokio::test]
async fn both_tiers_keep_the_promises() {
    let server = RedisServer::start();
    let url = format!("redis://{}/", server.address());
    suite(async || made(Tiers::Tiered(RedisConfig::at(&url))).await).await;
}
