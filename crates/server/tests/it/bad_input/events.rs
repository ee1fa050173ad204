//! Events that break a rule, or come twice.

use super::*;

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

/// The same key is the same batch, whatever its lines are called.
#[test]
fn a_batch_under_one_key_is_accepted_once() {
    let server = server();
    let client = server.keyed();
    let lines = |n: usize| -> Vec<Value> {
        let line = |i| json!({"event_type": "trust.invalidated", "did": A, "payload": {"n": i}});
        (0..n).map(line).collect()
    };
    let post = |key: &str, lines: &[Value]| {
        let body: String = lines.iter().map(|l| format!("{l}\n")).collect();
        let headers = [("Content-Type", "application/x-ndjson"), ("Idempotency-Key", key)];
        client.send("POST", BATCH, &headers, body.as_bytes()).unwrap()
    };
    let words = |answer: &Value| -> Vec<String> {
        let results = answer["results"].as_array().unwrap().iter();
        results.map(|r| r["status"].as_str().unwrap().to_owned()).collect()
    };
    let first = post("k", &lines(3)).expect(202);
    assert_eq!(words(&first), ["enqueued"; 3]);
    let again = post("k", &lines(3)).expect(202);
    assert_eq!(words(&again), ["duplicate"; 3]);
    let ids = |answer: &Value| -> Vec<Value> {
        let results = answer["results"].as_array().unwrap().iter();
        results.map(|r| r["event_id"].clone()).collect()
    };
    assert_eq!(ids(&first), ids(&again));
    server.settled();
    assert_eq!(words(&post("k", &lines(3)).expect(202)), ["duplicate"; 3], "done is known too");
    let mut other = lines(3);
    other[1]["payload"]["n"] = 7.into();
    for (name, body) in [("shorter", &lines(2)), ("longer", &lines(4)), ("another", &other)] {
        check(name, &post("k", body), 409, "event_id_conflict", &["Idempotency-Key"]);
    }
    assert_eq!(words(&post("k2", &lines(4)).expect(202)), ["enqueued"; 4]);
    // A name of its own stays, and needs no key.
    let mut named = lines(2);
    named[0]["event_id"] = "own".into();
    let answer = post("k3", &named).expect(202);
    assert_eq!(ids(&answer)[0], "own");
    assert_eq!(words(&post("k3", &named).expect(202)), ["duplicate"; 2]);
    named[0].as_object_mut().unwrap().remove("event_id");
    check("the name left out", &post("k3", &named), 409, "event_id_conflict", &["Idempotency-Key"]);
    for (path, body) in [(EVENTS, &lines(1)[0]), (BATCH, &lines(1)[0])] {
        for key in ["schl\u{fc}ssel", "a b", ""] {
            let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
            let answer = client.send("POST", path, &headers, body.to_string().as_bytes()).unwrap();
            let words = ["Idempotency-Key", "visible ASCII"];
            check(&format!("{path} {key:?}"), &answer, 422, "invalid", &words);
        }
    }
    assert_eq!(WRONG.take(), [""; 0]);
    server.settled();
    let metrics = client.get("/internal/events/metrics").expect(200);
    assert_eq!(metrics["events_processed"], 3 + 3 + 4 + 2);
}

#[test]
fn an_event_has_a_size_and_names_that_are_known() {
    let server = server();
    let before = dump::index(&server.data.path());
    let client = server.keyed();
    let mut large = event(C, A, 50);
    large["payload"]["x"] = "x".repeat(1 << 20).into();
    check("a large event", &client.post(EVENTS, &large), 413, "too_large", &["1024 KB"]);
    let small = event(C, A, 50);
    let batch = client.try_batch(&[small.clone(), large]).unwrap();
    check("a large line", &batch, 413, "too_large", &["line 2", "1024 KB"]);
    let mut misspelt = small;
    misspelt["priorty"] = 3.into();
    let words = ["priorty", "`priority`"];
    check("a misspelt field", &client.post(EVENTS, &misspelt), 422, "invalid", &words);
    let batch = client.try_batch(&[misspelt]).unwrap();
    check("a misspelt field", &batch, 422, "invalid", &["line 1", "priorty"]);
    for query in ["typ=x", "type=trust.invalidated&Did=x"] {
        let answer = client.get(&format!("/internal/events/stream?{query}"));
        check(query, &answer, 400, "malformed", &["unknown field", "`type`, `did`, `step`"]);
    }
    unharmed(&server, &before);
}
