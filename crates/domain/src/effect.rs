//! What an event does to the index: a merge, so that order and repetition do not matter.

use crate::{
    fact::Day,
    records::{Collection, Record},
    syntax::{Did, Handle, Tid},
    version::Version,
};
use jiff::Timestamp;
use std::sync::Arc;

/// What to merge into the index. Each kind is commutative, associative and idempotent: a record by
/// the greatest [`Version`], an account and an identity by the greatest time, a floor by the
/// greatest TID. That is why retries, priorities and several nodes may reorder events freely.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A record was written or deleted.
    Record(Arc<RecordWrite>),
    /// An account changed its status.
    Account {
        /// Whose.
        did: Did,
        /// Since when; the greatest wins, on a tie the inactive one.
        time: Timestamp,
        /// Usable.
        active: bool,
        /// `takendown`, `suspended`, `deleted`, `deactivated`, …
        status: Option<String>,
    },
    /// A DID document or handle changed.
    Identity {
        /// Whose.
        did: Did,
        /// Since when; the greatest wins.
        time: Timestamp,
        /// A handle that the source claims. Not verified.
        handle: Option<Handle>,
    },
    /// Scores of somebody are to be computed anew.
    Invalidate {
        /// Whose.
        did: Did,
    },
}

/// A record, or its tombstone.
#[derive(Debug, Clone)]
pub struct RecordWrite {
    /// The repo.
    pub owner: Did,
    /// The collection.
    pub collection: Collection,
    /// The key; [`Tid::ZERO`] for `self`.
    pub rkey: Tid,
    /// What wrote it.
    pub version: Version,
    /// The CID the source gave, when it is not the one of the canonical form.
    pub cid: Option<String>,
    /// The canonical record as JSON text; `None` for a delete.
    pub body: Option<Arc<str>>,
    /// The record, read; `None` for a delete.
    pub record: Option<Record>,
    /// It was proven against the repo's signature.
    pub verified: bool,
}

impl RecordWrite {
    /// The smaller of a date stated and the time in the rev: nothing comes from the future.
    #[must_use]
    pub fn effective(&self, stated: Timestamp) -> Timestamp {
        stated.min(self.version.rev.time())
    }

    /// The UTC day of [`Self::effective`].
    #[must_use]
    pub fn effective_day(&self, stated: Timestamp) -> Day {
        crate::fact::day_of(self.effective(stated))
    }
}
