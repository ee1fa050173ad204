//! What the cache counts, per tier and per namespace. Kept in this process only, never in the
//! cache itself.
//!
//! One lookup is counted once overall: as a hit (of the tier that had it), as a miss, or as a
//! "none" hit. A tier counts what it was asked: a lookup that memory missed and Redis answered is
//! a miss of the memory tier, a hit of the Redis tier, and one hit overall.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Counters are spread over this many cache lines, so that threads seldom meet.
const STRIPES: usize = 8;
/// Pairs of counters in 128 bytes.
const APART: usize = 8;
/// Every n-th lookup in the memory tier is timed: reading the clock twice costs more than a hit.
const SAMPLE: u32 = 64;
/// Buckets of a latency histogram: bucket `i` holds `2^i..2^(i+1)` ns.
const BUCKETS: usize = 40;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    Hits,
    Misses,
    NoneHits,
    NoneMisses,
    StaleHits,
    Hidden,
    Coalesced,
    Refreshes,
    Sets,
    Deletes,
    Invalidations,
    Evictions,
    BadValues,
    Refused,
    Errors,
    /// Hits counted under the lock of a shard and refused by the reader afterwards.
    HitsBack,
    NoneHitsBack,
}
const COUNTS: usize = Count::NoneHitsBack as usize + 1;

/// Which counters: a tier, or the lookup as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Scope {
    Overall,
    Memory,
    Redis,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe([AtomicU64; COUNTS]);

#[derive(Debug, Default)]
struct Gauges {
    keys: AtomicU64,
    bytes: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Statistics {
    names: Vec<String>,
    /// `(scope, namespace, stripe)`.
    counters: Vec<Stripe>,
    /// Hits of the memory tier, `(shard, namespace)`: values and "none" answers. Each is written
    /// only under the lock of its shard, by a plain addition.
    alone: Vec<[AtomicU64; 2]>,
    /// From one shard's to the next's: their lines of the processor's cache are apart.
    alone_stride: usize,
    /// Of the memory tier, by namespace.
    gauges: Vec<Gauges>,
    /// `(scope, namespace)`.
    latency: Vec<Histogram>,
}

#[derive(Debug)]
struct Histogram([AtomicU64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

thread_local! {
    static STRIPE: Cell<usize> = const { Cell::new(usize::MAX) };
    static LOOKUPS: Cell<u32> = const { Cell::new(0) };
}
static NEXT_STRIPE: AtomicUsize = AtomicUsize::new(0);

fn stripe() -> usize {
    STRIPE.with(|s| {
        if s.get() == usize::MAX {
            s.set(NEXT_STRIPE.fetch_add(1, Ordering::Relaxed) % STRIPES);
        }
        s.get()
    })
}

impl Statistics {
    /// `shards` are those of the memory tier.
    pub(crate) fn new(namespaces: &[String], shards: usize) -> Self {
        let mut names = namespaces.to_vec();
        names.push("other".to_owned());
        let mut alone = Vec::new();
        let alone_stride = names.len().next_multiple_of(APART) + APART;
        alone.resize_with(shards * alone_stride, Default::default);
        let mut counters = Vec::new();
        counters.resize_with(3 * names.len() * STRIPES, Stripe::default);
        let mut gauges = Vec::new();
        gauges.resize_with(names.len(), Gauges::default);
        let mut latency = Vec::new();
        latency.resize_with(3 * names.len(), Histogram::default);
        Self { names, counters, alone, alone_stride, gauges, latency }
    }

    /// The number of the namespace a key belongs to.
    pub(crate) fn namespace(&self, key: &str) -> u16 {
        let other = self.names.len() - 1;
        let key = key.as_bytes();
        let found = self.names[..other].iter().position(|name| {
            let name = name.as_bytes();
            key.len() > name.len() && key[name.len()] == b':' && key.starts_with(name)
        });
        // At most 64 namespaces are configured.
        u16::try_from(found.unwrap_or(other)).unwrap_or(0)
    }

    fn at(&self, scope: Scope, namespace: u16, stripe: usize) -> &Stripe {
        &self.counters
            [(scope as usize * self.names.len() + usize::from(namespace)) * STRIPES + stripe]
    }

    /// Counts one.
    pub(crate) fn count(&self, scope: Scope, namespace: u16, what: Count) {
        self.at(scope, namespace, stripe()).0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a hit of the memory tier. The caller holds the lock of the shard.
    #[inline]
    pub(crate) fn hit_alone(&self, shard: usize, namespace: u16, none: bool) {
        let count =
            &self.alone[shard * self.alone_stride + usize::from(namespace)][usize::from(none)];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Whether this lookup is one of those that are timed.
    #[inline]
    pub(crate) fn is_timed() -> bool {
        LOOKUPS.with(|lookups| {
            lookups.set(lookups.get().wrapping_add(1));
            lookups.get().is_multiple_of(SAMPLE)
        })
    }

    pub(crate) fn stored(&self, namespace: u16, bytes: u64) {
        let gauges = &self.gauges[usize::from(namespace)];
        gauges.keys.fetch_add(1, Ordering::Relaxed);
        gauges.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, namespace: u16, bytes: u64) {
        let gauges = &self.gauges[usize::from(namespace)];
        gauges.keys.fetch_sub(1, Ordering::Relaxed);
        gauges.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn took(&self, scope: Scope, namespace: u16, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1);
        let bucket = (nanos.ilog2() as usize).min(BUCKETS - 1);
        self.histogram(scope, namespace).0[bucket].fetch_add(1, Ordering::Relaxed);
    }

    fn histogram(&self, scope: Scope, namespace: u16) -> &Histogram {
        &self.latency[scope as usize * self.names.len() + usize::from(namespace)]
    }

    /// How many namespaces there are, `other` included.
    pub(crate) fn namespaces(&self) -> usize {
        self.names.len()
    }

    fn counts(&self, scope: Scope, namespace: u16) -> Counts {
        let sum = |what: Count| {
            (0..STRIPES)
                .map(|s| self.at(scope, namespace, s).0[what as usize].load(Ordering::Relaxed))
                .sum()
        };
        // A hit that its reader then refused is taken back.
        let alone = |none: usize, back: Count| {
            if scope != Scope::Memory {
                return 0;
            }
            let of_namespace =
                self.alone.iter().skip(usize::from(namespace)).step_by(self.alone_stride);
            let hits: u64 = of_namespace.map(|hits| hits[none].load(Ordering::Relaxed)).sum();
            hits.saturating_sub(sum(back))
        };
        Counts {
            hits: sum(Count::Hits) + alone(0, Count::HitsBack),
            misses: sum(Count::Misses),
            none_hits: sum(Count::NoneHits) + alone(1, Count::NoneHitsBack),
            none_misses: sum(Count::NoneMisses),
            stale_hits: sum(Count::StaleHits),
            hidden: sum(Count::Hidden),
            coalesced: sum(Count::Coalesced),
            refreshes: sum(Count::Refreshes),
            sets: sum(Count::Sets),
            deletes: sum(Count::Deletes),
            invalidations: sum(Count::Invalidations),
            evictions: sum(Count::Evictions),
            bad_values: sum(Count::BadValues),
            refused: sum(Count::Refused),
            errors: sum(Count::Errors),
            ..Counts::default()
        }
    }

    pub(crate) fn scope(&self, scope: Scope) -> ScopeStats {
        let mut namespaces = Vec::with_capacity(self.names.len());
        let mut total = Counts::default();
        let mut all_times = [0; BUCKETS];
        for (i, name) in self.names.iter().enumerate() {
            let namespace = u16::try_from(i).unwrap_or(0);
            let mut counts = self.counts(scope, namespace);
            if scope == Scope::Overall {
                // A hit is counted once, in the tier that had it; those found by waiting for
                // another's lookup belong to no tier.
                for tier in [Scope::Memory, Scope::Redis] {
                    let tier = self.counts(tier, namespace);
                    counts.hits += tier.hits;
                    counts.none_hits += tier.none_hits;
                }
            }
            if scope == Scope::Memory {
                counts.keys = Some(self.gauges[i].keys.load(Ordering::Relaxed));
                counts.bytes = Some(self.gauges[i].bytes.load(Ordering::Relaxed));
            }
            let times = self.histogram(scope, namespace).times();
            for (all, here) in all_times.iter_mut().zip(times) {
                *all += here;
            }
            counts.time(&times);
            total.add(&counts);
            namespaces.push((name.clone(), counts));
        }
        total.time(&all_times);
        ScopeStats { total, namespaces }
    }
}

impl Histogram {
    fn times(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|i| self.0[i].load(Ordering::Relaxed))
    }
}

/// Upper edge of the bucket in which the quantile lies; `None` before the first measurement.
fn quantile(counts: &[u64; BUCKETS], q: f64) -> Option<Duration> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((total as f64 * q).ceil() as u64).max(1);
    let mut seen = 0;
    let bucket = counts.iter().position(|c| {
        seen += c;
        seen >= rank
    })?;
    Some(Duration::from_nanos(2u64 << bucket))
}

/// Counts since the start. What is not known is `None`, not 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lookups answered with a value.
    pub hits: u64,
    /// Lookups not answered, of whatever reason.
    pub misses: u64,
    /// Lookups answered with a stored "there is nothing".
    pub none_hits: u64,
    /// Misses whose computation then said "there is nothing".
    pub none_misses: u64,
    /// Misses that found a value past its time to live.
    pub stale_hits: u64,
    /// Misses that found a value which an invalidation covers.
    pub hidden: u64,
    /// Callers that waited for another's computation.
    pub coalesced: u64,
    /// Computations forced by the caller; not counted as misses.
    pub refreshes: u64,
    /// Values stored.
    pub sets: u64,
    /// Keys removed by `delete`.
    pub deletes: u64,
    /// Keys and patterns of this namespace that were invalidated. Tags have no namespace; they
    /// are counted in `other`.
    pub invalidations: u64,
    /// Values pushed out for want of room.
    pub evictions: u64,
    /// Values of another type, truncated, from another version or under a wrong key: misses.
    pub bad_values: u64,
    /// Values not stored: too large, time to live 0, or refused by Redis.
    pub refused: u64,
    /// Commands that failed or did not answer in time.
    pub errors: u64,
    /// Values held: of a tier, not of lookups as a whole. In memory those of now; in Redis those
    /// the last pass of the reclaimer came by (an estimate, of all nodes together).
    pub keys: Option<u64>,
    /// Their bytes, known as `keys` is.
    pub bytes: Option<u64>,
    /// Half of the tier's lookups took no longer (upper edge of a power of two; every 64th hit of
    /// the memory tier is timed, and each answer of Redis).
    pub latency_p50: Option<Duration>,
    /// 99 of 100 lookups took no longer.
    pub latency_p99: Option<Duration>,
}

impl Counts {
    /// Hits per lookup, "none" answers and forced refreshes apart; `None` before the first.
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        let lookups = (self.hits + self.misses).saturating_sub(self.none_misses);
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }

    fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.none_hits += other.none_hits;
        self.none_misses += other.none_misses;
        self.stale_hits += other.stale_hits;
        self.hidden += other.hidden;
        self.coalesced += other.coalesced;
        self.refreshes += other.refreshes;
        self.sets += other.sets;
        self.deletes += other.deletes;
        self.invalidations += other.invalidations;
        self.evictions += other.evictions;
        self.bad_values += other.bad_values;
        self.refused += other.refused;
        self.errors += other.errors;
        self.hold(other.keys, other.bytes);
    }

    /// Adds values held, as far as they are known.
    pub(crate) fn hold(&mut self, keys: Option<u64>, bytes: Option<u64>) {
        let sum = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        (self.keys, self.bytes) = (sum(self.keys, keys), sum(self.bytes, bytes));
    }

    fn time(&mut self, times: &[u64; BUCKETS]) {
        self.latency_p50 = quantile(times, 0.5);
        self.latency_p99 = quantile(times, 0.99);
    }
}

/// Counts of one tier, or of lookups as a whole.
#[derive(Debug, Clone)]
pub struct ScopeStats {
    /// Over all namespaces.
    pub total: Counts,
    /// By namespace, in configured order, `other` last.
    pub namespaces: Vec<(String, Counts)>,
}

/// Everything that is counted.
#[derive(Debug, Clone)]
pub struct CacheStats {
    /// Every lookup once.
    pub overall: ScopeStats,
    /// The memory tier, when there is one.
    pub memory: Option<ScopeStats>,
    /// The Redis tier, when there is one.
    pub redis: Option<RedisStats>,
    /// Records of invalidation applied by this node.
    pub invalidations: u64,
}

/// What is counted of Redis besides lookups.
#[derive(Debug, Clone)]
pub struct RedisStats {
    /// Lookups and writes.
    pub scope: ScopeStats,
    /// It answers.
    pub up: bool,
    /// Connections that were given up.
    pub outages: u64,
    /// Lookups that went past it because it was out.
    pub bypassed: u64,
    /// Writes that wait for its return.
    pub queued: usize,
    /// Values whose stamp was renewed, so that they can still be verified (by reads and by the
    /// reclaimer).
    pub restamped: u64,
    /// How long ago the reclaimer last counted keys and bytes to the end.
    pub counted_ago: Option<Duration>,
    /// Times the whole namespace was cleared (overflow, flush, restart, failover).
    pub epochs: u64,
    /// Time from noticing the last outage to serving again.
    pub last_recovery: Option<Duration>,
}
