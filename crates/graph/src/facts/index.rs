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

/// A table that is full is made anew, bigger: in small parts nobody waits for it long.
const PARTS: usize = 1024;

/// Slots, found by what `same` recognizes.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// None until something is put in.
    parts: Vec<HashTable<u32>>,
    len: usize,
}

/// Bits that the tables themselves make no use of.
fn part(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl Slots {
    pub(super) fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        self.parts.get(part(hash))?.find(hash, |&slot| same(slot)).copied()
    }

    pub(super) fn insert(&mut self, hash: u64, slot: u32, rehash: impl Fn(u32) -> u64) {
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, HashTable::new);
        }
        self.parts[part(hash)].insert_unique(hash, slot, |&slot| rehash(slot));
        self.len += 1;
    }

    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let Some(part) = self.parts.get_mut(part(hash)) else { return };
        if let Ok(entry) = part.find_entry(hash, |&s| s == slot) {
            entry.remove();
            self.len -= 1;
        }
    }

    /// Room for so many more, in the mean: a part may get more than its share.
    pub(super) fn reserve(&mut self, more: usize, rehash: impl Fn(u32) -> u64) {
        if more < 8 * PARTS {
            return;
        }
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, HashTable::new);
        }
        let share = more / PARTS;
        for part in &mut self.parts {
            part.reserve(share + share / 8, |&slot| rehash(slot));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        let tables = self.parts.iter().map(HashTable::allocation_size).sum::<usize>();
        tables + self.parts.capacity() * size_of::<HashTable<u32>>()
    }
}
