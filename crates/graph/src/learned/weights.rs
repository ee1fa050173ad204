//! The weights of an estimate: least squares over all statements so far, each with what was known
//! before it, drawn towards weights that are good to begin with (ridge regression):
//!
//! ```text
//! w = w₀ + (Σ x·xᵀ + 50·I)⁻¹ · Σ x·(z − w₀·x)
//! ```
//!
//! Sums are kept up with every statement; they are solved after every 64th.

use std::ops::Range;

const COUNT: usize = 10;
const PULL: f64 = 50.0;
const EVERY: u32 = 64;

/// As lasting, session, recent, known of the rater, the same of the ratee, distance, just now.
pub(super) type Features = [f64; COUNT];

const FIRST: Features = [0.8, 0.8, 0.4, 0.0, 1.0, 1.0, 0.25, 0.0, 0.5, 0.2];

#[derive(Debug)]
pub(super) struct Weights {
    now: Features,
    /// Σ x·xᵀ, its lower half, row by row.
    products: [[f64; COUNT]; COUNT],
    /// Σ x·(z − w₀·x).
    towards: Features,
    unsolved: u32,
}

impl Default for Weights {
    fn default() -> Self {
        Self { now: FIRST, products: [[0.0; COUNT]; COUNT], towards: [0.0; COUNT], unsolved: 0 }
    }
}

impl Weights {
    /// Σ w·x over some of the features.
    pub(super) fn sum(&self, x: &Features, range: Range<usize>) -> f64 {
        self.now[range.clone()].iter().zip(&x[range]).map(|(w, x)| w * x).sum()
    }

    pub(super) fn learn(&mut self, x: &Features, z: f64) {
        let left = z - FIRST.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
        for (i, row) in self.products.iter_mut().enumerate() {
            for (product, other) in row[..=i].iter_mut().zip(x) {
                *product += x[i] * other;
            }
            self.towards[i] += x[i] * left;
        }
        self.unsolved += 1;
        if self.unsolved == EVERY {
            self.unsolved = 0;
            self.solve();
        }
    }

    /// By Cholesky's decomposition: with the pull, the matrix is positive definite.
    fn solve(&mut self) {
        let mut l = self.products;
        let mut step = self.towards;
        for i in 0..COUNT {
            l[i][i] += PULL;
            for j in 0..=i {
                let known: f64 = (0..j).map(|k| l[i][k] * l[j][k]).sum();
                let rest = l[i][j] - known;
                // The pull bounds it from below; rounding may take a little.
                l[i][j] = if i == j { rest.max(PULL / 2.0).sqrt() } else { rest / l[j][j] };
            }
            let known: f64 = (0..i).map(|k| l[i][k] * step[k]).sum();
            step[i] = (step[i] - known) / l[i][i];
        }
        for i in (0..COUNT).rev() {
            let known: f64 = (i + 1..COUNT).map(|k| l[k][i] * step[k]).sum();
            step[i] = (step[i] - known) / l[i][i];
            self.now[i] = FIRST[i] + step[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Features that have nothing to do with one another, from a small generator.
    fn features(n: u64) -> Features {
        std::array::from_fn(|i| {
            let mut z = (n * 16 + i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (z >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        })
    }

    #[test]
    fn one_feature_by_hand() {
        // 64 times x₁ = 1, z = 0: w = 0.8 + (64 + 50)⁻¹ · 64·(0 − 0.8).
        let mut weights = Weights::default();
        let x: Features = std::array::from_fn(|i| f64::from(u8::from(i == 0)));
        for n in 0..64 {
            assert_eq!(weights.now, FIRST, "after {n}");
            weights.learn(&x, 0.0);
        }
        assert!((weights.now[0] - (0.8 - 51.2 / 114.0)).abs() < 1e-15);
        assert_eq!(weights.now[1..], FIRST[1..]);
    }

    #[test]
    fn what_statements_are_made_of_is_found() {
        let truth: Features = std::array::from_fn(|i| 1.0 - i as f64 / 4.0);
        let mut weights = Weights::default();
        for n in 0..64_000 {
            let x = features(n);
            weights.learn(&x, truth.iter().zip(&x).map(|(w, x)| w * x).sum());
        }
        for (w, t) in weights.now.iter().zip(truth) {
            assert!((w - t).abs() < 0.03, "{:?}", weights.now);
        }
    }

    #[test]
    fn features_that_are_the_same_do_not_blow_up() {
        let mut weights = Weights::default();
        for n in 0..640_000u32 {
            let x = [f64::from(n % 7) - 3.0; COUNT];
            weights.learn(&x, x[0] * 5.0);
        }
        let sum: f64 = weights.now.iter().sum();
        assert!((sum - 5.0).abs() < 1e-3 && weights.now.iter().all(|w| w.abs() < 2.0));
    }
}
