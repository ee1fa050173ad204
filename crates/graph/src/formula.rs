//! The formulas of scores, each on its own: numbers in, numbers out.
//!
//! Sums are exact (`Sum`), so that the order of arrival decides nothing; a trust is a whole
//! number of 10⁻¹² ([`Trust`]), so that comparing two of them is the same everywhere.

use rhiz_domain::fact::{AttestationKind, Day};
use std::sync::LazyLock;

/// Days from `from` to `to`; what lies ahead is today.
#[must_use]
pub fn days_between(from: Day, to: Day) -> u32 {
    u32::try_from(i64::from(to) - i64::from(from)).unwrap_or(0)
}

/// "The last 30 days" are days 0–29.
pub const RECENT_DAYS: u32 = 30;

/// A trust of 0–1, as a whole number of 10⁻¹².
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Trust(u64);

const TRUST_ONE: f64 = 1e12;

impl Trust {
    /// None at all.
    pub const ZERO: Self = Self(0);

    /// Rounded to 12 decimals; what is outside 0–1 is brought to its edge.
    #[must_use]
    pub fn new(value: f64) -> Self {
        Self((value.clamp(0.0, 1.0) * TRUST_ONE).round() as u64)
    }

    /// As a fraction of one.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0 as f64 / TRUST_ONE
    }

    /// In units of 10⁻¹².
    pub(crate) fn units(self) -> u64 {
        self.0
    }

    /// round(−ln t · 2²⁰): what a path adds up. `None` for a trust of zero. At most 28,973,226
    /// (t = 10⁻¹²), which fits in 25 bits.
    #[must_use]
    pub fn cost(self) -> Option<u32> {
        (self.0 > 0).then(|| (-self.value().ln() * f64::from(1 << 20)).round() as u32)
    }
}

/// A sum that does not depend on the order of its terms: whole numbers of 2⁻⁶⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Sum(i128);

const SUM_ONE: f64 = (1u64 << 60) as f64;

impl Sum {
    /// One term; its absolute value is below 7.
    pub(crate) fn of(term: f64) -> Self {
        Self(i128::from((term * SUM_ONE) as i64))
    }

    pub(crate) fn low_bits(self) -> u64 {
        self.0 as u64
    }

    pub(crate) fn value(self) -> f64 {
        self.0 as f64 / SUM_ONE
    }
}

impl std::ops::AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl std::ops::SubAssign for Sum {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

const FRESHNESS_FLOOR: f64 = 0.1;
const FRESHNESS_YEAR: f64 = 365.25;
static FRESHNESS: LazyLock<[f64; 1024]> = LazyLock::new(|| {
    std::array::from_fn(|days| (-(days as f64) / FRESHNESS_YEAR).exp().max(FRESHNESS_FLOOR))
});

/// *d*: max(0.1, exp(−days/365.25)), or 0.5 when the last interaction is unknown.
#[must_use]
pub fn freshness(last_interaction: Option<Day>, as_of: Day) -> f64 {
    last_interaction.map_or(0.5, |day| {
        // After 1,023 days the floor has long been reached.
        FRESHNESS[days_between(day, as_of).min(1023) as usize]
    })
}

const HALF_LIFE_DAYS: f64 = 180.0;
static DECAY: LazyLock<Box<[f64]>> = LazyLock::new(|| (0..8192).map(decay_exactly).collect());

fn decay_exactly(days: u32) -> f64 {
    0.5f64.powf(f64::from(days) / HALF_LIFE_DAYS)
}

/// What is left of an attestation's weight: 0.5 ^ (days/180).
#[must_use]
pub fn decay(days: u32) -> f64 {
    DECAY.get(days as usize).copied().unwrap_or_else(|| decay_exactly(days))
}

/// What an attestation says, before who says it and when.
#[must_use]
pub fn base(kind: AttestationKind) -> f64 {
    match kind {
        AttestationKind::Verify => 1.0,
        AttestationKind::Dispute => -1.5,
        AttestationKind::Strengthen => 0.5,
        AttestationKind::Weaken => -0.5,
    }
}

/// How an attester's standing multiplies their word: 0.5 + 1.5 · standing.
#[must_use]
pub fn attester_reputation(standing: f64) -> f64 {
    0.5 + 1.5 * standing
}

/// *w*: base · reputation · decay · confidence/100.
#[must_use]
pub fn attestation_weight(kind: AttestationKind, standing: f64, days: u32, confidence: u8) -> f64 {
    base(kind) * attester_reputation(standing) * decay(days) * (f64::from(confidence) / 100.0)
}

/// 50 + 50 · Σw / (Σ|w| + 1).
#[must_use]
pub fn conviction(sum: f64, sum_of_absolutes: f64) -> f64 {
    50.0 + 50.0 * sum / (sum_of_absolutes + 1.0)
}

/// *v*: min(0.2, verifiers/50).
#[must_use]
pub fn verification(verifiers: u32) -> f64 {
    (f64::from(verifiers) / 50.0).min(0.2)
}

/// *g*: 1 without an acquainted attester, else min(1, backing/50).
#[must_use]
pub fn guard(backing: Option<f64>) -> f64 {
    backing.map_or(1.0, |b| (b / 50.0).min(1.0))
}

/// *m*: 1.0 mutual, 0.8 one-sided.
#[must_use]
pub fn mutuality(mutual: bool) -> f64 {
    if mutual { 1.0 } else { 0.8 }
}

/// *t*: min(1, s·d + v) · g · m; 0 for a strength of 0, whatever is attested.
#[must_use]
pub fn trust(s: f64, d: f64, v: f64, g: f64, m: f64) -> Trust {
    if s == 0.0 {
        return Trust::ZERO;
    }
    Trust::new((s * d + v).min(1.0) * g * m)
}

const PRIOR_WEIGHT: f64 = 5.0;
const PRIOR: f64 = 0.5;

/// (Σ + 5·0.5) / (n + 5): what few say counts for little.
#[must_use]
pub fn shrunk(sum: f64, n: u32) -> f64 {
    (sum + PRIOR_WEIGHT * PRIOR) / (f64::from(n) + PRIOR_WEIGHT)
}

/// min(1, 1.5 · share of recent counterparts); 0.5 with none.
#[must_use]
pub fn consistency(recent: u32, received_from: u32) -> f64 {
    if received_from == 0 {
        return 0.5;
    }
    (1.5 * f64::from(recent) / f64::from(received_from)).min(1.0)
}

/// Weights of reputation, reciprocity, consistency and verification ratio in *direct*.
pub const DIRECT_WEIGHTS: [f64; 4] = [0.35, 0.25, 0.25, 0.15];
/// Weights of *direct* and *network* in the trust score.
pub const SCORE_WEIGHTS: [f64; 2] = [0.7, 0.3];

/// (0.35 reputation + 0.25 reciprocity + 0.25 consistency) / 0.85.
#[must_use]
pub fn standing(reputation: f64, reciprocity: f64, consistency: f64) -> f64 {
    let [a, b, c, _] = DIRECT_WEIGHTS;
    (a * reputation + b * reciprocity + c * consistency) / 0.85
}

/// Rounded half up to a whole number of 0–100.
#[must_use]
pub fn rounded(score: f64) -> u8 {
    (score + 0.5).floor().clamp(0.0, 100.0) as u8
}

/// Backing from which a relationship counts as verified.
pub const VERIFIED_BACKING: f64 = 70.0;
/// Strength from which a received record counts in *network*.
pub const NETWORK_STRENGTH: u8 = 30;
/// How much a counterpart's word counts in *network* when no acquaintance attests: as a backing
/// of 50 would.
pub const UNATTESTED_BACKING: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn the_worked_examples_of_conviction() {
        // One fresh verify, confidence 90, unknown attester (standing 0.5).
        let verify = attestation_weight(AttestationKind::Verify, 0.5, 0, 90);
        assert!(near(verify, 1.125));
        assert_eq!(rounded(conviction(verify, verify)), 76);
        assert_eq!(rounded(conviction(5.0 * verify, 5.0 * verify)), 92);
        let dispute = attestation_weight(AttestationKind::Dispute, 0.5, 0, 90);
        assert!(near(dispute, -1.6875));
        assert_eq!(rounded(conviction(verify + dispute, verify - dispute)), 43);
    }

    #[test]
    fn decay_is_a_half_life_of_180_days() {
        assert!(near(decay(0), 1.0));
        assert!(near(decay(180), 0.5));
        assert!(near(decay(360), 0.25));
        assert!(near(decay(18_000), 0.5f64.powi(100)));
    }

    #[test]
    fn freshness_falls_by_e_in_a_year_and_stops_at_a_tenth() {
        assert!(near(freshness(Some(100), 100), 1.0));
        assert!(near(freshness(Some(101), 100), 1.0), "nothing comes from the future");
        assert!(near(freshness(Some(0), 365), (-365.0f64 / 365.25).exp()));
        assert!(near(freshness(Some(0), 842), 0.1));
        assert!(near(freshness(Some(0), 100_000), 0.1));
        assert!(near(freshness(None, 5), 0.5));
    }

    #[test]
    fn the_factors_of_trust() {
        assert!(near(verification(1), 0.02));
        assert!(near(verification(11), 0.2));
        assert!(near(guard(None), 1.0));
        assert!(near(guard(Some(25.0)), 0.5));
        assert!(near(guard(Some(90.0)), 1.0));
        assert!(near(trust(0.8, 0.5, 0.02, 0.5, 0.8).value(), 0.168));
        assert!(near(trust(1.0, 1.0, 0.2, 1.0, 1.0).value(), 1.0));
        assert_eq!(trust(0.0, 1.0, 0.2, 1.0, 1.0), Trust::ZERO);
    }

    #[test]
    fn costs_are_whole_numbers() {
        assert_eq!(Trust::new(1.0).cost(), Some(0));
        assert_eq!(Trust::new(0.5).cost(), Some(726_817));
        assert_eq!(Trust::new(4e-13).cost(), None, "twelve decimals");
        assert_eq!(Trust::new(1e-12).cost(), Some(28_973_226));
    }

    #[test]
    fn standing_of_someone_nobody_knows() {
        let half = shrunk(0.0, 0);
        assert!(near(half, 0.5));
        assert!(near(standing(half, half, consistency(0, 0)), 0.5));
        assert!(near(shrunk(0.9, 1), 3.4 / 6.0));
        assert!(near(consistency(1, 2), 0.75));
        assert!(near(consistency(2, 2), 1.0));
    }

    #[test]
    fn half_is_rounded_up() {
        assert_eq!([rounded(0.49), rounded(0.5), rounded(76.47), rounded(99.5)], [0, 1, 76, 100]);
    }
}
