//! Questions that have no answer.

use super::*;

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
