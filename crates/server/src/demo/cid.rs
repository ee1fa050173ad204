//! Content identifiers of generated records: CIDv1, DAG-CBOR, SHA-256, as a repository would
//! give them. Covers what the demo's records hold: objects, arrays, strings, integers, booleans.

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The CID of `record` in base32, `bafyrei…`.
pub(super) fn of(record: &Value) -> String {
    let mut cbor = Vec::with_capacity(512);
    encode(record, &mut cbor);
    // Version 1, codec dag-cbor (0x71), multihash sha2-256 (0x12) of 32 bytes.
    let mut cid = vec![0x01, 0x71, 0x12, 0x20];
    cid.extend_from_slice(&Sha256::digest(&cbor));
    base32(&cid)
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xf6),
        Value::Bool(false) => out.push(0xf4),
        Value::Bool(true) => out.push(0xf5),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => head(0, n, out),
            // CBOR writes a negative n as -1 - n.
            (None, Some(n)) => head(1, (-1 - n).unsigned_abs(), out),
            // The data model has no fractions; no record here holds one.
            (None, None) => out.push(0xf6),
        },
        Value::String(text) => {
            head(3, text.len() as u64, out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Array(items) => {
            head(4, items.len() as u64, out);
            for item in items {
                encode(item, out);
            }
        }
        Value::Object(fields) => {
            // Canonical order: shorter keys first, then by bytes.
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
            head(5, sorted.len() as u64, out);
            for (key, field) in sorted {
                head(3, key.len() as u64, out);
                out.extend_from_slice(key.as_bytes());
                encode(field, out);
            }
        }
    }
}

/// A CBOR head: the major type and the shortest form of its argument.
fn head(major: u8, n: u64, out: &mut Vec<u8>) {
    let major = major << 5;
    let bytes = n.to_be_bytes();
    match n {
        0..=23 => out.push(major | bytes[7]),
        24..=0xff => out.extend_from_slice(&[major | 24, bytes[7]]),
        0x100..=0xffff => {
            out.push(major | 25);
            out.extend_from_slice(&bytes[6..]);
        }
        0x1_0000..=0xffff_ffff => {
            out.push(major | 26);
            out.extend_from_slice(&bytes[4..]);
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&bytes);
        }
    }
}

/// Multibase base32: lower case, no padding, prefix `b`.
fn base32(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::with_capacity(1 + bytes.len() * 8 / 5 + 1);
    text.push('b');
    let (mut buffer, mut bits) = (0u32, 0u32);
    for &byte in bytes {
        buffer = (buffer << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(buffer >> bits) as usize & 31]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(buffer << (5 - bits)) as usize & 31]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn agrees_with_known_cids() {
        // The empty map, and the plain record of atproto's interop tests (data-model-fixtures).
        assert_eq!(
            of(&json!({})),
            "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua"
        );
        assert_eq!(
            of(
                &json!({"string": "abc", "unicode": "a~öñ©⽘☎𓋓😀👨‍👩‍👧‍👧", "integer": 123,
                       "bool": true, "null": null, "array": ["abc", "def", "ghi"],
                       "object": {"string": "abc", "number": 123, "bool": true,
                                  "arr": ["abc", "def", "ghi"]}})
            ),
            "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"
        );
    }
}
