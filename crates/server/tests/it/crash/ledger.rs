//! What one connection sends, and its book of what it was answered.
//!
//! Everything it sends follows from its number and the seed: two ledgers of the same seed that have
//! come equally far have sent the same, whatever was killed in between.

use crate::{
    http::{Answer, Client},
    server::{Server, pause},
    statement::relationship,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rhiz_domain::{Collection, Tid, syntax::format_datetime};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt, sync::mpsc, time::Duration};

/// When the first event of every ledger was made: 2026-01-01, microseconds.
const START: u64 = 1_767_225_600_000_000;

const PEOPLE: usize = 5;
/// One more person, who comes and goes and has to do with nobody else.
pub(super) const GUEST: usize = PEOPLE;
const RELATIONSHIPS: usize = 12;
const ATTESTATIONS: usize = 8;

/// What an event writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Relationship(usize),
    Attestation(usize),
    Profile(usize),
    Account,
}

/// What is there afterwards.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    Gone,
    Relationship { strength: u64 },
    Attestation { kind: &'static str },
    Profile { name: String },
    Account { active: bool },
}

/// An event, and what it makes of its slot.
#[derive(Clone)]
pub(crate) struct Op {
    pub(super) id: String,
    pub(super) slot: Slot,
    /// Microseconds; grows with every event of a connection.
    pub(super) time: u64,
    pub(super) state: State,
    pub(super) body: Value,
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?} {}", self.id, self.slot, self.state, self.body["event_type"])
    }
}

/// One connection's people, its ledger, and what it waits for.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    number: usize,
    seed: u64,
    time: u64,
    made: u64,
    /// Requests made so far; one that is sent again counts once.
    pub(crate) requests: usize,
    /// The newest accepted event of each slot.
    pub(super) slots: BTreeMap<Slot, Op>,
    /// Accepted since the last kill.
    pub(crate) fresh: Vec<Op>,
    /// One request without an answer.
    pub(crate) unanswered: Vec<Op>,
    pub(crate) accepted: u64,
}

pub(super) fn tid(time: u64) -> Tid {
    Tid::from_u64(time << 10).unwrap()
}

impl Ledger {
    pub(crate) fn new(number: usize, seed: u64) -> Self {
        Self {
            number,
            seed,
            time: START,
            made: 0,
            requests: 0,
            slots: BTreeMap::new(),
            fresh: Vec::new(),
            unanswered: Vec::new(),
            accepted: 0,
        }
    }

    /// For the next choice of many.
    fn random(&self) -> StdRng {
        let (number, made) = (self.number as u64, self.made);
        StdRng::seed_from_u64(self.seed.wrapping_add(number << 48).wrapping_add(made))
    }

    pub(super) fn person(&self, i: usize) -> String {
        format!("did:plc:connection{}person{i}", self.number)
    }

    /// Whether the account of the guest is active, as far as is known.
    pub(super) fn guest_is_here(&self) -> bool {
        self.slots.get(&Slot::Account).is_none_or(|op| op.state == State::Account { active: true })
    }

    /// Owner and subject of a relationship: two different people.
    pub(super) fn pair(&self, i: usize) -> (usize, usize) {
        let owner = i % PEOPLE;
        (owner, (owner + 1 + i / PEOPLE) % PEOPLE)
    }

    pub(super) fn relationship_uri(&self, i: usize) -> String {
        let owner = self.person(self.pair(i).0);
        Collection::Relationship.uri(&owner, tid(1_000_000 + i as u64))
    }

    /// Which relationship an attestation is about, and its attester, who has no part in it.
    pub(super) fn target(&self, i: usize) -> (usize, usize) {
        let target = i / 2;
        let (owner, subject) = self.pair(target);
        let mut others = (0..PEOPLE).filter(|p| *p != owner && *p != subject);
        (target, others.nth(i % 2).unwrap())
    }

    /// (whose repo, URI).
    pub(super) fn place(&self, slot: Slot) -> (String, String) {
        match slot {
            Slot::Relationship(i) => (self.person(self.pair(i).0), self.relationship_uri(i)),
            Slot::Attestation(i) => {
                let did = self.person(self.target(i).1);
                let uri = Collection::Attestation.uri(&did, tid(2_000_000 + i as u64));
                (did, uri)
            }
            Slot::Profile(i) => {
                let did = self.person(i);
                let uri = Collection::Profile.uri(&did, Tid::ZERO);
                (did, uri)
            }
            Slot::Account => (self.person(GUEST), String::new()),
        }
    }

    fn is_there(&self, slot: Slot) -> bool {
        self.slots.get(&slot).is_some_and(|op| op.state != State::Gone)
    }

    /// An event at random: any type, any priority.
    fn event(&mut self) -> Op {
        self.made += 1;
        let mut random = self.random();
        self.time += random.random_range(1..1_000_000);
        let at = format_datetime(tid(self.time).time());
        let slot = match random.random_range(0..10) {
            0..5 => Slot::Relationship(random.random_range(0..RELATIONSHIPS)),
            5..8 => Slot::Attestation(random.random_range(0..ATTESTATIONS)),
            8 => Slot::Profile(random.random_range(0..=GUEST)),
            _ => Slot::Account,
        };
        let (did, uri) = self.place(slot);
        let gone = random.random_bool(0.3);
        let (state, record) = match slot {
            Slot::Relationship(i) => {
                let strength = random.random_range(0..=100);
                let other = self.person(self.pair(i).1);
                let record = relationship(&did, &other, "professional", strength, &at);
                (State::Relationship { strength }, record)
            }
            Slot::Attestation(i) => {
                const KINDS: [&str; 4] = ["verify", "dispute", "strengthen", "weaken"];
                let kind = KINDS[random.random_range(0..4)];
                let record = json!({
                    "$type": Collection::Attestation.nsid(),
                    "targetRelationship": self.relationship_uri(self.target(i).0),
                    "attester": did,
                    "attestationType": kind,
                    "confidence": 90,
                    "createdAt": at,
                });
                (State::Attestation { kind }, record)
            }
            Slot::Profile(_) => {
                let name = format!("Name {}", self.made);
                let record = json!({
                    "$type": Collection::Profile.nsid(),
                    "displayName": name,
                    "entityType": "person",
                    "createdAt": at,
                });
                (State::Profile { name }, record)
            }
            Slot::Account => {
                let active = !gone;
                (State::Account { active }, json!({"active": active}))
            }
        };
        let known = self.is_there(slot);
        let (kind, state, payload) = match slot {
            Slot::Account => {
                // To the microsecond: no two are alike.
                let time = tid(self.time).time().to_string();
                ("account.updated", state, json!({"active": record["active"], "time": time}))
            }
            _ => {
                let kind = match (slot, gone, known) {
                    (Slot::Relationship(_), true, _) => "relationship.deleted",
                    (Slot::Relationship(_), _, true) => "relationship.updated",
                    (Slot::Relationship(_), ..) => "relationship.created",
                    (Slot::Attestation(_), true, _) => "attestation.deleted",
                    (Slot::Attestation(_), _, true) => "attestation.updated",
                    (Slot::Attestation(_), ..) => "attestation.created",
                    (_, true, _) => "entity.profile.deleted",
                    _ => "entity.profile.updated",
                };
                let mut payload = json!({"uri": uri, "rev": tid(self.time).to_string()});
                if !gone {
                    payload["record"] = record;
                }
                (kind, if gone { State::Gone } else { state }, payload)
            }
        };
        let id = format!("c{}-{}", self.number, self.made);
        let body = json!({
            "event_id": id,
            "event_type": kind,
            "did": did,
            "payload": payload,
            "priority": random.random_range(0..4),
        });
        Op { id, slot, time: self.time, state, body }
    }

    fn accept(&mut self, ops: Vec<Op>) {
        self.accepted += ops.len() as u64;
        for op in ops {
            self.slots.insert(op.slot, op.clone());
            self.fresh.push(op);
        }
    }

    /// The events of the next request.
    fn request(&mut self) -> Vec<Op> {
        let mut random = self.random();
        let n = if random.random_bool(0.7) { 1 } else { random.random_range(2..40) };
        self.requests += 1;
        (0..n).map(|_| self.event()).collect()
    }

    /// Sends until the server is gone. Tells of every event that was answered.
    pub(crate) fn load(&mut self, server: &Server, answered: &mpsc::Sender<usize>) {
        let client = server.keyed();
        while let Some(n) = self.one(&client) {
            // The other end stops listening when it has heard enough.
            let _ = answered.send(n);
        }
    }

    /// One request, sent until it is accepted: how many events it had. `None` when the server is
    /// gone.
    pub(crate) fn one(&mut self, client: &Client) -> Option<usize> {
        loop {
            let n = self.pending().len();
            let answer = self.offer(client).ok()?;
            match answer.status {
                202 => return Some(n),
                // Too fast, or the disk fails: nothing of it is stored.
                503 => pause(Duration::from_millis(2)),
                status => panic!("{status}: {}", answer.text()),
            }
        }
    }

    /// Sends the next request, or again the one that was not accepted.
    pub(crate) fn offer(&mut self, client: &Client) -> std::io::Result<Answer> {
        self.pending();
        let answer = send(client, &self.unanswered)?;
        if answer.status == 202 {
            assert!(words(&answer).iter().all(|w| w == "enqueued"), "{}", answer.text());
            let ops = std::mem::take(&mut self.unanswered);
            self.accept(ops);
        }
        Ok(answer)
    }

    /// The names of the events of the next request.
    pub(crate) fn pending(&mut self) -> Vec<String> {
        if self.unanswered.is_empty() {
            self.unanswered = self.request();
        }
        self.unanswered.iter().map(|op| op.id.clone()).collect()
    }

    /// From now on, only the newest of each slot is looked for.
    pub(crate) fn forget_all_but_the_last(&mut self) {
        self.fresh = self.slots.values().cloned().collect();
        self.requests = usize::MAX;
    }

    /// What was not answered is there whole or not at all; sent again, it is there once.
    pub(crate) fn resolve(&mut self, client: &Client) {
        let ops = std::mem::take(&mut self.unanswered);
        if ops.is_empty() {
            return;
        }
        let known = |op: &Op| match client.get(&format!("/internal/events/{}", op.id)).status {
            200 => true,
            404 => false,
            status => panic!("{status}"),
        };
        let there = ops.iter().filter(|op| known(op)).count();
        assert!(there == 0 || there == ops.len(), "{there} of a batch of {}", ops.len());
        let expected = if there == 0 { "enqueued" } else { "duplicate" };
        let answer = send(client, &ops).unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        assert!(words(&answer).iter().all(|w| w == expected), "{expected}: {}", answer.text());
        self.accept(ops);
    }
}

pub(crate) fn send(client: &Client, ops: &[Op]) -> std::io::Result<Answer> {
    match ops {
        [op] => client.try_post("/internal/events", &op.body),
        ops => client.try_batch(&ops.iter().map(|op| op.body.clone()).collect::<Vec<_>>()),
    }
}

/// `enqueued` or `duplicate`, for each event of an answer.
fn words(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    let word = |v: &Value| v["status"].as_str().unwrap().to_owned();
    body["results"].as_array().map_or_else(|| vec![word(&body)], |r| r.iter().map(word).collect())
}
