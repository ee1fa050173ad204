//! SQLite: one file, one writing thread, many readers.
//!
//! | file | stage |
//! |---|---|
//! | `schema` | the tables, and how older ones become today's |
//! | `append` | events, dead letters and cursor into the journal |
//! | `identity` | what is remembered of accepted events; `prune` forgets it |
//! | `keep` | how much is kept of one DID |
//! | `lanes` | what waits, by priority |
//! | `resume` | what an earlier run left there |
//! | `careful` | one event at a time, after an unclean stop |
//! | `row` | an event as a row, and back |
//! | `names` | the numbers of DIDs |
//! | `damage` | what is in the journal and cannot be read |
//! | `settle` | the effect and the removal, together |
//! | `lease` | one event in the hands of work that waits on the network |
//! | `pause` | what stands still |
//! | `audit` | what operators did |
//! | `merge` | what an effect does to the rows |
//! | `strip` | what a deleted account leaves, taken away in steps |
//! | `writer` | the thread and its group commits |
//! | `rebuild` | what follows from the records, made anew |
//! | `complaints` | what it says when it cannot write |
//! | `checkpoint` | the WAL, back into the database |
//! | `prune` | forgets events that were done long ago |
//! | `check` | whether every page of the file holds together |
//! | `readers` | connections that only read |
//! | `index`, `facts`, `dead` | answers |

mod append;
mod audit;
mod careful;
mod check;
mod checkpoint;
mod complaints;
mod damage;
mod dead;
mod facts;
mod identity;
mod index;
mod keep;
mod lanes;
mod lease;
mod merge;
mod names;
mod pause;
mod prune;
mod readers;
mod rebuild;
mod resume;
mod row;
mod schema;
mod settle;
mod strip;
mod writer;

use crate::error::from_sqlite;
use async_trait::async_trait;
use careful::Alone;
use damage::Found;
use jiff::Timestamp;
use lanes::{Entry, Lanes};
use parking_lot::Mutex;
use readers::Readers;
use rhiz_domain::{
    Clock, Collection, EntityId, EventId, Pause, Paused, Tid,
    store::{
        Act, AppendError, AuditPage, ChangeReceiver, Claimed, Counts, DeadFilter, DeadPage,
        DeadSelection, Depths, EntityRow, Facts, Index, Intake, Journal, Moved, Progress, Quota,
        Rebuild, Rebuilt, Receipt, RecordRow, Store, StoreError, Unusable, Whereabouts,
    },
};
use row::{NamedBy, corrupt, id_key, time};
use rusqlite::{Connection, OptionalExtension};
use std::{
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};
use writer::{Probe, Writer};

/// Rows of the journal, and bytes of them, that are read where they are asked for.
const FEW: usize = 8;
const SMALL: usize = 64 * 1024;

/// A store in one SQLite database. Nobody else may write to the file while it is open.
pub struct SqliteStore {
    writer: Arc<Writer>,
    readers: Readers,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
    clock: Arc<dyn Clock>,
    changes: Mutex<Option<ChangeReceiver>>,
    turn: careful::Turn,
}

impl SqliteStore {
    /// Opens or makes the database at `path`, brings its schema up to date, and finds in its
    /// journal what an earlier run accepted and did not apply.
    ///
    /// Errors: the file cannot be written, is no database, or was written by a newer version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let conn = schema::open_writer(path)?;
        let lanes = resume::waiting(&conn).map_err(|e| from_sqlite(&e))?;
        let (feed, changes) = mpsc::channel();
        let writer = Writer::start(conn, Arc::clone(&clock), feed)?;
        Ok(Self {
            clock,
            writer: Arc::new(writer),
            readers: Readers::new(path.to_owned()),
            lanes: Arc::new(Mutex::new(lanes)),
            ready: Arc::default(),
            changes: Mutex::new(Some(changes)),
            turn: careful::Turn::default(),
        })
    }

    /// Takes away what a deleted account leaves in steps of so many rows (1,000 unless it is said).
    #[must_use]
    pub fn strip_in_steps_of(self, rows: usize) -> Self {
        self.writer.strip_rows(rows);
        self
    }

    /// Keeps so many connections for reading open (8 unless it is said).
    #[must_use]
    pub fn keep_readers(mut self, connections: usize) -> Self {
        self.readers.keep(connections);
        self
    }
}

/// How long the look waits for something to be written: less than who looks waits for it (half a
/// second), so that they learn what it is that takes so long.
const WRITE_PATIENCE: Duration = Duration::from_millis(400);

impl SqliteStore {
    /// Whether something can be written.
    async fn writes(&self) -> Result<(), StoreError> {
        if self.writer.is_failing() {
            // It is healthy again when something can be written, not when nothing has to be.
            let (answer, answered) = oneshot::channel();
            self.writer.submit(Box::new(Probe(answer)));
            answered.await.unwrap_or(Err(StoreError::Closed))?;
        }
        // An empty commit goes through the writer and back.
        let empty = self.append(Intake::default()).await.map_err(|e| match e {
            AppendError::Store(e) => e,
            AppendError::Conflict { .. } => corrupt("ping", e),
        });
        empty.map(|_| ())
    }

    fn hands(&self) -> settle::Hands {
        settle::Hands {
            lanes: Arc::clone(&self.lanes),
            ready: Arc::clone(&self.ready),
            writer: Arc::clone(&self.writer),
            clock: Arc::clone(&self.clock),
        }
    }

    /// What is at these entries: from memory, or else from the journal; many rows, or large ones,
    /// away from the thread that asks.
    async fn read(&self, entries: &[Entry]) -> Result<Vec<Found>, StoreError> {
        let missing = entries.iter().filter(|entry| entry.event.is_none());
        let seqs: Vec<i64> = missing.clone().map(|entry| entry.seq).collect();
        let bytes: usize = missing.map(|entry| entry.bytes).sum();
        let few = seqs.len() <= FEW && bytes <= SMALL;
        let read = move |conn: &Connection| seqs.iter().map(|s| damage::read(conn, *s)).collect();
        let rows: Vec<Found> =
            if few { self.readers.point(read)? } else { self.readers.scan(read).await? };
        let mut rows = rows.into_iter();
        let kept = |entry: &Entry| entry.event.as_ref().map(|e| Found::Event(Arc::clone(e)));
        // There is a row for each that is not kept.
        Ok(entries.iter().map(|e| kept(e).or_else(|| rows.next()).unwrap_or(Found::Gone)).collect())
    }

    async fn act(
        &self,
        action: dead::Action,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.submit(Box::new(dead::Step {
            action,
            which: which.clone(),
            most,
            act: act.clone(),
            lanes: Arc::clone(&self.lanes),
            ready: Arc::clone(&self.ready),
            answer,
            done: dead::Done::default(),
        }));
        let (moved, row) = answered.await.unwrap_or(Err(StoreError::Closed))?;
        act.row = row;
        Ok(moved)
    }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn append(&self, intake: Intake) -> Result<Vec<Receipt>, AppendError> {
        let (answer, answered) = oneshot::channel();
        let (lanes, ready) = (Arc::clone(&self.lanes), Arc::clone(&self.ready));
        self.writer.submit(Box::new(append::Append::new(intake, lanes, ready, answer)));
        answered.await.unwrap_or(Err(AppendError::Store(StoreError::Closed)))
    }

    async fn claim(&self, quota: Quota) -> Result<Option<Box<dyn Claimed>>, StoreError> {
        let turn = self.turn.take().await;
        let (alone, entries, more) = {
            let mut lanes = self.lanes.lock();
            let suspect = lanes.take_suspect(quota);
            let alone = suspect.is_some().then(|| Alone::new(turn));
            let entries = suspect.map_or_else(|| lanes.take(quota), |entry| vec![entry]);
            (alone, entries, lanes.any_ready())
        };
        if more {
            // One worker wakes the next: nobody is woken for nothing.
            self.ready.notify_one();
        }
        if entries.is_empty() {
            return Ok(None);
        }
        // Should the caller be gone before they are read, they go back.
        let mut held = settle::Taken::new(entries, &self.hands());
        let read = self.read(&held.entries).await;
        let entries = std::mem::take(&mut held.entries);
        let found = match read {
            Ok(found) => found,
            Err(error) => {
                self.lanes.lock().put_back(entries);
                return Err(error);
            }
        };
        let (mut taken, mut damaged) = (Vec::with_capacity(entries.len()), Vec::new());
        for (entry, found) in entries.into_iter().zip(found) {
            match found {
                Found::Event(event) => taken.push((entry, event)),
                Found::Damaged(reason) => damaged.push((entry, reason)),
                Found::Gone => {
                    tracing::error!(seq = entry.seq, "an event is gone from the journal");
                    damaged.push((entry, "it is gone from the journal".into()));
                }
            }
        }
        // Dropped, on an error or by whoever waits for it, it puts back what is sound.
        let mut claim = settle::SqliteClaim::new(taken, self.hands());
        if !damaged.is_empty() {
            let given_up = damaged.len();
            match damage::bury(&self.hands(), damaged).await {
                Ok(()) => claim.gave_up(given_up),
                Err(error) if claim.events().is_empty() => return Err(error),
                // They are in their lanes again; the sound ones need not wait for them.
                Err(error) => tracing::warn!(%error, "cannot give up what cannot be read"),
            }
        }
        if let Some(alone) = alone {
            claim.keep_alone(alone).await?;
        }
        Ok(Some(Box::new(claim)))
    }

    async fn wake(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let ran_out = lease::run_out(&self.hands()).await;
        let (woken, next) = self.lanes.lock().wake(now);
        if woken > 0 || ran_out {
            self.ready.notify_one();
        }
        Ok(next)
    }

    async fn ready(&self) {
        loop {
            let notified = self.ready.notified();
            tokio::pin!(notified);
            // Listen before looking, or a notice between the two would be missed.
            notified.as_mut().enable();
            if self.lanes.lock().any_ready() {
                return;
            }
            notified.await;
        }
    }

    fn depths(&self) -> Depths {
        self.lanes.lock().depths()
    }

    async fn pause(&self, pause: Pause, by: &str) -> Result<Paused, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.submit(Box::new(pause::Order {
            pause,
            by: by.to_owned(),
            lanes: Arc::clone(&self.lanes),
            ready: Arc::clone(&self.ready),
            answer,
            after: Paused::default(),
        }));
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    fn paused(&self) -> Paused {
        self.lanes.lock().paused()
    }

    async fn cursor(&self, source: &str) -> Result<Option<u64>, StoreError> {
        self.readers.point(|conn| {
            conn.prepare_cached("SELECT position FROM cursors WHERE source = $1")?
                .query_row([source], |row| row.get(0))
                .optional()
        })
    }

    async fn find(&self, id: &EventId) -> Result<Option<Whereabouts>, StoreError> {
        // Before the database is read: what is done meanwhile is then found to be so.
        let named = self.lanes.lock().named(id);
        let found = self.readers.point(|conn| {
            // One view of all three, or an event on its way between them would be in none.
            let tx = conn.unchecked_transaction()?;
            let mut seqs = named;
            let mut accepted = None;
            for by in [NamedBy::Source, NamedBy::Caller] {
                let known = tx
                    .prepare_cached(
                        "SELECT accepted_at, seq, dropped FROM accepted WHERE event_id = $1",
                    )?
                    .query_row([id_key(by, id)], |row| {
                        Ok((time(row.get(0)?), row.get(1)?, identity::dropped(row.get(2)?)))
                    })
                    .optional()?;
                if let Some((at, seq, dropped)) = known {
                    accepted = Some((at, dropped));
                    seqs.extend::<Option<i64>>(seq);
                }
            }
            let mut waiting = None;
            for seq in seqs {
                match damage::read(&tx, seq)? {
                    Found::Event(event) if event.event_id == *id => waiting = Some((event, seq)),
                    _ => {}
                }
            }
            Ok((waiting, dead::find(&tx, id)?, accepted))
        })?;
        Ok(match found {
            (Some((event, seq)), ..) => {
                let place = self.lanes.lock().place(seq);
                Some(Whereabouts::Waiting { event, place })
            }
            (None, Some(letter), _) => Some(Whereabouts::Dead(Box::new(letter))),
            (None, None, Some((accepted_at, None))) => Some(Whereabouts::Done { accepted_at }),
            (None, None, Some((accepted_at, Some(why)))) => {
                Some(Whereabouts::Dropped { accepted_at, why })
            }
            (None, None, None) => None,
        })
    }

    async fn dead_letters(&self, filter: DeadFilter) -> Result<DeadPage, StoreError> {
        self.readers.scan(move |conn| dead::page(conn, &filter)).await
    }

    async fn dead_numbers(&self, filter: DeadFilter, after: i64) -> Result<Vec<i64>, StoreError> {
        self.readers.scan(move |conn| dead::numbers(conn, &filter, after)).await
    }

    async fn replay(
        &self,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError> {
        self.act(dead::Action::Replay, which, most, act).await
    }

    async fn discard(
        &self,
        which: &DeadSelection,
        most: usize,
        act: &mut Act,
    ) -> Result<Moved, StoreError> {
        self.act(dead::Action::Discard, which, most, act).await
    }

    async fn audit(&self, before: Option<i64>, limit: usize) -> Result<AuditPage, StoreError> {
        self.readers.scan(move |conn| audit::page(conn, before, limit)).await
    }

    async fn prune(&self, accepted_before: Timestamp) -> Result<u64, StoreError> {
        let before = accepted_before.as_microsecond();
        let mut from = Some(prune::From::start());
        let mut gone = 0;
        while let Some(start) = from {
            let found = self.readers.scan(move |conn| prune::look(conn, &start, before)).await?;
            from = found.next;
            // At the end in any case: a store that is closed says so.
            if found.old.is_empty() && from.is_some() {
                continue;
            }
            let (answer, answered) = oneshot::channel();
            self.writer.submit(Box::new(prune::Forget::new(before, found.old, answer)));
            gone += answered.await.unwrap_or(Err(StoreError::Closed))?;
        }
        Ok(gone)
    }
}

#[async_trait]
impl Index for SqliteStore {
    async fn facts(&self, progress: Progress) -> Result<Facts, StoreError> {
        self.readers.scan(move |conn| facts::read(conn, &*progress)).await
    }

    async fn entity(&self, did: &str) -> Result<Option<EntityRow>, StoreError> {
        self.readers.point(|conn| index::entity(conn, did))
    }

    async fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityRow>, StoreError> {
        self.readers.point(|conn| index::entities(conn, ids))
    }

    async fn entity_by_handle(&self, handle: &str) -> Result<Option<EntityRow>, StoreError> {
        self.readers.point(|conn| index::entity_by_handle(conn, handle))
    }

    async fn search(
        &self,
        query: Option<&str>,
        after: Option<EntityId>,
        limit: usize,
    ) -> Result<Vec<EntityId>, StoreError> {
        let query = query.map(str::to_owned);
        self.readers.scan(move |conn| index::search(conn, query.as_deref(), after, limit)).await
    }

    async fn record(
        &self,
        owner: EntityId,
        collection: Collection,
        rkey: Tid,
    ) -> Result<Option<RecordRow>, StoreError> {
        self.readers.point(|conn| index::record(conn, owner, collection, rkey))
    }

    async fn dump(&self) -> Result<Vec<String>, StoreError> {
        self.readers.scan(index::dump).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.readers.scan(index::counts).await
    }

    async fn rebuild(&self, how: Rebuild, progress: Progress) -> Result<Rebuilt, StoreError> {
        let counts = self.counts().await?;
        rebuild::run(&self.writer, how, counts.records + counts.entities, progress).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn changes(&self) -> Option<ChangeReceiver> {
        self.changes.lock().take()
    }

    fn last_change(&self) -> u64 {
        self.writer.last_change()
    }

    async fn ping(&self) -> Result<(), Unusable> {
        // A row, not a number: the file is opened and read for it.
        self.readers
            .point(|conn| conn.query_row("SELECT count(*) FROM meta", [], |_| Ok(())))
            .map_err(Unusable::Unreadable)?;
        let written = tokio::time::timeout(WRITE_PATIENCE, self.writes()).await;
        let written = written.unwrap_or_else(|_| {
            let why = format!(
                "nothing could be written within {WRITE_PATIENCE:?}: the disk is slow, or another \
                 program has locked the database"
            );
            Err(StoreError::Unavailable(why))
        });
        written.map_err(Unusable::Unwritable)
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.readers.scan(check::pages).await
    }

    async fn close(&self) {
        if self.lanes.lock().no_suspects() {
            let (answer, answered) = oneshot::channel();
            self.writer.submit(Box::new(careful::End { answer }));
            let _ = answered.await;
        }
        let writer = Arc::clone(&self.writer);
        // Joining a thread blocks.
        let _ = tokio::task::spawn_blocking(move || writer.close()).await;
        self.readers.close();
    }
}
