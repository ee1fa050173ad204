//! One shard of the store: a table, the values' order, their times to live, and the two bounds.
//!
//! Before any live value goes, expired ones go.

use super::name::Name;
use super::order::{NIL, Order};
use super::trials::{FIRST, Trials};
use super::{Fit, Gone};
use hashbrown::HashTable;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A value with its key. In this order what a hit looks at of a [`super::Slot`] takes two lines
/// of the processor's cache, together with the node's own.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Held<V> {
    pub(super) fit: Fit,
    pub(super) value: V,
    name: Name,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shard<V> {
    table: HashTable<u32>,
    order: Order<Held<V>>,
    trials: Trials,
    /// When what expires: time, place and generation; entries of values that are gone are skipped.
    expiry: BinaryHeap<Reverse<(u64, u32, u32)>>,
    bytes: u64,
    max_len: usize,
    max_bytes: u64,
}

impl<V> Shard<V> {
    pub(super) fn new(max_len: usize, max_bytes: u64) -> Self {
        Self {
            table: HashTable::new(),
            order: Order::new(max_len, FIRST),
            trials: Trials::new(max_len),
            expiry: BinaryHeap::new(),
            bytes: 0,
            max_len,
            max_bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    #[inline]
    fn find(&self, hash: u64, key: &str) -> Option<u32> {
        self.table
            .find(hash, |i| {
                let node = &self.order.nodes[*i as usize];
                node.hash == hash && node.held.as_ref().is_some_and(|held| held.name.is(key))
            })
            .copied()
    }

    fn held(&self, i: u32) -> Option<&Held<V>> {
        self.order.nodes[i as usize].held.as_ref()
    }

    /// Looks up and counts as use, also when nothing is there.
    #[inline(always)]
    pub(super) fn get(&mut self, hash: u64, key: &str) -> Option<&Held<V>> {
        self.trials.note(hash);
        match self.find(hash, key) {
            Some(i) => {
                self.order.used(i);
                self.held(i)
            }
            None => {
                self.missed(hash);
                None
            }
        }
    }

    #[cold]
    fn missed(&mut self, hash: u64) {
        self.order.missed(hash);
        if let Some(law) = self.trials.run(self.order.asked, self.order.law()) {
            self.order.set_law(law);
        }
    }

    /// Uses and misses counted.
    #[cfg(test)]
    pub(super) fn asked(&self) -> u64 {
        self.order.asked
    }

    /// Looks up without counting as use.
    pub(super) fn peek(&self, hash: u64, key: &str) -> Option<&Held<V>> {
        self.held(self.find(hash, key)?)
    }

    /// Stores; `gone` gets what was replaced and what had to leave.
    pub(super) fn insert(
        &mut self,
        hash: u64,
        key: &str,
        value: V,
        fit: Fit,
        now: u64,
        gone: &mut Vec<Gone<V>>,
    ) {
        self.bytes += fit.bytes;
        let i = if let Some(i) = self.find(hash, key) {
            let node = &mut self.order.nodes[i as usize];
            node.generation = node.generation.wrapping_add(1);
            if let Some(held) = &mut node.held {
                self.bytes -= held.fit.bytes;
                let value = std::mem::replace(&mut held.value, value);
                let fit = std::mem::replace(&mut held.fit, fit);
                gone.push(Gone { value, fit, pushed_out: false });
            }
            i
        } else {
            let i = self.order.enter(hash, Held { fit, value, name: Name::new(key) });
            let nodes = &self.order.nodes;
            self.table.insert_unique(hash, i, |i| nodes[*i as usize].hash);
            i
        };
        self.expiry.push(Reverse((fit.expires, i, self.order.nodes[i as usize].generation)));
        if self.expiry.len() > 2 * self.order.nodes.len() + 64 {
            self.rebuild_expiry();
        }
        self.make_room(now, gone);
    }

    /// Removes it, if it is as asked.
    pub(super) fn remove_if(
        &mut self,
        hash: u64,
        key: &str,
        judge: impl FnOnce(&V) -> bool,
    ) -> Option<Gone<V>> {
        let i = self.find(hash, key)?;
        if judge(&self.held(i)?.value) { self.take(i) } else { None }
    }

    /// Removes what is not to be kept among the next `batch` places from `from` on; answers where
    /// to go on, `None` at the end.
    pub(super) fn sweep(
        &mut self,
        from: usize,
        batch: usize,
        keep: impl Fn(&str, &V, Fit) -> bool,
        gone: &mut Vec<Gone<V>>,
    ) -> Option<usize> {
        let to = from.saturating_add(batch).min(self.order.nodes.len());
        for i in from..to {
            if let Some(held) = &self.order.nodes[i].held
                && !keep(held.name.text(), &held.value, held.fit)
            {
                gone.extend(self.take(u32::try_from(i).unwrap_or(NIL)));
            }
        }
        (to < self.order.nodes.len()).then_some(to)
    }

    fn make_room(&mut self, now: u64, gone: &mut Vec<Gone<V>>) {
        while self.len() > self.max_len || self.bytes > self.max_bytes {
            if let Some(expired) = self.take_expired(now) {
                gone.push(expired);
                continue;
            }
            let Some(victim) = self.order.victim() else { return };
            gone.extend(self.take(victim).map(|gone| Gone { pushed_out: true, ..gone }));
        }
        self.order.spread();
    }

    fn take_expired(&mut self, now: u64) -> Option<Gone<V>> {
        while let Some(Reverse((expires, i, generation))) = self.expiry.peek().copied() {
            let node = &self.order.nodes[i as usize];
            let current = node.generation == generation && node.held.is_some();
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

    fn rebuild_expiry(&mut self) {
        let live = self.order.nodes.iter().enumerate().filter_map(|(i, node)| {
            let held = node.held.as_ref()?;
            Some(Reverse((held.fit.expires, u32::try_from(i).ok()?, node.generation)))
        });
        self.expiry = live.collect();
    }

    fn take(&mut self, i: u32) -> Option<Gone<V>> {
        let hash = self.order.nodes[i as usize].hash;
        if let Ok(entry) = self.table.find_entry(hash, |j| *j == i) {
            entry.remove();
        }
        let held = self.order.leave(i)?;
        self.bytes -= held.fit.bytes;
        Some(Gone { value: held.value, fit: held.fit, pushed_out: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::hash::{BuildHasher, RandomState};

    fn fit(expires: u64, bytes: u64) -> Fit {
        Fit { expires, bytes }
    }

    #[test]
    fn expired_values_go_before_live_ones() {
        let mut shard = Shard::new(10, u64::MAX);
        let hasher = RandomState::new();
        let mut gone = Vec::new();
        for i in 0..10_u64 {
            let key = i.to_string();
            let expires = if i % 2 == 0 { 50 } else { 1000 };
            shard.insert(hasher.hash_one(&key), &key, i, fit(expires, 1), 0, &mut gone);
        }
        for i in 10..15_u64 {
            let key = i.to_string();
            shard.insert(hasher.hash_one(&key), &key, i, fit(1000, 1), 100, &mut gone);
        }
        assert_eq!(gone.len(), 5);
        assert!(gone.iter().all(|gone| gone.value < 10 && gone.value % 2 == 0));
        assert!(gone.iter().all(|gone| !gone.pushed_out));
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
                    shard.remove_if(hash, &key, |_| true);
                    model.remove(&key);
                }
                1 => {
                    let fit = fit(step + (seed >> 40) % 500, 10 + (seed >> 50) % 90);
                    shard.insert(hash, &key, step, fit, step, &mut gone);
                    model.insert(key, step);
                }
                _ => {
                    if let Some(found) = shard.get(hash, &key) {
                        assert_eq!(model.get(&key), Some(&found.value), "the newest value");
                    }
                }
            }
            assert!(shard.len() <= 100 && shard.bytes <= 5_000);
            assert_eq!(shard.len(), shard.table.len());
            shard.order.check();
        }
    }

    /// Zipf 1.0 over 5,000 keys at 1,000, with a loop over as many keys again mixed in, at three
    /// of four: data that no constant was chosen on.
    #[test]
    fn what_is_asked_for_often_survives_a_loop_over_everything() {
        let mut shard = Shard::new(1000, u64::MAX);
        let hasher = RandomState::new();
        let sums: Vec<f64> = (1..=5000)
            .scan(0.0, |sum, rank| {
                *sum += 1.0 / f64::from(rank);
                Some(*sum)
            })
            .collect();
        let mut seed = 1_u64;
        let (mut hits, mut of) = (0, 0);
        for step in 0..80_000_u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let wanted = step % 4 == 0;
            let key = if wanted {
                let at = (seed >> 11) as f64 / (1_u64 << 53) as f64 * sums[4999];
                format!("z{}", sums.partition_point(|sum| *sum < at))
            } else {
                format!("l{}", step % 5000)
            };
            let hash = hasher.hash_one(&key);
            let hit = shard.get(hash, &key).is_some();
            if !hit {
                shard.insert(hash, &key, (), fit(u64::MAX, 1), 0, &mut Vec::new());
            }
            if wanted && step > 40_000 {
                of += 1;
                hits += u32::from(hit);
            }
        }
        // Alone, without the loop, the 1,000 most wanted of 5,000 make up 82 %. With it an LRU keeps
        // what was asked for among the last 250 queries: less than half.
        let rate = f64::from(hits) / f64::from(of);
        assert!(rate > 0.5, "{rate}");
    }
}
