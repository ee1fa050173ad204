//! `at://` URIs of records.

use super::{Did, SyntaxError, Tid, is_nsid, is_record_key};
use std::fmt;

/// The URI of one record: `at://did/collection/rkey`. The authority is a DID: a handle may move,
/// and a record that is stored has to stay where it is.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtUri {
    did: Did,
    collection: String,
    rkey: String,
}

impl AtUri {
    /// Checks the syntax of a record's URI.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let no = |why| Err(SyntaxError::new("a record's AT URI", text, why));
        const SHAPE: &str =
            "it has to look like at://did:plc:…/net.rhiz.relationship.record/3jzfcijpj2z2a";
        if text.len() > 8192 {
            return no("it is longer than 8,192 characters");
        }
        let Some(rest) = text.strip_prefix("at://") else {
            return no(SHAPE);
        };
        let mut parts = rest.split('/');
        let (Some(authority), Some(collection), Some(rkey), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return no(SHAPE);
        };
        let Ok(did) = Did::parse(authority) else {
            return no("its authority has to be a DID, as in at://did:plc:…");
        };
        if !is_nsid(collection) {
            return no("its collection has to be an NSID, as in net.rhiz.relationship.record");
        }
        if !is_record_key(rkey) {
            return no("its record key may have letters, digits and . _ : ~ - only");
        }
        Ok(Self { did, collection: collection.into(), rkey: rkey.into() })
    }

    /// The repo.
    #[must_use]
    pub fn did(&self) -> &Did {
        &self.did
    }

    /// The collection, an NSID.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The record key.
    #[must_use]
    pub fn rkey(&self) -> &str {
        &self.rkey
    }

    /// Writes the URI of a record with a TID for a key.
    #[must_use]
    pub fn of(did: &str, collection: &str, rkey: Tid) -> String {
        format!("at://{did}/{collection}/{rkey}")
    }
}

impl fmt::Display for AtUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at://{}/{}/{}", self.did, self.collection, self.rkey)
    }
}
impl fmt::Debug for AtUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
