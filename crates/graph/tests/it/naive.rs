//! The rules once more, as slow as they read: every number from the whole list of facts.

use crate::world::World;
use rhiz_domain::fact::{
    AttestationFact, AttestationKind, Consent, EntityId, RecordKey, RelationshipFact, Visibility,
};
use rhiz_graph::{Algorithm, PathQuery};
use std::collections::BTreeMap;

pub(crate) struct Naive<'a>(pub(crate) &'a World);

/// A usable edge.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) uri: String,
    pub(crate) key: RecordKey,
    pub(crate) strength: u8,
    pub(crate) trust: f64,
    pub(crate) cost: u64,
    pub(crate) kind: String,
}

pub(crate) struct Scores {
    pub(crate) reputation: f64,
    pub(crate) reciprocity: f64,
    pub(crate) consistency: f64,
    pub(crate) standing: f64,
    pub(crate) ratio: f64,
    pub(crate) network: f64,
    pub(crate) score: f64,
    pub(crate) relationships: u32,
    pub(crate) verified: u32,
}

impl Naive<'_> {
    fn did(&self, id: EntityId) -> &str {
        self.0.entities.iter().find(|e| e.id == id).unwrap().did.as_str()
    }

    fn active(&self, id: EntityId) -> bool {
        self.0.entities.iter().find(|e| e.id == id).unwrap().active
    }

    pub(crate) fn uri(&self, r: &RelationshipFact) -> String {
        format!("at://{}/net.rhiz.relationship.record/{}", self.did(r.key.owner), r.key.rkey)
    }

    fn days(&self, day: i32) -> f64 {
        f64::from((self.0.day - day).max(0))
    }

    /// Attestations on a record, of active accounts, the newest of each attester.
    fn newest(&self, target: RecordKey) -> Vec<&AttestationFact> {
        let mut of: BTreeMap<EntityId, &AttestationFact> = BTreeMap::new();
        let order = |a: &AttestationFact| (a.effective, a.rev, a.key.rkey);
        for a in self.0.attestations.iter().filter(|a| a.target == target) {
            let place = of.entry(a.key.owner).or_insert(a);
            if order(a) > order(place) {
                *place = a;
            }
        }
        of.into_values().filter(|a| self.active(a.key.owner)).collect()
    }

    fn open(&self, r: &RelationshipFact) -> bool {
        r.visibility != Visibility::Private && self.active(r.key.owner) && self.active(r.subject)
    }

    pub(crate) fn refused(&self, r: &RelationshipFact) -> bool {
        self.active(r.key.owner)
            && self
                .newest(r.key)
                .iter()
                .any(|a| a.key.owner == r.subject && a.kind == AttestationKind::Dispute)
    }

    pub(crate) fn counted(&self, r: &RelationshipFact) -> bool {
        self.open(r) && !self.refused(r)
    }

    fn between(&self, a: EntityId, b: EntityId) -> impl Iterator<Item = &RelationshipFact> {
        self.0.relationships.iter().filter(move |r| {
            (r.key.owner == a && r.subject == b) || (r.key.owner == b && r.subject == a)
        })
    }

    pub(crate) fn mutual(&self, a: EntityId, b: EntityId) -> bool {
        let counted: Vec<_> = self.between(a, b).filter(|r| self.counted(r)).collect();
        counted.iter().any(|r| r.signed_by_owner && r.signed_by_subject)
            || (counted.iter().any(|r| r.key.owner == a)
                && counted.iter().any(|r| r.key.owner == b))
    }

    fn received(&self, r: &RelationshipFact, x: EntityId) -> bool {
        r.key.owner != x || r.signed_by_subject
    }

    fn states(&self, r: &RelationshipFact, x: EntityId) -> bool {
        r.key.owner == x || r.signed_by_subject
    }

    fn freshness(&self, r: &RelationshipFact) -> f64 {
        r.last_interaction.map_or(0.5, |day| (-self.days(day) / 365.25).exp().max(0.1))
    }

    fn recent(&self, r: &RelationshipFact) -> bool {
        r.last_interaction.is_some_and(|day| self.days(day) < 30.0)
    }

    fn counterparts(&self, x: EntityId) -> Vec<(EntityId, Vec<&RelationshipFact>)> {
        let others = self.0.entities.iter().map(|e| e.id).filter(|&y| y != x);
        others
            .map(|y| (y, self.between(x, y).filter(|r| self.counted(r)).collect()))
            .filter(|(_, all): &(_, Vec<_>)| !all.is_empty())
            .collect()
    }

    fn received_from(&self, x: EntityId) -> Vec<(EntityId, Vec<&RelationshipFact>)> {
        let mut all = self.counterparts(x);
        all.iter_mut().for_each(|(_, rs)| rs.retain(|r| self.received(r, x)));
        all.retain(|(_, rs)| !rs.is_empty());
        all
    }

    fn standing_parts(&self, x: EntityId) -> [f64; 3] {
        let received = self.received_from(x);
        let best = |rs: &Vec<&RelationshipFact>| {
            rs.iter().map(|r| f64::from(r.strength) / 100.0 * self.freshness(r)).fold(0.0, f64::max)
        };
        let n = received.len() as f64;
        let reputation = (received.iter().map(|(_, rs)| best(rs)).sum::<f64>() + 2.5) / (n + 5.0);
        let stated: Vec<EntityId> = self
            .counterparts(x)
            .into_iter()
            .filter(|(_, rs)| rs.iter().any(|r| self.states(r, x)))
            .map(|(y, _)| y)
            .collect();
        let mutual = stated.iter().filter(|&&y| self.mutual(x, y)).count() as f64;
        let reciprocity = (mutual + 2.5) / (stated.len() as f64 + 5.0);
        let recent =
            received.iter().filter(|(_, rs)| rs.iter().any(|r| self.recent(r))).count() as f64;
        let consistency = if received.is_empty() { 0.5 } else { (1.5 * recent / n).min(1.0) };
        [reputation, reciprocity, consistency]
    }

    pub(crate) fn standing(&self, x: EntityId) -> f64 {
        let [a, b, c] = self.standing_parts(x);
        (0.35 * a + 0.25 * b + 0.25 * c) / 0.85
    }

    fn voices(&self, r: &RelationshipFact) -> Vec<&AttestationFact> {
        let mut all = self.newest(r.key);
        all.retain(|a| a.key.owner != r.key.owner && a.key.owner != r.subject);
        all
    }

    fn acquainted(&self, r: &RelationshipFact) -> Vec<&AttestationFact> {
        let mut all = self.voices(r);
        all.retain(|a| {
            self.mutual(a.key.owner, r.key.owner) || self.mutual(a.key.owner, r.subject)
        });
        all
    }

    fn formula(&self, all: &[&AttestationFact]) -> f64 {
        let weights = all.iter().map(|a| {
            let base = match a.kind {
                AttestationKind::Verify => 1.0,
                AttestationKind::Dispute => -1.5,
                AttestationKind::Strengthen => 0.5,
                AttestationKind::Weaken => -0.5,
            };
            let day = a.effective.div_euclid(crate::world::DAY) as i32;
            base * (0.5 + 1.5 * self.standing(a.key.owner))
                * 0.5f64.powf(self.days(day) / 180.0)
                * f64::from(a.confidence)
                / 100.0
        });
        let (sum, absolute) = weights.fold((0.0, 0.0), |(s, t), w| (s + w, t + w.abs()));
        50.0 + 50.0 * sum / (absolute + 1.0)
    }

    pub(crate) fn conviction(&self, r: &RelationshipFact) -> (f64, usize) {
        let all = self.voices(r);
        if all.is_empty() { (0.0, 0) } else { (self.formula(&all), all.len()) }
    }

    pub(crate) fn backing(&self, r: &RelationshipFact) -> Option<f64> {
        let all = self.acquainted(r);
        (!all.is_empty()).then(|| self.formula(&all))
    }

    pub(crate) fn trust(&self, r: &RelationshipFact) -> f64 {
        if r.strength == 0 {
            return 0.0;
        }
        let affirm = [AttestationKind::Verify, AttestationKind::Strengthen];
        let verifiers = self.acquainted(r).iter().filter(|a| affirm.contains(&a.kind)).count();
        let v = (verifiers as f64 / 50.0).min(0.2);
        let g = self.backing(r).map_or(1.0, |b| (b / 50.0).min(1.0));
        let m = if self.counted(r) && self.mutual(r.key.owner, r.subject) { 1.0 } else { 0.8 };
        let t = (f64::from(r.strength) / 100.0 * self.freshness(r) + v).min(1.0) * g * m;
        (t * 1e12).round() / 1e12
    }

    fn statement<'b>(
        &self,
        all: impl Iterator<Item = &'b RelationshipFact>,
    ) -> Option<&'b RelationshipFact> {
        all.max_by(|a, b| {
            self.trust(a)
                .total_cmp(&self.trust(b))
                .then(a.strength.cmp(&b.strength))
                .then_with(|| self.uri(b).cmp(&self.uri(a)))
        })
    }

    pub(crate) fn edge(&self, a: EntityId, b: EntityId, q: &PathQuery) -> Option<Edge> {
        let open: Vec<_> = self.between(a, b).filter(|r| self.open(r)).collect();
        if open.iter().any(|r| r.consent == Consent::Anonymous) {
            return None;
        }
        let asked: Vec<_> = open
            .into_iter()
            .filter(|r| self.counted(r))
            .filter(|r| q.kinds.as_ref().is_none_or(|k| k.iter().any(|k| **k == *r.kind)))
            .collect();
        let side = |x: EntityId| {
            self.statement(
                asked
                    .iter()
                    .copied()
                    .filter(|r| r.key.owner == x || (r.signed_by_owner && r.signed_by_subject)),
            )
        };
        let chosen = match (side(a), side(b)) {
            (Some(x), Some(y)) => {
                let order = self
                    .trust(x)
                    .total_cmp(&self.trust(y))
                    .then(x.strength.cmp(&y.strength))
                    .then_with(|| self.uri(x).cmp(&self.uri(y)));
                if order.is_le() { x } else { y }
            }
            (x, y) => x.or(y)?,
        };
        let trust = self.trust(chosen);
        let usable = f64::from(chosen.strength) / 100.0 >= q.min_strength && trust > 0.0;
        usable.then(|| Edge {
            uri: self.uri(chosen),
            key: chosen.key,
            strength: chosen.strength,
            trust,
            cost: (-trust.ln() * f64::from(1 << 20)).round() as u64,
            kind: chosen.kind.to_string(),
        })
    }

    /// Every loopless path within the limits, best first.
    pub(crate) fn paths(&self, q: &PathQuery) -> Vec<Vec<(EntityId, Edge)>> {
        if q.exclude.contains(&q.from) || q.exclude.contains(&q.to) {
            return Vec::new();
        }
        let ids: Vec<EntityId> = self.0.entities.iter().map(|e| e.id).collect();
        let mut edges: BTreeMap<EntityId, Vec<(EntityId, Edge)>> = BTreeMap::new();
        for &a in &ids {
            for &b in ids.iter().filter(|&&b| b != a && !q.exclude.contains(&b)) {
                if let Some(edge) = self.edge(a, b, q) {
                    edges.entry(a).or_default().push((b, edge));
                }
            }
        }
        let mut found = Vec::new();
        let mut path: Vec<(EntityId, Edge)> = Vec::new();
        walk(q, &edges, q.from, &mut path, &mut found);
        found.sort_by_key(|path: &Vec<(EntityId, Edge)>| {
            let cost: u64 = path.iter().map(|(_, e)| e.cost).sum();
            let hops = path.len() as u64;
            let uris: Vec<String> = path.iter().map(|(_, e)| e.uri.clone()).collect();
            match q.algorithm {
                Algorithm::Strongest => (cost, hops, uris),
                Algorithm::Shortest => (hops, cost, uris),
            }
        });
        found
    }

    fn verified(&self, r: &RelationshipFact) -> bool {
        self.backing(r).is_some_and(|b| b >= 70.0)
    }

    fn network(&self, x: EntityId, level: u32) -> f64 {
        let (mut weight, mut sum) = (0.0, 0.0);
        for (y, rs) in self.received_from(x) {
            let strong = rs.into_iter().filter(|r| r.strength >= 30);
            let Some(r) = self.statement(strong) else { continue };
            let q = self.backing(r).map_or(0.5, |b| b / 100.0);
            let below = if level == 1 { 1.0 } else { 0.7 + 0.3 * self.network(y, level - 1) };
            weight += q;
            sum += q * self.trust(r) * below;
        }
        if weight == 0.0 { 0.0 } else { sum / weight }
    }

    pub(crate) fn scores(&self, x: EntityId) -> Scores {
        let [reputation, reciprocity, consistency] = self.standing_parts(x);
        let received = self.received_from(x);
        let verified: Vec<usize> =
            received.iter().map(|(_, rs)| rs.iter().filter(|r| self.verified(r)).count()).collect();
        let share = verified.iter().filter(|&&n| n > 0).count() as f64;
        let ratio = if received.is_empty() { 0.0 } else { share / received.len() as f64 };
        let network = self.network(x, 3);
        let direct = 0.35 * reputation + 0.25 * reciprocity + 0.25 * consistency + 0.15 * ratio;
        Scores {
            reputation,
            reciprocity,
            consistency,
            standing: self.standing(x),
            ratio,
            network,
            score: 0.7 * direct + 0.3 * network,
            relationships: self.counterparts(x).iter().map(|(_, rs)| rs.len() as u32).sum(),
            verified: verified.iter().sum::<usize>() as u32,
        }
    }

    pub(crate) fn exists(&self, x: EntityId) -> bool {
        let entity = self.0.entities.iter().find(|e| e.id == x).unwrap();
        let private = |key: RecordKey| {
            self.0.relationships.iter().any(|r| r.key == key && r.visibility == Visibility::Private)
        };
        entity.active
            && (entity.stands_alone
                || self
                    .0
                    .relationships
                    .iter()
                    .any(|r| self.open(r) && (r.key.owner == x || r.subject == x))
                || self.0.attestations.iter().any(|a| {
                    let live = self.active(a.key.owner) && self.active(a.target.owner);
                    live && (a.key.owner == x || (a.target.owner == x && !private(a.target)))
                }))
    }
}

fn walk(
    q: &PathQuery,
    edges: &BTreeMap<EntityId, Vec<(EntityId, Edge)>>,
    at: EntityId,
    path: &mut Vec<(EntityId, Edge)>,
    found: &mut Vec<Vec<(EntityId, Edge)>>,
) {
    if path.len() == usize::from(q.max_hops) {
        return;
    }
    for (next, edge) in edges.get(&at).into_iter().flatten() {
        if *next == q.from || path.iter().any(|(on, _)| on == next) {
            continue;
        }
        path.push((*next, edge.clone()));
        if *next == q.to {
            found.push(path.clone());
        } else {
            walk(q, edges, *next, path, found);
        }
        path.pop();
    }
}
