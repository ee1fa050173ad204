//! What is told about the pipeline. Counts are of events, never of attempts.

pub use crate::histogram::Quantiles;
use crate::{Applied, histogram::Histogram};
use jiff::Timestamp;
use parking_lot::Mutex;
use rhiz_domain::{Clock, Event, EventId, EventType, Stage, StageName, store::Depths};
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

/// Finished events whose stages are remembered.
const RECENT: usize = 1000;

/// Seconds that averages and rates look back.
const WINDOW: u64 = 10;

/// When and how long an event was worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// When it was in every answer.
    pub(crate) at: Timestamp,
    /// The same, by the monotonic clock.
    pub(crate) elapsed: Duration,
    /// From its claim until then.
    pub(crate) work: Duration,
    /// In its processor.
    pub(crate) validation: Duration,
    /// Waiting on the network.
    pub(crate) enrichment: Option<Duration>,
    /// From claim to commit.
    pub(crate) write: Duration,
    /// After the commit.
    pub(crate) after: Applied,
    /// Counting it.
    pub(crate) metrics: Duration,
}

/// An event that was done not long ago.
#[derive(Debug, Clone)]
pub struct Done {
    /// What it was.
    pub event_type: EventType,
    /// When it was in every answer.
    pub at: Timestamp,
    /// What was done, in order.
    pub stages: Vec<Stage>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    second: u64,
    events: u64,
    micros: u64,
}

/// Counters and histograms.
#[derive(Debug)]
pub struct Metrics {
    workers: usize,
    busy: AtomicUsize,
    processed: AtomicU64,
    failed: AtomicU64,
    retried: AtomicU64,
    broke_off: AtomicU64,
    /// Accepted and not yet in every answer. An event may end before its accept is counted, so
    /// this can be below 0 for an instant.
    in_queue: AtomicI64,
    accept: Histogram,
    by_type: [OfType; EventType::ALL.len()],
    window: Mutex<[Second; WINDOW as usize + 1]>,
    recent: Mutex<VecDeque<(EventId, EventType, Timing)>>,
}

/// What events of one type took.
#[derive(Debug, Default)]
struct OfType {
    /// Of an accept with such an event in it.
    accept: Histogram,
    /// From accept to every answer.
    total: Histogram,
    /// From accept to the claim of the attempt that worked.
    wait: Histogram,
    /// From that claim to every answer.
    work: Histogram,
    stages: [Histogram; StageName::ALL.len()],
}

/// A worker is busy while this lives.
pub(crate) struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new(workers: usize, waiting: usize) -> Self {
        Self {
            workers,
            busy: AtomicUsize::new(0),
            processed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            broke_off: AtomicU64::new(0),
            in_queue: AtomicI64::new(i64::try_from(waiting).unwrap_or(i64::MAX)),
            accept: Histogram::default(),
            by_type: std::array::from_fn(|_| OfType::default()),
            window: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    pub(crate) fn busy(&self) -> Busy<'_> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(&self.busy)
    }

    /// Events of these types were accepted together.
    pub(crate) fn accepted(&self, types: impl Iterator<Item = EventType>, took: Duration) {
        let mut events = 0;
        for event_type in types {
            events += 1;
            self.by_type[event_type as usize].accept.record(took);
        }
        self.in_queue.fetch_add(events, Ordering::AcqRel);
        self.accept.record(took);
    }

    /// So many were taken back from the dead letters.
    pub(crate) fn replayed(&self, events: u64) {
        self.in_queue.fetch_add(i64::try_from(events).unwrap_or(0), Ordering::AcqRel);
    }

    /// An event waits again; `failed` when that was an attempt.
    pub(crate) fn retried(&self, failed: bool) {
        self.retried.fetch_add(u64::from(failed), Ordering::Relaxed);
    }

    /// One of the pipeline's own tasks broke off.
    pub(crate) fn broke_off(&self) {
        self.broke_off.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dead(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.in_queue.fetch_sub(1, Ordering::AcqRel);
    }

    /// Counts an event that is in every answer. The metrics are a stage themselves: `metrics_since`
    /// is when it began.
    pub(crate) fn applied(
        &self,
        event: &Event,
        mut timing: Timing,
        metrics_since: Duration,
        clock: &dyn Clock,
    ) -> Timing {
        let elapsed = timing.elapsed;
        // A clock that went back makes nothing take long.
        let total = timing.at.duration_since(event.under_way_since());
        let total = Duration::try_from(total).unwrap_or(Duration::ZERO);
        let of_type = &self.by_type[event.event_type as usize];
        of_type.total.record(total);
        of_type.wait.record(total.saturating_sub(timing.work));
        of_type.work.record(timing.work);
        {
            let mut window = self.window.lock();
            let second = elapsed.as_secs();
            let slot = &mut window[(second % (WINDOW + 1)) as usize];
            if slot.second != second {
                *slot = Second { second, ..Second::default() };
            }
            slot.events += 1;
            slot.micros += u64::try_from(total.as_micros()).unwrap_or(u64::MAX);
        }
        {
            let mut recent = self.recent.lock();
            if recent.len() == RECENT {
                recent.pop_front();
            }
            timing.metrics = clock.elapsed().saturating_sub(metrics_since);
            recent.push_back((event.event_id.clone(), event.event_type, timing));
        }
        for (stage, took) in timing.stages() {
            of_type.stages[stage as usize].record(took);
        }
        self.processed.fetch_add(1, Ordering::Relaxed);
        self.in_queue.fetch_sub(1, Ordering::AcqRel);
        timing
    }

    pub(crate) fn recently_done(&self, id: &EventId) -> Option<Done> {
        let recent = self.recent.lock();
        let (_, event_type, timing) = recent.iter().rev().find(|(e, ..)| e == id)?;
        Some(Done { event_type: *event_type, at: timing.at, stages: timing.told() })
    }

    pub(crate) fn snapshot(
        &self,
        elapsed: Duration,
        now: Timestamp,
        depths: Depths,
        backpressure: bool,
        hung: usize,
    ) -> Snapshot {
        // Whole seconds that are over; younger than the window, what there is.
        let this = elapsed.as_secs();
        let seconds = this.clamp(1, WINDOW);
        let window = *self.window.lock();
        let over = window.iter().filter(|s| s.second < this && s.second + seconds >= this);
        let (events, micros) = over.fold((0, 0), |(e, m), s| (e + s.events, m + s.micros));
        let busy = self.busy.load(Ordering::Relaxed);
        let told = |quantiles: Quantiles| Some(quantiles).filter(|q| q.count > 0);
        let of_types = |which: fn(&OfType) -> &Histogram| -> BTreeMap<&'static str, Quantiles> {
            let types = EventType::ALL.iter();
            let named = |t: &EventType| {
                Some((t.as_str(), told(which(&self.by_type[*t as usize]).quantiles())?))
            };
            types.filter_map(named).collect()
        };
        Snapshot {
            events_processed: self.processed.load(Ordering::Relaxed),
            events_failed: self.failed.load(Ordering::Relaxed),
            events_in_queue: u64::try_from(self.in_queue.load(Ordering::Acquire)).unwrap_or(0),
            avg_processing_time_ms: if events == 0 {
                0.0
            } else {
                micros as f64 / events as f64 / 1e3
            },
            throughput_per_second: events as f64 / seconds as f64,
            worker_utilization: busy as f64 / self.workers as f64,
            backpressure_active: backpressure,
            events_retried: self.retried.load(Ordering::Relaxed),
            waiting: depths.waiting() as u64,
            scheduled: depths.scheduled as u64,
            leased: depths.leased as u64,
            paused: depths.paused as u64,
            processors_hung: hung as u64,
            tasks_broken_off: self.broke_off.load(Ordering::Relaxed),
            oldest_waiting_seconds: depths
                .oldest()
                .map_or(0.0, |at| now.duration_since(at).as_secs_f64().max(0.0)),
            accept: self.accept.quantiles(),
            accept_by_type: of_types(|t| &t.accept),
            accept_to_applied: of_types(|t| &t.total),
            stages: StageName::ALL
                .iter()
                .filter_map(|s| {
                    let all = self.by_type.iter().map(|t| &t.stages[*s as usize]);
                    Some((s.as_str(), told(Histogram::quantiles_of(all))?))
                })
                .collect(),
            wait: of_types(|t| &t.wait),
            work: of_types(|t| &t.work),
            stages_by_type: EventType::ALL
                .iter()
                .filter_map(|event_type| {
                    let of_type = &self.by_type[*event_type as usize];
                    let stages: BTreeMap<_, _> = StageName::ALL
                        .iter()
                        .filter_map(|s| {
                            let stage = &of_type.stages[*s as usize];
                            Some((s.as_str(), told(stage.quantiles())?))
                        })
                        .collect();
                    (!stages.is_empty()).then_some((event_type.as_str(), stages))
                })
                .collect(),
        }
    }
}

impl Timing {
    fn stages(&self) -> impl Iterator<Item = (StageName, Duration)> {
        let enrichment = self.enrichment.map(|took| (StageName::Enrichment, took));
        [(StageName::Validation, self.validation)].into_iter().chain(enrichment).chain([
            (StageName::DatabaseWrite, self.write),
            (StageName::GraphUpdate, self.after.graph),
            (StageName::CacheInvalidation, self.after.cache),
            (StageName::Metrics, self.metrics),
        ])
    }

    /// The stages of an event that was applied.
    pub(crate) fn told(&self) -> Vec<Stage> {
        let stage = |(stage, took): (StageName, Duration)| Stage {
            stage,
            timestamp: self.at,
            success: true,
            error: None,
            ms: Some(took.as_secs_f64() * 1e3),
        };
        self.stages().map(stage).collect()
    }
}

/// The pipeline at one instant. The first seven are the blueprint's.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Events applied since the start.
    pub events_processed: u64,
    /// Events given up since the start.
    pub events_failed: u64,
    /// Accepted and not yet in every answer; 0 means applied, the graph too.
    pub events_in_queue: u64,
    /// From accept to every answer, over the last ten seconds.
    pub avg_processing_time_ms: f64,
    /// Applied a second, over the last ten seconds.
    pub throughput_per_second: f64,
    /// Busy workers / workers.
    pub worker_utilization: f64,
    /// Normal events are refused, or a source waits for room.
    pub backpressure_active: bool,
    /// Attempts that failed and will be made again.
    pub events_retried: u64,
    /// Events that take part of the capacity.
    pub waiting: u64,
    /// Events that wait for a retry.
    pub scheduled: u64,
    /// Events that wait on the network.
    pub leased: u64,
    /// Events of types whose work is paused.
    pub paused: u64,
    /// Processors that have not come back.
    pub processors_hung: u64,
    /// Workers and other tasks of the pipeline that broke off and were begun again.
    pub tasks_broken_off: u64,
    /// Age of the oldest event that is ready.
    pub oldest_waiting_seconds: f64,
    /// Time of an accept, however many events it is of.
    pub accept: Quantiles,
    /// By event type, for each event in it.
    pub accept_by_type: BTreeMap<&'static str, Quantiles>,
    /// From accept to every answer, by event type.
    pub accept_to_applied: BTreeMap<&'static str, Quantiles>,
    /// By stage.
    pub stages: BTreeMap<&'static str, Quantiles>,
    /// From accept to the claim of the attempt that worked, by event type.
    pub wait: BTreeMap<&'static str, Quantiles>,
    /// From that claim to every answer, by event type.
    pub work: BTreeMap<&'static str, Quantiles>,
    /// By event type and stage.
    pub stages_by_type: BTreeMap<&'static str, BTreeMap<&'static str, Quantiles>>,
}
