//! Hash indexes that hold slots only: the keys stay where the slots point.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
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
    }

    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let Some(part) = self.parts.get_mut(part(hash)) else { return };
        if let Ok(entry) = part.find_entry(hash, |&s| s == slot) {
            entry.remove();
        }
    }

    /// Fills an empty index with about so many, given with their hashes: part after part, so that
    /// each stays in the cache while it is filled. Of those that are the `same` the first one is
    /// put in; `again` is told of every other one, and of the first.
    pub(super) fn fill(
        &mut self,
        about: usize,
        all: impl Iterator<Item = (u64, u32)>,
        same: impl Fn(u32, u32) -> bool,
        mut again: impl FnMut(u32, u32),
    ) {
        debug_assert!(self.parts.is_empty());
        let mut lists: Vec<Vec<(u64, u32)>> = Vec::new();
        let share = about / PARTS;
        lists.resize_with(PARTS, || Vec::with_capacity(share + share / 16));
        for (hash, slot) in all {
            lists[part(hash)].push((hash, slot));
        }
        if self.parts.is_empty() && lists.iter().any(|list| !list.is_empty()) {
            self.parts.resize_with(PARTS, HashTable::new);
        }
        for (part, list) in self.parts.iter_mut().zip(lists) {
            // It is empty, so nothing is hashed; afterwards all of them fit in, so nothing is
            // hashed again. Some more, for what comes later.
            part.reserve(list.len() + list.len() / 16, |_| 0);
            for (hash, slot) in list {
                match part.entry(hash, |&known| same(known, slot), |_| 0) {
                    Entry::Occupied(known) => again(slot, *known.get()),
                    Entry::Vacant(place) => {
                        place.insert(slot);
                    }
                }
            }
        }
    }

    /// Gives every slot another number, which stands for the same thing.
    pub(super) fn renumber(&mut self, new: impl Fn(u32) -> u32) {
        for slot in self.parts.iter_mut().flat_map(HashTable::iter_mut) {
            *slot = new(*slot);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let tables = self.parts.iter().map(HashTable::allocation_size).sum::<usize>();
        tables + self.parts.capacity() * size_of::<HashTable<u32>>()
    }
}
