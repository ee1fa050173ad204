//! Hash indexes that hold slots only: the keys stay where the slots point.

use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// A secret of this process. Users choose record keys; without it they could choose colliding
/// ones. No answer depends on it.
#[derive(Debug, Clone)]
pub(super) struct Seed {
    a: u64,
    b: u64,
    text: RandomState,
}

impl Seed {
    pub(super) fn new() -> Self {
        let text = RandomState::new();
        Self { a: text.hash_one(1u8) | 1, b: text.hash_one(2u8), text }
    }

    /// A keyed hash of two numbers, by one wide multiplication.
    pub(super) fn numbers(&self, x: u64, y: u64) -> u64 {
        let wide = u128::from(x ^ self.a) * u128::from(y.rotate_left(32) ^ self.b);
        let folded = (wide as u64) ^ ((wide >> 64) as u64);
        let again = u128::from(folded ^ self.b) * u128::from(self.a);
        (again as u64) ^ ((again >> 64) as u64)
    }

    pub(super) fn text(&self, text: &str) -> u64 {
        self.text.hash_one(text)
    }
}

/// Slots, found by what `same` recognizes.
#[derive(Debug, Default)]
pub(super) struct Slots(HashTable<u32>);

impl Slots {
    pub(super) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.0.find(hash, |&slot| same(slot)).copied()
    }

    pub(super) fn insert(&mut self, hash: u64, slot: u32, rehash: impl Fn(u32) -> u64) {
        self.0.insert_unique(hash, slot, |&slot| rehash(slot));
    }

    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        if let Ok(entry) = self.0.find_entry(hash, |&s| s == slot) {
            entry.remove();
        }
    }

    pub(super) fn reserve(&mut self, more: usize, rehash: impl Fn(u32) -> u64) {
        self.0.reserve(more, |&slot| rehash(slot));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.allocation_size()
    }
}
