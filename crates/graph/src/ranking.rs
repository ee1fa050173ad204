//! Who somebody trusts, and through whom: random walks from the viewer along statements.
//!
//! A walk goes from an entity to one it states something about, with a chance in proportion to
//! the statement's trust, and ends with a chance of 15 % at each step. What nobody within reach
//! states anything about is never reached: fakes that praise one another gain nothing.
//!
//! Every choice is drawn from a hash of the walk, the step and the DIDs, so the walks are the same
//! on every node. A step is a function of what the entity it starts from states, and of nothing
//! else: so a change of some entities changes only the walks that pass through them. These are
//! walked again from there ([`Ranking::update`]), and the outcome is that of walking all of them
//! anew.
//!
//! **The choice.** Candidates stand in the order of a hash of their DIDs, in a binary tree: at
//! each bit in which hashes differ the way forks, and which way is taken is drawn, by the trust on
//! either side, from a hash of its own for each fork. A statement more or less touches only the
//! forks above it, so it moves a share of the walks of about its own share of the trust, times the
//! depth; with a plain list of sums it would shift all that come behind it. A step costs the depth
//! of the tree; the sums are made once for each entity.

use crate::facts::Facts;
use crate::graph::Graph;
use crate::state::State;
use parking_lot::RwLockReadGuard;
use rhiz_domain::Did;
use rhiz_domain::fact::{Consent, EntityId};
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A walk ends at a step with this chance.
const END: f64 = 0.15;
const LONGEST: usize = 20;
/// Statements looked at, or steps walked, after which a waiting change goes first and the time is
/// looked at.
const WORK_PER_HOLD: usize = 1024;

/// The walks of one viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranking {
    viewer: u32,
    /// All walks, one behind the other; each begins with the viewer.
    steps: Vec<u32>,
    /// Where each walk ends.
    ends: Vec<u32>,
    /// Which walks are not at their end yet.
    open: Vec<bool>,
}

/// Somebody whom walks have reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reached {
    /// Who.
    pub id: EntityId,
    /// Mean number of visits in a walk.
    pub visits: f64,
    /// From whom walks came most often (of several, the smallest number), and the share.
    pub through: Option<(EntityId, f64)>,
}

fn hash(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Scatters the bits of a number (the last steps of SplitMix64).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The hash of somebody's DID; of the number where it was not told.
fn name(facts: &Facts, id: u32) -> u64 {
    facts.did(id).map_or_else(|| hash(id), |did| hash(Did::as_str(did)))
}

/// Whom `x` states something about in a pair, and the statement's trust. What is anonymous is left
/// out: a ranking names.
fn stated(State { facts, derived, .. }: &State, x: u32, pair: u32) -> Option<(u32, u64)> {
    let p = &facts.pairs[pair as usize];
    if p.consent == Consent::Anonymous {
        return None;
    }
    let own = facts.counted_of(pair).filter(|&slot| facts.record(slot).owner == x);
    let trust = own.map(|slot| derived.trust[slot as usize]).max()?.units();
    (trust > 0).then(|| (p.other(x), trust))
}

/// Whom one entity states something about, ready to be chosen from.
struct Choice {
    /// In order.
    names: Vec<u64>,
    whom: Vec<u32>,
    /// Of the trust of all before: one more than there are names.
    sums: Vec<u64>,
}

impl Choice {
    fn new(mut edges: Vec<(u64, u32, u64)>) -> Self {
        edges.sort_unstable();
        let mut sums = Vec::with_capacity(edges.len() + 1);
        let mut sum = 0u64;
        sums.push(sum);
        sums.extend(edges.iter().map(|edge| {
            sum = sum.saturating_add(edge.2);
            sum
        }));
        let (names, whom) = edges.into_iter().map(|(name, y, _)| (name, y)).unzip();
        Self { names, whom, sums }
    }

    /// One of them; `None` when there is nobody.
    fn draw(&self, seed: u64) -> Option<u32> {
        let (mut from, mut to) = (0, self.names.len());
        while to - from > 1 {
            let differ = self.names[from] ^ self.names[to - 1];
            // Two DIDs with one hash: the smaller number stands for both.
            let Some(bit) = differ.checked_ilog2().map(|bit| 1u64 << bit) else { break };
            let right = from + self.names[from..to].partition_point(|name| name & bit == 0);
            // No two forks of a tree have this number: what the names below share, and where.
            let fork = (self.names[from] & !(bit | (bit - 1))) | bit;
            let (all, left) = (self.sums[to] - self.sums[from], self.sums[right] - self.sums[from]);
            let drawn = (u128::from(mix(seed ^ mix(fork))) * u128::from(all)) >> 64;
            if drawn < u128::from(left) { to = right } else { from = right }
        }
        self.whom.get(from).copied()
    }
}

/// A look at the state that lets changes go first now and then, and minds the time.
struct Reading<'a> {
    state: RwLockReadGuard<'a, State>,
    work: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl Reading<'_> {
    /// So much was done. False when the time is over.
    fn did(&mut self, work: usize) -> bool {
        self.work += work;
        if self.work < WORK_PER_HOLD {
            return true;
        }
        self.work = 0;
        RwLockReadGuard::bump(&mut self.state);
        (self.go_on)()
    }

    /// `None` when the time is over. A change that comes meanwhile may be in it by half: it is
    /// among what [`Ranking::update`] is told next.
    fn choice(&mut self, x: u32) -> Option<Choice> {
        const PART: usize = 256;
        let mut edges = Vec::new();
        let mut at = 0;
        loop {
            let state = &*self.state;
            let pairs = state.facts.person(x).map_or(&[][..], |p| &p.pairs);
            let part = pairs.get(at..).unwrap_or_default();
            let part = &part[..part.len().min(PART)];
            if part.is_empty() {
                return Some(Choice::new(edges));
            }
            let stated = part.iter().filter_map(|&pair| stated(state, x, pair));
            edges.extend(stated.map(|(y, trust)| (name(&state.facts, y), y, trust)));
            let looked_at = part.len();
            at += looked_at;
            if !self.did(looked_at) {
                return None;
            }
        }
    }
}

impl Ranking {
    /// So many walks of a viewer, still to be walked. A few thousand tell the first hundred apart.
    #[must_use]
    pub fn new(viewer: EntityId, walks: u32) -> Self {
        let count = walks as usize;
        Self {
            viewer: viewer.0,
            steps: vec![viewer.0; count],
            ends: (1..=walks).collect(),
            open: vec![true; count],
        }
    }

    /// What passes through one of these is to be walked again from there. They are those that
    /// changes may have altered ([`crate::Affected::entities`]). Does not walk yet.
    pub fn update(&mut self, changed: &[EntityId]) {
        let changed: HashSet<u32> = changed.iter().map(|id| id.0).collect();
        if changed.is_empty() {
            return;
        }
        let (mut from, mut kept) = (0, 0);
        for (end, open) in self.ends.iter_mut().zip(&mut self.open) {
            let walk = &self.steps[from..*end as usize];
            let stays = match walk.iter().position(|id| changed.contains(id)) {
                Some(at) => {
                    *open = true;
                    at + 1
                }
                None => walk.len(),
            };
            self.steps.copy_within(from..from + stays, kept);
            from = *end as usize;
            kept += stays;
            *end = kept as u32;
        }
        self.steps.truncate(kept);
    }

    /// Walks all walks to their ends, as long as `go_on` agrees, which is asked at the start and
    /// about every thousand steps. Answers whether they are there: if not, the next call goes on
    /// where this one stopped.
    pub fn walk(&mut self, graph: &Graph, go_on: &mut dyn FnMut() -> bool) -> bool {
        if !self.open.contains(&true) {
            return true;
        }
        if !go_on() {
            return false;
        }
        let mut reading = Reading { state: graph.state.read(), work: 0, go_on };
        let mut choices: HashMap<u32, Choice> = HashMap::new();
        let mut steps: Vec<u32> = Vec::with_capacity(self.steps.len().max(8 * self.ends.len()));
        let mut in_time = true;
        let mut begin = 0;
        for (number, (end, open)) in self.ends.iter_mut().zip(&mut self.open).enumerate() {
            let first = steps.len();
            steps.extend_from_slice(&self.steps[begin..*end as usize]);
            begin = *end as usize;
            while *open && in_time {
                let (x, step) = (steps[steps.len() - 1], steps.len() - first);
                let seed = hash((number, step, name(&reading.state.facts, x)));
                let ends = (seed >> 11) as f64 / (1u64 << 53) as f64;
                if step > LONGEST || ends < END {
                    *open = false;
                    break;
                }
                let choice = match choices.entry(x) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => match reading.choice(x) {
                        Some(choice) => unknown.insert(choice),
                        None => {
                            in_time = false;
                            break;
                        }
                    },
                };
                match choice.draw(seed) {
                    Some(y) => steps.push(y),
                    None => *open = false,
                }
                in_time = reading.did(1);
            }
            *end = steps.len() as u32;
        }
        self.steps = steps;
        in_time
    }

    fn walks(&self) -> impl Iterator<Item = &[u32]> {
        let mut from = 0;
        self.ends.iter().map(move |&end| {
            let walk = &self.steps[from..end as usize];
            from = end as usize;
            walk
        })
    }

    /// The most visited of those who are `shown`, at most so many: by visits, then by number. The
    /// viewer is left out.
    #[must_use]
    pub fn ranked(&self, most: usize, shown: impl Fn(EntityId) -> bool) -> Vec<Reached> {
        let mut visited: Vec<u32> =
            self.walks().flatten().copied().filter(|&id| id != self.viewer).collect();
        visited.sort_unstable();
        let mut all: Vec<(usize, u32)> =
            visited.chunk_by(|a, b| a == b).map(|same| (same.len(), same[0])).collect();
        all.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let first = all.into_iter().filter(|(_, id)| shown(EntityId(*id))).take(most);
        let mut reached: Vec<Reached> = first
            .map(|(visits, id)| Reached {
                id: EntityId(id),
                visits: visits as f64 / self.ends.len() as f64,
                through: None,
            })
            .collect();
        let places: HashMap<u32, usize> =
            reached.iter().enumerate().map(|(place, r)| (r.id.0, place)).collect();
        let came = self.walks().flat_map(|walk| walk.windows(2));
        let mut came: Vec<(usize, u32)> =
            came.filter_map(|step| Some((*places.get(&step[1])?, step[0]))).collect();
        came.sort_unstable();
        for from in came.chunk_by(|a, b| a.0 == b.0) {
            let most = from.chunk_by(|a, b| a == b).rev().max_by_key(|same| same.len());
            let share =
                most.map(|same| (EntityId(same[0].1), same.len() as f64 / from.len() as f64));
            reached[from[0].0].through = share;
        }
        reached
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * (self.steps.capacity() + self.ends.capacity()) + self.open.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(n: u32) -> Vec<(u64, u32, u64)> {
        (1..=n).map(|y| (hash(y), y, u64::from(y) * 1_000)).collect()
    }

    #[test]
    fn chances_are_in_proportion_to_trust() {
        const DRAWS: u32 = 200_000;
        let choice = Choice::new(edges(10));
        let mut drawn = [0u32; 11];
        for n in 0..DRAWS {
            drawn[choice.draw(hash(n)).unwrap() as usize] += 1;
        }
        for (y, &count) in drawn.iter().enumerate().skip(1) {
            let p = y as f64 / 55.0;
            let (mean, deviation) =
                (p * f64::from(DRAWS), (p * (1.0 - p) * f64::from(DRAWS)).sqrt());
            assert!((f64::from(count) - mean).abs() < 4.5 * deviation, "{y}: {count}, not {mean}");
        }
        assert_eq!(Choice::new(Vec::new()).draw(1), None);
    }

    /// One candidate more of a thousand: it takes its share of the draws, times at most the depth.
    #[test]
    fn one_statement_more_moves_few_choices() {
        let all: Vec<(u64, u32, u64)> = (1..=1_000).map(|y| (hash(y), y, 1_000)).collect();
        let before = Choice::new(all[1..].to_vec());
        let after = Choice::new(all);
        let moved = (0..100_000).filter(|n| before.draw(hash(n)) != after.draw(hash(n))).count();
        // Its own share would be 100; a list of sums would move about a third of all.
        assert!((50..1_500).contains(&moved), "{moved}");
    }
}
