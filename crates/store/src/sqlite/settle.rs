//! Claiming and settling: the effect of an event and its removal, in one transaction.

use super::{
    careful::Alone,
    lanes::{Entry, Lanes},
    merge::merge,
    row::{stages_text, time},
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
    /// Held while its event is in hand alone, with the event's crashes.
    alone: Option<(Alone, u32)>,
}

impl SqliteClaim {
    /// Nothing else is handed out while this claim is held.
    pub(super) fn keep_alone(&mut self, alone: Alone, crashes: u32) {
        self.alone = Some((alone, crashes));
    }

    pub(super) fn new(
        taken: Vec<(Entry, Arc<Event>)>,
        lanes: Arc<Mutex<Lanes>>,
        ready: Arc<Notify>,
        writer: Arc<Writer>,
    ) -> Self {
        let (entries, events) = taken.into_iter().map(|(e, event)| (Some(e), event)).unzip();
        Self { events, entries, lanes, ready, writer, alone: None }
    }
}

#[async_trait]
impl Claimed for SqliteClaim {
    fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    fn crashes(&self) -> u32 {
        // The last one counted is not yet one: this attempt is under way.
        self.alone.as_ref().map_or(0, |(_, crashes)| crashes.saturating_sub(1))
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
        let (lanes, ready) = (Arc::clone(&self.lanes), Arc::clone(&self.ready));
        self.writer.submit(Box::new(Settle { in_hand: InHand { items, lanes, ready }, answer }));
        match answered.await {
            Ok(Ok(seq)) => Ok(seq),
            Ok(Err((error, mut in_hand))) => {
                let mut settlements = Vec::with_capacity(in_hand.items.len());
                for item in in_hand.items.drain(..) {
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

/// What a job is about to settle. Whatever happens to it (an answer that nobody takes, a writer
/// that is gone), what is still in it when it is dropped goes back to its lane.
struct InHand {
    items: Vec<Item>,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
}

impl Drop for InHand {
    fn drop(&mut self) {
        if !self.items.is_empty() {
            let entries = self.items.drain(..).map(|i| i.entry).collect();
            self.lanes.lock().put_back(entries);
            self.ready.notify_one();
        }
    }
}

type Answer = Result<u64, (StoreError, InHand)>;

struct Settle {
    in_hand: InHand,
    answer: oneshot::Sender<Answer>,
}

impl Job for Settle {
    fn rows(&self) -> usize {
        self.in_hand.items.len()
    }

    fn run(&mut self, tx: &mut Tx<'_>) -> rusqlite::Result<()> {
        for item in &self.in_hand.items {
            carry_out(tx, item)?;
        }
        Ok(())
    }

    fn done(self: Box<Self>, result: Result<u64, StoreError>) {
        let Self { mut in_hand, answer } = *self;
        // Whoever asked may be gone: what was done is done, and what was not goes back.
        match result {
            Ok(seq) => {
                let items = std::mem::take(&mut in_hand.items);
                let mut lanes = in_hand.lanes.lock();
                for item in items {
                    match item.settlement.verdict {
                        // As the table has it, so that a restart does not change it.
                        Verdict::Later { due, .. } => {
                            lanes.schedule(item.entry, time(due.as_microsecond()));
                        }
                        Verdict::Apply(_) | Verdict::Bury { .. } => lanes.settled(&item.entry),
                    }
                }
                drop(lanes);
                let _ = answer.send(Ok(seq));
            }
            Err(error) => {
                let _ = answer.send(Err((error, in_hand)));
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
                    // Whoever says so lives: what was handed out alone was no crash.
                    "UPDATE journal SET due = $1, retry_count = retry_count + $2, stages = $3,
                         crashes = 0
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
                         accepted_at, died_at, assigned_rev, origin, place, verified, replayable,
                         stages, last_error, payload)
                     SELECT event_id, event_type, did, priority, $1, accepted_at, $2,
                         assigned_rev, origin, place, verified, 1, $3, $4, payload
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
