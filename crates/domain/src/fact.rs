//! What is live, as the graph needs it: small, numbered, without texts.
//!
//! The store numbers every DID it ever saw ([`EntityId`]); facts name people by that number. A
//! fact is there while its record is live by its repo's floor; whether the accounts are active is
//! told apart, by [`EntityFact`].

use crate::syntax::{Did, Tid};
use std::sync::Arc;

/// The store's number of a DID: dense, from 1, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u32);

/// Days since 1970-01-01, UTC.
pub type Day = i32;

/// The UTC day of an instant.
#[must_use]
pub fn day_of(time: jiff::Timestamp) -> Day {
    // jiff's range is ±9999 years: days fit in 32 bits.
    time.as_second().div_euclid(86_400) as Day
}

/// A record of a known collection: whose repo, and its TID key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The repo.
    pub owner: EntityId,
    /// The record key.
    pub rkey: Tid,
}

/// Who may see a relationship. Greater is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visibility {
    /// Anyone.
    Public,
    /// Counts for all; its texts are for the participants and those mutually related to them.
    Network,
    /// The two participants only; enters nothing else.
    Private,
}

/// What the participants agreed to. Greater is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Consent {
    /// Everything the visibility allows.
    Full,
    /// Left out of bulk exports.
    Limited,
    /// Counts in aggregates; never a hop, a neighbour or a named part of an explanation.
    Anonymous,
}

/// A live `net.rhiz.relationship.record`.
#[derive(Debug, Clone, PartialEq)]
pub struct RelationshipFact {
    /// Owner and key.
    pub key: RecordKey,
    /// The participant who does not own it.
    pub subject: EntityId,
    /// `professional`, `family`, …, or whatever its author wrote.
    pub kind: Arc<str>,
    /// 0–100.
    pub strength: u8,
    /// Effective day of the last interaction, if known.
    pub last_interaction: Option<Day>,
    /// Effective instant of its making, microseconds since 1970.
    pub created: i64,
    /// The revision that wrote it (for "newest").
    pub rev: Tid,
    /// It carries the owner's valid signature.
    pub signed_by_owner: bool,
    /// It carries the subject's valid signature.
    pub signed_by_subject: bool,
    /// Who may see it.
    pub visibility: Visibility,
    /// What was agreed to.
    pub consent: Consent,
}

/// The kinds of attestation, with the wire names `verify`, `dispute`, `strengthen`, `weaken`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum AttestationKind {
    Verify,
    Dispute,
    Strengthen,
    Weaken,
}

impl AttestationKind {
    /// Every kind, in the order of the wire names' first mention in the spec.
    pub const ALL: [Self; 4] = [Self::Verify, Self::Dispute, Self::Strengthen, Self::Weaken];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Dispute => "dispute",
            Self::Strengthen => "strengthen",
            Self::Weaken => "weaken",
        }
    }

    /// From the name on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == text)
    }
}

/// A live `net.rhiz.relationship.attestation`. `key.owner` is the attester.
#[derive(Debug, Clone, PartialEq)]
pub struct AttestationFact {
    /// Attester and key.
    pub key: RecordKey,
    /// The relationship it speaks of; it may be unknown.
    pub target: RecordKey,
    /// What it says.
    pub kind: AttestationKind,
    /// 0–100.
    pub confidence: u8,
    /// Effective instant, microseconds since 1970.
    pub effective: i64,
    /// The revision that wrote it (for "newest").
    pub rev: Tid,
}

/// What is known of a DID besides the records that name it.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityFact {
    /// Its number.
    pub id: EntityId,
    /// The DID.
    pub did: Did,
    /// Its account is active (true until told otherwise).
    pub active: bool,
    /// It has a live profile, or was made through the API: it exists even if no record names it.
    pub stands_alone: bool,
}

/// One change of what is live. Applying it twice is the same as once.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// An entity is new, or something of it changed.
    Entity(EntityFact),
    /// A relationship is there in this form.
    Relationship(RelationshipFact),
    /// A relationship is gone.
    RelationshipGone(RecordKey),
    /// An attestation is there in this form.
    Attestation(AttestationFact),
    /// An attestation is gone.
    AttestationGone(RecordKey),
    /// Something that only caches care for: a profile's text, an identity, an explicit request.
    Touched(EntityId),
}

/// The changes of one commit, in order.
#[derive(Debug, Clone, Default)]
pub struct ChangeSet {
    /// The number of the last change in it. Numbers follow the order of commits, and grow across
    /// restarts.
    pub seq: u64,
    /// What changed.
    pub changes: Vec<Change>,
}
