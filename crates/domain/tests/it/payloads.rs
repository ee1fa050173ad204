//! What is refused, where it is, and in which words; and that both forms mean the same.

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

#[test]
fn a_record_of_each_collection_is_read() {
    for collection in Collection::ALL {
        let kind = payload::event_type(collection, Operation::Create);
        let write = write(kind, &about(collection, fine(collection)));
        assert_eq!(write.collection, collection);
        assert_eq!(write.owner.as_str(), OWNER);
        assert_eq!(write.version.class, 1);
        assert_eq!(write.version.rev.to_string(), REV);
        assert!(!write.version.deleted && write.body.is_some());
    }
}

#[test]
fn a_delete_needs_no_record() {
    for collection in Collection::ALL {
        let kind = payload::event_type(collection, Operation::Delete);
        let write = write(kind, &json!({"uri": uri(collection), "rev": REV}));
        assert!(write.version.deleted && write.record.is_none() && write.body.is_none());
        assert_eq!(write.version.hash, [0; 32]);
    }
}

#[test]
fn privacy_dates_and_unknown_fields_are_kept() {
    let record =
        with(relationship(), "privacy", json!({"visibility": "private", "consent": "anonymous"}));
    let record = with(record, "mood", json!("fine"));
    let write = write(EventType::RelationshipUpdated, &about(Collection::Relationship, record));
    let Some(Record::Relationship(r)) = &write.record else { panic!("{write:?}") };
    assert_eq!((r.visibility, r.consent), (Visibility::Private, Consent::Anonymous));
    assert_eq!(r.subject.as_str(), OTHER);
    assert!(write.body.as_ref().unwrap().contains(r#""mood":"fine""#));
    // Nothing comes from the future of the revision that says it.
    let later = "2200-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(write.effective(later), write.version.rev.time());
}

/// Each breaks one rule: what is changed, the field that is named, and words of the message.
#[test]
fn every_broken_rule_is_named_with_its_field() {
    use Collection as C;
    let n = || Value::Null;
    let long = |n: usize| json!("é".repeat(n));
    let cases: Vec<(C, &str, Value, &str, &str)> = vec![
        (C::Relationship, "strength", json!(101), "strength", "a whole number from 0 to 100"),
        (C::Relationship, "strength", json!(-1), "strength", "a whole number from 0 to 100"),
        (C::Relationship, "strength", json!(0.8), "strength", "a whole number from 0 to 100"),
        (C::Relationship, "strength", json!("80"), "strength", "a whole number from 0 to 100"),
        (C::Relationship, "strength", n(), "strength", "required"),
        (C::Relationship, "type", n(), "type", "required"),
        (C::Relationship, "type", json!(""), "type", "may not be empty"),
        (C::Relationship, "type", json!(7), "type", "a text"),
        (C::Relationship, "context", n(), "context", "required"),
        (C::Relationship, "context", long(501), "context", "more than 500 characters"),
        (C::Relationship, "participants", n(), "participants", "an array of two DIDs"),
        (C::Relationship, "participants", json!(OTHER), "participants", "an array"),
        (C::Relationship, "participants", json!([OWNER]), "participants", "exactly two"),
        (
            C::Relationship,
            "participants",
            json!([OWNER, OTHER, "did:plc:c"]),
            "participants",
            "more than 2",
        ),
        (C::Relationship, "participants", json!([OWNER, OWNER]), "participants", "different"),
        (C::Relationship, "participants", json!([OTHER, "did:plc:c"]), "participants", OWNER),
        (
            C::Relationship,
            "participants",
            json!([OWNER, "did:plc:a b"]),
            "participants[1]",
            "only letters, digits",
        ),
        (C::Relationship, "participants", json!([OWNER, 5]), "participants[1]", "has to be a DID"),
        (C::Relationship, "privacy", n(), "privacy", "required"),
        (C::Relationship, "privacy", json!("public"), "privacy", "an object"),
        (
            C::Relationship,
            "privacy.visibility",
            json!("secret"),
            "privacy.visibility",
            "public, network, private",
        ),
        (C::Relationship, "privacy.visibility", n(), "privacy.visibility", "required"),
        (
            C::Relationship,
            "privacy.consent",
            json!("some"),
            "privacy.consent",
            "full, limited, anonymous",
        ),
        (C::Relationship, "temporal", n(), "temporal", "required"),
        (C::Relationship, "temporal.start", n(), "temporal.start", "required"),
        (C::Relationship, "temporal.lastInteraction", n(), "temporal.lastInteraction", "required"),
        (
            C::Relationship,
            "temporal.start",
            json!("yesterday"),
            "temporal.start",
            "2026-01-31T12:00:00Z",
        ),
        (
            C::Relationship,
            "temporal.history",
            json!([{"timestamp": NOW, "strength": 900}]),
            "temporal.history[0].strength",
            "0 to 100",
        ),
        (C::Relationship, "temporal.history", json!([1]), "temporal.history[0]", "an object"),
        (
            C::Relationship,
            "signatures",
            json!([{"did": OWNER, "signature": "!"}]),
            "signatures[0].signature",
            "base64",
        ),
        (
            C::Relationship,
            "signatures",
            json!([{"did": "x", "signature": ""}]),
            "signatures[0].did",
            "did:",
        ),
        (
            C::Relationship,
            "verification",
            json!({"consensusScore": 101}),
            "verification.consensusScore",
            "0 to 100",
        ),
        (
            C::Relationship,
            "verification",
            json!({"disputeCount": -1}),
            "verification.disputeCount",
            "0 or more",
        ),
        (C::Relationship, "createdAt", n(), "createdAt", "required"),
        (C::Relationship, "createdAt", json!("2026-02-30T00:00:00Z"), "createdAt", "no such day"),
        (
            C::Relationship,
            "$type",
            json!("net.rhiz.intro.request"),
            "$type",
            "net.rhiz.relationship.record",
        ),
        (C::Relationship, "extra", json!({"deep": [1.5]}), "extra.deep[0]", "integers of 64 bits"),
        (C::Relationship, "extra", json!({"$link": "x"}), "extra", "$link"),
        (
            C::Attestation,
            "attestationType",
            json!("praise"),
            "attestationType",
            "verify, dispute, strengthen, weaken",
        ),
        (C::Attestation, "attestationType", n(), "attestationType", "required"),
        (C::Attestation, "confidence", json!(101), "confidence", "0 to 100"),
        (C::Attestation, "confidence", n(), "confidence", "required"),
        (C::Attestation, "suggestedStrength", json!(1000), "suggestedStrength", "0 to 100"),
        (C::Attestation, "attester", json!(OTHER), "attester", OWNER),
        (C::Attestation, "attester", n(), "attester", "required"),
        (C::Attestation, "evidence", long(1001), "evidence", "more than 1000"),
        (
            C::Attestation,
            "targetRelationship",
            json!(uri(C::Intro)),
            "targetRelationship",
            "net.rhiz.relationship.record",
        ),
        (
            C::Attestation,
            "targetRelationship",
            json!(format!("at://{OTHER}/net.rhiz.relationship.record/self")),
            "targetRelationship",
            "TID",
        ),
        (
            C::Attestation,
            "targetRelationship",
            json!("https://example.com"),
            "targetRelationship",
            "at://",
        ),
        (C::Attestation, "targetRelationship", n(), "targetRelationship", "required"),
        (
            C::Attestation,
            "targetFields",
            json!(["strength", "mood"]),
            "targetFields[1]",
            "strength, type, context, verification",
        ),
        (C::Attestation, "stake", json!({"token": "x"}), "stake.amount", "required"),
        (C::Attestation, "stake", json!({"amount": -1, "token": "x"}), "stake.amount", "0 or more"),
        (
            C::Attestation,
            "stake",
            json!({"amount": 1, "token": "x", "slashingRisk": 101}),
            "stake.slashingRisk",
            "0 to 100",
        ),
        (C::Attestation, "createdAt", n(), "createdAt", "required"),
        (C::Profile, "displayName", n(), "displayName", "required"),
        (C::Profile, "displayName", long(201), "displayName", "more than 200"),
        (C::Profile, "entityType", json!("alien"), "entityType", "person, organization, agent"),
        (C::Profile, "entityType", n(), "entityType", "required"),
        (C::Profile, "bio", long(1001), "bio", "more than 1000"),
        (C::Profile, "avatarUrl", json!("no url"), "avatarUrl", "a URI"),
        (C::Profile, "verified", json!("yes"), "verified", "true or false"),
        (C::Profile, "createdAt", n(), "createdAt", "required"),
        (C::Intro, "requester", json!(OTHER), "requester", OWNER),
        (C::Intro, "target", n(), "target", "required"),
        (C::Intro, "target", json!("did:x"), "target", "did:plc"),
        (C::Intro, "intermediary", json!("bob"), "intermediary", "did:"),
        (C::Intro, "message", n(), "message", "required"),
        (C::Intro, "message", long(2001), "message", "more than 2000"),
        (C::Intro, "context", long(501), "context", "more than 500"),
        (
            C::Intro,
            "status",
            json!("done"),
            "status",
            "pending, accepted, declined, completed, cancelled",
        ),
        (C::Intro, "pathRef", json!("x"), "pathRef", "at://"),
        (C::Context, "relationshipUri", n(), "relationshipUri", "required"),
        (C::Context, "confidenceScore", json!(101), "confidenceScore", "0 to 100"),
        (C::Context, "expertise", json!(vec!["x"; 21]), "expertise", "more than 20"),
        (C::Context, "semanticTags", json!(vec!["x"; 31]), "semanticTags", "more than 30"),
        (C::Context, "projectNames", json!(vec!["x"; 11]), "projectNames", "more than 10"),
        (
            C::Context,
            "outcomes",
            json!(vec![json!({"type": "x", "description": "y"}); 6]),
            "outcomes",
            "more than 5",
        ),
        (
            C::Context,
            "outcomes",
            json!([{"type": "x", "description": "é".repeat(201)}]),
            "outcomes[0].description",
            "more than 200",
        ),
        (C::Context, "expertise", json!([1]), "expertise[0]", "a text"),
    ];
    for (collection, path, value, field, words) in cases {
        let broken = with(fine(collection), path, value.clone());
        let kind = payload::event_type(collection, Operation::Update);
        let case = format!("{} with {path} = {value:.60}", collection.nsid());
        let Err(invalid) = interpret(&event(kind, &about(collection, broken))) else {
            panic!("taken: {case}")
        };
        let found = invalid.errors.iter().find(|e| e.field == format!("payload.record.{field}"));
        let Some(found) = found else { panic!("{case}: {invalid}") };
        assert!(found.message.contains(words), "{case}: {invalid}");
    }
}

#[test]
fn limits_are_taken_as_they_stand() {
    for (path, value) in [
        ("strength", json!(0)),
        ("strength", json!(100)),
        ("context", json!("")),
        ("context", json!("👨‍👩‍👧‍👧".repeat(500))),
        ("type", json!("rivalry")),
        ("temporal.history", json!([{"timestamp": NOW, "strength": 0}])),
    ] {
        let record = with(relationship(), path, value);
        write(EventType::RelationshipCreated, &about(Collection::Relationship, record));
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let record = with(relationship(), "strength", json!(101));
    let record = with(record, "createdAt", json!("x"));
    let invalid =
        interpret(&event(EventType::RelationshipCreated, &about(Collection::Relationship, record)))
            .unwrap_err();
    let fields: Vec<_> = invalid.errors.iter().map(|e| e.field.as_str()).collect();
    assert_eq!(fields, ["payload.record.strength", "payload.record.createdAt"]);
}

#[test]
fn the_envelope_is_checked() {
    use EventType as T;
    let fine = about(Collection::Relationship, relationship());
    let ahead = |minutes: i64| {
        let time: jiff::Timestamp = NOW.parse().unwrap();
        Tid::at(time + jiff::SignedDuration::from_mins(minutes), 0).to_string()
    };
    let cases: Vec<(EventType, Value, &str, &str)> = vec![
        (T::RelationshipCreated, json!([1]), "payload", "a JSON object"),
        (T::RelationshipCreated, json!("x"), "payload", "a JSON object"),
        (T::RelationshipCreated, with(fine.clone(), "uri", Value::Null), "payload.uri", "required"),
        (T::RelationshipCreated, with(fine.clone(), "uri", json!(5)), "payload.uri", "a text"),
        (
            T::RelationshipCreated,
            with(fine.clone(), "uri", json!("at://x")),
            "payload.uri",
            "at://did:plc:",
        ),
        (
            T::RelationshipCreated,
            with(
                fine.clone(),
                "uri",
                json!(Collection::Relationship.uri(OTHER, Tid::parse(KEY).unwrap())),
            ),
            "payload.uri",
            OWNER,
        ),
        (T::AttestationCreated, fine.clone(), "payload.uri", "net.rhiz.relationship.attestation"),
        (
            T::ProfileUpdated,
            json!({"uri": format!("at://{OWNER}/net.rhiz.entity.profile/{KEY}"), "rev": REV, "record": profile()}),
            "payload.uri",
            "`self`",
        ),
        (
            T::RelationshipCreated,
            with(
                fine.clone(),
                "uri",
                json!(format!("at://{OWNER}/net.rhiz.relationship.record/self")),
            ),
            "payload.uri",
            "TID",
        ),
        (T::RelationshipCreated, with(fine.clone(), "rev", Value::Null), "payload.rev", "required"),
        (
            T::RelationshipCreated,
            with(fine.clone(), "rev", json!("x")),
            "payload.rev",
            "13 characters",
        ),
        (T::RelationshipCreated, with(fine.clone(), "rev", json!(3)), "payload.rev", "a text"),
        (
            T::RelationshipCreated,
            with(fine.clone(), "rev", json!(ahead(6))),
            "payload.rev",
            "more than 5 minutes in the future",
        ),
        (
            T::RelationshipCreated,
            with(fine.clone(), "rev", json!(ahead(60 * 24 * 365))),
            "payload.rev",
            "in the future",
        ),
        (
            T::RelationshipDeleted,
            json!({"uri": uri(Collection::Relationship), "rev": ahead(6)}),
            "payload.rev",
            "in the future",
        ),
        (T::RelationshipCreated, with(fine.clone(), "cid", json!("x")), "payload.cid", "a CID"),
        (
            T::RelationshipCreated,
            with(fine.clone(), "record", Value::Null),
            "payload.record",
            "required",
        ),
        (
            T::RelationshipCreated,
            with(fine.clone(), "record", json!([])),
            "payload.record",
            "a JSON object",
        ),
        (T::AccountUpdated, json!({}), "payload.active", "required"),
        (T::AccountUpdated, json!({"active": "no"}), "payload.active", "true or false"),
        (T::AccountUpdated, json!({"active": true, "did": OTHER}), "payload.did", OWNER),
        (
            T::AccountUpdated,
            json!({"active": true, "time": "2027-01-01T00:00:00Z"}),
            "payload.time",
            "in the future",
        ),
        (T::AccountUpdated, json!({"active": true, "time": 5}), "payload.time", "a text"),
        (T::IdentityUpdated, json!({"handle": 5}), "payload.handle", "a text"),
    ];
    for (kind, payload, field, words) in cases {
        let Err(invalid) = interpret(&event(kind, &payload)) else { panic!("taken: {payload}") };
        let found = invalid.errors.iter().find(|e| e.field == field);
        let Some(found) = found else { panic!("{payload}: {invalid}") };
        assert!(found.message.contains(words), "{payload}: {invalid}");
    }
    // Five minutes ahead is a clock that differs.
    write(T::RelationshipCreated, &with(fine, "rev", json!(ahead(5))));
}

#[test]
fn accounts_and_identities_are_read() {
    let account =
        json!({"did": OWNER, "time": "2026-01-01T00:00:00Z", "active": false, "status": "deleted"});
    match interpret(&event(EventType::AccountUpdated, &account)).unwrap() {
        Effect::Account { time, active: false, status: Some(status), .. } => {
            assert_eq!(
                (time.to_string().as_str(), status.as_str()),
                ("2026-01-01T00:00:00Z", "deleted")
            );
        }
        other => panic!("{other:?}"),
    }
    // Without a time, the event's own; a malformed handle is no reason to miss the rest.
    match interpret(&event(EventType::IdentityUpdated, &json!({"handle": "no handle"}))).unwrap() {
        Effect::Identity { time, handle: None, .. } => assert_eq!(time.to_string(), NOW),
        other => panic!("{other:?}"),
    }
    match interpret(&event(EventType::IdentityUpdated, &json!({"handle": "Ada.Example.COM"})))
        .unwrap()
    {
        Effect::Identity { handle: Some(handle), .. } => {
            assert_eq!(handle.as_str(), "ada.example.com")
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        interpret(&event(EventType::TrustInvalidated, &json!({}))),
        Ok(Effect::Invalidate { .. })
    ));
}

#[test]
fn the_flat_form_means_the_same() {
    let flat = json!({
        "uri": uri(Collection::Relationship), "rev": REV,
        "participants": [OWNER, OTHER], "type": "social", "strength": 7, "context": "chess",
        "created_at": "2026-01-01T00:00:00Z",
    });
    let lexicon = json!({
        "$type": "net.rhiz.relationship.record",
        "participants": [OWNER, OTHER], "type": "social", "strength": 7, "context": "chess",
        "privacy": {"visibility": "public", "consent": "full"},
        "createdAt": "2026-01-01T00:00:00Z",
    });
    let lexicon = with(
        lexicon,
        "temporal",
        json!({
            "start": "2026-01-01T00:00:00Z", "lastInteraction": "2026-01-01T00:00:00Z",
        }),
    );
    let flat = write(EventType::RelationshipCreated, &flat);
    let full = write(EventType::RelationshipCreated, &about(Collection::Relationship, lexicon));
    let (Some(Record::Relationship(mut a)), Some(Record::Relationship(b))) =
        (flat.record, full.record)
    else {
        panic!()
    };
    // What the flat form cannot say: the last interaction is unknown.
    assert_eq!(a.last_interaction, None);
    a.last_interaction = b.last_interaction;
    assert_eq!(a, b);

    let flat = json!({
        "uri": uri(Collection::Attestation), "rev": REV,
        "attester_did": OWNER, "target_uri": attestation()["targetRelationship"],
        "attestation_type": "verify", "confidence": 90, "created_at": "2026-01-01T00:00:00Z",
    });
    let mut lexicon = attestation();
    lexicon["$type"] = json!(Collection::Attestation.nsid());
    let flat = write(EventType::AttestationCreated, &flat);
    let full = write(EventType::AttestationCreated, &about(Collection::Attestation, lexicon));
    assert_eq!(flat.record, full.record);
    // Canonical: the same record, so the same event.
    assert_eq!(flat.version, full.version);
}

#[test]
fn the_flat_form_needs_no_context_and_no_date() {
    let flat = json!({
        "uri": uri(Collection::Relationship), "rev": REV,
        "participants": [OWNER, OTHER], "type": "social", "strength": 7,
    });
    let write = write(EventType::RelationshipCreated, &flat);
    let Some(Record::Relationship(r)) = &write.record else { panic!() };
    assert_eq!(r.context, "");
    assert_eq!(r.created_at.as_millisecond(), write.version.rev.time().as_millisecond());
    assert_eq!((r.visibility, r.consent), (Visibility::Public, Consent::Full));
}

#[test]
fn mistakes_in_the_flat_form_are_named_in_its_words() {
    let fine = json!({
        "uri": uri(Collection::Attestation), "rev": REV,
        "attester_did": OWNER, "target_uri": attestation()["targetRelationship"],
        "attestation_type": "verify", "confidence": 90,
    });
    for (field, value) in [
        ("attester_did", json!(OTHER)),
        ("target_uri", json!("x")),
        ("attestation_type", json!("praise")),
        ("confidence", json!(101)),
        ("suggested_strength", json!(101)),
        ("evidence", json!(5)),
        ("created_at", json!("x")),
    ] {
        let broken = with(fine.clone(), field, value);
        let invalid = interpret(&event(EventType::AttestationCreated, &broken)).unwrap_err();
        assert_eq!(invalid.errors[0].field, format!("payload.{field}"), "{invalid}");
    }
    let relationship = json!({
        "uri": uri(Collection::Relationship), "rev": REV,
        "participants": [OWNER, "did:plc:a b"], "type": "social", "strength": 101, "context": 1,
    });
    let invalid = interpret(&event(EventType::RelationshipCreated, &relationship)).unwrap_err();
    let mut fields: Vec<_> = invalid.errors.iter().map(|e| e.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["payload.context", "payload.participants[1]", "payload.strength"]);
}

#[test]
fn a_revision_of_ours_is_of_class_0() {
    let payload = with(about(Collection::Relationship, relationship()), "rev", Value::Null);
    let mut served = event(EventType::RelationshipCreated, &payload);
    served.assigned_rev = Some(Tid::parse(REV).unwrap());
    let Ok(Effect::Record(write)) = interpret(&served) else { panic!() };
    assert_eq!((write.version.class, write.version.rev.to_string().as_str()), (0, REV));
    let map = payload.as_object().unwrap();
    assert!(payload::needs_rev(EventType::RelationshipCreated, map));
    assert!(!payload::needs_rev(EventType::AccountUpdated, map));
}

#[test]
fn the_cid_of_the_canonical_form_is_not_remembered() {
    let payload = about(Collection::Relationship, relationship());
    let hash = write(EventType::RelationshipCreated, &payload).version.hash;
    let canonical = rhiz_domain::canonical::cid(&hash);
    let same = with(payload.clone(), "cid", json!(canonical));
    assert_eq!(write(EventType::RelationshipCreated, &same).cid, None);
    let foreign = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
    let other = with(payload, "cid", json!(foreign));
    assert_eq!(write(EventType::RelationshipCreated, &other).cid.as_deref(), Some(foreign));
}

/// The same submission twice, with what the server made at accept in between.
#[test]
fn what_the_server_made_plays_no_part_in_what_is_the_same() {
    let flat = json!({
        "uri": uri(Collection::Relationship),
        "participants": [OWNER, OTHER], "type": "social", "strength": 7,
    });
    let lexicon = with(about(Collection::Relationship, relationship()), "rev", Value::Null);
    for payload in [flat, lexicon] {
        let [one, two] = [1_700_000_000_000, 1_700_000_000_001].map(|ms| {
            let mut event = event(EventType::RelationshipCreated, &payload);
            let now = jiff::Timestamp::from_millisecond(ms).unwrap();
            event.assigned_rev = Some(Tid::at(now, 0));
            interpret(&event).unwrap();
            event.fingerprint()
        });
        assert_eq!(one, two, "{payload}");
    }
    let given = about(Collection::Relationship, relationship());
    let other = with(given.clone(), "rev", json!(KEY));
    let [one, two] =
        [given, other].map(|p| event(EventType::RelationshipCreated, &p).fingerprint());
    assert_ne!(one, two);
}
