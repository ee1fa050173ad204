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

use crate::call::Cacheable;
use crate::config::{CacheConfig, Tiers};
use crate::flight::FlightBoard;
use crate::follow::Follower;
use crate::freshness::follow;
use crate::index::InvalidationIndex;
use crate::keep::Item;
use crate::key;
use crate::lookup::Look;
use crate::memory::{MemoryTier, Store};
use crate::reclaim::reclaim;
use crate::redis::RedisTier;
use crate::stats::{CacheStats, Count, Scope, Statistics};
use rhiz_domain::cache::{CacheError, ChangeLog, Consistency, SetOptions, Target};
use rhiz_domain::{Clock, Entropy};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// The service. Clones share everything.
#[derive(Clone)]
pub struct CacheService {
    pub(crate) inner: Arc<Inner>,
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
    pub(crate) told: AtomicU64,
    pub(crate) invalidations: AtomicU64,
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
        let store = match &config.tiers {
            Tiers::Memory | Tiers::Tiered(_) => Some(Store::new(config.max_keys, config.max_bytes)),
            Tiers::Redis(_) => None,
        };
        let shards = store.as_ref().map_or(0, Store::shards);
        let stats = Arc::new(Statistics::new(&config.namespaces, shards));
        let memory = store.map(|store| MemoryTier::new(store, stats.clone()));
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
    pub fn get<'a, T: Cacheable>(
        &'a self,
        key: &'a str,
        consistency: Consistency,
    ) -> impl Future<Output = Result<Option<Arc<T>>, CacheError>> + Send + 'a {
        Get { inner: &self.inner, key, consistency, behind: None }
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
        inner.keep(key, &Arc::new(value), item).await?;
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

pub(crate) fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

/// What is under way when memory does not answer.
type Behind<'a, T> = Pin<Box<dyn Future<Output = Result<Option<Arc<T>>, CacheError>> + Send + 'a>>;

/// A get. Nothing is looked at before it is polled: its answer is of that moment.
///
/// By hand, so that what memory answers goes straight to the caller: an `async fn` would copy its
/// result once more, and a hit costs so little that one notices.
struct Get<'a, T> {
    inner: &'a Inner,
    key: &'a str,
    consistency: Consistency,
    behind: Option<Behind<'a, T>>,
}

impl<T: Cacheable> Future for Get<'_, T> {
    type Output = Result<Option<Arc<T>>, CacheError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(behind) = &mut this.behind {
            return behind.as_mut().poll(cx);
        }
        let knows = this.inner.knows_enough(this.consistency);
        if knows && let Some(value) = this.inner.lookup_memory(this.key, Look::First, &|_: &T| true)
        {
            return Poll::Ready(Ok(Some(value)));
        }
        this.look_behind(knows, cx)
    }
}

impl<T: Cacheable> Get<'_, T> {
    /// What is left to do: nothing was found in memory, or it was not looked at, because the log
    /// has to be asked first.
    #[cold]
    fn look_behind(
        &mut self,
        looked: bool,
        cx: &mut Context<'_>,
    ) -> Poll<<Self as Future>::Output> {
        let (inner, key, consistency) = (self.inner, self.key, self.consistency);
        let behind = self.behind.insert(Box::pin(async move {
            if !looked {
                if !inner.fresh(consistency).await {
                    inner.not_fresh(key)?;
                    return Ok(None);
                }
                if let Some(value) = inner.lookup_memory(key, Look::First, &|_: &T| true) {
                    return Ok(Some(value));
                }
            }
            inner.lookup_behind(key).await
        }));
        behind.as_mut().poll(cx)
    }
}

impl Inner {
    /// Nanoseconds of the clock's `elapsed`.
    pub(crate) fn now(&self) -> u64 {
        nanos(self.clock.elapsed())
    }

    pub(crate) fn open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Looks at `batch` places of a shard of the memory; see [`crate::reclaim`].
    pub(crate) fn sweep_memory(&self, shard: usize, from: usize, batch: usize) -> Option<usize> {
        let now = self.now();
        self.memory.as_ref()?.sweep(shard, from, batch, |key, slot, fit| {
            fit.expires > now && self.is_good(key, slot)
        })
    }
}
