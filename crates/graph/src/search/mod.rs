//! Paths: the question, the answer, and who computes it.
//!
//! Called through [`Graph::find_paths`]. A search reads one web from start to end and takes no
//! lock while it runs, but for a moment where two paths are equal in all but their URIs, and at
//! its end, to name the records it found.

mod bidirectional;
mod filter;
mod order;
mod several;
mod task;
mod walks;

pub(crate) use filter::Filter;

use crate::formula::Trust;
use crate::graph::Graph;
use crate::web::Web;
use order::{Shortest, Strongest};
use parking_lot::Mutex;
use rhiz_domain::fact::{EntityId, RecordKey};
use several::{Memory, Question, Way};
use std::sync::Arc;

/// What makes one path better than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// The largest product of trust; then fewer hops, then the smaller list of URIs.
    #[default]
    Strongest,
    /// The fewest hops; then the largest product, then the smaller list of URIs.
    Shortest,
}

/// A question for paths. Who asks plays no part: what is private is on no path, what is anonymous
/// is no hop for anyone, and what is for the network counts for all.
#[derive(Debug, Clone, PartialEq)]
pub struct PathQuery {
    /// One end.
    pub from: EntityId,
    /// The other end.
    pub to: EntityId,
    /// 1–10.
    pub max_hops: u8,
    /// 0.0–1.0: the least strength of an edge.
    pub min_strength: f64,
    /// The types an edge may have; all, if `None`.
    pub kinds: Option<Vec<String>>,
    /// May not be on the path.
    pub exclude: Vec<EntityId>,
    /// What is better.
    pub algorithm: Algorithm,
    /// How many paths, at most: 1–10.
    pub k: usize,
}

impl PathQuery {
    /// The default question: the strongest path of at most 6 hops over strengths from 0.5.
    #[must_use]
    pub fn new(from: EntityId, to: EntityId) -> Self {
        Self {
            from,
            to,
            max_hops: 6,
            min_strength: 0.5,
            kinds: None,
            exclude: Vec::new(),
            algorithm: Algorithm::Strongest,
            k: 1,
        }
    }
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq)]
pub struct Hop {
    /// Nearer to the path's start.
    pub from: EntityId,
    /// Nearer to its end.
    pub to: EntityId,
    /// The record that is the edge.
    pub key: RecordKey,
    /// 0–100.
    pub strength: u8,
    /// The edge's t, 0.0–1.0.
    pub trust: f64,
    /// The record's type.
    pub kind: Arc<str>,
}

/// A path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// From `from` to `to`; at least one.
    pub hops: Vec<Hop>,
    /// The product of the hops' trust.
    pub total_strength: f64,
}

/// Why there is no answer. (That there is no path is an answer: an empty list.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// From = to.
    #[error("a path needs two different ends")]
    SameEnds,
    /// Not told of, not active, or known to nobody.
    #[error("entity {} is not known", .0.0)]
    UnknownEntity(EntityId),
    /// A limit outside what is allowed.
    #[error("{field} has to be {allowed}")]
    OutOfRange {
        /// Which field of the question.
        field: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// `go_on` said no.
    #[error("the search ran out of time")]
    TimeLimit,
}

/// What would have to be relaxed for there to be a path; each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Relax {
    /// With this (lower) strength, 0.0–1.0.
    pub min_strength: Option<f64>,
    /// With so many hops.
    pub max_hops: Option<u8>,
}

/// Bytes for what a search has reached, beyond which its memory is given back.
const LARGEST: usize = 64 << 20;

/// Memory of searches that are over, for those to come: of no more than can run at a time.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<Memory>>);

impl Pool {
    fn with<T>(&self, work: impl FnOnce(&mut Memory) -> T) -> T {
        let mut memory = self.0.lock().pop().unwrap_or_default();
        let answer = work(&mut memory);
        let mut kept = self.0.lock();
        if kept.len() < crate::parallel::cores() && memory.grown() <= LARGEST {
            kept.push(memory);
        }
        answer
    }
}

/// The smallest whole strength that is at least this fraction.
pub(crate) fn strength_from(fraction: f64) -> u8 {
    (0..=100).find(|&n| f64::from(n) / 100.0 >= fraction).unwrap_or(101)
}

impl Graph {
    /// The best paths between two, best first; none is an empty list. Exact.
    ///
    /// `go_on` is asked at the start and every 128 steps; when it says no, the answer is
    /// [`PathError::TimeLimit`].
    pub fn find_paths(
        &self,
        query: &PathQuery,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Path>, PathError> {
        check(query)?;
        self.paths(query, go_on)
    }

    /// As [`Self::find_paths`], of a question that was checked but may ask for more paths.
    pub(crate) fn paths(
        &self,
        query: &PathQuery,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Path>, PathError> {
        {
            let state = self.state.read();
            for id in [query.from, query.to] {
                if !state.facts.exists(id.0) {
                    return Err(PathError::UnknownEntity(id));
                }
            }
        }
        let web = self.web.load_full();
        let min_strength = strength_from(query.min_strength);
        let filter = Filter::new(min_strength, query.kinds.as_deref());
        let found = self.search(&web, &filter, query, go_on)?;
        Ok(found.iter().map(|way| self.path(&web, &filter, way)).collect())
    }

    /// What would have to be relaxed for a question that has no answer. Tells what can be told
    /// while `go_on` agrees.
    pub fn relax(&self, query: &PathQuery, go_on: &mut dyn FnMut() -> bool) -> Relax {
        let mut relax = Relax::default();
        if check(query).is_err() {
            return relax;
        }
        let web = self.web.load_full();
        let wider = PathQuery { k: 1, algorithm: Algorithm::Shortest, ..query.clone() };
        if query.max_hops < 10 {
            let filter = Filter::new(strength_from(query.min_strength), query.kinds.as_deref());
            let longer = PathQuery { max_hops: 10, ..wider.clone() };
            if let Ok(found) = self.search(&web, &filter, &longer, go_on)
                && let Some(way) = found.first()
            {
                relax.max_hops = u8::try_from(way.slots.len()).ok();
            }
        }
        if query.min_strength > 0.0 {
            let filter = Filter::new(0, query.kinds.as_deref());
            if let Ok(found) = self.search(&web, &filter, &wider, go_on)
                && let Some(way) = found.first()
            {
                let hops = self.path(&web, &filter, way).hops;
                let weakest = hops.iter().map(|hop| hop.strength).min();
                relax.min_strength = weakest.map(|s| f64::from(s) / 100.0);
            }
        }
        relax
    }

    fn search(
        &self,
        web: &Web,
        filter: &Filter<'_>,
        query: &PathQuery,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Way>, PathError> {
        let excluded: Vec<u32> = query.exclude.iter().map(|id| id.0).collect();
        let question = Question {
            web,
            filter,
            from: query.from.0,
            to: query.to.0,
            max_hops: u32::from(query.max_hops),
            excluded: &excluded,
            compare: &|a, b| self.state.read().facts.compare_uris(a, b),
        };
        self.pool
            .with(|scratch| match query.algorithm {
                Algorithm::Strongest => question.best::<Strongest>(query.k, scratch, go_on),
                Algorithm::Shortest => question.best::<Shortest>(query.k, scratch, go_on),
            })
            .map_err(|_| PathError::TimeLimit)
    }

    fn path(&self, web: &Web, filter: &Filter<'_>, Way { nodes, slots }: &Way) -> Path {
        let state = self.state.read();
        let mut trusts: Vec<Trust> = Vec::with_capacity(slots.len());
        let hops = nodes
            .windows(2)
            .zip(slots)
            .map(|(ends, &slot)| {
                let record = state.facts.record(slot);
                let cost = filter.edge(web, ends[0], ends[1]).map_or(0, |(cost, _)| cost);
                let strength = filter
                    .resolve(web, ends[0], ends[1], cost)
                    .map_or(record.strength, |(strength, _)| strength);
                let now = state.derived.trust[slot as usize];
                // A change since the search began: what the search saw, to six digits.
                let trust = if now.cost() == Some(cost) { now } else { trust_of_cost(cost) };
                trusts.push(trust);
                let seen = filter.kind(web, (ends[0], ends[1]), (cost, slot), &state.facts.kinds);
                let kind = seen.unwrap_or_else(|| state.facts.kinds.text(record.kind).clone());
                Hop {
                    from: EntityId(ends[0]),
                    to: EntityId(ends[1]),
                    key: record.key(),
                    strength,
                    trust: trust.value(),
                    kind,
                }
            })
            .collect();
        // Multiplied in an order of its own, so that both directions give the same bits.
        trusts.sort_unstable();
        let total_strength = trusts.iter().map(|t| t.value()).product();
        Path { hops, total_strength }
    }
}

/// A trust of this cost: to six digits what it was.
pub(crate) fn trust_of_cost(cost: u32) -> Trust {
    Trust::new((-f64::from(cost) / f64::from(1 << 20)).exp())
}

pub(crate) fn check(query: &PathQuery) -> Result<(), PathError> {
    let out = |field, allowed| Err(PathError::OutOfRange { field, allowed });
    if query.from == query.to {
        return Err(PathError::SameEnds);
    }
    if !(1..=10).contains(&query.max_hops) {
        return out("max_hops", "1 to 10");
    }
    if !(1..=10).contains(&query.k) {
        return out("k", "1 to 10");
    }
    if !(0.0..=1.0).contains(&query.min_strength) {
        return out("min_strength", "0.0 to 1.0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_keeps_no_more_than_can_run_at_a_time() {
        fn nested(pool: &Pool, depth: usize) {
            if depth > 0 {
                pool.with(|_| nested(pool, depth - 1));
            }
        }
        let pool = Pool::default();
        nested(&pool, crate::parallel::cores() + 3);
        assert_eq!(pool.0.lock().len(), crate::parallel::cores());
        pool.0.lock().clear();
        pool.with(|memory| *memory = Memory::of_bytes(LARGEST + 4));
        assert_eq!(pool.0.lock().len(), 0, "what has grown too large is given back");
    }
}
