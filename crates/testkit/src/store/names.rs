//! What events are called: who may call one so, and how it is found by its name.

use super::{Rig, id, settlement};
use crate::events::{Draft, at, invalidated, relationship};
use rhiz_domain::{
    Origin,
    store::{Act, DeadSelection, Intake, Receipt, Rejected, Verdict, Whereabouts},
};

const A: &str = "did:plc:a";
const B: &str = "did:plc:b";

fn jetstream(time_us: i64) -> Origin {
    Origin::Jetstream { time_us }
}

fn file(offset: u64) -> Origin {
    Origin::File { digest: "0123456789abcdef".into(), offset }
}

async fn append(rig: &Rig, draft: Draft) -> Vec<Receipt> {
    let intake = Intake { events: vec![draft.build()], ..Intake::default() };
    rig.store.append(intake).await.unwrap()
}

async fn find(rig: &Rig, name: &str) -> Option<Whereabouts> {
    rig.store.find(&id(name)).await.unwrap()
}

/// A caller who guesses the name of a source's event cannot keep it out, nor the other way round;
/// a UUID and a text of the same bytes are two names.
pub async fn a_caller_keeps_no_event_of_a_source_out(rig: Rig) {
    let uuid = "61626364-6566-4768-a96a-6b6c6d6e6f70";
    for name in [uuid, "x"] {
        let mine = relationship(A, B).id(name);
        let theirs = relationship(A, B).strength(7).id(name).from(jetstream(1));
        assert_eq!(append(&rig, mine.clone()).await, [Receipt::Accepted]);
        assert_eq!(append(&rig, theirs.clone()).await, [Receipt::Accepted]);
        assert_eq!(append(&rig, theirs).await, [Receipt::Duplicate]);
        assert_eq!(append(&rig, mine).await, [Receipt::Duplicate]);
        let rejected = Rejected {
            event_id: id(&format!("r{name}")),
            event_type: None,
            did: None,
            raw: b"{".to_vec(),
            reason: "it ends too early".into(),
            origin: jetstream(2),
            at: at(1),
        };
        assert_eq!(append(&rig, invalidated(A).id(&format!("r{name}"))).await, [Receipt::Accepted]);
        let intake = Intake { rejected: vec![rejected], ..Intake::default() };
        rig.store.append(intake).await.unwrap();
    }
    assert_eq!(rig.dead().await.len(), 2);
    // In one intake, too.
    let both = [relationship(A, B).id("y"), relationship(B, A).id("y").from(jetstream(3))];
    assert_eq!(rig.accept(both).await, [Receipt::Accepted; 2]);
    assert_eq!(rig.work().await, rig.store.last_change());
    assert_eq!(rig.store.counts().await.unwrap().journal, 0);
}

/// Whatever it came from, waiting, scheduled, leased, or found again by a restart.
pub async fn an_event_is_found_by_its_name_until_it_is_done(mut rig: Rig) {
    let origins = [("api", Origin::Api), ("jetstream", jetstream(9)), ("file", file(5))];
    for (name, origin) in &origins {
        rig.accept([invalidated(A).id(name).from(origin.clone())]).await;
    }
    let waits = async |rig: &Rig| {
        for (name, _) in &origins {
            match find(rig, name).await {
                Some(Whereabouts::Waiting { event, .. }) => {
                    assert_eq!(event.event_id.as_str(), *name);
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    };
    waits(&rig).await;
    let mut claim = rig.claim().await;
    waits(&rig).await;
    let leases: Vec<_> = (0..3).map(|i| claim.lease(i).unwrap()).collect();
    waits(&rig).await;
    drop((leases, claim));
    let mut claim = rig.claim().await;
    let later = || Verdict::Later { due: at(2_000_000), failed: None };
    claim.settle((0..3).map(|i| settlement(i, later())).collect()).await.unwrap();
    drop(claim);
    waits(&rig).await;
    rig.reopen().await;
    waits(&rig).await;
    rig.store.wake(at(2_000_000)).await.unwrap();
    rig.work().await;
    for (name, _) in &origins {
        match find(&rig, name).await {
            // What a file said is not remembered by name: its place is.
            None => assert_eq!(*name, "file"),
            Some(Whereabouts::Done { .. }) => assert_ne!(*name, "file"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A replayed letter is where it is now, not where it was before.
pub async fn a_replayed_event_is_found_again(rig: Rig) {
    for (name, origin) in [("api", Origin::Api), ("jetstream", jetstream(9)), ("file", file(5))] {
        rig.accept([invalidated(A).id(name).from(origin)]).await;
        let mut claim = rig.claim().await;
        claim.settle(vec![settlement(0, Verdict::Bury { reason: "no".into() })]).await.unwrap();
        assert!(matches!(find(&rig, name).await, Some(Whereabouts::Dead(_))), "{name}");
        let which = DeadSelection::Events(vec![id(name)]);
        assert_eq!(rig.store.replay(&which, 9, &mut Act::by("me")).await.unwrap().done, 1);
        assert!(matches!(find(&rig, name).await, Some(Whereabouts::Waiting { .. })), "{name}");
        rig.work().await;
        assert!(!matches!(find(&rig, name).await, Some(Whereabouts::Waiting { .. })), "{name}");
    }
}
