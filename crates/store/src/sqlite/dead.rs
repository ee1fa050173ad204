//! Dead letters: listed, filtered, paged; and what operators do to them.

use super::{
    append::{next_seq, set_seq},
    audit,
    damage::{self, Found},
    identity,
    lanes::{self, Entry, Lanes},
    row::{DEAD, dead_letter, origin as origin_of, time},
    writer::{Job, Tx},
};
use parking_lot::Mutex;
use rhiz_domain::{
    EventId, EventType, Priority,
    store::{self, DeadFilter, DeadLetter, DeadPage, DeadSelection, Dropped, Moved, StoreError},
};
use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::Value};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// The condition that every letter meets.
const ALL: &str = "1";

/// How many there are, how many of them can be replayed, and when the first of them died.
const COUNTED: &str = "count(*), count(*) FILTER (WHERE replayable), min(died_at)";

/// Letters of an act whose names are written down; of a larger one only how many there were.
const NAMED: usize = 5;

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

/// How many there are of all, kept by the database itself: asked for all the time.
const ALL_COUNTED: &str = "SELECT letters, replayable, (SELECT min(died_at) FROM dead_letters)
    FROM dead_counts WHERE did = '*'";

/// One page, newest first.
pub(super) fn page(conn: &Connection, filter: &DeadFilter) -> rusqlite::Result<DeadPage> {
    // One view of the counts and the letters.
    let conn = &*conn.unchecked_transaction()?;
    let (condition, mut values) = condition(filter);
    let counted = match &*condition {
        ALL => ALL_COUNTED.to_owned(),
        _ => format!("SELECT {COUNTED} FROM dead_letters WHERE {condition}"),
    };
    let (count, replayable, oldest): (_, _, Option<i64>) =
        conn.query_row(&counted, params_from_iter(&values), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2).ok().flatten()))
        })?;
    let uncounted = uncounted(conn, filter)?;
    let id = number(&condition);
    let mut found = format!("SELECT id FROM dead_letters WHERE {condition}");
    if let Some(before) = filter.before {
        found.push_str(&format!(" AND {id} < ?"));
        values.push(before.into());
    }
    found.push_str(&format!(" ORDER BY {id} DESC LIMIT ?"));
    values.push(i64::try_from(filter.limit).unwrap_or(i64::MAX).saturating_add(1).into());
    // First the numbers, from an index alone; then only the letters that are shown.
    let mut letters = conn
        .prepare(&format!(
            "SELECT {DEAD} FROM dead_letters WHERE id IN ({found}) ORDER BY id DESC"
        ))?
        .query_map(params_from_iter(values), dead_letter)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let more = letters.len() > filter.limit;
    letters.truncate(filter.limit);
    Ok(DeadPage { count, replayable, oldest: oldest.map(time), uncounted, letters, more })
}

/// The numbers of those behind `after`, oldest first.
pub(super) fn numbers(
    conn: &Connection,
    filter: &DeadFilter,
    after: i64,
) -> rusqlite::Result<Vec<i64>> {
    let (condition, mut values) = condition(filter);
    let before = filter.before.unwrap_or(i64::MAX);
    let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
    values.extend([after.into(), before.into(), limit.into()]);
    conn.prepare(&numbers_sql(&condition))?
        .query_map(params_from_iter(values), |row| row.get(0))?
        .collect()
}

fn numbers_sql(condition: &str) -> String {
    let id = number(condition);
    format!(
        "SELECT id FROM dead_letters WHERE {condition} AND {id} > ? AND {id} < ?
         ORDER BY {id} LIMIT ?"
    )
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

/// What is done to dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Back into the journal, as new.
    Replay,
    /// Gone for good.
    Discard,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// One step of an act: some letters, and what the audit log says, in one transaction.
pub(super) struct Step {
    pub action: Action,
    pub which: DeadSelection,
    pub most: usize,
    pub act: store::Act,
    pub lanes: Arc<Mutex<Lanes>>,
    pub ready: Arc<Notify>,
    pub answer: oneshot::Sender<Result<(Moved, Option<i64>), StoreError>>,
    pub done: Done,
}

/// What the transaction did, until it is committed.
#[derive(Default)]
pub(super) struct Done {
    moved: Moved,
    entries: Vec<Entry>,
    /// The act's row of the audit log.
    row: Option<i64>,
}

impl Step {
    /// The condition of the selection, its values, and the column to sort by.
    fn condition(&self) -> (String, Vec<Value>, &'static str) {
        match &self.which {
            DeadSelection::Events(ids) => {
                let places = vec!["?"; ids.len()].join(", ");
                let values = ids.iter().map(|id| id.as_str().to_owned().into()).collect();
                (format!("event_id IN ({places})"), values, "+id")
            }
            DeadSelection::Letters(numbers) => {
                let places = vec!["?"; numbers.len()].join(", ");
                let values = numbers.iter().map(|n| Value::from(*n)).collect();
                (format!("id IN ({places})"), values, "id")
            }
            DeadSelection::Filter(filter) => {
                let (mut sql, mut values) = condition(filter);
                let id = number(&sql);
                if let Some(before) = filter.before {
                    sql.push_str(&format!(" AND {id} < ?"));
                    values.push(before.into());
                }
                (sql, values, id)
            }
        }
    }

    /// How the act is written down: as it says, else by the first of the letters it moved.
    fn subject(&self, moved: &[(i64, String)]) -> String {
        if let Some(subject) = &self.act.subject {
            return subject.clone();
        }
        let names = moved.iter().take(NAMED).map(|(_, name)| name.as_str());
        let more = (moved.len() > NAMED).then_some("…");
        names.chain(more).collect::<Vec<_>>().join(" ")
    }

    fn replay(&mut self, tx: &Tx<'_>, id: i64, seq: i64) -> rusqlite::Result<()> {
        tx.conn
            .prepare_cached(
                "INSERT INTO journal (priority, seq, event_id, event_type, did, accepted_at,
                     replayed_at, assigned_rev, retry_count, origin, place, verified, stages,
                     payload)
                 SELECT priority, $1, event_id, event_type, did, accepted_at, $2, assigned_rev, 0,
                     origin, place, verified, stages, CAST(payload AS TEXT)
                 FROM dead_letters WHERE id = $3",
            )?
            .execute(params![seq, tx.now, id])?;
        let mut named = None;
        let entry = tx
            .conn
            .prepare_cached(
                "SELECT priority, octet_length(payload), event_type, origin, place, event_id
                 FROM dead_letters WHERE id = $1",
            )?
            .query_row([id], |row| {
                let origin = origin_of(&row.get::<_, String>(3)?, row.get(4)?);
                let id = EventId::parse(&row.get::<_, String>(5)?).ok();
                let name = id.as_ref().and_then(|id| lanes::name(&origin, id));
                named = id.map(|id| (origin, id));
                Ok(Entry {
                    seq,
                    name,
                    priority: Priority::from_number(row.get(0)?).unwrap_or(Priority::Normal),
                    event_type: EventType::parse(&row.get::<_, String>(2)?),
                    crashes: 0,
                    bytes: row.get(1)?,
                    since: time(tx.now),
                    counted: true,
                    event: None,
                })
            })?;
        self.done.entries.push(entry);
        // Whoever looks for it finds it where it is now.
        if let Some((origin, id)) = named {
            identity::replayed(tx, &origin, &id, seq, || {
                Ok(match damage::read(tx.conn, seq)? {
                    Found::Event(event) => event.fingerprint(),
                    // Nobody can send it again, for this version knows nothing of its kind.
                    Found::Damaged(_) | Found::Gone => [0; 32],
                })
            })?;
        }
        Ok(())
    }

    /// Notes that a letter is gone for good.
    fn discard(tx: &Tx<'_>, id: i64) -> rusqlite::Result<()> {
        let (named, died_at) = tx
            .conn
            .prepare_cached(
                "SELECT event_id, origin, place, died_at FROM dead_letters WHERE id = $1",
            )?
            .query_row([id], |row| {
                // A damaged letter has a name that is none.
                let name = row.get::<_, String>(0).ok().and_then(|id| EventId::parse(&id).ok());
                let origin = row.get::<_, String>(1).ok();
                let origin = origin.map(|o| origin_of(&o, row.get(2).ok().flatten()));
                Ok((origin.zip(name), row.get(3).unwrap_or(0)))
            })?;
        match named {
            Some((origin, id)) => {
                identity::drop_letter(tx, &origin, &id, died_at, Dropped::Discarded)
            }
            None => Ok(()),
        }
    }
}

impl Job for Step {
    fn rows(&self) -> usize {
        self.most
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.done = Done { row: self.act.row, ..Done::default() };
        let (condition, mut values, number) = self.condition();
        let possible = if self.action == Action::Replay { "replayable" } else { "1" };
        let impossible =
            format!("SELECT count(*) FROM dead_letters WHERE {condition} AND NOT {possible}");
        self.done.moved.impossible =
            tx.conn.query_row(&impossible, params_from_iter(&values), |row| row.get(0))?;
        values.push(i64::try_from(self.most).unwrap_or(i64::MAX).saturating_add(1).into());
        let mut letters = tx
            .conn
            .prepare(&format!(
                "SELECT id, event_id FROM dead_letters
                 WHERE id IN (SELECT id FROM dead_letters WHERE {condition} AND {possible}
                     ORDER BY {number} LIMIT ?)
                 ORDER BY id"
            ))?
            .query_map(params_from_iter(values), |row| {
                // A damaged letter has a name that is none.
                Ok((row.get(0)?, row.get(1).unwrap_or_default()))
            })?
            .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        self.done.moved.more = letters.len() > self.most;
        letters.truncate(self.most);
        let mut seq = next_seq(tx)?;
        for (id, _) in &letters {
            match self.action {
                Action::Replay => {
                    self.replay(tx, *id, seq)?;
                    seq += 1;
                }
                Action::Discard => Self::discard(tx, *id)?,
            }
            tx.conn.prepare_cached("DELETE FROM dead_letters WHERE id = $1")?.execute([id])?;
        }
        set_seq(tx, seq - 1)?;
        self.done.moved.done = letters.len() as u64;
        if letters.is_empty() {
            return Ok(());
        }
        let goes_on = match self.act.row {
            Some(row) => audit::add(tx, row, letters.len(), self.act.subject.is_none())?,
            None => false,
        };
        if !goes_on {
            let (action, subject) = (self.action.word(), self.subject(&letters));
            let row = audit::begin(tx, action, &self.act.by, &subject, letters.len())?;
            self.done.row = Some(row);
        }
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Done { moved, entries, row } = self.done;
        if result.is_ok() && !entries.is_empty() {
            let mut lanes = self.lanes.lock();
            entries.into_iter().for_each(|entry| lanes.push(entry));
            drop(lanes);
            self.ready.notify_one();
        }
        // Whoever asked may be gone; what is done is done.
        let _ = self.answer.send(result.map(|_| (moved, row)));
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
                numbers_sql(&condition),
            ] {
                // Behind the filter's values those of the page.
                let page = sql.matches('?').count() - values.len();
                let values = values.iter().cloned().chain(vec![Value::from(9); page]);
                let plan = conn
                    .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                    .unwrap()
                    .query_map(params_from_iter(values), |row| row.get::<_, String>(3))
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
