//! Keys, against the protocol's signature fixtures.

use crate::shared;
use rhiz_identity::{Curve, SigningKey};
use serde_json::Value;

fn fixtures(file: &str) -> Vec<Value> {
    let bytes = shared(&format!("interop/crypto/{file}"));
    bytes.map(|b| serde_json::from_slice(&b).unwrap()).unwrap_or_default()
}

#[test]
fn keys_of_the_old_form_are_the_keys_of_the_new() {
    for fixture in fixtures("signature-fixtures.json") {
        let text = |name: &str| fixture[name].as_str().unwrap();
        let modern = SigningKey::from_did_key(text("publicKeyDid")).unwrap();
        let old = SigningKey::from_method(text("didDocSuite"), text("publicKeyMultibase")).unwrap();
        assert_eq!(old, modern);
        assert_eq!(modern.to_string(), text("publicKeyDid"));
        let curve = if text("algorithm") == "ES256" { Curve::P256 } else { Curve::Secp256k1 };
        assert_eq!(modern.curve(), curve);
        let bare = text("publicKeyDid").strip_prefix("did:key:").unwrap();
        assert_eq!(SigningKey::from_method("Multikey", bare), Ok(modern));
        // Under the other curve's name it is none.
        let other = match curve {
            Curve::P256 => "EcdsaSecp256k1VerificationKey2019",
            Curve::Secp256k1 => "EcdsaSecp256r1VerificationKey2019",
        };
        let taken = SigningKey::from_method(other, text("publicKeyMultibase"));
        assert_ne!(taken.ok(), Some(old));
    }
}

#[test]
fn did_keys_of_w3c() {
    for file in ["w3c_didkey_K256.json", "w3c_didkey_P256.json"] {
        for fixture in fixtures(file) {
            let text = fixture["publicDidKey"].as_str().unwrap();
            assert_eq!(SigningKey::from_did_key(text).unwrap().to_string(), text);
        }
    }
}

/// The base points of both curves: SEC 2 and FIPS 186.
const POINTS: [(Curve, &str, &str, &str); 2] = [
    (
        Curve::Secp256k1,
        "EcdsaSecp256k1VerificationKey2019",
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
    ),
    (
        Curve::P256,
        "EcdsaSecp256r1VerificationKey2019",
        "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn an_uncompressed_point_is_the_same_key_as_a_compressed_one() {
    for (curve, method, x, y) in POINTS {
        let (x, y) = (bytes(x), bytes(y));
        let whole = [&[4], x.as_slice(), &y].concat();
        let short = [&[2 + (y[31] & 1)], x.as_slice()].concat();
        let key = SigningKey::from_point(curve, &short).unwrap();
        assert_eq!(SigningKey::from_point(curve, &whole), Ok(key.clone()));
        assert_eq!(key.point().as_slice(), short);
        let text = multibase::encode(multibase::Base::Base58Btc, &whole);
        assert_eq!(SigningKey::from_method(method, &text), Ok(key.clone()));
        assert_eq!(key.to_string().parse(), Ok(key));
    }
}

#[test]
fn what_is_no_key_is_refused() {
    for (curve, method, x, y) in POINTS {
        let (x, y) = (bytes(x), bytes(y));
        let mut off = [&[4], x.as_slice(), &y].concat();
        off[64] ^= 1;
        assert!(SigningKey::from_point(curve, &off).is_err(), "off the curve");
        assert!(SigningKey::from_point(curve, &[0]).is_err(), "the point at infinity");
        assert!(SigningKey::from_point(curve, &[0xff; 33]).is_err());
        assert!(SigningKey::from_point(curve, &[]).is_err());
        for text in ["", "z", "zzzz", "z0OIl", "m000", "Q3shq", &"z".repeat(100_000)] {
            assert!(SigningKey::from_method(method, text).is_err(), "{text:.20}");
            assert!(SigningKey::from_multikey(text).is_err(), "{text:.20}");
        }
    }
    // Ed25519, as W3C writes it.
    let ed25519 = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";
    assert!(SigningKey::from_did_key(ed25519).is_err());
    assert!(SigningKey::from_method("Ed25519VerificationKey2020", "z6Mkha").is_err());
}
