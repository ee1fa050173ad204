//! One shard of the memory tier: which values stay when room is short.
//!
//! A variant of W-TinyLFU chosen by measurement (docs/decisions/0004-memory-cache.md). New values
//! enter a *window* of 30 % in order of use. What leaves the window competes with the least
//! recently used value of the main part: the one asked for more often lately stays. The main part
//! is segmented: *probation*, and after a hit there *protected* (80 % of it). A value turned away
//! leaves its hash as a *ghost*; if it comes back while the ghost is there, the window was too
//! short for it, and it enters the main part at once.
//!
//! Before any live value goes, expired ones go.

use super::Slot;
use super::sketch::Sketch;
use hashbrown::HashTable;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

/// Share of the window.
const WINDOW: f64 = 0.3;
/// Share of the main part that is protected.
const PROTECTED: f64 = 0.8;
/// Ghosts for each value held.
const GHOSTS: f64 = 0.5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Queue {
    Window,
    Probation,
    Protected,
}

/// No node.
const NIL: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    hash: u64,
    key: Box<str>,
    /// `None`: the node is free.
    slot: Option<Arc<Slot>>,
    queue: Queue,
    newer: u32,
    older: u32,
    /// Tells apart the values that stood in this node one after another.
    generation: u32,
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
pub(crate) struct Shard {
    table: HashTable<u32>,
    nodes: Vec<Node>,
    free: Vec<u32>,
    lists: [List; 3],
    sketch: Sketch,
    /// When what expires; entries of values that are gone are skipped.
    expiry: BinaryHeap<Reverse<(u64, u32, u32)>>,
    ghosts: HashMap<u64, u64>,
    ghost_order: VecDeque<(u64, u64)>,
    ghost_count: u64,
    len: usize,
    bytes: u64,
    max_len: usize,
    max_bytes: u64,
    window: usize,
    protected: usize,
    max_ghosts: usize,
}

fn share(of: usize, part: f64) -> usize {
    (of as f64 * part) as usize
}

impl Shard {
    pub(crate) fn new(max_len: usize, max_bytes: u64) -> Self {
        let window = share(max_len, WINDOW).max(1);
        Self {
            table: HashTable::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            lists: [List::default(); 3],
            sketch: Sketch::new(max_len),
            expiry: BinaryHeap::new(),
            ghosts: HashMap::new(),
            ghost_order: VecDeque::new(),
            ghost_count: 0,
            len: 0,
            bytes: 0,
            max_len,
            max_bytes,
            window,
            protected: share(max_len - window.min(max_len), PROTECTED),
            max_ghosts: share(max_len, GHOSTS),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn find(&self, hash: u64, key: &str) -> Option<u32> {
        self.table
            .find(hash, |i| {
                let node = &self.nodes[*i as usize];
                node.hash == hash && *node.key == *key
            })
            .copied()
    }

    /// Looks up and counts as use, also when nothing is there.
    pub(crate) fn get(&mut self, hash: u64, key: &str) -> Option<&Arc<Slot>> {
        self.sketch.increment(hash);
        let i = self.find(hash, key)?;
        match self.nodes[i as usize].queue {
            queue if self.lists[queue as usize].newest == i && queue != Queue::Probation => {}
            Queue::Window => self.move_to(i, Queue::Window),
            Queue::Probation | Queue::Protected => {
                self.move_to(i, Queue::Protected);
                while self.lists[Queue::Protected as usize].len > self.protected {
                    let oldest = self.lists[Queue::Protected as usize].oldest;
                    self.move_to(oldest, Queue::Probation);
                }
            }
        }
        self.nodes[i as usize].slot.as_ref()
    }

    /// Looks up without counting as use.
    pub(crate) fn peek(&self, hash: u64, key: &str) -> Option<Arc<Slot>> {
        self.nodes[self.find(hash, key)? as usize].slot.clone()
    }

    /// Stores; `gone` gets what was replaced, and what had to leave (with `true` when it was
    /// pushed out alive).
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        key: &str,
        slot: Arc<Slot>,
        now: u64,
        gone: &mut Vec<(Arc<Slot>, bool)>,
    ) {
        let expires = slot.expires;
        let i = if let Some(i) = self.find(hash, key) {
            let node = &mut self.nodes[i as usize];
            node.generation = node.generation.wrapping_add(1);
            self.bytes += slot.bytes;
            if let Some(old) = node.slot.replace(slot) {
                self.bytes -= old.bytes;
                gone.push((old, false));
            }
            i
        } else {
            let queue =
                if self.ghosts.remove(&hash).is_some() { Queue::Probation } else { Queue::Window };
            self.add(hash, key, slot, queue)
        };
        self.expiry.push(Reverse((expires, i, self.nodes[i as usize].generation)));
        if self.expiry.len() > 2 * self.nodes.len() + 64 {
            self.rebuild_expiry();
        }
        self.make_room(now, gone);
    }

    fn add(&mut self, hash: u64, key: &str, slot: Arc<Slot>, queue: Queue) -> u32 {
        self.bytes += slot.bytes;
        self.len += 1;
        let i = match self.free.pop() {
            Some(i) => {
                let node = &mut self.nodes[i as usize];
                node.hash = hash;
                node.key = key.into();
                node.slot = Some(slot);
                i
            }
            None => {
                // A shard holds fewer than 2^32 values.
                let i = u32::try_from(self.nodes.len()).unwrap_or(NIL);
                self.nodes.push(Node {
                    hash,
                    key: key.into(),
                    slot: Some(slot),
                    queue,
                    newer: NIL,
                    older: NIL,
                    generation: 0,
                });
                i
            }
        };
        self.push(i, queue);
        let nodes = &self.nodes;
        self.table.insert_unique(hash, i, |i| nodes[*i as usize].hash);
        i
    }

    pub(crate) fn remove(&mut self, hash: u64, key: &str) -> Option<Arc<Slot>> {
        let i = self.find(hash, key)?;
        self.take(i)
    }

    /// Removes this very slot, not one that was stored since.
    pub(crate) fn remove_same(
        &mut self,
        hash: u64,
        key: &str,
        slot: &Arc<Slot>,
    ) -> Option<Arc<Slot>> {
        let i = self.find(hash, key)?;
        let same = self.nodes[i as usize].slot.as_ref().is_some_and(|s| Arc::ptr_eq(s, slot));
        if same { self.take(i) } else { None }
    }

    /// Removes what is not to be kept among the next `batch` places from `from` on; answers where
    /// to go on, `None` at the end.
    pub(crate) fn sweep(
        &mut self,
        from: usize,
        batch: usize,
        keep: impl Fn(&str, &Slot) -> bool,
        gone: &mut Vec<(Arc<Slot>, bool)>,
    ) -> Option<usize> {
        let to = from.saturating_add(batch).min(self.nodes.len());
        for i in from..to {
            let node = &self.nodes[i];
            if let Some(slot) = &node.slot
                && !keep(&node.key, slot)
                && let Some(slot) = self.take(u32::try_from(i).unwrap_or(NIL))
            {
                gone.push((slot, false));
            }
        }
        (to < self.nodes.len()).then_some(to)
    }

    fn make_room(&mut self, now: u64, gone: &mut Vec<(Arc<Slot>, bool)>) {
        let over = |s: &Self| s.len > s.max_len || s.bytes > s.max_bytes;
        while over(self) {
            if let Some(slot) = self.take_expired(now) {
                gone.push((slot, false));
                continue;
            }
            let Some(victim) = self.victim() else { return };
            if let Some(slot) = self.take(victim) {
                gone.push((slot, true));
            }
        }
        // While there is room, the window hands on what overflows.
        while self.lists[Queue::Window as usize].len > self.window {
            if self.len >= self.max_len {
                break;
            }
            let oldest = self.lists[Queue::Window as usize].oldest;
            self.move_to(oldest, Queue::Probation);
        }
    }

    fn take_expired(&mut self, now: u64) -> Option<Arc<Slot>> {
        while let Some(Reverse((expires, i, generation))) = self.expiry.peek().copied() {
            let node = &self.nodes[i as usize];
            let current = node.generation == generation && node.slot.is_some();
            if current && expires > now {
                return None;
            }
            self.expiry.pop();
            if current {
                return self.take(i);
            }
        }
        None
    }

    /// Who leaves: the window's oldest or the main part's, whichever was asked for less.
    fn victim(&mut self) -> Option<u32> {
        let list = |q: Queue| self.lists[q as usize];
        let main = match (list(Queue::Probation).oldest, list(Queue::Protected).oldest) {
            (NIL, NIL) => None,
            (NIL, i) | (i, _) => Some(i),
        };
        let window = Some(list(Queue::Window).oldest).filter(|i| *i != NIL);
        match (window, main) {
            (Some(candidate), Some(main)) if list(Queue::Window).len > self.window => {
                let asked = |i: u32| self.sketch.frequency(self.nodes[i as usize].hash);
                if asked(candidate) > asked(main) {
                    self.move_to(candidate, Queue::Probation);
                    Some(main)
                } else {
                    self.remember_ghost(self.nodes[candidate as usize].hash);
                    Some(candidate)
                }
            }
            (_, Some(main)) => Some(main),
            (window, None) => window,
        }
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

    fn rebuild_expiry(&mut self) {
        let live = self.nodes.iter().enumerate().filter_map(|(i, node)| {
            let slot = node.slot.as_ref()?;
            Some(Reverse((slot.expires, u32::try_from(i).ok()?, node.generation)))
        });
        self.expiry = live.collect();
    }

    fn take(&mut self, i: u32) -> Option<Arc<Slot>> {
        self.unlink(i);
        let node = &mut self.nodes[i as usize];
        let slot = node.slot.take()?;
        node.generation = node.generation.wrapping_add(1);
        node.key = Box::default();
        let hash = node.hash;
        if let Ok(entry) = self.table.find_entry(hash, |j| *j == i) {
            entry.remove();
        }
        self.free.push(i);
        self.len -= 1;
        self.bytes -= slot.bytes;
        Some(slot)
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{BuildHasher, RandomState};

    fn slot(expires: u64, bytes: u64) -> Arc<Slot> {
        Arc::new(Slot::new(Arc::new(0_u8), 0, expires, Box::new([]), bytes, 0, false))
    }

    #[test]
    fn expired_values_go_before_live_ones() {
        let mut shard = Shard::new(10, u64::MAX);
        let hasher = RandomState::new();
        let mut gone = Vec::new();
        for i in 0..10_u64 {
            let key = i.to_string();
            let expires = if i % 2 == 0 { 50 } else { 1000 };
            shard.insert(hasher.hash_one(&key), &key, slot(expires, 1), 0, &mut gone);
        }
        for i in 10..15_u64 {
            let key = i.to_string();
            shard.insert(hasher.hash_one(&key), &key, slot(1000, 1), 100, &mut gone);
        }
        assert_eq!(gone.len(), 5);
        assert!(gone.iter().all(|(slot, alive)| slot.expires == 50 && !alive));
    }

    #[test]
    fn keys_and_bytes_stay_within_bounds_whatever_is_done() {
        let mut shard = Shard::new(100, 5_000);
        let hasher = RandomState::new();
        let mut seed = 1_u64;
        let mut model: HashMap<String, u64> = HashMap::new();
        for step in 0..50_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let key = ((seed >> 33) % 300).to_string();
            let hash = hasher.hash_one(&key);
            let mut gone = Vec::new();
            match (seed >> 60) % 4 {
                0 => {
                    shard.remove(hash, &key);
                    model.remove(&key);
                }
                1 => {
                    let expires = step + (seed >> 40) % 500;
                    shard.insert(
                        hash,
                        &key,
                        slot(expires, 10 + (seed >> 50) % 90),
                        step,
                        &mut gone,
                    );
                    model.insert(key, expires);
                }
                _ => {
                    if let Some(found) = shard.get(hash, &key) {
                        assert_eq!(model.get(&key), Some(&found.expires), "the newest value");
                    }
                }
            }
            assert!(shard.len <= 100 && shard.bytes <= 5_000);
            assert_eq!(shard.len, shard.table.len());
            assert_eq!(shard.len, shard.lists.iter().map(|l| l.len).sum::<usize>());
            assert!(shard.ghosts.len() <= shard.max_ghosts + 1);
        }
    }
}
