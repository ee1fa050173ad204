//! Errors by the names that lexicons declare, tags, and limits.

use super::*;

#[test]
fn what_is_not_there_has_the_name_that_the_lexicon_declares() {
    let world = World::new();
    let nobody = "did=did:plc:nobody";
    let gone = format!("uri={}", uri("alice", RECORD, 99));
    let private = format!("uri={}", world.erin_alice);
    for (method, query, error) in [
        ("net.rhiz.graph.getNeighbors", nobody, "EntityNotFound"),
        ("net.rhiz.graph.getNeighbors", "did=did:plc:erin", "EntityNotFound"),
        ("net.rhiz.trust.getMetrics", nobody, "EntityNotFound"),
        ("net.rhiz.entity.getProfile", "actor=did:plc:nobody", "EntityNotFound"),
        ("net.rhiz.entity.getProfile", "actor=nobody.example.org", "EntityNotFound"),
        ("net.rhiz.graph.findPath", "from=did:plc:alice&to=did:plc:nobody", "EntityNotFound"),
        (
            "net.rhiz.graph.listIntroductions",
            "from=did:plc:nobody&to=did:plc:bob",
            "EntityNotFound",
        ),
        ("net.rhiz.trust.predict", "from=did:plc:alice&to=did:plc:erin", "EntityNotFound"),
        ("net.rhiz.trust.listAtRisk", nobody, "EntityNotFound"),
        ("net.rhiz.trust.getRanking", nobody, "EntityNotFound"),
        ("net.rhiz.trust.predict", "from=did:plc:bob&to=did:plc:bob", "InvalidRequest"),
        ("net.rhiz.graph.listIntroductions", "from=did:plc:bob&to=did:plc:bob", "InvalidRequest"),
        ("net.rhiz.conviction.getScore", &gone, "RecordNotFound"),
        ("net.rhiz.conviction.getScore", &private, "RecordNotFound"),
        ("net.rhiz.conviction.listAttestations", &gone, "RecordNotFound"),
        ("net.rhiz.conviction.listAttestations", &private, "RecordNotFound"),
        ("net.rhiz.relationship.getRecord", &gone, "RecordNotFound"),
        ("net.rhiz.relationship.getRecord", &private, "RecordNotFound"),
        ("net.rhiz.graph.findPath", "from=did:plc:alice&to=did:plc:alice", "InvalidRequest"),
        ("net.rhiz.graph.findPath", "from=alice&to=did:plc:bob", "InvalidRequest"),
        (
            "net.rhiz.conviction.getScore",
            "uri=at://did:plc:alice/app.bsky.feed.post/3jzfcijpj2z2a",
            "InvalidRequest",
        ),
    ] {
        let (status, name, _) = world.refused(method, query);
        assert_eq!((status, name.as_str()), (400, error), "{method}?{query}");
    }
}

#[test]
fn an_answer_from_the_graph_is_asked_for_again_only_after_a_change() {
    let world = World::new();
    let client = world.server.anybody();
    let queries = [
        format!("net.rhiz.conviction.getScore?uri={}", world.alice_bob),
        format!("net.rhiz.conviction.listAttestations?uri={}", world.alice_bob),
        format!("net.rhiz.relationship.getRecord?uri={}", world.alice_bob),
        "net.rhiz.graph.getNeighbors?did=did:plc:alice".to_owned(),
        "net.rhiz.graph.findPath?from=did:plc:alice&to=did:plc:carol".to_owned(),
        "net.rhiz.graph.listIntroductions?from=did:plc:alice&to=did:plc:carol".to_owned(),
        "net.rhiz.trust.getMetrics?did=did:plc:alice".to_owned(),
        "net.rhiz.trust.predict?from=did:plc:alice&to=did:plc:carol".to_owned(),
        "net.rhiz.trust.listAtRisk?did=did:plc:alice".to_owned(),
        "net.rhiz.trust.getRanking?did=did:plc:alice".to_owned(),
    ];
    let tags: Vec<String> = queries
        .iter()
        .map(|query| {
            let tag = client.get(&format!("/xrpc/{query}")).header("etag").unwrap().to_owned();
            assert!(tag.starts_with("W/\""), "{tag}");
            let again = client.get_with(&format!("/xrpc/{query}"), &[("If-None-Match", &tag)]);
            assert_eq!((again.status, again.body.len()), (304, 0), "{query}");
            tag
        })
        .collect();
    let mut story = Story::default();
    story.attests(21, "kim", &world.alice_bob, "verify", 50);
    story.tell(&world.server);
    for (query, tag) in queries.iter().zip(&tags) {
        let after = client.get_with(&format!("/xrpc/{query}"), &[("If-None-Match", tag)]);
        assert_eq!(after.status, 200, "{query}");
        assert_ne!(after.header("etag"), Some(tag.as_str()));
    }
}

#[test]
fn what_is_no_method_or_no_get_is_said_in_the_words_of_the_protocol() {
    let server = Server::new();
    let client = server.anybody();
    let health = client.get("/xrpc/_health").expect(200);
    assert_eq!(health, json!({"version": env!("CARGO_PKG_VERSION")}));
    for path in [
        "/xrpc/net.rhiz.graph.findpath",
        "/xrpc/net.rhiz.relationship.record",
        "/xrpc/net.rhiz.trust.guess?from=did:plc:a&to=did:plc:b",
        "/xrpc/com.atproto.server.describeServer",
        "/xrpc/a/b",
        "/xrpc/",
        "/xrpc",
    ] {
        let answer = client.get(path);
        assert_eq!(
            (answer.status, refusal(&answer).0.as_str()),
            (501, "MethodNotImplemented"),
            "{path}"
        );
        let answer = client.post(path, &json!({}));
        assert_eq!(answer.status, 501, "POST {path}");
    }
    for path in ["/xrpc/net.rhiz.graph.findPath", "/xrpc/_health"] {
        let answer = client.post(path, &json!({"from": "did:plc:a"}));
        let (error, message) = refusal(&answer);
        assert_eq!((answer.status, error.as_str()), (400, "InvalidRequest"), "{path}");
        assert!(message.contains("GET") && message.contains("POST"), "{message}");
    }
    let head = client.send("HEAD", "/xrpc/net.rhiz.entity.getProfile", &[], b"").unwrap();
    assert_eq!(head.status, 400);
    let rest = client.get("/api/v1/no-such-page");
    assert_eq!(
        rest.header("content-type"),
        Some("application/problem+json"),
        "REST keeps its form"
    );
}

#[test]
fn who_asks_too_much_is_told_so_in_the_words_of_the_protocol() {
    let limits = [("RATE_LIMIT_ENABLED", "true"), ("RATE_LIMIT_REQUESTS", "2")];
    let server = Data::new().serve_with(&limits);
    let client = server.anybody();
    client.get("/xrpc/_health").expect(200);
    client.get("/xrpc/_health").expect(200);
    let answer = client.get("/xrpc/_health");
    assert_eq!((answer.status, refusal(&answer).0.as_str()), (429, "RateLimitExceeded"));
    assert!(answer.header("retry-after").is_some() && answer.header("ratelimit-reset").is_some());
}
