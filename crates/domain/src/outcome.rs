//! What becomes of an event that was worked on: values, never an error that falls through.

use crate::{Effect, Invalid};
use jiff::Timestamp;

/// A processor's answer. Nothing else decides what becomes of an event.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Write this, in the same transaction as the removal from the journal.
    Done(Effect),
    /// It may work later: after a wait, until the retries are used up.
    Retry {
        /// Why it did not work.
        reason: String,
    },
    /// Not yet; this is no failure and counts as none.
    Snooze {
        /// When to come back.
        until: Timestamp,
    },
    /// It never will: to the dead letters at once.
    Bury {
        /// Why.
        reason: String,
    },
}

impl From<Result<Effect, Invalid>> for Outcome {
    fn from(result: Result<Effect, Invalid>) -> Self {
        match result {
            Ok(effect) => Self::Done(effect),
            Err(invalid) => Self::Bury { reason: invalid.to_string() },
        }
    }
}
