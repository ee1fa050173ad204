//! The canonical form of a record: DAG-CBOR, and the CID that names it.

use crate::invalid::Invalid;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use cid::Cid;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Nesting a record may have; what is deeper is refused before it can exhaust a stack.
const MAX_DEPTH: usize = 64;

/// The SHA-256 of a record's DAG-CBOR.
///
/// Errors: what the data model does not have (floats, numbers beyond 64 bits, malformed `$link` or
/// `$bytes`), with the path to it.
pub fn hash(record: &Value) -> Result<[u8; 32], Invalid> {
    Ok(Sha256::digest(encode(record)?).into())
}

/// DAG-CBOR of a JSON-encoded record (`$link` and `$bytes` become links and bytes).
pub fn encode(record: &Value) -> Result<Vec<u8>, Invalid> {
    check(record, &mut String::from("record"), 0)?;
    serde_ipld_dagcbor::to_vec(&Data(record)).map_err(|e| Invalid::one("record", e.to_string()))
}

/// The CID (version 1, DAG-CBOR, SHA-256) of a canonical record with that hash.
#[must_use]
pub fn cid(hash: &[u8; 32]) -> String {
    const DAG_CBOR: u64 = 0x71;
    const SHA2_256: u64 = 0x12;
    // 32 bytes always fit a 64-byte multihash.
    cid::multihash::Multihash::<64>::wrap(SHA2_256, hash)
        .map(|digest| Cid::new_v1(DAG_CBOR, digest).to_string())
        .unwrap_or_default()
}

/// The JSON text of a record, the same for every way to write it: keys sorted, integers without a
/// point, bytes without padding, links in base32. Equal hashes have equal texts.
#[must_use]
pub fn text(record: &Value) -> String {
    normal(record).to_string()
}

fn normal(value: &Value) -> Value {
    match value {
        Value::Number(n) => integer(n).map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Object(map) => {
            let link = link(map).and_then(Value::as_str).and_then(|t| Cid::try_from(t).ok());
            if let Some(cid) = link {
                return serde_json::json!({ "$link": cid.to_string() });
            }
            if let Some(data) = bytes(map).and_then(Value::as_str).and_then(decode_bytes) {
                return serde_json::json!({ "$bytes": STANDARD_NO_PAD.encode(data) });
            }
            let mut entries: Vec<_> = map.iter().map(|(k, v)| (k.clone(), normal(v))).collect();
            entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other.clone(),
    }
}

/// The integer a JSON number stands for: `5.0` is 5, for JSON has one kind of number only.
pub(crate) fn integer(number: &serde_json::Number) -> Option<i64> {
    /// Up to here every integer is a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        (float.fract() == 0.0 && float.abs() <= EXACT && !number.is_u64()).then_some(float as i64)
    })
}

/// A value of the data model that serializes as DAG-CBOR wants it.
struct Data<'a>(&'a Value);

fn link(map: &serde_json::Map<String, Value>) -> Option<&Value> {
    if map.len() == 1 { map.get("$link") } else { None }
}
fn bytes(map: &serde_json::Map<String, Value>) -> Option<&Value> {
    if map.len() == 1 { map.get("$bytes") } else { None }
}
fn decode_bytes(text: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

fn check(value: &Value, path: &mut String, depth: usize) -> Result<(), Invalid> {
    let no = |path: &str, message: &str| Err(Invalid::one(path, message));
    if depth > MAX_DEPTH {
        return no(path, "it is nested more than 64 deep");
    }
    let end = path.len();
    match value {
        Value::Number(n) if integer(n).is_none() => {
            return no(path, "numbers are integers of 64 bits: the data model has no others");
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                path.push_str(&format!("[{i}]"));
                check(item, path, depth + 1)?;
                path.truncate(end);
            }
        }
        Value::Object(map) => {
            if let Some(target) = map.get("$link") {
                let fine =
                    map.len() == 1 && target.as_str().is_some_and(|t| Cid::try_from(t).is_ok());
                return if fine {
                    Ok(())
                } else {
                    no(path, "$link holds one CID and nothing beside it")
                };
            }
            if let Some(data) = map.get("$bytes") {
                let fine =
                    map.len() == 1 && data.as_str().is_some_and(|t| decode_bytes(t).is_some());
                return if fine {
                    Ok(())
                } else {
                    no(path, "$bytes holds base64 and nothing beside it")
                };
            }
            if let Some(kind) = map.get("$type")
                && kind.as_str().is_none_or(str::is_empty)
            {
                return no(path, "$type is a text that is not empty");
            }
            for (key, item) in map {
                path.push('.');
                path.push_str(key);
                check(item, path, depth + 1)?;
                path.truncate(end);
            }
        }
        _ => {}
    }
    Ok(())
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        match self.0 {
            Value::Null => s.serialize_unit(),
            Value::Bool(b) => s.serialize_bool(*b),
            Value::Number(n) => match integer(n) {
                Some(n) => s.serialize_i64(n),
                None => Err(S::Error::custom("numbers are integers of 64 bits")),
            },
            Value::String(t) => s.serialize_str(t),
            Value::Array(items) => {
                let mut seq = s.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&Data(item))?;
                }
                seq.end()
            }
            Value::Object(map) => {
                if let Some(target) = link(map).and_then(Value::as_str) {
                    return Cid::try_from(target).map_err(S::Error::custom)?.serialize(s);
                }
                if let Some(data) = bytes(map).and_then(Value::as_str) {
                    let data = decode_bytes(data).ok_or_else(|| S::Error::custom("not base64"))?;
                    return s.serialize_bytes(&data);
                }
                let mut out = s.serialize_map(Some(map.len()))?;
                for (key, item) in map {
                    out.serialize_entry(key, &Data(item))?;
                }
                out.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_by_length_then_bytes() {
        let bytes = encode(&json!({"bb": 1, "a": 2, "ab": 3})).unwrap();
        assert_eq!(bytes, [0xa3, 0x61, b'a', 2, 0x62, b'a', b'b', 3, 0x62, b'b', b'b', 1]);
    }

    #[test]
    fn what_the_data_model_lacks_is_named_with_its_place() {
        let err = encode(&json!({"a": [{"b": 1.5}]})).unwrap_err();
        assert_eq!(err.errors[0].field, "record.a[0].b");
        assert!(encode(&json!({"l": {"$link": "nope"}})).is_err());
        assert!(encode(&json!({"l": {"$bytes": "!"}})).is_err());
    }

    #[test]
    fn deep_nesting_is_refused() {
        let mut v = json!(1);
        for _ in 0..100 {
            v = json!([v]);
        }
        assert!(encode(&v).unwrap_err().to_string().contains("nested"));
    }
}
