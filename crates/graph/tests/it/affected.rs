//! What [`Affected`] does not name has stayed as it was.

use crate::world::{Dice, TODAY, World, set};
use proptest::prelude::*;
use rhiz_domain::fact::{AttestationKind, Change, EntityId, RecordKey, Visibility};
use rhiz_graph::{Affected, Conviction, Graph, NeighbourQuery, TrustMetrics};
use std::collections::BTreeMap;

/// What is told of one entity, apart from what may lag and from convictions.
#[derive(Debug, PartialEq)]
struct OfEntity {
    exists: bool,
    scores: Option<TrustMetrics>,
    neighbours: Vec<String>,
}

/// What is told of one record to whom.
type OfRecord = (Conviction, Visibility, EntityId);

#[derive(Debug, Default)]
struct Told {
    entities: BTreeMap<EntityId, OfEntity>,
    records: BTreeMap<RecordKey, Option<OfRecord>>,
}

fn told(graph: &Graph, people: u32, records: &[RecordKey]) -> Told {
    let every = NeighbourQuery { min_strength: 0.0, kinds: None, limit: 100, after: None };
    let professional = NeighbourQuery { kinds: Some(vec!["professional".into()]), ..every.clone() };
    let entities = (1..=people).map(|id| {
        let id = EntityId(id);
        let scores =
            graph.trust_metrics(id).map(|m| TrustMetrics { network: 0.0, trust_score: 0.0, ..m });
        let neighbours = [&every, &professional].into_iter().flat_map(|query| {
            graph.neighbours(id, query).unwrap_or_default().list.into_iter().map(|n| {
                let of = (n.id, n.key, n.strength, n.trust.to_bits(), n.mutual);
                format!("{of:?} {} {}", n.did, n.kind)
            })
        });
        let neighbours = neighbours.collect();
        (id, OfEntity { exists: graph.exists(id), scores, neighbours })
    });
    let record = |key: &RecordKey| {
        let view = graph.relationship(*key)?;
        Some((view.conviction, view.visibility, view.fact.subject))
    };
    Told {
        entities: entities.collect(),
        records: records.iter().map(|key| (*key, record(key))).collect(),
    }
}

/// The first thing that has changed and is not named.
fn unnamed(before: &Told, after: &Told, affected: &Affected) -> Option<String> {
    let entity = after.entities.iter().find_map(|(id, now)| {
        let then = &before.entities[id];
        (then != now && affected.entities.binary_search(id).is_err())
            .then(|| format!("{id:?}: {then:?}\nis now {now:?}"))
    });
    entity.or_else(|| {
        after.records.iter().find_map(|(key, now)| {
            let then = &before.records[key];
            (then != now && affected.convictions.binary_search(key).is_err())
                .then(|| format!("{key:?}: {then:?}\nis now {now:?}"))
        })
    })
}

/// Something that happens: more of the world, something else said, something taken back.
pub(crate) fn happens(dice: &mut Dice, world: &World, log: &mut Vec<Change>) -> Vec<Change> {
    let next = match dice.below(10) {
        0..4 => dice.pick(&world.changes()),
        4..7 => match dice.pick(&world.changes()) {
            Change::Entity(mut fact) => {
                if dice.chance(50) {
                    fact.active = !fact.active;
                } else {
                    fact.stands_alone = !fact.stands_alone;
                }
                Change::Entity(fact)
            }
            Change::Relationship(mut fact) => {
                fact.strength = dice.pick(&[0, 20, 50, 100]);
                fact.visibility = dice.pick(&[Visibility::Public, Visibility::Private]);
                Change::Relationship(fact)
            }
            Change::Attestation(mut fact) => {
                fact.kind = dice.pick(&AttestationKind::ALL);
                Change::Attestation(fact)
            }
            other => other,
        },
        _ => match log.is_empty() {
            true => dice.pick(&world.changes()),
            false => match dice.pick(log) {
                Change::Relationship(fact) => Change::RelationshipGone(fact.key),
                Change::Attestation(fact) => Change::AttestationGone(fact.key),
                other => other,
            },
        },
    };
    log.push(next.clone());
    vec![next]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_not_named_has_not_changed(seed in any::<u64>()) {
        let mut dice = Dice(seed);
        let world = World::random(&mut dice);
        let people = world.entities.len() as u32;
        let records: Vec<RecordKey> = world.relationships.iter().map(|r| r.key).collect();
        let graph = if dice.chance(50) { Graph::new(TODAY) } else { world.graph() };
        let mut log = Vec::new();
        let mut before = told(&graph, people, &records);
        for seq in 1..60 {
            let mut changes = happens(&mut dice, &world, &mut log);
            while dice.chance(15) {
                changes.extend(happens(&mut dice, &world, &mut log));
            }
            let affected = graph.apply(&set(seq, changes.clone()));
            let after = told(&graph, people, &records);
            let found = unnamed(&before, &after, &affected);
            prop_assert!(found.is_none(), "{changes:?} named {affected:?}, not {}", found.unwrap());
            before = after;
        }
    }
}

/// A world where nobody is an acquaintance of anybody: a word weighs more or less all the same.
#[test]
fn a_stranger_with_another_standing_moves_what_they_spoke_of() {
    use crate::world::{attests, key, states};
    let world = World::of(
        4,
        vec![states(1, 2, 10, 80)],
        vec![attests(3, 20, key(1, 10), AttestationKind::Verify)],
    );
    let graph = world.graph();
    let before = graph.conviction(key(1, 10)).unwrap();
    let affected = graph.apply(&set(1, vec![Change::Relationship(states(4, 3, 30, 100))]));
    assert_ne!(graph.conviction(key(1, 10)).unwrap(), before);
    assert!(affected.convictions.contains(&key(1, 10)), "{affected:?}");
    assert_eq!(affected.entities, [EntityId(3), EntityId(4)], "backing and trust stay");
}
