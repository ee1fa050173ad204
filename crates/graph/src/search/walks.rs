//! The best walks from both ends at once, as many as are wanted; in most networks the best walks
//! are paths, so that the k best paths take one search.
//!
//! A *walk* here has at most so many hops, touches the two ends nowhere but at its ends, avoids
//! who is banned, and never turns right back (…, a, b, a, …). It may come to one place twice, a
//! path does not: so when k of the best walks are paths, they are the k best paths, and when the
//! list of walks is shorter than asked for, there are no others.
//!
//! It is the search of [`super::bidirectional`] (see there for when it stops, and which edges need
//! not be looked at), but with several labels for a place and a number of hops, each of which is
//! one way there and stays what it is.
//!
//! **Which labels are useless.** Those for which there are `wanted` better ways to their place
//! (smaller key; of equal keys, the smaller list of URIs) with no more hops. What follows such a
//! label on a walk can follow each better way. Where that turns right back, the two steps are left
//! out, as often as there are any; what is left is a walk, better still, and another one for each
//! way (what follows being the same, the way can be told from it). So `wanted` walks are better
//! than any that goes on from here. And the best walk that is missed for this reason does not
//! exist: those better than it are all met.

use super::order::Order;
use super::task::{INFINITE, NOTHING_LEFT, OutOfTime, STEP_WORK, Task, caps, least_unmet};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

const NO: u32 = u32::MAX;
/// A heap entry is a key and, in its lower bits, the number of a label.
const LABEL_BITS: u32 = 30;

/// An entity reached, or banned.
#[derive(Debug)]
struct Place {
    id: u32,
    banned: bool,
    /// Its best label from either end.
    first: [u32; 2],
}

/// A way from one end to a place.
#[derive(Debug)]
struct Label {
    key: u64,
    place: u32,
    /// The label it was made from.
    before: u32,
    /// The next best one at this place from this end.
    next: u32,
}

/// A walk: its key, who is on it, and the record slots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) key: u64,
    pub(super) nodes: Vec<u32>,
    pub(super) slots: Vec<u32>,
}

impl Walk {
    pub(super) fn is_path(&self) -> bool {
        (1..self.nodes.len()).all(|i| !self.nodes[..i].contains(&self.nodes[i]))
    }
}

/// The memory of a search, used again and again.
#[derive(Debug, Default)]
pub(super) struct Walks {
    /// By entity: its place, if what is there agrees.
    numbers: Vec<u32>,
    places: Vec<Place>,
    labels: Vec<Label>,
    heaps: [BinaryHeap<Reverse<u64>>; 2],
    caps: [u32; 2],
    ends: [u32; 2],
    /// The cheapest label at the cap.
    leaf: [u64; 2],
    /// Nothing worse than this is looked for.
    worst: u64,
    /// The best walks met, best first.
    met: Vec<Walk>,
}

impl Walks {
    /// Bytes for what searches have reached, a number for each entity apart.
    pub(super) fn grown(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
            + self.labels.capacity() * size_of::<Label>()
            + self.heaps.iter().map(|heap| 8 * heap.capacity()).sum::<usize>()
    }

    #[cfg(test)]
    pub(super) fn of_bytes(bytes: usize) -> Self {
        Self { labels: Vec::with_capacity(bytes.div_ceil(size_of::<Label>())), ..Self::default() }
    }

    /// The `task.wanted` best walks, best first; all there are, if there are fewer.
    pub(super) fn search<O: Order>(
        &mut self,
        task: &Task<'_>,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<&[Walk], OutOfTime> {
        self.places.clear();
        self.labels.clear();
        self.heaps.iter_mut().for_each(BinaryHeap::clear);
        self.met.clear();
        self.caps = caps(task);
        self.leaf = [INFINITE; 2];
        self.worst = task.at_most;
        for &id in task.banned {
            let at = self.place(id);
            self.places[at as usize].banned = true;
        }
        self.ends = [self.place(task.from), self.place(task.to)];
        for side in [0, 1] {
            let end = self.ends[side];
            if self.places[end as usize].banned {
                return Ok(&self.met);
            }
            self.places[end as usize].first[side] = side as u32;
            self.labels.push(Label { key: 0, place: end, before: NO, next: NO });
            if self.caps[side] > 0 {
                self.heaps[side].push(Reverse(side as u64));
            } else {
                self.leaf[side] = 0;
            }
        }
        let (mut steps, mut work) = (0u32, [0usize; 2]);
        loop {
            let bound = least_unmet([self.top(0), self.top(1)], self.leaf);
            if bound > self.worst || bound >= INFINITE {
                break;
            }
            if steps.is_multiple_of(128) && !go_on() {
                return Err(OutOfTime);
            }
            steps += 1;
            let next = [0, 1].map(|side| work[side] + self.next_work(task, side));
            let side = usize::from(next[1] < next[0]);
            work[side] = next[side];
            self.step::<O>(task, side);
        }
        Ok(&self.met)
    }

    #[inline]
    fn place(&mut self, id: u32) -> u32 {
        if self.numbers.len() <= id as usize {
            self.numbers.resize(id as usize + 1, 0);
        }
        let at = self.numbers[id as usize];
        if self.places.get(at as usize).is_some_and(|place| place.id == id) {
            return at;
        }
        let at = self.places.len() as u32;
        self.numbers[id as usize] = at;
        self.places.push(Place { id, banned: false, first: [NO; 2] });
        at
    }

    fn id(&self, label: u32) -> u32 {
        self.places[self.labels[label as usize].place as usize].id
    }

    fn top(&self, side: usize) -> u64 {
        self.heaps[side].peek().map_or(INFINITE, |Reverse(entry)| entry >> LABEL_BITS)
    }

    fn next_work(&self, task: &Task<'_>, side: usize) -> usize {
        self.heaps[side].peek().map_or(NOTHING_LEFT, |Reverse(entry)| {
            let label = *entry as u32 & ((1 << LABEL_BITS) - 1);
            STEP_WORK + task.web.edges(self.id(label)).len()
        })
    }

    /// Settles the next label of one end, and follows it.
    fn step<O: Order>(&mut self, task: &Task<'_>, side: usize) {
        let Some(Reverse(entry)) = self.heaps[side].pop() else { return };
        let label = entry as u32 & ((1 << LABEL_BITS) - 1);
        let Label { key, place, before, .. } = self.labels[label as usize];
        let ahead = self.top(1 - side).min(self.leaf[1 - side]);
        // Better ones may have come since it was made.
        let first = self.places[place as usize].first[side];
        if key + ahead > self.worst || self.outdone::<O>(task.wanted, first, label) {
            return;
        }
        let back = if before == NO { NO } else { self.labels[before as usize].place };
        let edges = task.web.edges(self.places[place as usize].id);
        task.filter.for_each(edges, |id, more| {
            let key = key + O::key(more, 1);
            key + ahead <= self.worst && {
                let at = self.place(id);
                if at != back && at != self.ends[side] && !self.places[at as usize].banned {
                    self.make::<O>(task, side, label, at, key);
                }
                true
            }
        });
    }

    /// So many labels before this one, in the list of its place, have no more hops than it.
    fn outdone<O: Order>(&self, wanted: usize, first: u32, label: u32) -> bool {
        let hops = O::hops(self.labels[label as usize].key);
        let next = |&at: &u32| Some(self.labels[at as usize].next);
        let better = std::iter::successors(Some(first), next).take_while(|&at| at != label);
        let no_longer = better.filter(|&at| O::hops(self.labels[at as usize].key) <= hops);
        no_longer.take(wanted).count() == wanted
    }

    /// Makes a label at the far end of an edge, unless it is useless.
    fn make<O: Order>(&mut self, task: &Task<'_>, side: usize, before: u32, place: u32, key: u64) {
        let new = self.labels.len() as u32;
        self.labels.push(Label { key, place, before, next: NO });
        // Its place in the list: after all that are better.
        let (mut last, mut at) = (NO, self.places[place as usize].first[side]);
        while at != NO {
            let other = &self.labels[at as usize];
            let (known, next) = (other.key, other.next);
            if known > key || (known == key && self.compare::<O>(task, side, new, at).is_lt()) {
                break;
            }
            (last, at) = (at, next);
        }
        self.labels[new as usize].next = at;
        match last {
            NO => self.places[place as usize].first[side] = new,
            last => self.labels[last as usize].next = new,
        }
        if self.outdone::<O>(task.wanted, self.places[place as usize].first[side], new) {
            match last {
                NO => self.places[place as usize].first[side] = at,
                last => self.labels[last as usize].next = at,
            }
            self.labels.pop();
            return;
        }
        let mut other = self.places[place as usize].first[1 - side];
        while other != NO {
            let Label { key: rest, next, .. } = self.labels[other as usize];
            if key + rest > self.worst {
                break;
            }
            if O::hops(key) + O::hops(rest) <= task.max_hops {
                let halves = if side == 0 { [new, other] } else { [other, new] };
                self.keep::<O>(task, key + rest, halves);
            }
            other = next;
        }
        if place == self.ends[1 - side] {
            return;
        }
        if O::hops(key) == self.caps[side] {
            self.leaf[side] = self.leaf[side].min(key);
        } else {
            self.heaps[side].push(Reverse(key << LABEL_BITS | u64::from(new)));
        }
    }

    /// From a label back to the end it comes from.
    fn back(&self, label: u32) -> impl Iterator<Item = u32> {
        std::iter::successors(Some(label), |&at| {
            Some(self.labels[at as usize].before).filter(|&before| before != NO)
        })
    }

    /// The record slots along a label, from its place back.
    fn slots_back<O: Order>(&self, task: &Task<'_>, label: u32) -> Vec<u32> {
        let steps = self.back(label).filter_map(|at| {
            let Label { key, before, .. } = self.labels[at as usize];
            (before != NO).then(|| {
                let cost = O::cost(key) - O::cost(self.labels[before as usize].key);
                // Every edge that a label was made along is there.
                let edge = task.filter.resolve(task.web, self.id(before), self.id(at), cost);
                edge.map_or(NO, |(_, slot)| slot)
            })
        });
        steps.collect()
    }

    /// Which of two labels with equal keys at one place has the smaller list of URIs, in the
    /// direction of the path.
    fn compare<O: Order>(&self, task: &Task<'_>, side: usize, a: u32, b: u32) -> Ordering {
        let [mut a, mut b] = [a, b].map(|label| self.slots_back::<O>(task, label));
        if side == 0 {
            a.reverse();
            b.reverse();
        }
        compare(task, &a, &b)
    }

    /// Keeps a walk, if it is among the best and not known.
    fn keep<O: Order>(&mut self, task: &Task<'_>, key: u64, [there, back]: [u32; 2]) {
        let mut nodes: Vec<u32> = self.back(there).map(|at| self.id(at)).collect();
        nodes.reverse();
        // Where the halves meet, they must not turn right back.
        let next = self.labels[back as usize].before;
        if nodes.len() > 1 && next != NO && self.id(next) == nodes[nodes.len() - 2] {
            return;
        }
        nodes.extend(self.back(back).skip(1).map(|at| self.id(at)));
        let same = self.met.partition_point(|walk| walk.key < key);
        if self.met[same..].iter().take_while(|walk| walk.key == key).any(|w| w.nodes == nodes) {
            return;
        }
        let mut slots = self.slots_back::<O>(task, there);
        slots.reverse();
        slots.extend(self.slots_back::<O>(task, back));
        let order =
            |walk: &Walk| walk.key.cmp(&key).then_with(|| compare(task, &walk.slots, &slots));
        let at = self.met.partition_point(|walk| order(walk).is_lt());
        self.met.insert(at, Walk { key, nodes, slots });
        self.met.truncate(task.wanted);
        if self.met.len() == task.wanted {
            self.worst = self.worst.min(self.met[task.wanted - 1].key);
        }
    }
}

/// Of two lists of record slots the one whose first other one has the smaller URI.
fn compare(task: &Task<'_>, a: &[u32], b: &[u32]) -> Ordering {
    let mut differences = a.iter().zip(b).filter(|(x, y)| x != y);
    differences.next().map_or(Ordering::Equal, |(&x, &y)| (task.compare)(x, y))
}
