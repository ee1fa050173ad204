//! `rhiz doctor`: on a file that a disk damaged, without what a node needs, and beside one that runs.

use crate::server::{Data, pause, rhiz, wait_until};
use rhiz_testkit::relay::Relay;
use rusqlite::Connection;
use serde_json::json;
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::FileExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Where a page of the table or index begins, and how long it is.
fn page(data: &Data, name: &str) -> (u64, usize) {
    let conn = Connection::open(data.path().join("rhiz.db")).unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = $1";
    let root: u64 = conn.query_row(root, [name], |row| row.get(0)).unwrap();
    let size: u64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).unwrap();
    ((root - 1) * size, size as usize)
}

/// What the doctor says, and its exit code.
fn doctor(data: &Data) -> (String, Option<i32>) {
    doctor_with(data, &[])
}

fn doctor_with(data: &Data, environment: &[(&str, &str)]) -> (String, Option<i32>) {
    let output = data.command(&["doctor"], environment).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

#[test]
fn a_damaged_page_is_found_and_left_as_it_is() {
    // The first is read by nobody at a start; without the second nothing can be opened.
    for (name, what) in [("dead_letters_event", "pages"), ("journal", "database")] {
        let data = Data::new();
        assert!(data.serve().stop().success());
        let (said, code) = doctor(&data);
        assert!(code == Some(0) && said.contains("ok     pages"), "{said}");

        let (at, len) = page(&data, name);
        let path = data.path().join("rhiz.db");
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&vec![0xA5; len], at).unwrap();
        drop(file);
        let before = fs::read(&path).unwrap();
        let (said, code) = doctor(&data);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("WRONG  {what}")), "{said}");
        assert!(said.contains("restore a backup"), "{said}");
        assert!(fs::read(&path).unwrap() == before, "{name}: the file was changed");
    }
}

/// A Redis of this test's own, on loopback.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start(data: &Data) -> Self {
        // Bound and let go: nobody else takes it so soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(data.beside(""))
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (apt-get install redis-server)");
        wait_until("Redis answers", || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
            let mut answer = [0; 5];
            stream.write_all(b"PING\r\n").unwrap();
            stream.read_exact(&mut answer).is_ok() && &answer == b"+PONG"
        });
        Self { child, port }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn redis_and_the_firehose_are_asked() {
    let data = Data::new();
    let gone = [
        ("CACHE_BACKEND", "redis"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("ENABLE_FIREHOSE_INGEST", "true"),
        ("ATPROTO_FIREHOSE_URL", "ws://127.0.0.1:1/subscribe"),
        ("FIREHOSE_VERIFY", "false"),
    ];
    let check = |environment: &[(&str, &str)], wrong: bool| {
        let (said, code) = doctor_with(&data, environment);
        assert_eq!(code, Some(i32::from(wrong)), "{said}");
        for what in ["firehose", "cache"] {
            let line = said
                .lines()
                .find(|l| l[7..].starts_with(what))
                .unwrap_or_else(|| panic!("nothing is said of the {what}: {said}"));
            assert_eq!(line.starts_with("WRONG"), wrong, "{said}");
            assert!(line.contains("127.0.0.1"), "{said}");
        }
        said
    };
    // Before there is a database, and with one.
    check(&gone, true);
    assert!(data.serve().stop().success());
    let said = check(&gone, true);
    assert!(said.contains("REDIS_URL") && said.contains("ATPROTO_FIREHOSE_URL"), "{said}");

    let redis = Redis::start(&data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let relay = runtime.block_on(Relay::start([])).unwrap();
    let (redis, relay) = (format!("redis://127.0.0.1:{}", redis.port), relay.url());
    let mut there = gone;
    there[1].1 = &redis;
    there[3].1 = &relay;
    check(&there, false);
    // Asked, and left as it was.
    assert!(doctor(&data).0.contains("no Redis is configured"));
}

#[test]
fn a_server_that_runs_is_asked_how_it_is() {
    let data = Data::new();
    let server = data.serve();
    let (said, code) = doctor(&data);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("http://{}", server.address)), "{said}");
    for what in ["database", "cache", "event_pipeline", "firehose", "graph"] {
        assert!(said.contains(&format!("ok     {what}")), "{said}");
    }
    // The key beside the data, when none is configured.
    let client = server.keyed();
    client.post("/internal/pipeline/pause", &json!({"parts": ["work"]})).expect(200);
    wait_until("the health has seen it", || {
        let (said, code) = doctor(&data);
        pause(Duration::from_millis(100));
        said.contains("WRONG  event_pipeline") && said.contains("paused") && code == Some(1)
    });
    let mut other = rhiz(&["doctor"], &[("INTERNAL_API_KEY", "another-key-0123456789")]);
    let output = other.arg("--data-dir").arg(data.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("WRONG  server") && said.contains("does not take this key"), "{said}");
    assert!(said.contains("WRONG  event_pipeline"), "words are told to anybody: {said}");
    // Nobody is there any more: what its lock's file says is not believed.
    server.kill();
    let (said, _) = doctor(&data);
    assert!(said.contains("ok     pages") && !said.contains("server"), "{said}");
}
