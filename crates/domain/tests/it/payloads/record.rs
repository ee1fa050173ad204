//! Records: what is read, and each rule that can be broken.

use super::*;

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
