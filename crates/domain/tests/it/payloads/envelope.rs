//! What is around a record, and events that carry none.

use super::*;

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
