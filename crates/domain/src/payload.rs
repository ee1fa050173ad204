//! From an event's payload to its effect: the rules of validation, in one pure function.
//!
//! Called twice: at accept, so that what is invalid is refused while its author listens; and by
//! the processors, to get the effect. Both read the same text and the same clock reading (the
//! event's own), so they cannot disagree.

use crate::{
    Collection, Effect, Event, EventType, Invalid, Record, RecordWrite, Version, canonical,
    records::{Fields, Form},
    syntax::{AtUri, Did, Handle, Tid, is_cid, parse_datetime},
};
use jiff::{Timestamp, ToSpan};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How far ahead of our clock a revision or an account's time may be.
const FUTURE: i64 = 5;

/// The collections whose events have this type.
fn collections(kind: EventType) -> &'static [Collection] {
    use EventType as T;
    match kind {
        T::RelationshipCreated | T::RelationshipUpdated | T::RelationshipDeleted => {
            &[Collection::Relationship]
        }
        T::AttestationCreated | T::AttestationUpdated | T::AttestationDeleted => {
            &[Collection::Attestation]
        }
        T::ProfileUpdated | T::ProfileDeleted => &[Collection::Profile],
        T::IntroUpdated | T::IntroDeleted => &[Collection::Intro],
        // Claims of scores have no event of their own: like a context they only annotate.
        T::ContextUpdated | T::ContextDeleted => &[Collection::Context, Collection::Claim],
        T::IdentityUpdated | T::AccountUpdated | T::TrustInvalidated => &[],
    }
}

/// The event type of a change of a record.
#[must_use]
pub fn event_type(collection: Collection, operation: Operation) -> EventType {
    use EventType as T;
    use Operation::{Create, Delete, Update};
    match (collection, operation) {
        (Collection::Relationship, Create) => T::RelationshipCreated,
        (Collection::Relationship, Update) => T::RelationshipUpdated,
        (Collection::Relationship, Delete) => T::RelationshipDeleted,
        (Collection::Attestation, Create) => T::AttestationCreated,
        (Collection::Attestation, Update) => T::AttestationUpdated,
        (Collection::Attestation, Delete) => T::AttestationDeleted,
        (Collection::Profile, Create | Update) => T::ProfileUpdated,
        (Collection::Profile, Delete) => T::ProfileDeleted,
        (Collection::Intro, Create | Update) => T::IntroUpdated,
        (Collection::Intro, Delete) => T::IntroDeleted,
        (Collection::Context | Collection::Claim, Create | Update) => T::ContextUpdated,
        (Collection::Context | Collection::Claim, Delete) => T::ContextDeleted,
    }
}

/// What was done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// Whether this server has to make a revision: a record event whose payload gives none.
#[must_use]
pub fn needs_rev(kind: EventType, payload: &Map<String, Value>) -> bool {
    !collections(kind).is_empty() && payload.get("rev").is_none_or(Value::is_null)
}

/// The effect of an event, or every rule it breaks. Read once, remembered with the event.
pub fn interpret(event: &Event) -> Result<Effect, Invalid> {
    event.effect.0.get_or_init(|| read(event)).clone()
}

fn read(event: &Event) -> Result<Effect, Invalid> {
    let payload: Value = serde_json::from_str(event.payload.get())
        .map_err(|e| Invalid::one("payload", e.to_string()))?;
    let Some(map) = payload.as_object() else {
        return Err(Invalid::one("payload", "it has to be a JSON object"));
    };
    if collections(event.event_type).is_empty() {
        interpret_account(event, map)
    } else {
        interpret_record(event, map).map(|write| Effect::Record(Arc::new(write)))
    }
}

fn interpret_account(event: &Event, map: &Map<String, Value>) -> Result<Effect, Invalid> {
    let mut f = Fields::new(map, "payload");
    if let Some(did) = f.did_opt("did")
        && did != event.did
    {
        f.error("did", format!("it differs from the event's did, {}", event.did));
    }
    let time = f.datetime_opt("time");
    if time.is_some_and(|t| is_future(t, event.timestamp)) {
        f.error("time", format!("it is more than {FUTURE} minutes in the future"));
    }
    let time = time.unwrap_or(event.timestamp);
    let did = event.did.clone();
    let effect = match event.event_type {
        EventType::AccountUpdated => {
            if f.get("active").is_none() {
                f.error("active", "it is required: true or false");
            }
            let active = f.bool_opt("active").unwrap_or(false);
            let status = f.text_opt_max("status", 100).map(Into::into);
            Effect::Account { did, time, active, status }
        }
        EventType::IdentityUpdated => {
            // A handle that a source claims is a hint: a malformed one is no reason to miss the rest.
            let handle = f.text_opt("handle").and_then(|h| Handle::parse(h).ok());
            Effect::Identity { did, time, handle }
        }
        _ => Effect::Invalidate { did },
    };
    f.finish(Some(effect))
}

fn is_future(time: Timestamp, now: Timestamp) -> bool {
    now.checked_add(FUTURE.minutes()).is_ok_and(|limit| time > limit)
}

fn interpret_record(event: &Event, map: &Map<String, Value>) -> Result<RecordWrite, Invalid> {
    let deleted = event.event_type.is_delete();
    let mut f = Fields::new(map, "payload");
    let place = f.at_uri("uri").and_then(|uri| read_uri(&mut f, event, &uri));
    let (class, rev) = read_rev(&mut f, event);
    let cid = f.text_opt("cid");
    if cid.is_some_and(|c| !is_cid(c)) {
        f.error("cid", "it has to be a CID, like bafyrei…");
    }
    let (record, form) = if deleted {
        (None, Form::Lexicon)
    } else if let Some(record) = f.get("record") {
        (Some(record.clone()), Form::Lexicon)
    } else {
        let collection = place.as_ref().map(|(c, _)| *c);
        match from_flat(collection, map, rev) {
            Some(record) => (Some(record), Form::Flat),
            None => {
                f.error("record", "it is required");
                (None, Form::Lexicon)
            }
        }
    };
    // What is read so far has to hold before the record can be looked at.
    let ((collection, rkey), rev) = f.finish(place.zip(rev))?;
    let mut write = RecordWrite {
        owner: event.did.clone(),
        collection,
        rkey,
        version: Version { class, rev, deleted, hash: [0; 32] },
        cid: cid.map(Into::into),
        body: None,
        record: None,
        verified: event.verified,
    };
    if let Some(value) = record {
        let path = if form == Form::Flat { "payload" } else { "payload.record" };
        let worded = |e: Invalid| if form == Form::Flat { in_flat_words(e) } else { e };
        let read = Record::read(collection, &event.did, &value, form, path);
        write.record = Some(read.map_err(worded)?);
        let hash = canonical::hash(&value);
        write.version.hash = hash.map_err(|e| worded(at_path(e, path)))?;
        // The usual case: the source names the canonical form, and there is nothing to remember.
        write.cid = write.cid.filter(|given| *given != canonical::cid(&write.version.hash));
        write.body = Some(canonical::text(&value).into());
    }
    Ok(write)
}

fn read_uri(f: &mut Fields<'_>, event: &Event, uri: &AtUri) -> Option<(Collection, Tid)> {
    let allowed = collections(event.event_type);
    let collection = Collection::parse(uri.collection()).filter(|c| allowed.contains(c));
    let Some(collection) = collection else {
        let names: Vec<_> = allowed.iter().map(|c| c.nsid()).collect();
        f.error("uri", format!("{} is about records of {}", event.event_type, names.join(" or ")));
        return None;
    };
    if *uri.did() != event.did {
        f.error("uri", format!("its repo has to be the event's did, {}", event.did));
    }
    match collection.parse_rkey(uri.rkey()) {
        Ok(rkey) => Some((collection, rkey)),
        Err(message) => {
            f.error("uri", message);
            None
        }
    }
}

/// (class, rev). Class 1 when the source supplied it.
fn read_rev(f: &mut Fields<'_>, event: &Event) -> (u8, Option<Tid>) {
    let Some(text) = f.text_opt("rev") else {
        if event.assigned_rev.is_none() && f.get("rev").is_none() {
            f.error("rev", "it is required");
        }
        return (0, event.assigned_rev);
    };
    match Tid::parse(text) {
        Ok(rev) if is_future(rev.time(), event.timestamp) => {
            f.error(
                "rev",
                format!("it is more than {FUTURE} minutes in the future ({})", rev.time()),
            );
            (1, None)
        }
        Ok(rev) => (1, Some(rev)),
        Err(e) => {
            f.error("rev", e.to_string());
            (1, None)
        }
    }
}

/// The flat fields and what they are called in the lexicon.
const FLAT: [(Collection, &str, &str); 11] = [
    (Collection::Relationship, "participants", "participants"),
    (Collection::Relationship, "type", "type"),
    (Collection::Relationship, "strength", "strength"),
    (Collection::Relationship, "context", "context"),
    (Collection::Relationship, "created_at", "createdAt"),
    (Collection::Attestation, "attester_did", "attester"),
    (Collection::Attestation, "target_uri", "targetRelationship"),
    (Collection::Attestation, "attestation_type", "attestationType"),
    (Collection::Attestation, "confidence", "confidence"),
    (Collection::Attestation, "evidence", "evidence"),
    (Collection::Attestation, "suggested_strength", "suggestedStrength"),
];

/// Builds the canonical record from the blueprint's flat fields. What they cannot say is: public,
/// consent full, last interaction unknown; and a date not given is that of the revision.
fn from_flat(
    collection: Option<Collection>,
    map: &Map<String, Value>,
    rev: Option<Tid>,
) -> Option<Value> {
    let collection = collection?;
    let mut record = Map::new();
    record.insert("$type".into(), json!(collection.nsid()));
    for (_, flat, lexicon) in FLAT.iter().filter(|(c, ..)| *c == collection) {
        if let Some(value) = map.get(*flat).filter(|v| !v.is_null()) {
            record.insert((*lexicon).into(), value.clone());
        }
    }
    if record.len() == 1 {
        return None;
    }
    let created = match map.get("created_at").filter(|v| !v.is_null()) {
        Some(given) => given.clone(),
        None => json!(crate::syntax::format_datetime(rev?.time())),
    };
    record.insert("createdAt".into(), created.clone());
    if collection == Collection::Relationship {
        record.entry("context").or_insert_with(|| json!(""));
        record.insert("privacy".into(), json!({"visibility": "public", "consent": "full"}));
        let start = created.as_str().filter(|t| parse_datetime(t).is_ok());
        record.insert("temporal".into(), start.map_or(json!({}), |start| json!({"start": start})));
    }
    Some(Value::Object(record))
}

/// Names the fields of a record by where the record stands.
fn at_path(mut invalid: Invalid, path: &str) -> Invalid {
    for error in &mut invalid.errors {
        if let Some(rest) = error.field.strip_prefix("record") {
            error.field = format!("{path}{rest}");
        }
    }
    invalid
}

/// Names the fields as the caller wrote them.
fn in_flat_words(mut invalid: Invalid) -> Invalid {
    for error in &mut invalid.errors {
        for (_, flat, lexicon) in FLAT {
            if let Some(rest) = error.field.strip_prefix(&format!("payload.{lexicon}"))
                && (rest.is_empty() || rest.starts_with(['[', '.']))
            {
                error.field = format!("payload.{flat}{rest}");
                break;
            }
        }
    }
    invalid
}

/// Who an event of a record speaks for, when its caller did not say: the repo in its URI.
#[must_use]
pub fn repo_of(payload: &Map<String, Value>) -> Option<Did> {
    let uri = AtUri::parse(payload.get("uri")?.as_str()?).ok()?;
    Some(uri.did().clone())
}
