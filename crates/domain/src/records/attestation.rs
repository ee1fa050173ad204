//! `net.rhiz.relationship.attestation`: somebody vouches for, or disputes, a relationship.

use super::{Collection, Fields};
use crate::{
    fact::AttestationKind,
    syntax::{Did, Tid},
};
use jiff::Timestamp;

/// What is read from an attestation record.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// In whose repo the relationship is.
    pub target_owner: Did,
    /// The relationship's key there.
    pub target_rkey: Tid,
    /// What it says.
    pub kind: AttestationKind,
    /// 0–100.
    pub confidence: u8,
    /// Why, in the attester's words.
    pub evidence: Option<String>,
    /// 0–100; what the attester thinks the strength is.
    pub suggested_strength: Option<u8>,
    /// When it was made, as it says.
    pub created_at: Timestamp,
}

const KINDS: [(&str, AttestationKind); 4] = [
    ("verify", AttestationKind::Verify),
    ("dispute", AttestationKind::Dispute),
    ("strengthen", AttestationKind::Strengthen),
    ("weaken", AttestationKind::Weaken),
];

impl Attestation {
    pub(super) fn read(f: &mut Fields<'_>, owner: &Did) -> Option<Self> {
        let target = f.at_uri("targetRelationship").and_then(|uri| {
            if uri.collection() != Collection::Relationship.nsid() {
                f.error("targetRelationship", "it has to name a net.rhiz.relationship.record");
                return None;
            }
            match Tid::parse(uri.rkey()) {
                Ok(rkey) => Some((uri.did().clone(), rkey)),
                Err(e) => {
                    f.error("targetRelationship", e.to_string());
                    None
                }
            }
        });
        if let Some(attester) = f.did("attester")
            && attester != *owner
        {
            f.error("attester", format!("it has to be {owner}, whose repo the record is in"));
        }
        let kind = f.one_of("attestationType", &KINDS);
        let confidence = f.percent("confidence");
        let evidence = f.text_opt_max("evidence", 1000);
        let suggested_strength = f.percent_opt("suggestedStrength");
        for (i, field) in f.texts_opt("targetFields", 16).into_iter().enumerate() {
            if !["strength", "type", "context", "verification"].contains(&field) {
                let place = format!("targetFields[{i}]");
                f.error(&place, "it has to be one of strength, type, context, verification");
            }
        }
        f.object_opt("stake", |s| {
            if s.get("amount").is_none() {
                s.error("amount", "it is required");
            }
            s.count_opt("amount");
            s.text("token");
            s.datetime_opt("lockedUntil");
            s.percent_opt("slashingRisk");
            s.bool_opt("slashed");
            Some(())
        });
        let created_at = f.datetime("createdAt");
        let (target_owner, target_rkey) = target?;
        Some(Self {
            target_owner,
            target_rkey,
            kind: kind?,
            confidence: confidence?,
            evidence: evidence.map(Into::into),
            suggested_strength,
            created_at: created_at?,
        })
    }
}
