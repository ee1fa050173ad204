//! The cache as the program uses it: typed values, loading, invalidation.
//!
//! # Law
//! A value is visible only while no invalidation that covers it is newer than the stamp noted
//! before its computation began. [`CacheService::get_or_compute`] notes it by itself; who calls
//! [`CacheService::set`] with a computed value passes the stamp of [`CacheService::note`].
//!
//! # Walk through one read
//! 1. The gate: is this node's knowledge of the change log as fresh as the call asks?
//! 2. Memory: the slot, its time to live, its type, and whether a record covers it.
//! 3. On a miss the key's flight: one caller computes, the others wait.
//! 4. The computed value is stored with the stamp noted before; the caller answers with it.

use crate::call::{Cacheable, Call, Computed, LoadError};
use crate::config::{CacheConfig, Tiers};
use crate::flight::{Boarding, FlightBoard, Landing};
use crate::follow::Follower;
use crate::index::{Cover, InvalidationIndex, Numbering};
use crate::key;
use crate::lookup::{Item, Led};
use crate::memory::{MemoryTier, Slot};
use crate::pattern::Pattern;
use crate::reclaim::reclaim;
use crate::redis::{Envelope, RedisTier};
use crate::stats::{CacheStats, Count, Scope, Statistics};
use rhiz_domain::cache::{
    CacheError, CacheHealth, CacheStatus, ChangeLog, Consistency, Invalidation, SetOptions, Stamp,
    Target,
};
use rhiz_domain::{Clock, Entropy};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct CacheService {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for CacheService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheService")
            .field("tiers", &self.inner.config.tiers)
            .finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) config: CacheConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) stats: Arc<Statistics>,
    pub(crate) index: InvalidationIndex,
    pub(crate) memory: Option<MemoryTier>,
    pub(crate) redis: Option<Arc<RedisTier>>,
    pub(crate) flights: FlightBoard,
    /// `None`: this node is its own authority on what is invalid.
    pub(crate) follower: Option<Follower>,
    /// Without a change log, the newest number this node was told.
    told: AtomicU64,
    invalidations: AtomicU64,
    closed: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(redis) = &self.redis {
            redis.close();
        }
    }
}

impl CacheService {
    /// A service of this node's memory alone, which is then its own authority on what is invalid.
    /// Within a runtime, hidden values are also reclaimed.
    ///
    /// # Errors
    /// [`CacheError::Setting`] when a setting cannot be used.
    pub fn memory(
        config: CacheConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, CacheError> {
        if config.tiers != Tiers::Memory {
            let reason = "CacheService::memory takes no Redis; use start".to_owned();
            return Err(CacheError::Setting { name: "tiers", reason });
        }
        Self::start(config, None, clock, entropy)
    }

    /// A service with the configured tiers. Never waits for Redis or for the change log: until
    /// they answer, values are computed.
    ///
    /// Without a change log this node is its own authority: what other processes wrote to Redis,
    /// or this one before a restart, is not believed. With one, any number of nodes share Redis.
    ///
    /// # Errors
    /// [`CacheError::Setting`] when a setting cannot be used.
    pub fn start(
        config: CacheConfig,
        log: Option<Arc<dyn ChangeLog>>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, CacheError> {
        config.check()?;
        let stats = Arc::new(Statistics::new(&config.namespaces));
        let memory = match &config.tiers {
            Tiers::Memory | Tiers::Tiered(_) => {
                Some(MemoryTier::new(config.max_keys, config.max_bytes, stats.clone()))
            }
            Tiers::Redis(_) => None,
        };
        let redis = match &config.tiers {
            Tiers::Memory => None,
            Tiers::Tiered(redis) | Tiers::Redis(redis) => {
                let salt = log.as_ref().map_or_else(|| entropy.next_u64(), |log| log.id());
                let (clock, entropy) = (clock.clone(), entropy.clone());
                Some(RedisTier::new(redis.clone(), salt, clock, entropy, stats.clone())?)
            }
        };
        let follower = log.map(|log| Follower::new(log, config.confirm_within, config.replay));
        let inner = Arc::new(Inner {
            index: InvalidationIndex::new(config.index_capacity),
            flights: FlightBoard::default(),
            told: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            config,
            clock,
            entropy,
            stats,
            memory,
            redis,
            follower,
        });
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(reclaim(Arc::downgrade(&inner)));
            if inner.follower.is_some() {
                runtime.spawn(follow(Arc::downgrade(&inner)));
            }
            if let Some(redis) = &inner.redis {
                runtime.spawn(redis.clone().keep_linked());
            }
        } else if inner.redis.is_some() || inner.follower.is_some() {
            let reason = "Redis and a change log need a running tokio runtime".to_owned();
            return Err(CacheError::Setting { name: "tiers", reason });
        }
        Ok(Self { inner })
    }

    /// The value, if there is a visible one of this type.
    ///
    /// # Errors
    /// [`CacheError::Key`] for a key that cannot be one.
    pub async fn get<T: Cacheable>(
        &self,
        key: &str,
        consistency: Consistency,
    ) -> Result<Option<Arc<T>>, CacheError> {
        let inner = &*self.inner;
        if !inner.fresh(consistency).await {
            inner.not_fresh(key)?;
            return Ok(None);
        }
        inner.lookup(key, inner.stats.namespace(key), true, &|_| true).await
    }

    /// Stores a value. That a tier is out does not make it fail.
    ///
    /// # Errors
    /// [`CacheError::Key`], [`CacheError::Tag`] or [`CacheError::Encode`].
    pub async fn set<T: Cacheable>(
        &self,
        key: &str,
        value: T,
        options: &SetOptions,
    ) -> Result<(), CacheError> {
        let stamp = options.stamp.unwrap_or_else(|| self.note());
        key::check_key(key)?;
        let inner = &*self.inner;
        inner.flights.supersede(key);
        let ttl = options.ttl.unwrap_or(inner.config.default_ttl);
        let item = Item { tags: &options.tags, ttl, none: options.none, stamp, replaces: true };
        inner.store(key, &Arc::new(value), item).await?;
        Ok(())
    }

    /// Removes a value, and hides what computations under way will store under the key; answers
    /// whether a visible one was there.
    ///
    /// # Errors
    /// [`CacheError::Key`]; [`CacheError::ChangeLog`] when it was removed here but could not be
    /// recorded for the other nodes.
    pub async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        key::check_key(key)?;
        let inner = &*self.inner;
        let namespace = inner.stats.namespace(key);
        let there = inner.is_there(key).await;
        let recorded = inner.clear(Target::Key(key.to_owned())).await;
        if let Some(memory) = &inner.memory {
            memory.remove(key);
            inner.stats.count(Scope::Memory, namespace, Count::Deletes);
        }
        if let Some(redis) = &inner.redis {
            redis.remove(key, namespace).await;
            inner.stats.count(Scope::Redis, namespace, Count::Deletes);
        }
        inner.stats.count(Scope::Overall, namespace, Count::Deletes);
        recorded.map(|()| there)
    }

    /// Whether a visible value is there, of whatever type; not counted as a lookup.
    ///
    /// # Errors
    /// [`CacheError::Key`].
    pub async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        key::check_key(key)?;
        Ok(self.inner.fresh(Consistency::Eventual).await && self.inner.is_there(key).await)
    }

    /// Hides every value whose key matches the glob; costs the same however many there are.
    ///
    /// # Errors
    /// [`CacheError::Pattern`]; [`CacheError::ChangeLog`] when it was cleared in this node's
    /// memory but could not be recorded for the other nodes: clear again.
    pub async fn clear_pattern(&self, pattern: &str) -> Result<(), CacheError> {
        Pattern::parse(pattern)?;
        self.inner.clear(Target::Pattern(pattern.to_owned())).await
    }

    /// Hides every value with this tag; costs the same however many there are.
    ///
    /// # Errors
    /// [`CacheError::Tag`]; [`CacheError::ChangeLog`] as for [`CacheService::clear_pattern`].
    pub async fn clear_tag(&self, tag: &str) -> Result<(), CacheError> {
        key::check_tag(tag)?;
        self.inner.clear(Target::Tag(tag.to_owned())).await
    }

    /// The value, computed and kept if there is none: by one caller, while the others wait.
    ///
    /// # Errors
    /// [`LoadError::Cache`] for a key that cannot be one, [`LoadError::Compute`] when the
    /// computation failed (nothing is kept then).
    pub async fn get_or_compute<T, E, F, Fut>(
        &self,
        key: &str,
        call: Call,
        compute: F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Computed<T>, E>>,
    {
        self.get_or_compute_if(key, call, |_| true, compute).await
    }

    /// As [`CacheService::get_or_compute`], but a kept value is looked at before it is served
    /// (promise 2: the hops of a path are looked up in the graph); one that does not pass is
    /// removed and computed anew.
    ///
    /// # Errors
    /// As [`CacheService::get_or_compute`].
    pub async fn get_or_compute_if<T, E, V, F, Fut>(
        &self,
        key: &str,
        call: Call,
        valid: V,
        compute: F,
    ) -> Result<Arc<T>, LoadError<E>>
    where
        T: Cacheable,
        E: Send + Sync + 'static,
        V: Fn(&T) -> bool,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Computed<T>, E>>,
    {
        let inner = &*self.inner;
        let namespace = inner.stats.namespace(key);
        let fresh = inner.fresh(call.consistency).await;
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
            if let Some(value) = inner.lookup_memory(key, namespace, true, &valid) {
                return Ok(value);
            }
            key::check_key(key)?;
            uncounted = true;
        }
        // A forced computation is shared only with others that are forced.
        let board = if call.refresh { format!("\0{key}") } else { key.to_owned() };
        let arrival = inner.index.head();
        let deadline = inner.clock.elapsed() + inner.config.load_wait;
        let mut waited = false;
        loop {
            let mut landing = match inner.flights.board(&board) {
                Boarding::Leads(flight) if call.refresh || !fresh => {
                    return inner.compute(key, Some(flight), call.refresh, compute).await;
                }
                Boarding::Leads(flight) => {
                    match inner.lead(key, namespace, deadline, &valid).await {
                        Led::Found(value, slot) => {
                            if let Some(slot) = slot {
                                let stamp = slot.checked();
                                flight.land(Landing::Value { slot, stamp, found: true });
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
            let mut count = |what| {
                if std::mem::take(&mut uncounted) {
                    inner.stats.count(Scope::Overall, namespace, what);
                }
            };
            match landed.map(|l| l.map(|l| l.clone())) {
                // The computation takes too long: this caller computes for itself.
                Err(_) => {
                    count(Count::Misses);
                    return inner.compute(key, None, call.refresh, compute).await;
                }
                Ok(Ok(Landing::Value { slot, stamp, found })) => {
                    let known =
                        arrival <= stamp || !inner.index.covers_local(stamp, key, &slot.tags);
                    if known
                        && let Ok(value) = Arc::downcast::<T>(slot.value.clone())
                        && (!found || valid(&value))
                    {
                        count(match (found, slot.none) {
                            (true, false) => Count::Hits,
                            (true, true) => Count::NoneHits,
                            (false, _) => Count::Misses,
                        });
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

    /// The stamp to note before a computation begins.
    #[must_use]
    pub fn note(&self) -> Stamp {
        self.inner.note()
    }

    /// The number in the change log up to which this node has applied it.
    #[must_use]
    pub fn head(&self) -> u64 {
        let inner = &*self.inner;
        inner
            .follower
            .as_ref()
            .map_or_else(|| inner.told.load(Ordering::Acquire), Follower::applied)
    }

    /// Takes over a record of the change log. To be called once what computations read (store,
    /// graph replica) holds the change, and before the event counts as applied. Targets that
    /// cannot be keys, tags or patterns cover nothing, for nothing can be stored under them.
    pub fn invalidate(&self, record: &Invalidation) {
        let inner = &*self.inner;
        inner.take_over(record);
        match &inner.follower {
            Some(follower) => follower.wake.notify_one(),
            None => _ = inner.told.fetch_max(record.seq, Ordering::AcqRel),
        }
    }

    /// What has been counted.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let inner = &*self.inner;
        CacheStats {
            overall: inner.stats.scope(Scope::Overall),
            memory: inner.memory.is_some().then(|| inner.stats.scope(Scope::Memory)),
            redis: inner.redis.as_ref().map(|redis| redis.statistics()),
            invalidations: inner.invalidations.load(Ordering::Relaxed),
        }
    }

    /// How it is, measured now: a lookup in memory and a question to Redis.
    pub async fn health_check(&self) -> CacheHealth {
        let inner = &*self.inner;
        let start = inner.clock.elapsed();
        if let Some(memory) = &inner.memory {
            memory.peek("health:check");
        }
        if let Some(redis) = &inner.redis {
            redis.probe().await;
        }
        let latency = inner.clock.elapsed().saturating_sub(start);
        let (status, reason) = inner.condition();
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
            total_keys: keys.or(inner.redis.as_ref().map(|r| r.keys())).unwrap_or(0),
            latency,
            reason,
        }
    }

    /// Waits until Redis is connected, at most so long; whether it is. For starts and tests: no
    /// request needs it.
    pub async fn wait_for_redis(&self, most: Duration) -> bool {
        match &self.inner.redis {
            Some(redis) => redis.wait_until_up(most).await,
            None => false,
        }
    }

    /// Ends background work and connections. Afterwards nothing is found and nothing is kept;
    /// loading computes.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        if let Some(redis) = &self.inner.redis {
            redis.close();
        }
        if let Some(memory) = &self.inner.memory {
            memory.clear();
        }
    }
}

/// Keeps up with the change log; ends with the service.
async fn follow(inner: Weak<Inner>) {
    /// Pushes that come together are read together.
    const GATHER: Duration = Duration::from_millis(10);
    let mut complained = false;
    while let Some(service) = inner.upgrade().filter(|inner| inner.open()) {
        match service.catch_up(service.clock.elapsed()).await {
            Ok(()) => complained = false,
            Err(error) => {
                if !complained {
                    tracing::warn!(%error, "the cache cannot confirm what is invalid");
                }
                complained = true;
            }
        }
        let Some(follower) = &service.follower else { return };
        let pushed = async {
            follower.wake.notified().await;
            tokio::time::sleep(GATHER).await;
        };
        // Bounded, so that a service that nobody holds any more ends.
        let _ = tokio::time::timeout(service.config.confirm_every, pushed).await;
    }
}

fn covers(targets: &[Target]) -> Vec<Cover> {
    targets
        .iter()
        .filter_map(|target| match target {
            Target::Key(key) => Some(Cover::Key(key.clone())),
            Target::Tag(tag) => Some(Cover::Tag(tag.clone())),
            Target::Pattern(text) => match Pattern::parse(text) {
                Ok(pattern) => Some(Cover::Pattern(pattern)),
                Err(error) => {
                    tracing::warn!(%error, "an invalidation names a pattern that cannot be one");
                    None
                }
            },
        })
        .collect()
}

impl Inner {
    /// Nanoseconds of the clock's `elapsed`.
    pub(crate) fn now(&self) -> u64 {
        crate::lookup::nanos(self.clock.elapsed())
    }

    pub(crate) fn open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn note(&self) -> Stamp {
        // The change number first: it may be older than the local one, never newer.
        let change = self.follower.as_ref().map(Follower::applied);
        let local = self.index.head();
        let epoch = self.redis.as_ref().map_or(0, |redis| redis.epoch());
        Stamp { local, change: change.unwrap_or(local), epoch }
    }

    fn apply(&self, covers: &[Cover], numbering: Numbering) {
        for cover in covers {
            let namespace = self.stats.namespace(match cover {
                Cover::Key(text) | Cover::Pattern(Pattern::Exact(text) | Pattern::Prefix(text)) => {
                    text
                }
                Cover::Tag(_) | Cover::Pattern(_) => "",
            });
            self.stats.count(Scope::Overall, namespace, Count::Invalidations);
        }
        self.invalidations.fetch_add(1, Ordering::Relaxed);
        self.index.apply(covers, numbering);
    }

    /// A record of the change log.
    fn take_over(&self, record: &Invalidation) {
        let numbering = match self.follower {
            Some(_) => Numbering::Log(record.seq),
            None => Numbering::Own,
        };
        self.apply(&covers(&record.targets), numbering);
    }

    /// A clear by hand: recorded for all nodes, then applied here.
    async fn clear(&self, target: Target) -> Result<(), CacheError> {
        let covers = covers(std::slice::from_ref(&target));
        let Some(follower) = &self.follower else {
            self.apply(&covers, Numbering::Own);
            return Ok(());
        };
        match follower.append(&[target]).await {
            Ok(seq) => {
                self.apply(&covers, Numbering::Log(seq));
                // So that what is computed from here on carries a number above the record's.
                self.catch_up(self.clock.elapsed()).await
            }
            Err(error) => {
                self.apply(&covers, Numbering::LocalOnly);
                Err(error)
            }
        }
    }

    /// Everything up to the change log's head, as it was at `moment` or later, has been applied.
    async fn catch_up(&self, moment: Duration) -> Result<(), CacheError> {
        let Some(follower) = &self.follower else { return Ok(()) };
        let begin = |change| {
            // What this node knew of before it lost sight of the log cannot be verified either.
            self.index.raise_floor(change);
            self.index.apply(&[Cover::Pattern(Pattern::All)], Numbering::LocalOnly);
        };
        follower.catch_up(moment, || self.clock.elapsed(), begin, |r| self.take_over(r)).await
    }

    /// Whether this node's knowledge of what is invalid is as fresh as the call asks.
    async fn fresh(&self, consistency: Consistency) -> bool {
        let Some(follower) = &self.follower else { return self.open() };
        let now = self.clock.elapsed();
        let limit = self.config.confirm_within;
        let (moment, ask) = match consistency {
            Consistency::Eventual => (now.saturating_sub(limit), false),
            Consistency::Bounded(within) => (now.saturating_sub(within.min(limit)), true),
            Consistency::Fenced => (now, true),
        };
        self.open()
            && (follower.confirmed_since(moment) || (ask && self.catch_up(moment).await.is_ok()))
    }

    /// Counts a lookup that was not made because this node does not know what is invalid.
    fn not_fresh(&self, key: &str) -> Result<(), CacheError> {
        key::check_key(key)?;
        self.stats.count(Scope::Overall, self.stats.namespace(key), Count::Misses);
        Ok(())
    }

    /// In one word, and why.
    fn condition(&self) -> (CacheStatus, Option<String>) {
        if !self.open() {
            return (CacheStatus::Unhealthy, Some("the cache is closed".to_owned()));
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
                    return (status, Some(reason));
                }
            }
        }
        match self.redis.as_ref().and_then(|redis| redis.complaint()) {
            Some(complaint) => (CacheStatus::Degraded, Some(complaint)),
            None => (CacheStatus::Healthy, None),
        }
    }

    /// Looks at `batch` places of a shard of the memory; see [`crate::reclaim`].
    pub(crate) fn sweep_memory(&self, shard: usize, from: usize, batch: usize) -> Option<usize> {
        let now = self.now();
        self.memory
            .as_ref()?
            .sweep(shard, from, batch, |key, slot| slot.expires > now && self.is_good(key, slot))
    }

    /// Whether a record of the change log covers an entry of Redis.
    pub(crate) fn is_hidden_change(&self, envelope: &Envelope<'_>) -> bool {
        let tags: Vec<u64> = envelope.tags.iter().map(|tag| self.index.tag_hash(tag)).collect();
        self.index.covers_change(envelope.stamp, envelope.key, &tags)
    }

    /// Whether no record covers the slot; remembers it if so.
    pub(crate) fn is_good(&self, key: &str, slot: &Slot) -> bool {
        let checked = slot.checked();
        let head = self.index.head_for(!slot.tags.is_empty());
        if checked >= head {
            return true;
        }
        if self.index.covers_local(checked, key, &slot.tags) {
            return false;
        }
        slot.found_good(head);
        true
    }
}
