//! What HTTP expects of a server beside the answers: tags, ids, compression, origins, an orderly
//! end, and saying no in time.

use crate::{
    dump,
    http::{Answer, Client},
    people::{did, knows, tell},
    server::{Data, KEY, Server, wait_until},
};
use rhiz_domain::{Clock, clock::SystemClock};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

const NEIGHBOURS: &str = "/api/v1/graph/neighbors/did:plc:ann";

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let server = Server::new();
    tell(&server, &[knows("ann", "ben", 80)]);
    let client = server.anybody();
    let relationship =
        format!("/api/v1/relationships/{}", crate::people::uri("ann", "ben").replace('/', "%2F"));
    let paths = [
        NEIGHBOURS,
        "/api/v1/analytics/network-stats",
        "/api/v1/analytics/trust-metrics/did:plc:ann",
        "/api/v1/analytics/trust-health/did:plc:ann",
        &relationship,
    ];
    let tag = |path: &str| client.get(path).header("etag").expect("a tag").to_owned();
    for path in paths {
        let etag = tag(path);
        assert!(etag.starts_with("W/\""), "{etag}");
        for known in [etag.clone(), format!("\"other\", {etag}"), etag.replace("W/", "")] {
            let again = client.get_with(path, &[("If-None-Match", &known)]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{path}: {known}");
            assert_eq!(again.header("etag"), Some(&*etag), "{path}");
        }
        let other = client.get_with(path, &[("If-None-Match", "W/\"0-0\"")]);
        assert_eq!(other.status, 200, "{path}");
    }
    let before = paths.map(tag);
    tell(&server, &[knows("ann", "cid", 80)]);
    for (path, before) in paths.iter().zip(before) {
        let changed = client.get_with(path, &[("If-None-Match", &before)]);
        assert_eq!(changed.status, 200, "{path}");
        assert_ne!(changed.header("etag"), Some(&*before), "{path}");
    }
    // Who is not there has not stayed the same.
    let nobody = "/api/v1/graph/neighbors/did:plc:nobody";
    for known in [tag(NEIGHBOURS), "*".into()] {
        for path in [nobody, "/api/v1/analytics/trust-metrics/did:plc:nobody"] {
            assert_eq!(client.get_with(path, &[("If-None-Match", &known)]).status, 404, "{path}");
        }
    }
}

#[test]
fn every_answer_has_an_id_and_is_locked_up_well() {
    let server = Server::new();
    let client = server.anybody();
    for path in ["/health", "/", "/nothing", "/api/v1/entities/x", "/internal/events/metrics"] {
        let answer = client.get_with(path, &[("X-Request-Id", "from-the-caller.1")]);
        assert_eq!(answer.header("x-request-id"), Some("from-the-caller.1"), "{path}");
        if answer.status >= 400 {
            assert_eq!(answer.json()["request_id"], "from-the-caller.1", "{path}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    }
    let (first, second) = (client.get("/health"), client.get("/health"));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    // One that would break a log line or a header is replaced.
    for bad in ["a b", "", "<script>\u{e9}", &"x".repeat(200)] {
        let answer = client.get_with("/health", &[("X-Request-Id", bad)]);
        assert_ne!(answer.header("x-request-id"), Some(bad));
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() >= 16), "{bad:?}");
    }
}

#[test]
fn answers_are_compressed_for_who_can_read_it() {
    let server = Server::new();
    let events: Vec<Value> = (0..60).map(|i| knows("ann", &format!("friend{i}"), 50)).collect();
    let client = server.keyed();
    assert_eq!(client.try_batch(&events).unwrap().status, 202);
    server.settled();
    let path = &format!("{NEIGHBOURS}?limit=100");
    let plain = client.get(path);
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.json()["count"], 60);
    let zstd = client.get_with(path, &[("Accept-Encoding", "zstd")]);
    assert_eq!(zstd.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(&*zstd.body).unwrap(), plain.body);
    let gzip = client.get_with(path, &[("Accept-Encoding", "gzip")]);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert!(gzip.body.starts_with(&[0x1f, 0x8b]) && gzip.body.len() < plain.body.len() / 4);
    assert!(gzip.header("vary").unwrap().to_lowercase().contains("accept-encoding"));
}

#[test]
fn heads_options_and_origins() {
    let server = Server::new();
    tell(&server, &[knows("ann", "ben", 80)]);
    let client = server.anybody();
    for path in ["/", "/health", "/health/ready", NEIGHBOURS, "/api/v1/entities"] {
        let head = client.send("HEAD", path, &[], b"").unwrap();
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
    }
    let preflight = |server: &Server, origin: &str| {
        let headers = [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "content-type,x-internal-key"),
        ];
        server.anybody().send("OPTIONS", "/internal/events", &headers, b"").unwrap()
    };
    let allowed = |answer: &Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    let own = preflight(&server, "http://localhost:5173");
    assert_eq!((own.status, allowed(&own)), (200, Some("http://localhost:5173".into())));
    assert!(own.header("access-control-allow-headers").unwrap().contains("x-internal-key"));
    assert_eq!(allowed(&preflight(&server, "https://example.com")), None);
    assert_eq!(allowed(&preflight(&server, "http://localhost.example.com")), None);
    let get = client.get_with("/health", &[("Origin", "http://127.0.0.1:1")]);
    assert_eq!(allowed(&get), Some("http://127.0.0.1:1".into()));

    let named = Data::new().serve_with(&[("API_CORS_ORIGINS", "https://example.com")]);
    assert_eq!(
        allowed(&preflight(&named, "https://example.com")).as_deref(),
        Some("https://example.com")
    );
    assert_eq!(allowed(&preflight(&named, "http://localhost:5173")), None);
}

#[test]
fn who_asks_too_much_is_told_when_to_come_again() {
    let server = Data::new().serve_with(&[
        ("RATE_LIMIT_ENABLED", "true"),
        ("RATE_LIMIT_REQUESTS", "5"),
        ("RATE_LIMIT_WINDOW", "3600"),
    ]);
    let client = server.anybody();
    for left in (0..5).rev() {
        let answer = client.get("/api/v1/entities");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-remaining"), Some(&*left.to_string()));
        assert_eq!(answer.header("ratelimit-limit"), Some("5"));
        assert_eq!(answer.header("ratelimit-policy"), Some("5;w=3600"));
    }
    let refused = client.get("/api/v1/entities");
    assert_eq!(refused.expect(429)["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    assert!(refused.header("ratelimit-reset").is_some());
    assert_eq!(client.get("/health/ready").status, 200, "health is outside of it");
    for _ in 0..10 {
        assert_eq!(server.keyed().get("/api/v1/entities").status, 200, "so are callers with a key");
    }
}

/// A request whose end is not sent yet.
struct Begun(TcpStream);

impl Begun {
    fn new(server: &Server, text: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        Self(stream)
    }

    /// Sends the rest; answers with all that comes back.
    fn end(mut self, text: &str) -> String {
        self.0.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
fn told_to_stop_it_says_so_finishes_what_is_in_hand_and_ends_well() {
    let mut server = Server::new();
    tell(&server, &[knows("ann", "ben", 80)]);
    assert_eq!(server.anybody().get("/health/ready").expect(200)["status"], "ready");
    let body = knows("ann", "cid", 80).to_string();
    let ready = Begun::new(&server, "GET /health/ready HTTP/1.1\r\nHost: x\r\n");
    let post = format!(
        "POST /internal/events HTTP/1.1\r\nHost: x\r\nX-Internal-Key: {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let post = Begun::new(&server, &post);
    // Both are in hand once a later request has been answered on another connection.
    assert_eq!(server.anybody().get("/health").status, 200);
    server.signal("TERM");
    wait_until("it stops", || server.log().contains("\"stopping\""));
    let ready = ready.end("\r\n");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.contains("\"status\":\"unready\""), "{ready}");
    let post = post.end(&body);
    assert!(post.starts_with("HTTP/1.1 503 ") && post.contains("\"draining\""), "{post}");
    assert!(post.contains("retry-after:"), "{post}");
    assert!(server.wait().success(), "{}", server.log());
    assert_eq!(dump::number(&server.data.path(), "SELECT count(*) FROM journal"), 0);
}

#[test]
fn health_is_told_to_everybody_and_details_to_who_has_a_key() {
    let server = Server::new();
    tell(&server, &[knows("ann", "ben", 80)]);
    let (client, keyed) = (server.anybody(), server.keyed());
    assert_eq!(client.get("/health").expect(200)["status"], "healthy");
    assert_eq!(client.get("/health/startup").expect(200)["status"], "started");
    let ready = client.get("/health/ready").expect(200);
    assert_eq!(ready["status"], "ready");
    for check in ["database", "cache", "event_pipeline", "firehose", "graph"] {
        assert_eq!(ready["checks"][check], "healthy", "{ready}");
    }
    let open = client.get("/health/detailed").expect(200);
    assert_eq!((&open["version"], &open["disk"]), (&Value::Null, &Value::Null), "{open}");
    assert!(!open.to_string().contains(server.data.path().to_str().unwrap()));
    let details = keyed.get("/health/detailed").expect(200);
    assert_eq!(details["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(details["graph"]["edges"], 1);
    assert!(details["dependencies"]["database"]["latency_p50_ms"].is_number(), "{details}");
    // A wrong key is worth as much as none.
    let wrong = Client::new(server.address, Some("wrong-wrong-wrong-wrong"));
    assert_eq!(wrong.get("/health/detailed").expect(200)["version"], Value::Null);
}

#[test]
fn when_there_is_no_room_it_says_so_and_loses_nothing() {
    let server =
        Data::new().serve_with(&[("PIPELINE_MAX_QUEUE_SIZE", "10"), ("PIPELINE_NUM_WORKERS", "1")]);
    // More than will ever fit is not worth another try.
    let batch = |from: usize, n: usize, priority: u8| -> Vec<Value> {
        (from..from + n)
            .map(|i| {
                let mut event = knows(&format!("person{i}"), "ann", 50);
                event["priority"] = priority.into();
                event
            })
            .collect()
    };
    let client = server.keyed();
    let never = client.try_batch(&batch(0, 11, 1)).unwrap();
    assert_eq!(never.expect(413)["code"], "too_much");
    assert_eq!(never.header("retry-after"), None);

    let (accepted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for connection in 0..8 {
            let (server, accepted, refused, enough) = (&server, &accepted, &refused, &enough);
            scope.spawn(move || {
                let client = server.keyed();
                for i in 0..100 {
                    let from = 1_000 * (connection + 1) + 7 * i;
                    let answer = client.try_batch(&batch(from, 7, 1)).unwrap();
                    match answer.status {
                        202 => accepted.fetch_add(7, Ordering::Relaxed),
                        _ => {
                            let problem = answer.expect(503);
                            assert_eq!(problem["code"], "backpressure");
                            assert_eq!(problem["detail"], "Event pipeline backpressure active");
                            let wait = answer.header("retry-after").unwrap();
                            assert!(wait.parse::<u64>().unwrap() >= 1);
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                    };
                    if enough.load(Ordering::Relaxed) {
                        return;
                    }
                    let (a, r) =
                        (accepted.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
                    enough.store(a >= 700 && r >= 20, Ordering::Relaxed);
                }
            });
        }
    });
    server.settled();
    let accepted = accepted.into_inner();
    assert!(refused.into_inner() > 0, "nothing was ever refused: {accepted} accepted");
    let stats = server.anybody().get("/api/v1/analytics/network-stats").expect(200);
    assert_eq!(stats["total_relationships"], accepted, "what was refused is not there");
    // With room again, it is taken again.
    let event = json!({"event_type": "trust.invalidated", "did": did("ann"), "payload": {}});
    assert_eq!(client.post("/internal/events", &event).status, 202);
}

/// A request whose end never comes holds up the stop for its time only.
#[test]
fn a_stop_cuts_off_what_takes_too_long() {
    let mut server = Server::new();
    let post = format!(
        "POST /internal/events HTTP/1.1\r\nHost: x\r\nX-Internal-Key: {KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    let begun = Begun::new(&server, &post);
    assert_eq!(server.anybody().get("/health").status, 200);
    let clock = SystemClock::default();
    server.signal("TERM");
    assert!(server.wait().success(), "{}", server.log());
    let took = clock.elapsed().as_secs_f64();
    // The rest is for a busy machine.
    assert!((4.0..9.0).contains(&took), "{took} s: {}", server.log());
    assert!(server.log().contains("are cut off"), "{}", server.log());
    let mut answer = Vec::new();
    let mut stream = begun.0;
    assert!(stream.read_to_end(&mut answer).is_err() || answer.is_empty(), "{answer:?}");
}
