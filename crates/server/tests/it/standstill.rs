//! Pausing and resuming over HTTP, and the live stream of what happens.

use crate::{
    http::Client,
    server::{Data, KEY, Server, wait_until},
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

const VIEWER: &str = "a-viewers-key-of-the-tests-01234567";

fn event(id: &str, event_type: &str, did: &str) -> Value {
    let payload = match event_type {
        "identity.updated" => json!({"did": did, "time": "2026-01-01T00:00:00Z"}),
        _ => json!({}),
    };
    json!({"event_id": id, "event_type": event_type, "did": did, "payload": payload})
}

fn state(client: &Client, id: &str) -> Value {
    client.get(&format!("/internal/events/{id}")).expect(200)
}

#[test]
fn what_is_paused_is_refused_and_goes_on_when_it_is_resumed() {
    let server = Server::new();
    let client = server.keyed();
    assert_eq!(client.get("/internal/pipeline").expect(200)["work"]["state"], "running");
    let order = json!({"types": ["trust.invalidated"], "parts": ["intake"]});
    let told = client.post("/internal/pipeline/pause", &order).expect(200);
    assert_eq!(told["intake"], json!({"state": "partly paused", "paused": ["trust.invalidated"]}));
    assert_eq!(told["work"]["state"], "running");
    let refused = client.post("/internal/events", &event("t", "trust.invalidated", "did:plc:a"));
    assert_eq!(refused.expect(503)["code"], "paused");
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("intake of trust.invalidated"), "{}", refused.text());
    let lines =
        [event("b", "identity.updated", "did:plc:b"), event("c", "trust.invalidated", "did:plc:c")];
    let refused = client.try_batch(&lines).unwrap().expect(503);
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.starts_with("line 2: the intake of trust.invalidated"), "{detail}");
    client.get("/internal/events/b").expect(404);
    client
        .post("/internal/events", &event("a", "identity.updated", "did:web:localhost"))
        .expect(202);

    // Degraded, and that is told; nobody is taken out of a balancer for it.
    wait_until("health has seen it", || {
        let ready = client.get("/health/ready");
        ready.status == 200 && ready.json()["checks"]["event_pipeline"] == "degraded"
    });
    client.post("/internal/pipeline/resume", &json!({})).expect(200);
    client.post("/internal/events", &event("t", "trust.invalidated", "did:plc:a")).expect(202);
    wait_until("it is done", || state(&client, "t")["state"] == "done");
    server.settled();
    let metrics = client.get("/internal/events/metrics").expect(200);
    assert_eq!(
        (&metrics["dead_letters"], &metrics["source_lag_seconds"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(metrics["wait"]["trust.invalidated"]["count"], 1);
    assert_eq!(metrics["stages_by_type"]["trust.invalidated"]["metrics"]["count"], 1);
    let audit = client.get("/internal/audit").expect(200);
    let acts: Vec<_> = audit["audit"].as_array().unwrap().iter().map(|a| &a["action"]).collect();
    assert_eq!(acts, ["resume", "pause"]);
}

#[test]
fn paused_work_waits_across_a_kill() {
    let data = Data::new();
    let server = data.serve();
    let client = server.keyed();
    // No body at all is everything.
    let told = client.send("POST", "/internal/pipeline/pause", &[], b"").unwrap().expect(200);
    assert_eq!(
        (&told["intake"]["state"], &told["work"]["state"]),
        (&json!("paused"), &json!("paused"))
    );
    client.post("/internal/pipeline/resume", &json!({"parts": ["intake"]})).expect(200);
    client.post("/internal/events", &event("t", "trust.invalidated", "did:plc:a")).expect(202);
    let waits = state(&client, "t");
    assert_eq!(
        (&waits["state"], &waits["waits_for"]),
        (&json!("waiting"), &json!("the work of its type to be resumed"))
    );
    server.kill();
    let server = data.serve();
    let client = server.keyed();
    assert_eq!(client.get("/internal/pipeline").expect(200)["work"]["state"], "paused");
    let metrics = client.get("/internal/events/metrics").expect(200);
    assert_eq!((&metrics["paused"], &metrics["events_in_queue"]), (&json!(1), &json!(1)));
    client.post("/internal/pipeline/resume", &json!({})).expect(200);
    server.settled();
    assert_eq!(state(&client, "t")["state"], "done");
}

#[test]
fn a_bad_order_says_what_is_wrong() {
    let data = Data::new();
    let server = data.serve_with(&[("VIEWER_API_KEY", VIEWER)]);
    let client = server.keyed();
    for (order, field, words) in [
        (json!({"types": ["trust"]}), "types", "allowed: relationship.created"),
        (json!({"types": []}), "types", "empty"),
        (json!({"parts": ["all"]}), "parts", "allowed: intake, work"),
        (json!({"parts": []}), "parts", "empty"),
        (json!({"type": ["trust.invalidated"]}), "type", "unknown field"),
    ] {
        let problem = client.post("/internal/pipeline/pause", &order).expect(422);
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field, "{problem}");
        assert!(error["message"].as_str().unwrap().contains(words), "{problem}");
    }
    assert_eq!(client.get("/internal/pipeline").expect(200)["work"]["state"], "running");
    let viewer = Client::new(server.address, Some(VIEWER));
    viewer.get("/internal/pipeline").expect(200);
    viewer.post("/internal/pipeline/pause", &json!({})).expect(403);
    server.anybody().post("/internal/pipeline/pause", &json!({})).expect(401);
    for (query, field) in [("type=x", "type"), ("did=x", "did"), ("step=x", "step")] {
        let problem = client.get(&format!("/internal/events/stream?{query}")).expect(422);
        assert_eq!(problem["errors"][0]["field"], field);
    }
    server.anybody().get("/internal/events/stream").expect(401);
}

/// A listener's connection.
struct Listener(BufReader<TcpStream>);

impl Listener {
    /// Listens; the server has answered when this returns.
    fn new(server: &Server, query: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let request = format!(
            "GET /internal/events/stream{query} HTTP/1.1\r\nHost: x\r\nX-Internal-Key: {KEY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut listener = Self(BufReader::new(stream));
        let head = listener.until("\r\n");
        assert!(head[0].contains("200"), "{head:?}");
        assert!(head.iter().any(|line| line.contains("text/event-stream")), "{head:?}");
        listener
    }

    /// Lines up to this one.
    fn until(&mut self, end: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it ended: {lines:?}");
            if line == end {
                return lines;
            }
            lines.push(line.trim_end().to_owned());
        }
    }

    /// The next message: its name, and its data.
    fn next(&mut self) -> (String, Value) {
        let (mut name, mut data) = (None, None);
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "it ended");
            if let Some(text) = line.strip_prefix("event: ") {
                name = Some(text.trim().to_owned());
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(text).unwrap());
            }
            if let (Some(name), Some(data)) = (&name, &data) {
                return (name.clone(), Value::clone(data));
            }
        }
    }
}

#[test]
fn every_step_is_heard_as_it_happens_until_the_server_stops() {
    let server = Server::new();
    let client = server.keyed();
    let mut all = Listener::new(&server, "");
    let mut one = Listener::new(&server, "?did=did:plc:b&step=applied&type=trust.invalidated");
    client.post("/internal/events", &event("a", "trust.invalidated", "did:plc:a")).expect(202);
    client.post("/internal/events", &event("b", "trust.invalidated", "did:plc:b")).expect(202);
    let (name, heard) = one.next();
    assert_eq!((name.as_str(), &heard["event_id"]), ("applied", &json!("b")));
    let mut heard = [(); 4].map(|()| all.next()).map(|(name, data)| {
        if name == "applied" {
            let stages: Vec<_> =
                data["stages"].as_array().unwrap().iter().map(|s| s["stage"].clone()).collect();
            assert_eq!(
                stages,
                ["validation", "database_write", "graph_update", "cache_invalidation", "metrics"]
            );
            assert!(data["stages"][1]["ms"].as_f64().unwrap() > 0.0);
        }
        format!("{} {name}", data["event_id"].as_str().unwrap())
    });
    heard.sort();
    assert_eq!(heard, ["a accepted", "a applied", "b accepted", "b applied"]);

    // Listeners do not hold up a stop, and are told.
    server.signal("TERM");
    assert_eq!(all.next().0, "end");
    assert_eq!(one.next().0, "end");
    let mut server = server;
    assert!(server.wait().success());
}
