//! Several caches on one Redis: those of one database share, those of others leave each other
//! alone; how Redis is reached; what it is known to hold; and how long its values can be verified.

use crate::outages::forget;
use crate::proxy::Fault;
use crate::world::{Authority, Node, command, until};
use rhiz_cache::{
    CacheConfig, CacheService, CacheStatus, Call, Computed, Consistency, Invalidation, RedisConfig,
    SetOptions, Target, Tiers,
};
use rhiz_domain::clock::{SystemClock, SystemEntropy};
use rhiz_testkit::redis::{RedisServer, free_port};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

async fn get(cache: &CacheService, key: &str) -> Option<String> {
    cache.get::<String>(key, Consistency::Fenced).await.expect("a good key").map(|v| (*v).clone())
}

async fn set(cache: &CacheService, key: &str, value: &str) {
    cache.set(key, value.to_owned(), &SetOptions::default()).await.expect("a good key");
}

/// Memory so small that Redis is asked, and a reclaimer that soon comes by.
fn small(config: &mut CacheConfig) {
    config.max_keys = 16;
    config.reclaim_redis_every = Duration::from_secs(1);
    if let Tiers::Tiered(redis) = &mut config.tiers {
        redis.queue_capacity = 100;
    }
}

/// No memory before Redis.
fn bare(config: &mut CacheConfig) {
    small(config);
    if let Tiers::Tiered(redis) = config.tiers.clone() {
        config.tiers = Tiers::Redis(redis);
    }
}

fn epochs(node: &Node) -> u64 {
    node.cache.stats().redis.expect("Redis").epochs
}

/// Two nodes over one database and one over another, on one Redis.
async fn three(server: &RedisServer) -> [Node; 3] {
    let (ours, theirs) = (Authority::with_id(1), Authority::with_id(2));
    [
        Node::start(server, Some(ours.clone()), small).await,
        Node::start(server, Some(ours), small).await,
        Node::start(server, Some(theirs), small).await,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caches_of_different_data_neither_see_nor_sweep_nor_end_each_other() {
    let server = RedisServer::start();
    let [one, two, other] = three(&server).await;
    set(&one.cache, "k", "ours").await;
    assert_eq!(get(&two.cache, "k").await.as_deref(), Some("ours"), "shared");
    assert_eq!(get(&other.cache, "k").await, None);
    set(&other.cache, "k", "theirs").await;
    for (node, value) in [(&one, "ours"), (&two, "ours"), (&other, "theirs")] {
        forget(&node.cache).await;
        assert_eq!(get(&node.cache, "k").await.as_deref(), Some(value), "from Redis");
    }
    // The other one passes over Redis, and takes out all it has.
    set(&other.cache, "entity:gone", "hidden").await;
    other.cache.clear_pattern("*").await.expect("recorded");
    let other_keys = || other.cache.stats().redis.expect("Redis").scope.total.keys;
    until("their sweep", async || other_keys() == Some(0)).await;
    forget(&one.cache).await;
    assert_eq!(get(&one.cache, "k").await.as_deref(), Some("ours"), "not swept");
    // One of ours loses count of what it has written.
    set(&other.cache, "k", "theirs again").await;
    one.proxy.set(Fault::Cut);
    let up = || one.cache.stats().redis.expect("Redis").up;
    until("notice", async || !up()).await;
    for i in 0..200 {
        set(&one.cache, &format!("entity:{i}"), "new").await;
    }
    one.proxy.set(Fault::None);
    until("recovery", async || up()).await;
    until("both of ours begin anew", async || epochs(&one) == 2 && epochs(&two) == 2).await;
    assert_eq!(epochs(&other), 1);
    forget(&other.cache).await;
    assert_eq!(get(&other.cache, "k").await.as_deref(), Some("theirs again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_what_is_computed_from_other_data() {
    let server = RedisServer::start();
    let [one, two, other] = three(&server).await;
    let gate = Arc::new(Semaphore::new(0));
    let (started, start) = tokio::sync::oneshot::channel();
    let ours = tokio::spawn({
        let (cache, gate) = (one.cache.clone(), gate.clone());
        async move {
            let compute = || async move {
                started.send(()).expect("the test waits");
                let _permit = gate.acquire().await.expect("open");
                Ok::<_, Infallible>(Computed::new("ours".to_owned()))
            };
            cache.get_or_compute("k", Call::FENCED, compute).await
        }
    });
    start.await.expect("started");
    let with_us = tokio::spawn({
        let cache = two.cache.clone();
        async move {
            let compute = || async { Ok::<_, Infallible>(Computed::new("twice".to_owned())) };
            cache.get_or_compute("k", Call::FENCED, compute).await
        }
    });
    // The gate is closed: to wait for it would take the 5 s after which everybody gives up.
    let compute = || async { Ok::<_, Infallible>(Computed::new("theirs".to_owned())) };
    let theirs = other.cache.get_or_compute("k", Call::FENCED, compute);
    let theirs = tokio::time::timeout(Duration::from_secs(4), theirs).await.expect("at once");
    assert_eq!(*theirs.expect("computed"), "theirs");
    assert!(!with_us.is_finished(), "a node over the same data waits");
    gate.add_permits(1);
    assert_eq!(*ours.await.expect("task").expect("computed"), "ours");
    assert_eq!(*with_us.await.expect("task").expect("found"), "ours");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cache_that_is_gone_has_left_is_taken_out_and_no_more() {
    let server = RedisServer::start();
    let day: u64 = 24 * 3_600_000;
    // Of one, nobody has looked after its epoch for two hours; of the other, somebody just has.
    for (owner, left) in [("00000000000000fe", 8 * day - day / 12), ("00000000000000ff", 8 * day)] {
        let (meta, value) = (format!("rhiz:{owner}:meta"), format!("rhiz:{owner}:v:k"));
        command(&server, &["SET", &meta, "x", "PX", &left.to_string()]).await.expect("Redis");
        command(&server, &["SET", &value, "x"]).await.expect("Redis");
    }
    command(&server, &["SET", "another:product", "x"]).await.expect("Redis");
    let node = Node::start(&server, None, small).await;
    let there = async |key: &str| {
        command(&server, &["EXISTS", key]).await.expect("Redis") == redis::Value::Int(1)
    };
    until("a pass", async || node.cache.stats().redis.expect("Redis").counted_ago.is_some()).await;
    assert!(!there("rhiz:00000000000000fe:v:k").await, "left behind");
    assert!(there("rhiz:00000000000000ff:v:k").await && there("another:product").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_bytes_and_latency_of_redis_are_told_by_namespace_or_not_at_all() {
    let server = RedisServer::start();
    let authority = Authority::new();
    // Memory alone does not know what Redis holds, and says so.
    let node = Node::start(&server, Some(authority), |config| {
        small(config);
        config.reclaim_redis_every = Duration::from_secs(1);
    })
    .await;
    let of = |name: &str| {
        let scope = node.cache.stats().redis.expect("Redis").scope;
        scope.namespaces.into_iter().find(|(n, _)| n == name).expect("known").1
    };
    assert_eq!((of("entity").keys, of("entity").bytes), (None, None), "not counted yet is not 0");
    for i in 0..5 {
        set(&node.cache, &format!("trust:score:{i}"), "v").await;
    }
    // Longer than what the reclaimer reads of a value.
    set(&node.cache, "entity:long", &"v".repeat(10_000)).await;
    until("a count", async || of("trust:score").keys == Some(5)).await;
    assert_eq!((of("entity").keys, of("conviction").keys), (Some(1), Some(0)));
    assert!(of("entity").bytes > Some(10_000) && of("entity").bytes < Some(11_000));
    assert!(of("trust:score").bytes > Some(250) && of("trust:score").bytes < Some(2_000));
    let total = node.cache.stats().redis.expect("Redis").scope.total;
    assert_eq!(total.keys, Some(6));
    assert_eq!(of("entity").latency_p50, None, "nothing was asked yet");
    forget(&node.cache).await;
    assert!(get(&node.cache, "entity:long").await.is_some());
    assert!(of("entity").latency_p50.is_some() && of("entity").latency_p99.is_some());
    assert_eq!(of("trust:score").latency_p50, None);
}

/// Changes `count` things that nobody here has read, so that the index forgets.
async fn change_others(authority: &Authority, node: &Node, from: usize, count: usize) {
    use rhiz_cache::ChangeLog;
    for i in from..from + count {
        let targets = [Target::Tag(format!("other:{i}"))];
        authority.append(&targets).await.expect("recorded");
    }
    // A fenced lookup has read the log to its head.
    assert_eq!(get(&node.cache, "not:there").await, None);
}

async fn set_tagged(node: &Node, key: &str, tag: &str) {
    let options = SetOptions { tags: vec![tag.to_owned()], ..SetOptions::default() };
    node.cache.set(key, "v".to_owned(), &options).await.expect("a good key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_from_redis_outlives_the_memory_of_the_index() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let tune = |config: &mut CacheConfig| {
        bare(config);
        config.index_capacity = 100;
        config.reclaim_redis_every = Duration::from_hours(1);
    };
    let node = Node::start(&server, Some(authority.clone()), tune).await;
    let second = Node::start(&server, Some(authority.clone()), tune).await;
    set_tagged(&node, "read", "a").await;
    set_tagged(&node, "unread", "a").await;
    for round in 0..20 {
        change_others(&authority, &node, round * 80, 80).await;
        assert!(get(&node.cache, "read").await.is_some(), "round {round}: 80 of 100 forgotten");
    }
    let restamped = node.cache.stats().redis.expect("Redis").restamped;
    assert!((1..=20).contains(&restamped), "{restamped} times, not at every read");
    assert!(get(&second.cache, "read").await.is_some(), "verified by who has lost more");
    // Forgotten, and nobody came by in time: hidden, not believed.
    assert_eq!(get(&second.cache, "unread").await, None);
    // A stamp that was renewed hides nothing that comes after it.
    let record = Invalidation { seq: 0, targets: vec![Target::Tag("a".into())] };
    rhiz_cache::ChangeLog::append(&*authority, &record.targets).await.expect("recorded");
    assert_eq!(get(&node.cache, "read").await, None);
    assert_eq!(get(&second.cache, "read").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stamp_that_is_renewed_late_does_not_fall_on_another_value() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let tune = |config: &mut CacheConfig| {
        bare(config);
        config.index_capacity = 100;
        config.reclaim_redis_every = Duration::from_hours(1);
        if let Tiers::Redis(redis) = &mut config.tiers {
            redis.command_timeout = Duration::from_secs(10);
        }
    };
    let node = Node::start(&server, Some(authority.clone()), tune).await;
    let other = Node::start(&server, Some(authority.clone()), tune).await;
    set_tagged(&node, "k", "a").await;
    // The other begins to compute; then what it reads changes.
    let stamp = Some(other.cache.note());
    rhiz_cache::ChangeLog::append(&*authority, &[Target::Tag("b".into())]).await.expect("recorded");
    change_others(&authority, &node, 0, 110).await;
    assert_eq!(get(&other.cache, "not:there").await, None, "it knows of it");
    node.proxy.set(Fault::HoldRenewals);
    let read = tokio::spawn({
        let cache = node.cache.clone();
        async move { get(&cache, "k").await }
    });
    let held = || node.proxy.felt.swallowed.load(std::sync::atomic::Ordering::SeqCst);
    until("the renewal is on its way", async || held() > 0).await;
    let options = SetOptions { tags: vec!["b".to_owned()], stamp, ..SetOptions::default() };
    other.cache.set("k", "old".to_owned(), &options).await.expect("a good key");
    node.proxy.set(Fault::None);
    assert_eq!(read.await.expect("task").as_deref(), Some("v"));
    assert_eq!(node.cache.stats().redis.expect("Redis").restamped, 0);
    for cache in [&node.cache, &other.cache] {
        assert_eq!(get(cache, "k").await, None, "computed before the change");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_read_is_verified_by_the_reclaimer() {
    let server = RedisServer::start();
    let authority = Authority::new();
    let node = Node::start(&server, Some(authority.clone()), |config| {
        bare(config);
        config.index_capacity = 100;
        // Only the turns of the index bring a pass.
        config.reclaim_redis_every = Duration::from_hours(1);
    })
    .await;
    for i in 0..50 {
        set_tagged(&node, &format!("entity:{i}"), &format!("did:{i}")).await;
    }
    let restamped = || node.cache.stats().redis.expect("Redis").restamped;
    for turn in 0..3 {
        change_others(&authority, &node, turn * 110, 110).await;
        until("the pass after the turn", async || restamped() == (turn as u64 + 1) * 50).await;
    }
    for i in 0..50 {
        assert!(get(&node.cache, &format!("entity:{i}")).await.is_some(), "entity:{i}");
    }
}

async fn at(url: &str) -> CacheService {
    let mut redis = RedisConfig::at(url);
    // Other tests make this machine slow, and TLS reads many certificates.
    redis.connect_timeout = Duration::from_secs(5);
    let config = CacheConfig { tiers: Tiers::Redis(redis), ..CacheConfig::default() };
    let clock = Arc::new(SystemClock::default());
    CacheService::start(config, None, clock, Arc::new(SystemEntropy)).expect("settings")
}

async fn works(url: &str) {
    let cache = at(url).await;
    assert!(cache.wait_for_redis(Duration::from_secs(10)).await, "{url}");
    set(&cache, "k", "v").await;
    assert_eq!(get(&cache, "k").await.as_deref(), Some("v"), "{url}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_password_number_of_the_database_and_socket_may_be_given() {
    let server = RedisServer::start();
    let host = server.address();
    works(&format!("redis://{host}/3")).await;
    command(&server, &["SELECT", "3"]).await.expect("Redis");
    let space = info_keyspace(&server).await;
    assert!(space.contains("db3:") && !space.contains("db0:"), "{space}");
    let socket = server.folder.path().join("redis.sock");
    works(&format!("unix://{}?db=2", socket.display())).await;
    let rules = ["ACL", "SETUSER", "rhiz", "on", ">s3cr/et", "~rhiz:*", "+@all"];
    command(&server, &rules).await.expect("Redis");
    works(&format!("redis://rhiz:s3cr%2Fet@{host}/1")).await;
    command(&server, &["CONFIG", "SET", "requirepass", "pass"]).await.expect("Redis");
    works(&format!("redis://:pass@{host}")).await;
    // A wrong one is told, but not which it was.
    let cache = at(&format!("redis://rhiz:wr0ng@{host}")).await;
    until("it says why", async || {
        cache.health_check().await.reason.is_some_and(|why| !why.contains("not connected yet"))
    })
    .await;
    let health = cache.health_check().await;
    assert_eq!((health.status, health.code), (CacheStatus::Degraded, Some("redis_out")));
    let reason = health.reason.expect("a reason");
    assert!(reason.contains("authentication failed") && !reason.contains("wr0ng"), "{reason}");
    for url in ["redis://rhiz:s3cr3t@/", "redis://:s3cr3t@host/x", "http://:s3cr3t@host"] {
        let tiers = Tiers::Redis(RedisConfig::at(url));
        let config = CacheConfig { tiers, ..CacheConfig::default() };
        let clock = Arc::new(SystemClock::default());
        let refused = CacheService::start(config, None, clock, Arc::new(SystemEntropy));
        let refused = refused.expect_err(url).to_string();
        assert!(!refused.contains("s3cr3t") && refused.contains("rediss"), "{refused}");
    }
}

async fn info_keyspace(server: &RedisServer) -> String {
    crate::world::info(server, "keyspace").await
}

/// Where the server is that [`a_client_of_tls`] goes to; the certificate it shall trust is in
/// `SSL_CERT_FILE`, which is read once for each process.
const TLS_URL: &str = "RHIZ_TEST_TLS_REDIS";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_and_certificates_are_looked_at() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let port = free_port();
    let more = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no", "--tls-cert-file"];
    let mut more: Vec<String> = more.map(str::to_owned).to_vec();
    let path = |path: &std::path::Path| path.display().to_string();
    more.extend([path(&cert), "--tls-key-file".to_owned(), path(&key)]);
    more.extend(["--tls-ca-cert-file".to_owned(), path(&cert)]);
    let server = RedisServer::start_in(folder, more);
    let client = |trusted: &std::path::Path| {
        tokio::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "sharing::a_client_of_tls", "--ignored", "--nocapture"])
            .env(TLS_URL, format!("rediss://localhost:{port}/4"))
            .env("SSL_CERT_FILE", trusted)
            .output()
    };
    let said = client(&cert).await.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(said.status.success() && text(&said.stdout).contains("1 passed"), "{said:?}");
    // One that nobody trusts.
    let other =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let stranger = server.folder.path().join("stranger.pem");
    std::fs::write(&stranger, other.cert.pem()).expect("written");
    let said = client(&stranger).await.expect("it runs");
    let log = text(&said.stdout) + &text(&said.stderr);
    assert!(!said.status.success() && log.contains("certificate"), "{log}");
}

/// The child of [`tls_is_spoken_and_certificates_are_looked_at`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by another test, in a process of its own"]
async fn a_client_of_tls() {
    #[expect(clippy::disallowed_methods, reason = "a word from the parent process")]
    let url = std::env::var(TLS_URL).expect("the parent says where");
    let cache = at(&url).await;
    if !cache.wait_for_redis(Duration::from_secs(3)).await {
        panic!("{:?}", cache.health_check().await.reason);
    }
    works(&url).await;
}
