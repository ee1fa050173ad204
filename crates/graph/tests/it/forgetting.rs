//! What predictions may know of: nothing anonymous, private or refused, and nothing that is
//! withdrawn.

use crate::world::{DAY, Dice, TODAY, World, attests, entity, set, states};
use rhiz_domain::fact::{
    AttestationKind, Change, Consent, EntityFact, EntityId, RecordKey, RelationshipFact, Visibility,
};
use rhiz_graph::{Graph, Prediction};

/// What everybody would state about everybody.
fn all(graph: &Graph, people: u32) -> Vec<Prediction> {
    let pairs = (1..=people).flat_map(|a| (1..=people).map(move |b| (a, b)));
    let at = i64::from(TODAY + 3) * DAY;
    pairs.map(|(a, b)| graph.predict_at(EntityId(a), EntityId(b), at)).collect()
}

fn under(fact: RelationshipFact, visibility: Visibility, consent: Consent) -> RelationshipFact {
    RelationshipFact { visibility, consent, ..fact }
}

#[test]
fn what_is_anonymous_cannot_be_read_from_a_prediction() {
    // Dora (4) states Ann (1), at 100; nothing else is stated of either by the other.
    let mut facts = vec![states(1, 2, 1, 50), states(2, 3, 1, 50), states(3, 1, 1, 50)];
    let without = World::of(4, facts.clone(), vec![]).graph();
    facts.push(under(states(4, 1, 9, 100), Visibility::Public, Consent::Anonymous));
    let with = World::of(4, facts, vec![]).graph();
    let (ann, dora) = (EntityId(1), EntityId(4));
    let p = with.predict(ann, dora).unwrap();
    assert_eq!((p.reciprocity, p.stated), (0.0, None));
    // Not in the bias of who states one thing only, nor in anything else.
    assert_eq!(with.predict(dora, ann).unwrap().rater, 0.0);
    assert_eq!(all(&with, 4), all(&without, 4));
    // Ann states Dora openly: the stricter of the two governs the pair.
    let open = Change::Relationship(states(1, 4, 5, 80));
    with.apply(&set(1, vec![open]));
    assert_eq!(all(&with, 4), all(&without, 4));
    assert!(!with.outdated());
}

/// Whatever a world is like: its predictions are those of one in which nothing was ever stated but
/// what counts and is not anonymous.
#[test]
fn predictions_know_nothing_but_what_may_be_told() {
    let (mut hidden, mut told) = (0, 0);
    for seed in 0..300 {
        let world = World::random(&mut Dice(seed));
        let graph = world.graph();
        let may = |r: &RelationshipFact| {
            graph.relationship(r.key).is_some_and(|v| v.counted && v.consent != Consent::Anonymous)
        };
        let mut open = world.clone();
        open.relationships.retain(may);
        hidden += world.relationships.len() - open.relationships.len();
        told += open.relationships.len();
        let people = world.entities.len() as u32;
        assert_eq!(all(&graph, people), all(&open.graph(), people), "world {seed}");
    }
    assert!(hidden > 300 && told > 300, "{hidden} {told}");
}

/// A world, and one more statement: of 5 about 2, in answer to one.
fn story() -> (Vec<RelationshipFact>, RelationshipFact) {
    let mut facts = Vec::new();
    for n in 0..40u64 {
        let (from, to) = (1 + n as u32 % 7, 1 + (n * n + 3) as u32 % 7);
        if from != to && (from, to) != (5, 2) {
            let mut fact = states(from, to, 10 + n, (n * 37 % 101) as u8);
            fact.created -= (n as i64 % 5) * DAY / 50;
            facts.push(fact);
        }
    }
    facts.push(states(2, 5, 90, 90));
    (facts, states(5, 2, 99, 100))
}

/// Stated, then withdrawn: a second later it is as if it had never been said. To the last bit:
/// everything is learned anew, in the order of dates, and so it would have been.
#[test]
fn what_is_withdrawn_is_in_no_prediction() {
    let (facts, said) = story();
    let never = World::of(7, facts.clone(), vec![]).graph();
    let dispute = attests(2, 1, said.key, AttestationKind::Dispute);
    let gone = EntityFact { active: false, ..entity(5) };
    let ways: [(&str, Change); 5] = [
        ("deleted", Change::RelationshipGone(said.key)),
        ("refused", Change::Attestation(dispute)),
        (
            "made private",
            Change::Relationship(under(said.clone(), Visibility::Private, Consent::Full)),
        ),
        (
            "made anonymous",
            Change::Relationship(under(said.clone(), Visibility::Public, Consent::Anonymous)),
        ),
        ("its account gone", Change::Entity(gone)),
    ];
    for (how, change) in ways {
        let graph = World::of(7, facts.clone(), vec![]).graph();
        let silent = match how {
            "its account gone" => {
                let mine = |r: &RelationshipFact| r.key.owner.0 != 5 && r.subject.0 != 5;
                let others = facts.iter().filter(|r| mine(r)).cloned().collect();
                all(&World::of(7, others, vec![]).graph(), 7)
            }
            "made anonymous" => {
                let pair = |r: &RelationshipFact| [r.key.owner.0, r.subject.0] == [2, 5];
                let others = facts.iter().filter(|r| !pair(r)).cloned().collect();
                all(&World::of(7, others, vec![]).graph(), 7)
            }
            _ => all(&never, 7),
        };
        graph.apply(&set(1, vec![Change::Relationship(said.clone())]));
        assert_ne!(all(&graph, 7), all(&never, 7), "{how}: it was learned");
        assert!(!graph.outdated());
        graph.apply(&set(2, vec![change]));
        assert!(graph.outdated(), "{how}");
        graph.relearn();
        assert!(!graph.outdated(), "{how}");
        assert_eq!(all(&graph, 7), silent, "{how}");
        assert_eq!(graph.taught(), 2);
    }
}

/// Changes of every kind, in any order: what is learned anew is what a graph would know that was
/// loaded with what is left; and what does not withdraw anything asks for nothing.
#[test]
fn whatever_happens_what_is_left_is_what_is_learned() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let (world, other) = (World::random(&mut dice), World::random(&mut dice));
        let people = world.entities.len().max(other.entities.len()) as u32;
        let graph = world.graph();
        let mut left = world.clone();
        for (n, entity) in other.entities.into_iter().enumerate().skip(world.entities.len()) {
            graph.apply(&set(n as u64, vec![Change::Entity(entity.clone())]));
            left.entities.push(entity);
        }
        let lesson = |graph: &Graph, key: RecordKey| {
            let view = graph.relationship(key)?;
            (view.counted && view.consent != Consent::Anonymous).then_some(view.fact.subject)
        };
        for n in 0..25u64 {
            let known = left.relationships.clone();
            let before: Vec<_> = known.iter().map(|r| lesson(&graph, r.key)).collect();
            let was_outdated = graph.outdated();
            let change = match dice.below(4) {
                0 if !other.relationships.is_empty() => {
                    let fact = dice.pick(&other.relationships);
                    left.relationships.retain(|r| r.key != fact.key);
                    left.relationships.push(fact.clone());
                    Change::Relationship(fact)
                }
                1 if !known.is_empty() => {
                    let key = dice.pick(&known).key;
                    left.relationships.retain(|r| r.key != key);
                    Change::RelationshipGone(key)
                }
                2 if !known.is_empty() => {
                    let about = dice.pick(&known);
                    let kind = dice.pick(&[AttestationKind::Dispute, AttestationKind::Verify]);
                    let fact = attests(about.subject.0, 5_000 + n, about.key, kind);
                    left.attestations.push(fact.clone());
                    Change::Attestation(fact)
                }
                _ => {
                    let who = dice.below(left.entities.len());
                    left.entities[who].active ^= true;
                    Change::Entity(left.entities[who].clone())
                }
            };
            graph.apply(&set(100 + n, vec![change]));
            let now = |r: &RelationshipFact| lesson(&graph, r.key);
            let withdrawn =
                known.iter().zip(&before).any(|(r, was)| was.is_some() && now(r) != *was);
            assert_eq!(graph.outdated(), was_outdated || withdrawn, "world {seed}, change {n}");
            if dice.chance(20) {
                graph.relearn();
                assert_eq!(all(&graph, people), all(&left.graph(), people), "world {seed}, {n}");
            }
        }
    }
}

/// What comes to count again is known again at once.
#[test]
fn what_is_taken_back_is_learned_again() {
    let (facts, said) = story();
    let graph = World::of(7, facts, vec![]).graph();
    graph.apply(&set(1, vec![Change::Relationship(said.clone())]));
    let dispute = |n, kind| Change::Attestation(attests(2, n, said.key, kind));
    graph.apply(&set(2, vec![dispute(1, AttestationKind::Dispute)]));
    graph.relearn();
    let refused = all(&graph, 7);
    graph.apply(&set(3, vec![dispute(2, AttestationKind::Verify)]));
    assert!(!graph.outdated());
    assert_ne!(all(&graph, 7), refused);
    assert_eq!(graph.predict(EntityId(5), EntityId(2)).unwrap().stated, Some(1.0));
}

/// Relearning takes while. What is written meanwhile is learned once, and what is withdrawn
/// meanwhile leaves the graph outdated, not forgotten.
#[test]
fn changes_during_a_relearning_are_neither_lost_nor_learned_twice() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let (facts, _) = story();
    let graph = World::of(7, facts.clone(), vec![]).graph();
    let done = AtomicBool::new(false);
    let mut left = facts;
    std::thread::scope(|scope| {
        let learner = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                graph.relearn();
            }
        });
        for n in 0..3_000u64 {
            let (from, to) = (1 + n as u32 % 7, 1 + (n as u32 % 7 + 1 + n as u32 % 5) % 7);
            let fact = states(from, to, 1_000 + n, (n % 101) as u8);
            let mut changes = vec![Change::Relationship(fact.clone())];
            if n % 3 == 0 {
                changes.push(Change::RelationshipGone(fact.key));
            } else {
                left.push(fact);
            }
            graph.apply(&set(1 + n, changes));
        }
        done.store(true, Ordering::Relaxed);
        learner.join().unwrap();
    });
    // Whatever it is now: the last word is the same as ever.
    graph.relearn();
    assert!(!graph.outdated());
    assert_eq!(all(&graph, 7), all(&World::of(7, left, vec![]).graph(), 7));
}
