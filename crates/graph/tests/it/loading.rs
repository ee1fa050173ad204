//! Everything at once, so much that several threads share it: the same graph as one at a time.

use crate::networks::{TODAY, power_law};
use crate::world::{Dice, attests, set};
use rhiz_domain::fact::{AttestationFact, AttestationKind, Change, EntityId, Visibility};
use rhiz_graph::Graph;

/// Enough for several threads.
const MANY: usize = 45_000;

#[test]
fn many_at_once_are_one_after_another() {
    let mut dice = Dice(11);
    let network = power_law(MANY);
    let mut entities: Vec<_> = network.entities().collect();
    for _ in 0..200 {
        let at = dice.below(entities.len());
        entities[at].active = false;
    }
    let mut relationships: Vec<_> = network.relationships().collect();
    for n in 0..MANY / 10 {
        // Somebody answers; then a record comes again, maybe about somebody else.
        let mut answer = dice.pick(&relationships);
        std::mem::swap(&mut answer.key.owner, &mut answer.subject);
        answer.created += 1 + n as i64;
        answer.visibility = dice.pick(&[Visibility::Public, Visibility::Private]);
        let mut again = dice.pick(&relationships);
        again.strength = dice.below(101) as u8;
        if dice.chance(50) {
            let other = EntityId(1 + dice.below(network.people as usize) as u32);
            again.subject = if other == again.key.owner { again.subject } else { other };
        }
        relationships.extend([answer, again]);
    }
    let kinds = [AttestationKind::Verify, AttestationKind::Dispute];
    let attestations: Vec<AttestationFact> = (0..MANY / 10)
        .map(|n| {
            let about = dice.pick(&relationships);
            let stranger = EntityId(1 + dice.below(network.people as usize) as u32);
            // Those who take part refuse, others are asked.
            let who = if dice.chance(30) { about.subject } else { stranger };
            attests(who.0, n as u64 % 4_000, about.key, dice.pick(&kinds))
        })
        .collect();
    let loaded = Graph::load(
        TODAY,
        7,
        entities.iter().cloned(),
        relationships.iter().cloned(),
        attestations.iter().cloned(),
    );
    assert_eq!(loaded.audit(), Vec::<String>::new());

    let applied = Graph::new(TODAY);
    let changes: Vec<Change> = entities
        .into_iter()
        .map(Change::Entity)
        .chain(relationships.into_iter().map(Change::Relationship))
        .chain(attestations.into_iter().map(Change::Attestation))
        .collect();
    applied.apply(&set(7, changes));
    assert_eq!(loaded.digest(), applied.digest(), "{:?}", loaded.differences(&applied, 5));
    assert_eq!(loaded.stats(), applied.stats());

    applied.relearn();
    assert_eq!((loaded.taught(), applied.taught()), (7, 7));
    for (x, y) in network.pairs(500, 3) {
        assert_eq!(loaded.predict(x, y), applied.predict(x, y));
    }
    // What came on top is learned anew too.
    let change = Change::RelationshipGone(network.relationship(5).key);
    for graph in [&loaded, &applied] {
        graph.apply(&set(8, vec![change.clone()]));
        graph.relearn();
        assert_eq!(graph.taught(), 8);
    }
    assert_eq!(loaded.audit(), Vec::<String>::new());
}
