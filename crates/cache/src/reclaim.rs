//! Takes what is hidden or expired out of the tiers, slowly, behind the readers.

use crate::service::Inner;
use std::sync::Weak;
use std::time::Duration;

/// Places looked at under one lock: some 20 µs.
const STEP: usize = 256;
/// Time between two steps: a million values take four seconds.
const PACE: Duration = Duration::from_millis(1);
/// How often it is looked whether there is something to do.
const ROUND: Duration = Duration::from_secs(1);
/// Rounds after which expired values are looked for although nothing was invalidated.
const EXPIRED_EVERY: u32 = 30;

/// The task; ends with the service.
pub(crate) async fn reclaim(inner: Weak<Inner>) {
    let mut swept = 0;
    // Head and epoch of the last pass over Redis, and when that was.
    let mut swept_redis = (0, 0);
    let mut last_redis = None;
    for round in 1_u32.. {
        tokio::time::sleep(ROUND).await;
        let Some(service) = inner.upgrade().filter(|inner| inner.open()) else { return };
        let head = service.index.head();
        let (shards, redis) =
            (service.memory.as_ref().map_or(0, |m| m.shards()), service.redis.clone());
        drop(service);
        if head != swept || round % EXPIRED_EVERY == 0 {
            swept = head;
            for shard in 0..shards {
                let mut from = Some(0);
                while let Some(at) = from {
                    let Some(service) = inner.upgrade() else { return };
                    from = service.sweep_memory(shard, at, STEP);
                    drop(service);
                    tokio::time::sleep(PACE).await;
                }
            }
        }
        let Some(redis) = redis else { continue };
        let Some(service) = inner.upgrade() else { return };
        let (now, every) = (service.clock.elapsed(), service.config.reclaim_redis_every);
        drop(service);
        let began = *last_redis.get_or_insert(now);
        if now.saturating_sub(began) < every || swept_redis == (head, redis.epoch()) {
            continue;
        }
        (swept_redis, last_redis) = ((head, redis.epoch()), Some(now));
        redis
            .sweep(|envelope| inner.upgrade().is_some_and(|inner| inner.is_hidden_change(envelope)))
            .await;
    }
}
