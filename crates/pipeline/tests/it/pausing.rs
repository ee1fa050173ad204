//! Paused intake refuses callers and lets sources wait; paused work waits; both go on.

use crate::rig::{Rig, apply, settings, submission};
use rhiz_domain::{EventType, EventTypes, Pause, store::Intake};
use rhiz_pipeline::SubmitError;
use rhiz_testkit::events::{identity, invalidated};
use std::sync::atomic::Ordering;

const A: &str = "did:plc:a";

fn order(on: bool, intake: bool, work: bool, types: EventTypes) -> Pause {
    Pause { on, intake, work, types }
}

fn trust() -> EventTypes {
    [EventType::TrustInvalidated].into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_paused_type_is_refused_and_the_others_are_not() {
    let rig = Rig::new(apply).started();
    rig.pipeline.pause(order(true, true, false, trust()), "me").await.unwrap();
    let submit = |drafts: Vec<rhiz_testkit::events::Draft>| {
        rig.pipeline.submit(drafts.iter().map(submission).collect())
    };
    let batch = vec![identity(A, 1, None).id("i"), invalidated(A).id("t")];
    let refused = submit(batch).await;
    assert!(matches!(
        refused,
        Err(SubmitError::Paused { index: 1, event_type: EventType::TrustInvalidated })
    ));
    assert!(rig.find("i").await.is_none(), "nothing of it was stored");
    submit(vec![identity(A, 1, None).id("i")]).await.unwrap();
    // A source has one cursor for all types, so it is not held up by one of them.
    let events = vec![invalidated(A).id("from-a-source").build()];
    rig.pipeline.take_in(Intake { events, ..Intake::default() }).await.unwrap();
    rig.until(|b| b.pipeline.snapshot().events_processed == 2).await;
    rig.pipeline.pause(order(false, true, false, trust()), "me").await.unwrap();
    submit(vec![invalidated(A).id("t")]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_waits_while_all_intake_is_paused() {
    let rig = Rig::new(apply).started();
    rig.pipeline.pause(order(true, true, false, EventTypes::all()), "me").await.unwrap();
    let pipeline = rig.pipeline.clone();
    let appends = rig.count_appends();
    let source = tokio::spawn(async move {
        let events = vec![invalidated(A).id("s").build()];
        pipeline.take_in(Intake { events, ..Intake::default() }).await
    });
    rig.ticks().await;
    assert!(!source.is_finished());
    assert_eq!(appends.load(Ordering::SeqCst), 0);
    rig.pipeline.pause(order(false, true, false, trust()), "me").await.unwrap();
    assert_eq!(source.await.unwrap().unwrap(), 1);
}

/// However much of it there is: what was told to wait must not block the rest.
#[tokio::test(start_paused = true)]
async fn paused_work_takes_no_room() {
    let rig = Rig::with(apply, settings(20)).started();
    rig.pipeline.pause(order(true, false, true, trust()), "me").await.unwrap();
    for n in 0..100 {
        rig.submit([invalidated(A).id(&format!("t{n}"))]).await;
    }
    rig.submit([identity(A, 1, None).id("i")]).await;
    rig.until(|b| b.pipeline.snapshot().events_processed == 1).await;
    let told = rig.pipeline.snapshot();
    assert_eq!((told.paused, told.waiting, told.backpressure_active), (100, 0, false));
    assert_eq!(told.events_in_queue, 100, "accepted, and not in every answer");
    // A restart does not set it going.
    rig.pipeline.stop(std::time::Duration::from_secs(10)).await;
    let rig = rig.reopen().await.started();
    rig.ticks().await;
    // Nothing of them can be claimed: no worker has any, and none will.
    let told = rig.pipeline.snapshot();
    assert_eq!((told.events_in_queue, told.paused, told.events_processed), (100, 100, 0));
    rig.pipeline.pause(order(false, false, true, trust()), "me").await.unwrap();
    rig.until(|b| b.pipeline.snapshot().events_processed == 100).await;
    assert_eq!(rig.asked_so_far(), (0..100).map(|n| format!("t{n}")).collect::<Vec<_>>());
}
