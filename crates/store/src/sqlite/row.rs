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

fn origin(name: &str, place: Option<i64>) -> Origin {
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

/// The columns that [`event`] reads, in order.
pub(super) const EVENT: &str = "event_id, event_type, did, priority, accepted_at, assigned_rev,
    retry_count, origin, place, verified, stages, payload";

/// Reads an event from the columns of [`EVENT`].
pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let text = |i: usize| row.get::<_, String>(i);
    let stages: Option<String> = row.get(10)?;
    Ok(Event {
        effect: Default::default(),
        event_id: EventId::parse(&text(0)?).map_err(|e| wrong(0, e))?,
        event_type: EventType::parse(&text(1)?).ok_or_else(|| wrong(1, "unknown event type"))?,
        did: Did::parse(&text(2)?).map_err(|e| wrong(2, e))?,
        priority: Priority::from_number(row.get(3)?).ok_or_else(|| wrong(3, "no priority"))?,
        timestamp: time(row.get(4)?),
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
    died_at, stages, last_error, payload, origin";

/// Reads a dead letter from the columns of [`DEAD`].
pub(super) fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    let did: Option<String> = row.get(3)?;
    let kind: Option<String> = row.get(2)?;
    let origin: String = row.get(11)?;
    Ok(DeadLetter {
        id: row.get(0)?,
        event_id: EventId::parse(&row.get::<_, String>(1)?).map_err(|e| wrong(1, e))?,
        event_type: kind.as_deref().and_then(EventType::parse),
        did: did.map(|d| Did::parse(&d)).transpose().map_err(|e| wrong(3, e))?,
        priority: Priority::from_number(row.get(4)?).ok_or_else(|| wrong(4, "no priority"))?,
        retry_count: row.get(5)?,
        accepted_at: time(row.get(6)?),
        died_at: time(row.get(7)?),
        stages: stages_of(&row.get::<_, String>(8)?).map_err(|e| wrong(8, e))?,
        last_error: row.get(9)?,
        // An event's payload is text, an input that was none is bytes.
        payload: row.get_ref(10)?.as_bytes()?.to_vec(),
        origin: origin.split(':').next().unwrap_or_default().into(),
    })
}

/// An event's name as a key: 16 bytes for a UUID in its usual form, else the text.
pub(super) fn id_key(id: &EventId) -> Vec<u8> {
    match uuid::Uuid::try_parse(id.as_str()) {
        Ok(uuid) if uuid.hyphenated().to_string() == id.as_str() => uuid.as_bytes().to_vec(),
        _ => id.as_str().as_bytes().to_vec(),
    }
}

/// A row that cannot be read is damage, and says where.
pub(super) fn corrupt(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {error}"))
}
