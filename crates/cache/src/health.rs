//! How the cache is: in one word, and why.

use crate::config::Tiers;
use crate::memory::MemoryTier;
use crate::service::{CacheService, Inner};
use crate::stats::Scope;
use rhiz_domain::cache::{CacheHealth, CacheStatus};
use std::time::Duration;

impl CacheService {
    /// How it is, measured now: a lookup in memory and a question to Redis.
    pub async fn health_check(&self) -> CacheHealth {
        let inner = &*self.inner;
        let start = inner.clock.elapsed();
        if let Some(memory) = &inner.memory {
            memory.peek("health:check", |_, _| ());
        }
        if let Some(redis) = &inner.redis {
            redis.probe().await;
        }
        let latency = inner.clock.elapsed().saturating_sub(start);
        let (status, why) = inner.condition();
        let (code, reason) = why.unzip();
        let (backend, has_fallback) = match inner.config.tiers {
            Tiers::Memory => ("memory", false),
            Tiers::Tiered(_) => ("tiered", true),
            Tiers::Redis(_) => ("redis", false),
        };
        let keys = inner.memory.as_ref().map(MemoryTier::len);
        CacheHealth {
            status,
            backend,
            has_fallback,
            hit_rate: inner.stats.scope(Scope::Overall).total.hit_rate(),
            total_keys: keys.or_else(|| inner.redis.as_ref()?.keys()),
            latency,
            code,
            reason,
        }
    }
}

impl Inner {
    /// In one word, and why.
    fn condition(&self) -> (CacheStatus, Option<(&'static str, String)>) {
        if !self.open() {
            let why = ("closed", "the cache is closed".to_owned());
            return (CacheStatus::Unhealthy, Some(why));
        }
        if let Some(follower) = &self.follower {
            let now = self.clock.elapsed();
            let confirmed_within = |time: Duration| {
                // In the first moments of the clock no confirmation can be that old.
                now.checked_sub(time).map_or(time > now, |m| follower.confirmed_since(m))
            };
            for (time, status) in [
                (self.config.unready_after, CacheStatus::Unhealthy),
                (self.config.confirm_within, CacheStatus::Degraded),
            ] {
                if !confirmed_within(time) {
                    let reason = format!("the change log has not been confirmed for {time:?}");
                    return (status, Some(("change_log", reason)));
                }
            }
        }
        match self.redis.as_ref().and_then(|redis| redis.complaint()) {
            Some(complaint) => (CacheStatus::Degraded, Some(complaint)),
            None => (CacheStatus::Healthy, None),
        }
    }
}
