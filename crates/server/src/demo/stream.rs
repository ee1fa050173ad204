//! What goes on happening in the demo network: one gentle event after another, for ever.
//!
//! People who share friends meet, friends see each other again and say so, others attest, and now
//! and then somebody takes a record back. The number of live relationships stays near where it
//! began, so that a demo may run for weeks. Called by `rhiz demo` with the time of each event.

use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::HashMap;

use super::groups::{EVIDENCE_AGAINST, EVIDENCE_FOR, Group};
use super::network::{DAY, Network, Why, shared, year};
use super::people::{Kind, Person, pick};
use super::{ATTESTATION, RELATIONSHIP, clock_of, commit, datetime, tid};

/// A record that is live, and may be changed or deleted.
struct Live {
    owner: usize,
    other: usize,
    rkey: String,
    record: Value,
    /// Whether it takes part in the stream's attestations and answers; private ones do not.
    open: bool,
}

/// An endless source of further events; see [`stream`].
pub struct Stream {
    rng: StdRng,
    pace: StdRng,
    people: Vec<Person>,
    groups: Vec<Group>,
    live: Vec<Live>,
    /// `(owner, other)` of what is live: who has stated something about whom.
    stated: HashMap<(usize, usize), usize>,
    circles: Vec<Vec<usize>>,
    /// The number of live records to stay near.
    level: usize,
    last_us: i64,
}

/// Goes on from where `network` ends. The same seed, network and times give the same events.
pub fn stream(seed: u64, network: &Network) -> Stream {
    let index: HashMap<&str, usize> =
        network.people.iter().enumerate().map(|(i, person)| (person.did.as_str(), i)).collect();
    let mut stream = Stream {
        rng: StdRng::seed_from_u64(seed ^ 0x73_74_72_65_61_6d),
        pace: StdRng::seed_from_u64(seed ^ 0x70_61_63_65),
        people: network.people.clone(),
        groups: network.groups.clone(),
        live: Vec::new(),
        stated: HashMap::new(),
        circles: vec![Vec::new(); network.people.len()],
        level: 0,
        last_us: i64::MIN,
    };
    for event in &network.events {
        stream.last_us = event["time_us"].as_i64().unwrap_or(stream.last_us);
        let commit = &event["commit"];
        let (owner, other) = (&event["did"], &commit["record"]["participants"][1]);
        if commit["collection"] != RELATIONSHIP {
            continue;
        }
        let find = |did: &Value| did.as_str().and_then(|did| index.get(did)).copied();
        if let (Some(owner), Some(other), Some(rkey)) =
            (find(owner), find(other), commit["rkey"].as_str())
        {
            stream.remember(owner, other, rkey, commit["record"].clone());
        }
    }
    stream.level = stream.live.len();
    stream
}

impl Stream {
    /// The next event, as of `now`; `None` only where the network has nobody to act.
    ///
    /// `time_us` is `now`, or one microsecond after the event before where that is later.
    pub fn next(&mut self, now: Timestamp) -> Option<Value> {
        let at = now.as_microsecond().max(self.last_us.saturating_add(1));
        // A tie that cannot be made (they know each other already) is simply drawn again.
        for _ in 0..64 {
            let drawn = self.rng.random_range(0..100);
            let full = self.live.len() > self.level + self.level / 50;
            let event = match drawn {
                0..44 => self.meet_again(at),
                44..72 => self.attest(at),
                72..88 if !full => self.befriend(at),
                88..95 => self.answer(at),
                72..88 | 95.. => self.take_back(at),
                _ => None,
            };
            if let Some(event) = event {
                self.last_us = at;
                return Some(event);
            }
        }
        None
    }

    /// How long to wait before the next event: random around `mean`, at most four times it.
    pub fn gap(&mut self, mean: Duration) -> Duration {
        let share: f64 = -(1.0 - self.pace.random::<f64>()).ln();
        mean.mul_f64(share.clamp(0.05, 4.0))
    }

    /// Two who know each other met: a fresh date, and a strength that moved a little.
    fn meet_again(&mut self, at: i64) -> Option<Value> {
        let i = self.any_live()?;
        let change = self.rng.random_range(-4..=7);
        let ago = self.rng.random_range(0..DAY / 8);
        let live = &mut self.live[i];
        let strength = live.record["strength"].as_i64().unwrap_or(50);
        live.record["strength"] = json!((strength + change).clamp(5, 98));
        live.record["temporal"]["lastInteraction"] = json!(datetime(at - ago));
        let record = live.record.clone();
        Some(commit(
            &self.people[live.owner].did,
            at,
            "update",
            RELATIONSHIP,
            &live.rkey,
            Some(record),
        ))
    }

    /// Friends of friends become acquainted; half of the time the other answers later.
    fn befriend(&mut self, at: i64) -> Option<Value> {
        let owner = self.rng.random_range(0..self.people.len().max(1));
        let &friend = self.circles.get(owner)?.choose(&mut self.rng)?;
        let &other = self.circles[friend].choose(&mut self.rng)?;
        let known =
            self.stated.contains_key(&(owner, other)) || self.stated.contains_key(&(other, owner));
        if other == owner || known || self.people[other].kind != Kind::Person {
            return None;
        }
        let why =
            shared(&self.people[owner], &self.people[other]).map_or(Why::OldFriends, Why::Group);
        let kind = why.tie(&mut self.rng, &self.groups);
        let strength = self.rng.random_range(42..74);
        Some(self.state(at, owner, other, why, kind, strength))
    }

    /// Someone of whom a relationship was stated states it too: it becomes mutual.
    fn answer(&mut self, at: i64) -> Option<Value> {
        let i = self.any_live()?;
        let live = &self.live[i];
        let (owner, other) = (live.other, live.owner);
        if !live.open || self.stated.contains_key(&(owner, other)) {
            return None;
        }
        let strength = live.record["strength"].as_i64().unwrap_or(50);
        let kind = live.record["type"].as_str().unwrap_or("personal").to_owned();
        let why =
            shared(&self.people[owner], &self.people[other]).map_or(Why::OldFriends, Why::Group);
        let strength = (strength + self.rng.random_range(-8..=8)).clamp(5, 98);
        Some(self.state(at, owner, other, why, &kind, strength))
    }

    /// A friend of one of two people says something about them.
    fn attest(&mut self, at: i64) -> Option<Value> {
        let i = self.any_live()?;
        let live = &self.live[i];
        let side = if self.rng.random_bool(0.5) { live.owner } else { live.other };
        let &by = self.circles[side].choose(&mut self.rng)?;
        if !live.open || by == live.owner || by == live.other {
            return None;
        }
        let (kind, words) = match self.rng.random_range(0..100) {
            0..60 => ("verify", EVIDENCE_FOR),
            60..90 => ("strengthen", EVIDENCE_FOR),
            90..96 => ("weaken", EVIDENCE_AGAINST),
            _ => ("dispute", EVIDENCE_AGAINST),
        };
        let mut record = json!({
            "$type": ATTESTATION,
            "targetRelationship":
                format!("at://{}/{RELATIONSHIP}/{}", self.people[live.owner].did, live.rkey),
            "attester": self.people[by].did,
            "attestationType": kind,
            "confidence": self.rng.random_range(60..=97),
        });
        let evidence = pick(&mut self.rng, words);
        if !evidence.is_empty() {
            record["evidence"] = json!(evidence);
        }
        record["createdAt"] = json!(datetime(at));
        let did = &self.people[by].did;
        let rkey = tid(at, clock_of(did));
        Some(commit(did, at, "create", ATTESTATION, &rkey, Some(record)))
    }

    /// Somebody deletes what they stated.
    fn take_back(&mut self, at: i64) -> Option<Value> {
        // A network that has shrunk is left alone.
        if self.live.len() * 50 < self.level * 49 {
            return None;
        }
        let i = self.any_live()?;
        let live = self.live.swap_remove(i);
        self.stated.remove(&(live.owner, live.other));
        if let Some(moved) = self.live.get(i) {
            self.stated.insert((moved.owner, moved.other), i);
        }
        if !self.stated.contains_key(&(live.other, live.owner)) {
            self.circles[live.owner].retain(|&c| c != live.other);
            self.circles[live.other].retain(|&c| c != live.owner);
        }
        let did = &self.people[live.owner].did;
        Some(commit(did, at, "delete", RELATIONSHIP, &live.rkey, None))
    }

    fn state(
        &mut self,
        at: i64,
        owner: usize,
        other: usize,
        why: Why,
        kind: &str,
        strength: i64,
    ) -> Value {
        let start = at - self.rng.random_range(0..400 * DAY);
        let ago = self.rng.random_range(0..DAY);
        let record = json!({
            "$type": RELATIONSHIP,
            "participants": [self.people[owner].did, self.people[other].did],
            "type": kind,
            "strength": strength,
            "context": why.sentence(&mut self.rng, &self.groups, &self.people[other].called, year(start)),
            "privacy": {"visibility": "public", "consent": "full"},
            "temporal": {"start": datetime(start.min(at - ago)), "lastInteraction": datetime(at - ago)},
            "createdAt": datetime(at),
        });
        let did = self.people[owner].did.clone();
        let rkey = tid(at, clock_of(&did));
        self.remember(owner, other, &rkey, record.clone());
        commit(&did, at, "create", RELATIONSHIP, &rkey, Some(record))
    }

    /// Takes down what is live now: a new record, or the newer version of one.
    fn remember(&mut self, owner: usize, other: usize, rkey: &str, record: Value) {
        let open = record["privacy"]["visibility"] != "private";
        if let Some(&i) = self.stated.get(&(owner, other)) {
            self.live[i].record = record;
            self.live[i].open = open;
            return;
        }
        if !self.circles[owner].contains(&other) {
            self.circles[owner].push(other);
            self.circles[other].push(owner);
        }
        self.stated.insert((owner, other), self.live.len());
        self.live.push(Live { owner, other, rkey: rkey.to_owned(), record, open });
    }

    fn any_live(&mut self) -> Option<usize> {
        (!self.live.is_empty()).then(|| self.rng.random_range(0..self.live.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::network;
    use super::*;
    use std::collections::HashSet;

    fn now() -> Timestamp {
        "2026-11-23T12:00:00Z".parse().unwrap()
    }

    fn play(seed: u64, count: usize) -> Vec<Value> {
        let network = network(5, now(), 400);
        let mut stream = stream(seed, &network);
        (0..count)
            .map(|i| {
                let at = now() + Duration::from_millis(700 * i as u64);
                stream.next(at).unwrap()
            })
            .collect()
    }

    #[test]
    fn is_the_same_for_the_same_seed_only() {
        assert_eq!(play(1, 500), play(1, 500));
        assert_ne!(play(1, 20), play(2, 20));
    }

    #[test]
    fn every_kind_of_event_comes_and_the_network_keeps_its_size() {
        let base = network(5, now(), 400);
        let mut stream = stream(1, &base);
        let mut live: HashSet<String> = HashSet::new();
        let uri = |e: &Value| format!("{}/{}", e["did"], e["commit"]["rkey"]);
        for event in &base.events {
            if event["commit"]["collection"] == RELATIONSHIP {
                live.insert(uri(event));
            }
        }
        let level = live.len();
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut revs: HashMap<String, String> = HashMap::new();
        let mut last = base.events.last().unwrap()["time_us"].as_i64().unwrap();
        for i in 0..6_000u64 {
            let at = now() + Duration::from_millis(700 * i);
            let event = stream.next(at).unwrap();
            let commit = &event["commit"];
            let time = event["time_us"].as_i64().unwrap();
            assert!(time > last && time <= at.as_microsecond(), "{event}");
            last = time;
            let rev = commit["rev"].as_str().unwrap().to_owned();
            let before = revs.insert(event["did"].to_string(), rev.clone());
            assert!(before.is_none_or(|before| before < rev), "{event}");
            let operation = commit["operation"].as_str().unwrap();
            *seen.entry(format!("{operation} {}", commit["collection"])).or_default() += 1;
            if commit["collection"] == RELATIONSHIP {
                match operation {
                    "create" => assert!(live.insert(uri(&event)), "created twice: {event}"),
                    "update" => assert!(live.contains(&uri(&event)), "not live: {event}"),
                    _ => assert!(live.remove(&uri(&event)), "not live: {event}"),
                }
            }
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
        assert!(seen.values().all(|&count| count > 200), "{seen:?}");
        let drift = live.len().abs_diff(level) as f64 / level as f64;
        assert!(drift < 0.05, "{level} became {}", live.len());
    }

    #[test]
    fn two_events_at_one_time_are_pushed_apart() {
        let network = network(5, now(), 100);
        let mut stream = stream(1, &network);
        let first = stream.next(now()).unwrap()["time_us"].as_i64();
        let second = stream.next(now()).unwrap()["time_us"].as_i64();
        assert_eq!(second, first.map(|t| t + 1));
    }

    #[test]
    fn an_empty_network_has_nothing_to_tell() {
        let network = network(1, now(), 0);
        assert_eq!(stream(1, &network).next(now()), None);
    }

    #[test]
    fn gaps_keep_near_their_mean() {
        let mut stream = stream(1, &network(1, now(), 10));
        let mean = Duration::from_millis(800);
        let total: Duration = (0..2_000).map(|_| stream.gap(mean)).sum();
        let average = total / 2_000;
        assert!(average > mean * 8 / 10 && average < mean * 12 / 10, "{average:?}");
    }
}
