//! What the server answers, compared with the ledgers.

use super::ledger::{GUEST, Ledger, Slot, State, tid};
use crate::http::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

impl Ledger {
    /// Every slot is in the answers as the ledger has it.
    pub(crate) fn check(&self, client: &Client) {
        let mut said: HashMap<usize, BTreeMap<&str, u64>> = HashMap::new();
        for (slot, op) in &self.slots {
            if let (Slot::Attestation(i), State::Attestation { kind }) = (slot, &op.state) {
                *said.entry(self.target(*i).0).or_default().entry(kind).or_default() += 1;
            }
        }
        for (slot, op) in &self.slots {
            match (slot, &op.state) {
                (Slot::Relationship(i), state) => {
                    let uri = self.relationship_uri(*i).replace('/', "%2F");
                    let answer = client.get(&format!("/api/v1/relationships/{uri}"));
                    let State::Relationship { strength } = state else {
                        assert_eq!(answer.status, 404, "{op:?}: {}", answer.text());
                        continue;
                    };
                    let found = answer.expect(200);
                    assert_eq!(found["rev"], tid(op.time).to_string(), "{op:?}: {found}");
                    assert_eq!(found["strength"], *strength as f64 / 100.0, "{op:?}: {found}");
                    let of = said.get(i);
                    for kind in ["verify", "dispute", "strengthen", "weaken"] {
                        let count = of.and_then(|of| of.get(kind)).copied().unwrap_or(0);
                        let found = &found["conviction"][format!("{kind}_count")];
                        assert_eq!(*found, count, "{kind} of {op:?}");
                    }
                }
                (Slot::Profile(i), state) => {
                    let answer = client.get(&format!("/api/v1/entities/{}", self.person(*i)));
                    match state {
                        _ if *i == GUEST && !self.guest_is_here() => {
                            assert_eq!(answer.status, 404, "{op:?}: {}", answer.text());
                        }
                        State::Profile { name } => {
                            assert_eq!(answer.expect(200)["name"], **name, "{op:?}");
                        }
                        // It may be named by others all the same.
                        _ if answer.status == 200 => {
                            assert_eq!(answer.json()["name"], Value::Null, "{op:?}");
                        }
                        _ => assert_eq!(answer.status, 404, "{}", answer.text()),
                    }
                }
                _ => {}
            }
        }
    }

    /// Everybody who exists by the ledger.
    fn people(&self) -> BTreeSet<String> {
        let mut people = BTreeSet::new();
        for (slot, _) in self.slots.iter().filter(|(_, op)| op.state != State::Gone) {
            match *slot {
                Slot::Relationship(i) => {
                    let (owner, subject) = self.pair(i);
                    people.extend([self.person(owner), self.person(subject)]);
                }
                Slot::Attestation(i) => {
                    let (target, attester) = self.target(i);
                    people.extend([self.person(self.pair(target).0), self.person(attester)]);
                }
                Slot::Profile(GUEST) if !self.guest_is_here() => {}
                Slot::Profile(i) => {
                    people.insert(self.person(i));
                }
                Slot::Account => {}
            }
        }
        people
    }
}

/// Numbers derived from the rows are those of the ledgers. `others` are relationships and people
/// that are in no ledger.
pub(crate) fn check_counts(client: &Client, ledgers: &[Ledger], others: (usize, usize)) {
    let stats = client.get("/api/v1/analytics/network-stats").expect(200);
    let count = |wanted: fn(&State) -> bool| {
        let ops = ledgers.iter().flat_map(|l| l.slots.values());
        ops.filter(|op| wanted(&op.state)).count()
    };
    let relationships = count(|s| matches!(s, State::Relationship { .. }));
    let attestations = count(|s| matches!(s, State::Attestation { .. }));
    let people: BTreeSet<String> = ledgers.iter().flat_map(Ledger::people).collect();
    assert_eq!(stats["total_relationships"], relationships + others.0, "{stats}");
    assert_eq!(stats["total_attestations"], attestations, "{stats}");
    assert_eq!(stats["total_entities"], people.len() + others.1, "{stats}");
}
