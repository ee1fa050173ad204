//! The records' lexicons and this server's rules are the same: what one allows the other takes.

use crate::{
    http::{Answer, Client},
    lexicon::Lexicons,
    server::Server,
};
use rhiz_domain::{
    Clock, Tid,
    clock::SystemClock,
    syntax::{format_datetime, parse_datetime},
};
use serde_json::{Map, Value, json};

const RECORD: &str = "net.rhiz.relationship.record";
const ATTESTATION: &str = "net.rhiz.relationship.attestation";

fn did(name: &str) -> String {
    format!("did:plc:{name}")
}

/// A record key; the same number gives the same.
fn rkey(n: u16) -> Tid {
    Tid::at(parse_datetime("2024-01-01T00:00:00Z").unwrap(), n)
}

/// A record of a collection with every field that its lexicon has, and the event that brings it.
fn full_record(collection: &str) -> (&'static str, Value) {
    let now = format_datetime(SystemClock::default().now());
    let (me, you) = (did("alice"), did("bob"));
    let target = format!("at://did:plc:bob/{RECORD}/{}", rkey(1));
    match collection {
        RECORD => (
            "relationship.created",
            json!({
                "participants": [me, you], "type": "x".repeat(100), "strength": 100,
                "context": "x".repeat(500),
                "verification": {
                    "consensusScore": 100, "attestationCount": 1, "verifyCount": 1,
                    "disputeCount": 0, "lastUpdated": now, "trend": "stable",
                    "topAttesterReputation": 100,
                },
                "privacy": {"visibility": "public", "consent": "full"},
                "temporal": {
                    "start": now, "lastInteraction": now,
                    "history": [{"timestamp": now, "strength": 1, "event": "x".repeat(200)}],
                },
                "signatures": [{"did": me, "signature": "AAAA", "signedAt": now}],
                "createdAt": now,
            }),
        ),
        ATTESTATION => (
            "attestation.created",
            json!({
                "targetRelationship": target, "attester": me, "attestationType": "verify",
                "confidence": 100, "evidence": "x".repeat(1000), "suggestedStrength": 100,
                "targetFields": ["strength", "type", "context", "verification"],
                "stake": {
                    "amount": 1, "token": "x", "lockedUntil": now, "slashingRisk": 100,
                    "slashed": false,
                },
                "createdAt": now,
            }),
        ),
        "net.rhiz.entity.profile" => (
            "entity.profile.updated",
            json!({
                "displayName": "x".repeat(200), "entityType": "agent", "bio": "x".repeat(1000),
                "avatarUrl": "https://example.org/a.png", "verified": true,
                "metadata": {"$type": RECORD}, "createdAt": now,
            }),
        ),
        "net.rhiz.relationship.context" => (
            "context.updated",
            json!({
                "relationshipUri": target, "domain": "technology", "collaborationType": "advisory",
                "expertise": vec!["x".repeat(100); 20], "semanticTags": vec!["x"; 30],
                "projectNames": vec!["x".repeat(200); 10],
                "outcomes": vec![
                    json!({"type": "x", "description": "x".repeat(200), "value": "1 x", "date": now}); 5
                ],
                "geographicScope": "remote", "confidenceScore": 100, "createdAt": now,
                "updatedAt": now,
            }),
        ),
        "net.rhiz.intro.request" => (
            "intro.updated",
            json!({
                "requester": me, "target": you, "intermediary": did("carol"),
                "context": "x".repeat(500), "message": "x".repeat(2000), "status": "cancelled",
                "pathRef": target, "createdAt": now, "updatedAt": now,
            }),
        ),
        "net.rhiz.trust.metrics" => (
            "context.updated",
            json!({
                "subject": you, "trustScore": 100, "reputation": 100, "reciprocity": 100,
                "consistency": 100, "verificationRatio": 100, "network": 100,
                "relationshipCount": 1, "verifiedRelationshipCount": 1, "lastCalculated": now,
                "createdAt": now,
            }),
        ),
        other => panic!("there is no sample of {other}"),
    }
}

/// Every way to break a record that its lexicon names: JSON pointer and replacement (`None`
/// removes).
fn breaks(
    lexicons: &Lexicons,
    nsid: &str,
    schema: &Value,
    place: &str,
) -> Vec<(String, Option<Value>)> {
    let mut all = Vec::new();
    match schema["type"].as_str().unwrap() {
        "ref" => {
            let (nsid, schema) = lexicons.resolve(nsid, schema["ref"].as_str().unwrap());
            return breaks(lexicons, nsid, schema, place);
        }
        "object" => {
            let properties = schema["properties"].as_object().unwrap();
            for name in schema["required"].as_array().unwrap() {
                all.push((format!("{place}/{}", name.as_str().unwrap()), None));
            }
            for (name, schema) in properties {
                all.extend(breaks(lexicons, nsid, schema, &format!("{place}/{name}")));
            }
            if !place.is_empty() {
                all.push((place.to_owned(), Some(json!("x"))));
            }
        }
        "array" => {
            all.extend(breaks(lexicons, nsid, &schema["items"], &format!("{place}/0")));
            all.push((place.to_owned(), Some(json!({}))));
        }
        "integer" => {
            for (bound, step) in [("minimum", -1), ("maximum", 1)] {
                if let Some(bound) = schema[bound].as_i64() {
                    all.push((place.to_owned(), Some(json!(bound + step))));
                }
            }
            all.push((place.to_owned(), Some(json!(1.5))));
        }
        "boolean" => all.push((place.to_owned(), Some(json!("yes")))),
        "string" if schema["format"].is_string() || schema["enum"].is_array() => {
            all.push((place.to_owned(), Some(json!("not it"))));
        }
        "string" => all.push((place.to_owned(), Some(json!(5)))),
        _ => {}
    }
    all
}

/// Sets or removes what is at a JSON pointer.
fn put(record: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = record.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Some(value)) => drop(map.insert(name.to_owned(), value)),
        (Value::Object(map), None) => drop(map.shift_remove(name).unwrap()),
        (Value::Array(items), Some(value)) => items[name.parse::<usize>().unwrap()] = value,
        (other, value) => panic!("{pointer}: {other} {value:?}"),
    }
}

fn submit(client: &Client, collection: &str, kind: &str, n: u16, record: &Value) -> Answer {
    let rkey = if collection == "net.rhiz.entity.profile" {
        "self".to_owned()
    } else {
        rkey(n).to_string()
    };
    let uri = format!("at://did:plc:alice/{collection}/{rkey}");
    let payload = json!({"uri": uri, "record": record});
    client.post(
        "/internal/events",
        &json!({"event_type": kind, "did": did("alice"), "payload": payload}),
    )
}

#[test]
fn records_that_a_lexicon_allows_are_taken_and_those_it_forbids_are_not() {
    let server = Server::new();
    let client = server.keyed();
    let lexicons = Lexicons::read();
    let (mut taken, mut refused) = (0, 0);
    for (collection, main) in lexicons.all("record") {
        let (kind, mut record) = full_record(collection);
        record["$type"] = json!(collection);
        let fields: Map<String, Value> = main["record"]["properties"].as_object().unwrap().clone();
        for name in fields.keys() {
            assert!(record.get(name).is_some(), "the sample of {collection} has no {name}");
        }
        let mut plain = record.clone();
        plain.as_object_mut().unwrap().shift_remove("metadata");
        assert_eq!(lexicons.record(collection, &plain), [""; 0]);
        submit(&client, collection, kind, 1, &record).expect(202);
        let mut least = record.clone();
        let required = main["record"]["required"].as_array().unwrap();
        least
            .as_object_mut()
            .unwrap()
            .retain(|name, _| name == "$type" || required.contains(&json!(name)));
        submit(&client, collection, kind, 2, &least).expect(202);
        taken += 2;
        if collection == "net.rhiz.trust.metrics" {
            // A claim: kept as it is, whatever it says.
            continue;
        }
        let mut ways = breaks(&lexicons, collection, &main["record"], "");
        for (name, schema) in fields.iter().filter(|(_, s)| s["maxGraphemes"].is_number()) {
            let most = usize::try_from(schema["maxGraphemes"].as_u64().unwrap()).unwrap();
            ways.push((format!("/{name}"), Some(json!("x".repeat(most + 1)))));
        }
        // How much came of it is kept unread.
        ways.retain(|(pointer, _)| !pointer.ends_with("/outcomes/0/value"));
        for (pointer, value) in ways {
            let mut broken = record.clone();
            put(&mut broken, &pointer, value.clone());
            let mut plain = broken.clone();
            plain.as_object_mut().unwrap().shift_remove("metadata");
            assert_ne!(lexicons.record(collection, &plain), [""; 0], "{pointer}: {value:?}");
            let answer = submit(&client, collection, kind, 3, &broken);
            assert_eq!(answer.status, 422, "{collection}{pointer} = {value:?}: {}", answer.text());
            refused += 1;
        }
    }
    assert!(taken == 12 && refused > 100, "{taken} taken, {refused} refused");
}
