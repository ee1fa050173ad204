//! The store below the memory tier, for itself: bounded in values and in bytes, in shards.

use super::shard::Shard;
use hashbrown::DefaultHashBuilder;
use parking_lot::Mutex;
use std::hash::BuildHasher;

/// Fewest values of a shard: smaller ones would judge each value by too few others.
const SHARD_KEYS: usize = 1024;
/// Most shards.
const MAX_SHARDS: usize = 16;

/// What a value takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// When it goes, in whatever unit `now` is given; nothing is hidden by that, it only goes
    /// first when room is short.
    pub expires: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A value that left the store.
#[derive(Debug)]
pub struct Gone<V> {
    /// The value.
    pub value: V,
    /// What it took.
    pub fit: Fit,
    /// It was alive, and left for want of room.
    pub pushed_out: bool,
}

/// A shard with lines of the processor's cache to itself.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<V>(Mutex<Shard<V>>);

/// Values under string keys. What stays when room is short is decided by
/// `docs/decisions/0004-memory-cache.md`.
#[derive(Debug)]
pub struct Store<V> {
    shards: Box<[Apart<V>]>,
    hasher: DefaultHashBuilder,
}

impl<V> Store<V> {
    /// For at most so many values and so many bytes.
    #[must_use]
    pub fn new(max_keys: usize, max_bytes: u64) -> Self {
        let count = (max_keys / SHARD_KEYS).clamp(1, MAX_SHARDS);
        let shards = (0..count)
            .map(|i| {
                // The first shards take what the division leaves over.
                let keys = max_keys / count + usize::from(i < max_keys % count);
                Apart(Mutex::new(Shard::new(keys, max_bytes / count as u64)))
            })
            .collect();
        Self { shards, hasher: DefaultHashBuilder::default() }
    }

    #[inline]
    fn place(&self, key: &str) -> (u64, usize) {
        let hash = self.hasher.hash_one(key);
        // Bits in the middle: the tables use the lowest and the top seven.
        let middle = (hash >> 16) & 0xffff_ffff;
        (hash, ((middle * self.shards.len() as u64) >> 32) as usize)
    }

    /// Looks up and counts as use; `look` sees the value under the lock of its shard, whose number
    /// it gets.
    #[inline]
    pub fn get<R>(&self, key: &str, look: impl FnOnce(&V, Fit, usize) -> R) -> Option<R> {
        self.get_if(key, true, |value, fit, shard| Some(look(value, fit, shard)))
    }

    /// As [`Store::get`], of a `look` that may find nothing to answer; a use or not.
    #[inline(always)]
    pub(crate) fn get_if<R>(
        &self,
        key: &str,
        used: bool,
        look: impl FnOnce(&V, Fit, usize) -> Option<R>,
    ) -> Option<R> {
        let (hash, shard) = self.place(key);
        let mut held = self.shards[shard].0.lock();
        let held = if used { held.get(hash, key)? } else { held.peek(hash, key)? };
        look(&held.value, held.fit, shard)
    }

    /// Looks up without counting as use.
    pub fn peek<R>(&self, key: &str, look: impl FnOnce(&V, Fit) -> R) -> Option<R> {
        let (hash, shard) = self.place(key);
        self.shards[shard].0.lock().peek(hash, key).map(|held| look(&held.value, held.fit))
    }

    /// Uses and misses counted.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> u64 {
        self.shards.iter().map(|shard| shard.0.lock().asked()).sum()
    }

    /// Stores; answers with what was replaced or had to leave.
    pub fn insert(&self, key: &str, value: V, fit: Fit, now: u64) -> Vec<Gone<V>> {
        let (hash, shard) = self.place(key);
        let mut gone = Vec::new();
        self.shards[shard].0.lock().insert(hash, key, value, fit, now, &mut gone);
        gone
    }

    /// Removes it, if it is as `judge` wants it.
    pub fn remove_if(&self, key: &str, judge: impl FnOnce(&V) -> bool) -> Option<Gone<V>> {
        let (hash, shard) = self.place(key);
        self.shards[shard].0.lock().remove_if(hash, key, judge)
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shards, each with a lock of its own.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Removes what is not to be kept among `batch` places of one shard; answers where to go on,
    /// `None` at its end, and what left.
    pub fn sweep(
        &self,
        shard: usize,
        from: usize,
        batch: usize,
        keep: impl Fn(&str, &V, Fit) -> bool,
    ) -> (Option<usize>, Vec<Gone<V>>) {
        let mut gone = Vec::new();
        let next = self.shards[shard].0.lock().sweep(from, batch, keep, &mut gone);
        (next, gone)
    }
}
