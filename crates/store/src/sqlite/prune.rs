//! Forgetting identities of events accepted long ago, and done.
//!
//! Law: it looks at what is old, not at what there is: a week at a thousand events a second is six
//! hundred million identities, and those of one hour are old. The names of sources, and those that
//! this server gives, begin with the time (UUIDv7): the old ones stand together. Of all others, whose
//! names say nothing, an index by time (`accepted_time`) knows which they are. What is found by a
//! reader is removed by the writer, a stretch at a time, others between them.

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
    /// Behind this name, of UUIDs that the same gave: [`super::row::id_key`].
    Name(Vec<u8>),
    /// Behind this time and name, of those that do not begin with the time.
    Time(i64, Vec<u8>),
}

impl From {
    pub(super) fn start() -> Self {
        Self::Name(vec![uuid_of(NamedBy::Caller)])
    }

    /// Where it goes on when nothing is left behind this.
    fn after(&self) -> Option<Self> {
        match self {
            Self::Name(name) if name.first() == Some(&uuid_of(NamedBy::Caller)) => {
                Some(Self::Name(vec![uuid_of(NamedBy::Source)]))
            }
            Self::Name(_) => Some(Self::Time(i64::MIN, Vec::new())),
            Self::Time(..) => None,
        }
    }
}

/// The first byte of the key of a UUID.
fn uuid_of(by: NamedBy) -> u8 {
    (by as u8) << 1
}

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
         WHERE (substr(event_id, 1, 1) IN (x'00', x'02')) + (substr(event_id, 8, 1) >= x'70')
                 + (substr(event_id, 8, 1) < x'80') < 3
             AND accepted_at < $1
             AND (accepted_at, event_id) > ($2, $3)
         ORDER BY accepted_at, event_id LIMIT $4"
    )
}

/// The first UUIDv7 of this time (microseconds since 1970) that the same gave.
fn name_of(time: i64, given: &[u8]) -> Vec<u8> {
    let millis = u64::try_from(time / 1000).unwrap_or(0);
    let mut name: Vec<u8> = given.iter().copied().take(1).collect();
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
        From::Name(name) => statement.query(params![before, name, name_of(before, name), LOOK])?,
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
        (From::Time(..), Some((time, name))) => Some(From::Time(time, name)),
        (from, None) => from.after(),
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

    /// A thousand names of sources and of callers each, one a second; some do not begin with it.
    fn database() -> (tempfile::TempDir, Connection) {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("rhiz.db")).unwrap();
        let entropy = SeededEntropy::new(1);
        let tx = conn.unchecked_transaction().unwrap();
        for second in 0..1000 {
            for by in [NamedBy::Source, NamedBy::Caller] {
                let id = match second % 10 {
                    // A UUID that says nothing of its time.
                    1 => EventId::parse(&format!("ffffffff-0000-4000-8000-{second:012x}")).unwrap(),
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
        // Those that begin with the time are in no second place.
        let sql = "SELECT count(*) FROM accepted INDEXED BY accepted_time
            WHERE (substr(event_id, 1, 1) IN (x'00', x'02')) + (substr(event_id, 8, 1) >= x'70')
                + (substr(event_id, 8, 1) < x'80') < 3";
        let indexed: i64 = conn.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(indexed, 400);
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
