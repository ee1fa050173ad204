//! The cache's statistics, as they are shown.

use rhiz_cache::{CacheStats, Counts, ScopeStats};
use serde_json::{Value, json};
use std::time::Duration;

fn counts(c: &Counts) -> Value {
    json!({
        "hits": c.hits,
        "misses": c.misses,
        "none_hits": c.none_hits,
        "none_misses": c.none_misses,
        "stale_hits": c.stale_hits,
        "hidden_by_invalidation": c.hidden,
        "coalesced": c.coalesced,
        "refreshes": c.refreshes,
        "sets": c.sets,
        "deletes": c.deletes,
        "invalidations": c.invalidations,
        "evictions": c.evictions,
        "bad_values": c.bad_values,
        "refused": c.refused,
        "errors": c.errors,
        "keys": c.keys,
        "bytes": c.bytes,
        "hit_rate": c.hit_rate(),
    })
}

fn scope(s: &ScopeStats) -> Value {
    let ms = |d: Option<Duration>| d.map(|d| d.as_secs_f64() * 1e3);
    json!({
        "total": counts(&s.total),
        "namespaces": s
            .namespaces
            .iter()
            .map(|(name, c)| (name.clone(), counts(c)))
            .collect::<serde_json::Map<_, _>>(),
        "latency_p50_ms": ms(s.latency_p50),
        "latency_p99_ms": ms(s.latency_p99),
    })
}

/// Every lookup once, and each tier.
pub(super) fn shown(stats: &CacheStats) -> Value {
    json!({
        "overall": scope(&stats.overall),
        "memory": stats.memory.as_ref().map(scope),
        "redis": stats.redis.as_ref().map(|r| json!({
            "lookups": scope(&r.scope),
            "up": r.up,
            "outages": r.outages,
            "bypassed": r.bypassed,
            "queued": r.queued,
            "epochs": r.epochs,
            "last_recovery_ms": r.last_recovery.map(|d| d.as_secs_f64() * 1e3),
        })),
        "invalidations": stats.invalidations,
    })
}
