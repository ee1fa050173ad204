//! What the network says of a relationship, and all that can be told of one.

use crate::derived::Derived;
use crate::facts::{Attestation, Facts};
use crate::first::First;
use crate::formula::{self, RECENT_DAYS, Sum};
use crate::graph::Graph;
use rhiz_domain::fact::{
    AttestationFact, AttestationKind, Consent, EntityId, RecordKey, RelationshipFact, Visibility,
};
use std::cmp::{Ordering, Reverse};

/// How attestations of late compare with those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Trend {
    Increasing,
    Decreasing,
    Stable,
}

impl Trend {
    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Increasing => "increasing",
            Self::Decreasing => "decreasing",
            Self::Stable => "stable",
        }
    }
}

/// What the network says of a relationship.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conviction {
    /// 0–100, rounded half up; 0 when nobody attested.
    pub score: u8,
    /// Unrounded; 0.0 when nobody attested.
    pub exact: f64,
    /// Attesters who count.
    pub attestation_count: u32,
    /// Those whose newest is a `verify`.
    pub verify_count: u32,
    /// Those whose newest is a `dispute`.
    pub dispute_count: u32,
    /// Those whose newest is a `strengthen`.
    pub strengthen_count: u32,
    /// Those whose newest is a `weaken`.
    pub weaken_count: u32,
    /// The newest effective instant of what counts, microseconds since 1970.
    pub last_updated: Option<i64>,
    /// (verify + strengthen) − (dispute + weaken) of days 0–29 against days 30–59.
    pub trend: Trend,
    /// The highest standing among those who count, 0.0–1.0.
    pub top_attester_reputation: Option<f64>,
}

/// s, d, v, g, m of a relationship's trust.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "named as in the formula, crate::formula::trust")]
pub struct Factors {
    pub s: f64,
    pub d: f64,
    pub v: f64,
    pub g: f64,
    pub m: f64,
}

/// A live relationship and what follows for it.
#[derive(Debug, Clone, PartialEq)]
pub struct RelationshipView {
    /// What is stated.
    pub fact: RelationshipFact,
    /// It enters paths and scores: both accounts active, neither private nor refused.
    pub counted: bool,
    /// It counts, and both have stated something.
    pub mutual: bool,
    /// Its subject's newest attestation on it is a dispute.
    pub refused: bool,
    /// What governs it: the strictest of its pair, or `Private` of itself.
    pub visibility: Visibility,
    /// What governs it.
    pub consent: Consent,
    /// t, 0.0–1.0, to 12 decimals.
    pub trust: f64,
    /// What t is made of.
    pub factors: Factors,
    /// 0–100, of acquainted attesters; `None` without any.
    pub backing: Option<f64>,
    /// What is shown.
    pub conviction: Conviction,
}

/// A live attestation and what follows for it.
#[derive(Debug, Clone, PartialEq)]
pub struct AttestationView {
    /// What is attested.
    pub fact: AttestationFact,
    /// It is its attester's newest, and the attester does not take part.
    pub counts: bool,
    /// The attester is mutually related to a participant.
    pub acquainted: bool,
    /// The attester's standing, 0.0–1.0.
    pub standing: f64,
    /// How it multiplies their word: 0.5 + 1.5 · standing.
    pub reputation: f64,
    /// Age in days.
    pub days: u32,
    /// What age leaves of it.
    pub decay: f64,
    /// w = base · reputation · decay · confidence/100, whether or not it counts.
    pub weight: f64,
}

/// A conviction, added up.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvictionExplained {
    /// The result.
    pub conviction: Conviction,
    /// Σw over what counts.
    pub sum: f64,
    /// Σ|w| over what counts.
    pub sum_of_absolutes: f64,
    /// The same formula over acquainted attesters; `None` without any.
    pub backing: Option<f64>,
    /// What counts, the heaviest first (then by URI).
    pub attestations: Vec<AttestationView>,
    /// What counts and is not among them …
    pub others: u32,
    /// … and Σw over it.
    pub sum_of_others: f64,
}

pub(crate) fn conviction_of(facts: &Facts, derived: &Derived, slot: u32) -> Conviction {
    let (mut sum, mut absolute) = (Sum::default(), Sum::default());
    let mut counts = [0u32; 4];
    let (mut late, mut late_net, mut before_net) = (0u32, 0i64, 0i64);
    let (mut last_updated, mut top) = (None, None);
    for (_, a) in facts.voices(slot) {
        let standing = derived.standing(a.attester);
        let days = formula::days_between(a.day(), derived.day);
        let w = formula::attestation_weight(a.kind, standing, days, a.confidence);
        sum += Sum::of(w);
        absolute += Sum::of(w.abs());
        counts[a.kind as usize] += 1;
        let sign = if formula::base(a.kind) > 0.0 { 1 } else { -1 };
        if days < RECENT_DAYS {
            late += 1;
            late_net += sign;
        } else if days < 2 * RECENT_DAYS {
            before_net += sign;
        }
        last_updated = last_updated.max(Some(a.effective));
        top = Some(top.map_or(standing, |t: f64| t.max(standing)));
    }
    let attestation_count = counts.iter().sum();
    let exact = if attestation_count == 0 {
        0.0
    } else {
        formula::conviction(sum.value(), absolute.value())
    };
    Conviction {
        score: formula::rounded(exact),
        exact,
        attestation_count,
        verify_count: counts[AttestationKind::Verify as usize],
        dispute_count: counts[AttestationKind::Dispute as usize],
        strengthen_count: counts[AttestationKind::Strengthen as usize],
        weaken_count: counts[AttestationKind::Weaken as usize],
        last_updated,
        trend: match late_net.cmp(&before_net) {
            Ordering::Greater if late >= 3 => Trend::Increasing,
            Ordering::Less if late >= 3 => Trend::Decreasing,
            _ => Trend::Stable,
        },
        top_attester_reputation: top,
    }
}

/// The slot of a record whose owner's account is active.
pub(crate) fn live(facts: &Facts, key: RecordKey) -> Option<u32> {
    facts.find_record(key).filter(|_| facts.active(key.owner.0))
}

fn view(
    facts: &Facts,
    derived: &Derived,
    slot: u32,
    a: &Attestation,
    record: Option<u32>,
    counts: bool,
) -> AttestationView {
    let standing = derived.standing(a.attester);
    let days = formula::days_between(a.day(), derived.day);
    AttestationView {
        fact: facts.attestation_fact(slot),
        counts,
        acquainted: record.is_some_and(|r| facts.acquainted(a.attester, r)),
        standing,
        reputation: formula::attester_reputation(standing),
        days,
        decay: formula::decay(days),
        weight: formula::attestation_weight(a.kind, standing, days, a.confidence),
    }
}

impl Graph {
    /// A live relationship, private ones included: who may see it is for the caller to decide.
    /// `None` when it is not known or its owner's account is not active.
    #[must_use]
    pub fn relationship(&self, key: RecordKey) -> Option<RelationshipView> {
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let slot = live(facts, key)?;
        let r = facts.record(slot);
        let pair = &facts.pairs[r.pair as usize];
        let private = r.visibility == Visibility::Private;
        let counted = facts.counted(slot);
        let [s, d, v, g, m] = derived.factors(facts, slot);
        Some(RelationshipView {
            fact: facts.relationship(slot),
            counted,
            mutual: counted && pair.mutual,
            refused: r.refused,
            visibility: if private { r.visibility } else { pair.visibility },
            consent: if private { r.consent } else { pair.consent },
            trust: derived.trust[slot as usize].value(),
            factors: Factors { s, d, v, g, m },
            backing: derived.backing_of(slot).map(|b| b.score),
            conviction: conviction_of(facts, derived, slot),
        })
    }

    /// What the network says of a live relationship. `None` when it is not known.
    #[must_use]
    pub fn conviction(&self, key: RecordKey) -> Option<Conviction> {
        let state = self.state.read();
        let slot = live(&state.facts, key)?;
        Some(conviction_of(&state.facts, &state.derived, slot))
    }

    /// All live attestations on a relationship, known or not; the newest first.
    #[must_use]
    pub fn attestations_of(&self, key: RecordKey) -> Vec<AttestationView> {
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let Some(target) = facts.find_target(key) else { return Vec::new() };
        let record = facts.find_record(key);
        let mut all: Vec<AttestationView> = facts
            .said_of(target)
            .filter(|(_, a, _)| facts.active(a.attester))
            .map(|(slot, a, newest)| {
                let heard = |r| facts.has_a_voice(a.attester, facts.record(r));
                view(facts, derived, slot, a, record, newest && record.is_some_and(heard))
            })
            .collect();
        all.sort_by(|a, b| {
            let newest = |v: &AttestationView| Reverse((v.fact.effective, v.fact.rev));
            let (x, y) = (a.fact.key, b.fact.key);
            newest(a)
                .cmp(&newest(b))
                .then_with(|| facts.compare_authorities(y.owner.0, x.owner.0))
                .then(y.rkey.cmp(&x.rkey))
        });
        all
    }

    /// A conviction and what it is added up from, with at most `limit` of the attestations that
    /// count. `None` when the relationship is not known.
    #[must_use]
    pub fn explain_conviction(&self, key: RecordKey, limit: usize) -> Option<ConvictionExplained> {
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let record = live(facts, key)?;
        let (mut sum, mut absolute) = (Sum::default(), Sum::default());
        let mut heaviest = First::new(limit);
        let mut order = |a: &(f64, u32), b: &(f64, u32)| {
            let (x, y) = (facts.attestation(a.1).key(), facts.attestation(b.1).key());
            b.0.abs()
                .total_cmp(&a.0.abs())
                .then_with(|| facts.compare_authorities(x.owner.0, y.owner.0))
                .then(x.rkey.cmp(&y.rkey))
        };
        for (slot, a) in facts.voices(record) {
            let w = derived.weight(a);
            sum += Sum::of(w);
            absolute += Sum::of(w.abs());
            heaviest.offer((w, slot), &mut order);
        }
        let conviction = conviction_of(facts, derived, record);
        let mut others = sum;
        let listed = heaviest.sorted(&mut order).into_iter().map(|(w, slot)| {
            others -= Sum::of(w);
            view(facts, derived, slot, facts.attestation(slot), Some(record), true)
        });
        let attestations: Vec<AttestationView> = listed.collect();
        Some(ConvictionExplained {
            conviction,
            sum: sum.value(),
            sum_of_absolutes: absolute.value(),
            backing: derived.backing_of(record).map(|b| b.score),
            others: conviction.attestation_count - attestations.len() as u32,
            sum_of_others: others.value(),
            attestations,
        })
    }

    /// Strength (0–100) and t of a live relationship, if it may be a hop: it counts, and nobody in
    /// it is anonymous. Whether a path that was found before still holds is told by this, however
    /// many attest.
    #[must_use]
    pub fn hop(&self, key: RecordKey) -> Option<(u8, f64)> {
        let state = self.state.read();
        let facts = &state.facts;
        let slot = live(facts, key)?;
        let r = facts.record(slot);
        let open = facts.pairs[r.pair as usize].consent != Consent::Anonymous;
        let may = open && facts.counted(slot);
        may.then(|| (r.strength, state.derived.trust[slot as usize].value()))
    }

    /// The participants of a live relationship, its owner first.
    #[must_use]
    pub fn participants(&self, key: RecordKey) -> Option<[EntityId; 2]> {
        let state = self.state.read();
        let r = state.facts.record(live(&state.facts, key)?);
        Some([EntityId(r.owner), EntityId(r.subject)])
    }
}
