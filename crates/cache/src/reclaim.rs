//! Takes what is hidden or expired out of the tiers, slowly, behind the readers.

use crate::redis::{Envelope, Verdict};
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
/// How much more seldom Redis is passed over while this node neither writes nor hides anything.
const IDLE: u32 = 10;

impl Inner {
    fn judge_swept(&self, envelope: &Envelope<'_>) -> Verdict {
        // Noted before the check: the law of the stamp.
        let noted = self.note();
        if self.is_hidden_change(envelope) {
            Verdict::Hidden
        } else if noted.change > envelope.stamp && self.index.fades(envelope.stamp) {
            Verdict::GoodTo(noted.change)
        } else {
            Verdict::Good
        }
    }
}

/// The task; ends with the service.
pub(crate) async fn reclaim(inner: Weak<Inner>) {
    let mut swept = 0;
    // When the last pass over Redis began, and what was known then.
    let mut swept_redis = None;
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
        let Some(redis) = redis.filter(|redis| redis.epoch() != 0) else { continue };
        let Some(service) = inner.upgrade() else { return };
        let (now, every) = (service.clock.elapsed(), service.config.reclaim_redis_every);
        let turns = service.index.turns();
        drop(service);
        let known = (head, redis.epoch(), redis.writes());
        let due = swept_redis.is_none_or(|(at, before, turns_before): (Duration, _, _)| {
            let every = if before == known { every * IDLE } else { every };
            // What has begun to fade is gone with the turn after this one.
            turns != turns_before || now.saturating_sub(at) >= every
        });
        if !due {
            continue;
        }
        swept_redis = Some((now, known, turns));
        redis
            .sweep(|envelope| {
                inner.upgrade().map_or(Verdict::Good, |inner| inner.judge_swept(envelope))
            })
            .await;
    }
}
