//! What lies ahead of a relationship, and who could begin one.

use crate::derived::Derived;
use crate::facts::{Facts, Statement, authority, choose};
use crate::first::First;
use crate::formula::{self, Trust};
use crate::graph::Graph;
use crate::search::{Path, PathError, PathQuery, check};
use rhiz_domain::fact::{Consent, Day, EntityId, RecordKey};
use rhiz_domain::{Did, Tid};
use std::cmp::Ordering;

/// Which relationships at risk are asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskQuery {
    /// 0.0–1.0: what the edge's t is at least today, and then is not.
    pub threshold: f64,
    /// How many days ahead are looked at.
    pub days: u32,
    /// How many, at most.
    pub limit: usize,
    /// After this one.
    pub after: Option<RiskPlace>,
}

/// Where in their order a relationship at risk stands: by day, then by t, then by URI.
#[derive(Debug, Clone, PartialEq)]
pub struct RiskPlace {
    /// The first day below the threshold.
    pub on: Day,
    /// t today, 0.0–1.0.
    pub trust: f64,
    /// Whose record is the edge.
    pub owner: Did,
    /// Its key.
    pub rkey: Tid,
}

/// A page of relationships at risk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Risks {
    /// The soonest first, then by t, then by URI.
    pub list: Vec<AtRisk>,
    /// Where the page ends, if there are more.
    pub next: Option<RiskPlace>,
}

/// A relationship that will fade below a threshold if nothing happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AtRisk {
    /// The record that is the edge now.
    pub key: RecordKey,
    /// The counterpart.
    pub counterpart: EntityId,
    /// t today, 0.0–1.0.
    pub trust: f64,
    /// The first day on which the t of the pair's edge is below the threshold. Another record may
    /// be the edge by then.
    pub on: Day,
}

/// A way to somebody, through somebody who would open the door.
#[derive(Debug, Clone, PartialEq)]
pub struct Introduction {
    /// Who would introduce.
    pub through: EntityId,
    /// How willing they are: what they state about the asking one, or would state, 0.0–1.0.
    pub willingness: f64,
    /// willingness · the trust of the hops beyond them.
    pub score: f64,
    /// The whole way.
    pub path: Path,
}

/// By day, then by t, then by URI.
fn order(facts: &Facts, a: &AtRisk, b: &AtRisk) -> Ordering {
    let (x, y) = (a.key, b.key);
    a.on.cmp(&b.on)
        .then(Trust::new(a.trust).cmp(&Trust::new(b.trust)))
        .then_with(|| facts.compare_authorities(x.owner.0, y.owner.0))
        .then(x.rkey.cmp(&y.rkey))
}

fn is_after(facts: &Facts, found: &AtRisk, place: &RiskPlace) -> bool {
    let owner = facts.did(found.key.owner.0);
    let order = (found.on, Trust::new(found.trust))
        .cmp(&(place.on, Trust::new(place.trust)))
        .then_with(|| authority(owner).cmp(authority(Some(&place.owner))))
        .then(found.key.rkey.cmp(&place.rkey));
    order.is_gt()
}

/// The edge of a pair, if it may be a hop and is at `threshold` or above; and how many days ahead
/// it is below, if within `days`. Every statement of the pair ages: which one is the edge may
/// change on the way. Each side's best t only falls and so does the smaller of both: the first
/// day below is found by halving.
fn fading(
    facts: &Facts,
    derived: &Derived,
    pair: u32,
    (threshold, days): (f64, u32),
) -> Option<(u32, f64, u32)> {
    let p = &facts.pairs[pair as usize];
    if !p.active || p.consent == Consent::Anonymous {
        return None;
    }
    let mut statements: Vec<Statement> = Vec::new();
    facts.statements(pair, &derived.trust, &mut statements);
    let edge = *choose(statements.iter())?;
    if edge.trust == Trust::ZERO || edge.trust.value() < threshold {
        return None;
    }
    let mut below = |ahead: u32| {
        let then = derived.day.saturating_add_unsigned(ahead);
        for statement in &mut statements {
            let [s, _, v, g, m] = derived.factors(facts, statement.slot);
            let last = facts.record(statement.slot).last_interaction();
            statement.trust = formula::trust(s, formula::freshness(last, then), v, g, m);
        }
        choose(statements.iter()).is_none_or(|edge| edge.trust.value() < threshold)
    };
    if !below(days) {
        return None;
    }
    let (mut not_yet, mut then) = (0, days);
    while then - not_yet > 1 {
        let middle = not_yet + (then - not_yet) / 2;
        if below(middle) { then = middle } else { not_yet = middle }
    }
    Some((edge.slot, edge.trust.value(), then))
}

impl Graph {
    /// Relationships of an entity whose edge is at the threshold or above today and falls below
    /// it within some days, by age alone (what is attested stays as it is); the soonest first,
    /// then by t, then by URI. `None` when the entity does not exist for the public.
    #[must_use]
    pub fn at_risk(&self, id: EntityId, query: &RiskQuery) -> Option<Risks> {
        // One more than asked for, to know whether there are more.
        let wanted = query.limit.saturating_add(1);
        let found = self.read_long(
            |state| state.facts.exists(id.0).then(|| First::new(wanted)),
            |state, found: &mut Option<First<AtRisk>>, n| {
                let (facts, derived) = (&state.facts, &state.derived);
                let found = found.as_mut()?;
                let &pair = facts.person(id.0)?.pairs.get(n)?;
                let limits = (query.threshold, query.days);
                if let Some((slot, trust, ahead)) = fading(facts, derived, pair, limits) {
                    let new = AtRisk {
                        key: facts.record(slot).key(),
                        counterpart: EntityId(facts.pairs[pair as usize].other(id.0)),
                        trust,
                        on: derived.day.saturating_add_unsigned(ahead),
                    };
                    if query.after.as_ref().is_none_or(|place| is_after(facts, &new, place)) {
                        found.offer(new, &mut |a, b| order(facts, a, b));
                    }
                }
                Some(1)
            },
        )?;
        let state = self.state.read();
        let mut list = found.sorted(&mut |a, b| order(&state.facts, a, b));
        let more = list.len() > query.limit;
        list.truncate(query.limit);
        let next = list.last().filter(|_| more).and_then(|last| {
            let owner = state.facts.did(last.key.owner.0)?.clone();
            Some(RiskPlace { on: last.on, trust: last.trust, owner, rkey: last.key.rkey })
        });
        Some(Risks { list, next })
    }

    /// Who could introduce `query.from` to `query.to`: the `k` best paths of two hops and more,
    /// ranked with the willingness of the first one on the way. Best first.
    pub fn introductions(
        &self,
        query: &PathQuery,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Introduction>, PathError> {
        check(query)?;
        // One more than asked for: the one path without anybody on it needs no introduction.
        let more = PathQuery { k: query.k + 1, ..query.clone() };
        let mut found: Vec<Introduction> = self
            .paths(&more, go_on)?
            .into_iter()
            .filter(|path| path.hops.len() > 1)
            .filter_map(|path| {
                let through = path.hops[0].to;
                let said = self.predict(through, query.from)?;
                let willingness = said.stated.unwrap_or(said.estimate);
                let beyond: f64 = path.hops[1..].iter().map(|hop| hop.trust).product();
                Some(Introduction { through, willingness, score: willingness * beyond, path })
            })
            .collect();
        // Stable: of equal ones, the better path stays first.
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(query.k);
        Ok(found)
    }
}
