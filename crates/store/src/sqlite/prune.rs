//! Forgetting identities of events accepted long ago, and done.
//!
//! Law: it looks at what is old, not at what there is: a week at a thousand events a second is six
//! hundred million identities, and those of one hour are old. Names of sources begin with the time
//! (UUIDv7), so the old ones stand at the beginning of the table; of all others, whose names say
//! nothing, an index by time (`accepted_time`) knows which they are. What is found by a reader is
//! removed by the writer, a stretch at a time, others between them.

use super::{
    row::NamedBy,
    writer::{Job, Tx},
};
use rhiz_domain::store::StoreError;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

/// Identities that one look reads at most.
const LOOK: usize = 10_000;

/// Identities removed in one transaction.
const STEP: usize = 1_000;

/// Where a look begins.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// Behind this name, of those that sources gave.
    Name(Vec<u8>),
    /// Behind this time and name, of all others.
    Time(i64, Vec<u8>),
}

impl From {
    pub(super) fn start() -> Self {
        Self::Name(vec![SOURCES])
    }
}

/// The first byte of UUIDs that sources gave: [`super::row::id_key`].
const SOURCES: u8 = (NamedBy::Source as u8) << 1;

/// What a look found.
pub(super) struct Found {
    /// To be forgotten.
    pub old: Vec<Vec<u8>>,
    /// Where the next look begins.
    pub next: Option<From>,
}

/// What waits is not forgotten, however long: it could be accepted once more, and would be found no
/// longer.
const OLD: &str = "accepted_at < $1
    AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.seq = accepted.seq)";

fn by_name() -> String {
    format!(
        "SELECT event_id, accepted_at, {OLD} FROM accepted
         WHERE event_id > $2 AND event_id < $3 ORDER BY event_id LIMIT $4"
    )
}

fn by_time() -> String {
    // The condition stands as in the index, or it would not be used.
    format!(
        "SELECT event_id, accepted_at, {OLD} FROM accepted
         WHERE substr(event_id, 1, 1) <> x'02' AND accepted_at < $1
             AND (accepted_at, event_id) > ($2, $3)
         ORDER BY accepted_at, event_id LIMIT $4"
    )
}

/// The first name of a source of this time, microseconds since 1970.
fn name_of(time: i64) -> Vec<u8> {
    let millis = u64::try_from(time / 1000).unwrap_or(0);
    let mut name = vec![SOURCES];
    // 48 bits.
    name.extend(&millis.to_be_bytes()[2..]);
    name
}

/// Looks for what was accepted before `before`.
pub(super) fn look(conn: &Connection, from: &From, before: i64) -> rusqlite::Result<Found> {
    let mut statement = conn.prepare_cached(&match from {
        From::Name(_) => by_name(),
        From::Time(..) => by_time(),
    })?;
    let mut rows = match from {
        From::Name(name) => statement.query(params![before, name, name_of(before), LOOK])?,
        From::Time(time, name) => statement.query(params![before, time, name, LOOK])?,
    };
    let (mut old, mut looked_at, mut last) = (Vec::new(), 0, None);
    while let Some(row) = rows.next()? {
        let (name, time): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
        if row.get(2)? {
            old.push(name.clone());
        }
        looked_at += 1;
        last = Some((time, name));
        if old.len() == STEP {
            break;
        }
    }
    let next = match (from, last.filter(|_| looked_at == LOOK || old.len() == STEP)) {
        (From::Name(_), Some((_, name))) => Some(From::Name(name)),
        (From::Name(_), None) => Some(From::Time(i64::MIN, Vec::new())),
        (From::Time(..), Some((time, name))) => Some(From::Time(time, name)),
        (From::Time(..), None) => None,
    };
    Ok(Found { old, next })
}

/// Forgets these, unless they are young or wait again.
pub(super) struct Forget {
    before: i64,
    names: Vec<Vec<u8>>,
    gone: u64,
    answer: oneshot::Sender<Result<u64, StoreError>>,
}

impl Forget {
    pub(super) fn new(
        before: i64,
        names: Vec<Vec<u8>>,
        answer: oneshot::Sender<Result<u64, StoreError>>,
    ) -> Self {
        Self { before, names, gone: 0, answer }
    }
}

impl Job for Forget {
    fn rows(&self) -> usize {
        self.names.len()
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.gone = 0;
        let mut statement = tx
            .conn
            .prepare_cached(&format!("DELETE FROM accepted WHERE {OLD} AND event_id = $2"))?;
        for name in &self.names {
            self.gone += statement.execute(params![self.before, name])? as u64;
        }
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Self { gone, answer, .. } = *self;
        let _ = answer.send(result.map(|_| gone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{row::id_key, schema::open_writer};
    use jiff::Timestamp;
    use rhiz_domain::{EventId, clock::SeededEntropy};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    /// A thousand names of sources and of callers each, one a second; some not UUIDs.
    fn database() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("rhiz.db")).unwrap();
        let entropy = SeededEntropy::new(1);
        let tx = conn.unchecked_transaction().unwrap();
        for second in 0..1000 {
            for by in [NamedBy::Source, NamedBy::Caller] {
                let id = match second % 10 {
                    0 => EventId::parse(&format!("e{}", second * 7919 % 1000)).unwrap(),
                    _ => EventId::generate(at(second), &entropy),
                };
                tx.execute(
                    "INSERT INTO accepted (event_id, fingerprint, accepted_at) VALUES ($1, '', $2)",
                    params![id_key(by, &id), at(second).as_microsecond()],
                )
                .unwrap();
            }
        }
        tx.commit().unwrap();
        (dir, conn)
    }

    /// How many rows are read, of those that there are.
    #[test]
    fn what_is_young_is_not_looked_at() {
        let (_dir, conn) = database();
        let before = at(100).as_microsecond();
        let (mut from, mut old) = (Some(From::start()), 0);
        while let Some(start) = from {
            let found = look(&conn, &start, before).unwrap();
            old += found.old.len();
            from = found.next;
        }
        assert_eq!(old, 200);
        for (sql, plan) in [
            (by_name(), "(event_id>? AND event_id<?)"),
            (
                by_time(),
                "USING INDEX accepted_time ((accepted_at,event_id)>(?,?) AND accepted_at<?)",
            ),
        ] {
            let steps = conn
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .unwrap()
                .query_map(params![before, 0, 0, LOOK], |row| row.get::<_, String>(3))
                .unwrap()
                .collect::<rusqlite::Result<Vec<_>>>()
                .unwrap();
            assert!(
                steps[0].starts_with("SEARCH accepted") && steps[0].contains(plan),
                "{steps:?}"
            );
            assert!(!steps.iter().any(|step| step.contains("B-TREE")), "{steps:?}");
        }
    }

    /// One that was told late has an old name, and is young.
    #[test]
    fn an_old_name_of_something_young_is_kept() {
        let (_dir, conn) = database();
        conn.execute("UPDATE accepted SET accepted_at = $1", [at(5000).as_microsecond()]).unwrap();
        let mut from = Some(From::start());
        while let Some(start) = from {
            let found = look(&conn, &start, at(2000).as_microsecond()).unwrap();
            assert!(found.old.is_empty());
            from = found.next;
        }
    }
}
