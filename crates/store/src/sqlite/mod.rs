//! SQLite: one file, one writing thread, many readers.
//!
//! | file | stage |
//! |---|---|
//! | `append` | events, dead letters and cursor into the journal |
//! | `lanes` | what waits, by priority |
//! | `settle` | the effect and the removal, together |
//! | `lease` | one event in the hands of work that waits on the network |
//! | `pause` | what stands still |
//! | `merge` | what an effect does to the rows |
//! | `writer` | the thread and its group commits |
//! | `index`, `facts`, `dead` | answers |

mod append;
mod careful;
mod dead;
mod facts;
mod index;
mod lanes;
mod lease;
mod merge;
mod names;
mod pause;
mod prune;
mod readers;
mod row;
mod schema;
mod settle;
mod writer;

use crate::error::from_sqlite;
use async_trait::async_trait;
use jiff::Timestamp;
use lanes::{Entry, Lanes};
use parking_lot::Mutex;
use readers::Readers;
use rhiz_domain::{
    Clock, Collection, EntityId, Event, EventId, EventType, Pause, Paused, Priority, Tid,
    store::{
        AppendError, AuditRow, ChangeReceiver, Claimed, Counts, DeadFilter, DeadPage,
        DeadSelection, Depths, EntityRow, Facts, Index, Intake, Journal, Moved, Progress, Quota,
        Receipt, RecordRow, Store, StoreError, Whereabouts,
    },
};
use row::{EVENT, corrupt, event, id_key, time};
use rusqlite::{Connection, OptionalExtension, params};
use std::{
    path::Path,
    sync::{Arc, mpsc},
};
use tokio::sync::{Notify, oneshot};
use writer::{Probe, Writer};

/// A store in one SQLite database. Nobody else may write to the file while it is open.
pub struct SqliteStore {
    writer: Arc<Writer>,
    readers: Readers,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
    clock: Arc<dyn Clock>,
    changes: Mutex<Option<ChangeReceiver>>,
    careful: careful::Careful,
}

impl SqliteStore {
    /// Opens or makes the database at `path`, brings its schema up to date, and finds in its
    /// journal what an earlier run accepted and did not apply.
    ///
    /// Errors: the file cannot be written, is no database, or was written by a newer version.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let conn = schema::open_writer(path)?;
        let lanes = waiting(&conn).map_err(|e| from_sqlite(&e))?;
        let careful = careful::Careful::begin(&conn).map_err(|e| from_sqlite(&e))?;
        let (feed, changes) = mpsc::channel();
        let writer = Writer::start(conn, Arc::clone(&clock), feed)?;
        Ok(Self {
            clock,
            writer: Arc::new(writer),
            readers: Readers::new(path.to_owned()),
            lanes: Arc::new(Mutex::new(lanes)),
            ready: Arc::default(),
            changes: Mutex::new(Some(changes)),
            careful,
        })
    }

    /// Keeps so many connections for reading open (8 unless it is said).
    #[must_use]
    pub fn keep_readers(mut self, connections: usize) -> Self {
        self.readers.keep(connections);
        self
    }
}

impl SqliteStore {
    fn hands(&self) -> settle::Hands {
        settle::Hands {
            lanes: Arc::clone(&self.lanes),
            ready: Arc::clone(&self.ready),
            writer: Arc::clone(&self.writer),
            clock: Arc::clone(&self.clock),
        }
    }

    async fn act(
        &self,
        action: dead::Action,
        which: &DeadSelection,
        most: usize,
        by: &str,
    ) -> Result<Moved, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.writer.submit(Box::new(dead::Act {
            action,
            which: which.clone(),
            most,
            by: by.to_owned(),
            lanes: Arc::clone(&self.lanes),
            ready: Arc::clone(&self.ready),
            answer,
            moved: Moved::default(),
            entries: Vec::new(),
        }));
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// What the journal holds.
fn waiting(conn: &Connection) -> rusqlite::Result<Lanes> {
    let mut lanes = Lanes::default();
    lanes.pause(pause::read(conn)?);
    let mut statement = conn.prepare(
        "SELECT priority, seq, octet_length(payload), accepted_at, due, retry_count, event_type,
             crashes
         FROM journal ORDER BY priority, seq",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let due: Option<i64> = row.get(4)?;
        let entry = Entry {
            priority: Priority::from_number(row.get(0)?).unwrap_or(Priority::Normal),
            seq: row.get(1)?,
            event_type: EventType::parse(&row.get::<_, String>(6)?),
            crashes: row.get(7)?,
            bytes: row.get(2)?,
            accepted_at: time(row.get(3)?),
            counted: row.get::<_, i64>(5)? == 0,
            event: None,
        };
        match due {
            Some(due) => lanes.wait(entry, time(due)),
            None => lanes.push(entry),
        }
    }
    Ok(lanes)
}

fn read_entry(conn: &Connection, entry: &Entry) -> rusqlite::Result<Option<Event>> {
    conn.prepare_cached(&format!("SELECT {EVENT} FROM journal WHERE priority = $1 AND seq = $2"))?
        .query_row(params![entry.priority as i64, entry.seq], event)
        .optional()
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
        let alone = self.careful.alone().await;
        let (entries, more) = {
            let mut lanes = self.lanes.lock();
            let quota = if alone.is_some() { lanes.first(quota) } else { quota };
            (lanes.take(quota), lanes.any_ready())
        };
        if more {
            // One worker wakes the next: nobody is woken for nothing.
            self.ready.notify_one();
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut taken = Vec::with_capacity(entries.len());
        let mut error = None;
        for entry in &entries {
            let event = match &entry.event {
                Some(event) => Some(Arc::clone(event)),
                None => match self.readers.point(|conn| read_entry(conn, entry)) {
                    Ok(event) => event.map(Arc::new),
                    Err(e) => {
                        error = Some(e);
                        break;
                    }
                },
            };
            match event {
                Some(event) => taken.push((entry.clone(), event)),
                // Only what is settled leaves the table, and what is settled leaves the lanes.
                None => error = Some(corrupt("journal", format!("number {} is gone", entry.seq))),
            }
        }
        if let Some(error) = error {
            self.lanes.lock().put_back(entries);
            return Err(error);
        }
        let Some(mut alone) = alone else {
            return Ok(Some(Box::new(settle::SqliteClaim::new(taken, self.hands()))));
        };
        match careful::count(&self.writer, &entries[0]).await {
            Ok(crashes) => taken[0].0.crashes = crashes,
            Err(error) => {
                self.lanes.lock().put_back(entries);
                return Err(error);
            }
        }
        *alone -= 1;
        let mut claim = settle::SqliteClaim::new(taken, self.hands());
        claim.keep_alone(alone);
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
        let id = id.clone();
        let found = self
            .readers
            .scan(move |conn| {
                let waiting = conn
                    .prepare_cached(&format!(
                        "SELECT {EVENT}, seq FROM journal WHERE event_id = $1"
                    ))?
                    .query_row([id.as_str()], |row| Ok((event(row)?, row.get::<_, i64>(12)?)))
                    .optional()?;
                let dead = dead::find(conn, &id)?;
                let accepted: Option<i64> = conn
                    .prepare_cached("SELECT accepted_at FROM accepted WHERE event_id = $1")?
                    .query_row([id_key(&id)], |row| row.get(0))
                    .optional()?;
                Ok((waiting, dead, accepted))
            })
            .await?;
        Ok(match found {
            (Some((event, seq)), ..) => {
                let due = self.lanes.lock().due(seq);
                Some(Whereabouts::Waiting { event: Arc::new(event), due })
            }
            (None, Some(letter), _) => Some(Whereabouts::Dead(Box::new(letter))),
            (None, None, Some(at)) => Some(Whereabouts::Done { accepted_at: time(at) }),
            (None, None, None) => None,
        })
    }

    async fn dead_letters(&self, filter: DeadFilter) -> Result<DeadPage, StoreError> {
        self.readers.scan(move |conn| dead::page(conn, &filter)).await
    }

    async fn replay(
        &self,
        which: &DeadSelection,
        most: usize,
        by: &str,
    ) -> Result<Moved, StoreError> {
        self.act(dead::Action::Replay, which, most, by).await
    }

    async fn discard(
        &self,
        which: &DeadSelection,
        most: usize,
        by: &str,
    ) -> Result<Moved, StoreError> {
        self.act(dead::Action::Discard, which, most, by).await
    }

    async fn audit(&self, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.readers.scan(move |conn| dead::audit(conn, limit)).await
    }

    async fn prune(&self, accepted_before: Timestamp) -> Result<u64, StoreError> {
        let mut from = Vec::new();
        let mut gone = 0;
        loop {
            let (answer, answered) = oneshot::channel();
            let before = accepted_before.as_microsecond();
            self.writer.submit(Box::new(prune::Prune::new(before, from, answer)));
            let (n, next) = answered.await.unwrap_or(Err(StoreError::Closed))?;
            gone += n;
            match next {
                Some(next) => from = next,
                None => return Ok(gone),
            }
        }
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
}

#[async_trait]
impl Store for SqliteStore {
    fn changes(&self) -> Option<ChangeReceiver> {
        self.changes.lock().take()
    }

    fn last_change(&self) -> u64 {
        self.writer.last_change()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        if self.writer.is_failing() {
            // It is healthy again when something can be written, not when nothing has to be.
            let (answer, answered) = oneshot::channel();
            self.writer.submit(Box::new(Probe(answer)));
            answered.await.unwrap_or(Err(StoreError::Closed))?;
        }
        // An empty commit goes through the writer and back: both directions work.
        self.append(Intake::default()).await.map_err(|e| match e {
            AppendError::Store(e) => e,
            AppendError::Conflict { .. } => corrupt("ping", e),
        })?;
        self.readers.point(|conn| conn.query_row("SELECT 1", [], |_| Ok(())))
    }

    async fn close(&self) {
        if self.careful.over().await {
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
