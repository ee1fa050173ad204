//! How often keys that are not here were asked for lately: a count-min sketch of 4-bit counters
//! (Einziger, Friedman and Manes, "TinyLFU", 2017). Who is here is counted exactly, in its node.

/// Counters for each value held: sixteen in a word, over four rows.
const WORDS_PER_VALUE: usize = 4;
/// Spreads hashes: the odd constant of SplitMix64.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// See the module.
#[derive(Debug)]
pub(super) struct Sketch {
    /// 16 counters in each word.
    words: Box<[u64]>,
    mask: usize,
}

impl Sketch {
    pub(super) fn new(capacity: usize) -> Self {
        let words = (capacity * WORDS_PER_VALUE).next_power_of_two().max(64);
        Self { words: vec![0; words].into_boxed_slice(), mask: words - 1 }
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
    pub(super) fn frequency(&self, hash: u64) -> u8 {
        let mut least = 15;
        for (word, shift) in self.places(hash) {
            least = least.min((self.words[word] >> shift) & 15);
        }
        least as u8
    }

    pub(super) fn increment(&mut self, hash: u64) {
        for (word, shift) in self.places(hash) {
            if (self.words[word] >> shift) & 15 < 15 {
                self.words[word] += 1 << shift;
            }
        }
    }

    /// At least so often, as far as a counter can say.
    pub(super) fn raise(&mut self, hash: u64, to: u8) {
        let to = u64::from(to.min(15));
        for (word, shift) in self.places(hash) {
            let missing = to.saturating_sub((self.words[word] >> shift) & 15);
            self.words[word] += missing << shift;
        }
    }

    pub(super) fn halve(&mut self) {
        for word in &mut self.words {
            *word = (*word >> 1) & 0x7777_7777_7777_7777;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_never_fall_short_and_never_spill_over() {
        let mut sketch = Sketch::new(64);
        for key in 0..200_u64 {
            for _ in 0..key % 40 {
                sketch.increment(key.wrapping_mul(SEED));
            }
            sketch.raise(key.wrapping_mul(SEED), (key % 5) as u8);
        }
        for key in 0..200_u64 {
            let least = (key % 40).min(15).max(key % 5) as u8;
            assert!(sketch.frequency(key.wrapping_mul(SEED)) >= least, "{key}");
        }
        sketch.halve();
        assert!((0..200_u64).all(|key| sketch.frequency(key.wrapping_mul(SEED)) <= 7));
    }
}
