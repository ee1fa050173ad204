//! DID documents: real ones, old ones, and those that others may write.

use crate::{
    internet::{did, handle, permanent},
    shared,
};
use proptest::prelude::*;
use rhiz_domain::{Did, Handle};
use rhiz_identity::{Document, SigningKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const WHO: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const KEY: &str = "zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";
const OLD_KEY: &str = "z25z9DTpsiYYJKGsWmSPJK2NFN8PcJtZig12K59UgW7q5t";

fn parse(document: &Value) -> Document {
    Document::parse(&did(WHO), document.to_string().as_bytes(), false).unwrap()
}

#[test]
fn every_document_of_a_day_of_the_network_is_understood() {
    let Some(packed) = shared("frames/did_docs.json.zst") else { return };
    let bytes = zstd::decode_all(packed.as_slice()).unwrap();
    let documents: BTreeMap<String, Value> = serde_json::from_slice(&bytes).unwrap();
    assert!(documents.len() > 100);
    for (who, value) in documents {
        let document = Document::parse(&did(&who), value.to_string().as_bytes(), false).unwrap();
        let method = &value["verificationMethod"][0]["publicKeyMultibase"];
        assert_eq!(document.signing_key.unwrap().multikey(), method.as_str().unwrap());
        let endpoint = value["service"][0]["serviceEndpoint"].as_str().unwrap();
        assert_eq!(document.pds.unwrap().as_str().trim_end_matches('/'), endpoint);
        let claimed = document.claimed_handle.unwrap();
        assert_eq!(value["alsoKnownAs"][0], format!("at://{claimed}"));
    }
}

#[test]
fn what_the_protocol_calls_a_did_or_a_handle_is_one_here() {
    let lines = |file: &str| -> Vec<String> {
        let bytes = shared(&format!("interop/syntax/{file}")).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(Into::into).collect()
    };
    // A document of each valid DID is taken as that DID's and no other's.
    for who in lines("did_syntax_valid.txt") {
        let who = Did::parse(&who).unwrap();
        let bytes = json!({"id": who}).to_string();
        assert_eq!(Document::parse(&who, bytes.as_bytes(), false).unwrap().did, who);
        let another = did(WHO);
        let error = permanent(Document::parse(&another, bytes.as_bytes(), false));
        assert_eq!(error.code(), "document_of_another");
    }
    for claimed in lines("handle_syntax_valid.txt") {
        let document = parse(&json!({"id": WHO, "alsoKnownAs": [format!("at://{claimed}")]}));
        assert_eq!(document.claimed_handle, Some(Handle::parse(&claimed).unwrap()));
    }
    for claimed in lines("handle_syntax_invalid.txt") {
        let document = parse(&json!({"id": WHO, "alsoKnownAs": [format!("at://{claimed}")]}));
        assert_eq!(document.claimed_handle, None, "{claimed}");
    }
}

#[test]
fn old_documents_are_as_good_as_new_ones() {
    let document = |method: Value, id: &str| {
        parse(&json!({
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": WHO,
            "alsoKnownAs": ["https://example.com", "at://atproto.com", "at://second.com"],
            "verificationMethod": [{"id": "#other", "type": "Multikey"}, method],
            "service": [{
                "id": id,
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": "https://bsky.social",
            }],
        }))
    };
    let new = document(
        json!({"id": format!("{WHO}#atproto"), "type": "Multikey", "controller": WHO,
               "publicKeyMultibase": KEY}),
        &format!("{WHO}#atproto_pds"),
    );
    let old = document(
        json!({"id": "#atproto", "type": "EcdsaSecp256k1VerificationKey2019", "controller": WHO,
               "publicKeyMultibase": OLD_KEY}),
        "#atproto_pds",
    );
    assert_eq!(old, new);
    assert_eq!(new.signing_key, SigningKey::from_multikey(KEY).ok());
    assert_eq!(new.pds.as_ref().map(|u| u.as_str()), Some("https://bsky.social/"));
    assert_eq!(new.claimed_handle, Some(handle("atproto.com")));
    assert_eq!(new.also_known_as.len(), 3);
}

#[test]
fn what_cannot_be_used_is_left_out() {
    let bare = parse(&json!({"id": WHO}));
    assert_eq!(
        (bare.claimed_handle, bare.pds, bare.signing_key, bare.also_known_as),
        (None, None, None, vec![])
    );
    let method = |m: Value| parse(&json!({"id": WHO, "verificationMethod": [m]})).signing_key;
    let good = json!({"id": "#atproto", "type": "Multikey", "publicKeyMultibase": KEY});
    assert!(method(good).is_some());
    for bad in [
        json!("#atproto"),
        json!({"id": "#atproto", "type": "Multikey"}),
        json!({"id": "#atproto", "type": "Multikey", "publicKeyMultibase": 7}),
        json!({"id": "#atproto", "type": "Multikey", "publicKeyMultibase": OLD_KEY}),
        json!({"id": "#atproto", "type": "JsonWebKey2020", "publicKeyMultibase": KEY}),
        json!({"id": "#atproto2", "type": "Multikey", "publicKeyMultibase": KEY}),
        json!({"id": "did:plc:another#atproto", "type": "Multikey", "publicKeyMultibase": KEY}),
    ] {
        assert_eq!(method(bad.clone()), None, "{bad}");
    }
    let kind = "AtprotoPersonalDataServer";
    let pds = |service: Value| parse(&json!({"id": WHO, "service": [service]})).pds;
    for bad in [
        json!({"id": "#atproto_pds", "type": "Other", "serviceEndpoint": "https://x.com"}),
        json!({"id": "#atproto_pds", "type": kind, "serviceEndpoint": {"uri": "https://x.com"}}),
        json!({"id": "#atproto_pds", "type": kind, "serviceEndpoint": "http://x.com"}),
        json!({"id": "#atproto_pds", "type": kind, "serviceEndpoint": "https://127.0.0.1"}),
        json!({"id": "#atproto_pds", "type": kind, "serviceEndpoint": "https://u:p@x.com"}),
        json!({"id": "#atproto_pds", "type": kind, "serviceEndpoint": "javascript:alert(1)"}),
    ] {
        assert_eq!(pds(bad.clone()), None, "{bad}");
    }
}

#[test]
fn what_is_no_document_is_a_permanent_error() {
    let parse = |text: &str| permanent(Document::parse(&did(WHO), text.as_bytes(), false));
    let deep = "[".repeat(50_000);
    for text in ["", "null", "[]", "{", "<html>", "{}", r#"{"id": 7}"#, &deep] {
        assert_eq!(parse(text).code(), "malformed_document", "{text:.20}");
    }
    for list in ["alsoKnownAs", "verificationMethod", "service"] {
        let error = parse(&json!({"id": WHO, list: {}}).to_string());
        assert!(error.to_string().contains(list), "{error}");
    }
    let other = parse(&json!({"id": "did:plc:2a7ygipkrbh544aqhcav53oy"}).to_string());
    assert_eq!(other.code(), "document_of_another");
}

/// A document as somebody who means ill may write it: of the right shape here and there.
fn any_document() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(WHO.to_owned()),
        Just("#atproto".to_owned()),
        Just(format!("{WHO}#atproto_pds")),
        Just("Multikey".to_owned()),
        Just("EcdsaSecp256k1VerificationKey2019".to_owned()),
        Just("AtprotoPersonalDataServer".to_owned()),
        Just(KEY.to_owned()),
        "z[1-9A-HJ-NP-Za-km-z]{0,95}",
        "at://[a-z.-]{0,12}",
        "https?://[a-z0-9.:@/\\[\\]%-]{0,20}",
        any::<String>(),
    ];
    let leaf = prop_oneof![
        4 => text.prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let name = prop::sample::select(vec![
        "id",
        "alsoKnownAs",
        "verificationMethod",
        "service",
        "type",
        "publicKeyMultibase",
        "serviceEndpoint",
    ]);
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..7)
                .prop_map(|m| m.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_is_a_document_of_that_did_or_a_permanent_error(value in any_document()) {
        match Document::parse(&did(WHO), value.to_string().as_bytes(), false) {
            Ok(document) => {
                prop_assert_eq!(&value["id"], WHO);
                prop_assert_eq!(document.did.as_str(), WHO);
                if let Some(pds) = document.pds {
                    prop_assert_eq!(pds.scheme(), "https");
                    prop_assert!(pds.domain().is_some() && pds.username().is_empty());
                    prop_assert_eq!(pds.path(), "/");
                }
            }
            Err(e) => prop_assert!(!e.is_temporary()),
        }
    }

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Document::parse(&did(WHO), &bytes, false).is_err());
    }
}
