//! A pipeline on a database of its own, and what tests ask of it.

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use rhiz_domain::{
    Clock, Event, EventId, Outcome,
    clock::{ManualClock, SeededEntropy},
    payload::interpret,
    store::{DeadFilter, DeadLetter, Place, Store, Whereabouts},
};
use rhiz_pipeline::{
    Applied, Capacity, Downstream, Enrichment, Pipeline, Processor, Settings, Submission,
};
use rhiz_store::SqliteStore;
use rhiz_testkit::{
    events::{Draft, at},
    faults::{FaultyStore, Point},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

type Rule = Arc<dyn Fn(&Event) -> Outcome + Send + Sync>;

/// Which events need the network, and what it does for them.
type Network = Arc<Mutex<Option<Box<dyn Fn(&Event) -> Option<Enrichment> + Send + Sync>>>>;

/// Takes every event; does with it what its rule says, and tells that it was asked.
pub(crate) struct Scripted {
    rule: Rule,
    network: Network,
    asked: mpsc::UnboundedSender<EventId>,
}

impl Processor for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }
    fn can_process(&self, event: &Event) -> bool {
        if event.event_id.as_str().starts_with("unaskable") {
            panic_quietly("do not ask");
        }
        !event.event_id.as_str().starts_with("nobody")
    }
    fn process(&self, event: &Event) -> Outcome {
        // The test may have seen enough.
        let _ = self.asked.send(event.event_id.clone());
        (self.rule)(event)
    }
    fn enrich(&self, event: &Event) -> Option<Enrichment> {
        let work = self.network.lock().as_ref().and_then(|network| network(event))?;
        let _ = self.asked.send(event.event_id.clone());
        Some(work)
    }
}

/// Reaches at once, or when it is let.
pub(crate) struct Gate(pub(crate) watch::Sender<bool>);

#[async_trait]
impl Downstream for Gate {
    async fn reached(&self, _change: u64) -> Applied {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
        Applied::default()
    }
}

pub(crate) struct Rig {
    dir: Arc<TempDir>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) pipeline: Pipeline,
    pub(crate) downstream: Arc<Gate>,
    asked: Mutex<mpsc::UnboundedReceiver<EventId>>,
    rule: Rule,
    network: Network,
    settings: Settings,
}

/// The patience of who has no limit.
pub(crate) const FOR_EVER: Duration = Duration::MAX;

/// Panics, without the report that would fill the log: it is expected.
pub(crate) fn panic_quietly(words: &str) -> ! {
    std::panic::resume_unwind(Box::new(words.to_owned()))
}

/// What the real processors do.
pub(crate) fn apply(event: &Event) -> Outcome {
    interpret(event).into()
}

pub(crate) fn settings(events: usize) -> Settings {
    let capacity = Capacity { events, ..Capacity::default() };
    Settings { capacity, ..Settings::default() }
}

impl Rig {
    pub(crate) fn new(rule: impl Fn(&Event) -> Outcome + Send + Sync + 'static) -> Self {
        Self::with(rule, Settings::default())
    }

    /// Not started.
    pub(crate) fn with(
        rule: impl Fn(&Event) -> Outcome + Send + Sync + 'static,
        settings: Settings,
    ) -> Self {
        let dir = Arc::new(tempfile::tempdir().unwrap());
        Self::open(dir, Arc::new(ManualClock::at(at(1_000_000))), Arc::new(rule), settings)
    }

    fn open(dir: Arc<TempDir>, clock: Arc<ManualClock>, rule: Rule, settings: Settings) -> Self {
        let sqlite = SqliteStore::open(&dir.path().join("rhiz.db"), clock.clone()).unwrap();
        let store = Arc::new(FaultyStore::new(Arc::new(sqlite)));
        let (tell, asked) = mpsc::unbounded_channel();
        let network = Network::default();
        let processor = Scripted { rule: rule.clone(), network: network.clone(), asked: tell };
        let downstream = Arc::new(Gate(watch::Sender::new(true)));
        let pipeline = Pipeline::new(
            store.clone(),
            vec![Box::new(processor)],
            downstream.clone(),
            clock.clone(),
            Arc::new(SeededEntropy::new(7)),
            settings.clone(),
        );
        let asked = Mutex::new(asked);
        Self { dir, clock, store, pipeline, downstream, asked, rule, network, settings }
    }

    /// Opens the same database again, with a pipeline that is not started.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await;
        Self::open(self.dir, self.clock, self.rule, self.settings)
    }

    pub(crate) fn started(self) -> Self {
        self.pipeline.start();
        self
    }

    /// From now on these events need the network.
    pub(crate) fn enrich(
        &self,
        network: impl Fn(&Event) -> Option<Enrichment> + Send + Sync + 'static,
    ) {
        *self.network.lock() = Some(Box::new(network));
    }

    pub(crate) fn leased(&self) -> usize {
        self.store_depths().leased
    }

    /// Accepts, or panics.
    pub(crate) async fn submit(&self, drafts: impl IntoIterator<Item = Draft>) {
        let submissions = drafts.into_iter().map(|d| submission(&d)).collect();
        self.pipeline.submit(submissions).await.unwrap();
    }

    /// The next event that the processor is asked about.
    pub(crate) async fn asked(&self) -> String {
        let next = std::future::poll_fn(|cx| self.asked.lock().poll_recv(cx));
        next.await.unwrap().to_string()
    }

    /// Whom it was asked about and nobody looked at yet.
    pub(crate) fn asked_so_far(&self) -> Vec<String> {
        let mut asked = self.asked.lock();
        std::iter::from_fn(|| asked.try_recv().ok()).map(|id| id.to_string()).collect()
    }

    /// Waits until it is so. Virtual time passes meanwhile, the clock stands still.
    pub(crate) async fn until(&self, so: impl Fn(&Self) -> bool) {
        for _ in 0..2_000_000 {
            if so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never was so; depths: {:?}", self.store_depths());
    }

    fn store_depths(&self) -> rhiz_domain::store::Depths {
        rhiz_domain::store::Journal::depths(&*self.store)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.store_depths().waiting()
    }

    pub(crate) fn scheduled(&self) -> usize {
        self.store_depths().scheduled
    }

    /// Waits until nothing is left of what can be done now.
    pub(crate) async fn idle(&self) {
        self.until(|b| {
            let d = b.store_depths();
            d.claimable == [0; 4]
                && d.in_hand == 0
                && b.pipeline.snapshot().worker_utilization == 0.0
        })
        .await;
    }

    /// Counts from now on what is on its way into the journal: a database takes real time, so that
    /// what has not arrived need not have been held back.
    pub(crate) fn count_appends(&self) -> Arc<AtomicUsize> {
        let count = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&count);
        self.store.fail(move |point| {
            // The maintenance asks whether it can write, with nothing.
            if let Point::Append(intake) = point
                && !intake.events.is_empty()
            {
                counts.fetch_add(1, Ordering::SeqCst);
            }
            None
        });
        count
    }

    /// Lets the maintenance run a few times.
    pub(crate) async fn ticks(&self) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }

    /// When an event is tried again.
    pub(crate) async fn due(&self, id: &str) -> Timestamp {
        match self.find(id).await {
            Some(Whereabouts::Waiting { place: Place::Scheduled(due), .. }) => due,
            other => panic!("{id} is not scheduled: {other:?}"),
        }
    }

    pub(crate) async fn find(&self, id: &str) -> Option<Whereabouts> {
        self.pipeline.journal().find(&EventId::parse(id).unwrap()).await.unwrap()
    }

    /// Moves the clock to that instant.
    pub(crate) fn move_to(&self, time: Timestamp) {
        let by = time.duration_since(self.clock.now());
        self.clock.advance(by.unsigned_abs());
    }

    pub(crate) async fn dead(&self) -> Vec<DeadLetter> {
        let filter = DeadFilter { limit: 10_000, ..DeadFilter::default() };
        self.pipeline.journal().dead_letters(filter).await.unwrap().letters
    }

    /// How often effects of `invalidated(..)` of one DID were merged: each gives one change, and
    /// the first one another, of the entity.
    pub(crate) async fn merged(&self) -> u64 {
        use rhiz_domain::store::Index;
        let facts = self.store.facts(Arc::new(|_, _| {})).await.unwrap();
        facts.seq - facts.entities.len() as u64
    }
}

pub(crate) fn submission(draft: &Draft) -> Submission {
    let event = draft.build();
    Submission {
        event_type: event.event_type,
        did: event.did,
        payload: event.payload,
        priority: Some(event.priority),
        event_id: Some(event.event_id),
    }
}
