//! What is refused, where it is, and in which words; and that both forms mean the same.

mod envelope;
mod flat;
mod record;

use rhiz_domain::{
    Collection, Did, Effect, Event, EventId, EventType, Origin, Priority, Record, RecordWrite, Tid,
    fact::{Consent, Visibility},
    payload::{self, Operation, interpret},
};
use serde_json::{Value, json};

const OWNER: &str = "did:plc:owner";
const OTHER: &str = "did:plc:other";
const KEY: &str = "3mbcvv5yzzk2a";
const REV: &str = "3mbcvv5yzzk2b";
const NOW: &str = "2026-02-01T00:00:00Z";

pub(crate) fn event(kind: EventType, payload: &Value) -> Event {
    Event {
        effect: Default::default(),
        event_id: EventId::parse("e").unwrap(),
        event_type: kind,
        did: Did::parse(OWNER).unwrap(),
        payload: serde_json::value::to_raw_value(payload).unwrap(),
        priority: Priority::Normal,
        timestamp: NOW.parse().unwrap(),
        replayed_at: None,
        assigned_rev: None,
        retry_count: 0,
        stages: vec![],
        origin: Origin::Api,
        verified: false,
    }
}

fn uri(collection: Collection) -> String {
    match collection {
        Collection::Profile => collection.uri(OWNER, Tid::ZERO),
        _ => collection.uri(OWNER, Tid::parse(KEY).unwrap()),
    }
}

fn about(collection: Collection, record: Value) -> Value {
    json!({"uri": uri(collection), "rev": REV, "record": record})
}

fn relationship() -> Value {
    json!({
        "$type": "net.rhiz.relationship.record",
        "participants": [OWNER, OTHER],
        "type": "professional",
        "strength": 80,
        "context": "They built a bridge.",
        "privacy": {"visibility": "public", "consent": "full"},
        "temporal": {"start": "2020-01-01T00:00:00Z", "lastInteraction": "2026-01-01T00:00:00Z"},
        "createdAt": "2026-01-01T00:00:00Z",
    })
}

fn attestation() -> Value {
    json!({
        "targetRelationship": format!("at://{OTHER}/net.rhiz.relationship.record/{KEY}"),
        "attester": OWNER,
        "attestationType": "verify",
        "confidence": 90,
        "createdAt": "2026-01-01T00:00:00Z",
    })
}

fn profile() -> Value {
    json!({"displayName": "Ada", "entityType": "person", "createdAt": "2026-01-01T00:00:00Z"})
}

fn intro() -> Value {
    json!({
        "requester": OWNER, "target": OTHER, "context": "", "message": "Hello",
        "status": "pending", "createdAt": "2026-01-01T00:00:00Z",
    })
}

fn context() -> Value {
    json!({
        "relationshipUri": format!("at://{OTHER}/net.rhiz.relationship.record/{KEY}"),
        "createdAt": "2026-01-01T00:00:00Z",
    })
}

fn fine(collection: Collection) -> Value {
    match collection {
        Collection::Relationship => relationship(),
        Collection::Attestation => attestation(),
        Collection::Profile => profile(),
        Collection::Intro => intro(),
        Collection::Context => context(),
        Collection::Claim => json!({"score": 99}),
    }
}

/// `record` with the value at the dotted path replaced; `Value::Null` removes it.
fn with(mut record: Value, path: &str, value: Value) -> Value {
    let mut place = &mut record;
    let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
    for name in parents.split('.').filter(|n| !n.is_empty()) {
        place = &mut place[name];
    }
    let map = place.as_object_mut().unwrap();
    if value.is_null() {
        map.remove(last);
    } else {
        map.insert(last.into(), value);
    }
    record
}

fn write(kind: EventType, payload: &Value) -> RecordWrite {
    match interpret(&event(kind, payload)) {
        Ok(Effect::Record(write)) => std::sync::Arc::unwrap_or_clone(write),
        other => panic!("{other:?}"),
    }
}
