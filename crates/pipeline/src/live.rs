//! What happens to events, told as it happens to whoever listens. Nobody listening costs nothing.

use jiff::Timestamp;
use rhiz_domain::{Event, Stage};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::{broadcast, watch};

/// Notices kept for a listener that is slow; what is older it misses, and is told how many.
const BACKLOG: usize = 4096;

/// What happened to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// It is in the journal.
    Accepted,
    /// It is in every answer.
    Applied,
    /// An attempt failed; it is tried again.
    Retry,
    /// It was put off; that is no failure.
    Snoozed,
    /// It was given up.
    Dead,
}

impl Step {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Applied => "applied",
            Self::Retry => "retry",
            Self::Snoozed => "snoozed",
            Self::Dead => "dead",
        }
    }
}

/// One step of one event.
#[derive(Debug, Clone, Serialize)]
pub struct Notice {
    /// What happened.
    pub step: Step,
    /// When.
    pub at: Timestamp,
    /// To which event.
    pub event_id: String,
    /// Its type.
    pub event_type: &'static str,
    /// Who caused it.
    pub did: String,
    /// low, normal, high or critical.
    pub priority: &'static str,
    /// api, jetstream or file.
    pub origin: &'static str,
    /// Attempts that failed before.
    pub retry_count: u32,
    /// What was done, with milliseconds.
    pub stages: Vec<Stage>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Notice {
    /// A step of an event, without stages.
    pub(crate) fn new(step: Step, event: &Event, at: Timestamp) -> Self {
        Self {
            step,
            at,
            event_id: event.event_id.to_string(),
            event_type: event.event_type.as_str(),
            did: event.did.to_string(),
            priority: event.priority.name(),
            origin: event.origin.name(),
            retry_count: event.retry_count,
            stages: Vec::new(),
            due: None,
            error: None,
        }
    }
}

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A step of an event.
    Notice(Arc<Notice>),
    /// The listener was too slow for so many notices.
    Missed(u64),
    /// The pipeline stops; there will be no more.
    End,
}

/// Whom to tell.
pub(crate) struct Live {
    tell: broadcast::Sender<Arc<Notice>>,
    /// Apart, so that no listener misses it however far behind it is.
    ended: watch::Sender<bool>,
}

impl Default for Live {
    fn default() -> Self {
        Self { tell: broadcast::Sender::new(BACKLOG), ended: watch::Sender::new(false) }
    }
}

/// Hears of every step.
pub struct Listener {
    notices: broadcast::Receiver<Arc<Notice>>,
    ended: watch::Receiver<bool>,
}

impl Listener {
    /// The next that is to be heard. After [`Heard::End`] there is nothing more.
    pub async fn next(&mut self) -> Heard {
        use broadcast::error::RecvError::{Closed, Lagged};
        tokio::select! {
            biased;
            _ = self.ended.wait_for(|ended| *ended) => Heard::End,
            notice = self.notices.recv() => match notice {
                Ok(notice) => Heard::Notice(notice),
                Err(Lagged(missed)) => Heard::Missed(missed),
                Err(Closed) => Heard::End,
            },
        }
    }
}

impl Live {
    /// Whether anybody listens.
    pub(crate) fn heard(&self) -> bool {
        self.tell.receiver_count() > 0
    }

    pub(crate) fn tell(&self, notice: Notice) {
        // The last listener may have gone meanwhile.
        let _ = self.tell.send(Arc::new(notice));
    }

    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn listen(&self) -> Listener {
        Listener { notices: self.tell.subscribe(), ended: self.ended.subscribe() }
    }
}
