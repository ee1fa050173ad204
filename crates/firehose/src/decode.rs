//! One message becomes an event, or a reason why not. Pure: called by every source that carries
//! messages shaped like Jetstream v1, whether from a socket or a file.
//!
//! Promises: no bytes whatever make it panic or overflow the stack; what concerns us is never
//! dropped silently; the same message at the same place always gets the same `event_id`.

use jiff::Timestamp;
use rhiz_domain::{
    Collection, Did, Event, EventId, EventType, Origin,
    payload::{self, Operation},
    store::{Intake, Rejected},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Bytes of a message at most. The protocol limits a record to 1 MB.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// How far ahead of our clock a message's time may be, microseconds: five minutes, as for a rev.
const MAX_AHEAD_US: i64 = 5 * 60 * 1_000_000;

/// Bytes of a reason at most.
const MAX_REASON: usize = 2048;

/// Where a message was found: with what it says, its identity.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// In a Jetstream; identity is (time_us, uri, rev).
    Jetstream,
    /// In a file; identity is (digest, offset).
    File {
        /// [`FileDigest::short`](crate::FileDigest::short).
        digest: &'a str,
        /// Where the line begins, bytes of uncompressed text.
        offset: u64,
    },
}

/// A message, decoded.
#[derive(Debug)]
pub struct Message {
    /// When the stream saw it, microseconds since 1970; `None` when it does not say so or lies in
    /// the future. This is what a Jetstream's cursor is made of.
    pub time_us: Option<i64>,
    /// What it is.
    pub decoded: Decoded,
}

/// What became of a message.
#[derive(Debug)]
pub enum Decoded {
    /// An event, valid.
    Event(Event),
    /// It concerns us, or may, and cannot become an event.
    Rejected(Rejected),
    /// It does not concern us: another collection, another kind.
    Passed,
}

impl Decoded {
    /// Puts it where it belongs.
    pub fn put_into(self, intake: &mut Intake) {
        match self {
            Self::Event(event) => intake.events.push(event),
            Self::Rejected(rejected) => intake.rejected.push(rejected),
            Self::Passed => {}
        }
    }
}

/// Text that is borrowed where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    did: Cow<'a, str>,
    time_us: i64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    commit: Option<Commit<'a>>,
    #[serde(borrow)]
    identity: Option<Identity<'a>>,
    #[serde(borrow)]
    account: Option<Account<'a>>,
}

#[derive(Deserialize)]
struct Commit<'a> {
    #[serde(borrow)]
    rev: Cow<'a, str>,
    #[serde(borrow)]
    operation: Cow<'a, str>,
    #[serde(borrow)]
    collection: Cow<'a, str>,
    #[serde(borrow)]
    rkey: Cow<'a, str>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    #[serde(borrow)]
    cid: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    did: Option<Text<'a>>,
    #[serde(borrow)]
    handle: Option<Text<'a>>,
    seq: Option<i64>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Account<'a> {
    #[serde(borrow)]
    did: Option<Text<'a>>,
    active: Option<bool>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    seq: Option<i64>,
    #[serde(borrow)]
    time: Option<Text<'a>>,
}

/// The payload of an event, all kinds in one; what is `None` is left out.
#[derive(Serialize, Default)]
struct Payload<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rev: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    handle: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<&'a str>,
    /// As its author wrote it, not serialised anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a RawValue>,
}

/// Decodes one message. `now` is our clock: what lies more than five minutes ahead is rejected.
#[must_use]
pub fn decode(bytes: &[u8], place: Place<'_>, now: Timestamp) -> Message {
    let mut at = Found { bytes, place, now, time_us: None, did: None, event_type: None };
    let read = read(&mut at);
    let time_us = at.usable_time();
    let decoded = match read {
        Ok(Some(event)) => Decoded::Event(event),
        Ok(None) => Decoded::Passed,
        Err(reason) => Decoded::Rejected(at.reject(reason)),
    };
    Message { time_us, decoded }
}

/// What is known of a message so far.
struct Found<'a> {
    bytes: &'a [u8],
    place: Place<'a>,
    now: Timestamp,
    time_us: Option<i64>,
    did: Option<Did>,
    event_type: Option<EventType>,
}

impl Found<'_> {
    fn usable_time(&self) -> Option<i64> {
        let latest = self.now.as_microsecond().saturating_add(MAX_AHEAD_US);
        self.time_us.filter(|t| (1..=latest).contains(t))
    }

    fn origin(&self) -> Origin {
        match self.place {
            Place::Jetstream => Origin::Jetstream { time_us: self.time_us.unwrap_or(0) },
            Place::File { digest, offset } => Origin::File { digest: digest.into(), offset },
        }
    }

    /// The name of what is found here: a UUIDv7 whose time is the message's, and whose other bits
    /// are of the SHA-256 of its identity. In a file that is its place, else `parts`.
    fn event_id(&self, parts: [&[u8]; 3]) -> EventId {
        let mut hash = Sha256::new();
        match self.place {
            Place::Jetstream => {
                hash.update(b"jetstream");
                hash.update(self.time_us.unwrap_or(0).to_be_bytes());
                for part in parts {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part);
                }
            }
            Place::File { digest, offset } => {
                hash.update(b"file");
                hash.update(offset.to_be_bytes());
                hash.update(digest);
            }
        }
        let mut random = [0; 10];
        random.copy_from_slice(&hash.finalize()[..10]);
        let millis = u64::try_from(self.time_us.unwrap_or(0) / 1000).unwrap_or(0);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let mut text = uuid::Uuid::encode_buffer();
        EventId::parse(uuid.hyphenated().encode_lower(&mut text))
            .expect("a UUID is 36 visible ASCII characters")
    }

    fn event(
        &self,
        event_type: EventType,
        did: Did,
        id: [&[u8]; 3],
        payload: &Payload<'_>,
    ) -> Result<Event, String> {
        let payload = serde_json::value::to_raw_value(payload).map_err(|e| e.to_string())?;
        let event = Event {
            effect: Default::default(),
            event_id: self.event_id(id),
            event_type,
            did,
            payload,
            priority: event_type.default_priority(),
            timestamp: self.now,
            replayed_at: None,
            assigned_rev: None,
            retry_count: 0,
            stages: Vec::new(),
            origin: self.origin(),
            verified: false,
        };
        payload::interpret(&event).map_err(|invalid| invalid.to_string())?;
        Ok(event)
    }

    fn reject(self, mut reason: String) -> Rejected {
        if reason.len() > MAX_REASON {
            reason.truncate(reason.floor_char_boundary(MAX_REASON));
            reason.push('…');
        }
        Rejected {
            event_id: self.event_id([b"rejected", self.bytes, b""]),
            event_type: self.event_type,
            raw: self.bytes[..self.bytes.len().min(Rejected::MAX_RAW)].into(),
            reason,
            origin: self.origin(),
            at: self.now,
            did: self.did,
        }
    }
}

/// The event; `None` when it is of no concern; else the reason why there is none.
fn read(at: &mut Found<'_>) -> Result<Option<Event>, String> {
    if at.bytes.len() > MAX_MESSAGE {
        return Err(format!("the message is longer than {MAX_MESSAGE} bytes"));
    }
    let text = str::from_utf8(at.bytes).map_err(|e| format!("the message is not UTF-8: {e}"))?;
    let envelope = match serde_json::from_str::<Envelope<'_>>(text) {
        Ok(envelope) => envelope,
        Err(error) => return salvage(at, text, &error),
    };
    at.time_us = Some(envelope.time_us);
    let collection = match (&*envelope.kind, &envelope.commit) {
        ("commit", Some(commit)) => match Collection::parse(&commit.collection) {
            None => return Ok(None),
            some => some,
        },
        ("commit" | "identity" | "account", _) => None,
        _ => return Ok(None),
    };
    let did = Did::parse(&envelope.did).map_err(|e| format!("did: {e}"))?;
    at.did = Some(did.clone());
    if at.usable_time().is_none() {
        return Err(format!(
            "time_us: {} is before 1970 or more than five minutes in the future",
            envelope.time_us
        ));
    }
    match (&*envelope.kind, collection) {
        ("commit", Some(collection)) => {
            let commit = envelope.commit.as_ref().ok_or("commit: it is required")?;
            read_commit(at, did, collection, commit)
        }
        ("identity", _) => {
            at.event_type = Some(EventType::IdentityUpdated);
            let identity = envelope.identity.as_ref().ok_or("identity: it is required")?;
            read_identity(at, did, identity)
        }
        ("account", _) => {
            at.event_type = Some(EventType::AccountUpdated);
            let account = envelope.account.as_ref().ok_or("account: it is required")?;
            read_account(at, did, account)
        }
        _ => Err("commit: it is required".into()),
    }
    .map(Some)
}

fn read_commit(
    at: &mut Found<'_>,
    did: Did,
    collection: Collection,
    commit: &Commit<'_>,
) -> Result<Event, String> {
    let operation = match &*commit.operation {
        "create" => Operation::Create,
        "update" => Operation::Update,
        "delete" => Operation::Delete,
        other => {
            return Err(format!(
                "commit.operation: {other:?} is unknown; allowed: create, update, delete"
            ));
        }
    };
    let event_type = payload::event_type(collection, operation);
    at.event_type = Some(event_type);
    let uri = format!("at://{did}/{}/{}", collection.nsid(), commit.rkey);
    let gone = operation == Operation::Delete;
    let payload = Payload {
        uri: Some(&uri),
        cid: commit.cid.as_ref().filter(|_| !gone).map(|c| &*c.0),
        rev: Some(&commit.rev),
        record: commit.record.filter(|_| !gone),
        ..Payload::default()
    };
    at.event(event_type, did, [b"commit", uri.as_bytes(), commit.rev.as_bytes()], &payload)
}

fn read_identity(at: &Found<'_>, did: Did, identity: &Identity<'_>) -> Result<Event, String> {
    same_did(&did, identity.did.as_ref(), "identity")?;
    let time = Stated::of(at, identity.time.as_ref());
    let payload = Payload {
        handle: identity.handle.as_ref().map(|h| &*h.0),
        seq: identity.seq,
        time: Some(time.as_str()),
        ..Payload::default()
    };
    let id = sequence(identity.seq);
    let did_text = did.clone();
    at.event(
        EventType::IdentityUpdated,
        did,
        [b"identity", did_text.as_str().as_bytes(), &id],
        &payload,
    )
}

fn read_account(at: &Found<'_>, did: Did, account: &Account<'_>) -> Result<Event, String> {
    same_did(&did, account.did.as_ref(), "account")?;
    let time = Stated::of(at, account.time.as_ref());
    let payload = Payload {
        active: account.active,
        status: account.status.as_ref().map(|s| &*s.0),
        seq: account.seq,
        time: Some(time.as_str()),
        ..Payload::default()
    };
    let id = sequence(account.seq);
    let did_text = did.clone();
    at.event(
        EventType::AccountUpdated,
        did,
        [b"account", did_text.as_str().as_bytes(), &id],
        &payload,
    )
}

fn sequence(seq: Option<i64>) -> [u8; 8] {
    seq.unwrap_or(0).to_be_bytes()
}

fn same_did(outer: &Did, inner: Option<&Text<'_>>, name: &str) -> Result<(), String> {
    match inner {
        Some(inner) if inner.0 != outer.as_str() => {
            Err(format!("{name}.did: it differs from the message's did, {outer}"))
        }
        _ => Ok(()),
    }
}

/// When a change of an account or identity happened: as its host says, else when the stream saw it.
enum Stated<'a> {
    ByHost(&'a str),
    ByStream(String),
}

impl<'a> Stated<'a> {
    fn of(at: &Found<'_>, time: Option<&'a Text<'_>>) -> Self {
        match time {
            Some(time) => Self::ByHost(&time.0),
            None => {
                let seen = at.usable_time().and_then(|t| Timestamp::from_microsecond(t).ok());
                Self::ByStream(format!("{:.6}", seen.unwrap_or(at.now)))
            }
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::ByHost(text) => text,
            Self::ByStream(text) => text,
        }
    }
}

/// A message that does not have the shape: it may still be seen whether it concerns us, and whom.
fn salvage(
    at: &mut Found<'_>,
    text: &str,
    error: &serde_json::Error,
) -> Result<Option<Event>, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|e| format!("the message is not JSON: {e}"))?;
    let Some(map) = value.as_object() else {
        return Err("a message has to be a JSON object".into());
    };
    at.time_us = map.get("time_us").and_then(Value::as_i64);
    at.did = map.get("did").and_then(Value::as_str).and_then(|d| Did::parse(d).ok());
    let Some(kind) = map.get("kind").and_then(Value::as_str) else {
        return Err("kind: it is required, as in a message of Jetstream v1".into());
    };
    let commit = map.get("commit");
    match kind {
        "commit" => {
            let collection = commit.and_then(|c| c.get("collection")).and_then(Value::as_str);
            if collection.is_some_and(|c| Collection::parse(c).is_none()) {
                return Ok(None);
            }
        }
        "identity" => at.event_type = Some(EventType::IdentityUpdated),
        "account" => at.event_type = Some(EventType::AccountUpdated),
        _ => return Ok(None),
    }
    Err(format!("the message does not have the shape of Jetstream v1: {error}"))
}
