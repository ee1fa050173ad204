//! After an unclean stop: one event at a time, so that the one that kills the server is found.
//!
//! Law: before an event that may have been in hand at the crash is handed out again, a crash of it
//! is committed; it is handed out alone. So an event that kills the server counts its crashes,
//! whatever else waits, and one that does not is applied and forgotten with its count.
//!
//! The oldest goes first, whatever its priority: it is the old ones that were in hand, so that nothing
//! accepted since takes a turn from them, and nobody waits longer than those before him take.
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
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, oneshot};

/// As many events as could have been in hand: more than workers and batches of any sane setting.
const COULD_BE_IN_HAND: usize = 4096;

/// Events that are handed out one by one.
#[derive(Debug, Clone)]
pub(super) struct Careful {
    turn: Arc<Mutex<()>>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    /// Turns that are still to come. Only whoever has the turn takes one away.
    left: AtomicUsize,
    /// Events that let others have their turn, and are still in hand.
    apart: AtomicUsize,
}

/// Held while an event is in hand that was handed out alone.
#[derive(Debug)]
pub(super) struct Alone {
    /// `None` when others have the turn meanwhile.
    turn: Option<OwnedMutexGuard<()>>,
    counts: Arc<Counts>,
    /// The event, once its crash is on its way to the disk.
    counted: Option<i64>,
}

impl Alone {
    /// Commits a crash of the event that is about to be in hand alone; answers with how many that
    /// makes. Given up half-way, it is still counted: [`Self::give_back`] takes it back.
    pub(super) async fn count(
        &mut self,
        writer: &Writer,
        entry: &Entry,
    ) -> Result<u32, StoreError> {
        self.counts.left.fetch_sub(1, SeqCst);
        self.counted = Some(entry.seq);
        let (answer, answered) = oneshot::channel();
        writer.submit(Box::new(Count { seq: entry.seq, by: 1, crashes: 0, answer: Some(answer) }));
        let counted = answered.await.unwrap_or(Err(StoreError::Closed));
        if counted.is_err() {
            self.counted = None;
            self.counts.left.fetch_add(1, SeqCst);
        }
        counted
    }

    /// Lets others have the turn; the event stays in hand.
    pub(super) fn let_go(&mut self) {
        if let Some(turn) = self.turn.take() {
            self.counts.apart.fetch_add(1, SeqCst);
            drop(turn);
        }
    }

    /// There is nothing to hand out in this turn.
    pub(super) fn pass(&mut self) {
        self.counts.left.fetch_sub(1, SeqCst);
    }

    /// The event is about to go back to its lane, and its holder lives: that was no crash.
    pub(super) fn give_back(&mut self, writer: &Writer) {
        if let Some(seq) = self.counted.take() {
            self.counts.left.fetch_add(1, SeqCst);
            writer.submit(Box::new(Count { seq, by: -1, crashes: 0, answer: None }));
        }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.turn.is_none() {
            self.counts.apart.fetch_sub(1, SeqCst);
        }
    }
}

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
        let counts = Counts { left: AtomicUsize::new(left), apart: AtomicUsize::new(0) };
        Ok(Self { turn: Arc::default(), counts: Arc::new(counts) })
    }

    /// `Some` while events are to be handed out one by one: waits for the one before.
    pub(super) async fn alone(&self) -> Option<Alone> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let counts = Arc::clone(&self.counts);
        self.turns_are_left().then_some(Alone { turn: Some(turn), counts, counted: None })
    }

    /// Whether there are turns to come. Whoever gives one back does so before its event can be
    /// claimed again.
    pub(super) fn turns_are_left(&self) -> bool {
        self.counts.left.load(SeqCst) > 0
    }

    /// Whether all that could have been in hand has been handed out, and none of it is still in
    /// hand: a stop does not wait for whoever holds it.
    pub(super) fn over(&self) -> bool {
        // Taken first: whoever has it may give its event back.
        self.turn.try_lock().is_ok_and(|_| {
            let Counts { left, apart } = &*self.counts;
            // In this order: who was apart gives back before he is gone.
            apart.load(SeqCst) == 0 && left.load(SeqCst) == 0
        })
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
