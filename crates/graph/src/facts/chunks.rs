//! Lists that grow without moving: a change that comes at a full list must not wait until
//! gigabytes are copied.

use std::ops::{Index, IndexMut};

const CHUNK: usize = 4096;

/// A list in chunks of 4,096.
#[derive(Debug)]
pub(crate) struct Chunks<T>(Vec<Vec<T>>);

impl<T> Chunks<T> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.last().map_or(0, |last| (self.0.len() - 1) * CHUNK + last.len())
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.0.get(at / CHUNK)?.get(at % CHUNK)
    }

    pub(crate) fn push(&mut self, new: T) {
        match self.0.last_mut() {
            Some(last) if last.len() < CHUNK => last.push(new),
            // The first one grows as it is needed: most graphs are small.
            None => self.0.push(vec![new]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK);
                chunk.push(new);
                self.0.push(chunk);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }

    /// All of it in at most so many parts of about the same length.
    pub(super) fn parts_mut(
        &mut self,
        parts: usize,
    ) -> impl Iterator<Item = impl Iterator<Item = &mut T>> {
        let share = self.0.len().div_ceil(parts.max(1)).max(1);
        self.0.chunks_mut(share).map(|chunks| chunks.iter_mut().flatten())
    }

    /// What lies in a range, in order.
    pub(crate) fn range(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = &T> {
        let chunks = self.0.iter().skip(range.start / CHUNK);
        chunks.flatten().skip(range.start % CHUNK).take(range.len())
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|chunk| chunk.capacity() * size_of::<T>()).sum()
    }
}

impl<T: Default> Chunks<T> {
    /// At least so long, filled up with nothing.
    pub(crate) fn grow(&mut self, length: usize) {
        while self.len() < length {
            self.push(T::default());
        }
    }
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Index<usize> for Chunks<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        &self.0[at / CHUNK][at % CHUNK]
    }
}

impl<T> IndexMut<usize> for Chunks<T> {
    #[inline]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.0[at / CHUNK][at % CHUNK]
    }
}
