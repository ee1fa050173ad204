//! Numbers of the whole.

use crate::graph::Graph;
use parking_lot::{Mutex, RwLockReadGuard};
use rhiz_domain::fact::Day;

/// Up to so many relationships the average is worked out anew when it is asked for after a change;
/// beyond, when [`Graph::refresh`] is called.
const SMALL: usize = 50_000;

/// People (and what is attested) whose lists are looked at under one hold of the lock.
const LISTS_PER_HOLD: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Average {
    version: u64,
    day: Day,
    value: f64,
}

/// The average trust score.
#[derive(Debug, Default)]
pub(crate) struct Averages {
    known: Mutex<Option<Average>>,
    /// Held by the one who works it out; the others wait for what they find.
    turn: Mutex<()>,
    #[cfg(test)]
    worked_out: std::sync::atomic::AtomicU64,
}

/// Numbers of the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// That exist for the public.
    pub total_entities: usize,
    /// Live, not refused, not private, of active accounts.
    pub total_relationships: usize,
    /// Live, of active accounts, on nothing private.
    pub total_attestations: usize,
    /// Relationships (records) of pairs where both state one another.
    pub mutual_relationships: usize,
    /// Entities with at least one verified relationship.
    pub verified_entities: usize,
    /// The mean trust score of all entities that exist for the public; 0 with none.
    pub avg_trust_score: f64,
    /// The version of the graph that the average is of, at least. Large graphs lag behind.
    pub avg_version: u64,
    /// The day that the average is of.
    pub avg_day: Day,
    /// Pairs with an edge that may be a hop.
    pub edges: usize,
}

/// Bytes held, names apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Pairs with an edge.
    pub edges: usize,
    /// What path queries read, in both directions.
    pub web: usize,
    /// Records, attestations, pairs and their indexes.
    pub facts: usize,
    /// Trusts, backings and sums.
    pub derived: usize,
}

impl Graph {
    /// Numbers of the whole. Cheap, but for the average of a small graph that has changed.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats_since(self.version())
    }

    /// Numbers of the whole, with the average of a small graph as of this version or later. Who
    /// comes while it is worked out waits, and takes what is found if it is late enough.
    #[must_use]
    pub fn stats_since(&self, version: u64) -> Stats {
        let small = self.state.read().derived.totals.relationships <= SMALL;
        let average = self.average(small.then_some(version));
        let state = self.state.read();
        Stats {
            total_entities: state.entities,
            total_relationships: state.derived.totals.relationships,
            total_attestations: state.attestations,
            mutual_relationships: state.derived.totals.mutual,
            verified_entities: state.derived.totals.verified_entities,
            avg_trust_score: average.value,
            avg_version: average.version,
            avg_day: average.day,
            edges: self.web.load().len(),
        }
    }

    /// The average: any, or one that is of today and not older than this version.
    fn average(&self, since: Option<u64>) -> Average {
        let will_do = |known: &Average| {
            since.is_none_or(|version| known.version >= version && known.day == self.as_of())
        };
        let known = || self.averages.known.lock().filter(will_do);
        if let Some(known) = known() {
            return known;
        }
        let _turn = self.averages.turn.lock();
        known().unwrap_or_else(|| self.work_out_average())
    }

    /// About a second for a million edges.
    fn work_out_average(&self) -> Average {
        #[cfg(test)]
        self.averages.worked_out.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (version, day) = (self.version(), self.as_of());
        let all = self.all_trust_metrics();
        let mut sum = crate::formula::Sum::default();
        for (_, metrics) in &all {
            sum += crate::formula::Sum::of(metrics.trust_score);
        }
        let value = if all.is_empty() { 0.0 } else { sum.value() / all.len() as f64 };
        let average = Average { version, day, value };
        *self.averages.known.lock() = Some(average);
        average
    }

    /// Brings the average trust score up to date. To be called now and then, off the path of
    /// requests; see [`Stats::avg_version`]. Answers whether there was anything to do.
    pub fn refresh(&self) -> bool {
        let now = (self.version(), self.as_of());
        if self.averages.known.lock().is_some_and(|known| (known.version, known.day) == now) {
            return false;
        }
        self.average(Some(now.0));
        true
    }

    /// Bytes held. Walks over everything: milliseconds for a large graph, in which changes go
    /// first.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let copies = self.writer.lock().copies.bytes();
        let web = self.web.load_full();
        let mut state = self.state.read();
        let (mut lists, mut at) = (0, 0);
        while let Some(bytes) = state.facts.list_bytes(at..at + LISTS_PER_HOLD) {
            lists += bytes;
            at += LISTS_PER_HOLD;
            RwLockReadGuard::bump(&mut state);
        }
        Memory {
            edges: web.len(),
            web: web.bytes() + copies,
            facts: state.facts.bytes() + lists,
            derived: state.derived.bytes(),
        }
    }

    /// Pairs with an edge that may be a hop.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.web.load().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rhiz_domain::fact::{ChangeSet, EntityFact, EntityId, RelationshipFact};
    use rhiz_domain::fact::{Consent, RecordKey, Visibility};
    use rhiz_domain::{Change, Did, Tid};
    use std::sync::atomic::Ordering;

    fn entity(id: u32) -> EntityFact {
        let did = Did::parse(&format!("did:plc:n{id}")).unwrap();
        EntityFact { id: EntityId(id), did, active: true, stands_alone: false }
    }

    fn states(owner: u32, subject: u32, n: u64, strength: u8) -> RelationshipFact {
        RelationshipFact {
            key: RecordKey { owner: EntityId(owner), rkey: Tid::from_u64(n).unwrap() },
            subject: EntityId(subject),
            kind: "professional".into(),
            strength,
            last_interaction: Some(0),
            created: 0,
            rev: Tid::from_u64(n).unwrap(),
            signed_by_owner: false,
            signed_by_subject: false,
            visibility: Visibility::Public,
            consent: Consent::Full,
        }
    }

    fn graph(relationships: u32) -> Graph {
        let people = 1000;
        let stated = (0..relationships).map(|n| {
            let owner = n % people;
            states(owner, (owner + 1 + n / people) % people, u64::from(n), 50)
        });
        Graph::load(0, 0, (0..people).map(entity), stated, std::iter::empty())
    }

    fn change(graph: &Graph, seq: u64) {
        let changes = vec![Change::Relationship(states(0, 1, 0, (seq % 100) as u8))];
        graph.apply(&ChangeSet { seq, changes });
    }

    /// Many ask at the same time after a change: one works the average out.
    #[test]
    fn the_average_of_a_small_graph_is_worked_out_once_for_a_change() {
        let graph = graph(2_000);
        let mut last = graph.stats().avg_trust_score;
        for seq in 1..=5 {
            change(&graph, seq);
            let before = graph.averages.worked_out.load(Ordering::Relaxed);
            let ready = std::sync::Barrier::new(8);
            let all: Vec<Stats> = std::thread::scope(|scope| {
                let ask = || {
                    ready.wait();
                    graph.stats()
                };
                let asked: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
                asked.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert_eq!(graph.averages.worked_out.load(Ordering::Relaxed), before + 1);
            assert!(all.iter().all(|stats| *stats == all[0] && stats.avg_version == seq));
            assert_ne!(all[0].avg_trust_score, last);
            last = all[0].avg_trust_score;
        }
    }

    /// A large graph answers with what it knows, and says of when; refreshing brings it up to date.
    #[test]
    fn the_average_of_a_large_graph_lags_and_says_so() {
        let graph = graph(SMALL as u32 + 1_000);
        let first = graph.stats();
        assert_eq!((first.avg_version, first.avg_day), (0, 0));
        change(&graph, 7);
        let later = graph.stats();
        assert_eq!((later.avg_trust_score, later.avg_version), (first.avg_trust_score, 0));
        assert!(graph.refresh());
        let fresh = graph.stats();
        assert_ne!(fresh.avg_trust_score, first.avg_trust_score);
        assert_eq!((fresh.avg_version, fresh.avg_day), (7, 0));
        assert!(!graph.refresh(), "nothing has happened since");
        graph.set_day(400);
        assert!(graph.refresh());
        assert_eq!(graph.stats().avg_day, 400);
        assert_ne!(graph.stats().avg_trust_score, fresh.avg_trust_score);
    }

    #[test]
    fn the_lists_of_everybody_are_counted_once() {
        let graph = graph(2_500);
        let state = graph.state.read();
        let lists: usize = (0..1000)
            .map(|id| state.facts.person(id).unwrap())
            .map(|p| 4 * (p.pairs.capacity() + p.made.capacity() + p.about.capacity()))
            .sum();
        assert!(lists > 0);
        assert_eq!(state.facts.list_bytes(0..10_000), Some(lists));
        assert_eq!(graph.memory().facts, state.facts.bytes() + lists);
    }
}
