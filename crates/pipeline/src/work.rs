//! Working: claim a batch, process each event, settle the batch, and see it into every answer.
//!
//! Law: an event leaves the worker settled (applied, waiting for a retry, or dead), under a lease,
//! or not at all; in the last case it is still in the journal. A failing event never takes its
//! batch with it: the batch is split, and the others succeed.

use crate::{
    Ended, Shared,
    hand::{Answer, HUNG_MOST, Hand},
    live::{Notice, Step},
    metrics::Timing,
    schedule::overdue,
};
use jiff::Timestamp;
use rhiz_domain::{
    Event, EventTypes, Outcome, Pause, Stage, StageName,
    store::{Claimed, Settlement, StoreError, Verdict},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::watch;

/// Events a worker takes at once: enough to share a flush, few enough to be done in milliseconds.
const BATCH: usize = 256;

/// How often an event may not come back before it is given up unread. However few retries are
/// configured: a power cut is nobody's fault.
const CRASHES_MOST: u32 = 3;

/// How long a worker waits when the database cannot be used, before it tries again.
const DATABASE_WAIT: Duration = Duration::from_millis(250);

/// One worker, until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut hand = Hand::default();
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.journal.ready() => {}
        }
        let depths = shared.journal.depths();
        let overdue = overdue(&depths, shared.clock.now());
        let quota = shared.scheduler.lock().share(depths.claimable, overdue, BATCH);
        match shared.journal.claim(quota).await {
            Ok(Some(claim)) => {
                let busy = shared.metrics.busy();
                if let Err(error) = work(&shared, claim, &mut hand, &mut stop).await {
                    tracing::error!(%error, "cannot start a thread to work on");
                    pause(&mut stop).await;
                }
                drop(busy);
                shared.gate.left(shared.journal.depths());
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot claim events");
                pause(&mut stop).await;
            }
        }
    }
}

/// Sees a claim through. Errors: there is no thread to work on; the events go back.
async fn work(
    shared: &Arc<Shared>,
    mut claim: Box<dyn Claimed>,
    hand: &mut Hand,
    stop: &mut watch::Receiver<bool>,
) -> std::io::Result<()> {
    let claimed_at = shared.clock.elapsed();
    for _ in 0..claim.given_up() {
        shared.metrics.dead();
    }
    let events = claim.events().to_vec();
    if events.is_empty() {
        return Ok(());
    }
    let mut batch = Batch::new(shared, events, claimed_at);
    let sound = (0..batch.events.len()).filter(|i| claim.crashes(*i) <= CRASHES_MOST);
    let sound: Vec<usize> = sound.collect();
    let asked: Vec<_> = sound.iter().map(|i| Arc::clone(&batch.events[*i])).collect();
    let (answers, hung) = hand.process(shared, &asked).await?;
    let mut answers = sound.into_iter().zip(answers).peekable();
    for index in 0..batch.events.len() {
        let Some((_, (answer, took))) = answers.next_if(|(i, _)| *i == index) else {
            let n = claim.crashes(index);
            let reason = format!(
                "it was in hand {n} times and never came back: the server died, or its lease ran out"
            );
            batch.decide(index, Outcome::Bury { reason }, Duration::ZERO);
            continue;
        };
        match answer {
            Answer::Outcome(outcome) => batch.decide(index, outcome, took),
            Answer::Enrich(work) => match shared.network.room() {
                Some(room) => {
                    if let Some(lease) = claim.lease(index) {
                        shared.network.begin(shared, lease, work, room).await;
                    }
                }
                None => {
                    let wait = shared.network.wait(shared.clock.elapsed());
                    let until = shared.clock.now() + wait;
                    batch.decide(index, Outcome::Snooze { until }, took);
                }
            },
        }
    }
    batch.settle(claim, stop).await;
    pause_what_hangs(shared, hung).await;
    Ok(())
}

/// Threads left behind are not for ever more: when there are too many, the types that hung just now
/// stand still until an operator has looked. Those that do not hang go on, however many others do.
async fn pause_what_hangs(shared: &Shared, types: EventTypes) {
    if shared.hung.load(Ordering::Acquire) < HUNG_MOST {
        return;
    }
    if types.without(shared.journal.paused().work).is_empty() {
        return;
    }
    tracing::error!(
        types = types.iter().map(|t| t.as_str()).collect::<Vec<_>>().join(" "),
        "{HUNG_MOST} processors hang: the work of these types is paused until it is resumed"
    );
    let order = Pause { on: true, intake: false, work: true, types };
    if let Err(error) = shared.journal.pause(order, "rhiz: its processors hang").await {
        tracing::error!(%error, "cannot pause what hangs");
    }
}

async fn pause(stop: &mut watch::Receiver<bool>) {
    let _ = tokio::time::timeout(DATABASE_WAIT, stop.wait_for(|stop| *stop)).await;
}

/// Claimed events, processed and on their way to be settled.
pub(crate) struct Batch<'a> {
    shared: &'a Shared,
    events: Vec<Arc<Event>>,
    /// How long each was worked on.
    worked: Vec<Worked>,
    settlements: Vec<Settlement>,
    claimed_at: Duration,
}

/// How long an event was worked on.
#[derive(Debug, Clone, Copy, Default)]
struct Worked {
    validation: Duration,
    enrichment: Option<Duration>,
}

impl<'a> Batch<'a> {
    fn new(shared: &'a Shared, events: Vec<Arc<Event>>, claimed_at: Duration) -> Self {
        let worked = vec![Worked::default(); events.len()];
        let settlements = Vec::with_capacity(events.len());
        Self { shared, events, worked, settlements, claimed_at }
    }

    /// One event that came back from the network.
    pub(crate) fn enriched(
        shared: &'a Shared,
        event: Arc<Event>,
        outcome: Outcome,
        claimed_at: Duration,
        took: Duration,
    ) -> Self {
        let mut batch = Self::new(shared, vec![event], claimed_at);
        batch.worked[0].enrichment = Some(took);
        batch.conclude(0, outcome, StageName::Enrichment, took);
        batch
    }

    /// Notes what becomes of one of them.
    fn decide(&mut self, index: usize, outcome: Outcome, took: Duration) {
        self.worked[index].validation = took;
        self.conclude(index, outcome, StageName::Validation, took);
    }

    fn conclude(&mut self, index: usize, outcome: Outcome, stage: StageName, took: Duration) {
        let event = &self.events[index];
        let error = match &outcome {
            Outcome::Retry { reason } | Outcome::Bury { reason } => Some(reason.clone()),
            Outcome::Done(_) | Outcome::Snooze { .. } => None,
        };
        // Stages of what is applied are told from its timing; these are kept in the database.
        let stages = match (&outcome, error) {
            (Outcome::Snooze { .. }, _) => event.stages.clone(),
            (_, None) => Vec::new(),
            (_, error) => with_stage(self.shared, event, stage, took, error),
        };
        let verdict = verdict(self.shared, event, outcome);
        self.settlements.push(Settlement { index, verdict, stages });
    }

    /// Carries it out.
    pub(crate) async fn settle(
        mut self,
        mut claim: Box<dyn Claimed>,
        stop: &mut watch::Receiver<bool>,
    ) {
        let all = std::mem::take(&mut self.settlements);
        if all.is_empty() {
            return;
        }
        // What failed together is tried one by one, so that only the culprit fails.
        for settlement in self.settle_together(&mut *claim, all, stop).await {
            self.settle_alone(&mut *claim, settlement, stop).await;
        }
    }

    /// Settles in one transaction. Answers with what has to be tried one by one.
    async fn settle_together(
        &self,
        claim: &mut dyn Claimed,
        mut settlements: Vec<Settlement>,
        stop: &mut watch::Receiver<bool>,
    ) -> Vec<Settlement> {
        loop {
            let ends = self.ends(&settlements);
            let failed = match claim.settle(settlements).await {
                Ok(change) => {
                    self.follow(ends, change).await;
                    return Vec::new();
                }
                Err(failed) => failed,
            };
            match failed.error {
                // It is the database, not the events: they wait with us.
                StoreError::Unavailable(why) if !*stop.borrow() => {
                    tracing::warn!(%why, "cannot write; trying again");
                    settlements = failed.settlements;
                    pause(stop).await;
                }
                StoreError::Corrupt(_) => return failed.settlements,
                // Dropping the claim puts the events back.
                _ => return Vec::new(),
            }
        }
    }

    /// Settles one event of a batch that failed; if it fails again, that is a failed attempt.
    async fn settle_alone(
        &self,
        claim: &mut dyn Claimed,
        settlement: Settlement,
        stop: &mut watch::Receiver<bool>,
    ) {
        let event = Arc::clone(&self.events[settlement.index]);
        for settlement in self.settle_together(claim, vec![settlement], stop).await {
            let reason = String::from("the database would not take its effect");
            tracing::error!(event_id = %event.event_id, "{reason}");
            let error = Some(reason.clone());
            let stages =
                with_stage(self.shared, &event, StageName::DatabaseWrite, Duration::ZERO, error);
            let verdict = verdict(self.shared, &event, Outcome::Retry { reason });
            let settlement = Settlement { index: settlement.index, verdict, stages };
            if !self.settle_together(claim, vec![settlement], stop).await.is_empty() {
                // Not even that could be written. Dropping the claim puts the event back; the
                // pause keeps that from becoming a busy loop.
                pause(stop).await;
            }
        }
    }

    /// How these settlements end their events.
    fn ends(&self, settlements: &[Settlement]) -> Vec<(usize, End)> {
        let end = |settlement: &Settlement| {
            let stages = settlement.stages.clone();
            match &settlement.verdict {
                Verdict::Apply(_) => End::Applied,
                Verdict::Bury { reason } => End::Dead(reason.clone(), stages),
                Verdict::Later { due, failed } => End::Later(*due, failed.clone(), stages),
            }
        };
        settlements.iter().map(|s| (s.index, end(s))).collect()
    }

    /// After the commit: waits until the graph and the caches have it, then tells who waits.
    async fn follow(&self, ends: Vec<(usize, End)>, change: u64) {
        let Shared { clock, metrics, live, .. } = self.shared;
        let write = clock.elapsed().saturating_sub(self.claimed_at);
        let after = self.shared.downstream.reached(change).await;
        let (now, elapsed) = (clock.now(), clock.elapsed());
        let heard = live.heard();
        for (index, end) in ends {
            let event = &self.events[index];
            let notice = |step| Notice::new(step, event, now);
            match end {
                End::Later(due, failed, stages) => {
                    metrics.retried(failed.is_some());
                    if heard {
                        let step = if failed.is_some() { Step::Retry } else { Step::Snoozed };
                        live.tell(Notice { due: Some(due), error: failed, stages, ..notice(step) });
                    }
                }
                End::Applied => {
                    let Worked { validation, enrichment } = self.worked[index];
                    let metrics_since = clock.elapsed();
                    let timing = Timing {
                        at: now,
                        elapsed,
                        work: elapsed.saturating_sub(self.claimed_at),
                        validation,
                        enrichment,
                        write,
                        after,
                        metrics: Duration::ZERO,
                    };
                    let timing = metrics.applied(event, timing, metrics_since, &**clock);
                    if heard {
                        live.tell(Notice { stages: timing.told(), ..notice(Step::Applied) });
                    }
                    self.tell(event, &Ended::Applied);
                }
                End::Dead(reason, stages) => {
                    let (event_id, kind) = (&event.event_id, event.event_type);
                    tracing::warn!(%event_id, event_type = %kind, %reason, "an event was given up");
                    metrics.dead();
                    if heard {
                        let error = Some(reason.clone());
                        live.tell(Notice { error, stages, ..notice(Step::Dead) });
                    }
                    self.tell(event, &Ended::Dead { reason });
                }
            }
        }
    }

    fn tell(&self, event: &Event, end: &Ended) {
        let mut waiting = self.shared.waiting.lock();
        let Some(waiting) = waiting.as_mut().filter(|waiting| !waiting.is_empty()) else {
            return;
        };
        for waiter in waiting.remove(&event.event_id).into_iter().flatten() {
            // Whoever waited may have given up.
            let _ = waiter.send(end.clone());
        }
    }
}

/// How a settlement ends its event.
enum End {
    Applied,
    Dead(String, Vec<Stage>),
    /// It waits until then; why, if that was an attempt that failed.
    Later(Timestamp, Option<String>, Vec<Stage>),
}

/// The event's stages so far, and one more.
fn with_stage(
    shared: &Shared,
    event: &Event,
    stage: StageName,
    took: Duration,
    error: Option<String>,
) -> Vec<Stage> {
    let mut stages = event.stages.clone();
    stages.push(Stage {
        stage,
        timestamp: shared.clock.now(),
        success: error.is_none(),
        error,
        ms: Some(took.as_secs_f64() * 1e3),
    });
    stages
}

/// What an outcome means for the journal.
fn verdict(shared: &Shared, event: &Event, outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Done(effect) => Verdict::Apply(effect),
        Outcome::Bury { reason } => Verdict::Bury { reason },
        Outcome::Snooze { until } => Verdict::Later { due: whole_micros(until), failed: None },
        Outcome::Retry { reason } => {
            match shared.settings.retry.wait(event.retry_count + 1, &*shared.entropy) {
                Some(wait) => {
                    let due = whole_micros(shared.clock.now() + wait);
                    Verdict::Later { due, failed: Some(reason) }
                }
                None => Verdict::Bury { reason },
            }
        }
    }
}

/// As precise as a journal keeps it.
fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
