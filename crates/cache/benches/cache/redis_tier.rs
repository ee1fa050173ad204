//! Gets that hit in Redis, 64 at a time: the Redis tier alone against a bare pipelined client.

use crate::Stopwatch;
use crate::rounds::{Round, in_turn};
use redis::AsyncCommands;
use rhiz_cache::{CacheConfig, CacheService, Consistency, RedisConfig, SetOptions, Tiers};
use rhiz_domain::clock::{SystemClock, SystemEntropy};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const KEYS: usize = 10_000;
const TASKS: usize = 64;
/// Gets of each task in one round: some 100 ms in all.
const GETS: usize = 200;
const ROUNDS: usize = 41;

/// A Redis of this benchmark's own.
pub(crate) struct Server {
    child: Child,
    _folder: tempfile::TempDir,
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .expect("a port")
            .port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self { child, _folder: folder, url: format!("redis://127.0.0.1:{port}/") }
    }

    pub(crate) async fn service(&self, tiers: impl Fn(RedisConfig) -> Tiers) -> CacheService {
        let config =
            CacheConfig { tiers: tiers(RedisConfig::at(&self.url)), ..CacheConfig::default() };
        let cache = CacheService::start(
            config,
            None,
            Arc::new(SystemClock::default()),
            Arc::new(SystemEntropy),
        )
        .expect("settings");
        assert!(cache.wait_for_redis(Duration::from_secs(10)).await, "Redis is there");
        cache
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(runtime: &tokio::runtime::Runtime) {
    println!(
        "\n# get that hits in Redis ({TASKS} concurrent, values of 300 bytes, medians of {ROUNDS} rounds in turn)"
    );
    let server = Server::start();
    let value = "v".repeat(300);
    let (cache, bare) = runtime.block_on(async {
        let cache = server.service(Tiers::Redis).await;
        let bare = redis::Client::open(server.url.as_str())
            .expect("a url")
            .get_multiplexed_async_connection()
            .await
            .expect("Redis");
        for i in 0..KEYS {
            let key = format!("entity:{i}");
            cache.set(&key, value.clone(), &SetOptions::default()).await.expect("good");
            let mut connection = bare.clone();
            connection.set::<_, _, ()>(format!("bare:{i}"), &value).await.expect("Redis");
        }
        (cache, bare)
    });
    let library = || {
        let connection = bare.clone();
        runtime.block_on(micros(move |i| {
            let mut connection = connection.clone();
            async move {
                let got: Option<String> = connection.get(format!("bare:{i}")).await.expect("Redis");
                assert!(got.is_some());
            }
        }))
    };
    let service = || {
        let cache = cache.clone();
        runtime.block_on(micros(move |i| {
            let cache = cache.clone();
            async move {
                let key = format!("entity:{i}");
                let got = cache.get::<String>(&key, Consistency::Eventual).await.expect("good");
                assert!(got.is_some());
            }
        }))
    };
    let runs: [Round<'_>; 2] = [("bare pipelined client", &library), ("service", &service)];
    let times = in_turn(ROUNDS, 1, &runs);
    for (n, (name, _)) in runs.iter().enumerate() {
        let rate = 1_000_000.0 / times.median(n);
        println!("{name:22} {rate:8.0} gets/s   {:.0} %", 100.0 * times.ratio(0, n));
    }
    runtime.block_on(cache.close());
}

/// Microseconds for each get.
async fn micros<F, Fut>(get: F) -> f64
where
    F: Fn(usize) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let watch = Stopwatch::start();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let get = get.clone();
            tokio::spawn(async move {
                for n in 0..GETS {
                    get((task * 7919 + n * 31) % KEYS).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    watch.each(TASKS * GETS) / 1000.0
}
