//! Which values stay when room is short.
//!
//! A variant of W-TinyLFU chosen by measurement (docs/decisions/0004-memory-cache.md). New values
//! enter a *window* in order of use. What leaves the window competes with the least used of those
//! of the main part that were used longest ago: the one asked for more often lately stays. The main part is
//! segmented: *probation*, and after a use there *protected*. A value turned away leaves its hash
//! as a *ghost*; if it comes back while the ghost is there, the window was too short for it, and
//! it enters the main part at once. How large the window is, is chosen by [`super::trials`].
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
/// Uses for each value there is room for after which all counts are halved: long enough to tell
/// what is asked for 20 times an hour from what is asked for 10 times.
const SAMPLE: u64 = 40;
/// Highest count of a node.
const MOST_USES: u8 = 60;
/// Among so many of probation's oldest the least used is the one to compete or leave: a single
/// one would too often be a frequent value that happens not to have been asked for lately.
const COMPARED: usize = 8;
/// Marks taken back for one victim: some 5 µs under the shard's lock.
const SECOND_CHANCES: usize = 128;

/// No node.
pub(super) const NIL: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Queue {
    Window,
    Probation,
    Protected,
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
    len: usize,
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
    lists: [List; 3],
    sketch: Sketch,
    /// Uses and misses since the start.
    pub(super) asked: u64,
    /// When all counts are halved next.
    halve_at: u64,
    sample: u64,
    /// How often all counts were halved.
    era: u8,
    ghosts: HashMap<u64, u64>,
    ghost_order: VecDeque<(u64, u64)>,
    ghost_count: u64,
    max_ghosts: usize,
    max_len: usize,
    window: f64,
}

fn share(of: usize, part: f64) -> usize {
    (of as f64 * part) as usize
}

impl<T> Order<T> {
    /// For so many values, so large a share of them in the window.
    pub(super) fn new(max_len: usize, window: f64) -> Self {
        let sample = max_len.max(8) as u64 * SAMPLE;
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            lists: [List::default(); 3],
            sketch: Sketch::new(max_len),
            asked: 0,
            halve_at: sample,
            sample,
            era: 0,
            ghosts: HashMap::new(),
            ghost_order: VecDeque::new(),
            ghost_count: 0,
            max_ghosts: share(max_len, GHOSTS),
            max_len,
            window,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    pub(super) fn set_window(&mut self, share: f64) {
        self.window = share;
    }

    pub(super) fn window(&self) -> f64 {
        self.window
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
        self.halve_at = self.asked + self.sample / 2;
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
            queue: Queue::Window,
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
        self.push(i, if back { Queue::Probation } else { Queue::Window });
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
        let window = share(self.max_len, self.window).max(1);
        while self.list(Queue::Window).len > window && self.len() < self.max_len {
            self.move_to(self.list(Queue::Window).oldest, Queue::Probation);
        }
    }

    /// Who leaves: the window's oldest or the main part's, whichever was asked for less.
    pub(super) fn victim(&mut self) -> Option<u32> {
        // When bytes are short before places are, shares are of what there is.
        let room = self.len().min(self.max_len);
        let window = share(room, self.window).max(1);
        self.catch_up(window, share(room - window.min(room), PROTECTED));
        let main = match (self.list(Queue::Probation).oldest, self.list(Queue::Protected).oldest) {
            (NIL, NIL) => None,
            (NIL, i) => Some(i),
            (i, _) => Some(self.least_used_from(i)),
        };
        let candidate = Some(self.list(Queue::Window).oldest).filter(|i| *i != NIL);
        match (candidate, main) {
            (Some(candidate), Some(main)) if self.list(Queue::Window).len > window => {
                let uses = |i: u32| self.nodes[i as usize].uses_in(self.era);
                if uses(candidate) > uses(main) {
                    self.move_to(candidate, Queue::Probation);
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
            let oldest = self.list(Queue::Window).oldest;
            if self.list(Queue::Window).len <= window || !self.take_mark(oldest) {
                break;
            }
            self.move_to(oldest, Queue::Window);
        }
        for _ in 0..SECOND_CHANCES {
            let oldest = self.list(Queue::Protected).oldest;
            if self.list(Queue::Protected).len > protected {
                let queue =
                    if self.take_mark(oldest) { Queue::Protected } else { Queue::Probation };
                self.move_to(oldest, queue);
                continue;
            }
            let oldest = self.list(Queue::Probation).oldest;
            if !self.take_mark(oldest) {
                break;
            }
            self.move_to(oldest, Queue::Protected);
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
            let uses = self.nodes[least as usize].uses_in(self.era);
            if !node.used && node.uses_in(self.era) < uses {
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
        self.lists[queue as usize]
    }

    fn move_to(&mut self, i: u32, queue: Queue) {
        self.unlink(i);
        self.push(i, queue);
    }

    fn push(&mut self, i: u32, queue: Queue) {
        let list = &mut self.lists[queue as usize];
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
        let list = &mut self.lists[queue as usize];
        list.len -= 1;
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
        assert_eq!(self.len(), self.lists.iter().map(|l| l.len).sum::<usize>());
        assert!(self.ghosts.len() <= self.max_ghosts + 1);
    }
}

impl<T> Node<T> {
    fn uses_in(&self, era: u8) -> u8 {
        self.uses.checked_shr(u32::from(era.wrapping_sub(self.era))).unwrap_or(0)
    }
}
