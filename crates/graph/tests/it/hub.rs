//! Somebody with very many: pages are whole, and cost what they show.

use crate::world::{DAY, TODAY, World, attests, key, set, states};
use rhiz_domain::Did;
use rhiz_domain::fact::{AttestationKind, Change, EntityFact, EntityId};
use rhiz_graph::{Graph, NeighbourQuery};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

const HUB: u32 = 1;

/// Names that are not in the order of the numbers.
fn person(id: u32) -> EntityFact {
    let name = format!("did:plc:{:07}", u64::from(id) * 7_919 % 1_000_003);
    let did = Did::parse(&name).unwrap();
    EntityFact { id: EntityId(id), did, active: true, stands_alone: false }
}

/// All state 1, with one strength.
fn followed_by(followers: u32) -> Graph {
    let mut world = World::of(0, vec![], vec![]);
    world.entities = (1..=followers + 1).map(person).collect();
    world.relationships = (2..=followers + 1).map(|x| states(x, HUB, 1, 80)).collect();
    world.graph()
}

fn page(limit: usize) -> NeighbourQuery {
    NeighbourQuery { min_strength: 0.0, kinds: None, limit, after: None }
}

#[test]
fn a_hundred_thousand_followers_of_one_strength_are_all_on_some_page_once() {
    const FOLLOWERS: u32 = 100_000;
    let graph = followed_by(FOLLOWERS);
    let mut query = page(20_000);
    let mut seen: Vec<String> = Vec::new();
    loop {
        let page = graph.neighbours(EntityId(HUB), &query).unwrap();
        assert_eq!(page.list.len(), 20_000);
        seen.extend(page.list.iter().map(|n| n.did.to_string()));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), FOLLOWERS as usize);
    assert!(seen.is_sorted(), "one trust: by DID");
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len());
    // A small page is the beginning of it.
    let first = graph.neighbours(EntityId(HUB), &page(50)).unwrap();
    assert!(first.list.iter().map(|n| n.did.as_str()).eq(seen[..50].iter().map(String::as_str)));
}

/// Who leaves while a page is made is not on it, who is thought less of meanwhile stands where they
/// stood; and those behind are not lost with them.
#[test]
fn pages_go_on_to_the_end_while_followers_leave_and_change() {
    const FOLLOWERS: u32 = 3_000;
    let graph = followed_by(FOLLOWERS);
    let leaving = |x: u32| x.is_multiple_of(2);
    let change = |x: u32| match x % 4 {
        0 => Change::RelationshipGone(key(x, 1)),
        _ => Change::Relationship(states(x, HUB, 1, 40)),
    };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 0;
            while !done.load(Ordering::Relaxed) {
                for x in (2..=FOLLOWERS + 1).filter(|x| leaving(*x)) {
                    seq += 1;
                    graph.apply(&set(seq, vec![change(x)]));
                }
                let back = (2..=FOLLOWERS + 1).filter(|x| leaving(*x));
                let back = back.map(|x| Change::Relationship(states(x, HUB, 1, 80)));
                seq += 1;
                graph.apply(&set(seq, back.collect()));
            }
        });
        for _ in 0..20 {
            let mut query = page(97);
            let mut seen = HashSet::new();
            loop {
                let page = graph.neighbours(EntityId(HUB), &query).unwrap();
                seen.extend(page.list.iter().map(|n| n.id.0));
                query.after = page.next;
                if query.after.is_none() {
                    break;
                }
            }
            let lost: Vec<u32> =
                (2..=FOLLOWERS + 1).filter(|x| !leaving(*x) && !seen.contains(x)).collect();
            assert!(lost.is_empty(), "they never left: {lost:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// A list of voices looked for in a list of voices would take ten thousand million looks.
#[test]
fn a_hundred_thousand_attestations_are_walked_once() {
    const VOICES: u32 = 100_000;
    let mut world = World::of(0, vec![states(1, 2, 1, 80)], vec![]);
    world.entities = (1..=VOICES + 2).map(person).collect();
    world.attestations = (3..VOICES + 3)
        .map(|x| attests(x, 1, key(1, 1), AttestationKind::Verify))
        .chain([attests(3, 2, key(1, 1), AttestationKind::Dispute)])
        .chain([attests(2, 1, key(1, 1), AttestationKind::Verify)])
        .collect();
    world.attestations[0].effective -= DAY;
    let graph = world.graph();
    let all = graph.attestations_of(key(1, 1));
    assert_eq!(all.len(), VOICES as usize + 2);
    let silent: Vec<_> = all.iter().filter(|a| !a.counts).map(|a| a.fact.key).collect();
    assert_eq!(silent.len(), 2);
    assert!(silent.contains(&key(3, 1)) && silent.contains(&key(2, 1)), "{silent:?}");
    assert_eq!(graph.conviction(key(1, 1)).unwrap().attestation_count, VOICES);
    assert_eq!(graph.hop(key(1, 1)).map(|(strength, _)| strength), Some(80));
    // What is told of it says how much is not.
    let told = graph.explain_conviction(key(1, 1), 3).unwrap();
    let listed: f64 = told.attestations.iter().map(|a| a.weight).sum();
    assert_eq!((told.attestations.len(), told.others), (3, VOICES - 3));
    assert_eq!(told.attestations[0].fact.kind, AttestationKind::Dispute, "the heaviest");
    assert!((listed + told.sum_of_others - told.sum).abs() < 1e-9);
    graph.set_day(TODAY + 1);
    assert_eq!(graph.hop(key(1, 2)), None);
}
