//! What the pipeline carries.

use crate::syntax::{Did, Tid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[expect(missing_docs, reason = "the names on the wire say what they are")]
        pub enum $name { $($variant),+ }

        impl $name {
            /// Every one, in the order of the spec.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// From the name on the wire.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// The names, for messages.
            #[must_use]
            pub fn allowed() -> String {
                [$($text),+].join(", ")
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(self.as_str())
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(d)?;
                Self::parse(&text).ok_or_else(|| serde::de::Error::custom(
                    format!("{text:?} is unknown; allowed: {}", Self::allowed())))
            }
        }
    };
}

names! {
    /// What happened.
    EventType {
        RelationshipCreated = "relationship.created",
        RelationshipUpdated = "relationship.updated",
        RelationshipDeleted = "relationship.deleted",
        AttestationCreated = "attestation.created",
        AttestationUpdated = "attestation.updated",
        AttestationDeleted = "attestation.deleted",
        ProfileUpdated = "entity.profile.updated",
        ProfileDeleted = "entity.profile.deleted",
        IdentityUpdated = "identity.updated",
        AccountUpdated = "account.updated",
        TrustInvalidated = "trust.invalidated",
        IntroUpdated = "intro.updated",
        IntroDeleted = "intro.deleted",
        ContextUpdated = "context.updated",
        ContextDeleted = "context.deleted",
    }
}

impl EventType {
    /// The priority of an event whose author names none.
    #[must_use]
    pub fn default_priority(self) -> Priority {
        use EventType as T;
        match self {
            T::AccountUpdated => Priority::Critical,
            T::AttestationCreated | T::AttestationUpdated | T::AttestationDeleted => Priority::High,
            T::TrustInvalidated | T::ContextUpdated | T::ContextDeleted => Priority::Low,
            _ => Priority::Normal,
        }
    }

    /// Whether it says that a record is gone.
    #[must_use]
    pub fn is_delete(self) -> bool {
        use EventType as T;
        matches!(
            self,
            T::RelationshipDeleted
                | T::AttestationDeleted
                | T::ProfileDeleted
                | T::IntroDeleted
                | T::ContextDeleted
        )
    }
}

names! {
    /// The steps an event goes through.
    StageName {
        Validation = "validation",
        Enrichment = "enrichment",
        DatabaseWrite = "database_write",
        GraphUpdate = "graph_update",
        CacheInvalidation = "cache_invalidation",
        Metrics = "metrics",
    }
}

/// How urgent; greater goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Priority {
    Low = 0,
    Normal = 1,
    High = 2,
    Critical = 3,
}

impl Priority {
    /// Every priority, lowest first: `ALL[p as usize] == p`.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// From its number, 0–3.
    #[must_use]
    pub fn from_number(n: i64) -> Option<Self> {
        usize::try_from(n).ok().and_then(|n| Self::ALL.get(n).copied())
    }

    /// Its name, for people and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["low", "normal", "high", "critical"][self as usize]
    }
}

/// Names an event: a UUIDv7 of ours, or whatever its author chose for idempotency.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EventId(String);

impl EventId {
    /// 1–128 visible ASCII characters.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err("an event_id has 1 to 128 visible ASCII characters, best a UUID")
        }
    }

    /// A new UUIDv7.
    pub fn generate(now: Timestamp, entropy: &dyn crate::Entropy) -> Self {
        let mut random = [0u8; 10];
        random[..8].copy_from_slice(&entropy.next_u64().to_le_bytes());
        random[8..].copy_from_slice(&entropy.next_u64().to_le_bytes()[..2]);
        let millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an event came from. Together with the place in it, what "the same event twice" means.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// `POST /internal/events` and its like; the event's id is its identity.
    Api,
    /// A Jetstream; identity is (time_us, uri, rev).
    Jetstream {
        /// Microseconds since 1970.
        time_us: i64,
    },
    /// A file; identity is (digest, offset).
    File {
        /// The first 16 hexadecimal digits of its SHA-256, or a name for what cannot be reread.
        digest: String,
        /// Where the line begins, in bytes of the uncompressed text.
        offset: u64,
    },
}

impl Origin {
    /// The family, for metrics and records: api, jetstream, file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Jetstream { .. } => "jetstream",
            Self::File { .. } => "file",
        }
    }
}

/// One event, as it is journaled.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub event_id: EventId,
    /// What happened.
    pub event_type: EventType,
    /// Who caused it.
    pub did: Did,
    /// A JSON object; what is in it depends on the type ([`crate::payload`]).
    pub payload: Box<RawValue>,
    /// How urgent.
    pub priority: Priority,
    /// When it was accepted, or when its source says it happened: part of what it means, so no
    /// replay changes it.
    pub timestamp: Timestamp,
    /// When it was put back last, after it had been given up.
    pub replayed_at: Option<Timestamp>,
    /// The revision this server made at accept, for a record event whose source gave none.
    pub assigned_rev: Option<Tid>,
    /// Attempts that failed.
    pub retry_count: u32,
    /// What was done, in order.
    pub stages: Vec<Stage>,
    /// Where it came from.
    pub origin: Origin,
    /// Its record was proven against the repo's signature before it was accepted.
    pub verified: bool,
    /// What it does to the index, once that was read: see [`crate::payload::interpret`].
    pub effect: Remembered,
}

/// What an event was read as, so that it is read once between accept and work. Only in memory;
/// whoever changes an event after reading it has to reset this.
#[derive(Debug, Clone, Default)]
pub struct Remembered(pub(crate) std::sync::OnceLock<Result<crate::Effect, crate::Invalid>>);

impl Remembered {
    /// What it was read as, if it was read and is valid; reads nothing.
    #[must_use]
    pub fn peek(&self) -> Option<&crate::Effect> {
        self.0.get()?.as_ref().ok()
    }
}

/// One step an event went through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Which.
    pub stage: StageName,
    /// When it ended.
    pub timestamp: Timestamp,
    /// Whether it worked.
    pub success: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// How long it took, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ms: Option<f64>,
}

impl Event {
    /// Since when it has been on its way: what it waited before it was given up, and as a dead
    /// letter, plays no part in how long anything takes.
    #[must_use]
    pub fn under_way_since(&self) -> Timestamp {
        self.replayed_at.unwrap_or(self.timestamp)
    }

    /// What makes two events the same: SHA-256 over type, DID and payload, however the payload's
    /// keys are ordered or spaced. What this server made at accept (a revision) plays no part.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(self.event_type.as_str());
        hash.update([0]);
        hash.update(self.did.as_str());
        hash.update([0]);
        match crate::payload::interpret(self) {
            // A record is hashed already, in its canonical form; unless a date in it was taken from
            // the revision that this server made.
            Ok(crate::Effect::Record(write)) if write.version.class == 1 => {
                hash.update([write.collection as u8, u8::from(write.version.deleted)]);
                hash.update(write.rkey.to_u64().to_be_bytes());
                hash.update(write.version.rev.to_u64().to_be_bytes());
                hash.update(write.version.hash);
                hash.update(write.cid.as_deref().unwrap_or_default());
            }
            _ => match serde_json::from_str(self.payload.get()) {
                Ok(mut value) => {
                    sort_keys(&mut value);
                    hash.update(value.to_string());
                }
                // Not JSON: validation refuses it, but two of them still compare.
                Err(_) => hash.update(self.payload.get()),
            },
        }
        hash.finalize().into()
    }
}

fn sort_keys(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort_keys);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(sort_keys),
        _ => {}
    }
}
