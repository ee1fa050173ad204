//! The tier in Redis: shared by nodes, verified by each reader, and never waited for when it is
//! out.
//!
//! Redis holds values and nothing else that counts: what is invalid is known from the change log,
//! so that nothing Redis forgets, repeats or brings back can make a stale value visible.

mod backlog;
mod envelope;
mod lease;
mod link;
mod restamp;
mod sweep;

use crate::config::RedisConfig;
use crate::stats::{Count, RedisStats, Scope, Statistics};
use backlog::Backlog;
pub(crate) use envelope::Envelope;
pub(crate) use lease::{Lease, Leasing};
use link::LinkError;
pub(crate) use link::Live;
use parking_lot::{Mutex, RwLock};
use redis::RedisError;
use rhiz_domain::cache::CacheError;
use rhiz_domain::{Clock, Entropy};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
pub(crate) use sweep::Verdict;
use tokio::sync::Notify;

/// See the module.
pub(crate) struct RedisTier {
    config: RedisConfig,
    client: redis::Client,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    stats: Arc<Statistics>,
    /// What the keys of this cache begin with, and no others.
    space: String,
    meta_key: String,
    /// This process among those that write.
    writer: u64,
    writes: AtomicU64,
    live: RwLock<Option<Arc<Live>>>,
    backlog: Mutex<Backlog>,
    condition: Mutex<Condition>,
    wake: Notify,
    up: Notify,
    closing: Notify,
    closed: AtomicBool,
    last_epoch: AtomicU64,
    epochs: AtomicU64,
    outages: AtomicU64,
    bypassed: AtomicU64,
    restamped: AtomicU64,
    counted: Mutex<Option<Counted>>,
}

/// What the reclaimer came by in one pass.
#[derive(Debug)]
struct Counted {
    at: Duration,
    /// Keys and bytes, by namespace.
    held: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Condition {
    down_since: Option<Duration>,
    last_recovery: Option<Duration>,
    reason: Option<String>,
    /// When Redis last refused a write for want of memory.
    full_at: Option<Duration>,
}

/// How long after the last refused write Redis counts as full.
const FULL_FOR: Duration = Duration::from_secs(10);

/// What Redis said to a lookup.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// It was not asked, or did not answer.
    Bypassed,
    /// There is nothing to be believed.
    Nothing,
    /// Bytes under the key, written in the current epoch as far as Redis can say.
    Found(Vec<u8>, Arc<Live>),
}

/// What a write needs.
pub(crate) struct Write<'a> {
    pub(crate) key: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) tags: &'a [String],
    pub(crate) payload: &'a [u8],
    pub(crate) none: bool,
    pub(crate) ttl: Duration,
    /// Number in the change log noted before the computation.
    pub(crate) stamp: u64,
    /// The epoch noted then.
    pub(crate) epoch: u64,
    /// It replaces what is there on purpose: what is there must not be read again.
    pub(crate) replaces: bool,
}

impl RedisTier {
    /// `salt` says whose values these are: the same for nodes that follow one change log, another
    /// for all others. It stands in every key, so that caches with different ones neither see nor
    /// sweep nor wait for each other.
    pub(crate) fn new(
        config: RedisConfig,
        salt: u64,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        stats: Arc<Statistics>,
    ) -> Result<Arc<Self>, CacheError> {
        let client = redis::Client::open(config.url.as_str()).map_err(|error| {
            let reason = format!(
                "{error}; redis://[user:password@]host[:port][/db], the same with rediss, or \
                 unix:///path?db=number is needed"
            );
            CacheError::Setting { name: "redis.url", reason }
        })?;
        if config.url.starts_with("rediss:") {
            // Which cryptography TLS uses is the process's choice; this one if it has made none.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let space = format!("{}{salt:016x}:", config.prefix);
        Ok(Arc::new(Self {
            meta_key: format!("{space}meta"),
            space,
            backlog: Mutex::new(Backlog::new(config.queue_capacity)),
            writer: entropy.next_u64(),
            config,
            client,
            clock,
            entropy,
            stats,
            writes: AtomicU64::new(0),
            live: RwLock::new(None),
            condition: Mutex::new(Condition::default()),
            wake: Notify::new(),
            up: Notify::new(),
            closing: Notify::new(),
            closed: AtomicBool::new(false),
            last_epoch: AtomicU64::new(0),
            epochs: AtomicU64::new(0),
            outages: AtomicU64::new(0),
            bypassed: AtomicU64::new(0),
            restamped: AtomicU64::new(0),
            counted: Mutex::new(None),
        }))
    }

    fn value_key(&self, key: &str) -> String {
        [self.space.as_str(), "v:", key].concat()
    }

    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.read().clone()
    }

    /// The current epoch; 0 while Redis is out.
    pub(crate) fn epoch(&self) -> u64 {
        self.live.read().as_ref().map_or(0, |live| live.epoch)
    }

    /// Asks for a value. Whether it may be believed is for the caller to check, and
    /// [`RedisTier::believes`] after that.
    pub(crate) async fn get(&self, key: &str, namespace: u16) -> Fetched {
        let Some(live) = self.live() else {
            self.bypassed.fetch_add(1, Ordering::Relaxed);
            return Fetched::Bypassed;
        };
        if self.backlog.lock().holds(key) {
            return Fetched::Nothing;
        }
        let start = self.clock.elapsed();
        let mut connection = live.connection.clone();
        let asked = redis::cmd("GET")
            .arg(self.value_key(key))
            .query_async::<Option<Vec<u8>>>(&mut connection)
            .await;
        match asked {
            Ok(value) => {
                self.stats.took(
                    Scope::Redis,
                    namespace,
                    self.clock.elapsed().saturating_sub(start),
                );
                value.map_or(Fetched::Nothing, |value| Fetched::Found(value, live))
            }
            Err(error) => {
                self.failed(&live, namespace, error);
                Fetched::Bypassed
            }
        }
    }

    /// Whether nothing this process knows of its own writes speaks against an entry.
    pub(crate) fn believes(&self, envelope: &Envelope<'_>, live: &Live) -> bool {
        let backlog = self.backlog.lock();
        envelope.epoch == live.epoch
            && !backlog.holds(envelope.key)
            && !(envelope.writer == self.writer && backlog.doubts(envelope.key, envelope.write))
    }

    /// A reply belonged to another question: nothing on this connection can be believed.
    pub(crate) fn out_of_order(&self, live: &Arc<Live>) {
        self.give_up(live, &LinkError::OutOfOrder);
    }

    /// Writes a value; what cannot be written is remembered where it matters.
    pub(crate) async fn set(&self, write: Write<'_>, namespace: u16) {
        let number = self.writes.fetch_add(1, Ordering::AcqRel) + 1;
        let Some(live) = self.live().filter(|live| live.epoch == write.epoch) else {
            // Noted in another life of Redis, or while it was out.
            if write.replaces {
                self.backlog.lock().add(write.key, None);
                self.wake.notify_one();
            }
            return;
        };
        let ttl = i64::try_from(write.ttl.as_millis()).unwrap_or(i64::MAX).max(1);
        let envelope = Envelope {
            epoch: write.epoch,
            stamp: write.stamp,
            writer: self.writer,
            write: number,
            expires: self.clock.now().as_millisecond().saturating_add(ttl),
            none: write.none,
            kind: write.kind,
            key: write.key,
            tags: write.tags.iter().map(String::as_str).collect(),
            payload: write.payload,
        };
        let Some(bytes) = envelope.encode() else {
            self.stats.count(Scope::Redis, namespace, Count::Refused);
            if write.replaces {
                self.remove(write.key, namespace).await;
            }
            return;
        };
        let mut guard =
            Unconfirmed { tier: self, key: write.key, write: number, armed: write.replaces };
        let mut connection = live.connection.clone();
        let asked = redis::cmd("SET")
            .arg(self.value_key(write.key))
            .arg(bytes)
            .arg("PX")
            .arg(ttl)
            .query_async::<()>(&mut connection)
            .await;
        match asked {
            Ok(()) => {
                self.stats.count(Scope::Redis, namespace, Count::Sets);
                if write.replaces {
                    live.unproven.lock().push((write.key.into(), number));
                    // The list may have been taken over before this write was on it.
                    guard.armed = live.is_given_up();
                }
            }
            Err(error) => self.failed(&live, namespace, error),
        }
    }

    /// Removes a value; what cannot be removed is remembered. Answers whether one was there.
    pub(crate) async fn remove(&self, key: &str, namespace: u16) -> bool {
        let number = self.writes.fetch_add(1, Ordering::AcqRel) + 1;
        let mut guard = Unconfirmed { tier: self, key, write: number, armed: true };
        let Some(live) = self.live() else { return false };
        let mut connection = live.connection.clone();
        let asked =
            redis::cmd("UNLINK").arg(self.value_key(key)).query_async::<u64>(&mut connection).await;
        match asked {
            Ok(removed) => {
                live.unproven.lock().push((key.into(), number));
                guard.armed = live.is_given_up();
                removed > 0
            }
            Err(error) => {
                self.failed(&live, namespace, error);
                false
            }
        }
    }

    /// Sorts a failure: a Redis without room still answers; anything else ends the connection.
    fn failed(&self, live: &Arc<Live>, namespace: u16, error: RedisError) {
        if error.code() == Some("OOM") {
            self.stats.count(Scope::Redis, namespace, Count::Refused);
            self.condition.lock().full_at = Some(self.clock.elapsed());
            // Which of the latest writes was refused is only as sure as the order of replies.
            let mut backlog = self.backlog.lock();
            for (key, write) in live.unproven.lock().drain(..) {
                backlog.add(&key, Some(write));
            }
            return;
        }
        self.stats.count(Scope::Redis, namespace, Count::Errors);
        self.give_up(live, &error.into());
    }

    /// Why Redis is not all it should be, in a word and for people; `None` when it is.
    pub(crate) fn complaint(&self) -> Option<(&'static str, String)> {
        let condition = self.condition.lock();
        if self.live.read().is_none() {
            let reason = condition.reason.as_deref().unwrap_or("not connected yet");
            return Some(("redis_out", format!("Redis is out: {reason}")));
        }
        let now = self.clock.elapsed();
        condition
            .full_at
            .is_some_and(|at| now.saturating_sub(at) < FULL_FOR)
            .then(|| ("redis_full", "Redis refuses writes: its memory is full".to_owned()))
    }

    /// Writes and removals this process has begun.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Values of this cache, if they have been counted.
    pub(crate) fn keys(&self) -> Option<u64> {
        self.counted.lock().as_ref().map(|counted| counted.held.iter().map(|held| held.0).sum())
    }

    pub(crate) fn statistics(&self) -> RedisStats {
        let mut scope = self.stats.scope(Scope::Redis);
        let counted = self.counted.lock();
        for (here, (keys, bytes)) in
            scope.namespaces.iter_mut().zip(counted.iter().flat_map(|counted| &counted.held))
        {
            here.1.hold(Some(*keys), Some(*bytes));
            scope.total.hold(Some(*keys), Some(*bytes));
        }
        let now = self.clock.elapsed();
        let counted_ago = counted.as_ref().map(|counted| now.saturating_sub(counted.at));
        drop(counted);
        let condition = self.condition.lock();
        RedisStats {
            scope,
            up: self.live.read().is_some(),
            outages: self.outages.load(Ordering::Relaxed),
            bypassed: self.bypassed.load(Ordering::Relaxed),
            queued: self.backlog.lock().len(),
            restamped: self.restamped.load(Ordering::Relaxed),
            counted_ago,
            epochs: self.epochs.load(Ordering::Relaxed),
            last_recovery: condition.last_recovery,
        }
    }

    /// A question and an answer, timed by the caller.
    pub(crate) async fn probe(&self) {
        if let Some(live) = self.live() {
            let mut connection = live.connection.clone();
            let asked = redis::cmd("PING").query_async::<String>(&mut connection).await;
            if let Err(error) = asked {
                self.give_up(&live, &error.into());
            }
        }
    }

    /// Waits until Redis is there, at most so long.
    pub(crate) async fn wait_until_up(&self, most: Duration) -> bool {
        let up = self.up.notified();
        if self.live().is_some() {
            return true;
        }
        let _ = tokio::time::timeout(most, up).await;
        self.live().is_some()
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        *self.live.write() = None;
        self.closing.notify_waiters();
        self.closing.notify_one();
        self.wake.notify_one();
    }
}

/// A write or removal that Redis has not confirmed. Also when the future is dropped half-way, the
/// key goes into the backlog.
struct Unconfirmed<'a> {
    tier: &'a RedisTier,
    key: &'a str,
    write: u64,
    armed: bool,
}

impl Drop for Unconfirmed<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.tier.backlog.lock().add(self.key, Some(self.write));
            self.tier.wake.notify_one();
        }
    }
}
