//! Claiming and settling: the effect of an event and its removal, in one transaction.

use super::{
    lanes::{Entry, Lanes},
    merge::merge,
    row::stages_text,
    writer::{Job, Tx, Writer},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rhiz_domain::{
    Event,
    store::{Claimed, SettleError, Settlement, StoreError, Verdict},
};
use rusqlite::params;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// Events in the hands of a worker. Dropped, the unsettled ones go back to their lanes.
pub(super) struct SqliteClaim {
    events: Vec<Arc<Event>>,
    /// `None` once settled.
    entries: Vec<Option<Entry>>,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
    writer: Arc<Writer>,
}

impl SqliteClaim {
    pub(super) fn new(
        taken: Vec<(Entry, Arc<Event>)>,
        lanes: Arc<Mutex<Lanes>>,
        ready: Arc<Notify>,
        writer: Arc<Writer>,
    ) -> Self {
        let (entries, events) = taken.into_iter().map(|(e, event)| (Some(e), event)).unzip();
        Self { events, entries, lanes, ready, writer }
    }
}

#[async_trait]
impl Claimed for SqliteClaim {
    fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    async fn settle(&mut self, settlements: Vec<Settlement>) -> Result<u64, SettleError> {
        let mut items = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            if let Some(entry) = self.entries.get_mut(settlement.index).and_then(Option::take) {
                let event = Arc::clone(&self.events[settlement.index]);
                items.push(Item { entry, event, settlement });
            }
        }
        let (answer, answered) = oneshot::channel();
        // The job owns the entries until it is answered: if this future is dropped meanwhile, it
        // is the job that moves them on, never both.
        let lanes = Arc::clone(&self.lanes);
        self.writer.submit(Box::new(Settle { items, lanes, answer }));
        match answered.await {
            Ok(Ok(seq)) => Ok(seq),
            Ok(Err((error, items))) => {
                let mut settlements = Vec::with_capacity(items.len());
                for item in items {
                    self.entries[item.settlement.index] = Some(item.entry);
                    settlements.push(item.settlement);
                }
                Err(SettleError { error, settlements })
            }
            // The writer answers every job; only its panic could leave one unanswered.
            Err(_) => Err(SettleError { error: StoreError::Closed, settlements: Vec::new() }),
        }
    }
}

impl Drop for SqliteClaim {
    fn drop(&mut self) {
        let rest: Vec<Entry> = self.entries.iter_mut().filter_map(Option::take).collect();
        if !rest.is_empty() {
            self.lanes.lock().put_back(rest);
            self.ready.notify_one();
        }
    }
}

struct Item {
    entry: Entry,
    event: Arc<Event>,
    settlement: Settlement,
}

type Answer = Result<u64, (StoreError, Vec<Item>)>;

struct Settle {
    items: Vec<Item>,
    lanes: Arc<Mutex<Lanes>>,
    answer: oneshot::Sender<Answer>,
}

impl Job for Settle {
    fn rows(&self) -> usize {
        self.items.len()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        for item in &self.items {
            carry_out(tx, item)?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Self { items, lanes, answer } = *self;
        match result {
            Ok(seq) => {
                let mut lanes = lanes.lock();
                for item in items {
                    match item.settlement.verdict {
                        Verdict::Later { due, .. } => lanes.schedule(item.entry, due),
                        Verdict::Apply(_) | Verdict::Bury { .. } => lanes.settled(&item.entry),
                    }
                }
                drop(lanes);
                let _ = answer.send(Ok(seq));
            }
            Err(error) => {
                if let Err(Err((_, items))) = answer.send(Err((error, items))) {
                    // The worker is gone: nobody else will put them back.
                    lanes.lock().put_back(items.into_iter().map(|i| i.entry).collect());
                }
            }
        }
    }
}

fn carry_out(tx: &mut Tx<'_>, item: &Item) -> rusqlite::Result<()> {
    let key = params![item.entry.priority as i64, item.entry.seq];
    match &item.settlement.verdict {
        Verdict::Apply(effect) => {
            // The removal decides: what is no longer in the journal was settled before.
            if remove(tx, key)? {
                merge(tx, effect)?;
            }
        }
        Verdict::Later { due, failed } => {
            tx.conn
                .prepare_cached(
                    "UPDATE journal SET due = $1, retry_count = retry_count + $2, stages = $3
                     WHERE priority = $4 AND seq = $5",
                )?
                .execute(params![
                    due.as_microsecond(),
                    i64::from(failed.is_some()),
                    stages_text(&item.settlement.stages),
                    item.entry.priority as i64,
                    item.entry.seq,
                ])?;
        }
        Verdict::Bury { reason } => {
            let moved = tx
                .conn
                .prepare_cached(
                    "INSERT INTO dead_letters (event_id, event_type, did, priority, retry_count,
                         accepted_at, died_at, assigned_rev, origin, place, verified, stages,
                         last_error, payload)
                     SELECT event_id, event_type, did, priority, $1, accepted_at, $2,
                         assigned_rev, origin, place, verified, $3, $4, payload
                     FROM journal WHERE priority = $5 AND seq = $6",
                )?
                .execute(params![
                    item.event.retry_count,
                    tx.now,
                    stages_text(&item.settlement.stages).unwrap_or_else(|| "[]".into()),
                    reason,
                    item.entry.priority as i64,
                    item.entry.seq,
                ])?;
            if moved > 0 {
                remove(tx, key)?;
            }
        }
    }
    Ok(())
}

fn remove(tx: &Tx<'_>, key: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<bool> {
    let gone = tx
        .conn
        .prepare_cached("DELETE FROM journal WHERE priority = $1 AND seq = $2")?
        .execute(key)?;
    Ok(gone > 0)
}
