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

use crate::config::{CacheConfig, Tiers};
use crate::flight::{Boarding, Flight, FlightBoard, Landing};
use crate::index::{Cover, InvalidationIndex, Numbering};
use crate::key;
use crate::memory::{MemoryTier, Slot, Value};
use crate::pattern::Pattern;
use crate::stats::{CacheStats, Count, SAMPLE, Scope, Statistics};
use crate::value;
use rhiz_domain::cache::{
    CacheError, CacheHealth, CacheStatus, Consistency, Invalidation, SetOptions, Stamp, Target,
};
use rhiz_domain::{Clock, Entropy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How one call wants its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Call {
    /// How old a cached answer may be.
    pub consistency: Consistency,
    /// Compute even if there is a cached answer, and keep the result.
    pub refresh: bool,
}

impl Call {
    /// Not older than the change log's head at the moment of the call.
    pub const FENCED: Self = Self { consistency: Consistency::Fenced, refresh: false };
    /// As old as the confirmation of the change log's head allows.
    pub const EVENTUAL: Self = Self { consistency: Consistency::Eventual, refresh: false };

    /// The log's head was confirmed within this time.
    #[must_use]
    pub const fn bounded(within: Duration) -> Self {
        Self { consistency: Consistency::Bounded(within), refresh: false }
    }

    /// The same with a forced computation, if asked for.
    #[must_use]
    pub const fn refresh(mut self, refresh: bool) -> Self {
        self.refresh = refresh;
        self
    }
}

/// What a computation gives: the value, and what it was made from.
#[derive(Debug, Clone)]
pub struct Computed<T> {
    /// The value.
    pub value: T,
    /// What it was made from; an invalidation of any of them hides it.
    pub tags: Vec<String>,
    /// Time to live; the configured default when absent, zero to keep nothing.
    pub ttl: Option<Duration>,
    /// It says that there is nothing.
    pub none: bool,
}

impl<T> Computed<T> {
    /// A value without tags, with the default time to live.
    pub fn new(value: T) -> Self {
        Self { value, tags: Vec::new(), ttl: None, none: false }
    }

    /// With tags.
    #[must_use]
    pub fn tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// With a time to live.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The value says that there is nothing: kept like any other, counted apart.
    #[must_use]
    pub fn none(mut self) -> Self {
        self.none = true;
        self
    }
}

/// Why loading failed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E> {
    /// The cache refused the key.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The computation failed; shared by everyone who waited for it.
    #[error("{0}")]
    Compute(Arc<E>),
}

/// What can be kept: serializable, and the same for every reader.
pub trait Cacheable: Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Cacheable for T {}

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

struct Inner {
    config: CacheConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stats: Arc<Statistics>,
    index: InvalidationIndex,
    memory: Option<MemoryTier>,
    flights: FlightBoard,
    /// Up to this number of the change log everything has been applied here.
    applied: AtomicU64,
    invalidations: AtomicU64,
    closed: AtomicBool,
}

/// What a lookup found.
enum Lookup<T> {
    Hit(Arc<T>),
    Miss,
}

impl CacheService {
    /// A service of this node's memory alone, which is then its own authority on what is invalid.
    ///
    /// # Errors
    /// [`CacheError::Setting`] when a setting cannot be used.
    pub fn memory(
        config: CacheConfig,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, CacheError> {
        config.check()?;
        if config.tiers != Tiers::Memory {
            let reason = "CacheService::memory takes no Redis; use start".to_owned();
            return Err(CacheError::Setting { name: "tiers", reason });
        }
        let stats = Arc::new(Statistics::new(&config.namespaces));
        Ok(Self {
            inner: Arc::new(Inner {
                memory: Some(MemoryTier::new(config.max_keys, config.max_bytes, stats.clone())),
                index: InvalidationIndex::new(config.index_capacity),
                flights: FlightBoard::default(),
                applied: AtomicU64::new(0),
                invalidations: AtomicU64::new(0),
                closed: AtomicBool::new(false),
                config,
                clock,
                entropy,
                stats,
            }),
        })
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
        Ok(match inner.lookup(key, consistency, true)? {
            Lookup::Hit(value) => Some(value),
            Lookup::Miss => None,
        })
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
        inner.store(key, &Arc::new(value), &options.tags, ttl, options.none, stamp)?;
        Ok(())
    }

    /// Removes a value, and hides what computations under way will store under the key; answers
    /// whether a visible one was there.
    ///
    /// # Errors
    /// [`CacheError::Key`].
    pub async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        key::check_key(key)?;
        let inner = &*self.inner;
        let namespace = inner.stats.namespace(key);
        let now = inner.now();
        let removed = inner.memory.as_ref().and_then(|memory| {
            let slot = memory.get(key)?;
            let visible = slot.expires > now && inner.is_good(key, &slot);
            Some(visible)
        });
        inner.apply(vec![Cover::Key(key.to_owned())], None);
        if let Some(memory) = &inner.memory {
            memory.remove(key);
        }
        inner.stats.count(Scope::Overall, namespace, Count::Deletes);
        inner.stats.count(Scope::Memory, namespace, Count::Deletes);
        Ok(removed.unwrap_or(false))
    }

    /// Whether a visible value is there, of whatever type; not counted as a lookup.
    ///
    /// # Errors
    /// [`CacheError::Key`].
    pub async fn exists(&self, key: &str) -> Result<bool, CacheError> {
        key::check_key(key)?;
        let inner = &*self.inner;
        let now = inner.now();
        let slot = inner.memory.as_ref().and_then(|memory| memory.get(key));
        Ok(inner.open() && slot.is_some_and(|slot| slot.expires > now && inner.is_good(key, &slot)))
    }

    /// Hides every value whose key matches the glob; costs the same however many there are.
    ///
    /// # Errors
    /// [`CacheError::Pattern`].
    pub async fn clear_pattern(&self, pattern: &str) -> Result<(), CacheError> {
        self.inner.apply(vec![Cover::Pattern(Pattern::parse(pattern)?)], None);
        Ok(())
    }

    /// Hides every value with this tag; costs the same however many there are.
    ///
    /// # Errors
    /// [`CacheError::Tag`].
    pub async fn clear_tag(&self, tag: &str) -> Result<(), CacheError> {
        key::check_tag(tag)?;
        self.inner.apply(vec![Cover::Tag(tag.to_owned())], None);
        Ok(())
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
        if call.refresh {
            key::check_key(key)?;
            inner.stats.count(Scope::Overall, namespace, Count::Refreshes);
        } else if let Lookup::Hit(value) = inner.lookup::<T>(key, call.consistency, true)? {
            if valid(&value) {
                return Ok(value);
            }
            inner.stats.count(Scope::Overall, namespace, Count::Hidden);
            if let Some(memory) = &inner.memory {
                memory.remove(key);
            }
        }
        // A forced computation is shared only with others that are forced.
        let board = if call.refresh { format!("\0{key}") } else { key.to_owned() };
        let arrival = inner.index.head();
        let deadline = inner.clock.elapsed() + inner.config.load_wait;
        let mut counted = false;
        loop {
            let mut landing = match inner.flights.board(&board) {
                Boarding::Leads(flight) => {
                    if !call.refresh
                        && let Lookup::Hit(value) =
                            inner.lookup::<T>(key, call.consistency, false)?
                        && valid(&value)
                    {
                        return Ok(value);
                    }
                    return inner.compute(key, Some(flight), call.refresh, compute).await;
                }
                Boarding::Waits(landing) => landing,
            };
            if !counted {
                inner.stats.count(Scope::Overall, namespace, Count::Coalesced);
                counted = true;
            }
            let left = deadline.saturating_sub(inner.clock.elapsed());
            let landed =
                tokio::time::timeout(left, landing.wait_for(|l| !matches!(l, Landing::Flying)))
                    .await;
            match landed.map(|l| l.map(|l| l.clone())) {
                // The computation takes too long: this caller computes for itself.
                Err(_) => return inner.compute(key, None, call.refresh, compute).await,
                Ok(Ok(Landing::Value { slot, stamp })) => {
                    let fresh =
                        arrival <= stamp || !inner.index.covers_local(stamp, key, &slot.tags);
                    if fresh && let Ok(value) = Arc::downcast::<T>(slot.value.clone()) {
                        return Ok(value);
                    }
                }
                Ok(Ok(Landing::Error(error))) => {
                    if let Ok(error) = Arc::downcast::<E>(error) {
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
        self.inner.applied.load(Ordering::Acquire)
    }

    /// Takes over a record of the change log. To be called once what computations read (store,
    /// graph replica) holds the change, and before the event counts as applied. Targets that
    /// cannot be keys, tags or patterns cover nothing, for nothing can be stored under them.
    pub fn invalidate(&self, record: &Invalidation) {
        let covers = covers(&record.targets);
        self.inner.apply(covers, Some(record.seq));
    }

    /// What has been counted.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let inner = &*self.inner;
        CacheStats {
            overall: inner.stats.scope(Scope::Overall),
            memory: inner.memory.is_some().then(|| inner.stats.scope(Scope::Memory)),
            redis: None,
            invalidations: inner.invalidations.load(Ordering::Relaxed),
        }
    }

    /// How it is, measured now.
    pub async fn health_check(&self) -> CacheHealth {
        let inner = &*self.inner;
        let start = inner.clock.elapsed();
        let closed = !inner.open();
        CacheHealth {
            status: if closed { CacheStatus::Unhealthy } else { CacheStatus::Healthy },
            backend: "memory",
            has_fallback: false,
            hit_rate: inner.stats.scope(Scope::Overall).total.hit_rate(),
            total_keys: inner.memory.as_ref().map_or(0, MemoryTier::len),
            latency: inner.clock.elapsed().saturating_sub(start),
            reason: closed.then(|| "the cache is closed".to_owned()),
        }
    }

    /// Ends background work and connections. Afterwards nothing is found and nothing is kept;
    /// loading computes.
    pub async fn close(&self) {
        self.inner.closed.store(true, Ordering::Release);
        if let Some(memory) = &self.inner.memory {
            memory.clear();
        }
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
    fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }

    fn open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    fn note(&self) -> Stamp {
        // The change number first: it may be older than the local one, never newer.
        let change = self.applied.load(Ordering::Acquire);
        Stamp { local: self.index.head(), change, epoch: 0 }
    }

    fn apply(&self, covers: Vec<Cover>, seq: Option<u64>) {
        for cover in &covers {
            let namespace = match cover {
                Cover::Key(key) => self.stats.namespace(key),
                Cover::Tag(_) => self.stats.namespace(""),
                Cover::Pattern(Pattern::Exact(text) | Pattern::Prefix(text)) => {
                    self.stats.namespace(text)
                }
                Cover::Pattern(_) => self.stats.namespace(""),
            };
            self.stats.count(Scope::Overall, namespace, Count::Invalidations);
        }
        self.invalidations.fetch_add(1, Ordering::Relaxed);
        self.index.apply(&covers, Numbering::Own);
        if let Some(seq) = seq {
            self.applied.fetch_max(seq, Ordering::AcqRel);
        }
    }

    /// Whether no record covers the slot; remembers it if so.
    fn is_good(&self, key: &str, slot: &Slot) -> bool {
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

    fn lookup<T: Cacheable>(
        &self,
        key: &str,
        _consistency: Consistency,
        counted: bool,
    ) -> Result<Lookup<T>, CacheError> {
        let now = self.now();
        let namespace = self.stats.namespace(key);
        let count =
            |scope, what| if counted { self.stats.count(scope, namespace, what) } else { 1 };
        if let Some(memory) = &self.memory {
            match memory.get(key) {
                None => {}
                Some(slot) if slot.expires <= now => {
                    memory.remove_same(key, &slot);
                    count(Scope::Memory, Count::StaleHits);
                    count(Scope::Overall, Count::StaleHits);
                }
                Some(slot) if !self.is_good(key, &slot) => {
                    memory.remove_same(key, &slot);
                    count(Scope::Memory, Count::Hidden);
                    count(Scope::Overall, Count::Hidden);
                }
                Some(slot) => match Arc::downcast::<T>(slot.value.clone()) {
                    Ok(value) => {
                        let what = if slot.none { Count::NoneHits } else { Count::Hits };
                        count(Scope::Overall, what);
                        if count(Scope::Memory, what) % SAMPLE == 0 {
                            let took = self.now().saturating_sub(now);
                            self.stats.took(Scope::Memory, Duration::from_nanos(took));
                        }
                        return Ok(Lookup::Hit(value));
                    }
                    Err(_) => {
                        memory.remove_same(key, &slot);
                        count(Scope::Memory, Count::BadValues);
                        count(Scope::Overall, Count::BadValues);
                    }
                },
            }
            count(Scope::Memory, Count::Misses);
        }
        // A key that cannot be one is never found, so that only misses pay for the look at it.
        key::check_key(key)?;
        count(Scope::Overall, Count::Misses);
        Ok(Lookup::Miss)
    }

    async fn compute<T, E, F, Fut>(
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
        // Noted before the computation begins: the law of this module.
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
                let ttl = if keep { ttl } else { Duration::ZERO };
                let slot = self.store(key, &value, &computed.tags, ttl, computed.none, stamp);
                match slot {
                    Ok(slot) => {
                        if let Some(flight) = flight {
                            flight.land(Landing::Value { slot, stamp: stamp.local });
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
    fn store<T: Cacheable>(
        &self,
        key: &str,
        value: &Arc<T>,
        tags: &[String],
        ttl: Duration,
        none: bool,
        stamp: Stamp,
    ) -> Result<Arc<Slot>, CacheError> {
        for tag in tags {
            key::check_tag(tag)?;
        }
        let size = value::encoded_len(key, &**value)?;
        let ttl = self.jittered(ttl);
        let namespace = self.stats.namespace(key);
        let bytes = (size + key.len() + tags.len() * 8 + SLOT_BYTES) as u64;
        let tags = tags.iter().map(|tag| self.index.tag_hash(tag)).collect();
        let erased: Value = value.clone();
        let expires = self.now().saturating_add(nanos(ttl));
        let slot = Arc::new(Slot::new(erased, stamp.local, expires, tags, bytes, namespace, none));
        if ttl.is_zero() || size > self.config.max_value_bytes || !self.open() {
            self.stats.count(Scope::Overall, namespace, Count::Refused);
            // What was under the key is older than what could not be kept.
            if let Some(memory) = &self.memory
                && !ttl.is_zero()
            {
                memory.remove(key);
            }
            return Ok(slot);
        }
        self.stats.count(Scope::Overall, namespace, Count::Sets);
        if let Some(memory) = &self.memory {
            self.stats.count(Scope::Memory, namespace, Count::Sets);
            memory.insert(key, slot.clone(), self.now());
        }
        Ok(slot)
    }

    fn jittered(&self, ttl: Duration) -> Duration {
        ttl.mul_f64(1.0 - self.config.jitter * self.entropy.fraction())
    }
}

/// What a slot costs besides its value, key and tags: the slot, two counters, the table's entry.
const SLOT_BYTES: usize = 160;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
