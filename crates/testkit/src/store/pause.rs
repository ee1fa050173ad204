//! What stands still: it waits, takes no part of the capacity, and goes on where it was.

use super::{ALL, Rig, applied, ids};
use crate::events::{at, identity, invalidated, profile};
use rhiz_domain::{
    EventType, EventTypes, Pause, Paused,
    store::{Place, Settlement, Verdict, Whereabouts},
};

const A: &str = "did:plc:a";

fn order(on: bool, types: &[EventType]) -> Pause {
    Pause { on, intake: false, work: true, types: types.iter().copied().collect() }
}

const TRUST: &[EventType] = &[EventType::TrustInvalidated];

/// The paused type stays where it is, the others go on; resumed, all of it comes in order.
pub async fn what_is_paused_waits_and_the_rest_goes_on(rig: Rig) {
    let trust = |id: &str| invalidated(A).id(id);
    rig.accept([trust("t1"), identity(A, 1, None).id("i1"), trust("t2")]).await;
    let paused = rig.store.pause(order(true, TRUST), "me").await.unwrap();
    assert_eq!(paused, Paused { work: TRUST.iter().copied().collect(), ..Paused::default() });
    assert_eq!(rig.store.paused(), paused);
    rig.accept([trust("t3"), identity(A, 2, None).id("i2")]).await;
    let depths = rig.depths();
    assert_eq!((depths.paused, depths.waiting()), (3, 2));
    let claim = rig.claim().await;
    assert_eq!(ids(&*claim), ["i1", "i2"]);
    drop(claim);
    rig.work().await;
    assert!(rig.store.claim(ALL).await.unwrap().is_none());
    let found = rig.store.find(&super::id("t1")).await.unwrap();
    assert!(matches!(found, Some(Whereabouts::Waiting { place: Place::Paused, .. })));
    assert_eq!((rig.depths().bytes, rig.depths().paused), (0, 3), "no part of the capacity");

    rig.store.pause(order(false, TRUST), "me").await.unwrap();
    assert_eq!(rig.store.paused(), Paused::default());
    let claim = rig.claim().await;
    assert_eq!(ids(&*claim), ["t1", "t2", "t3"]);
    drop(claim);
    rig.work().await;
    assert_eq!(rig.depths(), super::ready([0; 4], 0));
}

/// A restart sets nothing going, and the order is written down.
pub async fn a_pause_survives_a_restart(mut rig: Rig) {
    rig.accept([invalidated(A).id("t"), profile(A, "Ada").id("p")]).await;
    let all = Pause { on: true, intake: true, work: true, types: EventTypes::all() };
    rig.store.pause(all, "op one").await.unwrap();
    let one = order(false, &[EventType::ProfileUpdated]);
    let stands = rig.store.pause(one, "op two").await.unwrap();
    for _ in 0..2 {
        rig.reopen().await;
        assert_eq!(rig.store.paused(), stands);
        assert_eq!(stands.intake, EventTypes::all());
        let claim = rig.claim().await;
        assert_eq!(ids(&*claim), ["p"]);
        assert_eq!(rig.depths().paused, 1);
    }
    // An order that changes nothing is not written down again.
    rig.store.pause(one, "op three").await.unwrap();
    let audit = rig.store.audit(None, 9).await.unwrap().rows;
    let told: Vec<_> = audit.iter().map(|r| (r.action.as_str(), r.by.as_str())).collect();
    assert_eq!(told, [("resume", "op two"), ("pause", "op one")]);
    assert_eq!(audit[0].subject, "work of entity.profile.updated");
}

/// What is in hand goes on; what comes back, or is due, meanwhile, waits.
pub async fn what_is_in_hand_goes_on(rig: Rig) {
    rig.accept((0..4).map(|n| invalidated(A).id(&format!("t{n}")))).await;
    let mut claim = rig.claim().await;
    let leased = claim.lease(2).unwrap();
    rig.store.pause(order(true, TRUST), "me").await.unwrap();
    let later = Verdict::Later { due: at(1_000_010), failed: None };
    let mut settlements = applied(&*claim);
    settlements.retain(|s| s.index == 0);
    settlements.push(Settlement { index: 1, verdict: later, stages: vec![] });
    claim.settle(settlements).await.unwrap();
    drop(claim);
    drop(leased);
    rig.store.wake(at(1_000_010)).await.unwrap();
    assert!(rig.store.claim(ALL).await.unwrap().is_none());
    let depths = rig.depths();
    assert_eq!((depths.paused, depths.bytes, depths.waiting(), depths.scheduled), (3, 0, 0, 0));
    rig.store.pause(order(false, TRUST), "me").await.unwrap();
    assert_eq!(ids(&*rig.claim().await), ["t1", "t2", "t3"]);
    rig.work().await;
    assert_eq!(rig.depths(), super::ready([0; 4], 0));
}
