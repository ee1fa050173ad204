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
mod manners;
mod outlook;
mod people;
mod records;

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
