//! Whatever comes in, the answer is a value.

use crate::payloads::event;
use proptest::prelude::*;
use rhiz_domain::{AtUri, Did, EventType, Handle, Tid, canonical, payload::interpret, syntax};
use serde_json::Value;

/// Any JSON, with the names that are looked for more often than by chance.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        prop::sample::select(vec![
            "uri",
            "rev",
            "record",
            "cid",
            "did",
            "time",
            "active",
            "status",
            "handle",
            "$type",
            "$link",
            "$bytes",
            "participants",
            "strength",
            "type",
            "context",
            "privacy",
            "visibility",
            "consent",
            "temporal",
            "start",
            "signatures",
            "created_at",
            "createdAt",
            "attester_did",
            "target_uri",
            "displayName",
            "stake",
            "amount",
            "targetFields",
        ])
        .prop_map(String::from),
        ".{0,8}",
    ];
    let text = prop_oneof![
        prop::sample::select(vec![
            "at://did:plc:owner/net.rhiz.relationship.record/3mbcvv5yzzk2a",
            "at://did:plc:owner/net.rhiz.relationship.attestation/3mbcvv5yzzk2a",
            "at://did:plc:owner/net.rhiz.entity.profile/self",
            "did:plc:owner",
            "did:plc:other",
            "3mbcvv5yzzk2a",
            "2026-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999+23:59",
            "0001-01-01T00:00:00+23:59",
            "public",
            "full",
            "verify",
            "zzzzzzzzzzzzz",
        ])
        .prop_map(String::from),
        any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..8)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_payload_panics(payload in any_json(), kind in prop::sample::select(EventType::ALL)) {
        let event = event(kind, &payload);
        let _ = event.fingerprint();
        if let Err(invalid) = interpret(&event) {
            prop_assert!(!invalid.errors.is_empty());
            prop_assert!(invalid.errors.iter().all(|e| !e.field.is_empty() && !e.message.is_empty()));
        }
    }

    /// The same payload and a record around it, so that the deeper readers are reached.
    #[test]
    fn no_record_panics(record in any_json(), kind in prop::sample::select(EventType::ALL)) {
        for name in ["relationship.record", "relationship.attestation", "intro.request",
                     "relationship.context", "trust.metrics"] {
            let payload = serde_json::json!({
                "uri": format!("at://did:plc:owner/net.rhiz.{name}/3mbcvv5yzzk2a"),
                "rev": "3mbcvv5yzzk2b", "record": record,
            });
            let _ = interpret(&event(kind, &payload));
        }
        let _ = canonical::hash(&record);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = (Did::parse(&text), Handle::parse(&text), Tid::parse(&text), AtUri::parse(&text));
        let _ = (syntax::is_uri(&text), syntax::is_nsid(&text), syntax::is_cid(&text));
        let _ = (syntax::is_record_key(&text), syntax::parse_datetime(&text));
    }

    #[test]
    fn no_almost_datetime_panics(
        text in r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,25})?(Z|[+-][0-9]{2}:[0-9]{2}|é.*)?"
    ) {
        if let Ok(time) = syntax::parse_datetime(&text) {
            let _ = syntax::format_datetime(time);
        }
    }

    /// TIDs sort as their texts do, and keep the instant.
    #[test]
    fn tids_sort_as_texts(a in 0u64..1 << 63, b in 0u64..1 << 63) {
        let (a, b) = (Tid::from_u64(a).unwrap(), Tid::from_u64(b).unwrap());
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        prop_assert_eq!(Tid::parse(&a.to_string()).unwrap(), a);
        prop_assert!(a.next() > a || a.to_u64() == u64::MAX >> 1);
    }

    /// However keys are ordered, it is the same event and the same record.
    #[test]
    fn the_order_of_keys_means_nothing(record in any_json()) {
        fn reversed(value: &Value) -> Value {
            match value {
                Value::Object(m) => {
                    Value::Object(m.iter().rev().map(|(k, v)| (k.clone(), reversed(v))).collect())
                }
                Value::Array(items) => items.iter().map(reversed).collect(),
                other => other.clone(),
            }
        }
        let (a, b) = (record.clone(), reversed(&record));
        let kind = EventType::ContextUpdated;
        prop_assert_eq!(event(kind, &a).fingerprint(), event(kind, &b).fingerprint());
        prop_assert_eq!(canonical::hash(&a).ok(), canonical::hash(&b).ok());
        prop_assert_eq!(canonical::text(&a), canonical::text(&b));
        if let Ok(hash) = canonical::hash(&a) {
            let read: Value = serde_json::from_str(&canonical::text(&a)).unwrap();
            prop_assert_eq!(canonical::hash(&read).unwrap(), hash);
        }
    }
}
