//! Loading: the value under a key, computed by one caller while the others wait.

use crate::call::{Cacheable, Call, Compute, LoadError};
use crate::flight::{Boarding, Flight, Landing};
use crate::keep::Item;
use crate::key;
use crate::lookup::Look;
use crate::memory::Slot;
use crate::redis::{Lease, Leasing};
use crate::service::{CacheService, Inner};
use crate::stats::{Count, Scope};
use rhiz_domain::cache::Consistency;
use std::sync::Arc;
use std::time::Duration;

/// First and longest pause between two looks for what another node computes.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));

/// What came of leading a flight.
enum Led<T> {
    /// There is a value; with its slot if it came from Redis.
    Found(Arc<T>, Option<Slot>),
    /// It must be computed, under a lease if Redis answers.
    Computes(Option<Lease>),
}

impl CacheService {
    /// The value, computed and kept if there is none: by one caller, while the others wait.
    ///
    /// # Errors
    /// [`LoadError::Cache`] for a key that cannot be one, [`LoadError::Compute`] when the
    /// computation failed (nothing is kept then).
    pub async fn get_or_compute<T: Cacheable, E: Send + Sync + 'static>(
        &self,
        key: &str,
        call: Call,
        compute: impl Compute<T, E>,
    ) -> Result<Arc<T>, LoadError<E>> {
        self.get_or_compute_if(key, call, |_| true, compute).await
    }

    /// As [`CacheService::get_or_compute`], but a kept value is looked at before it is served
    /// (promise 2: the hops of a path are looked up in the graph); one that does not pass is
    /// removed and computed anew.
    ///
    /// # Errors
    /// As [`CacheService::get_or_compute`].
    pub async fn get_or_compute_if<T: Cacheable, E: Send + Sync + 'static>(
        &self,
        key: &str,
        call: Call,
        valid: impl Fn(&T) -> bool,
        compute: impl Compute<T, E>,
    ) -> Result<Arc<T>, LoadError<E>> {
        let inner = &*self.inner;
        let knows = inner.knows_enough(call.consistency);
        if knows
            && !call.refresh
            && let Some(value) = inner.lookup_memory(key, Look::First, &valid)
        {
            return Ok(value);
        }
        let looked = knows && !call.refresh;
        let namespace = inner.stats.namespace(key);
        let fresh = knows || inner.fresh(call.consistency).await;
        // Whether this lookup still has to be counted as a hit or a miss.
        let mut uncounted = false;
        if call.refresh {
            key::check_key(key)?;
            inner.stats.count(Scope::Overall, namespace, Count::Refreshes);
        } else if !fresh {
            inner.not_fresh(key)?;
            if call.consistency != Consistency::Eventual {
                // Nobody knows whether what others compute began late enough.
                return inner.compute(key, None, false, compute).await;
            }
        } else {
            if !looked && let Some(value) = inner.lookup_memory(key, Look::First, &valid) {
                return Ok(value);
            }
            key::check_key(key)?;
            uncounted = true;
        }
        let arrival = inner.index.head();
        let deadline = inner.clock.elapsed() + inner.config.load_wait;
        let mut waited = false;
        loop {
            let mut landing = match inner.flights.board(key, call.refresh) {
                Boarding::Leads(flight) if call.refresh || !fresh => {
                    return inner.compute(key, Some(flight), call.refresh, compute).await;
                }
                Boarding::Leads(flight) => {
                    match inner.lead(key, namespace, deadline, &valid).await {
                        Led::Found(value, slot) => {
                            if let Some(slot) = slot {
                                let stamp = slot.checked();
                                flight.land(Landing::Value {
                                    slot: Arc::new(slot),
                                    stamp,
                                    found: true,
                                });
                            }
                            return Ok(value);
                        }
                        Led::Computes(lease) => {
                            let computed = inner.compute(key, Some(flight), false, compute).await;
                            // Given back only after the value is where other nodes look for it.
                            drop(lease);
                            return computed;
                        }
                    }
                }
                Boarding::Waits(landing) => landing,
            };
            if !waited {
                inner.stats.count(Scope::Overall, namespace, Count::Coalesced);
                waited = true;
            }
            let left = deadline.saturating_sub(inner.clock.elapsed());
            let landed =
                tokio::time::timeout(left, landing.wait_for(|l| !matches!(l, Landing::Flying)))
                    .await;
            // Answers whether this was the count of the lookup.
            let mut count = |what| {
                let first = std::mem::take(&mut uncounted);
                if first {
                    inner.stats.count(Scope::Overall, namespace, what);
                }
                first
            };
            match landed.map(|l| l.map(|l| l.clone())) {
                // The computation takes too long: this caller computes for itself.
                Err(_) => {
                    count(Count::Misses);
                    return inner.compute(key, None, call.refresh, compute).await;
                }
                Ok(Ok(Landing::Value { slot, stamp, found })) => {
                    let known =
                        arrival <= stamp || !inner.index.covers_local(stamp, key, slot.tags());
                    if known
                        && let Ok(value) = Arc::downcast::<T>(slot.value.clone())
                        && (!found || valid(&value))
                    {
                        let first = count(match (found, slot.none) {
                            (true, false) => Count::Hits,
                            (true, true) => Count::NoneHits,
                            (false, _) => Count::Misses,
                        });
                        // Who was counted as a miss and is told that there is nothing stays out
                        // of the hit rate, as the leader does.
                        if slot.none && !(found && first) && !call.refresh {
                            inner.stats.count(Scope::Overall, namespace, Count::NoneMisses);
                        }
                        return Ok(value);
                    }
                }
                Ok(Ok(Landing::Error(error))) => {
                    if let Ok(error) = Arc::downcast::<E>(error) {
                        count(Count::Misses);
                        return Err(LoadError::Compute(error));
                    }
                }
                // Nobody computes any more: the loop boards again.
                Ok(Ok(Landing::Flying | Landing::Abandoned) | Err(_)) => {}
            }
        }
    }
}

impl Inner {
    /// Before the leader of a flight computes: perhaps the value has come in the meantime, Redis
    /// has it, or another node computes it. With the value, its slot; with the right to compute,
    /// the lease.
    async fn lead<T: Cacheable>(
        &self,
        key: &str,
        namespace: u16,
        deadline: Duration,
        valid: &impl Fn(&T) -> bool,
    ) -> Led<T> {
        if let Some(value) = self.lookup_memory(key, Look::Again, valid) {
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
    async fn compute<T: Cacheable, E: Send + Sync + 'static>(
        &self,
        key: &str,
        flight: Option<Flight>,
        refresh: bool,
        compute: impl Compute<T, E>,
    ) -> Result<Arc<T>, LoadError<E>> {
        // Noted before the computation begins: the law of the service.
        let stamp = self.note();
        let computing = self.flights.computing(key);
        match compute().await {
            Ok(computed) => {
                let value = Arc::new(computed.value);
                if computed.none && !refresh {
                    let namespace = self.stats.namespace(key);
                    self.stats.count(Scope::Overall, namespace, Count::NoneMisses);
                }
                let ttl = computed.ttl.unwrap_or(self.config.default_ttl);
                // A value set by hand in the meantime stays.
                let keep = !computing.superseded();
                let item = Item {
                    tags: &computed.tags,
                    ttl: if keep { ttl } else { Duration::ZERO },
                    none: computed.none,
                    stamp,
                    replaces: refresh && keep,
                };
                let slot = match self.keep(key, &value, item).await {
                    Ok(slot) => slot,
                    // Not kept, but computed: the caller gets it, and who waits for it.
                    Err(error) => {
                        tracing::warn!(%error, key, "a computed value cannot be kept");
                        self.slot(&value, &item, self.stats.namespace(key))
                    }
                };
                if keep && computing.superseded() {
                    // It was set while this value was being stored: which of them is under the
                    // key now cannot be said.
                    self.take_out(key, self.stats.namespace(key)).await;
                }
                if let Some(flight) = flight {
                    let (slot, stamp) = (Arc::new(slot), stamp.local);
                    flight.land(Landing::Value { slot, stamp, found: false });
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Computed;
    use crate::config::CacheConfig;
    use rhiz_domain::clock::{ManualClock, SeededEntropy};
    use std::convert::Infallible;

    #[tokio::test]
    async fn a_request_is_one_use_whether_it_hits_or_misses() {
        let clock = ManualClock::at("2026-11-01T00:00:00Z".parse().expect("time"));
        let entropy = Arc::new(SeededEntropy::new(1));
        let cache = CacheService::memory(CacheConfig::default(), Arc::new(clock), entropy)
            .expect("settings");
        for (request, used) in [("miss", 1), ("hit", 2)] {
            cache
                .get_or_compute("entity:a", Call::EVENTUAL, || async {
                    Ok::<_, Infallible>(Computed::new(1_u8))
                })
                .await
                .expect("computed");
            let asked = cache.inner.memory.as_ref().map(crate::memory::MemoryTier::asked);
            assert_eq!(asked, Some(used), "{request}");
        }
    }
}
