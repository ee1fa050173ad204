//! A small world with a state that changes, an authority that numbers the changes, and values
//! that are computed from the state. What a reader got can be held against what was true.

use crate::proxy::{Fault, Proxy};
use async_trait::async_trait;
use parking_lot::Mutex;
use rhiz_cache::{
    CacheConfig, CacheError, CacheService, ChangeLog, Invalidation, RedisConfig, Target, Tiers,
};
use rhiz_domain::clock::{SeededEntropy, SystemClock, SystemEntropy};
use rhiz_domain::{Clock, Entropy};
use rhiz_testkit::redis::RedisServer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

pub(crate) const ENTITIES: usize = 6;

/// The state: a version of each entity, and when it became true.
pub(crate) struct Authority {
    state: Mutex<State>,
    pub(crate) clock: SystemClock,
    /// The log answers, but with the head it had then: a mutation.
    pub(crate) lies: AtomicBool,
    lied_head: AtomicU64,
    /// The log does not answer.
    pub(crate) silent: AtomicBool,
    id: u64,
}

#[derive(Default)]
struct State {
    history: [Vec<Duration>; ENTITIES],
    log: Vec<Invalidation>,
}

impl Authority {
    pub(crate) fn new() -> Arc<Self> {
        Self::with_id(42)
    }

    /// Another database.
    pub(crate) fn with_id(id: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            state: Mutex::default(),
            clock: SystemClock::default(),
            lies: AtomicBool::new(false),
            lied_head: AtomicU64::new(0),
            silent: AtomicBool::new(false),
        })
    }

    pub(crate) fn version(&self, entity: usize) -> usize {
        self.state.lock().history[entity].len()
    }

    /// The version that was true at that moment.
    pub(crate) fn version_at(&self, entity: usize, moment: Duration) -> usize {
        self.state.lock().history[entity].iter().filter(|at| **at <= moment).count()
    }

    /// Changes an entity; answers with the record of it.
    pub(crate) fn change(&self, entity: usize) -> Invalidation {
        let mut state = self.state.lock();
        state.history[entity].push(self.clock.elapsed());
        // Numbers grow in the order of commits, with gaps.
        let seq = state.log.last().map_or(0, |r| r.seq) + 1 + (entity as u64 % 2);
        // And things that nobody here has read: a small index forgets over them.
        let others = (0..3).map(|i| Target::Tag(format!("other:{seq}:{i}")));
        let targets = others.chain([Target::Tag(tag(entity))]).collect();
        let record = Invalidation { seq, targets };
        state.log.push(record.clone());
        record
    }
}

pub(crate) fn tag(entity: usize) -> String {
    format!("did:plc:{entity}")
}

#[async_trait]
impl ChangeLog for Authority {
    fn id(&self) -> u64 {
        self.id
    }
    async fn head(&self) -> Result<u64, CacheError> {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let head = self.state.lock().log.last().map_or(0, |r| r.seq);
        if self.lies.load(Ordering::SeqCst) {
            return Ok(self.lied_head.load(Ordering::SeqCst));
        }
        self.lied_head.store(head, Ordering::SeqCst);
        Ok(head)
    }
    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Invalidation>, CacheError> {
        let state = self.state.lock();
        Ok(state.log.iter().filter(|r| r.seq > after).take(limit).cloned().collect())
    }
    async fn append(&self, targets: &[Target]) -> Result<u64, CacheError> {
        let mut state = self.state.lock();
        let seq = state.log.last().map_or(0, |r| r.seq) + 1;
        state.log.push(Invalidation { seq, targets: targets.to_vec() });
        Ok(seq)
    }
}

/// A node: its cache, and its way to Redis.
pub(crate) struct Node {
    pub(crate) cache: CacheService,
    pub(crate) proxy: Proxy,
}

impl Node {
    pub(crate) async fn start(
        server: &RedisServer,
        log: Option<Arc<dyn ChangeLog>>,
        tune: impl FnOnce(&mut CacheConfig),
    ) -> Self {
        let proxy = Proxy::start(server.address()).await;
        let mut config = CacheConfig {
            tiers: Tiers::Tiered(RedisConfig::at(proxy.url())),
            ..CacheConfig::default()
        };
        tune(&mut config);
        let clock = Arc::new(SystemClock::default());
        let cache =
            CacheService::start(config, log, clock, Arc::new(SystemEntropy)).expect("settings");
        assert!(cache.wait_for_redis(Duration::from_secs(5)).await, "Redis is there");
        Self { cache, proxy }
    }
}

/// Looks until it is so; answers how long that took. Redis gives no signal.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) -> Duration {
    let clock = SystemClock::default();
    while !holds().await {
        assert!(clock.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        pass(Duration::from_millis(2)).await;
    }
    clock.elapsed()
}

/// Where the value under a key stands in Redis, if it is there: behind whose it is.
pub(crate) async fn place(server: &RedisServer, key: &str) -> Option<String> {
    let mut connection = direct(server).await;
    let pattern = format!("rhiz:????????????????:{key}");
    let mut cursor = 0_u64;
    loop {
        let (next, found): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(&pattern)
            .arg("COUNT")
            .arg(1000)
            .query_async(&mut connection)
            .await
            .expect("Redis");
        match found.into_iter().next() {
            Some(found) => return Some(found),
            None if next == 0 => return None,
            None => cursor = next,
        }
    }
}

/// A seeded choice.
pub(crate) struct Dice(SeededEntropy);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SeededEntropy::new(seed))
    }
    pub(crate) fn below(&self, n: usize) -> usize {
        usize::try_from(self.0.next_u64() % n as u64).expect("small")
    }
    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.0.next_u64() % (to - from))
    }
}

/// Lets real time pass. For nothing that could be waited for: only where a history is made of
/// time itself (how long a fault lasts, a computation takes, a worker pauses) and for the pauses of
/// [`until`]. Tokio's paused clock cannot stand in: the proxy, the sockets and `redis-server` do
/// not follow it.
pub(crate) async fn pass(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// What was done to Redis itself, and what it lost by it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Done {
    /// Every kind of fault was set at least so often.
    pub(crate) rounds: usize,
    pub(crate) restarts: usize,
    /// Keys that were there before a flush.
    pub(crate) flushed: i64,
    pub(crate) filled: usize,
    pub(crate) failovers: usize,
    /// Values that the old master acknowledged after the replica had parted from it.
    pub(crate) lost_writes: u64,
}

/// Kinds of fault, each dealt once in a round.
const KINDS: usize = 10;

/// Breaks Redis and the ways of the first `tormented` nodes to it, in rounds in which each kind of
/// fault comes once in random order, until told to stop and the first round is over.
pub(crate) async fn torment(
    mut server: RedisServer,
    nodes: Arc<Vec<Node>>,
    tormented: usize,
    dice: Dice,
    stop: Arc<AtomicBool>,
    done: Arc<Mutex<Done>>,
) {
    let mut replica: Option<RedisServer> = None;
    let mut deck: Vec<usize> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        if deck.is_empty() {
            deck = (0..KINDS).collect();
        }
        let kind = deck.swap_remove(dice.below(deck.len()));
        let node = &nodes[dice.below(tormented)];
        // A fault on a way that nobody takes is none.
        node.cache.wait_for_redis(Duration::from_secs(2)).await;
        match kind {
            0 => node.proxy.set(Fault::Delay(dice.millis(1, 30))),
            // Longer than a command may take: writes arrive after they were given up.
            1 => node.proxy.set(Fault::Delay(dice.millis(110, 200))),
            2 => node.proxy.set(Fault::Cut),
            3 => node.proxy.set(Fault::DropReplies(2 + dice.below(20))),
            4 => node.proxy.set(Fault::ReorderReplies(2 + dice.below(20))),
            5 => node.proxy.set(Fault::BlackHole),
            6 => {
                server.kill();
                pass(dice.millis(1, 100)).await;
                server.start_again();
                done.lock().restarts += 1;
            }
            7 => {
                if let Ok(redis::Value::Int(keys)) = command(&server, &["DBSIZE"]).await {
                    done.lock().flushed += keys;
                }
                command(&server, &["FLUSHALL"]).await.expect("Redis");
            }
            8 => {
                command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await.expect("Redis");
                pass(dice.millis(100, 300)).await;
                command(&server, &["CONFIG", "SET", "maxmemory", "0"]).await.expect("Redis");
                done.lock().filled += 1;
            }
            _ => {
                let next = match replica.take() {
                    Some(next) => next,
                    None => RedisServer::start(),
                };
                let lost = fail_over(&server, &next, &nodes, &dice).await;
                {
                    let mut done = done.lock();
                    done.failovers += 1;
                    done.lost_writes += lost;
                }
                replica = Some(std::mem::replace(&mut server, next));
            }
        }
        pass(dice.millis(60, 250)).await;
        for node in nodes.iter() {
            node.proxy.set(Fault::None);
        }
        if deck.is_empty() {
            done.lock().rounds += 1;
        }
        pass(dice.millis(100, 500)).await;
    }
}

/// Failover to a replica that has fallen behind: it follows, parts from its master, is promoted,
/// and only then do the nodes come to it. What the master has acknowledged in between is lost.
/// Answers how many values that were.
async fn fail_over(old: &RedisServer, next: &RedisServer, nodes: &[Node], dice: &Dice) -> u64 {
    let port = old.port.to_string();
    command(next, &["REPLICAOF", "127.0.0.1", &port]).await.expect("Redis");
    for _ in 0..500 {
        if info(next, "replication").await.contains("master_link_status:up") {
            break;
        }
        pass(Duration::from_millis(10)).await;
    }
    assert!(info(next, "replication").await.contains("master_link_status:up"), "it follows");
    command(next, &["REPLICAOF", "NO", "ONE"]).await.expect("Redis");
    let before = calls(old, "set").await;
    // Something must be lost; how much more is the dice's choice. (No way to Redis may be open.)
    let wanted = 1 + dice.below(20) as u64;
    for _ in 0..30 {
        if calls(old, "set").await >= before + wanted {
            break;
        }
        pass(Duration::from_millis(5)).await;
    }
    for node in nodes {
        node.proxy.lead_to(next.address());
        node.proxy.set(Fault::Cut);
    }
    calls(old, "set").await - before
}

/// A section of what Redis says of itself.
pub(crate) async fn info(server: &RedisServer, section: &str) -> String {
    match command(server, &["INFO", section]).await.expect("Redis") {
        redis::Value::BulkString(text) => String::from_utf8(text).expect("a text"),
        other => panic!("a text, not {other:?}"),
    }
}

/// How often a command was called.
pub(crate) async fn calls(server: &RedisServer, command: &str) -> u64 {
    let name = format!("cmdstat_{command}:calls=");
    let info = info(server, "commandstats").await;
    let line = info.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |l| l.split(',').next().expect("a number").parse().expect("a number"))
}

/// Straight to the server, past any proxy.
pub(crate) async fn direct(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    redis::Client::open(format!("redis://{}/", server.address()))
        .expect("an address")
        .get_multiplexed_async_connection()
        .await
        .expect("it runs")
}

pub(crate) async fn command(
    server: &RedisServer,
    words: &[&str],
) -> redis::RedisResult<redis::Value> {
    let mut connection = direct(server).await;
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}
