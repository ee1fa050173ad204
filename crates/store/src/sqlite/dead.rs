//! Dead letters: listed, filtered, paged; and what operators do to them.

use super::{
    append::{next_seq, set_seq},
    lanes::{self, Entry, Lanes},
    row::{DEAD, NamedBy, dead_letter, id_key, origin, time},
    writer::{Job, Tx},
};
use parking_lot::Mutex;
use rhiz_domain::{
    EventId, EventType, Priority,
    store::{AuditRow, DeadFilter, DeadLetter, DeadPage, DeadSelection, Moved, StoreError},
};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// The condition that every letter meets.
const ALL: &str = "1";

/// How many there are, and how many of them can be replayed.
const COUNTED: &str = "count(*), count(*) FILTER (WHERE replayable)";

/// The condition of a filter, and its values.
fn condition(filter: &DeadFilter) -> (String, Vec<Value>) {
    let mut sql = String::from(ALL);
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
    if let Some(until) = filter.until {
        sql.push_str(" AND died_at < ?");
        values.push(until.as_microsecond().into());
    }
    (sql, values)
}

/// The column to sort and to page by: plain only where the table itself has the answer. With a
/// condition it is written so that SQLite does not walk along it through letters that do not match.
fn number(condition: &str) -> &'static str {
    if condition == ALL { "id" } else { "+id" }
}

/// One page, newest first.
pub(super) fn page(conn: &Connection, filter: &DeadFilter) -> rusqlite::Result<DeadPage> {
    let (condition, mut values) = condition(filter);
    let (count, replayable) = conn.query_row(
        &format!("SELECT {COUNTED} FROM dead_letters WHERE {condition}"),
        params_from_iter(&values),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let uncounted = uncounted(conn, filter)?;
    let id = number(&condition);
    let mut found = format!("SELECT id FROM dead_letters WHERE {condition}");
    if let Some(before) = filter.before {
        found.push_str(&format!(" AND {id} < ?"));
        values.push(before.into());
    }
    found.push_str(&format!(" ORDER BY {id} DESC LIMIT ?"));
    values.push((i64::try_from(filter.limit).unwrap_or(i64::MAX - 1) + 1).into());
    // First the numbers, from an index alone; then only the letters that are shown.
    let mut letters = conn
        .prepare(&format!(
            "SELECT {DEAD} FROM dead_letters WHERE id IN ({found}) ORDER BY id DESC"
        ))?
        .query_map(params_from_iter(values), dead_letter)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let more = letters.len() > filter.limit;
    letters.truncate(filter.limit);
    Ok(DeadPage { count, replayable, uncounted, letters, more })
}

/// Inputs that were only counted, of whom the filter asks for. They have no type and no time: a
/// filter by those finds none of them.
fn uncounted(conn: &Connection, filter: &DeadFilter) -> rusqlite::Result<u64> {
    if filter.event_type.is_some() || filter.since.is_some() || filter.until.is_some() {
        return Ok(0);
    }
    let did = filter.did.as_ref().map(|did| did.as_str());
    conn.prepare_cached(
        "SELECT coalesce(sum(count), 0) FROM rejected_overflow WHERE $1 IS NULL OR did = $1",
    )?
    .query_row([did], |row| row.get(0))
}

/// The newest dead letter of an event.
pub(super) fn find(conn: &Connection, id: &EventId) -> rusqlite::Result<Option<DeadLetter>> {
    conn.prepare_cached(&format!(
        "SELECT {DEAD} FROM dead_letters WHERE event_id = $1 ORDER BY id DESC LIMIT 1"
    ))?
    .query_row([id.as_str()], dead_letter)
    .optional()
}

/// What operators did, newest first.
pub(super) fn audit(conn: &Connection, limit: usize) -> rusqlite::Result<Vec<AuditRow>> {
    conn.prepare_cached(
        "SELECT at, action, by, subject, count FROM audit ORDER BY id DESC LIMIT $1",
    )?
    .query_map([limit], |row| {
        Ok(AuditRow {
            at: time(row.get(0)?),
            action: row.get(1)?,
            by: row.get(2)?,
            subject: row.get(3)?,
            count: row.get(4)?,
        })
    })?
    .collect()
}

/// What is done to dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Back into the journal, as new.
    Replay,
    /// Gone for good.
    Discard,
}

/// One step of an action: some letters, and the audit row, in one transaction.
pub(super) struct Act {
    pub action: Action,
    pub which: DeadSelection,
    pub most: usize,
    pub by: String,
    pub lanes: Arc<Mutex<Lanes>>,
    pub ready: Arc<Notify>,
    pub answer: oneshot::Sender<Result<Moved, StoreError>>,
    /// What the transaction did, until it is committed.
    pub moved: Moved,
    pub entries: Vec<Entry>,
}

impl Act {
    /// The condition of the selection, its values, the column to sort by, and how it is written
    /// down.
    fn condition(&self) -> (String, Vec<Value>, &'static str, String) {
        match &self.which {
            DeadSelection::Events(ids) => {
                let places = vec!["?"; ids.len()].join(", ");
                let values = ids.iter().map(|id| id.as_str().to_owned().into()).collect();
                let named = ids.iter().take(5).map(EventId::as_str).collect::<Vec<_>>().join(" ");
                (format!("event_id IN ({places})"), values, "+id", named)
            }
            DeadSelection::Filter(filter) => {
                let (mut sql, mut values) = condition(filter);
                let id = number(&sql);
                if let Some(before) = filter.before {
                    sql.push_str(&format!(" AND {id} < ?"));
                    values.push(before.into());
                }
                let kind = filter.event_type.map_or("any", |t| t.as_str());
                let did = filter.did.as_ref().map_or("anyone", |d| d.as_str());
                let time = |t: Option<jiff::Timestamp>| t.map_or("any".into(), |t| t.to_string());
                let (since, until) = (time(filter.since), time(filter.until));
                let written = format!("type={kind} did={did} since={since} until={until}");
                (sql, values, id, written)
            }
        }
    }

    fn replay(&mut self, tx: &Tx<'_>, id: i64, seq: i64) -> rusqlite::Result<()> {
        tx.conn
            .prepare_cached(
                "INSERT INTO journal (priority, seq, event_id, event_type, did, accepted_at,
                     assigned_rev, retry_count, origin, place, verified, stages, payload)
                 SELECT priority, $1, event_id, event_type, did, accepted_at, assigned_rev, 0,
                     origin, place, verified, stages, CAST(payload AS TEXT)
                 FROM dead_letters WHERE id = $2",
            )?
            .execute(params![seq, id])?;
        let (mut name, mut key) = (None, None);
        let entry = tx
            .conn
            .prepare_cached(
                "SELECT priority, octet_length(payload), accepted_at, event_type, origin, place,
                     event_id
                 FROM dead_letters WHERE id = $1",
            )?
            .query_row([id], |row| {
                let origin = origin(&row.get::<_, String>(4)?, row.get(5)?);
                if let Ok(id) = EventId::parse(&row.get::<_, String>(6)?) {
                    name = lanes::name(&origin, &id);
                    key = Some(id_key(NamedBy::of(&origin), &id));
                }
                Ok(Entry {
                    seq,
                    name,
                    priority: Priority::from_number(row.get(0)?).unwrap_or(Priority::Normal),
                    event_type: EventType::parse(&row.get::<_, String>(3)?),
                    crashes: 0,
                    bytes: row.get(1)?,
                    accepted_at: time(row.get(2)?),
                    counted: true,
                    event: None,
                })
            })?;
        self.entries.push(entry);
        // Whoever looks for it finds it where it is now.
        tx.conn
            .prepare_cached("UPDATE accepted SET seq = $1 WHERE event_id = $2")?
            .execute(params![seq, key])?;
        Ok(())
    }
}

impl Job for Act {
    fn rows(&self) -> usize {
        self.most
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        (self.moved, self.entries) = (Moved::default(), Vec::new());
        let (condition, mut values, number, subject) = self.condition();
        let possible = if self.action == Action::Replay { "replayable" } else { "1" };
        let impossible =
            format!("SELECT count(*) FROM dead_letters WHERE {condition} AND NOT {possible}");
        self.moved.impossible =
            tx.conn.query_row(&impossible, params_from_iter(&values), |row| row.get(0))?;
        values.push((i64::try_from(self.most).unwrap_or(i64::MAX - 1) + 1).into());
        let mut ids = tx
            .conn
            .prepare(&format!(
                "SELECT id FROM dead_letters WHERE {condition} AND {possible}
                 ORDER BY {number} LIMIT ?"
            ))?
            .query_map(params_from_iter(values), |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<i64>>>()?;
        self.moved.more = ids.len() > self.most;
        ids.truncate(self.most);
        let mut seq = next_seq(tx)?;
        for id in &ids {
            if self.action == Action::Replay {
                self.replay(tx, *id, seq)?;
                seq += 1;
            }
            tx.conn.prepare_cached("DELETE FROM dead_letters WHERE id = $1")?.execute([id])?;
        }
        set_seq(tx, seq - 1)?;
        self.moved.done = ids.len() as u64;
        if !ids.is_empty() {
            let action = if self.action == Action::Replay { "replay" } else { "discard" };
            tx.conn
                .prepare_cached(
                    "INSERT INTO audit (at, action, by, subject, count)
                     VALUES ($1, $2, $3, $4, $5)",
                )?
                .execute(params![tx.now, action, self.by, subject, ids.len()])?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        if result.is_ok() && !self.entries.is_empty() {
            let mut lanes = self.lanes.lock();
            self.entries.into_iter().for_each(|entry| lanes.push(entry));
            drop(lanes);
            self.ready.notify_one();
        }
        // Whoever asked may be gone; what is done is done.
        let _ = self.answer.send(result.map(|_| self.moved));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::open_writer;
    use rhiz_domain::{Did, EventType};

    /// Whatever is asked for, an index answers, and alone: no letter is read that is not shown.
    #[test]
    fn filters_are_answered_from_indexes() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("rhiz.db")).unwrap();
        let now = Some(jiff::Timestamp::UNIX_EPOCH);
        for n in 0..16 {
            let filter = DeadFilter {
                event_type: (n & 1 > 0).then_some(EventType::ProfileUpdated),
                did: (n & 2 > 0).then(|| Did::parse("did:plc:a").unwrap()),
                since: now.filter(|_| n & 4 > 0),
                until: now.filter(|_| n & 8 > 0),
                ..DeadFilter::default()
            };
            let (condition, values) = condition(&filter);
            for sql in [
                format!("SELECT {COUNTED} FROM dead_letters WHERE {condition}"),
                format!("SELECT count(*) FROM dead_letters WHERE {condition} AND NOT replayable"),
                format!(
                    "SELECT id FROM dead_letters WHERE {condition} ORDER BY {} DESC LIMIT 9",
                    number(&condition)
                ),
            ] {
                let plan = conn
                    .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                    .unwrap()
                    .query_map(params_from_iter(&values), |row| row.get::<_, String>(3))
                    .unwrap()
                    .collect::<rusqlite::Result<Vec<_>>>()
                    .unwrap();
                let alone = |step: &String| {
                    step.contains("COVERING INDEX") || step.contains("TEMP B-TREE")
                        // The newest of all are the last of the table, and no other is looked at.
                        || (n == 0 && sql.contains("LIMIT"))
                };
                assert!(plan.iter().all(alone), "{sql}: {plan:?}");
                let searched = n == 0 || plan[0].starts_with("SEARCH");
                assert!(searched, "{sql}: {plan:?}");
            }
        }
    }
}
