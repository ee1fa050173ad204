//! Dead letters: listed, filtered, paged.

use super::row::{DEAD, dead_letter};
use rhiz_domain::{
    EventId,
    store::{DeadFilter, DeadLetter, DeadPage},
};
use rusqlite::{Connection, OptionalExtension, params_from_iter, types::Value};

/// The condition of a filter, and its values.
fn condition(filter: &DeadFilter) -> (String, Vec<Value>) {
    let mut sql = String::from("1");
    let mut values: Vec<Value> = Vec::new();
    if let Some(kind) = filter.event_type {
        sql.push_str(" AND event_type = ?");
        values.push(kind.as_str().to_owned().into());
    }
    if let Some(did) = &filter.did {
        sql.push_str(" AND did = ?");
        values.push(did.as_str().to_owned().into());
    }
    if let Some(since) = filter.since {
        sql.push_str(" AND died_at >= ?");
        values.push(since.as_microsecond().into());
    }
    (sql, values)
}

/// One page, newest first.
pub(super) fn page(conn: &Connection, filter: &DeadFilter) -> rusqlite::Result<DeadPage> {
    let (condition, mut values) = condition(filter);
    let count = conn.query_row(
        &format!("SELECT count(*) FROM dead_letters WHERE {condition}"),
        params_from_iter(&values),
        |row| row.get(0),
    )?;
    let uncounted =
        conn.query_row("SELECT coalesce(sum(count), 0) FROM rejected_overflow", [], |row| {
            row.get(0)
        })?;
    let mut sql = format!("SELECT {DEAD} FROM dead_letters WHERE {condition}");
    if let Some(before) = filter.before {
        sql.push_str(" AND id < ?");
        values.push(before.into());
    }
    sql.push_str(" ORDER BY id DESC LIMIT ?");
    values.push((i64::try_from(filter.limit).unwrap_or(i64::MAX - 1) + 1).into());
    let mut letters = conn
        .prepare(&sql)?
        .query_map(params_from_iter(values), dead_letter)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let more = letters.len() > filter.limit;
    letters.truncate(filter.limit);
    Ok(DeadPage { count, uncounted, letters, more })
}

/// The newest dead letter of an event.
pub(super) fn find(conn: &Connection, id: &EventId) -> rusqlite::Result<Option<DeadLetter>> {
    conn.prepare_cached(&format!(
        "SELECT {DEAD} FROM dead_letters WHERE event_id = $1 ORDER BY id DESC LIMIT 1"
    ))?
    .query_row([id.as_str()], dead_letter)
    .optional()
}
