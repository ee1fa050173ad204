//! Builders of events.
//!
//! ```
//! use rhiz_testkit::events::relationship;
//! let event = relationship("did:plc:a", "did:plc:b").strength(80).rev(3).build();
//! assert_eq!(event.did.as_str(), "did:plc:a");
//! ```
//!
//! Instants and revisions are counted in seconds from [`START`], so that they can be compared:
//! `rev(3)` was made at `at(3)`.

use jiff::{SignedDuration, Timestamp};
use rhiz_domain::{
    Collection, Did, Effect, Event, EventId, EventType, Origin, Priority, Tid,
    payload::{self, Operation, interpret},
    store::Verdict,
    syntax::format_datetime,
};
use serde_json::{Map, Value, json};

/// Second 0.
pub const START: &str = "2026-01-01T00:00:00Z";

/// The instant `seconds` after [`START`].
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    // The constant is a date, and seconds of a test stay within centuries.
    START.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// The revision made at `at(seconds)`.
#[must_use]
pub fn rev(seconds: i64) -> Tid {
    Tid::at(at(seconds), 0)
}

/// A DID that is known to be one.
#[must_use]
pub fn did(text: &str) -> Did {
    Did::parse(text).unwrap()
}

/// What an event says.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A record was written or deleted.
    Record {
        /// Its collection.
        collection: Collection,
        /// Its key.
        rkey: Tid,
        /// What was done.
        operation: Operation,
        /// The record; of a delete, the one that goes.
        record: Map<String, Value>,
    },
    /// An account is active or not, since a second.
    Account {
        /// Since when.
        time: i64,
        /// Usable.
        active: bool,
        /// Why not.
        status: Option<String>,
    },
    /// A handle, since a second.
    Identity {
        /// Since when.
        time: i64,
        /// It.
        handle: Option<String>,
    },
    /// Scores are to be computed anew.
    Invalidated,
}

/// An event to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Who causes it.
    pub did: Did,
    /// What it says.
    pub what: What,
    /// Its revision: seconds.
    pub rev: i64,
    /// The source supplied the revision (class 1); else the server made it (class 0).
    pub sourced: bool,
    /// In the blueprint's flat form.
    pub flat: bool,
    id: Option<String>,
    priority: Option<Priority>,
    timestamp: Timestamp,
    origin: Origin,
    verified: bool,
}

fn draft(owner: &str, what: What) -> Draft {
    Draft {
        did: did(owner),
        what,
        rev: 1,
        sourced: true,
        flat: false,
        id: None,
        priority: None,
        timestamp: at(86_400 * 30),
        origin: Origin::Api,
        verified: false,
    }
}

fn record(collection: Collection, owner: &str, record: Value) -> Draft {
    let Value::Object(record) = record else { panic!("a record is an object") };
    let rkey = if collection == Collection::Profile { Tid::ZERO } else { key(0) };
    draft(owner, What::Record { collection, rkey, operation: Operation::Create, record })
}

/// The `n`-th record key.
#[must_use]
pub fn key(n: u64) -> Tid {
    Tid::from_u64(rev(0).to_u64() + n).unwrap_or(Tid::ZERO)
}

/// `owner` states that it knows `subject`: professional, 50, public.
#[must_use]
pub fn relationship(owner: &str, subject: &str) -> Draft {
    record(
        Collection::Relationship,
        owner,
        json!({
            "$type": Collection::Relationship.nsid(),
            "participants": [owner, subject],
            "type": "professional",
            "strength": 50,
            "context": "",
            "privacy": {"visibility": "public", "consent": "full"},
            "temporal": {"start": START, "lastInteraction": START},
            "createdAt": START,
        }),
    )
}

/// `attester` verifies the record of `owner` with key `n`, confidence 90.
#[must_use]
pub fn attestation(attester: &str, owner: &str, n: u64) -> Draft {
    record(
        Collection::Attestation,
        attester,
        json!({
            "$type": Collection::Attestation.nsid(),
            "targetRelationship": Collection::Relationship.uri(owner, key(n)),
            "attester": attester,
            "attestationType": "verify",
            "confidence": 90,
            "createdAt": START,
        }),
    )
}

/// The profile of a person.
#[must_use]
pub fn profile(owner: &str, name: &str) -> Draft {
    record(
        Collection::Profile,
        owner,
        json!({
            "$type": Collection::Profile.nsid(),
            "displayName": name,
            "entityType": "person",
            "createdAt": START,
        }),
    )
}

/// `requester` asks to meet `target`.
#[must_use]
pub fn intro(requester: &str, target: &str) -> Draft {
    record(
        Collection::Intro,
        requester,
        json!({
            "$type": Collection::Intro.nsid(),
            "requester": requester,
            "target": target,
            "context": "",
            "message": "Please.",
            "status": "pending",
            "createdAt": START,
        }),
    )
}

/// A context of the record of `owner` with key 0, in its own repo.
#[must_use]
pub fn context(owner: &str) -> Draft {
    record(
        Collection::Context,
        owner,
        json!({
            "$type": Collection::Context.nsid(),
            "relationshipUri": Collection::Relationship.uri(owner, key(0)),
            "domain": "technology",
            "createdAt": START,
        }),
    )
}

/// A claim of a score.
#[must_use]
pub fn claim(owner: &str, score: u8) -> Draft {
    let value = json!({"$type": Collection::Claim.nsid(), "score": score});
    record(Collection::Claim, owner, value)
}

/// The account is usable from second `time` on, or not.
#[must_use]
pub fn account(owner: &str, time: i64, active: bool) -> Draft {
    let status = (!active).then(|| "suspended".to_owned());
    draft(owner, What::Account { time, active, status })
}

/// The account is deleted at second `time`.
#[must_use]
pub fn deleted(owner: &str, time: i64) -> Draft {
    draft(owner, What::Account { time, active: false, status: Some("deleted".into()) })
}

/// The handle from second `time` on.
#[must_use]
pub fn identity(owner: &str, time: i64, handle: Option<&str>) -> Draft {
    draft(owner, What::Identity { time, handle: handle.map(Into::into) })
}

/// Scores of `owner` are to be computed anew. Merging it gives exactly one change each time.
#[must_use]
pub fn invalidated(owner: &str) -> Draft {
    draft(owner, What::Invalidated)
}

impl Draft {
    fn with(mut self, change: impl FnOnce(&mut Map<String, Value>)) -> Self {
        let What::Record { record, .. } = &mut self.what else { panic!("not a record: {self:?}") };
        change(record);
        self
    }

    /// Replaces a field of the record.
    #[must_use]
    pub fn set(self, field: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.with(|r| {
            r.insert(field.into(), value);
        })
    }

    /// 0–100.
    #[must_use]
    pub fn strength(self, strength: u8) -> Self {
        self.set("strength", strength)
    }

    /// `professional`, `family`, …
    #[must_use]
    pub fn kind(self, kind: &str) -> Self {
        self.set("type", kind)
    }

    /// `verify`, `dispute`, `strengthen`, `weaken`.
    #[must_use]
    pub fn says(self, kind: &str) -> Self {
        self.set("attestationType", kind)
    }

    /// `public` / `network` / `private`, and `full` / `limited` / `anonymous`.
    #[must_use]
    pub fn privacy(self, visibility: &str, consent: &str) -> Self {
        self.set("privacy", json!({"visibility": visibility, "consent": consent}))
    }

    /// When the record says it was made: seconds.
    #[must_use]
    pub fn created(self, seconds: i64) -> Self {
        self.set("createdAt", format_datetime(at(seconds)))
    }

    /// When the two last had to do with each other: seconds.
    #[must_use]
    pub fn last_interaction(self, seconds: i64) -> Self {
        let time = format_datetime(at(seconds));
        self.set("temporal", json!({"start": START, "lastInteraction": time}))
    }

    /// The record's key, the `n`-th.
    #[must_use]
    pub fn key(mut self, n: u64) -> Self {
        if let What::Record { rkey, .. } = &mut self.what {
            *rkey = key(n);
        }
        self
    }

    /// The revision that the source supplies.
    #[must_use]
    pub fn rev(mut self, seconds: i64) -> Self {
        (self.rev, self.sourced) = (seconds, true);
        self
    }

    /// The revision that the server makes, because the source gives none.
    #[must_use]
    pub fn served(mut self, seconds: i64) -> Self {
        (self.rev, self.sourced) = (seconds, false);
        self
    }

    fn operation(mut self, to: Operation) -> Self {
        if let What::Record { operation, .. } = &mut self.what {
            *operation = to;
        }
        self
    }

    /// An update instead of a create.
    #[must_use]
    pub fn update(self) -> Self {
        self.operation(Operation::Update)
    }

    /// A delete.
    #[must_use]
    pub fn delete(self) -> Self {
        self.operation(Operation::Delete)
    }

    /// In the blueprint's flat form, which only relationships and attestations have.
    #[must_use]
    pub fn flat(mut self) -> Self {
        self.flat = true;
        self
    }

    /// Its name; made from what it says when not given.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.into());
        self
    }

    /// How urgent.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Accepted at that second.
    #[must_use]
    pub fn at(mut self, seconds: i64) -> Self {
        self.timestamp = at(seconds);
        self
    }

    /// From a source.
    #[must_use]
    pub fn from(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Proven against the repo's signature.
    #[must_use]
    pub fn verified(mut self) -> Self {
        self.verified = true;
        self
    }

    /// The event's type.
    #[must_use]
    pub fn event_type(&self) -> EventType {
        match &self.what {
            What::Record { collection, operation, .. } => {
                payload::event_type(*collection, *operation)
            }
            What::Account { .. } => EventType::AccountUpdated,
            What::Identity { .. } => EventType::IdentityUpdated,
            What::Invalidated => EventType::TrustInvalidated,
        }
    }

    /// The record as the lexicon has it, whatever the form it is sent in. `None` for a delete and
    /// for what is no record.
    #[must_use]
    pub fn record(&self) -> Option<Value> {
        let What::Record { collection, operation, record, .. } = &self.what else { return None };
        if *operation == Operation::Delete {
            return None;
        }
        let mut record = record.clone();
        if self.flat && *collection == Collection::Relationship {
            record.insert("privacy".into(), json!({"visibility": "public", "consent": "full"}));
            record.insert("temporal".into(), json!({"start": record["createdAt"]}));
        }
        Some(Value::Object(record))
    }

    /// The event's payload.
    #[must_use]
    pub fn payload(&self) -> Value {
        match &self.what {
            What::Record { collection, rkey, .. } => {
                let mut map = Map::new();
                map.insert("uri".into(), collection.uri(self.did.as_str(), *rkey).into());
                if self.sourced {
                    map.insert("rev".into(), rev(self.rev).to_string().into());
                }
                match self.record() {
                    Some(Value::Object(record)) if self.flat => flatten(&mut map, &record),
                    Some(record) => {
                        map.insert("record".into(), record);
                    }
                    None => {}
                }
                Value::Object(map)
            }
            What::Account { time, active, status } => {
                json!({"time": format_datetime(at(*time)), "active": active, "status": status})
            }
            What::Identity { time, handle } => {
                json!({"time": format_datetime(at(*time)), "handle": handle})
            }
            What::Invalidated => json!({}),
        }
    }

    /// The event.
    #[must_use]
    pub fn build(&self) -> Event {
        let kind = self.event_type();
        let is_record = matches!(self.what, What::Record { .. });
        let mut event = Event {
            effect: Default::default(),
            event_id: EventId::parse(self.id.as_deref().unwrap_or("unnamed")).unwrap(),
            event_type: kind,
            did: self.did.clone(),
            payload: serde_json::value::to_raw_value(&self.payload()).unwrap(),
            priority: self.priority.unwrap_or(kind.default_priority()),
            timestamp: self.timestamp,
            replayed_at: None,
            assigned_rev: (is_record && !self.sourced).then(|| rev(self.rev)),
            retry_count: 0,
            stages: Vec::new(),
            origin: self.origin.clone(),
            verified: self.verified,
        };
        if self.id.is_none() {
            let mut name = hex(&event.fingerprint()[..12]);
            name.push_str(&event.assigned_rev.map(|r| format!("-{r}")).unwrap_or_default());
            event.event_id = EventId::parse(&name).unwrap();
        }
        event
    }

    /// What the event does.
    #[must_use]
    pub fn effect(&self) -> Effect {
        interpret(&self.build()).unwrap_or_else(|e| panic!("{self:?}: {e}"))
    }
}

/// The lexicon's fields under the blueprint's names.
fn flatten(map: &mut Map<String, Value>, record: &Map<String, Value>) {
    for (flat, lexicon) in [
        ("participants", "participants"),
        ("type", "type"),
        ("strength", "strength"),
        ("context", "context"),
        ("created_at", "createdAt"),
        ("attester_did", "attester"),
        ("target_uri", "targetRelationship"),
        ("attestation_type", "attestationType"),
        ("confidence", "confidence"),
        ("evidence", "evidence"),
        ("suggested_strength", "suggestedStrength"),
    ] {
        if let Some(value) = record.get(lexicon) {
            map.insert(flat.into(), value.clone());
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What a processor says of an event: its effect, or that it is invalid.
#[must_use]
pub fn verdict(event: &Event) -> Verdict {
    match interpret(event) {
        Ok(effect) => Verdict::Apply(effect),
        Err(invalid) => Verdict::Bury { reason: invalid.to_string() },
    }
}
