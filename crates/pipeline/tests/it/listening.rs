//! Every step of every event is told, in order, to whoever listens; and the end, too.

use crate::rig::{Rig, apply};
use futures_util::FutureExt;
use rhiz_domain::{Outcome, StageName, store::Intake};
use rhiz_pipeline::{Heard, Listener, Step};
use rhiz_testkit::events::invalidated;
use std::time::Duration;
use tokio::task::unconstrained;

const A: &str = "did:plc:a";

async fn heard(listener: &mut Listener) -> (String, Step) {
    match listener.next().await {
        Heard::Notice(notice) => (notice.event_id.clone(), notice.step),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_step_is_told_until_the_end() {
    let rig = Rig::new(|event| match (event.event_id.as_str(), event.retry_count) {
        ("bad", _) => Outcome::Bury { reason: "never".into() },
        ("slow", 0) => Outcome::Retry { reason: "not yet".into() },
        _ => apply(event),
    })
    .started();
    let mut listener = rig.pipeline.listen().unwrap();
    rig.submit([invalidated(A).id("fine")]).await;
    assert_eq!(heard(&mut listener).await, ("fine".into(), Step::Accepted));
    let Heard::Notice(notice) = listener.next().await else { panic!("the end") };
    assert_eq!(
        (notice.step, notice.event_type, notice.did.as_str()),
        (Step::Applied, "trust.invalidated", A)
    );
    let stages: Vec<_> = notice.stages.iter().map(|s| s.stage).collect();
    assert_eq!(stages[..2], [StageName::Validation, StageName::DatabaseWrite]);

    rig.submit([invalidated(A).id("bad")]).await;
    assert_eq!(heard(&mut listener).await.1, Step::Accepted);
    let Heard::Notice(notice) = listener.next().await else { panic!("the end") };
    assert_eq!((notice.step, notice.error.as_deref()), (Step::Dead, Some("never")));
    let [stage] = &notice.stages[..] else { panic!("{:?}", notice.stages) };
    assert_eq!((stage.stage, stage.error.as_deref()), (StageName::Validation, Some("never")));

    let events = vec![invalidated(A).id("slow").build()];
    rig.pipeline.take_in(Intake { events, ..Intake::default() }).await.unwrap();
    assert_eq!(heard(&mut listener).await, ("slow".into(), Step::Accepted));
    let Heard::Notice(notice) = listener.next().await else { panic!("the end") };
    assert_eq!((notice.step, notice.due), (Step::Retry, Some(rig.due("slow").await)));
    assert_eq!(notice.stages.len(), 1);
    let told = rig.pipeline.snapshot().accept_by_type;
    assert!(told["trust.invalidated"].count >= 3, "{told:?}");
    rig.move_to(rig.due("slow").await);
    assert_eq!(heard(&mut listener).await, ("slow".into(), Step::Applied));
    // A duplicate happened before.
    rig.submit([invalidated(A).id("fine")]).await;

    rig.pipeline.stop(Duration::from_secs(10)).await;
    assert!(matches!(listener.next().await, Heard::End));
    assert!(rig.pipeline.listen().is_none(), "there is nothing more to hear");
}

/// Who cannot keep up is told how much it missed, and holds up nobody.
#[tokio::test(start_paused = true)]
async fn a_slow_listener_misses_and_knows_it() {
    let rig = Rig::new(apply).started();
    let mut listener = rig.pipeline.listen().unwrap();
    for n in 0..5 {
        rig.submit((0..1000).map(|i| invalidated(A).id(&format!("{n}-{i}")))).await;
        rig.until(|b| b.pipeline.snapshot().events_processed == (n + 1) * 1000).await;
    }
    let missed = match listener.next().await {
        Heard::Missed(missed) => missed,
        other => panic!("{other:?}"),
    };
    let mut left = 0;
    while let Some(Heard::Notice(_)) = unconstrained(listener.next()).now_or_never() {
        left += 1;
    }
    assert_eq!(missed + left, 10_000);
}
