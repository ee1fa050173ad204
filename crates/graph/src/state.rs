//! Facts and what follows from them, kept in step: one change at a time.

use crate::derived::{Derived, Way};
use crate::facts::{Facts, KNOWN, NONE, Statement};
use crate::formula::Trust;
use crate::learned::Learned;
use crate::parallel;
use crate::predict::{self, Taught};
use crate::web::{CLOSED, Edge, Half, MAX_NODE, ODD, Odd, PairEdit, Web};
use rhiz_domain::fact::{
    AttestationFact, Change, Consent, Day, EntityFact, RecordKey, RelationshipFact,
};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) facts: Facts,
    pub(crate) derived: Derived,
    /// Entities that exist for the public.
    pub(crate) entities: usize,
    /// Attestations that count.
    pub(crate) attestations: usize,
    /// Grows with every change.
    pub(crate) changes: u64,
    pub(crate) learned: Learned,
    pub(crate) taught: Taught,
}

/// What changes have touched.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    /// Pairs whose edge may have changed, by their people. Whose tally has changed is in one.
    pub(crate) pairs: Vec<(u32, u32)>,
    /// People whose existence may have changed, or what dates them.
    pub(crate) people: Vec<u32>,
    /// Records whose conviction may have changed, or who may know of it.
    pub(crate) convictions: Vec<RecordKey>,
}

impl State {
    pub(crate) fn new(day: Day) -> Self {
        Self {
            facts: Facts::new(),
            derived: Derived::empty(day),
            entities: 0,
            attestations: 0,
            changes: 0,
            learned: Learned::default(),
            taught: Taught::default(),
        }
    }

    /// From everything that is live, of which `seq` is the last change.
    pub(crate) fn load(
        day: Day,
        seq: u64,
        entities: impl Iterator<Item = EntityFact>,
        relationships: impl Iterator<Item = RelationshipFact>,
        attestations: impl Iterator<Item = AttestationFact>,
    ) -> Self {
        let mut state = Self::new(day);
        let facts = &mut state.facts;
        facts.fill(entities.filter(|e| e.id.0 <= MAX_NODE), relationships.filter(sound));
        for fact in attestations.filter(sound_attestation) {
            if let Some(old) = facts.find_attestation(fact.key) {
                facts.remove_attestation(old);
            }
            facts.insert_attestation(&fact);
        }
        facts.refresh_all();
        let facts = &state.facts;
        (state.derived, state.learned) = parallel::both(
            facts.record_slots(),
            || Derived::compute(facts, day),
            || predict::learned_from(facts),
        );
        state.taught = Taught::at(seq);
        state.count_all();
        state
    }

    /// Counts who exists, and the attestations that count.
    fn count_all(&mut self) {
        // Most are named by a record: the others are asked about one by one.
        let named = self.facts.named_by_pairs();
        for id in 0..self.facts.people_slots() as u32 {
            if named[id as usize / 64] >> (id % 64) & 1 == 1 {
                self.facts.person_mut(id).counted = true;
                self.entities += 1;
            } else {
                self.recount_entity(id);
            }
        }
        let all: Vec<u32> = self.facts.live_attestations().collect();
        for slot in all {
            self.recount_attestation(slot);
        }
    }

    /// Every edge there is.
    pub(crate) fn web(facts: &Facts, derived: &Derived, version: u64) -> Web {
        let pairs = facts.pairs.len();
        let ranges = parallel::ranges(pairs, parallel::jobs(pairs), 1);
        let edges = parallel::run(ranges, |range| {
            let mut all = Vec::with_capacity(range.len());
            let mut statements = Vec::new();
            for (pair, p) in facts.live_pairs(range) {
                let edge = edge(facts, derived, pair, &mut statements);
                all.extend(edge.map(|edge| (p.lo, edge)));
            }
            all
        });
        Web::build(version, derived.day, &edges)
    }

    /// Brings near what a change of a relationship will look at.
    pub(crate) fn fetch(&self, change: &Change, web: &Web) -> u64 {
        let Change::Relationship(fact) = change else { return 0 };
        let ends = [fact.key.owner.0, fact.subject.0];
        let halves = ends.map(|id| web.edges(id).fetch());
        let people = ends.map(|id| self.derived.fetch(id) ^ self.learned.fetch_one(id));
        halves[0] ^ halves[1] ^ people[0] ^ people[1] ^ self.facts.fetch(fact)
    }

    /// One change. Applying it twice is the same as once.
    pub(crate) fn apply(&mut self, change: &Change, dirty: &mut Dirty) {
        self.changes += 1;
        match change {
            Change::Entity(fact) if fact.id.0 <= MAX_NODE => self.entity(fact, dirty),
            Change::Relationship(fact) if sound(fact) => {
                let old = self.facts.find_record(fact.key);
                if old.is_some_and(|slot| self.facts.relationship(slot) == *fact) {
                    return;
                }
                // What comes to be a lesson is learned on the way; what is one is said again.
                let again = old.is_some_and(|slot| {
                    let same = self.facts.record(slot).subject == fact.subject.0;
                    same && predict::is_lesson(&self.facts, slot)
                });
                let placed = self.record(old, Some(fact), dirty);
                if let Some(slot) = placed.filter(|_| again) {
                    self.learn(slot);
                }
            }
            Change::RelationshipGone(key) => {
                if let Some(old) = self.facts.find_record(*key) {
                    self.record(Some(old), None, dirty);
                }
            }
            Change::Attestation(fact) if sound_attestation(fact) => {
                let old = self.facts.find_attestation(fact.key);
                if old.is_some_and(|slot| self.facts.attestation_fact(slot) == *fact) {
                    return;
                }
                self.attestation(old, Some(fact), dirty);
            }
            Change::AttestationGone(key) => {
                if let Some(old) = self.facts.find_attestation(*key) {
                    self.attestation(Some(old), None, dirty);
                }
            }
            // What is not sound cannot come from the store; it changes nothing.
            Change::Entity(_)
            | Change::Relationship(_)
            | Change::Attestation(_)
            | Change::Touched(_) => {}
        }
    }

    fn entity(&mut self, fact: &EntityFact, dirty: &mut Dirty) {
        let id = fact.id.0;
        if !self.facts.matters(fact) {
            self.facts.set_entity(fact);
            self.recount_entity(id);
            dirty.people.push(id);
            return;
        }
        let (pairs, made, about) = self
            .facts
            .person(id)
            .map_or_else(Default::default, |p| (p.pairs.clone(), p.made.clone(), p.about.clone()));
        let mut named = vec![id];
        let mut spoken_of = Vec::new();
        let mut voices = made.clone();
        for a in made {
            let t = self.facts.target(self.facts.attestation(a).target);
            named.push(t.owner);
            if t.record != NONE {
                spoken_of.push(t.record);
            }
        }
        for t in about {
            for &a in &self.facts.target(t).voices {
                named.push(self.facts.attestation(a).attester);
                voices.push(a);
            }
        }
        for &pair in &pairs {
            let p = &self.facts.pairs[pair as usize];
            named.push(p.other(id));
        }
        self.around(pairs, spoken_of, dirty, |facts| {
            facts.set_entity(fact);
            None
        });
        self.recount_entities(&named, dirty);
        for voice in voices {
            self.recount_attestation(voice);
        }
    }

    /// Returns where the new record is.
    fn record(
        &mut self,
        old: Option<u32>,
        new: Option<&RelationshipFact>,
        dirty: &mut Dirty,
    ) -> Option<u32> {
        let facts = &self.facts;
        // Most changes leave a record between the same two people.
        let same = old.filter(|&slot| {
            let r = facts.record(slot);
            new.is_some_and(|fact| fact.subject.0 == r.subject)
        });
        let mut pairs: Vec<u32> = Vec::with_capacity(2);
        pairs.extend(old.map(|slot| facts.record(slot).pair));
        if let (Some(fact), None) = (new, same) {
            pairs.extend(facts.find_pair(fact.key.owner.0, fact.subject.0));
        }
        pairs.dedup();
        let mut named: Vec<u32> = Vec::with_capacity(4);
        named.extend(new.iter().flat_map(|fact| [fact.key.owner.0, fact.subject.0]));
        for &pair in &pairs {
            let p = &facts.pairs[pair as usize];
            named.extend([p.lo, p.hi]);
        }
        let mut placed = same;
        self.around(pairs, Vec::new(), dirty, |facts| {
            if let (Some(slot), Some(fact)) = (same, new) {
                facts.replace_record(slot, fact);
                return None;
            }
            if let Some(slot) = old {
                facts.remove_record(slot);
            }
            let slot = facts.insert_record(new?);
            placed = Some(slot);
            Some(facts.record(slot).pair)
        });
        if let Some(slot) = old
            && self.facts.record(slot).pair == NONE
        {
            self.derived.forget(slot);
        }
        named.sort_unstable();
        named.dedup();
        self.recount_named(&named, placed, dirty);
        let target = match (placed, old) {
            (Some(slot), _) => Some(self.facts.record(slot).target).filter(|&t| t != NONE),
            (None, old) => old.and_then(|s| self.facts.find_target(self.facts.record(s).key())),
        };
        if let Some(target) = target {
            for voice in self.facts.target(target).voices.clone() {
                self.recount_attestation(voice);
            }
        }
        placed
    }

    fn attestation(&mut self, old: Option<u32>, new: Option<&AttestationFact>, dirty: &mut Dirty) {
        let facts = &self.facts;
        let mut named: Vec<u32> = Vec::with_capacity(4);
        let (mut pairs, mut spoken_of) = (Vec::new(), Vec::new());
        let mut touches = |attester: u32, record: Option<u32>| {
            let Some(slot) = record else { return };
            let r = facts.record(slot);
            if attester == r.subject { pairs.push(r.pair) } else { spoken_of.push(slot) }
        };
        if let Some(slot) = old {
            let a = facts.attestation(slot);
            let t = facts.target(a.target);
            named.extend([a.attester, t.owner]);
            touches(a.attester, (t.record != NONE).then_some(t.record));
        }
        if let Some(fact) = new {
            named.extend([fact.key.owner.0, fact.target.owner.0]);
            touches(fact.key.owner.0, facts.find_record(fact.target));
        }
        pairs.dedup();
        if let Some(slot) = old
            && facts.attestation(slot).counted
        {
            self.attestations -= 1;
        }
        let mut placed = None;
        self.around(pairs, spoken_of, dirty, |facts| {
            if let Some(slot) = old {
                facts.remove_attestation(slot);
            }
            placed = new.map(|fact| facts.insert_attestation(fact));
            None
        });
        if let Some(slot) = placed {
            self.recount_attestation(slot);
        }
        self.recount_entities(&named, dirty);
    }

    /// Does a change that touches the records of `pairs` (and of the pair it returns, which may
    /// be new) and what is attested of the records `spoken_of`; and brings in step what follows.
    fn around(
        &mut self,
        mut pairs: Vec<u32>,
        mut spoken_of: Vec<u32>,
        dirty: &mut Dirty,
        change: impl FnOnce(&mut Facts) -> Option<u32>,
    ) {
        let lessons = predict::Before::of(&self.facts, &pairs);
        let Self { facts, derived, .. } = self;
        let mut before: Vec<(u32, f64)> = Vec::with_capacity(2 * pairs.len() + 2);
        let mut mutual: Vec<bool> = Vec::with_capacity(pairs.len() + 1);
        for &pair in &pairs {
            let p = &facts.pairs[pair as usize];
            before.extend([p.lo, p.hi].map(|x| (x, derived.standing(x))));
            mutual.push(p.mutual);
            // Who takes part has no voice, who is gone neither, and one record's rules govern
            // the others.
            dirty.convictions.extend(facts.records_of(pair).map(|s| facts.record(s).key()));
        }
        dirty.convictions.extend(spoken_of.iter().map(|&slot| facts.record(slot).key()));
        // Several pairs can share a person: only now, with all old standings known, …
        for &pair in &pairs {
            derived.trust_of(Way::Withdraw, facts, pair);
            derived.standing_of(Way::Withdraw, facts, pair);
        }
        let placed = change(facts);
        derived.make_room(facts);
        if let Some(pair) = placed
            && !pairs.contains(&pair)
        {
            let p = &facts.pairs[pair as usize];
            before.extend([p.lo, p.hi].map(|x| (x, derived.standing(x))));
            pairs.push(pair);
            mutual.push(false);
        }
        for &pair in &pairs {
            facts.refresh_pair(pair);
            derived.standing_of(Way::Enter, facts, pair);
        }
        // … whose word weighs differently now, and who became or ceased to be an acquaintance?
        for &(x, standing) in &before {
            if derived.standing(x).to_bits() != standing.to_bits() {
                let made = facts.person(x).map_or(&[][..], |p| &p.made);
                spoken_of.extend(made.iter().filter_map(|&a| {
                    let record = facts.target(facts.attestation(a).target).record;
                    if record != NONE {
                        dirty.convictions.push(facts.record(record).key());
                    }
                    (record != NONE && facts.acquainted(x, record)).then_some(record)
                }));
            }
        }
        for (&pair, &was_mutual) in pairs.iter().zip(&mutual) {
            let p = &facts.pairs[pair as usize];
            if p.mutual == was_mutual {
                continue;
            }
            for (x, y) in [(p.lo, p.hi), (p.hi, p.lo)] {
                let made = facts.person(x).map_or(&[][..], |p| &p.made);
                spoken_of.extend(made.iter().filter_map(|&a| {
                    let record = facts.target(facts.attestation(a).target).record;
                    let concerns = record != NONE && {
                        let r = facts.record(record);
                        r.owner == y || r.subject == y
                    };
                    concerns.then_some(record)
                }));
            }
        }
        spoken_of.sort_unstable_by_key(|&slot| (facts.record(slot).pair, slot));
        spoken_of.dedup();
        // Searched once for each of them: by an order of its own where there are many.
        let mut direct = pairs.clone();
        direct.sort_unstable();
        spoken_of.retain(|&slot| direct.binary_search(&facts.record(slot).pair).is_err());
        for slots in spoken_of.chunk_by(|&a, &b| facts.record(a).pair == facts.record(b).pair) {
            let pair = facts.record(slots[0]).pair;
            derived.trust_of(Way::Withdraw, facts, pair);
            for &slot in slots {
                derived.assess(facts, slot);
            }
            derived.trust_of(Way::Enter, facts, pair);
            let p = &facts.pairs[pair as usize];
            dirty.pairs.push((p.lo, p.hi));
        }
        for &pair in &pairs {
            for slot in facts.records_of(pair) {
                derived.assess(facts, slot);
                dirty.convictions.push(facts.record(slot).key());
            }
            derived.trust_of(Way::Enter, facts, pair);
            let p = &facts.pairs[pair as usize];
            dirty.pairs.push((p.lo, p.hi));
        }
        let lessons = lessons.compare(facts, &pairs);
        for &pair in &pairs {
            facts.drop_empty_pair(pair);
        }
        self.reconsider(lessons);
    }

    fn recount_entities(&mut self, ids: &[u32], dirty: &mut Dirty) {
        for &id in ids {
            self.recount_entity(id);
        }
        dirty.people.extend(ids);
    }

    /// As [`Self::recount_entities`]. A record that names them for the public settles it.
    fn recount_named(&mut self, ids: &[u32], record: Option<u32>, dirty: &mut Dirty) {
        let pair = record.map(|slot| &self.facts.pairs[self.facts.record(slot).pair as usize]);
        let named = pair.filter(|p| p.open && p.active).map(|p| [p.lo, p.hi]);
        for &id in ids {
            if named.is_some_and(|ends| ends.contains(&id)) {
                self.count_entity(id, true);
            } else {
                self.recount_entity(id);
            }
        }
        dirty.people.extend(ids);
    }

    fn recount_entity(&mut self, id: u32) {
        self.count_entity(id, self.facts.exists(id));
    }

    fn count_entity(&mut self, id: u32, exists: bool) {
        let counted = &mut self.facts.person_mut(id).counted;
        if std::mem::replace(counted, exists) != exists {
            if exists { self.entities += 1 } else { self.entities -= 1 }
        }
    }

    fn recount_attestation(&mut self, slot: u32) {
        let counts = self.facts.attestation_counts(slot);
        let counted = &mut self.facts.attestation_mut(slot).counted;
        if std::mem::replace(counted, counts) != counts {
            if counts { self.attestations += 1 } else { self.attestations -= 1 }
        }
    }

    /// The edges of dirty pairs that are not as the web has them.
    pub(crate) fn edits(&self, web: &Web, dirty: &[(u32, u32)]) -> Vec<PairEdit> {
        let mut statements = Vec::new();
        dirty
            .iter()
            .filter_map(|&(lo, hi)| {
                let pair = self.facts.find_pair(lo, hi);
                let new = pair.and_then(|p| edge(&self.facts, &self.derived, p, &mut statements));
                let old = web.edge(lo, hi);
                (old != new).then(|| PairEdit { lo, hi, old: old.map(|e| e.half), new })
            })
            .collect()
    }
}

fn sound(fact: &RelationshipFact) -> bool {
    fact.key.owner != fact.subject && fact.key.owner.0.max(fact.subject.0) <= MAX_NODE
}

fn sound_attestation(fact: &AttestationFact) -> bool {
    fact.key.owner.0.max(fact.target.owner.0) <= MAX_NODE
}

/// The edge of a pair, seen from `lo`, if it may be a hop under any filter.
fn edge(
    facts: &Facts,
    derived: &Derived,
    pair: u32,
    statements: &mut Vec<Statement>,
) -> Option<Edge> {
    let p = &facts.pairs[pair as usize];
    if !p.active || p.consent == Consent::Anonymous {
        return None;
    }
    facts.statements(pair, &derived.trust, statements);
    let chosen = *crate::facts::choose(statements.iter())?;
    let several = statements.iter().any(|s| s.kind != chosen.kind);
    let odd = several || chosen.kind as usize >= KNOWN.len();
    if statements.iter().all(|s| s.trust == Trust::ZERO) || (!odd && chosen.trust == Trust::ZERO) {
        return None;
    }
    let kind = if odd { ODD } else { chosen.kind as u8 };
    let cost = chosen.trust.cost().unwrap_or(CLOSED);
    let texts = odd.then(|| {
        let text = |s: &Statement| (Arc::clone(facts.kinds.text(s.kind)), *s);
        Arc::new(Odd { statements: statements.iter().map(text).collect() })
    });
    let half = Half::new(cost, p.hi, chosen.strength, kind);
    Some(Edge { half, slot: chosen.slot, odd: texts })
}
