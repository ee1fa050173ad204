//! The event pipeline: an accepted event is never lost, and its effect happens exactly once.
//!
//! | file | stage |
//! |---|---|
//! | [`accept`] | is there room, is it valid; into the journal |
//! | [`schedule`] | which priority is next |
//! | [`work`] | claim, process, settle, and what follows a commit |
//! | [`maintain`] | wake what waits, forget what is old |
//! | `dead` | replay and discard what was given up |
//! | [`metrics`] | what is told about all of it |
//!
//! The journal, the processors and what comes after a commit are passed in ([`Journal`],
//! [`Processor`], [`Downstream`]); this crate knows neither SQL nor sockets.

pub mod accept;
mod dead;
mod gate;
mod histogram;
pub mod maintain;
pub mod metrics;
pub mod schedule;
mod tids;
pub mod work;

pub use accept::{Submission, SubmitError};
pub use gate::Capacity;
pub use metrics::{Done, Metrics, Snapshot};

use async_trait::async_trait;
use parking_lot::Mutex;
use rhiz_domain::{Clock, Entropy, Event, EventId, Outcome, retry::RetryPolicy, store::Journal};
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

/// Turns events of some kinds into effects. Safe to run twice on the same event.
pub trait Processor: Send + Sync + 'static {
    /// Names it, for messages.
    fn name(&self) -> &'static str;
    /// Whether it is the one for this event.
    fn can_process(&self, event: &Event) -> bool;
    /// What becomes of the event.
    fn process(&self, event: &Event) -> Outcome;
}

/// What has to follow a commit before its events are in every answer.
#[async_trait]
pub trait Downstream: Send + Sync + 'static {
    /// Waits until everything up to this change is in every answer. Answers with the milliseconds
    /// that the graph and the cache took of it.
    async fn reached(&self, change: u64) -> Applied;
}

/// How long what follows a commit took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Applied {
    /// Until the graph had it.
    pub graph: Duration,
    /// Until no cache answers from before it.
    pub cache: Duration,
}

/// The pipeline's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What may wait.
    pub capacity: Capacity,
    /// Workers.
    pub workers: NonZeroUsize,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How long the identity of an accepted event is remembered.
    pub remember: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");
        Self {
            capacity: Capacity::default(),
            workers: TEN,
            retry: RetryPolicy::default(),
            remember: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// How an event ended, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It is in every answer.
    Applied,
    /// It is among the dead letters.
    Dead {
        /// Why.
        reason: String,
    },
}

/// What all stages share.
pub(crate) struct Shared {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) processors: Vec<Box<dyn Processor>>,
    pub(crate) downstream: Arc<dyn Downstream>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    pub(crate) gate: gate::Gate,
    pub(crate) scheduler: Mutex<schedule::Scheduler>,
    pub(crate) metrics: Metrics,
    pub(crate) tids: tids::TidClock,
    /// Who waits for which event; `None` once nothing is worked on any more.
    pub(crate) waiting: Mutex<Option<HashMap<EventId, Vec<oneshot::Sender<Ended>>>>>,
    pub(crate) draining: AtomicBool,
    pub(crate) stop: watch::Sender<bool>,
}

/// The pipeline. Cheap to clone.
#[derive(Clone)]
pub struct Pipeline {
    shared: Arc<Shared>,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Pipeline {
    /// Makes a pipeline over what the journal holds; [`Pipeline::start`] sets it going.
    #[must_use]
    pub fn new(
        journal: Arc<dyn Journal>,
        processors: Vec<Box<dyn Processor>>,
        downstream: Arc<dyn Downstream>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: Settings,
    ) -> Self {
        let depths = journal.depths();
        let metrics = Metrics::new(settings.workers.get(), depths.waiting() + depths.scheduled);
        let tids = tids::TidClock::new(Arc::clone(&clock), &*entropy);
        let shared = Shared {
            journal,
            processors,
            downstream,
            clock,
            entropy,
            gate: gate::Gate::new(settings.capacity),
            settings,
            scheduler: Mutex::default(),
            metrics,
            tids,
            waiting: Mutex::new(Some(HashMap::new())),
            draining: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared), tasks: Arc::default() }
    }

    /// Starts the workers and the maintenance, on the current runtime.
    pub fn start(&self) {
        let mut tasks = self.tasks.lock();
        for _ in 0..self.shared.settings.workers.get() {
            tasks.spawn(work::run(Arc::clone(&self.shared), self.shared.stop.subscribe()));
        }
        tasks.spawn(maintain::run(Arc::clone(&self.shared), self.shared.stop.subscribe()));
    }

    /// Accepts no more; what is in hand goes on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
    }

    /// Accepts no more, finishes what is in hand within `limit`, and leaves the rest in the
    /// journal for the next start. Answers whether everything in hand was finished.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.drain();
        self.shared.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let finished =
            tokio::time::timeout(limit, async { while tasks.join_next().await.is_some() {} });
        // A worker that is cut off loses nothing: what it had not settled is still journaled.
        let in_time = finished.await.is_ok();
        tasks.abort_all();
        // Whoever waits for an event that stays in the journal has waited long enough.
        self.shared.waiting.lock().take();
        in_time
    }

    /// What is told about the pipeline.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let shared = &self.shared;
        let depths = shared.journal.depths();
        shared.metrics.snapshot(
            shared.clock.elapsed(),
            shared.clock.now(),
            depths,
            shared.gate.closed(),
        )
    }

    /// The stages of an event that was done not long ago.
    #[must_use]
    pub fn recently_done(&self, id: &EventId) -> Option<Done> {
        self.shared.metrics.recently_done(id)
    }

    /// The journal behind it.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.shared.journal
    }
}
