//! Leases: work that waits on the network, and who may still speak for it.

use super::{ALL, Rig, ids, settlement};
use crate::events::{at, invalidated, relationship, verdict};
use rhiz_domain::store::{
    LEASE_BEAT, LEASE_STALE, Leased, Place, Settlement, StoreError, Verdict, Whereabouts,
};
use std::time::Duration;

const A: &str = "did:plc:a";
const TICK: Duration = Duration::from_millis(1);

/// Leases the first event that is ready.
async fn lease(rig: &Rig) -> Box<dyn Leased> {
    let mut claim = rig.store.claim([1; 4]).await.unwrap().expect("something is ready");
    claim.lease(0).expect("it was not settled")
}

fn apply(lease: &dyn Leased) -> Settlement {
    settlement(0, verdict(lease.event()))
}

/// It is out of the claim, takes no part of the capacity, and nobody else gets it.
pub async fn a_leased_event_is_in_no_lane(rig: Rig) {
    rig.accept((0..3).map(|n| invalidated(A).id(&format!("e{n}")))).await;
    let mut claim = rig.claim().await;
    let mut leased = claim.lease(1).unwrap();
    assert_eq!(leased.event().event_id.as_str(), "e1");
    assert!(claim.lease(1).is_none(), "once");
    assert!(claim.lease(9).is_none(), "there is none");
    let depths = rig.depths();
    assert_eq!((depths.in_hand, depths.leased, depths.waiting()), (2, 1, 2));
    // A settlement of what is leased is none of the claim's.
    claim.settle(vec![settlement(1, Verdict::Bury { reason: "not mine".into() })]).await.unwrap();
    assert!(rig.dead().await.is_empty());
    drop(claim);
    let rest = rig.claim().await;
    assert_eq!(ids(&*rest), ["e0", "e2"]);
    drop(rest);
    assert!(matches!(
        rig.store.find(&super::id("e1")).await.unwrap(),
        Some(Whereabouts::Waiting { place: Place::Working, .. })
    ));
    let settled = apply(&*leased);
    assert!(leased.settle(settled.clone()).await.unwrap() > 0);
    let again = leased.settle(settled).await.unwrap_err();
    assert!(matches!(again.error, StoreError::Fenced), "{again:?}");
    assert_eq!(rig.depths().leased, 0);
    assert_eq!(rig.store.counts().await.unwrap().journal, 2);
}

/// Dropped, it is ready again at its place, and that is no failure.
pub async fn a_dropped_lease_gives_its_event_back(rig: Rig) {
    rig.accept((0..3).map(|n| invalidated(A).id(&format!("e{n}")))).await;
    let leased = lease(&rig).await;
    drop(leased);
    assert_eq!(rig.depths().leased, 0);
    let claim = rig.claim().await;
    assert_eq!(ids(&*claim), ["e0", "e1", "e2"]);
    assert_eq!(claim.crashes(0), 0);
    assert_eq!(claim.events()[0].retry_count, 0);
}

/// Kept by beats for as long as one likes; without one it runs out, and is counted.
pub async fn a_lease_without_a_beat_runs_out(rig: Rig) {
    rig.accept([invalidated(A).id("x")]).await;
    let mut leased = lease(&rig).await;
    for _ in 0..10 {
        rig.clock.advance(LEASE_BEAT);
        rig.store.wake(at(2_000_000)).await.unwrap();
        leased.beat().await.unwrap();
    }
    rig.clock.advance(LEASE_STALE);
    rig.store.wake(at(2_000_000)).await.unwrap();
    assert!(rig.store.claim(ALL).await.unwrap().is_none(), "not a moment too early");
    rig.clock.advance(TICK);
    rig.store.wake(at(2_000_000)).await.unwrap();
    assert!(matches!(leased.beat().await, Err(StoreError::Fenced)));
    let claim = rig.claim().await;
    assert_eq!((ids(&*claim), claim.crashes(0)), (vec!["x".to_owned()], 1));
}

/// Whoever wakes up too late changes nothing, whatever has become of the event meanwhile; and its
/// verdict does not stand in the way of the one that counts.
pub async fn an_old_token_changes_nothing(rig: Rig) {
    rig.accept([relationship(A, "did:plc:b").id("x")]).await;
    let mut first = lease(&rig).await;
    rig.clock.advance(LEASE_STALE + TICK);
    rig.store.wake(at(2_000_000)).await.unwrap();
    let bury = || settlement(0, Verdict::Bury { reason: "too late".into() });
    // While it is ready, while another has it, and once it is done.
    assert!(matches!(first.settle(bury()).await.unwrap_err().error, StoreError::Fenced));
    let mut second = lease(&rig).await;
    assert!(second.token() > first.token());
    assert!(matches!(first.settle(bury()).await.unwrap_err().error, StoreError::Fenced));
    let settled = apply(&*second);
    second.settle(settled).await.unwrap();
    let refused = first.settle(bury()).await.unwrap_err();
    assert!(matches!(refused.error, StoreError::Fenced));
    assert_eq!(refused.settlements.len(), 1, "given back");
    drop((first, second));
    assert!(rig.dead().await.is_empty());
    assert!(rig.store.claim(ALL).await.unwrap().is_none());
    assert_eq!(rig.store.counts().await.unwrap().journal, 0);
    assert_eq!(rig.depths(), super::ready([0; 4], 0));
}

/// A retry, a snooze and a burial under a lease are what they are under a claim.
pub async fn a_lease_can_end_in_every_verdict(rig: Rig) {
    rig.accept((0..2).map(|n| invalidated(A).id(&format!("e{n}")))).await;
    let mut leased = lease(&rig).await;
    let later = Verdict::Later { due: at(1_000_010), failed: Some("silent".into()) };
    leased.settle(settlement(0, later)).await.unwrap();
    drop(leased);
    let mut leased = lease(&rig).await;
    leased.settle(settlement(0, Verdict::Bury { reason: "no such thing".into() })).await.unwrap();
    drop(leased);
    let depths = rig.depths();
    assert_eq!((depths.scheduled, depths.leased, depths.waiting()), (1, 0, 0));
    assert_eq!(rig.dead().await[0].last_error, "no such thing");
    rig.store.wake(at(1_000_010)).await.unwrap();
    let claim = rig.claim().await;
    assert_eq!(claim.events()[0].retry_count, 1);
}

/// What was under a lease when the store stopped is waiting when it starts again.
pub async fn a_restart_ends_every_lease(mut rig: Rig) {
    rig.accept([invalidated(A).id("x")]).await;
    let mut leased = lease(&rig).await;
    rig.reopen().await;
    let claim = rig.claim().await;
    assert_eq!(ids(&*claim), ["x"]);
    let settled = apply(&*leased);
    // The old store is closed: it cannot be settled through it any more.
    assert!(leased.settle(settled).await.is_err());
    drop(leased);
    drop(claim);
    rig.work().await;
    assert_eq!(rig.store.counts().await.unwrap().journal, 0);
}
