//! Predictions, learned as they would be in use: each statement from earlier ones only.

use crate::networks::{Network, TODAY, otc};
use crate::real::skipped;
use crate::world::{World, states};
use rhiz_domain::fact::{Change, ChangeSet, EntityId};
use rhiz_graph::Graph;

/// Root mean square error in ratings / 10 (−1…1), correlation, and the share of statements within
/// the interval, of what lies in a stretch of the statements.
fn prequential(network: &Network, stretch: std::ops::Range<usize>) -> (f64, f64, f64) {
    let entities = network.entities();
    let graph = Graph::load(TODAY, 0, entities, std::iter::empty(), std::iter::empty());
    let mut pairs = Vec::new();
    let mut within = 0;
    for n in 0..stretch.end {
        let fact = network.relationship(n);
        if stretch.contains(&n) {
            let p = graph.predict_at(fact.key.owner, fact.subject, fact.created);
            let y = f64::from(fact.strength) / 100.0;
            within += usize::from(p.low <= y && y <= p.high);
            let sum = p.mean + p.rater + p.ratee + p.reciprocity;
            assert!((p.estimate - sum.clamp(0.0, 1.0)).abs() < 1e-12);
            pairs.push((2.0 * p.estimate - 1.0, 2.0 * y - 1.0));
        }
        let changes = vec![Change::Relationship(fact)];
        graph.apply(&ChangeSet { seq: n as u64 + 1, changes });
    }
    let n = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (mp, my) = (mean(&|p| p.0), mean(&|p| p.1));
    let covariance = mean(&|p| (p.0 - mp) * (p.1 - my));
    let (vp, vy) = (mean(&|p| (p.0 - mp).powi(2)), mean(&|p| (p.1 - my).powi(2)));
    let error = mean(&|p| (p.0 - p.1).powi(2)).sqrt();
    (error, covariance / (vp * vy).sqrt(), within as f64 / n)
}

#[test]
fn the_last_forty_percent_of_bitcoin_otc() {
    let Some(network) = otc() else {
        return skipped("Bitcoin OTC: predictions were not measured");
    };
    let all = network.statements.len();
    let (error, correlation, within) = prequential(&network, all * 6 / 10..all);
    assert!(error <= 0.305, "root mean square error {error:.4}");
    assert!(correlation >= 0.69, "correlation {correlation:.4}");
    assert!((0.75..0.97).contains(&within), "{within:.3} of the statements within the interval");
}

#[test]
fn relearning_is_learning_in_order() {
    let Some(mut network) = otc() else {
        return skipped("Bitcoin OTC: learning anew was not compared");
    };
    network.statements.truncate(3_000);
    let in_order = network.graph_of(network.relationships());
    in_order.relearn();
    // Backwards, and then anew.
    let graph = Graph::load(TODAY, 0, network.entities(), std::iter::empty(), std::iter::empty());
    let changes = network.relationships().rev().map(Change::Relationship).collect();
    graph.apply(&ChangeSet { seq: 1, changes });
    let differ = |a: &Graph, b: &Graph| {
        network.pairs(200, 9).iter().filter(|(x, y)| a.predict(*x, *y) != b.predict(*x, *y)).count()
    };
    assert!(differ(&graph, &in_order) > 0, "the order of arrival may show");
    graph.relearn();
    assert_eq!(differ(&graph, &in_order), 0);
}

#[test]
fn an_answer_leans_towards_what_the_other_has_said() {
    let mut facts: Vec<_> = (3..20).map(|x| states(x, x + 1, u64::from(x), 50)).collect();
    facts.push(states(2, 1, 100, 95));
    let graph = World::of(21, facts, vec![]).graph();
    graph.relearn();
    let p = graph.predict(EntityId(1), EntityId(2)).unwrap();
    assert!(p.reciprocity > 0.2 && p.estimate > 0.7, "{p:?}");
    assert_eq!(p.stated, None);
    assert_eq!(graph.predict(EntityId(2), EntityId(1)).unwrap().stated, Some(0.95));
    assert_eq!(graph.predict(EntityId(1), EntityId(77)), None);
}

#[test]
fn what_fades_is_known_to_the_day() {
    // t = 0.8·d·0.8; below 0.5 when d < 0.78125, after 90.16 days.
    let mut facts = vec![states(1, 2, 1, 80), states(1, 3, 2, 100), states(1, 4, 3, 50)];
    facts[1].last_interaction = None;
    let graph = World::of(4, facts, vec![]).graph();
    let found = graph.at_risk(EntityId(1), 0.5, 365).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].on, crate::world::TODAY + 91);
    assert_eq!(graph.at_risk(EntityId(1), 0.5, 90), Some(vec![]));
    graph.set_day(crate::world::TODAY + 90);
    let trust = |g: &Graph| g.relationship(crate::world::key(1, 1)).unwrap().trust;
    assert!(trust(&graph) >= 0.5);
    graph.set_day(crate::world::TODAY + 91);
    assert!(trust(&graph) < 0.5);
}

#[test]
fn the_willing_introduce() {
    use rhiz_graph::PathQuery;
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
