//! One change at a time, in any order, more than once: the same graph as all at once.

use crate::exhaustive::{check_paths, random_query};
use crate::naive::Naive;
use crate::world::{Dice, TODAY, World, set};
use proptest::prelude::*;
use rhiz_domain::fact::{Change, EntityId};
use rhiz_graph::Graph;

fn well(graph: &Graph, world: &World, seed: u64) {
    assert_eq!(graph.audit(), Vec::<String>::new(), "world {seed}");
    let whole = world.graph();
    assert_eq!(graph.digest(), whole.digest(), "{:?}", graph.differences(&whole, 5));
    let all = |g: &Graph| g.all_trust_metrics();
    assert_eq!(all(graph), all(&whole), "world {seed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_order_and_any_repetition_end_in_the_same(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let world = World::random(&mut dice);
        let mut changes = world.changes();
        let again: Vec<Change> =
            (0..changes.len() / 2).map(|_| dice.pick(&changes)).collect();
        changes.extend(again);
        dice.shuffle(&mut changes);
        let graph = Graph::new(TODAY);
        let mut seq = 0;
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(1 + dice.below(20)));
            seq += 1;
            graph.apply(&set(seq, std::mem::replace(&mut changes, rest)));
        }
        prop_assert_eq!(graph.version(), seq);
        well(&graph, &world, seed);
        let naive = Naive(&world);
        for _ in 0..2 {
            check_paths(&graph, &naive, &random_query(&mut dice, world.entities.len() as u32), seed);
        }
    }

    #[test]
    fn a_history_and_its_replay_end_in_the_same(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        // Several worlds in turn: what the next one does not have is deleted, what it has
        // replaces what was there.
        let mut world = World::random(&mut dice);
        let graph = Graph::new(TODAY - 40);
        let mut log: Vec<Change> = world.changes();
        for _ in 0..3 {
            let mut next = World::random(&mut dice);
            for r in &world.relationships {
                if next.relationships.iter().all(|n| n.key != r.key) {
                    log.push(Change::RelationshipGone(r.key));
                }
            }
            for a in &world.attestations {
                if next.attestations.iter().all(|n| n.key != a.key) {
                    log.push(Change::AttestationGone(a.key));
                }
            }
            for e in &world.entities {
                if next.entities.iter().all(|n| n.id != e.id) {
                    next.entities.push(e.clone());
                }
            }
            log.extend(next.changes());
            log.push(Change::Touched(EntityId(1)));
            world = next;
        }
        for (seq, change) in log.iter().enumerate() {
            graph.apply(&set(seq as u64 + 1, vec![change.clone()]));
            if dice.chance(2) {
                prop_assert_eq!(graph.audit(), Vec::<String>::new());
            }
        }
        graph.set_day(TODAY);
        well(&graph, &world, seed);
        // After a crash, the end of the log comes again.
        let from = dice.below(log.len());
        graph.apply(&set(log.len() as u64, log[from..].to_vec()));
        well(&graph, &world, seed);
        prop_assert_eq!(graph.version(), log.len() as u64);
    }
}

#[test]
fn a_new_day_is_a_new_graph_of_that_day() {
    let mut dice = Dice(7);
    let world = World::random(&mut dice);
    let graph = world.graph();
    graph.set_day(TODAY + 100);
    assert_eq!(graph.as_of(), TODAY + 100);
    let then = World { day: TODAY + 100, ..world };
    assert_eq!(graph.digest(), then.graph().digest());
}
