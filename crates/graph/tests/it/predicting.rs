//! Predictions, learned as they would be in use: each statement from earlier ones only.

use crate::networks::{Dice, Network, TODAY, otc};
use crate::real::skipped;
use crate::world::{DAY, World, states};
use rhiz_domain::fact::{Change, ChangeSet, EntityId, RelationshipFact};
use rhiz_graph::{Graph, Prediction};

fn nobody(network: &Network) -> Graph {
    network.graph_of(std::iter::empty())
}

fn learn(graph: &Graph, fact: RelationshipFact) {
    let changes = vec![Change::Relationship(fact)];
    graph.apply(&ChangeSet { seq: graph.version() + 1, changes });
}

/// What is estimated and what was stated, in ratings / 10 (−1…1), and whether that lies within
/// the interval.
#[derive(Default)]
struct Judged(Vec<(f64, f64, bool)>);

impl Judged {
    fn ask(&mut self, graph: &Graph, fact: &RelationshipFact) {
        let p = graph.predict_at(fact.key.owner, fact.subject, fact.created);
        let sum = p.mean + p.rater + p.ratee + p.reciprocity;
        assert!((p.estimate - sum.clamp(0.0, 1.0)).abs() < 1e-12);
        let y = f64::from(fact.strength) / 100.0;
        self.0.push((2.0 * p.estimate - 1.0, 2.0 * y - 1.0, p.low <= y && y <= p.high));
    }

    fn mean(&self, of: impl Fn(&(f64, f64, bool)) -> f64) -> f64 {
        self.0.iter().map(of).sum::<f64>() / self.0.len() as f64
    }

    fn error(&self) -> f64 {
        self.mean(|p| (p.0 - p.1).powi(2)).sqrt()
    }

    /// The error of who always says the mean.
    fn deviation(&self) -> f64 {
        let mean = self.mean(|p| p.1);
        self.mean(|p| (p.1 - mean).powi(2)).sqrt()
    }

    fn correlation(&self) -> f64 {
        let (mp, my) = (self.mean(|p| p.0), self.mean(|p| p.1));
        let covariance = self.mean(|p| (p.0 - mp) * (p.1 - my));
        covariance / self.mean(|p| (p.0 - mp).powi(2)).sqrt() / self.deviation()
    }

    fn within(&self) -> f64 {
        self.mean(|p| f64::from(u8::from(p.2)))
    }
}

/// A stretch of the statements, each one predicted from all earlier ones.
fn prequential(network: &Network, stretch: std::ops::Range<usize>) -> Judged {
    let graph = nobody(network);
    let mut judged = Judged::default();
    for n in 0..stretch.end {
        let fact = network.relationship(n);
        if stretch.contains(&n) {
            judged.ask(&graph, &fact);
        }
        learn(&graph, fact);
    }
    judged
}

/// The specification asks for 0.305 and 0.69; what was reached beyond is kept.
#[test]
fn the_last_forty_percent_of_bitcoin_otc() {
    let Some(network) = otc() else {
        return skipped("Bitcoin OTC: predictions were not measured");
    };
    let all = network.statements.len();
    let judged = prequential(&network, all * 6 / 10..all);
    let (error, correlation) = (judged.error(), judged.correlation());
    assert!(error <= 0.285, "root mean square error {error:.4}");
    assert!(correlation >= 0.73, "correlation {correlation:.4}");
    let within = judged.within();
    assert!((0.77..0.83).contains(&within), "{within:.3} of the statements within the interval");
}

/// Asked at their own dates, of who has learned what came later too. Ridge regression on features
/// of the whole, without time, reached 0.262 and 0.678.
#[test]
fn a_random_fifth_of_bitcoin_otc() {
    let Some(network) = otc() else {
        return skipped("Bitcoin OTC: predictions of a random fifth were not measured");
    };
    let mut dice = Dice(1);
    let all = 0..network.statements.len();
    let (kept, asked): (Vec<usize>, Vec<usize>) = all.partition(|_| dice.below(5) > 0);
    let graph = network.graph_of(kept.into_iter().map(|n| network.relationship(n)));
    graph.relearn();
    let mut judged = Judged::default();
    asked.into_iter().for_each(|n| judged.ask(&graph, &network.relationship(n)));
    let (error, correlation) = (judged.error(), judged.correlation());
    assert!(error <= 0.28, "root mean square error {error:.4}");
    assert!(correlation >= 0.66, "correlation {correlation:.4}");
}

/// 60 people, one statement each two hours, or all at once.
fn made_up(hours: i64, strength: impl Fn(u32, u32, &mut Dice) -> f64) -> Network {
    let (people, mut dice) = (60, Dice(5));
    let mut statements = Vec::new();
    while statements.len() < 6_000 {
        let (from, to) = (1 + dice.below(60) as u32, 1 + dice.below(60) as u32);
        if from != to {
            let y = strength(from, to, &mut dice).clamp(0.0, 100.0).round() as u8;
            let time = i64::from(TODAY - 1000) * 86_400 + statements.len() as i64 * hours * 3_600;
            statements.push((from, to, y, time));
        }
    }
    Network { people, statements }
}

#[test]
fn in_noise_nothing_is_found() {
    for hours in [0, 2] {
        let network = made_up(hours, |_, _, dice| dice.fraction() * 100.0);
        let judged = prequential(&network, 3_000..6_000);
        let share = judged.error() / judged.deviation();
        assert!(share < 1.04, "{share:.4} times the deviation, {hours} hours apart");
        let within = judged.within();
        assert!((0.77..0.83).contains(&within), "{within:.3} within the interval");
    }
}

#[test]
fn raters_and_ratees_are_told_apart_whatever_the_time() {
    for hours in [0, 2] {
        // The generous and the good; noise with a deviation of 4.9.
        let network = made_up(hours, |from, to, dice| {
            let noise: f64 = (0..3).map(|_| dice.fraction() - 0.5).sum();
            50.0 + f64::from(from % 5) * 8.0 - 16.0 + f64::from(to % 3) * 12.0 - 12.0 + noise * 9.8
        });
        let judged = prequential(&network, 3_000..6_000);
        let (error, correlation) = (judged.error(), judged.correlation());
        // 0.098 would be all the noise and nothing else.
        assert!(error < 0.13, "root mean square error {error:.4}, {hours} hours apart");
        assert!(correlation > 0.91, "correlation {correlation:.4}, {hours} hours apart");
    }
}

/// A statement so many days after today.
fn at(days: f64, from: u32, to: u32, n: u64, strength: u8) -> RelationshipFact {
    let created = i64::from(TODAY) * DAY + (days * DAY as f64) as i64;
    RelationshipFact { created, ..states(from, to, n, strength) }
}

fn ask(graph: &Graph, days: f64, from: u32, to: u32) -> Prediction {
    graph.predict_at(EntityId(from), EntityId(to), at(days, from, to, 1, 0).created)
}

fn near(p: Prediction, addends: [f64; 4]) {
    for (is, due) in [p.mean, p.rater, p.ratee, p.reciprocity].into_iter().zip(addends) {
        assert!((is - due).abs() < 1e-6, "{p:?}, and not {addends:?}");
    }
    assert!((p.estimate - addends.iter().sum::<f64>()).abs() < 4e-6, "{p:?}");
}

#[test]
fn an_example_by_hand() {
    let graph = World::of(6, vec![], vec![]).graph();
    near(ask(&graph, 0.0, 1, 2), [0.5, 0.0, 0.0, 0.0]);
    // As expected: nothing but the mean is learned, and that four parts of five go to the miss.
    learn(&graph, at(0.0, 4, 5, 1, 50));
    let p = ask(&graph, 0.0, 1, 2);
    near(p, [0.5, 0.0, 0.0, 0.0]);
    assert!((p.low - 0.1).abs() < 1e-9 && (p.high - 0.9).abs() < 1e-9, "{p:?}");

    // z = 0.9 − 0.5 = 0.4, and the mean becomes 0.7.
    learn(&graph, at(0.0, 1, 2, 2, 90));
    // Two days later. L = 0.4/6 = 0.0666667.
    // Rater's S: k = 1/(1 + 576), 0.4k/(k + 0.5) = 0.0013817; R: k = 1/2, 0.2/2.5 = 0.08.
    // 0.8·0.0666667 + 0.8·0.0013817 + 0.4·0.08.
    near(ask(&graph, 2.0, 1, 3), [0.7, 0.086_438_6, 0.0, 0.0]);
    // Ratee's S: k = 1/(1 + 96), 0.4k/(k + 1.5) = 0.0027304; R: k = 1/1.2, 0.3333333/1.8333333.
    // 1·0.0666667 + 1·0.0027304 + 0.25·0.1818182.
    near(ask(&graph, 2.0, 3, 2), [0.7, 0.0, 0.114_851_6, 0.0]);
    // D = 0.9 − 0.7, E = 0.2/(1 + 2/0.3) = 0.0260870: 0.5·0.2 + 0.2·0.0260870.
    near(ask(&graph, 2.0, 2, 1), [0.7, 0.0, 0.0, 0.105_217_4]);

    // z = 0.3: L gets 0.3, S and R get 0.3 − 0.0666667, on top of what is left of the former.
    learn(&graph, at(2.0, 1, 3, 3, 100));
    // L = 0.7/7; S: (0.4k + 0.2333333)k/((k + 1)k + 0.5) = 0.0008084 with k = 1/577;
    // R: (0.2 + 0.2333333)/2 / (1.5/2 + 2) = 0.0787879.
    near(ask(&graph, 4.0, 1, 6), [0.8, 0.112_161_9, 0.0, 0.0]);
}

#[test]
fn the_mood_of_a_session_is_neither_before_nor_after_it() {
    let graph = World::of(30, vec![], vec![]).graph();
    for n in 0..20 {
        learn(&graph, at(-100.0, 10 + n, 11 + n, n.into(), 50));
    }
    for n in 0..5 {
        learn(&graph, at(f64::from(n) / 1440.0, 1, 10 + n, n.into(), 100));
    }
    let now = 4.0 / 1440.0;
    let [past, during, later] = [now - 300.0, now, now + 300.0].map(|t| ask(&graph, t, 1, 25));
    assert_eq!(past, later);
    assert!(during.rater > later.rater + 0.1, "{during:?} {later:?}");
    // What lasts is there at all times.
    assert!(later.rater > 0.1, "{later:?}");
}

#[test]
fn what_arrives_late_does_not_replace_what_is_new() {
    let graph = World::of(30, vec![], vec![]).graph();
    for n in 0..20 {
        learn(&graph, at(-100.0, 10 + n, 11 + n, n.into(), 50));
    }
    learn(&graph, at(0.0, 1, 10, 1, 100));
    learn(&graph, at(-50.0, 1, 11, 2, 0));
    let p = ask(&graph, 0.0, 1, 25);
    assert!(p.rater > 0.2, "{p:?}");
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
