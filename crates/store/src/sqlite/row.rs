//! How an event stands in a row, and how it is read back.

use super::names::tid;
use jiff::Timestamp;
use rhiz_domain::{
    Did, Event, EventId, EventType, Origin, Priority, Stage,
    store::{DeadLetter, StoreError},
};
use rusqlite::{Row, types::Type};
use serde_json::value::RawValue;

/// Where in its source an event stood: its origin's name, and its place there.
pub(super) fn origin_columns(origin: &Origin) -> (String, Option<i64>) {
    match origin {
        Origin::Api => ("api".into(), None),
        Origin::Jetstream { time_us } => ("jetstream".into(), Some(*time_us)),
        Origin::File { digest, offset } => (format!("file:{digest}"), i64::try_from(*offset).ok()),
    }
}

/// The origin that [`origin_columns`] wrote.
pub(super) fn origin(name: &str, place: Option<i64>) -> Origin {
    match (name.strip_prefix("file:"), place) {
        (Some(digest), place) => Origin::File {
            digest: digest.into(),
            offset: place.and_then(|p| u64::try_from(p).ok()).unwrap_or(0),
        },
        (None, Some(time_us)) => Origin::Jetstream { time_us },
        (None, None) => Origin::Api,
    }
}

/// An instant from a column of microseconds.
pub(super) fn time(column: i64) -> Timestamp {
    Timestamp::from_microsecond(column).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn wrong(index: usize, what: impl std::fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, what.to_string().into())
}

/// The beginning of a text that somebody else wrote, for a message.
pub(super) fn excerpt(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

fn unsound(index: usize, text: &str, why: impl std::fmt::Display) -> rusqlite::Error {
    wrong(index, format!("{:?}: {why}", excerpt(text)))
}

/// The columns that [`event`] reads, in order.
pub(super) const EVENT: &str = "event_id, event_type, did, priority, accepted_at, assigned_rev,
    retry_count, origin, place, verified, stages, payload, replayed_at";

/// Reads an event from the columns of [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let text = |i: usize| row.get::<_, String>(i);
    let stages: Option<String> = row.get(10)?;
    let (id, kind, did) = (text(0)?, text(1)?, text(2)?);
    let priority: i64 = row.get(3)?;
    Ok(Event {
        effect: Default::default(),
        event_id: EventId::parse(&id).map_err(|e| unsound(0, &id, e))?,
        event_type: EventType::parse(&kind).ok_or_else(|| {
            unsound(1, &kind, "an unknown type; was it written by a newer version?")
        })?,
        did: Did::parse(&did).map_err(|e| unsound(2, &did, e))?,
        priority: Priority::from_number(priority)
            .ok_or_else(|| wrong(3, format!("{priority} is none")))?,
        timestamp: time(row.get(4)?),
        replayed_at: row.get::<_, Option<i64>>(12)?.map(time),
        assigned_rev: row.get::<_, Option<i64>>(5)?.map(tid),
        retry_count: row.get(6)?,
        origin: origin(&text(7)?, row.get(8)?),
        verified: row.get(9)?,
        stages: stages
            .map(|s| stages_of(&s))
            .transpose()
            .map_err(|e| wrong(10, e))?
            .unwrap_or_default(),
        payload: RawValue::from_string(text(11)?).map_err(|e| wrong(11, e))?,
    })
}

fn stages_of(text: &str) -> Result<Vec<Stage>, serde_json::Error> {
    serde_json::from_str(text)
}

/// Stages as they are stored; `None` when there are none.
pub(super) fn stages_text(stages: &[Stage]) -> Option<String> {
    // Stages are plain data: they always serialize.
    (!stages.is_empty()).then(|| serde_json::to_string(stages).unwrap_or_default())
}

/// The columns that [`dead_letter`] reads, in order.
pub(super) const DEAD: &str = "id, event_id, event_type, did, priority, retry_count, accepted_at,
    died_at, stages, last_error, payload, origin, replayable";

/// Reads a dead letter from the columns of [`DEAD`].
///
/// A damaged letter fails no list: what cannot be read is left out of it.
pub(super) fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let id: i64 = row.get(0)?;
    let text = |i: usize| row.get::<_, String>(i).ok();
    let name = text(1).and_then(|name| EventId::parse(&name).ok());
    let name = match name {
        Some(name) => name,
        None => EventId::parse(&format!("damaged-letter-{id}")).map_err(|e| wrong(1, e))?,
    };
    Ok(DeadLetter {
        id,
        event_id: name,
        event_type: text(2).as_deref().and_then(EventType::parse),
        did: text(3).and_then(|did| Did::parse(&did).ok()),
        priority: row.get(4).ok().and_then(Priority::from_number).unwrap_or(Priority::Normal),
        retry_count: row.get(5).unwrap_or(0),
        accepted_at: time(row.get(6).unwrap_or(0)),
        died_at: time(row.get(7).unwrap_or(0)),
        stages: text(8).and_then(|stages| stages_of(&stages).ok()).unwrap_or_default(),
        last_error: text(9).unwrap_or_default(),
        // An event's payload is text, an input that was none is bytes.
        payload: row.get_ref(10)?.as_bytes().unwrap_or_default().to_vec(),
        origin: text(11).as_deref().and_then(|o| o.split(':').next()).unwrap_or_default().into(),
        replayable: row.get(12).unwrap_or(false),
    })
}

/// Who gave an event its name. What a source names and what a caller names are two worlds: a caller
/// who guesses the name of a source's event does not keep it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum NamedBy {
    Caller = 0,
    Source = 1,
}

impl NamedBy {
    pub(super) fn of(origin: &Origin) -> Self {
        if *origin == Origin::Api { Self::Caller } else { Self::Source }
    }
}

/// An event's name as a key: a byte that says who gave it and which form follows; then 16 bytes for
/// a UUID in its usual form, else the text. Names that were given one after another are UUIDs that
/// begin with the time: their keys stand side by side.
pub(super) fn id_key(by: NamedBy, id: &EventId) -> Vec<u8> {
    let mut key = Vec::with_capacity(17);
    match uuid::Uuid::try_parse(id.as_str()) {
        Ok(uuid) if uuid.hyphenated().to_string() == id.as_str() => {
            key.push((by as u8) << 1);
            key.extend(uuid.as_bytes());
        }
        _ => {
            key.push((by as u8) << 1 | 1);
            key.extend(id.as_str().as_bytes());
        }
    }
    key
}

/// A row that cannot be read is damage, and says where.
pub(super) fn corrupt(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {error}"))
}
