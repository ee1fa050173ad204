//! Looking up a value, through the tiers.

use crate::call::Cacheable;
use crate::keep::SLOT_BYTES;
use crate::key;
use crate::memory::{Fit, MemoryTier, Slot, Value, typed};
use crate::redis::{Envelope, Fetched, RedisTier};
use crate::service::{Inner, nanos};
use crate::stats::{Count, Scope, Statistics};
use crate::value;
use rhiz_domain::cache::CacheError;
use std::sync::Arc;
use std::time::Duration;

/// What was there and was not shown: why, and how a hit already counted is taken back.
type Refused = (Count, Value, Option<Count>);

/// Which look of one caller into memory this is: a lookup counts once, whatever came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    First,
    /// The first has counted its miss; a hit is still counted, for it may be a "none".
    Again,
}

impl Inner {
    /// The value, if a tier behind the memory has a visible one of this type. Counts the lookup
    /// overall, which memory has missed.
    pub(crate) async fn lookup_behind<T: Cacheable>(
        &self,
        key: &str,
    ) -> Result<Option<Arc<T>>, CacheError> {
        // A key that cannot be one is never found, so that only misses pay for the look at it.
        key::check_key(key)?;
        let namespace = self.stats.namespace(key);
        if let Some(redis) = &self.redis
            && let Some((value, _)) =
                self.lookup_redis(redis, key, namespace, true, &|_| true).await
        {
            return Ok(Some(value));
        }
        self.stats.count(Scope::Overall, namespace, Count::Misses);
        Ok(None)
    }

    /// Does not count a miss overall: another tier may have the value.
    #[inline(always)]
    pub(crate) fn lookup_memory<T: Cacheable>(
        &self,
        key: &str,
        look: Look,
        valid: &impl Fn(&T) -> bool,
    ) -> Option<Arc<T>> {
        let memory = self.memory.as_ref()?;
        let started = (look == Look::First && Statistics::is_timed()).then(|| self.clock.elapsed());
        let now = nanos(self.clock.coarse());
        // Judged under the lock of its shard. Out of there comes one pointer: more would go through
        // memory, in pieces of other sizes than it is read in, which the processor waits for. The
        // rest is for those that are refused, beside the way of a hit.
        let (mut refused, mut back) = (None, Count::HitsBack);
        let found = memory.get(key, look == Look::First, |slot, fit| {
            if fit.expires > now
                && self.is_good(key, slot)
                && let Some(value) = typed::<T>(&slot.value)
            {
                if slot.none {
                    back = Count::NoneHitsBack;
                }
                return Some(value);
            }
            refused = Some(self.refuse(key, slot, fit.expires <= now));
            None
        });
        let Some(value) = found else {
            self.missed_in_memory(memory, key, look, refused);
            return None;
        };
        if !valid(&value) {
            let refused = (Count::Hidden, value as Value, Some(back));
            self.missed_in_memory(memory, key, look, Some(refused));
            return None;
        }
        if let Some(started) = started {
            self.took(key, started);
        }
        Some(value)
    }

    /// One of the lookups that are timed: beside the way of the others.
    #[cold]
    fn took(&self, key: &str, started: Duration) {
        let namespace = self.stats.namespace(key);
        self.stats.took(Scope::Memory, namespace, self.clock.elapsed().saturating_sub(started));
    }

    /// Why a slot cannot be shown: its time is over, or a record covers it, or it is of another
    /// type than the reader's.
    #[cold]
    fn refuse(&self, key: &str, slot: &Slot, expired: bool) -> Refused {
        let fault = if expired {
            Count::StaleHits
        } else if self.is_good(key, slot) {
            Count::BadValues
        } else {
            Count::Hidden
        };
        (fault, slot.value.clone(), None)
    }

    /// Counts the miss, and removes what was there but cannot be shown. What is hidden or past its
    /// time stays in its place, where the value computed next takes over how often it was asked
    /// for; if none is computed, the reclaimer takes it.
    #[cold]
    fn missed_in_memory(
        &self,
        memory: &MemoryTier,
        key: &str,
        look: Look,
        refused: Option<Refused>,
    ) {
        let namespace = self.stats.namespace(key);
        let count = |scope, what| {
            if look == Look::First {
                self.stats.count(scope, namespace, what);
            }
        };
        if let Some((fault, value, back)) = refused {
            if fault == Count::BadValues || back.is_some() {
                memory.remove_same(key, &value);
            }
            count(Scope::Memory, fault);
            count(Scope::Overall, fault);
            if let Some(back) = back {
                self.stats.count(Scope::Memory, namespace, back);
            }
        }
        count(Scope::Memory, Count::Misses);
    }

    /// Does not count a miss overall. The slot's stamp is what the value was checked against.
    pub(crate) async fn lookup_redis<T: Cacheable>(
        &self,
        redis: &Arc<RedisTier>,
        key: &str,
        namespace: u16,
        counted: bool,
        valid: &impl Fn(&T) -> bool,
    ) -> Option<(Arc<T>, Slot)> {
        let count = |what| {
            if counted {
                self.stats.count(Scope::Redis, namespace, what);
            }
        };
        let both = |what| {
            if counted {
                self.stats.count(Scope::Redis, namespace, what);
                self.stats.count(Scope::Overall, namespace, what);
            }
        };
        let (bytes, live) = match redis.get(key, namespace).await {
            Fetched::Bypassed => return None,
            Fetched::Nothing => {
                count(Count::Misses);
                return None;
            }
            Fetched::Found(bytes, live) => (bytes, live),
        };
        // Seen before the check: what the entry is checked against is at least this.
        let noted = self.note();
        let local = noted.local;
        let envelope = Envelope::decode(&bytes);
        let judged = match &envelope {
            None => Err(Count::BadValues),
            Some(envelope) if envelope.key != key => {
                redis.out_of_order(&live);
                both(Count::BadValues);
                count(Count::Misses);
                return None;
            }
            Some(envelope) => self.judge::<T>(redis, &live, envelope).map(|ok| (envelope, ok)),
        };
        let (remove, fault) = match judged {
            Ok((envelope, (value, ttl))) if valid(&value) => {
                count(if envelope.none { Count::NoneHits } else { Count::Hits });
                let tags: Box<[u64]> =
                    envelope.tags.iter().map(|tag| self.index.tag_hash(tag)).collect();
                let erased: Value = value.clone();
                let slot = Slot::new(erased, local, tags, namespace, envelope.none);
                if let Some(memory) = &self.memory {
                    let now = self.now();
                    let expires = now.saturating_add(nanos(ttl));
                    let fit = Fit { expires, bytes: (bytes.len() + SLOT_BYTES) as u64 };
                    memory.insert(key, slot.clone(), fit, now);
                }
                if self.index.fades(envelope.stamp) && noted.change > envelope.stamp {
                    redis.restamp(&live, envelope, noted.change, namespace).await;
                }
                return Some((value, slot));
            }
            Ok(_) => (true, Count::Hidden),
            Err(fault) => (fault == Count::BadValues, fault),
        };
        both(fault);
        count(Count::Misses);
        if remove {
            redis.remove(key, namespace).await;
        }
        None
    }

    /// Whether an entry of Redis may be shown, and for how long.
    fn judge<T: Cacheable>(
        &self,
        redis: &RedisTier,
        live: &crate::redis::Live,
        envelope: &Envelope<'_>,
    ) -> Result<(Arc<T>, Duration), Count> {
        if !redis.believes(envelope, live) || self.is_hidden_change(envelope) {
            return Err(Count::Hidden);
        }
        let left = envelope.expires.saturating_sub(self.clock.now().as_millisecond());
        let ttl = u64::try_from(left).map_or(Duration::ZERO, Duration::from_millis);
        if ttl.is_zero() {
            return Err(Count::StaleHits);
        }
        if envelope.kind != value::kind::<T>() {
            return Err(Count::BadValues);
        }
        let value = value::decode::<T>(envelope.payload).ok_or(Count::BadValues)?;
        Ok((Arc::new(value), ttl))
    }

    /// Whether a tier has a visible value of whatever type; not counted.
    pub(crate) async fn is_there(&self, key: &str) -> bool {
        let now = self.now();
        let shown = |slot: &Slot, fit: Fit| fit.expires > now && self.is_good(key, slot);
        if self.memory.as_ref().and_then(|memory| memory.peek(key, shown)) == Some(true) {
            return true;
        }
        let Some(redis) = &self.redis else { return false };
        let Fetched::Found(bytes, live) = redis.get(key, self.stats.namespace(key)).await else {
            return false;
        };
        Envelope::decode(&bytes).is_some_and(|envelope| {
            envelope.key == key
                && redis.believes(&envelope, &live)
                && !self.is_hidden_change(&envelope)
                && envelope.expires > self.clock.now().as_millisecond()
        })
    }
}
