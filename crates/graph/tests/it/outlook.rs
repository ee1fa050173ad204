//! What fades, and who could introduce.

use crate::world::{Dice, TODAY, World, key, states};
use proptest::prelude::*;
use rhiz_domain::fact::{Consent, Day, EntityId, RelationshipFact};
use rhiz_graph::{AtRisk, Graph, NeighbourQuery, PathError, PathQuery, RiskQuery};

const ALL: RiskQuery = RiskQuery { threshold: 0.5, days: 365, limit: usize::MAX, after: None };

fn fading(graph: &Graph, of: u32, query: &RiskQuery) -> Vec<AtRisk> {
    graph.at_risk(EntityId(of), query).unwrap().list
}

#[test]
fn what_fades_is_known_to_the_day() {
    // t = 0.8·d·0.8; below 0.5 when d < 0.78125, after 90.16 days.
    let mut facts = vec![states(1, 2, 1, 80), states(1, 3, 2, 100), states(1, 4, 3, 50)];
    facts[1].last_interaction = None;
    let graph = World::of(4, facts, vec![]).graph();
    let found = fading(&graph, 1, &ALL);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].on, TODAY + 91);
    assert_eq!(fading(&graph, 1, &RiskQuery { days: 90, ..ALL }), []);
    assert_eq!(graph.at_risk(EntityId(77), &ALL), None);
    graph.set_day(TODAY + 90);
    let trust = |g: &Graph| g.relationship(key(1, 1)).unwrap().trust;
    assert!(trust(&graph) >= 0.5);
    graph.set_day(TODAY + 91);
    assert!(trust(&graph) < 0.5);
}

#[test]
fn the_other_sides_statement_may_be_the_one_that_fades() {
    // Today the edge is what 1 states, 0.6 of a meeting nobody dated (t = 0.3, for ever); but what
    // 2 states falls below it, and below 0.25, in time: 0.8·e^(−n/365.25) < 0.25 from n = 425 on.
    let mut facts = vec![states(1, 2, 1, 60), states(2, 1, 1, 80)];
    facts[0].last_interaction = None;
    let graph = World::of(2, facts, vec![]).graph();
    let found = fading(&graph, 1, &RiskQuery { threshold: 0.25, days: 1000, ..ALL });
    assert_eq!(found.len(), 1, "the edge of today never fades, the pair does");
    assert_eq!((found[0].key, found[0].on), (key(1, 1), TODAY + 425));
    // And a second statement may hold what the first one lets go.
    let mut facts = vec![states(1, 2, 1, 100), states(1, 2, 2, 100)];
    facts[1].last_interaction = None;
    let graph = World::of(2, facts, vec![]).graph();
    assert_eq!(fading(&graph, 1, &RiskQuery { threshold: 0.3, days: 3650, ..ALL }), []);
}

#[test]
fn nobody_anonymous_is_at_risk() {
    let mut facts = vec![states(1, 2, 1, 80), states(2, 1, 1, 90)];
    facts[1].consent = Consent::Anonymous;
    assert_eq!(fading(&World::of(2, facts, vec![]).graph(), 1, &ALL), []);
}

/// Each day's edge, as the graph has it on that day.
fn day_by_day(graph: &Graph, of: u32, threshold: f64, days: u32) -> Vec<(EntityId, Day)> {
    let every = NeighbourQuery { min_strength: 0.0, kinds: None, limit: usize::MAX, after: None };
    let above = |graph: &Graph| -> Vec<EntityId> {
        let all = graph.neighbours(EntityId(of), &every).unwrap().list;
        all.into_iter().filter(|n| n.trust >= threshold).map(|n| n.id).collect()
    };
    let mut left = above(graph);
    let mut found = Vec::new();
    for ahead in 1..=days as Day {
        graph.set_day(TODAY + ahead);
        let now = above(graph);
        let gone = left.iter().filter(|id| !now.contains(id));
        found.extend(gone.map(|&id| (id, TODAY + ahead)));
        left.retain(|id| now.contains(id));
    }
    graph.set_day(TODAY);
    found
}

/// All fade at one rate: which of them is the edge changes where a meeting is unknown, or so long
/// ago that nothing more is lost.
fn statement(n: u64) -> impl Strategy<Value = RelationshipFact> {
    let met = prop_oneof![2 => Just(None), 3 => (0..900i32).prop_map(Some)];
    (any::<bool>(), 2..4u32, 1..=100u8, met, any::<[bool; 2]>()).prop_map(
        move |(mine, other, strength, met, signed)| {
            let (from, to) = if mine { (1, other) } else { (other, 1) };
            let mut fact = states(from, to, n, strength);
            fact.last_interaction = met.map(|days| TODAY - days);
            [fact.signed_by_owner, fact.signed_by_subject] = signed;
            fact
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Any statements of a few pairs, both sides, several of a side, signed by one or both: the day
    /// is the one on which the graph, asked on each day, shows the edge below the threshold first.
    #[test]
    fn the_day_is_the_first_of_all_days(
        facts in (1..9usize).prop_flat_map(|n| (0..n as u64).map(|n| statement(n + 1)).collect::<Vec<_>>()),
        threshold in 5..60u32,
    ) {
        let threshold = f64::from(threshold) / 100.0;
        let graph = World::of(5, facts, vec![]).graph();
        if graph.exists(EntityId(1)) {
            let query = RiskQuery { threshold, days: 300, ..ALL };
            let found = fading(&graph, 1, &query);
            let mut days: Vec<_> = found.iter().map(|f| (f.counterpart, f.on)).collect();
            let mut expected = day_by_day(&graph, 1, threshold, 300);
            days.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(days, expected);
        }
    }
}

#[test]
fn pages_are_the_whole_in_pieces() {
    let mut dice = Dice(11);
    // Many fade on the same day with the same t: the URI decides.
    let facts = (2..80).map(|other| {
        let mut fact = if other % 3 == 0 {
            states(other, 1, u64::from(other), 80)
        } else {
            states(1, other, u64::from(other), 80)
        };
        fact.last_interaction = Some(TODAY - dice.below(4) as Day);
        fact
    });
    let graph = World::of(80, facts.collect(), vec![]).graph();
    let whole = graph.at_risk(EntityId(1), &ALL).unwrap();
    assert_eq!((whole.list.len(), &whole.next), (78, &None));
    assert!(whole.list.is_sorted_by_key(|f| f.on));
    for limit in [1, 7, 78, 79] {
        let mut query = RiskQuery { limit, ..ALL };
        let mut paged = Vec::new();
        loop {
            let page = graph.at_risk(EntityId(1), &query).unwrap();
            assert!(page.list.len() == limit || page.next.is_none());
            paged.extend(page.list);
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole.list, "by {limit}");
    }
}

#[test]
fn the_willing_introduce() {
    // 2 and 3 both lead to 4; 2 a little better, but only 3 thinks much of 1.
    let facts = vec![
        states(1, 2, 1, 90),
        states(2, 1, 1, 60),
        states(1, 3, 2, 60),
        states(3, 1, 1, 100),
        states(2, 4, 3, 90),
        states(3, 4, 3, 90),
    ];
    let graph = World::of(4, facts, vec![]).graph();
    let query = PathQuery { k: 5, ..PathQuery::new(EntityId(1), EntityId(4)) };
    let found = graph.introductions(&query, &mut || true).unwrap();
    assert_eq!(found[0].through, EntityId(3));
    assert!((found[0].score - 1.0 * 0.72).abs() < 1e-9);
    assert_eq!(found.len(), 2);
}

#[test]
fn ten_introductions_are_ten_also_to_somebody_who_is_known_directly() {
    let mut facts = vec![states(1, 2, 1, 100)];
    for through in 3..15 {
        facts.push(states(1, through, u64::from(through), 90));
        facts.push(states(through, 2, 1, 90));
    }
    let graph = World::of(15, facts, vec![]).graph();
    for k in [1, 9, 10] {
        let query = PathQuery { k, max_hops: 2, ..PathQuery::new(EntityId(1), EntityId(2)) };
        assert_eq!(graph.introductions(&query, &mut || true).unwrap().len(), k);
        assert!(graph.find_paths(&query, &mut || true).unwrap()[0].hops.len() == 1);
    }
    let query = PathQuery { k: 11, ..PathQuery::new(EntityId(1), EntityId(2)) };
    let refused = graph.introductions(&query, &mut || true);
    assert!(matches!(refused, Err(PathError::OutOfRange { field: "k", .. })), "{refused:?}");
}
