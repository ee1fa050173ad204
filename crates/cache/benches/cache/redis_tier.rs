//! Gets that hit in Redis, 64 at a time: the Redis tier alone against a bare pipelined client.

use crate::Stopwatch;
use redis::AsyncCommands;
use rhiz_cache::{CacheConfig, CacheService, Consistency, RedisConfig, SetOptions, Tiers};
use rhiz_domain::clock::{SystemClock, SystemEntropy};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const KEYS: usize = 10_000;
const TASKS: usize = 64;
const GETS: usize = 4_000;

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

pub(crate) async fn run() {
    println!(
        "\n# get that hits in Redis ({TASKS} concurrent, values of 300 bytes, best of 5, in turn)"
    );
    let server = Server::start();
    let cache = server.service(Tiers::Redis).await;
    let value = "v".repeat(300);
    let bare = redis::Client::open(server.url.as_str())
        .expect("a url")
        .get_multiplexed_async_connection()
        .await
        .expect("Redis");
    for i in 0..KEYS {
        cache
            .set(&format!("entity:{i}"), value.clone(), &SetOptions::default())
            .await
            .expect("good");
        let mut connection = bare.clone();
        connection.set::<_, _, ()>(format!("bare:{i}"), &value).await.expect("Redis");
    }
    let (mut with, mut without) = (0.0_f64, 0.0_f64);
    for _ in 0..5 {
        let connection = bare.clone();
        without = without.max(
            rate(move |i| {
                let mut connection = connection.clone();
                async move {
                    let got: Option<String> =
                        connection.get(format!("bare:{i}")).await.expect("Redis");
                    assert!(got.is_some());
                }
            })
            .await,
        );
        let cache = cache.clone();
        with = with.max(
            rate(move |i| {
                let cache = cache.clone();
                async move {
                    let key = format!("entity:{i}");
                    let got = cache.get::<String>(&key, Consistency::Eventual).await.expect("good");
                    assert!(got.is_some());
                }
            })
            .await,
        );
    }
    println!(
        "bare pipelined client {without:8.0} gets/s\nservice               {with:8.0} gets/s   {:.0} %",
        with / without * 100.0
    );
}

async fn rate<F, Fut>(get: F) -> f64
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
    (TASKS * GETS) as f64 / watch.time().as_secs_f64()
}
