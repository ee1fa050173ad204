//! Who somebody trusts, and through whom: random walks from the viewer along statements.
//!
//! A walk goes from an entity to one it states something about, with a chance in proportion to
//! the statement's trust, and ends with a chance of 15 % at each step. What nobody within reach
//! states anything about is never reached: fakes that praise one another gain nothing.
//!
//! Every choice is drawn from a hash of the walk, the step and the two DIDs, as a race in which
//! each candidate's time depends on nothing but itself. So the walks are the same on every node,
//! and a change of some entities changes only the walks that pass through them: these are walked
//! again from there ([`Ranking::update`]), and the outcome is that of walking all of them again.

use crate::facts::Facts;
use crate::graph::Graph;
use crate::state::State;
use rhiz_domain::Did;
use rhiz_domain::fact::{Consent, EntityId};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A walk ends at a step with this chance.
const END: f64 = 0.15;
const LONGEST: usize = 20;

/// The walks of one viewer.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    viewer: EntityId,
    walks: Vec<Vec<u32>>,
    visits: HashMap<u32, u32>,
}

/// A number in 0–1, never 0.
fn draw(what: impl Hash) -> f64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    ((hasher.finish() >> 11) + 1) as f64 / (1u64 << 53) as f64
}

fn name(facts: &Facts, id: u32) -> &str {
    facts.did(id).map_or("", Did::as_str)
}

/// Whom `x` states something about, with the statement's trust. What is anonymous is left out:
/// a ranking names.
fn stated(state: &State, x: u32) -> Vec<(u32, f64)> {
    let (facts, derived) = (&state.facts, &state.derived);
    let pairs = facts.person(x).map_or(&[][..], |p| &p.pairs);
    pairs
        .iter()
        .filter(|&&pair| facts.pairs[pair as usize].consent != Consent::Anonymous)
        .filter_map(|&pair| {
            let own = facts.counted_of(pair).filter(|&slot| facts.record(slot).owner == x);
            let trust = own.map(|slot| derived.trust[slot as usize]).max()?;
            let y = facts.pairs[pair as usize].other(x);
            (trust.value() > 0.0).then_some((y, trust.value()))
        })
        .collect()
}

impl Ranking {
    /// Walks `walks` times from a viewer. A few thousand tell the first hundred apart.
    #[must_use]
    pub fn new(graph: &Graph, viewer: EntityId, walks: usize) -> Self {
        let mut ranking =
            Self { viewer, walks: vec![vec![viewer.0]; walks], visits: HashMap::new() };
        ranking.walk_on(graph, |_| true);
        ranking
    }

    /// Walks again what passes through an entity whose statements (or those about whom) changed.
    pub fn update(&mut self, graph: &Graph, changed: &[EntityId]) {
        let changed: HashSet<u32> = changed.iter().map(|id| id.0).collect();
        for walk in &mut self.walks {
            if let Some(at) = walk.iter().position(|id| changed.contains(id)) {
                for id in walk.drain(at + 1..) {
                    // Every entity on a walk was counted.
                    if let Some(visits) = self.visits.get_mut(&id) {
                        *visits -= 1;
                    }
                }
            }
        }
        self.visits.retain(|_, visits| *visits > 0);
        self.walk_on(graph, |walk: &Vec<u32>| walk.last().is_some_and(|id| changed.contains(id)));
    }

    fn walk_on(&mut self, graph: &Graph, which: impl Fn(&Vec<u32>) -> bool) {
        let mut known: HashMap<u32, Vec<(u32, f64)>> = HashMap::new();
        for number in 0..self.walks.len() {
            let walk = &mut self.walks[number];
            if !which(walk) {
                continue;
            }
            let state = graph.state.read();
            let facts = &state.facts;
            while let Some(&x) = walk.last() {
                let step = walk.len();
                let here = name(facts, x);
                if step > LONGEST || draw((number, step, here)) < END {
                    break;
                }
                let all = known.entry(x).or_insert_with(|| stated(&state, x));
                let time = |&(y, trust): &(u32, f64)| {
                    -draw((number, step, here, name(facts, y))).ln() / trust
                };
                let first = all.iter().map(|edge| (time(edge), edge.0));
                let Some((_, y)) = first.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
                walk.push(y);
                *self.visits.entry(y).or_default() += 1;
            }
        }
    }

    /// Everyone who was reached, with the mean number of visits in a walk; the most visited
    /// first, then by number. The viewer is left out.
    #[must_use]
    pub fn ranked(&self) -> Vec<(EntityId, f64)> {
        let mut all: Vec<(EntityId, f64)> = self
            .visits
            .iter()
            .filter(|(id, _)| **id != self.viewer.0)
            .map(|(&id, &visits)| (EntityId(id), f64::from(visits) / self.walks.len() as f64))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all
    }

    /// Through whom somebody was reached: the entities that walks came from, the most frequent
    /// first, with their share.
    #[must_use]
    pub fn through(&self, id: EntityId) -> Vec<(EntityId, f64)> {
        let mut from: HashMap<u32, u32> = HashMap::new();
        let steps = self.walks.iter().flat_map(|walk| walk.windows(2));
        for step in steps.filter(|step| step[1] == id.0) {
            *from.entry(step[0]).or_default() += 1;
        }
        let all = f64::from(from.values().sum::<u32>().max(1));
        let mut from: Vec<(EntityId, f64)> =
            from.into_iter().map(|(id, n)| (EntityId(id), f64::from(n) / all)).collect();
        from.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        from
    }
}
