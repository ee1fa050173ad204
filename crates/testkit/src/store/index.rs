//! What is read back: entities, records, facts and the changes that lead to them.

use super::Rig;
use crate::{
    events::{
        Draft, account, at, attestation, claim, context, deleted, did, identity, intro,
        invalidated, key, profile, relationship, rev,
    },
    generate::history,
    model::Lines,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use rhiz_domain::{
    Change, ChangeSet, Collection, EntityId, RecordKey, Tid,
    fact::{AttestationFact, EntityFact, RelationshipFact},
    records::EntityType,
    store::{EntityRow, Facts, RecordRow},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";
const C: &str = "did:plc:c";

async fn entity(rig: &Rig, who: &str) -> EntityRow {
    rig.store.entity(who).await.unwrap().unwrap_or_else(|| panic!("{who} is not known"))
}

async fn facts(rig: &Rig) -> Facts {
    rig.store.facts(Arc::new(|_, _| {})).await.unwrap()
}

async fn record(rig: &Rig, who: &str, collection: Collection, n: u64) -> Option<RecordRow> {
    let rkey = if collection == Collection::Profile { Tid::ZERO } else { key(n) };
    let owner = entity(rig, who).await.id;
    rig.store.record(owner, collection, rkey).await.unwrap()
}

/// From its profile, else from the statements that name it.
pub async fn an_entity_has_its_profile_handle_and_dates(rig: Rig) {
    assert!(rig.store.entity(A).await.unwrap().is_none());
    rig.apply([
        relationship(A, B).rev(10).created(5),
        relationship(B, A).rev(20).created(7).key(1),
        // It says that it was made later than its revision: it was not.
        relationship(C, A).rev(30).created(86_400 * 300),
    ])
    .await;
    let a = entity(&rig, A).await;
    assert_eq!((a.did.as_str(), &a.handle), (A, &None));
    assert!(a.profile.is_none());
    assert_eq!((a.created_at, a.updated_at), (Some(at(5)), Some(at(30))));
    let c = entity(&rig, C).await;
    assert_eq!((c.created_at, c.updated_at), (Some(at(30)), Some(at(30))));

    let full = profile(A, "Ada").rev(40).created(2).set("bio", "Wrote it.");
    let full = full.set("avatarUrl", "https://example.com/a.png").set("verified", true);
    rig.apply([full.set("entityType", "agent"), identity(A, 3, Some("ada.example.com"))]).await;
    let a = entity(&rig, A).await;
    assert_eq!(a.handle.as_deref(), Some("ada.example.com"));
    assert_eq!((a.created_at, a.updated_at), (Some(at(2)), Some(at(40))));
    let p = a.profile.unwrap();
    assert_eq!((p.name.as_str(), p.entity_type, p.verified), ("Ada", EntityType::Agent, true));
    assert_eq!((p.bio.as_deref(), p.created_at), (Some("Wrote it."), at(2)));
    assert_eq!(p.avatar_url.as_deref(), Some("https://example.com/a.png"));
    assert!(p.cid.unwrap().starts_with("bafyrei"));
    let rows = rig.store.entities(&[a.id, EntityId(9999)]).await.unwrap();
    assert_eq!(rows.iter().map(|r| r.id).collect::<Vec<_>>(), [a.id]);

    // What is gone dates nobody; an attestation names whom it is about, and who made it.
    rig.apply([profile(A, "Ada").rev(41).delete(), relationship(A, B).rev(42).delete()]).await;
    assert_eq!(entity(&rig, A).await.created_at, Some(at(7)));
    rig.apply([attestation("did:plc:x", "did:plc:y", 0).rev(50).created(45)]).await;
    for who in ["did:plc:x", "did:plc:y"] {
        let row = entity(&rig, who).await;
        assert_eq!((row.created_at, row.updated_at), (Some(at(45)), Some(at(50))), "{who}");
    }
}

/// A private record enters no entity, and records of an inactive account count nowhere.
pub async fn what_is_private_or_inactive_dates_nobody(rig: Rig) {
    rig.apply([
        relationship(A, B).rev(10).created(5).privacy("private", "full"),
        attestation(C, A, 0).rev(11).created(6),
    ])
    .await;
    for who in [A, B] {
        let row = entity(&rig, who).await;
        assert_eq!((row.created_at, row.updated_at), (None, None), "{who}");
    }
    rig.apply([relationship(B, C).rev(20).created(15), account(B, 5, false)]).await;
    assert_eq!(entity(&rig, C).await.updated_at, Some(at(11)));
    rig.apply([account(B, 6, true)]).await;
    assert_eq!(entity(&rig, C).await.updated_at, Some(at(20)));
}

/// By the time of the news, not of its arrival.
pub async fn the_newest_holder_of_a_handle_has_it(rig: Rig) {
    const H: &str = "one.example.com";
    rig.apply([identity(B, 5, Some(H))]).await;
    rig.apply([identity(A, 3, Some(H))]).await;
    let holder = rig.store.entity_by_handle(H).await.unwrap().unwrap();
    assert_eq!(holder.did.as_str(), B);
    rig.apply([identity(B, 6, Some("two.example.com"))]).await;
    let holder = rig.store.entity_by_handle(H).await.unwrap().unwrap();
    assert_eq!(holder.did.as_str(), A);
    // Old news changes nothing.
    rig.apply([identity(B, 4, Some(H)), identity(A, 2, None)]).await;
    assert_eq!(entity(&rig, B).await.handle.as_deref(), Some("two.example.com"));
    assert_eq!(entity(&rig, A).await.handle.as_deref(), Some(H));
    assert!(rig.store.entity_by_handle("three.example.com").await.unwrap().is_none());
}

/// Each collection; the newest revision; its own text; nothing once it is deleted.
pub async fn a_record_can_be_read_until_it_is_gone(mut rig: Rig) {
    let drafts = [
        relationship(A, B).set("mood", "fine"),
        attestation(A, B, 0),
        profile(A, "Ada"),
        intro(A, B),
        context(A),
        claim(A, 3),
    ];
    rig.apply(drafts.iter().cloned().map(|d| d.rev(4).verified())).await;
    rig.reopen().await;
    for (collection, draft) in Collection::ALL.into_iter().zip(&drafts) {
        let row = record(&rig, A, collection, 0).await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&row.body).unwrap();
        assert_eq!(body, draft.record().unwrap());
        assert_eq!((row.rev, row.verified, row.indexed_at), (rev(4), true, at(1_000_000)));
        assert!(row.cid.starts_with("bafyrei"), "{}", row.cid);
        assert!(
            record(&rig, A, collection, 1).await.is_none() || collection == Collection::Profile
        );
    }
    assert_eq!(rig.store.counts().await.unwrap().records, 6);
    // Older news comes too late, a delete at the same revision wins.
    rig.apply(drafts.iter().cloned().map(|d| d.rev(3).delete())).await;
    assert!(record(&rig, A, Collection::Context, 0).await.is_some());
    rig.apply(drafts.iter().cloned().map(|d| d.rev(4).delete())).await;
    for collection in Collection::ALL {
        assert!(record(&rig, A, collection, 0).await.is_none(), "{collection:?}");
    }
    let counts = rig.store.counts().await.unwrap();
    assert_eq!((counts.records, counts.relationships, counts.profiles), (6, 0, 0));
    assert_eq!(counts.attestations, 0);
    // Numbers are never used again.
    let before = entity(&rig, A).await.id;
    rig.apply([relationship(A, "did:plc:new").rev(9)]).await;
    assert_eq!(entity(&rig, A).await.id, before);
    assert_ne!(entity(&rig, "did:plc:new").await.id, before);
}

/// An update may name somebody else.
pub async fn a_record_that_moves_leaves_nothing_where_it_was(rig: Rig) {
    rig.apply([relationship(A, B).rev(1), attestation(C, A, 0).rev(1)]).await;
    rig.apply([relationship(A, C).rev(2).update(), attestation(C, B, 1).rev(2).update()]).await;
    let facts = facts(&rig).await;
    let lines = Lines::of(&facts);
    let [r] = &facts.relationships[..] else { panic!("{facts:?}") };
    assert!(lines.relationship(r).contains(C), "{}", lines.relationship(r));
    let [a] = &facts.attestations[..] else { panic!("{facts:?}") };
    assert_eq!(a.target, RecordKey { owner: entity(&rig, B).await.id, rkey: key(1) });
    assert_eq!(entity(&rig, B).await.created_at, Some(at(0)));
}

/// Below the floor nothing lives, above it everything may; other people's words stay.
pub async fn a_deleted_account_takes_its_records_and_may_come_back(rig: Rig) {
    rig.apply([
        relationship(A, B).rev(5),
        relationship(B, A).rev(5),
        attestation(A, B, 0).rev(5),
        profile(A, "Ada").rev(5),
        intro(A, B).rev(5),
    ])
    .await;
    rig.apply([deleted(A, 10)]).await;
    for collection in Collection::ALL {
        assert!(record(&rig, A, collection, 0).await.is_none(), "{collection:?}");
    }
    let now = facts(&rig).await;
    assert_eq!((now.relationships.len(), now.attestations.len()), (1, 0));
    let of_a = |facts: &Facts| facts.entities.iter().find(|e| e.did == did(A)).cloned().unwrap();
    assert!(!of_a(&now).active && !of_a(&now).stands_alone);
    assert!(entity(&rig, A).await.profile.is_none());
    // Its body is not kept in some other place either.
    assert!(!rig.store.dump().await.unwrap().iter().any(|line| line.contains("Ada")));

    // Late news from before, and from the instant of the deletion itself.
    rig.apply([profile(A, "Late").rev(9), relationship(A, C).rev(10).key(1)]).await;
    assert!(entity(&rig, A).await.profile.is_none());
    assert_eq!(facts(&rig).await.relationships.len(), 1);
    // An older status does not bring it back; a newer one does, with what it says from then on.
    rig.apply([account(A, 9, true)]).await;
    assert!(!of_a(&facts(&rig).await).active);
    rig.apply([account(A, 11, true), profile(A, "Ada again").rev(12)]).await;
    let now = facts(&rig).await;
    assert!(of_a(&now).active && of_a(&now).stands_alone);
    assert_eq!(entity(&rig, A).await.profile.unwrap().name, "Ada again");
    assert_eq!(now.relationships.len(), 1);
}

/// The same record, seen by one source without proof and by another with it.
pub async fn a_proof_that_comes_later_counts(rig: Rig) {
    rig.apply([relationship(A, B).rev(1).id("unproven")]).await;
    assert!(!record(&rig, A, Collection::Relationship, 0).await.unwrap().verified);
    rig.apply([relationship(A, B).rev(1).verified().id("proven")]).await;
    assert!(record(&rig, A, Collection::Relationship, 0).await.unwrap().verified);
    rig.apply([relationship(A, B).rev(1).id("unproven-again")]).await;
    assert!(record(&rig, A, Collection::Relationship, 0).await.unwrap().verified);
}

/// A graph as it is fed.
#[derive(Default)]
struct Replica {
    seq: u64,
    entities: BTreeMap<EntityId, EntityFact>,
    relationships: BTreeMap<RecordKey, RelationshipFact>,
    attestations: BTreeMap<RecordKey, AttestationFact>,
}

impl Replica {
    fn feed(&mut self, set: ChangeSet) {
        assert!(!set.changes.is_empty(), "a commit without changes says nothing");
        assert_eq!(set.seq, self.seq + set.changes.len() as u64, "numbers follow the commits");
        self.seq = set.seq;
        let known = |entities: &BTreeMap<_, _>, id: EntityId| {
            assert!(entities.contains_key(&id), "{id:?} is named before it is introduced");
        };
        for change in set.changes {
            match change {
                Change::Entity(fact) => {
                    self.entities.insert(fact.id, fact);
                }
                Change::Relationship(fact) => {
                    known(&self.entities, fact.key.owner);
                    known(&self.entities, fact.subject);
                    self.relationships.insert(fact.key, fact);
                }
                Change::RelationshipGone(key) => {
                    self.relationships.remove(&key);
                }
                Change::Attestation(fact) => {
                    known(&self.entities, fact.key.owner);
                    known(&self.entities, fact.target.owner);
                    self.attestations.insert(fact.key, fact);
                }
                Change::AttestationGone(key) => {
                    self.attestations.remove(&key);
                }
                Change::Touched(id) => known(&self.entities, id),
            }
        }
    }

    fn assert_is(&self, facts: &Facts) {
        assert_eq!(self.seq, facts.seq);
        let entities = self.entities.values().cloned().collect::<Vec<_>>();
        assert_eq!(entities, sorted(&facts.entities, |e| e.id));
        let relationships = self.relationships.values().cloned().collect::<Vec<_>>();
        assert_eq!(relationships, sorted(&facts.relationships, |r| r.key));
        let attestations = self.attestations.values().cloned().collect::<Vec<_>>();
        assert_eq!(attestations, sorted(&facts.attestations, |a| a.key));
    }
}

fn sorted<T: Clone, K: Ord>(items: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort_by_key(key);
    items
}

/// Whoever applies every change from the first one on has what the facts say, at every step.
pub async fn changes_come_in_order_and_add_up_to_the_facts(mut rig: Rig) {
    let mut replica = Replica::default();
    let mut runner = TestRunner::deterministic();
    let changes = rig.store.changes().unwrap();
    assert!(rig.store.changes().is_none(), "they can be taken once");
    for n in 0..12 {
        let history: Vec<Draft> = history(30).new_tree(&mut runner).unwrap().current();
        let named = |(i, d): (usize, Draft)| d.id(&format!("{n}-{i}"));
        let last = rig.apply(history.into_iter().enumerate().map(named)).await;
        // A change is told once its commit is answered, never before it is durable.
        changes.try_iter().for_each(|set| replica.feed(set));
        assert!(last <= replica.seq);
        replica.assert_is(&facts(&rig).await);
    }
    // From many workers at once.
    let tasks: Vec<_> = (0..32)
        .map(|n| {
            let store = Arc::clone(&rig.store);
            let drafts = (0..8).map(move |i| relationship(A, C).key(2 + n).rev(i).strength(7));
            let events = drafts.map(|d| d.build()).collect();
            tokio::spawn(async move {
                let intake = rhiz_domain::store::Intake { events, ..Default::default() };
                store.append(intake).await.unwrap();
                while let Some(mut claim) = store.claim([3; 4]).await.unwrap() {
                    let settlements = super::applied(&*claim);
                    claim.settle(settlements).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    rig.work().await;
    changes.try_iter().for_each(|set| replica.feed(set));
    replica.assert_is(&facts(&rig).await);

    rig.reopen().await;
    let changes = rig.store.changes().unwrap();
    replica.assert_is(&facts(&rig).await);
    rig.apply([relationship(C, A).rev(50), deleted(A, 60)]).await;
    changes.try_iter().for_each(|set| replica.feed(set));
    replica.assert_is(&facts(&rig).await);
    // They end with the store.
    rig.store.close().await;
    assert!(changes.recv().is_err());
}

/// Also when nothing but a restart lies between them.
pub async fn numbers_of_changes_grow_across_restarts(mut rig: Rig) {
    let mut last = 0;
    for n in 0..4 {
        let changes = rig.store.changes().unwrap();
        let answered = rig.apply([relationship(A, B).rev(n).key(n as u64)]).await;
        let set = changes.try_recv().unwrap();
        assert!(set.seq > last && set.seq == answered, "{} {last} {answered}", set.seq);
        assert_eq!(facts(&rig).await.seq, set.seq);
        last = set.seq;
        rig.reopen().await;
        assert_eq!(facts(&rig).await.seq, last);
    }
}

/// Older events, and the same event under another name.
pub async fn what_changes_nothing_says_nothing(rig: Rig) {
    let all = |name: &str| {
        [
            relationship(A, B).rev(5).id(&format!("{name}1")),
            relationship(A, B).rev(5).key(1).delete().id(&format!("{name}2")),
            profile(A, "Ada").rev(5).id(&format!("{name}3")),
            identity(A, 5, Some("a.example.com")).id(&format!("{name}4")),
            account(B, 5, false).id(&format!("{name}5")),
            deleted(C, 5).id(&format!("{name}6")),
        ]
    };
    let first = rig.apply(all("x")).await;
    let changes = rig.store.changes().unwrap();
    let _ = changes.try_iter().count();
    let older = [
        relationship(A, B).rev(4).strength(1),
        relationship(A, B).served(6),
        account(B, 4, true),
        identity(A, 4, None),
        profile(C, "Below the floor").rev(3),
        deleted(C, 4),
    ];
    assert_eq!(rig.apply(all("y")).await, first);
    let dump = rig.store.dump().await.unwrap();
    let last = rig.apply(older).await;
    // The record below the floor is remembered, as a row without a body.
    assert_eq!(rig.store.dump().await.unwrap().len(), dump.len() + 1);
    assert!(last <= first + 1, "{last} {first}");
    // An explicit request says something each time.
    let once = rig.apply([invalidated(A).id("once")]).await;
    assert_eq!(rig.apply([invalidated(A).id("again")]).await, once + 1);
}

/// From none to all of them.
pub async fn progress_is_told(rig: Rig) {
    rig.apply([relationship(A, B), attestation(C, A, 0)]).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let teller = Arc::clone(&told);
    let progress = Arc::new(move |done, total| teller.lock().unwrap().push((done, total)));
    rig.store.facts(progress).await.unwrap();
    let told = told.lock().unwrap();
    let total = 3 + 1 + 1;
    assert_eq!((told.first(), told.last()), (Some(&(0, total)), Some(&(total, total))));
    assert!(told.is_sorted());
}
