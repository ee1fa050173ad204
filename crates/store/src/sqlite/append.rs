//! Accepting: events, dead letters and the cursor behind them, in one transaction.

use super::{
    identity::{drop_event, known, remember},
    keep,
    lanes::{self, Entry, Lanes},
    names::column,
    row::{NamedBy, origin_columns},
    writer::{Job, Tx},
};
use parking_lot::Mutex;
use rhiz_domain::{
    Event, EventId, Origin,
    store::{AppendError, Cursor, Dropped, Intake, Receipt, Rejected, StoreError},
};
use rusqlite::{OptionalExtension, params};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{Notify, oneshot};

/// The answer of an append.
pub(super) type Answer = Result<Vec<Receipt>, AppendError>;

/// One intake on its way to the disk.
pub(super) struct Append {
    events: Vec<(Arc<Event>, [u8; 32])>,
    rejected: Vec<Rejected>,
    cursor: Option<Cursor>,
    /// What the transaction found, until it is committed.
    found: Result<Vec<(Receipt, i64)>, usize>,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
    answer: oneshot::Sender<Answer>,
}

impl Append {
    pub(super) fn new(
        intake: Intake,
        lanes: Arc<Mutex<Lanes>>,
        ready: Arc<Notify>,
        answer: oneshot::Sender<Answer>,
    ) -> Self {
        let events = intake.events.into_iter().map(|e| {
            // Only a caller can use an id twice: a source's places are its events' identities.
            let fingerprint = if e.origin == Origin::Api { e.fingerprint() } else { [0; 32] };
            (Arc::new(e), fingerprint)
        });
        Self {
            events: events.collect(),
            rejected: intake.rejected,
            cursor: intake.cursor,
            found: Ok(Vec::new()),
            lanes,
            ready,
            answer,
        }
    }

    /// Which of the events are new: `Err` with the first that takes an id used for another body.
    /// Looks only, so that a refused intake leaves nothing behind in a shared transaction.
    fn check(&self, tx: &Tx<'_>) -> rusqlite::Result<Result<Vec<Receipt>, usize>> {
        let mut own: HashMap<(NamedBy, &EventId), &[u8; 32]> = HashMap::new();
        let mut receipts = Vec::with_capacity(self.events.len());
        let mut files = Files::default();
        for (index, (event, fingerprint)) in self.events.iter().enumerate() {
            let seen = match &event.origin {
                Origin::File { digest, offset } => {
                    files.has_passed(tx, digest, *offset)?.then_some(true)
                }
                origin => {
                    let by = NamedBy::of(origin);
                    match own.insert((by, &event.event_id), fingerprint) {
                        Some(first) => Some(first == fingerprint),
                        None => known(tx, by, &event.event_id)?.map(|known| known == *fingerprint),
                    }
                }
            };
            match seen {
                None => receipts.push(Receipt::Accepted),
                Some(true) => receipts.push(Receipt::Duplicate),
                // A source may repeat itself in other words; only a caller can be told so.
                Some(false) if event.origin != Origin::Api => receipts.push(Receipt::Duplicate),
                Some(false) => return Ok(Err(index)),
            }
        }
        Ok(Ok(receipts))
    }
}

/// How far files have been read, each looked up once.
#[derive(Default)]
struct Files<'a>(HashMap<&'a str, i64>);

impl<'a> Files<'a> {
    /// Whether a file has been read beyond this place.
    fn has_passed(&mut self, tx: &Tx<'_>, digest: &'a str, offset: u64) -> rusqlite::Result<bool> {
        let position = match self.0.get(digest) {
            Some(position) => *position,
            None => {
                let position: Option<i64> = tx
                    .conn
                    .prepare_cached("SELECT position FROM cursors WHERE source = $1")?
                    .query_row([format!("file:{digest}")], |row| row.get(0))
                    .optional()?;
                *self.0.entry(digest).or_insert(position.unwrap_or(0))
            }
        };
        Ok(i128::from(offset) < i128::from(position))
    }
}

/// Journals one event under its number. Numbers grow with the order of accepting.
fn insert(tx: &Tx<'_>, event: &Event, seq: i64) -> rusqlite::Result<()> {
    let (origin, place) = origin_columns(&event.origin);
    tx.conn
        .prepare_cached(
            "INSERT INTO journal (priority, seq, event_id, event_type, did, accepted_at,
                 assigned_rev, retry_count, origin, place, verified, payload)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )?
        .execute(params![
            event.priority as i64,
            seq,
            event.event_id.as_str(),
            event.event_type.as_str(),
            event.did.as_str(),
            event.timestamp.as_microsecond(),
            event.assigned_rev.map(column),
            event.retry_count,
            origin,
            place,
            event.verified,
            event.payload.get(),
        ])?;
    Ok(())
}

/// Keeps an input that could not become an event, or counts it when its DID has too many.
fn reject(tx: &Tx<'_>, rejected: &Rejected) -> rusqlite::Result<()> {
    // A file's place is guarded by its cursor; what a source repeats is recognized by its name.
    let from_file = matches!(rejected.origin, Origin::File { .. });
    let by = NamedBy::of(&rejected.origin);
    if !from_file && !remember(tx, by, &rejected.event_id, &[0; 32], None)? {
        return Ok(());
    }
    let did = rejected.did.as_ref().map(|d| d.as_str());
    if keep::is_full(tx, did)? {
        drop_event(tx, &rejected.origin, &rejected.event_id, None, Dropped::Counted)?;
        return keep::count(tx, did);
    }
    let (origin, place) = origin_columns(&rejected.origin);
    let raw = &rejected.raw[..rejected.raw.len().min(Rejected::MAX_RAW)];
    tx.conn
        .prepare_cached(
            "INSERT INTO dead_letters (event_id, event_type, did, priority, retry_count,
                 accepted_at, died_at, origin, place, verified, replayable, stages, last_error,
                 payload)
             VALUES ($1, $2, $3, $4, 0, $5, $6, $7, $8, 0, 0, $9, $10, $11)",
        )?
        .execute(params![
            rejected.event_id.as_str(),
            rejected.event_type.map(|t| t.as_str()),
            did,
            rejected.event_type.map_or(1, |t| t.default_priority() as i64),
            rejected.at.as_microsecond(),
            tx.now,
            origin,
            place,
            "[]",
            rejected.reason,
            raw,
        ])?;
    Ok(())
}

/// The next number of the journal.
pub(super) fn next_seq(tx: &Tx<'_>) -> rusqlite::Result<i64> {
    Ok(tx
        .conn
        .prepare_cached("SELECT value FROM meta WHERE key = 'seq'")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?
        .unwrap_or(0)
        + 1)
}

/// Notes the last number of the journal that is taken.
pub(super) fn set_seq(tx: &Tx<'_>, last: i64) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('seq', $1)")?
        .execute([last])?;
    Ok(())
}

impl Job for Append {
    fn rows(&self) -> usize {
        1 + self.events.len() + self.rejected.len()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.found = Ok(Vec::new());
        let receipts = match self.check(tx)? {
            Ok(receipts) => receipts,
            Err(index) => {
                self.found = Err(index);
                return Ok(());
            }
        };
        let first = next_seq(tx)?;
        let mut seq = first;
        let mut found = Vec::with_capacity(receipts.len());
        for ((event, fingerprint), receipt) in self.events.iter().zip(receipts) {
            if receipt == Receipt::Accepted {
                if !matches!(event.origin, Origin::File { .. }) {
                    let by = NamedBy::of(&event.origin);
                    remember(tx, by, &event.event_id, fingerprint, Some(seq))?;
                }
                insert(tx, event, seq)?;
                seq += 1;
            }
            found.push((receipt, seq - 1));
        }
        if seq > first {
            set_seq(tx, seq - 1)?;
        }
        let mut files = Files::default();
        for rejected in &self.rejected {
            if let Origin::File { digest, offset } = &rejected.origin
                && files.has_passed(tx, digest, *offset)?
            {
                continue;
            }
            reject(tx, rejected)?;
        }
        if let Some(cursor) = &self.cursor {
            tx.conn
                .prepare_cached(
                    "INSERT INTO cursors (source, position) VALUES ($1, $2)
                     ON CONFLICT (source) DO UPDATE SET position = max(position, excluded.position)",
                )?
                .execute(params![cursor.source, cursor.position as i64])?;
        }
        self.found = Ok(found);
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let answer = match (result, self.found) {
            (Err(error), _) => Err(error.into()),
            (Ok(_), Err(index)) => Err(AppendError::Conflict { index }),
            (Ok(_), Ok(found)) => {
                let mut waiting = self.lanes.lock();
                for ((event, _), (receipt, seq)) in self.events.iter().zip(&found) {
                    if *receipt == Receipt::Accepted {
                        waiting.push(Entry {
                            seq: *seq,
                            name: lanes::name(&event.origin, &event.event_id),
                            priority: event.priority,
                            event_type: Some(event.event_type),
                            crashes: 0,
                            bytes: event.payload.get().len(),
                            since: event.under_way_since(),
                            counted: true,
                            event: Some(Arc::clone(event)),
                        });
                    }
                }
                drop(waiting);
                self.ready.notify_one();
                Ok(found.into_iter().map(|(receipt, _)| receipt).collect())
            }
        };
        // Whoever asked may be gone; what is accepted is accepted.
        let _ = self.answer.send(answer);
    }
}
