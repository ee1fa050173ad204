//! What is remembered of events that were accepted: their names, so that the same one is accepted
//! once, and what became of those that were never applied and are nowhere to be found.
//!
//! Of what comes from a file nothing is remembered here: its place is its identity, and the file's
//! cursor guards it.

use super::{
    row::{NamedBy, id_key},
    writer::Tx,
};
use rhiz_domain::{EventId, Origin, store::Dropped};
use rusqlite::{OptionalExtension, params};

/// The fingerprint of what was accepted under this name; empty when a source gave it.
pub(super) fn known(tx: &Tx<'_>, by: NamedBy, id: &EventId) -> rusqlite::Result<Option<Vec<u8>>> {
    tx.conn
        .prepare_cached("SELECT fingerprint FROM accepted WHERE event_id = $1")?
        .query_row([id_key(by, id)], |row| row.get(0))
        .optional()
}

fn fingerprint_of(by: NamedBy, fingerprint: &[u8; 32]) -> &[u8] {
    // Only a caller can use a name twice.
    if by == NamedBy::Caller { fingerprint } else { &[] }
}

/// Remembers a name, and the number in the journal of what it names; `None` for what became no
/// event. Answers whether it is new.
pub(super) fn remember(
    tx: &Tx<'_>,
    by: NamedBy,
    id: &EventId,
    fingerprint: &[u8; 32],
    seq: Option<i64>,
) -> rusqlite::Result<bool> {
    let new = tx
        .conn
        .prepare_cached(
            "INSERT OR IGNORE INTO accepted (event_id, fingerprint, accepted_at, seq)
             VALUES ($1, $2, $3, $4)",
        )?
        .execute(params![id_key(by, id), fingerprint_of(by, fingerprint), tx.now, seq])?;
    Ok(new > 0)
}

/// Whether a name is remembered.
fn is_known(tx: &Tx<'_>, key: &[u8]) -> rusqlite::Result<bool> {
    tx.conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM accepted WHERE event_id = $1)")?
        .query_row([key], |row| row.get(0))
}

/// What was given up is in the journal again, under this number; it is remembered anew if it was
/// forgotten. `fingerprint` is asked for only then, of what a caller named.
pub(super) fn replayed(
    tx: &Tx<'_>,
    origin: &Origin,
    id: &EventId,
    seq: i64,
    fingerprint: impl FnOnce() -> rusqlite::Result<[u8; 32]>,
) -> rusqlite::Result<()> {
    let Some(key) = key(origin, id) else { return Ok(()) };
    if is_known(tx, &key)? {
        tx.conn
            .prepare_cached("UPDATE accepted SET seq = $1, dropped = NULL WHERE event_id = $2")?
            .execute(params![seq, key])?;
        return Ok(());
    }
    let by = NamedBy::of(origin);
    let fingerprint = if by == NamedBy::Caller { fingerprint()? } else { [0; 32] };
    remember(tx, by, id, &fingerprint, Some(seq))?;
    Ok(())
}

/// The key under which a name is remembered.
fn key(origin: &Origin, id: &EventId) -> Option<Vec<u8>> {
    (!matches!(origin, Origin::File { .. })).then(|| id_key(NamedBy::of(origin), id))
}

/// Notes what became of the event with this number (`None` for an input that became none), which
/// goes nowhere.
pub(super) fn drop_event(
    tx: &Tx<'_>,
    origin: &Origin,
    id: &EventId,
    seq: Option<i64>,
    why: Dropped,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached("UPDATE accepted SET dropped = $1 WHERE event_id = $2 AND seq IS $3")?
        .execute(params![number(why), key(origin, id), seq])?;
    Ok(())
}

/// Notes what became of a letter. What was accepted under its name since it died is something else.
pub(super) fn drop_letter(
    tx: &Tx<'_>,
    origin: &Origin,
    id: &EventId,
    died_at: i64,
    why: Dropped,
) -> rusqlite::Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE accepted SET dropped = $1 WHERE event_id = $2 AND accepted_at <= $3",
        )?
        .execute(params![number(why), key(origin, id), died_at])?;
    Ok(())
}

fn number(why: Dropped) -> i64 {
    match why {
        Dropped::Discarded => 1,
        Dropped::Counted => 2,
        Dropped::Purged => 3,
    }
}

/// What [`number`] wrote.
pub(super) fn dropped(number: Option<i64>) -> Option<Dropped> {
    match number? {
        1 => Some(Dropped::Discarded),
        2 => Some(Dropped::Counted),
        3 => Some(Dropped::Purged),
        _ => None,
    }
}
