//! How often a key was asked for lately: a count-min sketch of 4-bit counters, halved after a
//! sample (Einziger, Friedman and Manes, "TinyLFU", 2017).

/// Counters for each value held, over four rows.
const WORDS_PER_VALUE: usize = 2;
/// Increments for each value held after which all counters are halved. 20 was the best of 5, 10
/// and 20 on the three traces (docs/decisions/0003-memory-cache.md).
const SAMPLE_PER_VALUE: usize = 20;
/// One for each row: odd constants of SplitMix64 and relatives.
const SEEDS: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb, 0xd6e8_feb8_6659_fd93];

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

    fn place(&self, hash: u64, seed: u64) -> (usize, u32) {
        let mut h = hash.wrapping_add(seed).wrapping_mul(SEEDS[0]);
        h ^= h >> 32;
        h = h.wrapping_mul(SEEDS[3]);
        h ^= h >> 32;
        (h as usize & self.mask, ((h >> 40) & 15) as u32 * 4)
    }

    /// 0–15.
    pub(crate) fn frequency(&self, hash: u64) -> u64 {
        let mut least = 15;
        for seed in SEEDS {
            let (word, shift) = self.place(hash, seed);
            least = least.min((self.words[word] >> shift) & 15);
        }
        least
    }

    pub(crate) fn increment(&mut self, hash: u64) {
        let mut added = false;
        for seed in SEEDS {
            let (word, shift) = self.place(hash, seed);
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
