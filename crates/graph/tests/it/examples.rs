//! The formulas and the rules, each by an example worked out by hand.

use crate::world::{DAY, TODAY, World, attests, key, set, states};
use rhiz_domain::fact::{
    AttestationKind::{Dispute, Strengthen, Verify, Weaken},
    Change, Consent, EntityId, RelationshipFact, Visibility,
};
use rhiz_graph::{
    Algorithm, Graph, NeighbourQuery, Path, PathError, PathQuery, Recommendation, Trend, TrustLevel,
};

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-9, "{a} instead of {b}");
}

/// Both state one another, with the same strength.
fn mutually(a: u32, b: u32, n: u64, strength: u8) -> [RelationshipFact; 2] {
    [states(a, b, n, strength), states(b, a, n, strength)]
}

fn strongest(graph: &Graph, from: u32, to: u32) -> Option<Path> {
    let mut query = PathQuery::new(EntityId(from), EntityId(to));
    query.min_strength = 0.0;
    graph.find_paths(&query, &mut || true).unwrap().into_iter().next()
}

fn neighbours(graph: &Graph, of: u32) -> Vec<u32> {
    let query = NeighbourQuery { min_strength: 0.0, kinds: None, limit: usize::MAX, after: None };
    graph.neighbours(EntityId(of), &query).unwrap().list.iter().map(|n| n.id.0).collect()
}

#[test]
fn conviction_of_one_five_and_a_quarrel() {
    let target = key(1, 1);
    let with = |attestations| World::of(9, vec![states(1, 2, 1, 80)], attestations).graph();
    let none = with(vec![]).conviction(target).unwrap();
    assert_eq!((none.score, none.attestation_count, none.last_updated), (0, 0, None));
    assert_eq!(none.top_attester_reputation, None);

    let one = with(vec![attests(3, 1, target, Verify)]).conviction(target).unwrap();
    near(one.exact, 50.0 + 50.0 * 1.125 / 2.125);
    assert_eq!((one.score, one.verify_count), (76, 1));
    assert_eq!(one.last_updated, Some(i64::from(TODAY) * DAY));
    near(one.top_attester_reputation.unwrap(), 0.5);

    let five = with((3..8).map(|a| attests(a, 1, target, Verify)).collect());
    assert_eq!(five.conviction(target).unwrap().score, 92);

    let quarrel = with(vec![attests(3, 1, target, Verify), attests(4, 1, target, Dispute)]);
    assert_eq!(quarrel.conviction(target).unwrap().score, 43);
    let explained = quarrel.explain_conviction(target, 10).unwrap();
    near(explained.sum, 1.125 - 1.6875);
    near(explained.sum_of_absolutes, 1.125 + 1.6875);
    assert_eq!(explained.attestations[0].fact.kind, Dispute, "the heaviest first");
    assert_eq!(explained.backing, None, "nobody knows them");
}

#[test]
fn the_newest_of_each_attester_counts_and_no_participant() {
    let target = key(1, 1);
    let mut old = attests(3, 9, target, Dispute);
    old.effective -= DAY;
    let same_day_smaller_key = attests(4, 1, target, Dispute);
    let world = World::of(
        4,
        vec![states(1, 2, 1, 80)],
        vec![
            old,
            attests(3, 1, target, Verify),
            same_day_smaller_key,
            attests(4, 2, target, Verify),
            attests(1, 1, target, Verify),
            attests(2, 1, target, Verify),
        ],
    );
    let graph = world.graph();
    let c = graph.conviction(target).unwrap();
    assert_eq!((c.attestation_count, c.verify_count, c.dispute_count), (2, 2, 0));
    let all = graph.attestations_of(target);
    assert_eq!(all.iter().filter(|a| a.counts).count(), 2);
    assert_eq!(all.len(), 6);
    assert_eq!(all[5].fact.effective, i64::from(TODAY - 1) * DAY, "the newest first");
}

#[test]
fn a_trend_needs_three_of_late() {
    let target = key(1, 1);
    let trend = |all: &[(u32, i64, rhiz_domain::fact::AttestationKind)]| {
        let all = all.iter().map(|&(who, age, kind)| {
            let mut a = attests(who, 1, target, kind);
            a.effective -= age * DAY;
            a
        });
        let world = World::of(9, vec![states(1, 2, 1, 80)], all.collect());
        world.graph().conviction(target).unwrap().trend
    };
    assert_eq!(trend(&[(3, 0, Verify), (4, 29, Verify)]), Trend::Stable);
    let three = [(3, 0, Verify), (4, 29, Verify), (5, 3, Strengthen)];
    assert_eq!(trend(&three), Trend::Increasing);
    let more_disputes = [(3, 0, Dispute), (4, 29, Dispute), (5, 3, Weaken)];
    assert_eq!(trend(&more_disputes), Trend::Decreasing);
    // Net 1 of late, net 1 before.
    let even = [(3, 0, Verify), (4, 1, Verify), (5, 2, Dispute), (6, 30, Verify)];
    assert_eq!(trend(&even), Trend::Stable);
    // Sixty days ago is no longer before.
    let long_ago = [(3, 0, Verify), (4, 1, Verify), (5, 2, Dispute), (6, 60, Verify)];
    assert_eq!(trend(&long_ago), Trend::Increasing);
}

#[test]
fn trust_of_an_edge_with_an_acquaintance() {
    // 1 and 2 state one another; 3 is mutually related to 1 and verifies what 1 states.
    let mut facts = vec![states(1, 2, 1, 80), states(2, 1, 1, 100)];
    facts.extend(mutually(1, 3, 2, 100));
    let graph = World::of(
        4,
        facts,
        vec![attests(3, 1, key(1, 1), Verify), attests(4, 1, key(1, 1), Dispute)],
    )
    .graph();
    let view = graph.relationship(key(1, 1)).unwrap();
    // Standing of 3: reputation and reciprocity (1 + 2.5)/6, consistency 1.
    let standing = (0.6 * (3.5 / 6.0) + 0.25) / 0.85;
    near(graph.trust_metrics(EntityId(3)).unwrap().standing, standing);
    let w = (0.5 + 1.5 * standing) * 0.9;
    near(view.backing.unwrap(), 50.0 + 50.0 * w / (w + 1.0));
    let f = view.factors;
    assert_eq!([f.s, f.d, f.v, f.g, f.m], [0.8, 1.0, 0.02, 1.0, 1.0]);
    near(view.trust, 0.82);
    // 4, whom nobody knows, moved the conviction and nothing else.
    assert_eq!(view.conviction.attestation_count, 2);
    // The edge of the pair is the weaker statement.
    let path = strongest(&graph, 2, 1).unwrap();
    assert_eq!((path.hops[0].key, path.hops[0].strength), (key(1, 1), 80));
    near(path.total_strength, 0.82);
}

#[test]
fn a_dispute_of_an_acquaintance_guards_and_one_of_a_stranger_does_not() {
    let mut facts = vec![states(1, 2, 1, 100), states(2, 1, 1, 100)];
    facts.extend(mutually(1, 3, 2, 100));
    let disputed = World::of(4, facts.clone(), vec![attests(3, 1, key(1, 1), Dispute)]).graph();
    let view = disputed.relationship(key(1, 1)).unwrap();
    let standing = (0.6 * (3.5 / 6.0) + 0.25) / 0.85;
    let w = 1.5 * (0.5 + 1.5 * standing) * 0.9;
    let backing = 50.0 - 50.0 * w / (w + 1.0);
    near(view.backing.unwrap(), backing);
    near(view.factors.g, backing / 50.0);
    assert!((view.trust - backing / 50.0).abs() <= 1e-12);
    let stranger = World::of(4, facts, vec![attests(4, 1, key(1, 1), Dispute)]).graph();
    near(stranger.relationship(key(1, 1)).unwrap().trust, 1.0);
}

#[test]
fn the_metrics_of_a_small_circle() {
    // 2 and 3 state 1, with 80 a year ago and 60 today; 1 states 2 only.
    let mut old = states(2, 1, 1, 80);
    old.last_interaction = Some(TODAY - 365);
    let graph = World::of(4, vec![old, states(3, 1, 1, 60), states(1, 2, 1, 90)], vec![]).graph();
    let m = graph.trust_metrics(EntityId(1)).unwrap();
    let d = (-365.0f64 / 365.25).exp();
    near(m.reputation, (0.8 * d + 0.6 + 2.5) / 7.0);
    near(m.reciprocity, (1.0 + 2.5) / 6.0);
    near(m.consistency, 0.75);
    near(m.verification_ratio, 0.0);
    let direct = 0.35 * m.reputation + 0.25 * m.reciprocity + 0.25 * 0.75;
    near(m.direct, direct);
    // From 2 by a mutual record, t = 0.8·d; from 3 one-sided, t = 0.6·0.8. To 2 speaks 1 (t =
    // 0.9), to 3 nobody. N₁(1) = (0.8d + 0.48)/2; N₂(2) = 0.9·(0.7 + 0.3·N₁(1)); N₂(3) = 0.
    let n1 = (0.8 * d + 0.48) / 2.0;
    let n2 = 0.9 * (0.7 + 0.3 * n1);
    let n3 = (0.8 * d * (0.7 + 0.3 * n2) + 0.48 * 0.7) / 2.0;
    assert!((m.network - n3).abs() < 1e-11, "trusts have 12 decimals");
    assert!((m.trust_score - (0.7 * direct + 0.3 * n3)).abs() < 1e-11);
    assert_eq!((m.relationship_count, m.network_size, m.recent_interactions), (3, 2, 2));
    let health = m.health();
    assert_eq!(health.level, TrustLevel::Low);
    assert_eq!(
        health.recommendations,
        [Recommendation::VerifyMore, Recommendation::Expand, Recommendation::MakeMutual]
    );
    let explained = graph.explain(EntityId(1), None, 1).unwrap();
    assert_eq!((explained.movers.len(), explained.others), (1, 1));
    // Nobody knows 4.
    assert_eq!(graph.trust_metrics(EntityId(4)), None);
}

#[test]
fn what_somebody_says_of_themselves_raises_nothing() {
    let alone = World::of(3, vec![states(2, 1, 1, 50)], vec![]).graph();
    let boasting = World::of(
        3,
        vec![states(2, 1, 1, 50), states(1, 3, 1, 100), states(1, 3, 2, 100)],
        vec![attests(1, 1, key(1, 1), Verify)],
    )
    .graph();
    let (a, b) =
        (alone.trust_metrics(EntityId(1)).unwrap(), boasting.trust_metrics(EntityId(1)).unwrap());
    near(a.reputation, b.reputation);
    near(a.network, b.network);
    near(a.consistency, b.consistency);
    assert!(b.reciprocity < a.reciprocity);
}

#[test]
fn the_right_to_say_no() {
    let no = attests(2, 1, key(1, 1), Dispute);
    let world = World::of(2, vec![states(1, 2, 1, 90)], vec![no.clone()]);
    let graph = world.graph();
    let view = graph.relationship(key(1, 1)).unwrap();
    assert!(view.refused && !view.counted);
    assert_eq!(strongest(&graph, 1, 2), None);
    assert!(neighbours(&graph, 1).is_empty());
    assert_eq!(graph.stats().total_relationships, 0);
    assert!(graph.exists(EntityId(1)) && graph.exists(EntityId(2)), "it still names them");
    // A later verify takes it back; an older one would not.
    let mut yes = attests(2, 2, key(1, 1), Verify);
    yes.effective -= DAY;
    graph.apply(&set(1, vec![Change::Attestation(yes.clone())]));
    assert!(graph.relationship(key(1, 1)).unwrap().refused);
    yes.effective += 2 * DAY;
    graph.apply(&set(2, vec![Change::Attestation(yes)]));
    assert!(!graph.relationship(key(1, 1)).unwrap().refused);
    assert!(strongest(&graph, 1, 2).is_some());
    // The owner's own dispute, or a stranger's, is none.
    let owner = World::of(3, world.relationships, vec![attests(1, 1, key(1, 1), Dispute)]);
    assert!(!owner.graph().relationship(key(1, 1)).unwrap().refused);
}

#[test]
fn mutual_by_two_records_or_by_two_signatures_on_one() {
    let signed = |owner, subject| RelationshipFact {
        signed_by_owner: owner,
        signed_by_subject: subject,
        ..states(1, 2, 1, 80)
    };
    let mutual = |facts: Vec<RelationshipFact>| {
        World::of(2, facts, vec![]).graph().relationship(key(1, 1)).unwrap().mutual
    };
    assert!(mutual(vec![signed(true, true)]));
    assert!(!mutual(vec![signed(false, true)]), "received, and still one-sided");
    assert!(!mutual(vec![signed(true, false)]));
    assert!(mutual(vec![signed(false, false), states(2, 1, 1, 0)]), "a strength of 0 is said too");
    let mut hidden = states(2, 1, 1, 80);
    hidden.visibility = Visibility::Private;
    assert!(!mutual(vec![signed(false, false), hidden]));
    // What 2 has signed, 1 has received.
    let graph = World::of(2, vec![signed(false, true)], vec![]).graph();
    near(graph.trust_metrics(EntityId(1)).unwrap().reputation, (0.8 + 2.5) / 6.0);
}

#[test]
fn the_edge_of_a_pair() {
    // The larger of each side, the smaller of the two.
    let mut facts =
        vec![states(1, 2, 1, 90), states(1, 2, 2, 60), states(2, 1, 1, 70), states(2, 1, 2, 10)];
    facts[2].kind = "family".into();
    let graph = World::of(3, facts.clone(), vec![]).graph();
    assert_eq!(strongest(&graph, 1, 2).unwrap().hops[0].key, key(2, 1));
    // Of the types asked for.
    let mut query = PathQuery::new(EntityId(1), EntityId(2));
    query.kinds = Some(vec!["professional".into()]);
    let ask = |query: &PathQuery| graph.find_paths(query, &mut || true).unwrap();
    assert_eq!(ask(&query), [], "the edge is then 10, and the least is 50");
    query.min_strength = 0.1;
    assert_eq!(ask(&query)[0].hops[0].key, key(2, 2));
    query.kinds = Some(vec!["family".into()]);
    let path = &ask(&query)[0];
    assert_eq!(path.hops[0].key, key(2, 1));
    near(path.total_strength, 0.7); // mutual over all types
    // An anonymous one is not replaced by a weaker public one.
    facts[3].consent = Consent::Anonymous;
    let graph = World::of(3, facts, vec![]).graph();
    assert_eq!(strongest(&graph, 1, 2), None);
    assert!(neighbours(&graph, 1).is_empty());
    near(graph.trust_metrics(EntityId(1)).unwrap().reputation, (0.7 + 2.5) / 6.0);
    let hidden = graph.explain(EntityId(1), None, 9).unwrap().movers[0];
    assert_eq!((hidden.counterpart, hidden.key), (None, None));
    let own = graph.explain(EntityId(1), Some(EntityId(2)), 9).unwrap().movers[0];
    assert_eq!(own.counterpart, Some(EntityId(2)));
}

#[test]
fn what_is_private_enters_nothing() {
    let mut secret = states(1, 2, 1, 90);
    secret.visibility = Visibility::Private;
    let world = World::of(3, vec![secret], vec![attests(3, 1, key(1, 1), Verify)]);
    let graph = world.graph();
    assert!(!graph.exists(EntityId(1)) && !graph.exists(EntityId(2)));
    assert!(graph.exists(EntityId(3)), "its own attestation is in its repo");
    assert_eq!(graph.stats().total_relationships, 0);
    assert_eq!(graph.stats().total_attestations, 0);
    let query = PathQuery::new(EntityId(1), EntityId(2));
    assert_eq!(graph.find_paths(&query, &mut || true), Err(PathError::UnknownEntity(EntityId(1))));
    // Its participants can read it all the same.
    assert!(!graph.relationship(key(1, 1)).unwrap().counted);
}

#[test]
fn an_account_that_is_not_active_is_nowhere() {
    let world = World::of(
        4,
        vec![states(1, 2, 1, 90), states(2, 3, 1, 90)],
        vec![attests(4, 1, key(1, 1), Verify)],
    );
    let graph = world.graph();
    let before = graph.digest();
    assert!(strongest(&graph, 1, 3).is_some());
    let mut gone = world.entities[1].clone();
    gone.active = false;
    graph.apply(&set(1, vec![Change::Entity(gone)]));
    assert!(!graph.exists(EntityId(2)) && !graph.exists(EntityId(3)));
    assert!(graph.exists(EntityId(1)), "an attestation names it");
    assert!(neighbours(&graph, 1).is_empty());
    assert_eq!(graph.relationship(key(2, 1)), None);
    assert_eq!(graph.stats().total_relationships, 0);
    graph.apply(&set(2, vec![Change::Entity(world.entities[1].clone())]));
    assert_eq!(graph.digest(), before);
}

#[test]
fn one_hop_is_one_hop() {
    let graph =
        World::of(3, vec![states(1, 2, 1, 90), states(2, 3, 1, 90), states(1, 3, 9, 50)], vec![])
            .graph();
    let mut query = PathQuery::new(EntityId(1), EntityId(3));
    let ask = |query: &PathQuery| graph.find_paths(query, &mut || true).unwrap();
    assert_eq!(ask(&query)[0].hops.len(), 2, "0.72² is more than 0.4");
    near(ask(&query)[0].total_strength, 0.72 * 0.72);
    query.max_hops = 1;
    near(ask(&query)[0].total_strength, 0.4);
    (query.max_hops, query.algorithm) = (6, Algorithm::Shortest);
    assert_eq!(ask(&query)[0].hops.len(), 1);
    query.exclude = vec![EntityId(3)];
    assert_eq!(ask(&query), [], "an excluded end");
    query.to = EntityId(1);
    assert_eq!(graph.find_paths(&query, &mut || true), Err(PathError::SameEnds));
    query.to = EntityId(77);
    assert_eq!(graph.find_paths(&query, &mut || true), Err(PathError::UnknownEntity(EntityId(77))));
    query.max_hops = 11;
    assert!(matches!(
        graph.find_paths(&query, &mut || true),
        Err(PathError::OutOfRange { field: "max_hops", .. })
    ));
}

#[test]
fn a_search_says_that_it_ran_out_of_time() {
    // A grid without costs: everything ties with everything.
    let at = |x: u32, y: u32| 1 + 40 * y + x;
    let mut facts = Vec::new();
    for y in 0..40 {
        for x in 0..39 {
            facts.extend(mutually(at(x, y), at(x + 1, y), u64::from(at(x, y)), 99));
            facts.extend(mutually(at(y, x), at(y, x + 1), 9000 + u64::from(at(x, y)), 99));
        }
    }
    let graph = World::of(1600, facts, vec![]).graph();
    let query = PathQuery { max_hops: 10, ..PathQuery::new(EntityId(1), EntityId(1600)) };
    assert_eq!(graph.find_paths(&query, &mut || false), Err(PathError::TimeLimit));
    let mut asked = 0;
    let answer = graph.find_paths(&query, &mut || {
        asked += 1;
        true
    });
    assert_eq!(answer, Ok(vec![]));
    assert!(asked > 0);
}

#[test]
fn who_may_read_the_texts() {
    let mut facts = vec![states(1, 2, 1, 90), states(4, 2, 1, 90)];
    facts.extend(mutually(3, 2, 5, 50));
    let graph = World::of(4, facts, vec![]).graph();
    let may = |viewer| graph.acquainted(EntityId(viewer), key(1, 1));
    assert!(may(1) && may(2) && may(3));
    assert!(!may(4), "one-sided");
    assert!(!graph.acquainted(EntityId(1), key(1, 77)));
}
