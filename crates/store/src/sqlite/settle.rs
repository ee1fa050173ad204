//! Claiming and settling: the effect of an event and its removal, in one transaction.

use super::{
    careful::Alone,
    identity, keep,
    lanes::{Entry, Lanes},
    lease::SqliteLease,
    merge::merge,
    names::tid,
    row::{stages_text, time},
    writer::{Job, Tx, Writer},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use rhiz_domain::{
    Clock, Effect, Event, Origin, Tid,
    store::{Claimed, Dropped, Leased, SettleError, Settlement, StoreError, Verdict},
};
use rusqlite::{OptionalExtension, params};
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// Events in the hands of a worker. Dropped, the unsettled ones go back to their lanes.
pub(super) struct SqliteClaim {
    events: Vec<Arc<Event>>,
    /// `None` once settled.
    entries: Vec<Option<Entry>>,
    hands: Hands,
    /// Held while its event is in hand alone.
    alone: Option<Alone>,
    given_up: usize,
}

/// What is needed to settle, or to put back.
#[derive(Clone)]
pub(super) struct Hands {
    pub lanes: Arc<Mutex<Lanes>>,
    pub ready: Arc<Notify>,
    pub writer: Arc<Writer>,
    pub clock: Arc<dyn Clock>,
}

impl Hands {
    /// Settles, as `lease` or in a claim's own right: once it is answered, the events are settled
    /// or given back. Whatever becomes of the caller, they are never both in a lane and settled.
    pub(super) async fn settle(&self, items: Vec<Item>, lease: Option<u64>) -> Answer {
        let (answer, answered) = oneshot::channel();
        // The job owns the entries until it is answered: if this future is dropped meanwhile, it
        // is the job that moves them on, never both.
        let (lanes, ready) = (Arc::clone(&self.lanes), Arc::clone(&self.ready));
        let in_hand = InHand { items, lease, lanes, ready };
        self.writer.submit(Box::new(Settle { in_hand, answer }));
        // The writer answers every job; only its panic could leave one unanswered.
        answered.await.unwrap_or(Err((StoreError::Closed, None)))
    }
}

impl SqliteClaim {
    /// Counts a crash of the one event in it, in case it never comes back; nothing else is handed
    /// out while this claim is held.
    pub(super) async fn keep_alone(&mut self, alone: Alone) -> Result<(), StoreError> {
        let alone = self.alone.insert(alone);
        // Nothing in it: it was damaged, and is given up already.
        if let Some(Some(entry)) = self.entries.first_mut() {
            // As it was before: this attempt is under way.
            entry.crashes = alone.count(&self.hands.writer, entry).await?.saturating_sub(1);
        }
        Ok(())
    }

    /// So many were to be claimed with these, and are dead letters.
    pub(super) fn gave_up(&mut self, events: usize) {
        self.given_up = events;
    }

    pub(super) fn new(taken: Vec<(Entry, Arc<Event>)>, hands: Hands) -> Self {
        let (entries, events) = taken.into_iter().map(|(e, event)| (Some(e), event)).unzip();
        Self { events, entries, hands, alone: None, given_up: 0 }
    }
}

#[async_trait]
impl Claimed for SqliteClaim {
    fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    fn crashes(&self, index: usize) -> u32 {
        let entry = self.entries.get(index).and_then(Option::as_ref);
        entry.map_or(0, |entry| entry.crashes)
    }

    fn given_up(&self) -> usize {
        self.given_up
    }

    fn lease(&mut self, index: usize) -> Option<Box<dyn Leased>> {
        let entry = self.entries.get_mut(index)?.take()?;
        let event = Arc::clone(&self.events[index]);
        let alone = self.alone.take();
        Some(Box::new(SqliteLease::begin(entry, event, self.hands.clone(), alone)))
    }

    async fn settle(&mut self, settlements: Vec<Settlement>) -> Result<u64, SettleError> {
        let mut items = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            if let Some(entry) = self.entries.get_mut(settlement.index).and_then(Option::take) {
                let event = Arc::clone(&self.events[settlement.index]);
                items.push(Item { entry, event, settlement });
            }
        }
        match self.hands.settle(items, None).await {
            Ok(seq) => Ok(seq),
            Err((error, in_hand)) => {
                let mut settlements = Vec::new();
                for item in in_hand.into_iter().flat_map(InHand::give_back) {
                    self.entries[item.settlement.index] = Some(item.entry);
                    settlements.push(item.settlement);
                }
                Err(SettleError { error, settlements })
            }
        }
    }
}

impl Drop for SqliteClaim {
    fn drop(&mut self) {
        let rest: Vec<Entry> = self.entries.iter_mut().filter_map(Option::take).collect();
        if !rest.is_empty() {
            self.hands.lanes.lock().put_back(rest);
            if let Some(alone) = &mut self.alone {
                alone.give_back(&self.hands.writer);
            }
            self.hands.ready.notify_one();
        }
    }
}

/// Entries taken from their lanes whose events are being read. Dropped, they go back: whoever asked
/// for them is gone.
pub(super) struct Taken {
    pub entries: Vec<Entry>,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
}

impl Taken {
    pub(super) fn new(entries: Vec<Entry>, hands: &Hands) -> Self {
        Self { entries, lanes: Arc::clone(&hands.lanes), ready: Arc::clone(&hands.ready) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.entries.is_empty() {
            self.lanes.lock().put_back(std::mem::take(&mut self.entries));
            self.ready.notify_one();
        }
    }
}

/// One event about to be settled.
pub(super) struct Item {
    pub entry: Entry,
    pub event: Arc<Event>,
    pub settlement: Settlement,
}

/// What a job is about to settle. Whatever happens to it (an answer that nobody takes, a writer
/// that is gone), what is still in it when it is dropped goes back to its lane.
pub(super) struct InHand {
    items: Vec<Item>,
    /// The lease that it is settled under.
    lease: Option<u64>,
    lanes: Arc<Mutex<Lanes>>,
    ready: Arc<Notify>,
}

impl InHand {
    /// To whoever asked for the settlement.
    pub(super) fn give_back(mut self) -> Vec<Item> {
        std::mem::take(&mut self.items)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if !self.items.is_empty() {
            let entries = self.items.drain(..).map(|i| i.entry).collect();
            let mut lanes = self.lanes.lock();
            if let Some(token) = self.lease {
                lanes.lease_settled(token);
            }
            lanes.put_back(entries);
            drop(lanes);
            self.ready.notify_one();
        }
    }
}

/// The number of the last change; or why not, and what was to be settled.
pub(super) type Answer = Result<u64, (StoreError, Option<InHand>)>;

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
                if let Some(token) = in_hand.lease {
                    lanes.lease_settled(token);
                }
                for item in items {
                    match item.settlement.verdict {
                        // As the table has it, so that a restart does not change it.
                        Verdict::Later { due, .. } => {
                            let entry = Entry { crashes: 0, ..item.entry };
                            lanes.schedule(entry, time(due.as_microsecond()));
                        }
                        Verdict::Apply(_) | Verdict::Bury { .. } => lanes.done(&item.entry),
                    }
                }
                drop(lanes);
                let _ = answer.send(Ok(seq));
            }
            Err(error) => {
                let _ = answer.send(Err((error, Some(in_hand))));
            }
        }
    }
}

fn carry_out(tx: &mut Tx<'_>, item: &Item) -> rusqlite::Result<()> {
    let seq = item.entry.seq;
    match &item.settlement.verdict {
        Verdict::Apply(effect) => {
            // The removal decides: what is no longer in the journal was settled before.
            if remove(tx, seq)? {
                merge(tx, effect)?;
            }
        }
        Verdict::Later { due, failed } => {
            tx.conn
                .prepare_cached(
                    // Whoever says so lives: what was handed out alone was no crash.
                    "UPDATE journal SET due = $1, retry_count = retry_count + $2, stages = $3,
                         crashes = 0
                     WHERE seq = $4",
                )?
                .execute(params![
                    due.as_microsecond(),
                    i64::from(failed.is_some()),
                    stages_text(&item.settlement.stages),
                    seq,
                ])?;
        }
        Verdict::Bury { reason } => bury(tx, item, reason)?,
    }
    Ok(())
}

/// Makes a dead letter of an event; or only counts it, or lets it go with the account it is of.
fn bury(tx: &Tx<'_>, item: &Item, reason: &str) -> rusqlite::Result<()> {
    let (seq, event) = (item.entry.seq, &item.event);
    let from_source = event.origin != Origin::Api;
    let dropped = if says_what_is_gone(tx, event)? {
        Some(Dropped::Purged)
    } else if from_source && keep::is_full(tx, Some(event.did.as_str()))? {
        Some(Dropped::Counted)
    } else {
        None
    };
    if let Some(why) = dropped {
        if remove(tx, seq)? {
            identity::drop_event(tx, &event.origin, &event.event_id, Some(seq), why)?;
            if why == Dropped::Counted {
                keep::count(tx, Some(event.did.as_str()))?;
            }
        }
        return Ok(());
    }
    let moved = tx
        .conn
        .prepare_cached(
            "INSERT INTO dead_letters (event_id, event_type, did, priority, retry_count,
                 accepted_at, died_at, assigned_rev, origin, place, verified, replayable,
                 stages, last_error, payload)
             SELECT event_id, event_type, did, priority, $1, accepted_at, $2,
                 assigned_rev, origin, place, verified, 1, $3, $4, payload
             FROM journal WHERE seq = $5",
        )?
        .execute(params![
            event.retry_count,
            tx.now,
            stages_text(&item.settlement.stages).unwrap_or_else(|| "[]".into()),
            reason,
            seq,
        ])?;
    if moved > 0 {
        remove(tx, seq)?;
    }
    Ok(())
}

/// Whether it is at or below the floor of a deleted account: applied, it would change nothing, and
/// nothing is kept of the account that was said before its end. Goes by what the event was read as;
/// one that was not is not read here, for reading it may be what kills the server.
fn says_what_is_gone(tx: &Tx<'_>, event: &Event) -> rusqlite::Result<bool> {
    let Some(effect) = event.effect.peek() else { return Ok(false) };
    let (did, said) = match effect {
        Effect::Record(write) => (&write.owner, write.version.rev),
        Effect::Account { did, time, .. } | Effect::Identity { did, time, .. } => {
            (did, Tid::at(*time, u16::MAX))
        }
        Effect::Invalidate { .. } => return Ok(false),
    };
    let floor = tx
        .conn
        .prepare_cached("SELECT floor FROM entities WHERE did = $1")?
        .query_row([did.as_str()], |row| row.get(0))
        .optional()?;
    Ok(floor.is_some_and(|floor| said <= tid(floor)))
}

fn remove(tx: &Tx<'_>, seq: i64) -> rusqlite::Result<bool> {
    let gone = tx.conn.prepare_cached("DELETE FROM journal WHERE seq = $1")?.execute([seq])?;
    Ok(gone > 0)
}
