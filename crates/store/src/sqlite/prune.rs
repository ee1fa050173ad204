//! Forgetting identities of events accepted long ago, and done.

use super::writer::{Job, Tx};
use rhiz_domain::store::StoreError;
use rusqlite::{OptionalExtension, params};
use tokio::sync::oneshot;

/// How many are gone, and where the next stretch begins if there is one.
type Stretch = (u64, Option<Vec<u8>>);

/// Forgets one stretch of old identities.
pub(super) struct Prune {
    before: i64,
    from: Vec<u8>,
    found: Stretch,
    answer: oneshot::Sender<Result<Stretch, StoreError>>,
}

impl Prune {
    pub(super) fn new(
        before: i64,
        from: Vec<u8>,
        answer: oneshot::Sender<Result<Stretch, StoreError>>,
    ) -> Self {
        Self { before, from, found: (0, None), answer }
    }
}

/// Identities looked at in one transaction: others write in between.
const PRUNE_STEP: i64 = 1000;

/// Forgets what is old of the stretch behind `$1` up to `$2`. Both ends are plain bounds, so that
/// SQLite looks at the stretch and not at all that follows it. What waits is not forgotten, however
/// long: it could be accepted once more, and would be found no longer.
const FORGET: &str = "DELETE FROM accepted WHERE event_id > $1 AND event_id <= $2
     AND accepted_at < $3
     AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.seq = accepted.seq)";

/// Behind every identity: their first byte says who gave them, and is small.
const END: [u8; 1] = [0xff];

impl Job for Prune {
    fn rows(&self) -> usize {
        PRUNE_STEP as usize
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let last: Option<Vec<u8>> = tx
            .conn
            .prepare_cached(
                "SELECT event_id FROM accepted WHERE event_id > $1 ORDER BY event_id
                 LIMIT 1 OFFSET $2",
            )?
            .query_row(params![self.from, PRUNE_STEP - 1], |row| row.get(0))
            .optional()?;
        let until = last.as_deref().unwrap_or(&END);
        let gone =
            tx.conn.prepare_cached(FORGET)?.execute(params![self.from, until, self.before])?;
        self.found = (gone as u64, last);
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Self { found, answer, .. } = *self;
        let _ = answer.send(result.map(|_| found));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{
        row::{NamedBy, id_key},
        schema::open_writer,
    };
    use rhiz_domain::EventId;

    #[test]
    fn a_step_looks_at_its_stretch_and_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("rhiz.db")).unwrap();
        let plan = conn
            .prepare(&format!("EXPLAIN QUERY PLAN {FORGET}"))
            .unwrap()
            .query_map(params![[0u8; 0], END, 0], |row| row.get::<_, String>(3))
            .unwrap()
            .collect::<rusqlite::Result<Vec<_>>>()
            .unwrap();
        assert!(plan[0].ends_with("(event_id>? AND event_id<?)"), "{plan:?}");
    }

    #[test]
    fn no_identity_is_behind_the_end() {
        let id = EventId::parse("~").unwrap();
        for by in [NamedBy::Source, NamedBy::Caller] {
            assert!(id_key(by, &id).as_slice() < END.as_slice());
        }
    }
}
