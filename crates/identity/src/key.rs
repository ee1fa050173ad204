//! The key that an account's commits are signed with.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The curve of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256k1 (ES256K).
    Secp256k1,
    /// NIST P-256, also called secp256r1 (ES256).
    P256,
}

impl Curve {
    /// `secp256k1` or `p256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::P256 => "p256",
        }
    }

    /// How a key of this curve begins as a multikey (multicodec 0xe7 and 0x1200 as varints).
    fn prefix(self) -> [u8; 2] {
        match self {
            Self::Secp256k1 => [0xe7, 0x01],
            Self::P256 => [0x80, 0x24],
        }
    }
}

/// A public key: a point that is on its curve, compressed. Written as `did:key:z…`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SigningKey {
    curve: Curve,
    point: [u8; 33],
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a signing key: {0}")]
pub struct KeyError(&'static str);

impl SigningKey {
    /// From `did:key:z…`.
    pub fn from_did_key(text: &str) -> Result<Self, KeyError> {
        let multikey = text.strip_prefix("did:key:").ok_or(KeyError("it has no did:key:"))?;
        Self::from_multikey(multikey)
    }

    /// From `z…`: base58 of the curve's multicodec and the compressed point.
    pub fn from_multikey(text: &str) -> Result<Self, KeyError> {
        let bytes = base58(text)?;
        for curve in [Curve::Secp256k1, Curve::P256] {
            if let Some(point) = bytes.strip_prefix(&curve.prefix()) {
                if point.len() != 33 {
                    return Err(KeyError("a multikey holds a compressed point, 33 bytes"));
                }
                return Self::from_point(curve, point);
            }
        }
        Err(KeyError("it is of another curve than secp256k1 and p256"))
    }

    /// From a verification method of a DID document: its `type` and `publicKeyMultibase`.
    ///
    /// Before `Multikey` the type named the curve, and the text was base58 of the bare point,
    /// compressed or not.
    pub fn from_method(kind: &str, text: &str) -> Result<Self, KeyError> {
        match kind {
            "Multikey" => Self::from_multikey(text),
            "EcdsaSecp256k1VerificationKey2019" => {
                Self::from_point(Curve::Secp256k1, &base58(text)?)
            }
            "EcdsaSecp256r1VerificationKey2019" => Self::from_point(Curve::P256, &base58(text)?),
            _ => Err(KeyError("its type is not one of the AT Protocol")),
        }
    }

    /// From a point in SEC 1 form, compressed (33 bytes) or not (65).
    pub fn from_point(curve: Curve, sec1: &[u8]) -> Result<Self, KeyError> {
        if sec1.len() != 33 && sec1.len() != 65 {
            return Err(KeyError("a point has 33 or 65 bytes"));
        }
        let off = |_| KeyError("the point is not on its curve");
        let point: Vec<u8> = match curve {
            Curve::Secp256k1 => {
                use k256::elliptic_curve::sec1::ToEncodedPoint as _;
                let key = k256::PublicKey::from_sec1_bytes(sec1).map_err(off)?;
                key.to_encoded_point(true).as_bytes().into()
            }
            Curve::P256 => {
                use p256::elliptic_curve::sec1::ToEncodedPoint as _;
                let key = p256::PublicKey::from_sec1_bytes(sec1).map_err(off)?;
                key.to_encoded_point(true).as_bytes().into()
            }
        };
        let point = point.try_into().map_err(|_| KeyError("the point is not on its curve"))?;
        Ok(Self { curve, point })
    }

    /// Its curve.
    #[must_use]
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// The compressed point, SEC 1.
    #[must_use]
    pub fn point(&self) -> &[u8; 33] {
        &self.point
    }

    /// `z…`, without `did:key:`.
    #[must_use]
    pub fn multikey(&self) -> String {
        let bytes = [self.curve.prefix().as_slice(), &self.point].concat();
        multibase::encode(multibase::Base::Base58Btc, bytes)
    }
}

fn base58(text: &str) -> Result<Vec<u8>, KeyError> {
    // A point takes 90 characters at most; base58 is quadratic in its length.
    if !text.starts_with('z') || text.len() > 100 {
        return Err(KeyError("it has to be `z` and base58"));
    }
    multibase::decode(text)
        .map(|(_, bytes)| bytes)
        .map_err(|_| KeyError("it has to be `z` and base58"))
}

impl fmt::Display for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did:key:{}", self.multikey())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for SigningKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_did_key(text)
    }
}

impl Serialize for SigningKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Self::from_did_key(&text).map_err(serde::de::Error::custom)
    }
}
