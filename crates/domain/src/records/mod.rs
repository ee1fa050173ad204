//! The records of `net.rhiz.*`: their collections, their rules, and what is read from them.
//!
//! A record is read once into a typed value; everything its author wrote is kept beside it as the
//! canonical text, so that unknown fields survive.

mod attestation;
mod context;
mod fields;
mod intro;
mod profile;
mod relationship;

pub use attestation::Attestation;
pub use context::ContextNote;
pub(crate) use fields::Fields;
pub use intro::{Intro, IntroStatus};
pub use profile::{EntityType, Profile};
pub use relationship::{Relationship, Signature};

use crate::{
    Invalid,
    syntax::{Did, Tid},
};
use serde_json::Value;

/// A collection this index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Collection {
    /// `net.rhiz.relationship.record`
    Relationship = 1,
    /// `net.rhiz.relationship.attestation`
    Attestation = 2,
    /// `net.rhiz.entity.profile`
    Profile = 3,
    /// `net.rhiz.intro.request`
    Intro = 4,
    /// `net.rhiz.relationship.context`
    Context = 5,
    /// `net.rhiz.trust.metrics`: somebody's claim; moves no score.
    Claim = 6,
}

impl Collection {
    /// Every collection; `ALL[i] as usize == i + 1`.
    pub const ALL: [Self; 6] = [
        Self::Relationship,
        Self::Attestation,
        Self::Profile,
        Self::Intro,
        Self::Context,
        Self::Claim,
    ];

    /// The NSID.
    #[must_use]
    pub fn nsid(self) -> &'static str {
        match self {
            Self::Relationship => "net.rhiz.relationship.record",
            Self::Attestation => "net.rhiz.relationship.attestation",
            Self::Profile => "net.rhiz.entity.profile",
            Self::Intro => "net.rhiz.intro.request",
            Self::Context => "net.rhiz.relationship.context",
            Self::Claim => "net.rhiz.trust.metrics",
        }
    }

    /// From the NSID.
    #[must_use]
    pub fn parse(nsid: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.nsid() == nsid)
    }

    /// From its number (as stored).
    #[must_use]
    pub fn from_number(n: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|c| *c as i64 == n)
    }

    /// Reads a record key of this collection: `self` for a profile (as [`Tid::ZERO`]), else a TID.
    pub fn parse_rkey(self, rkey: &str) -> Result<Tid, String> {
        match self {
            Self::Profile if rkey == "self" => Ok(Tid::ZERO),
            Self::Profile => Err(format!("the key of a profile is `self`, not {rkey:?}")),
            _ => Tid::parse(rkey).map_err(|e| e.to_string()),
        }
    }

    /// Writes the URI of a record of this collection.
    #[must_use]
    pub fn uri(self, owner: &str, rkey: Tid) -> String {
        match self {
            Self::Profile => format!("at://{owner}/{}/self", self.nsid()),
            _ => format!("at://{owner}/{}/{rkey}", self.nsid()),
        }
    }
}

/// A record that keeps its collection's rules.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types say what they are")]
pub enum Record {
    Relationship(Relationship),
    Attestation(Attestation),
    Profile(Profile),
    Intro(Intro),
    Context(ContextNote),
    /// A claim of scores: kept as it is, read by nobody.
    Claim,
}

/// Whether a record came as its author wrote it, or was built from the flat fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As the lexicon has it.
    Lexicon,
    /// Converted: may lack what the flat form cannot say.
    Flat,
}

impl Record {
    /// Reads and checks a record of `collection` in the repo of `owner`. `path` is where it
    /// stands, for messages.
    pub fn read(
        collection: Collection,
        owner: &Did,
        value: &Value,
        form: Form,
        path: &str,
    ) -> Result<Self, Invalid> {
        let Some(map) = value.as_object() else {
            return Err(Invalid::one(path, "a record is a JSON object"));
        };
        let mut fields = Fields::new(map, path);
        if let Some(kind) = map.get("$type")
            && kind.as_str() != Some(collection.nsid())
        {
            fields.error("$type", format!("it has to be {:?}, the collection", collection.nsid()));
        }
        let record = match collection {
            Collection::Relationship => {
                Relationship::read(&mut fields, owner, form).map(Self::Relationship)
            }
            Collection::Attestation => Attestation::read(&mut fields, owner).map(Self::Attestation),
            Collection::Profile => Profile::read(&mut fields).map(Self::Profile),
            Collection::Intro => Intro::read(&mut fields, owner).map(Self::Intro),
            Collection::Context => ContextNote::read(&mut fields).map(Self::Context),
            Collection::Claim => Some(Self::Claim),
        };
        fields.finish(record)
    }
}
