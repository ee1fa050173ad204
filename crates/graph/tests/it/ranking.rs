//! Walks of a viewer: mended after changes they are walks anew; they stop when told to, and let
//! changes go first.

use crate::affected::happens;
use crate::world::{Dice, TODAY, World, set, states};
use proptest::prelude::*;
use rhiz_domain::fact::{Change, EntityId};
use rhiz_graph::{Graph, Ranking};
use std::sync::atomic::{AtomicBool, Ordering};

fn anew(graph: &Graph, viewer: EntityId, walks: u32) -> Ranking {
    let mut ranking = Ranking::new(viewer, walks);
    assert!(ranking.walk(graph, &mut || true));
    ranking
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever happens, and whether the walks are mended after each change or after several, in
    /// one go or in many.
    #[test]
    fn walks_mended_after_random_changes_are_walks_anew(seed in any::<u64>()) {
        const WALKS: u32 = 60;
        let mut dice = Dice(seed);
        let world = World::random(&mut dice);
        let people = world.entities.len() as u32;
        let graph = if dice.chance(50) { Graph::new(TODAY) } else { world.graph() };
        let mut kept: Vec<Ranking> =
            (1..=people).map(|id| Ranking::new(EntityId(id), WALKS)).collect();
        let (mut log, mut changed) = (Vec::new(), Vec::new());
        for seq in 1..50 {
            let changes = happens(&mut dice, &world, &mut log);
            changed.extend(graph.apply(&set(seq, changes)).entities);
            if dice.chance(40) {
                continue;
            }
            for (id, ranking) in (1..=people).zip(&mut kept) {
                ranking.update(&changed);
                if dice.chance(10) {
                    ranking.walk(&graph, &mut || false);
                }
                prop_assert!(ranking.walk(&graph, &mut || true));
                let anew = anew(&graph, EntityId(id), WALKS);
                prop_assert_eq!(&*ranking, &anew, "of {} after {:?}", id, log.last());
                prop_assert_eq!(ranking.ranked(5, |_| true), anew.ranked(5, |_| true));
            }
            changed.clear();
        }
    }
}

/// One who states something about very many, each of whom states something about one more.
fn hub(statements: u32) -> Graph {
    let stated = (0..statements).flat_map(|n| {
        let y = n + 2;
        let beyond = states(y, 2 + (n + 1) % statements, u64::from(n) + 1, 80);
        [states(1, y, u64::from(n) + 1, 1 + (n % 100) as u8), beyond]
    });
    World::of(statements + 1, stated.collect(), Vec::new()).graph()
}

/// Each statement is looked at once, not at every step.
#[test]
fn a_walk_does_not_pass_over_a_hub_at_every_step() {
    const WALKS: u32 = 4_000;
    let graph = hub(9_000);
    let mut asked = 0;
    let mut ranking = Ranking::new(EntityId(1), WALKS);
    let all = ranking.walk(&graph, &mut || {
        asked += 1;
        true
    });
    assert!(all);
    // A hundred thousand pieces of work at most; 36 million looks at a statement, were it otherwise.
    assert!((20..200).contains(&asked), "{asked}");
    assert!(ranking.bytes() < 1 << 20, "{}", ranking.bytes());
}

#[test]
fn walks_that_were_stopped_go_on_where_they_were() {
    let graph = hub(3_000);
    let whole = anew(&graph, EntityId(1), 500);
    let mut ranking = Ranking::new(EntityId(1), 500);
    assert!(!ranking.walk(&graph, &mut || false), "it is asked before anything is done");
    let mut turns = 0;
    loop {
        // Three thousand statements have to be looked at before the first step.
        let mut left = 6;
        turns += 1;
        if ranking.walk(&graph, &mut || {
            left -= 1;
            left > 0
        }) {
            break;
        }
        assert!(turns < 100, "it does not come to an end");
    }
    assert!(turns > 1);
    assert_eq!(ranking, whole);
}

/// A change that comes during a long walk is applied before its end.
#[test]
fn a_change_does_not_wait_for_a_walk() {
    let graph = hub(9_000);
    let (begun, applied) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut applied_meanwhile = false;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !begun.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            graph.apply(&set(1, vec![Change::Relationship(states(2, 1, 90_000, 80))]));
            applied.store(true, Ordering::Release);
        });
        let mut ranking = Ranking::new(EntityId(1), 40_000);
        ranking.walk(&graph, &mut || {
            begun.store(true, Ordering::Release);
            applied_meanwhile |= applied.load(Ordering::Acquire);
            true
        });
    });
    assert!(applied_meanwhile);
}

#[test]
fn shares_and_visits_are_those_of_the_walks() {
    // 1 states 2 and 3; both state 4.
    let relationships =
        vec![states(1, 2, 1, 100), states(1, 3, 2, 100), states(2, 4, 3, 100), states(3, 4, 4, 50)];
    let graph = World::of(4, relationships, Vec::new()).graph();
    let ranking = anew(&graph, EntityId(1), 20_000);
    let all = ranking.ranked(10, |_| true);
    let of = |id: u32| all.iter().find(|r| r.id == EntityId(id)).unwrap();
    assert_eq!(all.len(), 3);
    for (id, visits) in [(2, 0.425), (3, 0.425), (4, 0.7225)] {
        assert!((of(id).visits - visits).abs() < 0.02, "{all:?}");
    }
    assert_eq!(of(2).through, Some((EntityId(1), 1.0)));
    let (from, share) = of(4).through.unwrap();
    assert!([2, 3].contains(&from.0) && (0.5..0.53).contains(&share), "{all:?}");
    let hidden = ranking.ranked(1, |id| id != EntityId(4));
    assert!(hidden.len() == 1 && hidden[0].id != EntityId(4));
}
