//! Work that waits on the network: under a lease, in no worker's way.
//!
//! Law: at most [`MOST`] events wait on the network at a time; one more gets in [`Line`] and asks
//! again later. The lease is kept by a beat every five seconds, and what is not answered within the
//! limit has failed; so nobody waits for a silent peer for ever, and a holder that was asleep for
//! too long changes nothing any more ([`Leased`]).

use crate::{Enrichment, Shared, hand::words, line::Line, work::Batch};
use async_trait::async_trait;
use rhiz_domain::{
    Event, Outcome,
    store::{Claimed, LEASE_BEAT, Leased, SettleError, Settlement, StoreError},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

/// Events that wait on the network at a time.
const MOST: u32 = 64;

/// How often one looks whether a beat is due, or the limit is over.
const LOOK: Duration = Duration::from_secs(1);

/// What is under way.
pub(crate) struct Network {
    room: Arc<Semaphore>,
    line: parking_lot::Mutex<Line>,
    tasks: Mutex<JoinSet<()>>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new(MOST as usize)),
            line: parking_lot::Mutex::new(Line::new(MOST)),
            tasks: Mutex::default(),
        }
    }
}

impl Network {
    /// Leave for one more, if there is room.
    pub(crate) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// How long one waits that found no room.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        self.line.lock().join(now)
    }

    /// Sets the work of a leased event going.
    pub(crate) async fn begin(
        &self,
        shared: &Arc<Shared>,
        lease: Box<dyn Leased>,
        work: Enrichment,
        room: OwnedSemaphorePermit,
    ) {
        let shared = Arc::clone(shared);
        let mut tasks = self.tasks.lock().await;
        // What is over is forgotten.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            run(&shared, lease, work).await;
            shared.gate.left(shared.journal.depths());
            drop(room);
        });
    }

    /// Waits until all of it is over.
    pub(crate) async fn over(&self) {
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Breaks it off. Dropped leases put their events back.
    pub(crate) fn abort(&self) {
        if let Ok(mut tasks) = self.tasks.try_lock() {
            tasks.abort_all();
        }
    }
}

async fn run(shared: &Arc<Shared>, mut lease: Box<dyn Leased>, work: Enrichment) {
    let started = shared.clock.elapsed();
    let mut tasks = JoinSet::new();
    // A task of its own: a panic in it is an attempt that failed, and no more.
    tasks.spawn(work);
    let limit = shared.settings.network_limit;
    let mut beaten = started;
    let outcome = loop {
        tokio::select! {
            biased;
            ended = tasks.join_next() => break match ended {
                Some(Ok(outcome)) => outcome,
                Some(Err(error)) => {
                    let words = error.try_into_panic().map_or_else(
                        |error| error.to_string(),
                        |panic| words(&*panic).to_owned(),
                    );
                    Outcome::Retry { reason: format!("its enrichment panicked: {words}") }
                }
                None => Outcome::Retry { reason: "its enrichment broke off".into() },
            },
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = shared.clock.elapsed();
        if now.saturating_sub(started) > limit {
            let seconds = limit.as_secs();
            break Outcome::Retry { reason: format!("no answer within {seconds} s") };
        }
        if now.saturating_sub(beaten) >= LEASE_BEAT {
            beaten = now;
            match lease.beat().await {
                Ok(()) => {}
                // It is in other hands: what we do does not count any more.
                Err(StoreError::Fenced) => return,
                Err(error) => tracing::warn!(%error, "cannot keep a lease"),
            }
        }
    };
    let took = shared.clock.elapsed().saturating_sub(started);
    shared.network.line.lock().ended(took);
    let event = Arc::clone(lease.event());
    let batch = Batch::enriched(shared, event, outcome, started, took);
    let mut stop = shared.stop.subscribe();
    batch.settle(Box::new(Alone { events: [Arc::clone(lease.event())], lease }), &mut stop).await;
}

/// A lease, settled like a claim of one.
struct Alone {
    events: [Arc<Event>; 1],
    lease: Box<dyn Leased>,
}

#[async_trait]
impl Claimed for Alone {
    fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    fn crashes(&self, _index: usize) -> u32 {
        0
    }

    fn lease(&mut self, _index: usize) -> Option<Box<dyn Leased>> {
        None
    }

    async fn settle(&mut self, mut settlements: Vec<Settlement>) -> Result<u64, SettleError> {
        let Some(settlement) = settlements.pop() else {
            return Err(SettleError { error: StoreError::Fenced, settlements });
        };
        // A database that is away for long must not cost the lease: we are still here.
        if let Err(error @ StoreError::Fenced) = self.lease.beat().await {
            return Err(SettleError { error, settlements: vec![settlement] });
        }
        self.lease.settle(settlement).await
    }
}
