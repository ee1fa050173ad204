//! What a store promises: a durable journal, and an index merged from it.
//!
//! Two laws hold for every implementation, and its conformance suite (`testkit::store`) tries to
//! break them:
//!
//! * **Accept means flushed.** [`Journal::append`] answers after its events, dead letters and
//!   cursor are on disk, all of them in one transaction. Example: a reader appends ten events and
//!   the cursor behind them; after a power cut either all eleven are there, or none.
//! * **Effect and acknowledgement are one transaction.** [`Claimed::settle`] merges an event's
//!   effect and removes the event from the journal, or does neither. Example: a `kill -9` between
//!   the two statements leaves the event waiting and the index untouched.

mod dead;
mod index;
mod journal;

pub use crate::rebuild::{Mended, Rebuild, Rebuilt};
pub use dead::{Act, AuditPage, AuditRow, DeadFilter, DeadLetter, DeadPage, DeadSelection, Moved};
pub use index::{Counts, EntityRow, Facts, Index, ProfileRow, Progress, RecordRow};
pub use journal::{
    Claimed, Cursor, Depths, Dropped, Intake, Journal, LEASE_BEAT, LEASE_STALE, Leased,
    MOST_CLAIMED, Place, Quota, Receipt, Rejected, SettleError, Settlement, Verdict, Whereabouts,
};

use crate::ChangeSet;
use async_trait::async_trait;

/// Why a store could not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It may work later: locked, disk full, unreachable. The text says in a sentence of ours what
    /// to do about it; callers with a key may see it.
    #[error("the database cannot be used at the moment: {0}")]
    Unavailable(String),
    /// The database was written by a newer version of this program.
    #[error(
        "the database has schema version {found}, this program knows up to {known}: use the newer program that made it, or another data directory"
    )]
    Newer {
        /// Version of the schema found.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// What is stored cannot be read: damage, or a bug.
    #[error("the database holds something that cannot be read: {0}")]
    Corrupt(String),
    /// The store is closing.
    #[error("the store is closed")]
    Closed,
    /// The lease under which it was to be done had run out: the event is in other hands.
    #[error("the lease has run out, and the event is in other hands")]
    Fenced,
}

/// What a store cannot do at the moment, and why.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Unusable {
    /// Neither read nor, as far as anybody knows, written.
    #[error("it cannot be read: {0}")]
    Unreadable(#[source] StoreError),
    /// It can be read.
    #[error("it cannot be written: {0}")]
    Unwritable(#[source] StoreError),
}

/// Why events were not accepted. Nothing of the intake is stored then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// An `event_id` was used before, for something else.
    #[error("the event_id of item {index} was used before with another body")]
    Conflict {
        /// Which of the events, from 0.
        index: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A whole store.
#[async_trait]
pub trait Store: Journal + Index {
    /// The changes of every commit, in the order of commits. Can be taken once.
    fn changes(&self) -> Option<ChangeReceiver>;

    /// The number of the last committed change.
    fn last_change(&self) -> u64;

    /// Whether it can be read and written now.
    async fn ping(&self) -> Result<(), Unusable>;

    /// Looks whether all that is stored holds together, below what records mean, and changes
    /// nothing. Answers with what is wrong, a sentence each; not all of it where there is much.
    /// Reads everything: for `rhiz doctor`.
    ///
    /// Errors: it cannot be read at all.
    async fn check(&self) -> Result<Vec<String>, StoreError>;

    /// Finishes what is being written, and closes.
    async fn close(&self);
}

/// Where changes come out, in order, for a thread of its own. Ends when the store is closed.
pub type ChangeReceiver = std::sync::mpsc::Receiver<ChangeSet>;
