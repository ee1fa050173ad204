//! Accepting: is there room, is it valid, and into the journal.
//!
//! Law: an answer that says "accepted" is given after the event is on disk. A submission is
//! accepted as a whole or not at all.

use crate::{
    Ended, Pipeline, Shared,
    gate::{Entering, Refused},
    live::{Notice, Step},
};
use jiff::Timestamp;
use rhiz_domain::{
    Did, Event, EventId, EventType, EventTypes, Invalid, Origin, Priority, payload,
    store::{AppendError, Intake, Receipt, StoreError},
};
use serde_json::{Value, value::RawValue};
use std::{
    collections::hash_map::Entry,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinError};

/// Payloads that are checked where the caller runs, bytes of all of them: what takes longer would
/// keep a thread from its other callers.
const INLINE_BYTES: usize = 64 << 10;

/// An event as somebody submits it.
#[derive(Debug, Clone)]
pub struct Submission {
    /// What happened.
    pub event_type: EventType,
    /// Who caused it.
    pub did: Did,
    /// A JSON object.
    pub payload: Box<RawValue>,
    /// How urgent; the type's default when not said.
    pub priority: Option<Priority>,
    /// Its name, for idempotency; made when not given.
    pub event_id: Option<EventId>,
}

/// Why nothing of a submission was accepted.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// An event breaks rules.
    #[error("item {index}: {invalid}")]
    Invalid {
        /// Which, from 0.
        index: usize,
        /// The rules it breaks.
        invalid: Invalid,
    },
    /// An event's id was used before, with another body.
    #[error("item {index}: its event_id was used before with another body")]
    Conflict {
        /// Which, from 0.
        index: usize,
    },
    /// There is no room at the moment.
    #[error("Event pipeline backpressure active")]
    Backpressure,
    /// An operator has paused the intake of this type.
    #[error("item {index}: the intake of {event_type} is paused")]
    Paused {
        /// Which, from 0.
        index: usize,
        /// What is paused.
        event_type: EventType,
    },
    /// It is more than will ever fit.
    #[error("it is more than the pipeline may hold at all: send it in smaller parts")]
    TooMuch,
    /// The server is stopping.
    #[error("the server is stopping and accepts no more events")]
    Draining,
    /// The journal cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a submitted event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its name.
    pub event_id: EventId,
    /// New, or seen before.
    pub receipt: Receipt,
}

/// Somebody who waits for an event to end; forgotten when dropped, and nobody else with it.
struct Waiter<'a> {
    shared: &'a Shared,
    id: EventId,
    ended: oneshot::Receiver<Ended>,
}

impl<'a> Waiter<'a> {
    fn register(shared: &'a Shared, id: EventId) -> Self {
        let (tell, ended) = oneshot::channel();
        if let Some(waiting) = &mut *shared.waiting.lock() {
            waiting.entry(id.clone()).or_default().push(tell);
        }
        Self { shared, id, ended }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.ended.close();
        if let Some(waiting) = &mut *self.shared.waiting.lock()
            && let Entry::Occupied(mut tell) = waiting.entry(self.id.clone())
        {
            tell.get_mut().retain(|tell| !tell.is_closed());
            if tell.get().is_empty() {
                tell.remove();
            }
        }
    }
}

/// What is told of events once they are accepted.
fn notices(events: &[Event], now: Timestamp) -> Vec<Notice> {
    events.iter().map(|event| Notice::new(Step::Accepted, event, now)).collect()
}

impl Shared {
    /// Tells of what was accepted; of a duplicate it was told before.
    fn tell(&self, notices: Option<Vec<Notice>>, receipts: &[Receipt]) {
        for (notice, receipt) in notices.into_iter().flatten().zip(receipts) {
            if *receipt == Receipt::Accepted {
                self.live.tell(notice);
            }
        }
    }

    /// The events of submissions, or the first that breaks rules.
    fn events(&self, submissions: Vec<Submission>) -> Result<Vec<Event>, SubmitError> {
        let event = |(index, submission)| {
            self.event(submission).map_err(|invalid| SubmitError::Invalid { index, invalid })
        };
        submissions.into_iter().enumerate().map(event).collect()
    }

    /// Makes the event of a submission, and checks it.
    fn event(&self, submission: Submission) -> Result<Event, Invalid> {
        let Submission { event_type, did, payload, priority, event_id } = submission;
        let value: Value = serde_json::from_str(payload.get())
            .map_err(|e| Invalid::one("payload", e.to_string()))?;
        let Some(map) = value.as_object() else {
            return Err(Invalid::one("payload", "it has to be a JSON object"));
        };
        let now = self.clock.now();
        let event = Event {
            effect: Default::default(),
            event_id: event_id.unwrap_or_else(|| EventId::generate(now, &*self.entropy)),
            event_type,
            did,
            priority: priority.unwrap_or(event_type.default_priority()),
            timestamp: now,
            replayed_at: None,
            assigned_rev: payload::needs_rev(event_type, map).then(|| self.tids.next()),
            retry_count: 0,
            stages: Vec::new(),
            origin: Origin::Api,
            verified: false,
            payload,
        };
        payload::interpret(&event)?;
        Ok(event)
    }
}

impl Pipeline {
    /// Accepts events, all of them or none; answers in their order once they are on disk.
    pub async fn submit(&self, submissions: Vec<Submission>) -> Result<Vec<Accepted>, SubmitError> {
        let shared = &self.shared;
        if shared.draining.load(Ordering::Acquire) {
            return Err(SubmitError::Draining);
        }
        let started = shared.clock.elapsed();
        let paused = shared.journal.paused().intake;
        let still = |s: &Submission| paused.contains(s.event_type);
        if let Some(index) = submissions.iter().position(still) {
            let event_type = submissions[index].event_type;
            return Err(SubmitError::Paused { index, event_type });
        }
        let given: usize = submissions.iter().map(|s| s.payload.get().len()).sum();
        let events = if given > INLINE_BYTES {
            let shared = Arc::clone(shared);
            let made = tokio::task::spawn_blocking(move || shared.events(submissions)).await;
            match made.map_err(JoinError::try_into_panic) {
                Ok(events) => events?,
                Err(Ok(panic)) => std::panic::resume_unwind(panic),
                // The runtime is gone.
                Err(Err(_)) => return Err(SubmitError::Draining),
            }
        } else {
            shared.events(submissions)?
        };
        let mut counts = [0; 4];
        let mut bytes = 0;
        for event in &events {
            counts[event.priority as usize] += 1;
            bytes += event.payload.get().len();
        }
        let ids: Vec<EventId> = events.iter().map(|e| e.event_id.clone()).collect();
        let entering = shared.gate.enter(counts, bytes, || shared.journal.depths());
        let entering = entering.map_err(|refused| match refused {
            Refused::Full => SubmitError::Backpressure,
            Refused::TooMuch => SubmitError::TooMuch,
        })?;
        // Whoever listens is told once it is accepted, and by then the events are the journal's.
        let heard = shared.live.heard().then(|| notices(&events, shared.clock.now()));
        let intake = Intake { events, ..Intake::default() };
        let receipts =
            self.append(intake, entering, heard, started).await.map_err(|e| match e {
                AppendError::Conflict { index } => SubmitError::Conflict { index },
                AppendError::Store(e) => SubmitError::Store(e),
            })?;
        Ok(ids
            .into_iter()
            .zip(receipts)
            .map(|(event_id, receipt)| Accepted { event_id, receipt })
            .collect())
    }

    /// Submits one event; once it is on disk, however long that takes, waits until it ended, for
    /// `patience` at most. `Err` when it was not accepted; no ending when it is a duplicate, when
    /// the patience is over, or when the pipeline stops first: the receipt says which it is.
    pub async fn submit_and_wait(
        &self,
        mut submission: Submission,
        patience: Duration,
    ) -> Result<(Accepted, Option<Ended>), SubmitError> {
        let shared = &self.shared;
        let id = submission
            .event_id
            .take()
            .unwrap_or_else(|| EventId::generate(shared.clock.now(), &*shared.entropy));
        // Before it is accepted, for it may end before we look.
        let mut waiter = Waiter::register(shared, id.clone());
        submission.event_id = Some(id);
        let accepted = self.submit(vec![submission]).await?.pop();
        let accepted = accepted.ok_or(SubmitError::Store(StoreError::Closed))?;
        if accepted.receipt == Receipt::Duplicate {
            return Ok((accepted, None));
        }
        let ended = tokio::time::timeout(patience, &mut waiter.ended).await;
        Ok((accepted, ended.ok().and_then(Result::ok)))
    }

    /// Takes what a source read, with the cursor behind it. Never refuses: waits until there is
    /// room, and while all intake is paused, so that the source's reader stops reading. (What is
    /// paused of some types only is taken: a source has one cursor for all of them.) Answers how
    /// many events were new.
    pub async fn take_in(&self, intake: Intake) -> Result<usize, StoreError> {
        let shared = &self.shared;
        let events = intake.events.len();
        let bytes = intake.events.iter().map(|e| e.payload.get().len()).sum();
        let mut stop = shared.stop.subscribe();
        let depths = || shared.journal.depths();
        let still = || shared.journal.paused().intake == EventTypes::all();
        let entering = tokio::select! {
            // Who stops makes no room any more.
            _ = stop.wait_for(|stop| *stop) => return Err(StoreError::Closed),
            entering = shared.gate.enter_in_turn(events, bytes, depths, still) => entering,
        };
        if shared.draining.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let started = shared.clock.elapsed();
        let heard = shared.live.heard().then(|| notices(&intake.events, shared.clock.now()));
        match self.append(intake, entering, heard, started).await {
            Ok(receipts) => Ok(receipts.iter().filter(|r| **r == Receipt::Accepted).count()),
            Err(AppendError::Store(e)) => Err(e),
            // A journal takes a source's repetition for a duplicate. One that does not has stored
            // nothing of this intake: that is told, or its events would be lost without a word.
            Err(conflict @ AppendError::Conflict { .. }) => {
                Err(StoreError::Corrupt(conflict.to_string()))
            }
        }
    }

    /// Journals, tells, and counts.
    async fn append(
        &self,
        intake: Intake,
        entering: Entering,
        heard: Option<Vec<Notice>>,
        started: Duration,
    ) -> Result<Vec<Receipt>, AppendError> {
        let types: Vec<EventType> = intake.events.iter().map(|event| event.event_type).collect();
        self.to_the_end(|shared| async move {
            let receipts = shared.journal.append(intake).await?;
            drop(entering);
            shared.tell(heard, &receipts);
            let new = types.into_iter().zip(&receipts).filter(|(_, r)| **r == Receipt::Accepted);
            let new = new.map(|(event_type, _)| event_type);
            shared.metrics.accepted(new, shared.clock.elapsed().saturating_sub(started));
            Ok(receipts)
        })
        .await
    }

    /// Does it whether or not somebody still waits for the answer: what is on its way to the disk
    /// gets there, so it takes its room until then, and is counted.
    pub(crate) async fn to_the_end<T, E, F>(
        &self,
        what: impl FnOnce(Arc<Shared>) -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match tokio::spawn(what(Arc::clone(&self.shared))).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is gone.
                Err(_) => Err(StoreError::Closed.into()),
            },
        }
    }
}
