//! Replaying dead letters: each once, whatever becomes of it, and of whoever asked.

use crate::rig::Rig;
use futures_util::FutureExt;
use rhiz_domain::{
    EventId, Outcome,
    store::{DeadFilter, DeadSelection},
};
use rhiz_testkit::events::invalidated;
use std::time::Duration;

const A: &str = "did:plc:a";
const LETTERS: usize = 150;

/// Every event ends as a dead letter, and so it does again.
async fn all_dead() -> Rig {
    let rig = Rig::new(|_| Outcome::Bury { reason: "never".into() }).started();
    rig.submit((0..LETTERS).map(|n| invalidated(A).id(&format!("d{n}")))).await;
    rig.until(|b| b.pipeline.snapshot().events_failed == LETTERS as u64).await;
    rig
}

/// What dies again is not taken for one more of them. In real time: they have to die while the
/// replay goes on.
#[tokio::test]
async fn a_replay_takes_each_letter_once_and_ends() {
    let rig = all_dead().await;
    let names = (0..LETTERS).map(|n| EventId::parse(&format!("d{n}")).unwrap()).collect();
    for (n, which) in [DeadSelection::Filter(DeadFilter::default()), DeadSelection::Events(names)]
        .into_iter()
        .enumerate()
    {
        let replay = rig.pipeline.replay(&which, 1000, "me");
        let moved = tokio::time::timeout(Duration::from_secs(30), replay).await;
        let moved = moved.expect("it ends").unwrap();
        assert_eq!((moved.done, moved.impossible, moved.more), (LETTERS as u64, 0, false));
        let failed = ((n + 2) * LETTERS) as u64;
        rig.until(|b| b.pipeline.snapshot().events_failed >= failed).await;
        rig.idle().await;
        assert_eq!(rig.pipeline.snapshot().events_failed, failed, "each once more");
        assert_eq!(rig.dead().await.len(), LETTERS);
    }
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 0);
}

/// Who goes away stops the replay, but what was on its way is counted.
#[tokio::test]
async fn a_replay_that_is_given_up_leaves_no_hole_in_the_count() {
    let rig = all_dead().await;
    let which = DeadSelection::Events(vec![EventId::parse("d0").unwrap()]);
    assert!(rig.pipeline.replay(&which, 1000, "me").now_or_never().is_none());
    rig.until(|b| b.pipeline.snapshot().events_failed == LETTERS as u64 + 1).await;
    rig.downstream.0.send_replace(false);
    rig.submit([invalidated(A).id("one")]).await;
    assert_eq!(rig.pipeline.snapshot().events_in_queue, 1);
    rig.downstream.0.send_replace(true);
}
