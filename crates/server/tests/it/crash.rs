//! `kill -9` at random instants, under load from several connections.
//!
//! Each connection keeps a ledger of what it was answered. Right after every kill the files are
//! read as the crash left them; after every restart the answers are compared with the ledger.
//! What was sent and not answered is found whole or not at all, and is sent again, as a client
//! would.

#![expect(
    clippy::print_stderr,
    reason = "the seed and what the kills met, for who looks into a failure"
)]

use crate::{
    dump,
    http::{Answer, Client},
    server::{Data, Server},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rhiz_domain::{Clock, Collection, Tid, clock::SystemClock, syntax::format_datetime};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    sync::mpsc,
    time::Duration,
};

const CONNECTIONS: usize = 4;
/// Kills of a usual run; `RHIZ_LONG=1` makes it 200.
const KILLS: usize = 30;
/// Events after which the server is killed, at most.
const MOST: usize = 700;

const PEOPLE: usize = 5;
/// One more person, who comes and goes and has to do with nobody else.
const GUEST: usize = PEOPLE;
const RELATIONSHIPS: usize = 12;
const ATTESTATIONS: usize = 8;

/// What an event writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Relationship(usize),
    Attestation(usize),
    Profile(usize),
    Account,
}

/// What is there afterwards.
#[derive(Debug, Clone, PartialEq)]
enum State {
    Gone,
    Relationship { strength: u64 },
    Attestation { kind: &'static str },
    Profile { name: String },
    Account { active: bool },
}

/// An event, and what it makes of its slot.
#[derive(Debug, Clone)]
struct Op {
    id: String,
    slot: Slot,
    /// Microseconds; grows with every event of a connection.
    time: u64,
    state: State,
    body: Value,
}

/// One connection's people, its ledger, and what it waits for.
struct Ledger {
    number: usize,
    random: StdRng,
    clock: SystemClock,
    time: u64,
    made: u64,
    /// The newest accepted event of each slot.
    slots: BTreeMap<Slot, Op>,
    /// Accepted since the last kill.
    fresh: Vec<Op>,
    /// One request without an answer.
    unanswered: Vec<Op>,
    accepted: u64,
}

fn tid(time: u64) -> Tid {
    Tid::from_u64(time << 10).unwrap()
}

impl Ledger {
    fn new(number: usize, seed: u64) -> Self {
        Self {
            number,
            random: StdRng::seed_from_u64(seed + number as u64),
            clock: SystemClock::default(),
            time: 0,
            made: 0,
            slots: BTreeMap::new(),
            fresh: Vec::new(),
            unanswered: Vec::new(),
            accepted: 0,
        }
    }

    fn person(&self, i: usize) -> String {
        format!("did:plc:connection{}person{i}", self.number)
    }

    /// Whether the account of the guest is active, as far as is known.
    fn guest_is_here(&self) -> bool {
        self.slots.get(&Slot::Account).is_none_or(|op| op.state == State::Account { active: true })
    }

    /// Owner and subject of a relationship: two different people.
    fn pair(&self, i: usize) -> (usize, usize) {
        let owner = i % PEOPLE;
        (owner, (owner + 1 + i / PEOPLE) % PEOPLE)
    }

    fn relationship_uri(&self, i: usize) -> String {
        let owner = self.person(self.pair(i).0);
        Collection::Relationship.uri(&owner, tid(1_000_000 + i as u64))
    }

    /// Which relationship an attestation is about, and its attester, who has no part in it.
    fn target(&self, i: usize) -> (usize, usize) {
        let target = i / 2;
        let (owner, subject) = self.pair(target);
        let mut others = (0..PEOPLE).filter(|p| *p != owner && *p != subject);
        (target, others.nth(i % 2).unwrap())
    }

    /// (whose repo, URI).
    fn place(&self, slot: Slot) -> (String, String) {
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
        let now = self.clock.now().as_microsecond() as u64;
        self.time = now.max(self.time + 1);
        self.made += 1;
        let at = format_datetime(tid(self.time).time());
        let slot = match self.random.random_range(0..10) {
            0..5 => Slot::Relationship(self.random.random_range(0..RELATIONSHIPS)),
            5..8 => Slot::Attestation(self.random.random_range(0..ATTESTATIONS)),
            8 => Slot::Profile(self.random.random_range(0..=GUEST)),
            _ => Slot::Account,
        };
        let (did, uri) = self.place(slot);
        let gone = self.random.random_bool(0.3);
        let (state, record) = match slot {
            Slot::Relationship(i) => {
                let strength = self.random.random_range(0..=100);
                let record = json!({
                    "$type": Collection::Relationship.nsid(),
                    "participants": [did, self.person(self.pair(i).1)],
                    "type": "professional",
                    "strength": strength,
                    "context": "",
                    "privacy": {"visibility": "public", "consent": "full"},
                    "temporal": {"start": at, "lastInteraction": at},
                    "createdAt": at,
                });
                (State::Relationship { strength }, record)
            }
            Slot::Attestation(i) => {
                const KINDS: [&str; 4] = ["verify", "dispute", "strengthen", "weaken"];
                let kind = KINDS[self.random.random_range(0..4)];
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
            "priority": self.random.random_range(0..4),
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

    /// Sends until the server is gone. Tells of every event that was answered.
    fn load(&mut self, server: &Server, answered: &mpsc::Sender<usize>) {
        let client = server.keyed();
        loop {
            let n = if self.random.random_bool(0.7) { 1 } else { self.random.random_range(2..40) };
            let mut ops: Vec<Op> = Vec::with_capacity(n);
            for _ in 0..n {
                ops.push(self.event());
            }
            self.unanswered.clone_from(&ops);
            let Ok(answer) = send(&client, &ops) else { return };
            self.unanswered.clear();
            match answer.status {
                202 => {
                    assert!(words(&answer).iter().all(|w| w == "enqueued"), "{}", answer.text());
                    self.accept(ops);
                    // The other end stops listening when it has heard enough.
                    let _ = answered.send(n);
                }
                // Too fast: nothing of it is stored.
                503 => {}
                status => panic!("{status}: {}", answer.text()),
            }
        }
    }

    /// What was not answered is there whole or not at all; sent again, it is there once.
    fn resolve(&mut self, client: &Client) {
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

    /// Every slot is in the answers as the ledger has it.
    fn check(&self, client: &Client) {
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

fn send(client: &Client, ops: &[Op]) -> std::io::Result<Answer> {
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

/// What the crash left on the disk.
struct Remains {
    /// Ids of events that wait.
    journal: HashSet<String>,
    /// Revisions and times: (repo, collection, key) to TID; accounts under collection 0.
    rows: HashMap<(String, i64, i64), i64>,
}

impl Remains {
    /// Reads a copy, so that looking changes nothing. Law: no event that waits has had its effect.
    fn read(data: &Data) -> Self {
        let copy = Data::new();
        fs::create_dir_all(copy.path()).unwrap();
        for name in ["rhiz.db", "rhiz.db-wal"] {
            let from = data.path().join(name);
            if from.exists() {
                fs::copy(from, copy.path().join(name)).unwrap();
            }
        }
        let conn = dump::open(&copy.path());
        let mut statement = conn
            .prepare(
                "SELECT did, collection, rkey, rev FROM records r JOIN entities e ON e.id = r.owner
                 UNION ALL SELECT did, 0, 0, account_time FROM entities
                 WHERE account_time IS NOT NULL",
            )
            .unwrap();
        let rows = statement
            .query_map([], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))
            .unwrap();
        let rows = rows.map(Result::unwrap).collect();
        let mut statement = conn.prepare("SELECT event_id FROM journal").unwrap();
        let journal = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap);
        Self { journal: journal.collect(), rows }
    }

    /// The event's effect, or that of a later one, is there.
    fn applied(&self, ledger: &Ledger, op: &Op) -> Option<std::cmp::Ordering> {
        let (did, uri) = ledger.place(op.slot);
        let rkey = uri.rsplit('/').next().and_then(|k| Tid::parse(k).ok()).unwrap_or(Tid::ZERO);
        let (collection, rkey, own) = match op.slot {
            Slot::Relationship(_) => (1, rkey, tid(op.time).to_u64()),
            Slot::Attestation(_) => (2, rkey, tid(op.time).to_u64()),
            Slot::Profile(_) => (3, Tid::ZERO, tid(op.time).to_u64()),
            Slot::Account => (0, Tid::ZERO, op.time),
        };
        let found = self.rows.get(&(did, collection, rkey.to_u64() as i64))?;
        Some(found.cmp(&(own as i64)))
    }

    /// Every answered event waits or is applied, and none is both.
    fn check(&self, ledger: &Ledger) {
        for op in &ledger.fresh {
            let waits = self.journal.contains(&op.id);
            let applied = self.applied(ledger, op);
            assert!(
                waits || applied.is_some_and(|o| o.is_ge()),
                "lost: {op:?}: neither in the journal nor applied"
            );
            assert!(
                !(waits && applied.is_some_and(|o| o.is_eq())),
                "applied, and still in the journal: {op:?}"
            );
        }
        for op in &ledger.unanswered {
            let waits = self.journal.contains(&op.id);
            let applied = self.applied(ledger, op).is_some_and(|o| o.is_eq());
            assert!(!(waits && applied), "applied, and still in the journal: {op:?}");
        }
    }
}

#[test]
fn killed_at_any_instant_it_loses_nothing_and_does_nothing_twice() {
    let long = std::env::var_os("RHIZ_LONG").is_some();
    let kills = if long { 200 } else { KILLS };
    let found = interrupt("KILL", kills);
    // Or the kills hit nothing.
    assert!(found.unanswered > kills / 2 && found.in_journal > kills, "{found:?}");
}

#[test]
fn stopped_in_order_under_load_it_loses_nothing_either() {
    let found = interrupt("TERM", 5);
    assert!(found.accepted > 5, "{found:?}");
}

/// What interruptions met.
#[derive(Debug, Default)]
struct Met {
    accepted: u64,
    unanswered: usize,
    in_journal: usize,
}

/// Ends the server so many times under load, and checks everything after each.
fn interrupt(signal: &str, times: usize) -> Met {
    let seed = SystemClock::default().now().as_microsecond() as u64;
    eprintln!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut ledgers: Vec<Ledger> = (0..CONNECTIONS).map(|n| Ledger::new(n, seed)).collect();
    let mut met = Met::default();
    let mut server = Data::new().serve();
    for time in 0..times {
        let (tell, hear) = mpsc::channel();
        std::thread::scope(|scope| {
            for ledger in &mut ledgers {
                let (server, tell) = (&server, tell.clone());
                scope.spawn(move || ledger.load(server, &tell));
            }
            drop(tell);
            let enough = random.random_range(1..=MOST);
            let mut heard = 0;
            while heard < enough {
                heard += hear.recv().expect("a connection that is alive");
            }
            // Anywhere between two answers.
            let _ = hear.recv_timeout(Duration::from_micros(random.random_range(0..3_000)));
            server.signal(signal);
        });
        let status = server.wait();
        assert_eq!(status.success(), signal == "TERM", "{status}");
        let data = server.data.clone();
        drop(server);
        let remains = Remains::read(&data);
        met.in_journal += remains.journal.len();
        for ledger in &ledgers {
            remains.check(ledger);
            met.unanswered += ledger.unanswered.len();
        }
        server = data.serve();
        let client = server.keyed();
        for ledger in &mut ledgers {
            ledger.resolve(&client);
        }
        server.settled();
        for ledger in &mut ledgers {
            ledger.check(&client);
            for op in ledger.fresh.drain(..).rev().take(20) {
                let found = client.get(&format!("/internal/events/{}", op.id)).expect(200);
                assert_eq!(found["state"], "done", "after {signal} {time}: {found}");
            }
        }
        let dead = client.get("/internal/events/dead-letter").expect(200);
        assert_eq!(dead["count"], 0, "after {signal} {time}: {dead}");
        check_counts(&client, &ledgers);
    }
    met.accepted = ledgers.iter().map(|l| l.accepted).sum();
    eprintln!("{signal}, {times} times: {met:?}");
    assert!(server.stop().success());
    met
}

/// Numbers derived from the rows are those of the ledgers.
fn check_counts(client: &Client, ledgers: &[Ledger]) {
    let stats = client.get("/api/v1/analytics/network-stats").expect(200);
    let count = |wanted: fn(&State) -> bool| {
        let ops = ledgers.iter().flat_map(|l| l.slots.values());
        ops.filter(|op| wanted(&op.state)).count()
    };
    let relationships = count(|s| matches!(s, State::Relationship { .. }));
    let attestations = count(|s| matches!(s, State::Attestation { .. }));
    let people: BTreeSet<String> = ledgers.iter().flat_map(Ledger::people).collect();
    assert_eq!(stats["total_relationships"], relationships, "{stats}");
    assert_eq!(stats["total_attestations"], attestations, "{stats}");
    assert_eq!(stats["total_entities"], people.len(), "{stats}");
}
