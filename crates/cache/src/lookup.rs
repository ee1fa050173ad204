//! Looking up, computing and storing, through the tiers.

use crate::call::{Cacheable, Computed, LoadError};
use crate::flight::{Flight, Landing};
use crate::key;
use crate::memory::{Slot, Value};
use crate::redis::{Envelope, Fetched, Lease, Leasing, RedisTier, Write};
use crate::service::Inner;
use crate::stats::{Count, SAMPLE, Scope};
use crate::value;
use rhiz_domain::cache::{CacheError, Stamp};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What a slot costs besides its value, key and tags: the slot, two counters, the table's entry.
const SLOT_BYTES: usize = 160;
/// First and longest pause between two looks for what another node computes.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// What goes with a value that is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) tags: &'a [String],
    pub(crate) ttl: Duration,
    pub(crate) none: bool,
    pub(crate) stamp: Stamp,
    /// What is under the key must not be read again, even if this value cannot be stored.
    pub(crate) replaces: bool,
}

/// What came of leading a flight.
pub(crate) enum Led<T> {
    /// There is a value; with its slot if it came from Redis.
    Found(Arc<T>, Option<Arc<Slot>>),
    /// It must be computed, under a lease if Redis answers.
    Computes(Option<Lease>),
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Inner {
    /// The value, if a tier has a visible one of this type that passes the reader's look at it.
    pub(crate) async fn lookup<T: Cacheable>(
        &self,
        key: &str,
        namespace: u16,
        counted: bool,
        valid: &impl Fn(&T) -> bool,
    ) -> Result<Option<Arc<T>>, CacheError> {
        if let Some(value) = self.lookup_memory(key, namespace, counted, valid) {
            return Ok(Some(value));
        }
        // A key that cannot be one is never found, so that only misses pay for the look at it.
        key::check_key(key)?;
        if let Some(redis) = &self.redis
            && let Some((value, _)) = self.lookup_redis(redis, key, namespace, counted, valid).await
        {
            return Ok(Some(value));
        }
        if counted {
            self.stats.count(Scope::Overall, namespace, Count::Misses);
        }
        Ok(None)
    }

    /// Does not count a miss overall: another tier may have the value.
    pub(crate) fn lookup_memory<T: Cacheable>(
        &self,
        key: &str,
        namespace: u16,
        counted: bool,
        valid: &impl Fn(&T) -> bool,
    ) -> Option<Arc<T>> {
        let memory = self.memory.as_ref()?;
        let now = self.now();
        let count =
            |what| if counted { self.stats.count(Scope::Memory, namespace, what) } else { 1 };
        // Judged under the lock of its shard; the slot itself is needed only when it has to go.
        let judged = memory.get(key, |slot| {
            if slot.expires <= now {
                return Err((Count::StaleHits, slot.clone()));
            }
            if !self.is_good(key, slot) {
                return Err((Count::Hidden, slot.clone()));
            }
            match Arc::downcast::<T>(slot.value.clone()) {
                Ok(value) => Ok((value, slot.none)),
                Err(_) => Err((Count::BadValues, slot.clone())),
            }
        });
        let fault = match judged {
            Some(Ok((value, none))) if valid(&value) => {
                // Overall, hits are the sum over the tiers.
                if count(if none { Count::NoneHits } else { Count::Hits }) % SAMPLE == 0 {
                    let took = self.now().saturating_sub(now);
                    self.stats.took(Scope::Memory, Duration::from_nanos(took));
                }
                return Some(value);
            }
            Some(Ok(_)) => {
                memory.remove(key);
                Some(Count::Hidden)
            }
            Some(Err((fault, slot))) => {
                memory.remove_same(key, &slot);
                Some(fault)
            }
            None => None,
        };
        if let Some(fault) = fault {
            count(fault);
            if counted {
                self.stats.count(Scope::Overall, namespace, fault);
            }
        }
        count(Count::Misses);
        None
    }

    /// Does not count a miss overall. The slot's stamp is what the value was checked against.
    async fn lookup_redis<T: Cacheable>(
        &self,
        redis: &Arc<RedisTier>,
        key: &str,
        namespace: u16,
        counted: bool,
        valid: &impl Fn(&T) -> bool,
    ) -> Option<(Arc<T>, Arc<Slot>)> {
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
        let local = self.index.head();
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
                let size = (bytes.len() + SLOT_BYTES) as u64;
                let expires = self.now().saturating_add(nanos(ttl));
                let erased: Value = value.clone();
                let slot = Slot::new(erased, local, expires, tags, size, namespace, envelope.none);
                let slot = Arc::new(slot);
                if let Some(memory) = &self.memory {
                    memory.insert(key, slot.clone(), self.now());
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
        let slot = self.memory.as_ref().and_then(|memory| memory.peek(key));
        if slot.is_some_and(|slot| slot.expires > now && self.is_good(key, &slot)) {
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

    /// Before the leader of a flight computes: perhaps the value has come in the meantime, Redis
    /// has it, or another node computes it. With the value, its slot; with the right to compute,
    /// the lease.
    pub(crate) async fn lead<T: Cacheable>(
        &self,
        key: &str,
        namespace: u16,
        deadline: Duration,
        valid: &impl Fn(&T) -> bool,
    ) -> Led<T> {
        if let Some(value) = self.lookup_memory(key, namespace, false, valid) {
            self.stats.count(Scope::Overall, namespace, Count::Hits);
            return Led::Found(value, None);
        }
        if let Some(redis) = &self.redis
            && let Some((value, slot)) = self.lookup_redis(redis, key, namespace, true, valid).await
        {
            return Led::Found(value, Some(slot));
        }
        self.stats.count(Scope::Overall, namespace, Count::Misses);
        let Some(redis) = &self.redis else { return Led::Computes(None) };
        let mut pause = LOOK_AGAIN.0;
        loop {
            let left = deadline.saturating_sub(self.clock.elapsed());
            if left.is_zero() {
                return Led::Computes(None);
            }
            let lease = match redis.lease(key, self.config.load_wait).await {
                Leasing::Unavailable => return Led::Computes(None),
                Leasing::Granted(lease) => Some(lease),
                Leasing::Taken => {
                    tokio::time::sleep(pause.min(left)).await;
                    pause = (pause * 3 / 2).min(LOOK_AGAIN.1);
                    None
                }
            };
            let found = self.lookup_redis(redis, key, namespace, false, valid).await;
            if let Some((value, slot)) = found {
                return Led::Found(value, Some(slot));
            }
            if lease.is_some() {
                return Led::Computes(lease);
            }
        }
    }

    /// Computes and stores; lands the flight, if there is one.
    pub(crate) async fn compute<T, E, F, Fut>(
        &self,
        key: &str,
        flight: Option<Flight>,
        refresh: bool,
        compute: F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Computed<T>, E>>,
    {
        // Noted before the computation begins: the law of the service.
        let stamp = self.note();
        match compute().await {
            Ok(computed) => {
                let value = Arc::new(computed.value);
                if computed.none && !refresh {
                    let namespace = self.stats.namespace(key);
                    self.stats.count(Scope::Overall, namespace, Count::NoneMisses);
                }
                let ttl = computed.ttl.unwrap_or(self.config.default_ttl);
                // A value set by hand in the meantime stays.
                let keep = flight.as_ref().is_none_or(|f| !f.superseded());
                let item = Item {
                    tags: &computed.tags,
                    ttl: if keep { ttl } else { Duration::ZERO },
                    none: computed.none,
                    stamp,
                    replaces: refresh && keep,
                };
                match self.store(key, &value, item).await {
                    Ok(slot) => {
                        if let Some(flight) = flight {
                            flight.land(Landing::Value { slot, stamp: stamp.local, found: false });
                        }
                    }
                    // Not kept, but computed: the caller gets it, waiters compute for themselves.
                    Err(error) => tracing::warn!(%error, key, "a computed value cannot be kept"),
                }
                Ok(value)
            }
            Err(error) => {
                let error = Arc::new(error);
                if let Some(flight) = flight {
                    flight.land(Landing::Error(error.clone()));
                }
                Err(LoadError::Compute(error))
            }
        }
    }

    /// Puts a value into the tiers; answers with its slot, also when it was not kept.
    pub(crate) async fn store<T: Cacheable>(
        &self,
        key: &str,
        value: &Arc<T>,
        item: Item<'_>,
    ) -> Result<Arc<Slot>, CacheError> {
        for tag in item.tags {
            key::check_tag(tag)?;
        }
        let payload = match &self.redis {
            Some(_) => Some(value::encode(key, &**value)?),
            None => None,
        };
        let size = match &payload {
            Some(payload) => payload.len(),
            None => value::encoded_len(key, &**value)?,
        };
        let ttl = item.ttl.mul_f64(1.0 - self.config.jitter * self.entropy.fraction());
        let namespace = self.stats.namespace(key);
        let bytes = (size + key.len() + item.tags.len() * 8 + SLOT_BYTES) as u64;
        let tags = item.tags.iter().map(|tag| self.index.tag_hash(tag)).collect();
        let expires = self.now().saturating_add(nanos(ttl));
        let (erased, local): (Value, _) = (value.clone(), item.stamp.local);
        let slot = Arc::new(Slot::new(erased, local, expires, tags, bytes, namespace, item.none));
        if ttl.is_zero() || size > self.config.max_value_bytes || !self.open() {
            self.stats.count(Scope::Overall, namespace, Count::Refused);
            if item.replaces {
                // What is under the key is older than what is not kept.
                if let Some(memory) = &self.memory {
                    memory.remove(key);
                }
                if let Some(redis) = &self.redis {
                    redis.remove(key, namespace).await;
                }
            }
            return Ok(slot);
        }
        self.stats.count(Scope::Overall, namespace, Count::Sets);
        if let Some(memory) = &self.memory {
            self.stats.count(Scope::Memory, namespace, Count::Sets);
            memory.insert(key, slot.clone(), self.now());
        }
        if let (Some(redis), Some(payload)) = (&self.redis, &payload) {
            let write = Write {
                key,
                kind: value::kind::<T>(),
                tags: item.tags,
                payload,
                none: item.none,
                ttl,
                stamp: item.stamp.change,
                epoch: item.stamp.epoch,
                replaces: item.replaces,
            };
            redis.set(write, namespace).await;
        }
        Ok(slot)
    }
}
