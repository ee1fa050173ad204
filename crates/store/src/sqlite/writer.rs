//! The one thread that writes, and its group commits.
//!
//! Law: a job is answered after the commit it was part of is flushed, never before. Jobs that
//! arrive while a flush is under way share the next one; they are answered together.
//!
//! When one job of a group fails, the group is rolled back and each job runs in a transaction of
//! its own, so that it fails alone. A job may therefore run twice; only one of the runs commits.
//! One that panics fails in the same way: its transaction is rolled back, and the thread lives on.
//! When another process holds the lock, all of the group fail at once: nobody waits for it twice.

use super::{
    checkpoint::{self, Checkpoints},
    complaints::Complaints,
    names::Names,
    strip::{self, Strip},
};
use crate::error::{from_sqlite, is_locked};
use parking_lot::Mutex;
use rhiz_domain::{Change, ChangeSet, Clock, store::StoreError};
use rusqlite::{Connection, TransactionBehavior};
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::Duration,
};

/// Rows that one commit carries at most: bounds how long a single event waits behind a crowd.
const GROUP_ROWS: usize = 1024;

/// How long a step that could not be written waits, unless something else can be.
const PAUSE: Duration = Duration::from_secs(1);

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
    /// How much of deleted accounts it may take away.
    pub strip: &'a mut Strip,
    /// Microseconds since 1970.
    pub now: i64,
}

/// The handle of the writing thread.
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Box<dyn Job>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    last_change: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    strip_rows: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the thread. What changes comes out of `feed` in the order of commits.
    pub(super) fn start(
        mut conn: Connection,
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
        let strip_rows = Arc::new(AtomicUsize::new(strip::STEP));
        let (jobs, queue) = mpsc::channel::<Box<dyn Job>>();
        let checkpoints = Checkpoints::start(&mut conn, checkpoint::EVERY)?;
        let mut thread = Thread {
            conn,
            checkpoints: Some(checkpoints),
            clock,
            feed,
            names: Names::default(),
            last_change: Arc::clone(&last_change),
            failing: Arc::clone(&failing),
            complaints: Complaints::default(),
            strip: Strip::default(),
            strip_rows: Arc::clone(&strip_rows),
            // What an earlier run began.
            stripping: Stripping::Next,
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
            strip_rows,
        })
    }

    /// From now on a transaction looks at so many rows of deleted accounts at most.
    pub(super) fn strip_rows(&self, rows: usize) {
        self.strip_rows.store(rows.max(1), Ordering::Relaxed);
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
    /// `None` when the thread is ending.
    checkpoints: Option<Checkpoints>,
    clock: Arc<dyn Clock>,
    feed: mpsc::Sender<ChangeSet>,
    names: Names,
    last_change: Arc<AtomicU64>,
    failing: Arc<AtomicBool>,
    complaints: Complaints,
    strip: Strip,
    strip_rows: Arc<AtomicUsize>,
    stripping: Stripping,
}

/// Whether there is something of deleted accounts to take away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stripping {
    No,
    /// After whatever is written next, or at once when there is nothing.
    Next,
    /// The last step failed: it is tried again after something that works, or after [`PAUSE`].
    Failed,
}

impl Thread {
    fn run(&mut self, queue: &mpsc::Receiver<Box<dyn Job>>) {
        // What is left of a deleted account when the store is closed is done at the next start.
        while let Ok(first) = self.next(queue) {
            let mut written = true;
            if let Some(first) = first {
                let mut rows = first.rows();
                let mut group = vec![first];
                while rows < GROUP_ROWS
                    && let Ok(job) = queue.try_recv()
                {
                    rows += job.rows();
                    group.push(job);
                }
                written = self.write(group);
            }
            if self.stripping == Stripping::Next || (self.stripping != Stripping::No && written) {
                let done = self.write(vec![Box::new(strip::Step)]);
                self.stripping = match (done, self.strip.more) {
                    (false, _) => Stripping::Failed,
                    (true, true) => Stripping::Next,
                    (true, false) => Stripping::No,
                };
            }
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.after_commits(&self.conn);
            }
        }
        // Its connection is closed first.
        self.checkpoints = None;
        // Leaves one file behind instead of three; what fails here is done at the next start.
        let _ = self.conn.pragma_update(None, "wal_checkpoint", "TRUNCATE");
    }

    /// The next job. None when a step is to be done first; an error when there will be none.
    fn next(
        &self,
        queue: &mpsc::Receiver<Box<dyn Job>>,
    ) -> Result<Option<Box<dyn Job>>, mpsc::RecvError> {
        match self.stripping {
            Stripping::No => queue.recv().map(Some),
            Stripping::Next => match queue.try_recv() {
                Ok(job) => Ok(Some(job)),
                Err(mpsc::TryRecvError::Empty) => Ok(None),
                Err(mpsc::TryRecvError::Disconnected) => Err(mpsc::RecvError),
            },
            Stripping::Failed => match queue.recv_timeout(PAUSE) {
                Ok(job) => Ok(Some(job)),
                Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
                Err(mpsc::RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
            },
        }
    }

    /// Writes and answers; whether all of it was written.
    fn write(&mut self, mut group: Vec<Box<dyn Job>>) -> bool {
        let committed = match catch_unwind(AssertUnwindSafe(|| self.commit(&mut group))) {
            Ok(committed) => committed.map_err(|error| (is_locked(&error), from_sqlite(&error))),
            Err(panic) => Err((false, self.panicked(&*panic))),
        };
        match committed {
            Ok(seq) => {
                if self.strip.more {
                    self.stripping = Stripping::Next;
                }
                group.into_iter().for_each(|job| answer(job, Ok(seq)));
                true
            }
            Err((locked, error)) if group.len() == 1 || locked => {
                self.complaints.failed(&error, self.clock.elapsed());
                group.into_iter().for_each(|job| answer(job, Err(error.clone())));
                false
            }
            Err(_) => {
                let alone: Vec<bool> = group.into_iter().map(|job| self.write(vec![job])).collect();
                alone.iter().all(|written| *written)
            }
        }
    }

    /// Cleans up behind a job that panicked: nothing of its transaction stays.
    fn panicked(&mut self, panic: &(dyn Any + Send)) -> StoreError {
        self.names.clear();
        // Dropping a transaction rolls it back, also while unwinding; this is for the case that it
        // could not.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction cannot be rolled back");
        }
        StoreError::Corrupt(format!("writing it panicked: {}", words(panic)))
    }

    fn commit(&mut self, group: &mut [Box<dyn Job>]) -> rusqlite::Result<u64> {
        let mut changes = Vec::new();
        let before = self.conn.total_changes();
        let result = self.transact(group, &mut changes);
        match &result {
            // Where nothing was to be written, nothing is learnt about writing.
            Ok(_) if self.conn.total_changes() == before => {}
            Ok(_) => {
                self.failing.store(false, Ordering::Release);
                self.complaints.written();
            }
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
        self.strip = Strip { room: self.strip_rows.load(Ordering::Relaxed), more: false };
        let strip = &mut self.strip;
        for job in group {
            job.run(&mut Tx { conn: &tx, names: &mut self.names, changes, strip, now })?;
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

/// Answers a job. One that panics over its answer leaves it to whoever waits to see that it is gone.
fn answer(job: Box<dyn Job>, result: Result<u64, StoreError>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.done(result))) {
        tracing::error!(panic = words(&*panic), "answering a job panicked");
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema::open_writer;
    use rhiz_domain::{Did, EntityId, clock::ManualClock};
    use std::sync::mpsc::{Receiver, channel};

    /// Names somebody and tells so; then does what it was made for.
    struct Naming {
        who: &'static str,
        end: fn(),
        last: fn(),
        answer: mpsc::Sender<Result<u64, StoreError>>,
    }

    impl Job for Naming {
        fn rows(&self) -> usize {
            1
        }
        fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
            let (name, _) = tx.names.of(tx.conn, &Did::parse(self.who).unwrap())?;
            tx.changes.push(Change::Touched(name.id));
            (self.end)();
            Ok(())
        }
        fn done(self: Box<Self>, result: Result<u64, StoreError>) {
            (self.last)();
            self.answer.send(result).unwrap();
        }
    }

    fn thread(feed: mpsc::Sender<ChangeSet>) -> (tempfile::TempDir, Thread) {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("rhiz.db")).unwrap();
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().unwrap()));
        let (names, last_change, failing, complaints) = Default::default();
        let (strip, strip_rows) = Default::default();
        let (checkpoints, stripping) = (None, Stripping::No);
        #[rustfmt::skip]
        let thread = Thread {
            conn, checkpoints, clock, feed, names, last_change, failing, complaints,
            strip, strip_rows, stripping,
        };
        (dir, thread)
    }

    fn naming(
        who: &'static str,
        end: fn(),
        last: fn(),
    ) -> (Box<dyn Job>, Receiver<Result<u64, StoreError>>) {
        let (answer, answered) = channel();
        (Box::new(Naming { who, end, last, answer }), answered)
    }

    /// The numbers of names are not taken from the transaction that was rolled back, nor are
    /// changes counted or told that were in it.
    #[test]
    fn a_job_that_panics_fails_alone() {
        let (feed, told) = channel();
        let (_dir, mut thread) = thread(feed);
        let well = || naming("did:plc:a", || {}, || {});
        let ((first, a), (last, c)) = (well(), naming("did:plc:c", || {}, || {}));
        let (bad, b) = naming("did:plc:b", || panic!("no such luck"), || {});
        thread.write(vec![first, bad, last]);
        assert_eq!((a.recv().unwrap().unwrap(), c.recv().unwrap().unwrap()), (1, 2));
        match b.recv().unwrap() {
            Err(StoreError::Corrupt(why)) => assert!(why.ends_with("no such luck"), "{why}"),
            other => panic!("{other:?}"),
        }
        let told: Vec<_> = told.try_iter().map(|set| (set.seq, set.changes)).collect();
        let touched = |id| vec![Change::Touched(EntityId(id))];
        assert_eq!(told, [(1, touched(1)), (2, touched(2))]);
        let names: i64 =
            thread.conn.query_row("SELECT count(*) FROM entities", [], |row| row.get(0)).unwrap();
        assert_eq!(names, 2);
    }

    #[test]
    fn an_answer_that_panics_hurts_nobody_else() {
        let (feed, _told) = channel();
        let (_dir, mut thread) = thread(feed);
        let (bad, a) = naming("did:plc:a", || {}, || panic!("nobody home"));
        let (well, b) = naming("did:plc:b", || {}, || {});
        thread.write(vec![bad, well]);
        assert!(a.recv().is_err());
        assert_eq!(b.recv().unwrap().unwrap(), 2);
    }
}
