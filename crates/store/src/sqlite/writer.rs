//! The one thread that writes, and its group commits.
//!
//! Law: a job is answered after the commit it was part of is flushed, never before. Jobs that
//! arrive while a flush is under way share the next one; they are answered together.
//!
//! When one job of a group fails, the group is rolled back and each job runs in a transaction of
//! its own, so that it fails alone. A job may therefore run twice; only one of the runs commits.
//! When another process holds the lock, all of the group fail at once: nobody waits for it twice.

use super::names::Names;
use crate::error::{from_sqlite, is_locked};
use parking_lot::Mutex;
use rhiz_domain::{Change, ChangeSet, Clock, store::StoreError};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

/// Rows that one commit carries at most: bounds how long a single event waits behind a crowd.
const GROUP_ROWS: usize = 4096;

/// Something to be written.
pub(super) trait Job: Send {
    /// How many rows it is about, for the size of a group.
    fn rows(&self) -> usize;
    /// Writes. Has no effect but on the transaction, for it may be rolled back and run again.
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()>;
    /// Answers: it is on disk, and this is the number of the last change; or it is not.
    fn done(self: Box<Self>, result: Result<u64, StoreError>);
}

/// A transaction under way.
pub(super) struct Tx<'a> {
    pub conn: &'a Connection,
    pub names: &'a mut Names,
    /// What changed, to be told after the commit.
    pub changes: &'a mut Vec<Change>,
    /// Microseconds since 1970.
    pub now: i64,
}

/// The handle of the writing thread.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    last_change: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. What changes comes out of `feed` in the order of commits.
    pub(super) fn start(
        conn: Connection,
        clock: Arc<dyn Clock>,
        feed: mpsc::Sender<ChangeSet>,
    ) -> Result<Self, StoreError> {
        let last: u64 = conn
            .query_row("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'change'", [], |r| {
                r.get(0)
            })
            .map_err(|e| from_sqlite(&e))?;
        let last_change = Arc::new(AtomicU64::new(last));
        let failing = Arc::new(AtomicBool::new(false));
        let (jobs, queue) = mpsc::channel::<Box<dyn Job>>();
        let mut thread = Thread {
            conn,
            clock,
            feed,
            names: Names::default(),
            last_change: Arc::clone(&last_change),
            failing: Arc::clone(&failing),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || thread.run(&queue))
            .map_err(|e| StoreError::Unavailable(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            last_change,
            failing,
        })
    }

    /// Hands over a job. It is answered even if the writer is closed.
    pub(super) fn submit(&self, job: Box<dyn Job>) {
        let rest = match &*self.jobs.lock() {
            Some(jobs) => jobs.send(job).err().map(|e| e.0),
            None => Some(job),
        };
        if let Some(job) = rest {
            job.done(Err(StoreError::Closed));
        }
    }

    /// The number of the last committed change.
    pub(super) fn last_change(&self) -> u64 {
        self.last_change.load(Ordering::Acquire)
    }

    /// Whether the last transaction that had something to write could not.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Acquire)
    }

    /// Finishes what was submitted, closes the connection, and ends the thread.
    pub(super) fn close(&self) {
        self.jobs.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread was reported by the panic hook.
            let _ = thread.join();
        }
    }
}

struct Thread {
    conn: Connection,
    clock: Arc<dyn Clock>,
    feed: mpsc::Sender<ChangeSet>,
    names: Names,
    last_change: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<Box<dyn Job>>) {
        while let Ok(first) = queue.recv() {
            let mut rows = first.rows();
            let mut group = vec![first];
            while rows < GROUP_ROWS
                && let Ok(job) = queue.try_recv()
            {
                rows += job.rows();
                group.push(job);
            }
            self.write(group);
        }
        // Leaves one file behind instead of three; what fails here is done at the next start.
        let _ = self.conn.pragma_update(None, "wal_checkpoint", "TRUNCATE");
    }

    fn write(&mut self, mut group: Vec<Box<dyn Job>>) {
        match self.commit(&mut group) {
            Ok(seq) => group.into_iter().for_each(|job| job.done(Ok(seq))),
            Err(error) if group.len() == 1 || is_locked(&error) => {
                let error = from_sqlite(&error);
                tracing::warn!(%error, "a transaction failed");
                group.into_iter().for_each(|job| job.done(Err(error.clone())));
            }
            Err(_) => group.into_iter().for_each(|job| self.write(vec![job])),
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<u64> {
        let mut changes = Vec::new();
        let before = self.conn.total_changes();
        let result = self.transact(group, &mut changes);
        match &result {
            // Where nothing was to be written, nothing is learnt about writing.
            Ok(_) if self.conn.total_changes() == before => {}
            Ok(_) => self.failing.store(false, Ordering::Release),
            Err(error) => {
                let outside = matches!(from_sqlite(error), StoreError::Unavailable(_));
                self.failing.fetch_or(outside, Ordering::AcqRel);
            }
        }
        match &result {
            Ok(seq) => {
                self.last_change.store(*seq, Ordering::Release);
                if !changes.is_empty() {
                    // Nobody listens any more when the program is stopping.
                    let _ = self.feed.send(ChangeSet { seq: *seq, changes });
                }
            }
            Err(_) => self.names.clear(),
        }
        result
    }

    fn transact(
        &mut self,
        group: &mut [Box<dyn Job>],
        changes: &mut Vec<Change>,
    ) -> rusqlite::Result<u64> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = self.clock.now().as_microsecond();
        for job in group {
            job.run(&mut Tx { conn: &tx, names: &mut self.names, changes, now })?;
        }
        let seq = self.last_change.load(Ordering::Relaxed) + changes.len() as u64;
        if !changes.is_empty() {
            tx.prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('change', $1)")?
                .execute([seq])?;
        }
        tx.commit()?;
        Ok(seq)
    }
}

/// Writes a row that nobody reads, to see whether anything can be written.
pub(super) struct Probe(pub tokio::sync::oneshot::Sender<Result<(), StoreError>>);

impl Job for Probe {
    fn rows(&self) -> usize {
        1
    }
    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        tx.conn
            .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', $1)")?
            .execute([tx.now])?;
        Ok(())
    }
    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        // Whoever asked may be gone.
        let _ = self.0.send(result.map(|_| ()));
    }
}
