//! The record with which somebody states a relationship.

use rhiz_domain::Collection;
use serde_json::{Value, json};

/// `owner` states `other`, for all to see; everything happened at that time.
pub(crate) fn relationship(owner: &str, other: &str, kind: &str, strength: u64, at: &str) -> Value {
    json!({
        "$type": Collection::Relationship.nsid(),
        "participants": [owner, other],
        "type": kind,
        "strength": strength,
        "context": "",
        "privacy": {"visibility": "public", "consent": "full"},
        "temporal": {"start": at, "lastInteraction": at},
        "createdAt": at,
    })
}
