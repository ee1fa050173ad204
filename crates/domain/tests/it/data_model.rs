//! The canonical form, against `interop/data-model`.

use crate::interop;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use rhiz_domain::{Collection, Did, Record, canonical, records::Form};
use serde_json::{Value, json};

fn list(file: &str) -> Vec<Value> {
    let text = interop(&format!("data-model/{file}")).unwrap_or_else(|| "[]".into());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn encodings_and_cids_are_the_protocols() {
    for case in list("data-model-fixtures.json") {
        let bytes = canonical::encode(&case["json"]).unwrap();
        assert_eq!(STANDARD_NO_PAD.encode(bytes), case["cbor_base64"].as_str().unwrap());
        let hash = canonical::hash(&case["json"]).unwrap();
        assert_eq!(canonical::cid(&hash), case["cid"].as_str().unwrap());
    }
}

#[test]
fn what_is_valid_is_encoded() {
    for case in list("data-model-valid.json") {
        canonical::encode(&case["json"]).unwrap_or_else(|e| panic!("{}: {e}", case["note"]));
    }
    // Written with a point, it is the same integer.
    assert_eq!(
        canonical::encode(&json!({"a": 123.0})).unwrap(),
        canonical::encode(&json!({"a": 123})).unwrap()
    );
}

#[test]
fn what_is_invalid_is_refused() {
    // No record of ours holds a blob, so a map that looks like one is a map.
    const NOT_LOOKED_AT: [&str; 2] = ["blob with string size", "blob with missing key"];
    let owner = Did::parse("did:plc:a").unwrap();
    for case in list("data-model-invalid.json") {
        let note = case["note"].as_str().unwrap();
        // A record that is no object is refused before it is encoded.
        let read = Record::read(Collection::Claim, &owner, &case["json"], Form::Lexicon, "record");
        let encoded = read.map(|_| ()).and(canonical::encode(&case["json"]).map(|_| ()));
        assert_eq!(encoded.is_ok(), NOT_LOOKED_AT.contains(&note), "{note}");
    }
}

/// A row keeps the text of whoever came first, so equal records have to have equal texts.
#[test]
fn however_it_is_written_the_text_is_one() {
    let link = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a";
    let hex = cid::Cid::try_from(link).unwrap();
    let hex = hex.to_string_of_base(cid::multibase::Base::Base16Lower).unwrap();
    let a = json!({"a": 1, "b": {"$bytes": "AQI"}, "c": [{"$link": link}], "d": {"x": 1, "y": 2}});
    let b =
        json!({"d": {"y": 2.0, "x": 1}, "c": [{"$link": hex}], "b": {"$bytes": "AQI="}, "a": 1.0});
    assert_eq!(canonical::hash(&a), canonical::hash(&b));
    assert_eq!(canonical::text(&a), canonical::text(&b));
    assert_eq!(canonical::text(&a), a.to_string());
}
