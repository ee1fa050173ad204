//! A few people and what they state, as events for `POST /internal/events`.

use crate::{http::Client, server::Server};
use rhiz_domain::{Clock, Collection, Tid, clock::SystemClock, syntax::format_datetime};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicI64, Ordering};

/// Whoever is called so.
pub(crate) fn did(name: &str) -> String {
    format!("did:plc:{name}")
}

/// A revision that is greater than all before it.
fn rev() -> Tid {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let now = SystemClock::default().now().as_microsecond();
    let last = LAST.fetch_max(now, Ordering::Relaxed).max(now);
    let rev = last.max(LAST.fetch_add(1, Ordering::Relaxed) + 1);
    Tid::from_u64((rev as u64) << 10).unwrap()
}

/// The URI of the record that `owner` has about `subject`.
pub(crate) fn uri(owner: &str, subject: &str) -> String {
    let hash = subject.bytes().fold(7_u64, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
    let key = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1;
    Collection::Relationship.uri(&did(owner), Tid::from_u64(key).unwrap())
}

/// `owner` states that it knows `subject`: public, consent full, today.
pub(crate) fn knows(owner: &str, subject: &str, strength: u8) -> Value {
    let now = format_datetime(SystemClock::default().now());
    json!({
        "event_type": "relationship.created",
        "did": did(owner),
        "payload": {
            "uri": uri(owner, subject),
            "rev": rev().to_string(),
            "record": {
                "$type": Collection::Relationship.nsid(),
                "participants": [did(owner), did(subject)],
                "type": "professional",
                "strength": strength,
                "context": "met at the harbour",
                "privacy": {"visibility": "public", "consent": "full"},
                "temporal": {
                    "start": now,
                    "lastInteraction": now,
                    "history": [{"timestamp": now, "strength": strength}],
                },
                "createdAt": now,
            },
        },
    })
}

/// The same under other rules of privacy.
pub(crate) fn under(mut event: Value, visibility: &str, consent: &str) -> Value {
    event["payload"]["record"]["privacy"] = json!({"visibility": visibility, "consent": consent});
    event
}

/// `owner` takes back what it stated.
pub(crate) fn forgets(owner: &str, subject: &str) -> Value {
    json!({
        "event_type": "relationship.deleted",
        "did": did(owner),
        "payload": {"uri": uri(owner, subject), "rev": rev().to_string()},
    })
}

/// `by` says something of the record that `owner` has about `subject`.
pub(crate) fn says(by: &str, kind: &str, owner: &str, subject: &str) -> Value {
    let rev = rev();
    json!({
        "event_type": "attestation.created",
        "did": did(by),
        "payload": {
            "uri": Collection::Attestation.uri(&did(by), rev),
            "rev": rev.to_string(),
            "attester_did": did(by),
            "target_uri": uri(owner, subject),
            "attestation_type": kind,
            "confidence": 90,
        },
    })
}

/// The account is usable or not; `deleted` is for ever.
pub(crate) fn account(who: &str, active: bool, status: Option<&str>) -> Value {
    let time = rev().time().to_string();
    json!({
        "event_type": "account.updated",
        "did": did(who),
        "payload": {"active": active, "status": status, "time": time},
    })
}

/// How somebody presents themselves.
pub(crate) fn profile(who: &str, name: &str) -> Value {
    json!({
        "event_type": "entity.profile.updated",
        "did": did(who),
        "payload": {
            "uri": Collection::Profile.uri(&did(who), Tid::ZERO),
            "rev": rev().to_string(),
            "record": {
                "$type": Collection::Profile.nsid(),
                "displayName": name,
                "entityType": "person",
                "createdAt": format_datetime(SystemClock::default().now()),
            },
        },
    })
}

/// Posts events, one request each, and waits until all of them are in every answer.
pub(crate) fn tell(server: &Server, events: &[Value]) {
    let client = server.keyed();
    for event in events {
        assert_eq!(client.post("/internal/events", event).expect(202)["status"], "enqueued");
    }
    server.settled();
}

/// Names on the best path, ends and all; none when there is no path.
pub(crate) fn path(client: &Client, from: &str, to: &str) -> Option<Vec<String>> {
    let body = json!({"from": did(from), "to": did(to), "min_strength": 0});
    let answer = client.post("/api/v1/graph/find-path", &body);
    if answer.status == 404 {
        assert!(["no_path", "entity_not_found"].contains(&answer.json()["code"].as_str().unwrap()));
        return None;
    }
    let answer = answer.expect(200);
    let name = |v: &Value| v.as_str().unwrap().trim_start_matches("did:plc:").to_owned();
    let hops = answer["hops"].as_array().unwrap();
    Some([name(&answer["from"])].into_iter().chain(hops.iter().map(|h| name(&h["to"]))).collect())
}

/// Names of the neighbours; none when there is no such entity.
pub(crate) fn neighbours(client: &Client, of: &str) -> Option<Vec<String>> {
    let answer = client.get(&format!("/api/v1/graph/neighbors/{}", did(of)));
    if answer.status == 404 {
        return None;
    }
    let answer = answer.expect(200);
    let name =
        |n: &Value| n["entity_id"].as_str().unwrap().trim_start_matches("did:plc:").to_owned();
    let mut names: Vec<String> = answer["neighbors"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    Some(names)
}

/// The relationship by its URI: status and body.
pub(crate) fn relationship(client: &Client, owner: &str, subject: &str) -> crate::http::Answer {
    client.get(&format!("/api/v1/relationships/{}", uri(owner, subject).replace('/', "%2F")))
}
