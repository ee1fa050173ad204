//! The tier in this process: decoded values, shared with their readers and never changed.

mod shard;
mod sketch;

use crate::stats::{Count, Scope, Statistics};
use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use shard::Shard;
use std::any::Any;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A decoded value.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

/// A value and what is known of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) value: Value,
    /// Up to this local number no record covers it.
    checked: AtomicU64,
    /// Nanoseconds of the clock's `elapsed`.
    pub(crate) expires: u64,
    /// Hashes of its tags.
    pub(crate) tags: Box<[u64]>,
    pub(crate) bytes: u64,
    pub(crate) namespace: u16,
    /// It says that there is nothing.
    pub(crate) none: bool,
}

impl Slot {
    pub(crate) fn checked(&self) -> u64 {
        self.checked.load(Ordering::Acquire)
    }

    /// Remembers that it was found good up to `local`.
    pub(crate) fn found_good(&self, local: u64) {
        // Every number stored here was checked; that a smaller one may come last costs one check.
        self.checked.store(local, Ordering::Release);
    }

    pub(crate) fn new(
        value: Value,
        stamp: u64,
        expires: u64,
        tags: Box<[u64]>,
        bytes: u64,
        namespace: u16,
        none: bool,
    ) -> Self {
        Self { value, checked: AtomicU64::new(stamp), expires, tags, bytes, namespace, none }
    }
}

/// Fewest values of a shard: smaller ones would judge each value by too few others.
const SHARD_KEYS: usize = 1024;
/// Most shards.
const MAX_SHARDS: usize = 16;

/// See the module.
#[derive(Debug)]
pub(crate) struct MemoryTier {
    shards: Box<[Mutex<Shard>]>,
    hasher: DefaultHashBuilder,
    stats: Arc<Statistics>,
}

impl MemoryTier {
    pub(crate) fn new(max_keys: usize, max_bytes: u64, stats: Arc<Statistics>) -> Self {
        let count = (max_keys / SHARD_KEYS).clamp(1, MAX_SHARDS);
        let shards = (0..count)
            .map(|i| {
                // The first shards take what the division leaves over.
                let keys = max_keys / count + usize::from(i < max_keys % count);
                Mutex::new(Shard::new(keys, max_bytes / count as u64))
            })
            .collect();
        Self { shards, hasher: DefaultHashBuilder::default(), stats }
    }

    fn shard(&self, key: &str) -> (u64, &Mutex<Shard>) {
        let hash = self.hasher.hash_one(key);
        // The upper half: the tables use the lower bits and the top seven.
        let at = ((hash >> 16) & 0xffff_ffff) as usize % self.shards.len();
        (hash, &self.shards[at])
    }

    /// Looks up and counts as use; `look` judges the slot under the lock, which spares two
    /// counts of references.
    pub(crate) fn get<R>(&self, key: &str, look: impl FnOnce(&Arc<Slot>) -> R) -> Option<R> {
        let (hash, shard) = self.shard(key);
        shard.lock().get(hash, key).map(look)
    }

    /// Looks up without counting as use.
    pub(crate) fn peek(&self, key: &str) -> Option<Arc<Slot>> {
        let (hash, shard) = self.shard(key);
        shard.lock().peek(hash, key)
    }

    pub(crate) fn insert(&self, key: &str, slot: Arc<Slot>, now: u64) {
        self.stats.stored(slot.namespace, slot.bytes);
        let (hash, shard) = self.shard(key);
        let mut gone = Vec::new();
        shard.lock().insert(hash, key, slot, now, &mut gone);
        // Dropped here, outside the lock.
        self.left(&gone);
    }

    fn left(&self, gone: &[(Arc<Slot>, bool)]) {
        for (slot, pushed_out) in gone {
            self.stats.dropped(slot.namespace, slot.bytes);
            if *pushed_out {
                self.stats.count(Scope::Memory, slot.namespace, Count::Evictions);
            }
        }
    }

    pub(crate) fn remove(&self, key: &str) -> Option<Arc<Slot>> {
        let (hash, shard) = self.shard(key);
        let slot = shard.lock().remove(hash, key)?;
        self.stats.dropped(slot.namespace, slot.bytes);
        Some(slot)
    }

    /// Removes this very slot, not one that was stored since.
    pub(crate) fn remove_same(&self, key: &str, slot: &Arc<Slot>) {
        let (hash, shard) = self.shard(key);
        let removed = shard.lock().remove_same(hash, key, slot);
        if let Some(slot) = removed {
            self.stats.dropped(slot.namespace, slot.bytes);
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.lock().len() as u64).sum()
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Removes what is not to be kept among `batch` places of one shard; answers where to go on,
    /// `None` at its end.
    pub(crate) fn sweep(
        &self,
        shard: usize,
        from: usize,
        batch: usize,
        keep: impl Fn(&str, &Slot) -> bool,
    ) -> Option<usize> {
        let mut gone = Vec::new();
        let next = self.shards[shard].lock().sweep(from, batch, keep, &mut gone);
        self.left(&gone);
        next
    }

    pub(crate) fn clear(&self) {
        for shard in 0..self.shards.len() {
            self.sweep(shard, 0, usize::MAX, |_, _| false);
        }
    }
}
