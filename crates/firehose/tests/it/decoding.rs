//! One message: what becomes of it.

use crate::messages::{ALICE, BOB, T0, created, event, now, relationship_record, rev};
use proptest::prelude::*;
use rhiz_domain::{EventType, Origin, Priority, store::Rejected};
use rhiz_firehose::{Decoded, MAX_MESSAGE, Message, Place, decode};
use serde_json::{Value, json};

fn jetstream(message: impl AsRef<[u8]>) -> Message {
    decode(message.as_ref(), Place::Jetstream, now())
}

fn rejected(message: impl AsRef<[u8]>) -> Rejected {
    match jetstream(message).decoded {
        Decoded::Rejected(rejected) => rejected,
        other => panic!("{other:?} is not rejected"),
    }
}

/// `created`, with one field changed (a JSON pointer) or, for null, taken away.
fn with(pointer: &str, value: Value) -> String {
    let mut message = created(T0);
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = message.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.shift_remove(name);
    } else {
        parent.insert(name.into(), value);
    }
    message.to_string()
}

#[test]
fn a_commit_becomes_an_event_with_its_record_as_written() {
    // Odd spacing, an escape, an unknown field: the author's text stays as it is.
    let record = relationship_record().to_string();
    let record = format!("{} , \"x\\u0041\" : 150 }}", &record[..record.len() - 1]);
    let message = format!(
        r#"{{"did":"{ALICE}","time_us":{T0},"kind":"commit","commit":{{"rev":"{rev}","operation":"create","collection":"net.rhiz.relationship.record","rkey":"{rev}","record":{record},"cid":"bafyreiftot7eltsc3f6g4qktykmbv6jcmdmhcx5osscan6jpdxkpqcmcza"}}}}"#,
        rev = rev(T0)
    );
    let seen = jetstream(&message);
    assert_eq!(seen.time_us, Some(T0));
    let event = match seen.decoded {
        Decoded::Event(event) => event,
        other => panic!("{other:?}"),
    };
    assert_eq!(event.event_type, EventType::RelationshipCreated);
    assert_eq!(event.did.as_str(), ALICE);
    assert_eq!(event.priority, Priority::Normal);
    assert_eq!(event.timestamp, now());
    assert_eq!(event.origin, Origin::Jetstream { time_us: T0 });
    assert!(!event.verified && event.assigned_rev.is_none() && event.stages.is_empty());
    assert!(event.payload.get().contains(&record), "the record was written anew");
    let payload: Value = serde_json::from_str(event.payload.get()).unwrap();
    assert_eq!(payload["uri"], format!("at://{ALICE}/net.rhiz.relationship.record/{}", rev(T0)));
    assert_eq!(payload["rev"], rev(T0).to_string());
    assert!(payload["cid"].as_str().unwrap().starts_with("bafyrei"));
}

#[test]
fn every_collection_and_operation_has_its_type() {
    let at = "2025-12-31T00:00:00Z";
    let target = format!("at://{ALICE}/net.rhiz.relationship.record/{}", rev(T0));
    let cases = [
        ("net.rhiz.relationship.record", relationship_record(), "relationship", true),
        (
            "net.rhiz.relationship.attestation",
            json!({"targetRelationship": target, "attester": ALICE, "attestationType": "verify",
                   "confidence": 90, "createdAt": at}),
            "attestation",
            true,
        ),
        (
            "net.rhiz.entity.profile",
            json!({"displayName": "Alice", "entityType": "person", "createdAt": at}),
            "entity.profile",
            false,
        ),
        (
            "net.rhiz.intro.request",
            json!({"requester": ALICE, "target": BOB, "context": "c", "message": "m",
                   "status": "pending", "createdAt": at}),
            "intro",
            false,
        ),
        (
            "net.rhiz.relationship.context",
            json!({"relationshipUri": target, "createdAt": at}),
            "context",
            false,
        ),
        ("net.rhiz.trust.metrics", json!({"anything": 1}), "context", false),
    ];
    for (collection, record, family, has_created) in cases {
        let profile = collection == "net.rhiz.entity.profile";
        let rkey = if profile { "self".into() } else { rev(T0).to_string() };
        for operation in ["create", "update", "delete"] {
            let mut message = created(T0);
            let commit = &mut message["commit"];
            commit["collection"] = json!(collection);
            commit["operation"] = json!(operation);
            commit["rkey"] = json!(rkey);
            commit["record"] = record.clone();
            let event = event(&message);
            let verb = match operation {
                "create" if has_created => "created",
                "delete" => "deleted",
                _ => "updated",
            };
            assert_eq!(event.event_type.as_str(), format!("{family}.{verb}"));
            assert_eq!(event.priority, event.event_type.default_priority());
            // A delete says nothing of a record, even where its source does.
            let payload: Value = serde_json::from_str(event.payload.get()).unwrap();
            assert_eq!(payload.get("record").is_some(), operation != "delete");
            assert_eq!(payload.get("cid").is_some(), operation != "delete");
        }
    }
}

#[test]
fn identity_and_account_carry_the_time_of_their_host_or_else_of_the_stream() {
    let cases = [
        (
            json!({"did": ALICE, "time_us": T0, "kind": "identity", "identity":
                {"did": ALICE, "seq": 7, "time": "2025-12-31T23:00:00Z", "handle": "a.example.com"}}),
            json!({"handle": "a.example.com", "seq": 7, "time": "2025-12-31T23:00:00Z"}),
        ),
        (
            json!({"did": ALICE, "time_us": T0 + 5, "kind": "identity", "identity": {}}),
            json!({"time": "2026-01-01T00:00:00.000005Z"}),
        ),
        (
            json!({"did": ALICE, "time_us": T0, "kind": "account", "account":
                {"active": false, "did": ALICE, "seq": 8, "status": "deleted", "time": "2025-12-31T23:00:00Z"}}),
            json!({"active": false, "status": "deleted", "seq": 8, "time": "2025-12-31T23:00:00Z"}),
        ),
        (
            json!({"did": ALICE, "time_us": T0, "kind": "account", "account": {"active": true}}),
            json!({"active": true, "time": "2026-01-01T00:00:00.000000Z"}),
        ),
    ];
    for (message, payload) in cases {
        let event = event(&message);
        assert_eq!(
            event.event_type.as_str(),
            format!("{}.updated", message["kind"].as_str().unwrap())
        );
        assert_eq!(serde_json::from_str::<Value>(event.payload.get()).unwrap(), payload);
    }
}

#[test]
fn what_does_not_concern_us_is_passed_and_moves_the_cursor() {
    let like = with("/commit/collection", json!("app.bsky.feed.like"));
    let unknown = with("/kind", json!("weather"));
    let odd = json!({"did": 5, "time_us": T0, "kind": "commit",
                     "commit": {"collection": "app.bsky.feed.post", "rkey": 7}});
    for message in [like, unknown, odd.to_string()] {
        let seen = jetstream(&message);
        assert!(matches!(seen.decoded, Decoded::Passed), "{message}: {:?}", seen.decoded);
        assert_eq!(seen.time_us, Some(T0));
    }
}

#[test]
fn what_cannot_become_an_event_is_rejected_with_the_reason() {
    let deep = "[".repeat(200_000);
    let deep_record = with("/commit/record", json!("DEEP"))
        .replace("\"DEEP\"", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)));
    let cases: Vec<(String, &str)> = vec![
        ("".into(), "not JSON"),
        ("{".into(), "not JSON"),
        ("[]".into(), "has to be a JSON object"),
        ("{}".into(), "kind: it is required"),
        (r#"{"$type":"message","payload":{}}"#.into(), "Jetstream v1"),
        (deep, "not JSON"),
        (deep_record, "recursion limit"),
        (with("/did", json!("alice")), "did: "),
        (with("/did", Value::Null), "missing field `did`"),
        (with("/time_us", Value::Null), "missing field `time_us`"),
        (with("/time_us", json!(-1)), "time_us: -1"),
        (with("/time_us", json!(T0 + 3_600_000_000 + 300_000_001)), "five minutes in the future"),
        (with("/time_us", json!("soon")), "invalid type"),
        (with("/commit", Value::Null), "commit: it is required"),
        (with("/commit/rev", Value::Null), "missing field `rev`"),
        (with("/commit/rev", json!("latest")), "payload.rev"),
        (with("/commit/rev", json!(rev(T0 + 4_000_000_000))), "in the future"),
        (with("/commit/rkey", json!("not/a/key")), "payload.uri"),
        (with("/commit/rkey", json!("self")), "payload.uri"),
        (with("/commit/cid", json!("Qm")), "payload.cid"),
        (with("/commit/operation", json!("upsert")), "allowed: create, update, delete"),
        (with("/commit/record", Value::Null), "payload.record: it is required"),
        (with("/commit/record", json!([])), "payload.record"),
        (with("/commit/record/strength", json!(101)), "payload.record.strength"),
        (with("/commit/record/participants", json!([BOB, BOB])), "payload.record.participants"),
        (json!({"did": ALICE, "time_us": T0, "kind": "identity"}).to_string(), "identity: it is"),
        (json!({"did": ALICE, "time_us": T0, "kind": "account"}).to_string(), "account: it is"),
        (
            json!({"did": ALICE, "time_us": T0, "kind": "account", "account": {}}).to_string(),
            "payload.active",
        ),
        (
            json!({"did": ALICE, "time_us": T0, "kind": "identity", "identity": {"did": BOB}})
                .to_string(),
            "identity.did: it differs",
        ),
        (
            json!({"did": ALICE, "time_us": T0, "kind": "account",
                   "account": {"active": true, "time": "2027-01-01T00:00:00Z"}})
            .to_string(),
            "payload.time",
        ),
    ];
    for (message, reason) in cases {
        let shown: String = message.chars().take(200).collect();
        let rejected = rejected(&message);
        assert!(rejected.reason.contains(reason), "{shown}: {}", rejected.reason);
        assert!(rejected.reason.len() <= 2051, "{}", rejected.reason.len());
        let kept = message.len().min(Rejected::MAX_RAW);
        assert_eq!(rejected.raw, message.as_bytes()[..kept]);
        assert_eq!(rejected.at, now());
    }
    assert!(rejected(b"\xff\xfe").reason.contains("not UTF-8"));
}

#[test]
fn a_rejected_message_says_whose_and_what_it_is_as_far_as_is_known() {
    let invalid = rejected(with("/commit/record/strength", json!(-1)));
    assert_eq!(invalid.did.unwrap().as_str(), ALICE);
    assert_eq!(invalid.event_type, Some(EventType::RelationshipCreated));
    assert_eq!(invalid.origin, Origin::Jetstream { time_us: T0 });

    let shapeless = rejected(with("/commit/rev", json!(5)));
    assert_eq!(shapeless.did.unwrap().as_str(), ALICE);
    assert_eq!(shapeless.event_type, None);

    let unknown = rejected("no JSON");
    assert_eq!((unknown.did, unknown.event_type), (None, None));
    assert_eq!(unknown.origin, Origin::Jetstream { time_us: 0 });
}

#[test]
fn a_time_ahead_of_our_clock_never_moves_the_cursor() {
    let ahead = T0 + 3_600_000_000 + 300_000_001;
    for collection in ["net.rhiz.relationship.record", "app.bsky.feed.post"] {
        let mut message = created(ahead);
        message["commit"]["collection"] = json!(collection);
        assert_eq!(jetstream(message.to_string()).time_us, None);
    }
    assert_eq!(jetstream(with("/time_us", json!(ahead - 1))).time_us, Some(ahead - 1));
}

#[test]
fn a_megabyte_is_allowed_and_more_is_rejected() {
    let pad = |n: usize| with("/commit/record/note", json!("x".repeat(n)));
    let most = MAX_MESSAGE - pad(0).len();
    assert!(matches!(jetstream(pad(most)).decoded, Decoded::Event(_)));
    let rejected = rejected(pad(most + 1));
    assert!(rejected.reason.contains("longer than 1048576 bytes"), "{}", rejected.reason);
    assert_eq!(rejected.raw.len(), Rejected::MAX_RAW);
}

#[test]
fn the_same_event_has_the_same_name_and_another_one_another() {
    let id = |m: &Value| event(m).event_id.to_string();
    let first = created(T0);
    assert_eq!(id(&first), id(&first));
    let uuid = id(&first);
    // UUIDv7: 48 bits of milliseconds, version, variant.
    assert_eq!(uuid.replace('-', "")[..12], format!("{:012x}", T0 / 1000));
    assert_eq!(&uuid[14..15], "7");
    assert!("89ab".contains(&uuid[19..20]));
    // Each part of the identity counts.
    let mut others = vec![created(T0 + 1)];
    for (pointer, value) in [("/commit/rev", rev(T0 + 1)), ("/commit/rkey", rev(T0 + 1))] {
        others.push(serde_json::from_str(&with(pointer, json!(value))).unwrap());
    }
    for seq in [1, 2] {
        for kind in ["identity", "account"] {
            others.push(json!({"did": ALICE, "time_us": T0, "kind": kind,
                               kind: {"seq": seq, "active": true}}));
        }
    }
    let mut ids: Vec<_> = others.iter().chain([&first]).map(id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), others.len() + 1);
    // The same record twice in one microsecond is one event, whatever else the message says.
    assert_eq!(id(&first), id(&serde_json::from_str(&with("/more", json!(1))).unwrap()));

    let in_file = |digest, offset| {
        let place = Place::File { digest, offset };
        match decode(first.to_string().as_bytes(), place, now()).decoded {
            Decoded::Event(event) => {
                assert_eq!(event.origin, Origin::File { digest: digest.into(), offset });
                event.event_id.to_string()
            }
            other => panic!("{other:?}"),
        }
    };
    let places = [in_file("0123456789abcdef", 0), in_file("0123456789abcdef", 1), in_file("f", 0)];
    assert_eq!(places[0], in_file("0123456789abcdef", 0));
    assert!(places[0] != places[1] && places[0] != places[2] && places[0] != uuid);

    assert_eq!(rejected("no JSON").event_id, rejected("no JSON").event_id);
    assert_ne!(rejected("no JSON").event_id, rejected("nor this").event_id);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let seen = jetstream(&bytes);
        prop_assert!(matches!(seen.decoded, Decoded::Rejected(_)));
    }

    #[test]
    fn no_damage_to_a_message_makes_it_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6),
    ) {
        let mut bytes = created(T0).to_string().into_bytes();
        for (at, byte, how) in damage {
            if bytes.is_empty() { break }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at),
                _ => { bytes.remove(at); }
            }
        }
        let (once, again) = (jetstream(&bytes), jetstream(&bytes));
        match (once.decoded, again.decoded) {
            (Decoded::Event(a), Decoded::Event(b)) => prop_assert_eq!(a.event_id, b.event_id),
            (Decoded::Rejected(a), Decoded::Rejected(b)) => {
                prop_assert_eq!(a.event_id, b.event_id);
                prop_assert!(!a.reason.is_empty());
            }
            (Decoded::Passed, Decoded::Passed) => {}
            (a, b) => prop_assert!(false, "{:?} and then {:?}", a, b),
        }
    }
}
