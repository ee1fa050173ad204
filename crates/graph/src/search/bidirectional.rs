//! The best path within a bound on hops, exactly: label-setting from both ends.
//!
//! A label says that an entity is reached from one end with this key (cost and hops). It survives
//! only if no settled label of the same entity and end has as few hops: what is settled earlier is
//! no worse, so a later label can be of use only by being shorter. Labels of one end stop growing
//! at a cap of hops; the two caps and the hop between them make up the bound.
//!
//! Whenever a label is relaxed along an edge, the other end's settled labels there are looked at:
//! that is where the two halves meet. (Looking only where both ends have *settled the same entity*
//! gives wrong answers under caps.)
//!
//! The search may stop when no path that has not been met can be better. Let such a path be given,
//! and its prefix be settled up to *i* hops, its suffix up to *j*; if the two touched, it had been
//! met. So there is a gap, and at its near end the prefix stopped because its next label is still
//! waiting (its key is at least `top`) or because of the cap (then the key is at least that of the
//! cheapest capped label); not both ends stopped by their caps, for these leave no gap. Hence the
//! bound min(top₀ + top₁, capped₀ + top₁, capped₁ + top₀). Paths whose key equals the best are
//! all met before it is passed, so that the smaller list of URIs decides among them.

use super::filter::Filter;
use super::order::Order;
use crate::web::Web;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

const NO: u32 = u32::MAX;
/// More than any key; two of them still add up.
pub(super) const INFINITE: u64 = 1 << 40;
/// A heap entry is a key and, in its lower bits, the label.
const LABEL_BITS: u32 = 30;

#[derive(Debug, Clone, Copy)]
struct Label {
    key: u64,
    /// Where.
    state: u32,
    /// The label it grew from.
    from: u32,
    /// The one settled before it at the same place, from the same end.
    next: u32,
}

/// What is known of one entity from one end.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// The settled label with the fewest hops.
    settled: u32,
    hops: u32,
    /// The first settled label: the cheapest.
    first_key: u64,
    first_hops: u32,
    /// The best label waiting.
    waiting: u64,
}

impl Reach {
    /// From here this end knows the best rest of a way whose other part has so many hops: its
    /// cheapest label fits, and was settled before the first one that might have grown into a
    /// cheaper one but for the cap. The two halves were met when the later of them got here.
    fn knows(&self, hops: u32, max_hops: u32, capped: u64) -> bool {
        self.settled != NO && self.first_hops + hops <= max_hops && self.first_key <= capped
    }
}

const UNREACHED: Reach =
    Reach { settled: NO, hops: NO, first_key: INFINITE, first_hops: NO, waiting: INFINITE };

#[derive(Debug, Clone, Copy)]
struct Node {
    id: u32,
    /// It may not be a hop.
    banned: bool,
    /// It may not be the first stop.
    no_first: bool,
    reach: [Reach; 2],
}

/// One search.
pub(super) struct Task<'a> {
    pub(super) web: &'a Web,
    pub(super) filter: &'a Filter<'a>,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) max_hops: u32,
    /// Nothing worse than this key is wanted.
    pub(super) at_most: u64,
    /// May not be on the path.
    pub(super) banned: &'a [u32],
    /// May not be the first stop after `from`.
    pub(super) no_first: &'a [u32],
    /// Orders record slots by their URIs.
    pub(super) compare: &'a dyn Fn(u32, u32) -> Ordering,
}

/// A path: its key and the entities on it, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: u64,
    pub(super) nodes: Vec<u32>,
}

/// The time for a search is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutOfTime;

/// The memory of a search, used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// By entity: where in `nodes` it is, if what is there agrees.
    places: Vec<u32>,
    nodes: Vec<Node>,
    labels: Vec<Label>,
    heaps: [BinaryHeap<Reverse<u64>>; 2],
    /// Meetings with the best key: a label of each end; an edge lies between them.
    meetings: Vec<(u32, u32)>,
    best: u64,
}

impl Scratch {
    fn clear(&mut self, nodes: usize) {
        if self.places.len() < nodes {
            self.places.resize(nodes, 0);
        }
        self.nodes.clear();
        self.labels.clear();
        self.heaps.iter_mut().for_each(BinaryHeap::clear);
        self.meetings.clear();
    }

    #[inline]
    fn place(&mut self, id: u32) -> u32 {
        let Some(&at) = self.places.get(id as usize) else {
            // Beyond every edge: an end without any.
            self.places.resize(id as usize + 1, 0);
            return self.new_place(id);
        };
        if self.nodes.get(at as usize).is_some_and(|node| node.id == id) {
            return at;
        }
        self.new_place(id)
    }

    fn new_place(&mut self, id: u32) -> u32 {
        let at = self.nodes.len() as u32;
        self.places[id as usize] = at;
        self.nodes.push(Node { id, banned: false, no_first: false, reach: [UNREACHED; 2] });
        at
    }

    fn push(&mut self, side: usize, key: u64, state: u32, from: u32) {
        let label = self.labels.len() as u32;
        debug_assert!(label < 1 << LABEL_BITS);
        self.labels.push(Label { key, state, from, next: NO });
        self.heaps[side].push(Reverse(key << LABEL_BITS | u64::from(label)));
    }

    fn top(&self, side: usize) -> u64 {
        self.heaps[side].peek().map_or(INFINITE, |Reverse(entry)| entry >> LABEL_BITS)
    }

    /// The best path, if there is one within the bounds. `go_on` is asked now and then.
    pub(super) fn search<O: Order>(
        &mut self,
        task: &Task<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Found>, OutOfTime> {
        self.clear(task.web.nodes());
        self.best = task.at_most;
        for &id in task.banned {
            let at = self.place(id);
            self.nodes[at as usize].banned = true;
        }
        for &id in task.no_first {
            let at = self.place(id);
            self.nodes[at as usize].no_first = true;
        }
        let ends = [self.place(task.from), self.place(task.to)];
        if ends.iter().any(|&at| self.nodes[at as usize].banned) {
            return Ok(None);
        }
        for (side, &at) in ends.iter().enumerate() {
            self.push(side, 0, at, NO);
        }
        let caps = [task.max_hops / 2, (task.max_hops - 1) / 2];
        let mut capped = [INFINITE; 2];
        let mut steps = 0u32;
        loop {
            let top = [self.top(0), self.top(1)];
            let bound = (top[0] + top[1]).min(capped[0] + top[1]).min(capped[1] + top[0]);
            if bound > self.best || bound >= INFINITE {
                break;
            }
            steps += 1;
            if steps % 128 == 1 && !go_on() {
                return Err(OutOfTime);
            }
            let side = usize::from(top[1] < top[0]);
            let Some(label) = self.settle::<O>(task, side) else { continue };
            let Label { key, state, .. } = self.labels[label as usize];
            let hops = O::hops(key);
            let other_capped = capped[1 - side];
            if self.nodes[state as usize].reach[1 - side].knows(hops, task.max_hops, other_capped) {
                continue;
            }
            if hops == caps[side] {
                capped[side] = capped[side].min(key);
            }
            let ahead = self.top(1 - side).min(other_capped);
            self.relax::<O>(task, side, label, hops < caps[side], (ahead, other_capped), ends);
        }
        Ok(self.result::<O>(task))
    }

    /// Takes the next label of one end. `None` when it does not survive.
    fn settle<O: Order>(&mut self, task: &Task<'_>, side: usize) -> Option<u32> {
        let Reverse(entry) = self.heaps[side].pop()?;
        let label = entry as u32 & ((1 << LABEL_BITS) - 1);
        let Label { key, state, .. } = self.labels[label as usize];
        let hops = O::hops(key);
        let reach = self.nodes[state as usize].reach[side];
        if reach.settled != NO && (reach.hops <= hops || !O::COST_FIRST) {
            // As good as the one settled? Then the smaller list of URIs is kept.
            if self.labels[reach.settled as usize].key == key
                && self.compare_ways::<O>(task, side, label, reach.settled).is_lt()
            {
                self.labels[reach.settled as usize].from = self.labels[label as usize].from;
            }
            return None;
        }
        self.labels[label as usize].next = reach.settled;
        let reach = &mut self.nodes[state as usize].reach[side];
        if reach.settled == NO {
            reach.first_key = key;
            reach.first_hops = hops;
        }
        reach.settled = label;
        reach.hops = hops;
        Some(label)
    }

    /// Follows the edges of a settled label. `ahead` is the least that remains to be paid at an
    /// entity that the other end has not settled, `other_capped` the key of the other end's first
    /// capped label.
    fn relax<O: Order>(
        &mut self,
        task: &Task<'_>,
        side: usize,
        label: u32,
        grows: bool,
        (ahead, other_capped): (u64, u64),
        ends: [u32; 2],
    ) {
        let Label { key, state, .. } = self.labels[label as usize];
        let here = self.nodes[state as usize];
        task.filter.for_each(task.web.edges(here.id), |id, cost| {
            let key = key + O::weight(cost);
            if key > self.best {
                return false;
            }
            let hops = O::hops(key);
            let at = self.place(id);
            let node = self.nodes[at as usize];
            let first = if side == 0 { (state == ends[0], node) } else { (at == ends[0], here) };
            if node.banned || (first.0 && first.1.no_first) {
                return true;
            }
            let (mine, other) = (&node.reach[side], &node.reach[1 - side]);
            if mine.settled != NO && (mine.hops <= hops || !O::COST_FIRST) {
                return true;
            }
            let mut meeting = other.settled;
            while meeting != NO {
                let Label { key: rest, next, .. } = self.labels[meeting as usize];
                if O::hops(rest) + hops <= task.max_hops && key + rest <= self.best {
                    if key + rest < self.best {
                        self.best = key + rest;
                        self.meetings.clear();
                    }
                    let pair = if side == 0 { (label, meeting) } else { (meeting, label) };
                    self.meetings.push(pair);
                }
                meeting = next;
            }
            let closed = other.knows(hops, task.max_hops, other_capped);
            let beaten = mine.waiting < key && O::hops(mine.waiting) <= hops;
            let rest = if other.settled == NO { ahead } else { other.first_key.min(other_capped) };
            if grows && !closed && !beaten && key + rest <= self.best {
                if key < mine.waiting {
                    self.nodes[at as usize].reach[side].waiting = key;
                }
                self.push(side, key, at, label);
            }
            true
        });
    }

    /// Which of two labels of equal key at one place has the smaller list of URIs, read from the
    /// path's start.
    fn compare_ways<O: Order>(&self, task: &Task<'_>, side: usize, a: u32, b: u32) -> Ordering {
        if side == 1 {
            // Read from here on, the edge taken last comes first; these differ.
            return (task.compare)(self.last_edge::<O>(task, a).0, self.last_edge::<O>(task, b).0);
        }
        let (mut a, mut b) = (a, b);
        let mut order = Ordering::Equal;
        while a != b {
            let ((x, before_a), (y, before_b)) =
                (self.last_edge::<O>(task, a), self.last_edge::<O>(task, b));
            // The earliest difference decides: the last one found on the way back.
            if x != y {
                order = (task.compare)(x, y);
            }
            (a, b) = (before_a, before_b);
        }
        order
    }

    /// The record slot of the edge that a label (not the first one) grew along, and the label it
    /// grew from.
    fn last_edge<O: Order>(&self, task: &Task<'_>, label: u32) -> (u32, u32) {
        let Label { key, state, from, .. } = self.labels[label as usize];
        let before = self.labels[from as usize];
        (self.slot::<O>(task, before.state, state, key - before.key), from)
    }

    /// The record slot of the edge between two places; `weight` is what the edge adds to a key.
    fn slot<O: Order>(&self, task: &Task<'_>, a: u32, b: u32, weight: u64) -> u32 {
        let (a, b) = (self.nodes[a as usize].id, self.nodes[b as usize].id);
        // Every edge that a label grew along is there.
        task.filter.resolve(task.web, a, b, O::cost(weight)).map_or(NO, |(_, slot)| slot)
    }

    fn result<O: Order>(&self, task: &Task<'_>) -> Option<Found> {
        let found = |(a, b)| Found { key: self.best, nodes: self.way(a, b) };
        let (&first, others) = self.meetings.split_first()?;
        if others.is_empty() {
            return Some(found(first));
        }
        let mut best = (first, self.slots::<O>(task, first));
        for &meeting in others {
            let slots = self.slots::<O>(task, meeting);
            let difference = slots.iter().zip(&best.1).find(|(x, y)| x != y);
            if difference.is_some_and(|(&x, &y)| (task.compare)(x, y).is_lt()) {
                best = (meeting, slots);
            }
        }
        Some(found(best.0))
    }

    /// A label and all it grew from.
    fn chain(&self, label: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(label), |&at| {
            let from = self.labels[at as usize].from;
            (from != NO).then_some(from)
        })
    }

    /// The entities along a meeting, from start to end.
    fn way(&self, a: u32, b: u32) -> Vec<u32> {
        let id = |label: u32| self.nodes[self.labels[label as usize].state as usize].id;
        let mut nodes: Vec<u32> = self.chain(a).map(id).collect();
        nodes.reverse();
        nodes.extend(self.chain(b).map(id));
        nodes
    }

    /// The record slots along a meeting, from start to end.
    fn slots<O: Order>(&self, task: &Task<'_>, (a, b): (u32, u32)) -> Vec<u32> {
        let grown = |label: &u32| self.labels[*label as usize].from != NO;
        let slot = |label: u32| self.last_edge::<O>(task, label).0;
        let mut slots: Vec<u32> = self.chain(a).filter(grown).map(slot).collect();
        slots.reverse();
        let (x, y) = (self.labels[a as usize], self.labels[b as usize]);
        slots.push(self.slot::<O>(task, x.state, y.state, self.best - x.key - y.key));
        slots.extend(self.chain(b).filter(grown).map(slot));
        slots
    }
}
