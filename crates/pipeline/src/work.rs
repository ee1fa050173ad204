//! Working: claim a batch, process each event, settle the batch, and see it into every answer.
//!
//! Law: an event leaves the worker settled (applied, waiting for a retry, or dead) or not at all;
//! in the second case it is still in the journal. A failing event never takes its batch with it:
//! the batch is split, and the others succeed.

use crate::{Ended, Shared, metrics::Timing};
use rhiz_domain::{
    Event, Outcome, Stage, StageName,
    store::{Claimed, Settlement, StoreError, Verdict},
};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::sync::watch;

/// Events a worker takes at once: enough to share a flush, few enough to be done in milliseconds.
const BATCH: usize = 256;

/// How long a worker waits when the database cannot be used, before it tries again.
const DATABASE_WAIT: Duration = Duration::from_millis(250);

/// One worker, until `stop`.
pub(crate) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = shared.journal.ready() => {}
        }
        let quota = shared.scheduler.lock().share(shared.journal.depths().claimable, BATCH);
        match shared.journal.claim(quota).await {
            Ok(Some(claim)) => {
                let _busy = shared.metrics.busy();
                Batch::process(&shared, &*claim).settle(claim, &mut stop).await;
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

async fn pause(stop: &mut watch::Receiver<bool>) {
    let _ = tokio::time::timeout(DATABASE_WAIT, stop.wait_for(|stop| *stop)).await;
}

/// A claimed batch, processed and on its way to be settled.
struct Batch<'a> {
    shared: &'a Shared,
    events: Vec<Arc<Event>>,
    /// Time each spent in its processor.
    validation: Vec<Duration>,
    settlements: Vec<Settlement>,
    claimed_at: Duration,
}

impl<'a> Batch<'a> {
    fn process(shared: &'a Shared, claim: &dyn Claimed) -> Self {
        let claimed_at = shared.clock.elapsed();
        let events = claim.events().to_vec();
        let mut validation = Vec::with_capacity(events.len());
        let mut settlements = Vec::with_capacity(events.len());
        let mut started = claimed_at;
        for (index, event) in events.iter().enumerate() {
            let outcome = match claim.crashes() {
                n if n > shared.settings.retry.retries => {
                    Outcome::Bury { reason: format!("the server died {n} times with it in hand") }
                }
                _ => process(shared, event),
            };
            let ended = shared.clock.elapsed();
            let took = ended.saturating_sub(started);
            started = ended;
            let error = match &outcome {
                Outcome::Retry { reason } | Outcome::Bury { reason } => Some(reason.clone()),
                Outcome::Done(_) | Outcome::Snooze { .. } => None,
            };
            // Stages of what is applied are told from its timing; these are kept in the database.
            let stages = match (&outcome, error) {
                (Outcome::Snooze { .. }, _) => event.stages.clone(),
                (_, None) => Vec::new(),
                (_, error) => with_stage(shared, event, StageName::Validation, took, error),
            };
            settlements.push(Settlement {
                index,
                verdict: verdict(shared, event, outcome),
                stages,
            });
            validation.push(took);
        }
        Self { shared, events, validation, settlements, claimed_at }
    }

    async fn settle(mut self, mut claim: Box<dyn Claimed>, stop: &mut watch::Receiver<bool>) {
        let all = std::mem::take(&mut self.settlements);
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

    /// How these settlements end their events; `None` for one that only waits.
    fn ends(&self, settlements: &[Settlement]) -> Vec<(usize, Option<Ended>)> {
        let end = |verdict: &Verdict| match verdict {
            Verdict::Apply(_) => Some(Ended::Applied),
            Verdict::Bury { reason } => Some(Ended::Dead { reason: reason.clone() }),
            Verdict::Later { .. } => None,
        };
        settlements.iter().map(|s| (s.index, end(&s.verdict))).collect()
    }

    /// After the commit: waits until the graph and the caches have it, then tells who waits.
    async fn follow(&self, ends: Vec<(usize, Option<Ended>)>, change: u64) {
        let Shared { clock, metrics, .. } = self.shared;
        let write = clock.elapsed().saturating_sub(self.claimed_at);
        let after = self.shared.downstream.reached(change).await;
        let (now, elapsed) = (clock.now(), clock.elapsed());
        for (index, end) in ends {
            let event = &self.events[index];
            match &end {
                None => metrics.retried(),
                Some(Ended::Applied) => {
                    let validation = self.validation[index];
                    metrics.applied(elapsed, event, Timing { at: now, validation, write, after });
                }
                Some(Ended::Dead { reason }) => {
                    let (event_id, kind) = (&event.event_id, event.event_type);
                    tracing::warn!(%event_id, event_type = %kind, %reason, "an event was given up");
                    metrics.dead();
                }
            }
            if let Some(end) = end {
                self.tell(event, &end);
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

/// Asks the processor that takes the event. A panic is an attempt that failed.
fn process(shared: &Shared, event: &Event) -> Outcome {
    // Asking may panic as well as processing: neither takes the worker with it.
    let mut asked = "first";
    let answer = std::panic::catch_unwind(AssertUnwindSafe(|| {
        for processor in &shared.processors {
            asked = processor.name();
            if processor.can_process(event) {
                return Some(processor.process(event));
            }
        }
        None
    }));
    match answer {
        Ok(Some(outcome)) => outcome,
        Ok(None) => Outcome::Bury { reason: format!("no processor takes {}", event.event_type) },
        Err(panic) => {
            let reason = format!("the {asked} processor panicked: {}", words(&*panic));
            Outcome::Retry { reason }
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
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
        Outcome::Snooze { until } => Verdict::Later { due: until, failed: None },
        Outcome::Retry { reason } => {
            match shared.settings.retry.wait(event.retry_count + 1, &*shared.entropy) {
                Some(wait) => {
                    Verdict::Later { due: shared.clock.now() + wait, failed: Some(reason) }
                }
                None => Verdict::Bury { reason },
            }
        }
    }
}
