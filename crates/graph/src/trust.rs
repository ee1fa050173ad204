//! Trust metrics of an entity: of one from what is kept and a look at its surroundings, of all
//! level by level.

use crate::derived::{Derived, Tally};
use crate::facts::Facts;
use crate::formula::{SCORE_WEIGHTS, Sum};
use crate::graph::Graph;
use crate::state::State;
use parking_lot::RwLockReadGuard;
use rhiz_domain::fact::EntityId;

/// Steps of a long reading after which a waiting change goes first.
const STEPS_PER_HOLD: usize = 1024;
/// A long reading that a change has interrupted is begun again so often, then left as it is.
const ATTEMPTS: usize = 3;

/// What the network makes of an entity. Scores are 0.0–1.0 and unrounded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrustMetrics {
    /// 0.7 direct + 0.3 network.
    pub trust_score: f64,
    /// What others say.
    pub reputation: f64,
    /// How many of those it states say so too.
    pub reciprocity: f64,
    /// How many of those who state it were in touch of late.
    pub consistency: f64,
    /// What weighs its word as an attester.
    pub standing: f64,
    /// Share of those received from that acquaintances back.
    pub verification_ratio: f64,
    /// Of the four above, weighted.
    pub direct: f64,
    /// N₃: what others say, weighed by what is said of them.
    pub network: f64,
    /// Counted records that name it.
    pub relationship_count: u32,
    /// Of these received and backed with at least 70.
    pub verified_relationship_count: u32,
    /// Counterparts with a counted record.
    pub network_size: u32,
    /// Counted records that name it, with an interaction in the last 30 days.
    pub recent_interactions: u32,
}

impl TrustMetrics {
    pub(crate) fn new(tally: &Tally, network: f64) -> Self {
        let direct = tally.direct();
        Self {
            trust_score: score(direct, network),
            reputation: tally.reputation(),
            reciprocity: tally.reciprocity(),
            consistency: tally.consistency(),
            standing: tally.standing(),
            verification_ratio: tally.verification_ratio(),
            direct,
            network,
            relationship_count: tally.records,
            verified_relationship_count: tally.verified_records,
            network_size: tally.counterparts,
            recent_interactions: tally.interactions,
        }
    }

    /// What they say of the entity's health.
    #[must_use]
    pub fn health(&self) -> TrustHealth {
        let recommendations = [
            (self.verified_relationship_count < 5, Recommendation::VerifyMore),
            (self.relationship_count < 10, Recommendation::Expand),
            (self.consistency < 0.6, Recommendation::InteractMore),
            (self.reciprocity < 0.7, Recommendation::MakeMutual),
        ];
        TrustHealth {
            level: TrustLevel::of(self.trust_score),
            trust_score: self.trust_score,
            network_size: self.network_size,
            verified_ratio: self.verification_ratio,
            recent_activity: self.recent_interactions,
            recommendations: recommendations
                .into_iter()
                .filter_map(|(holds, what)| holds.then_some(what))
                .collect(),
        }
    }
}

/// 0.7 direct + 0.3 network.
pub(crate) fn score(direct: f64, network: f64) -> f64 {
    SCORE_WEIGHTS[0] * direct + SCORE_WEIGHTS[1] * network
}

/// How far an entity can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum TrustLevel {
    VeryLow,
    Low,
    Medium,
    High,
    VeryHigh,
}

impl TrustLevel {
    /// Very high from 0.9, high from 0.75, medium from 0.5, low from 0.25.
    #[must_use]
    pub fn of(trust_score: f64) -> Self {
        match trust_score {
            s if s >= 0.9 => Self::VeryHigh,
            s if s >= 0.75 => Self::High,
            s if s >= 0.5 => Self::Medium,
            s if s >= 0.25 => Self::Low,
            _ => Self::VeryLow,
        }
    }

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VeryLow => "very_low",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::VeryHigh => "very_high",
        }
    }
}

/// What would do an entity's trust good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recommendation {
    /// Fewer than 5 verified relationships.
    VerifyMore,
    /// Fewer than 10 relationships.
    Expand,
    /// A consistency below 0.6.
    InteractMore,
    /// A reciprocity below 0.7.
    MakeMutual,
}

/// The health of an entity's trust.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustHealth {
    /// By the trust score.
    pub level: TrustLevel,
    /// 0.0–1.0.
    pub trust_score: f64,
    /// Counterparts with a counted record.
    pub network_size: u32,
    /// The verification ratio, 0.0–1.0.
    pub verified_ratio: f64,
    /// Counted records with an interaction in the last 30 days.
    pub recent_activity: u32,
    /// What would do it good.
    pub recommendations: Vec<Recommendation>,
}

/// Who speaks for x: counterpart, q and t.
pub(crate) fn voices(facts: &Facts, derived: &Derived, x: u32) -> Vec<(u32, f64, f64)> {
    let pairs = facts.person(x).map_or(&[][..], |p| &p.pairs);
    pairs
        .iter()
        .filter_map(|&pair| {
            let (_, q, t) = derived.trust_share(facts, pair, x).voice?;
            Some((facts.pairs[pair as usize].other(x), q, t.value()))
        })
        .collect()
}

/// Σ q·t·(0.7 + 0.3·N(y)) / Σ q; 0 with none.
pub(crate) fn level(voices: &[(u32, f64, f64)], mut below: impl FnMut(u32) -> f64) -> f64 {
    let (mut weight, mut weighted) = (Sum::default(), Sum::default());
    for &(y, q, t) in voices {
        weight += Sum::of(q);
        weighted += Sum::of(q * t * (0.7 + 0.3 * below(y)));
    }
    let weight = weight.value();
    if weight > 0.0 { weighted.value() / weight } else { 0.0 }
}

/// N₂ of an entity.
pub(crate) fn network_2(facts: &Facts, derived: &Derived, y: u32) -> f64 {
    level(&voices(facts, derived, y), |z| derived.tally(z).network_1())
}

impl Graph {
    /// Reads what takes long without keeping changes waiting: `step` is called with 0, 1, … until
    /// it returns `None`, and says how much it did. Begun again by `start` when a change came in
    /// between.
    pub(crate) fn read_long<T>(
        &self,
        start: impl Fn(&State) -> T,
        step: impl Fn(&State, &mut T, usize) -> Option<usize>,
    ) -> T {
        let mut state = self.state.read();
        for attempt in 1.. {
            let begun = state.changes;
            let mut work = start(&state);
            let (mut done, mut n) = (0, 0);
            let interrupted = loop {
                let Some(steps) = step(&state, &mut work, n) else { break false };
                n += 1;
                done += steps;
                if done >= STEPS_PER_HOLD {
                    done = 0;
                    RwLockReadGuard::bump(&mut state);
                    if state.changes != begun && attempt < ATTEMPTS {
                        break true;
                    }
                }
            };
            if !interrupted {
                return work;
            }
        }
        unreachable!("the last attempt cannot be interrupted")
    }

    /// The trust metrics of an entity; `None` when it does not exist for the public.
    #[must_use]
    pub fn trust_metrics(&self, id: EntityId) -> Option<TrustMetrics> {
        let x = id.0;
        struct Work {
            tally: Tally,
            voices: Vec<(u32, f64, f64)>,
            below: Vec<f64>,
        }
        let work = self.read_long(
            |state| {
                state.facts.exists(x).then(|| Work {
                    tally: state.derived.tally(x),
                    voices: voices(&state.facts, &state.derived, x),
                    below: Vec::new(),
                })
            },
            |state, work, n| {
                let work = work.as_mut()?;
                let &(y, ..) = work.voices.get(n)?;
                work.below.push(network_2(&state.facts, &state.derived, y));
                Some(1 + state.facts.person(y).map_or(0, |p| p.pairs.len()))
            },
        )?;
        let mut below = work.below.iter().copied();
        let network = level(&work.voices, |_| below.next().unwrap_or_default());
        Some(TrustMetrics::new(&work.tally, network))
    }

    /// The trust metrics of all entities that exist for the public, in the order of their
    /// numbers. Takes about a second for a million edges; nobody waits for it.
    #[must_use]
    pub fn all_trust_metrics(&self) -> Vec<(EntityId, TrustMetrics)> {
        struct Work {
            people: usize,
            level_2: Vec<f64>,
            metrics: Vec<(EntityId, TrustMetrics)>,
        }
        let start = |state: &State| {
            let people = state.facts.people_slots();
            Work { people, level_2: Vec::with_capacity(people), metrics: Vec::new() }
        };
        let step = |state: &State, work: &mut Work, n: usize| {
            let (facts, derived) = (&state.facts, &state.derived);
            // First N₂ of everyone, then N₃.
            let x = n.checked_sub(work.people).unwrap_or(n) as u32;
            if n < work.people {
                work.level_2.push(network_2(facts, derived, x));
            } else if n < 2 * work.people {
                if facts.exists(x) {
                    let below = |y: u32| work.level_2.get(y as usize).copied().unwrap_or(0.0);
                    let network = level(&voices(facts, derived, x), below);
                    let metrics = TrustMetrics::new(&derived.tally(x), network);
                    work.metrics.push((EntityId(x), metrics));
                }
            } else {
                return None;
            }
            Some(1 + facts.person(x).map_or(0, |p| p.pairs.len()))
        };
        self.read_long(start, step).metrics
    }
}
