//! A thousand fakes that praise one another and one target.

use crate::networks::{Dice, Network, TODAY, otc};
use crate::real::skipped;
use rhiz_domain::Tid;
use rhiz_domain::fact::{
    AttestationFact, AttestationKind, Change, ChangeSet, EntityFact, EntityId, RecordKey,
    RelationshipFact,
};
use rhiz_graph::{Graph, Ranking};

const FAKES: u32 = 1_000;

fn fake_relationship(like: &RelationshipFact, from: u32, to: u32, n: u64) -> RelationshipFact {
    RelationshipFact {
        key: RecordKey { owner: EntityId(from), rkey: Tid::from_u64(n).unwrap() },
        subject: EntityId(to),
        strength: 100,
        last_interaction: Some(TODAY),
        ..like.clone()
    }
}

/// Each fake states the strongest about the target and ten of the others, and verifies a
/// statement about the target.
fn attack(network: &Network, target: EntityId, about: RecordKey) -> Vec<Change> {
    let mut dice = Dice(1);
    let like = network.relationship(0);
    let first = network.people + 1;
    let mut changes = Vec::new();
    for id in first..first + FAKES {
        let did = crate::networks::did(id);
        let id = EntityId(id);
        changes.push(Change::Entity(EntityFact { id, did, active: true, stands_alone: true }));
        changes.push(Change::Relationship(fake_relationship(&like, id.0, target.0, 1)));
        for n in 2..12 {
            let other = first + dice.below(FAKES as usize) as u32;
            if other != id.0 {
                changes.push(Change::Relationship(fake_relationship(&like, id.0, other, n)));
            }
        }
        changes.push(Change::Attestation(AttestationFact {
            key: RecordKey { owner: id, rkey: Tid::from_u64(99).unwrap() },
            target: about,
            kind: AttestationKind::Verify,
            confidence: 100,
            effective: i64::from(TODAY) * 86_400_000_000,
            rev: Tid::ZERO,
        }));
    }
    changes
}

fn walked(graph: &Graph, viewer: EntityId) -> Ranking {
    let mut ranking = Ranking::new(viewer, 500);
    assert!(ranking.walk(graph, &mut || true));
    ranking
}

/// Share of the walks' visits, of several viewers who are well connected.
fn ranks(graph: &Graph, viewers: &[EntityId], target: EntityId) -> Vec<f64> {
    let rank = |&viewer: &EntityId| {
        let ranking = walked(graph, viewer).ranked(usize::MAX, |id| id == target);
        ranking.first().map_or(0.0, |reached| reached.visits)
    };
    viewers.iter().map(rank).collect()
}

#[test]
fn a_thousand_fakes_and_a_target() {
    let Some(network) = otc() else {
        return skipped("Bitcoin OTC: the attack of a thousand fakes was not measured");
    };
    let graph = network.graph_of(network.relationships());
    // Someone who received several statements, and not good ones.
    let received = |id: u32| network.statements.iter().filter(move |s| s.1 == id);
    let target = (1..network.people)
        .find(|&id| {
            let n = received(id).count();
            (8..20).contains(&n) && received(id).all(|s| s.2 <= 55)
        })
        .map(EntityId)
        .unwrap();
    let n = network.statements.iter().position(|s| s.1 == target.0).unwrap();
    let about = network.relationship(n).key;
    let mut given = vec![0; network.people as usize + 1];
    network.statements.iter().for_each(|s| given[s.0 as usize] += 1);
    let mut viewers: Vec<u32> = (1..=network.people).collect();
    viewers.sort_by_key(|&id| std::cmp::Reverse(given[id as usize]));
    // Some who know the target well among them.
    let viewers: Vec<EntityId> = viewers[..20]
        .iter()
        .copied()
        .chain(received(target.0).map(|s| s.0))
        .map(EntityId)
        .collect();

    let score = |g: &Graph| g.trust_metrics(target).unwrap();
    let view = |g: &Graph| g.relationship(about).unwrap();
    let before = (score(&graph), view(&graph), ranks(&graph, &viewers, target));
    graph.apply(&ChangeSet { seq: 1, changes: attack(&network, target, about) });
    let after = (score(&graph), view(&graph), ranks(&graph, &viewers, target));

    // The same attack on plain averages.
    let plain: Vec<f64> = received(target.0).map(|s| f64::from(s.2) / 100.0).collect();
    let plain_before = plain.iter().sum::<f64>() / plain.len() as f64;
    let plain_after =
        (plain.iter().sum::<f64>() + f64::from(FAKES)) / (plain.len() as f64 + f64::from(FAKES));
    report(&[
        format!("plain mean of what was received: {plain_before:.3} → {plain_after:.3}"),
        format!("trust score: {:.3} → {:.3}", before.0.trust_score, after.0.trust_score),
        format!("conviction: {:.1} → {:.1}", before.1.conviction.exact, after.1.conviction.exact),
        format!("trust of the attested statement: {} → {}", before.1.trust, after.1.trust),
        format!("personalised visits: {:?} → {:?}", before.2, after.2),
    ]);

    assert_eq!(before.2, after.2, "nobody who trusts none of them sees them");
    assert!(before.2.iter().any(|&visits| visits > 0.0), "the target could be reached at all");
    assert_eq!((before.1.trust, before.1.backing), (after.1.trust, after.1.backing));
    assert_eq!(before.0.verification_ratio, after.0.verification_ratio);
    // The score counts what others claim, and fakes do claim. But no number of them gets past
    // what strangers can give: 0.7 · 0.85 + 0.3 · 0.8, short of "very high".
    assert!(after.0.trust_score < 0.835 && plain_after > 0.99);
}

#[expect(clippy::print_stderr, reason = "the figures for docs/decisions")]
fn report(lines: &[String]) {
    for line in lines {
        eprintln!("{line}");
    }
}

#[test]
fn walks_mended_are_walks_anew() {
    let Some(network) = otc() else {
        return skipped("Bitcoin OTC: mended walks were not compared with new ones");
    };
    let graph = network.graph_of(network.relationships());
    let viewer = EntityId(network.statements[0].0);
    let mut ranking = walked(&graph, viewer);
    assert!(ranking.ranked(usize::MAX, |_| true).len() > 50);
    let mut dice = Dice(2);
    for round in 0..20 {
        let mut fact = network.relationship(dice.below(2_000));
        fact.strength = dice.below(101) as u8;
        let changes = vec![Change::Relationship(fact)];
        let affected = graph.apply(&ChangeSet { seq: round + 1, changes });
        ranking.update(&affected.entities);
        assert!(ranking.walk(&graph, &mut || true));
        assert_eq!(ranking, walked(&graph, viewer));
    }
    let first = ranking.ranked(1, |_| true)[0];
    assert!(first.through.is_some_and(|(_, share)| share > 0.0 && share <= 1.0));
}
