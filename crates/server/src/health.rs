//! Health checks that tell the truth.
//!
//! A task for each dependency looks at it in the background, with a time limit of its own and
//! never twice at once; endpoints answer from what was seen last and wait for nothing. What was
//! seen too long ago is itself a failure: a check that hangs cannot stay green.

use crate::{ingest::Feed, node::Node};
use jiff::Timestamp;
use parking_lot::Mutex;
use rhiz_domain::{
    Clock, Paused,
    store::{DeadFilter, StoreError, Unusable},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Longest time for one look.
const LIMIT: Duration = Duration::from_millis(500);
/// What was seen longer ago than this is not known any more.
const STALE: Duration = Duration::from_secs(5);
/// Latencies remembered, for p50 and p99.
const LATENCIES: usize = 128;
/// A firehose without connection for this long is lost.
const FIREHOSE_PATIENCE: Duration = Duration::from_secs(15);

/// Dead letters are counted so often: it takes reading an entry of an index for each.
const LETTERS_EVERY: Duration = Duration::from_secs(10);

/// A graph that is behind the database for this long is stuck.
const GRAPH_PATIENCE: Duration = Duration::from_secs(5);

/// How one dependency is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It works.
    Healthy,
    /// It works, not as it should.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How the node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    /// Everything works.
    Ready,
    /// It serves; something that is not critical does not work.
    Degraded,
    /// It cannot serve.
    Unready,
}

impl Overall {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unready => "unready",
        }
    }
}

/// What is looked at, in the order of answers.
const NAMES: [&str; 5] = ["database", "cache", "event_pipeline", "firehose", "graph"];
/// Without these there is no serving.
const CRITICAL: [&str; 2] = ["database", "graph"];

#[derive(Debug, Default)]
struct Seen {
    status: Option<Status>,
    /// A short word for what is wrong; never a driver's text.
    code: Option<&'static str>,
    at: Duration,
    latencies: VecDeque<Duration>,
}

/// Dead letters, as they were counted last.
#[derive(Debug, Clone, Copy)]
pub struct Letters {
    /// How many there are.
    pub count: u64,
    /// When the first of them was given up.
    pub oldest: Option<Timestamp>,
    /// When they were counted.
    pub at: Timestamp,
}

/// How long ago it was, seconds; 0 when the clock says that it is yet to come.
#[must_use]
pub fn age_seconds(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}

/// The sampler.
pub struct Health {
    seen: [Mutex<Seen>; NAMES.len()],
    letters: Mutex<Option<Letters>>,
    clock: Arc<dyn Clock>,
    started: Duration,
    draining: AtomicBool,
    dir: PathBuf,
    firehose: Option<Feed>,
}

/// One check's last result.
#[derive(Debug, Clone)]
struct Check {
    name: &'static str,
    status: Status,
    code: Option<&'static str>,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
    last_ms: Option<f64>,
}

/// What was seen last.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// All of it in a word.
    pub overall: Overall,
    /// Age of the oldest result, milliseconds.
    pub age_ms: u64,
    checks: Vec<Check>,
}

impl Snapshot {
    /// Each check in a word.
    #[must_use]
    pub fn words(&self) -> Value {
        self.checks.iter().map(|c| (c.name.to_owned(), json!(c.status.as_str()))).collect()
    }

    /// Each check with what was measured.
    #[must_use]
    pub fn details(&self) -> Value {
        let detail = |c: &Check| {
            json!({
                "status": c.status.as_str(),
                "error": c.code,
                "latency_ms": c.last_ms,
                "latency_p50_ms": c.p50_ms,
                "latency_p99_ms": c.p99_ms,
            })
        };
        self.checks.iter().map(|c| (c.name.to_owned(), detail(c))).collect()
    }
}

type Looked = (Status, Option<&'static str>);

impl Health {
    /// Starts looking.
    pub fn start(node: &Node, firehose: Option<Feed>) -> Arc<Self> {
        let health = Arc::new(Self {
            seen: std::array::from_fn(|_| Mutex::default()),
            letters: Mutex::default(),
            clock: Arc::clone(&node.clock),
            started: node.clock.elapsed(),
            draining: AtomicBool::new(false),
            dir: node.config.data.dir.clone(),
            firehose: firehose.clone(),
        });
        for (i, name) in NAMES.into_iter().enumerate() {
            let (health, node, firehose) = (Arc::clone(&health), node.clone(), firehose.clone());
            tokio::spawn(async move {
                let mut lost_since = None;
                loop {
                    let before = health.clock.elapsed();
                    let look = look(name, &node, firehose.as_ref(), &mut lost_since);
                    let (status, code) = tokio::time::timeout(LIMIT, look)
                        .await
                        .unwrap_or((Status::Unhealthy, Some("timeout")));
                    health.note(i, status, code, before);
                    tokio::time::sleep(EVERY).await;
                }
            });
        }
        tokio::spawn(count_letters(Arc::clone(&health), node.clone()));
        health
    }

    /// Dead letters, as they were counted last; nothing before they were.
    #[must_use]
    pub fn letters(&self) -> Option<Letters> {
        *self.letters.lock()
    }

    fn note(&self, i: usize, status: Status, code: Option<&'static str>, before: Duration) {
        let now = self.clock.elapsed();
        let mut seen = self.seen[i].lock();
        if seen.status.is_some_and(|old| old != status) {
            tracing::warn!(dependency = NAMES[i], status = status.as_str(), code, "health changed");
        }
        seen.status = Some(status);
        seen.code = code;
        seen.at = now;
        if seen.latencies.len() == LATENCIES {
            seen.latencies.pop_front();
        }
        seen.latencies.push_back(now.saturating_sub(before));
    }

    /// Readiness says no from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Time since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.clock.elapsed().saturating_sub(self.started)
    }

    /// How far behind its source the journal is.
    #[must_use]
    pub fn source_lag(&self, now: Timestamp) -> Option<Duration> {
        self.firehose.as_ref().and_then(|firehose| firehose.lag(now))
    }

    /// Bytes free on the data directory's disk.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        fs4::available_space(&self.dir).ok()
    }

    /// What was seen last.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = self.clock.elapsed();
        let mut oldest = Duration::ZERO;
        let checks: Vec<Check> = NAMES
            .into_iter()
            .zip(&self.seen)
            .map(|(name, seen)| {
                let seen = seen.lock();
                let age = now.saturating_sub(seen.at);
                let (status, code) = match seen.status {
                    // The first look is under way.
                    None if self.uptime() < LIMIT + EVERY => (Status::Healthy, None),
                    None => (Status::Unhealthy, Some("unknown")),
                    Some(_) if age > STALE => (Status::Unhealthy, Some("stale")),
                    Some(status) => (status, seen.code),
                };
                if seen.status.is_some() {
                    oldest = oldest.max(age);
                }
                let mut sorted: Vec<f64> =
                    seen.latencies.iter().map(|l| l.as_secs_f64() * 1e3).collect();
                let last_ms = sorted.last().copied();
                sorted.sort_by(f64::total_cmp);
                let quantile = |q: f64| {
                    let rank = (q * sorted.len() as f64).ceil() as usize;
                    sorted.get(rank.saturating_sub(1)).copied()
                };
                Check { name, status, code, p50_ms: quantile(0.5), p99_ms: quantile(0.99), last_ms }
            })
            .collect();
        let broken = |c: &Check| c.status == Status::Unhealthy && CRITICAL.contains(&c.name);
        let overall = if self.draining.load(Ordering::Acquire) || checks.iter().any(broken) {
            Overall::Unready
        } else if checks.iter().any(|c| c.status != Status::Healthy) {
            Overall::Degraded
        } else {
            Overall::Ready
        };
        let age_ms = u64::try_from(oldest.as_millis()).unwrap_or(u64::MAX);
        Snapshot { overall, age_ms, checks }
    }
}

/// Counts dead letters, now and again. When it cannot, what was counted before stands, with its
/// time.
async fn count_letters(health: Arc<Health>, node: Node) {
    loop {
        let any = DeadFilter { limit: 1, ..DeadFilter::default() };
        match node.store.dead_letters(any).await {
            Ok(page) => {
                let letters =
                    Letters { count: page.count, oldest: page.oldest, at: node.clock.now() };
                *health.letters.lock() = Some(letters);
            }
            Err(StoreError::Closed) => return,
            Err(error) => tracing::warn!(%error, "dead letters cannot be counted"),
        }
        tokio::time::sleep(LETTERS_EVERY).await;
    }
}

/// Looks at one dependency.
async fn look(
    name: &str,
    node: &Node,
    firehose: Option<&Feed>,
    lost_since: &mut Option<Duration>,
) -> Looked {
    const FINE: Looked = (Status::Healthy, None);
    match name {
        "database" => match node.store.ping().await {
            Ok(()) => FINE,
            Err(Unusable::Unreadable(_)) => (Status::Unhealthy, Some("unreachable")),
            Err(Unusable::Unwritable(_)) => (Status::Unhealthy, Some("unwritable")),
        },
        "cache" => {
            let health = node.cache.health_check().await;
            let status = match health.status {
                rhiz_cache::CacheStatus::Healthy => Status::Healthy,
                rhiz_cache::CacheStatus::Degraded => Status::Degraded,
                rhiz_cache::CacheStatus::Unhealthy => Status::Unhealthy,
            };
            (status, health.code)
        }
        "event_pipeline" => {
            let snapshot = node.pipeline.snapshot();
            let most = node.config.pipeline.max_queue_size as f64;
            let full = node.config.pipeline.backpressure_threshold * most;
            if snapshot.backpressure_active || snapshot.waiting as f64 >= full {
                (Status::Degraded, Some("backpressure"))
            } else if snapshot.processors_hung > 0 {
                (Status::Degraded, Some("processor_hangs"))
            } else if node.store.paused() != Paused::default() {
                (Status::Degraded, Some("paused"))
            } else {
                FINE
            }
        }
        "firehose" => {
            let Some(firehose) = firehose else { return FINE };
            let connected = firehose.connected();
            let now = node.clock.elapsed();
            let since = *lost_since.get_or_insert(now);
            if connected {
                *lost_since = None;
                FINE
            } else if now.saturating_sub(since) < FIREHOSE_PATIENCE {
                FINE
            } else {
                (Status::Degraded, Some("disconnected"))
            }
        }
        // It is loaded before the port opens.
        "graph" => {
            if node.replica.broken().is_some() {
                return (Status::Unhealthy, Some("broken"));
            }
            let now = node.clock.elapsed();
            if node.replica.change() >= node.store.last_change() {
                *lost_since = None;
                return FINE;
            }
            let since = *lost_since.get_or_insert(now);
            if now.saturating_sub(since) < GRAPH_PATIENCE {
                FINE
            } else {
                (Status::Unhealthy, Some("behind"))
            }
        }
        _ => (Status::Unhealthy, Some("unknown")),
    }
}
