//! Dead letters: what was given up, which of it is meant, and what operators did to it.

use crate::{Did, EventId, EventType, Priority, Stage};
use jiff::Timestamp;
use std::fmt;

/// An event or an input that is given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number among the dead letters.
    pub id: i64,
    /// The event's name.
    pub event_id: EventId,
    /// What it was, if known.
    pub event_type: Option<EventType>,
    /// Who caused it, if known.
    pub did: Option<Did>,
    /// How urgent it was.
    pub priority: Priority,
    /// Attempts that failed.
    pub retry_count: u32,
    /// When it was first accepted or came, however often it was replayed since.
    pub accepted_at: Timestamp,
    /// When it was given up.
    pub died_at: Timestamp,
    /// What was done.
    pub stages: Vec<Stage>,
    /// Why it was given up.
    pub last_error: String,
    /// Its payload, or the raw input as it came.
    pub payload: Vec<u8>,
    /// Where it came from: api, jetstream, file.
    pub origin: String,
    /// It was an event, not an input that became none.
    pub replayable: bool,
}

/// Which dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Only of this type.
    pub event_type: Option<EventType>,
    /// Only caused by this DID.
    pub did: Option<Did>,
    /// Only given up at or after.
    pub since: Option<Timestamp>,
    /// Only given up before.
    pub until: Option<Timestamp>,
    /// Only with a smaller [`DeadLetter::id`]: what follows a page, or was there at a moment.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

/// As the audit log says it.
impl fmt::Display for DeadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.event_type.map_or("any", EventType::as_str);
        let did = self.did.as_ref().map_or("anyone", Did::as_str);
        write!(f, "type={kind} did={did}")?;
        for (name, time) in [("since", self.since), ("until", self.until)] {
            match time {
                Some(time) => write!(f, " {name}={time}")?,
                None => write!(f, " {name}=any")?,
            }
        }
        Ok(())
    }
}

/// Which dead letters something is done to.
#[derive(Debug, Clone)]
pub enum DeadSelection {
    /// Those with these numbers ([`DeadLetter::id`]), found without a search.
    Letters(Vec<i64>),
    /// Those of these events.
    Events(Vec<EventId>),
    /// All that match; `limit` plays no part.
    Filter(DeadFilter),
}

/// What an operator does to dead letters.
///
/// Law: one act is one row of the audit log, and the row counts what was really done. Its first
/// step that does anything writes the row, every later one adds to its count, each in the
/// transaction that moves the letters. Example: a server dies in the third step of a replay; the
/// row says how many letters the first two moved, and those are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Who, as far as that is known.
    pub by: String,
    /// What it is about; when it is not said, the names of the first letters that it moved.
    pub subject: Option<String>,
    /// Its row of the audit log, once there is one.
    pub row: Option<i64>,
}

impl Act {
    /// One that is about to begin.
    #[must_use]
    pub fn by(who: &str) -> Self {
        Self { by: who.to_owned(), subject: None, row: None }
    }

    /// About this.
    #[must_use]
    pub fn about(self, subject: impl fmt::Display) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }
}

/// What was done to dead letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Dead letters it was done to.
    pub done: u64,
    /// Those it cannot be done to: inputs that never became an event cannot be replayed.
    pub impossible: u64,
    /// There are more that match.
    pub more: bool,
}

/// One act of an operator.
#[derive(Debug, Clone)]
pub struct AuditRow {
    /// Its number in the log.
    pub id: i64,
    /// When it began.
    pub at: Timestamp,
    /// `replay`, `discard`, `pause` or `resume`.
    pub action: String,
    /// Who, as far as that is known.
    pub by: String,
    /// To what.
    pub subject: String,
    /// To how many, so far.
    pub count: u64,
}

/// A page of the audit log.
#[derive(Debug, Clone, Default)]
pub struct AuditPage {
    /// This page, newest first.
    pub rows: Vec<AuditRow>,
    /// There are more behind the last one.
    pub more: bool,
}

/// A page of dead letters.
#[derive(Debug, Clone, Default)]
pub struct DeadPage {
    /// All that match, on every page.
    pub count: u64,
    /// Those of them that can be replayed.
    pub replayable: u64,
    /// When the first of all that match was given up.
    pub oldest: Option<Timestamp>,
    /// Inputs that were only counted, because their DID had too many.
    pub uncounted: u64,
    /// This page.
    pub letters: Vec<DeadLetter>,
    /// There are more behind the last one.
    pub more: bool,
}
