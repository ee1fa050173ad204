//! One node: a data directory, its store, the graph over it, and the pipeline that feeds both.
//!
//! Everything that works on data goes through here: `serve`, `demo`, `import` and `doctor` open
//! the same node and differ in what they do with it.

use crate::{
    answers::{Rankings, Work},
    config::{CacheBackend, Config, DatabaseUrl},
    exit::Failure,
    identity::Identities,
    load, processors,
    replica::Replica,
};
use rhiz_cache::{CacheConfig, CacheService, RedisConfig, Tiers};
use rhiz_domain::{
    Clock, Entropy,
    cache::Invalidation,
    clock::{SystemClock, SystemEntropy},
    fact::day_of,
    store::{DeadFilter, DeadSelection, Store, StoreError},
};
use rhiz_graph::Graph;
use rhiz_pipeline::{ActError, Broken, Capacity, Pipeline, Settings};
use rhiz_store::SqliteStore;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::Write,
    net::SocketAddr,
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::Duration,
};

/// How long a stop may take. What is in hand then is left to the next start.
pub const STOP_LIMIT: Duration = Duration::from_secs(10);

/// What of it is kept for closing the files. What is on its way to the disk then gets there or not,
/// as with a kill: nobody was told that it is there.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// Everything a node is made of. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    /// What it was told.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The journal and the index.
    pub store: Arc<dyn Store>,
    /// What is live, for questions.
    pub graph: Arc<Graph>,
    /// Answers given before.
    pub cache: CacheService,
    /// Rankings given before.
    pub rankings: Arc<Rankings>,
    /// Places to compute answers.
    pub work: Arc<Work>,
    /// Who is who on the network.
    pub identities: Arc<Identities>,
    /// From accept to applied.
    pub pipeline: Pipeline,
    /// What brings commits into the graph and the cache.
    pub replica: Arc<Replica>,
    /// Held while the directory is in use; says where its server is.
    lock: Arc<File>,
}

/// The name of the lock's file in the data directory.
const LOCK: &str = "rhiz.lock";

/// Where the process is that works on a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// It serves there.
    Server(SocketAddr),
    /// It does not serve, or does not yet.
    Other,
}

/// Who works on a data directory; nothing when nobody does.
#[must_use]
pub fn owner(dir: &Path) -> Option<Owner> {
    let path = dir.join(LOCK);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {
            let address = std::fs::read_to_string(path).ok().and_then(|a| a.trim().parse().ok());
            Some(address.map_or(Owner::Other, Owner::Server))
        }
        Ok(()) | Err(TryLockError::Error(_)) => None,
    }
}

/// Makes the data directory and takes its lock: one process owns it.
fn lock(dir: &Path) -> Result<File, Failure> {
    let cannot = |what: &str, e: &std::io::Error| {
        Failure::failed(format!("the data directory {} cannot be {what}: {e}", dir.display()))
            .hint("give a directory that can be written, with --data-dir or DATA_DIR")
    };
    crate::key::make_folder(dir).map_err(|e| cannot("made", &e))?;
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|e| cannot("written", &e))?;
    match file.try_lock() {
        Ok(()) => {
            // An earlier server's address. What cannot be told on a full disk is not needed.
            let _ = file.set_len(0);
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(Failure::failed(format!(
            "another rhiz is working on the data directory {}",
            dir.display()
        ))
        .hint("stop it, or talk to it: `rhiz import --server URL`")),
        Err(TryLockError::Error(e)) => Err(cannot("locked", &e)),
    }
}

/// What a store's error means for somebody who starts a program on it.
pub fn store_failure(error: &StoreError) -> Failure {
    let failure = Failure::failed(error);
    match error {
        StoreError::Unavailable(_) => failure
            .hint("is the disk full, the directory read-only, or another program at the file?"),
        StoreError::Corrupt(_) => failure.hint(
            "try `rhiz rebuild`; else restore a backup, or import again into a new directory",
        ),
        StoreError::Newer { .. } | StoreError::Closed | StoreError::Fenced => failure,
    }
}

/// The store alone, with the lock of its data directory: for what works below the graph.
pub fn open_store(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(File, Arc<dyn Store>), Failure> {
    let DatabaseUrl::Sqlite(path) = &config.database.url else {
        return Err(Failure::Config(
            "DATABASE_URL: PostgreSQL is not built in yet; use sqlite:…".into(),
        ));
    };
    let lock = lock(&config.data.dir)?;
    let store = SqliteStore::open(path, Arc::clone(clock))
        .map_err(|e| store_failure(&e).prefix(&path.display().to_string()))?;
    let readers = usize::try_from(config.database.pool_size).unwrap_or(usize::MAX);
    Ok((lock, Arc::new(store.keep_readers(readers))))
}

impl Node {
    /// Opens the node's data, loads its graph, and makes what is needed to go on. Nothing works
    /// yet: [`Node::start`] sets the pipeline going.
    pub async fn open(config: Config) -> Result<Self, Failure> {
        Self::open_telling(config, |cache| move |what: &Invalidation| cache.invalidate(what)).await
    }

    /// The same, where what has become invalid is told to somebody who may tell the cache.
    pub(crate) async fn open_telling<T: FnMut(&Invalidation) + Send + 'static>(
        config: Config,
        teller: impl FnOnce(CacheService) -> T,
    ) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let (lock, store) = open_store(&config, &clock)?;
        let graph =
            load::graph(&*store, day_of(clock.now())).await.map_err(|e| store_failure(&e))?;
        let graph = Arc::new(graph);
        let cache = cache(&config, &clock, &entropy)?;
        let identities = Identities::new(&config.network, cache.clone(), Arc::clone(&clock))
            .map_err(|e| Failure::Config(e.to_string()))?;
        let identities = Arc::new(identities);
        let verifier = config.firehose.verify.then(|| processors::Verifier {
            identities: Arc::clone(&identities),
            graph: Arc::clone(&graph),
        });
        let changes =
            store.changes().ok_or_else(|| Failure::failed("the store was opened twice"))?;
        let rankings = Arc::new(Rankings::new(graph.version()));
        let replica = Arc::new(
            Replica::start(
                changes,
                Arc::clone(&graph),
                Arc::clone(&rankings),
                teller(cache.clone()),
                Arc::clone(&clock),
            )
            .map_err(|e| Failure::failed(format!("cannot start a thread: {e}")))?,
        );
        let pipeline = Pipeline::new(
            Arc::clone(&store) as _,
            processors::all(verifier),
            Arc::clone(&replica) as _,
            Arc::clone(&clock),
            Arc::clone(&entropy),
            settings(&config),
        );
        Ok(Self {
            config: Arc::new(config),
            clock,
            entropy,
            store,
            graph,
            cache,
            rankings,
            work: Arc::new(Work::here()),
            identities,
            pipeline,
            replica,
            lock: Arc::new(lock),
        })
    }

    /// Tells who asks on this machine where the server is.
    pub fn announce(&self, address: SocketAddr) {
        let mut file: &File = &self.lock;
        let told = file.set_len(0).and_then(|()| write!(file, "{address}"));
        if let Err(error) = told {
            tracing::debug!(%error, "the lock's file does not say where the server is");
        }
    }

    /// Sets the pipeline and the turn of days going.
    pub fn start(&self) {
        self.pipeline.start();
        let (graph, cache, clock) =
            (Arc::clone(&self.graph), self.cache.clone(), Arc::clone(&self.clock));
        tokio::spawn(async move { turn_days(&graph, &cache, &*clock).await });
        let (graph, clock) = (Arc::clone(&self.graph), Arc::clone(&self.clock));
        tokio::spawn(async move { forget_withdrawn(&graph, &*clock).await });
        let (graph, clock) = (Arc::clone(&self.graph), Arc::clone(&self.clock));
        tokio::spawn(async move { keep_average(&graph, &*clock, AVERAGE_EVERY).await });
        if let Some(retention) = self.config.pipeline.dead_letter_retention {
            let node = self.clone();
            tokio::spawn(async move { discard_old(&node, retention).await });
        }
    }

    /// Accepts no more, finishes what is in hand, and closes the files. What waits stays in the
    /// journal. Answers whether everything in hand was finished in time.
    pub async fn stop(&self) -> bool {
        self.stop_within(STOP_LIMIT).await
    }

    /// The same, in less time.
    pub async fn stop_within(&self, limit: Duration) -> bool {
        let limit = match self.replica.broken() {
            // What is in hand cannot be finished.
            Some(_) => Duration::ZERO,
            None => limit.saturating_sub(CLOSE_LIMIT),
        };
        let in_time = self.pipeline.stop(limit).await;
        let closed = tokio::time::timeout(CLOSE_LIMIT, async {
            self.store.close().await;
            self.cache.close().await;
        });
        closed.await.is_ok() && in_time
    }

    /// Does it, unless the graph breaks first: then nothing is applied any more, and who waits for
    /// that would wait for ever.
    pub async fn while_whole<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            result = work => result,
            why = self.replica.breaks() => Err(Failure::failed(format!("the graph broke off: {why}"))
                .hint("nothing is lost: start again, and report a bug")),
        }
    }
}

/// The cache that is configured.
pub fn cache(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<CacheService, Failure> {
    let settings = cache_settings(config);
    // One process owns the database, so this node is itself the authority on what is invalid.
    CacheService::start(settings, None, Arc::clone(clock), Arc::clone(entropy))
        .map_err(|e| Failure::Config(e.to_string()))
}

/// How much longer than the longest search those wait who want its answer: what is around it.
const AROUND_A_SEARCH: Duration = Duration::from_secs(2);

fn cache_settings(config: &Config) -> CacheConfig {
    let defaults = CacheConfig::default();
    CacheConfig {
        tiers: match config.cache.backend {
            CacheBackend::Memory => Tiers::Memory,
            CacheBackend::Redis => Tiers::Tiered(RedisConfig::at(config.cache.redis_url.expose())),
        },
        default_ttl: config.cache.default_ttl,
        max_keys: config.cache.max_keys,
        max_bytes: config.cache.max_bytes,
        // Who waits for less than a search may take would begin one of their own.
        load_wait: defaults.load_wait.max(config.graph.time_limit + AROUND_A_SEARCH),
        ..defaults
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        capacity: Capacity {
            events: config.pipeline.max_queue_size,
            bytes: usize::try_from(config.pipeline.max_queue_bytes).unwrap_or(usize::MAX),
            threshold: config.pipeline.backpressure_threshold,
        },
        workers: NonZeroUsize::new(config.pipeline.num_workers).unwrap_or(NonZeroUsize::MIN),
        retry: config.pipeline.retry,
        ..Settings::default()
    }
}

/// How often dead letters that are too old are looked for.
const RETENTION_CHECK: Duration = Duration::from_secs(600);

/// Discards dead letters that are older than was configured; without it nothing is deleted.
async fn discard_old(node: &Node, retention: Duration) {
    loop {
        let until = Some(node.clock.now() - retention);
        let which = DeadSelection::Filter(DeadFilter { until, ..DeadFilter::default() });
        match node.pipeline.discard(&which, "retention").await {
            Ok(moved) if moved.done > 0 => {
                tracing::info!(discarded = moved.done, "dead letters were too old");
            }
            Ok(_) => {}
            Err(ActError { why: Broken::Draining | Broken::Store(StoreError::Closed), .. }) => {
                return;
            }
            Err(error) => tracing::warn!(%error, "cannot discard old dead letters"),
        }
        tokio::time::sleep(RETENTION_CHECK).await;
    }
}

/// How soon predictions begin to forget what was withdrawn: with what it takes to learn anew, this
/// has to be within a second.
const WITHDRAWAL_CHECK: Duration = Duration::from_millis(100);

/// Learns predictions anew when something they were learned from is deleted, refused or hidden.
/// At most half of the time of one thread goes into it, however often that happens.
async fn forget_withdrawn(graph: &Arc<Graph>, clock: &dyn Clock) {
    loop {
        tokio::time::sleep(WITHDRAWAL_CHECK).await;
        if !graph.outdated() {
            continue;
        }
        let started = clock.elapsed();
        let graph = Arc::clone(graph);
        if tokio::task::spawn_blocking(move || graph.relearn()).await.is_err() {
            tracing::error!("predictions could not be learned anew");
        }
        let took = clock.elapsed().saturating_sub(started);
        tokio::time::sleep(took.saturating_sub(WITHDRAWAL_CHECK)).await;
    }
}

/// Shortest time between two looks whether the average trust score is up to date.
const AVERAGE_EVERY: Duration = Duration::from_secs(10);
/// Working it out may take one part in so many of the time.
const AVERAGE_SHARE: u32 = 20;

/// Keeps the average trust score up to date, where asking for it does not.
async fn keep_average(graph: &Arc<Graph>, clock: &dyn Clock, every: Duration) {
    loop {
        let (started, graph) = (clock.elapsed(), Arc::clone(graph));
        if tokio::task::spawn_blocking(move || graph.refresh()).await.is_err() {
            tracing::error!("the average trust score could not be worked out");
        }
        let took = clock.elapsed().saturating_sub(started);
        tokio::time::sleep(every.max(took * AVERAGE_SHARE)).await;
    }
}

/// Answers are for a day. It changes within this time after midnight.
const DAY_CHECK: Duration = Duration::from_secs(5);

async fn turn_days(graph: &Arc<Graph>, cache: &CacheService, clock: &dyn Clock) {
    loop {
        tokio::time::sleep(DAY_CHECK).await;
        let today = day_of(clock.now());
        if today == graph.as_of() {
            continue;
        }
        let graph = Arc::clone(graph);
        // Every edge is weighed anew: too long for a thread that answers requests.
        let turned = tokio::task::spawn_blocking(move || {
            graph.set_day(today);
            graph.relearn();
            graph.refresh();
        });
        if turned.await.is_ok() {
            for pattern in ["graph:*", "trust:*", "conviction:*"] {
                if let Err(error) = cache.clear_pattern(pattern).await {
                    tracing::warn!(%error, pattern, "cannot clear the cache of yesterday");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, survey};
    use rhiz_domain::fact::{Change, ChangeSet, EntityFact, EntityId};
    use rhiz_domain::{Did, EventId, EventType, store::Receipt};
    use rhiz_pipeline::Submission;
    use serde_json::{json, value::to_raw_value};

    fn config(dir: &Path) -> Config {
        let survey = survey(Sources { directory: dir.to_owned(), ..Sources::default() });
        survey.into_config().ok().unwrap()
    }

    /// An event that changes the graph.
    fn account(id: &str) -> Submission {
        let payload = json!({"did": "did:plc:a", "time": "2026-01-01T00:00:00Z", "active": true});
        Submission {
            event_type: EventType::AccountUpdated,
            did: Did::parse("did:plc:a").unwrap(),
            payload: to_raw_value(&payload).unwrap(),
            priority: None,
            event_id: EventId::parse(id).ok(),
        }
    }

    #[test]
    fn what_is_configured_by_default_is_the_pipelines_own() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (settings(&config(dir.path())), Settings::default());
        assert_eq!(ours.capacity, theirs.capacity);
        assert_eq!((ours.workers, ours.retry), (theirs.workers, theirs.retry));
    }

    /// Work that does not end is left to the next start.
    #[tokio::test]
    async fn a_stop_takes_no_longer_than_it_may() {
        let dir = tempfile::tempdir().unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let teller = |_| move |_: &Invalidation| _ = wait.recv();
        let node = Node::open_telling(config(dir.path()), teller).await.ok().unwrap();
        node.start();
        let accepted = node.pipeline.submit(vec![account("x")]).await.unwrap();
        let clock = Arc::clone(&node.clock);
        let began = clock.elapsed();
        assert!(!node.stop_within(CLOSE_LIMIT + Duration::from_millis(500)).await);
        let took = clock.elapsed() - began;
        assert!((500..5_000).contains(&took.as_millis()), "{took:?}");
        assert!(node.pipeline.recently_done(&accepted[0].event_id).is_none());
        drop(go);
    }

    /// An event whose change the graph does not have is not done, in this life; in the next one it
    /// is there.
    #[tokio::test]
    async fn a_graph_that_breaks_says_of_nothing_that_it_is_applied() {
        let dir = tempfile::tempdir().unwrap();
        let teller = |_| |_: &Invalidation| panic!("no such luck");
        let node = Node::open_telling(config(dir.path()), teller).await.ok().unwrap();
        node.start();
        let pipeline = node.pipeline.clone();
        let waiting = tokio::spawn(async move {
            pipeline.submit_and_wait(account("x"), Duration::MAX).await.unwrap()
        });
        let why = node.replica.breaks().await;
        assert!(why.contains("no such luck"), "{why}");
        let failure = node.while_whole::<()>(std::future::pending()).await.unwrap_err();
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().contains("no such luck"), "{failure}");
        assert!(!node.stop().await, "what is in hand cannot be finished");
        let (accepted, ended) = waiting.await.unwrap();
        assert_eq!((accepted.receipt, ended), (Receipt::Accepted, None));
        assert!(node.pipeline.recently_done(&accepted.event_id).is_none());
        drop(node);
        let node = Node::open(config(dir.path())).await.ok().unwrap();
        assert!(node.graph.find("did:plc:a").is_some());
        node.stop().await;
    }

    fn limited(limit: &str) -> Config {
        let environment = vec![("PATHFINDING_TIMEOUT".into(), limit.into())];
        let directory = std::env::temp_dir();
        survey(Sources { directory, environment, ..Sources::default() }).into_config().ok().unwrap()
    }

    /// Promise 3 of the cache, whatever a search is allowed to take.
    #[test]
    fn who_waits_for_anothers_search_waits_longer_than_it_may_take() {
        for limit in ["1ms", "1s", "5s", "30s", "1m"] {
            let config = limited(limit);
            let wait = cache_settings(&config).load_wait;
            assert!(wait > config.graph.time_limit + Duration::from_secs(1), "{limit}: {wait:?}");
        }
    }

    #[tokio::test]
    async fn the_average_is_kept_up_to_date_without_being_asked_for() {
        let graph = Arc::new(Graph::new(0));
        let keeping = {
            let graph = Arc::clone(&graph);
            let every = Duration::from_millis(1);
            tokio::spawn(async move { keep_average(&graph, &SystemClock::default(), every).await })
        };
        for seq in 1..=3 {
            let did = Did::parse(&format!("did:plc:a{seq}")).unwrap();
            let id = EntityId(u32::try_from(seq).unwrap());
            let entity = EntityFact { id, did, active: true, stands_alone: true };
            graph.apply(&ChangeSet { seq, changes: vec![Change::Entity(entity)] });
            let kept = async {
                // Any average will do for this question: it does not work one out.
                while graph.stats_since(0).avg_version != seq {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), kept).await.unwrap();
        }
        keeping.abort();
    }
}
