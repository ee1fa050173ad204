//! Rows of the journal that cannot be read: written by a newer version, or damaged.
//!
//! Law: such a row keeps nobody waiting. It becomes a dead letter with its payload as it stands and
//! the reason, in a transaction that no sound event is part of; what was claimed with it goes on.
//!
//! Example: a type that only a newer version knows. Its letter can be replayed, and is an event
//! again once the newer version is back; one whose DID is none cannot.

use super::{
    lanes::{Entry, Lanes},
    row::{self, EVENT, excerpt},
    settle::Hands,
    writer::{Job, Tx},
};
use parking_lot::Mutex;
use rhiz_domain::{
    Did, Event, EventId, Priority,
    store::{Rejected, StoreError},
};
use rusqlite::{Connection, Error, OptionalExtension, Row, params, types::ValueRef};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// What is found at a number of the journal.
pub(super) enum Found {
    Event(Arc<Event>),
    /// It cannot be read, and why.
    Damaged(String),
    /// Nothing: somebody else removed it.
    Gone,
}

/// Reads the row of an event that waits.
pub(super) fn read(conn: &Connection, seq: i64) -> rusqlite::Result<Found> {
    let row = conn
        .prepare_cached(&format!("SELECT {EVENT} FROM journal WHERE seq = $1"))?
        .query_row([seq], row::event)
        .optional();
    match row {
        Ok(Some(event)) => Ok(Found::Event(Arc::new(event))),
        Ok(None) => Ok(Found::Gone),
        Err(error) => reason(&error).map(Found::Damaged).ok_or(error),
    }
}

/// What is wrong with a value of a row; `None` when it is not the row's fault.
fn reason(error: &Error) -> Option<String> {
    let (index, why) = match error {
        Error::FromSqlConversionFailure(index, _, why) => (*index, why.to_string()),
        Error::IntegralValueOutOfRange(index, n) => (*index, format!("{n} is out of range")),
        Error::InvalidColumnType(index, _, kind) => (*index, format!("it is of type {kind}")),
        Error::Utf8Error(index, why) => (*index, why.to_string()),
        _ => return None,
    };
    let column = EVENT.split(',').nth(index).unwrap_or_default().trim();
    Some(format!("the journal's row cannot be read: {column}: {why}"))
}

/// Makes dead letters of what is damaged. When it cannot be written, they go back to their lanes.
pub(super) async fn bury(hands: &Hands, rows: Vec<(Entry, String)>) -> Result<(), StoreError> {
    let (answer, answered) = oneshot::channel();
    let (lanes, ready) = (Arc::clone(&hands.lanes), Arc::clone(&hands.ready));
    hands.writer.submit(Box::new(Bury { rows, lanes, ready, answer: Some(answer) }));
    answered.await.unwrap_or(Err(StoreError::Closed))
}

struct Bury {
    rows: Vec<(Entry, String)>,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
    answer: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl Job for Bury {
    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        for (entry, reason) in &self.rows {
            let remains = tx
                .conn
                .prepare_cached(&format!("SELECT {EVENT} FROM journal WHERE seq = $1"))?
                .query_row([entry.seq], |row| Ok(Remains::of(row, entry)))
                .optional()?;
            if let Some(remains) = remains {
                remains.insert(tx, entry, reason)?;
                tx.conn
                    .prepare_cached("DELETE FROM journal WHERE seq = $1")?
                    .execute([entry.seq])?;
            }
        }
        Ok(())
    }

    fn done(mut self: Box<Self>, result: Result<u64, StoreError>) {
        if result.is_ok() {
            let mut lanes = self.lanes.lock();
            for (entry, reason) in self.rows.drain(..) {
                tracing::error!(seq = entry.seq, %reason, "an event was given up unread");
                lanes.done(&entry);
            }
        }
        if let Some(answer) = self.answer.take() {
            // Whoever asked may be gone; what is done is done.
            let _ = answer.send(result.map(|_| ()));
        }
    }
}

impl Drop for Bury {
    fn drop(&mut self) {
        if !self.rows.is_empty() {
            let entries = self.rows.drain(..).map(|(entry, _)| entry).collect();
            self.lanes.lock().put_back(entries);
            self.ready.notify_one();
        }
    }
}

/// What can still be read of a row.
struct Remains {
    event_id: Option<EventId>,
    event_type: Option<String>,
    did: Option<Did>,
    accepted_at: i64,
    assigned_rev: Option<i64>,
    retry_count: u32,
    origin: String,
    place: Option<i64>,
    verified: bool,
    payload: Vec<u8>,
    /// It is an event but for a type that we do not know.
    replayable: bool,
}

impl Remains {
    fn of(row: &Row<'_>, entry: &Entry) -> Self {
        let text = |i: usize| row.get::<_, String>(i).ok();
        let event_id = text(0).and_then(|id| EventId::parse(&id).ok());
        let did = text(2).and_then(|did| Did::parse(&did).ok());
        let payload = match row.get_ref(11) {
            Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => bytes.to_vec(),
            Ok(ValueRef::Integer(n)) => n.to_string().into_bytes(),
            Ok(ValueRef::Real(n)) => n.to_string().into_bytes(),
            Ok(ValueRef::Null) | Err(_) => Vec::new(),
        };
        let sound = event_id.is_some()
            && did.is_some()
            && row.get::<_, i64>(3).is_ok_and(|n| Priority::from_number(n).is_some())
            && serde_json::from_slice::<Map<String, Value>>(&payload).is_ok();
        Self {
            event_id,
            event_type: text(1),
            did,
            accepted_at: row.get(4).unwrap_or(entry.since.as_microsecond()),
            assigned_rev: row.get(5).ok().flatten(),
            retry_count: row.get(6).unwrap_or(0),
            origin: text(7).unwrap_or_else(|| "unknown".into()),
            place: row.get(8).ok().flatten(),
            verified: row.get(9).unwrap_or(false),
            payload,
            replayable: sound && text(1).is_some(),
        }
    }

    fn insert(&self, tx: &Tx<'_>, entry: &Entry, reason: &str) -> rusqlite::Result<()> {
        let unnamed = format!("damaged-{}", entry.seq);
        let event_type = self.event_type.as_deref().map(excerpt);
        tx.conn
            .prepare_cached(
                "INSERT INTO dead_letters (event_id, event_type, did, priority, retry_count,
                     accepted_at, died_at, assigned_rev, origin, place, verified, replayable,
                     stages, last_error, payload)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, '[]', $13, $14)",
            )?
            .execute(params![
                self.event_id.as_ref().map_or(&*unnamed, |id| id.as_str()),
                event_type,
                self.did.as_ref().map(|did| did.as_str()),
                entry.priority as i64,
                self.retry_count,
                self.accepted_at,
                tx.now,
                self.assigned_rev,
                self.origin,
                self.place,
                self.verified,
                self.replayable,
                reason,
                // A payload of a sound row is at most as long; of a damaged one nobody knows.
                &self.payload[..self.payload.len().min(16 * Rejected::MAX_RAW)],
            ])?;
        Ok(())
    }
}
