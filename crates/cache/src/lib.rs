//! One cache for the whole program: typed values under string keys, in memory and in Redis.
//!
//! `docs/CACHE.md` tells why it is never wrong and never in the way. In short: invalidations are
//! numbered records, every value carries the stamp noted before its computation began, and a
//! reader hides what a later matching record covers.

mod backend;
mod call;
mod clear;
mod config;
mod flight;
mod follow;
mod freshness;
mod health;
mod index;
mod keep;
pub mod key;
mod load;
mod lookup;
pub mod memory;
mod pattern;
mod reclaim;
mod redis;
mod service;
mod stats;
mod value;

pub use call::{Cacheable, Call, Compute, Computed, LoadError};
pub use config::{CacheConfig, RedisConfig, Tiers};
pub use pattern::Pattern;
pub use rhiz_domain::cache::{
    CacheBackend, CacheError, CacheHealth, CacheStatus, ChangeLog, Consistency, Invalidation,
    SetOptions, Stamp, Target,
};
pub use service::CacheService;
pub use stats::{CacheStats, Counts, RedisStats, ScopeStats};
