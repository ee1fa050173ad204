//! Randomized histories: two nodes, one Redis, and between them a proxy that delays, cuts, drops,
//! reorders and swallows, while Redis is restarted, flushed, filled and failed over.
//!
//! The checker holds every answer against what was true: at fenced nothing older than the moment
//! of the call, at bounded nothing older than `d` before it, at eventual 1 s. That it can find a
//! fault is shown by breaking one promise at a time.

use crate::proxy::{Fault, Felt};
use crate::world::{Authority, Dice, Done, ENTITIES, Node, pass, tag, torment};
use parking_lot::Mutex;
use rhiz_cache::{CacheConfig, CacheService, Call, Computed, Consistency, SetOptions, Tiers};
use rhiz_domain::Clock;
use rhiz_testkit::redis::RedisServer;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How long one history lasts.
const LASTS: Duration = Duration::from_secs(8);
/// And how long it may take until every kind of fault was there.
const AT_MOST: Duration = Duration::from_secs(60);
/// Keys with values computed from three entities each.
const KEYS: usize = 12;
const BOUND: Duration = Duration::from_millis(80);

/// Which promise is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Broken {
    Nothing,
    /// The stamp is noted after the computation, not before.
    Stamp,
    /// A path is tagged with its ends alone.
    Tags,
    /// Pushes are lost, and the log is not asked for what was missed.
    Repair,
}

/// A value: the versions of its three entities.
type Path = Vec<(usize, usize)>;

struct Run {
    authority: Arc<Authority>,
    nodes: Arc<Vec<Node>>,
    broken: Broken,
    stop: Arc<AtomicBool>,
    reads: AtomicUsize,
    stale: Mutex<Vec<String>>,
}

fn hops(key: usize) -> [usize; 3] {
    [key % ENTITIES, (key + 1 + key / ENTITIES) % ENTITIES, (key + 3) % ENTITIES]
}

impl Run {
    async fn compute(&self, key: usize, dice: &Dice) -> Computed<Path> {
        let mut path = Path::new();
        for entity in hops(key) {
            path.push((entity, self.authority.version(entity)));
            if dice.below(3) == 0 {
                pass(dice.millis(1, 10)).await;
            }
        }
        let hops = hops(key);
        let tags = match self.broken {
            Broken::Tags => vec![tag(hops[0]), tag(hops[2])],
            _ => hops.map(tag).to_vec(),
        };
        Computed::new(path).tags(tags)
    }

    async fn read(&self, cache: &CacheService, key: usize, dice: &Dice) {
        let (call, slack) = match dice.below(4) {
            0 => (Call::EVENTUAL, Duration::from_secs(1)),
            1 => (Call::bounded(BOUND), BOUND),
            _ => (Call::FENCED, Duration::ZERO),
        };
        let name = format!("graph:path:{key}");
        let began = self.authority.clock.elapsed();
        let call = call.refresh(dice.below(20) == 0);
        let path: Path = if self.broken == Broken::Stamp {
            match cache.get::<Path>(&name, call.consistency).await.expect("a good key") {
                Some(path) => (*path).clone(),
                None => {
                    let computed = self.compute(key, dice).await;
                    let options = SetOptions { tags: computed.tags, ..SetOptions::default() };
                    cache.set(&name, computed.value.clone(), &options).await.expect("good");
                    computed.value
                }
            }
        } else {
            let compute = || async { Ok::<_, Infallible>(self.compute(key, dice).await) };
            (*cache.get_or_compute(&name, call, compute).await.expect("computed")).clone()
        };
        self.reads.fetch_add(1, Ordering::Relaxed);
        let since = began.saturating_sub(slack);
        for (entity, version) in path {
            let due = self.authority.version_at(entity, since);
            if version < due {
                self.stale.lock().push(format!(
                    "{:?} at {began:?}: entity {entity} in version {version}, {due} was true",
                    call.consistency
                ));
                self.stop.store(true, Ordering::SeqCst);
            }
        }
    }

    async fn work(self: Arc<Self>, node: usize, seed: u64) {
        let dice = Dice::new(seed);
        let cache = self.nodes[node].cache.clone();
        while !self.stop.load(Ordering::SeqCst) {
            match dice.below(100) {
                0..8 => {
                    let record = self.authority.change(dice.below(ENTITIES));
                    for node in self.nodes.iter() {
                        // Half of the pushes are lost, some come late and out of order.
                        if self.broken != Broken::Repair && dice.below(2) == 0 {
                            let (cache, record) = (node.cache.clone(), record.clone());
                            let late = dice.millis(0, 20);
                            tokio::spawn(async move {
                                pass(late).await;
                                cache.invalidate(&record);
                            });
                        }
                    }
                }
                8 => cache.clear_pattern("graph:*").await.expect("the log answers"),
                9 => {
                    let key = format!("graph:path:{}", dice.below(KEYS));
                    cache.delete(&key).await.expect("the log answers");
                }
                _ => self.read(&cache, dice.below(KEYS), &dice).await,
            }
            pass(dice.millis(0, 4)).await;
        }
    }
}

/// What came of one.
#[derive(Default)]
struct Told {
    stale: Vec<String>,
    reads: usize,
    done: Done,
    /// How often each fault befell something, with its name.
    felt: Vec<(&'static str, usize)>,
    /// Values of Redis whose stamp was renewed.
    restamped: u64,
}

async fn history(seed: u64, broken: Broken) -> Told {
    let server = RedisServer::start();
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        nodes.push(
            Node::start(&server, Some(authority.clone()), |config: &mut CacheConfig| {
                // Few enough that Redis is asked often.
                config.max_keys = 4;
                // So few that stamps fade, and are renewed, all the time.
                config.index_capacity = 6;
                config.reclaim_redis_every = Duration::from_secs(1);
            })
            .await,
        );
    }
    if broken == Broken::Repair {
        authority.lies.store(true, Ordering::SeqCst);
    }
    let run = Arc::new(Run {
        authority,
        nodes: Arc::new(nodes),
        broken,
        stop: Arc::new(AtomicBool::new(false)),
        reads: AtomicUsize::new(0),
        stale: Mutex::new(Vec::new()),
    });
    let mut tasks = Vec::new();
    for worker in 0..8 {
        tasks.push(tokio::spawn(run.clone().work(worker % 2, seed * 1000 + worker as u64)));
    }
    let faults = Dice::new(seed);
    let done = Arc::new(Mutex::new(Done::default()));
    let (nodes, stop) = (run.nodes.clone(), run.stop.clone());
    tasks.push(tokio::spawn(torment(server, nodes, 2, faults, stop, done.clone())));
    let clock = &run.authority.clock;
    let goes_on = || {
        let time = clock.elapsed();
        // What is broken on purpose is found sooner or later; else every kind of fault must come.
        time < LASTS || (time < AT_MOST && broken == Broken::Nothing && done.lock().rounds == 0)
    };
    while goes_on() && !run.stop.load(Ordering::SeqCst) {
        pass(Duration::from_millis(20)).await;
    }
    run.stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.expect("no task panics");
    }
    let mut restamped = 0;
    for node in run.nodes.iter() {
        let stats = node.cache.stats();
        let (total, redis) = (stats.overall.total, stats.redis.expect("tiered"));
        eprintln!(
            "seed {seed} {broken:?}: {} reads, hits {} (Redis {}), hidden {}, outages {}, epochs {}, bad {}, restamped {}",
            run.reads.load(Ordering::Relaxed),
            total.hits,
            redis.scope.total.hits,
            total.hidden,
            redis.outages,
            redis.epochs,
            total.bad_values,
            redis.restamped,
        );
        restamped += redis.restamped;
        node.cache.close().await;
    }
    let sum = |of: fn(&Felt) -> &AtomicUsize| {
        run.nodes.iter().map(|node| of(&node.proxy.felt).load(Ordering::SeqCst)).sum()
    };
    let felt = vec![
        ("delayed", sum(|f| &f.delayed)),
        ("cut", sum(|f| &f.cut)),
        ("dropped", sum(|f| &f.dropped)),
        ("swapped", sum(|f| &f.swapped)),
        ("swallowed", sum(|f| &f.swallowed)),
    ];
    let done = done.lock().clone();
    eprintln!("seed {seed} {broken:?}: {done:?} {felt:?}");
    let stale = run.stale.lock().clone();
    Told { stale, reads: run.reads.load(Ordering::Relaxed), done, felt, restamped }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stale_read_whatever_happens_to_redis() {
    let mut felt = std::collections::BTreeMap::<_, usize>::new();
    let (mut lost_writes, mut restamped) = (0, 0);
    for seed in 1..=3 {
        let told = history(seed, Broken::Nothing).await;
        assert!(told.stale.is_empty(), "seed {seed}: {:#?}", told.stale);
        restamped += told.restamped;
        assert!(told.reads > 1_000, "seed {seed}: only {} reads were made", told.reads);
        let done = told.done;
        assert!(done.rounds > 0, "seed {seed}: not every kind of fault was there: {done:?}");
        assert!(done.restarts > 0 && done.filled > 0 && done.failovers > 0, "{done:?}");
        for (name, times) in told.felt {
            *felt.entry(name).or_default() += times;
        }
        *felt.entry("flushed").or_default() += usize::try_from(done.flushed).expect("few");
        lost_writes += done.lost_writes;
    }
    assert!(felt.values().all(|times| *times > 0), "a fault that nobody felt: {felt:?}");
    assert!(lost_writes > 0, "no failover lost anything");
    assert!(restamped > 30, "only {restamped} stamps were renewed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_a_stamp_that_was_not_noted() {
    assert!(finds(Broken::Stamp).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_a_tag_that_is_only_on_the_ends() {
    assert!(finds(Broken::Tags).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_lost_pushes_that_were_not_repaired() {
    assert!(finds(Broken::Repair).await);
}

async fn finds(broken: Broken) -> bool {
    for seed in 1..=3 {
        if !history(seed, broken).await.stale.is_empty() {
            return true;
        }
    }
    false
}

/// One writer for each key, whose way to Redis is unreliable. Now and then another node, whose
/// way is not, has written under the key just before. What the writer reads is the newest it
/// wrote, or nothing.
async fn registers(seed: u64, lie: bool) -> Vec<String> {
    let server = RedisServer::start();
    let authority = Authority::new();
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let few = |config: &mut CacheConfig| {
            config.max_keys = 2;
            config.index_capacity = 6;
            if let (1, Tiers::Tiered(redis)) = (nodes.len(), &mut config.tiers) {
                // Its writes are there when they return, also on a busy machine.
                redis.command_timeout = Duration::from_secs(10);
            }
        };
        nodes.push(Node::start(&server, Some(authority.clone()), few).await);
    }
    let nodes = Arc::new(nodes);
    let stop = Arc::new(AtomicBool::new(false));
    let stale = Arc::new(Mutex::new(Vec::new()));
    let found = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for worker in 0..8 {
        let (cache, other) = (nodes[0].cache.clone(), nodes[1].cache.clone());
        let stop = stop.clone();
        let (stale, found) = (stale.clone(), found.clone());
        tasks.push(tokio::spawn(async move {
            let dice = Dice::new(seed * 100 + worker);
            let mut newest = [0_u64; 6];
            while !stop.load(Ordering::SeqCst) {
                let i = dice.below(newest.len());
                let key = format!("entity:{worker}:{i}");
                match dice.below(10) {
                    step @ 0..3 => {
                        if step == 0 {
                            newest[i] += 1;
                            other.set(&key, newest[i], &SetOptions::default()).await.expect("good");
                        }
                        newest[i] += 1;
                        cache.set(&key, newest[i], &SetOptions::default()).await.expect("good");
                    }
                    3 => {
                        newest[i] += 1;
                        cache.delete(&key).await.expect("good");
                    }
                    _ => {
                        let got = cache.get::<u64>(&key, Consistency::Fenced).await.expect("good");
                        if let Some(got) = got {
                            found.fetch_add(1, Ordering::Relaxed);
                            if *got != newest[i] {
                                stale.lock().push(format!("{key}: {got}, not {}", newest[i]));
                                stop.store(true, Ordering::SeqCst);
                            }
                        }
                    }
                }
                pass(dice.millis(0, 3)).await;
            }
        }));
    }
    let torment = if lie {
        let (nodes, stop) = (nodes.clone(), stop.clone());
        tokio::spawn(async move {
            let dice = Dice::new(seed);
            while !stop.load(Ordering::SeqCst) {
                nodes[0].proxy.set(Fault::BlackHole);
                pass(dice.millis(150, 400)).await;
                nodes[0].proxy.set(Fault::LieAboutRemovals);
                pass(dice.millis(600, 1200)).await;
            }
            drop(server);
        })
    } else {
        let done = Arc::new(Mutex::new(Done::default()));
        tokio::spawn(torment(server, nodes.clone(), 1, Dice::new(seed), stop.clone(), done))
    };
    pass_until(LASTS, &stop).await;
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.expect("no task panics");
    }
    torment.await.expect("no task panics");
    let stats = nodes[0].cache.stats().redis.expect("tiered");
    eprintln!(
        "seed {seed} lie {lie}: {} values found, Redis hits {}, outages {}, epochs {}",
        found.load(Ordering::Relaxed),
        stats.scope.total.hits,
        stats.outages,
        stats.epochs
    );
    assert!(found.load(Ordering::Relaxed) > 100 || lie, "too little was found to say anything");
    for node in nodes.iter() {
        node.cache.close().await;
    }
    std::mem::take(&mut *stale.lock())
}

async fn pass_until(time: Duration, stop: &AtomicBool) {
    let step = Duration::from_millis(20);
    let mut left = time;
    while !left.is_zero() && !stop.load(Ordering::SeqCst) {
        pass(step).await;
        left = left.saturating_sub(step);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_overwritten_or_deleted_returns_after_an_outage() {
    for seed in 1..=2 {
        let stale = registers(seed, false).await;
        assert!(stale.is_empty(), "seed {seed}: {stale:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_finds_a_backlog_that_is_not_worked_off() {
    let mut found = false;
    for seed in 1..=3 {
        found = found || !registers(seed, true).await.is_empty();
    }
    assert!(found);
}
