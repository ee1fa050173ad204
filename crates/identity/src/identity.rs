//! Who somebody is, in the words of this crate.

use crate::key::SigningKey;
use rhiz_domain::{Did, Handle};
use serde::{Deserialize, Serialize};
use url::Url;

/// What a DID document says, as far as the AT Protocol asks. The handle in it is a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Whose it is.
    pub did: Did,
    /// The handle it claims: the first `at://` of `alsoKnownAs`, when that is a handle.
    pub claimed_handle: Option<Handle>,
    /// Origin of the server that holds the repo: scheme, host and port, never a path.
    pub pds: Option<Url>,
    /// The key that commits are signed with.
    pub signing_key: Option<SigningKey>,
    /// `alsoKnownAs`, as it came.
    pub also_known_as: Vec<String>,
}

/// How the claimed handle stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandleCheck {
    /// It leads back to the DID.
    Verified,
    /// It leads to somebody else, to nobody, or may not be used.
    Refuted,
    /// The document claims none.
    NotClaimed,
    /// It could not be asked just now.
    Unknown,
}

/// A resolved identity.
///
/// In a cache it carries a version: a value written by another version of this type does not
/// decode, and is resolved anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Identity {
    /// Who.
    pub did: Did,
    /// The handle, verified both ways.
    pub handle: Option<Handle>,
    /// The handle that the document claims, whatever became of it.
    pub claimed_handle: Option<Handle>,
    /// What became of it.
    pub handle_check: HandleCheck,
    /// Origin of the server that holds the repo: scheme, host and port, never a path.
    pub pds: Option<Url>,
    /// The key that commits are signed with.
    pub signing_key: Option<SigningKey>,
    /// `alsoKnownAs`, as it came.
    pub also_known_as: Vec<String>,
}

impl Identity {
    /// Counts the shapes this type has had in caches.
    pub const VERSION: u32 = 1;

    /// A document and what became of its handle.
    #[must_use]
    pub fn new(document: Document, handle_check: HandleCheck) -> Self {
        let Document { did, claimed_handle, pds, signing_key, also_known_as } = document;
        let handle = claimed_handle.clone().filter(|_| handle_check == HandleCheck::Verified);
        Self { did, handle, claimed_handle, handle_check, pds, signing_key, also_known_as }
    }

    /// The verified handle, or `handle.invalid`.
    #[must_use]
    pub fn shown_handle(&self) -> &str {
        self.handle.as_ref().map_or(Handle::INVALID, Handle::as_str)
    }

    /// Whether everything about it was answered. One that is not should be kept for minutes only.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.handle_check != HandleCheck::Unknown
    }
}

/// How an [`Identity`] is written down.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    did: Did,
    claimed_handle: Option<String>,
    handle_check: HandleCheck,
    pds: Option<Url>,
    signing_key: Option<SigningKey>,
    also_known_as: Vec<String>,
}

impl From<Identity> for Stored {
    fn from(i: Identity) -> Self {
        Self {
            version: Identity::VERSION,
            did: i.did,
            claimed_handle: i.claimed_handle.map(|h| h.as_str().to_owned()),
            handle_check: i.handle_check,
            pds: i.pds,
            signing_key: i.signing_key,
            also_known_as: i.also_known_as,
        }
    }
}

impl TryFrom<Stored> for Identity {
    type Error = String;

    fn try_from(s: Stored) -> Result<Self, String> {
        if s.version != Self::VERSION {
            return Err(format!("an identity of version {}, not {}", s.version, Self::VERSION));
        }
        let claimed_handle = s.claimed_handle.map(|h| Handle::parse(&h)).transpose();
        let document = Document {
            did: s.did,
            claimed_handle: claimed_handle.map_err(|e| e.to_string())?,
            pds: s.pds,
            signing_key: s.signing_key,
            also_known_as: s.also_known_as,
        };
        Ok(Self::new(document, s.handle_check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn someone() -> Identity {
        let key = "did:key:zQ3shqwJEJyMBsBXCWyCBpUBMqxcon9oHB7mCvx4sSpMdLJwc";
        let document = Document {
            did: Did::parse("did:plc:ewvi7nxzyoun6zhxrhs64oiz").unwrap(),
            claimed_handle: Some(Handle::parse("atproto.com").unwrap()),
            pds: Some(Url::parse("https://pds.example.com").unwrap()),
            signing_key: Some(key.parse().unwrap()),
            also_known_as: vec!["at://atproto.com".into()],
        };
        Identity::new(document, HandleCheck::Verified)
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for check in [HandleCheck::Verified, HandleCheck::Refuted, HandleCheck::Unknown] {
            let identity = Identity {
                handle: someone().handle.filter(|_| check == HandleCheck::Verified),
                handle_check: check,
                ..someone()
            };
            let packed = rmp_serde::to_vec_named(&identity).unwrap();
            assert_eq!(rmp_serde::from_slice::<Identity>(&packed).unwrap(), identity);
            let json = serde_json::to_string(&identity).unwrap();
            assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
        }
    }

    #[test]
    fn another_version_does_not_decode() {
        let mut value = serde_json::to_value(someone()).unwrap();
        assert_eq!(value["version"], 1);
        value["version"] = 2.into();
        let refused = serde_json::from_value::<Identity>(value).unwrap_err();
        assert_eq!(refused.to_string(), "an identity of version 2, not 1");
    }
}
