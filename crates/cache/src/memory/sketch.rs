//! How often a key was asked for lately: a count-min sketch of 4-bit counters, halved after a
//! sample (Einziger, Friedman and Manes, "TinyLFU", 2017).

/// Counters for each value held, over four rows.
const WORDS_PER_VALUE: usize = 2;
/// Increments for each value held after which all counters are halved. 20 was the best of 5, 10
/// and 20 on the three traces (docs/decisions/0004-memory-cache.md).
const SAMPLE_PER_VALUE: usize = 20;
/// Spreads hashes: the odd constant of SplitMix64.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug)]
pub(crate) struct Sketch {
    /// 16 counters in each word.
    words: Box<[u64]>,
    mask: usize,
    increments: usize,
    sample: usize,
}

impl Sketch {
    pub(crate) fn new(capacity: usize) -> Self {
        let words = (capacity * WORDS_PER_VALUE).next_power_of_two().max(64);
        Self {
            words: vec![0; words].into_boxed_slice(),
            mask: words - 1,
            increments: 0,
            sample: capacity.max(8) * SAMPLE_PER_VALUE,
        }
    }

    /// The block of eight words (one line of the processor's cache) that a key's counters are in.
    fn block(&self, hash: u64) -> (usize, u64) {
        let mut h = hash.wrapping_mul(SEED);
        h ^= h >> 32;
        ((h as usize & self.mask) & !7, h.wrapping_mul(SEED))
    }

    /// Word and shift of each of the four counters: two words apart, so that they never coincide.
    fn places(&self, hash: u64) -> [(usize, u32); 4] {
        let (block, h) = self.block(hash);
        std::array::from_fn(|row| {
            let bits = h >> (row * 8 + 16);
            (block + row * 2 + (bits & 1) as usize, ((bits >> 1) & 15) as u32 * 4)
        })
    }

    /// 0–15.
    pub(crate) fn frequency(&self, hash: u64) -> u64 {
        let mut least = 15;
        for (word, shift) in self.places(hash) {
            least = least.min((self.words[word] >> shift) & 15);
        }
        least
    }

    pub(crate) fn increment(&mut self, hash: u64) {
        let mut added = false;
        for (word, shift) in self.places(hash) {
            if (self.words[word] >> shift) & 15 < 15 {
                self.words[word] += 1 << shift;
                added = true;
            }
        }
        if added {
            self.increments += 1;
            if self.increments >= self.sample {
                for word in &mut self.words {
                    *word = (*word >> 1) & 0x7777_7777_7777_7777;
                }
                self.increments /= 2;
            }
        }
    }
}
