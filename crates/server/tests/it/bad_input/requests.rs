//! Callers that may not, and what is no request at all.

use super::*;

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
