//! Who an entity is connected to.

use crate::conviction::{Conviction, conviction_of};
use crate::formula::Trust;
use crate::graph::Graph;
use crate::search::{Filter, strength_from};
use rhiz_domain::Did;
use rhiz_domain::fact::{EntityId, RecordKey};
use std::cmp::Reverse;
use std::sync::Arc;

/// Which neighbours are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NeighbourQuery {
    /// 0.0–1.0: the least strength of the edge.
    pub min_strength: f64,
    /// The types the edge may have; all, if `None`.
    pub kinds: Option<Vec<String>>,
    /// How many, at most.
    pub limit: usize,
    /// After this one: trust and DID of the last one of the page before.
    pub after: Option<(f64, Did)>,
}

/// A counterpart with a usable edge.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour {
    /// Who.
    pub id: EntityId,
    /// Their DID.
    pub did: Did,
    /// The record that is the edge.
    pub key: RecordKey,
    /// 0–100.
    pub strength: u8,
    /// t, 0.0–1.0.
    pub trust: f64,
    /// The record's type.
    pub kind: Arc<str>,
    /// Both state one another.
    pub mutual: bool,
    /// Of the record.
    pub conviction: Conviction,
}

impl Graph {
    /// The neighbours of an entity, by trust, the largest first, then by DID. `None` when it does
    /// not exist for the public. Who asks plays no part.
    #[must_use]
    pub fn neighbours(&self, id: EntityId, query: &NeighbourQuery) -> Option<Vec<Neighbour>> {
        if !self.exists(id) {
            return None;
        }
        let web = self.web.load_full();
        let filter = Filter::new(strength_from(query.min_strength), query.kinds.as_deref());
        let mut edges: Vec<(u32, u32)> = Vec::new();
        filter.for_each(web.edges(id.0), |neighbour, cost| {
            edges.push((cost, neighbour));
            true
        });
        edges.sort_unstable();
        // Cost falls with trust, but not strictly: whole groups of equal cost are put in order.
        let after = query.after.as_ref().map(|(trust, did)| (Reverse(Trust::new(*trust)), did));
        let from = after.map_or(0, |(Reverse(trust), _)| {
            trust.cost().map_or(edges.len(), |c| edges.partition_point(|e| e.0 < c))
        });
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let mut page: Vec<(Trust, Did, u32, u8, u32)> = Vec::new();
        for group in edges[from..].chunk_by(|a, b| a.0 == b.0) {
            if page.len() >= query.limit {
                break;
            }
            let start = page.len();
            for &(cost, neighbour) in group {
                let Some((strength, slot)) = filter.resolve(&web, id.0, neighbour, cost) else {
                    continue;
                };
                let Some(did) = facts.did(neighbour).cloned() else { continue };
                let trust = derived.trust[slot as usize];
                if after.is_none_or(|after| (Reverse(trust), &did) > after) {
                    page.push((trust, did, neighbour, strength, slot));
                }
            }
            page[start..].sort_unstable_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
        }
        page.truncate(query.limit);
        // A record that went since the web was taken has no pair; it is not listed any more.
        let listed = page.into_iter().filter(|p| facts.record(p.4).pair != crate::facts::NONE);
        Some(
            listed
                .map(|(trust, did, neighbour, strength, slot)| {
                    let r = facts.record(slot);
                    Neighbour {
                        id: EntityId(neighbour),
                        did,
                        key: r.key(),
                        strength,
                        trust: trust.value(),
                        kind: Arc::clone(facts.kinds.text(r.kind)),
                        mutual: facts.pairs[r.pair as usize].mutual,
                        conviction: conviction_of(facts, derived, slot),
                    }
                })
                .collect(),
        )
    }
}
