use super::*;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rhiz_domain::{
    Tid,
    fact::{Change, ChangeSet, Consent, EntityFact, RecordKey, RelationshipFact, Visibility},
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const PEOPLE: u32 = 12;

fn entity(id: u32) -> Change {
    let did = Did::parse(&format!("did:plc:n{id}")).unwrap();
    Change::Entity(EntityFact { id: EntityId(id), did, active: true, stands_alone: true })
}

fn states(owner: u32, subject: u32, strength: u8) -> Change {
    Change::Relationship(RelationshipFact {
        key: RecordKey {
            owner: EntityId(owner),
            rkey: Tid::from_u64(u64::from(subject) + 1).unwrap(),
        },
        subject: EntityId(subject),
        kind: "professional".into(),
        strength,
        last_interaction: Some(0),
        created: 0,
        rev: Tid::from_u64(1).unwrap(),
        signed_by_owner: false,
        signed_by_subject: false,
        visibility: Visibility::Public,
        consent: Consent::Full,
    })
}

/// Something that happens.
fn happens(dice: &mut StdRng) -> Change {
    let owner = dice.random_range(1..=PEOPLE);
    let subject = (owner + dice.random_range(1..PEOPLE) - 1) % PEOPLE + 1;
    if dice.random_ratio(1, 8) {
        let Change::Entity(mut fact) = entity(owner) else { unreachable!("it is one") };
        fact.active = dice.random();
        return Change::Entity(fact);
    }
    states(owner, subject, dice.random_range(0..=100))
}

fn world(dice: &mut StdRng) -> Graph {
    let graph = Graph::new(0);
    let mut changes: Vec<Change> = (1..=PEOPLE).map(entity).collect();
    changes.extend((0..40).map(|_| happens(dice)));
    graph.apply(&ChangeSet { seq: 1, changes });
    graph
}

fn apply(graph: &Graph, rankings: &Rankings, seq: u64, changes: Vec<Change>) {
    let affected = graph.apply(&ChangeSet { seq, changes });
    rankings.tell(seq, &affected.entities);
}

/// The ranking as it is kept, brought up to date.
fn ask(rankings: &Rankings, graph: &Graph, viewer: u32) -> Ranking {
    let place = rankings.place(EntityId(viewer));
    let mut place = place.try_lock().unwrap();
    assert!(rankings.bring_up(&mut place, graph, EntityId(viewer), &mut || true));
    place.as_ref().unwrap().ranking.clone()
}

fn anew(graph: &Graph, viewer: u32) -> Ranking {
    let mut ranking = Ranking::new(EntityId(viewer), WALKS);
    assert!(ranking.walk(graph, &mut || true));
    ranking
}

fn keeps(rankings: &Rankings, viewer: u32) -> bool {
    let place = rankings.known.lock().seats.get(&EntityId(viewer)).map(|s| Arc::clone(&s.place));
    place.is_some_and(|place| place.try_lock().unwrap().is_some())
}

#[test]
fn what_is_kept_is_what_would_be_walked_anew() {
    for seed in 0..2 {
        let dice = &mut StdRng::seed_from_u64(seed);
        let graph = world(dice);
        let rankings = Rankings::new(graph.version());
        for seq in 2..50 {
            let changes = (0..dice.random_range(1..4)).map(|_| happens(dice)).collect();
            apply(&graph, &rankings, seq, changes);
            if seq == 40 {
                graph.set_day(200);
            }
            // Some are asked for after every change, some after many.
            for viewer in [1, 2, dice.random_range(3..=PEOPLE)] {
                assert_eq!(ask(&rankings, &graph, viewer), anew(&graph, viewer), "{seed}: {seq}");
            }
        }
    }
}

/// Changes come while rankings are asked for. When no more come, what is kept is right.
#[test]
fn changes_that_come_meanwhile_are_not_lost() {
    let dice = &mut StdRng::seed_from_u64(7);
    let graph = world(dice);
    let rankings = Rankings::new(graph.version());
    let (over, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !over.load(Ordering::Acquire) {
                for viewer in 1..=3 {
                    ask(&rankings, &graph, viewer);
                    asked.fetch_add(1, Ordering::Release);
                }
            }
        });
        for seq in 2..150 {
            apply(&graph, &rankings, seq, vec![happens(dice)]);
            let before = asked.load(Ordering::Acquire);
            while seq % 3 == 0 && asked.load(Ordering::Acquire) == before && !reader.is_finished() {
                std::thread::yield_now();
            }
        }
        over.store(true, Ordering::Release);
    });
    for viewer in 1..=3 {
        assert_eq!(ask(&rankings, &graph, viewer), anew(&graph, viewer));
    }
}

#[test]
fn the_longest_unused_goes_when_there_are_too_many() {
    let dice = &mut StdRng::seed_from_u64(3);
    let graph = world(dice);
    let one = anew(&graph, 1).bytes();
    let rankings = Rankings::holding(graph.version(), 4 * one);
    for viewer in 1..=PEOPLE {
        ask(&rankings, &graph, 1);
        ask(&rankings, &graph, viewer);
    }
    assert!(keeps(&rankings, 1) && keeps(&rankings, PEOPLE) && !keeps(&rankings, 2));
    let known = rankings.known.lock();
    assert!(known.bytes <= 4 * one, "{} bytes", known.bytes);
    assert_eq!(known.bytes, known.seats.values().map(|seat| seat.bytes).sum::<usize>());
}

#[test]
fn a_list_of_changes_that_is_too_long_is_cut_and_nothing_is_wrong() {
    let dice = &mut StdRng::seed_from_u64(5);
    let graph = world(dice);
    let rankings = Rankings::new(graph.version());
    ask(&rankings, &graph, 1);
    apply(&graph, &rankings, 2, vec![states(1, 2, 99)]);
    let many: Vec<EntityId> = (0..MOST_CHANGED as u32 / 2).map(EntityId).collect();
    for seq in 3..10 {
        rankings.tell(seq, &many);
        let known = rankings.known.lock();
        assert!(known.changed <= MOST_CHANGED && known.changes.len() <= 2);
    }
    assert!(rankings.since(1).1.is_none() && rankings.since(9).1.is_some());
    assert_eq!(ask(&rankings, &graph, 1), anew(&graph, 1));
    rankings.tell(10, &vec![EntityId(1); MOST_CHANGED + 1]);
    assert!(rankings.known.lock().changes.is_empty());
    assert_eq!(ask(&rankings, &graph, 1), anew(&graph, 1));
}
