//! Who an entity is connected to.

use crate::conviction::{Conviction, conviction_of};
use crate::facts::{Facts, NONE};
use crate::first::First;
use crate::formula::Trust;
use crate::graph::Graph;
use crate::search::{Filter, strength_from, trust_of_cost};
use rhiz_domain::Did;
use rhiz_domain::fact::{EntityId, RecordKey};
use std::cmp::{Ordering, Reverse};
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

/// A page of neighbours.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Neighbours {
    /// By trust, the largest first, then by DID.
    pub list: Vec<Neighbour>,
    /// Where the page ends, if there are more: what the next one comes after. (Who stood there
    /// may be gone by now.)
    pub next: Option<(f64, Did)>,
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

/// One who may be on the page.
struct Candidate {
    trust: Trust,
    id: u32,
    strength: u8,
    slot: u32,
}

impl Candidate {
    fn order(&self, other: &Self, facts: &Facts) -> Ordering {
        let place = |c: &Self| (Reverse(c.trust), facts.did(c.id));
        place(self).cmp(&place(other))
    }
}

/// Candidates looked at under one hold of the lock.
const CHUNK: usize = 1024;

impl Graph {
    /// The neighbours of an entity, by trust, the largest first, then by DID. `None` when it does
    /// not exist for the public. Who asks plays no part. Of many with the same trust, each is
    /// looked at once for a page, and only those on it are named.
    #[must_use]
    pub fn neighbours(&self, id: EntityId, query: &NeighbourQuery) -> Option<Neighbours> {
        if !self.exists(id) {
            return None;
        }
        let web = self.web.load_full();
        let filter = Filter::new(strength_from(query.min_strength), query.kinds.as_deref());
        // Cost falls with trust, but not strictly: whole groups of equal cost are put in order.
        let after = query.after.as_ref().map(|(trust, did)| (Reverse(Trust::new(*trust)), did));
        let from = after.map_or(0, |(Reverse(trust), _)| trust.cost().unwrap_or(u32::MAX));
        let mut edges: Vec<(u32, u32)> = Vec::new();
        filter.for_each(web.edges(id.0), |neighbour, cost| {
            if cost >= from {
                edges.push((cost, neighbour));
            }
            true
        });
        // Two sorted lists and a short third one: a stable sort merges them.
        edges.sort();
        // One more than asked for, to know whether there are more.
        let wanted = query.limit.saturating_add(1);
        let mut page: Vec<Candidate> = Vec::new();
        for group in edges.chunk_by(|a, b| a.0 == b.0) {
            if page.len() == wanted {
                break;
            }
            let mut first = First::new(wanted - page.len());
            for chunk in group.chunks(CHUNK) {
                let found = chunk.iter().filter_map(|&(cost, neighbour)| {
                    Some((cost, neighbour, filter.resolve(&web, id.0, neighbour, cost)?))
                });
                let found: Vec<(u32, u32, (u8, u32))> = found.collect();
                let state = self.state.read();
                let facts = &state.facts;
                for (cost, id, (strength, slot)) in found {
                    // A record that went since the web was taken has no pair.
                    let Some(did) = facts.did(id).filter(|_| facts.record(slot).pair != NONE)
                    else {
                        continue;
                    };
                    let now = state.derived.trust[slot as usize];
                    // A change since the web was taken: it stands where the web has it, or the
                    // next page would begin elsewhere.
                    let trust = if now.cost() == Some(cost) { now } else { trust_of_cost(cost) };
                    if after.is_none_or(|after| (Reverse(trust), did) > after) {
                        let candidate = Candidate { trust, id, strength, slot };
                        first.offer(candidate, &mut |a, b| a.order(b, facts));
                    }
                }
            }
            let state = self.state.read();
            page.extend(first.sorted(&mut |a, b| a.order(b, &state.facts)));
        }
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let more = page.len() > query.limit;
        page.truncate(query.limit);
        let last = page.last().filter(|_| more);
        let next = last.and_then(|c| Some((c.trust.value(), facts.did(c.id)?.clone())));
        let listed = page.iter().filter_map(|&Candidate { trust, id, strength, slot }| {
            let r = Some(facts.record(slot)).filter(|r| r.pair != NONE)?;
            Some(Neighbour {
                id: EntityId(id),
                did: facts.did(id)?.clone(),
                key: r.key(),
                strength,
                trust: trust.value(),
                kind: Arc::clone(facts.kinds.text(r.kind)),
                mutual: facts.pairs[r.pair as usize].mutual,
                conviction: conviction_of(facts, derived, slot),
            })
        });
        Some(Neighbours { list: listed.collect(), next })
    }
}
