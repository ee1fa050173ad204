//! The best path within a bound on hops, exactly: label-setting from both ends.
//!
//! A *label* says that an entity is reached from one end in so many hops at such a cost. Labels
//! are settled in the order of their keys (cost and hops, see [`Order`]); a settled label is
//! followed along its entity's edges, which makes labels there. A label is useless when as few
//! hops are known to cost no more. The labels of an end stop at a cap of hops, and the two caps
//! (about half of it each) add up to the bound; labels at the cap (*leaves*) are made, but never followed.
//!
//! The halves of a path meet where both ends have made a label, settled or not; whoever makes the
//! second one sees the first.
//!
//! **When to stop.** Let P be a path within the bound that has not been met. Along it, labels
//! (no worse than its own) have been made from the start up to some entity *a* and from the end
//! back to some entity *b*, and *a* lies before *b*. Up to *a*, making stopped because the label
//! at *a* is not settled yet, so it costs at least `top[0]`, or because it is a leaf, then it
//! costs at least `leaf[0]`, the cheapest leaf made; likewise at *b*. Not both are leaves, for
//! the caps add up to the bound. So P costs at least min(top₀ + top₁, leaf₀ + top₁,
//! leaf₁ + top₀), and when this is more than the best path met, nothing better is left. All paths
//! with the best key are met before: the smaller list of URIs decides among them.
//!
//! **Which edges need not be looked at.** Let `ahead` be min(top, leaf) of the other end, and let
//! an edge lead to a label of key *f* with *f* + `ahead` > best. If a path of at most the best key
//! goes on from there, its rest costs less than `ahead`: so the other end has settled that rest up
//! to this edge, has followed the edge from its far side and made a label here, where it met ours;
//! it cannot have passed the edge over for the same reason, because then we had been first. As
//! edges are sorted by cost, one such edge ends the list.

use super::order::Order;
use super::task::{INFINITE, NOTHING_LEFT, OutOfTime, STEP_WORK, Task, caps, least_unmet};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

const NO: u32 = u32::MAX;
/// A heap entry is a key and, in its lower bits, the place of the entity.
const PLACE_BITS: u32 = 30;

/// In a row's first number, beside the entity's number of 29 bits.
const BANNED: u32 = 1 << 31;
const NO_FIRST: u32 = 1 << 30;
const ID: u32 = (1 << 29) - 1;

/// A path: its key and the entities on it, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) key: u64,
    pub(super) nodes: Vec<u32>,
}

/// Where two halves meet: a place, and the hops to it from either end.
#[derive(Debug, Clone, Copy)]
struct Meeting {
    place: u32,
    hops: [u32; 2],
}

/// The memory of a search, used again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// By entity: its place, if the row there agrees.
    places: Vec<u32>,
    /// A row for each entity reached: its number, then the cost of its labels with 1, 2, … hops
    /// from one end, then from the other. (Only the ends have one with 0 hops.)
    rows: Vec<u32>,
    /// Beside each cost in `rows`, the place that the label was made from.
    origins: Vec<u32>,
    stride: usize,
    caps: [u32; 2],
    ends: [u32; 2],
    heaps: [BinaryHeap<Reverse<u64>>; 2],
    /// The cheapest leaf made.
    leaf: [u64; 2],
    best: u64,
    /// All meetings with the best key.
    meetings: Vec<Meeting>,
    /// Nothing worse than this is looked for: the best, where one path is wanted.
    worst: u64,
    /// The best different paths met, where more are wanted.
    met: Vec<(u64, Vec<u32>)>,
}

impl Scratch {
    /// Bytes for what searches have reached. (A place for each entity is needed by every search.)
    pub(super) fn grown(&self) -> usize {
        let rows = 4 * (self.rows.capacity() + self.origins.capacity());
        let heaps = self.heaps.iter().map(|heap| 8 * heap.capacity()).sum::<usize>();
        rows + heaps + self.meetings.capacity() * size_of::<Meeting>()
    }
}

impl Scratch {
    fn start(&mut self, task: &Task<'_>) {
        if self.places.len() < task.web.nodes() {
            self.places.resize(task.web.nodes(), 0);
        }
        self.rows.clear();
        self.origins.clear();
        self.heaps.iter_mut().for_each(BinaryHeap::clear);
        self.meetings.clear();
        self.caps = caps(task);
        // Rows of one, two or three quarters of a cache line.
        self.stride = (1 + task.max_hops as usize).next_multiple_of(4);
        self.leaf = [INFINITE; 2];
        self.best = task.at_most;
        self.worst = task.at_most;
        self.met.clear();
    }

    #[inline]
    fn place(&mut self, id: u32) -> u32 {
        let Some(&at) = self.places.get(id as usize) else {
            // Beyond every edge: an end without any.
            self.places.resize(id as usize + 1, 0);
            return self.new_place(id);
        };
        match self.rows.get(at as usize * self.stride) {
            Some(first) if first & ID == id => at,
            _ => self.new_place(id),
        }
    }

    fn new_place(&mut self, id: u32) -> u32 {
        let at = (self.rows.len() / self.stride) as u32;
        self.places[id as usize] = at;
        self.rows.push(id);
        let length = self.rows.len() + self.stride - 1;
        self.rows.resize(length, NO);
        self.origins.resize(length, NO);
        at
    }

    fn id(&self, place: u32) -> u32 {
        self.rows[place as usize * self.stride] & ID
    }

    fn mark(&mut self, ids: &[u32], with: u32) {
        for &id in ids {
            let at = self.place(id) as usize * self.stride;
            self.rows[at] |= with;
        }
    }

    /// Where the labels of a place from one end begin: there is the one with one hop.
    #[inline]
    fn labels(&self, place: u32, side: usize) -> usize {
        place as usize * self.stride + 1 + if side == 0 { 0 } else { self.caps[0] as usize }
    }

    /// The cost of a label; 0 with no hops, at an end.
    fn cost(&self, place: u32, side: usize, hops: u32) -> u32 {
        if hops == 0 { 0 } else { self.rows[self.labels(place, side) + hops as usize - 1] }
    }

    fn origin(&self, place: u32, side: usize, hops: u32) -> u32 {
        self.origins[self.labels(place, side) + hops as usize - 1]
    }

    fn top(&self, side: usize) -> u64 {
        self.heaps[side].peek().map_or(INFINITE, |Reverse(entry)| entry >> PLACE_BITS)
    }

    /// After a search: no path that is wanted has a key above this.
    pub(super) fn worst(&self) -> u64 {
        self.worst
    }

    /// The best path, if there is one within the bounds. `go_on` is asked now and then.
    pub(super) fn search<O: Order>(
        &mut self,
        task: &Task<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Found>, OutOfTime> {
        self.start(task);
        self.mark(task.banned, BANNED);
        self.mark(task.no_first, NO_FIRST);
        self.ends = [self.place(task.from), self.place(task.to)];
        for side in [0, 1] {
            if self.rows[self.ends[side] as usize * self.stride] & BANNED != 0 {
                return Ok(None);
            }
            if self.caps[side] > 0 {
                self.heaps[side].push(Reverse(u64::from(self.ends[side])));
            } else {
                self.leaf[side] = 0;
            }
        }
        let mut steps = 0u32;
        let mut work = [0usize; 2];
        loop {
            let bound = least_unmet([self.top(0), self.top(1)], self.leaf);
            if bound > self.worst || bound >= INFINITE {
                break;
            }
            if steps.is_multiple_of(128) && !go_on() {
                return Err(OutOfTime);
            }
            steps += 1;
            // Both ends do about the same work, so that a hub near one of them is followed late,
            // when the other end has made sure that little of it needs to be looked at.
            let next = [0, 1].map(|side| work[side] + self.next_work(task, side));
            let side = usize::from(next[1] < next[0]);
            work[side] = next[side];
            self.step::<O>(task, side);
        }
        Ok(self.result::<O>(task))
    }

    /// What the next step of an end comes to: about its edges.
    fn next_work(&self, task: &Task<'_>, side: usize) -> usize {
        self.heaps[side].peek().map_or(NOTHING_LEFT, |Reverse(entry)| {
            let place = *entry as u32 & ((1 << PLACE_BITS) - 1);
            STEP_WORK + task.web.edges(self.id(place)).len()
        })
    }

    /// Settles the next label of one end, and follows it.
    fn step<O: Order>(&mut self, task: &Task<'_>, side: usize) {
        let Some(Reverse(entry)) = self.heaps[side].pop() else { return };
        let (place, key) = (entry as u32 & ((1 << PLACE_BITS) - 1), entry >> PLACE_BITS);
        let (cost, hops) = (O::cost(key), O::hops(key));
        if hops > 0 {
            let labels = self.labels(place, side);
            let mine = &self.rows[labels..labels + hops as usize];
            let (last, fewer) = (mine[hops as usize - 1], &mine[..hops as usize - 1]);
            if last != cost || fewer.iter().any(|&c| O::outdone(c, cost)) {
                return;
            }
        }
        let ahead = self.top(1 - side).min(self.leaf[1 - side]);
        if self.known::<O>(task, place, side, hops, ahead) {
            return;
        }
        let here = self.rows[place as usize * self.stride];
        let edges = task.web.edges(here & ID);
        task.filter.for_each(edges, |id, more| {
            let key = key + O::key(more, 1);
            key + ahead <= self.worst && {
                self.make::<O>(task, side, (place, here), id, key, ahead);
                true
            }
        });
    }

    /// The other end knows the best way from here, and it fits: the two have met here already.
    /// So it does when its cheapest label is settled and no leaf of it is cheaper.
    #[inline]
    fn known<O: Order>(
        &self,
        task: &Task<'_>,
        place: u32,
        side: usize,
        hops: u32,
        ahead: u64,
    ) -> bool {
        if place == self.ends[1 - side] {
            return true;
        }
        let labels = self.labels(place, 1 - side);
        let theirs = &self.rows[labels..labels + self.caps[1 - side] as usize];
        let keys = theirs.iter().zip(1..).filter(|(c, _)| **c != NO).map(|(&c, h)| O::key(c, h));
        keys.min().is_some_and(|key| key < ahead && O::hops(key) + hops <= task.max_hops)
    }

    /// Makes a label at the far end of an edge, unless it is useless.
    #[inline]
    fn make<O: Order>(
        &mut self,
        task: &Task<'_>,
        side: usize,
        (from, from_row): (u32, u32),
        id: u32,
        key: u64,
        ahead: u64,
    ) {
        let at = self.place(id);
        let row = self.rows[at as usize * self.stride];
        let first = if side == 0 {
            from == self.ends[0] && row & NO_FIRST != 0
        } else {
            at == self.ends[0] && from_row & NO_FIRST != 0
        };
        if row & BANNED != 0 || first || at == self.ends[side] {
            return;
        }
        let (cost, hops) = (O::cost(key), O::hops(key));
        let labels = self.labels(at, side);
        let mine = &self.rows[labels..labels + hops as usize];
        let (known, fewer) = (mine[hops as usize - 1], &mine[..hops as usize - 1]);
        if known < cost || fewer.iter().any(|&c| O::outdone(c, cost)) {
            return;
        }
        let label = labels + hops as usize - 1;
        if known == cost {
            // Two ways as good as one another: the smaller list of URIs is kept.
            let other = self.origins[label];
            if self.compare_ways::<O>(task, side, (at, hops), from, other).is_lt() {
                self.origins[label] = from;
            }
            return;
        }
        self.rows[label] = cost;
        self.origins[label] = from;
        self.meet::<O>(task, side, at, key);
        if hops == self.caps[side] {
            self.leaf[side] = self.leaf[side].min(key);
        } else if !self.known::<O>(task, at, side, hops, ahead) {
            self.heaps[side].push(Reverse(key << PLACE_BITS | u64::from(at)));
        }
    }

    /// Looks at what the other end has made where a label was made.
    #[inline]
    fn meet<O: Order>(&mut self, task: &Task<'_>, side: usize, place: u32, key: u64) {
        let hops = O::hops(key);
        if place == self.ends[1 - side] {
            return self.keep(task, side, place, key, [hops, 0]);
        }
        let labels = self.labels(place, 1 - side);
        let most = self.caps[1 - side].min(task.max_hops - hops);
        for rest in 1..=most {
            let cost = self.rows[labels + rest as usize - 1];
            if cost != NO {
                self.keep(task, side, place, key + O::key(cost, rest), [hops, rest]);
            }
        }
    }

    #[inline]
    fn keep(&mut self, task: &Task<'_>, side: usize, place: u32, key: u64, hops: [u32; 2]) {
        if key > self.worst {
            return;
        }
        let hops = if side == 0 { hops } else { [hops[1], hops[0]] };
        let meeting = Meeting { place, hops };
        if key < self.best {
            self.best = key;
            self.meetings.clear();
        }
        if key == self.best {
            self.meetings.push(meeting);
        }
        if task.wanted == 1 {
            self.worst = self.best;
        } else {
            self.keep_several(task.wanted, key, meeting);
        }
    }

    /// With as many different paths as are wanted, a worse one is not.
    fn keep_several(&mut self, wanted: usize, key: u64, meeting: Meeting) {
        let way = self.way(meeting);
        let loops = (1..way.len()).any(|i| way[..i].contains(&way[i]));
        if loops || self.met.iter().any(|(_, known)| *known == way) {
            return;
        }
        let at = self.met.partition_point(|(known, _)| *known <= key);
        self.met.insert(at, (key, way));
        self.met.truncate(wanted);
        if let Some((worst, _)) = self.met.get(wanted - 1) {
            self.worst = self.worst.min(*worst);
        }
    }

    /// Which of two ways of equal key to a label, over the last stops `a` and `b`, has the smaller
    /// list of URIs, read from the path's start. The labels at both stops are settled, so what
    /// leads to them does not change any more.
    fn compare_ways<O: Order>(
        &self,
        task: &Task<'_>,
        side: usize,
        (at, hops): (u32, u32),
        a: u32,
        b: u32,
    ) -> Ordering {
        let cost = self.cost(at, side, hops);
        let last = |stop: u32| self.slot(task, stop, at, cost - self.cost(stop, side, hops - 1));
        let mut order = (task.compare)(last(a), last(b));
        if side == 1 {
            // Read from here on, the last edge comes first.
            return order;
        }
        let (mut a, mut b) = (a, b);
        for hops in (1..hops).rev() {
            if a == b {
                break;
            }
            // The earliest difference decides: the last one found on the way back.
            let edge = |at| self.edge_to(task, side, at, hops);
            if edge(a) != edge(b) {
                order = (task.compare)(edge(a), edge(b));
            }
            (a, b) = (self.origin(a, side, hops), self.origin(b, side, hops));
        }
        order
    }

    /// The record slot of the edge that a label was made along.
    fn edge_to(&self, task: &Task<'_>, side: usize, place: u32, hops: u32) -> u32 {
        let from = self.origin(place, side, hops);
        let cost = self.cost(place, side, hops) - self.cost(from, side, hops - 1);
        self.slot(task, from, place, cost)
    }

    /// The record slot of the edge between two places.
    fn slot(&self, task: &Task<'_>, a: u32, b: u32, cost: u32) -> u32 {
        // Every edge that a label was made along is there.
        let edge = task.filter.resolve(task.web, self.id(a), self.id(b), cost);
        edge.map_or(NO, |(_, slot)| slot)
    }

    fn result<O: Order>(&self, task: &Task<'_>) -> Option<Found> {
        let (&first, others) = self.meetings.split_first()?;
        let mut best = (self.way(first), None);
        for &meeting in others {
            // One path is met at several places.
            let way = self.way(meeting);
            if way == best.0 {
                continue;
            }
            let mine = self.slots(task, meeting);
            let known = best.1.take().unwrap_or_else(|| self.slots(task, first));
            let difference = mine.iter().zip(&known).find(|(x, y)| x != y);
            best = match difference {
                Some((&x, &y)) if (task.compare)(x, y).is_lt() => (way, Some(mine)),
                _ => (best.0, Some(known)),
            };
        }
        let nodes = best.0.iter().map(|&place| self.id(place)).collect();
        Some(Found { key: self.best, nodes })
    }

    /// From a place back to one end, that end last: each place with the hops to it.
    fn back(&self, place: u32, side: usize, hops: u32) -> impl Iterator<Item = (u32, u32)> {
        std::iter::successors(Some((place, hops)), move |&(at, hops)| {
            (hops > 0).then(|| (self.origin(at, side, hops), hops - 1))
        })
    }

    /// The places along a meeting, from start to end.
    fn way(&self, Meeting { place, hops }: Meeting) -> Vec<u32> {
        let mut way: Vec<u32> = self.back(place, 0, hops[0]).map(|(at, _)| at).collect();
        way.reverse();
        way.extend(self.back(place, 1, hops[1]).skip(1).map(|(at, _)| at));
        way
    }

    /// The record slots along a meeting, from start to end.
    fn slots(&self, task: &Task<'_>, Meeting { place, hops }: Meeting) -> Vec<u32> {
        let edges = |side: usize| {
            let back = self.back(place, side, hops[side]).filter(|(_, hops)| *hops > 0);
            back.map(move |(at, hops)| self.edge_to(task, side, at, hops))
        };
        let mut slots: Vec<u32> = edges(0).collect();
        slots.reverse();
        slots.extend(edges(1));
        slots
    }
}
