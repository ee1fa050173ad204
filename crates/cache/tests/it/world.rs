//! A small world with a state that changes, an authority that numbers the changes, and values
//! that are computed from the state. What a reader got can be held against what was true.

use crate::proxy::{Fault, Proxy};
use crate::redis_server::RedisServer;
use async_trait::async_trait;
use parking_lot::Mutex;
use rhiz_cache::{
    CacheConfig, CacheError, CacheService, ChangeLog, Invalidation, RedisConfig, Target, Tiers,
};
use rhiz_domain::clock::{SeededEntropy, SystemClock, SystemEntropy};
use rhiz_domain::{Clock, Entropy};
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
}

#[derive(Default)]
struct State {
    history: [Vec<Duration>; ENTITIES],
    log: Vec<Invalidation>,
}

impl Authority {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
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
        let record = Invalidation { seq, targets: vec![Target::Tag(tag(entity))] };
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
        42
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

/// The network's and the computations' time passes.
pub(crate) async fn pass(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}

/// Breaks Redis and the ways of the first `tormented` nodes to it, at random, until told to stop.
pub(crate) async fn torment(
    mut server: RedisServer,
    nodes: Arc<Vec<Node>>,
    tormented: usize,
    dice: Dice,
    stop: Arc<AtomicBool>,
) {
    let mut replica: Option<RedisServer> = None;
    while !stop.load(Ordering::SeqCst) {
        let node = &nodes[dice.below(tormented)];
        match dice.below(10) {
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
            }
            7 => {
                let _ = command(&server, &["FLUSHALL"]).await;
            }
            8 => {
                let _ = command(&server, &["CONFIG", "SET", "maxmemory", "1"]).await;
                pass(dice.millis(50, 200)).await;
                let _ = command(&server, &["CONFIG", "SET", "maxmemory", "0"]).await;
            }
            _ => {
                // Failover to a replica that may lag behind.
                let next = match replica.take() {
                    Some(next) => next,
                    None => RedisServer::start(),
                };
                let port = server.port.to_string();
                let _ = command(&next, &["REPLICAOF", "127.0.0.1", &port]).await;
                pass(dice.millis(200, 400)).await;
                let _ = command(&next, &["REPLICAOF", "NO", "ONE"]).await;
                for node in nodes.iter() {
                    node.proxy.lead_to(next.address());
                    node.proxy.set(Fault::Cut);
                }
                replica = Some(std::mem::replace(&mut server, next));
            }
        }
        pass(dice.millis(20, 250)).await;
        for node in nodes.iter() {
            node.proxy.set(Fault::None);
        }
        pass(dice.millis(100, 700)).await;
    }
}

pub(crate) async fn command(
    server: &RedisServer,
    words: &[&str],
) -> redis::RedisResult<redis::Value> {
    let mut connection = server.direct().await;
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(word);
    }
    command.query_async(&mut connection).await
}
