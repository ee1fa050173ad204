//! The sums that shares are entered into.

use crate::formula::{self, Sum};

/// The sums behind one entity's scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Σ s·d over counterparts received from.
    pub(crate) received_strength: Sum,
    /// Σ q and Σ q·t of N₁.
    pub(crate) weight: Sum,
    pub(crate) weighted_trust: Sum,
    /// Counterparts received from.
    pub(crate) received: u32,
    pub(crate) recent: u32,
    /// Counterparts stated by it.
    pub(crate) stated: u32,
    pub(crate) mutual: u32,
    /// Counterparts with a counted record.
    pub(crate) counterparts: u32,
    /// Counterparts received from with a verified record.
    pub(crate) verified: u32,
    pub(crate) records: u32,
    pub(crate) verified_records: u32,
    /// Counted records with an interaction in the last 30 days.
    pub(crate) interactions: u32,
}

impl Tally {
    /// Something of its beginning and of its end: afterwards all of it is in the cache.
    pub(super) fn fetch(&self) -> u64 {
        self.received_strength.low_bits() ^ u64::from(self.interactions)
    }

    /// All of it, for hashing.
    pub(crate) fn fields(&self) -> impl std::hash::Hash {
        (
            [self.received_strength, self.weight, self.weighted_trust],
            [self.received, self.recent, self.stated, self.mutual, self.counterparts],
            [self.verified, self.records, self.verified_records, self.interactions],
        )
    }

    pub(crate) fn reputation(&self) -> f64 {
        formula::shrunk(self.received_strength.value(), self.received)
    }

    pub(crate) fn reciprocity(&self) -> f64 {
        formula::shrunk(f64::from(self.mutual), self.stated)
    }

    pub(crate) fn consistency(&self) -> f64 {
        formula::consistency(self.recent, self.received)
    }

    pub(crate) fn standing(&self) -> f64 {
        formula::standing(self.reputation(), self.reciprocity(), self.consistency())
    }

    pub(crate) fn verification_ratio(&self) -> f64 {
        if self.received == 0 { 0.0 } else { f64::from(self.verified) / f64::from(self.received) }
    }

    pub(crate) fn direct(&self) -> f64 {
        let [a, b, c, d] = formula::DIRECT_WEIGHTS;
        a * self.reputation()
            + b * self.reciprocity()
            + c * self.consistency()
            + d * self.verification_ratio()
    }

    /// N₁.
    pub(crate) fn network_1(&self) -> f64 {
        let q = self.weight.value();
        if q > 0.0 { self.weighted_trust.value() / q } else { 0.0 }
    }
}

/// Numbers of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Totals {
    /// Counted records.
    pub(crate) relationships: usize,
    /// Counted records of mutual pairs.
    pub(crate) mutual: usize,
    /// Entities with a verified record received.
    pub(crate) verified_entities: usize,
}
