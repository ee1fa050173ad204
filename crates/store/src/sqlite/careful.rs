//! After an unclean stop: one event at a time, so that the one that kills the server is found.
//!
//! Law: before an event that may have been in hand at the crash is handed out again, a crash of it
//! is committed; it is handed out alone. So an event that kills the server counts its crashes,
//! whatever else waits, and one that does not is applied and forgotten with its count.
//!
//! Who may have been in hand (a *suspect*)? Lanes are handed out from their fronts: of each lane the
//! first [`COULD_BE_IN_HAND`], and as many of those that had waited for a retry. Of the suspects the
//! oldest goes first, whatever its priority; whatever else is ready goes when none of them is. One
//! that was settled is a suspect no more, also when it is tried again; one whose lease ran out is one.
//!
//! One that waits on the network, and of which no crash was counted before, lets the next one have
//! the turn: a silent peer holds up nobody. Should the server die meanwhile, both have a crash; from
//! then on either keeps its turn to itself until it is settled, so that the innocent one counts no
//! second.
//!
//! Whoever lives gives the turn back: a claim or a lease that is dropped before its event is settled
//! was no crash, and the event is handed out alone again. A lease that has run out while its event
//! was in hand alone holds up nobody any more.
//!
//! Example: event 7 kills the server each time. The first crash is nobody's; at the next start the
//! events are handed out one by one, 7 with its first crash committed, then its second, and so on,
//! until the pipeline gives it up unread.

use super::{
    lanes::{Entry, Lanes},
    writer::{Job, Tx, Writer},
};
use rhiz_domain::store::StoreError;
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, oneshot};

/// As many events of a lane as could have been in hand: more than workers and batches of any sane
/// setting.
const COULD_BE_IN_HAND: usize = 16_384;

/// Finds the suspects among what waits when the database is opened.
#[derive(Debug)]
pub(super) struct Suspicion {
    /// The database was not closed in order.
    unclean: bool,
    /// Of each lane, and whether they had waited.
    seen: [[usize; 2]; 4],
}

impl Suspicion {
    /// Suspects nobody if the database was closed in order. Writes nothing yet: one that cannot be
    /// read is left as it is.
    pub(super) fn begin(conn: &Connection) -> rusqlite::Result<Self> {
        let in_use: Option<i64> = conn
            .query_row("SELECT value FROM meta WHERE key = 'in_use'", [], |row| row.get(0))
            .optional()?;
        Ok(Self { unclean: in_use == Some(1), seen: Default::default() })
    }

    /// Notes that the database is in use.
    pub(super) fn end(self, conn: &Connection) -> rusqlite::Result<()> {
        conn.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('in_use', 1)", [])?;
        Ok(())
    }

    /// Whether this one may have been in hand. To be asked of all, in the order of their lanes.
    pub(super) fn falls_on(&mut self, entry: &Entry, waited: bool) -> bool {
        let seen = &mut self.seen[entry.priority as usize][usize::from(waited)];
        *seen += 1;
        self.unclean && *seen <= COULD_BE_IN_HAND
    }
}

/// Held by whoever claims; and on, while a suspect is in hand alone.
#[derive(Debug, Clone, Default)]
pub(super) struct Turn(Arc<Mutex<()>>);

impl Turn {
    /// Waits for whoever has it.
    pub(super) async fn take(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.0).lock_owned().await
    }
}

/// Held while a suspect is in hand.
#[derive(Debug)]
pub(super) struct Alone {
    /// `None` when others have the turn meanwhile.
    turn: Option<OwnedMutexGuard<()>>,
    /// The event, once its crash is on its way to the disk.
    counted: Option<i64>,
}

impl Alone {
    pub(super) fn new(turn: OwnedMutexGuard<()>) -> Self {
        Self { turn: Some(turn), counted: None }
    }

    /// Commits a crash of the event that is about to be in hand alone; answers with how many that
    /// makes. Given up half-way, it is still counted: [`Self::give_back`] takes it back.
    pub(super) async fn count(
        &mut self,
        writer: &Writer,
        entry: &Entry,
    ) -> Result<u32, StoreError> {
        self.counted = Some(entry.seq);
        let (answer, answered) = oneshot::channel();
        writer.submit(Box::new(Count { seq: entry.seq, by: 1, crashes: 0, answer: Some(answer) }));
        let counted = answered.await.unwrap_or(Err(StoreError::Closed));
        if counted.is_err() {
            self.counted = None;
        }
        counted
    }

    /// Lets others have the turn; the event stays in hand.
    pub(super) fn let_go(&mut self) {
        self.turn = None;
    }

    /// The event is about to go back to its lane, and its holder lives: that was no crash.
    pub(super) fn give_back(&mut self, writer: &Writer) {
        if let Some(seq) = self.counted.take() {
            writer.submit(Box::new(Count { seq, by: -1, crashes: 0, answer: None }));
        }
    }
}

/// Commits that these, from leases that have run out, did not come back; then they are ready
/// again. That is the job's to do, whether or not somebody waits for it.
pub(super) struct RanOut {
    pub entries: Vec<Entry>,
    pub lanes: Arc<parking_lot::Mutex<Lanes>>,
    pub ready: Arc<Notify>,
    pub answer: oneshot::Sender<()>,
}

impl Job for RanOut {
    fn rows(&self) -> usize {
        self.entries.len()
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        for entry in &self.entries {
            add(tx, entry.seq, 1)?;
        }
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        // If it could not be counted, it is tried once more than it might be: no harm.
        let counted = u32::from(result.is_ok());
        let mut lanes = self.lanes.lock();
        for entry in self.entries {
            lanes.suspect(entry.seq);
            lanes.ready_again(Entry { crashes: entry.crashes + counted, ..entry });
        }
        drop(lanes);
        self.ready.notify_one();
        let _ = self.answer.send(());
    }
}

/// Counts a crash of an event, or takes it back.
struct Count {
    seq: i64,
    by: i64,
    crashes: u32,
    answer: Option<oneshot::Sender<Result<u32, StoreError>>>,
}

fn add(tx: &Tx<'_>, seq: i64, by: i64) -> rusqlite::Result<Option<u32>> {
    tx.conn
        .prepare_cached(
            "UPDATE journal SET crashes = crashes + $1 WHERE seq = $2 RETURNING crashes",
        )?
        .query_row([by, seq], |row| row.get(0))
        .optional()
}

impl Job for Count {
    fn rows(&self) -> usize {
        1
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        self.crashes = add(tx, self.seq, self.by)?.unwrap_or(0);
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        if let Some(answer) = self.answer {
            let _ = answer.send(result.map(|_| self.crashes));
        }
    }
}

/// Notes that the database was closed in order. Not to be noted while there are suspects: whoever only looks (`rhiz doctor`) must not end the care.
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
