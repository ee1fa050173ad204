//! After an unclean stop: one event at a time, so that the one that kills the server is found.
//!
//! Law: before an event that may have been in hand at the crash is handed out again, a crash of it
//! is committed; it is handed out alone. So an event that kills the server counts its crashes,
//! whatever else waits, and one that does not is applied and forgotten with its count.
//!
//! Example: event 7 kills the server each time. The first crash is nobody's; at the next start the
//! events are handed out one by one, 7 with its first crash committed, then its second, and so on,
//! until the pipeline gives it up unread.

use super::{
    lanes::Entry,
    writer::{Job, Tx, Writer},
};
use rhiz_domain::store::StoreError;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};

/// As many events as could have been in hand: more than workers and batches of any sane setting.
const COULD_BE_IN_HAND: usize = 4096;

/// How many events are still to be handed out one by one.
#[derive(Debug, Clone)]
pub(super) struct Careful {
    left: Arc<Mutex<usize>>,
}

/// Held while an event is in hand alone.
pub(super) type Alone = OwnedMutexGuard<usize>;

impl Careful {
    /// Notes that the database is in use; careful with what waits if it was in use before.
    pub(super) fn begin(conn: &Connection) -> rusqlite::Result<Self> {
        let in_use: Option<i64> = conn
            .query_row("SELECT value FROM meta WHERE key = 'in_use'", [], |row| row.get(0))
            .optional()?;
        conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('in_use', 1)", [])?;
        let waiting: usize =
            conn.query_row("SELECT count(*) FROM journal", [], |row| row.get(0))?;
        let left = if in_use == Some(1) { waiting.min(COULD_BE_IN_HAND) } else { 0 };
        Ok(Self { left: Arc::new(Mutex::new(left)) })
    }

    /// `Some` while events are to be handed out one by one: waits for the one before.
    pub(super) async fn alone(&self) -> Option<Alone> {
        let left = Arc::clone(&self.left).lock_owned().await;
        (*left > 0).then_some(left)
    }

    /// Whether all that could have been in hand has been handed out.
    pub(super) async fn over(&self) -> bool {
        *self.left.lock().await == 0
    }
}

/// Commits one more crash of an event; answers with how many that makes.
pub(super) async fn count(writer: &Writer, entry: &Entry) -> Result<u32, StoreError> {
    let (answer, answered) = oneshot::channel();
    let key = (entry.priority as i64, entry.seq);
    writer.submit(Box::new(Count { key, crashes: 0, answer }));
    answered.await.unwrap_or(Err(StoreError::Closed))
}

struct Count {
    key: (i64, i64),
    crashes: u32,
    answer: oneshot::Sender<Result<u32, StoreError>>,
}

impl Job for Count {
    fn rows(&self) -> usize {
        1
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        let (priority, seq) = self.key;
        let crashes = tx
            .conn
            .prepare_cached(
                "UPDATE journal SET crashes = crashes + 1 WHERE priority = $1 AND seq = $2
                 RETURNING crashes",
            )?
            .query_row(params![priority, seq], |row| row.get(0))
            .optional()?;
        self.crashes = crashes.unwrap_or(0);
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let _ = self.answer.send(result.map(|_| self.crashes));
    }
}

/// Notes that the database was closed in order. Not to be noted before all that could have been in
/// hand at a crash has been handed out: whoever only looks (`rhiz doctor`) must not end the care.
pub(super) struct End {
    pub answer: oneshot::Sender<()>,
}

impl Job for End {
    fn rows(&self) -> usize {
        1
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        tx.conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('in_use', 0)", [])?;
        Ok(())
    }
    fn done(self: Box<Self>, _: Result<u64, StoreError>) {
        // If it could not be noted, the next start is careful without need.
        let _ = self.answer.send(());
    }
}
