//! The cache as its users see it: one interface whatever stands behind it (memory, Redis, both).
//!
//! What is promised by every backend is written down as a suite (`rhiz_testkit::cache`). The law
//! that all of it serves:
//!
//! > A value is visible only while no invalidation that covers it is newer than the stamp that was
//! > noted **before** its computation began.
//!
//! Example: a computation notes stamp 7 and reads the old state; event 8 is applied and
//! invalidates the tag `did:plc:a`; the computation stores its old value, tagged `did:plc:a`, with
//! stamp 7. Nobody will see it: record 8 covers it, and 8 > 7.

use async_trait::async_trait;
use std::time::Duration;

/// What an invalidation covers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// The value under this key.
    Key(String),
    /// Every value that carries this tag.
    Tag(String),
    /// Every value whose key matches this glob: `*` any run, `?` any one character, `[a-c]`,
    /// `[!a-c]`, `\` takes the next character as it is.
    Pattern(String),
}

/// One record of the log that says what is no longer valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalidation {
    /// Its number: order of commits, growing, gaps allowed.
    pub seq: u64,
    /// What it covers.
    pub targets: Vec<Target>,
}

/// What a computation noted before it began: how much of the invalidations it has certainly seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The node's own count of invalidations.
    pub local: u64,
    /// The number in the change log up to which this node had applied it.
    pub change: u64,
    /// The life of the shared cache in which it was noted; 0 when there is none.
    pub epoch: u64,
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// At most as old as the last confirmation of the change log's head allows (1 s).
    #[default]
    Eventual,
    /// The log's head was confirmed within this time.
    Bounded(Duration),
    /// Not older than the log's head at the moment of the call, which is asked for.
    Fenced,
}

/// What goes with a value that is stored.
#[derive(Debug, Clone, Default)]
pub struct SetOptions {
    /// Time to live; the configured default when absent. Zero stores nothing.
    pub ttl: Option<Duration>,
    /// What the value was made from. An invalidation of any of them hides it.
    pub tags: Vec<String>,
    /// The stamp noted before the value was computed; the moment of the call when absent, which is
    /// right only for values that were not computed from state that changes.
    pub stamp: Option<Stamp>,
    /// The value says that there is nothing: counted apart.
    pub none: bool,
}

/// The numbered log that is the authority on what is invalid, shared by all nodes.
///
/// # Law
/// When [`ChangeLog::read`] returns a record, everything that computations on this node read
/// (store, graph replica) already holds the change behind it. Otherwise a value computed from the
/// state before it would carry its number.
#[async_trait]
pub trait ChangeLog: Send + Sync + 'static {
    /// Which log this is; another number means that seqs of before say nothing. Made at random
    /// with the database: caches that share a Redis tell each other apart by it.
    fn id(&self) -> u64;
    /// The number of the newest committed record, asked of the authority now.
    async fn head(&self) -> Result<u64, CacheError>;
    /// Records with a number above `after`, in order, at most `limit`.
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Invalidation>, CacheError>;
    /// Writes a record made by hand (an operator's clear, a purge); answers with its number.
    async fn append(&self, targets: &[Target]) -> Result<u64, CacheError>;
}

/// Values as bytes under keys: the face of the cache that the conformance suite knows.
/// Typed values, loading and statistics are the service's (`rhiz_cache::CacheService`).
#[async_trait]
pub trait CacheBackend: Send + Sync {
    /// The value, if there is a visible one.
    async fn get(&self, key: &str, consistency: Consistency)
    -> Result<Option<Vec<u8>>, CacheError>;
    /// Stores a value. A backend that is out does not make this fail.
    async fn set(&self, key: &str, value: Vec<u8>, options: &SetOptions) -> Result<(), CacheError>;
    /// Removes a value; answers whether a visible one was there.
    async fn delete(&self, key: &str) -> Result<bool, CacheError>;
    /// Whether a visible value is there.
    async fn exists(&self, key: &str) -> Result<bool, CacheError>;
    /// Hides every value whose key matches; costs the same however many there are.
    async fn clear_pattern(&self, pattern: &str) -> Result<(), CacheError>;
    /// Hides every value with this tag; costs the same however many there are.
    async fn clear_tag(&self, tag: &str) -> Result<(), CacheError>;
    /// The stamp to note before a computation begins.
    fn note(&self) -> Stamp;
    /// Takes over a record of the change log. Repeating one changes nothing.
    fn invalidate(&self, record: &Invalidation);
    /// How it is, measured now.
    async fn health(&self) -> CacheHealth;
    /// Ends background work and connections. Afterwards nothing is found and nothing is kept.
    async fn close(&self);
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// Everything that is configured works.
    Healthy,
    /// It serves, but not with all it has (Redis is out, full, or the log is not confirmed).
    Degraded,
    /// It serves nothing: the log's head has not been confirmed for 10 s, or it is closed.
    Unhealthy,
}

impl CacheStatus {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What the health check answers.
#[derive(Debug, Clone)]
pub struct CacheHealth {
    /// In one word.
    pub status: CacheStatus,
    /// `memory`, `redis` or `tiered`.
    pub backend: &'static str,
    /// There is a memory tier behind Redis.
    pub has_fallback: bool,
    /// Hits per lookup, 0.0–1.0; `None` before the first lookup.
    pub hit_rate: Option<f64>,
    /// Values in the tier that answers first; `None` while they have not been counted.
    pub total_keys: Option<u64>,
    /// Measured in this check: a lookup in memory and a question to Redis, as far as they are there.
    pub latency: Duration,
    /// Why it is not healthy, in a word that does not change: `closed`, `change_log`, `redis_out`
    /// or `redis_full`.
    pub code: Option<&'static str>,
    /// Why it is not healthy, for people.
    pub reason: Option<String>,
}

/// Why the cache refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The key cannot be used.
    #[error("cache key {shown}: {reason}")]
    Key {
        /// The beginning of the key, escaped.
        shown: String,
        /// What is wrong and what is allowed.
        reason: &'static str,
    },
    /// The pattern cannot be used.
    #[error("cache pattern {shown}: {reason}")]
    Pattern {
        /// The beginning of the pattern, escaped.
        shown: String,
        /// What is wrong and what is allowed.
        reason: &'static str,
    },
    /// The tag cannot be used.
    #[error("cache tag {shown}: {reason}")]
    Tag {
        /// The beginning of the tag, escaped.
        shown: String,
        /// What is wrong and what is allowed.
        reason: &'static str,
    },
    /// The value cannot be serialized.
    #[error("value under cache key {key} cannot be serialized: {reason}")]
    Encode {
        /// The key.
        key: String,
        /// What the serializer said.
        reason: String,
    },
    /// The change log could not be asked or written.
    #[error("change log: {0}")]
    ChangeLog(String),
    /// A setting cannot be used.
    #[error("cache setting {name}: {reason}")]
    Setting {
        /// Which.
        name: &'static str,
        /// What is wrong and what is allowed.
        reason: String,
    },
}
