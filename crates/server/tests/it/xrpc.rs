//! XRPC: what the methods answer; every answer is checked against its lexicon.

use crate::{
    http::Answer,
    lexicon::Lexicons,
    server::{Data, Server},
};
use jiff::Timestamp;
use rhiz_domain::{
    Clock, Tid,
    clock::SystemClock,
    syntax::{format_datetime, parse_datetime},
};
use serde_json::{Value, json};

mod contract;
mod explained;
mod outlook;

const RECORD: &str = "net.rhiz.relationship.record";
const ATTESTATION: &str = "net.rhiz.relationship.attestation";

fn did(name: &str) -> String {
    format!("did:plc:{name}")
}

/// A record key; the same number gives the same.
fn rkey(n: u16) -> Tid {
    Tid::at(parse_datetime("2024-01-01T00:00:00Z").unwrap(), n)
}

fn uri(owner: &str, collection: &str, n: u16) -> String {
    format!("at://did:plc:{owner}/{collection}/{}", rkey(n))
}

/// Events that make a network.
#[derive(Default)]
pub(crate) struct Story(Vec<Value>);

impl Story {
    fn event(&mut self, kind: &str, who: &str, payload: Value) {
        self.0.push(json!({"event_type": kind, "did": did(who), "payload": payload}));
    }

    /// `a` states `b`, in flat form: what was last is not known, so that no day matters.
    pub(crate) fn states(&mut self, n: u16, a: &str, b: &str, strength: u8) -> String {
        let uri = uri(a, RECORD, n);
        self.event(
            "relationship.created",
            a,
            json!({
                "uri": uri, "participants": [did(a), did(b)], "type": "professional",
                "strength": strength, "context": "", "created_at": "2024-01-01T00:00:00Z",
            }),
        );
        uri
    }

    /// `a` states `b`, in full.
    fn states_in_full(&mut self, n: u16, a: &str, b: &str, privacy: [&str; 2]) -> String {
        let uri = uri(a, RECORD, n);
        let record = json!({
            "$type": RECORD, "participants": [did(a), did(b)], "type": "family", "strength": 70,
            "context": "secret words",
            "privacy": {"visibility": privacy[0], "consent": privacy[1]},
            "temporal": {
                "start": "2020-01-01T00:00:00Z", "lastInteraction": "2020-02-01T00:00:00Z",
                "history": [{
                    "timestamp": "2020-01-01T00:00:00Z", "strength": 7, "event": "secret event",
                }],
            },
            "createdAt": "2024-01-01T00:00:00Z",
            "note": "secret note",
        });
        self.event("relationship.created", a, json!({"uri": uri, "record": record}));
        uri
    }

    /// `a` states `b`, today, and that they met last at a time.
    pub(crate) fn states_of_late(
        &mut self,
        n: u16,
        a: &str,
        b: &str,
        strength: u8,
        met: Timestamp,
    ) {
        let met = format_datetime(met);
        let now = format_datetime(SystemClock::default().now());
        let record = json!({
            "$type": RECORD, "participants": [did(a), did(b)], "type": "social",
            "strength": strength, "context": "",
            "privacy": {"visibility": "public", "consent": "full"},
            "temporal": {"start": met, "lastInteraction": met}, "createdAt": now,
        });
        let uri = uri(a, RECORD, n);
        self.event("relationship.created", a, json!({"uri": uri, "record": record}));
    }

    fn attests(&mut self, n: u16, who: &str, on: &str, kind: &str, confidence: u8) -> String {
        let uri = uri(who, ATTESTATION, n);
        let record = json!({
            "$type": ATTESTATION, "targetRelationship": on, "attester": did(who),
            "attestationType": kind, "confidence": confidence, "evidence": "secret evidence",
            "createdAt": format!("2024-01-{n:02}T00:00:00Z"),
        });
        self.event("attestation.created", who, json!({"uri": uri, "record": record}));
        uri
    }

    /// Until all of it is in every answer.
    pub(crate) fn tell(self, server: &Server) {
        server.keyed().try_batch(&self.0).unwrap().expect(202);
        server.settled();
    }
}

/// Alice and Bob know each other, Bob and Carol do, Alice also states Carol; Dave states Alice for
/// the network, Erin states Alice in private, Frank states Bob and will not be named. There are
/// five attestations on what Alice states of Bob.
pub(crate) struct World {
    pub(crate) server: Server,
    lexicons: Lexicons,
    alice_bob: String,
    attestations: Vec<String>,
    dave_alice: String,
    erin_alice: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut story = Story::default();
        let alice_bob = story.states(1, "alice", "bob", 80);
        story.states(2, "bob", "alice", 90);
        story.states(3, "bob", "carol", 60);
        story.states(4, "carol", "bob", 60);
        story.states(5, "alice", "carol", 57);
        let dave_alice = story.states_in_full(6, "dave", "alice", ["network", "full"]);
        let erin_alice = story.states_in_full(7, "erin", "alice", ["private", "full"]);
        story.states_in_full(8, "frank", "bob", ["public", "anonymous"]);
        let attestations = [
            ("gus", "verify", 90),
            ("gus", "verify", 95),
            ("hal", "dispute", 60),
            ("ida", "strengthen", 30),
            ("jon", "verify", 10),
        ];
        let attestations = (1..)
            .zip(attestations)
            .map(|(n, (who, kind, c))| story.attests(n, who, &alice_bob, kind, c))
            .collect();
        story.attests(9, "ida", &dave_alice, "verify", 50);
        let profile = json!({
            "$type": "net.rhiz.entity.profile", "displayName": "Alice Å", "entityType": "person",
            "bio": "Knows Bob.", "avatarUrl": "https://example.org/a.png", "verified": true,
            "createdAt": "2024-02-03T04:05:06.789Z",
        });
        let own = "at://did:plc:alice/net.rhiz.entity.profile/self";
        story.event("entity.profile.updated", "alice", json!({"uri": own, "record": profile}));
        story.event("identity.updated", "alice", json!({"handle": "alice.example.org"}));
        let server = Server::new();
        story.tell(&server);
        let lexicons = Lexicons::read();
        Self { server, lexicons, alice_bob, attestations, dave_alice, erin_alice }
    }

    fn ask(&self, method: &str, query: &str) -> Answer {
        self.server.anybody().get(&format!("/xrpc/{method}?{query}"))
    }

    /// An answer, which has to be as its lexicon says.
    fn good(&self, method: &str, query: &str) -> Value {
        let answer = self.ask(method, query).expect(200);
        let wrong = self.lexicons.answer(method, &answer);
        assert!(wrong.is_empty(), "{method}?{query}:\n{}", wrong.join("\n"));
        answer
    }

    /// An error; its name has to be one that the lexicon declares, or the protocol itself.
    fn refused(&self, method: &str, query: &str) -> (u16, String, String) {
        let answer = self.ask(method, query);
        let error = refusal(&answer);
        let main = self.lexicons.main(method);
        let declared = main["errors"].as_array().into_iter().flatten();
        assert!(
            error.0 == "InvalidRequest" || declared.into_iter().any(|e| e["name"] == error.0),
            "{method}?{query}: {error:?} is not declared"
        );
        (answer.status, error.0, error.1)
    }
}

/// Name and message of an error, which has nothing else.
fn refusal(answer: &Answer) -> (String, String) {
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.text());
    let json = answer.json();
    let map = json.as_object().unwrap();
    assert_eq!(map.keys().collect::<Vec<_>>(), ["error", "message"]);
    let text = |name: &str| map[name].as_str().unwrap().to_owned();
    assert!(!text("message").is_empty(), "{json}");
    (text("error"), text("message"))
}

#[test]
fn paths_come_strongest_first_and_none_is_an_empty_list() {
    let world = World::new();
    let answer = world.good("net.rhiz.graph.findPath", "from=did:plc:alice&to=did:plc:carol");
    let paths: Vec<_> = answer["paths"].as_array().unwrap().iter().map(shape).collect();
    // Last interaction unknown: d = 0.5. One-sided: m = 0.8. So 0.57·0.5·0.8 = 0.228 directly, and
    // over Bob (0.8·0.5)·(0.6·0.5) = 0.12; the attesters are strangers and move nothing.
    assert_eq!(
        paths,
        [
            (23, 1, vec!["alice 57 carol".to_owned()]),
            (12, 2, vec!["alice 80 bob".to_owned(), "bob 60 carol".to_owned()]),
        ]
    );
    assert_eq!(answer["paths"][1]["hops"][0]["relationshipUri"], world.alice_bob);
    assert!(answer["paths"][1]["hops"][0]["relationshipCid"].is_string());
    for (query, totals) in [
        ("from=alice.example.org&to=did:plc:carol", vec![23, 12]),
        ("from=did:plc:alice&to=did:plc:carol&limit=1", vec![23]),
        ("from=did:plc:alice&to=did:plc:carol&maxHops=1", vec![23]),
        ("from=did:plc:alice&to=did:plc:carol&minStrength=58", vec![12]),
        ("from=did:plc:alice&to=did:plc:carol&minStrength=61", vec![]),
        ("from=did:plc:alice&to=did:plc:carol&excludeDids=did:plc:bob", vec![23]),
        (
            "from=did:plc:alice&to=did:plc:carol&excludeDids=did:plc:x&excludeDids=did:plc:bob",
            vec![23],
        ),
        ("from=did:plc:alice&to=did:plc:carol&relationshipTypes=family", vec![]),
        (
            "from=did:plc:alice&to=did:plc:carol&relationshipTypes=family&relationshipTypes=professional",
            vec![23, 12],
        ),
    ] {
        let answer = world.good("net.rhiz.graph.findPath", query);
        let found: Vec<_> =
            answer["paths"].as_array().unwrap().iter().map(|p| &p["totalStrength"]).collect();
        assert_eq!(found, totals.iter().collect::<Vec<_>>(), "{query}");
    }
}

fn shape(path: &Value) -> (i64, i64, Vec<String>) {
    let name = |v: &Value| v.as_str().unwrap().replace("did:plc:", "");
    let hop = |h: &Value| format!("{} {} {}", name(&h["from"]), h["strength"], name(&h["to"]));
    (
        path["totalStrength"].as_i64().unwrap(),
        path["distance"].as_i64().unwrap(),
        path["hops"].as_array().unwrap().iter().map(hop).collect(),
    )
}

#[test]
fn neighbours_come_by_trust_page_by_page_and_who_is_anonymous_does_not() {
    let world = World::new();
    let names = |answer: &Value| -> Vec<String> {
        let all = answer["neighbors"].as_array().unwrap().iter();
        all.map(|n| n["entity"]["did"].as_str().unwrap().replace("did:plc:", "")).collect()
    };
    const METHOD: &str = "net.rhiz.graph.getNeighbors";
    let all = world.good(METHOD, "did=did:plc:alice");
    assert_eq!(names(&all), ["bob", "carol", "dave"]);
    assert_eq!(all.get("cursor"), None);
    assert_eq!(all["neighbors"][2]["type"], "family");
    let mut seen = Vec::new();
    let mut query = "did=did:plc:alice&limit=1".to_owned();
    loop {
        let page = world.good(METHOD, &query);
        seen.extend(names(&page));
        let Some(cursor) = page["cursor"].as_str() else { break };
        query = format!("did=did:plc:alice&limit=1&cursor={cursor}");
    }
    assert_eq!(seen, ["bob", "carol", "dave"]);
    assert_eq!(names(&world.good(METHOD, "did=did:plc:bob")), ["alice", "carol"], "not frank");
    let strong = world.good(METHOD, "did=did:plc:alice&minStrength=58");
    assert_eq!(names(&strong), ["bob", "dave"]);
    let family = world.good(METHOD, "did=did:plc:alice&relationshipTypes=family");
    assert_eq!(names(&family), ["dave"]);
    let (_, error, message) = world.refused(METHOD, "did=did:plc:alice&cursor=nonsense");
    assert_eq!(error, "InvalidRequest");
    assert!(message.contains("cursor"), "{message}");
}

#[test]
fn an_entity_is_shown_with_all_that_is_known_of_it() {
    let world = World::new();
    let expected = json!({
        "did": "did:plc:alice", "handle": "alice.example.org", "displayName": "Alice Å",
        "entityType": "person", "bio": "Knows Bob.", "avatarUrl": "https://example.org/a.png",
        "verified": true, "createdAt": "2024-02-03T04:05:06.789Z",
    });
    for actor in ["did:plc:alice", "alice.example.org"] {
        let mut shown = world.good("net.rhiz.entity.getProfile", &format!("actor={actor}"));
        assert!(shown.as_object_mut().unwrap().remove("updatedAt").is_some());
        assert_eq!(shown, expected, "{actor}");
    }
    let bob = world.good("net.rhiz.entity.getProfile", "actor=did:plc:bob");
    assert_eq!(
        (&bob["handle"], &bob["displayName"], &bob["entityType"], &bob["createdAt"]),
        (
            &json!("handle.invalid"),
            &json!(""),
            &json!("person"),
            &json!("2024-01-01T00:00:00.000Z")
        )
    );
    // Only an attestation names her: she is somebody all the same.
    world.good("net.rhiz.entity.getProfile", "actor=did:plc:hal");
}

#[test]
fn scores_are_those_of_rest_rounded_half_up() {
    let world = World::new();
    let client = world.server.anybody();
    let uri = &world.alice_bob;
    let rest = client
        .get(&format!("/api/v1/relationships/{}", uri.replace(':', "%3A").replace('/', "%2F")))
        .expect(200);
    let score = world.good("net.rhiz.conviction.getScore", &format!("uri={uri}"));
    assert_eq!(score["uri"], *uri);
    let conviction = &score["conviction"];
    for (own, other) in [
        ("score", "score"),
        ("attestationCount", "attestation_count"),
        ("verifyCount", "verify_count"),
        ("disputeCount", "dispute_count"),
        ("strengthenCount", "strengthen_count"),
        ("weakenCount", "weaken_count"),
        ("trend", "trend"),
    ] {
        assert_eq!(conviction[own], rest["conviction"][other], "{own}");
    }
    assert_eq!(conviction["attestationCount"], 4, "of one attester the newest counts");
    let nobody =
        world.good("net.rhiz.conviction.getScore", &format!("uri={}", self::uri("bob", RECORD, 2)));
    assert_eq!(
        (&nobody["conviction"]["score"], nobody["conviction"].get("lastUpdated")),
        (&json!(0), None)
    );

    let rest = client.get("/api/v1/analytics/trust-metrics/did:plc:alice").expect(200);
    let metrics = world.good("net.rhiz.trust.getMetrics", "did=did:plc:alice");
    for (own, other) in [
        ("trustScore", "trust_score"),
        ("reputation", "reputation"),
        ("reciprocity", "reciprocity"),
        ("consistency", "consistency"),
        ("verificationRatio", "verification_ratio"),
        ("network", "network"),
        ("standing", "standing"),
    ] {
        let rounded = (rest[other].as_f64().unwrap() * 100.0 + 0.5).floor();
        assert_eq!(metrics[own].as_f64().unwrap(), rounded, "{own}");
    }
    assert_eq!(metrics["relationshipCount"], rest["relationship_count"]);
    assert_eq!(metrics["did"], "did:plc:alice");
}

#[test]
fn attestations_come_newest_first_and_a_new_one_moves_no_page() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.conviction.listAttestations";
    let uris = |answer: &Value| -> Vec<String> {
        let all = answer["attestations"].as_array().unwrap().iter();
        all.map(|a| a["uri"].as_str().unwrap().to_owned()).collect()
    };
    let on = format!("uri={}", world.alice_bob);
    let expected: Vec<String> = world.attestations.iter().rev().cloned().collect();
    let all = world.good(METHOD, &on);
    assert_eq!(uris(&all), expected);
    let first = &all["attestations"][0];
    assert_eq!(first["attester"]["did"], "did:plc:jon");
    assert_eq!(first["record"]["evidence"], "secret evidence", "of a public relationship");
    assert_eq!(first["attesterReputation"], 50, "nothing is known of him");

    let page = world.good(METHOD, &format!("{on}&limit=2"));
    assert_eq!(uris(&page), expected[..2]);
    let mut story = Story::default();
    story.attests(20, "kim", &world.alice_bob, "verify", 50);
    story.tell(&world.server);
    let cursor = page["cursor"].as_str().unwrap();
    let page = world.good(METHOD, &format!("{on}&limit=2&cursor={cursor}"));
    assert_eq!(uris(&page), expected[2..4], "neither repeated nor left out");
    let cursor = page["cursor"].as_str().unwrap();
    let page = world.good(METHOD, &format!("{on}&limit=2&cursor={cursor}"));
    assert_eq!((uris(&page), page.get("cursor")), (expected[4..].to_vec(), None));

    let disputes = world.good(METHOD, &format!("{on}&type=dispute"));
    assert_eq!(uris(&disputes), [world.attestations[2].clone()]);
    let sure = world.good(METHOD, &format!("{on}&minConfidence=90&type=verify"));
    assert_eq!(uris(&sure), [world.attestations[1].clone(), world.attestations[0].clone()]);
    let network = world.good(METHOD, &format!("uri={}", world.dave_alice));
    assert_eq!(uris(&network).len(), 1);
    assert_eq!(network["attestations"][0]["record"].get("evidence"), None, "not for anybody");
}

#[test]
fn a_record_is_shown_without_the_texts_that_are_not_for_all() {
    let world = World::new();
    const METHOD: &str = "net.rhiz.relationship.getRecord";
    let shown = world.ask(METHOD, &format!("uri={}", world.dave_alice));
    assert!(!shown.text().contains("secret"), "{}", shown.text());
    let shown = world.good(METHOD, &format!("uri={}", world.dave_alice));
    assert_eq!(
        (&shown["textsHidden"], &shown["visibility"], &shown["record"]["strength"]),
        (&json!(true), &json!("network"), &json!(70))
    );
    assert_eq!(shown["owner"], "did:plc:dave");
    assert_eq!(shown["subject"], "did:plc:alice");
    assert_eq!(shown["trustFactors"]["mutuality"], 80);

    // What its author wrote is shown as it is, also what no lexicon knows.
    let frank = world.ask(METHOD, &format!("uri={}", uri("frank", RECORD, 8))).expect(200);
    assert_eq!(
        (&frank["textsHidden"], &frank["record"]["context"], &frank["record"]["note"]),
        (&json!(false), &json!("secret words"), &json!("secret note"))
    );
}

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
