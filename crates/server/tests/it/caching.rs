//! What the cache does for answers, as operators and callers see it.

use crate::{
    http::Client,
    people::{did, knows, profile, says, tell, uri},
    server::Server,
};
use serde_json::{Value, json};

/// A counter of a namespace.
fn count(keyed: &Client, namespace: &str, what: &str) -> u64 {
    let stats = keyed.get("/internal/cache/stats").expect(200);
    stats["overall"]["namespaces"][namespace][what].as_u64().unwrap_or_else(|| panic!("{stats}"))
}

/// One answer of each namespace, from REST and XRPC: how it is asked for, and how that is forced.
fn questions() -> Vec<(&'static str, String)> {
    let (ann, uri) = (did("ann"), uri("ann", "ben").replace('/', "%2F"));
    vec![
        ("graph:neighbors", format!("/api/v1/graph/neighbors/{ann}?limit=7")),
        ("graph:neighbors", format!("/xrpc/net.rhiz.graph.getNeighbors?did={ann}&limit=8")),
        ("graph:path", format!("/xrpc/net.rhiz.graph.findPath?from={ann}&to={}", did("cid"))),
        ("trust:score", format!("/api/v1/analytics/trust-metrics/{ann}?explain=false")),
        ("trust:score", format!("/api/v1/analytics/trust-health/{ann}?x=1")),
        ("trust:score", format!("/xrpc/net.rhiz.trust.getMetrics?did={ann}")),
        ("conviction", format!("/xrpc/net.rhiz.conviction.getScore?uri={uri}")),
        ("entity", format!("/api/v1/entities/{ann}?x=1")),
        ("entity", "/api/v1/entities/by-handle/ann.example.com?x=1".into()),
        ("entity", format!("/xrpc/net.rhiz.entity.getProfile?actor={ann}")),
    ]
}

fn handle(who: &str, handle: &str) -> Value {
    json!({
        "event_type": "identity.updated",
        "did": did(who),
        "payload": {"handle": handle, "time": "2026-01-01T00:00:00Z"},
    })
}

fn world() -> Server {
    let server = Server::new();
    tell(
        &server,
        &[
            profile("ann", "Ann"),
            handle("ann", "ann.example.com"),
            knows("ann", "ben", 80),
            knows("ben", "ann", 70),
            knows("ben", "cid", 90),
            says("cid", "verify", "ann", "ben"),
            says("cid", "verify", "ben", "ann"),
        ],
    );
    server
}

#[test]
fn every_answer_of_the_table_is_kept_counted_forced_and_cleared() {
    let server = world();
    let (client, keyed) = (server.anybody(), server.keyed());
    for (namespace, question) in questions() {
        keyed.post("/internal/cache/clear", &json!({"pattern": "*"})).expect(200);
        let counts =
            || ["misses", "hits", "refreshes", "sets"].map(|what| count(&keyed, namespace, what));
        let ask = |more: &str| {
            let before = counts();
            let answer = client.get(&format!("{question}{more}")).expect(200);
            let after = counts();
            (answer, std::array::from_fn::<_, 4, _>(|n| after[n] - before[n]))
        };
        let (first, did) = ask("");
        assert_eq!(did, [1, 0, 0, 1], "{question}");
        let (again, did) = ask("");
        assert_eq!((&again, did), (&first, [0, 1, 0, 0]), "{question}");
        // (Scores say when they were worked out.)
        let (_, did) = ask("&refresh=true");
        assert_eq!(did, [0, 0, 1, 1], "{question}");
        let namespace_pattern = format!("{namespace}:*");
        keyed.post("/internal/cache/clear", &json!({"pattern": namespace_pattern})).expect(200);
        assert_eq!(ask("").1, [1, 0, 0, 1], "{question}");
        keyed.post("/internal/cache/clear", &json!({"pattern": "nothing:*"})).expect(200);
        assert_eq!(ask("").1, [0, 1, 0, 0], "{question}");
    }
}

#[test]
fn forcing_is_no_reason_to_say_that_nothing_has_changed() {
    let server = world();
    let client = server.anybody();
    for (_, question) in questions() {
        for more in ["", "&refresh=true"] {
            let first = client.get(&format!("{question}{more}"));
            let Some(tag) = first.header("etag") else { continue };
            let again =
                client.get_with(&format!("{question}{more}"), &[("If-None-Match", tag)]).status;
            assert_eq!(again, if more.is_empty() { 304 } else { 200 }, "{question}{more}");
        }
    }
}

/// The far end of a chain: some think little of Cid, so that Cid's word on Ann and Ben weighs less, and
/// what their neighbours show of it is another number. Neither is named in the event.
#[test]
fn what_changes_far_away_is_in_every_answer_but_the_network_part() {
    let server = world();
    let client = server.anybody();
    let score = || {
        let uri = uri("ben", "ann").replace('/', "%2F");
        let answer = client.get(&format!("/xrpc/net.rhiz.conviction.getScore?uri={uri}"));
        answer.expect(200)["conviction"].clone()
    };
    let shown = |who: &str| {
        let answer = client.get(&format!("/api/v1/graph/neighbors/{}", did(who))).expect(200);
        let list = answer["neighbors"].as_array().unwrap();
        list.iter().map(|n| n["conviction"].as_u64().unwrap()).max().unwrap()
    };
    let before = (score(), shown("ann"), shown("ben"));
    assert_eq!(before.0["score"], before.1, "the weaker record is the edge: {before:?}");
    let events: Vec<Value> =
        ["zoe", "dan", "eva", "fay", "gus"].map(|who| knows(who, "cid", 0)).into();
    tell(&server, &events);
    let after = (score(), shown("ann"), shown("ben"));
    assert!(after.0["score"].as_u64() < before.0["score"].as_u64(), "{before:?} {after:?}");
    assert!(after.1 < before.1, "{before:?} {after:?}");
    assert_eq!((&after.0["score"], after.1), (&after.1.into(), after.2));
}

#[test]
fn signs_in_names_are_no_wildcards() {
    let server = world();
    let (client, keyed) = (server.anybody(), server.keyed());
    let ann = did("ann");
    let ask = |types: &str| {
        client.get(&format!("/api/v1/graph/neighbors/{ann}?type={types}")).expect(200)["count"]
            .as_u64()
    };
    let hits = || count(&keyed, "graph:neighbors", "hits");
    // Two questions of which one, read as a pattern, would match the other.
    assert_eq!(
        (ask("*"), ask("professional"), ask("p%3Aq"), ask("p,q")),
        (Some(0), Some(1), Some(0), Some(0))
    );
    let before = hits();
    assert_eq!(
        (ask("*"), ask("professional"), ask("p%3Aq"), ask("p,q")),
        (Some(0), Some(1), Some(0), Some(0))
    );
    assert_eq!(hits(), before + 4, "four questions are four keys");
    // A tag is a name and nothing else.
    keyed.post("/internal/cache/clear", &json!({"tag": "did:plc:*"})).expect(200);
    assert_eq!((ask("*"), hits()), (Some(0), before + 5));
    keyed.post("/internal/cache/clear", &json!({"tag": ann})).expect(200);
    assert_eq!((ask("*"), hits()), (Some(0), before + 5));
}

/// What is kept may lag behind what happens elsewhere; its tag must not: else it would be "not
/// modified" for as long as nothing else happens. Each case: what is asked, what is told first and
/// what comes later, and which kept values run out then.
#[test]
fn an_answer_that_lags_has_no_tag_of_now() {
    let server = Server::new();
    let (client, keyed) = (server.anybody(), server.keyed());
    let tell = |events: &[Value]| tell(&server, events);
    tell(&[knows("q1", "q2", 80), knows("q3", "q4", 80)]);
    // Three hops from the one whose score is asked for.
    tell(&[knows("ann", "ben", 80), knows("cid", "ann", 80), knows("dan", "cid", 80)]);
    let between = format!("from={}&to={}", did("q1"), did("q4"));
    let ben = did("ben");
    let questions = [
        format!("/xrpc/net.rhiz.graph.findPath?{between}&minStrength=0"),
        format!("/xrpc/net.rhiz.trust.predict?{between}"),
        format!("/xrpc/net.rhiz.trust.getMetrics?did={ben}"),
        format!("/api/v1/analytics/trust-metrics/{ben}"),
        format!("/api/v1/analytics/trust-health/{ben}"),
        format!("/api/v1/analytics/predict?{between}&min_strength=0"),
    ];
    let ask = |question: &String| {
        let answer = client.get(question);
        let tag = answer.header("etag").expect("a tag").to_owned();
        (tag, answer.expect(200))
    };
    let first: Vec<_> = questions.iter().map(ask).collect();
    assert_eq!(first[0].1["paths"], json!([]));
    tell(&[knows("q2", "q3", 80), knows("eva", "dan", 90), knows("fay", "cid", 10)]);
    let lagging: Vec<_> = questions.iter().map(ask).collect();
    assert_eq!(lagging[0].1["paths"], json!([]), "it is kept for ten seconds");
    assert_eq!(lagging[2].1, first[2].1, "it is kept for a day");
    for pattern in ["graph:path:*", "trust:*"] {
        keyed.post("/internal/cache/clear", &json!({"pattern": pattern})).expect(200);
    }
    for (question, (tag, _)) in questions.iter().zip(&lagging) {
        let now = client.get_with(question, &[("If-None-Match", tag)]);
        assert_eq!(now.status, 200, "{question}");
        assert_ne!(now.header("etag"), Some(&**tag), "{question}");
        // What is of now is not sent again.
        let tag = now.header("etag").unwrap();
        let tag_is_asked_for = !question.contains("analytics/predict");
        let again = client.get_with(question, &[("If-None-Match", tag)]).status;
        assert_eq!(again, if tag_is_asked_for { 304 } else { 200 }, "{question}");
    }
    let found = ask(&questions[0]).1;
    assert_eq!(found["paths"][0]["distance"], 3, "{found}");
}

#[test]
fn the_paths_of_two_pairs_are_not_one_answer() {
    let server = Server::new();
    let (client, keyed) = (server.anybody(), server.keyed());
    let ends = ["did:web:a.com", "did:web:b.com:did:web:c.com"];
    let others = ["did:web:a.com:did:web:b.com", "did:web:c.com"];
    let states = |[owner, subject]: [&str; 2], strength: u8| {
        let mut event = knows("x", "y", strength).to_string();
        event = event.replace("did:plc:x", owner).replace("did:plc:y", subject);
        serde_json::from_str::<Value>(&event).unwrap()
    };
    tell(&server, &[states(ends, 90), states(others, 40)]);
    for _ in 0..2 {
        for ([from, to], strength) in [(ends, 0.9), (others, 0.4)] {
            let body = json!({"from": from, "to": to, "min_strength": 0});
            let answer = client.post("/api/v1/graph/find-path", &body).expect(200);
            assert_eq!((&answer["from"], &answer["to"]), (&json!(from), &json!(to)));
            let hop = &answer["hops"][0];
            assert_eq!((&hop["from"], &hop["strength"]), (&json!(from), &json!(strength)));
        }
    }
    assert_eq!(count(&keyed, "graph:path", "hits"), 2);
}

/// The average says of when it is.
#[test]
fn the_average_trust_score_says_what_it_is_of() {
    let server = world();
    let client = server.anybody();
    let stats = || client.get("/api/v1/analytics/network-stats").expect(200);
    let before = stats();
    assert_eq!(before["avg_version"], before["graph_version"]);
    let date = before["avg_as_of"].as_str().unwrap();
    assert!(date.len() == 10 && date.starts_with("20"), "{date}");
    tell(&server, &[knows("ann", "zoe", 90)]);
    let after = stats();
    assert_eq!(after["avg_version"], after["graph_version"]);
    assert_ne!(after["avg_trust_score"], before["avg_trust_score"]);
}
