//! Stopping loses nothing, and keeps nobody waiting.

use crate::rig::{FOR_EVER, Rig, apply, settings, submission};
use rhiz_domain::store::{Intake, StoreError};
use rhiz_pipeline::SubmitError;
use rhiz_testkit::{events::invalidated, faults::Point};
use std::{sync::atomic::Ordering, time::Duration};

const A: &str = "did:plc:a";
const LIMIT: Duration = Duration::from_secs(10);

/// In real time, for virtual time does not wait for a disk.
#[tokio::test]
async fn who_stops_accepts_no_more_and_leaves_the_rest_journaled() {
    let rig = Rig::new(apply);
    rig.submit((0..3000).map(|n| invalidated(A).id(&n.to_string()))).await;
    // Ten workers with 256 each, which have written and wait for what follows.
    rig.downstream.0.send_replace(false);
    rig.pipeline.start();
    rig.until(|b| b.waiting() == 3000 - 10 * 256).await;
    let (in_time, _) =
        tokio::join!(rig.pipeline.stop(LIMIT), async { rig.downstream.0.send_replace(true) });
    assert!(in_time);
    let refused = rig.pipeline.submit(vec![submission(&invalidated(A).id("late"))]).await;
    assert!(matches!(refused, Err(SubmitError::Draining)));
    let (merged, left) = (rig.merged().await, rig.waiting());
    assert_eq!(merged + left as u64, 3000, "neither lost nor done twice");
    assert_eq!(left, 440, "what was in hand is finished, and no more");
    assert_eq!(merged, rig.pipeline.snapshot().events_processed);

    let rig = rig.reopen().await.started();
    rig.until(|b| b.waiting() == 0).await;
    rig.idle().await;
    assert_eq!(rig.merged().await, 3000);
}

#[tokio::test(start_paused = true)]
async fn a_drain_refuses_and_finishes() {
    let rig = Rig::new(apply).started();
    rig.submit((0..300).map(|n| invalidated(A).id(&n.to_string()))).await;
    rig.pipeline.drain();
    let refused = rig.pipeline.submit(vec![submission(&invalidated(A).id("late"))]).await;
    assert!(matches!(refused, Err(SubmitError::Draining)));
    let closed = rig.pipeline.take_in(Intake::default()).await;
    assert!(matches!(closed, Err(StoreError::Closed)), "{closed:?}");
    rig.until(|b| b.pipeline.snapshot().events_processed == 300).await;
}

/// Not even while the database is away, or what follows a commit never comes.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_in_time() {
    let rig = Rig::new(apply).started();
    rig.store.fail(|point| match point {
        Point::Settle(..) => Some(StoreError::Unavailable("gone".into())),
        _ => None,
    });
    rig.submit([invalidated(A).id("x")]).await;
    rig.asked().await;
    assert!(rig.pipeline.stop(LIMIT).await, "a worker that waits for the database gives up");
    rig.store.heal();
    let rig = rig.reopen().await.started();
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;

    rig.downstream.0.send_replace(false);
    rig.submit([invalidated(A).id("y")]).await;
    rig.until(|b| b.asked_so_far().contains(&"y".into())).await;
    assert!(!rig.pipeline.stop(LIMIT).await, "what follows the commit never came");
    let rig = rig.reopen().await;
    assert_eq!((rig.merged().await, rig.waiting()), (2, 0));
}

/// Callers and sources that wait are let go.
#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_pipeline_that_has_stopped() {
    let rig = Rig::with(apply, settings(10));
    let pipeline = rig.pipeline.clone();
    let caller = tokio::spawn(async move {
        pipeline.submit_and_wait(submission(&invalidated(A).id("x")), FOR_EVER).await
    });
    rig.until(|b| b.waiting() == 1).await;
    let pipeline = rig.pipeline.clone();
    let appends = rig.count_appends();
    let source = tokio::spawn(async move {
        let events = (0..9).map(|n| invalidated(A).id(&n.to_string()).build()).collect();
        pipeline.take_in(Intake { events, ..Intake::default() }).await
    });
    rig.ticks().await;
    assert!(!caller.is_finished() && !source.is_finished());
    assert_eq!(appends.load(Ordering::SeqCst), 0);
    rig.pipeline.stop(LIMIT).await;
    let (accepted, ended) = caller.await.unwrap().unwrap();
    assert_eq!((accepted.event_id.as_str(), ended), ("x", None));
    assert!(matches!(source.await.unwrap(), Err(StoreError::Closed)));
    assert_eq!(rig.waiting(), 1);
}
