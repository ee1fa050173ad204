//! What an earlier run left in the journal, when the database is opened.

use super::{
    careful::Suspicion,
    lanes::{self, Entry, Lanes},
    pause,
    row::{self, time},
};
use rhiz_domain::{EventId, EventType, Priority};
use rusqlite::Connection;

/// What the journal holds.
pub(super) fn waiting(conn: &Connection) -> rusqlite::Result<Lanes> {
    let mut lanes = Lanes::default();
    lanes.pause(pause::read(conn)?);
    let mut suspicion = Suspicion::begin(conn)?;
    let mut statement = conn.prepare(
        "SELECT priority, seq, octet_length(payload), coalesce(replayed_at, accepted_at), due, retry_count, event_type,
             crashes, CASE WHEN origin LIKE 'file:%' THEN event_id END, origin, place
         FROM journal ORDER BY priority, seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // A damaged value does not keep the database from being opened: it is met again when the
        // event's turn comes.
        let text = |i: usize| row.get::<_, String>(i).ok();
        let due: Option<i64> = row.get(4).ok().flatten();
        let name = text(8)
            .and_then(|id| EventId::parse(&id).ok())
            .and_then(|id| lanes::name(&row::origin(&text(9)?, row.get(10).ok()?), &id));
        let entry = Entry {
            priority: row.get(0).ok().and_then(Priority::from_number).unwrap_or(Priority::Normal),
            seq: row.get(1)?,
            name,
            event_type: text(6).as_deref().and_then(EventType::parse),
            crashes: row.get(7).unwrap_or(0),
            bytes: row.get(2).unwrap_or(0),
            since: time(row.get(3).unwrap_or(0)),
            counted: row.get(5).unwrap_or(0) == 0,
            event: None,
        };
        if suspicion.falls_on(&entry, due.is_some()) {
            lanes.suspect(entry.seq);
        }
        match due {
            Some(due) => lanes.wait(entry, time(due)),
            None => lanes.push(entry),
        }
    }
    suspicion.end(conn)?;
    Ok(lanes)
}
