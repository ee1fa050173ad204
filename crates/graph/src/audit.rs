//! Whether two graphs are the same, and whether one is what its facts say.

use crate::derived::Derived;
use crate::facts::Facts;
use crate::graph::Graph;
use crate::state::State;
use crate::web::Web;
use rhiz_domain::Did;
use rhiz_domain::fact::{EntityId, RecordKey};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a graph holds, in a few numbers that depend on neither the order of arrival nor the
/// numbering of entities. For comparisons within one build of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    /// Entities told of, with status and existence.
    pub entities: Part,
    /// Live relationships.
    pub relationships: Part,
    /// Live attestations.
    pub attestations: Part,
    /// Trust of every relationship and the sums of every entity.
    pub derived: Part,
    /// The edges that searches walk.
    pub edges: Part,
}

/// How many there are, and a sum of their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Part {
    /// How many.
    pub count: u64,
    /// The sum, modulo 2⁶⁴.
    pub hash: u64,
}

impl Part {
    fn add(&mut self, what: impl Hash) {
        // Its keys are fixed: the same in every process of one build.
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        self.count += 1;
        self.hash = self.hash.wrapping_add(hasher.finish());
    }
}

fn name(facts: &Facts, id: u32) -> &str {
    facts.did(id).map_or("", Did::as_str)
}

fn uri(facts: &Facts, key: RecordKey) -> (&str, u64) {
    (name(facts, key.owner.0), key.rkey.to_u64())
}

fn digest_derived(facts: &Facts, derived: &Derived) -> Part {
    let mut part = Part::default();
    for slot in facts.live_records() {
        let backing = derived.backing_of(slot);
        part.add((
            uri(facts, facts.record(slot).key()),
            derived.trust[slot as usize],
            backing.map(|b| (b.score.to_bits(), b.verifiers, b.voices)),
        ));
    }
    for id in 0..facts.people_slots() as u32 {
        if !name(facts, id).is_empty() {
            part.add((name(facts, id), derived.tally(id).fields()));
        }
    }
    part
}

fn digest_edges(facts: &Facts, web: &Web) -> Part {
    let mut part = Part::default();
    for hi in 0..facts.people_slots() as u32 {
        let edges = web.edges(hi);
        for (half, slot) in edges.low.iter().zip((0..).map_while(|at| edges.slot(at))) {
            let odd = edges.odd_with(half.neighbour()).map(|odd| {
                let texts = odd.statements.iter().map(|(kind, s)| {
                    (kind.clone(), uri(facts, facts.record(s.slot).key()), s.trust, s.strength)
                });
                texts.collect::<Vec<_>>()
            });
            let key = uri(facts, facts.record(slot).key());
            // An edge has no direction, and its ends' numbers play no part.
            let mut ends = [name(facts, hi), name(facts, half.neighbour())];
            ends.sort_unstable();
            part.add((ends, half.cost(), half.strength(), half.kind(), key, odd));
        }
    }
    part
}

fn digest(state: &State, web: &Web) -> Digest {
    let facts = &state.facts;
    let mut digest = Digest::default();
    for id in 0..facts.people_slots() as u32 {
        if let Some(fact) = facts.entity_fact(id) {
            let what = (fact.did.as_str(), fact.active, fact.stands_alone, facts.exists(id));
            digest.entities.add(what);
        }
    }
    for slot in facts.live_records() {
        let fact = facts.relationship(slot);
        let r = facts.record(slot);
        let who = (uri(facts, fact.key), name(facts, fact.subject.0));
        let what = (fact.kind, fact.strength, fact.last_interaction, fact.created, fact.rev);
        let how = (fact.signed_by_owner, fact.signed_by_subject, fact.visibility, fact.consent);
        digest.relationships.add((who, what, how, r.refused, facts.counted(slot)));
    }
    for slot in facts.live_attestations() {
        let fact = facts.attestation_fact(slot);
        digest.attestations.add((
            uri(facts, fact.key),
            uri(facts, fact.target),
            (fact.kind, fact.confidence, fact.effective, fact.rev),
        ));
    }
    digest.derived = digest_derived(facts, &state.derived);
    digest.edges = digest_edges(facts, web);
    digest
}

impl Graph {
    /// What the graph holds. Equal for two graphs that hold the same, however they came to.
    /// Walks over everything while changes wait.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let state = self.state.read();
        digest(&state, &self.web.load())
    }

    /// Works out anew all that follows from the facts, and says what is not as it is kept. Empty
    /// when all is well. Walks over everything while changes wait.
    #[must_use]
    pub fn audit(&self) -> Vec<String> {
        let state = self.state.read();
        let (facts, derived) = (&state.facts, &state.derived);
        let web = self.web.load();
        let mut wrong = Vec::new();
        let fresh = Derived::compute(facts, derived.day);
        for slot in facts.live_records() {
            let (kept, now) = (derived.trust[slot as usize], fresh.trust[slot as usize]);
            if kept != now || derived.backing_of(slot) != fresh.backing_of(slot) {
                let (did, rkey) = (name(facts, facts.record(slot).owner), facts.record(slot).rkey);
                wrong.push(format!("trust of {did}/{rkey}: kept {kept:?}, should be {now:?}"));
            }
        }
        for id in 0..facts.people_slots() as u32 {
            let (kept, now) = (derived.tally(id), fresh.tally(id));
            if kept != now {
                let did = name(facts, id);
                wrong.push(format!("sums of {did}: kept {kept:?}, should be {now:?}"));
            }
        }
        if derived.totals != fresh.totals {
            wrong.push(format!("totals: {:?}, should be {:?}", derived.totals, fresh.totals));
        }
        let entities = (0..facts.people_slots() as u32).filter(|&id| facts.exists(id)).count();
        let attestations =
            facts.live_attestations().filter(|&a| facts.attestation_counts(a)).count();
        if (entities, attestations) != (state.entities, state.attestations) {
            wrong.push(format!(
                "entities and attestations: {:?}, should be {:?}",
                (state.entities, state.attestations),
                (entities, attestations)
            ));
        }
        let fresh = State::web(facts, &fresh, web.version);
        if digest_edges(facts, &web) != digest_edges(facts, &fresh) || web.len() != fresh.len() {
            wrong.push("the edges are not what the relationships say".into());
        }
        wrong
    }

    /// The facts of which two graphs of one numbering differ, at most `limit` of them, in words:
    /// for a look at what [`Graph::digest`] found.
    #[must_use]
    pub fn differences(&self, other: &Self, limit: usize) -> Vec<String> {
        let (mine, theirs) = (self.state.read(), other.state.read());
        let (a, b) = (&mine.facts, &theirs.facts);
        let mut found = Vec::new();
        let mut differ = |what: String, one: Option<String>, two: Option<String>| {
            if one != two {
                let say = |x: Option<String>| x.unwrap_or_else(|| "nothing".into());
                found.push(format!("{what}: {} here, {} there", say(one), say(two)));
            }
            found.len() < limit
        };
        fn show(what: &impl std::fmt::Debug) -> String {
            format!("{what:?}")
        }
        let relationship =
            |f: &Facts, key| f.find_record(key).map(|slot| show(&f.relationship(slot)));
        let attestation =
            |f: &Facts, key| f.find_attestation(key).map(|slot| show(&f.attestation_fact(slot)));
        let entity = |f: &Facts, id| f.entity_fact(id).map(|fact| show(&fact));
        let people = a.people_slots().max(b.people_slots()) as u32;
        let mut keys: Vec<RecordKey> = a.live_records().map(|s| a.record(s).key()).collect();
        keys.extend(b.live_records().map(|s| b.record(s).key()));
        keys.sort_unstable();
        keys.dedup();
        let mut voices: Vec<RecordKey> =
            a.live_attestations().map(|s| a.attestation(s).key()).collect();
        voices.extend(b.live_attestations().map(|s| b.attestation(s).key()));
        voices.sort_unstable();
        voices.dedup();
        let at = |key: RecordKey| format!("{}/{}", name(a, key.owner.0), key.rkey);
        let _all = (0..people).all(|id| differ(show(&EntityId(id)), entity(a, id), entity(b, id)))
            && keys.iter().all(|&key| differ(at(key), relationship(a, key), relationship(b, key)))
            && voices.iter().all(|&key| differ(at(key), attestation(a, key), attestation(b, key)));
        found
    }
}
