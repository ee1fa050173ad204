//! Numbers of the whole.

use crate::graph::Graph;
use rhiz_domain::fact::Day;

/// Up to so many relationships the average is worked out anew with every version; beyond, when
/// [`Graph::refresh_average`] is called.
const SMALL: usize = 50_000;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Average {
    version: u64,
    day: Day,
    value: f64,
}

/// Numbers of the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// That exist for the public.
    pub total_entities: usize,
    /// Live, not refused, not private, of active accounts.
    pub total_relationships: usize,
    /// Live, of active accounts, on nothing private.
    pub total_attestations: usize,
    /// Relationships (records) of pairs where both state one another.
    pub mutual_relationships: usize,
    /// Entities with at least one verified relationship.
    pub verified_entities: usize,
    /// The mean trust score of all entities that exist for the public; 0 with none.
    pub avg_trust_score: f64,
    /// The version of the graph that the average is of. Large graphs lag behind.
    pub avg_version: u64,
    /// Pairs with an edge that may be a hop.
    pub edges: usize,
}

/// Bytes held, names apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Pairs with an edge.
    pub edges: usize,
    /// What path queries read, in both directions.
    pub web: usize,
    /// Records, attestations, pairs and their indexes.
    pub facts: usize,
    /// Trusts, backings and sums.
    pub derived: usize,
}

impl Graph {
    /// Numbers of the whole. Cheap, but for the average of a small graph that has changed.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let small = self.state.read().derived.totals.relationships <= SMALL;
        let known = *self.average.lock();
        let average = match known {
            Some(known) if !small => known,
            Some(known) if (known.version, known.day) == (self.version(), self.as_of()) => known,
            _ => self.refresh_average(),
        };
        let state = self.state.read();
        Stats {
            total_entities: state.entities,
            total_relationships: state.derived.totals.relationships,
            total_attestations: state.attestations,
            mutual_relationships: state.derived.totals.mutual,
            verified_entities: state.derived.totals.verified_entities,
            avg_trust_score: average.value,
            avg_version: average.version,
            edges: self.web.load().len(),
        }
    }

    /// Works out the average trust score anew, for [`Graph::stats`]. About a second for a million
    /// edges.
    pub(crate) fn refresh_average(&self) -> Average {
        let (version, day) = (self.version(), self.as_of());
        let all = self.all_trust_metrics();
        let mut sum = crate::formula::Sum::default();
        for (_, metrics) in &all {
            sum += crate::formula::Sum::of(metrics.trust_score);
        }
        let value = if all.is_empty() { 0.0 } else { sum.value() / all.len() as f64 };
        let average = Average { version, day, value };
        *self.average.lock() = Some(average);
        average
    }

    /// Brings the average trust score up to date. To be called now and then, off the path of
    /// requests; see [`Stats::avg_version`].
    pub fn refresh(&self) {
        self.refresh_average();
    }

    /// Bytes held. Walks over everything: milliseconds for a large graph.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let copies = self.writer.lock().copies.bytes();
        let web = self.web.load_full();
        let state = self.state.read();
        Memory {
            edges: web.len(),
            web: web.bytes() + copies,
            facts: state.facts.bytes(),
            derived: state.derived.bytes(),
        }
    }
}
