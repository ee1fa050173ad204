//! `net.rhiz.entity.profile`: how an entity presents itself.

use super::Fields;
use jiff::Timestamp;

/// What an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum EntityType {
    Person,
    Organization,
    Agent,
}

pub(super) const ENTITY_TYPES: [(&str, EntityType); 3] = [
    ("person", EntityType::Person),
    ("organization", EntityType::Organization),
    ("agent", EntityType::Agent),
];

impl EntityType {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        ENTITY_TYPES[self as usize].0
    }

    /// From the name on the wire.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ENTITY_TYPES.iter().find(|(n, _)| *n == text).map(|(_, t)| *t)
    }
}

/// What is read from a profile record.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What to call it.
    pub display_name: String,
    /// What it is.
    pub entity_type: EntityType,
    /// In its own words.
    pub bio: Option<String>,
    /// Where its picture is.
    pub avatar_url: Option<String>,
    /// Its own claim; never trusted.
    pub verified: bool,
    /// When the record was made, as it says.
    pub created_at: Timestamp,
}

impl Profile {
    pub(super) fn read(f: &mut Fields<'_>) -> Option<Self> {
        let display_name = f.text_max("displayName", 200);
        let entity_type = f.one_of("entityType", &ENTITY_TYPES);
        let bio = f.text_opt_max("bio", 1000);
        let avatar_url = f.uri_opt("avatarUrl");
        let verified = f.bool_opt("verified").unwrap_or(false);
        let created_at = f.datetime("createdAt");
        Some(Self {
            display_name: display_name?.into(),
            entity_type: entity_type?,
            bio: bio.map(Into::into),
            avatar_url: avatar_url.map(Into::into),
            verified,
            created_at: created_at?,
        })
    }
}
