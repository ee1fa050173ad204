//! The event pipeline: an accepted event is never lost, and its effect happens exactly once.
//!
//! | file | stage |
//! |---|---|
//! | [`accept`] | is there room, is it valid; into the journal |
//! | [`schedule`] | which priority is next |
//! | [`work`] | claim, process, settle, and what follows a commit |
//! | `hand` | the thread that processors run on |
//! | `enrich` | work that waits on the network, under a lease |
//! | `line` | when those ask again who found no room there |
//! | [`maintain`] | wake what waits, forget what is old |
//! | `supervise` | what breaks off is begun again |
//! | `dead` | replay and discard what was given up |
//! | [`metrics`] | what is told about all of it |
//! | [`live`] | each step of each event, as it happens |
//!
//! The journal, the processors and what comes after a commit are passed in ([`Journal`],
//! [`Processor`], [`Downstream`]); this crate knows neither SQL nor sockets.

pub mod accept;
mod dead;
mod enrich;
mod gate;
mod hand;
mod histogram;
mod line;
pub mod live;
pub mod maintain;
pub mod metrics;
pub mod schedule;
mod supervise;
mod tids;
pub mod work;

pub use accept::{Submission, SubmitError};
pub use dead::{ActError, Broken};
pub use gate::Capacity;
pub use live::{Heard, Listener, Notice, Step};
pub use metrics::{Done, Metrics, Snapshot};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rhiz_domain::{
    Clock, Entropy, Event, EventId, Outcome, Pause, Paused,
    retry::RetryPolicy,
    store::{Journal, StoreError},
};
use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use supervise::supervise;
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
    /// What becomes of the event. Waits for nothing: whoever has to wait says so in
    /// [`Processor::enrich`].
    fn process(&self, event: &Event) -> Outcome;
    /// The work that waits on the network, if this event needs any: it is done under a lease, in
    /// no worker's way, and its outcome stands in the place of [`Processor::process`].
    fn enrich(&self, event: &Event) -> Option<Enrichment> {
        let _ = event;
        None
    }
}

/// Work that waits on the network. Dropped when it takes too long.
pub type Enrichment = BoxFuture<'static, Outcome>;

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
    /// How long a processor may take for one event; after that it counts as hung.
    pub processor_limit: Duration,
    /// How long work may wait on the network.
    pub network_limit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        const TEN: NonZeroUsize = NonZeroUsize::new(10).expect("10 is not 0");
        Self {
            capacity: Capacity::default(),
            workers: TEN,
            retry: RetryPolicy::default(),
            remember: Duration::from_secs(7 * 24 * 3600),
            processor_limit: Duration::from_secs(15),
            network_limit: Duration::from_secs(30),
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
    pub(crate) gate: Arc<gate::Gate>,
    pub(crate) scheduler: Mutex<schedule::Scheduler>,
    pub(crate) metrics: Metrics,
    pub(crate) tids: tids::TidClock,
    /// Who waits for which event; `None` once nothing is worked on any more.
    pub(crate) waiting: Mutex<Option<HashMap<EventId, Vec<oneshot::Sender<Ended>>>>>,
    pub(crate) live: live::Live,
    pub(crate) network: enrich::Network,
    /// Processors that have not come back.
    pub(crate) hung: Arc<AtomicUsize>,
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
        let metrics = Metrics::new(settings.workers.get(), depths.all());
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
            live: live::Live::default(),
            network: enrich::Network::default(),
            hung: Arc::default(),
            draining: AtomicBool::new(false),
            stop: watch::Sender::new(false),
        };
        Self { shared: Arc::new(shared), tasks: Arc::default() }
    }

    /// Starts the workers and the maintenance, on the current runtime.
    pub fn start(&self) {
        for _ in 0..self.shared.settings.workers.get() {
            self.keep_going("worker", work::run);
        }
        self.keep_going("wake", maintain::wake);
        self.keep_going("forget", maintain::forget);
    }

    fn keep_going<F>(
        &self,
        name: &'static str,
        task: impl Fn(Arc<Shared>, watch::Receiver<bool>) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.lock().spawn(supervise(Arc::clone(&self.shared), name, task));
    }

    /// Accepts no more; what is in hand goes on.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Release);
        self.shared.live.end();
    }

    /// Hears of every step from now on, until the pipeline drains. `None` once it does.
    #[must_use]
    pub fn listen(&self) -> Option<Listener> {
        // First listen, then look: the end is either heard or seen.
        let listener = self.shared.live.listen();
        (!self.shared.draining.load(Ordering::Acquire)).then_some(listener)
    }

    /// Pauses or resumes; what is in hand goes on. On disk when it answers, so that a restart sets
    /// nothing going. Answers with all that stands still from now on.
    pub async fn pause(&self, order: Pause, by: &str) -> Result<Paused, StoreError> {
        let paused = self.shared.journal.pause(order, by).await?;
        self.shared.gate.look_again();
        Ok(paused)
    }

    /// Accepts no more, finishes what is in hand within `limit`, and leaves the rest in the
    /// journal for the next start. Answers whether everything in hand was finished.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.drain();
        self.shared.stop.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let finished = tokio::time::timeout(limit, async {
            while tasks.join_next().await.is_some() {}
            self.shared.network.over().await;
        });
        // A worker that is cut off loses nothing: what it had not settled is still journaled.
        let in_time = finished.await.is_ok();
        tasks.abort_all();
        self.shared.network.abort();
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
            shared.gate.backpressure(depths),
            shared.hung.load(Ordering::Acquire),
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
