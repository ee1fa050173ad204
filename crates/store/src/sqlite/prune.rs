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
        let gone = tx
            .conn
            .prepare_cached(
                // What waits is not forgotten, however long: it could be accepted once more, and
                // would be found no longer.
                "DELETE FROM accepted WHERE event_id > $1 AND accepted_at < $2
                     AND ($3 IS NULL OR event_id <= $3)
                     AND NOT EXISTS (SELECT 1 FROM journal WHERE journal.seq = accepted.seq)",
            )?
            .execute(params![self.from, self.before, last])?;
        self.found = (gone as u64, last);
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Self { found, answer, .. } = *self;
        let _ = answer.send(result.map(|_| found));
    }
}
