//! The flat form, and what the server makes of a submission.

use super::*;

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
