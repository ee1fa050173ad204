//! Tests of what is seen between two steps of a change, which no caller can stop at: the state has
//! it and the web not yet, or predictions are being learned anew.

use crate::graph::Graph;
use crate::neighbours::NeighbourQuery;
use crate::state::Dirty;
use rhiz_domain::fact::{
    Change, ChangeSet, Consent, EntityFact, EntityId, RecordKey, RelationshipFact, Visibility,
};
use rhiz_domain::{Did, Tid};

const DAY: i32 = 20_000;

fn states(owner: u32, subject: u32, strength: u8) -> RelationshipFact {
    RelationshipFact {
        key: RecordKey { owner: EntityId(owner), rkey: Tid::ZERO },
        subject: EntityId(subject),
        kind: "professional".into(),
        strength,
        last_interaction: Some(DAY),
        created: i64::from(DAY) * 86_400_000_000,
        rev: Tid::ZERO,
        signed_by_owner: false,
        signed_by_subject: false,
        visibility: Visibility::Public,
        consent: Consent::Full,
    }
}

fn graph(people: u32, facts: Vec<RelationshipFact>) -> Graph {
    let entity = |id| EntityFact {
        id: EntityId(id),
        did: Did::parse(&format!("did:plc:{id:03}")).unwrap(),
        active: true,
        stands_alone: false,
    };
    Graph::load(DAY, 0, (1..=people).map(entity), facts.into_iter(), std::iter::empty())
}

/// The neighbours of 1, one to a page, or as many.
fn paged(graph: &Graph, limit: usize) -> Vec<u32> {
    let mut query = NeighbourQuery { min_strength: 0.0, kinds: None, limit, after: None };
    let mut all = Vec::new();
    loop {
        let page = graph.neighbours(EntityId(1), &query).unwrap();
        all.extend(page.list.iter().map(|n| n.id.0));
        query.after = page.next;
        if query.after.is_none() {
            return all;
        }
    }
}

#[test]
fn a_record_that_goes_before_the_web_knows_ends_no_list() {
    let graph = graph(10, (2..=10).map(|x| states(x, 1, 80)).collect());
    let mut dirty = Dirty::default();
    for gone in [2, 5, 6, 10] {
        let change = Change::RelationshipGone(states(gone, 1, 0).key);
        graph.state.write().apply(&change, &mut dirty);
    }
    for limit in [1, 2, 3, 5, 9] {
        assert_eq!(paged(&graph, limit), [3, 4, 7, 8, 9], "by {limit}");
    }
}

#[test]
fn a_record_that_weighs_less_before_the_web_knows_hides_nobody_behind_it() {
    let graph = graph(10, (2..=10).map(|x| states(x, 1, 80)).collect());
    let mut dirty = Dirty::default();
    for less in [4, 7] {
        graph.state.write().apply(&Change::Relationship(states(less, 1, 10)), &mut dirty);
    }
    for limit in [1, 2, 3, 5, 9] {
        let mut all = paged(&graph, limit);
        all.sort_unstable();
        assert!(all.into_iter().eq(2..=10), "by {limit}");
    }
}

#[test]
fn what_is_written_while_lessons_are_gathered_is_one_of_them_as_it_is() {
    let graph = graph(5, vec![states(1, 2, 50), states(2, 3, 50), states(3, 4, 50)]);
    graph.state.write().taught.since = Some(Vec::new());
    let changes = vec![
        Change::Relationship(states(1, 2, 90)),
        Change::Relationship(states(1, 2, 95)),
        Change::Relationship(states(4, 5, 70)),
        Change::Relationship(states(5, 1, 30)),
        Change::RelationshipGone(states(5, 1, 30).key),
    ];
    graph.apply(&ChangeSet { seq: 1, changes });
    let mut lessons: Vec<_> =
        graph.lessons().iter().map(|(l, _)| (l.key.owner.0, l.stated.y)).collect();
    lessons.sort_by(|a, b| a.partial_cmp(b).unwrap());
    assert_eq!(lessons, [(1, 0.95), (2, 0.5), (3, 0.5), (4, 0.7)]);
    assert!(graph.outdated(), "one of them was withdrawn");
    assert_eq!(graph.state.read().taught.since.as_ref().map(Vec::len), Some(0), "noted once");
}
