//! A trust score, taken apart.

use crate::derived::{StandingShare, Tally, TrustShare};
use crate::formula::{DIRECT_WEIGHTS, SCORE_WEIGHTS, Sum, Trust};
use crate::graph::Graph;
use crate::state::State;
use crate::trust::{TrustMetrics, level, network_2, score};
use rhiz_domain::fact::{Consent, EntityId, RecordKey};

/// One addend of the trust score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Addend {
    /// `reputation`, `reciprocity`, `consistency`, `verification_ratio` or `network`.
    pub name: &'static str,
    /// 0.0–1.0.
    pub value: f64,
    /// What it is multiplied with in the trust score.
    pub weight: f64,
    /// value · weight. All addends add up to the score.
    pub contribution: f64,
}

/// What one counterpart does to a trust score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mover {
    /// The counterpart; `None` where their consent is anonymous and someone else asks.
    pub counterpart: Option<EntityId>,
    /// The record that says most: of those received the one that speaks for the counterpart in
    /// the network, or the one with the largest s·d; else the one stated. `None` as above.
    pub key: Option<RecordKey>,
    /// The score less the score without this counterpart.
    pub effect: f64,
    /// The largest s·d received: their part in the reputation. `None`: nothing was received.
    pub received_strength: Option<f64>,
    /// Their newest interaction as received is of the last 30 days.
    pub recent: bool,
    /// The entity states them.
    pub stated: bool,
    /// Both state one another.
    pub mutual: bool,
    /// Something received is verified.
    pub verified: bool,
    /// q, t and N₂ of the counterpart: their part in the network. `None` where they are not named
    /// too: another explanation may name who has the same N₂.
    pub network: Option<[f64; 3]>,
}

/// A trust score, its addends, and what moved it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustExplained {
    /// The result.
    pub metrics: TrustMetrics,
    /// What adds up to it.
    pub addends: [Addend; 5],
    /// Counterparts received from: the n of reputation, consistency and verification ratio.
    pub received_from: u32,
    /// Σ s·d over them.
    pub received_strength: f64,
    /// Those of them with an interaction in the last 30 days.
    pub recent: u32,
    /// Those of them with something verified.
    pub verified: u32,
    /// Counterparts stated: the n of reciprocity.
    pub stated: u32,
    /// Those of them that are mutual.
    pub mutual: u32,
    /// What moved it most, by the size of the effect, then by URI.
    pub movers: Vec<Mover>,
    /// Counterparts that are not among the movers.
    pub others: usize,
}

struct Part {
    other: u32,
    anonymous: bool,
    key: RecordKey,
    standing: StandingShare,
    trust: TrustShare,
    below: f64,
}

impl Graph {
    /// The trust score of an entity, taken apart, with at most `limit` of what moved it. `None`
    /// when it does not exist for the public. `viewer` is who asks: what is anonymous is named to
    /// its participants only.
    #[must_use]
    pub fn explain(
        &self,
        id: EntityId,
        viewer: Option<EntityId>,
        limit: usize,
    ) -> Option<TrustExplained> {
        let x = id.0;
        let work = self.read_long(
            |state| state.facts.exists(x).then(|| (state.derived.tally(x), Vec::new())),
            |state, work: &mut Option<(Tally, Vec<Part>)>, n| {
                part(state, x, &mut work.as_mut()?.1, n)
            },
        )?;
        let (tally, work) = work;
        let spoken: Vec<(u32, f64, f64)> = work
            .iter()
            .filter_map(|p| p.trust.voice.map(|(_, q, t)| (p.other, q, t.value())))
            .collect();
        let mut below = work.iter().filter(|p| p.trust.voice.is_some()).map(|p| p.below);
        let metrics =
            TrustMetrics::new(&tally, level(&spoken, |_| below.next().unwrap_or_default()));

        // Without one counterpart: the same sums, less its terms.
        let (mut weight, mut weighted) = (Sum::default(), Sum::default());
        for p in &work {
            if let Some((_, q, t)) = p.trust.voice {
                weight += Sum::of(q);
                weighted += Sum::of(q * t.value() * (0.7 + 0.3 * p.below));
            }
        }
        let mut movers: Vec<(RecordKey, Mover)> = work
            .iter()
            .map(|p| {
                let mut less = tally;
                if let Some(sd) = p.standing.received {
                    // (Saturating: a change may have come between the two.)
                    less.received = less.received.saturating_sub(1);
                    less.received_strength -= Sum::of(sd);
                }
                less.recent = less.recent.saturating_sub(u32::from(p.standing.recent));
                less.stated = less.stated.saturating_sub(u32::from(p.standing.stated));
                less.mutual = less.mutual.saturating_sub(u32::from(p.standing.mutual));
                less.verified =
                    less.verified.saturating_sub(u32::from(p.trust.verified_records > 0));
                let (mut weight, mut weighted) = (weight, weighted);
                let network = p.trust.voice.map(|(_, q, t)| {
                    weight -= Sum::of(q);
                    weighted -= Sum::of(q * t.value() * (0.7 + 0.3 * p.below));
                    [q, t.value(), p.below]
                });
                let rest =
                    if weight.value() > 0.0 { weighted.value() / weight.value() } else { 0.0 };
                let hidden = p.anonymous && viewer.is_none_or(|v| v.0 != x && v.0 != p.other);
                let mover = Mover {
                    counterpart: (!hidden).then_some(EntityId(p.other)),
                    key: (!hidden).then_some(p.key),
                    effect: metrics.trust_score - score(less.direct(), rest),
                    received_strength: p.standing.received,
                    recent: p.standing.recent,
                    stated: p.standing.stated,
                    mutual: p.standing.mutual,
                    verified: p.trust.verified_records > 0,
                    network: network.filter(|_| !hidden),
                };
                (p.key, mover)
            })
            .collect();
        let state = self.state.read();
        movers.sort_by(|(a, x), (b, y)| {
            let size = |m: &Mover| Trust::new(m.effect.abs());
            let authorities = || state.facts.compare_authorities(a.owner.0, b.owner.0);
            size(y).cmp(&size(x)).then_with(authorities).then(a.rkey.cmp(&b.rkey))
        });
        drop(state);
        let others = movers.len().saturating_sub(limit);
        movers.truncate(limit);

        let [a, b, c, d] = DIRECT_WEIGHTS.map(|w| w * SCORE_WEIGHTS[0]);
        let addend =
            |name, value, weight| Addend { name, value, weight, contribution: value * weight };
        Some(TrustExplained {
            addends: [
                addend("reputation", metrics.reputation, a),
                addend("reciprocity", metrics.reciprocity, b),
                addend("consistency", metrics.consistency, c),
                addend("verification_ratio", metrics.verification_ratio, d),
                addend("network", metrics.network, SCORE_WEIGHTS[1]),
            ],
            metrics,
            received_from: tally.received,
            received_strength: tally.received_strength.value(),
            recent: tally.recent,
            verified: tally.verified,
            stated: tally.stated,
            mutual: tally.mutual,
            movers: movers.into_iter().map(|(_, mover)| mover).collect(),
            others,
        })
    }
}

/// Works out what the `n`-th counterpart adds.
fn part(state: &State, x: u32, parts: &mut Vec<Part>, n: usize) -> Option<usize> {
    let (facts, derived) = (&state.facts, &state.derived);
    let &pair = facts.person(x)?.pairs.get(n)?;
    let p = &facts.pairs[pair as usize];
    let (standing, trust) =
        (derived.standing_share(facts, pair, x), derived.trust_share(facts, pair, x));
    if trust.records == 0 {
        return Some(1);
    }
    let other = p.other(x);
    let received = facts.counted_of(pair).filter(|&s| facts.record(s).received_by(x));
    let strongest = received.max_by(|&a, &b| {
        let weight = |s: u32| {
            let [s, d, ..] = derived.factors(facts, s);
            s * d
        };
        weight(a).total_cmp(&weight(b)).then_with(|| facts.compare_uris(b, a))
    });
    let stated = || facts.counted_of(pair).min_by(|&a, &b| facts.compare_uris(a, b));
    let slot = trust.voice.map(|(slot, ..)| slot).or(strongest).or_else(stated)?;
    let below = if trust.voice.is_some() { network_2(facts, derived, other) } else { 0.0 };
    let steps = 1 + voices_len(state, other);
    let anonymous = p.consent == Consent::Anonymous;
    let key = facts.record(slot).key();
    parts.push(Part { other, anonymous, key, standing, trust, below });
    Some(steps)
}

fn voices_len(state: &State, id: u32) -> usize {
    state.facts.person(id).map_or(0, |p| p.pairs.len())
}
