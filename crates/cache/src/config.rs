//! Settings, each with its unit and the reason for its default.

use rhiz_domain::cache::CacheError;
use std::time::Duration;

/// Which tiers there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tiers {
    /// Memory alone.
    #[default]
    Memory,
    /// Memory in front of Redis.
    Tiered(RedisConfig),
    /// Redis alone: for nodes whose memory is needed elsewhere, and for the conformance suite.
    Redis(RedisConfig),
}

/// How Redis is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/db]`, the same with `rediss` for TLS, or
    /// `unix:///path?db=number`.
    pub url: String,
    /// What all keys begin with. Behind it comes which change log the values belong to (a node
    /// without one: which process), so that caches of different data share a Redis unharmed.
    pub prefix: String,
    /// Longest time for a connection: a request must not notice (250 ms).
    pub connect_timeout: Duration,
    /// Longest time for a command; a Redis that needs longer counts as dead (100 ms).
    pub command_timeout: Duration,
    /// Time between two looks at a live Redis, and between two tries at a dead one (250 ms).
    pub probe_interval: Duration,
    /// Writes of an outage that are remembered; beyond it the whole namespace is cleared.
    pub queue_capacity: usize,
}

impl RedisConfig {
    /// The defaults with this address.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "rhiz:".to_owned(),
            connect_timeout: Duration::from_millis(250),
            command_timeout: Duration::from_millis(100),
            probe_interval: Duration::from_millis(250),
            queue_capacity: 10_000,
        }
    }
}

/// Settings of the cache service.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    /// Which tiers there are (`CACHE_BACKEND`).
    pub tiers: Tiers,
    /// Time to live when the caller gives none (`CACHE_DEFAULT_TTL`, 3,600 s).
    pub default_ttl: Duration,
    /// Values in memory (`CACHE_MAX_MEMORY_SIZE`, 10,000).
    pub max_keys: usize,
    /// Bytes in memory: serialized size, keys and tags (256 MiB).
    pub max_bytes: u64,
    /// Largest value in bytes; larger ones are answered but not kept (1 MiB).
    pub max_value_bytes: usize,
    /// How much shorter a time to live may become, as a fraction, so that what was stored
    /// together does not expire together (0.1). Never longer.
    pub jitter: f64,
    /// Names under which statistics are kept; everything else is `other`.
    pub namespaces: Vec<String>,
    /// How long a caller waits for another's computation before it computes itself (5 s).
    pub load_wait: Duration,
    /// Different keys and tags whose invalidation is remembered one by one, twice over.
    pub index_capacity: usize,
    /// Without confirmation of the change log's head for this long nothing is served (1 s).
    pub confirm_within: Duration,
    /// Without confirmation for this long the node is unready (10 s).
    pub unready_after: Duration,
    /// Time between two confirmations of the head; a push brings the next one forward (200 ms).
    pub confirm_every: Duration,
    /// Time between two passes over Redis (60 s) that take out hidden values (they hold memory
    /// there, and go by themselves when their time is over) and count the others. A turn of the
    /// invalidation index brings the next one forward.
    pub reclaim_redis_every: Duration,
    /// Records of the change log read at the start, so that what is in Redis can be verified.
    pub replay: u64,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            tiers: Tiers::Memory,
            default_ttl: Duration::from_secs(3600),
            max_keys: 10_000,
            max_bytes: 256 << 20,
            max_value_bytes: 1 << 20,
            jitter: 0.1,
            namespaces: [
                "did:resolve",
                "graph:path",
                "graph:neighbors",
                "trust:score",
                "conviction",
                "entity",
            ]
            .map(str::to_owned)
            .to_vec(),
            load_wait: Duration::from_secs(5),
            index_capacity: 1 << 17,
            confirm_within: Duration::from_secs(1),
            unready_after: Duration::from_secs(10),
            confirm_every: Duration::from_millis(200),
            reclaim_redis_every: Duration::from_secs(60),
            replay: 200_000,
        }
    }
}

impl CacheConfig {
    /// Refuses what cannot work.
    pub(crate) fn check(&self) -> Result<(), CacheError> {
        let refuse =
            |name, reason: &str| Err(CacheError::Setting { name, reason: reason.to_owned() });
        if self.max_keys == 0 {
            return refuse("max_keys", "0; at least 1 is needed");
        }
        if self.max_bytes < 1024 {
            return refuse("max_bytes", "at least 1,024 bytes are needed");
        }
        if self.default_ttl.is_zero() {
            return refuse("default_ttl", "0 s would store nothing; at least 1 s is needed");
        }
        if !(0.0..1.0).contains(&self.jitter) {
            return refuse("jitter", "a fraction from 0.0 to below 1.0 is needed");
        }
        if self.namespaces.len() > 64 {
            return refuse("namespaces", "at most 64 are allowed");
        }
        if let Tiers::Tiered(redis) | Tiers::Redis(redis) = &self.tiers {
            if redis.prefix.is_empty() || redis.prefix.contains(['*', '?', '[', '\\']) {
                return refuse("redis.prefix", "a text without wildcards is needed");
            }
            if redis.probe_interval.is_zero() || redis.command_timeout.is_zero() {
                return refuse("redis.probe_interval", "above 0 is needed, as for command_timeout");
            }
        }
        Ok(())
    }
}
