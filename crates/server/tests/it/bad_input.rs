//! Bad input over HTTP: a clear error each, nothing stored, and a server that goes on.

use crate::{
    dump,
    http::{Answer, Client},
    server::{KEY, Server},
};
use rhiz_domain::{Clock, Tid, clock::SystemClock};
use serde_json::{Value, json};
use std::cell::RefCell;

const A: &str = "did:plc:ada";
const B: &str = "did:plc:bob";
const C: &str = "did:plc:cleo";
/// Known, and connected to none of them.
const D: &str = "did:plc:dan";
const E: &str = "did:plc:eve";

const EVENTS: &str = "/internal/events";
const BATCH: &str = "/internal/events/batch";
const FIND: &str = "/api/v1/graph/find-path";

/// The `n`-th record of an owner.
fn uri(owner: &str, n: u64) -> String {
    format!("at://{owner}/net.rhiz.relationship.record/{}", Tid::from_u64(n + (1 << 60)).unwrap())
}

/// A relationship in flat form.
fn event(from: &str, to: &str, strength: i64) -> Value {
    json!({
        "event_type": "relationship.created",
        "did": from,
        "payload": {
            "uri": uri(from, 1),
            "participants": [from, to],
            "type": "professional",
            "strength": strength,
            "context": "",
            "created_at": "2026-01-01T00:00:00Z",
        },
    })
}

/// The event with one thing changed; `null` takes it away.
fn but(pointer: &str, to: Value) -> Value {
    let mut event = event(A, B, 80);
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if to.is_null() {
        parent.remove(field);
    } else {
        parent.insert(field.into(), to);
    }
    event
}

/// A revision that many days from now.
fn rev_in_days(days: i64) -> String {
    let now = SystemClock::default().now();
    Tid::at(now + jiff::SignedDuration::from_hours(24 * days), 0).to_string()
}

thread_local! {
    /// What was not as it should be: a table is gone through to its end.
    static WRONG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Every error has the same shape; this one has this status and code, and names the problem.
fn check(name: &str, answer: &Answer, status: u16, code: &str, words: &[&str]) {
    if let Some(wrong) = wrong(answer, status, code, words) {
        WRONG.with_borrow_mut(|all| all.push(format!("{name}: {wrong}: {}", answer.text())));
    }
}

fn wrong(answer: &Answer, status: u16, code: &str, words: &[&str]) -> Option<String> {
    if answer.status != status {
        return Some(format!("{} instead of {status}", answer.status));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Some("it is no problem+json".into());
    }
    let text = answer.text();
    let problem = answer.json();
    for (field, expected) in [
        ("code", json!(code)),
        ("status", json!(status)),
        ("type", json!(format!("urn:rhiz:problem:{code}"))),
        ("request_id", json!(answer.header("x-request-id"))),
    ] {
        if problem[field] != expected {
            return Some(format!("{field} is not {expected}"));
        }
    }
    if !problem["title"].is_string() {
        return Some("it has no title".into());
    }
    let Some(detail) = problem["detail"].as_str() else { return Some("it has no detail".into()) };
    if let Some(word) = words.iter().find(|w| !detail.contains(**w)) {
        return Some(format!("{word:?} is not in {detail:?}"));
    }
    let named = |error: &Value| error["field"].is_string() && error["message"].is_string();
    let errors = problem["errors"].as_array();
    if code == "invalid" && !errors.is_some_and(|e| !e.is_empty() && e.iter().all(named)) {
        return Some("its errors name no fields".into());
    }
    let leak =
        ["panicked", "src/", "rusqlite", "SELECT", "stack"].into_iter().find(|l| text.contains(l));
    leak.map(|leak| format!("it leaks {leak:?}"))
}

/// A server with A – B – C and D – E.
fn server() -> Server {
    let server = Server::new();
    let client = server.keyed();
    for (from, to, strength) in [(A, B, 80), (B, C, 60), (D, E, 90)] {
        client.post(EVENTS, &event(from, to, strength)).expect(202);
    }
    server.settled();
    server
}

/// Nothing was stored meanwhile, nothing died, and the server is well.
fn unharmed(server: &Server, before: &[(&'static str, usize, String)]) {
    let wrong = WRONG.take();
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    server.settled();
    assert_eq!(dump::index(&server.data.path()), before);
    let client = server.keyed();
    assert_eq!(client.get("/internal/events/dead-letter").expect(200)["count"], 0);
    assert_eq!(client.get("/health/ready").expect(200)["status"], "ready");
    assert_eq!(client.get("/api/v1/analytics/network-stats").expect(200)["total_relationships"], 3);
    let log = server.log();
    assert!(!log.contains("panicked") && !log.contains("\"ERROR\""), "{log}");
}

#[test]
fn events_that_break_a_rule_are_refused_by_name() {
    let server = server();
    let before = dump::index(&server.data.path());
    let client = server.keyed();
    let next_year = rev_in_days(365);
    let deep = serde_json::from_str::<Value>(&format!("{}{}", "[".repeat(100), "]".repeat(100)));
    const ALLOWED: &str = "relationship.created, relationship.updated, relationship.deleted, \
                           attestation.created";
    let full = json!({"record": {"participants": [A, B]}, "uri": uri(A, 1)});
    let cases: Vec<(&str, Value, &[&str])> = vec![
        (
            "unknown type",
            but("/event_type", "relationship.made".into()),
            &["event_type", "relationship.made", ALLOWED],
        ),
        ("no type", but("/event_type", Value::Null), &["event_type", "required"]),
        ("a number as type", but("/event_type", 5.into()), &["event_type", "string"]),
        (
            "priority 9",
            but("/priority", 9.into()),
            &["priority", "9", "0 (low), 1 (normal), 2 (high), 3 (critical)"],
        ),
        ("priority −1", but("/priority", (-1).into()), &["priority", "-1"]),
        ("priority 1.5", but("/priority", 1.5.into()), &["priority", "1.5"]),
        ("priority in words", but("/priority", "high".into()), &["priority", "high"]),
        ("no DID", but("/did", Value::Null), &["did", "required"]),
        ("a DID with a space", but("/did", "did:plc:a b".into()), &["did", "did:plc:a b"]),
        ("a DID that is none", but("/did", "x".into()), &["did:", "\"x\""]),
        ("a DID with NUL", but("/did", "did:plc:a\0b".into()), &["did"]),
        ("a handle for a DID", but("/did", "ada.example.com".into()), &["did"]),
        ("no payload", but("/payload", Value::Null), &["payload", "required"]),
        ("a list for a payload", but("/payload", json!([])), &["payload", "object"]),
        ("a text for a payload", but("/payload", "text".into()), &["payload", "object"]),
        ("an empty payload", but("/payload", json!({})), &["uri", "required"]),
        ("a deep payload", but("/payload", json!({"uri": deep.unwrap()})), &["uri"]),
        ("strength 101", but("/payload/strength", 101.into()), &["payload.strength", "0 to 100"]),
        ("strength −1", but("/payload/strength", (-1).into()), &["payload.strength", "0 to 100"]),
        ("strength 0.8", but("/payload/strength", 0.8.into()), &["payload.strength", "0 to 100"]),
        ("strength 1e400", but("/payload/strength", "1e400".into()), &["payload.strength"]),
        ("no strength", but("/payload/strength", Value::Null), &["payload.strength", "required"]),
        (
            "without the owner",
            but("/payload/participants", json!([B, C])),
            &["payload.participants", A],
        ),
        (
            "one participant",
            but("/payload/participants", json!([A])),
            &["payload.participants", "two"],
        ),
        (
            "three participants",
            but("/payload/participants", json!([A, B, C])),
            &["payload.participants", "2"],
        ),
        ("twice the same", but("/payload/participants", json!([A, A])), &["payload.participants"]),
        (
            "participants that are none",
            but("/payload/participants", json!([A, 7])),
            &["payload.participants"],
        ),
        (
            "a context of 501",
            but("/payload/context", "é".repeat(501).into()),
            &["payload.context", "500"],
        ),
        ("a rev of next year", but("/payload/rev", next_year.clone().into()), &["rev", "future"]),
        ("a rev that is none", but("/payload/rev", "newest".into()), &["rev", "newest"]),
        (
            "a date that is none",
            but("/payload/created_at", "yesterday".into()),
            &["payload.created_at", "yesterday"],
        ),
        (
            "another collection",
            but("/payload/uri", format!("at://{A}/app.bsky.feed.post/3jzfcijpj2z2a").into()),
            &["uri", "net.rhiz.relationship.record"],
        ),
        ("another's repo", but("/payload/uri", uri(B, 1).into()), &["uri", A]),
        (
            "a handle as authority",
            but(
                "/payload/uri",
                "at://ada.example.com/net.rhiz.relationship.record/3jzfcijpj2z2a".into(),
            ),
            &["uri", "ada.example.com"],
        ),
        (
            "a key that is no TID",
            but("/payload/uri", format!("at://{A}/net.rhiz.relationship.record/self").into()),
            &["uri", "self"],
        ),
        ("a URI with a query", but("/payload/uri", format!("{}?x=1", uri(A, 1)).into()), &["uri"]),
        (
            "half a record",
            but("/payload", full),
            &["payload.record.type", "payload.record.strength", "payload.record.privacy"],
        ),
        ("an event_id with a space", but("/event_id", "a b".into()), &["event_id"]),
        ("an empty event_id", but("/event_id", "".into()), &["event_id"]),
        ("an event_id of 10,000", but("/event_id", "x".repeat(10_000).into()), &["event_id"]),
    ];
    for (name, body, words) in &cases {
        check(name, &client.post(EVENTS, body), 422, "invalid", words);
        // The same in a batch, behind a good line: the line is named, and the good one not stored.
        let good = event(C, A, 50);
        let answer = client.try_batch(&[good, body.clone()]).unwrap();
        check(name, &answer, 422, "invalid", &["line 2"]);
    }
    let attest = |change: &[(&str, Value)]| {
        let mut payload = json!({
            "uri": format!("at://{C}/net.rhiz.relationship.attestation/3jzfcijpj2z2a"),
            "attester_did": C,
            "target_uri": uri(A, 1),
            "attestation_type": "verify",
            "confidence": 90,
        });
        for (field, value) in change {
            payload[*field] = value.clone();
        }
        json!({"event_type": "attestation.created", "did": C, "payload": payload})
    };
    for (name, body, words) in [
        ("another attester", attest(&[("attester_did", A.into())]), "payload.attester_did"),
        ("confidence 101", attest(&[("confidence", 101.into())]), "payload.confidence"),
        (
            "an unknown kind",
            attest(&[("attestation_type", "bless".into())]),
            "payload.attestation_type",
        ),
        ("a target that is none", attest(&[("target_uri", "x".into())]), "payload.target_uri"),
        ("evidence of 1001", attest(&[("evidence", "x".repeat(1001).into())]), "payload.evidence"),
    ] {
        check(name, &client.post(EVENTS, &body), 422, "invalid", &[word(words)]);
    }
    for (name, body, words) in [
        (
            "an account without a word",
            json!({"event_type": "account.updated", "did": A, "payload": {}}),
            "active",
        ),
        (
            "an account in the future",
            json!({"event_type": "account.updated", "did": A, "payload": {"active": false, "time": "2100-01-01T00:00:00Z"}}),
            "future",
        ),
        (
            "somebody else's account",
            json!({"event_type": "account.updated", "did": A, "payload": {"active": false, "did": B}}),
            "did",
        ),
    ] {
        check(name, &client.post(EVENTS, &body), 422, "invalid", &[word(words)]);
    }
    unharmed(&server, &before);
}

/// So that the lists above line up.
fn word(text: &'static str) -> &'static str {
    text
}

#[test]
fn who_may_not_is_told_so_before_anything_is_read() {
    let server = server();
    let before = dump::index(&server.data.path());
    let (nobody, wrong) =
        (server.anybody(), Client::new(server.address, Some("not-the-key-0123456789")));
    let body = event(A, B, 10);
    for (method, path) in [
        ("POST", EVENTS),
        ("POST", BATCH),
        ("POST", "/internal/import?digest=0123456789abcdef&offset=0"),
        ("GET", "/internal/events/metrics"),
        ("GET", "/internal/events/some-id"),
        ("GET", "/internal/events/dead-letter"),
        ("GET", "/internal/cache/stats"),
        ("POST", "/api/v1/attestations"),
    ] {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let ask = |client: &Client| {
            client.send(method, path, &[("Content-Type", "application/json")], body.as_bytes())
        };
        // An attestation is read before its key is looked at only as far as its shape.
        if path != "/api/v1/attestations" {
            let answer = ask(&nobody).unwrap();
            check(path, &answer, 401, "key_required", &["X-Internal-Key"]);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            check(path, &ask(&wrong).unwrap(), 403, "wrong_key", &["key"]);
        }
    }
    let attestation = json!({
        "uri": format!("at://{C}/net.rhiz.relationship.attestation/3jzfcijpj2z2a"),
        "attester_did": C, "target_uri": uri(A, 1), "attestation_type": "verify", "confidence": 90,
    });
    let attest = "/api/v1/attestations";
    check(attest, &nobody.post(attest, &attestation), 401, "key_required", &[]);
    check(attest, &wrong.post(attest, &attestation), 403, "wrong_key", &[]);
    check(attest, &nobody.post(attest, &json!({"uri": 5})), 401, "key_required", &[]);
    // Almost the key, in each way it may be sent.
    for headers in [
        [("X-Internal-Key", ""), ("X", "")],
        [("X-Internal-Key", &KEY[..KEY.len() - 1]), ("X", "")],
        [("Authorization", "Bearer wrong"), ("X", "")],
        [("Authorization", "Bearer wrong"), ("X-Internal-Key", "wrong")],
    ] {
        let answer = nobody.get_with("/internal/events/metrics", &headers);
        assert_eq!(answer.status, 403, "{headers:?}: {}", answer.text());
    }
    let basic = nobody.get_with("/internal/events/metrics", &[("Authorization", KEY)]);
    assert_eq!(basic.status, 401, "a key without its scheme is none: {}", basic.text());
    let bearer = format!("Bearer {KEY}");
    let answer = nobody.get_with("/internal/events/metrics", &[("Authorization", &bearer)]);
    assert_eq!(answer.status, 200);
    unharmed(&server, &before);
}

#[test]
fn what_is_no_request_is_refused_without_harm() {
    let server = server();
    let before = dump::index(&server.data.path());
    let client = server.keyed();
    let json_type = [("Content-Type", "application/json")];
    let post = |path: &str, kind: &str, body: &[u8]| {
        client.send("POST", path, &[("Content-Type", kind)], body).unwrap()
    };
    let json = |path: &str, body: &[u8]| post(path, "application/json", body);

    let malformed: [(&str, Vec<u8>); 6] = [
        ("not JSON", b"relationship".to_vec()),
        ("cut off", b"{\"event_type\": \"relationship.cre".to_vec()),
        ("nothing", Vec::new()),
        ("two values", b"{} {}".to_vec()),
        ("not UTF-8", b"{\"event_type\": \"\xff\xfe\"}".to_vec()),
        ("NUL bytes", vec![0; 100]),
    ];
    for (name, body) in &malformed {
        check(name, &json(EVENTS, body), 400, "malformed", &["JSON"]);
        if !["two values", "not UTF-8"].contains(name) {
            // There another thing is wrong before.
            check(name, &json(FIND, body), 400, "malformed", &["JSON"]);
        }
    }
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let fields = json!(["trust.invalidated", {}, A, null, null]).to_string();
    for (name, body) in [
        ("null", "null".to_owned()),
        ("a list", "[]".into()),
        ("the fields in a list", fields),
        ("too deep", deep(100_000)),
    ] {
        check(name, &json(EVENTS, body.as_bytes()), 422, "invalid", &["body", "JSON object"]);
        check(name, &json(FIND, body.as_bytes()), 422, "invalid", &["body", "JSON object"]);
        check(name, &post(BATCH, "text/plain", body.as_bytes()), 422, "invalid", &["line 1"]);
    }
    let payload = format!(
        r#"{{"event_type": "trust.invalidated", "did": "{A}", "payload": {{"x": {}}}}}"#,
        deep(5_000)
    );
    check("a deep payload", &json(EVENTS, payload.as_bytes()), 422, "invalid", &["payload"]);

    let large = vec![b' '; 2 << 20];
    check("2 MB", &json(EVENTS, &large), 413, "too_large", &["1024 KB"]);
    check("2 MB", &json(FIND, &large), 413, "too_large", &["1024 KB"]);
    check(
        "5 MB",
        &post(BATCH, "application/x-ndjson", &vec![b'\n'; 5 << 20]),
        413,
        "too_large",
        &["4096 KB"],
    );
    let chunked = {
        let mut bytes = format!(
            "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nX-Internal-Key: {KEY}\r\n\
             Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(&large);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
        bytes
    };
    check("2 MB in chunks", &client.raw(&chunked, false).unwrap(), 413, "too_large", &["1024 KB"]);

    for kind in
        ["text/html", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense"]
    {
        check(kind, &post(EVENTS, kind, b"{}"), 415, "wrong_type", &[kind, "application/json"]);
        check(kind, &post(BATCH, kind, b"{}"), 415, "wrong_type", &[kind, "application/x-ndjson"]);
    }

    // Batches: all or nothing, and the line is named.
    let good = |n: usize| {
        let mut event = event(C, A, 50);
        event["payload"]["uri"] = uri(C, n as u64).into();
        event.to_string()
    };
    let batch = |text: String| post(BATCH, "application/x-ndjson", text.as_bytes());
    check("an empty batch", &batch("\n \n".into()), 400, "malformed", &["no event"]);
    let broken = format!("{}\n\n{}\n{{broken\n{}", good(1), good(2), good(3));
    check("a broken line", &batch(broken), 400, "malformed", &["line 4"]);
    let many: String = (0..2_001).map(|i| good(i) + "\n").collect();
    check("2,001 lines", &batch(many), 413, "too_large", &["2000 lines"]);
    let same =
        json!({"event_id": "twice", "event_type": "trust.invalidated", "did": A, "payload": {}});
    let mut other = same.clone();
    other["did"] = B.into();
    check(
        "one id for two",
        &batch(format!("{same}\n{other}")),
        409,
        "event_id_conflict",
        &["line 2"],
    );

    // Paths and methods.
    for (method, path, status, code) in [
        ("GET", "/nothing/here", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/internal/nothing", 404, "not_found"),
        ("GET", "/ui/../Cargo.toml", 404, "not_found"),
        ("GET", "/ui/%2e%2e/%2e%2e/etc/passwd", 404, "not_found"),
        ("DELETE", "/health", 405, "method_not_allowed"),
        ("GET", EVENTS, 405, "method_not_allowed"),
        ("GET", FIND, 405, "method_not_allowed"),
        ("PUT", "/api/v1/entities", 405, "method_not_allowed"),
        ("BREW", "/health", 405, "method_not_allowed"),
        ("GET", "/api/v1/entities/%zz", 422, "invalid"),
        ("GET", "/api/v1/entities/%ff%fe", 400, "malformed"),
        ("GET", "/api/v1/entities/by-handle/%00", 422, "invalid"),
        ("GET", "/api/v1/entities/did:plc:a%00b", 422, "invalid"),
        ("GET", "/api/v1/entities/%", 422, "invalid"),
        ("GET", "/api/v1/relationships/%2F%2F%2F", 422, "invalid"),
        ("GET", "/api/v1/relationships/at:%2F%2F*%2F*%2F*", 422, "invalid"),
        ("GET", "/api/v1/graph/neighbors/not%20a%20did", 422, "invalid"),
        ("GET", "/internal/events/%ff", 400, "malformed"),
        ("GET", "/internal/events/a%20b", 422, "invalid"),
    ] {
        let answer = client.send(method, path, &[], b"").unwrap();
        check(&format!("{method} {path}"), &answer, status, code, &[]);
        if status == 405 {
            assert!(answer.header("allow").is_some(), "{path}: which methods are allowed is told");
        }
    }

    // Too much of what comes before a body, and what is no HTTP at all.
    let long = "x".repeat(1_000_000);
    for (name, bytes) in [
        ("a long header", format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n")),
        (
            "many headers",
            format!("GET /health HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(100_000)),
        ),
        ("a long path", format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")),
        ("no HTTP", "nonsense\r\n\r\n".into()),
        (
            "a broken length",
            format!("POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n"),
        ),
        (
            "two lengths",
            format!(
                "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345"
            ),
        ),
    ] {
        // It may also just close the connection.
        if let Ok(answer) = server.keyed().raw(bytes.as_bytes(), false) {
            assert!((400..500).contains(&answer.status), "{name}: {}", answer.status);
        }
    }
    // A body that never comes blocks nobody else.
    let half = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: x\r\nX-Internal-Key: {KEY}\r\nContent-Length: 50\r\n\r\n{{"
    );
    use std::io::Write;
    let mut stuck = std::net::TcpStream::connect(server.address).unwrap();
    stuck.write_all(half.as_bytes()).unwrap();
    assert_eq!(client.send("GET", "/health", &json_type, b"").unwrap().status, 200);
    drop(stuck);
    unharmed(&server, &before);
}

#[test]
fn questions_that_have_no_answer_say_why() {
    let server = server();
    let before = dump::index(&server.data.path());
    let client = server.anybody();
    let find = |change: Value| {
        let mut body = json!({"from": A, "to": C});
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        client.post(FIND, &body)
    };
    assert_eq!(find(json!({})).expect(200)["distance"], 2);
    for (name, change, words) in [
        ("max_hops 11", json!({"max_hops": 11}), ["max_hops", "11", "1 to 10"]),
        ("max_hops 0", json!({"max_hops": 0}), ["max_hops", "0", "1 to 10"]),
        ("max_hops 2^40", json!({"max_hops": 1_u64 << 40}), ["max_hops", "", ""]),
        ("max_hops 2.5", json!({"max_hops": 2.5}), ["max_hops", "", ""]),
        ("max_hops in words", json!({"max_hops": "six"}), ["max_hops", "", ""]),
        ("a strength of 2", json!({"min_strength": 2}), ["min_strength", "2", "0 to 1"]),
        ("a strength of −1", json!({"min_strength": -0.1}), ["min_strength", "-0.1", "0 to 1"]),
        ("k 0", json!({"k": 0}), ["k", "0", "1 to 10"]),
        ("k 11", json!({"k": 11}), ["k", "11", "1 to 10"]),
        (
            "an unknown algorithm",
            json!({"algorithm": "magic"}),
            ["algorithm", "magic", "strongest"],
        ),
        ("from = to", json!({"to": A}), ["to", "same", "different"]),
        ("no from", json!({"from": null}), ["from", "", ""]),
        ("a from that is none", json!({"from": "not a did"}), ["from", "not a did", ""]),
        ("an empty to", json!({"to": ""}), ["to", "", ""]),
        ("a list for to", json!({"to": [C]}), ["to", "", ""]),
        ("excluding nonsense", json!({"exclude_entities": ["x"]}), ["exclude_entities", "x", ""]),
        (
            "excluding 101",
            json!({"exclude_entities": vec![B; 101]}),
            ["exclude_entities", "100", ""],
        ),
        (
            "101 types",
            json!({"relationship_types": vec!["x"; 101]}),
            ["relationship_types", "100", ""],
        ),
    ] {
        check(name, &find(change), 422, "invalid", &words);
    }
    check(
        "unknown from",
        &find(json!({"from": "did:plc:nobody"})),
        404,
        "entity_not_found",
        &["did:plc:nobody"],
    );
    check(
        "unknown to",
        &find(json!({"to": "nobody.example.com"})),
        404,
        "entity_not_found",
        &["nobody.example.com"],
    );
    check("no path", &find(json!({"to": D})), 404, "no_path", &["no path"]);
    let excluded = find(json!({"exclude_entities": [B]}));
    check("an excluded hop", &excluded, 404, "no_path", &["no path"]);
    check("an excluded end", &find(json!({"exclude_entities": [A]})), 404, "no_path", &["no path"]);
    let hops = find(json!({"max_hops": 1}));
    check("too few hops", &hops, 404, "no_path", &["max_hops 2"]);
    assert_eq!(hops.json()["relax"], json!({"max_hops": 2}));
    let strength = find(json!({"min_strength": 0.7}));
    check("too much strength", &strength, 404, "no_path", &["min_strength 0.6"]);
    assert_eq!(strength.json()["relax"], json!({"min_strength": 0.6}));

    for (path, status, code, words) in [
        ("/api/v1/entities/did:plc:nobody", 404, "entity_not_found", "did:plc:nobody"),
        ("/api/v1/entities/by-handle/nobody.example.com", 404, "entity_not_found", "nobody"),
        ("/api/v1/entities/x", 422, "invalid", "neither a DID nor a handle"),
        ("/api/v1/entities/by-handle/did:plc:ada", 422, "invalid", "handle"),
        ("/api/v1/entities?limit=0", 422, "invalid", "1 to 100"),
        ("/api/v1/entities?limit=101", 422, "invalid", "101"),
        ("/api/v1/entities?limit=-1", 422, "invalid", "-1"),
        ("/api/v1/entities?limit=ten", 400, "malformed", "limit"),
        ("/api/v1/entities?limit=99999999999999999999", 400, "malformed", "limit"),
        ("/api/v1/entities?cursor=nonsense", 422, "invalid", "cursor"),
        ("/api/v1/entities?cursor=%00", 422, "invalid", "cursor"),
        ("/api/v1/entities?cursor=W10", 422, "invalid", "cursor"),
        ("/api/v1/graph/neighbors/did:plc:nobody", 404, "entity_not_found", "did:plc:nobody"),
        ("/api/v1/graph/neighbors/did:plc:ada?limit=0", 422, "invalid", "limit"),
        ("/api/v1/graph/neighbors/did:plc:ada?cursor=%F0%9F", 422, "invalid", "cursor"),
        ("/api/v1/graph/neighbors/did:plc:ada?cursor=WzEsMl0", 422, "invalid", "cursor"),
        ("/api/v1/graph/neighbors/did:plc:ada?min_strength=2", 422, "invalid", "min_strength"),
        ("/api/v1/graph/neighbors/did:plc:ada?min_strength=NaN", 422, "invalid", "min_strength"),
        (
            "/api/v1/relationships/at%3A%2F%2Fdid%3Aplc%3Aada%2Fapp.bsky.feed.post%2F3jzfcijpj2z2a",
            422,
            "invalid",
            "net.rhiz.relationship.record",
        ),
        (
            "/api/v1/relationships/at%3A%2F%2Fdid%3Aplc%3Aada%2Fnet.rhiz.relationship.record%2F3jzfcijpj2z2a",
            404,
            "relationship_not_found",
            "did:plc:ada",
        ),
        (
            "/api/v1/analytics/trust-metrics/did:plc:nobody",
            404,
            "entity_not_found",
            "did:plc:nobody",
        ),
        ("/api/v1/analytics/trust-metrics/did:plc:ada?explain=maybe", 400, "malformed", "explain"),
        (
            "/api/v1/analytics/trust-health/did:plc:nobody",
            404,
            "entity_not_found",
            "did:plc:nobody",
        ),
    ] {
        check(path, &client.get(path), status, code, &[words]);
    }
    let long = format!("/api/v1/entities?q={}", "x".repeat(300));
    check("a long query", &client.get(&long), 422, "invalid", &["256"]);
    // Characters that mean something to LIKE, GLOB or FTS are characters.
    for q in ["%25", "%27%20OR%201%3D1--", "*", "%22", "_", "%5C", "%00", "AND", "a%2Ab"] {
        let found = client.get(&format!("/api/v1/entities?q={q}")).expect(200);
        assert_eq!(found["entities"], json!([]), "{q}");
    }
    let keyed = server.keyed();
    for (path, status, code, words) in [
        ("/internal/events/nobody-knows-it", 404, "event_not_found", "nobody-knows-it"),
        ("/internal/events/dead-letter?type=x", 422, "invalid", "relationship.created"),
        ("/internal/events/dead-letter?did=x", 422, "invalid", "did"),
        ("/internal/events/dead-letter?since=yesterday", 422, "invalid", "since"),
        ("/internal/events/dead-letter?limit=0", 422, "invalid", "limit"),
        ("/internal/events/dead-letter?cursor=x", 422, "invalid", "cursor"),
    ] {
        check(path, &keyed.get(path), status, code, &[words]);
    }
    unharmed(&server, &before);
}

#[test]
fn the_same_event_twice_is_one_and_another_under_its_name_a_conflict() {
    let server = server();
    let client = server.keyed();
    let mut event = event(C, A, 50);
    event["event_id"] = "from-a-client".into();
    assert_eq!(client.post(EVENTS, &event).expect(202)["status"], "enqueued");
    server.settled();
    let before = dump::index(&server.data.path());
    for _ in 0..2 {
        let again = client.post(EVENTS, &event).expect(202);
        assert_eq!(again, json!({"status": "duplicate", "event_id": "from-a-client"}));
    }
    let mut other = event.clone();
    other["payload"]["strength"] = 51.into();
    let answer = client.post(EVENTS, &other);
    check("another body", &answer, 409, "event_id_conflict", &["another"]);
    let batch = client.try_batch(&[event.clone(), event.clone()]).unwrap().expect(202);
    let words: Vec<&Value> =
        batch["results"].as_array().unwrap().iter().map(|r| &r["status"]).collect();
    assert_eq!(words, ["duplicate", "duplicate"]);
    let good =
        json!({"event_type": "trust.invalidated", "did": A, "payload": {}, "event_id": "new"});
    let answer = client.try_batch(&[good, other]).unwrap();
    check("another body in a batch", &answer, 409, "event_id_conflict", &["line 2"]);
    assert_eq!(client.get("/internal/events/new").status, 404, "all of a batch or nothing");

    // A header does the same as the field.
    let mut plain = event.clone();
    plain.as_object_mut().unwrap().remove("event_id");
    plain["payload"]["uri"] = uri(C, 9).into();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "once")];
    let post =
        |body: &Value| client.send("POST", EVENTS, &headers, body.to_string().as_bytes()).unwrap();
    assert_eq!(post(&plain).expect(202), json!({"status": "enqueued", "event_id": "once"}));
    assert_eq!(post(&plain).expect(202), json!({"status": "duplicate", "event_id": "once"}));
    plain["payload"]["strength"] = 52.into();
    check("the header with another body", &post(&plain), 409, "event_id_conflict", &[]);
    assert_eq!(WRONG.take(), [""; 0]);
    server.settled();
    let after = dump::index(&server.data.path());
    assert_eq!(after[1].1, before[1].1 + 1, "one record more, by the one event that was new");
}
