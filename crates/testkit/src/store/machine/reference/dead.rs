//! What was given up, and why something is nowhere.

use super::{Accepted, Name, Reference, name};
use crate::events::{Draft, What, at, rev};
use jiff::Timestamp;
use rhiz_domain::{
    Did, Event, EventId, EventType, Origin, Priority, Stage, Tid,
    store::{DeadLetter, Dropped, Moved, Rejected},
};
use std::collections::HashMap;

/// A dead letter.
#[derive(Debug, Clone)]
pub(in super::super) struct Letter {
    pub event_id: EventId,
    pub event_type: Option<EventType>,
    pub did: Option<Did>,
    pub(super) priority: Priority,
    pub(super) retry_count: u32,
    pub(super) accepted_at: Timestamp,
    pub(super) died_at: Timestamp,
    pub(super) stages: Vec<Stage>,
    pub(super) last_error: String,
    pub(super) payload: Vec<u8>,
    pub(super) origin: &'static str,
    /// What it was; `None` when it never was an event.
    pub(super) event: Option<(Draft, Event)>,
}

impl Letter {
    /// Whether the store tells the same of it.
    pub(in super::super) fn is(&self, other: &DeadLetter) -> bool {
        self.event_id == other.event_id
            && (self.event_type, &self.did) == (other.event_type, &other.did)
            && (self.priority, self.retry_count) == (other.priority, other.retry_count)
            && (self.accepted_at, self.died_at) == (other.accepted_at, other.died_at)
            && (&self.stages, &self.last_error) == (&other.stages, &other.last_error)
            && (&self.payload, self.origin) == (&other.payload, &*other.origin)
    }

    pub(in super::super) fn died_at(&self) -> Timestamp {
        self.died_at
    }
}

impl Reference {
    /// Whether no more is kept of somebody.
    pub(super) fn is_full(&self, did: Option<&Did>) -> bool {
        let letters = self.dead.iter().filter(|letter| letter.did.as_ref() == did);
        letters.count() >= Rejected::MAX_PER_DID
    }

    /// Whether an event says what an account said before its end, or at it.
    pub(super) fn is_gone(&self, draft: &Draft) -> bool {
        let said = match &draft.what {
            What::Record { .. } => rev(draft.rev),
            What::Account { time, .. } | What::Identity { time, .. } => {
                Tid::at(at(*time), u16::MAX)
            }
            What::Invalidated => return false,
        };
        let floor = self.floors.get(&draft.did);
        floor.is_some_and(|floor| said <= Tid::at(at(*floor), u16::MAX))
    }

    /// Notes why the letter is nowhere; what was accepted under its name since is something else.
    pub(super) fn note(accepted: &mut HashMap<Name, Accepted>, letter: &Letter, why: Dropped) {
        let name = (letter.origin == Origin::Api.name(), letter.event_id.clone());
        if letter.origin != "file"
            && let Some(known) = accepted.get_mut(&name)
            && known.at <= letter.died_at
        {
            known.dropped = Some(why);
        }
    }

    /// An event goes nowhere.
    pub(super) fn forget(&mut self, seq: u64, event: &Event, why: Dropped) {
        let known = self.accepted.get_mut(&name(&event.origin, &event.event_id));
        if let Some(known) = known.filter(|known| known.seq == Some(seq)) {
            known.dropped = Some(why);
        }
    }

    /// Replays or discards dead letters that match.
    pub(in super::super) fn act(
        &mut self,
        replay: bool,
        matches: impl Fn(&Letter) -> bool,
        most: usize,
        now: Timestamp,
    ) -> Moved {
        let mut moved = Moved::default();
        let mut replayed = Vec::new();
        let accepted = &mut self.accepted;
        self.dead.retain(|letter| {
            if !matches(letter) {
                return true;
            }
            if replay && letter.event.is_none() {
                moved.impossible += 1;
                return true;
            }
            if moved.done == most as u64 {
                moved.more = true;
                return true;
            }
            moved.done += 1;
            if replay && let Some((draft, event)) = &letter.event {
                let stages = letter.stages.clone();
                let replayed_at = Some(now);
                let event = Event { retry_count: 0, stages, replayed_at, ..event.clone() };
                replayed.push((draft.clone(), event));
            } else {
                Self::note(accepted, letter, Dropped::Discarded);
            }
            false
        });
        for (draft, event) in replayed {
            let name = name(&event.origin, &event.event_id);
            let file = matches!(event.origin, Origin::File { .. });
            let body = if name.0 { event.fingerprint() } else { [0; 32] };
            let seq = Some(self.push(draft, event));
            if !file {
                // Remembered anew if it was forgotten.
                let anew = Accepted { body, at: now, seq, dropped: None };
                let known = self.accepted.entry(name).or_insert(anew);
                (known.seq, known.dropped) = (seq, None);
            }
        }
        moved
    }

    /// A step of an act that had this row of the log, and has that one now, did so much. The number
    /// is the store's own affair; that it is that of a new row, or of the same, is not.
    pub(in super::super) fn write_down(&mut self, began: Option<i64>, row: Option<i64>, done: u64) {
        if done == 0 {
            return;
        }
        match self.audit_rows.iter().position(|known| began.is_some() && *known == began) {
            Some(at) => self.audit[at] += done,
            None => {
                self.audit.push(done);
                self.audit_rows.push(row);
            }
        }
    }
}
