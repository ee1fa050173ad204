//! Which values stay when room is short.
//!
//! A variant of W-TinyLFU chosen by measurement (docs/decisions/0004-memory-cache.md). New values
//! enter a *window* in order of use. What leaves the window competes with one of the main part:
//! whichever was asked for more often lately stays. The main part is segmented: *probation*, where
//! who competes is looked for, and after a use there *protected*. A value turned away leaves its
//! hash as a *ghost*; if it comes back while the ghost is there, the window was too short for it,
//! and it enters the main part at once.
//!
//! What else there is to choose is a [`Law`], and [`super::trials`] chooses it: how large the window
//! is, how long uses are remembered, and who of probation competes. While what is asked for shifts,
//! that is the least used of those that were used longest ago; while it does not, the least used of
//! all, for which probation stands in one list for each count.
//!
//! # Law
//! A use changes nothing but the node of the value: its count and a mark. Order is made up for
//! when room is needed, so that a get that hits stays as cheap as its look-up.

use super::sketch::Sketch;
use std::collections::{HashMap, VecDeque};

/// Share of the main part that is protected.
const PROTECTED: f64 = 0.75;
/// Ghosts for each value there is room for.
const GHOSTS: f64 = 0.33;
/// Highest count of a node: a bit for each list fits into a word.
const MOST_USES: u8 = 125;
/// Among so many of probation's oldest the least used is the one to compete or leave: a single
/// one would too often be a frequent value that happens not to have been asked for lately.
const COMPARED: usize = 8;
/// Marks taken back for one victim: some 5 µs under the shard's lock.
const SECOND_CHANCES: usize = 128;

/// No node.
pub(super) const NIL: u32 = u32::MAX;

/// Places looked at for each victim, whether their values stand in the list of their count: counts
/// are halved at once, and lists follow.
const LOOKED_AT: usize = 4;

/// The number of a list: window, protected, then probation's, one for each count of uses.
type Queue = u8;
const WINDOW: Queue = 0;
const PROTECTED_QUEUE: Queue = 1;
const PROBATION: Queue = 2;
const QUEUES: usize = PROBATION as usize + MOST_USES as usize + 1;

/// What is chosen by trying.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Law {
    /// The window's share of all places.
    pub(super) window: f64,
    /// Uses for each value there is room for after which all counts are halved.
    pub(super) sample: u64,
    /// Who of probation competes: the least used of all, not of its oldest.
    pub(super) by_use: bool,
}

/// A place for a value; it begins where a line of the processor's cache does.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Node<T> {
    /// `None`: the place is free.
    pub(super) held: Option<T>,
    pub(super) hash: u64,
    /// Tells apart the values that stood in this place one after another.
    pub(super) generation: u32,
    newer: u32,
    older: u32,
    queue: Queue,
    /// Used since it got its place in the queue.
    used: bool,
    /// How often it was asked for, as of `era`.
    uses: u8,
    era: u8,
}

#[derive(Debug, Clone, Copy)]
struct List {
    newest: u32,
    oldest: u32,
    len: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { newest: NIL, oldest: NIL, len: 0 }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Order<T> {
    pub(super) nodes: Vec<Node<T>>,
    free: Vec<u32>,
    lists: Box<[List; QUEUES]>,
    /// A bit for each list that is not empty.
    filled: u128,
    sketch: Sketch,
    /// Uses and misses since the start.
    pub(super) asked: u64,
    /// When all counts are halved next.
    halve_at: u64,
    /// How often all counts were halved.
    era: u8,
    ghosts: HashMap<u64, u64>,
    ghost_order: VecDeque<(u64, u64)>,
    ghost_count: u64,
    max_ghosts: usize,
    max_len: usize,
    law: Law,
    /// Where the next place is looked at.
    looked_at: usize,
}

fn share(of: usize, part: f64) -> usize {
    (of as f64 * part) as usize
}

fn uses(places: usize, of_each: u64) -> u64 {
    places.max(8) as u64 * of_each
}

impl<T> Order<T> {
    /// For so many values.
    pub(super) fn new(max_len: usize, law: Law) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            lists: Box::new([List::default(); QUEUES]),
            filled: 0,
            sketch: Sketch::new(max_len),
            asked: 0,
            halve_at: uses(max_len, law.sample),
            era: 0,
            ghosts: HashMap::new(),
            ghost_order: VecDeque::new(),
            ghost_count: 0,
            max_ghosts: share(max_len, GHOSTS),
            max_len,
            law,
            looked_at: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Goes on by another law. The lists follow it by and by.
    pub(super) fn set_law(&mut self, law: Law) {
        let (old, new) = (uses(self.max_len, self.law.sample), uses(self.max_len, law.sample));
        self.halve_at = if new > old {
            self.halve_at + (new - old) / 2
        } else {
            self.halve_at.min(self.asked + new / 2)
        };
        self.law = law;
    }

    pub(super) fn law(&self) -> Law {
        self.law
    }

    /// It was asked for and is here.
    #[inline]
    pub(super) fn used(&mut self, i: u32) {
        self.asked += 1;
        if self.asked >= self.halve_at {
            self.halve();
        }
        let era = self.era;
        let node = &mut self.nodes[i as usize];
        if node.era != era {
            node.uses = node.uses_in(era);
            node.era = era;
        }
        // What would not change is not written: another core may have the line.
        if node.uses < MOST_USES {
            node.uses += 1;
        }
        if !node.used {
            node.used = true;
        }
    }

    /// It was asked for and is not here.
    pub(super) fn missed(&mut self, hash: u64) {
        self.asked += 1;
        if self.asked >= self.halve_at {
            self.halve();
        }
        self.sketch.increment(hash);
    }

    #[cold]
    fn halve(&mut self) {
        self.sketch.halve();
        self.era = self.era.wrapping_add(1);
        // What was counted so far counts half of it.
        self.halve_at = self.asked + uses(self.max_len, self.law.sample) / 2;
    }

    /// Takes it in; room is the caller's affair.
    pub(super) fn enter(&mut self, hash: u64, held: T) -> u32 {
        let back = self.ghosts.remove(&hash).is_some();
        let uses = self.sketch.frequency(hash);
        let generation = |old: u32| old.wrapping_add(1);
        let mut node = Node {
            hash,
            held: Some(held),
            generation: 0,
            newer: NIL,
            older: NIL,
            queue: WINDOW,
            used: false,
            uses,
            era: self.era,
        };
        let i = match self.free.pop() {
            Some(i) => {
                node.generation = generation(self.nodes[i as usize].generation);
                self.nodes[i as usize] = node;
                i
            }
            None => {
                // There is never room for 2^32 values.
                let i = u32::try_from(self.nodes.len()).unwrap_or(NIL);
                self.nodes.push(node);
                i
            }
        };
        self.push(i, if back { self.probation_of(i) } else { WINDOW });
        i
    }

    /// Takes it out.
    pub(super) fn leave(&mut self, i: u32) -> Option<T> {
        self.unlink(i);
        let era = self.era;
        let node = &mut self.nodes[i as usize];
        let held = node.held.take();
        node.generation = node.generation.wrapping_add(1);
        let (hash, uses) = (node.hash, node.uses_in(era));
        self.sketch.raise(hash, uses);
        self.free.push(i);
        held
    }

    /// While there is room, the window hands on what overflows.
    pub(super) fn spread(&mut self) {
        let window = share(self.max_len, self.law.window).max(1);
        while self.len_of(WINDOW) > window && self.len() < self.max_len {
            let oldest = self.list(WINDOW).oldest;
            self.move_to(oldest, self.probation_of(oldest));
        }
    }

    /// Who leaves: the window's oldest or one of the main part, whichever was asked for less.
    pub(super) fn victim(&mut self) -> Option<u32> {
        // When bytes are short before places are, shares are of what there is.
        let room = self.len().min(self.max_len);
        let window = share(room, self.law.window).max(1);
        self.put_in_order();
        self.catch_up(window, share(room - window.min(room), PROTECTED));
        let main =
            match (self.list(self.first_probation()).oldest, self.list(PROTECTED_QUEUE).oldest) {
                (NIL, NIL) => None,
                (NIL, i) => Some(i),
                (i, _) if self.law.by_use => Some(i),
                (i, _) => Some(self.least_used_from(i)),
            };
        let candidate = Some(self.list(WINDOW).oldest).filter(|i| *i != NIL);
        match (candidate, main) {
            (Some(candidate), Some(main)) if self.len_of(WINDOW) > window => {
                if self.uses_of(candidate) > self.uses_of(main) {
                    self.move_to(candidate, self.probation_of(candidate));
                    Some(main)
                } else {
                    self.remember_ghost(self.nodes[candidate as usize].hash);
                    Some(candidate)
                }
            }
            (_, Some(main)) => Some(main),
            (candidate, None) => candidate,
        }
    }

    /// Makes up for the uses since the last time: whoever is at the end of a queue and was used
    /// goes to a beginning.
    fn catch_up(&mut self, window: usize, protected: usize) {
        for _ in 0..SECOND_CHANCES {
            let oldest = self.list(WINDOW).oldest;
            if self.len_of(WINDOW) <= window || !self.take_mark(oldest) {
                break;
            }
            self.move_to(oldest, WINDOW);
        }
        for _ in 0..SECOND_CHANCES {
            let oldest = self.list(PROTECTED_QUEUE).oldest;
            if self.len_of(PROTECTED_QUEUE) > protected {
                let stays = self.take_mark(oldest);
                let queue = if stays { PROTECTED_QUEUE } else { self.probation_of(oldest) };
                self.move_to(oldest, queue);
                continue;
            }
            let oldest = self.list(self.first_probation()).oldest;
            if !self.take_mark(oldest) {
                break;
            }
            self.move_to(oldest, PROTECTED_QUEUE);
        }
    }

    /// Looks at some more of the values of probation: whoever stands in a list that is not that of
    /// its count, because counts were halved or the law has changed, goes there.
    fn put_in_order(&mut self) {
        if !self.law.by_use {
            return;
        }
        for _ in 0..LOOKED_AT {
            self.looked_at = (self.looked_at + 1) % self.nodes.len().max(1);
            let Some(node) = self.nodes.get(self.looked_at) else { return };
            // Who was used will go to protected: its count is of no use here.
            if node.held.is_none() || node.queue < PROBATION || node.used {
                continue;
            }
            // There are never 2^32 nodes.
            let i = self.looked_at as u32;
            if node.queue != self.probation_of(i) {
                self.move_to(i, self.probation_of(i));
            }
        }
    }

    /// The least used of an oldest value and those next to it, those used lately apart.
    fn least_used_from(&self, oldest: u32) -> u32 {
        let (mut least, mut i) = (oldest, oldest);
        for _ in 1..COMPARED {
            i = self.nodes[i as usize].newer;
            if i == NIL {
                break;
            }
            let node = &self.nodes[i as usize];
            if !node.used && node.uses_in(self.era) < self.uses_of(least) {
                least = i;
            }
        }
        least
    }

    fn take_mark(&mut self, i: u32) -> bool {
        i != NIL && std::mem::take(&mut self.nodes[i as usize].used)
    }

    fn remember_ghost(&mut self, hash: u64) {
        self.ghost_count += 1;
        self.ghosts.insert(hash, self.ghost_count);
        self.ghost_order.push_back((hash, self.ghost_count));
        while self.ghost_order.len() > self.max_ghosts {
            if let Some((hash, count)) = self.ghost_order.pop_front()
                && self.ghosts.get(&hash) == Some(&count)
            {
                self.ghosts.remove(&hash);
            }
        }
    }

    fn list(&self, queue: Queue) -> List {
        self.lists[usize::from(queue)]
    }

    fn len_of(&self, queue: Queue) -> usize {
        self.list(queue).len as usize
    }

    /// The list of probation whose oldest is the next to compete; its first if all are empty.
    fn first_probation(&self) -> Queue {
        // What a law by use has left in the lists of counts goes before what came since, or a
        // popularity that is over would be kept for one more round.
        let first = if self.law.by_use { PROBATION } else { PROBATION + 1 };
        match self.filled >> first {
            0 => PROBATION,
            // Below 128.
            filled => first + filled.trailing_zeros() as Queue,
        }
    }

    /// Where in probation a value belongs.
    fn probation_of(&self, i: u32) -> Queue {
        if self.law.by_use { PROBATION + self.uses_of(i) } else { PROBATION }
    }

    fn uses_of(&self, i: u32) -> u8 {
        self.nodes[i as usize].uses_in(self.era)
    }

    fn move_to(&mut self, i: u32, queue: Queue) {
        self.unlink(i);
        self.push(i, queue);
    }

    fn push(&mut self, i: u32, queue: Queue) {
        let list = &mut self.lists[usize::from(queue)];
        self.filled |= 1 << queue;
        let second = list.newest;
        list.newest = i;
        list.len += 1;
        if second == NIL {
            list.oldest = i;
        } else {
            self.nodes[second as usize].newer = i;
        }
        let node = &mut self.nodes[i as usize];
        node.queue = queue;
        node.older = second;
        node.newer = NIL;
    }

    fn unlink(&mut self, i: u32) {
        let Node { queue, newer, older, .. } = self.nodes[i as usize];
        let list = &mut self.lists[usize::from(queue)];
        list.len -= 1;
        if list.len == 0 {
            self.filled &= !(1 << queue);
        }
        if newer == NIL {
            list.newest = older;
        }
        if older == NIL {
            list.oldest = newer;
        }
        if newer != NIL {
            self.nodes[newer as usize].older = older;
        }
        if older != NIL {
            self.nodes[older as usize].newer = newer;
        }
    }

    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut listed = 0;
        for (queue, list) in self.lists.iter().enumerate() {
            assert_eq!(self.filled >> queue & 1 == 1, list.len > 0);
            let (mut i, mut len) = (list.oldest, 0);
            while i != NIL {
                assert_eq!(usize::from(self.nodes[i as usize].queue), queue);
                i = self.nodes[i as usize].newer;
                len += 1;
            }
            assert_eq!(len, list.len);
            listed += len as usize;
        }
        assert_eq!(self.len(), listed);
        assert!(self.ghosts.len() <= self.max_ghosts + 1);
    }
}

impl<T> Node<T> {
    fn uses_in(&self, era: u8) -> u8 {
        self.uses.checked_shr(u32::from(era.wrapping_sub(self.era))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVELY: Law = Law { window: 0.01, sample: 1000, by_use: false };
    const STEADY: Law = Law { by_use: true, ..LIVELY };

    /// 100 values, the n-th used n times, all in probation.
    fn filled(law: Law) -> Order<()> {
        let mut order = Order::new(100, law);
        for n in 0..100 {
            for _ in 0..n {
                order.missed(n);
            }
            let i = order.enter(n, ());
            // Counts of the sketch end at 15.
            for _ in 15..n {
                order.used(i);
            }
            order.nodes[i as usize].used = false;
            order.spread();
        }
        order
    }

    #[test]
    fn by_use_the_least_used_leave_first_also_after_counts_were_halved_and_the_law_changed() {
        for switched in [false, true] {
            let mut order = filled(if switched { LIVELY } else { STEADY });
            order.set_law(STEADY);
            order.halve();
            // One round of looking at places, by what leaves for what comes.
            for n in 1000..1050 {
                order.enter(n, ());
                if let Some(i) = order.victim() {
                    order.leave(i);
                }
                order.check();
            }
            let mut left = Vec::new();
            while let Some(i) = order.victim() {
                left.push(order.uses_of(i));
                order.leave(i);
                order.check();
            }
            // The last few are of the window.
            let counts = left.get(..90).expect("so many were there");
            assert!(counts.is_sorted(), "{switched}: {counts:?}");
        }
    }

    #[test]
    fn what_a_law_by_use_left_behind_leaves_before_what_came_since() {
        let mut order = filled(STEADY);
        order.set_law(LIVELY);
        for n in 1000..1020 {
            let i = order.enter(n, ());
            for _ in 0..125 {
                order.used(i);
            }
            order.nodes[i as usize].used = false;
            let victim = order.victim().expect("one");
            assert!(order.nodes[victim as usize].hash < 100);
            order.leave(victim);
            order.check();
        }
    }
}
