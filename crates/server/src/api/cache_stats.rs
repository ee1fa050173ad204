//! The cache's statistics, as they are shown: what is not known is `null`, not 0.

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
        "latency_p50_ms": ms(c.latency_p50),
        "latency_p99_ms": ms(c.latency_p99),
    })
}

fn ms(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64() * 1e3)
}

fn scope(s: &ScopeStats) -> Value {
    json!({
        "total": counts(&s.total),
        "namespaces": s
            .namespaces
            .iter()
            .map(|(name, c)| (name.clone(), counts(c)))
            .collect::<serde_json::Map<_, _>>(),
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
            "restamped": r.restamped,
            "counted_ms_ago": ms(r.counted_ago),
            "last_recovery_ms": ms(r.last_recovery),
        })),
        "invalidations": stats.invalidations,
    })
}
